"""The commands, as they are typed; ``serve`` is in ``test_service``."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor import __version__
from agi_monitor.commands.main import main
from agi_monitor.commands.whoami import whoami
from agi_monitor.config.loading import _fix, parse
from agi_monitor.config.sample import SAMPLE
from agi_monitor.pins.lock_outs import LockOut
from agi_monitor.pins.records import matches
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.storage.state_folder import StateFolder
from tests.doubles.desk import PIN_HASH
from tests.unit.server.test_plugins import distribution


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The sample, with a PIN and folders of its own."""
    path = tmp_path / "agi-monitor.yaml"
    text = SAMPLE.replace("REPLACE-ME", PIN_HASH)
    text = text.replace("/var/log/agi-monitor", str(tmp_path)).replace("/var/lib/agi-monitor", str(tmp_path))
    path.write_text(text)
    return path


def run(*arguments: object, input: str | None = None) -> Result:
    """Run one command in this process."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input, catch_exceptions=False)


def test_tells_its_version() -> None:
    """Also as ``python -m agi_monitor``."""
    command = [sys.executable, "-m", "agi_monitor", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"agi-monitor, version {__version__}\n"


@pytest.mark.parametrize("command", [[], ["init"], ["check-config"], ["pin"], ["render"], ["reload"], ["serve"]])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_every_command_has_help(command: list[str], option: str) -> None:
    """And explains itself in a sentence."""
    result = run(*command, option)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()[2]) > 20


def test_other_commands_choose_no_reactor(config: Path) -> None:
    """Only ``serve`` imports Twisted's reactor."""
    program = "\n".join(
        [
            "import sys",
            "from agi_monitor.commands.main import main",
            "try:",
            "    main(['check-config', '-c', sys.argv[1]])",
            "except SystemExit as end:",
            "    print(end.code, 'twisted.internet.reactor' in sys.modules)",
        ]
    )
    done = subprocess.run([sys.executable, "-c", program, str(config)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 False"


# ---- init --------------------------------------------------------------------------------------------------


def test_init_writes_the_sample(tmp_path: Path) -> None:
    """Readable by owner and group only, for it will hold hashes."""
    path = tmp_path / "new.yaml"
    result = run("init", path)
    assert (result.exit_code, path.read_text()) == (0, SAMPLE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "agi-monitor pin" in result.stdout


def test_init_replaces_nothing_unless_told(tmp_path: Path) -> None:
    """A configuration of years is not lost by a second ``init``."""
    path = tmp_path / "old.yaml"
    path.write_text("mine")
    result = run("init", path)
    assert (result.exit_code, result.stderr) == (1, f"{path}: exists already; --force overwrites it\n")
    assert path.read_text() == "mine"
    assert run("init", path, "--force").exit_code == 0
    assert path.read_text() == SAMPLE


def test_init_names_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """One line, no traceback."""
    path = tmp_path / "missing" / "new.yaml"
    result = run("init", path)
    assert (result.exit_code, result.stderr) == (1, f"{path}: cannot be written: No such file or directory\n")


# ---- check-config ------------------------------------------------------------------------------------------


def test_check_config_says_what_is_there(config: Path) -> None:
    """How many people and rules."""
    result = run("check-config", "-c", config)
    assert (result.exit_code, result.stdout) == (0, f"{config}: valid. Supervisors: 1, agents: 2, rules: 2\n")


def test_check_config_tells_the_problems(config: Path) -> None:
    """On standard error, one a line, and exit code 1."""
    config.write_text(config.read_text().replace("port: 4573", "port: x").replace("level: info", "level: x"))
    result = run("check-config", "-c", config)
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == ["fastagi.port", "log.level"]


def test_check_config_for_machines(config: Path) -> None:
    """One JSON object, right or wrong."""
    result = run("check-config", "-c", config, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (
        0,
        {"file": str(config), "ok": True, "problems": [], "plugins": [], "plugins_ignored": []},
    )
    config.write_text("")
    result = run("check-config", "-c", config, "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["ok"], len(answer["problems"])) == (1, False, 1)


def test_check_config_names_the_plug_ins(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are named, and those that are ignored; one that cannot be loaded is a problem: the server would not
    start."""
    monkeypatch.syspath_prepend(tmp_path)
    distribution(tmp_path, "quiet_one", "tests.unit.server.test_plugins:Quiet")
    result = run("check-config", "-c", config)
    assert result.stdout.splitlines()[1:] == ["plug-in quiet of quiet_one 2.5: ignored; plugins does not name it"]
    answer = json.loads(run("check-config", "-c", config, "--json").stdout)
    assert (answer["plugins"], answer["plugins_ignored"]) == (
        [],
        [{"name": "quiet", "distribution": "quiet_one 2.5"}],
    )
    config.write_text(config.read_text() + "plugins: [quiet]\n")
    result = run("check-config", "-c", config)
    assert result.stdout.splitlines()[1:] == ["plug-in quiet 2.5: Authorizer"]
    answer = json.loads(run("check-config", "-c", config, "--json").stdout)
    assert answer["plugins"] == [{"name": "quiet", "version": "2.5", "hooks": ["Authorizer"]}]
    assert answer["plugins_ignored"] == []
    distribution(tmp_path, "broken", "no.such:Thing")
    result = run("check-config", "-c", config)
    assert result.exit_code == 1
    assert "plug-in quiet: " in result.stderr


def test_check_config_tries_the_dialplan(config: Path, tmp_path: Path) -> None:
    """A template of the site that cannot be rendered is found here, not at the next ``render``."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "agi-monitor.conf.j2").write_text("{{ nothing }}")
    config.write_text(config.read_text().replace("dialplan:\n", f"dialplan:\n  templates: {tmp_path}/templates\n"))
    result = run("check-config", "-c", config)
    assert result.exit_code == 1
    assert "nothing" in result.stderr


def test_the_configuration_may_be_named_in_the_environment(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``AGI_MONITOR_CONFIG`` stands for ``--config``."""
    monkeypatch.setenv("AGI_MONITOR_CONFIG", str(config))
    assert run("check-config").exit_code == 0


@pytest.mark.parametrize("command", [["check-config"], ["reload"], ["serve"], ["render", "--out", "/tmp/none"]])
def test_a_missing_configuration_is_one_line(command: list[str], tmp_path: Path) -> None:
    """With the way to get one."""
    missing = tmp_path / "missing.yaml"
    result = run(*command, "-c", missing)
    assert result.exit_code == 1
    assert result.stderr == (
        f"{missing}: cannot be read: No such file or directory. Write one with: agi-monitor init\n"
    )


# ---- pin ---------------------------------------------------------------------------------------------------


def test_pin_prints_a_record_that_the_configuration_takes(config: Path) -> None:
    """One line that can be pasted, made from one line of standard input."""
    result = run("pin", input="0815\n")
    record = result.stdout.rstrip("\n")
    assert result.exit_code == 0
    assert matches(record, "0815")
    parse(config.read_text().replace(PIN_HASH, record).encode(), "c.yaml")


@pytest.mark.parametrize("pin", ["", "12", "12345678901234567", "12a4", "٤٧١١"])
@pytest.mark.parametrize("options", [(), ("--weak",)])
def test_pin_refuses_what_is_no_pin(pin: str, options: tuple[str, ...]) -> None:
    """And does not repeat it."""
    result = run("pin", *options, input=f"{pin}\n")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "a PIN is 4 to 16 digits\n")


def test_pin_refuses_a_weak_one_unless_it_is_told_to_take_it() -> None:
    """It says what is weak about it, and how to have it all the same."""
    refused = run("pin", input="1234\n")
    assert (refused.exit_code, refused.stdout, refused.stderr) == (
        1,
        "",
        "this PIN is easy to guess: its digits run up or down; --weak accepts it\n",
    )
    assert matches(run("pin", "--weak", input="1234\n").stdout.rstrip("\n"), "1234")


def test_pin_goes_by_the_rules_of_the_site(config: Path) -> None:
    """The length holds also for weak ones; where the site takes weak ones, so does the command."""
    text = config.read_text()
    config.write_text(text.replace("pins:\n", "pins:\n  min_digits: 6\n"))
    for options in ((), ("--weak",)):
        result = run("pin", "-c", config, *options, input="4711\n")
        assert (result.exit_code, result.stderr) == (1, "a PIN is 6 to 16 digits\n")
    config.write_text(text.replace("pins:\n", "pins:\n  refuse_weak: false\n"))
    assert run("pin", "-c", config, input="1234\n").exit_code == 0


def test_pin_refuses_the_own_number(config: Path) -> None:
    """Of the supervisor whose PIN it is to be; without a name there are none."""
    result = run("pin", "-c", config, "--supervisor", "anna", input="200147\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("this PIN is easy to guess: it is the number of their own phone, or nearly so;")
    assert run("pin", "-c", config, input="200147\n").exit_code == 0


def test_pin_names_what_is_wrong_with_its_options(config: Path, tmp_path: Path) -> None:
    """Before anybody keys in a PIN for nothing."""
    result = run("pin", "-c", config, "--supervisor", "dora", input="471108\n")
    assert (result.exit_code, result.stderr) == (1, "dora is not a supervisor; there are: anna\n")
    result = run("pin", "--supervisor", "anna", input="471108\n")
    assert (result.exit_code, "--supervisor needs --config" in result.stderr) == (2, True)
    result = run("pin", "-c", tmp_path / "missing.yaml", input="471108\n")
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


# ---- pin unlock --------------------------------------------------------------------------------------------


@pytest.fixture
def lock_outs(tmp_path: Path) -> Iterator[LockOutTable]:
    """A store in which Anna, her phone, another one and a PBX are locked out."""
    database = Database(file_url(tmp_path))
    database.upgrade()
    table = LockOutTable(database)
    rows = dict.fromkeys(LOCKED_OUT, LockOut(3, 1e9, 2e9))
    table.change(LOCKED_OUT, lambda before: rows)
    yield table
    database.close()


LOCKED_OUT = ["supervisor:anna", "endpoint:PJSIP/2001", "endpoint:PJSIP/6666", "peer:192.0.2.1"]


@pytest.mark.parametrize(
    ("who", "unlocked", "number"),
    [("anna", LOCKED_OUT[:2], 6), ("PJSIP/6666", LOCKED_OUT[2:3], 3), ("192.0.2.1", LOCKED_OUT[3:], 3)],
)
def test_unlock_lets_one_try_again(
    config: Path, lock_outs: LockOutTable, who: str, unlocked: list[str], number: int
) -> None:
    """A supervisor with their phones, a phone, or a PBX; no other. A second time there is nothing to do."""
    result = run("pin", "unlock", "-c", config, who)
    assert (result.exit_code, result.stdout) == (0, f"{who}: {number} wrong PINs forgotten\n")
    left = lock_outs.change(LOCKED_OUT, lambda before: before)
    assert sorted(left) == sorted(set(LOCKED_OUT) - set(unlocked))
    ends = lock_outs.ends_since(0)
    assert [(one.who, one.failures, one.by) for one in ends] == [(name, 3, whoami()) for name in sorted(unlocked)]
    assert run("pin", "unlock", "-c", config, who).stdout == f"{who}: there were no wrong PINs\n"
    result = run("pin", "unlock", "-c", config, who, "--json")
    assert json.loads(result.stdout) == {"unlocked": unlocked, "wrong_pins": 0}


def test_unlock_says_why_it_cannot(config: Path, lock_outs: LockOutTable, tmp_path: Path) -> None:
    """No person of that name, or no store."""
    result = run("pin", "unlock", "-c", config, "dora")
    assert (result.exit_code, result.stderr) == (1, "dora is not a supervisor; there are: anna\n")
    assert len(lock_outs.change(LOCKED_OUT, lambda before: before)) == 4
    config.write_text(config.read_text().replace(f"directory: {tmp_path}", f"directory: {tmp_path}/none"))
    result = run("pin", "unlock", "-c", config, "anna")
    assert (result.exit_code, "agi-monitor.db: No such file or directory; the folder" in result.stderr) == (1, True)


# ---- render ------------------------------------------------------------------------------------------------


def test_render_writes_what_has_changed(config: Path, tmp_path: Path) -> None:
    """The second time nothing is written."""
    out = tmp_path / "out"
    out.mkdir()
    first = run("render", "-c", config, "--out", out)
    assert first.exit_code == 0
    assert f"{out}/agi-monitor.conf: written" in first.stdout.splitlines()
    assert "dialplan reload" in first.stdout
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    second = run("render", "-c", config, "--out", out)
    assert f"{out}/agi-monitor.conf: unchanged" in second.stdout.splitlines()
    assert "dialplan reload" not in second.stdout
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_render_for_machines(config: Path, tmp_path: Path) -> None:
    """Every file with what became of it."""
    result = run("render", "-c", config, "--out", tmp_path, "--json")
    files = json.loads(result.stdout)["files"]
    assert files[str(tmp_path / "agi-monitor.conf")] == "written"
    assert set(files.values()) == {"written"}


def test_render_writes_the_account(config: Path, tmp_path: Path) -> None:
    """With ami, for Asterisk's group alone; what is left of it afterwards is named."""
    out = tmp_path / "out"
    out.mkdir()
    plain = config.read_text()
    config.write_text(plain + "\nami: {secret: 0123456789abcdef}\n")
    result = run("render", "-c", config, "--out", out)
    account = out / "manager.conf.include"
    assert result.stdout.splitlines()[2:] == [
        f"{account}: written",
        "Next: asterisk -rx 'dialplan reload'; extensions.conf.sample shows which context to include where",
        "Next: asterisk -rx 'manager reload'; manager.conf.include says how to include it, once",
    ]
    assert "secret = 0123456789abcdef" in account.read_text()
    assert stat.S_IMODE(account.stat().st_mode) == 0o640
    assert "0123456789abcdef" not in result.output
    config.write_text(plain)
    left = run("render", "-c", config, "--out", out).stdout.splitlines()[-1]
    assert left.startswith("manager.conf.include: is left from a configuration with ami. Remove it")
    account.unlink()
    assert "manager" not in run("render", "-c", config, "--out", out).stdout


def test_render_with_a_mistake_writes_nothing(config: Path, tmp_path: Path) -> None:
    """The dialplan of before stays."""
    config.write_text(config.read_text().replace("port: 4573", "port: x"))
    out = tmp_path / "out"
    out.mkdir()
    result = run("render", "-c", config, "--out", out)
    assert (result.exit_code, list(out.iterdir())) == (1, [])
    assert "fastagi.port" in result.stderr


# ---- reload ------------------------------------------------------------------------------------------------


def test_reload_needs_a_server(config: Path, tmp_path: Path) -> None:
    """A file of a server that is gone is not a server."""
    (tmp_path / "agi-monitor.pid").write_text(f"{os.getpid()}\n")
    result = run("reload", "-c", config)
    assert (result.exit_code, result.stderr) == (
        1,
        f"{tmp_path}: no agi-monitor runs with this folder. Start one with: agi-monitor serve\n",
    )


def test_reload_tells_the_server(config: Path, tmp_path: Path) -> None:
    """By SIGHUP, to the process that holds the folder."""
    told: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, frame: told.append(number))
    folder = StateFolder(tmp_path)
    folder.take()
    try:
        result = run("reload", "-c", config)
    finally:
        folder.release()
        signal.signal(signal.SIGHUP, before)
    assert (result.exit_code, told) == (0, [signal.SIGHUP])
    assert result.stdout == f"process {os.getpid()}: told to reload; its log has the result\n"


def test_reload_says_what_waits_for_an_install(config: Path, tmp_path: Path) -> None:
    """The codes were changed: the installed dialplan no longer fits, until it is installed again."""
    asterisk = tmp_path / "asterisk"
    asterisk.mkdir()
    for name in ("extensions.conf", "manager.conf"):
        (asterisk / name).write_text("[general]\n")
    there = ("-c", config, "--asterisk-dir", asterisk)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    folder = StateFolder(tmp_path)
    folder.take()
    try:
        assert run("reload", *there).stderr == ""
        assert run("install", *there, "--yes").exit_code == 0
        assert run("reload", *there).stderr == ""
        config.write_text(config.read_text().replace("*222", "*333"))
        told = run("reload", *there)
        installed = asterisk / "agi-monitor" / "agi-monitor.conf"
        needed = f"needs agi-monitor install: {installed}: is not what the configuration gives"
        assert needed in told.stderr.splitlines()
        assert run("install", *there, "--yes").exit_code == 0
        assert run("reload", *there).stderr == ""
    finally:
        folder.release()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_check_config_misses_the_driver_of_a_database(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server would not start; the sentence has the command."""
    config.write_text(config.read_text() + "store: {url: 'postgresql://a@/b', node: x}\n")
    assert run("check-config", "-c", config).exit_code == 0
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = run("check-config", "-c", config)
    assert (result.exit_code, "pip install 'agi-monitor[postgresql]'" in result.stderr) == (1, True)


def test_a_configuration_that_may_not_be_read_names_who_may(tmp_path: Path) -> None:
    """To write another one does not help."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text("x")
    why = _fix(path, PermissionError())
    assert (
        why
        == f". Run this as root, as {path.owner()}, or as a member of the group {path.group()} if that may read it"
    )
    assert _fix(tmp_path / "none" / "x", PermissionError()) == ". Run this as root, or as the user of the server"
    assert _fix(path, IsADirectoryError()) == ""


def test_reload_refuses_a_mistake_before_the_server_does(config: Path) -> None:
    """Anyone who types it sees what is wrong."""
    config.write_text(config.read_text().replace("port: 4573", "port: x"))
    result = run("reload", "-c", config)
    assert result.exit_code == 1
    assert "fastagi.port" in result.stderr
