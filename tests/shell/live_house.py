"""A server to be watched, without a PBX: an ``Overview`` that does what it is told.

As a program it serves it on a real socket, with the metrics on a real port. It reads orders from standard input, one
a line, and prints what happens, one JSON object a line::

    python -m tests.shell.live_house /path/control.sock '{"max_clients": 2}'
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred

from agi_monitor.control.limits import ControlLimits
from agi_monitor.control.protocol import Reactor, listen
from agi_monitor.errors import ControlFailed, Unavailable
from agi_monitor.live.bell import Bell
from agi_monitor.server.metrics import Metrics, Readings
from agi_monitor.server.metrics_page import CONNECTION_SECONDS
from agi_monitor.server.metrics_page import listen as show
from agi_monitor.shown import CallShown, ReloadRefused, ReloadShown, Row, SpyShown, StatusShown

STATUS = StatusShown(version="0.1.0", node="pbx", ami="up", stale=None, calls=1, spies=2)
CALL = CallShown(
    node="pbx",
    id="1700000000.10",
    agents=("1001",),
    numbers=("3001",),
    state="talking",
    queue="sales",
    seconds=75.4,
    channels=(),
    spies=("a1b2.1",),
)
GRANTED = SpyShown(
    id="a1b2.1",
    node="pbx",
    kind="granted",
    supervisor="anna",
    endpoint="PJSIP/2001",
    spyer="PJSIP/2001-00000001",
    spyer_uniqueid="1700000000.20",
    extension="1001",
    spyee="PJSIP/1001-00000002",
    spyee_uniqueid="1700000000.10",
    mode="listen",
    rule="leads",
    since="2023-11-14T22:13:21+00:00",
    seconds=3700,
)
ROGUE = SpyShown(
    id="1700000000.30",
    node="pbx",
    kind="rogue",
    supervisor=None,
    endpoint=None,
    spyer="Local/x@y-00000001;2",
    spyer_uniqueid="1700000000.30",
    extension=None,
    spyee="PJSIP/1001-00000002",
    spyee_uniqueid="1700000000.10",
    mode=None,
    rule=None,
    since="2023-11-14T23:14:56+00:00",
    seconds=5,
)


class House:
    """What is watched.

    Parameters:
        told: is told what was done.
    """

    def __init__(self, told: Callable[[Row], None] = lambda row: None) -> None:
        self.told = told
        self._status = STATUS
        self._calls = [CALL]
        self._spies = [GRANTED, ROGUE]
        self.broken: Exception | None = None
        self.slow: Deferred[None] | None = None
        self.reloaded: ReloadShown | ReloadRefused = ReloadShown(restart=("ami",), supervisors=1, agents=2)
        self.listeners: list[Callable[[Row], None]] = []
        self.bell = Bell()

    def set(self, rows: Mapping[str, object]) -> None:
        """Take what is to be shown from now on, as rows."""
        if "status" in rows:
            self._status = StatusShown.read(rows["status"])
        if "calls" in rows:
            self._calls = CallShown.read_each(rows["calls"])
        if "spies" in rows:
            self._spies = SpyShown.read_each(rows["spies"])
        self.bell.ring()

    def _works(self) -> None:
        if self.broken is not None:
            raise self.broken

    def status(self) -> StatusShown:
        """Whatever was set."""
        self._works()
        return self._status

    def calls(self) -> list[CallShown]:
        """Whatever was set."""
        self._works()
        return self._calls

    def spies(self) -> list[SpyShown]:
        """Whatever was set."""
        self._works()
        return self._spies

    async def kill(self, spy: str, by: str) -> bool:
        """End one that is listed, when it is no longer slow."""
        self._works()
        if self.slow is not None:
            await self.slow
        left = [one for one in self._spies if one.id != spy]
        ended = len(left) < len(self._spies)
        self._spies = left
        self.told({"killed": spy, "by": by, "ended": ended})
        return ended

    async def reload(self) -> ReloadShown | ReloadRefused:
        """Whatever was set, when it is no longer slow."""
        if self.slow is not None:
            await self.slow
        self.told({"reloaded": True})
        return self.reloaded

    def subscribe_changes(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Tell it when something was set."""
        return self.bell.subscribe(listener)

    def subscribe(self, listener: Callable[[Row], None]) -> Callable[[], None]:
        """Tell it what ``tell`` is given."""
        self._works()
        self.listeners.append(listener)
        self.told({"listeners": len(self.listeners)})

        def stop() -> None:
            self.listeners.remove(listener)
            self.told({"listeners": len(self.listeners)})

        return stop

    def tell(self, record: Row) -> None:
        """Something was recorded."""
        for listener in list(self.listeners):
            listener(record)


def main(path: Path, limits: dict[str, float]) -> None:
    """Serve a house until the order ``stop``, or the end of standard input."""
    from twisted.internet import reactor as twisted_reactor

    reactor = cast(Reactor, twisted_reactor)
    run: Any = twisted_reactor

    def told(row: Row) -> None:
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()

    house = House(told)
    metrics = Metrics(lambda: Readings("0.1.0"))
    page_seconds = float(limits.pop("page_seconds", CONNECTION_SECONDS))
    try:
        control = listen(reactor, path, house, ControlLimits(**limits))  # type: ignore[arg-type]  # from JSON
    except ControlFailed as error:
        told({"failed": str(error)})
        return

    def obey(order: str) -> None:
        name, _, rest = order.partition(" ")
        if name == "set":
            house.set(json.loads(rest))
        elif name == "tell":
            record = json.loads(rest)
            metrics.fact(record)
            house.tell(record)
        elif name == "flood":
            for number in range(int(rest)):
                house.tell({"fact": "refused", "number": number, "detail": "x" * 1000})
        elif name == "break":
            house.broken = Unavailable(rest) if rest else RuntimeError("a secret detail")
            house.bell.ring()
        told({"obeyed": name, "clients": control.factory.clients})

    def stop() -> None:
        stopped = Deferred.fromCoroutine(control.stop())
        stopped.addCallback(lambda _: told({"stopped": True})).addBoth(lambda _: run.stop())

    def orders() -> None:
        for line in sys.stdin:
            if line == "stop\n":
                break
            run.callFromThread(obey, line.rstrip("\n"))
        run.callFromThread(stop)

    def begin() -> None:
        shown = show(cast(Any, reactor), "127.0.0.1", 0, metrics, page_seconds)
        shown.addCallback(lambda port: told({"listening": str(path), "port": cast(Any, port).getHost().port}))

    run.callWhenRunning(begin)
    threading.Thread(target=orders, daemon=True).start()
    run.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2] if len(sys.argv) > 2 else "{}"))
