"""Ask for a number and say it back: the first handler of the tutorial."""

from __future__ import annotations

from agi_monitor import Session, serve


async def greet(session: Session) -> None:
    await session.answer()
    keyed = await session.get_data("vm-enter-num-to-call", timeout=5, max_digits=4)
    if keyed.digits:
        await session.say_digits(keyed.digits)
    await session.stream_file("vm-goodbye")
    await session.set_variable("KEYED", keyed.digits)


if __name__ == "__main__":
    serve(greet)
