"""AsyncAGI: handlers for calls that wait in ``AGI(agi:async)``, over the manager interface.

The bytes are those of AGI, packed into events and actions (launch_asyncagi, res_agi.c), so the same protocol, session
and handlers serve them. What is other:

- Asterisk tells of a new call with AsyncAGIStart, and every manager session with the class ``agi`` hears of it. Calls
  that began while there was no connection are not found.
- There is no script: the first AGI argument may take its place, ``AGI(agi:async,menu/en)``.
- There is no way to tell ``failure``. A call that is refused, or whose handler fails, is hung up.
- A reply of more than 1,023 bytes comes in pieces that cannot be told from the next reply: the call is ended.
- Commands and results are seen by every manager session with ``read=agi``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes

from structlog.typing import FilteringBoundLogger
from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint, ITransport
from twisted.python.failure import Failure
from zope.interface import implementer

from agi_monitor.agi.asyncio_story import on_asyncio
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import FAILURE, FastAGIFactory, FastAGIProtocol
from agi_monitor.agi.reactors import twisted_reactor
from agi_monitor.agi.routing import Handler, as_story
from agi_monitor.ami.connection import Event
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import action
from agi_monitor.ami.protocol import Account, AMIClient, Callbacks
from agi_monitor.embedding.library_log import library_log
from agi_monitor.limits import Limits

START, RESULT, END = "AsyncAGIStart", "AsyncAGIExec", "AsyncAGIEnd"
STOP_SECONDS = 10.0


@implementer(IAddress)
class AsyncAddress:
    """Where a call of AsyncAGI comes from: the PBX of the manager connection."""


@implementer(ITransport)
class _Channel:
    """One channel in ``AGI(agi:async)``, as the transport of a ``FastAGIProtocol``.

    Parameters:
        service: whose manager connection is used.
        name: of the channel.
        protocol: that talks over it.
    """

    def __init__(self, service: AsyncAgiService, name: str, protocol: FastAGIProtocol) -> None:
        self._service = service
        self.name = name
        self._protocol = protocol
        self._commands = 0
        self._in_flight = ""
        self._lost = False
        self._hangs_up = False
        self.disconnecting = False

    # -- what the protocol calls --

    def write(self, data: bytes) -> None:
        """Send one command."""
        if self._lost or self.disconnecting:
            return
        if data == FAILURE:
            self._hangs_up = True
            return
        self._commands += 1
        self._in_flight = f"{self._service.prefix}{self._commands}"
        self._perform(data.removesuffix(b"\n").decode(), self._in_flight)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 (Twisted's name)
        """Send one command."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """Let the channel continue in the dialplan, or hang it up when the call was refused."""
        if self.disconnecting or self._lost:
            return
        self.disconnecting = True
        self._perform("HANGUP" if self._hangs_up else "ASYNCAGI BREAK", "")

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        """Wait for nothing more."""
        self.loseConnection()
        self._service.clock.callLater(0, self.lost)  # not before the caller is done

    def getPeer(self) -> AsyncAddress:  # noqa: N802 (Twisted's name)
        return AsyncAddress()

    def getHost(self) -> AsyncAddress:  # noqa: N802 (Twisted's name)
        return AsyncAddress()

    def _perform(self, line: str, command_id: str) -> None:
        headers = [("Channel", self.name), ("Command", line), *([("CommandID", command_id)] if command_id else [])]
        sent = Deferred.fromCoroutine(self._service.client.perform(action("AGI", *headers)))
        # Its result comes as an event; an error means that the channel is no longer in AsyncAGI.
        sent.addErrback(lambda _: self.lost())

    # -- what the service tells --

    def replied(self, command_id: str, result: bytes) -> None:
        """A result has come, for this command or for another program's."""
        if self._lost or not command_id or command_id != self._in_flight:
            return
        self._in_flight = ""
        if not result.endswith(b"\n"):
            # The rest would stand before the next reply.
            self._service.log.warning(LogEvent.ASYNC_CUT, channel=self.name)
            result = b"a reply in pieces\n"
        self._protocol.dataReceived(result)

    def ended(self) -> None:
        """The channel has left AsyncAGI: because we said so, or because it hung up."""
        if not self._lost and not self.disconnecting:
            self._protocol.channel_hung_up()
        self.lost()

    def lost(self) -> None:
        """Nothing more comes."""
        if not self._lost:
            self._lost = True
            self._service._forget(self)
            self._protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own


class _AsyncProtocol(FastAGIProtocol):
    """A protocol whose commands must fit into a line of the manager interface."""

    def perform(self, command: Any) -> Any:
        try:
            action("AGI", ("Command", command.wire.decode().removesuffix("\n")))
        except Exception as error:
            return _failed(error)
        return super().perform(command)


def _failed(error: Exception) -> Deferred[Any]:
    deferred: Deferred[Any] = Deferred()
    deferred.errback(error)
    return deferred


