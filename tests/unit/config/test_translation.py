"""The configuration in the words of the rooms."""

from __future__ import annotations

import pytest

from agi_monitor.config import translation
from agi_monitor.config.loading import parse
from agi_monitor.config.sections import Config
from agi_monitor.dialplan.site import ManagerAccount, PermissionGroup
from agi_monitor.errors import RenderError
from agi_monitor.model import (
    Agent,
    Barge,
    Cue,
    Follow,
    Mode,
    ModeMark,
    Orphans,
    Reason,
    RogueSpies,
    ScanOrder,
    Supervisor,
)
from agi_monitor.pins.costs import Cost
from agi_monitor.pins.guard import PinPolicy
from agi_monitor.pins.lock_outs import Limit, Limits
from agi_monitor.pins.rules import PinRules
from agi_monitor.rights.authorization import Effect, Rule
from agi_monitor.supervision.policy import Notice, ScanOf, Waiting
from agi_monitor.supervision.protected import Protected
from tests.doubles.desk import PIN_HASH

JANUARY = 1_769_817_600.0
"""The 31st, 2026, 0:00 in UTC."""

TEXT = f"""\
fastagi: {{listen: 127.0.0.2, port: 4574, address: 192.0.2.1, secret: abcdefghijklmnop}}
codes: {{listen: "*1", whisper: "*2", barge: "*3"}}
supervisors:
  anna:
    endpoints: [PJSIP/2001, SIP/2001]
    pin: "{PIN_HASH}"
    pin_set: '2026-01-31T01:00:00+01:00'
    groups: [leads, evening]
    name: Anna
    language: de
  bert: {{endpoints: [PJSIP/2002], pin: "{PIN_HASH}", pin_set: '2026-01-31T01:00:00+01:00', groups: [trainees]}}
  carl: {{endpoints: [PJSIP/2003], pin: "{PIN_HASH}", pin_set: '2026-01-31T01:00:00+01:00'}}
agents:
  0100: {{groups: [sales], endpoints: [PJSIP/0100], name: Ben}}
  1002: {{}}
rules:
  - {{name: one, allow: [listen, barge], supervisors: [leads], agents: [sales]}}
  - {{name: two, deny: [whisper], supervisors: [all], agents: [1002]}}
  - {{name: three, allow: [listen], supervisors: [bert], agents: [all]}}
pins:
  attempts: 2
  lock_after: 4
  lock_after_endpoint: 6
  lock_after_peer: 40
  lock_seconds: 30
  max_lock_seconds: 90
  lock_seconds_peer: 5
  max_lock_seconds_peer: 50
  remember_minutes: 1.5
  min_digits: 6
  refuse_weak: false
  max_days: 90
prompts: {{goodbye: [bye]}}
languages: {{de: {{goodbye: [tschuess]}}}}
"""


@pytest.fixture
def config() -> Config:
    """A configuration in which everything differs from the defaults."""
    return parse(TEXT.encode(), "test.yaml")


def test_a_supervisor_stands_at_each_of_their_endpoints(config: Config) -> None:
    """People by phone, as they are looked up."""
    policy = translation.policy(config)
    anna = Supervisor(
        "anna",
        frozenset({"PJSIP/2001", "SIP/2001"}),
        frozenset({"leads", "evening"}),
        PIN_HASH,
        "Anna",
        "de",
        JANUARY,
    )
    assert policy.supervisors["PJSIP/2001"] == policy.supervisors["SIP/2001"] == anna
    assert {endpoint: person.id for endpoint, person in policy.supervisors.items()} == {
        "PJSIP/2001": "anna",
        "SIP/2001": "anna",
        "PJSIP/2002": "bert",
        "PJSIP/2003": "carl",
    }


def test_agents_by_extension(config: Config) -> None:
    """The extension is text: a leading zero stays."""
    assert translation.policy(config).agents == {
        "0100": Agent("0100", frozenset({"sales"}), ("PJSIP/0100",), "Ben"),
        "1002": Agent("1002", frozenset()),
    }


