"""What is played, and when. Every word is from Asterisk's core sounds; a site may say it otherwise."""

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


_SORRY = ("im-sorry", "something-terribly-wrong")

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    Cue.ASK_PIN: ("agent-pass",),
    Cue.ASK_PIN_AGAIN: ("auth-incorrect",),
    Cue.ASK_NEW_PIN: ("vm-newpassword",),
    Cue.ASK_NEW_PIN_AGAIN: ("vm-reenterpassword",),
    Cue.PIN_NOT_SAME: ("vm-mismatch",),
    Cue.PIN_WEAK: ("vm-invalid-password",),
    Cue.PIN_CHANGED: ("vm-passchanged",),
    Cue.ASK_EXTENSION: ("vm-enter-num-to-call",),
    Cue.CHOOSE_CALL: ("vm-press", CHOICE, "for", NUMBER),
    Cue.CHOOSE_HELD_CALL: ("vm-press", CHOICE, "for", NUMBER, "one-moment-please"),
    Cue.ASK_REASON: ("vm-press",),
    Cue.CALL_OVER: ("beep",),
    Cue.WAITING: ("one-moment-please",),
    Cue.WAITING_FOR: ("one-moment-please", "extension", EXTENSION),
    Cue.STILL_WAITING: ("beep",),
    Cue.SCANNED: ("extension", EXTENSION),
    Cue.GOODBYE: ("vm-goodbye",),
    Reason.CODE_UNKNOWN: ("cannot-complete-as-dialed",),
    Reason.ENDPOINT_UNKNOWN: ("vm-invalidpassword",),
    Reason.PIN_WRONG: ("vm-invalidpassword",),
    Reason.PIN_LOCKED: ("sorry-youre-having-problems", "please-try-call-later"),
    Reason.PIN_EXPIRED: ("im-sorry", "vm-password", "vm-isunavail"),
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
"""Two pairs sound the same on purpose: a phone of nobody like a wrong PIN, an unknown agent like a forbidden one."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The site's words over the defaults.

    Parameters:
        site: for every language.
        languages: language -> what is said otherwise in it.
    """

    site: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    languages: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def words(self, moment: Cue | Reason, language: str) -> tuple[str, ...]:
        """Return the sound files and placeholders for a moment.

        Parameters:
            moment: what has something to say.
            language: the channel's language, such as ``de`` or ``de_AT`` (falls back to ``de``).
        """
        for table in (self.languages.get(language), self.languages.get(language.partition("_")[0]), self.site):
            if table is not None and moment in table:
                return table[moment]
        return DEFAULTS[moment]
