"""A callback: the caller agrees with 1, hangs up, and is called back."""

from __future__ import annotations

import re
from contextlib import suppress

from agi_monitor import CallEnded, Session, serve

NUMBER = re.compile(r"[0-9]{3,15}")
CONTEXT = "callback"
SECONDS = 45


async def callback(session: Session) -> None:
    """Offer it; what the caller's phone sends as its number is dialled only if it is digits and nothing else."""
    await session.answer()
    number = session.request.caller_id or ""
    if not NUMBER.fullmatch(number):
        await session.stream_file("feature-not-avail-line")
        return
    await session.say_digits(number)
    await session.stream_file("vm-press")
    agreed = await session.get_option("digits/1", "1", timeout=5)
    if agreed.digit != "1":
        return
    with suppress(CallEnded):
        await session.stream_file("vm-goodbye")
        await session.hangup()
    # Without option a this would wait for the answer, and a clean-up has not that long.
    await session.execute("Originate", f"Local/{number}@{CONTEXT},exten,{CONTEXT},answered,1,{SECONDS},a")


if __name__ == "__main__":
    serve(callback)
