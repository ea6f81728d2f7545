"""Record what a real Asterisk says, over AGI byte for byte, and over AMI event by event.

`python -m contrib.lab.transcripts` writes tests/transcripts/agi-<situation>-<version>.txt. The lines of a file:

    # a comment
    A: agi_request: agi://172.18.0.1:40001/answer      Asterisk, the line as it came without its newline
    S: ANSWER                                           the server
    E: hang up                                          what the person at the phone did
    X:                                                  Asterisk closed the connection

Bytes that are not printable ASCII stand as \\xNN, a backslash as \\x5c.

tests/transcripts/ami-actions-<version>.txt is a conversation with the manager interface, in the same way: a line of
a message each, without the events between them, and `E: connect` for a new connection.

And tests/transcripts/ami-calls-<version>.txt, many calls one after the other. A line is a comment or one of these, in
JSON and in the order of the wire, with the headers that tell of calls and devices:

    {"event": {...}}                                    an event
    {"asked": "<moment>"}                               the lists are about to be asked for
    {"moment": "<moment>", "quiet": true, "lists": {}}  they have come, and so has all that is older; quiet: nothing
                                                        happened between the question and the answer
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from agi_monitor.agi.messages import longest_command
from agi_monitor.dialplan.parse import parse
from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.manager import Manager, Message
from contrib.lab.pbx import VERSIONS, Lab
from contrib.lab.waiting import wait_until

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "transcripts"
GOLDEN_DIALPLAN = FOLDER.parent / "golden" / "three-groups.conf"
PHONE = "2001"
EXTENSION = "7900"
REPLY_SECONDS = 15.0
LONGEST_LINE_BYTES = 8192
QUIET_SECONDS = 20.0
LATE_EVENTS_SECONDS = 0.3
NO_CALLS = frozenset({"FullyBooted", "ContactStatus", "PeerStatus"})
"""Events that tell of no call and of no device's state; the second tells addresses."""
NOISE = re.compile(
    r"Privilege|ActionID|Application(Data)?|Duration|CID-CallingPres|MusicClass|DialString|\w*Cause\S*|StatusText|"
    r"Bridge(Creator|NumChannels|VideoSource\w*)|Weight|Service\w+|(Talk|Hold|Login|Ring)Time|Holdtime|Strategy|Max|"
    r"Completed|Abandoned|CallsTaken|LastCall|LastPause|Wrapuptime|Penalty|PausedReason|Ringinuse|"
    r"(Dest|LocalOne|LocalTwo|Transfer\w*|Orig\w*|Second\w*|Park\w*|Retriever)?"
    r"(ChannelState|CallerIDName|ConnectedLineName|Language|AccountCode|Priority)"
)
"""Headers that say nothing of who talks to whom, or of who people are."""


class Conversation:
    """One AGI connection, written down.

    :param lab: whose phone calls
    :param listener: where Asterisk connects to
    """

    def __init__(self, lab: Lab, listener: socket.socket) -> None:
        self.lab = lab
        self.lines: list[str] = []
        self._listener = listener
        self._buffer = b""
        self._socket: socket.socket

    def __enter__(self) -> Self:
        self.lab.phone(PHONE).dial(EXTENSION)
        self._socket, _ = self._listener.accept()
        self._socket.settimeout(REPLY_SECONDS)
        while self._line():
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.lab.phone(PHONE).hang_up()
        self.lab.reset()

    def say(self, command: str, act: Callable[[], None] | None = None) -> None:
        """Send a command, let the person do something, and read the whole reply.

        :param act: what happens at the phone while Asterisk is busy with the command
        """
        self.lines.append(f"S: {_escaped(command.encode())}")
        try:
            self._socket.sendall(command.encode() + b"\n")
        except OSError:
            self.lines.append("X:")
            return
        if act is not None:
            act()
        while (line := self._line()) is not None:
            if line in (b"HANGUP", b"100 result=0 Trying...") or line.startswith(b"520-"):
                continue
            if line and not line[:1].isdigit():
                continue
            return

    def press(self, keys: str) -> None:
        """Let the person type."""
        self.lines.append(f"E: keys {keys}")
        self.lab.phone(PHONE).press(keys)

    def hang_up(self) -> None:
        """Let the person hang up, and wait until Asterisk knows."""
        self.lines.append("E: hang up")
        self.lab.phone(PHONE).hang_up()

    def read_hangup(self) -> None:
        """Read the line that tells of a hangup between two commands."""
        self._line()

    def _line(self) -> bytes | None:
        """Read and write down one line; None at the end of the connection."""
        while b"\n" not in self._buffer:
            if len(self._buffer) > LONGEST_LINE_BYTES:
                raise ValueError(f"a line of more than {LONGEST_LINE_BYTES} bytes: {self._buffer[:80]!r}")
            try:
                received = self._socket.recv(4096)
            except ConnectionResetError:
                received = b""
            if not received:
                self.lines.append("X:")
                return None
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        self.lines.append(f"A: {_escaped(line)}".rstrip(" "))
        return line


