"""Asterisk's console by its own socket, as ``asterisk -rx`` uses it, without a program in between.

The server greets with ``<host>/<pid>/<version>`` and a line break. ``cli quit after <command>``, ended by a zero
byte, makes it run one command and close (asterisk.c, netconsole).
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from agi_monitor.control.socket_file import MAX_PATH_BYTES, peer_of
from agi_monitor.dialplan import conf_files
from agi_monitor.errors import InstallFailed

DEFAULT = Path("/var/run/asterisk/asterisk.ctl")
SECONDS = 60.0
"""A reload of a large dialplan takes seconds, and the answer comes when it is done."""
LIMIT = 1_048_576
"""Bytes of an answer."""

NOT_THERE = (FileNotFoundError, ConnectionRefusedError)
"""How a socket fails whose Asterisk does not run."""


def place(folder: Path) -> Path:
    """Return where the socket is, by asterisk.conf.

    Parameters:
        folder: Asterisk's configuration.
    """
    try:
        sections = conf_files.read(folder, "asterisk.conf").sections
    except OSError:
        return DEFAULT
    found = {(section.name, line.name): line.value for section in sections for line in section.lines}
    directory = found.get(("directories", "astrundir")) or str(DEFAULT.parent)
    return Path(directory) / (found.get(("files", "astctl")) or DEFAULT.name)


def ask(path: Path, owner: int, command: str) -> str:
    """Run a command of the console and return what it prints.

    Parameters:
        path: of the socket.
        owner: the user that Asterisk's folder belongs to. Asterisk runs as that user or as root, and nothing is said
            to a program of another one.
        command: one line.

    Raises:
        InstallFailed: Asterisk does not run there, or its answer has no end.
    """
    if len(str(path).encode()) > MAX_PATH_BYTES or not command.isprintable():
        raise InstallFailed(f"{path}: cannot be the socket of Asterisk's console")
    until = time.monotonic() + SECONDS
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
            console.settimeout(SECONDS)
            console.connect(str(path))
            if peer_of(console).uid not in (0, owner):
                raise InstallFailed(f"{path}: belongs to a program of another user than Asterisk's")
            console.sendall(f"cli quit after {command}\0".encode())
            while part := console.recv(65_536):
                answer += part
                console.settimeout(max(0.001, until - time.monotonic()))
                if len(answer) > LIMIT:
                    raise InstallFailed(f"{path}: the answer to '{command}' has no end")
    except OSError as error:
        hint = ". Is Asterisk running? Then run this again" if isinstance(error, NOT_THERE) else ""
        why = f"{error.strerror or error}{hint}"
        raise InstallFailed(f"{path}: Asterisk's console cannot be reached: {why}") from error
    return bytes(answer).partition(b"\n")[2].decode("utf-8", "replace")
