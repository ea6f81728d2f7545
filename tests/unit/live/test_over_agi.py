"""What the PBX is asked about an agent's devices, and what strange answers come to."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.agi.session import Session
from agi_monitor.agi.verb_results import ChannelState as AgiState
from agi_monitor.live.over_agi import MAX_CHANNELS, MAX_DEVICES, MAX_NUMBER_DIGITS, DeviceChannelsOverAgi
from agi_monitor.live.targets import AgentDevices, ChannelState, DeviceChannel, KnownBy, Source
from agi_monitor.model import Agent
from agi_monitor.testing import FakeAsterisk
from agi_monitor.testing.expressions import evaluate
from tests.doubles.coroutines import finish

NUMBER = "${FILTER(0-9,${CONNECTEDLINE(num)})}"
DETAILS = "${UNIQUEID}|${CHANNEL(state)}|${CHANNEL(onhold)}|" + NUMBER + "|${BRIDGEPEER}"
NAME = "PJSIP/1001-0000000a"
PEER = "PJSIP/trunk-0000000b"

BEN = Agent("1001", frozenset(), ("PJSIP/1001",))


class Answers:
    """Answers expressions from a table; what is not in it is empty, and a channel that is not in it is gone.

    Who is in a bridge with whom is told once, by the BRIDGEPEER of one of them: all others say the same, as on a PBX.
    """

    def __init__(self, own: Mapping[str, str], channels: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.own = own
        self.channels = channels or {}
        self.asked: list[tuple[str, str | None]] = []

    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None:
        """Look the expression up."""
        self.asked.append((expression, channel))
        if channel is None:
            return self.own.get(expression, "")
        named = self.named(channel)
        answers = self.channels.get(channel, None if not named else {})
        if answers is None:
            return None
        told = {"${CHANNEL(peer)}": "" if "," in named else named, "${BRIDGEPEER}": named}
        told["${CHANNEL(peer)}|${BRIDGEPEER}"] = "|".join(told.values())
        return answers.get(expression, told.get(expression, ""))

    def named(self, channel: str) -> str:
        """Who else is in the bridge of a channel."""
        listed = {
            name: answers.get("${BRIDGEPEER}", answers.get(DETAILS, "||||").split("|", 4)[-1])
            for name, answers in self.channels.items()
        }
        if listed.get(channel):
            return listed[channel]
        for name, names in listed.items():
            if "," in names and channel in names.split(","):
                return ",".join([name, *(one for one in names.split(",") if one != channel)])
        return ""


def one_channel(answer: str, name: str = NAME) -> Answers:
    """A PBX on which the agent has one channel, and this is what it says of it."""
    return Answers(
        {"${DEVICE_STATE(PJSIP/1001)}": "INUSE", "${CHANNELS(^PJSIP/1001-[0-9a-f]+$)}": name},
        {name: {DETAILS: answer}, PEER: {"${CHANNEL(onhold)}": "0"}},
    )


def look_up(answers: Answers, agent: Agent = BEN) -> AgentDevices:
    """Ask for the agent's devices."""
    return finish(DeviceChannelsOverAgi(answers, "hints").devices_of(agent))


def test_reads_a_call() -> None:
    """A channel with its state, its peer and the other party's number."""
    assert look_up(one_channel(f"1700000000.10|Up|0|+49 30 1234|{PEER}")) == AgentDevices(
        ("PJSIP/1001",),
        (DeviceChannel(NAME, "1700000000.10", ChannelState.UP, (PEER,), on_hold=False, number="49301234"),),
        reachable=True,
    )


