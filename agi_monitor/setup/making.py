"""Makes users, folders, files and links of the system, and takes away what it has made.

Nothing that is there already is replaced, unless it is what an earlier setup has made and is unchanged since. All of
it is done on open folders, see ``folder``; no link of another user is followed.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agi_monitor.errors import InstallFailed
from agi_monitor.files.folder import Folder
from agi_monitor.install.manifest import sha256
from agi_monitor.setup.child import Ran, run
from agi_monitor.setup.record import Kind, Record, Thing

LIMIT = 16 * 1_048_576
"""Bytes of a file that is compared with what was made."""

Run = Callable[[Sequence[str]], Ran]


class Maker:
    """Makes things and writes them down.

    Parameters:
        record: what was made.
        run: how a program of the system is run.
    """

    def __init__(self, record: Record, run: Run = run) -> None:
        self._record = record
        self._run = run

    def user(self, name: str, home: Path) -> bool:
        """Make a system user with a group of its own; False when there is one.

        Raises:
            InstallFailed: that failed.
        """
        if has_user(name):
            return False
        self._record.add(Thing(Kind.USER, name))
        shell = "/usr/sbin/nologin"
        self._must(["useradd", "--system", "--user-group", "--home-dir", str(home), "--shell", shell, name])
        return True

    def folder(self, path: Path, mode: int, user: str = "root", group: str = "root") -> bool:
        """Make a folder; False when there is one. Those above it are made as well, for everyone to enter.

        Parameters:
            path: of it.
            mode: permission bits.
            user: whom it belongs to.
            group: its group.

        Raises:
            InstallFailed: that failed.
        """
        try:
            with Folder.at(path) as found:
                if os.geteuid() == 0 and found.uid != _ids(user, group)[0]:
                    raise InstallFailed(f"{path}: is there, and does not belong to {user}: give it to that user")
            return False
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _failed(path, error) from error
        if not path.parent.exists():
            self.folder(path.parent, 0o755)
        self._record.add(Thing(Kind.FOLDER, str(path)))
        try:
            with Folder.at(path.parent) as above, above.make(path.name, 0o700) as made:
                handle = made.descriptor()
                try:
                    os.fchown(handle, *_ids(user, group))
                    os.fchmod(handle, mode)  # last: a change of the owner takes bits away
                finally:
                    os.close(handle)
        except OSError as error:
            raise _failed(path, error) from error
        return True

    def file(self, path: Path, content: bytes, mode: int, user: str = "root", group: str = "root") -> bool:
        """Make a file, or replace what an earlier setup has made; False when it is left as it is.

        Parameters:
            path: of it; its folder exists.
            content: all of it.
            mode: permission bits.
            user: whom it belongs to.
            group: its group.

        Raises:
            InstallFailed: that failed.
        """
        try:
            with Folder.at(path.parent) as folder:
                found = _content(folder, path.name)
                known = self._record.find(Kind.FILE, str(path))
                is_ours = found is not None and known is not None and sha256(found) == known.proof
                if folder.status(path.name) is not None and (not is_ours or found == content):
                    return False
                self._record.add(Thing(Kind.FILE, str(path), sha256(content)))
                with folder.new(path.name) as new:
                    new.write(content)
                    new.belongs(mode, *_ids(user, group))
                    new.take_place(of_nothing=not is_ours)
        except OSError as error:
            raise _failed(path, error) from error
        return True

    def link(self, path: Path, target: Path) -> bool:
        """Make a symbolic link; False when there is something of its name."""
        try:
            with Folder.at(path.parent) as folder:
                if folder.status(path.name) is not None:
                    return False
                self._record.add(Thing(Kind.LINK, str(path), str(target)))
                folder.make_link(path.name, str(target))
        except OSError as error:
            raise _failed(path, error) from error
        return True

    def unit(self, name: str) -> None:
        """Have systemd start a unit, now and with the machine.

        Raises:
            InstallFailed: that failed; the text says why, as far as systemd does.
        """
        self._must(["systemctl", "daemon-reload"])
        if self._run(["systemctl", "is-enabled", "--quiet", name]).code != 0:
            self._record.add(Thing(Kind.UNIT, name))
        self._must(["systemctl", "enable", "--now", name])

    def undo(self) -> Iterator[str]:
        """Take away what was made, last first, and yield a line for each thing. What was changed since is kept."""
        is_kept = False
        made = list(self._record)[::-1]
        # The user last: what is kept would belong to the next one with that number.
        for thing in sorted(made, key=lambda one: one.kind is Kind.USER):
            if thing.kind is Kind.USER and is_kept:
                yield f"{thing.shown}: kept, because folders of it are"
                continue
            kept = self._undo(thing)
            is_kept = is_kept or (kept != "" and thing.kind is Kind.FOLDER)
            if not kept:
                self._record.remove(thing)
            yield f"{thing.shown}: {kept or 'removed'}"

    def _undo(self, thing: Thing) -> str:
        """Take one thing away; the reason why it is kept, or nothing."""
        if thing.kind is Kind.UNIT:
            done = self._run(["systemctl", "disable", "--now", thing.name])
            return f"kept: {done.text}" if done.code else ""
        if thing.kind is Kind.USER:
            done = self._run(["userdel", thing.name]) if has_user(thing.name) else Ran(0, "")
            return f"kept: {done.text}" if done.code else ""
        path = Path(thing.name)
        try:
            with Folder.at(path.parent) as folder:
                match thing.kind:
                    case Kind.FOLDER:
                        return _remove_folder(folder, path.name)
                    case Kind.FILE:
                        found = _content(folder, path.name)
                        is_ours = found is not None and sha256(found) == thing.proof
                    case _:
                        leads = folder.link(path.name)
                        is_ours = leads is not None and leads[0] == thing.proof
                if is_ours:
                    folder.remove(path.name)
                    if path.suffix == ".service":
                        self._run(["systemctl", "daemon-reload"])
                elif folder.status(path.name) is not None:
                    return "kept: it was changed since"
        except FileNotFoundError:
            pass
        except OSError as error:
            return f"kept: {error.strerror}"
        return ""

    def _must(self, command: Sequence[str]) -> None:
        done = self._run(command)
        if done.code != 0:
            raise InstallFailed(f"{' '.join(command)}: ended with {done.code}: {done.text}")


def has_user(name: str) -> bool:
    """Whether there is a user of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def unreachable(program: Path) -> str:
    """Return why the server's user could not use a program, or how users other than root could change it; empty when
    neither.

    Parameters:
        program: an absolute path. Links in it are followed.
    """
    real = Path(os.path.realpath(program))
    for place in (real, *real.parents):
        found = place.stat()
        if found.st_uid != 0 or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
            return f"{place} can be changed by others than root"
        if not found.st_mode & stat.S_IXOTH:
            return f"{place} cannot be entered by other users"
    return ""


def _remove_folder(above: Folder, name: str) -> str:
    try:
        above.remove_folder(name)
    except FileNotFoundError:
        pass
    except OSError:
        return "kept: there are files in it"
    return ""


def _content(folder: Folder, name: str) -> bytes | None:
    """The content of a regular file; None where there is none, or something else."""
    found = folder.status(name)
    if found is None or not stat.S_ISREG(found.st_mode) or found.st_size > LIMIT:
        return None
    return folder.read(name, LIMIT)


def _ids(user: str, group: str) -> tuple[int, int]:
    """The numbers of a user and a group; -1 for root's when this is not root, and leaves them as they are."""
    if os.geteuid() != 0:
        return -1, -1
    return pwd.getpwnam(user).pw_uid, grp.getgrnam(group).gr_gid


def _failed(path: Path, error: OSError) -> InstallFailed:
    return InstallFailed(f"{error.filename or path}: cannot be made: {error.strerror}")
