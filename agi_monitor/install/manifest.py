"""What the last install wrote: the SHA-256 of each file, so that a change by hand is noticed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 1

SHA256 = re.compile(r"[0-9a-f]{64}")


class BrokenManifest(ValueError):
    """The manifest is not what an install wrote."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was written.

    Parameters:
        files: path within Asterisk's folder -> SHA-256, for the files that are wholly ours.
        originals: the same for the site's own files, as they were without the include.
        made_folder: whether the folder ``agi-monitor`` was made by the install.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    originals: Mapping[str, str] = field(default_factory=dict)
    made_folder: bool = False

    def to_bytes(self) -> bytes:
        """As it stands in its file."""
        row = {
            "version": VERSION,
            "files": dict(sorted(self.files.items())),
            "originals": dict(sorted(self.originals.items())),
            "made_folder": self.made_folder,
        }
        return json.dumps(row, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read it.

        Raises:
            BrokenManifest: it is not what ``to_bytes`` makes.
        """
        try:
            row = json.loads(content)
            if row["version"] != VERSION:
                raise BrokenManifest(f"has version {row['version']}, and this program knows {VERSION}")
            files, originals, made = row["files"], row["originals"], row["made_folder"]
            pairs = [*files.items(), *originals.items()]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, BrokenManifest):
                raise
            raise BrokenManifest("cannot be read") from None
        if type(made) is not bool or not all(isinstance(sha, str) and SHA256.fullmatch(sha) for _, sha in pairs):
            raise BrokenManifest("cannot be read")
        return cls(files, originals, made)


def sha256(content: bytes) -> str:
    """The digest of a content, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
