"""Nothing is allowed unless a rule says so, whatever else the rules say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.model import Agent, Mode, Refusal, Supervisor
from agi_monitor.supervision.authorization import Allowed, Effect, Rule, decide

SUPERVISOR_NAMES = ["anna", "bert", "leads", "trainees", "all"]
AGENT_NAMES = ["1001", "1002", "sales", "protected", "all"]

supervisors = st.builds(
    Supervisor,
    id=st.sampled_from(["anna", "bert"]),
    endpoints=st.just(frozenset({"PJSIP/2001"})),
    groups=st.frozensets(st.sampled_from(["leads", "trainees"])),
    pin_hash=st.just(""),
)
agents = st.builds(
    Agent,
    extension=st.sampled_from(["1001", "1002"]),
    groups=st.frozensets(st.sampled_from(["sales", "protected"])),
)
modes = st.sampled_from(Mode)
rules = st.builds(
    Rule,
    name=st.sampled_from(["a", "b", "c"]),
    effect=st.sampled_from(Effect),
    modes=st.frozensets(modes),
    supervisors=st.frozensets(st.sampled_from(SUPERVISOR_NAMES)),
    agents=st.frozensets(st.sampled_from(AGENT_NAMES)),
)


def speaks_of(rule: Rule, supervisor: Supervisor, agent: Agent, mode: Mode) -> bool:
    """The meaning of a rule, written a second time."""
    return (
        mode in rule.modes
        and any(name in rule.supervisors for name in ("all", supervisor.id, *supervisor.groups))
        and any(name in rule.agents for name in ("all", agent.extension, *agent.groups))
    )


@given(supervisors, agents, modes)
def test_no_rules_allow_nothing(supervisor: Supervisor, agent: Agent, mode: Mode) -> None:
    """An empty list of rules refuses everybody everything."""
    assert isinstance(decide([], supervisor, agent, mode), Refusal)


@given(st.lists(rules, max_size=6), supervisors, agents, modes)
def test_allowed_only_by_a_rule_and_against_none(
    permissions: list[Rule], supervisor: Supervisor, agent: Agent, mode: Mode
) -> None:
    """A yes needs an allow that names supervisor, agent and mode, and no deny that does."""
    concerned = [rule for rule in permissions if speaks_of(rule, supervisor, agent, mode)]
    allows = [rule.name for rule in concerned if rule.effect is Effect.ALLOW]
    denies = [rule for rule in concerned if rule.effect is Effect.DENY]

    verdict = decide(permissions, supervisor, agent, mode)

    if allows and not denies:
        assert verdict == Allowed(allows[0])
    else:
        assert isinstance(verdict, Refusal)


@given(st.lists(rules, max_size=6).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))), supervisors)
def test_the_order_of_the_rules_allows_nothing(orders: tuple[list[Rule], list[Rule]], supervisor: Supervisor) -> None:
    """Deny beats allow wherever it stands."""
    agent = Agent("1001", frozenset({"sales"}))
    one, other = (isinstance(decide(order, supervisor, agent, Mode.BARGE), Allowed) for order in orders)
    assert one is other


@given(st.lists(rules, max_size=6), rules, st.integers(0, 6), supervisors, agents, modes)
def test_one_more_deny_never_allows(
    permissions: list[Rule], added: Rule, place: int, supervisor: Supervisor, agent: Agent, mode: Mode
) -> None:
    """Whoever was refused is refused with one more deny as well."""
    deny = Rule(added.name, Effect.DENY, added.modes, added.supervisors, added.agents)
    before = decide(permissions, supervisor, agent, mode)
    after = decide([*permissions[:place], deny, *permissions[place:]], supervisor, agent, mode)
    assert not (isinstance(before, Refusal) and isinstance(after, Allowed))
