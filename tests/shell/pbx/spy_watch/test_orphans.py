"""Spies that outlive their server or their story: adopted, ended, and recorded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest
from structlog.typing import EventDict
from twisted.internet.defer import Deferred

from agi_monitor.ami.messages import Message
from agi_monitor.model import Mode, Orphans
from agi_monitor.pbx.adopting import HANGUP_SECONDS
from agi_monitor.pbx.ends import STOP_SECONDS
from agi_monitor.pbx.revoking import KEY_SECONDS
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from agi_monitor.testing import FakeManager
from tests.shell.managed import GRANT, ROGUE, ROGUE_UNIQUEID, SPYEE, SPYEE_UNIQUEID, SPYER, SPYER_UNIQUEID, Site
from tests.shell.pbx.spy_watch.test_handed_over import exchange
from tests.shell.pbx.spy_watch.watching import BEFORE, ENDING, begin, kept, kinds, miss, resync, stop


@pytest.mark.parametrize("by_event", [True, False], ids=["event", "list"])
def test_a_spy_of_an_earlier_run_is_adopted(site: Site, by_event: bool) -> None:
    """It is on record again, with whose it is, and continues."""
    if by_event:
        site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
        site.fake.start_spying(SPYER, SPYEE)
    else:
        miss(site, BEFORE)
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]
    (record,) = site.records("spy_adopted")
    assert (record["call"], record["supervisor"], record["endpoint"]) == ("c-1", "anna", "PJSIP/2001")
    assert (record["grant"], record["extension"], record["spyee"]) == (1, "1001", SPYEE)
    assert "PlayDTMF" not in site.fake.names


def test_an_orphan_is_ended_where_the_site_wants_it(site: Site) -> None:
    """As any other grant that is revoked; no story is there to close it, so its channel is hung up."""
    site.change(orphans=Orphans.END)
    miss(site, BEFORE)
    assert [record["why"] for record in site.records("spy_revoked")] == ["orphaned"]
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_an_orphan_that_ends_by_the_key_is_not_hung_up_twice(site: Site) -> None:
    """ChanSpyStop closes it: nothing more is done."""
    site.change(orphans=Orphans.END)
    miss(site, BEFORE)
    stop(site)
    site.fake.advance(1.0)
    assert "Hangup" not in site.fake.names
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


@pytest.mark.parametrize(
    ("hangs_up", "stop_first", "why"),
    [
        (SPYER, True, "supervisor_hung_up"),
        (SPYER, False, "supervisor_hung_up"),
        (SPYEE, True, "call_over"),
        (SPYEE, False, "call_over"),
        (None, True, "pbx_ended"),
    ],
)
def test_says_why_an_orphan_ended(site: Site, hangs_up: str | None, stop_first: bool, why: str) -> None:
    """The side that hung up ended it, whether that is told before the end of ChanSpy or after it."""
    miss(site, BEFORE)
    site.fake.advance(2.5)
    began = site.fake.clock.seconds()
    if stop_first:
        stop(site)
    if hangs_up is not None:
        site.fake.hang_up(hangs_up)
    site.fake.advance(HANGUP_SECONDS)
    (record,) = site.records("spy_ended")
    assert (record["why"], record["grant"], record["call"]) == (why, 1, "c-1")
    assert record["seconds"] == began
    assert kinds(site) == []


@pytest.mark.parametrize("stop_first", [True, False])
def test_the_call_is_over_though_the_supervisor_is_gone_first(site: Site, stop_first: bool) -> None:
    """On a busy PBX the agent's channel takes its time to go; no phone of the supervisor asked for an end."""
    miss(site, BEFORE)
    if stop_first:
        stop(site)
    site.fake.hang_up(SPYER)
    assert site.records("spy_ended") == []
    site.fake.hang_up(SPYEE)
    assert [record["why"] for record in site.records("spy_ended")] == ["call_over"]


def test_a_supervisors_phone_that_hangs_up_is_believed_at_once(site: Site) -> None:
    """Asterisk says so before it ends the channel; nothing else is waited for."""
    miss(site, BEFORE)
    site.fake.event("HangupRequest", Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    stop(site)
    site.fake.hang_up(SPYER)
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]


