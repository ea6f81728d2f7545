"""One PBX through its manager interface: the connection, the index that it keeps true, and what can be done there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from agi_monitor.ami.connection import Event, Forged
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message, action
from agi_monitor.ami.protocol import BOOTED, LIFE_EVENTS, Account, AMIClient, Callbacks
from agi_monitor.ami.states import State, Up
from agi_monitor.audit.facts import AmiForged, AuditLog, Fact, PbxLost, PbxSynced
from agi_monitor.errors import ActionFailed, AgiMonitorError, Disconnected, ForgedAnswer, NoAnswer, PermissionDenied
from agi_monitor.live.bell import Bell
from agi_monitor.live.calls import EVENTS, Channel, Origin
from agi_monitor.live.devices import MAX_DEVICE_STATES, MAX_HINTS, MAX_MEMBERS, AtDevice, Hint, watched_now
from agi_monitor.live.index import SETTLE_SECONDS, ChannelIndex, Lists, Stale
from agi_monitor.live.over_agi import INTERNAL, hinted
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent
from agi_monitor.names import BridgeId, ChannelName, DeviceChannel, Uniqueid
from agi_monitor.pbx.under_way import UnderWay
from agi_monitor.supervision.confirmation import SNOOP, Confirmed
from agi_monitor.supervision.spying_applications import APPLICATIONS, JOINING

EVENT_CLASSES = "call,agent,system"
"""Classes of events that are asked for: calls, queues, and the life of the PBX."""

SPY_EVENTS = frozenset({"ChanSpyStart", "ChanSpyStop"})

RESYNC_EVENTS = LIFE_EVENTS
"""After these the lists are asked for again."""

ACTIONS = (
    "Ping",
    "CoreShowChannels",
    "BridgeList",
    "DeviceStateList",
    "ExtensionStateList",
    "QueueStatus",
    "Getvar",
    "Setvar",
    "PlayDTMF",
    "Hangup",
    "BridgeKick",
)
"""What the account must be allowed to do; what is missing is logged at the login."""

ALWAYS = "EPOCH"
"""A variable that every PBX has without a channel (pbx_variables.c)."""

MODULE_LISTS = frozenset({"DeviceStateList", "QueueStatus"})
"""Lists of modules that a PBX may be without: then there is nothing to be listed."""

RETRY_SECONDS = 2.0
"""After a list that did not come, and after an event of which only the lists tell the outcome."""

MAX_RETRY_SECONDS = 60.0
"""The wait is doubled with each list that does not come, up to this: an account may lack the right for ever."""

FRESH_SECONDS = 2.0
"""How old the last word of the PBX may be when a call is about to be heard; and how long it may take to answer when
it is asked whether it is there."""

MAX_IN_FLIGHT = 16_384
"""Actions without an answer: Asterisk takes some thousand a second."""

MAX_LIST_ITEMS = 4 * max(MAX_DEVICE_STATES, MAX_HINTS, MAX_MEMBERS)
"""Items of one list: more than the index keeps, so that it can say itself that there are too many. A list that is
longer is not taken, and is asked for again."""

MAX_LIST_BYTES = 1_024 * MAX_LIST_ITEMS
"""All lists that are coming in, together. An item of CoreShowChannels has 1 kB, all others less."""

MAX_LOGGED = 10
"""Differences of one list that are logged; all are counted."""

MAX_NAMES_TEXT = 900
"""Characters of an answer with names of channels: Asterisk cuts it at 1,023 bytes (action_getvar, manager.c), at
whatever place, and a name may have 80."""

READABLE = "^[!-~]*"
UNREADABLE = "[^!-~]"
"""Regular expressions for names in which nothing ends a line, or a name in a list of them, and for the others: a
Local channel is called as it was dialled."""

LAST_CHARACTERS = (*"0123456789abcdef", "^0-9a-f")
"""What a channel's name may end in, as the inside of a bracket expression."""

MAX_NAME_QUESTIONS = 600
"""Questions for the names of all channels. Some 20,000 channels need as many."""

