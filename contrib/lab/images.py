"""The container images of the laboratory: made once, found again by a hash of what they are made from.

`python -m contrib.lab.images` makes all three. The base (a Debian release) comes from, in this order: the
engine itself, a registry when one answers, debootstrap with the Debian mirror that this host's apt uses.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # the client library carries no type information

from contrib.lab.checkout import CHECKOUT
from contrib.lab.engine import engine_client, ensure_engine, ensure_programs, tail
from contrib.lab.errors import ImageError, LabError
from contrib.lab.progress import Progress, Say, step

CONTRIB = Path(__file__).resolve().parents[1]
CACHE = CHECKOUT / ".cache" / "lab"
LOCK = CONTRIB / "lock" / "image.txt"
"""What the image takes from elsewhere than Debian, with hashes."""
MIRROR_VARIABLE = "AGI_MONITOR_DEBIAN_MIRROR"
REGISTRY_SECONDS = 10
PULL_SECONDS = 300
WHEEL_SECONDS = 300
DEBOOTSTRAP_SECONDS = 900
TAG_LETTERS = 12


@dataclass(frozen=True)
class Recipe:
    """One image: what it is called, where its Dockerfile is, what it stands on and how it proves itself."""

    repository: str
    series: str
    folder: str
    suite: str
    version_command: tuple[str, ...]
    version_pattern: str
    holds_product: bool = False
    """Whether this product itself goes into it, as a wheel."""
    over: Recipe | None = None
    """Another image that it stands on, which has to be there; None for Debian alone."""
    target: str | None = None
    """The last stage of its Dockerfile; None for all."""

    @property
    def base(self) -> str:
        """The image below it."""
        return f"debian:{self.suite}" if self.over is None else self.over.tag()

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"{self.repository}:{self.series}"

    def tag(self) -> str:
        """Its full name, with a hash of every file that it is made from."""
        digest = hashlib.sha256(f"{self.base} {self.target}".encode() if self.target else self.base.encode())
        root = CONTRIB / self.folder
        if self.holds_product:
            self._add(digest, root, [root / "Dockerfile"])
            self._add(digest, CHECKOUT, product_files())
        else:
            self._add(digest, root, (item for item in root.rglob("*") if item.is_file()))
        return f"{self.title}-{digest.hexdigest()[:TAG_LETTERS]}"

    @staticmethod
    def _add(digest: Any, root: Path, files: Iterable[Path]) -> None:
        for path in sorted(files):
            digest.update(f"\0{path.relative_to(root)}\0".encode())
            digest.update(path.read_bytes())

    @contextmanager
    def context(self) -> Iterator[Path]:
        """The folder that the engine builds it from.

        :raises ImageError: the wheels cannot be made
        """
        if not self.holds_product:
            yield CONTRIB / self.folder
            return
        with tempfile.TemporaryDirectory(prefix="context-", dir=CACHE) as folder:
            context = Path(folder)
            shutil.copy(CONTRIB / self.folder / "Dockerfile", context)
            make_wheels(context / "wheels")
            yield context


ASTERISK = {
    "16": Recipe("agi-monitor/asterisk", "16", "asterisk", "bullseye", ("asterisk", "-V"), r"Asterisk 16\."),
    "22": Recipe("agi-monitor/asterisk", "22", "asterisk", "forky", ("asterisk", "-V"), r"Asterisk 22\."),
}
PHONES = Recipe(
    "agi-monitor/phones", "baresip", "phones", "forky", ("dpkg-query", "-W", "baresip-core"), r"baresip-core\s+\d"
)
RECIPES = (*ASTERISK.values(), PHONES)
SERVER = Recipe(
    "agi-monitor/server", "debian", "docker", "forky", ("--version",), r"agi-monitor, version \d", holds_product=True
)
"""The product as contrib/docker makes it. Only what tests the container needs it."""
MACHINE = Recipe(
    "agi-monitor/machine",
    "22",
    "docker",
    "forky",
    ("/opt/agi-monitor/bin/agi-monitor", "--version"),
    r"agi-monitor, version \d",
    holds_product=True,
    over=ASTERISK["22"],
    target="installed",
)
"""A PBX and beside it the program, without a user or a folder of its own. Only the setup needs it."""


def ensure_images(recipes: tuple[Recipe, ...] = RECIPES, *, say: Say | None = None) -> dict[Recipe, str]:
    """Make the images that are missing; a moment when all are there.

    :param recipes: which ones
    :param say: where progress goes; stderr by default
    :returns: the full image name of each recipe
    :raises EngineError: there is no Docker engine
    :raises ImageError: an image could not be made; the message names the log
    """
    say = say or Progress()
    ensure_engine(CACHE, say)
    client = engine_client()
    try:
        wanted = {recipe: recipe.tag() for recipe in recipes}
        missing = [recipe for recipe, tag in wanted.items() if not _exists(client, tag)]
        if missing:
            with _only_one_builder(say):
                _make(client, [recipe for recipe in missing if not _exists(client, wanted[recipe])], say)
        return wanted
    finally:
        client.close()


def ensure_base(suite: str, say: Say) -> str:
    """Make a clean Debian release where it is missing, and return the name of its image.

    :param suite: of the release
    :param say: where progress goes
    :raises EngineError: there is no Docker engine
    :raises ImageError: it could not be made
    """
    ensure_engine(CACHE, say)
    client = engine_client()
    try:
        with _only_one_builder(say):
            _Bases(client, say).ensure(suite)
    finally:
        client.close()
    return f"debian:{suite}"


def debian_mirrors() -> list[str]:
    """List the Debian mirrors of this host's apt, the likeliest first.

    The variable AGI_MONITOR_DEBIAN_MIRROR, when set, is the only answer.

    :raises ImageError: apt knows none
    """
    if os.environ.get(MIRROR_VARIABLE):
        return [os.environ[MIRROR_VARIABLE]]
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout
    found: dict[str, None] = {}
    for line in listing.splitlines():
        site, release, component = [*line.split(), "", "", ""][:3]
        main_archive = component == "main" and not re.search(r"[-/]|updates|security", release)
        if main_archive and site.startswith(("http://", "https://", "file:")):
            found.setdefault(site)
    if not found:
        raise ImageError(
            "no Debian mirror in this host's apt configuration: "
            f"put the address of one into the environment variable {MIRROR_VARIABLE}"
        )
    # Another vendor's repository can have a "main" as well; the one of the running release is the archive.
    return list(found)


def _make(client: Any, recipes: list[Recipe], say: Say) -> None:
    """Make images side by side, one thread each; bases that several need are made once."""
    bases = _Bases(client, say)
    with ThreadPoolExecutor(max_workers=max(1, len(recipes))) as pool:
        jobs = [pool.submit(_make_one, client, recipe, bases, say) for recipe in recipes]
    errors = [error for job in jobs if (error := job.exception()) is not None]
    if errors:
        raise errors[0]


class _Bases:
    """Debian base images; each is looked for and made at most once."""

    def __init__(self, client: Any, say: Say) -> None:
        self._client = client
        self._say = say
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()
        self._registry: bool | None = None

    def ensure(self, suite: str) -> None:
        with self._guard:
            lock = self._locks.setdefault(suite, threading.Lock())
        with lock:
            name = f"debian:{suite}"
            if _exists(self._client, name):
                return
            if self._registry_answers(name) and self._pull(suite):
                return
            _bootstrap(self._client, suite, self._say)

    def _registry_answers(self, name: str) -> bool:
        with self._guard:
            if self._registry is None:
                quick = docker.from_env(timeout=REGISTRY_SECONDS)
                try:
                    quick.images.get_registry_data(name)
                    self._registry = True
                except (docker.errors.DockerException, OSError):
                    self._say("no container registry within reach: the base images come from debootstrap")
                    self._registry = False
                finally:
                    quick.close()
            return self._registry

    def _pull(self, suite: str) -> bool:
        patient = docker.from_env(timeout=PULL_SECONDS)
        try:
            with step(self._say, f"pulling debian:{suite}"):
                patient.images.pull("debian", tag=suite)
        except (docker.errors.DockerException, OSError) as error:
            self._say(f"debian:{suite} was not pulled ({error}); debootstrap makes it")
            return False
        finally:
            patient.close()
        return True


def _make_one(client: Any, recipe: Recipe, bases: _Bases, say: Say) -> None:
    bases.ensure(recipe.suite)
    log = CACHE / f"build-{recipe.folder}-{recipe.series}.log"
    last = [""]
    arguments = {"BASE": recipe.base}
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        value = os.environ.get(name) or os.environ.get(name.upper())
        if value:
            arguments[name] = value
    image_id = ""
    with step(say, f"building {recipe.title}", lambda: last[0]), log.open("w") as output, recipe.context() as context:
        try:
            for part in _built(client, str(context), arguments, recipe.target):
                text = str(part.get("stream") or part.get("error") or part.get("status") or "")
                output.write(text)
                output.flush()
                last[0] = text.strip() or last[0]
                if "error" in part:
                    raise ImageError(f"building {recipe.title} failed, see {log}; its end:\n{tail(log)}")
                image_id = part.get("aux", {}).get("ID", image_id)
        except (docker.errors.DockerException, OSError) as error:
            raise ImageError(f"building {recipe.title} failed: {error}; see {log}") from error
        if not image_id:
            raise ImageError(f"building {recipe.title} gave no image, see {log}; its end:\n{tail(log)}")
        _prove(client, recipe, image_id)
        # The name is given last: an image of this name is one whose version was seen.
        client.api.tag(image_id, *recipe.tag().rsplit(":", 1))
        client.api.tag(image_id, recipe.repository, recipe.series)


def _built(client: Any, context: str, arguments: dict[str, str], target: str | None) -> Iterator[dict[str, Any]]:
    yield from client.api.build(path=context, buildargs=arguments, target=target, rm=True, forcerm=True, decode=True)


def product_files() -> list[Path]:
    """List the files that the wheel of this product is made from."""
    files = [LOCK, *(CHECKOUT / name for name in ("LICENSE", "README.md", "pyproject.toml", "setup.cfg"))]
    for folder in ("agi_monitor", "dialplan-templates", "contrib/systemd", "contrib/twistd"):
        files += [
            path for path in (CHECKOUT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts
        ]
    return files


def make_wheels(out: Path) -> None:
    """Make the two wheels that Debian has no package of, from a copy: setuptools leaves files where it builds."""
    with tempfile.TemporaryDirectory(prefix="source-", dir=CACHE) as folder:
        for path in product_files():
            copy = Path(folder) / path.relative_to(CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        for source in ([folder], ["--require-hashes", "--requirement", str(LOCK)]):
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), *source]
            done = subprocess.run(command, capture_output=True, text=True, timeout=WHEEL_SECONDS, check=False)
            if done.returncode != 0:
                raise ImageError(f"the wheels for the image cannot be made:\n{done.stderr.strip()[-2000:]}")


def _prove(client: Any, recipe: Recipe, image_id: str) -> None:
    """Run the program inside once: a mirror could have moved on to another release."""
    try:
        output = client.containers.run(
            image_id, list(recipe.version_command), remove=True, network_disabled=True, stdout=True, stderr=True
        ).decode(errors="replace")
    except docker.errors.ContainerError as error:
        output = str(error)
    if not re.search(recipe.version_pattern, output):
        raise ImageError(f"{recipe.title} holds {output.strip()[:100]!r}, not {recipe.version_pattern}")


def _bootstrap(client: Any, suite: str, say: Say) -> None:
    """Make debian:<suite> from packages, with debootstrap."""
    if os.geteuid() != 0:
        raise ImageError(
            f"debian:{suite} is in no registry within reach, and debootstrap needs root: run this once as root"
        )
    ensure_programs({"debootstrap": "debootstrap"}, CACHE, say)
    log = CACHE / f"debootstrap-{suite}.log"
    mirrors = debian_mirrors()
    for mirror in mirrors:
        target = Path(tempfile.mkdtemp(prefix=f"debian-{suite}-", dir=CACHE))
        try:
            with step(say, f"making debian:{suite} with debootstrap", lambda: tail(log, 1)):
                if _debootstrap(suite, target, mirror, log):
                    _import(client, suite, target)
                    return
            say(f"{mirror} has no usable Debian {suite}")
        finally:
            shutil.rmtree(target, ignore_errors=True)
    raise ImageError(
        f"debootstrap could not make Debian {suite} from {', '.join(mirrors)}; set {MIRROR_VARIABLE} to a mirror "
        f"that has it. See {log}; its end:\n{tail(log)}"
    )


def _debootstrap(suite: str, target: Path, mirror: str, log: Path) -> bool:
    scripts = Path("/usr/share/debootstrap/scripts")
    command = ["debootstrap", "--variant=minbase"]
    if mirror.startswith("https:"):
        command.append("--include=ca-certificates")
    command += [suite, str(target), mirror]
    if not (scripts / suite).exists():
        command.append(str(scripts / "sid"))  # a release younger than this host's debootstrap
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"},
                timeout=DEBOOTSTRAP_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            output.write(f"\ngiven up after {DEBOOTSTRAP_SECONDS} s\n".encode())
            return False
    return done.returncode == 0


def _import(client: Any, suite: str, target: Path) -> None:
    command = ["tar", "-C", str(target), "--exclude=./var/cache/apt/archives/*.deb", "--one-file-system", "-c", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as packer:
        assert packer.stdout is not None  # noqa: S101 - for the type checker, PIPE was asked for
        answer = client.api.import_image_from_stream(packer.stdout, repository="debian", tag=suite)
    if not _exists(client, f"debian:{suite}"):
        raise ImageError(f"the engine did not import {target}: {answer}")
    if packer.returncode != 0:
        client.images.remove(f"debian:{suite}", force=True)
        raise ImageError(f"tar of {target} ended with status {packer.returncode}")


def _exists(client: Any, name: str) -> bool:
    try:
        client.images.get(name)
    except docker.errors.ImageNotFound:
        return False
    return True


@contextmanager
def _only_one_builder(say: Say) -> Iterator[None]:
    """Keep two programs from building the same images at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "images.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another program is making the images: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Make all images and say what they are called."""
    say = Progress()
    try:
        for tag in ensure_images(say=say).values():
            say(f"ready: {tag}")
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
