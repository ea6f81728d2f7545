"""agi_monitor.ami.protocol on a MemoryReactorClock: login, loss and return, keep-alive, callbacks, secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from agi_monitor.ami.authentic import SHAPES
from agi_monitor.ami.connection import Event
from agi_monitor.ami.limits import AMILimits
from agi_monitor.ami.messages import Message, action
from agi_monitor.ami.protocol import LOG_LINES, Account, AMIClient, Callbacks
from agi_monitor.ami.states import Connecting, Down, LoggingIn, Refused, State, Up
from agi_monitor.errors import (
    ActionFailed,
    AgiMonitorError,
    Disconnected,
    LocalProtocolError,
    LoginRefused,
    NoAnswer,
    PermissionDenied,
)
from tests.doubles.conversations import told

SECRET = "correct-horse-battery"
ACCOUNT = Account("monitor", SECRET)
LIMITS = AMILimits()
GREETING = "Asterisk Call Manager/9.0.0\r\n"


class Transport(StringTransport):
    """A StringTransport that tells closing from aborting."""

    aborted = False

    def abortConnection(self) -> None:  # noqa: N802 (Twisted's name)
        self.aborted = True
        self.loseConnection()  # type: ignore[no-untyped-call]  # Twisted's own


class Line:
    """One connection from Asterisk's side."""

    def __init__(self, factory: Any) -> None:
        self.transport = Transport()  # type: ignore[no-untyped-call]  # Twisted's own
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def says(self, *lines: str) -> None:
        """Asterisk sends a message."""
        self.sends("".join(f"{line}\r\n" for line in lines) + "\r\n")

    def sends(self, text: str) -> None:
        """Asterisk sends this."""
        self.protocol.dataReceived(text.encode())

    def asked(self) -> list[Message]:
        """The actions that came since the last look."""
        data = self.transport.value()  # type: ignore[no-untyped-call]  # Twisted's own
        self.transport.clear()  # type: ignore[no-untyped-call]  # Twisted's own
        return [Message.from_wire(part, LIMITS) for part in data.split(b"\r\n\r\n") if part]

    def answers(self, name: str, *more: str, response: str = "Success") -> Message:
        """Asterisk answers the one action that came, which has this name."""
        (asked,) = self.asked()
        assert asked.get("Action") == name
        self.says(f"Response: {response}", f"ActionID: {asked.action_id}", *more)
        return asked

    def refuses(self, name: str, text: str, *offered: str) -> None:
        """Asterisk says no to the one action that came, and to the question what it offers, these actions."""
        self.answers(name, f"Message: {text}", response="Error")
        lines = [(name, classes or "<none>") for name, _, classes in (one.partition(" ") for one in offered)]
        self.answers("ListCommands", *(f"{name}: What it does.  (Priv: {classes})" for name, classes in lines))

    def logs_in(self) -> None:
        """The whole login."""
        self.sends(GREETING)
        self.answers("Challenge", "Challenge: 123")
        self.answers("Login", "Message: Authentication accepted")

    def breaks(self) -> None:
        """The connection is gone."""
        self.protocol.connectionLost(Failure(ConnectionDone()))  # type: ignore[no-untyped-call]  # Twisted's own


