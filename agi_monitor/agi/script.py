"""Whole pyst2 scripts as handlers: a file that Asterisk could start, run in a thread for each call.

Two rules: a script runs as it does by itself, with modules, arguments, standard input and output of its own; the file
is read and compiled once.
"""

from __future__ import annotations

from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from agi_monitor.agi.blocking import BlockingStory
from agi_monitor.agi.pyst2 import BlockingAGI
from agi_monitor.agi.script_modules import Folder, OwnModules
from agi_monitor.agi.script_process import ServedProcess, prepare_process


class Script:
    """A pyst2 script, unmodified. Its file is read once, and so are those that it imports from its folder.

    ``asterisk.agi.AGI`` is ``BlockingAGI`` from now on in this process, so that ``AGI()`` of the script is its call;
    ``sys.argv`` holds the AGI arguments, and ``sys.exit`` ends the call, with a number other than 0 as a failure.

    Parameters:
        path: the script.

    Raises:
        OSError: it cannot be read.
        SyntaxError: it is not Python 3.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = str(Path(path).resolve())
        self._code: CodeType = compile(Path(self._path).read_bytes(), self._path, "exec")
        self._folder = Folder(str(Path(self._path).parent))
        self.__qualname__ = self.__name__ = Path(self._path).name
        prepare_process()

    def __call__(self, agi: BlockingAGI) -> None:
        """Run it for one call."""
        line: Any = agi._line
        process = ServedProcess(line, [self._path, *line.request.arguments])
        main = ModuleType("__main__")
        vars(main)["__file__"] = self._path
        modules = OwnModules(self._folder, main, process.views())
        process.give(modules)
        process.enter()
        try:
            try:
                exec(self._code, vars(main))  # noqa: S102 (it is the site's script)
            except Exception as error:
                process.raised(error)
                raise
            finally:
                process.finish()
        finally:
            process.leave()


def blocking_script(path: str | Path, **options: Any) -> BlockingStory:
    """A handler from a whole pyst2 script, as it is.

    Parameters:
        path: the script.
        options: those of ``BlockingStory``.

    Raises:
        OSError, SyntaxError: as ``Script``.
    """
    return BlockingStory(Script(path), **options)
