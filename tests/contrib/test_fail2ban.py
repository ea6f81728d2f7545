"""contrib/fail2ban with Debian's fail2ban, on lines that a server has written."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrib.lab.engine import unpacked
from contrib.lab.images import CACHE
from contrib.lab.waiting import wait_until
from tests.doubles.server_process import Call, Dial, Server, Start

OURS = Path(__file__).resolve().parents[2] / "contrib" / "fail2ban"
STRANGER = "127.0.0.2"
JOURNAL = "pbx agi-monitor[812]: "
"""What fail2ban puts before a line of the journal."""


@pytest.fixture(scope="module")
def fail2ban() -> Path:
    """Debian's package, unpacked and not installed: no ban of this machine is touched."""
    return unpacked("fail2ban", CACHE)


class Fail2ban:
    """fail2ban with our files, in a folder of its own."""

    def __init__(self, package: Path, folder: Path) -> None:
        self._package = package
        self.folder = folder
        self.settings = folder / "settings"
        shutil.copytree(package / "etc" / "fail2ban", self.settings)
        shutil.copytree(OURS, self.settings, dirs_exist_ok=True)

    def command(self, program: str, *arguments: str) -> list[str]:
        """How a program of it is called."""
        return [sys.executable, str(self._package / "usr" / "bin" / program), *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """Where Python finds it, and where it finds a `logger` that writes into a file."""
        programs = self.folder / "programs"
        programs.mkdir(exist_ok=True)
        logger = programs / "logger"
        logger.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/told\n')
        logger.chmod(0o755)
        modules = self._package / "usr" / "lib" / "python3" / "dist-packages"
        return {**os.environ, "PYTHONPATH": str(modules), "PATH": f"{programs}:{os.environ.get('PATH', '')}"}

    def found(self, lines: list[str], name: str) -> list[str]:
        """The lines in which a filter finds an address, by `fail2ban-regex`."""
        log = self.folder / "lines"
        log.write_text("".join(f"{line}\n" for line in lines))
        command = self.command(
            "fail2ban-regex",
            "--config",
            str(self.settings),
            "--print-all-matched",
            str(log),
            str(self.settings / "filter.d" / f"{name}.conf"),
        )
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, check=False)
        matched = re.findall(r"^\|  (.*)$", done.stdout.partition("Matched line(s):")[2], re.MULTILINE)
        (count,) = re.findall(r"(\d+) matched", done.stdout) or [done.stdout + done.stderr]
        assert int(count) == len(matched)
        return matched


@pytest.fixture
def tool(fail2ban: Path, tmp_path: Path) -> Fail2ban:
    """fail2ban with our files."""
    folder = tmp_path / "fail2ban"
    folder.mkdir()
    return Fail2ban(fail2ban, folder)


def knock(port: int, times: int) -> None:
    """Connect from an address that is not allowed."""
    for _ in range(times):
        with socket.create_connection(("127.0.0.1", port), 30.0, source_address=(STRANGER, 0)) as connection:
            assert connection.recv(1) == b""


def key_in_nothing_right(call: Call) -> None:
    """Three wrong PINs."""
    while not (command := call.hear()).startswith("STREAM FILE"):
        call.answer(command, GET="200 result=0000")
    call.close()


def lines_of(server: Server, dial: Dial) -> list[str]:
    """What a server writes of strangers, wrong PINs, a supervisor who is locked out, and one who listens."""
    knock(server.port, 2)
    listening = dial(server)
    listening.answer_until("EXEC")
    key_in_nothing_right(dial(server, channel="PJSIP/6666-00000001"))
    key_in_nothing_right(dial(server, channel="PJSIP/2001-00000002"))
    dial(server, channel="PJSIP/2001-00000003").answer_until("STREAM FILE")
    return server.stop()[1].splitlines()


@pytest.fixture(params=["json", "console"])
def lines(start: Start, text: str, dial: Dial, request: pytest.FixtureRequest) -> list[str]:
    """Real lines, in each form of the log."""
    text = text.replace("format: json", f"format: {request.param}").replace("{port:", "{peers: [127.0.0.1], port:")
    server = start(text)
    while "serving" not in str(server._arrived.get(timeout=30.0)):
        pass
    return lines_of(server, dial)


def of(event: str, lines: list[str], *words: str) -> list[str]:
    """The lines of an event that have these words."""
    return [line for line in lines if re.search(rf"\b{event}\b(?!\.)", line) and all(word in line for word in words)]


def test_finds_who_may_not_connect_and_wrong_pins_and_nobody_else(tool: Fail2ban, lines: list[str]) -> None:
    """Refused connections are one filter's, a stranger's phone and a supervisor with wrong PINs the other's.

    In both forms, from a file and from the journal, and no other line of a server's life.
    """
    strangers = of("agi_peer_refused", lines)
    assert len(strangers) == 2
    phones = [
        line
        for line in lines
        if of("pin_locked_out", [line]) or re.search("pin_wrong|pin_locked\\b|endpoint_unknown", line)
    ]
    assert len(phones) == 5
    for before in ("", JOURNAL):
        everything = [before + line for line in lines]
        assert tool.found(everything, "agi-monitor") == [before + line for line in strangers]
        assert tool.found(everything, "agi-monitor-pin") == [before + line for line in phones]


