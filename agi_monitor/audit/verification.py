"""Finds out whether the audit was changed, and in which record.

Lines come in one after the other, so that a file may be larger than the memory. They are joined into stretches, and
the borders between those, compared with each other in the order of their numbers, show what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agi_monitor.audit.chain import CHECKPOINT, CHECKPOINT_RECORDS, GENESIS, REMOVED, Head, Record, digest, read
from agi_monitor.audit.stretches import Place, Spot, Stray, Stretch, Stretches, longest_chain, misplaced

MAX_BREAKS = 1_000
"""With more breaks than this it is of no use to name each."""

MAX_LEADING = 1_000_000
"""With more lines than this before the records of their files, it is not an audit."""

CLOCK_SECONDS = 5.0
"""Facts of calls at the same time may stand in the other order. By more than this, the clock was changed, or the fact
had to wait for the disk."""

Verifies = Callable[[str, bytes, str], bool]
"""Whether this public key signed this content with this signature."""


class Kind(StrEnum):
    """What is wrong."""

    CHANGED = "changed"
    """The record is not the one that was written."""
    MISSING = "missing"
    """Records are gone."""
    INSERTED = "inserted"
    """The line is not a record of this chain, or is in it twice."""
    MOVED = "moved"
    """The record is genuine and stands in another place."""
    FORGED = "forged"
    """A signature does not fit: a record that it covers was changed, and the chain rebuilt."""
    UNKNOWN_KEY = "unknown_key"
    """A signature fits, and is of a key that is not trusted."""
    UNSIGNED = "unsigned"
    """There are more records without a checkpoint than the server leaves without one."""
    REWRITTEN = "rewritten"
    """The chain fits, and is not the one that is known from elsewhere."""
    GIVEN_UP = "given_up"
    """There are too many breaks, or lines that are not records: the rest was not read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Parameters:
        kind: what is wrong.
        place: the line; for missing records, the line after them; None where that does not exist.
        first: the number of the first record that it concerns; None when that is not known.
        last: the number of the last one.
        text: a sentence.
    """

    kind: Kind
    place: Place | None
    first: int | None
    last: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome.

    Parameters:
        findings: all that is wrong, in the order of the records.
        notes: what is worth knowing, but does not indicate a change.
        lines: how many lines were read.
        records: how many of them are records of the chain.
        removed: how many records were removed by ``agi-monitor audit retain``.
        unchained: how many lines are from before there was a chain.
        since: when the first record happened; empty if there is none.
        until: when the last one did.
        checkpoints: how many of them have a signature that fits and is trusted.
        signed: the number of the last record that such a signature covers; 0 if there is none.
        head: the end of the chain.
    """

    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    lines: int
    records: int
    removed: int
    unchained: int
    since: str
    until: str
    checkpoints: int
    signed: int
    head: Head

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def is_empty(self) -> bool:
        """Whether no record was read, and none was removed: nothing was verified."""
        return not self.records and not self.removed


@dataclass(slots=True)
class _Counts:
    lines: int = 0
    records: int = 0
    removed: int = 0
    torn: int = 0
    checkpoints: int = 0
    signed: int = 0
    unsigned: int = 0
    since: str = ""
    until: str = ""
    earlier: int = 0
    earliest: tuple[Place, float] | None = None


@dataclass(slots=True)
class _Found:
    """What is wrong so far.

    Parameters:
        chain: the stretches in the order of their numbers.
        findings: in any order.
        used: the lines that were found to stand in a record's place.
        changed: the places of records that are named already.
    """

    chain: list[Stretch]
    findings: list[Finding] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    changed: set[Place] = field(default_factory=set)

    def add(self, kind: Kind, place: Place | None, first: int | None, last: int | None, text: str) -> None:
        """Take in the next line."""
        self.findings.append(Finding(kind, place, first, last, text))

    def change(self, place: Place, seq: int) -> None:
        """A record was changed; it is named once."""
        if place not in self.changed:
            self.changed.add(place)
            self.add(Kind.CHANGED, place, seq, seq, f"record {seq}: changed")


