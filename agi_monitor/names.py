"""Names and identifiers of the PBX and of a site, each form once.

What names one channel or one bridge to Asterisk has a type of its own. A text that came from outside becomes one by
its constructor, which refuses everything that could be more than one: a pattern (``/./``), a list, ``all``, an
argument after a comma. Functions that speak to Asterisk take these types and no plain ``str``, so the type checker
finds every way around them.

The other forms are regular expressions, for a text as a whole (``fullmatch``): ASCII only, and nothing that is
structure where the text is written to. ``[0-9]`` stands for ``\\d``, which takes the digits of every alphabet.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Self

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""What a site calls a supervisor, a company or a PBX."""

GROUP = re.compile(rf"(?!all\Z)(?![0-9]+\Z){NAME.pattern}")
"""A group of supervisors or of agents. Rules name both and agents: digits are an extension, ``all`` is everyone."""

EXTENSION = re.compile(r"[0-9]{1,20}")
"""The digits that are dialled for an agent; with a feature code before them far below the 80 bytes that Asterisk
keeps (AST_MAX_EXTENSION, channel.h)."""

AGENT_KEY = re.compile(r"(?!all\Z)[A-Za-z0-9][A-Za-z0-9_-]{0,19}")
"""What a site calls an agent: the extension, or a name as long as one. Shorter than ``NAME``, because it stands where
extensions stand."""

SCAN_NUMBER = re.compile(r"[1-9][0-9]?")
"""What is dialled for the scan of some agents or queues, after the code and a star."""

FEATURE_CODE = re.compile(r"[0-9*#]{1,8}")
"""What is dialled before an extension."""

DIALLED = re.compile(r"[0-9*#]+")
"""What a phone can dial, a feature code and an extension together; never a pattern (pbx.c: ``_``, ``X``, ``.``)."""

QUEUE = re.compile(r"[A-Za-z0-9_.@+/-]{1,80}")
"""A queue, as queues.conf calls it; it is compared, and written nowhere."""

ENDPOINT = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@-]{1,80}")
"""A device: technology and name. Nothing that ``${}`` or a regular expression of ``CHANNELS()`` could read, but for
``.`` and ``+``, which the asking puts in brackets (func_channel.c). A Local channel is not a device."""

WRITTEN_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,80}")
"""A name of a device that is written into pjsip.conf and SQL. Narrower than in ``ENDPOINT``: ``@`` and ``+`` are not
needed there, and what is written takes as little as it can."""

CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,60}")
"""A context that the site has. It stands in what Asterisk is asked: ``HINT(1001@context)``."""

WRITTEN_CONTEXT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,78}")
"""A context, or a table of realtime, that is written into files and SQL. Narrower than ``CONTEXT``, because SQL reads
a dot as structure and a digit at the beginning as a number; a section's name has at most 79 bytes (config.c,
ast_category: ``name[80]``)."""

DIALPLAN_NAME = re.compile(r"[A-Za-z0-9_.+*#-]{1,80}")
"""An extension or a context of a queue's member, as Asterisk tells it and is asked for it again with ``HINT()``:
nothing that could end that, or be read as an expression. Wider than ``EXTENSION`` and ``CONTEXT``: it is taken as it
is told (AST_MAX_EXTENSION and AST_MAX_CONTEXT are 80, channel.h)."""

