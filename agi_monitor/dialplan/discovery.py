"""Finds agents and their devices in what a site has: pjsip.conf, voicemail.conf, queues.conf, a list of FreePBX.

It never makes a supervisor, a right or a PIN: the password of a mailbox is not looked at.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agi_monitor import names
from agi_monitor.dialplan import conf_files
from agi_monitor.dialplan.conf_files import Section
from agi_monitor.errors import ConfigError

_DEVICE = re.compile(r"(?P<device>(?:PJSIP|SIP|IAX2|DAHDI)/[A-Za-z0-9_.+-]{1,80})", re.IGNORECASE)
"""The device in a dial string. Narrower than ``names.ENDPOINT``: ``@`` ends it, before what it is dialled through."""

_LOCAL = re.compile(r"Local/(?P<extension>[0-9]+)@", re.IGNORECASE)


@dataclass
class Found:
    """What was understood, and what was not.

    Parameters:
        names: of people, by extension.
        devices: by extension, in their order.
        groups: by extension, in their order.
        notes: what was not understood, each with its file and line.
    """

    names: dict[str, str] = field(default_factory=dict)
    devices: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

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
        if name:
            self.names.setdefault(extension, name)

    def owner(self, device: str) -> str | None:
        """Return the extension that a device is of."""
        return next((extension for extension, devices in self.devices.items() if device in devices), None)


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
    # Devices first: the others say something of those who have one.
    readers: tuple[tuple[str, Callable[[Found, Section], None]], ...] = (
        ("pjsip.conf", _endpoint),
        ("voicemail.conf", _mailboxes),
        ("queues.conf", _queue),
    )
    for name, reader in readers:
        try:
            reading = conf_files.read(folder, name)
        except OSError as error:
            found.notes.append(f"{folder / name}: {error.strerror}")
            continue
        found.notes += reading.notes
        for section in reading.sections:
            if not section.is_template:
                reader(found, section)
    return found


def _endpoint(found: Found, section: Section) -> None:
    if section.last("type") != "endpoint":
        return
    device = f"PJSIP/{section.name}"
    name, number = _caller(section.last("callerid") or "")
    mailbox = (section.last("mailboxes") or "").partition("@")[0]
    numbers = [one for one in (section.name, number, mailbox) if names.EXTENSION.fullmatch(one)]
    if not names.ENDPOINT.fullmatch(device):
        found.notes.append(
            f"{section.where}: {device[:40]} cannot be a device: its name may have letters, digits and _ . + @ -"
        )
    elif numbers:
        found.device(numbers[0], device, name)
    else:
        found.notes.append(
            f"{section.where}: {device} names no extension: not itself, its callerid or its mailbox; a trunk has none"
        )


def _caller(text: str) -> tuple[str, str]:
    """The name and the number of ``"name" <number>``; both empty for what is neither.

    Not by one pattern: on a long text of spaces it would try every way to part them.
    """
    told, opening, rest = text.partition("<")
    number, closing, after = rest.partition(">")
    name = told.strip().removeprefix('"').removesuffix('"').strip()
    if '"' in name or after.strip() or bool(opening) is not bool(closing):
        return "", ""
    return name, number.strip()


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
        local, device = _LOCAL.match(interface), _DEVICE.match(interface)
        extension = local["extension"] if local else found.owner(device["device"]) if device else None
        if extension is None or extension not in found.devices:
            found.notes.append(f"{line.where}: {interface} is not a known device")
        elif not names.GROUP.fullmatch(group):
            found.notes.append(f"{line.where}: the queue {section.name} makes no name of a group")
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
    extension, name = (row.get("extension") or "").strip(), (row.get("name") or "").strip()
    device = _DEVICE.fullmatch((row.get("dial") or "").strip())
    if not names.EXTENSION.fullmatch(extension):
        found.notes.append(f"{where}: {extension[:20]!r} is not an extension")
    elif device is None:
        found.notes.append(f"{where}: {extension} has no device in the column 'dial'")
    else:
        found.device(extension, device["device"], name)
