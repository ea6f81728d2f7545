"""agi_monitor.embedding.library_log: what a program's own settings do to what the library logs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]

FAILS = """
from agi_monitor.testing import FakeAsterisk
async def handler(session):
    PIN = "407196"
    await session.verbose("begins")
    raise LookupError("nobody")
try:
    FakeAsterisk(script="ask\\u202e").run(handler)
except LookupError:
    pass
"""
TRACEBACK = '  File "<string>", line '


def said(before: str) -> tuple[list[str], list[str]]:
    """The lines that a program printed on standard output and on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", before + FAILS],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert "407196" not in done.stdout + done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_a_program_that_sets_nothing_reads_it_on_standard_output() -> None:
    """As structlog does, and with a traceback in lines of its own."""
    out, err = said("")
    assert err == []
    assert any("agi_session_started" in line for line in out)
    (failed,) = [line for line in out if "agi_story_failed" in line]
    assert "[error" in failed and "error=LookupError" in failed
    assert any(line.startswith(TRACEBACK) for line in out)
    assert "LookupError: nobody" in out


def test_basic_config_is_honoured() -> None:
    """Its level, its format and its place."""
    out, err = said(
        "import logging\nlogging.basicConfig(level=logging.WARNING, format='%(levelname)s|%(name)s|%(message)s')\n"
    )
    assert out == []
    assert err[0].startswith("ERROR|agi_monitor|agi_story_failed session=fake-1 error=LookupError")
    assert any(line.startswith(TRACEBACK) for line in err)
    assert err[-1] == "LookupError: nobody"


@pytest.mark.parametrize("when", ["before", "after"])
def test_it_does_not_matter_when_logging_is_set_up(when: str) -> None:
    """Before or after the import of the library."""
    setting = "import logging\nlogging.basicConfig(level=logging.DEBUG, format='%(message)s')\n"
    loading = "from agi_monitor import Router\nrouter = Router()\n"
    out, err = said(setting + loading if when == "before" else loading + setting)
    assert out == []
    # What a caller chooses cannot turn a line round.
    assert [line for line in err if line.startswith("agi_session_started")] == [
        "agi_session_started session=fake-1 peer=127.0.0.1 script='ask\\u202e' channel=PJSIP/2001-00000001 "
        "uniqueid=1700000000.1"
    ]


def test_one_name_alone_can_be_silenced() -> None:
    """With logging's own means."""
    out, err = said(
        "import logging\nlogging.basicConfig()\nlogging.getLogger('agi_monitor').setLevel(logging.CRITICAL)\n"
    )
    assert (out, err) == ([], [])


def test_a_configured_structlog_decides() -> None:
    """Its processors see the keys as they are."""
    out, err = said(
        "import logging, structlog\nlogging.basicConfig()\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer()])\n"
    )
    assert err == []
    assert any('"event": "agi_story_failed"' in line for line in out)


def test_a_plain_agi_script_prints_on_standard_error() -> None:
    """Standard output is Asterisk's."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from agi_monitor.embedding.library_log import library_log\n"
            "library_log(to_standard_error=True).info('here', a=1)",
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert done.stdout == ""
    assert "here" in done.stderr and "a=1" in done.stderr
