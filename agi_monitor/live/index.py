"""ChannelIndex: the live picture of the calls of one or many PBXs, and when it must not be trusted.

The wire subscribes to events first and asks for the lists then::

    listing = index.resync(node)              # before CoreShowChannels is sent
    index.apply(node, event)                  # each event, as it comes, all the time
    index.snapshot(node, lists, listing)      # when the lists are there
    index.lost(node)                          # when the connection is not

Events that come after ``resync`` are applied at once and kept, and applied again on top of the list. So it matters
neither how much newer they are than the list nor, because each of them only sets what it says, how much older.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agi_monitor.live.calls import BEGIN, END, LIFE, Bridge, Call, Channel, NodeCalls, Origin, differences
from agi_monitor.live.devices import AtDevice, Doubtful, Hint, NodeDevices
from agi_monitor.live.headers import Headers, Outcome
from agi_monitor.live.over_agi import MAX_DEVICES
from agi_monitor.live.targets import AgentDevices, KnownBy, Source
from agi_monitor.model import Agent

MAX_KEPT_EVENTS = 50_000
"""Events kept while a list is on its way: some ten seconds of a PBX that sets up a hundred calls a second."""

SETTLE_SECONDS = 1.0
"""How long a wire that counts differences waits, after the lists have come, for events that are older than they are.
Events pass through threads of the PBX: under load some come a tenth of a second after the list that knew, on an
overloaded machine more than a second."""


class Stale(StrEnum):
    """Why nothing is said about a PBX."""

    NEVER_LISTED = "never_listed"
    """It is not known, or its first list has not come yet."""
    LOST = "lost"
    """The connection was lost, and no list has come since."""
    TOO_MANY = "too_many"
    """It has more channels, devices, hints or queue members than are kept, so some are missing."""
    RELOADED = "reloaded"
    """Its dialplan was loaded again, so the hints may be others. All else is known."""
    HOLD_UNKNOWN = "hold_unknown"
    """A call of this agent is older than the picture, and no event has told whether it is on hold."""
    NO_HINT = "no_hint"
    """It knows no device of this agent: the hint is one by a pattern, or in a context that another one includes."""
    FORGED = "forged"
    """It told something that Asterisk cannot have written, and no whole list has come since."""
    DEAF = "deaf"
    """A list shows that channels came or went, and no event has told of any: the account is not told of calls."""
    NO_MANAGER = ""
    """There is no manager interface, so no picture either. The records have no word for it."""


@dataclass(frozen=True, slots=True)
class Lists:
    """What a PBX says of itself when it is asked.

    Parameters:
        channels: the items of CoreShowChannels: channels, and which bridge each is in.
        bridges: the items of BridgeList, or the BridgeInfoComplete of each BridgeInfo: what each bridge is.
        device_states: the items of DeviceStateList.
        hints: the items of ExtensionStateList.
        queues: the items of QueueStatus: members, and callers who wait.
    """

    channels: Sequence[Headers]
    bridges: Sequence[Headers]
    device_states: Sequence[Headers] = ()
    hints: Sequence[Headers] = ()
    queues: Sequence[Headers] = ()


class ChannelIndex:
    """Every call of every PBX; looked up in a time that does not depend on how many there are.

    Everything is kept by PBX: a uniqueid is unique on one only. The names of the PBXs come from the configuration.
    An answer is given only for a PBX whose picture is complete; otherwise it is a ``Stale`` and no guess.
    """

    def __init__(self) -> None:
        self._nodes: dict[str, _Node] = {}
        self._listings = 0

    # ---- what is told ----------------------------------------------------------------------------------

    def resync(self, node: str) -> int:
        """Note that the lists are about to be asked for; events are kept from now on.

        Another list that is still on its way for this PBX is given up, but not the events that were kept for it: a
        hold that began meanwhile, on a channel that no list has named yet, is not in a later list either.

        Returns:
            what to pass to ``snapshot``.
        """
        self._listings += 1
        known = self._node(node)
        known.doubts_asked = known.devices.doubts
        known.listing = self._listings
        return self._listings

    def apply(self, node: str, event: Headers) -> Outcome:
        """Take in an event, in the order of its coming. Never raises, whatever the event holds.

        Parameters:
            node: the PBX that it came from.
            event: its headers, not changed afterwards.
        """
        known = self._node(node)
        if known.listing is not None:
            if len(known.kept) < MAX_KEPT_EVENTS:
                known.kept.append(event)
            else:
                known.listing, known.kept = None, []
        outcome = known.apply(event)
        known.counts[outcome] += 1
        return outcome

    def snapshot(self, node: str, lists: Lists, listing: int) -> tuple[str, ...] | None:
        """Take in the lists, and on top of them every event that came since they were asked for.

        Events that are older than the list but come after this call may let a channel step back for a moment, until
        the last of them has come, and look like differences. A wire that sends Ping behind the lists, and waits for
        the answer, has those that were queued (manager.c sends them between two actions); one that then waits for
        ``SETTLE_SECONDS`` has them all. Meanwhile the answers come from the events, so no call waits for it.

        Parameters:
            node: the PBX that they are of.
            lists: what it answered.
            listing: what ``resync`` returned.

        Returns:
            where the lists and what events had told disagreed, a line for each; empty when there was nothing to
            compare with. None: the list was given up (another was asked for, the connection was lost, or more than
            ``MAX_KEPT_EVENTS`` came meanwhile). Nothing has changed then; ask again.
        """
        known = self._node(node)
        return known.take(lists) if known.listing == listing else None

    def lost(self, node: str) -> None:
        """Note that the connection is lost: events are missed, and no answer is given until the next list."""
        known = self._node(node)
        known.listing, known.kept = None, []
        known.stale = known.stale if known.stale is Stale.NEVER_LISTED else Stale.LOST
        # Who was deaf before is so until it hears: another login has mostly the same rights.
        known.heard.clear()
        # No list tells who is on hold: what was missed of that is not known until the next Hold or Unhold.
        known.calls.forget_told()

    def forged(self, node: str) -> None:
        """Note that a message came which Asterisk cannot have written: no answer until a whole list has come.

        A list that is on its way is given up: planted text may be in it, or among the events kept for it.
        """
        self.lost(node)
        known = self._node(node)
        known.stale = known.stale if known.stale is Stale.NEVER_LISTED else Stale.FORGED

    # ---- what is asked ---------------------------------------------------------------------------------

    def stale(self, node: str) -> Stale | None:
        """Return why the picture of a PBX cannot be trusted, or None."""
        known = self._nodes.get(node)
        return Stale.NEVER_LISTED if known is None else known.stale

    def wants_lists(self, node: str) -> bool:
        """Return whether something has happened that only the next lists show, though all calls are known.

        The dialplan was loaded again: until then there is no answer about agents whose devices come from a hint. Or a
        PBX that was silent is heard now.
        """
        known = self._nodes.get(node)
        if known is None or known.stale not in (None, Stale.DEAF):
            return False
        return known.doubts_hints if known.stale is None else not known.unheard

    def unheard(self, node: str) -> frozenset[str]:
        """Return the names of events that should have come and never have: that is why it is deaf."""
        known = self._nodes.get(node)
        return frozenset() if known is None else frozenset(known.unheard)

    def is_stale(self, node: str) -> bool:
        """Return whether the picture of this PBX must not be trusted."""
        return self.stale(node) is not None

    def devices_of(self, node: str, agent: Agent, hint_context: str) -> AgentDevices | Stale:
        """Return what an agent's devices are doing, as ``targets.candidates`` takes it.

        As ``device_channels`` finds it over AGI, with one difference: the devices that a queue watches for this
        agent are theirs as well.

        Parameters:
            node: the PBX.
            agent: whose devices.
            hint_context: where the hint is, for an agent without configured endpoints and without a context of
                their own. Nothing is known here of a hint in a context that this one includes, or of a pattern.
        """
        known = self._trusted(node)
        if isinstance(known, Stale):
            return known
        devices = dict.fromkeys(agent.endpoints, KnownBy.CONFIGURED)
        if not devices:
            if known.doubts_hints:
                return Stale.RELOADED
            context = hint_context if agent.hint_context is None else agent.hint_context
            devices = dict.fromkeys(known.devices.hinted(agent.digits, context), KnownBy.HINT)
        for device in known.devices.logged_in(agent):
            if len(devices) < MAX_DEVICES:
                devices.setdefault(device, KnownBy.QUEUE)
        channels = tuple(
            channel
            for device, known_by in devices.items()
            for channel in known.calls.device_channels(device, known_by)
        )
        reachable = bool(channels) or any(known.devices.is_reachable(device) for device in devices)
        unusable = tuple(uniqueid for device in devices for uniqueid in known.calls.unusable(device))
        return AgentDevices(tuple(devices), channels, reachable or bool(unusable), Source.INDEX, unusable=unusable)

    def channel(self, node: str, uniqueid: str) -> Channel | Stale | None:
        """Return a channel; None when there is no such one."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.channel(uniqueid)

    def has_channel(self, node: str, name: str) -> bool:
        """Return whether a channel of this name was reported and its end was not, even while the picture is not to be
        trusted."""
        known = self._nodes.get(node)
        return known is not None and known.calls.has_channel(name)

    def peers_of(self, node: str, uniqueid: str) -> tuple[Channel, ...] | Stale:
        """Return who hears a channel, none when it is unknown; Local channels are followed to their far end."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.peers_of(uniqueid)

    def origin_of(self, node: str, uniqueid: str) -> Origin | Stale | None:
        """Return where an agent's call came from, by the agent's channel; None when there is no such channel."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.origin_of(uniqueid)

    def at_device(self, node: str, device: str) -> AtDevice | Stale:
        """Return the extensions that a device belongs to, by hints and logins.

        What is in doubt counts as well, a hint or the whole picture: for the question whose device it may be, the
        last answer is better than none. One owner more can only forbid.

        Parameters:
            node: the PBX.
            device: such as ``PJSIP/1001``.

        Returns:
            them; NEVER_LISTED when nothing was ever known.
        """
        known = self._nodes.get(node)
        if known is None or known.stale is Stale.NEVER_LISTED:
            return Stale.NEVER_LISTED
        return known.devices.at(device)

    def doubtful_at(self, node: str, device: str) -> Doubtful:
        """Return what had a device by the last lists, and has it no more by an event alone."""
        known = self._nodes.get(node)
        return Doubtful((), ()) if known is None else known.devices.doubtful_at(device)

    def contradicted_by(
        self, node: str, queue: str, interface: str, items: Sequence[Headers]
    ) -> tuple[str | Hint, ...]:
        """Return what a queue member watches, where it is not what events have told; none where it is.

        Parameters:
            node: the PBX.
            queue: of the member.
            interface: of the member.
            items: of QueueStatus, as they have just come.
        """
        return self._node(node).devices.contradicted_by(queue, interface, items)

    def members_of(self, node: str, agent: Agent) -> tuple[tuple[str, str], ...]:
        """Return the queue and the interface of each queue member that stands for an agent."""
        known = self._nodes.get(node)
        return () if known is None else known.devices.members_of(agent)

    def channels_of(self, node: str, endpoint: str) -> tuple[Channel, ...] | Stale:
        """Return the legs of one device, in the order of their names."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.channels_of(endpoint)

    def endpoints(self, node: str) -> tuple[str, ...] | Stale:
        """Return the devices that have a channel, in a time that grows with their number."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.endpoints()

    def bridge_of(self, node: str, uniqueid: str) -> Bridge | Stale | None:
        """Return the bridge of a channel; None when it is in none, or there is no such channel."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.bridge_of(uniqueid)

    def calls(self, node: str) -> tuple[Call, ...] | Stale:
        """Return all calls of a PBX, in a time that grows with their number."""
        known = self._trusted(node)
        return known if isinstance(known, Stale) else known.calls.calls()

    def counts(self, node: str) -> Mapping[Outcome, int]:
        """Count the events of a PBX by what became of them."""
        known = self._nodes.get(node)
        return {outcome: 0 if known is None else known.counts[outcome] for outcome in Outcome}

    def _node(self, node: str) -> _Node:
        known = self._nodes.get(node)
        if known is None:
            known = self._nodes[node] = _Node()
        return known

    def _trusted(self, node: str) -> _Node | Stale:
        known = self._nodes.get(node)
        if known is None:
            return Stale.NEVER_LISTED
        return known if known.stale is None else known.stale


class _Node:
    def __init__(self) -> None:
        self.calls = NodeCalls()
        self.devices = NodeDevices()
        self.stale: Stale | None = Stale.NEVER_LISTED
        self.counts: Counter[Outcome] = Counter()
        self.listing: int | None = None
        self.kept: list[Headers] = []
        self.heard: set[str] = set()
        """Which of ``calls.LIFE`` have come since the login."""
        self.unheard: set[str] = set()
        """Which of them should have come, and have not to this day."""
        self.doubts_asked = self.doubts_listed = 0
        """How many doubts there had been when the last lists were asked for, and when those that came were."""

    @property
    def doubts_hints(self) -> bool:
        return self.devices.doubts != self.doubts_listed

    def apply(self, event: Headers) -> Outcome:
        outcome = self.calls.apply(event)
        if outcome is Outcome.IGNORED:
            outcome = self.devices.apply(event)
        elif (name := event.get("Event")) in LIFE:
            self.heard.add(name)
            self.unheard.discard(name)
        if outcome is Outcome.TOO_MANY and self.stale is None:
            self.stale = Stale.TOO_MANY
        return outcome

    def take(self, lists: Lists) -> tuple[str, ...]:
        trusted, told = self.stale is None, self.calls.facts()
        kept, self.listing, self.kept = self.kept, None, []
        doubts, self.doubts_listed = self.devices.doubts, self.doubts_asked
        complete = self.calls.replace(lists.channels, lists.bridges, lists.queues, missed=not trusted)
        complete = self.devices.replace(lists.device_states, lists.hints, lists.queues) and complete
        self.stale = None if complete else Stale.TOO_MANY
        contradictions = self.devices.contradictions
        for event in kept:
            self.apply(event)
        # What is heard again says nothing new of itself, unless the lists say otherwise.
        self.devices.doubts = doubts + self.devices.contradictions - contradictions
        found = self.calls.facts()
        if trusted:
            missed = {BEGIN: found.keys() - told.keys(), END: told.keys() - found.keys()}
            self.unheard |= {name for name, channels in missed.items() if channels and name not in self.heard}
        if self.unheard:
            self.stale = Stale.DEAF
        return tuple(differences(told, found)) if trusted and self.stale in (None, Stale.DEAF) else ()
