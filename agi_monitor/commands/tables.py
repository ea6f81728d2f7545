"""What the commands that ask a running server print for people.

Names, numbers and channels come from the PBX, and with it from any caller: they are shown as plain text, and
what is not printable is shown by its number, so that no caller writes on an administrator's terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from rich.table import Table
from rich.text import Text

from agi_monitor.shown import CallShown, Row, SpyEnded, SpyShown, StatusShown, visible

STATE_STYLES = {"talking": "green", "ringing": "yellow", "held": "cyan", "queued": "yellow", "parked": "cyan"}
KIND_STYLES = {"rogue": "bold red", "unproven": "yellow", "exempt": "dim"}
FACT_STYLES = {
    "rogue_spy": "bold red",
    "ami_forged": "bold red",
    "pbx_lost": "red",
    "locked_out": "red",
    "refused": "yellow",
    "spy_revoked": "yellow",
    "spy_started": "green",
}

One = TypeVar("One", CallShown, SpyShown)
Column = tuple[str, Callable[[One], Text]]


def calls_table(calls: Sequence[CallShown]) -> Table:
    """The calls, one a line; each spy stands as it is named for ``agi-monitor spy kill``."""
    return _table(_with_node(CALL_COLUMNS, calls), calls)


def spies_table(spies: Sequence[SpyShown]) -> Table:
    """Who hears whom, one a line; those without a grant are red."""
    return _table(_with_node(SPY_COLUMNS, spies), spies, lambda spy: KIND_STYLES["rogue"] if spy.is_rogue else "")


def table_of(rows: Sequence[CallShown] | Sequence[SpyShown]) -> Table:
    """The table of either, which has at least one row."""
    calls = [row for row in rows if isinstance(row, CallShown)]
    return calls_table(calls) if calls else spies_table([row for row in rows if isinstance(row, SpyShown)])


def change_line(at: str, word: str, row: CallShown | SpyShown | str) -> Text:
    """What became of a call or a spy: when, what, and all that its table shows, each value with its name.

    Parameters:
        at: when, as ISO 8601.
        word: what happened.
        row: what it happened to, or a sentence.
    """
    line = Text.assemble((_clock(at), "dim"), " ", word)
    if isinstance(row, str):
        return line.append(" ").append_text(plain(row))
    columns: list[tuple[str, Text]] = (
        [(name, cell(row)) for name, cell in CALL_COLUMNS]
        if isinstance(row, CallShown)
        else [(name, cell(row)) for name, cell in SPY_COLUMNS]
    )
    for name, value in [("pbx", plain(row.node)), *columns]:
        if value.plain:
            line.append(f" {name.replace(' ', '_')}=", "dim").append_text(quoted(value))
    return line


def status_table(status: StatusShown) -> Table:
    """How the server is, one thing a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in status.row().items():
        shown = plain(value)
        shown.stylize("red" if name in status.troubles else "")
        table.add_row(plain(name.replace("_", " ")), shown)
    return table


def event_line(record: Row) -> Text:
    """A record of the audit: when, in the time zone of this machine, what, and everything that it says."""
    fact = str(record.get("fact"))
    line = Text.assemble((_clock(record.get("at")), "dim"), " ", (str(plain(fact)), FACT_STYLES.get(fact, "")))
    for name, value in record.items():
        if name not in ("fact", "at") and value not in (None, ""):
            line.append(f" {plain(name)}=", "dim").append_text(quoted(plain(value)))
    return line


def ended_line(ended: SpyEnded) -> str:
    """A spy that was ended, in a few words."""
    spy = ended.spy
    if spy is None or not spy.who or not spy.whom:
        return str(plain(ended.id))
    return f"{plain(ended.id)}: {plain(spy.who)} on {plain(spy.whom)}" + (f", {plain(spy.mode)}" if spy.mode else "")


def duration(seconds: float) -> Text:
    """Seconds as hours, minutes and seconds."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return Text(f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}", justify="right")


def plain(value: object) -> Text:
    """A value as text without anything that a terminal would obey. None is empty."""
    text = "" if value is None else ("yes" if value is True else "no" if value is False else str(value))
    return Text(visible(text))


def quoted(value: Text) -> Text:
    """A value that stands behind its name in a line: in quotes, if it could be taken for more than one.

    A Local channel is called as it was dialled, such as ``Local/5 by=root@from-trunk-00000001;2``.
    """
    if _WORD.fullmatch(value.plain) is not None:
        return value
    return Text(json.dumps(value.plain, ensure_ascii=False), value.style)


_WORD = re.compile(r"[^\s\",=]*")


def _styled(value: object, styles: Mapping[str, str]) -> Text:
    text = plain(value)
    text.stylize(styles.get(str(value), ""))
    return text


def _list(values: Iterable[str]) -> Text:
    return plain(", ".join(values))


def _clock(at: object) -> str:
    try:
        return datetime.fromisoformat(str(at)).astimezone().strftime("%H:%M:%S")
    except (ValueError, OverflowError):
        return str(plain(at))


def _with_node(columns: list[Column[One]], rows: Sequence[One]) -> list[Column[One]]:
    """The name of the PBX before everything else, where there is more than one."""
    if len({row.node for row in rows}) < 2:
        return columns
    return [("pbx", lambda row: plain(row.node)), *columns]


def _table(
    columns: list[Column[One]],
    rows: Sequence[One],
    style: Callable[[One], str] = lambda row: "",
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, _ in columns:
        table.add_column(name, justify="right" if name == "duration" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(row) for _, cell in columns), style=style(row))
    return table


CALL_COLUMNS: list[Column[CallShown]] = [
    ("agents", lambda call: _list(call.agents)),
    ("other party", lambda call: _list(quoted(plain(number)).plain for number in call.numbers)),
    ("state", lambda call: _styled(call.state, STATE_STYLES)),
    ("duration", lambda call: duration(call.seconds)),
    ("queue", lambda call: plain(call.queue)),
    ("spies", lambda call: _list(call.spies)),
]
SPY_COLUMNS: list[Column[SpyShown]] = [
    ("id", lambda spy: plain(spy.id)),
    ("kind", lambda spy: _styled(spy.kind, KIND_STYLES)),
    ("supervisor", lambda spy: plain(spy.who)),
    ("mode", lambda spy: plain(spy.mode)),
    ("hears", lambda spy: plain(spy.whom)),
    ("rule", lambda spy: plain(spy.rule)),
    ("duration", lambda spy: duration(spy.seconds)),
]
