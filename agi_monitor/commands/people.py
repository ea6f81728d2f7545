"""The commands ``agi-monitor people`` and ``agi-monitor rules``: who there is, and who may hear whom.

Where people live in the configuration file these commands show it; where they live in the store they change it as
well. Running servers notice within a second, and end what is no longer allowed.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import click
from pydantic import ValidationError

from agi_monitor.commands import completing, terminal
from agi_monitor.commands import people_tables as tables
from agi_monitor.commands.console import console
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people, store
from agi_monitor.commands.whoami import whoami
from agi_monitor.config import document, people_csv, yaml
from agi_monitor.config.checks import tenant_mistakes
from agi_monitor.config.loading import load
from agi_monitor.config.people import (
    AgentEntry,
    Change,
    Kind,
    People,
    RuleMode,
    SupervisorEntry,
    differences,
    problems,
    taken_in,
    tree,
    without_pins,
)
from agi_monitor.config.sections import Config
from agi_monitor.errors import ConfigError
from agi_monitor.shown import visible
from agi_monitor.storage.people_table import PeopleTable

OUTPUT = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
MODES = click.Choice([mode.value for mode in RuleMode])

Edit = Callable[[People], People]


# ---- people --------------------------------------------------------------------------------------------------


@click.group()
def people() -> None:
    """Show and change supervisors and agents."""


@people.command("list")
@click.option("--group", shell_complete=completing.groups, help="Only those in this group.")
@json_option
@config_option
def list_(config_path: Path, as_json: bool, group: str | None) -> None:
    """List supervisors and agents."""
    found = load_with_people(config_path).people
    if group is not None:
        found = found.model_copy(
            update={
                "supervisors": {name: one for name, one in found.supervisors.items() if group in one.groups},
                "agents": {name: one for name, one in found.agents.items() if group in one.groups},
            }
        )
    if as_json:
        shown = tree(without_pins(found))
        del shown["rules"]
        click.echo(json.dumps(shown, indent=1))
        return
    for table, rows in (
        (tables.supervisors_table(found.supervisors), found.supervisors),
        (tables.agents_table(found.agents), found.agents),
    ):
        if rows:
            console().print(table)
            click.echo()
    if not found.supervisors and not found.agents:
        click.echo("no people", err=True)


@people.group()
def add() -> None:
    """Add a supervisor or an agent."""


@add.command("supervisor")
@click.argument("id")
@click.option(
    "--endpoint", "endpoints", multiple=True, required=True, help="A phone, such as PJSIP/2001; repeatable."
)
@click.option("--group", "groups", multiple=True, help="A supervisor group; repeatable.")
@click.option("--name", default="", help="Name shown to people.")
@click.option("--language", help="Language of the prompts, such as de.")
@click.option("--tenant", help="Company whose agents they may hear, one of 'tenants'.")
@json_option
@config_option
def add_supervisor(
    config_path: Path,
    as_json: bool,
    id: str,
    endpoints: tuple[str, ...],
    groups: tuple[str, ...],
    name: str,
    language: str | None,
    tenant: str | None,
) -> None:
    """Add the supervisor ID. They need a PIN before they can listen: agi-monitor pin set ID."""
    fields: dict[str, object] = {"endpoints": endpoints, "groups": groups, "name": name}
    given = {"language": language, "tenant": tenant}
    fields |= {key: value for key, value in given.items() if value is not None}
    _add(config_path, as_json, "supervisors", id, fields)


@add.command("agent")
@click.argument("extension")
@click.option(
    "--endpoint", "endpoints", multiple=True, help="A phone; repeatable (default: those of the extension's hint)."
)
@click.option("--group", "groups", multiple=True, help="An agent group; repeatable.")
@click.option("--name", default="", help="Name shown to people.")
@click.option("--protected", is_flag=True, help="Protect the agent: no supervisor may listen.")
@click.option("--tenant", help="Company they work for, one of 'tenants'.")
@click.option("--dialled", help="Digits dialled for them, where EXTENSION is a name.")
@json_option
@config_option
def add_agent(
    config_path: Path,
    as_json: bool,
    extension: str,
    endpoints: tuple[str, ...],
    groups: tuple[str, ...],
    name: str,
    protected: bool,
    tenant: str | None,
    dialled: str | None,
) -> None:
    """Add the agent with this EXTENSION, or a name such as beta-1001 with the digits in --dialled."""
    fields: dict[str, object] = {"endpoints": endpoints, "groups": groups, "name": name, "protected": protected}
    given = {"tenant": tenant, "extension": dialled}
    fields |= {key: value for key, value in given.items() if value is not None}
    _add(config_path, as_json, "agents", extension, fields)


def _add(config_path: Path, as_json: bool, section: str, name: str, fields: dict[str, object]) -> None:
    given = _checked({section: {name: fields}})

    def edit(before: People) -> People:
        if name in getattr(before, section):
            raise ConfigError(f"{name} is there already; agi-monitor people import changes them")
        return taken_in(before, given, replace=False)

    _change(config_path, as_json, edit)


@people.command()
@click.argument("who", shell_complete=completing.everybody)
@json_option
@config_option
def disable(config_path: Path, as_json: bool, who: str) -> None:
    """Disable WHO, a supervisor's id or an agent's extension. Their data is kept."""
    _change(config_path, as_json, lambda before: _with(before, who, {"disabled": True}))


@people.command()
@click.argument("who", shell_complete=completing.everybody)
@json_option
@config_option
def enable(config_path: Path, as_json: bool, who: str) -> None:
    """Re-enable WHO after 'disable'."""
    _change(config_path, as_json, lambda before: _with(before, who, {"disabled": False}))


@people.command()
@click.argument("extension", shell_complete=completing.agents)
@click.option("--text", required=True, help="Version of the text that they were given.")
@click.option("--on", "day", help="Date, such as 2026-11-25 (default: today).")
@json_option
@config_option
def told(config_path: Path, as_json: bool, extension: str, text: str, day: str | None) -> None:
    """Record that the agent with this EXTENSION was told about monitoring."""
    fields: dict[str, object] = {"told": day or date.today().isoformat(), "told_text": text}

    def edit(before: People) -> People:
        if extension not in before.agents:
            raise ConfigError(f"{extension}: no agent has this extension")
        return _with(before, extension, fields)

    _change(config_path, as_json, edit)


@people.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(["yaml", "csv"]), help="Input format (default: from the file name)."
)
@click.option("--replace", is_flag=True, help="Delete entries missing from FILE (default: keep them).")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@config_option
def import_(
    config_path: Path, as_json: bool, file: Path, format_: str | None, replace: bool, dry_run: bool, yes: bool
) -> None:
    """Import people and rules from FILE; - is standard input.

    Shows the changes first, then makes all of them or none. YAML has the sections supervisors, agents and rules of
    the configuration file; CSV has one row per person. A supervisor without a PIN in FILE keeps their PIN.
    """
    if str(file) == "-" and not (yes or dry_run):
        terminal.fail("with - there is no terminal to ask: use --yes, or --dry-run to look first")
    config = load(config_path).config
    try:
        # Not the file itself: it may be a FIFO, or have no end.
        content = sys.stdin.buffer.read(yaml.MAX_BYTES + 1) if str(file) == "-" else yaml.read(file)
    except OSError as error:
        terminal.fail(f"{file}: cannot be read: {error.strerror}")
    is_csv = format_ == "csv" or (format_ is None and file.suffix.lower() == ".csv")
    if is_csv and replace:
        terminal.fail("CSV has no rules, so it cannot replace everything: use YAML")
    with _table(config) as table:
        before = table.load()
        given = people_csv.read(content, str(file), before) if is_csv else _yaml(content, str(file))
        after = taken_in(before, given, replace=replace)
        found = [f"{yaml.place(where)}: {what}" for where, what in problems(after)]
        if found:
            raise ConfigError(*found)
        _check_tenants(config, after)
        changes = differences(before, after)
        if changes and not dry_run and not yes:
            _show(changes)
            click.confirm("Make these changes?", abort=True, err=True)

        def edit(now: People) -> People:
            if differences(before, now):
                raise ConfigError("people were changed by another command meanwhile; look at the changes again")
            return after

        if changes and not dry_run:
            changes = table.change(whoami(), datetime.now(UTC), edit)
    _report(changes, as_json, shown=not dry_run and not yes, made=not dry_run)


@people.command()
@click.option(
    "--format", "format_", type=click.Choice(["yaml", "csv"]), default="yaml", help="Output format (default: yaml)."
)
@click.option(
    "--pins",
    is_flag=True,
    help="Include the PIN records, for a backup: only with --out, which makes a file for its owner alone, or into a "
    "pipe. CSV never has them.",
)
@click.option("--out", "path", type=OUTPUT, default="-", help="Write to this file, readable only by its owner.")
@json_option
@config_option
def export(config_path: Path, as_json: bool, format_: str, pins: bool, path: Path) -> None:
    """Export people and rules in the format of 'import', without PINs."""
    if pins and format_ == "csv" and not as_json:
        terminal.fail("CSV has no PIN records: use YAML for a backup")
    if pins and str(path) == "-" and not _is_pipe():
        terminal.fail(
            "PIN records go to a file for its owner alone, or into a pipe: use --out FILE, which makes one of mode "
            "0600. On a terminal others read them, and a shell's > makes a file that others may read"
        )
    found = load_with_people(config_path).people
    shown = found if pins else without_pins(found)
    with terminal.output(path, 0o600) as out:
        if as_json:
            out.write(json.dumps(tree(shown), indent=1) + "\n")
        else:
            text = people_csv.write(shown) if format_ == "csv" else yaml.text(tree(shown))
            out.write(visible(text, terminal.LAYOUT) if out.isatty() else text)


def _is_pipe() -> bool:
    """Whether standard output is read by another program, such as one that encrypts, and not by a person."""
    try:
        mode = os.fstat(sys.stdout.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


# ---- rules ---------------------------------------------------------------------------------------------------


@click.group()
def rules() -> None:
    """Show and change who may listen to whom."""


@rules.command("list")
@json_option
@config_option
def list_rules(config_path: Path, as_json: bool) -> None:
    """List the rules in their order."""
    found = load_with_people(config_path).people
    if as_json:
        click.echo(json.dumps({"rules": tree(found)["rules"]}, indent=1))
    elif found.rules:
        console().print(tables.rules_table(found.rules))
    else:
        click.echo("no rules: no supervisor may listen to anyone", err=True)


@rules.command("add")
@click.argument("name")
@click.option("--allow", multiple=True, type=MODES, help="Allow this mode; repeatable.")
@click.option("--deny", multiple=True, type=MODES, help="Deny this mode; repeatable.")
@click.option("--supervisors", multiple=True, required=True, help="A group, an id, or all; repeatable.")
@click.option("--agents", multiple=True, required=True, help="A group, an extension, a pattern, or all; repeatable.")
@click.option("--zone", help="Time zone of --hours and --dates.")
@click.option("--hours", multiple=True, help="Hours of the week, such as 'mon-fri 08:00-18:00'; repeatable.")
@click.option("--dates", multiple=True, help="Dates on which the rule applies; repeatable.")
@click.option("--not-on", multiple=True, help="Dates on which the rule does not apply; repeatable.")
@click.option("--queue", "queues", multiple=True, help="Only calls from this queue; repeatable.")
@click.option("--direction", type=click.Choice(["in", "out"]), help="Only calls in this direction.")
@click.option("--reason-required", is_flag=True, help="Ask the supervisor for a reason.")
@click.option("--max-minutes", type=float, help="Longest time to listen to one call, in minutes.")
@click.option("--max-listeners", type=int, help="Most listeners on one call.")
@json_option
@config_option
def add_rule(config_path: Path, as_json: bool, name: str, **options: object) -> None:
    """Add the rule NAME after the others. Deny wins over allow, in any order."""
    sections = {
        "when": ("zone", "hours", "dates", "not_on"),
        "calls": ("queues", "direction"),
        "terms": ("reason_required", "max_minutes", "max_listeners"),
    }
    given = {option: value for option, value in options.items() if value not in (None, (), False)}
    entry: dict[str, object] = {"name": name}
    for section, names in sections.items():
        part = {option: given.pop(option) for option in names if option in given}
        if part:
            entry[section] = part
    added = _checked({"rules": [{**entry, **given}]})

    def edit(before: People) -> People:
        if any(rule.name == name for rule in before.rules):
            raise ConfigError(f"{name}: there is a rule of this name")
        return taken_in(before, added, replace=False)

    _change(config_path, as_json, edit)


@rules.command("remove")
@click.argument("name", shell_complete=completing.rules)
@json_option
@config_option
def remove_rule(config_path: Path, as_json: bool, name: str) -> None:
    """Remove the rule NAME."""

    def edit(before: People) -> People:
        left = tuple(rule for rule in before.rules if rule.name != name)
        if len(left) == len(before.rules):
            raise ConfigError(f"{name}: there is no rule of this name")
        return before.model_copy(update={"rules": left})

    _change(config_path, as_json, edit)


# ---- what they have in common --------------------------------------------------------------------------------


@contextmanager
def _table(config: Config) -> Iterator[PeopleTable]:
    if config.store.plugin is not None:
        terminal.fail(f"people are in the plug-in {config.store.plugin}: change them there")
    if not config.store.people:
        terminal.fail("people are in the configuration file: change them there, or set store.people and import them")
    with store(config) as database:
        yield PeopleTable(database)


def _change(config_path: Path, as_json: bool, edit: Edit) -> None:
    config = load(config_path).config

    def checked(before: People) -> People:
        after = edit(before)
        _check_tenants(config, after)
        return after

    with _table(config) as table:
        changes = table.change(whoami(), datetime.now(UTC), checked)
    _report(changes, as_json, shown=False, made=True)


def _check_tenants(config: Config, after: People) -> None:
    """The companies stand in the configuration file, and who is of them in the store."""
    mistakes = tenant_mistakes(config, after)
    if mistakes:
        raise ConfigError(*mistakes)


def _with(before: People, who: str, fields: Mapping[str, object]) -> People:
    for kind, section in people_csv.SECTIONS.items():
        entries = getattr(before, section)
        if who in entries:
            model = SupervisorEntry if kind is Kind.SUPERVISOR else AgentEntry
            try:
                changed = model.model_validate({**entries[who].model_dump(), **fields})
            except ValidationError as error:
                raise ConfigError(*(f"{yaml.place(at)}: {what}" for at, what in document.found(error))) from None
            return before.model_copy(update={section: {**entries, who: changed}})
    raise ConfigError(f"{who}: there is no supervisor or agent of this name")


def _checked(given: dict[str, object]) -> People:
    try:
        return People.model_validate(given)
    except ValidationError as error:
        terminal.fail("\n".join(f"{yaml.place(where)}: {what}" for where, what in document.found(error)))


def _yaml(content: bytes, name: str) -> People:
    # What only the whole can show is looked at together with what is there already.
    read = yaml.parsed(content, name)
    return document.check(read, name, People, lambda _: (), "It needs supervisors, agents or rules")


def _report(changes: tuple[Change, ...], as_json: bool, *, shown: bool, made: bool) -> None:
    if as_json:
        rows = [{"kind": one.kind, "key": one.key, "before": one.before, "after": one.after} for one in changes]
        click.echo(json.dumps({"changed": made and bool(changes), "changes": rows}, indent=1))
        return
    if not shown:
        _show(changes)
    if not changes:
        click.echo("no changes", err=True)
    elif not made:
        click.echo("nothing was changed (--dry-run)", err=True)
    else:
        click.echo("done; running servers notice within a second", err=True)


def _show(changes: Iterable[Change]) -> None:
    for line in tables.diff_lines(changes):
        console().print(line, soft_wrap=True)
