"""pyst2's manager client on this wire: the same calls, and what is fixed of it, on a fake PBX over TCP."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import asterisk.manager
import pytest
from structlog.testing import capture_logs

from agi_monitor.ami import blocking
from agi_monitor.ami.blocking import BlockingManager
from agi_monitor.ami.limits import AMILimits
from agi_monitor.errors import Disconnected, LocalProtocolError, LoginRefused, NoAnswer
from agi_monitor.testing import FakeManager
from agi_monitor.testing.sockets import listening
from contrib.lab.waiting import wait_until

USERNAME, SECRET = "monitor", "correct-horse-battery"
SECONDS = 10.0
PHONE = "PJSIP/1001-00000001"
PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "from-pyst2.md"


@pytest.fixture
def fake() -> Iterator[FakeManager]:
    """A PBX with a channel."""
    pbx = FakeManager(USERNAME, SECRET)
    pbx.add_channel(PHONE, "1700000000.1")
    yield pbx
    pbx.check()


@pytest.fixture
def manager(fake: FakeManager) -> Iterator[BlockingManager]:
    """A manager that is logged in."""
    with fake.over_tcp() as (host, port):
        made = BlockingManager()
        made.register_event("FullyBooted", lambda event, manager: True)  # comes some time after the login
        made.connect(host, port)
        made.login(USERNAME, SECRET)
        yield made
        made.close()


@pytest.fixture
def says() -> Iterator[Callable[..., BlockingManager]]:
    """A manager that is connected to a peer that says this, after the greeting; for what no Asterisk would say."""
    open_now = []

    def begin(answer: Callable[[bytes], bytes | None] | None, limits: AMILimits | None = None) -> BlockingManager:
        def serve(connection: socket.socket) -> None:
            connection.sendall(b"Asterisk Call Manager/9.0.0\r\n")
            heard = b""
            while data := connection.recv(65_536):
                heard += data
                while b"\r\n\r\n" in heard:
                    asked, _, heard = heard.partition(b"\r\n\r\n")
                    said = b"" if answer is None else answer(asked)
                    if said is None:
                        return
                    connection.sendall(said)

        server = listening("127.0.0.1", 0, serve)
        host, port = server.__enter__()
        manager = BlockingManager(limits)
        manager.connect(host, port)
        open_now.append((manager, server))
        return manager

    yield begin
    for manager, server in open_now:
        assert manager._line is not None
        manager._line.close()
        server.__exit__(None, None, None)


def action_id(asked: bytes) -> bytes:
    """The one of an action, as it goes back."""
    (line,) = [line for line in asked.split(b"\r\n") if line.startswith(b"ActionID:")]
    return line


def success(asked: bytes) -> bytes:
    """The least that Asterisk says."""
    return b"Response: Success\r\n" + action_id(asked) + b"\r\n\r\n"


# ---- pyst2's way -------------------------------------------------------------------------------------------


def test_a_script_of_pyst2(fake: FakeManager) -> None:
    """As its users write it, but for the import."""
    seen = SimpleQueue[Any]()
    manager = BlockingManager()
    assert isinstance(manager, asterisk.manager.Manager)
    with fake.over_tcp() as (host, port):
        manager.connect(host, port)
        assert (manager.connected(), manager.title, manager.version) == (True, "Asterisk Call Manager", "9.0.0")
        manager.register_event("FullyBooted", lambda event, manager: True)
        manager.login(USERNAME, SECRET)
        manager.register_event("Newchannel", lambda event, manager: seen.put((event.name, event["Channel"])))
        manager.register_event("*", lambda event, manager: seen.put("any"))
        fake.add_channel("PJSIP/1002-00000002", "1700000000.2")
        assert [seen.get(timeout=SECONDS) for _ in range(2)] == [("Newchannel", "PJSIP/1002-00000002"), "any"]
        answer = manager.send_action({"Action": "Setvar", "Channel": PHONE}, Variable="A", Value="1")
        assert (answer.get_header("Response"), repr(answer)) == ("Success", "Success")
        assert manager.hangup("PJSIP/9-00000009").get_header("Message") == "No such channel"
        assert manager.ping().has_header("Timestamp")
        manager.close()
    assert not manager.connected()
    assert fake.variables[PHONE, "A"] == "1"


def test_errors_are_those_of_pyst2(fake: FakeManager) -> None:
    """So that what catches them still does."""
    manager = BlockingManager()
    with pytest.raises(asterisk.manager.ManagerSocketException) as unconnected:
        manager.ping()
    assert isinstance(unconnected.value, Disconnected)
    with fake.over_tcp() as (host, port):
        manager.connect(host, port)
        with pytest.raises(asterisk.manager.ManagerException, match="Already connected"):
            manager.connect(host, port)
        with pytest.raises(asterisk.manager.ManagerException, match="no name"):
            manager.send_action({"Channel": PHONE})
        with pytest.raises(asterisk.manager.ManagerAuthException) as caught:
            manager.login(USERNAME, "wrong")
        assert isinstance(caught.value, LoginRefused)
        manager.close()
    assert "wrong" not in str(fake.asked("Login"))


def test_a_callback_that_returns_true_is_the_last(manager: BlockingManager, fake: FakeManager) -> None:
    """And one that was taken out is not called."""
    seen = SimpleQueue[str]()

    def gone(event: object, manager: object) -> None:
        seen.put("gone")

    def first(event: object, manager: object) -> bool:
        seen.put("first")
        return True

    manager.register_event("Hangup", gone)
    manager.unregister_event("Hangup", gone)
    manager.register_event("Hangup", first)
    manager.register_event("*", lambda event, manager: seen.put(event.name))
    fake.hang_up(PHONE)
    fake.event("Reload", Module="all")
    assert [seen.get(timeout=SECONDS) for _ in range(2)] == ["first", "Reload"]


# ---- what is fixed: a name in the page, a test of it here ----------------------------------------------------


def test_manager_threads(manager: BlockingManager) -> None:
    """Each thread gets the answer to what it asked."""
    wrong = []

    def ask(number: int) -> None:
        for turn in range(20):
            value = f"{number}-{turn}"
            manager.send_action(Action="Setvar", Channel=PHONE, Variable=f"V{number}", Value=value)
            answer = manager.send_action(Action="Getvar", Channel=PHONE, Variable=f"V{number}")
            if answer["Value"] != value:
                wrong.append((value, answer["Value"]))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert wrong == []


def test_manager_action_id(manager: BlockingManager, fake: FakeManager) -> None:
    """What is passed in is left as it is, so the next action has another ActionID."""
    asked = {"Action": "Ping"}
    manager.send_action(asked)
    manager.send_action(asked)
    assert asked == {"Action": "Ping"}
    first, second = [one.action_id for one in fake.actions if one.text("Action") == "Ping"]
    assert first != second


def test_manager_time_out(says: Callable[..., BlockingManager]) -> None:
    """An answer that does not come is an error, and one that comes too late answers nothing else."""
    manager = says(None, AMILimits(action_seconds=0.05))
    with pytest.raises(asterisk.manager.ManagerSocketException, match="Ping: no answer within 0") as late:
        manager.ping()
    assert isinstance(late.value, NoAnswer)


def test_manager_deaf() -> None:
    """A PBX that reads no more blocks no thread: the writer is told, and the connection is over."""
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"Asterisk Call Manager/9.0.0\r\n")
        done.wait(SECONDS)

    with listening("127.0.0.1", 0, serve) as (host, port):
        manager = BlockingManager(AMILimits(action_seconds=0.02))
        manager.connect(host, port)
        large = {"Action": "Ping", "Variable": ["x" * 1_000] * 100}
        with pytest.raises(Disconnected):
            while True:
                with contextlib.suppress(NoAnswer):
                    manager.send_action(large)
        done.set()


@pytest.mark.parametrize(("headers", "seconds"), [({}, 40.0), ({"Timeout": 5_000}, 15.0), ({"Timeout": "x"}, 40.0)])
def test_manager_originate(headers: dict[str, object], seconds: float) -> None:
    """Anyone who calls a phone waits for as long as it rings, and no longer."""
    assert BlockingManager()._seconds("Originate", headers) == seconds
    assert BlockingManager()._seconds("Ping", headers) == 10.0


def test_manager_lost_connection(says: Callable[..., BlockingManager]) -> None:
    """Anyone who waits is told at once, and `connected()` says so."""
    manager = says(lambda asked: None)
    with pytest.raises(asterisk.manager.ManagerSocketException, match="Ping: the connection was lost") as lost:
        manager.ping()
    assert isinstance(lost.value, Disconnected)
    assert not manager.connected()
    with pytest.raises(Disconnected, match="not connected"):
        manager.ping()
    manager.close()


def test_manager_reconnect(fake: FakeManager) -> None:
    """The same object connects again, and its callbacks are still there."""
    seen = SimpleQueue[str]()
    manager = BlockingManager()
    manager.register_event("Reload", lambda event, manager: seen.put(event["Module"]))
    for turn in ("one", "two"):
        with fake.over_tcp() as (host, port):
            manager.connect(host, port)
            manager.login(USERNAME, SECRET)
            fake.event("Reload", Module=turn)
            assert seen.get(timeout=SECONDS) == turn
            manager.close()


def test_manager_nobody_there() -> None:
    """`errno` and `strerror` say why, as pyst2's own example prints them; somebody else on the port is told too."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(asterisk.manager.ManagerSocketException) as caught:
        BlockingManager().connect("127.0.0.1", port)
    assert (caught.value.errno, caught.value.strerror) == (111, "Connection refused")
    assert isinstance(caught.value, Disconnected)
    with (
        listening("127.0.0.1", 0, lambda connection: connection.sendall(b"SSH-2.0-x\r\n")) as (host, port),
        pytest.raises(asterisk.manager.ManagerSocketException, match="did not greet"),
    ):
        BlockingManager().connect(host, port)