SOUND = re.compile(r"(?!.*\.\.)(?=.{1,200}\Z)[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
"""A sound file without its ending, within Asterisk's folder of sounds: Asterisk plays ``/etc/x`` and ``../x`` as well
(file.c, fileexists_core), so the choice of a sound could have any file played."""

MUSIC_CLASS = re.compile(r"[A-Za-z0-9_.-]{1,79}")
"""A class of music on hold: a section of musiconhold.conf (MAX_MUSICCLASS, channel.h, is 80)."""

SECRET = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""A secret that the dialplan hands over as an argument, or a key that signs: nothing that ends an argument, is
quoted, escaped or substituted (app.c, __ast_app_separate_args)."""

MANAGER_SECRET = re.compile(r"[!-:<-~]{1,128}")
"""The secret of an account in manager.conf. Wider than ``SECRET``: the file takes a value as it is up to the first
semicolon, for which there is no escape after a backslash (config.c), and a login sends it on a line of its own."""

ACCOUNT = re.compile(r"(?!(?i:general)\Z)[A-Za-z0-9_-]{1,40}")
"""An account of the manager interface: a section of manager.conf. ``general`` is not one, in small letters or large
ones (manager.c, __init_manager)."""

MAX_UNIQUEID_BYTES = 151
"""Asterisk keeps no more of a uniqueid (AST_MAX_UNIQUEID without its final NUL, channel.h)."""

SYSTEM_NAME_MARKS = frozenset(" _.-+@:#=~!%*'")
"""The marks that may stand in a system name, besides letters and digits. Each of the others is structure somewhere: a
comma, brackets, quotes and a backslash in an application's arguments (app.c, __ast_app_separate_args), ``$`` in what
is substituted, ``;`` in files, ``&`` and ``|`` in lists, ``/`` in the name of a channel and around a regular
expression (manager.c, action_hangup)."""

_CHOSEN = re.compile(r"(?!(?i:all)\Z)(?=.*[0-9])[A-Za-z0-9_.\-]{1,150}")
_BEGUN = r"(?P<second>[0-9]{1,20})\.(?P<sequence>[0-9]{1,20})"
_OWN = re.compile(rf"(?P<system>\S.*)-{_BEGUN}")
BEGUN = re.compile(rf"(?:^|-){_BEGUN}\Z")
"""When a channel began and which one it was, at the end of its uniqueid (channel.c); searched."""
_CHANNEL = re.compile(r"[A-Za-z0-9]{1,20}/(?!\Z)[A-Za-z0-9_.+@;:\-*#/]{1,150}")
_DEVICE_CHANNEL = re.compile(r"(?!Local/)[A-Za-z0-9]{1,20}/[A-Za-z0-9_.+@\-]{1,120}-[0-9a-f]{8}")
_OF_DEVICE = re.compile(r"(?P<endpoint>[A-Za-z0-9]+/[^\s/]+)-[0-9a-f]+")
_BRIDGE = re.compile(r"[A-Za-z0-9_.\-]{1,150}")


def is_uniqueid(text: str) -> bool:
    """Return whether the text can be nothing but one channel's uniqueid.

    That is ``[systemname-]epoch.sequence`` (channel_internal_api.c), or up to 149 characters that ARI or AMI
    Originate chose as the ``ChannelId``. Never empty, never ``all``: Asterisk compares it as a whole.

    A system name is up to 127 bytes of anything (options.c), such as ``Call Center 1``. Letters of every alphabet,
    digits, spaces and ``SYSTEM_NAME_MARKS`` are taken; see ``unusable_characters`` for the rest.
    """
    if _CHOSEN.fullmatch(text) is not None:
        return True
    own = _OWN.fullmatch(text)
    return own is not None and is_system_name(own["system"]) and len(text.encode()) <= MAX_UNIQUEID_BYTES


def is_system_name(text: str) -> bool:
    """Return whether the uniqueids of a PBX with this system name can be handed to Asterisk."""
    return bool(text) and text == text.strip() and not unusable_characters(text)


def unusable_characters(text: str) -> str:
    """Return the characters of a system name or a uniqueid that must not reach an application, each once, sorted.

    A character that is not printable is one of them, and so is what stands for bytes that are not UTF-8.
    """
    return "".join(sorted({one for one in text if not _is_plain(one)}))


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character.isalnum() or character in SYSTEM_NAME_MARKS
    return character.isprintable() and character != "\N{REPLACEMENT CHARACTER}"


def is_device_channel(text: str) -> bool:
    """Return whether the text can be nothing but the whole name of one device's channel."""
    return _DEVICE_CHANNEL.fullmatch(text) is not None


def endpoint_of(channel: str) -> str | None:
    """The endpoint behind a channel's name, or None for a channel that is not a device.

    ``PJSIP/1001-mobile-0000002a`` is the endpoint ``PJSIP/1001-mobile`` (chan_pjsip.c and chan_sip.c append
    ``-`` and eight hexadecimal digits). Local channels (``Local/1001@agents-00000003;2``) belong to no device.

    More is read here than ``is_device_channel`` takes: DAHDI and IAX2 append fewer digits (chan_dahdi.c,
    chan_iax2.c). The answer is compared with endpoints, and handed to no application that takes the beginning of a
    name.
    """
    match = _OF_DEVICE.fullmatch(channel)
    if match is None or channel.startswith("Local/"):
        return None
    return match["endpoint"]


def names_its_caller(channel: str) -> bool:
    """Return whether a caller may have chosen the name of a channel: chan_sip calls that of a guest by the domain in
    From (sip_new, ``my_name = i->fromdomain``), so a guest of the domain ``1001`` is ``SIP/1001-0000002a``. Of which
    peer a channel is, ``CHANNEL(peername)`` tells, and for a guest nothing. chan_pjsip names the endpoint.
    """
    return channel.startswith("SIP/")


class _Name(str):
    """A text of a checked form.

    Raises:
        ValueError: it has another form.
    """

    __slots__ = ()
    _form: re.Pattern[str]
    _what: str

    def __new__(cls, text: str) -> Self:
        if not cls._fits(text):
            raise ValueError(f"not {cls._what}")
        return super().__new__(cls, text)

    @classmethod
    def _fits(cls, text: str) -> bool:
        return cls._form.fullmatch(text) is not None

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the text with this type, or None where it has another form."""
        return cls(text) if cls._fits(text) else None


class Uniqueid(_Name):
    """The identifier of one channel: it stays with the device when Asterisk moves an application to another one."""

    __slots__ = ()
    _what = "the uniqueid of a channel"

    @classmethod
    def _fits(cls, text: str) -> bool:
        return is_uniqueid(text)


class ChannelName(_Name):
    """The whole name of one channel, a Local half too; never a pattern."""

    __slots__ = ()
    _form = _CHANNEL
    _what = "the name of a channel"


class DeviceChannel(ChannelName):
    """The whole name of a device's channel: eight digits at its end make it the only one that begins like this."""

    __slots__ = ()
    _form = _DEVICE_CHANNEL
    _what = "the name of a device's channel"


class BridgeId(_Name):
    """The identifier of one bridge."""

    __slots__ = ()
    _form = _BRIDGE
    _what = "the identifier of a bridge"


LOOPBACK = "127.0.0.1"
"""Every program on this machine can connect from any address of the loopback: they count as one."""


@lru_cache(maxsize=1_024)
def peer_name(address: str) -> str:
    """Return the name that a PBX is counted under: one for all addresses that one machine can take.

    Parameters:
        address: that its connections come from, or the ``/64`` that this function returned.

    Returns:
        127.0.0.1 for any address of the loopback, the ``/64`` of an IPv6 address, an IPv4 address as such; anything
        else as it is.
    """
    try:
        # The zone, as in fe80::1%eth0, says by which of its own interfaces this machine sees it.
        found = ipaddress.ip_address(re.sub(r"%.*|/64$", "", address))
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return LOOPBACK
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


MIN_SECRET, MIN_DIFFERENT = 16, 6
"""Characters of a secret of the manager interface, and different ones among them. Who records one login can try
secrets offline: MD5 is fast."""

KNOWN_SECRETS = frozenset(
    {"amp111", "mysecret", "secret", "secret5", "admin", "asterisk", "password", "changeme", "1234", "123456", "mark"}
)
"""From sample files and installers; they are tried first."""


def weakness(user: str, secret: str) -> str:
    """Return what is wrong with a secret of the manager interface, as the rest of a sentence; empty if nothing is.

    Parameters:
        user: whose it is.
        secret: the secret. It is not in what is returned.
    """
    if not secret or secret.lower() in KNOWN_SECRETS or secret.lower() == user.lower():
        return "is one of those that everyone tries"
    if len(secret) < MIN_SECRET:
        return f"has {len(secret)} characters, less than {MIN_SECRET}"
    if len(set(secret)) < MIN_DIFFERENT:
        return f"has fewer than {MIN_DIFFERENT} different characters"
    return ""
