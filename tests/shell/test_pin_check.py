"""A PIN for handlers of other people: counted in a file, over Twisted's threads and asyncio's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred, maybeDeferred

from agi_monitor import PinAnswer, PinCheck, Session
from agi_monitor.errors import StateUnavailable
from agi_monitor.pin_check import MAX_REMEMBERED, OF_THE_NAME, OF_THE_PBX
from agi_monitor.pins.costs import MAX_KINDS
from agi_monitor.testing import FakeAsterisk

PIN = "407196"


@pytest.fixture(scope="module")
def record() -> str:
    """The record of the PIN, cheap to check."""
    return PasswordHasher(time_cost=1, memory_cost=64).hash(PIN)


class Asking:
    """A handler that checks one PIN for each name it was given."""

    def __init__(self, pins: PinCheck, record: str, *names: str) -> None:
        self.pins = pins
        self.record = record
        self.names = names or ("door",)
        self.answers: list[PinAnswer] = []

    async def __call__(self, session: Session) -> None:
        for name in self.names:
            keyed = await session.get_data("agent-pass", timeout=1, max_digits=16)
            self.answers.append(await self.pins.check(session, name, self.record, keyed))


def tried(pins: PinCheck, record: str, keys: str, phone: str = "2001", name: str = "door") -> list[PinAnswer]:
    """What becomes of these PINs, each ended by #."""
    asking = Asking(pins, record, *[name] * keys.count("#"))
    fake = FakeAsterisk(f"PJSIP/{phone}-00000001")
    fake.keys(keys)
    fake.run(asking)
    return asking.answers


def in_memory(**options: Any) -> PinCheck:
    """A check without a file and without threads."""
    return PinCheck(clock=lambda: 1_000.0, seconds=lambda: 0.0, in_thread=maybeDeferred, **options)


def test_a_right_pin_takes_back_what_was_counted(record: str) -> None:
    """Two wrong ones, the right one, and two more lock nothing where three would."""
    pins = in_memory(wrong_in_a_row=3)
    answers = tried(pins, record, f"1#2#{PIN}#3#4#{PIN}#")
    assert [answer.value for answer in answers] == ["wrong", "wrong", "right"] * 2


def test_a_phone_is_locked_then_the_name_then_the_pbx(record: str) -> None:
    """Each phone has three tries; the name has six on all phones, the PBX thirty for all names."""
    pins = in_memory(wrong_in_a_row=3)
    assert tried(pins, record, f"1#1#1#{PIN}#")[-1] is PinAnswer.LOCKED
    assert tried(pins, record, f"{PIN}#", name="gate") == [PinAnswer.LOCKED]
    assert tried(pins, record, "1#1#1#", phone="2002") == [PinAnswer.WRONG] * 3
    assert OF_THE_NAME == 2
    assert tried(pins, record, f"{PIN}#", phone="2003") == [PinAnswer.LOCKED]
    for number in range(3 * (OF_THE_PBX - 2)):
        assert tried(pins, record, "1#", phone=f"3{number:03}", name=f"n{number}") == [PinAnswer.WRONG]
    assert tried(pins, record, f"{PIN}#", phone="2004", name="other") == [PinAnswer.LOCKED]


def test_many_at_once_have_no_more_tries_than_one(record: str) -> None:
    """While attempts are being looked at, no more are counted than a phone has left."""
    looking: list[tuple[Any, Deferred[Any]]] = []

    def later(function: Any) -> Deferred[Any]:
        looking.append((function, Deferred()))
        return looking[-1][1]

    pins = PinCheck(wrong_in_a_row=3, clock=lambda: 1_000.0, seconds=lambda: 0.0, in_thread=later)
    askings = [Asking(pins, record) for _ in range(8)]
    fakes = [FakeAsterisk() for _ in askings]
    for fake, asking in zip(fakes, askings, strict=True):
        fake.keys("1111#")
        fake.start(asking)
    while looking:
        function, done = looking.pop(0)
        done.callback(function())
    answers = [answer for asking in askings for answer in asking.answers]
    assert sorted(answers) == [PinAnswer.LOCKED] * 5 + [PinAnswer.WRONG] * 3
    assert all(fake.closed for fake in fakes)


def test_a_file_outlives_the_program(record: str, tmp_path: Path) -> None:
    """What was counted is still counted after a restart."""

    def restarted() -> PinCheck:
        return PinCheck(
            tmp_path / "pins.db",
            wrong_in_a_row=2,
            clock=lambda: 1_000.0,
            seconds=lambda: 0.0,
            in_thread=maybeDeferred,
        )

    assert tried(restarted(), record, "1#2#") == [PinAnswer.WRONG] * 2
    assert tried(restarted(), record, f"{PIN}#") == [PinAnswer.LOCKED]


