"""agi_monitor.pbx.pbx against a fake manager interface: the lists, their order, losses, returns and refusals."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import Deferred

from agi_monitor.ami.states import Refused, Up
from agi_monitor.errors import ActionFailed, Disconnected, ForgedAnswer, NoAnswer, PermissionDenied
from agi_monitor.live import calls
from agi_monitor.live import devices as devices_module
from agi_monitor.live import index as channels
from agi_monitor.live.devices import MAX_DEVICE_STATES, AtDevice
from agi_monitor.live.index import SETTLE_SECONDS, Stale
from agi_monitor.live.targets import AgentDevices, Source
from agi_monitor.names import BridgeId, ChannelName, Uniqueid
from agi_monitor.pbx import pbx as pbx_module
from agi_monitor.pbx.pbx import FRESH_SECONDS, MAX_LOGGED, MAX_RETRY_SECONDS, RETRY_SECONDS
from agi_monitor.supervision.confirmation import Confirmed
from tests.shell.managed import (
    AGENT,
    CUSTOMER,
    NODE,
    RESYNC_SECONDS,
    SPYEE,
    SPYEE_UNIQUEID,
    SPYER,
    SPYER_UNIQUEID,
    Site,
)

LISTS = ["CoreShowChannels", "BridgeList", "DeviceStateList", "ExtensionStateList", "QueueStatus", "Ping"]


@pytest.fixture
def site() -> Site:
    """A PBX that is known."""
    with capture_logs():
        return Site()


def result_of(story: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing that does not come at once."""
    results: list[Any] = []
    Deferred.fromCoroutine(story).addBoth(results.append)
    (result,) = results
    if hasattr(result, "value"):
        raise result.value
    return result


def listed(site: Site) -> list[str]:
    """The actions so far, without the question what the account may do."""
    return [name for name in site.fake.names if name != "ListCommands"]


def events(logs: list[Any], event: str) -> list[Any]:
    """What was logged under this name."""
    return [line for line in logs if line["event"] == event]


# ---- the lists ---------------------------------------------------------------------------------------------


def test_asks_for_the_lists_at_the_login() -> None:
    """All five lists in this order, a Ping after them, and once more because the PBX says that it has booted."""
    with capture_logs() as logs:
        site = Site(connect=False)
        site.pbx.start()
        site.fake.advance(0.0)
        assert (site.pbx.stale(), site.pbx.resyncs) == (None, 1)
        site.fake.advance(SETTLE_SECONDS)
    assert listed(site) == ["Challenge", "Login", *LISTS, *LISTS]
    assert isinstance(site.pbx.state, Up)
    assert (site.pbx.stale(), site.pbx.resyncs, site.pbx.differences) == (None, 2, 0)
    assert site.records("pbx_synced") == [
        {"fact": "pbx_synced", "at": "2023-11-14T22:13:20.000+00:00", "node": NODE, "channels": 4}
    ]
    assert [line["channels"] for line in events(logs, "pbx_synced")] == [4]


def test_subscribes_to_the_classes_that_it_needs(site: Site) -> None:
    """The session itself leaves out all other events."""
    with capture_logs():
        site.come_back()
    assert [login["Events"] for login in site.fake.asked("Login")] == ["call,agent,system"]


def test_is_stale_until_the_answer_to_the_ping() -> None:
    """The lists alone are not enough: events that were made before them may still be on their way."""
    with capture_logs():
        site = Site(connect=False)
        site.fake.held.add("Ping")
        site.pbx.start()
        site.fake.advance(0.0)
        assert site.fake.names[-1] == "Ping"
        assert site.pbx.stale() is Stale.NEVER_LISTED
        site.fake.answer_held()
    assert site.pbx.stale() is None


def test_an_event_between_list_and_ping_counts() -> None:
    """Somebody who hung up while the lists were on their way is not on a call."""
    with capture_logs():
        site = Site(connect=False)
        site.fake.held.add("Ping")
        site.pbx.start()
        site.fake.advance(0.0)
        site.fake.hang_up(SPYER)
        site.fake.answer_held()
    assert site.pbx.channel(SPYER_UNIQUEID) is None
    assert site.pbx.channel(SPYEE_UNIQUEID) is not None


def test_holds_the_index_against_a_list_from_time_to_time(site: Site) -> None:
    """After the configured seconds, and each time after them, not earlier."""
    with capture_logs():
        site.fake.advance(RESYNC_SECONDS - 0.5)
        assert "CoreShowChannels" not in site.fake.names
        site.fake.advance(0.5)
        assert site.fake.names.count("CoreShowChannels") == 1
        site.fake.advance(SETTLE_SECONDS)
        site.fake.advance(RESYNC_SECONDS)
    assert site.fake.names.count("CoreShowChannels") == 2
    assert site.facts == []


