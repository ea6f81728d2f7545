"""Walks through the dialplan as the PBX holds it: what can be reached by dialling, and by which extension. Pure.

Rows are the events ``ListDialplan`` of ShowDialPlan (main/pbx.c). The walk sees includes, patterns, and the places
that applications name (``application_targets``). In doubt it continues: an extension that holds a variable may be any
of its context, a context that is a variable may be any. ``Dialplan.unseen`` reports what it cannot see: scripts,
programs that steer calls from outside, and extensions that are kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agi_monitor.dialplan.parse import NUMBER
from agi_monitor.doctor.application_targets import ANY, DIALLED, SAME, forms, is_unseen, spies, targets
from agi_monitor.doctor.extension_patterns import overlap

Row = Mapping[str, str]


PERIODIC_HOOKS = "__func_periodic_hook_context__"
"""Asterisk's own context, for beeps into a call (func_periodic_hook.c): only that function leads there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One priority of an extension.

    Parameters:
        priority: its number.
        application: as written there.
        arguments: as written there.
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
        context: where the caller dials from.
        path: the places; the first one is dialled.
        is_sure: no variable decides where it leads.
    """

    context: str
    path: tuple[Place, ...]
    is_sure: bool = True

    def __str__(self) -> str:
        return f"from [{self.context}] " + " -> ".join(f"{extension}@{context}" for context, extension in self.path)


def nothing(_: object) -> bool:
    """Return False."""
    return False


@dataclass
class Dialplan:
    """A dialplan, for walking.

    Parameters:
        rows: of all contexts.
        is_ours: whether a context is one of our own; no variable is taken for its name.
    """

    rows: Iterable[Row]
    is_ours: Callable[[str], bool] = nothing
    steps: dict[str, dict[str, list[Step]]] = field(init=False, default_factory=dict)
    """By context and extension."""
    includes: dict[str, list[str]] = field(init=False, default_factory=dict)
    switches: dict[str, list[str]] = field(init=False, default_factory=dict)
    """By context: where extensions stand that are not in the dialplan."""
    hints: dict[str, dict[str, str]] = field(init=False, default_factory=dict)
    """By context and extension: the devices."""
    _targets: dict[tuple[str, str], list[tuple[str, str]]] = field(init=False, default_factory=dict)
    _visible: dict[str, list[str]] = field(init=False, default_factory=dict)
    _patterns: dict[str, list[str]] = field(init=False, default_factory=dict)
    _graph: _Graph = field(init=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            context = row.get("Context", "")
            extensions = self.steps.setdefault(context, {})
            if "IncludeContext" in row:
                # Behind a comma stand the times at which it holds.
                self.includes.setdefault(context, []).append(row["IncludeContext"].partition(",")[0])
            elif "Switch" in row:
                self.switches.setdefault(context, []).append(row["Switch"])
            elif row.get("Priority") == "hint":
                self.hints.setdefault(context, {})[row.get("Extension", "")] = row.get("Application", "")
            elif "Extension" in row and NUMBER.fullmatch(row.get("Priority", "")):
                step = Step(int(row["Priority"]), row.get("Application", ""), row.get("AppData", ""))
                # Behind a slash stands for which callers it is.
                extensions.setdefault(row["Extension"].partition("/")[0], []).append(step)
        self._graph = _Graph(self)

    def visible(self, context: str) -> list[str]:
        """Return the contexts that are seen from one: itself, and what it includes, each once."""
        if context not in self._visible:
            found: dict[str, None] = {}
            waiting = [context]
            while waiting:
                name = waiting.pop()
                if name not in found:
                    found[name] = None
                    waiting += reversed(self.includes.get(name, []))
            self._visible[context] = list(found)
        return self._visible[context]

    def devices(self, context: str, extension: str) -> Iterator[str]:
        """Yield the devices that the hint of an extension names, such as ``PJSIP/1001``."""
        for name in self.visible(context):
            for pattern, devices in self.hints.get(name, {}).items():
                if overlap(pattern, extension):
                    # Behind the comma stands what tells presence.
                    told = devices.partition(",")[0].replace("${EXTEN}", extension)
                    yield from filter(None, told.split("&"))

    def places(self, context: str, extension: str = ANY) -> list[Place]:
        """Return what is reached in a context by an extension, a pattern, or by any."""
        found = [(name, pattern) for name in self.visible(context) for pattern in self._overlapping(name, extension)]
        if not found and extension not in (ANY, "i"):
            return self.places(context, "i")  # where an extension leads that is not there
        return found

    def _overlapping(self, context: str, extension: str) -> Iterable[str]:
        known = self.steps.get(context, {})
        if extension == ANY:
            return known
        if extension.startswith("_") or "-" in extension:
            return [pattern for pattern in known if overlap(pattern, extension)]
        # Most extensions are not patterns: only patterns need a closer look.
        if context not in self._patterns:
            self._patterns[context] = [one for one in known if one.startswith("_") or "-" in one]
        found = [pattern for pattern in self._patterns[context] if overlap(pattern, extension)]
        return [extension, *found] if extension in known else found

    def ways(
        self, contexts: Iterable[str], wanted: Callable[[Place], bool], avoided: Callable[[Place], bool] = nothing
    ) -> Iterator[tuple[Place, Way]]:
        """Yield each wanted place with the shortest way to it, once for each context that callers dial from.

        Parameters:
            contexts: those that callers dial from.
            wanted: whether a place is looked for.
            avoided: whether a way through this place does not count.
        """
        yield from self._graph.ways(list(contexts), wanted, avoided)

    def spies(self, place: Place) -> list[Step]:
        """Return the steps of a place by which a channel is heard."""
        context, extension = place
        return [step for step in self.steps[context][extension] if spies(step.application, step.arguments)]

    def has_spies(self) -> bool:
        """Whether there is any such step that is not ours."""
        return any(
            spies(step.application, step.arguments)
            for context, extensions in self.steps.items()
            if not self._is_known(context)
            for steps in extensions.values()
            for step in steps
        )

    def unseen(self) -> Iterator[tuple[str, Place]]:
        """Yield what cannot be looked into, and where it stands first; each once, but for our own."""
        told: set[str] = set()
        for context, where in self.switches.items():
            for switch in where:
                yield f"switch => {switch}", (context, "*")
        for context, extensions in self.steps.items():
            if self.is_ours(context):
                continue
            for extension, steps in extensions.items():
                for step in steps:
                    what = f"{step.application}({step.arguments})"
                    if is_unseen(step.application, step.arguments) and what not in told:
                        told.add(what)
                        yield what, (context, extension)

    def targets(self, place: Place) -> Iterator[tuple[str, str]]:
        """Yield what the steps of a place may lead to, as ``application_targets.targets`` names it."""
        for step in self.steps[place[0]][place[1]]:
            key = (step.application, step.arguments)
            if key not in self._targets:
                self._targets[key] = targets(*key, self.steps)
            yield from self._targets[key]

    def named(self, target: str) -> Sequence[str]:
        """Return the contexts that a target may mean; a variable never means one of ours."""
        form = forms(target)
        if form is None:
            return (target,)
        return [name for name in self.steps if not self._is_known(name) and form.fullmatch(name)]

    def _is_known(self, context: str) -> bool:
        return self.is_ours(context) or context == PERIODIC_HOOKS


_Node = tuple[str, ...]
"""Where a walk stands, by its first word:

