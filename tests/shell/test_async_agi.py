"""agi_monitor.async_agi on a manager interface in memory: the same handlers, over events and actions."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.routing import Handler, Router
from agi_monitor.agi.session import Session
from agi_monitor.ami.messages import Message
from agi_monitor.ami.protocol import Account
from agi_monitor.async_agi import AsyncAgiService
from agi_monitor.errors import CallEnded, LocalProtocolError
from agi_monitor.testing import FakeManager

CHANNEL = "PJSIP/1001-00000001"
SECRET = "correct-horse-battery"
ENVIRONMENT = f"agi_request: async\nagi_channel: {CHANNEL}\nagi_uniqueid: 1700000000.1\n"


class House:
    """A PBX with the manager interface, and a service that is logged in."""

    def __init__(self, handler: Handler, *, script_argument: bool = False) -> None:
        self.fake = FakeManager("agi", SECRET)
        self.commands: list[str] = []
        self.ids: list[str] = []
        self.fake.answers["AGI"] = self._agi
        self.service = AsyncAgiService(
            handler, self.fake, Account("agi", SECRET), reactor=self.fake.clock, script_argument=script_argument
        )
        self.service.startService()
        self.fake.advance(0.0)

    def _agi(self, fake: FakeManager, asked: Message) -> Mapping[str, str] | str:
        assert asked.text("Channel") == CHANNEL
        self.commands.append(asked.text("Command"))
        self.ids.append(asked.text("CommandID"))
        return {"Message": "Added AGI command to queue"}

    def call(self, more: str = "", end: str = "\n") -> None:
        """A channel enters ``AGI(agi:async)``."""
        self.fake.event("AsyncAGIStart", Channel=CHANNEL, Env=quote(f"{ENVIRONMENT}{more}{end}", safe=""))

    def says(self, result: str, command_id: str | None = None) -> None:
        """A command has a result."""
        shown = self.ids[-1] if command_id is None else command_id
        self.fake.event("AsyncAGIExec", Channel=CHANNEL, CommandId=shown, Result=quote(result, safe=""))

    def leaves(self) -> None:
        """The channel leaves AsyncAGI."""
        self.fake.event("AsyncAGIEnd", Channel=CHANNEL)

    @property
    def sessions(self) -> list[Session]:
        """Those that run."""
        return list(self.service.factory.sessions.values())


def test_a_call_over_the_manager_interface() -> None:
    """Commands go as actions, results come as events, and at the end the channel continues in the dialplan."""
    seen: list[object] = []

    async def ask(session: Session) -> None:
        seen.append((session.request.channel, session.request.arguments))
        await session.answer()
        seen.append(await session.get_variable("NAME"))

    house = House(ask)
    house.call("agi_arg_1: one two\n")
    house.says("200 result=0\n")
    house.says("200 result=1 (Zo\u00eb)\n")
    assert house.commands == ["ANSWER", 'GET VARIABLE "NAME"', "ASYNCAGI BREAK"]
    house.leaves()
    assert seen == [(CHANNEL, ("one two",)), "Zo\u00eb"]
    assert house.sessions == []


def test_another_program_s_result_is_not_ours() -> None:
    """Several may serve one PBX, and each sees the other's results."""
    seen: list[object] = []

    async def ask(session: Session) -> None:
        seen.append(await session.get_variable("NAME"))

    house = House(ask)
    house.call()
    house.says("200 result=1 (not ours)\n", "somebody-1")
    house.says("200 result=1 (not ours)\n", "")
    house.says("200 result=1 (ours)\n")
    house.says("200 result=1 (again)\n", house.ids[0])
    assert seen == ["ours"]


@pytest.mark.parametrize("first", ["", "200 result=-1\n"])
def test_leaving_without_our_word_is_a_hang_up(first: str) -> None:
    """The handler is told; nothing more can be sent, so its clean-up fails at once."""
    seen: list[str] = []

    async def wait(session: Session) -> None:
        try:
            await session.get_data("prompt")
        except CallEnded:
            seen.append("ended")
        with pytest.raises(CallEnded):
            await session.set_variable("X", "1")

    house = House(wait)
    house.call()
    (session,) = house.sessions
    if first:
        house.says(first)
    house.leaves()
    assert seen == ["ended"]
    assert session.ended is EndReason.HANGUP
    assert house.sessions == []


