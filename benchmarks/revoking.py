"""How long a hundred spies still hear after the permission was taken away, on a real Asterisk in a container.

    python benchmarks/revoking.py

One supervisor's phone hears an agent in a hundred calls at once; then a reload takes the rule away. The record of
each revocation says when it was decided, and the packets that the PBX sends to each call say when its sound ended.
The kernel stamps them, so that it does not matter how soon they are read.
"""

from __future__ import annotations

import argparse
import copy
import socket
import struct
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from statistics import median, quantiles
from types import TracebackType
from typing import Any, Self

from processes import save, tell

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.server import PINS, SITE, MonitorServer
from contrib.lab.sip import SipCall, SipCaller
from contrib.lab.waiting import wait_until

SUPERVISOR = "2001"
WAIT_SECONDS = 60.0
GAP_SECONDS = 0.08
"""The sound of a call has ended when nothing was heard for this time: it comes every 20 ms, and what the supervisor
is told comes later than that."""
TOLD_SECONDS = 10.0
SO_TIMESTAMPNS = 35
"""Of Linux (asm-generic/socket.h); Python has no name for it."""
RTP_HEADER_BYTES = 12
QUIET = bytes(code for code in range(256) if (~code & 0x7F) < 0x30)
"""The codes of µ-law that no tone of the laboratory reaches when it is silent (ITU-T G.711)."""


class Ears:
    """Where the sound of all calls goes, as a context manager; by the port of the PBX it is known whose it is.

    Parameters:
        address: of this machine, as the PBX reaches it.
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.settimeout(0.2)
        self._socket.bind((address, 0))
        self.place: tuple[str, int] = self._socket.getsockname()
        self.heard: dict[int, list[float]] = defaultdict(list)
        """By the port, when each packet with sound in it came, in seconds since 1970."""
        self._closing = False
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._reader.join()
        self._socket.close()

    def _read(self) -> None:
        while not self._closing:
            try:
                data, stamps, _, (_, port) = self._socket.recvmsg(2048, 64)
            except TimeoutError:
                continue
            seconds, nanoseconds = struct.unpack("qq", stamps[0][2])
            if data[RTP_HEADER_BYTES:].translate(None, QUIET):
                self.heard[port].append(seconds + nanoseconds / 1e9)

    def hear_now(self) -> int:
        """Count the calls that were heard within the last second."""
        times = [times[-1] for times in tuple(self.heard.values()) if times]
        return sum(one > max(times) - 1.0 for one in times)

    def silent_after(self, began: float) -> list[float]:
        """For each call that was heard at a moment, after how many seconds its sound ended."""
        found = []
        for times in self.heard.values():
            if any(began - 0.2 <= one <= began for one in times):
                found.append(_end(times, began) - began)
        return found


def _end(times: Sequence[float], began: float) -> float:
    last = began
    for one in times:
        if one > last:
            if one - last > GAP_SECONDS and last > began:
                break
            last = one
    return last


def at(record: dict[str, Any]) -> float:
    """When a record was made, in seconds since 1970."""
    return datetime.fromisoformat(record["at"]).timestamp()


def begin(server: MonitorServer, caller: SipCaller, ears: Ears, spies: int) -> list[SipCall]:
    """Let a supervisor hear an agent this number of times; the PIN is asked for once."""
    mark = server.mark()
    calls = [caller.invite("*2221001", sound_to=ears.place).established()]
    server.wait_for("pin_prompted", mark)
    calls[0].press(PINS[SUPERVISOR] + "#")
    server.wait_for_audit("spy_started")
    for number in range(1, spies):
        calls.append(caller.invite("*2221001", sound_to=ears.place).established())
        server.wait_for_audit("spy_started", number + 1)
    wait_until(lambda: ears.hear_now() == spies, WAIT_SECONDS, f"{spies} calls to be heard")
    return calls


def measure(version: str, spies: int) -> dict[str, Any]:
    """Take the right away once."""
    site = copy.deepcopy(dict(SITE))
    with Lab(version) as lab, tempfile.TemporaryDirectory() as folder:
        pins = {"remember_minutes": 60}
        server = MonitorServer(lab, Path(folder), pins=pins, log={"level": "info", "format": "json"})
        server.render()
        with server, Ears(lab.gateway) as ears, SipCaller.of(lab, SUPERVISOR) as caller:
            lab.connect("3001", "1001")
            begin(server, caller, ears, spies)
            mark = server.mark()
            server.configure(pins=pins, log={"level": "info", "format": "json"}, rules=site["rules"][1:])
            server.reload()
            began = min(map(at, server.wait_for_audit("spy_revoked", spies, WAIT_SECONDS)))
            server.wait_for_audit("spy_ended", spies, WAIT_SECONDS)
            wait_until(
                lambda: len(server.events("call_ended", mark)) + len(server.events("refused", mark)) >= spies,
                TOLD_SECONDS,
                "all to be told why, or gone",
            )
            told = len(server.events("refused", mark, reason="revoked"))
            took = [1e3 * one for one in ears.silent_after(began)]
    return {
        "asterisk": version,
        "spies": len(took),
        "told": told,
        "median_ms": median(took),
        "p99_ms": quantiles(took, n=100)[-1],
        "longest_ms": max(took),
    }


def main() -> None:
    """Measure each version, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--spies", type=int, default=100)
    parser.add_argument("--asterisk", choices=VERSIONS, action="append")
    options = parser.parse_args()
    results = []
    for version in options.asterisk or VERSIONS:
        one = measure(version, options.spies)
        results.append(one)
        tell(
            f"Asterisk {version}: {one['spies']} spies silent after a median of {one['median_ms']:.0f} ms, "
            f"99 % within {one['p99_ms']:.0f} ms, the last after {one['longest_ms']:.0f} ms; {one['told']} were told"
        )
    save("revoking", results)


if __name__ == "__main__":
    main()
