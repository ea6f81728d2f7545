"""agi_monitor.testing: the fake behaves like Asterisk, and reports its own errors."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agi_monitor.agi.messages import command
from agi_monitor.agi.session import Session
from agi_monitor.agi.verb_results import ChannelState, DialOutcome, DialStatus, Digits, Playback, Recording
from agi_monitor.errors import CallEnded, CommandFailed, InvalidCommand, LocalProtocolError, WrongUsage
from agi_monitor.testing import BLOCKS, FakeAsterisk, FakeChannel
from agi_monitor.testing.words import split_words


def result_of(fake: FakeAsterisk, verb: Callable[[Session], Awaitable[Any]]) -> Any:
    """What a verb returns on this fake."""
    results: list[Any] = []

    async def story(session: Session) -> None:
        results.append(await verb(session))

    fake.run(story)
    assert fake.closed
    assert fake.clock.getDelayedCalls() == []
    return results[0]


def test_a_whole_call() -> None:
    """Prompts, keys and applications, in one ordered list."""
    fake = FakeAsterisk(caller_id="2001", arguments=["a"], script="spy")
    fake.keys("1234#")
    fake.application("ChanSpy", lambda fake, channel, argument: 0)

    async def story(session: Session) -> None:
        assert session.request.caller_id == "2001"
        assert session.request.arguments == ("a",)
        await session.answer()
        assert await session.get_data("agent-pass", 5, 8) == Digits("1234", False)
        assert await session.execute("ChanSpy", "1.2,uqESX") == 0

    fake.run(story)
    assert fake.played == ["agent-pass"]
    assert fake.executed == [("ChanSpy", "1.2,uqESX")]
    assert [words[0] for words in fake.commands] == ["ANSWER", "GET", "EXEC"]
    assert fake.happened[-1] == "closed"
    assert fake.agi_status == "SUCCESS"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("12#3", Digits("12", False)),
        ("1234567", Digits("1234", False)),
        ("1", Digits("1", True)),
        ("", Digits("", True)),
    ],
)
def test_get_data(keys: str, expected: Digits) -> None:
    """# ends and is not returned, enough digits end, silence ends."""
    fake = FakeAsterisk()
    fake.keys(keys)
    assert result_of(fake, lambda s: s.get_data("p", 5, 4)) == expected


def test_sounds() -> None:
    """A key stops a sound only when it is listened for; a missing sound is not played."""
    fake = FakeAsterisk()
    fake.missing_sounds.add("nope")
    fake.keys("95")
    assert result_of(fake, lambda s: s.stream_file("x", "5")) == Playback("5", 8000)
    fake = FakeAsterisk()
    fake.missing_sounds.add("nope")
    assert result_of(fake, lambda s: s.stream_file("nope")) == Playback("", 0, found=False)
    assert fake.played == []
    fake = FakeAsterisk()
    fake.keys("5")

    async def two(session: Session) -> str:
        await session.stream_file("x")
        return await session.wait_for_digit(1) + await session.wait_for_digit(1)

    assert result_of(fake, two) == "5"
    assert result_of(FakeAsterisk(), lambda s: s.record_file("f", "wav", timeout=9)) == Recording("", 8000, "timeout")
    fake = FakeAsterisk()
    assert result_of(fake, lambda s: s.say_digits("12")) == ""
    assert fake.played == ["digits:12"]


