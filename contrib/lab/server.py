"""The product under test, as a site runs it: its configuration, its dialplan in the PBX, its server process.

Everything goes through the command `agi-monitor` and through files, nothing through imports: what a supervisor
meets here is what one meets on a real site.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from contrib.lab.errors import LabError
from contrib.lab.pbx import Lab
from contrib.lab.program import Program, Running, Started
from contrib.lab.waiting import wait_until

PORT = 4573
START_SECONDS = 60.0
STOP_SECONDS = 30.0
EVENT_SECONDS = 40.0

PINS: Mapping[str, str] = {"2001": "8305917", "2002": "6194038", "2003": "7420586"}
"""The supervisors' PINs by phone: long enough not to turn up anywhere else."""

ANOTHER_CLOCK = """\
import pathlib, sys, time
ahead, right = pathlib.Path(sys.argv.pop(1)), time.time
time.time = lambda: right() + float(ahead.read_text())
from agi_monitor.commands.main import main
main()
"""
"""`agi-monitor` with a time of day of its own; whatever asks for the time is told the wrong one."""

SITE: Mapping[str, Any] = {
    "supervisors": {
        "anna": {"name": "Anna", "endpoints": ["PJSIP/2001"], "groups": ["leads"]},
        "bob": {"name": "Bob", "endpoints": ["PJSIP/2002"], "groups": ["listeners"]},
        "carla": {"name": "Carla", "endpoints": ["PJSIP/2003"], "groups": ["leads"]},
    },
    "agents": {
        "100": {"endpoints": ["PJSIP/100"], "groups": ["sales"]},
        "1001": {"name": "Ben", "groups": ["sales"]},
        "1002": {"endpoints": ["PJSIP/1002"], "groups": ["sales", "protected"]},
        "2001": {"endpoints": ["PJSIP/2001"], "groups": ["sales"]},
    },
    "rules": [
        {
            "name": "leads-on-sales",
            "allow": ["listen", "whisper", "barge", "take_over"],
            "supervisors": ["leads"],
            "agents": ["sales"],
        },
        {"name": "listeners-on-sales", "allow": ["listen"], "supervisors": ["listeners"], "agents": ["sales"]},
        {
            "name": "protected",
            "deny": ["listen", "whisper", "barge", "take_over"],
            "supervisors": ["all"],
            "agents": ["protected"],
        },
    ],
    "dialplan": {"hint_context": "hints"},
    "log": {"level": "debug", "format": "json"},
}
"""1001 has no endpoints: its devices are found by its hint, the desk phone and the mobile."""


