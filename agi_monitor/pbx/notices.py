"""Helpers that hear an agent and are not spies: our own, which tells the agent, and Asterisk's, which play beeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from agi_monitor.supervision.exemptions import BEEP_SECONDS, HOOKS
from agi_monitor.supervision.grants import LATE_SECONDS, MAX_SPIES, Grants
from agi_monitor.supervision.spies import Spy

NOTICE_BEGIN_SECONDS = 3.0
"""How long it may take until the notice is heard; 0.1 s were seen. A channel that is gone hears none."""

NOTICE_SECONDS = 20.0
"""How long a notice may take to its end; a helper that hears the agent for longer is a spy."""

TEST_SECONDS = 60.0
"""How long a test call of the doctor may hear the other half of it: what it hears may be bridged with anyone."""

BEEPS_WITHIN_SECONDS = 60.0
"""Within this time the beeps to all channels of one call may be ``BEEP_SECONDS`` long, together; so may those of
one helper."""

MAX_BEEPS = 100
"""Beeps of one channel that are kept of that time; the oldest of more count as one."""


@dataclass(slots=True, eq=False)
class _Notice:
    """An agent is told; the helper is known once it has begun.

    Parameters:
        spyee_uniqueid: the agent's channel.
        helper: the channel of our helper.
        begun: waits for its beginning.
        over: waits for its end.
    """

    spyee_uniqueid: str
    helper: str = ""
    begun: Deferred[None] = field(default_factory=Deferred)
    over: Deferred[None] = field(default_factory=Deferred)


@dataclass(slots=True, eq=False)
class _Beep:
    """A helper of Asterisk's hears a channel.

    Parameters:
        spy: the helper.
        look: the look whether it is over.
    """

    spy: Spy
    look: IDelayedCall


class Notices:
    """The notices and beeps to the agents of one PBX.

    Parameters:
        reactor: Twisted's, or a ``Clock``.
        grants: who hears whom.
        sign: returns what a helper of ours carries, by the number of the notice and the agent's channel.
        call_of: returns the channels of a call, by one of them.
        doubt: takes a helper that is no longer exempt.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        grants: Grants,
        sign: Callable[[int, str], str],
        call_of: Callable[[str], frozenset[str]],
        doubt: Callable[[Spy], None],
    ) -> None:
        self._reactor = reactor
        self._grants = grants
        self._sign = sign
        self._call_of = call_of
        self._doubt = doubt
        self._notices: dict[str, _Notice] = {}
        """By what its helper carries."""
        self._late: deque[tuple[float, str, _Notice]] = deque()
        """Notices that are no longer awaited and may still begin, and since when."""
        self._notice_count = 0
        self._helpers: dict[str, IDelayedCall] = {}
        """By the channel of our helper, or of a test call, the look whether it is over."""
        self._beeps: dict[str, _Beep] = {}
        """By the helper's channel, the beep that it plays."""
        self._beeped_at: dict[str, deque[tuple[float, float]]] = {}
        """By channel, one that is heard or a helper's, its beeps of the last minute: when each ended, and how long it
        was."""
        self._stopping = False

    def stop(self) -> None:
        """Look at the clock no more."""
        self._stopping = True
        for look in self._helpers.values():
            look.cancel()
        self._helpers.clear()
        for spyer_uniqueid in list(self._beeps):
            self.forget_beep(spyer_uniqueid)

    # ---- our own helper --------------------------------------------------------------------------------

    def notice_expected(self, spyee_uniqueid: str) -> str:
        """The agent on this channel is about to be told. Returns what our helper carries, and no other one can."""
        self._grants.notice_expected(spyee_uniqueid)
        self._notice_count += 1
        notice = self._sign(self._notice_count, spyee_uniqueid)
        self._notices[notice] = _Notice(spyee_uniqueid)
        return notice

    async def notice_given(self, notice: str) -> bool:
        """Wait until the agent has been told. False: it did not come to that."""
        expected = self._notices[notice]
        try:
            await expected.begun.addTimeout(NOTICE_BEGIN_SECONDS, self._reactor)
            await expected.over.addTimeout(NOTICE_SECONDS, self._reactor)
        except TimeoutError:
            return False
        return True

    def notice_over(self, notice: str) -> None:
        """It is no longer awaited."""
        expected, now = self._notices.pop(notice), self._reactor.seconds()
        self._grants.notice_over(expected.spyee_uniqueid, now)
        if not expected.helper:
            self._late.append((now, notice, expected))
        self._forget_late(now)

    def take_helper(self, spy: Spy, carries: str) -> bool:
        """The PBX has confirmed a helper that is called like ours. Returns whether it is: one for each notice, for as
        long as that may take.

        Parameters:
            spy: the helper.
            carries: what stands on its channel.
        """
        now = self._reactor.seconds()
        self._forget_late(now)
        expected = {**{name: notice for _, name, notice in self._late}, **self._notices}
        notice = expected.get(carries)
        if notice is None or notice.spyee_uniqueid != spy.spyee_uniqueid or notice.helper:
            return False
        notice.helper = spy.spyer_uniqueid
        if not self._stopping:
            left = max(0.0, spy.since + NOTICE_SECONDS - now)
            self._helpers[spy.spyer_uniqueid] = self._reactor.callLater(left, self._notice_is_long, spy)
        if not notice.begun.called:
            notice.begun.callback(None)
        return True

    def take_test(self, spy: Spy) -> None:
        """A test call of the doctor has begun: it is one for as long as that may take."""
        if not self._stopping and spy.spyer_uniqueid not in self._helpers:
            left = max(0.0, spy.since + TEST_SECONDS - self._reactor.seconds())
            self._helpers[spy.spyer_uniqueid] = self._reactor.callLater(left, self._notice_is_long, spy)

    def _forget_late(self, now: float) -> None:
        while self._late and self._late[0][0] < now - LATE_SECONDS:
            self._late.popleft()

    def _notice_is_long(self, spy: Spy) -> None:
        del self._helpers[spy.spyer_uniqueid]
        doubted = self._grants.doubted(spy)
        if doubted is not None:
            self._doubt(doubted)

    def take_notices_end(self, spy: Spy) -> None:
        """A helper that is called like ours is over, what ours had to say is said; or a test call is."""
        look = self._helpers.pop(spy.spyer_uniqueid, None)
        if look is not None:
            look.cancel()
        for notice in self._notices.values():
            if notice.helper == spy.spyer_uniqueid and not notice.over.called:
                notice.over.callback(None)
                return

    # ---- beeps -----------------------------------------------------------------------------------------

    def take_beep(self, spy: Spy) -> None:
        """An exempt helper begins to hear a channel, or moves to another one. A beep is short, and so are all of a
        minute together, of a helper and to a call."""
        if not spy.spyer.startswith(HOOKS) or self._stopping:
            return
        before = self._beeps.get(spy.spyer_uniqueid)
        if before is not None and before.spy.since == spy.since:
            # It was asked for again.
            self.forget_beep(spy.spyer_uniqueid)
        self.take_beeps_end(spy)
        to_call = sum(map(self._beeped, self._call_of(spy.spyee_uniqueid)))
        left = max(0.0, BEEP_SECONDS - max(to_call, self._beeped(spy.spyer_uniqueid)))
        self._beeps[spy.spyer_uniqueid] = _Beep(spy, self._reactor.callLater(left, self._beep_is_long, spy))
        while len(self._beeps) > MAX_SPIES:
            self.forget_beep(next(iter(self._beeps)))

    def take_beeps_end(self, spy: Spy) -> None:
        """A helper hears its channel no more; it may have been a beep."""
        if spy.spyer_uniqueid in self._beeps:
            self._note_beep(self._beeps[spy.spyer_uniqueid])
            self.forget_beep(spy.spyer_uniqueid)

    def forget_beep(self, spyer_uniqueid: str) -> None:
        """It was false: the PBX knows of no such helper."""
        beep = self._beeps.pop(spyer_uniqueid, None)
        if beep is not None and beep.look.active():
            beep.look.cancel()

    def _beeped(self, uniqueid: str) -> float:
        """Return for how many seconds a channel has beeped, or was beeped to, within the last minute."""
        now = self._reactor.seconds()
        over = sum(seconds for at, seconds in self._beeped_at.get(uniqueid, ()) if at >= now - BEEPS_WITHIN_SECONDS)
        return over + sum(
            now - beep.spy.since
            for beep in self._beeps.values()
            if beep.spy.spyee_uniqueid == uniqueid and beep.look.active()
        )

    def _note_beep(self, beep: _Beep) -> None:
        now = self._reactor.seconds()
        # One that was too long is a spy, and takes no time from the beeps to the channel that it has heard.
        of = (beep.spy.spyer_uniqueid, beep.spy.spyee_uniqueid) if beep.look.active() else (beep.spy.spyer_uniqueid,)
        for uniqueid in of:
            beeps = self._beeped_at.pop(uniqueid, deque())
            beeps.append((now, now - beep.spy.since))
            if len(beeps) > MAX_BEEPS:
                _, seconds = beeps.popleft()
                beeps[0] = beeps[0][0], beeps[0][1] + seconds
            self._beeped_at[uniqueid] = beeps
        while len(self._beeped_at) > MAX_SPIES or next(iter(self._beeped_at.values()))[-1][0] < now - (
            BEEPS_WITHIN_SECONDS
        ):
            del self._beeped_at[next(iter(self._beeped_at))]

    def _beep_is_long(self, spy: Spy) -> None:
        doubted = self._grants.doubted(spy)
        if doubted is None:
            self.forget_beep(spy.spyer_uniqueid)
        else:
            self._doubt(doubted)