def answer(talk: Conversation) -> None:
    """A call is answered."""
    talk.say("ANSWER")


def get_data_time_out(talk: Conversation) -> None:
    """No key is pressed, then too few."""
    talk.say("ANSWER")
    talk.say("GET DATA silence/1 500 4")
    talk.say("GET DATA silence/1 1500 4", lambda: talk.press("12"))


def get_data_digits(talk: Conversation) -> None:
    """Digits up to the hash, up to the most that are wanted, and the hash alone."""
    talk.say("ANSWER")
    talk.say("GET DATA silence/1 5000 6", lambda: talk.press("8305#"))
    talk.say("GET DATA silence/1 5000 4", lambda: talk.press("8305"))
    talk.say("GET DATA silence/1 5000 4", lambda: talk.press("#"))


def get_variable(talk: Conversation) -> None:
    """Variables that are set, empty, absent, and with awkward values."""
    talk.say('SET VARIABLE lab "two words"')
    talk.say("GET VARIABLE lab")
    talk.say('SET VARIABLE empty ""')
    talk.say("GET VARIABLE empty")
    talk.say("GET VARIABLE absent")
    talk.say('SET VARIABLE awkward "a) (b \\"c\\" \\\\"')
    talk.say("GET VARIABLE awkward")


def get_full_variable(talk: Conversation) -> None:
    """Expressions on this channel, on another one, and on one that does not exist."""
    talk.lab.connect("3001", "1001")
    other = talk.lab.pbx.channels_of("1001")[0].name
    talk.say("GET FULL VARIABLE ${CHANNEL(state)}")
    talk.say("GET FULL VARIABLE ${CHANNEL(endpoint)} " + other)
    talk.say("GET FULL VARIABLE ${absent}")
    talk.say("GET FULL VARIABLE ${CHANNEL(state)} PJSIP/nobody-00000000")


def execute(talk: Conversation) -> None:
    """Applications: one that works, one that fails, one that does not exist."""
    talk.say("ANSWER")
    talk.say('EXEC NoOp "hello"')
    talk.say('EXEC ChanSpy "PJSIP/nobody-00000000,uqES"')
    talk.say('EXEC NoSuchApplication "1"')
    talk.say('EXEC NoOp "still here"')


def bad_syntax(talk: Conversation) -> None:
    """A command that does not exist, and one without its arguments."""
    talk.say("NONSENSE")
    talk.say("GET DATA")
    talk.say("VERBOSE")
    talk.say("")
    talk.say('NOOP "unbalanced')
    talk.say("NOOP")


def stream_file_missing(talk: Conversation) -> None:
    """A sound that exists and one that does not."""
    talk.say("ANSWER")
    talk.say('STREAM FILE beep ""')
    talk.say('STREAM FILE no-such-sound ""')
    talk.say("GET DATA no-such-sound 500 4")


