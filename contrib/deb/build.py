"""Builds the Debian package: the program with its libraries in /opt/agi-monitor, the rest where Debian has it.

    python -m contrib.deb.build                  for the Pythons of Debian 12, 13 and forky
    python -m contrib.deb.build --python 3.11    for these only

The libraries are those of contrib/lock/requirements.txt, each with its hash, once for each Python: one package fits
several releases of Debian. /opt/agi-monitor is a virtual environment over Debian's own /usr/bin/python3.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from click.shell_completion import get_completion_class

from agi_monitor import __version__
from agi_monitor.commands.completion import ASKED_BY, PROGRAM
from agi_monitor.commands.main import main as program
from agi_monitor.commands.man import pages
from contrib.lab.checkout import CHECKOUT, known_files
from contrib.lab.errors import ImageError, LabError
from contrib.lab.images import CACHE, product_files
from contrib.lab.progress import Progress, step

PYTHONS = ("3.11", "3.13", "3.14")
"""Those of Debian 12, 13 and forky."""
OLDEST_LIBC = 36
"""The minor version of glibc in Debian 12."""
OUT = CHECKOUT / "build" / "deb"
OPT = Path("opt/agi-monitor")
SCRIPTS = Path(__file__).parent / "debian"
PIP_SECONDS = 900
UNITS = ("agi-monitor.service", "agi-monitor.socket", "agi-monitor-verify.service", "agi-monitor-verify.timer")
COMPLETIONS = {
    "bash": f"usr/share/bash-completion/completions/{PROGRAM}",
    "zsh": f"usr/share/zsh/vendor-completions/_{PROGRAM}",
    "fish": f"usr/share/fish/vendor_completions.d/{PROGRAM}.fish",
}
DOCUMENTS = (".md", ".svg")
CONFFILES = ("/etc/logrotate.d/agi-monitor",)
COMMAND = """\
#!/opt/agi-monitor/bin/python
import sys

from agi_monitor.commands.main import main

sys.exit(main())
"""


def architecture() -> str:
    """Return what Debian calls this machine."""
    return _run("dpkg", "--print-architecture").strip()


def build(out: Path, pythons: Iterable[str], machine: str) -> Path:
    """Build the package.

    :param out: the folder that it is put into
    :param pythons: versions whose libraries go into it
    :param machine: what Debian calls the machine
    :returns: the package
    :raises LabError: a step failed; the text says what its program said
    """
    out.mkdir(parents=True, exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    package = out / f"agi-monitor_{__version__}_{machine}.deb"
    with tempfile.TemporaryDirectory(prefix="deb-", dir=CACHE) as folder:
        root = Path(folder) / "root"
        root.mkdir(mode=0o755)
        _program(root, tuple(pythons), Path(folder))
        _rest(root)
        _control(root, machine)
        for path in (root, *root.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        # Gzip: a third larger than xz, and twenty times faster to build.
        _run("dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(package))
    return package


def _program(root: Path, pythons: tuple[str, ...], work: Path) -> None:
    (root / OPT / "bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (root / OPT / "bin" / name).symlink_to("/usr/bin/python3")
    (root / OPT / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    _write(root / OPT / "bin" / PROGRAM, COMMAND, 0o755)
    source = work / "source"
    for path in product_files():
        copy = source / path.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    _pip("wheel", "--no-deps", "--wheel-dir", str(work / "wheels"), str(source))
    (wheel,) = (work / "wheels").glob("*.whl")
    libc = range(OLDEST_LIBC, 4, -1)
    platforms = [word for minor in libc for word in ("--platform", f"manylinux_2_{minor}_{os.uname().machine}")]
    lock = CHECKOUT / "contrib" / "lock" / "requirements.txt"
    for version in pythons:
        place = str(root / OPT / "lib" / f"python{version}" / "site-packages")
        fitting = ["--target", place, "--python-version", version, "--only-binary", ":all:", *platforms]
        _pip("install", "--no-deps", "--no-compile", "--require-hashes", *fitting, "--requirement", str(lock))
        _pip("install", "--no-deps", "--no-compile", *fitting, str(wheel))
        shutil.rmtree(Path(place) / "bin", ignore_errors=True)


def _rest(root: Path) -> None:
    contrib = CHECKOUT / "contrib"
    for unit in UNITS:
        _write(root / "usr/lib/systemd/system" / unit, (contrib / "systemd" / unit).read_text())
    _write(root / "etc/logrotate.d/agi-monitor", (contrib / "logrotate" / "agi-monitor").read_text())
    for name, text in pages(program).items():
        _gzip(root / "usr/share/man/man1" / f"{name}.gz", text.encode())
    for shell, path in COMPLETIONS.items():
        found = get_completion_class(shell)
        assert found is not None  # noqa: S101 - click has all three
        _write(root / path, found(program, {}, PROGRAM, ASKED_BY).source())
    doc = root / "usr/share/doc/agi-monitor"
    licence = "".join(f" {line.rstrip() or '.'}\n" for line in (CHECKOUT / "LICENSE").read_text().splitlines())
    _write(doc / "copyright", (SCRIPTS / "copyright").read_text() + licence)
    _gzip(doc / "changelog.gz", (CHECKOUT / "CHANGELOG.md").read_bytes())
    # The configuration file and several messages name pages of it.
    for page in sorted(path for path in known_files() if path.parts[0] == "docs" and path.suffix in DOCUMENTS):
        _write(doc / page, (CHECKOUT / page).read_text())
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin" / PROGRAM).symlink_to(f"/{OPT}/bin/{PROGRAM}")


def _control(root: Path, machine: str) -> None:
    size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    fields: Mapping[str, str] = {
        "Package": "agi-monitor",
        "Version": __version__,
        "Architecture": machine,
        "Maintainer": "agi-monitor <agi-monitor@localhost>",
        "Installed-Size": str(size // 1024),
        "Depends": "python3 (>= 3.11), passwd",
        "Suggests": "asterisk, logrotate, fail2ban, man-db, bash-completion",
        "Section": "comm",
        "Priority": "optional",
        "Description": "live call monitoring for Asterisk from a desk phone\n"
        " Dial a code and an agent's extension, key in a PIN, and listen, whisper or\n"
        " barge in. Every spy is authorized by a rule, recorded, and ended as soon as\n"
        " it is no longer allowed.",
    }
    debian = root / "DEBIAN"
    _write(debian / "control", "".join(f"{name}: {value}\n" for name, value in fields.items()))
    _write(debian / "conffiles", "".join(f"{path}\n" for path in CONFFILES))
    for script in ("postinst", "prerm", "postrm"):
        _write(debian / script, (SCRIPTS / script).read_text(), 0o755)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _gzip(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content, 9, mtime=0))


def _pip(*arguments: str) -> None:
    _run(sys.executable, "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check", *arguments[1:])


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        raise ImageError(f"{' '.join(command[:4])} ... ended with {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def main() -> int:
    """Build it, and say where it is."""
    parser = argparse.ArgumentParser(prog="python -m contrib.deb.build", description=__doc__.partition("\n")[0])
    parser.add_argument("--python", action="append", metavar="VERSION", help="a Python whose libraries go into it")
    wanted = parser.parse_args().python or PYTHONS
    if not all(re.fullmatch(r"3\.\d+", version) for version in wanted):
        parser.error("a version is such as 3.11")
    say = Progress()
    try:
        with step(say, f"building the package for Python {', '.join(wanted)}"):
            package = build(OUT, wanted, architecture())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    say(f"ready: {package.relative_to(CHECKOUT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
