"""Every mistake in the configuration names its key and its line."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agi_monitor.config import translation, yaml
from agi_monitor.config.loading import load, parse
from agi_monitor.config.sample import SAMPLE
from agi_monitor.config.sections import Config
from agi_monitor.config.yaml import MAX_BYTES
from agi_monitor.errors import ConfigError
from agi_monitor.limits import Limits
from agi_monitor.model import Mode
from agi_monitor.pins.records import make_hash
from tests.doubles.desk import PIN_HASH

TEXT = f"""\
supervisors:
  anna:
    endpoints: [PJSIP/2001]
    pin: {PIN_HASH}
    groups: [leads]
  bert:
    endpoints: [PJSIP/2002]
    pin: {PIN_HASH}
agents:
  1001: {{groups: [sales]}}
  1002: {{groups: [sales, protected]}}
rules:
  - name: one
    allow: [listen, whisper, barge]
    supervisors: [leads]
    agents: [sales]
"""
"""The least that is a configuration; its 16 lines are counted on below."""

MANAGER_SECRET = "secret: correct-horse-battery"
WITH_AMI = f"ami: {{{MANAGER_SECRET}}}\n"


def problems(text: str | bytes) -> tuple[str, ...]:
    """What is wrong with a text."""
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigError) as caught:
        parse(content, "c.yaml")
    return caught.value.problems


def edited(old: str, new: str) -> str:
    """The text above with one thing changed."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def test_the_least_is_enough() -> None:
    """People, agents and rules have no default; all else has."""
    config = parse(TEXT.encode(), "c.yaml")
    assert list(config.supervisors) == ["anna", "bert"]
    assert list(config.agents) == ["1001", "1002"]
    assert config.fastagi.listen == "127.0.0.1"
    assert config.limits == Limits()


# ---- one mistake each --------------------------------------------------------------------------------------

