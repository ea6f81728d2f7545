"""Puts rendered files on disk so that Asterisk never reads half of one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agi_monitor.errors import RenderError

FILE_MODE = 0o640
"""The shared secret may be in it: Asterisk's group reads it, nobody else."""


def write(files: Mapping[str, str], directory: Path) -> list[Path]:
    """Write the files that changed, each in one step: a reload sees the old text or the new one.

    A file gets the group of its folder where the writer may give it away, so that Asterisk can read what root wrote.
    All texts are on disk before the first file is replaced. A file with the same text is not touched.

    Parameters:
        files: file name and text.
        directory: an existing folder, such as ``/etc/asterisk/agi-monitor``.

    Returns:
        The files that were replaced or created, in the order of ``files``.

    Raises:
        RenderError: a name is a path, or the folder is missing or cannot be written. No file is half written.
    """
    for name in files:
        if Path(name).name != name or name in ("", ".", ".."):
            raise RenderError(f"{name!r} is no plain file name: it would be written outside of {directory}")
    if not directory.is_dir():
        raise RenderError(f"the folder {directory} is not there: create it, for Asterisk's group to read")
    staged: list[tuple[Path, Path]] = []
    try:
        for name, text in files.items():
            target, content = directory / name, text.encode()
            if not target.is_file() or target.read_bytes() != content:
                staged.append((stage(directory, name, content), target))
        for temporary, target in staged:
            temporary.replace(target)
        if staged:
            sync_directory(directory)
    except (OSError, UnicodeEncodeError) as error:
        raise RenderError(f"cannot write into {directory}: {error}; nothing was left half written") from error
    finally:
        for temporary, _ in staged:
            temporary.unlink(missing_ok=True)
    return [target for _, target in staged]


def stage(directory: Path, name: str, content: bytes) -> Path:
    """Write the content to a new file beside its target. Its name matches no ``*.conf``: Asterisk leaves it alone."""
    descriptor, path = tempfile.mkstemp(dir=directory, prefix=f".{name}.", suffix=".tmp")
    temporary = Path(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), FILE_MODE)
            with suppress(PermissionError):
                os.fchown(file.fileno(), -1, directory.stat().st_gid)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def sync_directory(directory: Path) -> None:
    """Make the new names themselves survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
