"""The story of one call at a PBX with a manager interface: following, scanning, joining, telling and revoking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.model import Agent, Barge, Cue, Follow, Mode, Reason, ScanOrder
from agi_monitor.supervision import spy_call
from agi_monitor.supervision.audit import End
from agi_monitor.supervision.channels import Stale
from agi_monitor.supervision.devices import AtDevice
from agi_monitor.supervision.grants import Grant
from agi_monitor.supervision.policy import Notice
from agi_monitor.supervision.prompts import DEFAULTS, EXTENSION
from agi_monitor.supervision.proof import VARIABLE
from agi_monitor.supervision.protected import Protected
from agi_monitor.supervision.targets import AgentDevices, Source
from agi_monitor.testing import FakeAsterisk, FakeChannel
from tests.unit.supervision.desk import (
    CODES,
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    PIN,
    POLICY,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    LiveHouse,
)

NEXT, NEXT_UNIQUEID = "PJSIP/1001-00000020", "1700000100.32"
OTHER, OTHER_UNIQUEID = "PJSIP/1005-00000022", "1700000100.34"
SECOND_CUSTOMER = "PJSIP/trunk-00000021"

AGENTS = {
    **POLICY.agents,
    "1005": Agent("1005", frozenset({"sales"}), ("PJSIP/1005",)),
    "1006": Agent("1006", frozenset({"sales"}), ("PJSIP/1006",)),
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Anna's phone; agent 1001 is on a call, and the PBX has a manager interface."""
    return connected(tmp_path)


def connected(folder: Path, dialled: str = "*2221001", **options: str) -> Desk:
    """A desk with a manager interface and two agents more."""
    desk = Desk(folder, dialled, **options)  # type: ignore[arg-type]  # the texts among its options
    desk.connect()
    desk.change(agents=AGENTS)
    return desk


def refusals(desk: Desk) -> list[object]:
    """The reasons in the audit, in order."""
    return [record["reason"] for record in desk.records if record["fact"] == "refused"]


def started(desk: Desk, *keys: str) -> list[tuple[object, ...]]:
    """These keys of every grant."""
    return [tuple(record[key] for key in keys) for record in desk.records if record["fact"] == "spy_started"]


def ends(desk: Desk) -> list[object]:
    """Why each grant ended."""
    return [record["why"] for record in desk.records if record["fact"] == "spy_ended"]


def spoken(moment: Cue | Reason, extension: str = "1001") -> list[str]:
    """What the fake notes when a moment's default words are played."""
    return [f"digits:{extension}" if word == EXTENSION else word for word in DEFAULTS[moment]]


def call_of_1001(desk: Desk) -> None:
    """The agent's next call begins."""
    desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=NEXT)
    desk.pbx.add_channel(NEXT, NEXT_UNIQUEID, bridge_peer=SECOND_CUSTOMER)


def star(desk: Desk) -> Callable[[], None]:
    """The supervisor presses the star key."""
    return lambda: desk.pbx.keys("*")


# ---- who knew it --------------------------------------------------------------------------------------------


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
        """Nobody's phone."""
        return AgentDevices((), (), reachable=False, source=Source.INDEX)


def test_agi_answers_where_the_picture_has_no_hint(desk: Desk) -> None:
    """The picture is true and knows no phone of the agent: that is what the record says, also at a mode key."""
    desk.live = PatternHouse(desk.pbx)
    desk.run(f"{PIN}#5")
    assert started(desk, "source", "stale") == [("agi", "no_hint"), ("agi", "no_hint")]


# ---- whose phone it is --------------------------------------------------------------------------------------


class SharedHouse(LiveHouse):
    """Somebody whom Anna may not hear is at the phone of 1001 as well, by a hint or a login."""

    shared = True

    def at_device(self, device: str) -> AtDevice | Stale:
        """The phone of 1001 is that of 1003, too."""
        logged_in = frozenset({"1003"} if device == "PJSIP/1001" and self.shared else ())
        return AtDevice(frozenset(), logged_in)


def test_a_phone_that_is_somebody_elses_too_is_not_heard(desk: Desk) -> None:
    """The right for the agent who was asked for is not enough; the record says whose phone it is as well."""
    desk.live = SharedHouse(desk.pbx)
    desk.run()
    assert desk.pbx.executed == []
    assert refusals(desk)[0] == "mode_denied"
    (detail,) = desk.recorded("detail")[0]
    assert str(detail).startswith("PJSIP/1001 is also the phone of 1003: ")


def test_a_login_while_somebody_is_heard_holds_at_the_next_key(desk: Desk) -> None:
    """Neither the new mode nor the old one goes on."""
    live = desk.live = SharedHouse(desk.pbx)
    live.shared = False

    def log_in(key: str) -> None:
        live.shared = True

    desk.at_key = log_in
    desk.run(f"{PIN}#5")
    assert len(desk.spies) == 1
    assert refusals(desk) == ["mode_denied", "mode_denied"]


