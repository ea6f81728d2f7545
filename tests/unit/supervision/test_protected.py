"""Calls that may not be heard."""

from __future__ import annotations

import pytest

from agi_monitor.live.targets import ChannelState, DeviceChannel
from agi_monitor.model import Reason, Refusal
from agi_monitor.supervision.protected import Protected, marked


def call(name: str = "PJSIP/1001-0000000a", peers: tuple[str, ...] = (), number: str = "") -> DeviceChannel:
    """One leg of an agent."""
    return DeviceChannel(name, "1.10", ChannelState.UP, peers, number=number)


@pytest.mark.parametrize(
    "channel",
    [
        call("PJSIP/9000-0000000a"),
        call(peers=("PJSIP/9000-0000000b",)),
        call(peers=("PJSIP/trunk-0000000b", "PJSIP/9000-0000000c")),
    ],
    ids=["the-agent", "the-other-party", "one-of-several"],
)
def test_protects_whatever_a_device_takes_part_in(channel: DeviceChannel) -> None:
    """On either side, and in a conference."""
    assert Protected(frozenset({"PJSIP/9000"})).refusal(channel) == Refusal(Reason.PROTECTED, "PJSIP/9000 takes part")


@pytest.mark.parametrize(
    "peer",
    [
        "PJSIP/90001-0000000b",
        "PJSIP/9000-mobile-0000000b",
        "SIP/9000-0000000b",
        "Local/9000@agents-0000000b;1",
        "PJSIP/9000",
        "",
    ],
)
def test_protects_no_other_device(peer: str) -> None:
    """The whole name of the device counts."""
    assert Protected(frozenset({"PJSIP/9000"})).refusal(call(peers=(peer,))) is None


@pytest.mark.parametrize(
    ("number", "others", "protected"),
    [
        ("493012345", "493012345", True),
        ("+493012345", "493012345", True),
        ("4930*", "493012345", True),
        ("+4930*", "4930", True),
        ("*", "", True),
        ("*", "1", True),
        ("493012345", "4930123456", False),
        ("493012345", "49301234", False),
        ("493012345", "", False),
        ("4930*", "493", False),
        ("4930*", "004930123", False),
    ],
)
def test_protects_numbers(number: str, others: str, protected: bool) -> None:
    """The whole number, or how it begins."""
    found = Protected(numbers=("1", number) if number != "1" else (number,)).refusal(call(number=others))
    expected = "the number 1" if others == "1" else f"the number {number}"
    assert found == (Refusal(Reason.PROTECTED, expected) if protected else None)


def test_protects_nothing_by_itself() -> None:
    """Without a configuration every call may be heard."""
    assert Protected().refusal(call(peers=("PJSIP/9000-0000000b",), number="1")) is None


@pytest.mark.parametrize(
    ("value", "protects"),
    [
        (None, False),
        ("", False),
        (" ", False),
        ("0", False),
        ("no", False),
        ("No", False),
        (" FALSE ", False),
        ("1", True),
        ("yes", True),
        ("true", True),
        ("anything", True),
        ("00", True),
    ],
)
def test_the_dialplan_protects_a_call(value: str | None, protects: bool) -> None:
    """Any value but a plain no: something was written there to protect it."""
    assert marked(value) is protects
