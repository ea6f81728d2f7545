"""The page of the log events."""

from __future__ import annotations

from collections.abc import Iterator

from agi_monitor.agi import log_events
from agi_monitor.agi.end_reason import EndReason
from docs.generation.docstrings import member_docs
from docs.generation.event_meanings import EVENTS
from docs.generation.logged import Logged, logged
from docs.generation.markdown import NOTE, sentence


def log_page() -> Iterator[str]:
    yield "# Log events"
    yield NOTE
    yield (
        "Logs go to standard error: one event name and its keys per line, `console` for people or `json` for "
        "machines. No event carries a digit that was keyed in at a prompt, at any level. Events of one call also "
        "carry `call` and `endpoint`, and `supervisor` once it is known."
    )
    yield "## The server and its calls"
    places: dict[str, list[Logged]] = {}
    for place in logged():
        places.setdefault(place.event, []).append(place)
    if places.keys() != EVENTS.keys():
        raise LookupError(
            f"events without a meaning, or the other way round: {sorted(places.keys() ^ EVENTS.keys())}"
        )
    for event, meaning in EVENTS.items():
        found = places[event]
        yield f"### `{event}`"
        yield f"{sentence(' or '.join(sorted({place.level for place in found})))}. {meaning}"
        names = dict.fromkeys(key for place in found for key in place.keys)
        if names:
            yield "Keys: " + ", ".join(f"`{key}`" for key in names) + "."
    yield "## The FastAGI wire"
    yield (
        "Each entry begins with the level and the keys besides `session` and `peer`. *Rate-bound* means that each "
        "kind of line is written 10 times a minute at most; `suppressed` counts what was left out."
    )
    for event, text in member_docs(log_events.LogEvent).items():
        yield f"### `{event}`"
        yield text
    yield "## Why a session ended"
    yield "`reason` of `agi_session_ended`:"
    yield "\n".join(f"- `{value}`: {text}" for value, text in member_docs(EndReason).items())
