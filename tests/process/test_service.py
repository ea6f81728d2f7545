"""The server as a process of its own: it starts, takes calls, reloads and stops."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

from agi_monitor import __version__
from agi_monitor.commands.main import main
from agi_monitor.commands.whoami import whoami
from agi_monitor.storage.audit import table_reading as reading
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.lock_out_table import LockOutTable
from tests.doubles.desk import PIN, PIN_HASH
from tests.doubles.server_process import STARTED, WAIT_SECONDS, Call, Dial, Server, Start
from tests.installed import install


@pytest.fixture
def server(start: Start) -> Server:
    """A server that serves."""
    server = start()
    server.logs("serving")
    return server


@pytest.fixture
def call(server: Server, dial: Dial) -> Call:
    """A supervisor's call."""
    return dial(server)


def test_starts_serves_and_stops(start: Start, dial: Dial) -> None:
    """A call gets as far as ChanSpy; the audit has the server's life and the call's, in order."""
    server = start(command=STARTED)
    server.logs("serving")
    call = dial(server)
    assert call.answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'
    assert [fact["fact"] for fact in server.facts] == ["server_started", "spy_started"]
    call.say("HANGUP", "200 result=-1")
    assert call.hear() == 'SET VARIABLE "AGI_MONITOR_GRANT" ""'
    call.close()
    server.logs("agi_session_ended")

    code, rest = server.stop()
    assert code == 0
    assert '"event": "stopped"' in rest
    assert [fact["fact"] for fact in server.facts] == ["server_started", "spy_started", "spy_ended", "server_stopped"]
    assert server.facts[0]["version"] == __version__


@pytest.mark.parametrize("file", ["", "FOLDER/log/audit.jsonl"])
def test_keeps_the_audit_in_the_database(start: Callable[..., Server], dial: Dial, text: str, file: str) -> None:
    """Besides the file, or instead of it; a server that was killed during a spy continues with the same chain."""
    audit = text.index("audit:")
    line = f"audit: {{file: {file}, store: true}}\n".replace("FOLDER", text.split("file: ")[1].split("/log/")[0])
    text = text[:audit] + line + text[text.index("\n", audit) + 1 :]
    server = start(text)
    server.logs("serving")
    dial(server).answer_until("EXEC")
    server.process.kill()
    server.process.wait(WAIT_SECONDS)
    again = start(text)
    again.logs("serving")
    assert again.stop()[0] == 0
    database = Database(file_url(server.folder / "state"))
    (node,) = reading.nodes(database)
    stored_facts = [row.fact for row in reading.stored(database, node) if row.fact != "checkpoint"]
    assert stored_facts == ["server_started", "spy_started", "server_started", "server_stopped"]
    database.close()
    if file:
        assert [fact["fact"] for fact in server.facts] == stored_facts
    else:
        assert list((server.folder / "log").iterdir()) == []
    verified = CliRunner().invoke(main, ["audit", "verify", "--store", "-c", str(server.config)])
    assert (verified.exit_code, verified.stdout.splitlines()[-1]) == (0, "nothing was changed")


def test_who_hangs_up_before_the_answer_is_on_record(server: Server, dial: Dial) -> None:
    """Every request has an answer on record, or this; once there is one, it is enough."""
    for ending in (["HANGUP", "200 result=-1"], []):
        call = dial(server)
        call.answer_until("GET DATA")
        if ending:
            call.say(*ending)
        call.close()
        server.logs("agi_session_ended")
    refused = dial(server, extension="*2221009")
    refused.answer_until("STREAM FILE")
    refused.close()
    server.logs("agi_session_ended")
    assert server.stop()[0] == 0
    found = [(fact["fact"], fact.get("why"), fact.get("extension")) for fact in server.facts[1:-1]]
    assert found == [
        ("request_abandoned", "supervisor_hung_up", "1001"),
        ("request_abandoned", "connection_lost", "1001"),
        ("refused", None, None),
    ]


