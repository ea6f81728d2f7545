"""agi_monitor.agi.protocol on a StringTransport and a Clock: limits, deadlines, hang-ups, peers, the secret."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from agi_monitor.agi import protocol as protocol_module
from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.protocol import Count, FastAGIFactory, FastAGIProtocol
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded, CommandFailed, InvalidCommand, LocalProtocolError, WrongUsage
from agi_monitor.limits import Limits

ENVIRONMENT = b"agi_network: yes\nagi_network_script: spy\nagi_channel: PJSIP/1-1\nagi_uniqueid: 1.1\n\n"
LIMITS = Limits()


class Transport(StringTransport):
    """A StringTransport that knows the difference between closing and aborting."""

    aborted = False

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        self.aborted = True
        self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted's own


LINES: list[Line] = []


@pytest.fixture(autouse=True)
def every_session_ends() -> Iterator[None]:
    """A story that a test leaves waiting is told, so that its clean-up is over before the next test."""
    LINES.clear()
    yield
    for line in LINES:
        if not line.broken:
            line.breaks()


@dataclass
class Line:
    """One connection from Asterisk's side."""

    protocol: FastAGIProtocol
    transport: Transport
    broken: bool = False

    def says(self, data: bytes) -> bytes:
        """Asterisk sends this; what the server sends meanwhile."""
        self.transport.clear()  # type: ignore[no-untyped-call]  # Twisted's own
        self.protocol.dataReceived(data)
        return self.sent

    def breaks(self) -> None:
        """The connection is gone."""
        self.broken = True
        self.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own

    @property
    def closed(self) -> bool:
        """Whether the server has closed."""
        return self.transport.disconnecting

    @property
    def sent(self) -> bytes:
        """What the server has sent since Asterisk spoke last."""
        return bytes(self.transport.value())  # type: ignore[no-untyped-call]  # Twisted's own


class Server:
    """A factory with a clock, and a story that writes down what it sees."""

    def __init__(self, story: Callable[[Session, list[str]], Awaitable[None]] | None = None, **options: Any) -> None:
        self.clock = Clock()
        self.seen: list[str] = []
        self.sessions: list[Session] = []
        limits = options.pop("limits", LIMITS)

        async def serve(session: Session) -> None:
            self.sessions.append(session)
            if story is not None:
                await story(session, self.seen)

        self.factory = FastAGIFactory(serve, limits, self.clock, id_prefix="t", **options)

    def connect(self, host: str = "127.0.0.1") -> Line | None:
        """A new connection, or None when it was refused unheard."""
        made = self.factory.buildProtocol(IPv4Address("TCP", host, 40_000))
        if made is None:
            return None
        transport = Transport()  # type: ignore[no-untyped-call]  # Twisted's own
        made.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's own
        line = Line(made, transport)
        LINES.append(line)
        return line

    def call(self, environment: bytes = ENVIRONMENT) -> Line:
        """A new connection with its environment."""
        line = self.connect()
        assert line is not None
        line.protocol.dataReceived(environment)
        return line

    def idle(self) -> bool:
        """Whether nothing is left behind: no session, no timer."""
        return not self.factory.sessions and not self.clock.getDelayedCalls()


async def waits_for_data(session: Session, seen: list[str]) -> None:
    """Ask for digits, clean up with a variable."""
    try:
        digits = await session.get_data("agent-pass", 5, 8)
        seen.append(digits.digits)
    except CallEnded:
        seen.append("ended")
        raise
    finally:
        await session.set_variable("RESULT", "over")
        seen.append("cleaned")


GET_DATA = b'GET DATA "agent-pass" "5000" "8"\n'
SET = b'SET VARIABLE "RESULT" "over"\n'


def test_a_whole_session() -> None:
    """Request, commands, replies, and the connection is closed when the story is over."""
    server = Server(waits_for_data)
    with capture_logs() as logs:
        line = server.call()
        assert line.sent == GET_DATA
        assert line.says(b"200 result=1234\n") == SET
        line.says(b"200 result=1\n")
        assert line.closed
        line.breaks()
    assert server.seen == ["1234", "cleaned"]
    assert server.idle()
    assert server.sessions[0].ended is EndReason.FINISHED
    assert server.sessions[0].id == "t-1"
    assert server.sessions[0].peer == "127.0.0.1"
    assert [(log["event"], log["log_level"]) for log in logs] == [
        (LogEvent.SESSION_STARTED, "debug"),
        (LogEvent.SESSION_ENDED, "info"),
    ]
    assert server.factory.counters[Count.COMMANDS] == 2


