"""Holds what the PBX has loaded against what was rendered, context by context. Pure.

The rows are the events ``ListDialplan`` of the action ShowDialPlan (main/pbx.c, manager_show_dialplan_helper).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from agi_monitor.dialplan.parse import NUMBER, Context

Row = Mapping[str, str]
Steps = dict[tuple[str, int], tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Differences:
    """What is otherwise in the PBX.

    Parameters:
        wrong: what was rendered and is missing or another; each a sentence.
        foreign: what is there and was not rendered.
    """

    wrong: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


def compare(wanted: Context, rows: Iterable[Row] | None) -> Differences:
    """What is different in one context.

    Parameters:
        wanted: as ``parse`` reads it from the rendered text.
        rows: what the PBX says of the context of this name; None when it has none.
    """
    if rows is None and not (wanted.extensions or wanted.includes or wanted.switches):
        return Differences()  # a context without anything in it is not listed, so nothing can be said about it
    if rows is None:
        return Differences((f"context {wanted.name} is not there",))
    steps, includes, switches = _loaded(rows)
    expected: Steps = {
        (extension.pattern, priority.number): (priority.label or "", priority.application, priority.arguments)
        for extension in wanted.extensions
        for priority in extension.priorities
    }
    asked = {include.context for include in wanted.includes}
    wrong = list(_wrong(wanted.name, expected, steps))
    wrong += [f"context {wanted.name} does not include {name}" for name in sorted(asked - includes)]
    switched = {switch.where for switch in wanted.switches}
    wrong += [f"context {wanted.name} has no switch to {where}" for where in sorted(switched - switches)]
    foreign = [
        f"{pattern}@{wanted.name} priority {number}" for pattern, number in sorted(steps.keys() - expected.keys())
    ]
    foreign += [f"include of {name} in {wanted.name}" for name in sorted(includes - asked)]
    foreign += [f"switch to {where} in {wanted.name}" for where in sorted(switches - switched)]
    return Differences(tuple(wrong), tuple(foreign))


def _wrong(context: str, expected: Steps, steps: Steps) -> Iterator[str]:
    for (pattern, number), step in expected.items():
        found = steps.get((pattern, number))
        where = f"{pattern}@{context} priority {number}"
        if found is None:
            yield f"{where} is not there"
        elif found != step:
            # Not the arguments: the shared secret may be among them.
            (label, application, _), (wanted_label, wanted_application, _) = found, step
            if label != wanted_label:
                yield f"{where} has another label"
            elif application != wanted_application:
                yield f"{where} has another application"
            else:
                yield f"{where} has other arguments"


def _loaded(rows: Iterable[Row]) -> tuple[Steps, set[str], set[str]]:
    steps: Steps = {}
    includes: set[str] = set()
    switches: set[str] = set()
    for row in rows:
        if "IncludeContext" in row:
            includes.add(row["IncludeContext"])
        elif "Switch" in row:
            switches.add(row["Switch"])
        elif "Extension" in row and NUMBER.fullmatch(row.get("Priority", "")):
            step = (row.get("ExtensionLabel", ""), row.get("Application", ""), row.get("AppData", ""))
            steps[row["Extension"], int(row["Priority"])] = step
    return steps, includes, switches
