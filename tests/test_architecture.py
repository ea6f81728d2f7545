"""The arrows of the house: who may import whom, and which room a library lives in."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "agi_monitor"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

VOCABULARY = {"model", "errors", "limits", "names"}

FILES = VOCABULARY | {"folder"}
"""For who writes files: see ``folder``."""

ARROWS: dict[str, set[str]] = {
    # The vocabulary imports nothing of ours.
    "model": set(),
    "errors": set(),
    "limits": set(),
    "names": set(),
    # Who writes files does it there.
    "folder": set(),
    # The decisions, one above the other: no circle can stand in a table that is read from the top.
    "supervision": set(),
    "supervision.feature_code": VOCABULARY,
    "supervision.pin_costs": set(),
    "supervision.pin_records": VOCABULARY | {"supervision.pin_costs"},
    "supervision.pin_rules": set(),
    "supervision.lock_outs": VOCABULARY,
    "supervision.waiting": set(),
    "supervision.pins": VOCABULARY
    | {
        "supervision.lock_outs",
        "supervision.pin_costs",
        "supervision.pin_records",
        "supervision.pin_rules",
        "supervision.waiting",
    },
    "supervision.hours": VOCABULARY,
    "supervision.patterns": VOCABULARY,
    "supervision.authorization": VOCABULARY | {"supervision.hours", "supervision.patterns"},
    "supervision.explain": VOCABULARY | {"supervision.authorization"},
    "supervision.chanspy": VOCABULARY,
    "supervision.audit": VOCABULARY,
    "supervision.audit_chain": set(),
    "supervision.audit_stretches": {"supervision.audit_chain"},
    "supervision.audit_verification": {"supervision.audit_chain", "supervision.audit_stretches"},
    "supervision.audit_selection": set(),
    "supervision.audit_report": VOCABULARY | {"supervision.audit_selection"},
    "supervision.prompts": VOCABULARY,
    "supervision.bridging": VOCABULARY,
    "supervision.targets": VOCABULARY | {"supervision.bridging"},
    "supervision.protected": VOCABULARY | {"supervision.targets"},
    "supervision.scan": VOCABULARY | {"supervision.targets"},
    "supervision.circumstances": VOCABULARY,
    "supervision.policy": VOCABULARY
    | {
        "supervision.authorization",
        "supervision.circumstances",
        "supervision.prompts",
        "supervision.protected",
    },
    "supervision.hooks": VOCABULARY | {"supervision.audit", "supervision.prompts", "supervision.targets"},
    "supervision.line": VOCABULARY
    | {"supervision.audit", "supervision.hooks", "supervision.policy", "supervision.prompts"},
    "supervision.pin_change": VOCABULARY
    | {
        "supervision.audit",
        "supervision.line",
        "supervision.pin_records",
        "supervision.pin_rules",
        "supervision.pins",
    },
    "supervision.identification": VOCABULARY
    | {
        "supervision.audit",
        "supervision.line",
        "supervision.pin_change",
        "supervision.pin_records",
        "supervision.pin_rules",
        "supervision.pins",
    },
    "supervision.device_channels": VOCABULARY | {"supervision.chanspy", "supervision.targets"},
    "supervision.headers": set(),
    "supervision.devices": VOCABULARY | {"supervision.device_channels", "supervision.headers"},
    "supervision.calls": VOCABULARY
    | {
        "supervision.chanspy",
        "supervision.device_channels",
        "supervision.devices",
        "supervision.headers",
        "supervision.targets",
    },
    "supervision.channels": VOCABULARY
    | {
        "supervision.calls",
        "supervision.device_channels",
        "supervision.devices",
        "supervision.headers",
        "supervision.targets",
    },
    "supervision.confirmation": VOCABULARY,
    "supervision.grants": VOCABULARY | {"supervision.bridging", "supervision.confirmation", "supervision.headers"},
    "supervision.proof": VOCABULARY | {"supervision.confirmation", "supervision.grants"},
    "supervision.live_pbx": VOCABULARY
    | {
        "supervision.calls",
        "supervision.channels",
        "supervision.devices",
        "supervision.grants",
        "supervision.targets",
    },
    "supervision.onlooker": VOCABULARY
    | {
        "supervision.channels",
        "supervision.circumstances",
        "supervision.grants",
        "supervision.live_pbx",
        "supervision.policy",
    },
    "supervision.origins": VOCABULARY
    | {
        "supervision.calls",
        "supervision.circumstances",
        "supervision.device_channels",
        "supervision.targets",
    },
    "supervision.owners": VOCABULARY | {"supervision.channels", "supervision.live_pbx", "supervision.policy"},
    "supervision.spying": VOCABULARY
    | {
        "supervision.audit",
        "supervision.bridging",
        "supervision.calls",
        "supervision.channels",
        "supervision.chanspy",
        "supervision.circumstances",
        "supervision.grants",
        "supervision.hooks",
        "supervision.line",
        "supervision.live_pbx",
        "supervision.onlooker",
        "supervision.origins",
        "supervision.owners",
        "supervision.policy",
        "supervision.proof",
        "supervision.protected",
        "supervision.targets",
    },
    "supervision.spy_call": VOCABULARY
    | {
        "supervision.audit",
        "supervision.channels",
        "supervision.chanspy",
        "supervision.feature_code",
        "supervision.grants",
        "supervision.hooks",
        "supervision.identification",
        "supervision.line",
        "supervision.live_pbx",
        "supervision.owners",
        "supervision.pins",
        "supervision.policy",
        "supervision.prompts",
        "supervision.scan",
        "supervision.spying",
        "supervision.targets",
    },
    # The wires: no policy, and neither knows the other.
    "agi": VOCABULARY | {"agi"},
    "ami": VOCABULARY | {"ami"},
    "control": FILES | {"control"},
    # AGI over AMI: both wires, and nothing of the product.
    "async_agi": VOCABULARY | {"agi", "ami"},
    # Numbers, and the page that shows them.
    "metrics": VOCABULARY | {"supervision.audit"},
    "metrics_page": {"metrics"},
    # Files: no wire.
    "dialplan": FILES | {"dialplan", "templates"},
    "storage": FILES
    | {
        "",
        "storage",
        "supervision.audit",
        "supervision.audit_chain",
        "supervision.lock_outs",
        "supervision.pin_records",
        "supervision.pins",
    },
    "storage.pin_table": VOCABULARY | {"people", "storage", "supervision.pin_records"},
    "storage.people_table": VOCABULARY | {"", "document", "people", "storage"},
    "storage.audit_comparison": FILES | {"supervision.audit_chain", "supervision.audit_selection"},
    "storage.audit_retention": FILES | {"storage", "supervision.audit_chain", "supervision.audit_selection"},
    # The configuration, and what it is translated into.
    "document": VOCABULARY,
    "people": VOCABULARY | {"document", "supervision.hours", "supervision.patterns", "supervision.pin_costs"},
    "config": VOCABULARY | {"document", "people"},
    "config_process": VOCABULARY | {"", "config", "document"},
    "sample": set(),
    "visible": set(),
    "logs": {"visible"},
    "tables": {"control.overview", "visible"},
    "terminal": FILES | {"visible"},
    "whoami": set(),
    "people_plugin": VOCABULARY | {"document", "people", "plugins", "supervision.hooks"},
    "people_source": {"config", "people_plugin", "plugins", "storage"},
    "people_csv": VOCABULARY | {"", "document", "people"},
    "people_tables": {"people", "tables"},
    "people_cli": VOCABULARY
    | {
        "",
        "config",
        "document",
        "people",
        "people_csv",
        "people_source",
        "people_tables",
        "storage",
        "terminal",
        "visible",
        "whoami",
    },
    "audit_tables": VOCABULARY
    | {
        "storage.audit_comparison",
        "supervision.audit",
        "supervision.audit_report",
        "supervision.audit_selection",
        "supervision.audit_verification",
        "tables",
    },
    "audit_source": VOCABULARY
    | {
        "storage",
        "supervision.audit_chain",
        "supervision.audit_selection",
        "supervision.audit_stretches",
        "supervision.audit_verification",
    },
    "audit_cli": VOCABULARY
    | {
        "",
        "audit_source",
        "audit_tables",
        "config",
        "document",
        "storage",
        "supervision.audit_chain",
        "supervision.audit_report",
        "supervision.audit_selection",
        "supervision.audit_verification",
        "whoami",
        "terminal",
        "visible",
    },
    "assembly": VOCABULARY
    | {
        "config",
        "dialplan.site",
        "people",
        "supervision.authorization",
        "supervision.hours",
        "supervision.lock_outs",
        "supervision.pin_costs",
        "supervision.pin_rules",
        "supervision.pins",
        "supervision.policy",
        "supervision.prompts",
        "supervision.protected",
    },
    "pin_waits": set(),
    # The live PBX, and what the server shows of itself.
    "bulletin": {"supervision.audit"},
    "under_way": set(),
    "systemd": VOCABULARY,
    "hangup_command": VOCABULARY,
    "garbage": set(),
    "pbx": VOCABULARY | {"ami", "supervision", "under_way"},
    "carriers": VOCABULARY | {"pbx", "supervision"},
    "joined_calls": VOCABULARY | {"ami.messages", "carriers", "pbx", "supervision"},
    "spy_watch": VOCABULARY
    | {"ami.messages", "ami.states", "carriers", "joined_calls", "pbx", "supervision", "under_way"},
    "overview": VOCABULARY
    | {"", "ami.states", "bulletin", "control.overview", "metrics", "pbx", "spy_watch", "supervision"},
    "people_in_force": VOCABULARY | {"assembly", "config", "people", "people_plugin", "storage", "supervision"},
    # For the tests of those who build on this.
    "testing": VOCABULARY | {"agi", "ami", "testing"},
    "pytest_plugin": {"testing"},
    # The site's own code.
    "plugins": VOCABULARY | {"supervision.hooks"},
    # Those who know everybody.
    "service": {"*"},
    "install": FILES | {"install"},
    "install.include_lines": {"dialplan.statements"},
    "install.manifest": set(),
    "install.plan": {"install", "install.include_lines", "install.manifest"},
    "install.comparison": {"dialplan.parse"},
    "install.admin_session": VOCABULARY | {"ami", "install.comparison"},
    "install_cli": FILES | {"", "assembly", "config", "dialplan", "install", "people_source", "terminal"},
    "asterisk_files": FILES | {"dialplan.statements"},
    "site_people": VOCABULARY | {"", "asterisk_files"},
    "discover_cli": VOCABULARY | {"", "document", "site_people", "terminal"},
    # The doctor: decisions, and who finds the evidence for them.
    "doctor": {"model"},
    "doctor.dialplan_walk": {"dialplan.parse", "doctor.application_targets", "doctor.extension_patterns"},
    "doctor.file_contexts": {"", "asterisk_files", "dialplan.statements", "doctor.findings"},
    "doctor.manager_accounts": {"doctor.evidence"},
    "doctor.findings": {"doctor.evidence"},
    "doctor.evidence": {"doctor.dialplan_walk", "doctor.findings"},
    "doctor.checks": {
        "doctor.application_targets",
        "doctor.dialplan_walk",
        "doctor.evidence",
        "doctor.findings",
        "doctor.manager_accounts",
    },
    "doctor.test_calls": VOCABULARY | {"ami.connection", "doctor.audio"},
    "doctor.gathering": VOCABULARY
    | {
        "ami.messages",
        "",
        "assembly",
        "asterisk_files",
        "audit_source",
        "config",
        "control",
        "dialplan",
        "doctor",
        "install.comparison",
        "install.plan",
        "storage",
        "supervision",
    },
    "doctor_cli": VOCABULARY
    | {"assembly", "config", "doctor", "install_cli", "people_source", "supervision.chanspy", "terminal"},
    "explain_cli": VOCABULARY
    | {"assembly", "people_source", "supervision.authorization", "supervision.explain", "terminal"},
    "pin_cli": VOCABULARY
    | {
        "assembly",
        "config",
        "people",
        "people_source",
        "storage",
        "supervision.lock_outs",
        "supervision.pin_records",
        "supervision.pin_rules",
        "whoami",
        "terminal",
    },
    "cli": FILES
    | {
        "",
        "assembly",
        "audit_cli",
        "config",
        "control.client",
        "control.messages",
        "control.overview",
        "control.socket_file",
        "dialplan",
        "discover_cli",
        "doctor_cli",
        "explain_cli",
        "install_cli",
        "logs",
        "people_cli",
        "people_source",
        "pin_cli",
        "plugins",
        "sample",
        "service",
        "supervision.hooks",
        "storage.state_folder",
        "systemd",
        "tables",
        "terminal",
    },
    "__main__": {"cli"},
    # The public names, for type checkers; they are loaded when they are first used.
    "": VOCABULARY | {"agi", "ami.blocking", "ami.protocol", "async_agi", "supervision.hooks"},
}
"""Room or module -> the rooms and modules it may import. The longest name that fits a module is its room;
``""`` is the package itself, ``*`` everything but ``cli``."""

NO_TWISTED = {
    *FILES,
    "supervision",
    "agi.arguments",
    "agi.messages",
    "agi.connection",
    "agi.pyst2",
    "ami.authentic",
    "ami.blocking",
    "ami.connection",
    "ami.limits",
    "ami.messages",
    "ami.permissions",
    "ami.states",
    "control.client",
    "control.limits",
    "control.lines",
    "control.messages",
    "control.overview",
    "control.socket_file",
    "dialplan",
    "storage",
    "document",
    "garbage",
    "people",
    "config",
    "config_process",
    "assembly",
    "audit_cli",
    "audit_source",
    "audit_tables",
    "people_cli",
    "people_csv",
    "people_plugin",
    "people_source",
    "people_tables",
    "terminal",
    "whoami",
    "bulletin",
    "asterisk_files",
    "discover_cli",
    "doctor",
    "doctor_cli",
    "explain_cli",
    "site_people",
    "install.comparison",
    "install.include_lines",
    "install.journal",
    "install.manifest",
    "install.places",
    "install.plan",
    "install_cli",
    "metrics",
    "pin_cli",
    "sample",
    "systemd",
    "tables",
}
"""Pure Python: no Twisted, so that it can be thought about and tested without a reactor."""

LIBRARIES: dict[str, set[str]] = {
    "OpenSSL": {"ami.endpoints"},
    "argon2": {"supervision.pin_records"},
    "asterisk": {"agi.blocking", "agi.pyst2", "ami.blocking", "errors"},
    "click": {
        "audit_cli",
        "cli",
        "discover_cli",
        "doctor_cli",
        "explain_cli",
        "install_cli",
        "people_cli",
        "pin_cli",
        "terminal",
    },
    "cryptography": {"ami.endpoints", "doctor.gathering", "storage.audit_key_file"},
    "jinja2": {"dialplan"},
    "prometheus_client": {"metrics"},
    "pytest": {"pytest_plugin"},
    "pydantic": {
        "config",
        "document",
        "people",
        "people_cli",
        "people_csv",
        "people_plugin",
        "storage.people_table",
    },
    "alembic": {"storage.database", "storage.migrations"},
    "rich": {"audit_cli", "audit_tables", "cli", "doctor_cli", "people_tables", "tables", "terminal"},
    "ruamel": {"document"},
    "service_identity": {"ami.endpoints"},
    "sqlalchemy": {"storage"},
    "structlog": {
        "agi",
        "ami",
        "async_agi",
        "cli",
        "control",
        "hangup_command",
        "install.admin_session",
        "joined_calls",
        "logs",
        "metrics_page",
        "pbx",
        "people_in_force",
        "plugins",
        "service",
        "spy_watch",
        "storage.audit_file",
        "storage.audit_sinks",
        "storage.audit_table",
        "supervision.hooks",
        "supervision.line",
        "supervision.pins",
        "systemd",
        "testing",
    },
    "twisted": {
        "agi",
        "ami",
        "async_agi",
        "carriers",
        "cli",
        "control",
        "hangup_command",
        "install.admin_session",
        "joined_calls",
        "logs",
        "metrics_page",
        "pbx",
        "pin_waits",
        "people_in_force",
        "service",
        "spy_watch",
        "testing",
        "under_way",
    },
    "zope": {"agi", "ami", "async_agi", "control", "logs", "service", "testing"},
}
"""Library -> the rooms and modules it may be imported in. One that is missing here belongs nowhere."""


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


def inside(module: str, rooms: set[str]) -> bool:
    """Whether the module is one of the rooms or modules, or in one of them."""
    return any(module == room or (room and module.startswith(f"{room}.")) for room in rooms)


def room_of(module: str) -> str | None:
    """The longest name of the table that fits."""
    fitting = [room for room in ARROWS if inside(module, {room})]
    return max(fitting, key=len, default=None)


def violations(module: str, source: str, modules: set[str]) -> list[str]:
    """What a module imports although it may not.

    Parameters:
        module: its name within the package, such as ``agi.session``.
        source: its text.
        modules: all names of modules of the package.
    """
    room = room_of(module)
    if room is None:
        return [f"{module}: is in no room of the table"]
    found = []
    for line, name, at_top in imports(source):
        where = f"{module}:{line}: {name}"
        first = name.partition(".")[0]
        if name.startswith("."):
            found.append(f"{where}: a relative import")
        elif first == PACKAGE:
            ours = name.partition(".")[2]
            # ``from agi_monitor.model import Mode`` names a thing in a module, not a module.
            target = ours if ours in modules else ours.rpartition(".")[0]
            allowed = ARROWS[room]
            if target == "service" and module != "cli":
                found.append(f"{where}: only cli imports service")
            elif not (inside(target, allowed) or (allowed == {"*"} and target != "cli")):
                found.append(f"{where}: {room or PACKAGE} may not import {target or PACKAGE}")
        elif first not in sys.stdlib_module_names:
            if not inside(module, LIBRARIES.get(first, set())):
                found.append(f"{where}: {first} has another room")
            elif first == "twisted" and inside(module, NO_TWISTED):
                found.append(f"{where}: no Twisted here")
            if name == "twisted.internet.reactor" and at_top:
                found.append(f"{where}: the reactor comes in as an argument")
    return found


def sources() -> dict[str, str]:
    """The text of every module of the package, by its name within it."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