def test_bytes_one_by_one() -> None:
    """The same session in single bytes."""
    server = Server(waits_for_data)
    line = server.call(b"")
    for byte in ENVIRONMENT:
        sent = line.says(bytes([byte]))
    assert sent == GET_DATA
    for byte in b"200 result=12 (timeout)\n":
        sent = line.says(bytes([byte]))
    assert sent == SET


# -- hang-up --


def test_hangup_while_a_command_runs() -> None:
    """The story sees CallEnded at once; its clean-up waits for the reply that is still out."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(b"HANGUP\n") == b""
    assert server.seen == ["ended"]
    assert server.sessions[0].hung_up
    assert line.says(b"200 result=-1\n") == SET
    line.says(b"200 result=1\n")
    assert server.seen == ["ended", "cleaned"]
    assert line.closed
    assert server.sessions[0].ended is EndReason.HANGUP
    assert server.factory.counters[Count.HANGUPS] == 1
    line.breaks()
    assert server.idle()


@pytest.mark.parametrize("data", [b"200 result=-1\nHANGUP\n", b"HANGUP\n200 result=-1\n"])
def test_hangup_together_with_the_reply(data: bytes) -> None:
    """In one chunk, in either order, it is a hang-up and the connection is in step."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(data) == SET
    assert server.seen == ["ended"]


def test_hangup_behind_the_reply() -> None:
    """-1 alone makes the session ask; the HANGUP that follows ends the story."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(b"200 result=-1\n") == b"CHANNEL STATUS\n"
    assert line.says(b"HANGUP\n") == b""
    assert line.says(b"511 Command Not Permitted on a dead channel\n") == SET
    assert server.seen == ["ended"]


def test_511_is_a_hangup_even_without_the_word() -> None:
    """With AGISIGHUP off Asterisk never says HANGUP."""
    server = Server(waits_for_data)
    line = server.call()
    assert line.says(b"511 Command Not Permitted on a dead channel\n") == SET
    assert server.seen == ["ended"]
    assert server.sessions[0].hung_up
    line.says(b"200 result=1\n")
    assert server.factory.counters[Count.HANGUPS] == 1
    line.breaks()
    assert server.idle()


def test_a_second_hangup_does_not_disturb_the_clean_up() -> None:
    """HANGUP twice cancels once."""
    server = Server(waits_for_data)
    line = server.call()
    line.says(b"HANGUP\n")
    line.says(b"200 result=-1\nHANGUP\n")
    line.says(b"HANGUP\n")
    line.says(b"HANGUP\n200 result=1\n")
    assert server.seen == ["ended", "cleaned"]


def test_half_a_hangup_behind_a_reply_holds_the_next_command_back() -> None:
    """A command is not sent between the halves of a line; it goes out when the rest was read."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.noop()
        await session.set_variable("A", "b")
        seen.append("set")

    server = Server(story)
    line = server.call()
    assert line.says(b"200 result=0\n200 re") == b""
    server.clock.advance(LIMITS.command_seconds)
    assert line.closed

    server = Server(story)
    line = server.call()
    assert line.says(b"200 result=0\nHANG") == b""
    line.says(b"UP\n")
    assert server.sessions[0].hung_up


def test_a_reply_that_never_comes_after_hangup() -> None:
    """The clean-up waits so long for it and no longer; then its commands are over as well."""
    server = Server(waits_for_data)
    line = server.call()
    line.says(b"HANGUP\n")
    server.clock.advance(LIMITS.hangup_reply_seconds - 0.1)
    assert not line.closed
    server.clock.advance(0.2)
    assert server.seen == ["ended"]  # set_variable raised CallEnded
    assert line.closed
    line.breaks()
    assert server.idle()


