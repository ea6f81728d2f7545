"""A server process as a site runs it, for what stands around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from contrib.lab.progress import Progress
from tests.server_process import Call, Server, configuration, free_port

say = Progress()


Start = Callable[..., Server]
Dial = Callable[..., Call]


@pytest.fixture
def port() -> int:
    """A port that nobody uses at this moment."""
    return free_port()


@pytest.fixture
def text(tmp_path: Path, port: int) -> str:
    """A configuration whose folders are there."""
    return configuration(tmp_path, port)


@pytest.fixture
def start(tmp_path: Path, text: str, port: int) -> Iterator[Start]:
    """Start servers; all are gone afterwards."""
    with ExitStack() as stack:
        yield lambda text=text, **how: stack.enter_context(closing(Server(tmp_path, text, port, **how)))


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Make calls; all are over afterwards."""
    with ExitStack() as stack:
        yield lambda server, **dialled: stack.enter_context(closing(Call(server, **dialled)))
