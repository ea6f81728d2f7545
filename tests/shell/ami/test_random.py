"""An AMI client on a network and a PBX that do anything in any order: nothing raises, and nothing is left behind."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred

from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import action
from agi_monitor.ami.states import Down, Refused, State, Up
from agi_monitor.errors import (
    ActionFailed,
    Disconnected,
    ForgedAnswer,
    LocalProtocolError,
    NoAnswer,
    RemoteProtocolError,
)
from tests.doubles.conversations import SAID, Said
from tests.shell.ami.test_protocol import GREETING, Line, Site

EXPECTED = (
    ActionFailed,
    CancelledError,
    Disconnected,
    ForgedAnswer,
    LocalProtocolError,
    NoAnswer,
    RemoteProtocolError,
)
LIMITS = AMILimits(max_message_bytes=20_000, max_list_bytes=40_000, max_in_flight=4)

TALK = st.sampled_from(["ask", "ask list", "answer", "refuse", "list", "cancel"])
STEPS = st.one_of(
    TALK,
    TALK,
    st.sampled_from(["break", "accept", "stop", "start", 0.5, 2.0, 11.0, 31.0]),
    SAID,
)


class Story:
    """A client, what was asked of it, and the line to it while there is one."""

    def __init__(self, logs_in: bool) -> None:
        self.site = Site(limits=LIMITS, wanted={"Hangup", "Newchannel"}, needs={"Getvar", "Originate"})
        self.asked: list[Deferred[Any]] = []
        self.outcomes: list[object] = []
        self.line: Line | None = None
        self.attempts = 0
        self.site.client.startService()
        self.accept()
        if logs_in and self.line is not None:
            self.line.logs_in()

    def accept(self) -> None:
        """Asterisk takes the newest connection, once; one that was given up it does not."""
        if self.line is None and self.site.client.running and self.site.attempts > self.attempts:
            self.attempts = self.site.attempts
            self.line = self.site.accept()

    def lose(self) -> None:
        """The connection is gone."""
        if self.line is not None:
            line, self.line = self.line, None
            line.breaks()

    def ask(self, *, as_list: bool) -> None:
        """An action is asked for."""
        client = self.site.client
        story = client.perform_list(action("Status")) if as_list else client.perform(action("Getvar"))
        self.asked.append(ensureDeferred(story))
        self.asked[-1].addCallbacks(self.outcomes.append, lambda failure: self.outcomes.append(failure.value))

    def answer(self, how: str) -> None:
        """Asterisk answers whatever it was asked, in its way."""
        if self.line is None or self.line.transport.disconnecting:
            return
        for asked in self.line.asked():
            if self.line.transport.disconnecting:
                return
            said = "Error" if how == "refuse" else "Success"
            self.line.says(f"Response: {said}", f"ActionID: {asked.action_id}", "Challenge: 1", "Message: so it is")
            if how == "list":
                self.line.says("Event: Item", f"ActionID: {asked.action_id}")
                self.line.says("Event: StatusComplete", f"ActionID: {asked.action_id}", "EventList: Complete")

    def step(self, step: Said | str | float) -> None:
        """Do one of ``STEPS``."""
        if isinstance(step, float):
            self.site.reactor.advance(step)
        elif isinstance(step, Said):
            for chunk in step.chunks:
                # A transport that was told to go away delivers nothing more.
                if self.line is not None and not self.line.transport.disconnecting:
                    self.line.protocol.dataReceived(chunk)
        elif step in ("answer", "refuse", "list"):
            self.answer(step)
        elif step in ("ask", "ask list"):
            self.ask(as_list=step == "ask list")
        elif step == "cancel" and self.asked:
            self.asked[-1].cancel()
        elif step == "break":
            self.lose()
        elif step == "accept":
            self.accept()
        elif step == "stop":
            self.site.client.stopService()
        elif step == "start" and not self.site.client.running and self.line is None:
            self.site.client.startService()


def alternates(told: list[object]) -> bool:
    """Whether ``up`` and ``down`` came in turns, beginning with ``up``."""
    lives = [news for news in told if news in ("up", "down")]
    return lives == ["up", "down"] * (len(lives) // 2) + ["up"] * (len(lives) % 2)


@given(st.booleans(), st.lists(STEPS, max_size=20))
def test_anything_in_any_order(logs_in: bool, steps: list[Said | str | float]) -> None:
    """Bytes, answers, time, losses, stops, starts: a question has one outcome, an up one down, and no timer stays."""
    with capture_logs() as logs:
        story = Story(logs_in)
        for step in steps:
            story.step(step)
            state: State = story.site.client.state
            if story.line is not None and isinstance(state, Up):
                assert story.line.transport.producerState == "producing"
            assert len(story.site.told) < 2_000
        story.site.client.stopService()
        story.lose()
        assert len(story.outcomes) == len(story.asked)
        story.site.reactor.advance(3_600)
    assert all(isinstance(one, (tuple, *EXPECTED)) or hasattr(one, "message") for one in story.outcomes)
    assert alternates(story.site.told)
    assert story.site.told.count("up") == story.site.told.count("down")
    assert isinstance(story.site.client.state, Down | Refused)
    assert story.site.idle()
    assert [log for log in logs if log["event"] == "ami_callback_failed"] == []


@given(SAID)
def test_whatever_a_peer_says_first(said: Said) -> None:
    """A stranger on the port costs one connection: it ends within the time of a login, and the next one is tried."""
    site = Site(limits=LIMITS)
    with capture_logs():
        line = site.start()
        for chunk in said.chunks:
            if not line.transport.disconnecting:
                line.protocol.dataReceived(chunk)
        site.reactor.advance(LIMITS.login_seconds + LIMITS.close_seconds)
        if isinstance(site.client.state, Up):
            assert GREETING[:20].encode() in said.data
        else:
            assert line.transport.disconnecting
            line.breaks()
            assert isinstance(site.client.state, Down | Refused)
        site.client.stopService()
        if not line.transport.disconnecting or isinstance(site.client.state, Up):
            line.breaks()
