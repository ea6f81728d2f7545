"""A selection of records: the same words for the command line and for a legal hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

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
            _is_one_of(record.get("supervisor"), self.supervisors)
            and _is_one_of(record.get("extension"), self.agents)
            and _is_one_of(record.get("fact"), self.facts)
            and _is_one_of(record.get("call"), self.calls)
        )


def _is_one_of(value: object, wanted: frozenset[str]) -> bool:
    """Whether one of these is asked for, or nothing; a record that was changed may have anything there."""
    return not wanted or (isinstance(value, str) and value in wanted)


def time_of(record: Row) -> datetime | None:
    """When it happened, or None."""
    try:
        at = datetime.fromisoformat(str(record.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def moment(text: str, *, end: bool = False, today: date | None = None) -> datetime:
    """Read a time as people write it: a month, a day, or a day and a time.

    Without a zone it is in that of this machine.

    Parameters:
        text: such as ``2026-01``, ``2026-01-31``, ``2026-01-31T08:00`` or ``2026-01-31T08:00+01:00``; with ``today``
            also ``today``, ``yesterday``, ``this month`` and ``last month``.
        end: of a day or a month, its end is meant.
        today: the day on which it is read.

    Raises:
        ValueError: the text is not one.
    """
    try:
        day, after = _period(text, today)
        at = datetime.combine(after if end else day, time()) if day is not None else datetime.fromisoformat(text)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Wrong(
            text,
            "no time such as 2026-01, 2026-01-31, 2026-01-31T08:00 or 2026-01-31T08:00+01:00"
            + ("; nor today, yesterday, this month or last month" if today is not None else ""),
        ) from None


def month(text: str, today: date) -> tuple[datetime, datetime]:
    """Return when a month begins and ends, on this machine.

    Parameters:
        text: such as ``2026-01``, ``this`` or ``last``.
        today: the day on which it is read.

    Raises:
        ValueError: the text is not one.
    """
    text = f"{text} month" if text in ("this", "last") else text
    if re.fullmatch("[0-9]{4}-[0-9]{2}", text) is None and text not in ("this month", "last month"):
        raise _Wrong(text, "no month such as 2026-01, this or last")
    return moment(text, today=today), moment(text, end=True, today=today)


def _period(text: str, today: date | None) -> tuple[date | None, date]:
    """The day that a period of days begins on, and the one after it; None where the text is not a day."""
    one = timedelta(days=1)
    first = date.min if today is None else today.replace(day=1)
    if today is not None and text in ("today", "yesterday"):
        day = today if text == "today" else today - one
        return day, day + one
    if today is not None and text in ("this month", "last month"):
        day = first if text == "this month" else (first - one).replace(day=1)
        return day, _next_month(day)
    if re.fullmatch("[0-9]{4}-[0-9]{2}", text):
        day = date.fromisoformat(f"{text}-01")
        return day, _next_month(day)
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        day = date.fromisoformat(text)
        return day, day + one
    return None, date.min


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


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
