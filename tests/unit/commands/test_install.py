"""``agi-monitor install`` and ``uninstall`` without a PBX: what they show, what they refuse, what they leave."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor.commands import install
from agi_monitor.commands.install import _without_the_sites
from agi_monitor.commands.main import main
from agi_monitor.commands.undoing import in_few_lines
from agi_monitor.files.folder import Folder
from agi_monitor.install.journal import JOURNAL, LOCK, Journal
from agi_monitor.install.places import Places, books_of, open_books
from agi_monitor.install.plan import Change
from tests.doubles.desk import PIN_HASH

AMI_SECRET = "Zk3-vQ9_pL7xW2nB5"
OTHER_SECRET = "of-another-account"
SITE = f"""\
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", groups: [leads], name: Anna}}
agents:
  1001: {{groups: [sales], name: Ben}}
rules:
  - {{name: one, allow: [listen], supervisors: [leads], agents: [sales]}}
ami: {{secret: {AMI_SECRET}}}
"""
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Asterisk's folder, with files of the site."""
    path = tmp_path / "asterisk"
    path.mkdir()
    (path / "extensions.conf").write_bytes(b"[phones]\r\nexten => 1,1,NoOp(\xe4)")
    (path / "manager.conf").write_text(f"[general]\nenabled = yes\n[other]\nsecret = {OTHER_SECRET}\n")
    return path


@pytest.fixture
def run(folder: Path, tmp_path: Path) -> Run:
    """Run a command for this folder."""
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(SITE)

    def invoke(command: str, *arguments: str) -> Result:
        common = ("--config", str(config), "--asterisk-dir", str(folder))
        return CliRunner().invoke(main, [command, *common, *arguments])

    return invoke


def made_books(folder: Path) -> Folder:
    """The books about it, where the tests keep them."""
    books = open_books(books_of(folder, Path(os.environ["AGI_MONITOR_BOOKS"]), {}), make=True)
    assert books is not None
    return books


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_install_and_uninstall(run: Run, folder: Path) -> None:
    """Both are done once, and then there is nothing left to do, nor left behind."""
    before = contents(folder)
    done = run("install", "--yes")
    assert done.exit_code == 0, done.output
    summary, _, rest = done.output.partition("--- ")
    assert "extensions.conf: our include into it, 3 lines; the rest stays\n" in summary
    assert "+#tryinclude" in rest
    steps = rest.partition("Next:\n")[2]
    assert steps.startswith("1. Load the files:\n   asterisk -rx 'module reload pbx_config.so'\n")
    assert "include => agi-monitor-group-leads" in steps
    assert "systemctl enable --now agi-monitor" in steps
    once = contents(folder)
    assert json.loads(run("install", "--yes", "--json").stdout)["state"] == "unchanged"
    assert contents(folder) == once
    assert run("uninstall", "--yes").exit_code == 0
    assert contents(folder) == before
    assert not (folder / "agi-monitor").exists()
    assert "nothing was installed" in run("uninstall", "--yes").output


def test_an_uninstall_names_the_phones_that_would_dial_nothing(run: Run, folder: Path) -> None:
    """Before the question and among the steps behind it; files that go are a line each, not hundreds."""
    (folder / "pjsip.conf").write_text(
        "[2001]\ntype = endpoint\ncontext = agi-monitor-phone-leads\n[1001]\ntype = endpoint\ncontext = phones\n"
    )
    assert run("install", "--yes").exit_code == 0
    said = run("uninstall", "--dry-run").output
    assert f"{folder}/pjsip.conf:1: [2001] context = agi-monitor-phone-leads: dials from a context that goes" in said
    assert "agi-monitor/agi-monitor.conf: removed" in said
    assert "1001" not in said
    assert "[agi-monitor-call]" not in said
    steps = run("uninstall", "--yes").output.partition("Next:\n")[2]
    assert steps.startswith("1. Give these phones another context")
    assert "res_pjsip.so" in steps


