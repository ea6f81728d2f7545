"""Who is calling: the phone says who it should be, the PIN proves it."""

from __future__ import annotations

from datetime import UTC, datetime

from agi_monitor.audit.facts import LockedOut
from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Cue, Identity, Locked, Reason, Refusal
from agi_monitor.pins.guard import Attempt, Claim, PinGuard
from agi_monitor.pins.records import PinRecord, pin_id
from agi_monitor.pins.rules import MAX_DIGITS
from agi_monitor.supervision.line import SupervisorLine
from agi_monitor.supervision.pin_change import change_pin


async def identify(line: SupervisorLine, pins: PinGuard) -> Refusal | None:
    """Find out who is on the line, or say why not.

    Parameters:
        line: the supervisor's.
        pins: counts attempts.
    """
    claim = await _claim(line, pins)
    line.assigned = None if claim.supervisor is None else claim.supervisor.id
    if not claim.is_named:
        await _speak(line, claim)
    try:
        proven = await pins.remembered(claim) or await _prove(line, pins, claim)
    except StateUnavailable as error:
        line.log.error("state_unavailable", error=str(error))
        return Refusal(Reason.STATE_UNAVAILABLE, str(error))
    if isinstance(proven, Refusal):
        return proven
    return await line.identify(_identity(claim, proven))


async def _claim(line: SupervisorLine, pins: PinGuard) -> Claim:
    """Return who they say they are: by their phone, or by the number of their own one, on an unassigned phone."""
    supervisor, peer = line.policy().supervisors.get(line.endpoint), line.caller.peer
    if supervisor is not None or not line.policy().any_phone or not line.is_phone:
        return Claim(supervisor, line.endpoint, peer)
    line.log.info("number_prompted")
    number = await line.ask(Cue.ASK_NUMBER, pins.policy.seconds, MAX_DIGITS)
    # The phone may have been assigned meanwhile: it is that supervisor's PIN then.
    assigned = line.policy().supervisors.get(line.endpoint)
    if assigned is not None:
        return Claim(assigned, line.endpoint, peer)
    named = line.policy().with_number(number)
    stranger = pins.stranger(number) if named is None else ""
    return Claim(named, line.endpoint, peer, is_named=True, stranger=stranger)


async def _speak(line: SupervisorLine, claim: Claim) -> None:
    if claim.supervisor is not None and claim.supervisor.language:
        await line.speak(claim.supervisor.language)


def _identity(claim: Claim, proven: PinRecord) -> Identity:
    return Identity("" if claim.supervisor is None else claim.supervisor.id, pin_id(proven.hash))


async def _prove(line: SupervisorLine, pins: PinGuard, claim: Claim) -> PinRecord | Refusal:
    # An unassigned phone walks the same way as a wrong PIN, to the last word and the same time.
    prompt = Cue.ASK_PIN
    for number in range(1, pins.policy.attempts + 1):
        if await pins.locked(claim):
            return Refusal(Reason.PIN_LOCKED)
        line.log.info("pin_prompted", attempt=number)
        digits = await line.ask(prompt, pins.policy.seconds, MAX_DIGITS)
        outcome = await _try(line, pins, claim, digits) if digits else None
        if isinstance(outcome, PinRecord):
            return await _accept(line, pins, claim, outcome, digits)
        line.log.info("pin_refused", attempt=number, empty=not digits)
        if outcome is not None:
            return outcome
        prompt = Cue.ASK_PIN_AGAIN
    if claim.supervisor is None:
        return Refusal(Reason.ENDPOINT_UNKNOWN)
    return Refusal(Reason.PIN_WRONG, "" if claim.supervisor.pin_hash else "there is no PIN")


async def _try(line: SupervisorLine, pins: PinGuard, claim: Claim, digits: str) -> PinRecord | Refusal | None:
    """One try: the record of a correct PIN, None for a wrong one, or why it was not looked at."""
    attempt = await pins.count(claim)
    if isinstance(attempt, Refusal):
        return attempt
    record = None
    try:
        record = await pins.look(attempt, digits)
    finally:
        # Also when they hang up meanwhile: a try that was not found correct stays counted.
        if record is None:
            await _locked_out(line, attempt)
    return record


async def _accept(
    line: SupervisorLine, pins: PinGuard, claim: Claim, record: PinRecord, digits: str
) -> PinRecord | Refusal:
    """The PIN is right; it may have to be changed before anything else."""
    if claim.is_named:
        # Not before the PIN: another language would tell that the number is a supervisor's.
        await _speak(line, claim)
    why = pins.due(record)
    if why is not None:
        changed = await change_pin(line, pins, claim, record, digits, why)
        if isinstance(changed, Refusal):
            return changed
        record = changed
    pins.remember(claim, record)
    return record


async def _locked_out(line: SupervisorLine, attempt: Attempt) -> None:
    supervisor = attempt.claim.supervisor
    for kind, until in attempt.locks.items():
        if kind is Locked.SUPERVISOR and supervisor is None:
            # An unknown number: it is locked so that it sounds like that of a supervisor.
            continue
        line.log.warning("pin_locked_out", kind=kind, supervisor=supervisor.id if supervisor else None)
        at = datetime.fromtimestamp(until, UTC)
        await line.audit.append(LockedOut(**line.common(), kind=kind, until=at))
