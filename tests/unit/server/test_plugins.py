"""agi_monitor.server.plugins: plug-ins are found, named and refused; one of them may keep the audit as well."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from agi_monitor.config.loading import parse
from agi_monitor.config.sample import SAMPLE
from agi_monitor.config.sections import Config
from agi_monitor.errors import AuditInDoubt, AuditUnavailable, CallEnded, ConfigError, StateUnavailable
from agi_monitor.server.people_plugin import PluginPeople
from agi_monitor.server.plugin_waits import InTime
from agi_monitor.server.plugins import Ignored, PluginSink, ignored, installed, named, sinks, together
from agi_monitor.supervision.hooks import SECONDS, Asked
from tests.doubles.desk import PIN, PIN_HASH, Desk

CHECKOUT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 11, 25, tzinfo=UTC)


class Quiet:
    """An ``Authorizer``."""

    async def authorize(self, asked: Asked) -> str:
        """Say no."""
        return "no"


def distribution(folder: Path, name: str, target: str) -> None:
    """What an installed distribution leaves in a folder of ``sys.path``."""
    info = folder / f"{name}-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text(f"[agi_monitor.server.plugins]\nquiet = {target}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python finds distributions in."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_an_installed_plug_in_is_found(site: Path) -> None:
    """With its name, its version and its hooks."""
    distribution(site, "quiet_one", "tests.unit.server.test_plugins:Quiet")
    (plugin,) = installed({"quiet"})
    assert (plugin.name, plugin.version, plugin.hooks) == ("quiet", "2.5", ("Authorizer",))


@pytest.mark.parametrize(
    "target", ["no.such.module:X", "tests.unit.server.test_plugins:NoSuch", "builtins:int", "os:path"]
)
def test_one_that_cannot_be_used_is_said(site: Path, target: str) -> None:
    """A plug-in that is meant to deny is never left out in silence."""
    distribution(site, "quiet_one", target)
    with pytest.raises(ConfigError, match="plug-in quiet: "):
        installed({"quiet"})


def test_one_that_is_not_named_is_never_imported(site: Path) -> None:
    """Whatever came along with another distribution: its code does not run, and it is shown."""
    (site / "came_along.py").write_text("raise SystemExit('it ran')\n")
    distribution(site, "came_along", "came_along:Anything")
    assert installed(()) == together([], ()) == ()
    assert ignored(()) == (Ignored("quiet", "came_along 2.5"),)
    assert ignored({"quiet"}) == ()
    assert "came_along" not in sys.modules


def test_one_that_is_named_and_not_installed_is_said(site: Path) -> None:
    """It may be meant to deny: the server does not start without it."""
    distribution(site, "quiet_one", "tests.unit.server.test_plugins:Quiet")
    with pytest.raises(ConfigError, match="plug-in quite: no installed distribution has it; installed are: quiet"):
        installed({"quite", "quiet"})


def test_who_is_named_by_the_store_may_run() -> None:
    """The plug-in that knows people need not be named twice."""
    config = load_config("store: {plugin: people_from_file}\nplugins: [quiet]\n")
    assert config.named_plugins == {"quiet", "people_from_file"}
    assert load_config("store: {plugin: people_from_file}\n").named_plugins == {"people_from_file"}
    assert load_config("store: {people: true}\n").named_plugins == frozenset()


def load_config(text: str) -> Config:
    """A configuration, its people elsewhere."""
    return parse(text.encode(), "c.yaml")


def test_two_of_one_name_are_refused(site: Path) -> None:
    """The log and the audit could not tell them apart."""
    for name in ("quiet_one", "quiet_two"):
        distribution(site, name, "tests.unit.server.test_plugins:Quiet")
    with pytest.raises(ConfigError, match="two distributions"):
        installed({"quiet"})


def test_those_that_are_passed_in_come_first(site: Path) -> None:
    """And may not have the name of an installed one."""
    distribution(site, "quiet_one", "tests.unit.server.test_plugins:Quiet")
    assert [plugin.name for plugin in together([named("mine", Quiet())], {"quiet"})] == ["mine", "quiet"]
    with pytest.raises(ConfigError, match="two of this name"):
        together([named("quiet", Quiet())], {"quiet"})


@pytest.mark.parametrize("parts", [object(), Quiet])
def test_something_without_hooks_is_no_plug_in(parts: object) -> None:
    """A class is not its object."""
    with pytest.raises(ConfigError, match="none of the hooks: Authorizer, "):
        named("nothing", parts)


class Keeps:
    """An ``AuditWriter``."""

    def __init__(self) -> None:
        self.records: list[Mapping[str, object]] = []
        self.fails = False
        self.go_on: threading.Event | None = None

    def write_record(self, record: Mapping[str, object]) -> None:
        """Keep it, fail, or wait."""
        if self.fails:
            raise OSError("no route")
        if self.go_on is not None:
            self.go_on.wait(30)
        self.records.append(record)


def test_a_plug_in_keeps_records() -> None:
    """Each as it is in the audit."""
    keeps = Keeps()
    (sink,) = sinks([named("keeps", keeps), named("other", Quiet())])
    sink.write(b'{"fact":"spy_started","grant":1}', NOW)
    assert keeps.records == [{"fact": "spy_started", "grant": 1}]
    assert sink.where == "plug-in keeps"


def test_a_record_that_it_does_not_keep_is_not_there() -> None:
    """So what it gates does not happen; the log names the plug-in."""
    keeps = Keeps()
    keeps.fails = True
    with capture_logs() as logs, pytest.raises(AuditUnavailable, match="plug-in keeps: OSError: no route"):
        PluginSink(named("keeps", keeps)).write(b"{}", NOW)
    assert [(one["plugin"], one["hook"]) for one in logs] == [("keeps", "AuditWriter")]


def test_one_that_hangs_is_waited_for_once() -> None:
    """It is not known whether that record is kept, and the next ones are refused at once until it comes back."""
    keeps = Keeps()
    keeps.go_on = threading.Event()
    sink = PluginSink(named("keeps", keeps), seconds=0.01)
    with pytest.raises(AuditInDoubt, match="no answer in 0"):
        sink.write(b"{}", NOW)
    hanging = sink.patience.thread
    assert hanging is not None
    with pytest.raises(AuditUnavailable, match="still hangs"):
        sink.write(b"{}", NOW)
    keeps.go_on.set()
    hanging.join()
    sink.patience.seconds = 30.0
    sink.write(b"{}", NOW)
    assert len(keeps.records) == 2


ANNA = {"endpoints": ["PJSIP/2001"], "pin": PIN_HASH, "groups": ["leads"]}
PEOPLE: Mapping[str, object] = {
    "supervisors": {"anna": ANNA},
    "agents": {"1001": {"endpoints": ["PJSIP/1001"]}},
    "rules": [{"name": "one", "allow": ["listen"], "supervisors": ["leads"], "agents": ["all"]}],
}


class Knows:
    """A ``PeopleStore``."""

    def __init__(self, people: object = PEOPLE, version: object = "1") -> None:
        self.people = people
        self.version = version

    def people_version(self) -> object:
        """Say it, or raise it."""
        return self._say(self.version)

    def load_people(self) -> object:
        """Say them, or raise."""
        return self._say(self.people)

    def _say(self, what: object) -> object:
        if isinstance(what, Exception):
            raise what
        return what


def test_a_plug_in_knows_people() -> None:
    """As the configuration file would have them."""
    people = PluginPeople([named("other", Quiet()), named("knows", Knows())], "knows")
    assert people.last_change() == "1"
    loaded = people.load()
    assert (list(loaded.supervisors), list(loaded.agents), loaded.rules[0].name) == (["anna"], ["1001"], "one")


@pytest.mark.parametrize(
    ("people", "said"),
    [
        (OSError("no route"), "plug-in knows: OSError: no route"),
        (None, "plug-in knows: "),
        ({"supervisors": {"anna": {"endpoints": []}}}, "plug-in knows: supervisors.anna"),
        ({"agents": {"1001": {"endpoint": ["PJSIP/1001"]}}}, "plug-in knows: agents.1001.endpoint"),
        (
            {**PEOPLE, "supervisors": {"anna": ANNA, "ben": ANNA}},
            "plug-in knows: supervisors.ben.endpoints.*already",
        ),
    ],
)
def test_people_with_mistakes_are_refused(people: object, said: str) -> None:
    """The place is named; no PIN record is."""
    with pytest.raises(StateUnavailable, match=said) as caught:
        PluginPeople([named("knows", Knows(people))], "knows").load()
    assert PIN_HASH not in str(caught.value)


def test_a_version_is_a_text() -> None:
    """Anything else might never be equal to itself."""
    with pytest.raises(StateUnavailable, match="the version is not text: float"):
        PluginPeople([named("knows", Knows(version=float("nan")))], "knows").last_change()


def test_a_plug_in_that_hangs_is_not_asked_again() -> None:
    """Until it comes back."""
    go_on = threading.Event()

    class Hangs(Knows):
        def people_version(self) -> str:
            go_on.wait(30)
            return "2"

    people = PluginPeople([named("knows", Hangs())], "knows", seconds=0.01)
    with pytest.raises(StateUnavailable, match=r"TimeoutError: no answer in 0\.01 s"):
        people.last_change()
    with pytest.raises(StateUnavailable, match="still has not answered"):
        people.load()
    thread = people._patience.thread
    assert thread is not None
    go_on.set()
    thread.join()
    people._patience.seconds = 30.0
    assert people.last_change() == "2"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("knows", "no plug-in is called knows; there are: quiet"),
        ("quiet", "no PeopleStore; its hooks are: Authorizer"),
    ],
)
def test_the_configuration_names_one_that_knows_people(name: str, said: str) -> None:
    """A plug-in that only happens to be installed grants nothing."""
    with pytest.raises(ConfigError, match=said):
        PluginPeople([named("quiet", Quiet())], name)


async def waits(deferred: Deferred[str]) -> str:
    """A plug-in that takes its time."""
    return await deferred


def test_an_answer_in_time_is_the_answer() -> None:
    """However long it took."""
    clock, deferred, seen = Clock(), Deferred[str](), list[object]()
    Deferred.fromCoroutine(InTime(clock)(waits(deferred))).addBoth(seen.append)
    clock.advance(SECONDS / 2)
    deferred.callback("yes")
    assert seen == ["yes"]
    assert not clock.getDelayedCalls()


def test_an_answer_that_does_not_come_is_a_failure() -> None:
    """After this number of seconds."""
    clock, seen = Clock(), list[str]()
    answer = Deferred.fromCoroutine(InTime(clock)(waits(Deferred())))
    answer.addErrback(lambda failure: seen.append(failure.getErrorMessage()))
    clock.advance(SECONDS)
    assert seen == ["no answer in 2 s"]


def test_a_call_that_ends_meanwhile_is_no_fault_of_the_plug_in() -> None:
    """The story ends as in any other wait."""
    clock, seen = Clock(), list[object]()
    answer = Deferred.fromCoroutine(InTime(clock)(waits(Deferred())))
    answer.addErrback(lambda failure: seen.append(failure.type))
    answer.cancel()
    assert seen == [CallEnded]


def test_the_sample_as_a_real_distribution(tmp_path: Path) -> None:
    """Built and installed as its readers will; check-config names it, with its version and its hooks."""
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(CHECKOUT / "contrib" / "examples" / "quiet_agents", source)
    build = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, cwd=tmp_path, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    options = ("--no-index", "--no-deps", "--quiet", "--target", str(site))
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True, cwd=tmp_path)
    config = tmp_path / "agi-monitor.yaml"
    text = SAMPLE.replace("REPLACE-ME", PIN_HASH)
    for folder in ("/var/log/agi-monitor", "/var/lib/agi-monitor"):
        text = text.replace(folder, str(tmp_path))
    config.write_text(f"{text}plugins: [quiet_agents]\n")
    done = subprocess.run(
        [sys.executable, "-m", "agi_monitor", "check-config", "-c", str(config)],
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{CHECKOUT}"},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines()[-1] == "plug-in quiet_agents 1.2.0: Authorizer, AfterSpy"


def test_the_sample_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent in its file is not heard; without the file no agent is heard at all."""
    monkeypatch.syspath_prepend(CHECKOUT / "contrib" / "examples" / "quiet_agents")
    quiet = tmp_path / "quiet"
    monkeypatch.setenv("QUIET_AGENTS", str(quiet))
    sample = importlib.import_module("quiet_agents")
    facts = {}
    for text in ("1002", "1001 1002", None):
        quiet.unlink(missing_ok=True)
        if text is not None:
            quiet.write_text(text)
        folder = tmp_path / str(text)
        folder.mkdir()
        desk = Desk(folder)
        desk.plugins = (named("quiet_agents", sample.QuietAgents()),)
        desk.run(f"{PIN}#*")
        facts[text] = [one["fact"] if one["fact"] != "refused" else one["reason"] for one in desk.records[:2]]
    assert facts == {
        "1002": ["spy_started", "spy_ended"],
        "1001 1002": ["plugin_denied", "extension_missing"],
        None: ["plugin_failed", "plugin_failed"],
    }
    assert quiet.with_suffix(".heard").read_text() == "1001 0 supervisor_left\n"
