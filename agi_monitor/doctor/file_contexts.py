"""Contexts that calls come into by other files than the dialplan: peers, trunks, queues, mailboxes, transfers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from agi_monitor.doctor.findings import NotKnown

_LINE = re.compile(r"^\s*(?P<name>\w*context|dialout|callback)\s*=>?\s*(?P<context>[^;,\s]+)", re.IGNORECASE)
_LOCAL = re.compile(r"Local/[^@\s,&]+@(?P<context>[^/\s,&;]+)", re.IGNORECASE)
_DIALPLAN = re.compile(r"extensions.*\.(conf|ael|lua)")


def file_contexts(folder: Path) -> Mapping[str, str]:
    """Return the contexts that some line of some file names, and the first place of each.

    Looked for is any setting that ends in ``context`` (``context``, ``exitcontext``, ``comebackcontext``,
    ``transfercontext``), what voicemail.conf calls ``dialout`` and ``callback``, and Local channels, which members of
    queues may be; a file that is not in use counts as well.

    Parameters:
        folder: Asterisk's configuration.

    Raises:
        NotKnown: it cannot be read.
    """
    found: dict[str, str] = {}
    if not (folder / "asterisk.conf").exists():
        raise NotKnown(f"{folder}: there is no asterisk.conf, so this is not the folder of a PBX")
    try:
        paths = sorted(path for path in folder.rglob("*.conf") if path.is_file())
        for path in paths:
            if _DIALPLAN.fullmatch(path.name):
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
                text = re.split(r"(?<!\\);", line, maxsplit=1)[0]
                for match in (*_LINE.finditer(text), *_LOCAL.finditer(text)):
                    found.setdefault(match["context"], f"{path}:{number}")
    except OSError as error:
        raise NotKnown(f"{error.filename}: {error.strerror}") from error
    return found
