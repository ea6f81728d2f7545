"""Which channels are an agent's, in every kind of call: the live index against real phones, and against AGI."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from agi_monitor.live.index import Stale
from agi_monitor.live.targets import AgentDevices, DeviceChannel, KnownBy, Source, because, candidates, possible
from agi_monitor.model import Agent, Mode, Reason, Refusal
from agi_monitor.names import endpoint_of
from contrib.lab.manager import Manager
from contrib.lab.pbx import Lab
from tests.scenarios.watched import NODE, Watched, asking

OWN = frozenset({"PJSIP/2003"})
BEN = Agent("1001", frozenset())
CARA = Agent("1002", frozenset(), ("PJSIP/1002",))
DESK = "Local/1001@agents-at-desks/n"


@pytest.fixture
def watched(lab: Lab) -> Iterator[Watched]:
    """An index that watches the laboratory."""
    with Manager(lab) as manager:
        yield Watched(manager)
    for queue in ("500", "502"):
        lab.pbx.cli(f"queue remove member {DESK} from {queue}")


# ---- kinds of calls ------------------------------------------------------------------------------------


def called(lab: Lab) -> None:
    """A customer calls the agent."""
    lab.connect("3001", "1001")


def calling(lab: Lab) -> None:
    """The agent calls a customer."""
    lab.connect("1001", "3001")


def queue_that_keeps_its_local_channel(lab: Lab) -> None:
    """A queue reaches the agent through a Local channel that stays."""
    lab.connect("3001", "500", "1001")


def queue_whose_local_channel_goes(lab: Lab) -> None:
    """A queue reaches the agent through a Local channel that Asterisk takes out again."""
    lab.connect("3001", "501", "1001")
    lab.pbx.wait_until(lambda: len(lab.pbx.channels()) == 2, 40, "the Local channel to go")


def ring_group(lab: Lab) -> None:
    """Two phones ring, the second one is answered."""
    lab.connect("3001", "600", "1002")


def forwarded(lab: Lab) -> None:
    """The number that was dialled is forwarded, through a Local channel that goes."""
    lab.connect("3001", "610", "1002")
    lab.pbx.wait_until(lambda: len(lab.pbx.channels()) == 2, 40, "the Local channel to go")


def forwarded_for_good(lab: Lab) -> None:
    """The number that was dialled is forwarded, through a Local channel that stays."""
    lab.connect("3001", "611", "1002")


def follow_me(lab: Lab) -> None:
    """FollowMe finds the colleague."""
    lab.connect("3001", "620", "1002")


def second_device(lab: Lab) -> None:
    """The agent answers on the mobile."""
    mobile = lab.phone("1001-mobile")
    call = lab.phone("3001").dial("1001")
    mobile.answer()
    lab.phone("3001").wait_for_state(call, "established")
    lab.phone("1001").wait_until_idle()


def conference(lab: Lab) -> None:
    """Agent and two customers in a conference."""
    for phone in ("1001", "3001", "3002"):
        lab.phone(phone).call("800")


def conference_of_two(lab: Lab) -> None:
    """Agent and customer alone in a conference."""
    for phone in ("1001", "3001"):
        lab.phone(phone).call("800")


def conference_of_one(lab: Lab) -> None:
    """The agent waits in a conference."""
    lab.phone("1001").call("800")


def conference_behind_a_local_channel(lab: Lab) -> None:
    """The agent's way into the conference is a Local channel that stays."""
    lab.phone("3001").call("800")
    lab.phone("3002").call("800")
    lab.phone("1001").call("801")


def parked(lab: Lab) -> None:
    """The agent parks the customer."""
    lab.connect("3001", "1001")
    lab.phone("1001").transfer("700")
    lab.pbx.wait_until(lambda: "701" in lab.pbx.cli("parking show default"), 40, "the customer to be parked")


def parked_and_fetched(lab: Lab) -> None:
    """The agent parks the customer, the colleague fetches them."""
    parked(lab)
    lab.phone("1002").call("701")