class AsyncAgiService(Service):
    """Serves the calls of a PBX that wait in ``AGI(agi:async)``, as a part of a Twisted application.

    Parameters:
        handler: as for ``AgiService``.
        endpoint: where the manager interface listens, from ``agi_monitor.ami.endpoints.endpoint``, or a description
            as ``twisted.internet.endpoints.clientFromString`` reads it.
        account: needs the class ``agi`` in ``read=`` and in ``write=``.
        reactor: Twisted's own when not given.
        limits: sizes, numbers and times that a call is held to.
        ami_limits: the same of the manager connection.
        script_argument: the first AGI argument is the script, for a ``Router``.
        use_asyncio: the handler awaits asyncio's things.
        transcript: log every command and reply at debug level.
        stop_seconds: how long calls may continue after ``stopService``.
        log: where to log.
    """

    def __init__(
        self,
        handler: Handler,
        endpoint: str | IStreamClientEndpoint,
        account: Account,
        *,
        reactor: Any = None,
        limits: Limits | None = None,
        ami_limits: AMILimits | None = None,
        script_argument: bool = False,
        use_asyncio: bool = False,
        transcript: bool = False,
        stop_seconds: float = STOP_SECONDS,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self.clock: Any = twisted_reactor() if reactor is None else reactor
        self.log: FilteringBoundLogger = log or library_log()
        self._script_argument = script_argument
        self._stop_seconds = stop_seconds
        story = as_story(handler, log)
        self.factory = FastAGIFactory(
            on_asyncio(story) if use_asyncio else story,
            limits or Limits(),
            self.clock,
            transcript=transcript,
            log=log,
        )
        self.factory.protocol_type = _AsyncProtocol
        self.client = AMIClient(
            _endpoint(self.clock, endpoint) if isinstance(endpoint, str) else endpoint,
            self.clock,
            account,
            Callbacks(on_event=self._event, on_down=self._down),
            wanted=(START, RESULT, END),
            needs=("AGI",),
            event_classes="agi,system",
            limits=ami_limits,
            log=log,
        )
        self.prefix = f"{next(self.factory.ids)}-"
        self._channels: dict[str, _Channel] = {}

    def startService(self) -> None:  # noqa: N802 (Twisted's name)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's own
        self.factory.draining = False
        self.client.startService()

    def stopService(self) -> Deferred[None]:  # noqa: N802 (Twisted's name)
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's own
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.factory.drain()
        try:
            await self.factory.idle().addTimeout(self._stop_seconds, self.clock)
        except TimeoutError:
            self.factory.end_all()
            await self.factory.idle()  # each is left behind after limits.cleanup_seconds
        await self.client.stopService()

    def _event(self, event: Event) -> None:
        name = event.message.text("Channel")
        if event.name == START:
            self._begin(name, unquote_to_bytes(event.message.text("Env")))
            return
        channel = self._channels.get(name)
        if channel is None:
            return
        if event.name == RESULT:
            channel.replied(event.message.text("CommandId"), unquote_to_bytes(event.message.text("Result")))
        elif event.name == END:
            channel.ended()

    def _begin(self, name: str, environment: bytes) -> None:
        if self.factory.draining or name in self._channels:
            return  # another server may take it
        if not environment.endswith(b"\n\n"):
            self.log.warning(LogEvent.ASYNC_CUT, channel=name)
            # It cannot be served, and nothing else would tell the caller.
            hang_up = action("AGI", ("Channel", name), ("Command", "HANGUP"))
            Deferred.fromCoroutine(self.client.perform(hang_up)).addErrback(lambda _: None)
            return
        protocol = self.factory.accept("async")
        if protocol is None:
            return
        channel = self._channels[name] = _Channel(self, name, protocol)
        protocol.makeConnection(channel)  # type: ignore[no-untyped-call]  # Twisted's own
        protocol.dataReceived(_with_script(environment) if self._script_argument else environment)

    def _forget(self, channel: _Channel) -> None:
        if self._channels.get(channel.name) is channel:
            del self._channels[channel.name]

    def _down(self) -> None:
        for channel in list(self._channels.values()):
            channel.lost()


def _with_script(environment: bytes) -> bytes:
    """The same environment with its first argument as the script, as FastAGI has it."""
    lines = environment.split(b"\n")
    first = b"agi_arg_1: "
    script = next((line.removeprefix(first) for line in lines if line.startswith(first)), b"")
    kept = [line for line in lines if not line.startswith(b"agi_arg_")]
    arguments = [line.partition(b": ")[2] for line in lines if line.startswith(b"agi_arg_")][1:]
    numbered = [b"agi_arg_%d: %s" % (number, value) for number, value in enumerate(arguments, 1)]
    return b"\n".join([b"agi_network_script: " + script, *kept[:-2], *numbered, b"", b""])


def _endpoint(reactor: Any, description: str) -> Any:
    from twisted.internet.endpoints import clientFromString

    return clientFromString(reactor, description)  # type: ignore[no-untyped-call]  # Twisted's own
