"""What a PIN record may ask of this machine."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.pins.costs import (
    MAX_KINDS,
    MAX_MEMORY,
    MAX_WORK,
    MAX_WORK_OF_ALL,
    USUAL,
    Cost,
    cost_of,
    in_force,
    read,
    too_many,
)
from agi_monitor.pins.records import make_hash, matches
from tests.doubles.desk import PIN_HASH

SALT, HASH = "c29tZXNhbHQ", "LxlByVciaeiZZh+iU/oO9ef9ZmwwCbEq0g4H26+uOD0"


def record(parameters: str, salt: str = SALT, hash_: str = HASH) -> str:
    """A record as text."""
    return f"$argon2id$v=19${parameters}${salt}${hash_}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *(
            (
                record(f"m={memory},t=1,p=1"),
                f"is an argon2id record with m={memory}: 262144 (KiB of memory) is the most",
            )
            for memory in (262_145, 9_999_999, 4_294_967_295)
        ),
        (
            record("m=262144,t=5,p=4"),
            "is an argon2id record with m=262144,t=5: 1048576 is the most for their product",
        ),
        (
            record("m=65537,t=16,p=4"),
            "is an argon2id record with m=65537,t=16: 1048576 is the most for their product",
        ),
        # Little memory, and half a million threads.
        (record("m=128,t=8192,p=16"), "is an argon2id record with t=8192: 16 is the most"),
        (record("m=8,t=17,p=1"), "is an argon2id record with t=17: 16 is the most"),
        (record("m=64,t=9,p=8"), "is an argon2id record with t=9,p=8: 64 is the most for their product"),
        (record("m=65536,t=3,p=9"), "is an argon2id record with p=9: 8 is the most"),
        (record("m=15,t=1,p=2"), "is an argon2id record with m=15: p=2 needs 8 KiB each"),
        (record("m=7,t=1,p=1"), "is an argon2id record with m=7: p=1 needs 8 KiB each"),
        (record("m=8,t=1,p=1", "c29tZXM"), "is an argon2id record with a salt of 5 bytes: 8 to 64"),
        (record("m=8,t=1,p=1", "a" * 88), "is an argon2id record with a salt of 66 bytes: 8 to 64"),
        (record("m=8,t=1,p=1", SALT, "a" * 20), "is an argon2id record with a hash of 15 bytes: 16 to 64"),
        (record("m=8,t=1,p=1", SALT, "a" * 88), "is an argon2id record with a hash of 66 bytes: 16 to 64"),
        (record("m=8,t=1,p=1", SALT + "aa"), "is an argon2id record whose salt is not whole"),
        (record("m=8,t=1,p=1", SALT, HASH[:-1] + "B"), "is an argon2id record whose hash is not whole"),
        *(
            (text, "must be an argon2id record; make one with: agi-monitor pin")
            for text in (
                record("m=08,t=1,p=1"),
                record("m=8,t=0,p=1"),
                record("m=8,t=1,p=+1"),
                record("m=8,t=1"),
                record("m=8,t=1,p=1,keyid=aa"),
                record("m=8,t=1,p=1") + "\n",
                record("m=8,t=1,p=1").replace("19", "16"),
                record("m=8,t=1,p=1").replace("argon2id", "argon2d"),
                record("m=8,t=1,p=1", ""),
                record("m=٨,t=1,p=1"),
                record("m=8,t=1,p=1", "a" * 1_000_000),
                "",
                "2580",
            )
        ),
    ],
)
def test_a_record_that_asks_for_too_much_is_refused(text: str, problem: str) -> None:
    """The message says which parameter it is, and repeats nothing else of the record."""
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == problem
    assert cost_of(text) is None
    assert in_force([text, PIN_HASH, None]) >= {Cost(8, 1, 1)}


@pytest.mark.parametrize(
    "text",
    [
        record("m=8,t=1,p=1"),
        record(f"m={MAX_MEMORY},t=4,p=8"),
        record("m=64,t=8,p=8"),
        record("m=19456,t=2,p=1"),
        record("m=65536,t=16,p=4", "A" * 22),
        record("m=47104,t=1,p=1", SALT, "A" * 86),
    ],
)
def test_what_others_recommend_is_taken(text: str) -> None:
    """The parameters that OWASP lists, those of a new record, and the most that is allowed."""
    assert cost_of(text) is not None


@given(
    memory=st.integers(8, 2_000),
    passes=st.integers(1, 3),
    lanes=st.integers(1, 4),
    salt=st.binary(min_size=8, max_size=64),
    size=st.integers(16, 64),
)
def test_what_argon2_makes_within_the_bounds_is_read(
    memory: int, passes: int, lanes: int, salt: bytes, size: int
) -> None:
    """Any record that argon2 writes has the cost that it was made with, and is compared without a fault."""
    memory = max(memory, 8 * lanes)
    hasher = PasswordHasher(time_cost=passes, memory_cost=memory, parallelism=lanes, hash_len=size)
    made = hasher.hash("2580", salt=salt)
    assert read(made) == Cost(memory, passes, lanes)
    assert matches(made, "2580")


def test_a_new_record_has_the_usual_cost() -> None:
    """What an unassigned phone takes where no supervisor has a PIN."""
    assert read(make_hash("2580")) == read(USUAL.dummy()) == USUAL


@given(text=st.text() | st.text("$argon2id=v19mtp,0123456789+/AZaz").map(lambda text: f"$argon2id$v=19${text}"))
def test_no_text_is_more_than_a_refusal(text: str) -> None:
    """Whatever stands in a file or a table: it is read or refused."""
    assert cost_of(text) is None or read(text) == cost_of(text)
    assert all(cost.memory <= MAX_MEMORY for cost in in_force([text]))


def test_one_look_takes_a_few_kinds_at_most() -> None:
    """Ten thousand records of ten thousand kinds: those that most people have stay."""
    records = [Cost(8 + number, 1, 1).dummy() for number in range(10_000)]
    assert len(in_force(records)) == MAX_KINDS
    usual = [USUAL.dummy()] * 2
    assert USUAL in in_force([*records, *usual])
    assert in_force([*records, *usual]) == in_force([*usual, *reversed(records)])


def test_all_kinds_together_take_bounded_work() -> None:
    """Each may be looked at for itself; together they would take minutes."""
    records = [Cost(262_144 - number, 4, 1).dummy() for number in range(MAX_KINDS)]
    found = in_force(records)
    assert sum(cost.memory * cost.passes for cost in found) <= MAX_WORK_OF_ALL
    assert len(found) == MAX_WORK_OF_ALL // MAX_WORK


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ([None, *(Cost(8 + number, 1, 1).dummy() for number in range(MAX_KINDS))], None),
        (
            [Cost(8 + number, 1, 1).dummy() for number in range(MAX_KINDS + 1)],
            "there are argon2id records of 9 kinds (m, t, p): 8 is the most",
        ),
        (
            [Cost(262_144, 4, number).dummy() for number in (1, 2, 3)],
            "the kinds of argon2id records ask for 3145728 (m times t) together: 2097152 is the most",
        ),
        ([USUAL.dummy()] * 10_000, None),
    ],
)
def test_says_why_records_may_not_stand_side_by_side(records: list[str | None], problem: str | None) -> None:
    """In the configuration and in what is imported."""
    assert too_many(records) == problem
