"""The recipes of contrib/examples on a real PBX, each with its own dialplan and its own server."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from contrib.lab.pbx import Lab
from contrib.lab.phone import Call, Phone
from contrib.lab.waiting import wait_until
from tests.scenarios.programs import CHECKOUT, SECONDS, printed, running

pytestmark = pytest.mark.either_version
"""The recipes are written against AGI as it has been since Asterisk 1.8."""

RECIPES = CHECKOUT / "contrib" / "examples" / "recipes"
EXTENSION = "7996"
AGENT = "1001"
CALLER = "2001"
PIN = "407196"


class Recipe:
    """One recipe at work, behind an extension that the phones dial.

    Parameters:
        lab: the laboratory.
        out: what the server prints.
    """

    def __init__(self, lab: Lab, out: Path) -> None:
        self.lab = lab
        self.out = out
        self.caller = lab.phone(CALLER)
        self.agent = lab.phone(AGENT)

    @contextmanager
    def served(self, context: str, handler: str, imports: str, *, use_asyncio: bool = False) -> Iterator[None]:
        """The handler, and the context of the recipe's dialplan that calls it."""
        program = f"""
import logging, structlog
{imports}
from agi_monitor import serve
listen = "tcp:0:interface={self.lab.gateway}"
serve({handler}, listen, peers=["{self.lab.pbx.address}"], transcript=True, use_asyncio={use_asyncio})
"""
        with running(program, r"agi_listening.*port=(\d+)", self.out, RECIPES) as found:
            dialplan = (RECIPES / "extensions.conf").read_text()
            dialplan = re.sub(r"agi://127\.0\.0\.1:\d+", f"agi://{self.lab.gateway}:{found[1]}", dialplan)
            entry = f"[lab-tests]\nexten => {EXTENSION},1,Goto({context},s,1)\n"
            self.lab.pbx.write_dialplan("recipe", f"{entry}\n{dialplan}")
            yield

    def wait_for(self, command: str, times: int = 1) -> None:
        """Wait until the handler has sent a command so many times."""
        wait_until(
            lambda: printed(self.out).count(f"line='{command}") >= times,
            SECONDS,
            f"the server to send {command}",
            describe=self._printed,
        )

    def _printed(self) -> str:
        return printed(self.out)

    def wrong_pins(self) -> str:
        """How many are counted on the PBX; empty when none are."""
        found = re.search(r"Value: (\d+)", self.lab.pbx.cli("database get pin-gate wrong"))
        return found[1] if found else ""


@pytest.fixture
def recipe(lab: Lab, tmp_path: Path) -> Iterator[Recipe]:
    """A recipe; afterwards the dialplan and the database are as before."""
    yield Recipe(lab, tmp_path / "out")
    lab.pbx.hangup_all()
    lab.pbx.remove_dialplan("recipe")
    lab.pbx.cli("database deltree pin-gate")


def rings(phone: Phone) -> Call:
    """Wait until the phone rings, take the call, and wait until both talk."""
    return phone.answer()


def test_the_menu(recipe: Recipe) -> None:
    """A wrong key is asked again; 1 is sales."""
    with recipe.served("menu", "router", "from ivr_menu import router"):
        recipe.caller.call(EXTENSION)
        recipe.wait_for("GET OPTION")
        recipe.caller.press("9")
        recipe.wait_for('STREAM FILE "pm-invalid-option"')
        recipe.wait_for("GET OPTION", times=2)
        recipe.caller.press("1")
        rings(recipe.agent)
        wait_until(lambda: recipe.lab.pbx.bridged(CALLER, AGENT), SECONDS, "both to talk")


@pytest.mark.parametrize(
    ("moment", "there"), [("2026-11-26T10:00:00+01:00", True), ("2026-11-28T10:00:00+01:00", False)]
)
def test_business_hours(recipe: Recipe, moment: str, there: bool) -> None:
    """The agent rings when the office is open, and the caller is told when it is not."""
    handler = f'HoursGate(OFFICE, lambda: datetime.fromisoformat("{moment}"))'
    imports = "from datetime import datetime\nfrom business_hours import OFFICE, HoursGate"
    with recipe.served("office", handler, imports):
        call = recipe.caller.dial(EXTENSION)
        if there:
            rings(recipe.agent)
            wait_until(lambda: recipe.lab.pbx.bridged(CALLER, AGENT), SECONDS, "both to talk")
        else:
            recipe.caller.wait_for_state(call, "established")
            recipe.caller.wait_for_state(call, "closed")
            assert recipe.agent.all_calls == ()


def test_the_gate(recipe: Recipe) -> None:
    """A wrong PIN is counted on the PBX and leads nowhere; the right one leads on, and the count is gone."""
    record = PasswordHasher().hash(PIN)
    with recipe.served("gate", f"PinGate({record!r})", "from pin_gate import PinGate"):
        recipe.caller.call(EXTENSION)
        recipe.wait_for("GET DATA")
        recipe.caller.press("1111#")
        recipe.wait_for('STREAM FILE "vm-invalidpassword"')
        recipe.caller.hang_up()
        assert recipe.wrong_pins() == "1"
        assert recipe.agent.all_calls == ()
        recipe.caller.call(EXTENSION)
        recipe.wait_for("GET DATA", times=2)
        recipe.caller.press(f"{PIN}#")
        rings(recipe.agent)
        assert recipe.wrong_pins() == ""
    assert PIN not in printed(recipe.out)


def test_a_callback(recipe: Recipe) -> None:
    """The caller agrees, is let go, rings, and gets the agent."""
    with recipe.served("incoming", "callback", "from callback import callback"):
        first = recipe.caller.call(EXTENSION)
        recipe.wait_for("GET OPTION")
        recipe.caller.press("1")
        recipe.caller.wait_for_state(first, "closed")
        recipe.caller.answer()
        rings(recipe.agent)
        wait_until(lambda: recipe.lab.pbx.bridged(CALLER, AGENT), SECONDS, "both to talk")


def test_a_database_look_up(recipe: Recipe, tmp_path: Path) -> None:
    """The agent's phone shows the name that the database has."""
    path = tmp_path / "people.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE people (number TEXT PRIMARY KEY, name TEXT NOT NULL)")
        connection.execute("INSERT INTO people VALUES (?, 'Zoe Z')", (CALLER,))
    handler = f"CallerName({str(path)!r})"
    with recipe.served("named", handler, "from database_look_up import CallerName", use_asyncio=True):
        recipe.caller.dial(EXTENSION)
        assert recipe.agent.wait_for_incoming().peer_name == "Zoe Z"
