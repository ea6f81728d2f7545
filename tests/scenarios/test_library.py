"""The library on a real PBX: one handler over FastAGI, AsyncAGI, AGI and EAGI, and a pyst2 script as it is."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from asterisk.manager import ManagerAuthException

from agi_monitor import BlockingManager
from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.pbx import Lab
from contrib.lab.waiting import wait_until
from tests.scenarios.programs import CHECKOUT, SECONDS, printed, running

EXTENSION = "7995"
PHONE = "2001"
SECRET = "for-asynchronous-agi"
ACCOUNT = f"[asyncagi]\nsecret = {SECRET}\nread = agi,system\nwrite = agi\n"
MANAGER_ACCOUNT = f"[pyst2]\nsecret = {SECRET}\nread = call,system\nwrite = call,command,originate,system\n"
LOUD = 1_000
"""Of 32,767: a phone speaks far above it, and silence is far below."""

CALLS = """
import json
from agi_monitor import CallEnded, Session

def note(**what):
    with open("notes", "a") as file:
        print(json.dumps(what), file=file)

async def talk(session: Session) -> None:
    try:
        await session.answer()
        note(at="answered", channel=session.request.channel)
        if session.audio is not None:
            session.audio.discard()
            heard = await session.audio.read(8000)
            note(at="heard", samples=heard.hex())
        note(at="asks")
        keyed = await session.get_data("silence/1", timeout=10, max_digits=6)
        await session.set_variable("KEYED", 'as "keyed": ' + keyed.digits)
        note(at="keyed", digits=keyed.digits, timed_out=keyed.timed_out, value=await session.get_variable("KEYED"))
        await session.execute("Wait", "60")
        note(at="never")
    except CallEnded:
        note(at="ended", why=session.ended)
        raise
"""

BLOCKING = """
import json, sys, time
from asterisk.agi import AGI, AGIHangup

def note(**what):
    with open("notes", "a") as file:
        print(json.dumps(what), file=file)

agi = AGI()
agi.answer()
note(at="answered", channel=agi.env["agi_channel"])
note(at="asks")
digits = agi.get_data("silence/1", 10000, 6)
agi.set_variable("KEYED", 'as "keyed": ' + digits)
note(at="keyed", digits=digits, timed_out=False, value=agi.get_variable("KEYED"))
try:
    while True:
        time.sleep(0.01)
except AGIHangup as error:
    agi.verbose("cleaned up")
    note(at="ended", why="hangup")
"""


class Notes:
    """A program of a user, and what its handler wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "notes").touch()
        (folder / "out").touch()

    @property
    def out(self) -> str:
        """What it printed."""
        return printed(self.folder / "out")

    def wait_for(self, at: str) -> dict[str, Any]:
        """What it noted there."""

        def look() -> list[dict[str, Any]]:
            lines = (self.folder / "notes").read_text().splitlines()
            return [note for note in map(json.loads, lines) if note["at"] == at]

        return wait_until(look, SECONDS, f"a note at {at}", describe=lambda: self.out)[0]

    @contextmanager
    def running(self, program: str, until: str) -> Iterator[re.Match[str]]:
        """The program in a process of its own, from the moment it prints something."""
        (self.folder / "calls.py").write_text(CALLS)
        (self.folder / "old.py").write_text(BLOCKING)
        with running(program, until, self.folder / "out", self.folder) as found:
            yield found


@pytest.fixture
def notes(lab: Lab, tmp_path: Path) -> Iterator[Notes]:
    """A folder for a program; afterwards the dialplan is as before."""
    yield Notes(tmp_path)
    lab.pbx.hangup_all()
    lab.pbx.remove_dialplan("library")


def dialled(lab: Lab, application: str) -> None:
    """Let the extension run this."""
    lab.pbx.write_dialplan("library", f"[lab-tests]\nexten => {EXTENSION},1,{application}\n same => n,Hangup()\n")


QUOTED = 'as "keyed": 8305'
AS_PYST2 = "as keyed: 8305"
"""The same value as pyst2 writes it: Asterisk takes the quotes for its own."""


