"""The tests that need no PBX, on every Python from 3.12 on that a Debian release has.

    python -m contrib.lab.pythons              all that are within reach
    python -m contrib.lab.pythons 3.13 3.14    these only

Each runs in a container of its own, without a network: it gets a copy of the checkout and the wheels that this host
has collected for it. What it printed stays in .cache/lab. A version that setup.cfg names and that did not run is a
failure, as is a test that failed.
"""

from __future__ import annotations

import configparser
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrib.lab.checkout import CHECKOUT, known_files
from contrib.lab.engine import engine_client, tail
from contrib.lab.errors import ImageError, LabError
from contrib.lab.images import CACHE, Recipe, ensure_images, make_wheels
from contrib.lab.progress import Progress, Say, step

PROBE = r"""
for name in $(ls /usr/bin | grep -E '^python3\.[0-9]+$' | sort -V); do
    "/usr/bin/$name" -c 'import platform; print(platform.python_version(), platform.machine(), *platform.libc_ver())'
done
"""
"""Prints what a container has, a line each."""
FOUND = re.compile(
    r"^(?P<full>(?P<version>3\.(?P<minor>\d+))\S*) (?P<machine>\S+) glibc 2\.(?P<libc>\d+)$", re.MULTILINE
)
RELEASES = tuple(
    Recipe("agi-monitor/pythons", suite, "pythons", suite, ("sh", "-c", PROBE), r"(?m)^3\.1[2-9]\S* \S+ glibc 2\.")
    for suite in ("trixie", "forky")
)
"""The older release first: a version that both have is taken from where it is Debian's own for longer."""
OLDEST = 12
"""The minor version above the one that `make quick` usually runs on."""
LOOKED_FOR = ("3.12", "3.13", "3.14")
"""What is said to be missing when no release has it."""
PLACE = "/checkout"
WHEELS = "/wheels"
TESTS = f"""
cd {PLACE}
git init --quiet && git add --all
mkdir -p .cache/lab/packages && ln -s /opt/fail2ban .cache/lab/packages/fail2ban
contrib/setup/environment.sh
exec .venv/bin/python -m pytest --numprocesses auto --ignore tests/scenarios --ignore tests/lab
"""
"""What a developer does, but for the index of packages. fail2ban is unpacked in the image."""
COLLECT_SECONDS = 900
CLOSING = re.compile(r"^=+ (?P<counts>\d+ (?:passed|failed|skipped|error|xfailed|deselected).*) in [\d.]+s.*=+$")
FAULT = re.compile(r"^(?:FAILED|ERROR) ")


@dataclass(frozen=True)
class Python:
    """One Python of a release."""

    recipe: Recipe
    image: str
    full: str
    version: str
    machine: str
    libc: int

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"Python {self.full} of Debian {self.recipe.suite}"

    @property
    def log(self) -> Path:
        """Where what it printed is kept."""
        return CACHE / f"python-{self.version}.log"

    def platforms(self) -> list[str]:
        """List the platforms whose wheels it can use, the best first."""
        return [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.libc, 4, -1)]


@dataclass(frozen=True)
class Outcome:
    """What the tests came to on one Python."""

    passed: bool
    counts: str
    faults: tuple[str, ...]


def parse_probe(recipe: Recipe, image: str, text: str) -> list[Python]:
    """Read what `PROBE` printed."""
    return [
        Python(recipe, image, found["full"], found["version"], found["machine"], int(found["libc"]))
        for found in FOUND.finditer(text)
        if int(found["minor"]) >= OLDEST
    ]


def parse_tests(status: int, text: str) -> Outcome:
    """Read what pytest printed at its end."""
    lines = text.splitlines()
    closing = [found["counts"] for line in lines if (found := CLOSING.match(line))]
    faults = tuple(line for line in lines if FAULT.match(line))
    return Outcome(
        status == 0 and bool(closing), closing[-1] if closing else f"no test ran (status {status})", faults
    )


def promised() -> list[str]:
    """List the versions that setup.cfg names, from the oldest of ours on."""
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    named = re.findall(
        r"^Programming Language :: Python :: (3\.(\d+))$", setup["metadata"]["classifiers"], re.MULTILINE
    )
    return [version for version, minor in named if int(minor) >= OLDEST]


def find_pythons(say: Say) -> dict[str, Python]:
    """Return each version that a release within reach has, with the first release that has it.

    :raises EngineError: there is no Docker engine
    """
    found: dict[str, Python] = {}
    for recipe in RELEASES:
        try:
            image = ensure_images((recipe,), say=say)[recipe]
        except ImageError as error:
            say(f"no Python of Debian {recipe.suite}: {error}")
            continue
        client = engine_client()
        try:
            text = client.containers.run(image, list(recipe.version_command), remove=True, network_disabled=True)
        finally:
            client.close()
        for python in parse_probe(recipe, image, text.decode()):
            found.setdefault(python.version, python)
    return found


