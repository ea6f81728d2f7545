"""Three test calls on the site's own PBX, with Local channels in the place of phones: one for each mode.

::

    customer ;2 -- ;1 == bridge == ;1 -- ;2 agent
                                   ^ ChanSpy
                                   ;1 -- ;2 supervisor

The half ``;2`` of a Local channel is the phone: it runs the generated context, gives a tone when it is to be heard,
and TALK_DETECT on it tells what is sent to it (func_talkdetect.c). One after the other is heard, so it is known who
is meant. Events come over the manager interface; no sound leaves the PBX.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from agi_monitor.ami.connection import Event
from agi_monitor.doctor.audio import Party, TestCall
from agi_monitor.errors import AgiMonitorError
from agi_monitor.model import Mode
from agi_monitor.names import Uniqueid

EVENTS = frozenset(
    {
        "Newchannel",
        "Newstate",
        "Hangup",
        "BridgeEnter",
        "ChanSpyStart",
        "ChanSpyStop",
        "ChannelTalkingStart",
        "ChannelTalkingStop",
        "OriginateResponse",
    }
)
"""What has to be told."""

STEP_SECONDS = 10.0
"""How long a step may take: a call, a spy, a hang-up."""

LISTEN_SECONDS = 1.2
"""How long one party speaks: it took 0.2 s until the PBX reported that it is heard."""

QUIET_SECONDS = 4.0
"""How long after that parties may still be reported as speaking; a recording is longer than a tone."""

_SAYS = {Party.CUSTOMER: "tone", Party.AGENT: "tone", Party.SUPERVISOR: "says"}
_FALLS_SILENT = {Party.CUSTOMER: "quiet", Party.AGENT: "quiet", Party.SUPERVISOR: "mute"}
# ChanSpy gives nothing to a channel that sends the frames of a tone: it would be the generator of both.


class Pbx(Protocol):
    """What is needed of the manager interface. ``install.admin_session.AdminSession`` fits it."""

    def perform(self, name: str, *headers: tuple[str, str]) -> None:
        """Perform an action.

        Raises:
            AgiMonitorError: it was refused, or there was no answer.
        """
        ...

    def event(self, seconds: float) -> Event | None:
        """Wait for the next event; None if there was none for this long."""
        ...


class _Failed(Exception):
    """A step did not come to what it should."""


class SampleCalls:
    """Makes the calls, one after the other.

    Parameters:
        pbx: the PBX.
        context: the generated one.
        run: a word that no other run has.
        arguments: of ChanSpy, by the uniqueid of the agent's channel and the mode.
        clock: seconds, of a monotonic clock.
    """

    __test__ = False

    def __init__(
        self,
        pbx: Pbx,
        context: str,
        run: str,
        arguments: Callable[[Uniqueid, Mode], str],
        clock: Callable[[], float],
    ) -> None:
        self._pbx = pbx
        self._context = context
        self._run = run
        self._arguments = arguments
        self._clock = clock
        self._alive: dict[str, str] = {}
        """The channels of this run, by name, with their uniqueids."""
        self._ready: set[str] = set()
        """Those that have answered, and listen from then on."""
        self._bridged: set[str] = set()
        self._spying = False
        self._speaking: set[str] = set()
        """Those to whom something is sent now."""
        self._refused = False

    def calls(self) -> Iterator[TestCall]:
        """Make a call for each mode, and tell of each. Whatever happens, its channels are gone afterwards."""
        for mode in (Mode.LISTEN, Mode.WHISPER, Mode.BARGE):
            heard: dict[Party, frozenset[Party]] = {}
            failed = ""
            try:
                self._call(mode, heard)
            except (_Failed, AgiMonitorError) as error:
                failed = str(error)
            finally:
                left = self.hang_up()
            if left and not failed:
                failed = f"still there: {', '.join(left)}; they end by themselves within a minute"
            yield TestCall(mode, heard, failed)

    def hang_up(self) -> tuple[str, ...]:
        """End everything of this run. Returns the channels that are there all the same."""
        self._take_waiting()
        for name in tuple(self._alive):
            try:
                self._pbx.perform("Hangup", ("Channel", name))
            except AgiMonitorError:
                continue  # it has gone by itself
        with contextlib.suppress(_Failed):
            self._until(lambda: not self._alive, "")
        return tuple(self._alive)

    # ---- one call ------------------------------------------------------------------------------------------

    def _call(self, mode: Mode, heard: dict[Party, frozenset[Party]]) -> None:
        self._bridged.clear()
        self._ready.clear()
        self._speaking.clear()
        self._spying = self._refused = False
        name = f"{self._run}-{mode}"
        where = (("Context", self._context), ("Exten", "call"), ("Priority", "1"))
        self._originate(Party.CUSTOMER, f"{name}-customer", *where)
        self._until(lambda: self._is_on(Party.AGENT) and self._is_on(Party.CUSTOMER), "no call came to be")
        spyee = self._alive[self._name(Party.AGENT, 1)]
        uniqueid = Uniqueid.read(spyee)
        if uniqueid is None:
            raise _Failed(f"ChanSpy cannot be told the identifier {spyee!r}: see the check systemname-unusable")
        data = self._arguments(uniqueid, mode)
        self._originate(Party.SUPERVISOR, f"{name}-supervisor", ("Application", "ChanSpy"), ("Data", data))
        self._until(
            lambda: self._spying and self._is_ready(Party.SUPERVISOR),
            "ChanSpy did not begin; is app_chanspy.so loaded",
        )
        for party in Party:
            heard[party] = self._heard_of(party)

    def _originate(self, party: Party, name: str, *what: tuple[str, str]) -> None:
        self._pbx.perform(
            "Originate",
            ("Channel", f"Local/{party}@{self._context}/n"),
            *what,
            ("ChannelId", f"{name}-1"),
            ("OtherChannelId", f"{name}-2"),
            ("Async", "true"),
        )

    def _heard_of(self, speaker: Party) -> frozenset[Party]:
        """Let one speak. Returns who hears it."""
        self._send(speaker, _SAYS)
        found: set[str] = set()
        end = self._clock() + LISTEN_SECONDS
        while (left := end - self._clock()) > 0:
            self._take(self._pbx.event(left))
            found |= self._speaking
        if not self._spying:
            raise _Failed(f"ChanSpy ended while the {speaker} spoke")
        self._send(speaker, _FALLS_SILENT)
        end = self._clock() + QUIET_SECONDS
        while self._speaking and (left := end - self._clock()) > 0:
            self._take(self._pbx.event(left))
        return frozenset(party for party in Party if self._name(party, 2) in found)

    def _send(self, party: Party, where: Mapping[Party, str]) -> None:
        self._pbx.perform(
            "Redirect",
            ("Channel", self._name(party, 2)),
            ("Context", self._context),
            ("Exten", where[party]),
            ("Priority", "1"),
        )

    # ---- what is told --------------------------------------------------------------------------------------

    def _until(self, done: Callable[[], bool], otherwise: str) -> None:
        end = self._clock() + STEP_SECONDS
        while not done():
            left = end - self._clock()
            event = self._pbx.event(left) if left > 0 else None
            if event is None or self._refused:
                raise _Failed(otherwise)
            self._take(event)

    def _take_waiting(self) -> None:
        while (event := self._pbx.event(0.0)) is not None:
            self._take(event)

    def _take(self, event: Event | None) -> None:
        if event is None:
            return
        name, message = event.name, event.message
        channel = message.text("Channel")
        if name == "Newchannel":
            ours = (message.text("Uniqueid"), message.text("Linkedid"))
            if f"@{self._context}-" in channel and any(one.startswith(f"{self._run}-") for one in ours):
                self._alive[channel] = message.text("Uniqueid")
        elif name == "Hangup":
            self._alive.pop(channel, None)
            self._speaking.discard(channel)
        elif name == "Newstate":
            if message.text("ChannelStateDesc") == "Up":
                self._ready.add(channel)
        elif name == "BridgeEnter":
            self._bridged.add(channel)
        elif name == "ChanSpyStart":
            self._spying = self._spying or message.text("SpyerChannel") in self._alive
        elif name == "ChanSpyStop":
            self._spying = self._spying and message.text("SpyerChannel") not in self._alive
        elif name == "OriginateResponse":
            self._refused = self._refused or (
                message.text("Uniqueid").startswith(f"{self._run}-") and message.text("Response") == "Failure"
            )
        elif channel in self._alive:
            (self._speaking.add if name == "ChannelTalkingStart" else self._speaking.discard)(channel)

    def _name(self, party: Party, half: int) -> str:
        """The name of a channel, empty when there is none."""
        begin, end = f"Local/{party}@{self._context}-", f";{half}"
        return next((name for name in self._alive if name.startswith(begin) and name.endswith(end)), "")

    def _is_ready(self, party: Party) -> bool:
        return self._name(party, 2) in self._ready

    def _is_on(self, party: Party) -> bool:
        return self._is_ready(party) and self._name(party, 1) in self._bridged
