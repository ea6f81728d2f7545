"""agi_monitor.ami.admin_session: what a refused list says, and what one that is cut off does not say."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from agi_monitor.ami.admin_session import AdminSession
from agi_monitor.errors import ActionFailed


class Refused(AdminSession):
    """A session in which each list ends with an error.

    Parameters:
        error: how.
    """

    def __init__(self, error: ActionFailed) -> None:
        self._error = error
        self._client = self  # type: ignore[assignment]  # nothing is asked of it

    def perform_list(self, *_: object) -> None:
        """Ask nothing."""

    def _wait(self, asked: Coroutine[Any, Any, Any]) -> Any:
        raise self._error


def test_a_context_that_the_pbx_does_not_have() -> None:
    """Is an error of the action; a dialplan that is too long to be read is not known, which is another thing."""
    assert Refused(ActionFailed("ShowDialPlan", "Did not find context")).context("agi-monitor") is None
    with pytest.raises(ActionFailed, match="too long"):
        Refused(ActionFailed("ShowDialPlan", "too long", has_begun=True)).context("agi-monitor")
