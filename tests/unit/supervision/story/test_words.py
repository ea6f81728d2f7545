"""The words: languages, missing sounds, placeholders."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from agi_monitor.model import Cue, Reason
from agi_monitor.supervision.prompts import Prompts
from tests.doubles.desk import PIN, SPYEE_UNIQUEID, Desk
from tests.unit.supervision.story.calls import protected


def test_speaks_the_supervisors_language(tmp_path: Path) -> None:
    """A supervisor's language is set before the PIN is asked for, and chooses the words."""
    desk = Desk(tmp_path, channel="PJSIP/2002-00000001")
    desk.change(prompts=Prompts({}, {"de": {Cue.ASK_PIN: ("pin-bitte",)}}))
    desk.run()

    assert desk.pbx.commands[2:4] == [
        ["SET", "VARIABLE", "CHANNEL(language)", "de"],
        ["GET", "DATA", "pin-bitte", "8000", "16"],
    ]


def test_the_channels_language_holds_without_one(tmp_path: Path) -> None:
    """Who has no language is spoken to in the channel's."""
    desk = Desk(tmp_path, language="de_AT")
    desk.change(prompts=Prompts({}, {"de": {Cue.ASK_PIN: ("pin-bitte",)}}))
    desk.run()

    assert desk.pbx.commands[2] == ["GET", "DATA", "pin-bitte", "8000", "16"]


def test_missing_sounds_stop_nothing(desk: Desk) -> None:
    """A sound file that is not there is logged and passed over; the call continues."""
    desk.pbx.missing_sounds = {"agent-pass", "feature-not-avail-line", "vm-goodbye"}
    desk.pbx.channel.extension = "*2221003"
    with capture_logs() as logs:
        desk.run(f"{PIN}#1001")

    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]
    missing = [line["file"] for line in logs if line["event"] == "prompt_missing"]
    assert missing == ["agent-pass", "feature-not-avail-line"]


def test_keys_are_waited_for_without_any_sound(desk: Desk) -> None:
    """Not even a beep is there: what is keyed in counts all the same."""
    desk.pbx.missing_sounds = {"agent-pass", "beep"}
    desk.run(f"{PIN}#")

    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]


def test_a_placeholder_without_a_value_says_nothing(desk: Desk) -> None:
    """A site's words may name a digit that there is none for; it is not played as a file."""
    desk.change(
        prompts=Prompts({Reason.MODE_DENIED: ("denied", "{choice}", "{number}"), Cue.GOODBYE: ("{extension}",)})
    )
    protected(desk)

    assert desk.pbx.played == ["agent-pass", "denied", "vm-enter-num-to-call", "pm-invalid-option"]
