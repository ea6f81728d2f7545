"""The commands about the audit, as they are typed, on audits that a server could have left."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from agi_monitor.audit.facts import End, Fact, Refused, ServerStarted, ServerStopped, SpyEnded, SpyStarted
from agi_monitor.audit.verification import Verdict
from agi_monitor.commands.main import main
from agi_monitor.config.sample import SAMPLE
from agi_monitor.model import Mode, Reason
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.key_file import KEY_FILE, PUBLIC_FILE, audit_key
from agi_monitor.storage.audit.sinks import AuditSinks
from agi_monitor.storage.audit.source import Files
from tests.doubles.audit_writer import CALL
from tests.doubles.coroutines import at_once, finish
from tests.doubles.desk import PIN_HASH

NOW = datetime.now(UTC).replace(microsecond=0)
COMMANDS = ["list", "export", "verify", "compare", "key", "report", "sampling", "retain"]


class Office:
    """A configuration, and the audit of a year with three spies, the last of them today.

    Parameters:
        folder: is there, and empty.
    """

    def __init__(self, folder: Path) -> None:
        self.config = folder / "agi-monitor.yaml"
        text = SAMPLE.replace("REPLACE-ME", PIN_HASH)
        text = text.replace("/var/log/agi-monitor", str(folder)).replace("/var/lib/agi-monitor", str(folder))
        self.config.write_text(text)
        self.folder = folder
        self.path = folder / "audit.jsonl"
        self.audit = AuditSinks([AuditFile(self.path, state=folder, signer=audit_key(folder))], at_once)
        self.audit.take()
        with capture_logs():
            self.append(ServerStarted(at=NOW - timedelta(days=200), version="1"))
            self.spy("c1", "1001", 200, 30.0)
            self.path.rename(folder / "audit.jsonl.1")
            self.spy("c2", "1001", 10, 60.0)
            self.append(Refused(at=NOW, call="c3", reason=Reason.NO_CALL, mode=None, extension="1002", **CALL))
            self.spy("c4", "1001", 0, 90.0)

    def append(self, *facts: Fact) -> None:
        """Append facts."""
        for fact in facts:
            finish(self.audit.append(fact))

    def spy(self, call: str, extension: str, days: int, seconds: float) -> None:
        """A spy, this number of days ago."""
        at = NOW - timedelta(days=days)
        what = {"extension": extension, "spyee": "PJSIP/1-1", "spyee_uniqueid": "1.2", "rule": "r"}
        why = {"source": "agi", "stale": "", "because": "hint"}
        self.append(
            SpyStarted(at=at, call=call, grant=1, mode=Mode.LISTEN, told=False, **CALL, **what, **why),
            SpyEnded(
                at=at,
                call=call,
                grant=1,
                mode=Mode.LISTEN,
                extension=extension,
                why=End.CALL_OVER,
                seconds=seconds,
                **CALL,
            ),
        )

    def stop(self) -> None:
        """The server stops."""
        with capture_logs():
            self.append(ServerStopped(at=NOW))
            finish(self.audit.close(NOW))

    def run(self, *arguments: object) -> Result:
        """Run a command with this configuration."""
        typed = ["audit", *map(str, arguments), "-c", str(self.config)]
        return CliRunner().invoke(main, typed, catch_exceptions=False)

    def change(self, path: Path, old: str, new: str) -> None:
        """What should not be done."""
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """An audit whose server still runs."""
    office = Office(tmp_path)
    yield office
    office.stop()


@pytest.mark.parametrize("command", [[], *([one] for one in COMMANDS)], ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    """And explains itself in a sentence."""
    result = CliRunner().invoke(main, ["audit", *command, "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()[2]) > 12


# ---- verify ------------------------------------------------------------------------------------------------


def test_an_untouched_audit(office: Office) -> None:
    """Exit code 0, also while the server runs and after it has stopped."""
    result = office.run("verify")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "nothing was changed")
    assert result.stdout.startswith("10 records in 10 lines, from ")
    office.stop()
    assert office.run("verify").exit_code == 0


def test_a_changed_record_is_named(office: Office) -> None:
    """File, line, number and what is wrong, and nothing of what stands there; exit code 1."""
    rotated = office.folder / "audit.jsonl.1"
    office.change(rotated, '"supervisor":"anna"', '"supervisor":"4711"')
    result = office.run("verify")
    assert result.exit_code == 1
    assert f"{rotated} 2 2 changed record 2: changed".split() in [line.split() for line in result.stdout.splitlines()]
    assert "4711" not in result.output
    found = json.loads(office.run("verify", "--json").stdout)
    assert (found["ok"], found["findings"]) == (
        False,
        [{"kind": "changed", "file": str(rotated), "line": 2, "first": 2, "last": 2, "text": "record 2: changed"}],
    )


def test_a_removed_file_is_found(office: Office) -> None:
    """The oldest, or the current one."""
    (office.folder / "audit.jsonl.1").rename(office.folder / "elsewhere")
    assert office.run("verify").exit_code == 1
    (office.folder / "elsewhere").rename(office.folder / "audit.jsonl.1")
    assert office.run("verify").exit_code == 0
    office.path.rename(office.folder / "elsewhere")
    assert json.loads(office.run("verify", "--json").stdout)["findings"][0]["kind"] == "missing"


def test_files_that_were_taken_elsewhere(office: Office) -> None:
    """In any order, with the key in a file and a record that was written down."""
    office.stop()
    head = json.loads(office.run("verify", "--json").stdout)["head"]
    key = office.folder / "key.pem"
    key.write_text(office.run("key").stdout)
    files = [office.path, office.folder / "audit.jsonl.1"]
    expected = f"{head['seq']}:{head['hash']}"
    assert office.run("verify", *files, "--key", key, "--expect", expected).exit_code == 0
    wrong = f"{head['seq']}:{'0' * 64}"
    assert office.run("verify", *files, "--key", key, "--expect", wrong).exit_code == 1
    assert office.run("verify", files[1], "--key", key).exit_code == 0
    assert office.run("verify", files[0], "--key", key).exit_code == 1
    assert office.run("verify", files[0], "--key", key, "--partial").exit_code == 0
    note = "note: no key was given: any signature that matches counts, of any key"
    assert note in office.run("verify", *files).stdout.splitlines()


def test_somebody_elses_key_is_no_good(office: Office) -> None:
    """The signature fits, and is not of the key that is trusted."""
    office.stop()
    other = office.folder / "other"
    other.mkdir()
    audit_key(other)
    files = [office.path, office.folder / "audit.jsonl.1"]
    found = json.loads(office.run("verify", *files, "--key", other / PUBLIC_FILE, "--json").stdout)
    assert {one["kind"] for one in found["findings"]} == {"unknown_key"}


@contextmanager
def piped(content: bytes) -> Iterator[str]:
    """The name of a pipe with this content, as the shell's ``<(...)`` gives it."""
    end, begin = os.pipe()
    try:
        os.write(begin, content)
        os.close(begin)
        yield f"/dev/fd/{end}"
    finally:
        os.close(end)


