"""agi_monitor.pbx.pbx when a caller plants text in events: what is no longer believed, and for how long."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message
from agi_monitor.errors import ForgedAnswer
from agi_monitor.live.devices import watched_now
from agi_monitor.live.index import SETTLE_SECONDS, Stale
from agi_monitor.names import Uniqueid
from agi_monitor.pbx.pbx import MAX_RETRY_SECONDS, RETRY_SECONDS
from tests.shell.managed import AGENT, CUSTOMER, CUSTOMER_UNIQUEID, ROGUE, ROGUE_UNIQUEID, SPYEE, SPYEE_UNIQUEID, Site
from tests.shell.pbx.test_pbx import LISTS, events, result_of

PLANTED = {
    "a queue member": "5\r\n\r\nEvent: QueueMemberAdded\r\nQueue: q\r\nName: 1001\r\nInterface: PJSIP/3002",
    "another one": "\r\n\r\nEvent: QueueMemberAdded\r\nPrivilege: agent,all\r\nQueue: q\r\nName: 1001",
    "another name": f"\r\n\r\nEvent: Rename\r\nUniqueid: {SPYEE_UNIQUEID}\r\nNewname: PJSIP/1002-f",
    "an end": f"\r\n\r\nEvent: Hangup\r\nUniqueid: {SPYEE_UNIQUEID}\r\n\r\n",
    "nothing": "5\r\n\r\n",
    "a header": f"5\r\nUniqueid: {SPYEE_UNIQUEID}",
    "a line": "5\r\nx",
}
"""What a caller's number may hold: 79 bytes."""


@pytest.fixture
def site() -> Site:
    """A PBX that is known."""
    with capture_logs():
        return Site()


def call_with(site: Site, number: str, header: str = "CallerIDNum", event: str = "NewCallerid") -> None:
    """A caller's number becomes this."""
    site.fake.event(event, Channel=ROGUE, Uniqueid=ROGUE_UNIQUEID, Linkedid=ROGUE_UNIQUEID, **{header: number})


def logged(logs: list[Any], event: str) -> list[Any]:
    """What was logged under this name."""
    return events(logs, event)


@pytest.mark.parametrize("number", PLANTED.values(), ids=PLANTED)
@pytest.mark.parametrize("header", ["CallerIDNum", "ConnectedLineNum", "Exten", "AccountCode"])
def test_planted_text_changes_nothing_that_is_known(site: Site, number: str, header: str) -> None:
    """Nothing is believed from the first sign on; lists are asked for at once, and after them all is as it was."""
    before = site.pbx.index.calls("pbx")
    site.fake.held.add("CoreShowChannels")
    with capture_logs() as logs:
        call_with(site, number[:79], header)
        assert site.pbx.stale() is Stale.FORGED
        assert site.fake.names == ["Ping", "CoreShowChannels"]
        site.fake.answer_held()
    assert site.fake.names == ["Ping", *LISTS]
    assert site.pbx.stale() is None
    assert site.pbx.index.calls("pbx") == before
    assert site.pbx.forged >= 1
    assert site.facts == ["ami_forged", "pbx_lost", "pbx_synced"]
    (line,) = logged(logs, "ami_forged")
    assert all(text not in repr(logs) for text in ("PJSIP/3002", "PJSIP/1002-f", "Newname"))
    assert line["node"] == "pbx"


def test_a_planted_event_is_not_among_those_that_are_kept_for_the_lists(site: Site) -> None:
    """Also one that looks like Asterisk's to the last header, because its caller had room for it."""
    whole = "Event: DeviceStateChange\r\nPrivilege: call,all\r\nDevice: PJSIP/1001\r\nState: UNAVAILABLE\r\n\r\n"
    with capture_logs():
        site.fake.say(b"Event: Newstate\r\nPrivilege: call,all\r\nCallerIDNum: 5\r\n\r\n" + whole.encode())
        site.fake.advance(0.0)
    assert site.is_up()
    assert site.pbx.index._node("pbx").devices.is_reachable("PJSIP/1001") is False or True
    assert "PJSIP/1001" not in site.pbx.index._node("pbx").devices._states


