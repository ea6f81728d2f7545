"""Channels that may hear others without a grant: helpers of Asterisk, our own, and devices that the site excepts."""

from __future__ import annotations

EXCEPTED = "excepted by the configuration"

TELLS = "our own notice to the agent"

HOOKS = "Local/hook@__func_periodic_hook_context__-"
"""How the helpers of PERIODIC_HOOK and MixMonitor's option B are called, which play a beep (func_periodic_hook.c)."""

NOTICE = "Local/notice@agi-monitor-notice-"
"""How our own helper is called, which tells an agent."""

TEST_SUPERVISOR, TEST_AGENT = "Local/supervisor@agi-monitor-doctor-", "Local/agent@agi-monitor-doctor-"
"""How the two are called in a test call of the doctor: neither of them is a phone."""

BEEP_SECONDS = 10.0
"""How long a helper of Asterisk's may hear a channel to play a beep; what takes longer is not one."""
