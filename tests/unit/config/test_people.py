"""agi_monitor.config.people and people_csv: what is taken in, what changed, and people in a spreadsheet."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.config import people_csv
from agi_monitor.config.people import (
    AgentEntry,
    Change,
    Kind,
    People,
    SupervisorEntry,
    differences,
    taken_in,
    without_pins,
)
from agi_monitor.config.people import problems as problems_of
from agi_monitor.errors import ConfigError
from agi_monitor.pins.costs import MAX_KINDS, Cost
from tests.doubles.desk import PIN_HASH

ANNA = SupervisorEntry(
    endpoints=("PJSIP/2001",), pin=PIN_HASH, pin_set="2026-11-25T10:00:00+00:00", groups=("leads",)
)
BEFORE = People.model_validate(
    {
        "supervisors": {"anna": ANNA, "bert": {"endpoints": ["PJSIP/2002"]}},
        "agents": {"1001": {"groups": ["sales"], "told": "2026-11-01", "told_text": "v3"}, "1002": {}},
        "rules": [
            {"name": "one", "allow": ["listen"], "supervisors": ["leads"], "agents": ["sales"]},
            {"name": "two", "deny": ["barge"], "supervisors": ["all"], "agents": ["all"]},
        ],
    }
)
HEADER = "kind,id,name,endpoints,groups,disabled,language,protected,told,told_text\n"


def read(text: str, before: People = BEFORE) -> People:
    """Read CSV."""
    return people_csv.read(text.encode(), "p.csv", before)


def problems(text: str | bytes) -> tuple[str, ...]:
    """What is wrong with CSV."""
    with pytest.raises(ConfigError) as caught:
        people_csv.read(text.encode() if isinstance(text, str) else text, "p.csv", BEFORE)
    return caught.value.problems


# ---- what is taken in ----------------------------------------------------------------------------------------


def test_what_is_not_in_a_document_stays() -> None:
    """Others are untouched; a rule of the same name keeps its place, a new one comes behind."""
    given_ = People.model_validate(
        {
            "agents": {"1001": {"groups": ["support"]}},
            "rules": [
                {"name": "three", "allow": ["whisper"], "supervisors": ["leads"], "agents": ["sales"]},
                {"name": "one", "allow": ["barge"], "supervisors": ["leads"], "agents": ["sales"]},
            ],
        }
    )
    after = taken_in(BEFORE, given_, replace=False)
    assert after.supervisors == BEFORE.supervisors
    assert after.agents == {"1001": AgentEntry(groups=("support",)), "1002": AgentEntry()}
    assert [(rule.name, rule.allow) for rule in after.rules] == [
        ("one", ("barge",)),
        ("two", ()),
        ("three", ("whisper",)),
    ]


def test_what_is_not_in_a_document_goes_when_it_replaces() -> None:
    """And no other is there afterwards."""
    given_ = People(supervisors={"anna": SupervisorEntry(endpoints=("PJSIP/2005",))})
    after = taken_in(BEFORE, given_, replace=True)
    assert (set(after.supervisors), after.agents, after.rules) == ({"anna"}, {}, ())


@pytest.mark.parametrize("replace", [False, True])
def test_who_has_no_pin_in_a_document_keeps_theirs(replace: bool) -> None:
    """An export is without PINs, and may be taken in again."""
    assert taken_in(BEFORE, without_pins(BEFORE), replace=replace) == BEFORE


def test_a_pin_shows_only_that_it_is_another_one() -> None:
    """Neither the old nor the new record is in a difference."""
    other = ANNA.model_copy(update={"pin": PIN_HASH[:-1] + ("E" if PIN_HASH.endswith("A") else "A")})
    (change,) = differences(BEFORE, BEFORE.model_copy(update={"supervisors": {**BEFORE.supervisors, "anna": other}}))
    assert (change.before or {})["pin"] == "set"
    assert (change.after or {})["pin"] == "changed"
    assert "argon2" not in repr(change)


def test_differences_name_what_came_and_went() -> None:
    """Each entry once."""
    after = People(agents={"1003": AgentEntry(name="Eve")}, supervisors=BEFORE.supervisors, rules=BEFORE.rules[:1])
    assert differences(BEFORE, after) == (
        Change(Kind.AGENT, "1001", {"groups": ["sales"], "told": "2026-11-01", "told_text": "v3"}, None),
        Change(Kind.AGENT, "1002", {}, None),
        Change(Kind.AGENT, "1003", None, {"name": "Eve"}),
        Change(Kind.RULE, "two", {"name": "two", "deny": ["barge"], "supervisors": ["all"], "agents": ["all"]}, None),
    )


# ---- CSV -----------------------------------------------------------------------------------------------------


def test_what_is_written_is_read() -> None:
    """All but the PINs, which are kept, and the rules."""
    assert read(people_csv.write(BEFORE)) == BEFORE.model_copy(update={"rules": ()})


def test_names_that_a_spreadsheet_would_work_out() -> None:
    """Are text in the file, and the same names again when it is read."""
    names = ["=cmd|' /C calc'!A0", "+49 30 1234", "-1+1", "@SUM(A1)", "'=1", "a;=1", "''=1", "O'Neill"]
    agents = {str(1001 + n): AgentEntry(name=name) for n, name in enumerate(names)}
    people = People(agents=agents)
    text = people_csv.write(people)
    for row in csv.reader(io.StringIO(text)):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)
    assert read(text, People()) == people


def test_a_column_that_is_not_there_changes_nothing() -> None:
    """A list of groups alone leaves names, phones and the acknowledgement."""
    found = read("kind,id,groups\nagent,1001,support night\n")
    assert found.agents == {"1001": AgentEntry(groups=("support", "night"), told="2026-11-01", told_text="v3")}


def test_an_empty_cell_empties() -> None:
    """What there was is gone."""
    assert read("kind,id,groups,told,told_text\nagent,1001,,,\n").agents == {"1001": AgentEntry()}


def test_spreadsheets_of_other_countries_are_read() -> None:
    """Semicolons, a byte order mark, line ends of Windows, yes and no."""
    found = read("\ufeffkind;id;endpoints;disabled;protected\r\nagent;1005;PJSIP/a PJSIP/b;no;YES\r\n")
    assert found.agents == {"1005": AgentEntry(endpoints=("PJSIP/a", "PJSIP/b"), protected=True)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "p.csv:1: the columns must be kind, id and any of name,"),
        ("kind,name\n", "p.csv:1: the columns must be kind, id"),
        ("kind,id,pin\n", "unknown: pin"),
        ("kind,id,id\n", "each once"),
        ("kind,id,root:$6$hunter2:19000\n", "unknown: (not a word)"),
        (HEADER + "agent,$6$hunter2,,,,,,,,\nagent,$6$hunter2,,,,,,,,\n", "p.csv:3: (not a word) is here twice"),
        (HEADER + "boss,x,,,,,,,,\n" * 200, "p.csv:101: was read to here"),
        (HEADER + "boss,x,,,,,,,,\n", "p.csv:2: kind must be supervisor or agent"),
        (HEADER + "agent,1001\n", "p.csv:2: has more or fewer cells"),
        (HEADER + "agent,1001,,,,,,,,,,,\n", "p.csv:2: has more or fewer cells"),
        (HEADER + "agent,1,,,,,,,,\nagent,1,,,,,,,,\n", "p.csv:3: 1 is here twice, first in line 2"),
        (HEADER + "supervisor,anna,,PJSIP/2001,,,,yes,,\n", "p.csv:2: protected must be empty for a supervisor"),
        (HEADER + "agent,1.2,,,,,,,,\n", "p.csv:2: agents.1.2: must be 1 to 20 digits, or a name of"),
        (HEADER + "agent,1,,,,,,,,\nagent,2,,,,maybe,,,,\n", "p.csv:3: agents.2.disabled: must be true or false"),
        (HEADER + "agent,1,,,,,,,25.11.2026,\n", "p.csv:2: agents.1.told: must be a date such as 2026-11-25"),
        (HEADER + "supervisor,eve,,,,,,,,\n", "p.csv:2: supervisors.eve.endpoints"),
        (HEADER + 'agent,"1\n', "p.csv:2: unexpected end of data"),
    ],
)
def test_a_mistake_names_its_line(text: str, expected: str) -> None:
    """And what is wrong there."""
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_what_is_not_utf_8_is_said() -> None:
    """With its line."""
    assert problems(b"kind,id\nagent,\xff\n") == ("p.csv:2: is not UTF-8",)


def test_tenants_come_back() -> None:
    """And who has no column for them keeps theirs."""
    people = People.model_validate(
        {
            "supervisors": {"anna": {"endpoints": ["PJSIP/2001"], "tenant": "acme"}},
            "agents": {"1001": {"tenant": "acme"}, "beta-1001": {"extension": "1001", "tenant": "beta"}},
        }
    )
    assert read(people_csv.write(people), People()) == people
    assert read("kind,id,name\nagent,beta-1001,Cara\n", people).agents == {
        "beta-1001": AgentEntry(name="Cara", extension="1001", tenant="beta")
    }


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=60))
def test_any_name_comes_back(name: str) -> None:
    """Quotes, commas, semicolons and letters of any script."""
    people = People(agents={"1": AgentEntry(name=name.strip())})
    assert read(people_csv.write(people), People()) == people


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_people_or_a_config_error(content: bytes) -> None:
    """Nothing else comes out of it."""
    try:
        people_csv.read(b"kind,id,name,groups\n" + content, "p.csv", People())
    except ConfigError as error:
        assert error.problems


# ---- PIN records side by side --------------------------------------------------------------------------------


def test_records_of_too_many_kinds_are_refused() -> None:
    """Each look at a PIN takes the work of all kinds; those of a person who is disabled do not count."""

    def wrong(number: int, *, disabled: bool = False) -> list[str]:
        entries = {
            f"s{one}": {"endpoints": [f"PJSIP/{one}"], "pin": Cost(8 + one, 1, 1).dummy(), "disabled": disabled}
            for one in range(number)
        }
        return [problem for _, problem in problems_of(People.model_validate({"supervisors": entries}))]

    assert wrong(MAX_KINDS) == []
    assert wrong(MAX_KINDS + 1, disabled=True) == []
    (problem,) = wrong(MAX_KINDS + 1)
    assert problem.startswith("there are argon2id records of 9 kinds (m, t, p): 8 is the most. ")
