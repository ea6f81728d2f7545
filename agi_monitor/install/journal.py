"""Changes several files so that either all of them change or none, also when the machine dies in the middle.

1. The journal names everything that will be made, and is on disk first.
2. The new and the old content of each file are put on disk beside it. A full disk ends here.
3. The journal says ``switching``. From here on there are only renames, which need no space.
4. Each new content takes the place of its file.
5. ``keep`` renames the journal: the new state holds. ``undo`` renames the old contents back.

Whoever finds a journal undoes what it names: before 3 nothing was changed, behind it the old contents are there.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agi_monitor.errors import InstallFailed
from agi_monitor.install.plan import Change

JOURNAL = ".agi-monitor-journal.json"
FILE_MODE = 0o640
FOLDER_MODE = 0o750
"""Secrets are in it: Asterisk's group reads, nobody else."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold Asterisk's folder against another install.

    Raises:
        InstallFailed: there is one, or no such folder.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InstallFailed(f"{folder}: cannot be opened as a folder: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise InstallFailed(f"{folder}: another agi-monitor is changing it; wait for its end") from None
    try:
        yield
    finally:
        os.close(descriptor)


class Journal:
    """The changes of one call, under way or left by one that was killed.

    Parameters:
        folder: Asterisk's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / JOURNAL
        self._kept = folder / f"{JOURNAL}.kept"

    def is_there(self) -> bool:
        """Whether changes are under way, or were when somebody was killed."""
        return self._path.exists()

    def switch(self, changes: Iterable[Change]) -> None:
        """Change the files. ``keep`` or ``undo`` has to follow; a failure here is undone already.

        Parameters:
            changes: each with a path within the folder, whose own folders are made.

        Raises:
            InstallFailed: a file cannot be written, or is another one than planned. Nothing has changed.
        """
        wanted = list(changes)
        try:
            rows = [self._row(change) for change in wanted]
            made = self._missing_folders(wanted)
            self._write("staging", rows, made)
            for name in made:
                self._make_folder(self._folder / name)
            for change, row in zip(wanted, rows, strict=True):
                self._stage(change, row)
            for place in {Path(row["target"]).parent for row in rows}:
                sync(place)
            self._write("switching", rows, made)
            for row in rows:
                target = Path(row["target"])
                if row["new"] is None:
                    target.unlink()
                else:
                    Path(row["new"]).replace(target)
            for place in {Path(row["target"]).parent for row in rows}:
                sync(place)
        except OSError as error:
            reason = f"{error.filename or self._folder}: {error.strerror or error}"
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
            self._path.replace(self._kept)
            sync(self._folder)
        except OSError as error:
            raise InstallFailed(f"{self._path}: {error.strerror}; the next call will undo the changes") from error
        self._tidy()

    def _tidy(self) -> None:
        """Remove the old contents of changes that hold. What cannot be removed, the next call removes."""
        with suppress(OSError):
            for row in self._read(self._kept)["files"]:
                _remove(row["old"])
            self._kept.unlink()
            sync(self._folder)

    def undo(self) -> bool:
        """Return to the old state. Tells whether there was a journal.

        Raises:
            InstallFailed: a file cannot be put back; the journal stays, so that the next call tries again.
        """
        try:
            _remove(f"{self._path}.new")
            if self._kept.exists():
                self._tidy()
            if not self.is_there():
                return False
            journal = self._read()
            rows = journal["files"]
            if journal["phase"] == "switching":
                for row in reversed(rows):
                    target = Path(row["target"])
                    if row["had_file"]:
                        # Not there: it was put back by a call that was killed in the middle.
                        with suppress(FileNotFoundError):
                            Path(row["old"]).replace(target)
                    else:
                        target.unlink(missing_ok=True)
            for row in rows:
                _remove(row["new"])
                _remove(row["old"])
            for place in {Path(row["target"]).parent for row in rows}:
                if place.is_dir():
                    sync(place)
            for name in reversed(journal["made"]):
                with suppress(OSError):
                    (self._folder / name).rmdir()
            self._path.unlink()
            sync(self._folder)
        except OSError as error:
            raise InstallFailed(
                f"{error.filename or self._folder}: {error.strerror}: the files are half old and half new; mend it, "
                "and the next call of agi-monitor install or uninstall puts the old ones back"
            ) from error
        return True

    # ---- parts -----------------------------------------------------------------------------------------

    def _row(self, change: Change) -> dict[str, Any]:
        # A symbolic link stays one: what it leads to is changed.
        target = Path(os.path.realpath(self._folder / change.path))
        stem = f".{target.name}.agi-monitor"
        return {
            "target": str(target),
            "had_file": change.before is not None,
            "old": None if change.before is None else str(target.with_name(f"{stem}-old")),
            "new": None if change.after is None else str(target.with_name(f"{stem}-new")),
        }

    def _missing_folders(self, changes: Iterable[Change]) -> list[str]:
        found = {
            str(parent)
            for change in changes
            for parent in Path(change.path).parents
            if parent != Path() and not (self._folder / parent).exists()
        }
        return sorted(found, key=len)

    def _make_folder(self, path: Path) -> None:
        path.mkdir()
        path.chmod(FOLDER_MODE)
        with suppress(PermissionError):
            os.chown(path, -1, self._folder.stat().st_gid)
        sync(path.parent)

    def _stage(self, change: Change, row: Mapping[str, Any]) -> None:
        target = Path(row["target"])
        try:
            kept: os.stat_result | None = target.lstat()
            content: bytes | None = target.read_bytes()
        except FileNotFoundError:
            kept = content = None
        if content != change.before or (kept is not None and not stat.S_ISREG(kept.st_mode)):
            raise InstallFailed(f"{target}: was changed while we looked at it; nothing was changed, call again")
        if row["old"] is not None:
            self._put(Path(row["old"]), change.before or b"", kept)
        if row["new"] is not None:
            self._put(Path(row["new"]), change.after or b"", kept)

    def _put(self, path: Path, content: bytes, like: os.stat_result | None) -> None:
        _remove(str(path))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if like is None:
                with suppress(PermissionError):
                    os.fchown(file.fileno(), -1, self._folder.stat().st_gid)
                os.fchmod(file.fileno(), FILE_MODE)
            else:
                mine = os.fstat(file.fileno())
                if (mine.st_uid, mine.st_gid) != (like.st_uid, like.st_gid):
                    os.fchown(file.fileno(), like.st_uid, like.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(like.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def _write(self, phase: str, rows: list[dict[str, Any]], made: list[str]) -> None:
        temporary = Path(f"{self._path}.new")
        _remove(str(temporary))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps({"phase": phase, "files": rows, "made": made}, indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)
        sync(self._folder)

    def _read(self, path: Path | None = None) -> dict[str, Any]:
        path = path or self._path
        try:
            journal = json.loads(path.read_bytes())
            if journal["phase"] in ("staging", "switching") and isinstance(journal["files"], list):
                return dict(journal)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        raise InstallFailed(
            f"{path}: is no journal of agi-monitor. The contents before the change are in files that end in "
            ".agi-monitor-old beside their own; put them back by hand and remove the journal"
        )


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: str | None) -> None:
    if path is not None:
        Path(path).unlink(missing_ok=True)
