"""Dialled digits -> what is asked for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.model import Mode, Reason, Refusal, SpyRequest
from agi_monitor.supervision import feature_code

CODES = {Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "**4"}


@pytest.mark.parametrize(
    ("dialled", "request_"),
    [
        ("*2221001", SpyRequest(Mode.LISTEN, "1001")),
        ("*222100", SpyRequest(Mode.LISTEN, "100")),
        ("*2220100", SpyRequest(Mode.LISTEN, "0100")),
        ("*2231001", SpyRequest(Mode.WHISPER, "1001")),
        ("**41001", SpyRequest(Mode.BARGE, "1001")),
        ("*222", SpyRequest(Mode.LISTEN, None)),
        ("*222" + "1" * 20, SpyRequest(Mode.LISTEN, "1" * 20)),
        ("*222*", SpyRequest(Mode.LISTEN, None, scan=True)),
        ("*223*", SpyRequest(Mode.WHISPER, None, scan=True)),
        ("**4*", SpyRequest(Mode.BARGE, None, scan=True)),
        ("*2221001#", SpyRequest(Mode.LISTEN, "1001")),
        ("*222#", SpyRequest(Mode.LISTEN, None)),
        ("*222*#", SpyRequest(Mode.LISTEN, None, scan=True)),
        ("*222*1", SpyRequest(Mode.LISTEN, None, scan=True, number="1")),
        ("**4*12#", SpyRequest(Mode.BARGE, None, scan=True, number="12")),
    ],
)
def test_reads_mode_and_extension(dialled: str, request_: SpyRequest) -> None:
    """The code says the mode, what follows is the extension, digit by digit."""
    assert feature_code.parse(dialled, CODES) == request_


@pytest.mark.parametrize(
    "dialled",
    [
        "",
        "1001",
        "*22",
        "*2251001",
        "*222" + "1" * 21,
        "*2221001##",
        "*2221001*",
        "*222*0",
        "*222*123",
        "*222**",
        "*222*1001",
        "*222*\n",
        "*222-1001",
        "*2221001\n",
        "\n*2221001",
        " *2221001",
        "*222+1001",
        "*222٣٤",
        "*222１００１",
        "*222²",
        "*2221001,d",
        "*222${EXTEN}",
    ],
)
def test_refuses_what_is_no_code(dialled: str) -> None:
    """Anything else is refused as a whole: other scripts' digits, line ends, signs and separators too."""
    assert feature_code.parse(dialled, CODES) == Refusal(Reason.CODE_UNKNOWN)


@given(st.one_of(st.text(), st.builds("*222{}".format, st.text())))
def test_any_text_is_a_request_or_a_refusal(dialled: str) -> None:
    """No text raises, and an extension is never anything but ASCII digits."""
    match feature_code.parse(dialled, CODES):
        case SpyRequest(mode, None, scan, number):
            assert dialled.removesuffix("#") == CODES[mode] + "*" * scan + number
            assert re.fullmatch("([1-9][0-9]?)?", number)
        case SpyRequest(mode, str(extension), False):
            assert dialled.removesuffix("#") == CODES[mode] + extension
            assert re.fullmatch("[0-9]{1,20}", extension)
        case refusal:
            assert refusal == Refusal(Reason.CODE_UNKNOWN)