def test_counts_and_tells_what_a_list_finds_wrong(site: Site) -> None:
    """What no event told is counted as a difference, the list holds, and the log stays short."""
    site.fake.add_channel("PJSIP/8-00000001", "8.1")  # it is not deaf
    for number in range(20):
        site.fake.channels.append(
            {**site.fake.channels[3], "Channel": f"PJSIP/9-{number:08x}", "Uniqueid": f"9.{number}"}
        )
    with capture_logs() as logs:
        site.fake.advance(RESYNC_SECONDS)
        assert site.pbx.differences == 0
        site.fake.advance(SETTLE_SECONDS)
    assert site.pbx.differences == 20
    assert len(events(logs, "index_difference")) == MAX_LOGGED
    assert events(logs, "index_difference")[0]["difference"] == "channel PJSIP/9-00000000: no event told of it"
    assert site.pbx.channel("9.19") is not None


@pytest.mark.parametrize("name", ["FullyBooted", "Reload", "Shutdown"])
def test_asks_again_after_an_event_of_the_life_of_the_pbx(site: Site, name: str) -> None:
    """After a start, a reload and at a stop nothing is sure."""
    with capture_logs():
        site.fake.event(name)
    assert site.fake.names == LISTS


def test_a_reload_during_a_list_asks_once_more(site: Site) -> None:
    """The lists that were on their way may be of before or after it; several reloads are one more list."""
    site.fake.held.add("QueueStatus")
    with capture_logs():
        site.fake.event("Reload")
        site.fake.event("Reload")
        site.fake.event("Reload")
        assert site.fake.names == LISTS[:5]
        site.fake.answer_held()
        site.fake.advance(SETTLE_SECONDS)
        site.fake.advance(RETRY_SECONDS)
        assert site.fake.names == LISTS * 2
        site.fake.advance(SETTLE_SECONDS)
        site.fake.advance(MAX_RETRY_SECONDS)
    assert site.fake.names.count("QueueStatus") == 2
    assert site.is_up()


@pytest.mark.parametrize("name", ["Reload", "Shutdown", "FullyBooted"])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 1.2, 2.0, 7.0])
def test_events_of_the_life_of_the_pbx_keep_nobody_busy(site: Site, name: str, seconds: float) -> None:
    """One after the other has the lists asked for more and more seldom; the last one is not forgotten."""
    with capture_logs():
        for _ in range(int(600 / seconds)):
            site.fake.event(name)
            site.fake.advance(seconds)
        asked = site.fake.names.count("QueueStatus")
        assert 5 <= asked <= 2 * 600 / MAX_RETRY_SECONDS
        site.fake.advance(MAX_RETRY_SECONDS)
        assert site.fake.names.count("QueueStatus") == asked + 1
        site.fake.advance(2 * MAX_RETRY_SECONDS)
        site.fake.event(name)
        assert site.fake.names.count("QueueStatus") == asked + 2
    assert site.is_up()


@pytest.mark.parametrize("hint", ["", "PJSIP/1001"])
def test_hints_that_somebody_makes_keep_nobody_busy(site: Site, hint: str) -> None:
    """A phone that subscribes to ever new extensions of a pattern, or makes a known one doubtful."""
    site.fake.hints.append(
        {"Exten": "9", "Context": "default", "Hint": "PJSIP/9", "Status": "0", "StatusText": "Idle"}
    )
    with capture_logs():
        for number in range(300):
            told = {"Exten": "9", "Hint": "PJSIP/8"} if hint else {"Exten": f"9{number:04}", "Hint": ""}
            site.fake.event("ExtensionStatus", Context="default", Status="4", StatusText="Unavailable", **told)
            site.fake.advance(2.0)
    assert 5 <= site.fake.names.count("QueueStatus") <= 2 * 600 / MAX_RETRY_SECONDS


@pytest.mark.parametrize("name", LISTS[:4:3])
def test_tries_a_list_again_that_did_not_come(site: Site, name: str) -> None:
    """A refused list is said in the log and asked for again after a moment; what is known stays known."""
    site.fake.refused[name] = "not now"
    with capture_logs() as logs:
        site.fake.advance(RESYNC_SECONDS)
        assert site.is_up()
        site.fake.advance(RETRY_SECONDS)
        assert len(events(logs, "index_not_listed")) == 2
        site.fake.refused.clear()
        site.fake.advance(2 * RETRY_SECONDS)
        site.fake.advance(RETRY_SECONDS)
    assert len(events(logs, "index_not_listed")) == 2
    assert site.fake.names.count("CoreShowChannels") == 3
    assert site.pbx.resyncs == 3


