"""What is about to be heard, and by whom, is asked of the PBX itself; what was known before may be old or made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agi_monitor.model import Mode
from agi_monitor.rights.authorization import Terms
from agi_monitor.supervision import chanspy
from agi_monitor.supervision.policy import Notice
from agi_monitor.supervision.protected import Protected
from agi_monitor.testing import FakeChannel
from tests.doubles.desk import CUSTOMER, CUSTOMER_UNIQUEID, PIN, SPYEE, SPYEE_UNIQUEID, Desk, refusals, started
from tests.unit.rights.test_phone_rights import rule
from tests.unit.supervision.live_story.calls import ALL_MODES, SECOND_CUSTOMER, connected, ends

STRANGER, STRANGER_UNIQUEID = "PJSIP/100-0000000c", "1700000000.12"


def at_another_phone(desk: Desk) -> None:
    """Asterisk puts the stranger's phone into the place of the supervisor's, in whatever runs there."""
    desk.pbx.channel.name, desk.pbx.channel.uniqueid = STRANGER, STRANGER_UNIQUEID


def handed_over(desk: Desk) -> list[tuple[object, ...]]:
    """What is on record of calls at another phone."""
    return [
        (record["to"], record["to_uniqueid"], record["grant"], record["extension"])
        for record in desk.records
        if record["fact"] == "spy_handed_over"
    ]


# ---- the supervisor's call ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["4", "5", "6", "7", "*", "D"])
@pytest.mark.parametrize("connect", [True, False], ids=["manager-interface", "AGI-alone"])
def test_no_key_of_another_phone_counts(tmp_path: Path, key: str, connect: bool) -> None:
    """Its first key ends ChanSpy, and the call: nothing more is heard, asked or said there."""
    desk = connected(tmp_path) if connect else Desk(tmp_path)
    desk.at_key = lambda pressed: at_another_phone(desk)
    desk.run(f"{PIN}#{key}1001#6")
    assert len(desk.pbx.executed) == 1
    assert ends(desk) == ["handed_over"]
    assert handed_over(desk) == [(STRANGER, STRANGER_UNIQUEID, 1, "1001")]
    after = desk.pbx.happened[desk.pbx.happened.index("record spy_handed_over") :]
    assert [one for one in after if one.startswith("> ")] == ["> HANGUP"]


def test_what_the_watch_has_recorded_is_on_record_once(desk: Desk) -> None:
    """It found the phone that hears, and ended it."""
    assert desk.watch is not None
    desk.watch.elsewhere.add("fake-1.1")
    desk.at_key = lambda pressed: at_another_phone(desk)
    desk.run(f"{PIN}#6")
    assert (ends(desk), handed_over(desk)) == (["handed_over"], [])


def test_a_place_in_a_call_is_handed_over_while_the_phone_stays(desk: Desk) -> None:
    """A blind transfer out of a call that was joined ends the application, as Asterisk itself would."""

    def taken() -> int:
        assert desk.watch is not None
        desk.watch.elsewhere.add("fake-1.1")
        return 0

    desk.when_quiet = taken
    desk.run()
    assert (ends(desk), handed_over(desk)) == (["handed_over"], [])


@pytest.mark.parametrize("dialled", ["*2221001", "*222", "*222*"])
def test_a_pin_from_another_phone_is_worth_nothing(tmp_path: Path, dialled: str) -> None:
    """The call is handed over while the PIN is asked for: it is neither compared nor counted."""
    desk = connected(tmp_path, dialled)
    play = desk.pbx._play

    def exchanged_meanwhile(sound: str) -> bool:
        at_another_phone(desk)
        return play(sound)

    desk.pbx._play = exchanged_meanwhile  # type: ignore[method-assign]  # while the prompt is played
    desk.run()
    assert desk.pbx.executed == []
    assert handed_over(desk) == [(STRANGER, STRANGER_UNIQUEID, None, None)]
    assert desk.wrong_pins("supervisor:anna") is None
    assert [record["fact"] for record in desk.records].count("refused") == 0


def test_a_session_that_claims_to_be_another_channel_is_told_nothing(tmp_path: Path) -> None:
    """Text of a caller in the environment made up a channel: the PBX says otherwise, before anything is asked."""
    desk = connected(tmp_path)
    real = desk.serve

    async def serve(session: object) -> None:
        desk.pbx.channel.name = STRANGER
        await real(session)  # type: ignore[arg-type]  # it is a session

    desk.pbx.keys(f"{PIN}#")
    desk.pbx.run(serve)
    assert desk.pbx.played == []
    assert handed_over(desk) == [(STRANGER, "1700000000.1", None, None)]


@pytest.mark.parametrize(
    "move",
    [
        lambda channel: setattr(channel, "context", "somewhere-else"),
        lambda channel: setattr(channel, "uniqueid", "1700000000.77"),
    ],
    ids=["redirected", "bridged"],
)
def test_a_call_that_is_pulled_away_did_not_hang_up(desk: Desk, move: Callable[[FakeChannel], None]) -> None:
    """Asterisk answers both as it does a hang-up. The proof does not go with the channel."""

    def pulled_away() -> int | None:
        move(desk.pbx.channel)
        return desk.supervisor_hangs_up()

    desk.when_quiet = pulled_away
    desk.run()
    assert ends(desk) == ["handed_over"]
    assert desk.pbx.channel.variables["AGI_MONITOR_GRANT"] == ""


# ---- the agent's channel -----------------------------------------------------------------------------------


def while_the_record_is_written(desk: Desk, step: Callable[[], object]) -> Desk:
    """Something happens on the PBX when the record of the grant has just reached the disk."""
    desk.audit.afterwards["spy_started"] = step
    return desk


@pytest.mark.parametrize(
    "step",
    [
        lambda desk: setattr(desk.channel_of(SPYEE_UNIQUEID), "name", "PJSIP/1003-0000000f"),
        lambda desk: setattr(desk.channel_of(SPYEE_UNIQUEID), "uniqueid", "1700000000.99"),
        lambda desk: setattr(desk.channel_of(SPYEE_UNIQUEID), "bridge_peer", ""),
        lambda desk: setattr(desk.channel_of(SPYEE_UNIQUEID), "alive", False),
    ],
    ids=["another-device", "another-channel", "alone", "gone"],
)
def test_what_changed_while_the_record_was_written_is_not_heard(desk: Desk, step: Callable[[Desk], object]) -> None:
    """The same name on another channel, the same channel at another phone, or no channel to be heard."""
    while_the_record_is_written(desk, lambda: step(desk)).run()
    assert desk.pbx.executed == []
    assert ends(desk) == ["target_gone"]
    assert "target_gone" in refusals(desk)


def test_a_call_that_becomes_protected_meanwhile_is_not_heard(desk: Desk) -> None:
    """The dialplan marks it after the decision and before the application."""
    mark = {"AGI_MONITOR_PROTECTED": "yes"}
    while_the_record_is_written(desk, lambda: desk.channel_of(SPYEE_UNIQUEID).variables.update(mark)).run()
    assert desk.pbx.executed == []
    assert next(record["detail"] for record in desk.records if record["fact"] == "refused") == "protected"


def test_nobody_is_taken_over_but_whom_it_was_decided_on(desk: Desk) -> None:
    """The call continued with another customer while the record was written: no call is taken."""

    def moves() -> None:
        if len(desk.pbx.executed) == 1:
            desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=SPYEE)
            desk.channel_of(SPYEE_UNIQUEID).bridge_peer = SECOND_CUSTOMER

    while_the_record_is_written(desk, moves).run(f"{PIN}#7")
    assert [application for application, _ in desk.pbx.executed] == ["ChanSpy"]
    assert ends(desk)[-1] == "target_gone"


def test_a_hint_that_only_an_event_told_is_no_ground(desk: Desk) -> None:
    """The picture has a device for the agent; the PBX itself, asked for the hint, has another one."""
    assert desk.live is not None
    desk.pbx.channel.extension = "*2221002"
    desk.pbx.hints["1002@default"] = "PJSIP/1002"
    desk.pbx.device_states["PJSIP/1002"] = "INUSE"
    leg = desk.pbx.add_channel("PJSIP/1002-0000000d", "1700000000.13", bridge_peer=CUSTOMER)
    while_the_record_is_written(desk, lambda: desk.pbx.hints.update({"1002@default": "PJSIP/1009"})).run()
    assert leg.alive
    assert desk.pbx.executed == []


# ---- the conversation --------------------------------------------------------------------------------------


def ended_by_the_server(desk: Desk) -> int:
    """The server's key ends ChanSpy."""
    desk.pbx.channel.context, desk.pbx.channel.extension = chanspy.EXIT_CONTEXT, chanspy.END_KEY
    desk.when_quiet = desk.supervisor_hangs_up
    return 0


