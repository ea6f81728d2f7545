"""Who must hear whom in each mode, and what test calls showed of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from agi_monitor.model import Mode


class Party(StrEnum):
    """Who is on a call that is heard."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"


C, A, S = Party.CUSTOMER, Party.AGENT, Party.SUPERVISOR

Heard = Mapping[Party, frozenset[Party]]
"""Who speaks, and who hears it."""

EXPECTED: Mapping[Mode, Heard] = {
    Mode.LISTEN: {C: frozenset({A, S}), A: frozenset({C, S}), S: frozenset()},
    Mode.WHISPER: {C: frozenset({A, S}), A: frozenset({C, S}), S: frozenset({A})},
    Mode.BARGE: {C: frozenset({A, S}), A: frozenset({C, S}), S: frozenset({A, C})},
}


@dataclass(frozen=True, slots=True)
class TestCall:
    """One test call.

    Parameters:
        mode: in which the supervisor was on it.
        heard: what was measured, by the speaker; what is missing was not.
        failed: why it could not be made, or not to its end; empty when it could.
    """

    mode: Mode
    heard: Heard
    failed: str = ""

    __test__ = False

    @property
    def is_deaf(self) -> bool:
        """Whether not even customer and agent heard each other, so that the call says nothing about the mode."""
        return not self.failed and not (self.heard[C] & {A} or self.heard[A] & {C})

    def wrong(self) -> tuple[str, ...]:
        """Return sentences about what is wrong; none if all is well."""
        return tuple(self._wrong())

    def _wrong(self) -> Iterator[str]:
        if self.failed:
            yield f"{self.mode}: {self.failed}"
            return
        if self.is_deaf:
            yield (
                f"{self.mode}: not even customer and agent were heard to hear each other: nothing is known. The PBX "
                "needs the module func_talkdetect.so, and the account 'call' in its line 'read'"
            )
            return
        for speaker, listeners in EXPECTED[self.mode].items():
            for listener in Party:
                heard, must = listener in self.heard[speaker], listener in listeners
                if heard and not must:
                    yield f"{self.mode}: the {listener} hears the {speaker}, and must not"
                elif must and not heard:
                    yield f"{self.mode}: the {listener} does not hear the {speaker}"


def rows(call: TestCall) -> Iterator[tuple[str, ...]]:
    """Yield the matrix for people: a row for each who listens, a column for each who speaks."""
    for listener in Party:
        cells = []
        for speaker in Party:
            if speaker is listener:
                cells.append("")
            elif speaker not in call.heard:
                cells.append("?")
            else:
                heard, must = listener in call.heard[speaker], listener in EXPECTED[call.mode][speaker]
                cells.append(("hears" if heard else "-") + ("" if heard is must else "  WRONG"))
        yield (str(listener), *cells)