def test_expressions() -> None:
    """What stories ask, on this channel and on another."""
    fake = FakeAsterisk(extension="*2221001", context="internal")
    other = fake.add_call("PJSIP/1001-00000002", "PJSIP/trunk-00000003")
    other.on_hold = True
    fake.hints["1001@default"] = "PJSIP/1001&PJSIP/1002"
    fake.device_states["PJSIP/1001"] = "INUSE"
    fake.functions["GROUP"] = lambda channel, argument: f"{channel.name}:{argument}"

    async def story(session: Session) -> None:
        async def ask(text: str, channel: str | None = None) -> str | None:
            return await session.get_full_variable(text, channel)

        assert await ask("${HINT(1001@default)}") == "PJSIP/1001&PJSIP/1002"
        assert await ask("${HINT(9@default)}") == ""
        assert await ask("${DEVICE_STATE(PJSIP/1001)}") == "INUSE"
        assert await ask("${CHANNELS(^pjsip/1001-)}") == "PJSIP/1001-00000002"
        assert await ask("${CONTEXT}:${EXTEN}") == "internal:*2221001"
        assert await ask("${UNIQUEID}") == "1700000000.1"
        assert await ask("${BRIDGEPEER}", "PJSIP/1001-00000002") == "PJSIP/trunk-00000003"
        assert await ask("${CHANNEL(state)}${CHANNEL(onhold)}", other.uniqueid) == "Up1"
        assert await ask("${CHANNEL(state)}") == "Ring"
        assert await ask("${UNIQUEID}", "PJSIP/gone") is None
        assert await ask("${GROUP(x)}") == "PJSIP/2001-00000001:x"
        await session.set_variable("A", "UNIQUEID")
        assert await ask("${${A}}") == "1700000000.1"
        assert await ask("${B}x${") == "x"
        assert await session.get_variable("A") == "UNIQUEID"
        assert await session.get_variable("B") is None
        assert await session.get_variable("CHANNEL(state)") == "Ring"
        assert await session.channel_status(other.name) is ChannelState.UP
        assert await session.hangup(other.name)
        assert await session.channel_status(other.name) is None
        assert not await session.hangup(other.name)

    fake.run(story)


def test_channels_is_cut() -> None:
    """Many channels do not fit, as on Asterisk."""
    fake = FakeAsterisk()
    for number in range(400):
        fake.add_channel(f"PJSIP/{number:04}-00000001")
    answer = result_of(fake, lambda s: s.get_full_variable("${CHANNELS(.)}"))
    assert len(answer) == 4095


def test_the_database() -> None:
    """DELTREE answers the other way round, and the session turns it back."""
    fake = FakeAsterisk()

    async def story(session: Session) -> None:
        await session.database_put("f", "a/b", "v")
        assert await session.database_get("f", "a/b") == "v"
        assert await session.get_full_variable("${DB(f/a/b)}") == "v"
        assert await session.database_deltree("f", "a")
        assert not await session.database_deltree("f")
        assert await session.database_del("f", "a/b")  # as Asterisk answers, though it is gone

    fake.run(story)


def test_errors_as_asterisk_has_them() -> None:
    """510, 520, an unknown application, and the usage text after an application that returned 1."""
    fake = FakeAsterisk()
    fake.application("One", lambda fake, channel, argument: 1)
    fake.missing_applications.add("Unknown")
    fake.subroutine("c", "s")
    fake.answers["FLY AWAY"] = "510 Invalid or unknown command"

    async def story(session: Session) -> None:
        with pytest.raises(InvalidCommand):
            await session.perform(command("FLY AWAY"))
        with pytest.raises(WrongUsage):
            await session.perform(command("SET VARIABLE", "a"))
        with pytest.raises(CommandFailed):
            await session.execute("Unknown")
        assert await session.execute("One") == 1
        assert await session.get_variable("A") is None
        await session.set_context("c")
        await session.set_priority(3)
        await session.gosub("c", "s", 1)

    fake.run(story)
    assert (fake.channel.context, fake.channel.priority) == ("c", "3")


