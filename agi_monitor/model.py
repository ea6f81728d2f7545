"""The vocabulary. Imports nothing of ours; every other module may import it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """What a supervisor may do on a call."""

    LISTEN = "listen"
    """Hear agent and customer; neither hears the supervisor."""
    WHISPER = "whisper"
    """The agent hears the supervisor as well, the customer does not."""
    BARGE = "barge"
    """Agent and customer hear the supervisor."""
    TAKE_OVER = "take_over"
    """The supervisor continues with the customer, and the agent is released. Reached from another mode only."""


class Direction(StrEnum):
    """Who called whom, as the agent sees it."""

    IN = "in"
    """The agent was called, directly or by a queue."""
    OUT = "out"
    """The agent called."""


class RogueSpies(StrEnum):
    """What happens to a spy without a grant."""

    ALARM = "alarm"
    """It is recorded and reported."""
    HANG_UP = "hang_up"
    """Its channel is hung up as well."""


class Orphans(StrEnum):
    """What happens, when a server is back, to a spy of ours whose server died."""

    ADOPT = "adopt"
    """It continues, is listed, and its end is recorded."""
    END = "end"
    """It is hung up."""


class Follow(StrEnum):
    """Whom a supervisor stays with when the call that they hear ends."""

    AGENT = "agent"
    """The agent: the next call of the same extension, until the star key."""
    CUSTOMER = "customer"
    """The customer, through transfer and hold, as long as the new agent may be heard as well."""
    NONE = "none"
    """No one: the supervisor is asked for the next extension."""


class ScanOrder(StrEnum):
    """Which call a scan takes next."""

    LONGEST = "longest"
    """The one that has lasted longest."""
    RANDOM = "random"
    """Any of them."""


class ModeMark(StrEnum):
    """What a supervisor hears, alone, before another mode begins."""

    NONE = "none"
    """Nothing: the change takes no time."""
    TONE = "tone"
    """Beeps: one for listen, two for whisper, three for barge, four for a take-over."""
    WORD = "word"
    """The words of the mode's prompt, such as `mode_whisper`."""


class Barge(StrEnum):
    """What carries a barge."""

    CHANSPY = "chanspy"
    """ChanSpy: keys keep working; it reaches one other party, and stays with the one that it began with."""
    CONFERENCE = "conference"
    """The supervisor joins the call: any number of parties, through transfers, even when the agent leaves. Keys do
    nothing until the supervisor hangs up."""


class Reason(StrEnum):
    """Why a request was refused. The slug is what the audit and the logs carry."""

    CODE_UNKNOWN = "code_unknown"
    """The dialled code is not one of the feature codes."""
    ENDPOINT_UNKNOWN = "endpoint_unknown"
    """The phone is not assigned to a supervisor. Sounds like ``pin_wrong``."""
    PIN_WRONG = "pin_wrong"
    """No attempt in this call had the correct PIN."""
    PIN_LOCKED = "pin_locked"
    """Too many wrong PINs of this supervisor, on this phone or over this PBX: they must wait, even with the correct
    PIN."""
    PIN_EXPIRED = "pin_expired"
    """The PIN was correct, but is too old or must be changed, and was not changed in this call."""
    IDENTITY_CHANGED = "identity_changed"
    """Since the PIN was keyed in, the phone was given to another person, the person was removed or disabled, or the
    PIN was changed. The call ends."""
    EXTENSION_MISSING = "extension_missing"
    """The supervisor was asked for an extension and keyed in none."""
    AGENT_UNKNOWN = "agent_unknown"
    """No agent has this extension. Sounds like ``mode_denied``."""
    MODE_DENIED = "mode_denied"
    """No rule allows this mode on this agent, or one denies it."""
    REASON_MISSING = "reason_missing"
    """The rules ask for a reason, and none of the digits that stand for one was pressed."""
    TIME_IS_UP = "time_is_up"
    """This supervisor has heard this call for as long as the rules allow."""
    TOO_MANY_LISTENERS = "too_many_listeners"
    """As many supervisors as the rules allow already hear this call."""
    SELF_SPY = "self_spy"
    """The supervisor asked for a phone of their own."""
    NO_CALL = "no_call"
    """The agent's phone is idle, or not yet in a conversation."""
    RINGING = "ringing"
    """The agent's phone is ringing."""
    ON_HOLD = "on_hold"
    """The agent's call is on hold."""
    UNAVAILABLE = "unavailable"
    """The agent's phone is not registered, or the PBX does not know its state."""
    AMBIGUOUS = "ambiguous"
    """The agent is on several calls, and the supervisor chose none."""
    TARGET_GONE = "target_gone"
    """The call ended between the decision and the first sound."""
    CONFERENCE = "conference"
    """Barging and taking over reach one other party only; this call has more."""
    PROTECTED = "protected"
    """This call may not be heard, whichever agent is on it."""
    REVOKED = "revoked"
    """The spy was ended from outside: it is no longer allowed, or was ended by command."""
    STALE = "stale"
    """This needs the live picture of the PBX, which is not to be trusted now."""
    NOTICE_FAILED = "notice_failed"
    """The agent had to be told first, and could not be."""
    PLUGIN_DENIED = "plugin_denied"
    """A plug-in of the site says no; the detail names it."""
    PLUGIN_FAILED = "plugin_failed"
    """A plug-in of the site raised, took too long, or answered nonsense; the detail names it."""
    AUDIT_UNAVAILABLE = "audit_unavailable"
    """The record could not be written, so no one may spy."""
    STATE_UNAVAILABLE = "state_unavailable"
    """The store with the lock-outs could not be read or written, so no PIN is accepted."""
    PBX_ERROR = "pbx_error"
    """Asterisk answered something unexpected."""