class Site:
    """A client, its reactor, and one list of everything it told."""

    def __init__(self, **options: Any) -> None:
        self.reactor = MemoryReactorClock()  # type: ignore[no-untyped-call]  # Twisted's own
        self.told: list[object] = []
        self.states: list[State] = []
        self.raising = False
        callbacks = Callbacks(
            on_event=lambda event: self.tell(event.name),
            on_up=lambda: self.tell("up"),
            on_down=lambda: self.tell("down"),
            on_state=self.states.append,
        )
        options.setdefault("jitter", lambda: 1.0)
        endpoint = TCP4ClientEndpoint(self.reactor, "pbx.example", 5038)
        self.client = AMIClient(
            endpoint, self.reactor, options.pop("account", ACCOUNT), callbacks, id_prefix="t", **options
        )

    def tell(self, news: object) -> None:
        """Write down what was told."""
        self.told.append(news)
        if self.raising:
            raise RuntimeError("a callback is broken")

    def start(self) -> Line:
        """Start the client; Asterisk takes the connection."""
        self.client.startService()
        return self.accept()

    def accept(self) -> Line:
        """Asterisk takes the newest connection."""
        return Line(self.reactor.tcpClients[-1][2])

    def refuse(self) -> None:
        """Nobody listens."""
        factory: Any = self.reactor.tcpClients[-1][2]
        factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))  # type: ignore[no-untyped-call]

    @property
    def attempts(self) -> int:
        """Connections that were tried."""
        return len(self.reactor.tcpClients)

    def up(self) -> Line:
        """Start and log in."""
        line = self.start()
        line.logs_in()
        assert self.client.state == Up("9.0.0")
        return line

    def run(self, story: Coroutine[Deferred[Any], Any, Any]) -> list[Any]:
        """Start a coroutine; its result or its error arrives in the list."""
        found: list[Any] = []
        ensureDeferred(story).addCallbacks(found.append, lambda failure: found.append(failure.value))
        return found

    def idle(self) -> bool:
        """Whether no timer is left."""
        return not self.reactor.getDelayedCalls()


# -- login ------------------------------------------------------------------------------------------------------


def test_a_login_answers_the_challenge() -> None:
    """The secret itself is never sent: the MD5 of challenge and secret is."""
    site = Site(event_classes="call,system")
    line = site.start()
    assert line.asked() == []
    line.sends(GREETING)
    challenge = line.answers("Challenge", "Challenge: 123")
    assert (challenge.get("AuthType"), challenge.get("Username")) == ("MD5", "monitor")
    (login,) = line.asked()
    assert login.headers == (
        ("Action", "Login"),
        ("ActionID", "t-2"),
        ("AuthType", "MD5"),
        ("Username", "monitor"),
        ("Key", hashlib.md5(f"123{SECRET}".encode()).hexdigest()),  # noqa: S324 - Asterisk's login is MD5
        ("Events", "call,system"),
    )
    assert site.told == []
    line.says("Response: Success", "ActionID: t-2")
    assert site.told == ["up"]
    assert site.states == [Connecting(), LoggingIn(), Up("9.0.0")]


def test_the_login_byte_by_byte() -> None:
    """What arrives in single bytes is the same login."""
    site = Site()
    line = site.start()
    for letter in GREETING:
        line.sends(letter)
    (challenge,) = line.asked()
    for letter in f"Response: Success\r\nActionID: {challenge.action_id}\r\nChallenge: 1\r\n\r\n":
        line.sends(letter)
    line.answers("Login")
    assert isinstance(site.client.state, Up)


def test_a_refused_login_is_final() -> None:
    """Said once in the log, to the state and to who waits; nobody connects again."""
    site = Site()
    waiting = site.client.when_up()
    with capture_logs() as logs:
        line = site.start()
        line.sends(GREETING)
        line.answers("Challenge", "Challenge: 1")
        line.answers("Login", "Message: Authentication failed", response="Error")
        assert line.transport.disconnecting
        line.breaks()
        site.reactor.advance(3_600)
    assert site.states[-1] == Refused("Asterisk answered Authentication failed")
    assert site.attempts == 1
    assert site.idle()
    assert site.told == []
    assert [(log["event"], log["log_level"]) for log in logs] == [("ami_refused", "error")]
    for deferred in (waiting, site.client.when_up()):
        errors: list[Failure] = []
        deferred.addErrback(errors.append)
        assert isinstance(errors[0].value, LoginRefused)


