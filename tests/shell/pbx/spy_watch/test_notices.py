"""What an agent is told before they are heard."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from agi_monitor.pbx.notices import NOTICE_BEGIN_SECONDS, NOTICE_SECONDS, TEST_SECONDS
from agi_monitor.supervision.chanspy import NOTICE_VARIABLE
from agi_monitor.supervision.exemptions import TEST_AGENT, TEST_SUPERVISOR
from agi_monitor.supervision.grants import LATE_SECONDS
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import CUSTOMER_UNIQUEID, SPYEE, SPYEE_UNIQUEID, Site
from tests.shell.pbx.spy_watch.watching import HELPER, begin, deeds, kinds

SECOND = HELPER.replace("a;1", "b;1")


def tell(site: Site, notice: str = "", helper: str = HELPER) -> None:
    """The helper begins to play to the agent, and carries what our own does."""
    site.fake.add_channel(helper, f"1700000000.{ord(helper[-3])}")
    site.fake.variables[helper, NOTICE_VARIABLE] = notice
    site.fake.start_spying(helper, SPYEE)


def test_a_notice_is_given_when_the_helper_is_done(site: Site) -> None:
    """It is heard from ChanSpyStart on, and over at ChanSpyStop; it is neither an alarm nor a question."""
    timers = len(site.fake.clock.getDelayedCalls())
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    tell(site, notice)
    assert (given, kinds(site)) == ([], [(HELPER, SpyKind.EXEMPT)])
    site.fake.stop_spying(HELPER, SPYEE)
    assert given == [True]
    site.watch.notice_over(notice)
    assert (site.facts, deeds(site), len(site.fake.clock.getDelayedCalls())) == ([], [], timers)


def test_a_notice_may_be_over_before_anybody_waits(site: Site) -> None:
    """Originate answers when the helper has answered: a short sound is over by then."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    tell(site, notice)
    site.fake.hang_up(HELPER)
    assert begin(site.watch.notice_given(notice)) == [True]


def test_a_notice_that_does_not_begin_was_not_given(site: Site) -> None:
    """After the time for its begin, not before."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    site.fake.advance(NOTICE_BEGIN_SECONDS - 0.1)
    assert given == []
    site.fake.advance(0.1)
    assert given == [False]


def test_a_notice_that_does_not_end_was_not_given(site: Site) -> None:
    """A sound without an end makes no supervisor wait for ever."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    tell(site, notice)
    site.fake.advance(NOTICE_SECONDS - 0.1)
    assert given == []
    site.fake.advance(0.1)
    assert given == [False]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_supervisors_tell_the_same_agent(site: Site, order: tuple[int, int]) -> None:
    """Each waits for a notice of their own, in whichever order they begin to wait."""
    notices = [site.watch.notice_expected(SPYEE_UNIQUEID) for _ in range(2)]
    given = [begin(site.watch.notice_given(notices[number])) for number in order]
    tell(site, notices[0])
    tell(site, notices[1], SECOND)
    site.fake.hang_up(HELPER)
    assert sorted(map(len, given)) == [0, 1]
    site.fake.hang_up(SECOND)
    assert given == [[True], [True]]
    for notice in notices:
        site.watch.notice_over(notice)
    site.fake.advance(LATE_SECONDS + 1.0)
    tell(site, notices[0], HELPER.replace("a;1", "c;1"))
    assert site.facts == ["rogue_spy"]


def test_nobody_hides_behind_the_name_of_the_helper(site: Site) -> None:
    """A helper that is not expected, or one that hears another agent than the one to be told, is rogue."""
    notice = site.watch.notice_expected(CUSTOMER_UNIQUEID)
    tell(site, notice)
    assert site.facts == ["rogue_spy"]
    site.watch.notice_over(notice)


def test_a_story_that_ends_while_the_agent_is_told_leaves_nothing(site: Site) -> None:
    """The supervisor hangs up meanwhile: what waited is cancelled, and after a moment no helper is expected."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    waiting = Deferred.fromCoroutine(site.watch.notice_given(notice))
    waiting.addErrback(lambda failure: None)
    waiting.cancel()
    site.watch.notice_over(notice)
    tell(site, notice)
    assert site.facts == []
    site.fake.hang_up(HELPER)
    site.fake.advance(LATE_SECONDS + 1.0)
    tell(site, notice)
    assert site.facts == ["rogue_spy"]


def test_each_notice_ends_with_its_own_helper(site: Site) -> None:
    """Two supervisors tell the same agent: who waits for the longer notice keeps waiting."""
    notices = [site.watch.notice_expected(SPYEE_UNIQUEID) for _ in range(2)]
    given = [begin(site.watch.notice_given(notice)) for notice in notices]
    tell(site, notices[0])
    tell(site, notices[1], SECOND)
    site.fake.stop_spying(SECOND, SPYEE)
    assert given == [[], [True]]
    site.fake.stop_spying(HELPER, SPYEE)
    assert given == [[True], [True]]


def test_two_events_about_a_channel_that_is_not_there_are_no_notice(site: Site) -> None:
    """Anyone who forges them leaves the agent untold."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    helper = {"SpyerChannel": HELPER, "SpyerUniqueid": "1.1", "SpyeeChannel": SPYEE, "SpyeeUniqueid": SPYEE_UNIQUEID}
    for event in ("ChanSpyStart", "ChanSpyStop"):
        site.fake.event(event, **helper)
    site.fake.advance(NOTICE_BEGIN_SECONDS)
    assert given == [False]


