"""The account for manager.conf: what it is made from, what comes out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agi_monitor.dialplan import filters
from agi_monitor.dialplan.filters import RefusedValue
from agi_monitor.dialplan.lint_account import RULES, lint_account
from agi_monitor.dialplan.render import FILES, MANAGER, render
from agi_monitor.dialplan.site import ManagerAccount, Site
from agi_monitor.errors import RenderError

SECRET = "hush-hush-hush-hush"
ACCOUNT = ManagerAccount("agi-monitor", SECRET, ("127.0.0.1", "::1"))
SITE = Site((), (), manager=ACCOUNT)


def settings(text: str) -> list[tuple[str, str]]:
    """The settings of a file, in order; the section under an empty name."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith(";"):
            name, _, value = line.partition(" = ")
            found.append((name, value))
    return found


def test_the_account_says_what_it_must_and_no_more() -> None:
    """One section, only from the server's addresses, with the fewest classes."""
    assert settings(render(SITE)[MANAGER]) == [
        ("[agi-monitor]", ""),
        ("secret", SECRET),
        ("allowmultiplelogin", "yes"),
        ("writetimeout", "5000"),
        ("deny", "0.0.0.0/0"),
        ("deny", "::/0"),
        ("permit", "127.0.0.1/32"),
        ("permit", "::1/128"),
        ("read", "call,agent,system"),
        ("write", "call,reporting"),
    ]


def test_a_site_without_an_account_has_no_file() -> None:
    """Nothing to include, and nothing changes in the other files."""
    assert MANAGER not in render(Site((), ()))
    assert {**render(SITE), MANAGER: ""} == {**render(Site((), ())), MANAGER: ""}


def test_no_dialplan_loads_the_secret() -> None:
    """Anyone who includes agi-monitor/*.conf in extensions.conf gets the dialplan alone."""
    assert [name for name in FILES if Path(name).match("*.conf")] == ["agi-monitor.conf"]


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "name with a bracket": (lambda: ManagerAccount("a]b", SECRET, ("::1",)), "user name 'a]b'"),
    "name of 41": (lambda: ManagerAccount("a" * 41, SECRET, ("::1",)), "up to 40"),
    "name of the general section": (lambda: ManagerAccount("General", SECRET, ("::1",)), "choose another"),
    "empty secret": (lambda: ManagerAccount("a", "", ("::1",)), "the AMI secret"),
    "secret with a semicolon": (lambda: ManagerAccount("a", "hush;hush", ("::1",)), "without ;"),
    "secret with a newline": (lambda: ManagerAccount("a", "hush\nhush", ("::1",)), "the AMI secret"),
    "secret with a space": (lambda: ManagerAccount("a", "hush hush", ("::1",)), "the AMI secret"),
    "no address": (lambda: ManagerAccount("a", SECRET, ()), "where the server connects from"),
    "a host name": (lambda: ManagerAccount("a", SECRET, ("pbx.example",)), "the server's address 'pbx.example'"),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_account(make: Callable[[], object], message: str) -> None:
    """A value that could break the file, or that lets none or all in, makes no account; no secret is told."""
    with pytest.raises(RenderError) as caught:
        make()
    assert message in str(caught.value)
    assert "hush" not in str(caught.value)


def test_the_secret_is_not_told(tmp_path: Path) -> None:
    """Neither by the text form of a site nor by a template that misuses it."""
    assert "hush" not in repr(SITE)
    (tmp_path / f"{MANAGER}.j2").write_text("; {{ manager.secret | context }}\n")
    with pytest.raises(RenderError, match="line 1: the AMI secret is not a name for a context") as caught:
        render(Site((), (), manager=ManagerAccount("a", "-" + SECRET, ("::1",))), tmp_path)
    assert "hush" not in str(caught.value)


def test_an_own_template_may_change_a_block(tmp_path: Path) -> None:
    """Such as further addresses."""
    (tmp_path / f"{MANAGER}.j2").write_text(
        f'{{% extends "packaged/{MANAGER}.j2" %}}{{% block addresses %}}{{{{ super() }}}}permit = 192.0.2.0/24\n'
        "{% endblock %}"
    )
    found = settings(render(SITE, tmp_path)[MANAGER])
    assert [value for name, value in found if name == "permit"] == ["127.0.0.1/32", "::1/128", "192.0.2.0/24"]


