"""agi_monitor.agi.menus: lists that keys interrupt, and menus."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from agi_monitor import LocalProtocolError, PlayedList, Session
from agi_monitor.testing import FakeAsterisk

CHOICES = {"1": "sales", "*": "back"}


def played(fake: FakeAsterisk, *sounds: str | int, escape_digits: str = "") -> PlayedList:
    """What ``play`` says."""
    found: list[PlayedList] = []

    async def handler(session: Session) -> None:
        found.append(await session.play(*sounds, escape_digits=escape_digits))

    fake.run(handler)
    return found[0]


def chosen(fake: FakeAsterisk, **options: Any) -> str | None:
    """What ``menu`` says."""
    found: list[str | None] = []

    async def handler(session: Session) -> None:
        found.append(await session.menu("press", 1, choices=CHOICES, **options))

    fake.run(handler)
    return found[0]


def test_a_list_is_played_to_its_end() -> None:
    """Sounds and numbers; what is not there is named, and the rest is played."""
    fake = FakeAsterisk()
    fake.missing_sounds.add("nowhere")
    assert played(fake, "vm-youhave", 3, "nowhere", "vm-messages") == PlayedList("", 4, ("nowhere",))
    assert fake.played == ["vm-youhave", "number:3", "vm-messages"]
    assert played(FakeAsterisk()) == PlayedList("", 0)


def test_a_key_ends_the_list() -> None:
    """What comes after it is not played; a key that is not listened for does not end it."""
    fake = FakeAsterisk()
    fake.keys("91")
    assert played(fake, "one", "two", escape_digits="1") == PlayedList("1", 0)
    assert fake.played == ["one"]


def test_a_choice_is_made_during_the_prompt_or_behind_it() -> None:
    """At once in both cases."""
    fake = FakeAsterisk()
    fake.keys("1")
    assert chosen(fake) == "sales"
    assert fake.played == ["press"]
    fake = FakeAsterisk()
    fake.clock.callLater(2, fake.keys, "*")
    assert chosen(fake) == "back"
    assert (fake.played, fake.clock.seconds()) == (["press", "number:1"], 2)


def test_it_is_asked_again() -> None:
    """A wrong key is said to be one; silence is not."""
    fake = FakeAsterisk()
    fake.keys("7")
    assert chosen(fake, tries=2, timeout=3) is None
    assert fake.played == ["press", "pm-invalid-option", "press", "number:1"]
    assert fake.clock.seconds() == 3
    fake = FakeAsterisk()
    fake.keys("71")
    assert chosen(fake, invalid="") == "sales"
    assert fake.played == ["press", "press"]


@pytest.mark.parametrize("choices", [{}, {"12": "x"}, {"": "x"}, {"a": "x"}])
def test_a_choice_is_one_key(choices: dict[str, str]) -> None:
    """Anything else is a mistake of the program."""
    fake = FakeAsterisk()

    async def handler(session: Session) -> None:
        await session.menu("press", choices=choices)

    with capture_logs(), pytest.raises(LocalProtocolError, match="each choice is one key"):
        fake.run(handler)
    assert fake.played == []
