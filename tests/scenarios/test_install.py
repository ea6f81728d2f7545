"""`agi-monitor install` on a running PBX: what was rendered is what was loaded, or everything is as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agi_monitor.dialplan.parse import parse
from contrib.lab.pbx import Lab
from contrib.lab.server import MonitorServer
from tests.scenarios.dialplan_show import differences

SITE_FILES = ("extensions.conf", "manager.conf")
GENERATED = ('#tryinclude "agi-monitor/*.conf"\n', '#tryinclude "agi-monitor/manager.conf.include"\n')


class Installation:
    """Asterisk's folder as `install` sees it: two files of the site and the folder of the rendered ones.

    :param lab: whose PBX reads them
    :param server: whose configuration is installed
    """

    def __init__(self, lab: Lab, server: MonitorServer) -> None:
        self.lab = lab
        self.server = server
        self.folder = lab.folder / "pbx"

    def files(self) -> dict[str, bytes]:
        """Every file that Asterisk or an install could read, with its content."""
        places = [*(self.folder / "agi-monitor").rglob("*"), *(self.folder / name for name in SITE_FILES)]
        places += self.folder.glob(".*")
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in places if path.is_file()}

    def words(self, name: str) -> list[str]:
        """A command of `agi-monitor` with this site's configuration and folder."""
        return [name, "--config", str(self.server.config), "--asterisk-dir", str(self.folder)]

    def run(self, command: str, *arguments: str, user: str | None = "administrator") -> tuple[int, dict[str, Any]]:
        """Run `agi-monitor install` or `uninstall` and return its exit code and what it says."""
        login = () if user is None else ("--ami-user", user, "--ami-host", self.lab.pbx.address)
        secret = {"AGI_MONITOR_ADMIN_SECRET": self.lab.manager_secrets.get(user or "", "")}
        words = (*self.words(command), "--json", *login, *arguments)
        done = self.server.program.run(*words, environment=secret)
        assert done.output, done.complaint
        return done.code, json.loads(done.output)

    def loaded_otherwise(self) -> list[str]:
        """What the PBX itself shows of the installed dialplan that is not in its file."""
        text = (self.folder / "agi-monitor" / "agi-monitor.conf").read_text()
        contexts = parse(text).contexts
        return [line for one in contexts for line in differences(self.lab.pbx.dialplan_show(one.name), one)]

    def has_account(self) -> bool:
        """Whether the PBX knows the account of the manager interface."""
        return "username: agi-monitor" in self.lab.pbx.cli("manager show user agi-monitor")