# ---- the proof ----------------------------------------------------------------------------------------------


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


# ---- follow -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options"), [(Mode.LISTEN, "uqESX"), (Mode.WHISPER, "uqESXw"), (Mode.BARGE, "uqESX")]
)
def test_stays_with_the_agent(tmp_path: Path, mode: Mode, options: str) -> None:
    """The agent's next call is heard by itself, by a new decision; who barged listens first."""
    desk = connected(tmp_path, f"{CODES[mode]}1001")
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, lambda: None, lambda: call_of_1001(desk))
    desk.run()
    assert desk.spies[1] == f"{NEXT_UNIQUEID},{options}"
    assert started(desk, "grant", "spyee") == [(1, SPYEE), (2, NEXT)]
    assert ends(desk) == ["call_over", "supervisor_hung_up"]
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.CALL_OVER), *spoken(Cue.WAITING)]


def test_the_star_key_ends_the_waiting(desk: Desk) -> None:
    """The next extension is asked for, and the agent's next call is not heard."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, star(desk), lambda: call_of_1001(desk))
    desk.run()
    assert len(desk.spies) == 1
    assert desk.pbx.played[-2:] == ["vm-enter-num-to-call", "vm-goodbye"]


def test_any_other_key_goes_on_waiting(desk: Desk) -> None:
    """A key that means nothing here ends nothing."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: desk.pbx.keys("4567890#"), lambda: call_of_1001(desk))
    desk.run()
    assert started(desk, "spyee") == [(SPYEE,), (NEXT,)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"rules": ()}, "mode_denied"), ({"agents": {}}, "agent_unknown"), ({"supervisors": {}}, "mode_denied")],
)
def test_a_right_that_was_taken_away_is_not_followed(desk: Desk, changes: dict[str, object], reason: str) -> None:
    """Waiting is no grant: the next call is decided anew, refused and not heard."""
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: desk.change(**changes), lambda: call_of_1001(desk))
    desk.run()
    assert len(desk.spies) == 1
    assert refusals(desk) == [reason]


def test_a_call_that_nobody_may_hear_is_refused_when_it_comes(desk: Desk) -> None:
    """The agent's next call is a protected one."""
    desk.change(protected=Protected(frozenset({"PJSIP/9000"})))

    def call_of_the_board() -> None:
        call_of_1001(desk)
        desk.pbx.channels[-1].bridge_peer = "PJSIP/9000-00000040"
        desk.pbx.add_channel("PJSIP/9000-00000040", bridge_peer=NEXT)

    desk.when_quiet = desk.agent_hangs_up
    desk.then(call_of_the_board)
    desk.run()
    assert len(desk.spies) == 1
    assert refusals(desk) == ["protected"]


def test_nobody_is_followed_where_the_site_does_not_want_it(desk: Desk) -> None:
    """The extension is asked for at once."""
    desk.change(follow=Follow.NONE)
    desk.when_quiet = desk.agent_hangs_up
    desk.run()
    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]


def transferred(desk: Desk, name: str, uniqueid: str) -> int:
    """The agent gives the customer to somebody else, and is out of the call."""
    desk.channel_of(SPYEE_UNIQUEID).alive = False
    desk.pbx.add_channel(name, uniqueid, bridge_peer=CUSTOMER)
    desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = name
    desk.when_quiet = desk.supervisor_hangs_up
    return 0


def test_stays_with_the_customer(desk: Desk) -> None:
    """After a transfer the new agent's call with the same customer is heard, on a grant that names the new agent."""
    desk.change(follow=Follow.CUSTOMER)
    desk.when_quiet = lambda: transferred(desk, OTHER, OTHER_UNIQUEID)
    desk.run()
    assert started(desk, "extension", "spyee", "grant") == [("1001", SPYEE, 1), ("1005", OTHER, 2)]


def test_an_agent_who_may_not_be_heard_ends_it(desk: Desk) -> None:
    """The customer comes to somebody whom no rule lets be heard: a refusal, and no sound."""
    desk.change(follow=Follow.CUSTOMER)
    desk.when_quiet = lambda: transferred(desk, "PJSIP/1003-00000022", OTHER_UNIQUEID)
    desk.run()
    assert len(desk.spies) == 1
    assert [(record["reason"], record["extension"]) for record in desk.records if record["fact"] == "refused"] == [
        ("mode_denied", "1003")
    ]