def channel_status(talk: Conversation) -> None:
    """This channel before and after the answer, another one, one that does not exist."""
    talk.say("CHANNEL STATUS")
    talk.say("ANSWER")
    talk.say("CHANNEL STATUS")
    talk.say("CHANNEL STATUS PJSIP/nobody-00000000")


def hangup_during_wait(talk: Conversation) -> None:
    """The caller hangs up while Asterisk waits for a digit."""
    talk.say("ANSWER")
    talk.say("WAIT FOR DIGIT 10000", talk.hang_up)
    talk.say("GET VARIABLE CHANNEL")
    talk.say('STREAM FILE beep ""')


def hangup_during_get_data(talk: Conversation) -> None:
    """The caller hangs up in the middle of the digits."""
    talk.say("ANSWER")

    def type_and_leave() -> None:
        talk.press("83")
        talk.hang_up()

    talk.say("GET DATA silence/1 5000 6", type_and_leave)
    talk.say('VERBOSE "after the hangup" 1')


def hangup_during_exec(talk: Conversation) -> None:
    """The caller hangs up while an application runs."""
    talk.say("ANSWER")
    talk.say('EXEC Wait "10"', talk.hang_up)
    talk.say("GET VARIABLE CHANNEL")


def hangup_between(talk: Conversation) -> None:
    """The caller hangs up while the server thinks."""
    talk.say("ANSWER")
    talk.hang_up()
    talk.read_hangup()
    talk.say("GET VARIABLE CHANNEL")
    talk.say('STREAM FILE beep ""')


def every_command(talk: Conversation) -> None:
    """Every command that Asterisk has, once (commands of res_agi.c, and GOSUB of app_stack.c)."""
    for line in EVERY_COMMAND:
        talk.say(line)


EVERY_COMMAND = (
    "NOOP",
    "SET AUTOHANGUP 0",
    "SET CALLERID 2002",
    "SET VARIABLE lab value",
    "GET VARIABLE lab",
    "GET FULL VARIABLE ${lab}",
    'VERBOSE "every command" 3',
    "DATABASE PUT lab key value",
    "DATABASE GET lab key",
    "DATABASE DEL lab key",
    "DATABASE DEL lab key",
    "DATABASE PUT lab tree/one 1",
    "DATABASE DELTREE lab tree",
    "DATABASE DELTREE lab tree",
    "CHANNEL STATUS",
    "ANSWER",
    'CONTROL STREAM FILE beep ""',
    'STREAM FILE beep "" 0',
    'GET OPTION beep "12" 200',
    "GET DATA beep 200 1",
    "WAIT FOR DIGIT 200",
    'RECORD FILE /tmp/agi-lab wav "#" 400',
    'SAY ALPHA a ""',
    'SAY DIGITS 1 ""',
    'SAY NUMBER 2 ""',
    'SAY PHONETIC a ""',
    'SAY DATE 0 ""',
    'SAY TIME 0 ""',
    'SAY DATETIME 0 "" A',
    "SET MUSIC ON default",
    "SET MUSIC OFF",
    "SEND TEXT hello",
    "SEND IMAGE no-such-image",
    "RECEIVE CHAR 200",
    "RECEIVE TEXT 200",
    "TDD MODE off",
    "SPEECH CREATE no-such-engine",
    "SPEECH SET name value",
    "SPEECH LOAD GRAMMAR name /tmp/no-such-grammar",
    "SPEECH ACTIVATE GRAMMAR name",
    "SPEECH RECOGNIZE beep 1",
    "SPEECH DEACTIVATE GRAMMAR name",
    "SPEECH UNLOAD GRAMMAR name",
    "SPEECH DESTROY",
    "EXEC NoOp still",
    "GOSUB lab-sub s 1",
    "GET VARIABLE GOSUB_RETVAL",
    "GOSUB lab-sub s 1 one,two",
    "GET VARIABLE GOSUB_RETVAL",
    "GOSUB lab-sub s no-such-label",
    "GOSUB lab-sub nowhere 1",
    "SET CONTEXT lab-tests",
    "SET EXTENSION 7900",
    "SET PRIORITY 1",
    "ASYNCAGI BREAK",
    "HANGUP PJSIP/nobody-00000000",
    "HANGUP",
)
"""The lines of ``every_command``."""

