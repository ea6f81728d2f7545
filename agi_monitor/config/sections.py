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
    Queue,
    RuleEntry,
    SupervisorEntry,
    Tenant,
    TextVersion,
)
from agi_monitor.config.restart import Restart, TopSection, needed_by
from agi_monitor.config.values import (
    Account,
    Address,
    Beep,
    Code,
    Host,
    Loopback,
    ManagerSecret,
    Music,
    Network,
    NodeName,
    NumberPattern,
    PluginName,
    ReasonDigit,
    ReasonSlug,
    ScanNumber,
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
    ModeMark,
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
    """The address written into the dialplan, if Asterisk reaches the server at an address other than `listen`."""
    peers: tuple[Network, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks Asterisk may connect from. FastAGI has no login: every peer listed here is trusted."""
    secret: Secret | None = None
    """Passed as the first AGI argument and compared by the server. It protects against a mistaken peer, not against
    an eavesdropper."""

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
    """A reason to hear an agent. The key is the digit that is pressed for it."""

    slug: ReasonSlug
    """What the audit calls it."""
    words: str = ""
    """What it means, for people who read this file."""


class Pins(TopSection):
    """How PINs are asked for."""

    restart = Restart.NOT_NEEDED

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Tries in one call."""
    seconds: Annotated[float, Field(ge=1, le=30, allow_inf_nan=False)] = 8.0
    """How long the server waits for the next digit of a PIN that does not end with `#`."""
    lock_after: Annotated[int, Field(ge=1, le=20)] = 3
    """Wrong PINs in a row, over all calls of a supervisor, before a lock-out."""
    lock_after_endpoint: Annotated[int, Field(ge=1, le=100)] = 5
    """Wrong PINs in a row, over all calls of a phone, before a lock-out. A correct PIN from another phone of the same
    supervisor does not reset the count. An unassigned phone is locked no later than a supervisor would be."""
    lock_after_peer: Annotated[int, Field(ge=1, le=10_000)] = 30
    """Wrong PINs in a row, over all calls of a PBX, before everyone on it is locked out. Any correct PIN resets the
    count."""
    lock_seconds: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 60.0
    """The first lock-out of a supervisor or a phone; every further wrong PIN doubles it."""
    max_lock_seconds: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 3_600.0
    """The longest lock-out of a supervisor or a phone."""
    lock_seconds_peer: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 10.0
    """The first lock-out of a PBX; every further wrong PIN doubles it."""
    max_lock_seconds_peer: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 300.0
    """The longest lock-out of a PBX."""
    remember_minutes: Annotated[float, Field(ge=0, le=720, allow_inf_nan=False)] = 0.0
    """How long a correct PIN is remembered for the same endpoint. 0 asks at every call."""
    any_phone: bool = False
    """Whether supervisors may call from a phone that is assigned to no supervisor: before the PIN they key in the
    number of a phone of their own, such as 2001 for `PJSIP/2001`. Such a phone does not remember a PIN. A Local
    channel is not a phone, and nor is a guest of chan_sip."""
    min_digits: Annotated[int, Field(ge=4, le=16)] = 4
    """The minimum number of digits of a new PIN. Existing PINs stay valid."""
    refuse_weak: bool = True
    """Whether new PINs that are easy to guess are refused: one digit repeated, digits that run up or down, a
    repeated pattern, a year, the number of one's own phone, and common choices."""
    max_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    """After how many days a PIN must be changed; never, if not given."""


class Dialplan(TopSection):
    """The generated dialplan."""

    restart = Restart.NOT_NEEDED

    hint_context: Context = "default"
    """Where the hints of the agents' extensions are."""
    templates: Path | None = None
    """A folder with the site's own templates; each replaces the packaged one of the same name."""
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
    """Its key, also a file on the PBX that Asterisk may read."""


class PjsipPart(Section):
    """What is rendered for pjsip.conf: templates for endpoints, by group, and a TLS transport."""

    tls: PjsipTLS | None = None
    """Encrypts the signalling: a transport `agi-monitor-tls`, which the templates use."""
    srtp: bool = False
    """Whether sound is encrypted (SDES) and calls without encryption are refused. Needs `tls`, which protects the
    keys."""


class Asterisk(TopSection):
    """Which files are made for the PBX, and how it is built."""

    restart = Restart.NOT_NEEDED

    flavour: Flavour = Flavour.PLAIN
    """Who writes the PBX's own files. `plain`: people. `freepbx`: FreePBX. `realtime`: a database that Asterisk
    asks."""
    phones: Context | None = None
    """The context that phones dial from. If it is set, there is a context `agi-monitor-phone-GROUP` for the phones of
    each group, with everything in this one plus the group's codes. On FreePBX the default is `from-internal`."""
    table: Context = "extensions"
    """With `flavour: realtime`, the name in extconfig.conf of the table that has the extensions of `phones`."""
    dialplan: bool = True
    """Whether the dialplan is made: codes, groups, and where they lead. If not, the site writes its own, with
    contexts of the same names."""
    account: bool = True
    """Whether the account for manager.conf is made. Needs `ami`."""
    pjsip: PjsipPart | None = None
    """What is made for pjsip.conf; nothing, if not given."""
    allow_transfer: bool = False
    """Whether supervisors' phones may transfer calls. If not, the templates for pjsip.conf and the SQL for
    `ps_endpoints` set `allow_transfer` to `no` for them: a phone that may transfer can hand over a call that it is
    listening to. Set it if supervisors must transfer calls of their own."""


class Audit(TopSection):
    """The record of who heard whom: in a file, in the database, or the same in both."""

    restart = Restart.NEEDED

    file: Path | None = Path("/var/log/agi-monitor/audit.jsonl")
    """One JSON object per line, appended. The folder must exist. If left empty, there is no file."""
    store: bool = False
    """Whether the records are also in the database of `store`, or only there if there is no file."""


class State(TopSection):
    """What survives a restart."""

    restart = Restart.NEEDED

    directory: Path = STATE_DIRECTORY
    """Holds the database (unless `store` names another), the keys of the server and of the audit, and a note of where
    the audit ends. The folder must exist."""


class Store(TopSection):
    """The database. By default it is a file in `state.directory`, and needs no set-up."""

    restart = Restart.NEEDED

    url: StoreUrl | None = None
    """`postgresql://user:password@host/name`, or `sqlite:///path`. Several servers can share one PostgreSQL."""
    node: NodeName | None = None
    """The name of this server there; the name of the machine, if not given."""
    people: bool = False
    """Whether supervisors, agents and rules live in the database, and are changed with `agi-monitor people`, `rules`
    and `pin`. If so, leave out the sections of these names here."""
    plugin: PluginName | None = None
    """The plug-in that knows supervisors, agents and rules: its hook is `PeopleStore`. If it is set, leave out the
    sections of these names here, and do not set `people`."""

    @property
    def has_people(self) -> bool:
        """Whether people are kept outside the configuration file."""
        return self.people or self.plugin is not None

    @property
    def this_node(self) -> str:
        """The name of this server."""
        return self.node or platform.node()[:64] or "localhost"


class Acknowledgement(TopSection):
    """Agents who have not acknowledged that calls are monitored cannot be heard."""

    restart = Restart.NOT_NEEDED

    text: Annotated[TextVersion, Field(min_length=1)]
    """The version of the text that agents must have been given: their `told_text`."""


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
    """They continue until the call ends or the supervisor hangs up."""
    END = "end"
    """They are hung up."""


class Stop(TopSection):
    """What SIGTERM does. In any case new calls are refused at once, and calls at a prompt end."""

    restart = Restart.NOT_NEEDED

    spies: StopSpies = StopSpies.KEEP
    """`keep`: running spies continue until the call ends or the supervisor hangs up, without mode keys.
    `end`: they are hung up, over AMI or with `hangup_command`."""
    seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 10.0
    """With `spies: end`, how long the server waits until they are gone. Clean-up that has not finished by then may
    take `limits.cleanup_seconds` more."""
    hangup_command: tuple[str, ...] = ()
    """Ends a channel if there is no `ami`, or while it is lost, for example when a spy is no longer allowed. It is a
    program and its arguments; `{channel}` stands for the channel's name. After ten seconds it is killed. A FastAGI
    server cannot end a running application by itself: `[asterisk, -rx, "channel request hangup {channel}"]`."""


class TLS(Section):
    """Encryption of the manager interface; the certificate of the PBX is always verified."""

    ca_file: Path | None = None
    """The certificates that are trusted, in PEM; those of the system, if not given."""
    name: Host | None = None
    """The name in the certificate, if it differs from `ami.host`."""


class AMI(TopSection):
    """The manager interface of the PBX: the live picture of its calls. Without this section every look-up goes over
    AGI, and spies that others start are not noticed."""

    restart = Restart.NEEDED

    node: Name = "pbx"
    """The name of this PBX in the audit, the metrics and on the command line."""
    host: Host = "127.0.0.1"
    """Where the manager interface listens."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5038
    """Its TCP port; Asterisk's default is 5038, with TLS 5039."""
    username: Account = "agi-monitor"
    """The account's section in manager.conf."""
    secret: ManagerSecret
    """The account's secret."""
    tls: TLS | None = None
    """Encryption; needed unless the network in between is private."""
    resync_minutes: Annotated[float, Field(ge=0.1, le=1_440, allow_inf_nan=False)] = 10.0
    """How often the picture is compared with a fresh list, and differences are counted."""


class ScanEntry(Section):
    """A scan of some calls. The key is the number that is dialled for it, after the code and `*`."""

    agents: Annotated[tuple[Name, ...], Field(min_length=1)] = ("all",)
    """Agent groups, extensions, or `all`."""
    queues: tuple[Queue, ...] = ()
    """Queues; if there are any, only the calls that came from one of them."""


class Spies(TopSection):
    """How spies behave, and what happens to those without a grant."""

    restart = Restart.NOT_NEEDED

    barge: Barge = Barge.CHANSPY
    """What carries a barge."""
    follow: Follow = Follow.AGENT
    """Whom a supervisor stays with when the call that they hear ends. Needs `ami`; without it, it is `none`."""
    scan_order: ScanOrder = ScanOrder.LONGEST
    """Which call the scan takes next."""
    mode_mark: ModeMark = ModeMark.NONE
    """What a supervisor hears, alone, before another mode begins. It takes as long as it sounds, without the call."""
    rogue: RogueSpies = RogueSpies.ALARM
    """What happens to a spy without a grant."""
    rogue_exceptions: tuple[Endpoint, ...] = ()
    """Devices that may spy without a grant, such as a recorder: no alarm for them."""
    orphans: Orphans = Orphans.ADOPT
    """What happens, when a server is back, to a spy of ours whose server died."""
    key: Annotated[Secret | None, Restart.NEEDED] = None
    """Signs grants, so that several servers of one PBX recognize each other's spies. Without it each server makes a
    key of its own, kept in `state.directory`, and takes the others' spies for rogue."""


class WaitedFor(StrEnum):
    """A refusal in place of which a supervisor may wait."""

    NO_CALL = "no_call"
    """The agent is not on a call."""
    RINGING = "ringing"
    """The agent's phone is ringing."""
    ON_HOLD = "on_hold"
    """The agent's call is on hold."""


class Waiting(TopSection):
    """How a supervisor waits for a call. `*` ends every wait."""

    restart = Restart.NOT_NEEDED

    reasons: tuple[WaitedFor, ...] = ()
    """If an agent cannot be heard for one of these reasons, the supervisor stays on the line and hears the agent's
    call as soon as both sides talk, instead of a refusal. The rules decide again when the call begins."""
    minutes: Annotated[float, Field(ge=0.1, le=720, allow_inf_nan=False)] = 15.0
    """How long such a wait may last. After that the refusal is said."""
    music: Music = False
    """Music during every wait: `true` for the music of the supervisor's channel, or the name of a class in
    musiconhold.conf. With `false` there is silence."""
    beep: Beep = False
    """Beeps during every wait: `true` for one every 20 seconds, or the number of seconds between two beeps."""


class Notice(TopSection):
    """Tells the agent, and no one else on the call, before the supervisor hears anything. Needs `ami`, and the
    dialplan must be rendered again."""

    restart = Restart.NOT_NEEDED

    sounds: Annotated[tuple[Sound, ...], Field(min_length=1)] = ("beep",)
    """Sound files without their endings, played one after the other."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = (Mode.LISTEN, Mode.WHISPER, Mode.BARGE, Mode.TAKE_OVER)
    """The modes before which the agent is told."""
    agents: Annotated[tuple[Name, ...], Field(min_length=1)] = ("all",)
    """Agent groups, extensions, or `all`."""


class Protected(TopSection):
    """Calls that may not be heard, whichever agent is on them. To protect an agent, use a rule with `deny`. A call is
    also protected by the channel variable AGI_MONITOR_PROTECTED on the agent's channel, with any value except empty,
    0 or no."""

    restart = Restart.NOT_NEEDED

    endpoints: tuple[Endpoint, ...] = ()
    """Devices; a call in which one of them takes part cannot be heard."""
    numbers: tuple[NumberPattern, ...] = ()
    """Numbers of the other party; one that ends in `*` means every number that begins with it."""


class Control(TopSection):
    """The socket that `agi-monitor calls`, `spies`, `spy` and `events` speak to."""

    restart = Restart.NEEDED

    socket: Path | None = None
    """Its path; `control.sock` in `state.directory`, if not given. Users who may open it see all calls and may end
    spies: it belongs to the server's user and group (0660)."""


class Metrics(TopSection):
    """Metrics for Prometheus, over HTTP on the loopback interface."""

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
    """The companies that share the PBX, by name; leave it empty if there is only one. With tenants, each supervisor
    and each agent has a `tenant`, and no supervisor can hear an agent of another one."""
    rules: Annotated[tuple[RuleEntry, ...], Restart.NOT_NEEDED] = ()
    """Who may hear whom, and how."""
    acknowledgement: Acknowledgement | None = None
    """Agents who have not acknowledged that calls are monitored cannot be heard."""
    reasons: Annotated[dict[ReasonDigit, ReasonEntry], Field(min_length=1), Restart.NOT_NEEDED] = Field(
        default_factory=lambda: {digit: ReasonEntry(slug=slug) for digit, slug in DEFAULT_REASONS.items()}
    )
    """The digits that a supervisor may press if a rule has `reason_required`."""
    pins: Pins = Pins()
    """How PINs are asked for."""
    prompts: Annotated[dict[str, Words], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """What is said instead of the default, by refusal reason or cue."""
    prompt_pack: Annotated[bool, Restart.NOT_NEEDED] = False
    """Whether the prompts of agi-monitor's own pack are played (English, German, Spanish) where `prompts` and
    `languages` say nothing else. They must be installed on the PBX; a prompt that is not there is said in the default
    words."""
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
    """The plug-ins to load, by the names of their entry points; the one in `store.plugin` is also loaded. An
    installed plug-in that is not named here never runs."""
    ami: AMI | None = None
    """The manager interface of the PBX: the live picture of its calls."""
    spies: Spies = Spies()
    """How spies behave, and what happens to those without a grant."""
    scans: Annotated[dict[ScanNumber, ScanEntry], Restart.NOT_NEEDED] = Field(default_factory=dict)
    """Scans of one group of agents or of one queue, by number: `*222*1` is the scan with the number 1. The dialplan
    must be rendered again."""
    waiting: Waiting = Waiting()
    """How a supervisor waits for a call. `*` ends every wait."""
    notice: Notice | None = None
    """Tells the agent, and no one else on the call, before the supervisor hears anything."""
    protected: Protected = Protected()
    """Calls that may not be heard, whichever agent is on them."""
    control: Control = Control()
    """The socket that `agi-monitor calls`, `spies`, `spy` and `events` speak to."""
    metrics: Metrics | None = None
    """Metrics for Prometheus, over HTTP on the loopback interface."""
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
        """People and rules; empty until they are read from the store."""
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