def test_waits_while_the_customer_is_with_nobody(desk: Desk) -> None:
    """In a queue or parked: the supervisor waits, and hears again when an agent takes the customer."""
    desk.change(follow=Follow.CUSTOMER)

    def parked() -> int:
        desk.channel_of(SPYEE_UNIQUEID).alive = False
        desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = ""
        return 0

    desk.when_quiet = parked
    desk.then(lambda: None, lambda: None, lambda: transferred(desk, OTHER, OTHER_UNIQUEID))
    desk.run()
    assert started(desk, "extension") == [("1001",), ("1005",)]
    assert desk.pbx.played.count("one-moment-please") == 1


def test_the_customer_who_hangs_up_is_followed_no_further(desk: Desk) -> None:
    """At once, or while the supervisor waits for them: the next extension is asked for."""
    desk.change(follow=Follow.CUSTOMER)

    def over() -> int:
        desk.channel_of(SPYEE_UNIQUEID).alive = desk.channel_of(CUSTOMER_UNIQUEID).alive = False
        return 0

    desk.when_quiet = over
    desk.run()
    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]


def test_the_customer_hangs_up_while_waited_for(desk: Desk) -> None:
    """Nobody waits for a customer who is gone."""
    desk.change(follow=Follow.CUSTOMER)

    def gone() -> None:
        desk.channel_of(CUSTOMER_UNIQUEID).alive = False

    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: None, gone)
    desk.run()
    assert len(desk.spies) == 1
    assert desk.pbx.played[-2:] == ["vm-enter-num-to-call", "vm-goodbye"]


# ---- scan ---------------------------------------------------------------------------------------------------


def scanning(folder: Path, keys: str, **changes: object) -> Desk:
    """Three agents are on calls, 1006 for the longest time; the supervisor goes through them."""
    desk = connected(folder, "*222*")
    desk.change(**changes)
    for extension, uniqueid in (("1005", "1700000200.50"), ("1006", "1600000000.60"), ("1003", "1500000000.70")):
        name = f"PJSIP/{extension}-000000{extension[-1]}0"
        desk.pbx.add_channel(f"PJSIP/trunk-000000{extension[-1]}1", bridge_peer=name)
        desk.pbx.add_channel(name, uniqueid, bridge_peer=f"PJSIP/trunk-000000{extension[-1]}1")
    return desk.run(keys)


def test_goes_from_call_to_call(tmp_path: Path) -> None:
    """The longest first, each said before it is heard, nobody twice in a round, and then from the beginning."""
    desk = scanning(tmp_path, f"{PIN}#***")
    assert started(desk, "extension", "mode") == [
        ("1006", "listen"),
        ("1001", "listen"),
        ("1005", "listen"),
        ("1006", "listen"),
    ]
    words = [word for extension in ("1006", "1001", "1005", "1006") for word in spoken(Cue.SCANNED, extension)]
    assert desk.pbx.played == ["agent-pass", *words]


def test_goes_from_call_to_call_in_any_order(tmp_path: Path) -> None:
    """As the choice falls, of those that were not heard in this round."""
    desk = scanning(tmp_path, f"{PIN}#***", scan_order=ScanOrder.RANDOM)
    assert [extension for (extension,) in started(desk, "extension")] == ["1006", "1005", "1001", "1006"]


def test_the_mode_of_the_code_holds_for_all(tmp_path: Path) -> None:
    """Keys change it for the call that is heard only."""
    desk = connected(tmp_path, "*223*").run(f"{PIN}#6*")
    assert [mode for (mode,) in started(desk, "mode")] == ["whisper", "barge", "whisper"]


def test_leaves_out_what_cannot_be_heard(tmp_path: Path) -> None:
    """Protected calls and calls on hold are passed over without a word: nobody scans in vain."""
    desk = connected(tmp_path, "*222*")
    desk.change(protected=Protected(frozenset({"PJSIP/1005"})))
    desk.pbx.add_call(OTHER, SECOND_CUSTOMER)
    desk.pbx.add_call("PJSIP/1006-00000060", "PJSIP/trunk-00000061").on_hold = True
    desk.run(f"{PIN}#*")
    assert [extension for (extension,) in started(desk, "extension")] == ["1001", "1001"]
    assert refusals(desk) == []


def test_waits_for_the_first_call(tmp_path: Path) -> None:
    """Nobody is on a call: the supervisor waits, and the first call that begins is heard."""
    desk = Desk(tmp_path, "*222*", talking=False)
    desk.connect()
    desk.then(lambda: None, lambda: call_of_1001(desk))
    desk.run()
    assert started(desk, "spyee") == [(NEXT,)]
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.WAITING), *spoken(Cue.SCANNED)]


def test_the_star_key_ends_a_scan_that_waits(tmp_path: Path) -> None:
    """There is nothing to go on to: the call is over."""
    desk = Desk(tmp_path, "*222*", talking=False)
    desk.connect()
    desk.then(star(desk))
    desk.run()
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.WAITING), *spoken(Cue.GOODBYE)]
    assert desk.records == []


