"""The commands about the audit, as they are typed, on audits in a database."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from agi_monitor.audit.chain import body_of, stamp
from agi_monitor.audit.facts import End, SpyEnded, SpyStarted
from agi_monitor.commands.main import main
from agi_monitor.config.sample import SAMPLE
from agi_monitor.model import Mode
from agi_monitor.storage.audit.key_file import PUBLIC_FILE
from agi_monitor.storage.database import Database
from tests.doubles.audit_desk import Desk
from tests.doubles.audit_writer import CALL
from tests.doubles.coroutines import finish
from tests.doubles.desk import PIN_HASH
from tests.unit.storage.audit.test_sinks import House

NOW = datetime.now(UTC).replace(microsecond=0)


class Office:
    """A configuration, and the audits of two servers in one database; the first has a file as well.

    Parameters:
        database: with its tables.
        folder: is there, and empty.
    """

    def __init__(self, database: Database, folder: Path) -> None:
        self.folder = folder
        self.database = database
        self.config = folder / "agi-monitor.yaml"
        (folder / "other").mkdir()
        with capture_logs():
            self.one = House(database, folder, "one")
            self.other = Desk(database, folder / "other", "other")
            for desk, day, call in ((self.one, 200, "c1"), (self.other, 150, "o1"), (self.one, 1, "c2")):
                self.spy(desk, day, call)
        self.configure("audit: {file: FILE, store: true}")

    def configure(self, audit: str) -> None:
        """Write the configuration."""
        drivername = "sqlite" if self.database.is_sqlite else "postgresql"
        url = self.database.url.set(drivername=drivername).render_as_string()
        text = SAMPLE.replace("REPLACE-ME", PIN_HASH).replace("/var/lib/agi-monitor", str(self.folder))
        begin = text.index("audit:\n")
        end = text.index("\n", text.index("file: /var/log/agi-monitor/audit.jsonl"))
        section = f"{audit.replace('FILE', str(self.one.path))}\nstore: {{url: '{url}', node: one}}"
        self.config.write_text(text[:begin] + section + text[end:])

    def spy(self, desk: Desk, days: int, call: str) -> None:
        """A spy, this number of days ago."""
        at = NOW - timedelta(days=days)
        what: dict[str, Any] = {"extension": "1001", "spyee": "PJSIP/1-1", "spyee_uniqueid": "1.2", "rule": "r"}
        why: dict[str, Any] = {"source": "agi", "stale": "", "because": "hint"}
        common: dict[str, Any] = {"at": at, "call": call, "grant": 1, "mode": Mode.LISTEN, **CALL}
        desk.append(
            SpyStarted(**common, told=False, **what, **why),
            SpyEnded(**common, extension="1001", why=End.CALL_OVER, seconds=60.0),
        )

    def run(self, *arguments: object) -> Result:
        """Run a command with this configuration."""
        typed = ["audit", *map(str, arguments), "-c", str(self.config)]
        return CliRunner().invoke(main, typed, catch_exceptions=False)


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Iterator[Office]:
    """Both servers run."""
    office = Office(database, tmp_path)
    yield office
    with capture_logs():
        finish(office.one.audit.close(NOW))


def calls(result: Result) -> list[str]:
    """The calls of all records."""
    return [row["call"] for row in json.loads(result.stdout)["records"] if "call" in row]


# ---- read ----------------------------------------------------------------------------------------------------


def test_lists_what_the_store_has(office: Office) -> None:
    """Of all servers by time, or of one; with --from and --to as everywhere."""
    assert calls(office.run("list", "--json")) == ["c1", "c1", "c2", "c2"]
    assert calls(office.run("list", "--store", "--json")) == ["c1", "c1", "o1", "o1", "c2", "c2"]
    assert calls(office.run("list", "--node", "other", "--json")) == ["o1", "o1"]
    since = (NOW - timedelta(days=160)).isoformat()
    until = (NOW - timedelta(days=20)).isoformat()
    assert calls(office.run("list", "--store", "--from", since, "--to", until, "--json")) == ["o1", "o1"]
    assert calls(office.run("list", "--store", "--fact", "spy_ended", "--limit", 1, "--json")) == ["c2"]


def test_without_a_file_it_is_always_the_store(office: Office) -> None:
    """It need not be said."""
    office.configure("audit: {file: , store: true}")
    assert calls(office.run("list", "--json")) == ["c1", "c1", "o1", "o1", "c2", "c2"]


def test_a_server_that_is_unknown_is_named(office: Office) -> None:
    """With those that there are."""
    result = office.run("list", "--node", "third")
    assert (result.exit_code, "no audit of third; there are: one, other" in result.stderr) == (1, True)
    assert office.run("list", office.one.path, "--store").exit_code == 2


def test_reports_on_all_servers(office: Office) -> None:
    """Minutes and visits are those of all of them."""
    found = json.loads(office.run("report", "--store", "--json").stdout)
    assert [(one["who"], one["spies"], one["minutes"]) for one in found["agents"]] == [("1001", 3, 3.0)]
    shares = json.loads(office.run("sampling", "--store", "--json").stdout)["shares"]
    assert [(one["agent"], one["visits"]) for one in shares] == [("1001", 3), ("1002", 0)]


def test_an_export_is_a_file_that_can_be_verified(office: Office) -> None:
    """Line by line as it is in the store; of several servers one is to be named."""
    result = office.run("export", "--store")
    assert (result.exit_code, "has the audits of one, other: name one with --node" in result.stderr) == (1, True)
    out = office.folder / "export.jsonl"
    assert office.run("export", "--node", "other", "--out", out).exit_code == 0
    assert out.read_text().splitlines() == [line for *_, line in office.other.rows()]
    head = office.other.verify().head
    expected = ("--expect", f"{head.seq}:{head.hash}", "--key", office.folder / "other" / PUBLIC_FILE)
    assert office.run("verify", out, *expected).exit_code == 0
    out.write_text(out.read_text().replace("PJSIP/2001", "PJSIP/2002", 1))
    assert office.run("verify", out, *expected).exit_code == 1
    rows = list(csv.DictReader(io.StringIO(office.run("export", "--store", "--format", "csv").stdout)))
    assert [row["call"] for row in rows if row["call"]] == ["c1", "c1", "o1", "o1", "c2", "c2"]


# ---- verify --------------------------------------------------------------------------------------------------


def test_verifies_every_server(office: Office) -> None:
    """Each with its chain; another server's key is not known here until it is given."""
    result = office.run("verify", "--store")
    lines = result.stdout.splitlines()
    assert (result.exit_code, lines[0], lines.count("nothing was changed")) == (0, "one:", 2)
    note = (
        "note: no checkpoint with a good signature: with write access alone, all of it could have been made again. "
    )
    assert f"{note}A server signs one within minutes, and when it stops" in lines[lines.index("other:") :]
    with capture_logs():
        office.one.close()
        office.other.close()
    lines = office.run("verify", "--store").stdout.splitlines()
    assert lines.count("note: no key was given: any signature that matches counts, of any key") == 1
    key = office.folder / "other" / PUBLIC_FILE
    assert "note:" not in office.run("verify", "--store", "--key", key).stdout
    found = json.loads(office.run("verify", "--node", "other", "--key", key, "--json").stdout)
    assert (found["ok"], [(one["node"], one["records"]) for one in found["nodes"]]) == (True, [("other", 3)])


