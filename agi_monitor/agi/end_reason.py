"""Why a session came to its end."""

from __future__ import annotations

from enum import StrEnum


class EndReason(StrEnum):
    """Why a session came to its end."""

    FINISHED = "finished"
    """The story was over."""
    HANGUP = "hangup"
    """The caller hung up."""
    CONNECTION_LOST = "connection_lost"
    """The connection to Asterisk is gone."""
    DEADLINE = "deadline"
    """A reply did not come in time."""
    PROTOCOL_ERROR = "protocol_error"
    """Asterisk sent something that is not AGI."""
    SHUTDOWN = "shutdown"
    """The server is stopping."""
    REVOKED = "revoked"
    """This session was ended on purpose."""
    REFUSED = "refused"
    """The story refused the call."""
    FAILED = "failed"
    """The story raised an error."""
