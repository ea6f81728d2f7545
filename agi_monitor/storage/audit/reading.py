"""The files of an audit, read line by line: the current one, and those that rotation left, compressed or not."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import Any, BinaryIO, Protocol, cast

from agi_monitor.audit.chain import read
from agi_monitor.audit.rows import row_of
from agi_monitor.audit.selection import Row
from agi_monitor.errors import AuditUnavailable
from agi_monitor.files.folder import Folder

MAX_LINE = 1_048_576
"""A longer line is not a record; it is skipped and not kept in memory."""

MAX_PASSED = 64
"""MiB of such lines in one file: a file of nothing but zeros has no end that is worth waiting for."""

MAX_STRANGE = 1_000_000
"""Lines that are not JSON: a file with more of them is not an audit."""

UNPACK_MEMORY = 100 * 1024 * 1024
"""Bytes that unpacking may take. ``xz -9`` makes what takes 65 MiB."""

UNPACK_FREE = 64 * 1024 * 1024
MAX_RATIO = 200
"""An unpacked file may have this many bytes, and this many more for each compressed one. Records have hashes, which
cannot be compressed: they stay below ten."""

BLOCK = 65_536

PROGRESS_LINES = 2_000
"""How often progress is reported."""

PROBE_LINES = 5_000
PROBE_RECORDS = 9
"""So much of a file is looked at to find its place among the others."""

Progress = Callable[[int], None]
"""Takes how many bytes of the files on disk are read."""

Opens = Callable[[Path], BinaryIO]
"""Opens a file of the audit: ``regular``, or what ``named`` has given."""


class _Opener(Protocol):
    def __call__(self, file: BinaryIO, /, mode: str) -> object: ...


class _Unxz(io.RawIOBase):
    """Unpacks ``.xz`` in little memory. ``lzma.open`` has no limit, and takes the older ``.lzma`` as well."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self._stream = self._next_stream()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        with memoryview(buffer) as view:
            while True:
                given = b""
                if self._stream.eof:
                    # Streams may follow one another, with zeros between them.
                    given = self._stream.unused_data.lstrip(b"\0")
                    while not given:
                        block = self._raw.read(BLOCK)
                        if not block:
                            return 0
                        given = block.lstrip(b"\0")
                    self._stream = self._next_stream()
                elif self._stream.needs_input:
                    given = self._raw.read(BLOCK)
                    if not given:
                        raise EOFError
                content = self._stream.decompress(given, len(view))
                if content:
                    view[: len(content)] = content
                    return len(content)

    @staticmethod
    def _next_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=UNPACK_MEMORY)


def _open_xz(file: BinaryIO, /, mode: str) -> object:
    return lzma.open(file, "wb") if mode == "wb" else io.BufferedReader(_Unxz(file), BLOCK)


