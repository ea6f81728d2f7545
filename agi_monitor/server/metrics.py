"""Numbers for Prometheus: what there is to count, and how it is written.

Two rules: no label names a person, a number or an extension, and each label has few values that are known before.
Counts of facts are kept here; everything else is read on request (``Readings``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agi_monitor.audit.facts import End
from agi_monitor.model import Locked, Mode, Reason, RogueSpies

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""What ``Metrics.exposition`` is."""

OTHER = "other"
"""The label of what has none of the known values."""

Labels = tuple[str, ...]
Samples = Mapping[Labels, float]


@dataclass(frozen=True, slots=True)
class PBXReadings:
    """The state of one PBX now.

    Parameters:
        node: its name in the configuration.
        ami_up: logged in to its manager interface.
        stale: its picture is not to be trusted.
        channels: how many it has; None where it is not known.
        calls: how many it has; None where it is not known.
        spies: how many give sound, by kind and mode; an unknown mode is empty.
        index_events: what became of its events, by outcome.
        resyncs: how often its lists were asked for.
        differences: where the lists differed from the picture before.
        dropped: events that were not wanted.
        strays: answers that belonged to no action.
        forged: messages that Asterisk cannot have written.
    """

    node: str
    ami_up: bool
    stale: bool
    channels: int | None = None
    calls: int | None = None
    spies: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    index_events: Mapping[str, int] = field(default_factory=dict)
    resyncs: int = 0
    differences: int = 0
    dropped: int = 0
    strays: int = 0
    forged: int = 0


@dataclass(frozen=True, slots=True)
class Readings:
    """The state now.

    Parameters:
        version: of this package.
        pbxs: one for each PBX whose manager interface is used.
        look_ups: how often a target was looked up, by who was asked: ``index`` or ``agi``.
        agi: ``FastAGIFactory.counters``, by the value of ``Count``.
        agi_sessions: calls that are being served.
        audit_waiting: facts that are not on disk everywhere.
        config_reloads: by what became of them: ``done`` or ``refused``.
    """

    version: str
    pbxs: tuple[PBXReadings, ...] = ()
    look_ups: Mapping[str, int] = field(default_factory=dict)
    agi: Mapping[str, int] = field(default_factory=dict)
    agi_sessions: int = 0
    audit_waiting: int = 0
    config_reloads: Mapping[str, int] = field(default_factory=dict)


class Kind(StrEnum):
    """How a number behaves."""

    COUNTER = "counter"
    """It only grows, from 0 at the start of the server."""
    GAUGE = "gauge"
    """It goes up and down."""


