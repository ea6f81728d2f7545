"""Evaluates ``${...}`` as far as stories use it. What it does not know it refuses loudly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from agi_monitor.testing.fake_channel import STATE_NAMES, FakeChannel

MAX_CHANNELS_BYTES = 4_095
"""``CHANNELS()`` fills a buffer of 4,096 bytes with its NUL (VAR_BUF_SIZE, pbx_variables.c) and cuts the rest."""

FUNCTION = re.compile(r"([A-Z_]+)\((.*)\)", re.DOTALL)


class Asked(Protocol):
    """What an expression is about: ``FakeAsterisk``."""

    @property
    def channels(self) -> Sequence[FakeChannel]:
        """All channels."""
        ...

    @property
    def hints(self) -> Mapping[str, str]:
        """By ``extension@context``, the devices of a hint."""
        ...

    @property
    def device_states(self) -> Mapping[str, str]:
        """By device, its state."""
        ...

    @property
    def database(self) -> Mapping[tuple[str, str], str]:
        """AstDB: by family and key."""
        ...

    @property
    def functions(self) -> Mapping[str, Callable[[FakeChannel, str], str]]:
        """Functions of a test's own, by their names."""
        ...


def evaluate(fake: Asked, channel: FakeChannel, text: str) -> str:
    """Replace every ``${...}`` in a text, the inner ones first, as seen from a channel."""
    pieces: list[str] = []
    at = 0
    while (start := text.find("${", at)) >= 0:
        pieces.append(text[at:start])
        depth, end = 1, start + 2
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        inner = text[start + 2 : end - 1] if depth == 0 else text[start + 2 :]
        pieces.append(variable(fake, channel, evaluate(fake, channel, inner)))
        at = end
    pieces.append(text[at:])
    return "".join(pieces)


def variable(fake: Asked, channel: FakeChannel, name: str) -> str:
    """The value of one variable or function; what is not set is empty."""
    match = FUNCTION.fullmatch(name)
    if match is not None:
        return function(fake, channel, match[1], match[2])
    known = {
        "UNIQUEID": channel.uniqueid,
        "CHANNEL": channel.name,
        "BRIDGEPEER": ",".join(bridged(fake, channel)),
        "CONTEXT": channel.context,
        "EXTEN": channel.extension,
        "PRIORITY": channel.priority,
    }
    if channel.variables.get(name) is not None:
        return channel.variables[name]
    return known.get(name, "")


def bridged(fake: Asked, channel: FakeChannel) -> list[str]:
    """The names of all others in the bridge of a channel, which one of them may tell for all (bridge.c)."""
    own = channel.bridge_peer.split(",") if channel.bridge_peer else []
    for other in fake.channels if len(own) < 2 else ():
        names = other.bridge_peer.split(",")
        # Of two, each tells who it talks to.
        if other.alive and len(names) > 1 and channel.name in names and own in ([], [other.name]):
            return [other.name, *(name for name in names if name != channel.name)]
    return own


def function(fake: Asked, channel: FakeChannel, name: str, argument: str) -> str:
    """The value of one dialplan function.

    Raises:
        LookupError: the fake does not know it, and an empty answer would be a lie.
    """
    if name in fake.functions:
        return fake.functions[name](channel, argument)
    if name == "HINT":
        return fake.hints.get(argument, "")
    if name == "DEVICE_STATE":
        return fake.device_states.get(argument, "INVALID" if "/" not in argument else "UNKNOWN")
    if name == "CHANNELS":
        wanted = re.compile(argument, re.IGNORECASE)
        names = [other.name for other in fake.channels if other.alive and wanted.search(other.name)]
        return " ".join(names).encode()[:MAX_CHANNELS_BYTES].decode("utf-8", "replace")
    if name == "DB":
        family, _, key = argument.partition("/")
        return fake.database.get((family, key), "")
    if name == "CALLERID":
        return {"num": channel.caller_id, "name": channel.caller_id_name}.get(argument) or ""
    if name == "FILTER":
        allowed, _, value = argument.partition(",")
        return "".join(re.findall(f"[{allowed}]", value))
    if name == "CONNECTEDLINE":
        return channel.variables.get(f"CONNECTEDLINE({argument})") or ""
    if name == "CHANNEL":
        answers = {
            "state": STATE_NAMES[channel.state],
            "onhold": "1" if channel.on_hold else "0",
            "name": channel.name,
            "uniqueid": channel.uniqueid,
            "language": channel.language,
            "peer": "".join(bridged(fake, channel)) if len(bridged(fake, channel)) == 1 else "",
            "appname": channel.variables.get("application", ""),
            "appdata": channel.variables.get("application data", ""),
        }
        if channel.name.startswith("PJSIP/"):
            answers["endpoint"] = channel.name.removeprefix("PJSIP/").rpartition("-")[0]
        if channel.name.startswith("SIP/"):
            answers["peername"] = channel.peer_name
        if argument in answers:
            return answers[argument]
    raise LookupError(f"FakeAsterisk does not know ${{{name}({argument})}}; teach it: fake.functions[{name!r}] = ...")