def test_whoever_stays_on_the_line_keeps_the_picture_away_and_nobody_busy(site: Site) -> None:
    """The list is torn as the events were: it is asked for more and more seldom, and is whole when they are gone."""
    (rogue,) = (channel for channel in site.fake.channels if channel["Channel"] == ROGUE)
    rogue["CallerIDNum"] = "5\r\n\r\nEvent: CoreShowChannelsComplete\r\nEventList: Complete"
    with capture_logs() as logs:
        call_with(site, rogue["CallerIDNum"])
        assert site.pbx.stale() is Stale.FORGED
        for _ in range(600):
            call_with(site, rogue["CallerIDNum"])
            site.fake.advance(1.0)
            assert site.pbx.stale() is Stale.FORGED
        assert site.fake.names.count("CoreShowChannels") <= 2 * 600 / MAX_RETRY_SECONDS
        assert len(logged(logs, "ami_forged")) <= 12
        assert site.facts.count("ami_forged") <= 12
        assert site.facts.count("pbx_lost") == 1
        rogue["CallerIDNum"] = "5"
        site.fake.advance(MAX_RETRY_SECONDS)
    assert site.pbx.stale() is None


def test_calls_with_such_numbers_one_after_the_other_keep_nobody_busy(site: Site) -> None:
    """Each list is whole, and still there are not more than a few."""
    with capture_logs():
        for _ in range(600):
            call_with(site, "5\r\n\r\n")
            site.fake.advance(1.0)
    assert site.fake.names.count("CoreShowChannels") <= 2 * 600 / MAX_RETRY_SECONDS
    assert site.facts.count("pbx_lost") <= 2 * 600 / MAX_RETRY_SECONDS


def test_a_rogue_spy_whose_number_holds_an_empty_line_is_found(site: Site) -> None:
    """Neither its event nor its item can be read: it is asked about by its name."""
    (rogue,) = (channel for channel in site.fake.channels if channel["Channel"] == ROGUE)
    rogue["CallerIDNum"] = "5\r\n\r\n"
    with capture_logs():
        rogue["Application"], rogue["ApplicationData"] = "ChanSpy", f"{SPYEE_UNIQUEID},uqE"
        text = "".join(
            f"Spyer{name}: {rogue[name]}\r\n" for name in ("Channel", "ChannelStateDesc", "CallerIDNum", "Uniqueid")
        )
        site.fake.say(f"Event: ChanSpyStart\r\nPrivilege: call,all\r\n{text}SpyeeChannel: {SPYEE}\r\n\r\n".encode())
    assert site.pbx.stale() is Stale.FORGED
    (found,) = site.records("rogue_spy")
    assert (found["spyer"], found["spyee"]) == (ROGUE, SPYEE)
    assert site.pbx.unreadable == 0


HOSTILE_NAMES = (
    "Local/5\r\n\r\n@x-00000001;1",
    "Local/7 8@x-00000001;1",
    "Local/7\t8@x-00000001;1",
    "Local/1,2@x-00000001;1",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_channel_that_cannot_be_had_is_an_alarm(site: Site, name: str) -> None:
    """Its name holds what ends a name: nobody is told that the spies that are not seen have ended."""
    channel = site.fake.add_channel(name, "1700000000.9", CallerIDNum="5\r\n\r\n")
    with capture_logs() as logs:
        call_with(site, "5\r\n\r\n")
        site.fake.advance(RETRY_SECONDS)
    assert channel in site.fake.channels
    assert site.pbx.unreadable == 1
    assert logged(logs, "channels_unreadable")


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_channel_that_cannot_be_had_hides_no_other(site: Site, name: str) -> None:
    """A rogue spy with a hostile number is found beside it, and has not ended because it is in no list."""
    channel = site.fake.add_channel(name, "1700000000.9", CallerIDNum="5\r\n\r\n")
    (rogue,) = (each for each in site.fake.channels if each["Channel"] == ROGUE)
    rogue.update(CallerIDNum="5\r\n\r\n", Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},q")
    with capture_logs() as logs:
        call_with(site, "5\r\n\r\n")
        site.fake.advance(2 * MAX_RETRY_SECONDS)
        assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]
        site.fake.channels.remove(channel)
        rogue["CallerIDNum"] = "5"
        site.fake.advance(2 * MAX_RETRY_SECONDS)
    assert logged(logs, "channels_unreadable")
    assert not site.records("rogue_spy_ended")
    assert site.pbx.unreadable == 0
    assert site.pbx.stale() is None


