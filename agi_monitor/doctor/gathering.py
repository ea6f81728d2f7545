"""Finds the evidence: on the PBX, in its files, in our own house. Reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography import x509

from agi_monitor import assembly, asterisk_files
from agi_monitor.ami.messages import Message
from agi_monitor.audit_source import Files, Table
from agi_monitor.config import Config
from agi_monitor.control.client import ask
from agi_monitor.control.messages import Ask, Request
from agi_monitor.control.socket_file import socket_path
from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import DIALPLAN, render
from agi_monitor.doctor.dialplan_walk import Dialplan
from agi_monitor.doctor.evidence import Certificate, Endpoint, Evidence, Listener, Missing, Section
from agi_monitor.errors import ActionFailed, AgiMonitorError, PermissionDenied
from agi_monitor.install.comparison import compare
from agi_monitor.model import Barge, Cue, Reason
from agi_monitor.storage.audit_key_file import PUBLIC_FILE, trusted_keys
from agi_monitor.storage.audit_reading import files_of, in_order
from agi_monitor.storage.database import Database, file_url
from agi_monitor.supervision.audit_verification import Verdict
from agi_monitor.supervision.prompts import EXTENSION, NUMBER, PLACEHOLDERS, Prompts

SOUND_FOLDERS = ("/usr/share/asterisk/sounds", "/var/lib/asterisk/sounds")
"""Where distributions put them; ``astdatadir`` of asterisk.conf says so otherwise."""

MAX_TOLD = 5
"""Findings of a chain that are told; 'audit verify' tells all."""

T = TypeVar("T")


class Pbx(Protocol):
    """What is needed of the manager interface. ``install.admin_session.AdminSession`` fits it."""

    def ask(self, name: str, *headers: tuple[str, str]) -> Message:
        """Perform an action and return its answer."""
        ...

    def items(self, name: str, *headers: tuple[str, str]) -> list[Message]:
        """Perform an action that has a list as its answer."""
        ...


def of_configuration(config: Config, now: datetime) -> Evidence:
    """Return what the configuration says."""
    prompts = assembly.policy(config).prompts
    languages = {"en", *config.languages, *(one.language for one in config.supervisors.values() if one.language)}
    fastagi = config.fastagi
    is_guarded = fastagi.secret is not None or not any(peer.endswith("/0") for peer in fastagi.peers)
    listeners = [Listener("fastagi", fastagi.listen, fastagi.port, is_guarded)]
    if config.metrics is not None:
        listeners.append(Listener("metrics", config.metrics.listen, config.metrics.port, False))
    return Evidence(
        now,
        context=assembly.site(config).context,
        agents=frozenset(endpoint for agent in config.agents.values() for endpoint in agent.endpoints),
        account="" if config.ami is None else config.ami.username,
        listeners=tuple(listeners),
        modules=_needed_modules(config),
        sounds={language: _sounds(prompts, language) for language in sorted(languages)},
    )


def _needed_modules(config: Config) -> Mapping[str, str]:
    found = {
        "res_agi.so": "hands calls to the server",
        "app_chanspy.so": "lets the supervisor hear",
        "func_channel.so": "tells who talks to whom",
        "pbx_config.so": "loads the dialplan",
    }
    if config.spies.barge is Barge.CONFERENCE:
        found["app_bridgeaddchan.so"] = "joins a call (barge: conference)"
    if config.notice is not None:
        found["app_originate.so"] = "tells the agent"
    if config.ami is not None:
        found["res_manager_devicestate.so"] = "tells of devices"
    return found


def _sounds(prompts: Prompts, language: str) -> frozenset[str]:
    words = {word for moment in (*Cue, *Reason) for word in prompts.words(moment, language)}
    found = words - PLACEHOLDERS
    if words & {EXTENSION, NUMBER}:
        found |= {f"digits/{digit}" for digit in range(10)}
    return frozenset(found)


def of_pbx(evidence: Evidence, config: Config, pbx: Pbx) -> Evidence:
    """Add what the PBX says."""
    rows = _tried(lambda: [_row(item) for item in pbx.items("ShowDialPlan")])
    return replace(
        evidence,
        version=_tried(lambda: pbx.ask("CoreSettings").text("AsteriskVersion")),
        pbx_time=_tried(lambda: datetime.fromtimestamp(float(pbx.ask("Ping").text("Timestamp")), UTC)),
        loaded=_tried(lambda: _running(pbx, evidence.modules)),
        endpoints=_tried(lambda: _endpoints(pbx)),
        dialplan=rows if isinstance(rows, Missing) else Dialplan(rows),
        differences=rows if isinstance(rows, Missing) else _differences(config, rows),
    )


def _tried(look: Callable[[], T]) -> T | Missing:
    try:
        return look()
    except PermissionDenied as error:
        return Missing(f"{error}: the account needs another class in its line 'write'")
    except (AgiMonitorError, ValueError) as error:
        return Missing(str(error))


def _row(item: Message) -> Mapping[str, str]:
    return dict(reversed(item.headers))


def _running(pbx: Pbx, modules: Mapping[str, str]) -> frozenset[str]:
    found = set()
    for name in modules:
        try:
            pbx.ask("ModuleCheck", ("Module", name.removesuffix(".so")))
        except PermissionDenied:
            raise
        except ActionFailed:
            continue
        found.add(name)
    return frozenset(found)


def _endpoints(pbx: Pbx) -> tuple[Endpoint, ...]:
    found = []
    for item in pbx.items("PJSIPShowEndpoints"):
        name = item.text("ObjectName")
        if not name:
            continue
        for detail in pbx.items("PJSIPShowEndpoint", ("Endpoint", name)):
            if detail.text("Event") == "EndpointDetail":
                is_direct = detail.text("DirectMedia").lower() in ("true", "yes")
                found.append(Endpoint(f"PJSIP/{name}", detail.text("Context"), is_direct))
    return tuple(found)


def _differences(config: Config, rows: list[Mapping[str, str]]) -> tuple[str, ...]:
    by_context: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_context.setdefault(row.get("Context", ""), []).append(row)
    wanted = parse(render(assembly.site(config), config.dialplan.templates)[DIALPLAN]).contexts
    return tuple(line for context in wanted for line in compare(context, by_context.get(context.name)).wrong)


def of_files(evidence: Evidence, folder: Path) -> Evidence:
    """Add what stands in Asterisk's own files.

    Parameters:
        folder: its configuration.
    """
    settings = _sections(folder, "asterisk.conf")
    return replace(
        evidence,
        manager=_sections(folder, "manager.conf"),
        options=settings if isinstance(settings, Missing) else settings.get("options", {}),
        sound_files=_sound_files(settings, evidence.sounds),
    )


def _sections(folder: Path, name: str) -> Mapping[str, Section] | Missing:
    try:
        reading = asterisk_files.read(folder, name)
    except OSError as error:
        return Missing(f"{error.filename}: {error.strerror}")
    found: dict[str, dict[str, list[str]]] = {}
    for section in reading.sections:
        if not section.is_template:
            lines = found.setdefault(section.name, {})
            for line in section.lines:
                lines.setdefault(line.name, []).append(line.value)
    return dict(found)


def _sound_files(
    settings: Mapping[str, Section] | Missing, languages: Iterable[str]
) -> Mapping[str, frozenset[str]] | Missing:
    told: Section = {} if isinstance(settings, Missing) else settings.get("directories", {})
    places = [*(f"{one}/sounds" for one in told.get("astdatadir", ())), *SOUND_FOLDERS]
    folder = next((Path(place) for place in places if Path(place).is_dir()), None)
    if folder is None:
        return Missing(f"no folder with sounds on this machine: looked for {', '.join(places)}")
    return {
        language: frozenset(
            str(path.relative_to(folder / language).with_suffix(""))
            for path in (folder / language).rglob("*")
            if path.is_file()
        )
        for language in languages
    }


def of_house(evidence: Evidence, config: Config) -> Evidence:
    """Add what is to be known of our own server, store and audit."""
    return replace(
        evidence,
        audit=_tried(lambda: _audit(config)),
        store=_store(config),
        index_differences=_tried(lambda: _index(config)),
        certificates=_certificates(config),
    )


def _audit(config: Config) -> tuple[str, ...] | Missing:
    state = config.state.directory
    keys = trusted_keys(state / PUBLIC_FILE) if (state / PUBLIC_FILE).exists() else []
    found: list[str] = []
    if config.audit.file is not None:
        paths = in_order(files_of(config.audit.file))
        if not paths and not config.audit.store:
            return Missing(f"{config.audit.file}: there is no audit yet")
        found += _told(Files(paths).verify(keys, [], state))
    if config.audit.store:
        node = config.store.this_node
        with _opened(config) as database:
            found += _told(Table(database, [node]).verify(node, keys, [], state))
    return tuple(found)


def _told(verdict: Verdict) -> list[str]:
    told = [finding.text for finding in verdict.findings]
    return [*told[:MAX_TOLD], *([f"and {len(told) - MAX_TOLD} more"] if len(told) > MAX_TOLD else [])]


@contextmanager
def _opened(config: Config) -> Iterator[Database]:
    """The store as it is: nothing is made, and nothing brought up to date."""
    database = Database(config.store.url or file_url(config.state.directory))
    try:
        database.check()
        yield database
    finally:
        database.close()


def _store(config: Config) -> str:
    try:
        with _opened(config):
            return ""
    except AgiMonitorError as error:
        return str(error)


def _index(config: Config) -> int | Missing:
    if config.ami is None:
        return Missing("the configuration has no manager interface")
    answer = ask(socket_path(config.control.socket, config.state.directory), Request(Ask.STATUS))
    status = answer.get("status")
    differences = status.get("differences") if isinstance(status, dict) else None
    return differences if isinstance(differences, int) else Missing("the server has no live picture")


def _certificates(config: Config) -> tuple[Certificate, ...] | Missing:
    if config.ami is None or config.ami.tls is None or config.ami.tls.ca_file is None:
        return ()
    path = config.ami.tls.ca_file
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        return Missing(f"{path}: {error}")
    return tuple(Certificate(str(path), one.not_valid_after_utc) for one in found)
