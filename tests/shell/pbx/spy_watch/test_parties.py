"""Who comes into a call that is heard: another party, a protected phone, a colleague."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.model import Agent, Barge, Mode
from agi_monitor.pbx.joined_calls import DOOR_SECONDS
from agi_monitor.pbx.looks import SOURCE_SECONDS
from agi_monitor.supervision.protected import Protected
from tests.shell.managed import CUSTOMER, GRANT, SPYEE, SPYER, SPYER_UNIQUEID, Site
from tests.shell.pbx.spy_watch.watching import DOCTOR

COLLEAGUE = "PJSIP/1002-00000014"
NEW_PARTY, NEW_PARTY_UNIQUEID = "PJSIP/3002-00000015", "1700000000.15"


BEGUN_ANEW = {"Channel": SPYER_UNIQUEID, "Digit": "D", "Duration": "80", "Receive": "true"}


def transfer(site: Site, bridge: str = "b-9") -> None:
    """The customer sends the agent on to somebody else."""
    site.fake.hang_up(CUSTOMER)
    site.fake.leave(SPYEE)
    site.fake.add_channel(NEW_PARTY, NEW_PARTY_UNIQUEID, bridge)
    site.fake.enter(SPYEE, bridge)


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
def test_a_spy_begins_anew_with_another_party(site: Site, mode: Mode) -> None:
    """Asterisk may give the agent alone after a transfer; the key is pressed once, and nobody is refused anything."""
    site.open(replace(GRANT, mode=mode))
    transfer(site)
    assert site.fake.asked("PlayDTMF") == [BEGUN_ANEW]
    assert site.watch.revoked(GRANT) is None
    assert site.facts == []


def test_whoever_joins_a_call_of_two_does_not_begin_the_spy_anew(site: Site) -> None:
    """In a conference Asterisk mixes, and loses nobody; hold and retrieve bring nobody new."""
    site.open()
    site.fake.add_channel(NEW_PARTY, NEW_PARTY_UNIQUEID, "b-1")
    site.fake.hang_up(NEW_PARTY)
    site.fake.leave(CUSTOMER)
    site.fake.enter(CUSTOMER, "b-1")
    assert site.fake.asked("PlayDTMF") == []


def test_the_last_of_a_conference_is_another_party(site: Site) -> None:
    """Of three the customer leaves: who is left is not the one that the spy began with."""
    site.open()
    site.fake.add_channel(NEW_PARTY, NEW_PARTY_UNIQUEID, "b-1")
    site.fake.hang_up(CUSTOMER)
    site.fake.leave(NEW_PARTY)
    site.fake.enter(NEW_PARTY, "b-1")
    assert site.fake.asked("PlayDTMF") == [BEGUN_ANEW]


def test_another_party_that_nobody_may_hear_ends_the_spy(site: Site) -> None:
    """It is revoked, and does not begin again."""
    site.open()
    site.change(protected=Protected(frozenset({"PJSIP/3002"})))
    transfer(site)
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]
    assert len(site.fake.asked("PlayDTMF")) == 1


def test_a_conference_and_a_take_over_do_not_begin_anew(site: Site) -> None:
    """The supervisor is in the call itself there, and a key would do nothing, or leave it."""
    site.watch.opened(replace(GRANT, mode=Mode.BARGE))
    site.fake.enter(SPYER, "b-9")
    transfer(site)
    assert site.fake.asked("PlayDTMF") == []


def test_a_protected_phone_behind_a_local_channel_ends_the_spy(site: Site) -> None:
    """The bridge that it joins is not the agent's, and it is heard all the same."""
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.leave(SPYEE)
    site.fake.enter(SPYEE, "b-7")
    site.fake.add_channel("Local/1001@queue-00000009;1", "1700000000.9", "b-7")
    site.fake.add_channel("Local/1001@queue-00000009;2", "1700000000.10", "b-8")
    site.fake.leave(CUSTOMER)
    site.fake.enter(CUSTOMER, "b-8")
    site.open()
    assert site.facts == []
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-8")
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]


def test_a_protected_phone_that_joins_when_the_agent_is_gone_ends_the_spy(site: Site) -> None:
    """In a conference the supervisor is on the call, with the agent or without."""
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.add_channel("PJSIP/1002-00000014", "1700000000.14", "b-1")
    grant = replace(GRANT, mode=Mode.BARGE)
    site.watch.opened(grant)
    site.fake.enter(SPYER, "b-1")
    site.fake.hang_up(SPYEE)
    assert site.facts == []
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["protected"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER_UNIQUEID}]


def joined(site: Site, mode: Mode = Mode.BARGE) -> None:
    """The supervisor has joined a call of 1001, whom the rules allow; 1002, at their phone, they do not."""
    (rule,) = site.policy.rules
    board = Agent("1002", frozenset({"board"}), ("PJSIP/1002",))
    site.change(agents={**site.policy.agents, "1002": board}, rules=(replace(rule, agents=frozenset({"sales"})),))
    site.watch.opened(replace(GRANT, mode=mode))
    site.fake.enter(SPYER, "b-1")


def test_a_colleague_whom_nobody_allowed_ends_the_spy_when_the_agent_has_left(site: Site) -> None:
    """A blind transfer: the agent goes, the colleague comes, and it is the colleague's call."""
    joined(site)
    site.fake.hang_up(SPYEE)
    assert site.facts == []
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]
    assert site.fake.asked("BridgeKick") == [{"BridgeUniqueid": "b-1", "Channel": SPYER_UNIQUEID}]


