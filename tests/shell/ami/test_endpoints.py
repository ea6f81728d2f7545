"""agi_monitor.ami.endpoints: what makes no endpoint, and a handshake in memory with each certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from agi_monitor.ami.endpoints import Verification, VerifiedTLS, endpoint, why_lost
from agi_monitor.errors import CertificateRefused, ConfigError
from contrib.lab.certificates import Authority

AUTHORITY = Authority("tests")


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    """Whom the client trusts."""
    path = tmp_path / "ca.pem"
    path.write_text(AUTHORITY.pem)
    return path


class TLSProtocol:
    """What Twisted's TLS protocol is to a connection: it takes a refusal."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    def failVerification(self, failure: Failure) -> None:  # noqa: N802 (Twisted's name)
        self.refusals.append(why_lost(failure.value))


def handshake(client: VerifiedTLS, presented: str) -> list[str]:
    """Shake hands with a server that shows this certificate; the refusals, or nothing when both are content."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate(load_pem_x509_certificate(presented.encode()))
    key = load_pem_private_key(presented.encode(), None)
    context.use_privatekey(key)  # type: ignore[arg-type]  # any kind of key would do for the loader
    server = SSL.Connection(context, None)
    server.set_accept_state()
    protocol = TLSProtocol()
    ours = client.clientConnectionForTLS(protocol)  # type: ignore[arg-type]  # all that is used of it
    ours.set_connect_state()
    for _ in range(4):
        for one, other in ((ours, server), (server, ours)):
            try:
                one.do_handshake()
            except SSL.WantReadError:
                pass
            except SSL.Error:
                assert protocol.refusals != []
                return protocol.refusals
            try:
                other.bio_write(one.bio_read(65_536))
            except SSL.WantReadError:
                continue
    assert ours.get_protocol_version_name() in ("TLSv1.2", "TLSv1.3")
    return protocol.refusals


@pytest.mark.parametrize("name", ["pbx.example", "PBX.example", "192.0.2.7", "2001:db8::7"])
def test_a_right_certificate_is_accepted(ca_file: Path, name: str) -> None:
    """By name and by address of both kinds."""
    presented = AUTHORITY.issue("pbx.example", "192.0.2.7", "2001:db8::7")
    assert handshake(VerifiedTLS(ca_file, name), presented) == []


@pytest.mark.parametrize("name", ["example", "a.pbx.example", "192.0.2.8", "2001:db8::8"])
def test_a_certificate_for_somebody_else_is_refused(ca_file: Path, name: str) -> None:
    """Also for the domain above it and for a name below it."""
    presented = AUTHORITY.issue("pbx.example", "192.0.2.7", "2001:db8::7")
    assert handshake(VerifiedTLS(ca_file, name), presented) == [f"the certificate of the PBX is not for {name}"]


def test_a_certificate_that_is_over_is_refused(ca_file: Path) -> None:
    """With the time of its end."""
    (refusal,) = handshake(VerifiedTLS(ca_file, "pbx.example"), AUTHORITY.issue("pbx.example", expired=True))
    assert refusal.startswith("the certificate of the PBX has expired at 20")


@pytest.mark.parametrize("trusts", ["another", "system"])
def test_a_certificate_of_a_stranger_is_refused(tmp_path: Path, trusts: str) -> None:
    """No trusted party, by file or by default, has signed it."""
    path = tmp_path / "other.pem"
    path.write_text(Authority("other").pem)
    client = VerifiedTLS(path if trusts == "another" else None, "pbx.example")
    assert handshake(client, AUTHORITY.issue("pbx.example")) == [
        "the certificate of the PBX is not signed by a trusted authority"
    ]


def test_a_certificate_without_a_host_is_refused(ca_file: Path) -> None:
    """A common name is not a host name."""
    presented = AUTHORITY.issue(common_name="pbx.example")
    assert handshake(VerifiedTLS(ca_file, "pbx.example"), presented) == [
        "the certificate of the PBX names no host (subjectAltName)"
    ]


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff"])
def test_a_file_without_a_certificate_makes_no_endpoint(tmp_path: Path, content: bytes | None) -> None:
    """Said at the start, with the file's name, not at each attempt."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    clock = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
    with pytest.raises(ConfigError, match=r"ca\.pem: (cannot be read|holds no certificate)"):
        endpoint(clock, "192.0.2.7", 5039, Verification(path))


def test_a_name_that_is_none_makes_no_endpoint(ca_file: Path) -> None:
    """Nobody could have a certificate for it."""
    clock = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
    with pytest.raises(ConfigError, match="is not a host name"):
        endpoint(clock, "192.0.2.7", 5039, Verification(ca_file, "a..example"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("111"), "OSError"),
        (CertificateRefused("the certificate is not mine"), "the certificate is not mine"),
        (SSL.Error([("SSL routines", "", "wrong version number")]), "TLS failed: wrong version number"),
        (SSL.Error(), "TLS failed"),
        (SSL.Error([]), "TLS failed"),
    ],
)
def test_why_a_connection_was_lost(error: Exception, said: str) -> None:
    """In words that say what to look at."""
    assert why_lost(error) == said
