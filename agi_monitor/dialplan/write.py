"""Puts rendered files on disk so that Asterisk never reads half of one."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from agi_monitor.errors import RenderError
from agi_monitor.files.folder import Folder, NewFile

FILE_MODE = 0o640
"""The shared secret may be in it: only Asterisk's group may read it."""


def write(files: Mapping[str, str], directory: Path) -> list[Path]:
    """Write the files that changed, each in one step: a reload sees the old text or the new one.

    A file gets the group of its folder where the writer may give it away, so that Asterisk can read what root wrote.
    All texts are on disk before the first file is replaced. A file with the same text is not touched. No link is
    followed: the folder may belong to another user.

    Parameters:
        files: file name and text.
        directory: an existing folder, such as ``/etc/asterisk/agi-monitor``.

    Returns:
        The files that were replaced or created, in the order of ``files``.

    Raises:
        RenderError: a name is a path, or the folder is missing or cannot be written, or there is something else than
            a file of a name. No file is half written.
    """
    for name in files:
        if Path(name).name != name or name in ("", ".", ".."):
            raise RenderError(f"{name!r} is not a plain file name: it would be written outside of {directory}")
    if not directory.is_dir():
        raise RenderError(f"the folder {directory} is not there: create it, for Asterisk's group to read")
    staged: list[tuple[str, NewFile]] = []
    try:
        with Folder.at(directory) as folder, ExitStack() as stack:
            for name, text in files.items():
                content = text.encode()
                if not _has(folder, name, content):
                    file = stack.enter_context(folder.new(name))
                    file.belongs(FILE_MODE, gid=folder.gid)
                    file.write(content)
                    file.put_on_disk()
                    staged.append((name, file))
            for _, file in staged:
                file.take_place()
    except (OSError, UnicodeEncodeError) as error:
        place = getattr(error, "filename", None) or directory
        what = getattr(error, "strerror", None) or error
        raise RenderError(f"cannot write into {directory}: {place}: {what}; nothing was left half written") from error
    return [directory / name for name, _ in staged]


def _has(folder: Folder, name: str, content: bytes) -> bool:
    """Whether the file has this content already."""
    found = folder.status(name)
    return found is not None and found.st_size == len(content) and folder.read(name, len(content)) == content
