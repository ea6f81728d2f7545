"""Which devices an extension is at, told by one PBX: its hints, its queue members and the states of its devices.

A hint says which devices are an extension's; a queue member says which device the calls of an extension are sent to
now, which differs when an agent is logged in elsewhere. Each event sets what it says, so it may come twice.

When the dialplan is loaded again, no event says so, and hints may name other devices from then on. Asterisk only
reports every hint once more, with its old text: so a hint that is reported without news makes all of them doubtful.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from agi_monitor.live.headers import MAX_TEXT, Headers, Outcome, text
from agi_monitor.live.over_agi import MAX_DEVICES, UNREACHABLE, hinted
from agi_monitor.model import Agent
from agi_monitor.names import DIALPLAN_NAME, ENDPOINT

MAX_DEVICE_STATES = 50_000
"""Devices of one PBX whose state is kept: a large one has some ten thousand phones."""

MAX_HINTS = 50_000
"""Hints of one PBX: about one for each extension."""

MAX_MEMBERS = 50_000
"""Queue members of one PBX: each agent counts once for each queue."""

MAX_BEFORE = 10_000
"""What members, and what hints, were before events changed them: a shift of 2,000 agents logs out of five queues. An
account of the class ``agent`` can change them for ever."""

MAX_DOUBTFUL = 64
"""Queue members and hints that are asked about one device. Each is a question to the PBX before a call is heard."""

MAX_HINT_TEXT = MAX_DEVICES * MAX_TEXT
"""Characters of a hint: it may name several devices."""

RINGING = 8
"""The bit of a hint's status that is told again for each further ring (AST_EXTENSION_RINGING, pbx.h)."""

LOCAL_MEMBER = re.compile(r"Local/(?P<extension>[^@/]+)@(?P<context>[^/]+)(?:/[a-z]*)?", re.IGNORECASE)
"""A queue member that is reached through the dialplan, such as ``Local/1001@agents/n``."""

_HINT_STATE = re.compile(r"hint:(?P<extension>[^@]+)@(?P<context>.+)", re.IGNORECASE)


class _Hint(NamedTuple):
    devices: tuple[str, ...]
    status: str


class Login(NamedTuple):
    """A queue member, as far as it says whose device is watched.

    Parameters:
        extension: the member's name, or the extension of its Local channel.
        contexts: that it names: of its Local channel, and of the hint that is its state; none for a member such as
            ``PJSIP/1001``.
    """

    extension: str
    contexts: frozenset[str]


class _Member(NamedTuple):
    logins: tuple[Login, ...]
    state_of: str


class Hint(NamedTuple):
    """A hint that a queue watches instead of a device.

    Parameters:
        extension: whose hint.
        context: where it is.
    """

    extension: str
    context: str


class Doubtful(NamedTuple):
    """What had a device by the last lists, and has it no more by an event.

    Parameters:
        members: the queue and the interface of each queue member that watched it.
        hints: that named it.
        is_whole: whether these are all; otherwise there were more than are kept, or than can be asked.
    """

    members: tuple[tuple[str, str], ...]
    hints: tuple[Hint, ...]
    is_whole: bool = True


class AtDevice(NamedTuple):
    """The extensions that a device belongs to now.

    Parameters:
        hinted: by their hints: each context with the extension.
        logged_in: by queues, which watch it for them.
    """

    hinted: frozenset[tuple[str, str]]
    logged_in: frozenset[Login]


Before = TypeVar("Before", str, _Member)


