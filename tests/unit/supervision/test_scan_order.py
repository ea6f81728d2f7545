"""Which call comes next."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from agi_monitor.model import ScanOrder
from agi_monitor.supervision.scan_order import AgentCall, next_call

OLD = AgentCall("1003", "pbx-999.9")
YOUNG = AgentCall("1001", "pbx-1000.2")
YOUNGER = AgentCall("1002", "pbx-1000.10")
AGELESS = AgentCall("1000", "click-to-dial-7")
SAME_AGE = AgentCall("1004", "pbx-999.9")


def first(calls: Sequence[AgentCall]) -> AgentCall:
    """A choice that is known."""
    return calls[0]


def no_choice(calls: Sequence[AgentCall]) -> AgentCall:
    """A choice that is not asked for."""
    raise AssertionError("the longest is no choice")


def test_the_longest_comes_first() -> None:
    """By number and not by text, in whatever order they were found; one that tells no age comes last."""
    for calls in itertools.permutations([OLD, YOUNG, YOUNGER, AGELESS]):
        left, order = list(calls), []
        while (found := next_call(left, ScanOrder.LONGEST, no_choice)) is not None:
            order.append(found)
            left.remove(found)
        assert order == [OLD, YOUNG, YOUNGER, AGELESS]


def test_of_two_that_began_together_the_lower_extension() -> None:
    """So that it is the same every time."""
    assert next_call([SAME_AGE, OLD], ScanOrder.LONGEST, no_choice) == OLD


def test_any_of_them() -> None:
    """The choice gets all calls and decides."""
    assert next_call([YOUNG, OLD], ScanOrder.RANDOM, first) == YOUNG
    assert next_call([OLD, YOUNG], ScanOrder.RANDOM, lambda calls: calls[-1]) == YOUNG


def test_no_call_is_none() -> None:
    """There is no choice from nothing."""
    for order in ScanOrder:
        assert next_call([], order, no_choice) is None
