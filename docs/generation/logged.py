"""Finds the places in the code that log under a plain name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import agi_monitor

PACKAGE = Path(agi_monitor.__file__).parent

LOG_METHODS = {"debug", "info", "warning", "error", "exception", "critical"}


@dataclass(frozen=True)
class Logged:
    """One place where something is logged under a plain name."""

    event: str
    level: str
    keys: tuple[str, ...]
    module: str


def logged(folder: Path = PACKAGE) -> list[Logged]:
    """Every place that logs under a plain name, found in the source."""
    found: list[Logged] = []
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder.parent).as_posix()
        found += logged_in(path.read_text(encoding="utf-8"), module)
    return found


def logged_in(source: str, module: str) -> Iterator[Logged]:
    """The places of one file. ``getattr(log, level)("name")`` counts: its level is known at run time only."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first, method = node.args[0], node.func
        if not isinstance(first, ast.Constant) or not isinstance(first.value, str):
            continue
        keys = tuple(keyword.arg for keyword in node.keywords if keyword.arg)
        if isinstance(method, ast.Attribute) and method.attr in LOG_METHODS and is_log(method.value):
            yield Logged(first.value, method.attr, keys, module)
        elif isinstance(method, ast.Call) and ast.unparse(method.func) == "getattr" and is_log(method.args[0]):
            yield Logged(first.value, "warning or error", keys, module)


def is_log(expression: ast.expr) -> bool:
    """Whether this is a logger, by its name."""
    return re.search(r"(^|[._])log(ger)?$|get_logger\(\)$", ast.unparse(expression)) is not None
