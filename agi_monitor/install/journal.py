"""Changes several files so that either all of them change or none, even if the machine dies in the middle.

1. The journal names everything that will be made, and is on disk first.
2. The new and the old content of each file are put on disk beside it. A full disk ends here.
3. The journal says ``switching``. From here on there are only renames, which need no space.
4. Each new content takes the place of its file.
5. ``keep`` renames the journal: the new state is final. ``undo`` renames the old contents back, and checks that each
   file has its old content and its old rights.

A call that finds a journal undoes what it names: before 3 nothing was changed, after it the old contents are there.

The journal is with the books, where only the user who installs may write, and is obeyed. Even so, each path in it
must be from the fixed set of the plan. The files themselves are in a folder that may be another user's: what is
renamed is checked before and after. If the old content next to its file is gone or was changed, it comes from a
second copy that is kept with the books until the new state is final.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

from agi_monitor.errors import InstallFailed
from agi_monitor.files.folder import Folder, NewFile, Rights, Taken, Unfit
from agi_monitor.install import plan as plans
from agi_monitor.install.manifest import sha256
from agi_monitor.install.places import LIMIT, Places
from agi_monitor.install.plan import Change

JOURNAL = "journal.json"
BEGUN = f"{JOURNAL}.new"
KEPT = f"{JOURNAL}.kept"
LOCK = "lock"
OLD_JOURNAL = ".agi-monitor-journal.json"
"""Where earlier versions kept it, within Asterisk's folder."""
FILE_MODE = 0o640
FOLDER_MODE = 0o750
"""It contains secrets: only Asterisk's group may read it."""
BOOK_MODE = 0o600


def opened(folder: Path) -> Folder:
    """Open Asterisk's folder.

    Raises:
        InstallFailed: there is no such folder.
    """
    try:
        return Folder.at(folder)
    except OSError as error:
        raise InstallFailed(f"{folder}: cannot be opened as a folder: {error.strerror}") from error


