"""agi_monitor.agi.pyst2: what pyst2 0.5.1 gets wrong is right here, each by its name in docs/howto/from-pyst2.md."""

from __future__ import annotations

import io
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asterisk.agi
import pytest
from asterisk.agi import (
    AGIAppError,
    AGIDBError,
    AGIError,
    AGIHangup,
    AGIInvalidCommand,
    AGIResultHangup,
    AGISIGHUPHangup,
    AGISIGPIPEHangup,
    AGIUsageError,
)
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.agi.messages import AGIRequest, Command, Reply
from agi_monitor.agi.pyst2 import BlockingAGI
from agi_monitor.errors import (
    AgiMonitorError,
    CallEnded,
    CommandFailed,
    InvalidCommand,
    LocalProtocolError,
    RemoteProtocolError,
    Unavailable,
    WrongUsage,
)
from agi_monitor.testing.words import split_words

ENVIRONMENT = (
    b"agi_network: yes\nagi_request: agi://x/spy\nagi_channel: PJSIP/1-1\nagi_context: c\nagi_extension: s\n"
)
ENVIRONMENT += b"agi_priority: 1\n\n"
DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "howto" / "from-pyst2.md"
USAGE = b"520-Invalid command syntax.  Proper usage follows:\nUsage: ANSWER\n520 End of proper usage.\n"
SECONDS = 20.0


@pytest.fixture(autouse=True)
def own_sighup() -> Iterator[None]:
    """The handler of this process is what it was before."""
    before = signal.getsignal(signal.SIGHUP)
    yield
    signal.signal(signal.SIGHUP, before)


class Talk:
    """A script's object on two files in memory: Asterisk's answers are known beforehand."""

    def __init__(self, replies: bytes, environment: bytes = ENVIRONMENT) -> None:
        self.out = io.BytesIO()
        self.err = io.StringIO()
        self.agi = BlockingAGI(io.BytesIO(environment + replies), self.out, self.err)

    @property
    def sent(self) -> list[str]:
        """What went to Asterisk, by line."""
        return self.out.getvalue().decode().splitlines()


