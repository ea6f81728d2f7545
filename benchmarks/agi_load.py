"""Plays Asterisk for a FastAGI server: many calls that answer five commands, and how long each waited.

    python benchmarks/agi_load.py PORT closed CALLS AT_ONCE
    python benchmarks/agi_load.py PORT rate CALLS CALLS_PER_SECOND PROMPT_SECONDS
    python benchmarks/agi_load.py PORT hold CALLS

``closed`` has this number of calls open all the time. ``rate`` begins this number each second, whatever the server
does; each stays in its PIN prompt for this time. ``hold`` keeps all of them in their prompt, says ``held``, waits for
a line, and then lets all continue at once. At the end one JSON object tells the calls that were complete, and of each
its seconds to the first command and to its end.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.internet.stdio import StandardIO

reactor: Any = _reactor

ENVIRONMENT = (
    b"agi_network: yes\nagi_network_script: spy\nagi_request: agi://127.0.0.1/spy\n"
    b"agi_channel: SIP/2001-0000002a\nagi_language: en\nagi_type: SIP\nagi_uniqueid: 1700000000.42\n"
    b"agi_version: 22.10.1\nagi_callerid: 2001\nagi_calleridname: Supervisor\nagi_callingpres: 0\n"
    b"agi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: *2221001\nagi_rdnis: unknown\n"
    b"agi_context: internal\nagi_extension: *2221001\nagi_priority: 2\nagi_enhanced: 0.0\n"
    b"agi_accountcode: \nagi_threadid: 140245\n\n"
)
REPLIES = (
    b"200 result=0\n",
    b"200 result=1234\n",
    b"200 result=1 (PJSIP/1001)\n",
    b"200 result=1\n",
    b"200 result=1\n",
)
PROMPT = 1
"""The place of the command that waits for keys."""
PATIENCE_SECONDS = 15.0
"""From the last call's beginning, or from when all are let go."""


class Call(Protocol):
    """One call."""

    step = 0

    def __init__(self, load: Load) -> None:
        self.load = load
        self.began = time.perf_counter()
        self.buffer = b""

    def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
        self.transport.setTcpNoDelay(True)  # type: ignore[union-attr]  # TCP
        self.began = time.perf_counter()
        self.transport.write(ENVIRONMENT)  # type: ignore[union-attr]  # connected

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        self.buffer += data
        while b"\n" in self.buffer and self.step < len(REPLIES):
            self.buffer = self.buffer.partition(b"\n")[2]
            if self.step == 0:
                self.load.first.append(time.perf_counter() - self.began)
            if self.step == PROMPT and self.load.prompts(self):
                return
            self.reply()

    def reply(self) -> None:
        """Answer what was asked."""
        step, self.step = self.step, self.step + 1
        self.transport.write(REPLIES[step])  # type: ignore[union-attr]  # connected

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 (Twisted's name)
        self.load.over(self)


class Load(ClientFactory):
    """All calls.

    Parameters:
        port: of the server.
        calls: how many.
    """

    noisy = False

    def __init__(self, port: int, calls: int) -> None:
        self.port = port
        self.calls = calls
        self.begun = self.ended = self.complete = 0
        self.first: list[float] = []
        self.whole: list[float] = []
        self.held: list[Call] = []
        self.started = time.perf_counter()
        self.seconds = 0.0

    def buildProtocol(self, addr: Any) -> Call:  # noqa: N802 (Twisted's name)
        return Call(self)

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:  # noqa: N802 (Twisted's name)
        self.next_or_stop()

    def begin(self) -> None:
        """Begin one more call, if there is one."""
        if self.begun < self.calls:
            self.begun += 1
            reactor.connectTCP("127.0.0.1", self.port, self, timeout=PATIENCE_SECONDS)
            if self.begun == self.calls and not isinstance(self, Hold):
                reactor.callLater(self.patience(), self.stop)

    def patience(self) -> float:
        """Seconds until all calls should be over."""
        return PATIENCE_SECONDS

    def prompts(self, call: Call) -> bool:
        """Whether a call is kept in its prompt."""
        return False

    def over(self, call: Call) -> None:
        """A call is over."""
        if call.step == len(REPLIES):
            self.complete += 1
            self.whole.append(time.perf_counter() - call.began)
        self.next_or_stop()

    def next_or_stop(self) -> None:
        """Go on."""
        self.ended += 1
        if self.ended == self.calls:
            self.stop()

    def stop(self) -> None:
        """End it."""
        if reactor.running:
            self.seconds = time.perf_counter() - self.started
            reactor.stop()

    def tell(self) -> None:
        """Print what was seen. Not while the reactor runs: it keeps the pipe from waiting for its reader."""
        os.set_blocking(sys.stdout.fileno(), True)
        found = {"complete": self.complete, "seconds": self.seconds, "first": self.first, "whole": self.whole}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


class Closed(Load):
    """This number at once, a new one for each that is over."""

    def __init__(self, port: int, calls: int, at_once: int) -> None:
        super().__init__(port, calls)
        self.at_once = at_once

    def start(self) -> None:
        """Begin."""
        for _ in range(self.at_once):
            self.begin()

    def next_or_stop(self) -> None:
        super().next_or_stop()
        self.begin()


class Rate(Load):
    """This number each second."""

    def __init__(self, port: int, calls: int, per_second: float, prompt: float) -> None:
        super().__init__(port, calls)
        self.per_second = per_second
        self.prompt = prompt

    def start(self) -> None:
        """Begin those whose time has come, again and again."""
        due = int((time.perf_counter() - self.started) * self.per_second)
        while self.begun < min(due, self.calls):
            self.begin()
        if self.begun < self.calls:
            reactor.callLater(0.5 / self.per_second, self.start)

    def patience(self) -> float:
        return self.prompt + PATIENCE_SECONDS

    def prompts(self, call: Call) -> bool:
        reactor.callLater(self.prompt, call.reply)
        return True


class Hold(Load):
    """All in their prompt, until a line comes."""

    is_told = False

    def start(self) -> None:
        """Begin all, some at a time: a burst of connections is not what is looked at."""
        StandardIO(Line(self))
        self.more()

    def more(self) -> None:
        """Begin some."""
        for _ in range(50):
            self.begin()
        if self.begun < self.calls:
            reactor.callLater(0.02, self.more)
        else:
            reactor.callLater(PATIENCE_SECONDS, self.told)

    def prompts(self, call: Call) -> bool:
        self.held.append(call)
        if len(self.held) == self.calls:
            self.told()
        return True

    def told(self) -> None:
        """All that can be held are, or as many as there will be."""
        if not self.is_told:
            self.is_told = True
            sys.stdout.write(f"held {len(self.held)}\n")
            sys.stdout.flush()

    def release(self) -> None:
        """Let all continue."""
        reactor.callLater(PATIENCE_SECONDS, self.stop)
        held, self.held = self.held, []
        for call in held:
            call.reply()


class Line(Protocol):
    """Standard input."""

    def __init__(self, hold: Hold) -> None:
        self.hold = hold

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        self.hold.release()


def main() -> None:
    """The command line."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, kind, calls, *rest = sys.argv[1:]
    numbers = [float(number) for number in rest]
    load: Any
    if kind == "closed":
        load = Closed(int(port), int(calls), int(numbers[0]))
    elif kind == "rate":
        load = Rate(int(port), int(calls), *numbers)
    else:
        load = Hold(int(port), int(calls))
    reactor.callWhenRunning(load.start)
    reactor.run()
    load.tell()


if __name__ == "__main__":
    main()
