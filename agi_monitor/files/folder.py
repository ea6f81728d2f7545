"""A folder that is held open, and the regular files in it: no name leads out of it, even if others may write there.

A file is named by one word, never by a path. It is opened by the folder's descriptor and without following a link,
and looked at once more when it is open: what is a link, a FIFO, a device, or has a second name elsewhere is refused
before anything is read or written. What is written goes to a new file, which takes the place of the old one in one
step.
"""

from __future__ import annotations

import errno
import os
import pwd
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MAX_LINKS = 40
"""Symbolic links in one path, as in Linux (fs/namei.c, MAXSYMLINKS)."""

MAX_ATTEMPTS = 16
"""How often a file may come and go between two looks before that is an error: a rotation does it once."""

BLOCK = 1_048_576

ACCESS_LIST = "system.posix_acl_access"
"""The attribute with a POSIX access list (include/uapi/linux/xattr.h)."""
LABEL = "security.selinux"
"""The attribute with what SELinux calls a file."""

_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Unfit(OSError):
    """What has this name is not what may be used. ``strerror`` says why, and what to do.

    Parameters:
        path: of it.
        why: the rest of the sentence that begins with the path.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(errno.EPERM, why, str(path))


@dataclass(frozen=True, slots=True)
class Rights:
    """Who may use a file. Always of one that is open: by its name it may be another one at the next look.

    Parameters:
        uid: the owner.
        gid: the group.
        mode: permission bits; with an access list those of the group are its mask.
        attributes: the access list and the label, where there are any.
    """

    uid: int
    gid: int
    mode: int
    attributes: Mapping[str, bytes]

    @classmethod
    def of(cls, handle: int) -> Rights:
        """Read them.

        Parameters:
            handle: descriptor of the file.

        Raises:
            OSError: that failed.
        """
        found = os.fstat(handle)
        attributes = {name: value for name in (ACCESS_LIST, LABEL) if (value := _attribute(handle, name)) is not None}
        return cls(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode) & 0o777, attributes)

    def are_those_of(self, other: Rights) -> bool:
        """Whether a file that was to get the rights of another one has them. Only root can give it to others.

        Parameters:
            other: of the other file.
        """
        is_same = self.mode == other.mode and self.attributes.get(ACCESS_LIST) == other.attributes.get(ACCESS_LIST)
        if LABEL in other.attributes and self.attributes.get(LABEL) != other.attributes[LABEL]:
            return False
        return is_same and (os.geteuid() != 0 or (self.uid, self.gid) == (other.uid, other.gid))


@dataclass(frozen=True, slots=True)
class Taken:
    """What one look at an open file has found; both parts are of the same file.

    Parameters:
        content: all of it.
        rights: who may use it.
    """

    content: bytes
    rights: Rights


NOBODY = 65_534
"""The user and the group of those who have no rights of their own (Debian's nobody and nogroup)."""


@dataclass(frozen=True, slots=True)
class Stranger:
    """A user besides root who may change something, as far as is known of them.

    Parameters:
        uid: theirs; ``NOBODY`` where it is any member of the group, or anyone.
        gid: the group; ``NOBODY`` where it is anyone.
    """

    uid: int
    gid: int

    @classmethod
    def of(cls, found: os.stat_result, *, is_passed: bool = False) -> Stranger | None:
        """Return who may change a file, or what is in a folder; None where that is root alone.

        Parameters:
            found: what is known of it, from its descriptor.
            is_passed: it is a folder on the way to another one, in which the sticky bit keeps others from exchanging
                what is there.
        """
        if found.st_uid != 0:
            return cls(found.st_uid, found.st_gid)
        if is_passed and found.st_mode & stat.S_ISVTX:
            return None
        if found.st_mode & stat.S_IWOTH:
            return cls(NOBODY, NOBODY)
        return cls(NOBODY, found.st_gid) if found.st_mode & stat.S_IWGRP and found.st_gid != 0 else None

    def rights(self) -> AbstractContextManager[None]:
        """Have their rights and no others, in root's process: see ``rights_of``.

        Raises:
            OSError: these rights cannot be taken on.
        """
        groups = [self.gid] if self.uid == NOBODY else groups_of(self.uid, self.gid)
        return rights_of(self.uid, groups or [NOBODY])


class Folder:
    """A folder that is open. Made by ``at``; ends with ``close`` or the ``with`` statement.

    Parameters:
        path: what it is called in errors.
        handle: its descriptor, which belongs to this object from now on.
        way: the folders that were passed on the way to it, from the outermost.
    """

    def __init__(self, path: Path, handle: int, way: Sequence[os.stat_result] = ()) -> None:
        self.path = path
        self._handle = handle
        self._way = way
        found = self._found = os.fstat(handle)
        self.uid, self.gid, self.mode = found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    @classmethod
    def at(cls, path: Path) -> Folder:
        """Open a folder. For root, only links of root in folders of root are followed on the way to it.

        Parameters:
            path: as an administrator has given it.

        Raises:
            Unfit: a link of another user is on the way.
            OSError: it is not there, is not a folder, or may not be entered.
        """
        return cls(path, *_walk(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it. May be called twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    @property
    def is_shared(self) -> bool:
        """Whether users other than its owner may change what is in it."""
        return bool(self.mode & 0o022)

    def stranger(self) -> Stranger | None:
        """Return who besides root may change what its path means: what is in it, or on the way to it.

        The nearest one counts. Where there is none, its path leads to it also a moment later.
        """
        passed = (Stranger.of(found, is_passed=True) for found in reversed(self._way))
        return Stranger.of(self._found) or next((one for one in passed if one is not None), None)

    def descriptor(self) -> int:
        """Return a new descriptor that can be locked and synchronised; the caller closes it.

        Raises:
            OSError: the folder may not be read.
        """
        with _named(self.path):
            return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._handle)

    # ---- folders in it ---------------------------------------------------------------------------------

    def below(self, name: str) -> Folder:
        """Open a folder in this one.

        Parameters:
            name: one word.

        Raises:
            Unfit: it is a link or a file.
            OSError: it is not there, or may not be entered.
        """
        shown = self._shown(name)
        found = self.status(name)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise Unfit(shown, f"is {kind(found)} where a folder must be; move it away")
        with _named(shown):
            return Folder(shown, os.open(name, _PLACE, dir_fd=self._handle), (*self._way, self._found))

    def make(self, name: str, mode: int) -> Folder:
        """Make a folder in this one, and open it. It gets the group of this one where we may give it.

        Parameters:
            name: one word.
            mode: permission bits.

        Raises:
            FileExistsError: there is something of this name.
            OSError: it cannot be made.
        """
        shown = self._shown(name)
        with _named(shown):
            os.mkdir(name, 0o700, dir_fd=self._handle)
            made = self.below(name)
            try:
                handle = made.descriptor()
                try:
                    found = os.fstat(handle)
                    # Its mode and that nothing is in it as well: another folder of ours may be there now. The
                    # bit that gives the group to what is made in it comes from the folder above.
                    is_new = stat.S_IMODE(found.st_mode) & ~stat.S_ISGID == 0o700 and not _has_any(handle)
                    if found.st_uid != os.geteuid() or not is_new:
                        raise Unfit(shown, "was replaced by another user while it was made; look at who writes there")
                    with suppress(PermissionError):
                        os.fchown(handle, -1, self.gid)
                    os.fchmod(handle, mode)
                finally:
                    os.close(handle)
                self.sync()
            except BaseException:
                made.close()
                raise
        return made

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder in this one.

        Raises:
            OSError: it is not empty, not there, or may not be removed.
        """
        with _named(self._shown(name)):
            os.rmdir(name, dir_fd=self._handle)

    # ---- files in it -----------------------------------------------------------------------------------

    def status(self, name: str) -> os.stat_result | None:
        """Return what has this name, a link as itself; None when there is nothing.

        Raises:
            OSError: the folder may not be entered.
        """
        with _named(self._shown(name)):
            try:
                return os.stat(name, dir_fd=self._handle, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def names(self) -> Iterator[str]:
        """Yield what is in it, in no order.

        Raises:
            OSError: it may not be read.
        """
        handle = self.descriptor()
        try:
            with os.scandir(handle) as found:
                for entry in found:
                    yield entry.name
        finally:
            os.close(handle)

    def may(self, name: str, access: int) -> bool:
        """Whether this process may use what has this name.

        Parameters:
            name: one word.
            access: ``os.R_OK`` and ``os.W_OK``.
        """
        self._shown(name)
        return os.access(name, access, dir_fd=self._handle, effective_ids=True)

    def link(self, name: str) -> tuple[str, int] | None:
        """Return what a link says and whose it is; None where there is nothing, or no link. Nothing follows it here.

        Raises:
            OSError: the folder may not be entered.
        """
        with _named(self._shown(name)):
            try:
                handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._handle)
            except FileNotFoundError:
                return None
            try:
                found = os.fstat(handle)
                return (os.readlink("", dir_fd=handle), found.st_uid) if stat.S_ISLNK(found.st_mode) else None
            finally:
                os.close(handle)

    def make_link(self, name: str, target: str) -> None:
        """Make a symbolic link.

        Parameters:
            name: one word.
            target: what it says.

        Raises:
            FileExistsError: there is something of this name.
            OSError: it cannot be made.
        """
        with _named(self._shown(name)):
            os.symlink(target, name, dir_fd=self._handle)
        self.sync()

    def open(self, name: str, flags: int, mode: int = 0) -> int:
        """Open a regular file that has no other name, and return its descriptor.

        Parameters:
            name: one word.
            flags: ``os.O_RDONLY`` and the like. With ``os.O_CREAT`` it is made where it is missing; what root makes
                belongs to the owner of the folder.
            mode: permission bits of a file that is made.

        Raises:
            Unfit: it is not such a file.
            FileNotFoundError: it is not there.
            OSError: it may not be opened.
        """
        shown = self._shown(name)
        for _ in range(MAX_ATTEMPTS):
            found = self.status(name)
            if found is not None:
                check(found, shown)
            try:
                with _named(shown):
                    if found is None and flags & os.O_CREAT:
                        handle = os.open(name, flags | os.O_EXCL | _FILE, mode, dir_fd=self._handle)
                        self._give(handle)
                    else:
                        handle = os.open(name, flags & ~os.O_CREAT | _FILE, dir_fd=self._handle)
            except (FileExistsError, FileNotFoundError):
                if not flags & os.O_CREAT:
                    raise
                continue
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENXIO):
                    continue  # it was put there since we looked; the next look names it
                raise
            try:
                check(os.fstat(handle), shown)
            except BaseException:
                os.close(handle)
                raise
            return handle
        raise Unfit(shown, "is made and removed again all the time; find out by whom")

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of a file.

        Parameters:
            name: one word.
            limit: bytes it may have.

        Raises:
            Unfit: it is not a regular file, has another name elsewhere, or is larger.
            FileNotFoundError: it is not there.
            OSError: it may not be read.
        """
        return self.take(name, limit).content

    def take(self, name: str, limit: int, look: Callable[[Rights], None] = lambda _: None) -> Taken:
        """Return the content of a file and who may use it, both of the same open file.

        Parameters:
            name: one word.
            limit: bytes it may have.
            look: is called with the rights before anything is read, and raises where it must not be read.

        Raises:
            Unfit: it is not a regular file, has another name elsewhere, or is larger.
            FileNotFoundError: it is not there.
            OSError: it may not be read.
        """
        handle = self.open(name, os.O_RDONLY)
        with os.fdopen(handle, "rb") as file, _named(self._shown(name)):
            rights = Rights.of(handle)
            look(rights)
            # By its size first: a sparse file of any size costs its owner nothing, and a reader all its memory.
            content = file.read(limit + 1) if os.fstat(handle).st_size <= limit else None
        if content is None or len(content) > limit:
            raise Unfit(self._shown(name), f"is larger than {limit} bytes, so it is not what belongs there")
        return Taken(content, rights)

    def new(self, name: str, temporary: str | None = None) -> NewFile:
        """Make a file that is to become ``name``: see there.

        Parameters:
            name: one word.
            temporary: what it is called until then; None for a random name.

        Raises:
            OSError: it cannot be made.
        """
        temporary = temporary or f".{self._shown(name).name}.{secrets.token_hex(8)}.tmp"
        return NewFile(self, name, self._shown(temporary).name, self._handle)

    def replace(self, name: str, content: bytes, mode: int) -> None:
        """Put a content in the place of a file, or where there is none: fsync, rename, fsync of the folder.

        What root writes belongs to the owner of the folder.

        Parameters:
            name: one word.
            content: all of it.
            mode: permission bits, such as 0o600.

        Raises:
            Unfit: something else than a file has this name, or took the place at the same moment.
            OSError: nothing changed.
        """
        with self.new(name) as made:
            made.write(content)
            made.belongs(mode, *self.owner_of_new())
            made.take_place()

    def owner_of_new(self) -> tuple[int, int]:
        """Whose a new file becomes: the folder's owner where we may say so; -1 leaves it to the system."""
        return (self.uid, self.gid) if os.geteuid() == 0 else (-1, -1)

    def move(self, name: str, to: str) -> None:
        """Rename within the folder, in the place of what is there.

        Raises:
            OSError: nothing changed.
        """
        self._shown(to)
        with _named(self._shown(name)):
            os.rename(name, to, src_dir_fd=self._handle, dst_dir_fd=self._handle)

    def remove(self, name: str) -> None:
        """Remove a name that is not a folder's; a link goes, and what it leads to stays.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it may not be removed.
        """
        with _named(self._shown(name)):
            os.unlink(name, dir_fd=self._handle)

    def sync(self) -> None:
        """Put the names on disk: a new file's content alone does not survive a power cut.

        Raises:
            OSError: that failed.
        """
        handle = self.descriptor()
        try:
            with _named(self.path):
                os.fsync(handle)
        finally:
            os.close(handle)

    def _give(self, handle: int) -> None:
        if os.geteuid() == 0:
            os.fchown(handle, self.uid, self.gid)

    def _shown(self, name: str) -> Path:
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise Unfit(self.path / "?", f"{name!r} is not the name of a file: it would lead out of {self.path}")
        return self.path / name


class NewFile:
    """A file that is being written, and becomes another one in one step or goes again. Made by ``Folder.new``.

    Parameters:
        folder: where it is.
        name: what it is to become.
        temporary: what it is called until then; it matches no ``*.conf``.
        place: the folder's descriptor.
    """

    def __init__(self, folder: Folder, name: str, temporary: str, place: int) -> None:
        self._folder = folder
        self._name = name
        self._place = place
        self.temporary = temporary
        with _named(folder.path / temporary):
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FILE, 0o600, dir_fd=place)
        self.file = os.fdopen(handle, "w+b")
        self._is_there = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.file.close()
        finally:
            # Also where a full disk refuses what is left to be written: each attempt would leave another one.
            if self._is_there:
                with suppress(OSError):
                    os.unlink(self.temporary, dir_fd=self._place)

    def write(self, content: bytes) -> None:
        """Write.

        Raises:
            OSError: that failed.
        """
        with _named(self._folder.path / self._name):
            self.file.write(content)
            self.file.flush()

    def belongs(self, mode: int, uid: int = -1, gid: int = -1) -> None:
        """Say whose it is. A group that we may not give it to is left as it is.

        Parameters:
            mode: permission bits.
            uid: the owner; -1 for who makes it.
            gid: the group; -1 for that of who makes it.

        Raises:
            OSError: that failed.
        """
        handle = self.file.fileno()
        with _named(self._folder.path / self._name):
            found = os.fstat(handle)
            if uid not in (-1, found.st_uid):
                os.fchown(handle, uid, gid)
            elif gid not in (-1, found.st_gid):
                with suppress(PermissionError):
                    os.fchown(handle, -1, gid)
            # Last: a change of the owner takes bits away.
            os.fchmod(handle, mode & 0o777)

    def gets(self, rights: Rights) -> None:
        """Have the rights of another file, before anything is written.

        Parameters:
            rights: of the other file.

        Raises:
            OSError: that failed.
        """
        handle = self.file.fileno()
        with _named(self._folder.path / self._name):
            for name in (ACCESS_LIST, LABEL):
                wanted, found = rights.attributes.get(name), _attribute(handle, name)
                if wanted is not None and wanted != found:
                    os.setxattr(handle, name, wanted)
                elif wanted is None and found is not None and name == ACCESS_LIST:
                    os.removexattr(handle, name)  # it came from the folder
        # Behind the list: without it, what is its mask would for a moment be the right of the group.
        self.belongs(rights.mode, rights.uid, rights.gid)

    def put_on_disk(self) -> None:
        """Wait until its content is on disk.

        Raises:
            OSError: that failed.
        """
        with _named(self._folder.path / self._name):
            self.file.flush()
            os.fsync(self.file.fileno())

    def take_place(self, *, of_nothing: bool = False) -> None:
        """Become what it is to become, and be so after a power cut.

        Parameters:
            of_nothing: only where there is nothing of that name.

        Raises:
            FileExistsError: there is something.
            Unfit: something else than a file has that name, or took the place at the same moment.
            OSError: that failed.
        """
        self.put_on_disk()
        shown = self._folder.path / self._name
        if of_nothing:
            with _named(shown):
                os.link(
                    self.temporary, self._name, src_dir_fd=self._place, dst_dir_fd=self._place, follow_symlinks=False
                )
            self._folder.remove(self.temporary)
        else:
            found = self._folder.status(self._name)
            if found is not None and not stat.S_ISREG(found.st_mode):
                raise Unfit(shown, f"is {kind(found)} where a file must be; move it away")
            self._folder.move(self.temporary, self._name)
        self._is_there = False
        self._folder.sync()
        self.must_be(self._folder, self._name)

    def must_be(self, folder: Folder, name: str) -> None:
        """Look whether this file, and nothing else, has this name.

        Parameters:
            folder: where it should be.
            name: of it there.

        Raises:
            Unfit: something else was put there.
        """
        found, mine = folder.status(name), os.fstat(self.file.fileno())
        if found is None or (found.st_dev, found.st_ino) != (mine.st_dev, mine.st_ino) or mine.st_nlink != 1:
            raise Unfit(
                folder.path / name,
                "was replaced by another program meanwhile, and is not what was written; find out who writes "
                "into this folder, and try again",
            )

    def leave(self) -> None:
        """Let it stay under its present name."""
        self._is_there = False


def replace(path: Path, content: bytes, mode: int) -> None:
    """Put a content in the place of a file: see ``Folder.replace``.

    Parameters:
        path: the file; its folder exists.
        content: all of it.
        mode: permission bits, such as 0o600.

    Raises:
        OSError: nothing changed.
    """
    with Folder.at(path.parent) as folder:
        folder.replace(path.name, content, mode)


def read(path: Path, limit: int) -> bytes:
    """Return the content of a file: see ``Folder.read``.

    Parameters:
        path: of the file.
        limit: bytes it may have.

    Raises:
        OSError: it is not there, may not be read, or is not a regular file within this size.
    """
    with Folder.at(path.parent) as folder:
        return folder.read(path.name, limit)


def groups_of(uid: int, gid: int) -> list[int]:
    """Return the groups of a user, their own first, and never root's.

    Parameters:
        uid: the user; not root.
        gid: of a folder of theirs, for a user without an entry in the user database, as in a container.
    """
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        found = [gid]
    else:
        found = [user.pw_gid, *os.getgrouplist(user.pw_name, user.pw_gid)]
    return list(dict.fromkeys(group for group in found if group != 0))


@contextmanager
def rights_of(uid: int, groups: Sequence[int]) -> Iterator[None]:
    """Have the rights of a user and no others, in root's process. Its real user stays root: they cannot end it.

    Parameters:
        uid: the user; not root.
        groups: theirs, their own first.

    Raises:
        OSError: these rights cannot be taken on.
    """
    before, group = os.getgroups(), os.getegid()
    try:
        os.setgroups(groups)
        os.setegid(groups[0])
        os.seteuid(uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(before)


def kind(found: os.stat_result) -> str:
    """Return what something is that is not a regular file, in words."""
    for is_so, name in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISREG, "a file"),
    ):
        if is_so(found.st_mode):
            return name
    return "a device"


