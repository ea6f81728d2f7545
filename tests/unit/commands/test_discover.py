"""agi-monitor discover: agents and their devices, from what a site has; no right, and no password."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.commands.main import main
from agi_monitor.config import document, yaml
from agi_monitor.config.people import People
from agi_monitor.dialplan.discovery import look
from agi_monitor.errors import ConfigError

PJSIP = """\
[phone](!)
type = endpoint
[1001](phone)
callerid = Ben <1001>
[desk-ann](phone)
callerid = "O'Hara, Ann" <1002>
[1001-mobile](phone)
mailboxes = 1001@default
[trunk](phone)
[1001]
type = aor
"""
VOICEMAIL = (
    "[general]\nformat = wav\n[default]\n1001 => 4711,Benjamin,ben@example.com\n1002 => 0815,Ann\n1003 => 42,Carl\n"
)
QUEUES = """\
[general]
[sales]
member => PJSIP/1001,0,Ben
member => Local/1002@agents/n,0
[500]
member => PJSIP/desk-ann
member => PJSIP/unknown
[all]
member => PJSIP/1001
[-night]
member => PJSIP/1001
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Asterisk's configuration."""
    for name, text in (("pjsip.conf", PJSIP), ("voicemail.conf", VOICEMAIL), ("queues.conf", QUEUES)):
        (tmp_path / name).write_text(text)
    return tmp_path


def discover(folder: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["discover", "--asterisk-dir", str(folder), *arguments])


def test_finds_agents_devices_names_and_groups(folder: Path) -> None:
    """And says what it did not understand, with the line."""
    done = discover(folder, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["agents"] == {
        "1001": {"endpoints": ["PJSIP/1001", "PJSIP/1001-mobile"], "name": "Ben", "groups": ["sales"]},
        "1002": {"endpoints": ["PJSIP/desk-ann"], "name": "O'Hara, Ann", "groups": ["sales", "queue-500"]},
    }
    assert [note.removeprefix(f"{folder}/").partition(":")[0] for note in found["notes"]] == [
        "pjsip.conf",
        "queues.conf",
        "queues.conf",
        "queues.conf",
    ]
    assert "PJSIP/trunk names no extension" in found["notes"][0]
    assert "PJSIP/unknown is not a known device" in found["notes"][1]
    assert "the queue all makes no name" in found["notes"][2]
    assert "the queue -night makes no name" in found["notes"][3]


def test_no_password_is_told(folder: Path) -> None:
    """Those of a mailbox: many have the same for both."""
    done = discover(folder)
    assert "4711" not in done.output
    assert "supervisors" not in done.stdout
    assert "rules" not in done.stdout


def test_import_takes_what_it_prints(folder: Path, tmp_path: Path) -> None:
    """All of it, and a second time it changes nothing."""
    config = tmp_path / "agi-monitor.yaml"
    config.write_text(f"state: {{directory: {tmp_path}}}\nstore: {{people: true}}\n")
    text = discover(folder).stdout
    arguments = ["people", "import", "-", "--yes", "--json", "--config", str(config)]
    done = CliRunner().invoke(main, arguments, input=text)
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["changes"]) == 2
    assert json.loads(CliRunner().invoke(main, arguments, input=text).stdout)["changes"] == []


def test_a_list_of_freepbx(tmp_path: Path) -> None:
    """Its device stands in the column 'dial'; what is not one is told."""
    path = tmp_path / "extensions.csv"
    path.write_text(
        "extension,name,dial,voicemail\n1001,Ben,PJSIP/1001,novm\n1002,Ann,,\nx,Y,PJSIP/x,\n", encoding="utf-8-sig"
    )
    found = json.loads(discover(tmp_path / "none", "--freepbx", str(path), "--json").stdout)
    assert found["agents"] == {"1001": {"endpoints": ["PJSIP/1001"], "name": "Ben"}}
    assert [note for note in found["notes"] if "extensions.csv" in note] == [
        f"{path}:3: 1002 has no device in the columns 'dial', 'devinfo_dial' and 'tech'",
        f"{path}:4: 'x' is not an extension",
    ]
    assert len(found["notes"]) == 3  # and that there are no files


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        (b"name,dial\n", "has no column 'extension'"),
        (b"", "has no column 'extension'"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"extension,dial\n1,PJSIP/1\n" + b"2" * 200_000, "extensions.csv:3: field larger than field limit (131072)"),
    ],
    ids=["missing", "no column", "empty", "UTF-16", "endless"],
)
def test_a_list_that_is_none(tmp_path: Path, content: bytes | None, told: str) -> None:
    """The way out stands in the message."""
    path = tmp_path / "extensions.csv"
    if content is not None:
        path.write_bytes(content)
    done = discover(tmp_path, "--freepbx", str(path))
    assert (done.exit_code, told in done.stderr) == (1, True)


