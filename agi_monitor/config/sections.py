"""The sections of ``agi-monitor.yaml``, and the whole of them. What a key means stands below it."""

from __future__ import annotations

import platform
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, with_config

from agi_monitor.config.control_socket import STATE_DIRECTORY
from agi_monitor.config.document import Section
from agi_monitor.config.people import (
    AgentEntry,
    AgentKey,
    Context,
    Endpoint,
    Language,
    Name,
    People,
    RuleEntry,
    SupervisorEntry,
    Tenant,
    TextVersion,
)
from agi_monitor.config.restart import Restart, TopSection, needed_by
from agi_monitor.config.values import (
    Account,
    Address,
    Code,
    Host,
    Loopback,
    ManagerSecret,
    Network,
    NodeName,
    NumberPattern,
    PluginName,
    ReasonDigit,
    ReasonSlug,
    Secret,
    Sound,
    StoreUrl,
    Words,
)
from agi_monitor.limits import Limits
from agi_monitor.model import (
    DEFAULT_REASONS,
    Barge,
    Flavour,
    Follow,
    Mode,
    Orphans,
    RogueSpies,
    ScanOrder,
)


class FastAGI(TopSection):
    """Where Asterisk finds the server."""

    restart = Restart.NEEDED

    listen: Address = "127.0.0.1"
    """The address the server listens on."""
    port: Annotated[int, Field(ge=1, le=65535)] = 4573
    """The TCP port; Asterisk's default for FastAGI is 4573."""
    address: Address | None = None
    """The address written into the dialplan, when Asterisk reaches the server by another one than `listen`."""
    peers: tuple[Network, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks Asterisk may connect from. FastAGI has no login: everybody in here is trusted."""
    secret: Secret | None = None
    """Passed as the first AGI argument and compared by the server. Against a mistaken peer, not an eavesdropper."""

    @property
    def dialplan_address(self) -> str:
        """The address for the dialplan."""
        return self.address or self.listen


class Codes(TopSection):
    """What is dialled, before the agent's extension."""

    restart = Restart.NOT_NEEDED

    listen: Code = "*222"
    """Hear agent and customer."""
    whisper: Code = "*223"
    """The agent hears the supervisor as well."""
    barge: Code = "*224"
    """Agent and customer hear the supervisor."""

    def by_mode(self) -> dict[Mode, str]:
        """Return the code of each mode."""
        return {Mode.LISTEN: self.listen, Mode.WHISPER: self.whisper, Mode.BARGE: self.barge}


class ReasonEntry(Section):
    """A reason to hear somebody. The key is the digit that is pressed for it."""

    slug: ReasonSlug
    """What the audit calls it."""
    words: str = ""
    """What it means, for people who read this file."""


class Pins(TopSection):
    """How PINs are asked for."""

    restart = Restart.NOT_NEEDED

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Tries in one call."""
    lock_after: Annotated[int, Field(ge=1, le=20)] = 3
    """Wrong PINs in a row, over all calls of a supervisor, before a lock-out."""
    lock_after_endpoint: Annotated[int, Field(ge=1, le=100)] = 5
    """Wrong PINs in a row, over all calls of a phone, before a lock-out. A right PIN from another phone of the same
    supervisor does not take them back. A phone that belongs to nobody is locked no later than a supervisor would
    be."""
    lock_after_peer: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Wrong PINs in a row, over all calls of a PBX, before a lock-out of everybody on it. Any right PIN takes them
    back."""
    lock_seconds: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 60.0
    """The first lock-out of a supervisor or a phone; every further wrong PIN doubles it."""
    max_lock_seconds: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 3_600.0
    """The longest lock-out of a supervisor or a phone."""
    lock_seconds_peer: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 10.0
    """The first lock-out of a PBX; every further wrong PIN doubles it."""
    max_lock_seconds_peer: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 300.0
    """The longest lock-out of a PBX."""
    remember_minutes: Annotated[float, Field(ge=0, le=720, allow_inf_nan=False)] = 0.0
    """So long a right PIN counts for the same endpoint. 0 asks at every call."""
    min_digits: Annotated[int, Field(ge=4, le=16)] = 4
    """The fewest digits of a new PIN. PINs that are there already stay."""
    refuse_weak: bool = True
    """Whether new PINs that are easy to guess are refused: one digit again and again, digits that run up or down, a
    pattern that comes again, a year, the number of the own phone, and those that most people choose."""
    max_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    """So many days after it was made a PIN has to be changed. Without it, never."""


class Dialplan(TopSection):
    """The generated dialplan."""

    restart = Restart.NOT_NEEDED

    hint_context: Context = "default"
    """Where the hints of the agents' extensions are."""
    templates: Path | None = None
    """A folder with templates of the site; one that is here replaces the packaged one of the same name."""
    test_calls: bool = True
    """Whether there is a context for the test calls of `agi-monitor doctor --audio`."""


class PjsipTLS(Section):
    """The TLS transport of PJSIP."""

    address: Address = "0.0.0.0"
    """Where the PBX listens for phones with TLS."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5061
    """Its TCP port."""
    certificate: Path
    """The PBX's certificate, a file on the PBX that Asterisk may read."""
    key: Path
    """Its key, likewise."""


class PjsipPart(Section):
    """What is rendered for pjsip.conf: templates for endpoints, by group, and a TLS transport."""

    tls: PjsipTLS | None = None
    """Signalling is encrypted: a transport `agi-monitor-tls`, which the templates use."""
    srtp: bool = False
    """Sound is encrypted (SDES), and a call without it is refused. Needs `tls`, which the keys travel in."""


class Asterisk(TopSection):
    """Which files are made for the PBX, and how it is built."""

    restart = Restart.NOT_NEEDED

    flavour: Flavour = Flavour.PLAIN
    """Who writes the PBX's own files: `plain` people, `freepbx` FreePBX, `realtime` a database that Asterisk asks."""
    phones: Context | None = None
    """The context that phones dial from. With it there is a context `agi-monitor-phone-GROUP` for the phones of each
    group, with everything of this one and the group's codes. On FreePBX it is `from-internal` when not given."""
    table: Context = "extensions"
    """With `flavour: realtime`, the name in extconfig.conf of the table that has the extensions of `phones`."""
    dialplan: bool = True
    """Whether the dialplan is made: codes, groups, and where they lead. Without it the site writes its own, in which
    the contexts have the same names."""
    account: bool = True
    """Whether the account for manager.conf is made. Needs `ami`."""
    pjsip: PjsipPart | None = None
    """What is made for pjsip.conf; nothing when not given."""
    allow_transfer: bool = False
    """Whether supervisors' phones may transfer calls. When not, the templates for pjsip.conf and the SQL for
    `ps_endpoints` set `allow_transfer` to `no` for them: a phone that may transfer can hand a call that it is
    listening to over to any other phone. Set it where supervisors have to transfer calls of their own."""


class Audit(TopSection):
    """The record of who heard whom: in a file, in the database, or the same in both."""

    restart = Restart.NEEDED

    file: Path | None = Path("/var/log/agi-monitor/audit.jsonl")
    """One JSON object a line, appended. The folder must exist. Left empty, there is no file."""
    store: bool = False
    """Whether the records are in the database of `store`, too, or only there."""


class State(TopSection):
    """What survives a restart."""

    restart = Restart.NEEDED

    directory: Path = STATE_DIRECTORY
    """Holds the database where `store` names no other, the keys of server and audit, and where the audit ends. The
    folder must exist."""


class Store(TopSection):
    """The database. Without anything here it is a file in `state.directory`, and needs no set-up."""

    restart = Restart.NEEDED

    url: StoreUrl | None = None
    """`postgresql://user:password@host/name`, or `sqlite:///path`. Several servers can share one PostgreSQL."""
    node: NodeName | None = None
    """How this server is called there; the name of the machine, when not given."""
    people: bool = False
    """Supervisors, agents and rules live in the database, and are changed with `agi-monitor people`, `rules` and
    `pin`. The sections of these names are left out here then."""
    plugin: PluginName | None = None
    """The plug-in that knows supervisors, agents and rules: its hook is `PeopleStore`. The sections of these names
    are left out here then, and `people` is not set."""

    @property
    def has_people(self) -> bool:
        """Whether people are elsewhere than in the configuration file."""
        return self.people or self.plugin is not None

    @property
    def this_node(self) -> str:
        """How this server is called."""
        return self.node or platform.node()[:64] or "localhost"


class Acknowledgement(TopSection):
    """Agents who have not acknowledged that calls are monitored cannot be heard."""

    restart = Restart.NOT_NEEDED

    text: Annotated[TextVersion, Field(min_length=1)]
    """The version of the text that they must have been given: `told_text` of the agent."""


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


class Log(TopSection):
    """Logs go to standard error."""

    restart = Restart.NEEDED

    level: LogLevel = LogLevel.INFO
    """`debug` adds every AGI command and reply, never the digits of a prompt."""
    format: LogFormat = LogFormat.CONSOLE
    """`console` for people, `json` for machines."""


class StopSpies(StrEnum):
    """What happens to running spies when the server stops."""

    KEEP = "keep"
    """They go on until the call ends or the supervisor hangs up."""
    END = "end"
    """They are hung up."""


class Stop(TopSection):
    """What SIGTERM does. New calls are refused at once in any case, and calls at a prompt end."""

    restart = Restart.NOT_NEEDED

    spies: StopSpies = StopSpies.KEEP
    """`keep`: running spies go on until the call ends or the supervisor hangs up, without mode keys.
    `end`: they are hung up, over AMI or with `hangup_command`."""
    seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 10.0
    """With `spies: end`, so long the server waits for them to be gone. What is being tidied up then may take
    `limits.cleanup_seconds` more."""
    hangup_command: tuple[str, ...] = ()
    """Ends a channel where there is no `ami`, or while it is lost, as of a spy whose right was taken away: a program
    and its arguments, `{channel}` stands for the name. After ten seconds it is killed. A FastAGI server cannot end a
    running application: `[asterisk, -rx, "channel request hangup {channel}"]`."""


class TLS(Section):
    """Encryption of the manager interface; the certificate of the PBX is always verified."""

    ca_file: Path | None = None
    """The certificates that are trusted, in PEM. Without it those of the system."""
    name: Host | None = None
    """The name in the certificate, when it is not the same as `ami.host`."""


class AMI(TopSection):
    """The manager interface of the PBX: the live picture of its calls. Without this section every look-up goes over
    AGI, and nothing is known of spies that others start."""

    restart = Restart.NEEDED

    node: Name = "pbx"
    """How the audit, the metrics and the command line call this PBX."""
    host: Host = "127.0.0.1"
    """Where the manager interface listens."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5038
    """Its TCP port; Asterisk's default is 5038, with TLS 5039."""
    username: Account = "agi-monitor"
    """The account's section in manager.conf."""
    secret: ManagerSecret
    """The account's secret."""
    tls: TLS | None = None
    """Encryption; needed unless the network between is nobody else's."""
    resync_minutes: Annotated[float, Field(ge=0.1, le=1_440, allow_inf_nan=False)] = 10.0
    """So often the picture is held against a fresh list, and differences are counted."""


class Spies(TopSection):
    """How spies behave, and what happens to those that nobody granted."""

    restart = Restart.NOT_NEEDED

    barge: Barge = Barge.CHANSPY
    """What carries a barge."""
    follow: Follow = Follow.AGENT
    """Whom a supervisor stays with when a call that is heard ends. Needs `ami`; without it `none`."""
    scan_order: ScanOrder = ScanOrder.LONGEST
    """Which call the scan takes next."""
    rogue: RogueSpies = RogueSpies.ALARM
    """What happens to a spy that nobody granted."""
    rogue_exceptions: tuple[Endpoint, ...] = ()
    """Devices that may spy without a grant, such as a recorder's: no alarm for them."""
    orphans: Orphans = Orphans.ADOPT
    """What happens to a spy of ours whose server died, when a server is back."""
    key: Annotated[Secret | None, Restart.NEEDED] = None
    """Signs grants, so that several servers of one PBX know each other's spies. Without it each server makes one of
    its own, kept in `state.directory`, and takes the others' spies for rogue."""


class Notice(TopSection):
    """Tells the agent, and nobody else on the call, before the supervisor hears anything. Needs `ami`, and the
    dialplan rendered anew."""

    restart = Restart.NOT_NEEDED

    sounds: Annotated[tuple[Sound, ...], Field(min_length=1)] = ("beep",)
    """Sound files without their endings, played one after the other."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = (Mode.LISTEN, Mode.WHISPER, Mode.BARGE, Mode.TAKE_OVER)
    """Before which modes."""
    agents: Annotated[tuple[Name, ...], Field(min_length=1)] = ("all",)
    """Agent groups, extensions, or `all`."""


class Protected(TopSection):
    """Calls that nobody may hear, whoever's. An agent is protected by a rule with `deny`. A call is also protected
    by the channel variable AGI_MONITOR_PROTECTED on the agent's channel, with any value but empty, 0 or no."""

    restart = Restart.NOT_NEEDED

    endpoints: tuple[Endpoint, ...] = ()
    """Devices; nobody hears a call that one of them takes part in."""
    numbers: tuple[NumberPattern, ...] = ()
    """Numbers of the other party; with a `*` behind it, every number that begins so."""


class Control(TopSection):
    """The socket that `agi-monitor calls`, `spies`, `spy` and `events` speak to."""

    restart = Restart.NEEDED

    socket: Path | None = None
    """Its path; `control.sock` in `state.directory` when not given. Whoever may open it sees all calls and may end
    spies: it belongs to the server's user and group (0660)."""


class Metrics(TopSection):
    """Numbers for Prometheus, over HTTP on the loopback interface."""

    restart = Restart.NEEDED

    listen: Loopback = "127.0.0.1"
    """The address, of the loopback interface."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9573
    """The TCP port."""


class Config(Section):
    """The whole file."""

    fastagi: FastAGI = FastAGI()
    """Where Asterisk finds the server."""
    codes: Codes = Codes()
    """The feature codes."""
    supervisors: Annotated[dict[Name, SupervisorEntry], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """Who may ask to hear calls, by id. Needed, like the next two, unless `store.people` or `store.plugin` is set."""
    agents: Annotated[dict[AgentKey, AgentEntry], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """Whose calls may be heard, by extension."""
    tenants: Annotated[dict[Name, Tenant], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """The companies that share the PBX, by name; none where it has only one. With any, each supervisor and each agent
    has a `tenant`, and nobody hears an agent of another."""
    rules: Annotated[tuple[RuleEntry, ...], Restart.NOT_NEEDED] = ()
    """Who may hear whom, and how."""
    acknowledgement: Acknowledgement | None = None
    """Agents who have not acknowledged that calls are monitored cannot be heard."""
    reasons: Annotated[dict[ReasonDigit, ReasonEntry], Field(min_length=1), Restart.NOT_NEEDED] = Field(
        default_factory=lambda: {digit: ReasonEntry(slug=slug) for digit, slug in DEFAULT_REASONS.items()}
    )
    """The digits that a supervisor may press where a rule has `reason_required`."""
    pins: Pins = Pins()
    """How PINs are asked for."""
    prompts: Annotated[dict[str, Words], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """What is said instead of the default, by refusal reason or cue."""
    languages: Annotated[dict[Language, dict[str, Words]], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """The same for one language."""
    dialplan: Dialplan = Dialplan()
    """The generated dialplan."""
    asterisk: Asterisk = Asterisk()
    """Which files are made for the PBX, and how it is built."""
    audit: Audit = Audit()
    """The record of who heard whom."""
    state: State = State()
    """What survives a restart."""
    store: Store = Store()
    """The database."""
    plugins: Annotated[tuple[PluginName, ...], Restart.NEEDED] = ()
    """The plug-ins that are loaded, by the names of their entry points; the one of `store.plugin` is, too. An
    installed plug-in that is not named here is never run."""
    ami: AMI | None = None
    """The manager interface of the PBX: the live picture of its calls."""
    spies: Spies = Spies()
    """How spies behave, and what happens to those that nobody granted."""
    notice: Notice | None = None
    """Tells the agent, and nobody else on the call, before the supervisor hears anything."""
    protected: Protected = Protected()
    """Calls that nobody may hear, whoever's."""
    control: Control = Control()
    """The socket that `agi-monitor calls`, `spies`, `spy` and `events` speak to."""
    metrics: Metrics | None = None
    """Numbers for Prometheus, over HTTP on the loopback interface."""
    log: Log = Log()
    """Logs go to standard error."""
    stop: Stop = Stop()
    """What SIGTERM does."""
    limits: Annotated[Limits, Restart.NEEDED] = Limits()
    """What one FastAGI peer may cost: sizes in bytes, times in seconds."""

    @property
    def named_plugins(self) -> frozenset[str]:
        """The plug-ins that may run."""
        return frozenset(self.plugins) if self.store.plugin is None else frozenset({*self.plugins, self.store.plugin})

    @property
    def people(self) -> People:
        """Who there is, and who may hear whom; nobody before they are taken from the store."""
        return People.model_construct(supervisors=self.supervisors, agents=self.agents, rules=self.rules)

    def with_people(self, people: People) -> Config:
        """Return the same configuration with people from the store."""
        return self.model_copy(
            update={"supervisors": people.supervisors, "agents": people.agents, "rules": people.rules}
        )


with_config(ConfigDict(extra="forbid", hide_input_in_errors=True))(Limits)
Config.model_rebuild(force=True)

AFTER_RESTART = needed_by(Config)
"""What only a restart changes. It is looked for here, so that a section that does not say it is found at once."""