SUBROUTINE = "[lab-sub]\nexten => s,1,Return(${ARG1}-${ARG2})\n"
"""What its GOSUB runs."""


def wrong_usage(talk: Conversation) -> None:
    """Commands without their arguments, or with too many: the usage of each that is checked for."""
    for line in WRONG_USAGE:
        talk.say(line)


WRONG_USAGE = (
    "CHANNEL STATUS a b",
    "DATABASE GET family",
    "DATABASE PUT family key",
    "DATABASE DEL family",
    "DATABASE DELTREE a b c",
    "EXEC",
    "GET DATA",
    "GET FULL VARIABLE",
    "GET VARIABLE",
    "GOSUB context extension",
    "RECORD FILE name wav",
    "SET VARIABLE name",
    "STREAM FILE name",
    "VERBOSE",
)
"""The lines of ``wrong_usage``."""


def longest_line(talk: Conversation) -> None:
    """The longest line that this Asterisk reads, and one byte more: then each reply is an earlier command's."""
    version = talk.lab.pbx.cli("core show version").split()[1]
    talk.say("NOOP ".ljust(longest_command(version) - 1, "a"))
    talk.say("NOOP ".ljust(longest_command(version), "a"))
    talk.say("CHANNEL STATUS")
    talk.say("NOOP")


def dial(talk: Conversation) -> None:
    """The called party hangs up, without and with option g; no device answers; the caller hangs up."""
    agent = talk.lab.phone("1001")

    def answer_and_leave() -> None:
        agent.wait_for_incoming()
        talk.lines.append("E: the called party answers and hangs up")
        agent.answer()
        agent.hang_up()

    def answer_and_stay() -> None:
        agent.wait_for_incoming()
        talk.lines.append("E: the called party answers")
        agent.answer()
        talk.hang_up()

    talk.say("ANSWER")
    for options in ("", ",g"):
        talk.say(f'EXEC Dial "PJSIP/1001,10{options}"', answer_and_leave)
        agent.wait_until_idle()
        talk.say("GET FULL VARIABLE ${DIALSTATUS}")
    talk.say('EXEC Dial "PJSIP/nobody,10,g"')
    talk.say("GET FULL VARIABLE ${DIALSTATUS},${ANSWEREDTIME}")
    talk.say('EXEC Dial "PJSIP/1001,10,g"', answer_and_stay)
    talk.say("GET FULL VARIABLE ${DIALSTATUS}")


SITUATIONS: tuple[Callable[[Conversation], None], ...] = (
    answer,
    get_data_time_out,
    get_data_digits,
    get_variable,
    get_full_variable,
    execute,
    bad_syntax,
    stream_file_missing,
    channel_status,
    hangup_during_wait,
    hangup_during_get_data,
    hangup_during_exec,
    hangup_between,
    every_command,
    wrong_usage,
    longest_line,
    dial,
)

DIFFERENT_BY_VERSION = (longest_line,)
"""Situations in which 16 and 22 do not say the same."""


