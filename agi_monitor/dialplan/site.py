"""What the dialplan is made from. A ``Site`` that exists holds nothing that could break a line of the dialplan,
except for the names of people: these may be anything, and the filters look at them.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agi_monitor import names
from agi_monitor.errors import RenderError
from agi_monitor.model import Agent, Flavour, Mode

DEFAULT_CODES: Mapping[Mode, str] = MappingProxyType({Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "*224"})

MAX_PREFIX = 32
"""Characters that all contexts begin with: 32 + ``-group-`` + 40 of the group are the 79 that a context has."""

MAX_PHONES_CONTEXT = 60
"""Characters of the phones' context, as the configuration takes it."""

PATH = re.compile(r"/[!-:<-~]{1,400}")
"""A file on the PBX, in pjsip.conf."""


@dataclass(frozen=True, slots=True)
class Phones:
    """Where the site's phones dial from.

    Parameters:
        context: that has everything a phone may dial.
        table: of realtime where its extensions are; None when they are in a file.

    Raises:
        RenderError: one of them could break a line of the dialplan.
    """

    context: str
    table: str | None = None

    def __post_init__(self) -> None:
        _require_context(self.context, f"the phones' context {self.context!r}")
        if self.table is not None:
            _require_context(self.table, f"the realtime table {self.table!r}")


@dataclass(frozen=True, slots=True)
class Pjsip:
    """What is rendered for pjsip.conf.

    Parameters:
        address: where TLS listens; None without TLS.
        port: its TCP port.
        certificate: the file with the PBX's certificate, on the PBX.
        key: the file with its key.
        srtp: whether sound is encrypted; the keys of it travel in the signalling, so it needs TLS.

    Raises:
        RenderError: one of them could break a line of the file, or the keys would travel in the clear.
    """

    address: str | None = None
    port: int = 5061
    certificate: str = ""
    key: str = ""
    srtp: bool = False

    def __post_init__(self) -> None:
        if self.address is None:
            if self.srtp:
                raise RenderError("SRTP without TLS sends its keys in the clear: give the transport a certificate")
            return
        require_address(self.address, "the address of the TLS transport")
        for path, what in ((self.certificate, "certificate"), (self.key, "key")):
            require(PATH, path, f"the file {path!r} of the {what}", "a path from / on, without spaces and ;")


@dataclass(frozen=True, slots=True)
class PermissionGroup:
    """A group of supervisors, who get one context in the dialplan.

    Parameters:
        name: letters, digits, ``_`` and ``-``, at most 40; part of the context's name.
        modes: what at least one rule allows this group at all. The server still decides each call.
        supervisors: names of people, for the comments.
        devices: PJSIP's names of their phones.

    Raises:
        RenderError: the name cannot be part of a context's name.
    """

    name: str
    modes: frozenset[Mode]
    supervisors: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for device in self.devices:
            require(names.WRITTEN_DEVICE, device, f"the device {device!r}", "letters, digits and _ . -, at most 80")
        _require_group(self.name)


@dataclass(frozen=True, slots=True)
class ManagerAccount:
    """The account that the server logs in with at the manager interface.

    Parameters:
        username: the name of its section in manager.conf.
        secret: visible ASCII characters without a semicolon, at most 128.
        addresses: where the server connects from, IPv4 or IPv6; a login from elsewhere is refused.

    Raises:
        RenderError: one of them could break a line of the file, or no login would be possible.
    """

    username: str
    secret: str = field(repr=False)
    addresses: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.username.lower() == "general":
            raise RenderError("the AMI user name 'general' is the section of the manager interface: choose another")
        require(
            names.ACCOUNT, self.username, f"the AMI user name {self.username!r}", "letters, digits, _ and -, up to 40"
        )
        require(
            names.MANAGER_SECRET, self.secret, "the AMI secret", "visible ASCII characters without ;, at most 128"
        )
        if not self.addresses:
            raise RenderError("the AMI account could not be used: say where the server connects from")
        for address in self.addresses:
            require_address(address, "the server's address")