def test_a_late_reply_brings_the_conversation_back_into_step() -> None:
    """Given up and then come after all, it answers nobody, and the next clean-up command is sent again."""
    later: Deferred[None] = Deferred()

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        finally:
            with pytest.raises(CallEnded):
                await session.noop()
            await later
            seen.append(str(await session.get_variable("A")))

    server = Server(story)
    line = server.call()
    line.says(b"HANGUP\n")
    server.clock.advance(LIMITS.hangup_reply_seconds)
    line.says(b"200 result=999\n")
    later.callback(None)
    assert line.sent == b'GET VARIABLE "A"\n'
    line.says(b"200 result=1 (b)\n")
    assert server.seen == ["b"]


def test_hangup_between_commands_cancels_what_the_story_waits_for() -> None:
    """A foreign Deferred is cancelled, and the story sees CallEnded, not CancelledError."""
    cancelled: list[bool] = []

    async def story(session: Session, seen: list[str]) -> None:
        foreign: Deferred[None] = Deferred(lambda _: cancelled.append(True))
        try:
            await foreign
        except CallEnded:
            seen.append("ended")
            with pytest.raises(CallEnded):
                await session.answer()
            await session.noop()
            raise

    server = Server(story)
    line = server.call()
    assert line.says(b"HANGUP\n") == b"NOOP\n"
    assert cancelled == [True]
    assert server.seen == ["ended"]
    line.says(b"200 result=0\n")
    assert line.closed


def test_hangup_reaches_a_nested_task() -> None:
    """A verb inside another coroutine's Deferred is released too."""

    async def inner(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        except CallEnded:
            seen.append("inner")
            raise

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await ensureDeferred(inner(session, seen))
        except CallEnded:
            seen.append("outer")

    server = Server(story)
    server.call().says(b"HANGUP\n")
    assert server.seen == ["inner", "outer"]


def test_hangup_together_with_the_environment() -> None:
    """The story begins and is told where it first waits."""
    server = Server(waits_for_data)
    line = server.call(ENVIRONMENT + b"HANGUP\n")
    assert server.seen == ["ended"]
    assert line.says(b"511 dead\n") == SET


def test_a_story_that_catches_the_end_goes_on_with_what_is_legal() -> None:
    """CallEnded is raised once; afterwards only commands that need a live channel raise it."""

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        except CallEnded:
            seen.append("caught")
        seen.append(str(await session.get_variable("A")))
        with pytest.raises(CallEnded):
            await session.stream_file("beep")

    server = Server(story)
    line = server.call()
    line.says(b"HANGUP\n200 result=-1\n")
    line.says(b"200 result=1 (b)\n")
    assert server.seen == ["caught", "b"]
    assert line.closed


def test_the_connection_breaks() -> None:
    """Lost connection: CallEnded where it waits, and every verb after it."""
    server = Server(waits_for_data)
    line = server.call()
    line.breaks()
    assert server.seen == ["ended"]
    assert server.sessions[0].ended is EndReason.CONNECTION_LOST
    assert not server.sessions[0].hung_up
    assert server.idle()


def test_the_connection_breaks_during_clean_up() -> None:
    """A clean-up command in flight is released."""
    server = Server(waits_for_data)
    line = server.call()
    line.says(b"HANGUP\n200 result=-1\n")
    line.breaks()
    assert server.seen == ["ended"]
    assert server.idle()


def test_a_clean_up_that_hangs_is_left_behind() -> None:
    """After cleanup_seconds its session is over, whatever it still waits for."""
    never: Deferred[None] = Deferred()

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        finally:
            await never

    server = Server(story)
    with capture_logs() as logs:
        line = server.call()
        line.says(b"HANGUP\n")
        server.clock.advance(LIMITS.cleanup_seconds)
        assert line.closed
        line.breaks()
        assert server.idle()
        never.callback(None)
    assert server.factory.counters[Count.LEFT_BEHIND] == 1
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.CLEANUP_LEFT_BEHIND]
    assert [log["event"] for log in logs].count(LogEvent.SESSION_ENDED) == 1


# -- ended from outside --


