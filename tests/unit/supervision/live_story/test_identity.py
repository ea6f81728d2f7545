"""The phone, the person or the PIN is changed during a call: then nothing more is asked for, or heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from agi_monitor.model import Cue, Follow, Reason, Supervisor
from agi_monitor.pins import records as pin_records
from agi_monitor.pins.records import PinRecord, pin_id
from agi_monitor.storage.pin_table import PinTable
from agi_monitor.supervision.hooks import Plugin
from tests.doubles.desk import ANNA, BERT, NOW, OTHER_HASH, PIN, PIN_HASH, SPYEE, Desk, refusals, spoken, started
from tests.unit.supervision.live_story.calls import ALL_MODES, call_of_1001, connected, ends
from tests.unit.supervision.live_story.test_gates import Agrees, while_told
from tests.unit.supervision.test_pin_change import ASKED, NEW, Office

CHANGES: dict[str, dict[str, Supervisor]] = {
    "another-person": {"PJSIP/2001": replace(BERT, endpoints=frozenset({"PJSIP/2001"}))},
    "moved": {"PJSIP/2009": replace(ANNA, endpoints=frozenset({"PJSIP/2009"}))},
    "disabled": {"PJSIP/2002": BERT},
    "another-pin": {"PJSIP/2001": replace(ANNA, pin_hash=OTHER_HASH)},
}
each_change = pytest.mark.parametrize("supervisors", CHANGES.values(), ids=CHANGES)
either_change = pytest.mark.parametrize("supervisors", [CHANGES["another-person"], CHANGES["another-pin"]])


def over(desk: Desk) -> None:
    """The last thing on record and the last thing that is said."""
    assert refusals(desk) == ["identity_changed"]
    assert desk.records[-1]["supervisor"] == "anna"
    goodbye = [*spoken(Reason.IDENTITY_CHANGED), *spoken(Cue.GOODBYE)]
    assert desk.pbx.played[-len(goodbye) :] == goodbye
    assert desk.pbx.commands[-1] == ["HANGUP"]


@either_change
@pytest.mark.parametrize("when", ["told", "plug-in", "record", "waiting"])
def test_whoever_is_not_the_one_any_more_hears_nothing(desk: Desk, supervisors: dict[str, object], when: str) -> None:
    """While the agent is told, a plug-in is asked, the record is written, the next call is waited for."""

    def change() -> None:
        desk.change(supervisors=supervisors)

    if when == "told":
        while_told(desk, change)
    elif when == "plug-in":
        desk.plugins = (Plugin("agrees", Agrees(change)),)
    elif when == "record":
        desk.audit.afterwards["spy_started"] = change
    else:
        desk.when_quiet = desk.agent_hangs_up
        desk.then(lambda: None, change, lambda: call_of_1001(desk))
    desk.run()
    assert len(desk.spies) == (1 if when == "waiting" else 0)
    over(desk)


@each_change
def test_the_scan_comes_to_nobody_any_more(tmp_path: Path, supervisors: dict[str, object]) -> None:
    """Not while it waits, and not to the next agent."""
    desk = connected(tmp_path, "*222*")
    desk.when_quiet = desk.agent_hangs_up
    desk.then(lambda: desk.change(supervisors=supervisors), lambda: call_of_1001(desk))
    desk.run()
    assert len(desk.spies) == 1
    over(desk)


@either_change
def test_a_customer_is_not_waited_for_any_more(desk: Desk, supervisors: dict[str, object]) -> None:
    """With the customer still on the line, no look is left in which the wait could continue."""
    desk.change(follow=Follow.CUSTOMER)

    def agent_leaves() -> int:
        agent, customer = desk.pbx.channels[1], desk.pbx.channels[2]
        agent.alive, customer.bridge_peer = False, ""
        return 0

    desk.when_quiet = agent_leaves
    desk.then(lambda: None, lambda: desk.change(supervisors=supervisors))
    desk.run()
    over(desk)


def test_a_phone_that_changes_hands_while_the_pin_is_asked_for(tmp_path: Path) -> None:
    """The PIN of the one before opens nothing at the phone of the one who has it now."""
    desk = connected(tmp_path)
    store = desk.pins._store.change

    def change(*arguments: object) -> object:
        desk.change(supervisors=CHANGES["another-person"])
        return store(*arguments)  # type: ignore[arg-type]

    desk.pins._store.change = change  # type: ignore[assignment, method-assign]
    desk.run()
    assert desk.spies == []
    over(desk)
    assert desk.recorded("detail") == [("the phone is assigned to another supervisor",)]


def test_a_pin_that_is_given_again_ends_what_the_old_one_opened(tmp_path: Path) -> None:
    """Both in the same second, as an import may say it, and with the same digits: it is another PIN."""
    desk = connected(tmp_path)
    desk.change(supervisors={"PJSIP/2001": replace(ANNA, pin_set=NOW)})
    again = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PIN)
    desk.at_key = lambda key: desk.change(supervisors={"PJSIP/2001": replace(ANNA, pin_hash=again, pin_set=NOW)})
    desk.run(f"{PIN}#6")
    assert len(desk.spies) == 1
    over(desk)


def test_the_grant_names_the_pin(desk: Desk) -> None:
    """So a spy whose PIN was changed is found, even by the next run of the server; the digits cannot be tried."""
    desk.run()
    assert desk.watch is not None
    (grant,) = desk.watch.grants
    assert (grant.supervisor, grant.pin) == ("anna", pin_id(PIN_HASH))
    assert PIN_HASH not in repr(grant)


def test_a_spy_whose_pin_was_changed_ends_with_the_call(desk: Desk) -> None:
    """The watch ends it with this reason: the supervisor is told, and is not asked for another agent."""
    assert desk.watch is not None

    def revoked() -> int | None:
        desk.change(supervisors=CHANGES["another-pin"])
        result = desk.revoked_while_heard()
        desk.watch.reasons = dict.fromkeys(desk.watch.reasons, "identity_changed")  # type: ignore[union-attr]
        return result

    desk.when_quiet = revoked
    desk.run()
    assert ends(desk) == ["revoked"]
    over(desk)


@pytest.mark.parametrize("change", [True, False], ids=["another-change", "none"])
def test_a_pin_changed_on_this_call_is_the_one_that_counts(tmp_path: Path, change: bool) -> None:
    """The supervisor continues with the new PIN; an administrator who changes it once more ends that."""
    office = Office(tmp_path, ASKED)
    table = PinTable(office.desk.database)

    def reset(key: str) -> None:
        if change:
            table.replace("anna", office.record, PinRecord(OTHER_HASH, NOW), "root", NOW)
        office.desk.take_changes()

    office.desk.at_key = reset
    desk = office.dial(PIN, NEW, f"{NEW}#4")
    assert len(desk.spies) == (1 if change else 2)
    assert refusals(desk) == (["identity_changed"] if change else [])


@pytest.fixture(autouse=True)
def cheap_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """New records cost a moment instead of 50 ms."""
    monkeypatch.setattr(pin_records, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.mark.parametrize("supervisors", [CHANGES["another-person"], CHANGES["disabled"]])
def test_a_pin_is_not_changed_by_who_has_lost_the_phone(tmp_path: Path, supervisors: dict[str, object]) -> None:
    """While the new one is chosen."""
    office = Office(tmp_path, ASKED)
    choosing = office.desk.pins.new_record

    async def meanwhile(pin: str) -> PinRecord:
        office.desk.change(supervisors=supervisors)
        return await choosing(pin)

    office.desk.pins.new_record = meanwhile  # type: ignore[method-assign]
    desk = office.dial(PIN, NEW, NEW)
    assert office.record == ASKED
    assert refusals(desk) == ["identity_changed"]


# ---- what a plug-in is told ------------------------------------------------------------------------------------


def test_a_plug_in_is_told_the_groups_of_now(desk: Desk) -> None:
    """Not those of the moment when the PIN was given."""
    plugin = Agrees()
    desk.plugins = (Plugin("agrees", plugin),)
    more = replace(ANNA, groups=frozenset({"leads", "night"}))
    desk.at_key = lambda key: desk.change(supervisors={"PJSIP/2001": more})
    desk.run(f"{PIN}#4")
    assert [asked.supervisor_groups for asked in plugin.asked] == [{"leads"}, {"leads", "night"}]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda desk: desk.change(notice=ALL_MODES), "notice_failed"),
        (lambda desk: desk.change(rules=(replace(desk.policy.rules[0], name="since-then"),)), "rule_changed"),
        (
            lambda desk: desk.change(supervisors={"PJSIP/2001": replace(ANNA, groups=frozenset({"leads", "night"}))}),
            "revoked",
        ),
        (
            lambda desk: desk.change(agents={"1001": replace(desk.policy.agents["1001"], endpoints=("PJSIP/1009",))}),
            "target_gone",
        ),
        (
            lambda desk: desk.change(
                supervisors={"PJSIP/2001": replace(ANNA, endpoints=frozenset({"PJSIP/2001", "PJSIP/1001"}))}
            ),
            "self_spy",
        ),
    ],
    ids=["notice", "rule", "plug-in", "agents-phone", "own-phone"],
)
def test_what_was_asked_and_told_must_hold_when_it_is_heard(
    desk: Desk, change: Callable[[Desk], None], detail: str
) -> None:
    """The configuration changes while the record is written: the record would name another rule, the agent would not
    know, the plug-ins would not have agreed, the phone would be another's."""
    desk.plugins = (Plugin("agrees", Agrees()),)
    desk.audit.afterwards["spy_started"] = lambda: change(desk)
    desk.run()
    assert desk.spies == []
    assert started(desk, "spyee") == [(SPYEE,)]
    assert [one["detail"] or one["reason"] for one in desk.records if one["fact"] == "refused"] == [detail]
