"""What one FastAGI peer may cost: every number with its reason. The configuration section ``limits``
has one key for each of them, with the same name in lower case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

MAX_ENVIRONMENT_LINES = 256
"""Asterisk sends 26 lines and at most 127 ``agi_arg_N`` (res_agi.c: MAX_ARGS 128); twice that is not Asterisk."""

MAX_ENVIRONMENT_BYTES = 65_536
"""Names, numbers and arguments of a real call are below 8 KiB (a dialplan line ends at 8,191 bytes)."""

MAX_LINE_BYTES = 8_192
"""Asterisk's own line is at most 8,191 bytes (AGI_BUF_LEN, res_agi.c); a variable of 4,096 fits with its escapes."""

MAX_REPLY_BYTES = 65_536
"""A usage block (520) or a value of several lines; the longest usage text of Asterisk 22 is below 2 KiB."""

ENVIRONMENT_SECONDS = 5.0
"""Asterisk writes the environment at once. A health check or port scan that stays silent costs 5 s of a socket."""

COMMAND_SECONDS = 10.0
"""Commands that only look something up answer within a millisecond; ANSWER takes 130 ms."""

PLAYBACK_SECONDS = 120.0
"""STREAM FILE and SAY: longer than any prompt; after that the channel thread is stuck."""

PROMPT_SECONDS = 90.0
"""GET DATA and WAIT FOR DIGIT: added to the time-out that the command itself carries, for the prompt before it."""

EXECUTE_SECONDS = 43_200.0
"""EXEC runs as long as the application does: a spy lasts as long as the call. No call lasts twelve hours."""

HANGUP_REPLY_SECONDS = 2.0
"""After HANGUP the outstanding reply arrives at once or never; this is how long a clean-up command waits for it."""

CLEANUP_SECONDS = 15.0
"""How long a handler may take after the hang-up, for its ``finally``, before it is abandoned."""

MAX_SESSIONS = 1_000
"""At 64 KiB each this is 64 MiB, and more spies than any PBX has ever carried."""

MAX_SESSIONS_PER_PEER = 500
"""One PBX is one peer: half of all, so that a second PBX always gets in. All addresses of the loopback are one peer,
and so are all of one IPv6 /64."""


def require_positive(limits: Any) -> None:
    """Refuse values that are not limits.

    Parameters:
        limits: a dataclass of numbers.

    Raises:
        ValueError: a field is 0, negative, infinite or not a number.
    """
    for field in fields(limits):
        if not 0 < getattr(limits, field.name) < math.inf:
            raise ValueError(f"{field.name} must be more than 0 and finite")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one FastAGI server. Sizes in bytes, times in seconds.

    Parameters:
        max_environment_lines: lines of one environment, the arguments included.
        max_environment_bytes: bytes of one environment.
        max_line_bytes: bytes of one line.
        max_reply_bytes: bytes of one reply, a usage text or a value of several lines.
        environment_seconds: until the environment is complete.
        command_seconds: for the reply to a look-up.
        playback_seconds: for a sound.
        prompt_seconds: added to the time-out that a prompt itself has.
        execute_seconds: for an application.
        hangup_reply_seconds: for the reply that is still due after a hang-up.
        cleanup_seconds: for the clean-up of a handler after the end of its call.
        max_sessions: calls at once.
        max_sessions_per_peer: calls at once from one peer.
    """

    max_environment_lines: int = MAX_ENVIRONMENT_LINES
    max_environment_bytes: int = MAX_ENVIRONMENT_BYTES
    max_line_bytes: int = MAX_LINE_BYTES
    max_reply_bytes: int = MAX_REPLY_BYTES
    environment_seconds: float = ENVIRONMENT_SECONDS
    command_seconds: float = COMMAND_SECONDS
    playback_seconds: float = PLAYBACK_SECONDS
    prompt_seconds: float = PROMPT_SECONDS
    execute_seconds: float = EXECUTE_SECONDS
    hangup_reply_seconds: float = HANGUP_REPLY_SECONDS
    cleanup_seconds: float = CLEANUP_SECONDS
    max_sessions: int = MAX_SESSIONS
    max_sessions_per_peer: int = MAX_SESSIONS_PER_PEER

    def __post_init__(self) -> None:
        require_positive(self)
