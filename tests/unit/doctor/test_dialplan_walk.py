"""agi_monitor.doctor.dialplan_walk: everything that a phone can reach, and no walk that does not end."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agi_monitor.doctor.dialplan_walk import Dialplan, Row
from agi_monitor.doctor.extension_patterns import overlap
from tests.unit.doctor.test_checks import include, step

SPY = ("end", "s")


def reached(*rows: Row, start: str = "phones") -> list[str]:
    """The ways from the phones to what spies."""
    dialplan = Dialplan(rows)
    return [str(way) for _, way in dialplan.ways([start], lambda place: bool(dialplan.spies(place)))]


@pytest.mark.parametrize(
    ("application", "arguments", "is_reached"),
    [
        ("ChanSpy", "", True),
        ("extenspy", "1001@phones", True),
        ("ExecIf", "$[1]?ChanSpy(PJSIP/1001)", True),
        ("Originate", "Local/1@x,app,ChanSpy,PJSIP/1001", True),
        ("Goto", "end,s,1", True),
        ("Goto", "s,1", False),
        ("Goto", "1", False),
        ("GotoIf", '$["${X}" = "1"]?end,s,1:other,s,1', True),
        ("GotoIf", "$[1]?other,s,1:end,s,1", True),
        ("GotoIfTime", "9:00-17:00,mon-fri,*,*?end,s,1", True),
        ("Gosub", "end,s,1(a,b)", True),
        ("GosubIf", "$[1]?end,s,1(a)", True),
        ("ExecIf", "$[1]?Goto(end,s,1)", True),
        ("Dial", "PJSIP/1001&Local/s@end/n,20", True),
        ("Goto", "end,${WHERE},1", True),
        ("Goto", "end,t,1", False),
        ("Goto", "end,${EXTEN},1", False),
        ("Goto", "${WHERE},s,1", True),
        ("Goto", "e${WHERE},s,1", True),
        ("Goto", "o${WHERE},s,1", False),
        ("Goto", "${WHERE}", True),
        ("Goto", "${CUT(X,,1)},s,1", True),
        ("Goto", "end,gone,1", False),
        ("GotoIf", "$[${X:1} = 1]?${IF($[1]?end:other)},s,1:other,s,1", True),
        ("GosubIf", "1?:end,s,1", True),
        ("Exec", "Goto(end,s,1)", True),
        ("TryExec", "ChanSpy(x)", True),
        ("ExecIfTime", "9:00-17:00,*,*,*?Goto(end,s,1)", True),
        ("Dial", "PJSIP/1,20,G(end^s^1)", True),
        ("Dial", "PJSIP/1,20,U(end^x)", True),
        ("Dial", "PJSIP/1,20,b(end^s^1)", True),
        ("Queue", "500,,,,,,end", True),
        ("Originate", "PJSIP/1,exten,end,s,1", True),
        ("Set", "CHANNEL(hangup_handler_push)=end,s,1", True),
        ("Set", "__TRANSFER_CONTEXT=end", True),
        ("Set", "X=end", False),
        ("DISA", "1234,end", True),
        ("System", 'asterisk -rx "channel originate PJSIP/1 application ChanSpy"', True),
        ("NoOp", "end ChanSpy", False),
        ("Set", "X=ChanSpy", False),
        ("Playback", "end,s,1", False),
    ],
)
def test_where_a_step_leads(application: str, arguments: str, is_reached: bool) -> None:
    """Literal places are followed; where the extension is a variable, all of the context."""
    rows = [step("phones", "_1X", application, arguments), step("end", "s", "ChanSpy"), step("other", "s", "Hangup")]
    assert bool(reached(*rows)) is is_reached


@pytest.mark.parametrize(
    ("application", "arguments", "is_reached"),
    [
        ("Background", "menu", True),
        ("WaitExten", "5", True),
        ("Dial", "PJSIP/1,20,tT", True),
        ("Dial", "PJSIP/1,20,${OPTIONS}", True),
        ("Dial", "PJSIP/1,20,m(tunes)r", False),
        ("Queue", "500,t", True),
        ("Queue", "500,n", False),
        ("Goto", "i,1", False),
    ],
)
def test_digits_that_are_dialled_later(application: str, arguments: str, is_reached: bool) -> None:
    """In a menu or a transfer they are extensions of the context that the call is in."""
    rows = [
        step("phones", "1", "Goto", "menu,s,1"),
        step("menu", "s", application, arguments),
        step("menu", "9", "ChanSpy"),
    ]
    assert bool(reached(*rows)) is is_reached


def test_the_context_is_that_of_the_channel() -> None:
    """An extension that stands in an included context continues in the one that includes it."""
    rows = [
        include("phones", "common"),
        step("common", "1", "Goto", "s,1"),
        step("phones", "s", "NoOp"),
        step("entry", "2", "Goto", "inner,1,1"),
        include("inner", "common"),
        step("inner", "s", "ChanSpy"),
    ]
    assert reached(*rows) == []
    assert reached(*rows, start="entry") == ["from [entry] 2@entry -> 1@common -> s@inner"]


def test_a_missing_extension_leads_to_i() -> None:
    """As the PBX does with a jump, and with digits in a menu."""
    rows = [step("phones", "1", "Goto", "end,77,1"), step("end", "i", "ChanSpy"), step("end", "8", "NoOp")]
    assert reached(*rows) == ["from [phones] 1@phones -> i@end"]


def test_a_way_that_does_not_count() -> None:
    """The longer one past it is found."""
    rows = [
        step("phones", "1", "Goto", "end,s,1"),
        step("phones", "2", "Goto", "middle,s,1"),
        step("middle", "s", "Goto", "end,s,1"),
        step("end", "s", "ChanSpy"),
    ]
    dialplan = Dialplan(rows)
    ways = dialplan.ways(["phones"], lambda place: place == SPY, lambda place: place == ("phones", "1"))
    assert [str(way) for _, way in ways] == ["from [phones] 2@phones -> s@middle -> s@end"]


def test_an_extension_for_some_callers() -> None:
    """No matter who they are."""
    rows = [step("phones", "_1XX/_8.", "Goto", "end,s,1"), step("end", "s/300", "ChanSpy")]
    assert reached(*rows) == ["from [phones] _1XX@phones -> s@end"]


def test_a_macro_is_followed() -> None:
    """It is a context of its own name."""
    rows = [step("phones", "1", "Macro", "hear,1001"), step("macro-hear", "s", "ChanSpy", "x")]
    assert reached(*rows) == ["from [phones] 1@phones -> s@macro-hear"]


def test_the_way_is_the_shortest() -> None:
    """Through includes and jumps, and told from what is dialled."""
    rows = [
        include("phones", "features,9:00-17:00,mon-fri,*,*"),
        step("features", "_9X", "Goto", "middle,${EXTEN},1"),
        step("middle", "_X.", "Goto", "end,s,1"),
        step("features", "8", "Goto", "end,s,1"),
        step("end", "s", "ChanSpy", "x"),
    ]
    assert reached(*rows) == ["from [phones] 8@features -> s@end"]


def test_devices_of_hints() -> None:
    """Also by a pattern, and in a context that is included."""
    hint = {"Context": "hints", "Priority": "hint"}
    rows = [
        include("phones", "hints"),
        {**hint, "Extension": "1001", "Application": "PJSIP/1001&PJSIP/1001-mobile,CustomPresence:1001"},
        {**hint, "Extension": "_2XXX", "Application": "PJSIP/${EXTEN}"},
    ]
    dialplan = Dialplan(rows)
    assert [list(dialplan.devices("phones", one)) for one in ("1001", "2005", "3001")] == [
        ["PJSIP/1001", "PJSIP/1001-mobile"],
        ["PJSIP/2005"],
        [],
    ]
    assert list(dialplan.devices("nowhere", "1001")) == []


def test_loops_end() -> None:
    """Contexts that include one another, and extensions that go to themselves."""
    rows = [
        include("phones", "other"),
        include("other", "phones"),
        step("phones", "_X", "Goto", "other,${EXTEN},1"),
        step("other", "_X", "Goto", "phones,${EXTEN},1"),
    ]
    assert reached(*rows) == []


@pytest.mark.parametrize(
    ("pattern", "extension", "is_meant"),
    [
        ("1001", "1001", True),
        ("1001", "1002", False),
        ("_*222XXXX", "*2221001", True),
        ("_*222XXXX", "*222100", False),
        ("_[1-3]0[02468]", "204", True),
        ("_[1-3]0[02468]", "405", False),
        ("_N.", "1", False),
        ("_n.", "21", True),
        ("_X!", "1", True),
        ("_1-23", "123", True),
        ("_9.", "_9XXX", True),
        ("_9.", "_[0-8]X", False),
        ("_NXX", "_1XX", False),
        ("_X", "_X!", True),
        ("_X", "_X.", False),
        ("_X.", "_9", False),
        ("_!", "_*8", True),
        ("_[0-9*#]!", "#", True),
        ("_[9-0]", "5", True),
        ("_[", "[", True),
    ],
)
def test_patterns(pattern: str, extension: str, is_meant: bool) -> None:
    """As pbx.c has them; what is not understood means everything."""
    assert overlap(pattern, extension) is is_meant


CONTEXTS = st.sampled_from(["phones", "a", "b", "end"])
EXTENSIONS = st.sampled_from(["1", "2", "s"])
ROWS = st.lists(
    st.one_of(
        st.builds(include, CONTEXTS, CONTEXTS),
        st.builds(
            lambda one, what, to, where: step(one, what, "Goto", f"{to},{where},1"), *[CONTEXTS, EXTENSIONS] * 2
        ),
        st.builds(lambda one, what: step(one, what, "ChanSpy"), CONTEXTS, EXTENSIONS),
    ),
    max_size=14,
)


def naive(rows: list[Row]) -> set[tuple[str, str]]:
    """The places with a spy that are reached, followed until nothing new comes."""
    includes = {(row["Context"], row["IncludeContext"]) for row in rows if "IncludeContext" in row}
    sees = {(one, one) for row in rows for one in (row["Context"], row.get("IncludeContext", row["Context"]))}
    sees |= {("phones", "phones")}
    while more := {(one, third) for one, other in sees for context, third in includes if context == other} - sees:
        sees |= more
    steps = [row for row in rows if "Extension" in row]
    places = {(row["Context"], row["Extension"]) for row in steps if ("phones", row["Context"]) in sees}
    while True:
        targets = {
            tuple(row["AppData"].split(",")[:2])
            for row in steps
            if (row["Context"], row["Extension"]) in places and row["Application"] == "Goto"
        }
        more_places = {
            (row["Context"], row["Extension"])
            for row in steps
            for context, extension in targets
            if (context, row["Context"]) in sees | {(context, context)} and row["Extension"] == extension
        } - places
        if not more_places:
            break
        places |= more_places
    return {
        place
        for place in places
        if any((row["Context"], row["Extension"]) == place and row["Application"] == "ChanSpy" for row in steps)
    }


@given(ROWS)
def test_the_walk_is_what_going_on_for_ever_finds(rows: list[Row]) -> None:
    """Any includes and jumps, loops as well."""
    dialplan = Dialplan(rows)
    found = {place for place, _ in dialplan.ways(["phones"], lambda place: bool(dialplan.spies(place)))}
    assert found == naive(rows)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["Context", "Extension", "Priority", "Application", "AppData", "IncludeContext"]),
            st.text(max_size=30),
        ),
        max_size=10,
    )
)
@example([{"Context": "a", "Extension": "1", "Priority": number} for number in ("²", "9" * 5_000)])
def test_no_garbage_breaks_the_walk(rows: list[Row]) -> None:
    """Whatever the PBX says."""
    dialplan = Dialplan(rows)
    list(dialplan.ways(list(dialplan.steps), lambda place: bool(dialplan.spies(place))))


def test_a_large_dialplan_of_which_any_context_may_lead_to_any() -> None:
    """Each of 1,500 contexts is a start, and jumps to a variable: a walk from each alone would take hours."""
    names = [f"c{number}" for number in range(1_500)]
    rows = [
        *(step(name, f"_{digit}XX", "Goto", "${PLACE},${EXTEN},1") for name in names for digit in range(1, 5)),
        step("c7", "400", "ChanSpy", "PJSIP/1001"),
    ]
    dialplan = Dialplan(rows)
    found = [way for _, way in dialplan.ways(names, lambda place: bool(dialplan.spies(place)))]
    assert {way.context for way in found} == set(names)
