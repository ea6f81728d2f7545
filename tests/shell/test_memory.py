"""What a call has used is free when it is over: a server is as large after its last call as after its first."""

from __future__ import annotations

import gc
import itertools
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import structlog
from structlog.typing import EventDict, WrappedLogger
from twisted.internet.task import Clock

from agi_monitor.agi.protocol import FastAGIFactory
from agi_monitor.agi.routing import Story
from agi_monitor.agi.session import Session
from agi_monitor.ami import connection
from agi_monitor.ami.messages import Message
from agi_monitor.limits import Limits
from agi_monitor.pbx import ends, notices
from agi_monitor.testing import FakeAsterisk
from tests.shell.managed import GRANT, Site

CALLS = 100
MOST_BYTES = 40
"""A call may leave so much: less than any text or object that is kept, more than what tables vary by."""
FEW = 10
LONG = 500
"""The length of what is different in each call: keeping it is seen."""


def left_by_a_call(call: Callable[[], None], number: int = CALLS) -> float:
    """Bytes that each call leaves: twice as many calls leave so much more, and what is made once does not count."""
    tracemalloc.start()
    try:
        _left(call, number)
        once, twice = _left(call, number), _left(call, 2 * number)
    finally:
        tracemalloc.stop()
    return (twice - once) / number


def _left(call: Callable[[], None], number: int) -> int:
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(number):
        call()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before


def _forget(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    raise structlog.DropEvent


@pytest.fixture(autouse=True)
def nothing_is_logged() -> Iterator[None]:
    """What a test collects of the log would count."""
    before = structlog.get_config()
    structlog.configure(processors=[_forget], cache_logger_on_first_use=False)
    yield
    structlog.configure(**before)


# ---- FastAGI -------------------------------------------------------------------------------------------


async def ask_and_spy(session: Session) -> None:
    """Every kind of verb: a sound and keys, a variable there and back, an application."""
    await session.answer()
    keyed = await session.get_data("agent-pass", 5, 8)
    await session.set_variable("KEYED", keyed.digits + session.request.arguments[0])
    assert await session.get_variable("KEYED")
    await session.execute("ChanSpy", f"{session.request.uniqueid},uqESX")


async def fail(session: Session) -> None:
    """A story with a defect."""
    await session.answer()
    raise RuntimeError(session.request.arguments[0])


class Server:
    """A FastAGI server that stays, while each call has a PBX of its own.

    Parameters:
        story: what it tells every call.
        status: what the dialplan reads after each of them.
        arrange: what is to happen during the call.
    """

    def __init__(
        self, story: Story, status: str = "SUCCESS", arrange: Callable[[FakeAsterisk], None] = lambda fake: None
    ) -> None:
        self.clock = Clock()
        self.factory = FastAGIFactory(story, Limits(), self.clock, secret="agreed")
        self._status = status
        self._arrange = arrange
        self._numbers = itertools.count(1)

    def call(self) -> None:
        """Make one call, with values that no other call has."""
        number = next(self._numbers)
        fake = FakeAsterisk(
            f"PJSIP/2001-{number:08x}",
            uniqueid=f"1700000000.{number}",
            caller_id=f"{number:0{LONG}}",
            arguments=(f"{number:0{LONG}}",),
            secret="agreed",
        )
        # Otherwise each fake makes a server of its own.
        fake._factory_options = lambda story: self.factory  # type: ignore[assignment]
        fake.application("ChanSpy", lambda *_: 0)
        fake.keys(f"{number}#")
        self._arrange(fake)
        fake.run(self.factory.serve)
        assert fake.agi_status == self._status
        self.clock.advance(60.0)


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(Server(ask_and_spy), id="to its end"),
        pytest.param(Server(ask_and_spy, "HANGUP", lambda fake: fake.hang_up_during("GET DATA")), id="hung up"),
        pytest.param(Server(fail, "FAILURE"), id="failed"),
    ],
)
def test_a_fastagi_call_leaves_nothing(server: Server) -> None:
    """However it ends."""
    assert left_by_a_call(server.call) < MOST_BYTES


def test_what_a_story_keeps_of_its_call_is_seen() -> None:
    """A reference to a short text is enough: whatever is kept of a call would be."""
    kept: list[str] = []

    async def keep(session: Session) -> None:
        kept.append(session.request.uniqueid)

    assert left_by_a_call(Server(keep).call) > MOST_BYTES


# ---- the manager interface -----------------------------------------------------------------------------


class House(Site):
    """A PBX that stays, with one call after the other, each heard by a supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = itertools.count(1_000)

    def call(self) -> None:
        """Make one call from its beginning to its end, on channels that no other call has."""
        number = next(self._numbers)
        spyer, spyee, customer = (f"PJSIP/{who}-{number:08x}" for who in ("2001", "1001", f"{number:0{LONG}}"))
        spyer_uniqueid, spyee_uniqueid, customer_uniqueid = (f"1700000000.{number}{n}" for n in range(3))
        self.fake.add_channel(spyee, spyee_uniqueid, f"b-{number}")
        self.fake.add_channel(customer, customer_uniqueid, f"b-{number}")
        self.fake.add_channel(spyer, spyer_uniqueid, Context="agi-monitor-call")
        grant = replace(
            GRANT,
            call=f"c-{number}",
            spyer=spyer,
            spyer_uniqueid=spyer_uniqueid,
            spyee=spyee,
            spyee_uniqueid=spyee_uniqueid,
            began=self.time(),
            since=self.time(),
        )
        self.open(grant)
        self.fake.advance(60.0)
        self.close(grant)
        for channel in (spyer, spyee, customer):
            self.fake.hang_up(channel)
        # What the fake remembers is not what is measured.
        self.fake.bridges[:] = [bridge for bridge in self.fake.bridges if bridge["BridgeUniqueid"] == "b-1"]
        self.fake.variables.clear()
        assert "spy_heard" in [fact.name for fact in self.ledger.facts]
        self.forget()


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """It remembers the last few only of what it otherwise remembers the last thousands of."""
    monkeypatch.setattr(connection, "MAX_PAST", FEW)
    monkeypatch.setattr(notices, "MAX_SPIES", FEW)
    monkeypatch.setattr(ends, "MAX_SPIES", FEW)
    return House()


def test_a_call_that_was_heard_leaves_nothing(house: House) -> None:
    """Neither in the client, nor in the picture of the PBX, nor with those who watch over the spies."""
    assert left_by_a_call(house.call) < MOST_BYTES
    assert house.is_up()


def test_what_somebody_keeps_of_an_event_is_seen(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the manager interface: the names of channels are enough."""
    kept: list[str] = []
    take = house.watch.take

    def keep(name: str, event: Message) -> None:
        kept.append(event.text("Channel"))
        take(name, event)

    monkeypatch.setattr(house.watch, "take", keep)
    assert left_by_a_call(house.call, FEW) > LONG
