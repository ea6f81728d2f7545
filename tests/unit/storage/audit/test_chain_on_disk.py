"""The chain on disk: one chain through crashes, rotation, full disks, and other writers."""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agi_monitor.audit.chain import CHECKPOINT_RECORDS, CHECKPOINT_SECONDS, Chain, read
from agi_monitor.audit.facts import Fact, ServerStopped
from agi_monitor.audit.verification import Verdict, Verification
from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.head_file import HEAD_FILE, HeadFile
from agi_monitor.storage.audit.key_file import audit_key, verifies
from agi_monitor.storage.audit.reading import files_of, in_order, lines
from agi_monitor.storage.audit.sinks import AuditSinks
from tests.doubles.audit_writer import refusal, spy
from tests.doubles.coroutines import at_once, finish

REPOSITORY = Path(__file__).resolve().parents[4]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class House:
    """A folder with an audit, the state, and a server that comes and goes.

    Parameters:
        folder: is there, and empty.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "audit.jsonl"
        self.start()

    def start(self) -> None:
        """Another run of the server; the one before, if any, was killed."""
        self.audit = AuditSinks([AuditFile(self.path, state=self.folder, signer=audit_key(self.folder))], at_once)

    def append(self, *facts: Fact) -> None:
        """Append facts."""
        for fact in facts:
            finish(self.audit.append(fact))

    def stop(self) -> None:
        """End the run as it should end."""
        finish(self.audit.append(ServerStopped(at=datetime.now(UTC))))
        finish(self.audit.close(datetime.now(UTC)))

    def verify(self) -> Verdict:
        """The verdict about all files."""
        known = HeadFile(self.folder / HEAD_FILE).read()
        assert known is not None
        verification = Verification(verifies, [audit_key(self.folder).public], [known.head])
        for path in in_order(files_of(self.path)):
            for line in lines(path):
                verification.take(path.name, line.number, line.content, line.finished)
        return verification.finish(known.closed)

    def found(self) -> list[tuple[str, int | None, int | None]]:
        """What is wrong: kind, first and last record."""
        return [(one.kind.value, one.first, one.last) for one in self.verify().findings]

    def facts(self) -> list[str]:
        """The names of the records in the current file."""
        return [json.loads(line)["fact"] for line in self.path.read_text().splitlines()]

    def calls(self, fact: str) -> set[str]:
        """The calls of all records of a fact, in all files."""
        rows = (
            json.loads(line.content) for path in files_of(self.path) for line in lines(path) if read(line.content)
        )
        return {row["call"] for row in rows if row["fact"] == fact}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty one."""
    return House(tmp_path)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The disk is full as soon as a file has this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# ---- one chain ---------------------------------------------------------------------------------------------


def test_runs_are_one_chain(house: House) -> None:
    """A server that stops and starts again continues where it was."""
    for number in range(3):
        house.append(refusal(f"{number}"), spy(f"{number}"))
        house.stop()
        house.start()
    verdict = house.verify()
    assert (verdict.findings, verdict.notes) == ((), ())
    assert verdict.head.seq == verdict.records == len(house.facts())


def test_what_a_stop_leaves_is_signed(house: House) -> None:
    """The last record of a run is a checkpoint."""
    house.append(refusal("1"))
    house.stop()
    assert house.facts() == ["refused", "server_stopped", "checkpoint"]
    assert house.verify().signed == 3


def test_what_a_crash_leaves_is_signed_by_the_next_run(house: House) -> None:
    """With its first record."""
    house.append(refusal("1"))
    house.start()
    house.append(refusal("2"))
    assert house.facts() == ["refused", "refused", "checkpoint"]


