"""What a caller of ``greet`` hears, and what happens when they hang up."""

from __future__ import annotations

import pytest
from greeting import greet

from agi_monitor.testing import FakeAsterisk


def test_the_number_is_said_back(fake_asterisk: FakeAsterisk) -> None:
    fake_asterisk.keys("42#")
    fake_asterisk.run(greet)
    assert fake_asterisk.played == ["vm-enter-num-to-call", "digits:42", "vm-goodbye"]
    assert fake_asterisk.channel.variables["KEYED"] == "42"


def test_nobody_keys_in_anything(fake_asterisk: FakeAsterisk) -> None:
    fake_asterisk.run(greet)
    assert fake_asterisk.played == ["vm-enter-num-to-call", "vm-goodbye"]


@pytest.mark.parametrize("sound", ["vm-enter-num-to-call", "vm-goodbye"])
def test_the_caller_hangs_up(fake_asterisk: FakeAsterisk, sound: str) -> None:
    fake_asterisk.hang_up_at_prompt(sound)
    fake_asterisk.run(greet)
    assert fake_asterisk.agi_status == "HANGUP"
    assert "KEYED" not in fake_asterisk.channel.variables
