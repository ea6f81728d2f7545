"""Every change of an audit is found, and named where it was made."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.audit.chain import CHECKPOINT_RECORDS, Chain, Head, read, removed
from agi_monitor.audit.verification import MAX_BREAKS
from tests.doubles.audit_lines import BEGIN, SEAL, Seal, audit, chained, head_of, named, record, verify

AUDITS = {every: audit(12, every) for every in (0, 1, 5)}
lines_of = st.sampled_from([0, 1, 5]).map(lambda every: list(AUDITS[every]))
position = st.integers(0, 10**6)


# ---- any single change -------------------------------------------------------------------------------------


@given(lines_of, position, position, st.integers(0, 255))
def test_a_changed_byte_is_found(lines: list[bytes], which: int, where: int, byte: int) -> None:
    """Whatever byte of whatever line: that line is named, as the record that it was, and nothing else is."""
    which %= len(lines)
    line = bytearray(lines[which])
    where %= len(line)
    if line[where] == byte or byte == 10:
        byte = line[where] ^ 128
    head = head_of(lines)
    line[where] = byte
    lines[which] = bytes(line)
    verdict = verify(lines, [head])
    assert named(verdict) == [("changed", which + 1, which + 1, which + 1)]


@pytest.mark.parametrize("which", [0, 5, 11])
@pytest.mark.parametrize("number", [1, 4, 99, 10**14])
def test_a_changed_number_is_found(which: int, number: int) -> None:
    """Whatever it says now, the record is named by the number that it had."""
    lines = list(AUDITS[0])
    head = head_of(lines)
    lines[which] = lines[which].replace(b'"seq":%d,' % (which + 1), b'"seq":%d,' % number)
    expected = [] if number == which + 1 else [("changed", which + 1, which + 1, which + 1)]
    assert named(verify(lines, [head])) == expected


def test_what_is_signed_is_not_blamed() -> None:
    """Records that do not fit behind a checkpoint are wrong, not the checkpoint."""
    lines = audit(4, every=4)
    forged = chained([record(7), record(8)], Chain(Head(len(lines), "f" * 64)))
    assert named(verify([*lines, *forged])) == [("changed", 6, 6, 6)]


@given(lines_of, position, st.integers(1, 20))
def test_removed_records_are_found(lines: list[bytes], which: int, count: int) -> None:
    """Their numbers are named, and where they stood."""
    which %= len(lines)
    count = min(count, len(lines) - which)
    head = head_of(lines)
    del lines[which : which + count]
    at = which + 1 if which < len(lines) else None
    if not lines:
        at = None
    assert named(verify(lines, [head])) == [("missing", at, which + 1, which + count)]


@given(lines_of, position, st.binary(max_size=40).filter(lambda text: b"\n" not in text))
def test_an_inserted_line_is_found(lines: list[bytes], where: int, text: bytes) -> None:
    """A line that is not a record is named, wherever it stands: also before the first record and behind the last."""
    where %= len(lines) + 1
    head = head_of(lines)
    lines.insert(where, text)
    ((kind, line, first, _),) = named(verify(lines, [head]))
    assert (kind, line) in [("inserted", where + 1), ("changed", 1)]
    assert (line == 1) == (where == 0) or kind == "inserted"
    assert first is None


@given(lines_of, position, position)
def test_an_inserted_copy_is_found(lines: list[bytes], which: int, where: int) -> None:
    """A record that stands there twice is named; side by side, either of the two."""
    which, where = which % len(lines), where % (len(lines) + 1)
    head = head_of(lines)
    lines.insert(where, lines[which])
    ((kind, line, first, last),) = named(verify(lines, [head]))
    assert (kind, first, last) == ("inserted", which + 1, which + 1)
    assert line in ({where + 1} if where not in (which, which + 1) else {which + 1, which + 2})


@given(lines_of, position)
def test_an_inserted_record_that_fits_is_found(lines: list[bytes], where: int) -> None:
    """Somebody who knows how the chain is made adds a record that follows the one before it."""
    where = 1 + where % (len(lines) - 1)
    head = head_of(lines)
    forged = chained([record(99, detail="forged")], Chain(head_of(lines[:where])))
    lines[where:where] = forged
    assert named(verify(lines, [head])) == [("inserted", where + 1, where + 1, where + 1)]


@given(lines_of, position, position)
def test_swapped_records_are_found(lines: list[bytes], one: int, other: int) -> None:
    """Two records in each other's place: one of them is named, or both, and no other."""
    one, other = one % len(lines), other % len(lines)
    head = head_of(lines)
    lines[one], lines[other] = lines[other], lines[one]
    found = named(verify(lines, [head]))
    assert {kind for kind, *_ in found} == (set() if one == other else {"moved"})
    assert {(line, first) for _, line, first, _ in found} <= {(one + 1, other + 1), (other + 1, one + 1)}


