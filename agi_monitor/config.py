"""Read, check and freeze ``agi-monitor.yaml``. Every problem names its key and its line.

The file is read as text all the way: ``1001`` and ``"1001"`` are the same extension, and ``0100`` stays ``0100``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator, with_config
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from agi_monitor.errors import ConfigError
from agi_monitor.limits import Limits
from agi_monitor.model import ONE_FILE, Barge, Cue, Direction, Follow, Mode, Orphans, Reason, RogueSpies, ScanOrder
from agi_monitor.supervision import hours, patterns

MAX_BYTES = 16_777_216
"""Ten thousand people fit into 3 MiB."""

MAX_NODES = 250_000
"""Aliases of aliases grow without end. Ten thousand people have about 150,000 values."""

MIN_DIFFERENT = 6
"""Different characters in the secret of the manager account, as many as its login asks for."""

Path_ = tuple[str | int, ...]
Value = TypeVar("Value")


def _matching(pattern: str, what: str) -> AfterValidator:
    expression = re.compile(pattern)

    def check(text: str) -> str:
        if expression.fullmatch(text) is None:
            raise ValueError(what)
        return text

    return AfterValidator(check)


def _read_by(read: Callable[[str], object], what: str) -> AfterValidator:
    def check(text: str) -> str:
        try:
            read(text)
        except ValueError:
            raise ValueError(what) from None
        return text

    return AfterValidator(check)


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("must be an IP address; a name would have to be looked up at every call") from None
    return text


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


def _loopback(text: str) -> str:
    if not ipaddress.ip_address(text).is_loopback:
        raise ValueError("must be an address of the loopback interface, such as 127.0.0.1: there is no login here")
    return text


NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
Name = Annotated[str, _matching(NAME, "must be letters, digits, - and _, at most 40 of them")]
GroupName = Annotated[
    str, _matching(rf"(?!all$)(?![0-9]+$){NAME}", "must be letters, digits, - and _; not only digits, and not 'all'")
]
Code = Annotated[str, _matching(r"[0-9*#]{1,8}", "must be 1 to 8 of the keys 0-9, * and #")]
ExtensionNumber = Annotated[str, _matching(r"[0-9]{1,20}", "must be 1 to 20 digits")]
Endpoint = Annotated[
    str,
    _matching(
        r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@-]{1,80}",
        "must be technology/name such as PJSIP/1001, with letters, digits and _ . + @ - in the name",
    ),
]
Context = Annotated[str, _matching(r"[A-Za-z0-9_.-]{1,60}", "must be a context: letters, digits, _ . and -")]
Language = Annotated[str, _matching(r"[A-Za-z]{2,3}(_[A-Za-z0-9]{2,8})?", "must be a language such as de or en_GB")]
PinHash = Annotated[
    str,
    _matching(
        r"\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,3},p=[0-9]{1,3}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{22,86}",
        "must be an argon2id record; make one with: agi-monitor pin",
    ),
]
Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]
Word = Annotated[
    str,
    _matching(
        r"(?!.*\.\.)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*|\{extension\}|\{choice\}|\{number\}",
        "must be a sound file without its ending, such as vm-goodbye, or {extension}, {choice}, {number}",
    ),
]
Words = Annotated[tuple[Word, ...], Field(min_length=1)]
StoreUrl = Annotated[
    str,
    _matching(r"(sqlite:///|postgresql://)\S{1,900}", "must be postgresql://user@host/name or sqlite:///path"),
]
NodeName = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", "must be letters, digits, _ . and -, at most 64")
]
Secret = Annotated[str, _matching(r"[A-Za-z0-9_-]{16,128}", "must be 16 to 128 letters, digits, - and _")]
Host = Annotated[str, _matching(r"[A-Za-z0-9:._-]{1,253}", "must be a host name or an IP address")]
Account = Annotated[
    str, _matching(r"(?!general$)[A-Za-z0-9_-]{1,40}", "must be letters, digits, - and _, at most 40")
]
ManagerSecret = Annotated[
    str, _matching(r"[!-:<-~]{16,128}", "must be 16 to 128 visible characters without spaces and semicolons")
]
Loopback = Annotated[Address, AfterValidator(_loopback)]
Sound = Annotated[
    str,
    _matching(
        r"(?!.*\.\.)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", "must be a sound file without its ending, such as beep"
    ),
]
NumberPattern = Annotated[
    str, _matching(r"\+?[0-9]{1,20}\*?", "must be a number of up to 20 digits, or its beginning with a * behind it")
]
AgentName = Annotated[
    str,
    _matching(
        f"{NAME}|{patterns.PATTERN}",
        "must be letters, digits, - and _, at most 40 of them, or a pattern such as _10XX",
    ),
]
Zone = Annotated[str, _read_by(hours.zone, "must be a time zone that this system knows, such as Europe/Berlin")]
Hours = Annotated[
    str, _read_by(hours.hours, "must be hours such as 'mon-fri 08:00-18:00', 'sat,sun 22:00-06:00' or '00:00-24:00'")
]
Dates = Annotated[
    str,
    _read_by(hours.dates, "must be a date such as 2026-12-25, or 12-25 for every year, or two such as 12-24..12-26"),
]
Queue = Annotated[str, _matching(r"[A-Za-z0-9_.@+/-]{1,80}", "must be a queue: letters, digits and _ . @ + / -")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class FastAGI(_Section):
    """Where Asterisk finds the server."""

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


class Codes(_Section):
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


class SupervisorEntry(_Section):
    """Somebody who may ask to hear calls. The key is the id that rules and the audit use."""

    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]
    """The devices they dial from. A supervisor is known by the endpoint, never by the caller id."""
    pin: PinHash
    """The argon2id record of their PIN, from `agi-monitor pin`."""
    groups: tuple[GroupName, ...] = ()
    """The supervisor groups they are in; each is also a dialplan context."""
    name: str = ""
    """For people: comments in the dialplan."""
    language: Language | None = None
    """Language of the prompts; without it the channel's own."""


