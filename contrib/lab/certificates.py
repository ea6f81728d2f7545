"""Certificates for a laboratory: an authority of its own, and what it signs."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LIFE = timedelta(days=2)


class Authority:
    """A certificate authority whose key is never written down.

    :param name: what it is called
    """

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        now = datetime.now(UTC)
        certificate = (
            _certificate(self._name, self._name, self._key, now - LIFE, now + LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.pem: str = certificate.public_bytes(Encoding.PEM).decode()
        """Its certificate, for clients that are to trust it."""

    def issue(self, *names: str, common_name: str = "server", expired: bool = False) -> str:
        """Sign a certificate for a server.

        :param names: host names and IP addresses that it is for
        :param common_name: what it is called, which says nothing about the host
        :param expired: it ended yesterday
        :returns: certificate and key, in PEM
        """
        key = ec.generate_private_key(ec.SECP256R1())
        end = datetime.now(UTC) + (-LIFE / 2 if expired else LIFE)
        builder = _certificate(_subject(common_name), self._name, key, end - 2 * LIFE, end)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(_general_names(names)), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM).decode() + secret.decode()


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _general_names(names: Iterable[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found
