"""Where log lines go, and what they never hold."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from agi_monitor.server import logs


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The configuration of structlog is one for the whole process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def lines(level: str, output_format: str) -> str:
    """One line of each level."""
    stream = io.StringIO()
    logs.configure(level, output_format, stream)
    log = structlog.get_logger().bind(call="c-1")
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)(f"{name}_event", key="ü 1")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("level", "count"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
@pytest.mark.parametrize("output_format", ["json", "console"])
def test_a_level_leaves_out_what_is_below_it(level: str, count: int, output_format: str) -> None:
    """One line for each event from the level up."""
    assert lines(level, output_format).count("\n") == count


def test_json_lines_are_objects() -> None:
    """Event, level, time in UTC, and the keys."""
    (line,) = [json.loads(line) for line in lines("error", "json").splitlines()]
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "error_event", "level": "error", "call": "c-1", "key": "ü 1"}


def test_console_lines_have_no_colours_outside_a_terminal() -> None:
    """A file or a journal gets plain text."""
    text = lines("error", "console")
    assert "error_event" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("output_format", ["json", "console"])
def test_a_traceback_shows_no_values(output_format: str) -> None:
    """The values of local variables may be digits of a PIN."""
    stream = io.StringIO()
    logs.configure("info", output_format, stream)

    def verify(digits: str) -> None:
        raise RuntimeError("broken")

    try:
        verify("".join(["90", "21", "07", "77"]))
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert "RuntimeError: broken" in stream.getvalue()
    assert "90210777" not in stream.getvalue()


def test_twisteds_warnings_and_errors_are_passed_on_without_their_text() -> None:
    """Level, namespace and the error's kind; the text may hold what a peer sent."""
    with structlog.testing.capture_logs() as captured:
        for level in (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error):
            logs._from_twisted({"log_level": level, "log_namespace": "n", "log_format": "secret"})
        failure = Failure(ValueError("x"))  # type: ignore[no-untyped-call]  # Twisted's own
        logs._from_twisted({"log_level": LogLevel.critical, "log_namespace": "n", "log_failure": failure})
    assert [(line["log_level"], line["event"], line["namespace"], line["error"]) for line in captured] == [
        ("warning", "twisted", "n", None),
        ("error", "twisted", "n", None),
        ("critical", "twisted", "n", "ValueError"),
    ]
    assert "secret" not in str(captured)


def test_takes_over_what_twisted_says() -> None:
    """In a process of its own: an unhandled error becomes one line of ours."""
    program = (
        "from agi_monitor.server import logs; from twisted.logger import Logger; import sys;"
        "logs.configure('info', 'json', sys.stdout); logs.take_over_twisted();"
        "Logger('n').error('peer sent {it}', it='secret')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    line = json.loads(done.stdout)
    assert (line["event"], line["level"], line["namespace"]) == ("twisted", "error", "n")
    assert "secret" not in done.stdout + done.stderr
