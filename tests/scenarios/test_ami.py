"""The AMI client on a real PBX: what it sees of a call, and how it survives what PBXs and networks do."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from agi_monitor.ami.permissions import CLASSES
from contrib.lab.errors import LabError
from contrib.lab.faulty_way import FaultyWay
from contrib.lab.pbx import Lab
from contrib.lab.waiting import wait_until
from tests.scenarios.ami_monitor import SECONDS, Monitor

ONE_SESSION = """\
[single]
secret = only-one-session
allowmultiplelogin = no
read = call
write = call
"""
SPY = """\
[lab-tests]
exten => 7991,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
"""


@pytest.fixture
def monitor(lab: Lab) -> Iterator[Monitor]:
    """A client that is logged in."""
    with Monitor(lab) as monitor:
        monitor.wait_for(told="up")
        yield monitor


def test_a_call_is_listed_and_told(lab: Lab, monitor: Monitor) -> None:
    """The list holds both channels in one bridge; their beginning and end come as events."""
    assert monitor.told(told="state")[-1]["state"] == "Up"
    assert monitor.asks("CoreShowChannels", as_list=True)["items"] == []
    lab.connect("3001", "1001")
    answer = monitor.asks("CoreShowChannels", as_list=True)
    items = {item["Channel"].partition("-")[0]: item for item in answer["items"]}
    assert set(items) == {"PJSIP/3001", "PJSIP/1001"}
    assert len({item["BridgeId"] for item in items.values()}) == 1
    lab.pbx.hangup_all()
    for item in items.values():
        for name in ("Newchannel", "Hangup"):
            wait_until(
                lambda: [
                    event
                    for event in monitor.told(told="event", name=name)  # noqa: B023 - called at once
                    if event["headers"]["Uniqueid"] == item["Uniqueid"]  # noqa: B023 - called at once
                ],
                SECONDS,
                f"{name} of {item['Channel']}",
            )


def test_fully_booted_comes_after_the_login(monitor: Monitor) -> None:
    """The account may read system events, so this one is always told."""
    monitor.wait_for(told="event", name="FullyBooted")


def test_a_spy_is_told(lab: Lab, monitor: Monitor) -> None:
    """ChanSpyStart and ChanSpyStop name both channels."""
    try:
        lab.pbx.write_dialplan("ami-spy", SPY)
        lab.connect("3001", "1001")
        lab.phone("2001").call("7991")
        begun = monitor.wait_for(told="event", name="ChanSpyStart")["headers"]
        assert begun["SpyerChannel"].startswith("PJSIP/2001-")
        assert begun["SpyeeChannel"].startswith("PJSIP/1001-")
        lab.phone("2001").hang_up()
        ended = monitor.wait_for(told="event", name="ChanSpyStop")["headers"]
        assert ended["SpyerUniqueid"] == begun["SpyerUniqueid"]
    finally:
        lab.pbx.hangup_all()
        lab.pbx.remove_dialplan("ami-spy")


def test_a_wrong_secret_is_final(lab: Lab) -> None:
    """Asterisk's no is told once; there is no second attempt."""
    mark = lab.pbx.log_mark()
    with Monitor(lab, secret="never-the-right-one", retry_seconds=0.1) as monitor:
        refused = monitor.wait_for(told="state", state="Refused")
        assert "Authentication failed" in refused["reason"]
        assert monitor.asks("Ping")["error"] == "Disconnected"
    lab.pbx.wait_for_log("failed to authenticate", since=mark)
    states = [line["state"] for line in monitor.told(told="state")]
    assert states == ["Connecting", "LoggingIn", "Refused"]
    assert len(re.findall("failed to authenticate", lab.pbx.log_since(mark))) == 1


def test_an_account_for_one_session_waits_its_turn(lab: Lab) -> None:
    """With allowmultiplelogin = no the second client tries until the first is gone."""
    with lab.pbx.manager_accounts(ONE_SESSION), Monitor(lab, "single", "only-one-session") as first:
        first.wait_for(told="up")
        with Monitor(lab, "single", "only-one-session", retry_seconds=0.1) as second:
            reason = second.wait_for(told="state", state="Down")["reason"]
            assert reason == "Asterisk answered Login Already In Use"
            first.stop()
            second.wait_for(told="up")