def test_checkpoints_come_by_number_and_by_time(house: House) -> None:
    """After that many records at once; and while nothing happens, when it is asked whether it is time."""
    with capture_logs() as logged:
        house.append(*(refusal(f"{number}") for number in range(CHECKPOINT_RECORDS + 1)))
        assert house.facts().count("checkpoint") == 1
        at = datetime.now(UTC)
        finish(house.audit.checkpoint(at))
        assert house.facts().count("checkpoint") == 1
        finish(house.audit.checkpoint(at + timedelta(seconds=CHECKPOINT_SECONDS)))
        finish(house.audit.checkpoint(at + timedelta(seconds=CHECKPOINT_SECONDS)))
    assert house.facts().count("checkpoint") == 2
    assert [line["event"] for line in logged] == ["audit_checkpoint"] * 2
    assert (logged[-1]["seq"], logged[-1]["hash"]) == (house.verify().head.seq, house.verify().head.hash)


def test_rotation_keeps_the_chain(house: House) -> None:
    """Renamed while the server runs, and while it does not."""
    for name in ("audit.jsonl.3", "audit.jsonl.2", "audit.jsonl-20260101"):
        house.append(refusal(name), spy(name))
        house.path.rename(house.folder / name)
        if name.endswith("2"):
            house.stop()
            house.start()
    house.append(refusal("last"))
    verdict = house.verify()
    assert (verdict.findings, house.calls("refused")) == (
        (),
        {"audit.jsonl.3", "audit.jsonl.2", "audit.jsonl-20260101", "last"},
    )


def test_old_lines_stay_and_are_counted(house: House) -> None:
    """An audit from before there was a chain continues as one, and what stood there is held fast."""
    old = '{"fact":"server_started","at":"2025-01-01T00:00:00.000+00:00","version":"0"}\n{"fact":"torn'
    house.path.write_text(old)
    house.append(refusal("1"))
    verdict = house.verify()
    assert (verdict.findings, verdict.unchained, verdict.records) == ((), 1, 1)
    house.path.write_text(house.path.read_text().replace("2025", "2024"))
    assert [kind for kind, *_ in house.found()] == ["changed"]


def test_a_lost_state_goes_on_where_the_file_ends(house: House) -> None:
    """Without what it remembered, the server believes the file."""
    house.append(refusal("1"), refusal("2"))
    (house.folder / HEAD_FILE).unlink()
    house.start()
    house.append(refusal("3"))
    assert (house.found(), house.verify().head.seq) == ([], 4)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"seq": -1, "hash": "", "closed": true}', '{"seq": 1}', "\0" * 256, "[" * 100_000],
    ids=range(7),
)
def test_a_torn_memory_goes_on_where_the_file_ends(house: House, content: str) -> None:
    """A power cut may leave anything in it."""
    house.append(refusal("1"), refusal("2"))
    (house.folder / HEAD_FILE).write_text(content)
    house.start()
    house.append(refusal("3"))
    assert house.found() == []


# ---- crashes -----------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.booleans())
def test_a_write_that_was_cut_anywhere_breaks_nothing(offset: int, is_spy: bool) -> None:
    """Whatever part of a record reached the disk before a crash, the next run continues; nothing looks changed."""
    with tempfile.TemporaryDirectory() as folder, capture_logs():
        house = House(Path(folder))
        house.append(refusal("1"), refusal("2"))
        head, before = (house.folder / HEAD_FILE).read_bytes(), house.path.read_bytes()
        house.append(spy("3") if is_spy else refusal("3"))
        after = house.path.read_bytes()
        house.path.write_bytes(after[: len(before) + offset % (len(after) - len(before) + 1)])
        (house.folder / HEAD_FILE).write_bytes(head)
        assert house.found() == []
        house.start()
        house.append(refusal("4"), spy("5"))
        assert house.found() == []
        assert house.calls("spy_started") >= {"5"}


