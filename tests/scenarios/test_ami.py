"""The AMI client on a real PBX: what it sees of a call, and how it survives what PBXs and networks do."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest

from agi_monitor.ami.permissions import CLASSES
from contrib.lab.errors import LabError
from contrib.lab.pbx import MANAGER_PORT, Lab
from contrib.lab.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 20.0
STOP_SECONDS = 10
WANTED = ["Newchannel", "Hangup", "ChanSpyStart", "ChanSpyStop"]
SPY = """\
[lab-tests]
exten => 7991,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
"""


class Wire:
    """A way to the PBX that can be cut: a port of this host that leads to its manager interface."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._ends):
            one.close()

    def cut(self) -> None:
        """End every connection that there is."""
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the end
            pbx = socket.create_connection((self._address, MANAGER_PORT))
            self._ends += [client, pbx]
            for source, sink in ((client, pbx), (pbx, client)):
                thread = threading.Thread(target=self._copy, args=(source, sink))
                self._threads.append(thread)
                thread.start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


class Monitor:
    """A client in a process of its own, and everything it told."""

    def __init__(
        self,
        lab: Lab,
        username: str = "monitor",
        secret: str | None = None,
        port: int | None = None,
        **limits: float,
    ) -> None:
        self._order = {
            "host": lab.pbx.address if port is None else "127.0.0.1",
            "port": MANAGER_PORT if port is None else port,
            "username": username,
            "secret": lab.manager_secrets[username] if secret is None else secret,
            "wanted": WANTED,
            "limits": {"max_retry_seconds": 2, **limits},
        }
        self._told: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str]
        self._reader: threading.Thread
        self.errors = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.ami_client"],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send(self._order)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            self.errors = self._process.stderr.read()
            self._process.stdout.close()
            self._process.stderr.close()
        assert self._process.returncode == 0, self.errors
        assert "Traceback" not in self.errors, self.errors
        assert str(self._order["secret"]) not in self.errors

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.append(json.loads(line))

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def mark(self) -> int:
        """The number of lines told so far."""
        return len(self._told)

    def told(self, since: int = 0, **keys: Any) -> list[dict[str, Any]]:
        """The lines with these keys."""
        return [line for line in self._told[since:] if all(line.get(key) == value for key, value in keys.items())]

    def wait_for(self, since: int = 0, **keys: Any) -> dict[str, Any]:
        """The first line with these keys, as soon as it is there."""
        return wait_until(
            lambda: self.told(since, **keys), SECONDS, f"the client to tell {keys}", describe=lambda: str(self._told)
        )[0]

    def asks(self, action: str, *headers: Sequence[str], as_list: bool = False) -> dict[str, Any]:
        """Perform an action; its answer or its error."""
        mark = self.mark()
        self._send({"action": action, "headers": headers, "as_list": as_list})
        return wait_until(lambda: self.told(mark, action=action), SECONDS, f"an answer to {action}")[0]


@pytest.fixture
def monitor(lab: Lab) -> Iterator[Monitor]:
    """A client that is logged in."""
    with Monitor(lab) as monitor:
        monitor.wait_for(told="up")
        yield monitor


def test_a_call_is_listed_and_told(lab: Lab, monitor: Monitor) -> None:
    """The list holds both channels in one bridge; their beginning and end come as events."""
    assert monitor.told(told="state")[-1]["state"] == "Up"
    assert monitor.asks("CoreShowChannels", as_list=True)["items"] == []
    lab.connect("3001", "1001")
    answer = monitor.asks("CoreShowChannels", as_list=True)
    items = {item["Channel"].partition("-")[0]: item for item in answer["items"]}
    assert set(items) == {"PJSIP/3001", "PJSIP/1001"}
    assert len({item["BridgeId"] for item in items.values()}) == 1
    lab.pbx.hangup_all()
    for item in items.values():
        for name in ("Newchannel", "Hangup"):
            wait_until(
                lambda: [
                    event
                    for event in monitor.told(told="event", name=name)  # noqa: B023 - called at once
                    if event["headers"]["Uniqueid"] == item["Uniqueid"]  # noqa: B023 - called at once
                ],
                SECONDS,
                f"{name} of {item['Channel']}",
            )


def test_fully_booted_comes_after_the_login(monitor: Monitor) -> None:
    """The account may read system events, so this one is always told."""
    monitor.wait_for(told="event", name="FullyBooted")


def test_a_spy_is_told(lab: Lab, monitor: Monitor) -> None:
    """ChanSpyStart and ChanSpyStop name both channels."""
    try:
        lab.pbx.write_dialplan("ami-spy", SPY)
        lab.connect("3001", "1001")
        lab.phone("2001").call("7991")
        begun = monitor.wait_for(told="event", name="ChanSpyStart")["headers"]
        assert begun["SpyerChannel"].startswith("PJSIP/2001-")
        assert begun["SpyeeChannel"].startswith("PJSIP/1001-")
        lab.phone("2001").hang_up()
        ended = monitor.wait_for(told="event", name="ChanSpyStop")["headers"]
        assert ended["SpyerUniqueid"] == begun["SpyerUniqueid"]
    finally:
        lab.pbx.hangup_all()
        lab.pbx.remove_dialplan("ami-spy")


