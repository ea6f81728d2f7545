"""The units of contrib/systemd, and the server as systemd runs it: with a socket that is passed, and messages."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from agi_monitor.config.sections import Config
from contrib.lab.engine import ensure_programs
from contrib.lab.images import CACHE
from contrib.lab.progress import Progress
from tests.doubles.server_process import STARTED, Dial, Start

UNITS = Path(__file__).resolve().parents[2] / "contrib" / "systemd"
DOCUMENT = UNITS.parents[1] / "docs" / "howto" / "run-it.md"
PROGRAM = "/opt/agi-monitor/bin/agi-monitor"
WAIT_SECONDS = 30.0

WITH_SOCKET = """\
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="fastagi")
os.execv(sys.executable, [sys.executable, "-m", "agi_monitor", *sys.argv[2:]])
"""
"""Passes a socket to the server, as systemd does it."""


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """systemd's tools; systemd itself need not run."""
    ensure_programs({"systemd-analyze": "systemd", "systemd-socket-activate": "systemd"}, CACHE, Progress())


def unit(name: str) -> configparser.ConfigParser:
    """A unit's file; of a setting that is there several times, the last."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keeps capital letters
    parser.read(UNITS / name)
    return parser


# ---- the files -----------------------------------------------------------------------------------------


def verified(folder: Path) -> subprocess.CompletedProcess[str]:
    """Let systemd read all units of a folder."""
    command = ["systemd-analyze", "verify", *map(str, sorted(folder.iterdir()))]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program that is there on this machine: `verify` looks for it."""
    folder = tmp_path / "units"
    folder.mkdir()
    for path in UNITS.glob("agi-monitor*"):
        (folder / path.name).write_text(path.read_text().replace(PROGRAM, sys.executable))
    return folder


def test_systemd_accepts_the_units(units: Path) -> None:
    """There is no word in them that systemd does not know, and each program is named in full."""
    done = verified(units)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_unit_is_found(units: Path) -> None:
    """A planted mistake: the check above can fail."""
    with (units / "agi-monitor.service").open("a") as file:
        file.write("\n[Service]\nProtectSistem=strict\n")
    assert "ProtectSistem" in verified(units).stderr


def exposure(name: str) -> float:
    """What `systemd-analyze security` says of a unit: 0 is nothing exposed, 10 everything."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNITS / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    (found,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    return float(found)


@pytest.mark.parametrize(("name", "most"), [("agi-monitor.service", 1.5), ("agi-monitor-verify.service", 1.5)])
def test_the_units_expose_little(name: str, most: float) -> None:
    """The exposure is what the document says, give or take what versions of systemd differ in."""
    assert exposure(name) <= most
    (documented,) = re.findall(rf"`{re.escape(name)}`: (\d\.\d)", DOCUMENT.read_text())
    # Two tenths, and not what the last bit of a binary fraction makes of them.
    assert round(abs(float(documented) - exposure(name)), 1) <= 0.2


def test_the_socket_is_where_the_configuration_says_by_default() -> None:
    """Without a change of either file, the server takes the socket."""
    fastagi = Config.model_validate({}).fastagi
    assert unit("agi-monitor.socket")["Socket"]["ListenStream"] == f"{fastagi.listen}:{fastagi.port}"


def test_the_folders_are_those_of_the_configuration() -> None:
    """The two folders that the unit makes and lets be written to are the defaults of audit and state."""
    config, service = Config.model_validate({}), unit("agi-monitor.service")["Service"]
    assert config.audit.file is not None
    assert Path("/var/lib", service["StateDirectory"]) == config.state.directory
    assert Path("/var/log", service["LogsDirectory"]) == config.audit.file.parent


def test_the_unit_gives_enough_sockets_and_time() -> None:
    """All sessions that the limits allow fit, and so does the longest stop that the defaults allow."""
    config, service = Config.model_validate({}), unit("agi-monitor.service")["Service"]
    assert int(service["LimitNOFILE"]) >= 2 * config.limits.max_sessions
    assert int(service["TimeoutStopSec"]) >= config.stop.seconds + config.limits.cleanup_seconds + 15


# ---- the process ---------------------------------------------------------------------------------------


class Manager:
    """systemd's end of the messages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(WAIT_SECONDS)

    def hears(self) -> str:
        """The next message; its first line."""
        return self._socket.recv(4096).decode().partition("\n")[0]

    def close(self) -> None:
        """No server listens."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """systemd, as far as the server speaks with it."""
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


@pytest.fixture
def activated(start: Start, port: int, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Begin a server with systemd's own tool: it listens, and starts the server at the first connection."""
    # What the tool itself says would stand between the server's lines.
    monkeypatch.setenv("SYSTEMD_LOG_LEVEL", "err")
    tool = shutil.which("systemd-socket-activate") or ""
    command = [tool, "--fdname=fastagi", f"--listen=127.0.0.1:{port}", f"--setenv=NOTIFY_SOCKET={manager.path}"]
    return lambda: start(command=[*command, sys.executable, "-m", "agi_monitor"])


