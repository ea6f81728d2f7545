"""Clients of the manager interface that keep the same index of calls: ours, bare Twisted, and other libraries.

    python benchmarks/ami_clients.py NAME PORT

Each logs in, says ``listening``, gives every event to a `ChannelIndex`, and says ``over`` when it has seen the last
one. Each library is used as its documents show; ours drops what the index does not want before it is read.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agi_monitor.live.index import ChannelIndex, Lists

HOST = "127.0.0.1"
USER, SECRET = "benchmark", "correct-horse-battery"
NODE = "pbx"
NOWHERE = Path(os.devnull).open("w")  # noqa: SIM115 (as long as the process lasts)
"""Where ours logs: what it says is its cost, what is done with it is not."""
LAST = "PJSIP/last-00000000"
"""The channel of the last event."""


def say(text: str) -> None:
    """Tell the program that started this."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Index:
    """What every client feeds."""

    def __init__(self) -> None:
        self.index = ChannelIndex()
        self.index.snapshot(NODE, Lists([], []), self.index.resync(NODE))
        self.is_over = False

    def take(self, event: Mapping[str, str]) -> None:
        """Take in one event."""
        self.index.apply(NODE, event)
        if event.get("Channel") == LAST:
            self.is_over = True
            say("over")


def _twisted(port: int, make: Callable[[], Any]) -> None:
    from twisted.internet import reactor
    from twisted.internet.protocol import ClientFactory

    reactor.connectTCP(HOST, port, ClientFactory.forProtocol(make))  # type: ignore[attr-defined]  # Twisted's reactor
    reactor.run()  # type: ignore[attr-defined]


def bare(port: int) -> None:
    """The least that a parser can do: cut at empty lines, and make a dict of every message."""
    from twisted.internet.protocol import Protocol

    index = Index()

    class Bare(Protocol):
        buffer = b""

        def connectionMade(self) -> None:  # noqa: N802 (Twisted's name)
            login = f"Action: Login\r\nUsername: {USER}\r\nSecret: {SECRET}\r\nActionID: 1\r\n\r\n"
            self.transport.write(login.encode())  # type: ignore[union-attr]  # connected
            say("listening")

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 (Twisted's name)
            *whole, self.buffer = (self.buffer + data).split(b"\r\n\r\n")
            for message in whole:
                headers = {}
                for line in message.decode("utf-8", "replace").split("\r\n"):
                    name, _, value = line.partition(": ")
                    headers[name] = value
                index.take(headers)

    _twisted(port, Bare)


def ours(port: int) -> None:
    """Our client, with its limits, deadlines and log."""
    from twisted.internet import reactor
    from twisted.internet.endpoints import HostnameEndpoint

    from agi_monitor.ami.protocol import Account, AMIClient, Callbacks
    from agi_monitor.live.calls import EVENTS
    from agi_monitor.server import logs

    logs.configure("info", "json", NOWHERE)
    index = Index()
    client = AMIClient(
        HostnameEndpoint(reactor, HOST, port),
        reactor,  # type: ignore[arg-type]
        Account(USER, SECRET),
        Callbacks(lambda event: index.take(event.message), lambda: say("listening")),
        wanted=EVENTS,
    )
    reactor.callWhenRunning(client.startService)  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


def panoramisk(port: int) -> None:
    """panoramisk's manager, with a callback for every event."""
    from panoramisk import Manager

    index = Index()

    async def listen() -> None:
        manager = Manager(
            loop=asyncio.get_running_loop(), host=HOST, port=port, username=USER, secret=SECRET, ping_delay=3_600
        )
        manager.register_event("*", lambda _, message: index.take(message))
        await manager.connect()
        say("listening")
        await asyncio.Event().wait()

    asyncio.run(listen())


def basicami(port: int) -> None:
    """basicami: events are fetched from its queue."""
    from basicami import BasicAMI

    index = Index()

    async def listen() -> None:
        ami = await BasicAMI.connect(HOST, port, USER, SECRET)
        say("listening")
        while True:
            for event in await ami.get_events(timeout=1.0):
                index.take(event)

    asyncio.run(listen())


def pystrix(port: int) -> None:
    """pystrix's manager, with a callback for every event."""
    from pystrix.ami import Manager, core

    index = Index()
    manager = Manager()
    manager.register_callback("", lambda event, _: index.take(event))
    manager.connect(HOST, port)
    manager.send_action(core.Login(USER, SECRET))
    say("listening")
    signal.pause()  # its threads work until this process is ended


def pyst2(port: int) -> None:
    """pyst2's manager, with a callback for every event."""
    import asterisk.manager

    index = Index()
    manager = asterisk.manager.Manager()
    manager.connect(HOST, port)
    manager.login(USER, SECRET)
    manager.register_event("*", lambda event, _: index.take(event.headers))
    say("listening")
    signal.pause()  # its threads work until this process is ended


CLIENTS: dict[str, Callable[[int], None]] = {
    "bare Twisted": bare,
    "agi-monitor": ours,
    "basicami": basicami,
    "panoramisk": panoramisk,
    "pystrix": pystrix,
    "pyst2": pyst2,
}
"""By the name in tables."""


def main() -> None:
    """The command line."""
    name, port = sys.argv[1:]
    CLIENTS[name](int(port))


if __name__ == "__main__":
    main()
