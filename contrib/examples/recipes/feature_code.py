"""A feature code with a PIN of its own: it switches the night service on and off."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from agi_monitor import PinAnswer, PinCheck, Session, serve

TRIES = 3
SECONDS = 5.0
MAX_DIGITS = 16
NAME = "night service"
FAMILY, KEY = "night-service", "on"


@dataclass(frozen=True)
class NightService:
    """A handler that asks for the PIN and switches over, or ends with AGISTATUS FAILURE.

    Parameters:
        pins: checks PINs, and knows which phones have guessed too often.
        record: the argon2 record of the PIN.
    """

    pins: PinCheck
    record: str

    async def __call__(self, session: Session) -> None:
        await session.answer()
        for _ in range(TRIES):
            keyed = await session.get_data("agent-pass", timeout=SECONDS, max_digits=MAX_DIGITS)
            if not keyed.digits:
                continue
            if await self.pins.check(session, NAME, self.record, keyed) is PinAnswer.RIGHT:
                await self._switch(session)
                return
            # A phone that is locked out hears the same as one with a wrong PIN.
            await session.stream_file("vm-invalidpassword")
        await session.stream_file("vm-goodbye")
        session.refuse()

    async def _switch(self, session: Session) -> None:
        """Asterisk's database keeps it, so the dialplan of incoming calls sees it, and a restart changes nothing."""
        if await session.database_get(FAMILY, KEY) == "yes":
            await session.database_del(FAMILY, KEY)
            await session.stream_file("de-activated")
        else:
            await session.database_put(FAMILY, KEY, "yes")
            await session.stream_file("activated")


if __name__ == "__main__":
    if "NIGHT_PIN_RECORD" not in os.environ:
        sys.exit("NIGHT_PIN_RECORD is not set; it is the record that `agi-monitor pin` prints")
    serve(NightService(PinCheck(Path(sys.argv[1])), os.environ["NIGHT_PIN_RECORD"]))
