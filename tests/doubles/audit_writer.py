"""A process that writes an audit and says what is on disk, so that it may be killed.

It is told folders on standard input, some with a node and the address of a database. For each it forks a writer,
tells its process id, and when the writer is gone the word ``over``. The writer tells the call of every spy whose
record is on disk, and in the database as well when there is one.
"""

from __future__ import annotations

import gc
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import structlog

from agi_monitor.audit.facts import Refused, SpyStarted
from agi_monitor.model import Mode, Reason
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.key_file import audit_key
from agi_monitor.storage.audit.sinks import AuditSink, AuditSinks
from agi_monitor.storage.audit.table import AuditTable
from agi_monitor.storage.database import Database
from tests.doubles.coroutines import at_once, finish

CALL = {"endpoint": "PJSIP/2001", "spyer": "PJSIP/2001-1", "spyer_uniqueid": "1.1", "supervisor": "anna"}


def spy(call: str) -> SpyStarted:
    """A fact that gates."""
    what = {"extension": "1001", "spyee": "PJSIP/1001-1", "spyee_uniqueid": "1.2", "rule": "r"}
    why = {"source": "agi", "stale": "", "because": "hint, only call"}
    return SpyStarted(at=datetime.now(UTC), call=call, grant=1, mode=Mode.LISTEN, told=False, **CALL, **what, **why)


def refusal(call: str) -> Refused:
    """A fact that does not."""
    return Refused(at=datetime.now(UTC), call=call, reason=Reason.NO_CALL, mode=None, extension=None, **CALL)


def sinks(where: str) -> list[AuditSink]:
    """The places that a writer writes to."""
    name, *more = where.split()
    folder = Path(name)
    signer = audit_key(folder)
    if not more:
        return [AuditFile(folder / "audit.jsonl", state=folder, signer=signer)]
    node, url = more
    table = AuditTable(Database(url), node, state=folder, signer=signer)
    return [table, AuditFile(folder / "log" / "audit.jsonl", state=folder, signer=signer)]


def write_for_ever(where: str) -> None:
    """Write, and say what is written."""
    audit = AuditSinks(sinks(where), at_once)
    audit.take()
    number = 0
    while True:
        number += 1
        call = f"{os.getpid()}.{number}"
        if number % 3:
            finish(audit.append(refusal(call)))
        else:
            finish(audit.append(spy(call)))
            os.write(1, f"{call}\n".encode())


def drop(*_: object) -> NoReturn:
    """Log nothing."""
    raise structlog.DropEvent


def main() -> None:
    """Fork writers."""
    # Standard output is for what is told.
    structlog.configure(processors=[drop])
    # Nothing speaks to it: each writer would import the drivers for itself.
    for url in ("postgresql:///nothing", "sqlite:////nothing"):
        Database(url)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            # What was imported is nothing for the collector of this process; looking at it would copy its pages.
            gc.freeze()
            write_for_ever(line.rstrip("\n"))
        os.write(1, f"{child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"over\n")


if __name__ == "__main__":
    main()