def test_many_files_of_one_folder_are_one_line() -> None:
    """Of fifty man pages nobody reads each; what is said of others stands alone."""
    pages = [f"/usr/share/man1/{name}.1: removed" for name in "abcd"]
    lines = [
        "/etc/x.yaml: removed",
        *pages,
        "/usr/share/man1/e.1: kept: it was changed since",
        "agi-monitor: removed",
    ]
    assert list(in_few_lines(lines)) == [
        "/etc/x.yaml: removed",
        "/usr/share/man1: 4 files in it: removed",
        "/usr/share/man1/e.1: kept: it was changed since",
        "agi-monitor: removed",
    ]


def test_a_dialplan_of_the_site_is_left_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    """Only the account is installed."""
    (tmp_path / "agi-monitor.yaml").write_text(SITE + "asterisk: {dialplan: false}\n")
    before = contents(folder)
    assert run("install", "--yes").exit_code == 0
    changed = {name for name, content in contents(folder).items() if before.get(name) != content}
    assert changed == {
        "manager.conf",
        "agi-monitor/manager.conf.include",
    }
    assert run("uninstall", "--yes").exit_code == 0
    assert contents(folder) == before


def test_a_rendering_of_our_own_is_no_stranger(run: Run, folder: Path, tmp_path: Path) -> None:
    """A group was added, and its files were rendered into the folder of the install: both know them as ours."""
    before = contents(folder)
    assert run("install", "--yes").exit_code == 0
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(config.read_text().replace("groups: [leads]", "groups: [leads, others]"))
    rendered = CliRunner().invoke(main, ["render", "-c", str(config), "--out", str(folder / "agi-monitor")])
    assert rendered.exit_code == 0
    assert run("uninstall", "--dry-run").exit_code == 0
    assert run("install", "--yes").exit_code == 0
    assert (
        CliRunner().invoke(main, ["render", "-c", str(config), "--out", str(folder / "agi-monitor")]).exit_code == 0
    )
    assert run("uninstall", "--yes").exit_code == 0
    assert contents(folder) == before
    assert run("install", "--yes").exit_code == 0
    (folder / "agi-monitor" / "agi-monitor.conf").write_text("[by-hand]\n")
    assert "was changed by something else" in run("uninstall", "--yes").output


def test_many_large_files_are_not_all_taken_in(run: Run, folder: Path) -> None:
    """Each may be as large as a generated dialplan; together they would fill the memory."""
    old = folder / "agi-monitor" / ".installed"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text("{}")
    for name in ("agi-monitor.conf", "extensions.conf", "manager.conf"):
        (old / f"{name}.previous").touch()
        os.truncate(old / f"{name}.previous", 60 * 1_048_576)
    done = run("install", "--dry-run")
    assert done.exit_code == 1
    assert "and those before it are larger than 134217728 bytes together" in done.output


def test_no_secret_is_shown(run: Run) -> None:
    """The difference shows neither our secret nor that of another account that stands beside."""
    for arguments in (("--dry-run",), ("--dry-run", "--json"), ("--yes",)):
        output = run("install", *arguments).output
        assert "(not shown)" in output
        assert AMI_SECRET not in output
        assert OTHER_SECRET not in output


def test_no_earlier_secret_is_shown(run: Run, folder: Path, tmp_path: Path) -> None:
    """A rotation shows neither the new nor the old secrets, nor does an uninstall, wherever they stand."""
    (tmp_path / "agi-monitor.yaml").write_text(f"{SITE}fastagi: {{secret: old-shared-Zk3vQ9pL7x}}\n")
    assert run("install", "--yes").exit_code == 0
    with (folder / "agi-monitor" / "agi-monitor.conf").open("a") as file:
        file.write("; it was old-shared-Zk3vQ9pL7x\n")
    (tmp_path / "agi-monitor.yaml").write_text(
        f"{SITE.replace(AMI_SECRET, 'another-Xp4qM8sD1fG6')}fastagi: {{secret: new-shared-Wn2xB5kRt8}}\n"
    )
    outputs = [run("install", "--dry-run", "--force").output, run("install", "--yes", "--force").output]
    assert all("(not shown)" in output for output in outputs)
    outputs.append(run("uninstall", "--yes").output)
    for output in outputs:
        for secret in (
            "old-shared-Zk3vQ9pL7x",
            "new-shared-Wn2xB5kRt8",
            AMI_SECRET,
            "another-Xp4qM8sD1fG6",
            OTHER_SECRET,
        ):
            assert secret not in output


