"""What the fake PBX knows of a channel."""

from __future__ import annotations

from dataclasses import dataclass, field

from agi_monitor.agi.verb_results import ChannelState

STATE_NAMES = {
    ChannelState.DOWN: "Down",
    ChannelState.RESERVED: "Rsrvd",
    ChannelState.OFF_HOOK: "OffHook",
    ChannelState.DIALING: "Dialing",
    ChannelState.RING: "Ring",
    ChannelState.RINGING: "Ringing",
    ChannelState.UP: "Up",
    ChannelState.BUSY: "Busy",
    ChannelState.DIALING_OFF_HOOK: "Dialing Offhook",
    ChannelState.PRE_RING: "Pre-ring",
}
"""What ``${CHANNEL(state)}`` says (ast_state2str, channel.c)."""


@dataclass
class FakeChannel:
    """A channel; change it at any time.

    Parameters:
        name: such as ``PJSIP/1001-00000002``.
        uniqueid: such as ``1700000000.2``.
        state: of the channel.
        bridge_peer: the name of the channel it talks to, or empty.
        on_hold: whether its device has put the call on hold.
        variables: its variables; names are case-sensitive.
        context: where it is in the dialplan.
        extension: the same.
        priority: the same.
        alive: False once it has hung up.
        guest: no peer of chan_sip has authenticated for it.
        caller_id: what the caller's phone says it is; None is unknown.
        caller_id_name: the same.
        language: of its prompts.
    """

    name: str
    uniqueid: str
    state: ChannelState = ChannelState.UP
    bridge_peer: str = ""
    on_hold: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    context: str = "default"
    extension: str = "s"
    priority: str = "1"
    caller_id: str | None = None
    caller_id_name: str | None = None
    language: str = "en"
    alive: bool = True
    guest: bool = False

    @property
    def peer_name(self) -> str:
        """The peer of chan_sip that it belongs to; empty for a guest, whose channel is called as they want."""
        return "" if self.guest else self.name.removeprefix("SIP/").rpartition("-")[0]
