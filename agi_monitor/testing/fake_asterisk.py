"""A PBX in memory that speaks AGI as Asterisk 16 to 22 do (res_agi.c), quirks included.

Two rules: everything that happens is in ``happened``, in order; whatever goes wrong inside the fake comes out of
``run``, for an error that stays inside makes a test pass.

In memory nothing takes real time. ``clock`` passes by what a command waits for: a prompt without keys times out when
its time has passed, and whatever is planned happens on the way. Otherwise time stands still unless ``advance`` is
called. ``call`` does the same over TCP, where time is real and a prompt without keys times out at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from agi_monitor.agi.asyncio_story import on_asyncio
from agi_monitor.agi.blocking import BlockingStory
from agi_monitor.agi.messages import LEGAL_WHEN_DEAD, longest_command
from agi_monitor.agi.protocol import FastAGIFactory, FastAGIProtocol
from agi_monitor.agi.pyst2 import BlockingAGI
from agi_monitor.agi.routing import Handler, Story, as_story
from agi_monitor.agi.session import Session
from agi_monitor.agi.standard_streams import ENHANCED, with_audio
from agi_monitor.agi.verb_results import ChannelState
from agi_monitor.errors import CallEnded
from agi_monitor.limits import Limits
from agi_monitor.testing.expressions import evaluate, variable
from agi_monitor.testing.fake_audio import FakeAudio
from agi_monitor.testing.fake_channel import FakeChannel
from agi_monitor.testing.fake_threads import FakeThreads
from agi_monitor.testing.fake_transport import FakeTransport
from agi_monitor.testing.sockets import SocketWire, converse
from agi_monitor.testing.turns import Turns
from agi_monitor.testing.words import split_words


class _Blocks(Enum):
    BLOCKS = "BLOCKS"

    def __repr__(self) -> str:
        return "BLOCKS"


BLOCKS: Final = _Blocks.BLOCKS
"""What an application returns to run until ``finish_application`` or ``hang_up``."""

Application = Callable[["FakeAsterisk", FakeChannel, str], "int | _Blocks"]

Subroutine = Callable[["FakeAsterisk", FakeChannel, str], str]

MAX_COMMANDS = 10_000
"""Of one call, unless a test says otherwise: 5 MB of memory."""

ASYNCIO_SECONDS = 10.0
"""How long ``run_asyncio`` waits for the end of a handler, in real time."""

CHANNEL_SECONDS = 10.0
"""What a channel waits for a key when nobody says (pbx.c: rtimeoutms)."""

CALL_SECONDS = 30.0
"""How long ``call`` waits for the server to close."""

USAGE = "520-Invalid command syntax.  Proper usage follows:\nUsage: {}\n520 End of proper usage."


@dataclass(slots=True)
class _Prompt:
    """A command that waits for keys."""

    verb: str
    seconds: float | None
    deadline: float | None
    look: Callable[[], str | None]
    timed_out: Callable[[], str]


def _seconds(arguments: list[str], place: int, otherwise: float = CHANNEL_SECONDS) -> float:
    """A time-out of the wire; 0 and none leave the channel's own."""
    given = int(arguments[place]) / 1_000 if len(arguments) > place and arguments[place] else 0.0
    return given or otherwise


