"""The words of messages, help texts, docstrings and documents: what native readers stumble over is kept out.

What is recorded or read by programs keeps its words: see ``RECORDED``. Code in documents is left alone.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = sorted((ROOT / "agi_monitor").rglob("*.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

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

PROSE_WORDS = WORDS | {
    "is others, another than": (
        r"\b(is|are) others\b|\b(another|others|otherwise) than\b",
        "was changed, differs from",
    ),
    "likewise": (r"\b[Ll]ikewise\b", "also"),
    "by now, at this moment": (r"\b([Bb]y now|[Aa]t this moment)\b", "already, now"),
    "behind, of time": (r"\b[Bb]ehind (it|them|that|this)\b", "after it"),
    "to go on": (r"\b(go|goes|going|went) on\b", "to continue"),
    "the right PIN": (r"\b[Rr]ight (old )?PINs?\b", "the correct PIN"),
    "of what is said": (r"(^|[.:;|] )Of (an?|one|what|whom)\b", "the subject first"),
    "not any more": (r"\bany more\b", "no longer"),
    "none of ours": (r"\bnone of (ours|theirs)\b", "of others"),
}
"""The same for documents, docstrings and comments, which are for people alone: nothing there has to stay as it is."""

DOCSTRING_WORDS = PROSE_WORDS | {"say whether": (r"^Say (whether|why|what|who|which|how)\b", "return")}
"""The same for docstrings and comments, which say what a function returns."""

NATIVE = {
    r"\b(hear|hears|heard) nobody\b|\b[Nn]obody (else|hears|talks|on the call)\b": "a native writer says so, too",
    r"\bare none of their business\b": "an idiom",
    r"\*by chance\*": "a column of `agi-monitor audit sampling`",
    r"\bDebian's nobody\b": "the name of a user",
}
"""What may stay in prose -> why."""

RECORDED = {"nobody granted it"}
"""Recorded in audits that sites have."""

FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]+`|\]\([^()\s]+\)|<!--.*?-->")
BLOCK = re.compile(r"\n\s*\n|\n(?= *(?:- |\d+\. |\|))")


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


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of a module in one line each, and its comments, those below each other as one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, " ".join(node.value.value.split())
    last, first, text = 0, 0, ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] > last + 1:
                yield first, text
                first, text = token.start[0], ""
            last, text = token.start[0], f"{text} {token.string.lstrip('# ')}".strip()
    yield first, text


def stumbles_in_prose(place: str, text: str) -> list[Found]:
    """Return what a docstring or a comment holds of ``DOCSTRING_WORDS``."""
    for form in NATIVE:
        text = re.sub(form, "…", text)
    return [Found(place, text, instead) for form, instead in DOCSTRING_WORDS.values() if re.search(form, text)]


def stumbles(place: str, text: str) -> list[Found]:
    """Return what a text holds of ``WORDS``. A text without a blank is a name."""
    if " " not in text or text in RECORDED:
        return []
    return [Found(place, text, instead) for form, instead in WORDS.values() if re.search(form, text)]


def sentences(markdown: str) -> Iterator[str]:
    """Yield the paragraphs, list items and table rows of a document in one line each, without code and links."""
    for block in BLOCK.split(FENCE.sub("\n", markdown)):
        text = " ".join(CODE.sub("…", block).split())
        for form in NATIVE:
            text = re.sub(form, "…", text)
        yield text


def stumbles_of(place: str, markdown: str) -> list[Found]:
    """Return what a document holds of ``PROSE_WORDS``."""
    return [
        Found(place, text, instead)
        for text in sentences(markdown)
        for form, instead in PROSE_WORDS.values()
        if re.search(form, text)
    ]


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_is_shown_reads_well(path: Path) -> None:
    """Messages, help texts and the words of the audit's notes."""
    if "migrations" in path.parts or path.name == "schema.py":
        return  # the comments that stand in the databases of sites
    found = [one for line, text in shown(path.read_text()) for one in stumbles(f"{path.name}:{line}", text)]
    assert found == []


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_docstrings_and_comments_read_well(path: Path) -> None:
    """What is written for those who read the code."""
    found = [one for line, text in prose(path.read_text()) for one in stumbles_in_prose(f"{path.name}:{line}", text)]
    assert found == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_documents_read_well(path: Path) -> None:
    """Every page, those that are generated included."""
    assert stumbles_of(path.name, path.read_text()) == []


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


@pytest.mark.parametrize(
    "text",
    [
        "# A phone of nobody",
        "| who | can |\n| --- | --- |\n| somebody | listen |",
        "- first\n- the spies that are\n  none of ours",
        "`code` of nobody's, and [nobody](nobody.md)",
        "The hints may be others than before.",
        "It is heard, and the record likewise.",
        "At this moment nothing is known.",
        "The record behind it is missing.",
        "The call goes on.",
        "After the right old PIN.",
        "Nothing is said. Of a call that is protected nothing is heard.",
    ],
)
def test_what_stumbles_in_a_document_is_found(text: str) -> None:
    """In a heading, a row, over the end of a line and beside code."""
    assert stumbles_of("here", f"# A page\n\nFine.\n\n{text}\n")


@pytest.mark.parametrize(
    "source",
    [
        '"""Whoever\nwaits."""',
        'def one() -> bool:\n    """Say whether it is so."""\n    return True',
        "one = 1  # it is none of ours",
        "# the first line\n# ends, and it goes\n# on below",
        'one = 1\n"""Not any more."""',
    ],
)
def test_what_stumbles_in_the_code_is_found(source: str) -> None:
    """In docstrings, in texts below a constant, and in comments over the end of a line."""
    assert [one for line, text in prose(source) for one in stumbles_in_prose(f"here:{line}", text)]


def test_code_and_names_in_the_code_are_let_through() -> None:
    """What is not prose."""
    source = 'nobody = "nobody goes on"  # the user of a service: Debian\'s nobody and nogroup\n'
    assert [one for _, text in prose(source) for one in stumbles_in_prose("here", text)] == []


@pytest.mark.parametrize(
    "text",
    [
        "```sh\n# nobody goes on\n```",
        "- a list\n\n  ```sh\n  somebody\n  ```",
        "`somebody` and [a link](somebody.md)",
        "<!-- contrib/examples/nobody.py -->",
        "The call ends and nobody\nhears anything.",
    ],
)
def test_code_and_native_words_in_a_document_are_let_through(text: str) -> None:
    """What is not prose, and the exceptions."""
    assert stumbles_of("here", f"# A page\n\n{text}\n") == []