@given(lines_of, st.data())
def test_a_moved_block_is_found(lines: list[bytes], data: st.DataObject) -> None:
    """Records that stand elsewhere are genuine, and named as moved."""
    begin = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(begin + 1, len(lines)))
    head = head_of(lines)
    block, rest = lines[begin:end], lines[:begin] + lines[end:]
    where = data.draw(st.integers(0, len(rest)))
    moved = [*rest[:where], *block, *rest[where:]]
    found = named(verify(moved, [head]))
    assert {kind for kind, *_ in found} == (set() if moved == lines else {"moved"})


@given(lines_of, position)
def test_a_cut_end_is_found(lines: list[bytes], keep: int) -> None:
    """What the server remembers of the end tells how much is gone."""
    keep %= len(lines)
    head = head_of(lines)
    assert named(verify(lines[:keep], [head])) == [("missing", None, keep + 1, len(lines))]


@given(lines_of, position)
def test_a_cut_beginning_is_found(lines: list[bytes], gone: int) -> None:
    """The first record has the number 1, unless the rest is said to be elsewhere."""
    gone = 1 + gone % (len(lines) - 1)
    head = head_of(lines)
    assert named(verify(lines[gone:], [head])) == [("missing", 1, 1, gone)]
    assert verify(lines[gone:], [head], partial=True).ok


@given(lines_of, position, st.booleans())
def test_a_chain_made_anew_is_found(lines: list[bytes], where: int, known: bool) -> None:
    """A record and all that follows are changed so that they fit: a checkpoint's signature does not, or the end
    is not the one that is known."""
    where %= len(lines)
    head = head_of(lines)
    chain = Chain(head_of(lines[:where]))
    bodies = [re.sub(rb',"seq".*', b"}", line) for line in lines[where:]]
    bodies[0] = bodies[0].replace(b'"at":"2026', b'"at":"2025')
    again = lines[:where]
    signatures = [re.search(rb',"key".*', line) for line in lines[where:]]
    for body, signature in zip(bodies, signatures, strict=True):
        linked = chain.link(body, BEGIN)
        line = linked.content.rstrip(b"\n")
        line = line if signature is None else line[:-1] + signature[0]
        chain.accept(linked)
        chain.head = head_of([*again, line])
        again.append(line)
    signed = any(signatures)
    verdict = verify(again, [head] if known else [])
    assert verdict.ok == (not signed and not known)
    for finding in verdict.findings:
        assert finding.kind.value in ("forged", "rewritten", "changed")
        assert finding.first is not None and finding.last is not None
        assert finding.last >= where + 1


@given(st.lists(st.tuples(st.sampled_from("cdis"), position, position), min_size=2, max_size=6))
def test_several_changes_are_found(changes: list[tuple[str, int, int]]) -> None:
    """Any mixture of changes, removals, insertions and swaps is not a good audit, and no fault of this program."""
    lines = list(AUDITS[5])
    head, before = head_of(lines), list(lines)
    for kind, one, other in changes:
        one %= len(lines)
        if kind == "c":
            lines[one] = lines[one].replace(b"2026", b"2025")
        elif kind == "d" and len(lines) > 1:
            del lines[one]
        elif kind == "i":
            lines.insert(one, lines[other % len(lines)])
        else:
            other %= len(lines)
            lines[one], lines[other] = lines[other], lines[one]
    assert verify(lines, [head]).ok == (lines == before)


# ---- what is not a change ---------------------------------------------------------------------------------------


@given(lines_of)
def test_an_untouched_audit_is_right(lines: list[bytes]) -> None:
    """Nothing is found, and it is counted what there is."""
    verdict = verify(lines, [head_of(lines)])
    assert (verdict.findings, verdict.records, verdict.lines) == ((), len(lines), len(lines))
    assert (verdict.since, verdict.until) == ("2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:11.000+00:00")
    assert verdict.head == head_of(lines)


