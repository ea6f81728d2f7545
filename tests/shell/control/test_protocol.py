"""agi_monitor.control.protocol on a StringTransport and a Clock: places, deadlines, who does not read, who asks."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from agi_monitor.control.limits import ControlLimits
from agi_monitor.control.protocol import ControlFactory, ControlProtocol
from agi_monitor.errors import Unavailable
from agi_monitor.shown import ReloadRefused
from tests.shell.live_house import CALL, GRANTED, ROGUE, STATUS, House

LIMITS = ControlLimits()


class Transport(StringTransport):
    """A StringTransport with a socket behind it, that tells closing from aborting."""

    aborted = False
    handle: socket.socket

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        self.aborted = True
        self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted's own

    def getHandle(self) -> socket.socket:  # noqa: N802 (Twisted's name)
        return self.handle


class Client:
    """One connection, from the client's side."""

    def __init__(self, site: Site) -> None:
        self.transport = Transport()  # type: ignore[no-untyped-call]  # Twisted's own
        self.transport.handle = site.handle
        protocol = site.factory.buildProtocol(None)
        assert protocol is not None
        self.protocol: ControlProtocol = protocol
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]  # Twisted's own

    def sends(self, *data: bytes) -> None:
        """Bytes, in these chunks."""
        for chunk in data:
            self.protocol.dataReceived(chunk)

    def asks(self, **request: object) -> list[dict[str, Any]]:
        """A request, and what comes back at once."""
        self.sends(json.dumps(request).encode() + b"\n")
        return self.heard()

    def heard(self) -> list[dict[str, Any]]:
        """What came since the last look."""
        data = self.transport.value()  # type: ignore[no-untyped-call]  # Twisted's own
        self.transport.clear()  # type: ignore[no-untyped-call]  # Twisted's own
        return [json.loads(line) for line in data.splitlines()]

    def breaks(self) -> None:
        """The connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own

    @property
    def read(self) -> bool:
        """Whether the server reads what comes."""
        return self.transport.producerState == "producing"

    @property
    def closed(self) -> bool:
        """Whether the server has closed."""
        return self.transport.disconnecting


class Site:
    """A house, the factory that serves it, and a clock."""

    def __init__(self, handle: socket.socket, limits: ControlLimits = LIMITS) -> None:
        self.handle = handle
        self.clock = Clock()
        self.told: list[Any] = []
        self.house = House(self.told.append)
        self.names: Awaitable[str] = succeed("berta")
        self.factory = ControlFactory(self.house, self.clock, lambda uid: self.names, limits)

    def connect(self) -> Client:
        """One more client."""
        return Client(self)

    def idle(self) -> bool:
        """Whether no timer is left."""
        return not self.clock.getDelayedCalls()


@pytest.fixture(scope="module")
def handle() -> Iterator[socket.socket]:
    """A socket whose other end is this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        yield ours


@pytest.fixture
def site(handle: socket.socket) -> Site:
    """With the usual limits."""
    return Site(handle)


# -- requests ---------------------------------------------------------------------------------------------------


def test_answers_what_is_asked(site: Site) -> None:
    """One line each, on the same connection, as often as one likes."""
    client = site.connect()
    assert client.asks(ask="calls") == [{"ok": True, "calls": [CALL.row()]}]
    assert client.asks(ask="spies") == [{"ok": True, "spies": [GRANTED.row(), ROGUE.row()]}]
    assert client.asks(ask="status") == [{"ok": True, "status": STATUS.row()}]
    assert not client.closed


def test_many_requests_at_once(site: Site) -> None:
    """Are answered in order, however they are cut."""
    client = site.connect()
    client.sends(b'{"ask": "ca', b'lls"}\n{"ask": "status"}\n{"a', b'sk": "spies"}\n')
    assert [next(key for key in line if key != "ok") for line in client.heard()] == ["calls", "status", "spies"]


def test_a_wrong_request_is_told_and_no_reason_to_close(site: Site) -> None:
    """Somebody who types by hand may try again."""
    client = site.connect()
    client.sends(b"hello\n")
    assert [line["problem"] for line in client.heard()] == ["no_request"]
    assert client.asks(ask="coffee")[0]["problem"] == "unknown_ask"
    assert client.asks(ask="calls")[0]["ok"]


