"""agi_monitor.agi.arguments: texts of the dialplan become typed arguments, or the call is refused."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agi_monitor.agi.arguments import Parameters, ScriptPath, Unfit, converter, query_of
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.routing import Router, TypedStory, as_story
from agi_monitor.agi.session import Session
from agi_monitor.testing import FakeAsterisk


class Colour(StrEnum):
    RED = "red"


class Floor(Enum):
    FIRST = 1


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "a b", "a b"),
        (int, "-12", -12),
        (int, "007", 7),
        (float, "1.5", 1.5),
        (bool, "Yes", True),
        (bool, "off", False),
        (Colour, "red", Colour.RED),
        (Floor, "1", Floor.FIRST),
        (Literal["en", "de"], "de", "de"),
        (int | None, "3", 3),
    ],
)
def test_a_text_becomes_its_type(annotation: object, text: str, value: object) -> None:
    """Each type that a handler may name."""
    assert converter(annotation)(text) == value


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "1.0"),
        (int, " 1"),
        (int, "1_000"),
        (int, "٣"),  # a digit of another script, which int() takes
        (int, "9" * 19),
        (int, ""),
        (float, "nan"),
        (float, "1e5"),
        (float, "inf"),
        (bool, "maybe"),
        (Colour, "RED"),
        (Literal["en"], "fr"),
    ],
)
def test_a_text_that_does_not_fit_is_refused(annotation: object, text: str) -> None:
    """Nothing is guessed, and what is said does not hold the text."""
    with pytest.raises(ValueError, match=r"^(no|neither|none)") as raised:
        converter(annotation)(text)
    assert not text or text not in str(raised.value)


@given(st.text())
def test_whole_numbers_are_python_s_where_they_are_taken(text: str) -> None:
    """Whatever is taken is what int() makes of it."""
    try:
        value = converter(int)(text)
    except ValueError:
        return
    assert value == int(text)


@pytest.mark.parametrize("annotation", [list[int], dict, object, int | str, Literal[1], "int"])
def test_a_type_that_no_text_becomes_is_said_when_the_handler_is_added(annotation: object) -> None:
    """Not when the first call comes in."""
    with pytest.raises(TypeError, match="is not among str, int"):
        converter(annotation)


def seen_by(
    handler_of: Callable[[list[Any]], Any], script: str, *arguments: str, path: str = "go"
) -> list[Any] | str:
    """What a routed handler was called with; or the warning of a refused call."""
    seen: list[Any] = []
    router = Router()
    router.add(path, handler_of(seen))
    fake = FakeAsterisk(script=script, arguments=arguments)
    with capture_logs() as logs:
        fake.run(router)
    if not fake.failed:
        return seen
    assert seen == []
    (log,) = [log for log in logs if log["log_level"] == "warning"]
    return f"{log['parameter']}: {log['why']}" if log["event"] == LogEvent.ARGUMENTS_REFUSED else str(log["event"])


def menu(seen: list[Any]) -> Any:
    async def handler(session: Session, language: Colour, tries: int = 1, *, loud: bool = False) -> None:
        seen.append((language, tries, loud))

    return handler


def rest(seen: list[Any]) -> Any:
    async def handler(session: Session, name: str, *numbers: int) -> None:
        seen.append((name, numbers))

    return handler


@pytest.mark.parametrize(
    ("script", "arguments", "expected"),
    [
        ("menu/red", (), [(Colour.RED, 1, False)]),
        ("menu/red", ("3",), [(Colour.RED, 3, False)]),
        ("menu/red?tries=4&loud=yes", (), [(Colour.RED, 4, True)]),
        ("menu/r%65d/", ("",), [(Colour.RED, 1, False)]),
        ("menu/blue", (), "language: is none of red"),
        ("menu/red", ("x",), "tries: is no whole number"),
        ("menu/red", ("3", "yes"), ": more arguments than the handler takes"),
        ("menu/red?tires=3", (), "tires: is not a parameter"),
        ("menu/red?tries=3&tries=4", (), "tries: stands twice in the query"),
        ("menu/red?language=red", (), "language: stands in the path and in the query"),
        ("menu", (), "agi_route_unknown"),
        ("menu/", (), "agi_route_unknown"),
        ("menu/red/more", (), "agi_route_unknown"),
    ],
)
def test_path_query_and_arguments(script: str, arguments: tuple[str, ...], expected: object) -> None:
    """The path's places, then the query, then the AGI arguments in their order; what is wrong is named."""
    assert seen_by(menu, script, *arguments, path="menu/{language}") == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("a",), [("a", ())]),
        (("a", "1", "2"), [("a", (1, 2))]),
        (("a", "1", "x"), ": one of the last arguments is no whole number"),
        ((), "name: is missing"),
    ],
)
def test_arguments_that_are_left_over(arguments: tuple[str, ...], expected: object) -> None:
    """``*numbers`` takes them, each with its type."""
    assert seen_by(rest, "go", *arguments) == expected