class Calls:
    """What the manager interface tells of many calls, written down.

    :param lab: whose calls
    :param manager: logged in
    """

    def __init__(self, lab: Lab, manager: Manager) -> None:
        self.lab = lab
        self.lines: list[str] = []
        self._manager = manager

    def quiet(self, moment: str) -> None:
        """Write down the lists as soon as nothing more happens."""

        def look() -> bool:
            self._hear()
            before = len(self.lines)
            lists = self._listed(moment)
            if len(self.lines) > before + 1:  # beside the question itself
                del self.lines[before]
                return False
            self._write(moment=moment, quiet=True, lists=lists)
            return True

        wait_until(look, QUIET_SECONDS, f"quiet after {moment}")

    def busy(self, moment: str) -> None:
        """Write down the lists as soon as something happens, in the middle of it."""
        before = len(self.lines)

        def look() -> bool:
            self._hear()
            return len(self.lines) > before

        wait_until(look, QUIET_SECONDS, f"something to happen {moment}")
        self._write(moment=moment, quiet=False, lists=self._listed(moment))

    def _listed(self, moment: str) -> dict[str, list[Message]]:
        self._write(asked=moment)
        lists = {action: [_without_noise(item) for item in items] for action, items in self._manager.lists().items()}
        until = time.monotonic() + LATE_EVENTS_SECONDS
        wait_until(lambda: time.monotonic() >= until, 2 * LATE_EVENTS_SECONDS + 1.0, "late events to come")
        self._hear()
        return lists

    def _hear(self) -> None:
        for event in self._manager.heard():
            if event["Event"] not in NO_CALLS:
                self._write(event=_without_noise(event))

    def _write(self, **line: object) -> None:
        self.lines.append(json.dumps(line, separators=(",", ":")))


def _without_noise(message: Message) -> Message:
    found = {name: value for name, value in message.items() if NOISE.fullmatch(name) is None}
    if message.get("Event") != "ExtensionStatus":
        for name in [name for name in found if name.endswith(("Context", "Exten"))]:
            del found[name]
    return found


def call_lives(calls: Calls) -> None:
    """Calls of every kind, from the first ring to the last hang-up."""
    lab = calls.lab
    agent, colleague, customer = lab.phone("1001"), lab.phone("1002"), lab.phone("3001")

    def over() -> None:
        lab.pbx.hangup_all()
        for phone in (agent, colleague, customer):
            phone.wait_until_idle()
        calls.quiet("all is over")

    calls.quiet("nothing has happened")
    customer.dial("1001")
    agent.wait_for_incoming()
    calls.quiet("the agent's phone rings")
    agent.answer()
    calls.quiet("the agent talks")
    agent.hold()
    calls.quiet("the agent holds the customer")
    agent.resume()
    calls.quiet("the agent talks again")
    lab.connect("1001", "1002")
    calls.quiet("the agent asks the colleague")
    customers, colleagues = agent.calls
    agent.transfer_attended(customers, colleagues)
    calls.quiet("the colleague has the customer")
    colleague.transfer("700")
    calls.quiet("the customer is parked")
    agent.call("701")
    calls.quiet("the agent has fetched the customer")
    colleague.set_auto_answer(True)
    agent.transfer("1002")
    calls.quiet("the colleague has the customer unasked")
    colleague.set_auto_answer(False)
    over()
    for queue in ("500", "501"):
        lab.connect("3001", queue, "1001")
        calls.quiet(f"the agent talks to a caller of queue {queue}")
        over()
    lab.pbx.cli("queue add member Local/1001@agents-at-desks/n to 502 penalty 0 as Desk state_interface PJSIP/1002")
    calls.quiet("the agent is logged in at the colleague's desk")
    lab.connect("3001", "502", "1002")
    calls.quiet("the agent talks at the colleague's desk")
    lab.pbx.cli("queue remove member Local/1001@agents-at-desks/n from 502")
    over()
    for number, how in (
        ("600", "in a ring group"),
        ("610", "forwarded"),
        ("611", "forwarded for good"),
        ("620", "found"),
    ):
        lab.connect("3001", number, "1002")
        calls.quiet(f"the colleague is {how}")
        over()
    for phone in (agent, customer):
        phone.call("800")
    colleague.call("801")
    calls.quiet("three are in a conference")
    over()
    quick = "for i in 1 2 3; do " + " & ".join(
        f"asterisk -rx 'channel originate Local/{extension}@load application Wait 1'"
        for extension in ("near", "optimised")
    )
    load = threading.Thread(target=lab.pbx.container.exec, args=(["sh", "-c", f"{quick} & wait; done"],))
    load.start()
    calls.busy("at the first of the quick calls")
    calls.busy("in the middle of quick calls")
    load.join()
    lab.pbx.wait_until(lambda: not lab.pbx.channels(), QUIET_SECONDS, "the quick calls to end")
    over()


