"""A menu: one key leads to an extension of the dialplan."""

from __future__ import annotations

from agi_monitor import Router, Session, serve

CHOICES = {"1": "sales", "2": "support", "0": "operator"}
TRIES = 3
SECONDS = 5.0

router = Router()


@router.route("menu/{prompt}")
async def menu(session: Session, prompt: str) -> None:
    """Play the prompt up to three times. Without a choice the dialplan continues after ``AGI()``."""
    await session.answer()
    for _ in range(TRIES):
        played = await session.get_option(prompt, "1234567890*#", timeout=SECONDS)
        extension = CHOICES.get(played.digit)
        if extension is not None:
            await session.set_extension(extension)
            await session.set_priority(1)
            return
        if played.digit:
            await session.stream_file("pm-invalid-option")


if __name__ == "__main__":
    serve(router)
