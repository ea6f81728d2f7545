"""The story of one call, told to a fake PBX through the real protocol."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.audit.facts import End
from agi_monitor.model import Agent, Cue, Mode, Reason
from agi_monitor.pins.guard import PinPolicy
from agi_monitor.pins.lock_outs import Limit, LockOut
from agi_monitor.rights.authorization import Terms
from agi_monitor.supervision.grants import Place
from agi_monitor.supervision.hooks import Asked, Plugin
from agi_monitor.supervision.line import KEYS
from agi_monitor.supervision.policy import Notice
from agi_monitor.supervision.prompts import Prompts
from agi_monitor.supervision.protected import Protected
from agi_monitor.supervision.spy_call import MAX_MISSES
from agi_monitor.testing import FakeAsterisk, FakeChannel
from tests.doubles.desk import (
    ANNA,
    CODES,
    CUSTOMER,
    NOW,
    OTHER_HASH,
    PIN,
    PIN_POLICY,
    POLICY,
    RULES,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    limits,
    refusals,
    spoken,
)

Result = TypeVar("Result")

STRANGER = "PJSIP/6666-00000001"
WRONG = "00000000#"


def assert_spies_are_on_record(desk: Desk) -> None:
    """Every ChanSpy came after a record that says so, and every such record has one that ends it."""
    started = 0
    for event in desk.pbx.happened:
        if event == "record spy_started":
            started += 1
        elif event.startswith('> EXEC "ChanSpy"'):
            assert started == 1
            started = 0
    begun = [record["grant"] for record in desk.records if record["fact"] == "spy_started"]
    ended = [record["grant"] for record in desk.records if record["fact"] == "spy_ended"]
    assert begun == ended == list(range(1, len(begun) + 1))


# ---- the way that is meant ---------------------------------------------------------------------------------


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
    """After the ``*`` key and no further extension the call ends with a word, and it was no refusal."""
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
    """ChanSpy that ends while both channels live was ended by somebody else."""
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
    """Somebody sets the clock on the wall by hours while a spy is on: it lasted as long as it did."""

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


# ---- the keys 4, 5, 6 and * --------------------------------------------------------------------------------


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
    """Who may only listen hears a refusal and goes on listening; the other mode is never executed."""
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
    """A reload in the middle of a spy holds for the next mode, and for going on with the old one."""
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
    """When a third party joins the call, the barge key is refused and listening goes on."""

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


# ---- every refusal -----------------------------------------------------------------------------------------


def wrong_pins(desk: Desk) -> None:
    desk.run(WRONG * 3)


def locked(desk: Desk) -> None:
    desk.pins.policy = replace(PIN_POLICY, limits=limits(1))
    desk.run(f"{WRONG}{PIN}#")


def expired(desk: Desk) -> None:
    desk.pins.policy = replace(PIN_POLICY, max_age=86_400.0)
    desk.run()


def no_such_code(desk: Desk) -> None:
    desk.pbx.channel.extension = "*9991001"
    desk.run("")


def no_extension(desk: Desk) -> None:
    desk.pbx.channel.extension = "*222"
    desk.run()


def no_such_agent(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2225555"
    desk.run()


def protected(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2221003"
    desk.run()


def own_phone(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2221004"
    desk.run()


def idle(desk: Desk) -> None:
    for channel in desk.pbx.channels[1:]:
        channel.alive = False
    desk.run()


def ringing(desk: Desk) -> None:
    spyee = desk.channel_of(SPYEE_UNIQUEID)
    spyee.state, spyee.bridge_peer = type(spyee.state).RINGING, ""
    desk.run()


def held(desk: Desk) -> None:
    desk.channel_of(SPYEE_UNIQUEID).on_hold = True
    desk.run()


def unregistered(desk: Desk) -> None:
    desk.pbx.device_states["PJSIP/1001"] = "UNAVAILABLE"
    idle(desk)


def two_calls(desk: Desk, keys: str) -> None:
    desk.pbx.add_channel("PJSIP/trunk-00000031", bridge_peer="PJSIP/1001-00000030")
    second = desk.pbx.add_channel("PJSIP/1001-00000030", "1700000000.30", bridge_peer="PJSIP/trunk-00000031")
    second.variables["connected number"] = "+49 30 1234"
    desk.channel_of(SPYEE_UNIQUEID).variables["connected number"] = "555"
    desk.run(keys)


def undecided(desk: Desk) -> None:
    two_calls(desk, f"{PIN}#")


def gone(desk: Desk) -> None:
    desk.pbx.application("ChanSpy", lambda pbx, channel, argument: _agent_gone(desk))
    desk.run()


def _agent_gone(desk: Desk) -> int:
    desk.channel_of(SPYEE_UNIQUEID).alive = False
    return -1


def conference(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2241001"
    desk.pbx.add_channel("PJSIP/1002-00000033")
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = f"{CUSTOMER},PJSIP/1002-00000033"
    desk.run()


def no_record(desk: Desk) -> None:
    desk.audit_path.parent.rename(desk.audit_path.parent.with_name("away"))
    desk.run()


def stranger(desk: Desk) -> None:
    desk.pbx.channel.name = STRANGER
    desk.run(f"{PIN}#" * 3)


def no_state(desk: Desk) -> None:
    desk.lose_the_database()
    desk.run()


def call_of_the_board(desk: Desk) -> None:
    desk.change(protected=Protected(frozenset({"PJSIP/trunk"})))
    desk.run()


def taken_away(desk: Desk) -> None:
    desk.connect()
    desk.when_quiet = desk.revoked_while_heard
    desk.run()


def no_picture(desk: Desk) -> None:
    desk.pbx.channel.extension = "*222*"
    desk.run()


def not_told(desk: Desk) -> None:
    desk.change(notice=Notice(frozenset(Mode), frozenset({"all"})))
    desk.run()


def no_reason(desk: Desk) -> None:
    desk.change(rules=(replace(RULES[0], terms=Terms(reason_required=True)),))
    desk.run(f"{PIN}#0")


def heard_enough(desk: Desk) -> None:
    desk.connect()
    desk.change(rules=(replace(RULES[0], terms=Terms(max_minutes=1)),))

    def a_minute_goes_by(key: str) -> None:
        desk.now += 60.0

    desk.at_key = a_minute_goes_by
    desk.run(f"{PIN}#*1001")


def full(desk: Desk) -> None:
    desk.connect().place_taken(Place("carla", "1700000000.99", SPYEE_UNIQUEID, NOW - 5.0))
    desk.change(rules=(replace(RULES[0], terms=Terms(max_listeners=1)),))
    desk.run()


def no_chanspy(desk: Desk) -> None:
    del desk.pbx.applications["chanspy"]
    desk.pbx.missing_applications.add("ChanSpy")
    desk.run()


def plug_in(answer: object) -> Callable[[Desk], None]:
    """A plug-in of the site answers this."""

    class Says:
        async def authorize(self, asked: Asked) -> object:
            """Give the answer."""
            return answer

    def story(desk: Desk) -> None:
        desk.plugins = (Plugin("site", Says()),)
        desk.run()

    return story


def another_pin(desk: Desk) -> None:
    """The administrator gives the supervisor another PIN while they listen."""
    other = {"PJSIP/2001": replace(ANNA, pin_hash=OTHER_HASH)}
    desk.at_key = lambda key: desk.change(supervisors=other)
    desk.run(f"{PIN}#5")


STORIES: dict[Reason, Callable[[Desk], None]] = {
    Reason.PLUGIN_DENIED: plug_in("not today"),
    Reason.PLUGIN_FAILED: plug_in(None),
    Reason.CODE_UNKNOWN: no_such_code,
    Reason.ENDPOINT_UNKNOWN: stranger,
    Reason.PIN_WRONG: wrong_pins,
    Reason.PIN_LOCKED: locked,
    Reason.PIN_EXPIRED: expired,
    Reason.IDENTITY_CHANGED: another_pin,
    Reason.EXTENSION_MISSING: no_extension,
    Reason.AGENT_UNKNOWN: no_such_agent,
    Reason.MODE_DENIED: protected,
    Reason.REASON_MISSING: no_reason,
    Reason.TIME_IS_UP: heard_enough,
    Reason.TOO_MANY_LISTENERS: full,
    Reason.SELF_SPY: own_phone,
    Reason.NO_CALL: idle,
    Reason.RINGING: ringing,
    Reason.ON_HOLD: held,
    Reason.UNAVAILABLE: unregistered,
    Reason.AMBIGUOUS: undecided,
    Reason.TARGET_GONE: gone,
    Reason.CONFERENCE: conference,
    Reason.PROTECTED: call_of_the_board,
    Reason.REVOKED: taken_away,
    Reason.STALE: no_picture,
    Reason.NOTICE_FAILED: not_told,
    Reason.AUDIT_UNAVAILABLE: no_record,
    Reason.STATE_UNAVAILABLE: no_state,
    Reason.PBX_ERROR: no_chanspy,
}
"""How each refusal comes about."""

AFTER_A_SPY = {Reason.TARGET_GONE, Reason.PBX_ERROR, Reason.REVOKED, Reason.TIME_IS_UP, Reason.IDENTITY_CHANGED}
"""Here ChanSpy was executed, and gave no sound or none any more."""


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_spoken_audited_and_gives_no_sound(desk: Desk, reason: Reason) -> None:
    """Each reason has a story; its words are heard, its slug is on record, and ChanSpy is not executed."""
    STORIES[reason](desk)

    extension = desk.pbx.channel.extension[-4:]
    words = " ".join(spoken(reason, extension))
    assert words in " ".join(desk.pbx.played)
    assert refusals(desk)[0] == reason
    assert bool(desk.spies) is (reason in AFTER_A_SPY)
    # Every word of every story can be ended by every key.
    spoke = [command[3] for command in desk.pbx.commands if command[:2] in (["STREAM", "FILE"], ["SAY", "DIGITS"])]
    assert set(spoke) == {KEYS}
    assert_spies_are_on_record(desk)


def test_every_reason_has_a_story() -> None:
    """A reason that nothing leads to is a reason too many, or one that nobody has tested."""
    assert set(STORIES) == set(Reason)


def test_more_misses_than_a_few_end_the_call(tmp_path: Path) -> None:
    """Nobody searches the extensions by ear: after some refusals in a row the call is over."""
    desk = Desk(tmp_path, "*222").run(f"{PIN}#" + "7777" * 20)

    assert refusals(desk) == ["agent_unknown"] * MAX_MISSES
    assert desk.pbx.played.count("vm-enter-num-to-call") == MAX_MISSES
    assert desk.pbx.commands[-1] == ["HANGUP"]


def test_a_spy_takes_the_misses_back(desk: Desk) -> None:
    """Misses count in a row only: after a spy the supervisor may miss as often as before."""
    misses = "7777" * (MAX_MISSES - 1)
    desk.run(f"{PIN}#*{misses}1001*{misses}1001")

    assert refusals(desk) == ["agent_unknown"] * 2 * (MAX_MISSES - 1)
    assert len(desk.spies) == 3


def test_an_error_of_the_pbx_is_on_record(desk: Desk) -> None:
    """ChanSpy that the PBX does not have ends the grant as an error, and the log names the command."""
    with capture_logs() as logs:
        no_chanspy(desk)

    assert desk.recorded("fact", "why")[:2] == [("spy_started", None), ("spy_ended", "error")]
    assert [(line["command"], line["code"]) for line in logs if line["event"] == "pbx_error"] == [("EXEC", 200)]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("name", ["Call Center 1", "Zürich"])
def test_a_call_of_a_pbx_with_any_name_is_heard(tmp_path: Path, name: str, live: bool) -> None:
    """The identifier is told to ChanSpy as the PBX made it."""
    desk = Desk(tmp_path)
    if live:
        desk.connect()
    desk.channel_of(SPYEE_UNIQUEID).uniqueid = f"{name}-1700000000.10"
    desk.run()
    assert desk.spies == [f"{name}-1700000000.10,uqESX"]


@pytest.mark.parametrize("live", [False, True])
def test_an_identifier_that_cannot_be_used_is_told(tmp_path: Path, live: bool) -> None:
    """Nothing is heard, and neither log nor audit says that the phone is idle."""
    desk = Desk(tmp_path)
    if live:
        desk.connect()
    desk.channel_of(SPYEE_UNIQUEID).uniqueid = "Sales, Berlin-1700000000.10"
    with capture_logs() as logs:
        desk.run()
    assert desk.spies == []
    assert [(line["identifier"], line["characters"]) for line in logs if line["event"] == "identifier_unusable"] == [
        ("'Sales, Berlin-1700000000.10'", "','")
    ]
    assert desk.recorded("reason", "detail")[0] == ("no_call", "1 with an identifier that cannot be used")


# ---- who, and how little is told ---------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [PIN_POLICY, replace(PIN_POLICY, limits=limits(2))], ids=["wrong", "locked"])
def test_a_strangers_phone_sounds_like_a_wrong_pin(tmp_path: Path, policy: PinPolicy) -> None:
    """Nobody can tell by the sounds or their order whether a phone belongs to a supervisor."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    known = Desk(tmp_path / "a", pin_policy=policy).run(WRONG * 3)
    unknown = Desk(tmp_path / "b", channel=STRANGER, pin_policy=policy).run(WRONG * 3)

    assert unknown.pbx.commands == known.pbx.commands
    assert unknown.pbx.played == known.pbx.played
    assert {record["supervisor"] for record in unknown.records} == {None}
    assert {record["endpoint"] for record in unknown.records} == {"PJSIP/6666"}


