"""A new PIN by phone: keyed in twice, and in the place of the old one."""

from __future__ import annotations

from agi_monitor.audit.facts import PinChanged
from agi_monitor.model import Cue, PinDue, Reason, Refusal
from agi_monitor.pins.guard import Claim, PinGuard
from agi_monitor.pins.records import PinRecord
from agi_monitor.pins.rules import MAX_DIGITS, Weakness, numbers_of
from agi_monitor.supervision.line import SupervisorLine


async def change_pin(
    line: SupervisorLine, pins: PinGuard, claim: Claim, old: PinRecord, digits: str, why: PinDue
) -> PinRecord | Refusal:
    """Let a supervisor who gave the correct PIN choose another one.

    Parameters:
        line: the supervisor's.
        pins: keeps the new one.
        claim: who it is.
        old: what is kept of the old PIN.
        digits: the old PIN itself, which is not to be chosen again.
        why: it has to be changed.

    Returns:
        What is kept from now on, or why there is nothing new.

    Raises:
        StateUnavailable: the new PIN could not be kept, and the old one stays.
    """
    supervisor = claim.supervisor
    if supervisor is None or not pins.changeable:
        return Refusal(Reason.PIN_EXPIRED, why)
    if line.assignment_lost is not None:
        return line.assignment_lost
    line.log.info("pin_change_prompted", why=why)
    chosen = await _choose(line, pins, claim, digits)
    if not chosen:
        return Refusal(Reason.PIN_EXPIRED, why)
    new = await pins.new_record(chosen)
    # Choosing takes its time: who is disabled meanwhile leaves no PIN behind.
    if line.assignment_lost is not None:
        return line.assignment_lost
    try:
        await pins.replace(supervisor, old, new)
    finally:
        # Looked up, also after a hang-up in the middle of it: the record says what has happened.
        changed = await pins.holds(claim, new)
        if changed:
            line.log.info("pin_changed", why=why)
            await line.audit.append(PinChanged(**line.common(), why=why))
    if not changed:
        return Refusal(Reason.PIN_EXPIRED, "it was changed meanwhile")
    await line.say(Cue.PIN_CHANGED)
    return new


async def _choose(line: SupervisorLine, pins: PinGuard, claim: Claim, old: str) -> str:
    """Ask until a new PIN was keyed in twice; empty when that did not come about."""
    own = numbers_of(claim.supervisor.endpoints if claim.supervisor else ())
    for _ in range(pins.policy.attempts):
        new = await line.ask(Cue.ASK_NEW_PIN, pins.policy.seconds, MAX_DIGITS)
        problem = Weakness.OLD_ONE if new == old else pins.policy.rules.problem(new, own)
        if problem is not None:
            line.log.info("pin_weak", why=problem)
            await line.say(Cue.PIN_WEAK)
        elif await line.ask(Cue.ASK_NEW_PIN_AGAIN, pins.policy.seconds, MAX_DIGITS) == new:
            return new
        else:
            await line.say(Cue.PIN_NOT_SAME)
    return ""
