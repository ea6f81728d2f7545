"""ChanSpy's arguments: one exact channel, and no option that lets a listener do more."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import render
from agi_monitor.dialplan.site import Site
from agi_monitor.model import Mode
from agi_monitor.supervision import chanspy


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (Mode.LISTEN, "1700000000.10,uqESX"),
        (Mode.WHISPER, "1700000000.10,uqESXw"),
        (Mode.BARGE, "1700000000.10,uqESXB"),
    ],
)
def test_writes_the_arguments(mode: Mode, expected: str) -> None:
    """The channel by its uniqueid, then the options of the mode."""
    assert chanspy.arguments("1700000000.10", mode) == expected


@pytest.mark.parametrize(
    "uniqueid",
    [
        "1.1",
        "pbx-1700000000.10",
        "pbx-2.north_1-1.10",
        "1-1.10",
        "click-to-dial-7",
        "Call Center 1-1764400000.12",
        "Call  Center-1764400000.12",
        "Zürich-1764400000.12",
        "コール-1764400000.12",
        "pbx #1: it's 50% @home!-1764400000.12",
        f"{'x' * 127}-1764400000.12",
    ],
)
def test_takes_the_uniqueids_of_the_pbx(uniqueid: str) -> None:
    """With and without a system name before it, whatever people call their PBX, and one that an application chose."""
    assert chanspy.is_uniqueid(uniqueid)
    assert chanspy.arguments(uniqueid, Mode.LISTEN) == f"{uniqueid},uqESX"


REFUSED = [
    "",
    " ",
    ".",
    "abc",
    "ALL",
    "PJSIP/1001",
    "PJSIP/1001-0000000a",
    "all",
    "1700000000.10,d",
    "1700000000.10,uqESXB",
    ",",
    "1700000000.10\n",
    "1700000000.10 ",
    " 1700000000.10",
    "1700000000.10&1700000000.11",
    "1700000000.10|q",
    "${CHANNEL}-1.1",
    "1700000000.١",
    "１７.１",
    '"-1.1',
    *(f"pbx{mark}1-1764400000.12" for mark in ',()[]{}"\\$;&|<>/`^?\t\n\r\0\x7f\x85\u2028\u202e\ufffd\ud800'),
    "${EVAL(x)}-1764400000.12",
    "Call Center 1",
    "Call Center 1-1764400000",
    "Call Center 1-1764400000.12 ",
    " Call Center-1764400000.12",
    "Call Center -1764400000.12",
    "Call Center 1-1764400000.１２",
    "é" * 76 + "-1.1",
    "x" * 148 + "1.1",
]


@pytest.mark.parametrize("uniqueid", REFUSED)
@pytest.mark.parametrize("mode", Mode)
def test_refuses_what_is_no_uniqueid(uniqueid: str, mode: Mode) -> None:
    """Nothing else reaches ChanSpy: an empty channel would be every channel of the PBX."""
    assert not chanspy.is_uniqueid(uniqueid)
    with pytest.raises(ValueError, match=r"^not the uniqueid of a channel"):
        chanspy.arguments(uniqueid, mode)
    with pytest.raises(ValueError, match=r"^not the uniqueid of a channel$"):
        chanspy.notice(uniqueid, "agi-monitor-notice")


def test_a_take_over_is_no_mode_of_chanspy() -> None:
    """Another application carries it: ChanSpy would only listen, on a record that says otherwise."""
    with pytest.raises(ValueError, match="no mode of ChanSpy"):
        chanspy.arguments("1700000000.10", Mode.TAKE_OVER)


def test_the_notice_reaches_one_exact_channel() -> None:
    """A helper of ours whispers to the agent: ``u`` one channel, ``w`` to it alone, and never a barge."""
    assert chanspy.notice("1700000000.10", "agi-monitor-notice") == (
        "Local/notice@agi-monitor-notice/n,app,ChanSpy,1700000000.10\\,uqESw"
    )


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"[\w.,-]*[0-9]+\.[0-9]+"),
        st.text(min_size=1).map(lambda name: f"{name}-1764400000.12"),
    ),
    st.sampled_from(Mode),
)
def test_any_text_is_refused_or_one_exact_channel(uniqueid: str, mode: Mode) -> None:
    """What is written has one comma, one channel, ``u`` and ``E``, and none of the options d, e, r and W."""
    try:
        written = chanspy.arguments(uniqueid, mode)
    except ValueError:
        return
    channel, _, options = written.partition(",")
    assert channel == uniqueid
    assert channel == channel.strip()
    assert set(channel).isdisjoint(',()[]{}"\\$;&|/\ufffd')
    assert channel.isprintable()
    assert {"u", "E", "X"} <= set(options)
    assert set(options).isdisjoint("derW,")
    assert ("w" in options, "B" in options) == (mode is Mode.WHISPER, mode is Mode.BARGE)


def test_names_the_characters_that_are_the_trouble() -> None:
    """Whoever called the PBX so has to find them."""
    assert chanspy.unusable_characters("Sales, (Berlin), 1-1764400000.12") == "(),"
    assert chanspy.unusable_characters("Call Center 1-1764400000.12") == ""
    assert not chanspy.is_system_name("")
    assert not chanspy.is_system_name("Sales, Berlin")
    assert chanspy.is_system_name("Call Center 1")


def test_every_key_is_an_extension_of_the_exit_context() -> None:
    """The keys that leave ChanSpy are the mode keys, the one that leaves the agent and the one that the server
    presses; they differ, and no key stands for none."""
    context = parse(render(Site(agents=(), groups=()))["agi-monitor.conf"]).context(chanspy.EXIT_CONTEXT)
    keys = [*chanspy.MODE_KEYS, chanspy.LEAVE_KEY, chanspy.END_KEY, chanspy.NO_KEY]
    assert chanspy.MODE_KEYS == {"4": Mode.LISTEN, "5": Mode.WHISPER, "6": Mode.BARGE, "7": Mode.TAKE_OVER}
    assert sorted(extension.pattern for extension in context.extensions) == sorted(keys)
    assert re.fullmatch("[A-D]", chanspy.END_KEY)
    assert re.fullmatch("[0-9*#]", chanspy.NO_KEY) is None
