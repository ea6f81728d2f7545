"""What rendering costs: a site of a thousand extensions against one of ten thousand, in one run.

    python benchmarks/render.py [--repeat 3]

Each site is rendered, checked and written in a process of its own. Printed are its CPU, the most memory it held
besides the people themselves, and for each extension the ratio of the two sites: 1 is a cost that grows as the site
does, 0.1 one that does not grow.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from processes import save

SIZES = (1_000, 10_000)
GROUPS = 20


def measure(size: int) -> None:
    """Render a site of this size, and print what it took."""
    from agi_monitor.dialplan.render import render
    from agi_monitor.dialplan.site import PermissionGroup, Site
    from agi_monitor.dialplan.write import write
    from agi_monitor.model import Agent, Mode

    def held() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    codes = {Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "*224"}
    agents = tuple(Agent(str(number), frozenset(), name=f"Agent {number}") for number in range(10_000, 10_000 + size))
    names = [f"team-{number}" for number in range(GROUPS)]
    groups = tuple(PermissionGroup(name, frozenset(codes), (f"Lead of {name}",)) for name in names)
    site = Site(agents, groups, codes)
    before, began = held(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        written = write(render(site, None), Path(folder))
    sys.stdout.write(json.dumps({"cpu": time.process_time() - began, "kib": held() - before, "files": len(written)}))


def main() -> None:
    """Measure both sites, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size is not None:
        measure(options.size)
        return
    each: dict[int, tuple[float, float]] = {}
    results: list[dict[str, float]] = []
    for size in SIZES:
        runs = [
            json.loads(subprocess.check_output([sys.executable, __file__, "--size", str(size)]))  # noqa: S603
            for _ in range(options.repeat)
        ]
        cpu, kib = median(run["cpu"] for run in runs), median(run["kib"] for run in runs)
        each[size] = cpu / size, kib / size
        results.append({"extensions": size, "cpu_s": cpu, "mib": kib / 1024})
        sys.stdout.write(f"{size:>6} extensions: {cpu:6.2f} s CPU, {kib / 1024:6.1f} MiB more than before\n")
    small, large = (each[size] for size in SIZES)
    ratios = f"CPU {large[0] / small[0]:.2f}, memory {large[1] / small[1]:.2f}"
    sys.stdout.write(f"per extension, {SIZES[1]} to {SIZES[0]}: {ratios}\n")
    save("render", results)


if __name__ == "__main__":
    main()
