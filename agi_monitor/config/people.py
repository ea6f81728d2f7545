"""People and rules, as a site writes them down: in the configuration file, or in a file that is taken into the store.

What is read here is checked for what it says; what is decided with it is decided in ``supervision/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from agi_monitor import names
from agi_monitor.config.document import Problem, Section, matching, read_by
from agi_monitor.model import Direction
from agi_monitor.pins import costs
from agi_monitor.rights import hours, patterns


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError
    return found


def _day(text: str) -> date:
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text) is None:
        raise ValueError
    return date.fromisoformat(text)


Name = Annotated[str, matching(names.NAME, "must be letters, digits, - and _, at most 40 of them")]
GroupName = Annotated[str, matching(names.GROUP, "must be letters, digits, - and _; not only digits, and not 'all'")]
ExtensionNumber = Annotated[str, matching(names.EXTENSION, "must be 1 to 20 digits")]
AgentKey = Annotated[
    str,
    matching(
        names.AGENT_KEY,
        "must be 1 to 20 digits, or a name of letters, digits, - and _, at most 20, with its digits in extension",
    ),
]
"""What an agent is called. Only digits are the extension itself."""
Context = Annotated[str, matching(names.CONTEXT, "must be a context: letters, digits, _ . and -")]
Endpoint = Annotated[
    str,
    matching(
        names.ENDPOINT,
        "must be technology/name such as PJSIP/1001, with letters, digits and _ . + @ - in the name",
    ),
]
Language = Annotated[str, matching(r"[A-Za-z]{2,3}(_[A-Za-z0-9]{2,8})?", "must be a language such as de or en_GB")]
PersonName = Annotated[
    str,
    matching(r"[^\ud800-\udfff]*", "must be text, without bytes that are not UTF-8 and without halves of characters"),
]
PinHash = Annotated[str, AfterValidator(costs.checked)]
AgentName = Annotated[
    str,
    matching(
        f"{names.NAME.pattern}|{patterns.PATTERN}",
        "must be letters, digits, - and _, at most 40 of them, or a pattern such as _10XX",
    ),
]
Zone = Annotated[str, read_by(hours.zone, "must be a time zone that this system knows, such as Europe/Berlin")]
Hours = Annotated[
    str, read_by(hours.hours, "must be hours such as 'mon-fri 08:00-18:00', 'sat,sun 22:00-06:00' or '00:00-24:00'")
]
Dates = Annotated[
    str,
    read_by(hours.dates, "must be a date such as 2026-12-25, or 12-25 for every year, or two such as 12-24..12-26"),
]
Moment = Annotated[str, read_by(_moment, "must be a time with its offset, such as 2026-11-25T10:00:00+00:00")]
Day = Annotated[str, read_by(_day, "must be a date such as 2026-11-25")]
TextVersion = Annotated[
    str, matching(r"[A-Za-z0-9 ._/-]{0,40}", "must be letters, digits, spaces and . _ / -, at most 40")
]
Queue = Annotated[str, matching(names.QUEUE, "must be a queue: letters, digits and _ . @ + / -")]


class _Person(Section):
    @field_validator("endpoints", "groups", check_fields=False)
    @classmethod
    def _once_each(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(names))


class SupervisorEntry(_Person):
    """A person who may ask to hear calls. The key is the id that rules and the audit use."""

    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]
    """The devices they dial from. A supervisor is known by the endpoint, never by the caller id."""
    pin: PinHash | None = None
    """The argon2id record of their PIN, from `agi-monitor pin`. Required if people live in the file; in the store, a
    supervisor without one cannot hear any call."""
    pin_set: Moment | None = None
    """When the PIN was made, such as `2026-11-25T10:00:00+00:00`; `pins.max_days` counts from then on."""
    pin_must_change: bool = False
    """Whether the PIN must be changed by phone before anything is heard. In the store only."""
    groups: tuple[GroupName, ...] = ()
    """The supervisor groups they are in; each is also a dialplan context."""
    name: PersonName = ""
    """For people: comments in the dialplan."""
    language: Language | None = None
    """The language of the prompts; that of the channel, if not given."""
    tenant: Name | None = None
    """The company whose agents they may hear, one of `tenants`. No rule reaches another company."""
    disabled: bool = False
    """Whether they count as unknown, until this is reversed."""


class AgentEntry(_Person):
    """A person whose calls may be heard. The key is the extension; if two companies use the same one, the key is a
    name such as `beta-1001`, with the digits in `extension`. Rules, audit and commands use the key."""

    extension: ExtensionNumber | None = None
    """The digits that are dialled for them, if the key is a name."""
    tenant: Name | None = None
    """The company they work for, one of `tenants`."""
    endpoints: tuple[Endpoint, ...] = ()
    """Their devices. If there are none, the PBX is asked for the hint of the extension in `dialplan.hint_context`, or
    in the `hint_context` of their tenant."""
    groups: tuple[GroupName, ...] = ()
    """The agent groups they are in."""
    name: PersonName = ""
    """For people: comments in the dialplan."""
    disabled: bool = False
    """Whether they do not count as an agent, until this is reversed."""
    protected: bool = False
    """Whether they may not be heard, whatever the rules allow."""
    told: Day | None = None
    """The date on which they were told that calls are monitored, such as `2026-11-25`."""
    told_text: TextVersion = ""
    """The version of the text that they were given; see `acknowledgement.text`."""


class RuleMode(StrEnum):
    """What a rule allows or denies."""

    LISTEN = "listen"
    """Hear agent and customer, dialled or by the scan."""
    WHISPER = "whisper"
    """The agent hears the supervisor as well."""
    BARGE = "barge"
    """Agent and customer hear the supervisor."""
    TAKE_OVER = "take_over"
    """The supervisor continues with the customer, and the agent is released."""
    SCAN = "scan"
    """Allowed: hear them when the scan reaches them. Denied: the scan skips them."""


class RuleTimes(Section):
    """When a rule applies."""

    zone: Zone
    """The time zone. There is no default: the clock of a server often differs from the clock on the wall."""
    hours: tuple[Hours, ...] = ()
    """Hours of the week; all hours, if not given. The end is not included. Hours that end before they begin go past
    midnight, and belong to the day on which they begin. Hours without days apply to every day."""
    dates: tuple[Dates, ...] = ()
    """The dates on which it applies; every day, if not given."""
    not_on: tuple[Dates, ...] = ()
    """Dates on which it does not apply, such as holidays."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.hours or self.dates or self.not_on):
            raise ValueError("needs hours, dates or not_on")
        return self