def test_a_refused_client_can_be_stopped_and_started() -> None:
    """After somebody has corrected the account on the PBX."""
    site = Site()
    line = site.start()
    line.sends(GREETING)
    line.answers("Challenge", "Challenge: 1")
    line.answers("Login", "Message: no", response="Error")
    line.breaks()
    site.client.stopService()
    assert isinstance(site.client.state, Refused)
    site.client.startService()
    site.accept().logs_in()
    assert isinstance(site.client.state, Up)


@pytest.mark.parametrize("text", ["Login Already In Use", "Asterisk is shutting down", "whatever"])
def test_a_refused_challenge_is_tried_again(text: str) -> None:
    """A session of ours that is dead and not yet noticed passes, and so does a PBX that is being stopped."""
    site = Site()
    line = site.start()
    line.sends(GREETING)
    line.answers("Challenge", f"Message: {text}", response="Error")
    assert line.transport.disconnecting
    line.breaks()
    assert site.client.state == Down(f"Asterisk answered {text}", 1.0)
    site.reactor.advance(1)
    site.accept().logs_in()


@pytest.mark.parametrize("greets", [False, True])
def test_a_silent_login_is_given_up(greets: bool) -> None:
    """Anyone who accepts and says nothing is cut off, and tried again later."""
    site = Site()
    line = site.start()
    if greets:
        line.sends(GREETING)
    site.reactor.advance(LIMITS.login_seconds)
    assert line.transport.aborted
    line.breaks()
    reason = "the login took too long" if greets else "no greeting came: a port that wants TLS is silent"
    assert site.client.state == Down(reason, 1.0)
    site.reactor.advance(1)
    assert site.attempts == 2


@pytest.mark.parametrize(
    "secret",
    [
        *["", "secret", "password", "PassWord", "amp111", "mysecret", "monitoring-pbx", "Monitoring-PBX"],
        *["elevenchars", "15-characters-x", "xxxxxxxxxxxxxxxx", "1212121212121212"],
    ],
)
def test_a_weak_secret_is_refused_before_connecting(secret: str) -> None:
    """An empty, well-known, short or monotonous secret, or the user's name, is refused; the error does not repeat
    it.
    """
    with pytest.raises(LoginRefused) as caught:
        Account("monitoring-pbx", secret)
    assert len(secret) < 9 or secret not in str(caught.value)
    if secret:  # an account that an administrator asks about is looked at all the same, and reported
        assert Account("monitoring-pbx", secret, may_be_weak=True).key("1")


@pytest.mark.parametrize("username", ["", "a\r\nAction: Logoff"])
def test_a_user_name_that_cannot_be_sent_is_refused(username: str) -> None:
    """No name, or one with a line break, makes no account."""
    with pytest.raises(LoginRefused):
        Account(username, SECRET)


def test_a_user_name_that_is_too_long_is_final() -> None:
    """What cannot be sent now cannot be sent later."""
    site = Site(account=Account("x" * 2_000, SECRET))
    line = site.start()
    line.sends(GREETING)
    assert isinstance(site.client.state, Refused)


def test_the_secret_is_nowhere() -> None:
    """Not in a log line of any level, not in a repr, not in an error."""
    site = Site()
    with capture_logs() as logs:
        line = site.up()
        found = site.run(site.client.perform(action("Setvar", ("Value", SECRET))))
        line.refuses("Setvar", "no", "Setvar call,all")
        line.breaks()
        site.reactor.advance(1)
        site.refuse()
        site.client.stopService()
    key = ACCOUNT.key("123")
    for text in (repr(logs), repr(ACCOUNT), repr(site.states), repr(found), repr(site.client), str(found[0])):
        assert SECRET not in text
        assert key not in text


# -- loss and return --------------------------------------------------------------------------------------------


def test_a_lost_connection_comes_back_and_logs_in_again() -> None:
    """Down, a wait, another login; the keeper of an index is told both."""
    site = Site()
    line = site.up()
    line.breaks()
    assert site.client.state == Down("the connection was lost (ConnectionDone)", 1.0)
    assert site.told == ["up", "down"]
    site.reactor.advance(0.9)
    assert site.attempts == 1
    site.reactor.advance(0.2)
    site.accept().logs_in()
    assert site.told == ["up", "down", "up"]
    assert isinstance(site.client.state, Up)


