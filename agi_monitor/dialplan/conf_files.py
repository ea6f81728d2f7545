"""Reads configuration files as Asterisk does (main/config.c): templates, continued sections, includes, comments.

``[a](!)`` is a template, ``[b](a)`` begins with all lines of ``a``, ``[b](+)`` continues an earlier ``b``.
What Asterisk leaves out is reported with its line. The grammar of a line is that of ``dialplan.statements``.

Asterisk's folder may belong to another user: only regular files on disks are read, and no more of them than
``Limits`` allows, however files include one another.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from agi_monitor.dialplan.statements import BLANKS, Assignment, Directive, Reader, Statement, Unreadable
from agi_monitor.dialplan.statements import Section as Heading
from agi_monitor.errors import ConfigError
from agi_monitor.files.folder import Folder, Stranger

MAX_DEPTH = 10
"""Files that include one another (MAX_INCLUDE_LEVEL, config.c)."""

MAX_VALUE = 65_536
"""Characters of a value that ``+=`` has made; one line has 8,191 bytes at most."""

MAX_FOLDERS = 32
"""Folders within one another that are looked into; Asterisk's own have three or four."""

KERNEL_FILE_SYSTEMS = frozenset(
    (
        *("proc", "sysfs", "tracefs", "debugfs", "securityfs", "selinuxfs", "configfs", "efivarfs", "pstore", "bpf"),
        *("cgroup", "cgroup2", "fusectl", "binfmt_misc", "mqueue", "devpts", "nsfs", "resctrl", "rpc_pipefs", "nfsd"),
    )
)
"""File systems without configuration. Reading some of their files takes lines from other readers, or never ends."""

MAX_NAME_BYTES = 79
"""A longer name of a section is cut (ast_category: name[80])."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reading may take. FreePBX's files for 10,000 phones stay below it.

    Parameters:
        file_bytes: of one file.
        all_bytes: of all files together, one that is included twice counts twice.
        lines: of all files together.
        files: that are opened.
        names: of folders and files that are looked at for the patterns of all includes together.
        copied: lines that all sections have together, those from templates included.
        searched: lines and sections that are searched for what ``+=`` and ``(+)`` continue.
        compared: characters of values that ``+=`` makes, and of those that it is compared with.
        notes: of what was not understood.
    """

    file_bytes: int = 16 * 1024 * 1024
    all_bytes: int = 32 * 1024 * 1024
    lines: int = 600_000
    files: int = 2_000
    names: int = 20_000
    copied: int = 2_000_000
    searched: int = 2_000_000
    compared: int = 64 * 1024 * 1024
    notes: int = 1_000


LIMITS = Limits()


class TooMuch(ConfigError):
    """A reading would take more than its limits; names the file, the line and the limit."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a section.

    Parameters:
        path: the file.
        number: of the line.
        name: in lower case.
        value: without the comment.
    """

    path: str
    number: int
    name: str
    value: str

    @property
    def where(self) -> str:
        """File and number, for people."""
        return f"{self.path}:{self.number}"


