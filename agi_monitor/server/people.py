"""The configuration and the people that hold now, and the one place where they are exchanged.

A reload and the look for what others have changed both read, wait, exchange and record. One lock orders them: what
was read first is in force first, and each change is on record once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from twisted.internet.defer import Deferred, DeferredLock

from agi_monitor.audit.facts import AuditLog, ConfigReloaded, LockOutEnded, PeopleChanged
from agi_monitor.config import restart, translation
from agi_monitor.config.loading import Loaded
from agi_monitor.config.people import Change, People, differences
from agi_monitor.config.sections import AFTER_RESTART, Config
from agi_monitor.errors import ConfigError, StateUnavailable
from agi_monitor.pins.guard import InThread
from agi_monitor.pins.lock_outs import kind_of, name_of
from agi_monitor.server.people_plugin import PluginPeople
from agi_monitor.shown import ReloadRefused
from agi_monitor.storage.lock_out_table import Ended, LockOutTable
from agi_monitor.storage.node_table import NodeTable, Noted
from agi_monitor.storage.people_table import PeopleTable
from agi_monitor.supervision.hooks import Hooks
from agi_monitor.supervision.policy import Policy

Result = TypeVar("Result")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The file holds.

    Parameters:
        sections_waiting: the sections that were changed and hold after a restart.
    """

    sections_waiting: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """What the database keeps of people, and of who changed what.

    Parameters:
        people: the people of the store, and their changes.
        lock_outs: who was let try a PIN again.
        nodes: what is on record here.
        node: how this server is called there.
    """

    people: PeopleTable
    lock_outs: LockOutTable
    nodes: NodeTable
    node: str


