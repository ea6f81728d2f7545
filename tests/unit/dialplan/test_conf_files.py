"""agi_monitor.dialplan.conf_files: templates, sections that continue, includes and comments, as Asterisk has them."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.dialplan import conf_files
from agi_monitor.dialplan.conf_files import Limits, Reading, TooMuch, contents, matches, read
from agi_monitor.dialplan.statements import Assignment, statements
from agi_monitor.dialplan.statements import Section as Heading

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
[1002](phone)
context = others
[1001](+)
mailboxes = 1001@default
junk
"""


def shown(reading: Reading) -> dict[str, list[tuple[str, str]]]:
    """The sections that are not templates."""
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
        f"{udp}:4: none.conf is not there; Asterisk reads this file no further",
        f"{path}:16: no name and value",
    ]
    assert reading.refused == ""
    (second,) = [section for section in reading.sections if section.name == "1002"]
    assert (second.last("context"), second.values("context"), second.last("none")) == (
        "others",
        ["phones", "others"],
        None,
    )


def test_what_a_file_may_begin_with_and_what_goes_on(tmp_path: Path) -> None:
    """A byte order mark is not text; ``+=`` adds to the last value, the spaces before it included."""
    (tmp_path / "a.conf").write_text("[a]\nx = 1\ny += 3 \nx += 2\nx +=4\n", encoding="utf-8-sig")
    reading = read(tmp_path, "a.conf")
    assert shown(reading) == {"a": [("x", "1 24"), ("y", "3")]}
    assert reading.notes == []


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x=1\nx=1\nx+=3\n", ["13", "1"]),
        ("x=A\nx=2\nx=a\nx+=3\n", ["a3", "2", "a"]),
        ("x=1\nx=\nx+=3\n", ["3", ""]),
    ],
)
def test_what_a_line_goes_on_with(tmp_path: Path, text: str, values: list[str]) -> None:
    """The value of the last one; it is put into the first that has this value, as Asterisk was seen to do."""
    (tmp_path / "a.conf").write_text("[a]\n" + text)
    (section,) = read(tmp_path, "a.conf").sections
    assert section.values("x") == values


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("[a]\n[b](+)\n[c]\n", 2, "there is no [b] that this could go on with"),
        ("[a]\n[t](!)\n[t](+)\n[c]\n", 3, "there is no [t] that this could go on with"),
        ("[a]\n[b](none)\n[c]\n", 2, "[b] is made from [none], which is not there"),
        ("[a]\n[b](!, t)\n[c]\n", 2, "[b] is made from [ t], which is not there"),
        ("[a]\n[b](a\n[c]\n", 2, "[b] has a ( without its )"),
        ("[a]\n[b\n[c]\n", 2, "a [ without its ]"),
        ("[a]\n\\\n[c]\n", 2, "a backslash that escapes nothing"),
        ("x = 1\n[c]\n", 1, "stands in no section"),
        ("\\;\n[c]\n", 1, "stands in no section"),
        ("[a]\n#include\xa0none.conf\n[c]\n", 2, "\ufffdnone.conf is not there"),
        ("[a]\n#include none.conf\n[c]\n", 2, "none.conf is not there"),
        ("[a]\n#include .\n[c]\n", 2, ". is not there"),
    ],
)
def test_what_asterisk_refuses(tmp_path: Path, text: str, line: int, why: str) -> None:
    """The whole file; what stands after that line is not taken for loaded."""
    (tmp_path / "a.conf").write_text(text)
    reading = read(tmp_path, "a.conf")
    assert reading.refused == f"{tmp_path}/a.conf:{line}: {why}"
    assert reading.notes[-1] == f"{reading.refused}; Asterisk refuses the whole file"
    assert "c" not in shown(reading)


