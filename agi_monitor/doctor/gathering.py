"""Finds the evidence: on the PBX, in its files, in our own house. Reads, and changes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from cryptography import x509

from agi_monitor.ami.messages import Message
from agi_monitor.audit.verification import Verdict
from agi_monitor.config import translation
from agi_monitor.config.sections import Config
from agi_monitor.control import client
from agi_monitor.control.socket_file import socket_path
from agi_monitor.dialplan import conf_files
from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import DIALPLAN, render
from agi_monitor.doctor import own_files
from agi_monitor.doctor.dialplan_walk import Dialplan
from agi_monitor.doctor.evidence import (
    TRUE,
    Certificate,
    Endpoint,
    Evidence,
    Listener,
    Missing,
    NotKnown,
    Section,
    Sections,
    last,
    values,
)
from agi_monitor.doctor.file_contexts import file_contexts
from agi_monitor.errors import ActionFailed, AgiMonitorError, PermissionDenied
from agi_monitor.install.comparison import compare
from agi_monitor.live.devices import LOCAL_MEMBER
from agi_monitor.model import Barge, Cue, Reason
from agi_monitor.names import is_system_name, unusable_characters
from agi_monitor.storage.audit.head_file import HEAD_FILE
from agi_monitor.storage.audit.key_file import PUBLIC_FILE, trusted_keys
from agi_monitor.storage.audit.reading import files_of, in_order
from agi_monitor.storage.audit.source import Files, Table
from agi_monitor.storage.database import FILE, Database, file_url
from agi_monitor.supervision.prompts import EXTENSION, NUMBER, PLACEHOLDERS, Prompts

SOUND_FOLDERS = ("/usr/share/asterisk/sounds", "/var/lib/asterisk/sounds")
"""Where distributions put them; ``astdatadir`` of asterisk.conf says so otherwise."""

FILES = (
    *("asterisk.conf", "manager.conf", "acl.conf", "http.conf", "ari.conf"),
    *("features.conf", "pjsip.conf"),
)
"""Files of Asterisk that are looked into. One that is not there is as empty, but for the first two."""
NEEDED_FILES = frozenset(FILES[:2])

FIRST_ALONE = frozenset({"general", "options", "directories", "applicationmap"})
"""Sections that Asterisk asks for by their name: the first of each counts, and no other (ast_variable_browse)."""

OTHER_DRIVERS: Mapping[str, str] = dict.fromkeys(
    (
        f"chan_{name}.so"
        for name in ("sip", "iax2", "dahdi", "mgcp", "skinny", "unistim", "motif", "ooh323", "mobile")
    ),
    "phones that are not PJSIP",
)

LOOKS = 3
"""How often the live picture is compared with the PBX before a difference counts."""

MAX_CERTIFICATE = 1_048_576
"""Bytes of a file with certificates."""

MAX_SOUNDS = 100_000
"""Files that are looked at for one language; the core sounds are some hundred."""

MAX_TOLD = 5
"""Findings of a chain that are told; 'audit verify' tells all."""

_NUMBER = re.compile(r"<[^<>]+>\s*$(?<!<unknown>)")
"""The number at the end of a caller id, as PJSIPShowEndpoint writes it; ``<unknown>`` is not a number."""

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
    prompts = translation.policy(config).prompts
    languages = {"en", *config.languages, *(one.language for one in config.supervisors.values() if one.language)}
    fastagi = config.fastagi
    is_guarded = fastagi.secret is not None or not any(peer.endswith("/0") for peer in fastagi.peers)
    listeners = [Listener("fastagi", fastagi.listen, fastagi.port, is_guarded)]
    if config.metrics is not None:
        listeners.append(Listener("metrics", config.metrics.listen, config.metrics.port, False))
    return Evidence(
        now,
        context=translation.site(config).context,
        agents=frozenset(endpoint for agent in config.agents.values() for endpoint in agent.endpoints),
        supervisors=frozenset(endpoint for one in config.supervisors.values() for endpoint in one.endpoints),
        may_transfer=config.asterisk.allow_transfer,
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

    def is_ours(context: str) -> bool:
        return context == evidence.context or context.startswith(f"{evidence.context}-")

    dialplan = rows if isinstance(rows, Missing) else Dialplan(rows, is_ours)
    return replace(
        evidence,
        agents=evidence.agents | _hinted(config, dialplan),
        version=_tried(lambda: pbx.ask("CoreSettings").text("AsteriskVersion")),
        unusable_names=_tried(lambda: _unusable([pbx.ask("CoreSettings").text("SystemName")])),
        skew=_tried(lambda: _skew(pbx)),
        queue_contexts=_tried(lambda: _queue_contexts(pbx, config)),
        loaded=_tried(lambda: _running(pbx, evidence.modules)),
        endpoints=_tried(lambda: _endpoints(pbx)),
        other_drivers=_tried(lambda: _running(pbx, OTHER_DRIVERS)),
        dialplan=dialplan,
        differences=rows if isinstance(rows, Missing) else _differences(config, rows),
        picture=_tried(lambda: _picture(pbx, config)),
    )


def _hinted(config: Config, dialplan: Dialplan | Missing) -> frozenset[str]:
    """The devices of agents that are found by hints."""
    if isinstance(dialplan, Missing):
        return frozenset()
    found: set[str] = set()
    for agent in translation.agents(config):
        if not agent.endpoints:
            context = config.dialplan.hint_context if agent.hint_context is None else agent.hint_context
            found.update(dialplan.devices(context, agent.digits))
    return frozenset(found)


def _queue_contexts(pbx: Pbx, config: Config) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    try:
        items = [] if config.tenants else pbx.items("QueueStatus")
    except PermissionDenied:
        raise
    except ActionFailed as error:
        if error.has_begun:
            raise
        items = []  # a PBX without app_queue.so
    for item in items:
        member = LOCAL_MEMBER.fullmatch(item.text("Location"))
        if item.text("Event") == "QueueMember" and member is not None and member["extension"] in config.agents:
            found.setdefault(member["extension"], set()).add(member["context"])
    return {extension: frozenset(contexts) for extension, contexts in found.items() if len(contexts) > 1}


def _unusable(names: Iterable[str]) -> Mapping[str, str]:
    return {name: unusable_characters(name) for name in names if name and not is_system_name(name)}


def _skew(pbx: Pbx) -> timedelta:
    before = time.time()
    there = float(pbx.ask("Ping").text("Timestamp"))
    # It was read somewhere between; the benefit of the doubt.
    return timedelta(seconds=there - min(max(there, before), time.time()))


def _picture(pbx: Pbx, config: Config) -> tuple[str, ...] | Missing:
    """Compare the server's picture with what the PBX has. A difference that is gone a moment later was an event on
    its way."""
    if config.ami is None:
        return Missing("the configuration has no manager interface")
    missing: set[str] | None = None
    surplus: set[str] | None = None
    for _ in range(LOOKS):
        before = _channels(pbx)
        calls = client.calls(socket_path(config.control.socket, config.state.directory))
        after = _channels(pbx)
        seen = {channel.name for call in calls for channel in call.channels}
        missing = (before & after) - seen if missing is None else missing & ((before & after) - seen)
        surplus = seen - before - after if surplus is None else surplus & (seen - before - after)
        if not missing and not surplus:
            return ()
    return (
        *(f"{name} is on the PBX and not in the picture" for name in sorted(missing or ())),
        *(f"{name} is in the picture and not on the PBX" for name in sorted(surplus or ())),
    )


def _channels(pbx: Pbx) -> set[str]:
    return {item.text("Channel") for item in pbx.items("CoreShowChannels") if item.text("Channel")}


def _tried(look: Callable[[], T]) -> T | Missing:
    try:
        return look()
    except PermissionDenied as error:
        return Missing(f"{error}: the account needs another class in its line 'write'")
    except (AgiMonitorError, NotKnown, ValueError) as error:
        return Missing(str(error))
    except OSError as error:
        return Missing(f"{error.filename}: {error.strerror}" if error.filename else str(error))


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
    try:
        items = pbx.items("PJSIPShowEndpoints")
    except PermissionDenied:
        raise
    except ActionFailed as error:
        # Without one it is an error (ami_show_endpoints in res_pjsip/pjsip_configuration.c).
        if not error.text.startswith("No endpoints found"):
            raise
        items = []
    for item in items:
        name = item.text("ObjectName")
        if not name:
            continue
        for detail in pbx.items("PJSIPShowEndpoint", ("Endpoint", name)):
            if detail.text("Event") == "EndpointDetail":
                found.append(endpoint(name, detail))
    return tuple(found)


def endpoint(name: str, detail: Message) -> Endpoint:
    """Return what a device may do.

    Parameters:
        name: of the endpoint.
        detail: the event EndpointDetail of PJSIPShowEndpoint.
    """

    def groups(which: str) -> frozenset[str]:
        numbers, named = detail.text(which), detail.text(f"Named{which}")
        found = {*numbers.split(","), *(f"named {one.strip()}" for one in named.split(",") if one.strip())}
        return frozenset(one.strip() for one in found if one.strip())

    return Endpoint(
        f"PJSIP/{name}",
        detail.text("Context"),
        direct_media=_is_on(detail.text("DirectMedia")),
        allow_transfer=_is_on(detail.text("AllowTransfer")),
        # Without a number of its own, the user part of From is taken as it is (res_pjsip_caller_id.c).
        takes_number=_is_on(detail.text("TrustIdInbound")) or not _NUMBER.search(detail.text("Callerid")),
        call_groups=groups("CallGroup"),
        pickup_groups=groups("PickupGroup"),
    )


def _is_on(text: str) -> bool:
    return text.lower() in ("true", "yes")


def _differences(config: Config, rows: list[Mapping[str, str]]) -> tuple[str, ...]:
    by_context: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_context.setdefault(row.get("Context", ""), []).append(row)
    rendered = render(translation.site(config), config.dialplan.templates)
    # Without one, the site has written its own, and it is not known what it should be.
    wanted = parse(rendered.get(DIALPLAN, "")).contexts
    return tuple(line for context in wanted for line in compare(context, by_context.get(context.name)).wrong)


def of_files(evidence: Evidence, config: Config, folder: Path) -> Evidence:
    """Add what stands in Asterisk's own files.

    Parameters:
        config: what our own files are rendered from.
        folder: its configuration.
    """
    files: dict[str, Sections | Missing] = {}
    notes: list[str] = []
    for name in FILES:
        files[name] = _sections(folder, name, notes)
    settings = files["asterisk.conf"]
    told = evidence.unusable_names
    if not isinstance(settings, Missing):
        written = _unusable(value for name, value in settings.get("options", ()) if name.lower() == "systemname")
        told = written if isinstance(told, Missing) else {**told, **written}
    return replace(
        evidence,
        unusable_names=told,
        files=files,
        not_understood=tuple(notes),
        file_contexts=_tried(lambda: file_contexts(folder)),
        file_differences=own_files.differences(config, folder),
        sound_files=_tried(lambda: _sound_files(settings, evidence.sounds)),
    )


def _sections(folder: Path, name: str, notes: list[str]) -> Sections | Missing:
    try:
        reading = conf_files.read(folder, name)
    except FileNotFoundError as error:
        return Missing(f"{error.filename}: {error.strerror}") if name in NEEDED_FILES else {}
    except OSError as error:
        return Missing(f"{error.filename}: {error.strerror}")
    except conf_files.TooMuch as error:
        return Missing(str(error))
    notes += reading.notes
    if reading.refused:
        # What it runs with then is what stood there before, or nothing.
        return Missing(f"{reading.refused}; Asterisk refuses the whole file")
    found: dict[str, list[tuple[str, str]]] = {}
    for section in reading.sections:
        lines = [(line.name, line.value) for line in section.lines]
        if section.is_template:
            continue
        if section.name.lower() in FIRST_ALONE:
            found.setdefault(section.name.lower(), lines)
        else:
            found.setdefault(section.name, []).extend(lines)
    return dict(found)


def _sound_files(settings: Sections | Missing, languages: Iterable[str]) -> Mapping[str, frozenset[str]] | Missing:
    told: Section = () if isinstance(settings, Missing) else settings.get("directories", ())
    places = [*(f"{one}/sounds" for one in values(told, "astdatadir")), *SOUND_FOLDERS]
    folder = next((Path(place) for place in places if _is_folder(Path(place))), None)
    if folder is None:
        return Missing(f"no folder with sounds on this machine: looked for {', '.join(places)}")
    return {language: frozenset(_names_of_sounds(folder / language)) for language in languages}


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False  # such as one with too long a name


def _names_of_sounds(folder: Path) -> Iterator[str]:
    if _is_folder(folder):
        for path in conf_files.files_below(folder, MAX_SOUNDS):
            yield str(path.relative_to(folder).with_suffix(""))


def of_house(evidence: Evidence, config: Config, folder: Path) -> Evidence:
    """Add what is to be known of our own server, store and audit.

    Parameters:
        config: the configuration.
        folder: that its file is in.
    """
    state = config.state.directory
    return replace(
        evidence,
        audit=_tried(lambda: _audit(config)),
        store=_store(config),
        open_files=_tried(lambda: own_files.open_to_others([folder, *([state] if state.is_dir() else [])])),
        index_differences=_tried(lambda: _index(config)),
        certificates=_certificates(config, evidence),
    )


def _audit(config: Config) -> tuple[str, ...] | Missing:
    state = config.state.directory
    keys = trusted_keys(state / PUBLIC_FILE) if (state / PUBLIC_FILE).exists() else []
    found: list[str] = []
    if config.audit.file is not None:
        paths = in_order(files_of(config.audit.file))
        if not paths and not config.audit.store and not (state / HEAD_FILE).exists():
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


def _store(config: Config) -> str | Missing:
    state = config.state.directory
    is_new = not (state / HEAD_FILE).exists() and not (state / FILE).exists()
    if is_new and not config.store.url and not config.store.people:
        return Missing(f"{state / FILE}: it is not there yet; the server makes it when it starts")
    try:
        with _opened(config):
            return ""
    except AgiMonitorError as error:
        return str(error)


def _index(config: Config) -> int | Missing:
    if config.ami is None:
        return Missing("the configuration has no manager interface")
    differences = client.status(socket_path(config.control.socket, config.state.directory)).differences
    return Missing("the server has no live picture") if differences is None else differences


def _certificates(config: Config, evidence: Evidence) -> tuple[Certificate, ...] | Missing:
    paths = {} if config.ami is None or config.ami.tls is None else {config.ami.tls.ca_file: "ami.tls.ca_file"}
    for file, section, switch, name in (
        ("manager.conf", "general", "tlsenable", "tlscertfile"),
        ("http.conf", "general", "tlsenable", "tlscertfile"),
    ):
        lines = _section(evidence, file, section)
        if last(lines, switch).lower() in TRUE and last(lines, name):
            paths[Path(last(lines, name))] = file
    for transport in () if isinstance(found := evidence.files.get("pjsip.conf", {}), Missing) else found.values():
        if last(transport, "type") == "transport" and last(transport, "cert_file"):
            paths[Path(last(transport, "cert_file"))] = "pjsip.conf"
    certificates = []
    for path, where in paths.items():
        if path is None:
            continue
        try:
            read = x509.load_pem_x509_certificates(conf_files.contents(path, MAX_CERTIFICATE).encode())
        except (OSError, ValueError, conf_files.TooMuch) as error:
            return Missing(f"{where}: {path}: {getattr(error, 'strerror', None) or error}")
        certificates += [Certificate(f"{where}: {path}", one.not_valid_after_utc) for one in read]
    return tuple(certificates)


def _section(evidence: Evidence, file: str, section: str) -> Section:
    found = evidence.files.get(file, {})
    return () if isinstance(found, Missing) else found.get(section, ())
