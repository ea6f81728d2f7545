"""What an agent's devices are doing, asked over AGI on the supervisor's own call: no AMI needed.

Four facts decide, all from the PBX at this moment: the hint of the extension (which devices), ``CHANNELS()``
restricted to exactly one device, each channel's state, and its bridge peers.
"""

from __future__ import annotations

import re
from typing import Protocol

from agi_monitor.model import Agent, endpoint_of
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.targets import AgentDevices, ChannelState, DeviceChannel, KnownBy

ENDPOINT = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@\-]{1,80}")
"""A device whose name may be put into an expression: nothing that ``${}`` or a regular expression could read."""

MAX_DEVICES = 16
"""Devices of one agent; a hint with more is a group of phones, not a person."""

MAX_CHANNELS = 64
"""Channels of one agent; GET FULL VARIABLE cuts its answer at 4,096 bytes, about twice as many names."""

MAX_NUMBER_DIGITS = 20
"""Digits of the other party's number that are kept: it is spoken, and its owner chose it."""

INTERNAL = ("CBAnn/", "CBRec/", "Announcer/", "Recorder/", "Surrogate/")
"""How the names of channels begin that the PBX puts into bridges of its own accord, the first two into conferences
(conf_chan_announce.c, conf_chan_record.c, bridge.c). Nobody is behind them, and no event tells of them."""

_LOCAL_HALF = re.compile(r"(Local/.+);([12])")
"""Both halves of a Local channel have one name, up to the last digit (core_unreal.c)."""

UNREACHABLE = frozenset({"UNAVAILABLE", "INVALID", "UNKNOWN", ""})
"""Device states of a device that is not registered, or that the PBX does not know (devicestate.c)."""


def hinted(hint: str) -> tuple[str, ...]:
    """Return the devices that a hint names, in its order, as far as they are devices."""
    # Behind a comma stands a presence, such as CustomPresence:1001 (pbx.c, parse_hint_device).
    devices = dict.fromkeys(hint.partition(",")[0].split("&"))
    return tuple(device for device in devices if ENDPOINT.fullmatch(device))[:MAX_DEVICES]


class Variables(Protocol):
    """What is needed of an AGI session."""

    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None:
        """Evaluate an expression on the own or another channel; None when that channel is gone."""
        ...


class DeviceChannelsOverAgi:
    """``targets.DeviceLookup`` by GET FULL VARIABLE.

    Parameters:
        session: the supervisor's AGI session.
        hint_context: where the hints of the extensions are, for agents without configured endpoints.
    """

    def __init__(self, session: Variables, hint_context: str) -> None:
        self._session = session
        self._hint_context = hint_context

    async def devices_of(self, agent: Agent) -> AgentDevices:
        """Look the agent up; a device that cannot be found makes it unreachable, not an error."""
        known_by = KnownBy.CONFIGURED if agent.endpoints else KnownBy.HINT
        endpoints = agent.endpoints or await self._hinted(agent.extension)
        channels: list[DeviceChannel] = []
        reachable = False
        for endpoint in endpoints:
            state = await self._ask(f"${{DEVICE_STATE({endpoint})}}")
            reachable = reachable or state not in UNREACHABLE
            for name in await self._channel_names(endpoint):
                channel = await self._channel(name, known_by)
                if channel is not None:
                    channels.append(channel)
        return AgentDevices(endpoints, tuple(channels), reachable)

    async def _hinted(self, extension: str) -> tuple[str, ...]:
        return hinted(await self._ask(f"${{HINT({extension}@{self._hint_context})}}"))

    async def _channel_names(self, endpoint: str) -> list[str]:
        # The whole name is matched: PJSIP/100 must not find PJSIP/1001, nor PJSIP/1001 the device 1001-mobile.
        # A dot or plus stands in brackets, because braces and backslashes do not survive ${} and the quoting.
        pattern = re.sub(r"[.+]", r"[\g<0>]", endpoint)
        names = (await self._ask(f"${{CHANNELS(^{pattern}-[0-9a-f]+$)}}")).split()
        # CHANNELS() ignores case and cuts long lists; what is used is compared once more, exactly.
        return [name for name in names if endpoint_of(name) == endpoint][:MAX_CHANNELS]

    async def _channel(self, name: str, known_by: KnownBy) -> DeviceChannel | None:
        answer = await self._session.get_full_variable(
            "${UNIQUEID}|${CHANNEL(state)}|${CHANNEL(onhold)}|${FILTER(0-9,${CONNECTEDLINE(num)})}|${BRIDGEPEER}",
            name,
        )
        if answer is None:
            return None
        # The number and the peers are what somebody else chose to be called: they come last and cannot
        # shift the fields before them.
        fields = answer.split("|", 3)
        if len(fields) != 4 or not chanspy.is_uniqueid(fields[0]):
            # Cut off: ChanSpy could not be told exactly this one.
            return None
        uniqueid, state, on_hold, rest = fields
        number, _, peers_text = rest.rpartition("|")
        members = _names(peers_text)
        peers = await self._far_ends(name, members)
        held = on_hold == "1" or await self._holds(peers)
        in_conference = any(member.startswith(INTERNAL) for member in members)
        return DeviceChannel(name, uniqueid, _state(state), peers, held, _digits(number), known_by, in_conference)

    async def _far_ends(self, name: str, members: list[str]) -> tuple[str, ...]:
        """Return who talks to a channel, with each Local channel followed to whoever is behind it."""
        found: dict[str, None] = {}
        seen = {name}
        ways = list(members)
        for way in ways:  # grows while it is walked
            if way in seen or way.startswith(INTERNAL):
                continue
            seen.add(way)
            local = _LOCAL_HALF.fullmatch(way)
            behind: list[str] = []
            if local is not None and len(seen) < MAX_CHANNELS:
                other = f"{local[1]};{'2' if local[2] == '1' else '1'}"
                seen.add(other)
                behind = _names(await self._session.get_full_variable("${BRIDGEPEER}", other) or "")
            if behind:
                ways += behind
            else:
                # A device; or a Local channel that ends in an application, which is the party then.
                found[way] = None
        return tuple(found)

    async def _holds(self, peers: tuple[str, ...]) -> bool:
        # A held channel is marked, not the one that holds it: ask the other side of a two-party call.
        if len(peers) != 1:
            return False
        return await self._session.get_full_variable("${CHANNEL(onhold)}", peers[0]) == "1"

    async def _ask(self, expression: str) -> str:
        return await self._session.get_full_variable(expression) or ""


def _names(peers: str) -> list[str]:
    return [peer for peer in peers.split(",") if peer]


def _digits(number: str) -> str:
    return re.sub(r"[^0-9]", "", number)[:MAX_NUMBER_DIGITS]


def _state(text: str) -> ChannelState:
    try:
        return ChannelState(text)
    except ValueError:
        return ChannelState.OTHER
