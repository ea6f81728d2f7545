"""What a FastAGI call costs: ours, bare Twisted, and other libraries, side by side in one run on loopback.

    python benchmarks/agi_sessions.py [--calls 2000] [--repeat 5] [--server NAME ...]

Each server (`agi_servers.py`) and each load (`agi_load.py`) is a process of its own; servers take turns, so that a
machine that is slow for a while is slow for all. Three things are measured:

- CPU of the server for a call with five commands, 100 calls at once;
- the time to the first command at 200 new calls a second, each of them 4 s in its PIN prompt, so that 800 are open;
- the memory of 1,000 and 5,000 calls that are held in their prompt, and how many of them are complete when all are
  let go at once.

Numbers are medians over the repeats; ratios are to bare Twisted of the same run.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
from statistics import median, quantiles
from typing import Any

from agi_servers import SERVERS
from processes import percentile, running, save, serving, tell

AT_ONCE = 100
RATE, RATE_CALLS, PROMPT_SECONDS = 200, 1_600, 4
HELD = (1_000, 5_000)
FLOOR = "bare Twisted"


def closed(name: str, calls: int) -> dict[str, float]:
    """CPU of a call, and how long it takes among others."""
    with serving("agi_servers.py", name) as (server, port):
        with running("agi_load.py", port, "closed", AT_ONCE, AT_ONCE) as load:  # imports, caches
            load.line()
        before = server.cpu()
        with running("agi_load.py", port, "closed", calls, AT_ONCE) as load:
            seen = json.loads(load.line())
        return {
            "cpu_us": (server.cpu() - before) / calls * 1e6,
            "complete": seen["complete"] / calls,
            "per_second": seen["complete"] / seen["seconds"],
            "first_p99_ms": percentile(seen["first"], 99) * 1e3,
        }


def rate(name: str) -> dict[str, float]:
    """How long callers wait who come one after the other."""
    with serving("agi_servers.py", name) as (_, port):
        with running("agi_load.py", port, "closed", AT_ONCE, AT_ONCE) as load:
            load.line()
        with running("agi_load.py", port, "rate", RATE_CALLS, RATE, PROMPT_SECONDS) as load:
            seen = json.loads(load.line())
    first = [*seen["first"], *[float("inf")] * (RATE_CALLS - len(seen["first"]))]
    return {
        "complete": seen["complete"] / RATE_CALLS,
        "p50_ms": percentile(first, 50) * 1e3,
        "p99_ms": percentile(first, 99) * 1e3,
    }


def hold(name: str, calls: int) -> dict[str, float]:
    """What waiting calls cost, and whether they all continue."""
    with serving("agi_servers.py", name) as (server, port), running("agi_load.py", port, "hold", calls) as load:
        held = int(load.line().split()[1])
        mib = server.mib()
        load.say("go on")
        seen = json.loads(load.line())
    return {"held": held / calls, "mib": mib, "complete": seen["complete"] / calls}


def middle(samples: list[dict[str, float]]) -> dict[str, float]:
    """The median of each number, and for the first one the quarter below and above it."""
    found = {key: median(sample[key] for sample in samples) for key in samples[0]}
    if len(samples) > 1 and "cpu_us" in found:
        found["cpu_us_low"], _, found["cpu_us_high"] = quantiles([sample["cpu_us"] for sample in samples], n=4)
    return found


def compare(names: list[str], calls: int, repeat: int) -> dict[str, Any]:
    """Measure all, and print."""
    each: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for round_ in range(repeat):
        for name in names:
            tell(f"[{round_ + 1}/{repeat}] {name}")
            each[name].append(closed(name, calls))
    results: dict[str, Any] = {name: {"closed": middle(samples)} for name, samples in each.items()}
    floor = results[FLOOR]["closed"]["cpu_us"] if FLOOR in results else float("nan")
    tell(f"{'server':30}{'CPU us/call':>12}{'of bare':>9}{'calls/s':>9}{'complete':>9}")
    for name in names:
        one = results[name]["closed"]
        one["ratio"] = floor / one["cpu_us"]
        numbers = f"{one['cpu_us']:12.0f}{one['ratio']:9.2f}{one['per_second']:9.0f}{one['complete']:9.0%}"
        tell(f"{name:30}{numbers}")
    tell(f"{'server':30}{'p50 ms':>9}{'p99 ms':>9}{'complete':>9}" + "".join(f"{n:>8} open{'':9}" for n in HELD))
    for name in names:
        one = results[name]
        one["rate"] = middle([rate(name) for _ in range(min(repeat, 3))])
        one["hold"] = {str(calls): hold(name, calls) for calls in HELD}
        cells = "".join(f"{h['mib']:8.0f} MiB{h['complete']:6.0%}{'':4}" for h in one["hold"].values())
        tell(
            f"{name:30}{one['rate']['p50_ms']:9.1f}{one['rate']['p99_ms']:9.1f}{one['rate']['complete']:9.0%}{cells}"
        )
    return results


def profile(calls: int) -> None:
    """Where the time of ours goes, by function."""
    import sys
    import threading

    from agi_servers import ours
    from processes import free_port
    from twisted.internet import reactor

    port = free_port()
    profiler = cProfile.Profile()

    def load() -> None:
        with running("agi_load.py", port, "closed", calls, AT_ONCE) as one:
            one.line()
        reactor.callFromThread(reactor.stop)  # type: ignore[attr-defined]  # Twisted's reactor

    reactor.callWhenRunning(threading.Thread(target=load).start)  # type: ignore[attr-defined]
    profiler.enable()
    ours(port)
    profiler.disable()
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(35)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--server", action="append", choices=SERVERS, help="only these")
    parser.add_argument("--profile", action="store_true", help="where our time goes")
    options = parser.parse_args()
    if options.profile:
        profile(options.calls)
        return
    results = compare(options.server or list(SERVERS), options.calls, options.repeat)
    if options.server is None:
        save("agi_sessions", results)


if __name__ == "__main__":
    main()
