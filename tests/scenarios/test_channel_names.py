"""What a PBX says of its channels to an account that may only call and report, when its list cannot be read."""

from __future__ import annotations

import secrets
import socket

from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.pbx import Lab
from contrib.lab.waiting import wait_until

SECRET = secrets.token_hex(16)
ACCOUNT = f"""\
[names]
secret = {SECRET}
read =
write = call,reporting
"""
DIALPLAN = """\
[lab-tests]
exten => 7990,1,Answer()
 same => n,Wait(30)
 same => n,Hangup()
"""


def ask(connection: socket.socket, **headers: str) -> str:
    """The answer to a Getvar."""
    wire = "".join(f"{name}: {value}\r\n" for name, value in {"Action": "Getvar", **headers}.items())
    connection.sendall(wire.encode() + b"\r\n")
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += connection.recv(65_536)
    return answer.decode().split("Value: ")[1].removesuffix("\r\n\r\n")


def test_a_channel_is_known_by_its_name_alone(lab: Lab) -> None:
    """Names without a channel, by how they end as well; and of one channel what a list would have said."""
    lab.pbx.write_dialplan("lab-channel-names", DIALPLAN)
    with (
        lab.pbx.manager_accounts(ACCOUNT),
        socket.create_connection((lab.pbx.address, MANAGER_PORT), 10) as connection,
    ):
        connection.sendall(f"Action: Login\r\nUsername: names\r\nSecret: {SECRET}\r\n\r\n".encode())
        received = b""
        while b"Authentication accepted" not in received:
            received += connection.recv(65_536)
        lab.phone("2001").call("7990")
        (name,) = ask(connection, Variable="CHANNELS()").split()
        assert name.startswith("PJSIP/2001-")
        assert ask(connection, Variable=f"CHANNELS([{name[-1]}]$)") == name
        assert ask(connection, Variable=f"CHANNELS([^{name[-1]}]$)") == ""
        # The phone is told that it was answered before the dialplan continues.
        application = wait_until(
            lambda: (found := ask(connection, Channel=name, Variable="CHANNEL(appname)")) != "Answer" and found,
            10,
            "the dialplan to go on after Answer",
        )
        assert application == "Wait"
        assert ask(connection, Channel=name, Variable="CHANNEL(appdata)") == "30"
        assert ask(connection, Channel=name, Variable="CHANNEL(state)") == "Up"
        assert ask(connection, Channel=name, Variable="UNIQUEID")
        assert ask(connection, Channel=name, Variable="CHANNEL(linkedid)")
        assert ask(connection, Channel=name, Variable="CONTEXT")
