"""A phone that a transfer puts into the place of a spy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import GRANT, ROGUE, ROGUE_UNIQUEID, SPYEE, Site
from tests.shell.pbx.spy_watch.watching import OTHER, PHONE, kinds, take_the_place


@pytest.mark.parametrize("right", ["excepted", "rogue", "of another server"])
def test_a_phone_that_takes_the_place_of_a_spy_is_judged_by_itself_and_at_once(site: Site, right: str) -> None:
    """The right of whom it was taken from does not go with the application, and no regular list is waited for."""
    site.change(exceptions=frozenset({"PJSIP/6666"}) if right == "excepted" else frozenset())
    site.watch.recheck()
    if right == "of another server":
        theirs = replace(GRANT, spyer=ROGUE, spyer_uniqueid=ROGUE_UNIQUEID)
        next(one for one in site.fake.channels if one["Channel"] == ROGUE)["Context"] = "agi-monitor-call"
        site.fake.variables[ROGUE, VARIABLE] = OTHER.sign(theirs)
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(0.1)
    site.forget()
    take_the_place(site, ROGUE)
    assert kinds(site) == [(PHONE, SpyKind.ROGUE)]
    (alarm,) = site.records("rogue_spy")
    assert alarm["spyer"] == PHONE
    assert ("for another call" in str(alarm["why"])) is (right == "of another server")


def test_a_phone_that_takes_the_place_of_a_spy_is_found_once_the_pbx_answers(site: Site) -> None:
    """Where the PBX cannot be asked at that moment, lists are asked for soon."""
    site.fake.start_spying(ROGUE, SPYEE)
    site.fake.advance(0.1)
    site.fake.held.add("CoreShowChannels")
    take_the_place(site, ROGUE)
    site.fake.advance(30.0)
    site.fake.held.clear()
    site.fake.answer_held()
    for _ in range(20):
        site.fake.advance(0.5)
    assert (PHONE, SpyKind.ROGUE) in kinds(site)


def test_many_spies_that_hang_up_cost_one_list(site: Site) -> None:
    """They are looked for together."""
    site.change(exceptions=frozenset({"PJSIP/6666"}))
    site.watch.recheck()
    names = [f"PJSIP/6666-000001{number:02}" for number in range(20)]
    for number, name in enumerate(names):
        site.fake.add_channel(name, f"1700000000.1{number:02}")
        site.fake.start_spying(name, SPYEE)
    lists = len(site.fake.asked("CoreShowChannels"))
    for name in names:
        site.fake.hang_up(name)
    site.fake.advance(1.0)
    assert len(site.fake.asked("CoreShowChannels")) <= lists + 2
