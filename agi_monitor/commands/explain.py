"""The command ``agi-monitor explain``: what the rules of a configuration say of one request, and why."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from agi_monitor.commands import completing, terminal
from agi_monitor.commands.options import config_option, json_option
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.config import translation
from agi_monitor.config.sections import Config
from agi_monitor.model import Direction, Mode
from agi_monitor.rights.authorization import Allowed, SpyAsk
from agi_monitor.rights.explain import explain as explain_request
from agi_monitor.rights.explain import lines, record

FIRST_YEAR, LAST_YEAR = 1970, 9_000
"""Beyond them no clock on a wall can be worked out."""


def _moment(_: click.Context, __: click.Parameter, text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a time such as 2026-12-24T10:00 or 2026-12-24T10:00+01:00"
        ) from None
    if not FIRST_YEAR < found.year < LAST_YEAR:
        raise click.BadParameter(f"the year must be between {FIRST_YEAR} and {LAST_YEAR}")
    return found if found.utcoffset() is not None else found.astimezone()


def _place(config: Config, path: Path) -> str:
    """Where the people of a configuration live."""
    if config.store.plugin is not None:
        return f"the plug-in {config.store.plugin}"
    return "the store; see 'agi-monitor people list'" if config.store.people else str(path)


@click.command()
@click.argument("supervisor", shell_complete=completing.supervisors)
@click.argument("mode", type=click.Choice([mode.value for mode in Mode]))
@click.argument("agent", shell_complete=completing.agents)
@click.option(
    "--at", callback=_moment, help="Time of the request, such as 2026-12-24T10:00, local time (default: now)."
)
@click.option("--queue", help="Queue that the call came from; an empty text for a call without a queue.")
@click.option(
    "--direction",
    type=click.Choice([one.value for one in Direction]),
    help="Direction of the call, seen from the agent.",
)
@click.option("--scan", is_flag=True, help="Assume the agent was reached by a scan.")
@click.option("--reason/--no-reason", default=None, help="Whether the supervisor gave a reason (default: not known).")
@click.option("--listeners", type=click.IntRange(0), default=0, help="Listeners already on the call (default: 0).")
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=0.0,
    help="Minutes that the supervisor has listened already (default: 0).",
)
@json_option
@config_option
def explain(
    config_path: Path,
    as_json: bool,
    supervisor: str,
    mode: str,
    agent: str,
    at: datetime,
    queue: str | None,
    direction: str | None,
    scan: bool,
    reason: bool | None,
    listeners: int,
    minutes: float,
) -> None:
    """Explain whether SUPERVISOR may use MODE on AGENT: which rule decides, and why the others do not.

    Uses the rules of the configuration, not the running server. Exit code 1 when it is not allowed.
    """
    config = load_with_people(config_path)
    policy = translation.policy(config)
    person = next((one for one in policy.supervisors.values() if one.id == supervisor), None)
    if person is None:
        is_disabled = supervisor in config.supervisors
        why = "is a supervisor who is disabled" if is_disabled else "is not a supervisor"
        raise click.BadParameter(f"{supervisor!r} {why} in {_place(config, config_path)}", param_hint="SUPERVISOR")
    # What this supervisor would dial comes first: the digits may be an agent's of another tenant as well.
    whose = policy.agent_for(person.tenant, agent) or policy.agents.get(agent)
    if whose is None:
        why = "is an agent who is disabled" if agent in config.agents else "is not an agent"
        raise click.BadParameter(f"{agent!r} {why} in {_place(config, config_path)}", param_hint="AGENT")
    request = SpyAsk(
        supervisor=person,
        agent=whose,
        mode=Mode(mode),
        scan=scan,
        at=at,
        queue=queue,
        direction=None if direction is None else Direction(direction),
        reason=reason,
        listeners=listeners,
        heard_seconds=minutes * 60.0,
    )
    explanation = explain_request(policy.rights, request)
    if as_json:
        click.echo(json.dumps(record(explanation), indent=1))
    else:
        terminal.say("\n".join(lines(explanation)))
        if not whose.endpoints:
            context = policy.hint_context if whose.hint_context is None else whose.hint_context
            terminal.say(f"Not verified here: that the hint {whose.digits}@{context} of the PBX names a phone.")
    sys.exit(0 if isinstance(explanation.verdict, Allowed) else 1)
