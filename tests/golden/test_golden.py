"""Rendered dialplans, byte by byte."""

from __future__ import annotations

import pytest

from agi_monitor.dialplan.parse import parse
from agi_monitor.dialplan.render import render
from tests.golden.sites import HERE, SITES

CASES = [
    pytest.param(site, file, id=f"{site}-{file}")
    for site, file in [
        *((site, "agi-monitor.conf") for site in SITES),
        ("three-groups", "extensions.conf.sample"),
        ("ipv6-and-secret", "manager.conf.include"),
        ("freepbx", "extensions.conf.sample"),
        ("realtime", "extensions.conf.sample"),
        ("realtime", "pjsip.conf.include"),
        ("realtime", "realtime.sql"),
        ("encrypted", "pjsip.conf.include"),
    ]
]


@pytest.mark.parametrize(("site", "file"), CASES)
def test_file_is_the_golden_one(site: str, file: str, regenerate: bool) -> None:
    """A site's files are exactly the ones that were read and approved."""
    golden = HERE / f"{site}.{file.removeprefix('agi-monitor.')}"
    text = render(SITES[site].site, SITES[site].templates)[file]
    if regenerate:
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text


def test_sample_loads_nothing() -> None:
    """The sample is comments alone: loaded by mistake, it changes nothing."""
    plan = parse(render(SITES["three-groups"].site)["extensions.conf.sample"])
    assert (plan.contexts, plan.dropped) == ((), ())


def test_every_golden_file_belongs_to_a_site() -> None:
    """A golden file that nothing compares would rot unseen."""
    assert sorted(file.stem for file in HERE.glob("*.conf")) == sorted(SITES)