def test_a_strangers_right_pin_is_wrong(tmp_path: Path) -> None:
    """Somebody's PIN on a phone of nobody is no PIN."""
    desk = Desk(tmp_path, channel=STRANGER).run(f"{PIN}#" * 3)

    assert refusals(desk) == ["endpoint_unknown"]
    assert desk.spies == []


def test_an_unknown_agent_sounds_like_a_forbidden_one(tmp_path: Path) -> None:
    """Nobody can find out by the sounds which extensions are agents."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    forbidden = Desk(tmp_path / "a", "*2221003").run()
    unknown = Desk(tmp_path / "b", "*2225555").run()

    assert unknown.pbx.commands == forbidden.pbx.commands


def test_the_caller_id_proves_nothing(desk: Desk) -> None:
    """A stranger's phone that shows a supervisor's number is a stranger's phone."""
    desk.pbx.channel.name = STRANGER
    desk.pbx.channel.caller_id, desk.pbx.channel.caller_id_name = "2001", "Anna Example"
    desk.run(f"{PIN}#" * 3)

    assert refusals(desk) == ["endpoint_unknown"]


def test_an_empty_pin_is_no_attempt(desk: Desk) -> None:
    """Keying in nothing uses up a try of this call, but is not counted as a wrong PIN."""
    desk.run("###")

    assert refusals(desk) == ["pin_wrong"]
    assert (desk.wrong_pins("supervisor:anna"), desk.wrong_pins("endpoint:PJSIP/2001")) == (None, None)


