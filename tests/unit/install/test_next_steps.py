"""What a person is told to do after an install: all of it, in order, as it can be copied."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.dialplan.site import Phones, Site
from agi_monitor.install.next_steps import after_install, after_uninstall
from agi_monitor.model import Flavour
from tests.golden.sites import ANNA, LEADS, QUALITY

SITE = Site(agents=(ANNA,), groups=(LEADS, QUALITY))
LOAD = ("module reload pbx_config.so", "manager reload")


def lines(site: Site, commands: tuple[str, ...] = LOAD) -> list[str]:
    """All that can be copied, in order."""
    return [line for step in after_install(site, commands) for line in step.lines]


def test_without_a_context_of_the_phones_the_codes_are_included() -> None:
    """What is written is loaded, included, loaded again, and served."""
    assert lines(SITE) == [
        "asterisk -rx 'module reload pbx_config.so'",
        "asterisk -rx 'manager reload'",
        "include => agi-monitor-group-leads",
        "include => agi-monitor-group-quality",
        "asterisk -rx 'module reload pbx_config.so'",
        "systemctl enable --now agi-monitor",
        "agi-monitor reload",
        "agi-monitor install --check --ami-user USER",
    ]


def test_with_a_context_of_the_phones_each_phone_is_named() -> None:
    """A phone of two groups is in one of them; what an account has loaded is not loaded twice."""
    site = replace(SITE, phones=Phones("phones"))
    assert lines(site, ()) == [
        "[2001] context = agi-monitor-phone-leads",
        "[berta-mobile] context = agi-monitor-phone-leads",
        "[2002] context = agi-monitor-phone-quality",
        "asterisk -rx 'module reload res_pjsip.so'",
        "systemctl enable --now agi-monitor",
        "agi-monitor reload",
    ]


@pytest.mark.parametrize(
    ("site", "line"),
    [
        (
            replace(SITE, flavour=Flavour.FREEPBX, phones=Phones("from-internal")),
            "agi-monitor-phone-leads",
        ),
        (
            replace(SITE, phones=Phones("phones"), groups=(replace(LEADS, devices=()),)),
            "context = agi-monitor-phone-leads",
        ),
    ],
)
def test_where_phones_are_elsewhere_their_context_is_named(site: Site, line: str) -> None:
    """On FreePBX they are in its pages; a phone that is not one of PJSIP's is in a file that we do not know."""
    assert line in lines(site)


def test_a_dialplan_of_the_site_is_its_own() -> None:
    """Nothing is said of contexts that were not installed."""
    assert not any("include" in line or "context" in line for line in lines(replace(SITE, dialplan=False)))


def test_after_an_uninstall_the_files_are_loaded() -> None:
    """Asterisk continues with what it has loaded until it is told."""
    assert [line for step in after_uninstall(LOAD) for line in step.lines] == [
        f"asterisk -rx '{one}'" for one in LOAD
    ]


def test_a_phone_without_its_context_is_told_of_first() -> None:
    """It can dial nothing, from the moment when the files are loaded."""
    phone = "pjsip.conf:5: [2001] context = agi-monitor-phone-leads"
    first, second, third = after_uninstall(LOAD, (phone,))
    assert (first.lines, "another context" in first.what) == ((phone,), True)
    assert second.lines == ("asterisk -rx 'module reload res_pjsip.so'",)
    assert third.lines == tuple(f"asterisk -rx '{one}'" for one in LOAD)
