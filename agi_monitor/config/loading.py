"""Read, check and freeze ``agi-monitor.yaml``. Every problem names its key and its line.

The file is read as text all the way: ``1001`` and ``"1001"`` are the same extension, and ``0100`` stays ``0100``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from agi_monitor.config import checks, document, yaml
from agi_monitor.config.sections import Config
from agi_monitor.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read and is valid.

    Parameters:
        config: what it says.
        digest: SHA-256 of its bytes, in hexadecimal.
    """

    config: Config
    digest: str


def load(path: Path) -> Loaded:
    """Read and check a configuration file.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    content = read(path)
    return Loaded(parse(content, str(path)), digest(content))


def read(path: Path) -> bytes:
    """Return what a configuration file holds.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return yaml.read(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}{_fix(path, error)}") from error


def _fix(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return ". Write one with: agi-monitor init"
    if not isinstance(error, PermissionError):
        return ""
    try:
        owner, group = path.owner(), path.group()
    except (OSError, KeyError):
        return ". Run this as root, or as the user of the server"
    return f". Run this as root, as {owner}, or as a member of the group {group} if that may read it"


def digest(content: bytes) -> str:
    """Return what the audit calls a file by: SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def parse(content: bytes, name: str) -> Config:
    """Check the text of a configuration.

    Parameters:
        content: UTF-8.
        name: for the messages.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    return check(yaml.parsed(content, name), name)


def check(found: yaml.Parsed, name: str) -> Config:
    """Check what a configuration says.

    Parameters:
        found: the document.
        name: for the messages.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    return document.check(found, name, Config, checks.problems, "Write a sample with: agi-monitor init")
