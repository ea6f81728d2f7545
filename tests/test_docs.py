"""The documents say what the code says: everything has an entry, every link leads somewhere, every name exists.

Each kind of check is shown to be able to fail, on a planted example.
"""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import functools
import re
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from twisted.internet.testing import MemoryReactorClock

import agi_monitor
from agi_monitor import model
from agi_monitor.agi.listening import AgiService
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.audit import facts as audit
from agi_monitor.commands import main
from agi_monitor.commands.later import commands
from agi_monitor.config.sections import Config
from agi_monitor.limits import Limits
from agi_monitor.server import metrics
from contrib.lab.waiting import wait_until
from docs import generate
from docs.generation.event_meanings import EVENTS

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = REPOSITORY / "docs" / "reference"
README = REPOSITORY / "README.md"
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])

LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LOG_METHODS = frozenset({"debug", "info", "warning", "error", "critical", "exception"})
EXAMPLE_SECONDS = 20.0


def text(path: Path) -> str:
    """A document."""
    return path.read_text(encoding="utf-8")


def headings(markdown: str) -> list[str]:
    """The headings, without those inside of code."""
    return re.findall(r"^#{1,6} (.+)$", FENCE.sub("", markdown), re.MULTILINE)


def without_entry(names: Iterable[str], markdown: str) -> list[str]:
    """The names that no heading is about."""
    there = {heading.strip("`") for heading in headings(markdown)}
    return [name for name in names if name not in there]


# ---- every thing has an entry --------------------------------------------------------------------------


