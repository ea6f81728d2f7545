"""agi_monitor.ami.authentic: headers that a caller plants in whatever letters, and events behind the last header."""

from __future__ import annotations

import json
import re
import tracemalloc
from pathlib import Path

import pytest

from agi_monitor.ami import authentic
from agi_monitor.ami.authentic import FILLED, SHAPES, VALUES, VOCABULARY, Why
from agi_monitor.ami.connection import NEED_DATA, AMIConnection, Event, Forged, Response
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Action
from agi_monitor.live.calls import EVENTS
from tests.doubles.conversations import ACTIONS, LISTS, REAL, VERSIONS, told
from tests.doubles.planted import MAX_BYTES

ROOT = Path(__file__).parents[3]
GREETING = b"Asterisk Call Manager/9.0.0\r\n"
UNIQUEID = "1700000000.1"
"""Asterisk's begin with ten digits until the year 2286."""

WANTED = EVENTS | {"ChanSpyStart", "ChanSpyStop"}
RAW = ("CallerIDNum", "ConnectedLineNum", "AccountCode", "Exten")
"""What is written about a channel as others said it."""

ONLY_LISTS = {"Shutdown", "Reload"}
"""Events after which the lists are asked for, and nothing else is done."""


def conversation(data: str | bytes, *, wanted: frozenset[str] | None = frozenset(WANTED)) -> list[object]:
    """What is said of it."""
    connection = AMIConnection(AMILimits(), wanted)
    connection.receive_data(GREETING + (data.encode() if isinstance(data, str) else data))
    found: list[object] = []
    while (event := connection.next_event()) is not NEED_DATA:
        found.append(event)
    return found[1:]


def whys(found: list[object]) -> list[Why]:
    """Why messages are not believed."""
    return [each.why for each in found if isinstance(each, Forged)]


@pytest.mark.parametrize("header", RAW)
@pytest.mark.parametrize(
    "line",
    [
        *("uniqueid: 1.1", "UNIQUEID: 1.1", "uniqueid:", "Uniqueid:", "Uniqueid:1.1", "application:x", "x: y", "x:y"),
        *("lin\u212aedid: 1.1", "Lin\u212aedid: 1.1", "Un\u0131queid: 1.1", "\u017ftate: x", "Application: x", "y"),
        *("Queue: x", "queue: x", "ChanVariable: a", ": x", " Uniqueid: 1.1", "Uniqueid : 1.1", "SystemName: x"),
    ],
)
@pytest.mark.parametrize("name", ["Newstate", "Hangup", "QueueCallerJoin", "BridgeEnter"])
def test_a_line_inside_a_number_is_seen(name: str, header: str, line: str) -> None:
    """In whatever letters, known or not."""
    (found,) = conversation(told(name, **{header: f"1\r\n{line}"}))
    assert isinstance(found, Forged)


@pytest.mark.parametrize("line", ["stateinterface: PJSIP/9", "stateinterface:", "x: y", "location: PJSIP/9", "x"])
@pytest.mark.parametrize("name", ["QueueMemberStatus", "QueueMemberAdded"])
def test_a_line_inside_the_name_of_a_queue_member_is_seen(name: str, line: str) -> None:
    """Anyone who logs in chooses it."""
    (found,) = conversation(told(name, MemberName=f"1001\r\n{line}"))
    assert isinstance(found, Forged)


@pytest.mark.parametrize("line", ["hint: PJSIP/7", "context: x", "hint:", "x: y"])
def test_a_line_inside_the_extension_of_a_hint_is_seen(line: str) -> None:
    """Anyone who subscribes chooses it."""
    (found,) = conversation(told("ExtensionStatus", Exten=f"1900\r\n{line}"))
    assert isinstance(found, Forged)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("line", ["application:x", "application: x", "x: y", "uniqueid: 1.1", "Uniqueid:"])
def test_a_line_inside_an_item_of_a_list_is_seen(version: str, line: str) -> None:
    """In each place of the recorded lists where a caller's text stands."""
    honest = REAL[version]
    fields = rb"\r\n(?:[A-Za-z]*(?:Num|Exten|AccountCode|ApplicationData)|Name|MemberName): "
    places = list(re.finditer(fields, honest))
    assert len(places) > 50
    for place in places:
        planted = honest[: place.end()] + f"1\r\n{line}".encode() + honest[place.end() :]
        assert is_disbelieved(planted), honest[place.start() : place.end()]


def is_disbelieved(data: bytes) -> bool:
    """Whether a recorded conversation shows that something in it is forged."""
    connection = AMIConnection(AMILimits(), frozenset(WANTED))
    connection.receive_data(GREETING)
    connection.next_event()
    for number, name in enumerate(ACTIONS, start=1):
        connection.send(Action(name, (), f"t-{number}"), as_list=name in LISTS)
    connection.receive_data(data[data.index(b"\r\n") + 2 :])
    while (event := connection.next_event()) is not NEED_DATA:
        if isinstance(event, Forged) or (isinstance(event, Response) and event.why_forged is not None):
            return True
    return False


@pytest.mark.parametrize("version", VERSIONS)
def test_what_asterisk_said_is_believed(version: str) -> None:
    """All of it."""
    assert not is_disbelieved(REAL[version])


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_the_shortest_of_each_event_is_believed(name: str) -> None:
    """As it is written here; so what is measured below is an event that counts."""
    (found,) = conversation(told(name), wanted=None)
    assert isinstance(found, Event)


