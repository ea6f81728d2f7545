"""What the chain costs: an appended fact with and without it, and the verification of a long audit.

    python benchmarks/audit_chain.py [--facts 2000] [--records 100000] [--repeat 5]

Everything is measured in this process, in one run; each number is the median of the repeats. *Plain* is the least
that an audit on disk needs: one JSON line, one write, one fsync. *Chained* is the audit file of the server: number
and hash, the end of the chain remembered, a signed checkpoint after every hundred records. CPU time is that of this
process; the time on the clock is mostly the disk's. Verification is told per record, and its memory at its highest
for an audit and for one ten times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import structlog
from processes import save

from agi_monitor.audit.chain import Chain, Head, body_of
from agi_monitor.audit.facts import SpyStarted
from agi_monitor.audit.verification import Verification
from agi_monitor.model import Mode
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.key_file import AuditKey, audit_key, verifies
from agi_monitor.storage.audit.reading import lines
from agi_monitor.storage.audit.sinks import AuditSinks

Result = TypeVar("Result")

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


async def at_once(function: Callable[[], Result], /) -> Result:
    """Run a function here and now."""
    return function()


def finish(story: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that waits for nothing."""
    try:
        story.send(None)
    except StopIteration:
        return


def fact(number: int) -> SpyStarted:
    """A spy that begins, one a second."""
    return SpyStarted(
        at=BEGIN + timedelta(seconds=number),
        call=f"{number}",
        endpoint="PJSIP/2001",
        spyer="PJSIP/2001-0000002a",
        spyer_uniqueid="1700000000.42",
        supervisor="anna",
        grant=1,
        extension="1001",
        mode=Mode.LISTEN,
        spyee="PJSIP/1001-0000000a",
        spyee_uniqueid="1700000000.10",
        rule="leads-supervise",
        source="index",
        stale="",
        because="hint, only call",
        told=False,
    )


def append_plain(path: Path, facts: Iterable[SpyStarted]) -> None:
    """One line, one write, one fsync, as an audit without a chain would be."""
    for one in facts:
        line = json.dumps(one.record(), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            size = os.fstat(handle).st_size
            if size:
                os.pread(handle, 1, size - 1)
            os.write(handle, line)
            os.fsync(handle)
        finally:
            os.close(handle)


def append_chained(path: Path, facts: Iterable[SpyStarted]) -> None:
    """The audit file of the server."""
    audit = AuditSinks([AuditFile(path, state=path.parent, signer=audit_key(path.parent))], at_once)
    for one in facts:
        finish(audit.append(one))


def measured(append: Callable[[Path, Iterable[SpyStarted]], None], facts: list[SpyStarted]) -> tuple[float, float]:
    """CPU seconds and seconds on the clock for each fact."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, clock = time.process_time(), time.perf_counter()
        append(Path(folder) / "audit.jsonl", facts)
        return (time.process_time() - cpu) / len(facts), (time.perf_counter() - clock) / len(facts)


def write(path: Path, records: int, key: AuditKey) -> Head:
    """A long audit, without waiting for the disk. Returns its end."""
    chain = Chain(Head(), key)
    with path.open("wb") as file:
        for number in range(records):
            one = fact(number)
            linked = chain.link(body_of(one.record()), one.at)
            chain.accept(linked)
            file.write(linked.content)
    return chain.head


def verify(path: Path, key: AuditKey, head: Head) -> None:
    """Look at all of it."""
    verification = Verification(verifies, [key.public], [head])
    for line in lines(path):
        verification.take(path.name, line.number, line.content, line.finished)
    verdict = verification.finish()
    if not verdict.ok:
        raise SystemExit(f"a wrong verdict: {verdict.findings[:3]}")


def verification(records: int, repeat: int) -> tuple[float, float]:
    """CPU seconds for each record, and bytes at its highest."""
    with tempfile.TemporaryDirectory() as folder:
        key, path = audit_key(Path(folder)), Path(folder) / "audit.jsonl"
        head = write(path, records, key)
        costs = []
        for _ in range(repeat):
            started = time.process_time()
            verify(path, key, head)
            costs.append((time.process_time() - started) / records)
        tracemalloc.start()
        verify(path, key, head)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return median(costs), peak


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--facts", type=int, default=2_000)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    facts = [fact(number) for number in range(options.facts)]
    ways = {"plain": append_plain, "chained": append_chained}
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(options.repeat):
        for name, way in ways.items():
            costs[name].append(measured(way, facts))
    print(f"{'append':>10}{'CPU us':>12}{'of plain':>12}{'clock us':>12}{'of plain':>12}")  # noqa: T201
    results: dict[str, dict[str, float]] = {}
    for name in ways:
        row = f"{name:>10}"
        for which, kind in enumerate(("cpu_us", "clock_us")):
            cost, plain = (median(one[which] for one in costs[way]) for way in (name, "plain"))
            row += f"{cost * 1e6:12.1f}{cost / plain:12.2f}"
            results.setdefault(name, {})[kind] = cost * 1e6
        print(row)  # noqa: T201
    print(f"{'verify':>10}{'CPU us':>12}{'of fewer':>12}{'peak KiB':>12}{'of fewer':>12}")  # noqa: T201
    small = verification(options.records // 10, options.repeat)
    for records, (cost, peak) in {
        options.records // 10: small,
        options.records: verification(options.records, options.repeat),
    }.items():
        row = f"{records:10}{cost * 1e6:12.2f}{cost / small[0]:12.2f}"
        print(row + f"{peak / 1024:12.0f}{peak / small[1]:12.2f}")  # noqa: T201
        results[f"verify {records:,}"] = {"cpu_us": cost * 1e6, "peak_kib": peak / 1024}
    save("audit_chain", results)


if __name__ == "__main__":
    main()
