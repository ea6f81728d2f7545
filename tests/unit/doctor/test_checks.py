"""agi_monitor.doctor.checks: each finds what it is for, and nothing where all is well; none guesses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agi_monitor.doctor.checks import CHECKS, advisories, affected
from agi_monitor.doctor.dialplan_walk import Dialplan
from agi_monitor.doctor.evidence import Certificate, Endpoint, Evidence, Listener, Missing
from agi_monitor.doctor.findings import Outcome, Result, Severity, examine, exit_code

NOW = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)
LONG = "a-long-secret-of-letters"


def step(context: str, extension: str, application: str, arguments: str = "") -> dict[str, str]:
    """One row of the dialplan."""
    return {
        "Context": context,
        "Extension": extension,
        "Priority": "1",
        "Application": application,
        "AppData": arguments,
    }


def include(context: str, other: str) -> dict[str, str]:
    """One more row."""
    return {"Context": context, "IncludeContext": other}


def ours(context: str) -> bool:
    """Whether a context is one of our own."""
    return context.startswith("agi-monitor")


OURS = [
    step("agi-monitor", "_*222XXXX", "Goto", "agi-monitor-call,${EXTEN},1"),
    step("agi-monitor-group-leads", "_*222XXXX", "Goto", "agi-monitor-call,${EXTEN},1"),
    step("agi-monitor-call", "_[0-9*#]!", "AGI", "agi://127.0.0.1/spy"),
    step("phones", "_1XXX", "Dial", "PJSIP/${EXTEN}"),
    include("supervisors", "phones"),
    include("supervisors", "agi-monitor-group-leads"),
]

CLEAN = Evidence(
    NOW,
    agents=frozenset({"PJSIP/1001"}),
    supervisors=frozenset({"PJSIP/2001"}),
    account="agi-monitor",
    listeners=(Listener("fastagi", "127.0.0.1", 4573, False), Listener("metrics", "::1", 9573, False)),
    modules={"app_chanspy.so": "lets the supervisor hear"},
    sounds={"en": frozenset({"agent-pass"})},
    version="22.10.1",
    loaded=frozenset({"app_chanspy.so"}),
    dialplan=Dialplan(OURS, ours),
    endpoints=(
        Endpoint("PJSIP/1001", "phones", False),
        Endpoint("PJSIP/2001", "supervisors", False),
        Endpoint("PJSIP/trunk", "from-outside", True),
    ),
    skew=timedelta(seconds=1),
    other_drivers=frozenset(),
    unusable_names={},
    queue_contexts={},
    differences=(),
    files={
        "manager.conf": {
            "general": [("enabled", "yes"), ("bindaddr", "127.0.0.1")],
            "agi-monitor": [("secret", LONG), ("write", "call,reporting")],
            "panel": [
                ("secret", LONG),
                ("write", "all"),
                ("deny", "0.0.0.0/0.0.0.0"),
                ("permit", "127.0.0.1/255.255.255.0"),
            ],
        },
        "acl.conf": {"office": [("deny", "0.0.0.0/0"), ("permit", "192.168.7.0/24")]},
        "asterisk.conf": {"options": [("systemname", "pbx"), ("live_dangerously", "no")]},
        "http.conf": {"general": [("enabled", "yes"), ("bindaddr", "127.0.0.1")]},
        "ari.conf": {"wallboard": [("type", "user"), ("password", LONG)]},
        "features.conf": {"applicationmap": [("record", "*1,self,MixMonitor,x.wav")]},
    },
    file_contexts={"from-outside": "chan_dahdi.conf:3"},
    sound_files={"en": frozenset({"agent-pass", "beep"})},
    audit=(),
    store="",
    open_files=(),
    index_differences=0,
    picture=(),
    certificates=(Certificate("ca.pem", NOW + timedelta(days=31)),),
)


def file(name: str, **sections: list[tuple[str, str]]) -> dict[str, Any]:
    """What is another in a file."""
    before = CLEAN.file(name)
    return {"files": {**CLEAN.files, name: {**before, **sections}}}


def manager(**sections: list[tuple[str, str]]) -> dict[str, Any]:
    """What is another in manager.conf."""
    return file("manager.conf", **sections)


def options(*lines: tuple[str, str]) -> dict[str, Any]:
    """What is another in asterisk.conf."""
    return file("asterisk.conf", options=list(lines))


def spying(*rows: dict[str, str]) -> dict[str, Any]:
    """What is in the dialplan besides."""
    return {"dialplan": Dialplan([*OURS, *rows], ours)}


PLANTED: list[tuple[str, dict[str, Any], str]] = [
    ("asterisk-version", {"version": "16.28.0~dfsg-0+deb11u4"}, "CVE-2024-42365"),
    ("asterisk-version", {"version": "22.11.0"}, "asterisk#2134"),
    ("module-missing", {"loaded": frozenset()}, "app_chanspy.so does not run: lets the supervisor hear"),
    ("sound-missing", {"sound_files": {"en": frozenset({"beep"})}}, "en: agent-pass"),
    ("sound-missing", {"sounds": {"de": frozenset({"beep"})}}, "de: beep"),
    ("pin-file", {"open_files": ("/etc/agi-monitor/people.yaml: has records",)}, "people.yaml: has records"),
    ("systemname-missing", options(), "there is no systemname"),
    ("systemname-unusable", {"unusable_names": {"Sales, Berlin": ","}}, "systemname = 'Sales, Berlin' holds ','"),
    (
        "queue-contexts",
        {"queue_contexts": {"1001": frozenset({"beta", "acme"})}},
        "1001: queues reach it in the contexts acme",
    ),
    ("live-dangerously", options(("systemname", "pbx"), ("live_dangerously", "Yes")), "live_dangerously = Yes"),
    ("direct-media", {"endpoints": (Endpoint("PJSIP/1001", "phones", True),)}, "PJSIP/1001: direct_media = yes"),
    (
        "supervisor-transfer",
        {"endpoints": (Endpoint("PJSIP/2001", "supervisors", False, allow_transfer=True),)},
        "PJSIP/2001: allow_transfer = yes",
    ),
    (
        "supervisor-pickup",
        {
            "endpoints": (
                Endpoint("PJSIP/2001", "supervisors", False, call_groups=frozenset({"1", "named sales"})),
                Endpoint("PJSIP/1001", "phones", False, pickup_groups=frozenset({"named sales"})),
                Endpoint("PJSIP/1002", "phones", False, pickup_groups=frozenset({"2"})),
            )
        },
        "PJSIP/2001: what rings there can be picked up by PJSIP/1001",
    ),
    (
        "dialled-text",
        spying(step("office", "_X!", "Dial", "PJSIP/${EXTEN}"), include("phones", "office")),
        "_X!@office takes any characters, without a FILTER of ${EXTEN}; it is dialled from [phones]",
    ),
    (
        "dialled-text",
        spying(step("from-outside", "_.", "Goto", "phones,${EXTEN},1")),
        "_.@from-outside takes any characters, without a FILTER of ${EXTEN}; it is dialled from [from-outside]",
    ),
    (
        "caller-text",
        {"endpoints": (Endpoint("PJSIP/1002", "phones", False, takes_number=True),)},
        "PJSIP/1002: the number is what the caller sends, and _1XXX@phones does not filter it",
    ),
    ("ami-secret", manager(panel=[("secret", "amp111")]), "[panel]: the secret is one of those"),
    ("ami-secret", manager(panel=[("secret", "panel")]), "[panel]: the secret is one of those"),
    ("ami-secret", manager(panel=[("secret", "k" * 15)]), "[panel]: the secret has 15 characters"),
    (
        "ami-account",
        manager(**{"agi-monitor": [("secret", LONG), ("write", "call"), ("write", "system, command")]}),
        "[agi-monitor]: write has command, system",
    ),
    ("ami-secret", manager(panel=[("secret", "")]), "[panel]: the secret is one of those"),
    (
        "ami-secret",
        file("ari.conf", wallboard=[("type", "user"), ("password", "short")]),
        "ari.conf, [wallboard]: the secret has 5 characters",
    ),
    ("ami-account", manager(**{"agi-monitor": [("secret", LONG), ("write", "call,agi")]}), "write has agi"),
    ("ami-others", manager(panel=[("secret", LONG), ("write", "all")]), "[panel]: write has all"),
    ("ami-others", manager(panel=[("secret", LONG), ("write", "originate")]), "[panel]: write has originate"),
    (
        "ami-others",
        manager(panel=[("secret", LONG), ("write", "config"), ("permit", "0.0.0.0/0.0.0.0")]),
        "[panel]: write has config, and every address may log in",
    ),
    (
        "ami-others",
        manager(
            panel=[("secret", LONG), ("write", "config"), ("permit", "127.0.0.1/32"), ("deny", "10.0.0.0/255.0.0.0")]
        ),
        "[panel]: write has config, and every address may log in",
    ),
    (
        "ami-address",
        manager(general=[("enabled", "yes")]),
        "listens on 0.0.0.0 without TLS, and [agi-monitor] may log in from everywhere",
    ),
    (
        "ami-address",
        manager(
            general=[("enabled", "yes"), ("bindaddr", "[::]:5038")],
            **{"agi-monitor": [("secret", LONG), ("acl", "office")]},
        ),
        "listens on [::]:5038 without TLS, and [panel] may log in from everywhere",
    ),
    (
        "ari-open",
        file("http.conf", general=[("enabled", "yes"), ("bindaddr", "10.0.0.7")]),
        "ari.conf, [wallboard]: may snoop on every channel; http.conf listens on 10.0.0.7",
    ),
    ("file-not-understood", {"not_understood": ("manager.conf:7: #exec is not followed",)}, "manager.conf:7: #exec"),
    ("own-port", {"listeners": (Listener("fastagi", "0.0.0.0", 4573, False),)}, "fastagi: listens on 0.0.0.0"),
    (
        "spy-reachable",
        spying(step("phones", "555", "ChanSpy", "PJSIP/${EXTEN:3},q")),
        "ChanSpy(PJSIP/${EXTEN:3},q) is reached from [phones] 555@phones, priority 1",
    ),
    (
        "spy-reachable",
        spying(step("phones", "556", "Goto", "${WHERE},s,1"), step("listen", "s", "ChanSpy", "x")),
        "ChanSpy(x) is perhaps, by a variable, reached from [phones] 556@phones -> s@listen, priority 1",
    ),
    (
        "spy-reachable",
        spying(step("from-outside", "s", "Dial", "PJSIP/1,20,U(listen^1)"), step("listen", "s", "ChanSpy", "x")),
        "ChanSpy(x) is reached from [from-outside] s@from-outside -> s@listen, priority 1",
    ),
    (
        "spy-reachable",
        spying(
            include("agi-monitor-phone-leads", "agi-monitor-group-leads"),
            include("agi-monitor-phone-leads", "office"),
            step("office", "555", "ChanSpy"),
        )
        | {"endpoints": (Endpoint("PJSIP/2001", "agi-monitor-phone-leads", False),)},
        "ChanSpy() is reached from [agi-monitor-phone-leads] 555@office, priority 1",
    ),
    (
        "spy-reachable",
        file("features.conf", applicationmap=[("hear", "*7,self,ChanSpy,PJSIP/1001")]),
        "features.conf, [applicationmap]: hear => *7,self,ChanSpy,PJSIP/1001",
    ),
    (
        "spy-reachable",
        spying(step("macro-hear", "s", "ChanSpy"))
        | file("features.conf", applicationmap=[("hear", "*7,self,Macro,hear")]),
        "ChanSpy() is reached from [macro-hear] s@macro-hear, priority 1",
    ),
    (
        "spy-reachable",
        spying(step("default", "8", "ChanSpy")) | {"other_drivers": frozenset({"chan_sip.so"})},
        "ChanSpy() is reached from [default] 8@default, priority 1",
    ),
    ("dialplan-unseen", spying(step("phones", "8", "AGI", "ivr.php")), "AGI(ivr.php) at 8@phones"),
    (
        "dialplan-unseen",
        spying({"Context": "phones", "Switch": "Realtime/a@b"}),
        "switch => Realtime/a@b at *@phones",
    ),
    (
        "code-reachable",
        spying(
            step("agi-monitor-group-leads", "_*223XXXX", "Goto", "agi-monitor-call,${EXTEN},1"),
            step("supervisors", "_*222XXXX", "Goto", "away,1,1"),
            step("away", "1", "Goto", "agi-monitor-call,*2221001,1"),
        ),
        "is reached from [supervisors] _*222XXXX@supervisors -> 1@away -> _[0-9*#]!@agi-monitor-call, past",
    ),
    ("code-reachable", spying(include("phones", "agi-monitor")), "[phones] includes [agi-monitor]: all codes"),
    (
        "code-reachable",
        spying(step("phones", "_9XX", "Goto", "agi-monitor-call,*2221001,1")),
        "is reached from [phones] _9XX@phones -> _[0-9*#]!@agi-monitor-call, past the permission groups",
    ),
    ("installed-drift", {"file_differences": ("a.conf: is not there",)}, "a.conf: is not there"),
    ("live-picture", {"picture": ("PJSIP/1-1 is on the PBX and not",)}, "PJSIP/1-1 is on the PBX and not"),
    ("installed-drift", {"differences": ("context agi-monitor is not there",)}, "context agi-monitor is not there"),
    ("audit-chain", {"audit": ("record 7: changed",)}, "record 7: changed"),
    ("store", {"store": "agi-monitor.db: it is not there"}, "it is not there"),
    ("clock", {"skew": timedelta(seconds=-90)}, "the clock of the PBX is 90 s behind"),
    ("live-picture", {"index_differences": 3}, "3 differences"),
    ("certificate", {"certificates": (Certificate("ca.pem", NOW - timedelta(days=1)),)}, "ended on 2026-11-24"),
    ("certificate", {"certificates": (Certificate("ca.pem", NOW + timedelta(days=9, hours=1)),)}, "in 9 days"),
]


def found(evidence: Evidence) -> dict[str, tuple[str, ...]]:
    """What is found, by check."""
    return {one.check.id: one.evidence for one in examine(CHECKS, evidence) if one.outcome is Outcome.FOUND}


def test_a_clean_site_has_nothing() -> None:
    """Each check was made, and none found anything."""
    results = list(examine(CHECKS, CLEAN))
    assert [(one.check.id, one.evidence) for one in results if one.outcome is not Outcome.FINE] == []
    assert exit_code(results) == 0


@pytest.mark.parametrize(
    ("check", "changes", "evidence"), PLANTED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_planted_fault_is_found(check: str, changes: dict[str, Any], evidence: str) -> None:
    """By its own check alone, with what was seen."""
    by_check = found(replace(CLEAN, **changes))
    assert list(by_check) == [check]
    assert any(evidence in line for line in by_check[check])


def test_text_of_callers_that_is_filtered() -> None:
    """Is nothing to be told."""
    steps = [
        step("from-outside", "_X!", "GotoIf", "$[${LEN(${FILTER(0-9,${EXTEN})})} != ${LEN(${EXTEN})}]?end"),
        {
            **step("from-outside", "_X!", "Set", "CALLERID(num)=${FILTER(+0-9,${CALLERID(num)})}"),
            "Priority": "2",
        },
    ]
    trunk = Endpoint("PJSIP/trunk", "from-outside", True, allow_transfer=True, takes_number=True)
    assert found(replace(CLEAN, **spying(*steps), endpoints=(trunk,))) == {}


def test_a_site_that_lets_supervisors_transfer() -> None:
    """Has said so."""
    endpoint = Endpoint("PJSIP/2001", "supervisors", False, allow_transfer=True)
    assert found(replace(CLEAN, may_transfer=True, endpoints=(endpoint,))) == {}


def test_endpoints_of_the_file_without_an_account() -> None:
    """What pjsip.conf says is looked at, with Asterisk's defaults."""
    sections = {
        "2001": [("type", "aor"), ("type", "endpoint"), ("context", "supervisors"), ("callerid", "Eve <2001>")],
        "2002": [("type", "endpoint"), ("context", "supervisors"), ("allow_transfer", "no"), ("callerid", "2002")],
        "1001": [("type", "endpoint"), ("context", "phones"), ("callerid", "A <1>"), ("trust_id_inbound", "yes")],
        "udp": [("type", "transport")],
    }
    evidence = replace(
        CLEAN,
        supervisors=frozenset({"PJSIP/2001", "PJSIP/2002"}),
        endpoints=Missing("no account"),
        files={**CLEAN.files, "pjsip.conf": sections},
    )
    by_check = found(evidence)
    assert by_check["supervisor-transfer"] == ("PJSIP/2001: allow_transfer = yes",)
    assert [line.partition(":")[0] for line in by_check["caller-text"]] == ["PJSIP/1001"]


