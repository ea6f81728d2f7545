"""Finds agents and their devices in what a site has: Asterisk's files, and lists of FreePBX.

It never makes a supervisor, a right or a PIN: the password of a mailbox is not looked at.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agi_monitor import names
from agi_monitor.dialplan import conf_files, site_devices
from agi_monitor.dialplan.conf_files import Section
from agi_monitor.dialplan.site_devices import Device, Dialplan, device_of, extension_of
from agi_monitor.errors import ConfigError

_LOCAL = re.compile(r"Local/(?P<extension>[0-9]+)@", re.IGNORECASE)

MOST_ALIKE = 3
"""Notes of one kind that are told; of the others only their number is."""

DEVICE_FILES: tuple[tuple[str, Callable[[Iterable[Section]], Iterator[Device]]], ...] = (
    ("pjsip.conf", site_devices.pjsip),
    ("pjsip_wizard.conf", site_devices.pjsip_wizard),
    ("sip.conf", site_devices.chan_sip),
    ("iax.conf", site_devices.iax),
    ("users.conf", site_devices.users),
)
"""A site has some of them."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was not understood.

    Parameters:
        where: file and line; empty where the text says it.
        text: what it is.
        kind: what notes of the same kind have in common; empty for one of its own.
    """

    where: str
    text: str
    kind: str = ""


@dataclass
class Found:
    """What was understood, and what was not.

    Parameters:
        names: of people, by extension.
        devices: by extension, in their order.
        groups: by extension, in their order.
        owners: by device, the extension that it is of.
        noted: what was not understood.
    """

    names: dict[str, str] = field(default_factory=dict)
    devices: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    noted: list[Note] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What was not understood, each with its file and line. Of many of one kind the first few are told."""
        counts: dict[str, int] = {}
        for note in self.noted:
            counts[note.kind] = counts.get(note.kind, 0) + 1
        told: list[str] = []
        seen: dict[str, int] = {}
        for note in self.noted:
            number = seen[note.kind] = seen.get(note.kind, 0) + 1
            text = f"{note.where}: {note.text}" if note.where else note.text
            if not note.kind or counts[note.kind] <= MOST_ALIKE or number < MOST_ALIKE:
                told.append(text)
            elif number == MOST_ALIKE:
                told.append(f"{text}; and {counts[note.kind] - number} more like it")
        return told

    def note(self, where: str, text: str, kind: str = "") -> None:
        """Note what was not understood."""
        self.noted.append(Note(where, text, kind))

    def agents(self) -> Mapping[str, Mapping[str, object]]:
        """Return the agents as a document has them: those with a device, by extension."""
        found = {}
        for extension in sorted(self.devices, key=lambda one: (len(one), one)):
            entry: dict[str, object] = {"endpoints": self.devices[extension]}
            if self.names.get(extension):
                entry["name"] = self.names[extension]
            if self.groups.get(extension):
                entry["groups"] = self.groups[extension]
            found[extension] = entry
        return found

    def device(self, extension: str, device: str, name: str = "") -> None:
        """Note a device of an extension."""
        devices = self.devices.setdefault(extension, [])
        if device not in devices:
            devices.append(device)
        self.owners.setdefault(device, extension)
        if name:
            self.names.setdefault(extension, name)


def look(folder: Path, lists: Iterable[Path] = ()) -> Found:
    """Look through Asterisk's folder, and through lists of FreePBX.

    Parameters:
        folder: Asterisk's configuration.
        lists: files that FreePBX's bulk handler has exported, extensions.

    Raises:
        ConfigError: a list cannot be read, or is not one, or a file exceeds the limits.
    """
    found = Found()
    for path in lists:
        _freepbx(found, path)
    dialplan = Dialplan()
    for section in _sections(found, folder, "extensions.conf") or ():
        dialplan.take(section)
    # Devices first: the others say something of those who have one.
    missing = []
    for name, devices in DEVICE_FILES:
        sections = _sections(found, folder, name)
        if sections is None:
            missing.append(name)
        for device in devices(sections or ()):
            _device(found, device, dialplan)
    if len(missing) == len(DEVICE_FILES):
        found.note(str(folder), f"has none of {', '.join(missing)}")
    for section in _sections(found, folder, "voicemail.conf") or ():
        _mailboxes(found, section)
    for section in _sections(found, folder, "queues.conf") or ():
        _queue(found, section)
    return found


