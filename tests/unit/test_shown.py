"""What others wrote is shown to people and never obeyed by their terminal, wherever it is printed."""

from __future__ import annotations

import ast
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

import agi_monitor
from agi_monitor.audit.chain import Head
from agi_monitor.audit.report import Heard, Share
from agi_monitor.audit.stretches import Place
from agi_monitor.audit.verification import Finding, Verdict
from agi_monitor.audit.verification import Kind as FindingKind
from agi_monitor.commands import audit_tables, people_tables, tables, terminal
from agi_monitor.commands.console import console
from agi_monitor.commands.doctor import _show
from agi_monitor.commands.main import main
from agi_monitor.config.people import Change, Kind, People
from agi_monitor.doctor.checks import CHECKS
from agi_monitor.doctor.findings import Outcome, Result
from agi_monitor.errors import ConfigError
from agi_monitor.server import logs
from agi_monitor.shown import (
    CallShown,
    ChannelShown,
    SpyEnded,
    SpyShown,
    StatusShown,
    from_cell,
    in_cell,
    in_json,
    visible,
)

BIDI = "\u202e\u2066sdrawkcab\u2069\u2028"
EVIL = f"\x1b[2J\x1b]52;c;b3duZWQ=\x07\rok\x08\x00\x7f\x9b31m\x85{BIDI}\ufeff\U000e0041[red]\udc9b"
"""CSI and OSC, BEL, CR, BS, NUL, DEL, CSI and NEL of C1; overrides and isolates, a line separator, a mark without
width, a tag, a markup of rich, and a byte that is not UTF-8."""


def obeyed(text: str) -> list[str]:
    """What a terminal would obey, but for line breaks and tabs."""
    return sorted({letter for letter in text if not letter.isprintable() and letter not in "\n\t"})


# ---- the text itself ---------------------------------------------------------------------------------------


def test_what_is_not_visible_is_shown_by_its_number() -> None:
    """In the shortest of Python's ways; letters of all scripts stay."""
    assert visible("Zoë Ångström 陈 \U0001f600") == "Zoë Ångström 陈 \U0001f600"
    assert visible("a\x1b[1m\n\t\x9b\u202e\U000e0041\udc80") == "a\\x1b[1m\\x0a\\x09\\x9b\\u202e\\U000e0041\\udc80"
    assert visible("a\nb\tc\r", "\n\t") == "a\nb\tc\\x0d"


@given(st.text(st.characters()))
def test_any_text_can_be_shown(text: str) -> None:
    """And encoded; once shown it does not change."""
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert visible(shown) == shown


@given(st.dictionaries(st.text(), st.text(st.characters())))
def test_json_says_the_same(value: dict[str, str]) -> None:
    """To anyone who reads it as JSON."""
    line = in_json(json.dumps(value, ensure_ascii=False))
    assert line.isprintable()
    assert json.loads(line) == value


# ---- the log -----------------------------------------------------------------------------------------------