def test_a_line_without_end_is_the_end(site: Site) -> None:
    """It is told why, and nothing more is read."""
    client = site.connect()
    client.sends(b"x" * (LIMITS.max_request_bytes + 1))
    assert [line["problem"] for line in client.heard()] == ["too_long"]
    assert client.closed
    client.sends(b'\n{"ask": "calls"}\n')
    assert client.heard() == []


def test_no_picture(site: Site) -> None:
    """Is a no with the reason, for everything that needs one."""
    site.house.broken = Unavailable("no connection to the PBX")
    client = site.connect()
    for request in ({"ask": "calls"}, {"ask": "spies"}, {"ask": "kill", "id": "x"}):
        assert client.asks(**request) == [{"ok": False, "problem": "unavailable", "text": "no connection to the PBX"}]


@pytest.mark.parametrize("ask", ["status", "calls", "spies", "kill", "events"])
def test_a_broken_server_says_so(site: Site, ask: str) -> None:
    """The client learns that there is something in the log, the log what; the connection lives on."""
    site.house.broken = RuntimeError("a secret detail")
    client = site.connect()
    with capture_logs() as logs:
        (line,) = [line for line in client.asks(ask=ask, id="x") if not line["ok"]]
    assert (line["problem"], "secret" in line["text"]) == ("failed", False)
    assert [(entry["event"], entry["ask"], "a secret detail" in entry["traceback"]) for entry in logs] == [
        ("control_failed", ask, True)
    ]
    site.house.broken = None
    assert client.asks(ask="calls") == [{"ok": True, "calls": [CALL.row()]}]


def test_who_sends_the_end_first_gets_the_answer(site: Site) -> None:
    """``echo ... | socat`` closes its side at once."""
    client = site.connect()
    client.sends(b'{"ask": "calls"}\n')
    client.protocol.readConnectionLost()
    assert (client.heard(), client.closed) == ([{"ok": True, "calls": [CALL.row()]}], True)


@settings(max_examples=200)
@given(
    chunks=st.lists(
        st.binary(max_size=300) | st.sampled_from([b"\n", b'{"ask": "calls"}\n', b'{"ask":']), max_size=30
    )
)
def test_random_bytes(handle: socket.socket, chunks: list[bytes]) -> None:
    """Whatever comes, in whatever chunks: nothing breaks, every answer is one, and what is kept is bounded."""
    site = Site(handle, ControlLimits(max_request_bytes=200))
    client = site.connect()
    client.sends(*chunks)
    assert all(isinstance(line["ok"], bool) for line in client.heard())
    assert len(client.protocol._lines) <= 500
    client.breaks()
    assert site.idle()


# -- time and room ----------------------------------------------------------------------------------------------


def test_who_asks_nothing_is_closed(site: Site) -> None:
    """Also somebody who sends byte after byte of a request that never ends."""
    client = site.connect()
    for _ in range(10):
        client.sends(b"x")
        site.clock.advance(1)
    assert [line["problem"] for line in client.heard()] == ["idle"]
    assert client.closed
    assert not client.transport.aborted
    site.clock.advance(LIMITS.close_seconds)
    assert client.transport.aborted


def test_each_answer_gives_new_time(site: Site) -> None:
    """Somebody who keeps asking may stay."""
    client = site.connect()
    for _ in range(10):
        site.clock.advance(LIMITS.request_seconds - 1)
        assert client.asks(ask="status")[0]["ok"]


def test_who_does_not_take_answers_is_not_asked_again(site: Site) -> None:
    """What is sent meanwhile stays where it is, and continues when the answer is taken."""
    client = site.connect()
    client.protocol.pauseProducing()
    client.sends(b'{"ask": "calls"}\n{"ask": "calls"}\n')
    assert (client.heard(), client.read) == ([], False)
    client.protocol.resumeProducing()
    assert (len(client.heard()), client.read) == (2, True)


def test_who_never_takes_an_answer_is_cut_off(site: Site) -> None:
    """The answer does not stay in memory for longer than that."""
    client = site.connect()
    client.asks(ask="calls")
    client.protocol.pauseProducing()
    site.clock.advance(LIMITS.drain_seconds - 1)
    assert not client.closed
    site.clock.advance(1)
    assert client.transport.aborted