def test_an_included_file_that_asterisk_cannot_read_to_its_end(tmp_path: Path) -> None:
    """What it said before counts, and the file that includes it continues; the next file of a pattern does not."""
    (tmp_path / "b1.conf").write_text("[panel]\nwrite = all\n\\\ndeny = 0.0.0.0/0\n")
    (tmp_path / "b2.conf").write_text("[other]\nx = 1\n")
    (tmp_path / "a.conf").write_text("[general]\n#include b?.conf\nx = 2\n[last]\n")
    reading = read(tmp_path, "a.conf")
    assert shown(reading) == {"general": [("x", "2")], "panel": [("write", "all")], "last": []}
    assert reading.refused == ""


def test_lines_behind_an_include_belong_to_the_section_before_it(tmp_path: Path) -> None:
    """And those at the front of an included file to the last section that was opened."""
    (tmp_path / "b.conf").write_text("x = 1\n[b]\nx = 2\n")
    (tmp_path / "c.conf").write_text("x = 3\n")
    (tmp_path / "a.conf").write_text("[a]\n#include b.conf\n#tryinclude <c.conf>\nx = 4\n")
    assert shown(read(tmp_path, "a.conf")) == {"a": [("x", "1"), ("x", "4")], "b": [("x", "2"), ("x", "3")]}


def test_which_section_a_name_means(tmp_path: Path) -> None:
    """The first of this name, whatever the case of its letters; without a name, the first of all; 79 bytes of it."""
    long = "n" * 79
    (tmp_path / "a.conf").write_text(
        "[A]\nx = 1\n[a]\nx = 2\n[a](+)\ny = 3\n[b](A)\n[c]()\n[d] (a)\n"
        f"[{long}zzz]\n[t](!)\n[t](+TEMPLATES=include)\n"
    )
    found = [(one.name, [line.value for line in one.lines]) for one in read(tmp_path, "a.conf").sections]
    first = ["1", "3"]
    assert found == [("A", first), ("a", ["2"]), ("b", first), ("c", first), ("d", []), (long, []), ("t", [])]


def test_a_section_that_goes_on_with_one_of_a_kind(tmp_path: Path) -> None:
    """As FreePBX's own files are changed: the endpoint, and not the address of record that has its name."""
    (tmp_path / "pjsip.conf").write_text(
        "[2001]\ntype=aor\n[2001]\ntype=endpoint\n[2001](+type=endpoint)\nallow_transfer=no\n"
        "[2001](+type=endpoint&TEMPLATES=include)\nx=1\n[2001](+x=(1+)+$)\ny=1\n"
    )
    reading = read(tmp_path, "pjsip.conf")
    found = [[(line.name, line.value) for line in one.lines] for one in reading.sections]
    assert found == [
        [("type", "aor"), ("y", "1")],
        [("type", "endpoint"), ("allow_transfer", "no"), ("x", "1")],
    ]
    assert reading.notes == [f"{tmp_path}/pjsip.conf:9: (+x=(1+) is not understood"]


@pytest.mark.parametrize(
    ("text", "panel"),
    [
        (";;-- Panels\n[panel]\nwrite = all\n", True),
        ("; x ;-- y\n[panel]\nwrite = all\n", True),
        ("x = \\;-- y\n[panel]\nwrite = all\n", True),
        (";-- x\n;-- y\n--;\n[panel]\nwrite = all\n--;\n", False),
        (";-- ;-- --; --;\n[panel]\nwrite = all\n", True),
        ("x = y --;\n[panel]\nwrite = all\n", False),
        ("x = y --;\n;--\n[panel]\nwrite = all\n", True),
        (f"; {'x' * 9000}\n[panel]\nwrite = all\n", True),
        ("x = y\0 ;--\n[panel]\nwrite = all\n", True),
    ],
)
def test_what_stands_behind_a_comment(tmp_path: Path, text: str, panel: bool) -> None:
    """An account is seen where Asterisk loads it, and nowhere else."""
    (tmp_path / "manager.conf").write_text("[general]\nenabled = yes\n" + text)
    assert (shown(read(tmp_path, "manager.conf")).get("panel") == [("write", "all")]) is panel


