"""agi_monitor.agi.asyncio_server on a loop of its own; what it has in common with Twisted is in test_both_shells.

And what is said to a program that asks for an event loop in a way that cannot work.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agi_monitor import AgiServer, CallEnded, Limits, Session
from agi_monitor.agi.log_events import LogEvent
from tests.doubles.agi_calls import CHECKOUT, ENVIRONMENT, SECONDS


class Line:
    """Asterisk's side of a call, in the same loop as the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, server: AgiServer, environment: str = ENVIRONMENT, host: str = "127.0.0.1") -> Line:
        """A call to this server."""
        line = cls(*await asyncio.open_connection(host, server.port))
        line.says(environment)
        return line

    def says(self, text: str) -> None:
        """Asterisk sends this."""
        self._writer.write(text.encode())

    async def hears(self) -> str:
        """The next line of the server; empty at the end."""
        async with asyncio.timeout(SECONDS):
            return (await self._reader.readline()).decode().rstrip("\n")

    async def close(self) -> None:
        """The connection ends."""
        self._writer.close()
        await self._writer.wait_closed()


async def waits(session: Session) -> None:
    """A handler that lasts as long as the call."""
    await session.wait_for_digit()


def test_it_needs_no_reactor() -> None:
    """Nothing of a call imports Twisted's reactor, which would choose it for the whole process."""
    program = """
import asyncio, sys
from agi_monitor import AgiServer
async def main():
    async with AgiServer(waits, port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"agi_network: yes\\nagi_channel: SIP/1\\nagi_uniqueid: 1.1\\n\\n")
        assert await reader.readline() == b"NOOP\\n"
        writer.write(b"200 result=0\\n")
        assert await reader.read() == b""
        writer.close()
async def waits(session):
    await session.noop()
asyncio.run(main())
print("twisted.internet.reactor" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-X", "dev", "-c", program], capture_output=True, text=True, cwd=CHECKOUT)
    assert (done.returncode, done.stdout.splitlines()[-1], done.stderr) == (0, "False", "")


def test_a_port_that_is_taken() -> None:
    """It raises, logs it, and leaves what the hook entered; it may be tried again."""
    steps: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        steps.append("in")
        yield
        steps.append("out")

    async def main(port: int) -> None:
        server = AgiServer(waits, port=port, lifespan=lifespan)
        for _ in range(2):
            with pytest.raises(OSError, match="address already in use"):
                await server.start()
        with pytest.raises(RuntimeError, match="does not listen"):
            _ = server.port

    with socket.create_server(("127.0.0.1", 0)) as taken, capture_logs() as logs:
        asyncio.run(main(taken.getsockname()[1]))
    assert steps == ["in", "out", "in", "out"]
    assert [line["event"] for line in logs] == ["agi_cannot_listen"] * 2


def test_a_hook_that_fails_keeps_the_server_closed() -> None:
    """Without its database no call is taken."""

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    async def main() -> None:
        server = AgiServer(waits, port=0, lifespan=lifespan)
        with pytest.raises(ConnectionError, match="no database"):
            await server.start()

    asyncio.run(main())


def test_it_may_be_started_again() -> None:
    """After a stop; twice at once is an error, and to stop twice is not."""

    async def main() -> None:
        server = AgiServer(waits, port=0)
        for _ in range(2):
            await server.start()
            with pytest.raises(RuntimeError, match="listens already"):
                await server.start()
            await server.stop()
        await server.stop()

    with capture_logs():
        asyncio.run(main())


def test_a_second_cancellation_ends_the_calls_at_once() -> None:
    """The first one lets calls come to their end; the block is left only after their clean-up."""
    seen: list[str] = []

    async def handler(session: Session) -> None:
        try:
            await session.wait_for_digit()
        except CallEnded:
            await session.verbose("cleans up")
            seen.append(str(session.ended))
            raise

    async def main() -> None:
        listening: asyncio.Future[AgiServer] = asyncio.get_running_loop().create_future()

        async def serves() -> None:
            async with AgiServer(handler, port=0, stop_seconds=3600) as server:
                listening.set_result(server)
                await server.serve_forever()

        task = asyncio.create_task(serves())
        line = await Line.to(await listening)
        assert await line.hears() == 'WAIT FOR DIGIT "-1"'
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        line.says("200 result=0\n")
        assert await line.hears() == 'VERBOSE "cleans up" "1"'
        line.says("200 result=1\n")
        assert await line.hears() == ""
        with pytest.raises(asyncio.CancelledError):
            await task
        await line.close()

    with capture_logs():
        asyncio.run(main())
    assert seen == ["shutdown"]


def test_whoever_says_nothing_does_not_hold_up_the_end() -> None:
    """A health check that is still connected is cut off."""

    async def main() -> None:
        async with AgiServer(waits, port=0, limits=Limits(hangup_reply_seconds=3600)) as server:
            line = await Line.to(server, environment="")
            refused = await Line.to(server, environment=ENVIRONMENT)
            assert await refused.hears() == 'WAIT FOR DIGIT "-1"'
            await refused.close()
        assert await line.hears() == ""
        await line.close()

    with capture_logs():
        asyncio.run(main())


def test_who_may_connect() -> None:
    """Strangers are closed, over IPv6 too; the secret is demanded; a full server says failure."""

    async def main() -> None:
        async with AgiServer(waits, "::1", 0, peers=["10.0.0.0/8"]) as server:
            stranger = await Line.to(server, host="::1")
            assert await stranger.hears() == ""
            await stranger.close()
        async with AgiServer(waits, "::1", 0, secret="sesame", limits=Limits(max_sessions=1)) as server:
            wrong = await Line.to(server, host="::1")
            assert await wrong.hears() == "failure"
            await wrong.close()
            right = await Line.to(server, ENVIRONMENT.removesuffix("\n") + "agi_arg_1: sesame\n\n", "::1")
            assert await right.hears() == 'WAIT FOR DIGIT "-1"'
            more = await Line.to(server, host="::1")
            assert await more.hears() == "failure"
            await more.close()
            await right.close()

    with capture_logs():
        asyncio.run(main())


def test_an_empty_secret_is_a_mistake() -> None:
    """It would let anybody in."""
    with pytest.raises(ValueError, match="empty secret"):
        AgiServer(waits, secret="")


# -- the wrong way --

LOOP_RUNS = """
import asyncio
from agi_monitor import {names}
async def handler(session): ...
async def main():
    {step}
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (
            LOOP_RUNS.format(names="serve", step="serve(handler, use_asyncio=True)"),
            "RuntimeError: an asyncio event loop runs here already: use `async with AgiServer(handler)` in it",
        ),
        (
            LOOP_RUNS.format(names="serve", step="serve(handler)"),
            "RuntimeError: an asyncio event loop runs here, and Twisted's reactor does not: use `async with",
        ),
        (
            LOOP_RUNS.format(names="AgiService", step="AgiService(handler).startService()"),
            "RuntimeError: an asyncio event loop runs here, and Twisted's reactor does not: use `async with",
        ),
        (
            "from twisted.internet import reactor\nfrom agi_monitor import serve\n"
            "async def handler(session): ...\nserve(handler, use_asyncio=True)\n",
            "RuntimeError: Twisted has chosen EPollReactor already, because something imported "
            "twisted.internet.reactor: call serve(..., use_asyncio=True) before that",
        ),
        (
            "from agi_monitor.testing import FakeAsterisk\nimport asyncio\n"
            "async def handler(session):\n    await asyncio.sleep(1)\nFakeAsterisk().run(handler)\n",
            "RuntimeError: no running event loop\nThis handler runs on Twisted, where asyncio's things have no event "
            "loop. Say so where it is served: serve(..., use_asyncio=True)",
        ),
        (
            "from agi_monitor.testing import FakeAsterisk\n"
            "class Foreign:\n    def __await__(self):\n        yield 1\n"
            "async def handler(session):\n    await Foreign()\nFakeAsterisk().run(handler)\n",
            "ForeignAwaitable: only Deferreds can be awaited here, not 1\nThis handler runs on Twisted",
        ),
        (
            "from agi_monitor.testing import FakeAsterisk\nimport anyio\n"
            "async def handler(session):\n    await anyio.sleep(1)\nFakeAsterisk().run(handler)\n",
            "\nThis handler runs on Twisted, where asyncio's things have no event loop.",
        ),
    ],
    ids=["serve-asyncio", "serve", "service", "another-reactor", "sleep", "foreign", "anyio"],
)
def test_the_wrong_way_is_told_the_right_one(program: str, said: str, tmp_path: Path) -> None:
    """Each mistake of a program ends with what to do."""
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=SECONDS * 3,
        check=False,
        env={"PYTHONPATH": str(CHECKOUT)},
    )
    assert done.returncode == 1
    assert said in done.stderr


def test_a_handler_that_holds_the_loop_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """All other calls of the loop wait meanwhile."""
    monkeypatch.setattr("agi_monitor.agi.asyncio_story.HELD_SECONDS", 0.02)

    async def holds(session: Session) -> None:
        threading.Event().wait(0.05)
        await session.noop()

    async def call() -> None:
        async with AgiServer(holds, port=0) as server:
            line = await Line.to(server, ENVIRONMENT.replace("yes\n", "yes\nagi_network_script: report\n"))
            assert await line.hears() == "NOOP"
            line.says("200 result=0\n")
            assert await line.hears() == ""
            await line.close()

    with capture_logs() as logs:
        asyncio.run(call())
    held = next(log for log in logs if log["event"] == LogEvent.REACTOR_HELD)
    assert (held["script"], held["log_level"]) == ("report", "warning")
    assert held["seconds"] >= 0.02