def test_a_pipe_is_read_as_a_file_is(office: Office) -> None:
    """It can be read once: nothing of it may be lost before it is verified."""
    office.stop()
    files = [office.folder / "audit.jsonl.1", office.path]
    contents = [file.read_bytes() for file in files]
    expected = office.run("verify", *files).stdout
    with piped(b"".join(contents)) as both:
        assert office.run("verify", both).stdout == expected
    with piped(contents[1]) as last, piped(contents[0]) as first:
        assert office.run("verify", last, first).stdout == expected
    with piped(b"".join(contents).replace(b"anna", b"bert", 1)) as changed:
        assert (office.run("verify", changed).exit_code, office.run("list", files[0], "--json").exit_code) == (1, 0)
    with piped(contents[0]) as first:
        assert json.loads(office.run("list", first, "--json").stdout)["records"]


def test_nothing_is_not_said_to_be_right(office: Office, tmp_path: Path) -> None:
    """Exit code 1, as for an audit that is missing."""
    empty = tmp_path / "empty"
    empty.write_text("")
    result = office.run("verify", empty)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (1, "the audit has no records")
    empty.write_text('{"fact":"refused"}\n')
    result = office.run("verify", empty, "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (1, False)


@pytest.mark.parametrize("text", ["1", "x:y", f"0:{'0' * 64}", f"1:{'0' * 63}", f"1:{'G' * 64}"])
def test_an_expectation_that_is_none_is_refused(office: Office, text: str) -> None:
    """Exit code 2: it was called wrongly."""
    result = office.run("verify", "--expect", text)
    assert (result.exit_code, "64 hexadecimal digits" in result.stderr) == (2, True)


def test_a_file_that_cannot_be_read_is_named(office: Office) -> None:
    """One sentence, exit code 1."""
    (office.folder / "audit.jsonl.2.gz").write_bytes(b"no gzip")
    result = office.run("verify")
    assert (result.exit_code, result.stderr.startswith(f"{office.folder}/audit.jsonl.2.gz: cannot be read: ")) == (
        1,
        True,
    )


def test_no_configuration_is_named(tmp_path: Path) -> None:
    """As with every command."""
    result = CliRunner().invoke(main, ["audit", "verify", "-c", str(tmp_path / "gone.yaml")])
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


def test_the_key(office: Office) -> None:
    """Its public half, and never the other one."""
    secret = (office.folder / KEY_FILE).read_text().splitlines()[1]
    result = office.run("key")
    assert result.stdout == (office.folder / PUBLIC_FILE).read_text()
    (key,) = json.loads(office.run("key", "--json").stdout)["keys"]
    assert (key["pem"], key["key"]) == (result.stdout, audit_key(office.folder).public)
    assert secret not in result.stdout


# ---- list and export ---------------------------------------------------------------------------------------


def listed(result: Result) -> list[str]:
    """The facts that a table shows."""
    return [line.split()[3] for line in result.stdout.splitlines()[1:]]


def test_lists_records(office: Office) -> None:
    """Those that are asked for, of all files, in order."""
    assert len(listed(office.run("list"))) == 10
    assert listed(office.run("list", "--call", "c2")) == ["spy_started", "spy_ended"]
    assert listed(office.run("list", "--agent", "1002")) == ["refused"]
    assert listed(office.run("list", "--fact", "server_started", "--fact", "refused")) == [
        "server_started",
        "refused",
    ]
    assert listed(office.run("list", "--supervisor", "bert")) == []
    assert len(listed(office.run("list", "--to", (NOW - timedelta(days=100)).isoformat()))) == 3
    assert (
        len(listed(office.run("list", "--from", (NOW - timedelta(days=11)).isoformat(), "--fact", "spy_ended"))) == 2
    )


def test_lists_the_last_ones(office: Office) -> None:
    """And says how many there are before."""
    result = office.run("list", "--limit", 2)
    assert (listed(result), result.stderr) == (
        ["spy_started", "spy_ended"],
        "8 earlier records are not shown; use --limit or export\n",
    )
    found = json.loads(office.run("list", "--limit", 2, "--json").stdout)
    assert ([row["call"] for row in found["records"]], found["earlier"]) == (["c4", "c4"], 8)
    assert office.run("list", "--call", "none").stderr == "no records\n"


def test_what_is_no_record_is_passed_over(office: Office) -> None:
    """And told."""
    with office.path.open("a") as file:
        file.write("by hand\n")
    result = office.run("list", "--call", "c4")
    assert (len(listed(result)), result.stderr.splitlines()[0][:22]) == (2, "1 lines are not record")


def test_nobody_writes_on_the_terminal(office: Office) -> None:
    """What a caller chose is shown, not done."""
    office.change(office.path, '"detail":""', '"detail":"\\u001b[31m[red]"')
    result = office.run("list", "--fact", "refused")
    assert ("\x1b" in result.stdout, "\\x1b[31m[red]" in result.stdout) == (False, True)


@pytest.mark.parametrize("option", ["--from", "--to"])
def test_a_time_that_is_none_is_refused(office: Office, option: str) -> None:
    """Exit code 2."""
    assert office.run("list", option, "soon").exit_code == 2


def test_exports_lines_as_they_are(office: Office) -> None:
    """Byte for byte, so that their hashes can be looked at."""
    lines = (office.folder / "audit.jsonl.1").read_text() + office.path.read_text()
    assert office.run("export").stdout == lines
    assert office.run("export", "--json").stdout == lines
    out = office.folder / "out"
    assert office.run("export", "--call", "c2", "--out", out).stdout == ""
    assert stat.S_IMODE(Path(out).stat().st_mode) == 0o640
    assert [json.loads(line)["call"] for line in out.read_text().splitlines()] == ["c2", "c2"]


def test_exports_csv(office: Office) -> None:
    """One column for every name that a record may have; what a spreadsheet would work out is text."""
    office.change(office.path, '"detail":""', '"detail":"=1+1","new":[1],"half":"\\ud800"')
    rows = list(csv.DictReader(io.StringIO(office.run("export", "--format", "csv").stdout)))
    assert [row["fact"] for row in rows][:3] == ["server_started", "spy_started", "spy_ended"]
    (refused,) = [row for row in rows if row["fact"] == "refused"]
    assert (refused["detail"], refused["reason"], refused["more"]) == (
        "'=1+1",
        "no_call",
        '{"new": [1], "half": "\\ud800"}',
    )
    assert (rows[1]["told"], rows[1]["seq"], rows[2]["seconds"], rows[0]["call"]) == ("false", "2", "30.0", "")


# ---- report and sampling -----------------------------------------------------------------------------------


def test_reports_that_nobody_was_heard(office: Office) -> None:
    """Two empty tables say nothing."""
    done = office.run("report", "--from", (NOW + timedelta(days=1)).isoformat())
    assert (done.exit_code, done.stdout) == (0, "no spies\n")


def test_reports_minutes(office: Office) -> None:
    """Of each agent, and of each supervisor."""
    agents, supervisors = office.run("report").stdout.split("\n\n")
    assert agents.splitlines()[1].split()[:3] == ["1001", "3", "3.0"]
    assert supervisors.splitlines()[1].split()[:3] == ["anna", "3", "3.0"]
    found = json.loads(office.run("report", "--from", (NOW - timedelta(days=1)).isoformat(), "--json").stdout)
    assert [(one["who"], one["spies"], one["minutes"], one["refused"]) for one in found["agents"]] == [
        ("1001", 1, 1.5, 0),
        ("1002", 0, 0.0, 1),
    ]


@pytest.mark.parametrize("command", ["report", "sampling"])
def test_a_record_that_cannot_be_counted_is_named(office: Office, command: str) -> None:
    """And the exit code says that the rest is not all."""
    office.change(office.path, '"grant":1,', '"grant":[],')
    result = office.run(command)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "record 4: grant is not a number of a grant; it is not counted",
        "this is not what a server has written: see 'agi-monitor audit verify'",
    ]
    assert office.run("list", "--supervisor", "anna").exit_code == 0


