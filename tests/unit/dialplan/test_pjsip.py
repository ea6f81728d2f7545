"""agi_monitor.dialplan: what goes into pjsip.conf, and nothing that Asterisk would refuse the file for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agi_monitor.config import translation
from agi_monitor.config.loading import parse
from agi_monitor.dialplan import conf_files
from agi_monitor.dialplan.lint_pjsip import lint_pjsip
from agi_monitor.dialplan.render import PJSIP, REALTIME, render
from agi_monitor.dialplan.site import PermissionGroup, Phones, Pjsip, Site
from agi_monitor.errors import RenderError
from agi_monitor.model import Flavour, Mode

GOOD = "[a](!)\ntype = endpoint\n[b](!,a)\nset_var = X=1\n[t]\ntype = transport\nbind = 0.0.0.0:5061\n"
ENCRYPTED = Pjsip("0.0.0.0", 5061, "/etc/asterisk/pbx.pem", "/etc/asterisk/pbx.key", srtp=True)
LEADS = PermissionGroup("leads", frozenset(Mode), (), ("2001", "2003"))
QUALITY = PermissionGroup("quality", frozenset({Mode.LISTEN}), (), ("2002", "2003"))


def test_what_is_right() -> None:
    """Templates from templates, and a transport."""
    assert lint_pjsip(GOOD) == ()


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (GOOD + "[2001](b)\n", 8, "[2001] is not a template"),
        (GOOD + "[2001]\n", 8, "[2001] is not a template"),
        (GOOD + "[c](!,d)\n", 8, "made from 'd', which is not above it"),
        (GOOD + "[b](+)\n", 8, "[b] is there twice"),
        (GOOD + "#include other.conf\n", 8, "is not a setting"),
        (GOOD + "transport =\n", 8, "is not a setting"),
        ("type = endpoint\n" + GOOD, 1, "stands in no section"),
        (GOOD + "; \u202e\n", 8, "U+202E"),
        (GOOD + ";-- x\n", 8, "opens a comment"),
    ],
)
def test_what_asterisk_would_refuse(text: str, line: int, why: str) -> None:
    """Or would take for something else; with the line."""
    found = lint_pjsip(text)
    assert line in {problem.line for problem in found}
    assert any(why in problem.text for problem in found), found


def test_a_phone_has_what_its_template_says(tmp_path: Path) -> None:
    """Read as Asterisk reads it: the last setting counts."""
    site = Site((), (LEADS, QUALITY), phones=Phones("phones"), pjsip=ENCRYPTED, agent_groups=("sales",))
    (tmp_path / "fragment").write_text(render(site)[PJSIP])
    (tmp_path / "pjsip.conf").write_text(
        "#include fragment\n[phone](!)\ntype = endpoint\ncontext = phones\ndirect_media = yes\ntransport = udp\n"
        "[2001](phone,agi-monitor-group-leads)\n[1001](phone,agi-monitor-agents-sales)\n"
    )
    reading = conf_files.read(tmp_path, "pjsip.conf")
    assert reading.notes == []
    found = {section.name: section for section in reading.sections if not section.is_template}
    assert found["agi-monitor-tls"].last("bind") == "0.0.0.0:5061"
    for name, context, variable in (
        ("2001", "agi-monitor-phone-leads", "AGI_MONITOR_GROUP=leads"),
        ("1001", "phones", "SPYGROUP=sales"),
    ):
        settings = {
            key: found[name].last(key) for key in ("context", "direct_media", "transport", "media_encryption")
        }
        assert settings == {
            "context": context,
            "direct_media": "no",
            "transport": "agi-monitor-tls",
            "media_encryption": "sdes",
        }
        assert found[name].values("set_var") == [variable]


def test_sound_is_not_encrypted_with_keys_in_the_clear() -> None:
    """SDES sends them in the signalling."""
    with pytest.raises(RenderError, match="keys in the clear"):
        Pjsip(srtp=True)


def test_freepbx_writes_its_own() -> None:
    """An endpoint of FreePBX cannot be made from a template of ours."""
    with pytest.raises(RenderError, match=r"FreePBX writes pjsip\.conf itself"):
        Site((), (LEADS,), flavour=Flavour.FREEPBX, pjsip=Pjsip())


def test_a_phone_in_two_groups_dials_from_one_context() -> None:
    """That of the group with the most codes; the server decides about each call."""
    site = Site((), (QUALITY, LEADS), flavour=Flavour.REALTIME, phones=Phones("phones", "extensions"))
    text = render(site)[REALTIME]
    assert "context = 'agi-monitor-phone-leads', allow_transfer = 'no' WHERE id IN ('2001', '2003');" in text
    assert "context = 'agi-monitor-phone-quality', allow_transfer = 'no' WHERE id IN ('2002');" in text
    open_text = render(replace(site, allow_transfer=True))[REALTIME]
    assert "context = 'agi-monitor-phone-leads' WHERE id IN ('2001', '2003');" in open_text
    assert "allow_transfer" not in open_text


def test_supervisors_may_not_transfer_unless_the_site_says_so() -> None:
    """Agents may: their template says nothing about it."""
    site = Site((), (LEADS,), phones=Phones("phones"), pjsip=Pjsip(), agent_groups=("sales",))
    text = render(site)[PJSIP]
    supervisors, agents = text.partition("[agi-monitor-agents-sales]")[::2]
    assert "\nallow_transfer = no\n" in supervisors
    assert "allow_transfer" not in agents
    assert "allow_transfer" not in render(replace(site, allow_transfer=True))[PJSIP]


PIN = b"'$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b27sA'"
CONFIG = b"""
supervisors:
  anna: {endpoints: [PJSIP/2001, SIP/17], groups: [leads], pin: %s}
agents:
  1001: {endpoints: [PJSIP/1001], groups: [sales]}
rules:
  - {name: a, allow: [listen], supervisors: [leads], agents: [sales]}
ami: {secret: a-secret-for-nobody-1234}
asterisk: %s
"""


@pytest.mark.parametrize(
    ("asterisk", "files", "phones"),
    [
        (b"{}", ["agi-monitor.conf", "extensions.conf.sample", "manager.conf.include"], None),
        (b"{account: false}", ["agi-monitor.conf", "extensions.conf.sample"], None),
        (
            b"{flavour: freepbx}",
            ["agi-monitor.conf", "extensions.conf.sample", "manager.conf.include"],
            Phones("from-internal"),
        ),
        (
            b"{flavour: realtime, phones: office, account: false, pjsip: {}}",
            ["agi-monitor.conf", "extensions.conf.sample", "pjsip.conf.include", "realtime.sql"],
            Phones("office", "extensions"),
        ),
    ],
)
def test_each_part_can_be_had_alone(asterisk: bytes, files: list[str], phones: Phones | None) -> None:
    """By the configuration."""
    config = parse(CONFIG % (PIN, asterisk), "agi-monitor.yaml")
    site = translation.site(config)
    assert sorted(render(site)) == files
    assert site.phones == phones
    assert [group.devices for group in site.groups] == [("2001",)]
