"""Which messages Asterisk can have written, told by the names and the order of their headers.

A caller can. Asterisk writes a caller's number, a dialled number and a few other texts into events as they are, and a
line break among them ends a header, or the whole event: what follows is read as if Asterisk had said it. But the text
is short (79 bytes each), it stands in a known place, and everything that Asterisk writes after that place is still
to come. So an event planted in another one leaves two halves: the event before, which lacks its last headers, and the
rest of it, which does not begin a message or follows the planted one.

``SHAPES`` has the headers of each event, ``ITEMS`` those of each item of a list, ``ANSWERS`` those of a few answers.
A message that differs is *forged*: a header in other letters, one that its shape lacks, one that stands in it twice.
Read in 16.28.0 and 22.10.1: manager.c, manager_channels.c, manager_bridges.c, stasis_bridges.c, core_local.c,
devicestate.c, loader.c, asterisk.c, pbx.c, app_queue.c, parking_manager.c.

Text in the *last* header of an event leaves no half after it, so a whole event could follow. ``PRIVILEGES``,
``FILLED`` and ``VALUES`` make each event that we act on longer than the 79 bytes that a caller has; the shortest that
is left tells of a reload, and only has the lists asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

MAX_KNOWN = 4_096
"""Orders of names whose verdict is remembered. Honest events have about a hundred."""

MAX_KNOWN_BYTES = 16_777_216
"""What they may take together. A hundred orders take some 200 kB, and 5 MB where the names of channels are in them;
but an account of the class ``user`` writes a hundred names of its own into a UserEvent, each as long as a line."""

NAME_BYTES = 64
"""What a name takes besides its letters."""


class Why(StrEnum):
    """Why a message cannot be Asterisk's."""

    NO_BEGINNING = "no_beginning"
    """Its first header is neither Event nor Response: it is the rest of another one."""
    NO_PRIVILEGE = "no_privilege"
    """An event without the header that Asterisk writes second into each."""
    LINE_WITHOUT_NAME = "line_without_name"
    """A line has no colon."""
    HEADERS = "headers"
    """A header is missing, there twice, or elsewhere than Asterisk writes it."""
    VALUE = "value"
    """A value that Asterisk makes is not one of its own: a number, an identifier, the class of the event."""
    ANSWERS_NOTHING = "answers_nothing"
    """An answer or an item of a list that was not asked for."""
    BEFORE_FORGED = "before_forged"
    """It looks right, but what came right after it is forged: the text that was planted may begin in this one."""
    COUNT = "count"
    """A list says that it has another number of items."""


@dataclass(frozen=True, slots=True)
class Part:
    """Headers that stand together.

    Parameters:
        names: of the headers, in their order.
        optional: all of them may be missing.
        any_order: they are written from JSON, in whatever order.
        more: with ``any_order``, names that may stand among them.
    """

    names: tuple[str, ...]
    optional: bool = False
    any_order: bool = False
    more: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """A regular expression for the names, each with a line feed after it."""
        if self.any_order:
            name = "|".join(map(re.escape, (*self.names, *self.more)))
            pattern = f"(?:(?:{name})\n){{{len(self.names)},{len(self.names) + len(self.more)}}}"
        else:
            pattern = "".join(f"{re.escape(name)}\n" for name in self.names)
        return f"(?:{pattern})?" if self.optional else pattern


@dataclass(frozen=True, slots=True)
class Repeated:
    """A header that may come any number of times.

    Parameters:
        name: of the header.
    """

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """Its name."""
        return (self.name,)

    @property
    def pattern(self) -> str:
        """A regular expression for the names, each with a line feed after it."""
        return f"(?:{re.escape(self.name)}\n)*"


Shape = tuple[Part | Repeated, ...]

CHANNEL = (
    *("Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum", "CallerIDName", "ConnectedLineNum"),
    *("ConnectedLineName", "Language", "AccountCode", "Context", "Exten", "Priority", "Uniqueid", "Linkedid"),
)
"""A channel, in every event about one (ast_manager_build_channel_state_string_prefix, manager_channels.c)."""

BRIDGE = (
    *("BridgeUniqueid", "BridgeType", "BridgeTechnology", "BridgeCreator", "BridgeName", "BridgeNumChannels"),
    "BridgeVideoSourceMode",
)
"""A bridge (ast_manager_build_bridge_state_string_prefix, manager_bridges.c)."""