def test_rules_in_their_order(config: Config) -> None:
    """An allow allows, a deny denies."""
    assert translation.policy(config).rules == (
        Rule("one", Effect.ALLOW, frozenset({Mode.LISTEN, Mode.BARGE}), frozenset({"leads"}), frozenset({"sales"})),
        Rule("two", Effect.DENY, frozenset({Mode.WHISPER}), frozenset({"all"}), frozenset({"1002"})),
        Rule("three", Effect.ALLOW, frozenset({Mode.LISTEN}), frozenset({"bert"}), frozenset({"all"})),
    )


def test_codes_and_words(config: Config) -> None:
    """What is dialled and what is said."""
    policy = translation.policy(config)
    assert policy.codes == {Mode.LISTEN: "*1", Mode.WHISPER: "*2", Mode.BARGE: "*3"}
    assert policy.prompts.words(Cue.GOODBYE, "de_AT") == ("tschuess",)
    assert policy.prompts.words(Cue.GOODBYE, "en") == ("bye",)


def test_how_often_a_pin_may_be_wrong(config: Config) -> None:
    """Minutes and days become seconds."""
    limits = Limits(supervisor=Limit(4, 30.0, 90.0), endpoint=Limit(6, 30.0, 90.0), peer=Limit(40, 5.0, 50.0))
    rules, costs = PinRules(6, refuse_weak=False), frozenset({Cost(8, 1, 1)})
    assert translation.pin_policy(config) == PinPolicy(2, limits, 90.0, rules, 7_776_000.0, costs)


def test_a_pin_without_a_longest_age_never_expires() -> None:
    """Unless the site says otherwise."""
    assert translation.pin_policy(parse(TEXT.replace("  max_days: 90\n", "").encode(), "test.yaml")).max_age is None


def test_the_site_of_the_dialplan(config: Config) -> None:
    """Each group gets the modes that a rule allows any of its members; a deny takes no door away."""
    site = translation.site(config)
    assert (site.fastagi_host, site.fastagi_port, site.secret) == ("192.0.2.1", 4574, "abcdefghijklmnop")
    assert site.agents == translation.agents(config)
    assert site.codes == translation.policy(config).codes
    assert site.groups == (
        PermissionGroup("evening", frozenset({Mode.LISTEN, Mode.BARGE}), ("Anna",), ("2001",)),
        PermissionGroup("leads", frozenset({Mode.LISTEN, Mode.BARGE}), ("Anna",), ("2001",)),
        PermissionGroup("trainees", frozenset({Mode.LISTEN}), ("bert",), ("2002",)),
    )


def test_groups_that_asterisk_cannot_tell_apart_make_no_dialplan() -> None:
    """Asterisk compares section names without regard to case."""
    with pytest.raises(RenderError, match="group name"):
        translation.site(parse(TEXT.replace("evening", "Leads").encode(), "test.yaml"))


AMI_SECRET = "0123456789abcdef"


@pytest.mark.parametrize(
    ("host", "server", "addresses"),
    [
        ("127.0.0.1", "192.0.2.1", ("127.0.0.1", "::1")),
        ("::1", "127.0.0.1", ("127.0.0.1", "::1")),
        ("localhost", "127.0.0.1", ("127.0.0.1", "::1")),
        ("192.0.2.9", "192.0.2.1", ("192.0.2.1",)),
        ("pbx.example", "2001:db8::1", ("2001:db8::1",)),
        ("192.0.2.9", "127.0.0.1", ("127.0.0.1", "::1", "192.0.2.9")),
        ("pbx.example", "127.0.0.1", ("127.0.0.1", "::1")),
    ],
)
def test_only_the_server_may_log_in(host: str, server: str, addresses: tuple[str, ...]) -> None:
    """By the loopback where both are on one machine, otherwise from the address that the PBX calls."""
    text = TEXT.replace("address: 192.0.2.1", f'address: "{server}"')
    text += f'ami: {{host: "{host}", username: spy, secret: {AMI_SECRET}}}\n'
    assert translation.site(parse(text.encode(), "test.yaml")).manager == ManagerAccount("spy", AMI_SECRET, addresses)