@pytest.mark.parametrize("where", ["command", "during", "prompt", "application"])
def test_hanging_up_somewhere(where: str) -> None:
    """The story sees CallEnded, its finally still sets a variable, then the session is over."""
    fake = FakeAsterisk()
    fake.application("ChanSpy", lambda fake, channel, argument: 0)
    if where == "command":
        fake.hang_up_at_command(2)
    elif where == "during":
        fake.hang_up_during("GET DATA")
    elif where == "prompt":
        fake.hang_up_at_prompt("agent-pass")
    else:
        fake.hang_up_during("ChanSpy")
    seen: list[str] = []

    async def story(session: Session) -> None:
        try:
            await session.answer()
            await session.get_data("agent-pass")
            await session.execute("ChanSpy", "x")
            seen.append("not reached")
        except CallEnded:
            seen.append("ended")
            raise
        finally:
            await session.set_variable("A", "b")

    fake.run(story)
    assert seen == ["ended"]
    assert fake.channel.variables == {"A": "b"}
    assert fake.agi_status == "HANGUP"


def test_an_application_that_blocks() -> None:
    """It runs until it is ended, or until the caller hangs up."""

    async def story(session: Session) -> None:
        results.append(await session.execute("ChanSpy", "x"))

    for hang_up in (False, True):
        results: list[int] = []
        fake = FakeAsterisk()
        fake.application("ChanSpy", lambda fake, channel, argument: BLOCKS)
        fake.start(story)
        assert fake.blocked == "ChanSpy"
        if hang_up:
            fake.hang_up()
        else:
            fake.finish_application(0)
        assert results == ([] if hang_up else [0])
        assert fake.closed
        with pytest.raises(AssertionError):
            fake.finish_application()
    fake = FakeAsterisk()
    fake.application("ChanSpy", lambda fake, channel, argument: BLOCKS)
    with pytest.raises(AssertionError, match="ChanSpy"):
        fake.run(story)
    fake.lose_connection()
    assert fake.closed


def test_what_goes_wrong_comes_out() -> None:
    """An error of the story, of an application and of the fake itself is raised by run."""

    async def failing(session: Session) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        FakeAsterisk().run(failing)

    def broken(fake: FakeAsterisk, channel: object, argument: str) -> int:
        raise OSError("broken")

    async def story(session: Session) -> None:
        await session.execute("Broken")

    fake = FakeAsterisk()
    fake.application("Broken", broken)
    with pytest.raises(OSError, match="broken"):
        fake.run(story)

    async def asks(session: Session) -> None:
        await session.get_full_variable("${SHELL(x)}")

    with pytest.raises(LookupError, match="SHELL"):
        FakeAsterisk().run(asks)


def test_the_secret_and_raw_bytes() -> None:
    """With a secret the environment carries it; raw bytes reach the server as they are."""
    fake = FakeAsterisk(secret="s3cr3t", arguments=["x"])
    assert result_of(fake, lambda s: s.get_variable("A")) is None
    assert fake.session is not None
    assert fake.session.request.arguments == ("x",)
    fake = FakeAsterisk()
    fake.application("ChanSpy", lambda fake, channel, argument: BLOCKS)

    async def story(session: Session) -> None:
        await session.execute("ChanSpy")

    fake.start(story)
    fake.send(b"junk\n")
    assert fake.closed