- ``in``, context, extension: something has been dialled in a context;
- ``at``, the context that the channel is in, place: at one of the extensions that this means. The context is empty
  where the steps do not ask for it, so that everyone who comes here shares the way on;
- ``to``, target, extension: a step leads on.
"""


class _Graph:
    """All places and what leads from each to the next, found once and walked backwards from what is wanted.

    It grows with the dialplan, and so does each question, not with the number of contexts that callers dial from.
    """

    def __init__(self, dialplan: Dialplan) -> None:
        self._dialplan = dialplan
        self._numbers: dict[_Node, int] = {}
        self._nodes: list[_Node] = []
        self._before: list[list[int]] = []
        self._needs_context: dict[Place, bool] = {}

    def ways(
        self, contexts: Sequence[str], wanted: Callable[[Place], bool], avoided: Callable[[Place], bool]
    ) -> Iterator[tuple[Place, Way]]:
        entries = [self._entry(context) for context in contexts]
        ends: dict[Place, list[int]] = {}
        for number, node in enumerate(self._nodes):
            if node[0] == "at":
                ends.setdefault((node[2], node[3]), []).append(number)
        for place in filter(wanted, ends):
            following = self._following(ends[place], avoided)
            for context, entry in zip(contexts, entries, strict=True):
                if entry in following:
                    yield place, self._way(context, following, entry)

    def _entry(self, context: str) -> int:
        """The number of what is dialled in a context; all that follows from there is in the graph as well then."""
        waiting: list[int] = []
        entry = self._number(("in", context, ANY), waiting)
        while waiting:
            number = waiting.pop()
            for node in self._next(self._nodes[number]):
                self._before[self._number(node, waiting)].append(number)
        return entry

    def _number(self, node: _Node, waiting: list[int]) -> int:
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
            self._before.append([])
            waiting.append(number)
        return number

    def _next(self, node: _Node) -> Iterator[_Node]:
        kind, context, *what = node
        if kind == "in":
            for place in self._dialplan.places(context, what[0]):
                yield "at", context if self._asks_for_context(place) else "", *place
        elif kind == "at":
            for target, extension in dict.fromkeys(self._dialplan.targets((what[0], what[1]))):
                yield "to", context if target == SAME else target, what[1] if extension == DIALLED else extension
        else:
            for name in self._dialplan.named(context):
                yield "in", name, what[0]

    def _asks_for_context(self, place: Place) -> bool:
        if place not in self._needs_context:
            self._needs_context[place] = any(target == SAME for target, _ in self._dialplan.targets(place))
        return self._needs_context[place]

    def _following(self, ends: Iterable[int], avoided: Callable[[Place], bool]) -> dict[int, int]:
        """For each node that leads to one of the ends, the next on the shortest way; the end itself for an end."""
        following: dict[int, int] = {}
        latest = []
        for end in ends:
            if not avoided(self._place(end)):
                following[end] = end
                latest.append(end)
        while latest:
            found = []
            for number in latest:
                for before in self._before[number]:
                    if before not in following:
                        if self._nodes[before][0] == "at" and avoided(self._place(before)):
                            continue
                        following[before] = number
                        found.append(before)
            latest = found
        return following

    def _way(self, context: str, following: Mapping[int, int], entry: int) -> Way:
        numbers = [entry]
        while (number := following[numbers[-1]]) != numbers[-1]:
            numbers.append(number)
        path = tuple(self._place(number) for number in numbers if self._nodes[number][0] == "at")
        jumps = (self._nodes[number] for number in numbers if self._nodes[number][0] == "to")
        return Way(context, path, all(forms(target) is None for _, target, _ in jumps))

    def _place(self, number: int) -> Place:
        _, _, context, extension = self._nodes[number]
        return context, extension
