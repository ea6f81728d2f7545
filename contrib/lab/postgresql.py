"""A PostgreSQL of one's own: a cluster in a folder, on a Unix socket, gone at the end.

    python -m contrib.lab.postgresql        installs Debian's package when it is missing and this is root

Nothing is changed outside of the folder, and it does not listen on the network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from contrib.lab.engine import install_packages, tail
from contrib.lab.errors import EngineError, LabError
from contrib.lab.images import CACHE
from contrib.lab.memory import folder_in_memory
from contrib.lab.progress import Progress, Say
from contrib.lab.waiting import wait_until

PROGRAMS = Path("/usr/lib/postgresql")
ACCOUNT = "postgres"
"""PostgreSQL refuses to run as root; Debian's package makes this user."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0
FILE_COPY_VERSION = 150_000
"""From this version on, a database can be copied file by file."""


def programs() -> Path | None:
    """Return the folder with `initdb` and `postgres`, of the newest version that is installed."""
    found = [path.parent for path in PROGRAMS.glob("*/bin/initdb") if (path.parent / "postgres").exists()]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def ensure_postgresql(say: Say) -> None:
    """Install Debian's package when it is missing.

    :raises EngineError: not root, or apt failed
    """
    if programs() is None:
        install_packages(["postgresql"], CACHE, say)


class PostgreSQL:
    """One cluster, as a context manager; each `database` in it is new and empty."""

    def __init__(self) -> None:
        self._count = 0
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        found = programs()
        if found is None:
            raise EngineError("PostgreSQL is missing; install it with: apt-get install postgresql")
        self._programs = found
        # A socket's path may have 107 characters: a folder of the tests would be too long.
        memory = folder_in_memory(like_a_disk=False)
        self.folder = Path(tempfile.mkdtemp(prefix="agi-monitor-postgresql-", dir=memory))
        if os.geteuid() == 0:
            shutil.chown(self.folder, ACCOUNT, ACCOUNT)
        self._log = self.folder / "log"
        data = self.folder / "data"
        self._run("initdb", "--pgdata", str(data), "--username", ACCOUNT, "--auth", "trust", "--no-sync")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder)]
        command += ["-c", "listen_addresses=", "-c", "max_connections=60", "-c", "shared_buffers=16MB"]
        # No test takes the power away; what a process has written is there when it has been killed.
        command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        with self._log.open("ab") as log:
            server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=_account(),
                group=_account(),
            )
        self._server = server
        wait_until(
            lambda: server.poll() is not None or self._answers(),
            START_SECONDS,
            "PostgreSQL to answer",
            describe=lambda: tail(self._log),
        )
        if server.poll() is not None:
            raise EngineError(f"PostgreSQL did not start:\n{tail(self._log)}")

    def stop(self) -> None:
        """Stop the server, as a power cut would."""
        if self._server is not None:
            # At once, without waiting for anybody.
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(STOP_SECONDS)
            self._server = None

    def database(self, like: str | None = None) -> str:
        """Make a new database, and return its address.

        :param like: the address of one that it is a copy of, which nobody uses; without it, the new one is empty
        """
        # Here, as only tests need the driver.
        import psycopg

        self._count += 1
        name = f"store_{os.getpid()}_{self._count}"
        template = "template1" if like is None else urlsplit(like).path.removeprefix("/")
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            # By default every page of a new database is written a second time, to the log.
            how = "strategy file_copy" if connection.info.server_version >= FILE_COPY_VERSION else ""
            connection.execute(f"create database {name} template {template} {how}".encode())
        return self._address(name)

    def _address(self, name: str) -> str:
        return f"postgresql://{ACCOUNT}@/{name}?host={self.folder}"

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "--host", str(self.folder), "--quiet"]
        return subprocess.run(command, check=False).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            user=_account(),
            group=_account(),
        )
        if done.returncode:
            raise EngineError(f"{program} ended with {done.returncode}: {done.stderr.strip()}")


def _account() -> str | None:
    """Under whose account the programs run: root's they refuse."""
    return ACCOUNT if os.geteuid() == 0 else None


def main() -> int:
    """Install what is missing."""
    try:
        ensure_postgresql(Progress())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