def test_a_changed_record_is_named(office: Office) -> None:
    """With its server; exit code 1, and nothing of what stands there is shown."""
    rows = office.other.rows()
    office.other.put([rows[0], (2, "spy_ended", rows[1][2].replace('"supervisor":"anna"', '"supervisor":"4711"'))])
    result = office.run("verify", "--store")
    assert (result.exit_code, "4711" in result.output) == (1, False)
    shown = [line.split() for line in result.stdout.splitlines()]
    assert ["other", "2", "2", "changed", "record", "2:", "changed"] in shown
    assert office.run("verify", "--node", "one").exit_code == 0


def test_an_expected_record_is_one_of_one_server(office: Office) -> None:
    """Numbers are those of a server."""
    head = office.one.verify().head
    assert office.run("verify", "--store", "--expect", f"{head.seq}:{head.hash}").exit_code == 2
    assert office.run("verify", "--node", "one", "--expect", f"{head.seq}:{head.hash}").exit_code == 0
    result = office.run("verify", "--node", "one", "--expect", f"{head.seq}:{'0' * 64}")
    assert (result.exit_code, "do not remember the same" in " ".join(result.stdout.split())) == (1, True)


# ---- retain --------------------------------------------------------------------------------------------------


def test_retains_while_the_server_runs(office: Office) -> None:
    """This server's records alone; the chain is whole, and the server continues."""
    result = office.run("retain", "--store", "--days", 90)
    assert "2 of 5 records would be removed" in result.stdout
    assert office.one.count() == 5
    assert office.run("retain", "--store", "--days", 90, "--apply").exit_code == 0
    assert office.one.facts() == ["removed", "spy_started", "spy_ended"]
    assert office.other.count() == 2
    with capture_logs():
        office.spy(office.one, 0, "c3")
    verdict = office.run("verify", "--node", "one")
    assert (verdict.exit_code, "2 records were removed" in verdict.stdout) == (0, True)
    assert calls(office.run("list", "--node", "one", "--json")) == ["c2", "c2", "c3", "c3"]


