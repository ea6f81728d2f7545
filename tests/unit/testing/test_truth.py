"""The fake against the real thing: the conversations that were recorded with Asterisk 16 and 22, held with the fake.

``tests/lab/test_transcripts.py`` holds the records against Asterisk as it is today; here the same scripts talk to a
``FakeAsterisk`` over TCP, and what is written down must be the same, line by line.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import pytest

from agi_monitor.testing import FakeAsterisk, FakeManager
from contrib.lab.pbx import Lab
from contrib.lab.transcripts import (
    EXTENSION,
    FOLDER,
    PHONE,
    REPLY_SECONDS,
    SITUATIONS,
    ActionsTalk,
    Conversation,
    actions_of_a_call,
    actions_without_calls,
    comparable,
    comparable_actions,
    dial,
    longest_line,
)
from tests.conftest import VERSIONS

END_SECONDS = 10.0


@dataclass
class Named:
    """A channel, for a script that wants to know its name."""

    name: str


class FakeLab:
    """What a script needs of the laboratory: one phone that calls, and another call.

    Parameters:
        name: of the script.
        port: where it waits for Asterisk.
    """

    def __init__(self, name: str, port: int) -> None:
        self.fake = FakeAsterisk(
            f"PJSIP/{PHONE}-00000001",
            extension=EXTENSION,
            context="supervisors",
            script=name,
            arguments=("one", "two words"),
            caller_id=PHONE,
            caller_id_name=f"Phone {PHONE}",
        )
        self.fake.missing_sounds = {"no-such-sound"}
        self.fake.missing_applications = {"NoSuchApplication"}
        for application, result in (("NoOp", 0), ("Wait", 0), ("ChanSpy", -1)):
            self.fake.application(application, lambda *_, result=result: result)
        self.fake.subroutine("lab-sub", "s", lambda _fake, _channel, text: "-".join([*text.split(","), ""][:2]))
        self.fake.missing_subroutines = {("lab-sub", "s", "no-such-label"), ("lab-sub", "nowhere", "1")}
        # These are mistyped on purpose, so the test has to say so.
        self.fake.answers = dict.fromkeys(("NONSENSE", ""), "510 Invalid or unknown command")
        self.errors: list[Exception] = []
        self.pbx = self
        self._call = threading.Thread(target=self._run, args=(port,), daemon=True)

    def _run(self, port: int) -> None:
        try:
            self.fake.call("127.0.0.1", port)
        except Exception as error:
            self.errors.append(error)

    def phone(self, name: str) -> FakeLab:
        """Take the phone in the hand."""
        return self

    def dial(self, extension: str) -> None:
        """The call begins."""
        self._call.start()

    def press(self, keys: str) -> None:
        """Keys that the next command finds."""
        self.fake.keys(keys)

    def hang_up(self) -> None:
        """Between two commands."""
        self.fake.hang_up()

    def connect(self, caller: str, number: str) -> None:
        """Another call."""
        self.fake.add_call(f"PJSIP/{number}-00000002", f"PJSIP/{caller}-00000003")

    def channels_of(self, endpoint: str) -> list[Named]:
        """Its channels."""
        return [Named(one.name) for one in self.fake.channels if one.name.startswith(f"PJSIP/{endpoint}-")]

    def reset(self) -> None:
        """The script is over."""
        self._call.join(END_SECONDS)
        assert not self._call.is_alive()


class FakeConversation(Conversation):
    """What happens during a command has to be arranged before it: the fake answers at once."""

    def __init__(self, lab: FakeLab, listener: socket.socket) -> None:
        super().__init__(cast("Lab", lab), listener)
        self._fake = lab.fake
        self._arranging = False

    def say(self, command: str, act: Callable[[], None] | None = None) -> None:
        before = len(self.lines)
        if act is not None:
            self._arranging = True
            act()
            self._arranging = False
        acted = self.lines[before:]
        del self.lines[before:]
        super().say(command)
        self.lines[before + 1 : before + 1] = acted

    def hang_up(self) -> None:
        if not self._arranging:
            super().hang_up()
            return
        self.lines.append("E: hang up")
        self._fake.hang_up_at_command(len(self._fake.commands) + 1)


def held_with_the_fake(situation: Callable[[Conversation], None]) -> str:
    """What is written down."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(REPLY_SECONDS)
        lab = FakeLab(situation.__name__.replace("_", "-"), listener.getsockname()[1])
        with FakeConversation(lab, listener) as talk:
            situation(talk)
    assert lab.errors == []
    return "\n".join(["# a conversation", *talk.lines]) + "\n"


def plain(transcript: str) -> str:
    """Without what no fake can know: how long a sound is, the wording of a usage text, and who is who."""
    text = re.sub(r"endpos=\d+", "endpos=…", comparable(transcript))
    text = re.sub(r"(A: 520-[^\n]*\n).*?(A: 520 End)", r"\1…\n\2", text, flags=re.DOTALL)
    return re.sub(r"(agi_request): .*", r"\1: …", text)


HELD = [situation for situation in SITUATIONS if situation not in (longest_line, dial)]
"""The fake has no bound of a line, and no phone answers its Dial: applications are what a test says."""


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("situation", HELD, ids=lambda situation: situation.__name__)
def test_the_fake_talks_as_asterisk_does(situation: Callable[[Conversation], None], version: str) -> None:
    """The environment, each reply, and the hang-up in its place."""
    recorded = (FOLDER / f"agi-{situation.__name__.replace('_', '-')}-{version}.txt").read_text()
    assert plain(held_with_the_fake(situation)) == plain(recorded)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fake_manager_answers_as_asterisk_does(version: str) -> None:
    """A stranger, a wrong secret, channels that are not there, empty lists, and a channel that is there."""
    recorded = (FOLDER / f"ami-actions-{version}.txt").read_text()
    fake = FakeManager("doctor", "correct-horse-battery")
    with fake.over_tcp() as where:
        talk = ActionsTalk(where, "doctor", "correct-horse-battery")
        actions_without_calls(talk)
        fake.add_channel("PJSIP/1001-00000001", "1700000000.1", bridge="b-1")
        actions_of_a_call(talk, "PJSIP/1001-00000001")
        talk.close()
    said = "\n".join(["# actions", *talk.lines]) + "\n"
    assert comparable_actions(said) == comparable_actions(recorded)
