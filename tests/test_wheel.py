"""The package as it is installed: the templates are in the wheel, and render there as they do in the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.golden.sites import HERE

CHECKOUT = Path(__file__).resolve().parents[1]
NEEDED = ("jinja2", "pyst2")
"""What rendering imports; the other dependencies are not needed for it and would only make this slow."""

RENDER = """
import sys
from pathlib import Path
import agi_monitor
from agi_monitor.dialplan.render import render
from agi_monitor.dialplan.site import PermissionGroup, Site
from agi_monitor.dialplan.write import write
from agi_monitor.model import Agent, Mode

assert Path(agi_monitor.__file__).is_relative_to(sys.prefix), agi_monitor.__file__
site = Site(
    agents=(Agent("1001", frozenset(), name="Anna Kowalska"), Agent("1002", frozenset(), name="Zoë Müller")),
    groups=(PermissionGroup("leads", frozenset(Mode), ("Berta Çelik",)),),
)
write(render(site), Path.cwd())
"""


def run(*command: str | Path, cwd: Path) -> None:
    """Run a command without this process's Python settings; its output is in the error when it fails."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows: nothing that lies about in the checkout gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((CHECKOUT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, cwd=out)
    (file,) = out.glob("*.whl")
    return file


def test_templates_are_in_the_wheel(wheel: Path) -> None:
    """Every template of the checkout is in the package agi_monitor.templates."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.endswith(".j2")}
    expected = {f"agi_monitor/templates/{file.name}" for file in (CHECKOUT / "dialplan-templates").glob("*.j2")}
    assert packed == expected
    assert expected


def test_installed_package_renders_the_golden_file(wheel: Path, tmp_path: Path) -> None:
    """From an installed wheel, in a folder of its own, the files are byte for byte those of the checkout."""
    environment, folder = tmp_path / "venv", tmp_path / "folder"
    folder.mkdir()
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", *NEEDED, cwd=folder)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=folder)
    run(python, "-c", RENDER, cwd=folder)
    assert (folder / "agi-monitor.conf").read_bytes() == (HERE / "one-group.conf").read_bytes()
