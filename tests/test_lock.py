"""contrib/lock: what is installed by it is what setup.cfg asks for, and every file is known by its hash."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

CHECKOUT = Path(__file__).resolve().parents[1]
LOCK = CHECKOUT / "contrib" / "lock"
PINNED = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n(?:    #.*\n)*"
)


def locked(name: str) -> dict[str, tuple[Version, list[str]]]:
    """Version and hashes of each distribution in a file, which holds nothing else."""
    text = re.sub(r"\A(?:#.*\n)+", "", (LOCK / name).read_text(encoding="utf-8"))
    found = {}
    end = 0
    for match in PINNED.finditer(text):
        assert match.start() == end, text[end : match.start()]
        end = match.end()
        found[match["name"]] = Version(match["version"]), re.findall(r"[0-9a-f]{64}", match["hashes"])
    assert end == len(text), text[end:]
    return found


def wanted() -> list[Requirement]:
    """What the product needs, and what PostgreSQL does."""
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    lines = [setup["options"]["install_requires"], setup["options.extras_require"]["postgresql"]]
    return [Requirement(line) for line in "\n".join(lines).splitlines() if line]


@pytest.mark.parametrize("requirement", wanted(), ids=lambda one: one.name)
def test_every_requirement_is_locked(requirement: Requirement) -> None:
    """At a version that setup.cfg allows, with the hashes of its files."""
    version, hashes = locked("requirements.txt")[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert hashes


def test_the_image_has_the_same() -> None:
    """What it takes from elsewhere than Debian is locked with the same hashes."""
    image, every = locked("image.txt"), locked("requirements.txt")
    assert image == {name: every[name] for name in image}
    assert list(image) == ["pyst2"]


@pytest.mark.parametrize("name", ["requirements.txt", "image.txt"])
def test_no_registry_is_named(name: str) -> None:
    """Where files come from is for anyone who installs; by their hashes they are the same from everywhere."""
    text = (LOCK / name).read_text(encoding="utf-8")
    assert re.findall(r"://|--index|--extra-index|--find-links|--trusted-host", text.replace("--no-emit-", "")) == []