def test_refuses_who_keys_in_nothing_right(server: Server, dial: Dial) -> None:
    """A stranger's phone is asked, refused and hung up."""
    call = dial(server, channel="PJSIP/6666-00000001")
    assert call.hear() == "ANSWER"
    call.say("200 result=0")
    for _ in range(3):
        assert call.hear_next().startswith("GET DATA ")
        call.key_in("0000")
    assert call.hear_next() == 'STREAM FILE "vm-invalidpassword" "0123456789*#" "0"'
    assert server.logs("refused")["reason"] == "endpoint_unknown"
    database = Database(file_url(server.folder / "state"))
    counted = LockOutTable(database).change(["endpoint:PJSIP/6666", "peer:127.0.0.1"], lambda before: before)
    database.close()
    assert {who: one.failures for who, one in counted.items()} == {"endpoint:PJSIP/6666": 3, "peer:127.0.0.1": 3}


# ---- reload ------------------------------------------------------------------------------------------------


def test_reloads_a_right_file(server: Server, text: str, dial: Dial) -> None:
    """The next call is decided by the new file, and the audit says which one that is."""
    server.write(text.replace("  1001: {endpoints: [PJSIP/1001]}", "  1002: {endpoints: [PJSIP/1001]}"))
    server.hang_up()
    assert server.logs("reloaded")["agents"] == 1
    *_, reloaded, gone, come = server.facts
    assert reloaded["fact"] == "config_reloaded"
    assert [(one["fact"], one["entry"], one["by"]) for one in (gone, come)] == [
        ("people_changed", "1001", "file"),
        ("people_changed", "1002", "file"),
    ]
    assert (gone["after"], come["before"], come["after"]) == (None, None, {"endpoints": ["PJSIP/1001"]})
    assert dial(server, extension="*2221002").answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'


def test_a_wrong_file_changes_nothing(server: Server, text: str, dial: Dial) -> None:
    """The problems are in the log, and calls continue as before."""
    server.write(text.replace("allow: [listen]", "allow: [lisen]"))
    server.hang_up()
    (problem,) = server.logs("reload_refused")["problems"]
    assert problem.startswith(f"{server.config}:7: rules[0].allow[0]: must be")
    assert dial(server).answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'


def test_says_what_a_reload_cannot_change(server: Server, text: str) -> None:
    """The sections that need a restart are named, and keep what they had."""
    server.write(text.replace("{format: json}", "{format: json, level: debug}").replace("seconds: 5", "seconds: 6"))
    server.hang_up()
    assert server.logs("reload_needs_restart")["sections"] == ["log"]
    server.logs("reloaded")