@dataclass(slots=True, eq=False)
class Section:
    """A section, with what it took from its templates first.

    Parameters:
        name: as written there.
        where: file and number, for people.
        is_template: whether it is a template only.
        lines: in their order.
    """

    name: str
    where: str
    is_template: bool
    lines: list[Line] = field(default_factory=list)

    def last(self, name: str) -> str | None:
        """Return the value that counts where one may stand; None without any."""
        return next((line.value for line in reversed(self.lines) if line.name == name), None)

    def values(self, name: str) -> list[str]:
        """Return all values of a name."""
        return [line.value for line in self.lines if line.name == name]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file says.

    Parameters:
        sections: in their order, templates too.
        notes: what was not understood, each with its file and line.
        refused: why Asterisk refuses the whole file, with the line at which it does; empty when it loads it. The
            sections are then those before that line.
    """

    sections: Sequence[Section]
    notes: Sequence[str]
    refused: str = ""


def read(folder: Path, name: str, limits: Limits = LIMITS) -> Reading:
    """Read a file of Asterisk's configuration and what it includes.

    Parameters:
        folder: the configuration, which includes begin from.
        name: of the file.
        limits: what it may take.

    Raises:
        OSError: it cannot be read, or is not a regular file. An include that cannot be read is told as a note.
        TooMuch: it would take more than the limits.
    """
    loading = _Loading(folder, limits)
    with as_owner_of(folder):
        refused = loading.file(folder / name, 0, Reader(), _Place())
    return Reading(loading.sections, loading.notes, refused)


@contextmanager
def as_owner_of(folder: Path) -> Iterator[None]:
    """Read no more than those may read who can change a folder, where root reads it: they can put links and includes
    there that lead to anything. That is the owner of the folder or of one on the way to it, wherever links lead, or
    the group that may write there.

    Parameters:
        folder: of Asterisk.

    Raises:
        Unfit: a link of another user is on the way.
        OSError: it is not there, or the rights of that user cannot be taken on.
    """
    if os.geteuid() != 0:
        yield
        return
    # By its descriptor: a link, or a folder on the way, may be another one at the next look.
    with Folder.at(folder) as opened:
        stranger = opened.stranger()
    with _rights(stranger):
        yield


@contextmanager
def _rights(stranger: Stranger | None) -> Iterator[None]:
    """Read no more than a stranger may read, if there is one. Who has their rights already keeps them."""
    if stranger is None or os.geteuid() != 0:
        yield
        return
    _of_the_kernel()  # it may need root's rights, and is remembered
    with stranger.rights():
        yield


def contents(path: Path, limit: int = LIMITS.file_bytes) -> str:
    """Return the text of a regular file. One that says it is empty is not read.

    Parameters:
        path: of the file; what a link leads to is read.
        limit: bytes.

    Raises:
        OSError: it cannot be read, or is not a regular file on a disk. Nothing is ever waited for: not a pipe, not a
            device, not a file that the kernel makes up, such as ``/proc/kmsg``, whose lines are gone once read.
        TooMuch: it is longer than the limit.
    """
    return _opened(path, limit)[0]


def _opened(path: Path, limit: int) -> tuple[str, os.stat_result]:
    """The text of a regular file, and what the file is that it was read from."""
    _must_be_on_a_disk(path, path.stat())  # opening a device can set it in motion
    # The file may have been replaced since. Without O_NONBLOCK, opening a pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        _must_be_on_a_disk(path, found)
        if found.st_size > limit:
            raise TooMuch(f"{path}: has more than {limit} bytes")
        # Most files of the kernel say that they are empty, also those of file systems that are not listed here.
        data = _read(descriptor, limit + 1, path) if found.st_size else b""
    finally:
        os.close(descriptor)
    if len(data) > limit:
        raise TooMuch(f"{path}: has more than {limit} bytes")
    return data.decode("utf-8", "replace"), found


def _read(descriptor: int, most: int, path: Path) -> bytes:
    """Read to the end, or as much as is wanted. Not by a file object: that takes "come again later" for the end."""
    parts: list[bytes] = []
    left = most
    try:
        while left > 0 and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
    except OSError as error:
        error.filename = str(path)
        raise
    return b"".join(parts)


def _must_be_on_a_disk(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if found.st_dev in _of_the_kernel():
        raise OSError(errno.EINVAL, "not a file on a disk: the kernel makes it up", str(path))


@cache
def _of_the_kernel() -> frozenset[int]:
    """The devices whose files are made up when they are read."""
    devices = set()
    for place in ("/proc", "/sys"):
        with suppress(OSError):
            if os.path.ismount(place):
                devices.add(Path(place).stat().st_dev)
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        mounts = ""
    for line in mounts.splitlines():
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue (proc_pid_mountinfo(5))
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        if kind and kind[0] in KERNEL_FILE_SYSTEMS and len(mount) > 2:
            major, _, minor = mount[2].partition(":")
            devices.add(os.makedev(int(major), int(minor)))
    return frozenset(devices)


def files_below(folder: Path, most: int, deepest: int = MAX_FOLDERS) -> Iterator[Path]:
    """Yield the files in a folder and in those below it. A link to a folder is not followed.

    Parameters:
        folder: where to begin.
        most: files and folders that are looked at.
        deepest: folders within one another.

    Raises:
        OSError: it cannot be read. One below it that may not be read is passed over.
        TooMuch: there are more than the limits.
    """
    left = most
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = os.scandir(here)
        except PermissionError:
            if not depth:
                raise
            continue
        with entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    raise TooMuch(f"{folder}: there are more than {most} files in it")
                if entry.is_dir(follow_symlinks=False):
                    if depth == deepest:
                        raise TooMuch(f"{here}: there are more than {deepest} folders within one another")
                    waiting.append((here / entry.name, depth + 1))
                elif _is_file(entry):
                    yield here / entry.name


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False  # such as a link that leads to itself


@dataclass(slots=True)
class _Place:
    """Where the lines of one include go: each include has a section of its own that is open."""

    section: Section | None = None


class _Loading:
    """The state of reading: all sections, the last of them, and how much was read."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.sections: list[Section] = []
        self.notes: list[str] = []
        self._folder = folder
        self._limits = limits
        self._by_name: dict[str, list[Section]] = {}
        self._current: Section | None = None
        self._names: dict[str, str] = {}
        self._left = [limits.names]
        self._bytes = self._lines = self._files = self._copied = self._searched = self._compared = 0

    def file(self, path: Path, depth: int, reader: Reader, place: _Place) -> str:
        """Read one file, and return where and why Asterisk gives up; empty at its end."""
        self._files += 1
        if self._files > self._limits.files:
            raise TooMuch(f"{path}: more than {self._limits.files} files are included")
        text, found = _opened(path, self._limits.file_bytes)
        self._bytes += len(text)
        if self._bytes > self._limits.all_bytes:
            raise TooMuch(f"{path}: more than {self._limits.all_bytes} bytes are included")
        left = self._limits.lines - self._lines
        self._lines += text.count("\n") + 1
        if self._lines > self._limits.lines:
            raise TooMuch(f"{path}:{left + 1}: more than {self._limits.lines} lines are included")
        told = str(path)
        # In root's folder there may be a file that others write: they say what it includes.
        with _rights(Stranger.of(found)):
            for statement in reader.statements(text):
                refused = self._statement(statement, told, depth, place)
                if refused:
                    what = "reads this file no further" if depth else "refuses the whole file"
                    self._note(f"{refused}; Asterisk {what}")
                    return refused
        return ""

    def _statement(self, statement: Statement, path: str, depth: int, place: _Place) -> str:
        if isinstance(statement, Assignment):  # most of them are
            return self._assignment(statement, path, place)
        where = f"{path}:{statement.line}"
        match statement:
            case Heading():
                return self._heading(statement, where, place)
            case Directive(_, directive):
                return self._directive(directive, where, depth)
            case Unreadable(_, text, ends, reason):
                if text and place.section is None and not text.startswith("["):
                    return f"{where}: stands in no section"
                if ends:
                    return f"{where}: {reason}"
                self._note(f"{where}: {reason}")
                return ""

    def _note(self, text: str) -> None:
        if len(self.notes) == self._limits.notes:
            self.notes.append("and more, which is not told")
        elif len(self.notes) < self._limits.notes:
            self.notes.append(text)

    # ---- sections ----------------------------------------------------------------------------------------------

    def _heading(self, heading: Heading, where: str, place: _Place) -> str:
        name = heading.name.encode()[:MAX_NAME_BYTES].decode("utf-8", "ignore")
        section = Section(name, where, is_template=False)
        is_new = True
        if heading.options.startswith("("):
            options, closing, _ = heading.options[1:].partition(")")
            if not closing:
                return f"{where}: [{name}] has a ( without its )"
            for option in options.split(","):
                if option == "!":
                    section.is_template = True
                elif option.startswith("+"):
                    found = self._to_go_on(name, option[1:], where)
                    if found is None:
                        return f"{where}: there is no [{name}] that this could go on with"
                    if is_new:
                        found.is_template |= section.is_template
                        self._copy(section, found, where)
                        self._current, is_new = found, False
                    section = found
                else:
                    # Without a name, the first of all sections is meant (category_get_sep).
                    base = self._first(option) if option else next(iter(self.sections), None)
                    if base is None:
                        return f"{where}: [{name}] is made from [{option}], which is not there"
                    self._copy(base, section, where)
        if is_new:
            self.sections.append(section)
            self._by_name.setdefault(_lower(name), []).append(section)
            self._current = section
        place.section = section
        return ""

    def _first(self, name: str) -> Section | None:
        return next(iter(self._by_name.get(_lower(name), ())), None)

    def _to_go_on(self, name: str, condition: str, where: str) -> Section | None:
        """The first section of this name that meets a condition, such as ``type=endpoint`` (does_category_match)."""
        found = self._by_name.get(_lower(name), [])
        with_templates, alone = False, False
        wanted: list[tuple[str, str]] = []
        for part in condition.split("&") if condition else ():
            key, sign, value = (one.strip(BLANKS) for one in part.partition("="))
            if key == "TEMPLATES":
                with_templates, alone = True, value.lower() == "restrict"
            elif sign and _LITERAL.fullmatch(key) and _LITERAL.fullmatch(value):
                wanted.append((key, value))
            else:
                # These are regular expressions. Another user's may take for ever.
                self._note(f"{where}: (+{condition[:80]}) is not understood")
        for section in found:
            self._search(where, "(+)")
            is_kind = section.is_template if alone else with_templates or not section.is_template
            if is_kind and all(self._has(section, *one, where) for one in wanted):
                return section
        return None

    def _has(self, section: Section, name: str, value: str, where: str) -> bool:
        name = name.lower()
        for line in section.lines:
            self._search(where, "(+)")
            if name in line.name:
                self._compare(len(line.value), where)
                if value in line.value:
                    return True
        return False

    def _copy(self, source: Section, target: Section, where: str) -> None:
        # Also a section without lines is work.
        self._count(len(source.lines) or 1, where)
        # The list itself, where a section is made from itself.
        target.lines += list(source.lines)

    def _count(self, lines: int, where: str) -> None:
        self._copied += lines
        if self._copied > self._limits.copied:
            raise TooMuch(f"{where}: with their templates, the sections have more than {self._limits.copied} lines")

    # ---- lines -------------------------------------------------------------------------------------------------

    def _assignment(self, assignment: Assignment, path: str, place: _Place) -> str:
        section = place.section
        if section is None:
            return f"{path}:{assignment.line}: stands in no section"
        key, value = assignment.key, assignment.value
        if not key:
            self._note(f"{path}:{assignment.line}: no name and value")
            return ""
        name = self._names.get(key) or self._names.setdefault(key, key.lower())
        if assignment.appends:
            where = f"{path}:{assignment.line}"
            found = self._to_append_to(section, name, where)
            if found is not None:
                number, before = found
                self._compare(len(before) + len(value), where)
                value = (before + value).strip(BLANKS)
                if len(value) > MAX_VALUE:
                    raise TooMuch(f"{where}: += makes a value of more than {MAX_VALUE} characters")
                section.lines[number] = Line(path, assignment.line, name, value)
                return ""
            value = value.strip(BLANKS)
        self._copied += 1
        if self._copied > self._limits.copied:
            self._count(0, f"{path}:{assignment.line}")
        section.lines.append(Line(path, assignment.line, name, value))
        return ""

    def _to_append_to(self, section: Section, name: str, where: str) -> tuple[int, str] | None:
        """The place of the line that ``+=`` changes, and the value that it continues.

        That is the value of the last line of this name; but then Asterisk changes the first that has this name and
        this value (ast_variable_update), or, when it is empty, the first of the name.
        """
        places = range(len(section.lines))
        last = next((one for one in reversed(places) if self._is(section.lines[one], name, where)), None)
        if last is None:
            return None
        value = section.lines[last].value
        self._compare(len(value), where)
        wanted = _lower(value)
        fits = (one for one in places if self._is(section.lines[one], name, where))
        return next(one for one in fits if not value or self._same(section.lines[one].value, wanted, where)), value

    def _is(self, line: Line, name: str, where: str) -> bool:
        self._search(where, "+=")
        return line.name == name

    def _same(self, value: str, wanted: str, where: str) -> bool:
        """Whether a value is one that is in lower case already. The length is the same in both cases."""
        if len(value) != len(wanted):
            return False
        self._compare(len(value), where)
        return _lower(value) == wanted

    def _search(self, where: str, sign: str) -> None:
        self._searched += 1
        if self._searched > self._limits.searched:
            raise TooMuch(f"{where}: {sign} has more than {self._limits.searched} lines to look through")

    def _compare(self, characters: int, where: str) -> None:
        self._compared += characters
        if self._compared > self._limits.compared:
            raise TooMuch(f"{where}: the values have more than {self._limits.compared} characters to compare")

    # ---- includes ----------------------------------------------------------------------------------------------

    def _directive(self, directive: str, where: str, depth: int) -> str:
        word, argument = _words(directive)
        if word not in ("include", "tryinclude"):
            # Not the word: the file need not be one of Asterisk's.
            self._note(f"{where}: #exec is not followed" if word == "exec" else f"{where}: # with an unknown word")
            return ""
        if not argument:
            self._note(f"{where}: #{word} without a file")
            return ""
        wanted = argument
        if wanted[0] in '"<' and wanted[-1] == {'"': '"', "<": ">"}[wanted[0]] and len(wanted) > 1:
            wanted = wanted[1:-1]
        if depth >= MAX_DEPTH:
            self._note(f"{where}: files include one another without an end")
            return "" if word == "tryinclude" else f"{where}: an include in too many others"
        if self._included(wanted, where, depth) or word == "tryinclude":
            return ""
        return f"{where}: {wanted[:200]} is not there"

    def _included(self, wanted: str, where: str, depth: int) -> bool:
        """Read the files of an include, and return whether there was one."""
        reader, place = Reader(), _Place(self._current)
        is_there = False
        for path in _matches(self._folder, wanted, self._left, where):
            try:
                refused = self.file(path, depth + 1, reader, place)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._note(f"{where}: {path}: {error.strerror}")
                # Asterisk may be able to read what we cannot; what it can never read is as if it were not there.
                is_there = is_there or error.errno in (errno.EACCES, errno.EPERM)
                continue
            is_there = True
            if refused:
                break
        return is_there


