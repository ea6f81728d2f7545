"""Whether a channel is the one that was decided on, asked at the PBX right before something is done to it.

Events, lists and the environment of a call carry text that callers wrote, and Asterisk can move an application from
one phone to another. So none of them decides what a channel is at the moment of use: its own variables do, asked by
its uniqueid. Every action on a channel takes a ``Confirmed``, and only this file makes one.

::

    same      the uniqueid has the name that it had        before a key, a mute, a hang-up
    carrier   the signed grant stands on the channel       wherever the supervisor's call has gone
    runs      exactly a grant's application runs on it     the same, where the proof is missing
    spy       an application that spies runs on it         before a rogue spy is hung up
    bridged   it is in a bridge with another before a stranger is taken out of a joined call
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from agi_monitor.errors import ForgedAnswer
from agi_monitor.names import ChannelName, Uniqueid

PROOF = "AGI_MONITOR_GRANT"
"""The channel variable in which a grant stands, signed. It stays with the application when another phone gets it
(seen on 16.28 and 22.10: ast_channel_masquerade keeps the variables of the channel that stays)."""

SNOOP = "Snoop/"
"""How the name of a channel begins that ARI made to hear another (res_stasis_snoop.c)."""


class Source(Protocol):
    """Answers what a channel is: the manager interface. ``pbx.Pbx`` fits it."""

    async def variable(self, channel: Uniqueid, name: str, /) -> str | None:
        """Return a variable or function of a channel; empty when it is not set, None when there is no channel."""
        ...


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A channel of which the PBX itself has just said that it is the one.

    Parameters:
        uniqueid: by which Asterisk is told what to do.
        name: as the PBX said it.
    """

    uniqueid: Uniqueid
    name: ChannelName


async def same(source: Source, uniqueid: str, name: str) -> Confirmed | None:
    """Confirm that a channel is there under the name it had.

    Parameters:
        source: the PBX.
        uniqueid: of the channel.
        name: its name when it was decided on.
    """
    found = await _named(source, uniqueid)
    return found if found is not None and found.name == name else None


async def carrier(source: Source, uniqueid: str, signed: str) -> Confirmed | None:
    """Confirm that a signed grant stands on a channel: its spy runs there, whichever phone that is now.

    Parameters:
        source: the PBX.
        uniqueid: of the channel that may be it.
        signed: the text of the grant.
    """
    channel = Uniqueid.read(uniqueid)
    if channel is None or not signed or await source.variable(channel, PROOF) != signed:
        return None
    return await _named(source, channel)


async def runs(
    source: Source, uniqueid: str, applications: Mapping[str, str], contexts: Collection[str]
) -> Confirmed | None:
    """Confirm that a channel of ours runs exactly one of these applications.

    Parameters:
        source: the PBX.
        uniqueid: of the channel that may be it.
        applications: each with its arguments.
        contexts: where our channels stand.
    """
    channel = Uniqueid.read(uniqueid)
    if channel is None or await source.variable(channel, "CHANNEL(context)") not in contexts:
        return None
    wanted = applications.get(await source.variable(channel, "CHANNEL(appname)") or "")
    if wanted is None or await source.variable(channel, "CHANNEL(appdata)") != wanted:
        return None
    return await _named(source, channel)


async def spy(source: Source, uniqueid: str, applications: Collection[str]) -> Confirmed | None:
    """Confirm that a channel runs an application by which it hears others.

    Parameters:
        source: the PBX.
        uniqueid: of the channel.
        applications: those that spy.
    """
    found = await _named(source, uniqueid)
    if found is None or found.name.startswith(SNOOP):
        return found
    return found if await source.variable(found.uniqueid, "CHANNEL(appname)") in applications else None


async def bridged(source: Source, uniqueid: str) -> Confirmed | None:
    """Confirm that a channel is in a bridge with another.

    Parameters:
        source: the PBX.
        uniqueid: of the channel.
    """
    found = await _named(source, uniqueid)
    return found if found is not None and await in_bridge(source, found.uniqueid) else None


async def in_bridge(source: Source, channel: Uniqueid) -> bool:
    """Return whether a channel is in a bridge with another, also with one whose name holds a line break.

    Parameters:
        source: the PBX.
        channel: by its uniqueid.
    """
    try:
        return bool(await source.variable(channel, "BRIDGEPEER"))
    except ForgedAnswer:
        return True


async def _named(source: Source, uniqueid: str) -> Confirmed | None:
    channel = Uniqueid.read(uniqueid)
    if channel is None:
        return None
    name = ChannelName.read(await source.variable(channel, "CHANNEL(name)") or "")
    return None if name is None else Confirmed(channel, name)
