"""Writes the generated pages of docs/reference from the code, and the examples into the pages that show them.

python docs/generate.py           writes them
python docs/generate.py --check   changes nothing and fails when one is stale

Each page is a module of docs/generation. Every sentence comes from a docstring, a default or a message of the code,
so that there is one place to correct it.
"""

from __future__ import annotations

import argparse
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from docs import examples  # noqa: E402 - the line above must come first
from docs.generation.audit import audit_page  # noqa: E402
from docs.generation.cli import cli_page  # noqa: E402
from docs.generation.configuration import configuration  # noqa: E402
from docs.generation.doctor import doctor_page  # noqa: E402
from docs.generation.log_events import log_page  # noqa: E402
from docs.generation.markdown import wrapped  # noqa: E402
from docs.generation.metrics import metrics_page  # noqa: E402
from docs.generation.prompts import prompt_page  # noqa: E402
from docs.generation.refusal_reasons import refusal_reasons  # noqa: E402
from docs.generation.store import store_page  # noqa: E402

REFERENCE = REPOSITORY / "docs" / "reference"

PAGES: Mapping[str, typing.Callable[[], Iterator[str]]] = {
    "configuration.md": configuration,
    "refusal-reasons.md": refusal_reasons,
    "prompts.md": prompt_page,
    "log-events.md": log_page,
    "audit.md": audit_page,
    "cli.md": cli_page,
    "metrics.md": metrics_page,
    "store.md": store_page,
    "doctor.md": doctor_page,
}


def text_for(page: str) -> str:
    """The whole text of one page."""
    return "\n\n".join(wrapped(block) for block in PAGES[page]() if block).replace("``", "`") + "\n"


def stale() -> list[str]:
    """The pages that do not say what the code says."""
    pages = {name: REFERENCE / name for name in PAGES}
    return [name for name, path in pages.items() if not path.is_file() or path.read_text() != text_for(name)]


def main() -> int:
    """Write the pages, or say which are stale."""
    parser = argparse.ArgumentParser(description="Write the generated pages of docs/reference.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when a page is stale")
    check = parser.parse_args().check
    pages = stale()
    for name in pages:
        if not check:
            REFERENCE.mkdir(parents=True, exist_ok=True)
            (REFERENCE / name).write_text(text_for(name), encoding="utf-8")
        sys.stdout.write(f"{name}: {'stale; run python docs/generate.py' if check else 'written'}\n")
    shown = examples.stale()
    for page in shown:
        if not check:
            page.write_text(examples.filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(
            f"{page.name}: {'shows an old example; run python docs/generate.py' if check else 'written'}\n"
        )
    return 1 if check and (pages or shown) else 0


if __name__ == "__main__":
    sys.exit(main())