class MonitorServer:
    """`agi-monitor serve` for one laboratory.

    :param lab: whose PBX it serves
    :param folder: for its configuration, state, audit and log
    :param changes: sections that replace those of `SITE`
    """

    program: Program = Started()
    """How `agi-monitor` is started; the scenarios fork it where the start is not what they are about."""

    def __init__(self, lab: Lab, folder: Path, **changes: Any) -> None:
        self._lab = lab
        self.folder = folder
        self.config = folder / "agi-monitor.yaml"
        self.log = folder / "server.log"
        self.audit_file = folder / "audit" / "audit.jsonl"
        self.clock_ahead: Path | None = None
        """A file with the seconds that the server's time of day is ahead of ours, from its next start on."""
        self._process: Running | None = None
        for part in ("audit", "state"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        self.configure(**changes)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_running:
            self.kill()

    # Configuration

    def configure(self, **changes: Any) -> None:
        """Write the configuration: `SITE` with whole sections replaced. It takes effect at start or reload.

        A section that is None is left out: `ami=None` is a server without the manager interface.
        """
        ami = {"host": self._lab.pbx.address, "secret": self._lab.manager_secrets["monitor"]}
        site: dict[str, Any] = {"ami": ami, **copy.deepcopy(dict(SITE)), **changes}
        site = {name: section for name, section in site.items() if section is not None}
        reached = {"listen": self._lab.gateway, "port": PORT, "peers": [self._lab.pbx.address]}
        site["fastagi"] = {**reached, **site.get("fastagi", {})}
        site.setdefault("audit", {"file": str(self.audit_file)})
        site.setdefault("state", {"directory": str(self.folder / "state")})
        with_pins(site)
        # PIN records stand in it.
        self.config.touch(mode=0o600)
        self.config.write_text(json.dumps(site, indent=1))

    def render(self) -> str:
        """Write dialplan and manager account into the PBX with `agi-monitor render` and load them."""
        said = self.command("render", "--config", str(self.config), "--out", str(self._lab.pbx.generated))
        self._lab.pbx.reload_dialplan()
        self._lab.pbx.reload_manager()
        return said

    def reload(self) -> None:
        """Tell the running server to read its configuration again, with `agi-monitor reload`."""
        self.command("reload", "--config", str(self.config))

    def command(self, *arguments: str) -> str:
        """Run `agi-monitor` and return what it prints.

        :raises LabError: it failed
        """
        done = self.program.run(*arguments)
        if done.code != 0:
            raise LabError(f"agi-monitor {arguments[0]} ended with {done.code}: {done.complaint.strip()}")
        return done.output

    # Process

    def serving(self) -> Program:
        """How the server itself is started."""
        return self.program if self.clock_ahead is None else with_clock(self.clock_ahead)

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, synced: bool = True) -> None:
        """Start the server and wait until it serves, and knows all calls where it has the manager interface.

        :param synced: False where the manager interface is not to be waited for
        :raises LabError: it ended instead
        """
        mark = self.mark()
        events = ["serving", "pbx_synced"] if synced and "ami" in json.loads(self.config.read_text()) else ["serving"]
        self._process = self.serving().start("serve", "--config", str(self.config), log=self.log)
        wait_until(
            lambda: not self.is_running or all(self.events(event, since=mark) for event in events),
            START_SECONDS,
            "the server to serve",
            describe=self._log_tail,
        )
        if not self.is_running:
            raise LabError(f"the server did not start\n{self._log_tail()}")

    def kill(self) -> None:
        """End the process at once (SIGKILL), as a crash would."""
        process = self._started()
        process.kill()
        process.wait(STOP_SECONDS)

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """End the process politely (SIGTERM) and return its exit code."""
        process = self._started()
        process.terminate()
        return process.wait(timeout)

    def _started(self) -> Running:
        if self._process is None:
            raise LabError("the server was never started")
        return self._process

    # What it says

    def mark(self) -> int:
        """Remember the end of the log, for `events` and `wait_for`."""
        return self.log.stat().st_size if self.log.exists() else 0

    def events(self, event: str, since: int = 0, **keys: object) -> list[dict[str, Any]]:
        """List log events of this name with these keys."""
        return [
            line
            for line in self.lines(since)
            if line.get("event") == event and all(line.get(name) == value for name, value in keys.items())
        ]

    def wait_for(self, event: str, since: int = 0, timeout: float = EVENT_SECONDS, **keys: object) -> dict[str, Any]:
        """Wait until the log has an event of this name with these keys, and return the first."""
        found = wait_until(
            lambda: self.events(event, since, **keys),
            timeout,
            f"the server to log {event} {keys or ''}",
            describe=self._log_tail,
        )
        return found[0]

    def audit(self, fact: str | None = None) -> list[dict[str, Any]]:
        """Read the audit, all of it or one kind of fact. Its checkpoints are left out."""
        if not self.audit_file.exists():
            return []
        records = [json.loads(line) for line in self.audit_file.read_text().splitlines()]
        return [
            record
            for record in records
            if record["fact"] == fact or (fact is None and record["fact"] != "checkpoint")
        ]

    def wait_for_audit(self, fact: str, count: int = 1, timeout: float = EVENT_SECONDS) -> list[dict[str, Any]]:
        """Wait until the audit holds this number of facts of a kind, and return them."""
        return (
            wait_until(
                lambda: records if len(records := self.audit(fact)) >= count else None,
                timeout,
                f"{count} records {fact} in the audit",
                describe=lambda: f"it holds {[record['fact'] for record in self.audit()]}\n{self._log_tail()}",
            )
            or []
        )

    def transcript(self) -> str:
        """Return the AGI conversation as the server logged it; keyed digits are not in it."""
        lines = [line for line in self.lines() if str(line.get("event", "")).startswith("agi_")]
        return "".join(
            f"{line['timestamp']} {line.get('session', '')} {line['event']} {line.get('line', line.get('reply'))}\n"
            for line in lines
        )

    def lines(self, since: int = 0) -> list[dict[str, Any]]:
        """Read the log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(since)
            complete = file.read().rpartition(b"\n")[0]
        found = []
        for line in complete.decode(errors="replace").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"event": "not_json", "line": line})
        return found

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return f"the end of {self.log}:\n" + "\n".join(lines[-25:])


def with_pins(site: Mapping[str, Any]) -> None:
    """Give every supervisor of a site the record of their PIN."""
    for supervisor in site.get("supervisors", {}).values():
        if "pin" not in supervisor:
            supervisor["pin"] = pin_record(supervisor["endpoints"][0].removeprefix("PJSIP/"))


_records: dict[str, str] = {}


def pin_record(phone: str) -> str:
    """Return the record of a supervisor's PIN, made by `agi-monitor pin`."""
    if phone not in _records:
        done = MonitorServer.program.run("pin", given=PINS[phone])
        if done.code != 0:
            raise LabError(f"agi-monitor pin ended with {done.code}: {done.complaint.strip()}")
        _records[phone] = done.output.strip()
    return _records[phone]


def with_clock(ahead: Path) -> Program:
    """Start `agi-monitor` with a time of day of its own.

    :param ahead: a file with the seconds that it is ahead of ours
    """
    program = Started()
    program.command = (sys.executable, "-c", ANOTHER_CLOCK, str(ahead))
    return program
