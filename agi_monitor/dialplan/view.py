"""What a template sees. A site's own templates rely on these names, so none of them changes lightly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from agi_monitor.dialplan.filters import Text
from agi_monitor.dialplan.site import ManagerAccount, Phones, Pjsip, Site
from agi_monitor.model import Agent, Mode

SCAN = "*"
"""Behind a feature code, in the place of an extension: one call after the other."""

TEST_CALLS = "-doctor"
"""Behind the name of the context: where the test calls of the doctor are."""

EXPLANATIONS = {
    Mode.LISTEN: "hear agent and customer, unheard",
    Mode.WHISPER: "the agent hears the supervisor as well, the customer does not",
    Mode.BARGE: "agent and customer hear the supervisor",
}


@dataclass(frozen=True, slots=True)
class CodeView:
    """One feature code.

    Parameters:
        mode: ``listen``, ``whisper`` or ``barge``.
        digits: what is dialled.
        scan: what is dialled for one call after the other.
        scans: what is dialled for those scans that have a number.
        explanation: what the mode is, for people.
    """

    mode: str
    digits: Text
    scan: Text
    scans: tuple[Text, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent. ``name`` may be empty."""

    extension: Text
    name: Text


class AgentViews(Sequence[AgentView]):
    """Agents in the order of their extensions, each made when a template comes to it: a large site has many."""

    def __init__(self, agents: Iterable[Agent]) -> None:
        self._agents = sorted(agents, key=lambda agent: (len(agent.extension), agent.extension))

    def __len__(self) -> int:
        return len(self._agents)

    @overload
    def __getitem__(self, place: int) -> AgentView: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[AgentView]: ...

    def __getitem__(self, place: int | slice) -> AgentView | Sequence[AgentView]:
        if isinstance(place, slice):
            return AgentViews(self._agents[place])
        agent = self._agents[place]
        return AgentView(
            Text(agent.extension, f"the extension of agent {agent.extension}"),
            Text(agent.name, f"the name of agent {agent.extension}"),
        )


@dataclass(frozen=True, slots=True)
class GroupView:
    """One permission group.

    Parameters:
        name: as in the configuration.
        context: the name of its context.
        codes: the feature codes it may dial.
        supervisors: names of people.
        phone_context: where their phones can dial from: everything of the site, and the codes.
        devices: PJSIP's names of their phones, each in the group with the most codes alone.
    """

    name: Text
    context: Text
    codes: tuple[CodeView, ...]
    supervisors: tuple[Text, ...]
    phone_context: Text
    devices: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class ManagerView:
    """The account for manager.conf.

    Parameters:
        username: the name of its section.
        secret: in plain text.
        addresses: where the server connects from.
    """

    username: Text
    secret: Text
    addresses: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class PhonesView:
    """Where the site's phones dial from.

    Parameters:
        context: its name.
        table: of realtime; None when the context is in a file.
    """

    context: Text
    table: Text | None


@dataclass(frozen=True, slots=True)
class PjsipView:
    """What there is for pjsip.conf.

    Parameters:
        address: where TLS listens; None without TLS.
        port: its TCP port.
        certificate: a file.
        key: a file.
        srtp: whether sound is encrypted.
    """

    address: Text | None
    port: int
    certificate: Text
    key: Text
    srtp: bool


@dataclass(frozen=True, slots=True)
class View:
    """Everything that a template can use, each field under its own name.

    Parameters:
        context: where all feature codes are.
        call_context: where every feature code leads.
        mode_context: where the keys during a spy lead.
        codes: in the order listen, whisper, barge.
        lengths: the distinct lengths of the agents' extensions, shortest first.
        dialled_lengths: every length from 1 to that of the longest extension: who dials too few digits is asked for
            the rest.
        agents: in the order of their extensions.
        groups: in the order of the configuration.
        fastagi_host: an IP address.
        fastagi_port: a number.
        secret: None without a shared secret.
        notice_context: where the notice to agents is played.
        notice: sound files; none when agents are not told.
        test_context: where the test calls of the doctor are.
        test_calls: whether they are wanted.
        manager: None when the server uses no manager interface.
        flavour: ``plain``, ``freepbx`` or ``realtime``.
        phones: None when there are no contexts for the phones of the groups.
        pjsip: None when there is nothing for pjsip.conf.
        agent_groups: by their names.
        no_transfer_context: where a transfer of a supervisor's call is looked up; nothing is in it.
        allow_transfer: whether supervisors' phones may transfer calls.
    """

    context: Text
    call_context: Text
    mode_context: Text
    codes: tuple[CodeView, ...]
    lengths: tuple[int, ...]
    dialled_lengths: tuple[int, ...]
    agents: Sequence[AgentView]
    groups: tuple[GroupView, ...]
    fastagi_host: Text
    fastagi_port: int
    secret: Text | None
    notice_context: Text
    notice: tuple[Text, ...]
    test_context: Text
    test_calls: bool
    manager: ManagerView | None
    flavour: str
    phones: PhonesView | None
    pjsip: PjsipView | None
    agent_groups: tuple[Text, ...]
    no_transfer_context: Text
    allow_transfer: bool