@pytest.fixture
def installation(lab: Lab, tmp_path: Path) -> Iterator[Installation]:
    """A site that has never seen this project, but for a folder that is mounted."""
    pbx = lab.folder / "pbx"
    for path in lab.pbx.generated.iterdir():
        path.unlink()
    for name in SITE_FILES:
        shipped = lab.pbx.container.exec(["cat", f"/etc/asterisk/{name}"]).output.decode()
        for line in GENERATED:
            shipped = shipped.replace(line, "")
        # Without an end of its last line, as an editor may leave it.
        (pbx / "lab" / name).write_text(shipped.rstrip("\n"))
        (pbx / name).symlink_to(Path("lab") / name)
        lab.pbx.container.exec(["mv", f"/etc/asterisk/{name}", f"/etc/asterisk/{name}.shipped"])
        lab.pbx.container.exec(["ln", "-s", f"lab/{name}", f"/etc/asterisk/{name}"])
    lab.pbx.reload_dialplan()
    lab.pbx.reload_manager()
    try:
        yield Installation(lab, MonitorServer(lab, tmp_path))
    finally:
        for name in SITE_FILES:
            lab.pbx.container.exec(["mv", f"/etc/asterisk/{name}.shipped", f"/etc/asterisk/{name}"])
            (pbx / name).unlink()
            (pbx / "lab" / name).unlink()
        for path in sorted(lab.pbx.generated.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        lab.pbx.reload_dialplan()
        lab.pbx.reload_manager()


def test_install_and_uninstall(installation: Installation) -> None:
    """The PBX has what was rendered; a second time changes nothing; afterwards every byte is as it was."""
    before = installation.files()
    assert not installation.has_account()
    code, said = installation.run("install", "--yes")
    assert (code, said["state"], said["wrong"], said["foreign"]) == (0, "installed", [], [])
    assert said["files"]["extensions.conf"] == "changed"
    assert installation.loaded_otherwise() == []
    assert installation.has_account()
    once = installation.files()
    code, said = installation.run("install", "--yes")
    assert (code, said["state"]) == (0, "unchanged")
    assert installation.files() == once
    code, said = installation.run("install", "--check")
    assert (code, said["state"]) == (0, "checked")
    code, said = installation.run("uninstall", "--yes")
    assert (code, said["state"], said["foreign"]) == (0, "removed", [])
    assert installation.files() == before
    assert not installation.has_account()


def test_a_dialplan_that_is_not_loaded_is_taken_back(installation: Installation) -> None:
    """Asterisk passes over a line of ours, with no more than a warning: files and PBX have the old dialplan again."""
    path = installation.folder / "extensions.conf"
    # The first one has the place.
    path.write_bytes(b"[agi-monitor-mode]\nexten => 4,1,NoOp()\n" + path.read_bytes())
    before = installation.files()
    code, said = installation.run("install", "--yes")
    assert (code, said["state"]) == (1, "rolled back"), said
    assert said["wrong"] == ["4@agi-monitor-mode priority 1 has another application"]
    assert installation.files() == before
    assert "There is no existence of" in installation.lab.pbx.cli("dialplan show agi-monitor-call")


def test_a_file_that_hides_ours_is_noticed(installation: Installation) -> None:
    """An open comment at the end of the site's file hides the include: nothing is loaded, and all is put back."""
    path = installation.folder / "extensions.conf"
    path.write_bytes(path.read_bytes() + b"\n;-- to be done")
    before = installation.files()
    code, said = installation.run("install", "--yes")
    assert (code, said["state"]) == (1, "rolled back")
    assert "context agi-monitor-call is not there" in said["wrong"]
    assert installation.files() == before


@pytest.mark.either_version
def test_a_change_by_hand_is_not_lost(installation: Installation) -> None:
    """A rendered file that was changed by hand is replaced only with --force."""
    installation.run("install", "--yes")
    path = installation.folder / "agi-monitor" / "agi-monitor.conf"
    written = path.read_bytes()
    path.write_bytes(written + b"; by hand\n")
    code, said = installation.run("install", "--yes")
    assert (code, said["state"]) == (1, "refused")
    assert path.read_bytes() == written + b"; by hand\n"
    code, said = installation.run("install", "--yes", "--force")
    assert (code, said["state"]) == (0, "installed")
    assert path.read_bytes() == written


@pytest.mark.either_version
def test_without_an_account(installation: Installation) -> None:
    """Without an account the files are written, and a check finds that they are not loaded."""
    code, said = installation.run("install", "--yes", user=None)
    assert (code, said["state"]) == (0, "installed")
    code, said = installation.run("install", "--check")
    assert (code, said["state"]) == (1, "different")
    installation.lab.pbx.cli("module reload pbx_config.so")
    code, said = installation.run("install", "--check")
    assert (code, said["state"]) == (0, "checked")


def test_an_account_that_may_not(installation: Installation) -> None:
    """An account without the class leaves everything as it was, in the PBX as well."""
    before = installation.files()
    login = ("--ami-user", "caller", "--ami-host", installation.lab.pbx.address)
    secret = {"AGI_MONITOR_ADMIN_SECRET": installation.lab.manager_secrets["caller"]}
    done = installation.server.program.run(*installation.words("install"), "--yes", *login, environment=secret)
    assert done.code == 1
    assert "write=" in done.complaint
    assert installation.files() == before


@pytest.mark.either_version
def test_a_large_site(installation: Installation) -> None:
    """Two thousand extensions: installed, asked for one by one, and taken out again, byte for byte."""
    before = installation.files()
    agents = {str(number): {"name": f"Agent {number}", "groups": ["sales"]} for number in range(3_000, 5_000)}
    rules = [{"name": "all", "allow": ["listen"], "supervisors": ["leads", "listeners"], "agents": ["sales"]}]
    installation.server.configure(agents=agents, rules=rules)
    code, said = installation.run("install", "--yes")
    assert (code, said["state"], said["wrong"], said["foreign"]) == (0, "installed", [], [])
    text = (installation.folder / "agi-monitor" / "agi-monitor.conf").read_text()
    assert all(f"Agent {number}" in text for number in (3_000, 4_999))
    assert installation.run("install", "--yes")[1]["state"] == "unchanged"
    code, said = installation.run("uninstall", "--yes")
    assert (code, said["state"], said["foreign"]) == (0, "removed", [])
    assert installation.files() == before


NAMES = st.one_of(
    st.text(max_size=300),
    st.sampled_from(['O\'Hara, "Ben"', "a;b", "[x]", "${SHELL(id)}", "a\nb", "\u05d1\u05df", "x" * 300, "--; ;--"]),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=1, max_size=4))
def test_whatever_people_are_called(lab: Lab, tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    """Rendered and loaded, the dialplan is what was rendered; or it is refused before anything is written."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "out").mkdir()
    server = MonitorServer(lab, folder)
    agents = {str(number): {"name": name, "groups": ["sales"]} for number, name in enumerate(names, start=3_000)}
    server.configure(agents=agents, rules=[], ami=None)
    done = server.program.run("render", "--config", str(server.config), "--out", str(folder / "out"))
    if done.code != 0:
        assert str(server.config) in done.complaint or "the name of agent" in done.complaint
        assert not list((folder / "out").glob("*"))
        return
    text = (folder / "out" / "agi-monitor.conf").read_text(encoding="utf-8")
    lab.pbx.write_dialplan("agi-monitor", text)
    wrong = [line for one in parse(text).contexts for line in differences(lab.pbx.dialplan_show(one.name), one)]
    lab.pbx.remove_dialplan("agi-monitor")
    assert wrong == []
    assert "There is no existence of" in lab.pbx.cli("dialplan show agi-monitor-call")
