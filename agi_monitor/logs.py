"""Where log lines go: standard error, one event name and keys each, for people or for machines."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import Processor
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner
from zope.interface import provider

_TWISTED_LEVELS = {LogLevel.warn: "warning", LogLevel.error: "error", LogLevel.critical: "critical"}


def configure(level: str, output_format: str, stream: TextIO = sys.stderr) -> None:
    """Send all log lines to one stream.

    Parameters:
        level: debug, info, warning or error.
        output_format: ``json``, or ``console`` for people.
        stream: where they go.
    """
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if output_format == "json"
        # Not the traceback of rich, which shows the values of local variables: those may be digits of a PIN.
        else [
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def take_over_twisted() -> None:
    """Pass on what Twisted itself has to say, from warnings up. Call it once."""
    globalLogBeginner.beginLoggingTo([_from_twisted], redirectStandardIO=False, discardBuffer=True)


@provider(ILogObserver)
def _from_twisted(event: LogEvent) -> None:
    method = _TWISTED_LEVELS.get(event.get("log_level", LogLevel.info))
    if method is None:
        return
    failure = event.get("log_failure")
    # The text of the event is left out: it may hold what a peer sent.
    getattr(structlog.get_logger(), method)(
        "twisted",
        namespace=event.get("log_namespace"),
        error=failure.type.__name__ if failure else None,
        traceback=failure.getBriefTraceback() if failure else None,
    )
