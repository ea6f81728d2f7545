"""The socket is found without a check of the whole, or not at all: never another one than the check finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agi_monitor.config import control_socket
from agi_monitor.config.loading import load
from agi_monitor.config.sample import SAMPLE
from agi_monitor.config.sections import Config
from agi_monitor.control.socket_file import socket_path
from agi_monitor.errors import ConfigError
from tests.doubles.desk import PIN_HASH

WITHOUT = re.sub(r"(?ms)^(state|control):\n( .*?\n)+", "", SAMPLE.replace("REPLACE-ME", PIN_HASH))
"""A configuration that says nothing of the socket."""

CONTROLS = (
    *("", "control: {}", "control: {socket: /run/a.sock}", "control:\n  socket: a b/c.sock", "control: {socket: ''}"),
    *(
        "control:",
        "control: null",
        "control: []",
        "control: /run/a.sock",
        "control: {socket: }",
        "control: {socket: ~}",
    ),
    *("control: {socket: '~'}", "control: {socket: 12}", "control: {socket: [/run/a.sock]}", "control: {socket: {}}"),
    *("control: {sokcet: /run/a.sock}", "control: {socket: /run/a.sock, mode: 6}", "contrl: {socket: /run/a.sock}"),
    *("Control: {socket: /run/a.sock}", "control: &a {socket: /b.sock}\nstate: *a", 'control: {socket: "/a\\x00b"}'),
    *("control: {socket: /a}\ncontrol: {socket: /b}", "control: {socket: /a, socket: /b}", "control: !!str x"),
    *(
        "control: {? [socket] : /a}",
        "<<: {control: {socket: /a}}",
        "control: {<<: {socket: /a}}",
        "control: {socket: *a}",
    ),
    *("? control\n: {socket: /run/a.sock}", "'control': {'socket': !!str /run/a.sock}", "control: {socket: !x /a}"),
)
STATES = (
    *("", "state: {}", "state: {directory: /srv/state}", "state: {directory: }", "state: {directory: ''}", "state:"),
    *(
        "state: {folder: /srv/state}",
        "state: [/srv/state]",
        "state: {directory: [x]}",
        "staet: {directory: /srv/state}",
    ),
)


def checked(path: Path) -> Path | str:
    """What the check of the whole finds, or what it says."""
    try:
        config = load(path).config
    except ConfigError as error:
        return str(error)
    return socket_path(config.control.socket, config.state.directory)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("control", CONTROLS)
def test_it_is_the_one_that_the_check_finds(tmp_path: Path, control: str, state: str) -> None:
    """Whatever is said of it. What is refused here is refused there in the same words."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text(f"{WITHOUT}\n{control}\n{state}\n")
    try:
        found = control_socket.named_in(path)
    except ConfigError as error:
        assert str(error) == checked(path)
    else:
        assert found in (None, checked(path))


def test_the_usual_ones_need_no_check(tmp_path: Path) -> None:
    """The sample, a socket, a folder, both."""
    path = tmp_path / "agi-monitor.yaml"
    for text, socket in (
        (SAMPLE, "/var/lib/agi-monitor/control.sock"),
        (WITHOUT, "/var/lib/agi-monitor/control.sock"),
        (f"{WITHOUT}\nstate: {{directory: /srv/state}}\n", "/srv/state/control.sock"),
        (f"{WITHOUT}\ncontrol: {{socket: /run/a.sock}}\nstate: {{directory: /srv/state}}\n", "/run/a.sock"),
    ):
        path.write_text(text)
        assert control_socket.named_in(path) == Path(socket)


def test_a_mistake_elsewhere_is_no_hindrance(tmp_path: Path) -> None:
    """The server that runs still has the configuration that it was started with."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text("rules: 5\ncontrol: {socket: /run/a.sock}\n")
    assert control_socket.named_in(path) == Path("/run/a.sock")
    assert "rules" in str(checked(path))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """Is left to the check, which says so."""
    assert control_socket.named_in(tmp_path / "none.yaml") is None
    assert control_socket.named_in(tmp_path) is None


def test_every_section_is_known() -> None:
    """A new section of the configuration must be named here, or each command that asks would check all of it."""
    assert frozenset(Config.model_fields) == control_socket.SECTIONS
