"""agi_monitor.doctor: what stands in Asterisk's files, and what an install has left there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agi_monitor import assembly
from agi_monitor.config import Config, load
from agi_monitor.dialplan.render import render
from agi_monitor.doctor import gathering
from agi_monitor.doctor.evidence import Evidence, Missing
from agi_monitor.doctor.file_contexts import file_contexts
from agi_monitor.doctor.findings import NotKnown
from agi_monitor.install import plan

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A small site."""
    path = tmp_path / "agi-monitor.yaml"
    path.write_text(
        "supervisors: {}\nrules: []\n"
        f"agents:\n  1001: {{endpoints: [PJSIP/1001], groups: [sales]}}\nstate: {{directory: {tmp_path}/state}}\n"
        f"audit: {{file: {tmp_path}/audit.jsonl}}\n"
    )
    return load(path).config


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Asterisk's, with the two files that every PBX has."""
    folder = tmp_path / "asterisk"
    folder.mkdir()
    (folder / "asterisk.conf").write_text("[options]\nsystemname = pbx\n")
    (folder / "manager.conf").write_text("[general]\nenabled = yes\n")
    return folder


def test_contexts_of_files(folder: Path) -> None:
    """Of peers, queues, mailboxes and parking, in included files too; not those of the dialplan or of comments."""
    (folder / "sip.d").mkdir()
    (folder / "sip.d" / "trunks.conf").write_text("[isdn]\ncontext = from-isdn ; not from-comment\n")
    (folder / "queues.conf").write_text(
        "[500]\ncontext=>leave-queue\nmember => Local/1001@agents/n,0\n;context = from-comment\n"
    )
    (folder / "voicemail.conf").write_text("[general]\nexitcontext=vm-exit\ndialout = vm-out\ncallback=vm-back\n")
    (folder / "extensions.conf").write_text("[x]\ncontext = of-the-dialplan\n")
    found = file_contexts(folder)
    assert sorted(found) == ["agents", "from-isdn", "leave-queue", "vm-back", "vm-exit", "vm-out"]
    assert found["from-isdn"] == f"{folder}/sip.d/trunks.conf:2"


def test_a_folder_of_no_pbx(tmp_path: Path) -> None:
    """Nothing is known of where calls come in, which is another thing than that there is no such place."""
    with pytest.raises(NotKnown, match=r"there is no asterisk\.conf"):
        file_contexts(tmp_path)


def test_files(config: Config, folder: Path) -> None:
    """In their order; one that need not be there is as empty, and what nobody understood is told without its text."""
    (folder / "manager.conf").write_text(
        "[general]\nenabled = yes\n[base](!)\nwrite = call\n[joe](base)\nsecret = x\npermit = 10.0.0.0/8\n"
        "deny = 10.1.0.0/16\nhunter2\n#exec /bin/accounts\n"
    )
    evidence = gathering.of_files(Evidence(NOW), config, folder)
    assert evidence.file("manager.conf")["joe"] == [
        ("write", "call"),
        ("secret", "x"),
        ("permit", "10.0.0.0/8"),
        ("deny", "10.1.0.0/16"),
    ]
    assert evidence.file("ari.conf") == {}
    assert [line.rpartition("/")[2] for line in evidence.not_understood] == [
        "manager.conf:9: no name and value",
        "manager.conf:10: #exec is not followed",
    ]
    (folder / "asterisk.conf").unlink()
    without = gathering.of_files(Evidence(NOW), config, folder)
    assert isinstance(without.files["asterisk.conf"], Missing)
    assert isinstance(without.file_contexts, Missing)


def test_files_of_an_install(config: Config, folder: Path) -> None:
    """Each that is not what the configuration gives; nothing where nothing was installed."""
    assert gathering.of_files(Evidence(NOW), config, folder).file_differences == ()
    rendered = render(assembly.site(config), config.dialplan.templates)
    (folder / plan.FOLDER).mkdir()
    for name, text in rendered.items():
        (folder / plan.FOLDER / name).write_text(text)
    assert gathering.of_files(Evidence(NOW), config, folder).file_differences == ()
    (folder / plan.FOLDER / "agi-monitor.conf").write_text("[agi-monitor]\n")
    (folder / plan.FOLDER / "extensions.conf.sample").unlink()
    assert [
        line.rpartition("/")[2] for line in gathering.of_files(Evidence(NOW), config, folder).file_differences
    ] == [
        "agi-monitor.conf: is not what the configuration gives",
        "extensions.conf.sample: No such file or directory",
    ]


def test_a_certificate_that_is_not_there(config: Config, folder: Path) -> None:
    """Is not fine."""
    (folder / "http.conf").write_text("[general]\ntlsenable = yes\ntlscertfile = /nowhere/http.pem\n")
    evidence = gathering.of_house(gathering.of_files(Evidence(NOW), config, folder), config)
    assert evidence.certificates == Missing("http.conf: /nowhere/http.pem: No such file or directory")
