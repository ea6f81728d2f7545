"""The fake manager interface: it is strict, it keeps the order of things, and nothing stays inside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.ami.connection import Event
from agi_monitor.ami.messages import action
from agi_monitor.ami.protocol import Account, AMIClient, Callbacks
from agi_monitor.ami.states import Refused, Up
from agi_monitor.errors import ActionFailed
from agi_monitor.testing import FakeManager

SECRET = "correct-horse-battery"
PHONE, PHONE_UNIQUEID = "PJSIP/1001-00000001", "1700000000.1"
OTHER = "PJSIP/1002-00000002"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the client logs is kept out of the output."""
    with capture_logs():
        yield


class Site:
    """A client that has logged in to a fake, and what it was told."""

    def __init__(self, secret: str = SECRET) -> None:
        self.fake = FakeManager("monitor", SECRET)
        self.fake.add_channel(PHONE, PHONE_UNIQUEID)
        self.fake.add_channel(OTHER, "1700000000.2")
        self.events: list[Event] = []
        self.client = AMIClient(
            self.fake,
            self.fake.clock,
            Account("monitor", secret),
            Callbacks(on_event=self.events.append),
            wanted={"Newchannel", "BridgeEnter", "BridgeLeave", "Hangup", "ChanSpyStart", "ChanSpyStop"},
        )
        self.client.startService()
        self.fake.advance(0.0)

    def ask(self, name: str, *headers: tuple[str, str]) -> list[Any]:
        """Send an action; its answer or its error will be in the list."""
        answers: list[Any] = []
        asked = Deferred.fromCoroutine(self.client.perform(action(name, *headers)))
        asked.addCallbacks(lambda response: answers.append(response.message), lambda why: answers.append(why.value))
        return answers

    def told(self) -> list[str]:
        """The names of the events since the last look."""
        names = [event.name for event in self.events]
        self.events.clear()
        return names


@pytest.fixture
def site() -> Site:
    """A client that is logged in."""
    site = Site()
    site.told()
    return site


def test_logs_in_by_the_challenge() -> None:
    """The secret itself is never sent, and a PBX that is up says so."""
    site = Site()
    assert isinstance(site.client.state, Up)
    assert site.fake.names == ["Challenge", "Login"]
    assert SECRET not in str([asked.headers for asked in site.fake.actions])
    assert site.told() == ["FullyBooted"]


def test_refuses_a_wrong_secret() -> None:
    """As Asterisk does, and nothing is told."""
    site = Site("another-horse-battery")
    assert site.client.state == Refused("Asterisk answered Authentication failed")
    site.fake.event("Newchannel")
    assert site.told() == []


def test_an_unknown_action_fails_the_test(site: Site) -> None:
    """The client gets an error, and so does the test, at the next thing that it does."""
    (error,) = site.ask("Atxfer", ("Channel", PHONE))
    assert isinstance(error, ActionFailed)
    with pytest.raises(LookupError, match=r"fake\.answers\['Atxfer'\]"):
        site.fake.advance(0.0)
    site.fake.check()


def test_takes_an_answer_of_the_test(site: Site) -> None:
    """Success with headers, or the text of an error."""
    site.fake.answers["Atxfer"] = lambda fake, asked: {"Message": asked.text("Channel")}
    (answer,) = site.ask("Atxfer", ("Channel", PHONE))
    assert answer.text("Message") == PHONE
    site.fake.answers["Atxfer"] = lambda fake, asked: "busy"
    (error,) = site.ask("Atxfer", ("Channel", PHONE))
    assert isinstance(error, ActionFailed)
    assert "busy" in str(error)
    site.fake.check()


def test_writes_down_every_action(site: Site) -> None:
    """With all of its headers, in order, beside the events."""
    site.ask("Setvar", ("Channel", PHONE), ("Variable", "A"), ("Value", "1"))
    site.fake.hang_up(PHONE)
    assert site.fake.asked("Setvar") == [{"Channel": PHONE, "Variable": "A", "Value": "1"}]
    assert site.fake.happened[-2:] == ["> Setvar", "< Hangup"]


