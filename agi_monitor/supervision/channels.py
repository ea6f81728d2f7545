"""ChannelIndex: the live picture of the calls of one or many PBXs, and when it must not be trusted.

The wire subscribes to events first and asks for the lists then::

    listing = index.resync(node)                        # before CoreShowChannels is sent
    index.apply(node, event)                            # each event, as it comes, all the time
    index.snapshot(node, channels, bridges, listing)    # when the lists are there
    index.lost(node)                                    # when the connection is not

Events that come after ``resync`` are applied at once and kept, and applied again on top of the list. So it matters
neither how much newer they are than the list nor, because each of them only sets what it says, how much older.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

from agi_monitor.supervision.calls import Bridge, Call, Channel, Headers, NodeCalls, Outcome
from agi_monitor.supervision.targets import AgentDevices

MAX_KEPT_EVENTS = 50_000
"""Events kept while a list is on its way: some ten seconds of a PBX that sets up a hundred calls a second."""


class Stale(StrEnum):
    """Why nothing is said about a PBX."""

    NEVER_LISTED = "never_listed"
    """It is not known, or its first list has not come yet."""
    LOST = "lost"
    """The connection was lost, and no list has come since."""
    TOO_MANY = "too_many"
    """It has more channels than are kept, so some are missing."""


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
        """Say that the lists are about to be asked for; events are kept from now on.

        Another list that is still on its way for this PBX is given up, but not what was kept for it: who went on
        hold meanwhile, on a channel that no list has told of yet, is in no later list either.

        Returns:
            what ``snapshot`` is to be given.
        """
        self._listings += 1
        known = self._node(node)
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
        return known.apply(event)

    def snapshot(self, node: str, channels: Iterable[Headers], bridges: Iterable[Headers], listing: int) -> bool:
        """Take in the lists, and on top of them every event that came since they were asked for.

        Events that are older than the list but come after it may let a channel step back for a moment, until the last
        of them has come. A wire that sends Ping behind the lists, and waits for the answer before it calls this,
        has them all (manager.c sends queued events between two actions).

        Parameters:
            node: the PBX that they are of.
            channels: the items of CoreShowChannels: channels, and which bridge each is in.
            bridges: the items of BridgeList, or the BridgeInfoComplete of each BridgeInfo: what each bridge is.
            listing: what ``resync`` returned.

        Returns:
            False: the list was given up (another was asked for, the connection was lost, or more than
            ``MAX_KEPT_EVENTS`` came meanwhile). Nothing has changed; ask again.
        """
        known = self._node(node)
        if known.listing != listing:
            return False
        kept, known.listing, known.kept = known.kept, None, []
        known.stale = None if known.calls.replace(channels, bridges) else Stale.TOO_MANY
        for event in kept:
            known.apply(event, again=True)
        return True

    def lost(self, node: str) -> None:
        """Say that the connection is lost: events are missed, and no answer is given until the next list."""
        known = self._node(node)
        known.listing, known.kept = None, []
        known.stale = known.stale if known.stale is Stale.NEVER_LISTED else Stale.LOST
        # No list tells who is on hold, so what was missed of that would never be made good.
        known.calls.forget_told()

    # ---- what is asked ---------------------------------------------------------------------------------

    def stale(self, node: str) -> Stale | None:
        """Say why nothing is said about a PBX, or None."""
        known = self._nodes.get(node)
        return Stale.NEVER_LISTED if known is None else known.stale

    def is_stale(self, node: str) -> bool:
        """Say whether the picture of this PBX must not be trusted."""
        return self.stale(node) is not None

    def devices(self, node: str, endpoints: tuple[str, ...], *, reachable: bool) -> AgentDevices | Stale:
        """Return what an agent's devices are doing, as ``targets.candidates`` takes it.

        As ``device_channels`` finds it over AGI, with one difference: where a Local channel is in the bridge, the
        peers are those at its far end, unless it ends in an application.

        Parameters:
            node: the PBX.
            endpoints: the agent's devices.
            reachable: one of them is registered. The index knows calls and no registrations; a device on a call
                is reachable in any case.
        """
        calls = self._trusted(node)
        if isinstance(calls, Stale):
            return calls
        channels = tuple(
            channel for endpoint in dict.fromkeys(endpoints) for channel in calls.device_channels(endpoint)
        )
        return AgentDevices(endpoints, channels, reachable or bool(channels))

    def channels_of(self, node: str, endpoint: str) -> tuple[Channel, ...] | Stale:
        """Return the legs of one device, in the order of their names."""
        calls = self._trusted(node)
        return calls if isinstance(calls, Stale) else calls.channels_of(endpoint)

    def bridge_of(self, node: str, uniqueid: str) -> Bridge | Stale | None:
        """Return the bridge of a channel; None when it is in none, or there is no such channel."""
        calls = self._trusted(node)
        return calls if isinstance(calls, Stale) else calls.bridge_of(uniqueid)

    def calls(self, node: str) -> tuple[Call, ...] | Stale:
        """Return all calls of a PBX. The only answer whose time grows with their number."""
        calls = self._trusted(node)
        return calls if isinstance(calls, Stale) else calls.calls()

    def counts(self, node: str) -> Mapping[Outcome, int]:
        """Count the events of a PBX by what became of them."""
        known = self._nodes.get(node)
        return {outcome: 0 if known is None else known.counts[outcome] for outcome in Outcome}

    def _node(self, node: str) -> _Node:
        known = self._nodes.get(node)
        if known is None:
            known = self._nodes[node] = _Node()
        return known

    def _trusted(self, node: str) -> NodeCalls | Stale:
        known = self._nodes.get(node)
        if known is None:
            return Stale.NEVER_LISTED
        return known.calls if known.stale is None else known.stale


class _Node:
    def __init__(self) -> None:
        self.calls = NodeCalls()
        self.stale: Stale | None = Stale.NEVER_LISTED
        self.counts: Counter[Outcome] = Counter()
        self.listing: int | None = None
        self.kept: list[Headers] = []

    def apply(self, event: Headers, *, again: bool = False) -> Outcome:
        outcome = self.calls.apply(event)
        if not again:
            self.counts[outcome] += 1
        if outcome is Outcome.TOO_MANY and self.stale is None:
            self.stale = Stale.TOO_MANY
        return outcome
