"""contrib/grafana: the dashboard shows what there is, and all of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agi_monitor.server import metrics

DASHBOARD = Path(__file__).resolve().parents[2] / "contrib" / "grafana" / "agi-monitor.json"
OF_PROMETHEUS = {"up"}
"""What Prometheus itself knows of a server."""
WORDS = {"sum", "by", "increase", "rate", "label_values", "job"}
LABELS = {"node", "kind", "mode", "reason", "why", "action", "outcome", "source", "fault", "version", "instance"}


def dashboard() -> dict[str, Any]:
    """The file."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def expressions(board: dict[str, Any]) -> Iterator[str]:
    """All that is asked of Prometheus."""
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def names(expression: str) -> set[str]:
    """The metrics that an expression names."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    return set(re.findall(r"[a-z_]{2,}", bare)) - WORDS


def known() -> dict[str, set[str]]:
    """Every metric of a server with its labels, from the page that it shows."""
    page = metrics.Metrics(lambda: metrics.Readings(version="1")).exposition().decode()
    of_process = re.findall(r"^# TYPE (process_\w+)", page, re.MULTILINE)
    return {number.name: set(number.labels) for number in metrics.NUMBERS} | {name: set() for name in of_process}


def test_names_only_metrics_that_there_are() -> None:
    """Every metric of the dashboard is one of the server, or Prometheus's own."""
    asked = set().union(*map(names, expressions(dashboard())))
    assert "agi_monitor_rogue_spies_total" in asked
    assert asked - OF_PROMETHEUS - set(known()) == set()


def test_shows_every_metric() -> None:
    """A metric of the server that no panel shows is a mistake."""
    asked = set().union(*map(names, expressions(dashboard())))
    assert {number.name for number in metrics.NUMBERS} - asked == set()


def test_groups_by_labels_that_the_metric_has() -> None:
    """A sum by a label that a metric does not have would be one line without a name."""
    for expression in expressions(dashboard()):
        (labels,) = [set(re.findall(r"\w+", group)) for group in re.findall(r"by \(([^)]*)\)", expression)] or [set()]
        for name in names(expression) - OF_PROMETHEUS:
            assert labels <= known()[name], expression


def test_legends_use_labels_that_are_left() -> None:
    """A legend with a label that the expression has lost would be empty."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            kept = [set(re.findall(r"\w+", group)) for group in re.findall(r"by \(([^)]*)\)", target["expr"])]
            own = set().union(*(known().get(name, set()) for name in names(target["expr"])), {"instance", "job"})
            assert shown <= (kept[0] if kept else own), target
            assert shown <= LABELS


def test_panels_have_a_title_a_place_and_a_word_of_what_they_mean() -> None:
    """Panels do not lie over each other, and each says what its numbers mean."""
    panels = dashboard()["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        place = panel["gridPos"]
        squares = {
            (place["x"] + right, place["y"] + down) for right in range(place["w"]) for down in range(place["h"])
        }
        assert not squares & taken
        assert max(x for x, _ in squares) < 24
        taken |= squares
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_a_metric_that_is_not_there_is_found() -> None:
    """A planted name: the check can fail."""
    assert names('sum by (mode) (rate(agi_monitor_nonsense_total{job="$job"}[5m]))') == {"agi_monitor_nonsense_total"}
