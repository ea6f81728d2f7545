"""agi_monitor.ami.client: one suite on asyncio and uvloop over TCP, and on Twisted in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock

from agi_monitor import (
    Account,
    ActionFailed,
    AMILimits,
    Disconnected,
    Down,
    EventsLost,
    LocalProtocolError,
    LoginRefused,
    ManagerClient,
    NoAnswer,
    Originated,
    Outcome,
    PermissionDenied,
    Up,
)
from agi_monitor.testing import FakeManager

USERNAME, SECRET = "monitor", "correct-horse-battery"
PHONE = "PJSIP/1001-00000001"
SECONDS = 20.0
SOON = AMILimits(retry_seconds=0.001, max_retry_seconds=0.001)

Steps = Callable[[ManagerClient, FakeManager], Coroutine[Any, Any, None]]


def on_twisted(steps: Steps, fake: FakeManager, secret: str, **options: Any) -> None:
    """In memory, on the clock of the fake."""
    manager = ManagerClient("pbx", Account(USERNAME, secret), reactor=fake.clock, endpoint=fake, **options)

    async def run() -> None:
        async with manager:
            await steps(manager, fake)

    done = Deferred.fromCoroutine(run())
    raised: list[BaseException] = []
    done.addErrback(lambda failure: raised.append(failure.value))  # type: ignore[call-overload]
    for _ in range(2_000):
        if done.called:
            break
        fake.advance(0.01)
    assert done.called
    if raised:
        raise raised[0]
    fake.check()


def over_tcp(run: Callable[[Coroutine[Any, Any, None]], None]) -> Callable[..., None]:
    """On an event loop of its own; the fake is in a thread."""

    def on_loop(steps: Steps, fake: FakeManager, secret: str, **options: Any) -> None:
        with fake.over_tcp() as (host, port):

            async def main() -> None:
                async with asyncio.timeout(SECONDS):
                    async with ManagerClient(host, Account(USERNAME, secret), port=port, **options) as manager:
                        await steps(manager, fake)

            run(main())

    return on_loop


SHELLS: dict[str, Callable[..., None]] = {
    "twisted": on_twisted,
    "asyncio": over_tcp(asyncio.run),
    "uvloop": over_tcp(uvloop.run),
}


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Runs steps with a client that is logged in."""
    run = SHELLS[request.param]

    def on_shell(steps: Steps, fake: FakeManager | None = None, secret: str = SECRET, **options: Any) -> None:
        with capture_logs():
            run(steps, fake or FakeManager(USERNAME, SECRET), secret, **options)

    return on_shell


def test_actions_and_lists(shell: Callable[..., None]) -> None:
    """Answers, errors with Asterisk's words, and a whole list."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        fake.add_channel(PHONE, "1700000000.1")
        assert isinstance(manager.state, Up)
        answer = await manager.action("Setvar", Channel=PHONE, Variable="COLOUR", Value="red")
        assert answer.text("Message") == "Variable Set"
        assert fake.variables == {(PHONE, "COLOUR"): "red"}
        with pytest.raises(ActionFailed, match="No such channel"):
            await manager.action("Hangup", Channel="PJSIP/none")
        with pytest.raises(LocalProtocolError, match="Channel holds a line break"):
            await manager.action("Hangup", Channel="x\r\nAction: Logoff")
        listed = await manager.action_list("CoreShowChannels")
        assert listed.is_whole
        assert [item.message.text("Channel") for item in listed.items] == [PHONE]

    shell(steps)


def test_a_missing_class_is_named(shell: Callable[..., None]) -> None:
    """As on the wire below."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        fake.refused["Originate"] = "Permission denied"
        del fake.answers["Originate"]
        with pytest.raises(PermissionDenied, match="needs write=originate"):
            await manager.originate("PJSIP/1001", application="Echo")

    shell(steps)