@dataclass(frozen=True, slots=True)
class Site:
    """One PBX, as far as its dialplan goes.

    Parameters:
        agents: whose calls may be heard; the lengths of their extensions make the patterns.
        groups: one context each.
        codes: what is dialled for each mode. A mode without a code cannot be dialled.
        fastagi_host: IPv4 or IPv6 address of the server. A name is refused: Asterisk looks it up while the caller
            waits and gives up at the first address it cannot route to (res_agi.c, launch_netscript).
        fastagi_port: TCP port of the server.
        secret: an optional shared secret, the first argument that the server is given. It keeps other machines out,
            not people with access to the PBX: Asterisk shows arguments in its verbose log, in ``dialplan show`` and
            in the event Newexten.
        context: the name that all contexts begin with.
        notice: sound files that an agent hears before a supervisor does; none when agents are not told.
        test_calls: whether the doctor may make test calls.
        manager: the account for manager.conf; None when the server uses no manager interface, or has it already.
        flavour: who writes the PBX's own files.
        phones: where phones dial from; None when there are no contexts for the phones of the groups.
        pjsip: what is rendered for pjsip.conf; None for nothing.
        agent_groups: the groups that agents are in.
        dialplan: whether the dialplan is rendered. Without it the site has written its own.
        allow_transfer: whether supervisors' phones may transfer calls, which may be the one they are listening to.
        scans: the numbers of the scans of some calls.

    Raises:
        RenderError: one of them could break a line of the dialplan, or two of them collide.
    """

    agents: tuple[Agent, ...]
    groups: tuple[PermissionGroup, ...]
    codes: Mapping[Mode, str] = field(default_factory=lambda: DEFAULT_CODES)
    fastagi_host: str = "127.0.0.1"
    fastagi_port: int = 4573
    secret: str | None = field(default=None, repr=False)
    context: str = "agi-monitor"
    notice: tuple[str, ...] = ()
    test_calls: bool = True
    manager: ManagerAccount | None = None
    flavour: Flavour = Flavour.PLAIN
    phones: Phones | None = None
    pjsip: Pjsip | None = None
    agent_groups: tuple[str, ...] = ()
    dialplan: bool = True
    allow_transfer: bool = False
    scans: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for group in self.agent_groups:
            _require_group(group)
        if self.pjsip is not None and self.flavour is Flavour.FREEPBX:
            raise RenderError(
                "FreePBX writes pjsip.conf itself: leave asterisk.pjsip out, and set TLS and SRTP in its web pages"
            )
        if self.phones is not None and self.phones.context.startswith(self.context):
            raise RenderError(f"the phones' context {self.phones.context!r} is one of ours: name that of the site")
        require(
            names.WRITTEN_CONTEXT,
            self.context,
            f"the context {self.context!r}",
            "a letter, then letters, digits, _ and -, up to 32",
            MAX_PREFIX,
        )
        require_codes(self.codes)
        for agent in self.agents:
            require(names.EXTENSION, agent.extension, f"the agent's extension {agent.extension!r}", "1 to 20 digits")
        require_once((agent.extension for agent in self.agents), "the agent's extension")
        # Asterisk compares section names without regard to case (config.c), context names with (pbx.c).
        require_once((group.name.lower() for group in self.groups), "but for upper and lower case the group name")
        require_address(self.fastagi_host, "the FastAGI host")
        if not 0 < self.fastagi_port < 65536:
            raise RenderError(f"the FastAGI port {self.fastagi_port} is not valid: write a number from 1 to 65535")
        for sound in self.notice:
            require(
                names.SOUND, sound, f"the sound {sound!r} of the notice", "letters, digits and _ . - /, up to 200"
            )
        if self.secret is not None:
            require(names.SECRET, self.secret, "the shared secret", "letters, digits, _ and -, at most 128")


def _require_group(name: str) -> None:
    allowed = "letters, digits, _ and -, at most 40; not only digits, and not 'all'"
    require(names.GROUP, name, f"the group name {name!r}", allowed)


def _require_context(name: str, what: str) -> None:
    require(names.WRITTEN_CONTEXT, name, what, "letters, digits, _ and -, up to 60", MAX_PHONES_CONTEXT)


def require(form: re.Pattern[str], value: str, what: str, allowed: str, most: int | None = None) -> None:
    """Refuse a value that is not wholly of this form, or longer than this."""
    if form.fullmatch(value) is None or (most is not None and len(value) > most):
        raise RenderError(f"{what} cannot stand in a dialplan: use {allowed}")


def require_once(values: Iterable[str], what: str) -> None:
    """Refuse values that appear twice."""
    for value, times in Counter(values).items():
        if times > 1:
            raise RenderError(f"{what} {value!r} is given {times} times: give it once")


def require_codes(codes: Mapping[Mode, str]) -> None:
    """Refuse codes of the wrong form, and codes of which one begins with another.

    With ``*22`` and ``*222`` the digits ``*2221001`` would mean extension 21001 in one mode and 1001 in the other.
    """
    if not codes:
        raise RenderError("there is no feature code: give one for at least one mode")
    for mode, code in codes.items():
        require(names.FEATURE_CODE, code, f"the feature code {code!r} for {mode}", "1 to 8 of 0-9, * and #")
    for mode, code in codes.items():
        for other, longer in codes.items():
            if mode is not other and longer.startswith(code):
                raise RenderError(
                    f"the feature code {longer!r} for {other} begins with {code!r} for {mode}:"
                    " the two could not be told apart; choose codes that differ"
                )


def require_address(host: str, what: str) -> None:
    """Refuse what is not an IP address, and one with a zone (``%eth0``), which cannot stand in a URL's host."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or "%" in host:
        raise RenderError(
            f"{what} {host!r} is not an IP address: write one such as 127.0.0.1 or ::1"
            " (a name would be looked up while the caller waits)"
        )
