"""Folders of another user, who puts anything under any name at any moment: nothing outside of them changes or shows.

As root the folders belong to another user, as Asterisk's do on Debian; otherwise they are our own, and what holds
then is that no link leads out of them. Each operation runs in a process of its own that ends in any case.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agi_monitor.audit.chain import Head
from agi_monitor.commands.main import main
from agi_monitor.control.socket_file import make_room
from agi_monitor.dialplan.loader import TemplateLoader
from agi_monitor.dialplan.render import FILES, dialplan_environment
from agi_monitor.errors import AgiMonitorError
from agi_monitor.storage.audit.file import AuditFile
from agi_monitor.storage.audit.head_file import HeadFile, KnownHead
from agi_monitor.storage.audit.key_file import audit_key
from agi_monitor.storage.database import Database, file_url
from agi_monitor.storage.server_key_file import server_key
from agi_monitor.storage.state_folder import StateFolder
from contrib.lab.program import IMPORTED

IS_ROOT = os.geteuid() == 0
STRANGER = 61_234
"""A user that owns the folders, and has no name."""
SECRET = "8d2f-of-root-alone"
SECONDS = 120
"""A command that hangs at a FIFO is ended."""
CONFIG = """\
supervisors: {{}}
agents: {{1001: {{endpoints: [PJSIP/1001], groups: [sales]}}}}
rules: []
ami: {{secret: a-secret-for-nobody-1234}}
asterisk: {{phones: phones, pjsip: {{}}}}
state: {{directory: {state}}}
audit: {{file: {audit}/audit.jsonl}}
"""


@dataclass
class Site:
    """A machine with folders of another user.

    Parameters:
        root: of all of it.
    """

    root: Path

    def __post_init__(self) -> None:
        self.asterisk, self.state, self.audit = (self.root / name for name in ("asterisk", "state", "audit"))
        self.outside, self.own = self.root / "outside", self.root / "own"
        for folder in (self.asterisk, self.state, self.audit, self.outside, self.own):
            folder.mkdir()
        self.victim = self.outside / "victim"
        self.victim.write_text(f'{{"secret": "{SECRET}"}}\n; {SECRET}\n')
        self.victim.chmod(0o600)
        (self.outside / "folder").mkdir()
        (self.outside / "folder" / "agi-monitor.conf").write_text(SECRET)
        self.config = self.own / "agi-monitor.yaml"
        self.config.write_text(CONFIG.format(state=self.state, audit=self.audit))
        (self.asterisk / "extensions.conf").write_text("[phones]\nexten => 1,1,Hangup()\n")
        (self.asterisk / "manager.conf").write_text("[general]\nenabled = yes")
        (self.asterisk / "pjsip.conf").write_text("[udp]\ntype = transport\n")
        self.give_away()

    def give_away(self) -> None:
        """Let the folders belong to the stranger, with all that is in them."""
        if IS_ROOT:
            self.root.chmod(0o755)
            for folder in (self.asterisk, self.state, self.audit):
                for path in (folder, *folder.rglob("*")):
                    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)

    def seen_outside(self) -> dict[str, Any]:
        """What must stay as it is: names, contents, owners and modes."""
        return {
            str(path.relative_to(self.outside)): (
                path.read_bytes() if path.is_file() else None,
                path.stat().st_uid,
                stat.S_IMODE(path.stat().st_mode),
            )
            for path in (self.outside, *self.outside.rglob("*"))
        }

    def command(self, *arguments: str) -> int:
        """Run a command in this process; the output is for ``ended`` to look at."""
        done = CliRunner().invoke(main, list(arguments))
        (self.own / "output").write_text(done.output)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            (self.own / "output").write_text(f"{done.output}\n{done.exception!r}")
        return done.exit_code

    def ended(self, work: Callable[[Site], int], before: Callable[[], object] = lambda: None) -> int:
        """Do it in a process of its own, and return how that ended."""
        child = os.fork()
        if child == 0:
            code = 99
            try:
                # What was imported is nothing for the collector of this process; looking at it would copy its pages.
                gc.freeze()
                signal.alarm(SECONDS)
                before()
                code = work(self)
            except (AgiMonitorError, OSError) as error:
                (self.own / "output").write_text(f"{error!r}")
                code = 1
            except BaseException as error:  # the child must not continue as a second test run
                (self.own / "output").write_text(f"broken: {error!r}")
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def output(self) -> str:
        """What the last command said."""
        path = self.own / "output"
        return path.read_text() if path.exists() else ""

    def looks(self) -> dict[str, tuple[int, bytes | None]]:
        """Every regular file and link of Asterisk's folder."""
        return {
            str(path.relative_to(self.asterisk)): (
                stat.S_IFMT(path.lstat().st_mode),
                path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else None,
            )
            for path in self.asterisk.rglob("*")
            if stat.S_IFMT(path.lstat().st_mode) != stat.S_IFDIR
        }


