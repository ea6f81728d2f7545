"""A running server for each scenario, on a real PBX, and the steps that scenarios have in common."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrib.lab.pbx import Lab
from contrib.lab.program import Forked
from contrib.lab.server import SITE, MonitorServer, with_pins
from tests.conftest import has_failed
from tests.scenarios.house import House

PEOPLE = ("supervisors", "agents", "rules")

MonitorServer.program = Forked()


@pytest.fixture
def own_dialplan(lab: Lab) -> Iterator[Lab]:
    """A scenario that renders another dialplan; the next one renders its own again."""
    yield lab
    lab.pbx.remove_dialplan("agi-monitor")


@pytest.fixture
def house(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    """The laboratory with our dialplan and a server that runs."""
    server = MonitorServer(lab, tmp_path)
    if any(not (lab.pbx.generated / name).exists() for name in ("agi-monitor.conf", "manager.conf.include")):
        server.render()
    with server:
        house = House(lab, server)
        yield house
        if not has_failed(request.node):
            house.assert_index_is_true()
    house.assert_no_pin_anywhere()


@pytest.fixture
def stored(house: House) -> Iterator[House]:
    """The same site, with its people in the store."""
    people = {name: copy.deepcopy(SITE[name]) for name in PEOPLE}
    with_pins(people)
    path = house.server.folder / "people.yaml"
    path.write_text(json.dumps(people))
    house.server.stop()
    house.server.configure(store={"people": True}, **dict.fromkeys(PEOPLE))
    house.change("people", "import", str(path), "--yes")
    path.unlink()
    house.server.start()
    yield house