def test_ended_from_outside_the_channel_is_alive() -> None:
    """The story sees CallEnded; its clean-up may use every verb, after the reply that is out."""

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.get_data("x")
        except CallEnded:
            await session.stream_file("sorry")
            seen.append("played")

    server = Server(story)
    line = server.call()
    line.transport.clear()  # type: ignore[no-untyped-call]  # Twisted's own
    server.sessions[0].end()
    server.sessions[0].end(EndReason.REVOKED)
    assert line.sent == b""
    assert line.says(b"200 result= (timeout)\n") == b'STREAM FILE "sorry" "" "0"\n'
    line.says(b"200 result=0 endpos=1\n")
    assert server.seen == ["played"]
    assert line.closed
    assert server.sessions[0].ended is EndReason.SHUTDOWN


def test_a_story_may_end_itself() -> None:
    """end() from inside is seen where it waits next, and that wait is cancelled."""

    async def story(session: Session, seen: list[str]) -> None:
        session.end(EndReason.REVOKED)
        try:
            await session.answer()
        except CallEnded:
            seen.append("ended")

    server = Server(story)
    line = server.call()
    assert server.seen == ["ended"]
    assert line.closed


def test_hangup_after_end_from_outside() -> None:
    """HANGUP during the clean-up does not cancel it; from then on the channel is dead."""
    server = Server(waits_for_data)
    line = server.call()
    server.factory.end_all()
    assert line.says(b"HANGUP\n200 result=-1\n") == SET
    line.says(b"200 result=1\n")
    assert server.seen == ["ended", "cleaned"]
    assert server.sessions[0].ended is EndReason.SHUTDOWN


def test_drain() -> None:
    """New calls are refused with failure, running ones go on, idle fires when the last is over."""
    server = Server(waits_for_data)
    early = server.connect()
    assert early is not None
    line = server.call()
    server.factory.drain()
    idle: list[None] = []
    server.factory.idle().addCallback(idle.append)
    with capture_logs() as logs:
        assert early.says(ENVIRONMENT) == b"failure\n"
        refused = server.call()
    assert refused.sent == b"failure\n"
    assert refused.closed
    assert early.closed
    assert [log["reason"] for log in logs] == ["draining", "draining"]
    assert list(server.factory.sessions) == ["t-1"]
    line.says(b"200 result=1\n")
    assert idle == []
    line.says(b"200 result=1\n")
    assert idle == [None]
    assert server.factory.idle().called
    cancelled = Server(waits_for_data)
    cancelled.call()
    waiting = cancelled.factory.idle()
    waiting.cancel()
    assert isinstance(waiting.result, Failure)
    waiting.addErrback(lambda _: None)


# -- deadlines --


def test_a_peer_that_says_nothing() -> None:
    """After environment_seconds it is closed; nothing is left."""
    server = Server()
    line = server.connect()
    assert line is not None
    server.clock.advance(LIMITS.environment_seconds)
    assert line.closed
    assert server.factory.counters[Count.ENVIRONMENT_DEADLINES] == 1
    server.clock.advance(LIMITS.hangup_reply_seconds)
    assert line.transport.aborted
    line.breaks()
    assert server.idle()
    assert server.factory.counters[Count.DROPPED] == 0


