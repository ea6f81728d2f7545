"""The arrows of the house: who may import whom, and which room a library lives in.

A room is a folder of the package, or a module that stands beside the folders. A new file needs no entry here: it is
in its room. A new room needs its storey.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "agi_monitor"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

VOCABULARY = frozenset({"model", "errors", "limits", "names", "shown"})

STOREYS: tuple[frozenset[str], ...] = (
    VOCABULARY,
    frozenset({"files", "sounds", "embedding"}),
    frozenset({"rights", "pins", "live", "audit", "dialplan", "agi", "ami", "control"}),
    frozenset({"supervision", "install"}),
    frozenset({"config", "async_agi", "testing"}),
    frozenset({"storage", "pbx", "pytest_plugin"}),
    frozenset({"pin_check"}),
    # The package itself: its public names, and its version.
    frozenset({""}),
    frozenset({"server", "doctor", "setup"}),
    frozenset({"commands"}),
    frozenset({"__main__"}),
)
"""From the ground up. A room imports rooms of lower storeys only; two of one storey do not know each other."""

PURE = frozenset({"sounds", "rights", "pins", "live", "audit", "supervision", "config", "dialplan", *VOCABULARY})
"""Rooms of decisions and of text: they have no clock, no socket, no thread and no process of their own."""

IMPURE = frozenset({"click", "os", "rich", "select", "signal", "socket", "sqlalchemy", "subprocess", "threading"}) | {
    "time",
    "twisted",
}
"""What a pure room does not import."""

SANS_IO = frozenset(
    {
        *("agi.arguments", "agi.connection", "agi.messages"),
        *("ami.authentic", "ami.connection", "ami.limits", "ami.messages", "ami.permissions", "ami.states"),
        *("control.limits", "control.lines", "control.messages"),
    }
)
"""The cores of the wires: bytes in, events out. They are as pure as a decision."""

IMPURITIES: Mapping[tuple[str, str], str] = {
    ("config.yaml", "os"): "the configuration is read without waiting for a pipe",
    ("dialplan.conf_files", "os"): "Asterisk's files are read as their owner may",
}
"""Imports of pure rooms all the same, by module and library, each with its reason."""

LIBRARIES: Mapping[str, frozenset[str]] = {
    "OpenSSL": frozenset({"ami.endpoints"}),
    "alembic": frozenset({"storage.database", "storage.migrations"}),
    "argon2": frozenset({"pins.records"}),
    "asterisk": frozenset({"agi.blocking", "agi.script_process", "agi.pyst2", "ami.blocking"}),
    "click": frozenset({"commands"}),
    "cryptography": frozenset({"ami.endpoints", "doctor.gathering", "storage.audit.key_file"}),
    "jinja2": frozenset({"dialplan"}),
    "prometheus_client": frozenset({"server.metrics"}),
    "pydantic": frozenset({"commands.people", "config", "server.people_plugin", "storage.people_table"}),
    "pytest": frozenset({"pytest_plugin"}),
    "rich": frozenset({"commands"}),
    "ruamel": frozenset({"config.yaml"}),
    "service_identity": frozenset({"ami.endpoints"}),
    "sqlalchemy": frozenset({"storage"}),
    "structlog": frozenset(
        {
            *(
                "agi",
                "ami",
                "async_agi",
                "commands.serve",
                "control.protocol",
                "embedding",
                "pbx",
                "pins.guard",
                "server",
                "storage",
            ),
            *("supervision.hooks", "supervision.line", "testing"),
        }
    ),
    "twisted": frozenset(
        {"agi", "ami", "async_agi", "commands.serve", "control.protocol", "embedding", "pbx", "pin_check", "server"}
        | {"testing"}
    ),
    "zope": frozenset({"agi", "ami", "async_agi", "control.protocol", "embedding", "server", "testing"}),
}
"""Library -> the rooms or modules it may be imported in. One that is missing here belongs nowhere."""


class Import(NamedTuple):
    """One name that a module imports."""

    line: int
    name: str
    at_top: bool


def imports(source: str) -> Iterator[Import]:
    """All imports of a module, those in functions and under TYPE_CHECKING too."""
    tree = ast.parse(source)
    top = {id(node) for statement in tree.body for node in _runs_at_import(statement)}
    for node in ast.walk(tree):
        at_top = id(node) in top
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name, at_top)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}", at_top)


def _runs_at_import(statement: ast.AST) -> Iterator[ast.AST]:
    yield statement
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(statement):
            yield from _runs_at_import(child)


def room_of(module: str) -> str:
    """The room of a module: its folder, or itself."""
    return module.partition(".")[0]


def storey_of(room: str) -> int | None:
    """How high a room stands."""
    return next((height for height, rooms in enumerate(STOREYS) if room in rooms), None)


def target_of(name: str, modules: frozenset[str]) -> str:
    """The module of ours that an import names: ``from agi_monitor.model import Mode`` names a thing in a module."""
    ours = name.removeprefix(PACKAGE).removeprefix(".")
    return ours if ours in modules else ours.rpartition(".")[0]


def is_in(module: str, places: frozenset[str]) -> bool:
    """Whether a module is one of these, or in one of them."""
    return any(module == place or module.startswith(f"{place}.") for place in places)


def violations(module: str, source: str, modules: frozenset[str]) -> list[str]:
    """What a module imports although it may not.

    Parameters:
        module: its name within the package, such as ``agi.session``.
        source: its text.
        modules: all names of modules of the package.
    """
    room = room_of(module)
    height = storey_of(room)
    if height is None:
        return [f"{module}: {room} is on no storey"]
    found = []
    for line, name, at_top in imports(source):
        where = f"{module}:{line}: {name}"
        first = name.partition(".")[0]
        if name.startswith("."):
            found.append(f"{where}: a relative import")
        elif first == PACKAGE:
            target = room_of(target_of(name, modules))
            below = storey_of(target)
            if target != room and (below is None or below >= height):
                found.append(f"{where}: {room or PACKAGE} may not import {target or PACKAGE}")
            continue
        elif first not in sys.stdlib_module_names and not is_in(module, LIBRARIES.get(first, frozenset())):
            found.append(f"{where}: {first} has another room")
        elif (room in PURE or module in SANS_IO) and first in IMPURE and (module, first) not in IMPURITIES:
            found.append(f"{where}: {module if module in SANS_IO else room} is pure")
        if name == "twisted.internet.reactor" and at_top:
            found.append(f"{where}: the reactor comes in as an argument")
    return found


def circle(arrows: Mapping[str, frozenset[str]]) -> list[str]:
    """Modules that import each other in a circle, or nothing."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return []
        for target in sorted(arrows.get(module, ())):
            found = walk(target, [*way, module])
            if found:
                return found
        done.add(module)
        return []

    return next((found for module in sorted(arrows) if (found := walk(module, []))), [])


