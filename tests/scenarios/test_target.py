"""Which call is heard: exactly the agent's own, whatever the topology, and never a neighbour's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from contrib.lab.pbx import Lab
from contrib.lab.server import SITE
from tests.scenarios import test_topologies as topologies
from tests.scenarios.house import House, heard_in


@pytest.mark.either_version
def test_extension_100_never_reaches_1001(house: House) -> None:
    """With 100 idle and 1001 talking, 100 is refused; with both talking, only 100's call is heard."""
    house.lab.connect("3001", "1001")
    house.refused("*222100", "no_call")
    house.lab.connect("3002", "100")
    house.spy(extension="100")
    house.hears(
        {"2001": {"3002", "100"}, "3002": {"100"}, "100": {"3002"}, "3001": {"1001"}, "1001": {"3001"}},
    )


def test_the_second_device_of_an_extension_is_found(house: House) -> None:
    """The agent talks on the mobile, the desk phone is idle: the mobile's call is heard."""
    mobile = house.lab.phone("1001-mobile")
    house.lab.phone("3001").dial("1001")
    mobile.answer()
    house.lab.phone("1001").wait_until_idle()
    house.spy()
    house.hears(heard_in("listen", agent="1001-mobile"))
    (started,) = house.server.audit("spy_started")
    assert started["spyee"].startswith("PJSIP/1001-mobile-")


def test_a_call_on_each_device_is_asked_about(house: House) -> None:
    """Two calls: the older one is choice 1, and the chosen one is heard."""
    mobile = house.lab.phone("1001-mobile")
    house.lab.connect("3001", "1001")
    house.lab.phone("3002").dial("1001")
    mobile.answer()
    house.identify("*2221001")
    house.server.wait_for("choice_prompted", calls=2)
    mark = house.server.mark()
    house.lab.phone("2001").press("2")
    house.server.wait_for("spy_started", mark)
    house.hears(
        {
            "2001": {"3002", "1001-mobile"},
            "3001": {"1001"},
            "1001": {"3001"},
            "3002": {"1001-mobile"},
            "1001-mobile": {"3002"},
        }
    )


