"""Which story serves which script name."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.session import Session

Story = Callable[[Session], Coroutine[Deferred[Any], Any, None]]
"""An ``async def`` that serves one session. Only Deferreds may be awaited in it."""

MAX_LOGGED_SCRIPT = 64
"""Characters of an unknown script that are logged: it comes from the dialplan, or from whoever reached the port."""

END_OF_NAME = re.compile(r"[/?]")


def script_name(network_script: str) -> str:
    """The name in a script: ``spy`` of ``spy``, ``spy/1001`` and ``spy?mode=listen``.

    Asterisk passes on whatever stands behind the host (handle_agi_connection, res_agi.c). The name ends at the first
    ``/`` or ``?``; a story reads the rest from ``session.request.network_script``, undecoded.
    """
    return END_OF_NAME.split(network_script, maxsplit=1)[0]


class Router:
    """Serves each session with the story of its script. Give it to ``FastAGIFactory`` as ``serve``.

    A script that nobody knows is refused: Asterisk sets AGISTATUS to FAILURE.

    Parameters:
        log: where unknown scripts are reported.
    """

    def __init__(self, log: FilteringBoundLogger | None = None) -> None:
        self._log: FilteringBoundLogger = log or structlog.get_logger()
        self._stories: dict[str, Story] = {}

    def add(self, name: str, story: Story) -> None:
        """Serve scripts of this name with this story. The empty name is for a URL without a script.

        Raises:
            ValueError: the name holds ``/`` or ``?``, or is taken.
        """
        if script_name(name) != name:
            raise ValueError(f"a script's name ends at / and ?: {name!r}")
        if name in self._stories:
            raise ValueError(f"there is a story for {name!r} already")
        self._stories[name] = story

    def route(self, name: str) -> Callable[[Story], Story]:
        """``add`` as a decorator."""

        def decorate(story: Story) -> Story:
            self.add(name, story)
            return story

        return decorate

    async def __call__(self, session: Session) -> None:
        """Serve one session."""
        story = self._stories.get(script_name(session.request.network_script))
        if story is None:
            script = session.request.network_script[:MAX_LOGGED_SCRIPT]
            self._log.warning(LogEvent.ROUTE_UNKNOWN, session=session.id, script=script)
            session.refuse()
            return
        await story(session)
