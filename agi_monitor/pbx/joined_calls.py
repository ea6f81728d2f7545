"""The calls that supervisors have joined, and their doors: no party comes into one in a supervisor's place.

Who is on a call by right is known from the moment on that it was joined. An event only says where to look: who comes
in is known once the PBX, asked, has them in a bridge with the others, and the door is closed once it says that the
supervisor's place is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater

from agi_monitor.ami.messages import Message
from agi_monitor.errors import AgiMonitorError, ForgedAnswer
from agi_monitor.live.index import Stale
from agi_monitor.live.over_agi import other_half
from agi_monitor.model import Mode
from agi_monitor.names import BridgeId, Uniqueid
from agi_monitor.pbx.carriers import GONE_SECONDS, LOOK_SECONDS
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.supervision import bridging, confirmation, proof
from agi_monitor.supervision.confirmation import Confirmed
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.spying_applications import OUR_CONTEXTS

DOOR_SECONDS = 2.0
"""How long a joined call stays closed after its supervisor was transferred out of it."""

AT_ONCE_SECONDS = 0.25
"""How shortly before or after a supervisor left a party came who may have their place though no transfer was told:
Asterisk merges two calls, lets a phone take another one's place, and brings in the Local channel of a blind transfer
within a few milliseconds (bridge.c, bridge_do_merge and blind_transfer_bridge)."""

GUARD_SECONDS = 0.5
"""Between two looks at a call whose door stays closed for longer, as a party on it cannot be read."""

LEARN_TRIES = 4
"""Between two questions who is on a call that a supervisor has joined, and where it is once a party has left it for
another bridge."""

TRANSFERRED, LEFT = "BlindTransfer", "BridgeLeave"

PARK = "Park"
"""The application that parks a call (parking_applications.c)."""

MAX_ASKED = 16
"""Members of a call who are asked with whom they talk."""

MAX_FORGOTTEN = 1_000
"""Calls whose supervisors have gone and that are kept until a list shows who is on them."""

UNSEEN = frozenset({Stale.NEVER_LISTED, Stale.LOST})
"""How the picture is when nothing was told for a while."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class JoinedCall:
    """A call that a supervisor has joined.

    Parameters:
        grant: of the supervisor.
        bridge: that they entered.
        since: when it was joined, on the reactor's clock.
        known: the channels that are on it by right, and since when, on the reactor's clock.
        names: what those are called of whom that is known.
        learned: who was on it when it was joined is known.
        left: when those of them left it who are not back.
        strangers: channels that took the supervisor's place, or that of one who did.
        closed_until: no party may come in before.
        sweeping: strangers are being put out of it.
        unreadable: a party on it could not be read, or none could be asked.
        forgetting: the look after which it is forgotten: its story is over.
        unseen: its story ended while nothing was told of it; the next list shows who is on it.
        recorded: a stranger in it is on record.
        looked: the PBX was asked who is on it since its door was closed.
        looks: how often it is still asked which bridge it is in.
        met: the names of those who were in another bridge before a party of the call came there.
        entering: channels that are said to have come in, until the PBX, asked, has them there.
    """

    grant: Grant
    bridge: BridgeId
    since: float
    known: dict[str, float]
    names: dict[str, str] = field(default_factory=dict)
    learned: bool = False
    left: dict[str, float] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)
    closed_until: float = float("-inf")
    sweeping: bool = False
    unreadable: bool = False
    forgetting: IDelayedCall | None = None
    unseen: bool = False
    recorded: bool = False
    looked: bool = False
    looks: int = 0
    met: set[str] = field(default_factory=set)
    entering: set[str] = field(default_factory=set)

    def forget_left(self, before: float) -> None:
        """Forget who left before a moment: where they are now is another call. The supervisor's end closes the door
        whenever it comes."""
        spyer = self.grant.spyer_uniqueid
        for one in [one for one, at in self.left.items() if at < before and one != spyer]:
            del self.left[one]
            self.known.pop(one, None)
            self.names.pop(one, None)

    def move(self, bridge: BridgeId, items: Iterable[Message], now: float) -> None:
        """It is in another bridge. Who is not there has left it; a channel that a list cannot show may be there.

        Parameters:
            bridge: which.
            items: of the list of channels.
            now: on the reactor's clock.
        """
        self.bridge = bridge
        on_it = {item.text("Uniqueid") for item in items if item.get("BridgeId") in (None, bridge)}
        for one in self.known:
            if one in on_it:
                self.left.pop(one, None)
            else:
                self.left.setdefault(one, now)


