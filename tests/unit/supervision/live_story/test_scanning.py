"""The supervisor goes from one call to the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agi_monitor.live.index import Stale
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent, Cue, ScanOrder
from agi_monitor.supervision.protected import Protected
from agi_monitor.testing import FakeAsterisk
from tests.doubles.desk import PIN, SPYEE_UNIQUEID, Desk, LiveHouse, refusals, spoken, started
from tests.unit.supervision.live_story.calls import (
    NEXT,
    OTHER,
    OTHER_UNIQUEID,
    SECOND_CUSTOMER,
    call_of_1001,
    connected,
    ends,
    star,
)


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
    """The longest first, each said before it is heard, none twice in a round, and then from the beginning."""
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
    """There is nothing to continue with: the call is over."""
    desk = Desk(tmp_path, "*222*", talking=False)
    desk.connect()
    desk.then(star(desk))
    desk.run()
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.WAITING), *spoken(Cue.GOODBYE)]
    assert desk.recorded("fact", "mode", "why") == [("request_abandoned", "listen", "supervisor_left")]


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
    """A supervisor who may hear no agent does not wait for ever."""
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
"""No story here needs that many: one that tries for ever is hung up."""


def refused_by_the_dialplan(desk: Desk) -> None:
    """Nobody knows before the supervisor asks."""
    desk.channel_of(SPYEE_UNIQUEID).variables["AGI_MONITOR_PROTECTED"] = "1"


def ended_by_the_pbx(desk: Desk) -> None:
    """ChanSpy is stopped, and the agent's call continues."""
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
    """What is protected cannot be tried out by ear, call after call."""
    monkeypatch.setattr("agi_monitor.supervision.scanning.MAX_REFUSED", 3)
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
