"""Reads the configuration in a process of its own, while calls continue.

YAML of ten thousand people is seconds of Python. A thread would share the interpreter with every call, and leave its
memory behind. The process sends back what it has read, checked; here it is made into the same configuration.

    python -m agi_monitor.server.config_process PATH

prints lines of JSON: ``{"digest": ..., "tree": ...}`` with all but people, then ``[section, key, entry]`` for each of
them, then ``{}``. Or it prints ``{"problems": [...]}``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agi_monitor.config import loading, yaml
from agi_monitor.config.loading import Loaded
from agi_monitor.errors import ConfigError

READ_SECONDS = 300.0
"""How long a file may take. Ten thousand people take five seconds, and minutes on a machine that is overloaded."""

PEOPLE = ("supervisors", "agents", "rules")


class ConfigProcess:
    """Reads one configuration file, each time in a new process.

    Parameters:
        path: the file.
        seconds: how long it may take.
        command: runs ``main``; the path is added. Without one, this program in this Python.
    """

    def __init__(self, path: Path, seconds: float = READ_SECONDS, command: Sequence[str] = ()) -> None:
        self._path = path
        self._command = command or (sys.executable, "-P", "-m", "agi_monitor.server.config_process")
        self._seconds = seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def load(self) -> Loaded:
        """Read and check the file. It blocks: call it in a thread, and one at a time.

        Raises:
            ConfigError: with every problem that was found; or it could not be read, or not in time.
        """
        try:
            with self._lock:
                if self._closed:
                    raise ConfigError(f"{self._path}: is no longer read, the server is about to stop")
                process = self._process = _begin((*self._command, str(self._path)))
        except OSError as error:
            raise ConfigError(f"{self._path}: cannot be read in a process: {error.strerror}") from None
        try:
            with process:
                try:
                    said, _ = process.communicate(timeout=self._seconds)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise ConfigError(f"{self._path}: could not be read within {self._seconds:g} seconds") from None
        finally:
            self._process = None
        return _loaded(self._path, said, process.returncode)

    def close(self) -> None:
        """End what is under way, and begin nothing more. Any thread may call it."""
        with self._lock:
            self._closed = True
            process = self._process
            if process is not None:
                process.kill()


def _begin(command: Sequence[str]) -> subprocess.Popen[bytes]:
    # This very code, wherever it was found, and nothing from the folder that the server happens to stand in.
    found = [folder for folder in sys.path if folder] + [str(Path(__file__).resolve().parents[2])]
    return subprocess.Popen(  # noqa: S603 (this program itself)
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(found)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # SIGHUP and Ctrl-C are meant for the server, and reach every process of its terminal.
        start_new_session=True,
    )


def _loaded(path: Path, said: bytes, code: int) -> Loaded:
    # Line by line: one large document would keep every other thread out while it is read.
    lines = iter(said.splitlines())
    first: dict[str, Any] = json.loads(next(lines, b"{}")) if code == 0 else {}
    if "problems" in first:
        raise ConfigError(*first["problems"])
    tree = first.get("tree", {})
    complete = False
    for line in lines if code == 0 else ():
        part = json.loads(line)
        complete = part == {}
        if not complete:
            section, key, entry = part
            if key is None:
                tree[section].append(entry)
            else:
                tree[section][key] = entry
    if not complete:
        raise ConfigError(f"{path}: could not be read: the process that read it ended with code {code}")
    # Checked once more: what holds is what this process understands, whatever was installed since it began.
    return Loaded(loading.check(yaml.Parsed(tree), str(path)), first["digest"])


def told(path: Path) -> Iterator[object]:
    """Read and check a file, and return the lines about it.

    Parameters:
        path: the file.

    Raises:
        ConfigError: with every problem that was found.
    """
    content = loading.read(path)
    parsed = yaml.parsed(content, str(path))
    loading.check(parsed, str(path))
    assert isinstance(parsed.tree, dict)  # noqa: S101 (it was checked)
    people = {section: parsed.tree[section] for section in PEOPLE if section in parsed.tree}
    nobody = {section: type(entries)() for section, entries in people.items()}
    yield {"digest": loading.digest(content), "tree": {**parsed.tree, **nobody}}
    for section, entries in people.items():
        for key, entry in entries.items() if isinstance(entries, dict) else ((None, entry) for entry in entries):
            yield section, key, entry
    yield {}


def main(path: str) -> None:
    """Print the lines about a file."""
    try:
        lines = list(told(Path(path)))
    except ConfigError as error:
        lines = [{"problems": error.problems}]
    except Exception as error:
        # Its kind alone: its words may hold what stands in the file.
        lines = [{"problems": [f"{path}: cannot be read: {type(error).__name__}"]}]
    with os.fdopen(1, "w", encoding="utf-8") as out:
        for line in lines:
            out.write(f"{json.dumps(line)}\n")


if __name__ == "__main__":
    main(sys.argv[1])
