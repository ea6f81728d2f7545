"""The commands ``agi-monitor audit``: read it, verify it, compare it, report on it, take old records out of it."""

from __future__ import annotations

import csv
import difflib
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from agi_monitor.audit.chain import REMOVED, Head, Signer
from agi_monitor.audit.report import Minutes, Sampling
from agi_monitor.audit.rows import misfit, named
from agi_monitor.audit.selection import Row, Selection, hold, holds, moment, month
from agi_monitor.audit.verification import Verdict
from agi_monitor.commands import audit_tables as tables
from agi_monitor.commands import completing, terminal
from agi_monitor.commands.console import console
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.whoami import whoami
from agi_monitor.config import yaml
from agi_monitor.config.loading import load
from agi_monitor.config.sections import Config
from agi_monitor.errors import AgiMonitorError, AuditUnavailable, ConfigError
from agi_monitor.shown import in_json, visible
from agi_monitor.storage.audit import reading
from agi_monitor.storage.audit.comparison import Comparison
from agi_monitor.storage.audit.file import AuditLock
from agi_monitor.storage.audit.key_file import PUBLIC_FILE, audit_key, pem, trusted_keys
from agi_monitor.storage.audit.retention import Order, Outcome, retain_stored, signed_by
from agi_monitor.storage.audit.retention import retain as retain_file
from agi_monitor.storage.audit.seen import Seen
from agi_monitor.storage.audit.source import Entry, Files, Table
from agi_monitor.storage.audit.table_reading import nodes as nodes_of
from agi_monitor.storage.database import Database, file_url

PROGRESS_BYTES = 50_000_000
"""Below this the wait is too short to show progress."""

MAX_SHOWN = 1_000_000
"""Records in one table; they are held in memory."""

MAX_NAMED = 10
"""Records that cannot be counted and are named one by one."""

ON_THE_WAY_SECONDS = 10.0
"""What happened later than this before a comparison may be in one place and on its way to the other."""

INPUT = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)

Command = TypeVar("Command", bound=Callable[..., object])


# ---- options ---------------------------------------------------------------------------------------------


