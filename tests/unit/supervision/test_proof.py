"""A signed grant: what was signed is read back, and nothing else is."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agi_monitor.model import Mode
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import MAX_CHARACTERS, Proof, Signer

GRANT = Grant(
    call="b7a1c9e2-14",
    number=3,
    supervisor="anna",
    pin="0123456789abcdef",
    endpoint="PJSIP/2001-mobile",
    spyer="PJSIP/2001-mobile-00000001",
    spyer_uniqueid="pbx-1700000000.1",
    extension="1001",
    spyee="PJSIP/1001-0000000a",
    spyee_uniqueid="pbx-1700000000.10",
    mode=Mode.WHISPER,
    rule="leads-supervise",
    began=1_700_000_000.25,
    since=1_700_000_000.25,
)
KEY = b"0123456789abcdef0123456789abcdef"
SIGNER = Signer("here", "run-1", KEY)
SIGNED = SIGNER.sign(GRANT)

names = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40)
grants = st.builds(
    replace,
    st.just(GRANT),
    number=st.integers(1, 10_000),
    supervisor=names,
    extension=names,
    mode=st.sampled_from(Mode),
    rule=names,
    began=st.floats(0, 4e9),
    since=st.floats(0, 4e9),
    reason=st.text("abcdefghijklmnopqrstuvwxyz", max_size=20),
    scan=st.booleans(),
)


def signature_of(body: str) -> str:
    """A right signature of any text."""
    return base64.urlsafe_b64encode(hmac.new(KEY, body.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()


def signed(content: bytes) -> str:
    """Anything, rightly signed."""
    body = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    return f"{body}.{signature_of(body)}"


@given(grants)
def test_reads_what_it_has_signed(grant: Grant) -> None:
    """Every field comes back, with the server and its run."""
    assert SIGNER.read(SIGNER.sign(grant)) == Proof(grant, "here", "run-1")


@given(grants)
def test_a_signed_text_can_be_a_channel_variable(grant: Grant) -> None:
    """One line of letters that need no quoting, whatever stands in the names; short enough to be read back."""
    text = SIGNER.sign(grant)
    assert len(text) <= MAX_CHARACTERS
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.data())
def test_a_text_that_was_changed_proves_nothing(data: st.DataObject) -> None:
    """One letter changed, left out or added, anywhere."""
    place = data.draw(st.integers(0, len(SIGNED) - 1))
    letter = data.draw(st.sampled_from("ABab01-_.=\n "))
    for text in (
        SIGNED[:place] + letter + SIGNED[place + 1 :],
        SIGNED[:place] + SIGNED[place + 1 :],
        SIGNED[:place] + letter + SIGNED[place:],
        SIGNED[:place],
        SIGNED + letter,
    ):
        assert SIGNER.read(text) is None or text == SIGNED


@given(st.one_of(st.text(), st.builds("{}.{}".format, st.text(), st.text())))
@example("")
@example(".")
@example("ü.ü")
@example("\ud800.\ud800")
def test_any_text_is_no_proof(text: str) -> None:
    """Nothing made up raises, or proves anything."""
    assert SIGNER.read(text) is None


@given(st.binary(max_size=64))
def test_another_key_proves_nothing(key: bytes) -> None:
    """A server with another key is a stranger."""
    assert replace(SIGNER, key=key).read(SIGNED) is None or key == KEY


def test_all_servers_with_the_key_read_it() -> None:
    """Whose it is stands in it, not in who reads it."""
    assert Signer("there", "run-9", KEY).read(SIGNED) == Proof(GRANT, "here", "run-1")


@pytest.mark.parametrize(
    "field", ["spyer_uniqueid", "spyee_uniqueid", "mode", "supervisor", "began", "since", "reason", "scan"]
)
def test_every_field_counts(field: str) -> None:
    """The signature of one grant does not fit another."""
    changes: dict[str, Any] = {
        field: {"mode": Mode.BARGE, "began": 1.0, "since": 1.0, "scan": True}.get(field, "other")
    }
    other = replace(GRANT, **changes)
    body, _, _ = SIGNER.sign(other).partition(".")
    _, _, signature = SIGNED.partition(".")
    assert SIGNER.read(f"{body}.{signature}") is None


def test_a_grant_that_is_too_long_is_not_signed() -> None:
    """The manager would cut it, and it would prove nothing: better to know at once. Names of usual length fit."""
    longest = max(length for length in range(1, 1_000) if _fits(length))
    assert longest > 300
    assert len(SIGNER.sign(replace(GRANT, rule="x" * longest))) <= MAX_CHARACTERS
    with pytest.raises(ValueError, match="too long"):
        SIGNER.sign(replace(GRANT, rule="x" * (longest + 1)))


def _fits(length: int) -> bool:
    try:
        SIGNER.sign(replace(GRANT, rule="x" * length))
    except ValueError:
        return False
    return True


@given(st.text(max_size=400))
def test_a_name_of_any_letters_is_read_back_or_refused(name: str) -> None:
    """Whatever a site calls its rules: a proof that cannot be made is a ValueError and nothing else."""
    grant = replace(GRANT, rule=name)
    try:
        text = SIGNER.sign(grant)
    except ValueError:
        return
    assert SIGNER.read(text) == Proof(grant, "here", "run-1")


VALUES = json.loads(base64.urlsafe_b64decode(SIGNED.partition(".")[0] + "=="))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"1",
        b"null",
        b"{}",
        b"[]",
        json.dumps(VALUES[:-1]).encode(),
        json.dumps([*VALUES, "more"]).encode(),
        json.dumps(["spy" if value == "whisper" else value for value in VALUES]).encode(),
        json.dumps([[] if value == "whisper" else value for value in VALUES]).encode(),
    ],
    ids=["empty", "no-text", "number", "null", "object", "nothing", "less", "more", "no-mode", "a-list-for-a-mode"],
)
def test_what_another_version_has_signed_proves_nothing(content: bytes) -> None:
    """The signature is right, but the grants of that version have other fields."""
    assert SIGNER.read(signed(content)) is None


def test_the_right_content_is_read_so() -> None:
    """The helper of the test above makes texts that can be right."""
    assert SIGNER.read(signed(json.dumps(VALUES).encode())) == Proof(GRANT, "here", "run-1")


def test_a_field_of_another_kind_proves_nothing() -> None:
    """Texts where texts are expected: a number for a channel is a mistake of another version."""
    at = VALUES.index(GRANT.spyer)
    assert SIGNER.read(signed(json.dumps([*VALUES[:at], 7, *VALUES[at + 1 :]]).encode())) is None


HEARS = GRANT.spyer_uniqueid, GRANT.spyee_uniqueid


@pytest.mark.parametrize("text", [SIGNED, signed(json.dumps([*VALUES, "more"]).encode())], ids=["known", "newer"])
def test_another_server_may_be_of_another_version(text: str) -> None:
    """Its key is right, and it names who hears whom; a list does not always tell who is heard."""
    there = Signer("there", "run-9", KEY)
    assert there.is_of_another(text, *HEARS)
    assert there.is_of_another(text, GRANT.spyer_uniqueid, "")
    assert not there.is_of_another(text, "1.1", GRANT.spyee_uniqueid)
    assert not there.is_of_another(text, GRANT.spyer_uniqueid, "1.2")
    assert not replace(there, key=b"x" * 32).is_of_another(text, *HEARS)


def test_a_grant_of_this_server_is_of_no_other() -> None:
    """Of this run or an earlier one."""
    assert not SIGNER.is_of_another(SIGNED, *HEARS)
    assert not replace(SIGNER, run="run-2").is_of_another(SIGNED, *HEARS)


@pytest.mark.parametrize("content", [b"", b"\xff", b"1", b"null", b"{}", b"[]"])
def test_what_names_nobody_is_of_no_server(content: bytes) -> None:
    """However well it is signed."""
    assert not SIGNER.is_of_another(signed(content), *HEARS)


def test_the_key_is_in_no_text() -> None:
    """Neither in what is printed nor in what is signed."""
    assert KEY.decode() not in repr(SIGNER) + str(SIGNER) + SIGNED