class RuleCalls(Section):
    """Which calls a rule applies to."""

    queues: tuple[Queue, ...] = ()
    """Queues that gave the call to the agent; all calls, if not given."""
    direction: Direction | None = None
    """Who called whom; both directions, if not given."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.queues and self.direction is None:
            raise ValueError("needs queues or direction")
        return self


class RuleTerms(Section):
    """On which terms a rule allows."""

    reason_required: bool = False
    """Whether the supervisor must give a reason, by a digit of `reasons`: once for each call of an agent."""
    max_minutes: Annotated[float | None, Field(ge=0.1, le=1_440, allow_inf_nan=False)] = None
    """How many minutes one supervisor may hear one call, in however many pieces."""
    max_listeners: Annotated[int | None, Field(ge=1, le=100)] = None
    """How many may hear one call at the same time, including those whom another rule allows."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.reason_required and self.max_minutes is None and self.max_listeners is None:
            raise ValueError("needs reason_required, max_minutes or max_listeners")
        return self


class RuleEntry(Section):
    """One permission. A rule either allows or denies; deny beats allow, and nothing is allowed without a rule.
    [Rights](../topics/rights.md) explains them in full."""

    name: Name
    """Its name in the audit."""
    allow: tuple[RuleMode, ...] = ()
    """The modes it allows. `scan` lets the scan reach these agents, to listen, though they may not be dialled;
    permission to listen includes the scan."""
    deny: tuple[RuleMode, ...] = ()
    """The modes it denies. `scan` keeps the scan from these agents, in every mode."""
    supervisors: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Supervisor groups, supervisor ids, or `all`."""
    agents: Annotated[tuple[AgentName, ...], Field(min_length=1)]
    """Agent groups, agents by their keys, patterns of the dialled digits as in the dialplan, such as `_10XX`, or
    `all`. Each means only agents of the supervisor's own tenant."""
    when: RuleTimes | None = None
    """When it applies, by the local time in `zone`; always, if not given."""
    calls: RuleCalls | None = None
    """Which calls it applies to; all, if not given. If that is not known for a call, as without `ami`, a rule that
    allows does not allow, and one that denies does deny."""
    terms: RuleTerms | None = None
    """On which terms it allows; for a rule with `allow` only."""

    @model_validator(mode="after")
    def _allows_or_denies(self) -> Self:
        if bool(self.allow) == bool(self.deny):
            raise ValueError("needs either allow or deny, with at least one mode")
        if self.deny and self.terms is not None:
            raise ValueError("terms belong to a rule that allows; one that denies has none")
        return self


