"""The supervisor waits for a call of an agent who has none yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

import pytest

from agi_monitor.model import Cue, Reason
from agi_monitor.supervision.policy import Waiting
from agi_monitor.supervision.spy_call import MAX_TRIES
from tests.doubles.desk import (
    PIN,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    refusals,
    spoken,
    started,
    waited_for,
)
from tests.unit.supervision.live_story.calls import ALL_MODES, NEXT, NEXT_UNIQUEID, call_of_1001, star

EVERY = Waiting(frozenset({Reason.NO_CALL, Reason.RINGING, Reason.ON_HOLD}), seconds=60.0)


def waiting(folder: Path, dialled: str = "*2221001", how: Waiting = EVERY, *, talking: bool = False) -> Desk:
    """A desk whose supervisor waits; agent 1001 is not on a call."""
    desk = Desk(folder, dialled, talking=talking)
    desk.connect()
    desk.change(waiting=how)
    return desk


def later(desk: Desk, seconds: float) -> Callable[[], None]:
    """Time passes."""

    def pass_by() -> None:
        desk.now += seconds

    return pass_by


def test_the_call_that_begins_is_heard(tmp_path: Path) -> None:
    """With a decision, a record and a notice of its own, and not a word of a refusal."""
    desk = waiting(tmp_path)
    desk.change(notice=ALL_MODES)
    desk.then(lambda: None, lambda: call_of_1001(desk))
    desk.run()
    assert started(desk, "spyee", "grant", "mode", "told") == [(NEXT, 1, "listen", True)]
    assert refusals(desk) == []
    assert desk.pbx.played == ["agent-pass", *waited_for()]


def test_without_a_manager_interface_the_pbx_itself_is_asked(tmp_path: Path) -> None:
    """Waiting needs no live picture."""
    desk = Desk(tmp_path, talking=False)
    desk.pbx.plan = deque()
    desk.change(waiting=EVERY)
    desk.then(lambda: None, lambda: call_of_1001(desk))
    desk.run()
    assert started(desk, "spyee") == [(NEXT,)]


def test_a_call_that_begins_cuts_the_words_short(tmp_path: Path) -> None:
    """The agent answers while the supervisor is told who is waited for."""
    desk = waiting(tmp_path)
    desk.pbx.at_sound["extension"] = lambda: call_of_1001(desk)
    desk.run()
    assert started(desk, "spyee") == [(NEXT,)]
    assert desk.pbx.played == ["agent-pass", *waited_for()[:2]]


def test_nobody_waits_where_the_site_does_not_want_it(tmp_path: Path) -> None:
    """A reason that is not named is a refusal, as ever."""
    desk = waiting(tmp_path, how=Waiting(frozenset({Reason.ON_HOLD})))
    desk.run()
    assert refusals(desk)[0] == "no_call"


def test_a_phone_that_rings(tmp_path: Path) -> None:
    """It is said that it rings; the call is heard once it was answered."""
    desk = waiting(tmp_path, talking=True)
    spyee = desk.channel_of(SPYEE_UNIQUEID)
    state, peer = spyee.state, spyee.bridge_peer
    spyee.state, spyee.bridge_peer = type(state).RINGING, ""

    def answers() -> None:
        spyee.state, spyee.bridge_peer = state, peer

    desk.then(lambda: None, answers)
    desk.run()
    assert started(desk, "spyee") == [(SPYEE,)]
    ringing = [word for word in spoken(Reason.RINGING) if not word.startswith("digits")]
    assert desk.pbx.played[1] == ringing[0]
    assert desk.pbx.played[-len(waited_for()) :] == waited_for()


def test_a_call_on_hold(tmp_path: Path) -> None:
    """The very call that was chosen is waited for, although the agent has another one that could be heard."""
    desk = waiting(tmp_path, talking=True)
    desk.channel_of(SPYEE_UNIQUEID).on_hold = True
    call_of_1001(desk)

    def goes_on() -> None:
        desk.channel_of(SPYEE_UNIQUEID).on_hold = False

    # The one that is not on hold is offered first.
    desk.then(lambda: None, goes_on)
    desk.run(f"{PIN}#2")
    assert started(desk, "spyee") == [(SPYEE,)]
    offered = [word for word in spoken(Cue.CHOOSE_HELD_CALL) if not word.startswith("{")]
    assert offered[-1] in desk.pbx.played


def test_the_star_leaves(tmp_path: Path) -> None:
    """The refusal is on record, and the next extension is asked for."""
    desk = waiting(tmp_path)
    desk.then(star(desk), lambda: call_of_1001(desk))
    desk.run()
    assert desk.spies == []
    assert refusals(desk) == ["no_call", "extension_missing"]
    assert desk.pbx.played[len(waited_for()) + 1] == spoken(Cue.ASK_EXTENSION)[0]


def test_it_does_not_last_for_ever(tmp_path: Path) -> None:
    """After the time of the site the refusal is said."""
    desk = waiting(tmp_path)
    desk.then(later(desk, 59.0), later(desk, 1.0), lambda: call_of_1001(desk))
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == "no_call"
    assert " ".join(spoken(Reason.NO_CALL)) in " ".join(desk.pbx.played)


@pytest.mark.parametrize("changes", [{"rules": ()}, {"supervisors": {}}])
def test_a_right_that_is_taken_away_ends_it(tmp_path: Path, changes: dict[str, object]) -> None:
    """At the next look, before there is a call."""
    desk = waiting(tmp_path)
    desk.then(lambda: desk.change(**changes))
    desk.run()
    assert refusals(desk)[0] == ("identity_changed" if "supervisors" in changes else "mode_denied")
    assert desk.spies == []


def test_a_hang_up_is_an_abandoned_request(tmp_path: Path) -> None:
    """Nothing was heard, and the record says who asked for whom."""
    desk = waiting(tmp_path)
    desk.then(desk.pbx.hang_up)
    desk.run()
    assert desk.recorded("fact", "extension") == [("request_abandoned", "1001")]


def test_nobody_barges_into_a_call_that_they_have_not_heard(tmp_path: Path) -> None:
    """After a wait it begins with listening."""
    desk = waiting(tmp_path, "*2241001")
    desk.then(lambda: call_of_1001(desk))
    desk.run()
    assert started(desk, "mode") == [("listen",)]


def test_calls_that_come_to_nothing_are_not_tried_for_ever(tmp_path: Path) -> None:
    """The live picture has a call that the PBX does not have: after a few tries the refusal is said."""
    desk = waiting(tmp_path)
    desk.then(lambda: call_of_1001(desk))
    desk.pbx.functions["CHANNEL"] = lambda channel, what: ""
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == "target_gone"
    assert len(started(desk, "grant")) == MAX_TRIES - 1


@pytest.mark.parametrize(
    ("how", "heard"),
    [
        (EVERY, []),
        (Waiting(EVERY.reasons, 60.0, music=""), ["SET MUSIC on", "SET MUSIC off"]),
        (Waiting(EVERY.reasons, 60.0, music="quiet"), ["SET MUSIC on quiet", "SET MUSIC off"]),
        (Waiting(EVERY.reasons, 60.0, beep_seconds=5.0), ["STREAM FILE beep"] * 2),
    ],
    ids=["silence", "music", "a class", "beeps"],
)
def test_what_is_heard_meanwhile(tmp_path: Path, how: Waiting, heard: list[str]) -> None:
    """As the site says; music is off before the call is heard."""
    desk = waiting(tmp_path, how=how)
    desk.then(*[later(desk, 2.5)] * 4, lambda: call_of_1001(desk))
    desk.run()
    sounds = [" ".join(command[: 4 if command[0] == "SET" else 3]) for command in desk.pbx.commands]
    after_words = sounds[len(sounds) - sounds[::-1].index("SAY DIGITS 1") :]
    assert [one for one in after_words if one.startswith(("SET MUSIC", "STREAM FILE"))] == heard
    assert desk.spies == [f"{NEXT_UNIQUEID},uqESX"]