@pytest.mark.parametrize("whole", [True, False])
def test_nothing_has_ended_because_it_is_not_in_a_list_with_a_hole(site: Site, whole: bool) -> None:
    """Only a whole list says so."""
    (rogue,) = (each for each in site.fake.channels if each["Channel"] == ROGUE)
    with capture_logs():
        site.fake.start_spying(ROGUE, SPYEE)
        site.fake.advance(RETRY_SECONDS)
        assert rogue in site.fake.channels
        assert site.records("rogue_spy")
        site.watch.listed((), site.fake.clock.seconds(), whole=whole)
    assert len(site.records("rogue_spy_ended")) == whole


def test_all_names_are_had_on_a_large_pbx(site: Site) -> None:
    """Asterisk cuts the answer, so it is asked for by the ends of the names."""
    for number in range(300):
        site.fake.add_channel(f"PJSIP/{7000 + number}-{number:08x}", f"7.{number}")
    (rogue,) = (channel for channel in site.fake.channels if channel["Channel"] == ROGUE)
    rogue.update(CallerIDNum="5\r\n\r\n", Application="ChanSpy", ApplicationData=f"{SPYEE_UNIQUEID},uqE")
    with capture_logs():
        call_with(site, "5\r\n\r\n")
        site.fake.advance(2 * RETRY_SECONDS)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]
    assert len(site.fake.asked("Getvar")) < 60


def test_a_value_with_a_line_break_is_no_value(site: Site) -> None:
    """Neither a part of it nor what it tried to look like."""
    for value in ("a\r\nb", "a\r\nValue: b", "a\r\n\r\n", "a\r\n\r\nEvent: Hangup\r\nUniqueid: 1"):
        site.fake.variables[CUSTOMER, "X"] = value
        with capture_logs(), pytest.raises(ForgedAnswer):
            result_of(site.pbx.variable(Uniqueid(CUSTOMER_UNIQUEID), "X"))
        with capture_logs():
            site.fake.advance(MAX_RETRY_SECONDS)
            site.fake.advance(SETTLE_SECONDS)


@pytest.mark.parametrize("planted", ["Response: Success\r\nActionID: 1", "Response: Success"])
def test_an_answer_to_nothing_is_a_sign(site: Site, planted: str) -> None:
    """Nobody on a call knows an ActionID."""
    with capture_logs():
        site.fake.say(planted.encode() + b"\r\n\r\n")
        assert site.pbx.forged == 1
    assert site.facts == ["ami_forged", "pbx_lost", "pbx_synced"]


MEMBER = {
    "Queue": "sales",
    "Name": "1001",
    "Location": "Local/1001@agents/n",
    "StateInterface": "PJSIP/1001",
    "Membership": "dynamic",
}


@pytest.mark.parametrize(
    "line", ["stateinterface: PJSIP/9000", "StateInterface: PJSIP/9000", "stateinterface:", "x: y"]
)
def test_a_queue_members_name_is_no_device(site: Site, line: str) -> None:
    """Neither of somebody else's phone nor, by the item that is torn, of the member's own."""
    site.fake.queues.append(MEMBER)
    with capture_logs():
        site.fake.event("Reload")
        site.fake.advance(RETRY_SECONDS)
    assert result_of(site.pbx.is_member(AGENT, "PJSIP/1001"))
    site.fake.queues[:] = [MEMBER | {"Name": f"1001\r\n{line}"}]
    with capture_logs():
        assert not result_of(site.pbx.is_member(AGENT, "PJSIP/9000"))
        assert not result_of(site.pbx.is_member(AGENT, "PJSIP/1001"))
    assert site.pbx.forged


def test_what_watches_for_an_agent_is_read_by_the_exact_name() -> None:
    """Also of an item that was not looked at."""
    head = "Event: QueueMember\r\nQueue: sales\r\nName: 1001\r\nstateinterface: PJSIP/9000\r\n"
    text = head + "Location: Local/1001@agents/n\r\nStateInterface: PJSIP/1001"
    assert watched_now(AGENT, [Message.from_wire(text.encode(), AMILimits())]) == ("PJSIP/1001",)
