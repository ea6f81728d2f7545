"""What systemd passes and is told: sockets that fit are taken, others are refused, messages come in order."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_monitor.errors import ConfigError
from agi_monitor.server.systemd import Inherited, Notifier, inherited, passed_sockets


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def port_of(listening: socket.socket) -> int:
    """Its port."""
    return int(listening.getsockname()[1])


def test_finds_what_was_passed_once() -> None:
    """The numbers begin with 3; afterwards the environment says nothing of them."""
    environment = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
    assert passed_sockets(environment) == (3, 4)
    assert environment == {"PATH": "/bin"}
    assert passed_sockets(environment) == ()


@pytest.mark.parametrize(
    "environment",
    [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}],
)
def test_nothing_was_passed(environment: dict[str, str]) -> None:
    """No variables, those of another process, or no number: no socket."""
    assert passed_sockets(environment) == ()


def test_takes_a_socket_at_the_configured_address(listener: socket.socket) -> None:
    """It is returned, and continues with listen."""
    assert inherited([listener.fileno()], "127.0.0.1", port_of(listener)) == Inherited(
        listener.fileno(), socket.AF_INET
    )
    with socket.create_connection(listener.getsockname()):
        listener.accept()[0].close()


def test_takes_ipv6_however_it_is_written() -> None:
    """An address is compared as an address, not as a text."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        found = inherited([listening.fileno()], "0:0:0:0:0:0:0:1", port_of(listening))
        assert found == Inherited(listening.fileno(), socket.AF_INET6)


def test_without_a_socket_there_is_none() -> None:
    """The server opens its own."""
    assert inherited([], "127.0.0.1", 4573) is None


@pytest.mark.parametrize(("address", "shift"), [("127.0.0.1", 1), ("127.0.0.2", 0), ("0.0.0.0", 0), ("::1", 0)])
def test_another_address_is_refused(listener: socket.socket, address: str, shift: int) -> None:
    """A socket that listens elsewhere than the configuration says is a mistake that names both places."""
    port = port_of(listener)
    with pytest.raises(ConfigError, match=rf"a socket at 127\.0\.0\.1:{port}, and fastagi says .*:{port + shift}"):
        inherited([listener.fileno()], address, port + shift)


def test_what_is_no_listening_tcp_socket_is_refused() -> None:
    """Datagrams, Unix sockets and connections are each refused with what to write into the unit."""
    ours, theirs = socket.socketpair()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket() as silent, ours, theirs:
        for wrong, complaint in ((datagrams, "ListenStream="), (ours, "ListenStream="), (silent, "Accept=yes")):
            with pytest.raises(ConfigError, match=complaint):
                inherited([wrong.fileno()], "127.0.0.1", 4573)


def test_two_sockets_are_refused() -> None:
    """Which of several is meant is not guessed."""
    with pytest.raises(ConfigError, match="passed 2 sockets"):
        inherited([3, 4], "127.0.0.1", 4573)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of the messages."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def told(manager: socket.socket) -> list[str]:
    """What it was told since the last look."""
    messages = []
    while True:
        try:
            messages.append(manager.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_tells_the_life_of_the_service_in_order(manager: socket.socket) -> None:
    """Ready, a reload with its moment, ready again, stopping with its time, and signs of life between."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"}, lambda: 12.5)
    assert notifier.watchdog_seconds == 30.0
    notifier.serves()
    notifier.reloads()
    notifier.has_reloaded()
    notifier.lives()
    notifier.stops(35.0)
    assert told(manager) == [
        "READY=1",
        "RELOADING=1\nMONOTONIC_USEC=12500000",
        "READY=1",
        "WATCHDOG=1",
        "STOPPING=1\nEXTEND_TIMEOUT_USEC=35000000",
    ]


def test_a_reload_says_nothing_before_the_start_and_after_the_stop(manager: socket.socket) -> None:
    """A SIGHUP at the wrong moment must not make systemd take the service for ready."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()}, lambda: 0.0)
    notifier.reloads()
    notifier.has_reloaded()
    assert told(manager) == []
    notifier.serves()
    notifier.stops(1.0)
    notifier.has_reloaded()
    assert told(manager) == ["READY=1", "STOPPING=1\nEXTEND_TIMEOUT_USEC=1000000"]


def test_an_abstract_socket_is_reached() -> None:
    """A name that begins with @ is one without a file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0agi-monitor-test-{os.getpid()}")
        manager.setblocking(False)
        Notifier({"NOTIFY_SOCKET": f"@agi-monitor-test-{os.getpid()}"}, lambda: 0.0).serves()
        assert told(manager) == ["READY=1"]


@pytest.mark.parametrize("limit", ["", "soon", "-5"])
def test_no_watchdog_without_a_time(manager: socket.socket, limit: str) -> None:
    """Signs of life are not awaited where no time is given."""
    assert (
        Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": limit}, lambda: 0.0).watchdog_seconds == 0
    )
    assert Notifier({"WATCHDOG_USEC": "30000000"}, lambda: 0.0).watchdog_seconds == 0


def test_who_does_not_listen_is_told_of_once_and_harms_nobody(tmp_path: Path) -> None:
    """A socket that is gone is one warning, not one for each message, and no error."""
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}, lambda: 0.0)
    with capture_logs() as logs:
        notifier.serves()
        notifier.lives()
    assert [line["event"] for line in logs] == ["systemd_not_told"]


def test_without_systemd_nothing_is_told() -> None:
    """No variable, no message and no warning."""
    with capture_logs() as logs:
        Notifier({}, lambda: 0.0).serves()
    assert logs == []
