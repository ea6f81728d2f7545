"""The recipes of contrib/examples on a real PBX, each with its own dialplan and its own server."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
QUEUE = "500"
PIN = "407196"
SECRET = "of-a-recipe-for-one-call"


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
    def served(
        self, context: str, handler: str, imports: str, *, extension: str = "s", use_asyncio: bool = False
    ) -> Iterator[None]:
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
            entry = f"[lab-tests]\nexten => {EXTENSION},1,Goto({context},{extension},1)\n"
            self.lab.pbx.write_dialplan("recipe", f"{entry}\n{dialplan}")
            yield

    @contextmanager
    def run(self, name: str, *arguments: str, ends_with: int = 0, **environment: str) -> Iterator[None]:
        """A recipe that is a program with a manager connection, from its login on, with its own account."""
        accounts = re.sub(r"(?m)^(deny|permit) = .*\n", "", (RECIPES / "manager.conf").read_text())
        accounts = re.sub(r"(?m)^secret = .*$", f"secret = {SECRET}", accounts)
        program = f"import runpy, sys; sys.argv = {[name, self.lab.pbx.address, *arguments]!r}\n"
        program += "runpy.run_path(sys.argv[0], run_name='__main__')"
        self.lab.pbx.write_dialplan("recipe", (RECIPES / "extensions.conf").read_text())
        with (
            self.lab.pbx.manager_accounts(accounts),
            running(program, "ami_up", self.out, RECIPES, ends_with=ends_with, **environment),
        ):
            yield

    def wait_for(self, command: str, times: int = 1) -> None:
        """Wait until the handler has sent a command this number of times."""
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
    lab.pbx.cli("database deltree night-service")
    lab.pbx.cli("devstate change Custom:messages-1001 NOT_INUSE")


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


def test_a_message(recipe: Recipe) -> None:
    """One is kept by a key, one by hanging up, one is taken back; the lamp is lit."""
    pbx = recipe.lab.pbx
    folder = pbx.log.parent / "spoken"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    handler = f'Recorder(Path({str(folder)!r}), Path("/var/log/asterisk/spoken"))'
    imports = "from pathlib import Path\nfrom recorder import Recorder"

    def speak() -> None:
        recipe.caller.call(EXTENSION)
        wait_until(
            lambda: any(path.stat().st_size > 20_000 for path in folder.glob("*.wav")),
            SECONDS,
            "a second to be spoken",
        )

    def kept() -> list[Path]:
        return sorted((folder / AGENT).glob(f"*-{CALLER}-*.wav"))

    with recipe.served("messages", handler, imports, extension=AGENT):
        speak()
        recipe.caller.press("#", during="RECORD FILE")
        recipe.caller.press("*", during="STREAM FILE")
        recipe.wait_for('STREAM FILE "vm-deleted"')
        recipe.caller.wait_until_idle()
        assert list(folder.rglob("*.wav")) == []
        speak()
        recipe.caller.press("#", during="RECORD FILE")
        recipe.caller.press("1", during="STREAM FILE")
        recipe.wait_for('STREAM FILE "vm-msgsaved"')
        recipe.caller.wait_until_idle()
        assert len(kept()) == 1
        lamp = re.search(rf"{AGENT}@messages\s.*?State:(\S+)", pbx.cli("core show hints"))
        assert lamp is not None
        assert lamp[1] == "InUse"
        speak()
        recipe.caller.hang_up()
        wait_until(lambda: len(kept()) == 2, SECONDS, "the second message to be kept")
        assert list(folder.glob("*.wav")) == []


def test_dial_by_name(recipe: Recipe) -> None:
    """A name that no one has is told; Anna's is spelled, and 1 calls her."""
    handler = f'DialByName((Person("{AGENT}", "Anna Bauer"),))'
    with recipe.served("directory", handler, "from dial_by_name import DialByName, Person"):
        recipe.caller.call(EXTENSION)
        recipe.wait_for("GET DATA")
        recipe.caller.press("999")
        recipe.wait_for("GET DATA", times=2)
        recipe.caller.press("266")
        recipe.caller.press("1", during="SAY ALPHA")
        rings(recipe.agent)
        wait_until(lambda: recipe.lab.pbx.bridged(CALLER, AGENT), SECONDS, "both to talk")


