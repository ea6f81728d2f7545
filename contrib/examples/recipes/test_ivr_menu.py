"""The menu, as its callers know it."""

from __future__ import annotations

import pytest
from ivr_menu import CHOICES, router

from agi_monitor.testing import FakeAsterisk

PROMPT = "basic-pbx-ivr-main"


def a_call() -> FakeAsterisk:
    """A caller in front of the menu."""
    return FakeAsterisk(context="menu", extension="s", script=f"menu/{PROMPT}")


@pytest.mark.parametrize(("key", "extension"), CHOICES.items())
def test_a_key_leads_to_its_extension(key: str, extension: str) -> None:
    fake = a_call()
    fake.keys(key)
    fake.run(router)
    assert (fake.channel.extension, fake.channel.priority) == (extension, "1")
    assert fake.played == [PROMPT]


def test_a_wrong_key_is_told_and_asked_again() -> None:
    fake = a_call()
    fake.keys("92")
    fake.run(router)
    assert fake.played == [PROMPT, "pm-invalid-option", PROMPT]
    assert fake.channel.extension == "support"


def test_who_says_nothing_goes_on_in_the_dialplan() -> None:
    fake = a_call()
    fake.run(router)
    assert fake.played == [PROMPT] * 3
    assert (fake.channel.extension, fake.agi_status) == ("s", "SUCCESS")