@pytest.mark.parametrize(
    ("verb", "seconds"),
    [
        (lambda session: session.noop(), LIMITS.command_seconds),
        (lambda session: session.stream_file("x"), LIMITS.playback_seconds),
        (lambda session: session.get_data("x", 5, 3), LIMITS.prompt_seconds + 5 * 4),
        (lambda session: session.wait_for_digit(7), LIMITS.prompt_seconds + 7),
        (lambda session: session.wait_for_digit(), LIMITS.execute_seconds),
        (lambda session: session.execute("ChanSpy", "x"), LIMITS.execute_seconds),
    ],
)
def test_each_command_has_its_deadline(verb: Callable[[Session], Awaitable[Any]], seconds: float) -> None:
    """A reply that does not come ends the session, not earlier and not later."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.noop()
        try:
            await verb(session)
        except CallEnded:
            seen.append("ended")
            with pytest.raises(CallEnded):
                await session.noop()
            raise

    server = Server(story)
    with capture_logs() as logs:
        line = server.call()
        server.clock.advance(1)
        line.says(b"200 result=0\n")
        server.clock.pump([seconds / 2, seconds / 2 - 0.01])
        assert not line.closed
        server.clock.advance(0.02)
    assert line.closed
    assert server.seen == ["ended"]
    assert server.sessions[0].ended is EndReason.DEADLINE
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.DEADLINE_PASSED]
    line.breaks()
    assert server.idle()


def test_an_idle_story_has_no_deadline() -> None:
    """Between commands a story may take its time."""
    waiting: Deferred[None] = Deferred()

    async def story(session: Session, seen: list[str]) -> None:
        await session.noop()
        await waiting

    server = Server(story)
    line = server.call()
    line.says(b"200 result=0\n")
    server.clock.pump([3600.0] * 3)
    assert not line.closed
    waiting.callback(None)
    assert line.closed


def test_a_cancelled_verb_keeps_the_conversation_in_step() -> None:
    """When a story stops waiting for a reply, the next command waits for it and gets its own."""

    async def story(session: Session, seen: list[str]) -> None:
        waiting = ensureDeferred(session.get_data("x", 5, 3))
        deferLater(server.clock, 1, waiting.cancel)
        with pytest.raises(CancelledError):
            await waiting
        seen.append(str(await session.get_variable("A")))

    server = Server(story)
    line = server.call()
    server.clock.advance(1)
    assert line.says(b"200 result=999\n") == b'GET VARIABLE "A"\n'
    line.says(b"200 result=1 (b)\n")
    assert server.seen == ["b"]


def test_one_command_at_a_time() -> None:
    """A second command while one is in flight is refused before anything is sent."""

    async def story(session: Session, seen: list[str]) -> None:
        first = ensureDeferred(session.noop())
        with pytest.raises(LocalProtocolError):
            await session.noop()
        await first
        seen.append("first")

    server = Server(story)
    line = server.call()
    assert line.sent == b"NOOP\n"
    line.says(b"200 result=0\n")
    assert server.seen == ["first"]


# -- errors --


@pytest.mark.parametrize(
    ("reply", "error"), [(b"510 Invalid\n", InvalidCommand), (b"520-U\nx\n520 End of proper usage.\n", WrongUsage)]
)
def test_error_replies(reply: bytes, error: type[Exception]) -> None:
    """510 and 520 are errors of their command, and the session goes on."""

    async def story(session: Session, seen: list[str]) -> None:
        with pytest.raises(error):
            await session.noop()
        await session.noop()
        seen.append("on")

    server = Server(story)
    line = server.call()
    assert line.says(reply) == b"NOOP\n"
    line.says(b"200 result=0\n")
    assert server.seen == ["on"]


@pytest.mark.parametrize("data", [b"junk\n", b"200 result=0\n200 result=0\n", b"x" * 9000])
def test_a_peer_that_breaks_the_protocol(data: bytes) -> None:
    """It is aborted at once; the story sees CallEnded; one warning."""
    server = Server(waits_for_data)
    with capture_logs() as logs:
        line = server.call()
        line.says(data)
        assert line.transport.aborted
        line.says(b"more\n")
        line.breaks()
    assert server.seen == ["ended"]
    assert server.sessions[0].ended is EndReason.PROTOCOL_ERROR
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.PROTOCOL_ERROR]
    assert server.idle()


def test_a_story_that_fails() -> None:
    """An unexpected error is logged with where it was, Asterisk is told failure, and the connection closed."""

    async def story(session: Session, seen: list[str]) -> None:
        pin = "4711"
        raise RuntimeError(f"a bug of {len(pin)}")

    server = Server(story)
    with capture_logs() as logs:
        line = server.call()
    assert line.sent == b"failure\n"
    assert line.closed
    (log,) = [log for log in logs if log["log_level"] == "error"]
    assert log["event"] == LogEvent.STORY_FAILED
    assert log["error"] == "RuntimeError"
    assert "test_fastagi.py" in log["traceback"]
    assert "4711" not in str(logs).replace('pin = "4711"', "")
    assert server.factory.counters[Count.STORIES_FAILED] == 1
    assert server.sessions[0].ended is EndReason.FAILED


def test_a_story_that_fails_after_the_hangup_does_not_hide_it() -> None:
    """After HANGUP no failure is sent: AGISTATUS stays HANGUP."""

    async def story(session: Session, seen: list[str]) -> None:
        try:
            await session.noop()
        except CallEnded:
            raise RuntimeError from None

    server = Server(story)
    assert server.call().says(b"HANGUP\n") == b""
    assert server.factory.counters[Count.STORIES_FAILED] == 1


def test_a_refusing_story() -> None:
    """refuse() sends failure when the story is over."""

    async def story(session: Session, seen: list[str]) -> None:
        session.refuse()

    server = Server(story)
    line = server.call()
    assert line.sent == b"failure\n"
    assert line.closed
    assert server.sessions[0].ended is EndReason.REFUSED


# -- peers and limits --


@pytest.mark.parametrize(
    ("host", "allowed", "accepted"),
    [
        ("127.0.0.1", None, True),
        ("::1", None, True),
        ("::ffff:127.0.0.1", None, True),
        ("192.0.2.1", None, False),
        ("::ffff:192.0.2.1", None, False),
        ("192.0.2.1", ["192.0.2.0/24"], True),
        ("::ffff:192.0.2.1", ["192.0.2.1"], True),
        ("2001:db8::1%eth0", ["2001:db8::/32"], True),
        ("127.0.0.1", ["192.0.2.0/24"], False),
        ("not an address", None, False),
    ],
)
def test_the_allow_list(host: str, allowed: list[str] | None, accepted: bool) -> None:
    """Loopback only when nobody is named; an IPv4 address inside an IPv6 one counts as itself."""
    server = Server() if allowed is None else Server(allowed_peers=allowed)
    address = IPv6Address("TCP", host, 1) if ":" in host else IPv4Address("TCP", host, 1)
    with capture_logs() as logs:
        assert (server.factory.buildProtocol(address) is not None) is accepted
    assert server.factory.counters[Count.PEER_NOT_ALLOWED] == (not accepted)
    assert [log["event"] for log in logs] == ([] if accepted else [LogEvent.PEER_REFUSED])


def test_a_peer_without_an_address_is_refused() -> None:
    """A UNIX socket has no address to allow."""
    assert Server().factory.buildProtocol(UNIXAddress("/x")) is None


def test_a_flood_of_strangers_does_not_flood_the_log() -> None:
    """All are counted, some are logged, and the next line says how many were not."""
    server = Server()
    with capture_logs() as logs:
        for _ in range(1000):
            assert server.connect("192.0.2.1") is None
        server.clock.advance(protocol_module.LOG_SECONDS)
        assert server.connect("192.0.2.1") is None
    assert len(logs) == protocol_module.LOG_LINES + 1
    assert logs[-1]["suppressed"] == 1000 - protocol_module.LOG_LINES
    assert server.factory.counters[Count.PEER_NOT_ALLOWED] == 1001
    assert server.idle()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (replace(LIMITS, max_sessions=2), "too_many_sessions"),
        (replace(LIMITS, max_sessions_per_peer=2), "too_many_of_peer"),
    ],
)
def test_too_many_sessions(limits: Limits, reason: str) -> None:
    """The third is refused with failure; when one is over there is room again."""
    server = Server(waits_for_data, limits=limits)
    lines = [server.call(), server.call()]
    third = server.call()
    assert third.sent == b"failure\n"
    assert third.closed
    third.breaks()
    assert server.factory.counters[Count(reason)] == 1
    lines[0].breaks()
    assert server.call().sent == GET_DATA


def test_refused_connections_are_bounded_too() -> None:
    """Those that are only kept to be told failure cannot become many."""
    server = Server(waits_for_data, limits=replace(LIMITS, max_sessions=1))
    server.call()
    kept = [line for line in (server.connect() for _ in range(1000)) if line is not None]
    assert len(kept) == protocol_module.MAX_REFUSING
    for line in kept:
        line.breaks()
    assert server.connect() is not None


def test_a_health_check_is_quiet() -> None:
    """Connect and close costs nothing and says nothing above debug."""
    server = Server(waits_for_data)
    with capture_logs() as logs:
        for data in (b"", b"agi_net"):
            line = server.connect()
            assert line is not None
            line.says(data)
            line.breaks()
    assert {log["log_level"] for log in logs} == {"debug"}
    assert [log["received"] for log in logs] == [0, 7]
    assert server.factory.counters[Count.DROPPED] == 2
    assert server.idle()
    assert server.sessions == []


def test_the_last_bytes_may_come_with_the_end() -> None:
    """What is sent to a closed session is not read."""
    server = Server()
    line = server.call()
    assert line.closed
    assert line.says(b"HANGUP\n") == b""
    line.breaks()
    assert server.idle()


# -- the secret and the logs --


@pytest.mark.parametrize(
    ("arguments", "accepted"),
    [
        (b"agi_arg_1: s3cr3t\nagi_arg_2: more\n", True),
        (b"agi_arg_1: wrong\nagi_arg_2: more\n", False),
        (b"agi_arg_1: s3cr3t \n", False),
        (b"agi_arg_1: \xff\n", False),
        (b"", False),
    ],
)
def test_the_shared_secret(arguments: bytes, accepted: bool) -> None:
    """The first argument must be it; nobody sees it afterwards, in the request or in a log."""
    server = Server(waits_for_data, secret="s3cr3t", transcript=True)
    with capture_logs() as logs:
        line = server.call(ENVIRONMENT[:-1] + arguments + b"\n")
    assert (line.sent == GET_DATA) is accepted
    assert "s3cr3t" not in str(logs)
    if accepted:
        assert server.sessions[0].request.arguments == ("more",)
        assert "s3cr3t" not in str(server.sessions[0].request)
    else:
        assert line.sent == b"failure\n"
        assert line.closed
        assert server.factory.counters[Count.WRONG_SECRET] == 1


def test_an_empty_secret_is_a_mistake() -> None:
    """It would let in every call that has an empty argument."""
    with pytest.raises(ValueError, match="empty"):
        Server(secret="")


def test_the_transcript_holds_no_digits() -> None:
    """Commands and replies are logged at debug level, keys are not, and nothing at all when it is off."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.get_data("agent-pass", 5, 8)
        await session.get_variable("A")
        await session.wait_for_digit(5)
        await session.stream_file("x", "123")

    for transcript in (True, False):
        server = Server(story, transcript=transcript)
        with capture_logs() as logs:
            line = server.call()
            line.says(b"200 result=4711 (timeout)\n")
            line.says(b"200 result=1 (value)\n")
            line.says(b"200 result=4712\n")
            line.says(b"200 result=4713 endpos=1\n")
        lines = [log for log in logs if log["event"] in (LogEvent.SENT, LogEvent.RECEIVED)]
        assert "471" not in str(logs)
        assert len(lines) == (8 if transcript else 0)
        if transcript:
            assert lines[0]["line"] == GET_DATA.decode().strip()
            assert lines[1]["reply"] == "(secret)"
            assert lines[3]["reply"] == "200 result=1 (value)"
            assert {(log["log_level"], log["session"]) for log in lines} == {("debug", "t-1")}


