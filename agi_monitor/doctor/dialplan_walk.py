"""Walks through the dialplan as the PBX holds it: what can be reached by dialling, and by which extension. Pure.

Rows are the events ``ListDialplan`` of ShowDialPlan (main/pbx.c). The walk sees includes, patterns, and the places
that applications name: the jumps (Goto, Gosub, Macro and their kin), applications in applications (ExecIf, Exec),
Local channels, digits that are taken in a menu or a transfer, and any context that stands among the arguments of
another application, as Dial, Queue and Originate have them. Where it is in doubt it goes on: an extension that holds
a variable may be each of its context, a context that is a variable may be each. What it cannot see is told by
``Dialplan.unseen``: scripts, programs that steer calls from outside, and extensions that stand elsewhere.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from agi_monitor.doctor.extension_patterns import overlap

Row = Mapping[str, str]

SPIES = frozenset({"chanspy", "extenspy", "dahdiscan"})
"""Applications by which one channel hears another (app_chanspy.c, app_dahdiscan)."""

ANY = ""
"""Stands for every extension of a context."""

SAME = ""
"""Stands for the context that a channel is in."""

_VARIABLE = "\0"
_DIALLED = "\1"

_JUMPS = frozenset({"goto", "gosub", "macro", "macroexclusive"})
_CONDITIONAL = frozenset({"gotoif", "gosubif", "gotoiftime", "macroif"})
_WRAPPERS = frozenset({"execif", "exec", "tryexec", "execiftime"})
_DIGITS = frozenset(
    {"background", "backgrounddetect", "waitexten", "voicemail", "voicemailmain", "directory", "disa", "minivmgreet"}
)
"""Applications after which a caller's digits are an extension of the same context."""
_TRANSFERS = frozenset({"dial", "queue", "followme", "bridge", "page"})
"""Applications with options for digits during the call: t, T and d (app_dial.c)."""
_HARMLESS = frozenset(
    {
        *(
            "answer",
            "busy",
            "congestion",
            "hangup",
            "incomplete",
            "noop",
            "progress",
            "proceeding",
            "ringing",
            "wait",
        ),
        *(
            "log",
            "verbose",
            "dumpchan",
            "userevent",
            "celgenuserevent",
            "nocdr",
            "resetcdr",
            "forkcdr",
            "raiseexception",
        ),
        *(
            "playback",
            "playtones",
            "stopplaytones",
            "musiconhold",
            "startmusiconhold",
            "stopmusiconhold",
            "controlplayback",
        ),
        *("saydigits", "saynumber", "sayalpha", "sayalphacase", "sayphonetic", "sayunixtime", "datetime", "echo"),
        *("monitor", "stopmonitor", "mixmonitor", "stopmixmonitor", "record", "senddtmf", "sendtext", "read"),
        *("return", "macroexit", "stackpop", "endwhile", "continuewhile", "exitwhile"),
    }
)
"""Applications whose arguments are no places."""
_SCRIPTS = frozenset({"agi", "eagi", "deadagi", "stasis", "externalivr", "mrcprecog"})
"""Applications behind which something else decides where a call goes."""

_SETS_PLACE = re.compile(r"context|xfr|handler|gosub|macro|features", re.IGNORECASE)
_LOCAL = re.compile(r"Local/(?P<extension>[^@/&,()]+)@(?P<context>[^/&,()]+)(?:/\w+)?", re.IGNORECASE)
_WORDS = re.compile(r"[^,^&()@?:/=|\s!]+")
_SPY_WORD = re.compile(rf"\b(?:{'|'.join(SPIES)})\b", re.IGNORECASE)
_INSIDE = re.compile(r"\s*(?P<application>\w+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)


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

_State = tuple[str, str, str]
"""The context that the channel is in, and the place that was found from there."""


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


def nothing(_: object) -> bool:
    """Say no."""
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
            elif "Extension" in row and row.get("Priority", "").isdigit():
                step = Step(int(row["Priority"]), row.get("Application", ""), row.get("AppData", ""))
                # Behind a slash stands for which callers it is.
                extensions.setdefault(row["Extension"].partition("/")[0], []).append(step)

    def visible(self, context: str) -> list[str]:
        """Return the contexts that somebody sees from one: itself, and what it includes, each once."""
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
        found = [
            (name, pattern)
            for name in self.visible(context)
            for pattern in self.steps.get(name, {})
            if extension == ANY or overlap(pattern, extension)
        ]
        if not found and extension not in (ANY, "i"):
            return self.places(context, "i")  # where an extension leads that is not there
        return found

    def ways(
        self, contexts: Iterable[str], wanted: Callable[[Place], bool], avoided: Callable[[Place], bool] = nothing
    ) -> Iterator[tuple[Place, Way]]:
        """Yield each wanted place with the shortest way to it, once for each context that somebody dials from.

        Parameters:
            contexts: that somebody dials from.
            wanted: whether a place is looked for.
            avoided: whether a way through this place does not count.
        """
        for context in contexts:
            yield from self._ways_from(context, wanted, avoided)

    def _ways_from(
        self, context: str, wanted: Callable[[Place], bool], avoided: Callable[[Place], bool]
    ) -> Iterator[tuple[Place, Way]]:
        came_from: dict[_State, _State | None] = {}
        waiting: deque[_State] = deque()
        gone: set[tuple[str, str]] = set()
        told: set[Place] = set()

        def arrive(name: str, extension: str, before: _State | None) -> None:
            if (name, extension) in gone:
                return
            gone.add((name, extension))
            for found in self.places(name, extension):
                state = (name, *found)
                if state not in came_from and not avoided(found):
                    came_from[state] = before
                    waiting.append(state)

        arrive(context, ANY, None)
        while waiting:
            state = waiting.popleft()
            current, *where = state
            place = (where[0], where[1])
            if wanted(place) and place not in told:
                told.add(place)
                yield place, Way(context, _path(came_from, state))
            for step in self.steps[place[0]][place[1]]:
                for target, extension in self._of(step):
                    dialled = place[1] if extension == _DIALLED else extension
                    for name in self._named(target, current):
                        arrive(name, dialled, state)

    def spies(self, place: Place) -> list[Step]:
        """Return the steps of a place by which somebody is heard."""
        context, extension = place
        return [step for step in self.steps[context][extension] if _spies(step)]

    def has_spies(self) -> bool:
        """Whether there is any such step that is not ours."""
        return any(
            _spies(step)
            for context, extensions in self.steps.items()
            if not self.is_ours(context)
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
                    if _is_unseen(step) and what not in told:
                        told.add(what)
                        yield what, (context, extension)

    def _of(self, step: Step) -> list[tuple[str, str]]:
        key = (step.application.lower(), step.arguments)
        if key not in self._targets:
            self._targets[key] = list(dict.fromkeys(_targets(key[0], _blurred(step.arguments), self.steps)))
        return self._targets[key]

    def _named(self, target: str, current: str) -> Sequence[str]:
        if target == SAME:
            return (current,)
        if _VARIABLE not in target and _DIALLED not in target:
            return (target,)
        form = _form(target)
        return [name for name in self.steps if not self.is_ours(name) and form.fullmatch(name)]


@cache
def _form(target: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split("[\0\1]+", target))), re.DOTALL)


