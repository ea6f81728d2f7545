"""Mode and channel -> ChanSpy's arguments. The only place that writes them.

Two rules for every later edit: the channel is never empty (that would be every channel of the PBX), and
the options ``d`` (a listener could barge), ``e``, ``r`` and ``W`` are never emitted.
"""

from __future__ import annotations

import re

from agi_monitor.model import Mode

APPLICATION = "ChanSpy"

EXIT_CONTEXT_VARIABLE = "SPY_EXIT_CONTEXT"
"""Where option ``X`` looks for the key that was pressed (app_chanspy.c)."""

EXIT_CONTEXT = "agi-monitor-mode"
"""The generated context with the extensions 4, 5, 6 and ``*``."""

NO_KEY = "s"
"""The extension that stands for no key; never one that can be pressed."""

MODE_KEYS = {"4": Mode.LISTEN, "5": Mode.WHISPER, "6": Mode.BARGE, "7": Mode.TAKE_OVER}
"""Keys that change the mode while spying; the first three are those that option ``d`` uses, so hands know them."""

LEAVE_KEY = "*"
"""Leaves this agent and asks for the next one."""

END_KEY = "D"
"""Pressed by the server in the supervisor's place when a spy has to end, or to begin anew. Most phones do not have
it, and who presses it only does that to the own spy."""

OPTIONS = "uqESX"
"""``u`` one exact channel, ``q`` no beep, ``E`` ends with the spyee's hang-up and does not move to another
call, ``S`` does not wait for a channel that is gone, ``X`` leaves on a key of the exit context."""

MAX_UNIQUEID_BYTES = 151
"""Asterisk keeps no more of a uniqueid (AST_MAX_UNIQUEID without its final NUL, channel.h)."""

SYSTEM_NAME_MARKS = frozenset(" _.-+@:#=~!%*'")
"""The marks that may stand in a system name, besides letters and digits. Each of the others is structure somewhere: a
comma, brackets, quotes and a backslash in an application's arguments (app.c, __ast_app_separate_args), ``$`` in what
is substituted, ``;`` in files, ``&`` and ``|`` in lists, ``/`` in the name of a channel and around a regular
expression (manager.c, action_hangup)."""

_CHOSEN = re.compile(r"(?!(?i:all)\Z)(?=.*[0-9])[A-Za-z0-9_.\-]{1,150}")
_OWN = re.compile(r"(?P<system>\S.*)-[0-9]{1,20}\.[0-9]{1,20}")


def is_uniqueid(text: str) -> bool:
    """Say whether the text can be nothing but one channel's uniqueid: nothing else may reach ChanSpy.

    That is ``[systemname-]epoch.sequence`` (channel_internal_api.c), or up to 149 characters that ARI or AMI
    Originate chose as the ``ChannelId``. Never empty, never ``all``: with option ``u`` it is compared as a whole.

    A system name is up to 127 bytes of anything (options.c), such as ``Call Center 1``. Letters of every alphabet,
    digits, spaces and ``SYSTEM_NAME_MARKS`` are taken; see ``unusable_characters`` for the rest.
    """
    if _CHOSEN.fullmatch(text) is not None:
        return True
    own = _OWN.fullmatch(text)
    return own is not None and is_system_name(own["system"]) and len(text.encode()) <= MAX_UNIQUEID_BYTES


def is_system_name(text: str) -> bool:
    """Say whether the uniqueids of a PBX with this system name can be told to ChanSpy."""
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


def arguments(uniqueid: str, mode: Mode) -> str:
    """Return the argument string of ChanSpy for one exact channel.

    Raises:
        ValueError: the uniqueid is not one.
    """
    if not is_uniqueid(uniqueid) or mode not in _MODE_OPTION:
        raise ValueError("not the uniqueid of a channel, or no mode of ChanSpy's")
    return f"{uniqueid},{OPTIONS}{_MODE_OPTION[mode]}"


def notice(uniqueid: str, context: str) -> str:
    """Return the arguments of Originate for a helper that plays the notice to one exact channel, and to nobody else.

    Parameters:
        uniqueid: of the agent's channel.
        context: the generated one that plays it.

    Raises:
        ValueError: the uniqueid is not one.
    """
    if not is_uniqueid(uniqueid):
        raise ValueError("not the uniqueid of a channel")
    return f"Local/notice@{context}/n,app,{APPLICATION},{uniqueid}\\,uqESw"


_MODE_OPTION = {Mode.LISTEN: "", Mode.WHISPER: "w", Mode.BARGE: "B"}
