"""What is played, and when: Asterisk's core sounds, the own pack over them, and the site's words over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agi_monitor.model import Cue, Reason

EXTENSION = "{extension}"
"""In a list of prompts: the digits of the agent's extension."""
CHOICE = "{choice}"
"""In ``choose_call``: the key for this call."""
NUMBER = "{number}"
"""In ``choose_call``: the other party's number."""
PLACEHOLDERS = frozenset({EXTENSION, CHOICE, NUMBER})

WITHOUT_AGENT: frozenset[Cue | Reason] = frozenset(
    {
        *(Reason.CODE_UNKNOWN, Reason.ENDPOINT_UNKNOWN, Reason.PIN_WRONG, Reason.PIN_LOCKED, Reason.PIN_EXPIRED),
        *(Reason.IDENTITY_CHANGED, Reason.EXTENSION_MISSING, Reason.AGENT_UNKNOWN, Reason.MODE_DENIED),
        *(Reason.STATE_UNAVAILABLE, Reason.PBX_ERROR),
        *(set(Cue) - {Cue.SCANNED, Cue.WAITING_FOR}),
    }
)
"""Moments at which no agent is known, so that there is no extension to say: only digits that someone keyed in, which
may be a PIN. ``mode_denied`` is one, because it must sound like ``agent_unknown``."""


def placeholders(moment: Cue | Reason) -> frozenset[str]:
    """Return the placeholders that have a value at a moment.

    Parameters:
        moment: what has something to say.
    """
    if moment in (Cue.CHOOSE_CALL, Cue.CHOOSE_HELD_CALL):
        return frozenset({CHOICE, NUMBER})
    return frozenset() if moment in WITHOUT_AGENT else frozenset({EXTENSION})


_SORRY = ("im-sorry", "something-terribly-wrong")

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    Cue.ASK_NUMBER: ("agent-user",),
    Cue.ASK_PIN: ("agent-pass",),
    Cue.ASK_PIN_AGAIN: ("auth-incorrect",),
    Cue.ASK_NEW_PIN: ("vm-newpassword",),
    Cue.ASK_NEW_PIN_AGAIN: ("vm-reenterpassword",),
    Cue.PIN_NOT_SAME: ("vm-mismatch",),
    Cue.PIN_WEAK: ("vm-invalid-password",),
    Cue.PIN_CHANGED: ("vm-passchanged",),
    Cue.ASK_EXTENSION: ("vm-enter-num-to-call",),
    Cue.ASK_REST: ("vm-enter-num-to-call",),
    Cue.CHOOSE_CALL: ("vm-press", CHOICE, "for", NUMBER),
    Cue.CHOOSE_HELD_CALL: ("vm-press", CHOICE, "for", NUMBER, "one-moment-please"),
    Cue.ASK_REASON: ("vm-press",),
    Cue.CALL_OVER: ("beep",),
    Cue.WAITING: ("one-moment-please",),
    Cue.WAITING_FOR: ("one-moment-please", "extension", EXTENSION),
    Cue.STILL_WAITING: ("beep",),
    Cue.SCANNED: ("extension", EXTENSION),
    Cue.HELP: ("vm-press", "digits/4", "to-listen-to-it", "vm-star-cancel"),
    Cue.HELP_WAITING: ("vm-star-cancel",),
    Cue.MODE_LISTEN: ("beep",),
    Cue.MODE_WHISPER: ("beep",) * 2,
    Cue.MODE_BARGE: ("beep",) * 3,
    Cue.MODE_TAKE_OVER: ("beep",) * 4,
    Cue.GOODBYE: ("vm-goodbye",),
    Reason.CODE_UNKNOWN: ("cannot-complete-as-dialed",),
    Reason.ENDPOINT_UNKNOWN: ("vm-invalidpassword",),
    Reason.PIN_WRONG: ("vm-invalidpassword",),
    Reason.PIN_LOCKED: ("sorry-youre-having-problems", "please-try-call-later"),
    Reason.PIN_EXPIRED: ("im-sorry", "vm-password", "vm-isunavail"),
    Reason.IDENTITY_CHANGED: ("conf-kicked",),
    Reason.EXTENSION_MISSING: ("pm-invalid-option",),
    Reason.AGENT_UNKNOWN: ("feature-not-avail-line",),
    Reason.MODE_DENIED: ("feature-not-avail-line",),
    Reason.REASON_MISSING: ("pm-invalid-option",),
    Reason.TIME_IS_UP: ("your", "time", "vm-isunavail"),
    Reason.TOO_MANY_LISTENERS: ("simul-call-limit-reached",),
    Reason.SELF_SPY: ("im-sorry", "your", "extension"),
    Reason.NO_CALL: ("extension", EXTENSION, "vm-no", "call-waiting"),
    Reason.RINGING: ("extension", EXTENSION, "calling"),
    Reason.ON_HOLD: ("extension", EXTENSION, "one-moment-please"),
    Reason.UNAVAILABLE: ("extension", EXTENSION, "vm-isunavail"),
    Reason.AMBIGUOUS: ("pm-invalid-option",),
    Reason.TARGET_GONE: ("extension", EXTENSION, "conf-hasleft"),
    Reason.CONFERENCE: ("conf-locked",),
    Reason.PROTECTED: ("feature-not-avail-line",),
    Reason.REVOKED: ("conf-kicked",),
    Reason.STALE: ("im-sorry", "please-try-call-later"),
    Reason.NOTICE_FAILED: _SORRY,
    Reason.PLUGIN_DENIED: ("feature-not-avail-line",),
    Reason.PLUGIN_FAILED: _SORRY,
    Reason.AUDIT_UNAVAILABLE: _SORRY,
    Reason.STATE_UNAVAILABLE: _SORRY,
    Reason.PBX_ERROR: _SORRY,
}
"""Two pairs sound the same on purpose: an unassigned phone like a wrong PIN, an unknown agent like a forbidden one.
"""


