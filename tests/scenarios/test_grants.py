"""Every spy on the PBX is compared with the grants: ours raise no alarm, all others do.

What the PBX says is asked by a login at the manager interface that shares no code with our own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from contrib.lab.errors import LabError
from contrib.lab.manager import Manager, Message
from contrib.lab.snoop import snooping
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, heard_in, moment

SECONDS = 40.0
PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}
WAYS_IN = """[lab-tests]
exten => 7401,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
exten => 7402,1,Answer()
 same => n,ExtenSpy(1001@phones,q)
 same => n,Hangup()
exten => 7403,1,MixMonitor(/tmp/beeps.wav,B(1))
 same => n,Dial(PJSIP/1001,60)
 same => n,Hangup()
exten => 7404,1,Answer()
 same => n,ChanSpy(PJSIP/100-,q)
 same => n,Hangup()
exten => 7405,1,Set(hook=${PERIODIC_HOOK(lab-hooks,beep,1)})
 same => n,Dial(PJSIP/1001,60)
 same => n,Hangup()

[lab-hooks]
exten => beep,1,Answer()
 same => n,Playback(beep)
 same => n,Hangup()
"""


@pytest.fixture
def open_house(house: House) -> Iterator[House]:
    """The dialplan has ways to spy beside ours."""
    with house.with_dialplan("lab-ways-in", WAYS_IN) as changed:
        yield changed


def events_of(manager: Manager, name: str, count: int = 1) -> list[Message]:
    """Wait for this number of events of a name."""
    found: list[Message] = []

    def look() -> bool:
        found.extend(event for event in manager.heard() if event.get("Event") == name)
        return len(found) >= count

    wait_until(look, SECONDS, f"{count} {name}", describe=lambda: str(found))
    return found


def rogue(house: House, spyer: str, spyee: str = "PJSIP/1001-") -> dict[str, Any]:
    """Wait until a rogue spy is on record, and return the record."""
    (record,) = house.server.wait_for_audit("rogue_spy")
    assert record["spyer"].startswith(spyer), record
    assert record["spyee"].startswith(spyee), record
    house.server.wait_for("rogue_spy", spyer=record["spyer"])
    return record


# ---- ours ----------------------------------------------------------------------------------------------


def test_our_own_spies_raise_no_alarm(open_house: House) -> None:
    """All modes, all changes, two supervisors on one agent, queues: what the PBX tells is what was granted."""
    house = open_house
    with Manager(house.lab) as manager:
        house.lab.connect("3001", "500", "1001")
        house.spy(supervisor="2001")
        for mode in ("whisper", "barge", "listen"):
            house.change_mode(mode)
            house.hears(heard_in(mode))
        house.spy("whisper", supervisor="2003")
        spies = {(spy["kind"], spy["supervisor"], spy["mode"]) for spy in house.wait_for_spies(2)}
        assert spies == {("granted", "anna", "listen"), ("granted", "carla", "whisper")}
        house.lab.phone("2001").press("*")
        house.lab.phone("3001").hang_up()
        (waiting,) = [house.server.wait_for("waiting", supervisor="carla")]
        assert waiting
        house.lab.phone("2003").hang_up()
        granted = [(one["spyer_uniqueid"], one["spyee_uniqueid"]) for one in house.server.audit("spy_started")]
        told = events_of(manager, "ChanSpyStart", len(granted))
    assert sorted((event["SpyerUniqueid"], event["SpyeeUniqueid"]) for event in told) == sorted(granted)
    assert len(house.server.wait_for_audit("spy_ended", len(granted))) == len(granted)
    for said in ("spy_heard", "spy_silent"):
        records = house.server.wait_for_audit(said, len(granted))
        assert sorted((one["spyer_uniqueid"], one["spyee_uniqueid"]) for one in records) == sorted(granted)
        assert len({(one["call"], one["grant"]) for one in records}) == len(granted)
    house.assert_no_alarm()
    house.wait_for_spies(0)


def test_a_conference_of_ours_raises_no_alarm(house: House) -> None:
    """A barge without ChanSpy is granted, listed, and ended like any other."""
    house.reconfigure(spies={"barge": "conference"})
    house.lab.connect("3001", "1001")
    house.spy("barge")
    house.hears(heard_in("barge"))
    house.resync()
    (spy,) = house.wait_for_spies(1)
    assert (spy["kind"], spy["mode"]) == ("granted", "barge")
    house.lab.phone("1001").hang_up()
    house.hears({"3001": {"2001"}, "2001": {"3001"}})
    house.lab.phone("2001").hang_up()
    house.server.wait_for_audit("spy_ended")
    house.wait_for_spies(0)
    house.resync()
    house.assert_no_alarm()


def test_lists_during_our_own_calls_raise_no_alarm(house: House) -> None:
    """The list still names ChanSpy for a supervisor who is at a prompt: not a spy, and no alarm."""
    house.lab.connect("3001", "1001")
    house.spy()
    house.resync()
    assert [spy["kind"] for spy in house.wait_for_spies(1)] == ["granted"]
    mark = house.server.mark()
    house.lab.phone("2001").press("*")
    house.server.wait_for("extension_prompted", mark)
    house.resync()
    (channel,) = house.lab.pbx.channels_of("2001")
    assert (channel.application, channel.context) == ("ChanSpy", "agi-monitor-call")
    house.wait_for_spies(0)
    house.assert_no_alarm()


def test_a_restart_at_a_prompt_raises_no_alarm(house: House) -> None:
    """A list is all that a new server has; a supervisor who once spied is not a rogue in it."""
    house.lab.connect("3001", "1001")
    house.spy()
    mark = house.server.mark()
    house.lab.phone("2001").press("*")
    house.server.wait_for("extension_prompted", mark)
    (channel,) = house.lab.pbx.channels_of("2001")
    assert channel.application == "ChanSpy"
    house.server.kill()
    house.server.start()
    house.assert_no_alarm()
    house.wait_for_spies(0)


@pytest.mark.parametrize("extension", ["7403", "7405"], ids=["MixMonitor", "PERIODIC_HOOK"])
def test_beeps_raise_no_alarm(open_house: House, extension: str) -> None:
    """MixMonitor and PERIODIC_HOOK play their beeps with a helper that spies, again and again; the log says why it
    is not one."""
    house = open_house
    with Manager(house.lab) as manager:
        house.lab.connect("2999", extension, "1001")
        begun = events_of(manager, "ChanSpyStart", 2)
    for event in begun:
        assert event["SpyerChannel"].startswith("Local/hook@__func_periodic_hook_context__-")
        house.server.wait_for("spy_exempt", spyer=event["SpyerChannel"], why="a beep of Asterisk's own")
    house.assert_no_alarm()


def test_an_exception_raises_no_alarm(open_house: House) -> None:
    """A device that the configuration excepts may spy, and another one may not."""
    house = open_house
    house.reconfigure(spies={"rogue": "hang_up", "rogue_exceptions": ["PJSIP/2999"]})
    house.lab.connect("3001", "1001")
    house.lab.phone("2999").call("7401")
    house.server.wait_for("spy_exempt", why="excepted by the configuration")
    house.hears({**PAIR, "2999": {"3001", "1001"}})
    house.assert_no_alarm()
    (spy,) = house.wait_for_spies(1)
    assert (spy["kind"], spy["supervisor"]) == ("exempt", None)
    house.lab.phone("2002").dial("7401")
    rogue(house, "PJSIP/2002-")
    house.lab.phone("2002").wait_until_idle()
    house.hears({**PAIR, "2999": {"3001", "1001"}})


# ---- others' -------------------------------------------------------------------------------------------


def spy_by_code(house: House) -> None:
    """A phone dials a code that is not ours."""
    house.lab.phone("2999").dial("7401")


def spy_by_extension(house: House) -> None:
    """The same with ExtenSpy."""
    house.lab.phone("2999").dial("7402")


def spy_by_originate(house: House) -> None:
    """A program lets a phone ring, and who answers hears the call."""
    house.lab.phone("2999").set_auto_answer(True)
    with Manager(house.lab, "dialler") as manager:
        manager.ask("Originate", Channel="PJSIP/2999", Application="ChanSpy", Data="PJSIP/1001-,q", Async="true")


def spy_by_supervisor(house: House) -> None:
    """A supervisor of ours, whose own phone spies past us."""
    house.lab.phone("2001").dial("7401")


ROGUES = {
    "by a code": (spy_by_code, "2999", "1001"),
    "by an extension": (spy_by_extension, "2999", "3001"),
    "by a program": (spy_by_originate, "2999", "1001"),
    "by a supervisor": (spy_by_supervisor, "2001", "1001"),
}


@pytest.mark.parametrize("way", ROGUES)
@pytest.mark.either_version
def test_a_rogue_spy_is_told(open_house: House, way: str) -> None:
    """By default it is recorded and continues; so is its end."""
    house, (spy, phone, heard) = open_house, ROGUES[way]
    house.lab.connect("3001", "1001")
    began = time.monotonic()
    spy(house)
    record = rogue(house, f"PJSIP/{phone}-", f"PJSIP/{heard}-")
    assert record["action"] == "alarm"
    house.hears({**PAIR, phone: {"3001", "1001"}})
    (listed,) = house.wait_for_spies(1)
    assert (listed["kind"], listed["id"], listed["supervisor"]) == ("rogue", record["spyer_uniqueid"], None)
    house.lab.phone(phone).hang_up()
    (ended,) = house.server.wait_for_audit("rogue_spy_ended")
    assert (ended["spyer"], ended["by"]) == (record["spyer"], "")
    assert 0 < ended["seconds"] < time.monotonic() - began
    house.wait_for_spies(0)
    assert len(house.server.audit("rogue_spy")) == 1


@pytest.mark.parametrize("way", ROGUES)
def test_a_rogue_spy_is_hung_up(open_house: House, way: str) -> None:
    """When the configuration says so: the phone is silent, and the call that was heard continues."""
    house, (spy, phone, heard) = open_house, ROGUES[way]
    house.reconfigure(spies={"rogue": "hang_up"})
    house.lab.connect("3001", "1001")
    with Manager(house.lab) as manager:
        spy(house)
        record = rogue(house, f"PJSIP/{phone}-", f"PJSIP/{heard}-")
        assert record["action"] == "hang_up"
        (ended,) = house.server.wait_for_audit("rogue_spy_ended")
        assert ended["spyer_uniqueid"] == record["spyer_uniqueid"]
        hung_up = events_of(manager, "Hangup")
    assert [event["Uniqueid"] for event in hung_up] == [record["spyer_uniqueid"]]
    house.lab.phone(phone).wait_until_idle()
    house.hears(PAIR)
    began = moment(house.server.events("rogue_spy")[0])
    assert house.lab.last_heard(phone, {"1001", "3001"}, began) - began <= 0.2


def test_a_rogue_spy_is_killed(open_house: House) -> None:
    """Somebody sees it in the list and ends it; the record says who."""
    house = open_house
    house.lab.connect("3001", "1001")
    spy_by_code(house)
    record = rogue(house, "PJSIP/2999-")
    house.kill(record["spyer_uniqueid"])
    (ended,) = house.server.wait_for_audit("rogue_spy_ended")
    assert ended["by"]
    house.lab.phone("2999").wait_until_idle()
    house.hears(PAIR)


def test_a_rogue_spy_that_was_there_first(open_house: House) -> None:
    """It began before our server did: the first list tells."""
    house = open_house
    house.server.stop()
    house.lab.connect("3001", "1001")
    spy_by_code(house)
    house.hears({**PAIR, "2999": {"3001", "1001"}})
    house.server.start()
    (record,) = house.server.wait_for_audit("rogue_spy")
    assert record["spyer"].startswith("PJSIP/2999-")
    house.lab.phone("2999").hang_up()
    (ended,) = house.server.wait_for_audit("rogue_spy_ended")
    assert ended["spyer_uniqueid"] == record["spyer_uniqueid"]


@pytest.mark.parametrize("reaction", ["alarm", "hang_up"])
def test_a_rogue_spy_of_ari(house: House, reaction: str) -> None:
    """A program snoops on the agent's channel: told, listed, and hung up where that is wanted."""
    house.reconfigure(spies={"rogue": reaction})
    house.lab.connect("3001", "1001")
    (agent,) = house.lab.pbx.channels_of("1001")
    with snooping(house.lab.pbx, agent.unique_id):
        record = rogue(house, f"Snoop/{agent.unique_id}-")
        assert record["action"] == reaction
        if reaction == "alarm":
            house.resync()
            assert [spy["kind"] for spy in house.wait_for_spies(1)] == ["rogue"]
            assert not house.server.audit("rogue_spy_ended")
            house.lab.pbx.cli(f"channel request hangup {record['spyer']}")
        (ended,) = house.server.wait_for_audit("rogue_spy_ended")
    assert ended["spyer_uniqueid"] == record["spyer_uniqueid"]
    assert len(house.server.audit("rogue_spy")) == 1
    assert not house.server.events("spy_watch_failed")
    house.hears(PAIR)


