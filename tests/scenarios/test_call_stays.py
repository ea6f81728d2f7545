"""The generated dialplan keeps a call that listens on its phone."""

from __future__ import annotations

import re
from contextlib import suppress

from contrib.lab.errors import WaitTimeout
from tests.scenarios.house import House

KNOWS_ARI_ONLY = {"16": "0", "22": "1"}
"""Whether this Asterisk has PJSIP_TRANSFER_HANDLING, as the dialplan finds out."""


def test_what_the_pbx_is_told(house: House) -> None:
    """A transfer finds nothing and one-touch keys are off; no version complains about a function it does not know."""
    house.lab.connect("3001", "1001")
    mark = house.lab.pbx.log_mark()
    house.spy("listen")
    (channel,) = house.lab.pbx.channels_of("2001")
    shown = house.lab.pbx.cli(f"core show channel {channel.name}")
    variables = dict(re.findall(r"^(\w+)=(.*?)\s*$", shown, re.MULTILINE))
    assert variables["TRANSFER_CONTEXT"] == "agi-monitor-no-transfer"
    assert variables["DYNAMIC_FEATURES"] == ""
    assert variables["AGI_MONITOR_PBX"] == KNOWS_ARI_ONLY[house.lab.version]
    log = house.lab.pbx.log_since(mark)
    assert re.findall(r"(?:WARNING|ERROR)\[.*(?:TRANSFER|pbx_functions|VERSION|ast_expr).*", log) == []


def test_a_call_that_listens_cannot_be_handed_on(house: House) -> None:
    """The phone asks for a blind transfer to another one: that never rings, and nobody else is in a spy."""
    house.lab.connect("3001", "1001")
    house.spy("listen")
    other = house.lab.phone("3002")
    mark = house.lab.pbx.log_mark()
    # A transfer that is carried out ends the call at this phone; of one that is refused the version decides.
    with suppress(WaitTimeout):
        house.lab.phone("2001").transfer("3002", timeout=5)
    # One that was refused leaves the phone to itself.
    house.lab.phone("2001").restart()
    assert other.all_calls == ()
    assert house.lab.pbx.channels_of("3002") == ()
    assert "Channel PJSIP/3002" not in house.lab.pbx.log_since(mark)
