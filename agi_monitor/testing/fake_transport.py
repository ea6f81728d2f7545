"""A transport without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITransport
from zope.interface import implementer


@implementer(ITransport)
class FakeTransport:
    """Hands every written line on, and says when it was closed.

    Parameters:
        received: called with each whole line.
        closed: called once.
    """

    def __init__(self, received: Callable[[bytes], None], closed: Callable[[], None]) -> None:
        self._received = received
        self._closed = closed
        self._rest = b""
        self.disconnecting = False

    def write(self, data: bytes) -> None:
        """Take bytes of the server."""
        if self.disconnecting:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._received(line)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 (Twisted's name)
        """Take bytes of the server."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """The server closes."""
        if not self.disconnecting:
            self.disconnecting = True
            self._closed()

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """The server closes at once."""
        self.loseConnection()

    def getPeer(self) -> IPv4Address:  # noqa: N802 (Twisted's name)
        """The address of the fake PBX."""
        return IPv4Address("TCP", "127.0.0.1", 40_000)

    def getHost(self) -> IPv4Address:  # noqa: N802 (Twisted's name)
        """The address of the server."""
        return IPv4Address("TCP", "127.0.0.1", 4573)