def test_a_comment_stays_open_over_the_files_of_a_pattern(tmp_path: Path) -> None:
    """One include reads them as if they were one file, and a byte order mark counts in the first of them alone."""
    (tmp_path / "b1.conf").write_text("[b1]\n;-- open\n")
    (tmp_path / "b2.conf").write_text("[b2]\n--;\n[b3]\n")
    (tmp_path / "a.conf").write_text("[a]\n#include b*.conf\n[c]\n")
    assert list(shown(read(tmp_path, "a.conf"))) == ["a", "b1", "b3", "c"]
    (tmp_path / "b1.conf").write_text("")
    (tmp_path / "b2.conf").write_text("\ufeff[b2]\n[b3]\n")
    assert list(shown(read(tmp_path, "a.conf"))) == ["a", "b3", "c"]


def test_files_that_include_themselves_end(tmp_path: Path) -> None:
    """After some depth, with a note."""
    (tmp_path / "a.conf").write_text("[a]\n#include a.conf\n")
    assert "files include one another without an end" in read(tmp_path, "a.conf").notes[0]


def test_patterns_of_includes(tmp_path: Path) -> None:
    """As glob(3): a star stays in its folder and takes no dot at the front, braces are alternatives."""
    for name in ("x1.conf", "x2.conf", ".x3.conf", "d/x4.conf", "d/e/x5.conf", "a**.conf"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("")
    expected = {
        "*.conf": ["a**.conf", "x1.conf", "x2.conf"],
        "**/*.conf": ["d/x4.conf"],
        "a**.conf": ["a**.conf"],
        "x[!1].conf": ["x2.conf"],
        "x[^1].conf": ["x2.conf"],
        "{x2,d/x4,none}.conf": ["x2.conf", "d/x4.conf", "none.conf"],
        ".x*": [".x3.conf"],
        "//": [],
        "./.": [],
        "*/../x1.conf": ["d/../x1.conf"],
        f"{tmp_path}/x?.conf": ["x1.conf", "x2.conf"],
    }
    for pattern, names in expected.items():
        found = [path for path in matches(tmp_path, pattern) if not path.is_dir()]
        assert found == [tmp_path / name for name in names], pattern


FEW = Limits(1_000, 3_000, lines=300, files=12, names=50, copied=400, searched=1_000, compared=10_000, notes=20)
"""So that a test needs no large files."""

HOSTILE = {
    "a file that includes itself ten times": ("#include a.conf\n" * 10, r"a\.conf: more than (12 files|3000 bytes)"),
    "templates that double": (
        "[t0](!)\nx=1\n" + "".join(f"[t{n + 1}](!,t{n},t{n})\n" for n in range(20)),
        r"a\.conf:\d+: with their templates, the sections have more than 400 lines",
    ),
    "a section that is made from itself": ("[a]\nx=1\n" + "[a](+,a)\n" * 20, r"a\.conf:\d+: with their templates"),
    "many lines": ("\n" * 400, r"a\.conf:301: more than 300 lines are included"),
    "a large file": ("x" * 1_001, r"a\.conf: has more than 1000 bytes"),
    "many files by one pattern": ("[a]\n#include many/*\n", r"a\.conf:2: the patterns of includes mean too many"),
    "many files by braces": ("[a]\n#include " + "{a,b}" * 40 + "\n", r"a\.conf:2: the patterns of includes mean"),
    "many patterns of few files": ("[a]\n" + "#tryinclude m*/5?.conf\n" * 20, r"a\.conf:2: the patterns of includes"),
    "files that a pattern of each includes again": (
        "[a]\n#include many/../a*\n#include ./*.conf\n",
        r"a\.conf: more than 12 files are included",
    ),
    "a search for what to go on with": (
        "[a]\ny=1\n" + "x=1\n" * 90 + "y+=2\n" * 90,
        r"a\.conf:\d+: \+= has more than 1000 lines to look through",
    ),
    "long values that are compared": (
        "[a]\n" + f"x=a{'y' * 200}\nx=b{'y' * 200}\n" + "x+=\n" * 100,
        r"a\.conf:\d+: the values have more than 10000 characters to compare",
    ),
    "a search for a section to go on with": (
        "[a](!)\n" * 50 + "[a]\n" + "[a](+)\n" * 60,
        r"a\.conf:\d+: \(\+\) has more than 1000 lines to look through",
    ),
    "a search for a section that has a line": (
        "[a]\n" + "y=1\n" * 60 + "x=1\n" + "[a](+x=1)\n" * 30,
        r"a\.conf:\d+: \(\+\) has more than 1000 lines to look through",
    ),
    "an empty template, often": ("[b]\n[a]\n" + f"[a]({','.join('b' * 450)})\n", r"a\.conf:3: with their templates"),
}


@pytest.mark.parametrize(("text", "told"), HOSTILE.values(), ids=HOSTILE.keys())
def test_more_than_the_limits(tmp_path: Path, text: str, told: str) -> None:
    """Ends with an error that names the file, and the line where one is at fault."""
    (tmp_path / "many").mkdir()
    for number in range(60):
        (tmp_path / "many" / f"{number}.conf").write_text("")
    (tmp_path / "a.conf").write_text(text[:100_000])
    os.truncate(tmp_path / "a.conf", len(text))
    with pytest.raises(TooMuch, match=told):
        read(tmp_path, "a.conf", FEW)


def test_a_value_that_grows(tmp_path: Path) -> None:
    """``+=`` makes no value of any length."""
    (tmp_path / "a.conf").write_text("[a]\n" + f"x += {'y' * 8_000}\n" * 10)
    with pytest.raises(TooMuch, match=r"a\.conf:10: \+= makes a value of more than 65536 characters"):
        read(tmp_path, "a.conf")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link to a pipe", "socket"])
def test_what_is_no_file_is_not_read(tmp_path: Path, kind: str) -> None:
    """Nor waited for, whether it is asked for itself or included."""
    path = tmp_path / "b.conf"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read(tmp_path, "b.conf")
    (tmp_path / "a.conf").write_text("[a]\n#tryinclude b.conf\n[c]\n")
    reading = read(tmp_path, "a.conf")
    assert (list(shown(reading)), len(reading.notes)) == (["a", "c"], 1)
    assert reading.notes[0] == f"{tmp_path}/a.conf:2: {path}: not a regular file"


def test_what_the_kernel_makes_up_is_not_read(tmp_path: Path) -> None:
    """Such as the log of the kernel, whose lines are gone when they are read: it is not a configuration."""
    (tmp_path / "b.conf").symlink_to("/proc/version")
    told = "not a file on a disk: the kernel makes it up"
    with pytest.raises(OSError, match=told):
        read(tmp_path, "b.conf")
    (tmp_path / "a.conf").write_text("[a]\n#tryinclude /proc/version\n[c]\n")
    reading = read(tmp_path, "a.conf")
    assert (list(shown(reading)), list(reading.notes)) == (
        ["a", "c"],
        [f"{tmp_path}/a.conf:2: /proc/version: {told}"],
    )


def test_a_file_that_says_it_is_empty_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """So most files of the kernel do, also those of a file system that is mounted elsewhere."""
    monkeypatch.setattr(conf_files, "_of_the_kernel", lambda: frozenset())
    assert contents(Path("/proc/version")) == ""


def test_a_file_that_would_have_to_be_waited_for_is_an_error() -> None:
    """What came before it is not taken for the whole."""
    reading, writing = os.pipe2(os.O_NONBLOCK)
    try:
        os.write(writing, b"[a]")
        with pytest.raises(BlockingIOError) as caught:
            conf_files._read(reading, 100, Path("a.conf"))
    finally:
        os.close(reading)
        os.close(writing)
    assert caught.value.filename == "a.conf"


@pytest.mark.parametrize(
    "name", ["n" * 300, "{a,b}" * 60 + "*", "*/" * 2_000 + "x", '"//"', '"./."', '""', "a**.conf"]
)
def test_odd_names_of_includes(tmp_path: Path, name: str) -> None:
    """Mean no file, and do not fail."""
    (tmp_path / "a.conf").write_text(f"[a]\n#tryinclude {name}\n[c]\n")
    if "{" in name:
        with pytest.raises(TooMuch, match=r"a\.conf:2: the patterns of includes mean too many files"):
            read(tmp_path, "a.conf")
        return
    assert list(shown(read(tmp_path, "a.conf"))) == ["a", "c"]


def test_a_file_that_becomes_a_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at it and its opening."""
    path = tmp_path / "a.conf"
    path.write_text("")
    regular = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda self: regular)
    with pytest.raises(OSError, match="not a regular file"):
        contents(path)


def test_notes_are_bounded(tmp_path: Path) -> None:
    """What follows the last one is not told."""
    (tmp_path / "a.conf").write_text("[a]\n" + "x\n" * 100)
    notes = read(tmp_path, "a.conf", FEW).notes
    assert (len(notes), notes[-1]) == (21, "and more, which is not told")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is for anyone who asked for it."""
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
    is_refused = False
    for name, is_template, bases, lines in sections:
        marks = ["!"] * is_template + bases
        text += f"[{name}]" + (f"({','.join(marks)})" if marks else "") + "\n"
        text += "".join(f"{key} = {value}\n" for key, value in lines)
        is_refused = is_refused or not all(base in known for base in bases)
        if not is_refused:
            copied = [line for base in bases for line in known[base]]
            known.setdefault(name, [*copied, *lines])
            expected.append((name, is_template, [*copied, *lines]))
    folder = tmp_path_factory.mktemp("etc")
    (folder / "x.conf").write_text(text)
    reading = read(folder, "x.conf")
    found = [(one.name, one.is_template, [(line.name, line.value) for line in one.lines]) for one in reading.sections]
    assert found == expected
    assert bool(reading.refused) is is_refused


GRAMMAR = st.lists(
    st.sampled_from(
        [
            "[a]",
            "[b]",
            "exten",
            "=",
            "=>",
            "x",
            " ",
            "\n",
            "\n",
            ";",
            ";--",
            "--;",
            "---",
            "\\",
            "\\;",
            "\0",
            "\ufeff",
        ]
    ),
    max_size=40,
).map("".join)


@given(GRAMMAR)
def test_both_readers_read_the_same(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """The reader of the dialplan and the one of files with templates and includes see the same sections and lines."""
    folder = tmp_path_factory.mktemp("etc")
    (folder / "x.conf").write_bytes(text.encode())
    expected: list[tuple[str, list[tuple[str, str]]]] = []
    for statement in statements(text):
        if isinstance(statement, Heading):
            expected.append((statement.name, []))
        elif isinstance(statement, Assignment):
            if not expected:
                break
            if statement.key:
                expected[-1][1].append((statement.key.lower(), statement.value))
    found = [(one.name, [(line.name, line.value) for line in one.lines]) for one in read(folder, "x.conf").sections]
    assert found == expected


@given(st.text(max_size=200))
def test_no_text_breaks_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds."""
    folder = tmp_path_factory.mktemp("etc")
    (folder / "x.conf").write_text(text.replace("#", ""), encoding="utf-8", errors="replace")
    read(folder, "x.conf")


def test_no_more_is_read_than_the_owner_of_the_folder_may() -> None:
    """Else a link, an include or a pattern would show what root alone may read. Others may read no more anyway."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        hidden, folder = base / "hidden", base / "asterisk"
        for place in (hidden, folder):
            place.mkdir()
        for secret in (hidden / "in-a-folder", base / "mode"):
            secret.write_text("[hunter2]\n#hunter2\nname = hunter2\n")
        hidden.chmod(0o700 if is_root else 0)
        (base / "mode").chmod(0o600 if is_root else 0)
        (folder / "link.conf").symlink_to(base / "mode")
        (folder / "folder.conf").symlink_to(hidden / "in-a-folder")
        includes = [hidden / "in-a-folder", base / "mode", hidden / "in*"]
        (folder / "include.conf").write_text("[own]\n" + "".join(f"#tryinclude {one}\n" for one in includes))
        (folder / "own.conf").write_text("[own]\n")
        (folder / "own.conf").chmod(0o600)
        for place in (folder, *folder.iterdir()) if is_root else ():
            os.chown(place, 65_533, 65_533, follow_symlinks=False)
        for link in ("link.conf", "folder.conf"):
            with pytest.raises(PermissionError):
                read(folder, link)
        found = read(folder, "include.conf")
        assert ([one.name for one in found.sections], "hunter2" in str(found)) == (["own"], False)
        assert [one.name for one in read(folder, "own.conf").sections] == ["own"]
        assert is_root is (os.geteuid() == 0)
        hidden.chmod(0o700)


def test_a_sparse_file_is_not_read_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs its owner nothing, and a reader of many such files much."""
    (tmp_path / "a.conf").write_text("")
    os.truncate(tmp_path / "a.conf", 1 << 40)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    with pytest.raises(TooMuch, match="has more than 16777216 bytes"):
        read(tmp_path, "a.conf")


IS_ROOT = os.geteuid() == 0
STRANGER = 65_533


def owned(path: Path, owner: str) -> None:
    """Let a folder, or the file in it, be one that a user besides root may change."""
    uid, gid, mode = {
        "owner": (STRANGER, STRANGER, 0o755),
        "group": (0, STRANGER, 0o775),
        "anyone": (0, 0, 0o777),
        "sticky": (0, 0, 0o1777),
        "root": (0, 0, 0o755),
    }[owner]
    if IS_ROOT:  # others have no rights that a stranger has not, and can give nothing away
        os.chown(path, uid, gid)
        path.chmod(mode)


@pytest.mark.parametrize("owner", ["owner", "group", "anyone", "sticky", "root"])
@pytest.mark.parametrize("where", ["folder", "above", "behind a link", "above what a link leads to", "file"])
def test_root_reads_with_the_rights_of_who_may_write(owner: str, where: str) -> None:
    """Anyone who can exchange the folder, or the file, says what is read: it is nothing that they may not read."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o755)
        secret = base / "secret"
        secret.write_text("[hunter2]\n")
        secret.chmod(0o600 if IS_ROOT else 0)
        above = base / "above"
        folder = above / "asterisk"
        folder.mkdir(parents=True)
        (folder / "a.conf").write_text(f"[own]\n#tryinclude {secret}\n")
        place = folder
        if "link" in where:
            place = base / "link"
            place.symlink_to(folder)
        owned({"file": folder / "a.conf"}.get(where, above if where.startswith("above") else folder), owner)
        found = [one.name for one in read(place, "a.conf").sections]
        is_safe = owner == "root" or (owner == "sticky" and where.startswith("above"))
        assert found == (["own", "hunter2"] if is_safe and IS_ROOT else ["own"])
        assert IS_ROOT is (os.geteuid() == 0)


def test_root_follows_no_link_of_others_to_the_folder() -> None:
    """They choose which folder it is, and may choose again between two looks."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        (base / "asterisk").mkdir()
        (base / "asterisk" / "a.conf").write_text("[own]\n")
        (base / "link").symlink_to(base / "asterisk")
        assert [one.name for one in read(base / "link", "a.conf").sections] == ["own"]
        if IS_ROOT:
            os.chown(base / "link", STRANGER, STRANGER, follow_symlinks=False)
            with pytest.raises(OSError, match="symbolic link in the hands of another user"):
                read(base / "link", "a.conf")


def test_a_word_that_is_not_known_is_not_repeated(tmp_path: Path) -> None:
    """A file that was not meant may have a password there."""
    (tmp_path / "a.conf").write_text("[a]\n#hunter2\n#exec x\n")
    assert [note.partition(":")[2] for note in read(tmp_path, "a.conf").notes] == [
        "2: # with an unknown word",
        "3: #exec is not followed",
    ]
