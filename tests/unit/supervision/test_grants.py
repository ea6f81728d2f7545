"""Who hears whom by what right: nothing rogue is lost, nothing granted is an alarm, nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from agi_monitor.model import Mode
from agi_monitor.supervision.grants import LATE_SECONDS, MAX_SPIES, Grants
from agi_monitor.supervision.spies import SpyKind
from tests.unit.supervision.granted import GRANT, NOW, event, item, named

HELPER = "Local/notice@agi-monitor-notice-00000001;1"

HOOK = "Local/hook@__func_periodic_hook_context__-00000001;2"


def test_a_grant_explains_its_start() -> None:
    """Exactly its spyer on exactly its spyee, as long as it is open."""
    grants = Grants()
    grants.opened(GRANT, NOW)
    assert grants.started(event("1.1", "1.10"), NOW) is None
    grants.closed(GRANT, NOW)
    assert grants.started(event("1.1", "1.10"), NOW) is not None


@pytest.mark.parametrize("later", [LATE_SECONDS, LATE_SECONDS + 0.1])
def test_a_grant_explains_its_late_start(later: float) -> None:
    """A moment longer where its start was not seen while it was open, and no second one."""
    grants = Grants()
    grants.opened(GRANT, NOW)
    grants.closed(GRANT, NOW)
    assert (grants.started(event("1.1", "1.10"), NOW + later) is None) is (later == LATE_SECONDS)
    grants.gone("1.1")
    assert grants.started(event("1.1", "1.10"), NOW + later) is not None


def test_what_is_no_chanspy_explains_no_late_start() -> None:
    """A conference and a take-over have no start of their own: one that comes after them is another spy's."""
    grants = Grants()
    grants.opened(GRANT, NOW, by_chanspy=False)
    grants.closed(GRANT, NOW)
    assert grants.started(event("1.1", "1.10"), NOW) is not None


@pytest.mark.parametrize(
    ("spyer", "spyee", "kind"),
    [("1.1", "1.11", SpyKind.ROGUE), ("1.2", "1.10", SpyKind.UNPROVEN), ("1.10", "1.1", SpyKind.UNPROVEN)],
)
def test_a_grant_explains_nothing_else(spyer: str, spyee: str, kind: SpyKind) -> None:
    """Another spyee is rogue at once; another spyer may have another grant."""
    grants = Grants()
    grants.opened(GRANT, NOW)
    spy = grants.started(event(spyer, spyee), NOW)
    assert spy is not None
    assert (spy.kind, spy.spyer_uniqueid, spy.spyee_uniqueid, spy.since) == (kind, spyer, spyee, NOW)


def test_the_next_mode_is_a_grant_of_its_own() -> None:
    """One closes and the next opens before any event comes: both are explained, and only the next is on."""
    grants = Grants()
    second = replace(GRANT, number=2, mode=Mode.WHISPER)
    grants.opened(GRANT, NOW)
    grants.closed(GRANT, NOW)
    grants.opened(second, NOW)
    assert grants.started(event("1.1", "1.10"), NOW) is None
    assert grants.stopped(event("1.1", "1.10")) is None
    assert grants.started(event("1.1", "1.10"), NOW) is None
    assert grants.granted() == (second,)
    grants.closed(GRANT, NOW)
    assert grants.granted() == (second,)
    other = grants.started(event("1.1", "1.11"), NOW)
    assert other is not None
    assert other.kind is SpyKind.ROGUE


@pytest.mark.parametrize(
    "headers",
    [{}, {**event("1.5", "1.10"), "SpyerUniqueid": ""}, {**event("1.5", "1.10"), "SpyerUniqueid": "x" * 300}],
    ids=["empty", "nobody", "too-long"],
)
def test_an_event_of_nobody_is_nothing(headers: Mapping[str, str]) -> None:
    """Headers that name no channel neither raise nor are kept."""
    grants = Grants()
    assert grants.started(headers, NOW) is None
    assert grants.stopped(headers) is None
    assert grants.spies() == ()


def test_a_list_that_was_faster_than_the_event() -> None:
    """A spy that a list has told of is not a second one when its event comes."""
    grants = Grants()
    (found,) = grants.listed([item("1.5", "ChanSpy", "1.10"), item("1.10")], NOW, NOW).found
    assert grants.started(event("1.5", "1.10"), NOW) is None
    rogue = grants.proved(found, SpyKind.ROGUE, None, "nobody granted it")
    assert grants.started(event("1.5", "1.10"), NOW) is None
    assert grants.spies() == (rogue,)


