"""Which of an agent's channels is meant."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from agi_monitor.live.targets import (
    AgentDevices,
    ChannelState,
    DeviceChannel,
    KnownBy,
    because,
    candidates,
    found_again,
    possible,
)
from agi_monitor.model import Barge, Mode, Reason, Refusal

SPYER = frozenset({"PJSIP/2001"})
ELSEWHERE = "the call went on with another party"


def channel(
    name: str = "PJSIP/1001-0000000a",
    uniqueid: str = "1700000000.10",
    state: ChannelState = ChannelState.UP,
    peers: tuple[str, ...] = ("PJSIP/trunk-0000000b",),
    on_hold: bool = False,
) -> DeviceChannel:
    """One leg of an agent on a call."""
    return DeviceChannel(name, uniqueid, state, peers, on_hold)


def devices(*channels: DeviceChannel, reachable: bool = True) -> AgentDevices:
    """An agent with one phone."""
    return AgentDevices(("PJSIP/1001",), channels, reachable)


TALKING = channel()
RINGING = channel("PJSIP/1001-0000000c", "1700000000.12", ChannelState.RINGING, ())
CALLING = channel("PJSIP/1001-0000000d", "1700000000.13", ChannelState.RING, ())
UP_ALONE = channel("PJSIP/1001-0000000e", "1700000000.14", ChannelState.UP, ())
BUSY = channel("PJSIP/1001-0000000f", "1700000000.15", ChannelState.OTHER, ())
RINGING_IN_BRIDGE = channel("PJSIP/1001-00000010", "1700000000.16", ChannelState.RINGING)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (devices(), Reason.NO_CALL),
        (devices(reachable=False), Reason.UNAVAILABLE),
        (AgentDevices((), (), reachable=False), Reason.UNAVAILABLE),
        (devices(RINGING), Reason.RINGING),
        (devices(CALLING), Reason.RINGING),
        (devices(RINGING_IN_BRIDGE), Reason.RINGING),
        (devices(UP_ALONE), Reason.NO_CALL),
        (devices(BUSY), Reason.NO_CALL),
        (devices(BUSY, reachable=False), Reason.NO_CALL),
        (devices(UP_ALONE, RINGING), Reason.RINGING),
        (devices(RINGING, reachable=False), Reason.RINGING),
        (AgentDevices(("PJSIP/1001", *SPYER), (TALKING,), reachable=True), Reason.SELF_SPY),
    ],
)
def test_says_why_there_is_no_call(known: AgentDevices, reason: Reason) -> None:
    """Each state of the devices without a conversation has its reason, and one's own phone comes first."""
    assert candidates(known, SPYER) == Refusal(reason)


def test_a_call_that_cannot_be_named_is_no_idle_phone() -> None:
    """The audit and the log say why nothing is heard."""
    known = replace(devices(), unusable=("a,b-1.1",))
    assert candidates(known, SPYER) == Refusal(Reason.NO_CALL, "1 with an identifier that cannot be used")
    assert candidates(replace(devices(TALKING), unusable=("a,b-1.1",)), SPYER) == (TALKING,)


@pytest.mark.parametrize("others", list(itertools.permutations([RINGING, CALLING, UP_ALONE, BUSY], 2)))
def test_a_conversation_is_found_beside_other_legs(others: tuple[DeviceChannel, ...]) -> None:
    """Only the leg that talks is a candidate."""
    assert candidates(devices(*others, TALKING), SPYER) == (TALKING,)


def test_the_order_is_the_same_every_time() -> None:
    """Calls that are not on hold come first, then the older one, by number and not by text."""
    old = channel("PJSIP/1001-1", "pbx-2-999999999.9")
    newer = channel("PJSIP/1001-2", "pbx-2-1000000000.9")
    newest = channel("PJSIP/1001-3", "pbx-2-1000000000.10")
    ageless = channel("PJSIP/1001-5", "click-to-dial-7")
    held = channel("PJSIP/1001-4", "pbx-2-1.1", on_hold=True)
    for order in itertools.permutations([old, newer, newest, ageless, held]):
        assert candidates(devices(*order), SPYER) == (old, newer, newest, ageless, held)


