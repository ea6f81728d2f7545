"""A new PIN by phone, at a fake PBX, with the real tables of the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs

from agi_monitor.config.people import People, SupervisorEntry
from agi_monitor.errors import StateUnavailable
from agi_monitor.model import Cue, Reason
from agi_monitor.pins import records as pin_records
from agi_monitor.pins.guard import Claim
from agi_monitor.pins.records import PinRecord, matches
from agi_monitor.pins.rules import PinRules
from agi_monitor.storage.database import Database
from agi_monitor.storage.people_table import PeopleTable
from agi_monitor.storage.pin_table import PinTable
from agi_monitor.supervision.prompts import DEFAULTS
from tests.doubles.coroutines import finish
from tests.doubles.desk import ANNA, NOW, PIN, PIN_HASH, PIN_POLICY, Desk

NEW, OTHER = "90210777", "31407296"
DAY = 86_400.0

ASKED = PinRecord(PIN_HASH, NOW - DAY, must_change=True)
EXPIRED = PinRecord(PIN_HASH, NOW - 90.0 * DAY)
YOUNG = PinRecord(PIN_HASH, NOW - 89.0 * DAY)

POLICY = replace(PIN_POLICY, max_age=90.0 * DAY, rules=PinRules(min_digits=6))


@pytest.fixture(autouse=True)
def cheap_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """New records cost a moment instead of 50 ms."""
    monkeypatch.setattr(pin_records, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


class Office:
    """Anna's phone, and her PIN in the database.

    Parameters:
        folder: for the files.
        record: of her PIN.
        records: what keeps it.
    """

    def __init__(
        self, folder: Path, record: PinRecord, records: Callable[[Database], PinTable] = PinTable, **desk: Any
    ) -> None:
        self.desk = Desk(folder, pin_policy=POLICY, records=records, **desk)
        self._table = PinTable(self.desk.database)
        self.people = PeopleTable(self.desk.database)
        made = None if record.made is None else datetime.fromtimestamp(record.made, UTC).isoformat()
        anna = SupervisorEntry(
            endpoints=("PJSIP/2001",), pin=record.hash, pin_set=made, pin_must_change=record.must_change
        )
        self.people.change("root", datetime.now(UTC), lambda _: People(supervisors={"anna": anna}))

    def dial(self, *keyed: str) -> Desk:
        """Dial, and key in one number after the other."""
        return self.desk.run("".join(f"{digits}#" for digits in keyed))

    @property
    def record(self) -> PinRecord:
        """What is kept now."""
        found = self._table.read("anna")
        assert found is not None
        return found

    def is_pin(self, pin: str) -> bool:
        """Whether this is Anna's PIN now."""
        return self.record.hash is not None and matches(self.record.hash, pin)

    def facts(self) -> list[tuple[object, ...]]:
        """What is on record of the change, and of what came then."""
        return [
            (record["fact"], record.get("why") if record["fact"] == "pin_changed" else record.get("reason"))
            for record in self.desk.records
        ]


def heard(desk: Desk) -> list[str]:
    """The moments of a change that were played, in order."""
    named = {
        DEFAULTS[cue][0]: cue.value
        for cue in (Cue.ASK_NEW_PIN, Cue.ASK_NEW_PIN_AGAIN, Cue.PIN_NOT_SAME, Cue.PIN_WEAK, Cue.PIN_CHANGED)
    }
    asked = [command[2] for command in desk.pbx.commands if command[:2] == ["GET", "DATA"]]
    assert set(asked) <= {*named, *DEFAULTS[Cue.ASK_PIN], *DEFAULTS[Cue.ASK_PIN_AGAIN]}
    sounds = [command[2] for command in desk.pbx.commands if command[:2] in (["GET", "DATA"], ["STREAM", "FILE"])]
    return [named[sound] for sound in sounds if sound in named]


