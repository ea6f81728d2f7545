"""What a site may be made of."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agi_monitor.dialplan.site import PermissionGroup, Phones, Site
from agi_monitor.errors import RenderError
from agi_monitor.model import Agent, Mode


def agent(extension: str) -> Agent:
    """An agent of whom only the extension matters."""
    return Agent(extension=extension, groups=frozenset())


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "code with a letter": (lambda: Site((), (), codes={Mode.LISTEN: "*22a"}), r"code '\*22a' for listen"),
    "code that is a pattern": (lambda: Site((), (), codes={Mode.LISTEN: "_*2."}), "0-9, "),
    "code with a newline": (lambda: Site((), (), codes={Mode.LISTEN: "*22\n"}), "feature code"),
    "empty code": (lambda: Site((), (), codes={Mode.LISTEN: ""}), "1 to 8"),
    "code of nine": (lambda: Site((), (), codes={Mode.LISTEN: "*22222222"}), "1 to 8"),
    "no code": (lambda: Site((), (), codes={}), "no feature code"),
    "code within a code": (
        lambda: Site((), (), codes={Mode.LISTEN: "*22", Mode.BARGE: "*222"}),
        r"'\*222' for barge begins with '\*22' for listen",
    ),
    "the same code twice": (lambda: Site((), (), codes={Mode.LISTEN: "*2", Mode.BARGE: "*2"}), "begins with"),
    "extension with a letter": (lambda: Site((agent("10x"),), ()), "extension '10x'"),
    "extension in other digits": (lambda: Site((agent("١٠٠١"),), ()), "1 to 20 digits"),
    "the same extension twice": (lambda: Site((agent("1001"), agent("1001")), ()), "'1001' is given 2 times"),
    "group with a space": (lambda: PermissionGroup("a b", frozenset()), "group name 'a b'"),
    "group with a bracket": (lambda: PermissionGroup("a]", frozenset()), "group name"),
    "group of digits": (lambda: PermissionGroup("1001", frozenset()), "not only digits"),
    "group all": (lambda: Site((), (), agent_groups=("all",)), "not 'all'"),
    "group of 41": (lambda: PermissionGroup("a" * 41, frozenset()), "at most 40"),
    "groups that differ in case": (
        lambda: Site((), (PermissionGroup("Leads", frozenset()), PermissionGroup("leads", frozenset()))),
        "upper and lower case",
    ),
    "host by name": (lambda: Site((), (), fastagi_host="pbx.example"), "not an IP address"),
    "host with a zone": (lambda: Site((), (), fastagi_host="fe80::1%eth0"), "not an IP address"),
    "port zero": (lambda: Site((), (), fastagi_port=0), "1 to 65535"),
    "port too high": (lambda: Site((), (), fastagi_port=65536), "1 to 65535"),
    "secret with a comma": (lambda: Site((), (), secret="a,b"), "shared secret"),
    "secret with a dot": (lambda: Site((), (), secret="a.b"), "shared secret"),
    "secret with a tilde": (lambda: Site((), (), secret="a~b"), "shared secret"),
    "sound outside": (lambda: Site((), (), notice=("/etc/passwd",)), "the sound '/etc/passwd'"),
    "sound above": (lambda: Site((), (), notice=("../beep",)), "the sound"),
    "phones' context of 61": (lambda: Phones("a" * 61), "up to 60"),
    "phones' context with a dot": (lambda: Phones("from.internal"), "the phones' context"),
    "empty secret": (lambda: Site((), (), secret=""), "shared secret"),
    "context with a bracket": (lambda: Site((), (), context="a]"), "context"),
    "context of 33": (lambda: Site((), (), context="a" * 33), "up to 32"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(make: Callable[[], object], message: str) -> None:
    """A value that could break the dialplan, or collides with another, makes no site."""
    with pytest.raises(RenderError, match=message):
        make()


def test_secret_is_not_told() -> None:
    """Neither the error nor the text form of a site holds the secret."""
    with pytest.raises(RenderError) as caught:
        Site((), (), secret="hush(hush)")
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(Site((), (), secret="hush-hush"))


def test_longest_names_fit_into_a_section() -> None:
    """The longest context with the longest group is a section name that Asterisk does not cut."""
    site = Site((), (PermissionGroup("g" * 40, frozenset()),), context="c" * 32)
    assert len(f"{site.context}-group-{site.groups[0].name}") == 79
