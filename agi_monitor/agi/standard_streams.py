"""Plain AGI and EAGI: a handler in a process that Asterisk starts for one call, over standard input and output.

Three things are other than over TCP. The end of the call comes as SIGHUP, not as a line. Whatever is printed would be
read by Asterisk as a command, so standard output is standard error for everyone else. And the process ends with the
call: with 1 when the handler failed or refused, which makes AGISTATUS FAILURE.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.stdio import StandardIO

from agi_monitor.agi.asyncio_story import on_asyncio
from agi_monitor.agi.audio import DESCRIPTOR, Audio
from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.protocol import FastAGIFactory, FastAGIProtocol
from agi_monitor.agi.reactors import asyncio_reactor, twisted_reactor
from agi_monitor.agi.routing import Handler, Story, as_story
from agi_monitor.agi.session import Session
from agi_monitor.embedding.library_log import library_log
from agi_monitor.limits import Limits

ENHANCED = "1.0"
"""What ``agi_enhanced`` says when Asterisk sends the sound as well."""


class _Pipes(StandardIO):
    """Standard input and output as a transport that can be cut off."""

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """Close at once."""
        self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted's own


class _OneCall(FastAGIFactory):
    """A factory for the only call of this process.

    Parameters:
        reactor: stopped when the call is over.
        story: the story.
        options: of ``FastAGIFactory``.
    """

    def __init__(self, reactor: Any, story: Story, **options: Any) -> None:
        super().__init__(story, clock=reactor, **options)
        self._reactor = reactor
        self.failed = True  # until a session has ended well

    def _disconnected(self, peer: str, refusal: Any) -> None:
        super()._disconnected(peer, refusal)
        self._over()

    def _ended(self, session: Session, seconds: float, commands: int, log: FilteringBoundLogger) -> None:
        super()._ended(session, seconds, commands, log)
        self.failed = session.ended in (EndReason.FAILED, EndReason.REFUSED)
        self._over()

    def _over(self) -> None:
        if not self._connected_now and not self.sessions and self._reactor.running:
            self._reactor.stop()


def with_audio(story: Story, reactor: Any, descriptor: int = DESCRIPTOR) -> Story:
    """A story whose session has what the caller says, where Asterisk sends it.

    Parameters:
        story: the story.
        reactor: Twisted's.
        descriptor: where the sound comes from.
    """

    async def listening(session: Session) -> None:
        if session.request.variables.get("agi_enhanced") == ENHANCED:
            session.audio = Audio(reactor, descriptor)
        try:
            await story(session)
        finally:
            if session.audio is not None:
                session.audio.close()

    return listening


BY_HAND = (
    "This script waits for a call on its standard input: Asterisk starts it, by AGI(script.py). "
    "Ctrl-D ends it. To try a handler without a PBX, see agi_monitor.testing.FakeAsterisk."
)


def run_agi(
    handler: Handler,
    *,
    use_asyncio: bool = False,
    limits: Limits | None = None,
    transcript: bool = False,
    log: FilteringBoundLogger | None = None,
) -> None:
    """Serve the call that this process was started for, by ``AGI(script.py)`` or ``EAGI(script.py)``; then exit.

    Parameters:
        handler: as for ``serve``. With ``EAGI`` its session has ``audio``.
        use_asyncio: the handler awaits asyncio's things.
        limits: sizes and times that Asterisk is held to.
        transcript: log every command and reply at debug level.
        log: where to log; standard error when not given, which Asterisk's console shows.

    Raises:
        SystemExit: with 1 when the handler failed or refused the call, with 0 otherwise.
    """
    if os.isatty(0):
        # A person has started it, and would wait for something to happen.
        sys.stderr.write(f"{BY_HAND}\n")
    incoming, outgoing = os.dup(0), os.dup(1)
    # What anyone prints is for people, and not for Asterisk.
    sys.stdout.flush()
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    reactor = asyncio_reactor() if use_asyncio else twisted_reactor()
    story = as_story(handler, log)
    factory = _OneCall(
        reactor,
        with_audio(on_asyncio(story) if use_asyncio else story, reactor),
        limits=limits or Limits(),
        transcript=transcript,
        log=log or library_log(to_standard_error=True),
    )
    protocol = FastAGIProtocol(factory, "")
    # Asterisk's only word that the caller has hung up.
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(protocol.channel_hung_up))
    reactor.callWhenRunning(_Pipes, protocol, incoming, outgoing, reactor)
    reactor.run()
    # It comes once more when the script is done, and Python's own end would let it kill the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise SystemExit(1 if factory.failed else 0)
