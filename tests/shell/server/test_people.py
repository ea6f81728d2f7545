"""agi_monitor.server.people on a real store: reloads and changes at once, in every order, one after the other."""

from __future__ import annotations

import atexit
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.audit.facts import ConfigReloaded, Fact, LockOutEnded, PeopleChanged
from agi_monitor.config.loading import load
from agi_monitor.config.people import AgentEntry, People
from agi_monitor.errors import ConfigError
from agi_monitor.pins.lock_outs import LockOut
from agi_monitor.server.people import PeopleInForce, Reloaded, Store
from agi_monitor.shown import ReloadRefused
from agi_monitor.storage.database import FILE, Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.node_table import NodeTable, Noted
from agi_monitor.storage.people_table import PeopleTable
from tests.doubles.desk import PIN_HASH

Result = TypeVar("Result")

AT = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)

PEOPLE = f"""\
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", groups: [leads]}}
agents:
  1001: {{endpoints: [PJSIP/1001], name: NAME}}
rules:
  - {{name: one, allow: [listen], supervisors: [leads], agents: [all]}}
"""


class Thread:
    """A thread as the test has it: what it is given waits; one step runs it, the next brings the answer."""

    def __init__(self) -> None:
        self._jobs: deque[tuple[Callable[[], Any], Deferred[Any]]] = deque()
        self._answer: tuple[bool, Any] | None = None

    async def __call__(self, function: Callable[[], Result], /) -> Result:
        """Wait for the steps."""
        waits: Deferred[Result] = Deferred()
        self._jobs.append((function, waits))
        return await waits

    @property
    def busy(self) -> bool:
        """Whether something waits."""
        return bool(self._jobs)

    def step(self) -> None:
        """Run what was given first, or bring its answer."""
        if not self._jobs:
            return
        if self._answer is None:
            try:
                self._answer = True, self._jobs[0][0]()
            except Exception as error:
                self._answer = False, error
            return
        (went_well, answer), self._answer = self._answer, None
        waits = self._jobs.popleft()[1]
        (waits.callback if went_well else waits.errback)(answer)


class Audit:
    """Keeps facts, each after a step of its thread."""

    def __init__(self, thread: Thread) -> None:
        self._thread = thread
        self.facts: list[Fact] = []

    async def append(self, fact: Fact) -> None:
        """Keep a fact."""
        await self._thread(lambda: self.facts.append(fact))


