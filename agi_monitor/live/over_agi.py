"""What an agent's devices are doing, asked over AGI on the supervisor's own call: no AMI needed.

Four facts decide, all from the PBX at the time of the request: the hint of the extension (which devices),
``CHANNELS()`` restricted to exactly one device, each channel's state, and its bridge peers.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from agi_monitor.live.targets import AgentDevices, ChannelState, DeviceChannel, KnownBy
from agi_monitor.model import Agent
from agi_monitor.names import ENDPOINT, ChannelName, endpoint_of, is_uniqueid, names_its_caller

MAX_DEVICES = 16
"""Devices of one agent; a hint with more is a group of phones, not a person."""

MAX_CHANNELS = 64
"""Channels of one agent; GET FULL VARIABLE cuts its answer at 4,096 bytes, about twice as many names."""

MAX_NAMED = 10
"""Names that Asterisk writes into BRIDGEPEER at most, however many are in the bridge (bridge.c)."""

MAX_NUMBER_DIGITS = 20
"""Digits of the other party's number that are kept: it is spoken, and its owner chose it."""

INTERNAL = ("CBAnn/", "CBRec/", "Announcer/", "Recorder/", "Surrogate/")
"""The beginnings of the names of channels that the PBX itself puts into bridges, the first two into conferences
(conf_chan_announce.c, conf_chan_record.c, bridge.c). They are not parties, and no event reports them."""

_LOCAL_HALF = re.compile(r"(Local/.+);([12])")
"""Both halves of a Local channel have one name, up to the last digit (core_unreal.c)."""

_POOLED = re.compile(r"Agent:(?P<agent>[A-Za-z0-9_-]{1,40})")
"""An agent of agents.conf in a hint."""

UNREACHABLE = frozenset({"UNAVAILABLE", "INVALID", "UNKNOWN", ""})
"""Device states of a device that is not registered, or that the PBX does not know (devicestate.c)."""


def hinted(hint: str) -> tuple[str, ...]:
    """Return the devices that a hint names, in its order, as far as they are devices."""
    # Behind a comma stands a presence, such as CustomPresence:1001 (pbx.c, parse_hint_device).
    devices = dict.fromkeys(hint.partition(",")[0].split("&"))
    return tuple(device for device in devices if ENDPOINT.fullmatch(device))[:MAX_DEVICES]


def other_half(name: str) -> str | None:
    """Return the name of the other half of a Local channel; None where the name is that of no half."""
    local = _LOCAL_HALF.fullmatch(name)
    return None if local is None else f"{local[1]};{'2' if local[2] == '1' else '1'}"


class Variables(Protocol):
    """What is needed of an AGI session."""

    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None:
        """Evaluate an expression on the own or another channel; None when that channel is gone."""
        ...


class _Unusable(NamedTuple):
    uniqueid: str


