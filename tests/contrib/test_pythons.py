"""contrib.lab.pythons: what is said of the Pythons that a release has, and of the tests that ran on them."""

from __future__ import annotations

import tarfile
from io import BytesIO

import pytest

from contrib.lab.pythons import (
    RELEASES,
    Outcome,
    Python,
    checkout,
    failed,
    in_order,
    parse_probe,
    parse_tests,
    promised,
    report,
)

TRIXIE, FORKY = RELEASES
PASSED = Outcome(True, "12 passed", ())


def python(version: str) -> Python:
    """One that was found."""
    return Python(TRIXIE, "image", f"{version}.1", version, "x86_64", 41)


def test_every_python_from_3_12_on_is_found() -> None:
    """With what decides which wheels it can use, the newest kind first."""
    text = "3.11.2 x86_64 glibc 2.43\n3.14.8 x86_64 glibc 2.43\n3.15.0rc1 x86_64 glibc 2.43\n"
    old, young = parse_probe(FORKY, "image", text)
    assert (old.version, old.title) == ("3.14", "Python 3.14.8 of Debian forky")
    assert (young.version, young.full) == ("3.15", "3.15.0rc1")
    assert (young.platforms()[0], young.platforms()[-1]) == ("manylinux_2_43_x86_64", "manylinux_2_5_x86_64")


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (0, "...\n=== 12 passed, 1 skipped in 3.00s ===\n", Outcome(True, "12 passed, 1 skipped", ())),
        (0, "== 12 passed in 83.00s (0:01:23) ==", PASSED),
        (
            1,
            "FAILED tests/a.py::b - assert 1\n== 1 failed, 2 passed in 3.00s ==",
            Outcome(False, "1 failed, 2 passed", ("FAILED tests/a.py::b - assert 1",)),
        ),
        (1, "no such wheel\n", Outcome(False, "no test ran (status 1)", ())),
        (0, "", Outcome(False, "no test ran (status 0)", ())),
    ],
)
def test_only_tests_that_ran_and_passed_are_well(status: int, text: str, expected: Outcome) -> None:
    """The counts are pytest's own, and each failure is named."""
    assert parse_tests(status, text) == expected


def test_what_was_not_run_is_said() -> None:
    """Every version has a line, and a failure says where the rest is."""
    broken = Outcome(False, "1 failed", ("FAILED tests/a.py::b",))
    outcomes: dict[str, Outcome | str] = {"3.12": "no release has it", "3.13": PASSED, "3.14": broken}
    lines = report(outcomes, {"3.13": python("3.13"), "3.14": python("3.14")})
    assert lines[:4] == [
        "Python 3.12 was not run: no release has it",
        "Python 3.13.1 of Debian trixie: 12 passed",
        "Python 3.14.1 of Debian trixie: 1 failed",
        "    FAILED tests/a.py::b",
    ]
    assert lines[4].endswith("python-3.14.log")


def test_a_promise_that_was_not_tried_is_a_failure() -> None:
    """What setup.cfg names has to run; what it does not name may be missing, but may not fail."""
    broken = Outcome(False, "1 failed", ())
    outcomes: dict[str, Outcome | str] = {
        "3.9": broken,
        "3.12": "no release has it",
        "3.13": PASSED,
        "3.14": "no wheels",
    }
    assert failed(outcomes, ["3.13"]) == ["3.9"]
    assert failed(outcomes, ["3.13", "3.14"]) == ["3.9", "3.14"]
    assert failed({"3.13": PASSED}, ["3.13"]) == []


def test_the_promises_are_those_of_the_package() -> None:
    """From 3.12 on: the one below is what everything else runs on."""
    assert promised() == sorted(promised(), key=in_order)
    assert "3.13" in promised()
    assert "3.11" not in promised()


def test_the_copy_is_what_git_knows() -> None:
    """Nothing that lies about in the checkout gets into it, and root owns it there."""
    with tarfile.open(fileobj=BytesIO(checkout())) as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert {"checkout/Makefile", "checkout/agi_monitor/__init__.py"} <= members.keys()
    assert not any(".venv/" in name or ".cache/" in name or "/.git/" in name for name in members)
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "root")}
