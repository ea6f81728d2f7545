"""agi_monitor.server.pbx: what is measured of a PBX, and what there is without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from twisted.internet.testing import MemoryReactorClock

from agi_monitor.config.sections import Config, Stop
from agi_monitor.names import ChannelName
from agi_monitor.pbx import hangup_command
from agi_monitor.server.metrics import Readings
from agi_monitor.server.pbx import WatchedPbx, readings_of
from tests.doubles.coroutines import finish
from tests.shell.managed import GRANT, ROGUE, SPYEE, SPYER, Site


@pytest.fixture
def site() -> Site:
    """A PBX with one call, and a supervisor's and a stranger's phone."""
    with capture_logs():
        return Site()


def test_measures_the_pbx(site: Site) -> None:
    """Numbers by kind and mode; None where nothing is known."""
    site.open()
    with capture_logs():
        site.fake.start_spying(ROGUE, SPYEE)
        site.fake.leave(SPYEE)
        readings = readings_of(site.pbx, site.watch)
        assert (readings.node, readings.ami_up, readings.stale) == ("pbx", True, False)
        assert (readings.channels, readings.calls, readings.resyncs) == (4, 4, 2)
        assert readings.spies == {("granted", "listen"): 1, ("rogue", ""): 1}
        assert readings.index_events["taken"] == 1
        site.fake.listening = False
        site.fake.lose_connection()
    readings = readings_of(site.pbx, site.watch)
    assert (readings.ami_up, readings.stale, readings.channels, readings.calls) == (False, True, None, None)


def test_without_a_manager_interface_there_is_nothing_to_measure(site: Site) -> None:
    """And nothing to begin, to watch or to end."""
    part = WatchedPbx(Config(), lambda: site.policy, site.ledger, site.fake.clock, site.time)
    finish(part.start())
    part.reload(Config())
    finish(part.stop())
    assert part.readings(Readings("1.0")) == Readings("1.0")
    assert (part.pbx, part.watch) == (None, None)


def test_a_call_is_hung_up_by_the_command_that_holds(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no manager interface: by the one of the last reload."""
    told: list[object] = []

    async def hang_up(command: tuple[str, ...], channel: ChannelName, reactor: object) -> bool:
        told.append((command, channel, reactor))
        return True

    monkeypatch.setattr(hangup_command, "hang_up", hang_up)
    part = WatchedPbx(Config(), lambda: site.policy, site.ledger, site.fake.clock, site.time)
    for command in ((), ("asterisk", "{channel}")):
        part.reload(Config(stop=Stop(hangup_command=command)))
        finish(part.hang_up(GRANT))
        assert told.pop() == (command, SPYER, site.fake.clock)


def test_with_a_manager_interface_the_pbx_is_watched(site: Site, tmp_path: Path) -> None:
    """A reload has the spies looked at again."""
    config = Config.model_validate({"ami": {"secret": "correct-horse-battery"}, "state": {"directory": tmp_path}})
    reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # untyped in Twisted
    part = WatchedPbx(config, lambda: site.policy, site.ledger, reactor, site.time)
    assert part.pbx is not None
    assert part.pbx.watcher is part.watch
    (readings,) = part.readings(Readings("1.0")).pbxs
    assert (readings.node, readings.ami_up, readings.stale) == ("pbx", False, True)
    part.reload(config)
    finish(part.stop())
