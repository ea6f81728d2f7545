"""Where the people of a site are: in its configuration file, in its store, or in a plug-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agi_monitor.config.loading import load
from agi_monitor.config.sections import Config

if TYPE_CHECKING:
    from agi_monitor.storage.database import Database


@contextmanager
def store(config: Config) -> Iterator[Database]:
    """The store of a configuration, with its tables.

    Raises:
        StateUnavailable: it cannot be used.
    """
    # Only now, and below: people in the configuration file need neither a database nor plug-ins.
    from agi_monitor.storage.database import Database, file_url

    database = Database(config.store.url or file_url(config.state.directory))
    try:
        database.upgrade()
        yield database
    finally:
        database.close()


def load_with_people(path: Path) -> Config:
    """Read a configuration, and people from wherever they are.

    Raises:
        ConfigError: it has mistakes.
        StateUnavailable: people are in the store or in a plug-in, and it cannot be read.
    """
    config = load(path).config
    if config.store.plugin is not None:
        from agi_monitor.server.people_plugin import PluginPeople
        from agi_monitor.server.plugins import installed

        return config.with_people(PluginPeople(installed({config.store.plugin}), config.store.plugin).load())
    if not config.store.people:
        return config
    from agi_monitor.storage.people_table import PeopleTable

    with store(config) as database:
        return config.with_people(PeopleTable(database).load())
