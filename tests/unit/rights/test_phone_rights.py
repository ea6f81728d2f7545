"""Rules with conditions on the phone: what is known of a request there, what is asked for, and what is not told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agi_monitor.errors import Disconnected
from agi_monitor.live.calls import Origin
from agi_monitor.model import Cue, Direction, Follow, Mode, Reason
from agi_monitor.rights.authorization import Allowed, Calls, Effect, Rights, Rule, SpyAsk, Terms
from agi_monitor.rights.explain import explain
from agi_monitor.rights.hours import Hours, When
from agi_monitor.supervision.grant import Grant, Place
from agi_monitor.supervision.prompts import DEFAULTS
from tests.doubles import drawn_rules
from tests.doubles.desk import (
    AGENTS,
    ANNA,
    CUSTOMER,
    CUSTOMER_UNIQUEID,
    NOW,
    PIN,
    RULES,
    SPYEE,
    SPYEE_UNIQUEID,
    Desk,
    refusals,
    started,
)

REASON = Terms(reason_required=True)
AT = datetime.fromtimestamp(NOW, UTC)
EVERY_DAY = frozenset(range(7))
NOW_MINUTES = AT.hour * 60 + AT.minute
OPEN = When(ZoneInfo("UTC"), (Hours(EVERY_DAY, NOW_MINUTES - 60, NOW_MINUTES + 60),))
SHUT = When(ZoneInfo("UTC"), (Hours(EVERY_DAY, NOW_MINUTES + 60, NOW_MINUTES + 120),))
HELP = Calls(frozenset({"help"}))
SECOND, SECOND_UNIQUEID = "PJSIP/1001-00000030", "1700000050.30"
SECOND_CUSTOMER = "PJSIP/trunk-00000031"


def rule(**parts: Any) -> Rule:
    """A rule that lets Anna do everything with 1001."""
    return replace(RULES[0], **parts)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Anna's phone; agent 1001 is on a call, and the PBX has a manager interface."""
    desk = Desk(tmp_path)
    desk.connect()
    return desk


def out_of_queue(desk: Desk, queue: str = "help") -> None:
    """The agent's customer waited in a queue."""
    customer = desk.channel_of(CUSTOMER_UNIQUEID)
    customer.variables.update({"application": "Queue", "application data": f"{queue},t"})
    desk.channel_of(SPYEE_UNIQUEID).variables["application"] = "AppDial"


def second_call(desk: Desk) -> None:
    """The agent has another call besides, of no queue."""
    desk.pbx.add_channel(SECOND_CUSTOMER, "1700000050.31", bridge_peer=SECOND)
    desk.pbx.add_channel(
        SECOND, SECOND_UNIQUEID, bridge_peer=SECOND_CUSTOMER, variables={"connected number": "49111"}
    )


# ---- why? ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("live", [True, False], ids=["with ami", "without ami"])
def test_a_reason_is_asked_for_once_and_kept_over_modes(tmp_path: Path, live: bool) -> None:
    """Its slug stands in every record of the call, and the agent's number is not keyed in again for it."""
    desk = Desk(tmp_path)
    if live:
        desk.connect()
    desk.change(rules=(rule(terms=REASON),))
    desk.run(f"{PIN}#256")
    assert desk.pbx.played.count(*DEFAULTS[Cue.ASK_REASON]) == 1
    assert started(desk, "mode", "reason") == [(mode, "training") for mode in ("listen", "whisper", "barge")]
    assert refusals(desk) == []


@pytest.mark.parametrize("key", ["", "9", "*", "0"])
def test_no_reason_no_sound(desk: Desk, key: str) -> None:
    """No digit, or one that stands for nothing; what was pressed stands nowhere."""
    desk.change(rules=(rule(terms=REASON),))
    with capture_logs() as logs:
        desk.run(f"{PIN}#{key}")
    assert desk.spies == []
    assert refusals(desk)[0] == "reason_missing"
    assert "reason_given" not in [line["event"] for line in logs]