def _blurred(text: str) -> str:
    """A text with one sign in the place of each variable and expression; another one for what was dialled."""
    text = text.replace(_VARIABLE, "").replace(_DIALLED, "").replace("${EXTEN}", _DIALLED)
    before = None
    while before != text:
        before = text
        text = re.sub(r"\$(?:\{[^{}]*\}|\[[^\[\]]*\])", _VARIABLE, text)
    return text


def _targets(application: str, arguments: str, contexts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the contexts and extensions that an application may lead to."""
    if application in _WRAPPERS:
        for inner in _inside(application, arguments):
            yield from _targets(*inner, contexts)
    elif application in _JUMPS:
        yield from _jump(application, arguments)
    elif application in _CONDITIONAL:
        for branch in _branches(arguments):
            yield from _jump("macro" if application == "macroif" else application, branch)
    elif application not in _HARMLESS and application not in _SCRIPTS:
        yield from _mentioned(application, arguments, contexts)


def _mentioned(application: str, arguments: str, contexts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for local in _LOCAL.finditer(arguments):
        yield local["context"], _extension(local["extension"])
    if application in _DIGITS or (application in _TRANSFERS and _takes_digits(arguments)):
        yield SAME, ANY
    if application in ("set", "mset") and not _SETS_PLACE.search(arguments.partition("=")[0]):
        return
    for word in _WORDS.findall(_LOCAL.sub("", arguments)):
        if word in contexts:
            yield word, ANY
        if f"macro-{word}" in contexts:
            yield f"macro-{word}", "s"


def _takes_digits(arguments: str) -> bool:
    """Whether the options let somebody dial during the call; those in a variable may."""
    options = re.sub(r"\([^()]*\)", "", ",".join(re.sub(r"\([^()]*\)", "", arguments).split(",")[1:]))
    return any(_VARIABLE in part or (part.isalpha() and set(part) & set("tTd")) for part in options.split(","))


def _inside(application: str, arguments: str) -> Iterator[tuple[str, str]]:
    for text in _branches(arguments) if application.startswith("execif") else [arguments]:
        inner = _INSIDE.fullmatch(text)
        if inner is not None:
            yield inner["application"].lower(), inner["arguments"] or ""


def _branches(arguments: str) -> list[str]:
    """The two behind the question mark; a colon in brackets parts nothing."""
    behind = arguments.partition("?")[2]
    parts, depth, last = [], 0, 0
    for position, sign in enumerate(behind):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == ":" and depth == 0:
            parts.append(behind[last:position])
            last = position + 1
    return [*parts, behind[last:]]


def _jump(application: str, text: str) -> Iterator[tuple[str, str]]:
    if application.startswith("macro"):
        yield f"macro-{text.partition(',')[0].strip()}", "s"
        return
    text = text.partition("(")[0] if application.startswith("gosub") else text
    parts = [part.strip() for part in text.split(",")]
    if len(parts) == 1:
        # A label or a number is a priority of the same extension. A variable may hold all three.
        if _VARIABLE in text:
            yield _VARIABLE, ANY
    elif len(parts) == 2:
        yield SAME, _extension(parts[0])
    else:
        yield parts[0] or SAME, _extension(parts[1])


def _extension(text: str) -> str:
    """A text without a variable; one with a variable may be anything, but for the extension that was dialled."""
    if text == _DIALLED:
        return text
    return ANY if _VARIABLE in text or _DIALLED in text else text


def _spies(step: Step) -> bool:
    application = step.application.lower()
    if application in SPIES:
        return True
    if application in _HARMLESS or application in ("set", "mset"):
        return False
    return _SPY_WORD.search(step.arguments) is not None


def _is_unseen(step: Step) -> bool:
    application, arguments = step.application.lower(), _blurred(step.arguments)
    if application in _SCRIPTS:
        return True
    if application in ("exec", "tryexec"):
        return _INSIDE.fullmatch(arguments) is None
    return False


def _path(came_from: Mapping[_State, _State | None], state: _State) -> tuple[Place, ...]:
    states = [state]
    while (before := came_from[states[-1]]) is not None:
        states.append(before)
    return tuple((context, extension) for _, context, extension in reversed(states))