def a_call(lab: Lab, notes: Notes, kept: str = QUOTED) -> None:
    """A call from the first to the last word: the handler is given digits, and told of the hang-up.

    :param lab: where
    :param notes: what the handler says
    :param kept: what is left of the quotes of a variable
    """
    phone = lab.phone(PHONE)
    phone.dial(EXTENSION)
    assert notes.wait_for("answered")["channel"].startswith(f"PJSIP/{PHONE}-")
    notes.wait_for("asks")
    phone.press("8305#")
    keyed = notes.wait_for("keyed")
    assert (keyed["digits"], keyed["timed_out"], keyed["value"]) == ("8305", False, kept)
    phone.hang_up()
    assert notes.wait_for("ended")["why"] == "hangup"


def test_over_fastagi(lab: Lab, notes: Notes) -> None:
    """``serve``, reached by AGI(agi://...)."""
    program = f"""
from agi_monitor import serve
from calls import talk
serve(talk, "tcp:0:interface={lab.gateway}", peers=["{lab.pbx.address}"])
"""
    with notes.running(program, r"agi_listening.*port=(\d+)") as found:
        dialled(lab, f"AGI(agi://{lab.gateway}:{found[1]})")
        a_call(lab, notes)


def test_over_asyncagi(lab: Lab, notes: Notes) -> None:
    """``AsyncAgiService``, reached by AGI(agi:async) over the manager interface."""
    program = f"""
from twisted.internet import reactor
from agi_monitor import Account, AsyncAgiService
from calls import talk
account = Account("asyncagi", "{SECRET}")
service = AsyncAgiService(talk, "tcp:{lab.pbx.address}:{MANAGER_PORT}", account, stop_seconds=1)
service.startService()
reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
reactor.run()
"""
    with lab.pbx.manager_accounts(ACCOUNT), notes.running(program, "ami_up"):
        dialled(lab, "AGI(agi:async)")
        a_call(lab, notes)


@pytest.mark.either_version
def test_a_pyst2_script_as_it_is(lab: Lab, notes: Notes) -> None:
    """``blocking_script``: the hang-up interrupts it outside any command."""
    program = f"""
from agi_monitor import blocking_script, serve
serve(blocking_script("old.py"), "tcp:0:interface={lab.gateway}", peers=["{lab.pbx.address}"])
"""
    with notes.running(program, r"agi_listening.*port=(\d+)") as found:
        dialled(lab, f"AGI(agi://{lab.gateway}:{found[1]})")
        a_call(lab, notes, AS_PYST2)


# The PBX's container has no Python: what stands there carries the script's descriptors, and its signal, to this host.
RELAY = """\
#!/bin/bash
exec 9<>/dev/tcp/{host}/{port}
trap 'true >/dev/tcp/{host}/{hangup}' HUP
if [ "$1" = eagi ]; then cat <&3 >/dev/tcp/{host}/{sound} & fi
cat <&9 &
ours=$!
cat <&0 >&9 &
while kill -0 $ours 2>/dev/null; do wait $ours; done
kill $(jobs -p) 2>/dev/null
"""
SCRIPT = "from agi_monitor import run_agi\nfrom calls import talk\nrun_agi(talk)\n"