def test_the_wait_grows_and_is_random() -> None:
    """Twice as long after each failure up to the longest, between half of it and all of it."""
    chances = iter([1.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0])
    site = Site(jitter=lambda: next(chances))
    site.client.startService()
    waits: list[float | None] = []
    for _ in range(7):
        site.refuse()
        state = site.client.state
        assert isinstance(state, Down)
        assert state.reason == "cannot connect (ConnectionRefusedError)"
        waits.append(state.retry_in)
        site.reactor.advance(state.retry_in or 0)
    assert waits == [1.0, 1.0, 3.0, 8.0, 16.0, 30.0, 30.0]
    assert site.attempts == 8


def test_the_wait_is_short_again_after_a_good_while() -> None:
    """A connection that lasted makes the next wait the shortest; one that was thrown out at once does not."""
    site = Site(limits=AMILimits(ping_seconds=1_000))
    line = site.up()
    for wait in (1.0, 2.0, 4.0):
        line.breaks()
        assert isinstance(site.client.state, Down)
        assert site.client.state.retry_in == wait
        site.reactor.advance(wait)
        line = site.accept()
        line.logs_in()
    site.reactor.advance(LIMITS.max_retry_seconds)
    line.breaks()
    assert isinstance(site.client.state, Down)
    assert site.client.state.retry_in == 1.0


def test_bytes_that_are_no_ami_end_the_connection() -> None:
    """The reason is in the state, and there is another attempt."""
    site = Site()
    line = site.start()
    line.sends("SSH-2.0-OpenSSH\r\n")
    assert line.transport.aborted
    line.sends("more")
    line.breaks()
    assert isinstance(site.client.state, Down)
    assert "broke the protocol" in site.client.state.reason
    site.reactor.advance(1)
    assert site.attempts == 2


def test_all_pending_actions_fail_when_the_connection_is_lost() -> None:
    """One clear error each, after on_down, and no timer is left behind."""
    site = Site()
    line = site.up()
    found = site.run(site.client.perform(action("Ping")))
    found_list = site.run(site.client.perform_list(action("Status")))
    order: list[object] = []
    site.client.callbacks = Callbacks(on_down=lambda: order.append((list(found), list(found_list))))
    line.breaks()
    assert order == [([], [])]
    assert [type(error) for error in (*found, *found_list)] == [Disconnected, Disconnected]
    assert str(found[0]) == "Ping: the connection was lost (ConnectionDone)"
    assert len(site.reactor.getDelayedCalls()) == 1  # the next attempt


@pytest.mark.parametrize("when", ["before", "connecting", "logging in", "waiting", "stopped"])
def test_an_action_without_a_connection_fails_at_once(when: str) -> None:
    """Nothing is kept for later: by then it might be wrong."""
    site = Site()
    if when != "before":
        site.client.startService()
    if when == "logging in":
        site.accept()
    if when == "waiting":
        site.refuse()
    if when == "stopped":
        site.client.stopService()
    for story in (site.client.perform(action("Ping")), site.client.perform_list(action("Status"))):
        (error,) = site.run(story)
        assert isinstance(error, Disconnected)


@pytest.mark.parametrize("when", ["connecting", "logging in", "up", "waiting"])
def test_stopping_ends_everything(when: str) -> None:
    """The connection is closed, no wait is left, no timer stays, nothing is tried again."""
    site = Site()
    site.client.startService()
    waiting = site.client.when_up()
    errors: list[Failure] = []
    waiting.addErrback(errors.append)
    line = None
    if when in ("logging in", "up"):
        line = site.accept()
        if when == "up":
            line.logs_in()
    if when == "waiting":
        site.refuse()
    stopped: list[None] = []
    site.client.stopService().addCallback(stopped.append)
    if line is not None:
        assert line.transport.disconnecting
        assert stopped == []
        line.breaks()
    site.reactor.advance(3_600)
    assert stopped == [None]
    assert site.attempts == 1
    assert site.idle()
    assert site.client.state == Down("the client was stopped", None)
    assert site.told == (["up", "down"] if when == "up" else [])
    assert [type(failure.value) for failure in errors] == ([] if when == "up" else [Disconnected])


