"""agi_monitor.config.yaml reads YAML as ruamel.yaml's own composer does, within bounds."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode

from agi_monitor.config import yaml
from agi_monitor.config.sample import SAMPLE
from tests.unit.config.test_loading import MISTAKES, TEXT, YAML_PIECES

Tree = Any


class Unlike(Exception):
    """The reference says no, here and why; or it is not asked."""


def reference(text: str) -> tuple[Tree, dict[Any, int]]:
    """The same document as ruamel.yaml composes it."""
    lines: dict[Any, int] = {}

    def value(node: Any, where: tuple[Any, ...], inside: tuple[int, ...]) -> Tree:
        lines.setdefault(where, node.start_mark.line + 1)
        if id(node) in inside:
            raise Unlike(node.start_mark.line + 1)
        if isinstance(node, ScalarNode):
            return None if str(node.tag).endswith(":null") and node.style is None else node.value
        inside = (*inside, id(node))
        if not isinstance(node, MappingNode):
            return [value(item, (*where, position), inside) for position, item in enumerate(node.value)]
        found: dict[str, Tree] = {}
        for key, item in node.value:
            if not isinstance(key, ScalarNode) or key.value in found:
                raise Unlike(key.start_mark.line + 1)
            lines[*where, key.value] = key.start_mark.line + 1
            found[key.value] = value(item, (*where, key.value), inside)
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            node = YAML(typ="safe", pure=True).compose(text)
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            raise Unlike(mark.line + 1 if mark else 1) from None
        except Exception:
            raise Unlike(1) from None
    return (None if node is None else value(node, (), ())), lines


def ours(text: str) -> tuple[Tree, dict[Any, int]]:
    """The document as it is read here."""
    lines: dict[Any, int] = {}
    try:
        return yaml._tree(text.encode(), lines), lines
    except yaml._Unreadable as error:
        raise Unlike(error.line) from None


def outcome(read: Any, text: str) -> Any:
    """What comes of it: the document with its lines, or the line that is refused."""
    try:
        return read(text)
    except Unlike as error:
        return error.args


WORDS = st.sampled_from(
    ["a", "b", "null", "~", "", "no", "0100", "'q'", '"d"', "\xe9", "&x a", "*x", "!!null n", "!t v"]
)

blocks = st.recursive(
    WORDS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(WORDS, inner), max_size=3).map(
            lambda pairs: "{" + ", ".join(f"{key}: {item}" for key, item in pairs) + "}"
        ),
    ),
    max_leaves=8,
)
lines_of_yaml = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["- ", "k: ", "l: ", "? ", "", "&x ", "k: |\n   "]), blocks).map(
        lambda line: " " * line[0] * 2 + line[1] + line[2]
    ),
    max_size=6,
).map("\n".join)


@given(
    st.one_of(
        st.lists(st.sampled_from(YAML_PIECES), max_size=12).map("".join),
        lines_of_yaml,
        st.tuples(st.integers(0, len(TEXT)), st.sampled_from(YAML_PIECES)).map(
            lambda edit: TEXT[: edit[0]] + edit[1] + TEXT[edit[0] :]
        ),
    )
)
@example("a: &x 1\nb: &x 2\nc: *x\n")
@example("a\n...\n---\nb\n")
@example("%YAML 1.1\n---\na: ~\n")
@example("- &x\n- *x\n")
@example("? &x k\n: *x\n")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_reads_what_the_library_composes(text: str) -> None:
    """The same texts with the same lines, or refused at the same line."""
    if "%YAML 1.0" in text or "%YAML 0" in text:
        return  # the library refuses these only where it looks at a word
    assert outcome(ours, text) == outcome(reference, text)


@pytest.mark.parametrize("text", [SAMPLE, TEXT, *(text for text, _ in MISTAKES)])
def test_reads_every_configuration_of_the_tests_as_before(text: str) -> None:
    """Those with mistakes as well."""
    assert outcome(ours, text) == outcome(reference, text)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a:\n" + "".join(" " * n + "k:\n" for n in range(1, 40)), 22, "is nested more deeply"),
        ("\n" + "[" * 5_000_000, 2, "is nested more deeply"),
        ("a: 1\n" + "".join(f"b{n}: &b{n} [{f'*b{n - 1}, ' * 9 if n else ''}]\n" for n in range(9)), 2, "aliases"),
    ],
)
def test_what_grows_is_bounded(text: str, line: int, problem: str) -> None:
    """Before it has grown."""
    with pytest.raises(yaml._Unreadable) as caught:
        yaml._tree(text.encode(), {})
    assert caught.value.problem.startswith(problem)
    assert caught.value.line == line
