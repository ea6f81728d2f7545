"""What a setup would do on this machine, in order. Pure: facts in, steps out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from agi_monitor.model import Flavour
from agi_monitor.setup.answers import GROUP, Answers, context_of, phones_context
from agi_monitor.setup.surroundings import Surroundings

USER = "agi-monitor"
"""Whom the server runs as."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything goes.

    Parameters:
        config: the configuration file.
        state: the server's folder.
        log: the folder of the audit.
        command: the name on the PATH.
        unit: the unit of systemd.
        man: the folder of the man pages.
    """

    config: Path = Path("/etc/agi-monitor/agi-monitor.yaml")
    state: Path = Path("/var/lib/agi-monitor")
    log: Path = Path("/var/log/agi-monitor")
    command: Path = Path("/usr/local/bin/agi-monitor")
    unit: Path = Path("/etc/systemd/system/agi-monitor.service")
    man: Path = Path("/usr/local/share/man/man1")


@dataclass(frozen=True, slots=True)
class Machine:
    """What is on the machine.

    Parameters:
        program: the installed command.
        has_user: whether the server's user exists.
        has_config: whether there is a configuration.
        is_packaged: whether a package brought the unit, the man pages and the name on the PATH.
        has_systemd: whether systemd runs here.
    """

    program: Path
    has_user: bool = False
    has_config: bool = False
    is_packaged: bool = False
    has_systemd: bool = False


class Task(StrEnum):
    """A step, by its name."""

    USER = "user"
    FOLDERS = "folders"
    COMMAND = "command"
    PAGES = "pages"
    CONFIGURATION = "configuration"
    DIALPLAN = "dialplan"
    LOAD = "load"
    SERVER = "server"
    DOCTOR = "doctor"


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Parameters:
        task: which.
        text: what it does, for people.
    """

    task: Task
    text: str


def steps(machine: Machine, places: Places, answers: Answers | None, folder: Path) -> Iterator[Step]:
    """Yield the steps of a setup.

    Parameters:
        machine: as it is.
        places: where everything goes.
        answers: None when there is a configuration already.
        folder: Asterisk's.
    """
    if not machine.has_user:
        yield Step(Task.USER, f"make the system user {USER}")
    yield Step(Task.FOLDERS, f"make the folders {places.config.parent}, {places.state} and {places.log}, if missing")
    if not machine.is_packaged:
        yield Step(Task.COMMAND, f"make {places.command}, which leads to {machine.program}")
        yield Step(Task.PAGES, f"put the man pages into {places.man}")
    if answers is not None:
        heard = ", ".join(answers.agents[:5]) + (f" and {more} more" if (more := len(answers.agents) - 5) > 0 else "")
        yield Step(
            Task.CONFIGURATION,
            f"write {places.config}: {answers.supervisor} on {answers.phone} may hear {heard}, with a new PIN",
        )
    else:
        yield Step(Task.CONFIGURATION, f"keep {places.config} as it is, and check it")
    yield Step(Task.DIALPLAN, f"install the dialplan and the account in {folder}")
    yield Step(Task.LOAD, "have Asterisk load its files, and look whether it has")
    if machine.has_systemd:
        unit = "" if machine.is_packaged else f"install {places.unit}, and "
        yield Step(Task.SERVER, f"{unit}start the server, now and with the machine")
    yield Step(Task.DOCTOR, "run agi-monitor doctor")


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to a person before a code can be dialled.

    Parameters:
        what: a sentence.
        lines: to be copied.
    """

    what: str
    lines: tuple[str, ...]


def left(answers: Answers, found: Surroundings) -> tuple[Left, ...]:
    """Return how the supervisor's phone comes to reach the codes: in files that are the site's own.

    Parameters:
        answers: whose phone.
        found: in which context it is, and where.
    """
    if found.flavour is Flavour.FREEPBX:
        return (
            Left(
                f"In FreePBX, give extension {answers.phone} this context (Advanced, Context), then Apply Config:",
                (f"agi-monitor-phone-{GROUP}",),
            ),
        )
    phones = [phone for device in found.devices(answers.phone) if (phone := found.phones.get(device))]
    if not phones_context(answers, found):
        context = context_of(answers, found) or "the context that the phone dials from"
        return (
            Left(f"Include the codes in {context}:", (f"include => agi-monitor-group-{GROUP}",)),
            Left("Then load it:", ("asterisk -rx 'module reload pbx_config.so'",)),
        )
    told = [
        Left(
            f"{phone.where}: in the section [{phone.device.removeprefix('PJSIP/')}], in place of context = "
            f"{phone.context}, write:",
            (f"context = agi-monitor-phone-{GROUP}",),
        )
        for phone in phones
    ]
    return (*told, Left("Then load it:", ("asterisk -rx 'module reload res_pjsip.so'",)))
