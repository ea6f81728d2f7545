"""What a real Asterisk said, and what could become of it on a bad day.

The files hold one conversation each as it came: the login, three lists, an error and the actions on offer while 3001
talks to 1001, and the end of that call. Their lines end with LF; on the wire it is CR LF. The actions had the ids
t-1 to t-7, in the order of ``ACTIONS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from hypothesis import strategies as st

from agi_monitor.ami.authentic import FILLED, NUMBERS, SHAPES, VALUES, Part, privilege_of

VERSIONS = ("16", "22")
REAL = {
    version: (Path(__file__).parent / f"conversation-{version}.txt").read_bytes().replace(b"\n", b"\r\n")
    for version in VERSIONS
}
ACTIONS = ("Challenge", "Login", "CoreShowChannels", "BridgeList", "QueueStatus", "Hangup", "ListCommands")
LISTS = frozenset({"CoreShowChannels", "BridgeList", "QueueStatus"})

TOKENS = (
    *(b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b":", b": ", b"\xff", b"\xc3"),
    *(b"Response: Success\r\n", b"Response: Error\r\n", b"Response: Goodbye\r\n", b"Event: Hangup\r\n"),
    *(b"Event: \r\n", b"EventList: Complete\r\n", b"EventList: cancelled\r\n", b"ActionID: t-3\r\n"),
    *(b"ActionID: t-99\r\n", b"Asterisk Call Manager/9.0.0\r\n", b"Output: x\r\n", b"A" * 300),
)


OWN_WORDS = {
    "State": "BUSY",
    "Exten": "1",
    "Status": "0",
    "Shutdown": "Cleanly",
    "Restart": "True",
    "Result": "Fail",
    "IsExternal": "No",
}
"""The shortest of what Asterisk says in headers that have words of its own."""


def told(name: str, **headers: str) -> str:
    """An event as Asterisk writes it, with values as short as they can be but for these."""
    parts = [part for part in SHAPES[name] if isinstance(part, Part) and not part.optional]
    names = [each for part in parts for each in part.names]
    values = {each: "0" if each in NUMBERS or each in FILLED else "" for each in names}
    values |= {each: OWN_WORDS[each] for each in names if (name, each) in VALUES}
    if name == "FullyBooted":
        values["Status"] = "Fully Booted"
    values |= headers
    lines = [f"Event: {name}", f"Privilege: {privilege_of(name)}", *(f"{each}: {values[each]}" for each in names)]
    return "".join(f"{line}\r\n" for line in lines) + "\r\n"


@dataclass(frozen=True)
class Edit:
    """One piece of a conversation that is lost, doubled, moved or put in. Places are in 1/1000 of the whole."""

    what: str
    place: int
    size: int
    to: int
    put: bytes

    def __call__(self, data: bytes) -> bytes:
        start, to = len(data) * self.place // 1_000, len(data) * self.to // 1_000
        piece = data[start : start + self.size]
        if self.what == "put":
            return data[:start] + self.put + data[start:]
        if self.what in ("lose", "move"):
            data = data[:start] + data[start + self.size :]
        return data if self.what == "lose" else data[:to] + piece + data[to:]


@dataclass(frozen=True)
class Said:
    """What a peer says, as a network delivers it.

    Parameters:
        version: whose conversation it was; empty for none.
        edits: what became of it, one after the other.
        more: said after that.
        cuts: where it is cut, in 1/1000 of the whole; each cut is followed by one a byte later.
    """

    version: str
    edits: tuple[Edit, ...]
    more: bytes
    cuts: tuple[int, ...]

    @property
    def data(self) -> bytes:
        """All of it."""
        data = REAL.get(self.version, b"")
        for edit in self.edits:
            data = edit(data)
        return data + self.more

    @property
    def chunks(self) -> list[bytes]:
        """All of it, in pieces."""
        data = self.data
        cuts = [len(data) * cut // 1_000 for cut in self.cuts]
        places = sorted({0, len(data), *cuts, *(cut + 1 for cut in cuts if cut < len(data))})
        return [data[begin:end] for begin, end in pairwise(places)]


PLACES = st.integers(0, 1_000)
BYTES = st.lists(st.binary(max_size=40) | st.sampled_from(TOKENS), max_size=12).map(b"".join)
EDITS = st.builds(
    Edit,
    st.sampled_from(["lose", "double", "move", "put"]),
    PLACES,
    st.sampled_from([1, 2, 30, 400, 4_000]),
    PLACES,
    BYTES,
)
SAID = st.builds(
    Said,
    st.sampled_from([*VERSIONS, ""]),
    st.lists(EDITS, max_size=6).map(tuple),
    st.just(b"") | BYTES,
    st.lists(PLACES, max_size=20).map(tuple),
)
