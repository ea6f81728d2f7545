"""Dialled digits -> what is asked for."""

from __future__ import annotations

from collections.abc import Mapping

from agi_monitor import names
from agi_monitor.model import Mode, Reason, Refusal, SpyRequest

SCAN = "*"
"""What is dialled behind a code in the place of an extension, for one call after the other. The number of a scan may
follow it."""

END = "#"
"""What many hands press at the end of every number: it may follow anything."""


def parse(dialled: str, codes: Mapping[Mode, str]) -> SpyRequest | Refusal:
    """Return which mode on which extension was dialled.

    Parameters:
        dialled: ``agi_extension`` as Asterisk sent it, such as ``*2221001``.
        codes: the feature code of each mode; none is the beginning of another (the configuration checks it).
    """
    for mode, code in codes.items():
        if not dialled.startswith(code):
            continue
        rest = dialled.removeprefix(code).removesuffix(END)
        if not rest:
            return SpyRequest(mode, None)
        number = rest.removeprefix(SCAN)
        if number != rest and (not number or names.SCAN_NUMBER.fullmatch(number)):
            return SpyRequest(mode, None, scan=True, number=number)
        if names.EXTENSION.fullmatch(rest):
            return SpyRequest(mode, rest)
    return Refusal(Reason.CODE_UNKNOWN)