def test_manager_callback_raises(manager: BlockingManager, fake: FakeManager) -> None:
    """The others are called, and the next events come."""
    seen = SimpleQueue[str]()

    def raises(event: object, manager: object) -> None:
        raise ValueError("no")

    manager.register_event("Reload", raises)
    manager.register_event("Reload", lambda event, manager: seen.put(event["Module"]))
    with capture_logs() as logs:
        for module in ("one", "two"):
            fake.event("Reload", Module=module)
        assert [seen.get(timeout=SECONDS) for _ in range(2)] == ["one", "two"]
    assert [one["event"] for one in logs] == ["ami_callback_failed"] * 2


def test_a_callback_may_ask(manager: BlockingManager, fake: FakeManager) -> None:
    """As a script does that answers an event with an action."""
    seen = SimpleQueue[str]()
    manager.register_event("Reload", lambda event, manager: seen.put(manager.ping()["Ping"]))
    fake.event("Reload", Module="all")
    assert seen.get(timeout=SECONDS) == "Pong"


def test_a_callback_may_close(manager: BlockingManager, fake: FakeManager) -> None:
    """It does not wait for itself."""
    closed = threading.Event()

    def end(event: object, manager: BlockingManager) -> None:
        manager.close()
        closed.set()

    manager.register_event("Reload", end)
    fake.event("Reload", Module="all")
    assert closed.wait(SECONDS)