class AgentEntry(_Section):
    """Somebody whose calls may be heard. The key is the extension."""

    endpoints: tuple[Endpoint, ...] = ()
    """Their devices. Without any, the PBX is asked for the hint of the extension in `dialplan.hint_context`."""
    groups: tuple[GroupName, ...] = ()
    """The agent groups they are in."""
    name: str = ""
    """For people: comments in the dialplan."""


class RuleMode(StrEnum):
    """What a rule allows or denies."""

    LISTEN = "listen"
    """Hear agent and customer, dialled or by the scan."""
    WHISPER = "whisper"
    """The agent hears the supervisor as well."""
    BARGE = "barge"
    """Agent and customer hear the supervisor."""
    TAKE_OVER = "take_over"
    """The supervisor goes on with the customer, and the agent is released."""
    SCAN = "scan"
    """Allowed: hear them when the scan comes to them. Denied: the scan leaves them out."""


class RuleTimes(_Section):
    """When a rule holds."""

    zone: Zone
    """Whose clock is meant. There is no default: the clock of a server is often not the one on the wall."""
    hours: tuple[Hours, ...] = ()
    """Hours of the week; without any, all hours. The end is not included. Hours that end before they begin go past
    midnight, and belong to the day on which they begin. Without days they are those of every day."""
    dates: tuple[Dates, ...] = ()
    """The dates on which it holds; without any, on every day."""
    not_on: tuple[Dates, ...] = ()
    """Dates on which it does not hold, such as holidays."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.hours or self.dates or self.not_on):
            raise ValueError("needs hours, dates or not_on")
        return self


class RuleCalls(_Section):
    """Which calls a rule speaks of."""

    queues: tuple[Queue, ...] = ()
    """Queues that gave the call to the agent; without any, all calls."""
    direction: Direction | None = None
    """Who called whom; both, when not given."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.queues and self.direction is None:
            raise ValueError("needs queues or direction")
        return self


