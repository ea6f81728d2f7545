"""What the verbs of a session return: keys, how a sound ended, how a call went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class ChannelState(IntEnum):
    """The state of a channel (enum ast_channel_state, channelstate.h)."""

    DOWN = 0
    RESERVED = 1
    OFF_HOOK = 2
    DIALING = 3
    RING = 4
    """The far end is being rung."""
    RINGING = 5
    """The device itself rings."""
    UP = 6
    BUSY = 7
    DIALING_OFF_HOOK = 8
    PRE_RING = 9


@dataclass(frozen=True, slots=True)
class Digits:
    """What was keyed in at a prompt. Its ``repr`` hides the digits, which may be a PIN.

    >>> Digits("4071", timed_out=False)
    Digits(<4>, timed_out=False)

    Parameters:
        digits: without the closing ``#``; may be empty, may be a part.
        timed_out: the caller let the time pass instead of ending with ``#`` or the last digit.
    """

    digits: str
    timed_out: bool

    def __repr__(self) -> str:
        # They may be a PIN, and a repr ends up in tracebacks and assertion messages.
        return f"Digits(<{len(self.digits)}>, timed_out={self.timed_out})"


@dataclass(frozen=True, slots=True)
class Playback:
    """How a sound ended.

    Parameters:
        digit: the key that stopped it, or empty.
        end_position: samples played.
        found: False when Asterisk could not play it, usually because there is no such file.
    """

    digit: str
    end_position: int
    found: bool = True


@dataclass(frozen=True, slots=True)
class Recording:
    """How a recording ended.

    Parameters:
        digit: the key that stopped it, or empty.
        end_position: samples recorded.
        reason: ``dtmf`` or ``timeout`` (also for silence); ``randomerror`` when a key stopped the beep.
    """

    digit: str
    end_position: int
    reason: str


@dataclass(frozen=True, slots=True)
class SpeechMatch:
    """One thing that a speech engine may have heard.

    Parameters:
        score: the engine's own measure.
        text: the words.
        grammar: the grammar that matched.
    """

    score: int
    text: str
    grammar: str


@dataclass(frozen=True, slots=True)
class Recognition:
    """How a recognition ended.

    Parameters:
        reason: ``speech``, ``digit``, ``timeout`` or empty.
        digit: the key that was pressed instead of speaking, or empty.
        end_position: where the prompt was stopped, in samples.
        matches: what was heard, best first.
    """

    reason: str
    digit: str = ""
    end_position: int = 0
    matches: tuple[SpeechMatch, ...] = ()


class DialStatus(StrEnum):
    """How ``Dial`` ended (DIALSTATUS, app_dial.c)."""

    ANSWER = "ANSWER"
    """A device answered, and the call is over."""
    BUSY = "BUSY"
    NO_ANSWER = "NOANSWER"
    CANCEL = "CANCEL"
    """The caller hung up before anyone answered."""
    CONGESTION = "CONGESTION"
    UNAVAILABLE = "CHANUNAVAIL"
    """No device of these can be reached, or there is none."""
    DO_NOT_CALL = "DONTCALL"
    """The called party sent the caller away (options p and P)."""
    TORTURE = "TORTURE"
    """The called party sent the caller to a torture script (options p and P)."""
    INVALID_ARGUMENTS = "INVALIDARGS"


@dataclass(frozen=True, slots=True)
class DialOutcome:
    """How ``Session.dial`` ended.

    Parameters:
        status: answered, or why not.
        talked_seconds: how long the two talked; 0 without an answer.
        hung_up: the caller is gone. The next command that needs a caller raises ``CallEnded``.
    """

    status: DialStatus
    talked_seconds: int
    hung_up: bool
