"""What the channel index costs: looking an agent up at 100, 1,000 and 10,000 channels, and taking in events.

    python benchmarks/channel_index.py [--lookups 20000] [--repeat 5]

Everything is measured in this process, in one run, in CPU time; each number is the median of the repeats. A look-up
answers whom a supervisor may hear: the hint's device, the queues' devices, its channel, its peer behind a Local
channel, its number. It is measured with another agent each time, which finds less in the processor's cache the more
there are, and with one agent all the time, which tells the work alone; the ratios to the smallest index say whether
they depend on the number of calls. Events are whole lives of queue calls, told while many other channels are
there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from processes import save

from agi_monitor.live.index import ChannelIndex, Lists
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent

NODE = "pbx-1"
SIZES = (100, 1_000, 10_000)
EVENTS_MEASURED = 20_000


def life(number: int) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """A queue call over a Local channel: the events until the two talk, and those until all is over."""
    names = (f"PJSIP/trunk-{number:08x}", *(f"Local/{number}@agents-{number:08x};{half}" for half in (1, 2)))
    legs = [
        {
            "Channel": name,
            "ChannelState": "6",
            "ChannelStateDesc": "Up",
            "CallerIDNum": "4930123456",
            "CallerIDName": "<unknown>",
            "ConnectedLineNum": str(number),
            "ConnectedLineName": "<unknown>",
            "Language": "en",
            "AccountCode": "",
            "Context": "agents",
            "Exten": str(number),
            "Priority": "1",
            "Uniqueid": f"pbx-1-1700000000.{number * 4 + position}",
            "Linkedid": f"pbx-1-1700000000.{number * 4}",
        }
        for position, name in enumerate((*names, f"PJSIP/{number}-{number:08x}"))
    ]
    bridges = [
        {"BridgeUniqueid": f"{number:08x}-{side}", "BridgeType": "basic", "BridgeTechnology": "simple_bridge"}
        for side in (0, 1)
    ]
    pairs = list(zip(legs, (bridges[0], bridges[0], bridges[1], bridges[1]), strict=True))
    begin = [{"Event": "Newchannel", **leg} for leg in legs] + [{"Event": "Newstate", **leg} for leg in legs]
    begin += [{"Event": "BridgeEnter", **bridge, **leg} for leg, bridge in pairs]
    end = [{"Event": "NewConnectedLine", **leg} for leg in legs]
    end += [{"Event": "BridgeLeave", **bridge, **leg} for leg, bridge in pairs]
    end += [{"Event": "BridgeDestroy", **bridge} for bridge in bridges]
    end += [{"Event": "Hangup", **leg} for leg in legs]
    return begin, end


def filled(channels: int, number_of_agents: int | None = None) -> ChannelIndex:
    """An index with this number of channels, four to a call; each agent has a hint, a state, and two queues.

    Without a number of agents there are as many as calls.
    """
    index = ChannelIndex()
    agents = range(channels // 4 if number_of_agents is None else number_of_agents)
    lists = Lists(
        [],
        [],
        [{"Device": f"PJSIP/{agent}", "State": "INUSE"} for agent in agents],
        [{"Exten": str(agent), "Context": "hints", "Hint": f"PJSIP/{agent}"} for agent in agents],
        [
            {
                "Event": "QueueMember",
                "Queue": queue,
                "Name": f"Agent {agent}",
                "Location": f"Local/{agent}@agents/n",
                "StateInterface": f"PJSIP/{agent}",
            }
            for agent in agents
            for queue in ("sales", "help")
        ],
    )
    index.snapshot(NODE, lists, index.resync(NODE))
    for number in range(channels // 4):
        for event in life(number)[0]:
            index.apply(NODE, event)
    return index


def cpu(work: Callable[[], int]) -> float:
    """CPU seconds for each of the things that the work did."""
    started = time.process_time()
    done = work()
    return (time.process_time() - started) / done


def look_up(index: ChannelIndex, agents: int, lookups: int) -> int:
    """Look up one agent after the other."""
    for number in range(lookups):
        found = index.devices_of(NODE, Agent(str(number * 7919 % agents), frozenset()), "hints")
        if not isinstance(found, AgentDevices) or not found.channels[0].peers[0].startswith("PJSIP/trunk-"):
            raise SystemExit(f"a wrong answer: {found}")
    return lookups


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lookups", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    indexes = {size: filled(size) for size in SIZES}
    lives = [life(100_000 + number) for number in range(EVENTS_MEASURED // 26)]
    events = [event for begin, end in lives for event in (*begin, *end)]

    def take_in(index: ChannelIndex) -> int:
        for event in events:
            index.apply(NODE, event)
        return len(events)

    lookups: dict[int, list[float]] = {size: [] for size in SIZES}
    same: dict[int, list[float]] = {size: [] for size in SIZES}
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(options.repeat):
        for size, index in indexes.items():
            lookups[size].append(cpu(lambda index=index, size=size: look_up(index, size // 4, options.lookups)))  # type: ignore[misc]
            same[size].append(cpu(lambda index=index: look_up(index, 1, options.lookups)))  # type: ignore[misc]
            taken[size].append(cpu(lambda index=index: take_in(index)))  # type: ignore[misc]
    smallest = SIZES[0]
    results: list[dict[str, float]] = []
    heads = ("look-up us", "of smallest", "one agent us", "of smallest", "events/CPU s", "of smallest")
    print(f"{'channels':>10}" + "".join(f"{head:>14}" for head in heads))  # noqa: T201
    for size in SIZES:
        row: list[str] = []
        for costs in (lookups, same):
            cost = median(costs[size])
            row += [f"{cost * 1e6:.2f}", f"{cost / median(costs[smallest]):.2f}"]
        event_cost = median(taken[size])
        results.append(
            {
                "channels": size,
                "look_up_us": median(lookups[size]) * 1e6,
                "one_agent_us": median(same[size]) * 1e6,
                "event_us": event_cost * 1e6,
            }
        )
        row += [f"{1 / event_cost:.0f}", f"{median(taken[smallest]) / event_cost:.2f}"]
        print(f"{size:10}" + "".join(f"{cell:>14}" for cell in row))  # noqa: T201
    save("channel_index", results)


if __name__ == "__main__":
    main()
