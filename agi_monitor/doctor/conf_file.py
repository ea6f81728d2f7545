"""Reads a configuration file of Asterisk as far as the doctor looks at it: sections, names, values, includes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from agi_monitor.doctor.evidence import Missing, Section

MAX_DEPTH = 10
"""Files that include one another."""

_SECTION = re.compile(r"\[(?P<name>[^\]]+)\]\s*(?:\((?P<marks>[^)]*)\))?")
_INCLUDE = re.compile(r"#(?:try)?include\s+[\"<]?(?P<path>[^\">]+?)[\">]?\s*$", re.IGNORECASE)


def read(folder: Path, name: str) -> dict[str, Section] | Missing:
    """Return the sections of a file; a later section of the same name goes on with it.

    One that is marked as a template, ``[name](!)``, is none by itself, and is left out.

    Parameters:
        folder: Asterisk's configuration.
        name: of the file.
    """
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    try:
        for line in _lines(folder, folder / name, 0):
            heading = _SECTION.match(line)
            if heading is not None:
                is_template = "!" in (heading["marks"] or "").split(",")
                section = {} if is_template else found.setdefault(heading["name"], {})
                continue
            key, sign, value = line.partition("=")
            if sign:
                section.setdefault(key.strip().lower(), []).append(value.removeprefix(">").strip())
    except OSError as error:
        return Missing(f"{error.filename}: {error.strerror}")
    return dict(found)


def _lines(folder: Path, path: Path, depth: int) -> Iterator[str]:
    for raw in path.read_text(encoding="utf-8", errors="replace").splitlines():
        line = re.split(r"(?<!\\);", raw, maxsplit=1)[0].strip()
        include = _INCLUDE.match(line)
        if include is not None and depth < MAX_DEPTH:
            for other in sorted(folder.glob(include["path"].removeprefix(f"{folder}/").lstrip("/"))):
                yield from _lines(folder, other, depth + 1)
        elif line:
            yield line