def test_digits_are_not_in_a_repr() -> None:
    """An assertion message or a traceback shows how many, not which."""

    async def story(session: Session, seen: list[str]) -> None:
        seen.append(repr(await session.get_data("x")))

    server = Server(story)
    server.call().says(b"200 result=4711\n")
    assert server.seen == ["Digits(<4>, timed_out=False)"]


# -- a hang-up that the story asked for --


async def hangs_up_and_works(session: Session, seen: list[str]) -> None:
    """Hang up, work for a while, ask for one more thing, and clean up."""
    seen.append(f"hangup {await session.hangup()}")
    working: Deferred[None] = Deferred()
    WORKING.append(working)
    await working
    seen.append("worked")
    try:
        await session.answer()
    except CallEnded:
        seen.append("ended")
    await session.set_variable("RESULT", "over")


WORKING: list[Deferred[None]] = []


@pytest.mark.parametrize("together", [True, False])
def test_its_own_hang_up_interrupts_nothing(together: bool) -> None:
    """Whether HANGUP comes with the reply or behind it: the work is done, and the next command raises."""
    WORKING.clear()
    server = Server(hangs_up_and_works)
    line = server.call()
    assert line.sent == b"HANGUP\n"
    for said in [b"200 result=1\nHANGUP\n"] if together else [b"200 result=1\n", b"HANGUP\n"]:
        line.says(said)
    assert server.seen == ["hangup True"]
    assert server.sessions[0].hung_up
    WORKING[0].callback(None)
    assert server.seen == ["hangup True", "worked", "ended"]
    assert line.sent.endswith(b'SET VARIABLE "RESULT" "over"\n')
    line.says(b"200 result=1\n")
    assert server.sessions[0].ended is EndReason.HANGUP
    assert server.factory.counters[Count.HANGUPS] == 0
    line.breaks()
    assert server.idle()


