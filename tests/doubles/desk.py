"""One supervisor's desk phone at a fake PBX, with the real protocol, PINs, audit file and database behind it.

The fake's ``happened`` also tells when a record is on disk, so that one list shows the order of everything.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher

from agi_monitor.agi.session import Session
from agi_monitor.audit.facts import Fact
from agi_monitor.errors import AuditUnavailable
from agi_monitor.live.calls import Channel, Origin
from agi_monitor.live.devices import AtDevice
from agi_monitor.live.index import ChannelIndex, Lists, Stale
from agi_monitor.live.over_agi import DeviceChannelsOverAgi
from agi_monitor.live.port import Devices
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent, Cue, Identity, Mode, Reason, Supervisor
from agi_monitor.pins.costs import in_force
from agi_monitor.pins.guard import InThread, PinGuard, PinPolicy
from agi_monitor.pins.lock_outs import Limit, Limits, LockOut
from agi_monitor.pins.records import PinStore, pin_id
from agi_monitor.rights.authorization import Effect, Rule
from agi_monitor.server.pin_waits import DeferredWait
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.sinks import AuditSinks
from agi_monitor.storage.database import FILE, Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.grant_watch import NO_MANAGER, ManagerInterface
from agi_monitor.supervision.grants import Grants
from agi_monitor.supervision.hooks import Hooks, Plugin
from agi_monitor.supervision.line import Dialled, SupervisorLine
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.prompts import DEFAULTS, EXTENSION
from agi_monitor.supervision.spy_call import SpyCall
from agi_monitor.testing import BLOCKS, FakeAsterisk, FakeChannel
from agi_monitor.testing.fake_channel import STATE_NAMES
from tests.doubles.coroutines import at_once

Result = TypeVar("Result")

NOW = 1_700_000_000.0

PIN = "47110815"
PIN_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PIN)
"""Cheap to verify, for there are many tests."""
OTHER_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("90210777")
"""Of another PIN."""

CODES = {Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "*224"}
CODE_OF = {code: mode for mode, code in CODES.items()}

ANNA = Supervisor("anna", frozenset({"PJSIP/2001"}), frozenset({"leads"}), PIN_HASH, "Anna Example")
BERT = Supervisor("bert", frozenset({"PJSIP/2002"}), frozenset({"trainees"}), PIN_HASH, "Bert Example", "de")

ANNA_HERE, BERT_HERE = (Identity(person.id, pin_id(PIN_HASH)) for person in (ANNA, BERT))
"""Each of them, with the PIN."""

AGENTS = (
    Agent("1001", frozenset({"sales"}), ("PJSIP/1001",)),
    Agent("1002", frozenset({"sales"})),
    Agent("1003", frozenset({"sales", "protected"}), ("PJSIP/1003",)),
    Agent("1004", frozenset({"sales"}), ("PJSIP/1004", "PJSIP/2001")),
)

RULES = (
    Rule("leads-supervise", Effect.ALLOW, frozenset(Mode), frozenset({"leads"}), frozenset({"sales"})),
    Rule("trainees-listen", Effect.ALLOW, frozenset({Mode.LISTEN}), frozenset({"trainees"}), frozenset({"sales"})),
    Rule("not-the-protected", Effect.DENY, frozenset(Mode), frozenset({"all"}), frozenset({"protected"})),
)

POLICY = Policy(
    codes=CODES,
    supervisors={endpoint: person for person in (ANNA, BERT) for endpoint in person.endpoints},
    agents={agent.extension: agent for agent in AGENTS},
    rules=RULES,
)


def limits(after: int, longest: float = 3600.0) -> Limits:
    """A supervisor's limit; their phone has a little more patience, and the PBX much more."""
    return Limits(Limit(after, 60.0, longest), Limit(after + 2, 60.0, longest), Limit(100, 10.0, 300.0))


PIN_POLICY = PinPolicy(attempts=3, limits=limits(5), costs=in_force([PIN_HASH]))

SPYEE = "PJSIP/1001-0000000a"
CUSTOMER = "PJSIP/trunk-0000000b"
SPYEE_UNIQUEID = "1700000000.10"
CUSTOMER_UNIQUEID = "1700000000.11"