class DeviceChannelsOverAgi:
    """``targets.DeviceLookup`` by GET FULL VARIABLE.

    Parameters:
        session: the supervisor's AGI session.
        hint_context: where the hints of the extensions are, for agents without configured endpoints and without a
            context of their own.
    """

    def __init__(self, session: Variables, hint_context: str) -> None:
        self._session = session
        self._hint_context = hint_context

    async def devices_of(self, agent: Agent) -> AgentDevices:
        """Look the agent up; a device that cannot be found makes it unreachable, not an error."""
        known_by = KnownBy.CONFIGURED if agent.endpoints else KnownBy.HINT
        endpoints = agent.endpoints or await self._hinted(agent)
        channels: list[DeviceChannel] = []
        unusable: list[str] = []
        reachable = False
        for endpoint in endpoints:
            state = await self._ask(f"${{DEVICE_STATE({endpoint})}}")
            reachable = reachable or state not in UNREACHABLE
            for name in await self._channel_names(endpoint):
                channel = await self._channel(name, known_by)
                if isinstance(channel, DeviceChannel):
                    channels.append(channel)
                elif channel is not None:
                    unusable.append(channel.uniqueid)
        return AgentDevices(endpoints, tuple(channels), reachable, unusable=tuple(unusable))

    async def confirmed(self, agent: Agent, channel: DeviceChannel) -> DeviceChannel | None:
        """Ask what a channel is right now: by its uniqueid, whether it still has the name that was decided on; then
        whether its device is the agent's, and who talks to it.

        No function of the dialplan tells whose device it is by a queue: the queues themselves are asked.
        """
        if not is_uniqueid(channel.uniqueid) or not await self._is_device_of(agent, channel):
            return None
        if await self._session.get_full_variable("${CHANNEL}", channel.uniqueid) != channel.name:
            return None
        found = await self._channel(channel.name, channel.known_by)
        return found if isinstance(found, DeviceChannel) and found.uniqueid == channel.uniqueid else None

    async def _is_device_of(self, agent: Agent, channel: DeviceChannel) -> bool:
        device = endpoint_of(channel.name)
        if channel.known_by is KnownBy.HINT and not agent.endpoints:
            return device in await self._hinted(agent)
        return device in agent.endpoints or channel.known_by is KnownBy.QUEUE

    async def _hint(self, agent: Agent) -> str:
        """Return the text of an agent's hint; empty where there is none, or where it is only that of a pattern."""
        context = self._hint_context if agent.hint_context is None else agent.hint_context
        place = f"{agent.digits}@{context}"
        hint = await self._ask(f"${{HINT({place})}}")
        if "$" not in hint:
            return hint
        # ``_200X,hint,PJSIP/${EXTEN}``: the text of the pattern. Asking for the state makes the PBX write the
        # hint of this extension beside it (pbx.c, extension_state_add_destroy and ast_extension_state).
        await self._ask(f"${{EXTENSION_STATE({place})}}")
        return await self._ask(f"${{HINT({place})}}")

    async def _hinted(self, agent: Agent) -> tuple[str, ...]:
        hint = await self._hint(agent)
        found = dict.fromkeys(hinted(hint))
        for part in hint.partition(",")[0].split("&")[:MAX_DEVICES]:
            pooled = _POOLED.fullmatch(part)
            if pooled is not None:
                # Where an agent has logged in with AgentLogin (app_agent_pool.c). While they wait for a call their
                # channel has no bridge peer (bridge.c, set_bridge_peer_vars_holding), even if others wait beside
                # them.
                channel = await self._ask(f"${{AGENT({pooled['agent']}:fullchannel)}}")
                device = endpoint_of(channel)
                if device is not None and ENDPOINT.fullmatch(device) is not None:
                    found[device] = None
        return tuple(found)[:MAX_DEVICES]

    async def _channel_names(self, endpoint: str) -> list[str]:
        # The whole name is matched: PJSIP/100 must not find PJSIP/1001, nor PJSIP/1001 the device 1001-mobile.
        # A dot or plus stands in brackets, because braces and backslashes do not survive ${} and the quoting.
        pattern = re.sub(r"[.+]", r"[\g<0>]", endpoint)
        names = (await self._ask(f"${{CHANNELS(^{pattern}-[0-9a-f]+$)}}")).split()
        # CHANNELS() ignores case and cuts long lists; what is used is compared once more, exactly.
        return [name for name in names if endpoint_of(name) == endpoint][:MAX_CHANNELS]

    async def _channel(self, name: str, known_by: KnownBy) -> DeviceChannel | _Unusable | None:
        answer = await self._session.get_full_variable(
            "${UNIQUEID}|${CHANNEL(state)}|${CHANNEL(onhold)}|${FILTER(0-9,${CONNECTEDLINE(num)})}|${BRIDGEPEER}",
            name,
        )
        if answer is None:
            return None
        # Others chose the number and the names of the peers. So they come last, and of the number only digits: then
        # each bar before the names is one of ours, and all after it, bars as well, is names.
        fields = answer.split("|", 3)
        if len(fields) != 4 or not is_uniqueid(fields[0]):
            # Cut off, or holding what is structure in an application: ChanSpy could not be told exactly this one.
            return _Unusable(answer.partition("|")[0])
        uniqueid, state, on_hold, rest = fields
        if names_its_caller(name) and await self._peer_of(name) != endpoint_of(name):
            return _Unusable(uniqueid)
        number, _, peers_text = rest.partition("|")
        members, known = await self._in_bridge(name, peers_text)
        peers, ways, followed = await self._far_ends(name, members)
        held = on_hold == "1" or await self._holds(peers)
        in_conference = any(member.startswith(INTERNAL) for member in members)
        return DeviceChannel(
            name,
            uniqueid,
            _state(state),
            peers,
            held,
            _digits(number),
            known_by,
            in_conference,
            peers_known=known and followed,
            ways=ways,
        )

    async def _peer_of(self, name: str) -> str:
        """Return the device that a channel of chan_sip belongs to, as that knows it."""
        return f"SIP/{await self._session.get_full_variable('${CHANNEL(peername)}', name) or ''}"

    async def _in_bridge(self, name: str, named: str | None = None) -> tuple[list[str], bool]:
        """Return who is in the bridge of a channel, and whether that is certain.

        Of two parties CHANNEL(peer) tells the other one; the bridge itself is looked at (func_channel.c,
        ast_channel_bridge_peer). For more, and in a conference, there is only BRIDGEPEER: a variable, which Asterisk
        writes when a channel comes or goes and which another part of the dialplan can overwrite. So all must agree.

        Parameters:
            name: of the channel.
            named: its BRIDGEPEER, where that was asked for already.
        """
        peer = await self._session.get_full_variable("${CHANNEL(peer)}", name)
        if peer is None:
            # Gone since its other half was named; or bytes that are not UTF-8 are read as other ones.
            return [], False
        if peer:
            return [peer], True
        if named is None:
            named = await self._session.get_full_variable("${BRIDGEPEER}", name) or ""
        members = _names(named)
        return (members, False) if len(members) >= MAX_NAMED else await self._agreed(name, members)

    async def _agreed(self, name: str, members: list[str]) -> tuple[list[str], bool]:
        """Return those of a list who are there, and whether each of them says the same of the bridge."""
        together = {name, *members}
        there = []
        # A Local channel is called as it was dialled, with a comma too: then the parts of its name are not channels.
        agreed = all(ChannelName.read(member) for member in members)
        for member in members:
            if member.startswith(INTERNAL):
                there.append(member)
                continue
            answer = await self._session.get_full_variable("${CHANNEL(peer)}|${BRIDGEPEER}", member)
            if answer is None:
                continue
            there.append(member)
            theirs = _names(answer.removeprefix("|"))
            # A channel with a peer is in a bridge of two, and that is not this one.
            agreed = agreed and answer.startswith("|") and name in theirs and together.issuperset(theirs)
        if there:
            return there, agreed and len(there) == len(members)
        # The list of one who was left alone is not written again: then all on it are gone. Or they are parts of the
        # names of Local channels, which look like names themselves: ``Local/1,PJSIP/2@agents-00000007;1``.
        return [], agreed and not any(member.startswith("Local/") for member in members)

    async def _far_ends(self, name: str, members: list[str]) -> tuple[tuple[str, ...], tuple[str, ...], bool]:
        """Return who talks to a channel, with each Local channel followed to the party it leads to.

        With them all channels on the way, and whether it is certain that these are all.
        """
        found: dict[str, None] = {}
        certain = True
        seen = {name: None}
        ways = list(members)
        for way in ways:  # grows while it is walked
            if way in seen or way.startswith(INTERNAL):
                continue
            seen[way] = None
            other = other_half(way)
            behind: list[str] = []
            if other is not None and len(seen) >= MAX_CHANNELS:
                # The party beyond this one is not looked for, and may be protected.
                certain = False
            elif other is not None:
                seen[other] = None
                behind, known = await self._in_bridge(other)
                certain = certain and known
            if behind:
                ways += behind
            else:
                # A device; or a Local channel that ends in an application, which is the party then.
                found[way] = None
        return tuple(found), tuple(seen)[1:], certain

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