def test_a_lock_out_is_on_record(desk: Desk) -> None:
    """The wrong PIN too many is a fact of its own that says until when."""
    locked(desk)

    assert desk.recorded("fact", "supervisor", "kind", "until", "reason") == [
        ("locked_out", "anna", "supervisor", "2023-11-14T22:14:20.000+00:00", None),
        ("refused", "anna", None, None, "pin_locked"),
    ]


def test_a_lock_out_is_on_record_also_after_a_hang_up(tmp_path: Path) -> None:
    """Whoever hangs up before the wrong PIN too many was looked at locks all the same, and not in silence."""

    async def slow(function: Callable[[], Result], /) -> Result:
        desk.pbx.hang_up()
        await Deferred()
        return function()

    desk = Desk(tmp_path, pin_policy=replace(PIN_POLICY, limits=limits(1)), hashing=slow)
    desk.run(f"{PIN}#")

    assert desk.recorded("fact", "supervisor", "kind") == [
        ("locked_out", "anna", "supervisor"),
        ("request_abandoned", "anna", None),
    ]
    assert desk.wrong_pins("supervisor:anna") == LockOut(1, NOW, NOW + 60.0)


def test_guessing_over_one_pbx_locks_everybody_on_it(tmp_path: Path) -> None:
    """The record says that it is the PBX; the supervisor hears what everybody hears who is locked out."""
    patient = replace(PIN_POLICY.limits, peer=Limit(2, 10.0, 300.0))
    desk = Desk(tmp_path, pin_policy=replace(PIN_POLICY, limits=patient)).run(f"{WRONG}{WRONG}{PIN}#")

    assert desk.recorded("fact", "kind", "until", "reason") == [
        ("locked_out", "peer", "2023-11-14T22:13:30.000+00:00", None),
        ("refused", None, None, "pin_locked"),
    ]
    assert [moment for moment in spoken(Reason.PIN_LOCKED) if moment not in desk.pbx.played] == []
    assert desk.spies == []


