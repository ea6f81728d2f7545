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
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
from agi_sessions import HELD
from processes import RESULTS, tell

PAGE = Path(__file__).resolve().parents[1] / "docs" / "topics" / "performance.md"
PLOT = PAGE.with_suffix(".svg")
MARKED = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
OURS = "agi-monitor"
Rows = Iterator[Sequence[str]]


def measured(name: str) -> Any:
    """What a benchmark left; None when it has not run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


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


def calls(sessions: Any) -> Rows:
    """CPU of a call of five commands."""
    for name, one in sessions.items():
        closed = one["closed"]
        spread = f"{closed['cpu_us_low']:.0f} to {closed['cpu_us_high']:.0f}"
        yield name, f"{closed['cpu_us']:.0f}", spread, f"{closed['ratio']:.2f}", f"{closed['complete']:.0%}"


def waiting(sessions: Any) -> Rows:
    """What callers wait for, and what calls cost that are held."""
    for name, one in sessions.items():
        rate, hold = one["rate"], one["hold"]
        cells = [f"{hold[str(size)]['mib']:.0f} MiB, {hold[str(size)]['complete']:.0%}" for size in HELD]
        p50, p99 = (f"{rate[key]:.1f}" if rate[key] < 1e6 else "never" for key in ("p50_ms", "p99_ms"))
        yield name, p50, p99, f"{rate['complete']:.0%}", *cells


def events(ami: Any) -> Rows:
    """CPU of an event."""
    for name, one in ami.items():
        spread = f"{one['cpu_us_low']:.1f} to {one['cpu_us_high']:.1f}"
        yield name, f"{one['cpu_us']:.1f}", spread, f"{one['ratio']:.2f}"


def index(sizes: Any) -> Rows:
    """Look-ups."""
    for one in sizes:
        times = (f"{one[key]:.1f}" for key in ("look_up_us", "one_agent_us", "event_us"))
        yield f"{one['channels']:,} channels", *times


def decisions(decided: Any, audit: Any) -> Rows:
    """A decision, and its line in the audit."""
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


def rendering(sizes: Any) -> Rows:
    """A dialplan."""
    for one in sizes:
        yield f"{one['extensions']:,} extensions", f"{one['cpu_s']:.2f}", f"{one['mib']:.1f}"


def reloads(runs: Any) -> Rows:
    """A reload while calls continue."""
    for one in runs:
        stall = f"{one['cpu_ms']:.1f}", f"{one['clock_ms']:.0f} ({one['quiet_clock_ms']:.0f})"
        yield f"{one['people']:,} people, {one['how']}", *stall, f"{one['seconds']:.1f}", f"{one['cpu_seconds']:.1f}"


def commands(ran: Any) -> Rows:
    """A command from its start to its end."""
    for name, one in ran.items():
        spread = f"{one['cpu_s_low']:.3f} to {one['cpu_s_high']:.3f}"
        yield f"`{name}`", f"{one['cpu_s']:.3f}", spread, f"{one['ratio']:.1f}"


def confirming(versions: Any) -> Rows:
    """Asking the PBX before each spy."""
    for one in versions:
        times = (f"{one[key]:.1f}" for key in ("median_ms", "p90_ms", "longest_ms"))
        yield f"Asterisk {one['asterisk']}, {one['spies']} spies", f"{one['commands']:.0f}", *times


def felt(supervisors: Any, waiting: Any, keys: Any) -> Rows:
    """What a supervisor waits for."""

    def times(one: Any) -> Sequence[str]:
        return [f"{one[key]:,.0f}" for key in ("median_ms", "p90_ms", "longest_ms")]

    for one in supervisors:
        many = "one supervisor" if one["supervisors"] == 1 else f"{one['supervisors']} supervisors at once"
        yield f"last key of the PIN to the call's sound, {many}", *times(one)
    yield f"the agent's answer to the call's sound, {waiting['calls']} times", *times(waiting)
    yield f"key for whispering to the agent's ear, {keys['keys']} times", *times(keys)


def revoking(versions: Any) -> Rows:
    """From the decision that many spies end to their silence."""
    for one in versions:
        times = (f"{one[key]:.0f}" for key in ("median_ms", "p99_ms", "longest_ms"))
        yield f"Asterisk {one['asterisk']}, {one['spies']} spies", *times, f"{one['told']}"


@dataclass(frozen=True)
class Table:
    """One table of the page.

    Parameters:
        needs: the benchmarks that it is made of.
        rows: makes the rows of what they left.
        heads: of its columns.
    """

    needs: tuple[str, ...]
    rows: Callable[..., Rows]
    heads: tuple[str, ...]

    def markdown(self) -> str | None:
        """The table, ours in bold; None when a benchmark has not run."""
        found = [measured(name) for name in self.needs]
        if None in found:
            return None
        lines = [f"| {' | '.join(self.heads)} |", f"| --- |{' ---: |' * (len(self.heads) - 1)}"]
        for row in self.rows(*found):
            bold = row[0].startswith(OURS)
            lines.append(f"| {' | '.join(f'**{cell}**' if bold else cell for cell in row)} |")
        return "\n".join(lines)


TABLES = {
    "calls": Table(
        ("agi_sessions",), calls, ("server", "CPU of a call, µs", "middle half", "bare Twisted / this", "complete")
    ),
    "waiting": Table(
        ("agi_sessions",),
        waiting,
        (
            *("server", "half wait less than, ms", "99 % wait less than, ms", "complete"),
            *(f"{size:,} held, complete" for size in HELD),
        ),
    ),
    "events": Table(("ami_events",), events, ("client", "CPU of an event, µs", "middle half", "bare Twisted / this")),
    "index": Table(
        ("channel_index",), index, ("", "look-up, any agent, µs", "look-up, the same agent, µs", "event, µs")
    ),
    "decisions": Table(("decisions", "audit_chain"), decisions, ("", "CPU, ms", "clock, ms")),
    "reloads": Table(
        ("reload",),
        reloads,
        ("people in", "longest stall, ms of CPU", "by the clock, ms (without a reload)", "takes, s", "CPU, s"),
    ),
    "commands": Table(("commands",), commands, ("", "CPU, s", "middle half", "this / an empty Python")),
    "confirming": Table(
        ("confirming",), confirming, ("", "questions", "half take less than, ms", "90 % less than, ms", "longest, ms")
    ),
    "felt": Table(
        ("first_sound", "waiting", "mode_keys"), felt, ("", "half within, ms", "90 % within, ms", "all within, ms")
    ),
    "revoking": Table(
        ("revoking",), revoking, ("", "half silent within, ms", "99 % within, ms", "the last, ms", "told why")
    ),
    "rendering": Table(("render",), rendering, ("", "CPU, s", "memory besides the people, MiB")),
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
        text = machine() if found[2] == "machine" else TABLES[found[2]].markdown()
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
