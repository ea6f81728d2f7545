"""Many supervisors on one PBX, each a socket for SIP and one for sound: no phone that plays, none that records.

with Lab("22", PHONES, site=site_files(50)) as lab, at_their_desks(lab, 50) as supervisors: ...
"""

from __future__ import annotations

import secrets
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contrib.lab.pbx import Lab
from contrib.lab.server import pin_record
from contrib.lab.sip import SipCaller
from contrib.lab.sound import ulaw_to_linear

ETC = Path(__file__).resolve().parents[1] / "contrib" / "asterisk" / "etc"
PASSWORD = secrets.token_urlsafe(12)
RTP_HEADER = 12
LOUD = 1_000
"""A sample above this is sound. The tones of the laboratory's phones reach 8,000, silence is 0."""
QUIET = bytes(byte for byte in range(256) if abs(ulaw_to_linear(bytes([byte]))[0]) <= LOUD)
"""The bytes of G.711 that are not."""


def endpoint(number: int) -> str:
    """The name of a supervisor's endpoint."""
    return f"desk{number:02}"


def site_files(count: int) -> Mapping[str, str]:
    """The laboratory's pjsip.conf with the endpoints of this many supervisors."""
    text = (ETC / "pjsip.conf").read_text(encoding="utf-8")
    for number in range(count):
        name = endpoint(number)
        login = f"[{name}]\ntype = auth\nauth_type = userpass\nusername = {name}\npassword = {PASSWORD}\n"
        text += f"\n[{name}](supervisor)\nauth = {name}\naors = {name}\n[{name}](line)\n{login}"
    return {"pjsip.conf": text}


def people(count: int) -> Mapping[str, object]:
    """The section of the configuration for them. They share the PIN of phone 2001."""
    pin = pin_record("2001")
    return {
        f"person{number:02}": {"name": f"Person {number}", "endpoints": [f"PJSIP/{endpoint(number)}"], "pin": pin}
        for number in range(count)
    }


@dataclass
class Supervisor:
    """One of them.

    Attributes:
        caller: signals for it.
        sound: where the PBX sends what is to be heard.
        packets: how many came.
        first_loud: when the first sound came since `listen` was called, in seconds of time.monotonic; None before.
    """

    caller: SipCaller
    sound: socket.socket
    packets: int = 0
    first_loud: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self) -> None:
        """Forget the sound that came until now."""
        with self._lock:
            self.first_loud = None

    def take(self) -> None:
        """Take one packet."""
        data, now = self.sound.recv(2_048), time.monotonic()
        with self._lock:
            self.packets += 1
            if self.first_loud is None and data[RTP_HEADER:].translate(None, QUIET):
                self.first_loud = now


@contextmanager
def at_their_desks(lab: Lab, count: int) -> Iterator[Sequence[Supervisor]]:
    """This many supervisors whose sound is read. Their calls end with the context."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            sound = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sound.bind((lab.gateway, 0))
            caller = stack.enter_context(
                SipCaller(lab.pbx.address, endpoint(number), PASSWORD, lab.wait_until_keys_are_read)
            )
            found.append(Supervisor(caller, sound))
        poll = select.epoll()
        by_number = {one.sound.fileno(): one for one in found}
        for descriptor in by_number:
            poll.register(descriptor, select.EPOLLIN)
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                for descriptor, _ in poll.poll(0.2):
                    by_number[descriptor].take()

        reader = threading.Thread(target=read, name="sound")
        reader.start()
        try:
            yield found
        finally:
            over.set()
            reader.join()
            poll.close()
