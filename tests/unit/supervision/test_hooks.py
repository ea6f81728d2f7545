"""agi_monitor.supervision.hooks: what a site's own code may take away, and what becomes of it when it fails."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agi_monitor.model import Mode
from agi_monitor.rights.authorization import Effect, Rule
from agi_monitor.supervision.hooks import HOOKS, Asked, Plugin
from tests.doubles.desk import PIN, PIN_HASH, SPYEE_UNIQUEID, Desk


class Says:
    """An ``Authorizer`` with one answer."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[Asked] = []

    async def authorize(self, asked: Asked) -> Any:
        """Give it, or raise it."""
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def served(folder: Path, *parts: object, keys: str = f"{PIN}#*") -> Desk:
    """A supervisor's call with these plug-ins."""
    desk = Desk(folder)
    desk.plugins = tuple(Plugin(f"number-{number}", one) for number, one in enumerate(parts, 1))
    return desk.run(keys)


def refusals(desk: Desk) -> list[tuple[object, ...]]:
    """What was refused, and why."""
    return [(one["reason"], one["detail"]) for one in desk.records if one["fact"] == "refused"]


def failures(desk: Desk) -> list[tuple[object, ...]]:
    """What is on record about plug-ins."""
    return [(one["plugin"], one["hook"], one["error"]) for one in desk.records if one["fact"] == "plugin_failed"]


def test_a_yes_changes_nothing_and_sees_no_pin(tmp_path: Path) -> None:
    """It is asked about what the rules allow, once for each grant."""
    plugin = Says(True)
    desk = served(tmp_path, plugin)
    assert desk.spies == [f"{SPYEE_UNIQUEID},uqESX"]
    (asked,) = plugin.asked
    assert (asked.supervisor, asked.extension, asked.mode, asked.rule) == (
        "anna",
        "1001",
        Mode.LISTEN,
        "leads-supervise",
    )
    assert PIN not in repr(asked) and PIN_HASH not in repr(asked)


def test_a_no_is_a_refusal_that_names_it(tmp_path: Path) -> None:
    """The first no counts; those after it are not asked."""
    last = Says(True)
    desk = served(tmp_path, Says(True), Says("not on\nSundays"), last)
    assert desk.spies == []
    assert refusals(desk)[0] == ("plugin_denied", "number-2: not on Sundays")
    assert not last.asked


@pytest.mark.parametrize("answer", [None, False, 1, "", " ", b"yes", ValueError("no such table"), [True]])
def test_anything_else_denies(tmp_path: Path, answer: object) -> None:
    """A forgotten return, an error, something like yes: nobody is heard, and log and audit say whose fault it is."""
    with capture_logs() as logs:
        desk = served(tmp_path, Says(answer))
    assert desk.spies == []
    assert refusals(desk)[0][0] == "plugin_failed"
    assert failures(desk)[0][:2] == ("number-1", "Authorizer")
    assert {one["plugin"] for one in logs if one["event"] == "plugin_failed"} == {"number-1"}


def test_a_plain_function_denies(tmp_path: Path) -> None:
    """The ``async`` was forgotten."""

    class Plain:
        def authorize(self, asked: Asked) -> bool:
            return True

    desk = served(tmp_path, Plain())
    assert desk.spies == []
    assert failures(desk)[0][:2] == ("number-1", "Authorizer")


def test_it_is_not_asked_about_what_the_rules_forbid(tmp_path: Path) -> None:
    """A plug-in only takes away."""
    plugin = Says(True)
    desk = Desk(tmp_path)
    desk.plugins = (Plugin("yes", plugin),)
    desk.change(rules=(Rule("nobody", Effect.DENY, frozenset(Mode), frozenset({"all"}), frozenset({"all"})),))
    desk.run()
    assert desk.spies == []
    assert not plugin.asked


def test_the_rules_are_asked_again_behind_it(tmp_path: Path) -> None:
    """A right that was taken away while a plug-in thought about it is gone."""
    desk = Desk(tmp_path)

    class Slow:
        async def authorize(self, asked: Asked) -> bool:
            desk.change(rules=())
            return True

    desk.plugins = (Plugin("slow", Slow()),)
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0][0] == "mode_denied"