def dialled(dial: Dial, server: Any) -> Any:
    """A call, as soon as the server listens."""
    while True:
        try:
            return dial(server)
        except ConnectionRefusedError:
            assert server.process.poll() is None


def test_serves_on_the_socket_that_it_is_given(activated: Callable[[], Any], dial: Dial, manager: Manager) -> None:
    """The call that woke the server gets as far as ChanSpy, and systemd hears of start, reload and stop in order."""
    server = activated()
    call = dialled(dial, server)
    assert call.answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'
    assert manager.hears() == "READY=1"
    server.hang_up()
    assert [manager.hears(), manager.hears()] == ["RELOADING=1", "READY=1"]
    command = [sys.executable, "-m", "agi_monitor", "reload", "--config", str(server.config)]
    subprocess.run(command, check=True, timeout=60)
    assert [manager.hears(), manager.hears()] == ["RELOADING=1", "READY=1"]
    code, _ = server.stop()
    assert (code, manager.hears()) == (0, "STOPPING=1")


@pytest.fixture
def listener(port: int) -> Iterator[socket.socket]:
    """A socket that outlives servers."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        yield listening


def given(listener: socket.socket) -> Mapping[str, Any]:
    """How a server is begun that is passed a socket."""
    return {
        "command": [sys.executable, "-c", WITH_SOCKET, str(listener.fileno())],
        "pass_fds": [listener.fileno()],
    }


def test_a_call_during_a_restart_waits(start: Start, dial: Dial, listener: socket.socket) -> None:
    """A call that comes while no server runs is served by the next one."""
    first = start(**given(listener))
    first.logs("serving")
    assert first.stop()[0] == 0
    call = dial(first)
    second = start(**given(listener))
    assert call.answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'
    assert second.logs("spy_started")["mode"] == "listen"


def test_a_socket_elsewhere_ends_the_start(start: Start, text: str, port: int, listener: socket.socket) -> None:
    """The server does not serve at an address that its configuration does not name; the log has both."""
    server = start(text.replace(f"port: {port}", "port: 4573"), **given(listener))
    assert f"127.0.0.1:{port}, and fastagi says 127.0.0.1:4573" in server.logs("start_failed")["error"]
    assert server.ends()[0] == 1


def test_gives_signs_of_life(start: Start, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a watchdog the server says again and again that it lives."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(manager.path))
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    start(command=STARTED)
    messages = [manager.hears() for _ in range(4)]
    assert set(messages) == {"READY=1", "WATCHDOG=1"}
    assert messages.count("WATCHDOG=1") >= 3


def test_says_nothing_of_a_start_that_failed(start: Start, manager: Manager, text: str) -> None:
    """A server that cannot serve does not tell systemd READY: the audit's folder is not there."""
    environment = json.dumps(str(manager.path))
    code = (
        f"import os; os.environ['NOTIFY_SOCKET'] = {environment}; from agi_monitor.commands.main import main; main()"
    )
    server = start(text.replace("/log/audit", "/gone/audit"), command=[sys.executable, "-c", code])
    server.logs("start_failed")
    assert server.ends()[0] == 1
    assert manager.hears() == "STOPPING=1"


def test_the_program_is_where_the_documents_install_it() -> None:
    """Every unit runs the program of the howto, as its user."""
    for path in UNITS.glob("*.service"):
        assert unit(path.name)["Service"]["ExecStart"].startswith(f"{PROGRAM} ")
        assert unit(path.name)["Service"]["User"] == "agi-monitor"


BROKEN_STOP = """\
from agi_monitor.server import service
async def stop(self):
    raise OSError("planted")
service.Server.stop = stop
from agi_monitor.commands.main import main
main()
"""


def test_a_stop_that_breaks_down_ends_the_process_all_the_same(start: Start) -> None:
    """Threads that were never ended are not waited for: the log has the fault, and the exit code says so."""
    server = start(command=[sys.executable, "-c", BROKEN_STOP])
    server.logs("serving")
    server.process.terminate()
    assert server.logs("stop_failed")["error"] == "planted"
    assert server.ends()[0] == 1
