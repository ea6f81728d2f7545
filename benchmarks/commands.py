"""What a command costs from its start to its end, beside a Python that does nothing, in one run.

    python benchmarks/commands.py [--repeat 21]

The commands take turns, so that a machine that is slow for a while is slow for all. ``calls`` asks a server that
answers at once, so that what is measured is the command. CPU is what the kernel counts of the process, user and
system.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from processes import percentile, save, tell

CALLS = 20
EMPTY = "python -c pass"
COMMANDS: Mapping[str, tuple[str, ...]] = {
    EMPTY: ("-c", "pass"),
    "agi-monitor --help": ("-m", "agi_monitor", "--help"),
    "agi-monitor calls": ("-m", "agi_monitor", "calls"),
    "agi-monitor calls --json": ("-m", "agi_monitor", "calls", "--json"),
    "agi-monitor check-config": ("-m", "agi_monitor", "check-config"),
}


@contextmanager
def answering(path: Path) -> Iterator[None]:
    """A client of this socket is told of some calls."""
    calls = [{"agents": [str(1000 + one)], "state": "talking", "seconds": one, "spies": []} for one in range(CALLS)]
    answer = json.dumps({"ok": True, "calls": calls}).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                with server.accept()[0] as client:
                    if not client.recv(1000):
                        return
                    client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(str(path))
            thread.join()


def seconds(arguments: tuple[str, ...], environment: Mapping[str, str]) -> float:
    """CPU seconds of one process."""

    def used() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return children.ru_utime + children.ru_stime

    before = used()
    subprocess.run(  # noqa: S603 (the commands above)
        [sys.executable, *arguments], env={**os.environ, **environment}, stdout=subprocess.DEVNULL, check=True
    )
    return used() - before


def measure(repeat: int, run: Callable[[tuple[str, ...]], float]) -> dict[str, Any]:
    """Run each command this number of times, in turns; the first turn fills the caches and does not count."""
    turns = [{name: run(arguments) for name, arguments in COMMANDS.items()} for _ in range(repeat + 1)][1:]
    empty = median(turn[EMPTY] for turn in turns)
    results = {}
    for name in COMMANDS:
        ran = [turn[name] for turn in turns]
        results[name] = {
            "cpu_s": median(ran),
            "cpu_s_low": percentile(ran, 25),
            "cpu_s_high": percentile(ran, 75),
            "ratio": median(ran) / empty,
        }
    return results


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=21)
    options = parser.parse_args()
    from agi_monitor.config.sample import SAMPLE
    from agi_monitor.pins.records import make_hash

    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "agi-monitor.yaml")
        text = SAMPLE.replace("REPLACE-ME", make_hash("4711")).replace("/var/lib/agi-monitor", folder)
        config.write_text(text)
        with answering(Path(folder, "control.sock")):
            environment = {"AGI_MONITOR_CONFIG": str(config)}
            results = measure(options.repeat, lambda arguments: seconds(arguments, environment))
    for name, one in results.items():
        tell(f"{name:>24}: {one['cpu_s']:.3f} s CPU, {one['ratio']:4.1f} times {EMPTY}")
    save("commands", results)


if __name__ == "__main__":
    main()
