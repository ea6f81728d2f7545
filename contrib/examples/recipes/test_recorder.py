"""Messages that are kept, and those that are not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from recorder import TAKES, WAV_HEAD, WAV_SECOND, Recorder

from agi_monitor.testing import FakeAsterisk

NAME = "0123456789abcdef"
SAVED = "20261126-090000-2001-01234567.wav"


class Box:
    """Box 1001, for a caller who speaks for this time."""

    def __init__(self, folder: Path, extension: str = "1001", caller_id: str | None = "2001", seconds: float = 3):
        self.folder = folder
        self.fake = FakeAsterisk(extension=extension, caller_id=caller_id)
        if seconds:  # as Asterisk leaves it
            (folder / f"{NAME}.wav").write_bytes(bytes(WAV_HEAD + int(WAV_SECOND * seconds)))

    def call(self, keys: str = "") -> FakeAsterisk:
        """The caller presses these keys."""
        self.fake.keys(keys)
        moment = datetime(2026, 11, 26, 9, tzinfo=UTC)
        self.fake.run(Recorder(self.folder, now=lambda: moment, new_name=lambda: NAME))
        return self.fake

    @property
    def files(self) -> list[str]:
        """What there is."""
        return [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.wav")]

    @property
    def lamp(self) -> str:
        """Of box 1001."""
        return self.fake.channel.variables.get("DEVICE_STATE(Custom:messages-1001)", "")


def test_a_message_is_kept_and_the_lamp_is_lit(tmp_path: Path) -> None:
    box = Box(tmp_path)
    fake = box.call("#1")
    assert fake.played == ["vm-intro", "vm-review", "vm-msgsaved"]
    assert (box.files, box.lamp) == ([f"1001/{SAVED}"], "INUSE")


def test_a_caller_hears_it_and_speaks_again(tmp_path: Path) -> None:
    box = Box(tmp_path)
    fake = box.call("#23#1")
    assert fake.played == ["vm-intro", "vm-review", f"{tmp_path}/{NAME}", "vm-review", "vm-msgsaved"]
    assert fake.happened.count(f"records {tmp_path}/{NAME}") == 2


def test_a_caller_does_not_speak_again_for_ever(tmp_path: Path) -> None:
    box = Box(tmp_path)
    fake = box.call("#3" * TAKES)
    assert fake.happened.count(f"records {tmp_path}/{NAME}") == TAKES
    assert box.files == [f"1001/{SAVED}"]


def test_a_message_that_is_taken_back_is_gone(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert box.call("#*").played[-1] == "vm-deleted"
    assert (box.files, box.lamp) == ([], "")


def test_who_takes_it_back_and_hangs_up_has_taken_it_back(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.fake.hang_up_during("STREAM FILE", 3)
    assert box.call("#*").agi_status == "HANGUP"
    assert (box.files, box.lamp) == ([], "")


def test_a_wrong_key_is_told_and_asked_again(tmp_path: Path) -> None:
    box = Box(tmp_path)
    assert box.call("#91").played == ["vm-intro", "vm-review", "pm-invalid-option", "vm-review", "vm-msgsaved"]


def test_who_presses_nothing_has_left_it(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.call("#")
    assert box.files == [f"1001/{SAVED}"]


@pytest.mark.parametrize("during", ["RECORD FILE", "STREAM FILE"])
def test_who_hangs_up_after_speaking_has_left_it(tmp_path: Path, during: str) -> None:
    box = Box(tmp_path)
    # The greeting is the first sound, the question is the second.
    box.fake.hang_up_during(during, 2 if during == "STREAM FILE" else 1)
    assert box.call("#").agi_status == "HANGUP"
    assert (box.files, box.lamp) == ([f"1001/{SAVED}"], "INUSE")


@pytest.mark.parametrize("seconds", [0, 0.5])
def test_who_says_nothing_has_left_nothing(tmp_path: Path, seconds: float) -> None:
    box = Box(tmp_path, seconds=seconds)
    box.fake.hang_up_during("RECORD FILE")
    box.call()
    assert (box.files, box.lamp) == ([], "")


def test_who_hangs_up_when_it_is_saved_has_left_one(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.fake.hang_up_at_prompt("vm-msgsaved")
    box.call("#1")
    assert box.files == [f"1001/{SAVED}"]


@pytest.mark.parametrize("extension", ["../1001", "s", "1001/2", "١٠٠١"])
def test_what_is_no_number_has_no_box(tmp_path: Path, extension: str) -> None:
    box = Box(tmp_path, extension=extension, seconds=0)
    assert (box.call().agi_status, box.files) == ("FAILURE", [])


@pytest.mark.parametrize("caller_id", [None, "../../2001", "Anna"])
def test_a_caller_without_a_number_is_unknown(tmp_path: Path, caller_id: str | None) -> None:
    box = Box(tmp_path, caller_id=caller_id)
    box.call("#1")
    assert box.files == [f"1001/{SAVED.replace('2001', 'unknown')}"]
