"""Hang-ups that cross something else: a key, a take-over, a revocation. Whatever comes first, it is over afterwards.

Both are sent at the same moment, so which of the two the PBX sees first differs from run to run, and what is asserted
holds for every order: each spy that began has one end, nobody is taken for a rogue spy, no event counts as forged, no
channel and no grant is left, and the next call is heard as ever.
"""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from contrib.lab.server import PINS
from contrib.lab.sip import SipCall, SipCaller
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House

SECONDS = 20.0
UNUSED = "1001-mobile"
"""A phone that is off: what is sent to its port is on record."""
CALL = {"1001", "3001"}
FORBIDDEN = ("rogue_spy", "ami_forged", "spy_handed_over")
FAULTS = ("spy_watch_failed", "agi_story_failed", "pbx_failed", "pbx_error")


def at_once(*acts: Callable[[], object]) -> None:
    """Do several things at the same moment, and wait until each is done."""
    start = threading.Barrier(len(acts))

    def act(one: Callable[[], object]) -> None:
        start.wait(SECONDS)
        one()

    threads = [threading.Thread(target=act, args=(one,)) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)


def kill(house: House, spy: str) -> Callable[[], object]:
    """Be ready to end a spy: the command itself would take longer to start than a hang-up takes."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    connection.connect(str(house.server.folder / "state" / "control.sock"))

    def send() -> None:
        with connection:
            connection.sendall(json.dumps({"ask": "kill", "id": spy}).encode() + b"\n")
            # The spy may be over already, and then there is none of that name.
            assert connection.recv(65_536)

    return send


def hears(house: House, supervisor: SipCaller) -> SipCall:
    """A supervisor hears the agent, without a PIN from the second time on."""
    mark = house.server.mark()
    call = supervisor.invite("*2221001", sound_to=house.lab.sound_of(UNUSED)).established()
    first = house.server.wait_for("call_started", mark)
    if not house.server.events("supervisor_identified"):
        house.server.wait_for("pin_prompted", mark)
        call.press(PINS["2001"] + "#")
    house.server.wait_for("spy_started", mark, call=first["call"])
    began = house.server.wait_for_audit("spy_heard", len(house.server.audit("spy_started")))[-1]
    assert began["supervisor"] == "anna"
    return call


def test_hang_ups_that_cross_something_else(house: House) -> None:
    """The agent's, the customer's and the supervisor's own, each with a key of the supervisor's or a revocation."""
    house.reconfigure(pins={"remember_minutes": 60})
    with SipCaller.of(house.lab, "2001") as supervisor:
        for crossed, who in itertools.product(("5", "7", "revocation"), ("1001", "3001", "2001")):
            house.lab.connect("3001", "1001")
            call = hears(house, supervisor)
            (spy,) = house.asks("spies")["spies"]
            act = kill(house, spy["id"]) if crossed == "revocation" else partial(call.press, crossed)
            at_once(act, call.hang_up if who == "2001" else house.lab.phone(who).hang_up)
            # Who is left on the line of a call that is over for the others hangs up as well.
            for phone in ("1001", "3001"):
                house.lab.phone(phone).hang_up()
            call.hang_up()
            house.lab.pbx.wait_until(lambda: not house.lab.pbx.channels(), SECONDS, "all channels to end")
            assert_over(house)
        assert_heard_as_ever(house, supervisor)


def assert_over(house: House) -> None:
    """Each spy that began has one end, and nothing is left of it."""
    wait_until(lambda: house.asks("spies")["spies"] == [], SECONDS, "no spy to be left")
    grants = [(record["call"], record["grant"]) for record in house.server.audit("spy_started")]
    ended = house.server.wait_for_audit("spy_ended", len(grants))
    assert sorted((record["call"], record["grant"]) for record in ended) == sorted(grants)
    heard = {(record["call"], record["grant"]) for record in house.server.audit("spy_heard")}
    assert heard <= set(grants)
    for fact in FORBIDDEN:
        assert house.server.audit(fact) == []
    for event in FAULTS:
        assert house.server.events(event) == []


def assert_heard_as_ever(house: House, supervisor: SipCaller) -> None:
    """The next call is heard, and the ones before have left no key, no mute and no place behind."""
    house.lab.connect("3001", "1001")
    call = hears(house, supervisor)
    began = time.time()
    wait_until(lambda: house.lab.last_heard(UNUSED, CALL, began) > began, SECONDS, "the call to be heard")
    call.hang_up()
    house.lab.pbx.hangup_all()
    assert_over(house)
