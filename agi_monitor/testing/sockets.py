"""The fakes over TCP: for a server, or a program with a client, that runs in a process of its own."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from twisted.internet.task import Clock
from twisted.python.failure import Failure

RECEIVE_BYTES = 65_536
END_SECONDS = 5.0
"""What a thread may take to end."""


class SocketWire:
    """The other side of a fake, over a socket. Fits where a fake has a protocol.

    Parameters:
        connection: connected.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
        """Send what the fake says. A peer that is gone is noticed when it is read from."""
        try:
            self._connection.sendall(data)
        except OSError:
            return

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802 (Twisted's name)
        """The fake closes."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def received(connection: socket.socket) -> bytes:
    """Read what there is; nothing at the end, however it came."""
    try:
        return connection.recv(RECEIVE_BYTES)
    except OSError:
        return b""


def converse(
    connection: socket.socket,
    clock: Clock,
    take: Callable[[bytes], None],
    is_over: Callable[[], bool],
    seconds: float,
    now: Callable[[], float] = time.monotonic,
) -> None:
    """Hand on what comes, and let the fake's clock go as time does, until the fake says that all is over.

    Parameters:
        connection: connected.
        clock: the fake's.
        take: called with the bytes that came, with none at their end.
        is_over: asked after each step.
        seconds: how long to wait for the end.
        now: seconds of a clock that never steps back.

    Raises:
        TimeoutError: it did not come.
    """
    began = last = now()
    while not is_over():
        left = began + seconds - last
        if left <= 0:
            raise TimeoutError(f"the connection is still open after {seconds:g} s")
        due = [call.getTime() - clock.seconds() for call in clock.getDelayedCalls()]
        readable, _, _ = select.select([connection], [], [], max(0.0, min([left, *due])))
        passed, last = now() - last, now()
        clock.advance(passed)
        if readable and not is_over():
            take(received(connection))


@contextmanager
def listening(host: str, port: int, serve: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """Take connections, one after the other, in a thread.

    Parameters:
        host: an address of this machine.
        port: TCP port; 0 for any.
        serve: called in the thread with each connection, until it is closed.

    Yields:
        The address and the port.
    """
    open_now: list[socket.socket] = []
    stopping = threading.Event()
    with socket.create_server((host, port)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    open_now.append(connection)
                    if not stopping.is_set():
                        serve(connection)
                    open_now.remove(connection)

        thread = threading.Thread(target=accept, name="fake", daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[:2]
        finally:
            stopping.set()
            for one in (listener, *open_now):
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
            thread.join(END_SECONDS)
