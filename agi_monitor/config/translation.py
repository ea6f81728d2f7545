"""The configuration, translated into what each room works with. No state, no wire."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from agi_monitor.config.people import RuleCalls, RuleEntry, RuleMode, RuleTerms, RuleTimes
from agi_monitor.config.sections import AMI, Asterisk, Config, PjsipPart
from agi_monitor.config.sections import Waiting as WaitingSection
from agi_monitor.dialplan.site import ManagerAccount, PermissionGroup, Phones, Pjsip, Site
from agi_monitor.model import Agent, Flavour, Mode, Reason, Supervisor
from agi_monitor.pins.costs import in_force
from agi_monitor.pins.guard import PinPolicy
from agi_monitor.pins.lock_outs import Limit, Limits
from agi_monitor.pins.rules import PinRules
from agi_monitor.rights import hours
from agi_monitor.rights.authorization import ALL, Calls, Effect, Rule, Terms
from agi_monitor.rights.hours import When
from agi_monitor.supervision.policy import Notice, Policy, ScanOf, Waiting
from agi_monitor.supervision.prompts import Prompts
from agi_monitor.supervision.protected import Protected

FREEPBX_PHONES = "from-internal"
"""Where phones dial from on FreePBX, unless it was changed."""

PJSIP = "PJSIP/"

BEEP_SECONDS = 20.0
"""Between two beeps, where the site only says that there are some."""

PROTECTED = "protected agents"
"""The rule that denies agents with ``protected``. No rule of a site is called so: of the spaces."""

UNTOLD = "not acknowledged"
"""The rule that denies agents who have not acknowledged the text."""


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
            pin_set=None if entry.pin_set is None else datetime.fromisoformat(entry.pin_set).timestamp(),
            pin_must_change=entry.pin_must_change,
            tenant=entry.tenant or "",
        )
        for name, entry in config.supervisors.items()
        if not entry.disabled
        for endpoint in entry.endpoints
    }
    return Policy(
        codes=config.codes.by_mode(),
        supervisors=supervisors,
        agents={agent.extension: agent for agent in agents(config)},
        rules=rules(config),
        reasons={digit: entry.slug for digit, entry in config.reasons.items()},
        prompts=Prompts(config.prompts, config.languages, config.prompt_pack),
        barge=config.spies.barge,
        follow=config.spies.follow,
        scan_order=config.spies.scan_order,
        scans={
            number: ScanOf(frozenset(entry.agents), frozenset(entry.queues)) for number, entry in config.scans.items()
        },
        mode_mark=config.spies.mode_mark,
        protected=Protected(frozenset(config.protected.endpoints), config.protected.numbers),
        notice=None
        if config.notice is None
        else Notice(frozenset(config.notice.modes), frozenset(config.notice.agents)),
        waiting=_waiting(config.waiting),
        hint_context=config.dialplan.hint_context,
        rogue=config.spies.rogue,
        orphans=config.spies.orphans,
        exceptions=frozenset(config.spies.rogue_exceptions),
        any_phone=config.pins.any_phone,
    )


def _waiting(section: WaitingSection) -> Waiting:
    music = section.music if isinstance(section.music, str) else "" if section.music else None
    beep = BEEP_SECONDS if section.beep is True else section.beep or None
    return Waiting(frozenset(Reason(one) for one in section.reasons), section.minutes * 60.0, music, beep)


def agents(config: Config) -> tuple[Agent, ...]:
    """Return everyone whose calls may be heard."""
    return tuple(
        Agent(
            key,
            frozenset(entry.groups),
            entry.endpoints,
            entry.name,
            entry.extension or "",
            entry.tenant or "",
            _hint_context(config, entry.tenant),
            _contexts(config, entry.tenant),
        )
        for key, entry in config.agents.items()
        if not entry.disabled
    )


def _hint_context(config: Config, tenant: str | None) -> str | None:
    found = config.tenants.get(tenant or "")
    return None if found is None else found.hint_context


def _contexts(config: Config, tenant: str | None) -> frozenset[str] | None:
    if not config.tenants and tenant is None:
        return None
    found = config.tenants.get(tenant or "")
    if found is None:
        # Without a known company no login counts.
        return frozenset()
    # The hint context of the whole site may be several companies', and says of a login no more than its number does.
    return frozenset({*found.contexts, *(() if found.hint_context is None else (found.hint_context,))})


def rules(config: Config) -> tuple[Rule, ...]:
    """Return the permissions. Agents who are protected, or have not been told, are denied by rules of their own."""
    protected = [extension for extension, entry in config.agents.items() if entry.protected]
    untold: list[str] = []
    if config.acknowledgement is not None:
        text = config.acknowledgement.text
        untold = [name for name, entry in config.agents.items() if entry.told is None or entry.told_text != text]
    own = [_denial(name, agents) for name, agents in ((PROTECTED, protected), (UNTOLD, untold)) if agents]
    return (*own, *(_rule(entry) for entry in config.rules))


def _denial(name: str, agents: Iterable[str]) -> Rule:
    return Rule(name, Effect.DENY, frozenset(Mode), frozenset({ALL}), frozenset(agents), scan=True)


def _rule(entry: RuleEntry) -> Rule:
    named = entry.allow or entry.deny
    return Rule(
        name=entry.name,
        effect=Effect.ALLOW if entry.allow else Effect.DENY,
        modes=frozenset(Mode(one) for one in named if one is not RuleMode.SCAN),
        supervisors=frozenset(entry.supervisors),
        agents=frozenset(entry.agents),
        scan=RuleMode.SCAN in named,
        when=None if entry.when is None else _when(entry.when),
        calls=None if entry.calls is None else _calls(entry.calls),
        terms=None if entry.terms is None else _terms(entry.terms),
    )


def _when(entry: RuleTimes) -> When:
    return When(
        zone=hours.zone(entry.zone),
        hours=tuple(hours.hours(text) for text in entry.hours),
        dates=tuple(hours.dates(text) for text in entry.dates),
        not_on=tuple(hours.dates(text) for text in entry.not_on),
    )


def _calls(entry: RuleCalls) -> Calls:
    return Calls(frozenset(entry.queues), entry.direction)


def _terms(entry: RuleTerms) -> Terms:
    return Terms(entry.reason_required, entry.max_minutes, entry.max_listeners)


def pin_policy(config: Config) -> PinPolicy:
    """Return what PINs must be, and how often one may be wrong."""
    pins = config.pins
    return PinPolicy(
        attempts=pins.attempts,
        seconds=pins.seconds,
        limits=Limits(
            supervisor=Limit(pins.lock_after, pins.lock_seconds, pins.max_lock_seconds),
            endpoint=Limit(pins.lock_after_endpoint, pins.lock_seconds, pins.max_lock_seconds),
            peer=Limit(pins.lock_after_peer, pins.lock_seconds_peer, pins.max_lock_seconds_peer),
        ),
        remember_seconds=pins.remember_minutes * 60.0,
        rules=pin_rules(config),
        max_age=None if pins.max_days is None else pins.max_days * 86_400.0,
        costs=in_force(entry.pin for entry in config.supervisors.values() if not entry.disabled),
    )


def pin_rules(config: Config) -> PinRules:
    """Return what a new PIN must be."""
    return PinRules(config.pins.min_digits, config.pins.refuse_weak)


def site(config: Config) -> Site:
    """Return what the dialplan is made from.

    Raises:
        RenderError: a value could break a line of the dialplan.
    """
    people = {person.id: person for person in policy(config).supervisors.values()}
    groups = sorted({group for person in people.values() for group in person.groups})
    return Site(
        agents=_dialled(agents(config)),
        groups=tuple(_permission_group(group, people.values(), rules(config)) for group in groups),
        codes=config.codes.by_mode(),
        scans=tuple(sorted(config.scans, key=int)),
        fastagi_host=config.fastagi.dialplan_address,
        fastagi_port=config.fastagi.port,
        secret=config.fastagi.secret,
        notice=() if config.notice is None else config.notice.sounds,
        test_calls=config.dialplan.test_calls,
        manager=(
            None
            if config.ami is None or not config.asterisk.account
            else manager_account(config.ami, config.fastagi.dialplan_address)
        ),
        flavour=config.asterisk.flavour,
        phones=_phones(config.asterisk),
        pjsip=None if config.asterisk.pjsip is None else _pjsip(config.asterisk.pjsip),
        agent_groups=tuple(sorted({group for agent in config.agents.values() for group in agent.groups})),
        dialplan=config.asterisk.dialplan,
        allow_transfer=config.asterisk.allow_transfer,
    )


def _dialled(found: Iterable[Agent]) -> tuple[Agent, ...]:
    """Return the agents as phones dial them: for two companies' agents of one extension the first one."""
    by_digits: dict[str, Agent] = {}
    for agent in found:
        by_digits.setdefault(agent.digits, replace(agent, extension=agent.digits, dialled=""))
    return tuple(by_digits.values())


