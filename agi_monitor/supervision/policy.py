"""Who may do what and how spies behave, as the configuration says now."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from agi_monitor.model import (
    DEFAULT_REASONS,
    Agent,
    Barge,
    Follow,
    Identity,
    Mode,
    ModeMark,
    Orphans,
    Reason,
    Refusal,
    RogueSpies,
    ScanOrder,
    Supervisor,
)
from agi_monitor.pins.records import pin_id
from agi_monitor.rights.authorization import ALL, Allowed, Rights, Rule, SpyAsk
from agi_monitor.rights.circumstances import NOTHING, Circumstances
from agi_monitor.supervision.prompts import Prompts
from agi_monitor.supervision.protected import Protected


@dataclass(frozen=True, slots=True)
class Permitted:
    """A yes of the rules, before a call was looked for.

    Parameters:
        supervisor: the supervisor who may hear.
        agent: the agent who may be heard.
        rule: by which rule.
        own: the supervisor's own phones and the one that they call from, whose calls they cannot hear.
    """

    supervisor: Supervisor
    agent: Agent
    rule: str
    own: frozenset[str]


@dataclass(frozen=True, slots=True)
class Notice:
    """Which agents are told before a supervisor hears them.

    Parameters:
        modes: before which modes.
        agents: agent groups, extensions, or ``all``.
    """

    modes: frozenset[Mode]
    agents: frozenset[str]

    def concerns(self, agent: Agent, mode: Mode) -> bool:
        """Return whether this agent is to be told."""
        return mode in self.modes and not self.agents.isdisjoint({ALL, agent.extension, *agent.groups})


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a supervisor waits for a call.

    Parameters:
        reasons: in place of which refusals they wait for the call of the agent whom they asked for.
        seconds: how long they wait in that case.
        music: the music class that they hear while they wait; empty for that of their channel, None for no music.
        beep_seconds: between two beeps while they wait; None for no beeps.
    """

    reasons: frozenset[Reason] = frozenset()
    seconds: float = 900.0
    music: str | None = None
    beep_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ScanOf:
    """Whose calls a scan with a number comes to.

    Parameters:
        agents: agent groups, extensions, or ``all``.
        queues: if there are any, only the calls that came from one of them.
    """

    agents: frozenset[str]
    queues: frozenset[str] = frozenset()

    def names(self, agent: Agent) -> bool:
        """Return whether the scan comes to this agent."""
        return not self.agents.isdisjoint({ALL, agent.extension, *agent.groups})


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may do what, as the configuration says now.

    Parameters:
        codes: the feature code of each mode.
        supervisors: by endpoint.
        any_phone: whether supervisors may call from a phone that is assigned to no supervisor.
        agents: by ``Agent.extension``.
        rules: the permissions; ``rights`` is made of them.
        prompts: what is said.
        reasons: the digits that stand for a reason to listen, and what the audit calls it.
        barge: what carries a barge.
        follow: whom a supervisor stays with.
        scan_order: which call a scan takes next.
        protected: calls that may not be heard.
        notice: which agents are told; None for none of them.
        waiting: how a supervisor waits for a call.
        scans: whose calls a scan comes to, by its number.
        mode_mark: what a supervisor hears before another mode begins.
        hint_context: where the hints of the agents' extensions are.
        rogue: what happens to a spy without a grant.
        orphans: what happens to a spy of ours whose server died.
        exceptions: devices that may spy without a grant.
    """

    codes: Mapping[Mode, str]
    supervisors: Mapping[str, Supervisor]
    agents: Mapping[str, Agent]
    rules: tuple[Rule, ...]
    prompts: Prompts = field(default_factory=Prompts)
    reasons: Mapping[str, str] = field(default_factory=lambda: DEFAULT_REASONS)
    barge: Barge = Barge.CHANSPY
    follow: Follow = Follow.AGENT
    scan_order: ScanOrder = ScanOrder.LONGEST
    protected: Protected = field(default_factory=Protected)
    notice: Notice | None = None
    waiting: Waiting = Waiting()
    scans: Mapping[str, ScanOf] = field(default_factory=dict)
    mode_mark: ModeMark = ModeMark.NONE
    hint_context: str = "default"
    rogue: RogueSpies = RogueSpies.ALARM
    orphans: Orphans = Orphans.ADOPT
    exceptions: frozenset[str] = frozenset()
    any_phone: bool = False
    rights: Rights = field(init=False, repr=False, compare=False)
    agents_at: Mapping[str, tuple[Agent, ...]] = field(init=False, repr=False, compare=False)
    """The agents of each device, by the configuration."""
    _dialled: Mapping[str, tuple[Agent, ...]] = field(init=False, repr=False, compare=False)
    """The agents of each extension, as phones dial it: at most one of each tenant."""
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)
    """Which agent is the first, the second, the third of the site."""
    _by_id: Mapping[str, Supervisor] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rights", Rights(self.rules))
        at: dict[str, tuple[Agent, ...]] = {}
        for agent in self.agents.values():
            for endpoint in agent.endpoints:
                at[endpoint] = (*at.get(endpoint, ()), agent)
        object.__setattr__(self, "agents_at", at)
        dialled: dict[str, tuple[Agent, ...]] = {}
        for agent in self.agents.values():
            dialled[agent.digits] = (*dialled.get(agent.digits, ()), agent)
        object.__setattr__(self, "_dialled", dialled)
        object.__setattr__(self, "_by_id", {one.id: one for one in self.supervisors.values()})
        object.__setattr__(self, "_places", {extension: place for place, extension in enumerate(self.agents)})

    # ---- who it is -------------------------------------------------------------------------------------

    def assigned(self, endpoint: str, supervisor_id: str | None) -> Supervisor | Refusal:
        """Return the supervisor on a phone, if that is still the one whom it was assigned to.

        Parameters:
            endpoint: the phone.
            supervisor_id: whose phone it was, or who has named themselves on one that is assigned to no supervisor;
                None on an unassigned phone.
        """
        supervisor = self._on(endpoint, supervisor_id)
        if supervisor is None:
            return Refusal(Reason.IDENTITY_CHANGED, "the phone is not assigned to a supervisor any more")
        if supervisor.id != supervisor_id:
            return Refusal(Reason.IDENTITY_CHANGED, "the phone is assigned to another supervisor")
        return supervisor

    def identified(self, endpoint: str, identity: Identity | None) -> Supervisor | Refusal:
        """Return the supervisor on a phone, if that is still the one who gave the PIN, and it still is their PIN.

        Parameters:
            endpoint: the phone.
            identity: who gave which PIN on it; None for an unidentified caller.
        """
        supervisor = self.assigned(endpoint, None if identity is None else identity.supervisor)
        if isinstance(supervisor, Refusal):
            return supervisor
        if identity is None or pin_id(supervisor.pin_hash) != identity.pin:
            return Refusal(Reason.IDENTITY_CHANGED, "the PIN was changed")
        return supervisor

    def with_number(self, number: str) -> Supervisor | None:
        """Return the supervisor one of whose own phones has a number; None if there is none, or more than one.

        Parameters:
            number: the digits with which the name of an endpoint begins, such as those of ``PJSIP/2001``.
        """
        found = {one.id: one for endpoint, one in self.supervisors.items() if _number_of(endpoint) == number}
        return found.popitem()[1] if number and len(found) == 1 else None

    def tenant_on(self, endpoint: str, supervisor_id: str | None) -> str | None:
        """Return the tenant whose agents a supervisor means on a phone; None for an unassigned phone.

        Parameters:
            endpoint: the phone.
            supervisor_id: as in ``assigned``.
        """
        supervisor = self._on(endpoint, supervisor_id)
        return None if supervisor is None else supervisor.tenant

    def _on(self, endpoint: str, supervisor_id: str | None) -> Supervisor | None:
        found = self.supervisors.get(endpoint)
        return self._by_id.get(supervisor_id or "") if found is None and self.any_phone else found

    # ---- who is meant ----------------------------------------------------------------------------------

    def agent_for(self, tenant: str | None, digits: str) -> Agent | None:
        """Return the agent whom these digits mean: one of the supervisor's own tenant; no rule reaches across.

        Parameters:
            tenant: of the supervisor; None for an unassigned phone, on which no agent is meant.
            digits: as they were dialled or keyed in.
        """
        return next((agent for agent in self._dialled.get(digits, ()) if agent.tenant == tenant), None)

    def agents_hinted(self, context: str, digits: str) -> Iterator[Agent]:
        """Yield the agents who are found by the hint of this extension in this context."""
        for agent in self._dialled.get(digits, ()):
            # For an agent with devices of their own no hint is asked.
            own = self.hint_context if agent.hint_context is None else agent.hint_context
            if own == context and not agent.endpoints:
                yield agent

    def agents_logged_in(self, extension: str, contexts: frozenset[str]) -> Iterator[Agent]:
        """Yield the agents whose login it is when a queue member has this extension and names these contexts."""
        for agent in self._dialled.get(extension, ()):
            if agent.is_logged_in_by(extension, contexts):
                yield agent

    def in_order(self, agents: Iterable[Agent]) -> list[Agent]:
        """Return some of the agents in the order in which the site has them.

        Parameters:
            agents: of this policy.
        """
        return sorted(agents, key=lambda agent: self._places[agent.extension])

    def longest_extension(self, tenant: str | None) -> int:
        """Return how many digits the longest extension of a tenant's agents has."""
        return max((len(agent.digits) for agent in self.agents.values() if agent.tenant == tenant), default=1)

    def shortest_extension(self, tenant: str | None) -> int:
        """Return how many digits the shortest extension of a tenant's agents has."""
        return min((len(agent.digits) for agent in self.agents.values() if agent.tenant == tenant), default=1)

    # ---- what is allowed -------------------------------------------------------------------------------

    def permitted(
        self,
        endpoint: str,
        identity: Identity | None,
        extension: str,
        mode: Mode,
        known: Circumstances = NOTHING,
    ) -> Permitted | Refusal:
        """Decide whether a supervisor may hear an agent; one who is taken out of the configuration may not from then
        on.

        Parameters:
            endpoint: the supervisor's device.
            identity: who gave which PIN; None for an unidentified caller.
            extension: the agent, by ``Agent.extension``; see ``agent_for`` for what was dialled.
            mode: the mode of the spy.
            known: of the request; what is not counts against it.
        """
        return self._decide(endpoint, identity, extension, mode, known, self.rights.decide)

    def possible(
        self, endpoint: str, identity: Identity | None, extension: str, mode: Mode, known: Circumstances
    ) -> Permitted | Refusal:
        """Decide whether it may come to be permitted, once what is not known of the request is known.

        For the question whether to look further, never for the last word.

        Parameters:
            endpoint: the supervisor's device.
            identity: who gave which PIN; None for an unidentified caller.
            extension: the agent.
            mode: the mode of the spy.
            known: of the request.
        """
        return self._decide(endpoint, identity, extension, mode, known, self.rights.possible)

    def _decide(
        self,
        endpoint: str,
        identity: Identity | None,
        extension: str,
        mode: Mode,
        known: Circumstances,
        decide: Callable[[SpyAsk], Allowed | Refusal],
    ) -> Permitted | Refusal:
        supervisor = self.identified(endpoint, identity)
        if isinstance(supervisor, Refusal):
            return supervisor
        agent = self.agents.get(extension)
        if agent is None or agent.tenant != supervisor.tenant:
            # Another company's agent counts as unknown: the audit and the log say which, the phone does not.
            return Refusal(Reason.AGENT_UNKNOWN, "" if agent is None else f"of the tenant {agent.tenant or 'none'}")
        verdict = decide(
            SpyAsk(
                supervisor,
                agent,
                mode,
                known.scan,
                known.at,
                known.queue,
                known.direction,
                known.reason,
                known.listeners,
                known.heard_seconds,
            )
        )
        if isinstance(verdict, Refusal):
            return verdict
        return Permitted(supervisor, agent, verdict.rule, supervisor.endpoints | {endpoint})

    def agents_digits(self, extension: str | None, tenant: str | None = None) -> str | None:
        """Return the agent who is meant, for the records.

        Only an agent's digits are written down: the PIN may be keyed in, or even dialled, in their place.

        Parameters:
            extension: the agent, or what was dialled on the supervisor's phone.
            tenant: of the supervisor; None for an unassigned phone.
        """
        agent = None if extension is None else self.agent_for(tenant, extension)
        if agent is not None:
            return agent.extension
        agent = self.agents.get(extension or "")
        if agent is None or tenant not in (None, agent.tenant):
            # The digits may be the key of another company's agent, who was not asked for.
            return None
        return agent.extension

    def spoken_digits(self, extension: str) -> str:
        """Return what is said on the phone for an agent: what one dials for them."""
        agent = self.agents.get(extension)
        return extension if agent is None else agent.digits


def _number_of(endpoint: str) -> str:
    """Return the digits with which the name of an endpoint begins, if they are a word of it."""
    found = _NUMBER.match(endpoint.partition("/")[2])
    return "" if found is None else found[0]


_NUMBER = re.compile(r"[0-9]+(?![0-9A-Za-z])")