def test_lists_what_there_is_now(site: Site) -> None:
    """Items as they are at the moment of the question, each under its name."""
    site.fake.enter(PHONE, "b-1")
    site.fake.queues.append({"Event": "QueueEntry", "Queue": "sales"})
    names = ("CoreShowChannels", "BridgeList", "QueueStatus", "DeviceStateList")
    lists = {name: items_of(site, name) for name in names}
    assert [item.message.text("Channel") for item in lists["CoreShowChannels"]] == [PHONE, OTHER]
    assert [item.message.text("BridgeId") for item in lists["CoreShowChannels"]] == ["b-1", ""]
    assert [item.message.text("BridgeUniqueid") for item in lists["BridgeList"]] == ["b-1"]
    assert [item.name for item in lists["QueueStatus"]] == ["QueueEntry"]
    assert lists["DeviceStateList"] == []


def items_of(site: Site, name: str) -> list[Event]:
    """The items of a list."""
    answers: list[list[Event]] = []
    asked = Deferred.fromCoroutine(site.client.perform_list(action(name)))
    asked.addCallback(lambda answer: answers.append(list(answer.items)))
    return answers[0]


def test_channels_live_and_die_with_their_events(site: Site) -> None:
    """What is done to the fake is told as Asterisk would."""
    site.fake.add_channel("PJSIP/1003-00000003", "1700000000.3", "b-1")
    site.fake.start_spying(PHONE, OTHER)
    site.fake.stop_spying(PHONE, OTHER)
    site.fake.hang_up("PJSIP/1003-00000003")
    assert site.told() == ["Newchannel", "BridgeEnter", "ChanSpyStart", "ChanSpyStop", "BridgeLeave", "Hangup"]
    with pytest.raises(LookupError, match="no channel PJSIP/1003"):
        site.fake.hang_up("PJSIP/1003-00000003")


@pytest.mark.parametrize(
    ("name", "headers", "refusal"),
    [
        ("Getvar", {"Variable": "A"}, "No such channel"),
        ("Setvar", {"Variable": "A", "Value": "1"}, "No such channel"),
        ("PlayDTMF", {"Digit": "D"}, "Channel not found"),
        ("Hangup", {}, "No such channel"),
        ("BridgeKick", {"BridgeUniqueid": "b-1"}, "Channel does not exist"),
    ],
)
def test_says_no_where_there_is_no_channel(site: Site, name: str, headers: dict[str, str], refusal: str) -> None:
    """Every action that is about one."""
    (error,) = site.ask(name, ("Channel", "PJSIP/9-00000009"), *headers.items())
    assert isinstance(error, ActionFailed)
    assert refusal in str(error)


def test_does_what_it_is_asked_to(site: Site) -> None:
    """A variable is kept, and cut where Asterisk cuts it; a hang-up and a kick have their events."""
    site.ask("Setvar", ("Channel", PHONE), ("Variable", "A"), ("Value", "1"))
    assert site.fake.variables[PHONE, "A"] == "1"
    site.fake.variables[PHONE, "A"] = "x" * 2_000
    (answer,) = site.ask("Getvar", ("Channel", PHONE), ("Variable", "A"))
    assert answer.text("Value") == "x" * 1_023
    site.fake.enter(PHONE, "b-1")
    site.ask("BridgeKick", ("BridgeUniqueid", "b-1"), ("Channel", PHONE))
    site.ask("Hangup", ("Channel", PHONE))
    assert site.told() == ["BridgeEnter", "BridgeLeave", "Hangup"]


def test_holds_answers_back(site: Site) -> None:
    """They come in their order when the test wants it; those of a lost connection never do."""
    site.fake.held.add("Getvar")
    first = site.ask("Getvar", ("Channel", PHONE), ("Variable", "A"))
    second = site.ask("Getvar", ("Channel", OTHER), ("Variable", "A"))
    assert (first, second) == ([], [])
    site.fake.answer_held()
    assert (len(first), len(second)) == (1, 1)
    site.fake.held.add("Getvar")
    lost = site.ask("Getvar", ("Channel", PHONE), ("Variable", "A"))
    site.fake.lose_connection()
    assert len(lost) == 1
    site.fake.answer_held()
    assert len(lost) == 1


def test_is_not_there_while_it_does_not_listen(site: Site) -> None:
    """And is found again when it does."""
    site.fake.listening = False
    site.fake.lose_connection()
    site.fake.advance(10.0)
    assert not isinstance(site.client.state, Up)
    site.fake.listening = True
    site.fake.advance(60.0)
    site.fake.advance(0.0)
    assert isinstance(site.client.state, Up)
