"""A PIN for a handler of your own, with the guard that the server's own PINs have.

An attempt is counted before its PIN is looked at, and only a correct one takes the count back: many calls at once get
no more tries than one. ``PinGuard`` decides; here are its threads and its store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from agi_monitor.agi.session import Session
from agi_monitor.agi.verb_results import Digits
from agi_monitor.embedding.event_loop import running_loop
from agi_monitor.model import Refusal, Supervisor
from agi_monitor.names import endpoint_of, names_its_caller

if TYPE_CHECKING:
    # They need argon2 and a database, and a program without a PIN needs neither.
    from agi_monitor.pins.costs import Cost
    from agi_monitor.pins.guard import PinGuard
    from agi_monitor.pins.lock_outs import LockOut, LockOutStore

Result = TypeVar("Result")

OF_THE_NAME = 2
"""How many times as many wrong PINs lock the name on all phones: one phone alone locks itself out before."""

OF_THE_PBX = 10
"""The same for all phones of a PBX together."""

LONGEST_LOCK = 86_400.0
MAX_REMEMBERED = 4_000
"""Names in memory whose wrong PINs are counted; the one that was wrong longest ago is forgotten."""


class PinAnswer(StrEnum):
    """What became of an attempt."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"
    """There were too many wrong ones. The PIN was not looked at."""


class PinCheck:
    """Checks PINs, and locks out those who guess.

    Wrong PINs in a row are counted over all calls: for the phone, for the name on all phones, and for the PBX. The
    name is locked after twice as many as a phone, the PBX after ten times as many. Each further wrong PIN doubles the
    time.

    Parameters:
        path: a file of its own for the counts, which several programs may share; None keeps them in memory, and a
            restart forgets them.
        wrong_in_a_row: after this number a phone is locked out.
        lock_seconds: how long the first time.
        clock: seconds since 1970.
        seconds: of a clock that only runs forward.
        in_thread: runs what takes long. A test without a reactor passes ``maybeDeferred``.

    Raises:
        StateUnavailable: the file cannot be used; from ``check`` as well.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        wrong_in_a_row: int = 5,
        lock_seconds: float = 60.0,
        clock: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
        in_thread: Callable[..., Deferred[Any]] | None = None,
    ) -> None:
        from agi_monitor.pins.guard import PinGuard, PinPolicy
        from agi_monitor.pins.lock_outs import Limit, Limits

        self._in_thread = in_thread or _in_thread
        phone, name, pbx = (
            Limit(wrong_in_a_row * times, lock_seconds, LONGEST_LOCK) for times in (1, OF_THE_NAME, OF_THE_PBX)
        )
        self._kinds: frozenset[Cost] = frozenset()
        store: LockOutStore = _Memory() if path is None else _table(path)
        self._guard: PinGuard = PinGuard(
            PinPolicy(attempts=1, limits=Limits(name, phone, pbx)),
            store,
            clock,
            seconds,
            self._run,
            self._run,
            _Turn,
        )

    async def check(self, session: Session, name: str, record: str, keyed: Digits) -> PinAnswer:
        """Check what a caller has keyed in, as an attempt on this name. The digits are logged nowhere.

        Parameters:
            session: of the caller.
            name: what the PIN is for, such as a feature code, or whose it is.
            record: the argon2id record of the PIN, as ``agi-monitor pin`` prints it.
            keyed: from ``session.get_data``.

        Raises:
            ValueError: the record cannot be used, or there are too many kinds (m, t, p) of records. The message
                repeats nothing of it.
            StateUnavailable: the attempt could not be counted, so the PIN was not looked at.
            CallEnded: the caller has hung up meanwhile. The attempt counts.
        """
        self._must_be_usable(record)
        phone = await _phone(session)
        attempt = Deferred.fromCoroutine(self._check(phone, session.peer, name, record, keyed.digits))
        answer: PinAnswer = await session.until(attempt)
        return answer

    def _must_be_usable(self, record: str) -> None:
        """Refuse what the guard takes for no record: every PIN would be wrong, and the phone locked for it."""
        from agi_monitor.pins import costs

        try:
            kind = costs.read(record)
        except ValueError as error:
            raise ValueError(f"the PIN record {error}") from None
        self._kinds = costs.with_one_more(self._kinds, kind)
        if kind not in self._kinds:
            raise ValueError(
                "the PIN record is of one kind (m, t, p) too many; make all records with: agi-monitor pin"
            )

    async def _check(self, phone: str, peer: str, name: str, record: str, digits: str) -> PinAnswer:
        from agi_monitor.pins.guard import Claim

        claim = Claim(Supervisor(name, frozenset(), frozenset(), record), phone, peer)
        attempt = await self._guard.count(claim)
        if isinstance(attempt, Refusal):
            return PinAnswer.LOCKED
        return PinAnswer.WRONG if await self._guard.look(attempt, digits) is None else PinAnswer.RIGHT

    async def _run(self, function: Callable[[], Result], /) -> Result:
        result: Result = await self._in_thread(function)
        return result


async def _phone(session: Session) -> str:
    """Return the phone that calls, or the name of a channel that belongs to no phone."""
    channel = session.request.channel
    phone = endpoint_of(channel)
    if phone is not None and names_its_caller(channel):
        peer = await session.get_full_variable("${CHANNEL(peername)}")
        if phone != f"SIP/{peer}":
            # A guest who calls themselves like a phone would lock that one out.
            return channel
    return phone or channel


def _in_thread(function: Callable[[], Any]) -> Deferred[Any]:
    """A thread of the event loop that runs, or of Twisted's reactor."""
    loop = running_loop()
    return deferToThread(function) if loop is None else Deferred.fromFuture(loop.run_in_executor(None, function))


def _table(path: Path) -> LockOutStore:
    from agi_monitor.storage.database import Database, path_url
    from agi_monitor.storage.lock_out_table import LockOutTable

    database = Database(path_url(path.absolute()))
    database.upgrade()
    return LockOutTable(database)


class _Turn:
    """A wait for one's turn."""

    def __init__(self) -> None:
        self._over: Deferred[None] = Deferred()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._over.__await__()

    def over(self) -> None:
        if not self._over.called:
            self._over.callback(None)


class _Memory:
    """A store that a restart empties."""

    def __init__(self) -> None:
        self._kept: dict[str, LockOut] = {}
        self._lock = Lock()

    def change(
        self, who: Sequence[str], decide: Callable[[Mapping[str, LockOut]], Mapping[str, LockOut]]
    ) -> Mapping[str, LockOut]:
        with self._lock:
            before = {name: self._kept.pop(name) for name in who if name in self._kept}
            self._kept.update(decide(before))
            while len(self._kept) > MAX_REMEMBERED:
                del self._kept[next(iter(self._kept))]
            return before