def test_a_peer_that_does_not_close_is_cut_off() -> None:
    """Stopping does not wait for a PBX that hangs."""
    site = Site()
    line = site.up()
    site.client.stopService()
    assert not line.transport.aborted
    site.reactor.advance(LIMITS.close_seconds)
    assert line.transport.aborted


# -- keep-alive -------------------------------------------------------------------------------------------------


def test_a_silent_pbx_is_noticed() -> None:
    """No answer to Ping: the connection is cut and made again."""
    site = Site()
    line = site.up()
    site.reactor.advance(LIMITS.ping_seconds)
    assert [one.get("Action") for one in line.asked()] == ["Ping"]
    site.reactor.advance(LIMITS.ping_reply_seconds - 0.1)
    assert not line.transport.aborted
    site.reactor.advance(0.1)
    assert line.transport.aborted
    line.breaks()
    assert site.client.state == Down("no answer to Ping", 1.0)


@pytest.mark.parametrize("response", ["Success", "Error"])
def test_any_answer_to_ping_is_a_sign_of_life(response: str) -> None:
    """After an answer the next Ping follows, for as long as there are answers."""
    site = Site()
    line = site.up()
    for _ in range(5):
        site.reactor.advance(LIMITS.ping_seconds)
        line.answers("Ping", response=response)
    site.reactor.advance(LIMITS.ping_reply_seconds)
    assert not line.transport.aborted


def test_a_ping_waits_behind_a_slow_action() -> None:
    """Asterisk takes actions in turn: one that takes long is not a silence, until its own deadline."""
    site = Site()
    line = site.up()
    found = site.run(site.client.perform(action("Reload"), 45))
    site.reactor.advance(LIMITS.ping_seconds)
    for _ in range(2):
        site.reactor.advance(LIMITS.ping_reply_seconds)
        assert not line.transport.aborted
    site.reactor.advance(5)
    assert isinstance(found[0], NoAnswer)
    site.reactor.advance(LIMITS.ping_reply_seconds)
    assert line.transport.aborted


# -- actions ----------------------------------------------------------------------------------------------------


def test_answers_come_back_in_any_order() -> None:
    """Each action gets its own."""
    site = Site()
    line = site.up()
    first, second = (site.run(site.client.perform(action(name))) for name in ("Getvar", "Status"))
    one, two = line.asked()
    line.says("Response: Success", f"ActionID: {two.action_id}", "Value: 2")
    assert first == []
    line.says("Response: Success", f"ActionID: {one.action_id}", "Variable: X", "Value: 1")
    assert [found[0].message.get("Value") for found in (first, second)] == ["1", "2"]
    assert [found[0].action.name for found in (first, second)] == ["Getvar", "Status"]


def test_a_list_is_complete_or_an_error() -> None:
    """The items are the answer; they do not come as events."""
    site = Site(wanted={"CoreShowChannel", "Hangup"})
    line = site.up()
    found = site.run(site.client.perform_list(action("CoreShowChannels")))
    asked = line.answers("CoreShowChannels", "EventList: start")
    line.says("Event: Item", f"ActionID: {asked.action_id}", "Channel: a")
    line.sends(told("Hangup", Uniqueid="1"))
    assert found == []
    line.says("Event: CoreShowChannelsComplete", f"ActionID: {asked.action_id}", "EventList: Complete")
    response, items = found[0]
    assert response.message.get("EventList") == "start"
    assert [item.message.get("Channel") for item in items] == ["a"]
    assert site.told == ["up", "Hangup"]


