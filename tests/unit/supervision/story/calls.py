"""Calls that end in a refusal, and what must be on record of a spy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agi_monitor.model import Mode
from agi_monitor.rights.authorization import Terms
from agi_monitor.supervision.grant import Place
from agi_monitor.supervision.hooks import Asked, Plugin
from agi_monitor.supervision.policy import Notice
from agi_monitor.supervision.protected import Protected
from tests.doubles.desk import ANNA, CUSTOMER, NOW, OTHER_HASH, PIN, PIN_POLICY, RULES, SPYEE_UNIQUEID, Desk, limits

STRANGER = "PJSIP/6666-00000001"

WRONG = "00000000#"


def assert_spies_are_on_record(desk: Desk) -> None:
    """Every ChanSpy came after a record that says so, and every such record has one that ends it."""
    started = 0
    for event in desk.pbx.happened:
        if event == "record spy_started":
            started += 1
        elif event.startswith('> EXEC "ChanSpy"'):
            assert started == 1
            started = 0
    begun = [record["grant"] for record in desk.records if record["fact"] == "spy_started"]
    ended = [record["grant"] for record in desk.records if record["fact"] == "spy_ended"]
    assert begun == ended == list(range(1, len(begun) + 1))


def wrong_pins(desk: Desk) -> None:
    desk.run(WRONG * 3)


def locked(desk: Desk) -> None:
    desk.pins.policy = replace(PIN_POLICY, limits=limits(1))
    desk.run(f"{WRONG}{PIN}#")


def expired(desk: Desk) -> None:
    desk.pins.policy = replace(PIN_POLICY, max_age=86_400.0)
    desk.run()


def no_such_code(desk: Desk) -> None:
    desk.pbx.channel.extension = "*9991001"
    desk.run("")


def no_extension(desk: Desk) -> None:
    desk.pbx.channel.extension = "*222"
    desk.run()


def no_such_agent(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2225555"
    desk.run()


def protected(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2221003"
    desk.run()


def own_phone(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2221004"
    desk.run()


def idle(desk: Desk) -> None:
    for channel in desk.pbx.channels[1:]:
        channel.alive = False
    desk.run()


def ringing(desk: Desk) -> None:
    spyee = desk.channel_of(SPYEE_UNIQUEID)
    spyee.state, spyee.bridge_peer = type(spyee.state).RINGING, ""
    desk.run()


def held(desk: Desk) -> None:
    desk.channel_of(SPYEE_UNIQUEID).on_hold = True
    desk.run()


def unregistered(desk: Desk) -> None:
    desk.pbx.device_states["PJSIP/1001"] = "UNAVAILABLE"
    idle(desk)


def two_calls(desk: Desk, keys: str) -> None:
    desk.pbx.add_channel("PJSIP/trunk-00000031", bridge_peer="PJSIP/1001-00000030")
    second = desk.pbx.add_channel("PJSIP/1001-00000030", "1700000000.30", bridge_peer="PJSIP/trunk-00000031")
    second.variables["connected number"] = "+49 30 1234"
    desk.channel_of(SPYEE_UNIQUEID).variables["connected number"] = "555"
    desk.run(keys)


def undecided(desk: Desk) -> None:
    two_calls(desk, f"{PIN}#")


def gone(desk: Desk) -> None:
    desk.pbx.application("ChanSpy", lambda pbx, channel, argument: _agent_gone(desk))
    desk.run()


def _agent_gone(desk: Desk) -> int:
    desk.channel_of(SPYEE_UNIQUEID).alive = False
    return -1


def conference(desk: Desk) -> None:
    desk.pbx.channel.extension = "*2241001"
    desk.pbx.add_channel("PJSIP/1002-00000033")
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = f"{CUSTOMER},PJSIP/1002-00000033"
    desk.run()


def no_record(desk: Desk) -> None:
    desk.audit_path.parent.rename(desk.audit_path.parent.with_name("away"))
    desk.run()


def stranger(desk: Desk) -> None:
    desk.pbx.channel.name = STRANGER
    desk.run(f"{PIN}#" * 3)


def no_state(desk: Desk) -> None:
    desk.lose_the_database()
    desk.run()


def call_of_the_board(desk: Desk) -> None:
    desk.change(protected=Protected(frozenset({"PJSIP/trunk"})))
    desk.run()


def taken_away(desk: Desk) -> None:
    desk.connect()
    desk.when_quiet = desk.revoked_while_heard
    desk.run()


def no_picture(desk: Desk) -> None:
    desk.pbx.channel.extension = "*222*"
    desk.run()


def not_told(desk: Desk) -> None:
    desk.change(notice=Notice(frozenset(Mode), frozenset({"all"})))
    desk.run()


def no_reason(desk: Desk) -> None:
    desk.change(rules=(replace(RULES[0], terms=Terms(reason_required=True)),))
    desk.run(f"{PIN}#0")


def heard_enough(desk: Desk) -> None:
    desk.connect()
    desk.change(rules=(replace(RULES[0], terms=Terms(max_minutes=1)),))

    def a_minute_goes_by(key: str) -> None:
        desk.now += 60.0

    desk.at_key = a_minute_goes_by
    desk.run(f"{PIN}#*1001")


def full(desk: Desk) -> None:
    desk.connect().place_taken(Place("carla", "1700000000.99", SPYEE_UNIQUEID, NOW - 5.0))
    desk.change(rules=(replace(RULES[0], terms=Terms(max_listeners=1)),))
    desk.run()


def no_chanspy(desk: Desk) -> None:
    del desk.pbx.applications["chanspy"]
    desk.pbx.missing_applications.add("ChanSpy")
    desk.run()


def plug_in(answer: object) -> Callable[[Desk], None]:
    """A plug-in of the site answers this."""

    class Says:
        async def authorize(self, asked: Asked) -> object:
            """Give the answer."""
            return answer

    def story(desk: Desk) -> None:
        desk.plugins = (Plugin("site", Says()),)
        desk.run()

    return story


def another_pin(desk: Desk) -> None:
    """The administrator gives the supervisor another PIN while they listen."""
    other = {"PJSIP/2001": replace(ANNA, pin_hash=OTHER_HASH)}
    desk.at_key = lambda key: desk.change(supervisors=other)
    desk.run(f"{PIN}#5")