def test_a_hash_that_comes_late_is_no_answer(desk: Desk) -> None:
    """The extension is complete with its last digit; the # after it meets the next question, which is put again."""
    desk.pbx.channel.extension = "*222"
    desk.change(rules=(rule(terms=REASON),))
    desk.run(f"{PIN}#1001#3")
    assert started(desk, "reason") == [("complaint",)]


def test_the_digits_are_the_sites_own(desk: Desk) -> None:
    """Also after a reload in the middle of the call."""
    desk.change(rules=(rule(terms=REASON),), reasons={"7": "legal"})
    desk.run(f"{PIN}#7")
    assert started(desk, "reason") == [("legal",)]


def test_no_reason_is_asked_for_where_another_rule_allows(desk: Desk) -> None:
    """Nor for a mode that no rule allows with a reason either."""
    desk.change(rules=(rule(name="why", terms=REASON, modes=frozenset(Mode) - {Mode.BARGE}), rule(name="free")))
    desk.run()
    assert started(desk, "rule", "reason") == [("free", "")]
    assert DEFAULTS[Cue.ASK_REASON][0] not in desk.pbx.played


def test_a_mode_may_need_a_reason_that_another_does_not(desk: Desk) -> None:
    """It is asked for at the key; without one the old mode continues."""
    free = rule(name="free", modes=frozenset({Mode.LISTEN}))
    desk.change(rules=(free, rule(name="why", terms=REASON)))
    desk.run(f"{PIN}#5951")
    assert started(desk, "mode", "rule", "reason") == [
        ("listen", "free", ""),
        ("listen", "free", ""),
        ("whisper", "why", "quality"),
    ]
    assert refusals(desk) == ["reason_missing"]


def test_the_agent_is_not_told_for_want_of_a_reason(desk: Desk) -> None:
    """The question comes before anything that the agent could notice, and nothing is learned from a closed rule."""
    desk.change(rules=(rule(terms=REASON, when=SHUT),))
    desk.run(f"{PIN}#1")
    assert DEFAULTS[Cue.ASK_REASON][0] not in desk.pbx.played
    assert refusals(desk)[0] == "mode_denied"


# ---- what is known ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "begins"),
    [
        ({"when": OPEN}, True),
        ({"when": SHUT}, False),
        ({"calls": HELP}, True),
        ({"calls": Calls(frozenset({"other"}))}, False),
        ({"calls": Calls(direction=Direction.IN)}, True),
        ({"calls": Calls(direction=Direction.OUT)}, False),
        ({"terms": Terms(max_minutes=1)}, True),
        ({"terms": Terms(max_listeners=1)}, True),
        ({"modes": frozenset(), "scan": True}, False),
    ],
)
def test_all_that_is_known_decides(desk: Desk, parts: dict[str, Any], begins: bool) -> None:
    """The clock, the queue, the direction, the minutes and the others who hear the call; a scan it is not."""
    out_of_queue(desk)
    desk.change(rules=(rule(**parts),))
    desk.run()
    assert bool(desk.spies) is begins


@pytest.mark.parametrize(
    "parts",
    [
        {"when": OPEN},
        {"calls": HELP},
        {"terms": Terms(max_minutes=60)},
        {"terms": Terms(max_listeners=9)},
    ],
)
@pytest.mark.parametrize("talking", [True, False], ids=["talking", "idle"])
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "without ami"])
def test_what_nobody_could_end_does_not_begin(
    tmp_path: Path, parts: dict[str, Any], talking: bool, lost: bool
) -> None:
    """Without the manager interface such a rule allows nothing, and nobody learns whether there is a call."""
    desk = Desk(tmp_path, talking=talking)
    if lost:
        desk.connect()
        assert desk.live is not None
        desk.live.lost = True
    desk.change(rules=(rule(**parts),))
    desk.run()
    assert desk.pbx.executed == []
    assert refusals(desk)[0] == "mode_denied"
    assert not any("DEVICE_STATE" in word for command in desk.pbx.commands for word in command)


