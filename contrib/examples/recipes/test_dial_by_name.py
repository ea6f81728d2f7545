"""Names as they are keyed in, and the choice among those who match."""

from __future__ import annotations

from pathlib import Path

import pytest
from dial_by_name import MOST, TRIES, DialByName, Person, read_people

from agi_monitor.testing import FakeAsterisk

ANNA, BERT, ZOE = Person("1001", "Anna Bauer"), Person("1002", "Bert Bauer"), Person("1003", "Zoë Groß-Müller")
SPELLED = {"names/1001", "names/1002", "names/1003"}


def call(keys: str, *people: Person, missing: set[str] = SPELLED) -> FakeAsterisk:
    """A caller who presses these keys."""
    fake = FakeAsterisk(extension="s")
    fake.missing_sounds = missing
    fake.keys(keys)
    fake.run(DialByName(people or (ANNA, BERT, ZOE)))
    return fake


@pytest.mark.parametrize(
    ("keyed", "people"),
    [
        ("228", [ANNA, BERT]),  # BAU
        ("266", [ANNA]),  # ANN
        ("963", [ZOE]),  # ZOE, without its accents
        ("476", [ZOE]),  # GRO
        ("685", [ZOE]),  # MUL, behind a hyphen
        ("999", []),
        ("2*8", []),
    ],
)
def test_keys_are_letters(keyed: str, people: list[Person]) -> None:
    assert [person for person in (ANNA, BERT, ZOE) if person.is_called(keyed)] == people


def test_who_is_picked_is_called() -> None:
    fake = call("228*1")
    assert fake.played == ["dir-intro", "alpha:ANNA BAUER", "alpha:BERT BAUER"]
    assert (fake.channel.extension, fake.channel.priority) == ("1002", "1")


def test_a_name_that_was_recorded_is_played() -> None:
    fake = call("2661", missing=set())
    assert fake.played == ["dir-intro", "names/1001"]
    assert fake.channel.extension == "1001"


def test_a_name_that_does_not_exist_is_told_and_asked_again() -> None:
    fake = call("9992661")
    assert fake.played == ["dir-intro", "dir-nomatch", "dir-intro", "alpha:ANNA BAUER"]
    assert fake.channel.extension == "1001"


def test_another_key_chooses_no_one() -> None:
    fake = call("2665")
    assert fake.played[:4] == ["dir-intro", "alpha:ANNA BAUER", "dir-instr", "dir-nomore"]
    assert fake.channel.extension == "s"


def test_who_keys_nothing_goes_on_in_the_dialplan() -> None:
    fake = call("")
    assert (fake.played, fake.channel.extension) == (["dir-intro"] * TRIES, "s")
    assert fake.agi_status == "SUCCESS"


def test_not_all_of_very_many_are_read_out() -> None:
    crowd = tuple(Person(f"2{number:03}", "Ann") for number in range(MOST + 5))
    fake = call("266" + "*" * MOST, *crowd, missing={f"names/{person.number}" for person in crowd})
    assert fake.played.count("alpha:ANN") == MOST


def test_who_hangs_up_while_a_name_is_said_is_connected_to_no_one() -> None:
    fake = FakeAsterisk(extension="s")
    fake.keys("266")
    fake.hang_up_at_prompt("names/1001")
    fake.run(DialByName((ANNA,)))
    assert (fake.channel.extension, fake.agi_status) == ("s", "HANGUP")


def test_people_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text('number,name\n1001,"Anna Bauer"\n1003,Zoë Groß-Müller\n', encoding="utf-8")
    assert tuple(read_people(path)) == (ANNA, ZOE)