def test_a_call_that_ends_leads_to_the_next(tmp_path: Path) -> None:
    """Without a key."""
    desk = connected(tmp_path, "*222*")
    desk.pbx.add_channel(SECOND_CUSTOMER, bridge_peer=OTHER)
    desk.pbx.add_channel(OTHER, OTHER_UNIQUEID, bridge_peer=SECOND_CUSTOMER)
    desk.when_quiet = desk.agent_hangs_up
    desk.run()
    assert started(desk, "extension") == [("1001",), ("1005",)]
    assert ends(desk) == ["call_over", "supervisor_hung_up"]


def test_a_scan_without_any_right_is_refused(tmp_path: Path) -> None:
    """Who may hear nobody does not wait for ever."""
    desk = connected(tmp_path, "*222*")
    desk.change(rules=())
    desk.run()
    assert refusals(desk) == ["mode_denied"]
    assert desk.spies == []


@pytest.mark.parametrize("lost", [False, True], ids=["no-manager-interface", "lost"])
def test_a_scan_needs_the_live_picture(tmp_path: Path, lost: bool) -> None:
    """Without it nobody knows who is on a call: a refusal, and not a guess."""
    desk = Desk(tmp_path, "*222*")
    if lost:
        desk.connect()
        assert desk.live is not None
        desk.live.lost = True
    desk.run()
    assert refusals(desk) == ["stale"]
    assert desk.spies == []


class CountingHouse(LiveHouse):
    """Notes whose devices are looked at."""

    def __init__(self, pbx: FakeAsterisk) -> None:
        super().__init__(pbx)
        self.looked_at: list[str] = []

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """What the index says."""
        self.looked_at.append(agent.extension)
        return super().devices_of(agent)


def test_a_scan_looks_at_those_alone_who_have_a_channel(tmp_path: Path) -> None:
    """It looks twice a second while it waits, and a site may have thousands of agents."""
    desk = connected(tmp_path, "*222*")
    idle = {str(one): Agent(str(one), frozenset({"sales"}), (f"PJSIP/{one}",)) for one in range(5_000, 5_050)}
    desk.change(agents={**idle, **desk.policy.agents})
    live = desk.live = CountingHouse(desk.pbx)
    desk.run()
    assert started(desk, "extension")[0] == ("1001",)
    assert live.looked_at
    assert idle.keys().isdisjoint(live.looked_at)


MANY_COMMANDS = 400
"""No story here needs so many: one that tries for ever is hung up."""


def refused_by_the_dialplan(desk: Desk) -> None:
    """Nobody knows before the supervisor asks."""
    desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "1"


def ended_by_the_pbx(desk: Desk) -> None:
    """Somebody stops ChanSpy, and the agent's call goes on."""
    desk.when_quiet = desk.stopped_on_the_pbx


@pytest.mark.parametrize(
    ("happens", "refused", "ended"),
    [(refused_by_the_dialplan, ["protected"], []), (ended_by_the_pbx, [], ["pbx_ended"])],
)
def test_a_scan_does_not_try_the_same_call_again_and_again(
    tmp_path: Path, happens: Callable[[Desk], None], refused: list[str], ended: list[str]
) -> None:
    """Once is enough: the supervisor waits, and the agent's next call is heard."""
    desk = connected(tmp_path, "*222*")
    happens(desk)

    def next_call() -> None:
        desk.channel_of(SPYEE_UNIQUEID).alive = False
        call_of_1001(desk)

    desk.then(lambda: None, lambda: None, next_call)
    desk.pbx.hang_up_at_command(MANY_COMMANDS)
    desk.run()
    assert refusals(desk) == refused
    assert ends(desk) == [*ended, "supervisor_hung_up"]
    assert started(desk, "spyee")[-1] == (NEXT,)
    assert desk.pbx.played.count("one-moment-please") == 1


