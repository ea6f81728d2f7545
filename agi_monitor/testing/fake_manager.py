"""The manager interface of a PBX in memory, as Asterisk 16 to 22 speak it (manager.c), quirks included.

Two rules: everything that happens is in ``happened``, in order; whatever goes wrong inside the fake, an action that
it does not know above all, comes out of ``check``, which every method that lets something happen calls.

It is an endpoint: give it to ``AMIClient`` in the place of a real one, with ``fake.clock`` as the clock. Answers come
at once unless their action is in ``held``, and time stands still unless ``advance`` is called::

    fake = FakeManager("monitor", "correct-horse-battery")
    fake.add_channel("PJSIP/1001-00000001", "1700000000.1")
    client = AMIClient(fake, fake.clock, Account("monitor", "correct-horse-battery"))
    client.startService()
    fake.advance(0.0)
    assert fake.names == ["Challenge", "Login"]

Over TCP it is where ``over_tcp`` says, in a thread of its own.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from agi_monitor.ami.authentic import (
    CHANNEL,
    FILLED,
    ID_LAST,
    ITEMS,
    NUMBERS,
    SHAPES,
    VOCABULARY,
    Part,
    Shape,
    privilege_of,
)
from agi_monitor.ami.client import OUTCOMES, Outcome
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message
from agi_monitor.testing.fake_transport import FakeTransport
from agi_monitor.testing.sockets import SocketWire, listening, received
from agi_monitor.testing.turns import Turns

GREETING = b"Asterisk Call Manager/9.0.0\r\n"
CHALLENGE = "314159265"
LIMITS = AMILimits()

Answer = Callable[["FakeManager", Message], "Mapping[str, str] | str"]
"""What an action does: returns the headers of its Success, or the text of its Error."""

Items = list[dict[str, str]]
"""What a list has, a mapping of headers each; one that has an ``Event`` is told under that name."""

LISTS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "CoreShowChannels": ("channels", "Channels will follow", "CoreShowChannel", "CoreShowChannelsComplete"),
    "BridgeList": ("bridges", "Bridge listing will follow", "BridgeListItem", "BridgeListComplete"),
    "DeviceStateList": (
        "device_states",
        "Device State Changes will follow",
        "DeviceStateChange",
        "DeviceStateListComplete",
    ),
    "ExtensionStateList": (
        "hints",
        "Extension Statuses will follow",
        "ExtensionStatus",
        "ExtensionStateListComplete",
    ),
    "QueueStatus": ("queues", "Queue status will follow", "QueueMember", "QueueStatusComplete"),
}
"""Action -> where its items stand here, what announces them, how each is called, and what ends the list."""


FACTS: Final[Mapping[str, str]] = {
    "UNIQUEID": "Uniqueid",
    "CONTEXT": "Context",
    "CHANNEL(name)": "Channel",
    "CHANNEL(context)": "Context",
    "CHANNEL(state)": "ChannelStateDesc",
    "CHANNEL(linkedid)": "Linkedid",
    "CHANNEL(appname)": "Application",
    "CHANNEL(appdata)": "ApplicationData",
}
"""Variables that every channel has -> the header of its item that says the same."""

USUAL: Final[Mapping[str, str]] = {
    "State": "UNKNOWN",
    "Status": "0",
    "Shutdown": "Cleanly",
    "Restart": "False",
    "Result": "Success",
    "IsExternal": "Yes",
    "Module": "All",
}
"""What is written where Asterisk has to say one of its own words and none was given."""


class _Asked(Message):
    """An action as Asterisk reads it: its headers' names in any case (astman_get_header, manager.c)."""

    def get(self, name: str, default: str | None = None) -> str | None:
        return next((value for one, value in self.headers if one.lower() == name.lower()), default)

    def text(self, name: str) -> str:
        return self.get(name, "") or ""

    def get_all(self, name: str) -> list[str]:
        return [value for one, value in self.headers if one.lower() == name.lower()]


