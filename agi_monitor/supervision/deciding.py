"""Whether a supervisor may hear an agent's call, by everything that is known now.

Nothing is waited for in here. Whatever is waited for elsewhere, a decision of before is worth nothing after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from agi_monitor.live import targets
from agi_monitor.live.calls import Origin
from agi_monitor.live.targets import DeviceChannel, Source
from agi_monitor.model import Agent, Barge, Mode, Reason, Refusal
from agi_monitor.names import endpoint_of
from agi_monitor.rights.circumstances import Circumstances
from agi_monitor.supervision import origins
from agi_monitor.supervision.grant import Place
from agi_monitor.supervision.grant_watch import ManagerInterface
from agi_monitor.supervision.hooks import Asked
from agi_monitor.supervision.line import SupervisorLine
from agi_monitor.supervision.live_circumstances import LiveCircumstances
from agi_monitor.supervision.owners import other_owner_refuses
from agi_monitor.supervision.policy import Permitted, Policy


@dataclass(frozen=True, slots=True)
class Spyee:
    """Whom it is about.

    Parameters:
        agent: the agent.
        channel: the agent's channel.
        because: why it is this channel.
        source: who knew it.
        stale: why it was not the live picture, or empty.
    """

    agent: Agent
    channel: DeviceChannel
    because: str
    source: Source
    stale: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """A yes.

    Parameters:
        permitted: by which rule, for whom.
        place: among those who hear the call. It is not taken yet.
    """

    permitted: Permitted
    place: Place


class Deciding:
    """Decides about the spies of one supervisor's call.

    Parameters:
        line: the supervisor's.
        manager: the PBX as its manager interface shows it.
    """

    def __init__(self, line: SupervisorLine, manager: ManagerInterface) -> None:
        self._line = line
        self._live = manager.live
        self._watch = manager.watch
        self._circumstances = LiveCircumstances(manager.live, manager.watch)
        self.scan = False
        """Whether the scan came to the agent."""
        self._place: Place | None = None
        """On the call that is being heard, through all changes of mode."""
        self._reason: tuple[str, frozenset[str], str] = _NO_REASON
        """The agent's channel for which a reason was given last, who was on the call, and which reason."""

    # ---- what the supervisor has on this call ----------------------------------------------------------

    def take_place(self, place: Place) -> None:
        """Count among those who hear the call, until the place is left."""
        self._place = place
        self._watch.place_taken(place)

    def leave_place(self) -> None:
        """Count no longer."""
        if self._place is not None:
            self._watch.place_left(self._place)
        self._place = None

    def give_reason(self, channel: DeviceChannel, reason: str) -> None:
        """Take in why an agent's call is heard. It holds for this call of the agent, in every mode."""
        self._reason = (channel.uniqueid, frozenset(channel.peers), reason)

    def reason_for(self, channel: DeviceChannel) -> str:
        """Return the reason that was given for an agent's call, or an empty text.

        The agent's channel may outlive the call: one of the parties must be the same.
        """
        uniqueid, parties, reason = self._reason
        return "" if uniqueid != channel.uniqueid or parties.isdisjoint(channel.peers) else reason

    def begin_another_call(self) -> None:
        """Forget the reason, and how long was heard: both were about a call that is over."""
        self._reason = _NO_REASON
        self.leave_place()

    # ---- may it be? ------------------------------------------------------------------------------------

    def possible(self, extension: str, mode: Mode, *, scan: bool, uniqueid: str = "") -> Permitted | Refusal:
        """Decide whether an agent may come to be heard, for the question whether to look further.

        Parameters:
            extension: the agent.
            mode: the mode of the spy.
            scan: whether it is the scan that asks.
            uniqueid: the agent's channel, when it is known.
        """
        now = self._line.clock()
        if uniqueid:
            place = self._place_on(uniqueid, now)
            reason = True if self._reason[0] == uniqueid else None
            known = self._circumstances.of_call(place, now, scan=scan, reason=reason, begins=place is not self._place)
        else:
            known = self._circumstances.before_the_call(now, scan=scan)
        return self._circumstances.possible(
            self._line.policy(), self._line.endpoint, self._line.identity, extension, mode, known
        )

    def decide(self, spyee: Spyee, mode: Mode, source: Origin | None = None) -> Decided | Refusal:
        """Decide whether an agent's call may be heard: the last word, for as long as nothing is waited for.

        Parameters:
            spyee: the agent and the channel that is meant.
            mode: the mode of the spy.
            source: where the call came from, by its channels; None where they were not asked.
        """
        policy, channel, now = self._line.policy(), spyee.channel, self._line.clock()
        place = self._place_on(channel.uniqueid, now)
        known = self._circumstances.of_call(
            place,
            now,
            scan=self.scan,
            reason=bool(self.reason_for(channel)),
            begins=place is not self._place,
        )
        cases = (known,) if source is None else tuple(origins.confirmed(known, source))
        decide = partial(self._permitted, policy, mode, cases)
        permitted = decide(spyee.agent.extension)
        if isinstance(permitted, Refusal):
            return permitted
        refusal = (
            _own_phone(permitted, channel)
            or targets.possible(channel, mode, policy.barge)
            or self._unwatched(policy, mode)
            or policy.protected.refusal(channel)
            or targets.uncertain(channel)
            or other_owner_refuses(policy, self._live, spyee.agent.extension, channel.name, decide)
            or self._people_lost
        )
        return Decided(permitted, place) if refusal is None else refusal

    def asked(self, spyee: Spyee, mode: Mode, permitted: Permitted) -> Asked:
        """Return what the plug-ins are told.

        Parameters:
            spyee: the agent and the channel that is meant.
            mode: the mode of the spy.
            permitted: by which rule, and who is who now.
        """
        return Asked(
            call=self._line.caller.id,
            supervisor=permitted.supervisor.id,
            supervisor_groups=permitted.supervisor.groups,
            endpoint=self._line.endpoint,
            extension=spyee.agent.extension,
            agent_groups=permitted.agent.groups,
            channel=spyee.channel.name,
            uniqueid=spyee.channel.uniqueid,
            mode=mode,
            rule=permitted.rule,
            reason=self.reason_for(spyee.channel),
            scan=self.scan,
        )

    def _permitted(
        self, policy: Policy, mode: Mode, cases: Sequence[Circumstances], extension: str
    ) -> Permitted | Refusal:
        decided = [
            policy.permitted(self._line.endpoint, self._line.identity, extension, mode, known) for known in cases
        ]
        return next((one for one in decided if isinstance(one, Refusal)), decided[0])

    def _unwatched(self, policy: Policy, mode: Mode) -> Refusal | None:
        """Refuse to join a call where nothing would tell who leaves it and who comes.

        It may become the call of agents who may not be heard.
        """
        if mode is not Mode.BARGE or policy.barge is not Barge.CONFERENCE or self._circumstances.are_live:
            return None
        return Refusal(Reason.STALE, "who leaves the call and who comes to it is not seen")

    @property
    def _people_lost(self) -> Refusal | None:
        return None if self._line.hooks is None else self._line.hooks.lost

    @property
    def _supervisor_id(self) -> str | None:
        return None if self._line.identity is None else self._line.identity.supervisor

    def _place_on(self, uniqueid: str, now: float) -> Place:
        if self._place is not None and self._place.spyee_uniqueid == uniqueid:
            return self._place
        return self._circumstances.place(self._supervisor_id or "", self._line.dialled.uniqueid, uniqueid, now)


_NO_REASON = ("", frozenset[str](), "")


def _own_phone(permitted: Permitted, channel: DeviceChannel) -> Refusal | None:
    own = endpoint_of(channel.name) in permitted.own
    return Refusal(Reason.SELF_SPY) if own else None
