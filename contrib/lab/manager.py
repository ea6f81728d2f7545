"""A login at the manager interface of the laboratory's PBX that loses nothing: for tests and recordings.

It shares no code with the product's own client, so that neither hides a mistake of the other.
"""

from __future__ import annotations

import queue
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Self

from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.errors import LabError

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

ANSWER_SECONDS = 30.0
RECEIVE_BYTES = 65_536

LISTS = ("CoreShowChannels", "BridgeList", "DeviceStateList", "ExtensionStateList", "QueueStatus")
"""Channels first: what changes meanwhile has the more time to be told."""

Message = dict[str, str]
"""The headers of a message; of equal names the first counts."""


class Manager:
    """One connection, as a context manager. A thread reads all the time, so the PBX never waits for the test.

    :param lab: whose PBX
    :param account: whose classes decide what may be asked
    """

    def __init__(self, lab: Lab, account: str = "monitor") -> None:
        self._address = lab.pbx.address
        self._login = {"Username": account, "Secret": lab.manager_secrets[account]}
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._asked = 0
        self._socket: socket.socket
        self._reader: threading.Thread

    def __enter__(self) -> Self:
        self._socket = socket.create_connection((self._address, MANAGER_PORT), ANSWER_SECONDS)
        self._socket.settimeout(None)
        self._reader = threading.Thread(target=self._read, name="manager", daemon=True)
        self._reader.start()
        self.ask("Login", **self._login)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(ANSWER_SECONDS)
        self._socket.close()

    @property
    def is_closed(self) -> bool:
        """Whether the PBX has ended the connection."""
        return not self._reader.is_alive()

    def ask(self, action: str, **headers: str) -> list[Message]:
        """Perform an action and return the items of its list, none when it has no list.

        :raises LabError: the PBX refused it, or did not answer
        """
        self._asked += 1
        action_id = str(self._asked)
        lines = {"Action": action, "ActionID": action_id, **headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._socket.sendall(text.encode() + b"\r\n")
        items: list[Message] = []
        while True:
            try:
                message = self._answers.get(timeout=ANSWER_SECONDS)
            except queue.Empty:
                raise LabError(f"the manager interface did not answer {action}") from None
            if message["ActionID"] != action_id:
                continue
            if message.get("Response") == "Error":
                raise LabError(f"{action}: {message.get('Message')}")
            if message.get("EventList", "").lower() == "complete" or (
                "Response" in message and message.get("EventList") != "start"
            ):
                return items
            if "Response" not in message:
                items.append(message)

    def lists(self) -> dict[str, list[Message]]:
        """Ask for everything that the PBX says of itself, and then for nothing: what it had to tell comes before.

        :returns: the items of each list, by its action
        """
        found = {action: self.ask(action) for action in LISTS}
        self.ask("Ping")
        return found

    def heard(self) -> list[Message]:
        """Return the events since this was asked last, in their order."""
        found = []
        while True:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                return found

    def _read(self) -> None:
        buffer = b""
        greeted = False
        while received := self._receive():
            buffer += received
            if not greeted and b"\r\n" in buffer:
                buffer, greeted = buffer.partition(b"\r\n")[2], True
            *whole, buffer = buffer.split(b"\r\n\r\n")
            for text in whole:
                message: Message = {}
                for line in text.decode(errors="replace").split("\r\n"):
                    name, _, value = line.partition(": ")
                    message.setdefault(name, value)
                (self._answers if "ActionID" in message else self._events).put(message)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(RECEIVE_BYTES)
        except OSError:
            return b""
