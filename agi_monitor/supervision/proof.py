"""A grant, signed, as it stands on the supervisor's channel: it outlives the server that wrote it.

With it a server that is back knows the spies of its earlier run, and several servers of one PBX know each other's.
It names the spyer and the spyee by uniqueid, so on any other channel, or for any other call, it proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass, fields
from typing import Any

from agi_monitor.model import Mode
from agi_monitor.names import endpoint_of
from agi_monitor.supervision import confirmation
from agi_monitor.supervision.grant import Grant

VARIABLE = confirmation.PROOF
"""The channel variable that it stands in."""

MAX_CHARACTERS = 1_023
"""The manager's Getvar cuts what is longer (manager.c, action_getvar); seen on 16.28 and 22.10."""


_NAMES = tuple(field.name for field in fields(Grant) if field.name != "endpoint")
"""What is signed; the endpoint stands in the name of the spyer."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs.

    Parameters:
        server: this server, through all its runs.
        run: this run of it.
        key: the secret that all servers of the PBX share.
    """

    server: str
    run: str
    key: bytes

    def __repr__(self) -> str:
        return f"<Signer {self.server} {self.run}>"

    def sign(self, grant: Grant) -> str:
        """Return the text for the channel variable.

        Raises:
            ValueError: it would be longer than can be read back.
        """
        values = [getattr(grant, name) for name in _NAMES]
        body = _encode(
            json.dumps([self.server, self.run, *values], separators=(",", ":"), ensure_ascii=False).encode()
        )
        signed = f"{body}.{_encode(self._digest(body))}"
        if len(signed) > MAX_CHARACTERS:
            raise ValueError("the grant is too long to be signed")
        return signed

    def read(self, text: str) -> Proof | None:
        """Return what a signed text says, or None for anything that this key has not signed."""
        try:
            server, run, *rest = self._signed(text)
            values = dict(zip(_NAMES, rest, strict=True))
            values["mode"] = Mode(values["mode"])
            return Proof(Grant(**values, endpoint=endpoint_of(values["spyer"]) or values["spyer"]), server, run)
        except (ValueError, TypeError):
            # Signed by a server of another version, whose grants have other fields.
            return None

    def is_of_another(self, text: str, spyer_uniqueid: str, spyee_uniqueid: str) -> bool:
        """Return whether another server has signed a grant by which one channel hears another. A server of another
        version, whose grants have other fields, is another one; both channels stand somewhere in what it signed.

        Parameters:
            text: the signed text.
            spyer_uniqueid: the channel that hears.
            spyee_uniqueid: the one that is heard; empty where that is not known.
        """
        proven = self.read(text)
        if proven is not None:
            grant = proven.grant
            is_named = grant.spyer_uniqueid == spyer_uniqueid and spyee_uniqueid in ("", grant.spyee_uniqueid)
            return is_named and proven.server != self.server
        server, *values = self._signed(text) or [self.server]
        if server == self.server or spyer_uniqueid not in values:
            return False
        return not spyee_uniqueid or spyee_uniqueid in values[values.index(spyer_uniqueid) + 1 :]

    def notice(self, number: int, spyee_uniqueid: str) -> str:
        """Return what a helper of ours carries to say that it tells an agent: who else may make a channel of that
        name cannot make this.

        Parameters:
            number: of the notice, in this run.
            spyee_uniqueid: the agent's channel.
        """
        return _encode(self._digest(json.dumps(["notice", self.server, self.run, number, spyee_uniqueid])))

    def _signed(self, text: str) -> list[Any]:
        """Return the values that a text holds; none where this key has not signed it."""
        body, _, signature = text.partition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), _encode(self._digest(body)).encode()):
            return []
        try:
            values = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        except (binascii.Error, ValueError):
            return []
        return values if isinstance(values, list) else []

    def _digest(self, text: str) -> bytes:
        return hmac.new(self.key, text.encode("utf-8", "replace"), hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Proof:
    """A signed grant.

    Parameters:
        grant: the grant.
        server: whose it is.
        run: the run of that server.
    """

    grant: Grant
    server: str
    run: str


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
