"""Audits made for tests: chained lines, signed by a key of their own, and what may be done to them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from agi_monitor.audit.chain import Chain, Head, body_of
from agi_monitor.audit.verification import Verdict, Verification

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Seal:
    """``Signer``, fast and as good as a real one for anyone who does not know how it is made."""

    def __init__(self, secret: str = "house") -> None:
        self.public = hashlib.sha256(secret.encode()).hexdigest()

    def sign(self, content: bytes) -> str:
        """Sign."""
        return hmac.new(self.public.encode(), content, hashlib.sha512).hexdigest()


def verifies(key: str, content: bytes, signature: str) -> bool:
    """Look at the signature of any ``Seal``."""
    return hmac.new(key.encode(), content, hashlib.sha512).hexdigest() == signature


SEAL = Seal()


def record(number: int, **fields: object) -> Mapping[str, object]:
    """What a fact looks like."""
    at = (BEGIN + timedelta(seconds=number)).isoformat(timespec="milliseconds")
    return {"fact": "refused", "at": at, "supervisor": f"s{number % 3}", "detail": f"{number}", **fields}


def chained(records: Iterable[Mapping[str, object]], chain: Chain | None = None) -> list[bytes]:
    """The lines of these records, checkpoints among them."""
    chain = chain or Chain(Head(), SEAL)
    lines = []
    for one in records:
        linked = chain.link(body_of(one), datetime.fromisoformat(str(one["at"])))
        chain.accept(linked)
        lines += linked.content.split(b"\n")[:-1]
    return lines


def audit(count: int, every: int = 0) -> list[bytes]:
    """This number of records, and after that number of them a checkpoint besides those that come by themselves."""
    chain = Chain(Head(), SEAL)
    lines: list[bytes] = []
    for number in range(count):
        lines += chained([record(number)], chain)
        if every and number % every == every - 1:
            checkpoint = chain.checkpoint(BEGIN + timedelta(seconds=number), due=False)
            if checkpoint is not None:
                chain.accept(checkpoint)
                lines += checkpoint.content.split(b"\n")[:-1]
    return lines


def head_of(lines: Sequence[bytes]) -> Head:
    """The end of an untouched audit."""
    return Head(len(lines), hashlib.sha256(lines[-1]).hexdigest()) if lines else Head()


def verify(
    lines: Iterable[bytes] | Mapping[str, Sequence[bytes]],
    known: Iterable[Head] = (),
    trusted: Iterable[str] = (SEAL.public,),
    *,
    partial: bool = False,
    closed: bool = False,
) -> Verdict:
    """The verdict about one file, or several."""
    verification = Verification(verifies, list(trusted), known, partial=partial)
    files = lines if isinstance(lines, Mapping) else {"audit": list(lines)}
    for file, content in files.items():
        for number, line in enumerate(content, 1):
            verification.take(file, number, line)
    return verification.finish(closed)


def named(verdict: Verdict) -> list[tuple[str, int | None, int | None, int | None]]:
    """The findings: what, line, first and last record."""
    return [(one.kind.value, one.place.line if one.place else None, one.first, one.last) for one in verdict.findings]
