"""Whatever a caller plants in an event or a list: what is known is as if they had not, or it is not believed."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from agi_monitor.ami.connection import (
    NEED_DATA,
    AMIConnection,
    Event,
    Forged,
    Greeting,
    ListBroken,
    ListDone,
    Response,
)
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Action
from agi_monitor.live.calls import EVENTS, Facts
from agi_monitor.live.index import ChannelIndex, Lists
from tests.doubles.conversations import ACTIONS, LISTS
from tests.doubles.planted import streams

NODE = "pbx"


def picture(data: bytes, cuts: list[int]) -> tuple[Facts, object] | None:
    """What is known after a stream; None when it is not believed."""
    connection, index = AMIConnection(AMILimits(), EVENTS), ChannelIndex()
    listing = index.resync(NODE)
    lists: dict[str, ListDone] = {}
    trusted = True
    places = [0, *sorted(len(data) * cut // 1_000 for cut in cuts), len(data)]
    for begin, end in pairwise(places):
        connection.receive_data(data[begin:end])
        while (event := connection.next_event()) is not NEED_DATA:
            if isinstance(event, Greeting):
                for number, name in enumerate(ACTIONS, start=1):
                    connection.send(Action(name, (), f"t-{number}"), as_list=name in LISTS)
            elif isinstance(event, Event):
                index.apply(NODE, event.message)
            elif isinstance(event, ListDone):
                trusted = trusted and event.response.why_forged is None
                lists[event.response.action.name] = event
            elif isinstance(event, Forged | ListBroken):
                trusted = False
            elif isinstance(event, Response):
                trusted = trusted and event.why_forged is None
    if not trusted or lists.keys() != LISTS:
        return None
    items = [[item.message for item in lists[name].items] for name in ("CoreShowChannels", "BridgeList")]
    queues = [item.message for item in lists["QueueStatus"].items]
    assert index.snapshot(NODE, Lists(items[0], items[1], queues=queues), listing) is not None
    known = index._node(NODE)
    return (
        {uniqueid: (name, facts[:2]) for uniqueid, (name, facts) in known.calls.facts().items()},
        (known.devices._states, known.devices._members, known.devices._hints),
    )


@settings(max_examples=60)
@given(streams(), st.lists(st.integers(0, 1_000), max_size=3))
def test_planted_text_is_believed_by_nobody(stream: tuple[str, bytes, bytes], cuts: list[int]) -> None:
    """In any chunks, wherever it stands: the same channels, bridges, members and states, or no picture."""
    _, honest, planted = stream
    expected = picture(honest, [])
    assert expected is not None
    assert picture(planted, cuts) in (None, expected)