@pytest.mark.parametrize("dialled", ["*2221001", "*2241001"], ids=["listen", "barge"])
def test_a_conversation_that_is_over_ends_the_spy(tmp_path: Path, dialled: str) -> None:
    """The agent's channel lives on: a beep, and the next call is a record of its own, to listen to."""
    desk = connected(tmp_path, dialled)
    leg = desk.channel_of(SPYEE_UNIQUEID)

    def over() -> int:
        assert desk.watch is not None
        desk.watch.over.add(desk.watch.open[-1].id)
        leg.bridge_peer = ""
        return ended_by_the_server(desk)

    def next_customer() -> None:
        desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=SPYEE)
        leg.bridge_peer = SECOND_CUSTOMER

    desk.when_quiet = over
    desk.then(lambda: None, next_customer)
    desk.run()
    assert ends(desk) == ["call_over", "supervisor_hung_up"]
    assert [mode for (mode,) in started(desk, "mode")][-1] == "listen"


@pytest.mark.parametrize(
    ("another", "dialled", "modes"),
    [
        (True, "*2241001", ["barge", "listen"]),
        (True, "*2231001", ["whisper", "whisper"]),
        (False, "*2241001", ["barge", "barge"]),
    ],
    ids=["barge", "whisper", "somebody-stays"],
)
def test_nobody_is_barged_in_on_who_came_later(tmp_path: Path, another: bool, dialled: str, modes: list[str]) -> None:
    """Another conversation on the same channel begins as listening; the agent who is whispered to is the same."""
    desk = connected(tmp_path, dialled)

    def party_changes() -> int:
        assert desk.watch is not None
        (grant,) = desk.watch.open
        desk.watch.again.add(grant.id)
        if another:
            desk.watch.others.add(grant.id)
        return ended_by_the_server(desk)

    desk.when_quiet = party_changes
    desk.run()
    assert [mode for (mode,) in started(desk, "mode")] == modes
    assert ends(desk) == ["party_changed", "supervisor_hung_up"]


