"""Facts on disk: in order, once each, and no grant without them."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_monitor.audit.facts import Refused, ServerStarted, SpyStarted
from agi_monitor.errors import AuditUnavailable
from agi_monitor.model import Mode, Reason
from agi_monitor.storage.audit.file import AuditFile, AuditLock
from agi_monitor.storage.audit.sinks import AuditSinks
from tests.doubles.coroutines import at_once, finish

AT = datetime(2026, 1, 1, tzinfo=UTC)


def refused(call: str, detail: str = "") -> Refused:
    """A fact that has happened."""
    return Refused(
        at=AT,
        call=call,
        endpoint="PJSIP/2001",
        spyer="PJSIP/2001-1",
        spyer_uniqueid="1.1",
        supervisor="anna",
        reason=Reason.NO_CALL,
        detail=detail,
    )


def started(call: str) -> SpyStarted:
    """A fact that gates."""
    who = {"endpoint": "PJSIP/2001", "spyer": "PJSIP/2001-1", "spyer_uniqueid": "1.1", "supervisor": "anna"}
    what = {"extension": "1001", "spyee": "PJSIP/1001-1", "spyee_uniqueid": "1.2", "rule": "r"}
    why = {"source": "agi", "stale": "", "because": "hint, only call"}
    return SpyStarted(at=AT, call=call, grant=1, mode=Mode.LISTEN, told=False, **who, **what, **why)


class Log:
    """An audit file in a folder of its own, which can be taken away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        self.path = folder / "audit.jsonl"
        self.audit = AuditSinks([AuditFile(self.path)], at_once)

    def append(self, fact: Refused | SpyStarted | ServerStarted) -> None:
        """Append one fact."""
        finish(self.audit.append(fact))

    def calls(self, path: Path | None = None) -> list[str]:
        """The calls of all whole lines of the file."""
        lines = (path or self.path).read_text().split("\n")
        assert lines.pop() == ""
        return [json.loads(line)["call"] for line in lines]

    @contextmanager
    def away(self) -> Iterator[None]:
        """The folder is not there for a while."""
        elsewhere = self.folder.with_name("elsewhere")
        self.folder.rename(elsewhere)
        yield
        elsewhere.rename(self.folder)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """An empty audit; what it logs about errors is kept out of the output."""
    with capture_logs():
        yield Log(tmp_path / "log")


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The disk is full as soon as a file has this size: a real short write, then a real error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writes_one_line_each_in_order(log: Log) -> None:
    """One JSON object a line; group may read, others not."""
    for number in range(5):
        log.append(refused(str(number)) if number % 2 else started(str(number)))
    assert log.calls() == ["0", "1", "2", "3", "4"]
    assert stat.S_IMODE(log.path.stat().st_mode) & 0o137 == 0


def test_a_line_is_the_record(log: Log) -> None:
    """As it is, with letters of every language, and compact; its place in the chain after it."""
    log.append(ServerStarted(at=AT, version="ü"))
    record = '{"fact":"server_started","at":"2026-01-01T00:00:00.000+00:00","version":"ü"'
    assert log.path.read_text() == f'{record},"seq":1,"prev":"{"0" * 64}"}}\n'


@pytest.mark.parametrize("detail", ["a\nb", "a\r\nb", "\u2028", '"}', "\ud800", "\0"])
def test_no_text_makes_a_second_line(log: Log, detail: str) -> None:
    """Whatever stands in a field, a fact is one line that can be read."""
    log.append(refused("1", detail))
    assert log.path.read_bytes().count(b"\n") == 1
    assert json.loads(log.path.read_bytes())["detail"] == detail.replace("\ud800", "?")


def test_a_grant_is_written_or_refused(log: Log) -> None:
    """A fact that gates raises when it cannot be written, and is not written later."""
    with log.away(), pytest.raises(AuditUnavailable, match=f"^{log.path}: the audit cannot be written: No such file"):
        log.append(started("1"))
    assert log.audit.waiting == 0
    log.append(started("2"))
    assert log.calls() == ["2"]


def test_what_has_happened_waits_for_the_disk(log: Log) -> None:
    """Any other fact raises nothing, is kept, and is written first when the disk is back."""
    with log.away():
        log.append(refused("1"))
        log.append(refused("2"))
        assert log.audit.waiting == 2
        assert [json.loads(line)["call"] for line in log.audit.unwritten()] == ["1", "2"]
    log.append(refused("3"))
    assert log.calls() == ["1", "2", "3"]
    assert (log.audit.waiting, log.audit.unwritten()) == (0, [])


def test_a_grant_comes_behind_what_waits(log: Log) -> None:
    """No grant while facts before it are not on disk, and the order stays."""
    with log.away():
        log.append(refused("1"))
        with pytest.raises(AuditUnavailable):
            log.append(started("2"))
        assert log.audit.waiting == 1
    log.append(started("3"))
    assert log.calls() == ["1", "3"]