def record_calls(lab: Lab) -> str:
    """Play all kinds of calls on a laboratory and return the transcript."""
    with Manager(lab) as manager:
        calls = Calls(lab, manager)
        call_lives(calls)
    heading = f"# {call_lives.__doc__} Asterisk {lab.pbx.cli('core show version').split()[1]}"
    return "\n".join([heading, *calls.lines]) + "\n"


def record(lab: Lab, situation: Callable[[Conversation], None]) -> str:
    """Play one situation on a laboratory and return the transcript."""
    name = situation.__name__.replace("_", "-")
    with socket.create_server((lab.gateway, 0)) as listener:
        listener.settimeout(REPLY_SECONDS)
        port = listener.getsockname()[1]
        lab.pbx.write_dialplan(
            "lab-transcripts",
            f"[lab-tests]\nexten => {EXTENSION},1,AGI(agi://{lab.gateway}:{port}/{name},one,two words)\n"
            + SUBROUTINE,
        )
        try:
            with Conversation(lab, listener) as talk:
                situation(talk)
        finally:
            lab.pbx.remove_dialplan("lab-transcripts")
    heading = f"# {(situation.__doc__ or '').strip()} Asterisk {lab.pbx.cli('core show version').split()[1]}"
    return "\n".join([heading, *talk.lines]) + "\n"


class ActionsTalk:
    """Conversations with the manager interface, written down.

    :param where: address and port
    :param username: an account that may do everything
    :param secret: of it
    """

    def __init__(self, where: tuple[str, int], username: str, secret: str) -> None:
        self.lines: list[str] = []
        self._where = where
        self._username = username
        self._secret = secret
        self._socket = socket.socket()
        self._buffer = b""

    def connect(self) -> None:
        """Begin a new connection."""
        self.close()
        self.lines.append("E: connect")
        self._socket = socket.create_connection(self._where, REPLY_SECONDS)
        self._buffer = b""
        self.lines.append(f"A: {self._line()}")

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def log_in(self) -> None:
        """Log in with MD5."""
        challenge = self.ask("Challenge", AuthType="MD5")["Challenge"]
        key = hashlib.md5((challenge + self._secret).encode(), usedforsecurity=False).hexdigest()
        self.ask("Login", AuthType="MD5", Username=self._username, Key=key)

    def ask(self, action: str, **headers: str) -> dict[str, str]:
        """Ask for something, and read its answer with the items of its list.

        :returns: the headers of the answer
        """
        asked = {"Action": action, "ActionID": "1", **headers}
        self.lines += [f"S: {name}: {value}" for name, value in asked.items()]
        self._socket.sendall("".join(f"{name}: {value}\r\n" for name, value in asked.items()).encode() + b"\r\n")
        first: dict[str, str] = {}
        while True:
            message = self._message()
            if message is None:
                self.lines.append("X:")
                return first
            if message.get("ActionID") != "1":
                continue
            self.lines += [f"A: {name}: {value}" for name, value in message.items()]
            first = first or message
            if first.get("EventList") != "start" or message.get("EventList") == "Complete":
                return first

    def _message(self) -> dict[str, str] | None:
        message: dict[str, str] = {}
        while (line := self._line()) is not None:
            if not line:
                return message
            name, _, value = line.partition(": ")
            message[name] = value
        return None

    def _line(self) -> str | None:
        while b"\r\n" not in self._buffer:
            received = self._socket.recv(4096)
            if not received:
                return None
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode()