def test_manager_repeated_headers(says: Callable[..., BlockingManager]) -> None:
    """All lines of a console command are there, and channel variables do not end the reading."""

    def answer(asked: bytes) -> bytes:
        return success(asked)[:-2] + b"Output: one\r\nOutput: two\r\nChanVariable: A=1=2\r\nChanVariable: B=\r\n\r\n"

    answered = says(answer).command("core show channels")
    assert (answered.data, answered["Output"]) == ("one\ntwo\n", "one\ntwo\n")
    assert answered["ChanVariable"] == {"A": "1=2", "B": ""}


def test_manager_names_and_bytes(says: Callable[..., BlockingManager]) -> None:
    """A caller may be called whatever it takes: bytes that are not UTF-8, or words of Asterisk's own."""

    def answer(asked: bytes) -> bytes:
        events = [b"Channel status will follow", b"Caf\xe9", b"Response: Follows", b"--END COMMAND--"]
        head = b"Event: A\r\nPrivilege: call,all\r\nName: "
        return b"".join(head + name + b"\r\n\r\n" for name in events) + success(asked)

    seen = SimpleQueue[str]()
    manager = says(answer)
    manager.register_event("A", lambda event, manager: seen.put(event["Name"]))
    manager.ping()
    names = [seen.get(timeout=SECONDS) for _ in range(4)]
    assert names == ["Channel status will follow", "Caf\ufffd", "Response: Follows", "--END COMMAND--"]