@pytest.mark.parametrize("end", ["leave", "hang_up"])
def test_a_colleague_who_came_before_the_agent_left_ends_the_spy(site: Site, end: str) -> None:
    """With the agent it is the agent's call, with anyone else on it; without, it is the colleague's."""
    joined(site)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    assert site.facts == []
    getattr(site.fake, end)(SPYEE)
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_a_colleague_behind_a_local_channel_ends_the_spy(site: Site) -> None:
    """As of a queue, which the agent has transferred the call to."""
    joined(site)
    site.fake.add_channel("Local/1002@queue-00000009;1", "1700000000.9", "b-1")
    site.fake.add_channel("Local/1002@queue-00000009;2", "1700000000.10", "b-8")
    site.fake.hang_up(SPYEE)
    assert site.facts == []
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-8")
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


def test_a_colleague_who_may_be_heard_ends_nothing(site: Site) -> None:
    """Nor do those who are not agents, nor the agent who comes back."""
    joined(site)
    site.policy = replace(
        site.policy, agents={**site.policy.agents, "1002": Agent("1002", frozenset({"sales"}), ("PJSIP/1002",))}
    )
    site.fake.leave(SPYEE)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    site.fake.add_channel("PJSIP/3002-00000015", "1700000000.15", "b-1")
    site.fake.enter(SPYEE, "b-1")
    assert site.facts == []


def test_another_supervisor_on_the_call_is_no_colleague(site: Site) -> None:
    """Though somebody else's agent as well: they are there to hear, by a grant of their own."""
    joined(site)
    second = replace(GRANT, call="c-2", mode=Mode.BARGE, spyer=COLLEAGUE, spyer_uniqueid="1700000000.14")
    site.watch.opened(second)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    site.fake.hang_up(SPYEE)
    assert site.facts == []


def test_whoever_took_over_has_a_call_of_their_own(site: Site) -> None:
    """The agent was released, and whom the customer brings in talks to the supervisor."""
    joined(site, Mode.TAKE_OVER)
    site.fake.hang_up(SPYEE)
    site.fake.add_channel(COLLEAGUE, "1700000000.14", "b-1")
    assert site.facts == []


def test_a_phone_that_joined_while_the_record_was_written_ends_the_spy(site: Site) -> None:
    """A grant is compared with the call as it is when it begins."""
    site.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
    site.watch.opened(GRANT)
    assert site.watch.revoked(GRANT) == "protected"


@pytest.mark.parametrize(
    ("event", "headers"),
    [
        ("QueueMemberAdded", {"Queue": "q", "Interface": SPYEE.rpartition("-")[0], "MemberName": "1003"}),
        ("ExtensionStatus", {"Exten": "1003", "Context": "default", "Hint": "PJSIP/1001", "Status": "1"}),
        (None, {}),
    ],
    ids=["login", "hint", "configuration"],
)
def test_a_phone_that_becomes_somebody_elses_too_is_heard_no_longer(
    site: Site, event: str | None, headers: dict[str, str]
) -> None:
    """At the next look the supervisor needs the right for both, and has it for one."""
    (rule,) = site.policy.rules
    board = Agent("1003", frozenset({"board"}), () if event == "ExtensionStatus" else ("PJSIP/1003",))
    site.change(agents={**site.policy.agents, "1003": board}, rules=(replace(rule, agents=frozenset({"sales"})),))
    site.open()
    site.watch.recheck()
    assert site.facts == []
    if event is not None:
        site.fake.event(event, **headers)
    else:
        site.policy = replace(
            site.policy, agents={**site.policy.agents, "1003": replace(board, endpoints=("PJSIP/1001",))}
        )
    site.watch.recheck()
    assert [record["why"] for record in site.records("spy_revoked")] == ["mode_denied"]


@pytest.mark.parametrize("mode", [Mode.BARGE, Mode.TAKE_OVER])
@pytest.mark.parametrize("joins", ["the supervisor's call", "the agent's next call"])
def test_the_call_that_is_heard_is_watched_when_the_agent_is_in_another_one(
    site: Site, mode: Mode, joins: str
) -> None:
    """An agent who stays logged in on one channel: a protected phone counts where the supervisor is alone."""
    site.change(barge=Barge.CONFERENCE, protected=Protected(endpoints=frozenset({"PJSIP/9000"})))
    grant = replace(GRANT, mode=mode)
    site.open(grant)
    site.fake.enter(SPYER, "b-1")
    site.fake.advance(DOOR_SECONDS + 1.0)
    site.fake.leave(SPYEE)
    site.fake.add_channel("PJSIP/trunk-00000050", "1700000000.50", "b-2")
    site.fake.enter(SPYEE, "b-2")
    site.fake.advance(SOURCE_SECONDS)
    assert site.watch.revoked(grant) is None
    site.fake.add_channel(DOCTOR, "1700000000.13", "b-1" if joins.startswith("the supervisor") else "b-2")
    for _ in range(10):
        site.fake.advance(SOURCE_SECONDS / 4)
    assert site.watch.revoked(grant) == ("protected" if joins.startswith("the supervisor") else None)
    site.change(rules=())
    assert site.watch.revoked(grant) is not None
