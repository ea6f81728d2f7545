"""ChanSpy's arguments: one exact channel, and no option that lets a listener do more."""

from __future__ import annotations

import re

import pytest

from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import render
from agi_monitor.dialplan.site import Site
from agi_monitor.model import Mode
from agi_monitor.names import Uniqueid
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
    assert chanspy.arguments(Uniqueid("1700000000.10"), mode) == expected


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
def test_gives_a_listener_no_more_than_the_mode(mode: Mode) -> None:
    """One comma, one channel, ``u`` and ``E``, and none of the options d, e, r and W."""
    _, _, options = chanspy.arguments(Uniqueid("1700000000.10"), mode).partition(",")
    assert {"u", "E", "X"} <= set(options)
    assert set(options).isdisjoint("derW,")
    assert ("w" in options, "B" in options) == (mode is Mode.WHISPER, mode is Mode.BARGE)


def test_a_take_over_is_no_mode_of_chanspy() -> None:
    """Another application carries it: ChanSpy would only listen, on a record that says otherwise."""
    with pytest.raises(ValueError, match="no mode of ChanSpy"):
        chanspy.arguments(Uniqueid("1700000000.10"), Mode.TAKE_OVER)


def test_the_notice_reaches_one_exact_channel() -> None:
    """A helper of ours whispers to the agent: ``u`` one channel, ``w`` to it alone, and never a barge."""
    assert chanspy.notice(Uniqueid("1700000000.10"), "agi-monitor-notice", "x-y_1") == (
        "Local/notice@agi-monitor-notice/n,app,ChanSpy,1700000000.10\\,uqESw,,,v(AGI_MONITOR_NOTICE=x-y_1)"
    )


def test_every_key_is_an_extension_of_the_exit_context() -> None:
    """The keys that leave ChanSpy are the mode keys, those that leave the agent or ask for help, and the one that the
    server presses; they differ, and no key stands for none."""
    context = parse(render(Site(agents=(), groups=()))["agi-monitor.conf"]).context(chanspy.EXIT_CONTEXT)
    keys = [
        *chanspy.MODE_KEYS,
        chanspy.LEAVE_KEY,
        chanspy.BACK_KEY,
        chanspy.HELP_KEY,
        chanspy.END_KEY,
        chanspy.NO_KEY,
    ]
    assert chanspy.MODE_KEYS == {"4": Mode.LISTEN, "5": Mode.WHISPER, "6": Mode.BARGE, "7": Mode.TAKE_OVER}
    assert sorted(extension.pattern for extension in context.extensions) == sorted(keys)
    assert re.fullmatch("[A-D]", chanspy.END_KEY)
    assert re.fullmatch("[0-9*#]", chanspy.NO_KEY) is None
