"""Read, check and freeze ``agi-monitor.yaml``. Every problem names its key and its line.

The file is read as text all the way: ``1001`` and ``"1001"`` are the same extension, and ``0100`` stays ``0100``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, with_config

from agi_monitor.config import document
from agi_monitor.config.document import Problem, Section, matching
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
    tenant_problems,
    tenants_differ,
)
from agi_monitor.config.people import problems as people_problems
from agi_monitor.errors import ConfigError
from agi_monitor.limits import Limits
from agi_monitor.model import (
    DEFAULT_REASONS,
    ONE_FILE,
    Barge,
    Cue,
    Flavour,
    Follow,
    Mode,
    Orphans,
    Reason,
    RogueSpies,
    ScanOrder,
)

MIN_DIFFERENT = 6
"""Different characters in the secret of the manager account, as many as its login asks for."""


MAX_SHOWN = 120
"""How many characters of a value that is not secret are shown."""


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IP address; a name would have to be looked up at every call") from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        # What was given stands in it, however long it is.
        raise ValueError(str(error)[:MAX_SHOWN]) from None
    return text


def _loopback(text: str) -> str:
    if not ipaddress.ip_address(text).is_loopback:
        raise ValueError("must be an address of the loopback interface, such as 127.0.0.1: there is no login here")
    return text


Code = Annotated[str, matching(r"[0-9*#]{1,8}", "must be 1 to 8 of the keys 0-9, * and #")]
ReasonDigit = Annotated[str, matching(r"[1-9]", "must be a digit from 1 to 9, which is pressed for the reason")]
ReasonSlug = Annotated[
    str, matching(r"[a-z][a-z0-9_-]{0,19}", "must be small letters, digits, - and _, at most 20 of them")
]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Word = Annotated[
    str,
    matching(
        r"(?!.*\.\.)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*|\{extension\}|\{choice\}|\{number\}",
        "must be a sound file without its ending, such as vm-goodbye, or {extension}, {choice}, {number}",
    ),
]
Words = Annotated[tuple[Word, ...], Field(min_length=1)]
StoreUrl = Annotated[
    str,
    matching(r"(sqlite:///|postgresql://)\S{1,900}", "must be postgresql://user@host/name or sqlite:///path"),
]
NodeName = Annotated[
    str, matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "must be letters, digits, _ . and -, at most 64")
]
PluginName = Annotated[str, matching(r"[A-Za-z0-9_.-]{1,64}", "must be the name of an entry point")]
Secret = Annotated[str, matching(r"[A-Za-z0-9_-]{16,128}", "must be 16 to 128 letters, digits, - and _")]
Host = Annotated[str, matching(r"[A-Za-z0-9:._-]{1,253}", "must be a host name or an IP address")]
Account = Annotated[str, matching(r"(?!general$)[A-Za-z0-9_-]{1,40}", "must be letters, digits, - and _, at most 40")]
ManagerSecret = Annotated[
    str, matching(r"[!-:<-~]{16,128}", "must be 16 to 128 visible characters without spaces and semicolons")
]
Loopback = Annotated[Address, AfterValidator(_loopback)]
Sound = Annotated[
    str,
    matching(
        r"(?!.*\.\.)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", "must be a sound file without its ending, such as beep"
    ),
]
NumberPattern = Annotated[
    str, matching(r"\+?[0-9]{1,20}\*?", "must be a number of up to 20 digits, or its beginning followed by a *")
]


class FastAGI(Section):
    """Where Asterisk finds the server."""

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


class Codes(Section):
    """What is dialled, before the agent's extension."""

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


class Pins(Section):
    """How PINs are asked for."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Tries in one call."""
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
    min_digits: Annotated[int, Field(ge=4, le=16)] = 4
    """The minimum number of digits of a new PIN. Existing PINs stay valid."""
    refuse_weak: bool = True
    """Whether new PINs that are easy to guess are refused: one digit repeated, digits that run up or down, a
    repeated pattern, a year, the number of one's own phone, and common choices."""
    max_days: Annotated[int, Field(ge=1, le=3_650)] | None = None
    """After how many days a PIN must be changed; never, if not given."""


class Dialplan(Section):
    """The generated dialplan."""

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


class Asterisk(Section):
    """Which files are made for the PBX, and how it is built."""

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