@dataclass(frozen=True, slots=True)
class Number:
    """One metric.

    Parameters:
        name: as Prometheus has it, ``_total`` included.
        kind: how it behaves.
        text: what it counts.
        labels: what tells its samples apart.
        read: the samples, from the readings and the counted facts.
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...]
    read: Callable[[Readings, Facts], Samples]

    def family(self, readings: Readings, facts: Facts) -> Metric:
        """The metric with its samples."""
        kind = CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily
        family: CounterMetricFamily | GaugeMetricFamily = kind(self.name, self.text, labels=self.labels)
        for labels, value in self.read(readings, facts).items():
            family.add_metric(labels, value)
        return family


class Facts:
    """Counts of what the audit records."""

    def __init__(self) -> None:
        self.refused = _zeros(Reason)
        self.locked_out = _zeros(Locked)
        self.started = _zeros(Mode)
        self.ended = _zeros(End)
        self.seconds = _zeros(Mode)
        self.revoked = _zeros((*Reason, "killed", "orphaned"))
        self.rogue = _zeros(RogueSpies)
        self.plain = Counter[str]()

    def take(self, record: Mapping[str, object]) -> None:
        """Count a record of the audit. Never raises, whatever it holds."""
        match record.get("fact"):
            case "refused":
                _count(self.refused, record.get("reason"))
            case "locked_out":
                _count(self.locked_out, record.get("kind"))
            case "spy_started":
                _count(self.started, record.get("mode"))
            case "spy_ended":
                _count(self.ended, record.get("why"))
                seconds = record.get("seconds")
                if isinstance(seconds, int | float) and seconds > 0:
                    _count(self.seconds, record.get("mode"), seconds)
            case "spy_revoked":
                _count(self.revoked, record.get("why"))
            case "rogue_spy":
                _count(self.rogue, record.get("action"))
            case str() as fact:
                self.plain[fact] += 1


def _zeros(known: Iterable[str]) -> dict[Labels, float]:
    """Every value is there from the beginning: a counter that comes out of nowhere has no rate."""
    return {(str(value),): 0.0 for value in known}


def _count(counts: dict[Labels, float], value: object, amount: float = 1) -> None:
    labels = (str(value),)
    if labels not in counts:
        labels = (OTHER,)
    counts[labels] = counts.get(labels, 0.0) + amount


AGI_REFUSALS = (
    "peer_not_allowed",
    "too_many_sessions",
    "too_many_of_peer",
    "draining",
    "wrong_secret",
    "refused_by_story",
)
AGI_FAULTS = (
    "dropped",
    "protocol_errors",
    "environment_deadlines",
    "command_deadlines",
    "stories_failed",
    "reactor_held",
    "left_behind",
)
AGI_COUNTS = ("connections", "sessions", "commands", "hangups")
"""The values of ``agi.protocol.Count``, by where they go."""


def _fact(name: str) -> Callable[[Readings, Facts], Samples]:
    return lambda readings, facts: {(): facts.plain[name]}


def _agi(name: str) -> Callable[[Readings, Facts], Samples]:
    return lambda readings, facts: {(): readings.agi.get(name, 0)}


def _agi_by(names: tuple[str, ...]) -> Callable[[Readings, Facts], Samples]:
    return lambda readings, facts: {(name,): readings.agi.get(name, 0) for name in names}


def _by(counts: Callable[[Readings], Mapping[str, int]], *known: str) -> Callable[[Readings, Facts], Samples]:
    return lambda readings, facts: {
        (name,): number for name, number in {**dict.fromkeys(known, 0), **counts(readings)}.items()
    }


def _pbx(value: Callable[[PBXReadings], float | None]) -> Callable[[Readings, Facts], Samples]:
    def read(readings: Readings, facts: Facts) -> Samples:
        values = {(pbx.node,): value(pbx) for pbx in readings.pbxs}
        return {labels: number for labels, number in values.items() if number is not None}

    return read


def _pbx_by(values: Callable[[PBXReadings], Mapping[Labels, int]]) -> Callable[[Readings, Facts], Samples]:
    return lambda readings, facts: {
        (pbx.node, *labels): number for pbx in readings.pbxs for labels, number in values(pbx).items()
    }


def _single(values: Mapping[str, int]) -> Mapping[Labels, int]:
    return {(name,): number for name, number in values.items()}


COUNTER, GAUGE = Kind.COUNTER, Kind.GAUGE

NUMBERS: tuple[Number, ...] = (
    Number(
        "agi_monitor_build_info",
        GAUGE,
        "Always 1. The version of the server.",
        ("version",),
        lambda readings, facts: {(readings.version,): 1},
    ),
    Number(
        "agi_monitor_refusals_total",
        COUNTER,
        "Requests that were refused, by the reason.",
        ("reason",),
        lambda readings, facts: facts.refused,
    ),
    Number(
        "agi_monitor_lock_outs_total",
        COUNTER,
        "Wrong PINs too many, by what they locked out, as in the audit.",
        ("kind",),
        lambda readings, facts: facts.locked_out,
    ),
    Number(
        "agi_monitor_spies_started_total",
        COUNTER,
        "Spies that began. A change of the mode begins another one.",
        ("mode",),
        lambda readings, facts: facts.started,
    ),
    Number(
        "agi_monitor_spies_ended_total",
        COUNTER,
        "Spies that ended, by why, as in the audit.",
        ("why",),
        lambda readings, facts: facts.ended,
    ),
    Number(
        "agi_monitor_spy_seconds_total",
        COUNTER,
        "Seconds of all spies that have ended.",
        ("mode",),
        lambda readings, facts: facts.seconds,
    ),
    Number(
        "agi_monitor_spies_revoked_total",
        COUNTER,
        "Spies that were ended from outside, by why, as in the audit.",
        ("why",),
        lambda readings, facts: facts.revoked,
    ),
    Number(
        "agi_monitor_spies_adopted_total",
        COUNTER,
        "Spies of an earlier run of the server that are watched over again.",
        (),
        _fact("spy_adopted"),
    ),
    Number(
        "agi_monitor_rogue_spies_total",
        COUNTER,
        "Unauthorized spies, by what was done: alarm or hang_up.",
        ("action",),
        lambda readings, facts: facts.rogue,
    ),
    Number(
        "agi_monitor_ami_up",
        GAUGE,
        "1 while the server is logged in to the manager interface, 0 otherwise.",
        ("node",),
        _pbx(lambda pbx: pbx.ami_up),
    ),
    Number(
        "agi_monitor_stale",
        GAUGE,
        "1 while the live picture of the PBX is not to be trusted, 0 otherwise.",
        ("node",),
        _pbx(lambda pbx: pbx.stale),
    ),
    Number(
        "agi_monitor_pbx_losses_total",
        COUNTER,
        "How often the live picture of a PBX was lost.",
        (),
        _fact("pbx_lost"),
    ),
    Number(
        "agi_monitor_channels",
        GAUGE,
        "Channels of the PBX. Not there while it is not known.",
        ("node",),
        _pbx(lambda pbx: pbx.channels),
    ),
    Number(
        "agi_monitor_calls",
        GAUGE,
        "Calls of the PBX. Not there while it is not known.",
        ("node",),
        _pbx(lambda pbx: pbx.calls),
    ),
    Number(
        "agi_monitor_spies",
        GAUGE,
        "Spies that are on now, by kind (granted, rogue, ...) and mode, which is empty where it is not known.",
        ("node", "kind", "mode"),
        _pbx_by(lambda pbx: pbx.spies),
    ),
    Number(
        "agi_monitor_index_events_total",
        COUNTER,
        "Events of the PBX, by what became of them: taken, late, ignored, malformed or too_many.",
        ("node", "outcome"),
        _pbx_by(lambda pbx: _single(pbx.index_events)),
    ),
    Number(
        "agi_monitor_index_resyncs_total",
        COUNTER,
        "How often the lists of the PBX were asked for.",
        ("node",),
        _pbx(lambda pbx: pbx.resyncs),
    ),
    Number(
        "agi_monitor_index_differences_total",
        COUNTER,
        "Differences between the lists and the live picture. It should not grow.",
        ("node",),
        _pbx(lambda pbx: pbx.differences),
    ),
    Number(
        "agi_monitor_ami_dropped_total",
        COUNTER,
        "Unwanted events of the manager interface. Many a second: the account is told more than it needs.",
        ("node",),
        _pbx(lambda pbx: pbx.dropped),
    ),
    Number(
        "agi_monitor_ami_strays_total",
        COUNTER,
        "Answers of the manager interface that belonged to no action, mostly because they came after its deadline.",
        ("node",),
        _pbx(lambda pbx: pbx.strays),
    ),
    Number(
        "agi_monitor_ami_forged_total",
        COUNTER,
        "Messages of the manager interface that Asterisk cannot have written: a caller chose a number or a name "
        "with a line break in it.",
        ("node",),
        _pbx(lambda pbx: pbx.forged),
    ),
    Number(
        "agi_monitor_look_ups_total",
        COUNTER,
        "Look-ups of what an agent's phones do, by who was asked: the live index, or the PBX over agi.",
        ("source",),
        _by(lambda readings: readings.look_ups, "index", "agi"),
    ),
    Number(
        "agi_monitor_agi_connections_total",
        COUNTER,
        "FastAGI connections of allowed peers.",
        (),
        _agi("connections"),
    ),
    Number(
        "agi_monitor_agi_refused_total",
        COUNTER,
        "FastAGI connections and sessions that were refused.",
        ("reason",),
        _agi_by(AGI_REFUSALS),
    ),
    Number("agi_monitor_agi_sessions_total", COUNTER, "FastAGI sessions that began.", (), _agi("sessions")),
    Number(
        "agi_monitor_agi_sessions",
        GAUGE,
        "FastAGI sessions that are on now.",
        (),
        lambda readings, facts: {(): readings.agi_sessions},
    ),
    Number("agi_monitor_agi_commands_total", COUNTER, "AGI commands that were sent.", (), _agi("commands")),
    Number(
        "agi_monitor_agi_hangups_total",
        COUNTER,
        "FastAGI sessions that ended because the caller hung up.",
        (),
        _agi("hangups"),
    ),
    Number(
        "agi_monitor_agi_faults_total",
        COUNTER,
        "FastAGI connections and sessions in which something went wrong, by what.",
        ("fault",),
        _agi_by(AGI_FAULTS),
    ),
    Number(
        "agi_monitor_audit_waiting",
        GAUGE,
        "Facts that wait for the disk or the database. More than 0: the audit cannot be written, somewhere.",
        (),
        lambda readings, facts: {(): readings.audit_waiting},
    ),
    Number(
        "agi_monitor_config_reloads_total",
        COUNTER,
        "Reloads of the configuration, by what became of them: done or refused.",
        ("outcome",),
        _by(lambda readings: readings.config_reloads, "done", "refused"),
    ),
)
"""Every metric, in the order of the page."""


class Metrics:
    """All numbers of one server.

    Parameters:
        readings: how it is; asked at each look.
    """

    def __init__(self, readings: Callable[[], Readings]) -> None:
        self._facts = Facts()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Numbers(readings, self._facts))
        ProcessCollector(registry=self._registry)

    def fact(self, record: Mapping[str, object]) -> None:
        """Count a record of the audit. Never raises, whatever it holds."""
        self._facts.take(record)

    def exposition(self) -> bytes:
        """The page that Prometheus reads."""
        return generate_latest(self._registry)


class _Numbers(Collector):
    def __init__(self, readings: Callable[[], Readings], facts: Facts) -> None:
        self._readings = readings
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        readings = self._readings()
        for number in NUMBERS:
            yield number.family(readings, self._facts)
