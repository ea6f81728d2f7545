"""No key is lost that is pressed while something is said: it ends the words, and counts for what comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi_monitor.model import Agent, Cue, Reason
from tests.doubles.desk import PIN, Desk, refusals, spoken, started
from tests.unit.supervision.live_story.calls import OTHER, OTHER_UNIQUEID, SECOND_CUSTOMER, connected, ends


def test_digits_during_a_refusal_are_the_next_extension(tmp_path: Path) -> None:
    """The first digit ends the sentence; the prompt is spared, for the supervisor is keying already."""
    desk = Desk(tmp_path, "*2221003").run(f"{PIN}#!1001")
    assert refusals(desk) == ["mode_denied"]
    assert started(desk, "extension") == [("1001",)]
    assert desk.pbx.played == ["agent-pass", spoken(Reason.MODE_DENIED)[0]]


@pytest.mark.parametrize("key", ["*", "#"])
def test_a_key_that_is_no_digit_only_ends_the_refusal(tmp_path: Path, key: str) -> None:
    """The question for the next extension is heard as ever."""
    desk = Desk(tmp_path, "*2221003").run(f"{PIN}#!{key}1001")
    assert started(desk, "extension") == [("1001",)]
    assert desk.pbx.played[-1:] == spoken(Cue.ASK_EXTENSION)


def test_as_many_digits_as_are_asked_for_need_no_question(desk: Desk) -> None:
    """A single digit that was pressed before is the whole answer where one digit is asked for."""
    desk.change(agents={"7": Agent("7", frozenset({"sales"}), ("PJSIP/1001",))})
    desk.run(f"{PIN}#!7")
    assert refusals(desk) == ["agent_unknown"]
    assert started(desk, "extension") == [("7",)]
    assert desk.pbx.played == ["agent-pass", spoken(Reason.AGENT_UNKNOWN)[0]]


def test_a_mode_key_during_a_refusal_is_that_mode(desk: Desk) -> None:
    """Refused the barge, the supervisor whispers at once, without listening in between."""
    desk.at_key = lambda key: None if key != "6" else _conference(desk)
    desk.run(f"{PIN}#6!5")
    assert refusals(desk) == ["conference"]
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "whisper"]


def test_the_star_during_a_refusal_leaves(desk: Desk) -> None:
    """The agent is not heard again, and the next extension is asked for."""
    desk.at_key = lambda key: _conference(desk)
    desk.run(f"{PIN}#6!*")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen"]
    assert desk.pbx.played[-2:] == [*spoken(Cue.ASK_EXTENSION), *spoken(Cue.GOODBYE)]


def _conference(desk: Desk) -> None:
    spyee = desk.pbx.channels[1]
    desk.pbx.add_channel("PJSIP/1002-00000033")
    spyee.bridge_peer = f"{spyee.bridge_peer},PJSIP/1002-00000033"


def test_the_star_skips_whom_a_scan_announces(tmp_path: Path) -> None:
    """The next one is announced, and the first is not heard at all."""
    desk = _two_calls(tmp_path)
    desk.run(f"{PIN}#!*")
    assert started(desk, "extension") == [("1005",)]


def test_a_mode_key_while_a_scan_announces_is_the_mode(tmp_path: Path) -> None:
    """For this agent; the next one is heard as the code says."""
    desk = _two_calls(tmp_path)
    desk.run(f"{PIN}#!5*")
    assert started(desk, "extension", "mode") == [("1001", "whisper"), ("1005", "listen")]


def test_any_other_key_begins_at_once_with_whom_a_scan_announces(tmp_path: Path) -> None:
    """The words are cut short, and the call is heard."""
    desk = _two_calls(tmp_path)
    desk.run(f"{PIN}#!1")
    assert started(desk, "extension") == [("1001",)]
    assert desk.pbx.played == ["agent-pass", spoken(Cue.SCANNED)[0]]


def _two_calls(folder: Path) -> Desk:
    desk = connected(folder, "*222*")
    desk.pbx.add_channel(SECOND_CUSTOMER, bridge_peer=OTHER)
    desk.pbx.add_channel(OTHER, OTHER_UNIQUEID, bridge_peer=SECOND_CUSTOMER)
    return desk


def test_the_star_during_the_beep_leaves_before_the_next_call(tmp_path: Path) -> None:
    """The call is over, the supervisor has had enough: nothing is waited for."""
    desk = connected(tmp_path)

    def agent_hangs_up() -> int | None:
        desk.pbx.keys("!*")
        return desk.agent_hangs_up()

    desk.when_quiet = agent_hangs_up
    desk.run()
    assert ends(desk) == ["call_over"]
    assert desk.pbx.played[-2:] == [*spoken(Cue.ASK_EXTENSION), *spoken(Cue.GOODBYE)]
