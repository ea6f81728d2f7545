"""What real PBXs told of many calls: an index of events is, at every quiet moment, the one of the lists."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agi_monitor.live.calls import EVENTS, LIFE, Origin
from agi_monitor.live.headers import Headers, Outcome
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent, Direction
from agi_monitor.names import endpoint_of

FOLDER = Path(__file__).resolve().parents[2] / "transcripts"
VERSIONS = ("16", "22")
NODE = "recorded"
AGENTS = (
    Agent("1001", frozenset()),
    Agent("1002", frozenset(), ("PJSIP/1002",)),
    Agent("100", frozenset(), ("PJSIP/100",)),
)


@dataclass(frozen=True)
class Moment:
    """The PBX was asked for its lists.

    Parameters:
        name: what had happened.
        quiet: nothing happened meanwhile.
        before: the events since the moment before, until it was asked.
        meanwhile: the events until the answers were there.
        lists: the answers.
    """

    name: str
    quiet: bool
    before: tuple[Headers, ...]
    meanwhile: tuple[Headers, ...]
    lists: Lists


def recorded(transcript: str) -> tuple[Moment, ...]:
    """All moments of a transcript, in their order."""
    found: list[Moment] = []
    before: list[dict[str, str]] = []
    meanwhile: list[dict[str, str]] = []
    asked = False
    for line in transcript.splitlines():
        if line.startswith("#"):
            continue
        told: dict[str, Any] = json.loads(line)
        if "event" in told:
            (meanwhile if asked else before).append(told["event"])
        elif "asked" in told:
            asked = True
        else:
            lists = Lists(*told["lists"].values())
            found.append(Moment(told["moment"], told["quiet"], tuple(before), tuple(meanwhile), lists))
            before, meanwhile, asked = [], [], False
    assert not before
    return tuple(found)


MOMENTS = {version: recorded((FOLDER / f"ami-calls-{version}.txt").read_text()) for version in VERSIONS}


def listed(lists: Lists) -> ChannelIndex:
    """An index that has seen the lists and no event."""
    index = ChannelIndex()
    assert index.snapshot(NODE, lists, index.resync(NODE)) == ()
    return index


def told(index: ChannelIndex, events: Sequence[Headers]) -> None:
    """Tell an index these events."""
    for event in events:
        index.apply(NODE, event)


def heard(moments: Sequence[Moment]) -> Iterator[tuple[Moment, ChannelIndex]]:
    """At every moment, the index that has seen the first lists, and since then the events alone."""
    first, *rest = moments
    index = listed(first.lists)
    for moment in rest:
        told(index, (*moment.before, *moment.meanwhile))
        yield moment, index


def everything(index: ChannelIndex, node: str = NODE) -> dict[str, Any]:
    """All that lists tell: channels, who hears them, their bridges, and what every agent's devices do."""
    calls = index.calls(node)
    assert not isinstance(calls, Stale)
    found: dict[str, Any] = {}
    for call in calls:
        for channel in call.channels:
            # What no list tells; and the linked id, which changes untold.
            found[channel.uniqueid] = (
                replace(channel, holds=False, queue="", parking_space="", dialed_by="", linkedid=""),
                index.bridge_of(node, channel.uniqueid),
                [peer.uniqueid for peer in peers(index, node, channel.uniqueid)],
            )
    for agent in AGENTS:
        for context in ("hints", "desks"):
            devices = index.devices_of(node, agent, context)
            assert isinstance(devices, AgentDevices)
            channels = tuple(replace(channel, on_hold=False) for channel in devices.channels)
            found[f"{agent.extension}@{context}"] = replace(devices, channels=channels)
    return found


def peers(index: ChannelIndex, node: str, uniqueid: str) -> Sequence[Any]:
    """Who hears a channel."""
    found = index.peers_of(node, uniqueid)
    assert not isinstance(found, Stale)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_events_come_to_what_the_lists_say(version: str) -> None:
    """Wherever the PBX was quiet, an index of events alone knows exactly what one of lists alone knows."""
    moments = [(moment, everything(index)) for moment, index in heard(MOMENTS[version]) if moment.quiet]
    assert len(moments) > 25
    for moment, known in moments:
        assert known == everything(listed(moment.lists)), moment.name


