"""The commands ``agi-monitor audit``: read it, verify it, report on it, take old records out of it."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, NoReturn, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from agi_monitor import audit_tables as tables
from agi_monitor.config import Config, load
from agi_monitor.errors import AgiMonitorError, AuditUnavailable
from agi_monitor.storage import audit_reading as reading
from agi_monitor.storage.audit_file import AuditLock
from agi_monitor.storage.audit_head_file import HEAD_FILE, HeadFile, KnownHead
from agi_monitor.storage.audit_key_file import PUBLIC_FILE, audit_key, pem, trusted_keys, verifies
from agi_monitor.storage.audit_retention import Order, Outcome
from agi_monitor.storage.audit_retention import retain as retain_file
from agi_monitor.supervision.audit_chain import Head
from agi_monitor.supervision.audit_report import Minutes, Sampling
from agi_monitor.supervision.audit_selection import Row, Selection, hold, holds, moment
from agi_monitor.supervision.audit_verification import Verdict, Verification
from agi_monitor.whoami import whoami

PIPE_COLUMNS = 200
"""The width of a table that goes into a pipe or a file, which has no width of its own."""

PROGRESS_BYTES = 50_000_000
"""Below this nobody has to wait so long that it is worth showing how far it went."""

Command = TypeVar("Command", bound=Callable[..., object])


# ---- options ---------------------------------------------------------------------------------------------


def _time(end: bool) -> Callable[[click.Context, click.Parameter, str | None], datetime | None]:
    def read(_: click.Context, __: click.Parameter, text: str | None) -> datetime | None:
        try:
            return None if text is None else moment(text, end=end)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return read


def _head(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> list[Head]:
    found = []
    for text in texts:
        match = re.fullmatch(r"([1-9][0-9]{0,14}):([0-9a-f]{64})", text)
        if match is None:
            raise click.BadParameter(f"{text}: must be a record's number, a colon and its 64 hexadecimal digits")
        found.append(Head(int(match[1]), match[2]))
    return found


_files_argument = click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))


def _selecting(command: Command) -> Command:
    """The options that choose records; the command takes a ``Selection``."""
    for option in (
        click.option("--call", "calls", multiple=True, help="Records of this call of a supervisor."),
        click.option("--fact", "facts", multiple=True, help="Records of this fact, such as spy_started."),
        click.option("--agent", "agents", multiple=True, help="Records about this extension."),
        click.option("--supervisor", "supervisors", multiple=True, help="Records of this supervisor."),
        click.option("--to", "end", callback=_time(True), help="Until this time, or to the end of this day."),
        click.option("--from", "begin", callback=_time(False), help="From this time or day on."),
    ):
        command = option(command)
    return command


def _selection(options: dict[str, object]) -> Selection:
    names = ("supervisors", "agents", "facts", "calls")
    chosen = {name: frozenset(map(str, options[name])) for name in names}  # type: ignore[call-overload]  # tuples
    return Selection(options["begin"], options["end"], **chosen)  # type: ignore[arg-type]  # from ``moment``


# ---- commands --------------------------------------------------------------------------------------------


@click.group()
def audit() -> None:
    """Read, verify and report on the record of who heard whom.

    Without FILES it is the audit of the configuration, with the files that rotation left.
    """


@audit.command("list")
@_files_argument
@_selecting
@click.option("--limit", type=click.IntRange(1), default=100, help="So many at most, the last ones; 100.")
def list_(config_path: Path, as_json: bool, files: tuple[Path, ...], limit: int, **options: object) -> None:
    """Show records."""
    selection = _selection(options)
    last: deque[Row] = deque(maxlen=limit)
    count = 0
    with _failing(), _progress(paths := _paths(files, config_path)) as progress:
        for record in _records(paths, selection, progress):
            last.append(record)
            count += 1
    if as_json:
        click.echo(json.dumps({"records": list(last), "earlier": count - len(last)}, indent=1))
        return
    if last:
        _console().print(tables.records_table(list(last)))
    if count > len(last):
        click.echo(f"{count - len(last)} earlier records are not shown: --limit, or export", err=True)
    elif not count:
        click.echo("no records", err=True)


@audit.command()
@_files_argument
@_selecting
@click.option("--format", "format_", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="How; jsonl.")
@click.option("--out", type=click.File("w", encoding="utf-8", atomic=True), default="-", help="To this file.")
@click.option("--json", "as_json", is_flag=True, help="The same as --format jsonl.")
def export(
    config_path: Path, as_json: bool, files: tuple[Path, ...], format_: str, out: IO[str], **options: object
) -> None:
    """Write records: as CSV, or as JSON lines, each exactly as it stands in the audit."""
    selection = _selection(options)
    with _failing(), _progress(paths := _paths(files, config_path)) as progress:
        if as_json or format_ == "jsonl":
            for line, row in reading.rows(paths, progress):
                if row is not None and selection.wants(row):
                    out.write(line.content.decode("utf-8", "replace") + "\n")
            return
        names = tables.columns()
        writer = csv.writer(out)
        writer.writerow(names)
        for record in _records(paths, selection, progress):
            writer.writerow(tables.cells(record, names))


@audit.command()
@_files_argument
@click.option(
    "--key",
    "key_paths",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with public keys that are trusted, from 'agi-monitor audit key'. Without FILES those of the server.",
)
@click.option(
    "--expect",
    multiple=True,
    callback=_head,
    help="A record that is known from elsewhere, as NUMBER:HASH, such as those of the log event audit_checkpoint.",
)
@click.option(
    "--partial", is_flag=True, help="FILES are a part of the audit: what comes before and behind is elsewhere."
)
def verify(
    config_path: Path,
    as_json: bool,
    files: tuple[Path, ...],
    key_paths: tuple[Path, ...],
    expect: list[Head],
    partial: bool,
) -> None:
    """Find out whether a record was changed, removed, inserted or moved, and which. Exit code 1 when one was.

    FILES come in any order. Without them, the end of the chain and the keys that the server keeps are used.
    """
    with _failing():
        keys = [key for path in key_paths for key in trusted_keys(path)]
        state = None if files else _config(config_path).state.directory
        if state is not None and (state / PUBLIC_FILE).exists():
            keys += trusted_keys(state / PUBLIC_FILE)
        paths = _paths(files, config_path)
        with _progress(paths) as progress:
            verdict = _verify(paths, keys, expect, state, partial, progress)
    if as_json:
        click.echo(json.dumps(tables.verdict_row(verdict, [str(path) for path in paths]), indent=1))
    else:
        click.echo("\n".join(tables.verdict_lines(verdict)))
        if not verdict.ok:
            _console().print(tables.findings_table(verdict))
        click.echo(
            "nothing was changed" if verdict.ok else f"{len(verdict.findings)} findings: this is not what was written"
        )
    sys.exit(0 if verdict.ok else 1)


@audit.command()
def key(config_path: Path, as_json: bool) -> None:
    """Print the public keys that verify the checkpoints. Keep them where nobody of this machine can change them."""
    with _failing():
        keys = trusted_keys(_config(config_path).state.directory / PUBLIC_FILE)
    if as_json:
        click.echo(json.dumps({"keys": [{"key": one, "pem": pem(one).decode()} for one in keys]}, indent=1))
    else:
        click.echo("".join(pem(one).decode() for one in keys), nl=False)


@audit.command()
@_files_argument
@_selecting
def report(config_path: Path, as_json: bool, files: tuple[Path, ...], **options: object) -> None:
    """Show for how long each agent was heard, and for how long each supervisor listened."""
    minutes = Minutes()
    selection = _selection(options)
    with _failing(), _progress(paths := _paths(files, config_path)) as progress:
        for record in _records(paths, selection, progress):
            minutes.add(record)
    agents, supervisors = minutes.agents(), minutes.supervisors()
    if as_json:
        rows = {"agents": [one.row() for one in agents], "supervisors": [one.row() for one in supervisors]}
        click.echo(json.dumps(rows, indent=1))
        return
    console = _console()
    console.print(tables.heard_table(agents, "agent", "supervisors"))
    console.print()
    console.print(tables.heard_table(supervisors, "supervisor", "agents"))


@audit.command()
@_files_argument
@_selecting
@click.option("--group", "groups", multiple=True, help="Only agents of this group of the configuration.")
def sampling(
    config_path: Path, as_json: bool, files: tuple[Path, ...], groups: tuple[str, ...], **options: object
) -> None:
    """Show whether anybody was chosen far more often than equal chance explains.

    A visit is a call of a supervisor to an agent; changes of mode and following calls of the agent count once. Agents
    are those of the configuration; with FILES and without --group, those who were heard.
    """
    counted = Sampling()
    selection = _selection(options)
    with _failing():
        agents: list[str] = []
        if groups or not files:
            entries = _config(config_path).agents
            agents = [one for one, entry in entries.items() if not groups or not set(groups).isdisjoint(entry.groups)]
        with _progress(paths := _paths(files, config_path)) as progress:
            for record in _records(paths, selection, progress):
                counted.add(record)
    if not groups:
        agents = [*agents, *counted.heard()]
    shares = counted.shares(agents) if agents else []
    if as_json:
        click.echo(json.dumps({"shares": [share.row() for share in shares]}, indent=1))
        return
    if not sum(share.visits for share in shares):
        click.echo("no visits", err=True)
        return
    _console().print(tables.shares_table(shares))
    first, visits = shares[0], sum(share.visits for share in shares)
    click.echo(
        f"\n{visits} visits to {len(shares)} agents. If every visit had gone to any of them alike, somebody would "
        f"have {first.visits} or more with a chance of {tables.one_in(first.chance)}: agent {first.agent} was heard "
        f"{first.verdict}."
    )


@audit.command()
@click.option("--days", required=True, type=click.IntRange(1, 36_500), help="Keep records of the last so many days.")
@click.option("--hold", "texts", multiple=True, help="Keep what fits, such as 'supervisor=anna from=2026-01-01'.")
@click.option("--hold-file", type=click.File(encoding="utf-8"), help="A file with such holds, one a line.")
@click.option("--apply", is_flag=True, help="Do it. Without this, only say what would be removed.")
def retain(
    config_path: Path, as_json: bool, days: int, texts: tuple[str, ...], hold_file: IO[str] | None, apply: bool
) -> None:
    """Remove old records. A signed line in their place says how many, by whom and when, and the chain stays whole.

    Only an audit that is right is touched. The current file is left alone while the server runs: rotate it before.
    """
    kept = _holds(texts, hold_file)
    now = datetime.fromtimestamp(time.time(), UTC)
    order = Order(now - timedelta(days=days), kept, whoami(), f"older than {days} days", now)
    with _failing():
        config = _config(config_path)
        state = config.state.directory
        paths = reading.in_order(reading.files_of(config.audit.file))
        lock = AuditLock(config.audit.file)
        current = lock.try_to_take()
        try:
            keys = trusted_keys(state / PUBLIC_FILE)
            verdict = _verify(paths, keys, [], state, False, None)
            if not verdict.ok:
                _fail("the audit is not what was written: see 'agi-monitor audit verify'. Nothing was removed")
            touched = [path for path in paths if current or path != config.audit.file]
            signer = audit_key(state, make=False) if apply else None
            outcomes = [retain_file(path, order, signer) for path in touched]
        finally:
            lock.release()
    _tell(outcomes, apply, as_json, None if current else config.audit.file)


# ---- parts of them ---------------------------------------------------------------------------------------


def _verify(
    paths: Sequence[Path],
    keys: Sequence[str],
    expect: Sequence[Head],
    state: Path | None,
    partial: bool,
    progress: reading.Progress | None,
) -> Verdict:
    # Before the files: what is written meanwhile comes behind it.
    known = None if state is None else _known_head(state)
    heads = [*expect, *([] if known is None else [known.head])]
    verification = Verification(verifies, keys, heads, partial=partial)
    for path in paths:
        for line in reading.lines(path, progress):
            verification.take(str(path), line.number, line.content, line.finished)
            if verification.gave_up:
                break
    closed = known is not None and known.closed and state is not None and _known_head(state) == known
    return verification.finish(closed)


def _known_head(state: Path) -> KnownHead | None:
    try:
        return HeadFile(state / HEAD_FILE).read()
    except OSError as error:
        raise AuditUnavailable(f"{state / HEAD_FILE}: cannot be read: {error.strerror}") from None


def _records(paths: Sequence[Path], selection: Selection, progress: reading.Progress | None) -> Iterator[Row]:
    strange = 0
    for _, record in reading.rows(paths, progress):
        if record is None:
            strange += 1
        elif selection.wants(record):
            yield record
    if strange:
        click.echo(f"{strange} lines are no records and were passed over: see 'agi-monitor audit verify'", err=True)


def _paths(files: Sequence[Path], config_path: Path) -> list[Path]:
    return reading.in_order(files or reading.files_of(_config(config_path).audit.file))


def _config(path: Path) -> Config:
    return load(path).config


def _holds(texts: Sequence[str], file: IO[str] | None) -> list[Selection]:
    try:
        return [*map(hold, texts), *([] if file is None else holds(file.read()))]
    except ValueError as error:
        raise click.BadParameter(
            str(error), param_hint="--hold" if file is None else "--hold or --hold-file"
        ) from None


def _tell(outcomes: Sequence[Outcome], applied: bool, as_json: bool, left: Path | None) -> None:
    if as_json:
        names = ("records", "removed", "held", "unchained")
        rows = [{"file": str(one.path), **{name: getattr(one, name) for name in names}} for one in outcomes]
        click.echo(json.dumps({"applied": applied, "files": rows, "left": left and str(left)}, indent=1))
        return
    for one in outcomes:
        held = f", {one.held} old ones are held" if one.held else ""
        old = f", {one.unchained} lines from before the chain are left" if one.unchained else ""
        verb = "removed" if applied else "would be removed"
        click.echo(f"{one.path}: {one.removed} of {one.records} records {verb}{held}{old}")
    if left is not None:
        click.echo(f"{left}: left alone, a server writes to it. Rotate it, then come again")
    if not applied:
        click.echo("Nothing was changed; --apply does it")


@contextmanager
def _progress(paths: Sequence[Path]) -> Iterator[reading.Progress | None]:
    total = sum(path.stat().st_size for path in paths)
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


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except AgiMonitorError as error:
        _fail(str(error))


def _console() -> Console:
    # rich takes 80 columns where there is no terminal, and cuts what is longer.
    return Console(width=None if sys.stdout.isatty() else PIPE_COLUMNS, highlight=False)


def _fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