MAX_UNREADABLE = 64
"""Channels that are asked about one by one because a list could not tell of them."""

MAX_APPLICATION_QUESTIONS = 5_000
"""Questions for the application of a channel that a list could not tell of, when there are more than those."""

MERGED = "basic"
"""The type of the bridges that Asterisk merges with each other when an attended transfer joins them."""

HEARING = APPLICATIONS | JOINING
"""Applications by which a channel hears others."""

CONTRADICTED = "contradicted"
"""Why an event is not believed whose form was right: the PBX, when asked, said that it is not so."""

FORGED_RECORD_SECONDS = 60.0
"""Seconds between two records about what Asterisk cannot have written: a caller can have a thousand of them."""

_WHY = {
    Stale.TOO_MANY: "there are more channels, devices, hints or queue members than are kept",
    Stale.FORGED: "it told what Asterisk cannot have written: a number or a name with a line break in it",
    Stale.DEAF: "a list shows what no event told of: the account is not told of calls",
}
"""Why a picture is not to be trusted that came over a connection without a fault."""

log = structlog.get_logger()


class Watcher(Protocol):
    """Who is told what the index does not need. ``spy_watch.SpyWatch`` fits it."""

    def take(self, name: str, event: Message) -> None:
        """An event came, and the index has it."""
        ...

    def connected(self) -> None:
        """A connection was made: what happened before it will no longer be told."""
        ...

    def doubted(self) -> None:
        """Something forged came: the picture is not to be trusted until the next lists."""
        ...

    def listed(self, channels: Sequence[Message], asked_at: float, *, whole: bool = True) -> None:
        """The lists came, and the index has them.

        Parameters:
            channels: the items of CoreShowChannels.
            asked_at: when they were asked for, on the reactor's clock.
            whole: these are all; otherwise nothing has ended because it is not among them.
        """
        ...


class _Spacing:
    """When lists may be asked for once more because of what was told: others choose how often that is.

    The wait is doubled while it happens again and again, and starts again after two minutes of peace.
    """

    def __init__(self) -> None:
        self._last: float | None = None
        self._wait = RETRY_SECONDS

    def due(self, now: float) -> float:
        """Return in how many seconds that is."""
        return 0.0 if self._last is None else max(0.0, self._last + self._wait - now)

    def begin(self, now: float) -> None:
        """Take in that they are asked for."""
        again = self._last is not None and now - self._last < 2 * MAX_RETRY_SECONDS
        self._wait = min(2 * self._wait, MAX_RETRY_SECONDS) if again else RETRY_SECONDS
        self._last = now


