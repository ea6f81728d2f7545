"""Names and identifiers: a text is one exact thing, or it is refused."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor import names


@pytest.mark.parametrize(
    "uniqueid",
    [
        "1.1",
        "pbx-1700000000.10",
        "pbx-2.north_1-1.10",
        "1-1.10",
        "click-to-dial-7",
        "Call Center 1-1764400000.12",
        "Call  Center-1764400000.12",
        "Zürich-1764400000.12",
        "コール-1764400000.12",
        "pbx #1: it's 50% @home!-1764400000.12",
        f"{'x' * 127}-1764400000.12",
    ],
)
def test_takes_the_uniqueids_of_the_pbx(uniqueid: str) -> None:
    """With and without a system name before it, whatever people call their PBX, and one that an application chose."""
    assert names.is_uniqueid(uniqueid)
    assert names.Uniqueid(uniqueid) == uniqueid


REFUSED = [
    "",
    " ",
    ".",
    "abc",
    "ALL",
    "PJSIP/1001",
    "PJSIP/1001-0000000a",
    "all",
    "1700000000.10,d",
    "1700000000.10,uqESXB",
    ",",
    "1700000000.10\n",
    "1700000000.10 ",
    " 1700000000.10",
    "1700000000.10&1700000000.11",
    "1700000000.10|q",
    "${CHANNEL}-1.1",
    "1700000000.١",
    "１７.１",
    '"-1.1',
    *(f"pbx{mark}1-1764400000.12" for mark in ',()[]{}"\\$;&|<>/`^?\t\n\r\0\x7f\x85\u2028\u202e\ufffd\ud800'),
    "${EVAL(x)}-1764400000.12",
    "Call Center 1",
    "Call Center 1-1764400000",
    "Call Center 1-1764400000.12 ",
    " Call Center-1764400000.12",
    "Call Center -1764400000.12",
    "Call Center 1-1764400000.１２",
    "é" * 76 + "-1.1",
    "x" * 148 + "1.1",
]


@pytest.mark.parametrize("uniqueid", REFUSED)
def test_refuses_what_is_not_a_uniqueid(uniqueid: str) -> None:
    """Nothing else reaches ChanSpy: an empty channel would be every channel of the PBX."""
    assert not names.is_uniqueid(uniqueid)
    assert names.Uniqueid.read(uniqueid) is None
    with pytest.raises(ValueError, match=r"^not the uniqueid of a channel$"):
        names.Uniqueid(uniqueid)


@given(
    st.one_of(
        st.text(),
        st.from_regex(r"[\w.,-]*[0-9]+\.[0-9]+"),
        st.text(min_size=1).map(lambda name: f"{name}-1764400000.12"),
    )
)
def test_any_text_is_refused_or_one_exact_channel(text: str) -> None:
    """What is taken holds nothing that is structure in an argument, a pattern or a line."""
    uniqueid = names.Uniqueid.read(text)
    if uniqueid is None:
        return
    assert uniqueid == text == text.strip()
    assert set(uniqueid).isdisjoint(',()[]{}"\\$;&|/\ufffd')
    assert uniqueid.isprintable()


def test_names_the_characters_that_are_the_trouble() -> None:
    """Anyone who called the PBX so has to find them."""
    assert names.unusable_characters("Sales, (Berlin), 1-1764400000.12") == "(),"
    assert names.unusable_characters("Call Center 1-1764400000.12") == ""
    assert not names.is_system_name("")
    assert not names.is_system_name("Sales, Berlin")
    assert names.is_system_name("Call Center 1")


DEVICES = ["PJSIP/1001-0000000a", "SIP/1001-mobile-0000000a", "IAX2/a.b_c+d@e-0123abcd", "PJSIP/+4930-ffffffff"]


@pytest.mark.parametrize("channel", DEVICES)
def test_takes_the_whole_name_of_a_device(channel: str) -> None:
    """As Asterisk writes it."""
    assert names.DeviceChannel(channel) == names.ChannelName(channel) == channel


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
def test_refuses_what_is_not_the_whole_name_of_a_device(channel: str) -> None:
    """A beginning of a name would join any call that begins so; a comma would add options."""
    assert not names.is_device_channel(channel)
    with pytest.raises(ValueError, match=r"^not the name of a device's channel$"):
        names.DeviceChannel(channel)


@pytest.mark.parametrize(
    "name", ["Local/1001@agents-0000000a;1", "Snoop/1700000000.1-00000001", "Surrogate/PJSIP/1-0a"]
)
def test_takes_the_name_of_any_channel(name: str) -> None:
    """Half a Local channel and what Asterisk makes for itself as well."""
    assert names.ChannelName.read(name) == name


@pytest.mark.parametrize(
    "name", ["", "/./", "/.*/", "all", "PJSIP/", "PJSIP/1,x", "PJSIP/1\r\nAction: x", "PJSIP/1\x1b"]
)
def test_refuses_a_pattern_in_the_place_of_a_channel(name: str) -> None:
    """AMI's Hangup takes a regular expression between slashes and hangs up whatever fits."""
    assert names.ChannelName.read(name) is None