def test_without_a_pin_it_sounds_like_a_wrong_one(tmp_path: Path) -> None:
    """Nobody can tell from outside; the record can."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    wrong = Desk(tmp_path / "a").run(WRONG * 3)
    none = Desk(tmp_path / "b")
    none.change(supervisors={"PJSIP/2001": replace(ANNA, pin_hash=None)})
    none.run(f"{PIN}#" * 3)

    assert (none.pbx.commands, none.pbx.played) == (wrong.pbx.commands, wrong.pbx.played)
    assert none.recorded("reason", "detail") == [("pin_wrong", "there is no PIN")]


@pytest.mark.parametrize(
    ("dialled", "keys"),
    [
        ("*2221001", f"{PIN}#5*{PIN}#"),
        ("*222", f"{PIN}#{PIN}#"),
        ("*222", f"{PIN}#1001"),
        ("*222", "90210777#" * 3),
        ("*222", f"{PIN}#90210777#"),
    ],
    ids=["right", "pin-for-extension", "extension", "wrong", "wrong-for-extension"],
)
def test_no_digit_of_a_pin_is_kept(tmp_path: Path, dialled: str, keys: str) -> None:
    """What is keyed in as a PIN stands in no log line, no record, no command and no file."""
    desk = Desk(tmp_path, dialled)
    with capture_logs() as logs:
        desk.run(keys)

    files = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    kept = [*(str(line) for line in logs), *(" ".join(command) for command in desk.pbx.commands), files]
    for secret in (PIN, PIN[:4], "90210777", "9021"):
        assert [text for text in kept if secret in text] == []


def test_no_digit_of_a_pin_is_in_an_error(desk: Desk) -> None:
    """When the lock-outs cannot be written, neither the refusal nor the log repeats what was keyed in."""
    with capture_logs() as logs:
        no_state(desk)

    assert PIN not in str(logs) + str(desk.records)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["state_unavailable"]


# ---- hang-ups, and a disk that fails -----------------------------------------------------------------------

LONG_STORY = f"{PIN}#56*1001*"
COMMANDS_OF_LONG_STORY = 76


def test_the_long_story_has_so_many_commands(desk: Desk) -> None:
    """The tests below go through every command of a story with all keys."""
    desk.run(LONG_STORY)

    assert len(desk.pbx.commands) == COMMANDS_OF_LONG_STORY
    assert len(desk.spies) == 4


@pytest.mark.parametrize("number", range(1, COMMANDS_OF_LONG_STORY + 1))
def test_a_hang_up_at_any_command_leaves_no_open_record(desk: Desk, number: int) -> None:
    """Wherever the supervisor hangs up, no ChanSpy is without a record before it and an end behind it."""
    desk.pbx.hang_up_at_command(number)
    with capture_logs() as logs:
        desk.run(LONG_STORY)

    assert desk.pbx.closed
    assert_spies_are_on_record(desk)
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("number", range(1, COMMANDS_OF_LONG_STORY + 1))
def test_a_lost_connection_at_any_command_leaves_no_open_record(desk: Desk, number: int) -> None:
    """The same when the connection to the PBX breaks."""
    cut_at_command(desk, number)
    with capture_logs() as logs:
        desk.run(LONG_STORY)

    assert desk.pbx.closed
    assert_spies_are_on_record(desk)
    assert [line for line in logs if line["log_level"] == "error"] == []


def cut_at_command(desk: Desk, number: int) -> None:
    """Break the connection when the n-th command arrives."""

    class Commands(list[list[str]]):
        def append(self, words: list[str]) -> None:
            super().append(words)
            if len(self) == number:
                desk.pbx.lose_connection()

    desk.pbx.commands = Commands()


class HangUpAtWrite:
    """Runs the audit's writes; during the n-th the supervisor hangs up, and the disk is slower than that."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.writes = 0
        self.pbx: FakeAsterisk | None = None

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        result = function()
        self.writes += 1
        if self.writes == self.number and self.pbx is not None:
            disk: Deferred[None] = Deferred()
            self.pbx.hang_up()
            await disk
        return result


