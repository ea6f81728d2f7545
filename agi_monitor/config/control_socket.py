"""Where the control socket is, without a check of the whole configuration.

A command that asks the server needs one path of a file that holds much more. The file is read as always. The path is
the one that a check of the whole file would find; if that is uncertain, the whole file has to be checked. A mistake
in another section does not stop a command from asking a running server.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeGuard

from agi_monitor.config import yaml
from agi_monitor.control.socket_file import socket_path

STATE_DIRECTORY = Path("/var/lib/agi-monitor")
"""What ``state.directory`` is when it is not given."""

SECTIONS = frozenset(
    {
        *("acknowledgement", "agents", "ami", "asterisk", "audit", "codes", "control", "dialplan", "fastagi"),
        *(
            "languages",
            "limits",
            "log",
            "metrics",
            "notice",
            "pins",
            "plugins",
            "prompt_pack",
            "prompts",
            "protected",
        ),
        *("reasons", "rules", "scans", "spies", "state", "stop", "store", "supervisors", "tenants", "waiting"),
    }
)
"""All there are. Another word may be one of these with a slip in it, such as ``contol``."""


def named_in(path: Path) -> Path | None:
    """Return the socket that a configuration names, or None where only the check of the whole can tell.

    Parameters:
        path: the configuration file.

    Raises:
        ConfigError: it is not YAML.
    """
    try:
        content = yaml.read(path)
    except OSError:
        return None
    tree = yaml.parsed(content, str(path)).tree
    if not isinstance(tree, dict) or not tree.keys() <= SECTIONS:
        return None
    control, state = tree.get("control", {}), tree.get("state", {})
    if not _is_plain(control, "socket") or not _is_plain(state, "directory"):
        return None
    given = control.get("socket")
    return socket_path(None if given is None else Path(given), Path(state.get("directory", STATE_DIRECTORY)))


def _is_plain(section: object, key: str) -> TypeGuard[dict[str, str]]:
    """Whether a section has a text for this key, or nothing: no check can make another path of that."""
    return (
        isinstance(section, dict)
        and section.keys() <= {key}
        and all(isinstance(one, str) for one in section.values())
    )
