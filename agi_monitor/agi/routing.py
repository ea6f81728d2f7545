"""Which handler serves which script."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from agi_monitor.agi.arguments import Parameters, ScriptPath, Unfit, query_of
from agi_monitor.agi.log_events import LogEvent
from agi_monitor.agi.session import Session
from agi_monitor.embedding.library_log import library_log

Story = Callable[[Session], Coroutine[Deferred[Any], Any, None]]
"""An ``async def`` that serves one session. Only Deferreds may be awaited in it."""

Handler = Callable[..., Any]
"""An ``async def`` that takes a session and typed arguments, an object with such a ``__call__``, or a class: it is
made with the session and the arguments, and then its ``async def run(self)`` serves the call."""

H = TypeVar("H", bound=Handler)

MAX_LOGGED_SCRIPT = 64
"""Characters of an unknown script that are logged: it comes from the dialplan, or from any peer that reached the
port.
"""


def name_of(handler: object) -> str:
    """What a handler is called in its own code, for the log."""
    kind: Any = handler if hasattr(handler, "__qualname__") else type(handler)
    return f"{kind.__module__}.{kind.__qualname__}"


END_OF_NAME = re.compile(r"[/?]")


def script_name(network_script: str) -> str:
    """The name in a script: ``spy`` of ``spy``, ``spy/1001`` and ``spy?mode=listen``.

    Asterisk passes on whatever stands behind the host (handle_agi_connection, res_agi.c). The name ends at the first
    ``/`` or ``?``; a story reads the rest from ``session.request.network_script``, undecoded.
    """
    return END_OF_NAME.split(network_script, maxsplit=1)[0]


class TypedStory:
    """A handler with typed arguments, as a story. A call whose arguments do not fit is refused.

    Parameters:
        handler: see ``Handler``.
        log: where calls that do not fit are reported.

    Raises:
        TypeError: it is not a handler, or a parameter has a type that no text can become.
    """

    def __init__(self, handler: Handler, log: FilteringBoundLogger | None = None) -> None:
        name = getattr(handler, "__qualname__", type(handler).__qualname__)
        if inspect.isclass(handler):
            if not inspect.iscoroutinefunction(getattr(handler, "run", None)):
                raise TypeError(f"{name}: a class that serves calls has an `async def run(self)`")
        elif not inspect.iscoroutinefunction(handler) and not inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004 (not whether it can be called, but how)
        ):
            raise TypeError(f"{name}: a handler is an `async def`; a blocking function goes through `blocking`")
        self._handler = handler
        self.name = name_of(handler)
        self._log: FilteringBoundLogger = log or library_log()
        self.parameters = Parameters.of(handler)

    async def __call__(self, session: Session) -> None:
        """Serve one session with the query and the AGI arguments alone."""
        named = query_of(session.request.network_script)
        await self.serve(session, named)

    async def serve(self, session: Session, named: dict[str, str] | Unfit) -> None:
        """Serve one session.

        Parameters:
            session: the session.
            named: what the path and the query say.
        """
        bound = named if isinstance(named, Unfit) else self.parameters.bind(named, session.request.arguments)
        if isinstance(bound, Unfit):
            script = session.request.network_script[:MAX_LOGGED_SCRIPT]
            self._log.warning(
                LogEvent.ARGUMENTS_REFUSED,
                session=session.id,
                script=script,
                parameter=bound.parameter,
                why=bound.why,
            )
            session.refuse()
            return
        session.handler = self.name
        values, rest = bound
        made = self._handler(session, *_positional(self.parameters, values, rest), **values)
        if inspect.isclass(self._handler):
            made = made.run()
        await made


def _positional(parameters: Parameters, values: dict[str, Any], rest: tuple[object, ...]) -> tuple[object, ...]:
    """With arguments left over, those before them must be positional too; they are taken out of ``values``."""
    if not rest:
        return ()
    return (*(values.pop(one.name) for one in parameters.known if one.positional), *rest)


def as_story(handler: Handler, log: FilteringBoundLogger | None = None) -> Story:
    """A handler as what ``FastAGIFactory`` runs: itself when the session is all that it takes.

    Raises:
        TypeError: as ``TypedStory``.
    """
    if isinstance(handler, Router):
        return handler
    typed = TypedStory(handler, log)
    takes_more = typed.parameters.known or typed.parameters.rest is not None
    return typed if inspect.isclass(handler) or takes_more else handler


@dataclass(frozen=True, slots=True)
class _Route:
    path: ScriptPath
    story: TypedStory


class Router:
    """Serves each session with the handler of its script. Give it to ``serve``, ``AgiService`` or ``FastAGIFactory``.

    An unknown script is refused, and so are arguments that do not fit: Asterisk sets AGISTATUS to FAILURE.

    A handler that takes only the session and has a plain name serves ``name``, ``name/...`` and ``name?...``, and
    reads the rest itself. Every other route matches the whole path.

    >>> router = Router()
    >>> @router.route("menu/{language}")
    ... async def menu(session, language: str, tries: int = 3):
    ...     await session.verbose(f"{language}, {tries} tries")
    >>> from agi_monitor.testing import FakeAsterisk
    >>> fake = FakeAsterisk(script="menu/de?tries=5")
    >>> fake.run(router)
    >>> fake.commands
    [['VERBOSE', 'de, 5 tries', '1']]

    Parameters:
        log: where unknown scripts and arguments that do not fit are reported.
    """

    def __init__(self, log: FilteringBoundLogger | None = None) -> None:
        self._log: FilteringBoundLogger = log or library_log()
        self._stories: dict[str, Story] = {}
        self._routes: list[_Route] = []

    def add(self, path: str, handler: Handler) -> None:
        """Serve scripts of this path with this handler. The empty path is for a URL without a script.

        Parameters:
            path: a name, or parts and ``{places}`` such as ``menu/{language}``; each place is a parameter of the
                handler.
            handler: see ``Handler``.

        Raises:
            ValueError: the path is invalid or taken, or names a place that the handler does not take.
            TypeError: it is not a handler, or has a parameter whose type no text can become.
        """
        if "?" in path:
            raise ValueError(f"a script's name ends at / and ?: {path!r}")
        parsed = ScriptPath.parse(path)
        typed = TypedStory(handler, self._log)
        if parsed.names - typed.parameters.names:
            missing = ", ".join(sorted(parsed.names - typed.parameters.names))
            raise ValueError(f"the handler of {path!r} takes no {missing}")
        if path in self._stories or any(route.path.shape == parsed.shape for route in self._routes):
            raise ValueError(f"there is a story for {path!r} already")
        if script_name(path) == path and not parsed.names and as_story(handler) is handler:
            self._stories[path] = handler
            return
        self._routes.append(_Route(parsed, typed))
        # A part that is written out comes before a place.
        self._routes.sort(key=lambda route: [part == "" for part in route.path.shape])

    def route(self, path: str) -> Callable[[H], H]:
        """``add`` as a decorator.

        Parameters:
            path: parts between slashes; one in braces is a parameter, as in ``menu/{language}``.
        """

        def decorate(handler: H) -> H:
            self.add(path, handler)
            return handler

        return decorate

    async def __call__(self, session: Session) -> None:
        """Serve one session."""
        script = session.request.network_script
        path = script.partition("?")[0]
        for route in self._routes:
            places = route.path.match(path)
            if places is not None:
                query = query_of(script)
                await route.story.serve(session, query if isinstance(query, Unfit) else _joined(places, query))
                return
        story = self._stories.get(script_name(script))
        if story is None:
            self._log.warning(LogEvent.ROUTE_UNKNOWN, session=session.id, script=script[:MAX_LOGGED_SCRIPT])
            session.refuse()
            return
        session.handler = name_of(story)
        await story(session)


def _joined(places: dict[str, str], query: dict[str, str]) -> dict[str, str] | Unfit:
    for name in places.keys() & query.keys():
        return Unfit(name[:40], "stands in the path and in the query")
    return {**places, **query}
