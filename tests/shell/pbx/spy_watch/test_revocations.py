"""Spies that end because their right does: silenced, ended by the key, hung up where that fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.typing import EventDict
from twisted.internet.defer import Deferred

from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.model import Mode, Supervisor
from agi_monitor.pbx.carriers import GONE_SECONDS
from agi_monitor.pbx.handing_over import SEARCH_SECONDS
from agi_monitor.pbx.revoking import CLOSE_SECONDS, KEY_SECONDS, MUTE_SECONDS
from agi_monitor.rights.authorization import Terms
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.protected import Protected
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import (
    ANNA,
    GRANT,
    NOW,
    RESYNC_SECONDS,
    ROGUE,
    ROGUE_UNIQUEID,
    SPYEE,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)
from tests.shell.pbx.spy_watch.watching import ENDING, begin, deeds, kept, kinds, resync


def test_a_right_that_is_taken_away_ends_the_spy(site: Site) -> None:
    """Silence in both directions and the key that ends ChanSpy go out at once, in this order; then the record."""
    site.open()
    site.change(rules=())
    assert deeds(site) == ENDING
    assert site.fake.asked("Setvar") == [
        {"Channel": SPYER_UNIQUEID, "Variable": "MUTEAUDIO(all)", "Value": "on"},
    ]
    assert site.fake.asked("PlayDTMF")[0]["Digit"] == "D"
    (record,) = site.records("spy_revoked")
    assert (record["why"], record["by"], record["grant"]) == ("mode_denied", "", 1)
    assert site.watch.revoked(GRANT) == "mode_denied"


def test_a_spy_that_ends_by_the_key_keeps_its_call(site: Site) -> None:
    """The story closes the grant in time: the supervisor's channel is not hung up, and nothing is kept of it."""
    site.open()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS / 2)
    site.close()
    site.fake.advance(10.0)
    assert deeds(site) == ENDING
    assert site.watch.revoked(GRANT) is None


@pytest.mark.parametrize("muted", [True, False])
def test_a_spy_that_does_not_end_by_the_key_is_hung_up(site: Site, muted: bool) -> None:
    """After the time for the key, not before, and once. One that is muted already has more time: a busy PBX may take
    long to end ChanSpy, and the supervisor keeps the call."""
    site.open()
    if not muted:
        site.fake.refused["Setvar"] = "no res_mutestream"
    site.change(rules=())
    if muted:
        site.fake.advance(KEY_SECONDS)
        site.fake.advance(CLOSE_SECONDS - KEY_SECONDS)
    site.fake.advance(KEY_SECONDS - 0.001)
    assert "Hangup" not in site.fake.names
    site.fake.advance(0.001)
    site.fake.advance(10.0)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]


def test_a_spy_that_is_over_keeps_its_call_though_the_story_is_slow(site: Site) -> None:
    """The PBX has said that no call is heard; a busy server takes longer to say the same."""
    site.open()
    site.change(rules=())
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(KEY_SECONDS)
    site.fake.advance(CLOSE_SECONDS / 2)
    site.close()
    site.fake.advance(10.0)
    assert deeds(site) == ENDING


def test_a_spy_that_was_over_before_is_hung_up_all_the_same(site: Site) -> None:
    """An end of long ago says nothing, and a story that never says that it is over is not trusted for ever."""
    site.open()
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(1.0)
    site.fake.refused["Setvar"] = "no res_mutestream"
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]


def test_a_story_that_never_says_that_it_is_over(site: Site) -> None:
    """Whatever the PBX said, its channel is hung up in the end."""
    site.open()
    site.change(rules=())
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.advance(KEY_SECONDS)
    assert "Hangup" not in site.fake.names
    site.fake.advance(CLOSE_SECONDS)
    site.fake.advance(10.0)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]


def test_a_disk_that_hangs_keeps_nobody_from_falling_silent(site: Site) -> None:
    """Nothing that the PBX is told waits for the record."""
    site.open()
    disk: Deferred[None] = Deferred()
    site.ledger.disk = disk
    site.change(rules=())
    assert deeds(site) == ENDING
    assert site.facts == []
    disk.callback(None)
    assert site.facts == ["spy_revoked"]


def test_a_spy_is_revoked_once(site: Site) -> None:
    """Two reloads, a list and somebody on the command line are one revocation."""
    site.open()
    site.change(rules=())
    site.change(supervisors={})
    assert begin(site.watch.kill(GRANT.id, "root")) == [True]
    resync(site)
    assert site.facts == ["spy_revoked"]
    assert [name for name in site.fake.names if name in ENDING] == ENDING


