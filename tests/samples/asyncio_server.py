"""What a user of asyncio writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agi_monitor import AgiServer, Session


@asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Open what the calls need."""
    yield


async def greet(session: Session, name: str) -> None:
    """Greet."""
    async with asyncio.timeout(2):
        await session.stream_file(name)


async def main() -> None:
    """Serve."""
    async with AgiServer(greet, "127.0.0.1", 4573, lifespan=lifespan, peers=["10.0.0.7"]) as server:
        port: int = server.port
        print(port)  # noqa: T201
        await server.serve_forever()
