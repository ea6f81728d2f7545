"""The product for people: a real PBX, SIP phones, a table of who hears whom in every mode, and a rogue spy caught.

python -m contrib.lab.demo             the table; exits with 1 when it is not what it should be
python -m contrib.lab.demo --phones    leaves the PBX up, for softphones of your own
"""

from __future__ import annotations

import argparse
import ipaddress
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contrib.lab.endpoints import TONES_HZ
from contrib.lab.errors import LabError, Unclear
from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.progress import Progress
from contrib.lab.server import PINS, MonitorServer
from contrib.lab.sound import FLOOR_DBFS, HEARD_DBFS, SILENT_DBFS, Hearing

CUSTOMER, AGENT, SUPERVISOR, STRANGER = "3001", "1001", "2001", "2999"
ROLES = {CUSTOMER: "customer 3001", AGENT: "agent 1001", SUPERVISOR: "supervisor 2001"}
EXPECTED: dict[str, dict[str, set[str]]] = {
    "listen": {CUSTOMER: {AGENT}, AGENT: {CUSTOMER}, SUPERVISOR: {CUSTOMER, AGENT}},
    "whisper": {CUSTOMER: {AGENT}, AGENT: {CUSTOMER, SUPERVISOR}, SUPERVISOR: {CUSTOMER, AGENT}},
    "barge": {CUSTOMER: {AGENT, SUPERVISOR}, AGENT: {CUSTOMER, SUPERVISOR}, SUPERVISOR: {CUSTOMER, AGENT}},
}
STEPS = (("listen", "dials *2221001 and gives the PIN"), ("whisper", "presses 5"), ("barge", "presses 6"))
KEYS = {"whisper": "5", "barge": "6"}
ROGUE_CODE = "*900"
ROGUE = f"""; What many guides show: everybody who dials it hears the agent, and nobody knows.
[lab-tests]
exten => {ROGUE_CODE},1,ChanSpy(PJSIP/{AGENT},q)
 same => n,Hangup()
"""


