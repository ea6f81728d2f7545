"""Where the files of a plan are: in Asterisk's folder, or in the books, which only who installs may write.

Asterisk's folder belongs to another user on many systems, who may put anything under any name at any moment. So every
path is from a fixed set, each folder is open, and no link leads out of it: see ``folder``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Self

from agi_monitor.errors import InstallFailed
from agi_monitor.files.folder import ACCESS_LIST, Folder, Rights, Taken, Unfit
from agi_monitor.install import plan as plans

LIMIT = 64 * 1_048_576
"""Bytes of one file; a generated dialplan may have MiB."""

SITE_LIMIT = 4 * 1_048_576
"""Bytes of one of the site's own files, which have some KiB, and are anyone's who owns Asterisk's folder."""

ALL_LIMIT = 2 * LIMIT
"""Bytes of all files together that a plan is made from; they are in memory at once."""

ROOT_BOOKS = Path("/var/lib/agi-monitor-install")
"""Where root keeps the books. Not below /var/lib/agi-monitor, which belongs to the user of the server."""

BOOKS_MODE = 0o700


def books_of(asterisk: Path, given: Path | None, environment: Mapping[str, str]) -> Path:
    """Return the folder of the books about one of Asterisk's folders.

    Parameters:
        asterisk: Asterisk's folder.
        given: where the books of all of them are; None for the usual place.
        environment: names the usual place of a user that is not root.
    """
    if given is None:
        home = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "/") / ".local/state")
        given = ROOT_BOOKS if os.geteuid() == 0 else Path(home) / "agi-monitor-install"
    digest = hashlib.sha256(os.fsencode(os.path.realpath(asterisk))).hexdigest()
    return given / digest[:32]


def open_books(path: Path, *, make: bool) -> Folder | None:
    """Open the folder of the books.

    Parameters:
        path: of the folder.
        make: whether to create it if it is missing.

    Returns:
        None if it does not exist and is not created.

    Raises:
        InstallFailed: another user may write there, or it cannot be created.
    """
    try:
        folder = _opened(path.absolute(), make)
    except OSError as error:
        raise InstallFailed(f"{error.filename or path}: {error.strerror}: {_ADVICE}") from error
    return folder


_ADVICE = (
    "it keeps what was installed, so only the user who installs may write to it. Name another folder with --books"
)


def _opened(path: Path, make: bool) -> Folder | None:
    names: list[str] = []
    here = path
    while True:
        try:
            folder = Folder.at(here)
            break
        except FileNotFoundError:
            if not make:
                return None
            names.append(here.name)
            here = here.parent
    for name in reversed(names):
        with folder:
            folder = folder.make(name, BOOKS_MODE)
    me = os.geteuid()
    if folder.uid != me or folder.is_shared:
        folder.close()
        raise Unfit(folder.path, "others than the user who installs may write there")
    # Who may rename a folder on the way to root's books may exchange them.
    if me == 0 and folder.stranger() is not None:
        folder.close()
        raise Unfit(folder.path, "others than root may put another folder in its place, or in that of one above it")
    return folder