@pytest.mark.parametrize("as_list", [False, True])
def test_a_missing_class_is_named(as_list: bool) -> None:
    """An action that Asterisk does not offer becomes an error that says what to write into manager.conf."""
    site = Site()
    line = site.up()
    perform: Callable[..., Coroutine[Any, Any, Any]] = site.client.perform_list if as_list else site.client.perform
    found = site.run(perform(action("CoreShowChannels")))
    line.refuses("CoreShowChannels", "Permission denied", "Ping", "Hangup system,call,all", "Setvar call,all")
    (error,) = found
    assert isinstance(error, PermissionDenied)
    assert error.classes == ("system", "reporting")
    assert str(error) == (
        "CoreShowChannels: Asterisk answered Permission denied: the account needs write=system or reporting"
    )


@pytest.mark.parametrize("text", ["No such channel", "Permission denied"])
def test_another_error_is_no_missing_class(text: str) -> None:
    """What Asterisk said is in the error and decides nothing; what it offers is asked for once."""
    site = Site()
    line = site.up()
    first = site.run(site.client.perform(action("Hangup", ("Channel", "x"))))
    line.refuses("Hangup", text, "Ping", "hangup system,call,all")
    second = site.run(site.client.perform(action("Hangup", ("Channel", "y"))))
    line.answers("Hangup", f"Message: {text}", response="Error")
    for (error,) in (first, second):
        assert (type(error), error.action, error.text) == (ActionFailed, "Hangup", text)


@pytest.mark.parametrize("name", ["DeviceStateList", "QueueStatus"])
def test_a_missing_module_is_no_missing_class(name: str) -> None:
    """The account may do others of the same class, or the action needs none: the PBX does not have it."""
    site = Site()
    line = site.up()
    found = site.run(site.client.perform_list(action(name)))
    line.refuses(name, "Invalid/unknown command", "Ping", "Getvar call,reporting,all")
    assert [type(error) for error in found] == [ActionFailed]


@pytest.mark.parametrize("how", ["refused", "silent", "lost", "cancelled"])
def test_an_error_comes_also_when_nobody_says_what_is_offered(how: str) -> None:
    """A PBX that is being stopped refuses ListCommands as well: one error all the same, and no circle."""
    site = Site(limits=AMILimits(ping_seconds=1_000))
    line = site.up()
    deferred = ensureDeferred(site.client.perform(action("Hangup", ("Channel", "x"))))
    found: list[Any] = []
    deferred.addErrback(lambda failure: found.append(failure.value))
    line.answers("Hangup", "Message: Asterisk is shutting down", response="Error")
    if how == "refused":
        line.answers("ListCommands", "Message: Asterisk is shutting down", response="Error")
    elif how == "silent":
        site.reactor.advance(LIMITS.action_seconds)
    elif how == "lost":
        line.breaks()
    else:
        deferred.cancel()
        line.answers("ListCommands", "Hangup: Hangup channel.  (Priv: call,all)")
    assert [type(error) for error in found] == [CancelledError if how == "cancelled" else ActionFailed]
    unanswered = ["ListCommands"] if how in ("silent", "lost") else []
    assert [one.get("Action") for one in line.asked()] == unanswered


def test_a_list_that_is_broken_off_is_an_error_at_once() -> None:
    """The deadline is not waited for, and half a list does not count."""
    site = Site()
    line = site.up()
    found = site.run(site.client.perform_list(action("CoreShowChannels")))
    asked = line.answers("CoreShowChannels", "EventList: start")
    line.says("Event: Item", f"ActionID: {asked.action_id}", "Channel: a")
    line.says("Event: CoreShowChannelsComplete", f"ActionID: {asked.action_id}", "EventList: cancelled")
    assert [type(error) for error in found] == [ActionFailed]
    assert "broke it off" in str(found[0])
    assert found[0].has_begun
    line.says("Event: CoreShowChannelsComplete", f"ActionID: {asked.action_id}", "EventList: Complete")
    assert len(found) == 1


