"""What the keys of a phone do during a spy, and what the supervisor alone hears of it."""

from __future__ import annotations

from contrib.lab.endpoints import NOTICE, NOTICE_SOUND
from tests.scenarios.house import House, heard_in, moment

MARKS = {"prompts": {"mode_whisper": [NOTICE_SOUND] * 3, "mode_barge": ["beep"]}, "spies": {"mode_mark": "word"}}
LOUDER_DB = 3.0
"""Two steps of ChanSpy's volume double the sound, which is 6 dB."""


def test_the_keys_of_one_call(house: House) -> None:
    """Too few digits, the mark of a mode, the volume, the help and a key that ends it, on one call."""
    house.reconfigure(**MARKS)
    house.lab.connect("3001", "1001")
    supervisor = house.lab.phone("2001")
    mark = house.server.mark()
    house.identify("*22210#")
    house.server.wait_for("extension_prompted", mark)
    supervisor.press("01#")
    house.wait_for_sound(mark)
    before = house.hears(heard_in("listen"))

    # Only the supervisor hears that whisper begins; the call continues meanwhile.
    mark = house.server.mark()
    supervisor.press("5")
    ended = house.server.wait_for("spy_ended", mark, why="mode_key")
    began = house.server.wait_for("spy_started", mark, mode="whisper")
    hearing = house.lab.heard_between(moment(ended), moment(began))
    assert hearing.heard_by("1001") == {"3001"}
    assert hearing.heard_by("3001") == {"1001"}
    assert hearing.level("2001", NOTICE) > max(hearing.level("1001", NOTICE), hearing.level("3001", NOTICE)) + 20
    house.hears(heard_in("whisper"))

    supervisor.press("##")
    louder = house.hears(heard_in("whisper"))
    assert louder.level("2001", "3001") > before.level("2001", "3001") + LOUDER_DB

    mark = house.server.mark()
    supervisor.press("0")
    house.server.wait_for("spy_ended", mark, why="mode_key")
    supervisor.press("6")
    house.server.wait_for("spy_started", mark, mode="barge")
    house.hears(heard_in("barge"))
    assert not house.server.audit("refused")
    house.assert_no_alarm()
