"""Asterisk's console by its own socket, as `asterisk -rx` uses it; a `docker exec` for each command costs 40 ms more.

The server greets with "<host>/<pid>/<version>" and a line break. "cli quit after <command>", ended by a zero byte,
makes it run one command and close (asterisk.c, netconsole).
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from contrib.lab.errors import LabError

QUIT_AFTER = "cli quit after "
ANSWER_SECONDS = 60.0


def ask(path: Path, command: str) -> str:
    """Run a command of the console and return what it prints.

    :param path: of the socket, asterisk.ctl
    :raises LabError: nothing listens there, or the answer does not end
    """
    # A socket's path has at most 107 bytes; the folder may have a long name.
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
            # Only a socket that blocks waits while others of a busy PBX wait to be accepted (EAGAIN otherwise).
            console.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(ANSWER_SECONDS), 0))
            console.connect(f"/proc/self/fd/{folder}/{path.name}")
            console.settimeout(ANSWER_SECONDS)
            console.sendall(f"{QUIT_AFTER}{command}\0".encode())
            parts = []
            while part := console.recv(65_536):
                parts.append(part)
    except OSError as error:
        raise LabError(f"the console of Asterisk, `{command}`: {error}") from error
    finally:
        os.close(folder)
    _, _, answer = b"".join(parts).partition(b"\n")
    return answer.decode(errors="replace")
