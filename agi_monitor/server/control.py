"""The control socket, open as long as the server runs."""

from __future__ import annotations

from agi_monitor.config.sections import Config
from agi_monitor.control import protocol
from agi_monitor.control.socket_file import socket_path
from agi_monitor.server.parts import Part
from agi_monitor.shown import Overview


class OpenControl(Part):
    """What the command line speaks to.

    Parameters:
        config: as it was read at the start.
        overview: what is asked.
        reactor: Twisted's.
    """

    def __init__(self, config: Config, overview: Overview, reactor: protocol.Reactor) -> None:
        self._path = socket_path(config.control.socket, config.state.directory)
        self._overview = overview
        self._reactor = reactor
        self._socket: protocol.ControlSocket | None = None

    async def start(self) -> None:
        """Open it.

        Raises:
            ControlFailed: it cannot be made there, with what to do about it.
        """
        self._socket = protocol.listen(self._reactor, self._path, self._overview)

    async def stop(self) -> None:
        """Tell those who are there that the server stops, and remove it."""
        if self._socket is not None:
            await self._socket.stop()