def test_the_places_are_counted(handle: socket.socket) -> None:
    """One more is told, and gets a place when another one goes."""
    site = Site(handle, ControlLimits(max_clients=2))
    first, second, third = (site.connect() for _ in range(3))
    assert [line["problem"] for line in third.heard()] == ["too_many"]
    assert (third.closed, first.closed, second.closed) == (True, False, False)
    third.breaks()
    assert site.factory.clients == 2
    first.breaks()
    fourth = site.connect()
    assert fourth.asks(ask="calls")[0]["ok"]


def test_nothing_is_left_behind(site: Site) -> None:
    """A connection that is gone has no timer, no place and no subscription."""
    clients = [site.connect() for _ in range(4)]
    clients[1].asks(ask="calls")
    clients[2].asks(ask="events")
    site.house.slow = Deferred()
    clients[3].asks(ask="kill", id="x")
    for client in clients:
        client.breaks()
    assert (site.idle(), site.factory.clients, site.house.listeners) == (True, 0, [])
    site.house.slow.callback(None)


# -- ending a spy -----------------------------------------------------------------------------------------------


def test_a_spy_is_ended_and_it_is_said_which(site: Site) -> None:
    """By the user that the kernel names, and the log has it."""
    client = site.connect()
    with capture_logs() as logs:
        assert client.asks(ask="kill", id="a1b2.1") == [{"ok": True, "ended": GRANTED.row()}]
    assert site.told == [{"killed": "a1b2.1", "by": "berta", "ended": True}]
    assert logs == [
        {
            "event": "control_kill",
            "log_level": "info",
            "spy": "a1b2.1",
            "by": "berta",
            "uid": os.geteuid(),
            "pid": os.getpid(),
            "ended": True,
        }
    ]
    assert client.asks(ask="calls")[0]["ok"]


def test_there_is_no_such_spy(site: Site) -> None:
    """Is a no."""
    (line,) = site.connect().asks(ask="kill", id="none")
    assert line["problem"] == "no_such_spy"
    assert line["text"] == "none: there is no such spy. See: agi-monitor spies"


def test_requests_wait_for_the_end_of_a_spy(site: Site) -> None:
    """They are not read meanwhile, and answered afterwards."""
    site.house.slow = Deferred()
    client = site.connect()
    client.sends(b'{"ask": "kill", "id": "a1b2.1"}\n{"ask": "calls"}\n')
    assert (client.heard(), client.read) == ([], False)
    site.house.slow.callback(None)
    assert [list(line) for line in client.heard()] == [["ok", "ended"], ["ok", "calls"]]
    assert client.read


def test_an_end_that_takes_too_long_is_told_and_done(site: Site) -> None:
    """The client learns that it is not known; the server continues with it."""
    site.house.slow = Deferred()
    client = site.connect()
    client.asks(ask="kill", id="a1b2.1")
    site.clock.advance(LIMITS.kill_seconds)
    assert [line["problem"] for line in client.heard()] == ["no_answer"]
    assert client.closed
    site.house.slow.callback(None)
    assert site.told[-1]["ended"]
    assert client.heard() == []


def test_who_leaves_does_not_take_it_back(site: Site) -> None:
    """The spy is ended, also when the one who wanted it closes at once."""
    site.house.slow = Deferred()
    client = site.connect()
    client.asks(ask="kill", id="a1b2.1")
    client.breaks()
    site.house.slow.callback(None)
    assert site.told[-1] == {"killed": "a1b2.1", "by": "berta", "ended": True}


# -- reading the configuration again -----------------------------------------------------------------------------


def test_a_reload_says_what_came_of_it(site: Site) -> None:
    """What holds, and what waits for a restart; the log has who asked."""
    with capture_logs() as logs:
        (line,) = site.connect().asks(ask="reload")
    assert line == {"ok": True, "reloaded": {"supervisors": 1, "agents": 2, "restart": ["ami"]}}
    assert (logs[0]["event"], logs[0]["by"], logs[0]["uid"]) == ("control_reload", "berta", os.geteuid())


def test_a_reload_that_is_refused_says_why(site: Site) -> None:
    """Every mistake of the configuration, one a line."""
    site.house.reloaded = ReloadRefused(("fastagi.port: must be a number", "rules: empty"))
    (line,) = site.connect().asks(ask="reload")
    assert (line["problem"], line["text"]) == ("refused", "fastagi.port: must be a number\nrules: empty")


