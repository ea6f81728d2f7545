"""What a site's own code may do in the story of a spy: the hooks, and the one place that calls them.

Three rules. A plug-in can only take away: it is asked after the rules, and they are asked again after it. A plug-in
that raises, takes too long or answers with something else denies, and is named in the log and the audit. A plug-in
sees no PIN, no PIN record and no digit that was keyed in.

``PeopleStore`` is the exception to the first: a person whom it names may be let in. So it counts only where the
configuration says its name.

``AuditWriter`` and ``PeopleStore`` are called in a thread; every other method is a coroutine (or, for ``words``,
returns at once) in the server's own thread, and may not block.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import structlog

from agi_monitor import names
from agi_monitor.audit.facts import AuditLog, PluginFailed
from agi_monitor.errors import CallEnded
from agi_monitor.live.targets import AgentDevices, DeviceChannel, DeviceLookup
from agi_monitor.model import Agent, Cue, Mode, Reason, Refusal
from agi_monitor.supervision.prompts import placeholders

SECONDS = 2.0
"""How long a plug-in may take for one answer."""

MAX_WORDS = 20
"""Sound files that a prompt set may say at once."""

MAX_DEVICES = 50
"""Devices that a resolver may name for one agent."""

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Asked:
    """A spy that the rules allow.

    Parameters:
        call: the same for everything that happens on this call of the supervisor.
        supervisor: the id.
        supervisor_groups: their groups.
        endpoint: their device.
        extension: the agent.
        agent_groups: the agent's groups.
        channel: the agent's channel.
        uniqueid: of that channel.
        mode: the mode of the spy.
        rule: which rule allows it.
        reason: that was given, or empty.
        scan: whether the scan came to the agent.
    """

    call: str
    supervisor: str
    supervisor_groups: frozenset[str]
    endpoint: str
    extension: str
    agent_groups: frozenset[str]
    channel: str
    uniqueid: str
    mode: Mode
    rule: str
    reason: str
    scan: bool


@runtime_checkable
class Authorizer(Protocol):
    """Asked about every spy that the rules allow. Without one the rules alone decide."""

    async def authorize(self, asked: Asked) -> Literal[True] | str:
        """Return True for yes, and why not for no, in a few words for the audit. Anything else denies as well.

        Parameters:
            asked: what the spy would be.
        """
        ...


@runtime_checkable
class TargetResolver(Protocol):
    """Knows the devices of agents. Without one the configuration, the hint and the queue logins say them."""

    async def devices_of_agent(self, extension: str) -> Sequence[str] | None:
        """Return an agent's devices now, such as ``PJSIP/1001``; None for an agent it does not know.

        Parameters:
            extension: the agent's.
        """
        ...


@runtime_checkable
class PromptSet(Protocol):
    """Says things otherwise. Without one, and for None, the configuration and then the default say them.

    It grants nothing, so one that fails is passed over: what is said then is the default.
    """

    def words(self, moment: str, language: str) -> Sequence[str] | None:
        """Return the sound files and placeholders for a cue or a refusal reason; see docs/reference/prompts.md.

        Parameters:
            moment: a cue or a refusal reason.
            language: of the supervisor's channel, such as ``en``.
        """
        ...


@runtime_checkable
class BeforeSpy(Protocol):
    """A step before every grant. Without one there is none."""

    async def before_spy(self, asked: Asked) -> None:
        """Do it. A spy need not follow: the rules are asked once more. Raising denies.

        Parameters:
            asked: what the spy would be.
        """
        ...


@runtime_checkable
class AfterSpy(Protocol):
    """A step after every spy. Without one there is none."""

    async def after_spy(self, asked: Asked, why: str, seconds: float) -> None:
        """Do it. ``why`` it is over is one of the ends in docs/reference/audit.md. Raising is only recorded.

        Parameters:
            asked: what the spy was.
            why: it is over: one of the ends in docs/reference/audit.md.
            seconds: that it lasted.
        """
        ...


@runtime_checkable
class AuditWriter(Protocol):
    """One more place for the audit. Without one there are the store and the file that the configuration says."""

    def write_record(self, record: Mapping[str, object]) -> None:
        """Keep a record. Called in a thread, and may block for a short time; the same record may come twice.

        Raising means that it is not kept: what it gates does not happen.

        Parameters:
            record: as in docs/reference/audit.md, with its signature.
        """
        ...


@runtime_checkable
class PeopleStore(Protocol):
    """Knows who there is, and who may hear whom. Without one the configuration file does, or the database.

    Both methods are called in a thread. While one of them raises, no spy begins.
    """

    def people_version(self) -> str:
        """Return a text that is another one after every change of people. It is asked about once a second."""
        ...

    def load_people(self) -> Mapping[str, object]:
        """Return ``supervisors``, ``agents`` and ``rules``, as the configuration file has them."""
        ...


HOOKS = (Authorizer, TargetResolver, PromptSet, BeforeSpy, AfterSpy, AuditWriter, PeopleStore)


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plug-in.

    Parameters:
        name: what the log and the audit call it.
        parts: has one or more of the hooks.
        version: of its distribution, for people.
    """

    name: str
    parts: object
    version: str = ""

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of the hooks it has."""
        return tuple(hook.__name__ for hook in HOOKS if isinstance(self.parts, hook))


class InTime(Protocol):
    """Awaits something for as long as a plug-in may take."""

    def __call__(self, story: Coroutine[Any, Any, Result], /) -> Awaitable[Result]:
        """Await it.

        Raises:
            CallEnded: the call is over.
            Exception: what the plug-in raised, or that it took too long.
        """
        ...


class _Nonsense(Exception):
    """A plug-in answered with something else than it may."""


class Hooks:
    """All plug-ins of a server.

    Parameters:
        plugins: they are asked in this order.
        in_time: awaits their answers.
        audit: where failures are recorded.
        clock: seconds since 1970.
    """

    def __init__(
        self, plugins: Sequence[Plugin], in_time: InTime, audit: AuditLog, clock: Callable[[], float]
    ) -> None:
        self.plugins = tuple(plugins)
        self._in_time = in_time
        self._audit = audit
        self._clock = clock
        self._people_lost: Refusal | None = None

    @property
    def ask(self) -> bool:
        """Whether any plug-in is asked, or does something, before a spy."""
        return any(isinstance(plugin.parts, Authorizer | BeforeSpy) for plugin in self.plugins)

    @property
    def lost(self) -> Refusal | None:
        """The refusal of every spy while the plug-in that knows people does not answer; None when it does."""
        return self._people_lost

    async def people_lost(self, plugin: Plugin, error: Exception) -> None:
        """Deny every spy until ``people_found``: the plug-in that knows people does not answer."""
        if self._people_lost is None:
            self._people_lost = Refusal(Reason.PLUGIN_FAILED, plugin.name)
            self._people_lost = await self._failed(plugin, PeopleStore, error)

    def people_found(self) -> None:
        """It answers again."""
        self._people_lost = None

    @property
    def resolve(self) -> bool:
        """Whether any plug-in knows the devices of agents."""
        return any(isinstance(plugin.parts, TargetResolver) for plugin in self.plugins)

    async def refusal(self, asked: Asked) -> Refusal | None:
        """Ask every authorizer; the first no counts."""
        for plugin in self.plugins:
            parts = plugin.parts
            if isinstance(parts, Authorizer):
                try:
                    verdict = await self._in_time(parts.authorize(asked))
                    if verdict is not True and not (isinstance(verdict, str) and verdict.strip()):
                        raise _Nonsense(f"{type(verdict).__name__} is neither True nor a text that says why not")
                except CallEnded:
                    raise
                except Exception as error:
                    return await self._failed(plugin, Authorizer, error)
                if verdict is not True:
                    return Refusal(Reason.PLUGIN_DENIED, f"{plugin.name}: {_short(verdict)}")
        return None

    async def before(self, asked: Asked) -> Refusal | None:
        """Take every step before a grant."""
        for plugin in self.plugins:
            parts = plugin.parts
            if isinstance(parts, BeforeSpy):
                try:
                    await self._in_time(parts.before_spy(asked))
                except CallEnded:
                    raise
                except Exception as error:
                    return await self._failed(plugin, BeforeSpy, error)
        return None

    async def after(self, asked: Asked, why: str, seconds: float) -> None:
        """Take every step after a spy."""
        for plugin in self.plugins:
            parts = plugin.parts
            if isinstance(parts, AfterSpy):
                try:
                    await self._in_time(parts.after_spy(asked, why, seconds))
                except CallEnded:
                    raise
                except Exception as error:
                    await self._failed(plugin, AfterSpy, error)

    async def resolved(self, agent: Agent) -> Agent | None:
        """Return the agent with the devices that the first resolver says who knows them; None when one failed."""
        for plugin in self.plugins:
            parts = plugin.parts
            if isinstance(parts, TargetResolver):
                try:
                    found = await self._in_time(parts.devices_of_agent(agent.extension))
                    if found is None:
                        continue
                    return replace(agent, endpoints=_texts(found, names.ENDPOINT, MAX_DEVICES, "a device"))
                except CallEnded:
                    raise
                except Exception as error:
                    await self._failed(plugin, TargetResolver, error)
                    return None
        return agent

    def words(self, moment: Cue | Reason, language: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
        """Return what is said.

        Parameters:
            moment: what has something to say.
            language: the channel's.
            otherwise: what is said when no prompt set knows better.
        """
        for plugin in self.plugins:
            parts = plugin.parts
            if isinstance(parts, PromptSet):
                try:
                    found = parts.words(moment.value, language)
                    if found is not None:
                        words = _texts(found, names.SOUND, MAX_WORDS, "a sound file", placeholders(moment))
                        if len(otherwise) == 1 and len(words) != 1:
                            raise _Nonsense(f"{moment.value} is one sound file, not {len(words)}")
                        return words
                except Exception as error:
                    _log(plugin, PromptSet, error)
        return otherwise

    async def _failed(self, plugin: Plugin, hook: type, error: Exception) -> Refusal:
        said = _log(plugin, hook, error)
        at = datetime.fromtimestamp(self._clock(), UTC)
        await self._audit.append(PluginFailed(at=at, plugin=plugin.name, hook=hook.__name__, error=said))
        return Refusal(Reason.PLUGIN_FAILED, f"{plugin.name}: {said}")


def _log(plugin: Plugin, hook: type, error: Exception) -> str:
    said = _short(f"{type(error).__name__}: {error}")
    log.error("plugin_failed", plugin=plugin.name, hook=hook.__name__, error=said)
    return said


def _short(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:200])


def _texts(
    found: object, form: re.Pattern[str], most: int, what: str, also: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    if isinstance(found, str | bytes) or not isinstance(found, Sequence) or len(found) > most:
        raise _Nonsense(f"{type(found).__name__} is not a list of at most {most} texts")
    for text in found:
        if not isinstance(text, str) or (text not in also and form.fullmatch(text) is None):
            raise _Nonsense(f"{_short(repr(text))} is not {what}")
    return tuple(found)


class ResolvedDevices:
    """``DeviceLookup`` that asks the resolvers first.

    Parameters:
        devices: looks up what they said.
        hooks: the plug-ins.
    """

    def __init__(self, devices: DeviceLookup, hooks: Hooks) -> None:
        self._devices = devices
        self._hooks = hooks

    async def devices_of(self, agent: Agent) -> AgentDevices:
        """Look the agent up. Nothing is known of an agent whose resolver failed."""
        resolved = await self._hooks.resolved(agent)
        return AgentDevices((), (), reachable=False) if resolved is None else await self._devices.devices_of(resolved)

    async def confirmed(self, agent: Agent, channel: DeviceChannel) -> DeviceChannel | None:
        """Ask the PBX what a channel is right now, and the resolvers once more whose it is."""
        resolved = await self._hooks.resolved(agent)
        return None if resolved is None else await self._devices.confirmed(resolved, channel)