@pytest.mark.parametrize("talking", [True, False], ids=["talking", "idle"])
def test_whoever_may_hear_nothing_now_learns_nothing(tmp_path: Path, talking: bool) -> None:
    """Outside the hours the agent's phone is not even looked at."""
    desk = Desk(tmp_path, talking=talking)
    desk.connect()
    desk.change(rules=(rule(when=SHUT), rule(name="scan", modes=frozenset(), scan=True)))
    desk.run()
    assert refusals(desk)[0] == "mode_denied"


def test_of_several_calls_only_those_that_may_be_heard_are_offered(desk: Desk) -> None:
    """The number of the other party of a call that may not be heard is not said."""
    out_of_queue(desk)
    second_call(desk)
    desk.change(rules=(rule(calls=HELP),))
    desk.run()
    assert started(desk, "spyee", "because") == [(SPYEE, "configured device, only call")]
    assert "digits:49111" not in desk.pbx.played


def test_the_next_call_that_may_be_heard_is_waited_for(desk: Desk) -> None:
    """Anyone who follows an agent hears nothing of the calls between, and stays."""
    out_of_queue(desk)
    desk.change(rules=(rule(calls=HELP),), follow=Follow.AGENT)
    desk.when_quiet = desk.agent_hangs_up

    def queue_call() -> None:
        customer = desk.channel_of("1700000050.31")
        customer.variables.update({"application": "Queue", "application data": "help"})

    desk.then(lambda: second_call(desk), lambda: None, queue_call)
    desk.run()
    assert started(desk, "spyee") == [(SPYEE,), (SECOND,)]
    assert refusals(desk) == []


def test_the_scan_comes_where_only_the_scan_may(desk: Desk) -> None:
    """And keeps away where it is denied, though the agent may be dialled."""
    desk.pbx.channel.extension = "*222*"
    desk.change(rules=(rule(modes=frozenset(), scan=True),))
    desk.run()
    assert started(desk, "mode", "spyee") == [("listen", SPYEE)]
    assert desk.watch is not None
    assert [grant.scan for grant in desk.watch.grants] == [True]


def test_the_scan_keeps_away_where_it_is_denied(desk: Desk) -> None:
    """Though the agent may be dialled."""
    no_scan = rule(name="no", effect=Effect.DENY, modes=frozenset(), scan=True)
    desk.pbx.channel.extension = "*222*"
    desk.change(rules=(rule(), no_scan))
    desk.run()
    assert desk.spies == []
    assert refusals(desk) == ["mode_denied"]


# ---- how long, and how many ---------------------------------------------------------------------------------


def test_a_change_of_mode_is_no_new_beginning(desk: Desk) -> None:
    """Half a minute in each mode; the third is too much, and so is whatever is asked for of the same call."""
    desk.change(rules=(rule(terms=Terms(max_minutes=1)),))

    def half_a_minute(key: str) -> None:
        desk.now += 30.0

    desk.at_key = half_a_minute
    desk.run(f"{PIN}#56")
    assert started(desk, "mode") == [("listen",), ("whisper",)]
    assert refusals(desk)[0] == "time_is_up"


def test_another_call_of_the_supervisor_is_no_new_beginning(desk: Desk) -> None:
    """What was heard of a call counts as long as the call lasts, and only while it was heard."""
    assert desk.watch is not None
    since = desk.watch.heard_since("anna", frozenset({SPYEE_UNIQUEID}), desk.now)
    assert since == desk.now
    desk.change(rules=(rule(terms=Terms(max_minutes=1)),))

    def later(key: str) -> None:
        desk.now += 20.0

    desk.at_key = later
    desk.run(f"{PIN}#*")
    desk.now += 1000.0
    since = desk.watch.heard_since("anna", frozenset({CUSTOMER_UNIQUEID, SPYEE_UNIQUEID}), desk.now)
    assert desk.now - since == 20.0
    assert desk.watch.heard_since("bert", frozenset({SPYEE_UNIQUEID}), desk.now) == desk.now


