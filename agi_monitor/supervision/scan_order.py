"""Which call comes next when a supervisor hears one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agi_monitor.live.targets import age
from agi_monitor.model import ScanOrder


@dataclass(frozen=True, slots=True)
class AgentCall:
    """A call that may be heard.

    Parameters:
        extension: the agent.
        uniqueid: of the agent's channel, which tells when it began.
    """

    extension: str
    uniqueid: str


Choice = Callable[[Sequence[AgentCall]], AgentCall]
"""Picks one, such as ``random.choice``."""


def next_call(calls: Sequence[AgentCall], order: ScanOrder, choice: Choice) -> AgentCall | None:
    """Return the call that comes next, or None when there is none.

    Parameters:
        calls: those that were not heard in this round.
        order: the longest first, or any.
        choice: picks any.
    """
    if not calls:
        return None
    if order is ScanOrder.RANDOM:
        return choice(calls)
    return min(calls, key=lambda call: (age(call.uniqueid), call.extension))


def before(order: list[str], extension: str, *, went_back: bool) -> str | None:
    """Return whom to go back to, or None where that is not wanted.

    Parameters:
        order: the agents who were heard before this one, which it is kept in.
        extension: this one. It is the one to go back to where there was none before.
        went_back: whether the supervisor wants to go back.
    """
    if not went_back:
        order.append(extension)
        return None
    return order.pop() if order else extension
