"""A spy is ended from outside: how quickly, what the supervisor is told, and that nobody else notices.

How quickly is told by the packets on the wire and by the moment at which the server decided it, as the record says.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from contrib.lab.manager import Manager
from contrib.lab.server import SITE
from tests.scenarios.house import House, heard_in, moment

SECONDS = 0.2
"""What the product promises."""

PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}
ONLY_100 = [
    {
        "name": "only-100",
        "allow": ["listen", "whisper", "barge", "take_over"],
        "supervisors": ["leads"],
        "agents": ["100"],
    }
]
PROTECTED_1001 = {**SITE["agents"], "1001": {"groups": ["sales", "protected"]}}
WITHOUT_ANNA = {name: who for name, who in SITE["supervisors"].items() if name != "anna"}


def begin(house: House, mode: str) -> None:
    """Two calls, and a supervisor who hears one of them."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy("listen" if mode == "take_over" else mode)
    if mode == "take_over":
        house.change_mode("take_over")
        house.lab.wait_for_hearing({"3001": {"2001"}, "2001": {"3001"}}, others_silent=False)
    else:
        house.lab.wait_for_hearing(heard_in(mode), others_silent=False)


def assert_revoked_in_time(house: House, mark: int, why: str, *, ends_the_call: bool = False) -> None:
    """It is over in time for the ears of all, and the supervisor was told."""
    revoked = house.server.wait_for("spy_revoked", mark)
    assert revoked["why"] == why
    house.server.wait_for("spy_ended", mark, why="revoked")
    house.server.wait_for("refused", mark, reason=why if ends_the_call else "revoked", detail=why)
    house.server.wait_for("call_ended" if ends_the_call else "extension_prompted", mark)
    (record,) = house.server.wait_for_audit("spy_revoked")
    began = datetime.fromisoformat(record["at"]).timestamp()
    # The ear works: until then the supervisor was sent what is missing from then on.
    in_time = house.lab.on_a_running_machine(SECONDS, began)
    assert house.lab.last_heard("2001", {"1001", "3001"}, began - 1.0) > began - in_time
    heard = {
        listener: house.lab.last_heard(listener, speakers, began) - began
        for listener, speakers in {"2001": {"1001", "3001"}, "1001": {"2001"}, "3001": {"2001"}}.items()
    }
    assert max(heard.values()) <= in_time, heard
    assert (record["why"], record["extension"], record["supervisor"]) == (why, "1001", "anna")
    assert house.server.audit("spy_ended")[-1]["why"] == "revoked"


def assert_told_and_free(house: House) -> None:
    """The reason was played, and the supervisor hears and is heard again in the next call that is asked for."""
    (refused,) = house.server.events("refused", reason="revoked")
    (prompted,) = house.server.events("extension_prompted")[-1:]
    told = house.lab.heard_between(moment(refused), moment(prompted))
    assert told.coverage["2001"] > 0.5, told.table()
    mark = house.server.mark()
    house.lab.phone("2001").press("100#")
    mode = house.server.wait_for("spy_started", mark)["mode"]
    if mode == "listen":
        mode = "whisper"
        house.change_mode(mode)
    house.lab.wait_for_hearing(heard_in(mode, "3002", "100"), others_silent=False)


def anna(house: House) -> str:
    """What the spy of the supervisor is called."""
    (spy,) = house.wait_for_spies(1)
    assert (spy["kind"], spy["supervisor"]) == ("granted", "anna")
    name: str = spy["id"]
    return name


@pytest.mark.parametrize(
    ("mode", "barge"),
    [("listen", "chanspy"), ("whisper", "chanspy"), ("barge", "chanspy"), ("barge", "conference")],
    ids=["listen", "whisper", "barge", "barge as a conference"],
)
def test_a_spy_that_is_killed(house: House, mode: str, barge: str) -> None:
    """In every mode: silence in time, the reason, the others' call untouched, and the next agent heard as ever."""
    house.reconfigure(spies={"barge": barge})
    begin(house, mode)
    with Manager(house.lab) as manager:
        mark = house.server.mark()
        house.kill(anna(house))
        assert_revoked_in_time(house, mark, "killed")
        names = [(event["Event"], event.get("Channel", "").partition("-")[0]) for event in manager.heard()]
    assert not {("Hangup", f"PJSIP/{who}") for who in ("2001", "1001", "3001")}.intersection(names)
    assert ("BridgeLeave", "PJSIP/1001") not in names
    assert ("BridgeLeave", "PJSIP/3001") not in names
    house.lab.wait_for_hearing(PAIR, others_silent=False)
    assert_told_and_free(house)