def test_a_wrong_secret_is_final(lab: Lab) -> None:
    """Asterisk's no is told once; there is no second attempt."""
    mark = lab.pbx.log_mark()
    with Monitor(lab, secret="never-the-right-one", retry_seconds=0.1) as monitor:
        refused = monitor.wait_for(told="state", state="Refused")
        assert "Authentication failed" in refused["reason"]
        assert monitor.asks("Ping")["error"] == "Disconnected"
    lab.pbx.wait_for_log("failed to authenticate", since=mark)
    states = [line["state"] for line in monitor.told(told="state")]
    assert states == ["Connecting", "LoggingIn", "Refused"]
    assert len(re.findall("failed to authenticate", lab.pbx.log_since(mark))) == 1


def test_a_missing_class_is_named(lab: Lab) -> None:
    """An account without the class gets an error that says which to add; another action still works."""
    with Monitor(lab, "caller") as monitor:
        monitor.wait_for(told="up")
        answer = monitor.asks("CoreShowChannels", as_list=True)
        assert answer["error"] == "PermissionDenied"
        assert answer["text"].endswith("the account needs write=system or reporting")
        assert monitor.asks("Command", ("Command", "core show uptime"))["error"] == "PermissionDenied"
        assert "error" not in monitor.asks("Status", as_list=True)


def test_the_classes_are_those_of_asterisk(lab: Lab) -> None:
    """The table of actions says what this Asterisk says itself; CoreShowChannelMap is not in 16."""
    found = {}
    for action in CLASSES:
        privilege = re.search(r"\[Privilege\]\s+(\S+)", lab.pbx.cli(f"manager show command {action}"))
        if privilege is not None:
            found[action] = set(privilege[1].split(",")) - {"all"}
    missing = {"CoreShowChannelMap"} if lab.version == "16" else set()
    assert found == {action: set(classes) for action, classes in CLASSES.items() if action not in missing}


def test_another_error_says_what_asterisk_said(monitor: Monitor) -> None:
    """No such channel is an ActionFailed, and the connection stays."""
    answer = monitor.asks("Hangup", ("Channel", "PJSIP/none-00000000"))
    assert (answer["error"], answer["text"]) == ("ActionFailed", "Hangup: Asterisk answered No such channel")
    assert "error" not in monitor.asks("Ping")


def test_the_longest_action_is_taken(monitor: Monitor) -> None:
    """Asterisk reads a line and a number of headers as long as ours may be."""
    room = 1_023 - len("UserEvent: \r\n")
    assert "error" not in monitor.asks("UserEvent", ("UserEvent", "x" * room))
    assert "error" not in monitor.asks("UserEvent", ("UserEvent", "Many"), *[("Header", "x")] * 117)
    assert monitor.asks("UserEvent", ("UserEvent", "x" * (room + 1)))["error"] == "LocalProtocolError"


def test_a_connection_that_is_cut_comes_back(lab: Lab) -> None:
    """The way to the PBX breaks in the middle; the client logs in again and is as useful as before."""
    with Wire(lab.pbx.address) as wire, Monitor(lab, port=wire.port) as monitor:
        monitor.wait_for(told="up")
        mark = monitor.mark()
        wire.cut()
        assert monitor.wait_for(mark, told="state", state="Down")["retry_in"] > 0
        monitor.wait_for(mark, told="down")
        monitor.wait_for(mark, told="up")
        assert "error" not in monitor.asks("CoreShowChannels", as_list=True)


def test_a_frozen_pbx_is_noticed(lab: Lab) -> None:
    """The connection stays open but nothing answers: Ping finds out, and the client is back when the PBX is."""
    with Monitor(lab, ping_seconds=0.5, ping_reply_seconds=1, login_seconds=3) as monitor:
        monitor.wait_for(told="up")
        mark = monitor.mark()
        container = lab.pbx.container.get_wrapped_container()
        container.pause()
        try:
            assert monitor.wait_for(mark, told="state", state="Down")["reason"] == "no answer to Ping"
        finally:
            container.unpause()
        monitor.wait_for(mark, told="up")
        assert "error" not in monitor.asks("CoreShowChannels", as_list=True)


def test_asterisk_restarts(lab: Lab, monitor: Monitor) -> None:
    """Shutdown is told, the client comes back with the PBX, and sees the next call."""
    mark = monitor.mark()
    with suppress(LabError):  # the console is cut off as well
        lab.pbx.cli("core restart now")
    monitor.wait_for(mark, told="event", name="Shutdown")
    monitor.wait_for(mark, told="down")
    monitor.wait_for(mark, told="up")
    monitor.wait_for(mark, told="event", name="FullyBooted")
    lab.pbx.wait_until(lambda: lab.pbx.hint("1001") == "Idle", SECONDS, "the phones to be known again")
    lab.connect("3001", "1001")
    assert len(monitor.asks("CoreShowChannels", as_list=True)["items"]) == 2
