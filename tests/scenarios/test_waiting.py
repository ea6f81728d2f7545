"""A supervisor who keys while a sentence is spoken, and stays on the line until the agent has a call."""

from __future__ import annotations

from tests.scenarios.house import House, heard_in


def test_keys_count_and_the_next_call_is_waited_for(house: House) -> None:
    """The extension that is keyed in during a refusal is the next one; its agent is idle, rings, and is heard."""
    house.reconfigure(waiting={"reasons": ["no_call", "ringing", "on_hold"], "music": True})
    supervisor = house.lab.phone("2001")
    mark = house.server.mark()
    house.identify("*2221002")
    house.server.wait_for("refused", mark, reason="mode_denied")
    supervisor.press("1001#")
    house.server.wait_for("waiting", mark)
    house.lab.wait_for_hearing({"2001": {"music"}})

    house.lab.connect("3001", "1001")
    house.hears(heard_in("listen"))
    (record,) = house.server.audit("spy_started")
    assert (record["extension"], record["grant"]) == ("1001", 1)
    assert [refused["extension"] for refused in house.server.audit("refused")] == ["1002"]

    # The customer is put on hold, and asked for again.
    house.lab.phone("1001").hold()
    mark = house.server.mark()
    supervisor.press("*")
    house.server.wait_for("extension_prompted", mark)
    supervisor.press("1001#")
    house.server.wait_for("waiting", mark)
    house.lab.phone("1001").resume()
    house.wait_for_sound(mark)
    house.hears(heard_in("listen"))

    house.lab.phone("3001").hang_up()
    house.server.wait_for("spy_ended", mark, why="call_over")
    mark = house.server.mark()
    supervisor.press("*")
    house.server.wait_for("extension_prompted", mark)
    house.assert_no_alarm()
