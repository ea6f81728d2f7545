"""The configuration, translated into what each room works with. No state, no wire."""

from __future__ import annotations

from collections.abc import Iterable

from agi_monitor.config import Config
from agi_monitor.dialplan.site import PermissionGroup, Site
from agi_monitor.model import Agent, Supervisor
from agi_monitor.supervision.authorization import Effect, Rule
from agi_monitor.supervision.pins import PinPolicy
from agi_monitor.supervision.prompts import Prompts
from agi_monitor.supervision.spy_call import Policy


def policy(config: Config) -> Policy:
    """Return who may do what."""
    supervisors = {
        endpoint: Supervisor(
            id=name,
            endpoints=frozenset(entry.endpoints),
            groups=frozenset(entry.groups),
            pin_hash=entry.pin,
            name=entry.name,
            language=entry.language,
        )
        for name, entry in config.supervisors.items()
        for endpoint in entry.endpoints
    }
    return Policy(
        codes=config.codes.by_mode(),
        supervisors=supervisors,
        agents={agent.extension: agent for agent in agents(config)},
        rules=rules(config),
        prompts=Prompts(config.prompts, config.languages),
    )


def agents(config: Config) -> tuple[Agent, ...]:
    """Return everybody whose calls may be heard."""
    return tuple(
        Agent(extension, frozenset(entry.groups), entry.endpoints, entry.name)
        for extension, entry in config.agents.items()
    )


def rules(config: Config) -> tuple[Rule, ...]:
    """Return the permissions."""
    return tuple(
        Rule(
            name=entry.name,
            effect=Effect.ALLOW if entry.allow else Effect.DENY,
            modes=frozenset(entry.allow or entry.deny),
            supervisors=frozenset(entry.supervisors),
            agents=frozenset(entry.agents),
        )
        for entry in config.rules
    )


def pin_policy(config: Config) -> PinPolicy:
    """Return how often a PIN may be wrong."""
    return PinPolicy(
        attempts=config.pins.attempts,
        lock_after=config.pins.lock_after,
        lock_seconds=config.pins.lock_seconds,
        max_lock_seconds=config.pins.max_lock_seconds,
        remember_seconds=config.pins.remember_minutes * 60.0,
    )


def site(config: Config) -> Site:
    """Return what the dialplan is made from.

    Raises:
        RenderError: a value could break a line of the dialplan.
    """
    people = {person.id: person for person in policy(config).supervisors.values()}
    groups = sorted({group for person in people.values() for group in person.groups})
    return Site(
        agents=agents(config),
        groups=tuple(_permission_group(group, people.values(), rules(config)) for group in groups),
        codes=config.codes.by_mode(),
        fastagi_host=config.fastagi.dialplan_address,
        fastagi_port=config.fastagi.port,
        secret=config.fastagi.secret,
    )


def _permission_group(group: str, people: Iterable[Supervisor], permissions: tuple[Rule, ...]) -> PermissionGroup:
    members = [person for person in people if group in person.groups]
    modes = frozenset(
        mode
        for rule in permissions
        if rule.effect is Effect.ALLOW and any(rule.names_supervisor(member) for member in members)
        for mode in rule.modes
    )
    return PermissionGroup(group, modes, tuple(member.name or member.id for member in members))