def test_reports_csv(office: Office) -> None:
    """For a spreadsheet: a row for each agent, then for each supervisor; nothing in it is worked out."""
    office.change(office.path, '"supervisor":"anna"', '"supervisor":"=1+1"')
    rows = list(csv.DictReader(io.StringIO(office.run("report", "--csv").stdout)))
    assert [(row["kind"], row["who"], row["spies"], row["minutes"], row["others"]) for row in rows] == [
        ("agent", "1001", "3", "3.0", "'=1+1 anna"),
        ("agent", "1002", "0", "0.0", ""),
        ("supervisor", "anna", "2", "3.0", "1001"),
        ("supervisor", "'=1+1", "1", "0.0", "1001"),
    ]


def test_a_month_and_yesterday(office: Office) -> None:
    """As people say them; two ways to say when are refused."""
    whole = office.run("list", "--month", "this", "--fact", "refused")
    assert listed(whole) == ["refused"]
    assert listed(office.run("list", "--since", "yesterday", "--fact", "refused")) == ["refused"]
    assert office.run("list", "--to", "last month", "--fact", "refused").stderr == "no records\n"
    assert "cannot be combined" in office.run("list", "--month", "last", "--since", "today").stderr
    assert office.run("list", "--month", "soon").exit_code == 2


def test_a_kind_of_record_that_there_is_not(office: Office) -> None:
    """Is not the same as one of which there are none."""
    result = office.run("list", "--fact", "spy_startet")
    assert (result.exit_code, "did you mean spy_started" in " ".join(result.stderr.split())) == (2, True)
    assert office.run("list", "--fact", "checkpoint", "--fact", "removed").exit_code == 0


