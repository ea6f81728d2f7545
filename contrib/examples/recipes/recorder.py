"""A recorder of messages: a greeting, the recording, keys to review it, and a lamp that says there is one."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from agi_monitor import CallEnded, Session, serve

BOX = re.compile(r"[0-9]{1,15}")
LONGEST = 120.0
SILENCE = 10
TAKES = 3
WAV_HEAD = 44
WAV_SECOND = 16_000
KEEP, HEAR, AGAIN, FORGET = "keep", "hear", "again", "forget"
CHOICES = {"1": KEEP, "2": HEAR, "3": AGAIN, "*": FORGET}


@dataclass(frozen=True)
class Recorder:
    """A handler that takes a message for the extension that was dialled.

    A message lies in the folder of its box, and its name has the time and the caller. Hanging up leaves it, too,
    unless it was taken back.

    Parameters:
        folder: of the messages; Asterisk writes there, and this program moves what it has written.
        there: the same folder by its path on the PBX, where that differs.
        now: the time.
        new_name: of a file that is being recorded.
    """

    folder: Path
    there: Path | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    new_name: Callable[[], str] = lambda: uuid4().hex

    async def __call__(self, session: Session) -> None:
        box = session.request.extension
        if not BOX.fullmatch(box):  # it becomes the name of a folder
            session.refuse()
            return
        name, choice = self.new_name(), KEEP
        try:
            await session.answer()
            choice = await self._record(session, name)
            kept = choice != FORGET and await self._keep(session, box, name)
            await session.stream_file("vm-msgsaved" if kept else "vm-deleted")
        except CallEnded:
            if choice != FORGET:
                await self._keep(session, box, name)
            raise
        finally:
            self._draft(name).unlink(missing_ok=True)

    async def _record(self, session: Session, name: str) -> str:
        """Record until the caller is content; a caller who presses nothing is."""
        await session.stream_file("vm-intro")
        sound = f"{self.there or self.folder}/{name}"
        for _ in range(TAKES):
            await session.record_file(sound, "wav", "#", timeout=LONGEST, beep=True, silence=SILENCE)
            choice = await session.menu("vm-review", choices=CHOICES)
            while choice == HEAR:
                choice = await session.menu(sound, "vm-review", choices=CHOICES)
            if choice != AGAIN:
                return choice or KEEP
        return KEEP

    async def _keep(self, session: Session, box: str, name: str) -> bool:
        """Move the recording to the box and light its lamp, unless it is shorter than a second."""
        draft = self._draft(name)
        if not draft.exists() or draft.stat().st_size < WAV_HEAD + WAV_SECOND:
            return False
        caller = session.request.caller_id or ""
        caller = caller if BOX.fullmatch(caller) else "unknown"
        messages = self.folder / box
        messages.mkdir(exist_ok=True)
        draft.rename(messages / f"{self.now():%Y%m%d-%H%M%S}-{caller}-{name[:8]}.wav")
        await session.set_variable(f"DEVICE_STATE(Custom:messages-{box})", "INUSE")
        return True

    def _draft(self, name: str) -> Path:
        return self.folder / f"{name}.wav"


if __name__ == "__main__":
    serve(Recorder(Path(sys.argv[1])))
