"""Desks at a PBX with a manager interface, and calls that last while a supervisor listens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agi_monitor.model import Agent, Mode
from agi_monitor.supervision.policy import Notice
from tests.doubles.desk import POLICY, Desk

NEXT, NEXT_UNIQUEID = "PJSIP/1001-00000020", "1700000100.32"
OTHER, OTHER_UNIQUEID = "PJSIP/1005-00000022", "1700000100.34"
SECOND_CUSTOMER = "PJSIP/trunk-00000021"
ALL_MODES = Notice(frozenset(Mode), frozenset({"all"}))

AGENTS = {
    **POLICY.agents,
    "1005": Agent("1005", frozenset({"sales"}), ("PJSIP/1005",)),
    "1006": Agent("1006", frozenset({"sales"}), ("PJSIP/1006",)),
}


def connected(folder: Path, dialled: str = "*2221001", **options: str) -> Desk:
    """A desk with a manager interface and two agents more."""
    desk = Desk(folder, dialled, **options)  # type: ignore[arg-type]  # the texts among its options
    desk.connect()
    desk.change(agents=AGENTS)
    return desk


def ends(desk: Desk) -> list[object]:
    """Why each grant ended."""
    return [record["why"] for record in desk.records if record["fact"] == "spy_ended"]


def call_of_1001(desk: Desk) -> None:
    """The agent's next call begins."""
    desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=NEXT)
    desk.pbx.add_channel(NEXT, NEXT_UNIQUEID, bridge_peer=SECOND_CUSTOMER)


def star(desk: Desk) -> Callable[[], None]:
    """The supervisor presses the star key."""
    return lambda: desk.pbx.keys("*")
