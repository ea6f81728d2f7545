"""The administrator's first hour: a machine with an Asterisk that knows nothing of us, up to a call that is heard."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from contrib.lab.images import ASTERISK, MACHINE, ensure_images
from contrib.lab.pbx import Lab
from contrib.lab.waiting import wait_until
from tests.scenarios.house import heard_in
from tests.scenarios.test_flavours import EXTENSIONS, MANAGER, PHONES, PJSIP

pytestmark = pytest.mark.either_version
"""Debian has Python 3.11 and the packages of the image beside Asterisk 22 only; files and console are those of 16."""

SECONDS = 20.0
PIN = re.compile(r"The PIN of anna, shown only here: (\d{6})")
OURS = ("/etc/agi-monitor", "/usr/local/bin/agi-monitor", "/usr/local/share/man/man1", "/etc/asterisk/agi-monitor")

WRITTEN = ("/tmp/said", "/etc/agi-monitor", "/etc/asterisk", "/var/log", "/var/lib/agi-monitor*", "/root")
"""All that a setup writes, and what its output was led to."""


class Machine:
    """The machine of the PBX, and root on it.

    :param lab: whose PBX it is
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def root(self, command: str, *, tty: bool = False) -> tuple[int, str]:
        """Run a command line as root; with a terminal where asked for."""
        container = self.lab.pbx.container.get_wrapped_container()
        code, output = container.exec_run(["sh", "-c", command], tty=tty)
        return code, output.decode().replace("\r\n", "\n")

    def must(self, command: str, *, tty: bool = False) -> str:
        """The same, of a command that has to end well."""
        code, output = self.root(command, tty=tty)
        assert code == 0, output
        return output

    def files(self) -> str:
        """Each of Asterisk's own files, with what it holds and whose it is."""
        return self.must("cd /etc/asterisk && stat -c '%n %U:%G %a' *.conf && sha256sum *.conf")


@pytest.fixture
def machine(asterisk_version: str) -> Iterator[Machine]:
    """Asterisk's folder belongs to its own user, as Debian has it; of us there is the program alone."""
    assert asterisk_version
    ensure_images((ASTERISK["22"],))
    site: dict[str, str | bytes] = {"extensions.conf": EXTENSIONS, "manager.conf": MANAGER, "pjsip.conf": PJSIP}
    with Lab("22", PHONES, site=site, image=ensure_images((MACHINE,))[MACHINE]) as lab:
        machine = Machine(lab)
        machine.must("cd /etc/asterisk && for file in site/*; do cp --remove-destination $file .; done")
        machine.must("cd /etc/asterisk && rm -r agi-monitor && chown asterisk: . *.conf && chmod 640 *.conf")
        yield machine


def test_from_nothing_to_a_call_that_is_heard_and_back(machine: Machine) -> None:
    """One command, the one line that it names, and the call is heard; `uninstall` leaves what was there before."""
    lab, before = machine.lab, machine.files()
    code, said = machine.root("/opt/agi-monitor/bin/agi-monitor setup --yes")
    assert (code, "--phone is missing" in said, "2001" in said) == (1, True, True)

    setup = "/opt/agi-monitor/bin/agi-monitor setup --yes"
    said = machine.must(f"{setup} --phone 2001 --supervisor anna --agent 1001 | tee /tmp/said", tty=True)
    found = PIN.search(said)
    assert found is not None, said
    # On the terminal, and nowhere else: not even where the output went.
    assert machine.root(f"grep -rlsw {found[1]} {' '.join(WRITTEN)}")[1] == ""
    assert machine.must(
        "stat -c '%U:%G %a' /etc/agi-monitor/agi-monitor.yaml /etc/agi-monitor /var/lib/agi-monitor"
    ) == ("root:agi-monitor 640\nroot:agi-monitor 2750\nagi-monitor:agi-monitor 750\n")
    assert "username: agi-monitor" in lab.pbx.cli("manager show user agi-monitor")
    assert "checks:" in said  # the doctor's last line
    assert "now dial *2221001" in said.splitlines()[-1]

    # What it names, done word for word.
    line = re.search(
        r"^(\S+):(\d+): in the section \[2001\], in place of context = supervisors, write:\n +(.+)$", said, re.M
    )
    assert line is not None, said
    machine.must(f"sed -i '{line[2]}a {line[3]}' {line[1]}")
    for command in re.findall(r"^    (asterisk -rx .+|runuser .+)$", said, re.M):
        machine.must(f"{command} >>/tmp/server.log 2>&1 &" if "serve" in command else command)
    wait_until(lambda: "serving" in machine.root("cat /tmp/server.log")[1], SECONDS, "the server to serve")

    # A second time: nothing is left to be done, and nothing is changed or asked.
    files = machine.files()
    said = machine.must(setup)
    assert said.splitlines()[-1] == "During a call of 1001, on the phone 2001: now dial *2221001", said
    assert "PIN" not in said
    assert machine.files() == files

    lab.connect("3001", "1001")
    lab.phone("2001").dial("*2221001")
    wait_until(lambda: "pin_prompted" in machine.root("cat /tmp/server.log")[1], SECONDS, "the PIN to be asked for")
    lab.phone("2001").press(f"{found[1]}#")
    lab.wait_for_hearing(heard_in("listen"))
    assert '"extension": "1001"' in machine.must("agi-monitor spies --json")
    lab.phone("2001").hang_up()

    # The site's own line goes by hand, as the document says; the rest by one command.
    machine.must(f"sed -i '{int(line[2]) + 1}d' {line[1]}")
    machine.must("kill $(cat /var/lib/agi-monitor/agi-monitor.pid)")
    said = machine.must("agi-monitor uninstall --yes")
    assert machine.files() == before
    assert machine.root(f"ls -d {' '.join(OURS)} 2>/dev/null")[1] == ""
    assert "/var/log/agi-monitor: kept: there are files in it" in said
    assert "user agi-monitor: kept" in said
    machine.must("asterisk -rx 'module reload pbx_config.so'")
    assert "There is no existence of" in lab.pbx.dialplan_show("agi-monitor-call")
