"""What a served script sees of its process: arguments, standard input and output, signals, threads, the end.

Two rules: what a script changes here it changes for its own call; what would end, replace or double the server is
refused where the script asks for it, in words.

The script and its helpers see their own ``sys``, ``signal``, ``os``, ``atexit`` and ``importlib``: copies of the real
modules with a few names replaced. Libraries see the real ones, so ``sys.argv`` of the process answers by thread too,
for ``argparse``. A thread that a script starts belongs to the script's call.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from collections import ChainMap, deque
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn, Protocol

import asterisk.agi
import asterisk.agitb

from agi_monitor.agi.messages import AGIRequest, Command, Reply
from agi_monitor.agi.pyst2 import BlockingAGI, NotSent, as_pyst2, line_of_thread, raw_command, use_line
from agi_monitor.agi.script_modules import OwnModules, Views
from agi_monitor.errors import AgiMonitorError

INSTEAD = "let Asterisk start this script, with AGI(script.py)"


class Call(Protocol):
    """What is needed of the line of a call."""

    has_agi: bool
    on_hangup: Callable[[], object] | None
    interrupts: bool

    @property
    def request(self) -> AGIRequest: ...

    def perform(self, command: Command) -> Reply: ...


# -- the process as all others see it: made once -------------------------------------------------------------------


class Arguments(list[str]):
    """``sys.argv`` of a process that runs many scripts at once: each thread sees its own call's.

    Parameters:
        process: what all other threads see.
    """

    def __init__(self, process: list[str]) -> None:
        super().__init__(process)
        self._process = process

    def _seen(self) -> list[str]:
        served = served_by_thread()
        return self._process if served is None else served.arguments

    def __getitem__(self, place: Any) -> Any:
        return self._seen()[place]

    def __iter__(self) -> Iterator[str]:
        return iter(self._seen())

    def __len__(self) -> int:
        return len(self._seen())

    def __contains__(self, what: object) -> bool:
        return what in self._seen()

    def __eq__(self, other: object) -> bool:
        return self._seen() == other

    __hash__ = None

    def __repr__(self) -> str:
        return repr(self._seen())


def prepare_process() -> None:
    """Make this process one that serves scripts. Once is enough, and more does no harm."""
    if isinstance(sys.argv, Arguments):
        return
    sys.argv = Arguments(sys.argv)
    asterisk.agi.AGI = BlockingAGI
    start, enable = threading.Thread.start, asterisk.agitb.enable

    def start_for_the_call(thread: threading.Thread) -> None:
        served = served_by_thread()
        if served is None:
            start(thread)
        else:
            served.start(thread, start)

    def enable_for_the_call(agi: Any = None, display: Any = 1, logdir: Any = None, context: int = 5) -> None:
        served = served_by_thread()
        if served is None:
            enable(agi, display, logdir, context)
        else:
            vars(served.sys)["excepthook"] = asterisk.agitb.Hook(
                display=display, logdir=logdir, context=context, agi=agi
            )

    threading.Thread.start = start_for_the_call  # type: ignore[method-assign,assignment]  # as tracing libraries do
    asterisk.agitb.enable = enable_for_the_call


def served_by_thread() -> ServedProcess | None:
    """The process of the call that this thread belongs to."""
    served: ServedProcess | None = getattr(threading.current_thread(), "agi_process", None)
    return served


# -- standard input and output --------------------------------------------------------------------------------------


class Input(io.TextIOBase):
    """Standard input of a script that speaks AGI itself: the environment, then the replies to what it wrote.

    Parameters:
        line: of the call.
    """

    encoding = "utf-8"

    def __init__(self, line: Call) -> None:
        self.agi_line = line
        environment = [f"{name}: {value}\n" for name, value in line.request.variables.items()]
        self._lines = deque([*environment, "\n"])

    def readable(self) -> bool:
        return True

    def answered(self, text: str) -> None:
        """A reply has come."""
        self._lines.extend(text.splitlines(keepends=True))

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]  # as a text file has it
        """The next line.

        Raises:
            AGIError: none comes: nothing was written that is not answered yet.
        """
        if self.agi_line.has_agi:
            raise NotSent("a script with AGI() reads its replies by the methods of that, not from standard input")
        if not self._lines:
            raise NotSent("nothing was written that is not answered yet; a read would wait for ever")
        return self._lines.popleft()

    def read(self, size: int | None = -1) -> NoReturn:
        raise NotSent("standard input has no end while the call lasts; read it by lines")

    def __next__(self) -> str:  # type: ignore[override]  # the same
        return self.readline()


class Output(io.TextIOBase):
    """Standard output: each line is a command, as Asterisk reads it. With ``AGI()`` it is standard error, for people.

    Parameters:
        line: of the call.
        replies: where they go.
    """

    encoding = "utf-8"

    def __init__(self, line: Call, replies: Input) -> None:
        self._line = line
        self._replies = replies
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Send what is a whole line.

        Raises:
            AGIHangup, AGIError: as the methods of ``AGI``.
        """
        if self._line.has_agi:
            return sys.stderr.write(text)
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(None, lines):
            try:
                reply = self._line.perform(raw_command(line))
            except AgiMonitorError as error:
                raise as_pyst2(error) from error.__cause__
            between = "-" if reply.code == 520 and "\n" in reply.text else " "
            self._replies.answered(f"{reply.code}{between}{reply.text}\n")
        return len(text)


# -- what is refused -------------------------------------------------------------------------------------------------


def _refusing(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"{what} would do that to the server, which serves other calls; {INSTEAD}")

    return refuse