MISTAKES = [
    # unknown, twice, missing
    (TEXT + "fastagy: {}\n", "17: fastagy: is not a key of this section; did you mean fastagi?"),
    (TEXT + "fastagi:\n  prot: 1\n", "18: fastagi.prot: is not a key of this section; did you mean port?"),
    (TEXT + "limits:\n  max_session: 1\n", "18: limits.max_session: is not a key of this section"),
    (
        edited("groups: [leads]", "group: [leads]"),
        "5: supervisors.anna.group: is not a key of this section; did you mean groups?",
    ),
    (edited("  bert:\n", "  anna:\n"), "6: supervisors.anna: is here twice, first in line 2"),
    (edited("1002:", "1001:"), "11: agents.1001: is here twice, first in line 10"),
    (edited("1002:", '"1001":'), "11: agents.1001: is here twice, first in line 10"),
    (edited("  - name: one\n", "  -\n"), "14: rules[0].name: is missing"),
    (TEXT.partition("rules:")[0], "1: rules: is missing"),
    (edited("    endpoints: [PJSIP/2002]\n", ""), "6: supervisors.bert.endpoints: is missing"),
    # the wrong kind
    (edited("[leads]\n  bert", "leads\n  bert"), "5: supervisors.anna.groups: must be a list, such as [one, two]"),
    (edited("{groups: [sales]}", "sales"), "10: agents.1001: must be a mapping, one key a line"),
    (edited("{groups: [sales]}", "[sales]"), "10: agents.1001: must be a mapping, one key a line"),
    (edited("[PJSIP/2001]", "[[PJSIP/2001]]"), "3: supervisors.anna.endpoints[0]: must be a text"),
    (TEXT + "limits: 5\n", "17: limits: must be a mapping, one key a line"),
    (TEXT + "dialplan:\n", "17: dialplan: must be a mapping, one key a line"),
    (TEXT + "fastagi: {port: many}\n", "17: fastagi.port: must be a whole number"),
    (TEXT + "fastagi: {port: 0}\n", "17: fastagi.port: must be greater than or equal to 1"),
    (TEXT + "fastagi: {port: 65536}\n", "17: fastagi.port: must be less than or equal to 65535"),
    (TEXT + "fastagi: {port: 1.5}\n", "17: fastagi.port: must be a whole number"),
    (TEXT + "log: {level: loud}\n", "17: log.level: must be 'debug', 'info', 'warning' or 'error'"),
    (TEXT + "pins: {lock_seconds: .nan}\n", "17: pins.lock_seconds: must be a valid number"),
    (TEXT + "pins: {lock_seconds: nan}\n", "17: pins.lock_seconds: must be a finite number"),
    (TEXT + "pins: {lock_seconds: 1e999}\n", "17: pins.lock_seconds: must be a finite number"),
    (TEXT + "stop: {seconds: -1}\n", "17: stop.seconds: must be greater than or equal to 0"),
    (TEXT + "limits: {max_sessions: 0}\n", "17: limits: max_sessions must be more than 0 and finite"),
    (TEXT + "limits: {command_seconds: nan}\n", "17: limits: command_seconds must be more than 0 and finite"),
    (TEXT + "limits: {command_seconds: inf}\n", "17: limits: command_seconds must be more than 0 and finite"),
    # the wrong form
    (edited("[PJSIP/2001]", "[]"), "3: supervisors.anna.endpoints: Tuple should have at least 1 item"),
    (edited("PJSIP/2001", "2001"), "3: supervisors.anna.endpoints[0]: must be technology/name"),
    (edited("PJSIP/2001", "Local/2001"), "3: supervisors.anna.endpoints[0]: must be technology/name"),
    (edited("PJSIP/2001", "'PJSIP/${X}'"), "3: supervisors.anna.endpoints[0]: must be technology/name"),
    (edited("PJSIP/2001", '"PJSIP/2001\\n"'), "3: supervisors.anna.endpoints[0]: must be technology/name"),
    (edited("1002:", "10x2:"), "11: agents.10x2: extension is missing: a name cannot be dialled"),
    (
        edited("1002:", "10.2:"),
        "11: agents.10.2: must be 1 to 20 digits, or a name of letters, digits, - and _, at most 20, with its digits "
        "in extension",
    ),
    (edited("1002:", "١٠٠٢:"), "11: agents.١٠٠٢: must be 1 to 20 digits"),
    (edited("1002:", "123456789012345678901:"), "11: agents.123456789012345678901: must be 1 to 20 digits"),
    (edited("  bert:", "  be rt:"), "6: supervisors.(not a word): must be letters, digits, - and _"),
    (edited("[leads]\n  bert", "[all]\n  bert"), "5: supervisors.anna.groups[0]: must be letters"),
    (edited("[sales]}", "['1001']}"), "10: agents.1001.groups[0]: must be letters"),
    (edited("[listen,", "[listn,"), "14: rules[0].allow[0]: must be 'listen', 'whisper', 'barge', 'take_over'"),
    (TEXT + 'codes: {listen: "*22x"}\n', "17: codes.listen: must be 1 to 8 of the keys"),
    (TEXT + "fastagi: {listen: localhost}\n", "17: fastagi.listen: must be an IP address"),
    (TEXT + "fastagi: {peers: [10.0.0.1/8]}\n", "17: fastagi.peers[0]: 10.0.0.1/8 has host bits set"),
    (TEXT + "fastagi: {peers: [pbx]}\n", "17: fastagi.peers[0]: 'pbx' does not appear to be"),
    (TEXT + f"fastagi: {{secret: {'a.b' * 6}}}\n", "17: fastagi.secret: must be 16 to 128 letters"),
    (TEXT + f"fastagi: {{secret: {'a~b' * 6}}}\n", "17: fastagi.secret: must be 16 to 128 letters"),
    (TEXT + "fastagi: {secret: short}\n", "17: fastagi.secret: must be 16 to 128 letters"),
    (TEXT + "dialplan: {hint_context: a b}\n", "17: dialplan.hint_context: must be a context"),
    (TEXT + "languages: {german: {}}\n", "17: languages.german: must be a language"),
    (TEXT + "prompts: {goodbye: [../x]}\n", "17: prompts.goodbye[0]: must be a sound file"),
    (TEXT + "prompts: {goodbye: [/etc/passwd]}\n", "17: prompts.goodbye[0]: must be a sound file"),
    (TEXT + "prompts: {goodbye: [a&b]}\n", "17: prompts.goodbye[0]: must be a sound file"),
    (TEXT + "prompts: {goodbye: ['{who}']}\n", "17: prompts.goodbye[0]: must be a sound file"),
    (TEXT + "prompts: {goodbye: []}\n", "17: prompts.goodbye: Tuple should have at least 1 item"),
    # what does not fit together
    (edited("    allow: [listen, whisper, barge]\n", ""), "13: rules[0]: needs either allow or deny"),
    (edited("[listen, whisper, barge]", "[listen]\n    deny: [barge]"), "13: rules[0]: needs either allow or deny"),
    (edited("[listen, whisper, barge]", "[]"), "13: rules[0]: needs either allow or deny"),
    (edited("PJSIP/2002", "PJSIP/2001"), "7: supervisors.bert.endpoints: PJSIP/2001 is already the phone of anna"),
    (edited("supervisors: [leads]", "supervisors: [leds]"), "15: rules[0].supervisors: leds is neither a supervisor"),
    (
        edited("supervisors: [leads]", "supervisors: [sales]"),
        "15: rules[0].supervisors: sales is neither a supervisor",
    ),
    (edited("agents: [sales]", "agents: [leads]"), "16: rules[0].agents: leads is neither an agent"),
    (edited("agents: [sales]", "agents: [1003]"), "16: rules[0].agents: 1003 is neither an agent"),
    (
        TEXT + "  - {name: one, deny: [barge], supervisors: [all], agents: [all]}\n",
        "17: rules[1].name: another rule is called one",
    ),
    (edited("  bert:", "  leads:"), "6: supervisors.leads: is also the name of a group"),
    (edited("  bert:", "  all:"), "6: supervisors.all: is also the name of a group"),
    (TEXT + 'codes: {listen: "*9", barge: "*91"}\n', "17: codes.barge: *91 begins with *9, the code of listen"),
    (TEXT + 'codes: {whisper: "*222"}\n', "17: codes.whisper: *222 begins with *222, the code of listen"),
    (TEXT + "fastagi: {listen: 0.0.0.0}\n", "17: fastagi: address must say how Asterisk reaches the server"),
    (TEXT + "fastagi: {listen: '::'}\n", "17: fastagi: address must say how Asterisk reaches the server"),
    (TEXT + "audit: {file: }\n", "17: audit: is kept nowhere: give it a file, or store: true, or both"),
    ("rules: []\nstore: {plugin: ldap}\n", "1: rules: comes from the plug-in ldap, because of store.plugin"),
    ("store: {plugin: ldap, people: true}\n", "1: store.plugin: is a second place for people, besides store.people"),
    ("store: {plugin: 'a b'}\n", "1: store.plugin: must be the name of an entry point"),
    (TEXT + "stop: {spies: end}\n", "17: stop: spies: end needs ami, or a hangup_command with"),
    (
        TEXT + "stop: {spies: end, hangup_command: [asterisk]}\n",
        "17: stop: spies: end needs ami, or a hangup_command with",
    ),
    (TEXT + "pins: {lock_seconds: 4000}\n", "17: pins: max_lock_seconds is shorter than lock_seconds"),
    (TEXT + "pins: {lock_seconds_peer: 400}\n", "17: pins: max_lock_seconds_peer is shorter than lock_seconds_peer"),
    (
        edited("  bert:", "    pin_set: 2026-01-31T10:00:00+01:00\n  bert:") + "pins: {max_days: 90}\n",
        "7: supervisors.bert: pin_set is missing, and pins.max_days counts from then on",
    ),
    (TEXT + "pins: {min_digits: 3}\n", "17: pins.min_digits: must be greater than or equal to 4"),
    (TEXT + "pins: {min_digits: 17}\n", "17: pins.min_digits: must be less than or equal to 16"),
    (TEXT + "pins: {max_days: 0}\n", "17: pins.max_days: must be greater than or equal to 1"),
    (TEXT + "pins: {refuse_weak: perhaps}\n", "17: pins.refuse_weak: must be true or false"),
    (TEXT + "prompts: {hello: [hi]}\n", "17: prompts.hello: is not a refusal reason or a cue"),
    (TEXT + "languages: {de: {hello: [hi]}}\n", "17: languages.de.hello: is not a refusal reason or a cue"),
    (TEXT + "prompts: {ask_pin: [a, b]}\n", "17: prompts.ask_pin: must be exactly one sound file"),
    (TEXT + "prompts: {ask_pin: ['{extension}']}\n", "17: prompts.ask_pin: must be exactly one sound file"),
    (
        TEXT + "prompts: {goodbye: ['{extension}']}\n",
        "17: prompts.goodbye: {extension} has no value at this moment: no agent is known yet",
    ),
    (
        TEXT + "prompts: {no_call: ['{number}']}\n",
        "17: prompts.no_call: {number} has no value at this moment: there is one only in choose_call",
    ),
    (
        TEXT + "prompts: {pin_wrong: [no]}\n",
        "17: prompts.pin_wrong: pin_wrong and endpoint_unknown must have the same words",
    ),
    (
        TEXT + "languages: {de: {mode_denied: [no], agent_unknown: [nobody]}}\n",
        "17: languages.de.mode_denied: mode_denied and agent_unknown must have the same words",
    ),
    # the live picture
    (TEXT + "ami: {}\n", "17: ami.secret: is missing"),
    (TEXT + "ami: {secret: short}\n", "17: ami.secret: must be 16 to 128 visible characters"),
    (TEXT + "ami: {secret: 'with a space in the middle'}\n", "17: ami.secret: must be 16 to 128 visible characters"),
    (TEXT + "ami: {secret: 'with;semicolon-in-it'}\n", "17: ami.secret: must be 16 to 128 visible characters"),
    (TEXT + "ami: {secret: aaaaabbbbbcccccddddd}\n", "17: ami.secret: has fewer than 6 different characters"),
    (
        TEXT + "ami: {username: the-monitor-account, secret: The-Monitor-Account}\n",
        "17: ami.secret: is one of those that everyone tries",
    ),
    (TEXT + f"ami: {{username: general, {MANAGER_SECRET}}}\n", "17: ami.username: must be letters, digits"),
    (TEXT + f"ami: {{username: General, {MANAGER_SECRET}}}\n", "17: ami.username: must be letters, digits"),
    (TEXT + f"ami: {{username: a b, {MANAGER_SECRET}}}\n", "17: ami.username: must be letters, digits"),
    (TEXT + f"ami: {{node: a/b, {MANAGER_SECRET}}}\n", "17: ami.node: must be letters, digits, - and _"),
    (TEXT + f"ami: {{host: 'a b', {MANAGER_SECRET}}}\n", "17: ami.host: must be a host name or an IP address"),
    (TEXT + f"ami: {{port: 0, {MANAGER_SECRET}}}\n", "17: ami.port: must be greater than or equal to 1"),
    (TEXT + f"ami: {{resync_minutes: 0, {MANAGER_SECRET}}}\n", "17: ami.resync_minutes: must be greater than"),
    (TEXT + f"ami: {{resync_minutes: .inf, {MANAGER_SECRET}}}\n", "17: ami.resync_minutes: must be a valid number"),
    (TEXT + f"ami: {{tls: {{verify: no}}, {MANAGER_SECRET}}}\n", "17: ami.tls.verify: is not a key of this section"),
    (TEXT + f"ami: {{tls: {{name: ''}}, {MANAGER_SECRET}}}\n", "17: ami.tls.name: must be a host name"),
    (TEXT + "spies: {barge: bridge}\n", "17: spies.barge: must be 'chanspy' or 'conference'"),
    (TEXT + "spies: {follow: caller}\n", "17: spies.follow: must be 'agent', 'customer' or 'none'"),
    (TEXT + "spies: {scan_order: shortest}\n", "17: spies.scan_order: must be 'longest' or 'random'"),
    (TEXT + "spies: {rogue: ignore}\n", "17: spies.rogue: must be 'alarm' or 'hang_up'"),
    (TEXT + "spies: {rogue_exceptions: [900]}\n", "17: spies.rogue_exceptions[0]: must be technology/name"),
    (TEXT + "spies: {orphans: leave}\n", "17: spies.orphans: must be 'adopt' or 'end'"),
    (TEXT + "spies: {key: short}\n", "17: spies.key: must be 16 to 128 letters"),
    (TEXT + "notice: {}\n", "17: notice: needs ami: without it the end of the notice is not known"),
    (TEXT + f"{WITH_AMI}notice: {{sounds: []}}\n", "18: notice.sounds: Tuple should have at least 1 item"),
    (TEXT + f"{WITH_AMI}notice: {{sounds: [../x]}}\n", "18: notice.sounds[0]: must be a sound file"),
    (TEXT + f"{WITH_AMI}notice: {{sounds: ['{{extension}}']}}\n", "18: notice.sounds[0]: must be a sound file"),
    (TEXT + f"{WITH_AMI}notice: {{modes: []}}\n", "18: notice.modes: Tuple should have at least 1 item"),
    (TEXT + f"{WITH_AMI}notice: {{modes: [spy]}}\n", "18: notice.modes[0]: must be 'listen', 'whisper'"),
    (
        TEXT + f"{WITH_AMI}notice: {{agents: [leads]}}\n",
        "18: notice.agents: leads is neither an agent nor a group of agents",
    ),
    (
        TEXT + f"{WITH_AMI}notice: {{agents: [1003]}}\n",
        "18: notice.agents: 1003 is neither an agent nor a group of agents",
    ),
    (TEXT + "protected: {endpoints: [9000]}\n", "17: protected.endpoints[0]: must be technology/name"),
    (TEXT + "protected: {numbers: ['49 30']}\n", "17: protected.numbers[0]: must be a number of up to 20 digits"),
    (TEXT + "protected: {numbers: ['4*9']}\n", "17: protected.numbers[0]: must be a number of up to 20 digits"),
    (TEXT + "protected: {numbers: ['*']}\n", "17: protected.numbers[0]: must be a number of up to 20 digits"),
    (TEXT + "metrics: {listen: 192.0.2.1}\n", "17: metrics.listen: must be an address of the loopback interface"),
    (TEXT + "metrics: {listen: localhost}\n", "17: metrics.listen: must be an IP address"),
    (TEXT + "metrics: {port: 0}\n", "17: metrics.port: must be greater than or equal to 1"),
    (TEXT + "control: {path: /x}\n", "17: control.path: is not a key of this section"),
    (
        TEXT + "prompts: {waiting: ['{extension}']}\n",
        "17: prompts.waiting: {extension} has no value at this moment: no agent is known yet",
    ),
    (TEXT + "waiting: {reasons: [stale]}\n", "17: waiting.reasons[0]: must be 'no_call', 'ringing' or 'on_hold'"),
    (TEXT + "waiting: {music: 'off'}\n", "17: waiting.music: 'off' is a text, which could be a name: write false"),
    (TEXT + "waiting: {music: No}\n", "17: waiting.music: 'No' is a text, which could be a name: write false"),
    (TEXT + "waiting: {music: yes}\n", "17: waiting.music: 'yes' is a text, which could be a name: write true"),
    (TEXT + "waiting: {music: 'a,b'}\n", "17: waiting.music: must be true, false, or the name of a class"),
    (TEXT + "waiting: {beep: 'no'}\n", "17: waiting.beep: 'no' is a text, which could be a name: write false"),
    (TEXT + "waiting: {beep: on}\n", "17: waiting.beep: 'on' is a text, which could be a name: write true"),
    (TEXT + "waiting: {beep: often}\n", "17: waiting.beep: must be true, false, or the seconds between two beeps"),
    (TEXT + "waiting: {beep: 1}\n", "17: waiting.beep: must be true, false, or the seconds between two beeps"),
    (TEXT + "waiting: {beep: .nan}\n", "17: waiting.beep: must be true, false, or the seconds between two beeps"),
    (TEXT + "waiting: {music: true, beep: true}\n", "17: waiting.beep: is in the way of music: choose one"),
    (TEXT + f"{WITH_AMI}scans: {{0: {{}}}}\n", "18: scans.0: must be a number from 1 to 99"),
    (TEXT + f"{WITH_AMI}scans: {{1: {{agents: [leads]}}}}\n", "18: scans.1.agents: leads is neither an agent nor"),
    (TEXT + "scans: {1: {}}\n", "17: scans.1: needs ami: without it the calls are not known"),
    (TEXT + "spies: {mode_mark: loud}\n", "17: spies.mode_mark: must be 'none', 'tone' or 'word'"),
    (TEXT + "pins: {seconds: 0}\n", "17: pins.seconds: must be greater than or equal to 1"),
    # no YAML, or more of it than a configuration needs
    (edited("[leads]\n  bert", "[leads\n  bert"), "6: expected ',' or ']', but got"),
    (TEXT + "\tx: 1\n", "17: a tab at the beginning: YAML takes spaces only"),
    (TEXT + "? [a]\n: 1\n", "17: a key must be one word"),
    (TEXT + "name: *nobody\n", "17: found undefined alias: a text that begins with * needs quotes"),
    (TEXT + "prompts: &a {goodbye: *a}\n", "17: aliases make this endless"),
    (TEXT + "---\n" + TEXT, "17: but found another document"),
]