def reload(server: Server) -> tuple[int, str]:
    """Run the command, and return how it ended and what it said."""
    command = [sys.executable, "-m", "agi_monitor", "reload", "--config", str(server.config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_command_says_what_came_of_a_reload(server: Server, text: str) -> None:
    """The server itself answers, with what waits for a restart."""
    server.write(text.replace("{format: json}", "{format: json, level: debug}"))
    assert reload(server) == (0, "reloaded: 1 supervisors, 1 agents\nneeds a restart of the server: log\n")
    assert server.logs("control_reload")["uid"] == os.getuid()
    server.logs("reloaded")


def test_a_server_without_its_socket_is_told_by_a_signal(server: Server, tmp_path: Path) -> None:
    """It is the process with the lock; what was written into the file does not count."""
    (tmp_path / "state" / "control.sock").unlink()
    (tmp_path / "state" / "agi-monitor.pid").write_text("-1\n")
    code, said = reload(server)
    assert (code, said.endswith(": told to reload; its log has the result\n")) == (0, True), said
    server.logs("reloaded")


# ---- stop --------------------------------------------------------------------------------------------------


def test_a_storm_of_reloads_ends_with_the_file(server: Server, text: str) -> None:
    """Whatever was written in between: at the end holds what the file says, and each change is on record once."""
    agent = "  1001: {endpoints: [PJSIP/1001]}\n"
    for number in range(40):
        new = server.config.with_suffix(".new")
        new.write_text(text.replace(agent, f"{agent}  2001: {{name: Number {number}}}\n"))
        new.replace(server.config)
        server.hang_up()
    while server.logs("reloaded")["agents"] != 2 or "Number 39" not in str(server.facts[-1]):
        pass
    assert server.stop()[0] == 0
    names = [(one["before"], one["after"]["name"]) for one in server.facts if one["fact"] == "people_changed"]
    assert [before and before["name"] for before, _ in names] == [None, *(name for _, name in names[:-1])]
    assert len({name for _, name in names}) == len(names)


def test_a_file_that_never_ends_holds_nobody_up(server: Server, dial: Dial) -> None:
    """A FIFO was put in its place: it is refused, and calls continue."""
    server.config.unlink()
    os.mkfifo(server.config)
    server.hang_up()
    assert "It is not a regular file" in server.logs("reload_refused")["problems"][0]
    assert dial(server).answer_until("EXEC")


def test_a_call_at_a_prompt_ends_with_the_server(server: Server, call: Call) -> None:
    """No caller is left waiting at a prompt; no spy was begun."""
    call.answer_until("GET DATA")
    code, _ = server.stop()
    assert (code, call.hear()) == (0, "")
    assert [fact["fact"] for fact in server.facts] == ["server_started", "request_abandoned", "server_stopped"]
    asked = server.facts[1]
    assert (asked["supervisor"], asked["extension"], asked["mode"]) == ("anna", "1001", "listen")
    assert asked["why"] == "server_stopping"


def test_a_spy_is_left_running_on_record(server: Server, call: Call) -> None:
    """By default the supervisor still hears the call, and the audit says that it is no longer watched."""
    call.answer_until("EXEC")
    code, _ = server.stop()
    assert code == 0
    assert [(fact["fact"], fact.get("why")) for fact in server.facts[-2:]] == [
        ("spy_ended", "left_running"),
        ("server_stopped", None),
    ]


def test_a_spy_is_ended_by_the_command_of_the_site(
    start: Callable[..., Server], dial: Dial, text: str, tmp_path: Path
) -> None:
    """With ``spies: end`` the site's command gets the channel; the server waits for the hang-up and takes no call."""
    told = tmp_path / "told"
    os.mkfifo(told)
    command = f"[sh, -c, 'echo {{channel}} > {told}']"
    server = start(text.replace("{seconds: 5}", f"{{spies: end, seconds: 20, hangup_command: {command}}}"))
    server.logs("serving")
    call = dial(server)
    call.answer_until("EXEC")
    reader = os.open(told, os.O_RDONLY | os.O_NONBLOCK)
    server.process.terminate()
    assert select.select([reader], [], [], WAIT_SECONDS)[0] == [reader]
    assert os.read(reader, 100) == b"PJSIP/2001-00000001\n"
    os.close(reader)
    with pytest.raises(ConnectionRefusedError):
        dial(server)
    call.say("HANGUP", "200 result=-1")
    assert server.ends()[0] == 0
    assert [(fact["fact"], fact.get("why")) for fact in server.facts[-2:]] == [
        ("spy_ended", "server_stopping"),
        ("server_stopped", None),
    ]


def test_the_page_has_the_numbers_of_all_parts(start: Callable[..., Server], dial: Dial, text: str) -> None:
    """Of the calls, of the audit and of the reloads; it is gone with the server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        page = probe.getsockname()[1]
    server = start(f"{text}metrics: {{port: {page}}}\n")
    server.logs("serving")
    dial(server).answer_until("EXEC")
    server.hang_up()
    server.logs("reloaded")
    with urlopen(f"http://127.0.0.1:{page}/metrics", timeout=WAIT_SECONDS) as answer:
        said = answer.read().decode().splitlines()
    for line in (
        f'agi_monitor_build_info{{version="{__version__}"}} 1.0',
        "agi_monitor_agi_sessions 1.0",
        "agi_monitor_agi_sessions_total 1.0",
        'agi_monitor_look_ups_total{source="agi"} 1.0',
        "agi_monitor_audit_waiting 0.0",
        'agi_monitor_config_reloads_total{outcome="done"} 1.0',
        'agi_monitor_spies_started_total{mode="listen"} 1.0',
    ):
        assert line in said
    assert server.stop()[0] == 0
    with pytest.raises(URLError):
        urlopen(f"http://127.0.0.1:{page}/metrics", timeout=WAIT_SECONDS)


# ---- what keeps it from starting ---------------------------------------------------------------------------


def test_a_second_server_on_the_same_state_is_refused(
    server: Server, start: Callable[..., Server], tmp_path: Path
) -> None:
    """It ends at once with one sentence, and the first one's audit knows nothing of it."""
    second = start()
    assert second.ends() == (1, f"{tmp_path}/state: another agi-monitor uses this folder\n")
    assert [fact["fact"] for fact in server.facts] == ["server_started"]


def test_a_second_server_on_the_same_audit_is_refused(
    server: Server, start: Callable[..., Server], text: str, tmp_path: Path, port: int
) -> None:
    """With a state of its own, and another port: it ends, and no record of it comes between those of the first."""
    (tmp_path / "other").mkdir()
    second = start(
        text.replace(f"{tmp_path}/state", f"{tmp_path}/other").replace(f"port: {port}", f"port: {port + 1}")
    )
    error = second.logs("start_failed")["error"]
    assert error == f"{tmp_path}/log/audit.jsonl: another agi-monitor writes to this file"
    assert second.ends()[0] == 1
    assert [fact["fact"] for fact in server.facts] == ["server_started"]


def test_a_port_that_is_taken_is_named(start: Callable[..., Server], port: int) -> None:
    """Exit code 1, and the log says which port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        server = start()
        assert re.search(rf"Couldn't listen on 127.0.0.1:{port}: .*in use", server.logs("start_failed")["error"])
        assert server.ends()[0] == 1


def test_a_start_that_fails_ends_what_had_begun(start: Callable[..., Server], tmp_path: Path, port: int) -> None:
    """The audit is closed, the control socket is gone, and the next server finds nothing in its way."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        server = start()
        server.logs("start_failed")
        assert server.ends()[0] == 1
    assert [fact["fact"] for fact in server.facts] == ["server_started", "server_stopped"]
    assert not (tmp_path / "state" / "control.sock").exists()
    again = start()
    again.logs("serving")
    assert again.stop()[0] == 0


def test_a_missing_state_folder_is_named(start: Callable[..., Server], tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "state").rmdir()
    assert start().ends() == (
        1,
        f"{tmp_path}/state: No such file or directory. Make the folder, owned by the user that runs the server\n",
    )


def test_a_missing_audit_folder_is_named(start: Callable[..., Server], tmp_path: Path) -> None:
    """A server that may not let anybody spy does not start."""
    (tmp_path / "log").rmdir()
    server = start()
    assert server.logs("start_failed")["error"] == (
        f"{tmp_path}/log/audit.jsonl: the audit cannot be written: No such file or directory"
    )
    assert server.ends()[0] == 1


def test_a_database_that_is_none_is_named(start: Callable[..., Server], tmp_path: Path) -> None:
    """It is kept for anyone who fixes it: without the lock-outs anyone could keep guessing."""
    path = tmp_path / "state" / "agi-monitor.db"
    path.write_text("something else\n" * 100)
    message = f"{path}: it is not an SQLite database; move it away, or restore a copy\n"
    assert start().ends() == (1, message)
    assert path.read_text() == "something else\n" * 100


def test_a_lock_out_survives_a_kill_and_is_shared(
    server: Server, start: Callable[..., Server], dial: Dial, tmp_path: Path, text: str, port: int
) -> None:
    """A server that was killed has it when it is back, and so has another one on the same store."""

    def keyed(server: Server, digits: str) -> Iterator[str]:
        call = dial(server)
        assert call.hear() == "ANSWER"
        call.say("200 result=0")
        while (command := call.hear_next()).startswith("GET DATA "):
            call.key_in(digits)
            yield command
        assert server.logs("refused")["reason"] in ("pin_wrong", "pin_locked")

    assert len(list(keyed(server, "0000"))) == 3
    server.process.kill()
    server.process.wait(WAIT_SECONDS)
    later = start()
    later.logs("serving")
    assert list(keyed(later, PIN)) == []
    (tmp_path / "other").mkdir()
    changes = {
        f"{tmp_path}/state": f"{tmp_path}/other",
        f"port: {port}": f"port: {port + 1}",
        "audit.jsonl": "other.jsonl",
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    other = start(f"{text}store: {{url: 'sqlite:///{tmp_path}/state/agi-monitor.db'}}\n")
    other.port = port + 1
    other.logs("serving")
    assert list(keyed(other, PIN)) == []


def test_starts_again_after_it_was_killed(server: Server, start: Callable[..., Server]) -> None:
    """What a killed server leaves does not get in the way."""
    server.process.kill()
    server.process.wait(WAIT_SECONDS)
    start().logs("serving")
    assert [fact["fact"] for fact in server.facts] == ["server_started"] * 2


# ---- people in the store -------------------------------------------------------------------------------


@pytest.fixture
def in_store(tmp_path: Path, text: str) -> Iterator[Callable[..., str]]:
    """The same site with its people in the store; returns ``agi-monitor`` with its configuration."""
    people = tmp_path / "people.yaml"
    begin, end = text.index("supervisors:"), text.index("audit:")
    people.write_text(text[begin:end])
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(text[:begin] + text[end:] + "store: {people: true}\n")

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "agi_monitor", *arguments, "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("people", "import", str(people), "--yes")
    yield run


@pytest.fixture
def stored(in_store: Callable[..., str], tmp_path: Path, port: int) -> Iterator[Server]:
    """A server whose people are in the store."""
    server = Server(tmp_path, (tmp_path / "agi-monitor.yaml").read_text(), port)
    server.logs("serving")
    yield server
    server.close()


def test_people_from_the_store_are_decided_by(stored: Server, dial: Dial) -> None:
    """And the audit of the first server says how they came to be there."""
    assert dial(stored).answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'
    found = [one for one in stored.facts if one["fact"] == "people_changed"]
    assert [(one["kind"], one["entry"]) for one in found] == [
        ("supervisor", "anna"),
        ("agent", "1001"),
        ("rule", "one"),
        # The hash of the sample is an old one, and the server makes a new one of the PIN.
        ("supervisor", "anna"),
    ]
    assert all(one["by"] for one in found)
    assert [one["before"] is None for one in found] == [True, True, True, False]
    assert [one["after"].get("pin") for one in found] == ["set", None, None, "changed"]
    assert PIN_HASH not in json.dumps(found)


def test_a_change_holds_without_a_restart(stored: Server, in_store: Callable[..., str], dial: Dial) -> None:
    """A server that runs notices by itself, and says who has changed what."""
    in_store("people", "disable", "anna")
    stored.logs("people_changed")
    caller = dial(stored)
    caller.answer_until("GET DATA")
    caller.key_in(PIN)
    stored.logs("pin_refused")
    record = [one for one in stored.facts if one["fact"] == "people_changed"][-1]
    assert (record["entry"], record["after"]["disabled"]) == ("anna", True)
    in_store("people", "enable", "anna")
    stored.logs("people_changed")
    assert dial(stored).answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'


def test_what_changed_while_no_server_ran_is_recorded_at_the_start(
    stored: Server, in_store: Callable[..., str], start: Callable[..., Server]
) -> None:
    """Once: the next start does not say it again."""
    stored.stop()
    in_store("rules", "remove", "one")
    for _ in range(2):
        server = start(stored.config.read_text())
        server.logs("serving")
        server.stop()
        gone = [one for one in server.facts if one["fact"] == "people_changed" and one["after"] is None]
        assert [one["entry"] for one in gone] == ["one"]


def test_people_who_are_changed_by_another_way_are_on_record(stored: Server, tmp_path: Path) -> None:
    """The tables are written by hand: it holds from a reload on, without a name on it."""
    with closing(sqlite3.connect(tmp_path / "state" / "agi-monitor.db")) as connection, connection:
        connection.execute("UPDATE agent SET name = 'Eve'")
    stored.hang_up()
    stored.logs("reloaded")
    record = stored.facts[-1]
    assert (record["fact"], record["entry"], record["by"]) == ("people_changed", "1001", "")


@pytest.mark.parametrize("where", ["server", "stored"], ids=["people-in-the-file", "people-in-the-store"])
def test_whoever_lets_somebody_try_again_is_in_the_audit(
    where: str, request: pytest.FixtureRequest, dial: Dial
) -> None:
    """A moment later, once, with their name and how many wrong PINs were forgotten."""
    server: Server = request.getfixturevalue(where)
    caller = dial(server)
    caller.answer_until("GET DATA")
    caller.key_in("0000")
    server.logs("pin_refused")
    unlock = [sys.executable, "-m", "agi_monitor", "pin", "unlock", "anna", "--config", str(server.config)]
    subprocess.run(unlock, check=True, capture_output=True, timeout=WAIT_SECONDS)
    for _ in range(2):
        server.logs("lock_out_ended")
    found = [one for one in server.facts if one["fact"] == "lock_out_ended"]
    assert [(one["kind"], one["who"], one["wrong_pins"], one["by"]) for one in found] == [
        ("endpoint", "PJSIP/2001", 1, whoami()),
        ("supervisor", "anna", 1, whoami()),
    ]


# ---- people in a plug-in -------------------------------------------------------------------------------

BY_PLUGIN = {
    "supervisors": {"anna": {"endpoints": ["PJSIP/2001"], "pin": PIN_HASH, "groups": ["leads"]}},
    "agents": {"1001": {"endpoints": ["PJSIP/1001"]}},
    "rules": [{"name": "one", "allow": ["listen"], "supervisors": ["leads"], "agents": ["all"]}],
}


class Directory:
    """The file that the example of a plug-in reads people from.

    Parameters:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "people.json"
        self.says(json.dumps(BY_PLUGIN))

    def says(self, text: str) -> None:
        """Change people, in one step."""
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """A plug-in that knows people."""
    found = Directory(tmp_path)
    monkeypatch.setenv("PYTHONPATH", install(["people_from_file"], tmp_path / "site"))
    monkeypatch.setenv("PEOPLE_FILE", str(found.file))
    return found


@pytest.fixture
def directed(directory: Directory, tmp_path: Path, text: str, port: int) -> Iterator[Server]:
    """A server whose people a plug-in knows."""
    begin, end = text.index("supervisors:"), text.index("audit:")
    text = text[:begin] + text[end:] + "store: {plugin: people_from_file}\n"
    server = Server(tmp_path, text, port, command=STARTED)
    server.logs("serving")
    yield server
    server.close()


def test_people_of_a_plug_in_are_decided_by(directed: Server, directory: Directory, dial: Dial) -> None:
    """And a change holds a moment later, and is in the audit with the plug-in's name."""
    assert dial(directed).answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'
    directory.says(json.dumps({**BY_PLUGIN, "rules": []}))
    directed.logs("people_changed")
    caller = dial(directed)
    caller.answer_until("GET DATA")
    caller.key_in(PIN)
    assert directed.logs("refused")["reason"] == "mode_denied"
    (record,) = [one for one in directed.facts if one["fact"] == "people_changed"]
    assert (record["entry"], record["by"], record["after"]) == ("one", "plug-in people_from_file", None)


def test_nobody_begins_to_spy_while_it_does_not_answer(directed: Server, directory: Directory, dial: Dial) -> None:
    """The refusal and the audit name it, once; when it answers again all is as before."""
    directory.says("no people")
    directed.logs("plugin_failed")
    caller = dial(directed)
    caller.answer_until("GET DATA")
    caller.say(f"200 result={PIN}")
    assert caller.answer_until("STREAM FILE")
    assert directed.logs("refused")["reason"] == "plugin_failed"
    (record,) = [one for one in directed.facts if one["fact"] == "plugin_failed"]
    assert (record["plugin"], record["hook"]) == ("people_from_file", "PeopleStore")
    directory.says(json.dumps({**BY_PLUGIN, "agents": {"1001": {"endpoints": ["PJSIP/1001"], "name": "Ben"}}}))
    directed.logs("people_changed")
    assert dial(directed).answer_until("EXEC") == 'EXEC "ChanSpy" "1700000000.10,uqESX"'


def test_it_must_answer_at_the_start(directed: Server, directory: Directory, start: Callable[..., Server]) -> None:
    """A server that does not know who may hear whom does not start, and says which plug-in it waits for."""
    directed.stop()
    directory.says(json.dumps({**BY_PLUGIN, "agents": {"1001": {"phone": "PJSIP/1001"}}}))
    server = start(directed.config.read_text(), command=STARTED)
    code, said = server.ends()
    assert code != 0
    assert "plug-in people_from_file: agents.1001.phone" in said


def test_the_command_shows_them_and_changes_none(directed: Server) -> None:
    """`people list` asks the plug-in; `people add` says where to go."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "agi_monitor", *arguments, "--config", str(directed.config)]
        return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)

    assert "anna" in run("people", "list").stdout
    refused = run("people", "disable", "anna")
    assert refused.returncode != 0
    assert "people are in the plug-in people_from_file: change them there" in refused.stderr


def test_a_store_that_is_gone_keeps_whom_it_knew(stored: Server, tmp_path: Path) -> None:
    """It is said once, and nobody is forgotten; nobody is let in either, for want of the lock-outs."""
    database = tmp_path / "state" / "agi-monitor.db"
    database.rename(database.with_suffix(".away"))
    stored.logs("store_unreadable")
    stored.hang_up()
    assert "agi-monitor.db" in stored.logs("reload_refused")["problems"][0]
