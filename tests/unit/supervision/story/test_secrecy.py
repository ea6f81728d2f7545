"""Who is believed, and how little a stranger is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.model import Reason
from agi_monitor.pins.guard import PinPolicy
from agi_monitor.pins.lock_outs import Limit, LockOut
from tests.doubles.desk import ANNA, NOW, PIN, PIN_POLICY, Desk, limits, refusals, spoken
from tests.unit.supervision.story.calls import STRANGER, WRONG, locked, no_state
from tests.unit.supervision.story.test_hang_ups import Result


@pytest.mark.parametrize("policy", [PIN_POLICY, replace(PIN_POLICY, limits=limits(2))], ids=["wrong", "locked"])
def test_a_strangers_phone_sounds_like_a_wrong_pin(tmp_path: Path, policy: PinPolicy) -> None:
    """Nobody can tell by the sounds or their order whether a phone belongs to a supervisor."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    known = Desk(tmp_path / "a", pin_policy=policy).run(WRONG * 3)
    unknown = Desk(tmp_path / "b", channel=STRANGER, pin_policy=policy).run(WRONG * 3)

    assert unknown.pbx.commands == known.pbx.commands
    assert unknown.pbx.played == known.pbx.played
    assert {record["supervisor"] for record in unknown.records} == {None}
    assert {record["endpoint"] for record in unknown.records} == {"PJSIP/6666"}


def test_a_strangers_right_pin_is_wrong(tmp_path: Path) -> None:
    """A supervisor's PIN on an unassigned phone is not a PIN."""
    desk = Desk(tmp_path, channel=STRANGER).run(f"{PIN}#" * 3)

    assert refusals(desk) == ["endpoint_unknown"]
    assert desk.spies == []


def test_an_unknown_agent_sounds_like_a_forbidden_one(tmp_path: Path) -> None:
    """Nobody can find out by the sounds which extensions are agents."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    forbidden = Desk(tmp_path / "a", "*2221003").run()
    unknown = Desk(tmp_path / "b", "*2225555").run()

    assert unknown.pbx.commands == forbidden.pbx.commands


def test_the_caller_id_proves_nothing(desk: Desk) -> None:
    """A stranger's phone that shows a supervisor's number is a stranger's phone."""
    desk.pbx.channel.name = STRANGER
    desk.pbx.channel.caller_id, desk.pbx.channel.caller_id_name = "2001", "Anna Example"
    desk.run(f"{PIN}#" * 3)

    assert refusals(desk) == ["endpoint_unknown"]


def test_an_empty_pin_is_no_attempt(desk: Desk) -> None:
    """Keying in nothing uses up a try of this call, but is not counted as a wrong PIN."""
    desk.run("###")

    assert refusals(desk) == ["pin_wrong"]
    assert (desk.wrong_pins("supervisor:anna"), desk.wrong_pins("endpoint:PJSIP/2001")) == (None, None)


def test_a_lock_out_is_on_record(desk: Desk) -> None:
    """The wrong PIN too many is a fact of its own that says until when."""
    locked(desk)

    assert desk.recorded("fact", "supervisor", "kind", "until", "reason") == [
        ("locked_out", "anna", "supervisor", "2023-11-14T22:14:20.000+00:00", None),
        ("refused", "anna", None, None, "pin_locked"),
    ]


def test_a_lock_out_is_on_record_also_after_a_hang_up(tmp_path: Path) -> None:
    """Anyone who hangs up before the wrong PIN too many was looked at locks all the same, and not in silence."""

    async def slow(function: Callable[[], Result], /) -> Result:
        desk.pbx.hang_up()
        await Deferred()
        return function()

    desk = Desk(tmp_path, pin_policy=replace(PIN_POLICY, limits=limits(1)), hashing=slow)
    desk.run(f"{PIN}#")

    assert desk.recorded("fact", "supervisor", "kind") == [
        ("locked_out", "anna", "supervisor"),
        ("request_abandoned", "anna", None),
    ]
    assert desk.wrong_pins("supervisor:anna") == LockOut(1, NOW, NOW + 60.0)


def test_guessing_over_one_pbx_locks_everybody_on_it(tmp_path: Path) -> None:
    """The record says that it is the PBX; the supervisor hears what everybody hears who is locked out."""
    patient = replace(PIN_POLICY.limits, peer=Limit(2, 10.0, 300.0))
    desk = Desk(tmp_path, pin_policy=replace(PIN_POLICY, limits=patient)).run(f"{WRONG}{WRONG}{PIN}#")

    assert desk.recorded("fact", "kind", "until", "reason") == [
        ("locked_out", "peer", "2023-11-14T22:13:30.000+00:00", None),
        ("refused", None, None, "pin_locked"),
    ]
    assert [moment for moment in spoken(Reason.PIN_LOCKED) if moment not in desk.pbx.played] == []
    assert desk.spies == []


def test_without_a_pin_it_sounds_like_a_wrong_one(tmp_path: Path) -> None:
    """Nobody can tell from outside; the record can."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    wrong = Desk(tmp_path / "a").run(WRONG * 3)
    none = Desk(tmp_path / "b")
    none.change(supervisors={"PJSIP/2001": replace(ANNA, pin_hash=None)})
    none.run(f"{PIN}#" * 3)

    assert (none.pbx.commands, none.pbx.played) == (wrong.pbx.commands, wrong.pbx.played)
    assert none.recorded("reason", "detail") == [("pin_wrong", "there is no PIN")]


@pytest.mark.parametrize(
    ("dialled", "keys"),
    [
        ("*2221001", f"{PIN}#5*{PIN}#"),
        ("*222", f"{PIN}#{PIN}#"),
        ("*222", f"{PIN}#1001"),
        ("*222", "90210777#" * 3),
        ("*222", f"{PIN}#90210777#"),
    ],
    ids=["right", "pin-for-extension", "extension", "wrong", "wrong-for-extension"],
)
def test_no_digit_of_a_pin_is_kept(tmp_path: Path, dialled: str, keys: str) -> None:
    """What is keyed in as a PIN stands in no log line, no record, no command and no file."""
    desk = Desk(tmp_path, dialled)
    with capture_logs() as logs:
        desk.run(keys)

    files = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    kept = [*(str(line) for line in logs), *(" ".join(command) for command in desk.pbx.commands), files]
    for secret in (PIN, PIN[:4], "90210777", "9021"):
        assert [text for text in kept if secret in text] == []


def test_no_digit_of_a_pin_is_in_an_error(desk: Desk) -> None:
    """When the lock-outs cannot be written, neither the refusal nor the log repeats what was keyed in."""
    with capture_logs() as logs:
        no_state(desk)

    assert PIN not in str(logs) + str(desk.records)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["state_unavailable"]


@pytest.mark.parametrize("guest", [True, False])
def test_a_guest_who_calls_themselves_like_a_supervisors_phone(tmp_path: Path, *, guest: bool) -> None:
    """chan_sip calls a guest's channel by the domain in From. Of which peer it is, it says itself."""
    desk = Desk(tmp_path, channel="SIP/2001-00000001")
    supervisor = next(iter(desk.policy.supervisors.values()))
    desk.change(supervisors={"SIP/2001": replace(supervisor, endpoints=frozenset({"SIP/2001"}))})
    desk.pbx.channel.guest = guest
    desk.run()
    assert (refusals(desk), len(desk.spies)) == ((["endpoint_unknown"], 0) if guest else ([], 1))
