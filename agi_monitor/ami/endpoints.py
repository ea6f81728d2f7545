"""The way to a manager interface: plain TCP, or TLS with the certificate of the PBX verified.

Asterisk cannot ask for a certificate of ours, so TLS proves the PBX to us; the login proves us to the PBX.
"""

from __future__ import annotations

import asyncio
import ipaddress
import weakref
from dataclasses import dataclass
from pathlib import Path

from cryptography.x509 import Certificate
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from agi_monitor.embedding.event_loop import LoopClock, LoopEndpoint
from agi_monitor.errors import CertificateRefused, ConfigError

CONNECT_SECONDS = 10.0
"""For each address of the host. A PBX that is up answers within milliseconds."""

NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})
"""What OpenSSL finds wrong with a certificate (X509_V_ERR_*, x509_vfy.h). 18 and 19 are signed by themselves."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What the certificate of the PBX is compared with.

    Parameters:
        ca_file: the certificates that are trusted, in PEM; those of the system when None.
        name: the host name or IP address that it must be for; the one that is connected to when None.
    """

    ca_file: Path | None = None
    name: str | None = None


def endpoint(
    reactor: IReactorTime, host: str, port: int, tls: Verification | None = None, seconds: float = CONNECT_SECONDS
) -> IStreamClientEndpoint:
    """Return how to connect to a manager interface.

    With ``tls``, a certificate that is not accepted ends the connection before a byte of the login is sent.

    Parameters:
        reactor: Twisted's.
        host: a name or an IP address.
        port: the TCP port.
        tls: encrypt, and verify the certificate so. Plain TCP when None: only for a network that is yours alone.
        seconds: how long an attempt to connect may take.

    Raises:
        ConfigError: ``ca_file`` cannot be read or holds no certificate, or the name is not a host name.
    """
    plain = HostnameEndpoint(reactor, host, port, timeout=seconds)
    if tls is None:
        return plain
    return wrapClientTLS(VerifiedTLS(tls.ca_file, tls.name or host), plain)


def loop_endpoint(
    loop: asyncio.AbstractEventLoop,
    host: str,
    port: int,
    tls: Verification | None = None,
    seconds: float = CONNECT_SECONDS,
) -> IStreamClientEndpoint:
    """``endpoint`` for an event loop of asyncio, without a reactor.

    Parameters:
        loop: that runs.
        host, port, tls, seconds: as of ``endpoint``.

    Raises:
        ConfigError: as of ``endpoint``.
    """
    if tls is None:
        return LoopEndpoint(loop, host, port, seconds)
    creator = VerifiedTLS(tls.ca_file, tls.name or host)
    clock: IReactorTime = LoopClock(loop)

    def encrypted(factory: IProtocolFactory) -> TLSMemoryBIOFactory:
        return TLSMemoryBIOFactory(creator, True, factory, clock)

    return LoopEndpoint(loop, host, port, seconds, encrypted)


def why_lost(error: BaseException | None) -> str:
    """Say in a few words what ended a connection, or kept it from being made."""
    if isinstance(error, CertificateRefused):
        return str(error)
    if isinstance(error, SSL.Error):
        found = error.args[0] if error.args else ()
        return f"TLS failed: {found[-1][-1]}" if found else "TLS failed"
    return type(error).__name__


def _context(ca_file: Path | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    if ca_file is None:
        context.set_default_verify_paths()
        return context
    try:
        ca_file.read_bytes()  # OpenSSL does not say why it cannot read a file
        context.load_verify_locations(str(ca_file))
    except OSError as error:
        raise ConfigError(f"{ca_file}: cannot be read: {error.strerror}") from error
    except SSL.Error as error:
        raise ConfigError(f"{ca_file}: holds no certificate in PEM") from error
    return context


@implementer(IOpenSSLClientConnectionCreator)
class VerifiedTLS:
    """Makes TLS connections that say what is wrong with a certificate.

    Twisted's own ``optionsForClientTLS`` is as strict, but says no more than "certificate verify failed".

    Parameters:
        ca_file: the certificates that are trusted, in PEM; those of the system when None.
        name: the host name or IP address that the certificate must be for.

    Raises:
        ConfigError: the file cannot be read or holds no certificate, or the name is not a host name.
    """

    def __init__(self, ca_file: Path | None, name: str) -> None:
        self._context = _context(ca_file)
        self._is_address = _is_address(name)
        try:
            self._name = name if self._is_address else name.encode("idna").decode()
        except UnicodeError as error:
            raise ConfigError(f"{name!r} is not a host name: a certificate cannot be for it") from error

    def clientConnectionForTLS(  # noqa: N802 (Twisted's name)
        self,
        tlsProtocol: TLSMemoryBIOProtocol,  # noqa: N803 (Twisted's name)
    ) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        if not self._is_address:
            connection.set_tlsext_host_name(self._name.encode())
        # OpenSSL keeps the callback: it must not keep the protocol, which keeps the connection.
        protocol = weakref.ref(tlsProtocol)

        def verify(_: SSL.Connection, certificate: X509, error: int, depth: int, ok: int) -> bool:
            problem = (
                self._problem(certificate.to_cryptography(), depth) if ok else _refusal(certificate, error, depth)
            )
            if problem is None:
                return True
            refusing = protocol()
            if refusing is not None:
                refusing.failVerification(Failure(CertificateRefused(problem)))  # type: ignore[no-untyped-call]
            return False

        connection.set_verify(SSL.VERIFY_PEER, verify)
        return connection

    def _problem(self, certificate: Certificate, depth: int) -> str | None:
        """What is wrong with a certificate that is in order for OpenSSL, which does not ask whom it is for."""
        if depth > 0:
            return None
        verify = verify_certificate_ip_address if self._is_address else verify_certificate_hostname
        try:
            verify(certificate, self._name)
        except VerificationError:
            return f"the certificate of the PBX is not for {self._name}"
        except CertificateError:
            return "the certificate of the PBX names no host (subjectAltName)"
        return None


def _refusal(certificate: X509, error: int, depth: int) -> str:
    whose = "of the PBX" if depth == 0 else "of an authority of the PBX"
    times = certificate.to_cryptography()
    if error == EXPIRED:
        return f"the certificate {whose} has expired at {times.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if error == NOT_YET_VALID:
        return f"the certificate {whose} is not valid before {times.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    if error in UNKNOWN_ISSUER:
        return "the certificate of the PBX is not signed by a trusted authority"
    return f"the certificate {whose} was refused (OpenSSL's error {error})"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
