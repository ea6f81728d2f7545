"""The manager interface fails in every way that networks, PBXs and administrators know: nothing wrong is left.

While the live picture is not to be trusted, look-ups go over AGI and the audit says why; afterwards all is as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from contrib.lab.errors import LabError
from contrib.lab.faulty_way import HOST, FaultyWay
from contrib.lab.manager import Manager
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, heard_in

PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}
OFTEN = {"resync_minutes": 0.1}
BACK_SECONDS = 75.0
"""A silent peer is noticed after 30 s, or 60 where a list is on its way (ami/limits.py)."""

STORM = 500
ROGUE = """[lab-tests]
exten => 7501,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,qx(#))
 same => n,Wait(120)
 same => n,Hangup()
"""
ONLY_100 = [{"name": "only-100", "allow": ["listen"], "supervisors": ["leads"], "agents": ["100"]}]


@pytest.fixture
def way(house: House) -> Iterator[FaultyWay]:
    """The server reaches the manager interface by a way that can fail."""
    with FaultyWay(house.lab.pbx.address) as way:
        house.restart(ami=by(house, way))
        yield way
        house.lab.pbx.hangup_all()
        if house.server.is_running:
            house.server.stop()


def by(house: House, way: FaultyWay, **changes: Any) -> dict[str, Any]:
    """The section `ami` of a server that goes this way."""
    return house.ami(host=HOST, port=way.port, **changes)


def hear(house: House, mark: int, source: str, stale: str = "") -> None:
    """A spy works, and the audit says who knew the channel. It is over afterwards."""
    count = len(house.server.audit("spy_started"))
    call = house.spy()
    house.hears(heard_in("listen"))
    record = house.server.audit("spy_started")[count]
    assert (record["source"], record["stale"]) == (source, stale)
    house.lab.phone("2001").hang_up(call)
    house.server.wait_for("call_ended", mark)
    house.lab.pbx.wait_until(lambda: not house.lab.pbx.channels_of("2001"), 40, "the supervisor's channel to end")


def assert_nothing_wrong(house: House) -> None:
    """The picture is whole and right, no channel is left in it, and no fault was logged."""
    house.assert_no_alarm()
    house.lab.pbx.hangup_all()
    wait_until(lambda: not house.asks("calls")["calls"], 40, "all calls to be over", interval=0.2)
    house.wait_for_spies(0)
    status = house.asks("status")
    assert (status["ami"], status["stale"], status["differences"]) == ("up", None, 0)
    for event in ("ami_callback_failed", "spy_watch_failed", "pbx_failed", "index_difference", "agi_story_failed"):
        assert not house.server.events(event)


@pytest.mark.parametrize("event", ["Newchannel", "BridgeEnter", "Hangup"])
@pytest.mark.either_version
def test_a_connection_that_ends_in_the_middle_of_a_message(house: House, way: FaultyWay, event: str) -> None:
    """Half an event does not count: the connection is made again, and the lists tell what it would have told."""
    mark = house.server.mark()
    way.cut_within(event)
    house.lab.connect("3002", "1002")
    house.lab.phone("3002").hang_up()
    way.wait_until_cut()
    house.server.wait_for("pbx_lost", mark)
    house.server.wait_for("pbx_synced", mark)
    house.lab.connect("3001", "1001")
    hear(house, mark, "index")
    facts = [record["fact"] for record in house.server.audit() if record["fact"].startswith("pbx_")]
    assert facts[-2:] == ["pbx_lost", "pbx_synced"]
    assert_nothing_wrong(house)


def test_a_connection_that_is_cut_while_somebody_spies(house: House, way: FaultyWay) -> None:
    """The spy continues, is known as before afterwards, and ends as it would have."""
    house.lab.connect("3001", "1001")
    house.spy("barge")
    mark = house.server.mark()
    way.cut()
    house.server.wait_for("pbx_lost", mark)
    house.hears(heard_in("barge"))
    house.server.wait_for("pbx_synced", mark)
    assert [spy["kind"] for spy in house.wait_for_spies(1)] == ["granted"]
    house.change_mode("whisper")
    house.hears(heard_in("whisper"))
    house.lab.phone("2001").hang_up()
    house.server.wait_for_audit("spy_ended", 2)
    assert_nothing_wrong(house)


def test_a_right_that_is_taken_away_while_nobody_can_be_told(house: House, way: FaultyWay) -> None:
    """Without a connection the spy cannot be ended; once there is one again it is, before anything else."""
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    way.hush()
    way.cut()
    house.server.wait_for("pbx_lost", mark)
    house.reconfigure(ami=by(house, way), rules=ONLY_100)
    house.hears(heard_in("listen"))
    way.speak()
    # By the key, or, on a busy machine, by the hang-up that follows 120 ms later.
    (ended,) = house.server.wait_for_audit("spy_ended", timeout=BACK_SECONDS)
    assert ended["why"] == "revoked"
    house.lab.wait_for_hearing(PAIR, others_silent=False)
    assert {record["why"] for record in house.server.audit("spy_revoked")} == {"mode_denied"}


def test_a_right_is_taken_away_by_the_command_of_the_site(house: House, way: FaultyWay) -> None:
    """Without a connection the supervisor is hung up by it, and the call that was heard continues."""
    container = house.lab.pbx.container.get_wrapped_container().id
    hangup = ["docker", "exec", container, "asterisk", "-rx", "channel request hangup {channel}"]
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    way.hush()
    way.cut()
    house.server.wait_for("pbx_lost", mark)
    house.reconfigure(ami=by(house, way), rules=ONLY_100, stop={"hangup_command": hangup})
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert ended["why"] == "revoked"
    house.lab.phone("2001").wait_until_idle()
    house.hears(PAIR)
    (revoked,) = house.server.audit("spy_revoked")
    assert revoked["why"] == "mode_denied"
    way.speak()
    house.server.wait_for("pbx_synced", mark, timeout=BACK_SECONDS)


@pytest.mark.either_version
def test_an_interface_that_falls_silent(house: House, way: FaultyWay) -> None:
    """The connection stays, and nothing comes: it is noticed, look-ups go over AGI, and then all is well again."""
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    way.hush()
    house.server.wait_for("pbx_lost", mark, timeout=BACK_SECONDS)
    hear(house, mark, "agi", "lost")
    house.lab.phone("1001").hold()
    way.speak()
    house.server.wait_for("pbx_synced", mark, timeout=BACK_SECONDS)
    # No list tells that the agent has put the customer on hold.
    assert house.refused("*2221001", "on_hold")["detail"] == ""
    house.lab.phone("1001").resume()
    hear(house, house.server.mark(), "agi", "hold_unknown")
    house.lab.pbx.hangup_all()
    house.lab.connect("3001", "1001")
    hear(house, house.server.mark(), "index")
    assert_nothing_wrong(house)


@pytest.mark.either_version
def test_an_interface_that_is_silent_from_the_beginning(house: House, way: FaultyWay) -> None:
    """Not even a greeting: the server serves, and has its picture as soon as there is one."""
    house.server.stop()
    way.hush()
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    house.server.start(synced=False)
    hear(house, mark, "agi", "never_listed")
    house.server.wait_for("ami_down", mark, timeout=BACK_SECONDS)
    way.speak()
    house.server.wait_for("pbx_synced", mark, timeout=BACK_SECONDS)
    hear(house, house.server.mark(), "agi", "hold_unknown")
    assert_nothing_wrong(house)


def is_known(house: House, phone: str) -> bool:
    """Whether a phone has registered; right after a restart there are no hints yet."""
    with suppress(LabError):
        return house.lab.pbx.hint(phone) == "Idle"
    return False


def test_the_pbx_is_restarted(house: House) -> None:
    """Calls, a spy and a prompt are cut off with it; afterwards a new call is heard like the first."""
    house.lab.connect("3001", "1001")
    house.spy(supervisor="2001")
    house.dial("*2221001", supervisor="2003")
    mark = house.server.mark()
    with suppress(LabError):  # the console is cut off as well
        house.lab.pbx.cli("core restart now")
    house.server.wait_for("pbx_lost", mark)
    for phone in ("3001", "1001", "2001", "2003"):
        house.lab.phone(phone).hang_up()
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert ended["why"] in ("connection_lost", "supervisor_hung_up")
    house.server.wait_for("pbx_synced", mark, timeout=BACK_SECONDS)
    for phone in ("1001", "3001"):
        house.lab.pbx.wait_until(partial(is_known, house, phone), 60, "the phones to be known again")
    house.lab.connect("3001", "1001")
    hear(house, mark, "index")
    assert_nothing_wrong(house)


def test_a_wrong_secret(house: House) -> None:
    """The login is refused once and for all: the server serves without, and says so."""
    house.server.stop()
    house.server.configure(ami=house.ami(secret="never-the-right-secret"))
    mark = house.server.mark()
    house.lab.connect("3001", "1001")
    house.server.start(synced=False)
    refused = house.server.wait_for("ami_refused", mark)
    assert "Authentication failed" in refused["reason"]
    hear(house, mark, "agi", "never_listed")
    assert len(house.server.events("ami_refused", mark)) == 1
    assert "never-the-right-secret" not in house.server.log.read_text()


def test_an_account_without_the_list(house: House) -> None:
    """The class that is missing is named; without a list there is no picture, and look-ups go over AGI."""
    path = house.lab.pbx.generated / "manager.conf.include"
    less = path.read_text().replace("write = call,reporting", "write = call")
    house.server.stop()
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    with house.lab.pbx.manager_accounts(less):
        house.server.start(synced=False)
        event = house.server.wait_for("index_not_listed", mark)
        assert "reporting" in event["error"]
        hear(house, mark, "agi", "never_listed")


def test_an_account_that_is_told_of_no_call(house: House) -> None:
    """Without read=call no event comes: a look-up goes over AGI at once. The call that is heard is looked at, and the
    lists that are asked for then end the trust."""
    house.is_deaf = True
    house.server.stop()
    text = (house.lab.pbx.generated / "manager.conf.include").read_text()
    less = text.replace("read = call,agent,system", "read = agent,system")
    assert less != text
    with house.lab.pbx.manager_accounts(less):
        house.server.start()
        house.lab.connect("3001", "1001")
        mark = house.server.mark()
        hear(house, mark, "agi", "deaf")
        missing = house.server.wait_for("ami_class_missing", mark)
        assert (missing["line"], missing["classes"], missing["needed_for"]) == ("read", "call", "Newchannel")
        (lost,) = house.server.wait_for_audit("pbx_lost")
        assert lost["why"] == house.server.events("pbx_lost")[0]["why"]
        hear(house, mark, "agi", "deaf")
        house.assert_no_alarm()
        house.server.stop()
    house.server.start()
    house.lab.pbx.hangup_all()
    house.lab.connect("3001", "1001")
    hear(house, house.server.mark(), "index")
    house.assert_no_alarm()


def test_an_account_that_may_not_end_a_call(house: House) -> None:
    """The class that is missing is named when a spy cannot be ended."""
    path = house.lab.pbx.generated / "manager.conf.include"
    less = path.read_text().replace("write = call,reporting", "write = reporting")
    house.server.stop()
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    with house.lab.pbx.manager_accounts(less):
        house.server.start()
        house.spy()
        (spy,) = house.wait_for_spies(1)
        with pytest.raises(LabError, match="call"):
            house.kill(spy["id"])
        house.hears(heard_in("listen"))
    assert house.server.events("spy_revoked", mark)


def test_a_storm(house: House) -> None:
    """Hundreds of calls begin and end in one moment; not one is left, and the next one is heard."""
    house.restart(ami=house.ami(**OFTEN))
    with Manager(house.lab, "dialler") as manager:
        for _ in range(STORM):
            manager.ask(
                "Originate",
                Channel="Local/810@phones/n",
                Application="Wait",
                Data="120",
                Async="true",
                Timeout="60000",
            )
    house.lab.pbx.wait_until(lambda: len(house.asks("calls")["calls"]) >= STORM, 60, "all calls to be known")
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    hear(house, mark, "index")
    house.lab.pbx.hangup_all(60)
    wait_until(lambda: not house.asks("calls")["calls"], 40, "all calls to be over", interval=0.2)
    house.resync()
    assert not house.server.events("pbx_lost", mark)
    house.lab.connect("3001", "1001")
    hear(house, house.server.mark(), "index")
    assert_nothing_wrong(house)


@pytest.mark.parametrize("end", ["hang-up", "list"])
def test_a_spy_whose_end_is_not_told(house: House, way: FaultyWay, end: str) -> None:
    """ChanSpyStop is lost: the hang-up of the channel, or the next list in which it spies no more, ends it."""
    house.restart(ami=by(house, way, **OFTEN))
    house.lab.pbx.write_dialplan("lab-ways-in", ROGUE)
    try:
        house.lab.connect("3001", "1001")
        house.lab.phone("2999").call("7501")
        (record,) = house.server.wait_for_audit("rogue_spy")
        way.lose("ChanSpyStop")
        if end == "hang-up":
            house.lab.phone("2999").hang_up()
        else:
            house.lab.phone("2999").press("#")
        (ended,) = house.server.wait_for_audit("rogue_spy_ended")
        assert ended["spyer_uniqueid"] == record["spyer_uniqueid"]
        wait_until(lambda: len(way.lost) == 1, 40, "the event to be lost")
        assert record["spyer_uniqueid"] in way.lost[0]
        assert len(house.lab.pbx.channels_of("2999")) == (0 if end == "hang-up" else 1)
        house.wait_for_spies(0)
    finally:
        house.lab.pbx.hangup_all()
        house.lab.pbx.remove_dialplan("lab-ways-in")


def test_questions_while_the_lists_are_on_their_way(house: House, way: FaultyWay) -> None:
    """The interface is slow and lists come all the time: each answer is the one of the events, and right."""
    house.restart(ami=by(house, way, **OFTEN), pins={"remember_minutes": 60})
    way.delay(0.4)
    before = house.asks("status")["resyncs"]
    customers, agents = ("3001", "3002"), ("1001", "100")
    mark = house.server.mark()
    house.lab.connect("3001", "1001")
    house.lab.phone("2001").hang_up(house.spy())
    house.lab.phone("3001").hang_up()
    for number in range(8):
        customer, agent = customers[number % 2], agents[number // 2 % 2]
        house.lab.connect(customer, agent)
        (channel,) = house.lab.pbx.channels_of(agent)
        wait_until(
            lambda: any(channel.unique_id in str(call) for call in house.asks("calls")["calls"]),  # noqa: B023 - at once
            40,
            "the call to be known",
            interval=0.1,
        )
        started = house.server.mark()
        house.lab.phone("2001").dial(f"*222{agent}")
        assert house.server.wait_for("spy_started", started)["spyee"] == channel.name
        house.hears(heard_in("listen", customer, agent))
        house.lab.phone("2001").hang_up()
        house.lab.phone(customer).hang_up()
        house.server.wait_for("call_ended", started)
        house.lab.phone(agent).wait_until_idle()
    # The event of the supervisor's own call may be on its way, too: then the PBX is asked.
    said = {(record["source"], record["stale"]) for record in house.server.audit("spy_started")}
    assert ("index", "") in said
    assert said <= {("index", ""), ("agi", "deaf")}
    assert house.asks("status")["resyncs"] - before >= 2
    assert not house.server.events("pbx_lost", mark)
    way.delay(0)
    assert_nothing_wrong(house)
