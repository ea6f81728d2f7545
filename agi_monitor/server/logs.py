"""Where log lines go: standard error, one event name and keys each, for people or for machines."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogBeginner
from zope.interface import provider

from agi_monitor.shown import in_json, visible

_TWISTED_LEVELS = {LogLevel.warn: "warning", LogLevel.error: "error", LogLevel.critical: "critical"}


def configure(level: str, output_format: str, stream: TextIO = sys.stderr) -> None:
    """Send all log lines to one stream.

    Parameters:
        level: debug, info, warning or error.
        output_format: ``json``, or ``console`` for people.
        stream: where they go.
    """
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, _ShownJson()]
        if output_format == "json"
        # Not the traceback of rich, which shows the values of local variables: those may be digits of a PIN.
        else [
            _shown,
            structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=_traceback),
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


def _shown(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """What others wrote can neither steer a terminal nor begin a line of its own. Anything but text is shown by its
    ``repr``, which is as careful."""
    return {visible(name): visible(value) if isinstance(value, str) else value for name, value in event.items()}


class _ShownJson:
    """One JSON object a line, with the same care: a program reads the same."""

    def __init__(self) -> None:
        # One encoder for all lines: json.dumps makes one for each that is not by its defaults.
        self._encoder = json.JSONEncoder(ensure_ascii=False, default=repr)

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        return in_json(self._encoder.encode(event))


def _traceback(stream: TextIO, error: ExcInfo) -> None:
    """Each line is indented: the message of an exception may have line breaks, and none of them begins a log line."""
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    stream.write("\n".join(f"  {visible(line, chr(9))}" for line in text.getvalue().split("\n")))


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