def test_reports_who_is_chosen(office: Office) -> None:
    """Against all agents of the configuration, in words and for machines."""
    result = office.run("sampling")
    rows = [line.split()[:3] for line in result.stdout.splitlines()[1:3]]
    assert rows == [["1001", "3", "1.5"], ["1002", "0", "1.5"]]
    assert " ".join(result.stdout.splitlines()[-1].split()).startswith("3 visits to 2 agents.")
    found = json.loads(office.run("sampling", "--json").stdout)["shares"]
    assert [(one["agent"], one["chance"], one["verdict"]) for one in found][:1] == [
        ("1001", pytest.approx(1 - (1 - 1 / 8) ** 2), "within equal chance")
    ]
    assert office.run("sampling", "--call", "none").stderr == "no visits\n"


# ---- retain ------------------------------------------------------------------------------------------------


def test_retains_after_it_was_asked_twice(office: Office) -> None:
    """First it says what would go; with --apply it goes, and the audit is right."""
    rotated = office.folder / "audit.jsonl.1"
    before = rotated.read_bytes()
    result = office.run("retain", "--days", 90)
    assert (result.exit_code, rotated.read_bytes()) == (0, before)
    assert result.stdout.splitlines() == [
        f"{rotated}: 3 of 3 records would be removed",
        f"{office.path}: left alone: a server is writing to it. Rotate it, then run this again",
        "Nothing was changed. Add --apply to remove them",
    ]
    assert office.run("retain", "--days", 90, "--apply").exit_code == 0
    (gone,) = [json.loads(line) for line in rotated.read_text().splitlines()]
    assert (gone["fact"], gone["count"], gone["why"]) == ("removed", 3, "older than 90 days")
    verdict = office.run("verify")
    assert (verdict.exit_code, "3 records were removed" in verdict.stdout) == (0, True)