def view(site: Site) -> View:
    """What the templates see of this site."""
    codes = {
        mode: CodeView(
            mode.value,
            Text(site.codes[mode], f"the feature code for {mode}"),
            Text(site.codes[mode] + SCAN, f"the feature code for {mode}"),
            tuple(Text(site.codes[mode] + SCAN + number, f"the scan {number}") for number in site.scans),
            EXPLANATIONS[mode],
        )
        for mode in Mode
        if mode in site.codes
    }
    owners = owner_of_device(site)
    return View(
        context=Text(site.context, "the context"),
        call_context=Text(f"{site.context}-call", "the context"),
        mode_context=Text(f"{site.context}-mode", "the context"),
        codes=tuple(codes.values()),
        lengths=tuple(sorted({len(agent.extension) for agent in site.agents})),
        dialled_lengths=tuple(range(1, 1 + max((len(agent.extension) for agent in site.agents), default=0))),
        agents=AgentViews(site.agents),
        groups=tuple(
            GroupView(
                name=Text(group.name, f"the name of group {group.name}"),
                context=Text(f"{site.context}-group-{group.name}", f"the context of group {group.name}"),
                codes=tuple(code for mode, code in codes.items() if mode in group.modes),
                supervisors=tuple(
                    Text(name, f"the name of supervisor {number} in group {group.name}")
                    for number, name in enumerate(group.supervisors, start=1)
                ),
                phone_context=Text(f"{site.context}-phone-{group.name}", f"the context of group {group.name}"),
                devices=tuple(
                    Text(device, f"the device {device} in group {group.name}")
                    for device in group.devices
                    if owners[device] == group.name
                ),
            )
            for group in site.groups
        ),
        fastagi_host=Text(site.fastagi_host, "the FastAGI host"),
        fastagi_port=site.fastagi_port,
        secret=None if site.secret is None else Text(site.secret, "the shared secret"),
        notice_context=Text(f"{site.context}-notice", "the context"),
        notice=tuple(Text(sound, "a sound of the notice") for sound in site.notice),
        test_context=Text(f"{site.context}{TEST_CALLS}", "the context"),
        test_calls=site.test_calls,
        manager=None if site.manager is None else manager_view(site.manager),
        flavour=site.flavour.value,
        phones=None if site.phones is None else phones_view(site.phones),
        pjsip=None if site.pjsip is None else pjsip_view(site.pjsip),
        agent_groups=tuple(Text(name, f"the name of group {name}") for name in site.agent_groups),
        no_transfer_context=Text(f"{site.context}-no-transfer", "the context"),
        allow_transfer=site.allow_transfer,
    )


def owner_of_device(site: Site) -> dict[str, str]:
    """Which group's context a phone dials from: it can have one alone, so it is the one with the most codes."""
    found: dict[str, str] = {}
    for group in sorted(site.groups, key=lambda group: len(group.modes)):
        found.update(dict.fromkeys(group.devices, group.name))
    return found


def phones_view(phones: Phones) -> PhonesView:
    """What the templates see of the site's phones."""
    return PhonesView(
        Text(phones.context, "the phones' context"),
        None if phones.table is None else Text(phones.table, "the realtime table"),
    )


def pjsip_view(pjsip: Pjsip) -> PjsipView:
    """What the templates see of it."""
    return PjsipView(
        None if pjsip.address is None else Text(pjsip.address, "the address of the TLS transport"),
        pjsip.port,
        Text(pjsip.certificate, "the file of the certificate"),
        Text(pjsip.key, "the file of the key"),
        pjsip.srtp,
    )


def manager_view(account: ManagerAccount) -> ManagerView:
    """What the templates see of the account."""
    return ManagerView(
        username=Text(account.username, "the AMI user name"),
        secret=Text(account.secret, "the AMI secret"),
        addresses=tuple(Text(address, "the server's address") for address in account.addresses),
    )
