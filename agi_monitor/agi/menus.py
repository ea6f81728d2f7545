"""What most calls do, of several commands each: play a list that keys interrupt, offer a choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agi_monitor.errors import LocalProtocolError

T = TypeVar("T")

KEYS = "0123456789*#"

Sound = str | int
"""A sound by its name, or a number to be said."""


@dataclass(frozen=True, slots=True)
class PlayedList:
    """How a list of sounds ended.

    Parameters:
        digit: the key that stopped it, or empty.
        position: of the sound that the key stopped, from 0; the length of the list when none did.
        missing: the sounds that Asterisk could not play.
    """

    digit: str
    position: int
    missing: tuple[str, ...] = ()


class _Played(Protocol):
    @property
    def digit(self) -> str: ...
    @property
    def found(self) -> bool: ...


class _Caller(Protocol):
    """What is needed of a session."""

    async def stream_file(self, name: str, escape_digits: str = "") -> _Played: ...
    async def say_number(self, number: int, escape_digits: str = "") -> str: ...
    async def wait_for_digit(self, timeout: float | None = None) -> str: ...


async def play(session: _Caller, sounds: Iterable[Sound], escape_digits: str) -> PlayedList:
    """Play sounds one after the other until a key stops them."""
    missing: list[str] = []
    listed = tuple(sounds)
    for position, sound in enumerate(listed):
        if isinstance(sound, int):
            digit = await session.say_number(sound, escape_digits)
        else:
            played = await session.stream_file(sound, escape_digits)
            digit = played.digit
            if not played.found:
                missing.append(sound)
        if digit:
            return PlayedList(digit, position, tuple(missing))
    return PlayedList("", len(listed), tuple(missing))


async def menu(
    session: _Caller, prompts: Iterable[Sound], choices: Mapping[str, T], *, timeout: float, tries: int, invalid: str
) -> T | None:
    """Ask for a choice until one is made, at most this number of times."""
    if not choices or any(len(key) != 1 or key not in KEYS for key in choices):
        raise LocalProtocolError("menu: each choice is one key of 0 to 9, * and #; nothing was sent")
    sounds = tuple(prompts)
    for _ in range(tries):
        digit = (await play(session, sounds, KEYS)).digit or await session.wait_for_digit(timeout)
        if digit in choices:
            return choices[digit]
        if digit and invalid:
            await session.stream_file(invalid)
    return None
