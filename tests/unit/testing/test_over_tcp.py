"""The fakes over TCP, against a real server and a real client that run in processes or threads of their own."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from twisted.internet.task import Clock

from agi_monitor import ProtocolError, Session
from agi_monitor.testing import FakeAsterisk, FakeManager
from agi_monitor.testing.fake_channel import FakeChannel
from agi_monitor.testing.fake_manager import CHALLENGE
from agi_monitor.testing.sockets import converse
from contrib.lab.waiting import wait_until

USERNAME, SECRET = "monitor", "correct-horse-battery"

SERVER = """
from agi_monitor import AgiService, Session
from twisted.internet import reactor

async def story(session: Session) -> None:
    await session.answer()
    keyed = await session.get_data("agent-pass", timeout=5, max_digits=8)
    await session.set_variable("KEYED", keyed.digits)
    await session.execute("ChanSpy", "1700000000.9,uqE")
    await session.set_variable("LEFT_WITH", (await session.get_variable("SPY_KEY")) or "")

service = AgiService(story, "tcp:0:interface=127.0.0.1")
service.startService()
service.listening().addCallback(lambda port: print("told", port.getHost().port, flush=True))
reactor.run()
"""


def told(process: subprocess.Popen[str]) -> str:
    """The next thing that a program tells, between the lines of its log."""
    assert process.stdout is not None
    return next(line.split()[1] for line in process.stdout if line.startswith("told "))


@contextmanager
def served() -> Iterator[int]:
    """A server in a process of its own."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(told(process))
        finally:
            process.kill()


def test_a_call_over_tcp() -> None:
    """The same as in memory, with time that goes by itself."""

    def key_5(channel: FakeChannel) -> None:
        channel.variables["SPY_KEY"] = "5"

    fake = FakeAsterisk()
    fake.keys("1234#")
    fake.application_lasts("ChanSpy", 0.2, then=key_5)
    with served() as port:
        fake.call("127.0.0.1", port)
    assert fake.played == ["agent-pass"]
    assert fake.channel.variables["KEYED"] == "1234"
    assert fake.channel.variables["LEFT_WITH"] == "5"
    assert fake.happened[-1] == "closed"
    assert fake.agi_status == "SUCCESS"


def test_a_hang_up_over_tcp() -> None:
    """It comes when its time has come, in the middle of an application."""
    fake = FakeAsterisk()
    fake.application_lasts("ChanSpy", 3_600)
    fake.clock.callLater(0.2, fake.hang_up)
    with served() as port:
        fake.call("127.0.0.1", port)
    assert fake.agi_status == "HANGUP"
    assert fake.clock.getDelayedCalls() == []


def test_an_unexpected_command_over_tcp() -> None:
    """It is a failure of the test, and nothing is waited for."""
    fake = FakeAsterisk()
    with served() as port, pytest.raises(LookupError, match="EXEC ChanSpy: give the fake the application"):
        fake.call("127.0.0.1", port)


def test_nobody_listens() -> None:
    """An error that says so."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        FakeAsterisk().call("127.0.0.1", port)


def test_a_server_that_never_ends() -> None:
    """The call is given up."""
    ours, theirs = socket.socketpair()
    hundredths = iter(range(100))
    with ours, theirs, pytest.raises(TimeoutError, match=r"still open after 0\.05 s"):
        converse(ours, Clock(), lambda data: None, lambda: False, 0.05, lambda: next(hundredths) / 100)


def test_an_application_lasts_in_memory_too() -> None:
    """Until time is told to continue, or the caller leaves."""

    async def story(session: Session) -> None:
        await session.execute("ChanSpy", "x")

    fake = FakeAsterisk()
    fake.application_lasts("ChanSpy", 3.0, result=0)
    fake.start(story)
    fake.advance(2.9)
    assert fake.blocked == "ChanSpy"
    fake.advance(0.2)
    assert fake.closed
    left = FakeAsterisk()
    left.application_lasts("ChanSpy", 3.0)
    left.start(story)
    left.hang_up()
    assert left.closed
    left.advance(10.0)
    assert left.happened.count("closed") == 1


def conversation(port: int, *actions: str) -> list[str]:
    """What a plain client is answered, an event or a response each."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall("".join(f"{action}\r\n\r\n" for action in actions).encode())
        said = b""
        while said.count(b"ActionID") < len(actions):
            data = connection.recv(65_536)
            if not data:
                break
            said += data
    greeting, _, rest = said.decode().partition("\r\n")
    assert greeting.startswith("Asterisk Call Manager/")
    return [text.split("\r\n")[0] for text in rest.split("\r\n\r\n") if text]


def test_a_manager_over_tcp() -> None:
    """One connection after the other; each has to log in."""
    fake = FakeManager(USERNAME, SECRET)
    with fake.over_tcp() as (_, port):
        for _ in range(2):
            said = conversation(port, "Action: Ping\r\nActionID: 1", "Action: Challenge\r\nActionID: 2")
            assert said == ["Response: Error", "Response: Success"]
            wait_until(lambda: fake.happened[-1] == "disconnected", 5, "the end of the connection")
    assert fake.names == ["Ping", "Challenge"] * 2


def test_our_client_over_tcp() -> None:
    """Logs in, hears what happens while it listens, and is asked no more when the block is over."""
    script = f"""
import sys
from agi_monitor.ami.protocol import Account, AMIClient, Callbacks
from twisted.internet import reactor
from twisted.internet.endpoints import clientFromString

endpoint = clientFromString(reactor, "tcp:127.0.0.1:" + sys.argv[1])
account = Account({USERNAME!r}, {SECRET!r})
told = Callbacks(lambda event: print("told", event.name, flush=True), lambda: print("told up", flush=True))
AMIClient(endpoint, reactor, account, told, wanted=["Newchannel"]).startService()
reactor.run()
"""
    fake = FakeManager(USERNAME, SECRET)
    with (
        fake.over_tcp() as (_, port),
        subprocess.Popen([sys.executable, "-c", script, str(port)], stdout=subprocess.PIPE, text=True) as client,
    ):
        try:
            assert {told(client), told(client)} == {"FullyBooted", "up"}
            fake.add_channel("PJSIP/1001-00000001", "1700000000.1")
            assert told(client) == "Newchannel"
        finally:
            client.kill()
    assert fake.names[:2] == ["Challenge", "Login"]


def test_an_unknown_action_over_tcp() -> None:
    """It is a failure of the test, at the end of the block at the latest."""
    fake = FakeManager(USERNAME, SECRET)
    key = hashlib.md5((CHALLENGE + SECRET).encode(), usedforsecurity=False).hexdigest()
    login = f"Action: Login\r\nActionID: 1\r\nUsername: {USERNAME}\r\nKey: {key}"
    with pytest.raises(LookupError, match="Atxfer: give the fake an answer"), fake.over_tcp() as (_, port):
        said = conversation(port, login, "Action: Atxfer\r\nActionID: 2")
        assert said == ["Response: Success", "Event: FullyBooted", "Response: Error"]


def test_what_is_no_message_over_tcp() -> None:
    """It is told at the end of the block, and the connection is closed."""
    fake = FakeManager(USERNAME, SECRET)
    with pytest.raises(ProtocolError), fake.over_tcp() as (_, port):
        assert conversation(port, "Action: " + "x" * 100_000 + "\r\nActionID: 1") == []
