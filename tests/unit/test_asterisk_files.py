"""agi_monitor.asterisk_files: templates, sections that go on, includes and comments, as Asterisk has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.asterisk_files import Reading, read

TEXT = """\
; a comment
#include "transports/*.conf"
[phone](!)
type = endpoint ; of every phone
context=>phones
;-- a block
[hidden]
--;
[1001](phone)
callerid = "Ben\\; the first" <1001>
;---- no block
[1002](phone,none)
context = others
[1001](+)
mailboxes = 1001@default
junk
"""


def shown(reading: Reading) -> dict[str, list[tuple[str, str]]]:
    """The sections that are no templates."""
    return {
        section.name: [(line.name, line.value) for line in section.lines]
        for section in reading.sections
        if not section.is_template
    }


def test_reads_what_asterisk_reads(tmp_path: Path) -> None:
    """And says where what it did not understand stands."""
    (tmp_path / "transports").mkdir()
    (tmp_path / "transports" / "udp.conf").write_text(
        "[udp]\ntype = transport\n#exec /bin/true\n#include none.conf\n"
    )
    path = tmp_path / "pjsip.conf"
    path.write_text(TEXT)
    reading = read(tmp_path, "pjsip.conf")
    assert shown(reading) == {
        "udp": [("type", "transport")],
        "1001": [
            ("type", "endpoint"),
            ("context", "phones"),
            ("callerid", '"Ben; the first" <1001>'),
            ("mailboxes", "1001@default"),
        ],
        "1002": [("type", "endpoint"), ("context", "phones"), ("context", "others")],
    }
    udp = tmp_path / "transports" / "udp.conf"
    assert reading.notes == [
        f"{udp}:3: #exec is not followed",
        f"{udp}:4: none.conf is not there",
        f"{path}:12: [1002] is made from [none], which is not there; Asterisk refuses the whole file",
        f"{path}:16: no name and value",
    ]
    (second,) = [section for section in reading.sections if section.name == "1002"]
    assert (second.last("context"), second.values("context"), second.last("none")) == (
        "others",
        ["phones", "others"],
        None,
    )


def test_what_a_file_may_begin_with_and_what_it_may_not_say(tmp_path: Path) -> None:
    """A byte order mark is no text; what would be read otherwise than it is meant is told."""
    path = tmp_path / "a.conf"
    path.write_text("[a]\nx = 1\nx += 2\n[b](+)\ny = 1\n", encoding="utf-8-sig")
    reading = read(tmp_path, "a.conf")
    assert shown(reading) == {"a": [("x", "1")], "b": [("y", "1")]}
    assert reading.notes == [
        f"{path}:3: += is not understood",
        f"{path}:4: there is no [b] that this could go on with; Asterisk refuses the whole file",
    ]


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    """After some depth, with a note."""
    (tmp_path / "a.conf").write_text("[a]\n#include a.conf\n")
    assert "files include one another without an end" in read(tmp_path, "a.conf").notes[0]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is for whoever asked for it."""
    with pytest.raises(FileNotFoundError):
        read(tmp_path, "none.conf")


SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.booleans(),
        st.lists(st.sampled_from(["a", "b", "c"]), max_size=2),
        st.lists(st.tuples(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2", "3 4"])), max_size=3),
    ),
    max_size=6,
)


@given(SECTIONS)
def test_templates_are_as_if_copied(
    tmp_path_factory: pytest.TempPathFactory, sections: list[tuple[str, bool, list[str], list[tuple[str, str]]]]
) -> None:
    """A section is its templates' lines as they were at that place, and then its own."""
    text = ""
    known: dict[str, list[tuple[str, str]]] = {}
    expected = []
    for name, is_template, bases, lines in sections:
        marks = ["!"] * is_template + bases
        text += f"[{name}]" + (f"({','.join(marks)})" if marks else "") + "\n"
        text += "".join(f"{key} = {value}\n" for key, value in lines)
        copied = [line for base in bases for line in known.get(base, [])]
        known[name] = [*copied, *lines]
        expected.append((name, is_template, known[name]))
    folder = tmp_path_factory.mktemp("etc")
    (folder / "x.conf").write_text(text)
    found = [
        (one.name, one.is_template, [(line.name, line.value) for line in one.lines])
        for one in read(folder, "x.conf").sections
    ]
    assert found == expected


@given(st.text(max_size=200))
def test_no_text_breaks_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds."""
    folder = tmp_path_factory.mktemp("etc")
    (folder / "x.conf").write_text(text.replace("#", ""), encoding="utf-8", errors="replace")
    read(folder, "x.conf")