def matches(folder: Path, wanted: str, limit: int = LIMITS.names, where: str = "") -> Iterator[Path]:
    """Yield the paths that an include means, as glob(3) with GLOB_BRACE and GLOB_NOMAGIC finds them.

    Parameters:
        folder: where a relative one begins.
        wanted: the path or pattern.
        limit: names that are looked at.
        where: the include stands, for the error.

    Raises:
        TooMuch: there are more names than the limit.
    """
    return _matches(folder, wanted, [limit], where)


def _matches(folder: Path, wanted: str, left: list[int], where: str) -> Iterator[Path]:
    for pattern in _braces(wanted, where, left):
        first = Path("/") if pattern.startswith("/") else folder
        yield from _globbed(first, [part for part in pattern.split("/") if part], where, left)


def _globbed(base: Path, parts: list[str], where: str, left: list[int]) -> Iterator[Path]:
    waiting = [(base, 0)]
    while waiting:
        path, number = waiting.pop()
        while number < len(parts) and not _has_pattern(parts[number]):
            path, number = path / parts[number], number + 1
        if number == len(parts):
            # A path without a pattern is looked for as it is, so that what is wrong with it can be told.
            if not any(map(_has_pattern, parts)) or _exists(path):
                yield path
            continue
        names = _names(path, parts[number], where, left)
        waiting += [(path / name, number + 1) for name in sorted(names, reverse=True)]