class RuleTerms(_Section):
    """On which terms a rule allows."""

    reason_required: bool = False
    """The supervisor has to give a reason."""
    max_minutes: Annotated[float | None, Field(ge=0.1, le=1_440, allow_inf_nan=False)] = None
    """So long one spy may take."""
    max_listeners: Annotated[int | None, Field(ge=1, le=100)] = None
    """So many may hear one call at the same time, whoever allowed the others."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.reason_required and self.max_minutes is None and self.max_listeners is None:
            raise ValueError("needs reason_required, max_minutes or max_listeners")
        return self


class RuleEntry(_Section):
    """One permission. A rule either allows or denies; deny beats allow, and nothing is allowed without a rule.
    [Rights](../topics/rights.md) has the whole of it."""

    name: Name
    """How the audit calls it."""
    allow: tuple[RuleMode, ...] = ()
    """The modes it allows. `scan` lets the scan come to these agents, to listen, though they may not be dialled;
    whoever may listen may scan as well."""
    deny: tuple[RuleMode, ...] = ()
    """The modes it denies. `scan` keeps the scan from these agents, in every mode."""
    supervisors: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Supervisor groups, supervisor ids, or `all`."""
    agents: Annotated[tuple[AgentName, ...], Field(min_length=1)]
    """Agent groups, extensions, patterns of extensions as in the dialplan, such as `_10XX`, or `all`."""
    when: RuleTimes | None = None
    """When it holds, by the clock on the wall in `zone`; always, when not given."""
    calls: RuleCalls | None = None
    """Which calls it speaks of; all, when not given. Where that is not known of a call, as without `ami`, a rule that
    allows does not allow, and one that denies does deny."""
    terms: RuleTerms | None = None
    """On which terms it allows; for a rule with `allow` only."""

    @model_validator(mode="after")
    def _allows_or_denies(self) -> Self:
        if bool(self.allow) == bool(self.deny):
            raise ValueError("needs either allow or deny, with at least one mode")
        if self.deny and self.terms is not None:
            raise ValueError("terms belong to a rule that allows; one that denies has none")
        return self


class Pins(_Section):
    """How PINs are asked for."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Tries in one call."""
    lock_after: Annotated[int, Field(ge=1, le=20)] = 3
    """Wrong PINs in a row, over all calls of a supervisor, before a lock-out."""
    lock_seconds: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 60.0
    """The first lock-out; every further wrong PIN doubles it."""
    max_lock_seconds: Annotated[float, Field(ge=1, le=604_800, allow_inf_nan=False)] = 3_600.0
    """The longest lock-out."""
    remember_minutes: Annotated[float, Field(ge=0, le=720, allow_inf_nan=False)] = 0.0
    """So long a right PIN counts for the same endpoint. 0 asks at every call."""


class Dialplan(_Section):
    """The generated dialplan."""

    hint_context: Context = "default"
    """Where the hints of the agents' extensions are."""
    templates: Path | None = None
    """A folder with templates of the site; one that is here replaces the packaged one of the same name."""


class Audit(_Section):
    """The record of who heard whom."""

    file: Path = Path("/var/log/agi-monitor/audit.jsonl")
    """One JSON object a line, appended. The folder must exist."""


class State(_Section):
    """What survives a restart."""

    directory: Path = Path("/var/lib/agi-monitor")
    """Holds the lock-outs, the keys of server and audit, and where the audit ends. The folder must exist."""


class Store(_Section):
    """The database. Without anything here it is a file in `state.directory`, and needs no set-up."""

    url: StoreUrl | None = None
    """`postgresql://user:password@host/name`, or `sqlite:///path`. Several servers can share one PostgreSQL."""
    node: NodeName | None = None
    """How this server is called there; the name of the machine, when not given."""


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


class Log(_Section):
    """Logs go to standard error."""

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


class Stop(_Section):
    """What SIGTERM does. New calls are refused at once in any case, and calls at a prompt end."""

    spies: StopSpies = StopSpies.KEEP
    """`keep`: running spies go on until the call ends or the supervisor hangs up, without mode keys.
    `end`: they are hung up, over AMI or with `hangup_command`."""
    seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 10.0
    """With `spies: end`, so long the server waits for them to be gone. What is being tidied up then may take
    `limits.cleanup_seconds` more."""
    hangup_command: tuple[str, ...] = ()
    """Ends a channel where there is no `ami`: a program and its arguments, `{channel}` stands for the name. A FastAGI
    server cannot end a running application: `[asterisk, -rx, "channel request hangup {channel}"]`."""


