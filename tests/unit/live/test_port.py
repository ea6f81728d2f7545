"""Where an agent's devices are looked up: in the live picture, or over AGI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.errors import NoAnswer
from agi_monitor.live.calls import Channel, Origin
from agi_monitor.live.devices import AtDevice
from agi_monitor.live.index import Stale
from agi_monitor.live.port import Devices, LivePbx, NoLivePbx
from agi_monitor.live.targets import AgentDevices, ChannelState, DeviceChannel, KnownBy, Source
from agi_monitor.model import Agent
from tests.doubles.coroutines import finish

AGENT = Agent("1001", frozenset())
LIVE = AgentDevices(("PJSIP/1001",), (), reachable=True, source=Source.INDEX)
NO_HINT = AgentDevices((), (), reachable=False, source=Source.INDEX)
OVER_AGI = AgentDevices(("PJSIP/1001",), (), reachable=True, source=Source.AGI)


class Live:
    """A live picture that says what it is told to."""

    def __init__(self, answer: AgentDevices | Stale) -> None:
        self.answer = answer
        self.known: dict[str, Channel] = {}
        self.fresh = True
        self.members: set[str] = set()
        """Devices that a queue watches for the agent."""

    async def is_fresh(self) -> bool:
        return self.fresh

    async def hides_owner(self, device: str) -> bool:
        """No event has taken anybody away."""
        return False

    async def is_member(self, agent: Agent, device: str) -> bool:
        if device == "PJSIP/lost":
            raise NoAnswer("QueueStatus", 1.0)
        return device in self.members

    def stale(self) -> Stale | None:
        return self.answer if isinstance(self.answer, Stale) else None

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        return self.answer

    def channel(self, uniqueid: str) -> Channel | Stale | None:
        return self.known.get(uniqueid)

    def partners_of(self, uniqueid: str) -> tuple[Channel, ...] | Stale:
        return ()

    def origin_of(self, uniqueid: str) -> Origin | Stale | None:
        return None

    def at_device(self, device: str) -> AtDevice | Stale:
        return AtDevice(frozenset(), frozenset())

    def endpoints(self) -> tuple[str, ...] | Stale:
        return ()


class OverAGI:
    """The PBX itself, asked on the supervisor's call."""

    def __init__(self) -> None:
        self.asked: list[Agent] = []

    async def devices_of(self, agent: Agent) -> AgentDevices:
        self.asked.append(agent)
        return OVER_AGI

    async def confirmed(self, agent: Agent, channel: DeviceChannel) -> DeviceChannel | None:
        return channel


@pytest.mark.parametrize(
    ("live", "stale"),
    [
        (Live(LIVE), None),
        (Live(NO_HINT), "no_hint"),
        *((Live(stale), stale.value) for stale in Stale),
        (NoLivePbx(), ""),
    ],
    ids=["known", "no-hint-there", *(stale.name for stale in Stale), "no-manager-interface"],
)
def test_asks_the_live_picture_first(live: LivePbx, stale: str | None) -> None:
    """AGI is asked exactly where the picture is not there, not to be trusted, or knows no device of the agent; and
    the answer says which of these it was."""
    answered: list[Source] = []
    over_agi = OverAGI()
    found = finish(Devices(live, over_agi, answered.append).devices_of(AGENT))
    assert found == (LIVE if stale is None else replace(OVER_AGI, stale=stale))
    assert over_agi.asked == ([] if stale is None else [AGENT])
    assert answered == [found.source] == [Source.INDEX if stale is None else Source.AGI]


def test_a_call_that_may_be_on_hold_is_asked_about() -> None:
    """One that was on before the picture was: only the PBX knows whether the other party hears music."""
    leg = DeviceChannel("PJSIP/1001-00000001", "1.1", ChannelState.UP, ("PJSIP/trunk-00000002",), hold_known=False)
    live = Live(replace(LIVE, channels=(leg,)))
    assert finish(Devices(live, OverAGI()).devices_of(AGENT)) == replace(OVER_AGI, stale=Stale.HOLD_UNKNOWN)


def test_a_picture_without_the_asker_is_not_true() -> None:
    """The supervisor's own call is on the PBX for certain: where the picture lacks it, AGI is asked."""
    live = Live(LIVE)
    devices = Devices(live, OverAGI(), asker="1.5")
    assert finish(devices.devices_of(AGENT)) == replace(OVER_AGI, stale=Stale.DEAF)
    live.known["1.5"] = Channel("1.5", "PJSIP/2001-00000001", "PJSIP/2001", ChannelState.UP)
    assert finish(devices.devices_of(AGENT)).source is Source.INDEX


def test_asks_anew_each_time() -> None:
    """The picture may be lost between two decisions, and be back for the third."""
    live = Live(LIVE)
    devices = Devices(live, OverAGI())
    sources = []
    for answer in (LIVE, Stale.LOST, LIVE):
        live.answer = answer
        sources.append(finish(devices.devices_of(AGENT)).source)
    assert sources == [Source.INDEX, Source.AGI, Source.INDEX]


def test_a_pbx_that_has_fallen_silent_is_asked_over_agi() -> None:
    """Its last picture is an old one."""
    live = Live(LIVE)
    live.fresh = False
    assert finish(Devices(live, OverAGI()).devices_of(AGENT)) == replace(OVER_AGI, stale=Stale.LOST)


@pytest.mark.parametrize(
    ("device", "known_by", "confirmed"),
    [
        ("PJSIP/1002", KnownBy.QUEUE, True),
        ("PJSIP/3002", KnownBy.QUEUE, False),
        ("PJSIP/lost", KnownBy.QUEUE, False),
        ("PJSIP/3002", KnownBy.HINT, True),
    ],
    ids=["logged-in", "told-by-an-event-alone", "no-answer", "AGI-asks-the-hint"],
)
def test_who_is_known_by_a_queue_is_asked_of_the_queue(device: str, known_by: KnownBy, confirmed: bool) -> None:
    """An event that told of the login does not justify a spy."""
    live = Live(LIVE)
    live.members = {"PJSIP/1002"}
    leg = DeviceChannel(f"{device}-00000001", "1.1", ChannelState.UP, ("PJSIP/trunk-00000002",), known_by=known_by)
    assert finish(Devices(live, OverAGI()).confirmed(AGENT, leg)) == (leg if confirmed else None)
    assert finish(Devices(NoLivePbx(), OverAGI()).confirmed(AGENT, leg)) == (
        None if known_by is KnownBy.QUEUE else leg
    )
