"""Files that come with the program and go elsewhere on the system: the unit of systemd."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

UNIT = "agi-monitor.service"
PACKAGED = Path("/usr/lib/systemd/system/agi-monitor.service")
"""It is there where a package has brought it, with the man pages and the name on the PATH."""
PROGRAM = "/opt/agi-monitor/bin/agi-monitor"
"""Where the unit expects the program."""


def unit(program: Path) -> bytes:
    """Return the unit of systemd.

    Parameters:
        program: the installed command.
    """
    text = (_folder("agi_monitor.units", "contrib/systemd") / UNIT).read_text(encoding="utf-8")
    return text.replace(PROGRAM, str(program)).encode()


def _folder(package: str, in_checkout: str) -> Traversable:
    """The folder of a package: inside the installed one, or in the checkout, where nothing maps it to that name."""
    try:
        return resources.files(package)
    except ModuleNotFoundError:
        return Path(__file__).parents[2] / in_checkout
