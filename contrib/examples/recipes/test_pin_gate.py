"""The gate with right PINs, wrong ones, and callers who hang up."""

from __future__ import annotations

from argon2 import PasswordHasher
from pin_gate import FAMILY, TRIES, WRONG_IN_A_ROW, PinGate
from twisted.internet.defer import Deferred, maybeDeferred

from agi_monitor.testing import FakeAsterisk

PIN = "4071"
GATE = PinGate(PasswordHasher(time_cost=1, memory_cost=64).hash(PIN), in_thread=maybeDeferred)


def call(keys: str, wrong: int = 0) -> FakeAsterisk:
    """A caller who keys this in, after this number of wrong PINs of others."""
    fake = FakeAsterisk()
    fake.database[FAMILY, "wrong"] = str(wrong)
    fake.keys(keys)
    fake.run(GATE)
    return fake


def test_the_right_pin_opens() -> None:
    fake = call(f"{PIN}#", wrong=WRONG_IN_A_ROW - 1)
    assert (fake.channel.variables["GATE"], fake.agi_status) == ("open", "SUCCESS")
    assert (FAMILY, "wrong") not in fake.database


def test_wrong_pins_do_not() -> None:
    fake = call("1111#2222#3333#")
    assert ("GATE" in fake.channel.variables, fake.agi_status) == (False, "FAILURE")
    assert fake.played.count("vm-invalidpassword") == TRIES
    assert fake.database[FAMILY, "wrong"] == str(TRIES)


def test_the_gate_stays_shut_after_too_many() -> None:
    fake = call(f"{PIN}#", wrong=WRONG_IN_A_ROW)
    assert (fake.played, fake.agi_status) == (["agent-pass", "vm-goodbye"], "FAILURE")
    assert fake.database[FAMILY, "wrong"] == str(WRONG_IN_A_ROW)


def test_many_callers_at_once_have_no_more_tries_than_one() -> None:
    checked: list[Deferred[bool]] = []

    def never_done(*_: object) -> Deferred[bool]:
        checked.append(Deferred())
        return checked[-1]

    gate = PinGate(GATE.record, in_thread=never_done)
    database: dict[tuple[str, str], str] = {}
    for _ in range(WRONG_IN_A_ROW + 5):
        fake = FakeAsterisk()
        fake.database = database
        fake.keys("1111#")
        fake.start(gate)
    assert len(checked) == WRONG_IN_A_ROW


def test_who_hangs_up_instead_of_waiting_for_the_answer_has_tried() -> None:
    fake = FakeAsterisk()
    fake.keys("1111#")
    fake.hang_up_at_prompt("vm-invalidpassword")
    fake.run(GATE)
    assert (fake.agi_status, fake.database[FAMILY, "wrong"]) == ("HANGUP", "1")