class PeopleInForce:
    """Who there is, and what holds.

    Parameters:
        config: as it was read at the start, without the people of a store or a plug-in. They are read now.
        load: reads the configuration again. It blocks.
        store: the database.
        plugin: who knows people, where a plug-in does.
        hooks: is told how the plug-in does; None where there is no plug-in at all.
        audit: where changes are put on record.
        clock: seconds since 1970.
        in_store: the thread of the database, where nothing takes long.
        in_thread: two threads for what takes seconds: reading the file, and reading people.
        changed: called whenever something else holds; ends what is no longer allowed.

    Raises:
        ConfigError: the configuration cannot be used.
        StateUnavailable: the people cannot be read.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Loaded],
        store: Store,
        plugin: PluginPeople | None,
        hooks: Hooks | None,
        audit: AuditLog,
        clock: Callable[[], float],
        in_store: InThread,
        in_thread: InThread,
        changed: Callable[[], None],
    ) -> None:
        self._load = load
        self._store = store
        self._plugin = plugin
        self._hooks = hooks
        self._audit = audit
        self._clock = clock
        self._in_store = in_store
        self._in_thread = in_thread
        self._changed = changed
        self._lock = DeferredLock()
        """Held while what is in force changes, from reading people until the change is on record."""
        self._turn = DeferredLock()
        """Held by the reload that reads the file: what was read first is taken first."""
        self._waiting: list[Deferred[Reloaded | ReloadRefused]] | None = None
        """Who asked for a reload while another one waits for its turn: that one is theirs, too."""
        self._closed = False
        self._store_lost = False
        self._seen: int | str = 0
        """The last change of people, in the store or the plug-in, that holds here."""
        if config.store.has_people:
            self._seen, people = self._source().read()
            config = config.with_people(people)
        self.config = config
        self.policy = translation.policy(config)
        self._on_record = config.people
        """Those whose changes are in the audit."""
        self._unrecorded = True
        """Whether something may have happened that is not in the audit."""
        self._noted = Noted(0, 0)
        """What is in the audit of this process, whatever the store could be told of it."""
        self.reloads = {"done": 0, "refused": 0}
        """How many reloads came to what."""

    # ---- reload ----------------------------------------------------------------------------------------

    async def reload(self) -> Reloaded | ReloadRefused:
        """Read the configuration again. A file with a mistake changes nothing, and the log says what is wrong.

        What is asked for while a reload waits for its turn is answered by that one: it has read nothing yet.
        """
        if self._waiting is not None:
            joined: Deferred[Reloaded | ReloadRefused] = Deferred()
            self._waiting.append(joined)
            return await joined
        self._waiting = []
        await self._turn.acquire()
        joining, self._waiting = self._waiting, None
        try:
            done = await self._reload()
        except BaseException as error:
            for one in joining:
                one.errback(error)
            raise
        finally:
            self._turn.release()
        for one in joining:
            one.callback(done)
        return done

    async def _reload(self) -> Reloaded | ReloadRefused:
        if self._closed:
            return ReloadRefused(("the server is about to stop",))
        try:
            # Not under the lock: it takes seconds, and what others take away in the store must not wait for it.
            loaded = await self._in_thread(self._load)
            async with self._lock:
                return await self._take(loaded)
        except ConfigError as error:
            return self._refused(error.problems)
        except StateUnavailable as error:
            return self._refused((str(error),))

    async def _take(self, loaded: Loaded) -> Reloaded:
        config, seen = loaded.config, self._seen
        if self.config.store.has_people:
            seen, people = await self._read()
            config = config.with_people(people)
        elif config.store.has_people:
            # Who people are is not known of the other place before a restart.
            config = config.with_people(self.config.people)
        config, waiting = restart.taken(self.config, config, AFTER_RESTART)
        policy = await self._in_thread(lambda: translation.policy(config))
        if waiting:
            log.warning("reload_needs_restart", sections=list(waiting))
        self._put_in_force(config, policy, seen)
        self._found()
        await self._audit.append(ConfigReloaded(at=self._now(), digest=loaded.digest))
        await self._record()
        self.reloads["done"] += 1
        log.info("reloaded", supervisors=len(self.config.supervisors), agents=len(self.config.agents))
        return Reloaded(waiting)

    def _refused(self, problems: tuple[str, ...]) -> ReloadRefused:
        self.reloads["refused"] += 1
        log.error("reload_refused", problems=problems)
        return ReloadRefused(problems)

    def _put_in_force(self, config: Config, policy: Policy, seen: int | str) -> None:
        self.config, self.policy, self._seen = config, policy, seen
        self._unrecorded = True
        self._changed()

    # ---- what others change ----------------------------------------------------------------------------

    def _source(self) -> PluginPeople | PeopleTable:
        return self._plugin or self._store.people

    async def _read(self) -> tuple[int | str, People]:
        return await self._ask(lambda: self._source().read())

    async def _ask(self, look: Callable[[], Result]) -> Result:
        """Look where people are. While a plug-in that knows them does not answer, no supervisor is let in."""
        try:
            return await self._in_thread(look)
        except StateUnavailable as error:
            if self._plugin is not None and self._hooks is not None:
                await self._hooks.people_lost(self._plugin.plugin, error)
            raise

    def _found(self) -> None:
        """What holds is what the plug-in says: it answers, and has been understood."""
        if self._plugin is not None and self._hooks is not None:
            self._hooks.people_found()

    async def take_changes(self) -> None:
        """Let changes of people hold here, end what they no longer allow, and record who made them."""
        async with self._lock:
            if not self._closed:
                await self._take_changes()

    async def _take_changes(self) -> None:
        seen, people = self._seen, None
        try:
            last_end = await self._in_store(self._store.lock_outs.last_end)
            if self.config.store.has_people:
                seen = await self._ask(self._source().last_change)
                if seen != self._seen:
                    seen, people = await self._read()
        except StateUnavailable as error:
            # Those who are known stay in force; without the store no PIN is accepted anyway.
            self._lost(error)
            return
        self._store_lost = False
        self._found()
        if people is not None:
            config = self.config.with_people(people)
            self._put_in_force(config, await self._in_thread(lambda: translation.policy(config)), seen)
            log.info("people_changed", supervisors=len(people.supervisors), agents=len(people.agents))
        if self._unrecorded or last_end != self._noted.lock_out_end:
            await self._record()

    def _lost(self, error: StateUnavailable) -> None:
        if not self._store_lost:
            log.error("store_unreadable", error=str(error))
        self._store_lost = True

    # ---- on record -------------------------------------------------------------------------------------

    async def record(self) -> None:
        """Put on record what happened while no server ran."""
        async with self._lock:
            await self._record()

    async def _record(self) -> None:
        """Put into the audit what changed of people, which lock-outs were ended, and who did it."""
        people, store = self.config.people, self._store
        before, in_store = self._on_record, self.config.store.people
        changes = await self._in_thread(lambda: differences(before, people))
        if not in_store:
            by = "file" if self._plugin is None else f"plug-in {self._plugin.plugin.name}"
            for change in changes:
                await self._audit.append(self._people_changed(change, by))
            self._on_record = people
        try:
            noted = await self._in_store(lambda: store.nodes.noted(store.node))
            after = Noted(*map(max, noted, self._noted))
            made = await self._in_store(lambda: store.people.changes_since(after.people_change)) if in_store else ()
            ended = await self._in_store(lambda: store.lock_outs.ends_since(after.lock_out_end))
            # Not what was made since people were read: it does not hold yet, and is on record when it does.
            made = tuple(one for one in made if isinstance(self._seen, int) and one.number <= self._seen)
            for one in made:
                await self._audit.append(self._people_changed(one.change, one.by))
            for end in ended:
                fact = self._lock_out_ended(end)
                await self._audit.append(fact)
                log.info("lock_out_ended", kind=fact.kind, who=fact.who, by=fact.by, wrong_pins=fact.wrong_pins)
            said = {(one.change.kind, one.change.key) for one in made}
            for change in changes if in_store else ():
                if (change.kind, change.key) not in said:
                    log.warning("people_changed_by_another_way", kind=change.kind, entry=change.key)
                    await self._audit.append(self._people_changed(change, ""))
            self._on_record = people
            self._noted = Noted(
                made[-1].number if made else after.people_change, ended[-1].number if ended else after.lock_out_end
            )
            if self._noted != noted:
                await self._in_store(lambda: store.nodes.note(store.node, self._noted))
        except StateUnavailable as error:
            # They have rows of their own, and are recorded when the store is there again, or at the next start.
            self._unrecorded = True
            self._lost(error)
            return
        self._unrecorded = False

    def _lock_out_ended(self, end: Ended) -> LockOutEnded:
        return LockOutEnded(
            at=self._now(), kind=kind_of(end.who), who=name_of(end.who), by=end.by, wrong_pins=end.failures
        )

    def _people_changed(self, change: Change, by: str) -> PeopleChanged:
        return PeopleChanged(
            at=self._now(), kind=change.kind, entry=change.key, by=by, before=change.before, after=change.after
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    # ---- stop ------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Change nothing from now on, and return when what is under way is over."""
        self._closed = True
        async with self._turn, self._lock:
            pass
