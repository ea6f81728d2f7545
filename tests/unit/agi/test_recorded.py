"""What real Asterisks said, read by our core, and said again by the fake."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agi_monitor.agi.connection import NEED_DATA, AGIConnection, HungUp
from agi_monitor.agi.messages import LEGAL_WHEN_DEAD, AGIRequest, Command, Reply
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded, CommandFailed, LocalProtocolError
from agi_monitor.limits import Limits
from agi_monitor.testing import FakeAsterisk
from agi_monitor.testing.fake_commands import COMMANDS

FILES = sorted((Path(__file__).resolve().parents[2] / "transcripts").glob("agi-*.txt"))


@dataclass
class Turn:
    """One command, and everything that Asterisk said before the next one."""

    command: str
    answer: list[str] = field(default_factory=list)


def environment_and_turns(path: Path) -> tuple[bytes, list[Turn]]:
    """Take a transcript apart."""
    environment: list[str] = []
    turns: list[Turn] = []
    for line in path.read_text().splitlines():
        kind, text = line[:1], re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), line[3:])
        if kind == "S":
            turns.append(Turn(text))
        elif kind == "A":
            (turns[-1].answer if turns else environment).append(text)
    # A transcript has no blanks at the end of a line: an empty value has lost the one behind its colon.
    whole = [f"{line} " if line.endswith(":") else line for line in environment]
    return "".join(f"{line}\n" for line in whole).encode(), turns


def events(connection: AGIConnection) -> list[object]:
    """Everything that has happened so far."""
    found: list[object] = []
    while (event := connection.next_event()) is not NEED_DATA:
        found.append(event)
    return found


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
@pytest.mark.parametrize("path", [one for one in FILES if "longest-line" not in one.stem], ids=lambda path: path.stem)
def test_each_command_gets_its_own_reply(path: Path, chunk: int) -> None:
    """Whatever the chunks: one request, then one reply to each command, with the hang-up told apart from it."""
    environment, turns = environment_and_turns(path)
    connection = AGIConnection(Limits())
    connection.receive_data(environment)
    (request,) = events(connection)
    assert isinstance(request, AGIRequest)
    assert request.channel.startswith("PJSIP/2001-")
    assert request.arguments == ("one", "two words")
    for turn in turns:
        verb = "EXEC" if turn.command.startswith("EXEC ") else "ANY"
        connection.send(Command(verb, turn.command.encode() + b"\n"))
        said = "".join(f"{line}\n" for line in turn.answer).encode("latin-1")
        seen: list[object] = []
        for start in range(0, len(said), chunk):
            connection.receive_data(said[start : start + chunk])
            seen += events(connection)
        replies = [event for event in seen if isinstance(event, Reply)]
        assert [reply.code for reply in replies] == [
            int(line[:3]) for line in turn.answer if line[:4] in ("200 ", "510 ", "511 ", "520-")
        ]
        assert len(replies) == 1
        assert ("HANGUP" in turn.answer) == any(isinstance(event, HungUp) for event in seen)


SAME_FOR_THE_FAKE = {
    "answer",
    "channel-status",
    "every-command",
    "execute",
    "get-variable",
    "stream-file-missing",
    "wrong-usage",
}
"""Situations that need no hands on a phone: the fake is asked the same, and must say the same."""


@pytest.mark.parametrize("version", ["16", "22"])
@pytest.mark.parametrize("situation", sorted(SAME_FOR_THE_FAKE))
def test_the_fake_says_what_asterisk_says(situation: str, version: str) -> None:
    """Command by command, apart from where a sound stopped and from the words of a usage text."""
    (path,) = [path for path in FILES if path.stem == f"agi-{situation}-{version}"]
    _, turns = environment_and_turns(path)
    fake = FakeAsterisk(channel="PJSIP/2001-00000001")
    fake.missing_sounds = {"no-such-sound"}
    fake.application("NoOp", lambda *_: 0)
    fake.application("ChanSpy", lambda *_: -1)
    fake.missing_applications.add("NoSuchApplication")
    fake.subroutine("lab-sub", "s", lambda fake, channel, argument: f"{argument},".replace(",", "-", 1).rstrip(","))
    fake.missing_subroutines = {("lab-sub", "s", "no-such-label"), ("lab-sub", "nowhere", "1")}
    said: list[str] = []

    async def story(session: Session) -> None:
        for turn in turns:
            reply = await session.send(Command("ANY", turn.command.encode() + b"\n"))
            said.append(f"{reply.code} {reply.text}")

    fake.run(story)
    for turn, line in zip(turns, said, strict=True):
        assert plain(line) == plain("\n".join(one for one in turn.answer if one[:1] != "1")), turn.command


def test_every_command_of_asterisk_was_recorded() -> None:
    """And the fake knows each: its table is what was said once to a real one."""
    (path,) = [path for path in FILES if path.stem == "agi-every-command-22"]
    _, turns = environment_and_turns(path)
    verbs = {verb for turn in turns for verb in COMMANDS if f"{turn.command} ".startswith(f"{verb} ")}
    assert verbs == set(COMMANDS)
    assert verbs >= LEGAL_WHEN_DEAD


@pytest.mark.parametrize("version", ["16", "22"])
def test_one_byte_more_than_the_longest_line_shifts_all_replies(version: str) -> None:
    """That is what was measured: the longest line is answered, and after a longer one nothing fits."""
    (path,) = [path for path in FILES if path.stem == f"agi-longest-line-{version}"]
    environment, turns = environment_and_turns(path)
    connection = AGIConnection(Limits())
    connection.receive_data(environment)
    events(connection)
    assert len(turns[0].command) + 1 == connection.longest_command
    assert [turn.answer[:1] for turn in turns] == [
        ["200 result=0"],
        ["200 result=0"],
        ["510 Invalid or unknown command"],
        ["200 result=4"],
    ]
    with pytest.raises(LocalProtocolError):
        connection.send(Command("NOOP", turns[1].command.encode() + b"\n"))


@pytest.mark.parametrize("keys", ["8305#", "#", "12", ""])
def test_the_fake_collects_keys_as_asterisk_does(keys: str) -> None:
    """The ``#`` is not returned, and a time-out is told apart from it, as in the recorded conversations."""
    recorded = {"8305#": ("8305", False), "#": ("", False), "12": ("12", True), "": ("", True)}
    fake = FakeAsterisk()
    fake.keys(keys)
    seen: list[tuple[str, bool]] = []

    async def story(session: Session) -> None:
        digits = await session.get_data("silence/1", timeout=5, max_digits=6)
        seen.append((digits.digits, digits.timed_out))

    fake.run(story)
    assert seen == [recorded[keys]]


