"""agi_monitor.ami.permissions: the class that an action needs."""

from __future__ import annotations

import pytest

from agi_monitor.ami.permissions import CLASSES, classes_for

ALL = {"system", "call", "command", "config", "agent", "user", "reporting", "originate"}


@pytest.mark.parametrize(
    ("action", "classes"),
    [
        ("CoreShowChannels", ("system", "reporting")),
        ("coreshowchannels", ("system", "reporting")),
        ("Originate", ("originate",)),
        ("MuteAudio", ("system",)),
        ("Ping", ()),
        ("Nonsense", ()),
    ],
)
def test_the_classes_of_an_action(action: str, classes: tuple[str, ...]) -> None:
    """Names in any case; none for what needs none."""
    assert classes_for(action) == classes


def test_every_class_is_one_of_asterisk() -> None:
    """No class that manager.conf does not know."""
    assert {name for classes in CLASSES.values() for name in classes} <= ALL
    assert all(CLASSES.values())
