"""How long a waiting supervisor waits from the agent's answer until they hear the call, on a real Asterisk.

    python benchmarks/waiting.py [--asterisk 22] [--calls 20]

The greeting is what a supervisor waits for, so the time counts from the moment at which the agent's phone was told to
answer: it holds the signalling of that phone, the next look of the server, which comes five times a second, the
record, the questions to the PBX, and ChanSpy.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import save, tell, times_ms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from light_supervisors import Supervisor, at_their_desks, people, site_files

from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.server import PINS, SITE, MonitorServer
from contrib.lab.waiting import wait_until

PHONES = ("1001", "3001")
WAIT_SECONDS = 60.0


def wait(lab: Lab, server: MonitorServer, supervisor: Supervisor) -> float:
    """Seconds from the answer to the sound, of one call."""
    mark = server.mark()
    call = supervisor.caller.invite("*2221001", sound_to=supervisor.sound.getsockname()).established()
    call.press(PINS["2001"] + "#")
    server.wait_for("waiting", mark)
    # The words are over when the server waits for a key.
    wait_until(
        lambda: [one for one in server.events("agi_sent", mark) if one["line"].startswith("WAIT FOR DIGIT")],
        WAIT_SECONDS,
        "the words to be over",
    )
    customer, agent = lab.phone("3001"), lab.phone("1001")
    customer.dial("1001")
    agent.wait_for_incoming()
    supervisor.listen()
    answered = time.monotonic()
    agent.answer()
    wait_until(lambda: supervisor.first_loud, WAIT_SECONDS, "the supervisor to hear the call")
    customer.hang_up()
    call.hang_up()
    lab.pbx.wait_until(lambda: not lab.pbx.channels(), WAIT_SECONDS, "all to be gone")
    return (supervisor.first_loud or 0.0) - answered


def measure(version: str, calls: int) -> dict[str, Any]:
    """This many calls, one after the other."""
    rules = [{"name": "all", "allow": ["listen"], "supervisors": ["all"], "agents": ["sales"]}]
    with Lab(version, PHONES, site=site_files(1)) as lab, tempfile.TemporaryDirectory() as folder:
        waiting = {"reasons": ["no_call", "ringing"]}
        server = MonitorServer(
            lab, Path(folder), supervisors=people(1), rules=rules, agents=SITE["agents"], waiting=waiting
        )
        server.render()
        with server, at_their_desks(lab, 1) as (supervisor,):
            found = [wait(lab, server, supervisor) for _ in range(calls)]
    return {"asterisk": version, "calls": calls, **times_ms(found)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--asterisk", choices=VERSIONS, default="22")
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    one = measure(options.asterisk, options.calls)
    tell(
        f"Asterisk {one['asterisk']}, {one['calls']} calls: half are heard within {one['median_ms']:.0f} ms of the "
        f"answer, 90 % within {one['p90_ms']:.0f} ms, all within {one['longest_ms']:.0f} ms"
    )
    save("waiting", one)


if __name__ == "__main__":
    main()