def _time(end: bool) -> Callable[[click.Context, click.Parameter, str | None], datetime | None]:
    def read(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
        try:
            return None if text is None else moment(text, end=end, today=_today())
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return read


def _month(_: click.Context, __: click.Parameter, text: str | None) -> tuple[datetime, datetime] | None:
    try:
        return None if text is None else month(text, _today())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _today() -> date:
    return datetime.fromtimestamp(time.time(), UTC).astimezone().date()


def _fact(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    known = tables.fact_names()
    for text in texts:
        if text not in known:
            near = difflib.get_close_matches(text, known, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; they are {', '.join(sorted(known))}"
            raise click.BadParameter(f"{visible(text)} is not a kind of record{hint}")
    return texts


def _head(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Head]:
    found = []
    for text in texts:
        match = re.fullmatch(r"([1-9][0-9]{0,14}):([0-9a-f]{64})", text)
        if match is None:
            raise click.BadParameter(f"{text}: must be a record number, a colon and 64 hexadecimal digits")
        found.append(Head(int(match[1]), match[2]))
    return found


_node_option = click.option(
    "--node", "nodes", multiple=True, help="Only records that this server put into the database."
)


_key_option = click.option(
    "--key",
    "key_paths",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with trusted public keys, from 'agi-monitor audit key' (default without FILES: the server's own).",
)


def _reading(command: Command) -> Command:
    """Where the records are; the command takes ``files``, ``store`` and ``nodes``."""
    for option in (
        _node_option,
        click.option("--store", is_flag=True, help="Read the database instead of the files."),
        click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path)),
    ):
        command = option(command)
    return command


def _selecting(command: Command) -> Command:
    """The options that choose records; the command takes a ``Selection``."""
    for option in (
        click.option("--call", "calls", multiple=True, help="Records of this supervisor's call."),
        click.option(
            "--fact", "facts", multiple=True, callback=_fact, help="Records of this kind, such as spy_started."
        ),
        click.option(
            "--agent", "agents", multiple=True, shell_complete=completing.agents, help="Records about this extension."
        ),
        click.option(
            "--supervisor",
            "supervisors",
            multiple=True,
            shell_complete=completing.supervisors,
            help="Records of this supervisor.",
        ),
        click.option("--month", callback=_month, help="Records of this month: 2026-10, 'this' or 'last'."),
        click.option(
            "--to", "end", callback=_time(True), help="Records until this time, or to the end of this day or month."
        ),
        click.option(
            "--from",
            "--since",
            "begin",
            callback=_time(False),
            help="Records from this time, day or month on; also 'today', 'yesterday', 'this month', 'last month'.",
        ),
    ):
        command = option(command)
    return command


def _selection(options: dict[str, object]) -> Selection:
    names = ("supervisors", "agents", "facts", "calls")
    chosen = {name: frozenset(map(str, options[name])) for name in names}  # type: ignore[call-overload]  # tuples
    begin, end, month_ = options["begin"], options["end"], options["month"]
    if month_ is not None:
        if begin is not None or end is not None:
            raise click.UsageError("--month cannot be combined with --from, --since or --to")
        begin, end = cast(tuple[datetime, datetime], month_)
    return Selection(begin, end, **chosen)  # type: ignore[arg-type]  # from ``moment``


# ---- commands --------------------------------------------------------------------------------------------


@click.group()
def audit() -> None:
    """Read, verify and report on the record of who listened to whom.

    Without FILES it reads the configured audit: the file and its rotated parts or, with --store, the database. Where
    the configuration names no file it always reads the database.
    """


@audit.command("list")
@_reading
@_selecting
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_SHOWN),
    default=100,
    help="Show at most N records, newest last (default: 100).",
)
@click.option("--long", "is_long", is_flag=True, help="Show all of each record, on as many lines as it takes.")
@json_option
@config_option
def list_(
    config_path: Path,
    as_json: bool,
    files: tuple[Path, ...],
    store: bool,
    nodes: tuple[str, ...],
    limit: int,
    is_long: bool,
    **options: object,
) -> None:
    """Show records, one per line; on a terminal, long lines are cut."""
    selection = _selection(options)
    last: deque[Row] = deque(maxlen=limit)
    count = 0
    with _source(files, store, nodes, config_path) as opened:
        for record in _records(opened, selection):
            last.append(record)
            count += 1
    if as_json:
        click.echo(json.dumps({"records": list(last), "earlier": count - len(last)}, indent=1))
        return
    if last:
        screen = console()
        is_cut = sys.stdout.isatty() and not is_long
        screen.print(tables.records_table(list(last), screen.width if is_cut else None))
    if count > len(last):
        terminal.say(f"{count - len(last)} earlier records are not shown; use --limit or export", err=True)
    elif not count:
        click.echo("no records", err=True)


