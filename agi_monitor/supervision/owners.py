"""Whose a device is: it may be several agents', by the configuration, by hints, by a login.

What is heard on it may be a call of any of them, so a supervisor needs the right for each.
"""

from __future__ import annotations

from collections.abc import Callable

from agi_monitor.model import Agent, Refusal, endpoint_of
from agi_monitor.supervision.channels import Stale
from agi_monitor.supervision.live_pbx import LivePbx
from agi_monitor.supervision.policy import Permitted, Policy


def agents_at(policy: Policy, live: LivePbx | None, device: str) -> tuple[Agent, ...]:
    """Return the agents whose device it is, in a time that does not depend on how many there are.

    By the configuration, and with the index also by a hint and by where somebody is logged in.

    Parameters:
        policy: what the configuration says now.
        live: knows hints and logins; None where there is no manager interface.
        device: such as ``PJSIP/1001``.
    """
    found = {agent.extension: agent for agent in policy.agents_at.get(device, ())}
    at = live.at_device(device) if live is not None else None
    if at is not None and not isinstance(at, Stale):
        for extension in sorted(at.hinted | at.logged_in):
            agent = policy.agents.get(extension)
            # For an agent with devices of their own no hint is asked.
            if agent is not None and (extension in at.logged_in or not agent.endpoints):
                found[extension] = agent
    return tuple(found.values())


def other_owner_refuses(
    policy: Policy,
    live: LivePbx | None,
    extension: str,
    channel: str,
    decide: Callable[[str], Permitted | Refusal],
) -> Refusal | None:
    """Say which other agent, whose device it is as well, may not be heard; or None.

    Parameters:
        policy: what the configuration says now.
        live: knows hints and logins; None where there is no manager interface.
        extension: the agent who was asked for.
        channel: of the device.
        decide: whether an agent, by the extension, may be heard.
    """
    device = endpoint_of(channel)
    for agent in () if device is None else agents_at(policy, live, device):
        permitted = None if agent.extension == extension else decide(agent.extension)
        if isinstance(permitted, Refusal):
            return Refusal(permitted.reason, f"{device} is also the phone of {agent.extension}: {permitted.detail}")
    return None
