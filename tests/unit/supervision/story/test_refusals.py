"""Every refusal is spoken and on record, and gives no sound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_monitor.model import Reason
from agi_monitor.supervision.line import KEYS
from agi_monitor.supervision.spy_call import MAX_MISSES
from tests.doubles.desk import PIN, SPYEE_UNIQUEID, Desk, refusals, spoken
from tests.unit.supervision.story.calls import (
    another_pin,
    assert_spies_are_on_record,
    call_of_the_board,
    conference,
    expired,
    full,
    gone,
    heard_enough,
    held,
    idle,
    locked,
    no_chanspy,
    no_extension,
    no_picture,
    no_reason,
    no_record,
    no_state,
    no_such_agent,
    no_such_code,
    not_told,
    own_phone,
    plug_in,
    protected,
    ringing,
    stranger,
    taken_away,
    undecided,
    unregistered,
    wrong_pins,
)

STORIES: dict[Reason, Callable[[Desk], None]] = {
    Reason.PLUGIN_DENIED: plug_in("not today"),
    Reason.PLUGIN_FAILED: plug_in(None),
    Reason.CODE_UNKNOWN: no_such_code,
    Reason.ENDPOINT_UNKNOWN: stranger,
    Reason.PIN_WRONG: wrong_pins,
    Reason.PIN_LOCKED: locked,
    Reason.PIN_EXPIRED: expired,
    Reason.IDENTITY_CHANGED: another_pin,
    Reason.EXTENSION_MISSING: no_extension,
    Reason.AGENT_UNKNOWN: no_such_agent,
    Reason.MODE_DENIED: protected,
    Reason.REASON_MISSING: no_reason,
    Reason.TIME_IS_UP: heard_enough,
    Reason.TOO_MANY_LISTENERS: full,
    Reason.SELF_SPY: own_phone,
    Reason.NO_CALL: idle,
    Reason.RINGING: ringing,
    Reason.ON_HOLD: held,
    Reason.UNAVAILABLE: unregistered,
    Reason.AMBIGUOUS: undecided,
    Reason.TARGET_GONE: gone,
    Reason.CONFERENCE: conference,
    Reason.PROTECTED: call_of_the_board,
    Reason.REVOKED: taken_away,
    Reason.STALE: no_picture,
    Reason.NOTICE_FAILED: not_told,
    Reason.AUDIT_UNAVAILABLE: no_record,
    Reason.STATE_UNAVAILABLE: no_state,
    Reason.PBX_ERROR: no_chanspy,
}
"""How each refusal comes about."""

AFTER_A_SPY = {Reason.TARGET_GONE, Reason.PBX_ERROR, Reason.REVOKED, Reason.TIME_IS_UP, Reason.IDENTITY_CHANGED}
"""Here ChanSpy was executed, and gave no sound, or no more of it."""


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_spoken_audited_and_gives_no_sound(desk: Desk, reason: Reason) -> None:
    """Each reason has a story; its words are heard, its slug is on record, and ChanSpy is not executed."""
    STORIES[reason](desk)

    extension = desk.pbx.channel.extension[-4:]
    words = " ".join(spoken(reason, extension))
    assert words in " ".join(desk.pbx.played)
    assert refusals(desk)[0] == reason
    assert bool(desk.spies) is (reason in AFTER_A_SPY)
    # Every word of every story can be ended by every key.
    spoke = [command[3] for command in desk.pbx.commands if command[:2] in (["STREAM", "FILE"], ["SAY", "DIGITS"])]
    assert set(spoke) == {KEYS}
    assert_spies_are_on_record(desk)


def test_every_reason_has_a_story() -> None:
    """A reason that nothing leads to is a reason too many, or one without a test."""
    assert set(STORIES) == set(Reason)


def test_more_misses_than_a_few_end_the_call(tmp_path: Path) -> None:
    """Extensions cannot be searched by ear: after some refusals in a row the call is over."""
    desk = Desk(tmp_path, "*222").run(f"{PIN}#" + "7777" * 20)

    assert refusals(desk) == ["agent_unknown"] * MAX_MISSES
    assert desk.pbx.played.count("vm-enter-num-to-call") == MAX_MISSES
    assert desk.pbx.commands[-1] == ["HANGUP"]


def test_a_spy_takes_the_misses_back(desk: Desk) -> None:
    """Misses count in a row only: after a spy the supervisor may miss as often as before."""
    misses = "7777" * (MAX_MISSES - 1)
    desk.run(f"{PIN}#*{misses}1001*{misses}1001")

    assert refusals(desk) == ["agent_unknown"] * 2 * (MAX_MISSES - 1)
    assert len(desk.spies) == 3


def test_an_error_of_the_pbx_is_on_record(desk: Desk) -> None:
    """ChanSpy that the PBX does not have ends the grant as an error, and the log names the command."""
    with capture_logs() as logs:
        no_chanspy(desk)

    assert desk.recorded("fact", "why")[:2] == [("spy_started", None), ("spy_ended", "error")]
    assert [(line["command"], line["code"]) for line in logs if line["event"] == "pbx_error"] == [("EXEC", 200)]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("name", ["Call Center 1", "Zürich"])
def test_a_call_of_a_pbx_with_any_name_is_heard(tmp_path: Path, name: str, live: bool) -> None:
    """The identifier is told to ChanSpy as the PBX made it."""
    desk = Desk(tmp_path)
    if live:
        desk.connect()
    desk.channel_of(SPYEE_UNIQUEID).uniqueid = f"{name}-1700000000.10"
    desk.run()
    assert desk.spies == [f"{name}-1700000000.10,uqESX"]


@pytest.mark.parametrize("live", [False, True])
def test_an_identifier_that_cannot_be_used_is_told(tmp_path: Path, live: bool) -> None:
    """Nothing is heard, and neither log nor audit says that the phone is idle."""
    desk = Desk(tmp_path)
    if live:
        desk.connect()
    desk.channel_of(SPYEE_UNIQUEID).uniqueid = "Sales, Berlin-1700000000.10"
    with capture_logs() as logs:
        desk.run()
    assert desk.spies == []
    assert [(line["identifier"], line["characters"]) for line in logs if line["event"] == "identifier_unusable"] == [
        ("'Sales, Berlin-1700000000.10'", "','")
    ]
    assert desk.recorded("reason", "detail")[0] == ("no_call", "1 with an identifier that cannot be used")
