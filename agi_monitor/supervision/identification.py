"""Who is calling: the phone says who it should be, the PIN proves it."""

from __future__ import annotations

from datetime import UTC, datetime

from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Cue, Reason, Refusal, Supervisor
from agi_monitor.supervision.audit import LockedOut
from agi_monitor.supervision.line import Line
from agi_monitor.supervision.pins import PinGuard, key

PIN_SECONDS = 8.0
"""Silence after which what was keyed in counts as the PIN; ``#`` ends it at once."""

PIN_DIGITS = 16
"""No PIN is longer."""


async def identify(line: Line, pins: PinGuard) -> Refusal | None:
    """Find out who is on the line, or say why nobody may know.

    Parameters:
        line: the supervisor's.
        pins: counts attempts.
    """
    supervisor = line.policy().supervisors.get(line.endpoint)
    if supervisor is not None and supervisor.language:
        await line.speak(supervisor.language)
    try:
        refusal = await _ask_pin(line, pins, supervisor)
    except StateUnavailable as error:
        line.log.error("state_unavailable", error=str(error))
        refusal = Refusal(Reason.STATE_UNAVAILABLE, str(error))
    if refusal is None:
        line.identified(supervisor)
    return refusal


async def _ask_pin(line: Line, pins: PinGuard, supervisor: Supervisor | None) -> Refusal | None:
    # A phone that belongs to nobody walks the same way as a wrong PIN, to the last word and the same time.
    who = key(supervisor, line.endpoint)
    if supervisor is not None and pins.remembered(supervisor, line.endpoint):
        return None
    prompt = Cue.ASK_PIN
    for attempt in range(1, pins.policy.attempts + 1):
        if pins.locked_until(who) is not None:
            return Refusal(Reason.PIN_LOCKED)
        line.log.info("pin_prompted", attempt=attempt)
        digits = await line.ask(prompt, PIN_SECONDS, PIN_DIGITS)
        refusal = await pins.verify(supervisor, line.endpoint, digits) if digits else None
        if digits and refusal is None:
            return None
        line.log.info("pin_refused", attempt=attempt, empty=not digits)
        until = pins.locked_until(who)
        if until is not None and refusal is not None and refusal.reason is Reason.PIN_WRONG:
            await _locked_out(line, supervisor, until)
        prompt = Cue.ASK_PIN_AGAIN
    return Refusal(Reason.PIN_WRONG if supervisor else Reason.ENDPOINT_UNKNOWN)


async def _locked_out(line: Line, supervisor: Supervisor | None, until: float) -> None:
    line.log.warning("pin_locked_out", supervisor=supervisor.id if supervisor else None)
    await line.audit.append(LockedOut(**line.common(supervisor), until=datetime.fromtimestamp(until, UTC)))
