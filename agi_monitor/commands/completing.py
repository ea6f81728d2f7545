"""The people and rules of a site, for a shell that completes a word.

What a shell is given it may run one day: names that are more than letters, digits and the like are left out. Where
the configuration cannot be read, nothing is completed, and nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from agi_monitor.commands.options import DEFAULT_CONFIG
from agi_monitor.errors import AgiMonitorError

if TYPE_CHECKING:
    from agi_monitor.config.people import People

SAFE_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
"""A word that no shell takes for more than a word."""

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
"""What click asks for the values of an argument or option."""


def _supervisors(people: People) -> Mapping[str, str]:
    return {key: entry.name for key, entry in people.supervisors.items()}


def _agents(people: People) -> Mapping[str, str]:
    return {key: entry.name for key, entry in people.agents.items()}


def _everybody(people: People) -> Mapping[str, str]:
    return {**_supervisors(people), **_agents(people)}


def _rules(people: People) -> Mapping[str, str]:
    return {rule.name: "" for rule in people.rules}


def _groups(people: People) -> Mapping[str, str]:
    of_supervisors = [group for entry in people.supervisors.values() for group in entry.groups]
    of_agents = [group for entry in people.agents.values() for group in entry.groups]
    return dict.fromkeys((*of_supervisors, *of_agents), "")


def _completes(words: Callable[[People], Mapping[str, str]]) -> Complete:
    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            people = _people(context.params.get("config_path") or Path(DEFAULT_CONFIG))
        except (AgiMonitorError, OSError):
            return []
        return [
            CompletionItem(word, help=" ".join(said.split()) if said.isprintable() else None)
            for word, said in sorted(words(people).items())
            if word.startswith(incomplete) and SAFE_WORD.fullmatch(word)
        ]

    return complete


def _people(path: Path) -> People:
    """Read the people of a configuration. A key that completes a word changes nothing: no table is made for it."""
    from agi_monitor.config.loading import load

    config = load(path).config
    if not config.store.people:
        return config.people
    from agi_monitor.storage.database import Database, file_url
    from agi_monitor.storage.people_table import PeopleTable

    database = Database(config.store.url or file_url(config.state.directory))
    try:
        if database.is_sqlite and not Path(database.shown).exists():
            return config.people
        return PeopleTable(database).load()
    finally:
        database.close()


supervisors = _completes(_supervisors)
"""Completes the ids of supervisors."""

agents = _completes(_agents)
"""Completes the extensions of agents."""

everybody = _completes(_everybody)
"""Completes the ids of supervisors and the extensions of agents."""

rules = _completes(_rules)
"""Completes the names of rules."""

groups = _completes(_groups)
"""Completes the groups that people are in."""
