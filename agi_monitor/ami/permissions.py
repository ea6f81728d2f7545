"""Which class an action needs in ``write=`` of manager.conf, and what an account has.

Asterisk says no to an action in English and without the class. What it offers to an account it tells in a form that
can be read, as the answer to ListCommands: ``Hangup: Hangup channel.  (Priv: system,call,all)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "AGI": ("agi",),
        "Atxfer": ("call",),
        "BlindTransfer": ("call",),
        "CancelAtxfer": ("call",),
        "Command": ("command",),
        "CoreShowChannelMap": ("system", "reporting"),
        "CoreShowChannels": ("system", "reporting"),
        "CoreStatus": ("system", "reporting"),
        "DBDel": ("system",),
        "DBGet": ("system", "reporting"),
        "DBGetTree": ("system", "reporting"),
        "DBPut": ("system",),
        "DeviceStateList": ("call", "reporting"),
        "ExtensionState": ("call", "reporting"),
        "ExtensionStateList": ("call", "reporting"),
        "Filter": ("system",),
        "GetConfig": ("system", "config"),
        "Getvar": ("call", "reporting"),
        "Hangup": ("system", "call"),
        "MixMonitor": ("system",),
        "MixMonitorMute": ("system", "call"),
        "MuteAudio": ("system",),
        "Originate": ("originate",),
        "PJSIPShowAors": ("system",),
        "PJSIPShowContacts": ("system",),
        "PJSIPShowEndpoints": ("system",),
        "PlayDTMF": ("call",),
        "PresenceState": ("call", "reporting"),
        "PresenceStateList": ("call", "reporting"),
        "QueueAdd": ("agent",),
        "QueuePause": ("agent",),
        "QueueRemove": ("agent",),
        "Redirect": ("call",),
        "Reload": ("config", "system"),
        "Setvar": ("call",),
        "Status": ("system", "call", "reporting"),
        "StopMixMonitor": ("system", "call"),
        "UpdateConfig": ("config",),
        "UserEvent": ("user",),
    }
)
"""Action -> the classes of which any one will do. An action that is missing here needs none, or is not used."""

_FOLDED = {name.lower(): classes for name, classes in CLASSES.items()}


def classes_for(action: str) -> tuple[str, ...]:
    """The classes of which any one allows an action; none when it is not in the table. Any case."""
    return _FOLDED.get(action.lower(), ())


ANY = "all"
"""Stands among the classes of every action that needs one."""

PRIVILEGES = re.compile(r"\(Priv: ([a-z,]*|<none>)\)\s*")


@dataclass(frozen=True, slots=True)
class Offers:
    """The actions that Asterisk offers to an account.

    Parameters:
        classes: by the action's name in lower case, its classes of which the account has at least one.
    """

    classes: Mapping[str, frozenset[str]]

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, str]]) -> Offers:
        """Read the answer to ListCommands; what is not a line of it is passed over."""
        found = {}
        for name, value in headers:
            privileges = PRIVILEGES.fullmatch(value, max(0, value.rfind("(Priv: ")))
            if privileges is not None:
                found[name.lower()] = frozenset(privileges[1].split(",")) - {ANY, "<none>"}
        return cls(MappingProxyType(found))

    def __contains__(self, action: str) -> bool:
        return action.lower() in self.classes

    def lack_class(self, action: str) -> bool:
        """Whether the account lacks the class for an action. False also when the PBX does not have the action: then
        the account may do others of the same class."""
        needed = frozenset(classes_for(action))
        return action not in self and bool(needed) and not any(one and one <= needed for one in self.classes.values())


NOTHING = Offers(MappingProxyType({}))
