"""What only the whole of a configuration can show: values that are right, each for itself, and not together."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping

from agi_monitor.config import yaml
from agi_monitor.config.document import Problem
from agi_monitor.config.people import People, tenant_problems, tenants_differ
from agi_monitor.config.people import problems as people_problems
from agi_monitor.config.sections import Config, StopSpies
from agi_monitor.config.values import Words
from agi_monitor.model import ONE_FILE, Cue, Reason
from agi_monitor.names import weakness
from agi_monitor.supervision.prompts import EXTENSION, placeholders


def problems(config: Config) -> Iterator[Problem]:
    """Return what is wrong in a configuration whose values are right, each for itself."""
    for check in _CHECKS:
        yield from check(config)


def tenant_mistakes(config: Config, people: People) -> tuple[str, ...]:
    """Return what is wrong between people, wherever they live, and the companies that the configuration names."""
    found = tenant_problems(people, config.tenants, config.dialplan.hint_context)
    return tuple(f"{yaml.place(where)}: {what}" for where, what in found)


def _codes_differ(config: Config) -> Iterator[Problem]:
    codes = {mode.value: code for mode, code in config.codes.by_mode().items()}
    for mode, code in codes.items():
        for other, longer in codes.items():
            if mode != other and longer.startswith(code) and (code != longer or mode < other):
                yield ("codes", other), f"{longer} begins with {code}, the code of {mode}: a call could mean both"


def _people_are_in_one_place(config: Config) -> Iterator[Problem]:
    if config.store.people and config.store.plugin is not None:
        yield ("store", "plugin"), "is a second place for people, besides store.people; leave one of them out"
    for section in ("supervisors", "agents", "rules"):
        if config.store.people and section in config.model_fields_set:
            yield (section,), "is in the store, because of store.people; agi-monitor people import takes a file"
        elif config.store.plugin is not None and section in config.model_fields_set:
            yield (section,), f"comes from the plug-in {config.store.plugin}, because of store.plugin"
        elif not config.store.has_people and section not in config.model_fields_set:
            yield (section,), "is missing"
    if not config.store.has_people:
        for name, entry in config.supervisors.items():
            if entry.pin is None:
                yield ("supervisors", name, "pin"), "is missing; make one with: agi-monitor pin"


def _people_are_right(config: Config) -> Iterator[Problem]:
    yield from people_problems(config.people)
    yield from tenant_problems(config.people, config.tenants, config.dialplan.hint_context)


def _tenants_differ(config: Config) -> Iterator[Problem]:
    yield from tenants_differ(config.tenants)


def _reasons_differ(config: Config) -> Iterator[Problem]:
    digits: dict[str, str] = {}
    for digit, entry in config.reasons.items():
        other = digits.setdefault(entry.slug, digit)
        if other != digit:
            yield ("reasons", digit, "slug"), f"{entry.slug} is already the reason of the digit {other}"


def _prompts_are_known(config: Config) -> Iterator[Problem]:
    tables: list[tuple[yaml.Path_, dict[str, Words]]] = [(("prompts",), config.prompts)]
    tables += [(("languages", language), table) for language, table in config.languages.items()]
    for where, table in tables:
        for moment, words in table.items():
            if moment not in _MOMENTS:
                yield (
                    (*where, moment),
                    f"is not a refusal reason or a cue; there are: {', '.join(sorted(_MOMENTS))}",
                )
            elif moment in ONE_FILE and (len(words) != 1 or words[0].startswith("{")):
                yield (*where, moment), "must be exactly one sound file, because keys may interrupt it"
            else:
                for word in words:
                    if word.startswith("{") and word not in placeholders(_MOMENTS[moment]):
                        yield (*where, moment), _no_value(word)
        for one, other in _ALIKE:
            if table.get(one) != table.get(other):
                yield (
                    (*where, one if one in table else other),
                    (f"{one} and {other} must have the same words: a caller must not tell them apart"),
                )


_ALIKE = ((Reason.PIN_WRONG, Reason.ENDPOINT_UNKNOWN), (Reason.MODE_DENIED, Reason.AGENT_UNKNOWN))
"""An unassigned phone sounds like a wrong PIN, an unknown agent like a forbidden one."""


_MOMENTS: Mapping[str, Cue | Reason] = {moment.value: moment for moment in (*Cue, *Reason)}


def _no_value(word: str) -> str:
    why = "no agent is known yet" if word == EXTENSION else f"there is one only in {Cue.CHOOSE_CALL}"
    return f"{word} has no value at this moment: {why}"


def _locks_grow(config: Config) -> Iterator[Problem]:
    if config.pins.max_lock_seconds < config.pins.lock_seconds:
        yield ("pins",), "max_lock_seconds is shorter than lock_seconds, the first lock-out"
    if config.pins.max_lock_seconds_peer < config.pins.lock_seconds_peer:
        yield ("pins",), "max_lock_seconds_peer is shorter than lock_seconds_peer, the first lock-out"


def _ages_are_known(config: Config) -> Iterator[Problem]:
    if config.pins.max_days is not None:
        for name, entry in config.supervisors.items():
            if entry.pin_set is None:
                yield ("supervisors", name), "pin_set is missing, and pins.max_days counts from then on"


def _stop_can_end(config: Config) -> Iterator[Problem]:
    command = config.stop.hangup_command
    if config.stop.spies is StopSpies.END and config.ami is None and not any("{channel}" in part for part in command):
        yield ("stop",), "spies: end needs ami, or a hangup_command with {channel} in it"


def _secret_is_no_default(config: Config) -> Iterator[Problem]:
    if config.ami is not None and (why := weakness(config.ami.username, config.ami.secret)):
        yield ("ami", "secret"), why


def _waits_sound_one_way(config: Config) -> Iterator[Problem]:
    if config.waiting.music is not False and config.waiting.beep is not False:
        yield ("waiting", "beep"), "is in the way of music: choose one of them"


def _notice_can_be_given(config: Config) -> Iterator[Problem]:
    if config.notice is None:
        return
    if config.ami is None:
        yield ("notice",), "needs ami: without it the end of the notice is not known"
    for name in _unknown(config, config.notice.agents):
        yield ("notice", "agents"), f"{name} is neither an agent nor a group of agents"


def _scans_find_somebody(config: Config) -> Iterator[Problem]:
    for number, entry in config.scans.items():
        if config.ami is None:
            yield ("scans", number), "needs ami: without it the calls are not known"
        for name in () if config.store.has_people else _unknown(config, entry.agents):
            yield ("scans", number, "agents"), f"{name} is neither an agent nor a group of agents"


def _unknown(config: Config, names: Iterable[str]) -> list[str]:
    known = {"all", *config.agents, *(group for entry in config.agents.values() for group in entry.groups)}
    return [name for name in names if name not in known]


def _audit_is_kept(config: Config) -> Iterator[Problem]:
    if config.audit.file is None and not config.audit.store:
        yield ("audit",), "is kept nowhere: give it a file, or store: true, or both"


def _address_is_reachable(config: Config) -> Iterator[Problem]:
    if ipaddress.ip_address(config.fastagi.dialplan_address).is_unspecified:
        yield ("fastagi",), "address must say how Asterisk reaches the server, because listen is every address"


_CHECKS: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    _codes_differ,
    _people_are_in_one_place,
    _people_are_right,
    _tenants_differ,
    _reasons_differ,
    _prompts_are_known,
    _locks_grow,
    _ages_are_known,
    _address_is_reachable,
    _stop_can_end,
    _secret_is_no_default,
    _waits_sound_one_way,
    _scans_find_somebody,
    _notice_can_be_given,
    _audit_is_kept,
)