FORMS = {
    "NAME": (["berta", "0", "a-b_c", "x" * 40], ["", "-a", "_a", "a b", "a.b", "x" * 41]),
    "GROUP": (["sales", "queue-500", "allied", "1a"], ["all", "1001", "-sales", "_sales", "a b", "x" * 41]),
    "EXTENSION": (["1", "1001", "0" * 20], ["", "1" * 21, "+1", "*1", "_1XXX"]),
    "AGENT_KEY": (["1001", "beta-1001", "x" * 20], ["all", "", "-1", "a.b", "x" * 21]),
    "FEATURE_CODE": (["*222", "0123456#"], ["", "*" * 9, "+1", "_X"]),
    "DIALLED": (["*2221001", "1#"], ["", "_1XXX", "1.", "1!", "a"]),
    "SCAN_NUMBER": (["1", "99"], ["", "0", "01", "100", "a"]),
    "MUSIC_CLASS": (["default", "a.b_c-1", "x" * 79], ["", "a b", "a,b", "x" * 80]),
    "QUEUE": (["sales", "a@b+c/d.e-f_g", "x" * 80], ["", "a b", "a,b", "x" * 81]),
    "ENDPOINT": (
        ["PJSIP/1001", "SIP/a.b_c+d@e-f", "P" * 20 + "/" + "1" * 80],
        ["1001", "PJSIP/", "/1001", "Local/1001@agents", "PJSIP/1,b", "PJSIP/1/2", "PJSIP/${X}", "PJSIP/" + "1" * 81],
    ),
    "WRITTEN_DEVICE": (["1001", "a.b_c-d", "1" * 80], ["", "a@b", "a+b", "a]", "1" * 81]),
    "CONTEXT": (["default", "1.a_b-c", "x" * 60], ["", "a@b", "a)b", "x" * 61]),
    "WRITTEN_CONTEXT": (["agi-monitor", "a_b", "x" * 79], ["", "1a", "-a", "a.b", "a]", "x" * 80]),
    "DIALPLAN_NAME": (["1001", "_x.+*#-", "1" * 80], ["", "a)", "a@b", "${X}", "1" * 81]),
    "SOUND": (
        ["beep", "digits/1", "custom/you-are_heard.2", "x" * 200],
        ["", "/etc/passwd", "../beep", "a/../b", "a..b", "a/", "a//b", "a b", "a&b", "a,b", "{extension}", "x" * 201],
    ),
    "SECRET": (["hush", "A-b_9", "x" * 128], ["", "a.b", "a~b", "a,b", 'a"b', "a;b", "a\\b", "$a", "x" * 129]),
    "MANAGER_SECRET": (["a.b~c!", "${x}", "x" * 128], ["", "a b", "a;b", "a\x7f", "x" * 129]),
    "ACCOUNT": (["agi-monitor", "generals", "x" * 40], ["", "general", "General", "GENERAL", "a]", "a.b", "x" * 41]),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_takes_what_it_says(form: str) -> None:
    """And nothing else: no line break at the end, no letters or digits of other alphabets."""
    expression: re.Pattern[str] = getattr(names, form)
    right, wrong = FORMS[form]
    assert [text for text in right if expression.fullmatch(text) is None] == []
    everywhere = [f"{text}{end}" for text in right for end in ("\n", "\0", "\r", " ", "é", "１", "\u202e")]
    assert [text for text in (*wrong, *everywhere) if expression.fullmatch(text) is not None] == []


def test_each_form_is_tested() -> None:
    """A new one has its row here. ``BEGUN`` is not a form of a text, but the end of one."""
    forms = {name for name, value in vars(names).items() if isinstance(value, re.Pattern) and name[0] != "_"}
    assert forms == {*FORMS, "BEGUN"}


WRITERS = ("dialplan/site.py", "dialplan/filters.py", "supervision/hooks.py", "supervision/feature_code.py")


@pytest.mark.parametrize("place", WRITERS)
def test_a_form_is_written_once(place: str) -> None:
    """Where a name is checked, the form comes from here."""
    source = (Path(names.__file__).parent / place).read_text()
    assert re.findall(r"\[[^\]]*A-Za-z[^\]]*\]", source) == []


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/1001-mobile-0000002a", "PJSIP/1001-mobile"),
        ("DAHDI/1-1", "DAHDI/1"),
        ("IAX2/desk-12", "IAX2/desk"),
        ("Local/1001@agents-00000003;2", None),
        ("Local/1001@agents-00000003", None),
        ("PJSIP/1001", None),
        ("", None),
    ],
)
def test_the_endpoint_of_a_channel(channel: str, endpoint: str | None) -> None:
    """As each technology ends its names."""
    assert names.endpoint_of(channel) == endpoint


@given(st.text())
def test_any_name_is_refused_or_one_argument(text: str) -> None:
    """No line, no pattern, no list and no option."""
    for kind in (names.ChannelName, names.DeviceChannel, names.BridgeId):
        name = kind.read(text)
        assert name is None or (name.isprintable() and set(name).isdisjoint(",& \"'\\$(){}|"))


@pytest.mark.parametrize(
    "name", [names.Uniqueid("1.1"), names.ChannelName("PJSIP/1-0000000a"), names.BridgeId("b-1")]
)
def test_a_copy_is_of_the_same_type(name: names.Uniqueid | names.ChannelName | names.BridgeId) -> None:
    """Through processes and threads."""
    assert type(copy.copy(name)) is type(pickle.loads(pickle.dumps(name))) is type(name)  # noqa: S301 (our own)
