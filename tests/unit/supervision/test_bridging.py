"""The arguments by which a supervisor joins a call: one exact device, and nothing that could be more."""

from __future__ import annotations

import pytest

from agi_monitor.names import DeviceChannel
from agi_monitor.supervision import bridging


@pytest.mark.parametrize(
    "channel", ["PJSIP/1001-0000000a", "SIP/1001-mobile-0000000a", "IAX2/a.b_c+d@e-0123abcd", "PJSIP/+4930-ffffffff"]
)
def test_writes_the_arguments(channel: str) -> None:
    """The whole name; when the supervisor takes over and hangs up, the customer's call is over as well."""
    assert bridging.join(DeviceChannel(channel)) == channel
    assert bridging.take(DeviceChannel(channel)) == f"{channel},x"
