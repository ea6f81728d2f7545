"""The site's own command that ends a channel, where the manager interface cannot."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import cast

import structlog
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from agi_monitor.names import ChannelName

MAX_SECONDS = 10.0
"""How long the command may take before it is killed."""

MAX_SAID = 200
"""Bytes of what it says that are logged, from the end."""

ERRORS = 2
"""The file descriptor that it says them on."""

log = structlog.get_logger()


class _Command(ProcessProtocol):
    """A command that runs.

    ``over`` comes with its exit code, or the signal that ended it.
    """

    def __init__(self) -> None:
        self.said = b""
        self.over: Deferred[int] = Deferred(self._kill)

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803 (Twisted's names)
        """Keep the end of what it says."""
        if childFD == ERRORS:
            self.said = (self.said + data)[-MAX_SAID:]

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 (Twisted's name)
        """It is over, and all that it said has come."""
        if not self.over.called:
            ended = reason.value
            self.over.callback(ended.exitCode or ended.signal or 1 if isinstance(ended, ProcessTerminated) else 0)

    def _kill(self, _: Deferred[int]) -> None:
        # A command that were left running might end another channel of that name, hours later.
        transport = self.transport
        if transport is None:
            return
        # One that has become another user (sudo) cannot be killed; it is not waited for all the same.
        with contextlib.suppress(ProcessExitedAlready, OSError):
            transport.signalProcess("KILL")
        # What it has started may hold them open.
        transport.loseConnection()


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
    path = shutil.which(program) or program
    running = _Command()
    try:
        cast(IReactorProcess, reactor).spawnProcess(running, path, [path, *arguments], os.environ)
        code = await running.over.addTimeout(MAX_SECONDS, reactor)
    except (TimeoutError, OSError) as error:
        why = f"no end within {MAX_SECONDS:g} s" if isinstance(error, TimeoutError) else str(error)
        log.error("hangup_command_failed", channel=channel, code=None, error=why)
        return False
    if code:
        log.error("hangup_command_failed", channel=channel, code=code, error=running.said.decode(errors="replace"))
    return not code