def test_the_end_of_the_dialplan_is_no_phone_that_hangs_up(site: Site) -> None:
    """When a call is over the supervisor's dialplan ends, and Asterisk says so before the end of the spy is known."""
    miss(site, BEFORE)
    site.fake.event("SoftHangupRequest", Channel=SPYER, Uniqueid=SPYER_UNIQUEID)
    stop(site)
    site.fake.hang_up(SPYER)
    site.fake.hang_up(SPYEE)
    assert [record["why"] for record in site.records("spy_ended")] == ["call_over"]


def test_the_end_of_an_orphan_is_found_in_a_list(site: Site) -> None:
    """It hung up while there was no connection."""
    miss(site, BEFORE)
    site.fake.lose_connection()
    site.fake.hang_up(SPYER)
    site.fake.advance(5.0)
    site.fake.advance(HANGUP_SECONDS)
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]


def test_an_orphan_without_a_right_is_ended(site: Site) -> None:
    """A right that was taken away while nobody watched ends it as soon as it is adopted."""
    site.change(rules=())
    miss(site, BEFORE)
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


@pytest.mark.parametrize("skew", [-7_200.0, 7_200.0])
def test_a_clock_that_jumps_falsifies_no_duration_of_an_orphan(site: Site, skew: float) -> None:
    """One that lost its story, and one of an earlier run from the moment on that it is seen."""
    site.open()
    site.fake.advance(3.0)
    site.skew = skew
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.fake.hang_up(SPYER, by_phone=True)
    earlier = replace(GRANT, spyer="PJSIP/2001-00000009", spyer_uniqueid="9.9", began=site.time() - 60.0)
    site.fake.add_channel(earlier.spyer, earlier.spyer_uniqueid, Context="agi-monitor-call")
    site.fake.variables[earlier.spyer, VARIABLE] = BEFORE.sign(earlier)
    site.fake.start_spying(earlier.spyer, SPYEE)
    site.fake.advance(5.0)
    site.skew = 0.0
    site.fake.hang_up(earlier.spyer, by_phone=True)
    assert [record["seconds"] for record in site.records("spy_ended")] == [3.0, 65.0]


def test_a_spy_that_lost_its_story_is_watched_over(site: Site) -> None:
    """It continues as an adopted one, with its end on record when it comes."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]
    resync(site)
    site.fake.hang_up(SPYER, by_phone=True)
    assert site.facts == ["spy_adopted", "spy_ended"]
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]
    assert kinds(site) == []


def test_a_spy_that_lost_its_story_can_lose_its_right(site: Site) -> None:
    """Nobody is left to close the grant, so its channel is hung up after the time for the key."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.change(rules=())
    assert [name for name in site.fake.names if name in ENDING] == ENDING
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def test_a_reload_can_end_the_orphans_that_are_on(site: Site) -> None:
    """Those that were adopted until then."""
    miss(site, BEFORE)
    site.change(orphans=Orphans.END)
    assert [record["why"] for record in site.records("spy_revoked")] == ["orphaned"]


def test_a_revocation_goes_on_without_the_story(site: Site) -> None:
    """The connection of the call is lost in the same moment: the spy is still ended, and was revoked."""
    site.open()
    site.change(rules=())
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]
    assert site.facts.count("spy_revoked") == 1


def test_a_spy_that_lost_its_story_ends_where_the_site_wants_it(site: Site) -> None:
    """As one whose server had died."""
    site.change(orphans=Orphans.END)
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": SPYER_UNIQUEID}]
    assert [record["why"] for record in site.records("spy_revoked")] == ["orphaned"]
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]
    assert kept(site) == []


@pytest.mark.parametrize("changes", [{"rules": ()}, {"orphans": Orphans.END}], ids=["no-right", "end-orphans"])
def test_an_orphan_that_ends_while_its_record_is_written_is_not_ended_again(
    site: Site, changes: dict[str, object]
) -> None:
    """The disk hangs, the supervisor hangs up meanwhile: nothing is revoked then, and nothing is kept of it."""
    site.fake.held.add("Getvar")
    miss(site, BEFORE)
    site.change(**changes)
    site.forget()
    site.ledger.disk = disk = Deferred[None]()
    site.fake.answer_held()
    stop(site)
    site.fake.hang_up(SPYER)
    disk.callback(None)
    site.fake.advance(HANGUP_SECONDS)
    assert sorted(site.facts) == ["spy_adopted", "spy_ended"]
    assert [record["why"] for record in site.records("spy_ended")] == ["supervisor_hung_up"]
    assert [name for name in site.fake.names if name in (*ENDING, "Hangup")] == []
    assert (kinds(site), kept(site)) == ([], [])