def test_every_check_has_a_planted_fault() -> None:
    """A new one needs its own."""
    assert {check.id for check in CHECKS} == {check for check, _, _ in PLANTED}


def test_ids_differ_and_texts_are_sentences() -> None:
    """They are read by people, and by scripts."""
    assert len({check.id for check in CHECKS}) == len(CHECKS)
    for check in CHECKS:
        assert check.id == check.id.lower().replace("_", "-")
        assert check.why.endswith(".")
        assert check.title[0].isupper()


PARTS = (
    *(
        "version",
        "loaded",
        "dialplan",
        "endpoints",
        "skew",
        "differences",
        "picture",
        "unusable_names",
        "queue_contexts",
    ),
    *("sound_files", "audit", "store", "index_differences", "certificates"),
)


@pytest.mark.parametrize("part", [*PARTS, *CLEAN.files])
def test_what_is_not_known_is_not_fine(part: str) -> None:
    """A check without its evidence says why, and fails the command."""
    changes: dict[str, Any] = {part: Missing("nobody was there")}
    if part in CLEAN.files:
        changes = {"files": {**CLEAN.files, part: changes[part]}}
    results = list(examine(CHECKS, replace(CLEAN, **changes)))
    left = [one for one in results if one.outcome is Outcome.NOT_CHECKED]
    assert left
    for one in left:
        assert one.evidence == ("nobody was there",)
        assert exit_code([one]) == 1
    assert [one.check.id for one in results if one.outcome is Outcome.FOUND] == []