def consultation(lab: Lab) -> None:
    """The agent has put a customer on hold and asks the colleague."""
    lab.connect("3001", "1001")
    lab.phone("1001").hold()
    lab.connect("1001", "1002")


def attended_transfer(lab: Lab) -> None:
    """The agent has asked the colleague, who takes the customer over."""
    consultation(lab)
    first, second = lab.phone("1001").calls
    lab.phone("1001").transfer_attended(first, second)


def blind_transfer(lab: Lab) -> None:
    """The agent sends the customer to the colleague without asking."""
    lab.connect("3001", "1001")
    lab.phone("1002").set_auto_answer(True)
    lab.phone("1001").transfer("1002")


def at_another_desk_by_queue(lab: Lab) -> None:
    """The agent is logged in at the colleague's desk, where the queue rings."""
    lab.pbx.cli(f"queue add member {DESK} to 502 penalty 0 as Desk state_interface PJSIP/1002")
    lab.connect("3001", "502", "1002")


def on_hold(lab: Lab) -> None:
    """The agent has put the customer on hold."""
    lab.connect("3001", "1001")
    lab.phone("1001").hold()


def put_on_hold(lab: Lab) -> None:
    """The customer has put the agent on hold."""
    lab.connect("3001", "1001")
    lab.phone("3001").hold()


def announcement(lab: Lab) -> None:
    """The agent listens to an announcement."""
    lab.phone("1001").call("810")


def ringing(lab: Lab) -> None:
    """The agent's phone rings."""
    lab.phone("3001").dial("1001")
    lab.phone("1001").wait_for_incoming()


@dataclass(frozen=True)
class Heard:
    """One channel that may be heard: the device, who talks to it, and why it is this one."""

    device: str
    peers: tuple[str, ...]
    why: str
    on_hold: bool = False


def heard(devices: AgentDevices) -> tuple[Heard, ...] | Reason:
    """What a supervisor may hear, in the order in which it is offered."""
    found = candidates(devices, OWN)
    if isinstance(found, Refusal):
        return found.reason
    return tuple(
        Heard(_phone(one.name), tuple(_phone(peer) for peer in one.peers), because(one, found), one.on_hold)
        for one in found
    )


def _phone(channel: str) -> str:
    return (endpoint_of(channel) or channel).removeprefix("PJSIP/")


HINTED, CONFIGURED, LOGGED_IN = "hint, only call", "configured device, only call", "queue login, only call"

