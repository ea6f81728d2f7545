"""What it costs to show the calls, as rows: 200 of them, with 100, 1,000 and 10,000 agents.

    python benchmarks/shown_calls.py [--repeat 5]

Everything is measured in this process, in one run, in CPU time; each number is the median of the repeats. Every agent
has a hint, a state and two queues; each of the 200 calls came out of a queue over a Local channel, to an agent of its
own as far as there are enough. The ratio to the fewest agents says whether the cost depends on their number. To look
every agent up for the devices, only to know whose call it is, is measured beside it.
"""

from __future__ import annotations

import argparse
from statistics import median
from types import SimpleNamespace
from typing import Any

from channel_index import NODE, cpu, filled
from processes import save, tell

from agi_monitor.live.devices import AtDevice
from agi_monitor.live.index import Stale
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent
from agi_monitor.server.overview import ServerOverview
from agi_monitor.shown import ReloadShown
from agi_monitor.supervision.policy import Policy

AGENTS = (100, 1_000, 10_000)
CALLS = 200
HINTS = "hints"


class Live:
    """A PBX of which only the index is there.

    Parameters:
        agents: how many it has hints and queue members for.
    """

    node = NODE

    def __init__(self, agents: int) -> None:
        self.index = filled(4 * CALLS, agents)

    def devices_of(self, agent: Agent) -> AgentDevices | Stale:
        """As ``Pbx`` does."""
        return self.index.devices_of(NODE, agent, HINTS)

    def at_device(self, device: str) -> AtDevice | Stale:
        """As ``Pbx`` does."""
        return self.index.at_device(NODE, device)


async def unchanged() -> ReloadShown:
    """What a reload comes to, which none is asked for."""
    return ReloadShown(0, 0, ())


def walked(live: Live, policy: Policy) -> dict[str, str]:
    """Whose each device is, by every agent."""
    found: dict[str, str] = {}
    for agent in policy.agents.values():
        devices = live.devices_of(agent)
        for device in () if isinstance(devices, Stale) else devices.endpoints:
            found.setdefault(device, agent.extension)
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    shown: dict[int, list[float]] = {agents: [] for agents in AGENTS}
    beside: dict[int, list[float]] = {agents: [] for agents in AGENTS}
    watch: Any = SimpleNamespace(grants=SimpleNamespace(spies=tuple))
    sites: dict[int, tuple[Any, Policy]] = {
        agents: (Live(agents), Policy({}, {}, {str(one): Agent(str(one), frozenset()) for one in range(agents)}, ()))
        for agents in AGENTS
    }

    def show(live: Any, policy: Policy) -> int:
        bulletin: Any = None
        calls = ServerOverview(live, watch, lambda: policy, bulletin, float, float, unchanged).calls()
        return len([call.row() for call in calls]) // CALLS

    def walk(live: Live, policy: Policy) -> int:
        return min(1, len(walked(live, policy)))

    for _ in range(options.repeat):
        for agents, (live, policy) in sites.items():
            shown[agents].append(cpu(lambda live=live, policy=policy: show(live, policy)))  # type: ignore[misc]
            beside[agents].append(cpu(lambda live=live, policy=policy: walk(live, policy)))  # type: ignore[misc]
    fewest = AGENTS[0]
    heads = ("calls ms", "of fewest", "every agent ms", "of fewest")
    tell(f"{'agents':>10}" + "".join(f"{head:>16}" for head in heads))
    for agents in AGENTS:
        cells: list[str] = []
        for costs in (shown, beside):
            cost = median(costs[agents])
            cells += [f"{cost * 1e3:.2f}", f"{cost / median(costs[fewest]):.2f}"]
        tell(f"{agents:10}" + "".join(f"{cell:>16}" for cell in cells))
    save(
        "shown_calls",
        [
            {"agents": agents, "calls_ms": median(shown[agents]) * 1e3, "walk_ms": median(beside[agents]) * 1e3}
            for agents in AGENTS
        ],
    )


if __name__ == "__main__":
    main()
