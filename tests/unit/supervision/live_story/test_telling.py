"""Protected calls, and agents who are told before they are heard."""

from __future__ import annotations

from structlog.testing import capture_logs

from agi_monitor.model import Mode, Reason
from agi_monitor.supervision.policy import Notice
from tests.doubles.desk import PIN, SPYEE_UNIQUEID, Desk, refusals, spoken, started
from tests.unit.supervision.live_story.calls import ALL_MODES

# ---- protected calls -----------------------------------------------------------------------------------------


def test_the_dialplan_protects_a_call(desk: Desk) -> None:
    """A variable on the agent's channel, whatever the rules say; and the next call is another one."""
    desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "1"
    desk.run()
    assert desk.recorded("reason", "detail")[0] == ("protected", "the dialplan says so")
    assert desk.spies == []


def test_a_call_becomes_protected_while_it_is_heard(desk: Desk) -> None:
    """The next mode is decided on the call as it is then: neither it nor the old one continues."""

    def protect(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "yes"

    desk.at_key = protect
    desk.run(f"{PIN}#5")
    assert len(desk.spies) == 1
    assert refusals(desk) == ["protected", "protected"]


# ---- the agent is told ---------------------------------------------------------------------------------------


HELPER = f"Local/notice@agi-monitor-notice/n,app,ChanSpy,{SPYEE_UNIQUEID}\\,uqESw,,,v(AGI_MONITOR_NOTICE=notice-1)"


def test_the_agent_is_told_before_anything_is_heard(desk: Desk) -> None:
    """The helper first, then the record that says so, then the sound."""
    desk.change(notice=ALL_MODES)
    desk.run()
    assert desk.pbx.executed == [("Originate", HELPER), ("ChanSpy", f"{SPYEE_UNIQUEID},uqESX")]
    steps = [f"notice to {SPYEE_UNIQUEID}", "record spy_started", "opened fake-1.1"]
    assert [event for event in desk.pbx.happened if event in steps] == steps
    assert started(desk, "told", "grant") == [(True, 1)]
    assert desk.watch is not None
    assert desk.watch.notices == []


def test_the_agent_is_told_once(desk: Desk) -> None:
    """Every mode of this call after that is on the same notice; the next call is told again."""
    desk.change(notice=ALL_MODES)
    desk.run(f"{PIN}#56*1001")
    told, heard = "Originate", "ChanSpy"
    assert [name for name, _ in desk.pbx.executed] == [told, heard, heard, heard, told, heard]
    assert [told for (told,) in started(desk, "told")] == [True] * 4


def test_the_agent_is_told_when_the_mode_concerns_them(desk: Desk) -> None:
    """Listening needs no notice here, whispering does."""
    desk.change(notice=Notice(frozenset({Mode.WHISPER}), frozenset({"all"})))
    desk.run(f"{PIN}#54")
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy", "Originate", "ChanSpy", "ChanSpy"]
    assert [told for (told,) in started(desk, "told")] == [False, True, True]


def test_other_agents_are_not_told(desk: Desk) -> None:
    """The notice is for the agents that it names."""
    desk.change(notice=Notice(frozenset(Mode), frozenset({"protected"})))
    desk.run()
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy"]
    assert started(desk, "told") == [(False,)]


def test_without_the_notice_nobody_is_heard(desk: Desk) -> None:
    """It could not be given: a refusal, no grant and no sound."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None
    desk.watch.gives = False
    with capture_logs() as logs:
        desk.run()
    assert refusals(desk)[0] == "notice_failed"
    assert desk.spies == []
    assert desk.watch.grants == []
    assert "notice_failed" in [line["event"] for line in logs]
    assert desk.pbx.played[1:3] == spoken(Reason.NOTICE_FAILED)


def test_a_key_whose_notice_fails_goes_on_as_before(desk: Desk) -> None:
    """Whispering is refused, listening continues: it needs no notice."""
    desk.change(notice=Notice(frozenset({Mode.WHISPER}), frozenset({"all"})))
    assert desk.watch is not None
    desk.watch.gives = False
    desk.run(f"{PIN}#5")
    assert refusals(desk) == ["notice_failed"]
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "listen"]


def test_a_right_that_is_taken_away_during_the_notice_is_none(desk: Desk) -> None:
    """The notice takes its time: what the configuration says after it decides."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None
    desk.watch.meanwhile = lambda: desk.change(rules=())
    desk.run()
    assert refusals(desk)[0] == "mode_denied"
    assert desk.spies == []
    assert desk.watch.grants == []


def test_a_call_that_ends_during_the_notice_is_gone(desk: Desk) -> None:
    """The supervisor is told so; nobody else is heard in the place of the agent."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None

    def hang_up() -> None:
        desk.channel_of(SPYEE_UNIQUEID).alive = False

    desk.watch.meanwhile = hang_up
    desk.run()
    assert refusals(desk)[0] == "target_gone"
    assert desk.watch.open == []
