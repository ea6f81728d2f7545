"""The page of the refusal reasons."""

from __future__ import annotations

from collections.abc import Iterator

from agi_monitor import model
from docs.generation.docstrings import member_docs
from docs.generation.markdown import NOTE
from docs.generation.spoken import heard


def refusal_reasons() -> Iterator[str]:
    yield "# Refusal reasons"
    yield NOTE
    yield (
        "A refusal is an expected no. It is spoken to the supervisor, written to the [audit](audit.md) as `refused` "
        "with its reason, and logged. What is heard is the default in English; you can "
        "[change it](../howto/change-the-prompts.md)."
    )
    yield (
        "Two pairs sound the same on purpose: `endpoint_unknown` like `pin_wrong`, `agent_unknown` like "
        "`mode_denied`, so that callers who are not allowed learn nothing from the difference."
    )
    for reason, text in member_docs(model.Reason).items():
        yield f"## `{reason}`"
        yield text
        yield f"Heard: {heard(reason)}"
