"""agi_monitor.agi.session: what every verb sends, and what it makes of the replies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed

from agi_monitor.agi.end_reason import EndReason
from agi_monitor.agi.messages import AGIRequest, Command, Deadline, Reply
from agi_monitor.agi.session import Session
from agi_monitor.agi.verb_results import (
    ChannelState,
    DialOutcome,
    DialStatus,
    Digits,
    Playback,
    Recognition,
    Recording,
    SpeechMatch,
)
from agi_monitor.errors import (
    CallEnded,
    CommandFailed,
    InvalidCommand,
    LocalProtocolError,
    RemoteProtocolError,
    WrongUsage,
)

Verb = Callable[[Session], Awaitable[Any]]


class ScriptedWire:
    """Answers each command with the next reply of a list."""

    def __init__(self, *replies: bytes) -> None:
        self.replies = list(replies)
        self.sent: list[Command] = []
        self.ended: list[EndReason] = []

    def perform(self, command: Command) -> Deferred[Reply]:
        self.sent.append(command)
        line = self.replies.pop(0)
        return succeed(Reply.from_wire(int(line[:3]), line[4:]))

    def end(self, reason: EndReason) -> None:
        self.ended.append(reason)

    def held(self, seconds: float) -> None:
        raise AssertionError("nothing is held here")


def perform(verb: Verb, *replies: bytes) -> tuple[Any, list[str]]:
    """What a verb returns, and the lines it sent."""
    wire = ScriptedWire(*replies)
    session = Session("1", AGIRequest({}), "127.0.0.1", wire)
    results: list[Any] = []
    errors: list[Exception] = []

    async def story() -> None:
        try:
            results.append(await verb(session))
        except Exception as error:
            errors.append(error)

    Deferred.fromCoroutine(story())
    if errors:
        raise errors[0]
    assert wire.replies == []
    return results[0], [command.wire.decode().rstrip("\n") for command in wire.sent]


OK = b"200 result=0"
ONE = b"200 result=1"
UP = b"200 result=6"
DEAD = b"511 Command Not Permitted on a dead channel"

VERBS: list[tuple[Verb, str, bytes, Any]] = [
    (lambda s: s.answer(), "ANSWER", OK, None),
    (lambda s: s.hangup(), "HANGUP", ONE, True),
    (lambda s: s.hangup("PJSIP/x"), 'HANGUP "PJSIP/x"', b"200 result=-1", False),
    (lambda s: s.channel_status(), "CHANNEL STATUS", UP, ChannelState.UP),
    (lambda s: s.channel_status("x"), 'CHANNEL STATUS "x"', b"200 result=-1", None),
    (lambda s: s.channel_status("x"), 'CHANNEL STATUS "x"', b"200 result=99", None),
    (lambda s: s.execute("Ringing"), 'EXEC "Ringing"', OK, 0),
    (lambda s: s.execute("ChanSpy", "1.2,uqESX"), 'EXEC "ChanSpy" "1.2,uqESX"', b"200 result=3", 3),
    (lambda s: s.gosub("c", "s", 1), 'GOSUB "c" "s" "1"', b"200 result=0 Gosub complete", None),
    (lambda s: s.gosub("c", "s", 1, "a,b"), 'GOSUB "c" "s" "1" "a,b"', b"200 result=0 Gosub complete", None),
    (lambda s: s.set_autohangup(60), 'SET AUTOHANGUP "60"', OK, None),
    (lambda s: s.set_callerid("A <1>"), 'SET CALLERID "A <1>"', ONE, None),
    (lambda s: s.set_context("c"), 'SET CONTEXT "c"', OK, None),
    (lambda s: s.set_extension("e"), 'SET EXTENSION "e"', OK, None),
    (lambda s: s.set_priority(2), 'SET PRIORITY "2"', OK, None),
    (lambda s: s.set_music(True, "jazz"), 'SET MUSIC "on" "jazz"', OK, None),
    (lambda s: s.set_music(False), 'SET MUSIC "off"', OK, None),
    (lambda s: s.noop(), "NOOP", OK, None),
    (lambda s: s.verbose("hi", 3), 'VERBOSE "hi" "3"', ONE, None),
    (lambda s: s.asyncagi_break(), "ASYNCAGI BREAK", OK, None),
    (lambda s: s.get_data("p"), 'GET DATA "p" "0" "32"', b"200 result=12", Digits("12", False)),
    (lambda s: s.get_data("p", 2.5, 4), 'GET DATA "p" "2500" "4"', b"200 result= (timeout)", Digits("", True)),
    (lambda s: s.get_data("p", 2, 4), 'GET DATA "p" "2000" "4"', b"200 result=1 (timeout)", Digits("1", True)),
    (lambda s: s.stream_file("p"), 'STREAM FILE "p" "" "0"', b"200 result=0 endpos=9", Playback("", 9)),
    (lambda s: s.stream_file("p", "1#"), 'STREAM FILE "p" "1#" "0"', b"200 result=35 endpos=9", Playback("#", 9)),
    (
        lambda s: s.control_stream_file("p", "1"),
        'CONTROL STREAM FILE "p" "1" "3000" "#" "*" "" "0"',
        b"200 result=49 endpos=7",
        Playback("1", 7),
    ),
    (lambda s: s.get_option("p", "12"), 'GET OPTION "p" "12"', b"200 result=50 endpos=1", Playback("2", 1)),
    (lambda s: s.get_option("p", "1", 2), 'GET OPTION "p" "1" "2000"', b"200 result=0 endpos=1", Playback("", 1)),
    (lambda s: s.wait_for_digit(1.5), 'WAIT FOR DIGIT "1500"', b"200 result=42", "*"),
    (lambda s: s.wait_for_digit(), 'WAIT FOR DIGIT "-1"', OK, ""),
    (lambda s: s.say_alpha("ab"), 'SAY ALPHA "ab" ""', OK, ""),
    (lambda s: s.say_digits("12", "#"), 'SAY DIGITS "12" "#"', b"200 result=35", "#"),
    (lambda s: s.say_number(5, "", "f"), 'SAY NUMBER "5" "" "f"', OK, ""),
    (lambda s: s.say_phonetic("a"), 'SAY PHONETIC "a" ""', OK, ""),
    (lambda s: s.say_date(1.9), 'SAY DATE "1" ""', OK, ""),
    (lambda s: s.say_time(1), 'SAY TIME "1" ""', OK, ""),
    (lambda s: s.say_datetime(1), 'SAY DATETIME "1" ""', OK, ""),
    (lambda s: s.say_datetime(1, "", "R", "UTC"), 'SAY DATETIME "1" "" "R" "UTC"', OK, ""),
    (
        lambda s: s.record_file("f", "wav", "#"),
        'RECORD FILE "f" "wav" "#" "-1" "0"',
        b"200 result=35 (dtmf) endpos=8",
        Recording("#", 8, "dtmf"),
    ),
    (
        lambda s: s.record_file("f", "wav", "", 10, 5, True, 3),
        'RECORD FILE "f" "wav" "" "10000" "5" "BEEP" "s=3"',
        b"200 result=0 (timeout) endpos=8",
        Recording("", 8, "timeout"),
    ),
    (lambda s: s.get_variable("A"), 'GET VARIABLE "A"', b"200 result=1 (timeout)", "timeout"),
    (lambda s: s.get_variable("A"), 'GET VARIABLE "A"', b"200 result=1 ()", ""),
    (lambda s: s.get_variable("A"), 'GET VARIABLE "A"', OK, None),
    (lambda s: s.get_full_variable("${A}"), 'GET FULL VARIABLE "${A}"', b"200 result=1 (x)", "x"),
    (lambda s: s.get_full_variable("${A}", "c"), 'GET FULL VARIABLE "${A}" "c"', OK, None),
    (lambda s: s.set_variable("A", ""), 'SET VARIABLE "A" ""', ONE, None),
    (lambda s: s.database_get("f", "k"), 'DATABASE GET "f" "k"', b"200 result=1 (v)", "v"),
    (lambda s: s.database_get("f", "k"), 'DATABASE GET "f" "k"', OK, None),
    (lambda s: s.database_put("f", "k", "v"), 'DATABASE PUT "f" "k" "v"', ONE, None),
    (lambda s: s.database_del("f", "k"), 'DATABASE DEL "f" "k"', OK, False),
    (lambda s: s.database_deltree("f"), 'DATABASE DELTREE "f"', OK, True),
    (lambda s: s.database_deltree("f", "k"), 'DATABASE DELTREE "f" "k"', ONE, False),
    (lambda s: s.receive_char(1), 'RECEIVE CHAR "1000"', b"200 result=65", "A"),
    (lambda s: s.receive_char(1), 'RECEIVE CHAR "1000"', b"200 result=0 (timeout)", ""),
    (lambda s: s.receive_text(1), 'RECEIVE TEXT "1000"', b"200 result=1 (hi)", "hi"),
    (lambda s: s.send_text("hi"), 'SEND TEXT "hi"', OK, None),
    (lambda s: s.send_image("i"), 'SEND IMAGE "i"', OK, None),
    (lambda s: s.tdd_mode("on"), 'TDD MODE "on"', OK, False),
    (lambda s: s.speech_create(), 'SPEECH CREATE ""', ONE, None),
    (lambda s: s.speech_set("a", "b"), 'SPEECH SET "a" "b"', ONE, None),
    (lambda s: s.speech_destroy(), "SPEECH DESTROY", ONE, None),
    (lambda s: s.speech_load_grammar("g", "p"), 'SPEECH LOAD GRAMMAR "g" "p"', ONE, None),
    (lambda s: s.speech_unload_grammar("g"), 'SPEECH UNLOAD GRAMMAR "g"', ONE, None),
    (lambda s: s.speech_activate_grammar("g"), 'SPEECH ACTIVATE GRAMMAR "g"', ONE, None),
    (lambda s: s.speech_deactivate_grammar("g"), 'SPEECH DEACTIVATE GRAMMAR "g"', ONE, None),
    (
        lambda s: s.speech_recognize("p", 5),
        'SPEECH RECOGNIZE "p" "5"',
        b'200 result=1 (speech) endpos=9 results=2 score0=9 text0="a (b) c" grammar0=g score1=-1 text1="" grammar1=h',
        Recognition("speech", "", 9, (SpeechMatch(9, "a (b) c", "g"), SpeechMatch(-1, "", "h"))),
    ),
    (
        lambda s: s.speech_recognize("p", 5),
        'SPEECH RECOGNIZE "p" "5"',
        b"200 result=1 (speech) endpos=9 results=1 score0=" + b"9" * 5_000 + b' text0="a" grammar0=g',
        Recognition("speech", "", 9),
    ),
    (
        lambda s: s.speech_recognize("p", 5, 80),
        'SPEECH RECOGNIZE "p" "5" "80"',
        b"200 result=1 (digit) digit=# endpos=3",
        Recognition("digit", "#", 3),
    ),
    (
        lambda s: s.speech_recognize("p", 5),
        'SPEECH RECOGNIZE "p" "5"',
        b"200 result=1 (timeout) endpos=0",
        Recognition("timeout"),
    ),
]


@pytest.mark.parametrize(("verb", "line", "reply", "result"), VERBS)
def test_every_verb(verb: Verb, line: str, reply: bytes, result: Any) -> None:
    """The line it sends, and what it returns."""
    assert perform(verb, reply) == (result, [line])


FAILING: list[tuple[Verb, bytes]] = [
    (lambda s: s.answer(), b"200 result=-1"),
    (lambda s: s.get_data("p"), b"200 result=-1"),
    (lambda s: s.say_digits("1"), b"200 result=-1"),
    (lambda s: s.wait_for_digit(), b"200 result=-1"),
    (lambda s: s.record_file("f", "wav"), b"200 result=-1 (writefile)"),
    (lambda s: s.database_put("f", "k", "v"), b"200 result=0"),
    (lambda s: s.speech_create("x"), b"200 result=0"),
    (lambda s: s.speech_recognize("x", 1), b"200 result=0"),
    (lambda s: s.gosub("c", "s", 1), b"200 result=-1 Gosub label not found in dialplan"),
]


@pytest.mark.parametrize(("verb", "reply"), FAILING)
def test_a_failure_is_told_from_a_hangup(verb: Verb, reply: bytes) -> None:
    """The channel is asked once: alive is CommandFailed, dead is CallEnded."""
    with pytest.raises(CommandFailed) as caught:
        perform(verb, reply, UP)
    assert caught.value.code == 200
    assert caught.value.text == reply[4:].decode()
    with pytest.raises(CallEnded):
        perform(verb, reply, DEAD)


def test_a_missing_sound_is_no_error() -> None:
    """-1 on a live channel is a sound that cannot be played; on a dead one the call has ended."""
    result, lines = perform(lambda s: s.stream_file("nope"), b"200 result=-1 endpos=0", UP)
    assert result == Playback("", 0, found=False)
    assert lines[1:] == ["CHANNEL STATUS"]
    with pytest.raises(CallEnded):
        perform(lambda s: s.stream_file("nope"), b"200 result=-1 endpos=0", DEAD)


def test_execute_tells_minus_one_apart() -> None:
    """-1 comes back only while the caller is there; -2 is an application that does not exist."""
    assert perform(lambda s: s.execute("A"), b"200 result=-1", UP)[0] == -1
    with pytest.raises(CallEnded):
        perform(lambda s: s.execute("A"), b"200 result=-1", DEAD)
    with pytest.raises(CommandFailed):
        perform(lambda s: s.execute("A"), b"200 result=-2")


def test_after_the_hangup_nothing_is_asked() -> None:
    """In a clean-up -1 of an application is its result."""

    async def verb(session: Session) -> int:
        session.hung_up = True
        return await session.execute("A")

    assert perform(verb, b"200 result=-1") == (-1, ['EXEC "A"'])

    async def put(session: Session) -> None:
        session.hung_up = True
        await session.database_put("f", "k", "v")

    with pytest.raises(CallEnded):
        perform(put, b"200 result=0")


def test_the_question_itself_may_be_unknown() -> None:
    """An answer other than 511 means that the channel lives."""
    with pytest.raises(CommandFailed):
        perform(lambda s: s.answer(), b"200 result=-1", b"510 Invalid or unknown command")


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"510 Invalid or unknown command", InvalidCommand),
        (b"520-Usage", WrongUsage),
        (DEAD, CallEnded),
    ],
)
def test_codes(reply: bytes, error: type[Exception]) -> None:
    """Each code other than 200 has its error."""
    with pytest.raises(error):
        perform(lambda s: s.noop(), reply)


@pytest.mark.parametrize("reply", [b"200 result=1 (digit) endpos=0", b"200 result=x"])
def test_nonsense_is_the_peers_fault(reply: bytes) -> None:
    """A digit without the digit, a number that is not one."""
    verb: Verb = (lambda s: s.speech_recognize("p", 1)) if b"digit" in reply else (lambda s: s.wait_for_digit(1))
    with pytest.raises(RemoteProtocolError):
        perform(verb, reply)


def test_a_hangup_inside_a_recognition() -> None:
    """There the hang-up is a reason with result 1."""
    with pytest.raises(CallEnded):
        perform(lambda s: s.speech_recognize("p", 1), b"200 result=1 (hangup) endpos=0")


def test_deadlines_follow_the_command() -> None:
    """A prompt may take its silence after every key, an application as long as the limit says."""
    wire = ScriptedWire(b"200 result=1", OK)
    session = Session("1", AGIRequest({}), "127.0.0.1", wire)
    Deferred.fromCoroutine(session.get_data("p", 5, 3))
    Deferred.fromCoroutine(session.execute("A"))
    assert (wire.sent[0].deadline, wire.sent[0].extra_seconds) == (Deadline.PROMPT, 20)
    assert wire.sent[0].secret_reply
    assert (wire.sent[1].deadline, wire.sent[1].secret_reply) == (Deadline.EXECUTE, False)


def test_end_and_refuse() -> None:
    """Both are handed on."""
    wire = ScriptedWire()
    session = Session("7", AGIRequest({"agi_channel": "PJSIP/1-1"}), "127.0.0.1", wire)
    session.end(EndReason.REVOKED)
    session.refuse()
    assert wire.ended == [EndReason.REVOKED]
    assert session.refused
    assert repr(session) == "<Session 7 'PJSIP/1-1'>"


@pytest.mark.parametrize(
    ("verb", "sent"),
    [
        (lambda s: s.set_variable("A", 5), 'SET VARIABLE "A" "5"'),
        (lambda s: s.database_put("f", 1, 2.5), 'DATABASE PUT "f" "1" "2.5"'),
    ],
)
def test_numbers_are_taken(verb: Verb, sent: str) -> None:
    """As Asterisk takes them."""
    assert perform(verb, ONE)[1] == [sent]


@pytest.mark.parametrize(
    ("verb", "named"),
    [
        (lambda s: s.get_data("x", timeout="5"), "timeout is str and not a number of seconds"),
        (lambda s: s.get_data("x", max_digits="5"), "max_digits is str and not a number of keys"),
        (lambda s: s.get_data("x", timeout=float("nan")), "timeout is float and not a number of seconds"),
        (lambda s: s.wait_for_digit("5"), "timeout is str and not a number of seconds"),
        (lambda s: s.say_date("today"), "when is str and not a number of seconds"),
        (lambda s: s.say_digits(None), "SAY DIGITS: digits is neither text nor a number but NoneType"),
        (lambda s: s.set_autohangup("soon"), "seconds is str and not a number of seconds"),
        (lambda s: s.control_stream_file("x", skip="3"), "skip is str and not a number of seconds"),
        (lambda s: s.set_variable("A", None), "SET VARIABLE: value is neither text nor a number but NoneType"),
        (lambda s: s.dial("PJSIP/1", "10"), "timeout is str and not a number of seconds"),
        (lambda s: s.dial("PJSIP/1,,G(out^s^1)"), "dial: the devices hold a comma; nothing was sent"),
        (lambda s: s.speech_recognize("x", "5"), "timeout is str and not a number of seconds"),
    ],
)
def test_what_cannot_be_sent_is_named(verb: Verb, named: str) -> None:
    """By its parameter, before anything is sent."""
    with pytest.raises(LocalProtocolError, match=named):
        perform(verb)


ANSWERED = b"200 result=1 (ANSWER,12)"


@pytest.mark.parametrize(
    ("verb", "sent"),
    [
        (lambda s: s.dial("PJSIP/1"), "PJSIP/1,,g"),
        (lambda s: s.dial("PJSIP/1&PJSIP/2", 20.9, "tL(60000:g)"), "PJSIP/1&PJSIP/2,20,tL(60000:g)g"),
        (lambda s: s.dial("PJSIP/1", options="gt", url="http://x"), "PJSIP/1,,gt,http://x"),
    ],
)
def test_dial_tells_how_it_ended(verb: Verb, sent: str) -> None:
    """Option g once, the status and the seconds in one more command."""
    outcome, lines = perform(verb, OK, ANSWERED)
    assert outcome == DialOutcome(DialStatus.ANSWER, 12, hung_up=False)
    assert lines == [f'EXEC "Dial" "{sent}"', 'GET FULL VARIABLE "${DIALSTATUS},${ANSWEREDTIME}"']


def test_dial_without_an_answer() -> None:
    """There are no seconds then; a status that Asterisk does not have is a failure."""
    assert (
        perform(lambda s: s.dial("PJSIP/1"), OK, b"200 result=1 (CHANUNAVAIL,)")[0].status is DialStatus.UNAVAILABLE
    )
    with pytest.raises(CommandFailed):
        perform(lambda s: s.dial("PJSIP/1"), OK, b"200 result=1 (,)")


def test_an_execute_of_hangup_is_no_news() -> None:
    """It returns -1, as Asterisk says, and asks nothing more."""
    assert perform(lambda s: s.execute("Hangup"), b"200 result=-1") == (-1, ['EXEC "Hangup"'])
