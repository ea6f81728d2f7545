"""Whose a device is: it may be several agents', by the configuration, by hints, by a login.

What is heard on it may be a call of any of them, so a supervisor needs the right for each.
"""

from __future__ import annotations

from collections.abc import Callable

from agi_monitor.live.index import Stale
from agi_monitor.live.port import LivePbx
from agi_monitor.model import Agent, Reason, Refusal
from agi_monitor.names import endpoint_of
from agi_monitor.supervision.policy import Permitted, Policy


def agents_at(policy: Policy, live: LivePbx, device: str) -> tuple[Agent, ...]:
    """Return the agents whose device it is, in a time that does not depend on how many there are.

    By the configuration, and with the live picture also by a hint and by a login.

    Parameters:
        policy: what the configuration says now.
        live: knows hints and logins.
        device: such as ``PJSIP/1001``.
    """
    found = {agent.extension: agent for agent in policy.agents_at.get(device, ())}
    at = live.at_device(device)
    if not isinstance(at, Stale):
        by_hint = (agent for context, digits in sorted(at.hinted) for agent in policy.agents_hinted(context, digits))
        logins = sorted(at.logged_in, key=lambda login: (login.extension, sorted(login.contexts)))
        by_login = (agent for login in logins for agent in policy.agents_logged_in(*login))
        found |= {agent.extension: agent for agent in (*by_hint, *by_login)}
    return tuple(found.values())


def agent_shown_at(policy: Policy, live: LivePbx, device: str) -> Agent | None:
    """Return the agent whom the calls of a device are shown with: the first of the site who has it now; or None.

    As ``agents_at`` in a time that does not depend on how many agents there are, but what is in doubt does not count:
    it may forbid a call, and says nothing of whose it is.

    Parameters:
        policy: what the configuration says now.
        live: knows hints and logins.
        device: such as ``PJSIP/1001``.
    """
    for agent in policy.in_order(agents_at(policy, live, device)):
        devices = live.devices_of(agent)
        if not isinstance(devices, Stale) and device in devices.endpoints:
            return agent
    return None


def other_owner_refuses(
    policy: Policy,
    live: LivePbx,
    extension: str,
    channel: str,
    decide: Callable[[str], Permitted | Refusal],
) -> Refusal | None:
    """Return which other agent, whose device it is as well, may not be heard; or None.

    Parameters:
        policy: what the configuration says now.
        live: knows hints and logins.
        extension: the agent who was asked for.
        channel: of the device.
        decide: whether an agent, by the extension, may be heard.
    """
    device = endpoint_of(channel)
    if device is None:
        return None
    foreign = _foreign_login(policy, live, extension, device)
    if foreign is not None:
        return Refusal(Reason.MODE_DENIED, f"{device} is logged in in {foreign}, which is of another tenant")
    for agent in agents_at(policy, live, device):
        permitted = None if agent.extension == extension else decide(agent.extension)
        if isinstance(permitted, Refusal):
            return Refusal(permitted.reason, f"{device} is also the phone of {agent.extension}: {permitted.detail}")
    return None


def _foreign_login(policy: Policy, live: LivePbx, extension: str, device: str) -> str | None:
    """Return a context that is not of the agent's tenant, and by which there is a login at this device.

    It need not be an agent of ours: a company that is not monitored may share the PBX.
    """
    agent = policy.agents.get(extension)
    at = live.at_device(device)
    if agent is None or agent.contexts is None or isinstance(at, Stale):
        return None
    return min((context for login in at.logged_in for context in login.contexts - agent.contexts), default=None)
