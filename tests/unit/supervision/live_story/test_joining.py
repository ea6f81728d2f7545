"""The supervisor joins a call, or takes it over."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi_monitor.live.over_agi import other_half
from agi_monitor.model import Barge, Cue
from agi_monitor.testing import FakeAsterisk, FakeChannel
from tests.doubles.desk import (
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    PIN,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    refusals,
    spoken,
    started,
)
from tests.unit.supervision.live_story.calls import NEXT_UNIQUEID, call_of_1001, connected, ends


def test_a_barge_can_join_the_call(tmp_path: Path) -> None:
    """By the agent's channel; the record comes first, as with ChanSpy, and listening stays ChanSpy."""
    desk = connected(tmp_path)
    desk.change(barge=Barge.CONFERENCE)
    desk.run(f"{PIN}#6")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX"), ("BridgeAdd", SPYEE)]
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "barge"]
    joined = desk.pbx.happened.index(f'> EXEC "BridgeAdd" "{SPYEE}"')
    records = [at for at, event in enumerate(desk.pbx.happened) if event == "record spy_started"]
    assert records[-1] < joined


def test_a_barge_can_join_a_conference(tmp_path: Path) -> None:
    """ChanSpy could not; how the call is made up does not matter here."""
    desk = connected(tmp_path, "*2241001")
    desk.change(barge=Barge.CONFERENCE)
    desk.pbx.add_channel("PJSIP/1002-00000033")
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = f"{CUSTOMER},PJSIP/1002-00000033"
    desk.run()
    assert desk.pbx.executed == [("BridgeAdd", SPYEE)]
    assert refusals(desk) == []


@pytest.mark.parametrize("live", [True, False], ids=["in-doubt", "no-manager-interface"])
def test_no_call_is_joined_where_nobody_sees_who_comes(tmp_path: Path, live: bool) -> None:
    """It may become the call of an agent who may not be heard; listening continues."""
    desk = connected(tmp_path) if live else Desk(tmp_path)
    desk.change(barge=Barge.CONFERENCE)
    if desk.live is not None:
        desk.live.lost = True
    desk.run(f"{PIN}#6")
    assert [application for application, _ in desk.pbx.executed] == ["ChanSpy", "ChanSpy"]
    assert refusals(desk) == ["stale"]


def test_a_conference_that_ends_leads_on(tmp_path: Path) -> None:
    """The agent's next call is waited for, as after any other."""
    desk = connected(tmp_path, "*2241001")
    desk.change(barge=Barge.CONFERENCE)
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: call_of_1001(desk))
    desk.run()
    assert desk.pbx.executed == [("BridgeAdd", SPYEE), ("ChanSpy", f"{NEXT_UNIQUEID},uqESX")]
    assert ends(desk) == ["call_over", "supervisor_hung_up"]


def test_a_key_takes_over(desk: Desk) -> None:
    """The customer's channel is taken out of its bridge, on a grant of its own."""
    desk.run(f"{PIN}#7")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX"), ("Bridge", f"{CUSTOMER},x")]
    assert started(desk, "mode", "rule") == [("listen", "leads-supervise"), ("take_over", "leads-supervise")]
    assert ends(desk) == ["mode_key", "supervisor_hung_up"]


def test_a_customer_who_was_taken_over_hangs_up(desk: Desk) -> None:
    """The next extension is asked for; nobody waits for the agent whose call it was."""
    desk.when_quiet = desk.stopped_on_the_pbx
    desk.run(f"{PIN}#7")
    assert ends(desk) == ["mode_key", "call_over"]
    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]


def test_taking_over_is_a_right_of_its_own(tmp_path: Path) -> None:
    """Who may only listen hears a refusal and keeps listening."""
    desk = connected(tmp_path, channel="PJSIP/2002-00000001").run(f"{PIN}#7")
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy", "ChanSpy"]
    assert refusals(desk) == ["mode_denied"]


@pytest.mark.parametrize(
    "peers",
    [f"{CUSTOMER},PJSIP/1002-00000033", "Local/1002@agents-00000033;1"],
    ids=["three-parties", "no-device"],
)
def test_nobody_is_taken_over_but_one_device(desk: Desk, peers: str) -> None:
    """Of several parties nobody could say which; a helper of Asterisk's is not a customer."""

    def change(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = peers
        for name in peers.split(","):
            if name != CUSTOMER:
                desk.pbx.add_channel(name, bridge_peer=SPYEE)
            if (half := other_half(name)) is not None:
                desk.pbx.add_channel(half)

    desk.at_key = change
    desk.run(f"{PIN}#7")
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy", "ChanSpy"]
    assert refusals(desk) == ["conference"]


@pytest.mark.parametrize("result", ["FAILURE", "NONEXISTENT", "INCOMPATIBLE", ""])
def test_a_customer_who_could_not_be_taken_over_is_gone(desk: Desk, result: str) -> None:
    """Bridge ends with 0 as well when it has made no bridge; only its variable tells."""

    def not_made(pbx: FakeAsterisk, channel: FakeChannel, arguments: str) -> int:
        channel.variables["BRIDGERESULT"] = result
        return 0

    desk.pbx.application("Bridge", not_made)
    desk.run(f"{PIN}#7")
    assert ends(desk) == ["mode_key", "target_gone"]
    assert refusals(desk) == ["target_gone"]
    assert spoken(Cue.CALL_OVER)[0] not in desk.pbx.played


@pytest.mark.parametrize("key", "4567")
def test_a_call_that_ends_with_a_key_is_refused_once(desk: Desk, key: str) -> None:
    """Nothing more is executed, above all no Bridge on a customer who may be on another call already."""

    def hang_up(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).alive = False

    desk.at_key = hang_up
    desk.run(f"{PIN}#{key}")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX")]
    assert ends(desk) == ["mode_key"]
    assert refusals(desk) == ["target_gone"]


def test_a_conference_is_not_joined_by_a_part_of_a_name(tmp_path: Path) -> None:
    """A channel without its eight digits is refused, and nothing breaks."""
    desk = connected(tmp_path, "*2241001")
    desk.change(barge=Barge.CONFERENCE)
    desk.channel_of(SPYEE_UNIQUEID).name = "PJSIP/1001-a"
    desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = "PJSIP/1001-a"
    desk.run()
    assert desk.pbx.executed == []
    assert refusals(desk)[0] == "conference"
