"""The supervisor stays with the agent, from call to call."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi_monitor.model import Cue, Follow, Mode
from agi_monitor.supervision.protected import Protected
from tests.doubles.desk import (
    CODES,
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    refusals,
    spoken,
    started,
    waited_for,
)
from tests.unit.supervision.live_story.calls import (
    NEXT,
    NEXT_UNIQUEID,
    OTHER,
    OTHER_UNIQUEID,
    call_of_1001,
    connected,
    ends,
    star,
)


@pytest.mark.parametrize(
    ("mode", "options"), [(Mode.LISTEN, "uqESX"), (Mode.WHISPER, "uqESXw"), (Mode.BARGE, "uqESX")]
)
def test_stays_with_the_agent(tmp_path: Path, mode: Mode, options: str) -> None:
    """The agent's next call is heard by itself, by a new decision; who barged listens first."""
    desk = connected(tmp_path, f"{CODES[mode]}1001")
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, lambda: None, lambda: call_of_1001(desk))
    desk.run()
    assert desk.spies[1] == f"{NEXT_UNIQUEID},{options}"
    assert started(desk, "grant", "spyee") == [(1, SPYEE), (2, NEXT)]
    assert ends(desk) == ["call_over", "supervisor_hung_up"]
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.CALL_OVER), *waited_for()]


def test_the_star_key_ends_the_waiting(desk: Desk) -> None:
    """The next extension is asked for, and the agent's next call is not heard."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, star(desk), lambda: call_of_1001(desk))
    desk.run()
    assert len(desk.spies) == 1
    assert desk.pbx.played[-2:] == ["vm-enter-num-to-call", "vm-goodbye"]


def test_any_other_key_goes_on_waiting(desk: Desk) -> None:
    """A key that means nothing here ends nothing."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: desk.pbx.keys("4567890#"), lambda: call_of_1001(desk))
    desk.run()
    assert started(desk, "spyee") == [(SPYEE,), (NEXT,)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"rules": ()}, "mode_denied"), ({"agents": {}}, "agent_unknown"), ({"supervisors": {}}, "identity_changed")],
)
def test_a_right_that_was_taken_away_is_not_followed(desk: Desk, changes: dict[str, object], reason: str) -> None:
    """Waiting is not a grant: the next call is decided again, refused and not heard."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: desk.change(**changes), lambda: call_of_1001(desk))
    desk.run()
    assert len(desk.spies) == 1
    assert refusals(desk) == [reason]


def test_a_call_that_nobody_may_hear_is_refused_when_it_comes(desk: Desk) -> None:
    """The agent's next call is a protected one."""
    desk.change(protected=Protected(frozenset({"PJSIP/9000"})))

    def call_of_the_board() -> None:
        call_of_1001(desk)
        desk.pbx.channels[-1].bridge_peer = "PJSIP/9000-00000040"
        desk.pbx.add_channel("PJSIP/9000-00000040", bridge_peer=NEXT)

    desk.when_quiet = desk.agent_hangs_up
    desk.then(call_of_the_board)
    desk.run()
    assert len(desk.spies) == 1
    assert refusals(desk) == ["protected"]


def test_nobody_is_followed_where_the_site_does_not_want_it(desk: Desk) -> None:
    """The extension is asked for at once."""
    desk.change(follow=Follow.NONE)
    desk.when_quiet = desk.agent_hangs_up
    desk.run()
    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]


def transferred(desk: Desk, name: str, uniqueid: str) -> int:
    """The agent gives the customer to a colleague, and is out of the call."""
    desk.channel_of(SPYEE_UNIQUEID).alive = False
    desk.pbx.add_channel(name, uniqueid, bridge_peer=CUSTOMER)
    desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = name
    desk.when_quiet = desk.supervisor_hangs_up
    return 0


def test_stays_with_the_customer(desk: Desk) -> None:
    """After a transfer the new agent's call with the same customer is heard, on a grant that names the new agent."""
    desk.change(follow=Follow.CUSTOMER)
    desk.when_quiet = lambda: transferred(desk, OTHER, OTHER_UNIQUEID)
    desk.run()
    assert started(desk, "extension", "spyee", "grant") == [("1001", SPYEE, 1), ("1005", OTHER, 2)]


def test_an_agent_who_may_not_be_heard_ends_it(desk: Desk) -> None:
    """The customer comes to an agent whom no rule lets be heard: a refusal, and no sound."""
    desk.change(follow=Follow.CUSTOMER)
    desk.when_quiet = lambda: transferred(desk, "PJSIP/1003-00000022", OTHER_UNIQUEID)
    desk.run()
    assert len(desk.spies) == 1
    assert [(record["reason"], record["extension"]) for record in desk.records if record["fact"] == "refused"] == [
        ("mode_denied", "1003")
    ]


def test_waits_while_the_customer_is_with_nobody(desk: Desk) -> None:
    """In a queue or parked: the supervisor waits, and hears again when an agent takes the customer."""
    desk.change(follow=Follow.CUSTOMER)

    def parked() -> int:
        desk.channel_of(SPYEE_UNIQUEID).alive = False
        desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = ""
        return 0

    desk.when_quiet = parked
    desk.then(lambda: None, lambda: None, lambda: transferred(desk, OTHER, OTHER_UNIQUEID))
    desk.run()
    assert started(desk, "extension") == [("1001",), ("1005",)]
    assert desk.pbx.played.count("one-moment-please") == 1


def test_the_customer_who_hangs_up_is_followed_no_further(desk: Desk) -> None:
    """At once, or while the supervisor waits for them: the next extension is asked for."""
    desk.change(follow=Follow.CUSTOMER)

    def over() -> int:
        desk.channel_of(SPYEE_UNIQUEID).alive = desk.channel_of(CUSTOMER_UNIQUEID).alive = False
        return 0

    desk.when_quiet = over
    desk.run()
    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]


def test_the_customer_hangs_up_while_waited_for(desk: Desk) -> None:
    """Nobody waits for a customer who is gone."""
    desk.change(follow=Follow.CUSTOMER)

    def gone() -> None:
        desk.channel_of(CUSTOMER_UNIQUEID).alive = False

    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, gone)
    desk.run()
    assert len(desk.spies) == 1
    assert desk.pbx.played[-2:] == ["vm-enter-num-to-call", "vm-goodbye"]
