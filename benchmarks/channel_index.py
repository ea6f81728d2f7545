"""What the channel index costs: looking an agent up at 100, 1,000 and 10,000 channels, and taking in events.

    python benchmarks/channel_index.py [--lookups 20000] [--repeat 5]

Everything is measured in this process, in one run, in CPU time; each number is the median of the repeats. A look-up
answers whom a supervisor may hear: a device's channel, its peer behind a Local channel, its number. The ratio to the
smallest index says whether it depends on the number of calls. Events are whole lives of queue calls, told while so
many other channels are there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

from agi_monitor.supervision.channels import ChannelIndex
from agi_monitor.supervision.targets import AgentDevices

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


def filled(channels: int) -> ChannelIndex:
    """An index with so many channels, four to a call."""
    index = ChannelIndex()
    index.snapshot(NODE, [], [], index.resync(NODE))
    for number in range(channels // 4):
        for event in life(number)[0]:
            index.apply(NODE, event)
    return index


def cpu(work: Callable[[], int]) -> float:
    """CPU seconds for each of the things that the work did."""
    started = time.process_time()
    done = work()
    return (time.process_time() - started) / done


def look_up(index: ChannelIndex, channels: int, lookups: int) -> int:
    """Look up one agent after the other."""
    calls = channels // 4
    for number in range(lookups):
        found = index.devices(NODE, (f"PJSIP/{number * 7919 % calls}",), reachable=True)
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
    taken: dict[int, list[float]] = {size: [] for size in SIZES}
    for _ in range(options.repeat):
        for size, index in indexes.items():
            lookups[size].append(cpu(lambda index=index, size=size: look_up(index, size, options.lookups)))  # type: ignore[misc]
            taken[size].append(cpu(lambda index=index: take_in(index)))  # type: ignore[misc]
    smallest = SIZES[0]
    print(f"{'channels':>10}{'look-up us':>12}{'of smallest':>13}{'events/CPU s':>14}{'of smallest':>13}")  # noqa: T201
    for size in SIZES:
        lookup, event_cost = median(lookups[size]), median(taken[size])
        ratios = lookup / median(lookups[smallest]), median(taken[smallest]) / event_cost
        print(f"{size:10}{lookup * 1e6:12.2f}{ratios[0]:13.2f}{1 / event_cost:14.0f}{ratios[1]:13.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