def test_a_scan_that_is_refused_everywhere_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody tries out by ear, call after call, what is protected."""
    monkeypatch.setattr(spy_call, "MAX_REFUSED", 3)
    desk = connected(tmp_path, "*222*")
    agents = {}
    for number in range(3_000, 3_005):
        agents[str(number)] = Agent(str(number), frozenset({"sales"}), (f"PJSIP/{number}",))
        agent, customer = f"PJSIP/{number}-00000001", f"PJSIP/trunk-{number:08x}"
        desk.pbx.add_channel(customer, f"1800000000.{number}", bridge_peer=agent)
        channel = desk.pbx.add_channel(agent, f"1800000100.{number}", bridge_peer=customer)
        channel.variables["AGI_MONITOR_PROTECTED"] = "1"
    desk.change(agents=agents)
    desk.pbx.hang_up_at_command(MANY_COMMANDS)
    desk.run()
    assert refusals(desk) == ["protected"] * 3
    assert desk.pbx.played[-1] == "vm-goodbye"


# ---- join and take over -------------------------------------------------------------------------------------


def test_a_barge_can_join_the_call(tmp_path: Path) -> None:
    """By the agent's channel; the record comes first, as with ChanSpy, and listening stays ChanSpy."""
    desk = connected(tmp_path)
    desk.change(barge=Barge.CONFERENCE)
    desk.run(f"{PIN}#6")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX"), ("BridgeAdd", SPYEE)]
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "barge"]
    joined = desk.pbx.happened.index(f'> EXEC "BridgeAdd" "{SPYEE}"')
    records = [at for at, event in enumerate(desk.pbx.happened) if event == "record spy_started"]
    assert records[-1] < joined


def test_a_barge_can_join_a_conference(tmp_path: Path) -> None:
    """ChanSpy could not; how the call is made up does not matter here."""
    desk = connected(tmp_path, "*2241001")
    desk.change(barge=Barge.CONFERENCE)
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = f"{CUSTOMER},PJSIP/1002-00000033"
    desk.run()
    assert desk.pbx.executed == [("BridgeAdd", SPYEE)]
    assert refusals(desk) == []


def test_a_conference_that_ends_leads_on(tmp_path: Path) -> None:
    """The agent's next call is waited for, as after any other."""
    desk = connected(tmp_path, "*2241001")
    desk.change(barge=Barge.CONFERENCE)
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: call_of_1001(desk))
    desk.run()
    assert desk.pbx.executed == [("BridgeAdd", SPYEE), ("ChanSpy", f"{NEXT_UNIQUEID},uqESX")]
    assert ends(desk) == ["call_over", "supervisor_hung_up"]


def test_a_key_takes_over(desk: Desk) -> None:
    """The customer's channel is taken out of its bridge, on a grant of its own."""
    desk.run(f"{PIN}#7")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX"), ("Bridge", f"{CUSTOMER},x")]
    assert started(desk, "mode", "rule") == [("listen", "leads-supervise"), ("take_over", "leads-supervise")]
    assert ends(desk) == ["mode_key", "supervisor_hung_up"]


def test_a_customer_who_was_taken_over_hangs_up(desk: Desk) -> None:
    """The next extension is asked for; nobody waits for the agent whose call it was."""
    desk.when_quiet = desk.stopped_on_the_pbx
    desk.run(f"{PIN}#7")
    assert ends(desk) == ["mode_key", "call_over"]
    assert desk.pbx.played == ["agent-pass", "beep", "vm-enter-num-to-call", "vm-goodbye"]


def test_taking_over_is_a_right_of_its_own(tmp_path: Path) -> None:
    """Who may only listen hears a refusal and goes on listening."""
    desk = connected(tmp_path, channel="PJSIP/2002-00000001").run(f"{PIN}#7")
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy", "ChanSpy"]
    assert refusals(desk) == ["mode_denied"]


@pytest.mark.parametrize(
    "peers",
    [f"{CUSTOMER},PJSIP/1002-00000033", "Local/1002@agents-00000033;1"],
    ids=["three-parties", "no-device"],
)
def test_nobody_is_taken_over_but_one_device(desk: Desk, peers: str) -> None:
    """Of several parties nobody could say which; a helper of Asterisk's is no customer."""

    def change(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).bridge_peer = peers
        for name in peers.split(","):
            if name != CUSTOMER:
                desk.pbx.add_channel(name, bridge_peer=SPYEE)

    desk.at_key = change
    desk.run(f"{PIN}#7")
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy", "ChanSpy"]
    assert refusals(desk) == ["conference"]


@pytest.mark.parametrize("result", ["FAILURE", "NONEXISTENT", "INCOMPATIBLE", ""])
def test_a_customer_who_could_not_be_taken_over_is_gone(desk: Desk, result: str) -> None:
    """Bridge ends with 0 as well when it has made no bridge; only its variable tells."""

    def not_made(pbx: FakeAsterisk, channel: FakeChannel, arguments: str) -> int:
        channel.variables["BRIDGERESULT"] = result
        return 0

    desk.pbx.application("Bridge", not_made)
    desk.run(f"{PIN}#7")
    assert ends(desk) == ["mode_key", "target_gone"]
    assert refusals(desk) == ["target_gone"]
    assert spoken(Cue.CALL_OVER)[0] not in desk.pbx.played