def mended(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that shows one defect fixed, by its name in the document."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        MENDED.append(name)
        return test

    return mark


MENDED: list[str] = []


def test_it_is_an_agi_of_pyst2() -> None:
    """A script's isinstance, and its environment, are as ever."""
    agi = Talk(b"").agi
    assert isinstance(agi, asterisk.agi.AGI)
    assert agi.env["agi_channel"] == "PJSIP/1-1"
    assert agi.env["agi_extension"] == "s"


def test_every_method_of_pyst2_is_there_with_its_parameters() -> None:
    """Nothing that a script may call was renamed, and defaults are pyst2's."""
    import inspect

    original = BlockingAGI.__mro__[1]
    for name, method in vars(original).items():
        if name[0] == "_" or not callable(method):
            continue
        ours = inspect.signature(getattr(BlockingAGI, name)).parameters
        theirs = inspect.signature(method).parameters
        assert [(one.name, one.kind) for one in ours.values()] == [(one.name, one.kind) for one in theirs.values()]
        for one in theirs.values():
            if one.default is not one.empty and name != "get_result":
                assert ours[one.name].default == one.default, (name, one)


# -- the object itself --


@mended("thread")
def test_any_thread_may_make_one() -> None:
    """No signal handler is needed for it."""
    made: list[object] = []
    thread = threading.Thread(target=lambda: made.append(Talk(b"").agi.env["agi_context"]))
    thread.start()
    thread.join(SECONDS)
    assert made == ["c"]


@mended("sighup")
def test_a_handler_of_the_process_stays() -> None:
    """What a program does on SIGHUP is its own."""
    seen: list[int] = []
    signal.signal(signal.SIGHUP, lambda number, _: seen.append(number))
    handler = signal.getsignal(signal.SIGHUP)
    _ = Talk(b"").agi
    assert signal.getsignal(signal.SIGHUP) is handler


@mended("binary-output")
@pytest.mark.parametrize("kind", [io.BytesIO, io.StringIO])
def test_text_and_bytes_are_written_alike(kind: Callable[[], Any]) -> None:
    """Standard output is text, a socket's file is bytes."""
    out = kind()
    agi = BlockingAGI(io.BytesIO(ENVIRONMENT + b"200 result=0\n"), out)
    agi.answer()
    assert out.getvalue() in ("ANSWER\n", b"ANSWER\n")


@mended("stderr")
def test_nothing_is_written_to_stderr() -> None:
    """Least of all what was keyed in."""
    talk = Talk(b"200 result=4711\n")
    talk.agi.get_data("agent-pass")
    assert talk.err.getvalue() == ""


@mended("limits")
def test_sizes_are_bound() -> None:
    """A line of 30 MB is not read to its end."""
    stdin = io.BytesIO(b"agi_x: " + b"A" * 30_000_000 + b"\n\n")
    with pytest.raises(RemoteProtocolError, match="a line is too long"):
        BlockingAGI(stdin, io.BytesIO())
    assert stdin.tell() < 100_000


@mended("latin-1")
def test_a_name_that_is_no_utf_8_ends_nothing() -> None:
    """The bytes that are not UTF-8 are replaced."""
    talk = Talk(b"200 result=1 (M\xfcller)\n", b"agi_calleridname: M\xfcller\n\n")
    assert talk.agi.env["agi_calleridname"] == "M\ufffdller"
    assert talk.agi.get_variable("NAME") == "M\ufffdller"


# -- hang-ups --


@mended("hangup-in-command")
def test_a_hang_up_during_a_command_is_a_hang_up() -> None:
    """-1 alone says nothing: CHANNEL STATUS is asked, and 511 means that the caller is gone."""
    talk = Talk(b"200 result=-1\nHANGUP\n511 Command Not Permitted on a dead channel or intercept routine\n")
    with pytest.raises(AGIResultHangup, match="the caller hung up"):
        talk.agi.get_data("agent-pass")
    assert talk.sent[-1] == "CHANNEL STATUS"


def test_a_failure_is_still_a_failure() -> None:
    """The channel lives, so -1 is what the command said."""
    talk = Talk(b"200 result=-1\n200 result=6\n")
    with pytest.raises(AGIAppError) as raised:
        talk.agi.answer()
    assert not isinstance(raised.value, AGIHangup)
    assert talk.agi.env


@mended("hangup-line")
def test_the_line_hangup_answers_nothing() -> None:
    """The command has its own reply; the next one tells of the hang-up, once."""
    talk = Talk(b"HANGUP\n200 result=1\n200 result=1\n")
    talk.agi.set_variable("X", "1")
    with pytest.raises(AGISIGHUPHangup):
        talk.agi.set_variable("Y", "1")
    talk.agi.set_variable("Z", "1")
    assert [line.split()[2] for line in talk.sent] == ['"X"', '"Z"']


@mended("in-step")
def test_replies_stay_with_their_commands() -> None:
    """After a hang-up too."""
    talk = Talk(b"HANGUP\n200 result=1 (first)\n200 result=1 (second)\n")
    assert talk.agi.get_variable("A") == "first"
    with pytest.raises(AGIHangup):
        talk.agi.test_hangup()
    assert talk.agi.get_variable("B") == "second"


@mended("end-of-file")
def test_a_closed_connection_is_a_hang_up() -> None:
    """In a command, and before the environment is complete."""
    with pytest.raises(AGISIGPIPEHangup):
        Talk(b"").agi.answer()
    with pytest.raises(AGIHangup):
        Talk(b"", b"agi_network: yes\n")


@mended("dead-channel")
def test_511_is_a_hang_up() -> None:
    """And it is told once."""
    talk = Talk(b"511 Command Not Permitted on a dead channel or intercept routine\n200 result=1\n")
    with pytest.raises(AGIHangup, match="ANSWER: the channel has hung up"):
        talk.agi.answer()
    talk.agi.set_variable("X", "1")


@mended("value-hangup")
def test_a_value_that_reads_hangup_is_a_value() -> None:
    """Of the database and of a variable."""
    talk = Talk(b"200 result=1 (hangup)\n200 result=1 (hangup)\n")
    assert talk.agi.database_get("f", "k") == "hangup"
    assert talk.agi.get_variable("X") == "hangup"


@mended("interrupt")
def test_sighup_interrupts_a_script_of_its_own(tmp_path: Path) -> None:
    """Asterisk sends SIGHUP to a script that it started: it is raised in the middle of a sleep."""
    program = tmp_path / "script.py"
    program.write_text(
        "import sys, time\n"
        "from agi_monitor import BlockingAGI\n"
        "agi = BlockingAGI()\n"
        "try:\n"
        "    print('asleep', file=sys.stderr, flush=True)\n"
        "    time.sleep(3600)\n"
        "except Exception as error:\n"
        "    agi.set_variable('WHY', type(error).__name__)\n"
    )
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as script:
        assert script.stdin is not None and script.stdout is not None and script.stderr is not None
        script.stdin.write(ENVIRONMENT)
        script.stdin.flush()
        assert script.stderr.readline() == b"asleep\n"
        script.send_signal(signal.SIGHUP)
        assert script.stdout.readline() == b'SET VARIABLE "WHY" "SighupHangup"\n'
        script.stdin.write(b"200 result=1\n")
        script.stdin.flush()
        assert script.wait(SECONDS) == 0


def test_its_own_hang_up_interrupts_nothing_in_a_script_of_its_own(tmp_path: Path) -> None:
    """SIGHUP comes in the middle of what it does behind ``hangup()``: that is done, and the next command raises."""
    program = tmp_path / "script.py"
    program.write_text(
        "import sys, time\n"
        "from agi_monitor import BlockingAGI\n"
        "agi = BlockingAGI()\n"
        "agi.hangup()\n"
        "print('working', file=sys.stderr, flush=True)\n"
        "sys.stdin.readline()\n"
        "print('done', file=sys.stderr, flush=True)\n"
        "try:\n"
        "    agi.answer()\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as script:
        assert script.stdin is not None and script.stdout is not None and script.stderr is not None
        script.stdin.write(ENVIRONMENT)
        script.stdin.flush()
        assert script.stdout.readline() == b"HANGUP\n"
        script.stdin.write(b"200 result=1\n")
        script.stdin.flush()
        assert script.stderr.readline() == b"working\n"
        script.send_signal(signal.SIGHUP)
        script.stdin.write(b"go on\n")
        script.stdin.flush()
        assert script.stderr.readline() == b"done\n"
        assert script.stderr.readline() == b"SighupHangup\n"
        assert script.wait(SECONDS) == 0


# -- errors --


@mended("usage-at-end-of-file")
def test_a_usage_text_that_breaks_off_ends() -> None:
    """It is a hang-up, not a loop."""
    with pytest.raises(AGIHangup):
        Talk(b"520-Invalid command syntax.  Proper usage follows:\n").agi.answer()


@mended("usage-in-one-line")
def test_a_usage_error_in_one_line_is_complete() -> None:
    """Nothing more is waited for."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as stdin:
        theirs.sendall(ENVIRONMENT + b"520 Invalid command syntax.  Proper usage not available.\n")
        with pytest.raises(AGIUsageError, match="not available"):
            BlockingAGI(stdin, io.BytesIO()).answer()


def test_errors_are_those_of_pyst2() -> None:
    """510, 520, an application that is not there, a key that is not there."""
    talk = Talk(b"510 Invalid or unknown command\n" + USAGE + b"200 result=-2\n200 result=0\n")
    with pytest.raises(AGIInvalidCommand):
        talk.agi.execute("NONSENSE")
    with pytest.raises(AGIUsageError, match="Usage: ANSWER"):
        talk.agi.answer()
    with pytest.raises(AGIAppError, match="Unable to find application: Nothing"):
        talk.agi.appexec("Nothing")
    with pytest.raises(AGIDBError, match="Key not found"):
        talk.agi.database_get("f", "k")


# -- what is sent --


@mended("newline")
@pytest.mark.parametrize("text", ['x"\nEXEC System "id', "a\rb", "a\0b"])
def test_a_line_break_is_refused(text: str) -> None:
    """Nothing is sent, in no way of sending."""
    talk = Talk(b"")
    calls: list[Callable[[], object]] = [
        lambda: talk.agi.set_variable("NOTE", text),
        lambda: talk.agi.stream_file(text),
        lambda: talk.agi.execute(f"NOOP {text}"),
        lambda: talk.agi.execute("NOOP", text),
        lambda: talk.agi.exec_command("NoOp", text),
    ]
    for call in calls:
        with pytest.raises(LocalProtocolError, match="a line break or a NUL"):
            call()
    assert talk.sent == []


AS_PYST2 = [
    ('A=\\"one, two\\",B=three', r'"A=\"one, two\",B=three"'),
    ('a\\"b', r'"a\"b"'),
    ("X=a\\,b", r'"X=a\,b"'),
    ('Bob "B" Smith', '"Bob "B" Smith"'),
    ('googletts.agi,\\"Good day\\",en', r'"googletts.agi,\"Good day\",en"'),
    ("it's 5 o'clock", "\"it's 5 o'clock\""),
    ("", '""'),
]
"""What a script says, and what pyst2 sends: one word to Asterisk."""

NOT_AS_PYST2 = [
    ("ends in \\", r'"ends in \\"'),
    ('5" pipe', r'"5\" pipe"'),
    ('x" "y', r'"x\" \"y"'),
    ('A="one two",B=3', r'"A=\"one two\",B=3"'),
]
"""What a script says, and what is sent: pyst2's bytes would be no word, or several."""


@pytest.mark.parametrize(("value", "sent"), AS_PYST2)
def test_what_is_one_word_is_sent_as_pyst2_sends_it(value: str, sent: str) -> None:
    """So what a script has escaped for pyst2 is escaped once."""
    talk = Talk(b"200 result=1\n200 result=0\n")
    talk.agi.set_variable("X", value)
    talk.agi.appexec("MSet", value)
    assert talk.sent == [f'SET VARIABLE "X" {sent}', f"EXEC MSet {sent}"]
    assert [split_words(line)[-1] for line in talk.sent] == [split_words(f"X {sent}")[1]] * 2


@mended("escape")
@pytest.mark.parametrize(("value", "sent"), NOT_AS_PYST2)
def test_what_pyst2_would_break_is_escaped(value: str, sent: str) -> None:
    """The value arrives as it is."""
    talk = Talk(b"200 result=1\n")
    talk.agi.set_variable("NAME", value)
    assert talk.sent == [f'SET VARIABLE "NAME" {sent}']
    assert split_words(talk.sent[0]) == ["SET", "VARIABLE", "NAME", value]


@given(st.text(st.sampled_from('ab \t"\\,'), max_size=12))
def test_every_value_is_one_word(value: str) -> None:
    """Whatever a script passes, Asterisk reads as many words as pyst2 has arguments."""
    talk = Talk(b"200 result=0\n" * 3)
    talk.agi.set_variable("NAME", value)
    talk.agi.set_context(value)
    talk.agi.exec_command("NoOp", value)
    assert [len(split_words(line)) for line in talk.sent] == [4, 3, 3]


@mended("unquoted")
def test_what_is_not_one_word_is_quoted() -> None:
    """Names with spaces, the caller id, contexts, channels, applications. All else is as pyst2 sends it."""
    talk = Talk(b"200 result=1\n" * 20)
    talk.agi.set_callerid('"Bob Smith" <100>')
    talk.agi.set_context("my context")
    talk.agi.set_extension(100)
    talk.agi.set_priority(1)
    talk.agi.hangup("PJSIP/a b-1")
    talk.agi.channel_status("PJSIP/a b-1")
    talk.agi.appexec("Wait", "1")
    talk.agi.exec_command("NoOp", "a b", 2)
    talk.agi.exec_command("Playback", '"a b"', "noanswer")
    talk.agi.stream_file("my file", [1, "#"])
    talk.agi.get_option("my file", "12", 500)
    talk.agi.get_data("my file", 500, 4)
    talk.agi.record_file("my file", "wav")
    assert talk.sent == [
        r'SET CALLERID "\"Bob Smith\" <100>"',
        'SET CONTEXT "my context"',
        "SET EXTENSION 100",
        "set priority 1",
        'HANGUP "PJSIP/a b-1"',
        'CHANNEL STATUS "PJSIP/a b-1"',
        'EXEC Wait "1"',
        'EXEC NoOp "a b,2"',
        'EXEC Playback "a b",noanswer',
        'STREAM FILE "my file" "1#" 0',
        'GET OPTION "my file" "12" 500',
        'GET DATA "my file" 500 4',
        'RECORD FILE "my file" wav "#" 20000 0 beep s=0',
    ]


def test_what_a_script_has_quoted_is_not_quoted_twice() -> None:
    """The way around pyst2 still works; and without a channel none is named."""
    talk = Talk(b"200 result=1\n200 result=1\n200 result=6\n")
    talk.agi.stream_file('"my file"')
    talk.agi.hangup()
    talk.agi.channel_status()
    assert talk.sent == ['STREAM FILE "my file" "" 0', "HANGUP", "CHANNEL STATUS"]


@mended("verbose-lines")
def test_each_line_of_a_message_is_a_line_of_the_console() -> None:
    """A traceback, for example; and a NUL is still refused."""
    talk = Talk(b"200 result=1\n" * 4)
    talk.agi.verbose("one\r\ntwo\n\nthree\n", 3)
    talk.agi.verbose("")
    assert talk.sent == ['VERBOSE "one" 3', 'VERBOSE "two" 3', 'VERBOSE "three" 3', 'VERBOSE "" 1']
    with pytest.raises(LocalProtocolError):
        talk.agi.verbose("a\0b")


@mended("quoted-twice")
def test_the_database_is_asked_for_the_key_itself() -> None:
    """Not for one in quotes."""
    talk = Talk(b"200 result=1 (v)\n")
    assert talk.agi.database_get("my fam", "k") == "v"
    assert talk.sent == ['DATABASE GET "my fam" "k"']


@mended("zone")
def test_a_zone_without_a_format_stays_a_zone() -> None:
    """Asterisk takes the word in its place for the format."""
    talk = Talk(b"200 result=0\n200 result=0\n")
    talk.agi.say_datetime(0, "", "", "Europe/Berlin")
    talk.agi.say_datetime(0)
    assert talk.sent == ["""SAY DATETIME 0 "" "ABdY 'digits/at' IMp" Europe/Berlin""", 'SAY DATETIME 0 ""']


def test_gosub_says_twice_that_it_runs() -> None:
    """``100`` is no reply; 503 and an unknown code are failures."""
    talk = Talk(b"100 result=0 Trying...\n200 result=0 Gosub complete\n503 result=-2 no memory\n299 x\n")
    assert talk.agi.execute("GOSUB", "sub", "s", 1)["result"] == ("0", "")
    for _ in range(2):
        with pytest.raises(AGIAppError):
            talk.agi.execute("GOSUB", "sub", "s", 1)


def test_a_command_has_bounds() -> None:
    """A line that Asterisk would split, or that would kill it, is refused."""
    talk = Talk(b"")
    for call in (
        lambda: talk.agi.set_variable("X", "a" * 2_100),
        lambda: talk.agi.execute("NOOP", *["a"] * 130),
        lambda: talk.agi.execute(""),
        lambda: talk.agi.set_variable("X", "\ud800"),
        lambda: talk.agi.get_result(),
    ):
        with pytest.raises(LocalProtocolError):
            call()
    assert talk.sent == []


# -- what comes back --


@mended("time-out")
def test_what_was_keyed_in_knows_how_it_ended() -> None:
    """``#`` and a time that passed are two things."""
    talk = Talk(b"200 result= (timeout)\n200 result=12 (timeout)\n200 result=12\n")
    keyed = [talk.agi.get_data("p") for _ in range(3)]
    assert keyed == ["", "12", "12"]
    assert [one.timed_out for one in keyed] == [True, True, False]


@mended("lines-in-a-value")
def test_a_value_of_two_lines_is_one_value() -> None:
    """The next reply is the next command's."""
    talk = Talk(b"200 result=1 (line one\nline two)\n200 result=1 (B)\n")
    assert talk.agi.get_variable("A") == "line one\nline two"
    assert talk.agi.get_variable("B") == "B"


@mended("record-nul")
def test_a_recording_without_a_key_has_no_key() -> None:
    """Empty, not a NUL."""
    talk = Talk(b"200 result=0 (timeout) endpos=1000\n200 result=35 (dtmf) endpos=900\n")
    assert [talk.agi.record_file("x"), talk.agi.record_file("x")] == ["", "#"]


@mended("deltree")
def test_deleting_a_tree_is_no_error() -> None:
    """Asterisk answers 0 when something was deleted."""
    talk = Talk(b"200 result=0\n200 result=1\n")
    talk.agi.database_deltree("family")
    with pytest.raises(AGIDBError):
        talk.agi.database_deltree("family", "nothing")
    assert talk.sent == ['DATABASE DELTREE "family" ""', 'DATABASE DELTREE "family" "nothing"']


def test_results_have_pyst2_s_form() -> None:
    """For scripts that use ``execute`` themselves."""
    talk = Talk(b"200 result=1 (value)\n200 result=53 endpos=800\n")
    assert talk.agi.execute("GET VARIABLE", '"X"') == {"result": ("1", "value")}
    assert talk.agi.execute("STREAM FILE", "x", '"5"') == {"result": ("53", ""), "endpos": ("800", "")}
    assert talk.sent == ['GET VARIABLE "X"', 'STREAM FILE x "5"']


def both(raised: pytest.ExceptionInfo[AgiMonitorError], theirs: type[Exception]) -> None:
    """What was raised is ours, and pyst2's: an exact class of ours would be caught by half of the scripts."""
    assert isinstance(raised.value, theirs)
    assert isinstance(raised.value, AGIError)


def test_errors_end_a_handler_as_any_other() -> None:
    """They are ours too, so one except fits both."""
    with pytest.raises(CallEnded) as ended:
        Talk(b"").agi.answer()
    both(ended, AGIHangup)
    with pytest.raises(RemoteProtocolError) as broken:
        Talk(b"nonsense\n").agi.answer()
    both(broken, AGIError)
    with pytest.raises(RemoteProtocolError) as begun:
        Talk(b"", b"x" * 100_000)
    both(begun, AGIError)
    with pytest.raises(CallEnded) as silent:
        Talk(b"", b"agi_network: yes\n")
    both(silent, AGIHangup)
    with pytest.raises(LocalProtocolError) as unsent:
        Talk(b"").agi.execute("NOOP a\nb")
    both(unsent, AGIError)
    with pytest.raises(LocalProtocolError) as unasked:
        Talk(b"").agi.get_result()
    both(unasked, AGIError)


@pytest.mark.parametrize(
    ("reply", "ours", "theirs"),
    [
        (b"510 Invalid or unknown command\n", InvalidCommand, AGIInvalidCommand),
        (USAGE, WrongUsage, AGIUsageError),
        (b"200 result=-1\n200 result=6\n", CommandFailed, AGIAppError),
    ],
)
def test_a_no_is_ours_and_pyst2s(reply: bytes, ours: type[CommandFailed], theirs: type[Exception]) -> None:
    """With the command, the code and the text; each is an ``AGIAppError``, as ours is a ``CommandFailed``."""
    with pytest.raises(ours) as raised:
        Talk(reply).agi.answer()
    both(raised, theirs)
    both(raised, AGIAppError)
    assert isinstance(raised.value, CommandFailed)
    assert (raised.value.verb, raised.value.code) == ("ANSWER", int(reply[:3]))


class Ended:
    """A line whose call is over, in words that know nothing of pyst2.

    Parameters:
        error: what it raises.
    """

    has_agi = False

    def __init__(self, error: AgiMonitorError) -> None:
        self.request = AGIRequest({}, ())
        self._error = error

    def perform(self, command: Command) -> Reply:
        """No process is there."""
        raise self._error

    def test_hangup(self) -> None:
        """Tell it."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "theirs"),
    [
        (CallEnded("gone"), AGIHangup),
        (RemoteProtocolError("what was that?"), AGIError),
        (LocalProtocolError("not now"), AGIError),
    ],
)
def test_what_a_line_raises_is_told_as_pyst2s(error: AgiMonitorError, theirs: type[Exception]) -> None:
    """From every method, in the same words, and it is still ours."""
    agi = BlockingAGI(line=Ended(error))
    for ask in (agi.test_hangup, agi.answer):
        with pytest.raises(type(error), match=str(error).replace("?", r"\?")) as raised:
            ask()
        both(raised, theirs)


def test_what_never_comes_to_a_script_stays_as_it_is() -> None:
    """An error of another kind is nothing that a script has an except for."""
    agi = BlockingAGI(line=Ended(Unavailable("no picture")))
    with pytest.raises(Unavailable) as raised:
        agi.test_hangup()
    assert not isinstance(raised.value, AGIError)


# -- the list --


def listed() -> list[str]:
    """The names in the document's table of what is fixed; the one of the manager has tests elsewhere."""
    agi, _, _ = DOCUMENT.read_text(encoding="utf-8").partition("## The manager interface")
    return re.findall(r"^\| `([a-z0-9-]+)` \|", agi, re.MULTILINE)


def test_the_list_of_what_is_mended_is_complete() -> None:
    """Each line of the document has its test, here or where a server is needed, and each test its line."""
    from tests.shell.agi.test_blocking import MENDED as ON_A_SERVER

    assert sorted(listed()) == sorted([*MENDED, *ON_A_SERVER])
