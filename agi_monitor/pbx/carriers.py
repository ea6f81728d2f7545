"""Finds the channel that carries a grant: the supervisor's own, or the phone that its call was handed to.

The signed grant on a channel says so. It is a variable like any other, so it may be missing there: once the
supervisor's channel is gone and the story of the call continues all the same, the application itself says so as well.
A channel that cannot be asked ends no search; the others are asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from agi_monitor.errors import ActionFailed, AgiMonitorError, ForgedAnswer
from agi_monitor.live.headers import Headers
from agi_monitor.model import Mode
from agi_monitor.names import DeviceChannel, Uniqueid
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.supervision import bridging, chanspy, confirmation, proof
from agi_monitor.supervision.confirmation import Confirmed
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.grants import MAX_SPIES
from agi_monitor.supervision.proof import Signer
from agi_monitor.supervision.spies import Spy
from agi_monitor.supervision.spying_applications import APPLICATIONS, JOINING, OUR_CONTEXTS

LOOK_SECONDS = 0.05
"""Between two looks whether the PBX has done what it was told."""

GONE_SECONDS = 1.0
"""How long it may take until a channel that was hung up is gone, or a spy whose end was told is over. A story that
continues for longer than that after the supervisor's channel has ended has lost its call to another phone."""


class Carriers:
    """The channels that carry the grants of one PBX.

    Parameters:
        pbx: the PBX.
        reactor: Twisted's, or a ``Clock``.
        signer: reads the grants that stand on channels.
        ours: returns the grants that are on.
    """

    def __init__(self, pbx: Pbx, reactor: IReactorTime, signer: Signer, ours: Callable[[], Sequence[Grant]]) -> None:
        self.signed: dict[str, str] = {}
        """By grant, its proof, as it stands on the supervisor's channel."""
        self._pbx = pbx
        self._reactor = reactor
        self._signer = signer
        self._ours = ours
        self._gone_since: dict[str, float] = {}
        """By grant, when the supervisor's channel was first found to be gone."""
        self._callers: dict[str, tuple[str, float]] = {}
        """By uniqueid, the channels of supervisors: each had a grant of its own."""
        self._prompts: dict[str, str] = {}
        """By uniqueid, channels in our contexts whose own spy was over before they had answered for its grant."""
        self._there_at: dict[str, float] = {}
        """By grant, when the supervisor's channel was last known to be there."""
        self._shown: dict[str, tuple[float, _Running]] = {}
        """By uniqueid, what lists show on the channels that may spy, and since when."""

    def take_caller(self, uniqueid: str, name: str) -> None:
        """A channel has a grant of its own, of this server or another one."""
        self._callers.pop(uniqueid, None)
        self._callers[uniqueid] = name, self._reactor.seconds()
        while len(self._callers) > MAX_SPIES:
            del self._callers[next(iter(self._callers))]

    def is_caller(self, uniqueid: str, name: str) -> bool:
        """Return whether a channel has had a grant of its own, and may be at a prompt between two spies."""
        return self._callers.get(uniqueid, (None, 0.0))[0] == name

    def keep_callers(self, uniqueids: Iterable[str], asked_at: float) -> None:
        """Forget all but these, and those that came after a list was asked for."""
        kept = set(uniqueids)
        self._callers = {one: caller for one, caller in self._callers.items() if one in kept or caller[1] >= asked_at}

    def take_list(self, channels: Sequence[Headers], asked_at: float, *, whole: bool) -> None:
        """A list came. What runs somewhere else while a supervisor's channel is there is not that supervisor's: a
        channel still names the last application that AGI has executed on it.

        Parameters:
            channels: the items.
            asked_at: when they were asked for.
            whole: these are all.
        """
        running = {uniqueid: _Running.of(item) for item in channels if _hears(item) and (uniqueid := _uniqueid(item))}
        names = {_uniqueid(item): item.get("Channel") for item in channels}
        before, now = self._shown, self._reactor.seconds()
        shown = {
            uniqueid: before[uniqueid] if uniqueid in before and before[uniqueid][1] == one else (now, one)
            for uniqueid, one in running.items()
        }
        self._shown = shown if whole or len(before) > MAX_SPIES else {**before, **shown}
        for grant in self._ours():
            if names.get(grant.spyer_uniqueid) == grant.spyer:
                self.was_there(grant, asked_at)

    def was_there(self, grant: Grant, at: float) -> None:
        """The supervisor's channel was there at a moment on the reactor's clock, or later."""
        self._there_at[grant.id] = max(at, self._there_at.get(grant.id, at))

    def gone(self, uniqueid: str) -> None:
        """A channel has ended."""
        self._callers.pop(uniqueid, None)
        self._prompts.pop(uniqueid, None)

    def take_prompt(self, uniqueid: str, name: str) -> None:
        """A channel's own spy was over before it had answered for its grant: a supervisor's, back at a prompt."""
        self._prompts[uniqueid] = name
        while len(self._prompts) > MAX_SPIES:
            del self._prompts[next(iter(self._prompts))]

    def forget(self, grant: Grant) -> None:
        """Forget a grant that is over."""
        self.signed.pop(grant.id, None)
        self._gone_since.pop(grant.id, None)
        self._there_at.pop(grant.id, None)

    async def own(self, grant: Grant) -> Confirmed | None:
        """Return the supervisor's own channel; None when it is gone."""
        asked_at = self._reactor.seconds()
        own = await confirmation.same(self._pbx, grant.spyer_uniqueid, grant.spyer)
        if own is not None and grant.id in self.signed:
            self.was_there(grant, asked_at)
        if own is not None:
            self._gone_since.pop(grant.id, None)
        elif grant.id in self.signed:
            self._gone_since.setdefault(grant.id, self._reactor.seconds())
        return own

    async def of(self, grant: Grant) -> Confirmed | None:
        """Find the channel on which a grant's application runs.

        Raises:
            Disconnected, NoAnswer, ActionFailed, ForgedAnswer: it was not found, and not everyone could be asked.
        """
        own = await self.own(grant)
        return own if own is not None else await self.moved(grant)

    async def moved(self, grant: Grant, guesses: Iterable[str] = (), *, has_story: bool = True) -> Confirmed | None:
        """Find the other phone that a grant's application was handed to.

        Parameters:
            grant: the grant.
            guesses: channels that an event names; all that spy are asked where it is not one of them.
            has_story: a story lasts as long as its application; where there is none, nothing is waited for.

        Raises:
            Disconnected, NoAnswer, ActionFailed, ForgedAnswer: as ``of``.
        """
        unasked: AgiMonitorError | None = None
        for uniqueid in guesses:
            try:
                found = await confirmation.carrier(self._pbx, uniqueid, self.signed.get(grant.id, ""))
            except AgiMonitorError as error:
                unasked = error
                continue
            if found is not None:
                return found
        own = {other.spyer_uniqueid for other in self._ours()}
        # A channel that another client made may have the uniqueid of a supervisor's that has just ended.
        is_gone = await self.own(grant) is None
        own -= {grant.spyer_uniqueid} if is_gone else set()
        for item in await self._pbx.channels():
            if not _hears(item) or item.text("Uniqueid") in own:
                continue
            try:
                found = await self._carries(grant, item, is_lost=is_gone and not has_story)
            except AgiMonitorError as error:
                unasked = error
                continue
            if found is not None:
                return found
        if unasked is not None:
            raise unasked
        return None

    async def _carries(self, grant: Grant, item: Headers, *, is_lost: bool) -> Confirmed | None:
        """Return a channel on which the signed grant stands; or its application runs, once the call is lost."""
        channel = Uniqueid.read(item.get("Uniqueid") or "")
        if channel is None:
            return None
        try:
            text = await self._pbx.variable(channel, proof.VARIABLE)
        except ForgedAnswer:
            # A text with a line break in it is not a proof.
            text = ""
        if text and text == self.signed.get(grant.id):
            return await confirmation.carrier(self._pbx, channel, text)
        gone_for = self._reactor.seconds() - self._gone_since.get(grant.id, self._reactor.seconds())
        is_lost = is_lost or (gone_for >= GONE_SECONDS and grant in self._ours())
        if text is None or not is_lost:
            return None
        proven = self._signer.read(text)
        by_right = proven is not None and proven.grant.spyer_uniqueid == channel
        by_right = by_right or self._prompts.get(channel) == item.get("Channel")
        by_right = by_right or self._signer.is_of_another(text, channel, "")
        if by_right or self.is_caller(channel, item.get("Channel") or "") or self._ran_before(grant, item):
            return None
        return await confirmation.runs(self._pbx, channel, _application(grant), OUR_CONTEXTS)

    async def proof_on(self, uniqueid: str) -> str:
        """Return the proof on a channel of ours. One that was redirected elsewhere took it along, and it is worth
        nothing there: what is on in another context was not started by us.

        Parameters:
            uniqueid: of the channel.
        """
        channel = Uniqueid.read(uniqueid)
        try:
            signed = "" if channel is None else await self._pbx.variable(channel, proof.VARIABLE) or ""
        except ForgedAnswer:
            # A text with a line break in it is not a proof.
            return ""
        return signed if signed and await self.is_ours(uniqueid) else ""

    async def is_ours(self, uniqueid: str) -> bool:
        """Return whether a channel stands where the calls of supervisors do, of this server or another one.

        Parameters:
            uniqueid: of the channel.
        """
        channel = Uniqueid.read(uniqueid)
        return channel is not None and await self._pbx.variable(channel, "CHANNEL(context)") in OUR_CONTEXTS

    async def hears_by_another(self, spy: Spy) -> bool:
        """Return whether the proof on a channel is of another server, and names whom it hears.

        Parameters:
            spy: who listens from that channel.
        """
        return self._signer.is_of_another(
            await self.proof_on(spy.spyer_uniqueid), spy.spyer_uniqueid, spy.spyee_uniqueid
        )

    async def hears(self, phone: Confirmed) -> bool:
        """Return whether a phone that a spy was handed to still runs an application of a spy, where our calls stand:
        it may have been redirected to something that is its own.

        Parameters:
            phone: the phone.
        """
        if await confirmation.same(self._pbx, phone.uniqueid, phone.name) is None:
            return False
        if not await self.is_ours(phone.uniqueid):
            return False
        return await self._pbx.variable(phone.uniqueid, "CHANNEL(appname)") in APPLICATIONS | JOINING

    def _ran_before(self, grant: Grant, item: Headers) -> bool:
        """Return whether the same was shown on a channel while the supervisor's own one was there."""
        since, running = self._shown.get(_uniqueid(item), (math.inf, None))
        return running == _Running.of(item) and since <= self._there_at.get(grant.id, -math.inf)

    async def wait_until_gone(self, uniqueid: Uniqueid) -> None:
        """Wait until a channel that was hung up is gone.

        Raises:
            ActionFailed: it stays.
        """
        asked_at = self._reactor.seconds()
        until = asked_at + GONE_SECONDS
        while await self._pbx.variable(uniqueid, "CHANNEL(state)") is not None:
            # An answer that takes its time says how it was when it was asked for.
            if asked_at >= until:
                raise ActionFailed("Hangup", f"yes, and the channel is still there {GONE_SECONDS:g} s later")
            await deferLater(self._reactor, LOOK_SECONDS)
            asked_at = self._reactor.seconds()


@dataclass(frozen=True, slots=True)
class _Running:
    """What a list shows of a channel: its name, and the last application that was executed on it.

    Parameters:
        name: of the channel.
        application: the application.
        arguments: of the application.
    """

    name: str
    application: str
    arguments: str

    @classmethod
    def of(cls, item: Headers) -> _Running:
        """Return what one item shows."""
        return cls(item.get("Channel") or "", item.get("Application") or "", item.get("ApplicationData") or "")


def _uniqueid(item: Headers) -> str:
    return item.get("Uniqueid") or ""


def _hears(item: Headers) -> bool:
    return item.get("Application") in APPLICATIONS | JOINING


def _application(grant: Grant) -> dict[str, str]:
    """Return the applications that carry a grant, each with its arguments. Those of a take-over are not known."""
    spyee, device = Uniqueid.read(grant.spyee_uniqueid), DeviceChannel.read(grant.spyee)
    found: dict[str, str] = {}
    if grant.mode is not Mode.TAKE_OVER and spyee is not None:
        found[chanspy.APPLICATION] = chanspy.arguments(spyee, grant.mode)
    if grant.mode is Mode.BARGE and device is not None:
        found[bridging.JOIN] = bridging.join(device)
    return found
