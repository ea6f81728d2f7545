"""Plays Asterisk's manager interface for one client: takes any login, and then tells calls as fast as they are read.

    python benchmarks/ami_pump.py PORT CALLS

Says ``listening``. For a line on standard input it tells the recorded call (`call-22.txt`) that number of times, and
an event of a channel that stands for the end.
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

from ami_clients import HOST, LAST, say

RECORDED = Path(__file__).parent / "call-22.txt"
END = (
    f"Event: Newchannel\r\nPrivilege: call,all\r\nChannel: {LAST}\r\nChannelState: 0\r\nChannelStateDesc: Down\r\n"
    "CallerIDNum: \r\nCallerIDName: \r\nConnectedLineNum: \r\nConnectedLineName: \r\nLanguage: en\r\n"
    "AccountCode: \r\nContext: default\r\nExten: s\r\nPriority: 1\r\nUniqueid: 1.1\r\nLinkedid: 1.1\r\n\r\n"
)
BLOCK_CALLS = 10


def recorded() -> bytes:
    """The events of one call, as they came over the wire."""
    text = RECORDED.read_bytes().partition(b"\n\n")[2]
    return text.replace(b"\n", b"\r\n")


def answer(connection: socket.socket) -> None:
    """Say yes to everything."""
    buffer = b""
    while received := connection.recv(65_536):
        *whole, buffer = (buffer + received).split(b"\r\n\r\n")
        for asked in whole:
            headers = dict(line.split(": ", 1) for line in asked.decode().split("\r\n") if ": " in line)
            said = {"Response": "Success", "ActionID": headers.get("ActionID", ""), "Message": "ok"}
            if headers.get("Action") == "Challenge":
                said["Challenge"] = "123456789"
            connection.sendall("".join(f"{name}: {value}\r\n" for name, value in said.items()).encode() + b"\r\n")


def main() -> None:
    """The command line."""
    port, calls = map(int, sys.argv[1:])
    call = recorded()
    with socket.create_server((HOST, port)) as listener:
        say("listening")
        connection, _ = listener.accept()
        connection.sendall(b"Asterisk Call Manager/11.0.0\r\n")
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
        while sys.stdin.readline():
            for _ in range(calls // BLOCK_CALLS):
                connection.sendall(call * BLOCK_CALLS)
            connection.sendall(END.encode())


if __name__ == "__main__":
    main()