class TLS(_Section):
    """Encryption of the manager interface; the certificate of the PBX is always verified."""

    ca_file: Path | None = None
    """The certificates that are trusted, in PEM. Without it those of the system."""
    name: Host | None = None
    """The name in the certificate, when it is not the same as `ami.host`."""


class AMI(_Section):
    """The manager interface of the PBX: the live picture of its calls. Without this section every look-up goes over
    AGI, and nothing is known of spies that others start."""

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


class Spies(_Section):
    """How spies behave, and what happens to those that nobody granted."""

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
    key: Secret | None = None
    """Signs grants, so that several servers of one PBX know each other's spies. Without it each server makes one of
    its own, kept in `state.directory`, and takes the others' spies for rogue."""


class Notice(_Section):
    """Tells the agent, and nobody else on the call, before the supervisor hears anything. Needs `ami`, and the
    dialplan rendered anew."""

    sounds: Annotated[tuple[Sound, ...], Field(min_length=1)] = ("beep",)
    """Sound files without their endings, played one after the other."""
    modes: Annotated[tuple[Mode, ...], Field(min_length=1)] = (Mode.LISTEN, Mode.WHISPER, Mode.BARGE, Mode.TAKE_OVER)
    """Before which modes."""
    agents: Annotated[tuple[Name, ...], Field(min_length=1)] = ("all",)
    """Agent groups, extensions, or `all`."""


class Protected(_Section):
    """Calls that nobody may hear, whoever's. An agent is protected by a rule with `deny`. A call is also protected
    by the channel variable AGI_MONITOR_PROTECTED on the agent's channel, with any value but empty, 0 or no."""

    endpoints: tuple[Endpoint, ...] = ()
    """Devices; nobody hears a call that one of them takes part in."""
    numbers: tuple[NumberPattern, ...] = ()
    """Numbers of the other party; with a `*` behind it, every number that begins so."""


class Control(_Section):
    """The socket that `agi-monitor calls`, `spies`, `spy` and `events` speak to."""

    socket: Path | None = None
    """Its path; `control.sock` in `state.directory` when not given. Whoever may open it sees all calls and may end
    spies: it belongs to the server's user and group (0660)."""


class Metrics(_Section):
    """Numbers for Prometheus, over HTTP on the loopback interface."""

    listen: Loopback = "127.0.0.1"
    """The address, of the loopback interface."""
    port: Annotated[int, Field(ge=1, le=65535)] = 9573
    """The TCP port."""


class Config(_Section):
    """The whole file."""

    fastagi: FastAGI = FastAGI()
    """Where Asterisk finds the server."""
    codes: Codes = Codes()
    """The feature codes."""
    supervisors: dict[Name, SupervisorEntry]
    """Who may ask to hear calls, by id."""
    agents: dict[ExtensionNumber, AgentEntry]
    """Whose calls may be heard, by extension."""
    rules: tuple[RuleEntry, ...]
    """Who may hear whom, and how."""
    pins: Pins = Pins()
    """How PINs are asked for."""
    prompts: dict[str, Words] = {}
    """What is said instead of the default, by refusal reason or cue."""
    languages: dict[Language, dict[str, Words]] = {}
    """The same for one language."""
    dialplan: Dialplan = Dialplan()
    """The generated dialplan."""
    audit: Audit = Audit()
    """The record of who heard whom."""
    state: State = State()
    """What survives a restart."""
    store: Store = Store()
    """The database."""
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
    limits: Limits = Limits()
    """What one FastAGI peer may cost: sizes in bytes, times in seconds."""


with_config(ConfigDict(extra="forbid", hide_input_in_errors=True))(Limits)
Config.model_rebuild(force=True)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that was read and is right.

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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}. Write one with: agi-monitor init") from error
    config = parse(content, str(path))
    return Loaded(config, hashlib.sha256(content).hexdigest())


def parse(content: bytes, name: str) -> Config:
    """Check the text of a configuration.

    Parameters:
        content: UTF-8.
        name: for the messages.

    Raises:
        ConfigError: with every problem that was found, each with its line and key.
    """
    lines: dict[Path_, int] = {}
    try:
        tree = _tree(content, lines)
    except _Unreadable as error:
        raise ConfigError(f"{name}:{error.line}: {error.problem}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}: is empty or no mapping. Write a sample with: agi-monitor init")
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        problems = list(_found(error))
    else:
        problems = [found for check in _CHECKS for found in check(config)]
        if not problems:
            return config
    places = [(_line(lines, where), where, what) for where, what in problems]
    places.sort(key=lambda place: place[0])
    raise ConfigError(*(f"{name}:{line}: {_key(where)}: {what}" for line, where, what in places))


