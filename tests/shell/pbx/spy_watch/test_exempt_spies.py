"""Beeps of Asterisk's own, and devices that the site excepts."""

from __future__ import annotations

import pytest
from structlog.typing import EventDict

from agi_monitor.model import RogueSpies
from agi_monitor.supervision.exemptions import BEEP_SECONDS
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import CUSTOMER, ROGUE, ROGUE_UNIQUEID, SPYEE, SPYEE_UNIQUEID, Site
from tests.shell.pbx.spy_watch.watching import HOOK, PHONE, go_on, kinds, resync


def test_helpers_of_asterisk_are_exempt(site: Site, logs: list[EventDict]) -> None:
    """The beep of MixMonitor and PERIODIC_HOOK is not a spy, and nobody asks its channel."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    assert kinds(site) == [(HOOK, SpyKind.EXEMPT)]
    assert site.facts == []
    assert [line["why"] for line in logs if line["event"] == "spy_exempt"] == ["a beep of Asterisk's own"]
    site.fake.hang_up(HOOK)
    assert kinds(site) == []


def test_devices_of_the_configuration_are_exempt(site: Site) -> None:
    """A recorder that the site excepts raises no alarm, from the reload on that names it."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert (kinds(site), site.facts) == ([(ROGUE, SpyKind.EXEMPT)], [])


def test_a_device_that_is_no_longer_excepted_is_asked(site: Site) -> None:
    """From the reload on that takes the exception away."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.fake.start_spying(ROGUE, SPYEE)
    assert site.facts == []
    site.change(exceptions=frozenset())
    assert site.facts == ["rogue_spy"]


def test_a_beep_stays_exempt_at_a_reload(site: Site) -> None:
    """What Asterisk does itself needs no exception."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    site.change(exceptions=frozenset())
    assert (kinds(site), site.facts) == ([(HOOK, SpyKind.EXEMPT)], [])


def test_a_beep_that_goes_on_is_none(site: Site) -> None:
    """Anyone who dials into the helper of Asterisk's own hears for as long as they like, under a name that is
    exempt.
    """
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    site.fake.advance(BEEP_SECONDS - 0.1)
    assert site.facts == []
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [HOOK]
    assert site.fake.asked("Hangup") == [{"Channel": "1700000000.20"}]


def test_a_beep_leaves_nothing(site: Site) -> None:
    """Each of many is looked at once, and no timer outlives it."""
    timers = len(site.fake.clock.getDelayedCalls())
    for number in range(3):
        name = HOOK.replace("0b;2", f"{number:02d};2")
        site.fake.add_channel(name, f"1700000000.2{number}")
        site.fake.start_spying(name, SPYEE)
        site.fake.advance(1.0)
        site.fake.hang_up(name)
    site.fake.advance(BEEP_SECONDS)
    assert (site.facts, len(site.fake.clock.getDelayedCalls())) == ([], timers)


def test_beeps_add_up(site: Site) -> None:
    """Who spies from helpers that are called like Asterisk's, one after the other, is rogue."""
    for number in range(3):
        name = HOOK.replace("0b", f"{number:02x}")
        site.fake.add_channel(name, f"1700000100.{number}")
        site.fake.start_spying(name, SPYEE)
        for _ in range(19):
            site.fake.advance(0.5)
        site.fake.stop_spying(name, SPYEE)
        site.fake.hang_up(name)
    assert len(site.records("rogue_spy")) == 2


@pytest.mark.parametrize("listed", [False, True], ids=["told", "listed"])
@pytest.mark.parametrize("seconds", [0.05, 1.0, 9.0])
def test_a_beep_that_goes_from_channel_to_channel_is_none(site: Site, seconds: float, *, listed: bool) -> None:
    """A helper is one beep, whichever channel it hears, however often that changes, and whatever a list shows in
    between.
    """
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    for number in range(int(2 * BEEP_SECONDS / seconds)):
        site.fake.advance(seconds)
        go_on(site, HOOK, SPYEE if number % 2 else CUSTOMER)
        if listed and number % 50 == 1:
            resync(site)
    assert {record["spyer"] for record in site.records("rogue_spy")} == {HOOK}


@pytest.mark.parametrize("listed", [False, True], ids=["told", "listed"])
def test_a_beep_that_goes_on_once_is_none(site: Site, *, listed: bool) -> None:
    """It is looked at where it is then."""
    site.fake.add_channel(HOOK, "1700000000.20")
    site.fake.start_spying(HOOK, SPYEE)
    site.fake.advance(1.0)
    go_on(site, HOOK, CUSTOMER)
    if listed:
        resync(site)
    site.fake.advance(BEEP_SECONDS)
    assert [(record["spyer"], record["spyee"]) for record in site.records("rogue_spy")] == [(HOOK, CUSTOMER)]


def test_beeps_at_the_same_time_add_up(site: Site) -> None:
    """Each is shorter than a beep may be, and one begins before the other ends: together they are too long."""
    first, second = HOOK, HOOK.replace("0b", "0c")
    site.fake.add_channel(first, "1700000100.1")
    site.fake.add_channel(second, "1700000100.2")
    site.fake.start_spying(first, SPYEE)
    site.fake.advance(BEEP_SECONDS - 1.0)
    site.fake.start_spying(second, SPYEE)
    site.fake.advance(0.9)
    site.fake.hang_up(first)
    assert site.facts == []
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [second]