@pytest.mark.parametrize("key", "4567")
def test_a_call_that_ends_with_a_key_is_refused_once(desk: Desk, key: str) -> None:
    """Nothing more is executed, above all no Bridge on a customer who may be on another call by now."""

    def hang_up(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).alive = False

    desk.at_key = hang_up
    desk.run(f"{PIN}#{key}")
    assert desk.pbx.executed == [("ChanSpy", f"{SPYEE_UNIQUEID},uqESX")]
    assert ends(desk) == ["mode_key"]
    assert refusals(desk) == ["target_gone"]


def test_a_conference_is_not_joined_by_a_part_of_a_name(tmp_path: Path) -> None:
    """A channel without its eight digits is refused, and nothing breaks."""
    desk = connected(tmp_path, "*2241001")
    desk.change(barge=Barge.CONFERENCE)
    desk.channel_of(SPYEE_UNIQUEID).name = "PJSIP/1001-a"
    desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = "PJSIP/1001-a"
    desk.run()
    assert desk.pbx.executed == []
    assert refusals(desk)[0] == "conference"


# ---- protected calls ----------------------------------------------------------------------------------------


def test_the_dialplan_protects_a_call(desk: Desk) -> None:
    """A variable on the agent's channel, whatever the rules say; and the next call is another one."""
    desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "1"
    desk.run()
    assert desk.recorded("reason", "detail")[0] == ("protected", "the dialplan says so")
    assert desk.spies == []


def test_a_call_becomes_protected_while_it_is_heard(desk: Desk) -> None:
    """The next mode is decided on the call as it is then: neither it nor the old one goes on."""

    def protect(key: str) -> None:
        desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "yes"

    desk.at_key = protect
    desk.run(f"{PIN}#5")
    assert len(desk.spies) == 1
    assert refusals(desk) == ["protected", "protected"]


# ---- the agent is told --------------------------------------------------------------------------------------

ALL_MODES = Notice(frozenset(Mode), frozenset({"all"}))
HELPER = f"Local/notice@agi-monitor-notice/n,app,ChanSpy,{SPYEE_UNIQUEID}\\,uqESw"


def test_the_agent_is_told_before_anything_is_heard(desk: Desk) -> None:
    """The helper first, then the record that says so, then the sound."""
    desk.change(notice=ALL_MODES)
    desk.run()
    assert desk.pbx.executed == [("Originate", HELPER), ("ChanSpy", f"{SPYEE_UNIQUEID},uqESX")]
    steps = [f"notice to {SPYEE_UNIQUEID}", "record spy_started", "opened fake-1.1"]
    assert [event for event in desk.pbx.happened if event in steps] == steps
    assert started(desk, "told", "grant") == [(True, 1)]
    assert desk.watch is not None
    assert desk.watch.notices == []


def test_the_agent_is_told_once(desk: Desk) -> None:
    """Every mode of this call after that is on the same notice; the next call is told again."""
    desk.change(notice=ALL_MODES)
    desk.run(f"{PIN}#56*1001")
    told, heard = "Originate", "ChanSpy"
    assert [name for name, _ in desk.pbx.executed] == [told, heard, heard, heard, told, heard]
    assert [told for (told,) in started(desk, "told")] == [True] * 4


def test_the_agent_is_told_when_the_mode_concerns_them(desk: Desk) -> None:
    """Listening needs no notice here, whispering does."""
    desk.change(notice=Notice(frozenset({Mode.WHISPER}), frozenset({"all"})))
    desk.run(f"{PIN}#54")
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy", "Originate", "ChanSpy", "ChanSpy"]
    assert [told for (told,) in started(desk, "told")] == [False, True, True]


def test_other_agents_are_not_told(desk: Desk) -> None:
    """The notice is for the agents that it names."""
    desk.change(notice=Notice(frozenset(Mode), frozenset({"protected"})))
    desk.run()
    assert [name for name, _ in desk.pbx.executed] == ["ChanSpy"]
    assert started(desk, "told") == [(False,)]


def test_without_the_notice_nobody_is_heard(desk: Desk) -> None:
    """It could not be given: a refusal, no grant and no sound."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None
    desk.watch.gives = False
    with capture_logs() as logs:
        desk.run()
    assert refusals(desk)[0] == "notice_failed"
    assert desk.spies == []
    assert desk.watch.grants == []
    assert "notice_failed" in [line["event"] for line in logs]
    assert desk.pbx.played[1:3] == spoken(Reason.NOTICE_FAILED)


def test_a_key_whose_notice_fails_goes_on_as_before(desk: Desk) -> None:
    """Whispering is refused, listening goes on: it needs no notice."""
    desk.change(notice=Notice(frozenset({Mode.WHISPER}), frozenset({"all"})))
    assert desk.watch is not None
    desk.watch.gives = False
    desk.run(f"{PIN}#5")
    assert refusals(desk) == ["notice_failed"]
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "listen"]


def test_a_right_that_is_taken_away_during_the_notice_is_none(desk: Desk) -> None:
    """The notice takes its time: what the configuration says after it decides."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None
    desk.watch.meanwhile = lambda: desk.change(rules=())
    desk.run()
    assert refusals(desk)[0] == "mode_denied"
    assert desk.spies == []
    assert desk.watch.grants == []