@pytest.mark.parametrize("how", ["broken off", "refused"])
def test_what_a_peer_says_makes_no_long_line_in_the_log(how: str) -> None:
    """An error is logged each time that it comes; one message may have megabytes."""
    site = Site()
    line = site.up()
    found = site.run(site.client.perform_list(action("CoreShowChannels")))
    if how == "refused":
        line.answers("CoreShowChannels", "Message: " + 60_000 * "x", response="Error")
        line.answers("ListCommands", "CoreShowChannels: List.  (Priv: system,reporting,all)")
    else:
        asked = line.answers("CoreShowChannels", "EventList: start")
        line.says("Event: " + 60_000 * "x", f"ActionID: {asked.action_id}", "EventList: cancelled")
    assert len(str(found[0])) < 300


# -- what the account may do ------------------------------------------------------------------------------------


def missing(logs: list[Any]) -> list[tuple[str, str, str]]:
    """What was logged about missing classes."""
    return [(log["line"], log["classes"], log["needed_for"]) for log in logs if log["event"] == "ami_class_missing"]


def test_what_the_account_lacks_is_logged_at_the_login() -> None:
    """Each needed action that Asterisk does not offer, with its classes, as soon as the PBX has started; once."""
    site = Site(needs={"CoreShowChannels", "Ping", "Setvar", "QueueStatus"})
    with capture_logs() as logs:
        line = site.up()
        line.sends(told("FullyBooted"))
        line.answers("ListCommands", "Ping: x  (Priv: <none>)", "CoreShowChannels: x  (Priv: system,reporting,all)")
        line.sends(told("FullyBooted"))
        site.reactor.advance(LIMITS.ping_seconds)
        line.answers("Ping")
    assert missing(logs) == [("write", "call", "Setvar")]
    assert [log["action"] for log in logs if log["event"] == "ami_action_missing"] == ["QueueStatus"]


def test_a_missing_class_system_is_logged() -> None:
    """Without FullyBooted until the first Ping, ``read=`` lacks the class; the actions are looked at then."""
    site = Site(needs={"Ping"})
    with capture_logs() as logs:
        line = site.up()
        site.reactor.advance(LIMITS.ping_seconds)
        line.answers("Ping")
        line.answers("ListCommands", "Ping: Keepalive command.  (Priv: <none>)")
        site.reactor.advance(LIMITS.ping_seconds)
        line.answers("Ping")
    assert missing(logs) == [("read", "system", "FullyBooted")]


def test_an_account_that_cannot_be_looked_at_is_left_alone() -> None:
    """No answer about what is offered says nothing about the account."""
    site = Site(needs={"Ping"})
    with capture_logs() as logs:
        line = site.up()
        line.sends(told("FullyBooted"))
        line.answers("ListCommands", "Message: no", response="Error")
    assert missing(logs) == []


@pytest.mark.parametrize("as_list", [False, True])
def test_an_action_has_a_deadline(as_list: bool) -> None:
    """It fails alone, is logged, and its late answer is dropped."""
    site = Site(limits=AMILimits(ping_seconds=1_000))
    line = site.up()
    perform: Callable[..., Coroutine[Any, Any, Any]] = site.client.perform_list if as_list else site.client.perform
    found = site.run(perform(action("Status")))
    with capture_logs() as logs:
        site.reactor.advance(LIMITS.list_seconds if as_list else LIMITS.action_seconds)
    assert isinstance(found[0], NoAnswer)
    assert [(log["event"], log["action"]) for log in logs] == [("ami_action_unanswered", "Status")]
    line.answers("Status")
    assert isinstance(site.client.state, Up)
    assert len(found) == 1


