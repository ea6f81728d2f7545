"""The public names: which there are, what they cost, and that a type checker of a user knows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import agi_monitor

CHECKOUT = Path(__file__).resolve().parents[1]
SAMPLES = CHECKOUT / "tests" / "samples"

PUBLIC = [
    "AGIRequest",
    "AMILimits",
    "Account",
    "ActionFailed",
    "AfterSpy",
    "AgiMonitorError",
    "AgiServer",
    "AgiService",
    "Asked",
    "AsyncAgiService",
    "AuditWriter",
    "Authorizer",
    "BeforeSpy",
    "BlockingAGI",
    "BlockingManager",
    "CallEnded",
    "ChannelState",
    "Command",
    "CommandFailed",
    "Connecting",
    "DialOutcome",
    "DialStatus",
    "Digits",
    "Disconnected",
    "Down",
    "EndReason",
    "Event",
    "EventsLost",
    "ForgedAnswer",
    "InvalidCommand",
    "Limits",
    "ListAnswer",
    "LocalProtocolError",
    "LoggingIn",
    "LoginRefused",
    "ManagerClient",
    "Message",
    "News",
    "NoAnswer",
    "Originated",
    "Outcome",
    "Overflow",
    "PeopleStore",
    "PermissionDenied",
    "PinAnswer",
    "PinCheck",
    "Playback",
    "PlayedList",
    "Plugin",
    "PromptSet",
    "ProtocolError",
    "Recognition",
    "Recording",
    "Refused",
    "RemoteProtocolError",
    "Reply",
    "Router",
    "Session",
    "SpeechMatch",
    "TargetResolver",
    "Up",
    "Verification",
    "WrongUsage",
    "blocking",
    "blocking_script",
    "command",
    "run_agi",
    "serve",
]
"""What ``from agi_monitor import ...`` gives. A name that goes away or changes its meaning is a new major version."""

PUBLIC_SESSION = [
    "answer",
    "asyncagi_break",
    "awaiting",
    "channel_status",
    "control_stream_file",
    "database_del",
    "database_deltree",
    "database_get",
    "database_put",
    "dial",
    "end",
    "execute",
    "get_data",
    "get_full_variable",
    "get_option",
    "get_variable",
    "gosub",
    "hangup",
    "held",
    "menu",
    "noop",
    "perform",
    "play",
    "receive_char",
    "receive_text",
    "record_file",
    "refuse",
    "say_alpha",
    "say_date",
    "say_datetime",
    "say_digits",
    "say_number",
    "say_phonetic",
    "say_time",
    "send",
    "send_image",
    "send_text",
    "set_autohangup",
    "set_callerid",
    "set_context",
    "set_extension",
    "set_music",
    "set_priority",
    "set_variable",
    "speech_activate_grammar",
    "speech_create",
    "speech_deactivate_grammar",
    "speech_destroy",
    "speech_load_grammar",
    "speech_recognize",
    "speech_set",
    "speech_unload_grammar",
    "stream_file",
    "tdd_mode",
    "until",
    "verbose",
    "wait_for_digit",
]


def test_the_public_names_are_these() -> None:
    """No name slips in or out unseen, and each is there."""
    assert sorted(agi_monitor.__all__) == PUBLIC
    assert {name for name in PUBLIC if getattr(agi_monitor, name).__doc__ is None} == set()
    assert set(PUBLIC) <= set(dir(agi_monitor))


def test_the_methods_of_a_session_are_these() -> None:
    """The same for what every handler is given."""
    methods = [
        name for name in dir(agi_monitor.Session) if name[0] != "_" and callable(getattr(agi_monitor.Session, name))
    ]
    assert methods == PUBLIC_SESSION


def test_another_name_is_an_attribute_error() -> None:
    """A name that was mistyped is said as Python says it."""
    with pytest.raises(AttributeError, match=r"module 'agi_monitor' has no attribute 'Sesion'"):
        agi_monitor.Sesion  # noqa: B018 (asking is the test)


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import agi_monitor", ("twisted", "asterisk", "structlog", "asyncio", "pydantic")),
        ("from agi_monitor import Account, AsyncAgiService, CallEnded, Router, Session", ("asterisk",)),
        ("from agi_monitor import *", ("twisted.internet.reactor", "pydantic", "sqlalchemy")),
        ("from agi_monitor.testing import FakeAsterisk", ("twisted.internet.reactor", "pydantic")),
    ],
)
def test_importing_is_light(statement: str, absent: tuple[str, ...]) -> None:
    """The package alone loads nothing, and no name of it chooses the reactor or loads the product."""
    loaded = f"{statement}\nimport sys\nprint(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


ALONE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import agi_monitor
for name in agi_monitor.__all__:
    getattr(agi_monitor, name)
from agi_monitor.testing import FakeAsterisk, FakeManager

async def handler(session):
    await session.answer()

fake = FakeAsterisk()
fake.run(handler)
print(fake.agi_status)
"""


def test_the_library_needs_a_few_packages_alone() -> None:
    """Every public name is there, and a call is served, where nothing of the server is installed."""
    absent = {"alembic", "argon2", "click", "jinja2", "prometheus_client", "pydantic", "rich", "ruamel", "sqlalchemy"}
    command = [sys.executable, "-W", "error", "-c", ALONE.format(absent=absent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["SUCCESS"]), done.stderr


def checked(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """What mypy --strict says of a user's file, with no settings or plug-in of ours."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += ["--ignore-missing-imports", "--cache-dir", str(CHECKOUT / ".mypy_cache" / "samples"), str(path)]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["menu.py", "asyncio_server.py"])
def test_a_users_file_passes_mypy_strict(tmp_path: Path, name: str) -> None:
    """Typed routes, a class, errors and commands of a sample have no complaint; nor has a server on asyncio."""
    sample = tmp_path / name
    sample.write_text((SAMPLES / name).read_text())
    done = checked(sample, tmp_path)
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")


def test_a_users_mistakes_are_found_by_mypy(tmp_path: Path) -> None:
    """The types are not lost on the way: each wrong line of the other sample is named."""
    sample = tmp_path / "wrong.py"
    sample.write_text((SAMPLES / "menu_wrong.py.txt").read_text())
    lines = [int(line.split(":")[1]) for line in checked(sample, tmp_path).stdout.splitlines() if ": error:" in line]
    assert lines == [5, 6, 7, 10]
