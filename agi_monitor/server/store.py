"""The state folder and the database in it, or elsewhere."""

from __future__ import annotations

from agi_monitor.config.sections import Config
from agi_monitor.server.parts import Part
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.state_folder import StateFolder


class OpenStore(Part):
    """Holds both from the moment it is made: no other server uses the same state.

    Parameters:
        config: as it was read at the start.

    Raises:
        StateUnavailable: the database cannot be used, or another server uses the same state.
    """

    def __init__(self, config: Config) -> None:
        self._state = StateFolder(config.state.directory)
        # Before anything is read: the server before us may still write it.
        self._state.take()
        self.database = Database(config.store.url or file_url(config.state.directory))
        self.database.upgrade()

    async def stop(self) -> None:
        """Close the database, and let another server have the folder."""
        self.database.close()
        self._state.release()
