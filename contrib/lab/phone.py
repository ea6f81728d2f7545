"""A SIP phone that a test holds in its hand: dial, answer, press keys, hold, transfer.

Each phone is one baresip process; its module ctrl_tcp speaks JSON in netstrings:

    phone  <- test   49:{"command":"dial","params":"sip:1001@pbx","token":"7"},
    phone  -> test   {"response":true,"ok":true,"data":"call id: 4d4d91e0","token":"7"}
    phone  -> test   {"event":true,"class":"call","type":"CALL_ESTABLISHED","id":"4d4d91e0", ...}

Rule: a method that changes something returns when the change has been seen, by an event or on the wire.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from contrib.lab.capture import RtpCapture
from contrib.lab.endpoints import Endpoint
from contrib.lab.errors import PhoneError, WaitTimeout
from contrib.lab.waiting import wait_until

LONGEST_NETSTRING_BYTES = 65_536
"""baresip's longest answer, its help text, has about 2,000."""
LONGEST_LENGTH_DIGITS = 6
COMMAND_SECONDS = 30.0
CALL_SECONDS = 40.0
DIGIT_SECONDS = 0.5
"""A key takes 240 ms: tone and gap."""
TLS_PORT = 5061
KEYS = "0123456789*#ABCD"


def parse_netstrings(data: bytearray) -> Iterator[bytes]:
    """Take complete netstrings off the front of a buffer and leave the rest in it.

    :raises PhoneError: this is not a netstring, or a longer one than baresip has any reason to send
    """
    while data:
        colon = data.find(b":", 0, LONGEST_LENGTH_DIGITS + 1)
        digits = bytes(data[:colon]) if colon >= 0 else bytes(data[: LONGEST_LENGTH_DIGITS + 1])
        if not digits.isdigit() or (colon < 0 and len(digits) > LONGEST_LENGTH_DIGITS):
            raise PhoneError(f"no netstring: {bytes(data[:40])!r}")
        if colon < 0:
            return
        length = int(digits)
        if length > LONGEST_NETSTRING_BYTES:
            raise PhoneError(f"a netstring of {length} bytes, the limit is {LONGEST_NETSTRING_BYTES}")
        end = colon + 1 + length
        if len(data) <= end:
            return
        if data[end : end + 1] != b",":
            raise PhoneError(f"a netstring without its comma: {bytes(data[:40])!r}")
        payload = bytes(data[colon + 1 : end])
        del data[: end + 1]
        yield payload


@dataclass(frozen=True)
class PhoneEvent:
    """Something that happened at a phone."""

    kind: str
    """baresip's word: CALL_INCOMING, CALL_RINGING, CALL_ANSWERED, CALL_ESTABLISHED, CALL_CLOSED, REGISTER_OK, …"""
    call_id: str
    peer: str
    peer_name: str
    parameter: str
    """What else there is: the reason of a CALL_CLOSED, the key of a CALL_DTMF_START."""
    at: float
    """Seconds since 1970."""


@dataclass(frozen=True)
class Call:
    """One call of a phone, as of now."""

    id: str
    incoming: bool
    peer: str
    """The SIP address of the other side."""
    peer_name: str
    """The display name that the other side sent."""
    state: str
    """`incoming`, `outgoing`, `ringing`, `established` or `closed`."""
    on_hold: bool = False
    reason: str = ""
    """Why it was closed, in baresip's words: `486 Busy Here`, `Connection reset by peer`."""