class People(Section):
    """The people, and who may hear whom."""

    supervisors: dict[Name, SupervisorEntry] = Field(default_factory=dict)
    """Who may ask to hear calls, by id."""
    agents: dict[AgentKey, AgentEntry] = Field(default_factory=dict)
    """Whose calls may be heard, by extension."""
    rules: tuple[RuleEntry, ...] = ()
    """Who may hear whom, and how."""


class Kind(StrEnum):
    """What a change is about."""

    SUPERVISOR = "supervisor"
    AGENT = "agent"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry was changed, added or removed.

    Parameters:
        kind: what it is.
        key: its id, extension or name.
        before: as in a document, without a PIN; None if it is new.
        after: in the same form; None if it was removed.
    """

    kind: Kind
    key: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


ORDER = "(order)"
"""The key of a change of nothing but the order of the rules; the first one that allows is named in the audit."""


def differences(before: People, after: People) -> tuple[Change, ...]:
    """Return what changed between two states, entry by entry. For a PIN only the fact that it changed is shown."""
    found = []
    for kind, was, now in (
        (Kind.SUPERVISOR, before.supervisors, after.supervisors),
        (Kind.AGENT, before.agents, after.agents),
        (Kind.RULE, _by_name(before), _by_name(after)),
    ):
        for name in dict.fromkeys((*was, *now)):
            one, other = was.get(name), now.get(name)
            if one is not other and one != other:
                found.append(Change(kind, name, *_shown(one, other)))
    order, new_order = ([rule.name for rule in one.rules] for one in (before, after))
    if sorted(order) == sorted(new_order) and order != new_order:
        found.append(Change(Kind.RULE, ORDER, {"rules": order}, {"rules": new_order}))
    return tuple(found)


def _by_name(people: People) -> dict[str, RuleEntry]:
    return {rule.name: rule for rule in people.rules}


def _shown(
    before: Section | None, after: Section | None
) -> tuple[Mapping[str, object] | None, Mapping[str, object] | None]:
    """Return both as in a document, without the record of a PIN: readers could try it out."""
    was, now = plain(before), plain(after)
    pin_before, pin_after = (was or {}).pop("pin", None), (now or {}).pop("pin", None)
    if was is not None and pin_before is not None:
        was["pin"] = "set"
    if now is not None and pin_after is not None:
        now["pin"] = "changed" if was is not None and pin_before not in (None, pin_after) else "set"
    return was, now


def plain(entry: Section | None) -> dict[str, object] | None:
    """Return an entry as in a document, without defaults."""
    return None if entry is None else entry.model_dump(mode="json", exclude_defaults=True)


def taken_in(before: People, given: People, *, replace: bool) -> People:
    """Return the people after a document was taken in.

    Parameters:
        before: the people now.
        given: the document. A supervisor without a PIN in it keeps the one they have.
        replace: whether entries that are not in the document are removed.
    """
    supervisors = {name: _with_pin(entry, before.supervisors.get(name)) for name, entry in given.supervisors.items()}
    if replace:
        return given.model_copy(update={"supervisors": supervisors})
    names = {rule.name: rule for rule in given.rules}
    rules = [names.pop(rule.name, rule) for rule in before.rules]
    return People.model_construct(
        supervisors={**before.supervisors, **supervisors},
        agents={**before.agents, **given.agents},
        rules=(*rules, *names.values()),
    )


def _with_pin(entry: SupervisorEntry, before: SupervisorEntry | None) -> SupervisorEntry:
    if entry.pin is not None or before is None:
        return entry
    kept = {"pin": before.pin, "pin_set": before.pin_set, "pin_must_change": before.pin_must_change}
    return entry.model_copy(update=kept)


def without_pins(people: People) -> People:
    """Return the same people, without anything about their PINs."""
    nothing = {"pin": None, "pin_set": None, "pin_must_change": False}
    return people.model_copy(
        update={
            "supervisors": {name: one.model_copy(update=nothing) for name, one in people.supervisors.items()},
        }
    )


def tree(people: People) -> dict[str, object]:
    """Return people as they stand in a document."""
    return {
        "supervisors": {name: plain(entry) for name, entry in people.supervisors.items()},
        "agents": {name: plain(entry) for name, entry in people.agents.items()},
        "rules": [plain(rule) for rule in people.rules],
    }


def problems(people: People) -> Iterator[Problem]:
    """Find what only the whole can show."""
    for check in (
        _endpoints_belong_to_one,
        _pins_can_be_looked_at,
        _agents_can_be_dialled,
        _rule_names_differ,
        _rules_name_somebody,
        _names_mean_one_thing,
    ):
        yield from check(people)


def digits_of(key: str, entry: AgentEntry) -> str:
    """Return what is dialled for an agent."""
    return entry.extension or key


def _agents_can_be_dialled(people: People) -> Iterator[Problem]:
    by_digits: dict[tuple[str | None, str], str] = {}
    for key, entry in people.agents.items():
        if key.isdecimal():
            # Rules and records name the key: digits that mean another agent would name the wrong one.
            if entry.extension not in (None, key):
                yield (
                    ("agents", key, "extension"),
                    "is another than the key; use a name such as tenant-1001 as the key",
                )
                continue
        elif entry.extension is None:
            yield ("agents", key), "extension is missing: a name cannot be dialled"
            continue
        other = by_digits.setdefault((entry.tenant, digits_of(key, entry)), key)
        if other != key:
            yield ("agents", key, "extension"), f"is already the extension of {other}, of the same tenant"


def _endpoints_belong_to_one(people: People) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, supervisor in people.supervisors.items():
        for endpoint in supervisor.endpoints:
            owner = owners.setdefault(endpoint, name)
            if owner != name:
                yield ("supervisors", name, "endpoints"), f"{endpoint} is already the phone of {owner}"


def _pins_can_be_looked_at(people: People) -> Iterator[Problem]:
    problem = costs.too_many(entry.pin for entry in people.supervisors.values() if not entry.disabled)
    if problem is not None:
        yield (
            ("supervisors",),
            f"{problem}. Each PIN takes the work of all of them; make some again with: agi-monitor pin",
        )


def _rule_names_differ(people: People) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, rule in enumerate(people.rules):
        if rule.name in seen:
            yield ("rules", position, "name"), f"another rule is called {rule.name}"
        seen.add(rule.name)


def _rules_name_somebody(people: People) -> Iterator[Problem]:
    supervisor_groups = {group for entry in people.supervisors.values() for group in entry.groups}
    agent_groups = {group for entry in people.agents.values() for group in entry.groups}
    supervisors = {"all", *supervisor_groups, *people.supervisors}
    agents = {"all", *agent_groups, *people.agents}
    named = dict.fromkeys(name for rule in people.rules for name in rule.agents if patterns.is_pattern(name))
    bits = {name: 1 << position for position, name in enumerate(named)}
    table, fitting = patterns.PatternTable(bits.items()), 0
    for key, entry in people.agents.items():
        fitting |= table.fitting(digits_of(key, entry))
    for position, rule in enumerate(people.rules):
        for name in rule.supervisors:
            if name not in supervisors:
                yield ("rules", position, "supervisors"), f"{name} is neither a supervisor nor a group of supervisors"
        for name in rule.agents:
            if patterns.is_pattern(name):
                if not fitting & bits[name]:
                    yield ("rules", position, "agents"), f"{name} fits the extension of no agent"
            elif name not in agents:
                yield ("rules", position, "agents"), f"{name} is neither an agent nor a group of agents"


def _names_mean_one_thing(people: People) -> Iterator[Problem]:
    groups = {group for entry in people.supervisors.values() for group in entry.groups}
    for name in people.supervisors:
        if name in groups or name == "all":
            yield ("supervisors", name), "is also the name of a group: a rule could mean both"
    agent_groups = {group for entry in people.agents.values() for group in entry.groups}
    for name in people.agents:
        if name in agent_groups:
            yield ("agents", name), "is also the name of a group: a rule could mean both"


class Tenant(Section):
    """A company on a PBX that several share. The key is the name that supervisors and agents give as `tenant`."""

    contexts: tuple[Context, ...] = ()
    """The contexts in which its queues and phones dial agents, such as `acme` of the queue member
    `Local/1001@acme/n`. A queue member that names another context, or none, is not taken for an agent of this tenant.
    Agents without queues, and agents with `endpoints`, need none."""
    hint_context: Context | None = None
    """Where the hints of its agents are; `dialplan.hint_context`, if not given."""


def tenant_problems(people: People, tenants: Mapping[str, Tenant], hint_context: str) -> Iterator[Problem]:
    """Find what is wrong between people and the companies they are of.

    Parameters:
        people: everyone.
        tenants: the companies; none where the PBX has only one.
        hint_context: where the hints of a company are that names no context.
    """
    sections: tuple[tuple[str, Mapping[str, SupervisorEntry | AgentEntry]], ...] = (
        ("supervisors", people.supervisors),
        ("agents", people.agents),
    )
    for section, entries in sections:
        for name, entry in entries.items():
            if entry.tenant is None and tenants:
                yield (section, name), "tenant is missing, because there are tenants"
            elif entry.tenant is not None and entry.tenant not in tenants:
                yield (section, name, "tenant"), f"{entry.tenant} is not one of tenants"
    hinted: dict[tuple[str, str], str] = {}
    for key, agent in people.agents.items():
        if not agent.endpoints:
            tenant = tenants.get(agent.tenant or "")
            context = hint_context if tenant is None else tenant.hint_context or hint_context
            other = hinted.setdefault((context, digits_of(key, agent)), key)
            if other != key:
                yield ("agents", key), f"is found by the same hint as {other}: give their tenants a hint_context each"


def tenants_differ(tenants: Mapping[str, Tenant]) -> Iterator[Problem]:
    """Find contexts that would be two companies'."""
    owners: dict[str, str] = {}
    for name, tenant in tenants.items():
        named = (("contexts", context) for context in tenant.contexts)
        for key, context in (*named, ("hint_context", tenant.hint_context)):
            owner = name if context is None else owners.setdefault(context, name)
            if owner != name:
                yield ("tenants", name, key), f"{context} is already a context of {owner}"
