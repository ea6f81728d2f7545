"""The checkout, as git knows it."""

from __future__ import annotations

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def known_files() -> list[Path]:
    """List the files that git knows, and those that it does not know yet and does not ignore, from the top.

    Files that were removed and are not committed yet are left out.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [Path(name) for name in listed.split("\0") if name and (CHECKOUT / name).is_file()]