def _exit(status: int = 0) -> NoReturn:
    raise SystemExit(status)


REPLACING = ("execl", "execle", "execlp", "execlpe", "execv", "execve", "execvp", "execvpe")
DOUBLING = ("fork", "forkpty")


def viewed(real: ModuleType, **names: Any) -> ModuleType:
    """A copy of a module with some names replaced; the module itself stays as it is."""
    view = ModuleType(real.__name__, real.__doc__)
    vars(view).update(vars(real))
    vars(view).update(names)
    return view


def _refuse_processes(multiprocessing: ModuleType) -> ModuleType:
    """A process that a script starts would be a copy of the server, or would run its program again."""
    process = sys.modules["multiprocessing.process"].BaseProcess
    if not hasattr(process.start, "refuses"):
        start = process.start

        def start_unless_served(self: Any) -> None:
            if served_by_thread() is not None:
                _refusing("multiprocessing")()
            start(self)

        start_unless_served.refuses = True  # type: ignore[attr-defined]
        process.start = start_unless_served
    return multiprocessing


class ServedProcess:
    """What one call has instead of a process.

    Parameters:
        line: of the call.
        arguments: ``sys.argv``.
    """

    def __init__(self, line: Call, arguments: list[str]) -> None:
        self.arguments = arguments
        self.stdin = Input(line)
        self.stdout = Output(line, self.stdin)
        self.sys = ModuleType("sys")
        self._line = line
        self._sighup: Any = signal.SIG_DFL
        self._threads: list[threading.Thread] = []
        self._at_exit: list[Callable[[], object]] = []

    def views(self) -> Views:
        """The modules that the script sees in its own way."""
        return {
            "sys": lambda _: self.sys,
            "os": lambda real: viewed(
                real,
                _exit=_exit,
                **{name: _refusing(f"os.{name}") for name in (*REPLACING, *DOUBLING) if hasattr(os, name)},
            ),
            "signal": lambda real: viewed(
                real,
                signal=self._signal,
                getsignal=self._getsignal,
                **{name: _refusing(f"signal.{name}") for name in ("alarm", "setitimer", "pause")},
            ),
            "atexit": lambda real: viewed(real, register=self._register, unregister=self._unregister),
            "importlib": lambda real: viewed(real, import_module=self._modules.import_module),
            "multiprocessing": _refuse_processes,
        }

    def give(self, modules: OwnModules) -> None:
        """Give the script its ``sys``, ``print`` and ``input``."""
        self._modules = modules
        vars(self.sys).update(vars(sys))
        vars(self.sys).update(
            argv=self.arguments,
            path=modules.path,
            stdin=self.stdin,
            stdout=self.stdout,
            modules=ChainMap(modules.modules, sys.modules),
        )
        modules.builtins.update(print=self._print, input=self._input, exit=sys.exit, quit=sys.exit)

    def start(self, thread: threading.Thread, start: Callable[[threading.Thread], object]) -> None:
        """Start a thread of the script; it belongs to the call. The call waits for it, but the server must not."""
        use_line(line_of_thread(), thread)
        waited_for = not thread.daemon
        thread.daemon = True
        thread.agi_process = self  # type: ignore[attr-defined]
        start(thread)
        self._take(thread, waited_for)
        if waited_for:
            self._threads.append(thread)

    def enter(self) -> None:
        """This thread is the script's."""
        self._take(threading.current_thread(), True)

    def leave(self) -> None:
        """It is so no longer."""
        thread: Any = threading.current_thread()
        thread.agi_process = None
        thread._daemonic = True

    def _take(self, thread: Any, waited_for: bool) -> None:
        thread.agi_process = self
        # What threads that it starts are when they do not say; a thread of the server is one that is not waited for.
        thread._daemonic = not waited_for

    def raised(self, error: BaseException) -> None:
        """An error that the script did not catch: its own ``sys.excepthook`` is told, as by Python."""
        hook = self.sys.excepthook
        if hook is not sys.excepthook:
            hook(type(error), error, error.__traceback__)

    def finish(self) -> None:
        """What Python does at the end of a process: wait for threads, then call what was registered."""
        while self._threads:
            self._threads.pop().join()
        while self._at_exit:
            self._at_exit.pop()()

    def _print(self, *what: object, file: Any = None, **how: Any) -> None:
        print(*what, file=self.sys.stdout if file is None else file, **how)

    def _input(self, prompt: object = "") -> str:
        self._print(prompt, end="")
        line: str = self.sys.stdin.readline()
        return line.removesuffix("\n")

    def _register(self, function: Callable[..., object], *args: Any, **options: Any) -> Callable[..., object]:
        self._at_exit.append(lambda: function(*args, **options))
        return function

    def _unregister(self, function: Callable[..., object]) -> None:
        self._at_exit.clear()

    def _signal(self, number: int, handler: Any) -> Any:
        """SIGHUP is the hang-up: who watches it is not interrupted, and is called before the next command raises."""
        if number == signal.SIGPIPE:
            return signal.SIG_DFL  # there is no pipe
        if number != signal.SIGHUP:
            name = signal.Signals(number).name
            raise ValueError(
                f"{name} belongs to the server: a script that is served can watch SIGHUP only; {INSTEAD}"
            )
        before, self._sighup = self._sighup, handler
        self._line.interrupts = handler is signal.SIG_DFL
        self._line.on_hangup = (lambda: handler(int(signal.SIGHUP), None)) if callable(handler) else None
        return before

    def _getsignal(self, number: int) -> Any:
        return self._sighup if number == signal.SIGHUP else signal.getsignal(number)
