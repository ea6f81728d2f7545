"""Fixtures that several folders of tests share.

`lab` is a real Asterisk with real phones; a test that asks for it runs once on each version. What is ours alone, and
the same on every Asterisk, has the mark `either_version`: each of its cases runs on one version, and the cases take
turns. Options:

    pytest --asterisk 22        only that version
    pytest --keep-lab           keep the folders with logs and packets below .cache/lab
    pytest --evidence FOLDER    keep what failed tests leave there instead of in .cache/failures
    pytest --in-memory          keep the files of the tests in memory, where there is room, until the run ends

Every test that Hypothesis draws values for has the mark `fuzz`. Its values are the same in every run, but for

    HYPOTHESIS_PROFILE=fuzz pytest                               other values each time, and many more
    HYPOTHESIS_PROFILE=fuzz pytest -m fuzz --fuzz-seconds 600    these alone, again and again, for this time

`make fuzz` is the latter.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import shutil
import signal
import tempfile
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from contrib.lab.errors import LabError
from contrib.lab.memory import folder_in_memory
from contrib.lab.scenarios import EVIDENCE, evidence_name

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

VERSIONS = ("16", "22")
SLOWEST = 15
"""Tests that are named at the end of a run that takes long."""
LONG_SECONDS = 120.0
FAILED = pytest.StashKey[bool]()
LOG_MARK = pytest.StashKey[int]()
"""Where the PBX's log stood when a test began."""
FUZZ_SECONDS = pytest.StashKey[float]()
"""How long each of the random tests runs."""