# ---- what is put there -------------------------------------------------------------------------------------


def link(site: Site, path: Path) -> None:
    """A link to what root alone may read."""
    path.symlink_to(site.victim)


def dangling(site: Site, path: Path) -> None:
    """A link to what is not there, and would be made."""
    path.symlink_to(site.outside / "made")


def link_to_folder(site: Site, path: Path) -> None:
    """A link to a folder with files of the same names."""
    path.symlink_to(site.outside / "folder")


def hard_link(site: Site, path: Path) -> None:
    """A second name of what root alone may read."""
    path.hardlink_to(site.victim)


def fifo(site: Site, path: Path) -> None:
    """What never ends to be opened."""
    os.mkfifo(path)


def folder(site: Site, path: Path) -> None:
    """A folder with something in it."""
    path.mkdir()
    (path / "within").write_text("x")


def bound_socket(site: Site, path: Path) -> None:
    """A socket."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def huge(site: Site, path: Path) -> None:
    """More than fits into memory."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def device(site: Site, path: Path) -> None:
    """What never ends to be read; where none may be made, a link to it."""
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        path.symlink_to("/dev/zero")


OBJECTS = (link, dangling, link_to_folder, hard_link, fifo, folder, bound_socket, huge, device)
Object = Callable[[Site, Path], None]


def put(what: Object, site: Site, path: Path) -> None:
    """Put something in the place of whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    what(site, path)
    if IS_ROOT and what is not hard_link:
        with suppress(FileNotFoundError):
            os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


# ---- what is done ------------------------------------------------------------------------------------------


def asterisk_arguments(site: Site) -> tuple[str, ...]:
    """Of an install."""
    return ("--config", str(site.config), "--asterisk-dir", str(site.asterisk))


def install(site: Site) -> int:
    """For the first time, or again."""
    return site.command("install", "--yes", "--force", *asterisk_arguments(site))


def dry_run(site: Site) -> int:
    """Only look."""
    return site.command("install", "--dry-run", "--force", *asterisk_arguments(site))


def uninstall(site: Site) -> int:
    """Take it out."""
    return site.command("uninstall", "--yes", "--force", *asterisk_arguments(site))


def render(site: Site) -> int:
    """Write the files alone."""
    return site.command("render", "--config", str(site.config), "--out", str(site.asterisk / "agi-monitor"))


def retain(site: Site) -> int:
    """Remove old records."""
    return site.command("audit", "retain", "--config", str(site.config), "--days", "1", "--apply")


def export(site: Site) -> int:
    """Write all records to a file in the stranger's folder."""
    return site.command("audit", "export", "--config", str(site.config), "--out", str(site.state / "out"))


def people_export(site: Site) -> int:
    """Write people to a file in the stranger's folder."""
    return site.command("people", "export", "--pins", "--config", str(site.config), "--out", str(site.state / "out"))


def init(site: Site) -> int:
    """Write a sample into the stranger's folder."""
    return site.command("init", "--force", str(site.state / "out"))


def reload(site: Site) -> int:
    """Tell a server."""
    return site.command("reload", "--config", str(site.config))


def take_state(site: Site) -> int:
    """As a server does at its start."""
    StateFolder(site.state).take()
    return 0


def keys(site: Site) -> int:
    """Read them or make them."""
    audit_key(site.state)
    server_key(site.state / "server-key.json")
    return 0


def head(site: Site) -> int:
    """Remember where the chain ends, in both ways."""
    file = HeadFile(site.state / "audit-head.json")
    file.read()
    file.update(Head(1, "0" * 64))
    file.replace(KnownHead(Head(1, "0" * 64), closed=True))
    return 0


def store(site: Site) -> int:
    """Make the tables, or look at them."""
    database = Database(file_url(site.state))
    database.upgrade()
    database.check()
    return 0


def room(site: Site) -> int:
    """Make room for the control socket."""
    make_room(site.state / "control.sock")
    return 0


