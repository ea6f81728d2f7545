"""The site's own command that ends a channel, where the manager interface cannot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import structlog
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from agi_monitor.names import ChannelName

MAX_SECONDS = 10.0
"""So long the command may take; it is not waited for any longer."""

MAX_SAID = 200
"""Bytes of what it says that are logged, from the end."""

log = structlog.get_logger()


async def hang_up(command: Sequence[str], channel: ChannelName, reactor: IReactorTime) -> bool:
    """End a channel. False: there is no command, or it says that it could not; the log has why.

    Parameters:
        command: a program and its arguments, with ``{channel}`` where the name goes.
        channel: its name.
        reactor: Twisted's.
    """
    if not command:
        return False
    program, *arguments = [part.replace("{channel}", channel) for part in command]
    try:
        running: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(  # type: ignore[no-untyped-call]
            shutil.which(program) or program, arguments, os.environ, reactor=reactor
        )
        running.addErrback(_ended_by_signal)
        _, errors, code = await running.addTimeout(MAX_SECONDS, reactor)
    except (TimeoutError, OSError) as error:
        why = f"no end within {MAX_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
        log.error("hangup_command_failed", channel=channel, code=None, error=why)
        return False
    if code:
        said = errors[-MAX_SAID:].decode(errors="replace")
        log.error("hangup_command_failed", channel=channel, code=code, error=said)
    return not code


def _ended_by_signal(failure: Failure) -> object:
    # Twisted gives output and signal in the place of an exception.
    return failure.value if isinstance(failure.value, tuple) else failure
