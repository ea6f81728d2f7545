"""agi_monitor.server.audit: from the record of the start to that of the stop, and what cannot be written between."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs
from twisted.internet.task import Clock

from agi_monitor import __version__
from agi_monitor.audit.facts import ConfigReloaded
from agi_monitor.errors import AuditUnavailable
from agi_monitor.server.audit import AUDIT_RETRY_SECONDS, AuditKeeping
from agi_monitor.server.metrics import Readings
from agi_monitor.storage.audit.sinks import MAX_WAITING
from tests.doubles.coroutines import at_once, finish

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
RELOADED = ConfigReloaded(at=AT, digest="0" * 64)


class Disk:
    """A place for the audit: a list.

    Parameters:
        refuses: whether nothing can be written to it.
    """

    where = "disk"
    slow = False

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses
        self.happened: list[str] = []

    def take(self) -> None:
        """No other has it."""
        self.happened.append("taken")

    def write(self, body: bytes, at: datetime) -> None:
        """Keep it."""
        if self.refuses:
            raise AuditUnavailable("disk: it is full")
        self.happened.append(json.loads(body)["fact"])

    def checkpoint(self, at: datetime, *, due: bool) -> None:
        """Sign what is there."""
        self.happened.append("signed")

    def close(self, at: datetime) -> None:
        """Give it back."""
        self.happened.append("closed")


class House:
    """An audit on a disk.

    Parameters:
        refuses: whether nothing can be written.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self.clock = Clock()
        self.disk = Disk(refuses=refuses)
        self.audit = AuditKeeping([self.disk], at_once, self.clock, AT.timestamp)


def test_the_life_of_a_server_is_on_record() -> None:
    """Its start before everything, its stop after it; nothing is tried afterwards."""
    house = House()
    told: list[object] = []
    house.audit.bulletin.subscribe(lambda record: told.append((record["fact"], record.get("version"))))
    finish(house.audit.start())
    finish(house.audit.bulletin.append(RELOADED))
    house.clock.advance(AUDIT_RETRY_SECONDS)
    finish(house.audit.stop())
    facts = ["server_started", "config_reloaded", "signed", "server_stopped"]
    assert house.disk.happened == ["taken", *facts, "closed"]
    assert told == [("server_started", __version__), ("config_reloaded", None), ("server_stopped", None)]
    assert not house.clock.getDelayedCalls()


def test_a_server_that_cannot_be_on_record_does_not_start() -> None:
    """What it would have put there is in the log when it is ended, and the disk is given back."""
    house = House(refuses=True)
    with capture_logs() as logs:
        with pytest.raises(AuditUnavailable, match="it is full"):
            finish(house.audit.start())
        finish(house.audit.stop())
    unwritten = [json.loads(line["record"]) for line in logs if line["event"] == "audit_record_unwritten"]
    assert [record["fact"] for record in unwritten] == ["server_started", "server_stopped"]
    assert house.disk.happened == ["taken", "closed"]
    assert not house.clock.getDelayedCalls()


def test_what_could_not_be_written_is_tried_again() -> None:
    """Every few seconds, until it is there; meanwhile it is counted."""
    house = House()
    with capture_logs() as logs:
        finish(house.audit.start())
        house.disk.refuses = True
        finish(house.audit.bulletin.append(RELOADED))
        house.clock.advance(AUDIT_RETRY_SECONDS)
        assert house.audit.readings(Readings("1.0")) == Readings("1.0", audit_waiting=1)
        house.disk.refuses = False
        house.clock.advance(AUDIT_RETRY_SECONDS)
    assert house.audit.readings(Readings("1.0")) == Readings("1.0")
    assert house.disk.happened == ["taken", "server_started", "config_reloaded", "signed"]
    assert [line["event"] for line in logs][-1] == "audit_caught_up"


def test_too_much_that_waits_is_full() -> None:
    """From that number on no call is taken."""
    house = House(refuses=True)
    with capture_logs():
        for _ in range(MAX_WAITING - 1):
            finish(house.audit.bulletin.append(RELOADED))
        assert not house.audit.is_full
        finish(house.audit.bulletin.append(RELOADED))
        assert house.audit.is_full
