"""Which class an action needs in ``write=`` of manager.conf: Asterisk says no more than "Permission denied"."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CLASSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
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