class Audit(Section):
    """The record of who heard whom: in a file, in the database, or the same in both."""

    file: Path | None = Path("/var/log/agi-monitor/audit.jsonl")
    """One JSON object per line, appended. The folder must exist. If left empty, there is no file."""
    store: bool = False
    """Whether the records are also in the database of `store`, or only there if there is no file."""


class State(Section):
    """What survives a restart."""

    directory: Path = Path("/var/lib/agi-monitor")
    """Holds the database (unless `store` names another), the keys of the server and of the audit, and a note of where
    the audit ends. The folder must exist."""


class Store(Section):
    """The database. By default it is a file in `state.directory`, and needs no set-up."""

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


class Acknowledgement(Section):
    """Agents who have not acknowledged that calls are monitored cannot be heard."""

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


class Log(Section):
    """Logs go to standard error."""

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


class Stop(Section):
    """What SIGTERM does. In any case new calls are refused at once, and calls at a prompt end."""

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


class AMI(Section):
    """The manager interface of the PBX: the live picture of its calls. Without this section every look-up goes over
    AGI, and spies that others start are not noticed."""

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


class Spies(Section):
    """How spies behave, and what happens to those without a grant."""

    barge: Barge = Barge.CHANSPY
    """What carries a barge."""
    follow: Follow = Follow.AGENT
    """Whom a supervisor stays with when the call that they hear ends. Needs `ami`; without it, it is `none`."""
    scan_order: ScanOrder = ScanOrder.LONGEST
    """Which call the scan takes next."""
    rogue: RogueSpies = RogueSpies.ALARM
    """What happens to a spy without a grant."""
    rogue_exceptions: tuple[Endpoint, ...] = ()
    """Devices that may spy without a grant, such as a recorder: no alarm for them."""
    orphans: Orphans = Orphans.ADOPT
    """What happens, when a server is back, to a spy of ours whose server died."""
    key: Secret | None = None
    """Signs grants, so that several servers of one PBX recognize each other's spies. Without it each server makes a
    key of its own, kept in `state.directory`, and takes the others' spies for rogue."""


class Notice(Section):
    """Tells the agent, and no one else on the call, before the supervisor hears anything. Needs `ami`, and the
    dialplan must be rendered again."""

    sounds: Annotated[tuple[Sound, ...], Field(min_length=1)] = ("beep",)
    """Sound files without their endings, played one after the other."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = (Mode.LISTEN, Mode.WHISPER, Mode.BARGE, Mode.TAKE_OVER)
    """The modes before which the agent is told."""
    agents: Annotated[tuple[Name, ...], Field(min_length=1)] = ("all",)
    """Agent groups, extensions, or `all`."""


class Protected(Section):
    """Calls that may not be heard, whichever agent is on them. To protect an agent, use a rule with `deny`. A call is
    also protected by the channel variable AGI_MONITOR_PROTECTED on the agent's channel, with any value except empty,
    0 or no."""

    endpoints: tuple[Endpoint, ...] = ()
    """Devices; a call in which one of them takes part cannot be heard."""
    numbers: tuple[NumberPattern, ...] = ()
    """Numbers of the other party; one that ends in `*` means every number that begins with it."""


class Control(Section):
    """The socket that `agi-monitor calls`, `spies`, `spy` and `events` speak to."""

    socket: Path | None = None
    """Its path; `control.sock` in `state.directory`, if not given. Users who may open it see all calls and may end
    spies: it belongs to the server's user and group (0660)."""


