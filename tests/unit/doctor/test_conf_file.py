"""agi_monitor.doctor.conf_file: sections, templates, comments and includes, as Asterisk has them."""

from __future__ import annotations

from pathlib import Path

from agi_monitor.doctor import conf_file
from agi_monitor.doctor.evidence import Missing

TEXT = """\
; a comment
[general]
enabled = yes ; and another
bindaddr=>127.0.0.1
#include "more/*.conf"
[joe](!)
secret = of a template
[joe](+)
secret = se\\;cret
read = call
read = agent
"""


def test_reads_what_asterisk_reads(tmp_path: Path) -> None:
    """A section goes on where it comes again; a template is none."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text("port = 5038\n[ann]\nSecret = x\n#tryinclude none.conf\n")
    (tmp_path / "manager.conf").write_text(TEXT)
    assert conf_file.read(tmp_path, "manager.conf") == {
        "general": {"enabled": ["yes"], "bindaddr": ["127.0.0.1"], "port": ["5038"]},
        "ann": {"secret": ["x"]},
        "joe": {"secret": ["se\\;cret"], "read": ["call", "agent"]},
    }


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    """After some depth."""
    (tmp_path / "a.conf").write_text("[a]\nx = 1\n#include a.conf\n")
    found = conf_file.read(tmp_path, "a.conf")
    assert isinstance(found, dict)
    assert set(found["a"]["x"]) == {"1"}


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    """With its name and why."""
    found = conf_file.read(tmp_path, "none.conf")
    assert found == Missing(f"{tmp_path}/none.conf: No such file or directory")
