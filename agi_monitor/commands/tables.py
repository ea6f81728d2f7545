"""What the commands that ask a running server print for people.

Names, numbers and channels come from the PBX, and with it from whoever calls it: they are shown as plain text, and
what is not printable is shown by its number, so that nobody writes on an administrator's terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from agi_monitor.control.overview import Row
from agi_monitor.shown import visible

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

Column = tuple[str, Callable[[Row], Text]]


def calls_table(calls: Sequence[Row]) -> Table:
    """The calls, one a line; each spy stands as it is named for ``agi-monitor spy kill``."""
    columns: list[Column] = [
        ("agents", lambda call: _list(call.get("agents"))),
        ("other party", lambda call: _list(call.get("numbers"))),
        ("state", lambda call: _styled(call.get("state"), STATE_STYLES)),
        ("duration", lambda call: duration(call.get("seconds"))),
        ("queue", lambda call: plain(call.get("queue"))),
        ("spies", lambda call: _list(call.get("spies"))),
    ]
    return _table(_with_node(columns, calls), calls)


def spies_table(spies: Sequence[Row]) -> Table:
    """Who hears whom, one a line; those that nobody granted are red."""
    columns: list[Column] = [
        ("id", lambda spy: plain(spy.get("id"))),
        ("kind", lambda spy: _styled(spy.get("kind"), KIND_STYLES)),
        ("supervisor", lambda spy: plain(_first(spy, "supervisor", "endpoint", "spyer"))),
        ("mode", lambda spy: plain(spy.get("mode"))),
        ("hears", lambda spy: plain(_first(spy, "extension", "spyee"))),
        ("rule", lambda spy: plain(spy.get("rule"))),
        ("duration", lambda spy: duration(spy.get("seconds"))),
    ]
    return _table(_with_node(columns, spies), spies, lambda spy: KIND_STYLES["rogue"] if is_rogue(spy) else "")


def status_table(status: Row) -> Table:
    """How the server is, one thing a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in status.items():
        style = "red" if name in ("ami", "stale") and not is_well({name: value}) else ""
        shown = plain(
            ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, Mapping) else value
        )
        shown.stylize(style)
        table.add_row(plain(name.replace("_", " ")), shown)
    return table


def event_line(record: Row) -> Text:
    """A record of the audit: when, in the time zone of this machine, what, and everything that it says."""
    fact = str(record.get("fact"))
    line = Text.assemble((_clock(record.get("at")), "dim"), " ", (str(plain(fact)), FACT_STYLES.get(fact, "")))
    for name, value in record.items():
        if name not in ("fact", "at") and value not in (None, ""):
            line.append(f" {plain(name)}=", "dim").append_text(plain(value))
    return line


def spy_line(spy: Row) -> str:
    """A spy in a few words."""
    who = plain(_first(spy, "supervisor", "endpoint", "spyer"))
    whom = plain(_first(spy, "extension", "spyee"))
    if not who or not whom:
        return str(plain(spy.get("id")))
    return f"{plain(spy.get('id'))}: {who} on {whom}" + (f", {plain(spy.get('mode'))}" if spy.get("mode") else "")


def is_rogue(spy: Row) -> bool:
    """Whether nobody granted it."""
    return spy.get("kind") == "rogue"


def is_well(status: Row) -> bool:
    """Whether there is a picture to be trusted, or none is wanted."""
    return status.get("ami") == "off" or (status.get("ami", "up") == "up" and not status.get("stale"))


def duration(seconds: object) -> Text:
    """Seconds as hours, minutes and seconds."""
    if not isinstance(seconds, int | float):
        return Text("")
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return Text(f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}", justify="right")


def plain(value: object) -> Text:
    """A value as text without anything that a terminal would obey. None is empty."""
    text = "" if value is None else ("yes" if value is True else "no" if value is False else str(value))
    return Text(visible(text))


def _styled(value: object, styles: Mapping[str, str]) -> Text:
    text = plain(value)
    text.stylize(styles.get(str(value), ""))
    return text


def _list(values: object) -> Text:
    if not isinstance(values, Iterable) or isinstance(values, str):
        return plain(values)
    return plain(", ".join(str(value) for value in values))


def _first(row: Row, *names: str) -> object:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _clock(at: object) -> str:
    try:
        return datetime.fromisoformat(str(at)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return str(plain(at))


def _with_node(columns: list[Column], rows: Sequence[Row]) -> list[Column]:
    """The name of the PBX before everything else, where there is more than one."""
    if len({row.get("node") for row in rows}) < 2:
        return columns
    return [("pbx", lambda row: plain(row.get("node"))), *columns]


def _table(columns: list[Column], rows: Sequence[Row], style: Callable[[Row], str] = lambda row: "") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, _ in columns:
        table.add_column(name, justify="right" if name == "duration" else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(row) for _, cell in columns), style=style(row))
    return table