@pytest.mark.parametrize(
    ("record", "why"), [(ASKED, "asked"), (EXPIRED, "expired"), (PinRecord(PIN_HASH), "expired")]
)
def test_a_pin_that_is_due_is_changed_and_the_call_goes_on(tmp_path: Path, record: PinRecord, why: str) -> None:
    """The new one is kept with its date; from then on it is the only one. Then comes the agent's call."""
    office = Office(tmp_path, record)
    desk = office.dial(PIN, NEW, NEW)
    assert heard(desk) == ["ask_new_pin", "ask_new_pin_again", "pin_changed"]
    assert office.facts() == [("pin_changed", why), ("spy_started", ""), ("spy_ended", None)]
    assert desk.recorded("supervisor", "endpoint")[0] == ("anna", "PJSIP/2001")
    assert (office.is_pin(NEW), office.is_pin(PIN)) == (True, False)
    assert (office.record.made, office.record.must_change) == (NOW, False)
    assert len(desk.spies) == 1
    change = office.people.changes_since(1)[0]
    assert (change.by, change.at.timestamp()) == ("anna by phone", NOW)
    assert change.change.after is not None
    assert change.change.after["pin"] == "changed"


def test_a_pin_that_is_not_due_is_not_asked_for(tmp_path: Path) -> None:
    """The call continues at once."""
    office = Office(tmp_path, YOUNG)
    desk = office.dial(PIN)
    assert (heard(desk), len(desk.spies), office.record) == ([], 1, YOUNG)


def test_who_does_not_know_the_old_pin_is_not_asked_for_a_new_one(tmp_path: Path) -> None:
    """Three wrong ones end the call as ever."""
    office = Office(tmp_path, ASKED)
    desk = office.dial(OTHER, OTHER, OTHER)
    assert (heard(desk), office.facts(), office.record) == ([], [("refused", "pin_wrong")], ASKED)


def test_the_next_call_takes_the_new_pin_only(tmp_path: Path) -> None:
    """Also on another server, whose configuration was never told: the record is read from the store."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    office = Office(first, ASKED)
    office.dial(PIN, NEW, NEW)
    other = Office(second, office.record)
    desk = other.dial(PIN, NEW)
    assert len(desk.spies) == 1
    assert heard(desk) == []


WEAK = ["31407", "444444", "123456", "112233", "200112", PIN, "12*456", ""]


@pytest.mark.parametrize("weak", WEAK)
def test_a_weak_new_pin_is_refused_and_asked_for_again(tmp_path: Path, weak: str) -> None:
    """Too short for the site, easy to guess, her own number, the old one, or no PIN at all."""
    office = Office(tmp_path, ASKED)
    desk = office.dial(PIN, weak, NEW, NEW)
    assert heard(desk) == ["ask_new_pin", "pin_weak", "ask_new_pin", "ask_new_pin_again", "pin_changed"]
    assert office.is_pin(NEW)


def test_the_new_pin_may_be_keyed_in_while_the_weak_one_is_refused(tmp_path: Path) -> None:
    """The first digit ends the sentence, and belongs to the PIN."""
    office = Office(tmp_path, ASKED)
    office.dial(PIN, "444444", f"!{NEW}", NEW)
    assert office.is_pin(NEW)


def test_two_that_differ_are_refused_and_asked_for_again(tmp_path: Path) -> None:
    """One wrong key locks no supervisor out of their own account."""
    office = Office(tmp_path, ASKED)
    desk = office.dial(PIN, NEW, OTHER, OTHER, OTHER)
    again = ["ask_new_pin", "ask_new_pin_again"]
    assert heard(desk) == [*again, "pin_not_same", *again, "pin_changed"]
    assert (office.is_pin(NEW), office.is_pin(OTHER)) == (False, True)


@pytest.mark.parametrize(
    "keyed",
    [("444444",) * 3, (NEW, OTHER) * 3, ("", "", ""), (PIN, NEW, OTHER, "123456"), (NEW, "", NEW, "", NEW, "")],
)
def test_who_does_not_change_it_hears_nobody(tmp_path: Path, keyed: Sequence[str]) -> None:
    """After as many tries as at the PIN itself the call is refused; the old PIN and its flag stay."""
    office = Office(tmp_path, ASKED)
    desk = office.dial(PIN, *keyed)
    assert office.facts() == [("refused", "pin_expired")]
    assert (office.record, desk.spies) == (ASKED, [])
    assert desk.recorded("reason", "supervisor", "detail") == [("pin_expired", "anna", "asked")]
    assert desk.pbx.played[-len(DEFAULTS[Cue.GOODBYE]) - 1] == DEFAULTS[Reason.PIN_EXPIRED][-1]


def test_a_pin_that_expired_in_the_configuration_is_refused(tmp_path: Path) -> None:
    """Only the administrator can make another one."""
    desk = Desk(tmp_path, pin_policy=POLICY)
    desk.run(f"{PIN}#{NEW}#{NEW}#")
    assert desk.recorded("fact", "reason", "detail") == [("refused", "pin_expired", "expired")]
    assert (heard(desk), desk.spies) == ([], [])


def test_a_pin_that_was_reset_meanwhile_stays_reset(tmp_path: Path) -> None:
    """The administrator was quicker: the one that was keyed in is not kept, and nobody is heard."""
    reset = PinRecord(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(OTHER), NOW, must_change=True)

    class Reset(PinTable):
        def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
            super().replace(supervisor_id, before, reset, by, at)
            return super().replace(supervisor_id, before, after, by, at)

    office = Office(tmp_path, ASKED, Reset)
    desk = office.dial(PIN, NEW, NEW)
    assert office.facts() == [("refused", "pin_expired")]
    assert (office.record, desk.spies) == (reset, [])


def test_a_store_that_fails_keeps_the_old_pin(tmp_path: Path) -> None:
    """Nobody is heard, and the old PIN with its flag is as good as before."""

    class Full(PinTable):
        def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
            raise StateUnavailable("the disk is full; make room")

    office = Office(tmp_path, ASKED, Full)
    desk = office.dial(PIN, NEW, NEW)
    assert office.facts() == [("refused", "state_unavailable")]
    assert (office.record, desk.spies) == (ASKED, [])


COMMANDS = 9
"""From the answer to the agent's call."""


