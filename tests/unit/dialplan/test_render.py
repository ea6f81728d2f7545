"""Rendering: what comes out, what is refused, and what a site's own templates can and cannot do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from agi_monitor.dialplan.parse import Dialplan, parse
from agi_monitor.dialplan.render import FILES, render
from agi_monitor.dialplan.site import ManagerAccount, PermissionGroup, Phones, Pjsip, Site
from agi_monitor.errors import RenderError
from agi_monitor.model import Agent, Flavour, Mode

MAIN = "agi-monitor.conf"


def site(agent_name: str = "Anna", supervisor_name: str = "Berta", secret: str | None = None) -> Site:
    """A small site with these names in it."""
    return Site(
        agents=(Agent("1001", frozenset(), name=agent_name), Agent("1002", frozenset(), name="Zoë")),
        groups=(
            PermissionGroup("leads", frozenset(Mode), (supervisor_name,)),
            PermissionGroup("quality", frozenset({Mode.LISTEN})),
        ),
        secret=secret,
    )


def meaning(text: str) -> Dialplan:
    """What Asterisk makes of a text, with nothing dropped."""
    plan = parse(text)
    assert plan.dropped == ()
    return plan


PLAIN = {name: meaning(text) for name, text in render(site()).items()}


def template(folder: Path, text: str, name: str = f"{MAIN}.j2") -> Path:
    """A folder with one template of a site in it."""
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def error_of(folder: Path, text: str, wanted: Site | None = None) -> str:
    """What the error says when this template takes the place of the packaged one."""
    with pytest.raises(RenderError) as caught:
        render(wanted or site(), template(folder, text))
    return str(caught.value)


def test_files() -> None:
    """Only one of them is loaded by ``*.conf``; that of the manager interface is made where there is an account."""
    account = ManagerAccount("monitor", "correct-horse-battery", ("127.0.0.1",))
    most = replace(site(), manager=account, pjsip=Pjsip(), flavour=Flavour.REALTIME, phones=Phones("phones", "x"))
    assert tuple(render(most)) == FILES
    assert tuple(render(replace(most, flavour=Flavour.PLAIN, phones=Phones("phones")))) == FILES[:4]
    assert tuple(render(site())) == FILES[:2]
    assert [name for name in FILES if name.endswith(".conf")] == [MAIN]


def test_a_site_with_a_dialplan_of_its_own() -> None:
    """Only the other parts are made; a site that wants none of them has nothing to render."""
    account = ManagerAccount("monitor", "correct-horse-battery", ("127.0.0.1",))
    assert tuple(render(replace(site(), dialplan=False, manager=account))) == ("manager.conf.include",)
    with pytest.raises(RenderError, match=r"nothing to render: asterisk\.dialplan is false"):
        render(replace(site(), dialplan=False))


def test_same_site_same_text() -> None:
    """Nothing in the files changes from one rendering to the next."""
    assert render(site()) == render(site())


def test_group_has_only_its_own_codes() -> None:
    """A group that may listen reaches the code for listening and no other."""
    patterns = {extension.pattern for extension in PLAIN[MAIN].context("agi-monitor-group-quality").extensions}
    codes = {"*222", "*222*", "_*222X", "_*222XX", "_*222XXX", "_*222XXXX"}
    assert patterns == {*codes, *(f"{code}#" for code in codes)}


def test_scans_with_a_number_can_be_dialled() -> None:
    """Each by its own number, in each mode of a group, with a hash or without."""
    plan = meaning(render(replace(site(), scans=("2", "10")))[MAIN])
    patterns = {extension.pattern for extension in plan.context("agi-monitor-group-quality").extensions}
    assert {"*222*2", "*222*10", "*222*2#", "*222*10#"} <= patterns


def test_every_code_leads_to_one_place_with_the_number_as_dialled() -> None:
    """All codes of all contexts go to the call context, and Goto keeps the extension."""
    plan = PLAIN[MAIN]
    targets = {
        (priority.application, priority.arguments)
        for context in plan.contexts
        if not context.name.endswith(("-call", "-mode", "-doctor"))
        for extension in context.extensions
        for priority in extension.priorities
    }
    assert targets == {("Goto", "agi-monitor-call,${EXTEN},1")}


def test_behind_agi_there_is_only_hangup() -> None:
    """Whatever became of the server, the call ends."""
    (extension,) = PLAIN[MAIN].context("agi-monitor-call").extensions
    applications = [priority.application for priority in extension.priorities]
    assert applications == ["GotoIf", *["Set"] * 4, "ExecIf", "Set", "Set", "AGI", "Hangup"]


def test_a_call_that_hears_others_cannot_be_transferred() -> None:
    """A transfer is looked up where nothing is, one-touch keys are taken away, and Asterisk is told to refuse."""
    plan = PLAIN[MAIN]
    (extension,) = plan.context("agi-monitor-call").extensions
    before = [f"{one.application}({one.arguments})" for one in extension.priorities[1:6]]
    assert before[:2] == ["Set(TRANSFER_CONTEXT=agi-monitor-no-transfer)", "Set(DYNAMIC_FEATURES=)"]
    assert before[-1].endswith("?Set(PJSIP_TRANSFER_HANDLING()=ari-only))")
    nowhere = plan.context("agi-monitor-no-transfer")
    assert (nowhere.extensions, nowhere.includes, nowhere.switches) == ((), (), ())
    assert not any(include.context == nowhere.name for context in plan.contexts for include in context.includes)


def test_keys_during_a_spy_end_the_call() -> None:
    """Without a server, each key that leaves ChanSpy is a hang-up."""
    context = PLAIN[MAIN].context("agi-monitor-mode")
    assert {
        extension.pattern: extension.priorities[0].application for extension in context.extensions
    } == dict.fromkeys("45678*0Ds", "Hangup")


def test_without_a_notice_nothing_plays_one() -> None:
    """The context of the notice is made for a site that has one only."""
    assert "agi-monitor-notice" not in render(site())[MAIN]


def test_the_notice_is_answered_played_and_over() -> None:
    """The helper answers, plays the site's sounds without another answer, and hangs up."""
    text = render(replace(site(), notice=("beep", "custom/you-are-heard")))[MAIN]
    (extension,) = meaning(text).context("agi-monitor-notice").extensions
    assert extension.pattern == "notice"
    assert [(priority.application, priority.arguments) for priority in extension.priorities] == [
        ("Answer", ""),
        ("Playback", "beep,noanswer"),
        ("Playback", "custom/you-are-heard,noanswer"),
        ("Hangup", ""),
    ]


