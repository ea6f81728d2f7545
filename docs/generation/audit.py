"""The page of the audit: its places, its chain, its facts."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator

from agi_monitor.audit import chain
from agi_monitor.audit import facts as audit
from agi_monitor.storage.schema import audit_chain as audit_chain_table
from agi_monitor.storage.schema import audit_record
from docs.generation.columns import COLUMNS
from docs.generation.docstrings import member_docs, parameters_of, summary_of
from docs.generation.markdown import NOTE


def facts() -> list[type[audit.Fact]]:
    """Every fact that has a name, in the order of the file."""
    named = [kind for kind in vars(audit).values() if inspect.isclass(kind) and issubclass(kind, audit.Fact)]
    return [kind for kind in named if "name" in vars(kind)]


def audit_page() -> Iterator[str]:
    yield "# The audit"
    yield NOTE
    yield (
        "A record is one JSON object in one line, appended and never changed, put on disk before the server "
        "continues. No fact has room for a digit of a PIN. What the lists below call None is `null` in a record; "
        "times are ISO 8601 in UTC."
    )
    yield (
        "`spy_started` is a gate: the supervisor hears nothing before it is on disk, in every place. All other facts "
        "have already happened: they wait in memory, in order, while they cannot be written."
    )
    yield from audit_places()
    yield from audit_chain_part()
    for kind in facts():
        yield f"## `{kind.name}`"
        yield summary_of(kind)
        docs = parameters_of(kind)
        yield "\n".join(
            [
                f"- `fact`: `{kind.name}`.",
                *(f"- `{field.name}`: {docs[field.name]}" for field in dataclasses.fields(kind)),
            ]
        )
    yield "## Why a spy ended"
    yield "`why` of `spy_ended`:"
    yield "\n".join(
        f"- `{value}`: {text or 'As it says.'}" for value, text in member_docs(audit.End).items()
    ).replace("``", "`")


def audit_places() -> Iterator[str]:
    yield "## The places"
    yield (
        "`audit.file` is a file of such lines. It is opened for each of them, so it can be rotated by renaming it. "
        "New files are readable by their owner and group (0640). With `audit.store` the records are also in "
        "[the database](../howto/postgresql.md), or only there if `audit.file` is left empty. Both get the "
        "same records in the same order. Each has a chain of its own, so `seq`, `prev` and the checkpoints differ."
    )
    for table, text in (
        (
            audit_record,
            "The records. A trigger refuses changes; a user who may change tables can remove the trigger.",
        ),
        (audit_chain_table, "Where each chain ends, written in the same transaction as the records."),
    ):
        yield f"### Table `{table.name}`"
        yield text
        yield "\n".join(
            f"- `{column.name}`: {COLUMNS.get((table.name, column.name)) or column.comment}."
            for column in table.columns
        )
    yield "### When one place fails"
    yield (
        "A grant is put into the database first, then into the file. If the database refuses it, the file does not "
        "get it: there is no record, and nobody hears anything. If the database has it and the file refuses it, "
        "nobody hears anything either: both get the `spy_started` and a `spy_ended` with `never_began` and 0 "
        "seconds, the database at once and the file when it can be written. The same happens when the database "
        "was told to store a grant and its answer was lost. In every case a `refused` with "
        "`audit_unavailable` follows."
    )
    yield (
        "Other facts are put into the place that works at once, and into the other one later. A server that is "
        "killed may leave the record that it was just writing in one place only; nothing had begun yet. Facts "
        "that were waiting in memory never reach the place they waited for. Facts that still wait when the "
        "server is stopped are in its log, as `audit_record_unwritten`."
    )


def audit_chain_part() -> Iterator[str]:
    yield "## The chain"
    yield (
        "After the fields of its fact, every record has its place in one chain, through all files that rotation "
        "makes, or through all records of one server in the database. "
        "[Verify the audit](../howto/verify-the-audit.md) shows how to check it, with or without this program."
    )
    yield "\n".join(
        [
            "- `seq`: the number of the record, from 1.",
            "- `prev`: SHA-256 of the line before, without its line ending. Where the chain begins in a file that "
            "already has lines: of all of them, each with its line ending. 64 zeros where there is no line before.",
            "- `torn`: only after a line that a crash left unfinished: SHA-256 of that line, which counts for "
            "nothing else.",
        ]
    )
    yield f"### `{chain.CHECKPOINT}`"
    yield (
        f"A signed record, which covers all records before it. It comes after {chain.CHECKPOINT_RECORDS} records, "
        f"when the oldest record not yet covered is {chain.CHECKPOINT_SECONDS:.0f} s old, when the server stops, "
        "and, in a file, with the first record after an earlier run."
    )
    signature = [
        "- `key`: the public key, Ed25519, in hexadecimal digits.",
        '- `signature`: over the line up to `,"signature"`, in hexadecimal digits.',
    ]
    yield "\n".join(signature)
    yield f"### `{chain.REMOVED}`"
    yield (
        "Takes the place of the records that [`agi-monitor audit retain`](cli.md#agi-monitor-audit-retain) removed: "
        "those with the numbers from `first` to `seq`. It is part of the chain."
    )
    yield "\n".join(
        [
            "- `at`: when they were removed.",
            "- `by`: the system user who removed them.",
            "- `why`: the reason, in a few words.",
            "- `count`: how many records were removed.",
            "- `since`, `until`: when the first and the last of them happened.",
            "- `first`, `seq`: the numbers of the first and the last of them.",
            "- `prev`: the `prev` of the first of them.",
            "- `hash`: SHA-256 of the last of them, which the next record has as `prev`.",
            *signature,
        ]
    )
