"""A call as it is meant: the PIN, an extension, one agent after the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.model import Mode
from tests.doubles.desk import CODES, PIN, PIN_POLICY, SPYEE, SPYEE_UNIQUEID, Desk, refusals
from tests.unit.supervision.story.calls import assert_spies_are_on_record


@pytest.mark.parametrize(("mode", "options"), [("listen", "uqESX"), ("whisper", "uqESXw"), ("barge", "uqESXB")])
def test_spies_in_the_mode_that_was_dialled(tmp_path: Path, mode: str, options: str) -> None:
    """Each feature code executes ChanSpy on the agent's channel with the options of its mode."""
    desk = Desk(tmp_path, f"{CODES[Mode(mode)]}1001").run()

    assert desk.spies == [f"{SPYEE_UNIQUEID},{options}"]
    assert desk.pbx.played == ["agent-pass"]
    assert desk.recorded("fact", "grant", "supervisor", "extension", "mode", "rule", "spyee", "why") == [
        ("spy_started", 1, "anna", "1001", mode, "leads-supervise", SPYEE, None),
        ("spy_ended", 1, "anna", "1001", mode, None, None, "supervisor_hung_up"),
    ]
    assert_spies_are_on_record(desk)


def test_asks_for_the_extension(tmp_path: Path) -> None:
    """The code alone asks for the extension after the PIN."""
    desk = Desk(tmp_path, "*222").run(f"{PIN}#1001")

    assert desk.pbx.played == ["agent-pass", "vm-enter-num-to-call"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]


def test_says_goodbye_and_hangs_up(desk: Desk) -> None:
    """After the ``*`` key and no further extension the call ends with a word, and it was not a refusal."""
    desk.run(f"{PIN}#*")

    assert desk.pbx.played == ["agent-pass", "vm-enter-num-to-call", "vm-goodbye"]
    assert desk.pbx.commands[-1] == ["HANGUP"]
    assert desk.recorded("fact", "why") == [("spy_started", None), ("spy_ended", "supervisor_left")]


def test_goes_on_to_the_next_agent(desk: Desk) -> None:
    """``*`` leaves one agent, and the next extension is asked for: the PIN is not."""
    desk.pbx.add_call("PJSIP/1003-00000020", "PJSIP/trunk-00000021")
    desk.run(f"{PIN}#*10031001")

    assert desk.pbx.played.count("agent-pass") == 1
    assert refusals(desk) == ["mode_denied"]
    assert [record["extension"] for record in desk.records if record["fact"] == "spy_started"] == ["1001", "1001"]


def test_says_that_the_call_is_over(desk: Desk) -> None:
    """When the agent's call ends the supervisor hears it and is asked for the next extension."""
    desk.when_quiet = desk.agent_hangs_up
    desk.run()

    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]
    assert desk.recorded("fact", "why")[-1] == ("spy_ended", "call_over")


def test_notes_a_spy_that_was_stopped_on_the_pbx(desk: Desk) -> None:
    """ChanSpy that ends while both channels live was ended by another."""
    desk.when_quiet = desk.stopped_on_the_pbx
    desk.run()

    assert desk.recorded("fact", "why")[-1] == ("spy_ended", "pbx_ended")


def test_counts_the_seconds_of_a_spy(desk: Desk) -> None:
    """``spy_ended`` says how long it lasted, by the clock that was given."""

    def later() -> int | None:
        desk.now += 12.25
        return desk.supervisor_hangs_up()

    desk.when_quiet = later
    desk.run()

    assert desk.recorded("fact", "seconds", "at") == [
        ("spy_started", None, "2023-11-14T22:13:20.000+00:00"),
        ("spy_ended", 12.25, "2023-11-14T22:13:32.250+00:00"),
    ]


@pytest.mark.parametrize("jump", [-7_200.0, 7_200.0])
def test_a_clock_that_jumps_falsifies_no_seconds(desk: Desk, jump: float) -> None:
    """Somebody sets the time of day by hours while a spy is on: it lasted as long as it did."""

    def later() -> int | None:
        desk.now += 12.25 + jump
        desk.jumped = jump
        return desk.supervisor_hangs_up()

    desk.when_quiet = later
    desk.run()

    assert desk.recorded("fact", "seconds")[-1] == ("spy_ended", 12.25)


def test_remembers_a_pin_for_the_next_call(tmp_path: Path) -> None:
    """With ``remember_seconds`` the second call of the same phone asks no PIN."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = Desk(tmp_path / "a", pin_policy=replace(PIN_POLICY, remember_seconds=60.0)).run()
    second = Desk(tmp_path / "b")
    second.pins = first.pins
    second.run("")

    assert second.pbx.played == []
    assert second.spies == [f"{SPYEE_UNIQUEID},uqESX"]
