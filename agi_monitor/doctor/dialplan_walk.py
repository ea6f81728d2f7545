"""Walks through the dialplan as the PBX holds it: what can be reached by dialling, and by which extension. Pure.

Rows are the events ``ListDialplan`` of ShowDialPlan (main/pbx.c). The walk sees includes, patterns, and the places
that Goto, GotoIf, Gosub, GosubIf, Macro, ExecIf and Local channels name. Where an extension holds a variable, every
extension of its context counts: rather one too many than one too few. A context that stands in a variable is not
known, nor is what AGI scripts and AMI do.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Row = Mapping[str, str]

SPIES = frozenset({"chanspy", "extenspy", "dahdiscan"})
"""Applications by which one channel hears another (app_chanspy.c)."""

ANY = ""
"""Stands for every extension of a context."""

DIALLED = "${EXTEN}"

_LOCAL = re.compile(r"Local/(?P<extension>[^@/&,()]+)@(?P<context>[^/&,()]+)", re.IGNORECASE)
_JUMPS = frozenset({"goto", "gosub", "macro"})
_CONDITIONAL = frozenset({"gotoif", "gosubif", "gotoiftime"})


@dataclass(frozen=True, slots=True)
class Step:
    """One priority of an extension.

    Parameters:
        priority: its number.
        application: as it stands there.
        arguments: likewise.
    """

    priority: int
    application: str
    arguments: str


Place = tuple[str, str]
"""A context, and an extension or a pattern in it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How something is reached.

    Parameters:
        context: where somebody dials from.
        path: the places, the first one is what is dialled.
    """

    context: str
    path: tuple[Place, ...]

    def __str__(self) -> str:
        return f"from [{self.context}] " + " -> ".join(f"{extension}@{context}" for context, extension in self.path)


@dataclass
class Dialplan:
    """A dialplan, for walking.

    Parameters:
        rows: of all contexts.
    """

    rows: Iterable[Row]
    steps: dict[str, dict[str, list[Step]]] = field(init=False, default_factory=dict)
    """By context and extension."""
    includes: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for row in self.rows:
            context = row.get("Context", "")
            extensions = self.steps.setdefault(context, {})
            if "IncludeContext" in row:
                # Behind a comma stand the times at which it holds.
                self.includes.setdefault(context, []).append(row["IncludeContext"].partition(",")[0])
            elif "Extension" in row and row.get("Priority", "").isdigit():
                step = Step(int(row["Priority"]), row.get("Application", ""), row.get("AppData", ""))
                extensions.setdefault(row["Extension"], []).append(step)

    def visible(self, context: str) -> list[str]:
        """Return the contexts that somebody sees from one: itself, and what it includes, each once."""
        found: dict[str, None] = {}
        waiting = [context]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found[name] = None
                waiting += reversed(self.includes.get(name, []))
        return list(found)

    def places(self, context: str, extension: str = ANY) -> Iterator[Place]:
        """Yield what is reached in a context by an extension, or by any."""
        for name in self.visible(context):
            for pattern in self.steps.get(name, {}):
                if extension == ANY or fits(pattern, extension):
                    yield name, pattern

    def next_to(self, place: Place) -> Iterator[tuple[str, str]]:
        """Yield the contexts and extensions that the steps of a place may lead to."""
        context, extension = place
        for step in self.steps[context][extension]:
            for target_context, target in _targets(step):
                # What was dialled for a pattern may be many a number.
                dialled = ANY if extension.startswith("_") else extension
                yield target_context or context, (dialled if target in (None, DIALLED) else target)

    def ways(self, contexts: Iterable[str], wanted: Callable[[Place], bool]) -> Iterator[tuple[Place, Way]]:
        """Yield each wanted place with the shortest way to it, once for each context that somebody dials from."""
        for context in contexts:
            came_from: dict[Place, Place | None] = dict.fromkeys(self.places(context))
            waiting = deque(came_from)
            while waiting:
                place = waiting.popleft()
                if wanted(place):
                    yield place, Way(context, _path(came_from, place))
                for target_context, target in self.next_to(place):
                    for other in self.places(target_context, target):
                        if other not in came_from:
                            came_from[other] = place
                            waiting.append(other)

    def spies(self, place: Place) -> list[Step]:
        """Return the steps of a place by which somebody is heard."""
        context, extension = place
        return [step for step in self.steps[context][extension] if _spies(step)]


def fits(pattern: str, extension: str) -> bool:
    """Say whether an extension, or another pattern of the same text, is meant by a pattern (pbx.c)."""
    if pattern == extension:
        return True
    return pattern.startswith("_") and _regex(pattern).fullmatch(extension) is not None


def _regex(pattern: str) -> re.Pattern[str]:
    signs = {"X": "[0-9]", "Z": "[1-9]", "N": "[2-9]", ".": ".+", "!": ".*", "-": ""}
    found, rest = "", pattern[1:]
    while rest:
        if rest[0] == "[" and "]" in rest:
            inside, _, rest = rest[1:].partition("]")
            found += f"[{re.escape(inside).replace(chr(92) + '-', '-')}]" if inside else ""
            continue
        found += signs.get(rest[0].upper(), re.escape(rest[0]))
        rest = rest[1:]
    try:
        return re.compile(found, re.DOTALL)
    except re.error:
        return re.compile(".*", re.DOTALL)  # a range the wrong way round: nobody knows, so everything


def _targets(step: Step) -> Iterator[tuple[str, str | None]]:
    """Yield contexts, empty for the same one, and extensions, None for the same one."""
    application, arguments = step.application.lower(), step.arguments
    if application == "execif":
        for branch in _branches(arguments):
            inner = re.fullmatch(r"\s*(?P<application>\w+)\s*\((?P<arguments>.*)\)\s*", branch, re.DOTALL)
            if inner is not None:
                yield from _targets(Step(step.priority, inner["application"], inner["arguments"]))
        return
    if application in _JUMPS:
        yield from _target(application, arguments)
    elif application in _CONDITIONAL:
        for branch in _branches(arguments):
            yield from _target(application, branch)
    for local in _LOCAL.finditer(arguments):
        yield _literal(local["context"]), _literal(local["extension"])


def _branches(arguments: str) -> list[str]:
    """The two behind the question mark; a colon in brackets or in an expression parts nothing."""
    behind = arguments.rpartition("?")[2] if "?" in arguments else ""
    parts, depth, last = [], 0, 0
    for position, sign in enumerate(behind):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == ":" and depth == 0:
            parts.append(behind[last:position])
            last = position + 1
    return [*parts, behind[last:]]


def _target(application: str, text: str) -> Iterator[tuple[str, str | None]]:
    if application == "macro":
        yield f"macro-{_literal(text.partition(',')[0])}", "s"
        return
    text = text.partition("(")[0] if application.startswith("gosub") else text
    parts = [part.strip() for part in text.split(",")]
    if not text.strip() or len(parts) == 1:
        return  # another priority of the same extension
    if len(parts) == 2:
        yield "", _literal(parts[0])
    else:
        yield _literal(parts[0]), _literal(parts[1])


def _literal(text: str) -> str:
    """A text without a variable; one with a variable may be anything, but for the extension that was dialled."""
    return ANY if "${" in text and text != DIALLED else text


def _spies(step: Step) -> bool:
    if step.application.lower() in SPIES:
        return True
    if step.application.lower() in ("execif", "tryexec", "exec"):
        return any(re.search(rf"\b{name}\s*\(", step.arguments, re.IGNORECASE) for name in SPIES)
    return step.application.lower() == "originate" and any(
        re.search(rf"\bapp,\s*{name}\b", step.arguments, re.IGNORECASE) for name in SPIES
    )


def _path(came_from: Mapping[Place, Place | None], place: Place) -> tuple[Place, ...]:
    path = [place]
    while (before := came_from[path[-1]]) is not None:
        path.append(before)
    return tuple(reversed(path))