def check(found: os.stat_result, path: Path) -> None:
    """Look whether something is a regular file that has no other name.

    Parameters:
        found: what is known of it; of a link itself.
        path: of it.

    Raises:
        Unfit: it is something else.
    """
    if stat.S_ISLNK(found.st_mode):
        raise Unfit(path, "is a symbolic link, which is not followed here; put the file itself in its place")
    if not stat.S_ISREG(found.st_mode):
        raise Unfit(path, f"is {kind(found)} where a file must be; move it away")
    if found.st_nlink > 1:
        raise Unfit(path, "has another name elsewhere (a hard link); put a copy in its place")


def _attribute(handle: int, name: str) -> bytes | None:
    """An extended attribute of an open file; None without one, or on a file system without any."""
    try:
        return os.getxattr(handle, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def _has_any(handle: int) -> bool:
    """Whether there is anything in an open folder."""
    with os.scandir(handle) as found:
        return next(found, None) is not None


def _walk(path: Path) -> tuple[int, list[os.stat_result]]:
    """Open every folder on the way, each in the one before it; return the last, and what the others are."""
    left = list(reversed(path.absolute().parts[1:]))
    way: list[os.stat_result] = []
    links = 0
    with _named(path):
        here = os.open("/", _PLACE)
        try:
            while left:
                part = left.pop()
                way.append(os.fstat(here))
                try:
                    there = os.open(part, _PLACE, dir_fd=here)
                except NotADirectoryError:
                    found = os.stat(part, dir_fd=here, follow_symlinks=False)
                    if not stat.S_ISLNK(found.st_mode):
                        raise
                    # Who may change the folder counts as well: they may move a link of root's.
                    is_others = found.st_uid != 0 or Stranger.of(way[-1], is_passed=True) is not None
                    if os.geteuid() == 0 and is_others:
                        raise Unfit(
                            path,
                            f"{part} on the way to it is a symbolic link in the hands of another user, "
                            "which root does not follow",
                        ) from None
                    links += 1
                    if links > MAX_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
                    target = Path(os.readlink(part, dir_fd=here))
                    if target.is_absolute():
                        os.close(here)
                        here = os.open("/", _PLACE)
                    left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
                    continue
                os.close(here)
                here = there
        except BaseException:
            os.close(here)
            raise
    return here, way


class _named:  # noqa: N801 (reads as a word of the ``with`` statement)
    """Put the whole path into errors: by a descriptor the system knows the last word alone."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and not isinstance(error, Unfit) and error.errno is not None:
            error.filename, error.filename2 = str(self._path), None