class JoinedCalls:
    """The joined calls of one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        signer: reads the grants of supervisors of other servers.
        ours: returns the grants that are on.
        begin: begins a coroutine, about a grant.
        remove: takes a stranger out of the bridge of a grant's call.
        found: puts a stranger on record.
    """

    def __init__(
        self,
        pbx: Pbx,
        reactor: IReactorTime,
        signer: Signer,
        ours: Callable[[], Sequence[Grant]],
        begin: Callable[[Coroutine[Any, Any, None], str], object],
        remove: Callable[[Grant, Confirmed, BridgeId], Coroutine[Any, Any, None]],
        found: Callable[[Grant, Confirmed], None],
    ) -> None:
        self._pbx = pbx
        self._reactor = reactor
        self._signer = signer
        self._ours = ours
        self._begin = begin
        self._remove = remove
        self._found = found
        self._joined: dict[str, JoinedCall] = {}
        """By grant."""
        self._guards: dict[str, IDelayedCall] = {}
        """By grant, the next look at a call whose door stays closed."""

    def __contains__(self, grant: Grant) -> bool:
        """Return whether a supervisor has joined a call by this grant."""
        return grant.id in self._joined

    def bridge_of(self, grant: Grant) -> BridgeId | None:
        """Return the bridge that a supervisor has joined."""
        joined = self._joined.get(grant.id)
        return None if joined is None else joined.bridge

    def stop(self) -> None:
        """Look at none of them from now on."""
        waiting = [joined.forgetting for joined in self._joined.values() if joined.forgetting is not None]
        for call in (*waiting, *self._guards.values()):
            if call.active():
                call.cancel()
        self._guards.clear()

    # ---- what is told ----------------------------------------------------------------------------------

    def story_over(self, grant: Grant) -> None:
        """The story of a supervisor is over. Who was transferred out of a call may come into it a moment after that,
        and while the picture is in doubt no event tells of them."""
        joined = self._joined.get(grant.id)
        if joined is None or joined.forgetting is not None:
            return
        stale = self._pbx.stale()
        joined.unseen = stale in UNSEEN
        if stale is not None and not joined.unseen:
            self._close_door(joined, self._left_at(joined) - AT_ONCE_SECONDS, AT_ONCE_SECONDS)
        joined.forgetting = self._reactor.callLater(DOOR_SECONDS, self._forget, joined)
        forgetting = [name for name, one in self._joined.items() if one.forgetting is not None]
        for name in forgetting[:-MAX_FORGOTTEN]:
            self._drop(self._joined[name])

    def _forget(self, joined: JoinedCall) -> None:
        if not joined.unseen and not joined.sweeping and joined.closed_until <= self._reactor.seconds():
            self._drop(joined)
            return
        joined.forgetting = self._reactor.callLater(GUARD_SECONDS, self._forget, joined)

    def _drop(self, joined: JoinedCall) -> None:
        self._joined.pop(joined.grant.id, None)
        for call in (joined.forgetting, self._guards.pop(joined.grant.id, None)):
            if call is not None and call.active():
                call.cancel()

    def take_transfer(self, grant: Grant, told: str) -> None:
        """An event tells that a supervisor was transferred out of a call."""
        joined = self._joined[grant.id]
        self._begin(self._close_when_left(joined, grant.spyer_uniqueid, told), grant.id)

    def take_entry(self, event: Message, joins: Callable[[Grant], bool]) -> None:
        """A channel entered a bridge: the supervisor a call, or another party a call that a supervisor has joined.

        Parameters:
            event: the BridgeEnter.
            joins: whether the application of a grant is one that joins.
        """
        uniqueid, swapped = event.text("Uniqueid"), event.text("SwapUniqueid")
        bridge = BridgeId.read(event.text("BridgeUniqueid"))
        if bridge is None:
            return
        for grant in self._ours():
            if uniqueid != grant.spyer_uniqueid or grant.mode is not Mode.BARGE:
                continue
            joined = self._joined.get(grant.id)
            if joined is None and joins(grant):
                self._join(grant, bridge)
            elif joined is None:
                self._begin(self._join_if_so(grant, bridge), grant.id)
            elif not joined.learned:
                joined.bridge = bridge
                self._begin(self._learn(joined), grant.id)
        now = self._reactor.seconds()
        for joined in tuple(self._joined.values()):
            if swapped and (swapped == joined.grant.spyer_uniqueid or swapped in joined.strangers):
                self._begin(self._close_when_left(joined, swapped, "BridgeEnter", uniqueid), joined.grant.id)
            elif bridge == joined.bridge and uniqueid == joined.grant.spyer_uniqueid:
                joined.left.pop(uniqueid, None)
            elif bridge == joined.bridge:
                if joined.closed_until < now:
                    # No story waits for that.
                    self._begin(self._admit(joined, uniqueid, event.text("Channel"), now), "")
                elif uniqueid in joined.known:
                    joined.left.pop(uniqueid, None)
                else:
                    self._begin(self._turn_away(joined, uniqueid, bridge), joined.grant.id)
            elif bridge != joined.bridge and uniqueid in joined.known:
                self._follow(joined, self._pbx.members_with(uniqueid) or frozenset())

    def take_leave(self, event: Message) -> None:
        """A party left a joined call. One who came in the supervisor's place may have a number that makes an event
        unreadable, so while the picture is in doubt the door is closed without being told of a transfer."""
        uniqueid, now = event.text("Uniqueid"), self._reactor.seconds()
        for joined in tuple(self._joined.values()):
            if event.text("BridgeUniqueid") != joined.bridge:
                continue
            joined.entering.discard(uniqueid)
            if uniqueid not in joined.known:
                continue
            self._forget_left(joined)
            joined.left[uniqueid] = now
            if uniqueid != joined.grant.spyer_uniqueid:
                # No story waits for that.
                self._begin(self._confirm_leave(joined, uniqueid), "")
            if self._pbx.stale() is None:
                continue
            # Nor need it be told where they went.
            self._follow(joined)
            if uniqueid == joined.grant.spyer_uniqueid:
                self._begin(self._close_when_left(joined, uniqueid, LEFT), joined.grant.id)

    async def _confirm_leave(self, joined: JoinedCall, uniqueid: str) -> None:
        """Who is with the supervisor has not left the call, whatever was told."""
        await deferLater(self._reactor, LOOK_SECONDS)
        peers = await self._peers(joined.grant.spyer_uniqueid)
        if peers and joined.names.get(uniqueid) in peers:
            joined.left.pop(uniqueid, None)

    def listed(self, channels: Sequence[Message], asked_at: float, *, whole: bool) -> None:
        """The lists came. Joined calls of which nothing was told are found, by an earlier run or while the connection
        was lost. Where a supervisor's channel ended unseen, only parties stay who were known on the call before.

        Parameters:
            channels: the list.
            asked_at: when it was asked for, on the reactor's clock. Who called since is not in it.
            whole: whether it came whole.
        """
        at = {item.text("Uniqueid"): item for item in channels}
        for joined in tuple(self._joined.values()):
            if whole and joined.since < asked_at:
                is_missing = joined.learned and joined.grant.spyer_uniqueid not in at
                if is_missing and (joined.unseen or joined.forgetting is None):
                    self._begin(self._close_when_gone(joined, channels), joined.grant.id)
                else:
                    joined.unseen = False
            if joined.forgetting is None and not joined.learned:
                # No story waits for that.
                self._begin(self._learn(joined), "")
            self._forget_left(joined)
            self._meet(joined, channels)
            if any(at[one].text("BridgeId") not in ("", joined.bridge) for one in joined.known if one in at):
                self._follow(joined)
        for grant in self._ours():
            item = at.get(grant.spyer_uniqueid)
            if item is None or grant in self or item.text("Application") != bridging.JOIN:
                continue
            bridge = BridgeId.read(item.text("BridgeId"))
            if bridge is not None and grant.mode is Mode.BARGE:
                self._join(grant, bridge, [one for one, other in at.items() if other.text("BridgeId") == bridge])

    # ---- who is on it by right -------------------------------------------------------------------------

    def _join(self, grant: Grant, bridge: BridgeId, on_it: Iterable[str] = ()) -> None:
        known = dict.fromkeys(on_it, float("-inf"))
        known.setdefault(grant.spyer_uniqueid, self._reactor.seconds())
        joined = self._joined[grant.id] = JoinedCall(grant, bridge, self._reactor.seconds(), known)
        self._begin(self._learn(joined), grant.id)

    async def _join_if_so(self, grant: Grant, bridge: BridgeId) -> None:
        """What the configuration says may have changed since the application was chosen: the PBX says which runs."""
        spyer = Uniqueid.read(grant.spyer_uniqueid)
        if spyer is None or await self._pbx.variable(spyer, "CHANNEL(appname)") != bridging.JOIN:
            return
        if grant not in self and grant in self._ours():
            self._join(grant, bridge)

    async def _learn(self, joined: JoinedCall) -> None:
        """Ask who is on a call that a supervisor has just joined, until a party is.

        A channel whose item in the list could not be read has no bridge in it; the supervisor's own names it. Who is
        there while the supervisor is not may have their place.
        """
        grant = joined.grant
        for _ in range(LEARN_TRIES):
            try:
                peers = await self._peers(grant.spyer_uniqueid)
                items = await self._pbx.channels()
            except AgiMonitorError as error:
                log.warning("joined_call_unknown", node=self._pbx.node, grant=grant.id, error=str(error))
                break
            closed = joined.closed_until >= self._reactor.seconds()
            if joined.learned or closed or joined.forgetting is not None:
                return
            own = next((item for item in items if item.text("Uniqueid") == grant.spyer_uniqueid), None)
            is_there = own is not None and (own.get("BridgeId") != "" or peers != frozenset())
            if own is not None and is_there:
                joined.bridge = BridgeId.read(own.text("BridgeId")) or joined.bridge
                for item in items:
                    if _is_in(item, joined.bridge, peers):
                        joined.known.setdefault(item.text("Uniqueid"), float("-inf"))
                        joined.names[item.text("Uniqueid")] = item.text("Channel")
            if is_there and len(joined.known) > 1:
                joined.learned = True
                return
            await deferLater(self._reactor, LOOK_SECONDS)
        # With the next list it is asked again.
        self._pbx.missed()

    def _meet(self, joined: JoinedCall, items: Iterable[Message]) -> None:
        """A party whom a list has on a call with its supervisor took no place, even if no event told of them."""
        now, spyer = self._reactor.seconds(), joined.grant.spyer_uniqueid
        if joined.forgetting is not None or spyer in joined.left or joined.closed_until >= now:
            return
        on_it = {item.text("Uniqueid"): item for item in items if item.text("BridgeId") == joined.bridge}
        if spyer not in on_it:
            return
        for uniqueid in on_it.keys() - joined.known.keys() - joined.strangers:
            # No story waits for that.
            self._begin(self._admit(joined, uniqueid, on_it[uniqueid].text("Channel"), now), "")
        hidden = [
            item for item in items if item.get("BridgeId") is None and item.text("Uniqueid") not in joined.known
        ]
        if hidden:
            self._begin(self._meet_hidden(joined, hidden, now), "")

    async def _meet_hidden(self, joined: JoinedCall, items: Iterable[Message], now: float) -> None:
        """A list has no bridge of a channel that could not be read; the supervisor's own names it."""
        peers = await self._peers(joined.grant.spyer_uniqueid) or frozenset()
        for item in items:
            if item.text("Channel") in peers and item.text("Uniqueid") not in joined.strangers:
                await self._admit(joined, item.text("Uniqueid"), item.text("Channel"), now)

    async def _admit(self, joined: JoinedCall, uniqueid: str, name: str, since: float) -> None:
        """A party came in while the door was open: they are on it by right, when the PBX has them there."""
        asked_at = self._reactor.seconds()
        until = asked_at + GONE_SECONDS
        while True:
            joined.entering.add(uniqueid)
            if await self._is_on_it(joined, uniqueid) and uniqueid in joined.entering:
                break
            # An answer that takes its time says how it was when it was asked for; who has left since is asked again.
            if asked_at >= until:
                joined.entering.discard(uniqueid)
                log.debug("joined_call_not_entered", node=self._pbx.node, grant=joined.grant.id, uniqueid=uniqueid)
                return
            await deferLater(self._reactor, LOOK_SECONDS)
            asked_at = self._reactor.seconds()
        joined.entering.discard(uniqueid)
        # The event may have another name for it.
        is_named = await confirmation.same(self._pbx, uniqueid, name) is not None
        if joined.closed_until < self._reactor.seconds():
            joined.known.setdefault(uniqueid, since)
            if is_named:
                joined.names[uniqueid] = name
        joined.left.pop(uniqueid, None)

    async def _is_on_it(self, joined: JoinedCall, uniqueid: str) -> bool:
        """Return whether a channel is in a bridge with the supervisor, the agent, or who else is known."""
        peers = await self._peers(uniqueid)
        known = {joined.grant.spyer, joined.grant.spyee, *joined.names.values()} - {joined.names.get(uniqueid, "")}
        return peers is not None and not peers.isdisjoint(known)

    async def _peers(self, uniqueid: str) -> frozenset[str] | None:
        """Return who is in a bridge with a channel; None where that cannot be read."""
        channel = Uniqueid.read(uniqueid)
        if channel is None:
            return frozenset()
        try:
            return await self._pbx.peers(channel)
        except ForgedAnswer:
            return None

    # ---- where it is -----------------------------------------------------------------------------------

    def _follow(self, joined: JoinedCall, met: Iterable[str] = ()) -> None:
        """A party of a joined call may be in another bridge: Asterisk merges two calls that an attended transfer
        joins. While the door is closed, the sweep finds them.

        Parameters:
            joined: the call.
            met: the names of those who were there.
        """
        now = self._reactor.seconds()
        if joined.closed_until >= now:
            return
        joined.met.update(met)
        if joined.looks:
            joined.looks = LEARN_TRIES
            return
        self._forget_left(joined)
        joined.looks = LEARN_TRIES
        # No story waits for that.
        self._begin(self._look_where(joined), "")

    def _forget_left(self, joined: JoinedCall) -> None:
        """While it is asked where the call is, who has left it may be on it."""
        if not joined.looks:
            joined.forget_left(self._reactor.seconds() - DOOR_SECONDS)

    async def _look_where(self, joined: JoinedCall) -> None:
        """Ask where a joined call is, until it is in another bridge, or often enough: its members may have gone to a
        call of their own."""
        try:
            while not await self._is_elsewhere(joined) and joined.looks > 1:
                joined.looks -= 1
                await deferLater(self._reactor, LOOK_SECONDS)
        finally:
            joined.looks = 0
            joined.met.clear()

    async def _is_elsewhere(self, joined: JoinedCall) -> bool:
        """Take in that a joined call is in another bridge. Returns whether nothing is left to be asked.

        Where the supervisor is, the call is, and who is there is on it by right: Asterisk moves everyone but the
        one who transfers it (bridge.c, bridge_do_merge). Where only others are, whom they have met may be there in
        the supervisor's place, and none of them is on it by right for that.
        """
        asked_at = self._reactor.seconds()
        try:
            peers = await self._peers(joined.grant.spyer_uniqueid) or frozenset()
            items = await self._pbx.channels()
            bridge = await self._bridge_of_spyer(joined, items, peers)
            with_spyer = bridge is not None
            bridge = bridge or self._bridge_of_two(joined, items)
            is_moved = bridge not in (None, joined.bridge)
            if bridge is not None and is_moved and not with_spyer:
                is_moved = await self._pbx.is_merged_into(bridge)
        except AgiMonitorError as error:
            log.warning("joined_call_unknown", node=self._pbx.node, grant=joined.grant.id, error=str(error))
            return False
        now = self._reactor.seconds()
        if joined.closed_until >= now:
            return True
        if bridge is None or not is_moved:
            # It was nowhere else when that was asked.
            joined.forget_left(asked_at - DOOR_SECONDS)
            return False
        joined.move(bridge, items, now)
        for item in items if with_spyer else ():
            uniqueid, name = item.text("Uniqueid"), item.text("Channel")
            if _is_in(item, bridge, peers) and uniqueid not in joined.strangers:
                # Who came behind the others counts as who came in just now.
                joined.known.setdefault(uniqueid, float("-inf") if name in joined.met else now)
                joined.names[uniqueid] = name
        log.info("joined_call_moved", node=self._pbx.node, grant=joined.grant.id, bridge=bridge)
        return True

    async def _bridge_of_spyer(
        self, joined: JoinedCall, items: Sequence[Message], peers: frozenset[str]
    ) -> BridgeId | None:
        """Return the bridge that a supervisor is in: by their own item, or, where a list cannot show that, by who is
        in it with them and says so. Who has just left it names the others for a moment."""
        spyer = joined.grant.spyer
        for item in items:
            if item.text("Channel") == spyer and item.get("BridgeId") is not None:
                return BridgeId.read(item.text("BridgeId"))
        for item in items:
            bridge = BridgeId.read(item.text("BridgeId")) if item.text("Channel") in peers else None
            if bridge is not None and spyer in (await self._peers(item.text("Uniqueid")) or ()):
                return bridge
        return None

    def _bridge_of_two(self, joined: JoinedCall, items: Sequence[Message]) -> BridgeId | None:
        """Return the bridge that at least two are in who are on a call by right: one alone has left it."""
        known = joined.known.keys() - {joined.grant.spyer_uniqueid} - self._other_spyers(joined)
        read = (BridgeId.read(item.text("BridgeId")) for item in items if item.text("Uniqueid") in known)
        counted = Counter(bridge for bridge in read if bridge is not None)
        if joined.bridge in counted:
            return joined.bridge
        return next((bridge for bridge, count in counted.most_common(1) if count > 1), None)

    # ---- the door --------------------------------------------------------------------------------------

    async def _close_when_left(self, joined: JoinedCall, uniqueid: str, told: str, stranger: str = "") -> None:
        """Close the door once the place of a supervisor, or of who took it, is empty. Where it is not in a while, the
        event that said so was forged.

        Parameters:
            joined: the call.
            uniqueid: whose place it is.
            told: the name of the event.
            stranger: who came into that place, where the event says so.
        """
        channel, bridge = Uniqueid.read(uniqueid), joined.bridge
        asked_at = began = self._reactor.seconds()
        until = began + GONE_SECONDS
        try:
            while channel is not None and await self._is_in_bridge(channel, told):
                if told == TRANSFERRED and (sent := await self._sent_away(joined, began - DOOR_SECONDS)):
                    joined.strangers |= sent
                    break
                if joined.bridge != bridge and told == LEFT:
                    # They left one bridge for the other, with the call.
                    return
                if asked_at >= until:
                    joined.left.pop(uniqueid, None)
                    self._pbx.contradicted(told)
                    return
                await deferLater(self._reactor, LOOK_SECONDS)
                asked_at = self._reactor.seconds()
        except AgiMonitorError as error:
            # Who cannot be asked does not keep the door open.
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(error))
        long_ago = joined.known.get(stranger, float("inf")) < self._reactor.seconds() - DOOR_SECONDS
        if stranger and (not long_ago or stranger in joined.left):
            joined.strangers.add(stranger)
        if told == LEFT:
            self._close_door(joined, self._left_at(joined) - AT_ONCE_SECONDS, AT_ONCE_SECONDS)
        else:
            self._close_door(joined, self._reactor.seconds() - DOOR_SECONDS)

    async def _close_when_gone(self, joined: JoinedCall, items: Iterable[Message]) -> None:
        """A list has no channel of a supervisor: close the door once the PBX, asked, has none either. Fewer than two
        who are where the call was are no longer the call that was joined.

        Parameters:
            joined: the call.
            items: of the list of channels.
        """
        try:
            is_gone = await confirmation.same(self._pbx, joined.grant.spyer_uniqueid, joined.grant.spyer) is None
        except AgiMonitorError as error:
            # The next list asks again.
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(error))
            return
        joined.unseen = False
        there = {item.text("Uniqueid") for item in items if item.get("BridgeId") in (None, joined.bridge)}
        if is_gone and len((joined.known.keys() & there) - self._other_spyers(joined)) > 1:
            self._close_door(joined, float("inf"))

    async def _is_in_bridge(self, channel: Uniqueid, told: str) -> bool:
        """Return whether a channel is in a bridge. One that has only left one may be on its way to the next, with the
        call."""
        if await confirmation.in_bridge(self._pbx, channel):
            return True
        if told != LEFT:
            return False
        await deferLater(self._reactor, LOOK_SECONDS)
        return await confirmation.in_bridge(self._pbx, channel)

    async def _sent_away(self, joined: JoinedCall, since: float) -> set[str]:
        """Return the channels by which a blind transfer of the supervisor has just joined the call to the parking.

        Out of a call of three a Local channel comes into it. While the space is said the supervisor stays on the call
        (parking_bridge_features.c, park_local_transfer), and what names who transferred is gone at once
        (parking_applications.c). What that Local channel leads to says that it is so, and not the event alone: it
        has the transferer's name until it is in a bridge of its own (bridge.c, blind_transfer_bridge), or runs
        ``Park``, without which Asterisk does not park the call (parking_is_exten_park).

        Parameters:
            joined: the call.
            since: who came before was not sent for.
        """
        sent: set[str] = set()
        for item in await self._pbx.channels():
            uniqueid, behind = item.text("Uniqueid"), other_half(item.text("Channel"))
            is_new = joined.known.get(uniqueid, float("inf")) >= since
            if item.text("BridgeId") == joined.bridge and is_new and behind is not None:
                is_sent = await self._pbx.variable_of(behind, "BLINDTRANSFER") == joined.grant.spyer
                is_sent = is_sent or await self._pbx.variable_of(behind, "CHANNEL(appname)") == PARK
                sent |= {uniqueid} if is_sent else set()
        return sent

    def _left_at(self, joined: JoinedCall) -> float:
        return joined.left.get(joined.grant.spyer_uniqueid, self._reactor.seconds())

    def _close_door(self, joined: JoinedCall, before: float, seconds: float = DOOR_SECONDS) -> None:
        """The supervisor may have been transferred out of a joined call: for a moment no party comes in.

        Parameters:
            joined: the call.
            before: who came before that stays; who came later may have the supervisor's place.
            seconds: how long the moment is, or until the PBX has said who is there.
        """
        self._forget_left(joined)
        spyer = joined.grant.spyer_uniqueid
        late = {one for one, at in joined.known.items() if at >= before and one != spyer}
        joined.known = {one: at for one, at in joined.known.items() if one not in late}
        joined.names = {one: name for one, name in joined.names.items() if one in joined.known}
        joined.closed_until = max(joined.closed_until, self._reactor.seconds() + seconds)
        joined.looked = False
        if not joined.sweeping:
            joined.sweeping = True
            self._begin(self._sweep(joined), joined.grant.id)

    async def _sweep(self, joined: JoinedCall) -> None:
        """Put everyone out of a joined call who is not known there, as long as its door is closed."""
        until = self._reactor.seconds() + DOOR_SECONDS
        try:
            await self._sweep_once(joined)
            while self._reactor.seconds() < (min(until, joined.closed_until) if joined.looked else until):
                await deferLater(self._reactor, LOOK_SECONDS)
                await self._sweep_once(joined)
        finally:
            joined.sweeping = False
            self._guard(joined)

    def _guard(self, joined: JoinedCall) -> None:
        """A story waits for who puts strangers out at once, not for a door that stays closed."""
        on = self._joined.get(joined.grant.id) is joined
        if on and joined.closed_until > self._reactor.seconds() and joined.grant.id not in self._guards:
            self._guards[joined.grant.id] = self._reactor.callLater(GUARD_SECONDS, self._look, joined)

    def _look(self, joined: JoinedCall) -> None:
        self._guards.pop(joined.grant.id, None)
        if not joined.sweeping:
            joined.sweeping = True
            self._begin(self._look_once(joined), "")

    async def _look_once(self, joined: JoinedCall) -> None:
        try:
            await self._sweep_once(joined)
        finally:
            joined.sweeping = False
            self._guard(joined)

    async def _sweep_once(self, joined: JoinedCall) -> None:
        """Look once at who is on the call. A channel that cannot be read keeps no other on it, and the door closed
        for as long as a known party is on it."""
        joined.unreadable = False
        try:
            await self._put_strangers_out(joined, await self._pbx.channels())
            joined.looked = True
        except AgiMonitorError as error:
            log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(error))
        if joined.unreadable:
            joined.closed_until = max(joined.closed_until, self._reactor.seconds() + DOOR_SECONDS)

    async def _put_strangers_out(self, joined: JoinedCall, items: Sequence[Message]) -> None:
        # Where other supervisors are may be another call.
        known = joined.known.keys() - {joined.grant.spyer_uniqueid} - self._other_spyers(joined)
        on_it = [item for item in items if item.text("Uniqueid") in known]
        bridge = await self._bridge_now(joined, on_it)
        named = await self._named(joined, on_it, bridge)
        for item in items:
            uniqueid, there = item.text("Uniqueid"), BridgeId.read(item.text("BridgeId"))
            if item.get("BridgeId") is None and item.text("Channel") in named:
                there = joined.bridge
            is_with_them = joined.learned and (there == bridge or item.text("Channel") in named)
            # Where no party is known, only who came in the supervisor's place is a stranger for certain.
            if there != joined.bridge or not (is_with_them or uniqueid in joined.strangers):
                continue
            try:
                await self._put_out(joined, uniqueid, joined.bridge)
            except AgiMonitorError as error:
                log.warning("spy_watch_unanswered", node=self._pbx.node, error=str(error))
                joined.unreadable = True

    async def _bridge_now(self, joined: JoinedCall, on_it: Sequence[Message]) -> BridgeId | None:
        """Return the bridge that the call is in now, as the list shows it: a merge may have moved it to another one.
        Who is elsewhere alone has left for another call, and so have all who are where Asterisk merges no call."""
        read = (BridgeId.read(item.text("BridgeId")) for item in on_it)
        counted = Counter(bridge for bridge in read if bridge is not None)
        if joined.bridge in counted:
            return joined.bridge
        bridges = [bridge for bridge, count in counted.items() if count > 1]
        if len(bridges) != 1 or not await self._pbx.is_merged_into(bridges[0]):
            return None
        joined.move(bridges[0], on_it, self._reactor.seconds())
        return bridges[0]

    async def _named(self, joined: JoinedCall, on_it: Sequence[Message], bridge: BridgeId | None) -> frozenset[str]:
        """Return whom the members of the call name: a list has no bridge of a channel that could not be read.

        Parameters:
            joined: the call.
            on_it: the items of who is on it by right.
            bridge: that it is in; None where the list shows none. Then they are on it who name each other.
        """
        named: set[str] = set()
        asked = [item for item in on_it if item.get("BridgeId") == bridge]
        for item in asked[:MAX_ASKED]:
            try:
                peers = await self._peers(item.text("Uniqueid"))
            except AgiMonitorError:
                peers = None
            if peers is None:
                # They talk to a party whose name holds a line break, or could not be asked.
                joined.unreadable = True
            elif bridge is not None or not peers.isdisjoint(other.text("Channel") for other in asked):
                named |= peers
        return frozenset(named)

    def _other_spyers(self, joined: JoinedCall) -> set[str]:
        return {grant.spyer_uniqueid for grant in self._ours()} - {joined.grant.spyer_uniqueid}

    async def _turn_away(self, joined: JoinedCall, uniqueid: str, bridge: BridgeId) -> None:
        """Put out who comes in while the door is closed, when a party of the call is there."""
        if uniqueid in joined.strangers or await self._is_on_it(joined, uniqueid):
            await self._put_out(joined, uniqueid, bridge)

    async def _put_out(self, joined: JoinedCall, uniqueid: str, bridge: BridgeId) -> None:
        by_right = uniqueid in joined.known and uniqueid != joined.grant.spyer_uniqueid
        if uniqueid in self._other_spyers(joined) or (by_right and uniqueid not in joined.strangers):
            return
        stranger = await confirmation.bridged(self._pbx, uniqueid)
        if stranger is None or await self._is_of_another_server(stranger.uniqueid):
            return
        if uniqueid != joined.grant.spyer_uniqueid:
            log.error("spy_handed_over", node=self._pbx.node, grant=joined.grant.id, to=stranger.name)
            if not joined.recorded:
                joined.recorded = True
                self._found(joined.grant, stranger)
        await self._remove(joined.grant, stranger, bridge)

    async def _is_of_another_server(self, channel: Uniqueid) -> bool:
        """Return whether a channel is that of a supervisor who is on the call by a grant of another server."""
        try:
            text = await self._pbx.variable(channel, proof.VARIABLE) or ""
        except ForgedAnswer:
            return False
        if not self._signer.is_of_another(text, channel, ""):
            return False
        return await self._pbx.variable(channel, "CHANNEL(context)") in OUR_CONTEXTS


def _is_in(item: Message, bridge: BridgeId, peers: Container[str] | None) -> bool:
    """Return whether a list has a channel in a bridge; where it cannot show that, whether it is named there."""
    if item.get("BridgeId") is None:
        return peers is not None and item.text("Channel") in peers
    return item.text("BridgeId") == bridge