@pytest.mark.parametrize(
    "moment",
    [
        *("code_unknown", "endpoint_unknown", "pin_wrong", "pin_locked", "pin_expired", "identity_changed"),
        *("extension_missing", "agent_unknown", "mode_denied", "state_unavailable", "pbx_error", "call_over"),
    ],
)
def test_no_extension_is_said_where_no_agent_is_known(moment: str) -> None:
    """There are only digits that someone keyed in, which may be a PIN."""
    found = problems(TEXT + f"prompts: {{{moment}: [beep, '{{extension}}']}}\n")
    assert f"c.yaml:17: prompts.{moment}: {{extension}} has no value at this moment: no agent is known yet" in found


@pytest.mark.parametrize(("text", "problem"), MISTAKES, ids=[problem[:60] for _, problem in MISTAKES])
def test_a_mistake_names_its_line_and_key(text: str, problem: str) -> None:
    """One mistake is one sentence, with the place it was made at."""
    (found,) = problems(text)
    assert found.startswith(f"c.yaml:{problem}")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    """The check need not be run ten times."""
    text = edited("PJSIP/2002", "2002").replace("[listen,", "[lisen,") + "log: {level: loud}\n"
    assert [problem.split(": ")[0] for problem in problems(text)] == ["c.yaml:7", "c.yaml:14", "c.yaml:17"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "null\n", "hello\n", "- a\n", "\ufeff", "---\n", "~"])
