"""The own pack has words for everything, in every language, and is never a reason for silence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from agi_monitor.model import ONE_FILE, Cue, Reason
from agi_monitor.names import SOUND
from agi_monitor.sounds import english, german, spanish
from agi_monitor.supervision.prompts import DEFAULTS, PACK, PLACEHOLDERS, Prompts, is_own, own
from tests.doubles.desk import PIN, Desk, spoken, started

LANGUAGES = {"english": english.SENTENCES, "german": german.SENTENCES, "spanish": spanish.SENTENCES}
DIGITS = {own(f"digit-{digit}") for digit in range(10)}
FILES = {word for words in PACK.values() for word in words if is_own(word)} | DIGITS


def test_every_moment_has_words() -> None:
    """No reason and no cue is without a sentence; what is not a sentence is a placeholder or a beep."""
    assert set(PACK) == {*Cue, *Reason}
    others = {word for words in PACK.values() for word in words} - FILES
    assert others == {*PLACEHOLDERS, *DEFAULTS[Cue.STILL_WAITING]}
    assert all(SOUND.fullmatch(word) for word in FILES)


@pytest.mark.parametrize("sentences", LANGUAGES.values(), ids=list(LANGUAGES))
def test_every_language_says_everything(sentences: Mapping[str, str]) -> None:
    """There is no file that a language lacks, none that nothing plays, and no empty sentence."""
    assert {own(name) for name in sentences} == FILES
    assert all(sentence.strip() for sentence in sentences.values())
    assert len(set(sentences.values())) == len(sentences)


@pytest.mark.parametrize("cue", sorted(ONE_FILE))
def test_a_prompt_that_keys_interrupt_is_one_file(cue: Cue) -> None:
    """GET DATA plays one file."""
    (word,) = PACK[cue]
    assert is_own(word)


@pytest.mark.parametrize("moment", [*Cue, *Reason])
def test_a_prompt_says_whom_it_is_about_as_ever(moment: Cue | Reason) -> None:
    """The same placeholders have a value as in the default words."""
    assert PLACEHOLDERS.intersection(PACK[moment]) <= PLACEHOLDERS.intersection(DEFAULTS[moment])


def test_what_shall_not_be_told_apart_sounds_the_same() -> None:
    """A stranger's phone like a wrong PIN, an unknown agent like a forbidden one."""
    assert PACK[Reason.PIN_WRONG] == PACK[Reason.ENDPOINT_UNKNOWN]
    assert PACK[Reason.MODE_DENIED] == PACK[Reason.AGENT_UNKNOWN]


def test_the_site_has_the_last_word() -> None:
    """The pack speaks where neither the language nor the site says anything."""
    prompts = Prompts({Cue.GOODBYE: ("site",)}, {"de": {Cue.ASK_PIN: ("german",)}}, pack=True)
    assert prompts.words(Cue.GOODBYE, "de") == ("site",)
    assert prompts.words(Cue.ASK_PIN, "de") == ("german",)
    assert prompts.words(Cue.ASK_PIN, "en") == PACK[Cue.ASK_PIN]


def test_the_pack_is_played(tmp_path: Path) -> None:
    """Questions and refusals, with the digits in the same voice."""
    desk = Desk(tmp_path, talking=False)
    desk.change(prompts=Prompts(pack=True))
    desk.run()
    digits = [own(f"digit-{digit}") for digit in "1001"]
    assert desk.pbx.played[:7] == [own("ask-pin"), own("agent"), *digits, own("no-call")]


def test_a_prompt_that_is_not_installed_is_said_in_the_default_words(tmp_path: Path) -> None:
    """For a question, for a refusal as a whole, and for digits; keys count as ever."""
    desk = Desk(tmp_path, talking=False)
    desk.change(prompts=Prompts(pack=True))
    desk.pbx.missing_sounds.update(FILES - {own("agent")})
    desk.run(f"{PIN}#")
    assert desk.pbx.played[:6] == [
        "agent-pass",
        own("agent"),
        "digits:1001",
        *spoken(Reason.NO_CALL)[:1],
        "digits:1001",
        "vm-no",
    ]


def test_a_pin_is_taken_without_the_pack(tmp_path: Path) -> None:
    """A pack that was switched on and never installed does not get in the way."""
    desk = Desk(tmp_path)
    desk.change(prompts=Prompts(pack=True))
    desk.pbx.missing_sounds.update(FILES)
    desk.run()
    assert started(desk, "extension") == [("1001",)]
