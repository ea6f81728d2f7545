"""Anything in any order on one connection: nothing raises, the story is told once, and nothing is left behind."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from agi_monitor.agi.protocol import FastAGIFactory, FastAGIProtocol
from agi_monitor.agi.session import Session
from agi_monitor.errors import CallEnded, CommandFailed, LocalProtocolError
from agi_monitor.limits import Limits

ENVIRONMENT = b"agi_network: yes\nagi_channel: PJSIP/1-1\n\n"
LINES = (
    b"HANGUP\n",
    b"HANG",
    b"UP\n",
    b"200 result=0\n",
    b"200 result=-1\n",
    b"200 result=1\n",
    b"200 result=1 (a\n",
    b"b)\n",
    b"100 result=0 Trying...\n",
    b"503 result=-2 Memory allocation failure\n",
    b"510 Invalid\n",
    b"511 dead\n",
    b"520-Usage\n",
    b"text\n520 End of proper usage.\n",
    b"520 Invalid\n",
    b"junk\n",
)
STEPS = st.one_of(
    st.sampled_from(LINES),
    st.sampled_from([0.5, 2.0, 10.0, 200.0]),
    st.sampled_from(["end", "cancel", "fire", "break", "drain"]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(STEPS, max_size=25),
    st.lists(st.sampled_from(["noop", "set", "exec", "data", "foreign", "task", "hangup"]), max_size=8),
    st.lists(st.sampled_from(["noop", "set", "answer", "foreign", "hangup"]), max_size=3),
)
def test_anything_in_any_order(steps: list[bytes | float | str], verbs: list[str], cleaning: list[str]) -> None:
    """Bytes, time, ends, cancellations and lost connections in any order."""
    clock = Clock()
    told: list[str] = []
    foreign: list[Deferred[None]] = []
    tasks: list[Deferred[None]] = []

    async def perform(session: Session, verb: str) -> None:
        if verb == "foreign":
            foreign.append(Deferred())
            await foreign[-1]
        elif verb == "task":
            tasks.append(ensureDeferred(session.noop()))
            await tasks[-1]
        elif verb == "set":
            await session.set_variable("A", "b")
        elif verb == "exec":
            await session.execute("A")
        elif verb == "data":
            await session.get_data("x", 5, 3)
        elif verb == "hangup":
            await session.hangup()
        elif verb == "answer":
            await session.answer()
        else:
            await session.noop()

    async def story(session: Session) -> None:
        try:
            for verb in verbs:
                try:
                    await perform(session, verb)
                except (CommandFailed, CancelledError, LocalProtocolError):
                    continue
        except CallEnded:
            told.append("ended")
            raise
        finally:
            for verb in cleaning:
                try:
                    await perform(session, verb)
                except (CallEnded, CommandFailed, CancelledError):
                    continue

    factory = FastAGIFactory(story, Limits(), clock)
    protocol = FastAGIProtocol(factory, "127.0.0.1")
    transport = StringTransport()  # type: ignore[no-untyped-call]  # Twisted's own
    protocol.makeConnection(transport)  # type: ignore[no-untyped-call]  # Twisted's own
    protocol.dataReceived(ENVIRONMENT)
    connected = True
    for step in steps:
        if isinstance(step, float):
            clock.advance(step)
        elif isinstance(step, bytes):
            if connected:
                protocol.dataReceived(step)
        elif step == "end" and protocol.session is not None:
            protocol.session.end()
        elif step == "cancel" and tasks:
            tasks[-1].cancel()
        elif step == "fire" and foreign and not foreign[-1].called:
            foreign[-1].callback(None)
        elif step == "drain":
            factory.drain()
        elif step == "break" and connected:
            connected = False
            protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own
    if connected:
        protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own
    clock.advance(Limits().cleanup_seconds)
    assert len(told) <= 1
    assert dict(factory.sessions) == {}
    assert clock.getDelayedCalls() == []
    assert factory.counters["stories_failed"] == 0  # type: ignore[index]  # a Count is its text
    for deferred in foreign:
        if not deferred.called:
            deferred.callback(None)
