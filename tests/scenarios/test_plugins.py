"""The plug-ins of contrib/examples in a whole server, on a real PBX: what they decide is what is heard."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.program import Started
from contrib.lab.server import SITE, with_pins
from tests.installed import install
from tests.scenarios.conftest import PEOPLE
from tests.scenarios.house import House, heard_in, moment

pytestmark = pytest.mark.either_version
"""Plug-ins are asked by us; the spies are as in every other scenario."""

PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}, "2001": set()}
SECONDS = 3.0
"""A second until the file is looked at, and the time that a loaded machine takes."""


class Site:
    """A house whose server has both plug-ins.

    Parameters:
        house: with the server.
        folder: for what the plug-ins read.
    """

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.quiet = folder / "quiet"
        self.heard = folder / "quiet.heard"
        self.file = folder / "people.json"
        self.people: dict[str, Any] = {name: copy.deepcopy(SITE[name]) for name in PEOPLE}
        with_pins(self.people)
        self.quiet.write_text("")
        self.says(self.people)

    def says(self, people: object) -> None:
        """Change people, in one step."""
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(people))
        new.replace(self.file)


@pytest.fixture
def site(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with the plug-ins; who there is comes from one of them."""
    made = Site(house, tmp_path)
    # What a Python finds of plug-ins it finds when it starts.
    house.server.program = Started()
    monkeypatch.setenv("PYTHONPATH", install(["quiet_agents", "people_from_file"], tmp_path / "site"))
    monkeypatch.setenv("PEOPLE_FILE", str(made.file))
    monkeypatch.setenv("QUIET_AGENTS", str(made.quiet))
    house.restart(store={"plugin": "people_from_file"}, plugins=["quiet_agents"], **dict.fromkeys(PEOPLE))
    yield made


def test_an_authorizer_is_asked_and_a_step_is_taken(site: Site) -> None:
    """A quiet agent is not heard, by a key either; without its name in the file it is, and the end is counted."""
    house = site.house
    house.lab.connect("3001", "1001")
    site.quiet.write_text("1001")
    assert house.refused("*2221001", "plugin_denied")["detail"] == "quiet_agents: 1001 is quiet"
    assert not house.server.audit("spy_started")
    site.quiet.write_text("")
    house.spy()
    house.hears(heard_in("listen"))
    site.quiet.write_text("1001")
    mark = house.server.mark()
    house.lab.phone("2001").press("5")
    house.server.wait_for("refused", mark, reason="plugin_denied")
    house.server.wait_for("spy_ended", mark)
    house.lab.phone("2001").hang_up()
    house.server.wait_for("call_ended", mark)
    assert site.heard.read_text().startswith("1001 ")


def test_a_plug_in_knows_the_people(site: Site) -> None:
    """A rule that goes away there ends the spy, and the audit says by whom; while the plug-in fails nobody begins."""
    house = site.house
    house.lab.connect("3001", "1001")
    house.spy()
    house.hears(heard_in("listen"))
    mark = house.server.mark()
    site.says({**site.people, "rules": []})
    revoked = house.server.wait_for("spy_revoked", mark)
    house.server.wait_for("spy_ended", mark, why="revoked")
    began = moment(revoked)
    late = house.lab.last_heard("2001", {"1001", "3001"}, began) - began
    assert late <= house.lab.on_a_running_machine(SECONDS, began)
    changed = house.server.audit("people_changed")
    assert {record["by"] for record in changed} == {"plug-in people_from_file"}
    assert {record["entry"] for record in changed} == {rule["name"] for rule in site.people["rules"]}
    house.lab.phone("2001").hang_up()

    mark = house.server.mark()
    site.says(site.people)
    house.server.wait_for("people_changed", mark)
    mark = house.server.mark()
    site.file.write_text("nobody")
    house.server.wait_for("plugin_failed", mark, hook="PeopleStore")
    assert house.refused("*2221001", "plugin_failed")["detail"].startswith("people_from_file: ")
    assert len(house.server.audit("plugin_failed")) == 1
    house.hears(PAIR)