# A slow machine is not a fault of the code: nothing here depends on how long an example takes. And what holds for a
# commit holds for it tomorrow: new values are looked for by `make fuzz`, not in the tests of an innocent change.
settings.register_profile(
    "quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None
)
settings.register_profile(
    "fuzz", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300, print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("laboratory")
    group.addoption("--asterisk", choices=VERSIONS, help="run the tests that need a PBX on this version only")
    group.addoption("--keep-lab", action="store_true", help="keep the laboratory's folders")
    group.addoption("--evidence", default=str(EVIDENCE), help="where failed tests leave what they had")
    parser.addoption("--in-memory", action="store_true", help="keep the files of the tests in memory")
    parser.addoption("--fuzz-seconds", type=float, default=0.0, help="go on with the random tests for so long")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--in-memory") and not hasattr(config, "workerinput"):
        keep_files_in_memory(config)
    # The programs that tests start inherit what is ignored here, as under nohup or behind an "&" of a script.
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def keep_files_in_memory(config: pytest.Config) -> None:
    """Have a folder in memory for this run, its workers and what they start: no test is about a power cut."""
    memory = folder_in_memory(like_a_disk=True)
    if memory is None:
        return
    folder = Path(tempfile.mkdtemp(prefix="am-", dir=memory))
    # As in /tmp, other users may come by.
    folder.chmod(0o755)
    # Later than that of multiprocessing, which has a folder in it.
    Finalize(None, shutil.rmtree, (folder,), {"ignore_errors": True}, exitpriority=-1000)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    # Short: a socket's path may have 107 characters.
    config.option.basetemp = folder / "t"


@pytest.fixture(scope="session", autouse=True)
def _books_of_installs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the tests install is remembered with the tests, not on this machine."""
    os.environ["AGI_MONITOR_BOOKS"] = str(tmp_path_factory.mktemp("books"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--asterisk") is None:
        others = [item for item in items if is_of_other_version(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    random = [item for item in items if is_random(item)]
    for item in random:
        item.add_marker("fuzz")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    config.stash[FUZZ_SECONDS] = config.getoption("--fuzz-seconds") * workers / max(1, len(random))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    # It stays to the end. Python would look through all of it for garbage at each full collection, and every process
    # that a test forks would copy it by that.
    gc.collect()
    gc.freeze()


def is_of_other_version(item: pytest.Item) -> bool:
    """Whether this case, which needs to run on one version alone, is not for the version that it is made for."""
    if item.get_closest_marker("either_version") is None:
        return False
    version = re.search(r"\basterisk(\d+)", item.name)
    if version is None:
        return False
    case = item.nodeid.replace(version[0], "")
    return VERSIONS[zlib.crc32(case.encode()) % len(VERSIONS)] != version[1]


def is_random(item: pytest.Item) -> bool:
    """Whether Hypothesis draws the values of a test: one with `@given`, or a state machine."""
    test = getattr(item, "obj", None)
    return is_hypothesis_test(test) or is_hypothesis_test(getattr(test, "__func__", None))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    deadline = time.monotonic() + item.config.stash[FUZZ_SECONDS]
    yield
    while item.get_closest_marker("fuzz") is not None and time.monotonic() < deadline:
        item.runtest()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "asterisk_version" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--asterisk")
        # All cases of one test go to one worker, one after the other. Each worker keeps its own laboratories.
        name = f"{metafunc.module.__name__}.{metafunc.function.__name__}"
        versions = [
            pytest.param(version, id=f"asterisk{version}", marks=pytest.mark.xdist_group(f"asterisk{version}-{name}"))
            for version in (VERSIONS if chosen is None else (chosen,))
        ]
        metafunc.parametrize("asterisk_version", versions, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what a failed scenario had: its failure, Asterisk's log, SIP messages, packets, recordings, server logs.

    If a test fails and then also fails to end, the first failure counts.
    """
    report = yield
    if report.failed and not has_failed(item):
        item.stash[FAILED] = True
        if LOG_MARK not in item.stash:
            return report
        folder = Path(item.config.getoption("--evidence"), evidence_name(item.nodeid))
        try:
            keep_evidence(item, folder, report)
        except (OSError, LabError) as error:
            _add(report, f"could not be kept: {error!r}")
        else:
            _add(report, str(folder))
    return report


def has_failed(item: pytest.Item) -> bool:
    """Whether a test has failed already."""
    return item.stash.get(FAILED, False)


@runtime_checkable
class HasEvidence(Protocol):
    """A fixture with something for a post-mortem."""

    def save_evidence(self, folder: Path) -> object:
        """Write it into a folder."""


def keep_evidence(item: pytest.Item, folder: Path, report: pytest.TestReport) -> None:
    """Write into a folder what is there for a post-mortem."""
    arguments: dict[str, object] = getattr(item, "funcargs", {})
    lab: Lab = arguments["lab"]  # type: ignore[assignment]  # the fixture of this name
    lab.save_evidence(folder)
    (folder / "asterisk" / "of-this-test").write_text(lab.pbx.log_since(item.stash[LOG_MARK]))
    (folder / "failure").write_text(f"{item.nodeid}, in its {report.when}\n\n{report.longreprtext}\n")
    for house in arguments.values():
        if isinstance(house, HasEvidence) and house is not lab:
            house.save_evidence(folder / "server")


def _add(report: pytest.TestReport, line: str) -> None:
    add_section = getattr(report.longrepr, "addsection", None)
    if add_section is not None:
        add_section("evidence", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print where the time went: by kind of test, and the slowest tests."""
    kinds: dict[str, list[float]] = {}
    tests: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                tests[report.nodeid] = tests.get(report.nodeid, 0.0) + report.duration
    for test, seconds in tests.items():
        folders = test.partition("::")[0].split("/")[:-1]
        kinds.setdefault("/".join(folders[:2]), []).append(seconds)
    if sum(tests.values()) < LONG_SECONDS:
        return
    terminalreporter.section("where the time went")
    for kind, all_seconds in sorted(kinds.items(), key=lambda one: -sum(one[1])):
        terminalreporter.line(f"{sum(all_seconds):8.0f} s  {len(all_seconds):5} tests  {kind}")
    for test, seconds in sorted(tests.items(), key=lambda one: -one[1])[:SLOWEST]:
        terminalreporter.line(f"{seconds:8.1f} s  {test}")


@pytest.fixture(scope="session")
def laboratory(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Lab]]:
    """The laboratory of each version: begun when the first test asks for it, kept to the end of the run."""
    from contrib.lab.pbx import Lab  # here, so that tests without a PBX need no Docker client

    with ExitStack() as stack:

        @functools.cache
        def of(version: str) -> Lab:
            return stack.enter_context(Lab(version, keep=request.config.getoption("--keep-lab")))

        yield of


@pytest.fixture
def lab(laboratory: Callable[[str], Lab], asterisk_version: str, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The laboratory in a clean state."""
    running_lab = laboratory(asterisk_version)
    running_lab.reset()
    request.node.stash[LOG_MARK] = running_lab.pbx.log_mark()
    yield running_lab
    running_lab.reset()