@implementer(IStreamClientEndpoint)
class FakeManager:
    """A PBX with an account.

    Parameters:
        username: of the account.
        secret: of the account.
    """

    def __init__(self, username: str, secret: str) -> None:
        self.clock = Clock()
        """Time, of the client under test too; see ``advance``."""
        self.listening = True
        """Whether the PBX takes connections."""
        self.channels: Items = []
        """What CoreShowChannels lists, each as its headers; see ``add_channel``."""
        self.bridges: Items = []
        """What BridgeList lists."""
        self.device_states: Items = []
        """What DeviceStateList lists."""
        self.hints: Items = []
        """What ExtensionStateList lists."""
        self.queues: Items = []
        """What QueueStatus lists."""
        self.variables: dict[tuple[str, str], str] = {}
        """By the name of the channel and of the variable."""
        self.answers: dict[str, Answer] = dict(_ANSWERS)
        """What each action does; add others, or change these."""
        self.outcomes: dict[str, Outcome] = {}
        """Whom Originate calls -> how that goes; answered where nothing is said."""
        self.refused: dict[str, str] = {}
        """Action -> the text of the Error that it is answered with."""
        self.held: set[str] = set()
        """Actions that are not answered before ``answer_held``."""
        self.actions: list[Message] = []
        """What was asked, as it came."""
        self.happened: list[str] = []
        """Everything, in one order: ``> Action``, ``< Event``, connections and their ends."""
        self.error: BaseException | None = None
        self._username = username
        self._secret = secret
        self._protocol: IProtocol | SocketWire | None = None
        self._transport: FakeTransport | None = None
        self._lines: list[bytes] = []
        self._logged_in = False
        self._turns = Turns()
        self._later = self._turns.later
        self._waiting: list[Message] = []

    # -- over TCP --

    @contextmanager
    def over_tcp(self, host: str = "127.0.0.1", port: int = 0) -> Iterator[tuple[str, int]]:
        """Take connections over TCP, one at a time, until the end of the block.

        Parameters:
            host: an address of this machine.
            port: TCP port; 0 for any that is free.

        Yields:
            Where it listens: the address and the port.

        Raises:
            OSError: it cannot listen there.
            Exception: at the end of the block, whatever went wrong inside the fake.
        """
        with listening(host, port, self._serve) as where:
            yield where
        self.check()

    def _serve(self, connection: socket.socket) -> None:
        wire = SocketWire(connection)
        with self._turns.lock:
            self._protocol, self._lines, self._logged_in = wire, [], False
            self._transport = transport = FakeTransport(self._received, self._closed)
            self.happened.append("connected")
        wire.dataReceived(GREETING)
        while data := received(connection):
            try:
                transport.write(data)
            except Exception as error:
                # Nothing in this thread could be told.
                self.error = self.error or error
                break
        self._closed()

    # -- arranging and acting --

    def add_channel(
        self, name: str, uniqueid: str, bridge: str = "", state: str = "Up", **headers: str
    ) -> dict[str, str]:
        """A channel begins. Returns its item in CoreShowChannels, to be changed at any time.

        Parameters:
            name: such as ``PJSIP/1001-00000001``.
            uniqueid: such as ``1700000000.1``.
            bridge: the identifier of the bridge that it is in.
            state: of the channel.
            headers: more of them, such as ``Application``.
        """
        channel = {
            "Channel": name,
            "ChannelStateDesc": state,
            "CallerIDNum": "<unknown>",
            "ConnectedLineNum": "<unknown>",
            "Context": "default",
            "Uniqueid": uniqueid,
            "Linkedid": uniqueid,
            "BridgeId": bridge,
            "Application": "",
            "ApplicationData": "",
            **headers,
        }
        self.channels.append(channel)
        self.event("Newchannel", **{name: value for name, value in channel.items() if name in CHANNEL})
        if bridge:
            self.enter(name, bridge)
        return channel

    def enter(self, name: str, bridge: str) -> None:
        """A channel joins a bridge.

        Parameters:
            name: of the channel.
            bridge: the id of the bridge.
        """
        channel = self._channel(name)
        channel["BridgeId"] = bridge
        if all(known["BridgeUniqueid"] != bridge for known in self.bridges):
            self.bridges.append(
                {"BridgeUniqueid": bridge, "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}
            )
        (known,) = (known for known in self.bridges if known["BridgeUniqueid"] == bridge)
        self.event("BridgeEnter", **known, **_plain(channel))

    def leave(self, name: str) -> None:
        """A channel leaves its bridge.

        Parameters:
            name: of the channel.
        """
        channel = self._channel(name)
        bridge, channel["BridgeId"] = channel["BridgeId"], ""
        if bridge:
            self.event("BridgeLeave", BridgeUniqueid=bridge, **_plain(channel))

    def hang_up(self, name: str, *, by_phone: bool = False) -> None:
        """A channel ends, and with it every spy from it or on it.

        Parameters:
            name: of the channel.
            by_phone: the phone asked for it, which Asterisk tells first (HangupRequest).
        """
        channel = self._channel(name)
        if by_phone:
            self.event("HangupRequest", **_plain(channel))
        self.leave(name)
        self.channels.remove(channel)
        self.event("Hangup", **_plain(channel))

    def start_spying(self, spyer: str, spyee: str, application: str = "ChanSpy") -> None:
        """One channel begins to hear another.

        Parameters:
            spyer: the name of the channel that hears.
            spyee: the name of the channel that is heard.
            application: that does it.
        """
        hears, heard = self._channel(spyer), self._channel(spyee)
        hears["Application"], hears["ApplicationData"] = application, f"{heard['Uniqueid']},uqESX"
        self.event("ChanSpyStart", **_spy(hears, heard))

    def stop_spying(self, spyer: str, spyee: str) -> None:
        """One channel no longer hears another. Lists and ``CHANNEL(appname)`` still name the application for a
        channel in a context of ours: AGI has executed it. Every other one runs nothing more.

        Parameters:
            spyer: the name of the channel that hears.
            spyee: the name of the channel that is heard.
        """
        hears = self._channel(spyer)
        if not hears["Context"].startswith("agi-monitor-"):
            hears["Application"] = hears["ApplicationData"] = ""
        self.event("ChanSpyStop", **_spy(hears, self._channel(spyee)))

    def event(self, name: str, **headers: str) -> None:
        """Tell an event; before the login it is not sent.

        Parameters:
            name: of the event.
            headers: of the event. Those that Asterisk writes besides are added, those that it does not are left out.
        """
        if self._logged_in:
            self.happened.append(f"< {name}")
            usual = {"Status": "Fully Booted"} if name == "FullyBooted" else {}
            told = self._written(SHAPES.get(name, ()), usual | headers)
            self._send([("Event", name), ("Privilege", privilege_of(name)), *told])
        self.check()

    def say(self, data: bytes) -> None:
        """Send these bytes as they are, to a client that has logged in: what a caller has planted, for one.

        Parameters:
            data: of the wire.
        """
        if self._logged_in and self._protocol is not None:
            self._send_bytes(self._protocol, data)
        self.check()

    def answer_held(self) -> None:
        """Answer every action that was held, in their order, and hold no more."""
        self.held.clear()
        waiting, self._waiting = self._waiting, []
        for asked in waiting:
            self._later(partial(self._answer, asked))
        self.check()

    def lose_connection(self) -> None:
        """The connection breaks, without a word."""
        self._later(self._disconnected)
        self.check()

    def advance(self, seconds: float) -> None:
        """Let time pass.

        Parameters:
            seconds: of ``clock``.
        """
        self.clock.advance(seconds)
        self.check()

    def check(self) -> None:
        """Raise what went wrong so far in the fake, such as an action that it does not know."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    # -- looking --

    @property
    def names(self) -> list[str]:
        """The names of all actions so far."""
        return [asked.text("Action") for asked in self.actions]

    def asked(self, name: str) -> list[dict[str, str]]:
        """The headers of each action of this name, without its name and its ActionID.

        Parameters:
            name: of the action.
        """
        return [
            {header: value for header, value in action.headers if header not in ("Action", "ActionID")}
            for action in self.actions
            if action.text("Action") == name
        ]

    # -- the wire --

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:  # noqa: N803 (Twisted's name)
        """Take a connection. What Twisted calls.

        Parameters:
            protocolFactory: of the client.
        """
        if not self.listening:
            return fail(ConnectionRefusedError())  # type: ignore[no-untyped-call]  # Twisted's own
        protocol = protocolFactory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5038))
        assert protocol is not None  # noqa: S101 (AMIClient takes every peer)
        self._protocol, self._lines, self._logged_in = protocol, [], False
        self._transport = FakeTransport(self._received, self._closed)
        self.happened.append("connected")
        protocol.makeConnection(self._transport)
        # Not before the client knows that it is connected.
        self.clock.callLater(0.0, self._send_bytes, protocol, GREETING)
        return succeed(protocol)

    def _closed(self) -> None:
        self._later(self._disconnected)

    def _disconnected(self) -> None:
        if self._protocol is not None:
            protocol, self._protocol, self._logged_in = self._protocol, None, False
            self._waiting.clear()
            self.happened.append("disconnected")
            protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own

    def _received(self, line: bytes) -> None:
        if line != b"\r":
            self._lines.append(line.removesuffix(b"\r"))
            return
        lines, self._lines = self._lines, []
        self._later(partial(self._take, _Asked.from_wire(b"\r\n".join(lines), LIMITS)))

    def _take(self, asked: Message) -> None:
        if self._protocol is None:
            return
        name = asked.text("Action")
        self.actions.append(asked)
        self.happened.append(f"> {name}")
        if name in self.held:
            self._waiting.append(asked)
        else:
            self._answer(asked)

    def _answer(self, asked: Message) -> None:
        name = asked.text("Action")
        if name in self.refused:
            self._reply(asked, "Error", {"Message": self.refused[name]})
        elif not self._logged_in and name not in ("Challenge", "Login"):
            self._reply(asked, "Error", {"Message": "Permission denied"})
        elif name == "Logoff" and name not in self.answers:
            self._reply(asked, "Goodbye", {"Message": "Thanks for all the fish."})
            self._later(self._disconnected)
        elif name in LISTS:
            self._answer_list(asked)
        elif name not in self.answers:
            self.error = self.error or LookupError(f"{name}: give the fake an answer: fake.answers[{name!r}] = ...")
            self._reply(asked, "Error", {"Message": "Invalid/unknown command"})
        else:
            answer = self.answers[name](self, asked)
            if isinstance(answer, str):
                self._reply(asked, "Error", {"Message": answer})
            else:
                self._reply(asked, "Success", answer)
            if name == "Login" and self._logged_in:
                self.event("FullyBooted", Status="Fully Booted")

    def _answer_list(self, asked: Message) -> None:
        attribute, message, item, end = LISTS[asked.text("Action")]
        items: Items = getattr(self, attribute)
        if asked.text("Action") == "QueueStatus":
            items = [
                headers for headers in items if _is_asked_for(headers, asked.text("Queue"), asked.text("Member"))
            ]
        self._reply(asked, "Success", {"EventList": "start", "Message": message})
        action_id = ("ActionID", asked.action_id)
        for headers in items:
            event = headers.get("Event", item)
            given = {name: text for name, text in headers.items() if name != "Event"}
            rest = self._written(ITEMS.get(event, ()), given)
            self._send([("Event", event), *((*rest, action_id) if event in ID_LAST else (action_id, *rest))])
        self._send([("Event", end), action_id, ("EventList", "Complete"), ("ListItems", str(len(items)))])

    def _reply(self, asked: Message, response: str, headers: Mapping[str, str]) -> None:
        self._send([("Response", response), ("ActionID", asked.action_id), *headers.items()])

    def _send(self, headers: Iterable[tuple[str, str]]) -> None:
        text = "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n"
        protocol = self._protocol
        if protocol is not None:
            self._send_bytes(protocol, text.encode())

    def _send_bytes(self, protocol: IProtocol | SocketWire, data: bytes) -> None:
        self._later(partial(self._deliver, protocol, data))

    def _deliver(self, protocol: IProtocol | SocketWire, data: bytes) -> None:
        if protocol is self._protocol:
            protocol.dataReceived(data)

    def _written(self, shape: Shape, headers: Mapping[str, str]) -> list[tuple[str, str]]:
        """Headers in the order of Asterisk, with those that are not given and without those of other events."""
        written: dict[str, str] = {}
        for part in shape:
            given = [name for name in part.names if name in headers]
            if isinstance(part, Part) and not (part.optional and not given):
                prefix = part.names[0].removesuffix(CHANNEL[0])
                known = self._snapshot(prefix, headers) if part.names[1:2] == (f"{prefix}{CHANNEL[1]}",) else {}
                usual = {name: _usual(name) for name in part.names}
                if own := headers.get(f"{prefix}Uniqueid"):
                    usual |= {name: own for name in usual if name == f"{prefix}Linkedid"}
                written |= {name: headers.get(name, known.get(name, usual[name])) for name in part.names}
                written |= {name: headers[name] for name in part.more if name in headers}
            else:
                written |= {name: headers[name] for name in given}
        foreign = VOCABULARY if shape else frozenset[str]()
        more = {name: text for name, text in headers.items() if name not in written and name not in foreign}
        return [*written.items(), *more.items()]

    def _snapshot(self, prefix: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of the channel that is named with this prefix, as far as it is known here."""
        for channel in self.channels:
            if channel["Uniqueid"] == headers.get(f"{prefix}Uniqueid"):
                return {f"{prefix}{name}": channel[name] for name in CHANNEL if name in channel}
        return {}

    # -- the actions --

    def _channel(self, name: str) -> dict[str, str]:
        found = self._find(name)
        if found is None:
            raise LookupError(f"there is no channel {name}")
        return found

    def _find(self, name: str) -> dict[str, str] | None:
        return next((channel for channel in self.channels if channel["Channel"] == name), None)

    def _meant(self, asked: Message) -> dict[str, str] | None:
        # By its name first, then by its uniqueid (channel.c, ast_channel_get_by_name).
        wanted = asked.text("Channel")
        by_id = (channel for channel in self.channels if channel["Uniqueid"] == wanted)
        return self._find(wanted) or next(by_id, None)

    def _challenge(self, asked: Message) -> Mapping[str, str] | str:
        return {"Challenge": CHALLENGE}

    def _login(self, asked: Message) -> Mapping[str, str] | str:
        key = hashlib.md5((CHALLENGE + self._secret).encode(), usedforsecurity=False).hexdigest()
        if asked.text("Username") != self._username or asked.text("Key") != key:
            return "Authentication failed"
        self._logged_in = True
        return {"Message": "Authentication accepted"}

    def _ping(self, asked: Message) -> Mapping[str, str] | str:
        return {"Ping": "Pong", "Timestamp": f"{self.clock.seconds():.6f}"}

    def _list_commands(self, asked: Message) -> Mapping[str, str] | str:
        return {name: "What it does.  (Priv: all)" for name in [*self.answers, *LISTS] if name != "Login"}

    def _getvar(self, asked: Message) -> Mapping[str, str] | str:
        variable = asked.text("Variable")
        channel = self._meant(asked)
        if channel is None and asked.get("Channel") is not None:
            return "No such channel"
        value = self.variables.get(("" if channel is None else channel["Channel"], variable))
        if value is None and channel is None and variable.startswith("CHANNELS("):
            wanted = re.compile(variable[len("CHANNELS(") : -1], re.IGNORECASE)
            value = " ".join(known["Channel"] for known in self.channels if wanted.search(known["Channel"]))
        if value is None and channel is not None:
            value = self._fact(channel, variable)
        # It reads into 1,024 bytes (manager.c, action_getvar).
        return {"Variable": variable, "Value": (value or "")[:1_023]}

    def _fact(self, channel: Mapping[str, str], variable: str) -> str:
        if variable in ("BRIDGEPEER", "CHANNEL(peer)"):
            bridge = channel["BridgeId"]
            others = [other for other in self.channels if other is not channel]
            names = [other["Channel"] for other in others if bridge and other["BridgeId"] == bridge]
            # The function knows of a bridge of two only (bridge.c, ast_bridge_peer_nolock).
            return ",".join(names) if variable == "BRIDGEPEER" or len(names) == 1 else ""
        return channel.get(FACTS[variable], "") if variable in FACTS else ""

    def _setvar(self, asked: Message) -> Mapping[str, str] | str:
        channel = self._meant(asked)
        if channel is None:
            return "No such channel"
        self.variables[channel["Channel"], asked.text("Variable")] = asked.text("Value")
        return {"Message": "Variable Set"}

    def _play_dtmf(self, asked: Message) -> Mapping[str, str] | str:
        if self._meant(asked) is None:
            return "Channel not found"
        return {"Message": "DTMF successfully queued"}

    def _originate(self, asked: Message) -> Mapping[str, str] | str:
        if asked.text("Async").lower() != "true":
            return "The fake originates asynchronously only"
        self._later(partial(self._originated, asked))
        return {"Message": "Originate successfully queued"}

    def _originated(self, asked: Message) -> None:
        called = asked.text("Channel")
        outcome = self.outcomes.get(called, Outcome.ANSWERED)
        reasons = {meaning: str(reason) for reason, meaning in OUTCOMES.items()}
        answered = outcome is Outcome.ANSWERED
        number = len(self.channels) + 1
        name, uniqueid = (f"{called}-{number:08x}", f"1700000000.{number}") if answered else (called, "<null>")
        if answered:
            self.add_channel(name, uniqueid, Context=asked.text("Context") or "default")
        self.event(
            "OriginateResponse",
            ActionID=asked.action_id,
            Response="Success" if answered else "Failure",
            Channel=name,
            Context=asked.text("Context"),
            Exten=asked.text("Exten"),
            Reason=reasons.get(outcome, "0"),
            Uniqueid=uniqueid,
            CallerIDNum="<unknown>",
            CallerIDName="<unknown>",
        )

    def _hangup(self, asked: Message) -> Mapping[str, str] | str:
        channel = self._meant(asked)
        if channel is None:
            return "No such channel"
        self._later(partial(self.hang_up, channel["Channel"]))
        return {"Message": "Channel Hungup"}

    def _bridge_kick(self, asked: Message) -> Mapping[str, str] | str:
        channel = self._meant(asked)
        if channel is None:
            return "Channel does not exist"
        if all(bridge["BridgeUniqueid"] != asked.text("BridgeUniqueid") for bridge in self.bridges):
            return "Bridge not found"
        if channel["BridgeId"] != asked.text("BridgeUniqueid"):
            return "Channel is not in the bridge"
        self._later(partial(self.leave, channel["Channel"]))
        return {"Message": "Channel has been kicked"}


_ANSWERS: Final[Mapping[str, Answer]] = {
    "BridgeKick": FakeManager._bridge_kick,
    "Challenge": FakeManager._challenge,
    "Getvar": FakeManager._getvar,
    "Hangup": FakeManager._hangup,
    "ListCommands": FakeManager._list_commands,
    "Login": FakeManager._login,
    "Originate": FakeManager._originate,
    "Ping": FakeManager._ping,
    "PlayDTMF": FakeManager._play_dtmf,
    "Setvar": FakeManager._setvar,
}


def _is_asked_for(item: Mapping[str, str], queue: str, member: str) -> bool:
    """Whether QueueStatus lists an item: callers are listed whatever member is asked for (app_queue.c)."""
    if queue not in ("", item.get("Queue")):
        return False
    is_member = item.get("Event", "QueueMember") == "QueueMember"
    return not is_member or member in ("", item.get("Location"), item.get("Name"))


def _usual(name: str) -> str:
    if name.endswith("ChannelStateDesc"):
        return "Up"
    if name in USUAL:
        return USUAL[name]
    if name in FILLED:
        return "Fake/0-00000000" if name.endswith("Channel") else "0.0"
    return "0" if name in NUMBERS else "<unknown>" if name.endswith(("Num", "Name")) else ""


def _plain(channel: Mapping[str, str]) -> dict[str, str]:
    """The headers by which an event tells of a channel."""
    names = ("Channel", "ChannelStateDesc", "CallerIDNum", "ConnectedLineNum", "Uniqueid", "Linkedid")
    return {name: channel[name] for name in names}


def _spy(spyer: Mapping[str, str], spyee: Mapping[str, str]) -> dict[str, str]:
    return {
        "SpyerChannel": spyer["Channel"],
        "SpyerUniqueid": spyer["Uniqueid"],
        "SpyeeChannel": spyee["Channel"],
        "SpyeeUniqueid": spyee["Uniqueid"],
    }
