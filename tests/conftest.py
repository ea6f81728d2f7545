"""Fixtures that several folders of tests share.

`lab` is a real Asterisk with real phones; a test that asks for it runs once on each version. Options:

    pytest --asterisk 22        only that version
    pytest --keep-lab           keep the folders with logs and packets below .cache/lab
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

FAILURES = Path(__file__).resolve().parents[1] / ".cache" / "failures"
VERSIONS = ("16", "22")
REPORTS = pytest.StashKey[dict[str, pytest.TestReport]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("laboratory")
    group.addoption("--asterisk", choices=VERSIONS, help="run the tests that need a PBX on this version only")
    group.addoption("--keep-lab", action="store_true", help="keep the laboratory's folders")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "asterisk_version" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--asterisk")
        # One laboratory for each version, and both at the same time: scenarios mostly wait for people to speak.
        versions = [
            pytest.param(version, id=f"asterisk{version}", marks=pytest.mark.xdist_group(f"asterisk{version}"))
            for version in (VERSIONS if chosen is None else (chosen,))
        ]
        metafunc.parametrize("asterisk_version", versions, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash.setdefault(REPORTS, {})[report.when or ""] = report
    return report


@pytest.fixture(scope="session")
def running_lab(asterisk_version: str, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A laboratory for all tests of one version."""
    from contrib.lab.pbx import Lab  # here, so that tests without a PBX need no Docker client

    with Lab(asterisk_version, keep=request.config.getoption("--keep-lab")) as lab:
        yield lab


@pytest.fixture
def lab(running_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The laboratory in a clean state; what a failed test leaves is kept for the post-mortem."""
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
