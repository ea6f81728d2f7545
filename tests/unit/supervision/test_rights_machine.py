"""Random imports and changes of rules by the commands: no supervisor who is denied comes through, and explain agrees.

The model is the sentence in the documents, over plain dictionaries: a rule of theirs allows it, and none denies it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agi_monitor.commands.main import main
from agi_monitor.commands.people_source import load_with_people
from agi_monitor.config import translation
from agi_monitor.model import Identity, Mode
from agi_monitor.rights.authorization import Allowed, SpyAsk
from agi_monitor.rights.circumstances import Circumstances
from agi_monitor.rights.explain import explain
from agi_monitor.supervision.policy import Permitted, Policy

IDS = ("anna", "bert")
EXTENSIONS = ("1001", "1002")
LEADS, TRAINEES, SALES, BOARD = "leads", "trainees", "sales", "board"
MORNING, NOON = datetime(2026, 11, 25, 10, 0, tzinfo=UTC), datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
HOURS = "00:00-12:00"
"""A rule with hours holds in the morning and no longer at noon."""

Entry = dict[str, Any]

groups_of_supervisors = st.lists(st.sampled_from((LEADS, TRAINEES)), unique=True, max_size=2)
groups_of_agents = st.lists(st.sampled_from((SALES, BOARD)), unique=True, max_size=2)
seldom = st.sampled_from((False, False, False, False, True))
supervisors = st.fixed_dictionaries({"groups": groups_of_supervisors, "disabled": seldom})
agents = st.fixed_dictionaries({"groups": groups_of_agents, "disabled": seldom, "protected": seldom})
MODES = [mode.value for mode in Mode]
modes = st.just(MODES) | st.lists(st.sampled_from(MODES), unique=True, min_size=1)
rules = st.builds(
    lambda name, effect, some, who, whom, hours: {
        "name": name,
        effect: some,
        "supervisors": who,
        "agents": whom,
        **({"when": {"zone": "UTC", "hours": [HOURS]}} if hours else {}),
    },
    st.sampled_from(("a", "b", "c", "d")),
    st.sampled_from(("allow", "allow", "deny")),
    modes,
    st.just(["all"]) | st.lists(st.sampled_from((LEADS, TRAINEES, *IDS)), unique=True, min_size=1, max_size=2),
    st.just(["all"])
    | st.lists(st.sampled_from((SALES, BOARD, "_100X", *EXTENSIONS)), unique=True, min_size=1, max_size=2),
    seldom,
)


def one_each(rules: Iterable[Entry]) -> list[Entry]:
    """The last of each name."""
    return list({one["name"]: one for one in rules}.values())


documents = st.builds(
    lambda people, whose, some: {
        "supervisors": people,
        "agents": whose,
        "rules": one_each(some),
    },
    st.dictionaries(st.sampled_from(IDS), supervisors),
    st.dictionaries(st.sampled_from(EXTENSIONS), agents),
    st.lists(rules, max_size=4),
)


@dataclass
class Model:
    """Who there is and who may hear whom, as the documents say it."""

    supervisors: dict[str, Entry] = field(default_factory=dict)
    agents: dict[str, Entry] = field(default_factory=dict)
    rules: list[Entry] = field(default_factory=list)

    def taken_in(self, document: Mapping[str, Any], *, replace: bool) -> Model:
        """What an import makes of it."""
        if replace:
            return Model(dict(document["supervisors"]), dict(document["agents"]), list(document["rules"]))
        named = {one["name"]: one for one in self.rules} | {one["name"]: one for one in document["rules"]}
        return Model(
            self.supervisors | document["supervisors"], self.agents | document["agents"], list(named.values())
        )

    @property
    def is_sound(self) -> bool:
        """Whether every rule names people who are there."""
        who = {"all", *self.supervisors, *(one for entry in self.supervisors.values() for one in entry["groups"])}
        whom = {"all", *self.agents, *(one for entry in self.agents.values() for one in entry["groups"])}
        whom |= {"_100X"} if self.agents else set()
        return all(who.issuperset(one["supervisors"]) and whom.issuperset(one["agents"]) for one in self.rules)

    def allows(self, supervisor: str, mode: str, extension: str, at: datetime) -> bool:
        """Some rule allows it, none denies it, and both are there."""
        person, agent = self.supervisors.get(supervisor), self.agents.get(extension)
        if person is None or agent is None or person["disabled"] or agent["disabled"] or agent["protected"]:
            return False
        about = [
            one
            for one in self.rules
            if {"all", supervisor, *person["groups"]} & set(one["supervisors"])
            and {"all", extension, "_100X", *agent["groups"]} & set(one["agents"])
            and (at < NOON or "when" not in one)
        ]
        denied = any(mode in one.get("deny", ()) for one in about)
        return not denied and any(mode in one.get("allow", ()) for one in about)


class Rights(RuleBasedStateMachine):
    """An administrator at work, and a server that reads what they did."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.config = self.path / "agi-monitor.yaml"
        self.config.write_text(f"state: {{directory: {self.path}}}\nstore: {{people: true}}\n")
        self.model = Model()

    def teardown(self) -> None:
        self.folder.cleanup()

    def run(self, *arguments: str) -> Result:
        """One command."""
        return CliRunner().invoke(main, [*arguments, "--config", str(self.config)], catch_exceptions=False)

    def becomes(self, done: Result, after: Model) -> None:
        """It was done, or it was refused because it makes no sense, and then nothing is another."""
        assert done.exit_code == (0 if after.is_sound else 1), done.output
        if after.is_sound:
            self.model = after

    @initialize(some=st.lists(rules, min_size=1, max_size=3))
    def begins(self, some: Sequence[Entry]) -> None:
        """Everyone is there, in every group, and there are rules."""
        people = {name: {"groups": [LEADS, TRAINEES], "disabled": False} for name in IDS}
        whose = {name: {"groups": [SALES, BOARD], "disabled": False, "protected": False} for name in EXTENSIONS}
        self.takes_a_document({"supervisors": people, "agents": whose, "rules": one_each(some)}, True, False)

    @rule(document=documents, replace=seldom, dry_run=seldom)
    def takes_a_document(self, document: Mapping[str, Any], replace: bool, dry_run: bool) -> None:
        named = {name: {"endpoints": [f"PJSIP/2{name}"], **entry} for name, entry in document["supervisors"].items()}
        (self.path / "people.yaml").write_text(json.dumps({**document, "supervisors": named}))
        options = ["--replace"] * replace + ["--dry-run"] * dry_run + ["--yes"]
        done = self.run("people", "import", str(self.path / "people.yaml"), *options)
        after = self.model.taken_in(document, replace=replace)
        if dry_run:
            assert done.exit_code == (0 if after.is_sound else 1), done.output
        else:
            self.becomes(done, after)

    @rule(added=rules)
    def adds_a_rule(self, added: Entry) -> None:
        effect = "allow" if "allow" in added else "deny"
        options = [f"--{effect}={mode}" for mode in added[effect]]
        options += [f"--{part}={name}" for part in ("supervisors", "agents") for name in added[part]]
        options += ["--zone=UTC", f"--hours={HOURS}"] if "when" in added else []
        done = self.run("rules", "add", added["name"], *options)
        if added["name"] in {one["name"] for one in self.model.rules}:
            assert done.exit_code == 1
        else:
            self.becomes(done, self.model.taken_in(nobody(rules=[added]), replace=False))

    @rule(name=st.sampled_from(("a", "b", "c", "d")))
    def removes_a_rule(self, name: str) -> None:
        left = [one for one in self.model.rules if one["name"] != name]
        done = self.run("rules", "remove", name)
        assert (done.exit_code == 0) == (len(left) < len(self.model.rules))
        self.model.rules = left

    @rule(who=st.sampled_from((*IDS, *EXTENSIONS)), disabled=st.booleans())
    def disables_or_enables(self, who: str, disabled: bool) -> None:
        done = self.run("people", "disable" if disabled else "enable", who)
        entry = self.model.supervisors.get(who) or self.model.agents.get(who)
        assert (done.exit_code == 0) == (entry is not None)
        if entry is not None:
            people = self.model.supervisors if who in self.model.supervisors else self.model.agents
            people[who] = {**entry, "disabled": disabled}

    @rule(
        supervisor=st.sampled_from(IDS),
        mode=st.sampled_from([mode.value for mode in Mode]),
        extension=st.sampled_from(EXTENSIONS),
        at=st.sampled_from((MORNING, NOON)),
    )
    def asks_the_command(self, supervisor: str, mode: str, extension: str, at: datetime) -> None:
        done = self.run("explain", supervisor, mode, extension, "--at", at.isoformat(), "--json")
        allowed = self.model.allows(supervisor, mode, extension, at)
        assert (done.exit_code == 0) == allowed, done.output

    @invariant()
    def decides_as_the_model(self) -> None:
        policy = translation.policy(load_with_people(self.config))
        for supervisor in IDS:
            for extension in EXTENSIONS:
                for mode in Mode:
                    for at in (MORNING, NOON):
                        self.assert_same(policy, supervisor, mode, extension, at)

    def assert_same(self, policy: Policy, supervisor: str, mode: Mode, extension: str, at: datetime) -> None:
        """The phone, the explanation and the model say the same."""
        known = Circumstances(scan=False, at=at)
        endpoint = f"PJSIP/2{supervisor}"
        verdict = policy.permitted(endpoint, Identity(supervisor, ""), extension, mode, known)
        allowed = self.model.allows(supervisor, mode, extension, at)
        assert isinstance(verdict, Permitted) == allowed, (supervisor, mode, extension, at, verdict)
        person, agent = policy.supervisors.get(endpoint), policy.agents.get(extension)
        if person is not None and agent is not None:
            explanation = explain(policy.rights, SpyAsk(person, agent, mode, scan=False, at=at))
            assert isinstance(explanation.verdict, Allowed) == allowed
            if isinstance(verdict, Permitted) and isinstance(explanation.verdict, Allowed):
                assert explanation.verdict.rule == verdict.rule


def nobody(rules: Sequence[Entry] = ()) -> Mapping[str, Any]:
    """A document without people."""
    return {"supervisors": {}, "agents": {}, "rules": rules}


TestRights = Rights.TestCase
TestRights.settings = settings(
    max_examples=40, stateful_step_count=8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