@contextmanager
def alone(site: Folder, books: Folder) -> Iterator[None]:
    """Keep another install from a folder and its books.

    The lock is a file in the books, which other users cannot open: a user who can open a file can lock it, and keep
    every install from its work.

    Parameters:
        site: Asterisk's folder, for the error.
        books: about it.

    Raises:
        InstallFailed: there is another one.
    """
    descriptor = _lock(site, books)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(site: Folder, books: Folder) -> int:
    while True:
        try:
            descriptor = books.open(LOCK, os.O_RDWR | os.O_CREAT, BOOK_MODE)
        except OSError as error:
            raise InstallFailed(f"{error.filename or books.path}: cannot be locked: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # An uninstall may have removed it since it was opened.
            named, mine = books.status(LOCK), os.fstat(descriptor)
            if named is not None and (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise InstallFailed(f"{site.path}: another agi-monitor is changing it; wait for its end") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


class Journal:
    """The changes of one call, under way or left by one that was killed.

    Parameters:
        places: where the files are.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._books = places.books

    def is_there(self) -> bool:
        """Whether changes are under way, or were when a call was killed."""
        return self._books.status(JOURNAL) is not None

    def switch(self, changes: Iterable[Change]) -> None:
        """Change the files. ``keep`` or ``undo`` has to follow; a failure here is undone already.

        Parameters:
            changes: each with a path of the plan; the folder of our own files is made.

        Raises:
            InstallFailed: a file cannot be written, or is another one than planned. Nothing has changed.
        """
        wanted = list(changes)
        try:
            with ExitStack() as stack:
                rows = [self._row(change) for change in wanted]
                made = self._missing_folders(rows)
                self._write("staging", rows, made)
                for name in made:
                    self._places.site.make(name, FOLDER_MODE).close()
                new = [
                    self._stage(change, row, number, stack)
                    for number, (change, row) in enumerate(zip(wanted, rows, strict=True))
                ]
                self._sync(rows)
                self._books.sync()
                self._write("switching", rows, made)
                for row, file in zip(rows, new, strict=True):
                    folder, name = self._places.at(row["real"])
                    if file is None:
                        folder.remove(name)
                    else:
                        folder.move(file.temporary, name)
                self._sync(rows)
                self._look_again(rows, new)
        except OSError as error:
            reason = f"{error.filename or self._places.site.path}: {error.strerror or error}"
            self.undo()
            raise InstallFailed(f"{reason}; nothing was changed") from error
        except InstallFailed:
            self.undo()
            raise

    def keep(self) -> None:
        """Let the new state hold.

        Raises:
            InstallFailed: the journal cannot be taken away; the next call will undo the changes.
        """
        try:
            # A rename: a full disk does not stop it.
            self._books.move(JOURNAL, KEPT)
            self._books.sync()
        except OSError as error:
            place = self._books.path / JOURNAL
            raise InstallFailed(f"{place}: {error.strerror}; the next call will undo the changes") from error
        self._tidy()

    def _tidy(self) -> None:
        """Remove the old contents of changes that hold. What cannot be removed, the next call removes."""
        with suppress(OSError):
            rows = self._read(KEPT)["files"]
            self._remove_copies(rows)
            for row in rows:
                if row["old"] is not None:
                    self._remove(row, _old)
            self._books.remove(KEPT)
            self._books.sync()

    def undo(self) -> bool:
        """Return to the old state. Tells whether there was a journal.

        Raises:
            InstallFailed: a file cannot be put back; the journal stays, so that the next call tries again.
        """
        try:
            with suppress(FileNotFoundError):
                self._books.remove(BEGUN)
            if self._books.status(KEPT) is not None:
                self._tidy()
            if not self.is_there():
                return False
            journal = self._read(JOURNAL)
            rows = journal["files"]
            if journal["phase"] == "switching":
                for number, row in reversed(list(enumerate(rows))):
                    self._put_back(row, number)
                self._must_be_old(rows)
            for row in rows:
                self._remove(row, _new)
                self._remove(row, _old)
            self._sync(rows)
            self._remove_copies(rows)
            self._places.forget()
            for name in reversed(journal["made"]):
                with suppress(OSError):
                    self._places.site.remove_folder(name)
            self._books.remove(JOURNAL)
            self._books.sync()
        except OSError as error:
            raise InstallFailed(
                f"{error.filename or self._places.site.path}: {error.strerror}: the files are half old and half new; "
                "repair it, and the next call of agi-monitor install or uninstall puts the old ones back"
            ) from error
        return True

    # ---- parts -----------------------------------------------------------------------------------------

    def _row(self, change: Change) -> dict[str, Any]:
        return {
            "path": change.path,
            # A symbolic link within the folder stays one: what it leads to is changed.
            "real": self._places.real(change.path),
            "old": None if change.before is None else sha256(change.before),
            "new": None if change.after is None else sha256(change.after),
        }

    def _missing_folders(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        is_needed = any(PurePosixPath(row["real"]).parts[0] == plans.FOLDER for row in rows)
        return [plans.FOLDER] if is_needed and self._places.site.status(plans.FOLDER) is None else []

    def _stage(self, change: Change, row: dict[str, Any], number: int, stack: ExitStack) -> NewFile | None:
        """Put the old and the new content beside the file; returns the file with the new one."""
        folder, name = self._places.at(row["real"])
        # Its rights are of the file whose content this is: its name may already be another file's, or become so any
        # moment.
        found = self._places.taken(change.path, row["real"])
        if (None if found is None else found.content) != change.before:
            raise InstallFailed(
                f"{folder.path / name}: was changed while we looked at it; nothing was changed, try again"
            )
        rights = None if found is None or folder is self._books else found.rights
        row["rights"] = None if rights is None else _rights_row(rights)
        if change.before is not None:
            self._put(folder, name, _old(name), change.before, rights, stack)
            if folder is not self._books:
                self._put(self._books, _copy(number), _copy(number), change.before, None, stack)
        if change.after is None:
            return None
        return self._put(folder, name, _new(name), change.after, rights, stack)

    def _put(
        self, folder: Folder, name: str, temporary: str, content: bytes, like: Rights | None, stack: ExitStack
    ) -> NewFile:
        with suppress(FileNotFoundError):
            folder.remove(temporary)
        file = stack.enter_context(folder.new(name, temporary))
        file.leave()  # the journal knows it
        if folder is self._books:
            file.belongs(BOOK_MODE)
        elif like is None:
            file.belongs(FILE_MODE, gid=self._places.site.gid)
        else:
            file.gets(like)
        file.write(content)
        file.put_on_disk()
        return file

    def _look_again(self, rows: Iterable[Mapping[str, Any]], new: Iterable[NewFile | None]) -> None:
        """Look whether each file is what was written, by the path that Asterisk takes."""
        with Places(self._places.site, self._books) as places:
            for row, file in zip(rows, new, strict=True):
                folder, name = places.at(row["real"])
                if file is not None:
                    file.must_be(folder, name)
                elif folder.status(name) is not None:
                    raise Unfit(folder.path / name, "was made again by another program at the same moment")
                found = places.taken(row["path"])
                if not _is(found, row["new"], _rights_of(row)):
                    raise Unfit(folder.path / name, "was changed by another program at the same moment")

    def _put_back(self, row: Mapping[str, Any], number: int) -> None:
        if row["old"] is None:
            # Not there: it was removed by a call that was killed in the middle.
            with suppress(FileNotFoundError):
                folder, name = self._places.at(row["real"])
                folder.remove(name)
            return
        folder, name = self._places.at(row["real"])
        if self._is_old(folder, _old(name), row):
            folder.move(_old(name), name)
        # Otherwise it was put back by a call that was killed in the middle, or the owner of the folder took it away.
        elif not self._is_old(folder, name, row):
            try:
                content = self._books.read(_copy(number), LIMIT)
            except FileNotFoundError:
                content = b""
            if folder is self._books or sha256(content) != row["old"]:
                raise Unfit(folder.path / name, "is not what it was before, and what it was is gone")
            with ExitStack() as stack:
                file = self._put(folder, name, _old(name), content, _rights_of(row), stack)
                folder.move(file.temporary, name)

    def _is_old(self, folder: Folder, name: str, row: Mapping[str, Any]) -> bool:
        """Whether a file has the old content and the old rights."""
        try:
            return _is(folder.take(name, LIMIT), row["old"], _rights_of(row))
        except (FileNotFoundError, Unfit):
            return False

    def _must_be_old(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Look whether each file is what it was, by the path that Asterisk takes."""
        with Places(self._places.site, self._books) as places:
            for row in rows:
                found = places.taken(row["path"])
                if not _is(found, row["old"], _rights_of(row)):
                    raise Unfit(self._places.site.path / row["path"], "is not what it was before: it was changed")

    def _remove_copies(self, rows: list[dict[str, Any]]) -> None:
        for number in range(len(rows)):
            with suppress(FileNotFoundError):
                self._books.remove(_copy(number))

    def _remove(self, row: Mapping[str, Any], named: Any) -> None:
        with suppress(FileNotFoundError):
            folder, name = self._places.at(row["real"])
            folder.remove(named(name))

    def _sync(self, rows: Iterable[Mapping[str, Any]]) -> None:
        folders: dict[Path, Folder] = {}
        for row in rows:
            with suppress(FileNotFoundError):
                folder, _ = self._places.at(row["real"])
                folders[folder.path] = folder
        for folder in folders.values():
            folder.sync()

    def _write(self, phase: str, rows: list[dict[str, Any]], made: list[str]) -> None:
        content = json.dumps({"phase": phase, "files": rows, "made": made}, indent=1).encode()
        # Not by a random name: a call that was killed would leave it for ever.
        with suppress(FileNotFoundError):
            self._books.remove(BEGUN)
        with self._books.new(JOURNAL, BEGUN) as file:
            file.belongs(BOOK_MODE)
            file.write(content)
            file.take_place()

    def _read(self, name: str) -> dict[str, Any]:
        try:
            journal = json.loads(self._books.read(name, LIMIT))
            is_known = journal["phase"] in ("staging", "switching") and journal["made"] in ([], [plans.FOLDER])
            if is_known and all(_is_row(row) for row in journal["files"]):
                return dict(journal)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            pass
        raise InstallFailed(
            f"{self._books.path / name}: is not agi-monitor's journal. The contents before the change are in files "
            "that end in .agi-monitor-old beside their own; put them back by hand and remove the journal"
        )


def must_not_be_old(site: Folder) -> None:
    """Refuse a journal of an older version, which stood where another user may have written it.

    Raises:
        InstallFailed: there is one.
    """
    if site.status(OLD_JOURNAL) is not None:
        raise InstallFailed(
            f"{site.path / OLD_JOURNAL}: was left by an earlier version that was killed, or put there by hand. It "
            "is not followed. Put files that end in .agi-monitor-old back by hand, where there are any, and remove it"
        )


def _old(name: str) -> str:
    return f".{name}.agi-monitor-old"


def _new(name: str) -> str:
    return f".{name}.agi-monitor-new"


def _copy(number: int) -> str:
    """Where the books have the old content of a file while it is changed."""
    return f"journal.{number}.old"


def _is(found: Taken | None, digest: str | None, rights: Rights | None) -> bool:
    """Whether a file has this content and these rights; None for a file that is not there, and for any rights."""
    if found is None or digest is None:
        return found is None and digest is None
    return sha256(found.content) == digest and (rights is None or found.rights.are_those_of(rights))


def _rights_row(rights: Rights) -> dict[str, Any]:
    attributes = {name: value.hex() for name, value in rights.attributes.items()}
    return {"uid": rights.uid, "gid": rights.gid, "mode": rights.mode, "attributes": attributes}


def _rights_of(row: Mapping[str, Any]) -> Rights | None:
    """What a row of the journal says of the file as it was; None where there was none."""
    said = row.get("rights")
    if said is None:
        return None
    attributes = {name: bytes.fromhex(value) for name, value in said["attributes"].items()}
    return Rights(said["uid"], said["gid"], said["mode"], attributes)


def _is_row(row: Any) -> bool:
    path, real = row["path"], row["real"]
    if path not in plans.PATHS and not plans.is_book(path):
        return False
    parts = PurePosixPath(real).parts
    _rights_of(row)
    if path not in plans.ALL_HOSTS and real != path:
        return False
    return bool(parts) and not PurePosixPath(real).is_absolute() and ".." not in parts and {"old", "new"} <= set(row)
