"""What is said, and that it is there to be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from agi_monitor.model import ONE_FILE, Cue, Reason
from agi_monitor.supervision.prompts import CHOICE, DEFAULTS, EXTENSION, NUMBER, PLACEHOLDERS, Prompts, placeholders

CORE_SOUNDS = frozenset((Path(__file__).parent / "core-sounds.txt").read_text().split())
"""The sound files of Asterisk's package of English core sounds, without their ending."""


@pytest.mark.parametrize("moment", [*Cue, *Reason])
def test_every_moment_has_words(moment: Cue | Reason) -> None:
    """No reason and no cue is silent, and every file is one of Asterisk's own."""
    words = DEFAULTS[moment]
    assert words
    assert set(words) <= CORE_SOUNDS | PLACEHOLDERS


def test_no_words_for_nothing() -> None:
    """There are no words for a moment that does not exist."""
    assert set(DEFAULTS) == {*Cue, *Reason}


@pytest.mark.parametrize("cue", sorted(ONE_FILE))
def test_a_prompt_that_keys_interrupt_is_one_file(cue: Cue) -> None:
    """GET DATA plays one file."""
    assert len(DEFAULTS[cue]) == 1
    assert DEFAULTS[cue][0] in CORE_SOUNDS


@pytest.mark.parametrize("moment", [*Cue, *Reason])
def test_placeholders_stand_where_they_have_a_value(moment: Cue | Reason) -> None:
    """In the defaults as in what a site or a plug-in says."""
    assert PLACEHOLDERS.intersection(DEFAULTS[moment]) <= placeholders(moment)


def test_a_placeholder_has_a_value_where_an_agent_is_known() -> None:
    """Before, only digits are known that someone keyed in, which may be a PIN."""
    assert placeholders(Cue.CHOOSE_CALL) == {CHOICE, NUMBER}
    assert placeholders(Cue.SCANNED) == placeholders(Reason.NO_CALL) == {EXTENSION}
    assert placeholders(Cue.ASK_PIN) == placeholders(Reason.PIN_LOCKED) == placeholders(Reason.AGENT_UNKNOWN) == set()


@pytest.mark.parametrize(
    ("one", "other"),
    [(Reason.PIN_WRONG, Reason.ENDPOINT_UNKNOWN), (Reason.MODE_DENIED, Reason.AGENT_UNKNOWN)],
)
def test_what_shall_not_be_told_apart_sounds_the_same(one: Reason, other: Reason) -> None:
    """A stranger's phone like a wrong PIN, an unknown agent like a forbidden one."""
    assert DEFAULTS[one] == DEFAULTS[other]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de_AT", ("austrian",)),
        ("de", ("german",)),
        ("de_CH", ("german",)),
        ("fr", ("site",)),
        ("", ("site",)),
        ("d", ("site",)),
    ],
)
def test_falls_back_from_the_country_to_the_language_to_the_site(language: str, words: tuple[str, ...]) -> None:
    """The nearest words are taken: country, language, site."""
    prompts = Prompts(
        {Cue.GOODBYE: ("site",)}, {"de_AT": {Cue.GOODBYE: ("austrian",)}, "de": {Cue.GOODBYE: ("german",)}}
    )
    assert prompts.words(Cue.GOODBYE, language) == words


def test_what_a_language_leaves_out_the_default_says() -> None:
    """A language may say only some things otherwise."""
    prompts = Prompts({}, {"de": {Cue.GOODBYE: ("german",)}})
    assert prompts.words(Reason.PIN_WRONG, "de") == DEFAULTS[Reason.PIN_WRONG]
