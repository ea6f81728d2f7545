"""The command ``explain``, as it is typed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor.commands.main import main
from tests.doubles.desk import PIN_HASH

TEXT = f"""\
supervisors:
  anna: {{endpoints: [PJSIP/2001, PJSIP/2002], pin: "{PIN_HASH}", groups: [leads]}}
agents:
  1001: {{groups: [sales]}}
  1002: {{groups: [sales]}}
rules:
  - name: by-day
    allow: [listen]
    supervisors: [leads]
    agents: [sales]
    when: {{zone: Europe/Berlin, hours: [08:00-18:00]}}
    calls: {{direction: in}}
    terms: {{reason_required: true, max_minutes: 10, max_listeners: 2}}
  - {{name: helpline, deny: [listen], supervisors: [all], agents: [1002], calls: {{queues: [helpline]}}}}
  - {{name: sampled, allow: [scan], supervisors: [anna], agents: ["1002"]}}
"""

NOON = ("--at", "2026-12-01T12:00+01:00")
MET = (*NOON, "--direction", "in", "--reason")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Rules with conditions."""
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    return path


def run(config: Path, *arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, ["explain", "-c", str(config), *arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "code", "first"),
    [
        (MET, 0, "allowed by rule by-day"),
        ((*MET, "--listeners", "1", "--minutes", "9.9"), 0, "allowed by rule by-day"),
        ((*MET, "--minutes", "10"), 1, "denied: no rule allows it; rule by-day: the time for one call is up"),
        (
            (*MET, "--listeners", "2"),
            1,
            "denied: no rule allows it; rule by-day: as many as may hear the call already",
        ),
        (
            (*NOON, "--direction", "in", "--no-reason"),
            1,
            "denied: no rule allows it; rule by-day: no reason was given",
        ),
        (
            (*NOON, "--direction", "out"),
            1,
            "denied: no rule allows it; rule by-day: the call goes the other way",
        ),
        (
            ("--at", "2026-12-01T12:00-06:00", *MET[2:]),
            1,
            "denied: no rule allows it; rule by-day: not at this hour",
        ),
        (
            NOON,
            1,
            "it depends: no rule allows it; rule by-day: the direction of the call is not known, "
            "whether there is a reason is not known",
        ),
    ],
)
def test_says_what_the_rules_say(config: Path, options: tuple[str, ...], code: int, first: str) -> None:
    """Each option is a fact about the request; the exit code is the decision."""
    result = run(config, "anna", "listen", "1001", *options)
    assert (result.exit_code, result.stdout.splitlines()[0]) == (code, f"anna, listen, 1001: {first}")


def test_lists_every_rule_about_them(config: Path) -> None:
    """With why it does not apply."""
    result = run(config, "anna", "listen", "1002", *MET, "--queue", "helpline", "--scan")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "anna, listen, 1002: denied: rule helpline",
        "Rules about them:",
        "  allow  by-day: applies",
        "  deny   helpline: applies",
        "  allow  sampled: applies",
        "Not verified here: that the hint 1002@default of the PBX names a phone.",
    ]


def test_a_call_of_no_queue_is_an_empty_text(config: Path) -> None:
    """It is something else than a queue that is not known."""
    assert run(config, "anna", "listen", "1002", *MET).stdout.splitlines()[1].startswith("Denied as long as")
    assert run(config, "anna", "listen", "1002", *MET, "--queue", "").exit_code == 0


def test_tells_it_to_machines(config: Path) -> None:
    """One JSON object with the request, the decision and the rules."""
    result = run(config, "anna", "listen", "1001", *MET, "--queue", "sales", "--minutes", "2", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["allowed"], found["rule"], found["detail"]) == (0, True, "by-day", "")
    assert found["request"] == {
        "supervisor": "anna",
        "mode": "listen",
        "agent": "1001",
        "scan": False,
        "at": "2026-12-01T12:00:00+01:00",
        "queue": "sales",
        "direction": "in",
        "reason": True,
        "listeners": 0,
        "heard_seconds": 120.0,
    }
    assert [(one["rule"], one["standing"]) for one in found["near"]] == [("by-day", "applies")]


def test_asks_about_now_by_default(config: Path) -> None:
    """Between the moments before and after."""
    before = datetime.now(UTC)
    found = json.loads(run(config, "anna", "listen", "1001", "--json").stdout)
    assert before <= datetime.fromisoformat(found["request"]["at"]) <= datetime.now(UTC)


