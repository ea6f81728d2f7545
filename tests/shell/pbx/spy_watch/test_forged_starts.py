"""An event alone makes no spy, exempts none and ends none."""

from __future__ import annotations

import pytest
from structlog.typing import EventDict

from agi_monitor.model import RogueSpies
from tests.shell.managed import (
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    GRANT,
    ROGUE,
    ROGUE_UNIQUEID,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    Site,
)
from tests.shell.pbx.spy_watch.watching import BEFORE, HOOK, OTHER, kinds, miss, resync, tell


@pytest.mark.parametrize("name", [HOOK, "PJSIP/7777-00000009", "Local/notice@agi-monitor-notice-0000000a;1"])
def test_nobody_is_exempt_by_a_name_that_only_an_event_gives(site: Site, name: str) -> None:
    """The event was planted before the real one: the PBX calls that channel otherwise, so it is asked."""
    site.change(exceptions=frozenset({"PJSIP/7777"}))
    site.watch.notice_expected(SPYEE_UNIQUEID)
    site.fake.channels[3].update(Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},q")
    site.fake.event(
        "ChanSpyStart",
        SpyerChannel=name,
        SpyerUniqueid=ROGUE_UNIQUEID,
        SpyeeChannel=SPYEE,
        SpyeeUniqueid=SPYEE_UNIQUEID,
    )
    assert [record["spyer_uniqueid"] for record in site.records("rogue_spy")] == [ROGUE_UNIQUEID]


@pytest.mark.parametrize("spyer", ["/./", "all", "", SPYEE_UNIQUEID, "1700000000.999"])
def test_nobody_is_hung_up_whom_an_event_alone_calls_a_spy(site: Site, spyer: str) -> None:
    """A pattern for every channel, an innocent phone, and one that is not there: nothing is done to any of them."""
    site.change(rogue=RogueSpies.HANG_UP)
    site.fake.event(
        "ChanSpyStart", SpyerChannel="/./", SpyerUniqueid=spyer, SpyeeChannel=CUSTOMER, SpyeeUniqueid="1700000000.2"
    )
    resync(site)
    assert "Hangup" not in site.fake.names
    assert len(site.fake.channels) == 4


@pytest.mark.parametrize("whose", ["own", "adopted", "others"])
def test_a_start_that_only_somebody_tells_of_ends_no_lawful_spy(
    site: Site, whose: str, logs: list[EventDict]
) -> None:
    """The channel's own application says whom it hears; and the spy stays under its right."""
    site.change(rogue=RogueSpies.HANG_UP)
    if whose == "own":
        site.open()
    else:
        miss(site, BEFORE if whose == "adopted" else OTHER)
    before = kinds(site)
    site.forget()
    tell(site)
    site.fake.advance(1.0)
    assert "Hangup" not in site.fake.names
    assert (kinds(site), site.records("rogue_spy")) == (before, [])
    assert [line["why"] for line in logs if line["event"] == "ami_forged"] == ["contradicted"]
    if whose != "others":
        site.change(rules=())
        assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_a_forged_start_loses_no_end(site: Site) -> None:
    """An adopted spy has its end on record, and nothing is kept of it."""
    site.open()
    site.watch.left_alone(GRANT)
    site.watch.closed(GRANT)
    tell(site)
    site.fake.hang_up(SPYER, by_phone=True)
    site.fake.advance(5.0)
    assert site.facts.count("spy_ended") == 1
    assert (site.watch._watched.entries(), site.watch._carriers.signed) == ((), {})


@pytest.mark.parametrize(
    ("hears", "told"),
    [(f"{SPYEE_UNIQUEID},uq", CUSTOMER), (SPYEE, CUSTOMER), ("PJSIP/1001,q", "PJSIP/trunk-0000ffff")],
    ids=["by-uniqueid", "by-name", "another-name"],
)
def test_only_an_event_takes_no_rogue_spy_on_to_another_channel(
    site: Site, hears: str, told: str, logs: list[EventDict]
) -> None:
    """An event is forged that it hears another channel now: no end is on record, and no second alarm."""
    site.fake.start_spying(ROGUE, SPYEE)
    next(one for one in site.fake.channels if one["Channel"] == ROGUE)["ApplicationData"] = hears
    site.fake.advance(0.1)
    site.forget()
    spyer = {"SpyerChannel": ROGUE, "SpyerUniqueid": ROGUE_UNIQUEID}
    site.fake.event("ChanSpyStart", **spyer, SpyeeChannel=told, SpyeeUniqueid=CUSTOMER_UNIQUEID)
    site.fake.advance(0.1)
    assert "rogue_spy_ended" not in site.facts
    assert "rogue_spy" not in site.facts
    assert [line["name"] for line in logs if line["event"] == "ami_forged"] == ["ChanSpyStart"]
    assert [spy.spyee for spy in site.watch.grants.spies()] == [SPYEE]