@audit.command()
@_reading
@_selecting
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    help="Output format (default: jsonl).",
)
@click.option(
    "--out",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    default="-",
    help="Write to this file, readable by its owner and group.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
@config_option
def export(
    config_path: Path,
    as_json: bool,
    files: tuple[Path, ...],
    store: bool,
    nodes: tuple[str, ...],
    format_: str,
    path: Path,
    **options: object,
) -> None:
    """Write records: as CSV, or as JSON lines, each exactly as it stands in the audit.

    JSON lines are those of one chain, so that they can be verified as a file: with several servers, name one.
    """
    selection = _selection(options)
    with (
        _source(files, store, nodes, config_path) as opened,
        terminal.output(path, 0o640) as out,
    ):
        if as_json or format_ == "jsonl":
            source = opened.source
            if isinstance(source, Table) and len(source.nodes) > 1:
                terminal.fail(
                    f"{source.database.shown}: has the audits of {', '.join(source.nodes)}: name one with --node"
                )
            for entry in source.entries(selection, opened.progress):
                if entry.row is not None:
                    line = entry.content.decode("utf-8", "replace")
                    out.write(f"{in_json(line) if out.isatty() else line}\n")
            return
        names = tables.columns()
        writer = csv.writer(out)
        writer.writerow(names)
        for record in _records(opened, selection):
            cells = tables.cells(record, names)
            writer.writerow(map(visible, cells) if out.isatty() else cells)


@audit.command()
@_reading
@_key_option
@click.option(
    "--expect",
    multiple=True,
    callback=_head,
    help="A record known from elsewhere, as NUMBER:HASH, such as in the log event audit_checkpoint.",
)
@click.option(
    "--partial", is_flag=True, help="FILES are part of an audit: accept that it begins earlier and ends later."
)
@json_option
@config_option
def verify(
    config_path: Path,
    as_json: bool,
    files: tuple[Path, ...],
    store: bool,
    nodes: tuple[str, ...],
    key_paths: tuple[Path, ...],
    expect: list[Head],
    partial: bool,
) -> None:
    """Find records that were changed, removed, inserted or moved.

    Exit code 1 when there are any, or when the audit is empty.

    FILES may be in any order. Without them, the server's own end of the chain and keys are used. The keys of the
    other servers of a store are not here: without --key any matching signature counts for them, and a note says so.
    """
    given = [key for path in key_paths for key in trusted_keys(path, given=True)]
    own = [] if files else _own_keys(config_path)
    with _source(files, store, nodes, config_path) as opened:
        source = opened.source
        if isinstance(source, Table):
            if expect and len(source.nodes) > 1:
                raise click.UsageError("--expect is a record of one server: name it with --node")
            verdicts = _verify_table(source, _config(config_path), given, own, expect, partial)
        else:
            state = None if files else _config(config_path).state.directory
            verdict = source.verify([*given, *own], expect, state, partial=partial, progress=opened.progress)
            verdicts = {"": verdict}
    ok = all(verdict.ok and not verdict.is_empty for verdict in verdicts.values())
    if as_json and isinstance(source, Table):
        rows = [{"node": node, **tables.verdict_row(one, [])} for node, one in verdicts.items()]
        click.echo(json.dumps({"ok": ok, "nodes": rows}, indent=1))
    elif as_json and isinstance(source, Files):
        click.echo(json.dumps(tables.verdict_row(verdicts[""], [str(path) for path in source.paths]), indent=1))
    else:
        for node, verdict in verdicts.items():
            if node:
                terminal.say(f"{node}:")
            _tell_verdict(verdict)
    sys.exit(0 if ok else 1)


def _verify_table(
    source: Table,
    config: Config,
    given: list[str],
    own: list[str],
    expect: Sequence[Head],
    partial: bool,
    seen: Mapping[str, Seen] | None = None,
) -> dict[str, Verdict]:
    verdicts = {}
    for node in source.nodes:
        is_own = node == config.store.this_node
        keys = [*given, *own] if given or is_own else []
        state = config.state.directory if is_own else None
        found = None if seen is None else seen[node]
        verdicts[node] = source.verify(node, keys, expect, state, partial=partial, seen=found)
    return verdicts


def _tell_verdict(verdict: Verdict) -> None:
    terminal.say("\n".join(tables.verdict_lines(verdict)))
    if not verdict.ok:
        console().print(tables.findings_table(verdict))
        terminal.say(f"{len(verdict.findings)} findings: this is not what was written")
    else:
        terminal.say("the audit has no records" if verdict.is_empty else "nothing was changed")


@audit.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--node", help="Compare with what this server put into the database (default: this server).")
@click.option("--from", "begin", callback=_time(False), help="Compare records from this time or day on.")
@click.option("--to", "end", callback=_time(True), help="Compare records until this time, or to the end of this day.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_SHOWN), default=100, help="Show at most N records (default: 100)."
)
@json_option
@config_option
def compare(
    config_path: Path,
    as_json: bool,
    files: tuple[Path, ...],
    node: str | None,
    begin: datetime | None,
    end: datetime | None,
    limit: int,
) -> None:
    """Compare the audit in the file with the one in the database, and show which records are in one of them only.

    Two records are the same when their contents are; each place has a chain of its own, which 'verify' checks.
    Without FILES it is the file of the configuration and what rotation left of it. Records of the last 10 seconds are
    left out unless --to says otherwise: they may be on their way. Exit code 0 when both are the same, 1 when they
    differ, 2 when one cannot be read.
    """
    until = Selection(end=end or datetime.fromtimestamp(time.time() - ON_THE_WAY_SECONDS, UTC))
    since = Selection(begin)
    try:
        config = _config(config_path)
        with (
            _files(files, lambda: _two_places(config)) as found,
            _database(config) as database,
            Comparison() as comparison,
            _progress(found.paths) as progress,
        ):
            name = node or config.store.this_node
            known = nodes_of(database)
            if name not in known:
                raise AuditUnavailable(
                    f"{database.shown}: no audit of {name}; there are: {', '.join(known) or 'none'}"
                )
            comparison.read(0, _until(found.entries(since, progress), until))
            comparison.read(1, _until(Table(database, [name]).entries(since), until))
            is_same = _tell_comparison(comparison, limit, as_json)
    except AgiMonitorError as error:
        terminal.say(str(error), err=True)
        sys.exit(2)
    sys.exit(0 if is_same else 1)


def _until(entries: Iterable[Entry], until: Selection) -> Iterator[Row | None]:
    """Leave out what is too late, but for the lines that say what was removed: they have the time of the removal."""
    for entry in entries:
        if entry.row is None or entry.row.get("fact") == REMOVED or until.wants(entry.row):
            yield entry.row


def _two_places(config: Config) -> list[Path]:
    if config.audit.file is None or not config.audit.store:
        raise ConfigError("the audit is kept in one place only: audit.file and audit.store are not both set")
    return reading.files_of(config.audit.file)


def _tell_comparison(comparison: Comparison, limit: int, as_json: bool) -> bool:
    """Print what came of it, and return whether both places have the same records."""
    only = comparison.totals()
    found = list(comparison.differences(limit))
    if as_json:
        places = {
            name: {"records": one.records, "only": more, "strange": one.strange, "removed": one.removed}
            for name, one, more in zip(tables.PLACES, comparison.counts, only, strict=True)
        }
        rows = [tables.difference_row(one) for one in found]
        shown = sum(one.more for one in found)
        click.echo(
            json.dumps({"same": not sum(only), **places, "records": rows, "more": sum(only) - shown}, indent=1)
        )
        return not sum(only)
    if found:
        console().print(tables.differences_table(found))
    for name, one, more in zip(tables.PLACES, comparison.counts, only, strict=True):
        terminal.say(f"{name}: {one.records} records, {more} of them not in the other")
        if one.removed:
            terminal.say(f"{name}: 'agi-monitor audit retain' has removed {one.removed} records")
        if one.strange:
            terminal.say(f"{name}: {one.strange} lines are not records: see 'agi-monitor audit verify'")
    if sum(only) > sum(one.more for one in found):
        terminal.say(f"{sum(only) - sum(one.more for one in found)} more are not shown; use --limit", err=True)
    return not sum(only)


@audit.command()
@json_option
@config_option
def key(config_path: Path, as_json: bool) -> None:
    """Print the public keys that verify the checkpoints. Keep them on another machine."""
    keys = trusted_keys(_config(config_path).state.directory / PUBLIC_FILE)
    if as_json:
        click.echo(json.dumps({"keys": [{"key": one, "pem": pem(one).decode()} for one in keys]}, indent=1))
    else:
        terminal.data("".join(pem(one).decode() for one in keys))


@audit.command()
@_reading
@_selecting
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: a row for each agent and each supervisor.")
@json_option
@config_option
def report(
    config_path: Path,
    as_json: bool,
    as_csv: bool,
    files: tuple[Path, ...],
    store: bool,
    nodes: tuple[str, ...],
    **options: object,
) -> None:
    """Show how long each agent was heard, and how long each supervisor listened.

    A record that no server can have written is left out and named, and the exit code is 1.
    """
    minutes = Minutes()
    selection = _selection(options)
    with _source(files, store, nodes, config_path) as opened:
        is_whole = _each_counted(opened, selection, minutes.add)
    agents, supervisors = minutes.agents(), minutes.supervisors()
    if as_json:
        rows = {"agents": [one.row() for one in agents], "supervisors": [one.row() for one in supervisors]}
        click.echo(json.dumps(rows, indent=1))
    elif as_csv:
        writer = csv.writer(sys.stdout)
        for row in tables.heard_rows(agents, supervisors):
            writer.writerow(map(visible, row) if sys.stdout.isatty() else row)
    elif not agents:
        click.echo("no spies")
    else:
        screen = console()
        screen.print(tables.heard_table(agents, "agent", "by"))
        screen.print()
        screen.print(tables.heard_table(supervisors, "supervisor", "agents"))
    sys.exit(0 if is_whole else 1)


@audit.command()
@_reading
@_selecting
@click.option("--group", "groups", multiple=True, help="Only agents in this group of the configuration.")
@json_option
@config_option
def sampling(
    config_path: Path,
    as_json: bool,
    files: tuple[Path, ...],
    store: bool,
    nodes: tuple[str, ...],
    groups: tuple[str, ...],
    **options: object,
) -> None:
    """Show whether an agent was chosen far more often than chance explains.

    A visit is one call of a supervisor to one agent, including changes of mode and the agent's next calls. The agents
    are those of the configuration or, with FILES and without --group, those who were heard.
    """
    counted = Sampling()
    selection = _selection(options)
    agents: list[str] = []
    if groups or not files:
        entries = _config(config_path).agents
        agents = [one for one, entry in entries.items() if not groups or not set(groups).isdisjoint(entry.groups)]
    with _source(files, store, nodes, config_path) as opened:
        is_whole = _each_counted(opened, selection, counted.add)
    if not groups:
        agents = [*agents, *counted.heard()]
    shares = counted.shares(agents) if agents else []
    if as_json:
        click.echo(json.dumps({"shares": [share.row() for share in shares]}, indent=1))
    elif not sum(share.visits for share in shares):
        click.echo("no visits", err=True)
    else:
        console().print(tables.shares_table(shares))
        first, visits = shares[0], sum(share.visits for share in shares)
        terminal.say(
            f"\n{visits} visits to {len(shares)} agents. If each had been equally likely to go to any, the chance "
            f"that one agent has {first.visits} or more would be {tables.one_in(first.chance)}: agent {first.agent} "
            f"was heard {first.verdict}."
        )
    sys.exit(0 if is_whole else 1)


@audit.command()
@_node_option
@click.option("--store", is_flag=True, help="Remove from the database instead of the files.")
@_key_option
@click.option("--days", required=True, type=click.IntRange(1, 36_500), help="Keep the records of the last N days.")
@click.option(
    "--hold",
    "texts",
    multiple=True,
    help="Keep matching records, such as 'supervisor=anna from=2026-01-01'; repeatable.",
)
@click.option("--hold-file", type=INPUT, help="File with such holds, one per line.")
@click.option("--apply", is_flag=True, help="Remove them. Without this, only show what would be removed.")
@json_option
@config_option
def retain(
    config_path: Path,
    as_json: bool,
    store: bool,
    nodes: tuple[str, ...],
    key_paths: tuple[Path, ...],
    days: int,
    texts: tuple[str, ...],
    hold_file: Path | None,
    apply: bool,
) -> None:
    """Remove old records. A signed line in their place says how many, by whom and when, and the chain stays whole.

    Only a valid audit is changed. The current file is left alone while the server runs: rotate it first.
    With --store it is the audit of this server in the database, or of --node with its --key, also while servers run.
    """
    kept = _holds(texts, hold_file)
    now = datetime.fromtimestamp(time.time(), UTC)
    left: Path | None = None
    config = _config(config_path)
    given = [key for path in key_paths for key in trusted_keys(path, given=True)]
    keys = trusted_keys(config.state.directory / PUBLIC_FILE)
    signer = audit_key(config.state.directory, make=False) if apply else None
    counts = signed_by([*given, *keys])
    order = Order(now - timedelta(days=days), kept, whoami(), f"older than {days} days", now, counts)
    if config.audit.file is None or store or nodes:
        outcomes = _retain_table(config, nodes, order, given, keys, signer)
    else:
        outcomes, left = _retain_files(config, config.audit.file, order, [*given, *keys], signer)
    _tell(outcomes, apply, as_json, left)


def _retain_files(
    config: Config, current: Path, order: Order, keys: Sequence[str], signer: Signer | None
) -> tuple[list[Outcome], Path | None]:
    paths = reading.in_order(reading.files_of(current))
    lock = AuditLock(current)
    is_ours = lock.try_to_take()
    try:
        seen: dict[Path, Seen] = {}
        _must_be_right(Files(paths).verify(keys, [], config.state.directory, seen=seen))
        touched = [path for path in paths if is_ours or path != current]
        return [retain_file(path, order, signer, seen[path]) for path in touched], None if is_ours else current
    finally:
        lock.release()


def _retain_table(
    config: Config,
    nodes: Sequence[str],
    order: Order,
    given: list[str],
    own: list[str],
    signer: Signer | None,
) -> list[Outcome]:
    this = config.store.this_node
    others = [node for node in nodes if node != this]
    if others and not given:
        raise click.UsageError(f"{', '.join(others)}: give the public keys of another server with --key")
    with _database(config) as database:
        source = Table(database, nodes or [this])
        seen = {node: Seen(f"{database.shown}, node {node}") for node in source.nodes}
        for verdict in _verify_table(source, config, given, own, [], partial=False, seen=seen).values():
            _must_be_right(verdict)
        return [retain_stored(database, node, order, signer, seen[node]) for node in source.nodes]


def _must_be_right(verdict: Verdict) -> None:
    if not verdict.ok:
        terminal.fail("the audit is not what was written: see 'agi-monitor audit verify'. Nothing was removed")


# ---- parts of them ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Opened:
    source: Files | Table
    progress: reading.Progress | None = None


@contextmanager
def _source(files: Sequence[Path], store: bool, nodes: Sequence[str], config_path: Path) -> Iterator[_Opened]:
    if files and (store or nodes):
        raise click.UsageError("FILES cannot be combined with --store or --node")
    config = None if files else _config(config_path)
    if config is None or (config.audit.file is not None and not store and not nodes):
        current = config and config.audit.file
        with (
            _files(files, lambda: reading.files_of(cast(Path, current))) as found,
            _progress(found.paths) as progress,
        ):
            yield _Opened(found, progress)
        return
    with _database(config) as database:
        known = nodes_of(database)
        for node in nodes:
            if node not in known:
                terminal.fail(f"{database.shown}: no audit of {node}; there are: {', '.join(known) or 'none'}")
        yield _Opened(Table(database, nodes or known))


@contextmanager
def _files(given: Sequence[Path], find: Callable[[], Sequence[Path]]) -> Iterator[Files]:
    """Those that were named, or those that are found."""
    if not given:
        yield Files(reading.in_order(find()))
        return
    with reading.named(given) as (paths, opens):
        yield Files(paths, opens)


@contextmanager
def _database(config: Config) -> Iterator[Database]:
    database = Database(config.store.url or file_url(config.state.directory))
    try:
        yield database
    finally:
        database.close()


def _own_keys(config_path: Path) -> list[str]:
    path = _config(config_path).state.directory / PUBLIC_FILE
    return trusted_keys(path) if os.path.lexists(path) else []


def _records(opened: _Opened, selection: Selection) -> Iterator[Row]:
    strange = 0
    for entry in opened.source.entries(selection, opened.progress):
        if entry.row is None:
            strange += 1
        else:
            yield entry.row
    if strange:
        terminal.say(
            f"{strange} lines are not records and were passed over: see 'agi-monitor audit verify'", err=True
        )


def _each_counted(opened: _Opened, selection: Selection, count: Callable[[Row], None]) -> bool:
    """Count each record, and name those that cannot be counted. Returns whether there are none."""
    strange = 0
    for number, record in enumerate(_records(opened, selection), 1):
        why = misfit(record)
        if why is None:
            count(record)
            continue
        strange += 1
        if strange <= MAX_NAMED:
            terminal.say(f"{named(record, number)}: {why}; it is not counted", err=True)
    if strange > MAX_NAMED:
        terminal.say(f"and {strange - MAX_NAMED} more, which are not counted", err=True)
    if strange:
        terminal.say("this is not what a server has written: see 'agi-monitor audit verify'", err=True)
    return not strange


def _config(path: Path) -> Config:
    return load(path).config


def _holds(texts: Sequence[str], file: Path | None) -> list[Selection]:
    try:
        return [*map(hold, texts), *([] if file is None else holds(_text(file)))]
    except ValueError as error:
        raise click.BadParameter(
            str(error), param_hint="--hold" if file is None else "--hold or --hold-file"
        ) from None


def _text(path: Path) -> str:
    """What a file says that an administrator has named; ``-`` is standard input."""
    try:
        content = sys.stdin.buffer.read(yaml.MAX_BYTES + 1) if str(path) == "-" else yaml.read(path)
    except OSError as error:
        terminal.fail(f"{path}: cannot be read: {error.strerror}")
    if len(content) > yaml.MAX_BYTES:
        terminal.fail(f"{path}: is larger than {yaml.MAX_BYTES} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        terminal.fail(f"{path}: is not UTF-8")


def _tell(outcomes: Sequence[Outcome], applied: bool, as_json: bool, left: Path | None) -> None:
    if as_json:
        names = ("records", "removed", "held", "unchained")
        rows = [{"file": one.where, **{name: getattr(one, name) for name in names}} for one in outcomes]
        click.echo(json.dumps({"applied": applied, "files": rows, "left": left and str(left)}, indent=1))
        return
    for one in outcomes:
        held = f", {one.held} old ones are held" if one.held else ""
        old = f", {one.unchained} lines from before the chain are left" if one.unchained else ""
        verb = "removed" if applied else "would be removed"
        terminal.say(f"{one.where}: {one.removed} of {one.records} records {verb}{held}{old}")
    if left is not None:
        terminal.say(f"{left}: left alone: a server is writing to it. Rotate it, then run this again")
    if not applied:
        click.echo("Nothing was changed. Add --apply to remove them")


@contextmanager
def _progress(paths: Sequence[Path]) -> Iterator[reading.Progress | None]:
    total = sum(map(_size, paths))
    if not sys.stderr.isatty() or total < PROGRESS_BYTES:
        yield None
        return
    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        before = last = 0

        def tell(read: int) -> None:
            nonlocal before, last
            if read < last:
                before += last
            last = read
            bar.update(task, completed=before + read)

        yield tell


def _size(path: Path) -> int:
    """The size of a file; none of one that was rotated away since it was found."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