def test_the_queue_log(recipe: Recipe, tmp_path: Path) -> None:
    """A call that was answered and one that was given up are in the database."""
    path = tmp_path / "calls.db"

    def visits() -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT queue, caller, agent, outcome FROM visit ORDER BY id").fetchall()
        return [tuple(row) for row in rows]

    def wait_for_outcome(outcome: str) -> None:
        wait_until(lambda: visits() and visits()[-1][-1] == outcome, SECONDS, f"{outcome} to be written")

    with recipe.run("queue_log.py", str(path), ends_with=-signal.SIGTERM, QUEUE_LOG_SECRET=SECRET):
        recipe.caller.call(QUEUE)
        rings(recipe.agent)
        wait_for_outcome("talking")
        recipe.caller.hang_up()
        wait_for_outcome("answered")
        recipe.agent.wait_until_idle()
        recipe.caller.call(QUEUE)
        recipe.agent.wait_for_incoming()
        wait_for_outcome("waiting")
        recipe.caller.hang_up()
        wait_for_outcome("abandoned")
    member = f"Local/{AGENT}@agents/n"
    assert visits() == [(QUEUE, CALLER, member, "answered"), (QUEUE, CALLER, None, "abandoned")]


def test_click_to_call(recipe: Recipe, tmp_path: Path) -> None:
    """The agent's phone rings, then the other one; without the token none does."""
    path = tmp_path / "listens"

    def post(token: str) -> tuple[int, object]:
        with closing(http.client.HTTPConnection("office")) as page:
            page.sock = socket.socket(socket.AF_UNIX)
            page.sock.connect(str(path))
            wanted = json.dumps({"phone": AGENT, "number": CALLER})
            page.request("POST", "/", wanted, {"Authorization": f"Bearer {token}"})
            answer = page.getresponse()
            return answer.status, json.load(answer)

    with (
        recipe.run("click_to_call.py", f"unix:{path}", CLICK_TO_CALL_SECRET=SECRET, CLICK_TO_CALL_TOKEN=PIN),
        ThreadPoolExecutor(1) as thread,
    ):
        wait_until(path.exists, SECONDS, "the page to be there")
        assert post("another")[0] == 401
        asked = thread.submit(post, PIN)
        wait_until(lambda: asked.done() or recipe.agent.calls, SECONDS, "the agent's phone to ring")
        assert not asked.done(), asked.result()
        recipe.agent.answer()
        rings(recipe.caller)
        assert asked.result(SECONDS) == (200, {"outcome": "answered"})
        wait_until(lambda: recipe.lab.pbx.bridged(CALLER, AGENT), SECONDS, "both to talk")


def test_a_feature_code(recipe: Recipe, tmp_path: Path) -> None:
    """The PIN switches over. A phone that guesses is locked out, and the PIN is in no log."""
    pbx = recipe.lab.pbx
    mark = pbx.log_mark()
    path, record = tmp_path / "pins.db", PasswordHasher().hash(PIN)
    handler = f"NightService(PinCheck(Path({str(path)!r}), wrong_in_a_row=2), {record!r})"
    imports = "from pathlib import Path\nfrom agi_monitor import PinCheck\nfrom feature_code import NightService"

    def switched() -> bool:
        return "Value: yes" in pbx.cli("database get night-service on")

    with recipe.served("night-service", handler, imports, extension="*28"):
        recipe.caller.call(EXTENSION)
        recipe.caller.press("1111#")
        recipe.wait_for('STREAM FILE "vm-invalidpassword"')
        recipe.wait_for("GET DATA", times=2)
        recipe.caller.press(f"{PIN}#")
        recipe.wait_for('STREAM FILE "activated"')
        recipe.caller.wait_until_idle()
        assert switched()
        recipe.caller.call(EXTENSION)
        for times, keys in enumerate(("1111#", "2222#", f"{PIN}#"), 1):
            recipe.wait_for("GET DATA", times=2 + times)
            recipe.caller.press(keys)
            recipe.wait_for('STREAM FILE "vm-invalidpassword"', times=1 + times)
        recipe.caller.wait_until_idle()
        assert switched()
    assert PIN not in printed(recipe.out)
    assert PIN not in pbx.log_since(mark)