PACK_FOLDER = "agi-monitor"
"""Where Asterisk finds the own pack, in the folder of each language."""


def own(name: str) -> str:
    """Return the sound file of a prompt of the own pack."""
    return f"{PACK_FOLDER}/{name}"


def is_own(word: str) -> bool:
    """Return whether a word is a sound file of the own pack, which may not be installed."""
    return word.startswith(f"{PACK_FOLDER}/")


def _of_agent(name: str) -> tuple[str, ...]:
    return (own("agent"), EXTENSION, own(name))


_CHOOSE = (own("press"), CHOICE, own("for-the-call-with"), NUMBER)

PACK: Mapping[str, tuple[str, ...]] = {
    **{moment: (own(moment.replace("_", "-")),) for moment in (*Cue, *Reason)},
    Cue.CHOOSE_CALL: _CHOOSE,
    Cue.CHOOSE_HELD_CALL: (*_CHOOSE, own("which-is-on-hold")),
    Cue.WAITING_FOR: (own("waiting-for"), EXTENSION),
    Cue.STILL_WAITING: DEFAULTS[Cue.STILL_WAITING],
    Cue.SCANNED: (own("agent"), EXTENSION),
    Reason.ENDPOINT_UNKNOWN: (own("pin-wrong"),),
    Reason.AGENT_UNKNOWN: (own("mode-denied"),),
    Reason.NO_CALL: _of_agent("no-call"),
    Reason.RINGING: _of_agent("ringing"),
    Reason.ON_HOLD: _of_agent("on-hold"),
    Reason.UNAVAILABLE: _of_agent("unavailable"),
    Reason.TARGET_GONE: _of_agent("target-gone"),
    Reason.IDENTITY_CHANGED: (own("revoked"),),
    Reason.PLUGIN_FAILED: (own("failed"),),
    Reason.AUDIT_UNAVAILABLE: (own("failed"),),
    Reason.STATE_UNAVAILABLE: (own("failed"),),
    Reason.PBX_ERROR: (own("failed"),),
}
"""The words of the own pack. What sounds the same above sounds the same here."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The site's words over the defaults.

    Parameters:
        site: for every language.
        languages: language -> what is said otherwise in it.
        pack: whether the own pack is played where the site has no words.
    """

    site: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    languages: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    pack: bool = False

    def words(self, moment: Cue | Reason, language: str) -> tuple[str, ...]:
        """Return the sound files and placeholders for a moment.

        Parameters:
            moment: what has something to say.
            language: the channel's language, such as ``de`` or ``de_AT`` (falls back to ``de``).
        """
        for table in (self.languages.get(language), self.languages.get(language.partition("_")[0]), self.site):
            if table is not None and moment in table:
                return table[moment]
        return PACK[moment] if self.pack else DEFAULTS[moment]
