"""The words of messages and help texts: patterns at which a native reader stumbles are kept out.

What is recorded or read by programs keeps its words: see ``RECORDED``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((ROOT / "agi_monitor").rglob("*.py"))

WORDS = {
    "is no, are none": (r"(?<!there )(?<!There )\b(is|are|was|were) (no|none)\b(?! longer)", "is not a"),
    "nobody, somebody, whoever": (r"\b([Nn]obody|[Ss]omebody|[Ww]hoever)\b", "the passive, or who it is"),
    "anew": (r"\banew\b", "again"),
    "held against": (r"\bheld against\b", "compared with"),
    "mend": (r"\b[Mm]end(s|ed|ing)?\b", "fix"),
    "so long, so many": (r"\b[Ss]o (long|many|often)\b", "how long, at most"),
    "by chance": (r"\w+ by chance\b", "random"),
}
"""What to look for -> its form, and what to write."""

RECORDED = {"nobody granted it"}
"""Recorded in audits that sites have."""


class Found(NamedTuple):
    """A text that stumbles."""

    place: str
    text: str
    instead: str


def shown(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module that are not docstrings, each with its line."""
    tree = ast.parse(source)
    docstrings = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value
        # click shows the docstrings of commands.
        if isinstance(node, ast.FunctionDef) and any("command" in ast.dump(one) for one in node.decorator_list):
            yield node.lineno, ast.get_docstring(node) or ""


def stumbles(place: str, text: str) -> list[Found]:
    """Return what a text holds of ``WORDS``. A text without a blank is a name."""
    if " " not in text or text in RECORDED:
        return []
    return [Found(place, text, instead) for form, instead in WORDS.values() if re.search(form, text)]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_shown_reads_well(path: Path) -> None:
    """Messages, help texts and the words of the audit's notes."""
    if "migrations" in path.parts or path.name == "schema.py":
        return  # the comments that stand in the databases of sites
    found = [one for line, text in shown(path.read_text()) for one in stumbles(f"{path.name}:{line}", text)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "2001 is no extension",
        "lines that are none",
        "nobody listens there",
        "made anew",
        "mend the file",
        "So many at most",
        "a PIN by chance",
        "held against the list",
    ],
)
def test_what_stumbles_is_found(text: str) -> None:
    """Each of the patterns."""
    assert stumbles("here", text)


@pytest.mark.parametrize(
    "text", ["there is no such spy", "the supervisor is no longer configured", "a recommended value"]
)
def test_what_reads_well_is_let_through(text: str) -> None:
    """What looks like one of the patterns."""
    assert stumbles("here", text) == []