def test_a_call_that_ends_during_the_notice_is_gone(desk: Desk) -> None:
    """The supervisor is told so; nobody else is heard in the place of the agent."""
    desk.change(notice=ALL_MODES)
    assert desk.watch is not None

    def hang_up() -> None:
        desk.channel_of(SPYEE_UNIQUEID).alive = False

    desk.watch.meanwhile = hang_up
    desk.run()
    assert refusals(desk)[0] == "target_gone"
    assert desk.watch.open == []


# ---- revoked ------------------------------------------------------------------------------------------------


def test_a_revoked_spy_is_told_why_and_goes_on_as_a_call(desk: Desk) -> None:
    """The record says who ended it; the supervisor hears a sentence, is heard again, and may ask for the next."""
    desk.when_quiet = desk.revoked_while_heard
    desk.run()
    assert ends(desk) == ["revoked"]
    assert desk.recorded("fact", "reason", "detail")[-1] == ("refused", "revoked", "killed")
    assert desk.pbx.played == ["agent-pass", *spoken(Reason.REVOKED), "vm-enter-num-to-call", "vm-goodbye"]
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "off"
    assert desk.pbx.channel.variables["MUTEAUDIO(in)"] == "off"
    assert desk.pbx.channel.variables[VARIABLE] == ""


def test_the_channel_speaks_again_before_anything_is_said(desk: Desk) -> None:
    """Otherwise the supervisor would not hear why."""
    desk.when_quiet = desk.revoked_while_heard
    desk.run()
    happened = desk.pbx.happened
    said = happened.index(f"plays {spoken(Reason.REVOKED)[0]}")
    speaks = happened.index('> SET VARIABLE "MUTEAUDIO(out)" "off"')
    assert happened.index("silenced fake-1.1") < speaks < said
    assert happened.index("closed fake-1.1") < said


@pytest.mark.parametrize("key", "456*")
def test_a_key_in_the_moment_of_a_revocation_changes_nothing(desk: Desk, key: str) -> None:
    """The spy is over, whatever was pressed, and the channel is not left silent."""

    def revoke(key: str) -> None:
        assert desk.watch is not None
        desk.watch.reasons["fake-1.1"] = "mode_denied"
        desk.pbx.channel.variables.update({"MUTEAUDIO(out)": "on", "MUTEAUDIO(in)": "on"})

    desk.at_key = revoke
    desk.run(f"{PIN}#{key}")
    assert len(desk.spies) == 1
    assert ends(desk) == ["revoked"]
    assert refusals(desk) == ["revoked"]
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "off"


def test_a_revoked_call_that_hangs_up_was_revoked(desk: Desk) -> None:
    """The server hung it up because the key did nothing: the record does not blame the supervisor."""

    def hung_up() -> int | None:
        assert desk.watch is not None
        desk.watch.reasons["fake-1.1"] = "killed"
        return desk.supervisor_hangs_up()

    desk.when_quiet = hung_up
    desk.run()
    assert ends(desk) == ["revoked"]