def test_a_class_is_made_and_run() -> None:
    """One object for each call, with the session and typed arguments."""
    seen: list[object] = []

    class Greeting:
        def __init__(self, session: Session, times: int) -> None:
            self.session = session
            self.times = times

        async def run(self) -> None:
            seen.append(self.times)
            await self.session.noop()

    fake = FakeAsterisk(script="greet", arguments=["2"])
    router = Router()
    router.add("greet", Greeting)
    fake.run(router)
    assert seen == [2]
    assert fake.commands == [["NOOP"]]


def test_a_part_that_is_written_out_comes_before_a_place() -> None:
    """However they were added."""
    router = Router()
    ran: list[str] = []

    @router.route("menu/{name}")
    async def any_menu(session: Session, name: str) -> None:
        ran.append(name)

    @router.route("menu/main")
    async def main(session: Session) -> None:
        ran.append("the main one")

    for script in ("menu/main", "menu/other"):
        FakeAsterisk(script=script).run(router)
    assert ran == ["the main one", "other"]


@pytest.mark.parametrize("path", ["menu/{other}", "menu/{language}/{tries}"])
def test_the_same_shape_twice_is_a_mistake(path: str) -> None:
    """Two routes that would match the same scripts."""
    router = Router()
    router.add("menu/{language}", menu([]))
    router.add("menu/{language}/{loud}", menu([]))
    with pytest.raises(ValueError, match=r"already|takes no other"):
        router.add(path, menu([]))


def test_what_is_no_handler_is_said_when_it_is_added() -> None:
    """A plain function, a class without run, no session, a type that is not known."""

    def plain(session: Session) -> None: ...

    async def without() -> None: ...

    async def more(session: Session, **more: str) -> None: ...

    async def unknown(session: Session, what: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    class NoRun:
        def __init__(self, session: Session) -> None: ...

    for handler, said in (
        (plain, "is an `async def`"),
        (without, "the first parameter of a handler is the session"),
        (more, r"\*\*more cannot be filled"),
        (unknown, "must be known where it is defined"),
        (NoRun, "has an `async def run"),
    ):
        with pytest.raises(TypeError, match=said):
            TypedStory(handler)


def test_a_handler_of_the_session_alone_stays_itself() -> None:
    """It costs a call nothing to be routed."""

    async def plain(session: Session) -> None: ...

    assert as_story(plain) is plain
    router = Router()
    assert as_story(router) is router


def test_names_and_parameters() -> None:
    """What a path may name, and that nothing is bound by a name that is not there."""
    parameters = Parameters.of(menu([]))
    assert parameters.names == {"language", "tries", "loud"}
    assert parameters.bind({"colour": "red"}, ()) == Unfit("colour", "is not a parameter")


def test_a_query_and_a_path_are_decoded_once() -> None:
    """``%2F`` is part of a value, never a border."""
    assert query_of("go?a=1%262&b=&=x") == {"a": "1&2", "b": "", "": "x"}
    assert ScriptPath.parse("a/{b}").match("a/x%2Fy") == {"b": "x/y"}
    assert ScriptPath.parse("a/{b}").match("a/%2541") == {"b": "%41"}
