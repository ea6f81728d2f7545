"""The arguments by which a supervisor joins a call: one exact device, and nothing that could be more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.supervision import bridging

CHANNELS = ["PJSIP/1001-0000000a", "SIP/1001-mobile-0000000a", "IAX2/a.b_c+d@e-0123abcd", "PJSIP/+4930-ffffffff"]


@pytest.mark.parametrize("channel", CHANNELS)
def test_writes_the_arguments(channel: str) -> None:
    """The whole name; when the supervisor takes over and hangs up, the customer's call is over as well."""
    assert bridging.is_device_channel(channel)
    assert bridging.join(channel) == channel
    assert bridging.take(channel) == f"{channel},x"


@pytest.mark.parametrize(
    "channel",
    [
        "",
        "PJSIP/1001",
        "PJSIP/1001-",
        "PJSIP/1001-a",
        "PJSIP/1001-0000000A",
        "PJSIP/1001-0000000aa",
        "PJSIP/-0000000a",
        "1001-0000000a",
        "/1001-0000000a",
        "PJSIP/1001-0000000a,F",
        "PJSIP/1001-0000000a\n",
        " PJSIP/1001-0000000a",
        "PJSIP/10 01-0000000a",
        "PJSIP/1001&PJSIP/1002-0000000a",
        "PJSIP/${X}-0000000a",
        "PJSIP/１００１-0000000a",
        "Local/1001@agents-0000000a",
        "Local/1001@agents-0000000a;1",
        "ConfBridgeRecorder/x-00;1",
        "P" * 21 + "/1001-0000000a",
        "PJSIP/" + "1" * 121 + "-0000000a",
    ],
)
def test_refuses_what_is_no_whole_name_of_a_device(channel: str) -> None:
    """A beginning of a name would join any call that begins so; a comma would add options."""
    assert not bridging.is_device_channel(channel)
    for write in (bridging.join, bridging.take):
        with pytest.raises(ValueError, match=r"^not the name of a device's channel$"):
            write(channel)


@given(st.one_of(st.text(), st.builds("PJSIP/{}-0000000a".format, st.text())))
def test_any_text_is_refused_or_one_exact_channel(channel: str) -> None:
    """What is written has the text as it is, and no option but ``x``."""
    try:
        joined, taken = bridging.join(channel), bridging.take(channel)
    except ValueError:
        return
    assert joined == channel
    assert taken.partition(",") == (channel, ",", "x")
    assert "," not in channel
