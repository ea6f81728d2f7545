"""What is put into the audit is told to anyone who listens, after it was kept."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from agi_monitor.audit.bulletin import Bulletin
from agi_monitor.audit.facts import Fact, ServerStopped
from agi_monitor.errors import AuditUnavailable
from tests.doubles.coroutines import finish

FACT = ServerStopped(at=datetime(2026, 1, 1, tzinfo=UTC))


class Audit:
    """Keeps facts, or cannot."""

    def __init__(self, told: list[object]) -> None:
        self.told = told
        self.broken = False

    async def append(self, fact: Fact) -> None:
        if self.broken:
            raise AuditUnavailable("the disk is full")
        self.told.append("kept")


def test_tells_after_it_was_kept() -> None:
    """Each listener gets the record, in the order of their coming, and only when it is on disk."""
    told: list[object] = []
    bulletin = Bulletin(Audit(told))
    bulletin.subscribe(lambda record: told.append(("one", record)))
    bulletin.subscribe(lambda record: told.append(("two", record)))
    finish(bulletin.append(FACT))
    assert told == ["kept", ("one", FACT.record()), ("two", FACT.record())]


def test_does_not_tell_what_could_not_be_kept() -> None:
    """What gates has not happened then, and its error goes to who wanted it."""
    told: list[object] = []
    audit = Audit(told)
    audit.broken = True
    bulletin = Bulletin(audit)
    bulletin.subscribe(told.append)
    with pytest.raises(AuditUnavailable):
        bulletin.append(FACT).send(None)
    assert told == []


def test_a_listener_that_leaves_hears_no_more() -> None:
    """Once or twice, and from inside its own call as well; the others keep listening."""
    told: list[str] = []
    bulletin = Bulletin(Audit([]))

    def once(record: Mapping[str, object]) -> None:
        told.append("once")
        leave()

    leave = bulletin.subscribe(once)
    bulletin.subscribe(lambda record: told.append("always"))
    same = bulletin.subscribe(lambda record: told.append("never"))
    same()
    finish(bulletin.append(FACT))
    finish(bulletin.append(FACT))
    leave()
    assert told == ["once", "always", "always"]