@pytest.mark.parametrize("application", ["BridgeAdd", "Bridge"])
def test_a_supervisor_on_a_call_is_adopted(site: Site, application: str) -> None:
    """Their server had died, and no event tells of a conference or a take-over: the list and the proof do."""
    site.fake.channels[2].update(Application=application, ApplicationData=SPYEE)
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-1")
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]
    begin(site.watch.kill("c-1.1", "root"))
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER_UNIQUEID}]
    site.fake.hang_up(SPYER)
    assert [record["why"] for record in site.records("spy_ended")] == ["revoked"]


def left_over(site: Site) -> list[object]:
    """What is still in memory of single grants."""
    watch = site.watch
    return [one for one in (watch._watched, watch._places._taken, watch._carriers.signed, *kept(site)) if one]


def answer_but(site: Site, variable: str) -> None:
    """The PBX answers all questions that come but those about one variable, which take their time."""
    while asked := next((one for one in site.fake._waiting if one.text("Variable") != variable), None):
        site.fake._waiting.remove(asked)
        site.fake._later(partial(site.fake._answer, asked))
        site.fake.check()


@pytest.mark.parametrize("ends", ["stop", "hang-up"])
def test_a_spy_that_ends_while_it_is_asked_whose_it_is_leaves_nothing_behind(site: Site, ends: str) -> None:
    """Its end is on record, once it is known whose it was."""
    site.fake.variables[SPYER, VARIABLE] = BEFORE.sign(GRANT)
    site.fake.held.add("Getvar")
    site.fake.start_spying(SPYER, SPYEE)
    answer_but(site, "CHANNEL(context)")
    if ends == "stop":
        stop(site)
    else:
        site.fake.hang_up(SPYER)
    answer_but(site, "CHANNEL(context)")
    assert kinds(site) == []
    if ends == "hang-up":
        # The answer was made before the end.
        site.fake.variables["PJSIP/9-00000009", "CHANNEL(context)"] = "agi-monitor-call"
        site.fake.add_channel("PJSIP/9-00000009", SPYER_UNIQUEID)
    site.fake.answer_held()
    for _ in range(5):
        site.fake.advance(HANGUP_SECONDS)
    assert site.facts == ["spy_ended"]
    assert (kinds(site), left_over(site)) == ([], [])


def test_an_adopted_supervisor_who_hears_somebody_else_has_ended_the_spy(site: Site) -> None:
    """The dialplan continued with another ChanSpy: that has no grant, and this one is over."""
    miss(site, BEFORE)
    site.forget()
    spyer = next(one for one in site.fake.channels if one["Channel"] == SPYER)
    spyer.update(Application="ChanSpy", ApplicationData=f"{ROGUE_UNIQUEID},q")
    heard = {"SpyeeChannel": ROGUE, "SpyeeUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStart", SpyerChannel=SPYER, SpyerUniqueid=SPYER_UNIQUEID, **heard)
    site.fake.advance(HANGUP_SECONDS)
    assert sorted(site.facts) == ["rogue_spy", "spy_ended"]
    assert (kinds(site), left_over(site)) == ([(SPYER, SpyKind.ROGUE)], [])


def test_the_end_of_an_orphan_is_on_record_though_its_new_phone_cannot_be_asked(site: Site) -> None:
    """The PBX says no to what is asked about that phone once it was told to hang it up."""
    miss(site, BEFORE)
    site.forget()
    answer = site.fake.answers["Getvar"]

    def refuse(fake: FakeManager, asked: Message) -> Mapping[str, str] | str:
        told = "Hangup" in fake.names and asked.text("Channel") == ROGUE_UNIQUEID
        return {"Variable": "x", "Value": "5\r\nx: y"} if told else answer(fake, asked)

    site.fake.answers["Getvar"] = refuse
    exchange(site, told=False)
    site.fake.advance(HANGUP_SECONDS)
    assert [record["why"] for record in site.records("spy_ended")] == ["handed_over"]
    assert kinds(site) == []