SOURCES = sources()
MODULES = set(SOURCES) | {"templates"}


@pytest.mark.parametrize("module", SOURCES, ids=lambda module: module or PACKAGE)
def test_a_module_imports_what_it_may(module: str) -> None:
    """Every import is an arrow of the table."""
    assert violations(module, SOURCES[module], MODULES) == []


def test_the_table_has_no_circle() -> None:
    """A decision imports only decisions that stand above it in the table."""
    seen: set[str] = set()
    for room, allowed in ARROWS.items():
        if room.startswith("supervision."):
            assert {name for name in allowed if name.startswith("supervision.")} <= seen
            seen.add(room)


def test_the_table_names_only_what_there_is() -> None:
    """A module that was renamed or removed leaves the table as well."""
    named = {*ARROWS, *NO_TWISTED, *(room for rooms in LIBRARIES.values() for room in rooms)}
    assert {name for name in named if not any(inside(module, {name}) for module in MODULES)} == set()


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("model", "from agi_monitor.errors import ConfigError", "model may not import errors"),
        (
            "supervision.pins",
            "from agi_monitor.supervision.spy_call import SpyCall",
            "may not import supervision.spy_call",
        ),
        ("supervision.pins", "from agi_monitor.supervision import spy_call", "supervision.spy_call"),
        ("supervision.pins", "import agi_monitor.storage.state_folder", "may not import storage.state_folder"),
        ("supervision.spy_call", "from agi_monitor.agi.session import Session", "agi.session"),
        (
            "supervision.spy_call",
            "def f():\n    from agi_monitor.agi.session import Session",
            "may not import agi.session",
        ),
        (
            "supervision.spy_call",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from agi_monitor.agi.session import Session",
            "may not import agi.session",
        ),
        ("supervision.spy_call", "from twisted.internet.defer import Deferred", "twisted has another room"),
        ("supervision.new", "from agi_monitor.model import Mode", "supervision may not import model"),
        ("web.views", "import re", "is in no room"),
        ("agi.session", "from agi_monitor.supervision.pins import PinGuard", "agi may not import supervision.pins"),
        ("agi.session", "from agi_monitor.ami.protocol import AMI", "agi may not import ami"),
        ("ami.protocol", "from agi_monitor.agi.messages import Command", "ami may not import agi.messages"),
        ("agi.connection", "from twisted.internet.defer import Deferred", "no Twisted here"),
        ("agi.messages", "import twisted", "no Twisted here"),
        ("ami.connection", "import twisted", "no Twisted here"),
        ("agi.protocol", "from twisted.internet import reactor", "the reactor comes in"),
        ("service", "import twisted.internet.reactor", "the reactor comes in"),
        (
            "service",
            "if True:\n    from twisted.internet import reactor",
            "the reactor comes in",
        ),
        ("service", "class A:\n    from twisted.internet import reactor", "the reactor comes in"),
        ("service", "from agi_monitor.cli import main", "service may not import cli"),
        ("storage.state_folder", "from agi_monitor.agi.session import Session", "storage may not import agi.session"),
        ("storage.audit_file", "from agi_monitor.supervision.chanspy import arguments", "storage may not import"),
        ("dialplan.render", "from agi_monitor.config import Config", "dialplan may not import config"),
        ("config", "from agi_monitor.supervision.pins import PinPolicy", "config may not import supervision.pins"),
        ("config", "from agi_monitor import assembly", "config may not import assembly"),
        (
            "assembly",
            "from agi_monitor.storage.audit_file import AuditFile",
            "storage.audit_file",
        ),
        ("assembly", "from agi_monitor import service", "only cli imports service"),
        ("testing.fake_asterisk", "from agi_monitor.config import load", "testing may not import config"),
        ("__main__", "from agi_monitor import service", "only cli imports service"),
        ("", "from agi_monitor.cli import main", "may not import cli"),
        ("config", "import jinja2", "jinja2 has another room"),
        ("service", "from argon2 import PasswordHasher", "argon2 has another room"),
        ("agi.session", "from asterisk.agi import AGI", "asterisk has another room"),
        ("cli", "import requests", "requests has another room"),
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
        ("cli", "def serve():\n    from twisted.internet import reactor"),
        ("cli", "from agi_monitor.service import Server"),
        ("service", "from agi_monitor.agi.session import Session\nfrom agi_monitor import assembly"),
        ("supervision.spy_call", "from agi_monitor.supervision import chanspy\nimport re"),
        ("agi.session", "from agi_monitor.agi.messages import Command"),
        ("cli", "from agi_monitor import __version__"),
    ],
)
def test_a_right_arrow_is_left_alone(module: str, source: str) -> None:
    """What the table allows is no violation."""
    assert violations(module, source, MODULES) == []
