"""The server as a process of its own, and calls that come to it over a socket; the fixtures are for a conftest."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from contrib.lab.program import Forked, Started
from tests.doubles.desk import PIN, PIN_HASH

FORKED = Forked()
STARTED = Started.command
"""Begins a server as a user does."""
NUMBERS = itertools.count(1)
WAIT_SECONDS = 30.0
"""A test that waits this long for something has failed."""

CONFIG = f"""\
fastagi: {{port: PORT}}
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", groups: [leads]}}
agents:
  1001: {{endpoints: [PJSIP/1001]}}
rules:
  - {{name: one, allow: [listen], supervisors: [leads], agents: [all]}}
audit: {{file: FOLDER/log/audit.jsonl}}
state: {{directory: FOLDER/state}}
log: {{format: json}}
stop: {{seconds: 5}}
"""

ANSWERS = {
    "ANSWER": "200 result=0",
    "GET DATA": f"200 result={PIN}",
    "${DEVICE_STATE(PJSIP/1001)}": "200 result=1 (INUSE)",
    "${CHANNELS(": "200 result=1 (PJSIP/1001-0000000a)",
    '"${CHANNEL}" "1700000000.10"': "200 result=1 (PJSIP/1001-0000000a)",
    "${UNIQUEID}|": "200 result=1 (1700000000.10|Up|0||PJSIP/trunk-0000000b)",
    "${CHANNEL(peer)}": "200 result=1 (PJSIP/trunk-0000000b)",
    "${CHANNEL(onhold)}": "200 result=1 (0)",
    "${AGI_MONITOR_PROTECTED}": "200 result=1 ()",
    "SET VARIABLE": "200 result=1",
}
"""What the PBX says on the way to ChanSpy, by words of the command; the first that fits."""


OWN = "${UNIQUEID}|${CONTEXT}|${CHANNEL}"
"""Where the call itself is."""


class Server:
    """``agi-monitor serve`` in a folder of its own.

    It is a fork of a process that has imported the product already, unless it has a command.

    Parameters:
        folder: for its configuration, state and audit.
        text: its configuration.
        port: of FastAGI.
        command: that begins it, as ``STARTED`` does.
        pass_fds: files that stay open in what the command begins.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        port: int,
        command: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.config = folder / "agi-monitor.yaml"
        self.write(text)
        self.port = port
        self.folder = folder
        self.lines: list[Mapping[str, Any]] = []
        self._arrived: Queue[str | None] = Queue()
        self._log = folder / f"log-{next(NUMBERS)}"
        os.mkfifo(self._log)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        program = Started(command, pass_fds) if command else FORKED
        self.process = program.start("serve", "-c", str(self.config), log=self._log)

    def write(self, text: str) -> None:
        """Change the configuration."""
        self.config.write_text(text)

    def _read(self) -> None:
        with self._log.open() as log:
            for line in log:
                self._arrived.put(line)
        self._arrived.put(None)

    def logs(self, event: str) -> Mapping[str, Any]:
        """Wait for a log line."""
        while (line := self._arrived.get(timeout=WAIT_SECONDS)) is not None:
            self.lines.append(json.loads(line))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"it ended without {event}: {self.lines}")

    def ends(self) -> tuple[int, str]:
        """Wait for the end: the exit code, and what was written since the last log line that was waited for."""
        code = self.process.wait(WAIT_SECONDS)
        rest = ""
        while (line := self._arrived.get(timeout=WAIT_SECONDS)) is not None:
            rest += line
        return code, rest

    def stop(self) -> tuple[int, str]:
        """SIGTERM, and wait for the end."""
        self.process.terminate()
        return self.ends()

    def hang_up(self) -> None:
        """SIGHUP: read the configuration again."""
        os.kill(self.process.pid, signal.SIGHUP)

    @property
    def facts(self) -> list[Mapping[str, Any]]:
        """What the audit holds; its checkpoints are left out."""
        records = map(json.loads, (self.folder / "log" / "audit.jsonl").read_text().splitlines())
        return [record for record in records if record["fact"] != "checkpoint"]

    def close(self) -> None:
        """End it, whatever it is doing."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_SECONDS)
        # Of one that ended before it had a log, the reader still waits for the other end.
        with suppress(OSError):
            os.close(os.open(self._log, os.O_WRONLY | os.O_NONBLOCK))
        self._reader.join(WAIT_SECONDS)


class Call:
    """A PBX's side of one FastAGI conversation, over a socket."""

    def __init__(self, server: Server, extension: str = "*2221001", channel: str = "PJSIP/2001-00000001") -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS)
        self._file = self._socket.makefile("rw", encoding="utf-8", newline="\n")
        environment = {
            "network": "yes",
            "network_script": "spy",
            "request": "agi://127.0.0.1/spy",
            "channel": channel,
            "language": "en",
            "type": "PJSIP",
            "uniqueid": "1700000000.1",
            "version": "22.10.1",
            "callerid": "2001",
            "calleridname": "unknown",
            "callingpres": "0",
            "callingani2": "0",
            "callington": "0",
            "callingtns": "0",
            "dnid": extension,
            "rdnis": "unknown",
            "context": "default",
            "extension": extension,
            "priority": "1",
            "enhanced": "0.0",
            "accountcode": "",
            "threadid": "140000000000000",
        }
        self._own = f"200 result=1 (1700000000.1|default|{channel})"
        self.say(*(f"agi_{name}: {value}" for name, value in environment.items()), "")

    def say(self, *lines: str) -> None:
        """Send lines."""
        self._file.write("".join(f"{line}\n" for line in lines))
        self._file.flush()

    def hear(self) -> str:
        """Wait for a command; empty when the server has closed the connection."""
        return self._file.readline().rstrip("\n")

    def answer(self, command: str, **answers: str) -> None:
        """Answer one command: as it is given here by its first word, or as the PBX would."""
        known = [answer for words, answer in ANSWERS.items() if words in command]
        given = self._own if OWN in command else answers.get(command.partition(" ")[0])
        assert given or known, f"no answer to {command!r}"
        self.say(given or known[0])

    def answer_until(self, wanted: str) -> str:
        """Answer commands as the PBX would, up to one of this kind."""
        while wanted not in (command := self.hear()):
            self.answer(command)
        return command

    def key_in(self, digits: str) -> None:
        """Answer a prompt for digits, and the question that follows: where the call is."""
        self.say(f"200 result={digits}")
        command = self.hear()
        assert OWN in command, command
        self.answer(command)

    def hear_next(self) -> str:
        """Answer where the call is as often as that is asked, and wait for another command."""
        while OWN in (command := self.hear()):
            self.answer(command)
        return command

    def close(self) -> None:
        """The connection is gone."""
        self._file.close()
        self._socket.close()


Start = Callable[..., Server]
Dial = Callable[..., Call]


@pytest.fixture
def port() -> int:
    """A free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def text(tmp_path: Path, port: int) -> str:
    """A configuration whose folders are there."""
    (tmp_path / "log").mkdir()
    (tmp_path / "state").mkdir()
    return CONFIG.replace("PORT", str(port)).replace("FOLDER", str(tmp_path))


@pytest.fixture
def start(tmp_path: Path, text: str, port: int) -> Iterator[Start]:
    """Start servers; all are gone afterwards."""
    with ExitStack() as stack:
        yield lambda text=text, **how: stack.enter_context(closing(Server(tmp_path, text, port, **how)))


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Make calls; all are over afterwards."""
    with ExitStack() as stack:
        yield lambda server, **dialled: stack.enter_context(closing(Call(server, **dialled)))
