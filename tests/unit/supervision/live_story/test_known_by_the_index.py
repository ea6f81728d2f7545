"""Who talks to whom is known by the index, whose phone it is, and what proves a grant."""

from __future__ import annotations

from agi_monitor.live.devices import AtDevice, Login
from agi_monitor.live.index import Stale
from agi_monitor.live.targets import AgentDevices, Source
from agi_monitor.model import Agent, Mode
from agi_monitor.supervision.proof import VARIABLE
from tests.doubles.desk import PIN, SPYEE, SPYEE_UNIQUEID, Desk, LiveHouse, refusals, started

# ---- who knew it ---------------------------------------------------------------------------------------------


def test_the_live_picture_answers(desk: Desk) -> None:
    """The record says who knew the channel and why it is this one, and the PBX is not asked about the devices."""
    desk.run()
    assert started(desk, "spyee", "source", "stale", "because", "told") == [
        (SPYEE, "index", "", "configured device, only call", False)
    ]
    assert not any("DEVICE_STATE" in word for command in desk.pbx.commands for word in command)


def test_agi_answers_while_the_picture_is_lost(desk: Desk) -> None:
    """The supervisor notices nothing, and the record says why the live picture was not asked."""
    assert desk.live is not None
    desk.live.lost = True
    desk.run()
    assert started(desk, "spyee", "source", "stale") == [(SPYEE, "agi", "lost")]


def test_who_answers_at_a_mode_key_is_on_record(desk: Desk) -> None:
    """The picture is lost in the middle of a spy: the next record names AGI, and the one after it the index again."""

    def change(key: str) -> None:
        assert desk.live is not None
        desk.live.lost = key == "5"

    desk.at_key = change
    desk.run(f"{PIN}#54")
    assert started(desk, "mode", "source", "stale") == [
        ("listen", "index", ""),
        ("whisper", "agi", "lost"),
        ("listen", "index", ""),
    ]


class ReloadedHouse(LiveHouse):
    """The dialplan was loaded again: the hints are in doubt, and all else is known."""

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """Nothing that is sure."""
        return Stale.RELOADED


def test_agi_answers_while_the_hints_are_in_doubt(desk: Desk) -> None:
    """The picture as a whole is not lost, and the record says all the same why it was not asked."""
    desk.live = ReloadedHouse(desk.pbx)
    desk.run()
    assert started(desk, "source", "stale") == [("agi", "reloaded")]


class PatternHouse(LiveHouse):
    """The hint is one by a pattern: no list names the agent's phone."""

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """An unassigned phone."""
        return AgentDevices((), (), reachable=False, source=Source.INDEX)


def test_agi_answers_where_the_picture_has_no_hint(desk: Desk) -> None:
    """The picture is true and knows no phone of the agent: that is what the record says, also at a mode key."""
    desk.live = PatternHouse(desk.pbx)
    desk.run(f"{PIN}#5")
    assert started(desk, "source", "stale") == [("agi", "no_hint"), ("agi", "no_hint")]


# ---- whose phone it is ---------------------------------------------------------------------------------------


class SharedHouse(LiveHouse):
    """An agent whom Anna may not hear is at the phone of 1001 as well, by a hint or a login."""

    shared = True

    def at_device(self, device: str) -> AtDevice | Stale:
        """The phone of 1001 is that of 1003, too."""
        somebody = {Login("1003", frozenset())}
        return AtDevice(frozenset(), frozenset(somebody if device == "PJSIP/1001" and self.shared else ()))


def test_a_phone_that_is_somebody_elses_too_is_not_heard(desk: Desk) -> None:
    """The right for the agent who was asked for is not enough; the record says whose phone it is as well."""
    desk.live = SharedHouse(desk.pbx)
    desk.run()
    assert desk.pbx.executed == []
    assert refusals(desk)[0] == "mode_denied"
    (detail,) = desk.recorded("detail")[0]
    assert str(detail).startswith("PJSIP/1001 is also the phone of 1003: ")


def test_a_login_while_somebody_is_heard_holds_at_the_next_key(desk: Desk) -> None:
    """Neither the new mode nor the old one continues."""
    live = desk.live = SharedHouse(desk.pbx)
    live.shared = False

    def log_in(key: str) -> None:
        live.shared = True

    desk.at_key = log_in
    desk.run(f"{PIN}#5")
    assert len(desk.spies) == 1
    assert refusals(desk) == ["mode_denied", "mode_denied"]


# ---- the proof -----------------------------------------------------------------------------------------------


def test_the_proof_stands_on_the_channel_while_somebody_is_heard(desk: Desk) -> None:
    """Record, grant, proof, sound; and at the end the proof is gone before the grant is, and the grant before its
    record: at no moment does a proof stand there without a grant."""
    desk.run(f"{PIN}#*")
    steps = [
        "record spy_started",
        "opened fake-1.1",
        f'> SET VARIABLE "{VARIABLE}" "proof of fake-1.1"',
        f'> EXEC "ChanSpy" "{SPYEE_UNIQUEID},uqESX"',
        f'> SET VARIABLE "{VARIABLE}" ""',
        "closed fake-1.1",
        "record spy_ended",
    ]
    assert [event for event in desk.pbx.happened if event in steps] == steps
    assert desk.pbx.channel.variables[VARIABLE] == ""


def test_each_mode_is_a_grant_with_a_proof_of_its_own(desk: Desk) -> None:
    """One is closed before the next is opened."""
    desk.run(f"{PIN}#5*")
    assert [event for event in desk.pbx.happened if event.startswith(("opened ", "closed "))] == [
        "opened fake-1.1",
        "closed fake-1.1",
        "opened fake-1.2",
        "closed fake-1.2",
    ]
    assert desk.watch is not None
    (first, second) = desk.watch.grants
    assert (first.mode, second.mode) == (Mode.LISTEN, Mode.WHISPER)
    assert (first.call, first.supervisor, first.endpoint, first.spyer) == (
        "fake-1",
        "anna",
        "PJSIP/2001",
        "PJSIP/2001-00000001",
    )
    assert (first.spyer_uniqueid, first.spyee, first.spyee_uniqueid) == ("1700000000.1", SPYEE, SPYEE_UNIQUEID)
    assert (first.extension, first.rule, first.began) == ("1001", "leads-supervise", desk.now)
