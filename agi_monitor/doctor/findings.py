"""What a check is, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agi_monitor.doctor.evidence import Evidence, NotKnown


class Severity(StrEnum):
    """How bad it is."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"


class Outcome(StrEnum):
    """What came of a check."""

    FINE = "fine"
    FOUND = "found"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Check:
    """One question.

    Parameters:
        id: a slug.
        severity: of what it finds.
        title: what it looks for, as a sentence without an end.
        why: it matters.
        fix: how to.
        look: yields the evidence, a line for each finding, and nothing where all is well. Raises ``NotKnown``.
    """

    id: str
    severity: Severity
    title: str
    why: str
    fix: str
    look: Callable[[Evidence], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check.

    Parameters:
        check: which one it was.
        outcome: what came of it.
        evidence: what was found, or why it could not be checked.
    """

    check: Check
    outcome: Outcome
    evidence: tuple[str, ...] = ()

    def record(self) -> Mapping[str, object]:
        """Return the finding for machines."""
        check = self.check
        return {
            "id": check.id,
            "outcome": self.outcome,
            "severity": check.severity,
            "title": check.title,
            "evidence": list(self.evidence),
            "why": check.why,
            "mend": check.fix,
        }


def examine(checks: Iterable[Check], evidence: Evidence) -> Iterator[Result]:
    """Yield what comes of each check."""
    for check in checks:
        found: list[str] = []
        try:
            found.extend(check.look(evidence))
        except NotKnown as error:
            if not found:
                yield Result(check, Outcome.NOT_CHECKED, (str(error),))
                continue
            found.append(f"more was not checked: {error}")
        yield Result(check, Outcome.FOUND if found else Outcome.FINE, tuple(found))


def exit_code(results: Iterable[Result]) -> int:
    """Return 0 where all is well, 1 for a warning or what could not be checked, 3 for an error; notes are well."""
    worst = 0
    for result in results:
        if result.outcome is Outcome.NOT_CHECKED:
            worst = max(worst, 1)
        elif result.outcome is Outcome.FOUND:
            worst = max(worst, {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 3}[result.check.severity])
    return worst
