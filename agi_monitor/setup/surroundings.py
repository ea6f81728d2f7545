"""What is there before the setup: the phones, the manager interface, who writes Asterisk's files."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agi_monitor import names
from agi_monitor.dialplan import conf_files, discovery
from agi_monitor.dialplan.conf_files import Section
from agi_monitor.install import plan as install_plan
from agi_monitor.model import Flavour

YES = frozenset({"yes", "true", "y", "t", "1", "on"})
"""What Asterisk takes for yes (main/utils.c, ast_true)."""


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone of pjsip.conf.

    Parameters:
        device: such as ``PJSIP/2001``.
        context: that it dials from; empty when it is not known, or is not a name that could be written.
        where: file and line of its section.
    """

    device: str
    context: str
    where: str


@dataclass(frozen=True, slots=True)
class Manager:
    """The manager interface, when it is on.

    Parameters:
        host: the address at which it can be reached from this machine.
        port: its TCP port.
    """

    host: str = "127.0.0.1"
    port: int = 5038


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What Asterisk's files say.

    Parameters:
        agents: as ``discover`` finds them, by extension: devices, name, groups.
        phones: by device.
        manager: None when it is off.
        flavour: who writes the files.
        notes: what was not understood.
    """

    agents: Mapping[str, Mapping[str, object]]
    phones: Mapping[str, Phone]
    manager: Manager | None
    flavour: Flavour
    notes: tuple[str, ...] = ()

    def devices(self, extension: str) -> tuple[str, ...]:
        """Return the devices of an extension."""
        found = self.agents.get(extension, {}).get("endpoints", ())
        return tuple(map(str, found)) if isinstance(found, Iterable) else ()


def look(folder: Path) -> Surroundings:
    """Look through Asterisk's folder.

    Parameters:
        folder: Asterisk's configuration.

    Raises:
        ConfigError: a file exceeds the limits.
    """
    found = discovery.look(folder)
    phones = {phone.device: phone for section in _sections(folder, "pjsip.conf") if (phone := phone_of(section))}
    return Surroundings(
        found.agents(), phones, manager_of(_sections(folder, "manager.conf")), _flavour(folder), tuple(found.notes)
    )


def phone_of(section: Section) -> Phone | None:
    """Return the phone of a section; None when it is not an endpoint."""
    if section.is_template or section.last("type") != "endpoint":
        return None
    context = section.last("context") or ""
    known = context if names.CONTEXT.fullmatch(context) else ""
    return Phone(f"PJSIP/{section.name}", known, section.where)


def manager_of(sections: Iterable[Section]) -> Manager | None:
    """Return where the manager interface can be reached; None when it is off."""
    general = next((one for one in sections if one.name == "general" and not one.is_template), None)
    if general is None or (general.last("enabled") or "").lower() not in YES:
        return None
    port = general.last("port") or ""
    bound = general.last("bindaddr") or ""
    try:
        address = ipaddress.ip_address(bound)
        host = "127.0.0.1" if address.is_unspecified else str(address)
    except ValueError:
        host = "127.0.0.1"
    is_port = port.isascii() and port.isdecimal() and 0 < int(port[:6]) <= 65_535
    return Manager(host, int(port) if is_port else 5038)


def _sections(folder: Path, name: str) -> tuple[Section, ...]:
    try:
        return tuple(conf_files.read(folder, name).sections)
    except OSError:
        return ()


def _flavour(folder: Path) -> Flavour:
    try:
        with conf_files.as_owner_of(folder):
            text = conf_files.contents(folder / "extensions.conf")
    except OSError:
        return Flavour.PLAIN
    return Flavour.FREEPBX if install_plan.GENERATED.search(text.encode()) else Flavour.PLAIN