@pytest.mark.parametrize(
    "supervisors",
    [
        {"PJSIP/2001": replace(ANNA, pin_hash="another hash")},
        {"PJSIP/2001": replace(ANNA, id="bert")},
        {},
    ],
    ids=["another-pin", "another-person", "nobody"],
)
def test_a_spy_ends_with_who_it_was_granted_to(site: Site, supervisors: dict[str, Supervisor]) -> None:
    """The PIN or the phone was changed: both PINs may be of the same second."""
    site.open()
    site.change(supervisors={"PJSIP/2001": replace(ANNA, pin_set=NOW, pin_must_change=True)})
    assert site.facts == []
    site.change(supervisors=supervisors)
    assert deeds(site) == ENDING
    assert [record["why"] for record in site.records("spy_revoked")] == ["identity_changed"]


def test_whoever_joined_a_conference_is_taken_out_of_it(site: Site) -> None:
    """A key does nothing there; BridgeKick takes its place."""
    site.open()
    site.fake.enter(SPYER, "b-1")
    site.change(rules=())
    assert deeds(site) == ["Setvar", "BridgeKick"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER_UNIQUEID}]


@pytest.mark.parametrize(
    "changes",
    [{"supervisors": {}}, {"agents": {}}, {"rules": ()}],
    ids=["supervisor", "agent", "rule"],
)
def test_whatever_a_reload_takes_away(site: Site, changes: dict[str, object]) -> None:
    """The supervisor, the agent or the rule: without any of them there is no right."""
    site.open()
    site.change(**changes)
    assert site.facts == ["spy_revoked"]


def test_a_reload_that_changes_nothing_ends_nothing(site: Site) -> None:
    """A spy that is still allowed continues."""
    site.open()
    site.change(hint_context="other")
    assert (site.facts, deeds(site)) == ([], [])


def test_a_spy_becomes_forbidden_by_whom_the_call_is_with(site: Site) -> None:
    """A protected endpoint in the call ends the spy at the reload that protects it."""
    site.open()
    site.change(protected=Protected(frozenset({"PJSIP/trunk"})))
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_protected_phone_that_joins_ends_the_spy(site: Site) -> None:
    """A transfer brings a protected party into the call; another call of theirs changes nothing."""
    site.open()
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.add_channel("PJSIP/9000-00000009", "1700000000.9", "b-2")
    assert site.facts == []
    site.fake.leave("PJSIP/9000-00000009")
    site.fake.enter("PJSIP/9000-00000009", "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_protected_number_ends_the_spy(site: Site) -> None:
    """The number of the other party comes behind the other party, as an event of its own."""
    site.open()
    site.change(protected=Protected(numbers=("+4930*",)))
    channel = site.fake.channels[0]
    site.fake.event("NewConnectedLine", **{**channel, "ConnectedLineNum": "+49 30 1234"})
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_revocation_without_a_connection_is_tried_again(site: Site) -> None:
    """A right that was taken away while nobody could be told ends at the next list, and not before."""
    site.open()
    site.fake.listening = False
    site.fake.lose_connection()
    site.change(rules=())
    site.fake.advance(1.0)
    assert deeds(site) == []
    assert site.watch.revoked(GRANT) is None
    site.fake.listening = True
    for _ in range(50):
        site.fake.advance(1.0)
    assert [name for name in site.fake.names if name in ENDING] == ENDING
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]


def test_a_revocation_without_a_connection_takes_the_other_way(site: Site) -> None:
    """A site that has a command for it does not wait for the connection; the record says why it ended."""
    site.has_command = True
    site.open()
    site.fake.listening = False
    site.fake.lose_connection()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.hung_up_otherwise == [SPYER]
    assert site.watch.revoked(GRANT) == "mode_denied"
    site.watch.recheck()
    site.fake.advance(KEY_SECONDS)
    assert site.hung_up_otherwise == [SPYER]


def test_a_pbx_that_refuses_everything_leaves_no_trace_of_a_revocation(site: Site, logs: list[EventDict]) -> None:
    """The channel is gone already: the log says so, and the story closes the grant."""
    site.open()
    site.fake.refused.update(dict.fromkeys((*ENDING, "Hangup"), "No such channel"))
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        *["spy_not_silenced"] * 2,
        "spy_watch_failed",
    ]
    site.close()
    assert (kinds(site), site.watch.revoked(GRANT)) == ([], None)


def test_what_does_not_silence_a_spy_is_logged(site: Site, logs: list[EventDict]) -> None:
    """Without the module for it nobody is muted: that stands in the log, and the key ends the spy all the same."""
    site.open()
    site.fake.refused["Setvar"] = "Variable not set"
    site.change(rules=())
    site.close()
    failed = [line for line in logs if line["event"] == "spy_not_silenced"]
    assert [(line["grant"], line["step"]) for line in failed] == [("c-1.1", "mute")]
    assert all("Variable not set" in line["error"] for line in failed)
    assert site.fake.asked("Hangup") == []


