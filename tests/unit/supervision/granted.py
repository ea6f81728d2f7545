"""A grant, and what the PBX says of its channels: events and items of lists."""

from __future__ import annotations

from collections.abc import Mapping

from agi_monitor.model import Mode
from agi_monitor.supervision.grant import Grant

NOW = 1_700_000_000.0

GRANT = Grant(
    call="c-1",
    number=1,
    supervisor="anna",
    pin="0123456789abcdef",
    endpoint="PJSIP/2001",
    spyer="PJSIP/2001-00000001",
    spyer_uniqueid="1.1",
    extension="1001",
    spyee="PJSIP/1001-0000000a",
    spyee_uniqueid="1.10",
    mode=Mode.LISTEN,
    rule="leads",
    began=NOW,
    since=NOW,
)


def event(spyer: str, spyee: str) -> Mapping[str, str]:
    """A ChanSpyStart or ChanSpyStop between two uniqueids."""
    return {
        "SpyerChannel": f"PJSIP/any-{spyer.replace('.', ''):0>8}",
        "SpyerUniqueid": spyer,
        "SpyeeChannel": f"PJSIP/any-{spyee.replace('.', ''):0>8}",
        "SpyeeUniqueid": spyee,
    }


def named(spyer: str, spyee: str = "1.10") -> Mapping[str, str]:
    """The same for a spyer with this name."""
    return {**event("1.5", spyee), "SpyerChannel": spyer}


def item(
    uniqueid: str, application: str = "", data: str = "", context: str = "default", name: str = ""
) -> dict[str, str]:
    """An item of CoreShowChannels."""
    return {
        "Channel": name or f"PJSIP/any-{uniqueid.replace('.', ''):0>8}",
        "Uniqueid": uniqueid,
        "Application": application,
        "ApplicationData": data,
        "Context": context,
    }
