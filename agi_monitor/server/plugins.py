"""Finds the site's plug-ins, and lets one of them keep the audit as well.

Any distribution may have an entry point of this group, also one that came along with another. What runs in the server
is what the configuration names.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar, cast

import structlog

from agi_monitor.errors import AuditInDoubt, AuditUnavailable, ConfigError
from agi_monitor.supervision.hooks import HOOKS, AuditWriter, Plugin

GROUP = "agi_monitor.server.plugins"
"""The entry points that are looked for."""

WRITE_SECONDS = 5.0
"""How long a plug-in may take to store a record."""

Result = TypeVar("Result")

log = structlog.get_logger()


def named(name: str, parts: object, version: str = "") -> Plugin:
    """Return a plug-in with its name.

    Raises:
        ConfigError: it has none of the hooks.
    """
    plugin = Plugin(name, parts, version)
    if isinstance(parts, type) or not plugin.hooks:
        known = ", ".join(hook.__name__ for hook in HOOKS)
        raise ConfigError(f"plug-in {name}: {type(parts).__name__} has none of the hooks: {known}")
    return plugin


@dataclass(frozen=True, slots=True)
class Ignored:
    """An installed plug-in that the configuration does not name. Nothing of it was imported.

    Parameters:
        name: of its entry point.
        distribution: that has it, with its version.
    """

    name: str
    distribution: str


def ignored(names: Collection[str]) -> tuple[Ignored, ...]:
    """Return the installed plug-ins that are not named.

    Parameters:
        names: of entry points.
    """
    found = {
        Ignored(entry.name, "" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}")
        for entry in entry_points(group=GROUP)
        if entry.name not in names
    }
    return tuple(sorted(found, key=lambda one: (one.name, one.distribution)))


def installed(names: Collection[str]) -> tuple[Plugin, ...]:
    """Load the installed plug-ins that are named: what the entry point of each names is called without arguments, and
    returns the hooks.

    Parameters:
        names: of entry points; no other code is imported.

    Raises:
        ConfigError: one is not installed, cannot be loaded, has no hooks, or has the name of another. It may be meant
            to deny: a server does not start without it.
    """
    found: dict[str, Plugin] = {}
    entries = [entry for entry in entry_points(group=GROUP) if entry.name in names]
    for entry in sorted(entries, key=lambda entry: entry.name):
        if entry.name in found:
            raise ConfigError(f"plug-in {entry.name}: two distributions have one of this name; remove one")
        try:
            parts = entry.load()()
        except Exception as error:
            raise ConfigError(
                f"plug-in {entry.name}: {entry.value} cannot be loaded: {type(error).__name__}: {error}; "
                "fix it, or uninstall its distribution"
            ) from error
        found[entry.name] = named(entry.name, parts, entry.dist.version if entry.dist is not None else "")
    for name in sorted(set(names) - found.keys()):
        known = ", ".join(sorted({entry.name for entry in entry_points(group=GROUP)})) or "none"
        raise ConfigError(f"plug-in {name}: no installed distribution has it; installed are: {known}")
    return tuple(found.values())


def together(given: Sequence[Plugin], names: Collection[str]) -> tuple[Plugin, ...]:
    """Return the plug-ins that were passed in, and after them the installed ones that are named.

    Parameters:
        given: passed in by a program that runs the server.
        names: of the configuration; those that are passed in need no name there.

    Raises:
        ConfigError: two have one name, or as ``installed``.
    """
    passed = [plugin.name for plugin in given]
    for name in passed:
        if passed.count(name) > 1 or name in names:
            raise ConfigError(f"plug-in {name}: there are two of this name")
    return (*given, *installed(names))


class StillHangs(Exception):
    """A plug-in has not come back from an earlier call."""


class Patience(Generic[Result]):
    """Calls a plug-in that blocks, and waits for it no longer than that. One that hangs delays no other.

    Parameters:
        plugin: that is called.
        seconds: that one call may take.
    """

    def __init__(self, plugin: Plugin, seconds: float) -> None:
        self._name = plugin.name
        self.seconds = seconds
        self.thread: threading.Thread | None = None
        """The last one that was started."""

    def __call__(self, function: Callable[[], Result]) -> Result:
        """Call it.

        Raises:
            StillHangs: an earlier call has not come back.
            TimeoutError: this one did not, in time.
            Exception: what it raised.
        """
        if self.thread is not None and self.thread.is_alive():
            raise StillHangs
        outcome: SimpleQueue[tuple[Result, None] | tuple[None, Exception]] = SimpleQueue()

        def call() -> None:
            try:
                outcome.put((function(), None))
            except Exception as error:
                outcome.put((None, error))

        self.thread = threading.Thread(target=call, name=f"plug-in {self._name}", daemon=True)
        self.thread.start()
        try:
            result, error = outcome.get(timeout=self.seconds)
        except Empty:
            raise TimeoutError(f"no answer in {self.seconds:g} s") from None
        self.thread.join()
        if error is not None:
            raise error
        return cast(Result, result)


class PluginSink:
    """``storage.audit_sinks.AuditSink`` for a plug-in.

    Parameters:
        plugin: has ``AuditWriter``.
        seconds: that one record may take.
    """

    slow = True

    def __init__(self, plugin: Plugin, seconds: float = WRITE_SECONDS) -> None:
        if not isinstance(plugin.parts, AuditWriter):
            raise TypeError(f"plug-in {plugin.name} keeps no records")
        self.where = f"plug-in {plugin.name}"
        self.patience: Patience[None] = Patience(plugin, seconds)
        self._name = plugin.name
        self._writer = plugin.parts

    def take(self) -> None:
        """Nothing to be taken."""

    def write(self, body: bytes, at: datetime) -> None:
        """Give it the record.

        Raises:
            AuditInDoubt: it did not answer in time.
            AuditUnavailable: it raised, or still has not answered about an earlier one.
        """
        try:
            self.patience(lambda: self._writer.write_record(json.loads(body)))
        except StillHangs:
            raise AuditUnavailable(f"{self.where}: an earlier record still hangs in it") from None
        except TimeoutError as error:
            self._log(str(error))
            # Its own error of this name says the same: it is not known whether the record is kept.
            raise AuditInDoubt(f"{self.where}: {error}") from None
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            self._log(said)
            raise AuditUnavailable(f"{self.where}: {said}") from error

    def checkpoint(self, at: datetime, *, due: bool) -> None:
        """Nothing to be signed."""

    def close(self, at: datetime) -> None:
        """Nothing to be given back."""

    def _log(self, said: str) -> None:
        log.error("plugin_failed", plugin=self._name, hook=AuditWriter.__name__, error=said[:200])


def sinks(plugins: Sequence[Plugin]) -> list[PluginSink]:
    """Return the places for the audit that plug-ins are."""
    return [PluginSink(plugin) for plugin in plugins if isinstance(plugin.parts, AuditWriter)]
