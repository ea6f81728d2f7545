"""Rules with conditions, on the phone: reasons, hours, minutes, listeners, queues, the scan.

What a rule allows begins, and ends by itself when the rule does: nobody has to press a key.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.scenarios.house import House, heard_in, moment

SECONDS = 1.5
"""A spy ends about a second after its right has; the machine of the tests carries several PBXs."""

PICK_UP = """\
[phones](+)
exten => 7987,1,PickupChan(PJSIP/100)
 same => n,Hangup()
"""

PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}


def rule(**parts: Any) -> dict[str, Any]:
    """A rule that lets leads listen to and whisper to sales."""
    who = {"supervisors": ["leads"], "agents": ["sales"]}
    return {"name": "the-rule", "allow": ["listen", "whisper"], **who, **parts}


def ended(house: House, mark: int, why: str, reason: str = "revoked") -> float:
    """Wait until a spy was ended from outside, and the supervisor told so. Returns when, in seconds since 1970."""
    revoked = house.server.wait_for("spy_revoked", mark, timeout=30.0)
    assert revoked["why"] == why
    house.server.wait_for("spy_ended", mark, why="revoked")
    house.server.wait_for("refused", mark, reason=reason)
    house.server.wait_for("extension_prompted", mark)
    assert house.server.audit("spy_revoked")[-1]["why"] == why
    assert house.server.audit("spy_ended")[-1]["why"] == "revoked"
    began = moment(revoked)
    assert house.lab.last_heard("2001", {"1001", "3001"}, began) - began <= 0.2
    return began


@pytest.mark.either_version
def test_a_reason_is_asked_for_once_for_each_call(house: House) -> None:
    """A wrong digit gives no sound; the right one is on record, also of the next mode, and is not asked for again."""
    house.reconfigure(rules=[rule(terms={"reason_required": True})])
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    house.identify("*2221001")
    house.server.wait_for("reason_prompted", mark)
    house.lab.phone("2001").press("9")
    house.wait_for_refusal("reason_missing")
    assert not house.server.audit("spy_started")

    house.server.wait_for("extension_prompted", mark)
    mark = house.server.mark()
    house.lab.phone("2001").press("1001#")
    house.server.wait_for("reason_prompted", mark)
    house.lab.phone("2001").press("2")
    house.server.wait_for("spy_started", mark)
    house.hears(heard_in("listen"))
    house.change_mode("whisper")
    house.hears(heard_in("whisper"))
    assert [record["reason"] for record in house.server.audit("spy_started")] == ["training"] * 2
    assert len(house.server.events("reason_prompted")) == 2


@pytest.mark.either_version
def test_hours_that_end_end_the_spy(house: House) -> None:
    """Within about a second of the end of the hours there is silence, and the next request is refused."""
    house.server.stop()
    ahead = house.server.clock_ahead = house.server.folder / "clock-ahead"
    ahead.write_text("0")
    now = datetime.now(UTC)
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    house.server.configure(rules=[rule(when={"zone": "UTC", "hours": [hours]})])
    house.server.start()
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    mark = house.server.mark()
    ahead.with_suffix(".new").write_text("10800")
    ahead.with_suffix(".new").replace(ahead)
    jumped = datetime.now(UTC).timestamp()
    heard = ended(house, mark, "mode_denied")
    # Time stamps in the log may be of either clock.
    assert (heard - jumped) % 10_800 <= house.lab.on_a_running_machine(SECONDS, jumped)
    silent = datetime.now(UTC).timestamp()
    house.lab.phone("2001").press("1001#")
    house.server.wait_for(
        "refused", mark, reason="mode_denied", detail="no rule allows it; rule the-rule: not at this hour"
    )
    house.lab.wait_for_hearing({**PAIR, "2001": set()})
    assert house.lab.last_heard("2001", {"1001", "3001"}, silent) == silent


@pytest.mark.either_version
def test_minutes_that_are_up_end_the_spy(house: House) -> None:
    """Another mode is not a new beginning, nor is another request for the same call; the next call is one."""
    house.reconfigure(rules=[rule(terms={"max_minutes": 0.15})])
    house.lab.connect("3001", "1001")
    mark = house.server.mark()
    house.spy()
    began = moment(house.server.events("spy_started", mark)[0])
    house.change_mode("whisper")
    until = ended(house, mark, "time_is_up", "time_is_up")
    late = until - began - 9.0
    assert -0.1 <= late <= house.lab.on_a_running_machine(SECONDS, began + 9.0)
    mark = house.server.mark()
    house.lab.phone("2001").press("1001#")
    house.server.wait_for("refused", mark, reason="time_is_up")
    house.lab.phone("2001").hang_up()
    house.refused("*2221001", "time_is_up")
    house.lab.phone("3001").hang_up()
    house.lab.phone("1001").wait_until_idle()
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))


@pytest.mark.either_version
def test_minutes_go_on_through_a_crash_of_the_server(house: House) -> None:
    """The grant on the channel says since when the call is heard, and the next run of the server ends it in time."""
    house.reconfigure(rules=[rule(terms={"max_minutes": 0.3})])
    house.lab.connect("3001", "1001")
    house.spy()
    (started,) = house.server.events("spy_started")
    house.server.kill()
    mark = house.server.mark()
    house.server.start()
    house.server.wait_for("spy_adopted", mark)
    revoked = house.server.wait_for("spy_revoked", mark, timeout=30.0)
    assert revoked["why"] == "time_is_up"
    late = moment(revoked) - moment(started) - 18.0
    assert -0.1 <= late <= house.lab.on_a_running_machine(SECONDS, moment(started) + 18.0)
    house.lab.wait_for_hearing({**PAIR, "2001": set()})
    house.assert_no_alarm()


@pytest.mark.either_version
def test_no_more_hear_a_call_than_may(house: House) -> None:
    """The one too many is refused; a limit that is lowered ends the spy of who came last."""
    house.reconfigure(rules=[rule(terms={"max_listeners": 1})])
    house.lab.connect("3001", "1001")
    house.spy(supervisor="2003")
    house.identify("*2221001", "2001")
    house.wait_for_refusal("too_many_listeners")
    house.lab.phone("2001").hang_up()
    house.lab.phone("2001").wait_until_idle()
    house.reconfigure(rules=[rule(terms={"max_listeners": 2})])
    house.spy(supervisor="2001")
    house.change_mode("whisper", "2003")  # who keeps the place that was taken first
    mark = house.server.mark()
    house.reconfigure(rules=[rule(terms={"max_listeners": 1})])
    ended(house, mark, "too_many_listeners", "too_many_listeners")
    assert len(house.server.audit("spy_revoked")) == 1
    (spy,) = house.wait_for_spies(1)
    assert spy["supervisor"] == "carla"


@pytest.mark.parametrize("queue", ["500", "501"])
@pytest.mark.either_version
def test_a_rule_for_a_queue(house: House, queue: str) -> None:
    """Only the call that the queue gave out is heard, and no longer than it is one."""
    house.reconfigure(rules=[rule(calls={"queues": [queue], "direction": "in"})])
    house.lab.connect("3002", "1001")
    assert "the call is of another queue" in house.refused("*2221001", "mode_denied")["detail"]
    house.lab.phone("3002").hang_up()
    house.lab.phone("1001").wait_until_idle()
    house.lab.connect("3001", queue, "1001")
    house.spy()
    house.hears(heard_in("listen"))
    house.lab.phone("2001").hang_up()
    house.lab.phone("2001").wait_until_idle()
    # Another run of the server has no event of it, only the list.
    house.server.kill()
    house.server.start()
    house.spy()
    house.lab.phone("2999").set_auto_answer(True)
    mark = house.server.mark()
    house.lab.phone("3001").transfer("2999")
    ended(house, mark, "mode_denied")
    house.lab.wait_for_hearing({"2999": {"1001"}, "1001": {"2999"}, "2001": set()})


@pytest.mark.either_version
def test_a_rule_for_the_calls_that_come_in(house: House) -> None:
    """A call that the agent makes is not heard, whether events or a list told of it."""
    house.reconfigure(rules=[rule(calls={"direction": "in"})])
    house.lab.connect("1001", "3001", "3001")
    assert "the call goes the other way" in house.refused("*2221001", "mode_denied")["detail"]
    house.server.kill()
    house.server.start()
    assert "the call goes the other way" in house.refused("*2221001", "mode_denied")["detail"]
    assert not house.server.audit("spy_started")


@pytest.fixture
def picking_up(house: House) -> Iterator[House]:
    """A code by which a phone picks up a call for another one."""
    house.lab.pbx.write_dialplan("lab-pick-up", PICK_UP)
    yield house
    house.lab.pbx.remove_dialplan("lab-pick-up")


@pytest.mark.either_version
def test_the_direction_of_a_call_that_came_by_another_way(picking_up: House) -> None:
    """A call that the agent picks up comes in; one that the PBX makes for the agent goes out; of one that is fetched
    from the parking the channels do not know it, and nothing is heard."""
    house = picking_up
    house.reconfigure(rules=[rule(calls={"direction": "in"})])
    house.lab.phone("3001").dial("100")
    house.lab.phone("100").wait_for_incoming()
    house.lab.phone("1001").call("7987")
    house.spy()
    house.hears(heard_in("listen"))
    house.lab.pbx.hangup_all()

    house.lab.pbx.cli("channel originate PJSIP/1001 extension 3001@phones")
    for phone in ("1001", "3001"):
        house.lab.phone(phone).wait_for_incoming()
        house.lab.phone(phone).answer()
    house.lab.pbx.wait_until(lambda: house.lab.pbx.bridged("1001", "3001"), 40, "the two to talk")
    assert "the call goes the other way" in house.refused("*2221001", "mode_denied")["detail"]
    house.lab.pbx.hangup_all()

    house.reconfigure(rules=[rule(calls={"direction": "out"})])
    house.lab.connect("3001", "100")
    house.lab.phone("100").transfer("700")
    house.lab.pbx.wait_until(
        lambda: "701" in house.lab.pbx.cli("parking show default"), 40, "the customer to be parked"
    )
    house.lab.phone("1001").call("701")
    house.lab.pbx.wait_until(lambda: house.lab.pbx.bridged("1001", "3001"), 40, "the two to talk")
    heard = len(house.server.audit("spy_heard"))
    assert house.refused("*2221001", "revoked")["detail"] == "mode_denied"
    assert [record["why"] for record in house.server.audit("spy_ended")][1:] == ["revoked"]
    assert len(house.server.audit("spy_heard")) == heard


@pytest.mark.either_version
def test_the_scan_alone(house: House) -> None:
    """Who may scan, and not dial, comes to the agent by the scan only."""
    house.reconfigure(rules=[rule(allow=["scan"])])
    house.lab.connect("3001", "1001")
    house.refused("*2221001", "mode_denied")
    mark = house.server.mark()
    house.identify("*222*")
    house.server.wait_for("spy_started", mark)
    house.hears(heard_in("listen"))
    house.lab.phone("2001").press("5")
    house.server.wait_for("refused", mark, reason="mode_denied", mode="whisper")
    house.hears(heard_in("listen"))
