"""One call after the other: ``*222*`` and the star key, every agent once in a round."""

from __future__ import annotations

from typing import Any

import pytest

from contrib.lab.server import SITE
from tests.scenarios.house import House

pytestmark = pytest.mark.either_version
"""The order of a scan, and what it passes over, are decided by us."""

EVERYBODY_SELLS: dict[str, dict[str, Any]] = {
    "100": {"endpoints": ["PJSIP/100"], "groups": ["sales"]},
    "1001": {"groups": ["sales"]},
    "1002": {"endpoints": ["PJSIP/1002"], "groups": ["sales"]},
}


def pair(one: str, other: str) -> dict[str, set[str]]:
    """Two phones hear each other."""
    return {one: {other}, other: {one}}


def scan(house: House, code: str = "*222*", supervisor: str = "2001") -> int:
    """Dial a code with a star after it, give the PIN, and return the place in the log before that."""
    mark = house.server.mark()
    house.identify(code, supervisor)
    return mark


def hears_agent(house: House, mark: int, extension: str) -> None:
    """Wait until the scan has come to this agent and the supervisor is sent what is heard."""
    house.server.wait_for("scanned", mark, extension=extension)
    house.wait_for_sound(mark, mode=None)


def scanned(house: House) -> list[str]:
    """The agents that the scan has come to."""
    return [event["extension"] for event in house.server.events("scanned")]


def test_the_longest_call_comes_first_and_nobody_twice_in_a_round(house: House) -> None:
    """The extension is said, the call is heard, the star continues; after the last one a new round begins."""
    house.lab.connect("2999", "1002")  # protected by a rule
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    others = {**pair("2999", "1002"), **pair("3001", "1001"), **pair("3002", "100")}
    mark = scan(house)
    for extension, heard in (("1001", {"3001", "1001"}), ("100", {"3002", "100"}), ("1001", {"3001", "1001"})):
        hears_agent(house, mark, extension)
        house.hears({**others, "2001": heard})
        mark = house.server.mark()
        house.lab.phone("2001").press("*")
    hears_agent(house, mark, "100")
    assert scanned(house) == ["1001", "100", "1001", "100"]
    said = [event["line"] for event in house.server.events("agi_sent") if event["line"].startswith("SAY DIGITS")]
    assert [line.split('"')[1] for line in said] == scanned(house)
    assert len(house.server.events("pin_prompted")) == 1
    assert [record["grant"] for record in house.server.audit("spy_started")] == [1, 2, 3, 4]


def test_when_a_call_is_over_the_next_one_is_heard(house: House) -> None:
    """The end of a call leads on like the star; when there is none left, the next call that begins is heard."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    mark = scan(house)
    hears_agent(house, mark, "1001")
    mark = house.server.mark()
    house.lab.phone("3001").hang_up()
    house.server.wait_for("spy_ended", mark, why="call_over")
    hears_agent(house, mark, "100")
    house.hears({**pair("3002", "100"), "2001": {"3002", "100"}})
    mark = house.server.mark()
    house.lab.phone("3002").hang_up()
    house.server.wait_for("waiting", mark)
    house.lab.connect("3002", "1001")
    hears_agent(house, mark, "1001")
    house.hears({**pair("3002", "1001"), "2001": {"3002", "1001"}})


def test_without_a_call_the_first_one_that_begins_is_heard(house: House) -> None:
    """Nobody talks: the supervisor waits; a ringing phone is not a call, an answered one is."""
    mark = scan(house)
    house.server.wait_for("waiting", mark)
    house.lab.phone("3001").dial("100")
    house.lab.phone("100").wait_for_incoming()
    assert not scanned(house)
    house.lab.phone("100").answer()
    hears_agent(house, mark, "100")
    house.hears({**pair("3001", "100"), "2001": {"3001", "100"}})


def test_the_star_ends_the_waiting(house: House) -> None:
    """Anyone who does not want to wait any longer leaves with the star, and the call ends."""
    mark = scan(house)
    house.server.wait_for("waiting", mark)
    house.lab.phone("2001").press("*")
    house.server.wait_for("call_ended", mark)
    house.lab.phone("2001").wait_until_idle()
    assert not house.server.audit("spy_started")


@pytest.mark.parametrize(
    "protected", [{"endpoints": ["PJSIP/3001"]}, {"numbers": ["3001"]}], ids=["by endpoint", "by number"]
)
def test_a_protected_call_is_passed_over(house: House, protected: dict[str, Any]) -> None:
    """The longest call is one that may not be heard: the scan never comes to it."""
    house.reconfigure(protected=protected)
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    for _ in range(2):
        mark = house.server.mark()
        if scanned(house):
            house.lab.phone("2001").press("*")
        else:
            scan(house)
        hears_agent(house, mark, "100")
    house.hears({**pair("3001", "1001"), **pair("3002", "100"), "2001": {"3002", "100"}})
    assert scanned(house) == ["100", "100"]
    assert not house.server.audit("refused")


def test_a_call_that_the_dialplan_protects_is_left_again(house: House) -> None:
    """Only the channel itself tells of it: it is refused by voice, and the scan continues."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    (agent,) = house.lab.pbx.channels_of("1001")
    house.lab.pbx.cli(f"dialplan set chanvar {agent.name} AGI_MONITOR_PROTECTED yes")
    mark = scan(house)
    house.server.wait_for("refused", mark, reason="protected")
    hears_agent(house, mark, "100")
    house.hears({**pair("3001", "1001"), **pair("3002", "100"), "2001": {"3002", "100"}})
    assert scanned(house) == ["1001", "100"]
    assert [record["extension"] for record in house.server.audit("spy_started")] == ["100"]