@given(st.integers(1, 4), st.data())
def test_rotated_files_are_one_chain(count: int, data: st.DataObject) -> None:
    """A chain may go through any number of files, at any border."""
    lines = AUDITS[5]
    borders = sorted(data.draw(st.lists(st.integers(0, len(lines)), min_size=count, max_size=count)))
    files = {
        str(number): lines[begin:end]
        for number, (begin, end) in enumerate(zip([0, *borders], [*borders, len(lines)], strict=True))
    }
    assert verify(files, [head_of(lines)]).ok


def test_old_lines_are_told_apart() -> None:
    """Lines from before there was a chain are counted; the first record knows what they were."""
    old = [b'{"fact":"server_started","at":"2025-01-01T00:00:00.000+00:00","version":"0"}', b"torn"]
    first = Head(0, hashlib.sha256(b"".join(line + b"\n" for line in old)).hexdigest())
    lines = chained([record(0), record(1)], Chain(first))
    verdict = verify([*old, *lines])
    assert (verdict.ok, verdict.unchained, verdict.records) == (True, 2, 2)
    assert "2 lines are from before there was a chain" in verdict.notes[0]
    for changed in ([old[0]], [old[0], b"tear"], [*old, b"more"], []):
        ((kind, *_),) = named(verify([*changed, *lines]))
        assert kind == "changed"


def test_a_file_without_any_chain_is_no_alarm() -> None:
    """Nothing can be said about it, and that is said."""
    verdict = verify({"old": [b'{"fact":"refused"}'] * 3})
    assert (verdict.ok, verdict.unchained, verdict.records) == (True, 3, 0)


def test_an_audit_that_was_replaced_by_old_lines_is_found() -> None:
    """Who strips the chain off is found by what the server remembers."""
    assert named(verify([b'{"fact":"refused"}'] * 3, [Head(3, "a" * 64)])) == [("missing", None, 1, 3)]


def test_an_unfinished_line_is_a_note_where_a_record_says_so() -> None:
    """What a crash left is named by the record after it; the same line without such a record was put there."""
    chain = Chain(Head(), SEAL)
    lines = chained([record(0)], chain)
    linked = chain.link(b'{"fact":"refused","at":"2026-01-01T00:00:01.000+00:00"}', BEGIN, torn=b'{"fact":"ref')
    chain.accept(linked)
    lines += [b'{"fact":"ref', linked.content.rstrip(b"\n"), *chained([record(2)], chain)]
    verdict = verify(lines)
    assert (verdict.ok, verdict.notes[0]) == (
        True,
        "1 lines were left unfinished by a crash; the record after each of them says so",
    )
    lines[1] = b'{"fact":"re'
    assert named(verify(lines)) == [("inserted", 2, None, None)]


def test_a_clock_that_was_set_back_is_a_note() -> None:
    """The order of the records is that of their numbers, not of their times."""
    verdict = verify(chained([record(7200), record(0), record(1), record(7300)]))
    assert verdict.ok
    assert verdict.notes[0].startswith(
        "1 records are earlier than the one before them, the first by 7200 s in audit:2:"
    )


# ---- signatures ----------------------------------------------------------------------------------------------


def facts(lines: list[bytes]) -> list[str]:
    """The names of the records."""
    return [line.fact for line in map(read, lines) if line is not None]


def test_a_checkpoint_comes_in_time() -> None:
    """After a hundred records, or when the oldest unsigned one is five minutes old, also when the clock goes back."""
    assert facts(audit(CHECKPOINT_RECORDS)[-2:]) == ["refused", "checkpoint"]
    for second in (300, -300):
        lines = chained([record(0), record(second), record(second)])
        assert facts(lines) == ["refused", "refused", "checkpoint", "refused"]


def test_records_without_a_checkpoint_are_found() -> None:
    """Who makes the chain again cannot sign it; leaving the checkpoints out is seen as well."""
    lines = chained((record(number % 200) for number in range(250)), Chain(Head()))
    kinds = {kind for kind, *_ in named(verify(lines))}
    assert kinds == {"unsigned"}
    assert verify(lines, trusted=()).ok


def test_somebody_elses_signature_does_not_count() -> None:
    """It fits, and is of an untrusted key."""
    chain = Chain(Head(), Seal("somebody"))
    lines = chained((record(number) for number in range(CHECKPOINT_RECORDS)), chain)
    assert [kind for kind, *_ in named(verify(lines))] == ["unsigned", "unknown_key"]
    verdict = verify(lines, trusted=())
    assert (verdict.ok, verdict.notes) == (
        True,
        ("no key was given: any signature that matches counts, of any key",),
    )