def test_a_refused_call_is_hung_up() -> None:
    """There is no other way to tell the dialplan."""
    house = House(Router())
    house.call()
    assert house.commands == ["HANGUP"]
    house.leaves()
    assert house.sessions == []


@pytest.mark.parametrize(("more", "language", "rest"), [("agi_arg_1: menu/en\n", "en", ()), ("", None, ())])
def test_the_first_argument_may_be_the_script(more: str, language: str | None, rest: tuple[str, ...]) -> None:
    """One router for FastAGI and AsyncAGI."""
    seen: list[object] = []
    router = Router()

    @router.route("menu/{language}")
    async def menu(session: Session, language: str, tries: int = 1) -> None:
        seen.append((language, tries, session.request.arguments))

    house = House(router, script_argument=True)
    house.call(more + ("agi_arg_2: 3\n" if more else ""))
    assert seen == ([("en", 3, ("3",))] if language else [])


def test_what_is_too_long_for_asyncagi_is_not_served() -> None:
    """A reply in pieces ends the call, for the rest would answer the next command; so does an environment."""
    ended: list[object] = []

    async def ask(session: Session) -> None:
        try:
            await session.get_variable("LONG")
        finally:
            ended.append(session.ended)

    house = House(ask)
    with capture_logs() as logs:
        house.call()
        house.says("200 result=1 (" + "x" * 1_009)
        house.leaves()
        house.call(end="")
    assert ended == [EndReason.PROTOCOL_ERROR]
    assert house.commands == ['GET VARIABLE "LONG"', "ASYNCAGI BREAK", "HANGUP"]
    assert [log["event"] for log in logs].count(LogEvent.ASYNC_CUT) == 2


def test_a_command_that_is_too_long_is_refused() -> None:
    """A line of the manager interface has 1,024 bytes; nothing is sent, and the session continues."""

    async def write(session: Session) -> None:
        with pytest.raises(LocalProtocolError, match="nothing was sent"):
            await session.set_variable("X", "a" * 1_100)
        await session.noop()

    house = House(write)
    house.call()
    assert house.commands == ["NOOP"]


def test_a_lost_connection_ends_all_calls() -> None:
    """And the next ones are served after the reconnection."""
    ended: list[object] = []

    async def wait(session: Session) -> None:
        try:
            await session.wait_for_digit()
        finally:
            ended.append(session.ended)

    house = House(wait)
    house.call()
    house.fake.lose_connection()
    assert ended == [EndReason.CONNECTION_LOST]
    house.fake.advance(60.0)
    house.call()
    assert len(house.sessions) == 1


def test_a_command_that_the_pbx_does_not_take_ends_the_call() -> None:
    """The channel is no longer in AsyncAGI."""
    ended: list[object] = []

    async def wait(session: Session) -> None:
        try:
            await session.answer()
        finally:
            ended.append(session.ended)

    house = House(wait)
    house.fake.refused["AGI"] = "Channel does not exist"
    house.call()
    house.fake.advance(0.0)
    assert ended == [EndReason.CONNECTION_LOST]
    assert house.sessions == []


def test_a_stop_waits_for_calls_and_ends_the_rest() -> None:
    """As the FastAGI service does; then the manager connection is closed."""

    async def wait(session: Session) -> None:
        await session.wait_for_digit()

    house = House(wait)
    house.call()
    stopped: list[object] = []
    house.service.stopService().addCallback(stopped.append)
    house.fake.advance(9.0)
    assert (len(house.sessions), stopped) == (1, [])
    house.fake.advance(2.0)
    assert house.commands[-1] == "ASYNCAGI BREAK"
    house.leaves()
    house.fake.advance(1.0)
    assert stopped == [None]
