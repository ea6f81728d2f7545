"""Whose a device is: it may be several agents', by the configuration, by hints, by a login.

What is heard on it may be a call of any of them, so a supervisor needs the right for each.
"""

from __future__ import annotations

from agi_monitor.model import Mode, Refusal, endpoint_of
from agi_monitor.supervision.live_pbx import LivePbx
from agi_monitor.supervision.policy import Policy
from agi_monitor.supervision.targets import AgentDevices


def other_owner_refuses(
    policy: Policy, live: LivePbx | None, endpoint: str, supervisor_id: str, extension: str, mode: Mode, channel: str
) -> Refusal | None:
    """Say which other agent, whose device it is as well, may not be heard; or None.

    Parameters:
        policy: what the configuration says now.
        live: knows the hints; None where there is no manager interface.
        endpoint: the supervisor's device.
        supervisor_id: the supervisor.
        extension: the agent who was asked for.
        mode: how.
        channel: of the device.
    """
    device = endpoint_of(channel)
    for agent in policy.agents.values():
        if agent.extension == extension:
            continue
        found = live.devices_of(agent) if live is not None else None
        # By the configuration, and with the index also by a hint and by where somebody is logged in.
        known = found.endpoints if isinstance(found, AgentDevices) else ()
        if device not in agent.endpoints and device not in known:
            continue
        permitted = policy.permitted(endpoint, supervisor_id, agent.extension, mode)
        if isinstance(permitted, Refusal):
            return Refusal(permitted.reason, f"{device} is also the phone of {agent.extension}: {permitted.detail}")
    return None
