"""Which records are wanted, and what a legal hold holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from agi_monitor.audit.selection import Selection, hold, holds, moment, month

RECORD = {
    "fact": "spy_started",
    "at": "2026-01-31T12:00:00.000+00:00",
    "supervisor": "anna",
    "extension": "1001",
    "call": "c-1",
}
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(), True),
        (Selection(begin=AT), True),
        (Selection(begin=AT + SECOND), False),
        (Selection(end=AT), False),
        (Selection(end=AT + SECOND), True),
        (Selection(supervisors=frozenset({"anna", "bert"})), True),
        (Selection(supervisors=frozenset({"bert"})), False),
        (Selection(agents=frozenset({"1001"})), True),
        (Selection(agents=frozenset({"100"})), False),
        (Selection(facts=frozenset({"spy_started"})), True),
        (Selection(facts=frozenset({"spy_ended"})), False),
        (Selection(calls=frozenset({"c-1"})), True),
        (Selection(calls=frozenset({"c-2"})), False),
        (Selection(supervisors=frozenset({"anna"}), agents=frozenset({"1002"})), False),
    ],
)
def test_wants_what_fits_in_everything(selection: Selection, wanted: bool) -> None:
    """Every word that is given has to fit; of several for the same, one."""
    assert selection.wants(RECORD) is wanted


@pytest.mark.parametrize("at", [None, "", "soon", "2026-01-31T12:00:00"])
def test_a_record_without_a_time_happened_at_no_time(at: str | None) -> None:
    """Not before, not after, and no fault."""
    assert not Selection(begin=AT - SECOND).wants({**RECORD, "at": at})
    assert not Selection(end=AT + SECOND).wants({**RECORD, "at": at})
    assert Selection().wants({**RECORD, "at": at})


def test_a_day_ends_with_its_end() -> None:
    """``--to`` with a date includes that day; a time is that time."""
    assert moment("2026-01-31", end=True) - moment("2026-01-31") == timedelta(days=1)
    assert moment("2026-01-31T08:00", end=True) == moment("2026-01-31T08:00")
    assert moment("2026-01-31T08:00+01:00") == datetime(2026, 1, 31, 7, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "today", "31.1.2026", "2026-02-30", "0001-01-01T00:00+12:00"])
def test_what_is_no_time_is_named(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(ValueError, match="no time such as 2026-01, 2026-01-31"):
        moment(text)


DAY = date(2026, 3, 1)


def test_the_words_are_named_where_they_are_taken() -> None:
    """And nowhere else."""
    with pytest.raises(ValueError, match="nor today, yesterday, this month or last month"):
        moment("yesterdy", today=DAY)


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2026-10", "2026-10-01", "2026-11-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("today", "2026-03-01", "2026-03-02"),
        ("yesterday", "2026-02-28", "2026-03-01"),
        ("this month", "2026-03-01", "2026-04-01"),
        ("last month", "2026-02-01", "2026-03-01"),
    ],
)
def test_a_period_by_its_name(text: str, begin: str, end: str) -> None:
    """It ends where the next one begins."""
    assert (moment(text, today=DAY), moment(text, end=True, today=DAY)) == (moment(begin), moment(end))


@pytest.mark.parametrize("text", ["2026-02", "last", "last month"])
def test_a_month(text: str) -> None:
    """By its number, or from the day on which it is asked for."""
    assert month(text, DAY) == (moment("2026-02-01"), moment("2026-03-01"))
    assert month("this", date(2026, 1, 31)) == (moment("2026-01-01"), moment("2026-02-01"))


@pytest.mark.parametrize("text", ["", "2026", "2026-13", "2026-02-01", "february", "today", "9999-12"])
def test_what_is_no_month_is_named(text: str) -> None:
    """With what one looks like."""
    with pytest.raises(ValueError, match=r"no (month|time) such as 2026-01"):
        month(text, DAY)


@pytest.mark.parametrize("value", [[], {}, 1, None, [["anna"]]])
def test_a_record_with_another_kind_of_value_is_not_wanted(value: object) -> None:
    """And breaks nothing."""
    for name in ("supervisor", "extension", "fact", "call"):
        wanted = frozenset({"anna"})
        selection = Selection(supervisors=wanted, agents=wanted, facts=wanted, calls=wanted)
        assert not selection.wants(
            {**dict.fromkeys(("supervisor", "extension", "fact", "call"), "anna"), name: value}
        )


def test_reads_a_hold() -> None:
    """The words of the command line."""
    assert hold(
        "supervisor=anna agent=1001 agent=1002 fact=refused call=c from=2026-01-01T00:00Z to=2026-02-01T00:00Z"
    ) == (
        Selection(
            datetime(2026, 1, 1, tzinfo=UTC),
            datetime(2026, 2, 1, tzinfo=UTC),
            frozenset({"anna"}),
            frozenset({"1001", "1002"}),
            frozenset({"refused"}),
            frozenset({"c"}),
        )
    )


@pytest.mark.parametrize("text", ["", "anna", "supervisor=", "who=anna", "from=x", "from=2026-01-01 from=2026-01-02"])
def test_a_hold_with_a_mistake_is_refused(text: str) -> None:
    """A hold that holds less than was meant loses evidence."""
    with pytest.raises(ValueError, match=r"must be|everything|no time|once"):
        hold(text)


def test_reads_a_file_of_holds() -> None:
    """One a line, with comments; a mistake names its line, and an empty file is one."""
    assert len(holds("# case 7\nsupervisor=anna  # until further notice\n\nagent=1001\n")) == 2
    with pytest.raises(ValueError, match="line 2: must be supervisor="):
        holds("agent=1001\nanna\n")
    with pytest.raises(ValueError, match="line 10001: there are more than 10000 holds"):
        holds("agent=1001\n" * 20_000)
    with pytest.raises(ValueError, match="no hold"):
        holds("# nothing\n")