# ---- removal by age ------------------------------------------------------------------------------------------


def with_removed(lines: list[bytes], begin: int, end: int, seal: Seal = SEAL) -> list[bytes]:
    """The audit with some records removed as they should be."""
    first, last = read(lines[begin]), read(lines[end - 1])
    assert first is not None and last is not None
    return [*lines[:begin], removed(first, last, {"by": "root"}, BEGIN, seal), *lines[end:]]


@given(lines_of, st.data())
def test_a_signed_removal_is_right(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever stretch of records is removed, the chain goes through the line that stands for it."""
    begin = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(begin + 1, len(lines)))
    verdict = verify(with_removed(lines, begin, end), [head_of(lines)])
    assert (verdict.findings, verdict.removed) == ((), end - begin)


@given(lines_of, st.data())
def test_a_removal_that_nobody_signed_is_found(lines: list[bytes], data: st.DataObject) -> None:
    """Only the key can remove."""
    begin = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(begin + 1, len(lines)))
    forged = with_removed(lines, begin, end, Seal("somebody"))
    assert "unknown_key" in {kind for kind, *_ in named(verify(forged, [head_of(lines)]))}
    forged[begin] = forged[begin].replace(b'"by":"root"', b'"by":"boot"')
    assert "forged" in {kind for kind, *_ in named(verify(forged, [head_of(lines)]))}


# ---- other writers -------------------------------------------------------------------------------------------


def test_two_servers_in_one_file_are_found() -> None:
    """Both continue after the same record; the other one's records are named."""
    common = audit(5)
    one, other = Chain(head_of(common)), Chain(head_of(common))
    mixed = list(common)
    for number in range(3):
        mixed += chained([record(number, detail="one")], one)
        mixed += chained([record(number, detail="other")], other)
    findings = verify(mixed).findings
    assert {finding.kind.value for finding in findings} == {"inserted"}
    assert len(findings) == 3


def test_a_second_chain_is_found() -> None:
    """A server that lost its state begins with 1 again."""
    ((kind, line, first, last),) = named(verify([*audit(5), *chained([record(9), record(10)], Chain(Head()))]))
    assert (kind, line, first, last) == ("inserted", 6, 1, 2)


def test_records_behind_a_closed_end_are_found() -> None:
    """The server had stopped, and the chain was continued; while it runs, records come after what was known."""
    lines = audit(5)
    head = head_of(lines)
    lines += chained([record(9)], Chain(head))
    assert verify(lines, [head]).ok
    assert named(verify(lines, [head], closed=True)) == [("inserted", 6, 6, 6)]


def test_too_many_breaks_end_it() -> None:
    """Nobody reads a million findings."""
    kinds = [kind for kind, *_ in named(verify([*audit(2), *[b"x"] * (MAX_BREAKS + 5), *audit(2)]))]
    assert kinds[-1] == "given_up"


PLAIN = b'{"fact":"refused","at":"2026-01-01T00:00:00.000+00:00","seq":1,"prev":"' + b"0" * 64 + b'"}'


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        PLAIN[:-1],
        PLAIN + b" ",
        PLAIN.replace(b"T00:00:00.000+00:00", b""),
        PLAIN.replace(b"+00:00", b"+01:00"),
        PLAIN.replace(b":1,", b":0,"),
        PLAIN.replace(b":1,", b":01,"),
        PLAIN.replace(b"refused", b"removed"),
        PLAIN.replace(b"refused", b"removed").replace(b',"seq"', b',"first":' + b"[" * 100_000 + b',"seq"'),
        PLAIN.replace(b"refused", b"removed").replace(b',"seq"', b',"first":' + b"9" * 5_000 + b',"seq"'),
    ],
    ids=range(13),
)
def test_what_is_no_record(line: bytes) -> None:
    """Whatever the server would not write is not part of a chain."""
    assert read(PLAIN) is not None
    assert read(line) is None


@pytest.mark.parametrize("at", [b"2026-01-01", b"2026-99-99T99:99:99.999+00:00", b"0000-00-00T00:00:00.000+00:00"])
def test_a_time_that_is_none_is_a_change_like_any_other(at: bytes) -> None:
    """What stands in a line breaks nothing but the chain."""
    lines = audit(3)
    head = head_of(lines)
    lines[1] = lines[1].replace(b"2026-01-01T00:00:01.000+00:00", at)
    assert named(verify(lines, [head])) == [("changed", 2, 2, 2)]
