"""Where an application of the dialplan may lead: the places that its arguments name. Pure.

Jumps (Goto, Gosub, Macro and their kin), applications in applications (ExecIf, Exec), Local channels, digits that are
taken in a menu or a transfer, and any context that stands among the arguments of another application, as Dial, Queue
and Originate have them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

SPIES = frozenset({"chanspy", "extenspy", "dahdiscan"})
"""Applications by which one channel hears another (app_chanspy.c, app_dahdiscan)."""

ANY = ""
"""Stands for every extension of a context."""

SAME = ""
"""Stands for the context that a channel is in."""

DIALLED = "\1"
"""Stands for the extension that was dialled."""

_VARIABLE = "\0"

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
"""Applications whose arguments are not places."""
_SCRIPTS = frozenset({"agi", "eagi", "deadagi", "stasis", "externalivr", "mrcprecog"})
"""Applications behind which something else decides where a call goes."""

_SETS_PLACE = re.compile(r"context|xfr|handler|gosub|macro|features", re.IGNORECASE)
_LOCAL = re.compile(r"Local/(?P<extension>[^@/&,()]+)@(?P<context>[^/&,()]+)(?:/\w+)?", re.IGNORECASE)
_WORDS = re.compile(r"[^,^&()@?:/=|\s!]+")
_SPY_WORD = re.compile(rf"(?<![\w-])(?:{'|'.join(SPIES)})(?![\w-])", re.IGNORECASE)
_INSIDE = re.compile(r"\s*(?P<application>\w+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)


def forms(target: str) -> re.Pattern[str] | None:
    """Return what the contexts look like that a target may mean; None for one that has no variable."""
    return _form(target) if _VARIABLE in target or DIALLED in target else None


@cache
def _form(target: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, re.split("[\0\1]+", target))), re.DOTALL)


def _blurred(text: str) -> str:
    """A text with one sign in the place of each variable and expression; another one for what was dialled."""
    text = text.replace(_VARIABLE, "").replace(DIALLED, "").replace("${EXTEN}", DIALLED)
    before = None
    while before != text:
        before = text
        text = re.sub(r"\$(?:\{[^{}]*\}|\[[^\[\]]*\])", _VARIABLE, text)
    return text


def targets(application: str, arguments: str, contexts: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return the contexts and extensions that an application may lead to, each once.

    Parameters:
        application: as written in the dialplan.
        arguments: as written in the dialplan.
        contexts: all that exist.

    Returns:
        contexts, one of which may be SAME or have variables (see ``forms``), and extensions, one of which may be ANY
        or DIALLED.
    """
    return list(dict.fromkeys(_targets(application.lower(), _blurred(arguments), contexts)))


def _targets(application: str, arguments: str, contexts: Mapping[str, object]) -> Iterator[tuple[str, str]]:
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
    """Return whether the options let a party dial during the call; those in a variable may."""
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
    if text == DIALLED:
        return text
    return ANY if _VARIABLE in text or DIALLED in text else text


def spies(application: str, arguments: str) -> bool:
    """Return whether an application hears a channel, or has an application that does among its arguments."""
    application = application.lower()
    if application in SPIES:
        return True
    # A jump names places, whatever they are called: what stands there is looked at there.
    if application in _HARMLESS or application in _JUMPS or application in _CONDITIONAL:
        return False
    if application in ("set", "mset"):
        return False
    return _SPY_WORD.search(arguments) is not None


def is_unseen(application: str, arguments: str) -> bool:
    """Return whether something else decides where a call goes from here: a script, or a name not known before."""
    application, arguments = application.lower(), _blurred(arguments)
    if application in _SCRIPTS:
        return True
    if application in ("exec", "tryexec"):
        return _INSIDE.fullmatch(arguments) is None
    return False