@pytest.fixture
def as_before() -> Iterator[None]:
    """The configuration of structlog is one for the whole process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("output_format", ["json", "console"])
def test_a_log_line_is_one_line(as_before: None, output_format: str) -> None:
    """Whatever a caller, a channel or a plug-in says; no second one is written."""
    stream = io.StringIO()
    logs.configure("info", output_format, stream)
    forged = "\n2026-11-29T10:00:00Z [info     ] spy_started supervisor=anna"
    structlog.get_logger().info(
        "agi_request", channel=EVIL + forged, **{f"key{EVIL}": "x"}, many=[EVIL, forged], of={EVIL: forged}
    )
    (line,) = stream.getvalue().splitlines()
    assert obeyed(line) == []
    if output_format == "json":
        assert json.loads(line)["channel"] == EVIL + forged


@pytest.mark.parametrize("output_format", ["json", "console"])
def test_a_traceback_begins_no_line_of_its_own(as_before: None, output_format: str) -> None:
    """The message of an exception may be what a caller sent."""
    stream = io.StringIO()
    logs.configure("info", output_format, stream)
    try:
        raise RuntimeError(f"{EVIL}\n2026 [info] forged\r\nforged")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    first, *others = stream.getvalue().rstrip("\n").split("\n")
    assert obeyed(stream.getvalue()) == []
    assert "failed" in first
    assert not [line for line in others if line and not line.startswith("  ")]


# ---- the commands ------------------------------------------------------------------------------------------

NAMES = (
    *("id", "kind", "supervisor", "endpoint", "mode", "extension", "rule", "state", "queue", "node", "fact", "at"),
    *("seq", "detail", "spyer", "spyee", "spyer_uniqueid", "why", EVIL),
)
ROW = dict.fromkeys(NAMES, EVIL)
ENTRY = {"endpoints": ["PJSIP/1"], "name": EVIL.encode("utf-8", "ignore").decode()}
PEOPLE = People.model_validate({"supervisors": {"anna": ENTRY}, "agents": {"1001": ENTRY}})


def verdict() -> Verdict:
    """One with a finding and a note."""
    finding = Finding(FindingKind.CHANGED, Place(EVIL, 1), 1, 2, EVIL)
    return Verdict((finding,), (EVIL,), 1, 1, 0, 0, EVIL, EVIL, 1, 1, Head(1, EVIL))


def heard() -> Heard:
    """An agent."""
    return Heard(EVIL, 1, defaultdict(float, {EVIL: 1.0}), {EVIL})


def headed() -> Table:
    """A table with a header of others."""
    table = Table(EVIL, title=EVIL, caption=EVIL)
    table.add_row(EVIL, Text(EVIL))
    return table


STATUS = StatusShown(version=EVIL, node=EVIL, ami=EVIL, stale=EVIL, calls=1, spies=1)
CHANNEL = ChannelShown(name=EVIL, uniqueid=EVIL, endpoint=EVIL, state=EVIL, number=EVIL, bridge=EVIL)
CALL = CallShown(
    node=EVIL,
    id=EVIL,
    agents=(EVIL,),
    numbers=(EVIL,),
    state=EVIL,
    queue=EVIL,
    seconds=1.0,
    channels=(CHANNEL,),
    spies=(EVIL,),
)
SPY = SpyShown(
    id=EVIL,
    node=EVIL,
    kind=EVIL,
    supervisor=EVIL,
    endpoint=EVIL,
    spyer=EVIL,
    spyer_uniqueid=EVIL,
    extension=EVIL,
    spyee=EVIL,
    spyee_uniqueid=EVIL,
    mode=EVIL,
    rule=EVIL,
    since=EVIL,
    seconds=1.0,
)

PRINTED: dict[str, RenderableType] = {
    "calls": tables.calls_table([CALL, replace(CALL, node="b")]),
    "spies": tables.spies_table([SPY, replace(SPY, node="b")]),
    "status": tables.status_table(STATUS),
    "event": tables.event_line(ROW),
    "ended": tables.ended_line(SpyEnded(EVIL, SPY)),
    "ended alone": tables.ended_line(SpyEnded(EVIL)),
    "records": audit_tables.records_table([ROW]),
    "findings": audit_tables.findings_table(verdict()),
    "verdict": "\n".join(audit_tables.verdict_lines(verdict())),
    "heard": audit_tables.heard_table([heard()], "agent", "supervisors"),
    "shares": audit_tables.shares_table([Share(EVIL, 1, 1.0, 1.0)]),
    "supervisors": people_tables.supervisors_table(PEOPLE.supervisors),
    "agents": people_tables.agents_table(PEOPLE.agents),
    "changes": Text("\n").join(people_tables.diff_lines([Change(Kind.AGENT, EVIL, {"name": EVIL}, {EVIL: EVIL})])),
    "head": headed(),
    "text": Text(EVIL),
    "markup": EVIL,
}


DIALLED = 'Local/5 by=root "x=1@from-trunk-00000001;2'
"""A channel is called as it was dialled."""


@pytest.mark.parametrize(
    "line",
    [
        tables.event_line({"fact": "rogue_spy", "at": "", "spyer": DIALLED, "n": "a b"}),
        tables.change_line("", "began", replace(SPY, supervisor=None, endpoint=None, spyer=DIALLED, mode="a b")),
        audit_tables.records_table([{"fact": "rogue_spy", "spyer": DIALLED, "detail": "a b"}]),
    ],
    ids=["event", "change", "record"],
)
def test_what_somebody_dialled_is_one_value(line: RenderableType, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot put a name and a value of its own beside those of the record."""
    console(1_000).print(line, soft_wrap=True)
    shown = capsys.readouterr().out
    assert json.dumps(DIALLED) in shown
    assert '="a b"' in shown
    assert "by=root" not in [word.strip() for word in re.split(r'"(?:[^"\\]|\\.)*"|\s', shown)]