def main() -> int:
    """Run the demonstration the command line asks for, and return the exit code."""
    options = _options()
    say = Progress()
    with tempfile.TemporaryDirectory(prefix="agi-monitor-demo-") as folder:
        try:
            return _phones(options, Path(folder), say) if options.phones else _matrix(options, Path(folder), say)
        except LabError as error:
            print(f"the demonstration did not work: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("stopped; everything that was started is removed", file=sys.stderr)
            return 130


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m contrib.lab.demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--asterisk", choices=VERSIONS, default="22", help="the version (default: 22)")
    parser.add_argument("--phones", action="store_true", help="leave the PBX up and print the SIP accounts")
    parser.add_argument("--bind", type=_address, help="an address of this host, for softphones on other machines")
    return parser.parse_args()


def _address(text: str) -> str:
    return str(ipaddress.IPv4Address(text))


@contextmanager
def _site(lab: Lab, folder: Path, say: Progress) -> Iterator[MonitorServer]:
    server = MonitorServer(lab, folder, spies={"rogue": "hang_up"})
    server.render()
    say("the dialplan and the manager account are rendered and loaded")
    with server:
        say("the server serves, and knows every call on the PBX")
        yield server


def _matrix(options: argparse.Namespace, folder: Path, say: Progress) -> int:
    say(f"starting Asterisk {options.asterisk} and four phones")
    with Lab(options.asterisk, (CUSTOMER, AGENT, SUPERVISOR, STRANGER)) as lab, _site(lab, folder, say) as server:
        version = lab.pbx.cli("core show version").split(" built")[0]
        lab.connect(CUSTOMER, AGENT)
        say("the customer calls the agent, the agent answers; each phone sends a tone of its own")
        heard: dict[str, Hearing] = {}
        for mode, action in STEPS:
            say(f"the supervisor {action}")
            mark = server.mark()
            phone = lab.phone(SUPERVISOR)
            if mode in KEYS:
                phone.press(KEYS[mode])
            else:
                phone.dial("*222" + AGENT)
                server.wait_for("pin_prompted", mark)
                phone.press(PINS[SUPERVISOR] + "#")
            server.wait_for("spy_started", mark, mode=mode)
            heard[mode] = lab.hear(1.0)
        spies = server.command("spies", "--config", str(server.config))
        lab.phone(SUPERVISOR).hang_up()
        server.wait_for_audit("spy_ended", len(STEPS))
        records = server.audit()
        say(f"an unassigned phone dials {ROGUE_CODE}, a ChanSpy that was slipped into the dialplan")
        caught = _rogue(lab, server)
    console = Console(width=None if sys.stdout.isatty() else 100)
    right = [show(console, mode, hearing) for mode, hearing in heard.items()]
    console.print(
        f"\n✓ as expected. Measured on {version}: the level of each phone's tone in what every phone was sent."
    )
    console.print(f"Heard is {HEARD_DBFS:g} dBFS and more, silent {SILENT_DBFS:g} and less; a tone is sent at -12.")
    console.print("\n[bold]agi-monitor spies[/] printed, during the barge:")
    console.print(spies, markup=False, highlight=False)
    console.print(f"The audit of this call has {len(records)} records; the first spy in it:")
    console.print_json(data=next(record for record in records if record["fact"] == "spy_started"))
    console.print("\nA rogue spy, which no grant explains:")
    console.print_json(data=caught.record)
    if caught.silent:
        console.print(f"[bold green]It was noticed and hung up; {STRANGER} no longer hears anything.[/]")
    else:
        console.print(f"[bold red]It was noticed, but {STRANGER} still hears something.[/]")
    if all(right):
        console.print("[bold green]In every mode, every phone hears exactly whom it should.[/]")
    else:
        console.print("[bold red]A phone hears what it should not, or misses what it should hear.[/]")
    return 0 if all(right) and caught.silent else 1


@dataclass(frozen=True)
class Caught:
    """A rogue spy that was caught."""

    record: dict[str, Any]
    """What the audit says of it."""
    silent: bool
    """Whether nothing more reaches its phone."""


def _rogue(lab: Lab, server: MonitorServer) -> Caught:
    lab.pbx.write_dialplan("rogue", ROGUE)
    lab.phone(STRANGER).dial(ROGUE_CODE)
    (record,) = server.wait_for_audit("rogue_spy")
    lab.phone(STRANGER).wait_until_idle()
    hearing = lab.hear()
    return Caught(record, all(_heard(hearing, STRANGER, speaker) is False for speaker in ROLES))


def show(console: Console, mode: str, hearing: Hearing) -> bool:
    """Print who hears whom in a mode, and tell whether all of it is as it should be."""
    table = Table(title=f"[bold]{mode}[/]", title_justify="left")
    table.add_column("who hears ...")
    for speaker in ROLES.values():
        table.add_column(f"... {speaker}", justify="right")
    all_right = True
    for listener, role in ROLES.items():
        cells = []
        for speaker in ROLES:
            wanted = speaker in EXPECTED[mode][listener]
            right = _heard(hearing, listener, speaker) is wanted
            all_right = all_right and right
            level = hearing.level(listener, speaker)
            sound = "no sound" if level == FLOOR_DBFS else f"{level:.1f} dB"
            expected = "heard" if wanted else "silent"
            cells.append(
                f"{sound} [green]{expected} ✓[/]" if right else f"{sound} [bold red]✗ expected {expected}[/]"
            )
        table.add_row(role, *cells)
    console.print(table)
    return all_right


def _heard(hearing: Hearing, listener: str, speaker: str) -> bool | None:
    try:
        return hearing.hears(listener, speaker)
    except Unclear:
        return None


def _phones(options: argparse.Namespace, folder: Path, say: Progress) -> int:
    busy = (CUSTOMER, AGENT)
    say(f"starting Asterisk {options.asterisk} and two phones that talk to each other")
    with Lab(options.asterisk, busy, publish=options.bind) as lab, _site(lab, folder, say) as server:
        stop = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        lab.connect(CUSTOMER, AGENT)
        console = Console(width=None if sys.stdout.isatty() else 100)
        _print_accounts(console, lab, options.bind or lab.pbx.address, options.bind)
        console.print(f"The server's log: {server.log}\nThe audit: {server.audit_file}")
        console.print("Ctrl-C ends it and removes everything.")
        try:
            while not stop.wait(1.0):
                if not lab.phone(AGENT).calls:
                    # A phone's tone lasts a quarter of an hour; the call may also have been ended.
                    lab.connect(CUSTOMER, AGENT)
        except KeyboardInterrupt:
            say("ending")
    return 0


def _print_accounts(console: Console, lab: Lab, address: str, bind: str | None) -> None:
    where = (
        "other machines reach it"
        if bind
        else "reachable from this machine only; make demo-phones BIND=address opens it"
    )
    table = Table(title=f"SIP accounts on {address}:5060, UDP ({where})", title_justify="left")
    for column in ("role", "user", "password", "try"):
        table.add_column(column, overflow="fold")
    hints = {
        "2001": f"*2221001 listen, PIN {PINS['2001']}# ; then 5 whisper, 6 barge, 4 listen, * next agent",
        "2002": f"*2221001, PIN {PINS['2002']}# ; may only listen: 5 and 6 are refused",
        "100": "an agent of your own: call it from 3002, then dial *222100 from 2001",
        "1001-mobile": "second device of agent 1001",
        "3002": "a customer: dial 100 or 1001",
        "2999": "an unassigned phone: *2221001 is refused whatever the PIN",
    }
    roles = {"2001": "supervisor", "2002": "supervisor", "2999": "stranger", "3002": "customer"}
    for name, hint in hints.items():
        table.add_row(roles.get(name, "agent"), name, lab.passwords[name], hint)
    console.print(table)
    console.print(
        f"Customer {CUSTOMER} ({TONES_HZ[CUSTOMER]} Hz) talks to agent {AGENT} ({TONES_HZ[AGENT]} Hz) all the time."
    )


if __name__ == "__main__":
    sys.exit(main())
