"""The command ``agi-monitor pin``: make PINs, give them to people in the store, and lift lock-outs."""

from __future__ import annotations

import ipaddress
import json
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from agi_monitor.commands import completing, terminal
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people, store
from agi_monitor.commands.whoami import whoami
from agi_monitor.config import translation
from agi_monitor.config.loading import load
from agi_monitor.config.people import People, SupervisorEntry
from agi_monitor.config.sections import Config
from agi_monitor.model import Locked
from agi_monitor.names import peer_name
from agi_monitor.pins.lock_outs import LockOut, key
from agi_monitor.pins.records import make_hash
from agi_monitor.pins.rules import PinRules, Weakness, numbers_of
from agi_monitor.storage.database import Database
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.people_table import PeopleTable

TEMPORARY_DIGITS = 6
"""How many digits a PIN that is made here has, unless the site wants more."""

MAX_LINE = 200
"""Bytes of a line with a PIN."""

_weak_option = click.option("--weak", is_flag=True, help="Accept a PIN that is easy to guess.")


@click.group(invoke_without_command=True)
@click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="AGI_MONITOR_CONFIG",
    show_envvar=True,
    help="Configuration file with the rules for PINs (default: 4 to 16 digits, not weak).",
)
@click.option(
    "--supervisor",
    shell_complete=completing.supervisors,
    help="Whose PIN it is; their own phone numbers are refused. Needs --config.",
)
@_weak_option
@click.pass_context
def pin(context: click.Context, config_path: Path | None, supervisor: str | None, weak: bool) -> None:
    """Ask for a PIN and print its record for the configuration.

    Asks twice without showing it; reads one line where standard input is not a terminal. With people in the store,
    'pin set' gives them a PIN.
    """
    if context.invoked_subcommand is not None:
        return
    if supervisor is not None and config_path is None:
        raise click.UsageError("--supervisor needs --config, which has their phones")
    rules, own = PinRules(), frozenset[str]()
    if config_path is not None and supervisor is not None:
        config = load_with_people(config_path)
        rules, own = translation.pin_rules(config), numbers_of(_entry(config.people, supervisor).endpoints)
    elif config_path is not None:
        rules = translation.pin_rules(load(config_path).config)
    terminal.say(make_hash(_ask(rules, own, weak)))


@pin.command("set")
@click.argument("supervisor", shell_complete=completing.supervisors)
@click.option("--temporary", is_flag=True, help="Make them choose a new one on the phone at the next call.")
@_weak_option
@json_option
@config_option
def set_(config_path: Path, as_json: bool, supervisor: str, temporary: bool, weak: bool) -> None:
    """Set the PIN of SUPERVISOR in the store. Earlier wrong PINs are forgotten.

    Asks twice without showing it; reads one line where standard input is not a terminal.
    """
    with _people(config_path) as (config, database):
        entry = _entry(PeopleTable(database).load(), supervisor)
        digits = _ask(translation.pin_rules(config), numbers_of(entry.endpoints), weak)
        _give(database, supervisor, _new(digits, must_change=temporary))
    _report(as_json, f"{supervisor}: has a new PIN", {"supervisor": supervisor, "must_change": temporary})


@pin.command()
@click.argument("supervisor", shell_complete=completing.supervisors)
@json_option
@config_option
def reset(config_path: Path, as_json: bool, supervisor: str) -> None:
    """Generate a random PIN for SUPERVISOR and print it once. It must be changed at the next call.

    Needs people in the store. Earlier wrong PINs are forgotten.
    """
    with _people(config_path) as (config, database):
        entry = _entry(PeopleTable(database).load(), supervisor)
        digits = by_chance(translation.pin_rules(config), numbers_of(entry.endpoints))
        _give(database, supervisor, _new(digits, must_change=True))
    _report(as_json, digits, {"supervisor": supervisor, "pin": digits, "must_change": True})


@pin.command()
@click.argument("supervisor", shell_complete=completing.supervisors)
@json_option
@config_option
def expire(config_path: Path, as_json: bool, supervisor: str) -> None:
    """Make SUPERVISOR choose a new PIN on the phone at the next call. Needs people in the store."""
    with _people(config_path) as (_, database):
        if _entry(PeopleTable(database).load(), supervisor).pin is None:
            terminal.fail(f"{supervisor} has no PIN; give them one with: agi-monitor pin set {supervisor}")
        _change(database, supervisor, {"pin_must_change": True})
    _report(as_json, f"{supervisor}: must change the PIN", {"supervisor": supervisor, "must_change": True})


