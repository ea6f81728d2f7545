"""FakeAsterisk: its clock passes by what a command waits for, it hears EAGI, and it serves handlers of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor import CallEnded, Limits, Session, command
from agi_monitor.testing import BLOCKS, FakeAsterisk

Handler = Callable[[Session], Awaitable[None]]


@pytest.mark.parametrize(
    ("ask", "seconds"),
    [
        (lambda session: session.wait_for_digit(3.5), 3.5),
        (lambda session: session.get_data("ask", timeout=4, max_digits=4), 4.0),
        (lambda session: session.get_data("ask"), 10.0),
        (lambda session: session.get_option("ask", "12", timeout=2), 2.0),
        (lambda session: session.record_file("message", "wav", "#", timeout=60), 60.0),
        (lambda session: session.record_file("message", "wav", "#", timeout=60, silence=5), 5.0),
        (lambda session: session.record_file("message", "wav", "#", silence=6), 6.0),
    ],
)
def test_a_prompt_takes_its_time(ask: Callable[[Session], Awaitable[Any]], seconds: float) -> None:
    """In memory alone: no real time passes."""
    fake = FakeAsterisk()

    async def handler(session: Session) -> None:
        await ask(session)

    fake.run(handler)
    assert fake.clock.seconds() == seconds
    assert fake.agi_status == "SUCCESS"


def test_each_key_begins_the_time_anew() -> None:
    """GET DATA waits as long behind each key; planned keys come in their time."""
    fake = FakeAsterisk()
    seen: list[Any] = []

    async def handler(session: Session) -> None:
        seen.append(await session.get_data("ask", timeout=4, max_digits=9))

    fake.clock.callLater(3, fake.keys, "1")
    fake.clock.callLater(6, fake.keys, "2")
    fake.clock.callLater(11, fake.keys, "3")
    fake.run(handler)
    assert [(keyed.digits, keyed.timed_out) for keyed in seen] == [("12", True)]
    assert fake.clock.seconds() == 10


def test_a_planned_hang_up_ends_a_handler_that_loops() -> None:
    """As on a PBX: in the middle of the command that runs then, first its reply and then the word."""
    fake = FakeAsterisk()

    async def handler(session: Session) -> None:
        while True:
            await session.wait_for_digit(5)

    fake.clock.callLater(62, fake.hang_up)
    fake.run(handler)
    assert fake.clock.seconds() == 62
    assert [words[0] for words in fake.commands].count("WAIT") == 13
    hangs_up = fake.happened.index("the caller hangs up")
    assert fake.happened[hangs_up + 1] == "< 200 result=-1"
    assert "< HANGUP" in fake.happened[hangs_up:]
    assert fake.agi_status == "HANGUP"


def test_a_handler_that_loops_for_ever_fails_the_test() -> None:
    """With what to do about it, and long before the memory is full."""

    async def handler(session: Session) -> None:
        while True:
            await session.wait_for_digit(1)

    with (
        capture_logs(),
        pytest.raises(AssertionError, match=r"has sent 10,000 commands and goes on: plan the hang-up"),
    ):
        FakeAsterisk().run(handler)
    fake = FakeAsterisk(max_commands=3)
    with capture_logs(), pytest.raises(AssertionError, match="has sent 3 commands"):
        fake.run(handler)
    assert len(fake.commands) == 3


def test_a_key_without_a_time_out_is_waited_for() -> None:
    """Nothing passes; the test acts, or is told what the handler waits for."""

    async def handler(session: Session) -> None:
        await session.set_variable("KEY", await session.wait_for_digit())

    fake = FakeAsterisk()
    with pytest.raises(AssertionError, match="it waits for a key: WAIT FOR DIGIT without a time-out"):
        fake.run(handler)
    fake.keys("7")
    assert (fake.channel.variables, fake.closed) == ({"KEY": "7"}, True)
    fake = FakeAsterisk()
    fake.start(handler)
    fake.hang_up()
    assert fake.agi_status == "HANGUP"


def test_limits_go_by_the_same_clock() -> None:
    """A deadline of the server under test passes with the rest."""
    fake = FakeAsterisk(limits=Limits(prompt_seconds=1, playback_seconds=1))

    async def handler(session: Session) -> None:
        await session.perform(command("WAIT FOR DIGIT", "60000"))

    with capture_logs() as logs:
        fake.run(handler)
    assert [line["reason"] for line in logs if line["event"] == "agi_session_ended"] == ["deadline"]


# -- EAGI --


def test_a_handler_hears_what_the_caller_says() -> None:
    """Before it asks, while it waits, and no more after the end; what was said before may be thrown away."""
    fake = FakeAsterisk(eagi=True)
    heard: list[bytes] = []

    async def handler(session: Session) -> None:
        audio = session.audio
        assert audio is not None
        assert audio.discard() == 4
        heard.append(await audio.read(6))
        heard.append(await audio.read(4))
        await audio.read(2)

    assert fake.says(b"\x01\x00\x02\x00") == 4
    fake.start(handler)
    fake.says(b"abc")
    assert heard == []
    fake.says(b"defgh")
    assert heard == [b"abcdef"]
    fake.says(b"ij")
    assert heard == [b"abcdef", b"ghij"]
    fake.hang_up()
    assert (fake.closed, fake.agi_status) == (True, "HANGUP")
    assert fake.says(b"too late") == 0


def test_planned_sound_comes_in_its_time() -> None:
    """Beside a prompt: the handler reads while it waits for a key."""
    fake = FakeAsterisk(eagi=True)
    heard: list[bytes] = []

    async def handler(session: Session) -> None:
        assert session.audio is not None
        await session.wait_for_digit(2)
        heard.append(await session.audio.read(2))

    fake.clock.callLater(1, fake.says, b"hi")
    fake.run(handler)
    assert heard == [b"hi"]


def test_the_pipe_holds_what_asterisk_s_holds() -> None:
    """What is not read in time is lost, and the call continues."""
    fake = FakeAsterisk(eagi=True)
    assert fake.says(bytes(100_000)) == 65_536
    assert fake.says(b"more") == 0
    fake.run(_nothing)


async def _nothing(session: Session) -> None:
    """Do nothing."""


def test_only_eagi_sends_sound() -> None:
    """A test that forgot to say so is told; a handler of plain AGI has no sound."""
    fake = FakeAsterisk()
    with pytest.raises(AssertionError, match=r"FakeAsterisk\(eagi=True\)"):
        fake.says(b"x")

    async def handler(session: Session) -> None:
        assert session.audio is None

    fake.run(handler)


# -- asyncio --


def test_a_handler_of_asyncio() -> None:
    """Tasks, time-outs and typed arguments; EAGI too."""
    heard: list[bytes] = []

    async def handler(session: Session, name: str) -> None:
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        await session.stream_file(name)
        assert session.audio is not None
        heard.append(await session.audio.read(2))

    async def main() -> None:
        fake = FakeAsterisk(arguments=["hello"], eagi=True)
        fake.says(b"hi")
        await fake.run_asyncio(handler)
        assert (fake.played, fake.agi_status) == (["hello"], "SUCCESS")

    asyncio.run(main())
    assert heard == [b"hi"]


def test_a_hang_up_from_another_task() -> None:
    """CallEnded where it waits for asyncio; its clean-up is awaited before the run is over."""
    steps: list[str] = []

    async def handler(session: Session) -> None:
        try:
            await asyncio.Event().wait()
        except CallEnded:
            await asyncio.sleep(0)
            await session.verbose("cleans up")
            steps.append("cleaned")
            raise

    async def main() -> None:
        fake = FakeAsterisk()
        call = asyncio.create_task(fake.run_asyncio(handler))
        await asyncio.sleep(0)
        fake.hang_up()
        await call
        assert fake.agi_status == "HANGUP"

    asyncio.run(main())
    assert steps == ["cleaned"]


def test_what_a_handler_of_asyncio_raises_comes_out() -> None:
    """And so does what it asks in vain."""

    async def fails(session: Session) -> None:
        await asyncio.sleep(0)
        raise LookupError("nobody")

    async def mistyped(session: Session) -> None:
        await session.execute("Dail", "PJSIP/1001")

    async def main() -> None:
        with pytest.raises(LookupError, match="nobody"):
            await FakeAsterisk().run_asyncio(fails)
        with pytest.raises(LookupError, match="EXEC Dail: give the fake the application"):
            await FakeAsterisk().run_asyncio(mistyped)

    with capture_logs():
        asyncio.run(main())


def test_a_handler_of_asyncio_that_does_not_end() -> None:
    """What it waits for is named, and nothing of it is left in the loop."""

    async def spies(session: Session) -> None:
        await session.execute("ChanSpy", "x")

    async def stuck(session: Session) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        fake = FakeAsterisk()
        fake.application("ChanSpy", lambda *_: BLOCKS)
        with pytest.raises(AssertionError, match=r"not over after 0\.05 s: it waits for the application ChanSpy"):
            await fake.run_asyncio(spies, seconds=0.05)
        with pytest.raises(AssertionError, match="something that is not a command"):
            await FakeAsterisk().run_asyncio(stuck, seconds=0.05)
        assert len(asyncio.all_tasks()) == 1

    with capture_logs():
        asyncio.run(main())


def test_deferreds_are_awaited_on_twisted_as_before() -> None:
    """A handler without asyncio is run without a loop."""
    fake = FakeAsterisk()
    waiting: Deferred[None] = Deferred()

    async def handler(session: Session) -> None:
        await waiting
        await session.stream_file("hello")

    fake.start(handler)
    waiting.callback(None)
    assert fake.played == ["hello"]
