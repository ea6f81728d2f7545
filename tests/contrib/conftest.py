"""A server process as a site runs it, for what stands around it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contrib.lab.progress import Progress
from tests.unit.test_service import CONFIG, Call, Server

say = Progress()


@pytest.fixture
def port() -> int:
    """A port that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def text(tmp_path: Path, port: int) -> str:
    """A configuration whose folders are there."""
    (tmp_path / "log").mkdir()
    (tmp_path / "state").mkdir()
    return CONFIG.replace("PORT", str(port)).replace("FOLDER", str(tmp_path))


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path, text: str, port: int) -> Iterator[Start]:
    """Start servers; all are gone afterwards."""
    servers: list[Server] = []

    def begin(text: str = text, **how: object) -> Server:
        servers.append(Server(tmp_path, text, port, **how))  # type: ignore[arg-type]  # as it is given
        return servers[-1]

    yield begin
    for server in servers:
        server.close()


Dial = Callable[..., Call]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Make calls; all are over afterwards."""
    calls: list[Call] = []

    def begin(server: Server, **dialled: str) -> Call:
        calls.append(Call(server, **dialled))
        return calls[-1]

    yield begin
    for call in calls:
        call.close()
