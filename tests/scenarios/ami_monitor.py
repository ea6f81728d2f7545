"""An AMI client of this project beside a scenario, and everything it told."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.pbx import MANAGER_TLS_PORT, Lab
from contrib.lab.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 40.0
STOP_SECONDS = 30
WANTED = ("Newchannel", "Hangup", "ChanSpyStart", "ChanSpyStop")


class Monitor:
    """A client in a process of its own, and everything it told."""

    def __init__(
        self,
        lab: Lab,
        username: str = "monitor",
        secret: str | None = None,
        port: int | None = None,
        *,
        tls: Mapping[str, str] | None = None,
        wanted: Iterable[str] = WANTED,
        needs: Iterable[str] = (),
        **limits: float,
    ) -> None:
        if port is None:
            port = MANAGER_PORT if tls is None else MANAGER_TLS_PORT
        self._order = {
            "host": lab.pbx.address if port in (MANAGER_PORT, MANAGER_TLS_PORT) else "127.0.0.1",
            "port": port,
            "tls": tls,
            "username": username,
            "secret": lab.manager_secrets[username] if secret is None else secret,
            "wanted": list(wanted),
            "needs": list(needs),
            "limits": {"max_retry_seconds": 2, **limits},
        }
        self._told: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str]
        self._reader: threading.Thread
        self.errors = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.ami_client"],
            cwd=REPOSITORY,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send(self._order)
        return self

    def stop(self) -> None:
        """Let the client log out and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(STOP_SECONDS)

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stdout is not None
            assert self._process.stderr is not None
            self.errors = self._process.stderr.read()
            self._process.stdout.close()
            self._process.stderr.close()
        assert self._process.returncode == 0, self.errors
        assert "Traceback" not in self.errors, self.errors
        assert str(self._order["secret"]) not in self.errors

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.append(json.loads(line))

    def _send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def mark(self) -> int:
        """The number of lines told so far."""
        return len(self._told)

    def told(self, since: int = 0, **keys: Any) -> list[dict[str, Any]]:
        """The lines with these keys."""
        return [line for line in self._told[since:] if all(line.get(key) == value for key, value in keys.items())]

    def wait_for(self, since: int = 0, **keys: Any) -> dict[str, Any]:
        """The first line with these keys, as soon as it is there."""
        return wait_until(
            lambda: self.told(since, **keys), SECONDS, f"the client to tell {keys}", describe=lambda: str(self._told)
        )[0]

    def asks(self, action: str, *headers: Sequence[str], as_list: bool = False) -> dict[str, Any]:
        """Perform an action; its answer or its error."""
        mark = self.mark()
        self._send({"action": action, "headers": headers, "as_list": as_list})
        return wait_until(lambda: self.told(mark, action=action), SECONDS, f"an answer to {action}")[0]
