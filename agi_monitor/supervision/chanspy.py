"""Mode and channel -> ChanSpy's arguments. The only place that writes them.

Two rules for every later edit: the channel is never empty (that would be every channel of the PBX), and
the options ``d`` (a listener could barge), ``e``, ``r`` and ``W`` are never emitted.
"""

from __future__ import annotations

from agi_monitor.model import Mode
from agi_monitor.names import Uniqueid

APPLICATION = "ChanSpy"

EXIT_CONTEXT_VARIABLE = "SPY_EXIT_CONTEXT"
"""Where option ``X`` looks for the key that was pressed (app_chanspy.c)."""

EXIT_CONTEXT = "agi-monitor-mode"
"""The generated context with an extension for each of these keys. Others are ChanSpy's own: ``#`` is the volume."""

NOTICE_VARIABLE = "AGI_MONITOR_NOTICE"
"""The channel variable in which a helper of ours carries its proof."""

NO_KEY = "s"
"""The extension that stands for no key; never one that can be pressed."""

MODE_KEYS = {"4": Mode.LISTEN, "5": Mode.WHISPER, "6": Mode.BARGE, "7": Mode.TAKE_OVER}
"""Keys that change the mode while spying; the first three are those that option ``d`` uses, so hands know them."""

LEAVE_KEY = "*"
"""Leaves this agent and asks for the next one."""

BACK_KEY = "8"
"""Leaves this agent for the one who was heard before."""

HELP_KEY = "0"
"""Tells what the keys do."""

END_KEY = "D"
"""Pressed by the server in the supervisor's place when a spy has to end, or to begin again. Most phones do not have
it, and who presses it only does that to the own spy."""

OPTIONS = "uqESX"
"""``u`` one exact channel, ``q`` no beep, ``E`` ends with the spyee's hang-up and does not move to another
call, ``S`` does not wait for a channel that is gone, ``X`` leaves on a key of the exit context."""


def arguments(uniqueid: Uniqueid, mode: Mode) -> str:
    """Return the argument string of ChanSpy for one exact channel: with option ``u`` it is compared as a whole.

    Raises:
        ValueError: another application carries this mode.
    """
    if mode not in _MODE_OPTION:
        raise ValueError("no mode of ChanSpy's")
    return f"{uniqueid},{OPTIONS}{_MODE_OPTION[mode]}"


def notice(uniqueid: Uniqueid, context: str, proof: str) -> str:
    """Return the arguments of Originate for a helper that plays the notice to exactly one channel.

    Parameters:
        uniqueid: of the agent's channel.
        context: the generated one that plays it.
        proof: by which the helper is known to be ours, in letters of base64 (app_originate.c, option ``v``).
    """
    return f"Local/notice@{context}/n,app,{APPLICATION},{uniqueid}\\,uqESw,,,v({NOTICE_VARIABLE}={proof})"


_MODE_OPTION = {Mode.LISTEN: "", Mode.WHISPER: "w", Mode.BARGE: "B"}
