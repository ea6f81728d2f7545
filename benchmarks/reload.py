"""What a reload costs the calls: how long the server does not answer meanwhile, with a thousand people and with ten.

    python benchmarks/reload.py [--repeat 3]

A whole server in a process of its own, with people in the file or in the store; one person in a hundred is changed,
and the server takes that up: by a reload, or by its look into the store. Meanwhile a callback comes every
millisecond. Printed is the longest time between two of them: by the clock, and in CPU of this process. The second is
what the server does to itself: who else uses the machine is not in it. Beside it stands the same time without a
reload, and a reload that reads the file in a thread of the server, which is what the process is for.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from processes import free_port, save, tell

SIZES = (1_000, 10_000)
HOWS = ("file", "file, in a thread", "store")
PIN = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43
QUIET_SECONDS = 2.0
TICK_SECONDS = 0.001


def people(size: int, name: str) -> dict[str, Any]:
    """One supervisor for nine agents, in groups, and 200 rules; one agent in a hundred has this name."""
    supervisors = {
        f"s{one}": {"endpoints": [f"PJSIP/{20_000 + one}"], "pin": PIN, "groups": [f"leads{one % 50}"]}
        for one in range(size // 10)
    }
    agents = {
        str(100_000 + one): {
            "endpoints": [f"PJSIP/{100_000 + one}"],
            "groups": [f"team{one % 80}"],
            "name": name if one % 100 == 0 else f"Agent {one}",
        }
        for one in range(size - size // 10)
    }
    rules = [
        {"name": f"r{one}", "allow": ["listen"], "supervisors": [f"leads{one % 50}"], "agents": [f"team{one % 80}"]}
        for one in range(200)
    ]
    return {"supervisors": supervisors, "agents": agents, "rules": rules}


def written(tree: dict[str, Any]) -> str:
    """A configuration, one entry a line. ruamel.yaml would take longer to write it than to read it."""
    lines: list[str] = []
    for section, entries in tree.items():
        lines.append(f"{section}:")
        if isinstance(entries, dict):
            lines += [f"  {key}: {json.dumps(entry)}" for key, entry in entries.items()]
        else:
            lines += [f"  - {json.dumps(entry)}" for entry in entries]
    return "\n".join(lines) + "\n"


class Gaps:
    """Calls back every millisecond, and keeps the longest time between two."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.begin()
        self._tick()

    def begin(self) -> None:
        """Forget what was."""
        self.clock = self.cpu = 0.0
        self._last = time.perf_counter(), time.process_time()

    def _tick(self) -> None:
        now = time.perf_counter(), time.process_time()
        self.clock = max(self.clock, now[0] - self._last[0])
        self.cpu = max(self.cpu, now[1] - self._last[1])
        self._last = now
        self._reactor.callLater(TICK_SECONDS, self._tick)


def measure(size: int, how: str) -> None:
    """Run a server and reload it, and print what it took."""
    import structlog
    from twisted.internet import reactor as twisted_reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from agi_monitor.config.loading import load
    from agi_monitor.config.people import People
    from agi_monitor.server.service import SWITCH_SECONDS, Server
    from agi_monitor.storage.database import Database, file_url
    from agi_monitor.storage.node_table import NodeTable
    from agi_monitor.storage.people_table import PeopleTable

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    sys.setswitchinterval(SWITCH_SECONDS)
    reactor: Any = twisted_reactor

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "agi-monitor.yaml"
        database = Database(file_url(folder))
        database.upgrade()
        # The audit of the first server of a store begins with everybody in it, that of a later one does not.
        NodeTable(database).noted("another")
        port = free_port()

        def become(one: str) -> None:
            tree = people(size, one)
            if how == "store":
                taken = People.model_validate(tree)
                PeopleTable(database).change("root", datetime.now(UTC), lambda _: taken)
                tree = {"store": {"people": True}}
            rest = {"fastagi": {"port": port}, "audit": {"file": f"{name}/audit.jsonl"}, "state": {"directory": name}}
            path.write_text(written({**rest, **tree}))

        become("before")
        server = Server(path, reactor, time.time)
        if how == "file, in a thread":
            server._in_force._load = lambda: load(path)
        found: dict[str, float] = {}

        async def run() -> None:
            await server.start()
            server._look.stop()
            # As if a call were on: it is what nothing may hold up.
            server._garbage._is_quiet = lambda: False
            gaps = Gaps(reactor)
            await wait(QUIET_SECONDS)
            found["quiet_clock_ms"], found["quiet_cpu_ms"] = gaps.clock * 1e3, gaps.cpu * 1e3
            await server._reading(lambda: become("after"))
            await wait(QUIET_SECONDS)
            began, used = time.perf_counter(), spent()
            gaps.begin()
            await (server._in_force.take_changes() if how == "store" else server.reload())
            found["clock_ms"], found["cpu_ms"] = gaps.clock * 1e3, gaps.cpu * 1e3
            found["seconds"], found["cpu_seconds"] = time.perf_counter() - began, spent() - used
            holds = server._policy().agents["100000"].name
            await server.stop()
            assert holds == "after"  # noqa: S101

        async def wait(seconds: float) -> None:
            await deferLater(reactor, seconds, lambda: None)

        def begin(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
            Deferred.fromCoroutine(story()).addErrback(lambda failure: failure.printTraceback(sys.stderr)).addBoth(
                lambda _: reactor.stop()
            )

        reactor.callWhenRunning(begin, run)
        reactor.run()
    sys.stdout.write(json.dumps(found))


def spent() -> float:
    """CPU of this process and of those that it waited for."""
    return sum(
        getattr(resource.getrusage(who), kind)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        for kind in ("ru_utime", "ru_stime")
    )


def main() -> None:
    """Measure each size, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--how", choices=HOWS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.size is not None:
        measure(options.size, options.how)
        return
    results: list[dict[str, Any]] = []
    for size in SIZES:
        for how in HOWS:
            command = [sys.executable, __file__, "--size", str(size), "--how", how]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(options.repeat)]  # noqa: S603
            one = {key: median(run[key] for run in runs) for key in runs[0]}
            results.append({"people": size, "how": how, **one})
            tell(
                f"{size:>6} people, {how}: longest stall {one['clock_ms']:.1f} ms by the clock, "
                f"{one['cpu_ms']:.1f} ms of CPU (quiet: {one['quiet_clock_ms']:.1f} and {one['quiet_cpu_ms']:.1f}); "
                f"{one['seconds']:.1f} s, {one['cpu_seconds']:.1f} s of CPU"
            )
    save("reload", results)


if __name__ == "__main__":
    main()