def test_two_who_ask_at_once_do_not_both_get_the_last_place(tmp_path: Path) -> None:
    """The second one decides while the record of the first is being written, and is refused."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = Desk(tmp_path / "a"), Desk(tmp_path / "b", channel="PJSIP/2001-00000077")
    second.pbx.channel.uniqueid = "1700000000.77"
    watch = first.connect()
    second.connect()
    second.watch = watch
    first.audit.afterwards["spy_started"] = second.run
    for desk in (first, second):
        desk.change(rules=(rule(terms=Terms(max_listeners=1)),))
    first.run()
    assert (len(first.spies), len(second.spies)) == (1, 0)
    assert refusals(second)[0] == "too_many_listeners"


def test_a_place_is_free_again(desk: Desk) -> None:
    """After the star key, and after a refusal."""
    assert desk.watch is not None
    desk.change(rules=(rule(terms=Terms(max_listeners=1)),))
    desk.run(f"{PIN}#*1001*")
    assert len(desk.spies) == 2
    nobody = Place("", "", SPYEE_UNIQUEID, 0.0)
    assert desk.watch.listeners(nobody, frozenset({SPYEE_UNIQUEID}), begins=True) == 0


def test_whoever_had_a_place_keeps_it_through_a_change_of_mode(desk: Desk) -> None:
    """A listener who came later does not count against it."""
    assert desk.watch is not None
    watch = desk.watch
    desk.change(rules=(rule(terms=Terms(max_listeners=1)),))

    def another(key: str) -> None:
        watch.place_taken(Place("carla", "1700000000.99", SPYEE_UNIQUEID, desk.now + 1.0))

    desk.at_key = another
    desk.run(f"{PIN}#5")
    assert started(desk, "mode") == [("listen",), ("whisper",)]


@pytest.mark.parametrize("why", ["time_is_up", "too_many_listeners"])
def test_whoever_lacks_the_terms_is_told_which(desk: Desk, why: str) -> None:
    """The spy was ended from outside, and the supervisor hears why."""
    assert desk.watch is not None
    desk.when_quiet = desk.revoked_while_heard
    watch = desk.watch
    revoked = desk.revoked_while_heard

    def ended() -> int | None:
        result = revoked()
        watch.reasons = dict.fromkeys(watch.reasons, why)
        return result

    desk.when_quiet = ended
    desk.run()
    assert desk.recorded("fact", "why", "reason", "detail")[1:3] == [
        ("spy_ended", "revoked", None, None),
        ("refused", None, why, why),
    ]


# ---- the phone and explain ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Situation:
    """What is so when Anna dials 1001."""

    mode: Mode
    queue: str
    direction: Direction
    others: int
    heard: float
    minute: int
    digit: str


situations = st.builds(
    Situation,
    mode=st.sampled_from([Mode.LISTEN, Mode.WHISPER, Mode.BARGE]),
    queue=st.sampled_from(["", "sales", "help"]),
    direction=st.sampled_from(Direction),
    others=st.integers(0, 2),
    heard=st.sampled_from([0.0, 30.0, 60.0]),
    minute=st.integers(0, 7 * 24 * 60),
    digit=st.sampled_from(["", "1", "9"]),
)
CODE = {Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "*224"}


def arranged(folder: Path, so: Situation, rules: list[Rule]) -> Desk:
    """A desk at which it is so."""
    desk = Desk(folder, f"{CODE[so.mode]}1001")
    watch = desk.connect()
    desk.now = (drawn_rules.MONDAY + timedelta(minutes=so.minute)).timestamp()
    agent, customer = desk.channel_of(SPYEE_UNIQUEID), desk.channel_of(CUSTOMER_UNIQUEID)
    agent.variables["application"] = "AppDial" if so.direction is Direction.IN else "Dial"
    if so.queue:
        customer.variables.update({"application": "Queue", "application data": so.queue})
    for number in range(so.others):
        watch.place_taken(Place("carla", f"1700000000.9{number}", SPYEE_UNIQUEID, desk.now - 5.0))
    grant = Grant(
        call="before",
        number=1,
        supervisor="anna",
        pin="0123456789abcdef",
        endpoint="PJSIP/2001",
        spyer="PJSIP/2001-00000000",
        spyer_uniqueid="1600000000.1",
        extension="1001",
        spyee=SPYEE,
        spyee_uniqueid=SPYEE_UNIQUEID,
        mode=Mode.LISTEN,
        rule="before",
        began=desk.now - so.heard,
        since=desk.now - so.heard,
    )
    watch.known.closed(grant, desk.now)
    desk.change(rules=tuple(rules))
    return desk


def asked(so: Situation, desk: Desk, mode: Mode, *, reason: bool) -> SpyAsk:
    """The same, written down for the rules."""
    return SpyAsk(
        supervisor=ANNA,
        agent=AGENTS[0],
        mode=mode,
        scan=False,
        at=datetime.fromtimestamp(desk.now, UTC),
        queue=so.queue,
        direction=so.direction,
        reason=reason,
        listeners=so.others,
        heard_seconds=so.heard,
    )


permissions = st.lists(drawn_rules.pertinent_rules, max_size=3) | st.lists(drawn_rules.rules, max_size=5)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(situations, permissions)
def test_explain_says_what_the_phone_does(so: Situation, rules: list[Rule]) -> None:
    """For the same facts: what is allowed begins, with the rule that is named, and nothing else does."""
    with TemporaryDirectory() as folder:
        desk = arranged(Path(folder), so, rules)
        without = explain(Rights(rules), asked(so, desk, so.mode, reason=False)).verdict
        verdict = without
        if not isinstance(without, Allowed) and so.digit == "1":
            verdict = explain(Rights(rules), asked(so, desk, so.mode, reason=True)).verdict
        desk.run(f"{PIN}#{so.digit}")
        if isinstance(verdict, Allowed):
            why = "" if isinstance(without, Allowed) else "quality"
            assert started(desk, "mode", "rule", "reason") == [(so.mode, verdict.rule, why)]
        else:
            assert not isinstance(without, Allowed)
            assert desk.pbx.executed == []
            assert refusals(desk)[0] == without.reason


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(situations, permissions, st.lists(permissions, max_size=4), st.text("4561*", max_size=6))
def test_no_denied_pair_gets_through(so: Situation, rules: list[Rule], changes: list[list[Rule]], keys: str) -> None:
    """Whatever is pressed, and however the rules change meanwhile: each grant is one that explain allows then."""
    with TemporaryDirectory() as folder:
        desk = arranged(Path(folder), so, rules)
        assert desk.watch is not None
        seen: list[bool] = []
        opened: Callable[[Grant], str] = desk.watch.opened

        def looked_at(grant: Grant) -> str:
            # Who has a place keeps it before those who came later, and who had heard the call before came first.
            counts = {so.others, so.others if grant.since >= desk.now - 5.0 or not seen else 0}
            requests = [asked(replace(so, others=n), desk, grant.mode, reason=bool(grant.reason)) for n in counts]
            rights = Rights(desk.policy.rules)
            seen.append(Allowed(grant.rule) in [explain(rights, request).verdict for request in requests])
            return opened(grant)

        def change(key: str) -> None:
            if changes:
                desk.change(rules=tuple(changes.pop()))

        desk.watch.opened = looked_at  # type: ignore[method-assign]
        desk.at_key = change
        desk.run(f"{PIN}#{so.digit}{keys}1001")
        assert all(seen)
        assert len(seen) == len(started(desk, "rule")) == len(desk.spies)


def test_the_customer_stands_for_the_call(desk: Desk) -> None:
    """Who hears the other leg of the same call counts as one who hears it."""
    assert desk.watch is not None
    desk.watch.place_taken(Place("carla", "1700000000.99", CUSTOMER_UNIQUEID, desk.now - 5.0))
    desk.change(rules=(rule(terms=Terms(max_listeners=1)),))
    desk.run()
    assert CUSTOMER in desk.channel_of(SPYEE_UNIQUEID).bridge_peer
    assert refusals(desk)[0] == Reason.TOO_MANY_LISTENERS


# ---- where the call came from, by the channels themselves ---------------------------------------------------


def told(monkeypatch: pytest.MonkeyPatch, desk: Desk, queue: str | None, direction: Direction | None = None) -> None:
    """Events have told this of the agent's call."""
    monkeypatch.setattr(desk.live, "origin_of", lambda uniqueid: Origin(queue, direction))


