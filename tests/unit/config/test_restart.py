"""agi_monitor.config.restart: each section says whether it waits for a restart, and a reload goes by what it says."""

from __future__ import annotations

from typing import Annotated

import pytest

from agi_monitor.config.document import Section
from agi_monitor.config.loading import parse
from agi_monitor.config.restart import Restart, TopSection, needed_by, taken
from agi_monitor.config.sections import AFTER_RESTART, Config
from tests.unit.config.test_loading import TEXT, WITH_AMI


class Told(TopSection):
    """Says that it waits."""

    restart = Restart.NEEDED

    word: str = "first"


class Partly(TopSection):
    """Is taken at a reload, but for one key."""

    restart = Restart.NOT_NEEDED

    word: str = "first"
    key: Annotated[str, Restart.NEEDED] = "first"


class Silent(TopSection):
    """Says nothing."""

    word: str = ""


class Whole(Section):
    """A file."""

    told: Told = Told()
    partly: Partly = Partly()
    names: Annotated[tuple[str, ...], Restart.NEEDED] = ()
    rules: Annotated[tuple[str, ...], Restart.NOT_NEEDED] = ()
    left_out: Told | None = None


def test_what_waits_for_a_restart() -> None:
    """These and no others: a change of this list changes what a reload does."""
    assert needed_by(Config) == AFTER_RESTART
    assert [".".join(place) for place in AFTER_RESTART] == [
        *("fastagi", "audit", "state", "store", "plugins", "ami", "spies.key", "control", "metrics", "log", "limits"),
    ]


def test_sections_and_keys_say_it() -> None:
    """By the class variable or the annotation, left out or not."""
    assert needed_by(Whole) == (("told",), ("partly", "key"), ("names",), ("left_out",))


@pytest.mark.parametrize("kind", [Silent, Silent | None, tuple[str, ...], dict[str, Told]])
def test_a_section_that_says_nothing_is_found(kind: type) -> None:
    """None is taken by half because it was forgotten."""
    forgotten = type("Forgotten", (Whole,), {"__annotations__": {"web": kind}})
    with pytest.raises(TypeError, match="web: it does not say whether a change waits for a restart"):
        needed_by(forgotten)


def test_one_key_of_what_may_be_left_out_cannot_wait() -> None:
    """There would be no section to keep it in."""
    wrong = type("Wrong", (Whole,), {"__annotations__": {"web": Partly | None}})
    with pytest.raises(TypeError, match="web: it may be left out"):
        needed_by(wrong)


def test_a_reload_takes_what_may_hold_and_names_the_rest() -> None:
    """The same file is named again at the next reload: what it says does not hold yet."""
    now = Whole()
    read = Whole(
        told=Told(word="second"),
        partly=Partly(word="second", key="second"),
        names=("second",),
        rules=("second",),
        left_out=Told(),
    )
    for _ in range(2):
        now, waiting = taken(now, read, needed_by(Whole))
        assert now == Whole(partly=Partly(word="second"), rules=("second",))
        assert waiting == ("told", "partly.key", "names", "left_out")
    assert taken(now, now, needed_by(Whole)) == (now, ())


def test_of_the_whole_file() -> None:
    """A manager interface that was added waits; what else was changed beside it does not."""
    now = parse(TEXT.encode(), "c.yaml")
    read = parse(f"{TEXT}{WITH_AMI}spies: {{rogue: hang_up, key: a-key-of-some-length}}\n".encode(), "c.yaml")
    config, waiting = taken(now, read, AFTER_RESTART)
    assert waiting == ("ami", "spies.key")
    assert (config.ami, config.spies.key, config.spies.rogue) == (None, None, read.spies.rogue)
