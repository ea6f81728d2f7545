"""`agi-monitor install` that is killed at any step, or runs out of disk: the old state, or the new one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agi_monitor.commands.main import main

SITE = {
    "extensions.conf": "[phones]\nexten => 1,1,Hangup()\n",
    "manager.conf": "[general]\nenabled = yes",
    "pjsip.conf": "[udp]\r\ntype = transport\r\n",
}
CONFIG = """\
supervisors: {{}}
agents: {{1001: {{endpoints: [PJSIP/1001], groups: [sales]}}}}
rules: []
ami: {{secret: a-secret-for-nobody-1234}}
asterisk: {{phones: phones, pjsip: {{}}}}
state: {{directory: {folder}}}
"""

CHANGING = ("replace", "rename", "unlink", "fsync", "mkdir", "rmdir", "link", "chmod", "fchmod", "chown", "fchown")
"""Calls of the operating system that change files."""


def killed_after(steps: int) -> None:
    """Let this process be killed before the call with this number."""
    left = steps

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    for name in CHANGING:
        setattr(os, name, watched(getattr(os, name)))


class Installed:
    """A site, and the command upon it.

    :param folder: Asterisk's
    :param config: the configuration
    """

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder = folder
        self.config = config

    def command(self, name: str) -> list[str]:
        """The arguments of the command."""
        return [name, "--yes", "--config", str(self.config), "--asterisk-dir", str(self.folder)]

    def run(self, name: str) -> None:
        """Call it, to its end."""
        done = CliRunner().invoke(main, self.command(name))
        assert done.exit_code == 0, done.output

    def killed(self, name: str, steps: int) -> bool:
        """Call it and kill it after this number of steps. Returns whether it was killed, or ended before."""
        child = os.fork()
        if child == 0:
            killed_after(steps)
            os._exit(CliRunner().invoke(main, self.command(name)).exit_code)
        _, status = os.waitpid(child, 0)
        ended = os.waitstatus_to_exitcode(status)
        assert ended in (0, -signal.SIGKILL)
        return ended != 0

    def files(self) -> dict[str, bytes]:
        """All there is."""
        found = {str(path.relative_to(self.folder)): path for path in self.folder.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items()}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Installed]:
    """Before an install."""
    folder = tmp_path / "asterisk"
    folder.mkdir()
    for name, text in SITE.items():
        (folder / name).write_bytes(text.encode())
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(CONFIG.format(folder=tmp_path))
    yield Installed(folder, config)


def test_killed_at_every_step(site: Installed) -> None:
    """What comes next, an install or an uninstall, ends as if nothing had happened."""
    before = site.files()
    site.run("install")
    after = site.files()
    site.run("uninstall")
    assert site.files() == before
    kills = 0
    for steps in range(400):
        if not site.killed("install", steps):
            break
        kills += 1
        site.run("install")
        assert site.files() == after, steps
        if not site.killed("uninstall", steps):
            site.run("install")
        site.run("uninstall")
        assert site.files() == before, steps
    else:
        pytest.fail("the command has no end")
    assert kills >= 20
    site.run("uninstall")
    assert site.files() == before


FULL = """\
set -e
mount -t tmpfs -o size={size}k,nr_inodes=200 none {folder}
cp {source}/* {folder}/
code=0
{python} -m agi_monitor {arguments} >{out} 2>&1 || code=$?
rm -rf {seen}
cp -r {folder} {seen}
exit $code
"""


def test_a_full_disk(site: Installed, tmp_path: Path) -> None:
    """On a real file system of some KiB: it says so and everything is as it was, or there was room for all."""
    source, seen, out = tmp_path / "source", tmp_path / "seen", tmp_path / "out"
    shutil.copytree(site.folder, source)
    before = site.files()
    site.run("install")
    after = site.files()
    outcomes = set()
    arguments = " ".join(site.command("install"))
    for size in range(16, 124, 16):
        script = FULL.format(
            size=size,
            folder=site.folder,
            source=source,
            seen=seen,
            out=out,
            python=sys.executable,
            arguments=arguments,
        )
        # It has a namespace of its own: whatever happens, the file system goes with it.
        space = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
        done = subprocess.run([*space, "sh", "-c", script], capture_output=True, text=True, check=False)
        left = Installed(seen, site.config).files()
        outcomes.add(done.returncode)
        if done.returncode == 0:
            assert left == after, size
        else:
            assert (done.returncode, left) == (1, before), (size, done.stderr, out.read_text())
            assert "No space left on device" in out.read_text()
    assert outcomes == {0, 1}