def test_what_follows_its_own_hang_up_is_timed() -> None:
    """As any other clean-up."""
    WORKING.clear()
    server = Server(hangs_up_and_works)
    line = server.call()
    line.says(b"200 result=1\nHANGUP\n")
    with capture_logs() as logs:
        server.clock.advance(LIMITS.cleanup_seconds)
    assert [log["event"] for log in logs if log["log_level"] == "warning"] == [LogEvent.CLEANUP_LEFT_BEHIND]
    assert line.closed
    WORKING[0].callback(None)
    assert server.seen == ["hangup True", "worked", "ended"]


@pytest.mark.parametrize("own", ["PJSIP/1-1", "pjsip/1-1", "1.1"])
def test_its_own_name_is_this_call_too(own: str) -> None:
    """Asterisk finds a channel by its name in any letters, and by its uniqueid."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.hangup(own)
        seen.append("on")
        await Deferred()

    server = Server(story)
    line = server.call()
    line.says(b"200 result=1\nHANGUP\n")
    assert server.seen == ["on"]


def test_somebody_elses_hang_up_is_no_own_one() -> None:
    """A story that hangs up another channel is told when its own caller goes."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.hangup("PJSIP/2-1")
        seen.append("on")
        try:
            await Deferred()
        except CallEnded:
            seen.append("ended")
            raise

    server = Server(story)
    line = server.call()
    line.says(b"200 result=1\n")
    line.says(b"HANGUP\n")
    assert server.seen == ["on", "ended"]