@pytest.mark.parametrize("number", range(1, COMMANDS + 1))
def test_a_hang_up_anywhere_leaves_the_old_pin_or_the_new_one_on_record(tmp_path: Path, number: int) -> None:
    """There is a new PIN exactly when the audit says so."""
    office = Office(tmp_path, ASKED)
    office.desk.pbx.hang_up_at_command(number)
    with capture_logs() as logs:
        office.dial(PIN, NEW, NEW)
    changed = ("pin_changed", "asked") in office.facts()
    assert (office.is_pin(NEW), office.is_pin(PIN)) == (changed, not changed)
    assert [line for line in logs if line["log_level"] == "error"] == []


@pytest.mark.parametrize("lost", [False, True], ids=["hang-up", "lost connection"])
def test_a_hang_up_while_it_is_kept_is_on_record(tmp_path: Path, lost: bool) -> None:
    """The store is slower than the supervisor: the PIN is another one, and the audit says so."""

    class Slow(PinTable):
        def replace(self, supervisor_id: str, before: PinRecord, after: PinRecord, by: str, at: float) -> bool:
            done = super().replace(supervisor_id, before, after, by, at)
            office.desk.pbx.lose_connection() if lost else office.desk.pbx.hang_up()
            return done

    office = Office(tmp_path, ASKED, Slow)
    office.dial(PIN, NEW, NEW)
    assert office.is_pin(NEW)
    assert [fact for fact, _ in office.facts()] == ["pin_changed", "request_abandoned"]
    assert office.facts()[0] == ("pin_changed", "asked")
    assert office.desk.spies == []


def test_no_digit_of_a_pin_is_kept(tmp_path: Path) -> None:
    """Neither of the old nor of the new one, nor of one that was refused, in whatever is written."""
    office = Office(tmp_path, ASKED)
    with capture_logs() as logs:
        office.dial(PIN, "31407", "55443322", OTHER, NEW, NEW)
    files = "".join(path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file())
    kept = [*(str(line) for line in logs), *(" ".join(command) for command in office.desk.pbx.commands), files]
    assert office.is_pin(NEW)
    for secret in (PIN, NEW, OTHER, "31407", "55443322", NEW[:4]):
        assert [text for text in kept if secret in text] == []


@pytest.mark.parametrize("keyed", [(NEW, NEW), (NEW, OTHER) * 3], ids=["changed", "not changed"])
def test_only_a_pin_that_was_changed_is_remembered(tmp_path: Path, keyed: Sequence[str]) -> None:
    """Anyone who was asked for another one and gave none is asked for the PIN again."""
    office = Office(tmp_path, ASKED)
    office.desk.pins.policy = replace(POLICY, remember_seconds=600.0)
    desk = office.dial(PIN, *keyed)
    claim = Claim(ANNA, "PJSIP/2001", "127.0.0.1")
    assert (finish(desk.pins.remembered(claim)) is not None) is (len(desk.spies) == 1)