@pytest.mark.parametrize("number", range(1, 9))
def test_a_hang_up_while_the_disk_is_busy_leaves_no_open_record(tmp_path: Path, number: int) -> None:
    """A record of a grant that was being written when the supervisor hung up gets its end as well."""
    writing = HangUpAtWrite(number)
    desk = Desk(tmp_path, writing=writing)
    writing.pbx = desk.pbx
    desk.run(LONG_STORY)

    assert writing.writes >= number
    begun = [record["grant"] for record in desk.records if record["fact"] == "spy_started"]
    ended = [record["grant"] for record in desk.records if record["fact"] == "spy_ended"]
    assert begun == ended
    assert len(desk.spies) <= len(begun)


@pytest.mark.parametrize("number", range(1, 8))
def test_no_sound_without_a_record(desk: Desk, number: int) -> None:
    """From the append on that fails, ChanSpy is executed no more."""
    desk.audit.fails_from = number
    desk.run(LONG_STORY)

    events = desk.pbx.happened
    failed = next(at for at, event in enumerate(events) if event.startswith("no record of"))
    assert not any("ChanSpy" in event for event in events[failed:])
    assert " ".join(spoken(Reason.AUDIT_UNAVAILABLE)) in " ".join(desk.pbx.played)
    assert len(desk.spies) == number // 2