def test_without_ami_there_is_no_account(config: Config) -> None:
    """There is no secret that nothing uses."""
    assert translation.site(config).manager is None


# ---- the live picture --------------------------------------------------------------------------------------

LIVE = """\
dialplan: {hint_context: hints}
ami: {host: 192.0.2.9, username: watch, secret: correct-horse-battery}
spies:
  barge: conference
  follow: customer
  scan_order: random
  rogue: hang_up
  rogue_exceptions: [PJSIP/900]
  orphans: end
notice: {sounds: [beep, custom/heard], modes: [whisper], agents: [sales]}
protected: {endpoints: [PJSIP/9000], numbers: ["+4930*"]}
"""


def test_how_spies_behave() -> None:
    """Every key of ``spies``, ``notice`` and ``protected`` that concerns a decision."""
    policy = translation.policy(parse(f"{TEXT}{LIVE}".encode(), "test.yaml"))
    assert (policy.barge, policy.follow, policy.scan_order) == (Barge.CONFERENCE, Follow.CUSTOMER, ScanOrder.RANDOM)
    assert (policy.rogue, policy.orphans) == (RogueSpies.HANG_UP, Orphans.END)
    assert policy.exceptions == frozenset({"PJSIP/900"})
    assert policy.notice == Notice(frozenset({Mode.WHISPER}), frozenset({"sales"}))
    assert policy.protected == Protected(frozenset({"PJSIP/9000"}), ("+4930*",))
    assert policy.hint_context == "hints"


def test_without_these_sections_nothing_is_told_and_nobody_protected() -> None:
    """The defaults."""
    policy = translation.policy(parse(TEXT.encode(), "test.yaml"))
    assert (policy.barge, policy.follow, policy.scan_order) == (Barge.CHANSPY, Follow.AGENT, ScanOrder.LONGEST)
    assert (policy.rogue, policy.orphans, policy.exceptions) == (RogueSpies.ALARM, Orphans.ADOPT, frozenset())
    assert (policy.notice, policy.protected, policy.hint_context) == (None, Protected(), "default")


def test_the_notice_of_the_site() -> None:
    """Its sounds are in the dialplan; without a notice there are none."""
    assert translation.site(parse(f"{TEXT}{LIVE}".encode(), "test.yaml")).notice == ("beep", "custom/heard")
    assert translation.site(parse(TEXT.encode(), "test.yaml")).notice == ()


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{}", Waiting()),
        ("{reasons: [no_call, on_hold], minutes: 2}", Waiting(frozenset({Reason.NO_CALL, Reason.ON_HOLD}), 120.0)),
        ("{music: true}", Waiting(music="")),
        ("{music: quiet}", Waiting(music="quiet")),
        ("{music: false, beep: true}", Waiting(beep_seconds=20.0)),
        ("{beep: 7}", Waiting(beep_seconds=7.0)),
        ("{beep: false}", Waiting()),
    ],
)
def test_how_supervisors_wait(section: str, expected: Waiting) -> None:
    """What is not said is silence, and no waiting in place of a refusal."""
    config = parse(f"{TEXT}waiting: {section}\n".encode(), "c.yaml")
    assert translation.policy(config).waiting == expected


def test_what_the_phone_does() -> None:
    """Scans by number, the mark of the mode, the own prompts and the wait for a PIN."""
    more = """\
ami: {secret: correct-horse-battery}
scans: {2: {agents: [sales], queues: [support]}, 10: {}}
spies: {mode_mark: word}
prompt_pack: true
"""
    config = parse(f"{TEXT}{more}".replace("  attempts: 2\n", "  attempts: 2\n  seconds: 4\n").encode(), "c.yaml")
    policy = translation.policy(config)
    assert policy.scans == {
        "2": ScanOf(frozenset({"sales"}), frozenset({"support"})),
        "10": ScanOf(frozenset({"all"})),
    }
    assert policy.mode_mark is ModeMark.WORD
    assert policy.prompts.pack is True
    assert translation.pin_policy(config).seconds == 4.0
    assert translation.site(config).scans == ("2", "10")