def test_a_file_without_keys_is_no_configuration(text: str) -> None:
    """The message says how to get a sample."""
    assert problems(text) == ("c.yaml: is empty or no mapping. Write a sample with: agi-monitor init",)


def test_a_file_that_is_not_utf_8_names_the_line() -> None:
    """Latin-1 names, from an editor of long ago."""
    content = edited("groups: [leads]", "name: M\u00fcller").encode("latin-1")
    assert problems(content) == ("c.yaml:5: is not UTF-8",)


@pytest.mark.parametrize("text", [f"\ufeff{TEXT}", TEXT.replace("\n", "\r\n"), f"---\n{TEXT}...\n"])
def test_what_editors_do_is_no_mistake(text: str) -> None:
    """A byte order mark, DOS line ends, the marks of a document."""
    assert parse(text.encode(), "c.yaml") == parse(TEXT.encode(), "c.yaml")


def test_dos_line_ends_count_once() -> None:
    """The line number is the editor's."""
    (found,) = problems(edited("PJSIP/2002", "2002").replace("\n", "\r\n"))
    assert found.startswith("c.yaml:7: ")


def test_aliases_are_allowed_within_reason() -> None:
    """An anchor saves typing; one inside itself, or thousands inside each other, are refused."""
    text = edited("{groups: [sales]}", "&ben {groups: [sales]}").replace("{groups: [sales, protected]}", "*ben")
    assert parse(text.encode(), "c.yaml").agents["1002"].groups == ("sales",)
    laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert problems("l0: &l0 [x]\n" + laughs) == ("c.yaml:1: aliases make this endless",)
    assert problems("a: &a\n  b: *a\n") == ("c.yaml:1: aliases make this endless",)