@pytest.mark.parametrize(
    "line",
    [
        "secret = {}",
        "  md5secret={}",
        ";secret=>{}",
        "; secret += {}",
        "remotesecret={}",
        "DBPASS = {}",
        "password={}",
        "secret[a]={}",
        "same => n,AGI(agi://192.0.2.1:4573/spy,{})",
        "setvar=X_TOKEN={}",
        "exten => 1,1,Set(a_pass={})",
    ],
)
@pytest.mark.parametrize("sign", [" ", "+", "-"])
def test_what_is_secret_in_a_line(line: str, sign: str) -> None:
    """A key that says so, also in a comment, and the argument behind the URL of a FastAGI server."""
    (shown,) = install._masked([f"{sign}{line.format('hunter2')}\n"], [])
    assert "hunter2" not in shown
    assert shown.startswith(sign + line.split("{")[0])
    assert shown.endswith("(not shown)\n")


def test_a_dry_run_changes_nothing(run: Run, folder: Path) -> None:
    """It says what would change."""
    before = contents(folder)
    said = json.loads(run("install", "--dry-run", "--json").stdout)
    assert (said["state"], said["files"]["manager.conf"]) == ("dry run", "changed")
    assert contents(folder) == before


def test_nobody_to_ask(run: Run, folder: Path) -> None:
    """Without a terminal and without --yes nothing is done."""
    before = contents(folder)
    done = run("install")
    assert (done.exit_code, contents(folder)) == (1, before)
    assert "--yes" in done.output


def test_a_change_by_hand(run: Run, folder: Path) -> None:
    """Both commands refuse to lose it, and do so with --force."""
    run("install", "--yes")
    path = folder / "agi-monitor" / "agi-monitor.conf"
    path.write_text("; mine\n")
    for command in ("install", "uninstall"):
        done = run(command, "--yes")
        assert done.exit_code == 1
        assert "--force" in done.output
        assert path.read_text() == "; mine\n"
    assert run("uninstall", "--yes", "--force").exit_code == 0
    assert not path.exists()


def test_an_earlier_call_was_killed(run: Run, folder: Path) -> None:
    """What it left is put back first; a dry run only says so."""
    before = contents(folder)
    Journal(Places(Folder.at(folder), made_books(folder))).switch(
        [Change("extensions.conf", before["extensions.conf"], b"half")]
    )
    done = run("install", "--dry-run")
    assert done.exit_code == 1
    assert made_books(folder).status(JOURNAL) is not None
    done = run("install", "--yes")
    assert done.exit_code == 0
    assert "the old files were restored" in done.output
    assert (folder / "extensions.conf").read_bytes().startswith(before["extensions.conf"])


