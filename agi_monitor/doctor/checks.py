"""All checks, in one table. Each looks at the evidence and says what it found, a line each. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path

from agi_monitor.doctor.application_targets import SPIES
from agi_monitor.doctor.dialplan_walk import Dialplan, Place
from agi_monitor.doctor.evidence import TRUE, Endpoint, Evidence, Missing, NotKnown, Section, known, last, values
from agi_monitor.doctor.findings import Check, Severity
from agi_monitor.doctor.manager_accounts import ManagerAccount, accounts, is_ipv6, is_network
from agi_monitor.names import weakness

ADVISORIES = Path(__file__).with_name("advisories.json")

DANGEROUS_CLASSES = frozenset({"all", "command", "system", "originate", "config"})
"""Classes in ``write`` by which an account can run programs, change files, or hear calls on the PBX (manager.c)."""

NEEDED_CLASSES = frozenset({"call", "reporting"})
"""Classes in ``write`` that the rendered account has."""

MAX_SKEW = timedelta(seconds=5)
DAYS_LEFT = timedelta(days=30)
MAX_WAYS = 5
"""Ways to one place that are told."""
MAX_UNSEEN = 20
"""Places that cannot be looked into that are told."""


# ---- the version ---------------------------------------------------------------------------------------------


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"[^0-9]*([0-9]{1,9}(?:\.[0-9]{1,9})*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


@cache
def advisories() -> tuple[Mapping[str, object], ...]:
    """Return what is known to be wrong with versions of Asterisk."""
    return tuple(json.loads(ADVISORIES.read_text(encoding="utf-8")))


def affected(version: str) -> Iterator[Mapping[str, object]]:
    """Yield what is known to be wrong with a version."""
    numbers = _numbers(version)
    for one in advisories():
        ranges = one["affected"]
        assert isinstance(ranges, list)  # noqa: S101 - the file is ours
        if any(_numbers(begin) <= numbers < _numbers(end) for begin, end in ranges):
            yield one


def _version(evidence: Evidence) -> Iterator[str]:
    version = known(evidence.version)
    if re.fullmatch(r"[0-9]+\.[0-9]+[^/]*", version) is None or "cert" in version:
        raise NotKnown(f"Asterisk {version} is not a plain release, so its number says nothing")
    for one in affected(version):
        yield f"Asterisk {version}: {one['id']}: {one['effect']} ({one['reference']})"


# ---- what the PBX is made of ---------------------------------------------------------------------------------


def _modules(evidence: Evidence) -> Iterator[str]:
    loaded = known(evidence.loaded)
    for name, purpose in evidence.modules.items():
        if name not in loaded:
            yield f"{name} does not run: {purpose}"


def _sounds(evidence: Evidence) -> Iterator[str]:
    files = known(evidence.sound_files)
    for language, wanted in sorted(evidence.sounds.items()):
        missing = sorted(wanted - files.get(language, frozenset()))
        if missing:
            yield f"{language}: {', '.join(missing)}"


def _options(evidence: Evidence) -> Section:
    return evidence.file("asterisk.conf").get("options", ())


def _system_name(evidence: Evidence) -> Iterator[str]:
    if not last(_options(evidence), "systemname"):
        yield "asterisk.conf, [options]: there is no systemname"


def _unusable_system_name(evidence: Evidence) -> Iterator[str]:
    for name, characters in sorted(known(evidence.unusable_names).items()):
        yield f"systemname = {name!r} holds {' '.join(repr(one) for one in characters)}"


def _queue_contexts(evidence: Evidence) -> Iterator[str]:
    for extension, contexts in sorted(known(evidence.queue_contexts).items()):
        yield f"{extension}: queues reach it in the contexts {', '.join(sorted(contexts))}"


def _live_dangerously(evidence: Evidence) -> Iterator[str]:
    for value in values(_options(evidence), "live_dangerously"):
        if value.lower() in TRUE:
            yield f"asterisk.conf, [options]: live_dangerously = {value}"


def _not_understood(evidence: Evidence) -> Iterator[str]:
    yield from evidence.not_understood


def _direct_media(evidence: Evidence) -> Iterator[str]:
    for endpoint in known(evidence.endpoints):
        if endpoint.direct_media and (not evidence.agents or endpoint.name in evidence.agents):
            yield f"{endpoint.name}: direct_media = yes"


# ---- phones, and what callers send ---------------------------------------------------------------------------


def _endpoints(evidence: Evidence) -> tuple[Endpoint, ...]:
    """Those of the PBX; without an account, those in pjsip.conf, whose defaults are known here."""
    if not isinstance(evidence.endpoints, Missing):
        return evidence.endpoints
    sections = evidence.files.get("pjsip.conf", {})
    found = {} if isinstance(sections, Missing) else sections
    told = tuple(_endpoint(name, section) for name, section in found.items() if ("type", "endpoint") in section)
    return told or known(evidence.endpoints)


def _endpoint(name: str, section: Section) -> Endpoint:
    def groups(which: str) -> frozenset[str]:
        named = last(section, f"named_{which}").split(",")
        found = {*last(section, which).split(","), *(f"named {one.strip()}" for one in named if one.strip())}
        return frozenset(one.strip() for one in found if one.strip())

    number = re.search(r"<[^<>]+>\s*$|^\s*[0-9]+\s*$", last(section, "callerid"))
    return Endpoint(
        f"PJSIP/{name}",
        last(section, "context", "default"),
        direct_media=last(section, "direct_media", "yes").lower() in TRUE,
        allow_transfer=last(section, "allow_transfer", "yes").lower() in TRUE,
        takes_number=number is None or last(section, "trust_id_inbound").lower() in TRUE,
        call_groups=groups("call_group"),
        pickup_groups=groups("pickup_group"),
    )


def _transfers(evidence: Evidence) -> Iterator[str]:
    if not evidence.supervisors or evidence.may_transfer:
        return
    for endpoint in _endpoints(evidence):
        if endpoint.name in evidence.supervisors and endpoint.allow_transfer:
            yield f"{endpoint.name}: allow_transfer = yes"


def _pickups(evidence: Evidence) -> Iterator[str]:
    if not evidence.supervisors:
        return
    endpoints = _endpoints(evidence)
    for endpoint in endpoints:
        if endpoint.name not in evidence.supervisors or not endpoint.call_groups:
            continue
        others = [one.name for one in endpoints if one is not endpoint and one.pickup_groups & endpoint.call_groups]
        if others:
            shown = ", ".join(others[:MAX_WAYS]) + (
                f" and {len(others) - MAX_WAYS} more" if others[MAX_WAYS:] else ""
            )
            yield f"{endpoint.name}: what rings there can be picked up by {shown}"


def _is_open_pattern(extension: str) -> bool:
    """Whether more than digits fit, whatever stands at the front."""
    return extension.startswith("_") and extension.endswith((".", "!"))


def _filters(dialplan: Dialplan, place: Place, what: str) -> bool:
    """Whether the steps of a place let only some characters of a variable through."""
    return any(
        "FILTER(" in step.arguments and f"${{{what}" in step.arguments for step in dialplan.steps[place[0]][place[1]]
    )


def _dialled_text(evidence: Evidence) -> Iterator[str]:
    dialplan = known(evidence.dialplan)
    found: dict[Place, list[str]] = {}
    for context in _entries(evidence, dialplan):
        for place in dialplan.places(context):
            if _is_open_pattern(place[1]) and not _is_ours(evidence, place[0]):
                found.setdefault(place, []).append(context)
    yield from _some(
        f"{extension}@{context} takes any characters, without a FILTER of ${{EXTEN}}; it is dialled from "
        + ", ".join(f"[{one}]" for one in contexts[:MAX_WAYS])
        for (context, extension), contexts in found.items()
        if not _filters(dialplan, (context, extension), "EXTEN")
    )


def _caller_text(evidence: Evidence) -> Iterator[str]:
    dialplan = known(evidence.dialplan)
    open_places: dict[str, Place | None] = {}
    found = []
    for endpoint in _endpoints(evidence):
        if not endpoint.takes_number:
            continue
        if endpoint.context not in open_places:
            places = (one for one in dialplan.places(endpoint.context) if not _is_ours(evidence, one[0]))
            open_places[endpoint.context] = next(
                (one for one in places if not _filters(dialplan, one, "CALLERID(")), None
            )
        place = open_places[endpoint.context]
        if place is not None:
            where = f"{place[1]}@{place[0]}"
            found.append(f"{endpoint.name}: the number is what the caller sends, and {where} does not filter it")
    yield from _some(found)


def _some(lines: Iterable[str]) -> Iterator[str]:
    found = list(lines)
    yield from found[:MAX_UNSEEN]
    if len(found) > MAX_UNSEEN:
        yield f"and {len(found) - MAX_UNSEEN} more"


# ---- the manager interface -----------------------------------------------------------------------------------


def _accounts(evidence: Evidence) -> list[ManagerAccount]:
    return list(accounts(evidence.file("manager.conf"), evidence.file("acl.conf")))


def _secrets(evidence: Evidence) -> Iterator[str]:
    for one in _accounts(evidence):
        yield from _weak("manager.conf", one.name, one.secret)
    for name, section in _ari_users(evidence):
        if last(section, "password_format", "plain").lower() == "plain":
            yield from _weak("ari.conf", name, last(section, "password"))


def _weak(file: str, name: str, secret: str) -> Iterator[str]:
    # Not the secret itself: this goes to screens and tickets.
    if why := weakness(name, secret):
        yield f"{file}, [{name}]: the secret {why}"


def _own_account(evidence: Evidence) -> Iterator[str]:
    if not evidence.account:
        return
    found = next((one for one in _accounts(evidence) if one.name == evidence.account), None)
    if found is None:
        raise NotKnown(f"manager.conf: there is no account [{evidence.account}]")
    if too_much := found.writes - NEEDED_CLASSES:
        yield f"manager.conf, [{found.name}]: write has {', '.join(sorted(too_much))}"


def _other_accounts(evidence: Evidence) -> Iterator[str]:
    for one in _accounts(evidence):
        too_much = DANGEROUS_CLASSES & one.writes
        if too_much and one.name != evidence.account and one.is_open(to_ipv6=False):
            yield f"manager.conf, [{one.name}]: write has {', '.join(sorted(too_much))}, and every address may log in"


def _manager_address(evidence: Evidence) -> Iterator[str]:
    general = evidence.file("manager.conf").get("general", ())
    if last(general, "enabled").lower() not in TRUE:
        return
    address = last(general, "bindaddr", "0.0.0.0")
    if is_network(address):
        to_ipv6 = is_ipv6(address)
        for one in _accounts(evidence):
            if one.is_open(to_ipv6=to_ipv6):
                yield f"manager.conf: listens on {address} without TLS, and [{one.name}] may log in from everywhere"


def _ari_users(evidence: Evidence) -> Iterator[tuple[str, Section]]:
    ari = evidence.file("ari.conf")
    if last(ari.get("general", ()), "enabled", "yes").lower() in TRUE:
        for name, section in ari.items():
            if last(section, "type").lower() == "user":
                yield name, section


def _ari(evidence: Evidence) -> Iterator[str]:
    http = evidence.file("http.conf").get("general", ())
    if last(http, "enabled").lower() not in TRUE:
        return
    address = last(http, "bindaddr", "0.0.0.0")
    if is_network(address):
        for name, section in _ari_users(evidence):
            if last(section, "read_only", "no").lower() not in TRUE:
                yield f"ari.conf, [{name}]: may snoop on every channel; http.conf listens on {address} without TLS"


def _own_ports(evidence: Evidence) -> Iterator[str]:
    for one in evidence.listeners:
        if is_network(one.address) and not one.is_guarded:
            yield f"{one.name}: listens on {one.address} port {one.port}, where everyone is let in"


# ---- the dialplan --------------------------------------------------------------------------------------------


def _is_ours(evidence: Evidence, context: str) -> bool:
    return context == evidence.context or context.startswith(f"{evidence.context}-")


def _entries(evidence: Evidence, dialplan: Dialplan) -> list[str]:
    """The contexts that calls come into from outside; where that is not known, all that are not ours."""
    phones = f"{evidence.context}-phone-"
    contexts = [one for one in dialplan.steps if not _is_ours(evidence, one) or one.startswith(phones)]
    endpoints, elsewhere = evidence.endpoints, evidence.file_contexts
    if isinstance(endpoints, Missing) or isinstance(elsewhere, Missing):
        return contexts
    used = {endpoint.context for endpoint in endpoints} | set(elsewhere)
    if evidence.other_drivers:
        used.add("default")  # where their phones dial from when nothing is said
    for _, value in evidence.file("features.conf").get("applicationmap", ()):
        words = re.split(r"[,^&()\s]+", value)
        used |= {*words, *map("macro-{}".format, words)}
    return [context for context in contexts if context in used]


def _spies(evidence: Evidence) -> Iterator[str]:
    dialplan = known(evidence.dialplan)
    for key, value in evidence.file("features.conf").get("applicationmap", ()):
        if any(spy in value.lower() for spy in SPIES):
            yield f"features.conf, [applicationmap]: {key} => {value}"
    if not dialplan.has_spies():
        return
    told: dict[Place, int] = {}
    found = list(dialplan.ways(_entries(evidence, dialplan), lambda place: bool(dialplan.spies(place))))
    for place, way in sorted(found, key=lambda one: not one[1].is_sure):
        told[place] = told.get(place, 0) + 1
        if told[place] <= MAX_WAYS and not _is_ours(evidence, place[0]):
            step = dialplan.spies(place)[0]
            perhaps = "" if way.is_sure else "perhaps, by a variable, "
            yield f"{step.application}({step.arguments}) is {perhaps}reached {way}, priority {step.priority}"


def _codes(evidence: Evidence) -> Iterator[str]:
    dialplan = known(evidence.dialplan)
    entries = frozenset(_entries(evidence, dialplan))
    behind: dict[frozenset[str], list[str]] = {}
    for context in dialplan.steps:
        if _is_ours(evidence, context) and context not in entries:
            continue
        if evidence.context in dialplan.visible(context):
            yield f"[{context}] includes [{evidence.context}]: all codes can be dialled from it"
        elif context in entries:
            behind.setdefault(_doors(evidence, dialplan, context), []).append(context)
    call = f"{evidence.context}-call"
    for doors, contexts in behind.items():
        told: set[str] = set()
        for place, way in dialplan.ways(contexts, _among({call}), _among(doors)):
            if way.context not in told:
                told.add(way.context)
                yield f"[{place[0]}] is reached {way}, past the permission groups"


def _among(contexts: Collection[str]) -> Callable[[Place], bool]:
    return lambda place: place[0] in contexts


def _doors(evidence: Evidence, dialplan: Dialplan, context: str) -> frozenset[str]:
    """The contexts of permission groups that a context has a right to."""
    groups = f"{evidence.context}-group-"
    doors = {name for name in dialplan.visible(context) if name.startswith(groups)}
    return frozenset(doors | {context} if _is_ours(evidence, context) else doors)


def _unseen(evidence: Evidence) -> Iterator[str]:
    found = list(known(evidence.dialplan).unseen())
    for what, (context, extension) in found[:MAX_UNSEEN]:
        yield f"{what} at {extension}@{context}"
    if len(found) > MAX_UNSEEN:
        yield f"and {len(found) - MAX_UNSEEN} more"
    if isinstance(evidence.file_contexts, Missing):
        for driver in sorted(known(evidence.other_drivers)):
            yield f"{driver} runs, and where its phones dial from was not read: {evidence.file_contexts.why}"


def _installed(evidence: Evidence) -> Iterator[str]:
    yield from evidence.file_differences
    yield from known(evidence.differences)


# ---- our own house -------------------------------------------------------------------------------------------


def _audit(evidence: Evidence) -> Iterator[str]:
    yield from known(evidence.audit)


def _store(evidence: Evidence) -> Iterator[str]:
    if found := known(evidence.store):
        yield found


def _open_files(evidence: Evidence) -> Iterator[str]:
    yield from known(evidence.open_files)


def _clock(evidence: Evidence) -> Iterator[str]:
    skew = known(evidence.skew)
    if abs(skew) > MAX_SKEW:
        where = "ahead" if skew > timedelta() else "behind"
        yield f"the clock of the PBX is {abs(skew).total_seconds():.0f} s {where}"


def _index(evidence: Evidence) -> Iterator[str]:
    yield from () if isinstance(evidence.picture, Missing) else evidence.picture
    if found := known(evidence.index_differences):
        yield f"lists of the PBX found {found} differences since the server started"
    known(evidence.picture)


def _certificates(evidence: Evidence) -> Iterator[str]:
    for one in known(evidence.certificates):
        left = one.ends - evidence.now
        if left <= timedelta():
            yield f"{one.where}: ended on {one.ends.date()}"
        elif left < DAYS_LEFT:
            yield f"{one.where}: ends on {one.ends.date()}, in {left.days} days"


# ---- the table -----------------------------------------------------------------------------------------------

NOTE, WARNING, ERROR = Severity.NOTE, Severity.WARNING, Severity.ERROR

CHECKS: tuple[Check, ...] = (
    Check(
        "asterisk-version",
        WARNING,
        "Versions of Asterisk that are known to be unsafe, or to break a call that is heard",
        "A fault in Asterisk cannot be fixed from outside.",
        "Update Asterisk, or see in the advisory whether your distribution has fixed it in this version.",
        _version,
    ),
    Check(
        "module-missing",
        ERROR,
        "Modules of Asterisk that are needed and do not run",
        "A call that needs one ends, or is refused.",
        "Load it with 'module load NAME', and see that modules.conf does not keep it out.",
        _modules,
    ),
    Check(
        "sound-missing",
        ERROR,
        "Sound files that prompts need and that are missing",
        "A supervisor who should hear why they are refused, or be asked for the PIN, hears nothing.",
        "Install the core sounds of that language, or name other files in 'prompts'.",
        _sounds,
    ),
    Check(
        "systemname-missing",
        NOTE,
        "A PBX without a name",
        "Its unique ids are those of any other PBX as well: records of two cannot be told apart.",
        "Put systemname = NAME into [options] of asterisk.conf, and restart Asterisk.",
        _system_name,
    ),
    Check(
        "systemname-unusable",
        ERROR,
        "A PBX whose name makes its calls impossible to name",
        "The name is part of each channel's identifier. An identifier with a comma, a bracket, a quote or the like "
        "could change the arguments of ChanSpy, so the server never uses it and refuses every request with no_call.",
        "In asterisk.conf, make systemname of letters, digits, spaces and _ . - + @ : # = ~ ! % * ' alone, and "
        "restart Asterisk.",
        _unusable_system_name,
    ),
    Check(
        "queue-contexts",
        WARNING,
        "Agents whom queues reach by more than one context, on a PBX without tenants",
        "Two companies may have the same extension. Without tenants they count as one agent, and a supervisor who "
        "may hear one hears the calls of both.",
        "Name the companies in 'tenants' of the configuration. Where it is all one company, nothing has to be done.",
        _queue_contexts,
    ),
    Check(
        "live-dangerously",
        ERROR,
        "Dialplan functions that run programs, open to AMI and ARI",
        "An account that may set a variable there may run a program on the PBX.",
        "Remove live_dangerously from asterisk.conf, and restart Asterisk.",
        _live_dangerously,
    ),
    Check(
        "file-not-understood",
        WARNING,
        "Lines of Asterisk's files that were passed over",
        "No other check has looked at them.",
        "Look at the line. What a program makes (#exec) cannot be read without running it.",
        _not_understood,
    ),
    Check(
        "direct-media",
        WARNING,
        "Agents' devices whose sound may pass the PBX by",
        "A call is pulled back to the PBX when a spy begins; with NAT one side may then fall silent.",
        "Set direct_media = no for the endpoint.",
        _direct_media,
    ),
    Check(
        "supervisor-transfer",
        WARNING,
        "Supervisors' phones that may transfer calls",
        "Such a phone can hand over a call that it is listening to, and the other phone hears it until the server "
        "sees that in the manager interface.",
        "Set allow_transfer = no for the endpoint, in pjsip.conf or where your phones are. If supervisors must "
        "transfer calls of their own, set asterisk.allow_transfer in our configuration.",
        _transfers,
    ),
    Check(
        "supervisor-pickup",
        NOTE,
        "Phones that can pick up what rings at a supervisor",
        "A call that rings at a supervisor can be answered at another phone, also one that begins a spy.",
        "Leave call_group and named_call_group out for supervisors' endpoints.",
        _pickups,
    ),
    Check(
        "dialled-text",
        WARNING,
        "Patterns that let any characters in, from phones and trunks",
        "A SIP caller may dial line ends. Asterisk writes them as they are into the events of the manager interface, "
        "where they make up events of their own.",
        "Write patterns of a fixed length, such as _2XXX. Where a pattern has to end in . or !, compare its length "
        "with that of ${FILTER(0-9,${EXTEN})} first, and hang up: extensions.conf.sample shows how.",
        _dialled_text,
    ),
    Check(
        "caller-text",
        WARNING,
        "Endpoints whose callers choose their own number",
        "A SIP caller's number may hold line ends, which Asterisk writes as they are into the events of the manager "
        "interface, where they make up events of their own.",
        'For a phone, set callerid = "Name" <number> of the endpoint, and leave trust_id_inbound off. For a trunk, '
        "Set(CALLERID(num)=${FILTER(+0-9,${CALLERID(num)})}) at the front of its dialplan: then only the first event "
        "of a call has the raw text.",
        _caller_text,
    ),
    Check(
        "ami-secret",
        ERROR,
        "Accounts of the manager interface or of ARI with a secret that can be guessed",
        "An account can hear calls and may change the PBX.",
        "Give each a long random secret: openssl rand -hex 24",
        _secrets,
    ),
    Check(
        "ami-account",
        WARNING,
        "Our own account of the manager interface with more than it needs",
        "With our configuration in hand, a thief could run programs on the PBX.",
        "Use the account that 'agi-monitor render' writes.",
        _own_account,
    ),
    Check(
        "ami-others",
        WARNING,
        "Other accounts that may run programs or hear calls, from every address",
        "They can hear every call without us, and change the record of it.",
        "Take those classes out of their line 'write', or give them deny and permit lines.",
        _other_accounts,
    ),
    Check(
        "ami-address",
        WARNING,
        "A manager interface that the network reaches without TLS",
        "Secrets and everything said about calls travel in the clear.",
        "Set bindaddr = 127.0.0.1 in manager.conf, or deny and permit lines for each account.",
        _manager_address,
    ),
    Check(
        "ari-open",
        WARNING,
        "Users of ARI who may hear every call, from the network and without TLS",
        "A snoop channel hears a call without us, and the audit knows of it only as a rogue spy, or not at all.",
        "Set bindaddr = 127.0.0.1 in http.conf, or give the user read_only = yes.",
        _ari,
    ),
    Check(
        "own-port",
        WARNING,
        "Ports of ours that everyone on the network can reach",
        "FastAGI lets a client try PINs; the metrics show how many calls are heard.",
        "Listen on 127.0.0.1, or set fastagi.peers or fastagi.secret, and let a firewall keep others out.",
        _own_ports,
    ),
    Check(
        "spy-reachable",
        ERROR,
        "Extensions by which a phone can hear others without us",
        "It checks neither a PIN nor a permission, and the audit knows of it only as a rogue spy.",
        "Remove the extension, or the include that leads to it.",
        _spies,
    ),
    Check(
        "code-reachable",
        WARNING,
        "Contexts from which our codes can be dialled past the permission groups",
        "The PIN is the second lock; the context is the first, and it is open there.",
        "Include the context of a group, agi-monitor-group-NAME, and only where that group's phones dial from.",
        _codes,
    ),
    Check(
        "dialplan-unseen",
        NOTE,
        "Places of the dialplan that cannot be looked into",
        "What is reached through them is not known; the alarm for rogue spies sees it when it happens.",
        "See that none of them leads to a spy, or to one of our contexts.",
        _unseen,
    ),
    Check(
        "installed-drift",
        ERROR,
        "A dialplan in the PBX that is not the one of the configuration",
        "What people think is installed is not what a call meets.",
        "Run agi-monitor install, and look at the difference that it shows.",
        _installed,
    ),
    Check(
        "audit-chain",
        ERROR,
        "Records of the audit that were changed, removed or inserted",
        "The record can no longer be relied on.",
        "Run agi-monitor audit verify, which names them; keep the files as they are.",
        _audit,
    ),
    Check(
        "store",
        ERROR,
        "A store that cannot be used",
        "Without it no PIN is accepted.",
        "Fix what the error names.",
        _store,
    ),
    Check(
        "pin-file",
        ERROR,
        "Files with records of PINs that everyone on this machine may read or change",
        "A PIN has few digits: with its record in hand, all of them can be tried without a telephone.",
        "chmod 600 the file, or remove it if it was exported for a move; then let the supervisors set new PINs.",
        _open_files,
    ),
    Check(
        "clock",
        WARNING,
        "Clocks of the PBX and of this machine that differ",
        "Records of the two cannot be put side by side, and rules with hours hold at other times than people think.",
        "Let both follow the same time server.",
        _clock,
    ),
    Check(
        "live-picture",
        WARNING,
        "A live picture that was not what the PBX had",
        "A supervisor could be sent to a call other than the current one.",
        "See index_difference in the log of the server, and report it.",
        _index,
    ),
    Check(
        "certificate",
        WARNING,
        "Certificates that have expired, or expire within 30 days",
        "The manager interface is not trusted afterwards: nothing more is known of calls.",
        "Make a new one in time.",
        _certificates,
    ),
)
"""In the order in which they are looked at and shown."""