def _phones(asterisk: Asterisk) -> Phones | None:
    context = asterisk.phones
    if context is None:
        if asterisk.flavour is not Flavour.FREEPBX:
            return None
        context = FREEPBX_PHONES
    return Phones(context, asterisk.table if asterisk.flavour is Flavour.REALTIME else None)


def _pjsip(part: PjsipPart) -> Pjsip:
    if part.tls is None:
        return Pjsip(srtp=part.srtp)
    return Pjsip(part.tls.address, part.tls.port, str(part.tls.certificate), str(part.tls.key), part.srtp)


def manager_account(ami: AMI, server: str) -> ManagerAccount:
    """Return the account for manager.conf.

    Parameters:
        ami: the manager interface.
        server: the address of this server as the PBX sees it.

    Raises:
        RenderError: a value could break a line of the file.
    """
    loopback = ("127.0.0.1", "::1")
    address = _address(ami.host)
    if ami.host == "localhost" or (address is not None and address.is_loopback):
        return ManagerAccount(ami.username, ami.secret, loopback)
    if ipaddress.ip_address(server).is_loopback:
        # The PBX is on this machine and is reached by an outer address of it, which is then our own as well.
        return ManagerAccount(ami.username, ami.secret, loopback if address is None else (*loopback, str(address)))
    return ManagerAccount(ami.username, ami.secret, (server,))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _permission_group(group: str, people: Iterable[Supervisor], permissions: tuple[Rule, ...]) -> PermissionGroup:
    members = [person for person in people if group in person.groups]
    modes = frozenset(
        mode
        for rule in permissions
        if rule.effect is Effect.ALLOW and any(rule.names_supervisor(member) for member in members)
        for mode in rule.speaks_of
    )
    devices = (endpoint for member in members for endpoint in member.endpoints if endpoint.startswith(PJSIP))
    return PermissionGroup(
        group,
        modes,
        tuple(member.name or member.id for member in members),
        tuple(device.removeprefix(PJSIP) for device in devices),
    )
