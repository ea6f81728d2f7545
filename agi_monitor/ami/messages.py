r"""What is said on the wire, as values: an action, and a message of Asterisk's. Nothing here does I/O.

Two rules: whatever goes out is checked here and nowhere else; no ``repr`` shows a value that could be a secret.

::

    S: Asterisk Call Manager/9.0.0          one line, once
    C: Action: CoreShowChannels             headers, one a line, ended by an empty line
    C: ActionID: 1f0c-7
    C:
    S: Response: Success                    the answer carries the ActionID
    S: ActionID: 1f0c-7
    S: EventList: start
    S:
    S: Event: CoreShowChannel               the items of the list do so too
    S: ActionID: 1f0c-7
    S: Channel: PJSIP/1001-0000002a
    S:
    S: Event: CoreShowChannelsComplete
    S: ActionID: 1f0c-7
    S: EventList: Complete
    S:
    S: Event: Newchannel                    at any moment, in the middle of a list as well

S is Asterisk, C is this program. Every line ends with CR LF.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from agi_monitor.ami.limits import AMILimits
from agi_monitor.errors import LocalProtocolError, RemoteProtocolError

MAX_ACTION_LINE_BYTES = 1_023
"""A line that goes out, with its CR LF. Asterisk reads into 1,025 bytes and drops the whole action when one does not
fit (get_input, manager.c)."""

MAX_ACTION_HEADERS = 120
"""Lines of an action. Asterisk keeps 128 (AST_MAX_MANHEADERS, manager.h) and drops the action beyond."""

MAX_ACTION_ID = 64
"""Asterisk echoes at most some 240 bytes of an ActionID; an answer to a longer one could no longer be told."""

FORBIDDEN = re.compile(r"[\r\n\0]")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
ACTION_ID = re.compile(r"[!-~]*")
RESERVED = frozenset({"action", "actionid"})


# -- out: an action ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Action:
    """One action. Made by ``action``, which checks.

    Parameters:
        name: what it does, such as ``CoreShowChannels``.
        headers: the others, in order; a name may come several times.
        action_id: what its answer is told by; given by the sender.
    """

    name: str
    headers: tuple[tuple[str, str], ...] = ()
    action_id: str = ""

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"<Action {self.name} {self.action_id or '-'} ({names})>"

    @property
    def wire(self) -> bytes:
        """The bytes, ended by an empty line.

        Raises:
            LocalProtocolError: it cannot be sent safely. The message names the header, never a value.
        """
        _check_name(self.name, "the action's name")
        if len(self.action_id) > MAX_ACTION_ID or ACTION_ID.fullmatch(self.action_id) is None:
            raise LocalProtocolError(f"{self.name}: its ActionID cannot be sent; nothing was sent")
        pairs = [("Action", self.name)]
        if self.action_id:
            pairs.append(("ActionID", self.action_id))
        for name, _ in self.headers:
            _check_name(name, f"{self.name}: a header's name")
            if name.lower() in RESERVED:
                raise LocalProtocolError(f"{self.name}: {name} is not a header that can be chosen; nothing was sent")
        pairs += self.headers
        # One place is kept for an ActionID, so that an action which was checked without one can still be sent.
        if len(self.headers) + 2 > MAX_ACTION_HEADERS:
            raise LocalProtocolError(f"{self.name}: more than {MAX_ACTION_HEADERS} headers; nothing was sent")
        return b"".join(self._line(name, value) for name, value in pairs) + b"\r\n"

    def _line(self, name: str, value: str) -> bytes:
        if FORBIDDEN.search(value) is not None:
            raise LocalProtocolError(f"{self.name}: {name} holds a line break or a NUL; nothing was sent")
        try:
            line = f"{name}: {value}\r\n".encode()
        except UnicodeEncodeError:
            # The exception itself holds the value, so it must not travel on as the cause.
            raise LocalProtocolError(f"{self.name}: {name} is not text; nothing was sent") from None
        if len(line) > MAX_ACTION_LINE_BYTES:
            raise LocalProtocolError(
                f"{self.name}: {name} is longer than {MAX_ACTION_LINE_BYTES} bytes; nothing was sent"
            )
        return line


def _check_name(name: str, what: str) -> None:
    if NAME.fullmatch(name) is None:
        raise LocalProtocolError(f"{what} is not valid; nothing was sent")


def action(name: str, *headers: tuple[str, str]) -> Action:
    """Make an action. The only way from text to the wire.

    Parameters:
        name: what it does.
        headers: name and value each; ``Variable`` and others may come several times.

    Raises:
        LocalProtocolError: it cannot be sent safely: a CR or LF inside a value would add headers or a whole action.
            The message names the header, never a value.
    """
    made = Action(name, headers)
    made.wire  # noqa: B018 - refuses what cannot be sent, here rather than where it is sent
    return made


def challenge_key(challenge: str, secret: str) -> str:
    """What answers a challenge, instead of the secret itself (authenticate, manager.c).

    Parameters:
        challenge: what Asterisk answered to the action Challenge.
        secret: of the account.
    """
    return hashlib.md5((challenge + secret).encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


# -- in: a message ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Message:
    """One message of Asterisk's: a response or an event.

    Values are whatever Asterisk was told, by callers too: never an identity.

    Names are read exactly as Asterisk spells them, as ``authentic`` compares them: a header that is spelled otherwise
    is another one, and cannot stand in for Asterisk's.

    Parameters:
        headers: every name and value in the order of the wire. A line without ``": "`` behind its name has an empty
            name: Asterisk writes both characters, also where nothing follows.
    """

    headers: tuple[tuple[str, str], ...]

    @classmethod
    def from_wire(cls, data: bytes, limits: AMILimits) -> Message:
        """Read a message.

        A line ends with CR LF only: a bare line feed inside a value cannot begin a header.

        Parameters:
            data: its lines without the empty one.
            limits: sizes that the peer is held to.

        Raises:
            RemoteProtocolError: a line is too long, or there are too many.
        """
        if data.count(b"\r\n") >= limits.max_message_lines:
            raise RemoteProtocolError("a message has too many lines")
        lines = data.split(b"\r\n")
        if len(data) > limits.max_line_bytes and any(len(line) > limits.max_line_bytes for line in lines):
            raise RemoteProtocolError("a line is too long")
        headers = []
        for line in data.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            headers.append((name, value[1:]) if colon and value.startswith(" ") else ("", line))
        return cls(tuple(headers))

    def __repr__(self) -> str:
        kind = "Response" if self.get("Response") is not None else "Event"
        return f"<Message {kind} {self.get(kind, '')!r}, {len(self.headers)} headers>"

    @cached_property
    def _first(self) -> dict[str, str]:
        return dict(reversed(self.headers))

    def get(self, name: str, default: str | None = None) -> str | None:
        """A header's value: of several of the same name the first. The name counts as it is spelled.

        Parameters:
            name: of the header.
            default: where there is none.
        """
        return self._first.get(name, default)

    def text(self, name: str) -> str:
        """A header's value, or an empty text.

        Parameters:
            name: of the header.
        """
        return self._first.get(name, "")

    def get_all(self, name: str) -> list[str]:
        """All values of a header, in order; such as ``ChanVariable``.

        Parameters:
            name: of the header.
        """
        return [value for one, value in self.headers if one == name]

    @property
    def output(self) -> list[str]:
        """What a console command printed, by line."""
        return self.get_all("Output")

    @property
    def action_id(self) -> str:
        """The ActionID of the action this answers, or an empty text."""
        return self.text("ActionID")

    @property
    def is_success(self) -> bool:
        """Whether this is the response to an action that Asterisk took."""
        # Goodbye answers Logoff; everything else that is not Success is a no.
        return self.text("Response").lower() in ("success", "goodbye")


def variables(values: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Channel variables as ``Variable`` headers, which Asterisk splits at commas: quoted, one a line.

    Parameters:
        values: name and value each.

    Raises:
        LocalProtocolError: a name is invalid.
    """
    headers = []
    for name, value in values:
        if re.fullmatch(r"_{0,2}[A-Za-z][A-Za-z0-9_]*", name) is None:
            raise LocalProtocolError("Variable: a variable's name is not valid; nothing was sent")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        headers.append(("Variable", f'{name}="{quoted}"'))
    return headers
