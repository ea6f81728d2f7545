"""Old records go, what is held stays, and the chain continues through what is gone."""

from __future__ import annotations

import gzip
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.audit.chain import Chain, Head, Record, Signer, digest
from agi_monitor.audit.selection import Selection
from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit import retention
from agi_monitor.storage.audit import seen as audit_seen
from agi_monitor.storage.audit.reading import lines
from agi_monitor.storage.audit.retention import Order, Outcome
from agi_monitor.storage.audit.seen import Seen
from tests.doubles.audit_lines import BEGIN, SEAL, Seal, audit, chained, head_of, record, verifies, verify

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def order(second: float, *holds: Selection, at: datetime = NOW) -> Order:
    """Remove what happened before this second of the audit."""
    return Order(BEGIN + timedelta(seconds=second), holds, "root", "older than 90 days", at, is_signed)


def is_signed(record: Record) -> bool:
    """By the seal of these tests."""
    one = record.signature
    return one is not None and one.key == SEAL.public and verifies(one.key, one.content, one.text)


def seen(path: Path) -> Seen:
    """What is in a file."""
    found = Seen(str(path))
    for line in lines(path):
        found.take(line)
    return found


def retain(path: Path, order: Order, signer: Signer | None) -> Outcome:
    """Remove what is to be removed, from a file that was not changed since it was verified."""
    return retention.retain(path, order, signer, seen(path))


def put(path: Path, content: list[bytes]) -> Path:
    """Write lines."""
    path.write_bytes(b"".join(line + b"\n" for line in content))
    return path


def content_of(path: Path) -> list[bytes]:
    """Read lines."""
    return [line.content for line in lines(path)]


def rows(path: Path) -> list[dict[str, object]]:
    """Read records."""
    return [json.loads(line) for line in content_of(path)]


def test_old_records_are_replaced_by_one_line(tmp_path: Path) -> None:
    """It says by whom, when, why, how many and of what time; the chain is whole."""
    before = audit(10)
    path = put(tmp_path / "audit.jsonl.1", before)
    assert retain(path, order(6), SEAL) == Outcome(str(path), records=10, removed=6)
    gone, *rest = rows(path)
    assert {name: gone[name] for name in ("fact", "at", "by", "why", "count", "first", "seq", "since", "until")} == {
        "fact": "removed",
        "at": "2026-06-01T00:00:00.000+00:00",
        "by": "root",
        "why": "older than 90 days",
        "count": 6,
        "first": 1,
        "seq": 6,
        "since": "2026-01-01T00:00:00.000+00:00",
        "until": "2026-01-01T00:00:05.000+00:00",
    }
    assert content_of(path)[1:] == before[6:]
    verdict = verify(content_of(path), [head_of(before)])
    assert (verdict.findings, verdict.removed, len(rest)) == ((), 6, 4)


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """And counts the same."""
    path = put(tmp_path / "audit.jsonl.1", audit(10))
    before = path.read_bytes()
    assert retain(path, order(6), None).removed == 6
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (before, ["audit.jsonl.1"])


def test_nothing_old_is_left_alone(tmp_path: Path) -> None:
    """The file is not even replaced."""
    path = put(tmp_path / "audit.jsonl.1", audit(3))
    before = path.stat().st_ino
    assert (retain(path, order(0), SEAL).removed, path.stat().st_ino) == (0, before)


def test_what_is_held_stays(tmp_path: Path) -> None:
    """However old; what is between goes."""
    before = audit(10)
    path = put(tmp_path / "audit.jsonl.1", before)
    outcome = retain(path, order(10, Selection(supervisors=frozenset({"s1"}))), SEAL)
    assert (outcome.removed, outcome.held) == (7, 3)
    assert [row["seq"] for row in rows(path) if row["fact"] != "removed"] == [2, 5, 8]
    assert verify(content_of(path), [head_of(before)]).ok


def test_the_second_time_is_as_good_as_the_first(tmp_path: Path) -> None:
    """What is gone stays counted, neighbours become one line, and the same again changes nothing."""
    before = audit(10)
    path = put(tmp_path / "audit.jsonl.1", before)
    hold = Selection(supervisors=frozenset({"s1"}))
    retain(path, order(5, hold), SEAL)
    again = path.read_bytes()
    assert retain(path, order(5, hold, at=NOW + timedelta(days=1)), SEAL).removed == 0
    assert path.read_bytes() == again
    retain(path, order(10), SEAL)
    (gone,) = rows(path)
    assert (gone["first"], gone["seq"], gone["count"]) == (1, 10, 10)
    assert verify(content_of(path), [head_of(before)]).ok