def test_the_supervisors_own_phone_is_passed_over(house: House) -> None:
    """The supervisor's phone is an agent's as well and has the longest call: somebody else's is heard."""
    house.lab.connect("3001", "2001")
    house.lab.connect("3002", "100")
    mark = house.server.mark()
    house.identify_in_call("*222*")
    hears_agent(house, mark, "100")
    house.hears({**pair("3002", "100"), "2001": {"3002", "100"}, "3001": {"music"}})
    house.lab.phone("3002").hang_up()
    house.server.wait_for("waiting", mark)
    assert scanned(house) == ["100"]


def test_a_held_call_is_passed_over_until_it_goes_on(house: House) -> None:
    """Nothing is said on a call on hold, so it is not heard; when it continues, it is."""
    house.lab.connect("3001", "1001")
    house.lab.phone("1001").hold()
    mark = scan(house)
    house.server.wait_for("waiting", mark)
    house.lab.phone("1001").resume()
    hears_agent(house, mark, "1001")
    house.hears({**pair("3001", "1001"), "2001": {"3001", "1001"}})


def test_a_random_order_reaches_everybody_in_each_round(house: House) -> None:
    """Three calls, six steps: each round has every agent exactly once."""
    house.reconfigure(agents=EVERYBODY_SELLS, rules=SITE["rules"][:1], spies={"scan_order": "random"})
    for customer, agent in (("3001", "1001"), ("3002", "100"), ("2999", "1002")):
        house.lab.connect(customer, agent)
    scan(house)
    for step in range(1, 7):
        house.server.wait_for("spy_started", grant=step)
        mark = house.server.mark()
        house.lab.phone("2001").press("*")
        house.server.wait_for("spy_ended", mark, why="supervisor_left")
    order = scanned(house)[:6]
    assert sorted(order[:3]) == sorted(order[3:]) == sorted(EVERYBODY_SELLS)


def test_the_code_decides_the_mode_and_the_keys_change_it(house: House) -> None:
    """A scan by the whisper code whispers; a key changes the mode for this call alone."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "100")
    mark = scan(house, "*223*")
    hears_agent(house, mark, "1001")
    house.hears({**pair("3002", "100"), "3001": {"1001"}, "1001": {"3001", "2001"}, "2001": {"3001", "1001"}})
    house.change_mode("listen")
    house.hears({**pair("3002", "100"), **pair("3001", "1001"), "2001": {"3001", "1001"}})
    mark = house.server.mark()
    house.lab.phone("2001").press("*")
    hears_agent(house, mark, "100")
    house.hears({**pair("3001", "1001"), "3002": {"100"}, "100": {"3002", "2001"}, "2001": {"3002", "100"}})


def test_a_mode_that_is_allowed_on_nobody_is_refused(house: House) -> None:
    """Who may only listen does not wait for a whisper that never comes."""
    house.lab.connect("3001", "1001")
    scan(house, "*223*", "2002")
    assert house.wait_for_refusal("mode_denied")["mode"] == "whisper"
    house.lab.phone("2002").wait_until_idle()
    assert not scanned(house)


def test_without_a_manager_interface_there_is_no_scan(house: House) -> None:
    """Nobody knows of all calls: refused, and the call ends."""
    house.restart(ami=None)
    house.lab.connect("3001", "1001")
    scan(house)
    house.wait_for_refusal("stale")
    house.lab.phone("2001").wait_until_idle()
    assert not house.server.audit("spy_started")
    house.hears(pair("3001", "1001"))