@pytest.mark.parametrize("value", ["", " a", "a ", "a;b", "a\nb", "a\u202eb"])
def test_setting_refuses_what_is_no_value(value: str) -> None:
    """What Asterisk would strip, cut or read as another line."""
    with pytest.raises(RefusedValue):
        filters.setting(value)


@pytest.mark.parametrize("value", ["a", '"a', "a\\", "#include", "=>a", "[a]", "${a}"])
def test_setting_leaves_the_rest_alone(value: str) -> None:
    """Nothing else has a meaning behind the equals sign."""
    assert filters.setting(value) == value


@pytest.mark.parametrize("value", ["", "general", "GENERAL", "a]", "a b", "ä", "a" * 41, "a\n"])
def test_section_refuses_what_is_no_name(value: str) -> None:
    """Nor the name of the section that is for all accounts."""
    with pytest.raises(RefusedValue):
        filters.section(value)


@pytest.mark.parametrize(("value", "text"), [("127.0.0.1", "127.0.0.1/32"), ("2001:DB8::5", "2001:db8::5/128")])
def test_host_network_is_one_host(value: str, text: str) -> None:
    """An address and nothing beside it."""
    assert filters.host_network(value) == text


@pytest.mark.parametrize("value", ["", "pbx.example", "192.0.2.0/24", "fe80::1%eth0"])
def test_host_network_refuses_more_than_one_host(value: str) -> None:
    """No name and no network."""
    with pytest.raises(RefusedValue):
        filters.host_network(value)


GOOD = f"; x\n[a]\nsecret = {SECRET}\ndeny = 0.0.0.0/0\npermit => ::1/128\nread = call\nwrite = call\n"

PROBLEMS = {
    "one_account": (GOOD + "[b]\n", 8, "second account"),
    "no account": ("; x\n", 1, "no account"),
    "general": (GOOD.replace("[a]", "[general]"), 2, "whole manager interface"),
    "added to another": (GOOD.replace("[a]", "[a](+)"), 2, "mix it with another"),
    "in no section": ("read = call\n" + GOOD, 1, "stands in no section"),
    "settings": (GOOD + "displayconnects\n", 8, "is not a setting"),
    "without a value": (GOOD + "eventfilter =\n", 8, "is not a setting"),
    "include": (GOOD + '#include "x=y"\n', 8, "is not a setting"),
    "no deny": (GOOD.replace("deny =", "; deny ="), 2, "no deny"),
    "no permit": (GOOD.replace("permit", "; permit"), 2, "no permit"),
    "no secret": (GOOD.replace("secret", "secrets"), 2, "no secret"),
    "dangerous_classes": (GOOD.replace("write = call", "write = call, Command"), 7, "command could run programs"),
    "everything": (GOOD.replace("write = call", "write = all"), 7, "all could run programs"),
    "everything by a line that goes on": (GOOD + "write += ,all\n", 8, "all could run programs"),
    "everything behind a backslash": (GOOD + "\\write = all\n", 8, "all could run programs"),
    "an empty name": (GOOD + "= all\n", 8, "is not a setting"),
    "control": (GOOD + "; \u202e\n", 8, "U+202E"),
    "long": (GOOD + f"; {'ö' * 4096}\n", 8, "8191 bytes"),
    "comment": (GOOD + ";-- x\n", 8, "opens a comment"),
}


def test_a_good_account_has_no_problem() -> None:
    """Also the one that is made here."""
    assert lint_account(GOOD) == ()
    assert lint_account(render(SITE)[MANAGER]) == ()


@pytest.mark.parametrize(("text", "line", "told"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_is_told(text: str, line: int, told: str) -> None:
    """It is found, alone, in its line, and says what it is; the secret is not repeated."""
    (problem,) = lint_account(text)
    assert problem.line == line
    assert told in problem.text
    assert "hush" not in problem.text


def test_every_rule_is_tested() -> None:
    """A rule without a text that it refuses is a rule that may never fire."""
    assert {rule.__name__ for rule in RULES} <= PROBLEMS.keys()


def test_an_own_template_is_looked_at(tmp_path: Path) -> None:
    """What comes out of it is refused with the template's name and the line."""
    (tmp_path / f"{MANAGER}.j2").write_text(GOOD.replace("write = call", "write = system"))
    with pytest.raises(RenderError, match=r"manager\.conf\.include line 7 \(made by .*system could run programs"):
        render(SITE, tmp_path)
