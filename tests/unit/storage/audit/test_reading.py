"""The files of an audit: found, put in order, and read without being held in memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from agi_monitor.audit import verification
from agi_monitor.errors import AuditUnavailable
from agi_monitor.storage.audit import reading
from agi_monitor.storage.audit.reading import MAX_LINE, PROGRESS_LINES, Line, files_of, in_order, lines, named, rows
from agi_monitor.storage.audit.source import Files
from tests.doubles.audit_lines import audit

PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
    (".xz", lzma.compress),
]


def put(path: Path, *content: bytes) -> Path:
    """Write lines."""
    path.write_bytes(b"".join(line + b"\n" for line in content))
    return path


def test_finds_what_rotation_left(tmp_path: Path) -> None:
    """Under the names that logrotate gives, and nothing else."""
    ours = [
        "audit-20260101.jsonl",
        "audit-20260101.jsonl.gz",
        "audit.jsonl",
        "audit.jsonl-20260101.xz",
        "audit.jsonl.1",
        "audit.jsonl.2.gz",
    ]
    others = [".audit.jsonl.1", "audit.jsonl.lock", "audit.json", "audit.jsonl~", "audit-notes.jsonl", "x.jsonl", "a"]
    for name in [*ours, *others]:
        put(tmp_path / name)
    (tmp_path / "audit.jsonl.3").mkdir()
    assert [path.name for path in files_of(tmp_path / "audit.jsonl")] == ours


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """One sentence."""
    with pytest.raises(AuditUnavailable, match="gone: No such file or directory"):
        files_of(tmp_path / "gone" / "audit.jsonl")


def test_puts_files_in_order(tmp_path: Path) -> None:
    """By their records, whatever their names; the first line may be one that was moved there."""
    content = audit(30)
    last = put(tmp_path / "a", content[0], *content[21:])
    first = put(tmp_path / "z", *content[1:10])
    middle = tmp_path / "m.gz"
    middle.write_bytes(gzip.compress(b"".join(line + b"\n" for line in content[10:20])))
    old = put(tmp_path / "old", b"{}")
    assert in_order([last, middle, first, old]) == [old, first, middle, last]


@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=[ending for ending, _ in PACKERS])
def test_unpacks(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    """What rotation packed."""
    path = tmp_path / f"audit.jsonl.1{ending}"
    path.write_bytes(pack(b"one\ntwo\nthr"))
    assert list(lines(path)) == [Line(1, b"one", True), Line(2, b"two", True), Line(3, b"thr", False)]


@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=[ending for ending, _ in PACKERS])
def test_a_file_that_cannot_be_unpacked_is_named(tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]) -> None:
    """Cut, or never packed."""
    path = tmp_path / f"audit.jsonl.1{ending}"
    for content in (pack(b"one\n" * 1000)[:-20], b"plain\n"):
        path.write_bytes(content)
        with pytest.raises(AuditUnavailable, match=rf"^{path}: cannot be read: "):
            list(lines(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With what the system says."""
    with pytest.raises(AuditUnavailable, match="gone: cannot be read: No such file or directory"):
        list(lines(tmp_path / "gone"))