class Verification:
    """Takes in the lines of an audit, in the order of its files, and says what is wrong with it.

    Parameters:
        verifies: looks at a signature.
        trusted: the public keys whose signatures count; with none every one counts, and a note says so.
        known: records that are known from elsewhere, such as the end of the chain that the server remembers.
        partial: what comes before the first line and behind the last one is somewhere else.
    """

    def __init__(
        self, verifies: Verifies, trusted: Collection[str] = (), known: Iterable[Head] = (), *, partial: bool = False
    ) -> None:
        self._verifies = verifies
        self._trusted = frozenset(trusted)
        self._known = {head.seq: head.hash for head in known if head.seq}
        self._partial = partial
        self._stretches = Stretches()
        self._strays: list[Stray] = []
        self._waiting: tuple[Place, bytes, bool, Record | None] | None = None
        self._file = ""
        self._leading: Stray | None = None
        self._all_leading = 0
        self._order = 0
        self._counts = _Counts()
        self._signatures: list[Finding] = []
        self._refused: dict[Place, int] = {}
        self._seen: set[int] = set()
        self._differs: dict[int, Place] = {}
        self._behind: dict[int, Place] = {}
        self.gave_up = False
        """So much is broken that no more lines are wanted."""

    def take(self, file: str, line: int, content: bytes, finished: bool = True) -> None:
        """Take in the next line.

        Parameters:
            file: the file that it stands in.
            line: its number there, from 1.
            content: without its line end.
            finished: it has a line end.
        """
        if self.gave_up:
            return
        self._counts.lines += 1
        # One line late: only the record behind an unfinished line says that it is one.
        record = read(content)
        waiting, self._waiting = self._waiting, (Place(file, line), content, finished, record)
        if waiting is None:
            return
        if record is not None and record.torn and record.torn == digest(waiting[1]):
            self._counts.torn += 1
        else:
            self._place(*waiting)

    def _place(self, place: Place, content: bytes, finished: bool, record: Record | None) -> None:
        self._order += 1
        spot = Spot(self._order, place)
        if place.file != self._file:
            self._end_of_leading()
            self._file, self._leading = place.file, Stray(spot, 0, leading=True)
        if record is not None and self._may_be(record, place):
            self._end_of_leading()
            self._add(record, spot)
        elif self._leading is not None and finished:
            self._leading.count += 1
            self._all_leading += 1
            self._leading.content.update(content + b"\n")
        else:
            self._end_of_leading()
            self._strays.append(Stray(spot, unfinished=not finished))
        if len(self._stretches.all) + len(self._strays) > MAX_BREAKS:
            self.gave_up = True
            text = f"more than {MAX_BREAKS} breaks; the rest was not read"
            self._signatures.append(Finding(Kind.GIVEN_UP, place, None, None, text))
        elif self._all_leading > MAX_LEADING:
            self.gave_up = True
            text = f"more than {MAX_LEADING} lines that are not records; the rest was not read"
            self._signatures.append(Finding(Kind.GIVEN_UP, place, None, None, text))

    def _end_of_leading(self) -> None:
        if self._leading is not None and self._leading.count:
            self._strays.append(self._leading)
        self._leading = None

    def _may_be(self, record: Record, place: Place) -> bool:
        """Look at the signature. Returns whether the line may be taken for a record."""
        signature = record.signature
        if signature is None or record.fact not in (CHECKPOINT, REMOVED):
            return True
        if not self._verifies(signature.key, signature.content, signature.text):
            text = f"{_records(record.first, record.seq)}: removed, and the signature does not fit"
            first = record.first
            if record.fact == CHECKPOINT:
                first = min(self._counts.signed + 1, record.seq)
                text = f"the signature does not fit: one of {_records(first, record.seq)} was changed"
            self._signatures.append(Finding(Kind.FORGED, place, first, record.seq, text))
            return self._accepts_anyway(record, place)
        if self._trusted and signature.key not in self._trusted:
            text = f"signed with a key that is not trusted: {signature.key}"
            self._signatures.append(Finding(Kind.UNKNOWN_KEY, place, record.first, record.seq, text))
            return self._accepts_anyway(record, place)
        self._counts.checkpoints += record.fact == CHECKPOINT
        self._counts.signed = record.seq
        return True

    def _accepts_anyway(self, record: Record, place: Place) -> bool:
        """A checkpoint is a record, with any signature. A line that stands for others counts only with a good one."""
        if record.fact == REMOVED:
            self._refused[place] = record.seq
        return record.fact == CHECKPOINT

    def _add(self, record: Record, spot: Spot) -> None:
        stretch = self._stretches.add(record, spot)
        stretch.vouched = record.fact in (CHECKPOINT, REMOVED) and self._counts.signed == record.seq
        self._count(record, spot.place, stretch.vouched)
        for seq, known in self._known.items():
            if record.first <= seq < record.seq:
                self._seen.add(seq)  # removed since
            elif seq == record.seq and record.hash == known:
                self._seen.add(seq)
                stretch.vouched = True
                stretch.known += 1
            elif seq == record.seq:
                self._differs[seq] = spot.place
            elif record.first == seq + 1:
                self._behind.setdefault(seq, spot.place)

    def _count(self, record: Record, place: Place, signed: bool) -> None:
        counts = self._counts
        counts.unsigned = 0 if signed else counts.unsigned + 1
        if counts.unsigned == CHECKPOINT_RECORDS + 1 and self._trusted:
            first = record.seq - CHECKPOINT_RECORDS
            text = f"no checkpoint among {_records(first, record.seq)}"
            self._signatures.append(Finding(Kind.UNSIGNED, place, first, record.seq, text))
        if record.fact == REMOVED:
            counts.removed += record.seq - record.first + 1
            return
        counts.records += 1
        counts.since = counts.since or record.at
        if record.at < counts.until and (seconds := _seconds(record.at, counts.until)) > CLOCK_SECONDS:
            counts.earlier += 1
            counts.earliest = counts.earliest or (place, seconds)
        counts.until = record.at

    # ---- all lines are read ----------------------------------------------------------------------------

    def finish(self, closed: bool = False) -> Verdict:
        """Return what is wrong.

        Parameters:
            closed: whether nothing can have come after the last of the known records, because the server stopped
                there.
        """
        if self._waiting is not None and not self.gave_up:
            self._place(*self._waiting)
        self._waiting = None
        self._end_of_leading()
        found = _Found(longest_chain(self._stretches.all))
        chain = found.chain
        if chain:
            self._at_begin(found)
            for number, one in enumerate(chain[:-1]):
                self._at_border(found, one, *chain[number + 1 : number + 3])
            self._at_end(found)
        elif self._known and not self._partial:
            last = max(self._known)
            found.add(Kind.MISSING, None, 1, last, f"{_records(1, last)}: missing")
        for stretch in misplaced(chain):
            if stretch.begin.place not in found.changed:
                text = f"{_records(stretch.first, stretch.last.seq)}: genuine, and moved here from another place"
                found.add(Kind.MOVED, stretch.begin.place, stretch.first, stretch.last.seq, text)
        unchained, unfinished = self._left_over(found)
        if closed and chain and not found.findings:
            self._behind_the_end(found)
        found.findings += [finding for finding in self._signatures if finding.place not in found.changed]
        counts = self._counts
        return Verdict(
            findings=tuple(sorted(found.findings, key=lambda one: (one.first is None, one.first or 0))),
            notes=tuple(self._notes(unchained, unfinished)),
            lines=counts.lines,
            records=counts.records,
            removed=counts.removed,
            unchained=unchained,
            since=counts.since,
            until=counts.until,
            checkpoints=counts.checkpoints,
            signed=counts.signed,
            head=chain[-1].last if chain else Head(),
        )

    def _at_begin(self, found: _Found) -> None:
        first = found.chain[0]
        if self._partial or (first.first == 1 and first.prev == self._prev_of_first(first)):
            return
        if first.first > 1 and (_is_certain(first, *found.chain[1:2]) or first.prev != GENESIS):
            self._gap(found, 1, first.first - 1, 0, first)
        elif not _is_certain(first, *found.chain[1:2]):
            found.change(first.begin.place, 1)
        else:
            text = "the lines before record 1, from before there was a chain, are not those that stood there then"
            found.add(Kind.CHANGED, Place(first.begin.place.file, 1), None, None, text)
            found.used.update(stray.begin.order for stray in self._leading_of(first))

    def _leading_of(self, stretch: Stretch) -> list[Stray]:
        return [
            stray for stray in self._strays if stray.leading and stray.begin.place.file == stretch.begin.place.file
        ]

    def _prev_of_first(self, first: Stretch) -> str:
        """What the first record must have as ``prev``."""
        return next((stray.content.hexdigest() for stray in self._leading_of(first)), GENESIS)

    def _at_border(self, found: _Found, one: Stretch, other: Stretch, behind: Stretch | None = None) -> None:
        if other.continues(one):
            return
        certain = _is_certain(other, *([] if behind is None else [behind]))
        if other.branch is not None and other.branch[0] is one and other.branch[1] == other.first - 1 < one.last.seq:
            first = other.branch[1] + 1
            text = f"{_records(first, one.last.seq)}: stands here and, going on, in {_at(other.begin.place)}"
            found.add(Kind.INSERTED, other.other_branch or one.end.place, first, one.last.seq, text)
        elif other.first == one.last.seq + 1 and certain and not one.vouched:
            found.change(one.end.place, one.last.seq)
        elif other.first == one.last.seq + 1:
            found.change(other.begin.place, other.first)
        elif not certain and other.prev == one.last.hash:
            # It knows the record before it: its number was changed, and nothing is missing.
            found.change(other.begin.place, one.last.seq + 1)
        else:
            self._gap(found, one.last.seq + 1, other.first - 1, one.end.order, other)

    def _at_end(self, found: _Found) -> None:
        if self._partial:
            return
        last = found.chain[-1]
        seq = last.last.seq
        if len(found.chain) > 1 and last.begin.place in found.changed:
            seq = found.chain[-2].last.seq + 1  # whatever the record itself says
        known = max(self._known, default=0)
        if known > seq:
            self._gap(found, seq + 1, known, last.end.order, None)
        for number, place in sorted(self._differs.items()):
            if number in self._seen or any(one.first is not None and one.first <= number for one in found.findings):
                continue
            if place == last.end.place and number == known:
                found.change(place, number)
            else:
                text = f"record {number}: not the one that is known from elsewhere; it or one before it was rewritten"
                found.add(Kind.REWRITTEN, place, 1, number, text)

    def _gap(self, found: _Found, first: int, last: int, after: int, other: Stretch | None) -> None:
        """Records are not where they should be. Lines in their place that are not records were records once."""
        before = self._order + 1 if other is None else other.begin.order
        for line in self._between(found, after, before):
            if first > last:
                return
            count = line.count if isinstance(line, Stray) else line.size
            until = min(last, first + count - 1)
            place = line.begin.place
            if place in self._refused:
                # It is told already what is wrong with it.
                found.used.add(line.begin.order)
                first = max(first, self._refused[place] + 1)
                continue
            if isinstance(line, Stray) and line.leading:
                # Lines from before the chain may stand before them.
                place = Place(place.file, place.line + count - (until - first + 1))
            found.used.add(line.begin.order)
            found.changed.add(place)
            text = f"{_records(first, until)}: changed, so that no record can be read here"
            if isinstance(line, Stretch):
                text = f"{_records(first, until)}: changed, other records stand here"
            found.add(Kind.CHANGED, place, first, until, text)
            first = until + 1
        if first <= last:
            text = f"{_records(first, last)}: missing" + (" at the end" if other is None else "")
            found.add(Kind.MISSING, None if other is None else other.begin.place, first, last, text)

    def _between(self, found: _Found, after: int, before: int) -> list[Stray | Stretch]:
        outside = [one for one in self._stretches.all if one not in found.chain and one.size <= MAX_BREAKS]
        lines: list[Stray | Stretch] = [*self._strays, *outside]
        between = [one for one in lines if after < one.begin.order < before and one.begin.order not in found.used]
        return sorted(between, key=lambda one: one.begin.order)

    def _left_over(self, found: _Found) -> tuple[int, list[Place]]:
        """Lines that are not in a record's place: old lines, unfinished ones, and planted ones."""
        unchained, unfinished = 0, []
        chained = {stretch.begin.place.file for stretch in self._stretches.all}
        for stray in self._strays:
            place = stray.begin.place
            if place in self._refused:
                continue
            begins = bool(found.chain) and found.chain[0].first == 1 and place.file == found.chain[0].begin.place.file
            if stray.begin.order in found.used:
                continue
            if stray.leading and (begins or place.file not in chained):
                unchained += stray.count
            elif stray.unfinished:
                unfinished.append(place)
            else:
                lines = "this line is" if stray.count == 1 else f"{stray.count} lines from here are"
                found.add(Kind.INSERTED, place, None, None, f"{lines} no record of the chain")
        for one in self._stretches.all:
            if one not in found.chain and one.begin.order not in found.used:
                self._foreign(found, one)
        return unchained, unfinished

    def _foreign(self, found: _Found, one: Stretch) -> None:
        last = found.chain[-1].last
        if one.lines == 1 and one.prev == last.hash:
            found.change(one.begin.place, last.seq + 1)
            return
        if one.copied:
            what = "a copy of what stands elsewhere"
        elif one.first == 1:
            what = "another chain begins here: the server's state was lost, or another server wrote to this file"
        elif one.branch is not None:
            what = f"follows record {one.branch[1]}, which goes on elsewhere: from another server, or from none"
        else:
            what = "of no chain that is here"
        text = f"{_records(one.first, one.last.seq)}: {what}"
        found.add(Kind.INSERTED, one.begin.place, one.first, one.last.seq, text)

    def _behind_the_end(self, found: _Found) -> None:
        end, last = max(self._known, default=0), found.chain[-1].last.seq
        if end in self._seen and last > end:
            text = f"{_records(end + 1, last)}: written after the server had stopped at record {end}"
            found.add(Kind.INSERTED, self._behind.get(end), end + 1, last, text)

    def _notes(self, unchained: int, unfinished: Sequence[Place]) -> Iterable[str]:
        counts = self._counts
        if unchained:
            yield f"{unchained} lines are from before there was a chain: what they were before is not known"
        if counts.torn:
            yield f"{counts.torn} lines were left unfinished by a crash; the record after each of them says so"
        for place in unfinished:
            yield f"{_at(place)}: not finished: it is being written, or a crash cut it"
        if counts.removed:
            yield f"{counts.removed} records were removed; signed lines in their places say by whom, when and why"
        if counts.earliest is not None:
            place, seconds = counts.earliest
            yield (
                f"{counts.earlier} records are earlier than the one before them, the first by {seconds:.0f} s in "
                f"{_at(place)}: the clock was set back, or they had to wait for the disk"
            )
        if counts.records and not counts.checkpoints:
            yield (
                "no checkpoint with a good signature: with write access alone, all of it could have been made again. "
                "A server signs one within minutes, and when it stops"
            )
        elif counts.records and not self._trusted:
            yield "no key was given: any signature that matches counts, of any key"


def _is_certain(stretch: Stretch, *behind: Stretch) -> bool:
    """Whether something else than the first record itself says that it is genuine."""
    return stretch.lines > 1 or stretch.vouched or any(other.continues(stretch) for other in behind)


def _seconds(at: str, before: str) -> float:
    try:
        return (datetime.fromisoformat(before) - datetime.fromisoformat(at)).total_seconds()
    except ValueError:
        return 0.0


def _records(first: int, last: int) -> str:
    return f"record {first}" if first == last else f"records {first} to {last}"


def _at(place: Place) -> str:
    return f"{place.file}:{place.line}"
