"""agi_monitor.doctor.audio and test_calls: what was measured is compared with what must be, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agi_monitor.ami.connection import Event
from agi_monitor.ami.messages import Message
from agi_monitor.doctor.audio import EXPECTED, Heard, Party, TestCall, rows
from agi_monitor.doctor.sample_calls import SampleCalls
from agi_monitor.errors import ActionFailed
from agi_monitor.model import Mode
from agi_monitor.names import Uniqueid
from agi_monitor.supervision import chanspy

C, A, S = Party.CUSTOMER, Party.AGENT, Party.SUPERVISOR


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
def test_what_must_be_is_right(mode: Mode) -> None:
    """And shown without a mark."""
    call = TestCall(mode, EXPECTED[mode])
    assert call.wrong() == ()
    assert "WRONG" not in repr(list(rows(call)))


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
@pytest.mark.parametrize("speaker", Party)
@pytest.mark.parametrize("listener", Party)
def test_every_other_matrix_is_wrong(mode: Mode, speaker: Party, listener: Party) -> None:
    """One cell that is another is told, whichever it is."""
    if speaker is listener:
        return
    heard: Heard = {**EXPECTED[mode], speaker: EXPECTED[mode][speaker] ^ {listener}}
    (line,) = TestCall(mode, heard).wrong()
    assert line in (
        f"{mode}: the {listener} hears the {speaker}, and must not",
        f"{mode}: the {listener} does not hear the {speaker}",
    )
    assert repr(list(rows(TestCall(mode, heard)))).count("WRONG") == 1


def test_a_call_that_nobody_measures_says_nothing_of_the_mode() -> None:
    """Without the module nobody is ever heard, and that proves nothing."""
    call = TestCall(Mode.LISTEN, dict.fromkeys(Party, frozenset[Party]()))
    assert call.is_deaf
    assert "func_talkdetect.so" in call.wrong()[0]


def test_a_call_that_failed_is_wrong() -> None:
    """What was measured before it failed is shown; the rest is not known."""
    call = TestCall(Mode.BARGE, {C: frozenset({A, S})}, "ChanSpy did not begin")
    assert call.wrong() == ("barge: ChanSpy did not begin",)
    assert list(rows(call))[1] == ("agent", "hears", "", "?")


class SmallPbx:
    """Just enough of a PBX to make a test call with, or not.

    :param refuses: actions that fail
    :param silent: whether no event ever comes
    """

    def __init__(self, *refuses: str, silent: bool = False) -> None:
        self.refuses = refuses
        self.silent = silent
        self.now = 0.0
        self.events: list[Event] = []
        self.performed: list[tuple[str, dict[str, str]]] = []

    def perform(self, name: str, *headers: tuple[str, str]) -> None:
        """Take an action."""
        self.performed.append((name, dict(headers)))
        if name in self.refuses:
            raise ActionFailed(name, "no")
        if name == "Originate" and not self.silent:
            given = dict(headers)
            base = given["Channel"].removesuffix("/n")
            for half in ("1", "2"):
                name_of = "ChannelId" if half == "1" else "OtherChannelId"
                self.tell(
                    "Newchannel",
                    Channel=f"{base}-00000001;{half}",
                    Uniqueid=given[name_of],
                    Linkedid=given["ChannelId"],
                )
        elif name == "Hangup":
            self.tell("Hangup", Channel=dict(headers)["Channel"])

    def tell(self, name: str, **headers: str) -> None:
        """Something happens."""
        self.events.append(Event(name, Message((("Event", name), *headers.items()))))

    def event(self, seconds: float) -> Event | None:
        """The next one, or the time goes by."""
        if self.events:
            return self.events.pop(0)
        self.now += seconds
        return None

    def calls(self, arguments: Callable[[Uniqueid, Mode], str] = lambda uniqueid, mode: uniqueid) -> list[TestCall]:
        """Make the test calls."""
        return list(SampleCalls(self, "agi-monitor-doctor", "run", arguments, lambda: self.now).calls())


def test_a_call_that_does_not_come_to_be_leaves_nothing() -> None:
    """No phone answers: each call says so, and its channels are hung up."""
    pbx = SmallPbx()
    assert [call.failed for call in pbx.calls()] == ["no call came to be"] * 3
    hung_up = [given["Channel"] for name, given in pbx.performed if name == "Hangup"]
    assert hung_up == [f"Local/customer@agi-monitor-doctor-00000001;{half}" for half in "12"] * 3


def test_what_cannot_be_hung_up_is_told() -> None:
    """With its name, and when it ends by itself."""
    pbx = SmallPbx("Hangup")
    (call, *_) = pbx.calls()
    assert call.failed == "no call came to be"
    pbx = SmallPbx("Originate", "Hangup")
    assert [one.failed for one in pbx.calls()] == [str(ActionFailed("Originate", "no"))] * 3


def test_a_pbx_that_says_nothing_is_not_waited_for() -> None:
    """Ten seconds for each step."""
    pbx = SmallPbx(silent=True)
    assert [call.failed for call in pbx.calls()] == ["no call came to be"] * 3
    assert pbx.now <= 3 * 10.0 + 1e-6


class Answering(SmallPbx):
    """The customer's call reaches the agent, whose channels have identifiers of the PBX's own."""

    def __init__(self, system_name: str) -> None:
        super().__init__()
        self.system_name = system_name

    def perform(self, name: str, *headers: tuple[str, str]) -> None:
        """Take an action; the agent answers at once."""
        super().perform(name, *headers)
        given = dict(headers)
        if name == "Originate" and given.get("Exten") == "call":
            for party, half in ((A, "1"), (A, "2"), (C, "1"), (C, "2")):
                channel = f"Local/{party}@agi-monitor-doctor-00000001;{half}"
                if party is A:
                    unique = f"{self.system_name}-1764400000.{half}"
                    self.tell("Newchannel", Channel=channel, Uniqueid=unique, Linkedid=given["ChannelId"])
                self.tell("Newstate", Channel=channel, ChannelStateDesc="Up")
                self.tell("BridgeEnter", Channel=channel)


def test_an_identifier_that_cannot_be_used_is_told() -> None:
    """Each call says so, and nothing is left; ChanSpy is never begun."""
    pbx = Answering("Sales, Berlin")
    assert [call.failed for call in pbx.calls(chanspy.arguments)] == [
        "ChanSpy cannot be told the identifier 'Sales, Berlin-1764400000.1': see the check systemname-unusable"
    ] * 3
    assert all(given.get("Application") != "ChanSpy" for _, given in pbx.performed)
    pbx = Answering("Call Center 1")
    assert [call.failed for call in pbx.calls(chanspy.arguments)] == [
        "ChanSpy did not begin; is app_chanspy.so loaded"
    ] * 3
