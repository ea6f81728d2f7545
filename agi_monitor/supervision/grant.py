"""A grant: the decision that one channel may hear another, and the place on the call that it fills."""

from __future__ import annotations

from dataclasses import dataclass

from agi_monitor.model import Identity, Mode


@dataclass(frozen=True, slots=True)
class Place:
    """One of those who hear a call.

    Parameters:
        supervisor: the id of the supervisor.
        spyer_uniqueid: the supervisor's channel.
        spyee_uniqueid: the agent's.
        since: as ``Grant.since``.
    """

    supervisor: str
    spyer_uniqueid: str
    spyee_uniqueid: str
    since: float

    @property
    def order(self) -> tuple[float, str]:
        """What sorts those who hear a call, the longest first."""
        return self.since, self.spyer_uniqueid


@dataclass(frozen=True, slots=True)
class Grant:
    """The decision that one spyer may spy on one spyee in one mode, until it is revoked.

    Parameters:
        call: the supervisor's call.
        number: numbers the grants of this call, from 1.
        supervisor: the id of the supervisor.
        pin: the PIN that proved it, as in ``Identity``.
        endpoint: the supervisor's device.
        spyer: the supervisor's channel.
        spyer_uniqueid: of that channel.
        extension: the agent.
        spyee: the agent's channel.
        spyee_uniqueid: of that channel.
        mode: in which the agent is heard.
        rule: the rule that allowed it.
        began: seconds since 1970.
        since: when hearing this call began, as the rules count it: through changes of mode, and that much earlier as
            this supervisor has heard of the call before.
        reason: what the supervisor gave as the reason, or empty.
        scan: the scan came to the agent.
    """

    call: str
    number: int
    supervisor: str
    pin: str
    endpoint: str
    spyer: str
    spyer_uniqueid: str
    extension: str
    spyee: str
    spyee_uniqueid: str
    mode: Mode
    rule: str
    began: float
    since: float
    reason: str = ""
    scan: bool = False

    @property
    def identity(self) -> Identity:
        """Who was identified, and by which PIN."""
        return Identity(self.supervisor, self.pin)

    @property
    def place(self) -> Place:
        """The place on the call that it fills."""
        return Place(self.supervisor, self.spyer_uniqueid, self.spyee_uniqueid, self.since)

    @property
    def id(self) -> str:
        """What it is called on the command line."""
        return f"{self.call}.{self.number}"
