"""``twistd agi``: the FastAGI server of a handler that is named on the command line.

::

    twistd --nodaemon agi --handler my_calls:router --listen tcp:4573:interface=10.0.0.5 --peer 10.0.0.7
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.application.service import IService
from twisted.python.reflect import namedAny
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError

from agi_monitor.agi.listening import LISTEN, STOP_SECONDS, AgiService
from agi_monitor.agi.protocol import LOOPBACK


class Options(TwistedOptions):
    """The options of ``twistd agi``."""

    synopsis = "--handler module:name [options]"
    optParameters = [  # noqa: N815, RUF012 (Twisted's own)
        ["handler", None, None, "What serves the calls, as module:name; the module is looked for here first."],
        ["listen", None, LISTEN, "Where, as an endpoint description of Twisted."],
        ["secret-file", None, None, "A file with the text that the first AGI argument must be."],
        ["stop-seconds", None, STOP_SECONDS, "How long calls may go on after the stop.", float],
    ]
    optFlags = [  # noqa: N815, RUF012 (Twisted's own)
        ["asyncio", None, "The handler awaits asyncio's things; needs twistd --reactor asyncio."],
        ["transcript", None, "Log every command and reply at debug level."],
    ]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's own
        self["peers"] = []

    def opt_peer(self, network: str) -> None:
        """An address or a network that may connect; may be given several times. The loopback when it is not."""
        self["peers"].append(network)

    def postOptions(self) -> None:  # noqa: N802 (Twisted's name)
        if not self["handler"]:
            raise UsageError("--handler module:name is missing")
        module, colon, name = self["handler"].partition(":")
        if not (module and colon and name):
            raise UsageError(f"--handler is module:name, not {self['handler']!r}")


def makeService(options: Options) -> IService:  # noqa: N802 (Twisted's name)
    """The service that ``twistd agi`` runs.

    Raises:
        UsageError: there is no such handler.
    """
    module, _, name = options["handler"].partition(":")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        handler = namedAny(f"{module}.{name}")  # type: ignore[no-untyped-call]  # Twisted's own
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--handler {options['handler']}: {error}") from error
    secret_file = options["secret-file"]
    return AgiService(
        handler,
        options["listen"],
        peers=options["peers"] or LOOPBACK,
        secret=None if secret_file is None else Path(secret_file).read_text(encoding="utf-8").strip(),
        transcript=bool(options["transcript"]),
        use_asyncio=bool(options["asyncio"]),
        stop_seconds=options["stop-seconds"],
    )