def test_time_passes_only_when_told() -> None:
    """Deadlines of the server run on the fake's clock."""
    fake = FakeAsterisk()
    fake.application("ChanSpy", lambda fake, channel, argument: BLOCKS)

    async def story(session: Session) -> None:
        await session.execute("ChanSpy")

    fake.start(story)
    fake.advance(43_199)
    assert not fake.closed
    fake.advance(2)
    assert fake.closed


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('EXEC "a b" c', ["EXEC", "a b", "c"]),
        ('a "" b', ["a", "", "b"]),
        (r'a "x\"y\\" \ z', ["a", 'x"y\\', " z"]),
        ("  a\tb  ", ["a", "b"]),
        ('a"b c"d', ["ab cd"]),
        ("", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    """The splitter's rules."""
    assert split_words(line) == words


@pytest.mark.parametrize("verb", ["FLY AWAY", "GETDATA"])
def test_a_command_that_nobody_expects_fails_the_test(verb: str) -> None:
    """However the story takes the 510, the test hears of it, and of what to do."""
    fake = FakeAsterisk()

    async def story(session: Session) -> None:
        with contextlib.suppress(InvalidCommand):
            await session.perform(command(verb))

    with pytest.raises(LookupError, match=f"{verb}: no command that is known"):
        fake.run(story)


def test_an_application_that_nobody_gave_fails_the_test() -> None:
    """A test that forgot one would see what a PBX without it does, and pass for the wrong reason."""
    fake = FakeAsterisk()

    async def story(session: Session) -> None:
        with contextlib.suppress(CommandFailed):
            await session.execute("Playback", "hello")

    with pytest.raises(LookupError, match="EXEC Playback: give the fake the application"):
        fake.run(story)


def test_a_command_can_be_answered_with_anything() -> None:
    """For what a PBX says on a bad day."""
    fake = FakeAsterisk()
    fake.answers["STREAM FILE"] = "200 result=-1 endpos=0"

    async def story(session: Session) -> None:
        assert not (await session.stream_file("hello")).found

    fake.run(story)


def test_a_subroutine_must_be_known() -> None:
    """GOSUB to a place that no test has given is a mistake of the test; where this PBX lacks one, it fails."""
    fake = FakeAsterisk()
    fake.missing_subroutines.add(("c", "nowhere", "1"))

    async def story(session: Session) -> None:
        with pytest.raises(CommandFailed):
            await session.gosub("c", "nowhere", 1)
        with pytest.raises(CommandFailed):
            await session.gosub("c", "forgotten", 1)

    with pytest.raises(LookupError, match=r"fake\.subroutine"):
        fake.run(story)


def test_what_a_subroutine_returns() -> None:
    """It is given its arguments, and GOSUB_RETVAL is what it returned."""
    fake = FakeAsterisk()
    fake.subroutine("c", "s", lambda fake, channel, argument: argument.upper())
    seen: list[str | None] = []

    async def story(session: Session) -> None:
        await session.gosub("c", "s", 1, "a,b")
        seen.append(await session.get_variable("GOSUB_RETVAL"))

    fake.run(story)
    assert seen == ["A,B"]


def test_a_line_that_this_asterisk_does_not_read() -> None:
    """The fake of an old Asterisk is told by the session; raw bytes that are longer are a mistake of the test."""
    fake = FakeAsterisk(version="16.28.0")

    async def story(session: Session) -> None:
        with pytest.raises(LocalProtocolError, match="2047 bytes"):
            await session.set_variable("A", "a" * 3_000)

    fake.run(story)
    fake = FakeAsterisk()
    fake.run(lambda session: session.set_variable("A", "a" * 3_000))
    assert len(fake.channel.variables["A"]) == 3_000


def test_dial_in_the_fake() -> None:
    """The application says how it ended by its variables, whichever side hangs up."""
    fake = FakeAsterisk()
    seen: list[DialOutcome] = []

    def dials(fake: FakeAsterisk, channel: FakeChannel, argument: str) -> int:
        channel.variables.update(DIALSTATUS="ANSWER", ANSWEREDTIME="7")
        return 0

    fake.application("Dial", dials)
    fake.hang_up_during("Dial", nth=2)

    async def story(session: Session) -> None:
        seen.append(await session.dial("PJSIP/1"))
        seen.append(await session.dial("PJSIP/2"))
        with pytest.raises(CallEnded):
            await session.stream_file("beep")

    fake.run(story)
    assert [(one.status, one.talked_seconds, one.hung_up) for one in seen] == [
        (DialStatus.ANSWER, 7, False),
        (DialStatus.ANSWER, 7, True),
    ]


def test_a_function_that_is_no_coroutine_is_named() -> None:
    """With the words of a server; Python's own speak of an object NoneType."""

    def forgot(session: Session) -> None:
        pass

    with pytest.raises(TypeError, match="forgot: a handler is an `async def`; a blocking function goes through"):
        FakeAsterisk().run(forgot)  # type: ignore[arg-type]
