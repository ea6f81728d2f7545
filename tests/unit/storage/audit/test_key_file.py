"""The key of the audit: made once, kept, readable by its owner alone; its public half is for everyone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agi_monitor.errors import StateUnavailable
from agi_monitor.storage.audit.key_file import KEY_FILE, PUBLIC_FILE, audit_key, pem, trusted_keys, verifies


def test_is_the_same_through_all_runs(tmp_path: Path) -> None:
    """Made at the first start and read at every other."""
    first = audit_key(tmp_path)
    content = (tmp_path / KEY_FILE).read_bytes()
    assert audit_key(tmp_path).public == first.public
    assert (tmp_path / KEY_FILE).read_bytes() == content
    assert trusted_keys(tmp_path / PUBLIC_FILE) == [first.public]


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """Anyone who has the key can write an audit of their own; the public half is for everybody."""
    audit_key(tmp_path)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (KEY_FILE, PUBLIC_FILE)]
    assert modes == [0o600, 0o644]


def test_signs_what_it_verifies(tmp_path: Path) -> None:
    """And nothing else: no other content, no other key, nothing that is not a signature."""
    key = audit_key(tmp_path)
    signature = key.sign(b"content")
    assert verifies(key.public, b"content", signature)
    assert not verifies(key.public, b"contents", signature)
    assert not verifies(key.public, b"content", "00" * 64)
    assert not verifies(key.public, b"content", "no hex")
    assert not verifies("ff" * 32, b"content", signature)
    (tmp_path / "other").mkdir()
    assert not verifies(audit_key(tmp_path / "other").public, b"content", signature)


def test_a_key_that_was_removed_leaves_its_public_half(tmp_path: Path) -> None:
    """What it signed can still be verified."""
    first = audit_key(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    second = audit_key(tmp_path)
    assert first.public != second.public
    assert trusted_keys(tmp_path / PUBLIC_FILE) == [first.public, second.public]


def test_only_the_server_makes_it(tmp_path: Path) -> None:
    """A command of another user would make one that the server cannot read."""
    with pytest.raises(StateUnavailable, match="the server makes it when it starts"):
        audit_key(tmp_path, make=False)
    assert list(tmp_path.iterdir()) == []


def other_kind() -> bytes:
    """A key that is not for Ed25519."""
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "content", [b"", b"{", b"-----BEGIN PRIVATE KEY-----\nsecret\n", other_kind(), b"\xff"], ids=range(5)
)
def test_a_torn_key_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """Nobody makes a new key in the place of one that could be fixed, and nothing of it is told."""
    path = tmp_path / KEY_FILE
    path.write_bytes(content)
    with pytest.raises(StateUnavailable, match="the key of the audit cannot be read") as caught:
        audit_key(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "secret" not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The sentence says which file, and why."""
    with pytest.raises(StateUnavailable, match="cannot be written: No such file or directory"):
        audit_key(tmp_path / "gone")


def test_the_key_is_in_no_text(tmp_path: Path) -> None:
    """Printing it tells the public half alone."""
    key = audit_key(tmp_path)
    secret = (tmp_path / KEY_FILE).read_text().splitlines()[1]
    assert repr(key) == f"<AuditKey {key.public}>"
    assert secret not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "abc\n", "g" * 64, "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----\n", "ü"]
)
def test_a_file_without_a_key_is_named(tmp_path: Path, text: str) -> None:
    """Anyone who trusts nothing would verify nothing."""
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(StateUnavailable, match="no public key of Ed25519"):
        trusted_keys(path)
    with pytest.raises(StateUnavailable, match="cannot be read: No such file"):
        trusted_keys(tmp_path / "gone")


def test_a_file_of_keys_as_digits(tmp_path: Path) -> None:
    """One a line."""
    path = tmp_path / "keys"
    path.write_text(f"{'ab' * 32}\n{'cd' * 32}\n")
    assert trusted_keys(path) == ["ab" * 32, "cd" * 32]


def test_other_programs_verify_it_as_well(tmp_path: Path) -> None:
    """The signature is plain Ed25519 over plain bytes, and the key is the usual PEM."""
    key = audit_key(tmp_path)
    public = serialization.load_pem_public_key(pem(key.public))
    assert isinstance(public, Ed25519PublicKey)
    public.verify(bytes.fromhex(key.sign(b"content")), b"content")