def test_an_event_says_that_an_idle_channel_spies_after_all() -> None:
    """What a list could not tell, ChanSpyStart does: the answer to the earlier question changes nothing."""
    grants = Grants()
    (idle,) = grants.listed([item("1.5", "ChanSpy", "1.10", "agi-monitor-call"), item("1.10")], NOW, NOW).found
    assert idle.idle
    spy = grants.started(event("1.5", "1.10"), NOW)
    assert spy is not None
    assert not spy.idle
    grants.dropped(idle)
    assert grants.proved(idle, SpyKind.OTHERS, None) is None
    assert grants.spies() == (spy,)


def test_a_beep_is_exempt() -> None:
    """The helpers of PERIODIC_HOOK and MixMonitor, and none whose name only looks like theirs."""
    spy = Grants().started(named(HOOK), NOW)
    assert spy is not None
    assert (spy.kind, spy.why) == (SpyKind.EXEMPT, "a beep of Asterisk's own")
    other = Grants().started(named("PJSIP/hook@__func_periodic_hook_context__-00000001"), NOW)
    assert other is not None
    assert other.kind is SpyKind.UNPROVEN


def test_our_helper_is_exempt_while_it_is_expected() -> None:
    """For the agent who is to be told only, once for each that waits, and a moment longer."""
    grants = Grants()

    def kind(spyee: str = "1.10", later: float = 0.0) -> SpyKind:
        spy = grants.started(named(HELPER, spyee), NOW + later)
        assert spy is not None
        grants.gone("1.5")
        return spy.kind

    assert kind() is SpyKind.UNPROVEN
    grants.notice_expected("1.10")
    grants.notice_expected("1.10")
    assert (kind(), kind("1.11")) == (SpyKind.EXEMPT, SpyKind.UNPROVEN)
    grants.notice_over("1.10", NOW)
    assert kind(later=LATE_SECONDS + 1.0) is SpyKind.EXEMPT
    grants.notice_over("1.10", NOW + LATE_SECONDS)
    assert kind(later=2 * LATE_SECONDS) is SpyKind.EXEMPT
    assert kind(later=2 * LATE_SECONDS + 0.1) is SpyKind.UNPROVEN


def test_devices_of_the_configuration_are_exempt() -> None:
    """The whole name of the device: one that begins like it is another one."""
    grants = Grants({"PJSIP/900"})
    exempt = grants.started(named("PJSIP/900-00000001"), NOW)
    other = grants.started({**named("PJSIP/9001-00000001"), "SpyerUniqueid": "1.6"}, NOW)
    assert exempt is not None
    assert other is not None
    assert (exempt.kind, other.kind) == (SpyKind.EXEMPT, SpyKind.UNPROVEN)


def test_an_exception_takes_no_right_for_another_call() -> None:
    """Anyone who has a grant and hears another channel is rogue, excepted or not."""
    grants = Grants({"PJSIP/spyer"})
    grants.opened(GRANT, NOW)
    spy = grants.started(event("1.1", "1.11"), NOW)
    assert spy is not None
    assert spy.kind is SpyKind.ROGUE


def test_a_stop_ends_it() -> None:
    """That of the same pair, or one that does not say whom it was about (Asterisk 16.16)."""
    for stop in (event("1.5", "1.10"), {"SpyerUniqueid": "1.5"}):
        grants = Grants()
        spy = grants.started(event("1.5", "1.10"), NOW)
        assert grants.stopped(event("1.5", "1.11")) is None
        assert grants.stopped(event("1.6", "1.10")) is None
        assert grants.stopped(stop) == spy
        assert grants.stopped(stop) is None
        assert grants.spies() == ()


def test_a_hang_up_ends_all_that_it_concerns() -> None:
    """Everybody who heard the channel, and the one who heard from it; no other."""
    grants = Grants()
    first = grants.started(event("1.5", "1.10"), NOW)
    second = grants.started(event("1.6", "1.10"), NOW)
    third = grants.started(event("1.10", "1.11"), NOW)
    other = grants.started(event("1.7", "1.11"), NOW)
    assert set(grants.gone("1.10")) == {first, second, third}
    assert grants.spies() == (other,)
    assert grants.gone("1.10") == ()


def test_a_proof_that_comes_late_settles_nothing() -> None:
    """The spy has ended, or another one has begun on its channel, while its channel was asked."""
    grants = Grants()
    first = grants.started(event("1.5", "1.10"), NOW)
    assert first is not None
    grants.stopped(event("1.5", "1.10"))
    assert grants.proved(first, SpyKind.OTHERS, GRANT) is None
    second = grants.started(event("1.5", "1.11"), NOW)
    assert grants.proved(first, SpyKind.OTHERS, GRANT) is None
    grants.dropped(first)
    assert grants.spies() == (second,)


