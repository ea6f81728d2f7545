"""People as CSV, for those who keep them in a spreadsheet. Rules do not fit into rows, and PINs do not belong there.

A row is a supervisor or an agent. A column that is not there leaves what it stands for as it is; an empty cell makes
it empty. Several endpoints or groups in one cell have spaces between them. What a spreadsheet would take for a
formula has an apostrophe before it, which ``read`` takes away.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from pydantic import ValidationError

from agi_monitor.config import document, yaml
from agi_monitor.config.people import Kind, People, plain
from agi_monitor.errors import ConfigError
from agi_monitor.shown import from_cell, in_cell

LISTS = ("endpoints", "groups")
FLAGS = ("disabled", "protected")
OF_BOTH = ("name", "endpoints", "groups", "disabled")
COLUMNS: Mapping[Kind, tuple[str, ...]] = {
    Kind.SUPERVISOR: (*OF_BOTH, "language", "tenant"),
    Kind.AGENT: (*OF_BOTH, "protected", "told", "told_text", "tenant", "extension"),
}
HEADER = ("kind", "id", *OF_BOTH, "language", "protected", "told", "told_text", "tenant", "extension")
MAX_TOLD = 100
"""Mistakes, and unknown columns, that are told."""

MAX_ROWS = 100_000
"""People in one file."""

SECTIONS = {Kind.SUPERVISOR: "supervisors", Kind.AGENT: "agents"}


def write(people: People) -> str:
    """Return people as CSV."""
    out = io.StringIO()
    rows = csv.DictWriter(out, HEADER, lineterminator="\n")
    rows.writeheader()
    for kind, entries in ((Kind.SUPERVISOR, people.supervisors), (Kind.AGENT, people.agents)):
        for name, entry in entries.items():
            values = entry.model_dump(mode="json")
            rows.writerow(
                {
                    "kind": kind.value,
                    "id": in_cell(name),
                    **{column: in_cell(_cell(values[column])) for column in COLUMNS[kind]},
                }
            )
    return out.getvalue()


def read(content: bytes, name: str, before: People) -> People:
    """Return the people of a CSV file.

    Parameters:
        content: UTF-8, with a first line of column names, separated by commas or semicolons.
        name: for the messages.
        before: who there is; what has no column stays as it is with them.

    Raises:
        ConfigError: the first mistakes with their lines. What is not a word is not repeated: it may be the wrong
            file.
    """
    if len(content) > yaml.MAX_BYTES:
        raise ConfigError(f"{name}:1: is larger than {yaml.MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}:{content[: error.start].count(10) + 1}: is not UTF-8") from None
    first = text.partition("\n")[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in first else ",", strict=True)
    problems: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    tree: dict[str, dict[str, dict[str, object]]] = {section: {} for section in SECTIONS.values()}
    try:
        header = [column.strip() for column in rows.fieldnames or ()]
        unknown = [column for column in header if column not in HEADER]
        if unknown or not {"kind", "id"} <= set(header) or len(header) != len(set(header)):
            raise ConfigError(
                f"{name}:1: the columns must be kind, id and any of {', '.join(HEADER[2:])}, each once"
                + (f"; unknown: {', '.join(map(yaml.shown, unknown[:MAX_TOLD]))}" if unknown else "")
            )
        rows.fieldnames = header
        for row in rows:
            problems += _take(row, f"{name}:{rows.line_num}", rows.line_num, before, tree, lines)
            if len(problems) >= MAX_TOLD or len(lines) > MAX_ROWS:
                problems += [f"{name}:{rows.line_num}: was read to here"]
                break
    except csv.Error as error:
        raise ConfigError(f"{name}:{rows.reader.line_num}: {error}") from None
    if not problems:
        try:
            return People.model_validate(tree)
        except ValidationError as error:
            for where, what in document.found(error):
                line = lines.get((str(where[0]), str(where[1])), 1) if len(where) > 1 else 1
                problems.append(f"{name}:{line}: {yaml.place(where)}: {what}")
    raise ConfigError(*problems)


def _take(
    row: Mapping[str | None, str | list[str] | None],
    place: str,
    line: int,
    before: People,
    tree: dict[str, dict[str, dict[str, object]]],
    lines: dict[tuple[str, str], int],
) -> list[str]:
    if None in row or None in row.values():
        return [f"{place}: has more or fewer cells than there are columns"]
    cells = {str(column): from_cell(str(value).strip()) for column, value in row.items()}
    kind, name = cells.pop("kind"), cells.pop("id")
    if kind not in (Kind.SUPERVISOR, Kind.AGENT):
        return [f"{place}: kind must be supervisor or agent"]
    section = SECTIONS[Kind(kind)]
    if (section, name) in lines:
        return [f"{place}: {yaml.shown(name)} is here twice, first in line {lines[section, name]}"]
    lines[section, name] = line
    others = [column for column in cells if cells[column] and column not in COLUMNS[Kind(kind)]]
    if others:
        return [f"{place}: {', '.join(others)} must be empty for a {kind}"]
    entry = plain(getattr(before, section).get(name)) or {}
    for column in COLUMNS[Kind(kind)]:
        if column in cells:
            entry.pop(column, None)
            if cells[column]:
                entry[column] = _value(column, cells[column])
    tree[section][name] = entry
    return []


def _value(column: str, cell: str) -> object:
    if column in LISTS:
        return cell.split()
    return {"yes": "true", "no": "false"}.get(cell.lower(), cell) if column in FLAGS else cell


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)