_LITERAL = re.compile(r"[A-Za-z0-9_-]*")
"""A regular expression that means its own text, anywhere in another."""


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # such as one with too long a name


def _has_pattern(part: str) -> bool:
    return any(sign in part for sign in "*?[")


def _names(folder: Path, pattern: str, where: str, left: list[int]) -> Iterator[str]:
    """The names in a folder that a pattern means; those that begin with a dot only by a dot."""
    form = re.compile(fnmatch.translate(pattern.replace("[^", "[!")), re.DOTALL)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _spend(left, where)
                if form.match(entry.name) and (pattern.startswith(".") or not entry.name.startswith(".")):
                    yield entry.name
    except OSError:
        return


def _braces(wanted: str, where: str, left: list[int]) -> Iterator[str]:
    """``{a,b}`` stands for each of its parts."""
    waiting = [wanted]
    while waiting:
        text = waiting.pop()
        _spend(left, where)
        found = re.search(r"\{([^{}]*)\}", text)
        if found is None or not found[1]:
            yield text
        else:
            parts = islice(found[1].split(","), 0, 256)
            waiting += reversed([text[: found.start()] + part + text[found.end() :] for part in parts])


def _spend(left: list[int], where: str) -> None:
    left[0] -= 1
    if left[0] < 0:
        raise TooMuch(f"{where}: the patterns of includes mean too many files")


def _words(directive: str) -> tuple[str, str]:
    """The word behind the ``#`` in lower case, and its argument.

    A word ends at a space, and at any byte outside of ASCII: Asterisk compares signed characters.
    """
    data = directive[1:].encode()
    end = next((place for place, byte in enumerate(data) if not 32 < byte < 128), len(data))
    return data[:end].decode().lower(), data[end + 1 :].decode("utf-8", "replace").strip(BLANKS)


def _lower(name: str) -> str:
    """As strcasecmp compares: only letters of ASCII have two cases."""
    return name.encode().lower().decode()