def test_a_supervisors_other_phone_is_their_own_as_well() -> None:
    """Nobody spies on themselves, from whichever of their phones."""
    own = frozenset({"PJSIP/2001", "PJSIP/1001"})
    assert candidates(AgentDevices(("PJSIP/1001",), (TALKING,), reachable=True), own) == Refusal(Reason.SELF_SPY)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("parties", [1, 2, 3])
def test_only_barging_and_taking_over_need_a_call_of_two(mode: Mode, parties: int) -> None:
    """With several parties one may listen and whisper, but neither barge by ChanSpy nor take over."""
    call = channel(peers=tuple(f"PJSIP/trunk-{number:08x}" for number in range(parties)))
    refused = mode in (Mode.BARGE, Mode.TAKE_OVER) and parties > 1
    found = possible(call, mode)
    assert (None if found is None else found.reason) == (Reason.CONFERENCE if refused else None)


def test_a_conference_of_two_is_a_conference() -> None:
    """ChanSpy finds no party to barge to there; a supervisor who joins the conference needs no ChanSpy."""
    call = replace(TALKING, in_conference=True)
    assert possible(call, Mode.BARGE) == Refusal(Reason.CONFERENCE)
    assert possible(call, Mode.BARGE, Barge.CONFERENCE) is None
    assert possible(call, Mode.WHISPER) is None


@pytest.mark.parametrize("name", ["PJSIP/1001", "PJSIP/1001-1", "PJSIP/1001-0000000a;2", "Local/1001@x-0000000a"])
def test_a_conference_is_joined_by_a_whole_name_only(name: str) -> None:
    """BridgeAdd takes the beginning of a name, too: without its eight digits it may be another call's."""
    call = replace(TALKING, name=name)
    found = possible(call, Mode.BARGE, Barge.CONFERENCE)
    assert found is not None
    assert found.reason is Reason.CONFERENCE
    assert possible(call, Mode.BARGE) is None
    assert possible(call, Mode.LISTEN, Barge.CONFERENCE) is None


@pytest.mark.parametrize(
    ("known_by", "calls", "why"),
    [
        (KnownBy.CONFIGURED, 1, "configured device, only call"),
        (KnownBy.HINT, 2, "hint, chosen of 2"),
        (KnownBy.QUEUE, 3, "queue login, chosen of 3"),
    ],
)
def test_says_why_it_is_this_channel(known_by: KnownBy, calls: int, why: str) -> None:
    """How the device is known, and how many calls there were to choose from."""
    chosen = replace(TALKING, known_by=known_by)
    assert because(chosen, [chosen] * calls) == why


@pytest.mark.parametrize(
    ("own", "uniqueid", "parties", "found"),
    [
        ("PJSIP/2001", "1.1", ("PJSIP/trunk-2",), None),
        ("PJSIP/2001", "1.1", ("PJSIP/trunk-2", "PJSIP/trunk-9"), None),
        ("PJSIP/2001", "1.1", None, None),
        ("PJSIP/2001", "1.2", None, Refusal(Reason.TARGET_GONE)),
        ("PJSIP/1001", "1.1", None, Refusal(Reason.SELF_SPY)),
        ("PJSIP/2001", "1.1", ("PJSIP/trunk-9",), Refusal(Reason.TARGET_GONE, ELSEWHERE)),
        ("PJSIP/2001", "1.1", (), Refusal(Reason.TARGET_GONE, ELSEWHERE)),
    ],
    ids=["same", "one-stays", "any", "gone", "own", "another", "alone-before"],
)
def test_a_call_is_found_again(
    own: str, uniqueid: str, parties: tuple[str, ...] | None, found: Refusal | None
) -> None:
    """By the agent's channel, while one of the parties is on it."""
    call = channel("PJSIP/1001-1", "1.1", peers=("PJSIP/trunk-2",))
    assert found_again(devices(call), frozenset({own}), uniqueid, parties) == (found or call)
