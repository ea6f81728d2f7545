"""agi_monitor.ami.permissions: the class that an action needs."""

from __future__ import annotations

import pytest

from agi_monitor.ami.permissions import CLASSES, NOTHING, Offers, classes_for

ALL = {"system", "call", "command", "config", "agent", "agi", "user", "reporting", "originate"}


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


LISTED = [
    ("Response", "Success"),
    ("ActionID", "1"),
    ("Ping", "Keepalive command.  (Priv: <none>)"),
    ("Getvar", "Gets a channel variable (or more).  (Priv: call,reporting,all)"),
    ("CoreStatus", "Show PBX core status variables.  (Priv: system,reporting,all) "),
    ("", "no line of the list"),
    ("Strange", "(Priv: ) and (Priv: call"),
]


def test_the_answer_to_list_commands() -> None:
    """Name and classes of each action; other lines are passed over."""
    assert dict(Offers.from_headers(LISTED).classes) == {
        "ping": frozenset(),
        "getvar": {"call", "reporting"},
        "corestatus": {"system", "reporting"},
    }


@pytest.mark.parametrize(
    ("action", "lacks"),
    [
        ("Getvar", False),
        ("getvar", False),
        ("DeviceStateList", False),  # Getvar has the same classes: the PBX does not have it
        ("CoreShowChannels", False),  # CoreStatus has the same
        ("Status", False),  # any class of Getvar's will do
        ("Setvar", True),  # call or reporting: which of the two is not known, and call alone will do
        ("Originate", True),
        ("QueueStatus", False),  # needs no class
        ("Ping", False),
    ],
)
def test_a_missing_class_is_told_from_a_missing_action(action: str, lacks: bool) -> None:
    """A class is missing when nothing is offered that needs no more than the action does."""
    assert Offers.from_headers(LISTED).lack_class(action) is lacks


def test_no_offers_at_all() -> None:
    """An account without any class lacks each."""
    assert NOTHING.lack_class("Getvar")
    assert not NOTHING.lack_class("Ping")
