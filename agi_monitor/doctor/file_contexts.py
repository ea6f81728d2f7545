"""Contexts that calls come into by other files than the dialplan: peers, trunks, queues, mailboxes, transfers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from agi_monitor.dialplan import conf_files
from agi_monitor.dialplan.statements import Assignment, statements
from agi_monitor.doctor.evidence import NotKnown

MAX_FILES = 20_000
"""Files and folders that are looked at. Asterisk's own folder has some hundred."""

MAX_BYTES = conf_files.LIMITS.all_bytes
"""Of all files together."""

_NAME = re.compile(r"\w*context|dialout|callback", re.IGNORECASE)
_LOCAL = re.compile(r"Local/[^@\s,&]{1,80}@(?P<context>[^/\s,&;]+)", re.IGNORECASE)
_DIALPLAN = re.compile(r"extensions.*\.(conf|ael|lua)")


def file_contexts(folder: Path) -> Mapping[str, str]:
    """Return the contexts that some line of some file names, and the first place of each.

    Looked for is any setting that ends in ``context`` (``context``, ``exitcontext``, ``comebackcontext``,
    ``transfercontext``), what voicemail.conf calls ``dialout`` and ``callback``, and Local channels, which members of
    queues may be; a file that is not in use counts as well.

    Parameters:
        folder: Asterisk's configuration.

    Raises:
        NotKnown: it cannot be read, or there is too much of it.
    """
    try:
        with conf_files.as_owner_of(folder):
            return _found(folder)
    except OSError as error:
        raise NotKnown(f"{error.filename or folder}: {error.strerror}") from error


def _found(folder: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    if not (folder / "asterisk.conf").exists():
        raise NotKnown(f"{folder}: there is no asterisk.conf, so this is not the folder of a PBX")
    left = MAX_BYTES
    try:
        for path in _files(folder):
            text = conf_files.contents(path)
            left -= len(text)
            if left < 0:
                raise NotKnown(f"{path}: the files have more than {MAX_BYTES} bytes together")
            for line, context in _contexts(text):
                found.setdefault(context, f"{path}:{line}")
    except conf_files.TooMuch as error:
        raise NotKnown(str(error)) from error
    return found


def _files(folder: Path) -> list[Path]:
    """All files that may be in use; a link to a folder is not followed."""
    found = [
        path
        for path in conf_files.files_below(folder, MAX_FILES)
        if path.suffix == ".conf" and not _DIALPLAN.fullmatch(path.name)
    ]
    return sorted(found)


def _contexts(text: str) -> Iterator[tuple[int, str]]:
    for statement in statements(text):
        if not isinstance(statement, Assignment):
            continue
        named = re.match(r"[^,\s]+", statement.value)
        if named is not None and _NAME.fullmatch(statement.key):
            yield statement.line, named[0]
        for local in _LOCAL.finditer(statement.value):
            yield statement.line, local["context"]