def test_a_full_disk_is_told_with_what_could_not_be_written(desk: Desk) -> None:
    """The refusal is kept until the disk takes it again, and names the error."""
    no_record(desk)

    assert desk.recorded("fact", "reason") == [("refused", "audit_unavailable")]
    assert "No such file or directory" in str(desk.records[0]["detail"])


@pytest.mark.parametrize("why", [End.SERVER_STOPPING, End.LEFT_RUNNING])
def test_a_server_that_stops_is_no_hang_up(desk: Desk, why: End) -> None:
    """A spy that is on while the server stops ends on record with what the server made of it."""

    def stop() -> int | None:
        assert desk.call is not None
        assert desk.call.spying
        desk.call.ends_by_server(why)
        return None

    desk.when_quiet = stop
    desk.pbx.keys(f"{PIN}#")
    desk.pbx.start(desk.serve)
    assert desk.pbx.session is not None
    desk.pbx.session.end(EndReason.SHUTDOWN)
    desk.pbx.advance(60.0)

    assert desk.recorded("fact", "why") == [("spy_started", None), ("spy_ended", why)]
    assert desk.call is not None
    assert desk.call.spying is False


# ---- which call --------------------------------------------------------------------------------------------


def test_asks_which_of_several_calls(desk: Desk) -> None:
    """Each call has a key and the other party's number; the older call comes first."""
    two_calls(desk, f"{PIN}#!2")

    assert desk.spies == ["1700000000.30,uqESX"]
    assert desk.pbx.played == ["agent-pass", "vm-press"]


def test_another_key_goes_on_to_the_next_of_several_calls(desk: Desk) -> None:
    """Who knows that it is not the first one hears of the second at once."""
    two_calls(desk, f"{PIN}#!#2")

    assert desk.spies == ["1700000000.30,uqESX"]
    assert desk.pbx.played[:4] == ["agent-pass", "vm-press", "vm-press", "digits:2"]