class Metrics(Section):
    """Metrics for Prometheus, over HTTP on the loopback interface."""

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
    supervisors: dict[Name, SupervisorEntry] = Field(default_factory=dict)
    """Who may ask to hear calls, by id. Needed, like the next two, unless `store.people` or `store.plugin` is set."""
    agents: dict[AgentKey, AgentEntry] = Field(default_factory=dict)
    """Whose calls may be heard, by extension."""
    tenants: dict[Name, Tenant] = Field(default_factory=dict)
    """The companies that share the PBX, by name; leave it empty if there is only one. With tenants, each supervisor
    and each agent has a `tenant`, and no supervisor can hear an agent of another one."""
    rules: tuple[RuleEntry, ...] = ()
    """Who may hear whom, and how."""
    acknowledgement: Acknowledgement | None = None
    """Agents who have not acknowledged that calls are monitored cannot be heard."""
    reasons: Annotated[dict[ReasonDigit, ReasonEntry], Field(min_length=1)] = Field(
        default_factory=lambda: {digit: ReasonEntry(slug=slug) for digit, slug in DEFAULT_REASONS.items()}
    )
    """The digits that a supervisor may press if a rule has `reason_required`."""
    pins: Pins = Pins()
    """How PINs are asked for."""
    prompts: dict[str, Words] = Field(default_factory=dict)
    """What is said instead of the default, by refusal reason or cue."""
    languages: dict[Language, dict[str, Words]] = Field(default_factory=dict)
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
    plugins: tuple[PluginName, ...] = ()
    """The plug-ins to load, by the names of their entry points; the one in `store.plugin` is also loaded. An
    installed plug-in that is not named here never runs."""
    ami: AMI | None = None
    """The manager interface of the PBX: the live picture of its calls."""
    spies: Spies = Spies()
    """How spies behave, and what happens to those without a grant."""
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
    limits: Limits = Limits()
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


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read and is valid.

    Parameters:
        config: what it says.
        digest: SHA-256 of its bytes, in hexadecimal.
    """

    config: Config
    digest: str


def load(path: Path) -> Loaded:
    """Read and check a configuration file.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    content = read(path)
    return Loaded(parse(content, str(path)), digest(content))


def read(path: Path) -> bytes:
    """Return what a configuration file holds.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return document.read(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. Write one with: agi-monitor init") from error


def digest(content: bytes) -> str:
    """Return what the audit calls a file by: SHA-256 of its bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def parse(content: bytes, name: str) -> Config:
    """Check the text of a configuration.

    Parameters:
        content: UTF-8.
        name: for the messages.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    return check(document.parsed(content, name), name)


def check(found: document.Parsed, name: str) -> Config:
    """Check what a configuration says.

    Parameters:
        found: the document.
        name: for the messages.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    return document.check(found, name, Config, _problems, "Write a sample with: agi-monitor init")


def tenant_mistakes(config: Config, people: People) -> tuple[str, ...]:
    """Return what is wrong between people, wherever they live, and the companies that the configuration names."""
    found = tenant_problems(people, config.tenants, config.dialplan.hint_context)
    return tuple(f"{document.place(where)}: {what}" for where, what in found)


def _problems(config: Config) -> Iterator[Problem]:
    for check in _CHECKS:
        yield from check(config)


# ---- what only the whole can show ----------------------------------------------------------------------


def _codes_differ(config: Config) -> Iterator[Problem]:
    codes = {mode.value: code for mode, code in config.codes.by_mode().items()}
    for mode, code in codes.items():
        for other, longer in codes.items():
            if mode != other and longer.startswith(code) and (code != longer or mode < other):
                yield ("codes", other), f"{longer} begins with {code}, the code of {mode}: a call could mean both"


def _people_are_in_one_place(config: Config) -> Iterator[Problem]:
    if config.store.people and config.store.plugin is not None:
        yield ("store", "plugin"), "is a second place for people, besides store.people; leave one of them out"
    for section in ("supervisors", "agents", "rules"):
        if config.store.people and section in config.model_fields_set:
            yield (section,), "is in the store, because of store.people; agi-monitor people import takes a file"
        elif config.store.plugin is not None and section in config.model_fields_set:
            yield (section,), f"comes from the plug-in {config.store.plugin}, because of store.plugin"
        elif not config.store.has_people and section not in config.model_fields_set:
            yield (section,), "is missing"
    if not config.store.has_people:
        for name, entry in config.supervisors.items():
            if entry.pin is None:
                yield ("supervisors", name, "pin"), "is missing; make one with: agi-monitor pin"


def _people_are_right(config: Config) -> Iterator[Problem]:
    yield from people_problems(config.people)
    yield from tenant_problems(config.people, config.tenants, config.dialplan.hint_context)


def _tenants_differ(config: Config) -> Iterator[Problem]:
    yield from tenants_differ(config.tenants)


def _reasons_differ(config: Config) -> Iterator[Problem]:
    digits: dict[str, str] = {}
    for digit, entry in config.reasons.items():
        other = digits.setdefault(entry.slug, digit)
        if other != digit:
            yield ("reasons", digit, "slug"), f"{entry.slug} is already the reason of the digit {other}"