_OPENERS: dict[str, _Opener] = {
    ".gz": cast(_Opener, gzip.open),
    ".bz2": cast(_Opener, bz2.open),
    ".xz": _open_xz,
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file.

    Parameters:
        number: from 1.
        content: without its line end.
        finished: it has a line end.
    """

    number: int
    content: bytes
    finished: bool


def files_of(path: Path) -> list[Path]:
    """Return the audit file and what rotation made of it: ``audit.jsonl.1``, ``audit.jsonl-20260131.gz``,
    ``audit-20260131.jsonl``. Links and folders with such names are not among them.

    Parameters:
        path: the file of the configuration.

    Raises:
        AuditUnavailable: its folder cannot be read.
    """
    try:
        names = sorted(path.parent.iterdir())
    except OSError as error:
        raise AuditUnavailable(f"{path.parent}: {error.strerror}") from None
    return [one for one in names if _belongs(one.name, path) and (one == path or _is_file(one))]


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _belongs(name: str, path: Path) -> bool:
    if name == path.name:
        return True
    plain = name.removesuffix(next((ending for ending in _OPENERS if name.endswith(ending)), ""))
    behind, between = plain.removeprefix(path.name), plain.removeprefix(path.stem).removesuffix(path.suffix)
    return any(
        rest != plain and rest[:1] in (".", "-") and any(letter.isdigit() for letter in rest)
        for rest in (behind, between)
    )


def regular(path: Path) -> BinaryIO:
    """Open a file for reading, unless it is a link or has another name. It was found in the folder of the audit,
    where another user may have put a link to a file that only root may read.

    Raises:
        OSError: it is not such a file, or may not be read.
    """
    with Folder.at(path.parent) as folder:
        return os.fdopen(folder.open(path.name, os.O_RDONLY), "rb")


@contextmanager
def named(paths: Sequence[Path]) -> Iterator[tuple[list[Path], Opens]]:
    """Put files in the order of their records that were named on the command line. They may be links and pipes.

    One file needs no order and is opened once. Of several, those that can be read once only are copied to temporary
    files without a name.

    Parameters:
        paths: of the files.

    Raises:
        AuditUnavailable: one cannot be read.
    """
    if len(paths) == 1:
        yield list(paths), _plainly
        return
    with ExitStack() as stack:
        copies = {path: stack.enter_context(_copied(path)) for path in dict.fromkeys(paths) if not _stays(path)}

        def opens(path: Path) -> BinaryIO:
            if path not in copies:
                return _plainly(path)
            copy = os.dup(copies[path].fileno())
            os.lseek(copy, 0, os.SEEK_SET)
            return os.fdopen(copy, "rb")

        yield in_order(paths, opens), opens


def _plainly(path: Path) -> BinaryIO:
    return path.open("rb")


def _stays(path: Path) -> bool:
    """Whether a file can be read more than once."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        raise AuditUnavailable(f"{path}: cannot be read: {error.strerror}") from None


@contextmanager
def _copied(path: Path) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(tempfile.TemporaryFile())
            with path.open("rb") as source:
                shutil.copyfileobj(source, copy)
            copy.flush()
        except OSError as error:
            raise AuditUnavailable(f"{path}: cannot be copied to a temporary file: {error.strerror}") from None
        yield copy


def in_order(paths: Iterable[Path], opens: Opens = regular) -> list[Path]:
    """Return the files in the order of their records; those without any come first.

    Parameters:
        paths: of the files. Each is read, and is read again by who asks for its lines.
        opens: opens them.

    Raises:
        AuditUnavailable: one cannot be read.
    """
    return sorted(paths, key=lambda path: (_first_of(path, opens), str(path)))


def _first_of(path: Path, opens: Opens) -> int:
    found: list[int] = []
    for line in lines(path, opens=opens):
        record = read(line.content)
        if record is not None:
            found.append(record.first)
        if len(found) == PROBE_RECORDS or line.number == PROBE_LINES:
            break
    # Not simply the first: it may be the one that was moved.
    return median_low(found) if found else 0


def lines(path: Path, progress: Progress | None = None, *, opens: Opens = regular) -> Iterator[Line]:
    """Read a file, line by line.

    Parameters:
        path: the file; ``.gz``, ``.bz2`` and ``.xz`` are unpacked.
        progress: told now and then.
        opens: opens it.

    Raises:
        AuditUnavailable: it cannot be read, or not be unpacked.
    """
    try:
        with opens(path) as raw:
            yield from lines_of(raw, path, progress)
    except OSError as error:
        raise AuditUnavailable(f"{path}: cannot be read: {error.strerror}") from None


def lines_of(raw: BinaryIO, path: Path, progress: Progress | None = None) -> Iterator[Line]:
    """Read an open file, line by line.

    Parameters:
        raw: the file as it is on disk, at its beginning; it stays open.
        path: whose ending says how it is packed, and what it is called in errors.
        progress: told now and then.

    Raises:
        AuditUnavailable: it cannot be read, or not be unpacked.
    """
    try:
        counted = _Counted(raw)
        with opened(cast(BinaryIO, counted) if path.suffix in _OPENERS else raw, path) as file:
            number = size = passed = 0
            while content := file.readline(MAX_LINE):
                number += 1
                finished = content.endswith(b"\n")
                size += len(content)
                if not finished and len(content) == MAX_LINE:
                    before = passed
                    finished, passed = _pass_over(file, passed)
                    size += (passed - before) * MAX_LINE
                if file is not raw and size > UNPACK_FREE + MAX_RATIO * counted.bytes:
                    raise OSError(
                        errno.EFBIG, _NOT_AN_AUDIT.format(f"unpacks to more than {MAX_RATIO} times its size")
                    )
                yield Line(number, content.removesuffix(b"\n"), finished)
                if progress is not None and number % PROGRESS_LINES == 0:
                    progress(raw.tell())
            if progress is not None:
                progress(raw.tell())
    except (OSError, EOFError, lzma.LZMAError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it cannot be unpacked"
        if isinstance(error, lzma.LZMAError) and "Memory" in str(error):
            why = f"to unpack it takes more than {UNPACK_MEMORY // 1024 // 1024} MiB of memory; pack it again with xz"
        raise AuditUnavailable(f"{path}: cannot be read: {why}") from None


_NOT_AN_AUDIT = "it {}, so it is not an audit; move it away"


class _Counted:
    """A file, and how much of it was read. It may be a pipe, which cannot tell."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.bytes = 0

    def read(self, size: int = -1) -> bytes:
        content = self._raw.read(size)
        self.bytes += len(content)
        return content


def _pass_over(file: BinaryIO, passed: int) -> tuple[bool, int]:
    """Read to the end of a line. Returns whether it has one, and how many MiB were passed over in all lines."""
    while passed < MAX_PASSED:
        passed += 1
        rest = file.readline(MAX_LINE)
        if not rest or rest.endswith(b"\n"):
            return bool(rest), passed
    raise OSError(errno.EFBIG, _NOT_AN_AUDIT.format(f"has lines of more than {MAX_PASSED} MiB"))


@contextmanager
def opened(raw: BinaryIO, path: Path, mode: str = "rb") -> Iterator[BinaryIO]:
    """Pack or unpack what goes through an open file, as its name says.

    Parameters:
        raw: the file as it is on disk; it stays open.
        path: whose ending says how it is packed.
        mode: ``rb`` or ``wb``.
    """
    opener = _OPENERS.get(path.suffix)
    if opener is None:
        yield raw
        return
    with cast(BinaryIO, opener(raw, mode)) as file:
        yield file


def rows(
    paths: Iterable[Path], progress: Progress | None = None, *, opens: Opens = regular
) -> Iterator[tuple[Line, Row | None]]:
    """Read all records of several files, each with its line; None if the line is not a JSON object.

    Parameters:
        paths: of the files.
        progress: told now and then.
        opens: opens them.

    Raises:
        AuditUnavailable: a file cannot be read.
    """
    strange = 0
    for path in paths:
        for line in lines(path, progress, opens=opens):
            found = row_of(line.content)
            if found is None:
                strange += 1
                if strange > MAX_STRANGE:
                    why = _NOT_AN_AUDIT.format(
                        f"or those before it have more than {MAX_STRANGE} lines that are not JSON"
                    )
                    raise AuditUnavailable(f"{path}: {why}") from None
            yield line, found
