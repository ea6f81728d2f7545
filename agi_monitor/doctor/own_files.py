"""Looks at files on this machine that are ours: what an install has filled, and what others may read of PINs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from agi_monitor.config import translation
from agi_monitor.config.sections import Config
from agi_monitor.dialplan import conf_files
from agi_monitor.dialplan.render import render
from agi_monitor.files.folder import Folder, Rights, Unfit
from agi_monitor.install import plan

MAX_FILES = 1_000
"""Files that are looked at in one folder."""
MAX_BYTES = 16 * 1_048_576
"""Size of one file: as a configuration may have."""
PIN_RECORD = b"$argon2"
"""What the record of a PIN begins with, wherever it stands in a file."""


def differences(config: Config, folder: Path) -> tuple[str, ...]:
    """Return what is otherwise in Asterisk's folder than an install would put there; nothing where none has.

    Parameters:
        config: what is rendered.
        folder: of Asterisk.

    Raises:
        AgiMonitorError: it cannot be rendered.
    """
    ours = folder / plan.FOLDER
    if not any(map(os.path.lexists, (folder / path for path in plan.OURS))):
        return ()
    found = []
    for name, text in render(translation.site(config), config.dialplan.templates).items():
        try:
            with conf_files.as_owner_of(folder):
                is_same = conf_files.contents(ours / name) == text
            if not is_same:
                found.append(f"{ours / name}: is not what the configuration gives")
        except OSError as error:
            found.append(f"{ours / name}: {error.strerror}")
        except conf_files.TooMuch as error:
            found.append(str(error))
    return tuple(found)


def open_to_others(folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the files with records of PINs that everyone may read or change: such a record can be tried at leisure.

    Parameters:
        folders: that are looked into, without the folders in them.

    Raises:
        OSError: one cannot be read.
    """
    return tuple(line for folder in dict.fromkeys(folders) for line in _open_in(folder))


def _open_in(path: Path) -> Iterator[str]:
    with Folder.at(path) as folder:
        for name in sorted(islice(folder.names(), MAX_FILES)):
            found = folder.status(name)
            if found is None or not stat.S_ISREG(found.st_mode) or not found.st_mode & 0o006:
                continue
            try:
                taken = folder.take(name, MAX_BYTES, _must_be_open)
            except (OSError, Unfit):
                continue  # what cannot be read here, or is not such a file, was not exported
            if PIN_RECORD in taken.content:
                yield f"{path / name}: has records of PINs, and mode {taken.rights.mode:04o}"


def _must_be_open(rights: Rights) -> None:
    if not rights.mode & 0o006:
        raise PermissionError