def test_a_file_that_is_too_large_is_not_looked_at() -> None:
    """Sixteen megabytes are not a configuration."""
    assert problems(b"#" * (MAX_BYTES + 1)) == (f"c.yaml:1: is larger than {MAX_BYTES} bytes",)


@pytest.mark.parametrize("text", ["[" * 900, "{a: " * 900, "- " * 900, '{"a":' * 30 + "1" + "}" * 30])
def test_a_file_that_is_too_deep_is_refused(text: str) -> None:
    """Nesting is bounded before Python's stack is."""
    (found,) = problems(text)
    assert found.startswith("c.yaml:1: ")


def test_texts_stay_texts() -> None:
    """Numbers, dates and switches of YAML are what they look like."""
    text = edited("1002:", "0100:").replace("name: one", "name: no") + "audit: {file: 2026-01-01}\n"
    config = parse(text.encode(), "c.yaml")
    assert list(config.agents) == ["1001", "0100"]
    assert config.rules[0].name == "no"
    assert config.audit.file == Path("2026-01-01")


def test_what_is_said_when_a_scan_comes_to_an_agent_may_name_the_extension() -> None:
    """As the default does."""
    config = parse(f"{TEXT}prompts: {{scanned: ['{{extension}}', beep]}}\n".encode(), "c.yaml")
    assert config.prompts == {"scanned": ("{extension}", "beep")}