@pin.command()
@click.argument("who", shell_complete=completing.supervisors)
@json_option
@config_option
def unlock(config_path: Path, as_json: bool, who: str) -> None:
    """Lift a lock-out, on all servers of the store.

    WHO is a supervisor's id, which unlocks their phones too, a phone such as PJSIP/2001, or the address of a PBX.
    """
    config = load_with_people(config_path)
    names = _names(config.people, who)
    with store(config) as database:
        found = _unlock(database, names)
    failures = sum(one.failures for one in found.values())
    text = f"{who}: {failures} wrong PINs forgotten" if found else f"{who}: there were no wrong PINs"
    _report(as_json, text, {"unlocked": names, "wrong_pins": failures})


# ---- PINs ------------------------------------------------------------------------------------------------


def _ask(rules: PinRules, own: Iterable[str], weak: bool) -> str:
    """Have a PIN keyed in, or end with what is wrong with it."""
    digits = _prompted() if sys.stdin.isatty() else read()
    problem = PinRules(rules.min_digits, rules.refuse_weak and not weak).problem(digits, own)
    if problem is not None:
        way_out = "" if problem in (Weakness.NO_DIGITS, Weakness.SHORT) else "; --weak accepts it"
        terminal.fail(rules.said(problem) + way_out)
    return digits


def _prompted() -> str:
    try:
        digits: str = click.prompt("PIN", hide_input=True, confirmation_prompt=True, err=True)
    except UnicodeDecodeError:
        digits = ""
    return digits


def read() -> str:
    """One line of standard input. What is not ASCII is replaced: an error about it would have the digits in it."""
    line = sys.stdin.buffer.readline(MAX_LINE)
    return "" if len(line) == MAX_LINE else line.decode("ascii", "replace").strip()


def by_chance(rules: PinRules, own: Iterable[str]) -> str:
    """Return the digits of a new PIN, which follow the rules.

    Parameters:
        rules: of the site.
        own: numbers of their phones.
    """
    strict = PinRules(max(rules.min_digits, TEMPORARY_DIGITS))
    while True:
        digits = "".join(secrets.choice("0123456789") for _ in range(strict.min_digits))
        if strict.problem(digits, own) is None:
            return digits


def _new(digits: str, *, must_change: bool) -> Mapping[str, object]:
    return {"pin": make_hash(digits), "pin_set": datetime.now(UTC).isoformat(), "pin_must_change": must_change}


# ---- people in the store ---------------------------------------------------------------------------------


@contextmanager
def _people(config_path: Path) -> Iterator[tuple[Config, Database]]:
    config = load(config_path).config
    if config.store.plugin is not None:
        terminal.fail(f"people and their PINs are in the plug-in {config.store.plugin}: change them there")
    if not config.store.people:
        terminal.fail("people are in the configuration file: make a record with 'agi-monitor pin' and put it there")
    with store(config) as database:
        yield config, database


def _give(database: Database, supervisor: str, pin: Mapping[str, object]) -> None:
    entry = _change(database, supervisor, pin)
    _unlock(database, _names(People.model_construct(supervisors={supervisor: entry}), supervisor))


def _change(database: Database, supervisor: str, fields: Mapping[str, object]) -> SupervisorEntry:
    def edit(before: People) -> People:
        changed = _entry(before, supervisor).model_copy(update=fields)
        return before.model_copy(update={"supervisors": {**before.supervisors, supervisor: changed}})

    table = PeopleTable(database)
    table.change(whoami(), datetime.now(UTC), edit)
    return _entry(table.load(), supervisor)


def _entry(people: People, supervisor: str) -> SupervisorEntry:
    entry = people.supervisors.get(supervisor)
    if entry is None:
        terminal.fail(
            f"{supervisor} is not a supervisor; there are: {', '.join(sorted(people.supervisors)) or 'none'}"
        )
    return entry


# ---- lock-outs -------------------------------------------------------------------------------------------


def _names(people: People, who: str) -> list[str]:
    """Under which names the wrong PINs of a person are counted."""
    try:
        return [key(Locked.PEER, peer_name(str(ipaddress.ip_interface(who).ip)))]
    except ValueError:
        if "/" in who:
            return [key(Locked.ENDPOINT, who)]
        phones = (key(Locked.ENDPOINT, endpoint) for endpoint in _entry(people, who).endpoints)
        return [key(Locked.SUPERVISOR, who), *phones]


def _unlock(database: Database, names: list[str]) -> Mapping[str, LockOut]:
    return LockOutTable(database).end(names, whoami(), datetime.now(UTC))


# ---- what they have in common ----------------------------------------------------------------------------


def _report(as_json: bool, text: str, found: Mapping[str, object]) -> None:
    terminal.say(json.dumps(found, indent=1) if as_json else text)
