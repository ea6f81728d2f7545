"""An error that Twisted could only log fails the test that caused it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import cast

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher


@pytest.fixture(autouse=True)
def no_error_stays_in_twisted() -> Iterator[None]:
    """Unhandled errors in Deferreds and in protocols come out here."""
    failures: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_failure") is not None or event.get("isError"):
            failures.append(event)

    observer = cast(ILogObserver, observe)  # a plain function provides it
    globalLogPublisher.addObserver(observer)
    try:
        yield
        gc.collect(1)
    finally:
        globalLogPublisher.removeObserver(observer)
    assert [str(event.get("log_failure")) for event in failures] == []
