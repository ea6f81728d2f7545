"""Helpers that hear an agent and are no spies: our own, which tells the agent, and Asterisk's, which play beeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from agi_monitor.supervision.grants import BEEP_SECONDS, HOOKS, MAX_SPIES, NOTICE, Grants, Spy

NOTICE_BEGIN_SECONDS = 3.0
"""So long it may take until the notice is heard; 0.1 s were seen. A channel that is gone hears none."""

NOTICE_SECONDS = 20.0
"""So long a notice may take to its end."""

BEEPS_WITHIN_SECONDS = 60.0
"""Within this time the beeps to one channel may be ``BEEP_SECONDS`` long, together."""

MAX_BEEPS = 100
"""Beeps to one channel that are kept of that time."""


@dataclass(slots=True, eq=False)
class _Notice:
    """An agent is told; the helper is known once it has begun."""

    spyee_uniqueid: str
    helper: str = ""
    begun: Deferred[None] = field(default_factory=Deferred)
    over: Deferred[None] = field(default_factory=Deferred)


class Notices:
    """The notices and beeps to the agents of one PBX.

    Parameters:
        reactor: Twisted's, or a ``Clock``.
        grants: who hears whom.
        doubt: takes a helper that is no longer exempt.
    """

    def __init__(self, reactor: IReactorTime, grants: Grants, doubt: Callable[[Spy], None]) -> None:
        self._reactor = reactor
        self._grants = grants
        self._doubt = doubt
        self._notices: dict[int, _Notice] = {}
        self._notice_count = 0
        self._beeps: dict[str, IDelayedCall] = {}
        """By the helper's channel, the look whether a beep is over."""
        self._beeped_at: dict[str, deque[tuple[float, float]]] = {}
        """By the channel that is heard, the beeps of the last minute: when each ended, and how long it was."""
        self._stopping = False

    def stop(self) -> None:
        """Look at the clock no more."""
        self._stopping = True
        for look in self._beeps.values():
            look.cancel()
        self._beeps.clear()

    # ---- our own helper --------------------------------------------------------------------------------

    def notice_expected(self, spyee_uniqueid: str) -> int:
        """The agent on this channel is about to be told. Returns what the notice is called."""
        self._grants.notice_expected(spyee_uniqueid)
        self._notice_count += 1
        self._notices[self._notice_count] = _Notice(spyee_uniqueid)
        return self._notice_count

    async def notice_given(self, notice: int) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        expected = self._notices[notice]
        try:
            await expected.begun.addTimeout(NOTICE_BEGIN_SECONDS, self._reactor)
            await expected.over.addTimeout(NOTICE_SECONDS, self._reactor)
        except TimeoutError:
            return False
        return True

    def notice_over(self, notice: int) -> None:
        """Nobody waits for it any more."""
        self._grants.notice_over(self._notices.pop(notice).spyee_uniqueid, self._reactor.seconds())

    def take_helper(self, spy: Spy) -> bool:
        """The PBX has confirmed an exempt helper. Returns whether it is ours, and a notice begins with it."""
        if spy.spyer.startswith(NOTICE):
            for notice in self._notices.values():
                if notice.spyee_uniqueid == spy.spyee_uniqueid and not notice.begun.called:
                    notice.helper = spy.spyer_uniqueid
                    notice.begun.callback(None)
                    return True
        return False

    def take_notices_end(self, spy: Spy) -> None:
        """Our helper is over: what it had to say is said."""
        for notice in self._notices.values():
            if notice.helper == spy.spyer_uniqueid and not notice.over.called:
                notice.over.callback(None)
                return

    # ---- beeps -----------------------------------------------------------------------------------------

    def take_beep(self, spy: Spy) -> None:
        """The PBX has confirmed an exempt helper. A beep is short, and so are all of a minute together."""
        if spy.spyer.startswith(HOOKS) and spy.spyer_uniqueid not in self._beeps and not self._stopping:
            left = max(0.0, BEEP_SECONDS - self._beeped(spy.spyee_uniqueid))
            look = self._reactor.callLater(left, self._beep_is_long, spy)
            self._beeps[spy.spyer_uniqueid] = look

    def take_beeps_end(self, spy: Spy) -> None:
        """A spy is over; it may have been a beep."""
        if spy.spyer_uniqueid in self._beeps:
            self._beeps.pop(spy.spyer_uniqueid).cancel()
            self._note_beep(spy)

    def _beeped(self, spyee_uniqueid: str) -> float:
        """Return for how many seconds beeps were played to a channel within the last minute."""
        since = self._reactor.seconds() - BEEPS_WITHIN_SECONDS
        return sum(seconds for at, seconds in self._beeped_at.get(spyee_uniqueid, ()) if at >= since)

    def _note_beep(self, spy: Spy) -> None:
        now = self._reactor.seconds()
        beeps = self._beeped_at.pop(spy.spyee_uniqueid, None)
        beeps = deque[tuple[float, float]](maxlen=MAX_BEEPS) if beeps is None else beeps
        beeps.append((now, now - spy.since))
        self._beeped_at[spy.spyee_uniqueid] = beeps
        while len(self._beeped_at) > MAX_SPIES or next(iter(self._beeped_at.values()))[-1][0] < now - (
            BEEPS_WITHIN_SECONDS
        ):
            del self._beeped_at[next(iter(self._beeped_at))]

    def _beep_is_long(self, spy: Spy) -> None:
        self._beeps.pop(spy.spyer_uniqueid, None)
        doubted = self._grants.doubted(spy)
        if doubted is not None:
            self._doubt(doubted)
