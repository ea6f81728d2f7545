"""The running server as a list of parts: begun one after the other, ended the other way round.

Not Twisted's ``MultiService``: it begins its services without waiting for one another, and ends them all at once.
Here the audit is on disk before the first call is taken, and what the last call says is in it before it is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce

from twisted.internet.defer import DeferredLock

from agi_monitor.config.sections import Config
from agi_monitor.server.metrics import Readings


class Part:
    """One part of the running server. By itself it does nothing: a part says what it does of these.

    What must be there before anything is read, such as the lock of the state folder, a part takes when it is made.
    """

    async def start(self) -> None:
        """Begin, and return when it is there for the parts after it. Whatever it raises, ``stop`` follows."""

    async def stop(self) -> None:
        """End what ``start`` began, as far as it came, and return when nothing is left of it."""

    def reload(self, config: Config) -> None:
        """Go by another configuration from now on. Sections that wait for a restart are as they were in it.

        Parameters:
            config: what holds.
        """

    def readings(self, found: Readings) -> Readings:
        """Return the readings with those of this part in them.

        Parameters:
            found: what other parts have read.
        """
        return found


class Parts:
    """The parts of one server.

    Parameters:
        parts: in the order in which they begin: each may use those before it.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)
        self._begun: list[Part] = []
        self._turn = DeferredLock()
        """A stop waits for a start that is under way."""

    def __iter__(self) -> Iterator[Part]:
        """All of them, in the order in which they begin."""
        return iter(self._parts)

    async def start(self) -> None:
        """Begin all of them.

        Raises:
            Exception: of the part that could not begin. It is ended, and so are those before it.
        """
        async with self._turn:
            try:
                for part in self._parts:
                    self._begun.append(part)
                    await part.start()
            except Exception:
                # What cannot be ended now is told by the next stop.
                await self._end()
                raise

    async def stop(self) -> None:
        """End those that have begun, the last one first.

        Raises:
            Exception: of the first that could not end. The others have ended; the next call tries it again.
        """
        async with self._turn:
            _raise_first(await self._end())

    async def _end(self) -> list[Exception]:
        errors: list[Exception] = []
        left: list[Part] = []
        while self._begun:
            part = self._begun.pop()
            try:
                await part.stop()
            except Exception as error:
                errors.append(error)
                left.insert(0, part)
        self._begun = left
        return errors

    def reload(self, config: Config) -> None:
        """Let another configuration hold in all of them, whatever becomes of it in one.

        Parameters:
            config: what holds.

        Raises:
            Exception: of the first that could not take it.
        """
        errors: list[Exception] = []
        for part in self._parts:
            try:
                part.reload(config)
            except Exception as error:
                errors.append(error)
        _raise_first(errors)

    def readings(self, version: str) -> Readings:
        """Return what all of them read.

        Parameters:
            version: of this package.
        """
        return reduce(lambda found, part: part.readings(found), self._parts, Readings(version))


def _raise_first(errors: Sequence[Exception]) -> None:
    for other in errors[1:]:
        errors[0].add_note(f"and then: {other!r}")
    if errors:
        raise errors[0]
