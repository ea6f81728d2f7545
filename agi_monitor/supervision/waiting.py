"""A supervisor waits on the line for a call: until there is one, until the star key, or until the time is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import Enum

from agi_monitor.model import Cue, Reason
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.line import SupervisorLine

Said = Sequence[tuple[Cue | Reason, Mapping[str, str]]]
"""Moments, and what their placeholders stand for."""


WAIT_SECONDS = 0.5
"""Between two looks for the next call, while a supervisor waits for one; a key is noticed at once."""


class Waited(Enum):
    """How a wait ended."""

    FOUND = "found"
    """There is a call."""
    LEFT = "left"
    """The supervisor pressed the star key."""
    IN_VAIN = "in_vain"
    """The time was over."""


async def wait(
    line: SupervisorLine,
    found: Callable[[], Awaitable[bool]],
    said: Said,
    look_seconds: float,
    most_seconds: float | None = None,
) -> Waited:
    """Wait for a call.

    Parameters:
        line: the supervisor's.
        found: says whether there is one. It is also asked between the words, which a call cuts short.
        said: what the supervisor is told first.
        look_seconds: between two looks; a key is noticed at once.
        most_seconds: the longest wait; None where only the star key ends it.

    Raises:
        HandedOver: another phone has the supervisor's call.
    """
    line.log.info("waiting")
    began = line.seconds()
    for moment, values in said:
        await line.say(moment, values, found)
    how = line.policy().waiting
    plays, beeped = False, line.seconds()
    pressed = line.take_key()
    while True:
        if pressed == chanspy.LEAVE_KEY:
            waited = Waited.LEFT
        elif line.identity_lost is not None or await found():
            # Who has lost the right to ask is not kept waiting: the next decision says so.
            waited = Waited.FOUND
        elif most_seconds is not None and line.seconds() - began >= most_seconds:
            waited = Waited.IN_VAIN
        else:
            if pressed == chanspy.HELP_KEY:
                if plays:
                    await line.caller.set_music(False)
                    plays = False
                await line.say(Cue.HELP_WAITING, unless=found)
            if how.music is not None and not plays:
                await line.caller.set_music(True, how.music)
                plays = True
            elif how.beep_seconds is not None and line.seconds() - beeped >= how.beep_seconds:
                await line.say(Cue.STILL_WAITING)
                beeped = line.seconds()
            pressed = await line.key(look_seconds)
            continue
        if plays:
            await line.caller.set_music(False)
        return waited


async def until_call(line: SupervisorLine, found: Callable[[], Awaitable[bool]]) -> bool:
    """Wait for any call. False: the supervisor left with the star key.

    Parameters:
        line: the supervisor's.
        found: says whether there is one.
    """
    return await wait(line, found, [(Cue.WAITING, {})], WAIT_SECONDS) is Waited.FOUND