def _sections(found: Found, folder: Path, name: str) -> list[Section] | None:
    """Read a file; None where there is none. One that Asterisk refuses is told, and read up to there."""
    try:
        reading = conf_files.read(folder, name)
    except FileNotFoundError:
        return None
    except OSError as error:
        found.note(str(folder / name), str(error.strerror))
        return None
    for note in reading.notes:
        found.note("", note)
    if reading.refused:
        found.note("", f"{reading.refused}: Asterisk does not load the file")
    return [section for section in reading.sections if not section.is_template]


def _device(found: Found, device: Device, dialplan: Dialplan) -> None:
    if not names.ENDPOINT.fullmatch(device.name):
        found.note(
            device.where,
            f"{device.name[:40]} cannot be a device: its name may have letters, digits and _ . + @ -",
            "no device",
        )
        return
    extension = None if device.is_trunk else extension_of(device, dialplan)
    if extension is not None:
        found.device(extension, device.name, device.person)
    elif device.is_trunk:
        found.note(device.where, f"{device.name} logs in elsewhere: a trunk", "trunk")
    else:
        found.note(
            device.where,
            f"{device.name} names no extension: not itself, a hint, its callerid or its mailbox; a trunk has none",
            "no extension",
        )


def _mailboxes(found: Found, section: Section) -> None:
    if section.name in ("general", "zonemessages"):
        return
    for line in section.lines:
        # The name comes after the password, which is not used here.
        name = ",".join(line.value.split(",")[1:2]).strip()
        if names.EXTENSION.fullmatch(line.name) and name:
            found.names.setdefault(line.name, name)


def _queue(found: Found, section: Section) -> None:
    if section.name == "general":
        return
    # Queues are often called by a number, and groups never are: that would be an extension.
    group = f"queue-{section.name}" if section.name.isdecimal() else section.name
    for line in section.lines:
        if line.name != "member":
            continue
        interface, _, rest = line.value.partition(",")
        named = rest.split(",")[1].strip() if rest.count(",") >= 1 else ""
        local, device = _LOCAL.match(interface), device_of(interface)
        extension = local["extension"] if local else found.owners.get(device) if device else None
        if extension is None or extension not in found.devices:
            found.note(line.where, f"{interface} is not a known device", "member")
        elif not names.GROUP.fullmatch(group):
            found.note(line.where, f"the queue {section.name} makes no name of a group", f"queue {section.name}")
        else:
            groups = found.groups.setdefault(extension, [])
            if group not in groups:
                groups.append(group)
            if named and not names.EXTENSION.fullmatch(named):
                found.names.setdefault(extension, named)


def _freepbx(found: Found, path: Path) -> None:
    try:
        text = conf_files.contents(path).removeprefix("\ufeff")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if "\ufffd" in text:
        raise ConfigError(f"{path}: is not UTF-8")
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if "extension" not in (rows.fieldnames or ()):
            raise ConfigError(f"{path}: has no column 'extension'; export the extensions with FreePBX's bulk handler")
        for row in rows:
            _exported(found, row, f"{path}:{rows.line_num}")
    except csv.Error as error:
        raise ConfigError(f"{path}:{rows.reader.line_num}: {error}") from None


def _exported(found: Found, row: Mapping[str, str | None], where: str) -> None:
    extension, name = _cell(row, "extension"), _cell(row, "name")
    # FreePBX has called the column differently over its versions; some exports have the technology alone.
    dialled = _cell(row, "dial") or _cell(row, "devinfo_dial") or f"{_cell(row, 'tech')}/{extension}"
    device = device_of(dialled)
    if not names.EXTENSION.fullmatch(extension):
        found.note(where, f"{extension[:20]!r} is not an extension", "row")
    elif device is None or len(device) != len(dialled):
        found.note(where, f"{extension} has no device in the columns 'dial', 'devinfo_dial' and 'tech'", "row device")
    else:
        found.device(extension, device, name)


def _cell(row: Mapping[str, str | None], column: str) -> str:
    return (row.get(column) or "").strip()
