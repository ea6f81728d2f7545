"""What the commands about the audit print for people, and the cells of a CSV file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from agi_monitor.audit.chain import CHECKPOINT, REMOVED
from agi_monitor.audit.facts import Fact
from agi_monitor.audit.report import RARE, UNUSUAL, Heard, Share
from agi_monitor.audit.selection import Row
from agi_monitor.audit.verification import Verdict
from agi_monitor.commands.tables import FACT_STYLES, plain, quoted
from agi_monitor.model import Mode
from agi_monitor.shown import in_cell
from agi_monitor.storage.audit.comparison import Difference

PLACES = ("file", "store")
"""What the two places of a comparison are called."""

HEARD_COLUMNS = ("others", "told", "unended", "refused", "locked_out")

CHAIN_COLUMNS = ("first", "count", "since", "until", "hash", "torn", "prev", "key", "signature")
SHOWN = ("seq", "at", "fact", "supervisor", "extension", "mode")
HIDDEN = frozenset({*SHOWN, "prev", "hash", "torn", "key", "signature", "spyer_uniqueid", "spyee_uniqueid"})


FIRST = ("why", "reason", "detail", "seconds", "by", "rule", "action")
"""What a line shows first of the rest of a record, as far as there is room."""


WIDEST = {"seq": 9, "at": 19, "fact": 17, "supervisor": 12, "agent": 10, "mode": 9}
"""Characters of a column where a record is one line: an id that is longer must not push out the others."""


def records_table(records: Sequence[Row], columns: int | None = None) -> Table:
    """Records; the hashes and the ids of channels are for machines.

    Parameters:
        records: in their order.
        columns: of the terminal, for one line a record, whose end is cut; None for all of each record.
    """
    table = _table(*WIDEST, "more")
    rows = [_cells(record) for record in records]
    if columns is not None:
        table.padding = (0, 1, 0, 0)
        widths = [
            min(widest, max(len(name), *(len(row[place]) for row in rows)))
            for place, (name, widest) in enumerate(WIDEST.items())
        ]
        widths.append(max(len("more"), columns - sum(widths) - len(widths)))
        for row in rows:
            for cell, width in zip(row, widths, strict=True):
                cell.truncate(width, overflow="ellipsis")
    for row in rows:
        table.add_row(*row)
    return table


def _cells(record: Row) -> list[Text]:
    fact = plain(record.get("fact"))
    fact.stylize(FACT_STYLES.get(str(record.get("fact")), ""))
    more = Text()
    for name in dict.fromkeys((*FIRST, *record)):
        value = record.get(name)
        if name not in HIDDEN and value not in (None, ""):
            more.append(f"{plain(name)}=", "dim").append_text(quoted(plain(value))).append(" ")
    others = [plain(record.get(name)) for name in ("supervisor", "extension", "mode")]
    return [plain(record.get("seq")), _local(record.get("at")), fact, *others, more]


def findings_table(verdict: Verdict) -> Table:
    """What is wrong, one a line. Nothing of the lines themselves is shown: anything may stand in them."""
    table = _table("file", "line", "seq", "what", "")
    for finding in verdict.findings:
        place = finding.place
        seq = "" if finding.first is None else str(finding.first)
        if finding.last is not None and finding.last != finding.first:
            seq += f"-{finding.last}"
        table.add_row(
            plain("" if place is None else place.file),
            "" if place is None else str(place.line),
            seq,
            Text(finding.kind.value, "red"),
            plain(finding.text),
        )
    return table


def differences_table(differences: Sequence[Difference]) -> Table:
    """Records that one place has and the other has not, one a line."""
    table = _table("only in", "times", "seq", "at", "fact", "supervisor", "agent", "call", right=frozenset({"seq"}))
    for one in differences:
        table.add_row(
            PLACES[one.place],
            str(one.more) if one.more > 1 else "",
            "" if one.seq is None else str(one.seq),
            _local(one.shown["at"]),
            *(plain(one.shown[name]) for name in ("fact", "supervisor", "extension", "call")),
        )
    return table


def difference_row(one: Difference) -> Row:
    """The same for machines."""
    return {"place": PLACES[one.place], "more": one.more, "seq": one.seq, "identity": one.identity, **one.shown}


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """What was verified, in sentences."""
    span = f", from {_local(verdict.since)} to {_local(verdict.until)}" if verdict.since else ""
    yield f"{verdict.records} records in {verdict.lines} lines{span}"
    if verdict.checkpoints:
        yield f"{verdict.checkpoints} signed checkpoints, the last is record {verdict.signed}"
    yield f"the chain ends with record {verdict.head.seq}, {verdict.head.hash}"
    yield from (f"note: {note}" for note in verdict.notes)


def verdict_row(verdict: Verdict, files: Sequence[str]) -> Row:
    """The same for machines."""
    return {
        "ok": verdict.ok and not verdict.is_empty,
        "files": list(files),
        "lines": verdict.lines,
        "records": verdict.records,
        "removed": verdict.removed,
        "unchained": verdict.unchained,
        "since": verdict.since,
        "until": verdict.until,
        "checkpoints": verdict.checkpoints,
        "signed": verdict.signed,
        "head": {"seq": verdict.head.seq, "hash": verdict.head.hash},
        "notes": list(verdict.notes),
        "findings": [
            {
                "kind": finding.kind.value,
                "file": None if finding.place is None else finding.place.file,
                "line": None if finding.place is None else finding.place.line,
                "first": finding.first,
                "last": finding.last,
                "text": finding.text,
            }
            for finding in verdict.findings
        ],
    }


def heard_table(people: Sequence[Heard], who: str, others: str) -> Table:
    """Agents with the minutes that they were heard, or supervisors with those that they listened."""
    modes = [mode.value for mode in Mode]
    columns: list[tuple[str, list[str]]] = [
        ("spies", [str(one.spies) for one in people]),
        ("min", [f"{one.minutes:.1f}" for one in people]),
        *((mode.replace("_", "\n"), [_tenths(one.seconds[mode] / 60) for one in people]) for mode in modes),
        (others, [_count(len(one.others)) for one in people]),
        ("told", [_count(one.told) for one in people]),
        ("no\nend", [_count(one.unended) for one in people]),
        ("refused", [_count(one.refused) for one in people]),
        ("locked\nout", [_count(one.locked_out) for one in people]),
    ]
    # An empty column takes no room: all of them together are as wide as a terminal.
    shown = [(name, cells) for name, cells in columns if any(cells) or name in ("spies", "min")]
    table = _table(who, *(name for name, _ in shown), right=frozenset(name for name, _ in shown))
    table.padding = (0, 1, 0, 0)
    for number, one in enumerate(people):
        table.add_row(plain(one.who), *(cells[number] for _, cells in shown))
    return table


def _tenths(minutes: float) -> str:
    return f"{minutes:.1f}" if minutes else ""


def _count(number: int) -> str:
    return str(number) if number else ""


def heard_rows(agents: Sequence[Heard], supervisors: Sequence[Heard]) -> Iterator[list[str]]:
    """The same for a spreadsheet: the names of the columns, the agents, and the supervisors."""
    modes = [mode.value for mode in Mode]
    yield ["kind", "who", "spies", "minutes", *(f"minutes_{mode}" for mode in modes), *HEARD_COLUMNS]
    for kind, people in (("agent", agents), ("supervisor", supervisors)):
        for one in people:
            row = one.row()
            minutes = [f"{one.seconds[mode] / 60:.2f}" for mode in modes]
            numbers = [one.told, one.unended, one.refused, one.locked_out]
            others = " ".join(sorted(one.others))
            cells_ = [kind, one.who, str(one.spies), str(row["minutes"]), *minutes, others, *map(str, numbers)]
            yield [in_cell(cell) for cell in cells_]


def shares_table(shares: Sequence[Share]) -> Table:
    """Who was chosen how often, against equal chance."""
    table = _table("agent", "visits", "expected", "by chance", "verdict", right=frozenset({"visits", "expected"}))
    for share in shares:
        style = "red" if share.chance < RARE else "yellow" if share.chance < UNUSUAL else ""
        table.add_row(
            plain(share.agent),
            str(share.visits),
            f"{share.expected:.1f}",
            one_in(share.chance),
            share.verdict,
            style=style,
        )
    return table


def one_in(chance: float) -> str:
    """A probability as people say it."""
    if chance >= UNUSUAL * 2:
        return f"{chance:.0%}"
    return "1 in more than a million" if chance < 1e-6 else f"1 in {round(1 / chance):,}"


# ---- CSV -------------------------------------------------------------------------------------------------


def fact_names() -> frozenset[str]:
    """Every kind of record that there is, those of the chain itself included."""
    return frozenset({*(kind.name for kind in _facts(Fact) if "name" in vars(kind)), REMOVED, CHECKPOINT})


def columns() -> list[str]:
    """Every name that a record may have, in the order of the facts, and one for what is not known."""
    names = ["seq", "at", "fact"]
    for kind in _facts(Fact):
        names += [field.name for field in dataclasses.fields(kind)]
    return list(dict.fromkeys([*names, *CHAIN_COLUMNS, "more"]))


def cells(record: Row, names: Sequence[str]) -> list[str]:
    """A record as cells. What a spreadsheet would take for a formula gets an apostrophe before it."""
    more = {name: value for name, value in record.items() if name not in names}
    values = {**record, "more": more or None}
    return [_cell(values.get(name)) for name in names]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list | dict):
        value = json.dumps(value, ensure_ascii=False)
    # Halves of surrogate pairs, which JSON can name, are not text that can be written.
    return in_cell(value.encode(errors="backslashreplace").decode()) if isinstance(value, str) else str(value)


def _facts(kind: type[Fact]) -> Iterator[type[Fact]]:
    for below in kind.__subclasses__():
        yield below
        yield from _facts(below)


def _local(at: object) -> Text:
    try:
        return Text(datetime.fromisoformat(str(at)).astimezone().strftime("%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return plain(at)


def _table(*names: str, right: frozenset[str] = frozenset({"seq", "line"})) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table