def test_one_number_does_not_look_like_two(capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of the other parties stand in one cell, and each party chose its own."""
    console().print(tables.calls_table([replace(CALL, numbers=("5, 777", "+4930"))]))
    assert '"5, 777", +4930' in capsys.readouterr().out


@pytest.mark.parametrize("name", PRINTED)
def test_a_table_is_only_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every table and line that the commands show."""
    console().print(PRINTED[name])
    shown = capsys.readouterr().out
    assert obeyed(shown) == []
    assert "\\x1b" in shown


def test_what_the_doctor_found_is_only_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """Evidence is lines of the PBX's own files, and what its manager interface says."""
    _show([Result(check, outcome, (EVIL,)) for check in CHECKS for outcome in Outcome], [])
    shown = capsys.readouterr().out
    assert obeyed(shown) == []
    assert "\\x1b" in shown


def test_what_is_said_is_only_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences, errors, and documents where they go to a terminal; into a file a document goes as it is."""
    terminal.say(f"a\n{EVIL}")
    terminal.say(EVIL, err=True, nl=False)
    with pytest.raises(SystemExit), terminal.failing():
        raise ConfigError(EVIL, EVIL)
    shown = capsys.readouterr()
    assert obeyed(shown.out + shown.err) == []
    assert shown.out.startswith("a\n\\x1b[2J")
    terminal.data("a\x1b\u202e")
    assert capsys.readouterr().out == "a\x1b\u202e"


def test_files_of_others_are_only_looked_at(tmp_path: Path) -> None:
    """``discover`` and ``check-config`` repeat what stands in a file."""
    evil = EVIL.encode("utf-8", "replace")
    (tmp_path / "pjsip.conf").write_bytes(
        b'[1001]\ntype=endpoint\ncallerid="' + evil + b'" <1001>\n[' + evil + b"]\n"
    )
    (tmp_path / "queues.conf").write_bytes(b"[q]\nmember => " + evil + b'\n#include "' + evil + b'"\n')
    config = tmp_path / "agi-monitor.yaml"
    config.write_text('"\\x1b[2J\\u202e": 1\nfastagi: {peers: ["\\x1b[2J"], "\\a": 1}\nagents: {"\\e": {}}\n')
    for arguments in (["discover", "--folder", str(tmp_path)], ["check-config", "-c", str(config)]):
        result = CliRunner().invoke(main, arguments)
        assert obeyed(result.stdout + result.stderr) == [], arguments


def test_no_command_prints_by_another_way() -> None:
    """A text with something in it goes through ``terminal``: ``click.echo`` is for JSON and for fixed sentences."""
    found = []
    for path in sorted(Path(agi_monitor.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            # What a served script prints goes to Asterisk, in script_process.
            if not isinstance(node, ast.Call) or path.name in ("terminal.py", "script_process.py"):
                continue
            name = ast.unparse(node.func)
            is_fixed = not node.args or isinstance(node.args[0], ast.Constant)
            is_json = bool(node.args) and ast.unparse(node.args[0]).startswith("json.dumps(")
            if name in ("print", "click.secho") or (name == "click.echo" and not is_fixed and not is_json):
                found.append(f"{path.name}:{node.lineno}: {ast.unparse(node)}")
            # That of a progress bar shows numbers alone.
            if name == "Console" and ast.unparse(node) != "Console(stderr=True)":
                found.append(f"{path.name}:{node.lineno}: a console of its own")
    assert found == []


# ---- cells of a spreadsheet ----------------------------------------------------------------------------------

CELLS = st.text(st.sampled_from("=+-@\t\r\n ;,'\"1a\0\uff1d\uff20\ufeff"), max_size=12)


@given(CELLS | st.text())
def test_no_cell_is_a_formula(text: str) -> None:
    """Nor is what another program takes for a cell, where it parts them by semicolons, tabs or lines."""
    cell = in_cell(text)
    assert from_cell(cell) == text
    assert not cell.startswith(("\t", "\r", "\n"))
    for part in re.split("[;\t\r\n]", cell):
        assert not part.lstrip(" \0\ufeff").startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"))


@pytest.mark.parametrize("text", ["anna", "PJSIP/1001 SIP/a-b@c", "2026-11-25", "a=b; c", "O'Neill", "'quoted'", ""])
def test_a_cell_that_begins_no_formula_stays(text: str) -> None:
    """Nothing is put before it."""
    assert in_cell(text) == text


# ---- on a terminal of 80 columns -----------------------------------------------------------------------------


def lines_at_80(table: RenderableType) -> list[str]:
    """What a terminal of 80 columns shows."""
    screen = Console(width=80, file=io.StringIO(), highlight=False)
    with screen.capture() as shown:
        screen.print(table)
    return shown.get().splitlines()


def test_a_record_is_one_line() -> None:
    """Its end is cut; with all of it shown, it takes more."""
    records = [
        {**ROW, "seq": 12_345, "at": "2026-11-20T10:00:00+00:00", "fact": "request_abandoned", "supervisor": "anna"},
        {"seq": 1, "at": "2026-11-20T10:00:00+00:00", "fact": "refused", "why": "x" * 200, "extension": "1001"},
    ]
    lines = lines_at_80(audit_tables.records_table(records, 80))
    assert len(lines) == 3
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["seq", "at", "fact", "supervisor", "agent", "mode", "more"]
    assert "request_abandoned" in lines[1]
    assert len(lines_at_80(audit_tables.records_table(records))) > 5


def test_a_report_breaks_no_word() -> None:
    """Of its columns those that are empty are left out; all of them together fit."""
    modes = {"listen": 60.0, "whisper": 60.0, "barge": 60.0, "take_over": 60.0}
    one = Heard("1001", 1, defaultdict(float, modes), {"anna"}, told=1, unended=1, refused=1, locked_out=1)
    shown = lines_at_80(audit_tables.heard_table([one], "supervisor", "agents"))
    words = {word for line in shown for word in line.split()}
    assert {"supervisor", "min", "whisper", "take", "over", "refused", "locked", "out", "no", "end"} <= words
    assert lines_at_80(audit_tables.heard_table([Heard("1001", refused=2)], "agent", "by"))[0].split() == [
        "agent",
        "spies",
        "min",
        "refused",
    ]
