"""Accounts of manager.conf: what they may do, and from where (main/manager.c, main/acl.c). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agi_monitor.doctor.evidence import Section, Sections, last, values

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SOMEBODY: Sequence[Address] = (ipaddress.ip_address("203.0.113.77"), ipaddress.ip_address("2001:db8::77"))
"""Addresses for documentation (RFC 5737, RFC 3849): no site has a reason to let just these in."""


@dataclass(frozen=True, slots=True)
class ManagerAccount:
    """A section that a client can log in with.

    Parameters:
        name: of the section.
        secret: as written there.
        writes: the classes of what it may do.
        lists: permit and deny lines, its own and those of each named list; all must let an address in.
    """

    name: str
    secret: str
    writes: frozenset[str]
    lists: tuple[Section, ...]

    def lets_in(self, address: Address) -> bool:
        """Return whether a client at this address may log in."""
        return all(_lets_in(section, address) for section in self.lists)

    def is_open(self, *, to_ipv6: bool = True) -> bool:
        """Whether just anyone may log in.

        Parameters:
            to_ipv6: whether those with IPv6 count.
        """
        return any(self.lets_in(one) for one in SOMEBODY if to_ipv6 or one.version == 4)


def accounts(manager: Sections, named_lists: Sections) -> Iterator[ManagerAccount]:
    """Yield the accounts. A section without a line ``secret`` is not one: no login is possible.

    Parameters:
        manager: manager.conf.
        named_lists: acl.conf.
    """
    for name, section in manager.items():
        if name == "general" or not values(section, "secret"):
            continue
        lists = [section]
        for line in values(section, "acl"):
            # An unknown list lets no one in.
            lists += [named_lists.get(one.strip(), [("deny", "0/0")]) for one in line.split(",")]
        writes = frozenset(word.strip().lower() for line in values(section, "write") for word in line.split(","))
        yield ManagerAccount(name, last(section, "secret"), writes - {""}, tuple(lists))


def _lets_in(section: Section, address: Address) -> bool:
    """The last line that fits decides; without any, everyone is let in."""
    is_let_in = True
    for name, line in section:
        if name not in ("permit", "deny"):
            continue
        for text in line.split(","):
            network = text.strip()
            if _is_in(address, network.removeprefix("!")):
                is_let_in = (name == "permit") is not network.startswith("!")
    return is_let_in


def _is_in(address: Address, text: str) -> bool:
    if text == "0/0":
        return True
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False  # Asterisk leaves such a line out, and says so in its log
    return address.version == network.version and address in network


def is_network(text: str) -> bool:
    """Whether the network reaches what listens at this address, with or without a port; a name counts as such."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"


def is_ipv6(text: str) -> bool:
    """Whether those with IPv6 reach what listens at this address."""
    return text.strip().startswith("[") or text.count(":") > 1
