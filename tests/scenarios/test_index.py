"""The live index against a real PBX: events and lists agree, under load too, and a lost event is found out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agi_monitor.live.headers import Headers
from agi_monitor.live.index import ChannelIndex
from contrib.lab.manager import Manager
from contrib.lab.pbx import Lab
from contrib.lab.transcripts import record_calls
from tests.scenarios.watched import NODE, Watched
from tests.unit.live.test_index_recorded import MOMENTS, STORY, differences, everything, recorded, story

ROUNDS = 150
QUICK_CALLS = " & ".join(
    f"asterisk -rx 'channel originate {channel} application Wait 1'"
    for channel in ("Local/near@load", "Local/near@load/n", "Local/optimised@load")
)


@pytest.fixture
def watched(lab: Lab) -> Iterator[Watched]:
    """An index that watches the laboratory."""
    with Manager(lab) as manager:
        yield Watched(manager)


@contextmanager
def quick_calls(lab: Lab, rounds: int = ROUNDS) -> Iterator[threading.Thread]:
    """Hundreds of Local channels that come, are bridged, and go, while the block runs and until they are all gone."""
    line = f"for i in $(seq {rounds}); do {QUICK_CALLS} & wait; done"
    load = threading.Thread(target=lab.pbx.container.exec, args=(["sh", "-c", line],))
    load.start()
    try:
        yield load
    finally:
        load.join()
        lab.pbx.wait_until(lambda: not lab.pbx.channels(), 40, "the quick calls to end")


def listed(watched: Watched) -> ChannelIndex:
    """An index that has seen the lists of this moment alone."""
    index = ChannelIndex()
    assert index.snapshot(NODE, watched.lists(), index.resync(NODE)) == ()
    return index


def test_calls_of_every_kind_are_what_was_recorded(lab: Lab) -> None:
    """Played once more, the calls of the transcript are told as in the transcript, and no list finds a difference."""
    moments = recorded(record_calls(lab))
    assert [moment.name for moment in moments] == [moment.name for moment in MOMENTS[lab.version]]
    assert differences(moments) == {}
    assert story(moments) == STORY


def test_lists_under_load_find_no_difference(lab: Lab, watched: Watched) -> None:
    """While quick calls come and go and people talk, hold and transfer, the lists say what the events have told."""
    found = []
    with quick_calls(lab) as load:
        lab.connect("3001", "501", "1001")
        found.append(watched.resync())
        lab.phone("1001").hold()
        lab.connect("1001", "1002")
        found.append(watched.resync())
        customers, colleagues = lab.phone("1001").calls
        lab.phone("1001").transfer_attended(customers, colleagues)
        found.append(watched.resync())
        while load.is_alive():
            found.append(watched.resync())
        lab.phone("3001").hang_up()
    assert set(found) == {()}, found
    watched.wait_until(lambda: watched.index.calls(NODE) == (), "everything to be over")
    assert watched.resync() == ()


def test_a_lost_event_is_found_out(lab: Lab, watched: Watched) -> None:
    """The next list says which channel was wrong; then the index is right, and the list after it finds nothing."""
    lab.connect("3001", "1001")

    def is_lost(event: Headers) -> bool:
        return event.get("Event") == "BridgeEnter" and (event.get("Channel") or "").startswith("PJSIP/1001-")

    lab.pbx.wait_until(lambda: lab.pbx.bridged("3001", "1001"), 40, "the two to be bridged")
    watched.hear(unheard=is_lost)
    (agent,) = lab.pbx.channels_of("1001")
    (difference,) = watched.resync()
    assert difference == f"channel {agent.name}: bridge none, the list says {agent.bridge}"
    assert everything(watched.index, NODE) == everything(listed(watched), NODE)
    assert watched.resync() == ()


def test_a_connection_that_was_lost_is_made_good_by_the_lists(lab: Lab, watched: Watched) -> None:
    """What happened meanwhile is known after the next lists, and no difference: nothing was known to be wrong."""
    lab.connect("3001", "1001")
    watched.wait_until(lambda: watched.index.calls(NODE), "the call to be told")
    watched.index.lost(NODE)
    lab.connect("3002", "1002")
    watched.hear(unheard=lambda event: True)
    assert watched.index.is_stale(NODE)
    assert watched.resync() == ()
    calls = watched.index.calls(NODE)
    assert isinstance(calls, tuple)
    assert sorted(tuple(sorted(one.endpoint or "" for one in call.channels)) for call in calls) == [
        ("PJSIP/1001", "PJSIP/3001"),
        ("PJSIP/1002", "PJSIP/3002"),
    ]