DENY_HELP = rule(name="not-the-helpline", effect=Effect.DENY, calls=HELP)


@pytest.mark.parametrize(
    ("rules", "by_events", "by_channels", "heard"),
    [
        ((rule(calls=HELP),), "help", "help", True),
        ((rule(calls=HELP),), "help", "", False),
        ((rule(calls=HELP),), "help", "sales", False),
        ((rule(), DENY_HELP), "", "help", False),
        ((rule(), DENY_HELP), "sales", "help", False),
        ((rule(), DENY_HELP), "", "sales", True),
        ((rule(), DENY_HELP), "sales", "sales", True),
        ((rule(), DENY_HELP), None, "", False),
        ((rule(),), "help", "", True),
    ],
)
def test_a_queue_that_only_events_have_told_decides_nothing(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    rules: tuple[Rule, ...],
    by_events: str | None,
    by_channels: str,
    heard: bool,
) -> None:
    """What the customer's channel runs has to come to the same, right before the call is heard."""
    desk.change(rules=rules)
    if by_channels:
        out_of_queue(desk, by_channels)
    told(monkeypatch, desk, by_events)
    desk.run()
    assert bool(desk.spies) is heard


@pytest.mark.parametrize(
    ("application", "by_events", "heard"),
    [
        ("AppQueue", Direction.IN, True),
        ("AppDial", Direction.IN, True),
        ("Dial", Direction.IN, False),
        ("ConfBridge", Direction.IN, False),
        ("AppDial", Direction.OUT, False),
    ],
)
def test_a_direction_that_only_events_have_told_decides_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, application: str, by_events: Direction, heard: bool
) -> None:
    """A phone that was called runs nothing of its own."""
    desk.change(rules=(rule(calls=Calls(direction=Direction.IN)),))
    desk.channel_of(SPYEE_UNIQUEID).variables["application"] = application
    told(monkeypatch, desk, "", by_events)
    desk.run()
    assert bool(desk.spies) is heard


