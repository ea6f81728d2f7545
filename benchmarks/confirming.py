"""What it costs to ask the PBX itself who is about to hear whom, on a real Asterisk in a container.

    python benchmarks/confirming.py

A supervisor goes from listening to whispering and back. The server's log tells what it sent to Asterisk and when: the
time from the record's proof to the application is what the questions in between take.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from processes import save, tell

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.server import PINS, MonitorServer

PROOF = 'SET VARIABLE "AGI_MONITOR_GRANT" "'
APPLICATION = 'EXEC "ChanSpy"'
GONE = f'{PROOF}"'


def moment(line: dict[str, Any]) -> float:
    """When a line was logged, in seconds since 1970."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def milliseconds(lines: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """The time and the number of commands between each proof and its application."""
    found: list[tuple[float, int]] = []
    began, commands = None, 0
    for line in lines:
        sent = str(line.get("line", "")) if line.get("event") == "agi_sent" else ""
        if sent.startswith(PROOF) and not sent.startswith(GONE):
            began, commands = moment(line), 0
        elif sent.startswith(APPLICATION) and began is not None:
            found.append(((moment(line) - began) * 1e3, commands))
            began = None
        elif sent:
            commands += 1
    return found


def measure(version: str, times: int) -> dict[str, Any]:
    """Change the mode this number of times."""
    with Lab(version) as lab, tempfile.TemporaryDirectory() as folder:
        server = MonitorServer(lab, Path(folder))
        server.render()
        with server:
            lab.connect("3001", "1001")
            mark = server.mark()
            call = lab.phone("2001").dial("*2221001")
            server.wait_for("pin_prompted", mark)
            lab.phone("2001").press(PINS["2001"] + "#")
            server.wait_for("spy_started", mark)
            for number in range(times):
                mark = server.mark()
                lab.phone("2001").press("54"[number % 2])
                server.wait_for("spy_started", mark)
            lab.phone("2001").hang_up(call)
            server.wait_for_audit("spy_ended", times + 1)
            found = milliseconds(server.lines())
    took = [one for one, _ in found]
    return {
        "asterisk": version,
        "spies": len(found),
        "commands": median(number for _, number in found),
        "median_ms": median(took),
        "p90_ms": quantiles(took, n=10)[-1],
        "longest_ms": max(took),
    }


def main() -> None:
    """Measure each version, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    results = []
    for version in VERSIONS:
        one = measure(version, options.times)
        results.append(one)
        tell(
            f"Asterisk {version}: {one['commands']:.0f} commands before each of {one['spies']} spies, "
            f"median {one['median_ms']:.2f} ms, 90 % under {one['p90_ms']:.2f} ms, longest {one['longest_ms']:.2f} ms"
        )
    save("confirming", results)


if __name__ == "__main__":
    main()