def test_nobody_is_found(tmp_path: Path) -> None:
    """The exit code says so, and nothing is printed that could be imported."""
    done = discover(tmp_path)
    assert (done.exit_code, done.stdout) == (1, "")


def test_a_name_that_no_device_can_have(tmp_path: Path) -> None:
    """It is told, and what is printed can be imported."""
    (tmp_path / "pjsip.conf").write_text(f"[1001 (old]\ntype = endpoint\n[1002]\ntype = endpoint\n[{'3' * 90}]\n")
    found = json.loads(discover(tmp_path, "--json").stdout)
    assert list(found["agents"]) == ["1002"]
    (told,) = [note for note in found["notes"] if "cannot be a device" in note]
    assert told.startswith(f"{tmp_path}/pjsip.conf:1: PJSIP/1001 (old cannot be a device: its name may have letters")


def exported(rows: Iterable[tuple[str, ...]]) -> str:
    """A list as FreePBX writes it."""
    out = io.StringIO()
    csv.writer(out).writerows([("extension", "name", "dial"), *rows])
    return out.getvalue()


NAMES = st.text(max_size=12) | st.sampled_from(
    ["1001", "Ann, O'Hara", '"q"', "a;b", "${X}", "# c", "- x", "~", "x" * 300]
)
ROWS = st.tuples(
    st.sampled_from(["1001", "1002", "x", ""]), NAMES, st.sampled_from(["PJSIP/1001", "SIP/x", "", "x/1"])
)
LISTS = st.lists(ROWS, max_size=4).map(exported) | st.text(max_size=60)
FILES = st.lists(
    st.one_of(
        st.sampled_from(
            ["[1001]", "[1002]", "[sales]", "[all]", "[tr](!)", "[1001](tr)", "[tr(!)]", "type = endpoint"]
        ),
        st.sampled_from(["type = wizard", "type = friend", "hassip = yes", "same => n,Dial(SIP/x)"]),
        st.sampled_from(["exten => 1001,hint,PJSIP/x", "exten => 1002,1,Dial(PJSIP/1001&SIP/x)", "exten => 1001,1"]),
        st.builds("callerid = {} <1002>".format, NAMES),
        st.builds("{} => 1,{}".format, st.sampled_from(["1001", "1002"]), NAMES),
        st.builds("member => {},0,{}".format, st.sampled_from(["PJSIP/1001", "Local/1002@x", "SIP/x"]), NAMES),
        NAMES,
    ),
    max_size=8,
).map("\n".join)


OTHERS = st.sampled_from(["pjsip_wizard.conf", "sip.conf", "iax.conf", "users.conf", "extensions.conf"])


@given(LISTS, FILES, FILES, FILES, OTHERS, FILES)
def test_whatever_a_site_has_can_be_imported(
    exported: str, pjsip: str, voicemail: str, queues: str, other: str, text_of_other: str
) -> None:
    """Names in any script, half-written sections, lists that are not: what is printed is a document of people."""
    with tempfile.TemporaryDirectory() as name:
        folder, path = Path(name), Path(name) / "extensions.csv"
        for file, text in (
            ("extensions.csv", exported),
            ("pjsip.conf", pjsip),
            ("voicemail.conf", voicemail),
            ("queues.conf", queues),
            (other, text_of_other),
        ):
            (folder / file).write_bytes(text.encode())
        try:
            found = look(folder, [path])
        except ConfigError as error:
            assert str(error).startswith(str(path))
            return
        agents = {"agents": found.agents()}
        people = document.check(yaml.parsed(yaml.text(agents).encode(), "-"), "-", People, lambda _: (), "")
        assert {name: agent.name for name, agent in people.agents.items()} == {
            name: agent.get("name", "") for name, agent in found.agents().items()
        }


def test_files_that_take_too_much(folder: Path) -> None:
    """End with an error that names the file and the line; nothing is found by halves."""
    bomb = "[t0](!)\nx=1\n" + "".join(f"[t{n + 1}](!,t{n},t{n})\n" for n in range(40))
    (folder / "queues.conf").write_text(bomb)
    done = discover(folder)
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{folder}/queues.conf:" in done.stderr
    assert "with their templates, the sections have more than" in done.stderr


