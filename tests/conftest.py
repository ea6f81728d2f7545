"""Fixtures that several folders of tests share.

`lab` is a real Asterisk with real phones; a test that asks for it runs once on each version. What is ours alone, and
the same on every Asterisk, has the mark `either_version`: each of its cases runs on one version, and the cases take
turns. Options:

    pytest --asterisk 22        only that version
    pytest --keep-lab           keep the folders with logs and packets below .cache/lab

Every test that Hypothesis draws values for has the mark `fuzz`. Its values are the same in every run, but for

    HYPOTHESIS_PROFILE=fuzz pytest                               other values each time, and many more
    HYPOTHESIS_PROFILE=fuzz pytest -m fuzz --fuzz-seconds 600    these alone, again and again, for so long

`make fuzz` is the latter.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import time
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

FAILURES = Path(__file__).resolve().parents[1] / ".cache" / "failures"
VERSIONS = ("16", "22")
SLOWEST = 15
"""Tests that are named at the end of a run that takes long."""
LONG_SECONDS = 120.0
REPORTS = pytest.StashKey[dict[str, pytest.TestReport]]()
FUZZ_SECONDS = pytest.StashKey[float]()
"""How long each of the random tests goes on."""

# A slow machine is no fault of the code: nothing here depends on how long an example takes. And what holds for a
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
    parser.addoption("--fuzz-seconds", type=float, default=0.0, help="go on with the random tests for so long")


def pytest_configure() -> None:
    # The programs that tests start inherit what is ignored here, as under nohup or behind an "&" of a script.
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


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
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when or ""] = report
    return report


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
    """The laboratory in a clean state; what a failed test leaves is kept for the post-mortem."""
    running_lab = laboratory(asterisk_version)
    running_lab.reset()
    mark = running_lab.pbx.log_mark()
    yield running_lab
    reports = request.node.stash.get(REPORTS, {})
    if any(report.failed for report in reports.values()):
        name = re.sub(r"[^\w.-]+", "_", request.node.name).strip("_")
        folder = running_lab.save_evidence(FAILURES / f"{request.node.path.stem}.{name}")
        (folder / "asterisk" / "of-this-test").write_text(running_lab.pbx.log_since(mark))
        print(f"\nAsterisk's log, SIP messages, packets and recordings of this test: {folder}")  # noqa: T201
    running_lab.reset()