class NodeDevices:
    """Every hint, queue member and device state of one PBX now."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._hints: dict[tuple[str, str], _Hint] = {}
        self._members: dict[tuple[str, str], _Member] = {}
        self._members_of: dict[str, dict[tuple[str, str], _Member]] = {}
        self._hinted_at: dict[str, set[tuple[str, str]]] = {}
        """The hints that name a device."""
        self._logged_in_at: dict[str, Counter[Login]] = {}
        """The logins of the members that watch a device, or a hint."""
        self._members_before: dict[tuple[str, str], set[_Member]] = {}
        self._hinted_before: dict[tuple[str, str], set[str]] = {}
        """What members and hints were before an event changed them, since the last lists."""
        self._kept_before = 0
        """How many of both."""
        self._before_is_whole = True
        self.doubts = 0
        """Counts the events after which the hints that are known may be others."""
        self.contradictions = 0
        """Counts those of them that name other devices than were known."""

    # ---- what is told ----------------------------------------------------------------------------------

    def apply(self, event: Headers) -> Outcome:
        """Take in one event. Never raises, whatever it holds."""
        event_name = event.get("Event")
        taker = _TAKERS.get(event_name) if event_name else None
        return Outcome.IGNORED if taker is None else taker(self, event)

    def replace(self, device_states: Iterable[Headers], hints: Iterable[Headers], queues: Iterable[Headers]) -> bool:
        """Put the lists in the place of everything that was known.

        Parameters:
            device_states: the items of DeviceStateList.
            hints: the items of ExtensionStateList.
            queues: the items of QueueStatus; only the members are looked at.

        Returns:
            False: there is more than is kept, and what is above is left out.
        """
        self._states, self._hints, self._members, self._members_of = {}, {}, {}, {}
        self._hinted_at, self._logged_in_at = {}, {}
        self._members_before, self._hinted_before = {}, {}
        self._kept_before, self._before_is_whole = 0, True
        outcomes = {self._take_state(item) for item in device_states}
        outcomes |= {self._take_listed_hint(item) for item in hints}
        outcomes |= {self._take_member(item) for item in queues if item.get("Event") == "QueueMember"}
        return Outcome.TOO_MANY not in outcomes

    # ---- what is asked ---------------------------------------------------------------------------------

    def hinted(self, extension: str, context: str) -> tuple[str, ...]:
        """Return the devices that a hint names, in its order; none when there is no such hint."""
        hint = self._hints.get((context, extension))
        return () if hint is None else hint.devices

    def logged_in(self, agent: Agent) -> Iterator[str]:
        """Yield the devices that the queues watch for this agent; a device may come several times."""
        for state_of in self.watched_for(agent):
            hint = _HINT_STATE.fullmatch(state_of)
            if hint is not None:
                yield from self.hinted(hint["extension"], hint["context"])
            else:
                yield state_of

    def watched_for(self, agent: Agent) -> Iterator[str]:
        """Yield what the queues watch for this agent: devices, and hints such as ``hint:1001@hints``."""
        for member in self._members_of.get(agent.digits, {}).values():
            if any(agent.is_logged_in_by(*login) for login in member.logins):
                yield member.state_of

    def contradicted_by(self, queue: str, interface: str, items: Iterable[Headers]) -> tuple[str | Hint, ...]:
        """Return what a queue member watches, where it is not what events have told; none where it is.

        Parameters:
            queue: of the member.
            interface: of the member.
            items: of QueueStatus, as they have just come.
        """
        asked = NodeDevices()
        asked.replace((), (), items)
        key = queue, interface
        member = asked._members.get(key)
        return () if member is None or member == self._members.get(key) else _as_asked([member.state_of])

    def members_of(self, agent: Agent) -> tuple[tuple[str, str], ...]:
        """Return the queue and the interface of each queue member that stands for an agent."""
        return tuple(self._members_of.get(agent.digits, {}))

    def at(self, device: str) -> AtDevice:
        """Return the extensions that a device belongs to, in a time that does not depend on how many there are.

        Parameters:
            device: such as ``PJSIP/1001``.
        """
        hints = frozenset(self._hinted_at.get(device, ()))
        watched = [device, *(_watched(f"hint:{extension}@{where}") for where, extension in hints)]
        return AtDevice(
            hints, frozenset(login for state_of in watched for login in self._logged_in_at.get(state_of, ()))
        )

    def doubtful_at(self, device: str) -> Doubtful:
        """Return what had a device by the last lists, and has it no more by an event alone.

        Parameters:
            device: such as ``PJSIP/1001``.
        """
        hints = {key for key, devices in self._hinted_before.items() if device in devices}
        named = hints | self._hinted_at.get(device, set())
        watched = {device, *(_watched(f"hint:{extension}@{where}") for where, extension in named)}
        members = sorted(
            key
            for key, before in self._members_before.items()
            if any(_watched(member.state_of) in watched for member in before - {self._members.get(key)})
        )
        gone = sorted(hints - self._hinted_at.get(device, set()))
        if not self._before_is_whole or len(members) + len(gone) > MAX_DOUBTFUL:
            return Doubtful((), (), is_whole=False)
        return Doubtful(tuple(members), tuple(Hint(extension, context) for context, extension in gone))

    def is_reachable(self, device: str) -> bool:
        """Return whether the PBX knows the device and it is registered."""
        return self._states.get(device, "") not in UNREACHABLE

    # ---- one method for each kind of event -------------------------------------------------------------

    def _take_state(self, event: Headers) -> Outcome:
        device, state = text(event, "Device"), text(event, "State")
        if not device or not state:
            return Outcome.MALFORMED
        if ENDPOINT.fullmatch(device) is None:
            # Local channels, queues, custom devices, presences: no one talks on them.
            return Outcome.IGNORED
        if device not in self._states and len(self._states) >= MAX_DEVICE_STATES:
            return Outcome.TOO_MANY
        self._states[device] = state
        return Outcome.TAKEN

    def _take_hint(self, event: Headers) -> Outcome:
        key = text(event, "Context"), text(event, "Exten")
        known, status = self._hints.get(key), text(event, "Status")
        if not event.get("Hint"):
            # One that has just been made has its text only later.
            self.doubts += 1
            return Outcome.TAKEN
        outcome = self._take_listed_hint(event)
        if known is None or outcome is not Outcome.TAKEN:
            return outcome
        if lost := set(known.devices) - set(self._hints[key].devices):
            self._keep_before(self._hinted_before, key, lost)
        if known.devices != self._hints[key].devices:
            # Only a reload changes them; and one that is told late has the devices of before it.
            self.doubts += 1
            self.contradictions += 1
        elif known.status == status and not (status.isdecimal() and int(status) & RINGING):
            self.doubts += 1
        return outcome

    def _take_listed_hint(self, item: Headers) -> Outcome:
        extension, context, hint = text(item, "Exten"), text(item, "Context"), item.get("Hint") or ""
        if not extension or not context or len(hint) > MAX_HINT_TEXT:
            return Outcome.MALFORMED
        key = context, extension
        if key not in self._hints and len(self._hints) >= MAX_HINTS:
            return Outcome.TOO_MANY
        before = self._hints.get(key)
        known = self._hints[key] = _Hint(hinted(hint), text(item, "Status"))
        for device in () if before is None else before.devices:
            hints = self._hinted_at[device]
            hints.discard(key)
            if not hints:
                del self._hinted_at[device]
        for device in known.devices:
            self._hinted_at.setdefault(device, set()).add(key)
        return Outcome.TAKEN

    def _take_member(self, event: Headers) -> Outcome:
        # The list says Name and Location, the events MemberName and Interface (app_queue.c).
        queue, interface = text(event, "Queue"), text(event, "Interface") or text(event, "Location")
        if not queue or not interface:
            return Outcome.MALFORMED
        key = queue, interface
        before = self._members.get(key)
        outcome = self._set_member(key, event)
        if before is not None and self._members.get(key) != before:
            self._keep_before(self._members_before, key, {before})
        return outcome

    def _keep_before(
        self, kept: dict[tuple[str, str], set[Before]], key: tuple[str, str], found: set[Before]
    ) -> None:
        for one in found - kept.get(key, set()):
            if self._kept_before >= MAX_BEFORE:
                self._before_is_whole = False
                return
            kept.setdefault(key, set()).add(one)
            self._kept_before += 1

    def _set_member(self, key: tuple[str, str], event: Headers) -> Outcome:
        _, interface = key
        self._forget_member(key)
        if event.get("Event") == "QueueMemberRemoved":
            return Outcome.TAKEN
        state_of = text(event, "StateInterface") or interface
        if ENDPOINT.fullmatch(state_of) is None and _HINT_STATE.fullmatch(state_of) is None:
            # A member whose own Local channel is watched: where it ends is not told.
            return Outcome.TAKEN
        local, hint = LOCAL_MEMBER.fullmatch(interface), _HINT_STATE.fullmatch(state_of)
        named = (text(event, "MemberName") or text(event, "Name"), local["extension"] if local else "")
        contexts = frozenset(found["context"] for found in (local, hint) if found is not None)
        logins = tuple(Login(name, contexts) for name in dict.fromkeys(named) if name)
        if len(self._members) >= MAX_MEMBERS:
            return Outcome.TOO_MANY
        member = self._members[key] = _Member(logins, state_of)
        for login in logins:
            self._members_of.setdefault(login.extension, {})[key] = member
            self._logged_in_at.setdefault(_watched(state_of), Counter())[login] += 1
        return Outcome.TAKEN

    def _forget_member(self, key: tuple[str, str]) -> None:
        member = self._members.pop(key, None)
        if member is None:
            return
        watched = _watched(member.state_of)
        for login in member.logins:
            members = self._members_of[login.extension]
            del members[key]
            if not members:
                del self._members_of[login.extension]
            logged_in = self._logged_in_at[watched]
            logged_in[login] -= 1
            if not logged_in[login]:
                del logged_in[login]
            if not logged_in:
                del self._logged_in_at[watched]


def watched_now(agent: Agent, items: Iterable[Headers]) -> tuple[str | Hint, ...]:
    """Return what the members of queues watch for an agent, by items of QueueStatus that have just come.

    Parameters:
        agent: the agent.
        items: what the PBX answered.
    """
    asked = NodeDevices()
    asked.replace((), (), items)
    return _as_asked(asked.watched_for(agent))


def _as_asked(watched: Iterable[str]) -> tuple[str | Hint, ...]:
    found: list[str | Hint] = []
    for state_of in watched:
        hint = _HINT_STATE.fullmatch(state_of)
        if hint is None:
            found.append(state_of)
        elif DIALPLAN_NAME.fullmatch(hint["extension"]) and DIALPLAN_NAME.fullmatch(hint["context"]):
            found.append(Hint(hint["extension"], hint["context"]))
    return tuple(found)


def _watched(state_of: str) -> str:
    return state_of.lower() if state_of[:5].lower() == "hint:" else state_of


_TAKERS: dict[str, Callable[[NodeDevices, Headers], Outcome]] = {
    "DeviceStateChange": NodeDevices._take_state,
    "ExtensionStatus": NodeDevices._take_hint,
    "QueueMemberAdded": NodeDevices._take_member,
    "QueueMemberRemoved": NodeDevices._take_member,
    "QueueMemberStatus": NodeDevices._take_member,
}

EVENTS = frozenset(_TAKERS)
"""The names of the events that are taken in."""