def test_a_line_without_end_is_not_held_in_memory(tmp_path: Path) -> None:
    """It is not a record, and the next line is read as the next."""
    path = tmp_path / "audit.jsonl"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * MAX_LINE)
        file.write(b"\nlast\n")
    tracemalloc.start()
    try:
        found = [(line.number, len(line.content), line.finished) for line in lines(path)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == [(1, MAX_LINE, True), (2, 4, True)]
    assert peak < 8 * MAX_LINE


def test_tells_how_far_it_is(tmp_path: Path) -> None:
    """Now and then, and at the end all of it."""
    path = put(tmp_path / "audit.jsonl", *[b"line"] * (PROGRESS_LINES * 2 + 1))
    told: list[int] = []
    list(lines(path, told.append))
    assert (len(told), told[-1], told == sorted(told)) == (3, path.stat().st_size, True)


def test_reads_records_and_tells_what_is_none(tmp_path: Path) -> None:
    """Anything may stand in a file."""
    strange = [b"", b"{", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"a":1}']
    assert [row for _, row in rows([put(tmp_path / "audit.jsonl", *strange)])] == [*[None] * 6, {"a": 1}]


def test_what_is_named_alone_is_opened_once(tmp_path: Path) -> None:
    """A FIFO has one writer, which is gone afterwards; of several files each is read, and comes in order."""
    content = audit(20)
    fifo, last = tmp_path / "fifo", put(tmp_path / "last", *content[10:])
    os.mkfifo(fifo)
    for names, expected in (([fifo], content[:10]), ([last, fifo], content)):
        writer = threading.Thread(target=fifo.write_bytes, args=[b"".join(line + b"\n" for line in content[:10])])
        writer.start()
        with named(names) as (paths, opens):
            assert [line.content for path in paths for line in lines(path, opens=opens)] == expected
        writer.join()


def test_what_cannot_be_copied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a pipe, when the temporary folder is full."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    names = [put(tmp_path / "a"), Path(os.devnull)]
    with (
        pytest.raises(AuditUnavailable, match="/dev/null: cannot be copied to a temporary file: No space"),
        named(names),
    ):
        pass


def test_xz_is_unpacked_in_little_memory(tmp_path: Path) -> None:
    """What asks for more, and the older format, whose head may ask for anything, are refused; streams may follow."""
    path = tmp_path / "audit.jsonl.1.xz"
    path.write_bytes(lzma.compress(b"one\ntw") + bytes(8) + lzma.compress(b"o\n") + bytes(4))
    assert [line.content for line in lines(path)] == [b"one", b"two"]
    large = [{"id": lzma.FILTER_LZMA2, "dict_size": 512 * 1024 * 1024, "mode": lzma.MODE_FAST, "mf": lzma.MF_HC3}]
    path.write_bytes(lzma.compress(b"one\n", filters=[{**large[0], "dict_size": 4096}]))
    assert len(list(lines(path))) == 1
    # Packing takes ten times the memory of the dictionary, so its size is written into the head, and the sum fixed.
    head = bytearray(path.read_bytes())
    begin, end = 12, 12 + (head[12] + 1) * 4
    assert head[begin + 2 : begin + 4] == b"\x21\x01"
    head[begin + 4] = 34
    head[end - 4 : end] = zlib.crc32(bytes(head[begin : end - 4])).to_bytes(4, "little")
    path.write_bytes(head)
    with pytest.raises(AuditUnavailable, match="takes more than 100 MiB of memory"):
        list(lines(path))
    path.write_bytes(lzma.compress(b"one\n", lzma.FORMAT_ALONE))
    with pytest.raises(AuditUnavailable, match="it cannot be unpacked"):
        list(lines(path))


@pytest.mark.parametrize(("ending", "pack"), PACKERS, ids=[ending for ending, _ in PACKERS])
def test_what_unpacks_to_too_much_is_no_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    """A small file may hold lines for days."""
    monkeypatch.setattr(reading, "UNPACK_FREE", 100_000)
    path = tmp_path / f"audit.jsonl.1{ending}"
    path.write_bytes(pack(b"x" * 999 + b"\n") + pack(b"\n" * 800_000))
    with pytest.raises(AuditUnavailable, match="unpacks to more than 200 times its size, so it is not an audit"):
        list(lines(path))
    path.write_bytes(pack(b"".join(line + b"\n" for line in audit(1_000))))
    assert len(list(lines(path))) > 1_000


def test_long_lines_of_a_file_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Holes of a sparse file take no room on the disk."""
    monkeypatch.setattr(reading, "MAX_PASSED", 5)
    path = tmp_path / "audit.jsonl.1"
    with path.open("wb") as file:
        for _ in range(3):
            file.seek(3 * MAX_LINE, os.SEEK_CUR)
            file.write(b"\n")
    with pytest.raises(AuditUnavailable, match="has lines of more than 5 MiB, so it is not an audit"):
        list(lines(path))


def test_lines_that_are_no_records_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for all of them, and the rest is not said to be right."""
    monkeypatch.setattr(reading, "MAX_STRANGE", 10)
    monkeypatch.setattr(verification, "MAX_LEADING", 10)
    paths = [put(tmp_path / name, *[b"x"] * 6) for name in ("a", "b", "c")]
    with pytest.raises(AuditUnavailable, match="more than 10 lines that are not JSON"):
        list(rows(paths))
    verdict = Files(paths).verify([], [], None)
    assert ([one.kind.value for one in verdict.findings], verdict.lines) == (["given_up"], 12)
