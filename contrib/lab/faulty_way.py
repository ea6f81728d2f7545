"""A way to the PBX's manager interface on which things go wrong, when a test says so.

our server --- a port of this host --- the PBX
               <-- message by message, each of which may be late, lost, or cut in two
"""

from __future__ import annotations

import queue
import re
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.waiting import wait_until

HOST = "127.0.0.1"
RECEIVE_BYTES = 65_536
END = b"\r\n\r\n"
CUT_SECONDS = 15.0


class FaultyWay:
    """As a context manager. Without a fault it passes on everything.

    :param address: of the PBX
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        """Of HOST: where our server is to connect."""
        self.lost: list[str] = []
        """The messages that were lost."""
        self._connections: list[_Connection] = []
        self._accepting = threading.Thread(target=self._accept)
        self._open = threading.Event()
        self._open.set()
        self._late_seconds = 0.0
        self._losing = ""
        self._cutting = ""

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        self.cut()
        self._open.set()
        for connection in self._connections:
            connection.join()

    # Faults

    def cut(self) -> None:
        """End every connection that there is."""
        for connection in list(self._connections):
            connection.cut()

    def cut_within(self, event: str) -> None:
        """Pass on half of the next event of this name, and end the connection there."""
        self._cutting = event

    def wait_until_cut(self) -> None:
        """Wait until that has happened."""
        wait_until(lambda: not self._cutting, CUT_SECONDS, f"{self._cutting} to be cut in two")

    def lose(self, event: str) -> None:
        """Lose every event of this name from now on; an empty name ends it."""
        self._losing = event

    def delay(self, seconds: float) -> None:
        """Let everything that the PBX says come so much later from now on."""
        self._late_seconds = seconds

    def hush(self) -> None:
        """Let nothing that the PBX says come through from now on. Connections stay, and new ones are made."""
        self._open.clear()

    def speak(self) -> None:
        """End that; what was kept comes now, on the connections that are left."""
        self._open.set()

    # Inside

    def pass_on(self, message: bytes) -> bytes | None:
        """What becomes of a message once its time has come. None: the connection is cut behind half of it."""
        self._open.wait()
        found = re.match(rb"Event: (\S+)", message)
        event = found[1].decode() if found is not None else ""
        if event and event == self._cutting:
            return None
        if event and event == self._losing:
            self.lost.append(message.decode(errors="replace"))
            return b""
        return message

    def was_cut(self) -> None:
        """The connection is cut."""
        self._cutting = ""

    @property
    def late_seconds(self) -> float:
        """How late everything comes."""
        return self._late_seconds

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # the end
            try:
                pbx = socket.create_connection((self._address, MANAGER_PORT))
            except OSError:
                client.close()  # the PBX is away, and so is this port
                continue
            self._connections.append(_Connection(self, client, pbx))


class _Connection:
    """One connection: three threads, so that the PBX never waits for a message that is kept."""

    def __init__(self, way: FaultyWay, client: socket.socket, pbx: socket.socket) -> None:
        self._way = way
        self._client = client
        self._pbx = pbx
        self._kept: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._ask, self._listen, self._tell)]
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        self._over.set()
        for end in (self._client, self._pbx):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._pbx.close()

    def _ask(self) -> None:
        with suppress(OSError):
            while received := self._client.recv(RECEIVE_BYTES):
                self._pbx.sendall(received)
        self.cut()

    def _listen(self) -> None:
        buffer = b""
        greeted = False
        with suppress(OSError):
            while received := self._pbx.recv(RECEIVE_BYTES):
                buffer += received
                due = time.monotonic() + self._way.late_seconds
                if not greeted and b"\r\n" in buffer:
                    greeting, end, buffer = buffer.partition(b"\r\n")
                    self._kept.put((due, greeting + end))
                    greeted = True
                *whole, buffer = buffer.split(END)
                for message in whole:
                    self._kept.put((due, message + END))
        self._kept.put((0.0, b""))

    def _tell(self) -> None:
        while True:
            due, message = self._kept.get()
            self._over.wait(max(0.0, due - time.monotonic()))
            if not message:
                break
            passed = self._way.pass_on(message)
            with suppress(OSError):
                self._client.sendall(message[: len(message) // 2] if passed is None else passed)
            if passed is None:
                self.cut()
                self._way.was_cut()
        self.cut()