def test_nothing_is_asked_where_no_rule_depends_on_calls(desk: Desk) -> None:
    """Every question takes its time."""
    desk.run()
    assert desk.spies
    assert not any("appname" in one for one in desk.pbx.happened)


def test_a_caller_behind_local_channels_names_the_queue(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The channel in the queue may be one on the way to the customer's phone."""
    desk.change(rules=(rule(), DENY_HELP))
    told(monkeypatch, desk, "")
    way = "Local/call@out-0000000d"
    desk.channel_of(SPYEE_UNIQUEID).bridge_peer = f"{way};2"
    desk.channel_of(CUSTOMER_UNIQUEID).bridge_peer = f"{way};1"
    queued = {"application": "Queue", "application data": "help"}
    desk.pbx.add_channel(f"{way};1", "1700000050.41", bridge_peer=CUSTOMER)
    desk.pbx.add_channel(f"{way};2", "1700000050.42", bridge_peer=SPYEE, variables=queued)
    desk.run()
    assert desk.spies == []


@pytest.mark.parametrize("answer", [True, None], ids=["still-there", "no-answer"])
def test_a_login_that_an_event_has_taken_away_is_asked_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: bool | None
) -> None:
    """A protected agent may be logged in at the phone still."""

    async def hides_owner(device: str) -> bool:
        assert device == "PJSIP/1001"
        if answer is None:
            raise Disconnected("the connection is lost")
        return answer

    monkeypatch.setattr(desk.live, "hides_owner", hides_owner)
    desk.run()
    assert desk.spies == []
    assert next(record["detail"] for record in desk.records if record["fact"] == "refused") == "stale"
