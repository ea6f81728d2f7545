"""``agi-monitor pin set``, ``reset``, ``expire`` and ``unlock``, where people live in the store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor.commands.main import main
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.pins.lock_outs import LockOut
from agi_monitor.pins.records import PinRecord, matches
from agi_monitor.pins.rules import PinRules
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.people_table import Made, PeopleTable
from agi_monitor.storage.pin_table import PinTable
from tests.doubles.desk import PIN_HASH

Run = Callable[..., Result]

NEW = "90210777"
LOCKED_OUT = ["supervisor:anna", "endpoint:PJSIP/2001", "endpoint:PJSIP/2002", "supervisor:bert"]


class Site:
    """A site whose people are in the store; Anna and Bert are locked out.

    Parameters:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        self.config = folder / "agi-monitor.yaml"
        self.config.write_text(f"store: {{people: true}}\nstate: {{directory: {folder}}}\n")
        people = folder / "people.yaml"
        people.write_text(
            "supervisors:\n"
            f"  anna: {{endpoints: [PJSIP/2001], pin: '{PIN_HASH}', groups: [leads]}}\n"
            "  bert: {endpoints: [PJSIP/2002], name: Bert}\n"
        )
        assert self.run("people", "import", str(people), "--yes").exit_code == 0
        self._database = Database(file_url(folder))
        rows = dict.fromkeys(LOCKED_OUT, LockOut(3, 1e9, 2e9))
        LockOutTable(self._database).change(LOCKED_OUT, lambda before: rows)
        self._seen = PeopleTable(self._database).last_change()

    def run(self, *arguments: str, given: str = "") -> Result:
        """Run ``agi-monitor`` with this configuration."""
        return CliRunner().invoke(main, [*arguments, "--config", str(self.config)], input=given)

    def record(self, supervisor: str) -> PinRecord:
        """What is kept of a PIN."""
        found = PinTable(self._database).read(supervisor)
        assert found is not None
        return found

    def locked_out(self) -> list[str]:
        """Who is locked out."""
        return sorted(LockOutTable(self._database).change(LOCKED_OUT, lambda before: before))

    def changes(self) -> tuple[Made, ...]:
        """What was changed since the beginning."""
        return PeopleTable(self._database).changes_since(self._seen)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Anna has a PIN, Bert has none."""
    return Site(tmp_path)


def after(made: Made) -> Mapping[str, object]:
    """What a change has led to."""
    assert made.change.after is not None
    return made.change.after


@pytest.mark.parametrize("who", ["anna", "bert"])
def test_set_gives_a_pin(site: Site, who: str) -> None:
    """With its date; the old one no longer counts, the supervisor may try again at once, and the change is noted."""
    before = load_with_people(site.config).people
    result = site.run("pin", "set", who, given=f"{NEW}\n")
    assert (result.exit_code, result.stdout) == (0, f"{who}: has a new PIN\n")
    record = site.record(who)
    assert record.hash is not None
    assert matches(record.hash, NEW)
    assert not record.must_change
    (made,) = site.changes()
    assert (made.change.key, after(made)["pin"]) == (who, "changed" if who == "anna" else "set")
    assert made.by
    assert record.made == datetime.fromisoformat(str(after(made)["pin_set"])).timestamp()
    assert not {name for name in site.locked_out() if who in name}
    assert len(site.locked_out()) == 2
    people = load_with_people(site.config).people
    assert people.supervisors[who].groups == before.supervisors[who].groups
    assert people.supervisors[who].endpoints == before.supervisors[who].endpoints


def test_a_temporary_pin_has_to_be_changed(site: Site) -> None:
    """At the next call."""
    result = site.run("pin", "set", "anna", "--temporary", "--json", given=f"{NEW}\n")
    assert json.loads(result.stdout) == {"supervisor": "anna", "must_change": True}
    assert site.record("anna").must_change


@pytest.mark.parametrize(
    ("pin", "options", "said"),
    [
        ("1234", (), "its digits run up or down; --weak accepts it"),
        ("200147", (), "it is the number of their own phone, or nearly so; --weak accepts it"),
        ("12", (), "a PIN is 4 to 16 digits"),
        ("12", ("--weak",), "a PIN is 4 to 16 digits"),
    ],
)
def test_set_refuses_a_weak_pin(site: Site, pin: str, options: tuple[str, ...], said: str) -> None:
    """Nothing is another then, nor is anybody unlocked."""
    result = site.run("pin", "set", "anna", *options, given=f"{pin}\n")
    assert (result.exit_code, result.stdout, result.stderr.endswith(f"{said}\n")) == (1, "", True)
    assert (site.record("anna").hash, site.changes(), len(site.locked_out())) == (PIN_HASH, (), 4)


def test_set_takes_a_weak_pin_when_it_is_told_to(site: Site) -> None:
    """With the option for it."""
    assert site.run("pin", "set", "anna", "--weak", given="1234\n").exit_code == 0
    record = site.record("anna").hash
    assert record is not None
    assert matches(record, "1234")


def test_reset_makes_a_pin_that_has_to_be_changed(site: Site) -> None:
    """As long as the site wants, never a weak one, another one each time, and printed once."""
    site.config.write_text(site.config.read_text() + "pins: {min_digits: 8, refuse_weak: false}\n")
    made = set()
    for _ in range(3):
        digits = site.run("pin", "reset", "anna").stdout.strip()
        record = site.record("anna")
        assert (len(digits), PinRules(8).problem(digits, ["2001"]), record.must_change) == (8, None, True)
        assert record.hash is not None
        assert matches(record.hash, digits)
        made.add(digits)
    assert len(made) == 3
    assert [name for name in site.locked_out() if "2001" in name or "anna" in name] == []
    assert not any(digits in repr(site.changes()) for digits in made)
    result = json.loads(site.run("pin", "reset", "bert", "--json").stdout)
    assert (result["supervisor"], result["must_change"], len(result["pin"])) == ("bert", True, 8)


def test_expire_keeps_the_pin_until_it_is_changed(site: Site) -> None:
    """The supervisor gives it once more, and then another one."""
    result = site.run("pin", "expire", "anna")
    assert (result.exit_code, result.stdout) == (0, "anna: must change the PIN\n")
    assert site.record("anna") == PinRecord(PIN_HASH, None, must_change=True)
    (made,) = site.changes()
    assert after(made)["pin_must_change"] is True
    result = site.run("pin", "expire", "bert")
    assert (result.exit_code, result.stderr) == (
        1,
        "bert has no PIN; give them one with: agi-monitor pin set bert\n",
    )


def test_unlock_finds_people_in_the_store(site: Site) -> None:
    """With their phones."""
    result = site.run("pin", "unlock", "anna")
    assert (result.exit_code, result.stdout) == (0, "anna: 6 wrong PINs forgotten\n")
    assert site.locked_out() == ["endpoint:PJSIP/2002", "supervisor:bert"]


@pytest.mark.parametrize("command", ["set", "reset", "expire", "unlock"])
def test_nobody_of_that_name_is_said(site: Site, command: str) -> None:
    """With the names that there are."""
    result = site.run("pin", command, "dora", given=f"{NEW}\n")
    assert (result.exit_code, result.stderr) == (1, "dora is not a supervisor; there are: anna, bert\n")
    assert site.changes() == ()


@pytest.mark.parametrize("command", ["set", "reset", "expire"])
def test_a_pin_in_the_file_is_changed_in_the_file(tmp_path: Path, command: str) -> None:
    """The command says how."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text(
        f"supervisors: {{anna: {{endpoints: [PJSIP/2001], pin: '{PIN_HASH}'}}}}\nagents: {{1001: {{}}}}\n"
        "rules: [{name: one, allow: [listen], supervisors: [anna], agents: [all]}]\n"
        f"state: {{directory: {tmp_path}}}\n"
    )
    result = CliRunner().invoke(main, ["pin", command, "anna", "--config", str(path)], input=f"{NEW}\n")
    assert (result.exit_code, result.stderr) == (
        1,
        "people are in the configuration file: make a record with 'agi-monitor pin' and put it there\n",
    )


@pytest.mark.parametrize(
    "given",
    [b"12\xff34\n", "\u0661\u0662\u0663\u0664\u0665\n".encode(), b"7" * 100_000, b""],
    ids=["bytes", "letters", "long", "none"],
)
def test_what_is_no_pin_is_refused(given: bytes) -> None:
    """Bytes of any kind; no error has a digit of it in it, not even behind another one."""
    result = CliRunner().invoke(main, ["pin"], input=given)
    assert (result.exit_code, result.stderr) == (1, "a PIN is 4 to 16 digits\n")
    error = result.exception
    assert isinstance(error, SystemExit)
    assert (error.__cause__, error.__context__) == (None, None)