@given(st.lists(st.tuples(st.integers(0, 14), st.sets(st.sampled_from(["s0", "s1", "s2"]))), max_size=4))
def test_any_row_of_removals_leaves_a_good_chain(steps: list[tuple[int, set[str]]]) -> None:
    """Whatever is removed and held, again and again: nothing is found, and nothing but old records is gone."""
    before = audit(12, every=5)
    with tempfile.TemporaryDirectory() as folder:
        path = put(Path(folder) / "audit.jsonl.1", before)
        gone = 0
        for second, held in steps:
            chosen = [Selection(supervisors=frozenset({one})) for one in sorted(held)]
            gone += retain(path, order(second, *chosen), SEAL).removed
            verdict = verify(content_of(path), [head_of(before)])
            assert (verdict.findings, verdict.removed) == ((), gone)
        assert verdict_records(path) + gone == len(before)


def verdict_records(path: Path) -> int:
    """How many records are left."""
    return sum(row["fact"] != "removed" for row in rows(path))


def test_what_a_crash_left_goes_with_its_record(tmp_path: Path) -> None:
    """An unfinished line that is no longer remembered would look like one that was put there."""
    chain = Chain(Head(), SEAL)
    first = chained([record(0)], chain)
    linked = chain.link(b'{"fact":"refused","at":"2026-01-01T00:00:01.000+00:00"}', BEGIN, torn=b'{"fact":"x')
    chain.accept(linked)
    before = [*first, b'{"fact":"x', linked.content.rstrip(b"\n"), *chained([record(2)], chain)]
    path = put(tmp_path / "audit.jsonl.1", before)
    retain(path, order(2), SEAL)
    assert [row.get("seq") for row in rows(path)] == [2, 3]
    assert verify(content_of(path), [chain.head]).ok
    put(path, before)
    retain(path, order(1), SEAL)
    assert content_of(path)[1:] == before[1:]


def test_old_lines_are_left_alone(tmp_path: Path) -> None:
    """The chain begins with what they were."""
    old = b'{"fact":"refused","at":"2025-01-01T00:00:00.000+00:00"}'
    path = put(tmp_path / "audit.jsonl.1", [old, *audit(3)])
    outcome = retain(path, order(3), SEAL)
    assert (outcome.unchained, outcome.removed, content_of(path)[0]) == (1, 3, old)


def test_a_packed_file_stays_packed(tmp_path: Path) -> None:
    """And keeps its mode."""
    before = audit(10)
    path = tmp_path / "audit.jsonl.1.gz"
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in before)))
    path.chmod(0o640)
    retain(path, order(6), SEAL)
    assert gzip.decompress(path.read_bytes()).count(b"\n") == 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert verify(content_of(path), [head_of(before)]).ok


def test_records_that_do_not_fit_are_not_signed_away(tmp_path: Path) -> None:
    """Nobody gets a signature over a change."""
    before = audit(6)
    del before[2]
    path = put(tmp_path / "audit.jsonl.1", before)
    content = path.read_bytes()
    with pytest.raises(AuditUnavailable, match="record 4 does not fit the one before it"):
        retain(path, order(6), SEAL)
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (content, ["audit.jsonl.1"])