@pytest.mark.parametrize("dialled", ["1001|x", "|", "1001|5550100|PJSIP/1001-00000001", "2|1700000000.1|Up|0|"])
def test_a_bar_in_the_name_of_a_peer_shifts_nothing(dialled: str) -> None:
    """A Local channel is called as it was dialled: what stands in its name is neither the number nor another name."""
    local = f"Local/{dialled}@from-trunk-00000007;1"
    answers = Answers(
        {"${DEVICE_STATE(PJSIP/1001)}": "INUSE", "${CHANNELS(^PJSIP/1001-[0-9a-f]+$)}": NAME},
        {NAME: {DETAILS: f"1700000000.10|Up|0|49301234|{local}"}, local: {"${BRIDGEPEER}": NAME}},
    )
    (channel,) = look_up(answers).channels
    assert (channel.number, channel.peers) == ("49301234", (local,))


def test_a_comma_in_the_name_of_a_peer_makes_a_call_of_three_uncertain() -> None:
    """The parts of the name are gone, as if the agent had been left alone: who is on the line is not known."""
    other = "Local/20,02@from-trunk-00000009;1"
    named = f"Local/10,01@from-trunk-00000007;1,{other}"
    answers = Answers(
        {"${DEVICE_STATE(PJSIP/1001)}": "INUSE", "${CHANNELS(^PJSIP/1001-[0-9a-f]+$)}": NAME},
        {NAME: {DETAILS: f"1700000000.10|Up|0|49301234|{named}"}},
    )
    (channel,) = look_up(answers).channels
    assert not channel.peers_known


class Gone(Answers):
    """Nothing is a channel but what is in the table."""

    def named(self, channel: str) -> str:
        """Who else is in the bridge of a channel."""
        return super().named(channel) if channel in self.channels else ""


def test_parts_of_names_that_look_like_channels_are_nobody_who_is_gone() -> None:
    """Behind the Local channel a call of three goes on, whose other parties are called as they were dialled."""
    way = "Local/1001@way-00000001"
    named = "Local/1,PJSIP/2@agents-00000007;1,Local/3,PJSIP/4@agents-00000009;1"
    answers = Gone(
        {"${DEVICE_STATE(PJSIP/1001)}": "INUSE", "${CHANNELS(^PJSIP/1001-[0-9a-f]+$)}": NAME},
        {NAME: {DETAILS: f"1700000000.10|Up|0|49301234|{way};1"}, f"{way};2": {"${BRIDGEPEER}": named}},
    )
    (channel,) = look_up(answers).channels
    assert channel.talking
    assert not channel.peers_known


@pytest.mark.parametrize(
    ("agent", "found"),
    [
        ("PJSIP/100", ["PJSIP/100-00000001"]),
        ("PJSIP/1001", ["PJSIP/1001-00000002"]),
        ("PJSIP/1001-mobile", ["PJSIP/1001-mobile-00000003"]),
        ("PJSIP/1001-a", ["PJSIP/1001-a-00000004"]),
        ("PJSIP/a.b+c", ["PJSIP/a.b+c-00000005"]),
        ("PJSIP/lower", ["PJSIP/lower-00000007"]),
        ("SIP/1001", ["SIP/1001-00000009"]),
    ],
)
def test_finds_the_channels_of_exactly_one_device(agent: str, found: list[str]) -> None:
    """A name that begins or ends like another's, or differs only in case, is another device."""
    pbx = FakeAsterisk()
    pbx.functions["CONNECTEDLINE"] = lambda channel, argument: ""
    for name in (
        "PJSIP/100-00000001",
        "PJSIP/1001-00000002",
        "PJSIP/1001-mobile-00000003",
        "PJSIP/1001-a-00000004",
        "PJSIP/a.b+c-00000005",
        "PJSIP/aXbbc-00000006",
        "PJSIP/lower-00000007",
        "PJSIP/LOWER-00000008",
        "SIP/1001-00000009",
        "Local/1001@agents-0000000a;1",
        "PJSIP/91001-0000000b",
        "Snoop/PJSIP/1001-0000000c",
    ):
        pbx.add_channel(name, state=AgiState.UP)
    known: list[AgentDevices] = []

    async def story(session: Session) -> None:
        known.append(await DeviceChannelsOverAgi(session, "hints").devices_of(Agent("1", frozenset(), (agent,))))

    pbx.run(story)
    assert [channel.name for channel in known[0].channels] == found


