"""What the server shows of itself, with a fake PBX behind it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor import __version__
from agi_monitor.audit.bulletin import Bulletin
from agi_monitor.audit.facts import ServerStopped
from agi_monitor.errors import Unavailable
from agi_monitor.model import Agent
from agi_monitor.server.overview import ServerOverview
from agi_monitor.shown import CallShown, ReloadShown, Row
from tests.shell.managed import (
    CUSTOMER_UNIQUEID,
    GRANT,
    NOW,
    ROGUE,
    ROGUE_UNIQUEID,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Ledger,
    Site,
)


@pytest.fixture
def site() -> Site:
    """A PBX with one call, and a supervisor's and a stranger's phone."""
    with capture_logs():
        return Site()


async def reloaded() -> ReloadShown:
    """What a reload comes to."""
    return ReloadShown(restart=("ami",), supervisors=1, agents=2)


def overview_of(site: Site) -> ServerOverview:
    """What a server with this PBX shows."""
    return ServerOverview(
        site.pbx, site.watch, lambda: site.policy, Bulletin(site.ledger), site.time, site.fake.clock.seconds, reloaded
    )


def nothing() -> ServerOverview:
    """What a server without a manager interface shows."""
    return ServerOverview(
        None, None, lambda: Site(connect=False).policy, Bulletin(Ledger()), lambda: NOW, lambda: 0.0, reloaded
    )


def result_of(story: Coroutine[Any, Any, bool]) -> Any:
    """Run a coroutine; its result, or its error, or None while it waits."""
    results: list[Any] = []
    Deferred.fromCoroutine(story).addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results[0] if results else None


def call_of(site: Site, uniqueid: str) -> CallShown:
    """The call with this identifier."""
    (found,) = (call for call in overview_of(site).calls() if call.id == uniqueid)
    return found


# ---- the state ---------------------------------------------------------------------------------------------


def test_says_how_the_server_is(site: Site) -> None:
    """The version, the connection, and how much there is."""
    site.fake.start_spying(ROGUE, SPYEE)
    assert overview_of(site).status().row() == {
        "version": __version__,
        "node": "pbx",
        "ami": "up",
        "stale": None,
        "calls": 3,
        "spies": 1,
        "resyncs": 2,
        "differences": 0,
    }


def test_says_that_there_is_no_manager_interface() -> None:
    """Which is not a mistake; nothing is known then, which is not the same as nothing happening."""
    status = nothing().status()
    assert (status.ami, status.node, status.calls, status.spies) == ("off", None, None, None)
    assert list(status.row()) == ["version", "node", "ami", "stale", "calls", "spies"]


@pytest.mark.parametrize("refused", [False, True])
def test_says_that_the_picture_is_lost(site: Site, refused: bool) -> None:
    """No number of calls, and how the connection stands, in one word."""
    with capture_logs():
        site.fake.listening = refused
        site.fake.refused["Login"] = "Authentication failed"
        site.fake.lose_connection()
        site.fake.advance(1.5)
    status = overview_of(site).status()
    assert (status.stale, status.calls) == ("lost", None)
    assert status.ami == ("refused" if refused else "down")


# ---- calls -------------------------------------------------------------------------------------------------


def test_shows_a_call(site: Site) -> None:
    """Whose it is, with whom, since when, who hears it, and every channel of it."""
    site.fake.event("NewCallerid", **{**site.fake.channels[1], "CallerIDNum": "3001"})
    site.open()
    site.fake.advance(60.0)
    call = call_of(site, SPYEE_UNIQUEID).row()
    assert {name: call[name] for name in ("node", "agents", "numbers", "state", "queue", "spies")} == {
        "node": "pbx",
        "agents": ["1001"],
        "numbers": ["3001"],
        "state": "talking",
        "queue": "",
        "spies": ["c-1.1"],
    }
    assert call["seconds"] == 61.0
    channels: Any = call["channels"]
    assert [channel["uniqueid"] for channel in channels] == [SPYEE_UNIQUEID, CUSTOMER_UNIQUEID]
    assert channels[0] == {
        "name": SPYEE,
        "uniqueid": SPYEE_UNIQUEID,
        "endpoint": "PJSIP/1001",
        "state": "Up",
        "number": "",
        "bridge": "b-1",
    }


def test_a_spy_is_shown_with_the_call_that_it_hears(site: Site) -> None:
    """And not with the channel that it hears from."""
    site.open()
    site.fake.start_spying(ROGUE, SPYEE)
    assert call_of(site, SPYEE_UNIQUEID).spies == ("c-1.1", ROGUE_UNIQUEID)
    assert call_of(site, SPYER_UNIQUEID).spies == ()


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "talking"),
        ([("Hold", {})], "held"),
        ([("Hold", {}), ("Unhold", {})], "talking"),
        ([("BridgeLeave", {"BridgeUniqueid": "b-1"})], "up"),
        ([("BridgeLeave", {"BridgeUniqueid": "b-1"}), ("Newstate", {"ChannelStateDesc": "Ringing"})], "ringing"),
    ],
)
def test_a_call_is_in_a_state(site: Site, events: list[tuple[str, dict[str, str]]], state: str) -> None:
    """One word for what matters most."""
    for name, headers in events:
        site.fake.event(name, **{**site.fake.channels[0], **headers})
    assert call_of(site, SPYEE_UNIQUEID).state == state


def test_an_agent_is_known_by_the_devices_of_now(site: Site) -> None:
    """Also after a reload, and no other is an agent."""
    assert call_of(site, SPYER_UNIQUEID).agents == ()
    site.change(agents={"2001": Agent("2001", frozenset(), ("PJSIP/2001",))})
    assert call_of(site, SPYER_UNIQUEID).agents == ("2001",)
    assert call_of(site, SPYEE_UNIQUEID).agents == ()


@pytest.mark.parametrize("agents", [1, 500])
def test_the_calls_cost_by_the_calls(site: Site, agents: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made in the reactor's thread: each device with a channel is looked up once, and one agent at it."""
    others = {str(one): Agent(str(one), frozenset()) for one in range(2_000, 2_000 + agents)}
    site.change(agents={**site.policy.agents, **others})
    asked: list[str] = []

    def asking(look: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def ask(of: Any) -> Any:
            asked.append(of.extension if isinstance(of, Agent) else of)
            return look(of)

        return ask

    for name in ("devices_of", "at_device"):
        monkeypatch.setattr(site.pbx, name, asking(getattr(site.pbx, name)))
    assert call_of(site, SPYEE_UNIQUEID).agents == ("1001",)
    assert sorted(asked) == ["1001", "PJSIP/1001", "PJSIP/2001", "PJSIP/6666", "PJSIP/trunk"]


def test_no_calls_without_a_picture(site: Site) -> None:
    """An empty list would say that nobody is on a call."""
    with capture_logs():
        site.fake.listening = False
        site.fake.lose_connection()
    with pytest.raises(
        Unavailable,
        match=r"no picture of pbx to be trusted now: the connection .* is lost; is Asterisk running\? \(lost\)",
    ):
        overview_of(site).calls()
    with pytest.raises(Unavailable, match="no section ami"):
        nothing().calls()


# ---- spies -------------------------------------------------------------------------------------------------


def test_shows_who_hears_whom(site: Site) -> None:
    """A granted one with everything that the grant says, a rogue one with what the PBX told."""
    site.open(replace(GRANT, began=site.time()))
    site.fake.advance(2.0)
    with capture_logs():
        site.fake.start_spying(ROGUE, SPYEE)
    granted, rogue = (spy.row() for spy in overview_of(site).spies())
    assert granted == {
        "id": "c-1.1",
        "node": "pbx",
        "kind": "granted",
        "supervisor": "anna",
        "endpoint": "PJSIP/2001",
        "spyer": SPYER,
        "spyer_uniqueid": SPYER_UNIQUEID,
        "extension": "1001",
        "spyee": SPYEE,
        "spyee_uniqueid": SPYEE_UNIQUEID,
        "mode": "listen",
        "rule": "leads",
        "since": "2023-11-14T22:13:21+00:00",
        "seconds": 2.0,
    }
    assert rogue == {
        **dict.fromkeys(granted),
        "id": ROGUE_UNIQUEID,
        "node": "pbx",
        "kind": "rogue",
        "spyer": ROGUE,
        "spyer_uniqueid": ROGUE_UNIQUEID,
        "spyee": SPYEE,
        "spyee_uniqueid": SPYEE_UNIQUEID,
        "since": "2023-11-14T22:13:23+00:00",
        "seconds": 0.0,
    }


def test_a_clock_that_was_set_back_counts_no_negative_seconds(site: Site) -> None:
    """Neither for a call nor for a spy."""
    site.open()
    site.skew = -3_600.0
    assert overview_of(site).spies()[0].seconds == 0
    assert call_of(site, SPYEE_UNIQUEID).seconds == 0


def test_spies_of_ours_are_shown_without_a_picture(site: Site) -> None:
    """What the stories know needs no connection."""
    site.open()
    with capture_logs():
        site.fake.listening = False
        site.fake.lose_connection()
    assert [spy.id for spy in overview_of(site).spies()] == ["c-1.1"]
    with pytest.raises(Unavailable, match=r"no spy is known, and there is no picture of .* to be trusted now"):
        overview_of(Site(connect=False)).spies()
    with pytest.raises(Unavailable):
        nothing().spies()


def test_ends_a_spy(site: Site) -> None:
    """By the identifier that is shown; one that is not there is a no."""
    site.fake.start_spying(ROGUE, SPYEE)
    overview = overview_of(site)
    assert result_of(overview.kill("1.2", "root")) is False
    assert result_of(overview.kill(overview.spies()[0].id, "root")) is True
    assert site.fake.asked("Hangup") == [{"Channel": ROGUE_UNIQUEID}]


def test_says_that_nobody_can_be_ended_now(site: Site) -> None:
    """Without a connection, and without a manager interface at all."""
    with capture_logs():
        site.fake.start_spying(ROGUE, SPYEE)
        site.fake.listening = False
        site.fake.lose_connection()
    error = result_of(overview_of(site).kill(ROGUE_UNIQUEID, "root"))
    assert isinstance(error, Unavailable)
    assert "there is no connection" in str(error)
    assert isinstance(result_of(nothing().kill("1.2", "root")), Unavailable)


# ---- what is told and measured -----------------------------------------------------------------------------


def test_reloads_as_the_server_does() -> None:
    """What the server says of it is what is told."""
    assert result_of(nothing().reload()) == ReloadShown(restart=("ami",), supervisors=1, agents=2)  # type: ignore[arg-type]


def test_tells_what_is_recorded(site: Site) -> None:
    """Anyone who subscribes gets the records of the audit, until they leave."""
    told: list[Row] = []
    bulletin = Bulletin(site.ledger)
    overview = ServerOverview(
        site.pbx, site.watch, lambda: site.policy, bulletin, site.time, site.fake.clock.seconds, reloaded
    )
    leave = overview.subscribe(told.append)
    fact = ServerStopped(at=site.pbx._now())
    result_of(bulletin.append(fact))  # type: ignore[arg-type]  # it returns nothing
    leave()
    result_of(bulletin.append(fact))  # type: ignore[arg-type]  # it returns nothing
    assert told == [fact.record()]