def test_a_reload_that_takes_too_long_is_told_and_done(site: Site) -> None:
    """The client learns that it continues."""
    site.house.slow = Deferred()
    client = site.connect()
    client.asks(ask="reload")
    site.clock.advance(LIMITS.reload_seconds)
    assert [line["problem"] for line in client.heard()] == ["no_answer"]
    site.house.slow.callback(None)
    assert site.told == [{"reloaded": True}]


@pytest.mark.parametrize("names", ["late", "broken"])
def test_users_that_cannot_be_looked_up(site: Site, names: str) -> None:
    """A directory that is down keeps no spy alive: the number stands for the name."""
    site.names = Deferred() if names == "late" else fail(OSError("the directory is down"))
    client = site.connect()
    heard = client.asks(ask="kill", id="a1b2.1")
    site.clock.advance(LIMITS.user_name_seconds)
    assert heard + client.heard() == [{"ok": True, "ended": GRANTED.row()}]
    assert site.told[-1]["by"] == f"uid {os.geteuid()}"


def test_a_spy_that_cannot_be_described_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list may be stale while the PBX can still be told."""

    def stale() -> list[Any]:
        raise Unavailable("stale")

    monkeypatch.setattr(site.house, "spies", stale)
    assert site.connect().asks(ask="kill", id="a1b2.1") == [{"ok": True, "ended": {"id": "a1b2.1"}}]


# -- events -----------------------------------------------------------------------------------------------------


def test_events_come_as_they_happen(site: Site) -> None:
    """After a first line that says that the client is being told; for as long as it likes."""
    client = site.connect()
    assert client.asks(ask="events") == [{"ok": True}]
    site.house.tell({"fact": "refused", "reason": "pin_wrong"})
    assert client.heard() == [{"ok": True, "event": {"fact": "refused", "reason": "pin_wrong"}}]
    site.clock.advance(100_000)
    assert not client.closed
    client.breaks()
    assert site.house.listeners == []


def test_what_a_follower_sends_is_thrown_away(site: Site) -> None:
    """It is kept nowhere."""
    client = site.connect()
    client.asks(ask="events")
    client.sends(b"x" * 1_000_000, b'\n{"ask": "calls"}\n')
    assert (client.heard(), client.closed, len(client.protocol._lines)) == ([], False, 0)


def test_who_watches_gets_the_list_when_it_has_changed(site: Site) -> None:
    """At once, and after each change; what has moved by itself alone, such as a duration, does not count."""
    client = site.connect()
    client.asks(ask="watch_calls")
    site.clock.advance(0)
    assert client.heard() == [{"ok": True, "calls": [CALL.row()]}]
    site.house.set({"calls": [replace(CALL, seconds=99.0).row()]})
    site.clock.pump([0.1] * 40)
    assert (client.heard(), site.idle()) == ([], True)
    site.house.set({"calls": []})
    site.clock.advance(0)
    assert client.heard() == [{"ok": True, "calls": []}]
    client.breaks()
    assert site.idle()
    site.house.set({"calls": [CALL.row()]})
    assert site.idle()


def test_while_nothing_is_known_who_watches_is_told(site: Site) -> None:
    """And stays: a picture that is lost comes again. What is broken in the server is not told."""
    client = site.connect()
    client.asks(ask="watch_spies")
    site.clock.advance(0)
    assert client.heard() == [{"ok": True, "spies": [GRANTED.row(), ROGUE.row()]}]
    for broken, text in (
        (Unavailable("no picture"), "no picture"),
        (RuntimeError("a secret detail"), "the server could not answer; its log says why"),
    ):
        site.house.broken = broken
        with capture_logs():
            site.house.bell.ring()
            site.clock.advance(0.2)
        assert client.heard() == [{"ok": True, "unavailable": text}]
    site.house.broken = None
    site.clock.advance(0.2)
    assert client.heard() == [{"ok": True, "spies": [GRANTED.row(), ROGUE.row()]}]


def test_who_does_not_take_a_list_gets_the_last_one(site: Site) -> None:
    """None is kept for them; after a while they are given up."""
    client = site.connect()
    client.asks(ask="watch_calls")
    site.clock.advance(0)
    client.heard()
    client.protocol.pauseProducing()
    for seconds in (1.0, 2.0, 3.0):
        site.house.set({"calls": [replace(CALL, queue=f"queue-{seconds}").row()]})
        site.clock.advance(1)
    assert client.heard() == []
    client.protocol.resumeProducing()
    site.clock.advance(0)
    assert [line["calls"][0]["queue"] for line in client.heard()] == ["queue-3.0"]
    client.protocol.pauseProducing()
    site.clock.advance(LIMITS.drain_seconds)
    assert [line["problem"] for line in client.heard()] == ["too_slow"]
    assert client.closed


@pytest.mark.parametrize("first", [True, False])
def test_the_end_of_a_follower(site: Site, first: bool) -> None:
    """Anyone who sends nothing more is told nothing more, whether that came before or after."""
    client = site.connect()
    if first:
        client.protocol.pauseProducing()
        client.sends(b'{"ask": "events"}\n')
        client.protocol.readConnectionLost()
        client.protocol.resumeProducing()
    else:
        client.asks(ask="events")
        client.protocol.readConnectionLost()
    assert (client.closed, site.house.listeners) == (True, [])


def test_events_wait_for_a_reader(site: Site) -> None:
    """In order, when the reader takes them again."""
    client = site.connect()
    client.asks(ask="events")
    client.protocol.pauseProducing()
    for number in range(3):
        site.house.tell({"fact": "x", "number": number})
    assert client.heard() == []
    client.protocol.resumeProducing()
    assert [line["event"]["number"] for line in client.heard()] == [0, 1, 2]
    site.clock.advance(100_000)
    assert not client.closed


def test_a_reader_that_is_too_slow_is_told_and_cut_off(handle: socket.socket) -> None:
    """No more is kept than the limit says."""
    site = Site(handle, ControlLimits(max_waiting_bytes=1_000))
    client = site.connect()
    client.asks(ask="events")
    client.protocol.pauseProducing()
    for number in range(100):
        site.house.tell({"fact": "x", "number": number})
        assert client.protocol._waiting_bytes <= 1_000
    (line,) = client.heard()
    assert line["problem"] == "too_slow"
    assert "See the audit" in line["text"]
    assert (client.closed, site.house.listeners) == (True, [])


def test_a_reader_that_reads_nothing_is_cut_off(site: Site) -> None:
    """Even when few events come: the place is for another client."""
    client = site.connect()
    client.asks(ask="events")
    client.protocol.pauseProducing()
    site.house.tell({"fact": "x"})
    site.clock.advance(LIMITS.drain_seconds)
    assert [line["problem"] for line in client.heard()] == ["too_slow"]
    assert site.house.listeners == []


def test_one_slow_reader_costs_the_others_nothing(handle: socket.socket) -> None:
    """They hear everything, also the event that was too much for the slow one."""
    site = Site(handle, ControlLimits(max_waiting_bytes=1))
    slow, other = site.connect(), site.connect()
    slow.asks(ask="events")
    other.asks(ask="events")
    slow.protocol.pauseProducing()
    site.house.tell({"fact": "x"})
    site.house.tell({"fact": "y"})
    assert [line["event"]["fact"] for line in other.heard()] == ["x", "y"]
    assert slow.closed


# -- the end of the server --------------------------------------------------------------------------------------


def test_clients_are_told_that_the_server_stops(site: Site) -> None:
    """Whatever they are doing; it is over when the last connection is gone."""
    site.house.slow = Deferred()
    clients = [site.connect() for _ in range(3)]
    clients[1].asks(ask="events")
    clients[2].asks(ask="kill", id="x")
    gone: list[None] = []
    site.factory.close().addCallback(gone.append)
    for client in clients:
        assert client.heard() == [{"ok": False, "problem": "stopping", "text": "the server is stopping"}]
        assert (client.closed, gone) == (True, [])
        client.breaks()
    assert (gone, site.factory.buildProtocol(None), site.idle()) == ([None], None, True)
    site.house.slow.callback(None)


def test_a_server_without_clients_stops_at_once(site: Site) -> None:
    """Nothing is waited for."""
    gone: list[None] = []
    site.factory.close().addCallback(gone.append)
    assert gone == [None]