class Rotator(Seal):
    """Signs, and rotates at the same moment."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def sign(self, content: bytes) -> str:
        """Sign."""
        self._path.rename(self._path.with_suffix(".2"))
        put(self._path, [b"what is current"])
        return super().sign(content)


def test_a_rotation_at_the_same_time_loses_nothing(tmp_path: Path) -> None:
    """Another file has the name now: it is not the one that was read."""
    before = audit(6)
    path = put(tmp_path / "audit.jsonl.1", before)
    with pytest.raises(AuditUnavailable, match="rotated or written to at the same time"):
        retain(path, order(6), Rotator(path))
    assert (content_of(path), content_of(path.with_suffix(".2"))) == ([b"what is current"], before)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_open_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to another file while it is read, and back before it is replaced: its content goes nowhere."""
    path, aside = put(tmp_path / "audit.jsonl.1", audit(4)), tmp_path / "aside"
    decoy = put(tmp_path / "decoy", audit(9))
    identity = retention._identity

    def looked_at(status: os.stat_result) -> tuple[int, int, int, int]:
        if not aside.exists() and decoy.exists():
            path.rename(aside)
            decoy.rename(path)
        return identity(status)

    class Hold(Selection):
        def wants(self, record: Mapping[str, object]) -> bool:
            if aside.exists():
                aside.rename(path)
            return False

    monkeypatch.setattr(retention, "_identity", looked_at)
    assert retain(path, order(2, Hold()), SEAL).records == 4
    assert [row.get("seq") for row in rows(path)] == [2, 3, 4]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, and nothing beside it."""
    path = put(tmp_path / "audit.jsonl.1", audit(6))
    content = path.read_bytes()

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(AuditUnavailable, match="cannot be replaced: No space left on device"):
        retain(path, order(6), SEAL)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (content, ["audit.jsonl.1"])  # noqa: PTH208 - names


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("what", ["%", f'"x":{NESTED}', f'"x":{"9" * 5_000}'], ids=["no-json", "nested", "number"])
def test_a_record_that_cannot_be_read_is_not_signed_away(tmp_path: Path, what: str) -> None:
    """Its place in the chain is right, so it was made by one who knew how; the error says which record it is."""
    one, two, three = (json.loads(line) for line in audit(3))
    first = json.dumps(one, separators=(",", ":")).encode()
    head = f'{{"fact":"refused","at":"{two["at"]}",{what},"seq":2,"prev":"{digest(first)}"}}'.encode()
    last = json.dumps({**three, "prev": digest(head)}, separators=(",", ":")).encode()
    path = put(tmp_path / "audit.jsonl.1", [first, head, last])
    content = path.read_bytes()
    for signer in (None, SEAL):
        with pytest.raises(AuditUnavailable, match="record 2 cannot be read"):
            retain(path, order(3), signer)
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (content, ["audit.jsonl.1"])


@pytest.mark.parametrize("name", ["count", "since", "until"])
def test_a_line_that_stands_for_nothing_is_not_signed_away(tmp_path: Path, name: str) -> None:
    """It looks like one for removed records, and does not say of how many, or of when."""
    path = put(tmp_path / "audit.jsonl.1", audit(4))
    retain(path, order(2), SEAL)
    (gone, *rest) = content_of(path)
    put(path, [gone.replace(f'"{name}"'.encode(), b'"another"'), *rest])
    with pytest.raises(AuditUnavailable, match="record 2 cannot be read"):
        retain(path, order(4), SEAL)


@pytest.mark.parametrize("signer", [None, SEAL], ids=["dry", "apply"])
@pytest.mark.parametrize("change", ["other", "longer", "shorter", "unfinished"])
def test_only_what_was_verified_is_signed_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, signer: Signer | None
) -> None:
    """Another user puts another file there between the two readings; its chain may fit as well."""
    monkeypatch.setattr(audit_seen, "BLOCK_LINES", 4)
    before, other = audit(8), chained([record(number, detail="x") for number in range(8)])
    path = put(tmp_path / "audit.jsonl.1", before)
    verified = seen(path)
    content = {"other": other, "longer": audit(9), "shorter": before[:-1], "unfinished": before}[change]
    put(path, content)
    if change == "unfinished":
        path.write_bytes(path.read_bytes()[:-1])
    found = path.read_bytes()
    with pytest.raises(AuditUnavailable, match="was changed since it was verified"):
        retention.retain(path, order(6), signer, verified)
    assert (path.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (found, ["audit.jsonl.1"])


@pytest.mark.parametrize("signer", [None, SEAL], ids=["dry", "apply"])
def test_a_forged_line_for_removed_records_is_not_signed_away(tmp_path: Path, signer: Signer | None) -> None:
    """It has the right place in the chain and no good signature: merged into a line of ours it would get one."""
    before = audit(10)
    path = put(tmp_path / "audit.jsonl.1", before)
    retain(path, order(8), SEAL)
    (gone, *rest) = content_of(path)
    row = json.loads(gone)
    for false in (row["signature"][::-1], Seal("another").sign(gone)):
        put(path, [gone.replace(row["signature"].encode(), false.encode()), *rest])
        with pytest.raises(AuditUnavailable, match="has no good signature"):
            retain(path, order(9), signer)