def _prefixed(prefix: str, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


def channel(prefix: str = "", *, optional: bool = False) -> Shape:
    """Return how a channel is written.

    Parameters:
        prefix: of its headers, such as ``Dest``.
        optional: the event may have no such channel.
    """
    snapshot = Part(_prefixed(prefix, CHANNEL), optional)
    # The tenant is 22's, and only where one is set; variables where channelvars of manager.conf asks for them.
    return (snapshot, Part((f"{prefix}Tenantid",), optional=True), Repeated(f"{prefix}ChanVariable"))


def bridge(prefix: str = "", *, optional: bool = False) -> Shape:
    """Return how a bridge is written.

    Parameters:
        prefix: of its headers, such as ``Orig``.
        optional: the event may have no such bridge.
    """
    return (Part(_prefixed(prefix, BRIDGE), optional), Part((f"{prefix}BridgeVideoSource",), optional=True))


def _fixed(*names: str) -> Shape:
    return (Part(names),)


def _maybe(*names: str) -> Shape:
    return (Part(names, optional=True),)


MEMBER = ("Queue", "MemberName", "Interface", "StateInterface", "Membership", "Penalty", "CallsTaken", "LastCall")
_MEMBER: Shape = (
    Part(
        (*MEMBER, "InCall", "Status", "Paused"),
        any_order=True,
        more=("LastPause", "LoginTime", "PausedReason", "Ringinuse", "Wrapuptime"),
    ),
)

_CHANNEL_ONLY = channel()
_DIALLED = (*channel(optional=True), *channel("Dest"))
_LOCALS = (*channel("LocalOne"), *channel("LocalTwo"))
_PARKED = (
    *channel("Parkee"),
    *channel("Retriever", optional=True),
    *_fixed("ParkerDialString", "Parkinglot", "ParkingSpace", "ParkingTimeout", "ParkingDuration"),
)
_CALLER_AND_AGENT = (*channel(), *channel("Dest"))


def _json(*names: str, more: tuple[str, ...] = ()) -> Shape:
    return (Part(names, any_order=True, more=more),)


SHAPES: Mapping[str, Shape] = {
    "Newchannel": _CHANNEL_ONLY,
    "Newstate": _CHANNEL_ONLY,
    "NewCallerid": (*channel(), *_fixed("CID-CallingPres")),
    "NewConnectedLine": _CHANNEL_ONLY,
    "NewAccountCode": (*channel(), *_fixed("OldAccountCode")),
    "Newexten": (*channel(), *_fixed("Extension", "Application", "AppData")),
    "HangupRequest": (*channel(), *_maybe("Cause"), *_maybe("TechCause")),
    "SoftHangupRequest": (*channel(), *_maybe("Cause"), *_maybe("TechCause")),
    "Hangup": (*channel(), *_fixed("Cause", "Cause-txt"), *_maybe("TechCause")),
    "MusicOnHoldStart": (*channel(), *_fixed("Class")),
    "MusicOnHoldStop": _CHANNEL_ONLY,
    "MixMonitorStart": _CHANNEL_ONLY,
    "MixMonitorStop": _CHANNEL_ONLY,
    "MixMonitorMute": (*channel(), *_maybe("Direction"), *_fixed("State")),
    "MonitorStart": _CHANNEL_ONLY,
    "MonitorStop": _CHANNEL_ONLY,
    "Hold": (*channel(), *_maybe("MusicClass")),
    "Unhold": _CHANNEL_ONLY,
    "DialBegin": (*_DIALLED, *_fixed("DialString")),
    "DialState": (*_DIALLED, *_maybe("Forward"), *_fixed("DialStatus")),
    "DialEnd": (*_DIALLED, *_maybe("Forward"), *_fixed("DialStatus")),
    # manager.c, append_channel_vars: the channel's name is part of the header's.
    "Rename": (*_fixed("Channel", "Newname", "Uniqueid"), Repeated("ChanVariable")),
    "LocalBridge": (*_LOCALS, *_fixed("Context", "Exten", "LocalOptimization")),
    "LocalOptimizationBegin": (*_LOCALS, *channel("Source", optional=True), *_fixed("DestUniqueId", "Id")),
    "LocalOptimizationEnd": (*_LOCALS, *_fixed("Success", "Id")),
    "BridgeCreate": bridge(),
    "BridgeDestroy": bridge(),
    "BridgeVideoSourceUpdate": (*bridge(), *_fixed("BridgePreviousVideoSource")),
    "BridgeMerge": (*bridge("To"), *bridge("From")),
    "BridgeEnter": (*bridge(), *channel(), *_maybe("SwapUniqueid")),
    "BridgeLeave": (*bridge(), *channel()),
    "BlindTransfer": (
        *_fixed("Result"),
        *channel("Transferer"),
        *channel("Transferee", optional=True),
        *bridge(optional=True),
        *_fixed("IsExternal", "Context", "Extension"),
    ),
    "AttendedTransfer": (
        *_fixed("Result"),
        *channel("OrigTransferer"),
        *bridge("Orig", optional=True),
        *channel("SecondTransferer"),
        *bridge("Second", optional=True),
        *channel("Transferee", optional=True),
        *channel("TransferTarget", optional=True),
        *_fixed("IsExternal", "DestType"),
        *_maybe("DestBridgeUniqueid"),
        *_maybe("DestTransfererChannel"),
        *_maybe("DestApp"),
        *channel("LocalOne", optional=True),
        *channel("LocalTwo", optional=True),
    ),
    "ChanSpyStart": (*channel("Spyer"), *channel("Spyee")),
    "ChanSpyStop": (*channel("Spyer"), *channel("Spyee")),
    "QueueCallerJoin": (*channel(), *_json("Queue", "Position", "Count")),
    "QueueCallerLeave": (*channel(), *_json("Queue", "Position", "Count")),
    "QueueCallerAbandon": (*channel(), *_json("Queue", "Position", "OriginalPosition", "HoldTime")),
    "AgentCalled": (*_CALLER_AND_AGENT, *_json("Queue", "Interface", "MemberName")),
    "AgentDump": (*_CALLER_AND_AGENT, *_json("Queue", "Interface", "MemberName")),
    "AgentRingNoAnswer": (*_CALLER_AND_AGENT, *_json("Queue", "Interface", "MemberName", "RingTime")),
    "AgentConnect": (*_CALLER_AND_AGENT, *_json("Queue", "Interface", "MemberName", "HoldTime", "RingTime")),
    "AgentComplete": (
        *_CALLER_AND_AGENT,
        *_json("Queue", "Interface", "MemberName", "HoldTime", "TalkTime", "Reason"),
    ),
    "QueueMemberAdded": _MEMBER,
    "QueueMemberRemoved": _MEMBER,
    "QueueMemberStatus": _MEMBER,
    "ParkedCall": _PARKED,
    "ParkedCallSwap": _PARKED,
    "UnParkedCall": _PARKED,
    "ParkedCallTimeOut": _PARKED,
    "ParkedCallGiveUp": _PARKED,
    "DeviceStateChange": _fixed("Device", "State"),
    "ExtensionStatus": _fixed("Exten", "Context", "Hint", "Status", "StatusText"),
    "FullyBooted": _json("Status", "Uptime", "LastReload"),
    "Shutdown": _json("Shutdown", "Restart"),
    "Reload": _json("Module", "Status"),
}
"""What stands behind ``Event``, ``Privilege`` and what the configuration adds to each event, by its name."""

AGENT_EVENTS = frozenset(name for name in SHAPES if name.startswith(("Queue", "Agent")))
SYSTEM_EVENTS = frozenset({"FullyBooted", "Shutdown", "Reload"})
OTHER_CLASSES: Mapping[str, str] = {"Newexten": "dialplan", "UserEvent": "user"}


def privilege_of(name: str) -> str:
    """Return what ``Privilege`` says in an event: its class, and ``all`` (authority_to_str, manager.c).

    Parameters:
        name: of the event.
    """
    kind = "agent" if name in AGENT_EVENTS else "system" if name in SYSTEM_EVENTS else "call"
    return f"{OTHER_CLASSES.get(name, kind)},all"


PRIVILEGES: Mapping[str, str] = {name: privilege_of(name) for name in (*SHAPES, "UserEvent")}
"""What ``Privilege`` says, by the event's name."""

A_PRIVILEGE = re.compile(
    r"(?:(?:system|call|log|verbose|command|agent|user|config|dtmf|reporting|cdr|dialplan|originate|agi|cc|aoc|test"
    r"|security|message),)+all|<none>"
)
"""What it may say in an event that is in no table (perms, manager.c)."""

CLASSLESS = frozenset({"HookResponse"})
"""Events of no class, which only ``all`` is told of."""

ITEMS: Mapping[str, Shape] = {
    "CoreShowChannel": (*channel(), *_fixed("Application", "ApplicationData", "Duration", "BridgeId")),
    "BridgeListItem": bridge(),
    "DeviceStateChange": SHAPES["DeviceStateChange"],
    "ExtensionStatus": SHAPES["ExtensionStatus"],
    "QueueParams": (
        *_fixed("Queue", "Max", "Strategy", "Calls", "Holdtime", "TalkTime", "Completed", "Abandoned"),
        *_fixed("ServiceLevel", "ServicelevelPerf"),
        *_maybe("ServicelevelPerf2"),
        *_fixed("Weight"),
    ),
    "QueueMember": (
        *_fixed("Queue", "Name", "Location", "StateInterface", "Membership", "Penalty", "CallsTaken", "LastCall"),
        *_maybe("LastPause"),
        *_maybe("LoginTime"),
        *_fixed("InCall", "Status", "Paused"),
        *_maybe("PausedReason"),
        *_maybe("Wrapuptime"),
    ),
    "QueueEntry": _fixed(
        *("Queue", "Position", "Channel", "Uniqueid", "CallerIDNum", "CallerIDName", "ConnectedLineNum"),
        *("ConnectedLineName", "Wait", "Priority"),
    ),
}
"""What stands behind ``Event`` in an item of a list, besides its ActionID."""

ID_LAST = frozenset({"QueueParams", "QueueMember", "QueueEntry"})
"""Items whose ActionID is their last header; for all others it is the second (manager_queues_status, app_queue.c)."""

ANSWERS: Mapping[str, tuple[str, ...]] = {"Getvar": ("Response", "ActionID", "Variable", "Value")}
"""The headers of a Success, by the action: those that carry what others may have written."""

TEXTS = frozenset({*ANSWERS, "Command"})
"""Actions whose Success may hold text that Asterisk has from others."""

LIST_END = ("Event", "ActionID", "EventList", "ListItems")
"""How the event begins that ends a list (astman_send_list_complete_start_common, manager.c)."""

FREE_TEXT = frozenset({"UserEvent"})
"""Events whose body is whatever a dialplan or an account says."""

_HEAD = Part(("Event", "Privilege")).pattern + "".join(
    Part(names, optional=True).pattern
    # timestampevents of manager.conf, its debug, and systemname of asterisk.conf (manager.c).
    for names in (("Timestamp",), ("SequenceNumber", "File", "Line", "Func"), ("SystemName",))
)


def _pattern(shape: Shape) -> str:
    return "".join(part.pattern for part in shape)


_EVENTS = {name: re.compile(_HEAD + _pattern(shape)) for name, shape in SHAPES.items()}
_LISTED = {
    name: re.compile(
        f"Event\n{_pattern(shape)}ActionID\n" if name in ID_LAST else f"Event\nActionID\n{_pattern(shape)}"
    )
    for name, shape in ITEMS.items()
}

FOREIGN = frozenset(
    {"URI", "ContactStatus", "AOR", "EndpointName", "RoundtripUsec", "UserAgent", "RegExpire", "ViaAddress"}
    | {"CallID", "ID", "AuthenticateQualify", "OutboundProxy", "Path", "QualifyFrequency", "QualifyTimeout"}
    | {"PeerStatus", "Peer", "ChannelType", "Address", "Port", "Time", "Domain", "Username", "Conference", "Admin"}
    | {"Muted", "MarkedUser", "WaitMarked", "EndMarked", "TalkingStatus", "Mailbox", "New", "Old", "Waiting"}
    | {"Presentity", "Subtype", "PresenceState", "TargetChannel", "Reason", "AgentName", "Agent", "Digit"}
)
"""Names that other events have: the rest of one of them may stand behind a planted event."""

VOCABULARY = frozenset(
    {"Event", "Response", "Privilege", "ActionID", "EventList", "ListItems", "Message", "Variable", "Value"}
    | {"Timestamp", "SequenceNumber", "File", "Line", "Func", "SystemName"}
    | FOREIGN
    | {name for shape in (*SHAPES.values(), *ITEMS.values()) for part in shape for name in part.names}
    | {name for shape in SHAPES.values() for part in shape if isinstance(part, Part) for name in part.more}
)
"""Every name in a shape: each of them has its place."""

_STATES = ("ChannelState", "Priority")
_PREFIXES = (
    *("", "Dest", "Spyer", "Spyee", "LocalOne", "LocalTwo", "Source", "Parkee", "Retriever"),
    *("Transferer", "Transferee", "OrigTransferer", "SecondTransferer", "TransferTarget"),
)
NUMBERS = frozenset(
    {prefix + name for prefix in _PREFIXES for name in _STATES}
    | {"BridgeNumChannels", "Cause", "TechCause", "Position", "Count", "Penalty", "CallsTaken", "LastCall"}
    | {"Paused", "InCall", "ListItems", "ParkingSpace", "ParkingTimeout", "ParkingDuration", "Calls"}
)
"""Headers whose value Asterisk writes with ``%d`` or ``%u``."""
NUMBER = re.compile(r"-?[0-9]{1,20}")

FILLED = frozenset(
    {prefix + name for prefix in _PREFIXES for name in ("Channel", "ChannelStateDesc", "Uniqueid", "Linkedid")}
    | {"Newname", "Device", "Queue", "Interface", "Location", "Module"}
    | {"BridgeUniqueid", "ToBridgeUniqueid", "FromBridgeUniqueid", "OrigBridgeUniqueid", "SecondBridgeUniqueid"}
)
"""Headers that are never empty in the events and items that are in a table."""

VALUES: Mapping[tuple[str, str], re.Pattern[str]] = {
    ("DeviceStateChange", "State"): re.compile(
        r"UNKNOWN|NOT_INUSE|INUSE|BUSY|INVALID|UNAVAILABLE|RINGING|RINGINUSE|ONHOLD"
    ),
    ("ExtensionStatus", "Exten"): re.compile(r".+", re.DOTALL),
    ("ExtensionStatus", "Status"): re.compile(r"-?[0-9]{1,10}"),
    ("FullyBooted", "Status"): re.compile(r"Fully Booted"),
    ("Shutdown", "Shutdown"): re.compile(r"Cleanly|Uncleanly"),
    ("Shutdown", "Restart"): re.compile(r"True|False"),
    ("Reload", "Status"): re.compile(r"[0-9]{1,3}"),
    ("BlindTransfer", "Result"): re.compile(r"[A-Za-z ]+"),
    ("BlindTransfer", "IsExternal"): re.compile(r"Yes|No"),
}
"""What a value is like that Asterisk has from a table (devicestate.c, pbx.c, asterisk.c, loader.c), by the names of
the event or item and of the header."""

_VARIABLE = re.compile(r"ChanVariable\(.*\)", re.DOTALL)


class Authenticity:
    """Says what Asterisk cannot have written. Remembers the orders of names that it has seen."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, tuple[str, ...]], Why | None] = {}
        self._known_bytes = 0

    def why_not_event(self, name: str, headers: Sequence[tuple[str, str]]) -> Why | None:
        """Return why an event, which answers no action, is forged; None when it may be Asterisk's.

        Parameters:
            name: of the event.
            headers: all of its names and values, in their order.
        """
        return self._why("event", name, headers)

    def why_not_item(self, name: str, headers: Sequence[tuple[str, str]]) -> Why | None:
        """Return why an item of a list that was asked for is forged; None when it may be Asterisk's.

        Parameters:
            name: of its event.
            headers: all of its names and values, in their order.
        """
        return self._why("item", name, headers)

    def why_not_end(self, headers: Sequence[tuple[str, str]]) -> Why | None:
        """Return why the end of a list is forged; None when it may be Asterisk's.

        Parameters:
            headers: all of its names and values, in their order.
        """
        names = tuple(name for name, _ in headers)
        # One that is broken off has no number of items.
        expected = LIST_END if "ListItems" in names else LIST_END[:-1]
        return None if names[: len(expected)] == expected else Why.HEADERS

    def why_not_answer(self, action: str, success: bool, headers: Sequence[tuple[str, str]]) -> Why | None:
        """Return why an answer is forged; None when it may be Asterisk's.

        Parameters:
            action: that it answers.
            success: whether it says so.
            headers: all of its names and values, in their order.
        """
        names = tuple(name for name, _ in headers)
        expected = ANSWERS.get(action) if success else None
        if names[:2] != ("Response", "ActionID") or (expected is not None and names != expected):
            return Why.HEADERS
        return None

    def _why(self, kind: str, name: str, headers: Sequence[tuple[str, str]]) -> Why | None:
        names = tuple([each for each, _ in headers])
        key = kind, name, names
        try:
            why = self._known[key]
        except KeyError:
            why = _why_not_names(kind, name, names)
            self._remember(key, why)
        if why is not None:
            return why
        if kind == "event" and not is_privilege(name, headers[1][1]):
            return Why.VALUE
        if name in SHAPES or name in ITEMS:
            for each, value in headers:
                if each in NUMBERS and NUMBER.fullmatch(value) is None:
                    return Why.VALUE
                if not value and each in FILLED:
                    return Why.VALUE
                if (form := VALUES.get((name, each))) is not None and form.fullmatch(value) is None:
                    return Why.VALUE
        return None

    def _remember(self, key: tuple[str, str, tuple[str, ...]], why: Why | None) -> None:
        _, name, names = key
        size = sum(map(len, names)) + len(name) + NAME_BYTES * (len(names) + 2)
        if size > MAX_KNOWN_BYTES:
            return
        if len(self._known) >= MAX_KNOWN or self._known_bytes + size > MAX_KNOWN_BYTES:
            # Only a peer that makes up names fills it.
            self._known.clear()
            self._known_bytes = 0
        self._known[key] = why
        self._known_bytes += size


def is_privilege(name: str, text: str) -> bool:
    """Return whether Asterisk writes this as the ``Privilege`` of an event.

    Parameters:
        name: of the event.
        text: the header's value.
    """
    expected = PRIVILEGES.get(name)
    if expected is not None:
        return text == expected
    return A_PRIVILEGE.fullmatch(text) is not None or (name in CLASSLESS and text == "all")


def _why_not_names(kind: str, name: str, found: tuple[str, ...]) -> Why | None:
    if not found or found[0] != "Event":
        return Why.NO_BEGINNING
    if name in FREE_TEXT:
        if found[1:2] != ("Privilege",):
            return Why.NO_PRIVILEGE
        # The dialplan's channel may stand before it; what is left of a torn event has none (app_userevent.c).
        return None if name in found else Why.HEADERS
    if "" in found:
        return Why.LINE_WITHOUT_NAME
    names = tuple("ChanVariable" if _VARIABLE.fullmatch(each) else each for each in found)
    if kind == "event" and names[1:2] != ("Privilege",):
        return Why.NO_PRIVILEGE
    shape = (_EVENTS if kind == "event" else _LISTED).get(name)
    if shape is None:
        return None if kind == "item" or _has_whole_channels(names) else Why.HEADERS
    once = [_folded(each) for each in names if not each.endswith("ChanVariable")]
    # A reader that ignores the case of names must find the same headers as we do.
    if len(set(once)) != len(once):
        return Why.HEADERS
    if shape.fullmatch("".join(f"{each}\n" for each in names)) is None:
        return Why.HEADERS
    required = {
        each
        for part in (SHAPES if kind == "event" else ITEMS)[name]
        if isinstance(part, Part) and not part.optional
        for each in part.names
    }
    return None if required <= set(names) else Why.HEADERS


def _folded(name: str) -> str:
    """The name as it counts where letters do: ``lower`` and ``casefold`` both make a ``k`` of the Kelvin sign."""
    return name.lower().casefold()


def _has_whole_channels(names: tuple[str, ...]) -> bool:
    """Whether each channel in an event of another kind is whole: those of most events are written by one function."""
    for place, name in enumerate(names):
        if name.endswith("ChannelStateDesc"):
            prefix = name.removesuffix("ChannelStateDesc")
            begin = place - CHANNEL.index("ChannelStateDesc")
            if begin < 0 or names[begin : begin + len(CHANNEL)] != _prefixed(prefix, CHANNEL):
                return False
        elif name.endswith("Linkedid"):
            prefix = name.removesuffix("Linkedid")
            if place < len(CHANNEL) or names[place - len(CHANNEL) + 1] != f"{prefix}Channel":
                # The rest of an event that was torn inside a channel always holds the last header of it.
                return False
    return True