def test_an_action_that_nobody_waits_for_is_given_up() -> None:
    """A cancelled Deferred frees its place; the late answer is dropped."""
    site = Site(limits=AMILimits(max_in_flight=1))
    line = site.up()
    deferred = ensureDeferred(site.client.perform(action("Status")))
    (error,) = site.run(site.client.perform(action("Ping")))
    assert isinstance(error, LocalProtocolError)
    errors: list[Failure] = []
    deferred.addErrback(errors.append)
    deferred.cancel()
    assert isinstance(errors[0].value, CancelledError)
    line.answers("Status")
    found = site.run(site.client.perform(action("Ping")))
    line.answers("Ping")
    assert len(found) == 1


# -- callbacks --------------------------------------------------------------------------------------------------


def test_only_wanted_events_are_told_and_those_about_the_pbx() -> None:
    """FullyBooted, Shutdown and Reload come in any case."""
    site = Site(wanted={"Hangup"})
    line = site.up()
    for name in ("FullyBooted", "VarSet", "Hangup", "Reload", "Newexten", "Shutdown"):
        line.sends(told(name) if name in SHAPES else f"Event: {name}\r\nPrivilege: call,all\r\n\r\n")
    assert site.told == ["up", "FullyBooted", "Hangup", "Reload", "Shutdown"]


def test_a_raising_callback_stops_nothing() -> None:
    """It is logged with its place, a few times a minute, and everything else continues."""
    site = Site(wanted={"Hangup"})
    site.raising = True
    with capture_logs() as logs:
        line = site.up()
        line.sends(told("Hangup") * 100)
        found = site.run(site.client.perform(action("Ping")))
        line.answers("Ping")
        assert len(found) == 1
        failed = [log for log in logs if log["event"] == "ami_callback_failed"]
        assert len(failed) == LOG_LINES
        assert (failed[0]["callback"], failed[0]["error"]) == ("on_up", "RuntimeError")
        assert "a callback is broken" in failed[0]["traceback"]
        line.breaks()
        assert site.told.count("Hangup") == 100
        assert site.told[-1] == "down"
        assert isinstance(site.client.state, Down)


def test_everything_that_came_is_read() -> None:
    """However much comes at once, nothing stays unread and the transport is never paused."""
    site = Site(wanted={"Hangup"})
    line = site.up()
    line.sends(("Event: VarSet\r\nPrivilege: dialplan,all\r\n\r\n" + told("Hangup")) * 5_000 + told("Hangup")[:20])
    line.sends(told("Hangup")[20:])
    assert site.told.count("Hangup") == 5_001
    assert line.transport.producerState == "producing"


def test_whoever_is_stopped_by_on_up_is_not_up() -> None:
    """Who waits for the login learns of the stop instead."""
    site = Site()
    site.client.callbacks = Callbacks(on_up=lambda: site.client.stopService())
    errors: list[Failure] = []
    site.client.when_up().addErrback(errors.append)
    line = site.start()
    line.logs_in()
    line.breaks()
    assert [type(failure.value) for failure in errors] == [Disconnected]
    assert site.idle()


def test_who_waits_for_the_login_is_told() -> None:
    """At the login, or at once when it is over."""
    site = Site()
    told: list[None] = []
    site.client.when_up().addCallback(told.append)
    site.up()
    site.client.when_up().addCallback(told.append)
    assert told == [None, None]


def test_a_callback_may_ask_and_may_stop() -> None:
    """An action sent from a callback is answered; after a stop from a callback no event follows."""
    site = Site(wanted={"Hangup"})
    answers: list[Any] = []

    def on_event(event: Event) -> None:
        site.told.append(event.name)
        if event.name == "Hangup":
            answers.append(site.run(site.client.perform(action("Ping"))))
        else:
            site.client.stopService()

    site.client.callbacks = Callbacks(on_event=on_event)
    line = site.up()
    line.sends(told("Hangup") + told("Shutdown") + told("Hangup"))
    assert site.told == ["Hangup", "Shutdown"]
    line.breaks()
    assert isinstance(answers[0][0], Disconnected)


def test_the_errors_are_ours() -> None:
    """One except fits all."""
    assert all(issubclass(one, AgiMonitorError) for one in (LoginRefused, Disconnected, NoAnswer, ActionFailed))