class FakeAsterisk:
    """A PBX with one call that reaches ``AGI()``.

    >>> async def ask(session):
    ...     keyed = await session.get_data("vm-enter-num-to-call", timeout=5, max_digits=4)
    ...     await session.set_variable("NUMBER", keyed.digits)
    >>> fake = FakeAsterisk()
    >>> fake.keys("42#")
    >>> fake.run(ask)
    >>> fake.played, fake.channel.variables, fake.agi_status
    (['vm-enter-num-to-call'], {'NUMBER': '42'}, 'SUCCESS')

    Parameters:
        channel: the name of the calling channel.
        uniqueid: its uniqueid.
        extension: what it dialled.
        context: where it is in the dialplan.
        script: what stands behind the host in the AGI URL.
        arguments: the AGI arguments; with a ``secret`` it is put before them.
        caller_id: what the caller's phone says it is.
        caller_id_name: the same.
        language: of the channel.
        account_code: of the channel.
        version: what ``agi_version`` says.
        eagi: whether the call comes by ``EAGI()``: the session has ``audio``, see ``says``.
        time_passes: whether ``clock`` passes by what a command waits for. Otherwise a prompt without keys times out
            at once, in no time.
        max_commands: how many commands the call may take. One more fails the test: a handler that loops as long as
            the caller is there would never end here.
        limits: that the server under test holds us to.
        secret: the shared secret of the server under test.
        transcript: whether that server logs every command.
        log: where that server logs.
    """

    def __init__(
        self,
        channel: str = "PJSIP/2001-00000001",
        *,
        uniqueid: str = "1700000000.1",
        extension: str = "*2221001",
        context: str = "default",
        script: str = "",
        arguments: Iterable[str] = (),
        caller_id: str | None = None,
        caller_id_name: str | None = None,
        language: str = "en",
        account_code: str = "",
        version: str = "22.10.1",
        eagi: bool = False,
        time_passes: bool = True,
        max_commands: int = MAX_COMMANDS,
        limits: Limits | None = None,
        secret: str | None = None,
        transcript: bool = False,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self.clock = Clock()
        """Time, of the server under test too; see ``advance``."""
        self.channel = FakeChannel(
            channel,
            uniqueid,
            state=ChannelState.RING,
            context=context,
            extension=extension,
            caller_id=caller_id,
            caller_id_name=caller_id_name,
            language=language,
        )
        self.channels = [self.channel]
        """All channels; the first is the one that calls."""
        self.hints: dict[str, str] = {}
        """``extension@context`` -> devices, as the dialplan writes a hint."""
        self.device_states: dict[str, str] = {}
        """Device -> state, such as ``INUSE``."""
        self.database: dict[tuple[str, str], str] = {}
        """Family and key -> value."""
        self.functions: dict[str, Callable[[FakeChannel, str], str]] = {}
        """Name -> what a dialplan function says of a channel, given its argument."""
        self.missing_sounds: set[str] = set()
        """Sounds that this PBX does not have."""
        self.applications: dict[str, Application] = {}
        """Name in lower case -> what it does; see ``application``."""
        self.missing_applications: set[str] = set()
        """Applications that this PBX does not have; any other one that no test has given is a mistake of the test."""
        self.subroutines: dict[tuple[str, str], Subroutine] = {}
        """Context and extension -> what GOSUB runs there; see ``subroutine``."""
        self.missing_subroutines: set[tuple[str, str, str]] = set()
        """Context, extension and priority of places that this PBX does not have; any other one that no test has given
        is a mistake of the test."""
        self.answers: dict[str, str] = {}
        """Command -> what it is answered with instead, such as ``"510 Invalid or unknown command"``."""
        self.happened: list[str] = []
        """Everything, in one order: commands and answers, what was played, said and recorded, the hang-up."""
        self.commands: list[list[str]] = []
        """The commands, each as its words."""
        self.played: list[str] = []
        """The sounds; what SAY says is ``digits:42`` and the like."""
        self.executed: list[tuple[str, str]] = []
        """The applications, each with its argument text."""
        self.closed = False
        """Whether the session is over."""
        self.failed = False
        """Whether the server said ``failure``."""
        self.error: BaseException | None = None
        self._script = script
        self._account_code = account_code
        self._version = version
        self._arguments = [*([] if secret is None else [secret]), *arguments]
        self._factory_options = partial(
            FastAGIFactory,
            limits=limits or Limits(),
            clock=self.clock,
            secret=secret,
            transcript=transcript,
            log=log,
            id_prefix="fake",
        )
        self.factory: FastAGIFactory | None = None
        self._protocol: FastAGIProtocol | SocketWire | None = None
        self._transport = FakeTransport(self._received, self._closed)
        self._turns = Turns()
        self._later = self._turns.later
        self._keys: deque[str] = deque()
        self._blocked: str | None = None
        self._ends_by_itself: IDelayedCall | None = None
        self._prompt: _Prompt | None = None
        self._closed_at_last: Deferred[None] | None = None
        self._audio = FakeAudio(self._later) if eagi else None
        self._max_commands = max_commands
        self._time_passes = time_passes
        self._dead = False
        self._hang_up_at_commands: set[int] = set()
        self._hang_up_during: dict[str, int] = {}
        self._hang_up_at_prompts: set[str] = set()

    # -- arranging --

    def add_channel(
        self,
        name: str,
        uniqueid: str | None = None,
        state: ChannelState = ChannelState.UP,
        bridge_peer: str = "",
        on_hold: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> FakeChannel:
        """Add another channel to the PBX; the parameters are those of ``FakeChannel``.

        Parameters:
            name: such as ``PJSIP/1001-00000002``.
            uniqueid: made up when not given.
            state: of the channel.
            bridge_peer: the name of the channel it talks to, or empty.
            on_hold: whether its device has put the call on hold.
            variables: its variables.
        """
        known = uniqueid or f"1700000000.{len(self.channels) + 1}"
        channel = FakeChannel(name, known, state, bridge_peer, on_hold, dict(variables or {}))
        self.channels.append(channel)
        return channel

    def add_call(self, name: str, other: str) -> FakeChannel:
        """Add two channels that talk to each other; the first of them.

        Parameters:
            name: of the first.
            other: of the second.
        """
        self.add_channel(other, bridge_peer=name)
        return self.add_channel(name, bridge_peer=other)

    def keys(self, keys: str) -> None:
        """The caller will press these keys, one after the other, at whatever waits for a key.

        Parameters:
            keys: ``0`` to ``9``, ``*`` and ``#``.
        """
        self._keys.extend(keys)
        self._later(self._let_time_pass)

    def says(self, samples: bytes) -> int:
        """The caller says this, to a handler that was called by ``EAGI()``. Sound that nobody reads is lost.

        Parameters:
            samples: 16 bits each, 8,000 a second.

        Returns:
            How many bytes of it fit into the pipe, which holds 65,536.

        Raises:
            AssertionError: the call did not come by ``EAGI()``: ``FakeAsterisk(eagi=True)``.
        """
        if self._audio is None:
            raise AssertionError("only EAGI() sends sound: FakeAsterisk(eagi=True)")
        taken = self._audio.say(samples)
        self.check()
        return taken

    def next_key(self) -> str:
        """Take the next key, for an application that reads keys itself; empty when there is none."""
        return self._keys.popleft() if self._keys else ""

    def application(self, name: str, function: Application) -> None:
        """What a dialplan application does.

        Parameters:
            name: such as ``ChanSpy``.
            function: called with this fake, the channel and the argument text; returns what the application
                returns, or ``BLOCKS``.
        """
        self.applications[name.lower()] = function

    def subroutine(self, context: str, extension: str, function: Subroutine = lambda *_: "") -> None:
        """What ``GOSUB`` runs at a place of the dialplan, at whatever priority.

        Parameters:
            context: of the place.
            extension: of the place.
            function: called with this fake, the channel and the argument text; what it returns is GOSUB_RETVAL.
        """
        self.subroutines[context, extension] = function

    def application_lasts(
        self, name: str, seconds: float, result: int = 0, then: Callable[[FakeChannel], object] | None = None
    ) -> None:
        """A dialplan application runs for so long, unless the caller hangs up before.

        Parameters:
            name: such as ``ChanSpy``.
            seconds: of ``clock``: see ``advance``.
            result: what the application returns.
            then: called at its end with the channel, such as to put it where a key has led it.
        """

        def end() -> None:
            self._ends_by_itself = None
            if then is not None:
                then(self.channel)
            self.finish_application(result)

        def run(fake: FakeAsterisk, channel: FakeChannel, argument: str) -> _Blocks:
            self._ends_by_itself = self.clock.callLater(seconds, end)
            return BLOCKS

        self.application(name, run)

    def hang_up_at_command(self, number: int) -> None:
        """The caller hangs up while the n-th command runs, counted from 1.

        Parameters:
            number: of the command.
        """
        self._hang_up_at_commands.add(number)

    def hang_up_during(self, name: str, nth: int = 1) -> None:
        """The caller hangs up during a command (``GET DATA``) or application (``ChanSpy``), the n-th of that name.

        Parameters:
            name: of the command or application.
            nth: which of them, counted from 1.
        """
        self._hang_up_during[name.upper()] = nth

    def hang_up_at_prompt(self, sound: str) -> None:
        """The caller hangs up while this sound is played.

        Parameters:
            sound: its name.
        """
        self._hang_up_at_prompts.add(sound)

    # -- acting --

    def start(self, serve: Story) -> None:
        """Call the server: it runs the story as far as it gets.

        Parameters:
            serve: a handler that is a coroutine function, a ``Router``, or another story.
        """

        async def watched(session: Session) -> None:
            try:
                await serve(session)
            except CallEnded:
                raise
            except Exception as error:
                self._report(error)
                raise

        story: Story = watched
        if self._audio is not None:
            story = with_audio(watched, self._audio, self._audio.descriptor)
        self.factory = self._factory_options(story)
        protocol = self.factory.buildProtocol(self._transport.getPeer())
        assert protocol is not None  # noqa: S101 (the loopback address is allowed)
        self._protocol = protocol
        protocol.makeConnection(self._transport)  # type: ignore[no-untyped-call]  # Twisted's own
        self._later(partial(protocol.dataReceived, self._environment()))

    def run(self, serve: Story) -> None:
        """Call the server and run the story to its end.

        Parameters:
            serve: as for ``start``.

        Raises:
            AssertionError: the story waits for something that does not happen by itself; use ``start`` then.
            Exception: whatever the story raised, or the fake itself.
        """
        self.start(serve)
        self.check()
        if not self.closed:
            raise AssertionError(f"the story is not over: it waits for {self._waits_for()}")

    async def run_asyncio(self, serve: Handler, seconds: float = ASYNCIO_SECONDS) -> None:
        """Call the server and run a handler that awaits asyncio's things to its end, in the event loop that runs.

        ``clock`` does not pass by what the handler waits for otherwise. Another task may act meanwhile, such as
        ``hang_up``.

        Parameters:
            serve: any handler.
            seconds: of real time, after which it is said not to end.

        Raises:
            AssertionError: it does not end.
            Exception: whatever it raised, or the fake itself.
        """
        loop = asyncio.get_running_loop()
        self._closed_at_last = Deferred()
        self.start(on_asyncio(as_story(serve)))
        factory = self.factory
        assert factory is not None  # noqa: S101 (only after start)
        stuck = ""
        try:
            async with asyncio.timeout(seconds):
                if not self.closed:
                    await self._closed_at_last.asFuture(loop)
                await factory.idle().asFuture(loop)
        except TimeoutError:
            stuck = self._waits_for()
        finally:
            if not self.closed:
                self._later(self._disconnected)
                await factory.idle().asFuture(loop)
        self.check()
        if stuck:
            raise AssertionError(f"the story is not over after {seconds:g} s: it waits for {stuck}")

    def _waits_for(self) -> str:
        if self._prompt is not None:
            return f"a key: {self._prompt.verb} without a time-out"
        return f"the application {self._blocked}" if self._blocked else "something that is not a command"

    def run_blocking(self, function: Callable[[BlockingAGI], object], *, interrupt: bool = True) -> None:
        """Call the server and run a blocking function, such as one that was written for pyst2, to its end.

        Parameters:
            function: see ``agi_monitor.blocking``.
            interrupt: the same.

        Raises:
            AssertionError: it does not end.
            Exception: whatever it raised, or the fake itself.
        """
        threads = FakeThreads()
        story = BlockingStory(function, interrupt=interrupt, reactor=threads)
        self.start(story)
        threads.run_until(lambda: self.closed and not story.busy, "the end of the script")
        story.stop()
        self.check()

    def call(self, host: str = "127.0.0.1", port: int = 4573, seconds: float = CALL_SECONDS) -> None:
        """Call a server over TCP, and be the PBX until it closes the connection.

        What was arranged happens as in memory; whatever is planned on ``clock`` happens when its time has come.

        Parameters:
            host: where the server listens.
            port: its TCP port.
            seconds: how long to wait for it to close.

        Raises:
            OSError: nobody listens there.
            TimeoutError: the connection is still open after that time.
            Exception: whatever went wrong inside the fake.
        """
        self._time_passes = False  # it does by itself
        with socket.create_connection((host, port), seconds) as connection:
            self._protocol = SocketWire(connection)
            self._later(partial(self._protocol.dataReceived, self._environment()))
            converse(connection, self.clock, self._take, lambda: self.closed or self.error is not None, seconds)
        self.check()

    def _take(self, data: bytes) -> None:
        if data:
            self._transport.write(data)
        else:
            self._closed()

    def check(self) -> None:
        """Raise what went wrong so far, in the story or in the fake."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Parameters:
            seconds: of ``clock``.
        """
        self.clock.advance(seconds)
        self._later(self._let_time_pass)
        self.check()

    def hang_up(self) -> None:
        """The caller hangs up now."""
        self._later(self._hang_up_now)
        self.check()

    def _hang_up_now(self) -> None:
        self._hang_up_channel()
        if self._blocked is not None:
            self._unblock()
            self._answer("200 result=-1")
        if self._prompt is not None:
            self._prompt = None
            self._answer("200 result=-1")
        self._notice_hangup()

    def finish_application(self, result: int = 0) -> None:
        """End the application that blocks.

        Parameters:
            result: what it returns.
        """
        if self._blocked is None:
            raise AssertionError("no application is running")
        self._unblock()
        self._application_over(result)
        self.check()

    def _unblock(self) -> None:
        self._blocked = None
        ends, self._ends_by_itself = self._ends_by_itself, None
        if ends is not None:
            ends.cancel()

    def lose_connection(self) -> None:
        """The connection breaks, without a word."""
        self._later(self._disconnected)
        self.check()

    def send(self, data: bytes) -> None:
        """Send bytes to the server as they are, for what no Asterisk would say.

        Parameters:
            data: as they are to arrive.
        """
        protocol = self._protocol
        assert protocol is not None  # noqa: S101 (only after start)
        self._later(partial(protocol.dataReceived, data))
        self.check()

    # -- looking --

    @property
    def session(self) -> Session | None:
        """The session of the server under test; None over TCP, where the server is elsewhere."""
        return self._protocol.session if isinstance(self._protocol, FastAGIProtocol) else None

    @property
    def blocked(self) -> str | None:
        """The application that is running."""
        return self._blocked

    @property
    def agi_status(self) -> str:
        """What AGISTATUS is once the session is closed (agi_exec_full, res_agi.c)."""
        if self.failed:
            return "FAILURE"
        return "HANGUP" if self._dead else "SUCCESS"

    # -- the wire --

    def _environment(self) -> bytes:
        channel = self.channel
        lines = ["agi_network: yes"]
        if self._script:
            lines.append(f"agi_network_script: {self._script}")
        lines += [
            f"agi_request: agi://127.0.0.1/{self._script}",
            f"agi_channel: {channel.name}",
            f"agi_language: {channel.language}",
            f"agi_type: {channel.name.partition('/')[0]}",
            f"agi_uniqueid: {channel.uniqueid}",
            f"agi_version: {self._version}",
            f"agi_callerid: {channel.caller_id or 'unknown'}",
            f"agi_calleridname: {channel.caller_id_name or 'unknown'}",
            "agi_callingpres: 0",
            "agi_callingani2: 0",
            "agi_callington: 0",
            "agi_callingtns: 0",
            f"agi_dnid: {channel.extension}",
            "agi_rdnis: unknown",
            f"agi_context: {channel.context}",
            f"agi_extension: {channel.extension}",
            f"agi_priority: {channel.priority}",
            f"agi_enhanced: {'0.0' if self._audio is None else ENHANCED}",
            f"agi_accountcode: {self._account_code}",
            "agi_threadid: 140000000000000",
        ]
        lines += [f"agi_arg_{number}: {value}" for number, value in enumerate(self._arguments, 1)]
        return "\n".join([*lines, "", ""]).encode()

    def _received(self, line: bytes) -> None:
        self._later(partial(self._command, line.decode()))

    def _answer(self, text: str) -> None:
        protocol = self._protocol
        assert protocol is not None  # noqa: S101 (only after start)
        self.happened.append(f"< {text}")
        if not self.closed:
            self._later(partial(protocol.dataReceived, text.encode() + b"\n"))

    def _closed(self) -> None:
        self._later(self._disconnected)

    def _disconnected(self) -> None:
        if self.closed or self._protocol is None:
            return
        self.closed = True
        self._prompt = None
        self.happened.append("closed")
        if self._audio is not None:
            self._audio.close()
        self._protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own
        if self._closed_at_last is not None:
            self._closed_at_last.callback(None)

    def _report(self, error: BaseException) -> None:
        if self.error is None:
            self.error = error

    def _hang_up_channel(self) -> None:
        if self.channel.alive:
            self.channel.alive = False
            self.happened.append("the caller hangs up")

    def _notice_hangup(self) -> None:
        """Asterisk notices between two commands, and says so once."""
        if not self.channel.alive and not self._dead and self._blocked is None and self._prompt is None:
            self._dead = True
            self._answer("HANGUP")

    # -- commands --

    def _command(self, line: str) -> None:
        if self.closed:
            return
        if len(self.commands) >= self._max_commands:
            self._report(
                AssertionError(
                    f"the handler has sent {self._max_commands:,} commands and goes on: plan the hang-up, such as "
                    "fake.clock.callLater(60, fake.hang_up), or say FakeAsterisk(max_commands=...)"
                )
            )
            self._later(self._disconnected)
            return
        self.happened.append(f"> {line}")
        if line.lower().startswith("failure"):
            self.failed = True
            self._later(self._disconnected)
            return
        # Before it reads a command, Asterisk looks whether the channel is still there (run_agi).
        self._notice_hangup()
        if len(line.encode()) + 1 > (longest := longest_command(self._version)):
            # From there on each reply would be another command's.
            self._report(ValueError(f"a command of more than {longest} bytes, which is what {self._version} reads"))
        words = split_words(line)
        self.commands.append(words)
        for length in (3, 2, 1):
            verb = " ".join(words[:length]).upper()
            if verb in COMMANDS or verb in self.answers:
                break
        else:
            # Asterisk would say the same of a command that was mistyped; a test is to hear of it.
            verb = " ".join(words).upper()[:40]
            self._report(LookupError(f"{verb}: no command that is known; or say fake.answers[{verb!r}] = '510 ...'"))
            self._answer("510 Invalid or unknown command")
            return
        if self._dead and verb not in LEGAL_WHEN_DEAD:
            self._answer("511 Command Not Permitted on a dead channel or intercept routine")
            return
        arguments = words[length:]
        self._maybe_hang_up(verb)
        if verb in self.answers:
            self._answer(self.answers[verb])
            self._later(self._notice_hangup)
            return
        try:
            answer = COMMANDS[verb](self, arguments)
        except Exception as error:
            self._report(error)
            answer = "200 result=-1"
        if answer is not None:
            self._answer(answer)
        self._later(self._notice_hangup)

    def _maybe_hang_up(self, name: str) -> None:
        count = self._hang_up_during.get(name.upper())
        if count is not None:
            self._hang_up_during[name.upper()] = count - 1
        if count == 1 or len(self.commands) in self._hang_up_at_commands:
            self._hang_up_channel()

    def _until_key(
        self, verb: str, seconds: float | None, look: Callable[[], str | None], timed_out: Callable[[], str]
    ) -> str | None:
        """Wait for keys; the answer, or None when it comes later.

        Parameters:
            verb: of the command.
            seconds: without a key; None for as long as the caller is there.
            look: the answer by the keys that are there; None when they are not enough.
            timed_out: the answer when no more come.
        """
        answer = look()
        if answer is not None or not self.channel.alive:
            return self._alive(answer or "")
        if not self._time_passes:
            return timed_out()
        deadline = None if seconds is None else self.clock.seconds() + seconds
        self._prompt = _Prompt(verb, seconds, deadline, look, timed_out)
        self._later(self._let_time_pass)
        return None

    def _let_time_pass(self) -> None:
        """Up to the next thing that is planned, or to the end of the prompt."""
        prompt = self._prompt
        if prompt is None:
            return
        keys, now = len(self._keys), self.clock.seconds()
        answer = prompt.look()
        if answer is None and len(self._keys) < keys and prompt.seconds is not None:
            prompt.deadline = now + prompt.seconds
        if answer is None and prompt.deadline is not None and now >= prompt.deadline:
            answer = prompt.timed_out()
        if answer is not None:
            self._prompt = None
            self._answer(answer)
            self._later(self._notice_hangup)
        elif prompt.deadline is not None:
            planned = [call.getTime() for call in self.clock.getDelayedCalls()]
            self.clock.advance(max(0.0, min([prompt.deadline, *planned]) - now))
            self._later(self._let_time_pass)

    def _alive(self, answer: str) -> str:
        return answer if self.channel.alive else "200 result=-1"

    def _play(self, sound: str) -> bool:
        """Play a sound; whether it exists."""
        if sound in self.missing_sounds:
            self.happened.append(f"missing {sound}")
            return False
        self.played.append(sound)
        self.happened.append(f"plays {sound}")
        if sound in self._hang_up_at_prompts:
            self._hang_up_channel()
        return True

    def _key_of(self, escape_digits: str) -> int:
        """The key that stops a sound: a key that is not listened for is lost, as on a phone."""
        while self._keys:
            key = self._keys.popleft()
            if key in escape_digits:
                return ord(key)
            if not escape_digits:
                self._keys.appendleft(key)
                break
        return 0

    def _do_answer(self, arguments: list[str]) -> str:
        if self.channel.alive:
            self.channel.state = ChannelState.UP
        return self._alive("200 result=0")

    def _do_nothing(self, arguments: list[str]) -> str:
        return "200 result=0"

    def _do_verbose(self, arguments: list[str]) -> str:
        return "200 result=1" if arguments else USAGE.format("VERBOSE <message> <level>")

    def _find(self, name: str) -> FakeChannel | None:
        """A channel by its name or uniqueid (ast_channel_get_by_name)."""
        for channel in self.channels:
            if channel.alive and (channel.name.lower() == name.lower() or channel.uniqueid == name):
                return channel
        return None

    def _do_channel_status(self, arguments: list[str]) -> str:
        if len(arguments) > 1:
            return USAGE.format("CHANNEL STATUS [<channelname>]")
        channel = self._find(arguments[0]) if arguments else self.channel
        return f"200 result={-1 if channel is None else int(channel.state)}"

    def _do_hangup(self, arguments: list[str]) -> str:
        channel = self._find(arguments[0]) if arguments else self.channel
        if channel is None:
            return "200 result=-1"
        if channel is self.channel:
            self._hang_up_channel()
        channel.alive = False
        return "200 result=1"

    def _do_get_data(self, arguments: list[str]) -> str | None:
        if not 1 <= len(arguments) <= 3:
            return USAGE.format("GET DATA <file> [timeout] [maxdigits]")
        most = int(arguments[2]) if len(arguments) > 2 else 1024
        if arguments[0] and not self._play(arguments[0]):
            return "200 result=-1"
        digits: list[str] = []

        def look() -> str | None:
            while self._keys and len(digits) < most:
                key = self._keys.popleft()
                if key == "#":
                    return f"200 result={''.join(digits)}"
                digits.append(key)
            return f"200 result={''.join(digits)}" if len(digits) == most else None

        if not self.channel.alive:
            return "200 result=-1"
        return self._until_key(
            "GET DATA", _seconds(arguments, 1), look, lambda: f"200 result={''.join(digits)} (timeout)"
        )

    def _do_stream_file(self, arguments: list[str]) -> str:
        if not 2 <= len(arguments) <= 8:
            return USAGE.format("STREAM FILE <filename> <escape digits> [sample offset]")
        if not self._play(arguments[0]):
            return "200 result=-1 endpos=0"
        if not self.channel.alive:
            return "200 result=-1 endpos=160"
        return f"200 result={self._key_of(arguments[1])} endpos=8000"

    def _do_control_stream_file(self, arguments: list[str]) -> str:
        # Asterisk says a position only of a sound that was stopped (handle_controlstreamfile, res_agi.c).
        answer = self._do_stream_file(arguments)
        return answer.replace("result=0 endpos=8000", "result=0 endpos=-1")

    def _do_get_option(self, arguments: list[str]) -> str | None:
        if not 2 <= len(arguments) <= 3:
            return USAGE.format("GET OPTION <filename> <escape_digits> [timeout]")
        answer = self._do_stream_file(arguments[:2])
        if not answer.startswith("200 result=0 "):
            return answer
        return self._until_key(
            "GET OPTION",
            _seconds(arguments, 2),
            lambda: f"200 result={key} endpos=8000" if (key := self._key_of(arguments[1])) else None,
            lambda: answer,
        )

    def _do_say(self, kind: str, arguments: list[str]) -> str:
        if len(arguments) < 2:
            return USAGE.format(f"SAY {kind.upper()} <text> <escape digits>")
        self.played.append(f"{kind}:{arguments[0]}")
        self.happened.append(f"says {kind} {arguments[0]}")
        return self._alive(f"200 result={self._key_of(arguments[1])}")

    def _do_wait_for_digit(self, arguments: list[str]) -> str | None:
        if len(arguments) != 1:
            return USAGE.format("WAIT FOR DIGIT <timeout>")
        seconds = None if arguments[0].startswith("-") else _seconds(arguments, 0, 0.0)
        return self._until_key(
            "WAIT FOR DIGIT",
            seconds,
            lambda: f"200 result={ord(key)}" if (key := self.next_key()) else None,
            lambda: "200 result=0",
        )

    def _do_record_file(self, arguments: list[str]) -> str | None:
        if len(arguments) < 4:
            return USAGE.format("RECORD FILE <filename> <format> <escape digits> <timeout>")
        self.happened.append(f"records {arguments[0]}")
        if not self.channel.alive:
            return "200 result=-1 (hangup) endpos=160"
        silence = [float(one[2:]) for one in arguments[4:] if one.startswith("s=")]
        lasts = [*silence, *([] if arguments[3].startswith("-") else [_seconds(arguments, 3, 0.0)])]
        return self._until_key(
            "RECORD FILE",
            min(lasts, default=None),
            lambda: f"200 result={key} (dtmf) endpos=8000" if (key := self._key_of(arguments[2])) else None,
            lambda: "200 result=0 (timeout) endpos=8000",
        )

    def _do_get_variable(self, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return USAGE.format("GET VARIABLE <variablename>")
        value = variable(self, self.channel, arguments[0]).encode()[:1023].decode("utf-8", "ignore")
        return f"200 result=1 ({value})" if value or arguments[0] in self.channel.variables else "200 result=0"

    def _do_get_full_variable(self, arguments: list[str]) -> str:
        if not 1 <= len(arguments) <= 2:
            return USAGE.format("GET FULL VARIABLE <variablename> [<channel name>]")
        channel = self._find(arguments[1]) if len(arguments) == 2 else self.channel
        return "200 result=0" if channel is None else f"200 result=1 ({evaluate(self, channel, arguments[0])})"

    def _do_set_variable(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return USAGE.format("SET VARIABLE <variablename> <value>")
        self.channel.variables[arguments[0]] = arguments[1]
        return "200 result=1"

    def _do_set_place(self, attribute: str, arguments: list[str]) -> str:
        if len(arguments) != 1:
            return USAGE.format(f"SET {attribute.upper()} <desired {attribute}>")
        setattr(self.channel, attribute, arguments[0])
        return "200 result=0"

    def _do_set_callerid(self, arguments: list[str]) -> str:
        self.channel.caller_id = arguments[0] if arguments else None
        return "200 result=1"

    def _do_database_get(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return USAGE.format("DATABASE GET <family> <key>")
        value = self.database.get((arguments[0], arguments[1]))
        return "200 result=0" if value is None else f"200 result=1 ({value})"

    def _do_database_put(self, arguments: list[str]) -> str:
        if len(arguments) != 3:
            return USAGE.format("DATABASE PUT <family> <key> <value>")
        self.database[arguments[0], arguments[1]] = arguments[2]
        return "200 result=1"

    def _do_database_del(self, arguments: list[str]) -> str:
        if len(arguments) != 2:
            return USAGE.format("DATABASE DEL <family> <key>")
        self.database.pop((arguments[0], arguments[1]), None)
        return "200 result=1"  # whether there was such a key or not (ast_db_del, db.c)

    def _do_database_deltree(self, arguments: list[str]) -> str:
        if not 1 <= len(arguments) <= 2:
            return USAGE.format("DATABASE DELTREE <family> [keytree]")
        tree = arguments[1] if len(arguments) == 2 else ""
        gone = [
            (family, key)
            for family, key in self.database
            if family == arguments[0] and (not tree or key == tree or key.startswith(f"{tree}/"))
        ]
        for place in gone:
            del self.database[place]
        # The other way round than documented, as handle_dbdeltree has it.
        return f"200 result={0 if gone else 1}"

    def _do_receive_text(self, arguments: list[str]) -> str:
        return "200 result=-1"

    def _do_receive_char(self, arguments: list[str]) -> str:
        # A phone on SIP has no such characters, and Asterisk does not tell that from a hang-up.
        return "200 result=-1 (hangup)"

    def _do_speech(self, arguments: list[str]) -> str:
        return "200 result=0"

    def _do_gosub(self, arguments: list[str]) -> str:
        if not 3 <= len(arguments) <= 4:
            return USAGE.format("GOSUB <context> <extension> <priority> [<optional-argument>]")
        context, extension, priority = arguments[:3]
        function = self.subroutines.get((context, extension))
        if function is None or (context, extension, priority) in self.missing_subroutines:
            if (context, extension, priority) not in self.missing_subroutines:
                place = f"{context!r}, {extension!r}"
                self._report(
                    LookupError(
                        f"GOSUB: give the fake what it runs, fake.subroutine({place}, ...), or add "
                        f"({place}, {priority!r}) to fake.missing_subroutines"
                    )
                )
            return "200 result=-1 Gosub label not found"
        self.happened.append(f"runs {context},{extension},{priority}")
        self._answer("100 result=0 Trying...")
        returned = function(self, self.channel, arguments[3] if len(arguments) > 3 else "")
        self.channel.variables["GOSUB_RETVAL"] = returned
        return "200 result=0 Gosub complete"

    def _do_exec(self, arguments: list[str]) -> str | None:
        if not arguments:
            return USAGE.format("EXEC <application> <options>")
        name = arguments[0]
        argument = arguments[1] if len(arguments) > 1 else ""
        self.executed.append((name, argument))
        function = self.applications.get(name.lower())
        if function is None:
            if name not in self.missing_applications:
                self._report(
                    LookupError(
                        f"EXEC {name}: give the fake the application, fake.application({name!r}, ...), or add it to "
                        "fake.missing_applications"
                    )
                )
            return "200 result=-2"
        self._maybe_hang_up(name)
        result = function(self, self.channel, argument)
        if not self.channel.alive:
            return "200 result=-1"
        if isinstance(result, _Blocks):
            self._blocked = name
            return None
        self._application_over(result)
        return None

    def _application_over(self, result: int) -> None:
        self._answer(f"200 result={result}")
        if result == 1:
            # The command returns what its application returned, and 1 also asks for the usage (handle_exec).
            self._answer(USAGE.format("EXEC <application> <options>"))
        self._later(self._notice_hangup)


COMMANDS: Final[dict[str, Callable[[FakeAsterisk, list[str]], str | None]]] = {
    "ANSWER": FakeAsterisk._do_answer,
    "ASYNCAGI BREAK": FakeAsterisk._do_nothing,
    "CHANNEL STATUS": FakeAsterisk._do_channel_status,
    "CONTROL STREAM FILE": FakeAsterisk._do_control_stream_file,
    "DATABASE DEL": FakeAsterisk._do_database_del,
    "DATABASE DELTREE": FakeAsterisk._do_database_deltree,
    "DATABASE GET": FakeAsterisk._do_database_get,
    "DATABASE PUT": FakeAsterisk._do_database_put,
    "EXEC": FakeAsterisk._do_exec,
    "GET DATA": FakeAsterisk._do_get_data,
    "GET FULL VARIABLE": FakeAsterisk._do_get_full_variable,
    "GET OPTION": FakeAsterisk._do_get_option,
    "GET VARIABLE": FakeAsterisk._do_get_variable,
    "GOSUB": FakeAsterisk._do_gosub,
    "HANGUP": FakeAsterisk._do_hangup,
    "NOOP": FakeAsterisk._do_nothing,
    "RECEIVE CHAR": FakeAsterisk._do_receive_char,
    "RECEIVE TEXT": FakeAsterisk._do_receive_text,
    "RECORD FILE": FakeAsterisk._do_record_file,
    "SEND IMAGE": FakeAsterisk._do_nothing,
    "SEND TEXT": FakeAsterisk._do_nothing,
    "SET AUTOHANGUP": FakeAsterisk._do_nothing,
    "SET CALLERID": FakeAsterisk._do_set_callerid,
    "SET MUSIC": FakeAsterisk._do_nothing,
    "SET VARIABLE": FakeAsterisk._do_set_variable,
    "SPEECH ACTIVATE GRAMMAR": FakeAsterisk._do_speech,
    "SPEECH CREATE": FakeAsterisk._do_speech,
    "SPEECH DEACTIVATE GRAMMAR": FakeAsterisk._do_speech,
    "SPEECH DESTROY": FakeAsterisk._do_speech,
    "SPEECH LOAD GRAMMAR": FakeAsterisk._do_speech,
    "SPEECH RECOGNIZE": FakeAsterisk._do_speech,
    "SPEECH SET": FakeAsterisk._do_speech,
    "SPEECH UNLOAD GRAMMAR": FakeAsterisk._do_speech,
    "STREAM FILE": FakeAsterisk._do_stream_file,
    "TDD MODE": FakeAsterisk._do_nothing,
    "VERBOSE": FakeAsterisk._do_verbose,
    "WAIT FOR DIGIT": FakeAsterisk._do_wait_for_digit,
    **{
        f"SAY {kind.upper()}": partial(lambda kind, fake, arguments: fake._do_say(kind, arguments), kind)
        for kind in ("alpha", "digits", "number", "phonetic", "date", "time", "datetime")
    },
    **{
        f"SET {place.upper()}": partial(lambda place, fake, arguments: fake._do_set_place(place, arguments), place)
        for place in ("context", "extension", "priority")
    },
}
"""What each command does."""
