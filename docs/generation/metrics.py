"""The page of the metrics."""

from __future__ import annotations

from collections.abc import Iterator

from agi_monitor.server import metrics
from docs.generation.markdown import NOTE, sentence


def metrics_page() -> Iterator[str]:
    yield "# Metrics"
    yield NOTE
    yield (
        "With the section [`metrics`](configuration.md#metrics) in the configuration, "
        "`http://127.0.0.1:9573/metrics` has these metrics in the form that Prometheus reads; see "
        "[how to use them](../howto/metrics.md). Counters begin at 0 when the server starts. No label names a "
        "person, an extension, a number or a channel. `node` is the name of the PBX in the configuration; without "
        "the section `ami`, there are no metrics with this label. The label value `other` stands for a value "
        "that this version does not know."
    )
    yield (
        "Prometheus' usual metrics about the process are there as well: `process_resident_memory_bytes`, "
        "`process_cpu_seconds_total`, `process_open_fds` and so on."
    )
    for number in metrics.NUMBERS:
        yield f"## `{number.name}`"
        labels = ", ".join(f"`{label}`" for label in number.labels)
        yield f"{sentence(number.kind.value)}. {number.text}" + (f" Labels: {labels}." if labels else "")
