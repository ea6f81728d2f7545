"""The commands that ask a running server, as they are typed, against a real socket."""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agi_monitor.commands.main import main
from agi_monitor.config.sample import SAMPLE
from agi_monitor.control import client
from agi_monitor.errors import ControlFailed
from agi_monitor.shown import CallShown
from tests.doubles.desk import PIN_HASH
from tests.shell.live_house import CALL, GRANTED, ROGUE, STATUS
from tests.shell.live_server import WAIT_SECONDS, LiveServer

# Root may open everything, so it becomes another user. The program is imported before: they may not be able to read
# it. Everybody else has closed it to themselves.
AS_NOBODY = """
import os
import pwd

import agi_monitor.commands.watching
from agi_monitor.commands.main import main

if os.getuid() == 0:
    os.setgroups([])
    os.setuid(pwd.getpwnam("nobody").pw_uid)
main()
"""
ASKING = [["status"], ["calls"], ["spies"], ["spy", "kill", "x"], ["events"]]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that stays as it is."""
    with LiveServer(tmp_path_factory.mktemp("house") / "control.sock") as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    """A server of this test's own."""
    with LiveServer(tmp_path / "control.sock") as server:
        yield server


def run(path: Path, *arguments: str) -> Result:
    """Run one command in this process, on this socket."""
    return CliRunner().invoke(main, [*arguments, "--socket", str(path)], catch_exceptions=False)


def rows(result: Result) -> list[list[str]]:
    """The words of each line that was printed."""
    return [line.split() for line in result.stdout.splitlines()]


@pytest.mark.parametrize("command", [*ASKING, ["spy"]], ids=" ".join)
def test_every_command_has_help(command: list[str]) -> None:
    """And explains itself in a sentence."""
    result = CliRunner().invoke(main, [*(word for word in command if word != "x"), "--help"])
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()[2]) > 20