HOSTS = ("extensions.conf", "manager.conf", "pjsip.conf")
OURS = ("agi-monitor.conf", "extensions.conf.sample", "manager.conf.include", "pjsip.conf.include", "realtime.sql")
RENDERED = tuple(name for name in OURS if name != "realtime.sql")
"""Of these, what is written for a site whose phones stand in pjsip.conf."""
MAIN = ("extensions.conf", "agi-monitor", "agi-monitor/agi-monitor.conf", ".extensions.conf.agi-monitor-new")
"""These meet every object, the other names of an install two kinds of links."""
BOOKS = ("manifest.json", "agi-monitor.conf.previous", "extensions.conf.previous", "agi-monitor.conf.original")
INSTALLED = (
    *HOSTS,
    *(f".{name}.agi-monitor-{age}" for name in HOSTS for age in ("old", "new")),
    ".agi-monitor-journal.json",
    ".agi-monitor-journal.json.new",
    ".agi-monitor-journal.json.kept",
    "agi-monitor",
    "agi-monitor/.installed",
    *(f"agi-monitor/{name}" for name in OURS),
    *(f"agi-monitor/.{name}.agi-monitor-new" for name in OURS),
    *(f"agi-monitor/.installed/{name}" for name in BOOKS),
)
STORE = ("agi-monitor.db", "agi-monitor.db-wal", "agi-monitor.db-shm", "agi-monitor.db-journal")
KEYS = ("audit-key.pem", "audit-key.pub", "server-key.json")
OPERATIONS: dict[str, tuple[Callable[[Site], int], str, tuple[str, ...]]] = {
    "install": (install, "asterisk", INSTALLED),
    "dry_run": (dry_run, "asterisk", INSTALLED),
    "uninstall": (uninstall, "asterisk", INSTALLED),
    # That `--out` is a link of one's own is one's own affair.
    "render": (
        render,
        "asterisk",
        (*(("agi-monitor",) if IS_ROOT else ()), *(f"agi-monitor/{name}" for name in OURS)),
    ),
    "retain": (retain, "audit", ("audit.jsonl", "audit.jsonl.1", "audit.jsonl.lock")),
    "retain_state": (retain, "state", ("audit-head.json", "audit-key.pem", "audit-key.pub")),
    "export": (export, "state", ("out",)),
    "export_of": (export, "audit", ("audit.jsonl", "audit.jsonl.1")),
    "people_export": (people_export, "state", ("out",)),
    "init": (init, "state", ("out",)),
    "reload": (reload, "state", ("agi-monitor.pid", "control.sock")),
    "take_state": (take_state, "state", ("agi-monitor.pid",)),
    "keys": (keys, "state", KEYS),
    "head": (head, "state", ("audit-head.json",)),
    "store": (store, "state", STORE),
    "room": (room, "state", ("control.sock",)),
}


def ready(site: Site, operation: str) -> None:
    """What there is before the operation."""
    if operation == "uninstall":
        assert site.ended(install) == 0, site.output()
    if operation == "render":
        (site.asterisk / "agi-monitor").mkdir()
    if operation.startswith(("retain", "export")):
        key = audit_key(site.state)
        long_ago = datetime.now(UTC) - timedelta(days=30)
        audit = AuditFile(site.audit / "audit.jsonl", state=site.state, signer=key)
        for number in range(3):
            line = f'{{"at": "{long_ago.isoformat()}", "fact": "server_started", "version": "{number}"}}'
            audit.write(line.encode(), long_ago)
        audit.close(long_ago)
    site.give_away()


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    """What each of a thousand processes would do for itself: import the commands, and compile the templates."""
    for module in IMPORTED:
        import_module(module)
    environment = dialplan_environment(TemplateLoader(None))
    for name in FILES:
        environment.get_template(f"{name}.j2")


@pytest.fixture
def place() -> Iterator[Path]:
    """Not in the folder of pytest, which nobody else may enter."""
    with tempfile.TemporaryDirectory() as name:
        if IS_ROOT:
            Path(name).chmod(0o755)
        yield Path(name)


