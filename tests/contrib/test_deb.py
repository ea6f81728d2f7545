"""The Debian package: what is in it and in its scripts. ``make deb-check`` installs it, which takes minutes."""

from __future__ import annotations

import gzip
import subprocess
from pathlib import Path

import pytest

from agi_monitor import __version__
from agi_monitor.commands.main import main as program
from agi_monitor.commands.man import pages
from contrib.deb.build import COMPLETIONS, CONFFILES, SCRIPTS, UNITS, architecture, build
from contrib.lab.engine import ensure_programs
from contrib.lab.images import CACHE
from contrib.lab.progress import Progress


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Without libraries, which pip would have to fetch."""
    ensure_programs({"dpkg-deb": "dpkg"}, CACHE, Progress())
    return build(tmp_path_factory.mktemp("deb"), (), architecture())


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files, and what is in its control part."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(folder)], check=True)
    return folder


def test_its_fields_say_what_it_is(package: Path) -> None:
    """As apt shows them."""
    said = subprocess.run(["dpkg-deb", "--field", str(package)], capture_output=True, text=True, check=True).stdout
    fields = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line and not line.startswith(" "))
    assert (fields["Package"], fields["Version"]) == ("agi-monitor", __version__)
    assert fields["Depends"] == "python3 (>= 3.11), passwd"
    assert int(fields["Installed-Size"]) > 0


def test_everything_is_in_its_place_and_roots(package: Path) -> None:
    """Nothing in it can be changed by others; where Debian wants a mode, it is that one."""
    said = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True).stdout
    found = {line.split()[5]: line for line in said.splitlines()}
    assert all(line.split()[1] == "root/root" for line in found.values())
    modes = {line.split()[0] for line in found.values()}
    assert modes == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"}
    wanted = {f"./usr/lib/systemd/system/{unit}" for unit in UNITS} | {f"./{path}" for path in COMPLETIONS.values()}
    wanted |= {f"./usr/share/man/man1/{name}.gz" for name in pages(program)} | {f".{path}" for path in CONFFILES}
    wanted |= {"./usr/bin/agi-monitor", "./opt/agi-monitor/bin/agi-monitor", "./usr/share/doc/agi-monitor/copyright"}
    wanted.add("./usr/share/doc/agi-monitor/docs/reference/configuration.md")
    assert wanted <= found.keys()
    tops = {path.split("/")[1] for path in found if path != "./"}
    assert tops == {"etc", "opt", "usr"}


def test_what_it_brings_is_what_the_checkout_has(unpacked: Path) -> None:
    """The unit starts the program where the package puts it; a page is compressed; the licence is whole."""
    unit = (unpacked / "usr/lib/systemd/system/agi-monitor.service").read_text()
    assert "ExecStart=/opt/agi-monitor/bin/agi-monitor serve" in unit
    page = gzip.decompress((unpacked / "usr/share/man/man1/agi-monitor-setup.1.gz").read_bytes()).decode()
    assert page == pages(program)["agi-monitor-setup.1"]
    assert (unpacked / "usr/bin/agi-monitor").readlink() == Path("/opt/agi-monitor/bin/agi-monitor")
    assert (unpacked / "opt/agi-monitor/bin/python").readlink() == Path("/usr/bin/python3")
    assert "WITHOUT WARRANTY OF ANY KIND" in (unpacked / "usr/share/doc/agi-monitor/copyright").read_text()
    assert "_AGI_MONITOR_COMPLETE=fish_complete" in (unpacked / COMPLETIONS["fish"]).read_text()


def test_its_configuration_files_are_named(unpacked: Path) -> None:
    """What an administrator may change in /etc is asked about by dpkg, not replaced."""
    etc = {f"/{path.relative_to(unpacked)}" for path in (unpacked / "etc").rglob("*") if path.is_file()}
    assert set((unpacked / "DEBIAN" / "conffiles").read_text().split()) == etc == set(CONFFILES)


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_script_has_no_fault_that_a_shell_or_shellcheck_finds(script: str) -> None:
    """They run as root on every machine, and a failing one leaves a half-installed package."""
    ensure_programs({"shellcheck": "shellcheck"}, CACHE, Progress())
    path = SCRIPTS / script
    assert path.read_text().startswith("#!/bin/sh\nset -e\n")
    subprocess.run(["sh", "-n", str(path)], check=True)
    done = subprocess.run(["shellcheck", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