def test_events_by_name_and_by_what_they_say(shell: Callable[..., None]) -> None:
    """Two readers with filters of their own; one ends, the other continues."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        ours = manager.events("Newchannel", where=lambda event: event.message.text("Channel").startswith("PJSIP/"))
        async with manager.events("Hangup") as ends:
            fake.add_channel("Local/1@x-0;1", "1700000000.7")
            fake.add_channel(PHONE, "1700000000.8")
            fake.hang_up(PHONE)
            assert (await anext(ours)).message.text("Channel") == PHONE
            end = await anext(ends)
            assert (end.name, end.message.text("Uniqueid")) == ("Hangup", "1700000000.8")
        assert [event async for event in ends] == []
        fake.add_channel("PJSIP/1002-00000002", "1700000000.9")
        assert (await anext(ours)).message.text("Uniqueid") == "1700000000.9"
        await manager.stop()
        assert [event async for event in ours] == []

    shell(steps)


def test_a_filter_that_fails_is_its_reader_s(shell: Callable[..., None]) -> None:
    """Others are told as before."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        wrong = manager.events("Newchannel", where=lambda event: event.message.headers[1_000] is None)
        right = manager.events("Newchannel")
        fake.add_channel(PHONE, "1700000000.1")
        assert (await anext(right)).name == "Newchannel"
        with pytest.raises(IndexError):
            await anext(wrong)

    shell(steps)


def test_a_reader_who_is_slow(shell: Callable[..., None]) -> None:
    """It misses some, and is told where."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        events = manager.events("Newchannel", max_waiting=2)
        last = manager.events("Hangup")
        for number in range(5):
            fake.add_channel(f"PJSIP/1001-0000000{number}", f"1700000000.{number}")
        fake.hang_up("PJSIP/1001-00000004")
        await anext(last)
        assert [(await anext(events)).message.text("Uniqueid") for _ in range(2)] == ["1700000000.0", "1700000000.1"]
        with pytest.raises(EventsLost, match="3 events are missing"):
            await anext(events)
        assert events.lost == 3

    shell(steps)


def test_a_call_and_how_it_goes(shell: Callable[..., None]) -> None:
    """Each outcome; what the new channel is told; two at once."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        answered = await manager.originate(
            "PJSIP/1001",
            context="sales",
            extension="800",
            caller_id='"Sales" <2000>',
            variables={"ORDER": 'no "17"'},
            timeout=12.5,
        )
        assert answered == Originated(Outcome.ANSWERED, "PJSIP/1001-00000001", "1700000000.1")
        assert answered.answered
        (asked,) = [action for action in fake.actions if action.text("Action") == "Originate"]
        told = {
            name: asked.text(name) for name in ("Context", "Exten", "Priority", "CallerID", "Timeout", "Variable")
        }
        assert told == {
            "Context": "sales",
            "Exten": "800",
            "Priority": "1",
            "CallerID": '"Sales" <2000>',
            "Timeout": "12500",
            "Variable": 'ORDER="no \\"17\\""',
        }
        for outcome in Outcome:
            fake.outcomes["PJSIP/1002"] = outcome
            found = await manager.originate("PJSIP/1002", application="Playback", data="hello-world")
            assert found.outcome is outcome
            if outcome is not Outcome.ANSWERED:
                assert found == Originated(outcome, "PJSIP/1002", "")

    shell(steps)


def test_an_outcome_that_is_told_before_the_answer_is_read() -> None:
    """A fake in memory tells both while the action is still being written."""
    fake = FakeManager(USERNAME, SECRET)
    manager = ManagerClient("pbx", Account(USERNAME, SECRET), reactor=fake.clock, endpoint=fake)
    found: list[Originated] = []
    with capture_logs():
        Deferred.fromCoroutine(manager.start())
        fake.advance(0)
        Deferred.fromCoroutine(manager.originate("PJSIP/1001", application="Echo")).addCallback(found.append)
    assert [call.outcome for call in found] == [Outcome.ANSWERED]


@pytest.mark.parametrize("to", [{}, {"context": "sales"}, {"application": "Echo", "context": "a", "extension": "b"}])
def test_a_call_goes_to_one_place(shell: Callable[..., None], to: dict[str, Any]) -> None:
    """Neither to none nor to two."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        with pytest.raises(ValueError, match="a context and an extension, or an application"):
            await manager.originate("PJSIP/1001", **to)
        assert "Originate" not in fake.names

    shell(steps)


def test_it_comes_back(shell: Callable[..., None]) -> None:
    """After a loss it logs in again; events are told as before, and who waits for an outcome is told of the loss."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        states = manager.states()
        events = manager.events("Newchannel")
        fake.answers["Originate"] = lambda *_: {"Message": "Originate successfully queued"}
        calling = _begin(manager.originate("PJSIP/1001", application="Echo"))
        await _until(fake, lambda: "Originate" in fake.names)
        await manager.action("Ping")
        fake.lose_connection()
        with pytest.raises(Disconnected, match="Originate: the connection was lost"):
            await calling
        down = await anext(states)
        assert isinstance(down, Down)
        assert down.retry_in is not None
        assert [type(await anext(states)).__name__ for _ in range(3)] == ["Connecting", "LoggingIn", "Up"]
        fake.add_channel(PHONE, "1700000000.1")
        assert (await anext(events)).message.text("Channel") == PHONE

    shell(steps, limits=SOON)


