"""The steps of a supervisor, and what the rest of the house can see of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from contrib.lab.endpoints import endpoint_of_rtp_port
from contrib.lab.pbx import Lab
from contrib.lab.phone import Call
from contrib.lab.server import PINS, MonitorServer
from contrib.lab.sound import Hearing
from contrib.lab.waiting import wait_until

CODES = {"listen": "*222", "whisper": "*223", "barge": "*224"}
RESYNC_SECONDS = 60.0
SPIES_SECONDS = 30.0
KEYS = {"listen": "4", "whisper": "5", "barge": "6", "take_over": "7"}


def heard_in(mode: str, customer: str = "3001", agent: str = "1001", supervisor: str = "2001") -> dict[str, set[str]]:
    """Tell who hears whom while a supervisor is on a call: the whole matrix."""
    expected = {customer: {agent}, agent: {customer}, supervisor: {customer, agent}}
    if mode in ("whisper", "barge"):
        expected[agent].add(supervisor)
    if mode == "barge":
        expected[customer].add(supervisor)
    return expected


SOUND_SECONDS = 30.0
"""From the record of a spy to its sound; 0.15 s were seen."""


def moment(event: Mapping[str, Any]) -> float:
    """Tell when something was logged, in seconds since 1970."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


class House:
    """A PBX with phones and our server.

    :param lab: the PBX and the phones
    :param server: our server
    :param codes: the feature code of each mode
    """

    def __init__(self, lab: Lab, server: MonitorServer, codes: Mapping[str, str] = CODES) -> None:
        self.lab = lab
        self.server = server
        self._codes = codes
        self.is_deaf = False
        """Set by a scenario in which events do not come."""

    @property
    def generated(self) -> str:
        """The dialplan as `agi-monitor render` wrote it."""
        return (self.lab.pbx.generated / "agi-monitor.conf").read_text()

    def reconfigure(self, **changes: Any) -> None:
        """Replace sections of the configuration, tell the running server, and wait until they hold."""
        mark = self.server.mark()
        self.server.configure(**changes)
        self.server.reload()
        self.server.wait_for("reloaded", mark)

    @contextmanager
    def with_dialplan(self, name: str, text: str) -> Iterator[House]:
        """The same house with a file more in the dialplan; at the end all calls are over and the file is gone.

        Parameters:
            name: of the file.
            text: what it says.
        """
        self.lab.pbx.write_dialplan(name, text)
        yield self
        self.lab.pbx.hangup_all()
        self.lab.pbx.remove_dialplan(name)

    def restart(self, **changes: Any) -> None:
        """Stop the server, replace sections of the configuration, and start it again."""
        self.server.stop()
        self.server.configure(**changes)
        self.server.start()

    def change(self, *arguments: str) -> None:
        """Change people in the store with a command."""
        self.server.command(*arguments, "--config", str(self.server.config))

    def dial(self, number: str, supervisor: str = "2001") -> Call:
        """Dial from a supervisor's phone and wait until the server asks for the PIN."""
        mark = self.server.mark()
        call = self.lab.phone(supervisor).dial(number)
        self.server.wait_for("pin_prompted", mark)
        return call

    def give_wrong_pins(self, number: str, pin: str, times: int = 3, phone: str = "2001") -> None:
        """Dial and answer every PIN prompt with this one, until the call is refused."""
        self.dial(number, phone)
        for attempt in range(1, times + 1):
            mark = self.server.mark()
            self.lab.phone(phone).press(pin + "#")
            self.server.wait_for("pin_refused", mark, attempt=attempt)
            if attempt < times:
                self.server.wait_for("pin_prompted", mark, attempt=attempt + 1)

    def identify(self, number: str, supervisor: str = "2001") -> Call:
        """Dial and give the right PIN."""
        call = self.dial(number, supervisor)
        mark = self.server.mark()
        self.lab.phone(supervisor).press(PINS[supervisor] + "#")
        self.server.wait_for("supervisor_identified", mark)
        return call

    def identify_in_call(self, number: str, supervisor: str = "2001") -> Call:
        """The same from a phone that is in a call already, which is put on hold."""
        phone = self.lab.phone(supervisor)
        phone.hold()
        return self.identify(number, supervisor)

    def spy(self, mode: str = "listen", extension: str = "1001", supervisor: str = "2001") -> Call:
        """Dial, give the right PIN and wait until the supervisor is sent what is heard."""
        mark = self.server.mark()
        call = self.identify(self._codes[mode] + extension, supervisor)
        self.wait_for_sound(mark, mode, supervisor)
        return call

    def wait_for_sound(self, mark: int, mode: str | None = "listen", supervisor: str = "2001") -> None:
        """Wait until a spy has begun, in any mode where none is named, and until the supervisor is sent sound."""
        fields: dict[str, Any] = {} if mode is None else {"mode": mode}
        began = moment(self.server.wait_for("spy_started", mark, **fields))
        # The record comes first; ChanSpy needs some 150 ms more, and a call that ends meanwhile was never heard.
        wait_until(lambda: self._is_sent_sound(supervisor, began), SOUND_SECONDS, f"{supervisor} to be sent sound")

    def _is_sent_sound(self, phone: str, since: float) -> bool:
        packets = self.lab.capture.packets_since(since)
        return any(endpoint_of_rtp_port(packet.destination_port) == phone for packet in packets)

    def change_mode(self, mode: str, supervisor: str = "2001") -> None:
        """Press the key of a mode and wait until it has begun."""
        mark = self.server.mark()
        self.lab.phone(supervisor).press(KEYS[mode])
        self.server.wait_for("spy_started", mark, mode=mode)

    def refused(self, number: str, reason: str, supervisor: str = "2001") -> dict[str, Any]:
        """Dial, give the right PIN, and wait for the refusal. Returns its record in the audit."""
        mark = self.server.mark()
        call = self.identify(number, supervisor)
        record = self.wait_for_refusal(reason, mark)
        self.lab.phone(supervisor).hang_up(call)
        return record

    def wait_for_refusal(self, reason: str, mark: int = 0) -> dict[str, Any]:
        """Wait until a refusal with this reason is on record, and return it."""
        self.server.wait_for("refused", mark, reason=reason)
        found = [record for record in self.server.audit("refused") if record["reason"] == reason]
        return found[-1]

    def hears(self, expected: dict[str, set[str]]) -> Hearing:
        """Wait until exactly these listeners hear exactly these speakers, and every other phone nothing."""
        return self.lab.wait_for_hearing(expected)

    def ami(self, **changes: Any) -> dict[str, Any]:
        """Return the section `ami` with other values."""
        return {"host": self.lab.pbx.address, "secret": self.lab.manager_secrets["monitor"], **changes}

    def resync(self) -> None:
        """Let the server hold its picture against the lists of the PBX, from this moment on."""
        mark = self.server.mark()
        self.lab.pbx.cli("module reload cdr")  # of which the PBX tells its clients
        self.server.wait_for("index_listed", mark, RESYNC_SECONDS)

    def asks(self, command: str) -> Any:
        """Ask the running server for `status`, `calls` or `spies`."""
        return json.loads(self.server.command(command, "--json", "--config", str(self.server.config)))

    def wait_for_spies(self, count: int) -> list[dict[str, Any]]:
        """Wait until the server lists this number of spies, and return them: it knows them once the PBX tells."""
        found: list[list[dict[str, Any]]] = []

        def look() -> bool:
            found[:] = [self.asks("spies")["spies"]]
            return len(found[0]) == count

        wait_until(look, SPIES_SECONDS, f"{count} spies", interval=0.1, describe=lambda: str(found[0]))
        return found[0]

    def kill(self, spy: str) -> None:
        """End a spy with `agi-monitor spy kill`."""
        self.server.command("spy", "kill", spy, "--config", str(self.server.config))

    def save_evidence(self, folder: Path) -> None:
        """Copy what the server leaves for a post-mortem: its log, its audit, and what it said to Asterisk."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in (self.server.log, self.server.audit_file):
            if path.exists():
                shutil.copy(path, folder)
        (folder / "agi-transcript.txt").write_text(self.server.transcript())

    def assert_no_alarm(self) -> None:
        """Nobody was taken for a rogue spy."""
        assert not self.server.events("rogue_spy")
        assert not self.server.audit("rogue_spy")

    def assert_index_is_true(self) -> None:
        """Whatever happened: no list found the live picture wrong, and neither does one of this moment."""
        of_the_picture = ("serving", "pbx_synced", "pbx_lost")  # a server that was started again has none at first
        heard = [line["event"] for line in self.server.lines() if line.get("event") in of_the_picture]
        if self.server.is_running and heard[-1:] == ["pbx_synced"]:
            self.resync()
        if not self.is_deaf:
            assert not self.server.events("index_difference")

    def assert_no_pin_anywhere(self) -> None:
        """No PIN stands in our log, audit or state, nor in the log of the PBX."""
        texts = {path: path.read_text(errors="replace") for path in self.server.folder.rglob("*") if path.is_file()}
        texts[self.lab.pbx.log] = self.lab.pbx.log_since(0)
        for path, text in texts.items():
            for phone, pin in PINS.items():
                assert pin not in text, f"the PIN of {phone} stands in {path.name}"