def test_secret_is_the_first_argument() -> None:
    """A shared secret stands behind the address, and without one nothing does."""
    assert "AGI(agi://127.0.0.1:4573/spy,hush)" in render(site(secret="hush"))[MAIN]
    assert "AGI(agi://127.0.0.1:4573/spy)" in render(site())[MAIN]


def test_no_agents() -> None:
    """A site without agents has the codes alone."""
    text = render(Site(agents=(), groups=()))[MAIN]
    assert {extension.pattern for extension in parse(text).context("agi-monitor").extensions} == {
        *("*222", "*223", "*224"),
        *("*222*", "*223*", "*224*"),
        *("*222#", "*223#", "*224#"),
        *("*222*#", "*223*#", "*224*#"),
    }


SYNTAX = [
    ";--",
    "--;",
    ";",
    "\\",
    "]",
    "[",
    "=>",
    "#include x",
    "#exec y",
    "{{",
    "{%",
    "${",
    "$[",
    "(",
    ")",
    '"',
    ",",
]
CONTROLS = ["\n", "\r", "\x85", "\u2028", "\u202e", "\u200f", "\ud800", "\x00"]
EVIL = st.text() | st.lists(st.sampled_from([*SYNTAX, *CONTROLS, " ", "exten => 1,1,ChanSpy()", "ö"])).map("".join)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=200)
@given(EVIL, EVIL)
@example(";--", "--;")
@example("x\\", "{{ secret }}")
@example("\n[globals]\nSHELL=x", "")
@example("ö" * 10_000, "")
def test_no_name_changes_the_dialplan(agent_name: str, supervisor_name: str) -> None:
    """People may be called anything: they are refused by their key, or the dialplan means the same."""
    try:
        files = render(site(agent_name, supervisor_name))
    except RenderError as error:
        assert "the name of agent 1001" in str(error) or "the name of supervisor 1 in group leads" in str(error)
        return
    assert {name: meaning(text) for name, text in files.items()} == PLAIN
    assert max(len(line.encode()) for text in files.values() for line in text.split("\n")) < 500


def test_refused_name_tells_where_and_who() -> None:
    """The error names template, line, person and character, and not the name itself."""
    with pytest.raises(RenderError, match=r"agi-monitor\.conf\.j2 line \d+: the name of agent 1001 holds U\+000A"):
        render(site("An\nna"))


def test_own_template_takes_the_place_of_one(tmp_path: Path) -> None:
    """A site changes one file; the other one stays the packaged one."""
    files = render(site(), template(tmp_path, "[mine]\nexten => 1,1,Hangup()\n"))
    assert files[MAIN] == "[mine]\nexten => 1,1,Hangup()\n"
    assert files["extensions.conf.sample"] == render(site())["extensions.conf.sample"]


