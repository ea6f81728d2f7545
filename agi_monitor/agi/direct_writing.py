"""Writes to a TCP connection at once, as long as its socket takes it.

Twisted's transports wait for the reactor to say that a socket can be written to, which costs as much as the rest of a
small command: two changes of the poll and a round through the reactor. A command is one write of some 40 bytes whose
reply is awaited, on a socket whose buffer is empty because Asterisk has answered the one before.
"""

from __future__ import annotations

import socket

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Connection


class DirectWriter:
    """Writes to one connection. Nothing else writes to it meanwhile.

    Parameters:
        transport: of the connection. What is not plain TCP, such as TLS or a fake, is written to in Twisted's own
            way.
    """

    __slots__ = ("_socket", "_transport")

    def __init__(self, transport: ITransport) -> None:
        self._transport = transport
        self._socket: socket.socket | None = None
        # A transport that was made TLS later keeps its class and its socket.
        if isinstance(transport, Connection) and not transport.TLS:
            self._socket = transport.getHandle()

    def write(self, data: bytes) -> None:
        """Write it, after all that was written before."""
        if self._socket is not None:
            try:
                sent = self._socket.send(data)
            except OSError:
                # Full, or broken: the transport says so in its own way, to whom it should.
                sent = 0
            if sent == len(data):
                return
            # What the transport holds goes first, from now on and as long as the connection lasts.
            self._socket = None
            data = data[sent:]
        self._transport.write(data)