def is_right(site: Site, operation: str, name: str) -> bool:
    """Whether a success is one: what was to be written is there, as a file of its own."""
    if operation == "install":
        hosts = all(b"#tryinclude" in (site.asterisk / one).read_bytes() for one in HOSTS)
        ours = all(stat.S_ISREG((site.asterisk / "agi-monitor" / one).lstat().st_mode) for one in RENDERED)
        return hosts and ours and SECRET not in (site.asterisk / "extensions.conf").read_text()
    if operation == "uninstall":
        return all(b"#tryinclude" not in (site.asterisk / one).read_bytes() for one in HOSTS)
    if operation == "render":
        written = [site.asterisk / "agi-monitor" / one for one in RENDERED]
        return all(stat.S_ISREG(one.lstat().st_mode) for one in written if os.path.lexists(one))
    if name in ("out", "audit-head.json", "agi-monitor.pid") and operation != "reload":
        status = (site.state / name).lstat()
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if operation == "retain":
        return stat.S_ISREG((site.audit / "audit.jsonl").lstat().st_mode)
    return True


@pytest.mark.parametrize("what", OBJECTS, ids=lambda what: what.__name__)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_outside_changes_or_shows(place: Path, operation: str, what: Object) -> None:
    """Each object in the place of each name: what is outside stays, is not told, and a success is one."""
    work, where, names = OPERATIONS[operation]
    if what not in (link, hard_link):
        names = tuple(name for name in names if name not in INSTALLED or name in MAIN)
    for number, name in enumerate(names):
        (place / f"{number}").mkdir()
        site = Site(place / f"{number}")
        ready(site, operation)
        put(what, site, getattr(site, where) / name)
        before = site.seen_outside()
        code = site.ended(work)
        assert code in (0, 1, 2), (name, code, site.output())
        assert site.seen_outside() == before, (name, site.output())
        assert SECRET not in site.output(), name
        assert "Traceback" not in site.output(), (name, site.output())
        if code == 0:
            assert is_right(site, operation, name), (name, site.output())


class Swap:
    """Puts something in the place of a name right before it is used for the n-th time, as the fastest stranger would.

    Parameters:
        site: whose folders.
        places: folders in which the names are.
        what: is put there.
        number: n; too large a number puts nothing.
    """

    def __init__(self, site: Site, places: tuple[Path, ...], what: Object, number: int) -> None:
        self.site, self.places, self.what, self.left = site, places, what, number
        self.busy = False
        self.count = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See ``sys.addaudithook``."""
        if self.busy or not (event == "open" or event.startswith("os.")) or not arguments:
            return
        for name in arguments[:2]:
            if not isinstance(name, str) or name in ("", ".", "..") or (event == "open" and name != arguments[0]):
                continue
            path = Path(name)
            found = [place / path.name for place in self.places if not path.is_absolute() or path.parent == place]
            if (len(path.parts) > 1 and not path.is_absolute()) or not found:
                continue
            self.count += 1
            if self.count != self.left:
                continue
            there = [one for one in found if os.path.lexists(one)] or found[:1]
            self.busy = True
            (self.site.own / "swapped").write_text(f"{event} {there[0]}")
            for one in there:
                put(self.what, self.site, one)
            self.busy = False


RUNS = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 12
"""How many moments are looked at, spread over all of them; with `make fuzz` each one."""


@pytest.mark.parametrize("what", [link, hard_link, folder], ids=lambda what: what.__name__)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_nothing_outside_changes_when_names_are_swapped(place: Path, operation: str, what: Object) -> None:
    """The moment between two looks: what is outside stays, and what was written is not said to be what is there."""
    work, where, _ = OPERATIONS[operation]

    def fresh(number: int) -> tuple[Site, Swap]:
        (place / f"{number}").mkdir()
        site = Site(place / f"{number}")
        ready(site, operation)
        folder = getattr(site, where)
        return site, Swap(site, (folder, folder / "agi-monitor"), what, number)

    site, counting = fresh(0)

    def counted(site: Site) -> int:
        code = work(site)
        (site.own / "count").write_text(f"{counting.count}")
        return code

    site.ended(counted, lambda: sys.addaudithook(counting))
    moments = int((site.own / "count").read_text()) if (site.own / "count").exists() else 1
    for number in range(1, moments + 1, max(1, moments // RUNS)):
        site, swap = fresh(number)
        before = site.seen_outside()
        code = site.ended(work, lambda swap=swap: sys.addaudithook(swap))  # type: ignore[misc]
        swapped = site.own / "swapped"
        told = (number, swapped.read_text() if swapped.exists() else "nothing", code, site.output())
        assert code in (0, 1, 2), told
        assert site.seen_outside() == before, told
        assert SECRET not in site.output(), told
        if code == 0 and told[1].endswith(("-new", ".tmp")):
            assert is_right(site, operation, "out"), told