@pytest.mark.parametrize("value", ["a\r\nAction: Reload", "a\nb", "a\0b"])
def test_manager_newline(manager: BlockingManager, fake: FakeManager, value: str) -> None:
    """A line break in a value is neither a new header nor a new action: nothing is sent."""
    with pytest.raises(LocalProtocolError, match="line break"):
        manager.send_action(Action="Setvar", Channel=PHONE, Variable="A", Value=value)
    assert fake.asked("Setvar") == []


def test_a_list_is_a_header_for_each_value(manager: BlockingManager, fake: FakeManager) -> None:
    """As pyst2 documents them: one header for each."""
    manager.send_action({"Action": "Ping", "Variable": ["a=1", "b=2"]})
    assert fake.asked("Ping")[-1]["Variable"] in ("a=1", "b=2")


def test_manager_secret(manager: BlockingManager, fake: FakeManager) -> None:
    """The secret does not go over the wire."""
    assert SECRET not in str(fake.asked("Login"))
    assert fake.asked("Login")[-1]["AuthType"] == "MD5"


def test_manager_collected(fake: FakeManager) -> None:
    """One without a reference ends its connection and its threads, and waits for nothing."""
    with fake.over_tcp() as (host, port):
        manager = BlockingManager()
        manager.connect(host, port)
        line = manager._line
        assert line is not None
        threads = [line.reader, manager._dispatcher]
        del manager
        gc.collect()
        for thread in threads:
            assert thread is not None
            thread.join(SECONDS)
            assert not thread.is_alive()


def test_manager_slow_callback(says: Callable[..., BlockingManager], monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded, what is lost is said, and actions are answered all the same."""
    monkeypatch.setattr(blocking, "MAX_EVENTS", 5)
    go_on, seen = threading.Event(), SimpleQueue[str]()

    def answer(asked: bytes) -> bytes:
        return b"Event: A\r\nPrivilege: call,all\r\n\r\n" * 20 + success(asked)

    def slow(event: object, manager: object) -> None:
        go_on.wait(SECONDS)
        seen.put("told")

    with capture_logs() as logs:
        manager = says(answer)
        manager.register_event("A", slow)
        assert manager.ping()["Response"] == "Success"
    assert [(one["event"], one["waiting"]) for one in logs] == [("ami_events_dropped", 5)]
    go_on.set()
    assert wait_until(lambda: seen.qsize() >= 5, SECONDS, "the events that were kept")


def test_manager_too_long(says: Callable[..., BlockingManager]) -> None:
    """A message without end is refused, with its reason."""
    limits = AMILimits(max_message_bytes=1_000)
    manager = says(lambda asked: b"Event: A\r\nPrivilege: call,all\r\nName: " + b"x" * 2_000, limits)
    with pytest.raises(Disconnected, match="a message is too long"):
        manager.ping()


def test_the_page_names_what_is_tested() -> None:
    """Each line of the page's second table has a test of its name here, and the other way round."""
    _, _, part = PAGE.read_text().partition("## The manager interface")
    named = {line.split("`")[1] for line in part.splitlines() if line.startswith("| `")}
    tested = {name.removeprefix("test_manager_").replace("_", "-") for name in globals() if "test_manager_" in name}
    assert named == tested