def actions_without_calls(talk: ActionsTalk) -> None:
    """What the manager interface says to a stranger, to a wrong secret, and about channels that are not there."""
    nobody = "PJSIP/nobody-00000000"
    talk.connect()
    talk.ask("Ping")
    talk.ask("Login", AuthType="MD5", Username="nobody", Key="0")
    talk.connect()
    talk.log_in()
    talk.ask("Ping")
    talk.ask("Getvar", Channel=nobody, Variable="X")
    talk.ask("Setvar", Channel=nobody, Variable="X", Value="1")
    talk.ask("PlayDTMF", Channel=nobody, Digit="1")
    talk.ask("Hangup", Channel=nobody)
    talk.ask("BridgeKick", BridgeUniqueid="b", Channel=nobody)
    talk.ask("CoreShowChannels")
    talk.ask("BridgeList")


def actions_of_a_call(talk: ActionsTalk, channel: str) -> None:
    """What it says about a channel that is there."""
    talk.connect()
    talk.log_in()
    talk.ask("Setvar", Channel=channel, Variable="X", Value="1")
    talk.ask("Getvar", Channel=channel, Variable="X")
    talk.ask("Getvar", Channel=channel, Variable="Y")
    talk.ask("PlayDTMF", Channel=channel, Digit="1")
    talk.ask("Hangup", Channel=channel)
    talk.ask("Logoff")


def record_actions(lab: Lab) -> str:
    """Ask a laboratory's manager interface and return the transcript."""
    talk = ActionsTalk((lab.pbx.address, MANAGER_PORT), "doctor", lab.manager_secrets["doctor"])
    actions_without_calls(talk)
    lab.connect("3001", "1001")
    actions_of_a_call(talk, lab.pbx.channels_of("1001")[0].name)
    talk.close()
    heading = f"# Actions and their answers. Asterisk {lab.pbx.cli('core show version').split()[1]}"
    return "\n".join([heading, *talk.lines]) + "\n"


def comparable_actions(transcript: str) -> str:
    """Take out what differs from one connection to the next: versions, challenges, times, channel names."""
    text = re.sub(r"(Call Manager/|Challenge: |Timestamp: |Key: |Username: |Secret: ).*", r"\1…", transcript)
    text = re.sub(r"-[0-9a-f]{8}\b", "-call", text)
    return re.sub(r"\A# .*\n", "", text)


def record_dialplan(lab: Lab) -> str:
    """Load a golden dialplan on a laboratory and return what Asterisk says it holds."""
    text = GOLDEN_DIALPLAN.read_text(encoding="utf-8")
    lab.pbx.write_dialplan("agi-monitor", text)
    try:
        return "".join(lab.pbx.dialplan_show(context.name) for context in parse(text).contexts)
    finally:
        lab.pbx.remove_dialplan("agi-monitor")


def comparable(transcript: str) -> str:
    """Take out what differs from one call to the next: addresses, channel names, times and thread numbers, and how
    many frames came within the time of a recording."""
    text = re.sub(r"agi://[\d.]+:\d+", "agi://server", transcript)
    text = re.sub(r"-[0-9a-f]{8}\b", "-call", text)
    text = re.sub(r"(agi_uniqueid|agi_threadid|agi_version): .*", r"\1: …", text)
    text = re.sub(r"(RECORD FILE .*\nA: 200 result=0 \(timeout\) endpos=)\d+", r"\1…", text)
    return re.sub(r"\A# .*\n", "", text)


def _escaped(line: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" for byte in line)


def main() -> int:
    """Record everything on both versions."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for version in VERSIONS:
        with Lab(version) as lab:
            for situation in SITUATIONS:
                path = FOLDER / f"agi-{situation.__name__.replace('_', '-')}-{version}.txt"
                path.write_text(record(lab, situation))
                print(path)
            path = FOLDER / f"dialplan-show-{version}.txt"
            path.write_text(record_dialplan(lab))
            print(path)
            path = FOLDER / f"ami-actions-{version}.txt"
            path.write_text(record_actions(lab))
            print(path)
            path = FOLDER / f"ami-calls-{version}.txt"
            path.write_text(record_calls(lab))
            print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
