"""The people of a site, from its plug-in that knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import ValidationError

from agi_monitor.config import document, yaml
from agi_monitor.config.people import People, problems
from agi_monitor.errors import ConfigError, StateUnavailable
from agi_monitor.server.plugins import Patience, StillHangs
from agi_monitor.supervision.hooks import PeopleStore, Plugin

PEOPLE_SECONDS = 5.0
"""How long a plug-in may take to list people."""


class PluginPeople:
    """The people of a plug-in. Everything blocks: call it in a thread.

    Parameters:
        plugins: all there are.
        name: of the one that knows them.
        seconds: that one answer may take.

    Raises:
        ConfigError: no plug-in has this name, or it does not know people.
    """

    def __init__(self, plugins: Sequence[Plugin], name: str, seconds: float = PEOPLE_SECONDS) -> None:
        plugin = next((plugin for plugin in plugins if plugin.name == name), None)
        if plugin is None:
            known = ", ".join(sorted(plugin.name for plugin in plugins)) or "none"
            raise ConfigError(f"store.plugin: no plug-in is called {name}; there are: {known}")
        if not isinstance(plugin.parts, PeopleStore):
            raise ConfigError(f"store.plugin: {name} has no PeopleStore; its hooks are: {', '.join(plugin.hooks)}")
        self.plugin = plugin
        self._parts = plugin.parts
        self._patience: Patience[object] = Patience(plugin, seconds)

    def last_change(self) -> str:
        """Return what is another text after every change.

        Raises:
            StateUnavailable: it raised, took too long, or returned something else.
        """
        version = self._ask(self._parts.people_version)
        if not isinstance(version, str):
            raise StateUnavailable(f"plug-in {self.plugin.name}: the version is not text: {type(version).__name__}")
        return version

    def load(self) -> People:
        """Return everyone and all rules.

        Raises:
            StateUnavailable: it raised, took too long, or what it returned has mistakes.
        """
        found = self._ask(self._parts.load_people)
        try:
            people = People.model_validate(found)
        except ValidationError as error:
            mistakes = document.found(error)
        else:
            mistakes = list(problems(people))
        if mistakes:
            where, what = mistakes[0]
            raise StateUnavailable(f"plug-in {self.plugin.name}: {yaml.place(where)}: {what}")
        return people

    def read(self) -> tuple[str, People]:
        """Return the version, and everyone as of it or later: a change in between is seen once more.

        Raises:
            StateUnavailable: as the two of them.
        """
        return self.last_change(), self.load()

    def _ask(self, function: Callable[[], object]) -> object:
        try:
            return self._patience(function)
        except StillHangs:
            raise StateUnavailable(f"plug-in {self.plugin.name}: still has not answered") from None
        except Exception as error:
            raise StateUnavailable(f"plug-in {self.plugin.name}: {type(error).__name__}: {error}") from error
