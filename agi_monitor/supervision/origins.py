"""Where an agent's call came from, asked of the channels themselves right before it is heard.

The live picture learns it from events, into which callers write. What a channel runs, Asterisk says when it is asked
about that one channel: a caller of a queue runs ``Queue`` until the talk with the agent is over, and a phone that was
called runs nothing of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

from agi_monitor.live.calls import CALLED, CALLING, QUEUE, Origin
from agi_monitor.live.over_agi import INTERNAL, Variables
from agi_monitor.live.targets import DeviceChannel
from agi_monitor.model import Direction
from agi_monitor.rights.circumstances import Circumstances

APPLICATION = "${CHANNEL(appname)}|${CHANNEL(appdata)}"

UNKNOWN = Origin(None, None)
"""Nothing is known of it."""

Told = TypeVar("Told")


async def at_source(session: Variables, channel: DeviceChannel) -> Origin:
    """Ask what an agent's channel, and those of the parties, run.

    Parameters:
        session: the supervisor's.
        channel: the agent's, with the way to its other party, as the PBX has just said it.
    """
    own = await session.get_full_variable(APPLICATION, channel.uniqueid) or ""
    application = own.partition("|")[0]
    direction = Direction.IN if application in CALLED else Direction.OUT if application in CALLING else None
    if application == QUEUE or not channel.peers_known:
        return Origin(None, direction)
    queues: dict[str, str] = {}
    for way in channel.ways:
        if way.startswith(INTERNAL):
            continue
        answer = await session.get_full_variable(APPLICATION, way)
        if answer is None:
            return Origin(None, direction)
        application, _, arguments = answer.partition("|")
        if application == QUEUE:
            queue = arguments.partition(",")[0]
            queues[queue.lower()] = queue
    return Origin(None if len(queues) > 1 else next(iter(queues.values()), ""), direction)


def confirmed(known: Circumstances, source: Origin) -> Iterator[Circumstances]:
    """Yield each of what may be true of a call. What is allowed has to be allowed in every case.

    After a transfer the caller's channel may still name the queue that the call has left, and the picture knows
    better; so where both know something and differ, both count. What one of them does not know is not known.

    Parameters:
        known: by the live picture.
        source: by the channels themselves.
    """
    for queue in _both(known.queue, source.queue):
        for direction in _both(known.direction, source.direction):
            yield replace(known, queue=queue, direction=direction)


def _both(told: Told | None, asked: Told | None) -> tuple[Told | None, ...]:
    return (None,) if told is None or asked is None else tuple(dict.fromkeys((told, asked)))
