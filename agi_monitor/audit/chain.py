"""The chain of the audit's records.

A record is one line of JSON. The fields of the fact are followed by ``seq``, its number from 1, and ``prev``, the
SHA-256 of the line before it without its line ending. Changing a line changes its hash, and the next line shows it. A
checkpoint is a record that is signed; it covers all records before it.

Nothing in here knows a file: the same lines go wherever records are kept.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

GENESIS = "0" * 64
"""``prev`` of the first record."""

CHECKPOINT_RECORDS = 100
"""A checkpoint comes after this many records without a signature."""

CHECKPOINT_SECONDS = 300.0
"""A record is without a signature for no longer than this, while the server runs."""

CHECKPOINT = "checkpoint"
REMOVED = "removed"

RESERVED = frozenset({"seq", "prev", "torn", "key", "signature"})
"""Names that no fact may use."""

_LINE = re.compile(
    rb'\{"fact":"(?P<fact>[a-z_]+)","at":"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00)".*'
    rb',"seq":(?P<seq>[1-9][0-9]{0,14}),"prev":"(?P<prev>[0-9a-f]{64})"'
    rb'(?:,"torn":"(?P<torn>[0-9a-f]{64})")?'
    rb'(?:,"key":"(?P<key>[0-9a-f]{64})","signature":"(?P<signature>[0-9a-f]{128})")?\}',
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Head:
    """Up to where a chain goes.

    Parameters:
        seq: the number of its last record; 0 when there is none.
        hash: of that record.
    """

    seq: int = 0
    hash: str = GENESIS


class Signer(Protocol):
    """Signs checkpoints."""

    @property
    def public(self) -> str:
        """The public key, in hexadecimal digits."""
        ...

    def sign(self, content: bytes) -> str:
        """Return the signature, in hexadecimal digits."""
        ...


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that a line carries.

    Parameters:
        key: the public key that it claims to be of.
        content: what is signed: the line up to the signature.
        text: the signature.
    """

    key: str
    content: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Record:
    """A line as a part of the chain. One that stands for removed records has their numbers and their hash.

    Parameters:
        fact: its name.
        at: when, as written in the line.
        first: the number of the first record that it stands for.
        seq: the number of the last one.
        prev: the hash of the record before the first one.
        hash: what the next record has as ``prev``.
        torn: the hash of an unfinished line before it, or empty.
        signature: None if there is none.
    """

    fact: str
    at: str
    first: int
    seq: int
    prev: str
    hash: str
    torn: str
    signature: Signature | None

    @property
    def head(self) -> Head:
        """The chain up to here."""
        return Head(self.seq, self.hash)


@dataclass(frozen=True, slots=True)
class Linked:
    """Lines that continue a chain, and are not yet in it.

    Parameters:
        content: the lines, each with its line end.
        head: the chain with them.
        unsigned: how many records are without a signature then.
        since: when the first of those happened; None when there is none.
    """

    content: bytes
    head: Head
    unsigned: int
    since: datetime | None