def test_a_list_that_is_no_file(tmp_path: Path) -> None:
    """A device without an end is not read."""
    done = discover(tmp_path, "--freepbx", "/dev/zero")
    assert (done.exit_code, done.stderr) == (1, "/dev/zero: cannot be read: not a regular file\n")


@pytest.mark.parametrize(
    ("caller", "agents"),
    [
        ('"Ann B." <1001>', {"1001": "Ann B."}),
        ("Ann <1001>", {"1001": "Ann"}),
        ("<1001>", {"1001": ""}),
        (' "Ann  <1001> ', {"1001": "Ann"}),
        ('"A"nn" <1001>', {}),
        ("Ann <1001", {}),
        ("Ann <1001> x", {}),
        ('a{}b"c'.format(" " * 8_000), {}),
    ],
)
def test_caller_ids(tmp_path: Path, caller: str, agents: dict[str, str]) -> None:
    """A name and a number; a long line of spaces takes no time."""
    (tmp_path / "pjsip.conf").write_text(f"[desk]\ntype = endpoint\ncallerid = {caller}\n")
    found = look(tmp_path).agents()
    assert {number: entry.get("name", "") for number, entry in found.items()} == agents


def test_nothing_in_a_file_is_done_by_the_terminal(tmp_path: Path) -> None:
    """An escape is shown as what it is."""
    (tmp_path / "pjsip.conf").write_text("[\x1b]0;title\x07]\ntype = endpoint\n[a\x1b[2Jb]\ntype = endpoint\n")
    done = discover(tmp_path)
    assert "\x1b" not in done.stderr + done.stdout
    assert "PJSIP/a\\x1b[2Jb cannot be a device" in done.stderr


# ---- whose a device is ---------------------------------------------------------------------------------------

ENDPOINTS = "[{}]\ntype = endpoint\n"


def agents_of(folder: Path, **files: str) -> dict[str, list[str]]:
    """The devices of each agent that is found in files of these names."""
    for name, text in files.items():
        (folder / f"{name}.conf").write_text(text)
    return {extension: list(agent["endpoints"]) for extension, agent in look(folder).agents().items()}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("dialplan", "agents"),
    [
        ("exten => 6001,1,Dial(PJSIP/alice)", {"6001": ["PJSIP/alice"]}),
        ("exten => 6001,1,Answer()\n same => n,Dial(pjsip/alice,20,t)", {"6001": ["PJSIP/alice"]}),
        ("exten => 6001,n(ring),Dial(PJSIP/alice@trunk/x)", {"6001": ["PJSIP/alice"]}),
        ("exten => 6001,hint,PJSIP/alice&PJSIP/alice-mobile", {"6001": ["PJSIP/alice", "PJSIP/alice-mobile"]}),
        (
            "exten => 6001,hint,PJSIP/alice\nexten => 7000,hint,PJSIP/alice&PJSIP/bob",
            {"6001": ["PJSIP/alice"], "7000": ["PJSIP/bob"]},
        ),
        ("exten => 6001,hint,PJSIP/alice\nexten => 7000,1,Dial(PJSIP/alice)", {"6001": ["PJSIP/alice"]}),
        ("exten => 6001,1,Dial(PJSIP/alice)\nexten => 7000,1,Dial(PJSIP/alice)", {}),
        ("exten => 7000,1,Dial(PJSIP/alice&PJSIP/bob)", {}),
        ("exten => _60XX,1,Dial(PJSIP/alice)\n same => n,Dial(PJSIP/bob)", {}),
        ("exten => 6001,1,Dial(PJSIP/${EXTEN})", {}),
        ("exten => 6001,1,NoOp(Dial(PJSIP/alice))", {}),
    ],
)
def test_the_dialplan_says_whose_a_device_is(tmp_path: Path, dialplan: str, agents: dict[str, list[str]]) -> None:
    """By hint, or by a call to it alone; not where several extensions call it, or a pattern does."""
    endpoints = "".join(map(ENDPOINTS.format, ("alice", "alice-mobile", "bob")))
    assert agents_of(tmp_path, pjsip=endpoints, extensions=f"[internal]\n{dialplan}\n") == agents