# ---- the next customer on the same channel -----------------------------------------------------------------


def next_customer(desk: Desk) -> None:
    """The customer hangs up, and the agent's channel gets the next one."""
    desk.channel_of(CUSTOMER_UNIQUEID).alive = False
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = SECOND_CUSTOMER
    desk.pbx.add_channel(SECOND_CUSTOMER, "1700000100.33", bridge_peer=SPYEE)


def seen_by_the_watch(desk: Desk) -> None:
    """The party of the call that is heard is another one."""
    assert desk.watch is not None
    (grant,) = desk.watch.open
    desk.watch.again.add(grant.id)
    desk.watch.others.add(grant.id)
    next_customer(desk)


def test_the_agent_is_told_and_the_reason_asked_for_every_conversation(tmp_path: Path) -> None:
    """What was said about one customer does not hold for the next."""
    desk = connected(tmp_path)
    desk.change(
        notice=ALL_MODES, rules=(rule(terms=Terms(reason_required=True)),), reasons={"7": "legal", "8": "training"}
    )

    def party_changes() -> int:
        seen_by_the_watch(desk)
        desk.pbx.keys("8")
        return ended_by_the_server(desk)

    desk.when_quiet = party_changes
    desk.run(f"{PIN}#7")
    assert started(desk, "told", "reason") == [(True, "legal"), (True, "training")]
    assert [name for name, _ in desk.pbx.executed].count("Originate") == 2


@pytest.mark.parametrize("key", ["6", "7"])
def test_a_key_that_was_meant_for_the_last_customer_is_not_used_on_the_next(tmp_path: Path, key: str) -> None:
    """It was pressed while the party changed: the next customer is listened to."""
    desk = connected(tmp_path)
    desk.at_key = lambda pressed: seen_by_the_watch(desk)
    desk.run(f"{PIN}#{key}")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen", "listen"]


@pytest.mark.parametrize("key", ["6", "7"])
def test_whoever_came_while_the_agent_was_told_is_not_spoken_to(tmp_path: Path, key: str) -> None:
    """No grant is open then that would be watched."""
    desk = connected(tmp_path)
    desk.change(notice=Notice(frozenset({Mode.BARGE, Mode.TAKE_OVER}), frozenset({"all"})))
    assert desk.watch is not None
    desk.watch.meanwhile = lambda: next_customer(desk)
    desk.run(f"{PIN}#{key}")
    assert [mode for (mode,) in started(desk, "mode")] == ["listen"]
    assert "target_gone" in refusals(desk)


