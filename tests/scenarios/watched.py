"""A live index of the laboratory's PBX, and the same question asked over AGI."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from agi_monitor.agi.messages import command
from agi_monitor.live.headers import Headers
from agi_monitor.live.index import SETTLE_SECONDS, ChannelIndex, Lists, Stale
from agi_monitor.live.over_agi import DeviceChannelsOverAgi
from agi_monitor.live.targets import AgentDevices
from agi_monitor.model import Agent
from contrib.lab.manager import Manager
from contrib.lab.pbx import Lab
from contrib.lab.waiting import wait_until
from tests.doubles.coroutines import finish

NODE = "lab"
SECONDS = 30.0
LOADED_SETTLE_SECONDS = 3 * SETTLE_SECONDS
"""The machine of the tests carries several PBXs at once, and their events come later than on one that has its own."""
ASKING_PHONE = "2003"
ASKING_EXTENSION = "7992"

Seen = TypeVar("Seen")


class Watched:
    """An index that hears every event of a PBX.

    :param manager: logged in
    """

    def __init__(self, manager: Manager) -> None:
        self.index = ChannelIndex()
        self._manager = manager
        assert self.resync() == ()

    def hear(self, unheard: Callable[[Headers], bool] = lambda event: False) -> int:
        """Take in what the PBX has told since the last time.

        :param unheard: which events are lost on the way
        :returns: how many there were
        """
        events = self._manager.heard()
        for event in events:
            if not unheard(event):
                self.index.apply(NODE, event)
        return len(events)

    def resync(self) -> tuple[str, ...]:
        """Ask for everything, and return where it differs from what was told."""
        listing = self.index.resync(NODE)
        lists = self.lists()
        # The same wait as the product's own, so that what it promises is what is tried here.
        until = time.monotonic() + LOADED_SETTLE_SECONDS
        wait_until(lambda: time.monotonic() >= until, 2 * LOADED_SETTLE_SECONDS, "what is on its way to come")
        self.hear()
        differences = self.index.snapshot(NODE, lists, listing)
        assert differences is not None
        return differences

    def lists(self) -> Lists:
        """Ask for everything."""
        return Lists(*self._manager.lists().values())

    def wait_until(self, look: Callable[[], Seen | None], what: str) -> Seen:
        """Hear events until there is something to see."""

        def hear_and_look() -> Seen | None:
            self.hear()
            return look()

        return wait_until(hear_and_look, SECONDS, what, describe=lambda: str(self.index.calls(NODE)))

    def devices_of(self, agent: Agent, hint_context: str) -> AgentDevices:
        """Look an agent up."""
        found = self.index.devices_of(NODE, agent, hint_context)
        assert not isinstance(found, Stale)
        return found


class Questions:
    """One AGI conversation in which only variables are asked for: `device_channels.Variables`.

    :param connection: from Asterisk, its environment already read
    """

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rwb")
        while self._file.readline() != b"\n":
            pass

    async def get_full_variable(self, expression: str, channel: str | None = None) -> str | None:
        """Evaluate an expression on the own or another channel; None when that channel is gone."""
        self._file.write(command("GET FULL VARIABLE", expression, *([] if channel is None else [channel])).wire)
        self._file.flush()
        found = re.fullmatch(r"200 result=([01])(?: \((.*)\))?\n", self._file.readline().decode())
        assert found is not None
        return (found[2] or "") if found[1] == "1" else None

    def close(self) -> None:
        """End the conversation."""
        self._file.close()


@contextmanager
def asking(lab: Lab) -> Iterator[Callable[[Agent, str], AgentDevices]]:
    """A supervisor's call on which agents can be looked up over AGI, by agent and hint context."""
    with socket.create_server((lab.gateway, 0)) as listener:
        listener.settimeout(SECONDS)
        port = listener.getsockname()[1]
        lab.pbx.write_dialplan(
            "lab-asking", f"[lab-tests]\nexten => {ASKING_EXTENSION},1,AGI(agi://{lab.gateway}:{port})\n"
        )
        try:
            lab.phone(ASKING_PHONE).dial(ASKING_EXTENSION)
            connection, _ = listener.accept()
            connection.settimeout(SECONDS)
            with connection:
                questions = Questions(connection)
                yield lambda agent, hint_context: finish(
                    DeviceChannelsOverAgi(questions, hint_context).devices_of(agent)
                )
                questions.close()
        finally:
            lab.phone(ASKING_PHONE).hang_up()
            lab.pbx.remove_dialplan("lab-asking")
