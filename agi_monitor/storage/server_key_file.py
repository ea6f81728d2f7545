"""What identifies a server through all its runs: a name that no other has, and a key that signs grants."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from agi_monitor.errors import StateUnavailable
from agi_monitor.files import folder

KEY_BYTES = 32

MAX_BYTES = 65_536
"""What is larger was not written here."""


@dataclass(frozen=True, slots=True, repr=False)
class ServerKey:
    """Read from the file, or made for it.

    Parameters:
        server: the server's name.
        key: its own key.
    """

    server: str
    key: bytes


def server_key(path: Path) -> ServerKey:
    """Read the file, or make it at the first start.

    Raises:
        StateUnavailable: it is there and cannot be used, or it cannot be written.
    """
    try:
        content = json.loads(folder.read(path, MAX_BYTES))
        found = ServerKey(content["server"], bytes.fromhex(content["key"]))
        if not isinstance(found.server, str) or not found.server or len(found.key) < KEY_BYTES:
            raise ValueError("too short")
        return found
    except FileNotFoundError:
        pass
    except folder.Unfit as error:
        raise StateUnavailable(f"{path}: the server's key cannot be read: it {error.strerror}") from None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        # What it holds is a secret: the kind of the mistake is enough.
        raise StateUnavailable(
            f"{path}: the server's key cannot be read ({type(error).__name__}). Fix the file, or remove it: spies "
            "that are on then count as rogue"
        ) from None
    made = ServerKey(secrets.token_hex(8), secrets.token_bytes(KEY_BYTES))
    try:
        folder.replace(path, json.dumps({"server": made.server, "key": made.key.hex()}).encode() + b"\n", 0o600)
    except OSError as error:
        raise StateUnavailable(f"{path}: the server's key cannot be written: {error.strerror}") from error
    return made
