"""agi_monitor.agi.direct_writing: at once where the socket takes it, in Twisted's own way otherwise, in order."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactor, StringTransport

from agi_monitor.agi.direct_writing import DirectWriter

MIB = 1 << 20


class Layer(Protocol):
    """What Twisted hands the data to on a connection that was made TLS."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take it."""
        self.written.append(data)


class Wire:
    """A TCP connection on a reactor that never runs."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.peer = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
        ours.setblocking(False)
        self.reactor: Any = MemoryReactor()  # type: ignore[no-untyped-call]  # Twisted's own
        self.layer = Layer()
        self.transport: Any = Connection(ours, self.layer, self.reactor)
        self.transport.connected = True

    def read(self, size: int) -> bytes:
        """What has arrived, this number of bytes."""
        got = b""
        while len(got) < size:
            got += self.peer.recv(size - len(got))
        return got


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A connection."""
    made = Wire()
    yield made
    made.peer.close()
    made.transport.getHandle().close()


def test_a_command_is_sent_at_once(wire: Wire) -> None:
    """The reactor is not asked whether it can be."""
    DirectWriter(wire.transport).write(b"ANSWER\n")
    assert wire.read(7) == b"ANSWER\n"
    assert wire.reactor.getWriters() == []


def test_what_the_socket_does_not_take_goes_its_usual_way(wire: Wire) -> None:
    """All of it arrives, in its order, also what is written after it when there is room again."""
    writer = DirectWriter(wire.transport)
    sent = 0
    while not wire.reactor.getWriters():
        writer.write(bytes([sent % 251]) * MIB)
        sent += 1
    first = wire.read(MIB)
    writer.write(b"behind")
    assert first == b"\0" * MIB
    rest, wanted = bytearray(), (sent - 1) * MIB + len(b"behind")
    wire.peer.setblocking(False)
    while len(rest) < wanted:
        wire.transport.doWrite()
        try:
            rest += wire.peer.recv(MIB)
        except BlockingIOError:
            continue
    assert bytes(rest) == b"".join(bytes([number % 251]) * MIB for number in range(1, sent)) + b"behind"


def test_a_broken_connection_is_told_by_the_transport(wire: Wire) -> None:
    """As if it had been written to in Twisted's own way: nothing is raised where the command is sent."""
    wire.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire.peer.close()
    writer = DirectWriter(wire.transport)
    writer.write(b"ANSWER\n")
    writer.write(b"NOOP\n")
    assert wire.reactor.getWriters() == [wire.transport]
    assert isinstance(wire.transport.doWrite(), ConnectionLost)


def test_tls_and_fakes_are_written_to_as_ever(wire: Wire) -> None:
    """What their socket would be sent is not what is to arrive."""
    wire.transport.TLS = True
    DirectWriter(wire.transport).write(b"ANSWER\n")
    assert wire.layer.written == [b"ANSWER\n"]
    fake: Any = StringTransport()  # type: ignore[no-untyped-call]  # Twisted's own
    DirectWriter(fake).write(b"ANSWER\n")
    assert fake.value() == b"ANSWER\n"
