"""When, for which calls and on which terms a rule holds: as it stands in the file, and as it is decided by."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agi_monitor.config import translation
from agi_monitor.config.loading import parse
from agi_monitor.config.sections import Config
from agi_monitor.errors import ConfigError
from agi_monitor.model import Direction, Mode
from agi_monitor.rights.authorization import Calls, Effect, Rule, Terms
from agi_monitor.rights.hours import Dates, Hours, When
from tests.doubles.desk import PIN_HASH

PEOPLE = f"""\
supervisors:
  anna: {{endpoints: [PJSIP/2001], pin: "{PIN_HASH}", groups: [leads]}}
agents:
  1001: {{groups: [sales]}}
  1002: {{groups: [10xx]}}
rules:
"""
PEOPLE_ALONE = PEOPLE.removesuffix("rules:\n")
LEAST = PEOPLE + "  - {name: r, allow: [listen], supervisors: [leads], agents: [sales]"
"""The rule is in line 7."""


def with_rule(more: str) -> str:
    """The least, and more in its rule."""
    return f"{LEAST}, {more}}}\n"


def problem(text: str) -> str:
    """The one thing that is wrong with a text."""
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), "c.yaml")
    (found,) = caught.value.problems
    return found


FULL = (
    PEOPLE
    + """\
  - name: everything
    allow: [listen, scan]
    supervisors: [leads]
    agents: [sales, _10XX, _1.]
    when:
      zone: Europe/Berlin
      hours: [mon-fri 08:00-18:00, 22:00-6:00]
      dates: [2026-12-01..2026-12-24, 06-01..08-31]
      not_on: [12-06, 2026-12-08]
    calls: {queues: [sales, "400"], direction: in}
    terms: {reason_required: yes, max_minutes: 2.5, max_listeners: 2}
  - {name: no-scan, deny: [scan], supervisors: [all], agents: [10xx]}
