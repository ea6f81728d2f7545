"""Records what a PBX tells of one call through a queue, as it comes over the wire.

    python -m contrib.lab.call_stream > benchmarks/call-22.txt

The dialplan in front of the queue sets variables, as those of FreePBX and its like do: many of the events are VarSet.
"""

from __future__ import annotations

import secrets
import socket
import sys
import time

from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.pbx import Lab

VERSION = "22"
EXTENSION = "7500"
VARIABLES = 2

DIALPLAN = f"""\
[lab-tests]
exten => {EXTENSION},1,Answer()
{"".join(f" same => n,Set(LAB_{number}=${{CALLERID(num)}}-{number})" + chr(10) for number in range(VARIABLES))}\
 same => n,Queue(500,,,,30)
 same => n,Hangup()
"""


SECRET = secrets.token_hex(16)
ACCOUNT = f"""\
[hears-all]
secret = {SECRET}
read = call,agent,dialplan,system
write = call
"""


def record(lab: Lab) -> str:
    """The events of one call, until a Ping that is sent after it is answered."""
    lab.pbx.write_dialplan("lab-call-stream", DIALPLAN)
    with (
        lab.pbx.manager_accounts(ACCOUNT),
        socket.create_connection((lab.pbx.address, MANAGER_PORT), 10) as connection,
    ):
        login = f"Action: Login\r\nUsername: hears-all\r\nSecret: {SECRET}\r\n\r\n"
        connection.sendall(login.encode())
        received = b""
        while b"Authentication accepted" not in received:
            received += connection.recv(65_536)
        until = time.monotonic() + 60
        lab.connect("2001", EXTENSION, "1001")
        lab.phone("2001").hang_up()
        lab.phone("1001").wait_until_idle()
        lab.pbx.wait_until(lab.pbx.is_quiet, 20, "the call to be over")
        received = b""
        connection.sendall(b"Action: Ping\r\nActionID: end\r\n\r\n")
        while b"ActionID: end\r\n" not in received and time.monotonic() < until:
            received += connection.recv(65_536)
    messages = received.decode().replace("\r\n", "\n").split("\n\n")
    return "\n\n".join(one for one in messages if one.startswith("Event: ") and "FullyBooted" not in one)


def main() -> None:
    """Record, and print."""
    with Lab(VERSION) as lab:
        events = record(lab)
        version = lab.pbx.cli("core show version").strip()
        sys.stdout.write(f"# One call through a queue. {version}\n\n{events}\n\n")


if __name__ == "__main__":
    main()
