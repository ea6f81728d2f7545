"""Why a request is allowed or not: the rule that decided, and every rule that was near.

``Rights.decide`` decides; each rule about the supervisor and the agent is weighed by itself to say why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agi_monitor.model import Refusal
from agi_monitor.rights.authorization import (
    UNKNOWN,
    Allowed,
    Effect,
    Obstacle,
    Rights,
    Rule,
    SpyAsk,
    Standing,
    in_words,
    standing,
)


@dataclass(frozen=True, slots=True)
class Near:
    """A rule about the supervisor and the agent of a request.

    Parameters:
        rule: the rule.
        obstacles: why it does not apply, or why that is not known; empty if it applies.
    """

    rule: Rule
    obstacles: tuple[Obstacle, ...]

    @property
    def standing(self) -> Standing:
        """Whether it applies."""
        return standing(self.obstacles)


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, and how it came to be.

    Parameters:
        request: what was asked.
        verdict: what ``Rights.decide`` says.
        by: the rule that decided; None where none allows.
        near: all rules about the supervisor and the agent, in the order of the file.
        missing: what would have to be known of the request for it to come to be allowed; empty where that cannot
            be, or where it is allowed.
    """

    request: SpyAsk
    verdict: Allowed | Refusal
    by: Rule | None
    near: tuple[Near, ...]
    missing: tuple[Obstacle, ...]


def explain(rights: Rights, request: SpyAsk) -> Explanation:
    """Explain what the rules say of a request."""
    near = tuple(Near(rule, rule.obstacles(request)) for rule in rights.near(request.supervisor, request.agent))
    denies = [one for one in near if one.rule.effect is Effect.DENY and one.standing is not Standing.DOES_NOT]
    allows = [one for one in near if one.rule.effect is Effect.ALLOW]
    verdict = rights.decide(request)
    if isinstance(verdict, Allowed):
        by = next(one.rule for one in allows if one.standing is Standing.APPLIES)
        return Explanation(request, verdict, by, near, ())
    return Explanation(request, verdict, denies[0].rule if denies else None, near, tuple(_missing(denies, allows)))


def _missing(denies: list[Near], allows: list[Near]) -> Iterator[Obstacle]:
    hopeful = [one for one in allows if one.standing is not Standing.DOES_NOT]
    if not hopeful or any(one.standing is Standing.APPLIES for one in denies):
        return
    # What only other rules that allow would need is not missing where one of them applies already.
    needed = denies if any(one.standing is Standing.APPLIES for one in hopeful) else [*denies, *hopeful]
    yield from dict.fromkeys(obstacle for one in needed for obstacle in one.obstacles if obstacle in UNKNOWN)


# ---- for people, and for machines ----------------------------------------------------------------------


def lines(explanation: Explanation) -> Iterator[str]:
    """Yield an explanation for people, line by line."""
    request = explanation.request
    who = f"{request.supervisor.id}, {request.mode}, {request.agent.extension}"
    if isinstance(explanation.verdict, Allowed):
        yield f"{who}: allowed by rule {explanation.verdict.rule}"
    else:
        kind = "it depends" if explanation.missing else "denied"
        yield f"{who}: {kind}: {explanation.verdict.detail}"
    if explanation.missing:
        yield f"Denied as long as this is so: {in_words(explanation.missing)}."
    if explanation.near:
        yield "Rules about them:"
    for one in explanation.near:
        yield f"  {one.rule.effect:<5}  {one.rule.name}: {_sentence(one)}"


def _sentence(near: Near) -> str:
    if near.standing is Standing.APPLIES:
        return "applies"
    said = in_words(near.obstacles)
    if near.standing is Standing.DOES_NOT:
        return f"does not apply: {said}"
    return f"{'denies' if near.rule.effect is Effect.DENY else 'does not allow'}, because {said}"


def record(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation for machines, as values of JSON."""
    request, verdict = explanation.request, explanation.verdict
    return {
        "allowed": isinstance(verdict, Allowed),
        "rule": None if explanation.by is None else explanation.by.name,
        "reason": None if isinstance(verdict, Allowed) else verdict.reason,
        "detail": "" if isinstance(verdict, Allowed) else verdict.detail,
        "missing": list(explanation.missing),
        "request": {
            "supervisor": request.supervisor.id,
            "mode": request.mode,
            "agent": request.agent.extension,
            "scan": request.scan,
            "at": None if request.at is None else request.at.isoformat(),
            "queue": request.queue,
            "direction": request.direction,
            "reason": request.reason,
            "listeners": request.listeners,
            "heard_seconds": request.heard_seconds,
        },
        "near": [
            {
                "rule": one.rule.name,
                "effect": one.rule.effect,
                "standing": one.standing,
                "obstacles": list(one.obstacles),
            }
            for one in explanation.near
        ],
    }
