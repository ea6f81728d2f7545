"""What an event of the manager interface costs, until it is in an index of all calls: ours, and other libraries.

    python benchmarks/ami_events.py [--calls 200] [--repeat 5] [--client NAME ...]

The events are those of a real call through a queue, as Asterisk 22 told them (`call-22.txt`), many times over.
Each client (`ami_clients.py`) is a process of its own, and clients take turns. Numbers are medians over the repeats;
ratios are to bare Twisted of the same run.
"""

from __future__ import annotations

import argparse
from statistics import median, quantiles
from typing import Any

from ami_clients import CLIENTS
from ami_pump import recorded
from processes import free_port, running, save, tell

FLOOR = "bare Twisted"
SLOW = {"pyst2": 10}
"""Clients that are given fewer calls, and by which factor."""


def measure(name: str, calls: int) -> float:
    """Microseconds of CPU for each event.

    Raises:
        SystemExit: the client did not start, or ended.
    """
    port = free_port()
    calls = max(10, calls // SLOW.get(name, 1))
    with running("ami_pump.py", port, calls) as pump:
        pump.line()
        with running("ami_clients.py", name, port) as client:
            if client.line() != "listening":
                raise SystemExit(f"{name} did not log in: python benchmarks/ami_clients.py {name!r} PORT says why")
            pump.say("once, for imports and caches")
            if client.line() != "over":
                raise SystemExit(f"{name} ended")
            before = client.cpu()
            pump.say("again")
            if client.line() != "over":
                raise SystemExit(f"{name} ended")
            return (client.cpu() - before) / (calls * recorded().count(b"\r\n\r\n")) * 1e6


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--client", action="append", choices=CLIENTS, help="only these")
    options = parser.parse_args()
    each: dict[str, list[float]] = {name: [] for name in options.client or CLIENTS}
    for round_ in range(options.repeat):
        for name, samples in each.items():
            tell(f"[{round_ + 1}/{options.repeat}] {name}")
            samples.append(measure(name, options.calls))
    floor = median(each[FLOOR]) if FLOOR in each else float("nan")
    results: dict[str, Any] = {}
    tell(f"{'client':20}{'CPU us/event':>14}{'of bare':>10}")
    for name, samples in each.items():
        low, _, high = quantiles(samples, n=4) if len(samples) > 1 else (samples[0],) * 3
        results[name] = {"cpu_us": median(samples), "cpu_us_low": low, "cpu_us_high": high}
        results[name]["ratio"] = floor / median(samples)
        tell(f"{name:20}{median(samples):14.1f}{floor / median(samples):10.2f}")
    if options.client is None:
        save("ami_events", results)


if __name__ == "__main__":
    main()
