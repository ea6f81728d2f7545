"""How long supervisors wait from the last key of their PIN until they hear the call, on a real Asterisk.

    python benchmarks/first_sound.py [--asterisk 22]

Each number of supervisors keys the PIN at the same moment, as at the start of a shift, and listens to one call. One
alone waits for the hash of the PIN, the record, the questions to the PBX, and ChanSpy; many wait for the hashes of
the others, of which two are computed at the same time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from processes import save, tell, times_ms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from light_supervisors import Supervisor, at_their_desks, people, site_files

from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.server import PINS, SITE, MonitorServer
from contrib.lab.sip import SipCall
from contrib.lab.waiting import wait_until

AT_ONCE = (1, 20, 50)
PHONES = ("1001", "3001")
WAIT_SECONDS = 60.0


def waits(server: MonitorServer, supervisors: Sequence[Supervisor]) -> list[float]:
    """Seconds from the last key to the sound, of each."""
    mark = server.mark()
    together = threading.Barrier(len(supervisors))

    def one_call(supervisor: Supervisor) -> tuple[SipCall, float]:
        heard = supervisor.packets
        call = supervisor.caller.invite("*2221001", sound_to=supervisor.sound.getsockname()).established()
        # The prompt is sent, so Asterisk reads keys.
        wait_until(lambda: supervisor.packets > heard, WAIT_SECONDS, "the prompt for the PIN")
        together.wait(WAIT_SECONDS)
        call.press(PINS["2001"])
        together.wait(WAIT_SECONDS)
        supervisor.listen()
        pressed = time.monotonic()
        call.press("#", unread=True)
        return call, pressed

    with ThreadPoolExecutor(len(supervisors)) as hands:
        calls = list(hands.map(one_call, supervisors))
    wait_until(lambda: all(one.first_loud for one in supervisors), WAIT_SECONDS, "everybody to hear the call")
    began = len(server.events("spy_started", since=mark))
    if began != len(supervisors):
        sys.exit(f"{began} of {len(supervisors)} spies began; the others heard something else")
    for call, _ in calls:
        call.hang_up()
    return [(one.first_loud or 0.0) - pressed for one, (_, pressed) in zip(supervisors, calls, strict=True)]


def measure(version: str, repeat: int) -> list[dict[str, Any]]:
    """Each number of supervisors, this often."""
    most = max(AT_ONCE)
    rules = [{"name": "all", "allow": ["listen"], "supervisors": ["all"], "agents": ["sales"]}]
    with Lab(version, PHONES, site=site_files(most)) as lab, tempfile.TemporaryDirectory() as folder:
        server = MonitorServer(lab, Path(folder), supervisors=people(most), rules=rules, agents=SITE["agents"])
        server.render()
        with server, at_their_desks(lab, most) as supervisors:
            lab.connect("3001", "1001")
            results = []
            for count in AT_ONCE:
                found = []
                for _ in range(repeat):
                    found += waits(server, supervisors[:count])
                    lab.pbx.wait_until(lambda: len(lab.pbx.channels()) == len(PHONES), WAIT_SECONDS, "all to be gone")
                results.append({"asterisk": version, "supervisors": count, **times_ms(found)})
            return results


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--asterisk", choices=VERSIONS, default="22")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    results = measure(options.asterisk, options.repeat)
    for one in results:
        tell(
            f"Asterisk {one['asterisk']}, {one['supervisors']} at once: half hear the call within "
            f"{one['median_ms']:.0f} ms, 90 % within {one['p90_ms']:.0f} ms, all within {one['longest_ms']:.0f} ms"
        )
    save("first_sound", results)


if __name__ == "__main__":
    main()