class Steps:
    """A step before and one after."""

    def __init__(self, before: Exception | None = None, after: Exception | None = None) -> None:
        self.before, self.after = before, after
        self.taken: list[str] = []

    async def before_spy(self, asked: Asked) -> None:
        """Note it."""
        self.taken.append(f"before {asked.extension}")
        if self.before is not None:
            raise self.before

    async def after_spy(self, asked: Asked, why: str, seconds: float) -> None:
        """Note it."""
        self.taken.append(f"after {asked.extension}: {why}")
        if self.after is not None:
            raise self.after


def test_steps_before_and_after(tmp_path: Path) -> None:
    """One of each for a spy."""
    steps = Steps()
    desk = served(tmp_path, steps)
    assert len(desk.spies) == 1
    assert steps.taken == ["before 1001", "after 1001: supervisor_left"]


def test_a_step_before_that_raises_denies(tmp_path: Path) -> None:
    """And no step comes after what was not."""
    steps = Steps(before=OSError("the recorder is off"))
    desk = served(tmp_path, steps)
    assert desk.spies == []
    assert refusals(desk)[0] == ("plugin_failed", "number-1: OSError: the recorder is off")
    assert "after" not in " ".join(steps.taken)


def test_a_step_after_that_raises_is_on_record(tmp_path: Path) -> None:
    """The spy is over, and its end is on record before."""
    desk = served(tmp_path, Steps(after=OSError("gone")))
    names = [one["fact"] for one in desk.records]
    assert names.index("spy_ended") < names.index("plugin_failed")
    assert failures(desk) == [("number-1", "AfterSpy", "OSError: gone")]


class Knows:
    """A ``TargetResolver``."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    async def devices_of_agent(self, extension: str) -> Any:
        """Give it, or raise it."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_resolver_says_which_device(tmp_path: Path) -> None:
    """Another desk today: the configured device is not looked at."""
    assert len(served(tmp_path, Knows(["PJSIP/1001"])).spies) == 1


def test_a_resolver_that_names_another_device(tmp_path: Path) -> None:
    """Nobody talks there."""
    desk = served(tmp_path, Knows(["PJSIP/1003"]))
    assert desk.spies == []
    assert failures(desk) == []


def test_a_resolver_that_does_not_know_leaves_it_to_the_others(tmp_path: Path) -> None:
    """None is not an answer."""
    assert len(served(tmp_path, Knows(None)).spies) == 1


@pytest.mark.parametrize("answer", ["PJSIP/1001", ["Local/1@x"], [7], ["PJSIP/1,b"], OSError("down"), ["P/1"] * 51])
def test_a_resolver_that_fails_denies(tmp_path: Path, answer: object) -> None:
    """Nothing is guessed."""
    desk = served(tmp_path, Knows(answer))
    assert desk.spies == []
    assert refusals(desk)[0][0] == "unavailable"
    assert failures(desk)[0][:2] == ("number-1", "TargetResolver")


class Speaks:
    """A ``PromptSet``."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def words(self, moment: str, language: str) -> Any:
        """For the PIN only."""
        if moment != "ask_pin":
            return None
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_prompt_set_says_it_otherwise(tmp_path: Path) -> None:
    """Before the configuration."""
    assert served(tmp_path, Speaks(["our/pin"])).pbx.played[0] == "our/pin"


NO_SOUNDS = [["a b"], ["x,y"], ["/etc/passwd"], ["../pin"], ["our/../../pin"], ["our//pin"], ["our/"], ["x" * 201]]


@pytest.mark.parametrize("answer", [["a", "b"], "beep", [], ValueError("x"), *NO_SOUNDS])
def test_a_prompt_set_that_fails_is_passed_over(tmp_path: Path, answer: object) -> None:
    """It grants nothing; the default is said, and the log names it."""
    with capture_logs() as logs:
        desk = served(tmp_path, Speaks(answer))
    assert desk.pbx.played[0] == "agent-pass"
    assert len(desk.spies) == 1
    assert {one["plugin"] for one in logs if one["event"] == "plugin_failed"} == {"number-1"}


def test_each_hook_is_known_by_its_method() -> None:
    """One plug-in may have several, and one without any has none."""

    class Writes:
        def write_record(self, record: Mapping[str, object]) -> None:
            """Keep nothing."""

    class Directory:
        def people_version(self) -> str:
            """It never changes."""
            return ""

        def load_people(self) -> Mapping[str, object]:
            """Nobody."""
            return {}

    parts = (Says(True), Knows(None), Speaks(None), Steps(), Writes(), Directory(), object())
    plugins = [Plugin("x", one) for one in parts]
    assert [name for plugin in plugins for name in plugin.hooks] == [hook.__name__ for hook in HOOKS]