# ---- YAML, with lines ----------------------------------------------------------------------------------


class _Unreadable(Exception):
    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line
        self.problem = problem


def _tree(content: bytes, lines: dict[Path_, int]) -> object:
    if len(content) > MAX_BYTES:
        raise _Unreadable(1, f"is larger than {MAX_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unreadable(content[: error.start].count(b"\n") + 1, "is not UTF-8") from None
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "is not YAML"
        raise _Unreadable(mark.line + 1 if mark else 1, str(problem)) from None
    except Exception:
        # ruamel.yaml lets through whatever its own code trips over: AssertionError and KeyError for %YAML 1.0 and
        # 0.0, RecursionError for deep nesting, ValueError for characters that do not exist.
        raise _Unreadable(1, "is not YAML that a configuration needs") from None
    return _Reader(lines).value(node, ()) if node is not None else None


class _Reader:
    """Turns nodes into dicts, lists and texts, and notes the line of each."""

    def __init__(self, lines: dict[Path_, int]) -> None:
        self._lines = lines
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Node, where: Path_) -> object:
        line = node.start_mark.line + 1
        self._lines.setdefault(where, line)
        self._count += 1
        if self._count > MAX_NODES or id(node) in self._open or len(where) > 20:
            raise _Unreadable(line, "aliases make this endless")
        if isinstance(node, ScalarNode):
            return None if str(node.tag).endswith(":null") and node.style is None else node.value
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                return [self.value(item, (*where, position)) for position, item in enumerate(node.value)]
            assert isinstance(node, MappingNode)  # noqa: S101 - a composed tree has three kinds of nodes
            return self._mapping(node, where)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, where: Path_) -> dict[str, object]:
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise _Unreadable(line, "a key must be one word")
            key = key_node.value
            if key in mapping:
                raise _Unreadable(
                    line, f"{_key((*where, key))}: is here twice, first in line {self._lines[*where, key]}"
                )
            self._lines[*where, key] = line
            mapping[key] = self.value(value_node, (*where, key))
        return mapping


# ---- what only the whole can show ----------------------------------------------------------------------

Problem = tuple[Path_, str]


def _codes_differ(config: Config) -> Iterator[Problem]:
    codes = {mode.value: code for mode, code in config.codes.by_mode().items()}
    for mode, code in codes.items():
        for other, longer in codes.items():
            if mode != other and longer.startswith(code) and (code != longer or mode < other):
                yield ("codes", other), f"{longer} begins with {code}, the code of {mode}: a call could mean both"


def _endpoints_belong_to_one(config: Config) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, supervisor in config.supervisors.items():
        for endpoint in supervisor.endpoints:
            owner = owners.setdefault(endpoint, name)
            if owner != name:
                yield ("supervisors", name, "endpoints"), f"{endpoint} is already the phone of {owner}"


def _rule_names_differ(config: Config) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, rule in enumerate(config.rules):
        if rule.name in seen:
            yield ("rules", position, "name"), f"another rule is called {rule.name}"
        seen.add(rule.name)


def _rules_name_somebody(config: Config) -> Iterator[Problem]:
    supervisor_groups = {group for entry in config.supervisors.values() for group in entry.groups}
    agent_groups = {group for entry in config.agents.values() for group in entry.groups}
    supervisors = {"all", *supervisor_groups, *config.supervisors}
    agents = {"all", *agent_groups, *config.agents}
    named = dict.fromkeys(name for rule in config.rules for name in rule.agents if patterns.is_pattern(name))
    bits = {name: 1 << position for position, name in enumerate(named)}
    table, fitting = patterns.PatternTable(bits.items()), 0
    for extension in config.agents:
        fitting |= table.fitting(extension)
    for position, rule in enumerate(config.rules):
        for name in rule.supervisors:
            if name not in supervisors:
                yield ("rules", position, "supervisors"), f"{name} is no supervisor and no group of one"
        for name in rule.agents:
            if patterns.is_pattern(name):
                if not fitting & bits[name]:
                    yield ("rules", position, "agents"), f"{name} fits the extension of no agent"
            elif name not in agents:
                yield ("rules", position, "agents"), f"{name} is no agent and no group of one"


