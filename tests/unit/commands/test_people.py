"""``agi-monitor people`` and ``rules``: what they show, what they change, and what they refuse."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor.commands.main import main
from agi_monitor.commands.people_source import load_with_people
from tests.doubles.desk import PIN_HASH

PEOPLE = f"""\
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", groups: [leads], name: Anna}}
agents:
  1001: {{groups: [sales], name: Ben}}
  1002: {{groups: [sales]}}
rules:
  - {{name: one, allow: [listen], supervisors: [leads], agents: [sales]}}
"""

Run = Callable[..., Result]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A site whose people are in the store."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text(f"store: {{people: true}}\nstate: {{directory: {tmp_path}}}\n")
    return path


@pytest.fixture
def run(config: Path) -> Run:
    """Run ``agi-monitor`` with it."""

    def invoke(*arguments: str, given: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [*arguments, "--config", str(config)], input=given)

    return invoke


@pytest.fixture
def site(run: Run, tmp_path: Path) -> Run:
    """The same, with people in it."""
    (tmp_path / "people.yaml").write_text(PEOPLE)
    assert run("people", "import", str(tmp_path / "people.yaml"), "--yes").exit_code == 0
    return run


def names(config: Path) -> tuple[list[str], list[str], list[str]]:
    """Who and what is there."""
    people = load_with_people(config).people
    return list(people.supervisors), list(people.agents), [rule.name for rule in people.rules]


@pytest.mark.parametrize("name", ["people.yaml", "people.csv"])
def test_a_file_that_is_no_list_of_people(run: Run, tmp_path: Path, name: str) -> None:
    """A pipe is not waited for, and what is not a word of a file that was not meant is not repeated."""
    path = tmp_path / name
    os.mkfifo(path)
    result = run("people", "import", str(path), "--yes")
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)
    path.unlink()
    path.write_text("root$6$hunter2: x\n'a hunter2': 1\n")
    result = run("people", "import", str(path), "--yes")
    assert (result.exit_code, "not a word" in result.stderr, "hunter2" in result.output) == (1, True, False)
    with path.open("wb") as file:
        file.truncate(20_000_000)
    result = run("people", "import", str(path), "--yes")
    assert (result.exit_code, "is larger than" in result.stderr) == (1, True)


def test_nobody_is_there_at_first(run: Run) -> None:
    """And that is said, not an error."""
    assert (run("people", "list").stderr, run("people", "list").exit_code) == ("no people\n", 0)
    assert run("rules", "list").stderr == "no rules: no supervisor may listen to anyone\n"


def test_an_import_shows_what_changes_and_asks(run: Run, config: Path, tmp_path: Path) -> None:
    """Anyone who says no has changed nothing."""
    path = tmp_path / "people.yaml"
    path.write_text(PEOPLE)
    refused = run("people", "import", str(path), given="n\n")
    assert refused.exit_code == 1
    assert refused.stdout.splitlines()[:2] == ["+ supervisor anna", "    endpoints: PJSIP/2001"]
    assert "    pin: set" in refused.stdout
    assert names(config) == ([], [], [])
    made = run("people", "import", str(path), given="y\n")
    assert (made.exit_code, "done" in made.stderr) == (0, True)
    assert names(config) == (["anna"], ["1001", "1002"], ["one"])


def test_the_same_import_once_more_changes_nothing(site: Run, tmp_path: Path) -> None:
    """And asks nothing."""
    again = site("people", "import", str(tmp_path / "people.yaml"))
    assert (again.exit_code, again.stdout, again.stderr) == (0, "", "no changes\n")


def test_a_look_first_changes_nothing(site: Run, config: Path) -> None:
    """What replaces would go is shown."""
    shown = site("people", "import", "-", "--replace", "--dry-run", given="agents: {1001: {name: Benjamin}}\n")
    assert shown.stdout.splitlines() == [
        "- supervisor anna",
        "    endpoints: PJSIP/2001",
        "    groups: leads",
        "    name: Anna",
        "    pin: set",
        "~ agent 1001",
        "    groups: sales -> -",
        "    name: Ben -> Benjamin",
        "- agent 1002",
        "    groups: sales",
        "- rule one",
        "    name: one",
        "    allow: listen",
        "    supervisors: leads",
        "    agents: sales",
    ]
    assert names(config)[0] == ["anna"]


def test_a_mistake_takes_nothing_in(site: Run, config: Path) -> None:
    """Neither the right half of a file, nor what does not fit to what is there."""
    given = "agents: {1005: {}}\nrules: [{name: two, allow: [listen], supervisors: [nobody], agents: [all]}]\n"
    refused = site("people", "import", "-", "--yes", given=given)
    assert (refused.exit_code, refused.stderr) == (
        1,
        "rules[1].supervisors: nobody is neither a supervisor nor a group of supervisors\n",
    )
    assert names(config) == (["anna"], ["1001", "1002"], ["one"])


def test_a_mistake_in_a_file_names_its_line(site: Run) -> None:
    """As in the configuration."""
    refused = site("people", "import", "-", "--yes", given="agents:\n  1005: {nmae: Eve}\n")
    assert refused.stderr.startswith("-:2: agents.1005.nmae: is not a key of this section")


def test_nobody_is_asked_on_standard_input(site: Run) -> None:
    """The answer would be read from the file."""
    assert "--yes, or --dry-run" in site("people", "import", "-", given="agents: {}\n").stderr


def test_csv_is_taken_by_its_name(site: Run, config: Path, tmp_path: Path) -> None:
    """And leaves what it has no column for."""
    path = tmp_path / "people.CSV"
    path.write_text("kind,id,groups\nagent,1001,support\nagent,1003,sales\n")
    assert site("people", "import", str(path), "--yes").exit_code == 0
    people = load_with_people(config).people
    assert people.agents["1001"].groups == ("support",)
    assert people.agents["1001"].name == "Ben"
    assert "1003" in people.agents
    assert "it cannot replace everything" in site("people", "import", str(path), "--replace", "--yes").stderr


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(("where", "arguments"), [("file", ("--json",)), ("pipe", ()), ("terminal", ())])
def test_pin_records_go_to_no_place_where_others_read_them(
    config: Path, tmp_path: Path, where: str, arguments: tuple[str, ...]
) -> None:
    """A shell's redirection makes a file that others may read, and a terminal is looked at; a pipe may encrypt."""
    command = [sys.executable, "-m", "agi_monitor", "people", "export", "--pins", *arguments, "-c", str(config)]
    if where == "pipe":
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, "argon2id" in done.stdout) == (0, True)
        return
    master, slave = pty.openpty()
    try:
        with (tmp_path / "out").open("wb") as out:
            to = out if where == "file" else slave
            done = subprocess.run(command, stdout=to, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(master)
        os.close(slave)
    assert done.returncode == 1
    assert "use --out FILE" in done.stderr
    assert (tmp_path / "out").read_bytes() == b""


def test_csv_has_no_pin_records(site: Run, tmp_path: Path) -> None:
    """Who asks for a backup is told, and gets none that looks like one."""
    done = site("people", "export", "--pins", "--format", "csv", "--out", str(tmp_path / "out.csv"))
    assert (done.exit_code, done.output) == (1, "CSV has no PIN records: use YAML for a backup\n")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("arguments", [(), ("--pins",), ("--format", "csv"), ("--json",)])
def test_an_export_may_be_taken_in_again(site: Run, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """In every form, and changes nothing; the record of a PIN is in it only when asked for."""
    path = tmp_path / ("people.csv" if "csv" in arguments else "again.yaml")
    assert site("people", "export", "--out", str(path), *arguments).exit_code == 0
    # Records of PINs may stand in it.
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ("argon2id" in path.read_text()) == ("--pins" in arguments)
    again = site("people", "import", str(path))
    assert (again.exit_code, again.stderr) == (0, "no changes\n")


def test_lists_people(site: Run) -> None:
    """Supervisors and agents, as tables and for machines, without PINs."""
    shown = site("people", "list").stdout
    assert "anna" in shown
    assert "Ben" in shown
    assert "argon2" not in shown
    found = json.loads(site("people", "list", "--json").stdout)
    assert found == {
        "supervisors": {"anna": {"endpoints": ["PJSIP/2001"], "groups": ["leads"], "name": "Anna"}},
        "agents": {"1001": {"groups": ["sales"], "name": "Ben"}, "1002": {"groups": ["sales"]}},
    }
    assert json.loads(site("people", "list", "--group", "leads", "--json").stdout)["agents"] == {}


def test_adds_people(site: Run, config: Path) -> None:
    """One by one; a person who is there is not replaced."""
    assert site("people", "add", "supervisor", "bert", "--endpoint", "PJSIP/2002", "--language", "de").exit_code == 0
    assert site("people", "add", "agent", "1003", "--group", "sales", "--protected").exit_code == 0
    people = load_with_people(config).people
    assert (people.supervisors["bert"].language, people.supervisors["bert"].pin) == ("de", None)
    assert people.agents["1003"].protected
    again = site("people", "add", "agent", "1003")
    assert (again.exit_code, again.stderr) == (1, "1003 is there already; agi-monitor people import changes them\n")
    wrong = site("people", "add", "supervisor", "eve", "--endpoint", "PJSIP/2001")
    assert "PJSIP/2001 is already the phone of anna" in wrong.stderr
    assert (
        "supervisors.eve.endpoints[0]: must be technology/name"
        in site("people", "add", "supervisor", "eve", "--endpoint", "2001").stderr
    )


def test_disables_and_enables(site: Run, config: Path) -> None:
    """Everything about them is kept."""
    changed = json.loads(site("people", "disable", "anna", "--json").stdout)
    assert changed["changed"] is True
    assert changed["changes"][0]["after"]["disabled"] is True
    assert load_with_people(config).people.supervisors["anna"].pin == PIN_HASH
    assert site("people", "enable", "anna").stdout == "~ supervisor anna\n    disabled: True -> -\n"
    assert site("people", "disable", "dora").stderr == "dora: there is no supervisor or agent of this name\n"


def test_notes_that_an_agent_was_told(site: Run, config: Path) -> None:
    """With the date and the version of the text."""
    assert site("people", "told", "1001", "--text", "v3", "--on", "2026-11-25").exit_code == 0
    assert load_with_people(config).people.agents["1001"].told == "2026-11-25"
    assert (
        "told: must be a date such as 2026-11-25"
        in site("people", "told", "1001", "--text", "v3", "--on", "x").stderr
    )
    assert site("people", "told", "anna", "--text", "v3").stderr == "anna: no agent has this extension\n"


def test_adds_and_removes_rules(site: Run, config: Path) -> None:
    """With all that a rule may say."""
    options = ["--allow", "whisper", "--supervisors", "leads", "--agents", "_10XX", "--zone", "Europe/Berlin"]
    options += ["--hours", "mon-fri 08:00-18:00", "--queue", "support", "--max-minutes", "5", "--reason-required"]
    assert site("rules", "add", "two", *options).exit_code == 0
    assert json.loads(site("rules", "list", "--json").stdout)["rules"][1] == {
        "name": "two",
        "allow": ["whisper"],
        "supervisors": ["leads"],
        "agents": ["_10XX"],
        "when": {"zone": "Europe/Berlin", "hours": ["mon-fri 08:00-18:00"]},
        "calls": {"queues": ["support"]},
        "terms": {"reason_required": True, "max_minutes": 5.0},
    }
    assert "mon-fri 08:00-18:00" in site("rules", "list").stdout
    assert site("rules", "remove", "one").exit_code == 0
    assert names(config)[2] == ["two"]
    assert site("rules", "remove", "one").stderr == "one: there is no rule of this name\n"
    assert "needs either allow or deny" in site("rules", "add", "x", "--supervisors", "all", "--agents", "all").stderr


def test_explain_asks_the_store(site: Run) -> None:
    """The same people as the server."""
    assert site("explain", "anna", "listen", "1001").exit_code == 0
    site("people", "add", "agent", "1003", "--group", "sales", "--protected")
    denied = site("explain", "anna", "listen", "1003")
    assert denied.exit_code == 1
    assert "protected agents" in denied.stdout


def test_people_in_the_file_are_shown_and_not_changed(tmp_path: Path) -> None:
    """The message says where they are changed."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text(f"state: {{directory: {tmp_path}}}\n{PEOPLE}")
    arguments = ["--config", str(path)]
    assert "anna" in CliRunner().invoke(main, ["people", "list", *arguments]).stdout
    exported = CliRunner().invoke(main, ["people", "export", *arguments])
    assert exported.stdout.startswith("supervisors:\n  anna:\n")
    refused = CliRunner().invoke(main, ["people", "disable", "anna", *arguments])
    assert refused.exit_code == 1
    assert "people are in the configuration file" in refused.stderr


def test_a_store_that_cannot_be_read_is_said(run: Run, config: Path) -> None:
    """Where, and what to do."""
    config.write_text("store: {people: true}\nstate: {directory: /nowhere}\n")
    failed = run("people", "list")
    assert (failed.exit_code, failed.stderr.startswith("/nowhere/agi-monitor.db: No such file")) == (1, True)


def test_people_of_several_companies(site: Run, config: Path) -> None:
    """The companies stand in the file; a person of none, or of one that is not there, is refused."""
    config.write_text(config.read_text() + "tenants: {acme: {hint_context: acme}, beta: {hint_context: beta}}\n")
    refused = site("people", "add", "agent", "beta-1001", "--dialled", "1001", "--tenant", "gamma")
    assert refused.exit_code == 1
    assert "agents.beta-1001.tenant: gamma is not one of tenants" in refused.output
    assert "supervisors.anna: tenant is missing, because there are tenants" in refused.output
    everybody = (
        "kind,id,endpoints,tenant,extension\nsupervisor,anna,PJSIP/2001,acme,\n"
        "agent,1001,,acme,\nagent,1002,,acme,\nagent,beta-1002,,beta,1002\n"
    )
    taken = site("people", "import", "-", "--format", "csv", "--yes", given=everybody)
    assert taken.exit_code == 0, taken.output
    assert site("people", "add", "agent", "beta-1001", "--dialled", "1001", "--tenant", "beta").exit_code == 0
    assert site("people", "add", "agent", "beta-9", "--dialled", "1001", "--tenant", "beta").exit_code == 1
    (first, *_) = [line for line in site("people", "list").stdout.splitlines() if line.startswith("beta-1001")]
    assert first.split()[:3] == ["beta-1001", "beta", "1001"]
    assert "agents: 4" in site("check-config").stdout


def test_a_name_that_is_no_text_is_refused(site: Run) -> None:
    """Bytes that are not UTF-8 from the command line, or half a character from a file: no database keeps them."""
    added = site("people", "add", "supervisor", "zoe", "--endpoint", "PJSIP/2099", "--name", "\udcff")
    imported = site("people", "import", "-", "--yes", given="agents: {'1099': {name: \"\\ud800\"}}\n")
    for result in (added, imported):
        assert (result.exit_code != 0, "must be text" in result.stderr, result.stderr.count("Traceback")) == (
            True,
            True,
            0,
        )