def test_catches_up_when_told(log: Log) -> None:
    """``write_waiting`` writes what is left, raises while it cannot, and keeps the rest."""
    with log.away():
        log.append(refused("1"))
        with pytest.raises(AuditUnavailable):
            finish(log.audit.write_waiting())
        assert log.audit.waiting == 1
    finish(log.audit.write_waiting())
    finish(log.audit.write_waiting())
    assert log.calls() == ["1"]


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_leaves_no_half_line(log: Log, room: int) -> None:
    """Half a line is taken back, so that the fact is there once when the disk has room again."""
    log.append(refused("1"))
    size = log.path.stat().st_size
    with no_file_larger_than(size + room):
        log.append(refused("2"))
        with pytest.raises(AuditUnavailable):
            log.append(started("3"))
    assert log.path.stat().st_size == size
    log.append(refused("4"))
    assert log.calls() == ["1", "2", "4"]


def test_a_failing_fsync_is_no_record(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may be in memory only is taken back."""
    log.append(refused("1"))
    with monkeypatch.context() as patch:

        def fail(handle: int) -> None:
            raise OSError(5, "Input/output error")

        patch.setattr(os, "fsync", fail)
        log.append(refused("2"))
        with pytest.raises(AuditUnavailable, match="Input/output error"):
            log.append(started("3"))
    assert log.calls() == ["1"]
    log.append(started("4"))
    assert log.calls() == ["1", "2", "4"]


def test_a_new_file_is_on_disk_with_its_name(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file's folder is synced as well; when that fails the fact is not there, and not twice later."""
    fsync = os.fsync
    folders = []

    def fail_once(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            folders.append(handle)
            if len(folders) == 1:
                raise OSError(5, "Input/output error")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", fail_once)
    log.append(refused("1"))
    assert log.audit.waiting == 1
    log.append(refused("2"))
    log.append(refused("3"))
    assert log.calls() == ["1", "2", "3"]
    assert len(folders) == 2


def test_a_torn_line_stands_alone(log: Log) -> None:
    """What a crash left unfinished is not glued to the next fact, and nothing of it is changed."""
    log.append(refused("1"))
    whole = log.path.read_text()
    log.path.write_text(whole + whole[:20])
    log.append(refused("2"))
    lines = log.path.read_text().splitlines()
    assert lines[:2] == [whole.rstrip("\n"), whole[:20]]
    assert json.loads(lines[2])["call"] == "2"


def test_a_full_disk_behind_a_torn_line_changes_nothing(log: Log) -> None:
    """The line end that a torn line gets is taken back as well."""
    log.path.write_text("torn")
    with no_file_larger_than(10):
        log.append(refused("1"))
    assert log.path.read_text() == "torn"


def test_logrotate_in_between_loses_nothing(log: Log) -> None:
    """The file is opened for each fact: the next one goes into a new file."""
    log.append(refused("1"))
    rotated = log.path.rename(log.path.with_suffix(".1"))
    log.append(started("2"))
    assert (log.calls(rotated), log.calls()) == (["1"], ["2"])


def test_a_file_that_is_no_file_is_refused(log: Log) -> None:
    """A folder of that name is an error like any other."""
    log.path.mkdir()
    with pytest.raises(AuditUnavailable, match="is a folder where a file must be"):
        log.append(started("1"))


def test_errors_are_logged_with_the_path_and_without_the_fact(tmp_path: Path) -> None:
    """The administrator learns which file, why, and how much waits."""
    log = Log(tmp_path / "log")
    with capture_logs() as lines, log.away():
        log.append(refused("1", "detail"))
    assert lines == [
        {
            "event": "audit_write_failed",
            "log_level": "error",
            "error": f"{log.path}: the audit cannot be written: No such file or directory",
            "waiting": 1,
        }
    ]


def test_a_lock_that_was_replaced_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server would lock the new file at the same time."""
    path = tmp_path / "audit.jsonl.lock"
    flock, times = fcntl.flock, iter(range(100))

    def slow(handle: int, how: int) -> None:
        if next(times) < 2:
            path.unlink()
            path.touch()
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    first, second = AuditLock(tmp_path / "audit.jsonl"), AuditLock(tmp_path / "audit.jsonl")
    assert (first.try_to_take(), second.try_to_take()) == (True, False)
    first.release()


def test_a_lock_that_is_always_replaced_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: (tmp_path / "audit.jsonl.lock").unlink())
    with pytest.raises(AuditUnavailable, match="made and removed again all the time"):
        AuditLock(tmp_path / "audit.jsonl").try_to_take()
