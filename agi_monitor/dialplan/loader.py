"""Finds templates: in the site's folder first, then among the packaged ones.

A site changes one template by putting a file of the same name into its folder. Such a file may also begin with
``{% extends "packaged/agi-monitor.conf.j2" %}`` and change single blocks of it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from jinja2 import BaseLoader, Environment, TemplateNotFound

from agi_monitor.errors import RenderError

PACKAGE = "agi_monitor.templates"
PACKAGED = "packaged/"
"""A name that begins so never means the site's folder, so that a template can build upon the one it replaces."""


class TemplateLoader(BaseLoader):
    """Jinja2's way to find templates.

    Parameters:
        directory: the site's folder, or None.

    Raises:
        RenderError: the folder is not there.
    """

    def __init__(self, directory: Path | None) -> None:
        if directory is not None and not directory.is_dir():
            raise RenderError(f"the folder for templates {directory} is not there: create it, or leave it out")
        self._directory = directory
        self._packaged = packaged_templates()
        self._used: set[str] = set()

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        """The text of a template and what it is called in messages and tracebacks."""
        for place, name in self._places(template):
            file = place / name
            if file.is_file():
                self._used.add(str(file))
                return self._read(file), str(file), lambda: True
        raise TemplateNotFound(template)

    def _places(self, template: str) -> list[tuple[Traversable, str]]:
        name = template.removeprefix(PACKAGED)
        if not name or "/" in name or "\\" in name or name.startswith("."):
            return []
        places: list[tuple[Traversable, str]] = [(self._packaged, name)]
        if self._directory is not None and not template.startswith(PACKAGED):
            places.insert(0, (self._directory, name))
        return places

    def _read(self, file: Traversable) -> str:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RenderError(f"{file}: the template cannot be read: {error}") from error

    @property
    def used(self) -> frozenset[str]:
        """The files that were read, as their names stand in tracebacks."""
        return frozenset(self._used)

    def unused(self) -> list[Path]:
        """Templates in the site's folder that nothing asked for: a misspelled name changes nothing, silently."""
        if self._directory is None:
            return []
        return [file for file in sorted(self._directory.glob("*.j2")) if str(file) not in self._used]


def packaged_templates() -> Traversable:
    """The folder of the packaged templates: inside the installed package, or at the top of the checkout."""
    try:
        return resources.files(PACKAGE)
    except ModuleNotFoundError:
        # Run from a checkout that is not installed, nothing maps the folder to its package name.
        return Path(__file__).parents[2] / "dialplan-templates"
