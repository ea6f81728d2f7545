"""What the commands about people and rules print for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.table import Table
from rich.text import Text

from agi_monitor.commands.tables import plain
from agi_monitor.config.people import AgentEntry, Change, RuleEntry, SupervisorEntry, digits_of


def supervisors_table(supervisors: Mapping[str, SupervisorEntry]) -> Table:
    """Supervisors, one a line."""
    tenants = any(one.tenant for one in supervisors.values())
    table = _table("supervisor", *(("tenant",) if tenants else ()), "name", "phones", "groups", "language", "PIN", "")
    for name, one in supervisors.items():
        table.add_row(
            plain(name),
            *((plain(one.tenant),) if tenants else ()),
            plain(one.name),
            plain(", ".join(one.endpoints)),
            plain(", ".join(one.groups)),
            plain(one.language),
            pin_state(one),
            Text("disabled", "yellow") if one.disabled else Text(),
            style="dim" if one.disabled else "",
        )
    return table


def agents_table(agents: Mapping[str, AgentEntry]) -> Table:
    """Agents, one a line."""
    tenants = any(one.tenant for one in agents.values())
    table = _table("agent", *(("tenant", "extension") if tenants else ()), "name", "phones", "groups", "told", "")
    for extension, one in agents.items():
        told = f"{one.told} {one.told_text}".strip() if one.told else ""
        states = [word for word, holds in (("disabled", one.disabled), ("protected", one.protected)) if holds]
        table.add_row(
            plain(extension),
            *((plain(one.tenant), plain(digits_of(extension, one))) if tenants else ()),
            plain(one.name),
            plain(", ".join(one.endpoints) or "by hint"),
            plain(", ".join(one.groups)),
            plain(told),
            Text(", ".join(states), "yellow"),
            style="dim" if one.disabled else "",
        )
    return table


def rules_table(rules: Iterable[RuleEntry]) -> Table:
    """Rules, one a line, in their order."""
    table = _table("rule", "", "supervisors", "agents", "when", "calls", "terms")
    for rule in rules:
        word, modes, style = ("allow", rule.allow, "green") if rule.allow else ("deny", rule.deny, "red")
        table.add_row(
            plain(rule.name),
            Text.assemble((word, style), f" {', '.join(modes)}"),
            plain(", ".join(rule.supervisors)),
            plain(", ".join(rule.agents)),
            *(_section(part) for part in (rule.when, rule.calls, rule.terms)),
        )
    return table


def diff_lines(changes: Iterable[Change]) -> Iterator[Text]:
    """Changes as a diff: what goes is red, what comes is green."""
    for change in changes:
        before, after = change.before, change.after
        mark, style = ("+", "green") if before is None else ("-", "red") if after is None else ("~", "yellow")
        yield Text.assemble((f"{mark} {change.kind} ", style)).append_text(plain(change.key))
        for name in dict.fromkeys((*(before or {}), *(after or {}))):
            was, now = (before or {}).get(name), (after or {}).get(name)
            if was == now:
                continue
            line = plain(f"    {name}: ")
            if before is not None:
                line.append_text(_value(was, "red"))
            if before is not None and after is not None:
                line.append(" -> ")
            if after is not None:
                line.append_text(_value(now, "green"))
            yield line


def pin_state(one: SupervisorEntry) -> Text:
    """What there is to say about a person's PIN."""
    if one.pin is None:
        return Text("none", "red")
    if one.pin_must_change:
        return Text("to be changed", "yellow")
    return Text(f"set {one.pin_set[:10]}" if one.pin_set else "set")


def _section(part: object) -> Text:
    values = part.model_dump(mode="json", exclude_defaults=True) if hasattr(part, "model_dump") else {}
    return plain("; ".join(f"{name} {_words(value)}" for name, value in values.items()))


def _value(value: object, style: str) -> Text:
    text = plain(_words(value)) if value is not None else Text("-")
    text.stylize(style)
    return text


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    if isinstance(value, Mapping):
        return "; ".join(f"{name} {_words(one)}" for name, one in value.items())
    return str(value)


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, overflow="fold")
    return table
