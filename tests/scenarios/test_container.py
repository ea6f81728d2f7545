"""contrib/docker: the image and the compose file, beside a real PBX."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agi_monitor.config.loading import load
from contrib.lab.engine import engine_client, ensure_programs
from contrib.lab.images import ASTERISK, CACHE, SERVER, ensure_images
from contrib.lab.pbx import Lab
from contrib.lab.program import Program, Started
from contrib.lab.progress import Progress
from contrib.lab.server import MonitorServer
from contrib.lab.waiting import wait_until
from tests.doubles.desk import PIN_HASH
from tests.scenarios.house import House, heard_in

pytestmark = pytest.mark.either_version
"""The container is ours."""

COMPOSE = Path(__file__).resolve().parents[2] / "contrib" / "docker" / "compose.yaml"
USER = 990
"""Whom the image runs as."""
START_SECONDS = 120.0


@pytest.fixture(scope="module")
def image() -> str:
    """The product as a container image."""
    return ensure_images((SERVER,))[SERVER]


class ContainedServer(MonitorServer):
    """The server in its container: of this machine it has its own folder, and as few rights as compose gives.

    :param image: what it is started from
    """

    image = ""

    def serving(self) -> Program:
        """The container, with another name each time."""
        self.name = f"agi-monitor-test-{secrets.token_hex(6)}"
        rights = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--tmpfs", "/tmp"]
        user = f"{os.getuid()}:{os.getgid()}"
        command = ["docker", "run", "--rm", "--name", self.name, "--network", "host", "--user", user, *rights]
        program = Started()
        program.command = (*command, "--volume", f"{self.folder}:{self.folder}", self.image)
        return program

    def kill(self) -> None:
        """End the container at once."""
        subprocess.run(["docker", "rm", "--force", self.name], capture_output=True, check=False)
        super().kill()


@pytest.fixture
def contained(lab: Lab, image: str, tmp_path: Path) -> Iterator[House]:
    """The laboratory with a server in a container."""
    server = ContainedServer(lab, tmp_path)
    server.image = image
    server.render()
    with server:
        yield House(lab, server)


def test_the_container_serves_every_mode(contained: House) -> None:
    """From the image, listen, whisper and barge have their whole matrix, and a stop leaves a whole audit."""
    contained.lab.connect("3001", "1001")
    contained.spy("listen")
    contained.hears(heard_in("listen"))
    for mode in ("whisper", "barge"):
        contained.change_mode(mode)
        contained.hears(heard_in(mode))
    contained.lab.phone("2001").hang_up()
    contained.server.wait_for_audit("spy_ended", 3)
    assert contained.server.stop() == 0
    assert contained.server.audit()[-1]["fact"] == "server_stopped"
    said = contained.server.command("audit", "verify", "--config", str(contained.server.config))
    assert "nothing was changed" in said


# ---- compose -------------------------------------------------------------------------------------------

SITE = f"""\
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", groups: [leads]}}
agents:
  1001: {{endpoints: [PJSIP/1001]}}
rules:
  - {{name: one, allow: [listen], supervisors: [leads], agents: [all]}}
log: {{format: json}}
"""

Compose = Callable[..., str]


@pytest.fixture
def compose(image: str, tmp_path: Path) -> Iterator[Compose]:
    """Run docker-compose on the compose file with the laboratory's PBX; all is gone afterwards."""
    ensure_programs({"docker-compose": "docker-compose"}, CACHE, Progress())
    pbx = ensure_images((ASTERISK["22"],))[ASTERISK["22"]]
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "agi-monitor.yaml").write_text(SITE)
    settings.chmod(0o755)
    environment = {
        **os.environ,
        "ASTERISK_IMAGE": pbx,
        "AGI_MONITOR_IMAGE": image,
        "AGI_MONITOR_CONFIG": str(settings),
    }
    project = f"agi-monitor-test-{secrets.token_hex(6)}"

    def run(*arguments: str) -> str:
        command = ["docker-compose", "--project-name", project, "--file", str(COMPOSE), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    yield run
    run("down", "--volumes", "--timeout", "30")


def test_compose_brings_up_both_and_a_call_reaches_the_server(compose: Compose) -> None:
    """The dialplan is rendered into the PBX, which reaches the server over loopback; nobody from outside can."""
    compose("up", "--detach")

    def logged(event: str) -> bool:
        return f'"event": "{event}"' in compose("logs", "--no-color", "agi-monitor")

    wait_until(lambda: logged("serving"), START_SECONDS, "the server to serve")
    command = ["/opt/agi-monitor/bin/agi-monitor", "render", "--out", "/dialplan"]
    compose("exec", "-T", "--user", "0", "agi-monitor", *command)
    wait_until(
        lambda: "Dialplan reloaded" in compose("exec", "-T", "asterisk", "asterisk", "-rx", "dialplan reload"),
        START_SECONDS,
        "Asterisk to answer",
    )
    compose(
        *("exec", "-T", "asterisk", "asterisk", "-rx"),
        "channel originate Local/*2221001@agi-monitor-group-leads application Wait 20",
    )
    wait_until(lambda: logged("call_started"), START_SECONDS, "the call to reach the server")
    client = engine_client()
    try:
        (container,) = [
            one
            for one in client.containers.list()
            if one.name.startswith("agi-monitor-test-") and "_agi-monitor_" in one.name
        ]
        assert container.attrs["HostConfig"]["NetworkMode"].startswith("container:")
        assert container.attrs["HostConfig"]["ReadonlyRootfs"] is True
        assert container.attrs["Config"]["User"] == "agi-monitor"
        assert container.attrs["NetworkSettings"]["Ports"] == {}
    finally:
        client.close()
    status = compose("exec", "-T", "agi-monitor", "/opt/agi-monitor/bin/agi-monitor", "status", "--json")
    assert json.loads(status)["version"] == "0.1.0"


def test_the_defaults_of_the_container_fit_the_configuration(tmp_path: Path) -> None:
    """What the compose file mounts is where an unchanged configuration puts its files."""
    (tmp_path / "agi-monitor.yaml").write_text(SITE)
    config = load(tmp_path / "agi-monitor.yaml").config
    text = COMPOSE.read_text()
    assert config.audit.file is not None
    assert f":{config.state.directory}\n" in text
    assert f":{config.audit.file.parent}\n" in text
