"""May this supervisor use this mode on this agent, and which rule says so.

Deny beats allow; nothing without a rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from agi_monitor.model import Agent, Mode, Reason, Refusal, Supervisor

ALL = "all"
"""In a rule: every supervisor, or every agent."""


class Effect(StrEnum):
    """What a rule does with the modes it names."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the permissions.

    Parameters:
        name: how the audit calls it.
        effect: allow or deny.
        modes: the modes it speaks of.
        supervisors: supervisor groups, supervisor ids, or ``all``.
        agents: agent groups, extensions, or ``all``.
    """

    name: str
    effect: Effect
    modes: frozenset[Mode]
    supervisors: frozenset[str]
    agents: frozenset[str]

    def concerns(self, supervisor: Supervisor, agent: Agent, mode: Mode) -> bool:
        """Say whether this rule speaks of exactly this request."""
        return mode in self.modes and self.names_supervisor(supervisor) and self._names_agent(agent)

    def names_supervisor(self, supervisor: Supervisor) -> bool:
        """Say whether the supervisor is one of those this rule speaks of."""
        return not self.supervisors.isdisjoint({ALL, supervisor.id, *supervisor.groups})

    def _names_agent(self, agent: Agent) -> bool:
        return not self.agents.isdisjoint({ALL, agent.extension, *agent.groups})


@dataclass(frozen=True, slots=True)
class Allowed:
    """A yes, and the rule that said so."""

    rule: str


def decide(rules: Iterable[Rule], supervisor: Supervisor, agent: Agent, mode: Mode) -> Allowed | Refusal:
    """Decide one request.

    Returns:
        ``Allowed`` with the first allowing rule, or a ``Refusal`` whose detail names the denying rule
        (none, when nothing allows it).
    """
    allowing = None
    for rule in rules:
        if not rule.concerns(supervisor, agent, mode):
            continue
        if rule.effect is Effect.DENY:
            return Refusal(Reason.MODE_DENIED, f"rule {rule.name}")
        allowing = allowing or rule
    if allowing is None:
        return Refusal(Reason.MODE_DENIED, "no rule allows it")
    return Allowed(allowing.name)