def test_asking_chooses_no_reactor(house: LiveServer) -> None:
    """Twisted's reactor is for the server."""
    program = (
        "import sys\nfrom agi_monitor.commands.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\nprint('twisted.internet.reactor' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "calls", "--socket", str(house.path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith("\nFalse\n")


# -- what is shown ----------------------------------------------------------------------------------------------


def test_calls(house: LiveServer) -> None:
    """A table with a line for each."""
    result = run(house.path, "calls")
    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(result) == [
        ["agents", "other", "party", "state", "duration", "queue", "spies"],
        ["1001", "3001", "talking", "1:15", "sales", "a1b2.1"],
    ]


def test_spies(house: LiveServer) -> None:
    """A phone without a supervisor is called by what is known of them."""
    result = run(house.path, "spies")
    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(result)[1:] == [
        ["a1b2.1", "granted", "anna", "listen", "1001", "leads", "1:01:40"],
        ["1700000000.30", "rogue", "Local/x@y-00000001;2", "PJSIP/1001-00000002", "0:05"],
    ]


def test_a_rogue_spy_is_red(house: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; the others are not."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    _, granted, rogue = run(house.path, "spies").stdout.splitlines()
    assert ("31m" in rogue, "31m" in granted) == (True, False)


@pytest.mark.parametrize(
    ("command", "expected"),
    [("calls", {"calls": [CALL.row()]}), ("spies", {"spies": [GRANTED.row(), ROGUE.row()]})],
    ids=["calls", "spies"],
)
def test_for_machines(house: LiveServer, command: str, expected: object) -> None:
    """One JSON object with everything that the server said."""
    result = run(house.path, command, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, expected)


def test_nothing_to_show(server: LiveServer) -> None:
    """Is said where no program reads it; for machines it is an empty list."""
    server.order("set", calls=[], spies=[])
    for command in ("calls", "spies"):
        result = run(server.path, command)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"no {command}\n")
        assert json.loads(run(server.path, command, "--json").stdout) == {command: []}


def test_many_pbxs_and_hours(server: LiveServer) -> None:
    """Where there is more than one PBX, each line says which; what is not known is empty."""
    nothing = CallShown("south", "1.1", (), (), "", "", 0, (), ())
    server.order("set", calls=[replace(CALL, node="north", seconds=36_000).row(), nothing.row()])
    assert rows(run(server.path, "calls")) == [
        ["pbx", "agents", "other", "party", "state", "duration", "queue", "spies"],
        ["north", "1001", "3001", "talking", "10:00:00", "sales", "a1b2.1"],
        ["south", "0:00"],
    ]


def test_nobody_writes_on_the_terminal(server: LiveServer) -> None:
    """A caller chooses their number: what a terminal or rich would obey is shown, not done."""
    number = "\x1b]0;owned\x07[red]\x9b2J\r\n7"
    server.order("set", calls=[replace(CALL, numbers=(number,)).row()], status=replace(STATUS, version=number).row())
    for result in (run(server.path, "calls"), run(server.path, "status")):
        assert r"\x1b]0;owned\x07[red]\x9b2J\x0d\x0a7" in result.stdout
        assert not any(letter in result.stdout for letter in "\x1b\x07\x9b\r")


def test_a_long_name_is_whole_in_a_pipe(server: LiveServer) -> None:
    """No column is cut at 80 characters."""
    server.order("set", spies=[replace(ROGUE, spyer="Local/" + "x" * 90).row()])
    assert rows(run(server.path, "spies"))[1][2:4] == ["Local/" + "x" * 90, "PJSIP/1001-00000002"]


# -- status -----------------------------------------------------------------------------------------------------


def test_status(house: LiveServer) -> None:
    """One thing a line, and all is well."""
    result = run(house.path, "status")
    assert result.exit_code == 0
    assert rows(result) == [
        ["version", "0.1.0"],
        ["node", "pbx"],
        ["ami", "up"],
        ["stale"],
        ["calls", "1"],
        ["spies", "2"],
    ]


@pytest.mark.parametrize(
    ("ami", "stale", "code"),
    [("up", None, 0), ("off", None, 0), ("off", "never_listed", 0), ("up", "lost", 1), ("down", "lost", 1)],
)
def test_status_is_a_health_check(server: LiveServer, ami: str, stale: str | None, code: int) -> None:
    """Exit code 1 when there ought to be a picture of the PBX that can be trusted, and there is not."""
    server.order("set", status=replace(STATUS, ami=ami, stale=stale, spies=1, differences=3).row())
    result = run(server.path, "status")
    assert (result.exit_code, rows(result)[-2:]) == (code, [["spies", "1"], ["differences", "3"]])
    result = run(server.path, "status", "--json")
    assert (result.exit_code, json.loads(result.stdout)["stale"]) == (code, stale)


# -- spy kill ---------------------------------------------------------------------------------------------------


def test_spy_kill(server: LiveServer) -> None:
    """Says what it ended; the server learns who wanted it."""
    result = run(server.path, "spy", "kill", "a1b2.1")
    assert (result.exit_code, result.stdout) == (0, "ended: a1b2.1: anna on 1001, listen\n")
    assert server.says_until("killed") == {
        "killed": "a1b2.1",
        "by": pwd.getpwuid(os.geteuid()).pw_name,
        "ended": True,
    }
    result = run(server.path, "spy", "kill", "1700000000.30", "--json")
    assert json.loads(result.stdout) == {"ended": ROGUE.row()}


def test_spy_kill_of_nobody(house: LiveServer) -> None:
    """Is a failure."""
    result = run(house.path, "spy", "kill", "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "none: there is no such spy. See: agi-monitor spies\n"


def test_spy_kill_needs_an_id(house: LiveServer) -> None:
    """The command was called wrongly."""
    assert run(house.path, "spy", "kill").exit_code == 2


# -- events -----------------------------------------------------------------------------------------------------


@contextmanager
def events(server: LiveServer, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``agi-monitor events`` as a process of its own, as soon as it is told everything."""
    command = [sys.executable, "-m", "agi_monitor", "events", "--socket", str(server.path), *options]
    environment = {**os.environ, "TZ": "UTC"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            server.says_until("listeners")
            yield process
        finally:
            process.kill()


def test_events_until_the_interrupt(server: LiveServer) -> None:
    """One JSON object a line, at once, also into a pipe; Ctrl-C is the way to end it, and no failure."""
    records = [{"fact": "rogue_spy", "at": "2026-01-02T03:04:05.678+00:00", "number": number} for number in range(3)]
    with events(server, "--json") as process:
        assert process.stdout is not None
        for record in records:
            server.order("tell", **record)
            assert json.loads(process.stdout.readline()) == record
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=WAIT_SECONDS) == ("", "")
    assert process.returncode == 0


def test_events_for_people(server: LiveServer) -> None:
    """When, what, and everything that it says; what is empty is left out."""
    with events(server) as process:
        assert process.stdout is not None
        server.order(
            "tell", fact="refused", at="2026-01-02T03:04:05.678+00:00", reason="no_call", mode=None, detail="a\x1bb"
        )
        assert process.stdout.readline() == "03:04:05 refused reason=no_call detail=a\\x1bb\n"


def test_events_of_a_server_that_stops(server: LiveServer) -> None:
    """End with a sentence and exit code 1: a person who watches must not think that nothing happens."""
    with events(server, "--json") as process:
        server.stop()
        assert process.communicate(timeout=WAIT_SECONDS) == ("", "the server is stopping\n")
    assert process.returncode == 1


def test_events_of_a_server_that_is_killed(server: LiveServer) -> None:
    """The same, in other words."""
    with events(server, "--json") as process:
        server.process.kill()
        _, said = process.communicate(timeout=WAIT_SECONDS)
    assert (process.returncode, said) == (
        1,
        f"{server.path}: the server has closed the connection; its log says why\n",
    )


# -- no server --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_no_server(tmp_path: Path, command: list[str]) -> None:
    """Where it was looked for, and how to get one."""
    path = tmp_path / "control.sock"
    result = run(path, *command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"{path}: there is no such socket, so no server runs with it. Start one with: agi-monitor serve\n"
    )


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_socket_that_was_left_behind(tmp_path: Path, command: list[str]) -> None:
    """What it is, and that it need not be removed."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    result = run(path, *command)
    assert result.exit_code == 1
    assert result.stderr == (
        f"{path}: no server listens there; this file was left by a server that is gone. "
        "Start one with: agi-monitor serve. It replaces the file\n"
    )


def test_what_is_no_socket(tmp_path: Path) -> None:
    """A mistake in ``--socket``."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text("")
    result = run(path, "calls")
    assert (result.exit_code, "is not a socket" in result.stderr) == (1, True)


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    """Says what to set."""
    result = run(tmp_path / ("x" * 107), "calls")
    assert (result.exit_code, "longer than the 107 bytes of a socket" in result.stderr) == (1, True)


@pytest.mark.parametrize("closed", ["socket", "folder"])
def test_no_permission(closed: str) -> None:
    """Whose it is, and how to get in."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = Path(folder) / "control.sock"
        server.bind(str(path))
        server.listen()
        path.chmod(0o000)
        Path(folder).chmod(0o711 if closed == "socket" else 0o000)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, "calls", "--socket", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        Path(folder).chmod(0o700)
    user = pwd.getpwuid(os.geteuid()).pw_name
    place = path if closed == "socket" else path.parent
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{path}: Permission denied. {place} is for the user {user} and the group ")
    assert done.stderr.endswith(": become a member of the group, or use sudo\n")


def test_no_picture(server: LiveServer) -> None:
    """The server's own words, and exit code 1, also for machines."""
    server.order("break no connection to the PBX")
    for command in (["calls"], ["spies", "--json"], ["spy", "kill", "x"]):
        result = run(server.path, *command)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", "no connection to the PBX\n")


# -- where the socket is ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["state", "control"])
def test_the_configuration_says_where_it_is(house: LiveServer, tmp_path: Path, where: str) -> None:
    """In the folder of the state, or where ``control.socket`` says."""
    text = SAMPLE.replace("REPLACE-ME", PIN_HASH)
    if where == "state":
        text = text.replace("/var/lib/agi-monitor", str(house.path.parent))
    else:
        text += f"control: {{socket: {house.path}}}\n"
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(text)
    result = CliRunner().invoke(main, ["calls", "--config", str(config), "--json"])
    assert json.loads(result.stdout) == {"calls": [CALL.row()]}


def written(house: LiveServer, tmp_path: Path, more: str) -> Path:
    """A configuration with the state beside the socket, and more."""
    config = tmp_path / "agi-monitor.yaml"
    text = SAMPLE.replace("REPLACE-ME", PIN_HASH).replace("/var/lib/agi-monitor", str(house.path.parent))
    config.write_text(f"{text}\n{more}\n")
    return config


def test_a_mistake_in_another_section_keeps_nobody_from_asking(house: LiveServer, tmp_path: Path) -> None:
    """The server that runs was started without it, and has refused it since."""
    config = written(house, tmp_path, "stop: {spies: never}")
    result = CliRunner().invoke(main, ["calls", "--config", str(config), "--json"])
    assert json.loads(result.stdout) == {"calls": [CALL.row()]}


@pytest.mark.parametrize("more", ["control: {scoket: /run/a.sock}", "contrl: {socket: /run/a.sock}", "control: 5"])
@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_mistake_about_the_socket_is_told(house: LiveServer, tmp_path: Path, command: list[str], more: str) -> None:
    """No command asks at another place instead, although a server is there."""
    config = written(house, tmp_path, more)
    result = CliRunner().invoke(main, [*command, "--config", str(config)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{config}:") and more.partition(":")[0] in result.stderr


@pytest.mark.parametrize("command", ASKING, ids=" ".join)
def test_a_mistake_is_told_where_no_server_is(tmp_path: Path, command: list[str]) -> None:
    """It may be why none runs."""
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(f"state: {{directory: {tmp_path}}}\nstop: {{spies: never}}\n")
    result = CliRunner().invoke(main, [*command, "--config", str(config)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{config}:2: stop.spies: " in result.stderr
    assert "control.sock" not in result.stderr


def test_the_environment_says_where_it_is(house: LiveServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """``AGI_MONITOR_SOCKET`` needs no configuration, which not everybody may read."""
    monkeypatch.setenv("AGI_MONITOR_SOCKET", str(house.path))
    result = CliRunner().invoke(main, ["calls", "--config", "/nowhere", "--json"])
    assert json.loads(result.stdout) == {"calls": [CALL.row()]}


# -- a server that misbehaves -----------------------------------------------------------------------------------


@contextmanager
def saying(path: Path, data: bytes) -> Iterator[None]:
    """A peer listens, says this to the first client whatever it wants, and closes."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"[]\n", b"{}\n", b'{"ok": 1}\n', b"\xff\n", b"[" * 100_000 + b"\n"],
    ids=["http", "list", "empty", "ok", "bytes", "nested"],
)
def test_somebody_else_answers(tmp_path: Path, data: bytes) -> None:
    """Is no traceback."""
    path = tmp_path / "other.sock"
    with saying(path, data):
        result = run(path, "calls")
    assert (result.exit_code, "not one of agi-monitor" in result.stderr) == (1, True)


WRONG: tuple[dict[str, object], ...] = (
    {},
    {"status": [1], "calls": {}, "spies": 5, "ended": "x", "event": 3},
    {"status": {"node": []}, "calls": [1], "spies": [None], "ended": {"node": 1}, "event": {"node": {}}},
    {"calls": [{"node": ["a"]}, {"node": "b"}], "spies": [{"node": {}}], "event": []},
    {"calls": [{"channels": [{"name": []}]}], "spies": [{"seconds": float("inf")}]},
    {"calls": [{"seconds": float("nan")}], "spies": [{"id": [[[[[[[[[]]]]]]]]]}], "status": {"calls": float("inf")}},
)


@pytest.mark.parametrize("command", ASKING, ids=lambda command: " ".join(command))
@pytest.mark.parametrize("number", range(len(WRONG)))
def test_an_answer_of_another_shape(tmp_path: Path, command: list[str], number: int) -> None:
    """Is told as that, for people and for programs alike, and is not a traceback."""
    path = tmp_path / "other.sock"
    said = json.dumps({"ok": True, **WRONG[number]}).encode() + b"\n"
    with saying(path, said * 2 if command == ["events"] else said):
        result = run(path, *command)
    assert (result.exit_code, "not one of agi-monitor" in result.stderr) == (1, True)


@pytest.mark.parametrize("reloaded", [None, 5, {}, {"supervisors": "1", "agents": 1, "restart": []}, "restart"])
def test_an_answer_of_another_shape_to_a_reload(tmp_path: Path, reloaded: object) -> None:
    """This one as well."""
    path = tmp_path / "other.sock"
    if reloaded == "restart":
        reloaded = {"supervisors": 1, "agents": 1, "restart": [5]}
    with (
        saying(path, json.dumps({"ok": True, "reloaded": reloaded}).encode() + b"\n"),
        pytest.raises(ControlFailed, match="not one of agi-monitor"),
    ):
        client.reload(path)


@pytest.mark.parametrize(
    ("command", "what", "row", "missing"),
    [
        (["status"], "status", STATUS.row(), "stale"),
        (["calls"], "calls", CALL.row(), "queue"),
        (["spies"], "spies", GRANTED.row(), "since"),
        (["spy", "kill", "a1b2.1"], "ended", GRANTED.row(), "rule"),
    ],
)
def test_a_server_of_another_version(
    tmp_path: Path, command: list[str], what: str, row: dict[str, object], missing: str
) -> None:
    """What it says besides is passed over; what it does not say is told, with what to do."""
    path = tmp_path / "other.sock"

    def answer(row: dict[str, object]) -> Result:
        said = {"ok": True, "new": 1, what: [row] if what in ("calls", "spies") else row}
        with saying(path, json.dumps(said).encode() + b"\n"):
            result = run(path, *command, "--json")
        path.unlink()
        return result

    (known,) = json.loads(answer({**row, "new": {"key": [1]}}).stdout).values() if what != "status" else ({},)
    assert known in ({}, row, [row])
    result = answer({name: value for name, value in row.items() if name != missing})
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(
        rf"{path}: the answer is not one of agi-monitor in this version: [a-z ]+ has no '{missing}'\."
        " Restart the server, so that it and this command are of the same one\n",
        result.stderr,
    )


def test_a_server_that_closes(tmp_path: Path) -> None:
    """Before it has answered."""
    path = tmp_path / "other.sock"
    with saying(path, b""):
        result = run(path, "calls")
    assert result.stderr == f"{path}: the server has closed the connection; its log says why\n"


@pytest.mark.parametrize("queued", [0, 3])
def test_a_server_that_hangs(tmp_path: Path, queued: int) -> None:
    """Costs no more than the time limit, whether it has taken the connection or not."""
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(0)
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(queued)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(str(path))
        with pytest.raises(ControlFailed, match="the server does not answer"):
            client.calls(path, 0.1)
        for one in waiting:
            one.close()


def test_a_server_that_sends_a_byte_now_and_then(tmp_path: Path) -> None:
    """Costs no more than the time limit either."""
    path = tmp_path / "other.sock"
    enough = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            while not enough.wait(0.05):
                connection.send(b" ")

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=drip, args=[server])
        thread.start()
        stop = threading.Timer(10, enough.set)
        stop.start()
        try:
            with pytest.raises(ControlFailed, match="the server does not answer"):
                client.calls(path, 0.5)
        finally:
            stop.cancel()
            enough.set()
            thread.join()


def test_lines_in_any_pieces(tmp_path: Path) -> None:
    """Two events may come at once, and one in parts."""
    path = tmp_path / "other.sock"
    said = b"".join(json.dumps({"ok": True, "event": {"n": number}}).encode() + b"\n" for number in range(4))
    with saying(path, said):
        found = client.follow(path)
        assert [next(found)["n"] for _ in range(3)] == [1, 2, 3]
        with pytest.raises(ControlFailed, match="closed the connection"):
            next(found)
