"""One side hangs up in the middle of a step of a spy: every record has its end, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from contrib.lab.server import PINS
from contrib.lab.waiting import wait_until
from tests.scenarios.house import KEYS, House

MOMENTS: tuple[dict[str, Any], ...] = (
    {"event": "supervisor_identified"},
    {"event": "spy_started"},
    {"event": "agi_sent", "line": 'EXEC "ChanSpy"'},
    {"event": "spy_ended", "why": "mode_key"},
    {"event": "agi_sent", "line": 'EXEC "ChanSpy"', "mode": "whisper"},
)
"""After which line of the log it happens; with a mode, that is changed before."""
SECONDS = 40.0


def came(house: House, mark: int, moment: dict[str, Any]) -> bool:
    """Whether the server has logged that moment."""
    begins = moment.get("line", "")
    found = house.server.events(moment["event"], mark, **{key: moment[key] for key in ("why",) if key in moment})
    return any(str(one.get("line", "")).startswith(begins) for one in found)


def moments(house: House) -> Iterator[None]:
    """Go up to each of the moments with a call of its own, and clear up after it."""
    for moment in MOMENTS:
        house.lab.connect("3001", "1001")
        house.dial("*2221001")
        mark = house.server.mark()
        house.lab.phone("2001").press(PINS["2001"] + "#")
        if moment.get("why") == "mode_key" or "mode" in moment:
            house.wait_for_sound(mark)
            mark = house.server.mark()
            house.lab.phone("2001").press(KEYS["whisper"])
        wait_until(partial(came, house, mark, moment), SECONDS, str(moment), interval=0.01)
        yield
        for phone in ("2001", "1001", "3001"):
            for call in house.lab.phone(phone).calls:
                house.lab.phone(phone).hang_up(call)
            house.lab.phone(phone).wait_until_idle()
        house.server.wait_for("agi_session_ended", mark)


@pytest.mark.parametrize("who", ["2001", "1001", "3001"], ids=["the supervisor", "the agent", "the customer"])
def test_who_hangs_up_in_the_middle(house: House, who: str) -> None:
    """At each moment. Whatever was begun is on record as over, whatever was heard as silent."""
    for _ in moments(house):
        house.lab.phone(who).hang_up()
    began = house.server.audit("spy_started")
    assert len(began) >= 3
    ended = house.server.wait_for_audit("spy_ended", len(began))
    assert sorted((one["call"], one["grant"]) for one in ended) == sorted(
        (one["call"], one["grant"]) for one in began
    )
    house.server.wait_for_audit("spy_silent", len(house.server.audit("spy_heard")))
    house.wait_for_spies(0)
    house.assert_no_alarm()
    assert [line for line in house.server.lines() if line.get("level") in ("error", "critical")] == []