def _begin(coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        return asyncio.get_running_loop().create_task(coroutine)
    except RuntimeError:
        return Deferred.fromCoroutine(coroutine)


async def _until(fake: FakeManager, condition: Callable[[], bool]) -> None:
    """Nothing that the fake does happens before the one who asked for it lets it."""
    while not condition():
        try:
            await asyncio.sleep(0.001)
        except RuntimeError:
            await deferLater(fake.clock, 0.001)


def test_a_login_that_is_refused(shell: Callable[..., None]) -> None:
    """It says so at the beginning, in Asterisk's words, and is not tried again."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        raise AssertionError("logged in")

    fake = FakeManager(USERNAME, SECRET)
    with pytest.raises(LoginRefused, match="Asterisk answered Authentication failed"):
        shell(steps, fake, secret="another-horse-battery")
    assert fake.names.count("Login") == 1


def test_a_login_that_is_refused_later(shell: Callable[..., None]) -> None:
    """When the secret was changed meanwhile, the reader is told."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        events, states = manager.events("Newchannel"), manager.states()
        fake.refused["Login"] = "Authentication failed"
        fake.lose_connection()
        with pytest.raises(LoginRefused, match="Authentication failed"):
            await anext(events)
        with pytest.raises(LoginRefused, match="Authentication failed"):
            while True:
                await anext(states)
        with pytest.raises(Disconnected, match="there is no connection"):
            await manager.action("Ping")

    shell(steps, limits=SOON)


def test_a_pbx_that_is_not_there() -> None:
    """The error says what the attempts met, and nothing is tried again."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(Disconnected, match=r"no login to 127\.0\.0\.1 within 0\.2 s: .*ConnectionRefusedError"):
            async with ManagerClient("127.0.0.1", Account(USERNAME, SECRET), port=port, start_seconds=0.2):
                raise AssertionError("logged in")

    with capture_logs():
        asyncio.run(main())


def test_an_outcome_that_is_not_told() -> None:
    """The account does not read the class call: after the ringing and some seconds more that is an error."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        fake.answers["Originate"] = lambda *_: {"Message": "Originate successfully queued"}
        calling = Deferred.fromCoroutine(manager.originate("PJSIP/1001", application="Echo", timeout=0.5))
        await deferLater(fake.clock, 10.4)
        assert not calling.called
        with pytest.raises(NoAnswer, match=r"Originate: no answer within 10\.5 s"):
            await calling

    with capture_logs():
        on_twisted(steps, FakeManager(USERNAME, SECRET), SECRET)


def test_it_is_cancelled_like_anything_else() -> None:
    """A reader and a call that are no longer awaited leave the client as it was."""

    async def steps(manager: ManagerClient, fake: FakeManager) -> None:
        events = manager.events("Newchannel")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(events)
        fake.answers["Originate"] = lambda *_: {"Message": "Originate successfully queued"}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await manager.originate("PJSIP/1001", application="Echo")
        fake.add_channel(PHONE, "1700000000.1")
        assert (await anext(events)).name == "Newchannel"

    with capture_logs():
        over_tcp(asyncio.run)(steps, FakeManager(USERNAME, SECRET), SECRET)


def test_the_wrong_way_is_told_the_right_one() -> None:
    """Without a loop and without a reactor; started twice; an endpoint alone; not started."""
    account = Account(USERNAME, SECRET)
    manager = ManagerClient("127.0.0.1", account)
    with pytest.raises(RuntimeError, match=r"no asyncio event loop runs here.*on Twisted give it reactor=reactor"):
        manager.start().send(None)
    with pytest.raises(TypeError, match="an endpoint is Twisted's"):
        ManagerClient("pbx", account, endpoint=FakeManager(USERNAME, SECRET))
    with pytest.raises(Disconnected, match="was not started"):
        manager.action("Ping").send(None)
    with pytest.raises(ValueError, match="name the events"):
        manager.events()
    assert manager.state == Down("not started", None)
    reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
    twice = ManagerClient("127.0.0.1", account, reactor=reactor, start_seconds=None)
    Deferred.fromCoroutine(twice.start())
    assert reactor.tcpClients[0][:2] == ("127.0.0.1", 5038)
    with pytest.raises(RuntimeError, match="started already"):
        twice.start().send(None)
