"""What the fake PBX has: channels, hints, a database, sounds, applications and subroutines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Self

from agi_monitor.agi.verb_results import ChannelState
from agi_monitor.testing.fake_channel import FakeChannel


class Blocks(Enum):
    """The one value that says that an application runs on."""

    BLOCKS = "BLOCKS"

    def __repr__(self) -> str:
        return "BLOCKS"


BLOCKS: Final = Blocks.BLOCKS
"""What an application returns to run until ``finish_application`` or ``hang_up``."""


class FakePbx:
    """A PBX, and the channel that calls.

    Parameters:
        channel: that calls.
    """

    applications: dict[str, Callable[[Self, FakeChannel, str], int | Blocks]]
    subroutines: dict[tuple[str, str], Callable[[Self, FakeChannel, str], str]]

    def __init__(self, channel: FakeChannel) -> None:
        self.channel = channel
        self.channels = [self.channel]
        """All channels; the first is the one that calls."""
        self.hints: dict[str, str] = {}
        """``extension@context`` -> devices, as the dialplan writes a hint."""
        self.device_states: dict[str, str] = {}
        """Device -> state, such as ``INUSE``."""
        self.database: dict[tuple[str, str], str] = {}
        """Family and key -> value."""
        self.functions: dict[str, Callable[[FakeChannel, str], str]] = {}
        """Name -> what a dialplan function says of a channel, given its argument."""
        self.missing_sounds: set[str] = set()
        """Sounds that this PBX does not have."""
        self.applications = {}
        """Name in lower case -> what it does; see ``application``."""
        self.missing_applications: set[str] = set()
        """Applications that this PBX does not have; any other one that no test has given is a mistake of the test."""
        self.subroutines = {}
        """Context and extension -> what GOSUB runs there; see ``subroutine``."""
        self.missing_subroutines: set[tuple[str, str, str]] = set()
        """Context, extension and priority of places that this PBX does not have; any other one that no test has given
        is a mistake of the test."""

    def add_channel(
        self,
        name: str,
        uniqueid: str | None = None,
        state: ChannelState = ChannelState.UP,
        bridge_peer: str = "",
        on_hold: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> FakeChannel:
        """Add another channel to the PBX; the parameters are those of ``FakeChannel``.

        Parameters:
            name: such as ``PJSIP/1001-00000002``.
            uniqueid: made up when not given.
            state: of the channel.
            bridge_peer: the name of the channel it talks to, or empty.
            on_hold: whether its device has put the call on hold.
            variables: its variables.
        """
        known = uniqueid or f"1700000000.{len(self.channels) + 1}"
        channel = FakeChannel(name, known, state, bridge_peer, on_hold, dict(variables or {}))
        self.channels.append(channel)
        return channel

    def add_call(self, name: str, other: str) -> FakeChannel:
        """Add two channels that talk to each other; the first of them.

        Parameters:
            name: of the first.
            other: of the second.
        """
        self.add_channel(other, bridge_peer=name)
        return self.add_channel(name, bridge_peer=other)

    def application(self, name: str, function: Callable[[Self, FakeChannel, str], int | Blocks]) -> None:
        """What a dialplan application does.

        Parameters:
            name: such as ``ChanSpy``.
            function: called with this fake, the channel and the argument text; returns what the application
                returns, or ``BLOCKS``.
        """
        self.applications[name.lower()] = function

    def subroutine(
        self, context: str, extension: str, function: Callable[[Self, FakeChannel, str], str] = lambda *_: ""
    ) -> None:
        """What ``GOSUB`` runs at a place of the dialplan, at whatever priority.

        Parameters:
            context: of the place.
            extension: of the place.
            function: called with this fake, the channel and the argument text; what it returns is GOSUB_RETVAL.
        """
        self.subroutines[context, extension] = function

    def _find(self, name: str) -> FakeChannel | None:
        """A channel by its name or uniqueid (ast_channel_get_by_name)."""
        for channel in self.channels:
            if channel.alive and (channel.name.lower() == name.lower() or channel.uniqueid == name):
                return channel
        return None