def test_a_crash_right_after_the_first_record_breaks_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a run after one that had stopped as it should: the record was not remembered, and is genuine."""
    house.append(refusal("1"))
    house.stop()
    house.start()

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, capture_logs():
        patch.setattr(os, "pwrite", fail)
        house.append(spy("2"))
    house.start()
    house.append(refusal("3"))
    assert house.found() == []


# ---- full disks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_leaves_no_gap(house: House, room: int) -> None:
    """What waits is numbered when it is written; what gated and was refused has no number."""
    with capture_logs():
        house.append(refusal("1"))
        with no_file_larger_than(house.path.stat().st_size + room):
            house.append(refusal("2"))
            with pytest.raises(AuditUnavailable):
                house.append(spy("3"))
        house.append(spy("4"))
    assert (house.found(), house.verify().head.seq) == ([], 3)
    assert house.calls("spy_started") == {"4"}


def test_a_line_that_could_not_be_taken_back_is_taken_back_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing fsync and a failing ftruncate leave a whole line that nothing relied on; the chain does not fork."""
    house.append(refusal("1"))

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with capture_logs():
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            patch.setattr(os, "ftruncate", fail)
            for _ in range(2):
                with pytest.raises(AuditUnavailable):
                    house.append(spy("2"))
            assert len(house.facts()) == 2
        house.append(spy("3"))
        assert (house.found(), house.calls("spy_started")) == ([], {"3"})
        with house.path.open("a") as file:
            file.write("by hand\n")
        house.append(refusal("4"))
    # Only what was its own is ever taken back.
    assert house.found() == [("inserted", None, None)]


def test_a_memory_that_cannot_be_written_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is on disk, so anyone who waits for it continues."""
    house.append(refusal("1"))
    before = (house.folder / HEAD_FILE).read_bytes()

    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr(os, "pwrite", fail)
        house.append(spy("2"))
    assert [line["event"] for line in logged] == ["audit_head_unwritten"]
    assert (house.folder / HEAD_FILE).read_bytes() == before
    assert house.found() == []


# ---- other writers -----------------------------------------------------------------------------------------


def test_a_second_server_is_refused(house: House) -> None:
    """Until the first one is closed; not even that it stops is written between the records of the first."""
    house.audit.take()
    house.append(refusal("1"))
    other = AuditSinks([AuditFile(house.path)], at_once)
    with pytest.raises(AuditUnavailable, match="another agi-monitor writes to this file"):
        other.take()
    finish(other.append(ServerStopped(at=NOW)))
    with pytest.raises(AuditUnavailable, match="may not write"):
        finish(other.append(spy("2")))
    assert (house.facts(), other.waiting) == (["refused"], 1)
    house.stop()
    other.take()
    finish(other.close(NOW))


def test_a_line_of_somebody_else_is_told_and_found(house: House) -> None:
    """While the server runs it continues after its own last record."""
    house.append(refusal("1"), refusal("2"))
    with house.path.open("a") as file:
        file.write("by hand\n")
    with capture_logs() as logged:
        house.append(refusal("3"))
    assert [line["event"] for line in logged] == ["audit_file_changed"]
    assert house.found() == [("inserted", None, None)]


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("stopped", [True, False])
def test_a_cut_file_is_told_and_found(house: House, running: bool, stopped: bool) -> None:
    """Records that were cut off stay missed, whatever comes after them."""
    house.append(refusal("1"), refusal("2"), refusal("3"))
    if stopped and not running:
        house.stop()
    count = len(house.facts())
    house.path.write_text("".join(house.path.read_text().splitlines(keepends=True)[:1]))
    assert house.found() == [("missing", 2, count)]
    if not running:
        house.start()
    with capture_logs() as logged:
        house.append(refusal("4"))
    assert logged[0]["event"] == "audit_file_changed"
    assert house.found() == [("missing", 2, count)]


def test_a_record_behind_a_stopped_server_is_found(house: House) -> None:
    """Somebody who knows how the chain is made adds one: before the next start, and after it."""
    house.append(refusal("1"))
    house.stop()
    head = HeadFile(house.folder / HEAD_FILE).read()
    assert head is not None
    linked = Chain(head.head).link(b'{"fact":"refused","at":"2026-01-01T00:00:00.000+00:00"}', NOW)
    with house.path.open("ab") as file:
        file.write(linked.content)
    assert house.found() == [("inserted", 4, 4)]
    with capture_logs() as logged:
        house.start()
        house.append(refusal("2"))
    assert logged[0]["event"] == "audit_file_changed"
    assert house.found() == [("inserted", 4, 4)]
