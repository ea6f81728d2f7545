"""The page of the prompts."""

from __future__ import annotations

from collections.abc import Iterator

from agi_monitor import model
from agi_monitor.supervision import prompts
from docs.generation.docstrings import member_docs
from docs.generation.markdown import NOTE
from docs.generation.spoken import heard, of_the_pack


def prompt_page() -> Iterator[str]:
    yield "# Prompts"
    yield NOTE
    yield (
        "This is what is played at each moment. A moment is a cue or a [refusal reason](refusal-reasons.md). All "
        "defaults are in Asterisk's core sounds; the text is that of the English ones. With "
        "[`prompt_pack`](configuration.md#prompt_pack) the own pack is played in their place. "
        "[How to change them](../howto/change-the-prompts.md)."
    )
    yield (
        f"Placeholders: `{prompts.EXTENSION}` says the digits of the agent's extension; `{prompts.CHOICE}` and "
        f"`{prompts.NUMBER}`, in `{model.Cue.CHOOSE_CALL}`, the key for a call and the other party's number. "
        "A placeholder without a value says nothing. A missing file is skipped, with the log event "
        "[`prompt_missing`](log-events.md#prompt_missing)."
    )
    yield "## Cues"
    for cue, text in member_docs(model.Cue).items():
        yield from moment_entry(cue, text)
    yield "## Refusals"
    for reason, text in member_docs(model.Reason).items():
        yield from moment_entry(reason, text)


def moment_entry(moment: str, text: str) -> Iterator[str]:
    yield f"### `{moment}`"
    yield text
    yield f"Default: {' '.join(f'`{word}`' for word in prompts.DEFAULTS[moment])}. {heard(moment)}"
    yield f"In the own pack: {of_the_pack(moment)}"
