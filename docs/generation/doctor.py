"""The page of the doctor's checks."""

from __future__ import annotations

from collections.abc import Iterator

from agi_monitor.commands.doctor import AUDIO
from agi_monitor.doctor.checks import CHECKS, advisories
from docs.generation.markdown import NOTE, sentence


def doctor_page() -> Iterator[str]:
    yield "# Checks of the doctor"
    yield NOTE
    yield (
        "These are the checks of `agi-monitor doctor`; see [how to use it](../howto/check-the-site.md). A check that "
        "could not be made says so; it never counts as fine. Exit code 0: all is well. 1: a warning, or something "
        "that could not be checked. 3: an error."
    )
    for check in (*CHECKS, AUDIO):
        yield f"## `{check.id}`"
        yield f"{sentence(check.severity)}. {check.title}."
        yield check.why
        yield f"To fix it: {check.fix}"
    yield "## Versions of Asterisk"
    yield "The check `asterisk-version` knows these:"
    yield "\n".join(f"- [{one['id']}]({one['reference']}): {one['effect']}." for one in advisories())
