"""A PBX in memory that speaks AGI as Asterisk 16 to 22 do (res_agi.c), quirks included.

Two rules: everything that happens is in ``happened``, in order; whatever goes wrong inside the fake comes out of
``run``, for an error that stays inside makes a test pass.

In memory nothing takes real time. ``clock`` passes by what a command waits for: a prompt without keys times out when
its time has passed, and whatever is planned happens on the way. Otherwise time stands still unless ``advance`` is
called. ``call`` does the same over TCP, where time is real and a prompt without keys times out at once.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Callable, Iterable
from functools import partial

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
from agi_monitor.testing.fake_audio import FakeAudio
from agi_monitor.testing.fake_channel import FakeChannel
from agi_monitor.testing.fake_commands import COMMANDS, FakeCommands
from agi_monitor.testing.fake_pbx import BLOCKS, Blocks
from agi_monitor.testing.fake_threads import FakeThreads
from agi_monitor.testing.fake_transport import FakeTransport
from agi_monitor.testing.sockets import SocketWire, converse
from agi_monitor.testing.words import split_words

MAX_COMMANDS = 10_000
"""How many commands one call may take, unless a test says otherwise: 5 MB of memory."""

ASYNCIO_SECONDS = 10.0
"""How long ``run_asyncio`` waits for the end of a handler, in real time."""

CALL_SECONDS = 30.0
"""How long ``call`` waits for the server to close."""


class FakeAsterisk(FakeCommands):
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
        calling = FakeChannel(
            channel,
            uniqueid,
            state=ChannelState.RING,
            context=context,
            extension=extension,
            caller_id=caller_id,
            caller_id_name=caller_id_name,
            language=language,
        )
        super().__init__(calling, Clock(), time_passes)
        self.answers: dict[str, str] = {}
        """Command -> what it is answered with instead, such as ``"510 Invalid or unknown command"``."""
        self.closed = False
        """Whether the session is over."""
        self.failed = False
        """Whether the server said ``failure``."""
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
        self._ends_by_itself: IDelayedCall | None = None
        self._closed_at_last: Deferred[None] | None = None
        self._audio = FakeAudio(self._later) if eagi else None
        self._max_commands = max_commands

    # -- arranging --

    def says(self, samples: bytes) -> int:
        """The caller says this, to a handler that was called by ``EAGI()``. Sound that is not read is lost.

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

    def application_lasts(
        self, name: str, seconds: float, result: int = 0, then: Callable[[FakeChannel], object] | None = None
    ) -> None:
        """A dialplan application runs for this time, unless the caller hangs up before.

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

        def run(fake: FakeAsterisk, channel: FakeChannel, argument: str) -> Blocks:
            self._ends_by_itself = self.clock.callLater(seconds, end)
            return BLOCKS

        self.application(name, run)

    # -- acting --

    def start(self, serve: Story) -> None:
        """Call the server: it runs the story as far as it gets.

        Parameters:
            serve: a handler that is a coroutine function, a ``Router``, or another story.
        """

        async def watched(session: Session) -> None:
            try:
                running = serve(session)
                if not inspect.isawaitable(running):
                    name = getattr(serve, "__qualname__", type(serve).__qualname__)
                    raise TypeError(
                        f"{name}: a handler is an `async def`; a blocking function goes through `blocking`"
                    )
                await running
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
            OSError: no server listens there.
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