def test_a_time_without_an_offset_is_that_of_this_machine(config: Path) -> None:
    """As the administrator who sits at it reads it from a clock."""
    found = json.loads(run(config, "anna", "listen", "1001", "--json", "--at", "2026-07-01 12:00").stdout)
    assert datetime.fromisoformat(found["request"]["at"]) == datetime(2026, 7, 1, 12).astimezone()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dora", "listen", "1001"), "'dora' is not a supervisor in"),
        (("PJSIP/2001", "listen", "1001"), "is not a supervisor in"),
        (("anna", "hear", "1001"), "'hear' is not one of"),
        (("anna", "listen", "sales"), "'sales' is not an agent in"),
        (("anna", "listen", "1001", "--at", "noon"), "'noon' is not a time such as"),
        (("anna", "listen", "1001", "--at", "0001-01-01"), "the year must be between"),
        (("anna", "listen", "1001", "--at", "9999-12-31"), "the year must be between"),
        (("anna", "listen", "1001", "--listeners", "-1"), "-1 is not in the range"),
        (("anna", "listen", "1001", "--minutes", "-1"), "-1"),
        (("anna", "listen"), "Missing argument 'AGENT'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(config: Path, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 2, and one sentence."""
    result = run(config, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("where", ["file", "store"])
def test_who_is_disabled_or_not_there_is_said_with_where_people_live(tmp_path: Path, where: str) -> None:
    """The file is named only when people are in it."""
    people = (
        f"supervisors: {{anna: {{endpoints: [PJSIP/2001], pin: '{PIN_HASH}'}}, "
        f"bert: {{endpoints: [PJSIP/2002], disabled: true, pin: '{PIN_HASH}'}}}}\n"
        "agents: {1001: {endpoints: [PJSIP/1001], disabled: true}}\nrules: []\n"
    )
    config = tmp_path / "c.yaml"
    state = f"state: {{directory: {tmp_path}}}\n"
    config.write_text(state + (people if where == "file" else "store: {people: true}\n"))
    if where == "store":
        (tmp_path / "people.yaml").write_text(people)
        taken_in = ["people", "import", str(tmp_path / "people.yaml"), "--yes", "-c", str(config)]
        assert CliRunner().invoke(main, taken_in).exit_code == 0
    place = str(config) if where == "file" else "the store; see 'agi-monitor people list'"
    for arguments, told in (
        (("bert", "listen", "1001"), f"'bert' is a supervisor who is disabled in {place}"),
        (("dora", "listen", "1001"), f"'dora' is not a supervisor in {place}"),
        (("anna", "listen", "1001"), f"'1001' is an agent who is disabled in {place}"),
        (("anna", "listen", "1002"), f"'1002' is not an agent in {place}"),
    ):
        assert told in " ".join(run(config, *arguments).stderr.split())


def test_a_configuration_with_mistakes_is_told(config: Path) -> None:
    """As the other commands tell it."""
    config.write_text(TEXT.replace("08:00-18:00", "8-18"))
    result = run(config, "anna", "listen", "1001")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{config}:11: rules[0].when.hours[0]: must be hours")


COMPANIES = f"""\
tenants: {{acme: {{hint_context: acme}}, beta: {{hint_context: beta}}}}
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", tenant: acme}}
  bert: {{endpoints: [PJSIP/2002], pin: "{PIN_HASH}", tenant: beta}}
agents:
  1001: {{tenant: acme, endpoints: [PJSIP/1001]}}
  beta-1001: {{tenant: beta, extension: 1001}}
rules:
  - {{name: everybody, allow: [listen], supervisors: [all], agents: [all]}}
"""


@pytest.mark.parametrize(
    ("supervisor", "agent", "said"),
    [
        ("anna", "1001", ["anna, listen, 1001: allowed by rule everybody", "Rules about them:"]),
        ("anna", "beta-1001", ["anna, listen, beta-1001: denied: the agent is of another tenant"]),
        ("bert", "beta-1001", ["bert, listen, beta-1001: allowed by rule everybody", "Rules about them:"]),
        ("bert", "1001", ["bert, listen, beta-1001: allowed by rule everybody", "Rules about them:"]),
    ],
)
def test_digits_mean_the_agent_of_the_supervisors_company(
    config: Path, supervisor: str, agent: str, said: list[str]
) -> None:
    """As on the phone; the key of an agent means that one, and another company's may not be heard."""
    config.write_text(COMPANIES)
    result = run(config, supervisor, "listen", agent)
    lines = result.stdout.splitlines()
    assert lines[: len(said)] == said
    assert result.exit_code == (0 if "allowed" in said[0] else 1)
    # What the PBX alone knows is not passed over: whether a hint names a phone.
    hint = "Not verified here: that the hint 1001@beta of the PBX names a phone."
    assert (hint in lines) == ("beta-1001" in said[0])
