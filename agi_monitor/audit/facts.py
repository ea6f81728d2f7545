"""One dataclass per auditable fact, and the AuditLog port.

A fact never carries a digit of a PIN: none of the fields has room for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar, Protocol

from agi_monitor.model import Locked, Mode, PinDue, Reason


class End(StrEnum):
    """Why a spy ended."""

    SUPERVISOR_HUNG_UP = "supervisor_hung_up"
    """The supervisor's channel is gone."""
    CONNECTION_LOST = "connection_lost"
    """Asterisk no longer talks to the server. The spy may continue until the call ends."""
    SUPERVISOR_LEFT = "supervisor_left"
    """The ``*`` key."""
    CALL_OVER = "call_over"
    """The spyee is gone."""
    TARGET_GONE = "target_gone"
    """The spyee was gone before the first sound."""
    MODE_KEY = "mode_key"
    """A mode key, or that of the take-over, was pressed. A separate record says which mode begins, or continues
    after a refusal."""
    PARTY_CHANGED = "party_changed"
    """Another party came to the call, as after a transfer: the spy begins again, so that they are heard. A separate
    record says so, or why not."""
    PBX_ENDED = "pbx_ended"
    """ChanSpy ended although both channels live: it was stopped on the PBX."""
    HANDED_OVER = "handed_over"
    """The supervisor's call went to another phone: transferred, picked up, parked, redirected. A record
    ``spy_handed_over`` names both channels."""
    REVOKED = "revoked"
    """It was ended from outside; a record ``spy_revoked`` says by whom and why."""
    SERVER_STOPPING = "server_stopping"
    """The server was told to stop and ended the spy."""
    LEFT_RUNNING = "left_running"
    """The server stopped and left the spy on; it ends with the call or when the supervisor hangs up."""
    NEVER_BEGAN = "never_began"
    """The record of the grant was in one place of the audit and not in the other: no one heard anything."""
    ERROR = "error"
    """Something broke; the log says what."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something that happened.

    Parameters:
        at: when, with a time zone.
    """

    name: ClassVar[str]
    gates: ClassVar[bool] = False
    """Whether what it records may only happen once this is on disk."""

    at: datetime

    def record(self) -> Mapping[str, object]:
        """Return the fact as it is written: its name first, then its fields; times as ISO 8601 in UTC."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {"fact": self.name, **{name: _plain(value) for name, value in values.items()}}

    def withdrawn(self) -> Fact | None:
        """Return what follows a fact that gates, when it is on record but what it gates never began."""
        return None


@dataclass(frozen=True, kw_only=True)
class CallFact(Fact):
    """Something that happened on one call of a supervisor.

    Parameters:
        call: the same for every fact of this call.
        endpoint: the supervisor's device.
        spyer: the supervisor's channel.
        spyer_uniqueid: the same channel's uniqueid.
        supervisor: None if the device is not assigned to one.
    """

    call: str
    endpoint: str
    spyer: str
    spyer_uniqueid: str
    supervisor: str | None


@dataclass(frozen=True, kw_only=True)
class Refused(CallFact):
    """A request was refused.

    Parameters:
        reason: the slug.
        mode: what was asked for; None if not known yet.
        extension: the agent; None if not known yet, or if it is not an agent's (it might be a PIN).
        detail: the rule, the count, the error; never digits that were keyed in.
    """

    name: ClassVar[str] = "refused"

    reason: Reason
    mode: Mode | None = None
    extension: str | None = None
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class RequestAbandoned(CallFact):
    """The supervisor did not wait for the answer to a request, such as at the prompt for the PIN, or while a plug-in
    was asked about another mode.

    Parameters:
        mode: what was asked for; None if not known yet.
        extension: the agent; None if not known yet, or if it is not an agent's (it might be a PIN).
        why: what ended the call.
    """

    name: ClassVar[str] = "request_abandoned"

    mode: Mode | None
    extension: str | None
    why: End


@dataclass(frozen=True, kw_only=True)
class LockedOut(CallFact):
    """There were too many wrong PINs. There is one record for each kind that is locked.

    Parameters:
        kind: what is locked: the ``supervisor``, the ``endpoint``, or the ``peer``, which is everyone who calls over
            this PBX.
        until: no PIN is accepted before this time.
    """

    name: ClassVar[str] = "locked_out"

    kind: Locked
    until: datetime


@dataclass(frozen=True, kw_only=True)
class PinChanged(CallFact):
    """The supervisor has chosen another PIN by phone.

    Parameters:
        why: ``expired`` if the old one was too old, ``asked`` if an administrator asked for it.
    """

    name: ClassVar[str] = "pin_changed"

    why: PinDue


@dataclass(frozen=True, kw_only=True)
class SpyStarted(CallFact):
    """A grant: from now on the supervisor hears the agent. On disk before the first sound.

    Parameters:
        grant: numbers the spies of this call, from 1.
        extension: the agent.
        mode: listen, whisper, barge or take_over.
        spyee: the agent's channel.
        spyee_uniqueid: the same channel's uniqueid.
        rule: the rule that allowed it.
        source: who knew the channel: the live ``index``, or ``agi`` if the index is not to be trusted.
        stale: why the index was not asked, or empty: ``never_listed``, ``lost``, ``too_many``, ``deaf``,
            ``forged``, ``reloaded``, ``hold_unknown`` or ``no_hint``.
        because: why it is this channel.
        told: whether the agent was told before.
        reason: what the supervisor gave as the reason, if the rules ask for one; or empty.
    """

    name: ClassVar[str] = "spy_started"
    gates: ClassVar[bool] = True

    grant: int
    extension: str
    mode: Mode
    spyee: str
    spyee_uniqueid: str
    rule: str
    source: str
    stale: str
    because: str
    told: bool
    reason: str = ""

    def withdrawn(self) -> Fact:
        """Return the end of a grant that came to nothing."""
        return SpyEnded(
            at=self.at,
            call=self.call,
            endpoint=self.endpoint,
            spyer=self.spyer,
            spyer_uniqueid=self.spyer_uniqueid,
            supervisor=self.supervisor,
            grant=self.grant,
            extension=self.extension,
            mode=self.mode,
            why=End.NEVER_BEGAN,
            seconds=0.0,
        )


@dataclass(frozen=True, kw_only=True)
class SpyEnded(CallFact):
    """A grant is over.

    Parameters:
        grant: as in ``spy_started``.
        extension: the agent.
        mode: as in ``spy_started``.
        why: what ended it.
        seconds: how long it lasted.
    """

    name: ClassVar[str] = "spy_ended"

    grant: int
    extension: str
    mode: Mode
    why: End
    seconds: float


@dataclass(frozen=True, kw_only=True)
class SpyHeard(CallFact):
    """The PBX itself says that the supervisor's channel begins to hear the agent's. This comes from ChanSpy only, and
    only with a manager interface: a conference and a take-over have only the records of the grant.

    Parameters:
        grant: as in ``spy_started``.
        extension: the agent.
        mode: as in ``spy_started``.
        node: the PBX.
        spyee: the channel that is heard.
        spyee_uniqueid: the same channel's uniqueid.
    """

    name: ClassVar[str] = "spy_heard"

    grant: int
    extension: str
    mode: Mode
    node: str
    spyee: str
    spyee_uniqueid: str


@dataclass(frozen=True, kw_only=True)
class SpySilent(SpyHeard):
    """The PBX itself says that the supervisor's channel no longer hears the agent's."""

    name: ClassVar[str] = "spy_silent"


@dataclass(frozen=True, kw_only=True)
class SpyRevoked(CallFact):
    """A grant is being ended from outside.

    Parameters:
        grant: as in ``spy_started``.
        extension: the agent.
        why: a refusal's reason, ``killed`` if it was ended by command, or ``orphaned`` if its server had died.
        by: who ended it by command; empty if this server decided it.
    """

    name: ClassVar[str] = "spy_revoked"

    grant: int
    extension: str
    why: str
    by: str


@dataclass(frozen=True, kw_only=True)
class SpyHandedOver(CallFact):
    """The call of a supervisor went to another phone. It is silenced and ended, and nothing keyed there counts.

    Parameters:
        to: the channel that has the supervisor's call now.
        to_uniqueid: the same channel's uniqueid.
        grant: as in ``spy_started``; None if no call was heard at that moment, as at the prompt for the PIN.
        extension: the agent; None in the same case.
    """

    name: ClassVar[str] = "spy_handed_over"

    to: str
    to_uniqueid: str
    grant: int | None = None
    extension: str | None = None


@dataclass(frozen=True, kw_only=True)
class SpyAdopted(CallFact):
    """A spy of an earlier run of this server is still on, and is watched over again.

    Parameters:
        grant: as in ``spy_started``.
        extension: the agent.
        mode: as in ``spy_started``.
        spyee: the agent's channel.
        spyee_uniqueid: the same channel's uniqueid.
    """

    name: ClassVar[str] = "spy_adopted"

    grant: int
    extension: str
    mode: Mode
    spyee: str
    spyee_uniqueid: str


@dataclass(frozen=True, kw_only=True)
class RogueSpy(Fact):
    """A channel hears another one without a grant.

    Parameters:
        node: the PBX.
        spyer: the channel that hears.
        spyer_uniqueid: the same channel's uniqueid.
        spyee: the channel that is heard; empty if the PBX does not tell.
        spyee_uniqueid: the same channel's uniqueid.
        why: what is wrong with it.
        action: ``alarm``, or ``hang_up`` if its channel is hung up.
    """

    name: ClassVar[str] = "rogue_spy"

    node: str
    spyer: str
    spyer_uniqueid: str
    spyee: str
    spyee_uniqueid: str
    why: str
    action: str


@dataclass(frozen=True, kw_only=True)
class RogueSpyEnded(Fact):
    """A rogue spy is over.

    Parameters:
        node: the PBX.
        spyer: as in ``rogue_spy``.
        spyer_uniqueid: as in ``rogue_spy``.
        seconds: how long it was seen.
        by: who ended it on the command line, or empty.
    """

    name: ClassVar[str] = "rogue_spy_ended"

    node: str
    spyer: str
    spyer_uniqueid: str
    seconds: float
    by: str


@dataclass(frozen=True, kw_only=True)
class PbxSynced(Fact):
    """The live picture of a PBX is complete again: look-ups are answered from it from now on.

    Parameters:
        node: the PBX.
        channels: how many it has.
    """

    name: ClassVar[str] = "pbx_synced"

    node: str
    channels: int


@dataclass(frozen=True, kw_only=True)
class PbxLost(Fact):
    """The live picture of a PBX is not to be trusted: look-ups go over AGI, and rogue spies are not noticed.

    Parameters:
        node: the PBX.
        why: the reason, in a few words.
    """

    name: ClassVar[str] = "pbx_lost"

    node: str
    why: str


@dataclass(frozen=True, kw_only=True)
class AmiForged(Fact):
    """The manager interface sent something that Asterisk cannot have written: someone has chosen a number or a name
    with a line break in it. There is at most one record a minute, however many messages there are.

    Parameters:
        node: the PBX.
        event: the kind of message that was forged or torn; empty if it is not a known one.
        why: what is wrong with it, in a word.
    """

    name: ClassVar[str] = "ami_forged"

    node: str
    event: str
    why: str


@dataclass(frozen=True, kw_only=True)
class ServerStarted(Fact):
    """The server accepts calls from now on.

    Parameters:
        version: of this package.
    """

    name: ClassVar[str] = "server_started"

    version: str


@dataclass(frozen=True, kw_only=True)
class ServerStopped(Fact):
    """The server accepts no more calls; spies that it left running have a record of their own."""

    name: ClassVar[str] = "server_stopped"


@dataclass(frozen=True, kw_only=True)
class ConfigReloaded(Fact):
    """A new configuration is in force from now on.

    Parameters:
        digest: SHA-256 of the file.
    """

    name: ClassVar[str] = "config_reloaded"

    digest: str


@dataclass(frozen=True, kw_only=True)
class PeopleChanged(Fact):
    """A person or a rule was changed, added or removed; the change is in force here from now on.

    Parameters:
        kind: ``supervisor``, ``agent`` or ``rule``.
        entry: the id, the extension, the name.
        by: who changed it; ``file`` for the configuration file, empty if it is not known.
        before: as in the file, without a PIN; None if it is new.
        after: in the same form; None if it was removed.
    """

    name: ClassVar[str] = "people_changed"

    kind: str
    entry: str
    by: str
    before: Mapping[str, object] | None
    after: Mapping[str, object] | None


@dataclass(frozen=True, kw_only=True)
class LockOutEnded(Fact):
    """A lock-out was ended early: the wrong PINs are forgotten.

    Parameters:
        kind: the ``supervisor``, the ``endpoint``, or the ``peer``.
        who: the id, the device, the address.
        by: who ended it, on the command line.
        wrong_pins: how many wrong PINs were forgotten.
    """

    name: ClassVar[str] = "lock_out_ended"

    kind: Locked
    who: str
    by: str
    wrong_pins: int


@dataclass(frozen=True, kw_only=True)
class PluginFailed(Fact):
    """A plug-in of the site raised, took too long, or answered nonsense. What it was asked for was denied.

    Parameters:
        plugin: its name.
        hook: what it was asked for.
        error: what went wrong.
    """

    name: ClassVar[str] = "plugin_failed"

    plugin: str
    hook: str
    error: str


class AuditLog(Protocol):
    """Where facts are kept."""

    async def append(self, fact: Fact) -> None:
        """Put the fact on disk.

        A fact that gates is written, or this raises. Any other fact has already happened: it is kept and written as
        soon as possible, and nothing is raised.

        Raises:
            AuditUnavailable: this fact gates, and it or a fact before it could not be written.
        """
        ...


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat(timespec="milliseconds") if isinstance(value, datetime) else value
