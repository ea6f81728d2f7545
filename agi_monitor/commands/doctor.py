"""The command ``agi-monitor doctor``."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from agi_monitor.commands import terminal
from agi_monitor.commands.console import console
from agi_monitor.commands.install import SECRET_VARIABLE, Login, log_in
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.doctor.audio import Party, TestCall, rows
from agi_monitor.doctor.checks import CHECKS
from agi_monitor.doctor.evidence import NO_ACCOUNT
from agi_monitor.doctor.findings import Check, Outcome, Result, Severity, examine, exit_code
from agi_monitor.supervision import chanspy

PIPE_COLUMNS = 120
COLOURS = {Severity.NOTE: "cyan", Severity.WARNING: "yellow", Severity.ERROR: "red"}

AUDIO = Check(
    "audio",
    Severity.ERROR,
    "Modes in which a party hears what they must not, or misses what they must hear",
    "What an application of Asterisk lets through is not noticed until a customer hears it.",
    "See the other findings first; then report it, with the version of Asterisk.",
    lambda _: iter(()),
)
"""Not in the table: it makes calls, and is asked for by ``--audio``."""


def _chosen(only: Sequence[str], skip: Sequence[str]) -> list[Check]:
    names = {check.id for check in CHECKS}
    for name in (*only, *skip):
        if name not in names:
            raise click.BadParameter(f"{name!r} is not a check; 'agi-monitor doctor --list' shows all of them")
    return [check for check in CHECKS if (not only or check.id in only) and check.id not in skip]


@click.command()
@click.option(
    "--asterisk-dir",
    "folder",
    type=click.Path(path_type=Path),
    default="/etc/asterisk",
    show_default=True,
    help="Folder with Asterisk's configuration.",
)
@click.option(
    "--ami-user",
    help="Account of manager.conf with 'system,config,reporting' in 'write', to ask the PBX. Its secret comes "
    f"from the variable {SECRET_VARIABLE}, or is asked for. It is stored nowhere.",
)
@click.option("--ami-host", help="Host of the manager interface (default: the configuration's, or 127.0.0.1).")
@click.option(
    "--ami-port",
    type=click.IntRange(1, 65_535),
    help="Port of the manager interface (default: the configuration's, or 5038).",
)
@click.option("--only", multiple=True, metavar="ID", help="Run only this check; repeatable.")
@click.option("--skip", multiple=True, metavar="ID", help="Skip this check; repeatable.")
@click.option("--list", "show_list", is_flag=True, help="List all checks without running them.")
@click.option(
    "--audio",
    is_flag=True,
    help="Make three test calls on the PBX, 15 seconds in all, and measure who hears whom. The account needs "
    "'call,originate' in 'write' and 'call' in 'read' as well.",
)
@json_option
@config_option
def doctor(
    config_path: Path,
    as_json: bool,
    folder: Path,
    ami_user: str | None,
    ami_host: str | None,
    ami_port: int | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    show_list: bool,
    audio: bool,
) -> None:
    """Check the site for what is unsafe, with the evidence, why it matters and how to fix it.

    Changes nothing. Exit code 0 when all is well, 1 for a warning or for what could not be checked, 3 for an error.
    """
    checks = _chosen(only, skip)
    if show_list:
        _list(checks, as_json)
        return
    # Only now: what it takes to look is much, and the other commands need none of it.
    from agi_monitor.doctor import gathering, sample_calls

    with ExitStack() as stack:
        config = load_with_people(config_path)
        evidence = gathering.of_configuration(config, datetime.now(UTC))
        evidence = gathering.of_house(
            gathering.of_files(evidence, config, folder), config, config_path.absolute().parent
        )
        login = Login(ami_host, ami_port, ami_user)
        session = log_in(stack, config, login, sample_calls.EVENTS if audio else frozenset())
        if session is not None:
            evidence = gathering.of_pbx(evidence, config, session)
        results = list(examine(checks, evidence))
        calls: list[TestCall] = []
        if audio and session is not None:
            context = f"{evidence.context}-doctor"
            made = sample_calls.SampleCalls(session, context, secrets.token_hex(4), chanspy.arguments, time.monotonic)
            calls = list(_told(made.calls(), as_json))
        if audio:
            results.append(_of_calls(calls))
    if as_json:
        click.echo(json.dumps({"results": [one.record() for one in results], **_matrix(calls)}, indent=1))
    else:
        _show(results, calls)
    sys.exit(exit_code(results))


def _told(calls: Iterator[TestCall], as_json: bool) -> Iterator[TestCall]:
    """Show how far it is: a call takes five seconds."""
    for call in calls:
        if not as_json:
            terminal.say(f"test call: {call.mode}", err=True)
        yield call


def _of_calls(calls: Sequence[TestCall]) -> Result:
    if not calls:
        return Result(AUDIO, Outcome.NOT_CHECKED, (NO_ACCOUNT.why,))
    wrong = tuple(line for call in calls for line in call.wrong())
    if all(call.is_deaf for call in calls):
        return Result(AUDIO, Outcome.NOT_CHECKED, wrong[:1])
    return Result(AUDIO, Outcome.FOUND if wrong else Outcome.FINE, wrong)


def _matrix(calls: Sequence[TestCall]) -> dict[str, object]:
    if not calls:
        return {}
    return {
        "audio": {
            str(call.mode): {str(speaker): sorted(map(str, heard)) for speaker, heard in call.heard.items()}
            for call in calls
        }
    }


# ---- what people see -----------------------------------------------------------------------------------------


def _list(checks: Sequence[Check], as_json: bool) -> None:
    if as_json:
        shown = [{"id": one.id, "severity": one.severity, "title": one.title} for one in checks]
        click.echo(json.dumps(shown, indent=1))
        return
    table = Table("Check", "Severity", "Looks for", box=None, pad_edge=False)
    for one in checks:
        table.add_row(one.id, one.severity, one.title)
    console(PIPE_COLUMNS).print(table)


def _show(results: Sequence[Result], calls: Sequence[TestCall]) -> None:
    screen = console(PIPE_COLUMNS)
    worst_first = sorted(results, key=lambda result: [*Severity].index(result.check.severity), reverse=True)
    for result in worst_first:
        if result.outcome is Outcome.FOUND:
            check = result.check
            screen.print(Text(f"{check.severity}: {check.title} [{check.id}]", f"bold {COLOURS[check.severity]}"))
            for line in result.evidence:
                screen.print(Text(f"  {terminal.readable(line)}"))
            screen.print(Text(f"  Why: {check.why}", "dim"))
            screen.print(Text(f"  Fix: {check.fix}\n"))
    for call in calls:
        table = Table(f"{call.mode}", *(f"{party} speaks" for party in Party), box=None, pad_edge=False)
        for row in rows(call):
            table.add_row(*row)
        screen.print(table)
        screen.print()
    left = [result for result in results if result.outcome is Outcome.NOT_CHECKED]
    reasons: dict[str, list[str]] = {}
    for result in left:
        reasons.setdefault(result.evidence[0], []).append(result.check.id)
    for reason, ids in reasons.items():
        screen.print(Text(f"not checked: {', '.join(ids)}: {terminal.readable(reason)}", "yellow"))
    found = [result for result in results if result.outcome is Outcome.FOUND]
    fine = len(results) - len(found) - len(left)
    counts = [_counted(sum(one.check.severity is kind for one in found), kind) for kind in reversed(Severity)]
    screen.print(f"{len(results)} checks: {fine} fine, {', '.join(counts)}, {len(left)} not checked")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
