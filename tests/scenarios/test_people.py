"""People in the store: changed with commands while the server runs, and heard on the phone at once."""

from __future__ import annotations

import pytest

from contrib.lab.server import SITE
from tests.scenarios.house import House, heard_in

pytestmark = pytest.mark.either_version
"""Who there is comes from our store."""


def test_who_is_disabled_falls_silent_and_may_come_back(stored: House) -> None:
    """A spy that is on is revoked without a restart or a reload, and the supervisor is unknown until enabled."""
    house = stored
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    house.change("people", "disable", "anna")
    (revoked,) = house.server.wait_for_audit("spy_revoked")
    assert revoked["why"] == "identity_changed"
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    record = house.server.wait_for_audit("people_changed", 1 + len(SITE["supervisors"]))[-1]
    assert record["by"]
    house.lab.phone("2001").wait_until_idle()
    mark = house.server.mark()
    house.change("people", "enable", "anna")
    house.server.wait_for("people_changed", mark)
    house.spy()
    house.hears(heard_in("listen"))


def test_a_rule_holds_as_soon_as_it_is_there(stored: House) -> None:
    """Taken away it ends the spy; given again it allows the next one, on the same call of the supervisor."""
    house = stored
    house.lab.connect("3001", "1001")
    house.spy()
    house.change("rules", "remove", "leads-on-sales")
    house.server.wait_for("spy_revoked")
    house.server.wait_for("extension_prompted")
    mark = house.server.mark()
    options = ["--allow", "listen", "--supervisors", "anna", "--agents", "_10XX"]
    house.change("rules", "add", "anna-again", *options)
    house.server.wait_for("people_changed", mark)
    house.lab.phone("2001").press("1001#")
    house.server.wait_for("spy_started", mark, rule="anna-again")
    house.hears(heard_in("listen"))
