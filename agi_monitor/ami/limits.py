"""What one AMI peer may cost us, and how long it may take: every number with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from agi_monitor.limits import require_positive

MAX_GREETING_BYTES = 256
"""``Asterisk Call Manager/9.0.0`` is 27 bytes; a peer that says more before the first line end is not Asterisk."""

MAX_LINE_BYTES = 65_536
"""One header. Names, numbers and arguments are below 1 KiB, a variable's value below 8 KiB (a dialplan line)."""

MAX_MESSAGE_BYTES = 4_194_304
"""One message. The largest is the output of a console command: 2,000 channels at 200 bytes are 400 kB."""

MAX_MESSAGE_LINES = 20_000
"""Its lines. An event has up to 80, a console command's output one for each channel."""

MAX_LIST_ITEMS = 20_000
"""Items of one list: ten times the channels of the largest PBX."""

MAX_LIST_BYTES = 33_554_432
"""All lists that are coming in, together: 20,000 channels at 1 kB are 20 MB."""

MAX_IN_FLIGHT = 256
"""Actions without an answer. Asterisk takes them one after the other, each within a millisecond."""

LOGIN_SECONDS = 15.0
"""From the connection to the end of the login. Asterisk sleeps 1 s before it refuses, and hangs up after 30 s."""

ACTION_SECONDS = 10.0
"""An action's answer. An Originate that is not Async takes as long as the phone rings: do not send one."""

LIST_SECONDS = 30.0
"""A list up to its end: 2,000 channels take 50 ms, and the PBX may be busy."""

PING_SECONDS = 20.0
"""Between one Ping's answer and the next Ping: a firewall forgets a silent connection after minutes."""

PING_REPLY_SECONDS = 10.0
"""A Ping's answer. Later than that the PBX hangs, or the way to it is gone without a word."""

RETRY_SECONDS = 1.0
"""Before the first attempt after a loss; doubled with each failure."""

MAX_RETRY_SECONDS = 30.0
"""The longest wait: the index must not stay dead for minutes after the PBX is back."""

CLOSE_SECONDS = 2.0
"""How long a connection that we close has to say good-bye."""


@dataclass(frozen=True, slots=True)
class AMILimits:
    """The limits of one AMI connection. Sizes in bytes, times in seconds.

    Parameters:
        max_line_bytes: bytes of one line.
        max_message_bytes: bytes of one message.
        max_message_lines: lines of one message.
        max_list_items: items of one list.
        max_list_bytes: bytes of all lists that are coming in.
        max_in_flight: actions without an answer.
        login_seconds: from the connection to the end of the login.
        action_seconds: for an answer.
        list_seconds: for a whole list.
        ping_seconds: between one Ping's answer and the next Ping.
        ping_reply_seconds: for a Ping's answer.
        retry_seconds: before the first attempt after a loss; doubled with each failure.
        max_retry_seconds: the longest wait before an attempt.
        close_seconds: for a connection that is closed to say good-bye.
    """

    max_line_bytes: int = MAX_LINE_BYTES
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_message_lines: int = MAX_MESSAGE_LINES
    max_list_items: int = MAX_LIST_ITEMS
    max_list_bytes: int = MAX_LIST_BYTES
    max_in_flight: int = MAX_IN_FLIGHT
    login_seconds: float = LOGIN_SECONDS
    action_seconds: float = ACTION_SECONDS
    list_seconds: float = LIST_SECONDS
    ping_seconds: float = PING_SECONDS
    ping_reply_seconds: float = PING_REPLY_SECONDS
    retry_seconds: float = RETRY_SECONDS
    max_retry_seconds: float = MAX_RETRY_SECONDS
    close_seconds: float = CLOSE_SECONDS

    def __post_init__(self) -> None:
        require_positive(self)