def test_beeps_that_are_short_stay_exempt(site: Site) -> None:
    """Four in a minute, for as long as the call; and they are forgotten after it."""
    for number in range(20):
        name = HOOK.replace("0b", f"{number:02x}")
        site.fake.add_channel(name, f"1700000100.{number}")
        site.fake.start_spying(name, SPYEE)
        site.fake.advance(0.5)
        site.fake.hang_up(name)
        site.fake.advance(14.5)
    assert site.facts == []
    assert sum(len(beeps) for beeps in site.watch._notices._beeped_at.values()) <= 100


def test_an_exempt_spy_that_could_not_be_asked_is_asked_again(site: Site) -> None:
    """The connection is lost over the question whether it is the device that the site excepts."""
    site.change(exceptions=frozenset({"PJSIP/7777"}))
    site.fake.channels[3].update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},q")
    site.fake.held.add("Getvar")
    told = {"SpyerUniqueid": ROGUE_UNIQUEID, "SpyeeChannel": SPYEE, "SpyeeUniqueid": SPYEE_UNIQUEID}
    site.fake.event("ChanSpyStart", SpyerChannel="PJSIP/7777-00000001", **told)
    site.fake.held.clear()
    site.come_back()
    assert [record["spyer_uniqueid"] for record in site.records("rogue_spy")] == [ROGUE_UNIQUEID]


def test_an_excepted_device_that_could_not_be_asked_stays_excepted(site: Site) -> None:
    """The PBX says later that it is the one: it is not a rogue."""
    site.change(exceptions=frozenset({"PJSIP/6666"}), rogue=RogueSpies.HANG_UP)
    site.fake.held.add("Getvar")
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(11.0)
    site.fake.answer_held()
    resync(site)
    site.fake.advance(5.0)
    assert (kinds(site), site.facts) == ([(ROGUE, SpyKind.EXEMPT)], [])
    site.change(exceptions=frozenset())
    assert sorted(site.facts) == ["rogue_spy", "rogue_spy_ended"]


def test_beeps_cost_no_list(site: Site) -> None:
    """A helper is not a phone: nobody takes its place, and there are many of them."""
    site.fake.add_channel(HOOK, "1700000000.60")
    site.fake.start_spying(HOOK, SPYEE)
    lists = len(site.fake.asked("CoreShowChannels"))
    site.fake.hang_up(HOOK)
    site.fake.advance(1.0)
    assert len(site.fake.asked("CoreShowChannels")) == lists


def test_a_uniqueid_that_is_used_again_brings_no_right(site: Site) -> None:
    """ARI and AMI choose it. The channel that was excepted is gone, unseen, and another one has its uniqueid."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.watch.recheck()
    site.fake.start_spying(ROGUE, SPYEE)
    assert kinds(site) == [(ROGUE, SpyKind.EXEMPT)]
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Channel"] = PHONE
    site.fake.advance(1.0)
    resync(site)
    assert kinds(site) == [(PHONE, SpyKind.ROGUE)]


def test_an_excepted_device_under_a_forged_name_stays_excepted(site: Site) -> None:
    """An event names its uniqueid with another name: its own name counts, and nothing is hung up."""
    site.change(exceptions=frozenset({"PJSIP/6666"}), rogue=RogueSpies.HANG_UP)
    site.watch.recheck()
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Application"] = "ChanSpy"
    spyer = {"SpyerChannel": PHONE, "SpyerUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStart", **spyer, SpyeeChannel=SPYEE, SpyeeUniqueid=SPYEE_UNIQUEID)
    site.fake.advance(0.1)
    assert kinds(site) == [(ROGUE, SpyKind.EXEMPT)]
    assert (site.fake.asked("Hangup"), site.records("rogue_spy")) == ([], [])


def test_beeps_to_all_who_talk_in_one_call_add_up(site: Site) -> None:
    """Short ones to the agent and to the customer by turns are the same call that is heard."""
    for number in range(4):
        helper = HOOK.replace("0000000b", f"000000b{number}")
        site.fake.add_channel(helper, f"1700000000.6{number}")
        site.fake.start_spying(helper, (SPYEE, CUSTOMER)[number % 2])
        site.fake.advance(BEEP_SECONDS / 4 + 0.1)
        site.fake.stop_spying(helper, (SPYEE, CUSTOMER)[number % 2])
        site.fake.hang_up(helper)
    assert [record["spyee"] for record in site.records("rogue_spy")] == [CUSTOMER]


@pytest.mark.parametrize("peer", ["", "7777"])
def test_a_guest_who_calls_themselves_like_an_excepted_device_is_not_it(site: Site, peer: str) -> None:
    """chan_sip calls a guest's channel by the domain in From."""
    site.change(exceptions=frozenset({"SIP/7777"}))
    name = "SIP/7777-00000070"
    site.fake.add_channel(name, "1700000000.70")
    site.fake.variables[name, "CHANNEL(peername)"] = peer
    site.fake.start_spying(name, SPYEE)
    assert kinds(site) == [(name, SpyKind.EXEMPT if peer else SpyKind.ROGUE)]
