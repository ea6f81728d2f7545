"""What the server shows of itself: calls, spies and its own state, for the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from agi_monitor import __version__
from agi_monitor.ami.states import Connecting, Down, LoggingIn, Refused, Up
from agi_monitor.audit.bulletin import Bulletin, Listener
from agi_monitor.errors import AgiMonitorError, Unavailable
from agi_monitor.live.calls import Call, Channel
from agi_monitor.live.index import Stale
from agi_monitor.live.targets import ChannelState, age
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.spy_watch import SpyWatch
from agi_monitor.shown import CallShown, ChannelShown, ReloadRefused, ReloadShown, SpyShown, StatusShown
from agi_monitor.supervision.owners import agent_shown_at
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.spies import Spy

WORDS: Mapping[Stale, str] = {
    Stale.NEVER_LISTED: "its manager interface has sent no list of calls yet; is Asterisk running?",
    Stale.LOST: "the connection to its manager interface is lost; is Asterisk running?",
    Stale.TOO_MANY: "it has more channels or devices than are kept",
    Stale.FORGED: "it told something that Asterisk cannot have written",
    Stale.DEAF: "no event tells of calls; the account needs call in its read line",
}
"""Why there is no picture, for an administrator who has not read of it."""


class ServerOverview:
    """``shown.Overview`` of one server.

    Parameters:
        pbx: the PBX; None where there is no manager interface.
        watch: its spies; None in the same case.
        policy: returns who is an agent.
        bulletin: tells facts.
        clock: seconds since 1970.
        seconds: on the clock that the spies are told by.
        reload: reads the configuration again.
    """

    def __init__(
        self,
        pbx: Pbx | None,
        watch: SpyWatch | None,
        policy: Callable[[], Policy],
        bulletin: Bulletin,
        clock: Callable[[], float],
        seconds: Callable[[], float],
        reload: Callable[[], Awaitable[ReloadShown | ReloadRefused]],
    ) -> None:
        self._pbx = pbx
        self._watch = watch
        self._policy = policy
        self._bulletin = bulletin
        self._clock = clock
        self._seconds = seconds
        self._reload = reload

    async def reload(self) -> ReloadShown | ReloadRefused:
        """Read the configuration again."""
        return await self._reload()

    def status(self) -> StatusShown:
        """Return how the server is."""
        pbx, watch = self._pbx, self._watch
        if pbx is None or watch is None:
            return StatusShown(version=__version__, node=None, ami="off", stale=None, calls=None, spies=None)
        calls = pbx.index.calls(pbx.node)
        return StatusShown(
            version=__version__,
            node=pbx.node,
            ami=_AMI[type(pbx.state)],
            stale=pbx.stale(),
            calls=None if isinstance(calls, Stale) else len(calls),
            spies=len(watch.grants.spies()),
            resyncs=pbx.resyncs,
            differences=pbx.differences,
        )

    def calls(self) -> Sequence[CallShown]:
        """Return the calls that are on now.

        Raises:
            Unavailable: there is no picture to be trusted.
        """
        pbx, watch = self._live()
        calls = pbx.index.calls(pbx.node)
        if isinstance(calls, Stale):
            raise Unavailable(f"there is no picture of {pbx.node} to be trusted now: {_because(calls)}")
        agents = self._agents(pbx, calls)
        spies = watch.grants.spies()
        return [self._call(pbx.node, call, agents, spies) for call in calls]

    def spies(self) -> Sequence[SpyShown]:
        """Return who hears whom now. Without a connection, the spies of others are those that were last seen.

        Raises:
            Unavailable: there is no manager interface, or no spy is known and no picture to be trusted.
        """
        pbx, watch = self._live()
        found = [self._spy(pbx.node, spy) for spy in watch.grants.spies()]
        stale = pbx.stale()
        if not found and stale is not None:
            raise Unavailable(
                f"no spy is known, and there is no picture of {pbx.node} to be trusted now: {_because(stale)}"
            )
        return found

    async def kill(self, spy: str, by: str) -> bool:
        """End a spy.

        Raises:
            Unavailable: the PBX cannot be told now.
        """
        try:
            return await self._live()[1].kill(spy, by)
        except Unavailable:
            raise
        except AgiMonitorError as error:
            raise Unavailable(str(error)) from error

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Tell a listener each record of the audit."""
        return self._bulletin.subscribe(listener)

    def subscribe_changes(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Tell a listener that calls or spies may have changed."""
        ends = [self._bulletin.subscribe(lambda record: listener())]
        if self._pbx is not None:
            ends.append(self._pbx.changed.subscribe(listener))

        def end() -> None:
            for one in ends:
                one()

        return end

    def _live(self) -> tuple[Pbx, SpyWatch]:
        if self._pbx is None or self._watch is None:
            raise Unavailable("the configuration has no section ami, so the calls of the PBX are not known")
        return self._pbx, self._watch

    def _agents(self, pbx: Pbx, calls: Iterable[Call]) -> Mapping[str, str | None]:
        """Whose each device is that has a channel. It runs in the reactor's thread: each device is looked up once,
        and no agent who is on no call.
        """
        policy = self._policy()
        devices = {channel.endpoint for call in calls for channel in call.channels if channel.endpoint is not None}
        found = {device: agent_shown_at(policy, pbx, device) for device in devices}
        return {device: None if agent is None else agent.extension for device, agent in found.items()}

    def _call(self, node: str, call: Call, agents_of: Mapping[str, str | None], spies: Sequence[Spy]) -> CallShown:
        uniqueids = {channel.uniqueid for channel in call.channels}
        devices = [channel for channel in call.channels if channel.endpoint is not None]
        agents = [agents_of.get(one.endpoint or "") for one in devices]
        others = [one.number for one, agent in zip(devices, agents, strict=True) if agent is None and one.number]
        began = [age(channel.uniqueid)[0] for channel in call.channels]
        return CallShown(
            node=node,
            id=min(uniqueids, key=age),
            agents=tuple(sorted({agent for agent in agents if agent is not None})),
            numbers=tuple(sorted(set(others))),
            state=_state(call.channels),
            queue=call.queue,
            seconds=max(0, round(self._clock() - min(began), 1)),
            channels=tuple(
                ChannelShown(
                    name=channel.name,
                    uniqueid=channel.uniqueid,
                    endpoint=channel.endpoint,
                    state=channel.state,
                    number=channel.number,
                    bridge=channel.bridge_id,
                )
                for channel in call.channels
            ),
            spies=tuple(spy.id for spy in spies if spy.spyee_uniqueid in uniqueids),
        )

    def _spy(self, node: str, spy: Spy) -> SpyShown:
        grant = spy.grant
        seconds = max(0.0, self._seconds() - spy.since)
        return SpyShown(
            id=spy.id,
            node=node,
            kind=spy.kind,
            supervisor=grant.supervisor if grant else None,
            endpoint=grant.endpoint if grant else None,
            spyer=spy.spyer,
            spyer_uniqueid=spy.spyer_uniqueid,
            extension=grant.extension if grant else None,
            spyee=spy.spyee or None,
            spyee_uniqueid=spy.spyee_uniqueid or None,
            mode=grant.mode if grant else None,
            rule=grant.rule if grant else None,
            since=datetime.fromtimestamp(self._clock() - seconds, UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 1),
        )


_AMI = {Up: "up", Down: "down", Connecting: "connecting", LoggingIn: "logging_in", Refused: "refused"}


def _because(stale: Stale) -> str:
    return f"{WORDS[stale]} ({stale})" if stale in WORDS else str(stale)


def _state(channels: Sequence[Channel]) -> str:
    """In one word: what matters most in the list."""
    if any(channel.parking_space for channel in channels):
        return "parked"
    if any(channel.holds for channel in channels):
        return "held"
    if sum(channel.bridge_id is not None for channel in channels) > 1:
        return "talking"
    if any(channel.queue for channel in channels):
        return "queued"
    if any(channel.state in (ChannelState.RING, ChannelState.RINGING) for channel in channels):
        return "ringing"
    return "up"