def test_retains_nothing_that_is_held_or_wrong(office: Office) -> None:
    """A hold keeps what it names; an audit that is not what was written is not touched."""
    hold = ("--hold", "supervisor=anna")
    assert "2 old ones are held" in office.run("retain", "--store", "--days", 90, *hold, "--apply").stdout
    rows = office.one.rows()
    office.one.put([rows[0], rows[2], rows[3]])
    result = office.run("retain", "--store", "--days", 90, "--apply")
    assert (result.exit_code, "Nothing was removed" in result.stderr, office.one.count()) == (1, True, 3)


def test_another_servers_records_need_its_key(office: Office) -> None:
    """What was not verified is not signed."""
    retain = ("retain", "--node", "other", "--days", 90, "--apply")
    assert office.run(*retain).exit_code == 2
    key = office.folder / "other" / PUBLIC_FILE
    assert office.run(*retain, "--key", key).exit_code == 0
    assert [fact for _, fact, _ in office.other.rows()] == ["removed"]
    assert office.run("verify", "--node", "other", "--key", key).exit_code == 0


def test_all_that_is_old_goes_and_the_server_goes_on(office: Office) -> None:
    """The end of the chain among it."""
    assert office.run("retain", "--store", "--days", 1, "--apply").exit_code == 0
    with capture_logs():
        office.spy(office.one, 0, "c9")
    assert office.one.facts() == ["removed", "spy_started", "spy_ended"]
    assert office.run("verify", "--node", "one").exit_code == 0


# ---- compare -------------------------------------------------------------------------------------------------


def test_compares_the_file_with_the_store(office: Office) -> None:
    """Both are the same until one has more; each says its own number."""
    same = json.loads(office.run("compare", "--json").stdout)
    assert (same["same"], same["file"]["records"], same["store"]["records"]) == (True, 4, 4)
    with capture_logs():
        office.one.sink.write(
            body_of({"fact": "refused", "at": stamp(NOW - timedelta(days=1)), "call": "x\u00e4"}), NOW
        )
    result = office.run("compare", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["file"]["only"], found["store"]["only"]) == (1, 0, 1)
    assert [(one["place"], one["call"]) for one in found["records"]] == [("store", "x\u00e4")]
    assert "1 of them not in the other" in office.run("compare").stdout
    assert office.run("compare", "--node", "nobody").exit_code == 2