class Locked(StrEnum):
    """What wrong PINs are counted for."""

    SUPERVISOR = "supervisor"
    """A supervisor, on any phone."""
    ENDPOINT = "endpoint"
    """A phone, assigned or not."""
    PEER = "peer"
    """The address of a PBX: everyone who calls over it."""


class PinDue(StrEnum):
    """Why a PIN must be changed."""

    EXPIRED = "expired"
    """It is older than `pins.max_days`, or its age is not known."""
    ASKED = "asked"
    """An administrator asked for it."""


class Cue(StrEnum):
    """A moment, other than a refusal, at which something is said."""

    ASK_NUMBER = "ask_number"
    """Before the number of the supervisor's own phone, on an unassigned phone. One sound file."""
    ASK_PIN = "ask_pin"
    """Before the PIN. One sound file: keys may interrupt it."""
    ASK_PIN_AGAIN = "ask_pin_again"
    """After a wrong PIN. One sound file."""
    ASK_NEW_PIN = "ask_new_pin"
    """Before a new PIN, when the old one must be changed. One sound file."""
    ASK_NEW_PIN_AGAIN = "ask_new_pin_again"
    """Before the new PIN is keyed in a second time. One sound file."""
    PIN_NOT_SAME = "pin_not_same"
    """The two new PINs differ."""
    PIN_WEAK = "pin_weak"
    """The new PIN is too easy to guess, too short, or the old one."""
    PIN_CHANGED = "pin_changed"
    """The new PIN is in force from now on."""
    ASK_EXTENSION = "ask_extension"
    """Before the extension is keyed in. One sound file."""
    ASK_REST = "ask_rest"
    """In its place if the extension that was dialled is shorter than any: the rest is keyed in. One sound file."""
    CHOOSE_CALL = "choose_call"
    """Once for each of an agent's calls."""
    CHOOSE_HELD_CALL = "choose_held_call"
    """In its place for a call that is on hold."""
    ASK_REASON = "ask_reason"
    """Before the digit that stands for a reason. One sound file."""
    CALL_OVER = "call_over"
    """The agent's call ended while the supervisor was on it."""
    WAITING = "waiting"
    """The supervisor stays, and waits for the next call."""
    WAITING_FOR = "waiting_for"
    """The same, for the call of one agent, whose extension is said."""
    STILL_WAITING = "still_waiting"
    """From time to time during a wait, with `waiting.beep`."""
    SCANNED = "scanned"
    """The scan reaches an agent, whose extension is said first."""
    HELP = "help"
    """After the key 0 during a spy: what the keys do."""
    HELP_WAITING = "help_waiting"
    """The same during a wait."""
    MODE_LISTEN = "mode_listen"
    """Before listen begins after another mode, with `spies.mode_mark`."""
    MODE_WHISPER = "mode_whisper"
    """Before whisper begins, with `spies.mode_mark`."""
    MODE_BARGE = "mode_barge"
    """Before barge begins, with `spies.mode_mark`."""
    MODE_TAKE_OVER = "mode_take_over"
    """Before a take-over, with `spies.mode_mark`."""
    GOODBYE = "goodbye"
    """Before hanging up."""