class Pbx:
    """One PBX. Fits ``supervision.live_pbx.LivePbx``.

    Parameters:
        node: how it is called.
        endpoint: where its manager interface is.
        account: who logs in there.
        reactor: Twisted's, or a ``Clock``.
        clock: seconds since 1970, for the records.
        hint_context: returns where the hints of the agents' extensions are.
        audit: where facts go.
        resync_seconds: between two comparisons of the index with a fresh list.
    """

    def __init__(
        self,
        node: str,
        endpoint: IStreamClientEndpoint,
        account: Account,
        reactor: IReactorTime,
        clock: Callable[[], float],
        hint_context: Callable[[], str],
        audit: AuditLog,
        resync_seconds: float,
    ) -> None:
        self.node = node
        self.index = ChannelIndex()
        self.watcher: Watcher | None = None
        self.changed = Bell()
        """Rings when calls, spies or what is known of them may have changed."""
        self.resyncs = 0
        """Lists that the index was compared with."""
        self.differences = 0
        """What they found wrong in it."""
        self.unreadable = 0
        """Channels of the last lists that nothing is known of."""
        self._reactor = reactor
        self._clock = clock
        self._hint_context = hint_context
        self._audit = audit
        self._resync_seconds = resync_seconds
        self._stopping = False
        self._told: Stale | None = Stale.NEVER_LISTED
        """What was said last of how the picture is."""
        self._heard_at = float("-inf")
        """When the PBX was heard last, on the reactor's clock."""
        self._syncing = False
        self._sync_running: Deferred[None] | None = None
        self._sync_again = False
        self._next_sync: IDelayedCall | None = None
        self._not_listed = 0
        """Lists that did not come, or not whole, in a row."""
        self._forged = False
        """Something forged came since the lists were asked for."""
        self._forged_lists = _Spacing()
        """Lists that are asked for because something forged came."""
        self._told_lists = _Spacing()
        """Lists that are asked for because of an event: a phone that subscribes can cause one at any time."""
        self._is_told = False
        """Such an event came since the lists were asked for."""
        self._has_booted = False
        """It was told since the login that the PBX is up."""
        self._forged_recorded_at: float | None = None
        self._under_way = UnderWay(self._failed)
        self._client = AMIClient(
            endpoint,
            reactor,
            account,
            Callbacks(self._on_event, self._on_up, self._on_down, on_forged=self._on_forged),
            wanted=EVENTS | SPY_EVENTS,
            event_classes=EVENT_CLASSES,
            needs=ACTIONS,
            # A reload may revoke many spies at once, with three actions each and a question.
            limits=AMILimits(
                max_in_flight=MAX_IN_FLIGHT, max_list_items=MAX_LIST_ITEMS, max_list_bytes=MAX_LIST_BYTES
            ),
            log=log.bind(node=node),
        )

    # ---- life ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Connect, and stay connected."""
        self._client.startService()

    async def stop(self) -> None:
        """Disconnect. Lists that are on their way are not awaited: a PBX that hangs does not hold up a stop."""
        self._stopping = True
        self._cancel_sync()
        if self._sync_running is not None:
            self._sync_running.cancel()
        await self._client.stopService()
        await self._under_way.idle()

    @property
    def state(self) -> State:
        """How the connection stands."""
        return self._client.state

    @property
    def dropped(self) -> int:
        """Events that came and were not wanted."""
        return self._client.dropped

    @property
    def strays(self) -> int:
        """Answers that came and belonged to no action."""
        return self._client.strays

    @property
    def forged(self) -> int:
        """Messages that came and that Asterisk cannot have written."""
        return self._client.forged

    # ---- what is asked ---------------------------------------------------------------------------------

    def stale(self) -> Stale | None:
        """Return why the live picture cannot be trusted, or None."""
        return self.index.stale(self.node)

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """Return what an agent's devices are doing."""
        return self.index.devices_of(self.node, agent, self._hint_context())

    def channel(self, uniqueid: str) -> Channel | Stale | None:
        """Return a channel; None when there is no such one."""
        return self.index.channel(self.node, uniqueid)

    def partners_of(self, uniqueid: str) -> tuple[Channel, ...] | Stale:
        """Return who hears a channel and is heard by it."""
        return self.index.peers_of(self.node, uniqueid)

    def origin_of(self, uniqueid: str) -> Origin | Stale | None:
        """Return where an agent's call came from, by the agent's channel."""
        return self.index.origin_of(self.node, uniqueid)

    def at_device(self, device: str) -> AtDevice | Stale:
        """Return the extensions that a device belongs to now."""
        return self.index.at_device(self.node, device)

    def bridge_of(self, uniqueid: str) -> BridgeId | None:
        """Return the bridge that a channel is in, as far as is known."""
        bridge = self.index.bridge_of(self.node, uniqueid)
        return None if bridge is None or isinstance(bridge, Stale) else BridgeId.read(bridge.id)

    def members_with(self, uniqueid: str) -> frozenset[str] | None:
        """Return the names of the other channels in the bridge of a channel; None while the picture is in doubt."""
        bridge = self.index.bridge_of(self.node, uniqueid)
        if isinstance(bridge, Stale):
            return None
        members = () if bridge is None else bridge.members
        found = (self.channel(member) for member in members if member != uniqueid)
        return frozenset(one.name for one in found if isinstance(one, Channel))

    def endpoints(self) -> tuple[str, ...] | Stale:
        """Return the devices that have a channel."""
        return self.index.endpoints(self.node)

    async def is_fresh(self) -> bool:
        """Return whether the PBX was heard a moment ago, or answers now. False: the picture cannot be trusted."""
        if self._reactor.seconds() - self._heard_at <= FRESH_SECONDS or await self.answers():
            return True
        if self.stale() is None:
            self._distrust("no answer")
            self._sync_within(RETRY_SECONDS)
        return False

    async def answers(self) -> bool:
        """Ask whether the PBX is there. With the answer all that it has told before has come as well."""
        try:
            await self._client.perform(action("Ping"), FRESH_SECONDS)
        except AgiMonitorError:
            return False
        self._heard_at = self._reactor.seconds()
        return True

    async def variable(self, channel: Uniqueid, name: str) -> str | None:
        """Return a variable or function of a channel; empty when it is not set, None when there is no such channel.

        Raises:
            Disconnected, NoAnswer: the PBX could not be asked, or says no to every question, as while it is stopped.
            ForgedAnswer: the value holds a line break, so it is not clear where it ends.
        """
        try:
            answer = await self._client.perform(action("Getvar", ("Channel", channel), ("Variable", name)))
        except PermissionDenied:
            raise
        except ActionFailed:
            # Its words are for people. A question about no channel tells a channel that is gone from a PBX that is.
            await self._must_answer()
            return None
        return answer.message.text("Value")

    async def peers(self, channel: Uniqueid) -> frozenset[str]:
        """Return the names of who is in a bridge with a channel; empty where it is in none.

        Asterisk joins the names of more than one with commas, and a Local channel is called as it was dialled: its
        name may hold commas as well, and between them the name of anyone. So of two the bridge itself tells the
        other one, and of more each who may be named so has to say that the channel is there.

        Raises:
            Disconnected, NoAnswer: as ``variable``.
            ForgedAnswer: it cannot be told who is there.
        """
        text = await self.variable(channel, "BRIDGEPEER") or ""
        names = frozenset(text.split(",")) - {""}
        if len(names) < 2 or all(DeviceChannel.read(name) for name in names):
            return names
        only = await self.variable(channel, "CHANNEL(peer)")
        if only:
            return frozenset({only})
        own = await self.variable(channel, "CHANNEL(name)")
        for name in names:
            if not name.startswith(INTERNAL) and own not in (await self.variable_of(name, "BRIDGEPEER")).split(","):
                raise ForgedAnswer("Getvar")
        return names

    async def variable_of(self, name: str, variable: str) -> str:
        """Return a variable of a channel that is known by its name alone; empty when the channel is gone.

        Raises:
            Disconnected, NoAnswer: as ``variable``.
            ForgedAnswer: the value holds a line break, or the name cannot be asked for.
        """
        channel = ChannelName.read(name)
        if channel is None:
            raise ForgedAnswer("Getvar")
        try:
            answer = await self._client.perform(action("Getvar", ("Channel", channel), ("Variable", variable)))
        except ForgedAnswer:
            raise
        except ActionFailed:
            return ""
        return answer.message.text("Value")

    async def _must_answer(self) -> None:
        try:
            await self._client.perform(action("Getvar", ("Variable", ALWAYS)))
        except PermissionDenied:
            raise
        except ActionFailed as error:
            raise Disconnected(f"the PBX says no to every question: {error.text}") from error

    async def is_member(self, agent: Agent, device: str) -> bool:
        """Ask the queues themselves whether one of them watches a device for an agent.

        Parameters:
            agent: the agent.
            device: such as ``PJSIP/1001``.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be asked.
        """
        for queue, interface in self.index.members_of(self.node, agent):
            asked = action("QueueStatus", ("Queue", queue), ("Member", interface))
            answer = await self._client.perform_list(asked)
            if not answer.is_whole:
                continue
            for watched in watched_now(agent, (item.message for item in answer.items)):
                if device == watched or (isinstance(watched, Hint) and device in await self._hinted(watched)):
                    return True
        return False

    async def hides_owner(self, device: str) -> bool:
        """Ask the queues and the hints themselves whether one has a device still that an event has taken from it.

        Only an event says that an agent logged out, and callers write into events. The agent who is still there may
        be protected.

        Parameters:
            device: such as ``PJSIP/1001``.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be asked.
        """
        doubtful = self.index.doubtful_at(self.node, device)
        if not doubtful.is_whole:
            # The next lists say it of all of them at once.
            self.missed()
            return True
        for hint in doubtful.hints:
            if device in await self._hinted(hint):
                # After a reload an event that comes late names the devices of before: the lists are on their way.
                return True
        for queue, interface in doubtful.members:
            answer = await self._client.perform_list(action("QueueStatus", ("Queue", queue), ("Member", interface)))
            if not answer.is_whole:
                return True
            items = [item.message for item in answer.items]
            for watched in self.index.contradicted_by(self.node, queue, interface, items):
                if device == watched or (isinstance(watched, Hint) and device in await self._hinted(watched)):
                    self.contradicted("QueueMemberRemoved")
                    return True
        return False

    async def _hinted(self, hint: Hint) -> tuple[str, ...]:
        asked = action("Getvar", ("Variable", f"HINT({hint.extension}@{hint.context})"))
        return hinted((await self._client.perform(asked)).message.text("Value"))

    async def channels(self) -> tuple[Message, ...]:
        """Ask for all channels as they are now: the items of CoreShowChannels, and those that a list cannot show.

        Raises:
            Disconnected, NoAnswer, ActionFailed, ForgedAnswer: the PBX could not be asked.
        """
        answer = await self._client.perform_list(action("CoreShowChannels"))
        listed = tuple(item.message for item in answer.items)
        if answer.is_whole:
            return listed
        found, _ = await self._missing(listed)
        return (*listed, *found)

    async def is_merged_into(self, bridge: BridgeId) -> bool:
        """Return whether Asterisk can merge a call into a bridge: into none but those that ``Dial``, ``Queue`` and
        ``Bridge`` make. A conference, the parking and a bridge of ARI are of other types (the name of
        ``v_table`` of bridge_basic.c; app_confbridge.c, parking_bridge.c and res_stasis.c forbid merges).

        Raises:
            Disconnected, NoAnswer, ActionFailed, ForgedAnswer: the PBX could not be asked.
        """
        answer = await self._client.perform_list(action("BridgeList"))
        items = (item.message for item in answer.items)
        return any(item.text("BridgeUniqueid") == bridge and item.text("BridgeType") == MERGED for item in items)

    # ---- what is done ----------------------------------------------------------------------------------

    async def hang_up(self, channel: Confirmed) -> None:
        """Hang a channel up. One that has ended since it was confirmed is what was wanted.

        Raises:
            Disconnected, NoAnswer, ActionFailed: the PBX could not be told, or refuses and the channel is there.
        """
        try:
            await self._client.perform(action("Hangup", ("Channel", channel.uniqueid)))
        except PermissionDenied:
            raise
        except ActionFailed:
            if await self.variable(channel.uniqueid, ALWAYS) is not None:
                raise

    async def mute(self, channel: Confirmed) -> None:
        """Silence a channel until MUTEAUDIO is set to off, whatever application runs on it: what its device hears,
        and what it says, in one action (res_mutestream.c, mute_channel).

        Raises:
            as ``hang_up``.
        """
        where = ("Channel", channel.uniqueid)
        await self._client.perform(action("Setvar", where, ("Variable", "MUTEAUDIO(all)"), ("Value", "on")))

    async def press(self, channel: Confirmed, key: str) -> None:
        """Press a key as if the channel's device had.

        Raises:
            as ``hang_up``.
        """
        where = ("Channel", channel.uniqueid)
        await self._client.perform(action("PlayDTMF", where, ("Digit", key), ("Duration", "80"), ("Receive", "true")))

    async def remove(self, channel: Confirmed, bridge: BridgeId) -> None:
        """Take a channel out of a bridge; what runs on it continues after that.

        Raises:
            as ``hang_up``.
        """
        where = ("Channel", channel.uniqueid)
        await self._client.perform(action("BridgeKick", ("BridgeUniqueid", bridge), where))

    # ---- the connection --------------------------------------------------------------------------------

    def _on_up(self) -> None:
        self._is_told = self._has_booted = False
        if self.watcher is not None:
            self.watcher.connected()
        self._sync_now()

    def _on_down(self) -> None:
        self._cancel_sync()
        self._distrust("the connection is lost")

    def _distrust(self, why: str) -> None:
        self.index.lost(self.node)
        self._tell_trust(why)

    def _tell_trust(self, why: str = "") -> None:
        """Say it when the picture is no longer to be trusted, or is again."""
        stale, told = self.stale(), self._told
        if stale is told or self._stopping:
            return
        self._told = stale
        self.changed.ring()
        if stale is None:
            calls = self.index.calls(self.node)
            channels = 0 if isinstance(calls, Stale) else sum(len(call.channels) for call in calls)
            log.info("pbx_synced", node=self.node, channels=channels)
            self._record(PbxSynced(at=self._now(), node=self.node, channels=channels))
        elif told is None or stale in _WHY:
            why = why or _WHY[stale]
            log.warning("pbx_lost", node=self.node, why=why)
            self._record(PbxLost(at=self._now(), node=self.node, why=why))
        if stale is Stale.DEAF:
            for name in sorted(self.index.unheard(self.node)):
                log.error("ami_class_missing", line="read", classes="call", needed_for=name)

    def _on_event(self, event: Event) -> None:
        self._heard_at = self._reactor.seconds()
        self.index.apply(self.node, event.message)
        self._tell_trust()
        if self.watcher is not None:
            self.watcher.take(event.name, event.message)
        self.changed.ring()
        if event.name == BOOTED and not self._has_booted:
            # It comes once behind each login.
            self._has_booted = True
            self._sync_now()
        elif event.name in RESYNC_EVENTS:
            self._is_told = True
            if not self._syncing:
                self._sync_within(self._told_lists.due(self._reactor.seconds()))
        elif not self._syncing and self.index.wants_lists(self.node):
            self._is_told = True
            self._sync_within(max(RETRY_SECONDS, self._told_lists.due(self._reactor.seconds())))

    # ---- the lists -------------------------------------------------------------------------------------

    def _sync_now(self) -> None:
        self._cancel_sync()
        if self._syncing:
            self._sync_again = True
            return
        self._syncing = True
        self._sync_running = self._under_way.begin(self._sync())

    async def _sync(self) -> None:
        listed = False
        try:
            listed = await self._sync_once()
        except AgiMonitorError as error:
            log.warning("index_not_listed", node=self.node, error=str(error))
            if isinstance(error, NoAnswer):
                # A PBX that does not answer may not tell what happens either.
                self._distrust("no answer")
        finally:
            # Also after a fault of this program: the next list comes all the same.
            self._syncing = False
            self._not_listed = 0 if listed else self._not_listed + 1
            self._next()

    def _next(self) -> None:
        if self._stopping:
            return
        if self._sync_again:
            self._sync_again = False
            self._sync_now()
        elif isinstance(self.state, Up):
            seconds = self._resync_seconds
            if self._not_listed:
                seconds = min(RETRY_SECONDS * 2 ** min(self._not_listed - 1, 10), MAX_RETRY_SECONDS)
            elif self._is_told or self.index.wants_lists(self.node):
                least = 0.0 if self._is_told else RETRY_SECONDS
                self._is_told = True
                seconds = max(least, self._told_lists.due(self._reactor.seconds()))
            self._sync_within(seconds)

    async def _sync_once(self) -> bool:
        """Ask for all lists, and take them in. False: they have a hole."""
        if self._is_told:
            self._is_told = False
            self._told_lists.begin(self._reactor.seconds())
        if self._forged:
            self._forged_lists.begin(self._reactor.seconds())
            # Whatever was planted has come before this answer, so it is not among the events that are kept.
            await self._client.perform(action("Ping"))
        self._forged = False
        was_stale = self.stale() is not None
        asked_at = self._reactor.seconds()
        listing = self.index.resync(self.node)
        channels = await self._list("CoreShowChannels")
        lists = Lists(
            channels,
            await self._list("BridgeList"),
            await self._list("DeviceStateList"),
            await self._list("ExtensionStateList"),
            await self._list("QueueStatus"),
        )
        # Events that were made before the lists and not yet sent come before this answer.
        await self._client.perform(action("Ping"))
        if not was_stale:
            # Answers come from the events meanwhile; no look-up waits with us.
            await deferLater(self._reactor, SETTLE_SECONDS)
        if self._forged:
            await self._tell_of_unreadable(channels, asked_at)
            return False
        self.unreadable = 0
        differences = self.index.snapshot(self.node, lists, listing)
        if differences is None:
            self._sync_again = isinstance(self.state, Up)
            return True
        self.resyncs += 1
        self.differences += len(differences)
        log.debug("index_listed", node=self.node, channels=len(channels), differences=len(differences))
        for difference in differences[:MAX_LOGGED]:
            log.warning("index_difference", node=self.node, difference=difference)
        self._tell_trust()
        if self.watcher is not None:
            self.watcher.listed(channels, asked_at)
        self.changed.ring()
        return True

    async def _list(self, name: str) -> tuple[Message, ...]:
        try:
            answer = await self._client.perform_list(action(name))
        except PermissionDenied:
            raise
        except ActionFailed as error:
            if error.has_begun or name not in MODULE_LISTS:
                raise
            return ()
        if not answer.is_whole and not self._forged:
            self._doubt()
        return tuple(item.message for item in answer.items)

    # ---- what Asterisk cannot have written -------------------------------------------------------------

    def _on_forged(self, forged: Forged) -> None:
        self._take_forged(forged.name, forged.why.value)

    def missed(self) -> None:
        """Ask for the lists soon: when asked, the PBX knew of a party on a call of whom it had not told."""
        self._is_told = True
        self._sync_within(self._told_lists.due(self._reactor.seconds()))

    def contradicted(self, event: str) -> None:
        """Take in that the PBX, when asked, said the opposite of an event: that event was forged."""
        log.error("ami_forged", node=self.node, name=event, why=CONTRADICTED, unlogged=0)
        self._take_forged(event, CONTRADICTED)

    def _take_forged(self, event: str, why: str) -> None:
        now = self._reactor.seconds()
        if self._forged_recorded_at is None or now - self._forged_recorded_at >= FORGED_RECORD_SECONDS:
            self._forged_recorded_at = now
            self._record(AmiForged(at=self._now(), node=self.node, event=event, why=why))
        self._doubt()
        if self._syncing or self._not_listed:
            # The lists that come are not whole, and the wait before the next ones grows: a caller who stays on
            # the line with such a number must not keep us busy.
            return
        self._sync_within(self._forged_lists.due(now))

    def _doubt(self) -> None:
        self._forged = True
        self.index.forged(self.node)
        self._tell_trust()
        if self.watcher is not None:
            self.watcher.doubted()

    async def _tell_of_unreadable(self, channels: tuple[Message, ...], asked_at: float) -> None:
        """Let the watcher know of every channel all the same: no caller hides by the number that they call with."""
        found, whole = await self._missing(channels)
        self.unreadable = 0 if whole else 1
        if not whole:
            log.error("channels_unreadable", node=self.node)
        if self.watcher is not None:
            self.watcher.listed((*channels, *found), asked_at, whole=whole)

    async def _missing(self, channels: tuple[Message, ...]) -> tuple[list[Message], bool]:
        """Ask for the channels that a list does not have, one by one. With it, whether all of them could be had."""
        found: list[Message] = []
        try:
            names = await self._names()
        except ForgedAnswer:
            return [], False
        try:
            whole = not await self._value(f"CHANNELS({UNREADABLE})")
        except ForgedAnswer:
            whole = False
        listed = {item.text("Channel") for item in channels}
        missing = [name for name in names if name not in listed]
        if len(missing) > MAX_UNREADABLE:
            missing = await self._spying_first(missing)
        for name in missing[:MAX_UNREADABLE]:
            try:
                item = await self._item(name)
            except ForgedAnswer:
                whole = False
            else:
                found += [] if item is None else [item]
        return found, whole and len(missing) <= MAX_UNREADABLE

    async def _spying_first(self, names: list[str]) -> list[str]:
        """Put those that spy first: many others with such numbers must not hide one of them."""
        hear: list[str] = []
        others: list[str] = []
        for name in names[:MAX_APPLICATION_QUESTIONS]:
            try:
                hears = await self.variable_of(name, "CHANNEL(appname)") in HEARING or name.startswith(SNOOP)
            except ForgedAnswer:
                hears = True
            (hear if hears else others).append(name)
        return [*hear, *others, *names[MAX_APPLICATION_QUESTIONS:]]

    async def _names(self) -> list[str]:
        """Return the names of all channels, except those with a space or a line break in them.

        Asterisk makes the names of devices' channels: no caller's number is in them.

        Raises:
            ForgedAnswer: there are too many.
        """
        names: list[str] = []
        ends = [""]
        for asked, end in enumerate(ends):  # grows while it is walked
            if asked >= MAX_NAME_QUESTIONS:
                raise ForgedAnswer("Getvar")
            text = await self._value(f"CHANNELS({READABLE}{end}$)")
            if len(text) <= MAX_NAMES_TEXT:
                names += text.split()
            else:
                ends += [f"[{last}]{end}" for last in LAST_CHARACTERS]
        return names

    async def _item(self, name: str) -> Message | None:
        """Return a channel as CoreShowChannels lists it, without the numbers; None when it has ended."""
        uniqueid = Uniqueid.read(await self.variable_of(name, "UNIQUEID"))
        if uniqueid is None:
            return None
        headers = [("Event", "CoreShowChannel"), ("Channel", name), ("Uniqueid", uniqueid)]
        for header, variable in (
            ("ChannelStateDesc", "CHANNEL(state)"),
            ("Linkedid", "CHANNEL(linkedid)"),
            ("Context", "CONTEXT"),
            ("Application", "CHANNEL(appname)"),
            ("ApplicationData", "CHANNEL(appdata)"),
        ):
            try:
                headers.append((header, await self.variable(uniqueid, variable) or ""))
            except ForgedAnswer:
                # An application's arguments may hold what was dialled. That it runs is known all the same.
                headers.append((header, ""))
        return Message(tuple(headers))

    async def _value(self, function: str) -> str:
        """Return the value of a function that needs no channel."""
        answer = await self._client.perform(action("Getvar", ("Variable", function)))
        return answer.message.text("Value")

    # ---- when the lists are asked for ------------------------------------------------------------------

    def _sync_within(self, seconds: float) -> None:
        """A dialplan that was loaded again is told of by many events, and all of them want the same lists."""
        if seconds <= 0.0:
            self._sync_now()
            return
        coming = self._next_sync
        if coming is None or not coming.active() or coming.getTime() - self._reactor.seconds() > seconds:
            self._cancel_sync()
            self._next_sync = self._reactor.callLater(seconds, self._sync_now)

    def _cancel_sync(self) -> None:
        if self._next_sync is not None and self._next_sync.active():
            self._next_sync.cancel()
        self._next_sync = None

    # ---- inside ----------------------------------------------------------------------------------------

    def _record(self, fact: Fact) -> None:
        self._under_way.begin(self._audit.append(fact))

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            log.error("pbx_failed", node=self.node, error=failure.getErrorMessage())

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)