def test_spies_can_be_ended_over_the_manager_interface() -> None:
    """No command of the site is needed then."""
    config = parse(f"{TEXT}{WITH_AMI}stop: {{spies: end}}\n".encode(), "c.yaml")
    assert config.stop.hangup_command == ()


# ---- secrets -----------------------------------------------------------------------------------------------

SECRET = "s3cret-Hash0fSomebody"


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(PIN_HASH, SECRET),
        TEXT.replace(PIN_HASH, f"[{SECRET}]"),
        TEXT.replace(PIN_HASH, f'"{SECRET}'),
        TEXT.replace(PIN_HASH, f"!!null {SECRET}"),
        TEXT + f"fastagi: {{secret: '{SECRET}!'}}\n",
        TEXT + f"fastagi: {{secret: [{SECRET}]}}\n",
        TEXT + f"fastagi: '{SECRET}'\n",
        TEXT + f"ami: {{secret: '{SECRET} with a space'}}\n",
        TEXT + f"ami: {{secret: [{SECRET}]}}\n",
        TEXT + f"ami: {{username: {SECRET}, secret: {SECRET}}}\n",
        TEXT + f"ami: '{SECRET}'\n",
        TEXT + f"spies: {{key: '{SECRET}!'}}\n",
        TEXT + f"spies: {{key: [{SECRET}]}}\n",
        TEXT + f"stop: {{spies: end, hangup_command: [{SECRET}]}}\n",
        # What YAML takes for something else than a text.
        TEXT + f"ami: {{secret: *{SECRET}}}\n",
        TEXT + f"ami: {{secret: !{SECRET}!x y}}\n",
        TEXT + f"ami: {{secret: !{SECRET}}}\n",
        TEXT + f"ami: {{secret: &{SECRET}}}\n",
        TEXT + f"ami:\n  secret: %{SECRET}\n",
        TEXT + f"%TAG !{SECRET}! x\n",
        f"%TAG !{SECRET}! x\n%TAG !{SECRET}! y\n---\n{TEXT}",
        TEXT + f"ami: {{secret: &a {SECRET}, username: &a {SECRET}!}}\n",
        TEXT + f'ami: {{secret: "{SECRET}\\q"}}\n',
        TEXT + f"ami:\n  secret: {SECRET}\n {SECRET}: x\n",
        TEXT + f"ami: [{SECRET}\n",
        TEXT + f"? [{SECRET}]\n: {SECRET}\n",
    ],
)
def test_no_message_repeats_a_value_that_may_be_secret(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Hashes and secrets stay in the file: no error shows them, and no warning of a library on standard error."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = "\n".join(problems(text))
    assert SECRET not in found
    assert SECRET not in "".join(capfd.readouterr())
    assert warned == []


@pytest.mark.parametrize("character", ["3", "x", "é"])
def test_no_message_repeats_a_character_of_one(character: str) -> None:
    """Nor one digit of it."""
    (found,) = problems(TEXT + f'fastagi: {{secret: "\\{"q" if character == "x" else character}{character}"}}\n')
    assert found == "c.yaml:17: found unknown escape character another text"


def test_an_anchor_that_stands_there_twice_is_the_last_one(recwarn: pytest.WarningsRecorder) -> None:
    """As YAML has it, and nothing is printed: the lines around it may hold secrets."""
    text = edited("{groups: [sales]}", "&a {groups: [sales]}").replace(
        "{groups: [sales, protected]}", "&a {name: Ben}"
    )
    config = parse(f"{text}audit: {{file: &a /x}}\ndialplan: {{templates: *a}}\n".encode(), "c.yaml")
    assert config.dialplan.templates == Path("/x")
    assert len(recwarn) == 0


def test_a_key_is_shown_as_one_line_that_a_console_can_bear() -> None:
    """Anyone who writes the file does not write the log."""
    (found,) = problems(TEXT + '"a\\nb\\e[31m": 1\n')
    assert found == "c.yaml:17: (not a word): is not a key of this section"
    (found,) = problems(TEXT + f"fastagi: {{peers: [{'x' * 5_000}]}}\n")
    assert len(found) < 200
    (found,) = problems(TEXT + f"{'k' * 200}: 1\n")
    assert found == "c.yaml:17: (not a word): is not a key of this section"


def test_a_hash_is_told_from_anything_else() -> None:
    """What ``agi-monitor pin`` prints is right; a PIN, another scheme or a torn record is not."""
    fresh = make_hash("123456")
    assert parse(TEXT.replace(PIN_HASH, fresh).encode(), "c.yaml").supervisors["anna"].pin == fresh
    none = "must be an argon2id record; make one with: agi-monitor pin"
    for wrong, problem in (
        ("123456", none),
        (fresh[:-30], "is an argon2id record whose hash is not whole"),
        (fresh.replace("argon2id", "argon2i"), none),
        (fresh.replace("$m=", "$x="), none),
        ("$argon2id$v=19$torn", none),
        (f"{fresh}$", none),
    ):
        text = TEXT.replace(f"{PIN_HASH}\n    groups", f"{wrong}\n    groups")
        assert problems(text) == (f"c.yaml:4: supervisors.anna.pin: {problem}",)


def test_a_hash_that_asks_for_too_much_is_refused_where_it_stands() -> None:
    """Argon2 does what a record says: it would take all memory at the first call."""
    greedy = PIN_HASH.replace("m=8,t=1,", "m=9999999,t=999,")
    assert problems(TEXT.replace(f"{PIN_HASH}\n    groups", f"{greedy}\n    groups")) == (
        "c.yaml:4: supervisors.anna.pin: is an argon2id record with m=9999999: 262144 (KiB of memory) is the most",
    )


# ---- the sample, the file, any bytes -----------------------------------------------------------------------


def test_the_sample_is_right_but_for_the_pin() -> None:
    """Only the PIN has to be put in."""
    (found,) = problems(SAMPLE)
    line = SAMPLE[: SAMPLE.index("REPLACE-ME")].count("\n") + 1
    assert found.startswith(f"c.yaml:{line}: supervisors.anna.pin: must be an argon2id record")
    config = parse(SAMPLE.replace("REPLACE-ME", PIN_HASH).encode(), "sample")
    assert config.codes.by_mode() == {Mode.LISTEN: "*222", Mode.WHISPER: "*223", Mode.BARGE: "*224"}


def test_the_sample_shows_the_defaults() -> None:
    """What the sample says of the server itself is what holds without it."""
    sample = parse(SAMPLE.replace("REPLACE-ME", PIN_HASH).encode(), "sample")
    least = parse(TEXT.encode(), "c.yaml")
    for section in ("codes", "pins", "dialplan", "audit", "state", "log", "stop", "limits"):
        assert getattr(sample, section) == getattr(least, section)


def test_every_limit_is_a_key() -> None:
    """The section has the names of ``limits``."""
    config = parse((TEXT + "limits: {max_sessions: 7, cleanup_seconds: 1.5}\n").encode(), "c.yaml")
    assert config.limits == Limits(max_sessions=7, cleanup_seconds=1.5)


def test_loads_a_file_with_its_digest(tmp_path: Path) -> None:
    """The digest is of the bytes, so that the audit can say which file held."""
    path = tmp_path / "c.yaml"
    path.write_text(TEXT)
    loaded = load(path)
    assert loaded.config == parse(TEXT.encode(), "c.yaml")
    assert loaded.digest == hashlib.sha256(TEXT.encode()).hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, or a folder."""
    missing = tmp_path / "missing.yaml"
    with pytest.raises(ConfigError, match=f"^{re.escape(str(missing))}: cannot be read: No such file or directory"):
        load(missing)
    with pytest.raises(ConfigError, match=f"^{re.escape(str(tmp_path))}: cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("writer", [False, True])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, writer: bool) -> None:
    """A FIFO without a writer, or with one that never ends; a device; a socket."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR) if writer else None
    try:
        for path in (fifo, Path("/dev/zero")):
            with pytest.raises(ConfigError, match="cannot be read: It is not a regular file"):
                load(path)
    finally:
        if held is not None:
            os.close(held)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(ConfigError, match="cannot be read"):
            load(tmp_path / "socket")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A terabyte of nothing."""
    with (tmp_path / "c.yaml").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ConfigError, match=f"c.yaml:1: is larger than {MAX_BYTES} bytes"):
        load(tmp_path / "c.yaml")


def test_a_file_of_too_many_values_is_refused_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the value that is one too many, whatever stands after it."""
    monkeypatch.setattr(yaml, "MAX_NODES", 100)
    assert problems("- a\n" * 100 + "]") == ("c.yaml:100: has more than 100 values",)


YAML_PIECES = [
    *(
        "&a ",
        "*a",
        "!!str ",
        "!x!y ",
        "!!binary ",
        "!!set ",
        "? ",
        "- ",
        ": ",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        "limits: {",
    ),
    *(
        "|\n",
        ">-\n",
        "'",
        '"',
        "\t",
        "\r",
        "\x85",
        "\u2028",
        "\0",
        "---\n",
        "...\n",
        "#",
        "@",
        "`",
        "~",
        "\\x",
        "\n ",
    ),
    *("%YAML 1.1\n---\n", "%YAML 1.0\n---\n", "%TAG ! tag:\n---\n", "limits: {", "1e999", ".nan", "0x"),
]
"""What YAML reads as more than a letter."""


@given(
    st.one_of(
        st.binary(),
        st.text().map(str.encode),
        st.lists(st.sampled_from(YAML_PIECES), max_size=12).map(lambda pieces: "".join(pieces).encode()),
        st.tuples(st.integers(0, len(TEXT)), st.sampled_from(YAML_PIECES)).map(
            lambda edit: (TEXT[: edit[0]] + edit[1] + TEXT[edit[0] :]).encode()
        ),
    )
)
@example(b"%YAML 1.0\n---\n")
@example(b":\n%YAML 0.0")
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_are_a_configuration_or_a_config_error(content: bytes) -> None:
    """Nothing else comes out of any file, and every problem begins with the file's name."""
    try:
        config = parse(content, "c.yaml")
    except ConfigError as error:
        assert error.problems
        assert all(problem.startswith("c.yaml:") for problem in error.problems)
    else:
        assert isinstance(config, Config)


# ---- several companies --------------------------------------------------------------------------------------

COMPANIES = f"""\
tenants:
  acme: {{contexts: [acme], hint_context: acme-hints}}
  beta: {{contexts: [beta, beta-out]}}
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", tenant: acme}}
  bert: {{endpoints: [PJSIP/2002], pin: "{PIN_HASH}", tenant: beta}}
agents:
  1001: {{tenant: acme}}
  beta-1001: {{tenant: beta, extension: 1001}}
rules: []
"""


def test_two_companies_may_have_the_same_extension() -> None:
    """Each agent has the contexts of their company, and a hint of its own."""
    config = parse(COMPANIES.encode(), "c.yaml")
    acmes, betas = translation.agents(config)
    assert (acmes.extension, acmes.digits, acmes.hint_context) == ("1001", "1001", "acme-hints")
    assert (betas.extension, betas.digits, betas.hint_context) == ("beta-1001", "1001", None)
    assert acmes.contexts == frozenset({"acme", "acme-hints"})
    assert betas.contexts == frozenset({"beta", "beta-out"})
    assert [agent.extension for agent in translation.site(config).agents] == ["1001"]
    (only,) = translation.agents(parse(TEXT.replace("  1002: {groups: [sales, protected]}\n", "").encode(), "c.yaml"))
    assert (only.contexts, only.hint_context, only.tenant) == (None, None, "")


def test_people_of_a_company_that_nobody_named_are_logged_in_nowhere() -> None:
    """They may come from a store that knows more companies than the file."""
    config = parse(COMPANIES.encode(), "c.yaml")
    for name in ("gamma", None):
        agent = config.agents["1001"].model_copy(update={"tenant": name})
        (found,) = translation.agents(config.model_copy(update={"agents": {"1": agent}}))
        assert found.contexts == frozenset()
    (found,) = translation.agents(config.model_copy(update={"agents": {"1": config.agents["1001"]}, "tenants": {}}))
    assert found.contexts == frozenset()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("extension: 1001}", "extension: 10o1}", "9: agents.beta-1001.extension: must be 1 to 20 digits"),
        (", extension: 1001}", "}", "9: agents.beta-1001: extension is missing: a name cannot be dialled"),
        ("{tenant: acme}", "{tenant: acme, extension: 1002}", "8: agents.1001.extension: is another than the key"),
        (
            "{tenant: beta, ext",
            "{tenant: acme, ext",
            "9: agents.beta-1001.extension: is already the extension of 1001",
        ),
        ("{tenant: acme}", "{tenant: gamma}", "8: agents.1001.tenant: gamma is not one of tenants"),
        ("{tenant: acme}", "{}", "8: agents.1001: tenant is missing, because there are tenants"),
        (", tenant: beta}", "}", "6: supervisors.bert: tenant is missing, because there are tenants"),
        ("[beta, beta-out]", "[beta, acme]", "3: tenants.beta.contexts: acme is already a context of acme"),
        ("beta-out]", "acme-hints]", "3: tenants.beta.contexts: acme-hints is already a context of acme"),
        (", hint_context: acme-hints", "", "9: agents.beta-1001: is found by the same hint as 1001"),
        (
            "extension: 1001}",
            "extension: 1001, groups: [beta-1001]}",
            "9: agents.beta-1001: is also the name of a group",
        ),
    ],
)
def test_what_would_mix_companies_is_a_mistake(old: str, new: str, problem: str) -> None:
    """With its line, and how to fix it."""
    assert COMPANIES.count(old) == 1
    assert any(f"c.yaml:{problem}" in one for one in problems(COMPANIES.replace(old, new)))