@pytest.mark.parametrize("ends", ["stop", "hang-up"])
def test_an_end_that_cannot_be_confirmed_is_found_soon(site: Site, ends: str) -> None:
    """No answer comes when the PBX is asked: the lists tell, and not only the next ones."""
    miss(site, BEFORE)
    site.fake.held.add("Getvar")
    if ends == "stop":
        stop(site)
    else:
        site.fake.hang_up(SPYER)
    for _ in range(40):
        site.fake.advance(1.0)
    assert len(site.records("spy_ended")) == 1
    assert (kinds(site), left_over(site)) == ([], [])


def test_an_end_that_is_only_told_is_none_though_the_proof_was_erased(site: Site, logs: list[EventDict]) -> None:
    """No story is there that would clear it with the spy."""
    miss(site, BEFORE)
    site.fake.variables[SPYER, VARIABLE] = ""
    told = {"SpyerChannel": SPYER, "SpyerUniqueid": SPYER_UNIQUEID, "SpyeeUniqueid": SPYEE_UNIQUEID}
    site.fake.event("ChanSpyStop", **told)
    for seconds in STOP_SECONDS:
        site.fake.advance(seconds)
    assert site.records("spy_ended") == []
    assert kinds(site) == [(SPYER, SpyKind.ADOPTED)]
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["ChanSpyStop"]


@pytest.mark.parametrize("slow", ["channel", "answers"])
@pytest.mark.parametrize("whose", ["story", "adopted"])
def test_a_busy_pbx_forges_nothing(site: Site, logs: list[EventDict], whose: str, slow: str) -> None:
    """The channel continues, or its story ends, seconds after the end was told; or it takes as long to answer."""
    if whose == "story":
        site.open()
    else:
        miss(site, BEFORE)
    told = {"SpyerChannel": SPYER, "SpyerUniqueid": SPYER_UNIQUEID, "SpyeeUniqueid": SPYEE_UNIQUEID}
    if slow == "answers":
        site.fake.held.add("Getvar")
    site.fake.event("ChanSpyStop", **told)
    for _ in range(12 if slow == "answers" else 25):
        site.fake.advance(0.1)
    site.fake.answer_held()
    if whose == "story":
        site.close()
    else:
        stop(site)
    for _ in range(30):
        site.fake.advance(0.1)
    assert [line for line in logs if line["event"] == "ami_forged"] == []
    assert kinds(site) == []
    assert len(site.records("spy_silent" if whose == "story" else "spy_ended")) == 1


def test_a_spy_that_begins_again_at_once_forges_nothing(site: Site, logs: list[EventDict]) -> None:
    """The story has ended one and begun the next before the end of the first is confirmed: each is told by itself."""
    second = replace(GRANT, number=2)
    site.open()
    site.close()
    site.open(second)
    for _ in range(60):
        site.fake.advance(0.1)
    assert [line for line in logs if line["event"] == "ami_forged"] == []
    assert [record["grant"] for record in site.records("spy_silent")] == [1]
    site.close(second)
    site.fake.advance(STOP_SECONDS[0])
    assert [record["grant"] for record in site.records("spy_silent")] == [1, 2]


def test_an_end_that_was_not_so_is_on_record_when_it_comes(site: Site) -> None:
    """A forged one before it takes nothing away."""
    site.open()
    told = {"SpyerChannel": SPYER, "SpyerUniqueid": SPYER_UNIQUEID, "SpyeeUniqueid": SPYEE_UNIQUEID}
    site.fake.event("ChanSpyStop", **told)
    for seconds in STOP_SECONDS:
        site.fake.advance(seconds)
    assert site.records("spy_silent") == []
    site.close()
    site.fake.advance(STOP_SECONDS[0])
    assert len(site.records("spy_silent")) == 1


def test_a_stop_does_not_wait_for_an_end_to_be_confirmed(site: Site, logs: list[EventDict]) -> None:
    """Nor does it call the PBX a liar."""
    site.open()
    told = {"SpyerChannel": SPYER, "SpyerUniqueid": SPYER_UNIQUEID, "SpyeeUniqueid": SPYEE_UNIQUEID}
    site.fake.event("ChanSpyStop", **told)
    site.watch.stop()
    idle = begin(site.watch.idle())
    site.fake.advance(max(STOP_SECONDS))
    assert idle == [None]
    assert [line for line in logs if line["event"] == "ami_forged"] == []