@pytest.mark.parametrize("application", ["ChanSpy", "ExtenSpy", "DAHDIScan"])
def test_a_list_tells_who_spies(application: str) -> None:
    """Every application by which one channel hears another."""
    found = (
        Grants().listed([item("1.5", application, "1.10,uqES"), item("1.10"), item("1.6", "Dial")], NOW, NOW).found
    )
    assert [(spy.kind, spy.spyer_uniqueid, spy.spyee_uniqueid) for spy in found] == [
        (SpyKind.UNPROVEN, "1.5", "1.10")
    ]
    assert found[0].spyee == "PJSIP/any-00000110"


def test_a_list_tells_of_a_snoop() -> None:
    """A channel that ARI made to hear another has that one's identifier in its name."""
    (spy,) = Grants().listed([item("1.5", "Stasis", name="Snoop/1.10-00000001"), item("1.10")], NOW, NOW).found
    assert (spy.kind, spy.spyee_uniqueid) == (SpyKind.UNPROVEN, "1.10")


@pytest.mark.parametrize("application", ["BridgeAdd", "Bridge"])
@pytest.mark.parametrize(
    ("context", "known"), [("agi-monitor-call", True), ("agi-monitor-mode", True), ("default", False)]
)
def test_a_list_tells_of_a_supervisor_on_a_call(application: str, context: str, known: bool) -> None:
    """Only where our calls stand may joining a call be one of ours; the proof on the channel tells whether it is."""
    listed = Grants().listed([item("1.5", application, "PJSIP/any-00000110", context), item("1.10")], NOW, NOW)
    assert [(spy.kind, spy.idle, spy.spyee_uniqueid) for spy in listed.found] == (
        [(SpyKind.UNPROVEN, True, "")] if known else []
    )


def test_a_grant_takes_the_place_of_a_doubt() -> None:
    """A list took the supervisor at a prompt for one who spies: with the grant that is settled."""
    grants = Grants()
    (idle,) = grants.listed([item("1.1", "ChanSpy", "1.10", "agi-monitor-call"), item("1.10")], NOW, NOW).found
    grants.opened(GRANT, NOW)
    assert [spy.kind for spy in grants.spies()] == [SpyKind.GRANTED]
    assert grants.proved(idle, SpyKind.ROGUE, None) is None


def test_a_spy_without_its_story_stays_one() -> None:
    """Left alone and closed, it is adopted until its end comes, once."""
    grants = Grants()
    grants.opened(GRANT, NOW)
    grants.left_alone(GRANT, NOW)
    grants.closed(GRANT, NOW)
    (spy,) = grants.spies()
    assert (spy.kind, spy.id, grants.adopted(), grants.granted()) == (SpyKind.ADOPTED, "c-1.1", (GRANT,), ())
    assert grants.listed([item("1.1", "ChanSpy", "1.10", "agi-monitor-call")], NOW + 1.0, NOW + 1.0).ended == ()
    assert grants.stopped(event("1.1", "1.10")) == spy
    assert grants.gone("1.1") == ()


def test_a_supervisor_on_the_call_is_on_it_without_the_agent() -> None:
    """Joined, or taken over: without a story only the end of their own channel is the end of the spy."""
    grants = Grants()
    grants.opened(GRANT, NOW, by_chanspy=False)
    grants.left_alone(GRANT, NOW, in_bridge=True)
    grants.closed(GRANT, NOW)
    assert not grants.concerns("1.10")
    assert grants.gone("1.10") == ()
    assert [spy.kind for spy in grants.spies()] == [SpyKind.ADOPTED]
    assert grants.concerns("1.1")
    assert [spy.id for spy in grants.gone("1.1")] == ["c-1.1"]


def test_an_exception_that_is_taken_away_leaves_a_doubt() -> None:
    """The helpers of Asterisk's are exempt for another reason, and stay so."""
    grants = Grants({"PJSIP/900"})
    grants.started(named("PJSIP/900-00000001"), NOW)
    grants.started({**named(HOOK), "SpyerUniqueid": "1.6"}, NOW)
    grants.no_longer_exempt()
    assert grants.unproven() == ()
    grants.exceptions = frozenset()
    grants.no_longer_exempt()
    assert [(spy.spyer_uniqueid, spy.why) for spy in grants.unproven()] == [("1.5", "")]


