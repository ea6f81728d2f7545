"""The keys 4, 5, 6 and ``*``, and what ends a spy at a key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.model import Agent, Cue, Reason
from agi_monitor.supervision.protected import Protected
from tests.doubles.desk import ANNA, CUSTOMER, OTHER_HASH, PIN, POLICY, RULES, SPYEE_UNIQUEID, Desk, refusals, spoken
from tests.unit.supervision.story.calls import assert_spies_are_on_record


def test_changes_the_mode_by_key(desk: Desk) -> None:
    """Each mode key is a grant of its own, decided and on record before its sound."""
    desk.run(f"{PIN}#564")

    assert [argument.partition(",")[2] for argument in desk.spies] == ["uqESX", "uqESXw", "uqESXB", "uqESX"]
    assert [record["mode"] for record in desk.records if record["fact"] == "spy_started"] == [
        "listen",
        "whisper",
        "barge",
        "listen",
    ]
    assert [record["why"] for record in desk.records if record["fact"] == "spy_ended"] == [
        "mode_key",
        "mode_key",
        "mode_key",
        "supervisor_hung_up",
    ]
    assert_spies_are_on_record(desk)


@pytest.mark.parametrize(("key", "mode"), [("5", "whisper"), ("6", "barge")])
def test_a_key_without_the_right_changes_nothing(tmp_path: Path, key: str, mode: str) -> None:
    """Who may only listen hears a refusal and keeps listening; the other mode is never executed."""
    desk = Desk(tmp_path, channel="PJSIP/2002-00000001").run(f"{PIN}#{key}")

    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"] * 2
    assert desk.pbx.played == ["agent-pass", *spoken(Reason.MODE_DENIED)]
    assert desk.recorded("fact", "mode", "reason") == [
        ("spy_started", "listen", ""),
        ("spy_ended", "listen", None),
        ("refused", mode, "mode_denied"),
        ("spy_started", "listen", ""),
        ("spy_ended", "listen", None),
    ]
    assert_spies_are_on_record(desk)


def test_a_rule_taken_away_ends_the_spy_at_the_next_key(desk: Desk) -> None:
    """A reload in the middle of a spy holds for the next mode, and for continuing with the old one."""
    desk.at_key = lambda key: desk.change(rules=RULES[1:])
    desk.run(f"{PIN}#5")

    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]
    assert [record["mode"] for record in desk.records if record["fact"] == "refused"] == ["whisper", "listen"]
    assert desk.pbx.played == ["agent-pass", *spoken(Reason.MODE_DENIED) * 2, "vm-enter-num-to-call", "vm-goodbye"]


SHARED = {**POLICY.agents, "1003": Agent("1003", frozenset({"protected"}), ("PJSIP/1003", "PJSIP/1001"))}
"""The phone of 1001 is also 1003's, whom Anna may not hear."""


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"rules": ()}, "mode_denied"),
        ({"supervisors": {}}, "identity_changed"),
        ({"agents": {}}, "agent_unknown"),
        ({"agents": SHARED}, "mode_denied"),
        ({"protected": Protected(frozenset({"PJSIP/trunk"}))}, "protected"),
    ],
    ids=["rule", "supervisor", "agent", "another-owner", "protected"],
)
def test_a_reload_while_the_record_is_written_gives_no_sound(
    desk: Desk, changes: dict[str, object], detail: str
) -> None:
    """Without a manager interface as with one: the grant is on record, and its end, and nothing was executed."""
    desk.audit.afterwards["spy_started"] = lambda: desk.change(**changes)
    desk.run()

    assert desk.pbx.executed == []
    reason = "identity_changed" if detail == "identity_changed" else "revoked"
    assert desk.recorded("fact", "why", "reason", "detail")[:3] == [
        ("spy_started", None, "", None),
        ("spy_ended", "revoked", None, None),
        ("refused", None, reason, detail),
    ]


@pytest.mark.parametrize(
    ("supervisors", "detail"),
    [
        ({}, "the phone is not assigned to a supervisor any more"),
        ({"PJSIP/2001": replace(ANNA, id="mallory")}, "the phone is assigned to another supervisor"),
        ({"PJSIP/2001": replace(ANNA, pin_hash=OTHER_HASH)}, "the PIN was changed"),
    ],
    ids=["nobody", "somebody-else", "another-pin"],
)
@pytest.mark.parametrize("key", ["5", "*"])
def test_who_has_lost_the_identity_gets_nothing_more(
    desk: Desk, supervisors: dict[str, object], detail: str, key: str
) -> None:
    """The phone, the person or the PIN was changed while they listened: no other mode, no other agent, a goodbye."""
    desk.at_key = lambda key: desk.change(supervisors=supervisors)
    desk.run(f"{PIN}#{key}1001")

    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX")]
    assert desk.recorded("reason", "detail", "supervisor")[-1] == ("identity_changed", detail, "anna")
    assert desk.pbx.played == ["agent-pass", *spoken(Reason.IDENTITY_CHANGED), *spoken(Cue.GOODBYE)]
    assert desk.pbx.commands[-1] == ["HANGUP"]


def test_a_conference_cannot_be_barged_into_by_key(desk: Desk) -> None:
    """When a third party joins the call, the barge key is refused and listening continues."""

    def join(key: str) -> None:
        desk.pbx.add_channel("PJSIP/1002-00000033")
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = f"{CUSTOMER},PJSIP/1002-00000033"

    desk.at_key = join
    desk.run(f"{PIN}#6")

    assert refusals(desk) == ["conference"]
    assert [argument.partition(",")[2] for argument in desk.spies] == ["uqESX", "uqESX"]


def test_a_call_that_ends_with_the_mode_key_is_gone(desk: Desk) -> None:
    """A mode key in the moment of the agent's hang-up gives no sound, and says that the call is gone."""

    def hang_up(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).alive = False

    desk.at_key = hang_up
    desk.run(f"{PIN}#5")

    assert desk.recorded("fact", "why", "reason")[-2:] == [
        ("spy_ended", "mode_key", None),
        ("refused", None, "target_gone"),
    ]
