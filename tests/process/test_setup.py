"""The hands of the setup on a real system: children, folders, files, links, and what is undone of them."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agi_monitor.errors import InstallFailed
from agi_monitor.setup import console, shipped
from agi_monitor.setup.child import Ran, run
from agi_monitor.setup.making import Maker, unreachable
from agi_monitor.setup.record import NAME, Kind, Record, Thing

ENDLESS = "import os\nwhile True: os.write(1, b'x' * 4096)"
LOOK = """
import os, sys
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError as error:
    print("no terminal")
print(os.getsid(0) == os.getpid(), sorted(os.environ), os.getcwd(), repr(sys.stdin.read()))
"""


# ---- children ------------------------------------------------------------------------------------------


def test_a_child_has_no_terminal_and_no_environment_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where we have a terminal: it is in a session of its own, and has nothing to read."""
    monkeypatch.setenv("LD_PRELOAD_OF_A_USER", "x")
    leader, follower = os.openpty()
    try:
        child = os.fork()
        if not child:  # a session with a terminal, as root's shell has it
            os.setsid()
            os.close(os.open(os.ttyname(follower), os.O_RDWR))
            ran = run([sys.executable, "-I", "-c", LOOK])
            os.write(follower, f"{ran.code} {ran.text}".encode())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        said = os.read(leader, 10_000).decode().replace("\r\n", "\n")
    finally:
        os.close(leader)
        os.close(follower)
    first, second = said.split("\n")
    assert first == "0 no terminal"
    is_leader, _, rest = second.partition(" ")
    assert is_leader == "True"
    assert rest.endswith(" / ''")
    assert "LD_PRELOAD_OF_A_USER" not in rest
    assert "HOME" not in rest


def test_an_output_without_an_end_is_cut_and_its_program_killed() -> None:
    """Nothing grows."""
    said = run([sys.executable, "-c", ENDLESS], limit=10_000)
    assert (said.code, len(said.text)) == (-9, 10_000)


def test_a_program_that_does_not_end_is_killed_with_its_children() -> None:
    """Those keep our end of the output open."""
    said = run(["sh", "-c", "sleep 1000 & sleep 1000"], seconds=0.2)
    assert said.code == -9


def test_a_program_that_is_not_there_has_a_code() -> None:
    """As a shell has it."""
    assert run(["no-such-program-of-ours"]).code == 127


# ---- what is made, and undone --------------------------------------------------------------------------