def test_tells_every_call_before_it_waits(desk: Desk) -> None:
    """Without a key both calls are told twice, then the request is refused."""
    two_calls(desk, f"{PIN}#")

    question = ["vm-press", "digits:1", "for", "digits:555", "vm-press", "digits:2", "for", "digits:49301234"]
    assert desk.pbx.played[:17] == ["agent-pass", *question * 2]
    assert desk.recorded("reason", "detail")[0] == ("ambiguous", "2 calls")


def test_a_rule_taken_away_during_the_question_holds(desk: Desk) -> None:
    """The answer takes its time: what the configuration says after it decides."""

    def reload_meanwhile(channel: FakeChannel, device: str) -> str:
        desk.change(rules=())
        return "INUSE"

    desk.pbx.functions["DEVICE_STATE"] = reload_meanwhile
    two_calls(desk, f"{PIN}#1")

    assert refusals(desk)[0] == "mode_denied"
    assert desk.spies == []


@pytest.mark.parametrize("reason", [Reason.TARGET_GONE, Reason.ON_HOLD, Reason.PROTECTED])
def test_a_call_that_changes_during_the_question_is_looked_at_again(desk: Desk, reason: Reason) -> None:
    """It ends, is put on hold, or somebody joins whom nobody may hear: what it is after the answer decides."""
    desk.change(protected=Protected(frozenset({"PJSIP/9000"})))
    desk.pbx.add_channel("PJSIP/9000-00000040")

    def change() -> None:
        call = desk.channel_of("1700000000.30")
        if reason is Reason.TARGET_GONE:
            call.alive = False
        elif reason is Reason.ON_HOLD:
            call.on_hold = True
        else:
            call.bridge_peer += ",PJSIP/9000-00000040"
        desk.pbx.keys("2")

    desk.pbx.plan = deque([change])
    two_calls(desk, f"{PIN}#")

    assert refusals(desk)[0] == reason
    assert desk.pbx.executed == []


def test_a_call_that_did_not_change_during_the_question_is_heard(desk: Desk) -> None:
    """The same question, and nothing happened meanwhile."""
    desk.pbx.plan = deque([lambda: desk.pbx.keys("2")])
    two_calls(desk, f"{PIN}#")

    assert desk.spies == ["1700000000.30,uqESX"]


@pytest.mark.parametrize("protected_by", ["endpoint", "number", "mark", "another-owner"])
def test_the_number_of_a_call_that_may_not_be_heard_is_not_said(desk: Desk, protected_by: str) -> None:
    """The other one is heard without a question."""
    if protected_by == "endpoint":
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = "PJSIP/9000-00000040"
        desk.pbx.add_channel("PJSIP/9000-00000040", bridge_peer=SPYEE)
        desk.change(protected=Protected(frozenset({"PJSIP/9000"})))
    elif protected_by == "number":
        desk.change(protected=Protected(numbers=("555",)))
    elif protected_by == "mark":
        desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "1"
    else:
        desk.channel_of(SPYEE_UNIQUEID).name = "PJSIP/1007-0000000a"
        desk.pbx.device_states["PJSIP/1007"] = "INUSE"
        agents = {
            "1001": replace(POLICY.agents["1001"], endpoints=("PJSIP/1001", "PJSIP/1007")),
            "1003": Agent("1003", frozenset({"protected"}), ("PJSIP/1007",)),
        }
        desk.change(agents=agents)
    two_calls(desk, f"{PIN}#")

    assert desk.spies == ["1700000000.30,uqESX"]
    assert desk.pbx.played == ["agent-pass"]


def test_no_number_is_said_once_the_right_is_gone(desk: Desk) -> None:
    """The rule is taken away while the first number is said."""

    class Slow:
        def words(self, moment: str, language: str) -> None:
            if moment == Cue.CHOOSE_CALL:
                desk.change(rules=())

    desk.plugins = (Plugin("slow", Slow()),)
    two_calls(desk, f"{PIN}#")

    assert [said for said in desk.pbx.played if said.startswith("digits:")] == ["digits:1", "digits:555"]
    assert refusals(desk)[0] == "mode_denied"