def test_the_fake_is_as_deaf_without_its_sound() -> None:
    """GET DATA with a file that is not there fails at once, and the keys stay for the next one."""
    fake = FakeAsterisk()
    fake.missing_sounds = {"no-such-sound"}
    fake.keys("12#")
    seen: list[str] = []

    async def story(session: Session) -> None:
        with pytest.raises(CommandFailed):
            await session.get_data("no-such-sound")
        seen.append((await session.get_data("")).digits)

    fake.run(story)
    assert seen == ["12"]


def test_the_fake_hangs_up_as_asterisk_does() -> None:
    """Behind the hang-up a variable can still be read, and a sound is refused without being sent."""
    fake = FakeAsterisk(channel="PJSIP/2001-00000001")
    fake.hang_up_during("WAIT FOR DIGIT")
    seen: list[str | None] = []

    async def story(session: Session) -> None:
        try:
            await session.wait_for_digit(10)
        finally:
            seen.append(await session.get_variable("CHANNEL"))
            with pytest.raises(CallEnded):
                await session.stream_file("beep")

    fake.run(story)
    assert seen == ["PJSIP/2001-00000001"]


def plain(answer: str) -> str:
    """An answer without what differs from sound to sound."""
    return re.sub(r"520[- ].*", "520", re.sub(r"endpos=\d+", "endpos=N", answer), flags=re.DOTALL)