class Phone:
    """One phone. Made by `Lab`; a test takes it from there with `lab.phone(name)`.

    :param endpoint: which one it is
    :param folder: its configuration, on this host; `baresip.log` in it holds every SIP message
    :param address: where the phones' container answers
    :param pbx_address: whom it registers with
    :param password: its SIP password
    :param start_process: starts `baresip -f <folder>` in the container
    :param capture: the packets of all phones
    :param tls_host: the name of the PBX, for a phone that encrypts signalling and sound
    :param wait_for_reader: waits until Asterisk reads the keys of this phone
    """

    def __init__(
        self,
        endpoint: Endpoint,
        folder: Path,
        address: str,
        pbx_address: str,
        password: str,
        start_process: Callable[[str], None],
        capture: RtpCapture,
        tls_host: str | None,
        wait_for_reader: Callable[[str, str | None], object],
    ) -> None:
        self._tls_host = tls_host
        self._wait_for_reader = wait_for_reader
        self.endpoint = endpoint
        self.name = endpoint.name
        self.folder = folder
        self.address = address
        self._pbx_address = pbx_address
        self._password = password
        self._start_process = start_process
        self._capture = capture
        self._identity = (endpoint.name, f"Phone {endpoint.name}")
        self._auto_answer = False
        self._control: _Control | None = None

    def __repr__(self) -> str:
        return f"<Phone {self.name} calls={[f'{call.state}:{call.peer}' for call in self.calls]}>"

    # Life

    @property
    def is_on(self) -> bool:
        """Whether the phone is switched on and alive."""
        return self._control is not None and not self._control.is_closed

    @property
    def is_genuine(self) -> bool:
        """Whether the phone shows its own number."""
        return self._identity[0] == self.endpoint.name

    def switch_on(self, timeout: float = CALL_SECONDS) -> None:
        """Start the phone and wait until it is registered (a phone with a false number never registers).

        :param timeout: seconds
        :raises WaitTimeout: it did not come up; the message holds the end of its log
        """
        if self.is_on:
            return
        self.switch_off()  # a phone that has crashed leaves its connection behind
        self._write_configuration()
        self._start_process(self.name)
        self._control = wait_until(
            self._connect, timeout, f"phone {self.name} to start", interval=0.05, describe=self._log_tail
        )
        if self.is_genuine:
            wait_until(self._is_registered, timeout, f"phone {self.name} to register", describe=self._log_tail)
        self._auto_answer = False

    def switch_off(self) -> None:
        """End the phone; it unregisters. Nothing happens when it is off."""
        if self._control is None:
            return
        control, self._control = self._control, None
        with control:
            if control.is_closed:
                return
            control.send("quit")
            wait_until(lambda: control.is_closed, CALL_SECONDS, f"phone {self.name} to end", describe=self._log_tail)

    def restart(self, *, number: str | None = None, display_name: str | None = None) -> None:
        """Switch off and on again, with another caller id when one is given.

        The phone signs in with its own name and password whatever it claims: this is the caller who lies.

        :param number: the number in From; its own by default
        :param display_name: the name in From
        """
        self.switch_off()
        own = self.endpoint.name
        self._identity = (own if number is None else number, f"Phone {own}" if display_name is None else display_name)
        self.switch_on()

    # Calls

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that are not over, the oldest first."""
        return tuple(call for call in self.all_calls if call.state != "closed")

    @property
    def all_calls(self) -> tuple[Call, ...]:
        """All calls since the last `forget`, also those that are over."""
        return self._control.calls() if self._control is not None else ()

    @property
    def events(self) -> tuple[PhoneEvent, ...]:
        """Everything that happened since the last `forget`."""
        return self._control.events() if self._control is not None else ()

    def forget(self) -> None:
        """Drop the memory of events and of calls that are over."""
        if self._control is not None:
            self._control.forget()

    def dial(self, number: str) -> Call:
        """Call a number and return at once, the other side has not answered yet.

        :param number: what stands before the @; sent as it is, apart from the escapes of a SIP address
        """
        user = quote(number, safe="*+-_.!~'()&=$,;?/")
        answer = self._command("dial", f"sip:{user}@{self._pbx}")
        found = re.search(r"call id: (\S+)", answer)
        if found is None:
            raise PhoneError(f"phone {self.name} did not dial {number!r}: {answer!r}")
        call = Call(found[1], False, f"sip:{user}@{self._pbx_address}", "", "outgoing")
        return self._running.remember(call)

    def call(self, number: str, timeout: float = CALL_SECONDS) -> Call:
        """Dial and wait until the other side has answered."""
        return self.wait_for_state(self.dial(number), "established", timeout)

    def answer(self, timeout: float = CALL_SECONDS) -> Call:
        """Wait for a call to come in and take it; a running call is put on hold.

        :param timeout: seconds until WaitTimeout
        """
        call = self.wait_for_incoming(timeout)
        held = [other for other in self.calls if other.state == "established" and not other.on_hold]
        self._command("callfind", call.id)
        self._command("accept")
        for other in held:
            self._running.hold(other.id, True)
        return self.wait_for_state(call, "established", timeout)

    def wait_for_incoming(self, timeout: float = CALL_SECONDS) -> Call:
        """Wait until the phone rings, and return the newest call that does."""
        return wait_until(
            lambda: next((call for call in reversed(self.calls) if call.state == "incoming"), None),
            timeout,
            f"phone {self.name} to ring",
            describe=lambda: f"its calls: {self.all_calls}",
        )

    def wait_for_state(self, call: Call, state: str, timeout: float = CALL_SECONDS) -> Call:
        """Wait until a call is in a state (`ringing`, `established`, `closed`).

        :raises WaitTimeout: in time it was not, or the call ended before
        """

        def look() -> Call | None:
            now = self._running.call(call.id)
            return now if now.state in (state, "closed") else None

        seen = wait_until(
            look,
            timeout,
            f"the call of phone {self.name} with {call.peer} to be {state}",
            describe=lambda: f"its calls: {self.all_calls}",
        )
        if seen.state != state:
            raise WaitTimeout(f"the call of phone {self.name} with {call.peer} ended ({seen.reason}), not {state}")
        return seen

    def wait_until_idle(self, timeout: float = CALL_SECONDS) -> None:
        """Wait until the phone has no call."""
        wait_until(lambda: not self.calls, timeout, f"phone {self.name} to be idle", describe=self.__repr__)

    def wait_for(self, kind: str, timeout: float = CALL_SECONDS, *, since: float = 0.0) -> PhoneEvent:
        """Wait for an event, also one that has already happened.

        :param kind: baresip's word, such as CALL_ESTABLISHED
        :param since: only events from this moment on (seconds since 1970); by default since the last `forget`
        """
        return wait_until(
            lambda: next((event for event in self.events if event.kind == kind and event.at >= since), None),
            timeout,
            f"{kind} at phone {self.name}",
            describe=lambda: f"it had {[event.kind for event in self.events]}",
        )

    def hang_up(self, call: Call | None = None) -> None:
        """End a call, or all of them, and wait until they are over. Nothing happens when there is none."""
        for one in self.calls if call is None else [self._running.call(call.id)]:
            if one.state == "closed":
                continue
            try:
                self._command("callfind", one.id)
                self._command("hangup")
            except PhoneError:
                if self._running.call(one.id).state != "closed":  # the other side was quicker
                    raise
            self.wait_for_state(one, "closed")

    # During a call

    def press(self, keys: str, call: Call | None = None, *, during: str | None = None, unread: bool = False) -> None:
        """Type keys (RFC 4733) and return when the last one has been sent.

        :param keys: of 0123456789*#ABCD
        :param call: which call; the current one by default
        :param during: the AGI command that is to read them, such as STREAM FILE; by default one that waits for keys
        :param unread: at once, whether Asterisk reads them or not
        """
        if not keys or any(key not in KEYS for key in keys):
            raise ValueError(f"keys are {KEYS}, not {keys!r}")
        if call is not None:
            self._command("callfind", call.id)
        if not unread:
            self._wait_for_reader(self.name, during)
        moment = time.time()
        self._command("sndcode", keys)
        wait_until(
            lambda: len(self._capture.digits_sent(self.name, moment)) >= len(keys),
            CALL_SECONDS + DIGIT_SECONDS * len(keys),
            f"phone {self.name} to have sent {len(keys)} keys",
            describe=lambda: f"sent: {len(self._capture.digits_sent(self.name, moment))}; {self!r}",
        )

    def hold(self, call: Call | None = None) -> None:
        """Put a call on hold, the current one by default, and wait for the PBX's word."""
        one = self._established(call)
        self._reinvited(one, "hold")
        self._running.hold(one.id, True)

    def resume(self, call: Call | None = None) -> None:
        """Take a call off hold, the first one on hold by default; another running call is put on hold."""
        one = call or next((item for item in self.calls if item.on_hold), None)
        if one is None:
            raise PhoneError(f"phone {self.name} has no call on hold")
        others = [item for item in self.calls if item.id != one.id and item.state == "established"]
        # baresip answers "Invalid argument" when there is no other call to hold, and resumes all the same.
        self._reinvited(one, "resume", may_fail=True)
        self._running.hold(one.id, False)
        for other in others:
            self._running.hold(other.id, True)

    def transfer(self, number: str, call: Call | None = None, timeout: float = CALL_SECONDS) -> None:
        """Transfer a call without asking (REFER) and wait until this phone is out of it."""
        one = self._established(call)
        self._command("callfind", one.id)
        self._command("transfer", f"sip:{quote(number, safe='*+')}@{self._pbx_address}")
        self._leave(one, timeout)

    def transfer_attended(self, call: Call, consultation: Call, timeout: float = CALL_SECONDS) -> None:
        """Join the other sides of two calls (REFER with Replaces) and wait until this phone is out of both.

        :param call: the first one, on hold
        :param consultation: the second one
        """
        replaces = self.dialogue(consultation)
        self._command("callfind", call.id)
        self._command("transfer", f"{consultation.peer}?Replaces={quote(replaces, safe='')}")
        self._leave(call, timeout)
        self.wait_for_state(consultation, "closed", timeout)

    def dialogue(self, call: Call) -> str:
        """Name a call's SIP dialogue as Replaces wants it: call id and both tags, read from the phone's log.

        :raises PhoneError: the call was not answered
        """
        log = (self.folder / "baresip.log").read_text(errors="replace")
        for message in reversed(re.split(r"\r?\n\r?\n", log)):
            if f"Call-ID: {call.id}" not in message:
                continue
            from_tag = re.search(r"^From:.*;tag=([^\s;]+)", message, re.M)
            to_tag = re.search(r"^To:.*;tag=([^\s;]+)", message, re.M)
            if from_tag and to_tag and re.search(r"SIP/2\.0 2\d\d", message) and "INVITE" in message:
                return f"{call.id};to-tag={to_tag[1]};from-tag={from_tag[1]}"
        raise PhoneError(f"phone {self.name} has no answered INVITE of {call} in its log")

    def set_auto_answer(self, on: bool) -> None:
        """Take every call at once, or let it ring."""
        self._command("answermode", "auto" if on else "manual")
        self._auto_answer = on

    @property
    def auto_answer(self) -> bool:
        """Whether it takes every call at once."""
        return self._auto_answer

    # Inside

    @property
    def _running(self) -> _Control:
        if self._control is None:
            raise PhoneError(f"phone {self.name} is switched off")
        return self._control

    def _command(self, command: str, parameters: str = "") -> str:
        return self._running.command(command, parameters)

    def _established(self, call: Call | None) -> Call:
        if call is not None:
            return self._running.call(call.id)
        active = [one for one in self.calls if one.state == "established" and not one.on_hold]
        if not active:
            raise PhoneError(f"phone {self.name} has no call going on: {self.all_calls}")
        return active[-1]

    def _reinvited(self, call: Call, command: str, *, may_fail: bool = False) -> None:
        """Give a command that changes a call's media and wait for the PBX's answer to it."""
        self._command("callfind", call.id)
        moment = time.time()
        try:
            self._command(command)
        except PhoneError:
            if not may_fail:
                raise
        wait_until(
            lambda: any(
                event.kind == "CALL_ANSWERED" and event.call_id == call.id and event.at >= moment
                for event in self.events
            ),
            CALL_SECONDS,
            f"the PBX to accept the {command} of phone {self.name}",
            describe=self._log_tail,
        )

    def _leave(self, call: Call, timeout: float) -> None:
        """Wait for the end of a transferred call."""
        try:
            self.wait_for_state(call, "closed", timeout)
        except WaitTimeout as error:
            raise WaitTimeout(
                f"the transfer by {self.name} did not go through: {error}\n{self._log_tail()}"
            ) from error

    def _is_registered(self) -> bool:
        return "OK " in self._command("reginfo")

    def _connect(self) -> _Control | None:
        try:
            return _Control(self.name, self.address, self.endpoint.control_port)
        except OSError:
            return None

    def _log_tail(self) -> str:
        try:
            lines = (self.folder / "baresip.log").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return f"{self.folder}/baresip.log is missing"
        return f"the end of {self.folder}/baresip.log:\n" + "\n".join(lines[-30:])

    @property
    def _pbx(self) -> str:
        """The PBX, as it stands behind the @ of a SIP address."""
        return self._pbx_address if self._tls_host is None else f"{self._tls_host}:{TLS_PORT};transport=tls"

    def _write_configuration(self) -> None:
        number, display_name = self._identity
        ports = self.endpoint.rtp_ports
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config").write_text(
            f"""\
poll_method epoll
sip_listen 0.0.0.0:{self.endpoint.sip_port}
rtp_ports {ports.start}-{ports.stop - 1}
ctrl_tcp_listen 0.0.0.0:{self.endpoint.control_port}
call_max_calls 4
call_local_timeout 120
audio_source aufile,/tones/{self.endpoint.tone_hz}.wav
audio_player aubridge,ear
audio_alert aubridge,bell
audio_channels 1
jitter_buffer_type off
statmode_default off
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module_tmp account.so
module_app ctrl_tcp.so
module_app menu.so
"""
        )
        if self._tls_host is not None:
            with (self.folder / "config").open("a") as file:
                file.write("module srtp.so\nsip_cafile /phones/ca.pem\nsip_verify_server yes\n")
        # A phone with a false number does not register: the registrar would look for that number's password.
        expiry = 600 if self.is_genuine else 0
        name = display_name.replace("\\", "").replace('"', "")
        account = self.folder / "accounts"
        account.touch(mode=0o600)
        account.write_text(
            f'"{name}" <sip:{number}@{self._pbx}>;auth_user={self.endpoint.name};auth_pass={self._password}'
            f";regint={expiry};audio_codecs=pcmu;answermode=manual"
            f"{'' if self._tls_host is None else ';mediaenc=srtp-mand'}\n"
        )
        (self.folder / "contacts").write_text("")