def test_no_number_is_said_to_the_phone_that_took_the_call(desk: Desk) -> None:
    """It is handed over while the words before the number are said."""

    play = desk.pbx._play

    def moved(sound: str) -> bool:
        if sound == "for":
            desk.pbx.channel.uniqueid = "1700000000.77"
        return play(sound)

    desk.pbx._play = moved  # type: ignore[method-assign]
    two_calls(desk, f"{PIN}#")

    assert desk.pbx.played == ["agent-pass", "vm-press", "digits:1", "for"]


def test_no_more_choices_than_keys(desk: Desk) -> None:
    """Of twelve calls the first nine can be chosen."""
    for number in range(11):
        name = f"PJSIP/1001-000000f{number:x}"
        desk.pbx.add_channel(name, f"1700000001.{number}", bridge_peer="PJSIP/trunk-0000000b")
    desk.run(f"{PIN}#")

    assert "digits:9" in desk.pbx.played
    assert "digits:10" not in desk.pbx.played


# ---- words -------------------------------------------------------------------------------------------------


def test_speaks_the_supervisors_language(tmp_path: Path) -> None:
    """A supervisor's language is set before the PIN is asked for, and chooses the words."""
    desk = Desk(tmp_path, channel="PJSIP/2002-00000001")
    desk.change(prompts=Prompts({}, {"de": {Cue.ASK_PIN: ("pin-bitte",)}}))
    desk.run()

    assert desk.pbx.commands[2:4] == [
        ["SET", "VARIABLE", "CHANNEL(language)", "de"],
        ["GET", "DATA", "pin-bitte", "8000", "16"],
    ]


def test_the_channels_language_holds_without_one(tmp_path: Path) -> None:
    """Who has no language is spoken to in the channel's."""
    desk = Desk(tmp_path, language="de_AT")
    desk.change(prompts=Prompts({}, {"de": {Cue.ASK_PIN: ("pin-bitte",)}}))
    desk.run()

    assert desk.pbx.commands[2] == ["GET", "DATA", "pin-bitte", "8000", "16"]


def test_missing_sounds_stop_nothing(desk: Desk) -> None:
    """A sound file that is not there is logged and passed over; the call goes on."""
    desk.pbx.missing_sounds = {"agent-pass", "feature-not-avail-line", "vm-goodbye"}
    desk.pbx.channel.extension = "*2221003"
    with capture_logs() as logs:
        desk.run(f"{PIN}#1001")

    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]
    missing = [line["file"] for line in logs if line["event"] == "prompt_missing"]
    assert missing == ["agent-pass", "feature-not-avail-line"]


def test_keys_are_waited_for_without_any_sound(desk: Desk) -> None:
    """Not even a beep is there: what is keyed in counts all the same."""
    desk.pbx.missing_sounds = {"agent-pass", "beep"}
    desk.run(f"{PIN}#")

    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]


def test_a_placeholder_without_a_value_says_nothing(desk: Desk) -> None:
    """A site's words may name a digit that there is none for; it is not played as a file."""
    desk.change(
        prompts=Prompts({Reason.MODE_DENIED: ("denied", "{choice}", "{number}"), Cue.GOODBYE: ("{extension}",)})
    )
    protected(desk)

    assert desk.pbx.played == ["agent-pass", "denied", "vm-enter-num-to-call", "pm-invalid-option"]


@pytest.mark.parametrize("guest", [True, False])
def test_a_guest_who_calls_themselves_like_a_supervisors_phone(tmp_path: Path, *, guest: bool) -> None:
    """chan_sip calls a guest's channel by the domain in From. Of which peer it is, it says itself."""
    desk = Desk(tmp_path, channel="SIP/2001-00000001")
    supervisor = next(iter(desk.policy.supervisors.values()))
    desk.change(supervisors={"SIP/2001": replace(supervisor, endpoints=frozenset({"SIP/2001"}))})
    desk.pbx.channel.guest = guest
    desk.run()
    assert (refusals(desk), len(desk.spies)) == ((["endpoint_unknown"], 0) if guest else ([], 1))