@pytest.mark.parametrize("over", [False, True], ids=["while-it-is-given", "right-behind-it"])
def test_a_notice_has_one_helper(site: Site, *, over: bool) -> None:
    """Another one of that name is not a notice."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    tell(site, notice)
    if over:
        site.fake.advance(1.0)
        site.fake.hang_up(HELPER)
        site.watch.notice_over(notice)
    tell(site, notice, SECOND)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SECOND]


@pytest.mark.parametrize("over", [False, True], ids=["waited-for", "over"])
def test_a_helper_that_goes_on_is_none(site: Site, *, over: bool) -> None:
    """Nobody hears an agent for longer than a notice may take, also not from the channel that tells them."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    tell(site, notice)
    if over:
        site.watch.notice_over(notice)
    site.fake.advance(NOTICE_SECONDS - 0.1)
    assert site.facts == []
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [HELPER]


def test_a_late_helper_is_one_for_its_notice(site: Site) -> None:
    """The story was over when it began: it may play, and no second one."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    site.watch.notice_over(notice)
    tell(site, notice)
    assert site.facts == []
    tell(site, notice, SECOND)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SECOND]


def test_a_stop_looks_at_no_helper(site: Site) -> None:
    """Nothing is left of it."""
    tell(site, site.watch.notice_expected(SPYEE_UNIQUEID))
    site.watch.stop()
    site.fake.advance(NOTICE_SECONDS)
    assert site.facts == []


def test_a_helper_that_could_not_be_asked_is_still_the_one(site: Site) -> None:
    """The PBX says so later: it is not a rogue, and its time is bounded from its beginning on."""
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    site.fake.held.add("Getvar")
    tell(site, notice)
    site.fake.advance(11.0)
    site.fake.answer_held()
    site.fake.advance(5.0)
    assert (kinds(site), site.facts) == ([(HELPER, SpyKind.EXEMPT)], [])
    site.fake.advance(NOTICE_SECONDS - 16.0)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [HELPER]


@pytest.mark.parametrize("carries", ["", "made up", "x\r\ny", "of another agent"])
def test_who_is_called_like_the_helper_and_comes_first_is_not_it(site: Site, carries: str) -> None:
    """Anyone who may originate a call can make a channel of that name, and not what ours carries: the agent is told
    by ours, and the other one is a spy."""
    other = site.watch.notice_expected(CUSTOMER_UNIQUEID)
    notice = site.watch.notice_expected(SPYEE_UNIQUEID)
    given = begin(site.watch.notice_given(notice))
    tell(site, other if carries == "of another agent" else carries, SECOND)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SECOND]
    tell(site, notice)
    site.fake.stop_spying(SECOND, SPYEE)
    assert given == []
    site.fake.stop_spying(HELPER, SPYEE)
    assert given == [True]
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SECOND]


def test_a_test_call_of_the_doctor_is_short(site: Site) -> None:
    """Anyone who may originate calls can name two like those, and bridge the one that is heard with anybody."""
    spyer, spyee = f"{TEST_SUPERVISOR}0000000a;1", f"{TEST_AGENT}0000000b;1"
    timers = len(site.fake.clock.getDelayedCalls())
    for number, name in enumerate((spyer, spyee)):
        site.fake.add_channel(name, f"1700000000.8{number}")
    site.fake.start_spying(spyer, spyee)
    site.fake.advance(TEST_SECONDS - 0.1)
    assert (kinds(site), site.facts) == ([(spyer, SpyKind.EXEMPT)], [])
    site.fake.advance(0.1)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [spyer]
    site.fake.hang_up(spyer)
    assert len(site.fake.clock.getDelayedCalls()) == timers


def test_a_test_call_of_the_doctor_leaves_nothing(site: Site) -> None:
    """It is over in time."""
    spyer, spyee = f"{TEST_SUPERVISOR}0000000a;1", f"{TEST_AGENT}0000000b;1"
    timers = len(site.fake.clock.getDelayedCalls())
    for number, name in enumerate((spyer, spyee)):
        site.fake.add_channel(name, f"1700000000.8{number}")
    site.fake.start_spying(spyer, spyee)
    site.fake.hang_up(spyer)
    site.fake.advance(2 * TEST_SECONDS)
    assert (site.facts, len(site.fake.clock.getDelayedCalls())) == ([], timers)
