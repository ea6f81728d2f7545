"""Where the library logs when a program gave it no logger of its own.

* Where structlog is configured: as it is configured.
* Where the program has set up ``logging``, with ``logging.basicConfig`` or otherwise: under the name ``agi_monitor``,
  at the levels and to the places that it chose. A traceback stands below its line, as ``logging`` has it.
* Otherwise: on standard output, as structlog does by itself, with readable tracebacks.

It is decided at each line, so that nothing depends on what is imported or configured first. A traceback never shows
the values of local variables: those may be digits.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger

NAME = "agi_monitor"
"""Of the logger of ``logging``."""


def readable_traceback(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Let structlog's console print a traceback in lines of its own; a processor of structlog."""
    if "traceback" in line:
        line["exception"] = line.pop("traceback")
    return line


def _as_text(_: Any, __: str, line: MutableMapping[str, Any]) -> str:
    """One line, and a traceback below it. What callers send is escaped: it begins no line of its own."""
    traceback = line.pop("traceback", "")
    words = [str(line.pop("event")), *(f"{key}={_shown(value)}" for key, value in line.items())]
    return f"{' '.join(words)}\n{traceback}".rstrip("\n")


def _shown(value: object) -> str:
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)


_standard = structlog.wrap_logger(
    logging.getLogger(NAME),
    processors=[structlog.stdlib.filter_by_level, _as_text],
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)


def _processors(stream: TextIO) -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        readable_traceback,
        structlog.dev.ConsoleRenderer(colors=stream.isatty()),
    ]


def _chosen(stream: TextIO) -> Any:
    if structlog.is_configured():
        return structlog.get_logger()
    if _standard_is_set_up():
        return _standard
    return structlog.wrap_logger(structlog.PrintLogger(stream), processors=_processors(stream))


def _standard_is_set_up() -> bool:
    return logging.getLogger(NAME).hasHandlers()


class _LibraryLog:
    """A logger of structlog that is chosen when it is used."""

    def __init__(self, to_standard_error: bool) -> None:
        self._to_standard_error = to_standard_error

    def __getattr__(self, name: str) -> Any:
        return getattr(_chosen(sys.stderr if self._to_standard_error else sys.stdout), name)


def library_log(*, to_standard_error: bool = False) -> FilteringBoundLogger:
    """The logger where none was given.

    Parameters:
        to_standard_error: where neither structlog nor ``logging`` is set up, print there: standard output may belong
            to another program.
    """
    return cast(FilteringBoundLogger, _LibraryLog(to_standard_error))
