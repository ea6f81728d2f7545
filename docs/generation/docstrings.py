"""Reads what the code says of itself: docstrings, and the texts below members and constants."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from enum import Enum


def member_docs(kind: type[Enum]) -> dict[str, str]:
    """The docstring below each member of an enumeration, by the member's value."""
    return {str(kind[name].value): text for name, text in texts_below(source_of(kind).body).items()}


def source_of(kind: type) -> ast.ClassDef:
    """The class as written in the file."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)  # noqa: S101 - that is what the source of a class is
    return tree


def texts_below(body: list[ast.stmt]) -> dict[str, str]:
    """Each assigned name with the text below the assignment, or an empty one."""
    found: dict[str, str] = {}
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.Assign):
            names = [target.id for target in statement.targets if isinstance(target, ast.Name)]
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names = [statement.target.id]
        else:
            continue
        found.update((name, text_of(following)) for name in names)
    return found


def text_of(statement: ast.stmt | None) -> str:
    """The text of a statement that is nothing but a text."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return inspect.cleandoc(str(statement.value.value))
    return ""


def parameters_of(kind: type) -> dict[str, str]:
    """The section ``Parameters:`` of a docstring, of this class and of those it stands on."""
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        section = (inspect.cleandoc(one.__doc__ or "").partition("Parameters:\n")[2]).split("\n\n")[0]
        for match in re.finditer(r"^    (\w+): (.*(?:\n     .*)*)", section, re.MULTILINE):
            found[match[1]] = " ".join(match[2].split())
    return found


def summary_of(kind: type) -> str:
    """The docstring without its sections."""
    return inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0]