class System:
    """What the programs of the system were asked, where they would change this machine."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.codes: dict[str, int] = {}

    def run(self, command: Sequence[str]) -> Ran:
        """Note it; it ends well unless it was to fail."""
        line = " ".join(command)
        self.asked.append(line)
        return Ran(next((code for words, code in self.codes.items() if words in line), 0), "said")


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], Maker]:
    """A setup; each call is another one, with the record of those before."""
    (tmp_path / "system").mkdir()
    return lambda: Maker(Record(tmp_path / "books", Path("/etc/asterisk")), System().run)


def record(tmp_path: Path) -> list[Thing]:
    """What stands in the record."""
    return list(Record(tmp_path / "books", Path("/etc/asterisk")))


def test_everything_is_made_once_and_goes_again(make: Callable[[], Maker], tmp_path: Path) -> None:
    """A second setup finds all of it; undone, nothing is left, not even the record."""
    place = tmp_path / "system" / "share" / "man"
    for again in (False, True):
        maker = make()
        assert maker.folder(place, 0o755) is not again
        assert maker.file(place / "page.1", b"text", 0o644) is not again
        assert maker.link(tmp_path / "system" / "command", Path("/opt/program")) is not again
    assert (place / "page.1").read_bytes() == b"text"
    assert stat.S_IMODE((place / "page.1").stat().st_mode) == 0o644
    assert (tmp_path / "system" / "command").readlink() == Path("/opt/program")
    assert list(make().undo())[-1] == f"{tmp_path}/system/share: removed"
    assert list((tmp_path / "system").iterdir()) == []
    assert not (tmp_path / "books" / NAME).exists()


def test_a_later_version_replaces_its_own_file_only(make: Callable[[], Maker], tmp_path: Path) -> None:
    """One that was changed by hand stays, and so does one that was there before."""
    mine, edited, theirs = (tmp_path / "system" / name for name in ("mine", "edited", "theirs"))
    theirs.write_bytes(b"theirs")
    make().file(mine, b"1", 0o644)
    make().file(edited, b"1", 0o644)
    edited.write_bytes(b"by hand")
    assert [make().file(path, b"2", 0o644) for path in (mine, edited, theirs)] == [True, False, False]
    assert [path.read_bytes() for path in (mine, edited, theirs)] == [b"2", b"by hand", b"theirs"]
    said = list(make().undo())
    assert f"{edited}: kept: it was changed since" in said
    assert sorted(path.name for path in (tmp_path / "system").iterdir()) == ["edited", "theirs"]


def test_a_setup_that_was_stopped_is_continued_and_undone(make: Callable[[], Maker], tmp_path: Path) -> None:
    """Each thing is written down before it is made: the record may name what is not there yet."""
    path = tmp_path / "system" / "file"
    written = Record(tmp_path / "books", Path("/etc/asterisk"))
    written.add(Thing(Kind.FILE, str(path), hashlib.sha256(b"text").hexdigest()))
    assert make().file(path, b"text", 0o644)
    path.unlink()
    assert list(make().undo()) == [f"{path}: removed"]


def test_a_folder_with_records_stays_and_with_it_its_user(tmp_path: Path) -> None:
    """The number of a user that is gone is given to the next one, with everything that was left."""
    system = System()
    made = Record(tmp_path / "books", Path("/etc/asterisk"))
    made.add(Thing(Kind.USER, "agi-monitor-of-a-test"))
    maker = Maker(made, system.run)
    (tmp_path / "system").mkdir()
    maker.folder(tmp_path / "system" / "log", 0o750)
    (tmp_path / "system" / "log" / "audit.jsonl").touch()
    said = list(maker.undo())
    assert said == [
        f"{tmp_path}/system/log: kept: there are files in it",
        "user agi-monitor-of-a-test: kept, because folders of it are",
    ]
    assert not any("userdel" in line for line in system.asked)
    assert [thing.kind for thing in record(tmp_path)] == [Kind.USER, Kind.FOLDER]


def test_a_unit_is_enabled_and_disabled_unless_it_was_enabled_before(tmp_path: Path) -> None:
    """What the administrator has enabled stays so."""
    system = System()
    system.codes["is-enabled"] = 1
    maker = Maker(Record(tmp_path / "books", Path("/etc/asterisk")), system.run)
    maker.unit("agi-monitor")
    assert list(maker.undo()) == ["unit agi-monitor: removed"]
    assert [line for line in system.asked if "is-enabled" not in line] == [
        "systemctl daemon-reload",
        "systemctl enable --now agi-monitor",
        "systemctl disable --now agi-monitor",
    ]
    system.codes.clear()
    maker.unit("agi-monitor")
    assert list(maker.undo()) == []


def test_a_step_that_fails_says_what_the_system_said(tmp_path: Path) -> None:
    """It is known to be ours all the same: it may be half done."""
    system = System()
    system.codes["useradd"] = 9
    maker = Maker(Record(tmp_path / "books", Path("/etc/asterisk")), system.run)
    with pytest.raises(InstallFailed, match=r"useradd .* ended with 9: said"):
        maker.user("agi-monitor-of-a-test", Path("/var/lib/agi-monitor"))
    assert record(tmp_path) == [Thing(Kind.USER, "agi-monitor-of-a-test")]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"version": 2}', b'{"version": 1, "asterisk": "/x", "things": []}']
)
def test_a_record_that_cannot_be_used_stops_it(tmp_path: Path, content: bytes) -> None:
    """Also one of another Asterisk on this machine: its things are not for this one."""
    Record(tmp_path / "books", Path("/etc/asterisk")).add(Thing(Kind.LINK, "/x", "y"))
    (tmp_path / "books" / NAME).write_bytes(content)
    with pytest.raises(InstallFailed):
        record(tmp_path)


if os.geteuid() == 0:  # to give files to others

    def test_a_link_of_another_user_is_not_followed(tmp_path: Path) -> None:
        """In the place of a folder, it would lead what root writes elsewhere."""
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "place").symlink_to(tmp_path / "elsewhere")
        os.lchown(tmp_path / "place", 65_534, 65_534)
        maker = Maker(Record(tmp_path / "books", Path("/etc/asterisk")), System().run)
        with pytest.raises(InstallFailed):
            maker.file(tmp_path / "place" / "file", b"text", 0o644)
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_program_that_others_can_change_or_cannot_reach(tmp_path: Path) -> None:
        """The server's user starts it, and root does."""
        assert unreachable(Path("/usr/bin/env")) == ""
        program = tmp_path / "folder" / "program"
        program.parent.mkdir()
        program.touch()
        program.chmod(0o755)
        os.chown(program.parent, 65_534, 65_534)
        assert unreachable(program) == f"{program.parent} can be changed by others than root"
        os.chown(program.parent, 0, 0)
        program.parent.chmod(0o700)
        assert unreachable(program) == f"{program.parent} cannot be entered by other users"


