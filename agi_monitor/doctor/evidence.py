"""What a check may look at. Each part was had, or there is a reason why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from agi_monitor.doctor.dialplan_walk import Dialplan

Value = TypeVar("Value")


class NotKnown(Exception):
    """The evidence for a check could not be had; says why."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Evidence that could not be had.

    Parameters:
        why: as a sentence without an end.
    """

    why: str


NO_ACCOUNT = Missing("the PBX was not asked; give an account with --ami-user")
NOT_ASKED = Missing("not looked at")

TRUE = frozenset({"yes", "true", "y", "t", "1", "on"})
"""What Asterisk takes for a yes, in any case (main/utils.c, ast_true)."""

Section = Sequence[tuple[str, str]]
"""The lines of one of Asterisk's files: names, in lower case, and values, in their order."""

Sections = Mapping[str, Section]
"""A file of Asterisk; empty when there is no such file."""


def values(section: Section, name: str) -> list[str]:
    """Return all values of a name."""
    return [value for one, value in section if one == name]


def last(section: Section, name: str, default: str = "") -> str:
    """Return the value that counts where one may stand."""
    return next((value for one, value in reversed(section) if one == name), default)


@dataclass(frozen=True, slots=True)
class Listener:
    """A port of ours.

    Parameters:
        name: whose, as in the configuration.
        address: where it listens.
        port: its number.
        is_guarded: whether a secret has to be told there, or only some addresses are let in.
    """

    name: str
    address: str
    port: int
    is_guarded: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is relied on.

    Parameters:
        where: the place in which it was found.
        ends: when it ends.
    """

    where: str
    ends: datetime


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A device of the PBX.

    Parameters:
        name: such as ``PJSIP/1001``.
        context: where it dials from.
        direct_media: whether its sound may pass the PBX by.
        allow_transfer: whether it may transfer its calls.
        takes_number: whether its calls have the number that the caller sends, and not one of the PBX.
        call_groups: groups whose members may pick up what rings there; a named one begins with ``named ``.
        pickup_groups: groups of which it may pick up what rings.
    """

    name: str
    context: str
    direct_media: bool
    allow_transfer: bool = False
    takes_number: bool = False
    call_groups: frozenset[str] = frozenset()
    pickup_groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a site.

    Parameters:
        now: the time here.
        context: the generated context; the others begin with its name.
        agents: the devices of agents, by the configuration.
        supervisors: the devices of supervisors, by the configuration.
        may_transfer: whether the configuration lets supervisors transfer.
        account: the name of the account in manager.conf; empty without one.
        listeners: our ports.
        modules: those that are needed, with what for.
        sounds: those that are played, by language.
        version: of Asterisk.
        loaded: the needed modules that run.
        dialplan: as the PBX holds it.
        unusable_names: system names that cannot be part of a channel's identifier, with the characters.
        queue_contexts: by the extension of an agent, the contexts by which queues reach it, when there is more than
            one and the configuration names no companies.
        endpoints: of PJSIP.
        skew: by how much its clock is ahead of the one here.
        differences: what differs from the rendered dialplan.
        files: the lines of Asterisk's files, by their names.
        not_understood: lines of these that were skipped.
        file_contexts: contexts that calls come into according to files besides the dialplan, and where those say so.
        other_drivers: kinds of phones that the PBX has besides PJSIP.
        file_differences: what differs in our installed files.
        sound_files: that are there, without language folder and ending, by language.
        audit: what is wrong with the chain.
        store: what is wrong with the store; empty if nothing is.
        open_files: of ours, with secrets that everyone may read.
        index_differences: what lists found wrong in the live picture since the server started.
        picture: what is wrong with the live picture now, compared with a list of the PBX.
        certificates: those that are relied on.
    """

    now: datetime
    context: str = "agi-monitor"
    agents: frozenset[str] = frozenset()
    supervisors: frozenset[str] = frozenset()
    may_transfer: bool = False
    account: str = ""
    listeners: tuple[Listener, ...] = ()
    modules: Mapping[str, str] = field(default_factory=dict)
    sounds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    version: str | Missing = NO_ACCOUNT
    loaded: frozenset[str] | Missing = NO_ACCOUNT
    dialplan: Dialplan | Missing = NO_ACCOUNT
    unusable_names: Mapping[str, str] | Missing = NO_ACCOUNT
    queue_contexts: Mapping[str, frozenset[str]] | Missing = NO_ACCOUNT
    endpoints: tuple[Endpoint, ...] | Missing = NO_ACCOUNT
    skew: timedelta | Missing = NO_ACCOUNT
    differences: tuple[str, ...] | Missing = NO_ACCOUNT
    other_drivers: frozenset[str] | Missing = NO_ACCOUNT
    files: Mapping[str, Sections | Missing] = field(default_factory=dict)
    not_understood: tuple[str, ...] = ()
    file_contexts: Mapping[str, str] | Missing = NOT_ASKED
    file_differences: tuple[str, ...] = ()
    sound_files: Mapping[str, frozenset[str]] | Missing = NOT_ASKED
    audit: tuple[str, ...] | Missing = NOT_ASKED
    store: str | Missing = NOT_ASKED
    open_files: tuple[str, ...] | Missing = NOT_ASKED
    index_differences: int | Missing = NOT_ASKED
    picture: tuple[str, ...] | Missing = NO_ACCOUNT
    certificates: tuple[Certificate, ...] | Missing = NOT_ASKED

    def file(self, name: str) -> Sections:
        """Return what stands in a file of Asterisk.

        Raises:
            NotKnown: it could not be read.
        """
        return known(self.files.get(name, NOT_ASKED))


def known(value: Value | Missing) -> Value:
    """Return evidence that a check needs.

    Raises:
        NotKnown: it could not be had.
    """
    if isinstance(value, Missing):
        raise NotKnown(value.why)
    return value
