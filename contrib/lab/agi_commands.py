"""Whether a key that a phone presses is read: what Asterisk executes for AGI programs now.

Between two commands of an AGI program Asterisk reads the channel and drops what it reads, keys too (run_agi,
res_agi.c). A person does not notice these milliseconds; a test does that presses a key as soon as a program has
written its log. So Asterisk itself is asked: it tells of each command when it begins and when it ends (AGIExecStart,
AGIExecEnd).
"""

from __future__ import annotations

import contextlib
import re
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from contrib.lab.manager import Manager

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

ACCOUNT = "keys"
"""Of the manager interface; it sees the class agi."""
WAIT_FOR_KEYS = ("GET DATA", "GET OPTION", "WAIT FOR DIGIT", "RECORD FILE")
"""Commands that read keys for as long as a person takes. A sentence may be several commands, with a gap between two
words; after a wait for one of these it has been heard to its end."""
READ_KEYS = ("Bridge", "ChanSpy", "ConfBridge", "Dial", "MusicOnHold", "Queue", "Read", "WaitExten")
"""Applications that do, when a program executes them."""


class AgiCommands:
    """The commands that AGI programs have Asterisk execute, as a context manager.

    :param lab: whose PBX
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._manager: Manager | None = None
        self._running: dict[str, str] = {}
        """By uniqueid; an empty text between two commands."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        manager, self._manager = self._manager, None
        if manager is not None:
            with contextlib.suppress(OSError):  # the PBX may have ended it
                manager.__exit__(kind, error, trace)

    def listen(self) -> None:
        """Listen from now on; a PBX that was started again is connected to again."""
        if self._manager is not None:
            self._hear()
            if not self._manager.is_closed:
                return
            self.__exit__(None, None, None)
        self._running.clear()
        self._manager = Manager(self._lab, ACCOUNT).__enter__()

    def reads_keys(self, phone: str, during: str | None = None) -> bool:
        """Tell whether Asterisk reads the keys that a phone presses now, as far as AGI has a say in it.

        :param phone: its name
        :param during: the command that is to read them, such as STREAM FILE; by default one that waits for keys

        A channel's application does not tell: it keeps the name of the last one that a program executed.
        """
        channels = [one.unique_id for one in self._lab.pbx.channels_of(phone)]
        self._hear()
        running = [self._running[channel] for channel in channels if channel in self._running]
        if during is not None:
            return any(command.upper().startswith(during) for command in running)
        return not running or any(waits_for_keys(command) for command in running)

    def describe(self, phone: str) -> str:
        """Tell what is executed on the channels of a phone."""
        self._hear()
        return "\n".join(
            f"{one.name}: {one.application}, {self._running.get(one.unique_id, 'no AGI') or 'no command'}"
            for one in self._lab.pbx.channels_of(phone)
        )

    def _hear(self) -> None:
        if self._manager is None:
            return
        with self._lock:  # several phones may press at the same time
            for event in self._manager.heard():
                if event.get("Event") == "AGIExecStart":
                    self._running[event["Uniqueid"]] = event["Command"]
                elif event.get("Event") == "AGIExecEnd":
                    self._running[event["Uniqueid"]] = ""


def waits_for_keys(command: str) -> bool:
    """Tell whether a command reads keys for as long as a person takes.

    :param command: as the program sent it
    """
    application = re.match(r'EXEC\s+"?(\w+)', command, re.I)
    return command.upper().startswith(WAIT_FOR_KEYS) if application is None else application[1] in READ_KEYS