@pytest.mark.parametrize("name", sorted(set(SHAPES) - ONLY_LISTS))
def test_no_whole_event_fits_behind_a_last_header(name: str) -> None:
    """A caller has 79 bytes; Asterisk adds the end of the message. Of reloads only the lists tell."""
    # For a uniqueid and a device only the shortest that there is; and of states those that change an answer.
    real = {"Rename": {"Uniqueid": UNIQUEID}, "DeviceStateChange": {"Device": "SIP/1", "State": "INVALID"}}
    shortest = told(name, **real.get(name, {}))
    assert len("\r\n\r\n" + shortest.removesuffix("\r\n\r\n")) > MAX_BYTES


@pytest.mark.parametrize(
    "privilege", ["", "x", "call", "all", "agent,all", "call, all", "system,all", "call,all,all"]
)
def test_the_class_of_an_event_is_asterisks(privilege: str) -> None:
    """To the letter."""
    (found,) = conversation(told("Rename").replace("call,all", privilege))
    assert whys([found]) == [Why.VALUE]
    assert whys(conversation(f"Event: X\r\nPrivilege: {privilege}\r\n\r\n"))[:1] == (
        [] if privilege in ("agent,all", "system,all") else [Why.VALUE]
    )


@pytest.mark.parametrize(
    ("name", "header"),
    [
        *(("Rename", "Channel"), ("Rename", "Newname"), ("Rename", "Uniqueid"), ("Hangup", "Linkedid")),
        *(("DeviceStateChange", "Device"), ("DeviceStateChange", "State"), ("ExtensionStatus", "Exten")),
        *(("QueueMemberAdded", "Queue"), ("QueueMemberAdded", "Interface"), ("ChanSpyStart", "SpyerChannel")),
    ],
)
def test_what_asterisk_never_leaves_empty_is_not_empty(name: str, header: str) -> None:
    """So an event cannot be shortened."""
    (found,) = conversation(told(name, **{header: ""}))
    assert whys([found]) == [Why.VALUE]


def test_an_event_behind_the_last_header_is_seen() -> None:
    """The target of a transfer is the last header of its event."""
    text = f"1\r\n\r\nEvent: Rename\r\nPrivilege:\r\nChannel:\r\nNewname: A/1\r\nUniqueid: {UNIQUEID}"
    assert len(text) <= MAX_BYTES
    assert whys(conversation(told("BlindTransfer", Extension=text)))


@pytest.mark.parametrize("name", ["UserEvent", "X", "VarSet", "Cdr"])
@pytest.mark.parametrize("privilege", ["x", "call,all", "user,all", "dialplan,all", ""])
def test_nobody_ends_an_event_and_lets_its_rest_be_another_one_that_nobody_reads(name: str, privilege: str) -> None:
    """The rest of a channel holds a Linkedid, and an event that holds one holds a whole channel."""
    text = f"\r\nPriority: 1\r\nUniqueid: {UNIQUEID}\r\nLinkedid: 1\r\n\r\nEvent: {name}\r\nPrivilege: {privilege}"
    assert whys(conversation(told("Newstate", Exten=text)))


def test_names_differ_by_more_than_their_letters() -> None:
    """No two headers of one event are the same where upper and lower case do not differ."""
    for name in SHAPES:
        names = re.findall(r"^([^:\r\n]+): ", told(name).replace("\r\n", "\n"), re.MULTILINE)
        assert len({each.casefold() for each in names}) == len(names), name
    assert all(each.isascii() for each in VOCABULARY)


def test_all_that_a_call_through_a_queue_tells_is_believed() -> None:
    """Every event of it, also those that are not read here."""
    lines = (ROOT / "benchmarks/call-22.txt").read_text().splitlines()
    text = "\r\n".join(line for line in lines if not line.startswith("#")).strip("\r\n")
    found = conversation(text + "\r\n\r\n", wanted=None)
    assert len(found) > 150
    assert all(isinstance(each, Event) for each in found)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_values_that_were_recorded_are_asterisks(version: str) -> None:
    """Of calls of every kind: what is never empty is not, and words are those that we know."""
    lines = (ROOT / f"tests/transcripts/ami-calls-{version}.txt").read_text().splitlines()
    told = [json.loads(line).get("event", {}) for line in lines[1:]]
    events = [event for event in told if event.get("Event") in SHAPES]
    assert len(events) > 800
    for event in events:
        name = event["Event"]
        assert all(value for header, value in event.items() if header in FILLED), event
        words = {header: value for header, value in event.items() if (name, header) in VALUES}
        assert all(VALUES[name, header].fullmatch(value) for header, value in words.items()), event


@pytest.mark.parametrize(("headers", "letters"), [(100, 1_000), (5_000, 1)], ids=["long names", "many names"])
def test_names_that_an_account_makes_up_take_no_memory_for_ever(
    monkeypatch: pytest.MonkeyPatch, headers: int, letters: int
) -> None:
    """An account of the class ``user`` writes whatever headers it likes into an event that Asterisk passes on."""
    monkeypatch.setattr(authentic, "MAX_KNOWN_BYTES", 1_000_000)
    connection = AMIConnection(AMILimits(), frozenset(WANTED))
    connection.receive_data(GREETING)
    connection.next_event()
    tracemalloc.start()
    for number in range(40):
        made_up = "".join(f"{number}-{each:0{letters}}: x\r\n" for each in range(headers))
        said = f"Event: UserEvent\r\nPrivilege: user,all\r\nUserEvent: x\r\nChannelStateDesc: x\r\n{made_up}\r\n"
        connection.receive_data(said.encode())
        while connection.next_event() is not NEED_DATA:
            pass
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert connection.dropped == 40
    assert taken < 1_500_000


def test_an_order_of_names_that_is_longer_than_all_may_be_is_judged_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is not remembered is looked at again."""
    monkeypatch.setattr(authentic, "MAX_KNOWN_BYTES", 10)
    for _ in range(2):
        assert whys(conversation(told("Newstate"))) == []
        assert whys(conversation(told("Newstate", Exten="1\r\nx: y"))) == [Why.HEADERS]