def test_the_server_goes_on_behind_what_was_removed(office: Office) -> None:
    """Also when everything is removed, the end of the chain among it."""
    office.stop()
    assert json.loads(office.run("retain", "--days", 1, "--apply", "--json").stdout)["left"] is None
    office.audit = AuditSinks([AuditFile(office.path, state=office.folder, signer=audit_key(office.folder))], at_once)
    with capture_logs() as logged:
        office.spy("c9", "1001", 0, 1.0)
    assert [line["event"] for line in logged] == ["audit_checkpoint"]
    assert office.run("verify").exit_code == 0


def test_what_is_held_stays(office: Office) -> None:
    """From the command line, or a file."""
    holds = office.folder / "holds"
    holds.write_text("call=c1  # case 7\n")
    for option, value in (("--hold", "agent=1001"), ("--hold-file", holds)):
        result = office.run("retain", "--days", 90, option, value, "--json")
        assert [(one["removed"], one["held"]) for one in json.loads(result.stdout)["files"]] == [(1, 2)]


def test_a_hold_with_a_mistake_removes_nothing(office: Office) -> None:
    """Exit code 2."""
    before = (office.folder / "audit.jsonl.1").read_bytes()
    assert office.run("retain", "--days", 1, "--apply", "--hold", "agent:1001").exit_code == 2
    assert (office.folder / "audit.jsonl.1").read_bytes() == before


@pytest.mark.parametrize("kind", ["pipe", "large", "secret", "time", "bytes"])
def test_a_file_of_holds_that_is_none(office: Office, kind: str) -> None:
    """It is not waited for, not read without an end, and nothing of it is repeated."""
    path = office.folder / "holds"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(20_000_000)
    else:
        path.write_bytes(
            {"secret": b"agent=1\nhunter2\n", "time": b"from=hunter2\n", "bytes": b"hunter2\xff\n"}[kind]
        )
    result = office.run("retain", "--days", 1, "--apply", "--hold-file", path)
    told = {
        "pipe": "cannot be read",
        "large": "is larger than",
        "secret": "line 2: must be supervisor=",
        "time": "line 1: no time such as",
        "bytes": "is not UTF-8",
    }
    assert (result.exit_code != 0, told[kind] in result.stderr, "hunter2" in result.output) == (True, True, False)


def test_what_was_changed_is_not_signed_away(office: Office) -> None:
    """An audit that is not right is not touched."""
    rotated = office.folder / "audit.jsonl.1"
    office.change(rotated, "anna", "bert")
    before = rotated.read_bytes()
    result = office.run("retain", "--days", 90, "--apply")
    assert (result.exit_code, rotated.read_bytes()) == (1, before)
    assert "is not what was written" in result.stderr


def test_what_was_exchanged_since_it_was_verified_is_not_signed_away(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the folder needs no key for that: the file is replaced right before it is opened again."""
    rotated = office.folder / "audit.jsonl.1"
    verify = Files.verify

    def exchanged(*arguments: Any, **named: Any) -> Verdict:
        verdict = verify(*arguments, **named)
        office.change(rotated, "anna", "bert")
        return verdict

    monkeypatch.setattr(Files, "verify", exchanged)
    result = office.run("retain", "--days", 90, "--apply")
    assert (result.exit_code, "was changed since it was verified" in result.stderr) == (1, True)
    assert b"removed" not in rotated.read_bytes()


@pytest.mark.parametrize("command", ["list", "compare"])
def test_a_number_of_records_has_a_bound(office: Office, command: str) -> None:
    """No list can have more; exit code 2."""
    assert office.run(command, "--limit", "9" * 30).exit_code == 2