@pytest.mark.parametrize(
    ("lines", "agents"),
    [
        (
            "[200]\ntype=endpoint\n[99200]\ntype=endpoint\ncallerid=Anna <200>\n",
            {"200": ["PJSIP/200", "PJSIP/99200"]},
        ),
        ("[99200]\ntype=endpoint\ncallerid=Anna <99200>\n", {"99200": ["PJSIP/99200"]}),
        ("[300]\ntype=endpoint\ncallerid=Anna <200>\n", {"300": ["PJSIP/300"]}),
        ("[trunk1]\ntype=endpoint\ncallerid=<49301234567>\n", {}),
        ("[trunk1]\ntype=endpoint\noutbound_auth=me\ncallerid=<200>\n", {}),
        ("[200]\ntype=endpoint\noutbound_auth=me\n", {}),
        ("[12345678901]\ntype=endpoint\n", {"12345678901": ["PJSIP/12345678901"]}),
    ],
)
def test_second_devices_and_trunks(tmp_path: Path, lines: str, agents: dict[str, list[str]]) -> None:
    """A device that is called after another one's extension, and one that the outside is reached by."""
    assert agents_of(tmp_path, pjsip=lines) == agents


def test_a_hint_names_a_second_device(tmp_path: Path) -> None:
    """As FreePBX writes them."""
    hints = "[ext-local]\nexten => 200,hint,PJSIP/200&PJSIP/99200&Custom:DND200,CustomPresence:200\n"
    found = agents_of(tmp_path, pjsip=ENDPOINTS.format("200") + ENDPOINTS.format("99200"), extensions=hints)
    assert found == {"200": ["PJSIP/200", "PJSIP/99200"]}


def test_devices_of_other_drivers(tmp_path: Path) -> None:
    """Each file in its own words."""
    found = agents_of(
        tmp_path,
        pjsip_wizard="[6001]\ntype = wizard\n[ann]\ntype = wizard\nendpoint/callerid = Ann <6002>\n"
        "[out]\ntype = wizard\nsends_auth = yes\nendpoint/callerid = <6003>\n",
        sip="[general]\ncontext = x\n[6004]\ntype = friend\n[out2]\ntype = peer\nfromuser = me\n"
        "callerid = <6005>\n[6006]\n",
        iax="[6007]\ntype = friend\n[guest]\ntype = user\ncallerid = <6010>\n",
        users="[general]\nhassip = yes\n[6008]\nfullname = Eve\nhasiax = yes\n[6009]\nhassip = no\n",
        queues="[sales]\nmember => sip/6004\nmember => pjsip/6001\nmember => Iax2/6008,1,Eva\n",
    )
    assert found == {
        "6001": ["PJSIP/6001"],
        "6002": ["PJSIP/ann"],
        "6004": ["SIP/6004"],
        "6007": ["IAX2/6007"],
        "6008": ["SIP/6008", "IAX2/6008"],
    }
    looked = look(tmp_path)
    assert not any("guest" in note for note in looked.notes)
    agents = looked.agents()
    assert [extension for extension, agent in agents.items() if agent.get("groups") == ["sales"]] == [
        "6001",
        "6004",
        "6008",
    ]
    assert agents["6008"]["name"] == "Eve"


@pytest.mark.parametrize("columns", ["extension,name,devinfo_dial", "extension,name,tech"])
def test_lists_of_other_versions_of_freepbx(tmp_path: Path, columns: str) -> None:
    """The device stands in another column, or only what it is called by."""
    path = tmp_path / "extensions.csv"
    value = "PJSIP/1001" if columns.endswith("dial") else "pjsip"
    path.write_text(f"{columns}\n1001,Ben,{value}\n")
    assert look(tmp_path, [path]).agents() == {"1001": {"endpoints": ["PJSIP/1001"], "name": "Ben"}}


def test_many_notes_of_one_kind_are_told_in_short(tmp_path: Path) -> None:
    """A list of five hundred rows without devices says so three times, and how many more there are."""
    path = tmp_path / "extensions.csv"
    path.write_text("extension,name\n" + "".join(f"{1000 + row},\n" for row in range(501)))
    (tmp_path / "pjsip.conf").write_text("".join(ENDPOINTS.format(name) for name in ("a", "b", "c")))
    notes = look(tmp_path, [path]).notes
    assert len(notes) == 6
    assert notes[2].endswith("; and 498 more like it")
    assert notes[2].startswith(f"{path}:4: 1002 has no device")
    assert "more like it" not in notes[5]


def test_a_file_that_asterisk_refuses(tmp_path: Path) -> None:
    """What stands before the mistake is found, and the mistake is told."""
    (tmp_path / "pjsip.conf").write_text("[1001]\ntype = endpoint\n[1002\ntype = endpoint\n")
    found = look(tmp_path)
    assert list(found.agents()) == ["1001"]
    (told,) = [note for note in found.notes if "Asterisk does not load the file" in note]
    assert told.startswith(f"{tmp_path}/pjsip.conf:3: ")
