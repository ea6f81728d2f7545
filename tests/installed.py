"""The plug-ins of contrib/examples, as if they were installed."""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def install(names: Iterable[str], folder: Path) -> str:
    """Put plug-ins into a folder as pip would, without building them.

    :param names: of folders below contrib/examples
    :param folder: an empty one
    :returns: PYTHONPATH, with which a process finds them and this checkout
    """
    for name in names:
        source = CHECKOUT / "contrib" / "examples" / name
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        info = folder / f"{name}-{project['version']}.dist-info"
        info.mkdir(parents=True)
        ((group, entries),) = project["entry-points"].items()
        lines = [f"[{group}]", *(f"{entry} = {target}" for entry, target in entries.items()), ""]
        (info / "entry_points.txt").write_text("\n".join(lines))
        metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(metadata)
        shutil.copy(source / f"{name}.py", folder)
    return os.pathsep.join((str(folder), str(CHECKOUT)))
