"""What a user writes: typed routes, a class, an error, a command without a method. Checked with mypy --strict."""

from enum import StrEnum

from agi_monitor import CallEnded, Router, Session, command

router = Router()


class Language(StrEnum):
    """Languages of the menu."""

    ENGLISH = "en"
    GERMAN = "de"


@router.route("menu/{language}")
async def menu(session: Session, language: Language, tries: int = 1) -> None:
    """Ask for a number, a limited number of times."""
    await session.answer()
    for _ in range(tries):
        keyed = await session.get_data(f"{language}/enter-number", timeout=5, max_digits=4)
        if keyed.digits and not keyed.timed_out:
            await session.set_variable("NUMBER", keyed.digits)
            return
    await session.hangup()


@router.route("record")
class Record:
    """A recording, with what must be done when the caller hangs up."""

    def __init__(self, session: Session, name: str = "message") -> None:
        self.session = session
        self.name = name
        self.seconds = 0.0

    async def run(self) -> None:
        """Record, and say how long it was."""
        try:
            recording = await self.session.record_file(self.name, "wav", "#", timeout=30, beep=True)
            self.seconds = recording.end_position / 8000
        except CallEnded:
            self.seconds = -1.0
            raise
        finally:
            await self.session.set_variable("SECONDS", f"{self.seconds:g}")


@router.route("status")
async def status(session: Session) -> None:
    """A command that has no method."""
    reply = await session.perform(command("CHANNEL STATUS", session.request.channel))
    await session.verbose(f"the channel is in state {reply.number}")
