"""Who talks to an agent who is heard, and what becomes of the spy when that changes.

A spy ends with the conversation that it was granted for. Who is on the call is known from two sources: the live
picture, which events keep true, and the PBX itself, which is asked every few seconds; while the picture is in doubt,
only what the PBX says counts.

::

    no party is left                          the spy ends: the conversation is over
    a party of before is left                 it continues
    only new parties                          it begins again, by a new decision; without a story it ends
    one alone, but not the one of last time   it begins again: ChanSpy would give the agent alone
    a protected phone                         it ends
    the agent's channel is another one now    it ends: ChanSpy goes with the channel that it hears

A supervisor who has joined the call, or taken it over, is on it like any other party. The call that counts is the one
that their own channel is in, and it is over when the PBX says so to that channel.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import structlog
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from agi_monitor.errors import AgiMonitorError, ForgedAnswer
from agi_monitor.live.index import Stale
from agi_monitor.live.over_agi import INTERNAL, MAX_CHANNELS, other_half
from agi_monitor.live.targets import ChannelState, DeviceChannel
from agi_monitor.model import Mode
from agi_monitor.names import Uniqueid
from agi_monitor.pbx.carriers import GONE_SECONDS, Carriers
from agi_monitor.pbx.joined_calls import JoinedCalls
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.revoking import Revoking
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.pbx.watched import WatchedGrants
from agi_monitor.supervision import chanspy, confirmation
from agi_monitor.supervision.confirmation import Confirmed
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.live_circumstances import LiveCircumstances
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.spies import LOCAL

OVER = "conversation_over"
"""Why it ends when the agent is alone on the call and no story is there to end it."""

ALONE_SECONDS = 0.5
"""How long an agent may be alone on the line until their conversation is over: in a transfer the next party
comes within a few milliseconds."""

log = structlog.get_logger()


class Parties:
    """The parties of the calls that are heard on one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        policy: returns what the configuration says now.
        watched: the grants that are on.
        carriers: finds the supervisor's own channel.
        joined: the calls that supervisors have joined.
        revoking: ends a spy.
        circumstances: says whether the picture can be trusted.
        under_way: begins what is not waited for.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        policy: Callable[[], Policy],
        watched: WatchedGrants,
        carriers: Carriers,
        joined: JoinedCalls,
        revoking: Revoking,
        circumstances: LiveCircumstances,
        under_way: UnderWay,
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._policy = policy
        self._watched = watched
        self._grants = watched.grants
        self._carriers = carriers
        self._joined = joined
        self._revoking = revoking
        self._circumstances = circumstances
        self._under_way = under_way

    def stop(self) -> None:
        """Look at who is alone on the line no more."""
        for watched in self._watched.entries():
            if watched.alone is not None:
                watched.alone.cancel()
                watched.alone = None

    # ---- by the picture --------------------------------------------------------------------------------

    def on_the_call(self, grant: Grant) -> frozenset[str]:
        """The channels that a supervisor hears by this grant, as far as is known, and both of its own."""
        found = {grant.spyee_uniqueid, grant.spyer_uniqueid}
        for uniqueid in (grant.spyee_uniqueid, grant.spyer_uniqueid):
            partners = self._pbx.partners_of(uniqueid)
            found |= set() if isinstance(partners, Stale) else {partner.uniqueid for partner in partners}
        return frozenset(found)

    def in_bridge(self, grant: Grant) -> bool:
        """Return whether a supervisor has joined the call or taken it over: the call is where their own channel is,
        and the PBX ends it for them when it is over."""
        if grant.mode is Mode.BARGE and self._pbx.bridge_of(grant.spyer_uniqueid) is not None:
            return True
        return grant in self._joined or grant.mode is Mode.TAKE_OVER

    def agent_is_elsewhere(self, grant: Grant) -> bool:
        """Return whether the agent's channel lives on in another call than the one that the supervisor is on: after a
        take-over (AgentLogin), or when an agent has left a joined call."""
        if grant.mode is not Mode.TAKE_OVER and grant not in self._joined:
            return False
        own = self._pbx.bridge_of(grant.spyer_uniqueid)
        return own is not None and self._pbx.bridge_of(grant.spyee_uniqueid) != own

    def _talking_to(self, grant: Grant) -> frozenset[str] | None:
        """Who talks to the agent, or to the supervisor who is on the call, without the agent and supervisors of ours;
        None while that is not known."""
        partners = self._pbx.partners_of(self._on_whose_line(grant))
        if isinstance(partners, Stale):
            return None
        supervisors = {other.spyer_uniqueid for other in self._watched.ours()}
        return frozenset(partner.uniqueid for partner in partners) - supervisors - {grant.spyee_uniqueid}

    def _on_whose_line(self, grant: Grant) -> str:
        """Return the uniqueid of the channel whose call counts: the agent's, or that of a supervisor who is on it."""
        return grant.spyer_uniqueid if self.in_bridge(grant) else grant.spyee_uniqueid

    def follow_party(self, grant: Grant, *, settled: bool = False) -> None:
        """End the spy with the conversation, or begin it again where another party is on the call.

        The agent's channel may outlive the customer: an agent who is logged in (AgentLogin), in a conference room or
        in a bridge of ARI. Who is alone there is not heard, and the next customer's call is a decision of its own.

        After a transfer by the customer ChanSpy continues and gives the agent alone: Asterisk 22.10 drops what the
        new party says as long as its RTP numbers are lower than those of the party before. A barge stays with the
        party before (app_chanspy.c).

        Parameters:
            grant: the grant of the spy.
            settled: Local channels have had their moment: who is there now is a party.
        """
        parties = self._talking_to(grant)
        if parties is None:
            return
        watched = self._watched.of(grant)
        before, alone, watched.alone = watched.parties, watched.alone, None
        if alone is not None:
            alone.cancel()
        if not parties:
            if before:
                watched.alone = self._reactor.callLater(ALONE_SECONDS, self._left_alone_on_the_line, grant)
            return
        if not settled and before and parties != before and all(map(self._is_local, parties)):
            # Half of a Local channel may be there for a moment after the party is gone.
            watched.alone = self._reactor.callLater(ALONE_SECONDS, self._left_alone_on_the_line, grant)
            return
        watched.parties = parties
        if before is not None and parties != before:
            self._under_way.begin(self.look_at_source(grant))
        conversation = watched.conversation
        goes_on = grant in self._grants.granted() and not self.runs_chanspy(grant)
        if goes_on or not conversation or not parties.isdisjoint(conversation):
            watched.conversation = conversation | parties
        only = watched.only_party
        if len(parties) == 1:
            watched.only_party = parties
        if before is None:
            return
        if parties.isdisjoint(before) or (len(parties) == 1 and only is not None and parties != only):
            self._under_way.begin(self._follow_confirmed(grant, before, only, parties))

    async def _follow_confirmed(
        self, grant: Grant, before: frozenset[str], only: frozenset[str] | None, parties: frozenset[str]
    ) -> None:
        """Begin a spy again where another party is on the call, or end it where no story is there to decide. Only
        events have said so: a party that the PBX still has there did not leave.

        Parameters:
            grant: the grant of the spy.
            before: who talked to the agent before.
            only: who talked to the agent alone, the last time before that only one did.
            parties: who does now, by the events.
        """
        is_another, watched = parties.isdisjoint(before), self._watched.of(grant)
        try:
            are_there = await self._are_with(grant, before - parties)
        except AgiMonitorError:
            # With the next list it is asked again. Until then the parties are those of the last answer: a supervisor
            # would hear the next customer by the decision about the last.
            watched.parties, watched.only_party = before, only
            self._pbx.missed()
            raise
        if are_there:
            watched.parties, watched.only_party = before, only
            self._pbx.contradicted("BridgeLeave")
            return
        if is_another:
            self._end_orphan(grant)
        if grant in self._grants.granted():
            self._press_end(grant, again=is_another)

    async def _are_with(self, grant: Grant, parties: frozenset[str]) -> bool:
        """Return whether the PBX has one of several channels in the call of a grant; also where it cannot be read
        who is there."""
        own = Uniqueid.read(self._on_whose_line(grant))
        try:
            names = frozenset() if own is None else await self._pbx.peers(own)
            for party in parties:
                channel = Uniqueid.read(party)
                name = None if channel is None else await self._pbx.variable(channel, "CHANNEL(name)")
                if name and name in names:
                    return True
        except ForgedAnswer:
            return True
        return False

    def _left_alone_on_the_line(self, grant: Grant) -> None:
        self._watched.of(grant).alone = None
        parties = self._talking_to(grant)
        if parties == frozenset():
            self._under_way.begin(self._left_alone_if_so(grant))
        elif parties is not None:
            self.follow_party(grant, settled=True)

    async def _left_alone_if_so(self, grant: Grant) -> None:
        """The events say that the agent is alone: it is so once the PBX says it as well."""
        try:
            is_alone = await self._is_alone(grant)
        except AgiMonitorError:
            # With the next list it is asked again.
            self._pbx.missed()
            raise
        if is_alone:
            if grant in self._watched.ours():
                self._left_alone_for_certain(grant)
            return
        self._pbx.contradicted("BridgeLeave")

    async def _is_alone(self, grant: Grant) -> bool:
        """Return whether the PBX has only the agent and supervisors of ours in the call of a grant.

        In a call of two it tells the other one. With more there is only a list that is not written again for one who
        is left alone, so each channel on it has to say the same (see ``live.over_agi``).
        """
        own = Uniqueid.read(self._on_whose_line(grant))
        apart = {grant.spyee, *(other.spyer for other in self._watched.ours())}
        try:
            only = None if own is None else await self._pbx.variable(own, "CHANNEL(peer)")
            if own is None or only is None:
                return True
            if only:
                return only in apart or only.startswith(INTERNAL)
            listed = (await self._pbx.variable(own, "BRIDGEPEER") or "").split(",")
            name = await self._pbx.variable(own, "CHANNEL(name)")
            for other in listed if len(listed) > 1 else ():
                if other in apart or other.startswith(INTERNAL):
                    continue
                if name in (await self._pbx.variable_of(other, "BRIDGEPEER")).split(","):
                    return False
        except ForgedAnswer:
            # A channel is there whose name holds a line break or a comma.
            return False
        return True

    def _is_local(self, uniqueid: str) -> bool:
        channel = self._pbx.channel(uniqueid)
        return channel is not None and not isinstance(channel, Stale) and channel.name.startswith(LOCAL)

    def _left_alone_for_certain(self, grant: Grant) -> None:
        self._end_orphan(grant)
        if self.runs_chanspy(grant):
            self._watched.of(grant).over = True
            self._press_end(grant)

    def _end_orphan(self, grant: Grant) -> None:
        """End a spy without a story: the conversation that it was granted for is over."""
        if grant in self._grants.adopted() and not self.in_bridge(grant):
            self._under_way.begin(self._revoking.end(grant, OVER, ""))

    # ---- begin again, or end ----------------------------------------------------------------------------

    def runs_chanspy(self, grant: Grant) -> bool:
        """Return whether the spy of a story is by ChanSpy, and was not ended."""
        has_story = grant in self._grants.granted()
        return has_story and self._watched.of(grant).revoked is None and not self.in_bridge(grant)

    def _press_end(self, grant: Grant, *, again: bool | None = None) -> None:
        """Press the key that ends ChanSpy; its story asks why.

        Parameters:
            grant: the grant of the spy.
            again: the spy begins again, and whether with another conversation; None where it is over.
        """
        if not self.runs_chanspy(grant):
            return
        if again is None:
            log.info("conversation_over", node=self._pbx.node, grant=grant.id)
        else:
            log.info("spy_begins_anew", node=self._pbx.node, grant=grant.id)
            self._watched.of(grant).again = again
        self._under_way.begin(self.press(grant))

    async def press(self, grant: Grant) -> None:
        """Press the key on the channel of a supervisor, if that is still the same one."""
        self._watched.of(grant).pressed = self._reactor.seconds()
        spyer = await confirmation.same(self._pbx, grant.spyer_uniqueid, grant.spyer)
        if spyer is not None:
            await self._pbx.press(spyer, chanspy.END_KEY)

    # ---- by the PBX itself -----------------------------------------------------------------------------

    async def look_at_source(self, grant: Grant) -> None:
        """Ask who is on the line with the agent: a protected phone, no party, another party than before, or
        one of whom the picture knows nothing."""
        agent = await confirmation.same(self._pbx, grant.spyee_uniqueid, grant.spyee)
        heard = agent if grant.mode not in (Mode.BARGE, Mode.TAKE_OVER) else await self._on_the_line(grant, agent)
        with_agent = heard is not None and heard == agent
        names = frozenset() if heard is None else await self._names_with(heard)
        if agent is None and names == frozenset() and not self.in_bridge(grant):
            await self._end_if_gone(grant)
        if heard is None or names is None or grant not in self._watched.ours():
            return
        number, behind = await self._number_with(heard), await self._behind(heard, names)
        peers = tuple(sorted(names | behind))
        is_with_agent = with_agent or grant.spyee in peers
        self._watched.of(grant).left_with = frozenset() if is_with_agent else frozenset(peers)
        channel = DeviceChannel(heard.name, heard.uniqueid, ChannelState.UP, peers, number=number)
        refusal = self._policy().protected.refusal(channel)
        if grant not in self._watched.ours():
            return
        if refusal is not None:
            self._under_way.begin(self._revoking.end(grant, refusal.reason, ""))
        elif self._circumstances.are_live:
            await self._compare(grant, heard, names, with_agent=with_agent)
        elif with_agent:
            self._follow_names(grant, behind)

    async def _end_if_gone(self, grant: Grant) -> None:
        """End a spy whose agent's channel is gone. ChanSpy does so itself, at once; where Asterisk has made another
        channel of the one that it hears, it would continue with that."""
        await deferLater(self._reactor, GONE_SECONDS)
        if grant not in self._watched.ours() or self._watched.of(grant).over:
            return
        if await confirmation.same(self._pbx, grant.spyee_uniqueid, grant.spyee) is None:
            self._left_alone_for_certain(grant)

    async def _on_the_line(self, grant: Grant, agent: Confirmed | None) -> Confirmed | None:
        """Return the channel whose call a supervisor is on who may be on a call without the agent: the agent's, or
        the supervisor's own. Whom that one is with decides, not the picture, which may be in doubt.

        Parameters:
            grant: the grant.
            agent: the agent's channel; None where it is gone.
        """
        own = await self._carriers.own(grant)
        try:
            peers: frozenset[str] = frozenset() if own is None else await self._pbx.peers(own.uniqueid)
        except ForgedAnswer:
            return agent or own
        is_on_one = own is not None and (peers or self.in_bridge(grant))
        with_agent = agent is not None and (not is_on_one or agent.name in peers)
        return agent if with_agent else own

    async def _compare(self, grant: Grant, heard: Confirmed, names: frozenset[str], *, with_agent: bool) -> None:
        """Compare the trusted picture with what the PBX said. Where it lacks a party, the lists are asked for."""
        if not self._knows(heard, names):
            # The event may be on its way.
            await deferLater(self._reactor, ALONE_SECONDS)
            again = await self._names_with(heard)
            if again is None or grant not in self._watched.ours():
                return
            names = again
            if not self._knows(heard, names):
                self._pbx.missed()
                return
        behind = await self._behind(heard, names)
        if with_agent and self._circumstances.are_live and grant in self._watched.ours():
            watched = self._watched.of(grant)
            watched.names_before, watched.only_local = _devices(behind), None

    def _knows(self, heard: Confirmed, names: frozenset[str]) -> bool:
        known = self._pbx.members_with(heard.uniqueid)
        return known is None or names <= known

    def _follow_names(self, grant: Grant, names: frozenset[str]) -> None:
        """While the picture is in doubt, end the spy with the conversation, or begin it again.

        Who is behind a Local channel is the party, so it is the same one when Asterisk takes that channel out of the
        way. One that leads nowhere says nothing for a moment; what stays is a party. The channel it leads to in the
        end is the same party as it was itself.
        """
        watched = self._watched.of(grant)
        names, before = _devices(names), watched.names_before
        if before and names.isdisjoint(before) and _are_local(names):
            if watched.only_local is None:
                watched.only_local = self._reactor.seconds()
            if self._reactor.seconds() - watched.only_local < ALONE_SECONDS:
                return
        watched.names_before, watched.only_local = names, None
        if not before or not names.isdisjoint(before) or watched.again is not None or watched.over:
            return
        if not names:
            self._left_alone_for_certain(grant)
        elif _are_local(before) and not _are_local(names):
            return
        else:
            self._end_orphan(grant)
            self._press_end(grant, again=True)

    async def _names_with(self, heard: Confirmed) -> frozenset[str] | None:
        """Return who is in a bridge with a channel, without supervisors of ours; None where that cannot be read."""
        try:
            return self._named(await self._pbx.peers(heard.uniqueid))
        except ForgedAnswer:
            return None

    async def _behind(self, heard: Confirmed, names: frozenset[str]) -> frozenset[str]:
        """Return who talks to a channel, with each Local channel followed to where it leads. One that leads nowhere,
        or to a channel that cannot be read, stays itself."""
        found: set[str] = set()
        ways = sorted(names)
        seen: set[str] = {heard.name}
        for way in ways:  # grows while it is walked
            other = other_half(way)
            if way in seen or other in seen:
                continue
            seen.add(way)
            behind: frozenset[str] = frozenset()
            if other is not None and len(seen) < MAX_CHANNELS:
                try:
                    behind = await self._behind_half(other)
                except ForgedAnswer:
                    log.debug("party_unreadable", node=self._pbx.node, way=way)
            if behind:
                ways += sorted(behind)
            else:
                found.add(way)
        return frozenset(found)

    async def _behind_half(self, half: str) -> frozenset[str]:
        """Return who is in a bridge with the other half of a Local channel, without supervisors of ours."""
        channel = Uniqueid.read(await self._pbx.variable_of(half, "UNIQUEID"))
        return frozenset() if channel is None else self._named(await self._pbx.peers(channel))

    def _named(self, peers: frozenset[str]) -> frozenset[str]:
        ours = {other.spyer for other in self._watched.ours()}
        return frozenset(name for name in peers - ours if not name.startswith(INTERNAL))

    async def _number_with(self, heard: Confirmed) -> str:
        """Return the digits of the other party's number, where some are protected; none where it has a line break."""
        if not self._policy().protected.numbers:
            return ""
        try:
            return re.sub(r"[^0-9]", "", await self._pbx.variable(heard.uniqueid, "CONNECTEDLINE(num)") or "")
        except ForgedAnswer:
            return ""


def _are_local(names: frozenset[str]) -> bool:
    return bool(names) and all(name.startswith(LOCAL) for name in names)


def _devices(names: frozenset[str]) -> frozenset[str]:
    """Return those of several names that say who talks; all where none of them does."""
    return frozenset(name for name in names if not name.startswith(LOCAL)) or names
