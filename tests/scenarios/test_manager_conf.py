"""The account that `agi-monitor render` makes, on a real PBX: it is enough, and nothing in it is too much."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agi_monitor.dialplan.render import MANAGER, render
from agi_monitor.dialplan.site import ManagerAccount, Site
from agi_monitor.live.calls import EVENTS
from contrib.lab.pbx import Lab
from contrib.lab.server import MonitorServer
from contrib.lab.waiting import wait_until
from tests.scenarios.ami_monitor import SECONDS, Monitor

SECRET = "lab-secret-of-the-account"
NAME = "agi-monitor"
LISTS = ("CoreShowChannels", "BridgeList", "DeviceStateList", "ExtensionStateList", "QueueStatus")
NEEDS = (*LISTS, "Ping", "Getvar", "Setvar", "PlayDTMF", "Hangup", "BridgeKick")
BY_WRITE_CLASS = {"call": {"Setvar", "PlayDTMF", "Hangup"}, "reporting": {"CoreShowChannels"}}
"""What cannot be done without each class of ``write=``."""

BY_READ_CLASS = {
    "call": {
        *("Newchannel", "Newstate", "DialBegin", "DialEnd", "BridgeEnter", "BridgeLeave", "Hangup"),
        *("ChanSpyStart", "ChanSpyStop", "DeviceStateChange", "ExtensionStatus", "LocalBridge"),
    },
    "agent": {"QueueCallerJoin", "QueueCallerLeave", "QueueMemberStatus", "AgentCalled", "AgentConnect"},
    "system": {"FullyBooted", "Reload"},
}
"""What is not told without each class of ``read=``."""

WATCHED = sorted({*EVENTS, "AgentCalled", "AgentConnect"}.union(*BY_READ_CLASS.values()))
SPY = """\
[lab-tests]
exten => 7992,1,Answer()
 same => n,ChanSpy(PJSIP/1001-,q)
 same => n,Hangup()