ONE_FILE = frozenset(
    {
        Cue.ASK_NUMBER,
        Cue.ASK_PIN,
        Cue.ASK_PIN_AGAIN,
        Cue.ASK_NEW_PIN,
        Cue.ASK_NEW_PIN_AGAIN,
        Cue.ASK_EXTENSION,
        Cue.ASK_REST,
        Cue.ASK_REASON,
    }
)
"""GET DATA plays exactly one file."""


DEFAULT_REASONS: Mapping[str, str] = {"1": "quality", "2": "training", "3": "complaint"}
"""The digits that stand for a reason to hear an agent, if the configuration names none."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An expected no.

    Parameters:
        reason: the slug.
        detail: for the audit and the administrator, never spoken, never with a digit of a PIN.
    """

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SpyRequest:
    """What the dialled digits ask for.

    Parameters:
        mode: the mode of the feature code.
        extension: the agent's extension; None if the supervisor must be asked for it.
        scan: whether it asks for one call after the other, of all agents that may be heard.
        number: of the scan, which says whose calls; empty for those of all.
    """

    mode: Mode
    extension: str | None
    scan: bool = False
    number: str = ""


@dataclass(frozen=True, slots=True)
class Supervisor:
    """A person who may ask to hear calls.

    Parameters:
        id: the key in the configuration, as rules and the audit name it.
        endpoints: the devices they dial from, such as ``PJSIP/2001``.
        groups: the supervisor groups they are in.
        name: for people.
        pin_hash: an argon2id hash; None if there is no PIN, so that they can never be identified.
        language: of the prompts; None leaves the channel's own.
        pin_set: when the PIN was chosen, in seconds since 1970; None if that is not known.
        pin_must_change: whether an administrator asked for another PIN.
        tenant: the company whose agents they may hear; empty if the PBX has only one.
    """

    id: str
    endpoints: frozenset[str]
    groups: frozenset[str]
    pin_hash: str | None
    name: str = ""
    language: str | None = None
    pin_set: float | None = None
    pin_must_change: bool = False
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is on the line, as a PIN has proven it.

    Parameters:
        supervisor: the id.
        pin: which PIN proved it, as ``pins.records.pin_id`` names it; it tells nothing of the digits.
    """

    supervisor: str
    pin: str


@dataclass(frozen=True, slots=True)
class Agent:
    """A person whose calls may be heard.

    Two companies on one PBX may both have an agent at 1001. ``extension`` identifies the agent everywhere; ``digits``
    are what a phone dials and what hints and queues know, and identify an agent only with the tenant's contexts.

    Parameters:
        extension: the key in the configuration, as rules and the audit name them; the dialled digits unless
            ``dialled`` has others.
        groups: the agent groups they are in.
        endpoints: their devices; empty means that the PBX is asked for the hint of the extension.
        name: for people.
        dialled: the digits that are dialled for them; empty if they are the key.
        tenant: the company they work for; empty if the PBX has only one.
        hint_context: where the hint of their extension is; None for that of the whole site.
        contexts: the contexts by which a queue login is theirs; None for any, if the PBX has only one company.
    """

    extension: str
    groups: frozenset[str]
    endpoints: tuple[str, ...] = ()
    name: str = ""
    dialled: str = ""
    tenant: str = ""
    hint_context: str | None = None
    contexts: frozenset[str] | None = None

    @property
    def digits(self) -> str:
        """What is dialled for them, and what hints and queues call them."""
        return self.dialled or self.extension

    def is_logged_in_by(self, extension: str, contexts: frozenset[str]) -> bool:
        """Return whether a queue login of this extension, in these contexts, is theirs.

        Parameters:
            extension: from the name or the interface of the queue member.
            contexts: those that the member names, of its Local channel and of the hint that is its state.
        """
        if extension != self.digits:
            return False
        # A member that names no context may be any agent with that number.
        return self.contexts is None or (bool(contexts) and contexts <= self.contexts)


class Flavour(StrEnum):
    """Who writes the PBX's own files."""

    PLAIN = "plain"
    """People."""
    FREEPBX = "freepbx"
    """FreePBX, which leaves the files ``*_custom.conf`` alone."""
    REALTIME = "realtime"
    """A database that Asterisk asks (extconfig.conf), for phones and for the dialplan."""