def test_without_endpoints_every_context_is_dialled_from() -> None:
    """Rather one way too many than one too few."""
    evidence = replace(
        CLEAN, endpoints=Missing("no right"), **spying(step("nowhere", "1", "ExtenSpy", "1001@phones"))
    )
    assert found(evidence)["spy-reachable"] == (
        "ExtenSpy(1001@phones) is reached from [nowhere] 1@nowhere, priority 1",
    )
    assert found(replace(CLEAN, **spying(step("nowhere", "1", "ExtenSpy", "1001@phones")))) == {}


def test_no_spy_is_what_only_is_called_so() -> None:
    """Asterisk's own context for beeps, which a variable does not lead to, and a jump to a context of that name."""
    beeps = step("__func_periodic_hook_context__", "hook", "ChanSpy", "${EncodedChannel},qB")
    jump = step("phones", "557", "Goto", "app-chanspy,s,1")
    nothing = step("app-chanspy", "s", "NoOp", "no ChanSpy here")
    variable = step("phones", "558", "Goto", "${WHERE},hook,1")
    assert found(replace(CLEAN, **spying(beeps, jump, nothing, variable))) == {}


def test_ways_through_a_variable_come_last() -> None:
    """What is sure is read first."""
    rows = (
        step("phones", "1", "Goto", "${WHERE},s,1"),
        step("a", "s", "ChanSpy", "perhaps"),
        step("phones", "2", "ChanSpy", "sure"),
    )
    lines = found(replace(CLEAN, **spying(*rows)))["spy-reachable"]
    assert list(dict.fromkeys(line.partition(" is ")[0] for line in lines)) == ["ChanSpy(sure)", "ChanSpy(perhaps)"]