@pytest.mark.parametrize("connect", [True, False], ids=["manager-interface", "AGI-alone"])
def test_nothing_is_asked_behind_the_question_where_the_call_is(tmp_path: Path, connect: bool) -> None:
    """Another phone takes the call while questions about the agent are answered: ChanSpy does not begin there."""
    desk = connected(tmp_path) if connect else Desk(tmp_path)

    def exchanged(channel: FakeChannel, _: str) -> str:
        if "record spy_started" in desk.pbx.happened:
            at_another_phone(desk)
        return ""

    desk.pbx.functions["CONNECTEDLINE"] = exchanged
    desk.run()
    assert desk.pbx.executed == []
    assert ends(desk) == ["handed_over"]


def test_no_spy_without_a_proof(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone that it is handed to would not be found."""
    assert desk.watch is not None
    monkeypatch.setattr(desk.watch, "opened", lambda grant: "")
    desk.run()
    assert desk.spies == []
    assert ends(desk) == ["revoked"]
    assert [one["detail"] for one in desk.records if one["fact"] == "refused"] == ["grant_not_signed"]


def test_no_number_is_said_to_another_phone(tmp_path: Path) -> None:
    """A refusal names the agent; the call was handed over meanwhile."""
    desk = connected(tmp_path, "*2221003")
    desk.audit.afterwards["refused"] = lambda: at_another_phone(desk)
    desk.run()
    assert desk.pbx.played[1:] == []
    assert [fact for *_, fact in handed_over(desk)] == [None]


@pytest.mark.parametrize("why", ["barge-only", "no-reason"])
def test_who_may_not_listen_to_the_next_customer_does_not_barge_in(tmp_path: Path, why: str) -> None:
    """What is refused is not made up for by the mode from before."""
    desk = connected(tmp_path, "*2241001")
    barge = rule(modes=frozenset({Mode.BARGE}))
    listen = rule(name="listen", modes=frozenset({Mode.LISTEN}), terms=Terms(reason_required=True))
    desk.change(rules=(barge,) if why == "barge-only" else (barge, listen), reasons={"7": "legal"})

    def party_changes() -> int:
        seen_by_the_watch(desk)
        return ended_by_the_server(desk)

    desk.when_quiet = party_changes
    desk.run()
    assert [mode for (mode,) in started(desk, "mode")] == ["barge"]
    assert len(desk.spies) == 1


# ---- who is on the call ------------------------------------------------------------------------------------


def test_a_written_variable_chooses_nobody_to_be_taken_over(tmp_path: Path) -> None:
    """Another part of the dialplan writes a stranger's channel into BRIDGEPEER of the agent's."""
    desk = Desk(tmp_path)
    desk.pbx.add_channel(STRANGER, STRANGER_UNIQUEID, bridge_peer="PJSIP/101-0000000d")
    desk.channel_of(SPYEE_UNIQUEID).variables["BRIDGEPEER"] = STRANGER
    desk.run(f"{PIN}#7")
    assert [arguments for name, arguments in desk.pbx.executed if name == "Bridge"] == [f"{CUSTOMER},x"]


def test_a_written_variable_hides_no_protected_phone(tmp_path: Path) -> None:
    """Who talks to the agent is asked of the bridge."""
    desk = Desk(tmp_path)
    desk.change(protected=Protected(endpoints=frozenset({"PJSIP/100"})))
    desk.pbx.add_channel(STRANGER, STRANGER_UNIQUEID, bridge_peer=SPYEE)
    agent = desk.channel_of(SPYEE_UNIQUEID)
    agent.bridge_peer, agent.variables["BRIDGEPEER"] = STRANGER, CUSTOMER
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == "protected"


@pytest.mark.parametrize("connect", [True, False], ids=["manager-interface", "AGI-alone"])
def test_a_call_of_which_not_all_are_known_is_not_heard(tmp_path: Path, connect: bool) -> None:
    """Of more than ten others Asterisk names ten; the eleventh may be protected."""
    desk = connected(tmp_path) if connect else Desk(tmp_path)
    others = [f"PJSIP/p{number:02}-0000000c" for number in range(10)]
    for number, other in enumerate(others):
        together = ",".join([SPYEE, *(one for one in others if one != other)])
        desk.pbx.add_channel(other, f"1700000001.{number}", bridge_peer=together)
    desk.channel_of(CUSTOMER_UNIQUEID).alive = False
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = ",".join(others)
    desk.run()
    assert desk.spies == []
    assert refusals(desk)[0] == ("revoked" if connect else "stale")
