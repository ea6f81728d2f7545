"""Puts the files of contrib/examples into the pages that show them, so that what is read is what is tested.

A page says where a block comes from in a comment before it, and may name sections of a file of Asterisk's form:

    <!-- contrib/examples/recipes/extensions.conf [incoming, callback] -->
"""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent
REPOSITORY = DOCS.parent

BLOCK = re.compile(r"^<!-- (contrib/\S+)(?: \[([^\]]+)\])? -->\n```(\w+)\n.*?^```$", re.MULTILINE | re.DOTALL)


def sections(text: str, names: list[str]) -> str:
    """The sections of a file of Asterisk's form, without what stands between them.

    Raises:
        LookupError: there is no section of that name.
    """
    parts = dict(re.findall(r"^\[(.+?)\]\n(.*?)(?=^\[|\Z)", text, re.MULTILINE | re.DOTALL))
    missing = [name for name in names if name not in parts]
    if missing:
        raise LookupError(f"no section {', '.join(missing)}")
    return "\n".join(f"[{name}]\n{parts[name].rstrip()}\n" for name in names)


def filled(markdown: str) -> str:
    """A page with its blocks as the files are now.

    Raises:
        LookupError: a file has no section that a page names.
        OSError: a file that a page names cannot be read.
    """

    def block(found: re.Match[str]) -> str:
        text = (REPOSITORY / found[1]).read_text(encoding="utf-8")
        if found[2]:
            text = sections(text, found[2].split(", "))
        comment = found[0].partition("\n")[0]
        return f"{comment}\n```{found[3]}\n{text}```"

    return BLOCK.sub(block, markdown)


def stale() -> list[Path]:
    """The pages whose blocks are not as the files are now."""
    pages = sorted(DOCS.rglob("*.md"))
    return [page for page in pages if filled(text := page.read_text(encoding="utf-8")) != text]