def test_a_pbx_that_is_being_stopped_is_tried_again(lab: Lab, monitor: Monitor) -> None:
    """A graceful stop waits for the last call and refuses every login until then, or until it is called off."""
    lab.connect("3001", "1001")
    stopping = threading.Thread(target=lab.pbx.cli, args=("core stop gracefully",))
    stopping.start()
    try:
        wait_until(lambda: "error" in monitor.asks("Ping"), SECONDS, "the stop to begin")
        assert "shutting down" in monitor.asks("CoreShowChannels", as_list=True)["text"]
        with Monitor(lab, retry_seconds=0.1) as late:
            assert "shutting down" in late.wait_for(told="state", state="Down")["reason"]
            lab.pbx.cli("core abort shutdown")
            late.wait_for(told="up")
    finally:
        lab.pbx.cli("core abort shutdown")
        stopping.join()
    assert "error" not in monitor.asks("CoreShowChannels", as_list=True)


def test_a_missing_class_is_named(lab: Lab) -> None:
    """An account without the class gets an error that says which to add; another action still works."""
    with Monitor(lab, "caller") as monitor:
        monitor.wait_for(told="up")
        answer = monitor.asks("CoreShowChannels", as_list=True)
        assert answer["error"] == "PermissionDenied"
        assert answer["text"].endswith("the account needs write=system or reporting")
        assert monitor.asks("Command", ("Command", "core show uptime"))["error"] == "PermissionDenied"
        assert "error" not in monitor.asks("Status", as_list=True)


def test_the_classes_are_those_of_asterisk(lab: Lab) -> None:
    """The table of actions says what this Asterisk says itself; CoreShowChannelMap is not in 16."""
    found = {}
    for action in CLASSES:
        privilege = re.search(r"\[Privilege\]\s+(\S+)", lab.pbx.cli(f"manager show command {action}"))
        if privilege is not None:
            found[action] = set(privilege[1].split(",")) - {"all"}
    missing = {"CoreShowChannelMap"} if lab.version == "16" else set()
    assert found == {action: set(classes) for action, classes in CLASSES.items() if action not in missing}


def test_another_error_says_what_asterisk_said(monitor: Monitor) -> None:
    """No such channel is an ActionFailed, and the connection stays."""
    answer = monitor.asks("Hangup", ("Channel", "PJSIP/none-00000000"))
    assert (answer["error"], answer["text"]) == ("ActionFailed", "Hangup: Asterisk answered No such channel")
    assert "error" not in monitor.asks("Ping")


def test_the_longest_action_is_taken(monitor: Monitor) -> None:
    """Asterisk reads a line and a number of headers as long as ours may be."""
    room = 1_023 - len("UserEvent: \r\n")
    assert "error" not in monitor.asks("UserEvent", ("UserEvent", "x" * room))
    assert "error" not in monitor.asks("UserEvent", ("UserEvent", "Many"), *[("Header", "x")] * 117)
    assert monitor.asks("UserEvent", ("UserEvent", "x" * (room + 1)))["error"] == "LocalProtocolError"


@pytest.mark.either_version
def test_a_connection_that_is_cut_comes_back(lab: Lab) -> None:
    """The way to the PBX breaks in the middle; the client logs in again and is as useful as before."""
    with FaultyWay(lab.pbx.address) as way, Monitor(lab, port=way.port) as monitor:
        monitor.wait_for(told="up")
        mark = monitor.mark()
        way.cut()
        assert monitor.wait_for(mark, told="state", state="Down")["retry_in"] > 0
        monitor.wait_for(mark, told="down")
        monitor.wait_for(mark, told="up")
        assert "error" not in monitor.asks("CoreShowChannels", as_list=True)


@pytest.mark.either_version
def test_a_frozen_pbx_is_noticed(lab: Lab) -> None:
    """The connection stays open but nothing answers: Ping finds out, and the client is back when the PBX is."""
    with Monitor(lab, ping_seconds=0.5, ping_reply_seconds=1, login_seconds=3) as monitor:
        monitor.wait_for(told="up")
        mark = monitor.mark()
        container = lab.pbx.container.get_wrapped_container()
        container.pause()
        try:
            assert monitor.wait_for(mark, told="state", state="Down")["reason"] == "no answer to Ping"
        finally:
            container.unpause()
        monitor.wait_for(mark, told="up")
        assert "error" not in monitor.asks("CoreShowChannels", as_list=True)


def test_asterisk_restarts(lab: Lab, monitor: Monitor) -> None:
    """Shutdown is told, the client comes back with the PBX, and sees the next call."""
    mark = monitor.mark()
    with suppress(LabError):  # the console is cut off as well
        lab.pbx.cli("core restart now")
    monitor.wait_for(mark, told="event", name="Shutdown")
    monitor.wait_for(mark, told="down")
    monitor.wait_for(mark, told="up")
    monitor.wait_for(mark, told="event", name="FullyBooted")
    lab.pbx.wait_until(lambda: lab.pbx.hint("1001") == "Idle", SECONDS, "the phones to be known again")
    lab.connect("3001", "1001")
    assert len(monitor.asks("CoreShowChannels", as_list=True)["items"]) == 2
