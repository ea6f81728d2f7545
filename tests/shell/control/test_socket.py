"""The control socket as a real one: its file, who may open it, and what clients do to a server that runs."""

from __future__ import annotations

import os
import pwd
import random
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from agi_monitor.control.protocol import Reactor, listen
from contrib.lab.waiting import wait_until
from tests.shell.live_house import CALL, GRANTED, House
from tests.shell.live_server import WAIT_SECONDS, Client, LiveServer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the socket will be."""
    return tmp_path / "control.sock"


@pytest.fixture
def server(path: Path) -> Iterator[LiveServer]:
    """A server that runs, with room for few."""
    with LiveServer(path, max_clients=4, close_seconds=1) as server:
        yield server


# -- the file ---------------------------------------------------------------------------------------------------


def test_the_socket_is_for_owner_and_group(server: LiveServer) -> None:
    """And for no other user."""
    found = server.path.stat()
    assert stat.S_ISSOCK(found.st_mode)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o660, os.geteuid())


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o777])
def test_the_socket_is_never_for_more(path: Path, monkeypatch: pytest.MonkeyPatch, umask: int) -> None:
    """It has its mode from the beginning, under any umask, which is afterwards what it was."""
    modes = []
    change = os.chmod

    def watched(name: bytes, mode: int) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        change(name, mode)
        modes.append(stat.S_IMODE(path.stat().st_mode))

    monkeypatch.setattr(os, "chmod", watched)
    reactor = StillReactor()
    before = os.umask(umask)
    try:
        control = listen(cast(Reactor, reactor), path, House())
    finally:
        after = os.umask(before)
    assert (modes, after) == ([0o660, 0o660], umask)
    stopped = Deferred.fromCoroutine(control.stop())
    reactor.advance(0)
    assert (stopped.called, path.exists()) == (True, False)


class StillReactor(Clock):
    """A reactor that never looks at a socket."""

    def addReader(self, reader: object) -> None:  # noqa: N802 (Twisted's name)
        """The client has to wait."""

    def removeReader(self, reader: object) -> None:  # noqa: N802 (Twisted's name)
        """Nobody is there."""

    removeWriter = removeReader  # noqa: N815 (Twisted's name)


def test_a_server_that_stops_takes_its_socket_along(server: LiveServer) -> None:
    """Anyone who is connected is told."""
    with Client(server.path) as client:
        assert client.asks(ask="events") == {"ok": True}
        assert server.stop() == 0
        assert client.hears() == {"ok": False, "problem": "stopping", "text": "the server is stopping"}
        assert client.hears() == {}
    assert not server.path.exists()


def test_what_a_killed_server_leaves_is_in_nobodys_way(path: Path) -> None:
    """The next one takes its place."""
    with LiveServer(path) as first:
        first.process.kill()
        first.ends()
        assert path.is_socket()
    with LiveServer(path), Client(path) as client:
        assert client.asks(ask="calls")["ok"]


def test_a_live_server_keeps_its_socket(server: LiveServer) -> None:
    """A second one says whose place it is, and the first continues."""
    with LiveServer(server.path) as second:
        assert second.begun == {
            "failed": f"{server.path}: another program listens there. Stop it, or set control.socket"
        }
        assert second.ends() == 0
    with Client(server.path) as client:
        assert client.asks(ask="calls")["ok"]


def test_a_socket_of_somebody_else_is_not_taken_along(server: LiveServer) -> None:
    """Anyone who has removed ours and put another one there keeps it, and ours stops all the same."""
    server.path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(server.path))
        assert server.stop() == 0
        assert server.path.is_socket()


def test_a_socket_that_was_removed_is_no_reason_to_hang(server: LiveServer) -> None:
    """A server whose socket somebody has tidied away stops like any other."""
    server.path.unlink()
    assert server.stop() == 0


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    path = tmp_path / "missing" / "control.sock"
    with LiveServer(path) as server:
        assert server.begun == {
            "failed": f"{path}: No such file or directory. "
            "Its folder must exist and belong to the user that runs the server"
        }


# -- clients ----------------------------------------------------------------------------------------------------


def test_a_conversation(server: LiveServer) -> None:
    """Several requests on one connection; the user who ends a spy is the one that the kernel names."""
    with Client(server.path) as client:
        assert client.asks(ask="calls") == {"ok": True, "calls": [CALL.row()]}
        assert client.asks(ask="kill", id="a1b2.1") == {"ok": True, "ended": GRANTED.row()}
        assert client.asks(ask="kill", id="a1b2.1")["problem"] == "no_such_spy"
    assert server.says_until("killed")["by"] == pwd.getpwuid(os.geteuid()).pw_name


def test_who_closes_the_sending_side_gets_the_answer(server: LiveServer) -> None:
    """As ``echo ... | socat - UNIX-CONNECT:...`` does; an answer of megabytes is whole."""
    server.order("set", calls=[replace(CALL, id="x" * 1000).row()] * 3000)
    with Client(server.path) as client:
        client.says(b'{"ask": "calls"}\n')
        client.connection.shutdown(socket.SHUT_WR)
        assert len(client.hears()["calls"]) == 3000
        assert client.hears() == {}


def test_somebody_who_reads_nothing(server: LiveServer) -> None:
    """Asks again and again without reading; the others are served, and the memory of the server does not grow."""
    server.order("set", calls=[replace(CALL, id="x" * 1000).row()] * 1000)
    with Client(server.path) as deaf:
        deaf.connection.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += deaf.connection.send(b'{"ask": "calls"}\n' * 100)
        with Client(server.path) as other:
            assert len(other.asks(ask="calls")["calls"]) == 1000
        # Each answer is a megabyte. All that were asked for would be this many:
        assert sent // len(b'{"ask": "calls"}\n') > 1000
        assert resident_bytes(server.process.pid) < 200_000_000


def resident_bytes(pid: int) -> int:
    """The memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_follower_who_reads_nothing_is_told_at_the_end(server: LiveServer) -> None:
    """What was on its way, then why there is no more, then the end; the others miss nothing."""
    with Client(server.path) as slow, Client(server.path) as other:
        for client in (slow, other):
            assert client.asks(ask="events") == {"ok": True}
        for _ in range(10):
            server.send("flood 300")
            assert [other.hears()["event"]["number"] for _ in range(300)] == list(range(300))
        numbers = []
        while "event" in (line := slow.hears()):
            numbers.append(line["event"]["number"])
        assert numbers == [number % 300 for number in range(len(numbers))]
        assert 0 < len(numbers) < 3000
        assert line["problem"] == "too_slow"
        assert slow.hears() == {}


