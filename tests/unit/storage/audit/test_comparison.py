"""Two places that keep the same audit are compared, by what their records say."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agi_monitor.audit.facts import ServerStarted
from agi_monitor.audit.selection import Row
from agi_monitor.storage.audit import comparison as audit_comparison
from agi_monitor.storage.audit.comparison import Comparison, identity
from agi_monitor.storage.database import Database
from tests.doubles.coroutines import finish
from tests.unit.storage.audit.test_commands import NOW, Office

Records = list[tuple[int, int]]


def row(said: int, seq: int = 1) -> Row:
    """A record that says something, with a place in a chain."""
    at = f"2026-11-26T09:00:{said % 60:02}.000+00:00"
    return {"fact": "refused", "at": at, "call": f"c-{said}", "detail": said, "seq": seq, "prev": f"{seq:064x}"}


@given(st.lists(st.integers(0, 12)), st.lists(st.integers(0, 12)))
def test_says_what_is_in_one_place_only(file: list[int], store: list[int]) -> None:
    """As a naive count of both does, whatever the order, also of records that are there more than once."""
    with Comparison() as comparison:
        comparison.read(0, [row(said, seq) for seq, said in enumerate(file, start=1)])
        comparison.read(1, [row(said, seq + 100) for seq, said in enumerate(store, start=1)])
        only = comparison.totals()
        found = {(one.place, one.shown["call"]): one.more for one in comparison.differences(1_000)}
        numbers = [(one.place, one.seq) for one in comparison.differences(1_000)]
    in_file, in_store = Counter(file) - Counter(store), Counter(store) - Counter(file)
    assert only == (in_file.total(), in_store.total())
    assert found == {
        **{(0, f"c-{said}"): more for said, more in in_file.items()},
        **{(1, f"c-{said}"): more for said, more in in_store.items()},
    }
    assert all(seq is not None and (seq > 100) == (place == 1) for place, seq in numbers)


def test_a_record_is_what_it_says() -> None:
    """Not where it stands in a chain, nor the order of its names; anything else makes it another one."""
    plain = row(1)
    assert identity({**plain, "seq": 9, "prev": "x", "torn": "y"}) == identity(dict(reversed([*plain.items()])))
    assert identity({**plain, "detail": "1"}) != identity(plain)
    assert identity({**plain, "more": None}) != identity(plain)
    assert identity({"fact": "\ud800\x00", "at": 1.5, "of": [{}]})


def test_what_belongs_to_a_chain_is_not_compared() -> None:
    """Checkpoints, and the lines that stand for removed records; those are counted. Without a signature they are not
    what they say."""
    signed = {"signature": "00", "at": ""}
    with Comparison() as comparison:
        comparison.read(0, [None, {"fact": "checkpoint", "seq": 1, **signed}, {"fact": "checkpoint", "seq": 2}])
        comparison.read(1, [{"fact": "removed", "first": 3, "seq": 9, **signed}, {"fact": "removed", "seq": 9}])
        assert comparison.totals() == (1, 1)
        file, store = comparison.counts
    assert (file.records, file.strange, file.removed) == (1, 1, 0)
    assert (store.records, store.strange, store.removed) == (1, 0, 7)


def test_memory_does_not_grow_with_the_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two places that have nothing in common are the worst case. SQLite's own memory has its bound."""
    assert audit_comparison.CACHE_KIB <= 16_384

    def peak(number: int) -> int:
        tracemalloc.start()
        with Comparison() as comparison:
            comparison.read(0, (row(said) for said in range(number)))
            comparison.read(1, (row(-1 - said) for said in range(number)))
            assert comparison.totals() == (number, number)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    monkeypatch.setattr(audit_comparison, "BATCH", 100)
    assert peak(5_000) < 2 * peak(500)


# ---- the command -------------------------------------------------------------------------------------------


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Iterator[Office]:
    """A server with both places, and another one in the database."""
    office = Office(database, tmp_path)
    yield office
    with capture_logs():
        finish(office.one.audit.close(NOW))


