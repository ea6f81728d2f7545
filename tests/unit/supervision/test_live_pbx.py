"""Where an agent's devices are looked up: in the live picture, or over AGI."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from agi_monitor.model import Agent
from agi_monitor.supervision.calls import Channel, Origin
from agi_monitor.supervision.channels import Stale
from agi_monitor.supervision.devices import AtDevice
from agi_monitor.supervision.live_pbx import Devices
from agi_monitor.supervision.targets import AgentDevices, Source

AGENT = Agent("1001", frozenset())
LIVE = AgentDevices(("PJSIP/1001",), (), reachable=True, source=Source.INDEX)
NO_HINT = AgentDevices((), (), reachable=False, source=Source.INDEX)
OVER_AGI = AgentDevices(("PJSIP/1001",), (), reachable=True, source=Source.AGI)


class Live:
    """A live picture that says what it is told to."""

    def __init__(self, answer: AgentDevices | Stale) -> None:
        self.answer = answer

    def stale(self) -> Stale | None:
        return self.answer if isinstance(self.answer, Stale) else None

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        return self.answer

    def channel(self, uniqueid: str) -> Channel | Stale | None:
        return None

    def partners_of(self, uniqueid: str) -> tuple[Channel, ...] | Stale:
        return ()

    def origin_of(self, uniqueid: str) -> Origin | Stale | None:
        return None

    def at_device(self, device: str) -> AtDevice | Stale:
        return AtDevice(frozenset(), frozenset())


class OverAGI:
    """The PBX itself, asked on the supervisor's call."""

    def __init__(self) -> None:
        self.asked: list[Agent] = []

    async def devices_of(self, agent: Agent) -> AgentDevices:
        self.asked.append(agent)
        return OVER_AGI


def finish(story: Coroutine[Any, Any, AgentDevices]) -> AgentDevices:
    """Run a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as end:
        story.send(None)
    found: AgentDevices = end.value.value
    return found


@pytest.mark.parametrize(
    ("live", "source"),
    [
        (Live(LIVE), Source.INDEX),
        (Live(NO_HINT), Source.AGI),
        (Live(Stale.LOST), Source.AGI),
        (Live(Stale.NEVER_LISTED), Source.AGI),
        (Live(Stale.TOO_MANY), Source.AGI),
        (Live(Stale.RELOADED), Source.AGI),
        (None, Source.AGI),
    ],
    ids=["known", "no-hint", "lost", "never-listed", "too-many", "reloaded", "no-manager-interface"],
)
def test_asks_the_live_picture_first(live: Live | None, source: Source) -> None:
    """AGI is asked exactly where the picture is not there, not to be trusted, or knows no device of the agent."""
    answered: list[Source] = []
    over_agi = OverAGI()
    found = finish(Devices(live, over_agi, answered.append).devices_of(AGENT))
    assert found == (LIVE if source is Source.INDEX else OVER_AGI)
    assert over_agi.asked == ([] if source is Source.INDEX else [AGENT])
    assert answered == [source]


def test_asks_anew_each_time() -> None:
    """The picture may be lost between two decisions, and be back for the third."""
    live = Live(LIVE)
    devices = Devices(live, OverAGI())
    sources = []
    for answer in (LIVE, Stale.LOST, LIVE):
        live.answer = answer
        sources.append(finish(devices.devices_of(AGENT)).source)
    assert sources == [Source.INDEX, Source.AGI, Source.INDEX]
