"""Who runs a command, for the audit."""

from __future__ import annotations

import os
import pwd


def whoami() -> str:
    """Return the user of this process, and the one who used sudo, if any."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    behind = os.environ.get("SUDO_USER", "")
    return f"{behind} as {name}" if behind and behind != name else name
