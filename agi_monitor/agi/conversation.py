"""One conversation with Asterisk: a command is sent, and its reply is judged.

Asterisk answers -1 both when a command failed and when the caller hung up while it ran. To tell one from the other,
CHANNEL STATUS is asked once more: it is not permitted on a dead channel (511), so -1 of a verb means ``CallEnded``
or a failure, never "one of the two".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.messages import AGIRequest, Command, Reply, command
from agi_monitor.agi.numbers import digit_of
from agi_monitor.errors import CallEnded, CommandFailed, InvalidCommand, WrongUsage

if TYPE_CHECKING:
    from agi_monitor.agi.audio import Audio


T = TypeVar("T")


class Wire(Protocol):
    """What a session needs of the connection below it."""

    def perform(self, command: Command) -> Deferred[Reply]:
        """Send a command; fires with its reply."""

    def end(self, reason: EndReason) -> None:
        """End the story from outside."""

    def held(self, seconds: float) -> None:
        """Report that the handler has kept all calls waiting."""


def _as_it_is(deferred: Deferred[Any]) -> Deferred[Any]:
    return deferred


class Conversation:
    """The session without its verbs; the parameters are those of ``Session``."""

    audio: Audio | None = None
    """What the caller says; only where Asterisk started the handler with ``EAGI()``."""

    def __init__(self, id: str, request: AGIRequest, peer: str, wire: Wire) -> None:
        self.id = id
        self.request = request
        self.peer = peer
        self.hung_up = False
        self.ended: EndReason | None = None
        self.refused = False
        self.handler = ""
        """What serves it, for the log."""
        self._wire = wire
        self._awaited: Callable[[Deferred[Any]], Awaitable[Any]] = _as_it_is

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.request.channel!r}>"

    def end(self, reason: EndReason = EndReason.SHUTDOWN) -> None:
        """End the story from outside: it sees ``CallEnded`` where it waits.

        The channel is still alive, so its ``finally`` may use every method, within ``limits.cleanup_seconds``.

        Parameters:
            reason: what ``ended`` says.
        """
        self._wire.end(reason)

    def awaiting(self, convert: Callable[[Deferred[Any]], Awaitable[Any]]) -> None:
        """Await something else than Twisted's Deferred from now on, in the session and in its sound.

        Parameters:
            convert: makes it of a Deferred.
        """
        self._awaited = convert
        if self.audio is not None:
            self.audio.awaiting(convert)

    async def until(self, deferred: Deferred[T]) -> T:
        """Wait for a Deferred of Twisted's, whatever this handler awaits otherwise.

        Parameters:
            deferred: cancelled when the call ends meanwhile.

        Raises:
            CallEnded: the call has ended meanwhile.
        """
        result: T = await self._awaited(deferred)
        return result

    def send(self, command: Command) -> Deferred[Reply]:
        """Send one command, whatever is awaited otherwise. Its reply is not looked at.

        Parameters:
            command: made by ``agi_monitor.command``.
        """
        return self._wire.perform(command)

    def held(self, seconds: float) -> None:
        """Report that the handler has kept all calls waiting, because it does not await what takes long.

        Parameters:
            seconds: between two of its waits.
        """
        self._wire.held(seconds)

    def refuse(self) -> None:
        """When the story is over, tell Asterisk ``failure``: it sets AGISTATUS to FAILURE (run_agi, res_agi.c)."""
        self.refused = True

    async def perform(self, command: Command) -> Reply:
        """Send one command and wait for its reply: the way for commands that have no method here.

        Parameters:
            command: made by ``agi_monitor.command``, which quotes its arguments.

        Raises:
            CallEnded, InvalidCommand, WrongUsage: as every method.
        """
        reply: Reply = await self._awaited(self._wire.perform(command))
        code = reply.code
        if code == 200:
            return reply
        if code == 511:
            raise CallEnded(f"{command.verb}: the channel has hung up")
        if code == 510:
            raise InvalidCommand(command.verb, code, reply.text)
        raise WrongUsage(command.verb, code, reply.text)

    async def _stay_alive(self, verb: str) -> None:
        """Ask Asterisk whether the channel lives.

        Raises:
            CallEnded: it does not.
        """
        if self.hung_up:
            raise CallEnded(f"{verb}: the channel has hung up")
        try:
            await self.perform(command("CHANNEL STATUS"))
        except CommandFailed:
            # It answered, and not 511: the channel is alive.
            return

    async def _failed(self, verb: str, reply: Reply) -> CommandFailed:
        """The error for a result that says failure; raises CallEnded when it was a hang-up."""
        await self._stay_alive(verb)
        return CommandFailed(verb, reply.code, reply.text)

    async def _succeed(self, request: Command) -> Reply:
        """Perform a command whose only failure is -1."""
        reply = await self.perform(request)
        if reply.result == "-1":
            raise await self._failed(request.verb, reply)
        return reply

    async def _confirm(self, request: Command) -> None:
        """Perform a command whose success is 1."""
        reply = await self.perform(request)
        if reply.result != "1":
            raise await self._failed(request.verb, reply)

    async def _digit(self, request: Command) -> str:
        """Perform a command that answers the key that stopped it."""
        return digit_of((await self._succeed(request)).number)