def test_exit_codes() -> None:
    """By the worst that was found; a note is not a failure."""
    of = {severity: next(one for one in CHECKS if one.severity is severity) for severity in Severity}
    codes = {severity: exit_code([Result(check, Outcome.FOUND, ("x",))]) for severity, check in of.items()}
    assert codes == {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 3}


UP_TO_2025 = {"GHSA-33x6-fj46-6rfh", "CVE-2025-47779", "GHSA-c7p6-7mvq-8jq2", "GHSA-v9q8-9j8m-5xwp"}
ONLY_FROM_20 = {"GHSA-64qc-9x89-rx5j", "GHSA-vrfp-mg3q-3959"}


@pytest.mark.parametrize("version", ["certified/20.7-cert11", "GIT-master-0123456", "GIT-22-abcdef", ""])
def test_versions_that_nobody_can_compare(version: str) -> None:
    """Are not fine."""
    (result,) = [one for one in examine(CHECKS, replace(CLEAN, version=version)) if one.outcome is not Outcome.FINE]
    assert (result.check.id, result.outcome) == ("asterisk-version", Outcome.NOT_CHECKED)


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("18.24.1", {"CVE-2024-42365", *UP_TO_2025}),
        ("18.24.2", UP_TO_2025),
        ("18.26.3", set()),
        ("20.8.0", {"CVE-2024-42365", "CVE-2024-35190", *ONLY_FROM_20, *UP_TO_2025}),
        ("20.20.1", set()),
        ("21.12.2", {"GHSA-vrfp-mg3q-3959"}),
        ("21.12.3", set()),
        ("22.5.1", {"GHSA-vrfp-mg3q-3959", "GHSA-64qc-9x89-rx5j"}),
        ("22.10.0", {"GHSA-vrfp-mg3q-3959"}),
        ("23.4.0", {"GHSA-vrfp-mg3q-3959"}),
        ("23.4.1", set()),
        ("22.10.1~dfsg+~cs6.10.40431414-1", set()),
    ],
)
def test_versions(version: str, known: set[str]) -> None:
    """The first version that is fixed is not affected."""
    assert {str(one["id"]) for one in affected(version)} == known


def test_every_advisory_has_its_parts() -> None:
    """And a place to read it up."""
    for one in advisories():
        assert set(one) == {"id", "reference", "affected", "effect"}
        assert str(one["reference"]).startswith("https://github.com/asterisk/")


def test_no_secret_is_told() -> None:
    """What is found goes to screens and tickets."""
    evidence = replace(CLEAN, **manager(panel=[("secret", "hunter2"), ("write", "all")]))
    assert "hunter2" not in " ".join(line for one in examine(CHECKS, evidence) for line in one.evidence)
