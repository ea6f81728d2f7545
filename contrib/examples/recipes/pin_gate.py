"""A gate: only who keys in the correct PIN passes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThread

from agi_monitor import Session, serve

TRIES = 3
WRONG_IN_A_ROW = 10
FAMILY = "pin-gate"


@dataclass(frozen=True)
class PinGate:
    """A handler that sets GATE to ``open``, or ends with AGISTATUS FAILURE.

    Wrong PINs are counted in Asterisk's database, over all calls. After ten in a row the gate stays shut until
    an administrator types ``database del pin-gate wrong`` into Asterisk's console.

    Parameters:
        record: the argon2 record of the PIN.
        in_thread: runs what takes long; a test that has no reactor passes ``maybeDeferred``.
        one_at_a_time: held while a try is counted.
    """

    record: str
    in_thread: Callable[..., Deferred[bool]] = deferToThread
    one_at_a_time: DeferredLock = field(default_factory=DeferredLock, repr=False)

    async def __call__(self, session: Session) -> None:
        await session.answer()
        for _ in range(TRIES):
            keyed = await session.get_data("agent-pass", timeout=5, max_digits=12)
            if not await self._may_try(session):
                break
            if await self.in_thread(self._is_right, keyed.digits):
                await session.database_del(FAMILY, "wrong")
                await session.set_variable("GATE", "open")
                return
            await session.stream_file("vm-invalidpassword")
        await session.stream_file("vm-goodbye")
        session.refuse()

    async def _may_try(self, session: Session) -> bool:
        """Count the try, before it is known whether it was right: who hangs up then has tried."""
        async with self.one_at_a_time:  # or many calls at once would all count from the same number
            wrong = int(await session.database_get(FAMILY, "wrong") or 0)
            if wrong < WRONG_IN_A_ROW:
                await session.database_put(FAMILY, "wrong", str(wrong + 1))
            return wrong < WRONG_IN_A_ROW

    def _is_right(self, digits: str) -> bool:
        """Takes tens of milliseconds on purpose, so it runs in a thread."""
        try:
            return PasswordHasher().verify(self.record, digits)
        except VerifyMismatchError:
            return False


if __name__ == "__main__":
    if "GATE_PIN_RECORD" not in os.environ:
        sys.exit("GATE_PIN_RECORD is not set; it is the record that `agi-monitor pin` prints")
    serve(PinGate(os.environ["GATE_PIN_RECORD"]))