@pytest.mark.parametrize("data", ["", "PJSIP/1001,q", ",d", "1.99"])
def test_a_list_that_does_not_tell_whom(data: str) -> None:
    """A name, a part of one or nothing at all is not an identifier: whom they hear stays open."""
    (spy,) = Grants().listed([item("1.5", "ChanSpy", data), item("1.10")], NOW, NOW).found
    assert (spy.spyee, spy.spyee_uniqueid) == ("", "")
    assert spy.id == "1.5"


def test_a_list_shows_a_granted_spy_without_an_alarm() -> None:
    """While its grant is open and a moment longer; the list is older than what the story knows."""
    grants = Grants()
    channels = [item("1.1", "ChanSpy", "1.10,uqESX", "agi-monitor-call"), item("1.10")]
    grants.opened(GRANT, NOW)
    assert grants.listed(channels, NOW, NOW).found == ()
    grants.closed(GRANT, NOW)
    assert grants.listed(channels, NOW, NOW + LATE_SECONDS).found == ()
    assert len(grants.listed(channels, NOW, NOW + LATE_SECONDS + 0.1).found) == 1


def test_a_list_that_was_asked_for_during_a_spy_comes_after_its_end() -> None:
    """Its start was told as well, so nothing else explains it. What a later list shows has to be proved."""
    grants = Grants()
    channels = [item("1.1", "ChanSpy", "1.10,uqESX", "agi-monitor-call"), item("1.10")]
    grants.opened(GRANT, NOW)
    assert grants.started(event("1.1", "1.10"), NOW) is None
    grants.closed(GRANT, NOW + 2.0)
    assert grants.listed(channels, NOW + 1.0, NOW + 2.5).found == ()
    assert len(grants.listed(channels, NOW + 2.1, NOW + 3.0).found) == 1


def test_a_list_shows_what_runs_elsewhere_behind_a_grant() -> None:
    """The same channel hears the same agent in a context of others: no grant was for that."""
    grants = Grants()
    grants.opened(GRANT, NOW)
    grants.closed(GRANT, NOW)
    assert len(grants.listed([item("1.1", "ChanSpy", "1.10,q"), item("1.10")], NOW, NOW).found) == 1


def test_a_list_ends_what_it_does_not_show() -> None:
    """Except what began after it was asked for."""
    grants = Grants()
    old = grants.started(event("1.5", "1.10"), NOW - 1.0)
    young = grants.started(event("1.6", "1.10"), NOW + 1.0)
    assert grants.listed([item("1.10")], NOW, NOW + 2.0).ended == (old,)
    assert grants.spies() == (young,)


def test_shows_everybody_in_the_order_of_their_beginning() -> None:
    """Granted ones with their grant, others by their channel, each under a name of its own."""
    grants = Grants()
    grants.opened(GRANT, NOW + 1.0)
    first = grants.started(event("1.5", "1.10"), NOW)
    last = grants.started(event("1.6", "1.10"), NOW + 2.0)
    assert first is not None
    assert last is not None
    shown = grants.spies()
    assert [(spy.kind, spy.id) for spy in shown] == [
        (SpyKind.UNPROVEN, "1.5"),
        (SpyKind.GRANTED, "c-1.1"),
        (SpyKind.UNPROVEN, "1.6"),
    ]
    assert [grants.find(spy.id) for spy in shown] == list(shown)
    assert grants.find("1.7") is None


def test_tells_its_own_from_those_of_others() -> None:
    """Adopted ones are watched over as granted ones are; those of others are not."""
    grants = Grants()
    for uniqueid, kind in (("1.5", SpyKind.ADOPTED), ("1.6", SpyKind.OTHERS), ("1.7", SpyKind.ROGUE)):
        spy = grants.started(event(uniqueid, "1.10"), NOW)
        assert spy is not None
        grants.proved(spy, kind, None if kind is SpyKind.ROGUE else GRANT)
    left = grants.started(event("1.8", "1.10"), NOW)
    assert grants.adopted() == (GRANT,)
    assert [spy.spyer_uniqueid for spy in grants.of_others()] == ["1.6"]
    assert grants.unproven() == (left,)


def test_a_flood_is_bounded() -> None:
    """More spies than a PBX can have channels are all told, and not all kept."""
    grants = Grants()
    for number in range(MAX_SPIES + 10):
        assert grants.started(event(f"9.{number}", "1.10"), NOW) is not None
    assert len(grants.spies()) == MAX_SPIES
    for number in range(MAX_SPIES + 10):
        grant = replace(GRANT, number=number, spyer_uniqueid=f"8.{number}")
        grants.opened(grant, NOW)
        grants.closed(grant, NOW)
    assert grants.started(event("8.0", "1.10"), NOW) is not None
    assert grants.started(event(f"8.{MAX_SPIES + 9}", "1.10"), NOW) is None
