"""Whether two extensions or patterns of the dialplan can mean the same number (main/pbx.c, ext_cmp_pattern). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

_SIGNS = {"X": frozenset("0123456789"), "Z": frozenset("123456789"), "N": frozenset("23456789")}

_Signs = frozenset[str] | None
"""What may stand at a place; None for anything."""


@dataclass(frozen=True, slots=True)
class _Form:
    """What a pattern means.

    Parameters:
        signs: place by place.
        goes_on: whether anything may follow them.
    """

    signs: tuple[_Signs, ...]
    goes_on: bool


@cache
def overlap(one: str, other: str) -> bool:
    """Return whether there is a number that both mean; either is an extension, or a pattern that begins with
    ``_``."""
    if one == other:
        return True
    first, second = _form(one), _form(other)
    for place in range(max(len(first.signs), len(second.signs))):
        if place >= len(first.signs):
            return first.goes_on
        if place >= len(second.signs):
            return second.goes_on
        mine, theirs = first.signs[place], second.signs[place]
        if mine is not None and theirs is not None and not mine & theirs:
            return False
    return True


@cache
def _form(text: str) -> _Form:
    if not text.startswith("_"):
        return _Form(tuple(frozenset(sign) for sign in text if sign != "-"), False)
    signs: list[_Signs] = []
    rest = text[1:]
    while rest:
        sign, rest = rest[0], rest[1:]
        if sign == "!":
            return _Form(tuple(signs), True)
        if sign == ".":
            return _Form((*signs, None), True)
        if sign == "[" and "]" in rest:
            inside, _, rest = rest.partition("]")
            signs.append(_set(inside))
        elif sign != "-":
            signs.append(_SIGNS.get(sign.upper(), frozenset(sign)))
    return _Form(tuple(signs), False)


def _set(inside: str) -> _Signs:
    """``[13-5]``; None for what cannot be understood."""
    found: set[str] = set()
    while inside:
        if len(inside) > 2 and inside[1] == "-":
            if inside[0] > inside[2]:
                return None
            found.update(map(chr, range(ord(inside[0]), ord(inside[2]) + 1)))
            inside = inside[3:]
        else:
            found.add(inside[0])
            inside = inside[1:]
    return frozenset(found) or None