def test_a_supervisor_who_is_sent_to_another_call(open_house: House) -> None:
    """A program redirects the supervisor's channel into a ChanSpy on somebody else: the grant is not for that."""
    house = open_house
    house.reconfigure(spies={"rogue": "hang_up"})
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    house.spy()
    (supervisor,) = house.lab.pbx.channels_of("2001")
    with Manager(house.lab, "caller") as manager:
        manager.ask("Redirect", Channel=supervisor.name, Context="lab-tests", Exten="7404", Priority="1")
    record = rogue(house, supervisor.name, "PJSIP/100-")
    assert record["action"] == "hang_up"
    house.lab.phone("2001").wait_until_idle()
    house.hears({**PAIR, "3002": {"100"}, "100": {"3002"}})
    (ended,) = house.server.audit("spy_ended")
    assert ended["spyer_uniqueid"] == record["spyer_uniqueid"]


def test_a_grant_that_was_copied(open_house: House) -> None:
    """The proof of one supervisor's grant on another channel, in a context of others, proves nothing."""
    house = open_house
    house.lab.connect("3001", "1001")
    house.spy()
    (supervisor,) = house.lab.pbx.channels_of("2001")
    variable = "AGI_MONITOR_GRANT"
    with Manager(house.lab) as manager:
        manager.ask("Ping")
        copy = f"[lab-tests]\nexten => 7409,1,Set({variable}=${{IMPORT({supervisor.name},{variable})}})\n"
        house.lab.pbx.write_dialplan(
            "lab-ways-in", f"{WAYS_IN}{copy} same => n,Answer()\n same => n,ChanSpy(PJSIP/1001-,q)\n"
        )
        house.lab.phone("2999").dial("7409")
        record = rogue(house, "PJSIP/2999-")
        (channel,) = house.lab.pbx.channels_of("2999")
        shown = house.lab.pbx.cli(f"core show channel {channel.name}")
    assert f"{variable}=" in shown
    assert record["why"] == "nobody granted it"


def test_without_the_manager_interface_there_is_no_watch(house: House) -> None:
    """No section `ami`: spies work, and nobody claims to know the others'."""
    house.restart(ami=None)
    mark = house.server.mark()
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    assert house.server.audit("spy_started")[0]["source"] == "agi"
    assert not house.server.events("ami_up", mark)
    with pytest.raises(LabError, match="ami"):
        house.asks("spies")