def test_without_its_file_no_pin_is_right(record: str, tmp_path: Path) -> None:
    """An attempt that cannot be counted is not looked at."""
    path = tmp_path / "pins.db"
    pins = PinCheck(path, in_thread=maybeDeferred)
    path.unlink()
    with pytest.raises(StateUnavailable, match="it is not there"):
        tried(pins, record, f"{PIN}#")
    with pytest.raises(StateUnavailable, match="the folder must exist"):
        PinCheck(tmp_path / "missing" / "pins.db")


@pytest.mark.parametrize("record", ["", "=19=65536,t=3,p=4", "407196", "$argon2id$v=19$m=9999999,t=3,p=4$AAAA$AAAA"])
def test_a_record_that_cannot_be_used_is_an_error(record: str) -> None:
    """A shell that has eaten its dollar signs is noticed at the first call, and no attempt is counted."""
    pins = in_memory(wrong_in_a_row=1)
    with pytest.raises(ValueError, match=r"^the PIN record (must be|is) an argon2id record") as raised:
        tried(pins, record, f"{PIN}#")
    assert PIN not in str(raised.value)
    with pytest.raises(ValueError, match="argon2id record"):
        tried(pins, record, f"{PIN}#")


def test_a_record_of_one_kind_too_many_is_an_error() -> None:
    """The guard would look at none of its PINs: each would be wrong."""
    pins = in_memory()
    records = [PasswordHasher(time_cost=1, memory_cost=64 + kind).hash(PIN) for kind in range(MAX_KINDS + 1)]
    for record in (*records[:-1], records[0]):
        assert tried(pins, record, f"{PIN}#") == [PinAnswer.RIGHT]
    with pytest.raises(ValueError, match="one kind"):
        tried(pins, records[-1], f"{PIN}#")


@pytest.mark.parametrize("guest", [True, False])
def test_a_guest_locks_out_no_phone(record: str, guest: bool) -> None:
    """chan_sip calls a guest's channel by the domain in From. Of which peer it is, it says itself."""
    pins = in_memory(wrong_in_a_row=1)
    for keys, is_guest, answer in (("1#", guest, PinAnswer.WRONG), (f"{PIN}#", False, None)):
        asking, fake = Asking(pins, record), FakeAsterisk("SIP/2001-00000001")
        fake.channel.guest = is_guest
        fake.keys(keys)
        fake.run(asking)
        assert asking.answers == [answer or (PinAnswer.RIGHT if guest else PinAnswer.LOCKED)]


@pytest.mark.parametrize("name", ["pins?mode=memory", "pins%41.db", "pins #1.db"])
def test_any_path_is_that_file(record: str, tmp_path: Path, name: str) -> None:
    """Its name says nothing to the database."""
    pins = PinCheck(tmp_path / name, wrong_in_a_row=1, in_thread=maybeDeferred)
    assert tried(pins, record, "1#") == [PinAnswer.WRONG]
    assert (tmp_path / name).is_file()


def test_a_handler_of_asyncio(record: str) -> None:
    """The threads are the event loop's, and what is awaited is asyncio's."""
    asking = Asking(PinCheck(), record, "door", "door")

    async def main() -> None:
        fake = FakeAsterisk()
        fake.keys(f"1111#{PIN}#")
        await fake.run_asyncio(asking)

    asyncio.run(main())
    assert asking.answers == [PinAnswer.WRONG, PinAnswer.RIGHT]


def test_who_hangs_up_meanwhile_has_tried(record: str) -> None:
    """The handler ends where it waits, and the next caller does not wait for that attempt."""
    done: list[Any] = []

    def first_alone(function: Any) -> Deferred[Any]:
        """The attempt is counted; looking at its PIN does not end."""
        done.append(function)
        return maybeDeferred(function) if len(done) == 1 else Deferred()

    pins = PinCheck(wrong_in_a_row=1, clock=lambda: 1_000.0, seconds=lambda: 0.0, in_thread=first_alone)
    asking = Asking(pins, record)
    fake = FakeAsterisk()
    fake.keys("1111#")
    fake.start(asking)
    fake.hang_up()
    assert (fake.agi_status, asking.answers, fake.closed) == ("HANGUP", [], True)
    done.clear()
    assert tried(pins, record, f"{PIN}#") == [PinAnswer.LOCKED]


def test_a_liar_fills_no_memory(record: str) -> None:
    """The names that are remembered are bounded, and the newest are among them."""
    pins = in_memory(wrong_in_a_row=1)
    store: Any = pins._guard._store
    for number in range(MAX_REMEMBERED + 10):
        store.change([str(number)], lambda _, name=str(number): {name: object()})
    assert len(store._kept) == MAX_REMEMBERED
    assert str(MAX_REMEMBERED + 9) in store._kept


def test_no_digit_is_logged(record: str) -> None:
    """Neither a right PIN nor a wrong one is in a log line."""
    with capture_logs() as logs:
        tried(in_memory(wrong_in_a_row=1), record, f"{PIN}#99887766#99887766#")
    assert PIN not in str(logs)
    assert "99887766" not in str(logs)
