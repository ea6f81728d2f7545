"""The key that signs the checkpoints of the audit: made once, readable by its owner only. Its public half is next to
it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agi_monitor.errors import StateUnavailable
from agi_monitor.files import folder

KEY_FILE = "audit-key.pem"
"""The name of the key in the folder of the state."""

PUBLIC_FILE = "audit-key.pub"
"""The name of its public half there, and of those of the keys before it."""


MAX_BYTES = 1_048_576
"""The maximum size of a file with keys: thousands of them fit."""


class AuditKey:
    """``audit_chain.Signer`` with Ed25519.

    Parameters:
        private: the key.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw().hex()

    def __repr__(self) -> str:
        return f"<AuditKey {self.public}>"

    def sign(self, content: bytes) -> str:
        """Return the signature, in hexadecimal digits."""
        return self._private.sign(content).hex()


def audit_key(directory: Path, *, make: bool = True) -> AuditKey:
    """Read the key, or make it at the first start.

    Parameters:
        directory: the folder of the state.
        make: whether to make one; only the server does, because others may run as another user.

    Raises:
        StateUnavailable: it is there and cannot be used, or it cannot be written.
    """
    path = directory / KEY_FILE
    try:
        private = serialization.load_pem_private_key(folder.read(path, MAX_BYTES), None)
        if not isinstance(private, Ed25519PrivateKey):
            raise TypeError
    except FileNotFoundError:
        if not make:
            raise StateUnavailable(
                f"{path}: there is no key of the audit; the server makes it when it starts"
            ) from None
        private = Ed25519PrivateKey.generate()
        _write(path, _private_pem(private), 0o600)
    except folder.Unfit as error:
        raise StateUnavailable(f"{path}: the key of the audit cannot be read: it {error.strerror}") from None
    except (OSError, ValueError, TypeError) as error:
        # What it holds is a secret: the kind of the mistake is enough.
        raise StateUnavailable(
            f"{path}: the key of the audit cannot be read ({type(error).__name__}). Fix the file, or remove it: "
            f"checkpoints are signed with a new one then, and {PUBLIC_FILE} has the public halves of both"
        ) from None
    key = AuditKey(private)
    public = directory / PUBLIC_FILE
    known = trusted_keys(public) if os.path.lexists(public) else []
    if key.public not in known:
        _write(public, b"".join(pem(one) for one in [*known, key.public]), 0o644)
    return key


def trusted_keys(path: Path, *, given: bool = False) -> list[str]:
    """Return the public keys of a file: in PEM, or 64 hexadecimal digits a line.

    Parameters:
        path: of the file.
        given: the file was named on the command line, so it may be a link or a pipe.

    Raises:
        StateUnavailable: it cannot be read, or there is no key in it.
    """
    try:
        text = (_given(path) if given else folder.read(path, MAX_BYTES)).decode("ascii")
        blocks = re.findall(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----\n?", text, re.DOTALL)
        keys = [_raw(block.encode()) for block in blocks] or re.findall(r"^[0-9a-f]{64}$", text, re.MULTILINE)
    except OSError as error:
        raise StateUnavailable(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        keys = []
    if not keys:
        raise StateUnavailable(f"{path}: no public key of Ed25519 in it, neither as PEM nor as 64 hexadecimal digits")
    return keys


def _given(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def pem(public: str) -> bytes:
    """Return a public key as other programs read it.

    Parameters:
        public: 64 hexadecimal digits.
    """
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def verifies(public: str, content: bytes, signature: str) -> bool:
    """Whether this public key signed this content with this signature. ``audit_verification.Verifies``."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(bytes.fromhex(signature), content)
    except (InvalidSignature, ValueError):
        return False
    return True


def _raw(block: bytes) -> str:
    key = serialization.load_pem_public_key(block)
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError
    return key.public_bytes_raw().hex()


def _private_pem(private: Ed25519PrivateKey) -> bytes:
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        folder.replace(path, content, mode)
    except OSError as error:
        raise StateUnavailable(f"{path}: the key of the audit cannot be written: {error.strerror}") from error