@pytest.mark.parametrize("name", ["DeviceStateList", "QueueStatus"])
def test_a_pbx_without_a_module_has_an_empty_list(name: str) -> None:
    """Without queues, or without device states, the rest is known all the same."""
    with capture_logs():
        site = Site(connect=False)
        site.fake.refused[name] = "Invalid/unknown command"
        site.connect()
    assert site.is_up()


@pytest.mark.parametrize("when", ["from the beginning", "later"])
def test_more_queue_members_than_are_read_are_not_none(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """An account of the class ``agent`` can add any number: a protected agent who is logged in stays known."""
    monkeypatch.setattr(pbx_module, "MAX_LIST_ITEMS", 8)
    many = [MEMBER, *({**MEMBER, "Location": f"PJSIP/{number}"} for number in range(10))]
    with capture_logs() as logs:
        site = Site(connect=False)
        site.fake.queues = many if when == "from the beginning" else [MEMBER]
        site.connect()
        site.fake.queues = many
        site.fake.advance(RESYNC_SECONDS)
        site.fake.advance(SETTLE_SECONDS)
    assert "a list of more than 8 items" in events(logs, "index_not_listed")[0]["error"]
    if when == "from the beginning":
        assert site.pbx.stale() is Stale.NEVER_LISTED
    else:
        at = site.pbx.at_device("PJSIP/1002")
        assert isinstance(at, AtDevice)
        assert {login.extension for login in at.logged_in} == {MEMBER["Name"]}


def test_an_account_that_may_not_list_is_told_from_a_missing_module() -> None:
    """Without the class for it the picture would have holes, so there is none, and the log names the class."""
    with capture_logs() as logs:
        site = Site(connect=False)
        del site.fake.answers["Hangup"]
        site.fake.answers["ListCommands"] = lambda fake, asked: {"Ping": "What it does.  (Priv: <none>)"}
        site.fake.refused["DeviceStateList"] = "Permission denied"
        site.connect()
    assert site.pbx.stale() is Stale.NEVER_LISTED
    assert "DeviceStateList" in events(logs, "index_not_listed")[0]["error"]


def test_a_list_behind_too_many_events_is_asked_for_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came meanwhile could not be kept, so that list would be wrong; the next one follows at once."""
    monkeypatch.setattr(channels, "MAX_KEPT_EVENTS", 3)
    before = site.pbx.resyncs
    site.fake.held.add("Ping")
    with capture_logs():
        site.fake.event("Reload")
        for number in range(5):
            site.fake.add_channel(f"PJSIP/9-{number:08x}", f"9.{number}")
        site.fake.answer_held()
        site.fake.advance(SETTLE_SECONDS)
        assert site.pbx.resyncs == before
        site.fake.advance(SETTLE_SECONDS)
    assert site.pbx.resyncs == before + 1
    assert site.is_up()


@pytest.mark.parametrize(("devices", "stale"), [(MAX_DEVICE_STATES, None), (MAX_DEVICE_STATES + 1, Stale.TOO_MANY)])
def test_a_large_site_is_listed(devices: int, stale: Stale | None) -> None:
    """Up to what is promised all of it is known; one more is said to be too many, and costs no connection."""
    with capture_logs():
        site = Site(connect=False)
        site.fake.device_states = [
            {"Device": f"PJSIP/{number}", "State": "NOT_INUSE"} for number in range(10_000, 10_000 + devices)
        ]
        site.connect()
    assert isinstance(site.pbx.state, Up)
    assert "disconnected" not in site.fake.happened
    assert site.pbx.stale() is stale


def test_a_list_that_does_not_come_at_all_is_given_up(site: Site) -> None:
    """A silent PBX costs the deadline of a list; what is known is no longer believed, and asked for again."""
    site.fake.held.add("BridgeList")
    with capture_logs() as logs:
        site.fake.event("Reload")
        for _ in range(8):
            site.fake.advance(5.0)
    assert events(logs, "index_not_listed")
    assert site.fake.names.count("CoreShowChannels") >= 2
    assert site.pbx.stale() is Stale.LOST
    assert [line["why"] for line in events(logs, "pbx_lost")] == ["no answer"]
    assert [record["why"] for record in site.records("pbx_lost")] == ["no answer"]


def test_a_pbx_that_tells_of_no_call_is_not_trusted(site: Site) -> None:
    """An account without read=call: the next list says so, and the log what is missing; a call that is heard fixes
    it."""
    fake = site.fake
    fake.channels.append({**fake.channels[3], "Channel": "PJSIP/9-00000009", "Uniqueid": "9.9"})
    with capture_logs() as logs:
        fake.advance(RESYNC_SECONDS)
        fake.advance(SETTLE_SECONDS)
        assert site.pbx.stale() is Stale.DEAF
        assert site.pbx.devices_of(AGENT) is Stale.DEAF
        missing = events(logs, "ami_class_missing")
        assert [(one["line"], one["classes"], one["needed_for"]) for one in missing] == [
            ("read", "call", "Newchannel")
        ]
        assert site.facts == ["pbx_lost"]
        # That it is still so is no news.
        fake.advance(RESYNC_SECONDS)
        fake.advance(SETTLE_SECONDS)
        assert (site.facts, len(events(logs, "ami_class_missing"))) == (["pbx_lost"], 1)
        fake.add_channel("PJSIP/9-0000000a", "9.10")
        assert site.pbx.stale() is Stale.DEAF
        fake.advance(RETRY_SECONDS)
        fake.advance(SETTLE_SECONDS)
    assert site.facts == ["pbx_lost", "pbx_synced"]
    assert site.pbx.channel("9.9") is not None


def test_an_account_that_may_never_list_does_not_flood_the_log() -> None:
    """It is asked for again, twice as late each time, up to a minute; and from the beginning once a list has come."""
    with capture_logs() as logs:
        site = Site(connect=False)
        site.fake.refused["CoreShowChannels"] = "Permission denied"
        site.connect()
        for _ in range(1_200):
            site.fake.advance(0.5)
        assert 10 <= len(events(logs, "index_not_listed")) <= 16
        site.fake.refused.clear()
        site.fake.advance(MAX_RETRY_SECONDS)
        assert site.is_up()
        site.fake.refused["CoreShowChannels"] = "Permission denied"
        logs.clear()
        site.fake.event("Reload")
        site.fake.advance(RETRY_SECONDS)
    assert len(events(logs, "index_not_listed")) == 2


def test_a_fault_does_not_end_the_lists(site: Site) -> None:
    """Whatever breaks in the code that is told of a list, the next one is asked for, and the log has the fault."""

    class Watcher:
        def take(self, name: str, event: object) -> None:
            pass

        def connected(self) -> None:
            """Not asked for here."""

        def doubted(self) -> None:
            pass

        def listed(self, channels: object, asked_at: float, *, whole: bool = True) -> None:
            raise RuntimeError("broken")

    site.pbx.watcher = Watcher()
    with capture_logs() as logs:
        for seconds in (RESYNC_SECONDS, SETTLE_SECONDS, RETRY_SECONDS, SETTLE_SECONDS):
            site.fake.advance(seconds)
    assert [line["error"] for line in events(logs, "pbx_failed")] == ["broken"] * 2


def test_too_many_channels_are_told_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event that is one too many ends the trust, and that is logged and on record; a list that fits fixes it."""
    monkeypatch.setattr(calls, "MAX_CHANNELS", 4)
    with capture_logs() as logs:
        site.fake.add_channel("PJSIP/9-00000009", "9.9")
        assert site.pbx.stale() is Stale.TOO_MANY
        assert len(events(logs, "pbx_lost")) == 1
        assert site.facts == ["pbx_lost"]
        site.fake.hang_up("PJSIP/9-00000009")
        site.fake.advance(RESYNC_SECONDS)
        site.fake.advance(SETTLE_SECONDS)
    assert site.facts == ["pbx_lost", "pbx_synced"]


def test_counts_what_nobody_wanted(site: Site) -> None:
    """Events without a use and answers without a question, also of the connections before this one."""
    site.fake.event("VarSet", Variable="A")
    with capture_logs():
        site.fake.held.add("Getvar")
        Deferred.fromCoroutine(site.pbx.variable(Uniqueid(SPYER_UNIQUEID), "A")).addErrback(lambda _: None)
        site.fake.advance(11.0)
        site.fake.answer_held()
        assert (site.pbx.dropped, site.pbx.strays) == (1, 1)
        site.come_back()
        site.fake.event("VarSet", Variable="A")
    assert (site.pbx.dropped, site.pbx.strays) == (2, 1)


# ---- losses and returns ------------------------------------------------------------------------------------


def test_knows_nothing_after_a_loss(site: Site) -> None:
    """The moment the connection is lost nothing more is said, and that is on record once."""
    with capture_logs() as logs:
        site.fake.listening = False
        site.fake.lose_connection()
        site.fake.advance(RESYNC_SECONDS + 1.0)
    assert events(logs, "index_not_listed") == []
    assert site.pbx.stale() is Stale.LOST
    assert site.pbx.devices_of(AGENT) is Stale.LOST
    assert site.pbx.channel(SPYEE_UNIQUEID) is Stale.LOST
    assert site.pbx.partners_of(SPYEE_UNIQUEID) is Stale.LOST
    assert site.pbx.bridge_of(SPYEE_UNIQUEID) is None
    assert site.facts == ["pbx_lost"]
    assert len(events(logs, "pbx_lost")) == 1


def test_knows_everything_again_after_the_return(site: Site) -> None:
    """A list at the next login, and a fact that says so; what happened meanwhile is in it."""
    with capture_logs():
        site.fake.listening = False
        site.fake.lose_connection()
        site.fake.hang_up(SPYER)
        site.fake.listening = True
        site.fake.advance(5.0)
    assert site.is_up()
    assert site.pbx.channel(SPYER_UNIQUEID) is None
    assert site.facts == ["pbx_lost", "pbx_synced"]
    assert site.records("pbx_synced")[0]["channels"] == 3


@pytest.mark.parametrize("name", LISTS)
def test_a_loss_during_a_list_is_made_good(site: Site, name: str) -> None:
    """Whatever was on its way, the next login begins again, and no second list runs beside it."""
    site.fake.held.add(name)
    with capture_logs():
        site.fake.event("Reload")
        site.fake.lose_connection()
        assert site.pbx.stale() is Stale.LOST
        site.fake.held.clear()
        site.forget()
        site.fake.advance(5.0)
    assert site.is_up()
    assert listed(site) == ["Challenge", "Login", *LISTS, *LISTS]


def test_a_loss_before_the_first_list_is_no_news() -> None:
    """What was never known is not lost."""
    with capture_logs():
        site = Site(connect=False)
        site.fake.held.add("BridgeList")
        site.pbx.start()
        site.fake.advance(0.0)
        site.fake.listening = False
        site.fake.lose_connection()
    assert site.pbx.stale() is Stale.NEVER_LISTED
    assert site.facts == []


def test_a_refused_login_is_final() -> None:
    """Nobody tries a wrong secret again and again."""
    with capture_logs():
        site = Site(connect=False)
        site.fake.refused["Login"] = "Authentication failed"
        site.pbx.start()
        site.fake.advance(1_000.0)
    assert isinstance(site.pbx.state, Refused)
    assert site.fake.names == ["Challenge", "Login"]


@pytest.mark.parametrize("skew", [-7_200.0, 7_200.0])
def test_a_clock_that_jumps_breaks_nothing(site: Site, skew: float) -> None:
    """The lists keep their time when somebody sets the time of day by hours."""
    with capture_logs():
        site.skew = skew
        site.fake.advance(RESYNC_SECONDS)
        site.come_back()
    assert site.is_up()
    assert site.facts == ["pbx_lost", "pbx_synced"]


def test_stops(site: Site) -> None:
    """It says good-bye, leaves no timer behind, and does not come back."""
    with capture_logs():
        result_of(site.pbx.stop())
        assert site.fake.happened[-1] == "disconnected"
        site.fake.advance(RESYNC_SECONDS)
    assert "connected" not in site.fake.happened
    assert site.fake.clock.getDelayedCalls() == []


@pytest.mark.parametrize("held", ["BridgeList", "Ping", "nothing"])
def test_stops_while_a_list_is_on_its_way(site: Site, held: str) -> None:
    """A PBX that has gone silent does not keep the server from stopping, and a stop is not a loss."""
    stopped: list[object] = []
    site.fake.held.add(held)
    with capture_logs() as logs:
        site.fake.event("Reload")
        Deferred.fromCoroutine(site.pbx.stop()).addBoth(stopped.append)
        site.fake.advance(0.0)
    assert stopped == [None]
    assert site.fake.clock.getDelayedCalls() == []
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []
    assert site.facts == []


# ---- what is asked and done --------------------------------------------------------------------------------


def test_answers_from_the_index(site: Site) -> None:
    """Devices, channels, partners and bridges, as the lists had them."""
    devices = site.pbx.devices_of(AGENT)
    assert isinstance(devices, AgentDevices)
    assert (devices.source, [channel.peers for channel in devices.channels]) == (Source.INDEX, [(CUSTOMER,)])
    partners = site.pbx.partners_of(SPYEE_UNIQUEID)
    assert not isinstance(partners, Stale)
    assert [partner.name for partner in partners] == [CUSTOMER]
    assert site.pbx.bridge_of(SPYEE_UNIQUEID) == "b-1"
    assert site.pbx.bridge_of(SPYER_UNIQUEID) is None
    assert site.pbx.bridge_of("1.1") is None


def test_reads_a_variable(site: Site) -> None:
    """Its value, empty where it is not set, and None where the channel is gone."""
    site.fake.variables[SPYER, "A"] = "value"
    assert result_of(site.pbx.variable(Uniqueid(SPYER_UNIQUEID), "A")) == "value"
    assert result_of(site.pbx.variable(Uniqueid(SPYER_UNIQUEID), "B")) == ""
    assert result_of(site.pbx.variable(Uniqueid("9.9"), "A")) is None
    assert site.fake.asked("Getvar")[0] == {"Channel": SPYER_UNIQUEID, "Variable": "A"}


HEARS = Confirmed(Uniqueid(SPYER_UNIQUEID), ChannelName(SPYER))
IS_HEARD = Confirmed(Uniqueid(SPYEE_UNIQUEID), ChannelName(SPYEE))

DEEDS: dict[str, tuple[Callable[[Site], Coroutine[Any, Any, None]], str, dict[str, str]]] = {
    "hang up": (lambda site: site.pbx.hang_up(HEARS), "Hangup", {"Channel": SPYER_UNIQUEID}),
    "mute": (
        lambda site: site.pbx.mute(HEARS),
        "Setvar",
        {"Channel": SPYER_UNIQUEID, "Variable": "MUTEAUDIO(all)", "Value": "on"},
    ),
    "press": (
        lambda site: site.pbx.press(HEARS, "D"),
        "PlayDTMF",
        {"Channel": SPYER_UNIQUEID, "Digit": "D", "Duration": "80", "Receive": "true"},
    ),
    "remove": (
        lambda site: site.pbx.remove(IS_HEARD, BridgeId("b-1")),
        "BridgeKick",
        {"BridgeUniqueid": "b-1", "Channel": SPYEE_UNIQUEID},
    ),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_does_what_is_needed(site: Site, deed: str) -> None:
    """Each deed is one action, to the header."""
    do, name, headers = DEEDS[deed]
    result_of(do(site))
    assert site.fake.names == [name]
    assert site.fake.asked(name) == [headers]


@pytest.mark.parametrize("deed", DEEDS)
def test_says_when_a_deed_was_not_done(site: Site, deed: str) -> None:
    """A no of the PBX, a silent PBX and a lost connection are three different errors."""
    do, name, _ = DEEDS[deed]
    site.fake.refused[name] = "no"
    with capture_logs():
        with pytest.raises(ActionFailed, match=f"^{name}"):
            result_of(do(site))
        site.fake.refused.clear()
        site.fake.held.add(name)
        errors: list[Any] = []
        Deferred.fromCoroutine(do(site)).addErrback(lambda failure: errors.append(failure.value))
        site.fake.advance(10.0)
        assert isinstance(errors[0], NoAnswer)
        site.fake.lose_connection()
        with pytest.raises(Disconnected):
            result_of(do(site))


EVIL = f"Local/x@in-00000007;1,{SPYER},Local/y@in-00000008;1"
"""What a Local channel is called when it was dialled as ``x@in-00000007;1,...,Local/y``."""


def peers_of(site: Site, uniqueid: str) -> frozenset[str]:
    """Who the PBX says is in a bridge with a channel."""
    peers: frozenset[str] = result_of(site.pbx.peers(Uniqueid(uniqueid)))
    return peers


def test_a_name_with_commas_in_it_is_one_name(site: Site) -> None:
    """In a call of two, the bridge itself tells the other one."""
    site.fake.add_channel(EVIL, "1700000000.70", "b-7")
    site.fake.add_channel("PJSIP/3001-00000071", "1700000000.71", "b-7")
    assert peers_of(site, "1700000000.71") == {EVIL}


def test_a_name_between_commas_is_nobody_on_the_call(site: Site) -> None:
    """Of three, each who seems to be named is asked; the supervisor knows nothing of the call that names them."""
    site.fake.add_channel(EVIL, "1700000000.70", "b-7")
    for number in (71, 72):
        site.fake.add_channel(f"PJSIP/3001-000000{number}", f"1700000000.{number}", "b-7")
    with pytest.raises(ForgedAnswer):
        peers_of(site, "1700000000.71")


def test_local_channels_that_agree_are_on_the_call(site: Site) -> None:
    """As where members of a queue are dialled so; and it is not asked where the names leave no doubt."""
    locals_ = [f"Local/100{number}@agents-0000000{number};1" for number in (1, 2)]
    for number, name in enumerate(locals_):
        site.fake.add_channel(name, f"1700000000.7{number}", "b-1")
    assert peers_of(site, SPYEE_UNIQUEID) == {CUSTOMER, *locals_}
    for name in locals_:
        site.fake.channels.remove(next(one for one in site.fake.channels if one["Channel"] == name))
    site.fake.add_channel("PJSIP/3001-00000079", "1700000000.79", "b-1")
    asked = len(site.fake.asked("Getvar"))
    assert peers_of(site, SPYEE_UNIQUEID) == {CUSTOMER, "PJSIP/3001-00000079"}
    assert len(site.fake.asked("Getvar")) == asked + 1


def test_a_variable_that_may_not_be_read_is_no_missing_channel() -> None:
    """An account that lacks the class for Getvar must not make every channel look as if it had no proof; what it
    lacks is told at the login, not when it is needed."""
    with capture_logs() as logs:
        site = Site(connect=False)
        offered = ("Ping", "CoreShowChannels", "Setvar", "Hangup", "PlayDTMF", "BridgeKick", *LISTS)
        site.fake.answers["ListCommands"] = lambda fake, asked: dict.fromkeys(offered, "It.  (Priv: all)")
        site.fake.refused["Getvar"] = "Permission denied"
        site.connect()
        assert [line["needed_for"] for line in events(logs, "ami_class_missing")] == ["Getvar"]
        with pytest.raises(PermissionDenied):
            result_of(site.pbx.variable(Uniqueid(SPYER_UNIQUEID), "A"))


def test_a_watcher_is_told_after_the_index(site: Site) -> None:
    """Anyone who is told of an event finds its effect in the index already."""
    seen: list[object] = []

    class Watcher:
        def take(self, name: str, event: object) -> None:
            seen.append((name, site.pbx.channel(SPYER_UNIQUEID)))

        def connected(self) -> None:
            """Not asked for here."""

        def doubted(self) -> None:
            pass

        def listed(self, channels: object, asked_at: float, *, whole: bool = True) -> None:
            raise AssertionError("no list was asked for")

    site.pbx.watcher = Watcher()
    site.fake.hang_up(SPYER)
    assert seen[-1] == ("Hangup", None)
    assert SPYEE


def test_a_silent_pbx_is_asked_before_it_is_believed(site: Site) -> None:
    """A picture that nothing was added to for two seconds is good for as long as the PBX answers."""
    assert result_of(site.pbx.is_fresh())
    assert site.fake.names == []
    site.fake.advance(FRESH_SECONDS + 0.1)
    assert result_of(site.pbx.is_fresh())
    assert site.fake.names == ["Ping"]


def test_a_pbx_that_does_not_answer_is_not_believed(site: Site) -> None:
    """The connection is still open and nothing comes: the old picture does not justify a grant."""
    site.fake.advance(FRESH_SECONDS + 0.1)
    site.fake.held.add("Ping")
    fresh: list[Any] = []
    with capture_logs():
        Deferred.fromCoroutine(site.pbx.is_fresh()).addBoth(fresh.append)
        site.fake.advance(FRESH_SECONDS)
    assert fresh == [False]
    assert site.pbx.stale() is Stale.LOST


MEMBER = {
    "Queue": "sales",
    "Name": "1001",
    "Location": "PJSIP/1002",
    "StateInterface": "PJSIP/1002",
}


@pytest.mark.parametrize(
    ("listed", "device", "expected"),
    [
        ([MEMBER], "PJSIP/1002", True),
        ([], "PJSIP/1002", False),
        ([MEMBER], "PJSIP/1003", False),
        ([{**MEMBER, "Name": "1002"}], "PJSIP/1002", False),
        ([{**MEMBER, "StateInterface": "PJSIP/1003"}], "PJSIP/1002", False),
        ([{**MEMBER, "StateInterface": "hint:1001@hints"}], "PJSIP/1002", True),
        ([{**MEMBER, "StateInterface": "hint:1001@other"}], "PJSIP/1002", False),
        ([{**MEMBER, "StateInterface": "hint:1${SHELL(x)}@hints"}], "PJSIP/1002", False),
    ],
    ids=["yes", "nobody", "another-device", "another-agent", "watches-another", "hint", "other-hint", "no-hint"],
)
def test_the_queue_itself_says_where_an_agent_is_logged_in(
    site: Site, listed: list[dict[str, str]], device: str, expected: bool
) -> None:
    """An event that told of the login counts for nothing at that moment."""
    site.fake.event("QueueMemberAdded", Queue="sales", MemberName="1001", Interface="PJSIP/1002")
    site.fake.queues = listed
    site.fake.variables["", "HINT(1001@hints)"] = "PJSIP/1002&Custom:x"
    assert result_of(site.pbx.is_member(AGENT, device)) is expected
    assert site.fake.asked("QueueStatus") == [{"Queue": "sales", "Member": "PJSIP/1002"}]


def of_member(site: Site, event: str, name: str) -> None:
    """An event says of a queue that an agent has logged in or out at a phone."""
    interface = {"Interface": "PJSIP/1002", "StateInterface": "PJSIP/1002"}
    site.fake.event(event, Queue="sales", MemberName=name, **interface)


def removed(site: Site) -> None:
    """The member has logged out."""
    of_member(site, "QueueMemberRemoved", "1001")


def another(site: Site) -> None:
    """Another agent is logged in there."""
    of_member(site, "QueueMemberAdded", "1005")


@pytest.mark.parametrize(
    ("event", "listed", "hidden"),
    [
        (removed, [MEMBER], True),
        (removed, [], False),
        (removed, [{**MEMBER, "Location": "PJSIP/1009"}], False),
        (removed, [{**MEMBER, "StateInterface": "PJSIP/1003"}], False),
        (another, [MEMBER], True),
        (another, [{**MEMBER, "Name": "1005"}], False),
    ],
    ids=["still-there", "gone", "another-member", "elsewhere", "not-another", "another"],
)
def test_a_login_that_an_event_has_taken_away_is_asked_of_its_queue(
    site: Site, event: Callable[[Site], None], listed: list[dict[str, str]], hidden: bool
) -> None:
    """Where the queue has it still, the event was forged, and the picture is doubted."""
    site.fake.queues = [MEMBER]
    site.pbx._sync_now()
    site.fake.advance(SETTLE_SECONDS)
    site.forget()
    assert not result_of(site.pbx.hides_owner("PJSIP/1002"))
    assert site.fake.names == []
    event(site)
    site.fake.queues = listed
    with capture_logs():
        assert not result_of(site.pbx.hides_owner("PJSIP/1001"))
        assert site.fake.names == []
        assert result_of(site.pbx.hides_owner("PJSIP/1002")) is hidden
    assert bool(site.records("ami_forged")) is hidden
    assert site.fake.asked("QueueStatus")[0] == {"Queue": "sales", "Member": "PJSIP/1002"}
    if not hidden:
        site.pbx._sync_now()
        site.fake.advance(SETTLE_SECONDS)
        site.forget()
        assert not result_of(site.pbx.hides_owner("PJSIP/1002"))
        assert site.fake.names == []


def test_more_logins_that_events_have_taken_away_than_can_be_asked_are_asked_by_the_lists(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account of the class ``agent`` logs in and out for ever: nobody is heard there until the lists have come."""
    monkeypatch.setattr(devices_module, "MAX_DOUBTFUL", 0)
    site.fake.queues = [MEMBER]
    site.pbx._sync_now()
    site.fake.advance(SETTLE_SECONDS)
    removed(site)
    site.fake.queues = []
    site.forget()
    assert result_of(site.pbx.hides_owner("PJSIP/1002"))
    assert site.fake.asked("QueueStatus") == [{}]
    site.fake.advance(SETTLE_SECONDS)
    assert not result_of(site.pbx.hides_owner("PJSIP/1002"))


@pytest.mark.parametrize(("now", "hidden"), [("PJSIP/1002&PJSIP/1009", True), ("PJSIP/1009", False)])
def test_a_hint_that_an_event_has_changed_is_asked_for(site: Site, now: str, hidden: bool) -> None:
    """A device is that of the hint until the hint itself names it no more."""
    hint = {"Exten": "1003", "Context": "hints", "Hint": "PJSIP/1002", "Status": "0"}
    site.fake.hints = [hint]
    site.pbx._sync_now()
    site.fake.advance(SETTLE_SECONDS)
    site.fake.event("ExtensionStatus", **{**hint, "Hint": "PJSIP/1009"})
    site.fake.variables["", "HINT(1003@hints)"] = now
    with capture_logs():
        assert result_of(site.pbx.hides_owner("PJSIP/1002")) is hidden
