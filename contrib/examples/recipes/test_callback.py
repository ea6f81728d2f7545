"""Who is called back, and who is not."""

from __future__ import annotations

import pytest
from callback import callback

from agi_monitor.testing import FakeAsterisk


def call(caller_id: str | None, keys: str = "") -> FakeAsterisk:
    """A call that ends."""
    fake = FakeAsterisk(caller_id=caller_id)
    fake.application("Originate", lambda fake, channel, argument: 0)
    fake.keys(keys)
    fake.run(callback)
    return fake


def test_who_agrees_is_called_back_after_the_hang_up() -> None:
    fake = call("2001", "1")
    assert fake.executed == [("Originate", "Local/2001@callback,exten,callback,answered,1,45,a")]
    assert fake.agi_status == "HANGUP"


def test_who_hangs_up_while_goodbye_is_said_is_called_back_too() -> None:
    fake = FakeAsterisk(caller_id="2001")
    fake.application("Originate", lambda fake, channel, argument: 0)
    fake.keys("1")
    fake.hang_up_at_prompt("vm-goodbye")
    fake.run(callback)
    assert [name for name, _ in fake.executed] == ["Originate"]


def test_who_does_not_agree_is_left_alone() -> None:
    assert call("2001").executed == []


@pytest.mark.parametrize("number", [None, "12", "2001@trunk", "2001,exten,outbound", "2001&PJSIP/1001", "٢٠٠١"])
def test_what_is_no_number_is_not_dialled(number: str | None) -> None:
    fake = call(number, "1")
    assert (fake.executed, fake.played) == ([], ["feature-not-avail-line"])