def test_the_servers_key_on_a_phone_changes_nothing(desk: Desk) -> None:
    """Who has it and presses it goes on in the same mode, on a grant of its own: nobody revoked anything."""
    desk.run(f"{PIN}#D")
    assert ends(desk) == ["mode_key", "supervisor_hung_up"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"] * 2
    assert refusals(desk) == []


def test_a_spy_that_is_told_to_begin_anew_goes_on_with_the_new_party(desk: Desk) -> None:
    """The server pressed the key: it is on record as what it is, and the same mode is decided again."""
    assert desk.watch is not None
    desk.watch.anew.add("fake-1.1")
    desk.run(f"{PIN}#D")
    assert ends(desk) == ["party_changed", "supervisor_hung_up"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"] * 2
    assert refusals(desk) == []


def test_a_right_that_is_gone_when_a_spy_begins_anew_is_refused_once(desk: Desk) -> None:
    """There is no other mode to go back to."""
    assert desk.watch is not None

    def begins_anew(grant: Grant) -> bool:
        desk.change(rules=())
        return True

    desk.watch.begins_anew = begins_anew  # type: ignore[method-assign]
    desk.run(f"{PIN}#D")
    assert refusals(desk) == ["mode_denied"]
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]


def test_a_right_that_is_taken_away_while_the_record_is_written_gives_no_sound(desk: Desk) -> None:
    """The last look is the one before the application: the grant is closed, and on record as revoked."""
    assert desk.watch is not None
    opened = desk.watch.opened

    def meanwhile(grant: Grant) -> str:
        desk.change(rules=())
        return opened(grant)

    desk.watch.opened = meanwhile  # type: ignore[method-assign]
    desk.run()
    assert desk.spies == []
    assert ends(desk) == ["revoked"]
    assert refusals(desk)[0] == "revoked"
    assert desk.watch.open == []
    assert desk.pbx.channel.variables[VARIABLE] == ""


@pytest.mark.parametrize(
    ("key", "modes"), [("5", ["listen", "whisper"]), ("1", ["listen", "listen"]), ("*", ["listen"])]
)
def test_a_key_before_chanspy_could_look_counts_all_the_same(desk: Desk, key: str, modes: list[str]) -> None:
    """In its first moments ChanSpy ends with the key as its result, wherever that key leads."""
    chanspy = desk.pbx.applications["chanspy"]

    def early(*arguments: Any) -> Any:
        desk.pbx.application("ChanSpy", chanspy)
        return ord(key)

    desk.pbx.application("ChanSpy", early)
    desk.run()
    assert [mode for (mode,) in started(desk, "mode")] == modes


def test_a_spy_that_lost_its_story_is_left_to_the_watch(desk: Desk) -> None:
    """The connection of the call breaks while it is heard: whoever watches the PBX records its end, not the story."""

    def cut() -> int | None:
        desk.pbx.lose_connection()
        return None

    desk.when_quiet = cut
    desk.run()
    assert [event for event in desk.pbx.happened if event.startswith(("left alone", "closed "))] == [
        "left alone fake-1.1",
        "closed fake-1.1",
    ]
    assert ends(desk) == []


@pytest.mark.parametrize("end", ["supervisor", "server"])
def test_a_spy_that_is_over_is_left_to_nobody(desk: Desk, end: str) -> None:
    """The supervisor has hung up, or the server says that it leaves the spy running: the story records that end."""

    def over() -> int | None:
        if end == "supervisor":
            return desk.supervisor_hangs_up()
        assert desk.call is not None
        desk.call.ends_by_server(End.LEFT_RUNNING)
        desk.pbx.lose_connection()
        return None

    desk.when_quiet = over
    desk.run()
    assert not any(event.startswith("left alone") for event in desk.pbx.happened)
    assert ends(desk) == ["supervisor_hung_up" if end == "supervisor" else "left_running"]


def test_the_channel_speaks_again_only_when_nothing_silences_it_any_more(desk: Desk) -> None:
    """An action that is still on its way would silence it for the rest of the call."""
    assert desk.watch is not None
    on_their_way: Deferred[None] = Deferred()

    async def silenced(grant: Grant) -> None:
        await on_their_way

    desk.watch.silenced = silenced  # type: ignore[method-assign]
    desk.when_quiet = desk.revoked_while_heard
    desk.pbx.keys(f"{PIN}#")
    desk.pbx.start(desk.serve)
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "on"
    on_their_way.callback(None)
    desk.pbx.advance(1.0)
    assert desk.pbx.channel.variables["MUTEAUDIO(out)"] == "off"
    assert ends(desk) == ["revoked"]


# ---- hang-ups at any moment ---------------------------------------------------------------------------------

COMMANDS_OF_LIVE_STORY = 33


def live_story(desk: Desk) -> None:
    """A notice, a mode key, the star key, the next extension, a revocation."""
    desk.change(notice=replace(ALL_MODES))
    desk.when_quiet = desk.revoked_while_heard
    desk.run(f"{PIN}#5*1001")


def test_the_live_story_has_so_many_commands(desk: Desk) -> None:
    """The test below goes through every command of a story with a notice and a revocation."""
    live_story(desk)
    assert len(desk.pbx.commands) == COMMANDS_OF_LIVE_STORY
    assert ends(desk) == ["mode_key", "supervisor_left", "revoked"]


@pytest.mark.parametrize("number", range(1, COMMANDS_OF_LIVE_STORY + 1))
def test_a_hang_up_at_any_command_leaves_nothing_open(desk: Desk, number: int) -> None:
    """Wherever the supervisor hangs up, no grant, no notice and no record is left open."""
    desk.pbx.hang_up_at_command(number)
    with capture_logs() as logs:
        live_story(desk)
    assert desk.watch is not None
    assert desk.pbx.closed
    assert (desk.watch.open, desk.watch.notices) == ([], [])
    assert [grant for (grant,) in started(desk, "grant")] == [
        record["grant"] for record in desk.records if record["fact"] == "spy_ended"
    ]
    assert [line for line in logs if line["log_level"] == "error"] == []