class Places:
    """The open folders that the paths of a plan are in.

    Parameters:
        site: Asterisk's folder.
        books: of the books; None where there are none, and none are needed.
    """

    def __init__(self, site: Folder, books: Folder | None) -> None:
        self.site = site
        self._books = books
        self._below: dict[PurePosixPath, Folder] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()

    def forget(self) -> None:
        """Close what was opened below the two."""
        while self._below:
            self._below.popitem()[1].close()

    @property
    def has_books(self) -> bool:
        """Whether there are any."""
        return self._books is not None

    @property
    def books(self) -> Folder:
        """The folder of the books."""
        if self._books is None:
            raise InstallFailed("there are no books")
        return self._books

    def real(self, path: str) -> str:
        """Return where the content of a path is within its folder: elsewhere when it is a link.

        Parameters:
            path: of a plan.

        Raises:
            Unfit: it is a link that leads out of Asterisk's folder, or of another user.
            OSError: it cannot be looked at.
        """
        _must_be_known(path)
        if path not in plans.ALL_HOSTS:
            return path
        found = self.site.link(path)
        if found is None:
            return path
        target, owner = PurePosixPath(found[0]), found[1]
        if owner not in (self.site.uid, 0, os.geteuid()):
            raise Unfit(self.site.path / path, "is a symbolic link of another user, which is not followed")
        if target.is_absolute():
            target = target.relative_to(str(self.site.path)) if target.is_relative_to(str(self.site.path)) else target
        if target.is_absolute() or ".." in target.parts or not target.parts:
            raise Unfit(
                self.site.path / path,
                f"is a symbolic link out of {self.site.path}, which is not followed: its owner could have any file "
                "changed. Put the file itself here, or a link to a file within this folder",
            )
        if plans.is_book(str(target)):
            raise Unfit(
                self.site.path / path,
                f"is a symbolic link to {target}, a name that the books of 'install' have, and is not followed. Put "
                "the file itself here",
            )
        return str(target)

    def at(self, real: str) -> tuple[Folder, str]:
        """Return the open folder of a file, and its name in it.

        Parameters:
            real: as ``real`` returns it.

        Raises:
            FileNotFoundError: its folder is not there.
            OSError: its folder cannot be opened, or is a link.
        """
        where = PurePosixPath(real)
        if plans.is_book(real):
            return self.books, where.name
        return self._folder(where.parent), where.name

    def present(self, path: str) -> bytes | None:
        """Return the content of a path; None when there is no such file: see ``taken``."""
        found = self.taken(path)
        return None if found is None else found.content

    def taken(self, path: str, real: str | None = None) -> Taken | None:
        """Return the content of a path and who may use it; None when there is no such file.

        Parameters:
            path: of a plan.
            real: as ``real`` has returned it; None to ask it.

        Raises:
            Unfit: it is not a regular file of this folder, Asterisk could not read it, or a link leads to what
                belongs to another user.
            OSError: it cannot be read.
        """
        if plans.is_book(path):
            return None if self._books is None else self._of_books(path)
        try:
            real = self.real(path) if real is None else real
            folder, name = self.at(real)
            if real != path:
                for where in PurePosixPath(real).parents:
                    self._must_be_of_site(self._folder(where).uid, self.site.path / where)

            def look(rights: Rights) -> None:
                if real != path:
                    self._must_be_of_site(rights.uid, folder.path / name)
                self._must_be_readable(rights, folder.path / name)

            return folder.take(name, SITE_LIMIT if path in plans.ALL_HOSTS else LIMIT, look)
        except FileNotFoundError:
            return None

    def _of_books(self, path: str) -> Taken | None:
        try:
            return self.books.take(PurePosixPath(path).name, LIMIT)
        except FileNotFoundError:
            return None

    def _must_be_of_site(self, uid: int, path: Path) -> None:
        """The folder's owner may make a link to any file within, also to one that they may not change."""
        if uid not in (self.site.uid, os.geteuid() or self.site.uid):
            raise Unfit(
                path,
                f"belongs to another user than {self.site.path}, and a symbolic link there leads to it, which is not "
                "followed. Give it to that user, or put the file itself in the place of the link",
            )

    def _must_be_readable(self, found: Rights, path: Path) -> None:
        """The folder's owner may have moved a file in that only root may read: it is neither shown nor copied."""
        if found.uid in (self.site.uid, os.geteuid() or -1) or _lets_read(found, self.site.uid, self.site.gid):
            return
        raise Unfit(
            path,
            "cannot be read by the owner of its folder, so it is not what Asterisk reads. Give it to that user, or "
            "move it away",
        )

    def _folder(self, where: PurePosixPath) -> Folder:
        if not where.parts:
            return self.site
        if where not in self._below:
            self._below[where] = self._folder(where.parent).below(where.name)
        return self._below[where]


_USER, _OWN_GROUP, _GROUP, _MASK = 0x02, 0x04, 0x08, 0x10
"""Kinds of entries of an access list (include/uapi/linux/posix_acl.h)."""


def _lets_read(rights: Rights, uid: int, gid: int) -> bool:
    """Whether a user that does not own a file may read it.

    Parameters:
        rights: of the file.
        uid: the user.
        gid: their group.
    """
    content = rights.attributes.get(ACCESS_LIST)
    if content is None:
        return bool(rights.mode & (stat.S_IRGRP if rights.gid == gid else stat.S_IROTH))
    # A version, then entries of a kind, permissions and a number (include/uapi/linux/posix_acl_xattr.h).
    entries = list(struct.iter_unpack("<HHI", content[4:]))
    mask = next((may for kind, may, _ in entries if kind == _MASK), 0o7)
    for kind, may, number in entries:
        if kind == _USER and number == uid:
            return bool(may & mask & 0o4)
    of_groups = [
        may & mask
        for kind, may, number in entries
        if (kind == _OWN_GROUP and rights.gid == gid) or (kind == _GROUP and number == gid)
    ]
    return any(may & 0o4 for may in of_groups) if of_groups else bool(rights.mode & stat.S_IROTH)


def _must_be_known(path: str) -> None:
    if path not in plans.PATHS and not plans.is_book(path):
        raise InstallFailed(f"{path!r} is not a file that an install writes")