def test_a_template_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the same text, whatever is rendered from it."""
    before = render(site("Anna"))

    def compiled_again(*_: object, **__: object) -> None:
        pytest.fail("a template was compiled again")

    monkeypatch.setattr(Environment, "compile", compiled_again)
    assert render(site("Anna")) == before
    assert render(site("Dora")) != before


def test_own_template_that_was_changed(tmp_path: Path) -> None:
    """Counts as it is now; and as it was before, when it is changed back."""
    for text in ("; one\n", "; two\n", "; one\n"):
        assert render(site(), template(tmp_path, text))[MAIN] == text


def test_own_template_may_build_upon_the_packaged_one(tmp_path: Path) -> None:
    """A site changes one block of the packaged template."""
    text = render(
        site(),
        template(tmp_path, '{% extends "packaged/agi-monitor.conf.j2" %}{% block header %}; Mine.\n{% endblock %}'),
    )[MAIN]
    assert text.startswith("; Mine.\n")
    assert meaning(text) == PLAIN[MAIN]


def test_own_template_may_include_its_own_parts(tmp_path: Path) -> None:
    """A template in the site's folder may be a part of another one."""
    template(tmp_path, "; part\n", "part.j2")
    assert render(site(), template(tmp_path, '{% include "part.j2" %}'))[MAIN] == "; part\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("; a\n; {{ agent }}\n", "line 2: 'agent' is undefined"),
        ("; {{ agents[0].phone }}\n", "line 1: "),
        ("; {{ agents[9].name }}\n", "line 1: "),
        ("; a\n{% if %}\n", "line 2: "),
        ("; {{ context | shout }}\n", "line 1: No filter named 'shout'"),
        ("; a\n{% include 'nowhere.j2' %}\n", "line 2: there is no template nowhere.j2"),
        ("{% include '../secrets.j2' %}\n", "there is no template ../secrets.j2"),
        ("; {{ 1 / 0 }}\n", "line 1: ZeroDivisionError"),
        (
            "; a\n[x]\nexten => {{ agents[0].name | extension }},1,Hangup()\n",
            "line 3: the name of agent 1001 is not an ext",
        ),
        ("; {{ 'a\nb' | comment }}\n", "a value holds U+000A"),
        ("[x]\nexten => 1,1,ChanSpy(PJSIP/1,q)\n same => n,Hangup()\n", "agi-monitor.conf line 2 (made by"),
        ("[x]\nexten => 1,1,NoOp({{ fastagi_port }}\n", "do not match"),
    ],
)
def test_own_template_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """A mistake in a site's template is told with its file and line, and no file is made."""
    message = error_of(tmp_path, text)
    assert told in message
    assert str(tmp_path / f"{MAIN}.j2") in message


def test_unescaped_name_in_an_own_template(tmp_path: Path) -> None:
    """A value that a template writes without a filter is refused, however harmless it is."""
    text = "[x]\nexten => 1,1,NoOp({{ agents[0].name }})\n same => n,Hangup()\n"
    assert "line 2: the name of agent 1001 is written without a filter" in error_of(tmp_path, text)


def test_name_that_lost_its_key(tmp_path: Path) -> None:
    """A text that a template put together itself is still seen by the check of the outcome."""
    text = "[x]\nexten => 1,1,NoOp({{ agents[0].name ~ '!' }})\n same => n,Hangup()\n"
    assert "do not match" in error_of(tmp_path, text, site("Anna ("))


def test_misspelled_template_is_told(tmp_path: Path) -> None:
    """A file that nothing asks for is an error: the site believes that it has an effect."""
    with pytest.raises(
        RenderError, match=r"agi_monitor\.j2: no template asks for this one.*Known are agi-monitor\.conf"
    ):
        render(site(), template(tmp_path, "", "agi_monitor.j2"))


def test_folder_that_is_not_there(tmp_path: Path) -> None:
    """A missing folder is told, not ignored."""
    with pytest.raises(RenderError, match="nowhere is not there"):
        render(site(), tmp_path / "nowhere")


def test_template_that_is_no_text(tmp_path: Path) -> None:
    """A template in another encoding than UTF-8 is told with its name."""
    (tmp_path / f"{MAIN}.j2").write_bytes(b"; M\xfcller\n")
    with pytest.raises(RenderError, match=r"agi-monitor\.conf\.j2: the template cannot be read"):
        render(site(), tmp_path)


def test_secret_is_never_in_an_error(tmp_path: Path) -> None:
    """An error about the secret names its key."""
    message = error_of(tmp_path, "; {{ secret | extension }}\n", site(secret="hush"))
    assert "the shared secret is not an extension" in message
    assert "hush" not in message