def test_one_too_many(server: LiveServer) -> None:
    """Is told so; a place that gets free is given again."""
    clients = [Client(server.path) for _ in range(4)]
    for client in clients:
        assert client.asks(ask="status")["ok"]
    with Client(server.path) as fifth:
        assert fifth.hears()["problem"] == "too_many"
        assert fifth.hears() == {}
    for client in clients:
        client.__exit__(None, None, None)

    def served() -> bool:
        with Client(server.path) as again:
            return bool(again.asks(ask="status").get("ok"))

    wait_until(served, WAIT_SECONDS, "a place to get free")


def test_random_bytes(server: LiveServer) -> None:
    """A hundred clients that send rubbish and close or not: the server answers the next one."""
    rubbish = random.Random(4711)
    for _ in range(100):
        with Client(server.path) as client:
            data = rubbish.randbytes(rubbish.randrange(1, 20_000))
            try:
                client.says(data)
                if rubbish.random() < 0.5:
                    client.connection.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # it was too much, and the server has closed

    def served() -> bool:
        with Client(server.path) as client:
            return client.asks(ask="calls") == {"ok": True, "calls": [CALL.row()]}

    # Those that were closed may still stand in the queue, and have a place for a moment.
    wait_until(served, WAIT_SECONDS, "an answer")


def test_who_says_nothing_is_closed(path: Path) -> None:
    """With the reason."""
    with LiveServer(path, request_seconds=0.2), Client(path) as client:
        assert client.hears() == {"ok": False, "problem": "idle", "text": "nothing was asked for 0.2 s"}
        assert client.hears() == {}