TOPOLOGIES = [
    (called, BEN, (Heard("1001", ("3001",), HINTED),)),
    (calling, BEN, (Heard("1001", ("3001",), HINTED),)),
    (queue_that_keeps_its_local_channel, BEN, (Heard("1001", ("3001",), HINTED),)),
    (queue_whose_local_channel_goes, BEN, (Heard("1001", ("3001",), HINTED),)),
    (ring_group, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (ring_group, BEN, Reason.NO_CALL),
    (forwarded, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (forwarded_for_good, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (follow_me, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (second_device, BEN, (Heard("1001-mobile", ("3001",), HINTED),)),
    (conference, BEN, (Heard("1001", ("3001", "3002"), HINTED),)),
    (conference_of_two, BEN, (Heard("1001", ("3001",), HINTED),)),
    (conference_of_one, BEN, Reason.NO_CALL),
    (conference_behind_a_local_channel, BEN, (Heard("1001", ("3001", "3002"), HINTED),)),
    (parked, BEN, Reason.NO_CALL),
    (parked_and_fetched, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (
        consultation,
        BEN,
        (
            Heard("1001", ("1002",), "hint, chosen of 2"),
            Heard("1001", ("3001",), "hint, chosen of 2", on_hold=True),
        ),
    ),
    (consultation, CARA, (Heard("1002", ("1001",), CONFIGURED),)),
    (attended_transfer, BEN, Reason.NO_CALL),
    (attended_transfer, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (blind_transfer, BEN, Reason.NO_CALL),
    (blind_transfer, CARA, (Heard("1002", ("3001",), CONFIGURED),)),
    (at_another_desk_by_queue, BEN, (Heard("1002", ("3001",), LOGGED_IN),)),
    (on_hold, BEN, (Heard("1001", ("3001",), HINTED, on_hold=True),)),
    (put_on_hold, BEN, (Heard("1001", ("3001",), HINTED, on_hold=True),)),
    (announcement, BEN, Reason.NO_CALL),
    (ringing, BEN, Reason.RINGING),
]


@pytest.mark.parametrize(
    ("happens", "agent", "expected"),
    TOPOLOGIES,
    ids=[f"{happens.__name__}-{agent.extension}" for happens, agent, _ in TOPOLOGIES],
)
def test_the_right_channels_are_named(
    lab: Lab,
    watched: Watched,
    happens: Callable[[Lab], None],
    agent: Agent,
    expected: tuple[Heard, ...] | Reason,
) -> None:
    """Events alone lead to exactly the agent's channels with their peers and the reason; lists and AGI agree."""
    happens(lab)
    watched.wait_until(
        lambda: heard(watched.devices_of(agent, "hints")) == expected, f"{agent.extension} to be {expected}"
    )
    assert watched.resync() == ()
    devices = watched.devices_of(agent, "hints")
    assert heard(devices) == expected
    assert devices.source is Source.INDEX
    with asking(lab) as ask:
        told = ask(agent, "hints")
    assert told.source is Source.AGI
    # AGI knows of no queue members.
    own = [one for one in devices.channels if one.known_by is not KnownBy.QUEUE]
    asked = sorted(told.channels, key=lambda one: one.name)
    own.sort(key=lambda one: one.name)
    assert [seen_by_both(one) for one in asked] == [seen_by_both(one) for one in own]


def seen_by_both(channel: DeviceChannel) -> tuple[object, ...]:
    """What the index and AGI say alike of a channel."""
    peers = tuple(sorted(channel.peers))
    rest = channel.state, channel.known_by, channel.on_hold, channel.number, channel.in_conference
    return channel.name, channel.uniqueid, peers, *rest


@pytest.mark.parametrize(
    ("happens", "peers"), [(conference, 2), (conference_of_two, 1), (conference_behind_a_local_channel, 2)]
)
def test_nobody_can_barge_into_a_conference(
    lab: Lab, watched: Watched, happens: Callable[[Lab], None], peers: int
) -> None:
    """Two peers are too many, also behind a Local channel; and one peer is not alone with the agent."""
    happens(lab)

    def call() -> DeviceChannel | None:
        found = candidates(watched.devices_of(BEN, "hints"), OWN)
        return None if isinstance(found, Refusal) or len(found[0].peers) != peers else found[0]

    channel = watched.wait_until(call, "the agent to be in the conference")
    assert possible(channel, Mode.BARGE) == Refusal(Reason.CONFERENCE)
    assert possible(channel, Mode.LISTEN) is None


def test_a_parked_caller_has_a_space_and_no_peer(lab: Lab, watched: Watched) -> None:
    """The space is told while the caller waits in it, and nobody hears them."""
    parked(lab)

    def waiting() -> str | None:
        found = watched.index.channels_of(NODE, "PJSIP/3001")
        assert isinstance(found, tuple)
        assert watched.index.peers_of(NODE, found[0].uniqueid) == ()
        return found[0].parking_space

    assert watched.wait_until(waiting, "the customer to be parked") == "701"
    lab.phone("1002").call("701")
    talking = (Heard("1002", ("3001",), CONFIGURED),)
    watched.wait_until(lambda: heard(watched.devices_of(CARA, "hints")) == talking, "the customer to be fetched")
    channels = watched.index.channels_of(NODE, "PJSIP/3001")
    assert isinstance(channels, tuple)
    (fetched,) = channels
    assert fetched.parking_space == ""
    peers = watched.index.peers_of(NODE, fetched.uniqueid)
    assert isinstance(peers, tuple)
    assert [peer.endpoint for peer in peers] == ["PJSIP/1002"]


def test_an_agent_at_another_desk_by_hint(lab: Lab, watched: Watched) -> None:
    """The hint names the colleague's phone, so its call is the agent's; over AGI it is the same."""
    lab.connect("3001", "1002")
    expected = (Heard("1002", ("3001",), HINTED),)
    watched.wait_until(lambda: heard(watched.devices_of(BEN, "desks")) == expected, "the call at the other desk")
    assert heard(watched.devices_of(BEN, "hints")) == Reason.NO_CALL
    with asking(lab) as ask:
        assert heard(ask(BEN, "desks")) == expected


def test_an_agent_whose_hint_is_another_one_since_a_reload(lab: Lab, watched: Watched) -> None:
    """No event says so; but the index knows that it does not know, until the next list."""
    context = "lab-tests"
    try:
        lab.pbx.write_dialplan("lab-hint", f"[{context}]\nexten => 1001,hint,PJSIP/100\n")
        watched.wait_until(lambda: watched.index.wants_lists(NODE), "the new hint to be doubted")
        assert watched.resync() == ()
        lab.connect("3001", "100")
        expected = (Heard("100", ("3001",), HINTED),)
        watched.wait_until(lambda: heard(watched.devices_of(BEN, context)) == expected, "the call at the first desk")
        lab.pbx.write_dialplan("lab-hint", f"[{context}]\nexten => 1001,hint,PJSIP/1002\n")
        watched.wait_until(lambda: watched.index.wants_lists(NODE), "the other hint to be doubted")
        assert watched.index.devices_of(NODE, BEN, context) is Stale.RELOADED
        assert watched.resync() == ()
        assert not watched.index.wants_lists(NODE)
        assert heard(watched.devices_of(BEN, context)) == Reason.NO_CALL
    finally:
        lab.pbx.hangup_all()
        lab.pbx.remove_dialplan("lab-hint")


def test_an_agent_logs_in_and_out(lab: Lab, watched: Watched) -> None:
    """A queue member that is added and removed is told by events, by its interface or by its name."""
    lab.connect("3001", "100")
    for member in (f"{DESK} to 500 penalty 0 as Desk", "PJSIP/100 to 500 penalty 0 as 1001"):
        assert heard(watched.devices_of(BEN, "hints")) == Reason.NO_CALL
        lab.pbx.cli(f"queue add member {member} state_interface PJSIP/100")
        expected = (Heard("100", ("3001",), LOGGED_IN),)
        watched.wait_until(lambda: heard(watched.devices_of(BEN, "hints")) == expected, "the login")  # noqa: B023
        assert watched.resync() == ()
        assert heard(watched.devices_of(BEN, "hints")) == expected
        lab.pbx.cli(f"queue remove member {member.partition(' ')[0]} from 500")
        watched.wait_until(lambda: heard(watched.devices_of(BEN, "hints")) == Reason.NO_CALL, "the end of the login")


def test_a_phone_that_goes_off_is_unavailable(lab: Lab, watched: Watched) -> None:
    """Registrations are followed by device states."""
    agent = Agent("100", frozenset(), ("PJSIP/100",))
    assert heard(watched.devices_of(agent, "hints")) == Reason.NO_CALL
    lab.phone("100").switch_off()
    watched.wait_until(lambda: heard(watched.devices_of(agent, "hints")) == Reason.UNAVAILABLE, "the phone to be off")
    lab.phone("100").switch_on()
    watched.wait_until(lambda: heard(watched.devices_of(agent, "hints")) == Reason.NO_CALL, "the phone to be on")


def test_a_supervisor_is_not_heard_at_another_desk(lab: Lab, watched: Watched) -> None:
    """An agent who is logged in at the supervisor's own phone is the supervisor's own."""
    lab.pbx.cli(f"queue add member {DESK} to 500 penalty 0 as Desk state_interface PJSIP/2003")
    watched.wait_until(lambda: heard(watched.devices_of(BEN, "hints")) == Reason.SELF_SPY, "the login")