def test_the_unit_starts_the_program_where_it_is() -> None:
    """Every line that names the program."""
    text = shipped.unit(Path("/usr/lib/elsewhere/agi-monitor")).decode()
    assert "ExecStart=/usr/lib/elsewhere/agi-monitor serve" in text
    assert shipped.PROGRAM not in text


# ---- Asterisk's console --------------------------------------------------------------------------------


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Callable[[Sequence[bytes]], Path]]:
    """A socket that answers with these pieces. Real answers are in the scenario."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    threads = []

    def begin(pieces: Sequence[bytes]) -> Path:
        path = tmp_path / "asterisk.ctl"
        listening.bind(str(path))
        listening.listen(1)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                except OSError:
                    return

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return path

    yield begin
    for thread in threads:
        thread.join()
    listening.close()


def test_the_console_answers_behind_its_greeting(answers: Callable[[Sequence[bytes]], Path]) -> None:
    """In pieces of any size."""
    assert console.ask(answers([b"pbx/12", b"/22\n1 exten", b"sion\n"]), 0, "dialplan show") == "1 extension\n"


def test_an_answer_without_an_end_is_given_up(answers: Callable[[Sequence[bytes]], Path]) -> None:
    """Asterisk's user could send one."""
    with pytest.raises(InstallFailed, match="no end"):
        console.ask(answers([b"x" * 65_536] * 32), 0, "dialplan show")


def test_a_command_of_two_lines_is_not_sent(tmp_path: Path) -> None:
    """A name in a file could hold one."""
    with pytest.raises(InstallFailed):
        console.ask(tmp_path / "asterisk.ctl", 0, "dialplan show x\0y")


def test_where_no_asterisk_runs_it_says_so(tmp_path: Path) -> None:
    """With the path that was tried."""
    with pytest.raises(
        InstallFailed, match=r"asterisk.ctl: Asterisk's console cannot be reached: .* Is Asterisk running"
    ):
        console.ask(tmp_path / "asterisk.ctl", 0, "core show version")


def test_the_place_of_the_console_is_what_asterisk_conf_says(tmp_path: Path) -> None:
    """Or Asterisk's own."""
    assert console.place(tmp_path) == Path("/var/run/asterisk/asterisk.ctl")
    (tmp_path / "asterisk.conf").write_text("[directories](!)\nastrundir => /run/pbx\n[files]\nastctl = ctl\n")
    assert console.place(tmp_path) == Path("/run/pbx/ctl")