def test_an_account_without_its_secret(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is missing is told before anything changes."""
    monkeypatch.delenv("AGI_MONITOR_ADMIN_SECRET", raising=False)
    before = contents(folder)
    done = run("install", "--yes", "--ami-user", "admin")
    assert (done.exit_code, contents(folder)) == (1, before)
    assert "AGI_MONITOR_ADMIN_SECRET" in done.output


def test_a_broken_manifest(run: Run, folder: Path) -> None:
    """What was installed is not guessed."""
    run("install", "--yes")
    (made_books(folder).path / "manifest.json").write_text("{")
    done = run("uninstall", "--yes")
    assert done.exit_code == 1
    assert "manifest.json: cannot be read" in done.output


def test_a_link_out_of_the_folder_is_not_followed(run: Run, folder: Path, tmp_path: Path) -> None:
    """Its owner could have any file changed or shown; the error says what, where, and what to do."""
    real = tmp_path / "elsewhere.conf"
    real.write_text("not for anybody")
    (folder / "extensions.conf").unlink()
    (folder / "extensions.conf").symlink_to(real)
    for arguments in (("--yes",), ("--dry-run",)):
        done = run("install", *arguments)
        assert done.exit_code == 1
        assert f"{folder}/extensions.conf: cannot be read: is a symbolic link out of {folder}" in done.output
        assert "Put the file itself here" in done.output
        assert "not for anybody" not in done.output
    assert real.read_text() == "not for anybody"


def test_books_that_others_may_write_are_not_used(run: Run, folder: Path, tmp_path: Path) -> None:
    """What stands there is done, so it must be ours alone."""
    books = tmp_path / "books"
    books_of(folder, books, {}).mkdir(parents=True)
    books_of(folder, books, {}).chmod(0o770)
    before = contents(folder)
    done = run("install", "--yes", "--books", str(books))
    assert (done.exit_code, contents(folder)) == (1, before)
    assert "others than the user who installs may write there" in done.output
    assert "--books" in done.output


def moved_back(folder: Path) -> Path:
    """Let the books stand where an earlier version kept them; returns that folder."""
    new, old = made_books(folder).path, folder / "agi-monitor" / ".installed"
    old.mkdir()
    (new / LOCK).unlink()
    for path in new.iterdir():
        path.rename(old / path.name)
    return old


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_the_books_of_an_earlier_version_are_taken_over(run: Run, folder: Path, command: str) -> None:
    """Both commands find them in Asterisk's folder, and leave none there; an uninstall is complete."""
    before = contents(folder)
    (folder / "agi-monitor").mkdir()
    (folder / "agi-monitor" / "agi-monitor.conf").write_text("; was here first\n")
    assert run("install", "--yes", "--force").exit_code == 0
    old = moved_back(folder)
    done = run(command, "--yes")
    assert done.exit_code == 0, done.output
    assert not any(old.iterdir()) if command == "install" else not old.exists()
    assert run("uninstall", "--yes").exit_code == 0
    assert contents(folder) == {**before, "agi-monitor/agi-monitor.conf": b"; was here first\n"}


@pytest.mark.parametrize("name", ["../../victim", "/etc/passwd", "agi-monitor/../extensions.conf", "modules.conf"])
def test_a_manifest_that_names_another_file_is_refused(run: Run, folder: Path, name: str) -> None:
    """Anyone who wrote it into Asterisk's folder could have that file removed."""
    old = folder / "agi-monitor" / ".installed"
    old.mkdir(parents=True)
    row = {"version": 1, "files": {name: "0" * 64}, "originals": {}, "made_folder": True}
    (old / "manifest.json").write_text(json.dumps(row))
    before = contents(folder)
    for command in ("install", "uninstall"):
        done = run(command, "--yes", "--force")
        assert (done.exit_code, contents(folder)) == (1, before)
        assert f"{old}/manifest.json: names files that no install writes" in done.output


def test_a_journal_in_asterisks_folder_is_not_followed(run: Run, folder: Path, tmp_path: Path) -> None:
    """Not even before a question: it could rename or remove any file."""
    victim = tmp_path / "victim"
    victim.write_text("x")
    row = {"target": str(victim), "had_file": False, "old": None, "new": str(victim)}
    content = json.dumps({"phase": "switching", "files": [row], "made": []})
    (folder / ".agi-monitor-journal.json").write_text(content)
    for command in ("install", "uninstall"):
        done = run(command, "--dry-run")
        assert done.exit_code == 1
        assert "It is not followed" in done.output
    assert victim.read_text() == "x"


def test_lines_of_the_site_are_not_shown() -> None:
    """A PIN may be an argument; headings say where the change is, and a line that gets its end stays as well."""
    before = b"[in]\nexten => 1,1,Authenticate(1234)\n\n[out]\nexten => 2,1,Authenticate(5678)"
    after = before + b"\n#include x\n"
    shown = "".join(_without_the_sites(Change("extensions.conf", before, after)))
    assert ("1234" in shown, "5678" in shown, "[out]" in shown, "+#include x" in shown) == (False, False, True, True)
    ours = "".join(_without_the_sites(Change("agi-monitor/agi-monitor.conf", before, after)))
    assert "5678" in ours
