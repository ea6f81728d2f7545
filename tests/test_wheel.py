"""The package as it is installed: the templates are in the wheel, and render there as they do in the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from agi_monitor.dialplan.parse import parse
from contrib.lab.checkout import CHECKOUT, known_files
from tests.golden.sites import HERE

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


def run(*command: str | Path, cwd: Path, typed: str = "") -> str:
    """Run a command without this process's Python settings, and return what it prints; an error shows it as well."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, input=typed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows: nothing that lies about in the checkout gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in known_files():
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


def test_the_plug_in_of_twistd_is_in_the_wheel(wheel: Path) -> None:
    """Beside Twisted's own, where twistd looks; it must not make a package of the folder."""
    with zipfile.ZipFile(wheel) as archive:
        packed = [name for name in archive.namelist() if name.startswith("twisted/")]
    assert packed == ["twisted/plugins/agi_monitor_plugin.py"]


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with nothing in it but the wheel and what it depends on; its folder of programs."""
    environment = tmp_path_factory.mktemp("venv")
    venv.create(environment)
    # By the pip of the tests: to install another one first, and to compile all modules, takes longer than the rest.
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    run(*pip, "install", "--quiet", "--no-compile", wheel, cwd=environment)
    return environment / "bin"


def test_installed_package_renders_the_golden_file(installed: Path, tmp_path: Path) -> None:
    """From an installed wheel, in a folder of its own, the files are byte for byte those of the checkout."""
    run(installed / "python", "-c", RENDER, cwd=tmp_path)
    assert (tmp_path / "agi-monitor.conf").read_bytes() == (HERE / "one-group.conf").read_bytes()


def test_installed_command_goes_from_nothing_to_a_dialplan(installed: Path, tmp_path: Path) -> None:
    """The sample with a PIN in it is right, and gives a dialplan with its codes and its group."""
    command = installed / "agi-monitor"
    run(command, "init", "site.yaml", cwd=tmp_path)
    record = run(command, "pin", cwd=tmp_path, typed="4711\n").strip()
    config = tmp_path / "site.yaml"
    config.write_text(config.read_text().replace("REPLACE-ME", record))
    run(command, "check-config", "--config", "site.yaml", cwd=tmp_path)
    (tmp_path / "out").mkdir()
    run(command, "render", "--config", "site.yaml", "--out", "out", cwd=tmp_path)
    contexts = {context.name for context in parse((tmp_path / "out" / "agi-monitor.conf").read_text()).contexts}
    assert contexts == {
        "agi-monitor",
        "agi-monitor-group-leads",
        "agi-monitor-call",
        "agi-monitor-no-transfer",
        "agi-monitor-mode",
        "agi-monitor-doctor",
    }