@pytest.mark.parametrize(
    ("hint", "endpoints"),
    [
        ("", ()),
        ("PJSIP/1001", ("PJSIP/1001",)),
        ("PJSIP/1001&SIP/1001-desk", ("PJSIP/1001", "SIP/1001-desk")),
        ("PJSIP/1001&PJSIP/1001", ("PJSIP/1001",)),
        ("PJSIP/1001&Custom:DND1001", ("PJSIP/1001",)),
        ("PJSIP/1001,CustomPresence:1001", ("PJSIP/1001",)),
        ("PJSIP/1001&Custom:DND1001,CustomPresence:1001", ("PJSIP/1001",)),
        ("Custom:DND1001", ()),
        ("Local/1001@agents", ()),
        ("PJSIP/${GLOBAL(x)}&PJSIP/1001", ("PJSIP/1001",)),
        ("PJSIP/.*)}&PJSIP/10 01&/1001&PJSIP/", ()),
        ("PJSIP/1001\n", ()),
        ("&".join(f"PJSIP/{number}" for number in range(40)), tuple(f"PJSIP/{n}" for n in range(MAX_DEVICES))),
    ],
)
def test_reads_the_hint_of_an_agent_without_endpoints(hint: str, endpoints: tuple[str, ...]) -> None:
    """Devices are taken from the hint; what is not a device, or could be read as an expression, is left out."""
    answers = Answers({"${HINT(1001@hints)}": hint})
    assert look_up(answers, Agent("1001", frozenset())).endpoints == endpoints


def test_configured_endpoints_need_no_hint() -> None:
    """The hint is not even asked for."""
    answers = one_channel("")
    look_up(answers)
    assert [expression for expression, _ in answers.asked if "HINT" in expression] == []


