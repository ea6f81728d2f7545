"""The night service with right PINs, wrong ones, and callers who hang up."""

from __future__ import annotations

from argon2 import PasswordHasher
from feature_code import FAMILY, KEY, TRIES, NightService
from twisted.internet.defer import maybeDeferred

from agi_monitor import PinCheck
from agi_monitor.testing import FakeAsterisk

PIN = "407196"
RECORD = PasswordHasher(time_cost=1, memory_cost=64).hash(PIN)
WRONG_IN_A_ROW = 5


class Office:
    """A PBX whose night service can be switched, at a time of the test's own."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.database: dict[tuple[str, str], str] = {}
        pins = PinCheck(wrong_in_a_row=WRONG_IN_A_ROW, clock=self.time, seconds=self.time, in_thread=maybeDeferred)
        self.handler = NightService(pins, RECORD)

    def time(self) -> float:
        """What the clock says."""
        return self.now

    def caller(self, keys: str, phone: str = "2001") -> FakeAsterisk:
        """A phone whose user will key this in."""
        fake = FakeAsterisk(f"PJSIP/{phone}-00000001")
        fake.database = self.database
        fake.keys(keys)
        return fake

    def call(self, keys: str, phone: str = "2001") -> FakeAsterisk:
        """A call that ends by itself."""
        fake = self.caller(keys, phone)
        fake.run(self.handler)
        return fake

    @property
    def is_night(self) -> bool:
        """Whether the night service is on."""
        return self.database.get((FAMILY, KEY)) == "yes"


def test_the_right_pin_switches_on_and_off() -> None:
    office = Office()
    assert office.call(f"{PIN}#").played == ["agent-pass", "activated"]
    assert office.is_night
    assert office.call(f"{PIN}#").played == ["agent-pass", "de-activated"]
    assert not office.is_night


def test_wrong_pins_do_not() -> None:
    office = Office()
    fake = office.call("1111#2222#3333#")
    assert (office.is_night, fake.agi_status) == (False, "FAILURE")
    assert fake.played.count("vm-invalidpassword") == TRIES


def test_keys_that_are_no_pin_are_wrong_and_none_is_no_try() -> None:
    office = Office()
    assert office.call("*#" + "0" * 16 + f"{PIN}#").played[-1] == "activated"
    assert office.call("").played == ["agent-pass"] * TRIES + ["vm-goodbye"]


def test_a_phone_that_guesses_is_locked_out_and_another_is_not() -> None:
    office = Office()
    office.call("1111#2222#3333#")
    office.call("4444#5555#6666#")
    fake = office.call(f"{PIN}#")
    assert (office.is_night, fake.agi_status) == (False, "FAILURE")
    assert fake.played[:2] == ["agent-pass", "vm-invalidpassword"]
    office.call(f"{PIN}#", phone="2002")
    assert office.is_night


def test_a_lock_out_ends() -> None:
    office = Office()
    office.call("1111#2222#3333#")
    office.call("4444#5555#")
    office.now += 61
    office.call(f"{PIN}#")
    assert office.is_night


def test_who_hangs_up_instead_of_waiting_for_the_answer_has_tried() -> None:
    office = Office()
    for _ in range(WRONG_IN_A_ROW):
        fake = office.caller("1111#")
        fake.hang_up_at_prompt("vm-invalidpassword")
        fake.run(office.handler)
        assert fake.agi_status == "HANGUP"
    office.call(f"{PIN}#")
    assert not office.is_night


def test_who_hangs_up_before_the_end_of_the_pin_changes_nothing() -> None:
    office = Office()
    fake = office.caller(PIN)
    fake.hang_up_during("GET DATA")
    fake.run(office.handler)
    assert (office.is_night, fake.agi_status) == (False, "HANGUP")


def test_the_pin_is_in_no_variable_and_no_command() -> None:
    fake = Office().call(f"{PIN}#")
    assert PIN not in str(fake.channel.variables)
    assert not any(PIN in word for command in fake.commands for word in command)