def test_a_channel_that_is_gone_needs_no_silence(site: Site, logs: list[EventDict]) -> None:
    """A hang-up in the same moment is not a fault."""
    site.open()
    site.fake.held.update(ENDING)
    site.change(rules=())
    site.fake.hang_up(SPYER)
    site.watch.closed(GRANT)
    site.fake.answer_held()
    assert [line for line in logs if line["event"] == "spy_not_silenced"] == []


@pytest.mark.parametrize("skew", [-7_200.0, 7_200.0])
def test_a_clock_that_jumps_breaks_nothing(site: Site, skew: float, logs: list[EventDict]) -> None:
    """Somebody sets the time of day by hours: spies begin, are revoked and end as before."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.open()
    site.fake.advance(3.0)
    site.skew = skew
    resync(site)
    assert kinds(site) in (
        [(ROGUE, SpyKind.ROGUE), (SPYER, SpyKind.GRANTED)],
        [(SPYER, SpyKind.GRANTED), (ROGUE, SpyKind.ROGUE)],
    )
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    site.fake.variables[SPYER, VARIABLE] = ""
    site.watch.closed(GRANT)
    site.fake.hang_up(ROGUE)
    site.skew = 0.0
    site.fake.advance(RESYNC_SECONDS + SETTLE_SECONDS)
    assert kinds(site) == []
    assert sorted(site.facts) == ["rogue_spy", "rogue_spy_ended", "spy_revoked"]
    assert [record["seconds"] for record in site.records("rogue_spy_ended")] == [4.12]
    assert [line for line in logs if line["log_level"] == "error"] == []


def test_waits_for_what_is_under_way(site: Site) -> None:
    """A server that stops lets a revocation come to its end, and is not held up by it."""
    site.open()
    site.change(rules=())
    idle = begin(site.watch.idle())
    assert idle == []
    site.fake.advance(KEY_SECONDS)
    site.fake.advance(CLOSE_SECONDS)
    for seconds in (GONE_SECONDS, *SEARCH_SECONDS):
        site.fake.advance(seconds)
    assert len(idle) == 1
    assert begin(site.watch.idle()) == [None]


def test_modes_are_rights_of_their_own(site: Site) -> None:
    """A grant to barge ends when barging is taken away, one to listen continues."""
    (rule,) = site.policy.rules
    barge = replace(GRANT, number=2, mode=Mode.BARGE, spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID)
    site.open()
    site.open(barge)
    site.change(rules=(replace(rule, modes=frozenset({Mode.LISTEN})),))
    assert [record["grant"] for record in site.records("spy_revoked")] == [2]


def test_a_right_that_went_while_the_record_was_written_is_none(site: Site) -> None:
    """A grant is compared with the policy once more when it begins."""
    site.policy = replace(site.policy, rules=())
    site.watch.opened(GRANT)
    assert site.watch.revoked(GRANT) == "mode_denied"
    assert site.facts == ["spy_revoked"]


def test_waits_until_nothing_silences_the_channel_any_more(site: Site) -> None:
    """Anyone who lets it speak again must come after the actions that silence it."""
    site.open()
    site.fake.held.update(ENDING)
    site.change(rules=())
    silenced = begin(site.watch.silenced(GRANT))
    assert silenced == []
    site.fake.answer_held()
    assert silenced == [None]
    assert begin(site.watch.silenced(replace(GRANT, number=2))) == [None]


def many(site: Site) -> list[Grant]:
    """A hundred and fifty spies."""
    grants = [
        replace(GRANT, number=number, spyer=f"PJSIP/2001-{number + 256:08x}", spyer_uniqueid=f"9.{number}")
        for number in range(1, 151)
    ]
    for grant in grants:
        site.fake.add_channel(grant.spyer, grant.spyer_uniqueid, Context="agi-monitor-call")
        site.open(grant)
    return grants


def test_many_spies_fall_silent_before_anything_else_is_done(site: Site, logs: list[EventDict]) -> None:
    """The PBX takes a while to answer that many actions: no key, no log and no record comes before the last mute, and
    no supervisor is hung up who hears nothing more and is to be told why."""
    grants = many(site)
    site.fake.actions.clear()
    site.fake.held.update(ENDING)
    site.change(rules=())
    site.fake.advance(2 * KEY_SECONDS)
    assert len(site.fake.asked("Setvar")) == len(grants)
    assert (site.fake.asked("PlayDTMF"), site.records("spy_revoked")) == ([], [])
    assert [line for line in logs if line["event"] == "spy_revoked"] == []
    site.fake.answer_held()
    assert [len(site.fake.asked("PlayDTMF")), len(site.records("spy_revoked"))] == [len(grants)] * 2
    site.fake.advance(CLOSE_SECONDS - 0.01)
    assert site.fake.asked("Hangup") == []
    for grant in grants:
        site.fake.variables[grant.spyer, VARIABLE] = ""
        site.watch.closed(grant)
    site.fake.advance(1.0)
    assert (site.fake.asked("Hangup"), kinds(site), kept(site)) == ([], [], [])


def test_many_spies_are_revoked_at_once(site: Site, logs: list[EventDict]) -> None:
    """A reload takes the right from all of them while the PBX answers nothing: every channel is hung up."""
    grants = many(site)
    site.fake.held.update(ENDING)
    site.change(rules=())
    site.fake.advance(MUTE_SECONDS - 0.01)
    assert site.fake.asked("Hangup") == []
    site.fake.advance(0.01)
    assert [headers["Channel"] for headers in site.fake.asked("Hangup")] == [grant.spyer_uniqueid for grant in grants]
    assert len(site.records("spy_revoked")) == len(grants)
    site.fake.answer_held()
    for grant in grants:
        site.watch.closed(grant)
    site.fake.advance(SEARCH_SECONDS[0])
    assert (kinds(site), kept(site)) == ([], [])
    assert [line for line in logs if line["log_level"] == "error"] == []


def test_a_disk_that_hangs_delays_no_hang_up(site: Site) -> None:
    """The time for the key runs while the record waits for the disk."""
    site.open()
    site.ledger.disk = disk = Deferred[None]()
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    site.fake.advance(CLOSE_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert site.facts == []
    disk.callback(None)
    assert site.facts == ["spy_revoked"]


def test_a_hang_up_that_failed_is_tried_again(site: Site) -> None:
    """The PBX says no, and the channel is on: the next list ends the spy once more."""
    site.open()
    site.fake.refused["Hangup"] = "not now"
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    site.fake.advance(CLOSE_SECONDS)
    assert site.watch.revoked(GRANT) is None
    site.fake.refused.clear()
    resync(site)
    site.fake.advance(KEY_SECONDS)
    site.fake.advance(CLOSE_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}] * 2
    assert site.watch.revoked(GRANT) == "mode_denied"


def test_a_command_that_only_says_yes_is_not_the_last_word(site: Site) -> None:
    """It ended nothing: the first list behind the loss has the channel, and ends the spy."""
    site.has_command = True
    site.open()
    site.fake.listening = False
    site.fake.lose_connection()
    site.change(rules=())
    site.fake.advance(5.0)
    assert site.hung_up_otherwise == [SPYER]
    site.fake.listening = True
    for _ in range(60):
        site.fake.advance(1.0)
    assert [name for name in site.fake.names if name in ENDING] == ENDING
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert len(site.records("spy_revoked")) == 1


def test_a_right_that_ends_by_the_clock_without_a_connection_takes_the_other_way(site: Site) -> None:
    """As one that a reload takes away, and recorded once."""
    site.has_command = True
    (rule,) = site.policy.rules
    site.change(rules=(replace(rule, terms=Terms(max_minutes=1)),))
    grant = replace(GRANT, began=site.time(), since=site.time())
    site.watch.place_taken(grant.place)
    site.open(grant)
    site.fake.listening = False
    site.fake.lose_connection()
    for _ in range(400):
        site.fake.advance(0.5)
    assert site.hung_up_otherwise == [SPYER]
    assert [record["why"] for record in site.records("spy_revoked")] == ["time_is_up"]


@pytest.mark.parametrize("skew", [0.0, -3_600.0])
def test_minutes_of_a_spy_that_lost_its_story_go_by_both_clocks(site: Site, skew: float) -> None:
    """The time of day is set back by an hour: they are up all the same."""
    (rule,) = site.policy.rules
    site.change(rules=(replace(rule, terms=Terms(max_minutes=1)),))
    grant = replace(GRANT, began=site.time(), since=site.time())
    site.watch.place_taken(grant.place)
    site.open(grant)
    site.fake.advance(10.0)
    site.watch.left_alone(grant)
    site.watch.closed(grant)
    site.watch.place_left(grant.place)
    site.skew = skew
    for _ in range(102):
        site.fake.advance(0.5)
    assert [record["why"] for record in site.records("spy_revoked")] == ["time_is_up"]
    assert site.watch._places._taken == {}
