"""Commands are imported when they are called. The list says what they say; none brings along what others need."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from agi_monitor.commands.later import Later
from agi_monitor.commands.main import main
from agi_monitor.config.sample import SAMPLE
from tests.doubles.desk import PIN_HASH
from tests.shell.live_server import LiveServer

LISTED = [command for command in main.commands.values() if isinstance(command, Later)]

LOADED = """
import atexit, sys
atexit.register(lambda: open(sys.argv[-1], "w").write("\\n".join(sys.modules)))
path = sys.argv.pop()
sys.argv.append(path)
from agi_monitor.commands.main import main
main(sys.argv[1:-1], prog_name="agi-monitor")
"""

CHECKS = frozenset({"pydantic", "agi_monitor.config.sections"})
"""What checks a whole configuration."""
DRAWS = frozenset({"rich"})
"""What draws a table."""
ASKS = frozenset({"agi_monitor.control.client", "ruamel"})
"""What asks the server."""
HEAVY = frozenset(
    {
        *("alembic", "argon2", "asyncio", "cryptography", "jinja2", "OpenSSL", "prometheus_client", "sqlalchemy"),
        *("structlog", "twisted", "zope"),
    }
)
"""What belongs to a server, to its store and to the dialplan."""


def test_there_is_no_other_command() -> None:
    """One that stands in ``main`` itself would be imported with all others."""
    assert len(LISTED) == len(main.commands) > 15


def completed(*words: str) -> list[str]:
    """What a shell is told when the last of these words is begun."""
    *before, incomplete = words
    found = ShellComplete(main, {}, "agi-monitor", "_X").get_completions(before, incomplete)
    return [one.value for one in found]


@pytest.mark.parametrize("listed", LISTED, ids=lambda listed: str(listed.name))
def test_the_list_says_what_the_command_says(listed: Later) -> None:
    """Its name, and its first sentence, on a terminal of any width."""
    command = listed.command()
    assert (command.name, command.hidden, command.deprecated) == (listed.name, False, False)
    for width in (10, 30, 45, 60, 80, 200):
        assert listed.get_short_help_str(width) == command.get_short_help_str(width)
    assert (listed.help or "").endswith(".")


def test_the_shell_completes_what_is_inside() -> None:
    """Names of commands, their options, and the commands within one."""
    assert completed("sp") == ["spies", "spy"]
    assert completed("spy", "") == ["kill"]
    assert completed("calls", "--") == ["--config", "--socket", "--watch", "--json", "--help"]
    assert completed("people", "add", "a") == ["agent"]


# ---- what is imported --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server, and a configuration beside its socket."""
    folder = tmp_path_factory.mktemp("house")
    text = SAMPLE.replace("REPLACE-ME", PIN_HASH).replace("/var/lib/agi-monitor", str(folder))
    (folder / "agi-monitor.yaml").write_text(text.replace("/var/log/agi-monitor", str(folder)))
    with LiveServer(folder / "control.sock") as server:
        yield server


def loaded(server: LiveServer, tmp_path: Path, *arguments: str, **environment: str) -> frozenset[str]:
    """All modules of a process that was one command."""
    out = tmp_path / "modules"
    config = {"AGI_MONITOR_CONFIG": str(server.path.parent / "agi-monitor.yaml")}
    subprocess.run(
        [sys.executable, "-c", LOADED, *arguments, str(out)],
        env={**os.environ, **config, **environment},
        capture_output=True,
        check=True,
    )
    modules = out.read_text().split()
    return frozenset(modules) | {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--version"], HEAVY | CHECKS | DRAWS | ASKS),
        (["--help"], HEAVY | CHECKS | DRAWS | ASKS),
        (["calls", "--help"], HEAVY | CHECKS | DRAWS),
        (["calls"], HEAVY | CHECKS),
        (["spies"], HEAVY | CHECKS),
        (["status"], HEAVY | CHECKS),
        (["calls", "--json"], HEAVY | CHECKS | DRAWS),
        (["spies", "--json"], HEAVY | CHECKS | DRAWS),
        (["spy", "kill", "a1b2.1", "--json"], HEAVY | CHECKS | DRAWS),
        (["init", "/dev/null/x", "--help"], HEAVY | CHECKS | DRAWS | ASKS),
        (["reload", "--help"], HEAVY | DRAWS),
        (["discover", "--help"], HEAVY | CHECKS | DRAWS),
        (["check-config"], frozenset({"alembic", "cryptography", "sqlalchemy", "prometheus_client"})),
        (["render", "--help"], frozenset({"alembic", "cryptography", "sqlalchemy", "prometheus_client"})),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_brings_along_only_what_it_needs(
    server: LiveServer, tmp_path: Path, arguments: list[str], absent: frozenset[str]
) -> None:
    """This is why ``agi-monitor calls`` can be called every second."""
    assert loaded(server, tmp_path, *arguments) & absent == frozenset()


def test_a_shell_that_completes_a_word_imports_no_command(server: LiveServer, tmp_path: Path) -> None:
    """As a key is pressed for it."""
    words = {"_AGI_MONITOR_COMPLETE": "bash_complete", "COMP_WORDS": "agi-monitor sp", "COMP_CWORD": "1"}
    assert loaded(server, tmp_path, **words) & (HEAVY | CHECKS | DRAWS | ASKS) == frozenset()
