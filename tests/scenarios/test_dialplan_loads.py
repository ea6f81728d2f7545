"""A real Asterisk loads every golden dialplan, line by line as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import render
from agi_monitor.dialplan.site import PermissionGroup, Site
from agi_monitor.model import Agent, Mode
from tests.golden.sites import HERE, SITES
from tests.scenarios.dialplan_show import differences

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

ODD_NAMES = ("]", "a;--b", "--;", "x\\", "=> x", "#include x", "{{ x }}", '"(', "ö" * 10_000, "علی‌رضا", "\\;z")

IN_THE_LABORATORY = {"phones"}


def loaded_otherwise(lab: Lab, text: str) -> dict[str, list[str]]:
    """Load this text and tell, for each of its contexts, what Asterisk made of it that was not written.

    Contexts of the site that it includes are there, but empty.
    """
    contexts = parse(text).contexts
    included = {include.context for context in contexts for include in context.includes}
    missing = included - {context.name for context in contexts} - IN_THE_LABORATORY
    try:
        lab.pbx.write_dialplan("agi-monitor", text + "".join(f"[{name}]\n" for name in sorted(missing)))
        told = {context.name: differences(lab.pbx.dialplan_show(context.name), context) for context in contexts}
    finally:
        lab.pbx.remove_dialplan("agi-monitor")
    return {name: differing for name, differing in told.items() if differing}


@pytest.mark.parametrize("site", SITES)
def test_golden_dialplan(lab: Lab, site: str) -> None:
    """Asterisk has exactly the contexts, extensions and priorities of the golden file."""
    assert loaded_otherwise(lab, (HERE / f"{site}.conf").read_text(encoding="utf-8")) == {}


def test_odd_names(lab: Lab) -> None:
    """People's names, whatever they hold, change nothing of what Asterisk loads."""
    agents = tuple(Agent(str(1000 + place), frozenset(), name=name) for place, name in enumerate(ODD_NAMES))
    group = PermissionGroup("leads", frozenset(Mode), ODD_NAMES)
    assert loaded_otherwise(lab, render(Site(agents, (group,)))["agi-monitor.conf"]) == {}


def test_a_difference_is_seen(lab: Lab) -> None:
    """What Asterisk did not load is told: the comparison can fail."""
    text = (HERE / "one-group.conf").read_text(encoding="utf-8")
    lab.pbx.write_dialplan("agi-monitor", text)
    try:
        wanted = parse(text.replace("AGISIGHUP=yes", "AGISIGHUP=no")).context("agi-monitor-call")
        (told,) = differences(lab.pbx.dialplan_show("agi-monitor-call"), wanted)
    finally:
        lab.pbx.remove_dialplan("agi-monitor")
    assert told.startswith("_[0-9*#]! is 1. GotoIf(")
