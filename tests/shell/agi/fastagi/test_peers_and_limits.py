"""Who may connect, and how many."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from agi_monitor.agi import protocol as protocol_module
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count
from agi_monitor.limits import Limits
from tests.shell.agi.fastagi.conversation import ENVIRONMENT, GET_DATA, LIMITS, Server, waits_for_data


# -- peers and limits --
@pytest.mark.parametrize(
    ("host", "allowed", "accepted"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("::ffff:127.0.0.1", None, True),
        ("192.0.2.1", None, False),
        ("::ffff:192.0.2.1", None, False),
        ("192.0.2.1", ["192.0.2.0/24"], True),
        ("::ffff:192.0.2.1", ["192.0.2.1"], True),
        ("2001:db8::1%eth0", ["2001:db8::/32"], True),
        ("127.0.0.1", ["192.0.2.0/24"], False),
        ("not an address", None, False),
    ],
)
def test_the_allow_list(host: str, allowed: list[str] | None, accepted: bool) -> None:
    """Loopback only by default; an IPv4 address inside an IPv6 one counts as itself."""
    server = Server() if allowed is None else Server(allowed_peers=allowed)
    address = IPv6Address("TCP", host, 1) if ":" in host else IPv4Address("TCP", host, 1)
    with capture_logs() as logs:
        assert (server.factory.buildProtocol(address) is not None) is accepted
    assert server.factory.counters[Count.PEER_NOT_ALLOWED] == (not accepted)
    assert [log["event"] for log in logs] == ([] if accepted else [LogEvent.PEER_REFUSED])


def test_a_peer_without_an_address_is_refused() -> None:
    """A UNIX socket has no address to allow."""
    assert Server().factory.buildProtocol(UNIXAddress("/x")) is None


def test_a_flood_of_strangers_does_not_flood_the_log() -> None:
    """All are counted, some are logged, and the next line says how many were not."""
    server = Server()
    with capture_logs() as logs:
        for _ in range(1000):
            assert server.connect("192.0.2.1") is None
        server.clock.advance(protocol_module.LOG_SECONDS)
        assert server.connect("192.0.2.1") is None
    assert len(logs) == protocol_module.LOG_LINES + 1
    assert logs[-1]["suppressed"] == 1000 - protocol_module.LOG_LINES
    assert server.factory.counters[Count.PEER_NOT_ALLOWED] == 1001
    assert server.idle()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(LIMITS, max_sessions=2), "too_many_sessions"),
        (replace(LIMITS, max_sessions_per_peer=2), "too_many_of_peer"),
    ],
)
def test_too_many_sessions(limits: Limits, reason: str) -> None:
    """The third is refused with failure; when one is over there is room again."""
    server = Server(waits_for_data, limits=limits)
    lines = [server.call(), server.call()]
    third = server.call()
    assert third.sent == b"failure\n"
    assert third.closed
    third.breaks()
    assert server.factory.counters[Count(reason)] == 1
    lines[0].breaks()
    assert server.call().sent == GET_DATA


@pytest.mark.parametrize(
    ("addresses", "other"),
    [
        (("127.0.0.1", "127.0.0.2", "::1"), "192.0.2.1"),
        (("2001:db8::1", "2001:db8::2", "2001:db8::3"), "2001:db9::1"),
    ],
)
def test_a_peer_with_many_addresses_is_one_peer(addresses: tuple[str, ...], other: str) -> None:
    """A program here can connect from each address of the loopback, and must leave room for another PBX."""
    limits = replace(LIMITS, max_sessions_per_peer=2)
    server = Server(waits_for_data, limits=limits, allowed_peers=("127.0.0.0/8", "::1", "192.0.2.1", "2001:db8::/31"))
    lines = [line for address in (*addresses, other) if (line := server.connect(address)) is not None]
    for line in lines:
        line.says(ENVIRONMENT)
    assert [line.sent for line in lines] == [GET_DATA, GET_DATA, b"failure\n", GET_DATA]
    for line in lines:
        line.breaks()
    assert server.factory._slots == {}


def test_refused_connections_are_bounded_too() -> None:
    """Those that are only kept to be told failure cannot become many."""
    server = Server(waits_for_data, limits=replace(LIMITS, max_sessions=1))
    server.call()
    kept = [line for line in (server.connect() for _ in range(1000)) if line is not None]
    assert len(kept) == protocol_module.MAX_REFUSING
    for line in kept:
        line.breaks()
    assert server.connect() is not None


def test_a_health_check_is_quiet() -> None:
    """Connect and close costs nothing and says nothing above debug."""
    server = Server(waits_for_data)
    with capture_logs() as logs:
        for data in (b"", b"agi_net"):
            line = server.connect()
            assert line is not None
            line.says(data)
            line.breaks()
    assert {log["log_level"] for log in logs} == {"debug"}
    assert [log["received"] for log in logs] == [0, 7]
    assert server.factory.counters[Count.DROPPED] == 2
    assert server.idle()
    assert server.sessions == []


def test_the_last_bytes_may_come_with_the_end() -> None:
    """What is sent to a closed session is not read."""
    server = Server()
    line = server.call()
    assert line.closed
    assert line.says(b"HANGUP\n") == b""
    line.breaks()
    assert server.idle()
