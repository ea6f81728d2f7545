"""What callers, agents and phones can plant into what a PBX tells, in every field that Asterisk writes as it is."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from tests.doubles.conversations import REAL, VERSIONS

END = b"\r\n\r\n"
RAW_SUFFIXES = ("CallerIDNum", "ConnectedLineNum", "Exten", "AccountCode")
"""Of each channel in an event, with the prefix of that channel (manager_channels.c)."""
RAW_NAMES = ("DialString", "Forward", "Extension", "OldAccountCode", "MemberName", "Name", "ApplicationData")
MAX_BYTES = 79
"""The length of a number, an extension or an account code (AST_CHANNEL_NAME, AST_MAX_EXTENSION,
AST_MAX_ACCOUNT_CODE).
"""

_FIELD = re.compile(
    rb"\r\n((?:[A-Za-z]*(?:"
    + "|".join(RAW_SUFFIXES).encode()
    + rb")|"
    + "|".join(RAW_NAMES).encode()
    + rb")): ([^\r]*)"
)

UNIQUEIDS = sorted({found.decode() for data in REAL.values() for found in re.findall(rb"Uniqueid: ([0-9.]+)", data)})
CHANNELS = sorted({found.decode() for data in REAL.values() for found in re.findall(rb"\r\nChannel: (\S+)", data)})

HEADERS = st.one_of(
    st.sampled_from(["Privilege: call,all", "Privilege: agent,all", "ActionID: t-3", "ActionID: t-5", "ActionID: 1"]),
    st.sampled_from(
        ["EventList: Complete", "ListItems: 0", "Queue: 500", "MemberName: 1001", "Priority: 1", "Exten: 1"]
    ),
    st.sampled_from(
        ["Interface: PJSIP/3002", "StateInterface: PJSIP/3002", "Device: PJSIP/1001", "State: UNAVAILABLE"]
    ),
    st.builds("Uniqueid: {}".format, st.sampled_from(UNIQUEIDS)),
    st.builds("Linkedid: {}".format, st.sampled_from(UNIQUEIDS)),
    st.builds("Channel: {}".format, st.sampled_from(CHANNELS)),
    st.builds("Newname: {}".format, st.sampled_from(CHANNELS)),
    st.sampled_from(["CallerIDName: x", "ConnectedLineNum: 1", "x", ": ", "\0", "\x1b[2J", ""]),
)
BEGINNINGS = st.sampled_from(
    [
        *("Event: Hangup", "Event: Rename", "Event: Newstate", "Event: QueueMemberAdded", "Event: DeviceStateChange"),
        *("Event: ExtensionStatus", "Event: ChanSpyStart", "Event: CoreShowChannel", "Event: QueueMember"),
        *("Event: QueueStatusComplete", "Event: BridgeDestroy", "Event: Reload", "Event: X"),
        *("Response: Success", "Response: Error", "Message: x", ""),
    ]
)
MESSAGES = st.builds(lambda first, rest: "\r\n".join([first, *rest]), BEGINNINGS, st.lists(HEADERS, max_size=4))
PLANTED = st.builds(
    lambda number, ends, parts, last: (number + ends + "\r\n\r\n".join(parts) + last).encode()[:MAX_BYTES],
    st.sampled_from(["", "5", "+49", "1\r\nPriority: 1\r\nUniqueid: 1.1\r\nLinkedid: 1.1"]),
    st.sampled_from(["\r\n", "\r\n\r\n"]),
    st.lists(MESSAGES, min_size=1, max_size=3),
    st.sampled_from(["", "\r\n", "\r\n\r\n"]),
)
"""What a number may be: a line break and more, cut as Asterisk cuts it."""


@st.composite
def streams(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    """A version, its honest conversation, and the same with text planted in one field."""
    version = draw(st.sampled_from(VERSIONS))
    honest = REAL[version]
    fields = list(_FIELD.finditer(honest))
    field = fields[draw(st.integers(0, len(fields) - 1))]
    planted = draw(PLANTED)
    return version, honest, honest[: field.start(2)] + planted + honest[field.end(2) :]
