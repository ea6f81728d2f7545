"""How Sphinx makes the documentation site; `make site` does it."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from sphinx.application import Sphinx  # noqa: E402

import agi_monitor  # noqa: E402 - the line above must come first

project = "agi-monitor"
author = copyright = "the agi-monitor authors"
version = release = agi_monitor.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns: list[str] = []
source_suffix = {".md": "markdown"}

html_theme = "furo"
html_title = f"agi-monitor {version}"
html_static_path = ["_static"]
html_css_files = ["print.css"]
html_copy_source = False
html_show_sphinx = False
# Options are typed with two hyphens, and shown so.
smartquotes = False
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

# Headings get the anchors that code hosts give them, so that the links in the files lead somewhere in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["fieldlist"]
# Links that leave docs/, to the examples and to the README; tests/test_docs.py checks that they lead somewhere.
# A block of SQL may hold a command of psql, which is not SQL.
suppress_warnings = ["myst.xref_missing", "misc.highlighting_failure"]

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = False
autoclass_content = "class"
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def setup(app: Sphinx) -> None:
    """Keep what an attribute's docstring says: napoleon takes all before a colon in it for a type."""
    said: dict[str, list[str]] = {}

    def keep(_: Sphinx, what: str, name: str, __: object, ___: object, lines: list[str]) -> None:
        if what in ("attribute", "data", "property"):
            said[name] = list(lines)

    def give_back(_: Sphinx, what: str, name: str, __: object, ___: object, lines: list[str]) -> None:
        if name in said:
            lines[:] = said.pop(name)

    app.connect("autodoc-process-docstring", keep, priority=400)
    app.connect("autodoc-process-docstring", give_back, priority=600)
