"""A selection of records: the same words for the command line and for a legal hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Row = Mapping[str, object]
"""A record as it was read."""


MAX_HOLDS = 10_000
"""Legal holds in one file; every old record is compared with each."""


class _Wrong(ValueError):
    """A word is not what it should be.

    Parameters:
        word: as it stands there.
        why: the rest of the sentence. It repeats nothing of the word.
    """

    def __init__(self, word: str, why: str) -> None:
        super().__init__(f"{word}: {why}")
        self.why = why


@dataclass(frozen=True, slots=True)
class Selection:
    """What a record must have to be wanted. What is empty or None is not asked.

    Parameters:
        begin: it happened then or later.
        end: it happened before.
        supervisors: one of these ids.
        agents: one of these extensions.
        facts: one of these names.
        calls: one of these calls of supervisors.
    """

    begin: datetime | None = None
    end: datetime | None = None
    supervisors: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()
    facts: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()

    def wants(self, record: Row) -> bool:
        """Whether this record is wanted. One without a readable time happened at no time."""
        if self.begin is not None or self.end is not None:
            at = time_of(record)
            if at is None or (self.begin and at < self.begin) or (self.end and at >= self.end):
                return False
        return (
            (not self.supervisors or record.get("supervisor") in self.supervisors)
            and (not self.agents or record.get("extension") in self.agents)
            and (not self.facts or record.get("fact") in self.facts)
            and (not self.calls or record.get("call") in self.calls)
        )


def time_of(record: Row) -> datetime | None:
    """When it happened, or None."""
    try:
        at = datetime.fromisoformat(str(record.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def moment(text: str, *, end: bool = False) -> datetime:
    """Read a time as people write it: a date, or a date and a time. Without a zone it is in that of this machine.

    Parameters:
        text: such as ``2026-01-31``, ``2026-01-31T08:00`` or ``2026-01-31T08:00+01:00``.
        end: a date means the end of that day.

    Raises:
        ValueError: the text is not one.
    """
    try:
        at = datetime.fromisoformat(text)
        if end and len(text) == len("2026-01-31"):
            at += timedelta(days=1)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong(text, "no time such as 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00+01:00") from None


def hold(text: str) -> Selection:
    """Read a legal hold: words such as ``supervisor=anna agent=1001 from=2026-01-01``, all of which must match.

    Parameters:
        text: ``supervisor``, ``agent``, ``fact`` and ``call`` may come more than once, ``from`` and ``to`` once.

    Raises:
        ValueError: the text is not one.
    """
    words: dict[str, list[str]] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or not value or name not in ("supervisor", "agent", "fact", "call", "from", "to"):
            raise _Wrong(word, "must be supervisor=, agent=, fact=, call=, from= or to= and a value")
        words.setdefault(name, []).append(value)
    if not words:
        raise ValueError("an empty hold would hold everything")
    if len(words.get("from", [])) > 1 or len(words.get("to", [])) > 1:
        raise ValueError("from and to may stand there once")
    return Selection(
        begin=moment(words["from"][0]) if "from" in words else None,
        end=moment(words["to"][0], end=True) if "to" in words else None,
        supervisors=frozenset(words.get("supervisor", ())),
        agents=frozenset(words.get("agent", ())),
        facts=frozenset(words.get("fact", ())),
        calls=frozenset(words.get("call", ())),
    )


def holds(lines: str) -> list[Selection]:
    """Read a file of legal holds, one a line; ``#`` begins a comment.

    Raises:
        ValueError: a line cannot be read as a hold, the file has no holds, or it has too many. The message does not
            quote the line: the file may be the wrong one, and root can read any.
    """
    found = []
    for number, line in enumerate(lines.splitlines(), 1):
        text = line.partition("#")[0].strip()
        try:
            if text:
                found.append(hold(text))
        except _Wrong as error:
            raise ValueError(f"line {number}: {error.why}") from None
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if len(found) > MAX_HOLDS:
            raise ValueError(f"line {number}: there are more than {MAX_HOLDS} holds")
    if not found:
        raise ValueError("no hold is in it")
    return found