@contextmanager
def wheels_for(python: Python, own: Path) -> Iterator[Path]:
    """Collect all that the tests import; the folder is gone at the end.

    :param own: the folder of the wheels that no index has
    :raises ImageError: something has no wheel for this Python
    """
    with tempfile.TemporaryDirectory(prefix=f"wheels-{python.version}-", dir=CACHE) as folder:
        (product,) = own.glob("agi_monitor-*.whl")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--dest", folder]
        command += ["--only-binary", ":all:", "--find-links", str(own), "--implementation", "cp"]
        command += ["--python-version", python.version]
        for platform in python.platforms():
            command += ["--platform", platform]
        build = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["build-system"]["requires"]
        command += [f"{product}[test,docs]", *build]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COLLECT_SECONDS, check=False)
        if done.returncode != 0:
            raise ImageError(f"the wheels cannot be collected: {done.stderr.strip()[-500:]}")
        yield Path(folder)


def run_tests(python: Python, wheels: Path) -> Outcome:
    """Run the tests in a container, as root: some need a file system of their own."""
    client = engine_client()
    container = None
    try:
        container = client.containers.create(
            python.image,
            ["sh", "-euc", TESTS],
            environment={
                "PYTHON": f"/usr/bin/python{python.version}",
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": WHEELS,
                "PIP_ROOT_USER_ACTION": "ignore",
            },
            volumes={str(wheels): {"bind": WHEELS, "mode": "ro"}},
            network_mode="none",
            # The engine leaves it out, and the tests listen on ::1.
            sysctls={"net.ipv6.conf.lo.disable_ipv6": "0"},
            init=True,
            cap_add=["SYS_ADMIN"],
            security_opt=["apparmor=unconfined"],
        )
        container.put_archive("/", checkout())
        container.start()
        _keep(container, python.log)
        status = container.wait()["StatusCode"]
    finally:
        if container is not None:
            container.remove(force=True)
        client.close()
    return parse_tests(status, python.log.read_text(errors="replace"))


def _keep(container: Any, log: Path) -> None:
    """Write what a container prints into a file, until it ends."""
    with log.open("wb") as output:
        for part in container.logs(stream=True, follow=True):
            output.write(part)
            output.flush()


def checkout() -> bytes:
    """Pack what git knows of the checkout, and what it does not know yet and does not ignore."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in known_files():
            archive.add(CHECKOUT / name, f"{PLACE}/{name}", recursive=False, filter=_owned_by_root)
    return packed.getvalue()


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def try_one(python: Python, own: Path, say: Say) -> Outcome:
    """Collect the wheels for one Python, and run the tests on it.

    :param own: the folder of the wheels that no index has
    :raises ImageError: something has no wheel for this Python
    """
    with ExitStack() as stack:
        with step(say, f"collecting the wheels for {python.title}"):
            wheels = stack.enter_context(wheels_for(python, own))
        with step(say, f"testing on {python.title}", lambda: tail(python.log, 1)):
            return run_tests(python, wheels)


def try_all(wanted: Iterable[str], found: Mapping[str, Python], say: Say) -> dict[str, Outcome | str]:
    """Run the tests on one Python after the other.

    :param wanted: versions
    :param found: what the releases have
    :returns: by version what the tests came to, or why there were none
    """
    outcomes: dict[str, Outcome | str] = {}
    with tempfile.TemporaryDirectory(prefix="wheels-", dir=CACHE) as own:
        make_wheels(Path(own))
        for version in wanted:
            if version not in found:
                outcomes[version] = "no Debian release within reach has it"
                continue
            try:
                outcomes[version] = try_one(found[version], Path(own), say)
            except ImageError as error:
                outcomes[version] = str(error)
    return outcomes


def report(outcomes: Mapping[str, Outcome | str], found: Mapping[str, Python]) -> list[str]:
    """Return what ran and what did not, in lines."""
    lines: list[str] = []
    for version, outcome in outcomes.items():
        if isinstance(outcome, str):
            lines.append(f"Python {version} was not run: {outcome}")
            continue
        lines.append(f"{found[version].title}: {outcome.counts}")
        lines += [f"    {fault}" for fault in outcome.faults]
        lines += [] if outcome.passed else [f"    all of it: {found[version].log}"]
    return lines


def failed(outcomes: Mapping[str, Outcome | str], required: Iterable[str]) -> list[str]:
    """List the versions that are not as they must be: a test failed, or a required one did not run."""
    ran = {version: outcome for version, outcome in outcomes.items() if isinstance(outcome, Outcome)}
    broken = {version for version, outcome in ran.items() if not outcome.passed}
    return sorted(broken | (set(required) - ran.keys()), key=in_order)


def in_order(version: str) -> tuple[int, ...]:
    """What versions are sorted by."""
    return tuple(map(int, version.split(".")))


def main(asked: list[str]) -> int:
    """Run the tests and tell what they came to."""
    try:
        found = find_pythons(Progress())
        wanted = asked or sorted({*found, *LOOKED_FOR, *promised()}, key=in_order)
        outcomes = try_all(wanted, found, Progress())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    print(*report(outcomes, found), sep="\n")
    wrong = failed(outcomes, asked or promised())
    if wrong:
        print(f"not as it must be: {', '.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