"""
)


@pytest.fixture
def config() -> Config:
    """Rules with all there is."""
    return parse(FULL.encode(), "c.yaml")


def test_rules_as_they_are_decided_by(config: Config) -> None:
    """Every key of the file has its place, and a group may be called as a pattern is without its underscore."""
    everything, no_scan = translation.rules(config)
    assert everything == Rule(
        "everything",
        Effect.ALLOW,
        frozenset({Mode.LISTEN}),
        frozenset({"leads"}),
        frozenset({"sales", "_10XX", "_1."}),
        scan=True,
        when=When(
            ZoneInfo("Europe/Berlin"),
            (Hours(frozenset(range(5)), 480, 1080), Hours(frozenset(range(7)), 1320, 360)),
            (Dates((2026, 12, 1), (2026, 12, 24)), Dates((6, 1), (8, 31))),
            (Dates((12, 6), (12, 6)), Dates((2026, 12, 8), (2026, 12, 8))),
        ),
        calls=Calls(frozenset({"sales", "400"}), Direction.IN),
        terms=Terms(True, 2.5, 2),
    )
    assert no_scan == Rule("no-scan", Effect.DENY, frozenset(), frozenset({"all"}), frozenset({"10xx"}), scan=True)


@pytest.mark.parametrize(
    ("allow", "modes"),
    [
        ("scan", {Mode.LISTEN}),
        ("listen", {Mode.LISTEN}),
        ("scan, whisper", {Mode.LISTEN, Mode.WHISPER}),
        ("barge", {Mode.BARGE}),
    ],
)
def test_who_may_scan_has_the_code_for_it(allow: str, modes: set[Mode]) -> None:
    """A scan is dialled with the code for listening."""
    text = LEAST.replace("[listen]", f"[{allow}]") + "}\n"
    (group,) = translation.site(parse(text.encode(), "c.yaml")).groups
    assert group.modes == modes


def test_a_rule_without_conditions_means_what_it_meant() -> None:
    """No key that was left out stands in the way."""
    (rule,) = translation.rules(parse(f"{LEAST}}}\n".encode(), "c.yaml"))
    assert rule == Rule("r", Effect.ALLOW, frozenset({Mode.LISTEN}), frozenset({"leads"}), frozenset({"sales"}))


DOCS = Path(__file__).resolve().parents[3] / "docs"
RIGHTS = DOCS / "topics" / "rights.md"
HOWTO = DOCS / "howto" / "ask-for-a-reason.md"


def test_the_examples_of_the_document_are_right() -> None:
    """The rules as they stand there, the text that agents acknowledge, and one list of holidays for two rules."""
    examples = re.findall(r"^```yaml\n(.*?)^```", RIGHTS.read_text(), re.MULTILINE | re.DOTALL)
    rules, acknowledgement, holidays = examples
    told = parse(f"{LEAST}}}\n{acknowledgement}".encode(), "rights.md").acknowledgement
    assert told is not None
    assert told.text == "2026-11"
    config = parse((PEOPLE + rules.partition("rules:\n")[2]).encode(), "rights.md")
    assert [rule.name for rule in config.rules] == ["leads-supervise-sales", "nobody-hears-the-helpline"]
    one, _, other = (line.strip() for line in holidays.strip().splitlines())
    people = "allow: [listen], supervisors: [leads], agents: [sales]"
    lines = [f"  - {{name: {name}, {people}, {line}}}\n" for name, line in (("a", one), ("b", other))]
    first, second = parse((PEOPLE + "".join(lines)).encode(), "rights.md").rules
    assert first.when == second.when


MISTAKES = [
    # when
    ("when: {}", "when.zone: is missing"),
    ("when: {hours: [08:00-18:00]}", "when.zone: is missing"),
    ("when: {zone: UTC}", "when: needs hours, dates or not_on"),
    ("when: {zone: UTC, hours: []}", "when: needs hours, dates or not_on"),
    ("when: {zone: Berlin, hours: [08:00-18:00]}", "when.zone: must be a time zone that this system knows"),
    ("when: {zone: Europe, hours: [08:00-18:00]}", "when.zone: must be a time zone that this system knows"),
    ("when: {zone: UTC, hours: 08:00-18:00}", "when.hours: must be a list"),
    ("when: {zone: UTC, hours: [8-18]}", "when.hours[0]: must be hours such as 'mon-fri 08:00-18:00'"),
    ("when: {zone: UTC, hours: [08:00-18:00, mon]}", "when.hours[1]: must be hours such as"),
    ("when: {zone: UTC, hours: [08:00-08:00]}", "when.hours[0]: must be hours such as"),
    ("when: {zone: UTC, dates: [2027-02-29]}", "when.dates[0]: must be a date such as 2026-12-25"),
    ("when: {zone: UTC, dates: [2026-12-24..2026-12-01]}", "when.dates[0]: must be a date such as"),
    ("when: {zone: UTC, not_on: [christmas]}", "when.not_on[0]: must be a date such as"),
    ("when: {zone: UTC, on: [12-25]}", "when.on: is not a key of this section"),
    ("when: 08:00-18:00", "when: must be a mapping, one key a line"),
    # calls
    ("calls: {}", "calls: needs queues or direction"),
    ("calls: {queues: []}", "calls: needs queues or direction"),
    ("calls: {queues: sales}", "calls.queues: must be a list"),
    ("calls: {queues: [two words]}", "calls.queues[0]: must be a queue"),
    ("calls: {direction: both}", "calls.direction: must be 'in' or 'out'"),
    # terms
    ("terms: {}", "terms: needs reason_required, max_minutes or max_listeners"),
    ("terms: {reason_required: no}", "terms: needs reason_required, max_minutes or max_listeners"),
    ("terms: {reason_required: perhaps}", "terms.reason_required: must be true or false"),
    ("terms: {max_minutes: 0}", "terms.max_minutes: must be greater than or equal to 0.1"),
    ("terms: {max_minutes: .inf}", "terms.max_minutes: must be"),
    ("terms: {max_minutes: nan}", "terms.max_minutes: must be"),
    ("terms: {max_listeners: 0}", "terms.max_listeners: must be greater than or equal to 1"),
    ("terms: {max_listeners: 1.5}", "terms.max_listeners: must be"),
    ("terms: {listeners: 1}", "terms.listeners: is not a key of this section"),
    ("if: {queues: [a]}", "if: is not a key of this section"),
]


@pytest.mark.parametrize(("more", "message"), MISTAKES, ids=[more for more, _ in MISTAKES])
def test_a_mistake_names_its_line_and_key(more: str, message: str) -> None:
    """As everywhere in the file."""
    assert problem(with_rule(more)).startswith(f"c.yaml:7: rules[0].{message}")


def test_a_mistake_names_its_own_line() -> None:
    """Not that of the rule, where a rule has several."""
    assert problem(FULL.replace("12-06", "12-32")).startswith("c.yaml:15: rules[0].when.not_on[0]: must be a date")


def test_a_rule_that_denies_has_no_terms() -> None:
    """Nobody could say what they mean."""
    text = with_rule("terms: {max_minutes: 5}").replace("allow", "deny")
    assert problem(text) == "c.yaml:7: rules[0]: terms belong to a rule that allows; one that denies has none"


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        ("_2XXX", "agents: _2XXX fits the extension of no agent"),
        ("_100", "agents: _100 fits the extension of no agent"),
        ("_10XX, _N.", "agents: _N. fits the extension of no agent"),
        ("_", "agents[0]: must be letters, digits, - and _"),
        ("'_10[1-3]X'", "agents[0]: must be letters, digits, - and _"),
        ("_10.X", "agents[0]: must be letters, digits, - and _"),
        ("_10XX-", "agents[0]: must be letters, digits, - and _"),
        ("_XXXXXXXXXXXXXXXXXXXXX", "agents[0]: must be letters, digits, - and _"),
    ],
)
def test_a_pattern_must_fit_somebody(agents: str, message: str) -> None:
    """A mistake in the pattern of a deny would protect no agent."""
    text = LEAST.replace("agents: [sales]", f"agents: [{agents}]") + "}\n"
    assert problem(text).startswith(f"c.yaml:7: rules[0].{message}")


def test_supervisors_have_no_patterns() -> None:
    """They have no extension."""
    text = LEAST.replace("[leads], agents", "[_10XX], agents") + "}\n"
    assert problem(text).startswith("c.yaml:7: rules[0].supervisors[0]: must be letters, digits, - and _")


@pytest.mark.parametrize("pattern", ["_1001", "_1002", "_100X", "_1."])
def test_a_pattern_that_fits_anybody_is_right(pattern: str) -> None:
    """The first agent, the last, or both."""
    text = LEAST.replace("agents: [sales]", f"agents: [{pattern}]") + "}\n"
    (rule,) = parse(text.encode(), "c.yaml").rules
    assert rule.agents == (pattern,)


# ---- reasons ------------------------------------------------------------------------------------------------


def with_reasons(more: str) -> str:
    """The least, and reasons: they stand in line 8."""
    return f"{LEAST}}}\nreasons: {more}\n"


def test_the_reasons_stand_there_without_being_written() -> None:
    """Quality, training and complaint; a site that names its own has those and no others."""
    policy = translation.policy(parse(f"{LEAST}}}\n".encode(), "c.yaml"))
    assert policy.reasons == {"1": "quality", "2": "training", "3": "complaint"}
    own = with_reasons("{4: {slug: legal, words: Asked for by the law}, 9: {slug: new-hire}}")
    assert translation.policy(parse(own.encode(), "c.yaml")).reasons == {"4": "legal", "9": "new-hire"}


def test_the_examples_of_the_howto_are_right() -> None:
    """The rule, the reasons and the prompt as they stand there."""
    rules, reasons, prompts = re.findall(r"^   ```yaml\n(.*?)^   ```", HOWTO.read_text(), re.MULTILINE | re.DOTALL)
    text = "\n".join(line[3:] for line in f"{rules}{reasons}{prompts}".splitlines())
    config = parse(f"{PEOPLE_ALONE}{text}\n".encode(), "ask-for-a-reason.md")
    assert [rule.terms is not None and rule.terms.reason_required for rule in config.rules] == [True]
    assert set(translation.policy(config).reasons) == {"1", "2", "4"}
    assert set(config.prompts) == {"ask_reason"}


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        ("{}", "reasons: "),
        ("{0: {slug: a}}", "reasons.0: must be a digit from 1 to 9, which is pressed for the reason"),
        ("{10: {slug: a}}", "reasons.10: must be a digit from 1 to 9, which is pressed for the reason"),
        ("{1: {slug: Quality}}", "reasons.1.slug: must be small letters, digits, - and _, at most 20 of them"),
        (
            f"{{1: {{slug: {'x' * 21}}}}}",
            "reasons.1.slug: must be small letters, digits, - and _, at most 20 of them",
        ),
        ("{1: {words: Quality}}", "reasons.1.slug: is missing"),
        ("{1: {slug: a}, 2: {slug: a}}", "reasons.2.slug: a is already the reason of the digit 1"),
    ],
)
def test_a_reason_that_is_none(reasons: str, said: str) -> None:
    """What, where, and how to fix it."""
    assert problem(with_reasons(reasons)).startswith(f"c.yaml:8: {said}")