"""


@pytest.fixture
def account(lab: Lab, tmp_path: Path) -> Iterator[str]:
    """The file as the command writes it from a configuration, loaded by the PBX."""
    server = MonitorServer(lab, tmp_path, ami={"host": lab.pbx.address, "secret": SECRET})
    out = tmp_path / "out"
    out.mkdir()
    said = server.command("render", "--config", str(server.config), "--out", str(out))
    assert "manager reload" in said
    text = (out / MANAGER).read_text()
    with lab.pbx.manager_accounts(text):
        yield text


@pytest.fixture
def spy_extension(lab: Lab) -> Iterator[str]:
    """A way to spy on 1001."""
    lab.pbx.write_dialplan("manager-conf-spy", SPY)
    yield "7992"
    lab.pbx.hangup_all()
    lab.pbx.remove_dialplan("manager-conf-spy")


def without(text: str, line: str, dropped: str) -> str:
    """The account under another name, without one class in one line."""
    found = re.search(rf"^{line} = (.*)$", text, re.MULTILINE)
    assert found is not None
    kept = [one for one in found[1].split(",") if one != dropped]
    assert len(kept) == found[1].count(",")
    text = text.replace(found[0], f"{line} = {','.join(kept)}")
    return text.replace(f"[{NAME}]", f"[no-{dropped}]")


def test_the_account_is_enough(lab: Lab, account: str, spy_extension: str) -> None:
    """With a call and a spy on it, everything that the server lists, asks, does and is told."""
    with Monitor(lab, NAME, SECRET, wanted=WATCHED, needs=NEEDS) as monitor:
        monitor.wait_for(told="up")
        monitor.wait_for(told="event", name="FullyBooted")
        lab.connect("3001", "1001")
        lab.phone("2001").call(spy_extension)
        spying = monitor.wait_for(told="event", name="ChanSpyStart")["headers"]
        spyer, spyee = spying["SpyerChannel"], spying["SpyeeChannel"]
        found = {name: monitor.asks(name, as_list=True) for name in LISTS}
        assert {name: answer.get("text") for name, answer in found.items()} == dict.fromkeys(LISTS)
        assert len(found["CoreShowChannels"]["items"]) == 3
        # A parking lot that was used keeps its bridge, with nobody in it.
        bridges = [item for item in found["BridgeList"]["items"] if item["BridgeNumChannels"] != "0"]
        assert len(bridges) == 1
        assert {item["Device"] for item in found["DeviceStateList"]["items"]} >= {"PJSIP/1001", "PJSIP/2001"}
        assert {item["Exten"] for item in found["ExtensionStateList"]["items"]} >= {"1001", "1002"}
        assert {item.get("Queue") for item in found["QueueStatus"]["items"]} >= {"500", "501"}
        muted = ("Channel", spyer), ("Variable", "MUTEAUDIO(out)"), ("Value", "on")
        pressed = ("Channel", spyer), ("Digit", "5"), ("Duration", "80"), ("Receive", "true")
        bridge = bridges[0]["BridgeUniqueid"]
        answers = [
            monitor.asks("Ping"),
            monitor.asks("Getvar", ("Channel", spyee), ("Variable", "CHANNEL(state)")),
            monitor.asks("Setvar", *muted),
            monitor.asks("PlayDTMF", *pressed),
            monitor.asks("BridgeKick", ("BridgeUniqueid", bridge), ("Channel", spyee)),
            monitor.asks("Hangup", ("Channel", spyer)),
        ]
        assert [answer.get("text") for answer in answers] == [None] * len(answers)
        monitor.wait_for(told="event", name="ChanSpyStop")
        wait_until(
            lambda: [one for one in monitor.told(told="event", name="Hangup") if one["headers"]["Channel"] == spyer],
            SECONDS,
            "the spyer to be hung up",
        )
    assert "ami_class_missing" not in monitor.errors
    assert "ami_action_missing" not in monitor.errors


@pytest.mark.parametrize("dropped", BY_WRITE_CLASS)
def test_no_class_of_what_may_be_done_is_too_much(lab: Lab, account: str, dropped: str) -> None:
    """Without it exactly the actions that the file names are refused; the log says so at the login."""
    less = lab.pbx.manager_accounts(without(account, "write", dropped))
    with less, Monitor(lab, f"no-{dropped}", SECRET, needs=NEEDS) as monitor:
        monitor.wait_for(told="up")
        errors = {name: monitor.asks(name, as_list=name in LISTS).get("error") for name in NEEDS}
    lost = {name for name, error in errors.items() if error == "PermissionDenied"}
    assert lost == BY_WRITE_CLASS[dropped]
    assert set(re.findall(r"needed_for=(\w+)", monitor.errors)) == lost
    for name in lost:
        assert name in said_of(account, dropped, "What may be asked for")


def test_no_class_of_what_is_told_is_too_much(lab: Lab, account: str, spy_extension: str) -> None:
    """One queue call with a spy, listened to with all classes and with each of them left out."""
    accounts = {"": account, **{dropped: without(account, "read", dropped) for dropped in BY_READ_CLASS}}
    with ExitStack() as stack:
        stack.enter_context(lab.pbx.manager_accounts("".join(accounts.values())))
        monitors = {
            dropped: stack.enter_context(
                Monitor(lab, f"no-{dropped}" if dropped else NAME, SECRET, wanted=WATCHED, needs=["Ping"])
            )
            for dropped in accounts
        }
        for monitor in monitors.values():
            monitor.wait_for(told="up")
        queue_call(lab, spy_extension)
        monitors[""].wait_for(told="event", name="ChanSpyStart")
        lab.pbx.hangup_all()
        lab.pbx.cli("module reload res_musiconhold.so")
        monitors[""].wait_for(told="event", name="Reload")
        wanted = set().union(*BY_READ_CLASS.values())
        wait_until(
            lambda: told(monitors[""]) >= wanted,
            SECONDS,
            "every event",
            describe=lambda: f"these are missing: {sorted(wanted - told(monitors['']))}",
        )
        for monitor in monitors.values():
            # What was sent before this answer has come.
            assert "error" not in monitor.asks("Ping")
        every = told(monitors[""])
        lost = {dropped: every - told(monitors[dropped]) for dropped in BY_READ_CLASS}
    for dropped, expected in BY_READ_CLASS.items():
        assert lost[dropped] >= expected
        assert not any(lost[dropped] & lost[other] for other in BY_READ_CLASS if other != dropped)
    assert set().union(*lost.values()) == every


def queue_call(lab: Lab, spy_extension: str) -> None:
    """A customer calls a queue, an agent takes the call, and a supervisor begins to spy."""
    call = lab.phone("3001").dial("501")
    lab.phone("1001").answer()
    lab.phone("3001").wait_for_state(call, "established")
    lab.pbx.wait_until(lambda: lab.pbx.bridged("3001", "1001"), SECONDS, "the queue call to be connected")
    lab.phone("2001").call(spy_extension)
    lab.pbx.wait_until(
        lambda: [one for one in lab.pbx.channels() if one.application == "ChanSpy"], SECONDS, "the spy to begin"
    )


def told(monitor: Monitor) -> set[str]:
    """The names of the events that came."""
    return {line["name"] for line in monitor.told(told="event")}


def said_of(text: str, name: str, heading: str) -> str:
    """What the file says about a class, below a heading."""
    part = text[text.index(heading) :]
    found = re.search(rf"^; {name}: (.*(?:\n;   .*)*)", part, re.MULTILINE)
    assert found is not None
    return found[1]


def test_nobody_else_gets_in(lab: Lab, account: str) -> None:
    """From another address the right secret is refused, once and for all."""
    (address,) = re.findall(r"^permit = (.*)/32$", account, re.MULTILINE)
    assert address == lab.gateway
    elsewhere = lab.pbx.manager_accounts(account.replace(f"{address}/32", "192.0.2.1/32"))
    with elsewhere, Monitor(lab, NAME, SECRET) as monitor:
        monitor.wait_for(told="state", state="Refused")


def test_every_letter_of_a_secret_is_taken(lab: Lab) -> None:
    """All that a secret may hold, at the beginning and at the end as well."""
    letters = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != ";")
    for secret in (letters, "\\#[=>x" + letters[::-1] + "\\"):
        site = Site((), (), manager=ManagerAccount(NAME, secret, (lab.gateway,)))
        with lab.pbx.manager_accounts(render(site)[MANAGER]), Monitor(lab, NAME, secret) as monitor:
            monitor.wait_for(told="up")