@cache
def _empty() -> Path:
    """A store with nothing in it; making its tables takes longer than most tests."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder)
    database = Database(file_url(folder))
    database.upgrade()
    database.close()
    return folder / FILE


class House:
    """A server's people in a folder, and an administrator at work.

    Parameters:
        folder: for the file and the store.
        in_store: whether people live in the store.
    """

    def __init__(self, folder: Path, *, in_store: bool) -> None:
        self.path = folder / "c.yaml"
        self.in_store = in_store
        self.folder = folder
        self.database = Database(file_url(folder))
        shutil.copy(_empty(), folder)
        self.people = PeopleTable(self.database)
        self.lock_outs = LockOutTable(self.database)
        self.nodes = NodeTable(self.database)
        self.threads = [Thread() for _ in range(3)]
        self.audit = Audit(self.threads[2])
        self.write("first")
        self.started: list[Deferred[Any]] = []
        self.answers: list[Any] = []
        self.names: list[str] = []
        """Of the agent, as they were in force one after the other."""
        config = load(self.path).config
        store = Store(self.people, self.lock_outs, self.nodes, "here")
        self.in_force = PeopleInForce(
            config,
            lambda: load(self.path),
            store,
            None,
            None,
            self.audit,
            AT.timestamp,
            self.threads[0],
            self.threads[1],
            lambda: self.names.append(self.named),
        )
        self.begin(self.in_force.record())
        self.drain()

    @property
    def named(self) -> str:
        """What is in force of the one agent."""
        return self.in_force.policy.agents["1001"].name if self.in_force.policy.agents else ""

    def write(self, name: str, code: str = "*222") -> None:
        """Change the file."""
        about = "store: {people: true}\n" if self.in_store else PEOPLE.replace("NAME", name)
        self.path.write_text(f"{about}state: {{directory: {self.folder}}}\ncodes: {{listen: '{code}'}}\n")

    def change(self, name: str) -> None:
        """Change the store."""
        self.people.change("root", AT, lambda _: People(agents={"1001": AgentEntry(name=name)}))

    def begin(self, story: Coroutine[Any, Any, Any]) -> None:
        """Begin something, as a signal or the clock does."""
        self.started.append(Deferred.fromCoroutine(story).addBoth(self.answers.append))

    def step(self, number: int) -> None:
        """One of the threads does something."""
        self.threads[number].step()

    def slow(self, jobs: Callable[[Callable[[], Any]], bool]) -> Thread:
        """Another thread, for some of the jobs."""
        slow, in_thread = Thread(), self.in_force._in_thread

        async def either(function: Callable[[], Result], /) -> Result:
            return await (slow if jobs(function) else in_thread)(function)

        self.in_force._in_thread = either
        return slow

    def drain(self) -> None:
        """Let everything come to its end."""
        while any(thread.busy for thread in self.threads):
            for thread in self.threads:
                thread.step()

    def facts(self, kind: type[Fact]) -> list[Any]:
        """What is on record of a kind."""
        return [fact for fact in self.audit.facts if isinstance(fact, kind)]


@pytest.fixture
def filed(tmp_path: Path) -> House:
    """People in the file."""
    return House(tmp_path, in_store=False)


@pytest.fixture
def stored(tmp_path: Path) -> House:
    """People in the store."""
    return House(tmp_path, in_store=True)


# ---- one order ---------------------------------------------------------------------------------------------

steps = st.sampled_from(("file", "store", "reload", "look", "unlock", "0", "0", "1", "1", "1", "2", "2"))


@pytest.mark.parametrize("in_store", [True, False], ids=["people-in-the-store", "people-in-the-file"])
@given(st.lists(steps, max_size=60))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_comes_at_once_is_one_after_the_other(in_store: bool, drawn: list[str]) -> None:
    """At the end holds what the file and the store say at the end, and each change is on record once, by name."""
    with TemporaryDirectory() as folder, capture_logs() as logs:
        house = House(Path(folder), in_store=in_store)
        written, code, unlocked = 1, "*222", 0
        for step in drawn:
            written += 1
            if step == "file":
                code = f"#{written}" if in_store else code
                house.write(f"name{written}", code)
            elif step == "store" and in_store:
                house.change(f"name{written}")
            elif step == "reload":
                house.begin(house.in_force.reload())
            elif step == "look":
                house.begin(house.in_force.take_changes())
            elif step == "unlock":
                unlocked += 1
                house.lock_outs.change(["supervisor:anna"], lambda _: {"supervisor:anna": LockOut(3, 1.0, 2.0)})
                house.lock_outs.end(["supervisor:anna"], "root", AT)
            elif step.isdecimal():
                house.step(int(step))
        house.drain()
        for story in (house.in_force.reload(), house.in_force.take_changes()):
            house.begin(story)
        house.drain()

        assert len(house.answers) == len(house.started)
        assert {type(answer) for answer in house.answers} <= {Reloaded, type(None)}
        if in_store:
            assert house.in_force.config.people == house.people.load()
            assert house.in_force.config.codes.listen == code
        else:
            assert house.in_force.config == load(house.path).config
        found = [(fact.entry, (fact.after or {}).get("name"), fact.by) for fact in house.facts(PeopleChanged)]
        made = [
            (one.change.key, (one.change.after or {}).get("name"), one.by) for one in house.people.changes_since(0)
        ]
        if in_store:
            assert found == made
        else:
            # What was written and overwritten before a reload read it, nobody has seen.
            befores = [(fact.before or {}).get("name") for fact in house.facts(PeopleChanged)]
            assert [name for _, name, _ in found] == [*befores[1:], house.named][: len(found)]
            assert len(set(found)) == len(found)
        assert len(house.facts(LockOutEnded)) == unlocked
        assert house.nodes.noted("here") == Noted(house.people.last_change(), house.lock_outs.last_end())
        assert house.in_force.reloads == {"done": len(house.facts(ConfigReloaded)), "refused": 0}
        assert not [line for line in logs if line["event"] == "people_changed_by_another_way"]
        house.database.close()


def test_a_reload_during_a_look_is_not_lost(stored: House) -> None:
    """The look has people and the old configuration at hand, and would put both into force behind the reload."""
    slow = stored.slow(lambda job: "_take_changes" in job.__qualname__)
    stored.change("imported")
    stored.begin(stored.in_force.take_changes())
    stored.drain()
    assert slow.busy
    stored.write("", code="*9")
    stored.begin(stored.in_force.reload())
    stored.drain()
    for _ in range(2):
        slow.step()
    stored.drain()
    assert (stored.in_force.config.codes.listen, stored.named) == ("*9", "imported")


def test_a_change_while_people_are_read_is_on_record_when_it_holds(stored: House) -> None:
    """It was made after they were read: the audit does not know of it before, nor twice."""
    stored.change("one")
    stored.begin(stored.in_force.take_changes())
    while not stored.names:
        for number in range(3):
            stored.step(number)
    stored.change("two")
    stored.drain()
    assert [fact.after["name"] for fact in stored.facts(PeopleChanged)] == ["one"]
    stored.begin(stored.in_force.take_changes())
    stored.drain()
    assert [fact.after["name"] for fact in stored.facts(PeopleChanged)] == ["one", "two"]


def test_a_storm_of_reloads_is_two(filed: House) -> None:
    """One that has begun, and one for all who came since: it reads the file after the last of them."""
    filed.begin(filed.in_force.reload())
    filed.step(1)
    filed.write("last")
    for _ in range(400):
        filed.begin(filed.in_force.reload())
    filed.drain()
    assert filed.answers[1:] == [Reloaded()] * 401
    assert filed.in_force.reloads == {"done": 2, "refused": 0}
    assert filed.named == "last"


def test_what_others_take_away_does_not_wait_for_the_file(stored: House) -> None:
    """Reading it takes seconds, and a disk that does not answer a minute. People are read in another thread then."""
    load_file = stored.in_force._load
    slow = stored.slow(lambda job: job == load_file)
    stored.begin(stored.in_force.reload())
    stored.change("revoked")
    stored.begin(stored.in_force.take_changes())
    stored.drain()
    assert stored.named == "revoked"
    for _ in range(2):
        slow.step()
    stored.drain()
    assert stored.answers[-1] == Reloaded()


# ---- what comes of it --------------------------------------------------------------------------------------


def test_a_reload_names_what_waits_for_a_restart(filed: House) -> None:
    """The rest holds at once."""
    filed.write("second")
    filed.path.write_text(filed.path.read_text() + "metrics: {}\nspies: {key: a-key-of-some-length}\n")
    filed.begin(filed.in_force.reload())
    filed.drain()
    assert filed.answers[-1] == Reloaded(("spies.key", "metrics"))
    assert (filed.named, filed.in_force.config.metrics) == ("second", None)


def test_a_reload_that_is_refused_says_why(filed: House) -> None:
    """Nothing is changed, and those who waited for the same one hear the same."""
    filed.path.write_text("agents: 5\n")
    for _ in range(3):
        filed.begin(filed.in_force.reload())
    filed.drain()
    first, *others = filed.answers[1:]
    assert isinstance(first, ReloadRefused)
    assert first.problems[0].endswith("c.yaml:1: agents: must be a mapping, one key a line")
    assert others == [first, first]
    assert (filed.named, filed.names) == ("first", [])


def test_a_fault_is_told_to_all_who_wait_and_the_next_reload_goes_on(filed: House) -> None:
    """The lock is not kept by what went wrong."""
    good, filed.in_force._load = filed.in_force._load, lambda: 1 / 0  # type: ignore[assignment,return-value]
    for _ in range(3):
        filed.begin(filed.in_force.reload())
    filed.drain()
    assert [answer.type for answer in filed.answers[-3:]] == [ZeroDivisionError] * 3
    filed.in_force._load = good
    filed.begin(filed.in_force.reload())
    filed.drain()
    assert filed.answers[-1] == Reloaded()


def test_where_people_are_waits_for_a_restart(filed: House) -> None:
    """Who is known of the old place stays in force, no matter who is in the new one."""
    filed.change("of the store")
    filed.path.write_text(f"store: {{people: true}}\nstate: {{directory: {filed.folder}}}\ncodes: {{listen: '*9'}}\n")
    filed.begin(filed.in_force.reload())
    filed.drain()
    assert filed.answers[-1] == Reloaded(("store",))
    assert (filed.named, filed.in_force.config.codes.listen) == ("first", "*9")


def test_what_could_not_be_noted_is_on_record_once(stored: House) -> None:
    """The store is lost between reading what was made and noting it, and comes back."""
    stored.change("one")
    stored.begin(stored.in_force.take_changes())
    while not stored.facts(PeopleChanged):
        for number in range(3):
            stored.step(number)
    path = stored.folder / "agi-monitor.db"
    with capture_logs() as logs:
        path.rename(path.with_suffix(".away"))
        stored.drain()
        stored.begin(stored.in_force.take_changes())
        stored.drain()
    assert [line["event"] for line in logs] == ["store_unreadable"]
    path.with_suffix(".away").rename(path)
    for _ in range(2):
        stored.begin(stored.in_force.take_changes())
        stored.drain()
    assert [fact.after["name"] for fact in stored.facts(PeopleChanged)] == ["one"]
    assert stored.nodes.noted("here").people_change == 1


def test_what_could_not_be_read_is_on_record_without_another_change(stored: House) -> None:
    """The change holds, and the store was lost before it could say who made it."""
    stored.change("one")
    stored.begin(stored.in_force.take_changes())
    while not stored.names:
        for number in range(3):
            stored.step(number)
    path = stored.folder / "agi-monitor.db"
    path.rename(path.with_suffix(".away"))
    stored.drain()
    path.with_suffix(".away").rename(path)
    assert stored.facts(PeopleChanged) == []
    stored.begin(stored.in_force.take_changes())
    stored.drain()
    assert [(fact.after["name"], fact.by) for fact in stored.facts(PeopleChanged)] == [("one", "root")]


def test_who_writes_into_the_tables_has_no_name(stored: House) -> None:
    """It is on record all the same, once."""
    stored.change("one")
    stored.begin(stored.in_force.take_changes())
    stored.drain()
    with closing(sqlite3.connect(stored.folder / "agi-monitor.db")) as connection, connection:
        connection.execute("UPDATE agent SET name = 'Eve'")
    for _ in range(2):
        stored.begin(stored.in_force.reload())
        stored.drain()
    assert [(fact.after["name"], fact.by) for fact in stored.facts(PeopleChanged)] == [("one", "root"), ("Eve", "")]


def test_nothing_changes_after_the_end(filed: House) -> None:
    """What is under way is over when the server writes its last record, and nothing begins."""
    filed.begin(filed.in_force.reload())
    filed.begin(filed.in_force.reload())
    filed.begin(filed.in_force.close())
    assert len(filed.answers) == 1
    filed.drain()
    filed.write("late")
    filed.begin(filed.in_force.reload())
    filed.begin(filed.in_force.take_changes())
    filed.drain()
    refused = ReloadRefused(("the server is about to stop",))
    assert [filed.answers.count(one) for one in (Reloaded(), refused)] == [1, 2]
    assert len(filed.answers) == len(filed.started)
    assert filed.named == "first"


def test_a_configuration_that_cannot_be_used_is_no_beginning(tmp_path: Path) -> None:
    """The error is the file's."""
    (tmp_path / "c.yaml").write_text("agents: 5\n")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load(tmp_path / "c.yaml")
