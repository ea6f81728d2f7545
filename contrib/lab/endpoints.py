"""Who is in the laboratory: the phones, their tones and their ports.

Rules: a name here is an endpoint in contrib/asterisk/etc/pjsip.conf; every tone is a whole bin of the measuring
window, and none is a harmonic, a sum or a difference of the others (sound.py says why; tests/lab checks both).
"""

from __future__ import annotations

from dataclasses import dataclass

SIP_PORT = 5060
MANAGER_PORT = 5038
CONTROL_PORT = 4400
RTP_PORT = 20000
RTP_PORTS_EACH = 100

MUSIC = "music"
"""The name under which hold music appears as a speaker."""
MUSIC_TONE_HZ = 3156
NOTICE = "notice"
"""The name under which the sound file NOTICE_SOUND appears as a speaker."""
NOTICE_TONE_HZ = 2856
NOTICE_SOUND = "lab/notice"
"""A sound file of the PBX, for a notice to the agent: one tone, longer than a measurement."""


@dataclass(frozen=True)
class Endpoint:
    """One SIP phone."""

    name: str
    role: str
    """`supervisor`, `stranger` (may dial like a supervisor, but is not one), `agent` or `customer`."""
    tone_hz: int
    """The frequency that it speaks in."""
    line: int
    """Its number among the phones; ports follow from it."""

    @property
    def sip_port(self) -> int:
        """UDP port of its SIP side, in the phones' container."""
        return SIP_PORT + self.line

    @property
    def control_port(self) -> int:
        """TCP port of its remote control, in the phones' container."""
        return CONTROL_PORT + self.line

    @property
    def rtp_ports(self) -> range:
        """UDP ports of its sound."""
        first = RTP_PORT + self.line * RTP_PORTS_EACH
        return range(first, first + RTP_PORTS_EACH)


ENDPOINTS: dict[str, Endpoint] = {
    name: Endpoint(name, role, tone_hz, line)
    for line, (name, role, tone_hz) in enumerate(
        [
            ("2001", "supervisor", 424),
            ("2002", "supervisor", 768),
            ("2003", "supervisor", 964),
            ("2999", "stranger", 1124),
            ("100", "agent", 1452),
            ("1001", "agent", 1648),
            ("1001-mobile", "agent", 1796),
            ("1002", "agent", 2100),
            ("3001", "customer", 2320),
            ("3002", "customer", 2512),
        ],
        start=1,
    )
}

TONES_HZ: dict[str, int] = {
    **{name: one.tone_hz for name, one in ENDPOINTS.items()},
    MUSIC: MUSIC_TONE_HZ,
    NOTICE: NOTICE_TONE_HZ,
}
"""Everything that can be heard, by name."""

ALWAYS_ON: tuple[str, ...] = tuple(name for name in ENDPOINTS if name != "1001-mobile")
"""The phones of a fresh laboratory. The second device of extension 1001 is switched on by the test that wants it."""


def endpoint_of_rtp_port(port: int) -> str | None:
    """Name the phone that a UDP port belongs to, or None."""
    line = (port - RTP_PORT) // RTP_PORTS_EACH
    for name, endpoint in ENDPOINTS.items():
        if endpoint.line == line:
            return name
    return None