class Chain:
    """Numbers and links records, and says when to sign.

    Parameters:
        head: where it continues.
        signer: None for a chain without checkpoints.
        unsigned: how many records are without a signature; None if that is not known: the next record then signs
            them.
        since: when the first of those happened; None if that is not known.
    """

    def __init__(
        self, head: Head, signer: Signer | None = None, unsigned: int | None = None, since: datetime | None = None
    ) -> None:
        self.head = head
        self._signer = signer
        self._unsigned = unsigned if unsigned is not None else CHECKPOINT_RECORDS if head.seq else 0
        self._since = since

    def link(self, body: bytes, at: datetime, torn: bytes = b"") -> Linked:
        """Return the record as it must be written, followed by a checkpoint if one is due.

        Parameters:
            body: from ``body_of``.
            at: when the fact happened.
            torn: an unfinished line before it; the record says that it was there.
        """
        line = _chained(body, self.head, torn)
        head = Head(self.head.seq + 1, digest(line))
        unsigned, since = self._unsigned + 1, self._since or at
        linked = Linked(line + b"\n", head, unsigned, since)
        return self._signed(linked, at) if self._is_due(unsigned, since, at) else linked

    def checkpoint(self, at: datetime, torn: bytes = b"", *, due: bool = True) -> Linked | None:
        """Return a checkpoint, or None if nothing waits for one.

        Parameters:
            at: the time of day.
            torn: as in ``link``.
            due: only when it is time.
        """
        if self._signer is None or not self._unsigned:
            return None
        if due and not self._is_due(self._unsigned, self._since or at, at):
            return None
        return self._signed(Linked(b"", self.head, self._unsigned, self._since), at, torn)

    def accept(self, linked: Linked) -> None:
        """Note that the lines are on disk: the chain continues after them."""
        self.head, self._unsigned, self._since = linked.head, linked.unsigned, linked.since

    def _is_due(self, unsigned: int, since: datetime, at: datetime) -> bool:
        # abs: if the clock was set back, the checkpoint should not wait until it is as late again.
        late = abs((at - since).total_seconds()) >= CHECKPOINT_SECONDS
        return self._signer is not None and (unsigned >= CHECKPOINT_RECORDS or late)

    def _signed(self, linked: Linked, at: datetime, torn: bytes = b"") -> Linked:
        assert self._signer is not None  # noqa: S101 - the caller has looked
        line = signed(_chained(body_of({"fact": CHECKPOINT, "at": stamp(at)}), linked.head, torn), self._signer)
        return Linked(linked.content + line + b"\n", Head(linked.head.seq + 1, digest(line)), 0, None)


def body_of(record: Mapping[str, object]) -> bytes:
    """Return a record as JSON in one line, as it goes into ``Chain.link``.

    Raises:
        ValueError: it has a name that the chain needs.
    """
    if not RESERVED.isdisjoint(record):
        raise ValueError(f"the names {', '.join(sorted(RESERVED))} belong to the chain")
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def read(line: bytes) -> Record | None:
    """Return a line as a part of a chain, or None if it is not one. Signatures are not checked.

    Parameters:
        line: without its line end.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    fact, at, seq, prev = match["fact"].decode(), match["at"].decode(), int(match["seq"]), match["prev"].decode()
    signature = None
    if match["signature"] is not None:
        content = line[: match.start("signature") - len(b',"signature":"')]
        signature = Signature(match["key"].decode(), content, match["signature"].decode())
    first, hash_of_line = seq, ""
    if fact == REMOVED:
        try:
            content = json.loads(line)
            first, hash_of_line = int(content["first"]), str(content["hash"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if signature is None or not 1 <= first <= seq or re.fullmatch("[0-9a-f]{64}", hash_of_line) is None:
            return None
    torn = (match["torn"] or b"").decode()
    return Record(fact, at, first, seq, prev, hash_of_line or digest(line), torn, signature)


def removed(first: Record, last: Record, what: Mapping[str, object], at: datetime, signer: Signer) -> bytes:
    """Return the line that stands for removed records that followed one another.

    Parameters:
        first: of them.
        last: of them.
        what: who removed them, why, and anything else worth knowing.
        at: the time of day.
        signer: without a signature the line would be worthless: it replaces records that it does not show.
    """
    fields = {"fact": REMOVED, "at": stamp(at), **what, "first": first.first, "hash": last.hash}
    return signed(_chained(body_of(fields), Head(last.seq - 1, first.prev)), signer)


def signed(line: bytes, signer: Signer) -> bytes:
    """Return the line with a signature over all that stands before it."""
    content = line[:-1] + f',"key":"{signer.public}"'.encode()
    return content + f',"signature":"{signer.sign(content)}"}}'.encode()


def digest(line: bytes) -> str:
    """The hash of a line without its line end."""
    return hashlib.sha256(line).hexdigest()


def stamp(at: datetime) -> str:
    """A time as it stands in a record."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _chained(body: bytes, head: Head, torn: bytes = b"") -> bytes:
    end = f',"torn":"{digest(torn)}"}}' if torn else "}"
    return body[:-1] + f',"seq":{head.seq + 1},"prev":"{head.hash}"{end}'.encode()