def arrows_of(sources: Mapping[str, str], room: str) -> dict[str, frozenset[str]]:
    """Which modules of a room import which others of it."""
    modules = frozenset(sources)
    inside = [module for module in sources if room_of(module) == room]
    return {
        module: frozenset(
            target
            for one in imports(sources[module])
            if one.name.partition(".")[0] == PACKAGE
            and (target := target_of(one.name, modules)) in inside
            and target != module
        )
        for module in inside
    }


def read_sources() -> dict[str, str]:
    """The text of every module of the package, by its name within it."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


SOURCES = read_sources()
MODULES = frozenset(SOURCES) | {"templates"}
ROOMS = sorted({room_of(module) for module in SOURCES})


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room or PACKAGE)
def test_a_room_imports_what_stands_below_it(room: str) -> None:
    """Every import leads down, and every library is in its room."""
    inside = [module for module in SOURCES if room_of(module) == room]
    assert [found for module in inside for found in violations(module, SOURCES[module], MODULES)] == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room or PACKAGE)
def test_no_circle_in_a_room(room: str) -> None:
    """Within a room one module stands on another, and none on itself."""
    assert circle(arrows_of(SOURCES, room)) == []


def test_the_tables_name_only_what_there_is() -> None:
    """A room or module that was renamed or removed leaves the tables as well."""
    named = {room for rooms in STOREYS for room in rooms} | PURE
    assert named - set(ROOMS) == set()
    places = (
        {place for rooms in LIBRARIES.values() for place in rooms} | {module for module, _ in IMPURITIES} | SANS_IO
    )
    assert {place for place in places if not any(is_in(module, frozenset({place})) for module in SOURCES)} == set()


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("model", "from agi_monitor.errors import ConfigError", "model may not import errors"),
        ("pins.guard", "from agi_monitor.supervision.spy_call import SpyCall", "pins may not import supervision"),
        ("pins.guard", "from agi_monitor.supervision import spy_call", "pins may not import supervision"),
        ("pins.guard", "import agi_monitor.storage.state_folder", "pins may not import storage"),
        ("rights.hours", "from agi_monitor.pins import guard", "rights may not import pins"),
        ("supervision.spy_call", "from agi_monitor.config.sections import Config", "may not import config"),
        (
            "supervision.spy_call",
            "def f():\n    from agi_monitor.pbx.pbx import Pbx",
            "may not import pbx",
        ),
        (
            "supervision.spy_call",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from agi_monitor.pbx.pbx import Pbx",
            "may not import pbx",
        ),
        ("supervision.spy_call", "from twisted.internet.defer import Deferred", "twisted has another room"),
        ("web.views", "import re", "web is on no storey"),
        ("agi.session", "from agi_monitor.pins.guard import PinGuard", "agi may not import pins"),
        ("agi.session", "from agi_monitor.ami.protocol import AMI", "agi may not import ami"),
        ("ami.protocol", "from agi_monitor.agi.messages import Command", "ami may not import agi"),
        ("live.index", "import time", "live is pure"),
        ("agi.connection", "from twisted.internet.defer import Deferred", "agi.connection is pure"),
        ("ami.messages", "import socket", "ami.messages is pure"),
        ("audit.chain", "import sqlalchemy", "sqlalchemy has another room"),
        ("agi.protocol", "from twisted.internet import reactor", "the reactor comes in"),
        ("server.service", "import twisted.internet.reactor", "the reactor comes in"),
        ("server.service", "if True:\n    from twisted.internet import reactor", "the reactor comes in"),
        ("server.service", "class A:\n    from twisted.internet import reactor", "the reactor comes in"),
        ("server.service", "from agi_monitor.commands.main import main", "server may not import commands"),
        ("server.service", "from agi_monitor.doctor import checks", "server may not import doctor"),
        ("storage.state_folder", "from agi_monitor.pbx.pbx import Pbx", "storage may not import pbx"),
        ("dialplan.render", "from agi_monitor.config.sections import Config", "dialplan may not import config"),
        ("config.sections", "from agi_monitor.storage import database", "config may not import storage"),
        ("testing.fake_asterisk", "from agi_monitor.config.loading import load", "testing may not import config"),
        ("", "from agi_monitor.commands.main import main", "may not import commands"),
        ("config.sections", "import jinja2", "jinja2 has another room"),
        ("server.service", "from argon2 import PasswordHasher", "argon2 has another room"),
        ("agi.session", "from asterisk.agi import AGI", "asterisk has another room"),
        ("commands.main", "import requests", "requests has another room"),
        ("agi.session", "from .messages import Command", "a relative import"),
        ("agi.session", "from . import messages", "a relative import"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, source: str, complaint: str) -> None:
    """Planted violations, each with what is said about it."""
    (found,) = violations(module, source, MODULES)
    assert complaint in found.removeprefix(module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("commands.serve", "def serve():\n    from twisted.internet import reactor"),
        ("commands.serve", "from agi_monitor.server.service import Server"),
        ("server.service", "from agi_monitor.agi.session import Session\nfrom agi_monitor.config import translation"),
        ("supervision.spy_call", "from agi_monitor.supervision import chanspy\nimport re"),
        ("agi.session", "from agi_monitor.agi.messages import Command"),
        ("commands.main", "from agi_monitor import __version__"),
    ],
)
def test_a_right_arrow_is_left_alone(module: str, source: str) -> None:
    """What leads down, or to the same room, is not a violation."""
    assert violations(module, source, MODULES) == []


def test_a_circle_is_found() -> None:
    """Three modules that import each other, one of them in a function."""
    sources = {
        "live.a": "from agi_monitor.live import b",
        "live.b": "def f():\n    from agi_monitor.live.c import C",
        "live.c": "from agi_monitor.live.a import A",
    }
    assert circle(arrows_of(sources, "live")) == ["live.a", "live.b", "live.c", "live.a"]
