"""Which channels of a list spy, and on whom: by their applications and names."""

from __future__ import annotations

from agi_monitor.live.headers import Headers, text
from agi_monitor.supervision import bridging
from agi_monitor.supervision.confirmation import SNOOP

APPLICATIONS = frozenset({"ChanSpy", "ExtenSpy", "DAHDIScan"})
"""Applications that let one channel hear another (app_chanspy.c)."""

JOINING = frozenset({bridging.JOIN, bridging.TAKE})
"""Applications by which a supervisor of ours joins a call, or takes it over."""

OUR_CONTEXTS = frozenset({"agi-monitor-call", "agi-monitor-mode"})
"""Where the calls of our supervisors stand. A list still names the last application that AGI has executed there,
also when it is over; only the proof on the channel tells."""


def is_spying(item: Headers) -> bool:
    """Return whether a channel of a list runs an application by which it hears another."""
    if item.get("Application") in JOINING:
        # Any channel may join calls; a supervisor in our context who does has, or had, a grant.
        return item.get("Context") in OUR_CONTEXTS
    return item.get("Application") in APPLICATIONS or text(item, "Channel").startswith(SNOOP)


def spied_on(item: Headers, names: dict[str, str]) -> str:
    """Return the uniqueid of the channel that is heard, where the arguments or the channel's own name tell."""
    if item.get("Application") in APPLICATIONS:
        target = text(item, "ApplicationData").partition(",")[0]
    elif item.get("Application") in JOINING:
        return ""
    else:
        # Snoop/<uniqueid>-<eight digits>
        target = text(item, "Channel").removeprefix(SNOOP).rpartition("-")[0]
    return target if target in names else ""