class _Control:
    """The connection to one baresip, and what it has told about its calls."""

    def __init__(self, name: str, address: str, port: int) -> None:
        self._name = name
        self._socket = socket.create_connection((address, port), timeout=COMMAND_SECONDS)
        self._socket.settimeout(None)
        self._changed = threading.Condition()
        self._calls: dict[str, Call] = {}
        self._events: list[PhoneEvent] = []
        self._answers: dict[str, dict[str, Any]] = {}
        self._next_token = 0
        self._problem: str | None = None
        self._reader = threading.Thread(target=self._read, name=f"phone {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # it may be closed already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(COMMAND_SECONDS)
        self._socket.close()

    @property
    def is_closed(self) -> bool:
        return self._problem is not None

    def send(self, command: str, parameters: str = "") -> str:
        """Send a command and return its token."""
        with self._changed:
            self._next_token += 1
            token = str(self._next_token)
            message: dict[str, str] = {"command": command, "token": token}
            if parameters:
                message["params"] = parameters
            payload = json.dumps(message).encode()
            try:
                self._socket.sendall(b"%d:%s," % (len(payload), payload))
            except OSError as error:
                raise PhoneError(f"phone {self._name} is gone: {error}") from error
            return token

    def command(self, command: str, parameters: str = "") -> str:
        """Send a command and return baresip's answer to it.

        :raises PhoneError: baresip refused it, did not answer, or is gone
        """
        token = self.send(command, parameters)
        with self._changed:
            answered = self._changed.wait_for(lambda: token in self._answers or self._problem, COMMAND_SECONDS)
            if token not in self._answers:
                why = self._problem if answered else f"no answer in {COMMAND_SECONDS:g} s"
                raise PhoneError(f"phone {self._name}, command {command} {parameters}: {why}")
            answer = self._answers.pop(token)
        text = str(answer.get("data", "")).strip()
        if not answer.get("ok"):
            raise PhoneError(f"phone {self._name} refused {command} {parameters}: {text}")
        return text

    def calls(self) -> tuple[Call, ...]:
        with self._changed:
            return tuple(self._calls.values())

    def events(self) -> tuple[PhoneEvent, ...]:
        with self._changed:
            return tuple(self._events)

    def call(self, call_id: str) -> Call:
        with self._changed:
            if call_id not in self._calls:
                raise PhoneError(f"phone {self._name} knows no call {call_id}")
            return self._calls[call_id]

    def remember(self, call: Call) -> Call:
        """Add a call that was dialled, unless an event was quicker."""
        with self._changed:
            return self._calls.setdefault(call.id, call)

    def hold(self, call_id: str, on_hold: bool) -> None:
        with self._changed:
            self._calls[call_id] = replace(self._calls[call_id], on_hold=on_hold)

    def forget(self) -> None:
        with self._changed:
            self._events.clear()
            self._calls = {key: call for key, call in self._calls.items() if call.state != "closed"}

    def _read(self) -> None:
        data = bytearray()
        try:
            while received := self._socket.recv(65_536):
                data += received
                for payload in parse_netstrings(data):
                    self._take(json.loads(payload))
            problem = "baresip closed the connection"
        except (OSError, ValueError, PhoneError) as error:
            problem = str(error)
        with self._changed:
            self._problem = problem
            self._changed.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        with self._changed:
            if message.get("response"):
                self._answers[str(message.get("token"))] = message
            elif message.get("event"):
                event = PhoneEvent(
                    kind=str(message.get("type", "")),
                    call_id=str(message.get("id", "")),
                    peer=str(message.get("peeruri", "")),
                    peer_name=str(message.get("peerdisplayname", "")),
                    parameter=str(message.get("param", "")),
                    at=time.time(),
                )
                self._events.append(event)
                self._follow(event, incoming=message.get("direction") == "incoming")
            self._changed.notify_all()

    def _follow(self, event: PhoneEvent, *, incoming: bool) -> None:
        states = {
            "CALL_INCOMING": "incoming",
            "CALL_RINGING": "ringing",
            "CALL_PROGRESS": "ringing",
            "CALL_ESTABLISHED": "established",
            "CALL_CLOSED": "closed",
        }
        state = states.get(event.kind)
        if state is None or not event.call_id:
            return
        known = self._calls.get(event.call_id)
        if known is None:
            known = Call(event.call_id, incoming, event.peer, event.peer_name, state)
        reason = event.parameter if state == "closed" else ""
        self._calls[event.call_id] = replace(known, state=state, reason=reason)