@pytest.mark.parametrize(
    "line",
    [
        '{"script": "\\"event\\": \\"agi_peer_refused\\"", "peer": "192.0.2.9", "event": "agi_route_unknown", '
        '"level": "warning", "timestamp": "2026-11-25T03:46:33.070773Z"}',
        "2026-11-25T03:46:42.879109Z [warning  ] agi_route_unknown   script=[warning  ] agi_peer_refused   "
        "peer=192.0.2.9 suppressed=0",
        "2026-11-25T03:46:42.879109Z [warning  ] agi_protocol_error  error=agi_peer_refused peer=192.0.2.9 "
        "suppressed=0",
        '{"error": "x", "peer": "192.0.2.9", "suppressed": 0, "event": "agi_peer_refused", "level": "warning", '
        '"timestamp": "2026-11-25T03:46:33.070773Z"}',
        "2026-11-25T03:46:42.879109Z [info     ] refused    call=a-1 detail=PJSIP/9 endpoint=PJSIP/2001 mode=listen "
        "reason=no_call",
    ],
)
def test_nobody_can_have_another_one_banned(tool: Fail2ban, line: str) -> None:
    """What a peer or a caller chose and the log repeats is never taken for an event."""
    for name in ("agi-monitor", "agi-monitor-pin"):
        assert tool.found([line, JOURNAL + line], name) == []


@pytest.fixture
def running(tool: Fail2ban) -> Iterator[Path]:
    """fail2ban itself with our jails, which read a file in the place of the journal; the file."""
    log = tool.folder / "server.log"
    log.touch()
    for path in (tool.settings / "jail.d").iterdir():
        text = path.read_text()
        path.unlink()
        if path.name == "agi-monitor.conf":
            # The stranger has a loopback address here, which every site ignores. No firewall is touched.
            text = text.replace("127.0.0.0/8", "127.0.0.1").replace("ignoreself = true", "ignoreself = false")
            text = text.replace("backend = systemd", f"backend = polling\nlogpath = {log}")
            text = text.replace("port = 4573", "action = agi-monitor-tell")
            path.write_text(text)
    (tool.settings / "fail2ban.local").write_text("[Definition]\ndbfile = None\n")
    common = ["-c", str(tool.settings), "-s", str(tool.folder / "socket"), "-p", str(tool.folder / "pid")]
    said = (tool.folder / "output").open("w")
    server = subprocess.Popen(
        tool.command("fail2ban-server", *common, "--logtarget", "STDOUT", "-f", "start"),
        env=tool.environment,
        stdout=said,
        stderr=said,
    )
    try:
        wait_until(
            lambda: (
                (tool.folder / "output").read_text().count("Jail 'agi-monitor") >= 2
                and "Jail 'agi-monitor-pin' started" in (tool.folder / "output").read_text()
            ),
            30.0,
            "fail2ban to watch",
            describe=lambda: (tool.folder / "output").read_text()[-2000:],
        )
        yield log
    finally:
        server.terminate()
        server.wait(30.0)
        said.close()


def test_the_jails_ban_a_stranger_tell_of_a_phone_and_spare_the_pbx(
    tool: Fail2ban, running: Path, start: Start, text: str, dial: Dial
) -> None:
    """Three attempts are too many for a stranger and for a phone; the PBX may be refused as often as it likes."""
    server = start(text)
    server.logs("serving")
    key_in_nothing_right(dial(server))
    dial(server).answer_until("STREAM FILE")
    lines = server.stop()[1].splitlines()
    # Now not even 127.0.0.1, the PBX of this site, may connect: as if it had been forgotten.
    server = start(text.replace("{port:", "{peers: [127.0.0.9], port:"))
    server.logs("serving")
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), 30.0) as connection:
            assert connection.recv(1) == b""
    knock(server.port, 3)
    lines += server.stop()[1].splitlines()
    refused = [json.loads(line)["peer"] for line in of("agi_peer_refused", lines)]
    assert refused == ["127.0.0.1"] * 5 + [STRANGER] * 3
    with running.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    told = tool.folder / "told"
    output = tool.folder / "output"
    wait_until(
        lambda: told.exists() and len(told.read_text().splitlines()) == 2,
        30.0,
        "a ban and a word of the phone",
        describe=lambda: output.read_text()[-2000:],
    )
    said = sorted(re.findall(r"wrong PINs from (\S+): 3 lines within", told.read_text()))
    assert said == [STRANGER, "2001"]
    assert "Ignore 127.0.0.1" in output.read_text()
    assert "Ban 127.0.0.1\n" not in output.read_text()
