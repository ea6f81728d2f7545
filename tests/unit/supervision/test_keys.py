"""No key is lost that is pressed while something is said: it ends the words, and counts for what comes next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.live.calls import Origin
from agi_monitor.model import Agent, Cue, Mode, ModeMark, Reason
from agi_monitor.supervision.gates import MODE_CUES
from agi_monitor.supervision.policy import ScanOf
from agi_monitor.supervision.prompts import DEFAULTS, PACK, Prompts
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


# ---- more keys ---------------------------------------------------------------------------------------------


def test_the_help_key_tells_what_the_keys_do(desk: Desk) -> None:
    """During a spy; then the call is heard as before, by a decision of its own."""
    desk.run(f"{PIN}#50")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "whisper", "whisper"]
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.HELP)]


def test_a_key_during_the_help_counts(desk: Desk) -> None:
    """Who hears which key it is presses it at once."""
    desk.run(f"{PIN}#0!5")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "whisper"]
    assert desk.pbx.played == ["agent-pass", spoken(Cue.HELP)[0]]


def test_the_star_during_the_help_leaves(desk: Desk) -> None:
    """The next extension is asked for."""
    desk.run(f"{PIN}#0!*")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen"]
    assert desk.pbx.played[-2:] == [*spoken(Cue.ASK_EXTENSION), *spoken(Cue.GOODBYE)]


def test_back_to_the_agent_before(tmp_path: Path) -> None:
    """From one extension to the one that was heard before it, and further back; the first one stays."""
    desk = _two_calls(tmp_path)
    desk.pbx.channel.extension = "*2221001"
    desk.run(f"{PIN}#*100588")
    assert started(desk, "extension") == [("1001",), ("1005",), ("1001",), ("1001",)]
    assert ends(desk)[:3] == ["supervisor_left"] * 3


def test_back_in_a_scan(tmp_path: Path) -> None:
    """The one before is announced and heard again; after it the round continues."""
    desk = _two_calls(tmp_path)
    desk.run(f"{PIN}#*8*")
    assert started(desk, "extension") == [("1001",), ("1005",), ("1001",), ("1001",)]


def test_back_while_a_scan_announces(tmp_path: Path) -> None:
    """The announced one is not heard."""
    desk = _two_calls(tmp_path)
    desk.run(f"{PIN}#*!8")
    assert started(desk, "extension") == [("1001",), ("1001",)]


def test_stars_before_an_extension_are_passed_over(desk: Desk) -> None:
    """Two stars to leave and the next extension: no refusal."""
    desk.run(f"{PIN}#**1001")
    assert refusals(desk) == []
    assert started(desk, "extension") == [("1001",), ("1001",)]


@pytest.mark.parametrize("keyed", ["01#", "1001#"])
def test_too_short_an_extension_asks_for_the_rest(tmp_path: Path, keyed: str) -> None:
    """The rest is keyed in, or the whole extension by who takes it so."""
    desk = Desk(tmp_path, "*22210").run(f"{PIN}#{keyed}")
    assert started(desk, "extension") == [("1001",)]
    assert desk.pbx.played == ["agent-pass", *spoken(Cue.ASK_REST)]


def test_no_digits_at_all_are_no_rest(tmp_path: Path) -> None:
    """The refusal is that of an agent who does not exist."""
    desk = Desk(tmp_path, "*22210").run()
    assert refusals(desk)[0] == "agent_unknown"


def test_the_wait_for_a_pin_is_the_sites(desk: Desk) -> None:
    """In milliseconds, as GET DATA takes it."""
    desk.pins.policy = replace(desk.pins.policy, seconds=3.0)
    desk.run()
    assert ["GET", "DATA", "agent-pass", "3000"] in [command[:4] for command in desk.pbx.commands]


# ---- which mode begins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("how", ModeMark)
def test_the_supervisor_knows_which_mode_begins(desk: Desk, how: ModeMark, pack: bool) -> None:
    """By beeps or by words, or not at all; listening to begin with is what everybody expects."""
    desk.change(mode_mark=how, prompts=Prompts(pack=pack))
    desk.run(f"{PIN}#564")
    modes = [Mode.WHISPER, Mode.BARGE, Mode.LISTEN]
    words = {
        ModeMark.NONE: [],
        ModeMark.TONE: [word for mode in modes for word in spoken(MODE_CUES[mode])],
        ModeMark.WORD: [word for mode in modes for word in (PACK if pack else DEFAULTS)[MODE_CUES[mode]]],
    }
    assert desk.pbx.played[1:] == words[how]
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "whisper", "barge", "listen"]


def test_a_code_for_another_mode_is_marked_as_well(tmp_path: Path) -> None:
    """Who dialled it hears that it is so."""
    desk = Desk(tmp_path, "*2231001")
    desk.change(mode_mark=ModeMark.TONE)
    desk.run()
    assert desk.pbx.played == ["agent-pass", "beep", "beep"]


def test_after_the_mark_everything_is_decided_again(desk: Desk) -> None:
    """It takes its time: a right that is taken away meanwhile is gone."""
    desk.change(mode_mark=ModeMark.TONE)
    desk.pbx.at_sound["beep"] = lambda: desk.change(rules=())
    desk.run(f"{PIN}#6")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen"]
    assert refusals(desk)[:2] == ["mode_denied"] * 2


@pytest.mark.parametrize(
    ("key", "modes"), [("4", ["listen", "listen"]), ("5", ["listen", "whisper"]), ("*", ["listen"])]
)
def test_a_key_during_the_mark_is_taken_before_anybody_is_heard(desk: Desk, key: str, modes: list[str]) -> None:
    """The barge that was marked never begins, and no number of a grant is left out."""
    desk.change(mode_mark=ModeMark.TONE)
    desk.run(f"{PIN}#6!{key}")
    assert [mode for (mode,) in started(desk, "mode")] == modes
    assert [grant for (grant,) in started(desk, "grant")] == list(range(1, len(modes) + 1))


# ---- the scan of some calls --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "heard"),
    [
        (ScanOf(frozenset({"all"})), ["1001", "1005", "1001"]),
        (ScanOf(frozenset({"1005"})), ["1005", "1005", "1005"]),
        (ScanOf(frozenset({"sales"})), ["1001", "1005", "1001"]),
        (ScanOf(frozenset({"all"}), frozenset({"support"})), ["1005", "1005", "1005"]),
    ],
    ids=["all", "one agent", "a group", "a queue"],
)
def test_a_scan_with_a_number_comes_to_some_calls(tmp_path: Path, of: ScanOf, heard: list[str]) -> None:
    """To those of its agents, and of its queues if it has any."""
    desk = _two_calls(tmp_path)
    assert desk.live is not None
    support = Origin("support", None)
    desk.live.origin_of = lambda uniqueid: support if uniqueid == OTHER_UNIQUEID else None  # type: ignore[method-assign]
    desk.pbx.channel.extension = "*222*1"
    desk.change(scans={"1": of})
    desk.run(f"{PIN}#**")
    assert [extension for (extension,) in started(desk, "extension")] == heard


def test_a_scan_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """The number means nothing here."""
    desk = _two_calls(tmp_path)
    desk.pbx.channel.extension = "*222*2"
    desk.run()
    assert desk.recorded("reason", "detail") == [("code_unknown", "there is no scan 2")]