def test_of_two_calls_on_one_device_the_active_one_comes_first(house: House) -> None:
    """The second call put the first on hold: choice 1 is the active one."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "1001")
    house.identify("*2221001")
    house.server.wait_for("choice_prompted", calls=2)
    mark = house.server.mark()
    house.lab.phone("2001").press("1")
    house.server.wait_for("spy_started", mark)
    house.hears({"2001": {"3002", "1001"}, "3001": {"music"}, "3002": {"1001"}, "1001": {"3002"}})


@pytest.mark.either_version
def test_no_choice_is_no_spy(house: House) -> None:
    """Anyone who does not choose between two calls is refused."""
    house.lab.connect("3001", "1001")
    house.lab.connect("3002", "1001")
    house.identify("*2221001")
    house.server.wait_for("refused", timeout=60, reason="ambiguous")
    assert not house.server.audit("spy_started")


@pytest.mark.parametrize("holder", ["1001", "3001"])
@pytest.mark.either_version
def test_a_call_on_hold_is_refused(house: House, holder: str) -> None:
    """Whichever side put the call on hold, the supervisor is told so."""
    house.lab.connect("3001", "1001")
    house.lab.phone(holder).hold()
    house.refused("*2221001", "on_hold")
    assert not house.server.audit("spy_started")


@pytest.mark.either_version
def test_an_idle_agent_is_refused_and_another_one_can_be_keyed_in(house: House) -> None:
    """After a refusal the supervisor is asked for the next extension, and not for the PIN again."""
    house.lab.connect("3001", "1001")
    house.identify("*222100")
    house.wait_for_refusal("no_call")
    house.server.wait_for("extension_prompted")
    mark = house.server.mark()
    house.lab.phone("2001").press("1001")
    house.server.wait_for("spy_started", mark)
    house.hears(heard_in("listen"))
    assert len(house.server.events("pin_prompted")) == 1


@pytest.mark.either_version
def test_the_code_alone_asks_for_the_extension(house: House) -> None:
    """*222 alone asks for the extension by voice."""
    house.lab.connect("3001", "1001")
    house.identify("*222")
    house.server.wait_for("extension_prompted")
    mark = house.server.mark()
    house.lab.phone("2001").press("1001")
    house.server.wait_for("spy_started", mark)
    house.hears(heard_in("listen"))


@pytest.mark.either_version
def test_a_ringing_agent_is_refused(house: House) -> None:
    """The agent has not answered yet."""
    house.lab.phone("3001").dial("100")
    house.lab.phone("100").wait_for_incoming()
    house.refused("*222100", "ringing")


def test_an_agent_whose_phone_is_off_is_refused(house: House) -> None:
    """A phone that is not registered is told apart from an idle one."""
    house.lab.phone("100").switch_off()
    house.refused("*222100", "unavailable")


@pytest.mark.either_version
def test_an_unknown_and_a_protected_agent_sound_the_same(house: House) -> None:
    """An unknown agent and one who may not be heard sound the same; the audit tells."""
    house.lab.connect("3001", "1002")
    house.refused("*2221002", "mode_denied")
    assert house.refused("*2229999", "agent_unknown")["extension"] is None
    spoken = [line["line"] for line in house.server.events("agi_sent")]
    assert sum('"feature-not-avail-line"' in line for line in spoken) == 2
    assert not house.server.audit("spy_started")


def test_an_agent_as_caller_is_heard(house: House) -> None:
    """The agent dialled the customer."""
    house.lab.connect("1001", "3001")
    house.spy()
    house.hears(heard_in("listen"))


@pytest.mark.parametrize("queue", ["500", "501"])
@pytest.mark.parametrize("mode", ["listen", "barge"])
def test_a_queue_member_behind_a_local_channel_is_heard(house: House, queue: str, mode: str) -> None:
    """The device leg is found whether or not Asterisk optimised the Local channel away."""
    house.lab.connect("3001", queue, "1001")
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    house.spy(mode)
    house.hears(heard_in(mode))


CONSULTED = {"2001": {"1001", "1002"}, "1001": {"1002"}, "1002": {"1001"}, "3001": {"music"}}
TOPOLOGIES: list[tuple[Callable[[Lab], None], str, str, dict[str, set[str]]]] = [
    (topologies.ring_group, "1002", "configured device", heard_in("listen", agent="1002")),
    (topologies.forwarded, "1002", "configured device", heard_in("listen", agent="1002")),
    (topologies.forwarded_for_good, "1002", "configured device", heard_in("listen", agent="1002")),
    (topologies.follow_me, "1002", "configured device", heard_in("listen", agent="1002")),
    (topologies.consultation, "1001", "hint", CONSULTED),
    (topologies.at_another_desk_by_queue, "1001", "queue login", heard_in("listen", agent="1002")),
]
"""How a call comes about, who is asked for, how the device is known, and who hears whom."""


@pytest.fixture
def open_house(house: House) -> Iterator[House]:
    """A house in which 1002 may be heard as well."""
    agents = {**SITE["agents"], "1002": {"endpoints": ["PJSIP/1002"], "groups": ["sales"]}}
    house.reconfigure(agents=agents, rules=SITE["rules"][:2])
    yield house
    house.lab.pbx.cli(f"queue remove member {topologies.DESK} from 502")


@pytest.mark.parametrize(
    ("happens", "extension", "known_by", "expected"), TOPOLOGIES, ids=[one[0].__name__ for one in TOPOLOGIES]
)
def test_the_index_names_who_is_heard(
    open_house: House,
    happens: Callable[[Lab], None],
    extension: str,
    known_by: str,
    expected: dict[str, set[str]],
) -> None:
    """In every kind of call the live picture knows the agent's channel, and exactly that call is heard."""
    house = open_house
    happens(house.lab)
    mark = house.server.mark()
    house.identify(f"*222{extension}")
    if expected is CONSULTED:
        house.server.wait_for("choice_prompted", mark, calls=2)
        house.lab.phone("2001").press("1")
    house.server.wait_for("spy_started", mark)
    house.hears(expected)
    (started,) = house.server.audit("spy_started")
    assert (started["source"], started["stale"]) == ("index", "")
    assert started["because"].startswith(known_by)


@pytest.mark.either_version
def test_a_supervisor_on_himself_is_refused(house: House) -> None:
    """Nobody spies on a phone of their own."""
    house.lab.connect("3001", "2001")
    house.identify_in_call("*2222001")
    house.wait_for_refusal("self_spy")
    assert not house.server.audit("spy_started")


def test_two_supervisors_on_one_agent(house: House) -> None:
    """Both hear the call; the parties hear neither, and the supervisors not each other."""
    house.lab.connect("3001", "1001")
    house.spy(supervisor="2001")
    house.spy(supervisor="2002")
    house.hears({**heard_in("listen"), "2002": {"3001", "1001"}})
    house.change_mode("whisper", supervisor="2001")
    house.lab.wait_for_hearing({"1001": {"3001", "2001"}, "3001": {"1001"}}, others_silent=False)
    house.change_mode("barge", supervisor="2001")
    house.lab.wait_for_hearing({"1001": {"3001", "2001"}, "3001": {"1001", "2001"}}, others_silent=False)


@pytest.mark.either_version
def test_a_missing_sound_file_does_not_end_the_call(house: House) -> None:
    """What cannot be played is passed over, the rest is said, keys are awaited all the same, the call continues."""
    prompts = {
        "no_call": ["no-such-file", "beep"],
        "ask_pin": ["no-such-pin"],
        "ask_extension": ["no-such-extension"],
    }
    house.server.configure(prompts=prompts)
    house.server.reload()
    house.server.wait_for("reloaded")
    house.lab.connect("3001", "1001")
    house.identify("*222100")
    for words in prompts.values():
        house.server.wait_for("prompt_missing", file=words[0])
    house.server.wait_for("extension_prompted")
    mark = house.server.mark()
    house.lab.phone("2001").press("1001")
    house.server.wait_for("spy_started", mark)
    house.hears(heard_in("listen"))