def differences(moments: Sequence[Moment]) -> dict[str, tuple[str, ...] | None]:
    """What each list finds, at the moments at which it finds something."""
    first, *rest = moments
    index = listed(first.lists)
    found = {}
    for moment in rest:
        told(index, moment.before)
        listing = index.resync(NODE)
        told(index, moment.meanwhile)
        found[moment.name] = index.snapshot(NODE, moment.lists, listing)
    return {name: differing for name, differing in found.items() if differing != ()}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_list_finds_a_difference(version: str) -> None:
    """Quiet or in the middle of quick calls: what the lists say is what was told when they have come."""
    assert any(moment.meanwhile for moment in MOMENTS[version])
    assert differences(MOMENTS[version]) == {}


@pytest.mark.parametrize("version", VERSIONS)
def test_calls_are_no_reason_to_doubt_a_hint(version: str) -> None:
    """Only a dialplan that is loaded again tells hints without any change."""
    assert [moment.name for moment, index in heard(MOMENTS[version]) if index.wants_lists(NODE)] == []


NEEDED = ("Newchannel", "BridgeEnter", "Hangup", "NewConnectedLine")
"""The others say nothing that the next event of the same channel would not say as well."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", NEEDED)
def test_a_kind_of_event_that_is_never_heard_is_found_out(version: str, name: str) -> None:
    """Without any one of these kinds some list disagrees, and after each list the index is right again; without one
    of those by which every channel comes and goes it is no longer trusted."""
    first, *rest = MOMENTS[version]
    index = listed(first.lists)
    found_out: list[str] = []
    for moment in rest:
        told(index, [event for event in moment.before if event.get("Event") != name])
        listing = index.resync(NODE)
        told(index, [event for event in moment.meanwhile if event.get("Event") != name])
        found = index.snapshot(NODE, moment.lists, listing)
        assert found is not None
        found_out += found
        deaf = index.stale(NODE) is Stale.DEAF
        if moment.quiet and not deaf:
            assert everything(index) == everything(listed(moment.lists)), moment.name
    assert found_out
    assert deaf is (name in LIFE)


@pytest.mark.parametrize("version", VERSIONS)
def test_nothing_told_is_malformed(version: str) -> None:
    """Each event that is wanted is understood; most of the others are requests that come to nothing."""
    index = listed(MOMENTS[version][0].lists)
    for moment in MOMENTS[version]:
        for event in (*moment.before, *moment.meanwhile):
            outcome = index.apply(NODE, event)
            assert outcome not in (Outcome.MALFORMED, Outcome.TOO_MANY), event
            assert outcome is not Outcome.IGNORED or event.get("Event") not in EVENTS or event.get("Device"), event
    assert index.calls(NODE) == ()


def talks(index: ChannelIndex) -> list[tuple[str, tuple[str, ...], bool]]:
    """Who talks to whom, device by device."""
    found = []
    for phone in ("1001", "1001-mobile", "1002", "3001"):
        devices = index.devices_of(NODE, Agent("nobody", frozenset(), (f"PJSIP/{phone}",)), "none")
        assert isinstance(devices, AgentDevices)
        for channel in devices.channels:
            others = tuple(sorted(endpoint_of(peer) or peer.partition("@")[0] for peer in channel.peers))
            found.append((phone, others, channel.on_hold))
    return sorted(found)


STORY: dict[str, list[tuple[str, tuple[str, ...], bool]]] = {
    "the agent's phone rings": [("1001", (), False), ("3001", (), False)],
    "the agent talks": [("1001", ("PJSIP/3001",), False), ("3001", ("PJSIP/1001",), False)],
    "the agent holds the customer": [("1001", ("PJSIP/3001",), True), ("3001", ("PJSIP/1001",), True)],
    "the agent talks again": [("1001", ("PJSIP/3001",), False), ("3001", ("PJSIP/1001",), False)],
    "the agent asks the colleague": [
        ("1001", ("PJSIP/1002",), False),
        ("1001", ("PJSIP/3001",), True),
        ("1002", ("PJSIP/1001",), False),
        ("3001", ("PJSIP/1001",), True),
    ],
    "the colleague has the customer": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "the customer is parked": [("3001", (), False)],
    "the agent has fetched the customer": [("1001", ("PJSIP/3001",), False), ("3001", ("PJSIP/1001",), False)],
    "the colleague has the customer unasked": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "the agent talks to a caller of queue 500": [("1001", ("PJSIP/3001",), False), ("3001", ("PJSIP/1001",), False)],
    "the agent talks to a caller of queue 501": [("1001", ("PJSIP/3001",), False), ("3001", ("PJSIP/1001",), False)],
    "the agent talks at the colleague's desk": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "the colleague is in a ring group": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "the colleague is forwarded": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "the colleague is forwarded for good": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "the colleague is found": [("1002", ("PJSIP/3001",), False), ("3001", ("PJSIP/1002",), False)],
    "three are in a conference": [
        ("1001", ("PJSIP/1002", "PJSIP/3001"), False),
        ("1002", ("PJSIP/1001", "PJSIP/3001"), False),
        ("3001", ("PJSIP/1001", "PJSIP/1002"), False),
    ],
}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_story_is_understood(version: str) -> None:
    """At each moment the right people talk to each other, whatever stands between them."""
    assert story(MOMENTS[version]) == STORY


IN, OUT = Direction.IN, Direction.OUT

ORIGINS: dict[str, list[tuple[str, str | None, Direction | None]]] = {
    "the agent's phone rings": [("1001", None, IN)],
    "the agent talks": [("1001", "", IN)],
    "the agent holds the customer": [("1001", "", IN)],
    "the agent talks again": [("1001", "", IN)],
    "the agent asks the colleague": [("1001", "", IN), ("1001", "", OUT), ("1002", "", IN)],
    "the colleague has the customer": [("1002", "", IN)],
    "the agent has fetched the customer": [("1001", "", OUT)],
    "the colleague has the customer unasked": [("1002", "", IN)],
    "the agent talks to a caller of queue 500": [("1001", "500", IN)],
    "the agent talks to a caller of queue 501": [("1001", "501", IN)],
    "the agent talks at the colleague's desk": [("1002", "502", IN)],
    "the colleague is in a ring group": [("1002", "", IN)],
    "the colleague is forwarded": [("1002", "", IN)],
    "the colleague is forwarded for good": [("1002", "", IN)],
    "the colleague is found": [("1002", "", IN)],
    "three are in a conference": [("1001", "", OUT), ("1002", "", OUT)],
}
"""The queue and the direction of the calls of both agents, told by events."""


@pytest.mark.parametrize("version", VERSIONS)
def test_where_each_call_came_from_is_understood(version: str) -> None:
    """Out of which queue, and who called, whatever stands between the agent and the caller."""
    found: dict[str, list[tuple[str, str | None, Direction | None]]] = {}
    for moment, index in heard(MOMENTS[version]):
        for phone in ("1001", "1002") if moment.quiet else ():
            channels = index.channels_of(NODE, f"PJSIP/{phone}")
            assert not isinstance(channels, Stale)
            for channel in channels:
                origin = index.origin_of(NODE, channel.uniqueid)
                assert isinstance(origin, Origin)
                found.setdefault(moment.name, []).append((phone, origin.queue, origin.direction))
    assert found == ORIGINS


def story(moments: Sequence[Moment]) -> dict[str, list[tuple[str, tuple[str, ...], bool]]]:
    """Who talks to whom at each quiet moment at which somebody does."""
    known = {moment.name: talks(index) for moment, index in heard(moments) if moment.quiet}
    return {name: talking for name, talking in known.items() if talking}


@pytest.mark.parametrize("version", VERSIONS)
def test_what_no_list_tells_outlives_the_lists(version: str) -> None:
    """Hold, queue and parking space are known after a list as they were before it."""
    first, *rest = MOMENTS[version]
    index = listed(first.lists)
    seen: dict[str, set[str]] = {}
    for moment in rest:
        told(index, moment.before)
        listing = index.resync(NODE)
        told(index, moment.meanwhile)
        before = index.calls(NODE)
        assert index.snapshot(NODE, moment.lists, listing) is not None
        after = index.calls(NODE)
        assert not isinstance(before, Stale)
        assert not isinstance(after, Stale)
        assert told_only(before) == told_only(after), moment.name
        seen[moment.name] = {text for facts in told_only(after).values() for text in facts}
    assert "holds" in seen["the agent holds the customer"]
    assert "701" in seen["the customer is parked"]
    assert {"500", "501"} <= set().union(*seen.values())


def told_only(calls: Sequence[Any]) -> dict[str, set[str]]:
    """What only events tell of each channel that there is."""
    return {
        channel.uniqueid: {
            text
            for text in ("holds" if channel.holds else "", channel.queue, channel.parking_space, channel.dialed_by)
            if text
        }
        for call in calls
        for channel in call.channels
    }
