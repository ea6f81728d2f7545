"""Dialled digits -> what is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agi_monitor.model import Mode, Reason, Refusal, SpyRequest

EXTENSION = re.compile(r"[0-9]{1,20}")
"""ASCII digits only: ``str.isdigit`` would let other scripts' digits through."""

SCAN = "*"
"""What is dialled behind a code in the place of an extension, for one call after the other."""


def parse(dialled: str, codes: Mapping[Mode, str]) -> SpyRequest | Refusal:
    """Say which mode on which extension was dialled.

    Parameters:
        dialled: ``agi_extension`` as Asterisk sent it, such as ``*2221001``.
        codes: the feature code of each mode; none is the beginning of another (the configuration checks it).
    """
    for mode, code in codes.items():
        if not dialled.startswith(code):
            continue
        rest = dialled.removeprefix(code)
        if not rest:
            return SpyRequest(mode, None)
        if rest == SCAN:
            return SpyRequest(mode, None, scan=True)
        if EXTENSION.fullmatch(rest):
            return SpyRequest(mode, rest)
    return Refusal(Reason.CODE_UNKNOWN)
