"""What one client of the control socket may cost us, and how long it may take: every number with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from agi_monitor.limits import require_positive

MAX_REQUEST_BYTES = 4_096
"""A request is a word and at most one identifier, which is below 256 bytes."""

MAX_CLIENTS = 16
"""A few administrators, each with a window or two."""

REQUEST_SECONDS = 10.0
"""A command asks as soon as it is connected; a client that does not holds one of the places for 10 s."""

KILL_SECONDS = 15.0
"""The end of a spy, which is at most one AMI action (10 s) and one record on disk."""

RELOAD_SECONDS = 20.0
"""A reload: a file of 10,000 people takes seconds, a plug-in that knows people 5 s, and a record on disk."""

DRAIN_SECONDS = 30.0
"""After this time, an answer or events that the client does not read are given up."""

MAX_WAITING_BYTES = 1_048_576
"""Events kept for a client that does not read: some 2,000 of them."""

CLOSE_SECONDS = 5.0
"""How long a connection that we close has to take the last line."""

USER_NAME_SECONDS = 2.0
"""The client is looked up among the users of the system, which may be a directory on the network."""

MAX_ANSWER_BYTES = 67_108_864
"""What a client reads of one line: 20,000 channels at 1 kB are 20 MB."""

ANSWER_SECONDS = 25.0
"""What a client waits for an answer: longer than the server takes for anything."""


@dataclass(frozen=True, slots=True)
class ControlLimits:
    """The limits of one control socket, on the server's side. Sizes in bytes, times in seconds."""

    max_request_bytes: int = MAX_REQUEST_BYTES
    max_clients: int = MAX_CLIENTS
    request_seconds: float = REQUEST_SECONDS
    kill_seconds: float = KILL_SECONDS
    reload_seconds: float = RELOAD_SECONDS
    drain_seconds: float = DRAIN_SECONDS
    max_waiting_bytes: int = MAX_WAITING_BYTES
    close_seconds: float = CLOSE_SECONDS
    user_name_seconds: float = USER_NAME_SECONDS

    def __post_init__(self) -> None:
        require_positive(self)