def config_keys(schema: Mapping[str, Any]) -> Iterator[str]:
    """Every key of the configuration, from pydantic's own description of it, limits included."""

    def resolved(part: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" in part:
            return resolved(schema["$defs"][part["$ref"].rpartition("/")[2]])
        return part

    def walk(prefix: str, part: Mapping[str, Any]) -> Iterator[str]:
        part = resolved(part)
        if "properties" in part:
            for name, inner in part["properties"].items():
                yield f"{prefix}.{name}".removeprefix(".")
                yield from walk(f"{prefix}.{name}".removeprefix("."), inner)
        patterns = part.get("patternProperties", {}).values()
        for inner in [*patterns, part.get("additionalProperties")]:
            if isinstance(inner, dict):
                yield from walk(f"{prefix}.<key>", inner)
        if isinstance(part.get("items"), dict):
            yield from walk(f"{prefix}[]", part["items"])

    yield from walk("", schema)


def test_every_config_key_and_limit_has_an_entry() -> None:
    """A key of the configuration or a limit without a heading in the reference is a mistake."""
    keys = list(config_keys(Config.model_json_schema()))
    assert {"fastagi.listen", "supervisors.<key>.pin", "rules[].allow"} <= set(keys)
    assert {f"limits.{field.name}" for field in dataclasses.fields(Limits)} <= set(keys)
    assert without_entry(keys, text(REFERENCE / "configuration.md")) == []


def test_every_refusal_reason_has_an_entry() -> None:
    """A refusal reason without a heading in the reference is a mistake."""
    assert without_entry(model.Reason, text(REFERENCE / "refusal-reasons.md")) == []


def test_every_prompt_has_an_entry() -> None:
    """A cue or a refusal reason without a heading among the prompts is a mistake."""
    assert without_entry([*model.Cue, *model.Reason], text(REFERENCE / "prompts.md")) == []


def facts(kind: type[audit.Fact] = audit.Fact) -> Iterator[type[audit.Fact]]:
    """Every fact that can be appended."""
    for below in kind.__subclasses__():
        if "name" in vars(below):
            yield below
        yield from facts(below)


def fields_without_entry(kind: type[audit.Fact], markdown: str) -> list[str]:
    """The fields of a fact that its part of the page does not list."""
    part = markdown.partition(f"## `{kind.name}`")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^- `(\w+)`:", part, re.MULTILINE))
    return [field.name for field in dataclasses.fields(kind) if field.name not in listed]


def test_every_audit_fact_field_and_end_has_an_entry() -> None:
    """A fact, a field of one, or a way to end that the audit page does not list is a mistake."""
    page = text(REFERENCE / "audit.md")
    assert without_entry([kind.name for kind in facts()], page) == []
    assert {kind.name: fields_without_entry(kind, page) for kind in facts()} == {kind.name: [] for kind in facts()}
    assert [end for end in audit.End if f"\n- `{end}`:" not in page] == []


def log_events(source: str) -> Iterator[str]:
    """All texts passed first to ``log.debug`` and its like."""
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        first = node.args[0]
        is_logger = ast.unparse(node.func.value).endswith(("log", "get_logger()"))
        if is_logger and node.func.attr in LOG_METHODS and isinstance(first, ast.Constant):
            yield str(first.value)


def test_every_log_event_has_an_entry() -> None:
    """An event that is logged anywhere and has no heading in the reference is a mistake."""
    events = [
        event for path in sorted((REPOSITORY / "agi_monitor").rglob("*.py")) for event in log_events(text(path))
    ]
    assert {"serving", "spy_started", "audit_write_failed"} <= set(events)
    assert without_entry([*events, *LogEvent], text(REFERENCE / "log-events.md")) == []


def options_without_entry(group: click.Group, markdown: str) -> list[str]:
    """The commands and options that the page does not list."""
    missing = []
    for name, command in [("", group), *commands(group)]:
        heading = f"## `agi-monitor {name}`" if name else "# The command agi-monitor"
        part = markdown.partition(f"{heading}\n")[2].partition("\n## ")[0]
        if not part:
            missing.append(name)
        names = [one for parameter in command.params for one in parameter.opts]
        missing += [f"{name} {one}" for one in names if f"`{one}`" not in part and f"`{one.upper()}`" not in part]
    return missing


def test_every_command_and_option_has_an_entry() -> None:
    """A command, an option or an argument that the reference does not list is a mistake."""
    assert isinstance(main.main, click.Group)
    assert options_without_entry(main.main, text(REFERENCE / "cli.md")) == []


def test_every_metric_and_label_has_an_entry() -> None:
    """A metric without a heading in the reference, or a label that its part does not name, is a mistake."""
    page = text(REFERENCE / "metrics.md")
    assert without_entry([number.name for number in metrics.NUMBERS], page) == []
    for number in metrics.NUMBERS:
        part = page.partition(f"## `{number.name}`\n")[2].partition("\n## ")[0]
        assert [label for label in number.labels if f"`{label}`" not in part] == []


def test_a_missing_entry_is_found() -> None:
    """What was left out of a page is named, be it a key, a field, an event or an option."""
    assert without_entry(["a.b", "a.c"], "### `a.b`\n\n```sh\n# a.c\n```\n") == ["a.c"]
    schema = {
        "properties": {"new": {"additionalProperties": {"$ref": "#/$defs/E"}}},
        "$defs": {"E": {"properties": {"x": {}}}},
    }
    assert list(config_keys(schema)) == ["new", "new.<key>.x"]
    page = "## `server_started`\n\n- `fact`: x\n- `at`: x\n\n## Other\n\n- `version`: x\n"
    assert fields_without_entry(audit.ServerStarted, page) == ["version"]
    assert list(log_events("self._log.error('lost', why=1)\nother.error('not logged')")) == ["lost"]
    go = click.Command("go", params=[click.Option(["--far"])])
    group = click.Group("main", commands={"go": go, "then": click.Group("then", commands={"go": go})})
    assert options_without_entry(group, "# The command agi-monitor\n\nx\n\n## `agi-monitor go`\n\nx\n") == [
        "go --far",
        "then",
        "then go",
        "then go --far",
    ]


# ---- generated pages -----------------------------------------------------------------------------------


def test_generated_pages_are_fresh() -> None:
    """The generated pages say what the code says now."""
    assert generate.stale() == [], "run: python docs/generate.py"


def test_a_stale_page_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that was edited by hand, or is missing, is stale."""
    # Each is the same each time.
    monkeypatch.setattr(generate, "text_for", functools.cache(generate.text_for))
    for page in generate.PAGES:
        (tmp_path / page).write_text(generate.text_for(page))
    monkeypatch.setattr(generate, "REFERENCE", tmp_path)
    assert generate.stale() == []
    (tmp_path / "cli.md").write_text(generate.text_for("cli.md") + "by hand\n")
    (tmp_path / "audit.md").unlink()
    assert generate.stale() == ["audit.md", "cli.md"]


def test_an_event_without_a_meaning_stops_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log event that nobody explained cannot become an empty entry."""
    monkeypatch.delitem(EVENTS, "serving")
    with pytest.raises(LookupError, match="serving"):
        generate.text_for("log-events.md")


# ---- links ---------------------------------------------------------------------------------------------


def anchors(markdown: str) -> set[str]:
    """The anchors of a document's headings, as GitHub and GitLab make them."""
    found: set[str] = set()
    for heading in headings(markdown):
        plain = LINK.sub(lambda match: match[0][1 : match[0].index("]")], heading)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        number, unique = 0, slug
        while unique in found:
            number += 1
            unique = f"{slug}-{number}"
        found.add(unique)
    return found


def broken_links(document: Path) -> list[str]:
    """The relative links of a document that lead nowhere."""
    broken = []
    for target in LINK.findall(CODE.sub("", FENCE.sub("", text(document)))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (document.parent / path) if path else document
        if not file.exists() or (anchor and anchor not in anchors(text(file))):
            broken.append(target)
    return broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link leads to a file, and every anchor to a heading."""
    assert broken_links(document) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A missing file and a missing anchor are named; code and other sites are left alone."""
    (tmp_path / "other.md").write_text("# Two words\n\n## `a.b_c`\n\n## Two words\n")
    document = tmp_path / "one.md"
    document.write_text(
        "[a](other.md#two-words) [b](other.md#ab_c) [c](other.md#two-words-1) [d](https://example.org/)\n"
        "[e](missing.md) [f](other.md#three-words) `[g](code.md)`\n\n```md\n[h](code.md)\n```\n"
    )
    assert broken_links(document) == ["missing.md", "other.md#three-words"]


# ---- names in the README and the rest ------------------------------------------------------------------


def unknown_make_targets(markdown: str, makefile: str) -> list[str]:
    """The targets a document names, as ``make x`` in code, that the Makefile does not have."""
    code = "\n".join(match[0] for match in [*FENCE.finditer(markdown), *CODE.finditer(FENCE.sub("", markdown))])
    named = re.findall(r"(?:^|`)\s*make ([a-z][\w-]*)", code, re.MULTILINE)
    targets = set(re.findall(r"^([\w./-]+):(?!=)", makefile, re.MULTILINE))
    return [target for target in dict.fromkeys(named) if target not in targets]


def missing_files(markdown: str, root: Path) -> list[str]:
    """The files a document names in code, relative to the checkout, that are not there."""
    named = CODE.findall(FENCE.sub("", markdown))
    paths = [name.strip("`") for name in named if re.fullmatch(r"`[a-z.][\w.-]*/[\w./-]*`", name)]
    places = (root, root / "agi_monitor", root / "agi_monitor" / "supervision")
    # What runs leave in the cache is not there before they have run.
    kept = [path for path in paths if not path.startswith(".cache/")]
    return [path for path in kept if not any((place / path).exists() for place in places)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_make_targets_exist(document: Path) -> None:
    """Every ``make`` target that a document names is in the Makefile."""
    assert unknown_make_targets(text(document), text(REPOSITORY / "Makefile")) == []


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "docs/topics/architecture.md", "docs/topics/way-of-a-call.md"]
)
def test_named_files_exist(name: str) -> None:
    """Every file of the checkout that these documents name is there."""
    assert missing_files(text(REPOSITORY / name), REPOSITORY) == []


def test_a_missing_target_or_file_is_found() -> None:
    """A target that is not in the Makefile and a file that is not there are named."""
    makefile = "demo: images\n\t@true\nPYTHON := x\n"
    assert unknown_make_targets("`make demo`, `make coffee`\n\n```sh\nmake tea\n```\n", makefile) == ["tea", "coffee"]
    assert missing_files("`docs/generate.py` and `docs/nothing.py`", REPOSITORY) == ["docs/nothing.py"]


# ---- numbers -------------------------------------------------------------------------------------------

PROMISED = {
    "docs/topics/security.md": {
        "tried again every {:g} seconds": ("server/audit.py", "AUDIT_RETRY_SECONDS"),
        "after {:,} of them calls are refused": ("storage/audit/sinks.py", "MAX_WAITING"),
        "No more than {:,} phones": ("pins/lock_outs.py", "MAX_STRANGERS"),
    },
    "docs/topics/audit-threats.md": {
        "no more than {} records without one": ("audit/chain.py", "CHECKPOINT_RECORDS"),
        "by more than {} seconds, `verify` notes it": ("audit/verification.py", "CLOCK_SECONDS"),
    },
    "docs/howto/verify-the-audit.md": {"after every {} records at most": ("audit/chain.py", "CHECKPOINT_RECORDS")},
    "docs/topics/way-of-a-call.md": {"After {} seconds without a key": ("supervision/choosing.py", "CHOICE_SECONDS")},
    "docs/reference/log-events.md": {"written {} times a minute at most": ("agi/protocol.py", "LOG_LINES")},
}
"""Document -> sentence with a number -> the constant it promises."""


def constant(module: str, name: str) -> float:
    """A number of the code, read from the source."""
    for statement in ast.parse(text(REPOSITORY / "agi_monitor" / module)).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return float(ast.literal_eval(statement.value))
    raise LookupError(f"{module} has no {name}")


def unkept(markdown: str, promises: Mapping[str, tuple[str, str]]) -> list[str]:
    """The sentences that are not in the document with the number of the code."""
    flat = " ".join(markdown.split())
    wanted = [sentence.format(int(constant(*where))) for sentence, where in promises.items()]
    return [sentence for sentence in wanted if sentence not in flat]


@pytest.mark.parametrize("document", PROMISED)
def test_promised_numbers_are_those_of_the_code(document: str) -> None:
    """A number that a document promises is the one in the code."""
    assert unkept(text(REPOSITORY / document), PROMISED[document]) == []


def test_a_wrong_number_is_found() -> None:
    """A document that says another number than the code is found."""
    promises = {"wait {} times": ("storage/audit/sinks.py", "MAX_WAITING")}
    assert unkept("wait 10000\ntimes", promises) == []
    assert unkept("wait 10001 times", promises) == ["wait 10000 times"]


# ---- the example of the README -------------------------------------------------------------------------


def python_example(markdown: str) -> str:
    """The one block of Python in a document."""
    (block,) = re.findall(r"^```python\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    return str(block)


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def connected(port: int, server: subprocess.Popen[str]) -> socket.socket:
    """A connection to the server, as soon as it listens."""

    def look() -> socket.socket | None:
        assert server.poll() is None, "the example ended by itself"
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=EXAMPLE_SECONDS)
        except ConnectionRefusedError:
            return None

    found = wait_until(look, EXAMPLE_SECONDS, "the example to listen")
    assert found is not None
    return found


def conversation(port: int, server: subprocess.Popen[str], replies: list[str]) -> list[str]:
    """What the server says to an Asterisk that answers with these lines."""
    with connected(port, server) as connection, connection.makefile("rw", newline="\n") as lines:
        environment = {"agi_network": "yes", "agi_channel": "PJSIP/1001-00000001", "agi_uniqueid": "1700000000.1"}
        lines.write("".join(f"{name}: {value}\n" for name, value in environment.items()) + "\n")
        lines.flush()
        said = []
        for reply in replies:
            said.append(lines.readline().rstrip("\n"))
            lines.write(f"{reply}\n")
            lines.flush()
        said.append(lines.readline())
        return said


def test_the_example_of_the_readme_runs() -> None:
    """The FastAGI server in the README answers, asks for digits, repeats them and closes."""
    port = free_port()
    example = python_example(text(README)).replace("tcp:4573", f"tcp:{port}")
    assert len([line for line in example.splitlines() if line]) <= 12
    with subprocess.Popen(
        [sys.executable, "-c", example], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            said = conversation(port, server, ["200 result=0", "200 result=42", "200 result=0"])
        finally:
            server.terminate()
    verbs = [re.sub(r'"', "", line) for line in said]
    assert verbs == ["ANSWER", "GET DATA vm-enter-num-to-call 5000 4", "SAY DIGITS 42 ", ""]


def test_a_document_without_its_example_is_found() -> None:
    """No block of Python, or two, is a mistake."""
    with pytest.raises(ValueError, match="not enough values"):
        python_example("no example")
    with pytest.raises(ValueError, match="too many values"):
        python_example(textwrap.dedent("```python\na\n```\n\n```python\nb\n```\n"))


# ---- the examples for developers -----------------------------------------------------------------------

EXAMPLES = ("docs/howto/write-a-handler.md", "docs/howto/from-pyst2.md")


@pytest.mark.parametrize("document", EXAMPLES)
def test_the_examples_for_developers_run(document: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each block of Python can be executed, gives ``serve`` a handler that it takes, and its tests pass.

    A program with a loop of its own begins to listen, and ends.
    """
    served: list[object] = []

    def serve(handler: Any, **options: Any) -> None:
        reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
        served.append(AgiService(handler, reactor=reactor, **options))

    class AnyPort(agi_monitor.AgiServer):
        def __init__(self, handler: Any, **options: Any) -> None:
            super().__init__(handler, port=0, **options)

        async def serve_forever(self) -> None:
            served.append(self.port)

    monkeypatch.setattr(agi_monitor, "serve", serve)
    monkeypatch.setattr(agi_monitor, "AgiServer", AnyPort)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", text(REPOSITORY / document), re.MULTILINE | re.DOTALL)
    assert blocks
    tests = 0
    for number, block in enumerate(blocks):
        names: dict[str, object] = {"__name__": f"example_{number}"}
        exec(compile(block, f"{document}, block {number + 1}", "exec"), names)  # noqa: S102 (our own document)
        for name, what in names.items():
            if name.startswith("test_"):
                assert callable(what)
                what()
                tests += 1
            elif name == "main":
                assert callable(what)
                asyncio.run(what())
    assert len(served) + tests == len(blocks)