@pytest.mark.parametrize(
    ("state", "reachable"),
    [
        ("NOT_INUSE", True),
        ("INUSE", True),
        ("BUSY", True),
        ("RINGING", True),
        ("ONHOLD", True),
        ("UNAVAILABLE", False),
        ("INVALID", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_says_whether_a_device_can_be_reached(state: str, reachable: bool) -> None:
    """A device that is not registered, or not known, cannot."""
    assert look_up(Answers({"${DEVICE_STATE(PJSIP/1001)}": state})) == AgentDevices(("PJSIP/1001",), (), reachable)


def test_one_reachable_device_is_enough() -> None:
    """An agent whose mobile is off but whose desk phone is on is reachable."""
    answers = Answers({"${DEVICE_STATE(PJSIP/a)}": "UNAVAILABLE", "${DEVICE_STATE(PJSIP/b)}": "NOT_INUSE"})
    for endpoints in (("PJSIP/a", "PJSIP/b"), ("PJSIP/b", "PJSIP/a")):
        assert look_up(answers, Agent("1", frozenset(), endpoints)).reachable is True


@pytest.mark.parametrize(
    ("own", "others", "held"),
    [("0", "0", False), ("1", "0", True), ("0", "1", True), ("", "", False)],
)
def test_a_call_is_on_hold_from_either_side(own: str, others: str, held: bool) -> None:
    """Asterisk marks the channel that was put on hold, so both are looked at."""
    answers = one_channel(f"1700000000.10|Up|{own}|555|{PEER}")
    answers.channels = {**answers.channels, PEER: {"${CHANNEL(onhold)}": others}}
    assert look_up(answers).channels[0].on_hold is held


def test_a_peer_that_is_gone_holds_nothing() -> None:
    """The other side may hang up between two questions."""
    answers = one_channel("1700000000.10|Up|0|555|PJSIP/gone-00000001")
    assert look_up(answers).channels[0].on_hold is False


LOCAL = "Local/1001@agents-00000001"


@pytest.mark.parametrize(
    ("behind", "peers"),
    [
        ({f"{LOCAL};1": "PJSIP/trunk-0000000b"}, (PEER,)),
        ({f"{LOCAL};1": "Local/7@way-00000002;1", "Local/7@way-00000002;2": f"{LOCAL};1,{PEER}"}, (PEER,)),
        ({f"{LOCAL};1": f"CBAnn/800-00000001;2,{PEER},PJSIP/3002-0000000c"}, (PEER, "PJSIP/3002-0000000c")),
        ({f"{LOCAL};1": ""}, (f"{LOCAL};2",)),
        ({}, (f"{LOCAL};2",)),
        ({f"{LOCAL};1": NAME}, ()),
    ],
    ids=["a device", "one behind another", "a conference", "an application", "gone meanwhile", "itself"],
)
def test_a_local_channel_is_followed_to_whoever_is_behind_it(
    behind: Mapping[str, str], peers: tuple[str, ...]
) -> None:
    """Who talks to the agent is a device, not the way to it; a way in a circle ends."""
    answers = one_channel(f"1700000000.10|Up|0|555|{LOCAL};2")
    answers.channels = {**answers.channels, **{name: {"${BRIDGEPEER}": text} for name, text in behind.items()}}
    (channel,) = look_up(answers).channels
    assert channel.peers == peers
    assert channel.in_conference is False


@pytest.mark.parametrize("there", [True, False])
def test_a_half_that_cannot_be_asked_makes_it_uncertain_who_is_behind(there: bool) -> None:
    """A name with bytes that are not UTF-8 is read as another one, and the PBX has no channel of that name."""
    half = "Local/5\N{REPLACEMENT CHARACTER}1009@way-00000001"
    answers = one_channel(f"1700000000.10|Up|0|555|{half};1")
    answers.channels = {**answers.channels, **({f"{half};2": {}} if there else {})}
    (channel,) = look_up(answers).channels
    assert channel.peers == (f"{half};1",)
    assert channel.peers_known is there


def test_endless_local_channels_come_to_an_end() -> None:
    """Not more of them are followed than an agent may have channels."""
    answers = one_channel("1700000000.10|Up|0|555|Local/0@way-00000000;2")
    ways = {f"Local/{n}@way-00000000;1": {"${BRIDGEPEER}": f"Local/{n + 1}@way-00000000;2"} for n in range(200)}
    answers.channels = {**answers.channels, **ways}
    (channel,) = look_up(answers).channels
    assert len(channel.peers) == 1
    assert len(answers.asked) < 2 * MAX_CHANNELS
    # Behind the last one a protected party may be listening.
    assert not channel.peers_known


@pytest.mark.parametrize("text", ["Down", "Rsrvd", "Dialing", "Busy", "", "up", "Up ", "other"])
def test_any_other_state_is_no_conversation(text: str) -> None:
    """Only ``Up`` talks."""
    (channel,) = look_up(one_channel(f"1700000000.10|{text}|0|555|{PEER}")).channels
    assert channel.state is ChannelState.OTHER
    assert not channel.talking


@pytest.mark.parametrize(
    "number",
    ["|||||", "1|Up|1|2|PJSIP/evil-00000001", "a|b", "|", '"', "${UNIQUEID}", "]", ")", "PJSIP/evil-1,PJSIP/evil-2"],
)
def test_what_somebody_calls_themselves_shifts_nothing(number: str) -> None:
    """Whatever the other party's number holds, the uniqueid, the state and the peers are what the PBX said."""
    pbx = FakeAsterisk()
    caller = pbx.add_channel(PEER, state=AgiState.UP)
    caller.variables["CONNECTEDLINE(num)"] = number
    (channel,) = look_up(one_channel(f"1700000000.10|Up|0|{evaluate(pbx, caller, NUMBER)}|{PEER}")).channels
    assert (channel.uniqueid, channel.state, channel.peers, channel.on_hold) == (
        "1700000000.10",
        ChannelState.UP,
        (PEER,),
        False,
    )
    assert channel.number == "".join(character for character in number if character in "0123456789")


def test_an_endless_number_is_cut() -> None:
    """The number is spoken to the supervisor: nobody waits for four thousand digits."""
    (channel,) = look_up(one_channel(f"1700000000.10|Up|0|{'7' * 4000}|{PEER}")).channels
    assert channel.number == "7" * MAX_NUMBER_DIGITS


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "|",
        "|||",
        "||||",
        "1700000000.10",
        "1700000000.10|Up",
        "1700000000.10|Up|0",
        "|Up|0|555|PJSIP/trunk-0000000b",
        "all|Up|0|555|PJSIP/trunk-0000000b",
        "1700000000.10,d|Up|0|555|PJSIP/trunk-0000000b",
    ],
)
def test_a_channel_that_cannot_be_named_exactly_is_not_used(answer: str) -> None:
    """An answer that is cut off, or a uniqueid that ChanSpy cannot be given, is told apart from no call."""
    found = look_up(one_channel(answer))
    assert found.channels == ()
    assert found.unusable == (answer.partition("|")[0],)


@pytest.mark.parametrize("name", ["Call Center 1", "Zürich", "pbx.example.com"])
def test_a_system_name_is_what_people_call_their_pbx(name: str) -> None:
    """Its uniqueids are told to ChanSpy as they are."""
    (channel,) = look_up(one_channel(f"{name}-1764400000.12|Up|0|555|{PEER}")).channels
    assert channel.uniqueid == f"{name}-1764400000.12"


@given(st.text())
def test_no_answer_raises(answer: str) -> None:
    """Whatever a channel is said to be, there is at most this one channel."""
    assert [channel.name for channel in look_up(one_channel(answer)).channels] in ([], [NAME])


@given(st.text())
def test_no_list_of_channels_raises(names: str) -> None:
    """Names that are not channels of the device are left out."""
    answers = one_channel(f"1700000000.10|Up|0||{PEER}")
    answers.own = {**answers.own, "${CHANNELS(^PJSIP/1001-[0-9a-f]+$)}": names}
    assert look_up(answers).channels == ()


def test_a_channel_that_hangs_up_meanwhile_is_gone() -> None:
    """A name from the list may no longer be a channel when it is asked about."""
    answers = one_channel("", name=f"{NAME} PJSIP/1001-000000")
    assert look_up(answers).channels == ()


def test_a_conference_has_all_its_peers() -> None:
    """Several bridge peers are several parties."""
    (channel,) = look_up(one_channel(f"1700000000.10|Up|0||{PEER},PJSIP/1002-00000001")).channels
    assert channel.peers == (PEER, "PJSIP/1002-00000001")


@pytest.mark.parametrize(
    ("members", "peers", "in_conference", "talking"),
    [
        (PEER, (PEER,), False, True),
        (f"CBAnn/800-00000001;2,{PEER}", (PEER,), True, True),
        ("CBAnn/800-00000001;2", (), True, False),
        (
            f"CBAnn/800-00000001;2,CBRec/800-00000002,{PEER},PJSIP/1002-00000001",
            (PEER, "PJSIP/1002-00000001"),
            True,
            True,
        ),
        ("Surrogate/PJSIP/1001-00000001", (), True, False),
    ],
)
def test_nobody_is_behind_the_internal_channels_of_a_conference(
    members: str, peers: tuple[str, ...], in_conference: bool, talking: bool
) -> None:
    """Anyone who waits alone in a conference talks to nobody, and its announcer is not a party."""
    (channel,) = look_up(one_channel(f"1700000000.10|Up|0|555|{members}")).channels
    assert (channel.peers, channel.in_conference, channel.talking) == (peers, in_conference, talking)


@pytest.mark.parametrize(("endpoints", "known_by"), [(("PJSIP/1001",), KnownBy.CONFIGURED), ((), KnownBy.HINT)])
def test_says_why_a_device_is_the_agents(endpoints: tuple[str, ...], known_by: KnownBy) -> None:
    """The configuration names it, or the hint does."""
    answers = one_channel(f"1700000000.10|Up|0|555|{PEER}")
    answers.own = {**answers.own, "${HINT(1001@hints)}": "PJSIP/1001"}
    found = look_up(answers, Agent("1001", frozenset(), endpoints))
    assert [channel.known_by for channel in found.channels] == [known_by]
    assert found.source is Source.AGI


class Patterns(Answers):
    """A PBX that writes the hint of an extension beside that of its pattern when the state is asked for."""

    def __init__(self, pattern: str, written: str) -> None:
        super().__init__({"${HINT(1002@hints)}": pattern})
        self.written = written

    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None:
        """Look the expression up."""
        if expression == "${EXTENSION_STATE(1002@hints)}":
            self.own = {**self.own, "${HINT(1002@hints)}": self.written}
            return "INUSE"
        return await super().get_full_variable(expression, channel)


BY_HINT = Agent("1002", frozenset())


@pytest.mark.parametrize(
    ("written", "endpoints"),
    [
        ("PJSIP/1002", ("PJSIP/1002",)),
        ("PJSIP/1002&PJSIP/1002-mobile", ("PJSIP/1002", "PJSIP/1002-mobile")),
        ("PJSIP/${EXTEN}", ()),
        ("PJSIP/", ()),
        ("", ()),
    ],
)
def test_the_hint_of_a_pattern_is_asked_for_by_its_state(written: str, endpoints: tuple[str, ...]) -> None:
    """Until then it is the text of the pattern; what stays the pattern names no phone."""
    assert look_up(Patterns("PJSIP/${EXTEN}", written), BY_HINT).endpoints == endpoints
    assert look_up(Patterns("PJSIP/fixed&PJSIP/${EXTEN}", written), BY_HINT).endpoints == endpoints


def test_no_state_is_asked_of_a_hint_that_says_all() -> None:
    """One question for an agent as before."""
    answers = Patterns("PJSIP/1002", "PJSIP/9999")
    assert look_up(answers, BY_HINT).endpoints == ("PJSIP/1002",)
    assert [expression for expression, _ in answers.asked if "EXTENSION_STATE" in expression] == []


@pytest.mark.parametrize(
    ("hint", "channel", "endpoints"),
    [
        ("Agent:7001", "PJSIP/1002-0000002a", ("PJSIP/1002",)),
        ("PJSIP/1001&Agent:7001", "PJSIP/1002-0000002a", ("PJSIP/1001", "PJSIP/1002")),
        ("Agent:7001", "", ()),
        ("Agent:7001", "Local/7001@agents-00000001;2", ()),
        ("Agent:7001", "PJSIP/${EXTEN}-0000002a", ()),
        ("Agent:${EVAL(x)}", "PJSIP/1002-0000002a", ()),
        ("Agent:7001:fullchannel", "PJSIP/1002-0000002a", ()),
    ],
)
def test_an_agent_of_the_pool_is_where_they_logged_in(hint: str, channel: str, endpoints: tuple[str, ...]) -> None:
    """By the channel that waits in AgentLogin; what is not a phone's does not count."""
    answers = Answers({"${HINT(1002@hints)}": hint, "${AGENT(7001:fullchannel)}": channel})
    assert look_up(answers, BY_HINT).endpoints == endpoints


# ---- who is on the call ------------------------------------------------------------------------------------

THIRD = "PJSIP/3002-0000000c"
PROTECTED = "PJSIP/9000-00000013"
BOTH = "${CHANNEL(peer)}|${BRIDGEPEER}"


def in_a_bridge(named: str, **answers: Mapping[str, str]) -> DeviceChannel:
    """The agent's channel with this BRIDGEPEER, on a PBX with these other channels."""
    pbx = one_channel(f"1700000000.10|Up|0|555|{named}")
    pbx.channels = {**pbx.channels, **answers}
    (channel,) = look_up(pbx).channels
    return channel


def test_of_two_parties_the_bridge_says_who_the_other_one_is() -> None:
    """BRIDGEPEER is a variable: another dialplan may have written another channel into it."""
    written = {DETAILS: f"1700000000.10|Up|0|555|{PEER}", "${CHANNEL(peer)}": PROTECTED}
    channel = in_a_bridge(PEER, **{NAME: written, PROTECTED: {}})
    assert (channel.peers, channel.peers_known) == ((PROTECTED,), True)


def test_a_variable_that_was_taken_away_hides_no_party() -> None:
    """The bridge still says who is there."""
    written = {DETAILS: "1700000000.10|Up|0|555|", "${CHANNEL(peer)}": PROTECTED}
    assert in_a_bridge("", **{NAME: written, PROTECTED: {}}).peers == (PROTECTED,)


@pytest.mark.parametrize(
    ("others", "known"),
    [
        ({}, True),
        ({PEER: {BOTH: f"|{NAME},{THIRD},{PROTECTED}"}}, False),
        ({PEER: {BOTH: f"{PROTECTED}|{PROTECTED}"}}, False),
        ({PEER: {BOTH: f"{NAME}|{NAME},{THIRD}"}}, False),
        ({PEER: {BOTH: f"|{THIRD}"}}, False),
        ({PEER: {BOTH: "|"}}, False),
    ],
    ids=["agree", "one-names-another", "elsewhere", "a-bridge-of-two", "not-the-agent", "in-none"],
)
def test_in_a_bridge_of_more_all_must_say_the_same(others: Mapping[str, Mapping[str, str]], known: bool) -> None:
    """A party that is left out of one list is on another."""
    assert in_a_bridge(f"{PEER},{THIRD}", **others).peers_known is known


def test_a_channel_that_is_gone_is_not_on_the_call() -> None:
    """Asterisk does not write the list of the last one in a bridge again."""
    channel = Answers(
        {"${DEVICE_STATE(PJSIP/1001)}": "INUSE", "${CHANNELS(^PJSIP/1001-[0-9a-f]+$)}": NAME},
        {NAME: {DETAILS: f"1700000000.10|Up|0||{PEER}", "${CHANNEL(peer)}": ""}},
    )
    (found,) = look_up(channel).channels
    assert not found.talking


@pytest.mark.parametrize(("number", "known"), [(9, True), (10, False)])
def test_a_list_that_may_have_been_cut_is_not_all(number: int, known: bool) -> None:
    """Asterisk names ten others at most: an eleventh may be a protected one."""
    named = ",".join(f"PJSIP/p{one}-0000000c" for one in range(number))
    assert in_a_bridge(named).peers_known is known


def test_the_way_to_the_peers_is_known() -> None:
    """A caller of a queue may stand at any of these channels."""
    way = f"{LOCAL};2"
    channel = in_a_bridge(way, **{f"{LOCAL};1": {"${BRIDGEPEER}": PEER}})
    assert channel.ways == (way, f"{LOCAL};1", PEER)


@pytest.mark.parametrize("guest", [True, False])
def test_a_guest_who_calls_themselves_like_an_agents_phone_is_not_it(*, guest: bool) -> None:
    """chan_sip calls a guest's channel by the domain in From: a caller from outside must not be heard as an agent."""
    pbx = FakeAsterisk()
    pbx.functions["CONNECTEDLINE"] = lambda channel, argument: ""
    pbx.add_channel("SIP/1001-00000009", state=AgiState.UP).guest = guest
    known: list[AgentDevices] = []

    async def story(session: Session) -> None:
        known.append(await DeviceChannelsOverAgi(session, "hints").devices_of(Agent("1", frozenset(), ("SIP/1001",))))

    pbx.run(story)
    assert [channel.name for channel in known[0].channels] == ([] if guest else ["SIP/1001-00000009"])
