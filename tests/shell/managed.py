"""A fake PBX with the real client, index and watch behind its manager interface, and an audit that is a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from structlog.testing import capture_logs
from structlog.typing import EventDict
from twisted.internet.defer import Deferred

from agi_monitor.ami.protocol import Account
from agi_monitor.audit.facts import Fact
from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.model import Agent, Mode, Supervisor
from agi_monitor.pbx.pbx import Pbx
from agi_monitor.pbx.spy_watch import SpyWatch
from agi_monitor.pins.records import pin_id
from agi_monitor.rights.authorization import Effect, Rule
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.proof import VARIABLE, Signer
from agi_monitor.testing import FakeManager

NOW = 1_700_000_000.0
SECRET = "correct-horse-battery"
RESYNC_SECONDS = 600.0
NODE = "pbx"

ANNA = Supervisor("anna", frozenset({"PJSIP/2001"}), frozenset({"leads"}), "no hash")
AGENT = Agent("1001", frozenset({"sales"}), ("PJSIP/1001",))
POLICY = Policy(
    codes={Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "*224"},
    supervisors={"PJSIP/2001": ANNA},
    agents={"1001": AGENT},
    rules=(Rule("leads", Effect.ALLOW, frozenset(Mode), frozenset({"leads"}), frozenset({"all"})),),
)

SPYER, SPYER_UNIQUEID = "PJSIP/2001-00000003", "1700000000.3"
SPYEE, SPYEE_UNIQUEID = "PJSIP/1001-00000001", "1700000000.1"
CUSTOMER, CUSTOMER_UNIQUEID = "PJSIP/trunk-00000002", "1700000000.2"
ROGUE, ROGUE_UNIQUEID = "PJSIP/6666-00000004", "1700000000.4"

GRANT = Grant(
    call="c-1",
    number=1,
    supervisor="anna",
    pin=pin_id(ANNA.pin_hash),
    endpoint="PJSIP/2001",
    spyer=SPYER,
    spyer_uniqueid=SPYER_UNIQUEID,
    extension="1001",
    spyee=SPYEE,
    spyee_uniqueid=SPYEE_UNIQUEID,
    mode=Mode.LISTEN,
    rule="leads",
    began=NOW,
    since=NOW,
)

SIGNER = Signer("here", "run-2", b"k" * 32)


@dataclass
class Ledger:
    """An audit that is a list.

    Parameters:
        facts: what was put into it.
        disk: what the next fact has to wait for, or None.
    """

    facts: list[Fact] = field(default_factory=list)
    disk: Deferred[None] | None = None

    async def append(self, fact: Fact) -> None:
        """Keep the fact."""
        disk, self.disk = self.disk, None
        if disk is not None:
            await disk
        self.facts.append(fact)


class Site:
    """One PBX with two people on a call, a supervisor's phone and a stranger's, all with a channel.

    Parameters:
        connect: whether to log in and take the first list.
    """

    def __init__(self, *, connect: bool = True) -> None:
        self.policy = POLICY
        self.ledger = Ledger()
        self.skew = 0.0
        """What the clock on the wall is wrong by."""
        self.fake = FakeManager("monitor", SECRET)
        self.fake.add_channel(SPYEE, SPYEE_UNIQUEID, "b-1")
        self.fake.add_channel(CUSTOMER, CUSTOMER_UNIQUEID, "b-1")
        self.fake.add_channel(SPYER, SPYER_UNIQUEID, Context="agi-monitor-call")
        self.fake.add_channel(ROGUE, ROGUE_UNIQUEID)
        self.pbx = Pbx(
            NODE,
            self.fake,
            Account("monitor", SECRET),
            self.fake.clock,
            self.time,
            lambda: self.policy.hint_context,
            self.ledger,
            RESYNC_SECONDS,
        )
        self.hung_up_otherwise: list[str] = []
        """Channels that were to be ended while the manager interface could not."""
        self.has_command = False
        """Whether the site has another way to end them."""
        self.watch = SpyWatch(
            self.pbx,
            self.fake.clock,
            self.time,
            SIGNER,
            lambda: self.policy,
            self.ledger,
            self._hang_up_otherwise,
            lambda: self.has_command,
        )
        self.pbx.watcher = self.watch
        if connect:
            self.connect()

    async def _hang_up_otherwise(self, channel: str) -> bool:
        self.hung_up_otherwise.append(channel)
        return self.has_command

    def time(self) -> float:
        """Seconds since 1970."""
        return NOW + self.skew + self.fake.clock.seconds()

    def connect(self) -> None:
        """Log in, and take the first lists; what is told of that is forgotten."""
        self.pbx.start()
        self.fake.advance(0.0)
        self.fake.advance(SETTLE_SECONDS)
        self.forget()

    def come_back(self) -> None:
        """The connection is lost and made again."""
        self.fake.lose_connection()
        self.fake.advance(5.0)

    def forget(self) -> None:
        """Forget what was told so far."""
        self.ledger.facts.clear()
        self.fake.actions.clear()
        self.fake.happened.clear()

    def change(self, **changes: object) -> None:
        """Load another configuration."""
        self.policy = replace(self.policy, **changes)  # type: ignore[arg-type]  # the fields of Policy
        self.watch.recheck()
        self.fake.check()

    def open(self, grant: Grant = GRANT) -> str:
        """A story is given a grant, puts its proof on the channel and begins to spy."""
        proof = self.watch.opened(grant)
        self.fake.variables[grant.spyer, VARIABLE] = proof
        self.fake.start_spying(grant.spyer, grant.spyee)
        return proof

    def close(self, grant: Grant = GRANT) -> None:
        """The spy is over, and its story takes note."""
        self.fake.stop_spying(grant.spyer, grant.spyee)
        self.fake.variables[grant.spyer, VARIABLE] = ""
        self.watch.closed(grant)

    @property
    def facts(self) -> list[str]:
        """The names of all facts but those by which the PBX confirms a grant."""
        return [fact.name for fact in self.ledger.facts if fact.name not in ("spy_heard", "spy_silent")]

    def records(self, name: str) -> list[Mapping[str, object]]:
        """The records of all facts of this name."""
        return [fact.record() for fact in self.ledger.facts if fact.name == name]

    def is_up(self) -> bool:
        """Whether the live picture can be trusted."""
        return self.pbx.stale() is None


@contextmanager
def logged() -> Iterator[list[EventDict]]:
    """Collect what is logged, out of the way of the tests' output."""
    with capture_logs() as logs:
        yield logs
