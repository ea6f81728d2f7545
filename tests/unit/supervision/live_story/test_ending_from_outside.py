"""A right that goes and a caller who hangs up, at any moment of the story."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.audit.facts import End
from agi_monitor.model import Reason
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import VARIABLE
from tests.doubles.desk import PIN, SPYEE_UNIQUEID, Desk, refusals, spoken, started
from tests.unit.supervision.live_story.calls import ALL_MODES, ends

# ---- revoked -------------------------------------------------------------------------------------------------


def test_a_revoked_spy_is_told_why_and_goes_on_as_a_call(desk: Desk) -> None:
    """The record says who ended it; the supervisor hears a sentence, is heard again, and may ask for the next."""
    desk.when_quiet = desk.revoked_while_heard
    desk.run()
    assert ends(desk) == ["revoked"]
    assert desk.recorded("fact", "reason", "detail")[-1] == ("refused", "revoked", "killed")
    assert desk.pbx.played == ["agent-pass", *spoken(Reason.REVOKED), "vm-enter-num-to-call", "vm-goodbye"]
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "off"
    assert desk.pbx.channel.variables["MUTEAUDIO(in)"] == "off"
    assert desk.pbx.channel.variables[VARIABLE] == ""


def test_the_channel_speaks_again_before_anything_is_said(desk: Desk) -> None:
    """Otherwise the supervisor would not hear why."""
    desk.when_quiet = desk.revoked_while_heard
    desk.run()
    happened = desk.pbx.happened
    said = happened.index(f"plays {spoken(Reason.REVOKED)[0]}")
    speaks = happened.index('> SET VARIABLE "MUTEAUDIO(out)" "off"')
    assert happened.index("silenced fake-1.1") < speaks < said
    assert happened.index("closed fake-1.1") < said


@pytest.mark.parametrize("key", "456*")
def test_a_key_in_the_moment_of_a_revocation_changes_nothing(desk: Desk, key: str) -> None:
    """The spy is over, whatever was pressed, and the channel is not left silent."""

    def revoke(key: str) -> None:
        assert desk.watch is not None
        desk.watch.reasons["fake-1.1"] = "mode_denied"
        desk.pbx.channel.variables.update({"MUTEAUDIO(out)": "on", "MUTEAUDIO(in)": "on"})

    desk.at_key = revoke
    desk.run(f"{PIN}#{key}")
    assert len(desk.spies) == 1
    assert ends(desk) == ["revoked"]
    assert refusals(desk) == ["revoked"]
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "off"


def test_a_revoked_call_that_hangs_up_was_revoked(desk: Desk) -> None:
    """The server hung it up because the key did nothing: the record does not blame the supervisor."""

    def hung_up() -> int | None:
        assert desk.watch is not None
        desk.watch.reasons["fake-1.1"] = "killed"
        return desk.supervisor_hangs_up()

    desk.when_quiet = hung_up
    desk.run()
    assert ends(desk) == ["revoked"]


def test_the_servers_key_on_a_phone_changes_nothing(desk: Desk) -> None:
    """Who has it and presses it continues in the same mode, on a grant of its own: nothing was revoked."""
    desk.run(f"{PIN}#D")
    assert ends(desk) == ["mode_key", "supervisor_hung_up"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"] * 2
    assert refusals(desk) == []


def test_a_spy_that_is_told_to_begin_anew_goes_on_with_the_new_party(desk: Desk) -> None:
    """The server pressed the key: it is on record as what it is, and the same mode is decided again."""
    assert desk.watch is not None
    desk.watch.again.add("fake-1.1")
    desk.run(f"{PIN}#D")
    assert ends(desk) == ["party_changed", "supervisor_hung_up"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"] * 2
    assert refusals(desk) == []


def test_a_right_that_is_gone_when_a_spy_begins_anew_is_refused_once(desk: Desk) -> None:
    """There is no other mode to go back to."""
    assert desk.watch is not None

    def begins_anew(grant: Grant) -> bool:
        desk.change(rules=())
        return True

    desk.watch.begins_anew = begins_anew  # type: ignore[method-assign]
    desk.run(f"{PIN}#D")
    assert refusals(desk) == ["mode_denied"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]


def test_a_right_that_is_taken_away_while_the_record_is_written_gives_no_sound(desk: Desk) -> None:
    """The last look is the one before the application: the grant is closed, and on record as revoked."""
    assert desk.watch is not None
    opened = desk.watch.opened

    def meanwhile(grant: Grant) -> str:
        desk.change(rules=())
        return opened(grant)

    desk.watch.opened = meanwhile  # type: ignore[method-assign]
    desk.run()
    assert desk.spies == []
    assert ends(desk) == ["revoked"]
    assert refusals(desk)[0] == "revoked"
    assert desk.watch.open == []
    assert desk.pbx.channel.variables[VARIABLE] == ""


@pytest.mark.parametrize(
    ("key", "modes"), [("5", ["listen", "whisper"]), ("1", ["listen", "listen"]), ("*", ["listen"])]
)
def test_a_key_before_chanspy_could_look_counts_all_the_same(desk: Desk, key: str, modes: list[str]) -> None:
    """In its first moments ChanSpy ends with the key as its result, wherever that key leads."""
    chanspy = desk.pbx.applications["chanspy"]

    def early(*arguments: Any) -> Any:
        desk.pbx.application("ChanSpy", chanspy)
        return ord(key)

    desk.pbx.application("ChanSpy", early)
    desk.run()
    assert [mode for (mode,) in started(desk, "mode")] == modes


def test_a_spy_that_lost_its_story_is_left_to_the_watch(desk: Desk) -> None:
    """The connection of the call breaks while it is heard: the watch records its end, not the story."""

    def cut() -> int | None:
        desk.pbx.lose_connection()
        return None

    desk.when_quiet = cut
    desk.run()
    assert [event for event in desk.pbx.happened if event.startswith(("left alone", "closed "))] == [
        "left alone fake-1.1",
        "closed fake-1.1",
    ]
    assert ends(desk) == []


@pytest.mark.parametrize("end", ["supervisor", "server"])
def test_a_spy_that_is_over_is_left_to_nobody(desk: Desk, end: str) -> None:
    """The supervisor has hung up, or the server says that it leaves the spy running: the story records that end."""

    def over() -> int | None:
        if end == "supervisor":
            return desk.supervisor_hangs_up()
        assert desk.call is not None
        desk.call.ends_by_server(End.LEFT_RUNNING)
        desk.pbx.lose_connection()
        return None

    desk.when_quiet = over
    desk.run()
    assert not any(event.startswith("left alone") for event in desk.pbx.happened)
    assert ends(desk) == ["supervisor_hung_up" if end == "supervisor" else "left_running"]


def test_the_channel_speaks_again_only_when_nothing_silences_it_any_more(desk: Desk) -> None:
    """An action that is still on its way would silence it for the rest of the call."""
    assert desk.watch is not None
    on_their_way: Deferred[None] = Deferred()

    async def silenced(grant: Grant) -> None:
        await on_their_way

    desk.watch.silenced = silenced  # type: ignore[method-assign]
    desk.when_quiet = desk.revoked_while_heard
    desk.pbx.keys(f"{PIN}#")
    desk.pbx.start(desk.serve)
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "on"
    on_their_way.callback(None)
    desk.pbx.advance(1.0)
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "off"
    assert ends(desk) == ["revoked"]


# ---- hang-ups at any moment ----------------------------------------------------------------------------------


COMMANDS_OF_LIVE_STORY = 61


def live_story(desk: Desk) -> None:
    """A notice, a mode key, the star key, the next extension, a revocation."""
    desk.change(notice=replace(ALL_MODES))
    desk.when_quiet = desk.revoked_while_heard
    desk.run(f"{PIN}#5*1001")


def test_the_live_story_has_so_many_commands(desk: Desk) -> None:
    """The test below goes through every command of a story with a notice and a revocation."""
    live_story(desk)
    assert len(desk.pbx.commands) == COMMANDS_OF_LIVE_STORY
    assert ends(desk) == ["mode_key", "supervisor_left", "revoked"]


@pytest.mark.parametrize("number", range(1, COMMANDS_OF_LIVE_STORY + 1))
def test_a_hang_up_at_any_command_leaves_nothing_open(desk: Desk, number: int) -> None:
    """Wherever the supervisor hangs up, no grant, no notice and no record is left open."""
    desk.pbx.hang_up_at_command(number)
    with capture_logs() as logs:
        live_story(desk)
    assert desk.watch is not None
    assert desk.pbx.closed
    assert (desk.watch.open, desk.watch.notices) == ([], [])
    assert [grant for (grant,) in started(desk, "grant")] == [
        record["grant"] for record in desk.records if record["fact"] == "spy_ended"
    ]
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("end", ["supervisor_hung_up", "pbx_ended"])
def test_a_busy_pbx_makes_no_spy_longer(desk: Desk, monkeypatch: pytest.MonkeyPatch, end: str) -> None:
    """It takes its time to say whether another phone has the spy: nothing is heard while it is asked."""
    assert desk.watch is not None
    hangs_up = desk.supervisor_hangs_up if end == "supervisor_hung_up" else desk.stopped_on_the_pbx

    async def busy(grant: Grant) -> bool:
        desk.now += 25.0
        return False

    def ten_seconds_later() -> int | None:
        desk.now += 10.0
        return hangs_up()

    monkeypatch.setattr(desk.watch, "was_handed_over", busy)
    desk.when_quiet = ten_seconds_later
    desk.run()
    (ended,) = [record for record in desk.records if record["fact"] == "spy_ended"]
    assert (ended["why"], ended["seconds"]) == (end, 10.0)