def _prompts_are_known(config: Config) -> Iterator[Problem]:
    tables: list[tuple[document.Path_, dict[str, Words]]] = [(("prompts",), config.prompts)]
    tables += [(("languages", language), table) for language, table in config.languages.items()]
    known = {*Cue, *Reason}
    for where, table in tables:
        for moment, words in table.items():
            if moment not in known:
                yield (
                    (*where, moment),
                    f"is not a refusal reason or a cue; there are: {', '.join(sorted(known))}",
                )
            elif moment in ONE_FILE and (len(words) != 1 or words[0].startswith("{")):
                yield (*where, moment), "must be exactly one sound file, because keys may interrupt it"
            else:
                for word in words:
                    if word.startswith("{") and word not in _placeholders(moment):
                        yield (*where, moment), f"{word} has no value at this moment"
        for one, other in _ALIKE:
            if table.get(one) != table.get(other):
                yield (
                    (*where, one if one in table else other),
                    (f"{one} and {other} must have the same words: a caller must not tell them apart"),
                )


_ALIKE = ((Reason.PIN_WRONG, Reason.ENDPOINT_UNKNOWN), (Reason.MODE_DENIED, Reason.AGENT_UNKNOWN))
"""An unassigned phone sounds like a wrong PIN, an unknown agent like a forbidden one."""


def _placeholders(moment: str) -> frozenset[str]:
    if moment == Cue.CHOOSE_CALL:
        return frozenset({"{choice}", "{number}"})
    return frozenset({"{extension}"} if moment in {Cue.SCANNED, *Reason} else ())


def _locks_grow(config: Config) -> Iterator[Problem]:
    if config.pins.max_lock_seconds < config.pins.lock_seconds:
        yield ("pins",), "max_lock_seconds is shorter than lock_seconds, the first lock-out"
    if config.pins.max_lock_seconds_peer < config.pins.lock_seconds_peer:
        yield ("pins",), "max_lock_seconds_peer is shorter than lock_seconds_peer, the first lock-out"


def _ages_are_known(config: Config) -> Iterator[Problem]:
    if config.pins.max_days is not None:
        for name, entry in config.supervisors.items():
            if entry.pin_set is None:
                yield ("supervisors", name), "pin_set is missing, and pins.max_days counts from then on"


def _stop_can_end(config: Config) -> Iterator[Problem]:
    command = config.stop.hangup_command
    if config.stop.spies is StopSpies.END and config.ami is None and not any("{channel}" in part for part in command):
        yield ("stop",), "spies: end needs ami, or a hangup_command with {channel} in it"


def _secret_is_no_default(config: Config) -> Iterator[Problem]:
    if config.ami is not None and config.ami.secret.lower() == config.ami.username.lower():
        yield ("ami", "secret"), "is the user name, which is tried first"
    elif config.ami is not None and len(set(config.ami.secret)) < MIN_DIFFERENT:
        yield ("ami", "secret"), f"has fewer than {MIN_DIFFERENT} different characters: MD5 of it is soon guessed"


def _notice_can_be_given(config: Config) -> Iterator[Problem]:
    if config.notice is None:
        return
    if config.ami is None:
        yield ("notice",), "needs ami: without it the end of the notice is not known"
    known = {"all", *config.agents, *(group for entry in config.agents.values() for group in entry.groups)}
    for name in config.notice.agents:
        if name not in known:
            yield ("notice", "agents"), f"{name} is neither an agent nor a group of agents"


def _audit_is_kept(config: Config) -> Iterator[Problem]:
    if config.audit.file is None and not config.audit.store:
        yield ("audit",), "is kept nowhere: give it a file, or store: true, or both"


def _address_is_reachable(config: Config) -> Iterator[Problem]:
    if ipaddress.ip_address(config.fastagi.dialplan_address).is_unspecified:
        yield ("fastagi",), "address must say how Asterisk reaches the server, because listen is every address"


_CHECKS: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    _codes_differ,
    _people_are_in_one_place,
    _people_are_right,
    _tenants_differ,
    _reasons_differ,
    _prompts_are_known,
    _locks_grow,
    _ages_are_known,
    _address_is_reachable,
    _stop_can_end,
    _secret_is_no_default,
    _notice_can_be_given,
    _audit_is_kept,
)