# -- a story that keeps everybody waiting --


def test_a_story_that_holds_the_reactor_is_named() -> None:
    """Between two waits, at its beginning and at its end, and only when it was long."""
    now = [0.0]
    steps = iter((0.4, 4.0, 0.6))

    async def story(session: Session, seen: list[str]) -> None:
        for _ in range(2):
            now[0] += next(steps)
            await session.noop()
        now[0] += next(steps)

    server = Server(story)
    server.factory.monotonic = lambda: now[0]
    with capture_logs() as logs:
        line = server.call()
        for _ in range(2):
            line.says(b"200 result=0\n")
    held = [log for log in logs if log["event"] == LogEvent.REACTOR_HELD]
    assert [(log["seconds"], log["script"], log["log_level"]) for log in held] == [
        (4.0, "spy", "warning"),
        (0.6, "spy", "warning"),
    ]
    assert all(log["handler"].endswith("serve") for log in held)
    assert server.factory.counters[Count.REACTOR_HELD] == 2


def test_gosub_runs_and_a_reply_without_a_meaning_is_a_failed_command() -> None:
    """Asterisk says 100 before a subroutine runs. 503 and what nobody knows fail, and the session goes on."""

    async def story(session: Session, seen: list[str]) -> None:
        await session.gosub("sub", "s", 1)
        seen.append("ran")
        for _ in range(2):
            try:
                await session.gosub("sub", "s", 1)
            except CommandFailed as error:
                seen.append(str(error.code))
        await session.noop()
        seen.append("on")

    server = Server(story)
    line = server.call()
    line.says(b"100 result=0 Trying...\n")
    line.says(b"200 result=0 Gosub complete\n")
    line.says(b"503 result=-2 Memory allocation failure\n")
    line.says(b"599 what is this\n")
    line.says(b"200 result=0\n")
    assert server.seen == ["ran", "503", "599", "on"]
    assert line.closed