def test_a_take_over_that_is_killed(house: House) -> None:
    """The supervisor is taken off the line; the customer is hung up, as after every take-over."""
    begin(house, "take_over")
    mark = house.server.mark()
    house.kill(anna(house))
    assert_revoked_in_time(house, mark, "killed")
    house.lab.phone("3001").wait_until_idle()
    assert_told_and_free(house)


CHANGES: dict[str, dict[str, Any]] = {
    "the rule is gone": {"rules": ONLY_100},
    "the agent is protected": {"agents": PROTECTED_1001},
}


@pytest.mark.parametrize("mode", ["listen", "barge"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.either_version
def test_a_right_that_is_taken_away(house: House, change: str, mode: str) -> None:
    """The reload itself ends the spy; nobody has to press a key."""
    begin(house, mode)
    mark = house.server.mark()
    house.reconfigure(**CHANGES[change])
    assert_revoked_in_time(house, mark, "mode_denied")
    house.lab.wait_for_hearing(PAIR, others_silent=False)
    assert_told_and_free(house)


@pytest.mark.either_version
def test_a_mode_that_is_taken_away(house: House) -> None:
    """Who may still listen, but no longer barge, is taken out of the barge."""
    begin(house, "barge")
    mark = house.server.mark()
    house.reconfigure(rules=[{"name": "listen-only", "allow": ["listen"], "supervisors": ["all"], "agents": ["all"]}])
    assert_revoked_in_time(house, mark, "mode_denied")
    house.lab.phone("2001").press("1001#")
    house.wait_for_refusal("mode_denied")
    house.lab.wait_for_hearing({**PAIR, "2001": set()}, others_silent=False)


@pytest.mark.either_version
def test_a_supervisor_who_is_removed(house: House) -> None:
    """Taken out of the configuration while listening: the spy ends, and so does the call."""
    begin(house, "listen")
    mark = house.server.mark()
    house.reconfigure(supervisors=WITHOUT_ANNA)
    assert_revoked_in_time(house, mark, "identity_changed", ends_the_call=True)
    house.lab.phone("2001").wait_until_idle()
    house.lab.wait_for_hearing(PAIR, others_silent=False)


@pytest.mark.either_version
def test_what_still_holds_is_left_alone(house: House) -> None:
    """A reload that takes the permission of one supervisor leaves other spies alone, and any that may continue."""
    house.lab.connect("3001", "1001")
    house.spy(supervisor="2001")
    house.spy(supervisor="2003")
    mark = house.server.mark()
    house.reconfigure(supervisors=WITHOUT_ANNA)
    house.server.wait_for("spy_ended", mark, why="revoked")
    house.lab.wait_for_hearing({**PAIR, "2003": {"3001", "1001"}}, others_silent=False)
    assert len(house.server.audit("spy_revoked")) == 1
    (spy,) = house.wait_for_spies(1)
    assert spy["supervisor"] == "carla"


@pytest.mark.parametrize("mode", ["listen", "barge"])
def test_the_call_becomes_a_protected_one(house: House, mode: str) -> None:
    """The customer transfers to a protected phone: the supervisor hears nothing of that call."""
    house.reconfigure(protected={"endpoints": ["PJSIP/2999"]})
    begin(house, mode)
    house.lab.phone("2999").set_auto_answer(True)
    mark = house.server.mark()
    house.lab.phone("3001").transfer("2999")
    assert_revoked_in_time(house, mark, "protected")
    house.lab.wait_for_hearing({"2999": {"1001"}, "1001": {"2999"}}, others_silent=False)
    revoked = moment(house.server.events("spy_revoked", mark)[0])
    late = house.lab.last_heard("2001", {"2999"}, revoked) - revoked
    assert late <= house.lab.on_a_running_machine(SECONDS, revoked)
    assert_told_and_free(house)


@pytest.mark.either_version
def test_a_right_that_is_taken_away_at_a_prompt(house: House) -> None:
    """There is nothing to be ended; the next question is answered by the new rules."""
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("2001").press("*")
    house.server.wait_for("extension_prompted", mark)
    house.reconfigure(rules=ONLY_100)
    house.lab.phone("2001").press("1001#")
    house.server.wait_for("refused", mark, reason="mode_denied")
    assert not house.server.audit("spy_revoked")
    house.lab.wait_for_hearing({**PAIR, "2001": set()})