def test_the_same_in_both(office: Office) -> None:
    """Exit code 0, and nothing else but the counts; checkpoints differ and are not compared."""
    result = office.run("compare")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "file: 4 records, 0 of them not in the other",
        "store: 4 records, 0 of them not in the other",
    ]
    answer = json.loads(office.run("compare", "--json").stdout)
    assert (answer["same"], answer["records"], answer["more"]) == (True, [], 0)
    assert answer["file"] == {"records": 4, "only": 0, "strange": 0, "removed": 0}


def test_what_differs_is_shown(office: Office) -> None:
    """Exit code 1: a record that was changed in the file is in each place only, as it says there."""
    text = office.one.path.read_text()
    assert '"seconds":60.0' in text
    office.one.path.write_text(text.replace('"seconds":60.0', '"seconds":6.0', 1) + "torn")
    result = office.run("compare")
    assert result.exit_code == 1
    head, *rows = [line.split() for line in result.stdout.splitlines()[:3]]
    assert head[:4] == ["only", "in", "times", "seq"]
    assert sorted((one[0], one[4], one[5]) for one in rows) == [
        ("file", "spy_ended", "anna"),
        ("store", "spy_ended", "anna"),
    ]
    assert "file: 1 lines are not records: see 'agi-monitor audit verify'" in result.stdout
    answer = json.loads(office.run("compare", "--json", "--limit", 1).stdout)
    assert (answer["same"], answer["file"]["only"], answer["store"]["only"], answer["more"]) == (False, 1, 1, 1)
    assert "1 more are not shown; use --limit\n" in office.run("compare", "--limit", 1).stderr


def test_a_period_can_be_compared(office: Office) -> None:
    """Old records were removed in one place: --from leaves them out. FILES are compared instead of the file's own."""
    days = ("--days", 100, "--apply")
    with capture_logs():
        office.run("retain", "--store", *days)
    result = office.run("compare")
    assert result.exit_code == 1
    assert "store: 'agi-monitor audit retain' has removed 2 records" in result.stdout
    assert office.run("compare", "--from", (NOW - timedelta(days=100)).isoformat()).exit_code == 0
    assert office.run("compare", "--to", (NOW - timedelta(days=100)).isoformat()).exit_code == 1
    away = office.folder / "elsewhere" / "old.jsonl"
    away.parent.mkdir()
    shutil.copy(office.one.path, away)
    office.one.path.write_text("")
    since = ("--from", (NOW - timedelta(days=100)).isoformat())
    assert (office.run("compare", *since).exit_code, office.run("compare", *since, away).exit_code) == (1, 0)


def test_what_may_be_on_its_way_is_left_out(office: Office) -> None:
    """A record of the last seconds is in one place a moment before the other."""
    with capture_logs():
        office.other.append(ServerStarted(at=NOW + timedelta(days=1), version="1"))
    found = office.run("compare", "--node", "other", "--json")
    assert json.loads(found.stdout)["store"]["records"] == 2
    later = (NOW + timedelta(days=2)).isoformat()
    assert (
        json.loads(office.run("compare", "--node", "other", "--json", "--to", later).stdout)["store"]["records"] == 3
    )


def test_what_cannot_be_read_is_neither(office: Office) -> None:
    """Exit code 2, with a sentence: it must not be taken for the same."""
    for arguments, said in ((("--node", "nobody"), "no audit of nobody; there are: one, other"),):
        result = office.run("compare", *arguments)
        assert (result.exit_code, said in result.stderr) == (2, True)
    office.one.path.rename(office.one.path.with_suffix(".jsonl.1.gz"))
    assert office.run("compare").exit_code == 2
    office.configure("audit: {file: FILE}")
    result = office.run("compare")
    assert (result.exit_code, result.stderr) == (
        2,
        "the audit is kept in one place only: audit.file and audit.store are not both set\n",
    )
    office.config.write_text("nothing: 1\n")
    assert office.run("compare").exit_code == 2
