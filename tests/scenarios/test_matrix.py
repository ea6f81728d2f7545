"""Who hears whom: every mode, and every way between them, with real sound."""

from __future__ import annotations

import pytest

from tests.scenarios.house import House, heard_in


@pytest.mark.parametrize("mode", ["listen", "whisper", "barge"])
def test_each_mode_reaches_exactly_whom_it_should(house: House, mode: str) -> None:
    """Dialling a mode's code gives the whole matrix of that mode, and the audit has its record."""
    house.lab.connect("3001", "1001")
    house.spy(mode)
    house.hears(heard_in(mode))
    (started,) = house.server.audit("spy_started")
    assert started["mode"] == mode
    assert started["supervisor"] == "anna"
    assert started["extension"] == "1001"
    assert started["rule"] == "leads-on-sales"
    assert started["spyee"].startswith("PJSIP/1001-")
    assert started["spyer"].startswith("PJSIP/2001-")


def test_keys_change_the_mode_in_every_order(house: House) -> None:
    """4, 5 and 6 lead from every mode to every other one, each change is heard and recorded."""
    order = ["whisper", "barge", "listen", "barge", "whisper", "listen"]
    house.lab.connect("3001", "1001")
    house.spy("listen")
    for mode in order:
        house.change_mode(mode)
        house.hears(heard_in(mode))
    assert [record["mode"] for record in house.server.audit("spy_started")] == ["listen", *order]
    assert [record["why"] for record in house.server.audit("spy_ended")] == ["mode_key"] * len(order)


def test_a_key_without_the_right_leaves_the_mode_as_it_was(house: House) -> None:
    """Who may only listen presses 5 and 6 in vain: both refusals are recorded, nobody hears the supervisor."""
    house.lab.connect("3001", "1001")
    house.spy("listen", supervisor="2002")
    for grant, key in enumerate(("5", "6"), start=2):
        mark = house.server.mark()
        house.lab.phone("2002").press(key)
        house.server.wait_for("refused", mark, reason="mode_denied")
        house.server.wait_for("spy_started", mark, mode="listen", grant=grant)
        house.hears(heard_in("listen", supervisor="2002"))
    assert [record["mode"] for record in house.server.audit("refused")] == ["whisper", "barge"]
    assert {record["mode"] for record in house.server.audit("spy_started")} == {"listen"}