class Started:
    """Starts the script of a call on this host, with the descriptors that Asterisk gave to its relay."""

    def __init__(self, lab: Lab, notes: Notes, eagi: bool) -> None:
        self._stack = ExitStack()
        self._lab = lab
        self._notes = notes
        self._eagi = eagi
        self.exit_code: int | None = None

    def __enter__(self) -> Started:
        (self._notes.folder / "calls.py").write_text(CALLS)
        listeners = {}
        for name in ("port", "hangup", "sound"):
            listeners[name] = self._stack.enter_context(socket.create_server((self._lab.gateway, 0)))
            listeners[name].settimeout(SECONDS * 3)
        ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}
        relay = self._lab.pbx.generated / "relay.sh"
        relay.write_text(RELAY.format(host=self._lab.gateway, **ports))
        relay.chmod(0o755)
        self._stack.callback(relay.unlink)
        self._thread = threading.Thread(target=self._serve, args=(listeners,), daemon=True)
        self._thread.start()
        return self

    def _serve(self, listeners: dict[str, socket.socket]) -> None:
        with ExitStack() as stack:
            line = stack.enter_context(listeners["port"].accept()[0])
            command = [sys.executable, "-c", SCRIPT]
            kept: tuple[int, ...] = ()
            if self._eagi:
                sound = stack.enter_context(listeners["sound"].accept()[0])
                kept = (sound.fileno(),)
                command = ["bash", "-c", f'exec "$0" "$@" 3<&{sound.fileno()}', *command]
            process = subprocess.Popen(
                command,
                cwd=self._notes.folder,
                env={**os.environ, "PYTHONPATH": f"{self._notes.folder}{os.pathsep}{CHECKOUT}"},
                stdin=line.fileno(),
                stdout=line.fileno(),
                stderr=stack.enter_context((self._notes.folder / "out").open("a")),
                pass_fds=kept,
            )
        try:
            listeners["hangup"].accept()[0].close()
            process.send_signal(signal.SIGHUP)
            self.exit_code = process.wait(SECONDS)
        except TimeoutError:
            return  # nobody has hung up; the test says why
        finally:
            process.kill()
            process.wait()

    def wait(self) -> int | None:
        """The exit code of the script."""
        self._thread.join(SECONDS)
        return self.exit_code

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def test_over_standard_input_and_output(lab: Lab, notes: Notes) -> None:
    """``run_agi``, started by AGI(script): the hang-up comes as SIGHUP."""
    with Started(lab, notes, eagi=False) as script:
        dialled(lab, "AGI(/etc/asterisk/agi-monitor/relay.sh)")
        a_call(lab, notes)
        assert script.wait() == 0
    assert "Traceback" not in notes.out


def test_over_eagi_with_the_caller_s_sound(lab: Lab, notes: Notes) -> None:
    """``run_agi``, started by EAGI(script): what the phone says arrives as well."""
    with Started(lab, notes, eagi=True) as script:
        # The sound begins with the answer; Asterisk does not wait for anybody who reads it.
        dialled(lab, "Answer()\n same => n,EAGI(/etc/asterisk/agi-monitor/relay.sh,eagi)")
        a_call(lab, notes)
        samples = array("h", bytes.fromhex(notes.wait_for("heard")["samples"]))
        assert len(samples) == 4_000
        assert max(map(abs, samples)) > LOUD
        assert script.wait() == 0
    assert "Traceback" not in notes.out


@pytest.mark.either_version
def test_a_manager_script_of_pyst2(lab: Lab, notes: Notes) -> None:
    """``BlockingManager``: it calls a phone, hears of it, asks the console and the database, and logs off."""
    dialled(lab, "Wait(60)")
    heard = SimpleQueue[tuple[str, str]]()
    with lab.pbx.manager_accounts(MANAGER_ACCOUNT):
        manager = BlockingManager()
        manager.connect(lab.pbx.address)
        with pytest.raises(ManagerAuthException):
            manager.login("pyst2", "no secret of anybody")
        manager.close()
        manager.connect(lab.pbx.address)
        manager.register_event("Newchannel", lambda event, manager: heard.put(("new", event["Channel"])))
        manager.register_event("Hangup", lambda event, manager: heard.put(("gone", event["Channel"])))
        manager.login("pyst2", SECRET)
        assert manager.ping()["Ping"] == "Pong"
        asked = manager.originate(f"PJSIP/{PHONE}", EXTENSION, "lab-tests", "1", run_async=True)
        assert asked["Response"] == "Success"
        channel = heard.get(timeout=SECONDS)[1]
        assert channel.startswith(f"PJSIP/{PHONE}-")
        lab.phone(PHONE).answer()
        assert f"PJSIP/{PHONE}-" in manager.command("core show channels concise").data
        assert manager.hangup(channel)["Response"] == "Success"
        assert heard.get(timeout=SECONDS) == ("gone", channel)
        assert manager.dbput("library", "key", 'a "value"')["Response"] == "Success"
        assert 'a "value"' in manager.command("database get library key").data
        assert manager.dbdel("library", "key")["Response"] == "Success"
        assert manager.hangup(channel)["Message"] == "No such channel"
        manager.close()
    assert not manager.connected()
