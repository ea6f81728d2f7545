"""A supervisor away from their own phone: the number of that one says who they are, the PIN proves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.model import Cue, Mode, Supervisor
from agi_monitor.pins.guard import PinPolicy
from agi_monitor.supervision.policy import Permitted
from tests.doubles.desk import (
    ANNA,
    ANNA_HERE,
    BERT,
    OTHER_HASH,
    PIN,
    PIN_HASH,
    PIN_POLICY,
    POLICY,
    Desk,
    limits,
    refusals,
    spoken,
)
from tests.unit.supervision.story.calls import STRANGER, WRONG, assert_spies_are_on_record

BORROWED = "PJSIP/6666"


@pytest.fixture
def away(tmp_path: Path) -> Desk:
    """An unassigned phone, at a site whose supervisors may call from any phone."""
    desk = Desk(tmp_path, channel=STRANGER)
    desk.change(any_phone=True)
    return desk


def test_the_number_and_the_pin_are_enough(away: Desk) -> None:
    """What follows is as on the own phone, and the record names the phone that it really was."""
    away.run(f"2001#{PIN}#")
    assert [spy.partition(",")[0] for spy in away.spies] != []
    assert_spies_are_on_record(away)
    assert {(record["supervisor"], record["endpoint"]) for record in away.records} == {("anna", BORROWED)}
    assert away.pbx.played[:2] == [*spoken(Cue.ASK_NUMBER), *spoken(Cue.ASK_PIN)]


def test_the_own_phone_asks_for_no_number(tmp_path: Path) -> None:
    """Nor does an unassigned phone where the site does not want that."""
    own = Desk(tmp_path / "own")
    own.change(any_phone=True)
    assert own.run().spies != []
    off = Desk(tmp_path / "off", channel=STRANGER)
    off.run(f"2001#{PIN}#")
    for desk in (own, off):
        assert spoken(Cue.ASK_NUMBER)[0] not in desk.pbx.played
    assert refusals(off) == ["endpoint_unknown"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("own", "off", "known", "unknown"):
        (tmp_path / name).mkdir()


@pytest.mark.parametrize("policy", [PIN_POLICY, replace(PIN_POLICY, limits=limits(2))], ids=["wrong", "locked"])
def test_a_number_of_nobody_sounds_like_a_wrong_pin(tmp_path: Path, policy: PinPolicy) -> None:
    """Nobody learns which numbers are supervisors', not by another language either."""
    heard: list[tuple[list[list[str]], list[str]]] = []
    for name, number in (("known", "2002"), ("unknown", "5555")):
        desk = Desk(tmp_path / name, channel=STRANGER, pin_policy=policy)
        desk.change(any_phone=True)
        desk.run(f"{number}#" + WRONG * 3)
        heard.append((desk.pbx.commands, desk.pbx.played))
        assert desk.spies == []
    assert heard[0] == heard[1]


@pytest.mark.parametrize("phone", [STRANGER, "PJSIP/7777-00000001"], ids=["same phone", "another phone"])
@pytest.mark.parametrize("wrong", [1, 3, 5, 7])
def test_a_lock_out_does_not_tell_a_number_of_nobody(tmp_path: Path, wrong: int, phone: str) -> None:
    """After wrong PINs for a number the next call sounds the same, for that number and for another one, on that phone
    and elsewhere. Only the lock-outs of people and phones are on record."""
    heard: list[list[tuple[list[list[str]], list[str]]]] = []
    for name, number in (("known", "2002"), ("unknown", "5555")):
        desk = Desk(tmp_path / name, channel=STRANGER, pin_policy=replace(PIN_POLICY, attempts=wrong))
        desk.change(any_phone=True)
        desk.run(f"{number}#" + WRONG * wrong)
        heard.append([(desk.pbx.commands, desk.pbx.played)])
        for then in (number, "7777"):
            (folder := tmp_path / f"{name}-{then}").mkdir()
            later = Desk(folder, channel=phone)
            later.change(any_phone=True)
            later.pins = desk.pins
            later.run(f"{then}#" + WRONG * 2)
            heard[-1].append((later.pbx.commands, later.pbx.played))
        kinds = [record["kind"] for record in desk.records if record["fact"] == "locked_out"]
        assert ("supervisor" in kinds) == (name == "known" and wrong >= 5)
        assert "5555" not in (tmp_path / name / "agi-monitor.db").read_bytes().decode("latin-1")
    assert heard[0] == heard[1]


