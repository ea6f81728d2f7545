"""An AMI client of this project in a process of its own, driven by JSON lines on stdin and stdout.

The first line configures it: ``{"host", "port", "tls", "username", "secret", "limits", "wanted", "needs"}``. Each
further line is an action: ``{"action", "headers", "as_list"}``. It tells its states, its events and the answers, a
line each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import structlog
from twisted.internet import reactor, stdio
from twisted.internet.defer import ensureDeferred
from twisted.protocols.basic import LineOnlyReceiver

from agi_monitor.ami.connection import Event
from agi_monitor.ami.endpoints import Verification, endpoint
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import action
from agi_monitor.ami.protocol import Account, AMIClient, Callbacks
from agi_monitor.ami.states import State
from agi_monitor.errors import AgiMonitorError


def say(told: str, **news: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps({"told": told, **news}) + "\n")
    sys.stdout.flush()


def say_state(state: State) -> None:
    """Tell a state by its type's name and its values."""
    values = {name: getattr(state, name) for name in state.__slots__}
    say("state", state=type(state).__name__, **values)


def say_event(event: Event) -> None:
    """Tell an event with all its headers; of equal names the first counts."""
    say("event", name=event.name, headers=dict(reversed(event.message.headers)))


class Orders(LineOnlyReceiver):
    """The lines of stdin."""

    delimiter = b"\n"
    client: AMIClient | None = None

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 (Twisted's name)
        order = json.loads(line)
        if self.client is None:
            self.client = start(order)
        else:
            ensureDeferred(perform(self.client, order))

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802 (Twisted's name)
        stop: Any = reactor.stop
        if self.client is None:
            stop()
        else:
            self.client.stopService().addBoth(lambda _: stop())


def start(order: dict[str, Any]) -> AMIClient:
    """Make a client and start it."""
    clock: Any = reactor
    tls = order["tls"]
    verification = None if tls is None else Verification(Path(tls["ca_file"]), tls.get("name"))
    client = AMIClient(
        endpoint(clock, order["host"], order["port"], verification, seconds=2),
        clock,
        Account(order["username"], order["secret"]),
        Callbacks(say_event, lambda: say("up"), lambda: say("down"), say_state),
        wanted=order["wanted"],
        needs=order["needs"],
        limits=AMILimits(**order["limits"]),
    )
    client.startService()
    return client


async def perform(client: AMIClient, order: dict[str, Any]) -> None:
    """Perform an action and tell its answer."""
    try:
        asked = action(order["action"], *[(name, value) for name, value in order["headers"]])
        if order["as_list"]:
            response, items = await client.perform_list(asked)
        else:
            response, items = await client.perform(asked), ()
    except AgiMonitorError as error:
        say("error", action=order["action"], error=type(error).__name__, text=str(error))
    else:
        found = [dict(reversed(item.message.headers)) for item in items]
        say("answer", action=order["action"], headers=dict(response.message.headers), items=found)


def main() -> None:
    """Run until stdin ends."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stdio.StandardIO(Orders())  # type: ignore[no-untyped-call]  # Twisted's own
    reactor.run()


if __name__ == "__main__":
    main()
