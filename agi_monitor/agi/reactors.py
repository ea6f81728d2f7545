"""Which event loop serves, and what is said to a program that asks for one in a way that cannot work."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from twisted.internet.error import ReactorAlreadyInstalledError

from agi_monitor.agi.story import ForeignAwaitable
from agi_monitor.embedding.event_loop import LoopClock, running_loop

HINT = (
    "This handler runs on Twisted, where asyncio's things have no event loop. Say so where it is served: "
    "serve(..., use_asyncio=True), run_agi(..., use_asyncio=True), twistd --reactor asyncio agi --asyncio; "
    "or serve it with AgiServer inside a loop of your own. In a test: await fake.run_asyncio(handler)."
)

FOREIGN = frozenset({"AsyncLibraryNotFoundError", "NoEventLoopError"})
"""What sniffio and anyio raise where asyncio says that no loop runs."""


def hint_for(error: BaseException) -> str | None:
    """What to say to a handler that failed because it awaited asyncio's things on Twisted.

    Parameters:
        error: that it raised.
    """
    about_loops = isinstance(error, RuntimeError) and "event loop" in str(error)
    if about_loops or isinstance(error, ForeignAwaitable) or type(error).__name__ in FOREIGN:
        return HINT
    return None


def _reactor_runs_on(loop: asyncio.AbstractEventLoop) -> bool:
    # What is installed under this name is the reactor itself.
    return getattr(sys.modules.get("twisted.internet.reactor"), "_asyncioEventloop", None) is loop


def twisted_reactor() -> Any:
    """Twisted's reactor. It is imported only when it is asked for: importing it chooses it.

    Raises:
        RuntimeError: an event loop runs here already that is not the reactor's: the reactor would never run.
    """
    loop = running_loop()
    if loop is not None and not _reactor_runs_on(loop):
        raise RuntimeError(
            "an asyncio event loop runs here, and Twisted's reactor does not: use `async with AgiServer(handler)` "
            "for calls, and ManagerClient for the manager interface"
        )
    from twisted.internet import reactor

    return reactor


def asyncio_reactor() -> Any:
    """Twisted's reactor on asyncio, installed when none is.

    Raises:
        RuntimeError: an event loop runs here already, or another reactor is installed.
    """
    if running_loop() is not None:
        raise RuntimeError(
            "an asyncio event loop runs here already: use `async with AgiServer(handler)` in it. serve() and "
            "run_agi() begin a loop of their own, and return when the process is told to stop"
        )
    installed = sys.modules.get("twisted.internet.reactor")
    if hasattr(installed, "_asyncioEventloop"):
        return installed
    from twisted.internet import asyncioreactor

    try:
        asyncioreactor.install()  # type: ignore[no-untyped-call]  # Twisted's own
    except ReactorAlreadyInstalledError:
        raise RuntimeError(
            f"Twisted has chosen {type(installed).__name__} already, because something imported "
            "twisted.internet.reactor: call serve(..., use_asyncio=True) before that, or install "
            "twisted.internet.asyncioreactor first"
        ) from None
    from twisted.internet import reactor

    return reactor


def threads_end_here() -> Any:
    """What takes calls from threads: the loop that runs here, or Twisted's reactor."""
    loop = running_loop()
    return twisted_reactor() if loop is None else LoopClock(loop)