@pytest.mark.parametrize("channel", ["Local/2999@phones-00000001;1", "SIP/2999-00000001"])
def test_what_is_no_phone_is_not_asked_for_a_number(tmp_path: Path, channel: str) -> None:
    """A Local channel and a guest of chan_sip have another name in each call: no wrong PIN would lock them out."""
    desk = Desk(tmp_path, channel=channel)
    desk.change(any_phone=True)
    desk.pbx.channel.guest = True
    desk.run(f"2001#{PIN}#")
    assert spoken(Cue.ASK_NUMBER)[0] not in desk.pbx.played
    assert refusals(desk) == ["endpoint_unknown"]


def test_a_pin_that_must_be_changed_is_asked_for_in_the_language(away: Desk) -> None:
    """Of the supervisor, whose PIN was right."""
    away.pins.policy = replace(PIN_POLICY, max_age=86_400.0)
    away.run(f"2002#{PIN}#")
    assert refusals(away) == ["pin_expired"]
    assert ["SET", "VARIABLE", "CHANNEL(language)", "de"] in away.pbx.commands


def test_the_language_of_the_supervisor_comes_with_the_pin(away: Desk) -> None:
    """Bert's is German."""
    away.run(f"2002#{PIN}#")
    spoken_in = ["SET", "VARIABLE", "CHANNEL(language)", "de"]
    pin_asked = (position for position, one in enumerate(away.pbx.commands) if one[:2] == ["GET", "DATA"])
    assert away.pbx.commands.count(spoken_in) == 1
    assert away.pbx.commands.index(spoken_in) > max(pin_asked)


def test_wrong_pins_lock_the_supervisor_and_the_phone(away: Desk) -> None:
    """As on the own phone."""
    away.run("2001#" + WRONG * 3)
    assert refusals(away) == ["pin_wrong"]
    for who in ("supervisor:anna", f"endpoint:{BORROWED}"):
        lock = away.wrong_pins(who)
        assert lock is not None
        assert lock.failures == 3
    assert away.wrong_pins("endpoint:PJSIP/2001") is None


def test_no_digit_of_what_was_keyed_in_is_written_down(away: Desk) -> None:
    """It may have been a PIN."""
    away.run(f"{PIN}#" * 4)
    assert refusals(away) == ["endpoint_unknown"]
    assert PIN not in away.audit_path.read_text()


def test_a_pin_is_not_remembered_there(away: Desk) -> None:
    """A number is not a secret: the next one to key it in is asked for the PIN."""
    away.pins.policy = replace(PIN_POLICY, remember_seconds=600.0)
    away.run(f"2001#{PIN}#")
    assert away.pins._remembered == {}


def test_a_borrowed_phone_cannot_hear_its_own_call() -> None:
    """Its owner may be an agent, whose call is on hold there."""
    permitted = replace(POLICY, any_phone=True).permitted(BORROWED, ANNA_HERE, "1001", Mode.LISTEN)
    assert isinstance(permitted, Permitted)
    assert permitted.own == {BORROWED, "PJSIP/2001"}


def test_who_loses_the_right_loses_the_call() -> None:
    """The site takes it back, the supervisor is removed, or the phone is given to another one."""
    policy = replace(POLICY, any_phone=True)
    assert isinstance(policy.identified(BORROWED, ANNA_HERE), Supervisor)
    for changed in (
        replace(policy, any_phone=False),
        replace(policy, supervisors={"PJSIP/2002": BERT}),
        replace(policy, supervisors={**policy.supervisors, BORROWED: BERT}),
        replace(policy, supervisors={"PJSIP/2001": replace(ANNA, pin_hash=OTHER_HASH)}),
    ):
        assert not isinstance(changed.identified(BORROWED, ANNA_HERE), Supervisor)


@pytest.mark.parametrize(
    ("endpoints", "number", "who"),
    [
        ({"anna": "PJSIP/2001", "bert": "PJSIP/2002"}, "2001", "anna"),
        ({"anna": "PJSIP/2001-desk", "bert": "SIP/2002"}, "2001", "anna"),
        ({"anna": "PJSIP/2001", "bert": "SIP/2001"}, "2001", None),
        ({"anna": "PJSIP/2001a", "bert": "PJSIP/a2001"}, "2001", None),
        ({"anna": "PJSIP/2001"}, "200", None),
        ({"anna": "PJSIP/anna"}, "", None),
    ],
)
def test_which_phone_has_which_number(endpoints: dict[str, str], number: str, who: str | None) -> None:
    """A number that two people have counts for neither."""
    people = {
        endpoint: Supervisor(id, frozenset({endpoint}), frozenset(), PIN_HASH) for id, endpoint in endpoints.items()
    }
    found = replace(POLICY, supervisors=people).with_number(number)
    assert (None if found is None else found.id) == who
