"""How long a key for another mode takes until the agent hears the supervisor, on a real Asterisk.

    python benchmarks/mode_keys.py [--asterisk 22]

A supervisor changes from listening to whispering and back. The packets tell: from the first that says that the key
was released to the first in which the agent is sent the supervisor's voice. The way back has no time: while a key is
down its phone sends no voice, and when it is up the agent hears none.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from processes import save, tell, times_ms

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from contrib.lab.capture import PAYLOAD_TELEPHONE_EVENT, PAYLOAD_ULAW, RtpPacket
from contrib.lab.endpoints import ENDPOINTS, TONES_HZ, endpoint_of_rtp_port
from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.server import PINS, MonitorServer
from contrib.lab.sound import tones_in, ulaw_to_linear
from contrib.lab.waiting import wait_until

SUPERVISOR, AGENT, CUSTOMER = "2001", "1001", "3001"
RELEASED = 0x80
"""The bit of a telephone event that says that the key was released (RFC 4733, section 2.3)."""
WAIT_SECONDS = 15.0


def is_release(packet: RtpPacket) -> bool:
    """Whether the supervisor's phone says that a key was released."""
    return (
        packet.payload_type == PAYLOAD_TELEPHONE_EVENT
        and packet.source_port in ENDPOINTS[SUPERVISOR].rtp_ports
        and bool(packet.payload[1] & RELEASED)
    )


def is_voice(packet: RtpPacket) -> bool:
    """Whether the agent is sent the supervisor's voice."""
    return (
        packet.payload_type == PAYLOAD_ULAW
        and endpoint_of_rtp_port(packet.destination_port) == AGENT
        and SUPERVISOR in tones_in(ulaw_to_linear(packet.payload), TONES_HZ)
    )


def change(lab: Lab, server: MonitorServer, key: str, mode: str) -> float:
    """Press a key and wait for its mode. Returns the time before it, in seconds since 1970."""
    lab.wait_until_keys_are_read(SUPERVISOR)
    mark, since = server.mark(), time.time()
    lab.phone(SUPERVISOR).press(key, unread=True)
    server.wait_for("spy_started", mark, mode=mode)
    return since


def until_heard(lab: Lab, since: float) -> float:
    """Wait until the agent hears the supervisor. Returns the seconds from the key to it."""

    def heard() -> RtpPacket | None:
        return next(filter(is_voice, lab.capture.packets_since(since)), None)

    voice = wait_until(heard, WAIT_SECONDS, "the agent to hear the supervisor")
    return voice.arrived - next(filter(is_release, lab.capture.packets_since(since))).arrived


def measure(version: str, times: int) -> dict[str, Any]:
    """Whisper this often."""
    found = []
    with Lab(version, (SUPERVISOR, AGENT, CUSTOMER)) as lab, tempfile.TemporaryDirectory() as folder:
        server = MonitorServer(lab, Path(folder))
        server.render()
        with server:
            lab.connect(CUSTOMER, AGENT)
            mark, since = server.mark(), time.time()
            phone = lab.phone(SUPERVISOR)
            phone.dial(f"*222{AGENT}")
            server.wait_for("pin_prompted", mark)
            wait_until(
                lambda: any(
                    endpoint_of_rtp_port(packet.destination_port) == SUPERVISOR
                    for packet in lab.capture.packets_since(since)
                ),
                WAIT_SECONDS,
                "the prompt for the PIN",
            )
            phone.press(PINS[SUPERVISOR] + "#")
            server.wait_for("spy_started", mark)
            for _ in range(times):
                found.append(until_heard(lab, change(lab, server, "5", "whisper")))
                change(lab, server, "4", "listen")
    return {"asterisk": version, "keys": times, **times_ms(found)}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--asterisk", choices=VERSIONS, default="22")
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    one = measure(options.asterisk, options.times)
    tell(
        f"Asterisk {one['asterisk']}: the agent hears half of {one['keys']} whispers within "
        f"{one['median_ms']:.0f} ms, 90 % within {one['p90_ms']:.0f} ms, all within {one['longest_ms']:.0f} ms"
    )
    save("mode_keys", one)


if __name__ == "__main__":
    main()