def _names_mean_one_thing(config: Config) -> Iterator[Problem]:
    groups = {group for entry in config.supervisors.values() for group in entry.groups}
    for name in config.supervisors:
        if name in groups or name == "all":
            yield ("supervisors", name), "is also the name of a group: a rule could mean both"


def _prompts_are_known(config: Config) -> Iterator[Problem]:
    tables: list[tuple[Path_, dict[str, Words]]] = [(("prompts",), config.prompts)]
    tables += [(("languages", language), table) for language, table in config.languages.items()]
    known = {*Cue, *Reason}
    for where, table in tables:
        for moment, words in table.items():
            if moment not in known:
                yield (*where, moment), f"is no refusal reason and no cue; there are: {', '.join(sorted(known))}"
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
                    (f"{one} and {other} must be given the same words, because nobody may tell them apart"),
                )


_ALIKE = ((Reason.PIN_WRONG, Reason.ENDPOINT_UNKNOWN), (Reason.MODE_DENIED, Reason.AGENT_UNKNOWN))
"""A phone of nobody sounds like a wrong PIN, an unknown agent like a forbidden one."""


def _placeholders(moment: str) -> frozenset[str]:
    if moment == Cue.CHOOSE_CALL:
        return frozenset({"{choice}", "{number}"})
    return frozenset({"{extension}"} if moment in {Cue.SCANNED, *Reason} else ())


def _locks_grow(config: Config) -> Iterator[Problem]:
    if config.pins.max_lock_seconds < config.pins.lock_seconds:
        yield ("pins",), "max_lock_seconds is shorter than lock_seconds, the first lock-out"


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
        yield ("notice",), "needs ami: without it nobody knows when the agent has been told"
    known = {"all", *config.agents, *(group for entry in config.agents.values() for group in entry.groups)}
    for name in config.notice.agents:
        if name not in known:
            yield ("notice", "agents"), f"{name} is no agent and no group of one"


def _address_is_reachable(config: Config) -> Iterator[Problem]:
    if ipaddress.ip_address(config.fastagi.dialplan_address).is_unspecified:
        yield ("fastagi",), "address must say how Asterisk reaches the server, because listen is every address"


_CHECKS: tuple[Callable[[Config], Iterator[Problem]], ...] = (
    _codes_differ,
    _endpoints_belong_to_one,
    _rule_names_differ,
    _rules_name_somebody,
    _names_mean_one_thing,
    _prompts_are_known,
    _locks_grow,
    _address_is_reachable,
    _stop_can_end,
    _secret_is_no_default,
    _notice_can_be_given,
)


# ---- words ---------------------------------------------------------------------------------------------


_SENTENCES = {
    "extra_forbidden": "is not a key of this section",
    "unexpected_keyword_argument": "is not a key of this section",
    "missing": "is missing",
    "tuple_type": "must be a list, such as [one, two]",
    "dict_type": "must be a mapping, one key a line",
    "model_type": "must be a mapping, one key a line",
    "dataclass_type": "must be a mapping, one key a line",
    "string_type": "must be a text",
    "bool_parsing": "must be true or false",
}


def _sentence(kind: str, message: str) -> str:
    message = _SENTENCES.get(kind) or message.removeprefix("Value error, ")
    return message.replace("Input should be", "must be", 1)


def _found(error: ValidationError) -> Iterator[Problem]:
    problems = [(tuple(found["loc"]), found["type"], found["msg"]) for found in error.errors()]
    for where, kind, message in problems:
        # A list whose only item is wrong is reported as empty as well.
        if kind == "too_short" and any(other[: len(where)] == where != other for other, _, _ in problems):
            continue
        yield where, _sentence(kind, message)


def _key(where: Path_) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in where if part != "[key]"]
    return "".join(parts).removeprefix(".") or "the file"


def _line(lines: dict[Path_, int], where: Path_) -> int:
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)