@cache
def empty_database() -> bytes:
    """The file of a database with its tables, made once: its steps take longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(file_url(Path(folder)))
        database.upgrade()
        database.close()
        return (Path(folder) / FILE).read_bytes()


async def in_time(story: Coroutine[Any, Any, Result], /) -> Result:
    """Await a plug-in, however long it takes."""
    return await story


class Witness:
    """Writes into the one list what the audit has put on disk, and can stand for a disk that fails.

    Parameters:
        audit: the real one.
        happened: the list.
    """

    def __init__(self, audit: AuditSinks, happened: list[str]) -> None:
        self._audit = audit
        self._happened = happened
        self.fails_from: int | None = None
        """The disk fails from this append on, counted from 1."""
        self.appends = 0
        self.afterwards: dict[str, Callable[[], object]] = {}
        """What happens when a fact of this name is on disk, before its writer continues."""

    async def append(self, fact: Fact) -> None:
        """Put the fact on disk, and say so."""
        self.appends += 1
        if self.fails_from is not None and self.appends >= self.fails_from:
            self._happened.append(f"no record of {fact.name}")
            if fact.gates:
                raise AuditUnavailable("the disk is full")
            return
        await self._audit.append(fact)
        self._happened.append(f"record {fact.name}")
        if fact.name in self.afterwards:
            self.afterwards[fact.name]()


OTHER_KEYS = (chanspy.LEAVE_KEY, chanspy.BACK_KEY, chanspy.HELP_KEY, chanspy.END_KEY)
"""Keys of the exit context, besides those of the modes."""

AT_ONCE = "!"
"""Among the keys: the next one is pressed while something is said. Any other is pressed when a key is waited for."""


class Phone(FakeAsterisk):
    """A PBX on which time passes while the supervisor waits for a key: each wait is one step of what is planned."""

    plan: deque[Callable[[], object]] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, time_passes=False, **options)
        self.at_sound: dict[str, Callable[[], object]] = {}
        """What happens while this sound file is played."""

    def _play(self, sound: str) -> bool:
        played = super()._play(sound)
        if sound in self.at_sound:
            self.at_sound[sound]()
        return played

    def _key_of(self, escape_digits: str) -> int:
        if not self._keys or self._keys[0] != AT_ONCE:
            return 0
        self._keys.popleft()
        return super()._key_of(escape_digits)

    def next_key(self) -> str:
        """Take the next key; without one the next step happens, and after the last of them a hang-up."""
        key = super().next_key()
        if not key and self.plan is not None:
            step = self.plan.popleft() if self.plan else self.hang_up
            step()
        return key

    def pressed(self) -> str:
        """Take the next key without any step."""
        return super().next_key()


class LiveHouse:
    """``LivePbx``: the real index, listed again at every question, of what the fake PBX is at that moment."""

    def __init__(self, pbx: FakeAsterisk) -> None:
        self._pbx = pbx
        self.lost = False

    def _index(self) -> ChannelIndex:
        index = ChannelIndex()
        listing = index.resync("pbx")
        channels = [
            {
                "Channel": channel.name,
                "Uniqueid": channel.uniqueid,
                "ChannelStateDesc": STATE_NAMES[channel.state],
                "BridgeId": self._bridge(channel),
                "ConnectedLineNum": channel.variables.get("connected number", ""),
                "Application": channel.variables.get("application", ""),
                "ApplicationData": channel.variables.get("application data", ""),
            }
            for channel in self._pbx.channels
            if channel.alive
        ]
        bridges = {channel["BridgeId"] for channel in channels if channel["BridgeId"]}
        states = [{"Device": device, "State": state} for device, state in self._pbx.device_states.items()]
        kinds = [{"BridgeUniqueid": bridge, "BridgeType": "basic"} for bridge in bridges]
        index.snapshot("pbx", Lists(channels, kinds, states), listing)
        for item in channels:
            # They began while the picture was true, so anyone who holds them was heard.
            index.apply("pbx", {"Event": "Newchannel", **item})
        for channel in self._pbx.channels:
            if channel.on_hold:
                index.apply("pbx", {"Event": "Hold", "Channel": channel.name, "Uniqueid": channel.uniqueid})
        if self.lost:
            index.lost("pbx")
        return index

    def _bridge(self, channel: FakeChannel) -> str:
        peers = [name for name in channel.bridge_peer.split(",") if name]
        return min([channel.name, *peers]) if peers else ""

    async def is_fresh(self) -> bool:
        """It is listed at every question."""
        return True

    async def is_member(self, agent: Agent, device: str) -> bool:
        """No queue here."""
        return False

    async def hides_owner(self, device: str) -> bool:
        """No event has taken anybody away."""
        return False

    def stale(self) -> Stale | None:
        """Whether the picture is lost."""
        return self._index().stale("pbx")

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """What the index says."""
        return self._index().devices_of("pbx", agent, "default")

    def channel(self, uniqueid: str) -> Channel | Stale | None:
        """What the index says."""
        return self._index().channel("pbx", uniqueid)

    def partners_of(self, uniqueid: str) -> tuple[Channel, ...] | Stale:
        """What the index says."""
        return self._index().peers_of("pbx", uniqueid)

    def origin_of(self, uniqueid: str) -> Origin | Stale | None:
        """What the index says."""
        return self._index().origin_of("pbx", uniqueid)

    def at_device(self, device: str) -> AtDevice | Stale:
        """What the index says."""
        return self._index().at_device("pbx", device)

    def endpoints(self) -> tuple[str, ...] | Stale:
        """What the index says."""
        return self._index().endpoints("pbx")


class Watch:
    """``GrantWatch`` that writes down what it is told; who hears what for how long the real ``Grants`` know.

    Parameters:
        happened: the one list.
        clock: seconds since 1970.
    """

    def __init__(self, happened: list[str], clock: Callable[[], float]) -> None:
        self._happened = happened
        self._clock = clock
        self.known = Grants()
        self.grants: list[Grant] = []
        """All that were opened."""
        self.open: list[Grant] = []
        self.reasons: dict[str, str] = {}
        """Why a grant was revoked."""
        self.again: set[str] = set()
        """Grants that are told to begin again."""
        self.elsewhere: set[str] = set()
        """Grants that another phone has."""
        self.others: set[str] = set()
        """Grants whose agents talk to another party now."""
        self.over: set[str] = set()
        """Grants whose agents are alone."""
        self.gives = True
        """Whether a notice reaches its agent."""
        self.notices: list[str] = []
        """Those that are expected."""
        self.meanwhile: Callable[[], object] = lambda: None
        """Called while an agent is told."""
        self.count = 0

    def opened(self, grant: Grant) -> str:
        """A grant begins."""
        self.grants.append(grant)
        self.open.append(grant)
        self._happened.append(f"opened {grant.id}")
        return f"proof of {grant.id}"

    def closed(self, grant: Grant) -> None:
        """It is over, whether it began or not."""
        self._happened.append(f"closed {grant.id}")
        self.known.closed(grant, self._clock())
        self.open = [one for one in self.open if one.id != grant.id]

    def heard_since(self, supervisor: str, call: frozenset[str], now: float) -> float:
        """Since when the supervisor hears the call, as the rules count it."""
        return self.known.heard_since(supervisor, call, now)

    def listeners(self, place: Place, call: frozenset[str], *, begins: bool) -> int:
        """How many others hear it."""
        return self.known.listeners(place, call, begins=begins)

    def heard_for(self, place: Place) -> float:
        """The clock is never set here."""
        return 0.0

    def place_taken(self, place: Place) -> None:
        """A supervisor is about to hear a call."""
        self.known.place_taken(place)

    def place_left(self, place: Place) -> None:
        """No longer."""
        self.known.place_left(place)

    def left_alone(self, grant: Grant) -> None:
        """Its story has lost the connection."""
        self._happened.append(f"left alone {grant.id}")

    def begins_anew(self, grant: Grant) -> bool:
        """Whether another party came."""
        return grant.id in self.again

    async def was_handed_over(self, grant: Grant) -> bool:
        """Whether it was found at another phone."""
        return grant.id in self.elsewhere

    def is_another_conversation(self, grant: Grant) -> bool:
        """Whether all of the call before have left."""
        return grant.id in self.others

    def conversation_over(self, grant: Grant) -> bool:
        """Whether the agent is alone."""
        return grant.id in self.over

    async def silenced(self, grant: Grant) -> None:
        """Nothing is on its way here."""
        self._happened.append(f"silenced {grant.id}")

    def revoked(self, grant: Grant) -> str | None:
        """Why it was ended."""
        return self.reasons.get(grant.id)

    def notice_expected(self, spyee_uniqueid: str) -> str:
        """An agent is about to be told."""
        self.count += 1
        self.notices.append(f"notice-{self.count}")
        self._happened.append(f"notice to {spyee_uniqueid}")
        return f"notice-{self.count}"

    async def notice_given(self, notice: str) -> bool:
        """They were, or not."""
        assert notice in self.notices
        self.meanwhile()
        return self.gives

    def notice_over(self, notice: str) -> None:
        """It is no longer awaited."""
        self.notices.remove(notice)


class Desk:
    """A supervisor's phone, a PBX with one call of agent 1001, and the server's parts.

    Parameters:
        folder: for the audit and the database.
        dialled: what the supervisor dials.
        channel: of the supervisor.
        language: of that channel.
        pin_policy: how often a PIN may be wrong.
        writing: runs the audit's writes.
        talking: whether the agent 1001 is on a call.
        records: makes what keeps the PINs; without it they stand in the configuration.
        hashing: runs argon2.
    """

    def __init__(
        self,
        folder: Path,
        dialled: str = "*2221001",
        *,
        channel: str = "PJSIP/2001-00000001",
        language: str = "en",
        pin_policy: PinPolicy = PIN_POLICY,
        writing: InThread = at_once,
        talking: bool = True,
        records: Callable[[Database], PinStore] | None = None,
        hashing: InThread = at_once,
    ) -> None:
        self.now = NOW
        self.jumped = 0.0
        """By how much the time of day was set: ``now`` has it, and how long something took has not."""
        self.policy = POLICY
        self.plugins: tuple[Plugin, ...] = ()
        self.hooks: Hooks | None = None
        self.pbx = Phone(channel, extension=dialled, script="spy", language=language, transcript=True)
        self.pbx.functions["CONNECTEDLINE"] = lambda channel, _: channel.variables.get("connected number", "")
        self.pbx.application("ChanSpy", self._chanspy)
        for application in ("Bridge", "BridgeAdd", "Originate"):
            self.pbx.application(application, lambda *_, application=application: self._other(application))
        self.live: LiveHouse | None = None
        self.watch: Watch | None = None
        self.pbx.device_states["PJSIP/1001"] = "INUSE" if talking else "NOT_INUSE"
        if talking:
            self.pbx.add_channel(SPYEE, SPYEE_UNIQUEID, bridge_peer=CUSTOMER)
            self.pbx.add_channel(CUSTOMER, CUSTOMER_UNIQUEID, bridge_peer=SPYEE)
        self.audit_path = folder / "log" / "audit.jsonl"
        self.audit_path.parent.mkdir()
        self.database_path = folder / FILE
        self.database_path.write_bytes(empty_database())
        self.database = Database(file_url(folder))
        self.audit_file = AuditSinks([AuditFile(self.audit_path)], writing)
        self.audit = Witness(self.audit_file, self.pbx.happened)
        self.lock_outs = LockOutTable(self.database)
        self.pin_store = None if records is None else records(self.database)
        self.pins = PinGuard(
            pin_policy,
            self.lock_outs,
            lambda: self.now,
            lambda: self.now - self.jumped,
            hashing,
            at_once,
            DeferredWait,
            self.pin_store,
        )
        self.call: SpyCall | None = None
        self.when_quiet: Callable[[], int | None] = self.supervisor_hangs_up
        """What happens during ChanSpy once no more keys are pressed; None continues, a number ends it with that."""
        self.at_key: Callable[[str], None] = lambda key: None
        """Called when a key ends ChanSpy."""

    # ---- what people do --------------------------------------------------------------------------------

    def supervisor_hangs_up(self) -> int | None:
        """The supervisor hangs up while ChanSpy runs."""
        self.pbx.hang_up()
        return None

    def agent_hangs_up(self) -> int | None:
        """The agent's call ends while it is heard: ChanSpy ends because of its option E."""
        self.channel_of(SPYEE_UNIQUEID).alive = False
        self.when_quiet = self.supervisor_hangs_up
        return 0

    def stopped_on_the_pbx(self) -> int | None:
        """ChanSpy ends although both channels live."""
        self.when_quiet = self.supervisor_hangs_up
        return 0

    def connect(self) -> Watch:
        """Give the server a manager interface."""
        self.live, self.watch = LiveHouse(self.pbx), Watch(self.pbx.happened, lambda: self.now)
        self.pbx.plan = deque()
        return self.watch

    def then(self, *steps: Callable[[], object]) -> None:
        """What happens while the supervisor waits, one step for each look."""
        assert self.pbx.plan is not None
        self.pbx.plan.extend(steps)

    def revoked_while_heard(self) -> int | None:
        """The grant is revoked: the channel falls silent and the server's key ends ChanSpy."""
        assert self.watch is not None
        (grant,) = self.watch.open
        self.watch.reasons[grant.id] = "killed"
        self.pbx.channel.variables.update({"MUTEAUDIO(out)": "on", "MUTEAUDIO(in)": "on"})
        self.pbx.channel.context, self.pbx.channel.extension = chanspy.EXIT_CONTEXT, chanspy.END_KEY
        self.when_quiet = self.supervisor_hangs_up
        return 0

    def channel_of(self, uniqueid: str) -> FakeChannel:
        """Return a channel of the PBX."""
        (channel,) = [channel for channel in self.pbx.channels if channel.uniqueid == uniqueid]
        return channel

    def _chanspy(self, pbx: FakeAsterisk, channel: FakeChannel, argument: str) -> Any:
        # As app_chanspy.c with the options u, E, S and X: one exact channel, keys leave to the exit context.
        spied, _, _ = argument.partition(",")
        if not any(other.alive and other.uniqueid == spied for other in pbx.channels):
            return -1
        while key := self.pbx.pressed():
            if (
                key in {*chanspy.MODE_KEYS, *OTHER_KEYS}
                and channel.variables.get("SPY_EXIT_CONTEXT") == chanspy.EXIT_CONTEXT
            ):
                channel.context, channel.extension = chanspy.EXIT_CONTEXT, key
                self.at_key(key)
                return 0
        result = self.when_quiet()
        return BLOCKS if result is None else result

    def _other(self, application: str) -> Any:
        if application == "Originate":
            return 0
        result = self.when_quiet()
        if application == "Bridge" and result == 0:
            self.pbx.channel.variables["BRIDGERESULT"] = "SUCCESS"
        return BLOCKS if result is None else result

    async def catch_up(self) -> None:
        """Take in what the store has of PINs now, as the server does when a call asks for it."""
        self.take_changes()

    def take_changes(self) -> None:
        """The same, as the server does every second."""
        for endpoint, person in self.policy.supervisors.items():
            kept = None if self.pin_store is None else self.pin_store.read(person.id)
            if kept is not None:
                now = replace(person, pin_hash=kept.hash, pin_set=kept.made, pin_must_change=kept.must_change)
                self.change(supervisors={**self.policy.supervisors, endpoint: now})

    # ---- the story -------------------------------------------------------------------------------------

    async def serve(self, session: Session) -> None:
        """Tell the story of this call."""
        request = session.request
        self.hooks = None if not self.plugins else Hooks(self.plugins, in_time, self.audit, lambda: self.now)
        line = SupervisorLine(
            session,
            Dialled(request.channel, request.uniqueid, request.extension, request.language),
            lambda: self.policy,
            self.audit,
            lambda: self.now,
            lambda: self.now - self.jumped,
            self.hooks,
            self.catch_up,
        )
        manager = NO_MANAGER
        if self.live is not None and self.watch is not None:
            manager = ManagerInterface(self.live, self.watch)
        devices = Devices(manager.live, DeviceChannelsOverAgi(session, "default"))
        self.call = SpyCall(line, self.pins, devices, manager, lambda calls: calls[-1])
        await self.call.run()

    def run(self, keys: str = f"{PIN}#") -> Desk:
        """Let the supervisor dial, press these keys and hear the story to its end."""
        self.pbx.keys(keys)
        self.pbx.run(self.serve)
        return self

    def change(self, **changes: object) -> None:
        """Load another configuration."""
        self.policy = replace(self.policy, **changes)  # type: ignore[arg-type]  # the fields of Policy

    def lose_the_database(self) -> None:
        """Nothing more can be read or written there."""
        self.database_path.rename(self.database_path.with_suffix(".away"))
        self.database_path.mkdir()

    # ---- what is left ----------------------------------------------------------------------------------

    @property
    def records(self) -> list[Mapping[str, object]]:
        """What the audit holds, on disk or waiting for it."""
        written = self.audit_path.read_text().splitlines() if self.audit_path.exists() else []
        return [json.loads(line) for line in [*written, *self.audit_file.unwritten()]]

    def recorded(self, *keys: str) -> list[tuple[object, ...]]:
        """Return the given keys of every record."""
        return [tuple(record.get(key) for key in keys) for record in self.records]

    def wrong_pins(self, who: str) -> LockOut | None:
        """Return what is counted under a name."""
        return self.lock_outs.change([who], lambda before: before).get(who)

    @property
    def spies(self) -> list[str]:
        """The argument texts that ChanSpy was executed with."""
        return [argument for application, argument in self.pbx.executed if application == "ChanSpy"]


def refusals(desk: Desk) -> list[object]:
    """The reasons in the audit, in order."""
    return [record["reason"] for record in desk.records if record["fact"] == "refused"]


def started(desk: Desk, *keys: str) -> list[tuple[object, ...]]:
    """These keys of every grant."""
    return [tuple(record[key] for key in keys) for record in desk.records if record["fact"] == "spy_started"]


def spoken(moment: Cue | Reason, extension: str = "1001") -> list[str]:
    """What the fake notes when a moment's default words are played."""
    return [f"digits:{extension}" if word == EXTENSION else word for word in DEFAULTS[moment]]


def waited_for(extension: str = "1001") -> list[str]:
    """What the fake notes when an agent is waited for: the digits one by one."""
    words = DEFAULTS[Cue.WAITING_FOR]
    return [
        part for word in words for part in ([f"digits:{one}" for one in extension] if word == EXTENSION else [word])
    ]
