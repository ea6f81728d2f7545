"""Encrypted sound (RFC 3711), read with the keys that phones and PBX told each other (SDES, RFC 4568).

Only what the laboratory meets: AES_CM_128_HMAC_SHA1_80, no key derivation rate, no identifier of the master key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

KEY_BYTES = 16
SALT_BYTES = 14
TAG_BYTES = 10
AUTHENTICATION_BYTES = 20
_KEY = re.compile(r"a=crypto:\d+ AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/=]+)")


class SrtpKey:
    """What one side encrypts with.

    :param master: key and salt, as they stand behind ``inline:``
    """

    def __init__(self, master: str) -> None:
        secret = base64.b64decode(master + "=" * (-len(master) % 4))
        if len(secret) != KEY_BYTES + SALT_BYTES:
            raise ValueError(f"{len(secret)} bytes are no key")
        self._key, self._salt = secret[:KEY_BYTES], secret[KEY_BYTES:]
        self._session_key = self._derive(0, KEY_BYTES)
        self._authentication_key = self._derive(1, AUTHENTICATION_BYTES)
        self._session_salt = self._derive(2, SALT_BYTES)

    def _derive(self, label: int, length: int) -> bytes:
        """Section 4.3.1: the label stands behind the 48 bits of the index, which are 0 here."""
        start = int.from_bytes(self._salt) ^ (label << 48)
        return _keystream(self._key, start << 16, length)

    def decrypt(self, packet: bytes, header: int, rollovers: Iterable[int] = (0, 1)) -> bytes | None:
        """Return the payload of a packet; None when it was not encrypted with this key.

        :param packet: RTP, with its authentication tag
        :param header: bytes of its header
        :param rollovers: how often the sequence number may have begun again
        """
        content, tag = packet[:-TAG_BYTES], packet[-TAG_BYTES:]
        (sequence,) = struct.unpack_from(">H", packet, 2)
        (source,) = struct.unpack_from(">I", packet, 8)
        for rollover in rollovers:
            signed = hmac.new(self._authentication_key, content + struct.pack(">I", rollover), hashlib.sha1)
            if hmac.compare_digest(signed.digest()[:TAG_BYTES], tag):
                index = (rollover << 16) | sequence
                start = (int.from_bytes(self._session_salt) << 16) ^ (source << 64) ^ (index << 16)
                stream = _keystream(self._session_key, start, len(content) - header)
                return bytes(one ^ other for one, other in zip(content[header:], stream, strict=True))
        return None


def _keystream(key: bytes, start: int, length: int) -> bytes:
    encryptor = Cipher(AES(key), CTR(start.to_bytes(16))).encryptor()
    return encryptor.update(bytes(length)) + encryptor.finalize()


def keys_in(logs: Iterable[Path]) -> Iterator[str]:
    """Yield every key that was told in these logs of SIP messages."""
    for log in logs:
        if log.exists():
            yield from _KEY.findall(log.read_text(errors="replace"))


class Decrypter:
    """Finds the key of each stream among those that were told.

    :param told: returns the keys, as they stand in the messages
    """

    def __init__(self, told: Callable[[], Iterable[str]]) -> None:
        self._told = told
        self._keys: dict[str, SrtpKey] = {}
        self._by_source: dict[int, SrtpKey] = {}

    def __call__(self, packet: bytes, header: int) -> bytes | None:
        """Return the payload of a packet; None when its key was not told."""
        (source,) = struct.unpack_from(">I", packet, 8)
        known = self._by_source.get(source)
        found = None if known is None else known.decrypt(packet, header)
        if found is not None:
            return found
        for master in self._told():
            try:
                key = self._keys.setdefault(master, SrtpKey(master))
            except (ValueError, binascii.Error):
                continue
            found = key.decrypt(packet, header)
            if found is not None:
                self._by_source[source] = key
                return found
        return None
