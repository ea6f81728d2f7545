"""What the server must offer, so that it can be watched and spies can be ended from outside.

Everything that is returned is made of what JSON has: texts, numbers, truth, None, lists and mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Row = Mapping[str, object]
"""A call, a spy, a record: names and values."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What came of reading the configuration again.

    Parameters:
        problems: why it was refused, so that nothing has changed; empty when it holds.
        restart: the sections that were changed, and hold only after a restart of the server.
        supervisors: how many there are now.
        agents: how many there are now.
    """

    problems: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    supervisors: int = 0
    agents: int = 0


class Overview(Protocol):
    """The server as the control socket sees it. ``service`` fits it."""

    def status(self) -> Row:
        """Return how the server is: ``version``, ``node``, ``ami`` (up, down, ..., off), ``stale`` (None, or why the
        picture must not be trusted), ``calls``, ``spies``, and whatever else there is to say. Never fails.
        """
        ...

    def calls(self) -> Sequence[Row]:
        """Return the calls that are on now.

        Raises:
            Unavailable: there is no picture to be trusted.
        """
        ...

    def spies(self) -> Sequence[Row]:
        """Return who hears whom now.

        Raises:
            Unavailable: there is no picture to be trusted.
        """
        ...

    async def kill(self, spy: str, by: str) -> bool:
        """End a spy. Once it is asked for it is done, also when whoever asked is gone before the answer.

        Parameters:
            spy: its ``id``.
            by: the user who wants it.

        Returns:
            False: there is no such spy.

        Raises:
            Unavailable: the PBX cannot be told at this moment.
        """
        ...

    async def reload(self) -> Reloaded:
        """Read the configuration again. Once it is asked for it is done, also when whoever asked is gone."""
        ...

    def subscribe(self, listener: Callable[[Row], None]) -> Callable[[], None]:
        """Tell a listener each record of the audit, as it is written there.

        Parameters:
            listener: called in the reactor's thread. It returns at once and raises nothing, and may end its own
                subscription, or another one, while it is being told.

        Returns:
            how to end it.
        """
        ...
