"""A SIP caller that sends what no phone would: for attacks on the PBX and on what its callers write.

A phone of the laboratory (`phone.py`) speaks and listens; this one only signals. It signs in as an endpoint of the
laboratory and says the rest as it is told:

    with SipCaller.of(lab, "3002") as stranger:
        call = stranger.invite("1001", claims="5%0D%0A%0D%0AEvent: ...")
        call.hang_up()

Text passes as it is. The user part of an address may be percent-encoded (`escaped` does it), and Asterisk decodes it.

Known limits: UDP on a network that loses nothing, so nothing is sent twice; digest with MD5 only; the sound of a
call goes where `sound_to` says, and none is sent.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from contrib.lab.endpoints import SIP_PORT
from contrib.lab.errors import LabError
from contrib.lab.waiting import wait_until

if TYPE_CHECKING:
    from contrib.lab.pbx import Lab

ANSWER_SECONDS = 30.0
LONGEST_BYTES = 65_535
LONGEST_USER = 79
"""How many characters of a decoded user part Asterisk keeps (AST_CHANNEL_NAME less one, res_pjsip.c)."""
ANYWHERE = ("127.0.0.1", 9)
"""Sound that is sent there is not heard."""
UNAUTHORIZED, PROXY_AUTHENTICATION = 401, 407


def escaped(text: str) -> str:
    """Write a text so that it can be a user part, every character that is not a letter or digit as %XX.

    :raises ValueError: Asterisk would cut it
    """
    if len(text) > LONGEST_USER:
        raise ValueError(f"{len(text)} characters; Asterisk keeps {LONGEST_USER}")
    return "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"%{byte:02X}" for byte in text.encode()
    )


class SipCaller:
    """A caller with a socket and an endpoint's password, as a context manager. Its calls end with it.

    :param pbx: the PBX's address
    :param name: the endpoint
    :param password: its SIP password
    :param wait_for_reader: waits until Asterisk reads the keys of this endpoint
    """

    def __init__(self, pbx: str, name: str, password: str, wait_for_reader: Callable[[str], object]) -> None:
        self.pbx = pbx
        self.wait_for_reader = wait_for_reader
        self.name = name
        self._password = password
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((pbx, SIP_PORT))
        address, port = self._socket.getsockname()
        self.address = f"{address}:{port}"
        self._calls: dict[str, SipCall] = {}
        self._closing = False
        self._reader = threading.Thread(target=self._read, name=f"SIP {name}", daemon=True)

    @classmethod
    def of(cls, lab: Lab, name: str) -> Self:
        """Sign in as an endpoint of a laboratory; its phone may be on or off."""
        return cls(lab.pbx.address, name, lab.passwords[name], lab.wait_until_keys_are_read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for call in self._calls.values():
                call.hang_up()
        finally:
            self._closing = True
            self._socket.shutdown(socket.SHUT_RDWR)
            self._reader.join(ANSWER_SECONDS)
            self._socket.close()

    def invite(
        self,
        user: str,
        *,
        claims: str | None = None,
        replaces: str | None = None,
        sound_to: tuple[str, int] = ANYWHERE,
    ) -> SipCall:
        """Send an INVITE and return at once.

        :param user: whom it is for: what stands before the @, as it is
        :param claims: the user part of From, as it is; the endpoint's own name by default
        :param replaces: a dialogue (`SipCall.dialogue`, `Phone.dialogue`) that this call takes over
        :param sound_to: address and port for what is to be heard
        """
        call = SipCall(self, user, self.name if claims is None else claims, sound_to)
        self._calls[call.id] = call
        call.begin(replaces)
        return call

    def authorization(self, method: str, uri: str, challenge: str) -> str:
        """Answer a challenge (RFC 2617, with qop)."""
        told = dict(re.findall(r'(\w+)="?([^",\s]+)"?', challenge))
        cnonce = secrets.token_hex(8)
        known = _md5(self.name, told["realm"], self._password)
        answer = _md5(known, told["nonce"], "00000001", cnonce, "auth", _md5(method, uri))
        fields = {
            "username": f'"{self.name}"',
            "realm": f'"{told["realm"]}"',
            "nonce": f'"{told["nonce"]}"',
            "uri": f'"{uri}"',
            "response": f'"{answer}"',
            "algorithm": "MD5",
            "qop": "auth",
            "nc": "00000001",
            "cnonce": f'"{cnonce}"',
            **({"opaque": f'"{told["opaque"]}"'} if "opaque" in told else {}),
        }
        return "Digest " + ", ".join(f"{name}={value}" for name, value in fields.items())

    def send(self, lines: Sequence[str], body: str = "") -> None:
        """Send one message."""
        end = [f"Content-Length: {len(body.encode())}", "", body]
        self._socket.send("\r\n".join([*lines, *end]).encode())

    def _read(self) -> None:
        while not self._closing:
            try:
                data = self._socket.recv(LONGEST_BYTES)
            except OSError:
                return
            head, _, body = data.decode(errors="replace").partition("\r\n\r\n")
            first, *rest = head.split("\r\n")
            headers: dict[str, list[str]] = {}
            for line in rest:
                name, _, value = line.partition(":")
                headers.setdefault(name.strip().lower(), []).append(value.strip())
            call = self._calls.get(headers.get("call-id", [""])[0])
            if call is not None:
                call.take(first, headers, body)


class SipCall:
    """One call. Made by `SipCaller.invite`."""

    def __init__(self, caller: SipCaller, user: str, claims: str, sound_to: tuple[str, int]) -> None:
        self.id = secrets.token_hex(12)
        self.ringing = False
        """Whether the PBX said that it rings somewhere."""
        self.status = 0
        """The final answer to the INVITE; 0 before it."""
        self.ended = False
        """Whether it is over, or never came to be."""
        self.notified: list[str] = []
        """What came of a REFER: the bodies of the NOTIFYs, `SIP/2.0 200 OK` and the like."""
        self._caller = caller
        self._uri = f"sip:{user}@{caller.pbx}"
        self._from = f"<sip:{claims}@{caller.pbx}>;tag={secrets.token_hex(6)}"
        self._to = f"<{self._uri}>"
        self._contact = self._uri
        self._sound_to = sound_to
        self._cseq = 0
        self._branch = ""
        self._answers: dict[int, int] = {}
        self._challenges: dict[int, str] = {}
        self._extra: tuple[str, ...] = ()
        self._lock = threading.RLock()

    # What a test does

    def wait_for_answer(self, timeout: float = ANSWER_SECONDS) -> int:
        """Wait for the final answer to the INVITE, and return it: 200 when it was taken, 603 when it was declined."""
        wait_until(lambda: self.status, timeout, f"an answer to the INVITE of {self._caller.name} for {self._uri}")
        return self.status

    def established(self, timeout: float = ANSWER_SECONDS) -> Self:
        """Wait until the call was taken.

        :raises LabError: it was not
        """
        status = self.wait_for_answer(timeout)
        if status != 200:
            raise LabError(f"the INVITE of {self._caller.name} for {self._uri} was answered with {status}")
        return self

    def wait_until_ended(self, timeout: float = ANSWER_SECONDS) -> None:
        """Wait until the other side has ended the call."""
        wait_until(lambda: self.ended, timeout, f"the end of the call of {self._caller.name} with {self._uri}")

    @property
    def dialogue(self) -> str:
        """Name the dialogue as the PBX knows it, for Replaces: call id and both tags."""
        return f"{self.id};to-tag={_tag(self._to)};from-tag={_tag(self._from)}"

    def hang_up(self) -> None:
        """End the call, by CANCEL before it is taken, otherwise by BYE. Nothing happens when it is over."""
        if self.ended:
            return
        if self.status:
            self.ended = True
            self._ask("BYE")
        else:
            with self._lock:
                self._send("CANCEL", self._cseq, uri=self._uri, branch=self._branch)
            self.wait_for_answer()

    def refer(self, target: str) -> int:
        """Transfer the call blindly (REFER). Returns the answer: 202 when it was accepted.

        :param target: a number, or a whole address with `?Replaces=`
        """
        address = target if target.startswith("sip:") else f"sip:{target}@{self._caller.pbx}"
        return self._ask("REFER", extra=[f"Refer-To: <{address}>", f"Referred-By: {self._from.partition(';')[0]}"])

    def refer_to_dialogue(self, user: str, dialogue: str) -> int:
        """Transfer the call into another one (REFER with Replaces). Returns the answer.

        :param user: who the other call is with, as it was dialled
        :param dialogue: `SipCall.dialogue` or `Phone.dialogue` of the other call
        """
        replaces = dialogue.replace(";", "%3B").replace("=", "%3D")
        return self.refer(f"sip:{user}@{self._caller.pbx}?Replaces={replaces}")

    def press(self, keys: str, *, unread: bool = False) -> None:
        """Type keys, by INFO.

        :param unread: at once, whether Asterisk reads them or not
        """
        if not unread:
            self._caller.wait_for_reader(self._caller.name)
        for key in keys:
            body = f"Signal={key}\r\nDuration=160\r\n"
            self._ask("INFO", extra=["Content-Type: application/dtmf-relay"], body=body)

    # The protocol

    def begin(self, replaces: str | None) -> None:
        """Send the INVITE."""
        with self._lock:
            if replaces is not None:
                self._extra = ("Require: replaces", f"Replaces: {replaces}")
            self._invite()

    def take(self, first: str, headers: Mapping[str, Sequence[str]], body: str) -> None:
        """Take a message from the PBX."""
        cseq, method = headers["cseq"][0].split()
        if not first.startswith("SIP/2.0 "):
            self._take_request(first.split()[0], headers, body)
            return
        status = int(first.split()[1])
        if method == "INVITE":
            self._take_answer(int(cseq), status, headers)
            return
        if status >= 200:
            with self._lock:
                self._challenges[int(cseq)] = _challenge(headers)
                self._answers[int(cseq)] = status

    def _take_answer(self, cseq: int, status: int, headers: Mapping[str, Sequence[str]]) -> None:
        with self._lock:
            if status < 200:
                self.ringing = self.ringing or status >= 180
                return
            to, uri = headers["to"][0], self._uri
            if status >= 300:
                self._send("ACK", cseq, uri=uri, to=to, branch=self._branch)
                if status in (UNAUTHORIZED, PROXY_AUTHENTICATION) and not self._challenges.get(0):
                    self._challenges[0] = _challenge(headers)
                    self._invite(self._authorization(status, "INVITE", uri, self._challenges[0]))
                    return
            else:
                self._to = to
                self._contact = re.findall(r"<([^>]+)>", headers["contact"][0])[0]
                self._send("ACK", cseq, uri=self._contact)
            self.ended = status >= 300
            self.status = status

    def _take_request(self, method: str, headers: Mapping[str, Sequence[str]], body: str) -> None:
        if method == "ACK":
            return
        if method == "NOTIFY":
            self.notified.append(body.strip())
        names = {"via": "Via", "from": "From", "to": "To", "call-id": "Call-ID", "cseq": "CSeq"}
        lines = ["SIP/2.0 200 OK", *(f"{names[name]}: {value}" for name in names for value in headers[name])]
        offers = method in ("INVITE", "UPDATE") and body != ""
        if method == "INVITE":
            offers = True
        if method in ("INVITE", "UPDATE"):
            lines.append(f"Contact: <sip:{self._caller.name}@{self._caller.address}>")
        if offers:
            lines.append("Content-Type: application/sdp")
        self._caller.send(lines, self._sdp() if offers else "")
        if method == "BYE":
            self.ended = True

    def _invite(self, *extra: str) -> None:
        self._cseq += 1
        lines = [*self._extra, *extra, "Content-Type: application/sdp"]
        self._branch = self._send("INVITE", self._cseq, uri=self._uri, extra=lines, body=self._sdp())

    def _ask(self, method: str, *, extra: Sequence[str] = (), body: str = "") -> int:
        """Send a request within the call and return the final answer; a challenge is answered."""
        status = self._asked_once(method, extra, body)
        if status in (UNAUTHORIZED, PROXY_AUTHENTICATION):
            told = self._authorization(status, method, self._contact, self._challenges[self._cseq])
            status = self._asked_once(method, [*extra, told], body)
        return status

    def _asked_once(self, method: str, extra: Sequence[str], body: str) -> int:
        with self._lock:
            self._cseq += 1
            cseq = self._cseq
            self._send(method, cseq, uri=self._contact, extra=extra, body=body)
        wait_until(lambda: cseq in self._answers, ANSWER_SECONDS, f"an answer to {method} of {self._caller.name}")
        return self._answers[cseq]

    def _authorization(self, status: int, method: str, uri: str, challenge: str) -> str:
        name = "Authorization" if status == UNAUTHORIZED else "Proxy-Authorization"
        return f"{name}: {self._caller.authorization(method, uri, challenge)}"

    def _send(
        self,
        method: str,
        cseq: int,
        *,
        uri: str,
        to: str | None = None,
        branch: str = "",
        extra: Sequence[str] = (),
        body: str = "",
    ) -> str:
        branch = branch or "z9hG4bK" + secrets.token_hex(8)
        self._caller.send(
            [
                f"{method} {uri} SIP/2.0",
                f"Via: SIP/2.0/UDP {self._caller.address};branch={branch};rport",
                "Max-Forwards: 10",
                f"From: {self._from}",
                f"To: {self._to if to is None else to}",
                f"Call-ID: {self.id}",
                f"CSeq: {cseq} {method}",
                f"Contact: <sip:{self._caller.name}@{self._caller.address}>",
                "Supported: replaces",
                "Allow: INVITE, ACK, BYE, CANCEL, NOTIFY, UPDATE",
                *extra,
            ],
            body,
        )
        return branch

    def _sdp(self) -> str:
        address, port = self._sound_to
        lines = [
            "v=0",
            f"o=- 1 1 IN IP4 {address}",
            "s=-",
            f"c=IN IP4 {address}",
            "t=0 0",
            f"m=audio {port} RTP/AVP 0 101",
            "a=rtpmap:0 PCMU/8000",
            "a=rtpmap:101 telephone-event/8000",
            "a=sendrecv",
        ]
        return "".join(f"{line}\r\n" for line in lines)


def _md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


def _challenge(headers: Mapping[str, Sequence[str]]) -> str:
    return next((headers[name][0] for name in ("www-authenticate", "proxy-authenticate") if name in headers), "")


def _tag(header: str) -> str:
    found = re.search(r";tag=([^;\s]+)", header)
    if found is None:
        raise LabError(f"there is no tag in {header}")
    return found[1]
