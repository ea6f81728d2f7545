"""Puts what the benchmarks measured into docs/topics/performance.md, and draws it.

    python benchmarks/report.py

Each benchmark leaves a file in .cache/benchmarks; what is not there yet is left as it is in the page. The page holds
the words; this program fills in the tables between its marks, and the machine that they are from.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
from processes import RESULTS, tell

PAGE = Path(__file__).resolve().parents[1] / "docs" / "topics" / "performance.md"
PLOT = PAGE.with_suffix(".svg")
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
OURS = "agi-monitor"


def measured(name: str) -> Any:
    """What a benchmark left; None when it has not run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Rows as Markdown has them; ours are in bold."""
    lines = [f"| {' | '.join(heads)} |", f"| --- |{' ---: |' * (len(heads) - 1)}"]
    for row in rows:
        bold = row[0].startswith(OURS)
        lines.append(f"| {' | '.join(f'**{cell}**' if bold else cell for cell in row)} |")
    return "\n".join(lines)


def machine() -> str:
    """Where the numbers are from."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.+)", cpuinfo)
    peers = ("pyst2", "pystrix", "panoramisk", "aioagi-ik", "basicami")
    return (
        f"{os.cpu_count()} cores ({model[1] if model else platform.machine()}), Linux {platform.release()}, "
        f"Python {platform.python_version()}, Twisted {version('twisted')}. "
        f"{', '.join(f'{name} {version(name)}' for name in peers)}."
    )


def calls() -> str | None:
    """CPU of a call of five commands."""
    results = measured("agi_sessions")
    if results is None:
        return None

    def rows() -> Iterator[Sequence[str]]:
        for name, one in results.items():
            closed = one["closed"]
            spread = f"{closed['cpu_us_low']:.0f} to {closed['cpu_us_high']:.0f}"
            yield name, f"{closed['cpu_us']:.0f}", spread, f"{closed['ratio']:.2f}", f"{closed['complete']:.0%}"

    return table(("server", "CPU of a call, µs", "middle half", "bare Twisted / this", "complete"), rows())


def waiting() -> str | None:
    """What callers wait for, and what calls cost that are held."""
    results = measured("agi_sessions")
    if results is None:
        return None

    def rows() -> Iterator[Sequence[str]]:
        for name, one in results.items():
            rate, hold = one["rate"], one["hold"]
            cells = [f"{hold[size]['mib']:.0f} MiB, {hold[size]['complete']:.0%}" for size in hold]
            p50, p99 = (f"{rate[key]:.1f}" if rate[key] < 1e6 else "never" for key in ("p50_ms", "p99_ms"))
            yield name, p50, p99, f"{rate['complete']:.0%}", *cells

    sizes = next(iter(results.values()))["hold"]
    heads = ("server", "half wait less than, ms", "99 % wait less than, ms", "complete")
    return table((*heads, *(f"{int(size):,} held, complete" for size in sizes)), rows())


def events() -> str | None:
    """CPU of an event."""
    results = measured("ami_events")
    if results is None:
        return None

    def rows() -> Iterator[Sequence[str]]:
        for name, one in results.items():
            spread = f"{one['cpu_us_low']:.1f} to {one['cpu_us_high']:.1f}"
            yield name, f"{one['cpu_us']:.1f}", spread, f"{one['ratio']:.2f}"

    return table(("client", "CPU of an event, µs", "middle half", "bare Twisted / this"), rows())


def index() -> str | None:
    """Look-ups."""
    results = measured("channel_index")
    if results is None:
        return None

    def rows() -> Iterator[Sequence[str]]:
        for one in results:
            times = (f"{one[key]:.1f}" for key in ("look_up_us", "one_agent_us", "event_us"))
            yield f"{one['channels']:,} channels", *times

    return table(("", "look-up, any agent, µs", "look-up, the same agent, µs", "event, µs"), rows())


def decisions() -> str | None:
    """A decision, and its line in the audit."""
    decided, audit = measured("decisions"), measured("audit_chain")
    if decided is None or audit is None:
        return None

    def rows() -> Iterator[Sequence[str]]:
        for one in decided:
            if (one["people"], one["rules"]) in ((100, 50), (1_000, 500), (10_000, 5_000)):
                what = f"decide: {one['people']:,} people, {one['rules']:,} rules"
                yield what, f"{one['decide_us'] / 1e3:.3f}", ""
        for name, what in (
            ("plain", "one line, one write, one fsync"),
            ("chained", "the audit: numbered and chained"),
        ):
            one = audit[name]
            yield what, f"{one['cpu_us'] / 1e3:.3f}", f"{one['clock_us'] / 1e3:.3f}"

    return table(("", "CPU, ms", "clock, ms"), rows())


def rendering() -> str | None:
    """A dialplan."""
    results = measured("render")
    if results is None:
        return None
    rows = ((f"{one['extensions']:,} extensions", f"{one['cpu_s']:.2f}", f"{one['mib']:.1f}") for one in results)
    return table(("", "CPU, s", "memory besides the people, MiB"), iter(rows))


TABLES: dict[str, Callable[[], str | None]] = {
    "machine": machine,
    "calls": calls,
    "waiting": waiting,
    "events": events,
    "index": index,
    "decisions": decisions,
    "rendering": rendering,
}


def draw() -> None:
    """Bars for a call and for an event; shorter is better."""
    sessions, ami = measured("agi_sessions"), measured("ami_events")
    if sessions is None or ami is None:
        return
    mpl.use("svg")
    from matplotlib import pyplot as plt  # after the choice of how it draws

    mpl.rcParams["svg.hashsalt"] = "agi-monitor"  # the same picture for the same numbers
    bars = (
        ("CPU of a FastAGI call of five commands, µs", {name: one["closed"] for name, one in sessions.items()}),
        ("CPU of an AMI event of a real call, µs", ami),
    )
    figure, axes = plt.subplots(2, 1, figsize=(8.5, 7.5), height_ratios=[len(values) for _, values in bars])
    for axis, (title, values) in zip(axes, bars, strict=True):
        names = sorted(values, key=lambda name: values[name]["cpu_us"], reverse=True)
        numbers = [values[name]["cpu_us"] for name in names]
        errors = [
            [values[name]["cpu_us"] - values[name]["cpu_us_low"] for name in names],
            [values[name]["cpu_us_high"] - values[name]["cpu_us"] for name in names],
        ]
        colours = ["#2a6f97" if name.startswith(OURS) else "#b8c4cc" for name in names]
        drawn = axis.barh(names, numbers, xerr=errors, color=colours, error_kw={"ecolor": "#555", "capsize": 3})
        axis.bar_label(
            drawn, [f" {number:,.0f}" if number >= 100 else f" {number:.1f}" for number in numbers], padding=6
        )
        axis.set_title(title, loc="left", fontsize=11)
        axis.set_xlim(0, max(numbers) * 1.15)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(PLOT, metadata={"Date": None})
    tell(f"{PLOT.name}: drawn")


def main() -> None:
    """Fill the page."""

    def fill(found: re.Match[str]) -> str:
        text = TABLES[found[2]]()
        if text is None:
            tell(f"{found[2]}: not measured; the page keeps what it has")
            return found[0]
        return f"{found[1]}{text}\n{found[3]}"

    if not PAGE.is_file():
        sys.exit(f"{PAGE}: is missing; the words are its own")
    PAGE.write_text(MARKED.sub(fill, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    tell(f"{PAGE.name}: filled")
    draw()


if __name__ == "__main__":
    main()
