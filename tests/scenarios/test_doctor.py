"""`agi-monitor doctor` on a real PBX: nothing on a clean site, each planted fault, and who hears whom."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.faulty_way import HOST, FaultyWay
from contrib.lab.pbx import Lab
from contrib.lab.server import with_clock
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House

LONG = "abcdefghij" * 2
PJSIP = "/etc/asterisk/pjsip.conf"
EXTENSIONS = "/etc/asterisk/extensions.conf"
CLEAN = {
    "manager.conf": "[general]\nenabled = yes\nbindaddr = 127.0.0.1\n"
    f"[agi-monitor]\nsecret = {LONG}\nwrite = call,reporting\n"
    "deny = 0.0.0.0/0.0.0.0\npermit = 127.0.0.1/255.255.255.255\n",
    "asterisk.conf": "[directories](!)\nastdatadir => /nowhere\n[options]\nsystemname = pbx\n",
}
"""Files as a careful administrator has them. The PBX of the laboratory listens on all addresses."""

OF_THE_VERSION = {"16": {"asterisk-version"}, "22": set[str]()}
"""What a clean site cannot help: Asterisk 16 gets no more updates."""

OF_THE_LABORATORY = {"supervisor-transfer", "caller-text"}
"""Its phones are as open as phones are by default, and other scenarios need them so."""

NOT_HERE = {"sound-missing"}
"""What cannot be checked from another machine than the PBX."""


class Doctor:
    """The command, with its folder.

    :param house: whose site it looks at
    :param folder: in the place of /etc/asterisk
    """

    def __init__(self, house: House, folder: Path) -> None:
        self.house = house
        self.folder = folder
        for name, text in CLEAN.items():
            (folder / name).write_text(text)

    def words(self, *arguments: str) -> list[str]:
        """The command of `agi-monitor`, with this site and the account."""
        site = ("--config", str(self.house.server.config), "--asterisk-dir", str(self.folder))
        login = ("--ami-user", "doctor", "--ami-host", self.house.lab.pbx.address, "--ami-port", str(MANAGER_PORT))
        return ["doctor", *site, *login, *arguments]

    @property
    def secret(self) -> dict[str, str]:
        """The secret of the account, as a variable of the environment."""
        return {"AGI_MONITOR_ADMIN_SECRET": self.house.lab.manager_secrets["doctor"]}

    def run(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Look. Returns the exit code and what it says."""
        done = self.house.server.program.run(*self.words("--json", *arguments), environment=self.secret)
        assert done.output, done.complaint
        return done.code, json.loads(done.output)

    def finds(self, *arguments: str) -> dict[str, list[str]]:
        """What it finds, by check."""
        _, said = self.run(*arguments)
        return {one["id"]: one["evidence"] for one in said["results"] if one["outcome"] == "found"}

    def direct_media(self) -> list[str]:
        """The devices of the PBX whose sound may pass it by."""
        shown = self.house.lab.pbx.cli("pjsip show endpoint 1001")
        return re.findall(r"direct_media\s*: true", shown)

    @contextmanager
    def dialplan(self, text: str) -> Iterator[None]:
        """The PBX has this besides, for a while."""
        self.house.lab.pbx.write_dialplan("planted", text)
        try:
            yield
        finally:
            self.house.lab.pbx.remove_dialplan("planted")


@pytest.fixture
def doctor(own_dialplan: Lab, house: House, tmp_path: Path) -> Iterator[Doctor]:
    """A site as it should be: a running server, phones that dial the codes of their group, a secret for FastAGI."""
    folder = tmp_path / "etc"
    folder.mkdir()
    # What other scenarios have left in the PBX's dialplan spies, too.
    for path in own_dialplan.pbx.generated.glob("*.conf"):
        path.unlink()
    house.server.configure(fastagi={"secret": "nobody-tries-this-one-out"})
    house.server.render()
    house.restart(fastagi={"secret": "nobody-tries-this-one-out"})
    container = own_dialplan.pbx.container
    container.exec(["cp", EXTENSIONS, f"{EXTENSIONS}.before"])
    container.exec(["sed", "-i", "s/^include => agi-monitor$/include => agi-monitor-group-leads/", EXTENSIONS])
    own_dialplan.pbx.reload_dialplan()
    yield Doctor(house, folder)
    container.exec(["mv", f"{EXTENSIONS}.before", EXTENSIONS])
    own_dialplan.pbx.reload_dialplan()


def test_a_clean_site_has_nothing(doctor: Doctor) -> None:
    """But for what is known of this Asterisk; every mode lets through what it must, and nothing is left behind."""
    code, said = doctor.run("--audio")
    outcomes = {one["id"]: (one["outcome"], one["evidence"]) for one in said["results"]}
    expected = OF_THE_VERSION[doctor.house.lab.version] | OF_THE_LABORATORY
    assert {name for name, (outcome, _) in outcomes.items() if outcome == "found"} == expected, outcomes
    assert {name for name, (outcome, _) in outcomes.items() if outcome == "not checked"} == NOT_HERE, outcomes
    assert code == 1  # for what could not be checked
    both = {"customer": ["agent", "supervisor"], "agent": ["customer", "supervisor"]}
    assert said["audio"] == {
        "listen": {**both, "supervisor": []},
        "whisper": {**both, "supervisor": ["agent"]},
        "barge": {**both, "supervisor": ["agent", "customer"]},
    }
    assert doctor.house.lab.pbx.channels() == ()
    doctor.house.assert_no_alarm()


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        (
            "[lab-tests]\nexten => 7501,1,Answer()\n same => n,ChanSpy(PJSIP/1001,q)\n same => n,Hangup()\n",
            "ChanSpy(PJSIP/1001,q) is reached from [supervisors] 7501@lab-tests, priority 2",
        ),
        (
            "[lab-tests]\nexten => 7501,1,Goto(menu,s,1)\n[menu]\nexten => s,1,Background(beep)\n"
            " same => n,WaitExten(5)\n"
            "exten => 4,1,Goto(${GLOBAL(WHERE)},s,1)\n[hidden]\nexten => s,1,TryExec(ChanSpy(PJSIP/1001,q))\n",
            "TryExec(ChanSpy(PJSIP/1001,q)) is perhaps, by a variable, reached from [supervisors] 7501@lab-tests -> "
            "s@menu -> 4@menu -> s@hidden, priority 1",
        ),
        (
            "[lab-tests]\nexten => 7501,1,Dial(PJSIP/1001,20,U(hidden^1))\n[hidden]\n"
            "exten => s,1,ExtenSpy(1001@phones)\n",
            "ExtenSpy(1001@phones) is reached from [supervisors] 7501@lab-tests -> s@hidden, priority 1",
        ),
        (
            "[lab-tests]\nexten => _75XX,1,Goto(hidden,s,1)\n[hidden]\nexten => s,1,ExtenSpy(1001@phones)\n"
            " same => n,Hangup()\ninclude => lab-tests\n",
            "ExtenSpy(1001@phones) is reached from [supervisors] _75XX@lab-tests -> s@hidden, priority 1",
        ),
    ],
    ids=["dialled", "by a menu", "by an option", "by a jump"],
)
def test_a_spy_that_is_reached_without_us(doctor: Doctor, text: str, evidence: str) -> None:
    """With the extension that is dialled."""
    with doctor.dialplan(text):
        assert doctor.finds("--only", "spy-reachable") == {"spy-reachable": [evidence]}
    assert doctor.finds("--only", "spy-reachable") == {}


def test_phones_and_text_of_callers(doctor: Doctor) -> None:
    """A phone that may transfer is told until it may not; a pattern that takes anything until it filters."""
    found = doctor.finds("--only", "supervisor-transfer", "--only", "caller-text", "--only", "dialled-text")
    assert "PJSIP/2001: allow_transfer = yes" in found["supervisor-transfer"]
    assert any(line.startswith("PJSIP/2001: the number is what the caller sends") for line in found["caller-text"])
    container = doctor.house.lab.pbx.container
    container.exec(["cp", PJSIP, f"{PJSIP}.before"])
    try:
        closed = r"s/^context = supervisors$/&\nallow_transfer = no\ncallerid = Eve <2001>/"
        container.exec(["sed", "-i", closed, PJSIP])
        doctor.house.lab.pbx.cli("module reload res_pjsip.so")
        wait_until(
            lambda: re.search(r"allow_transfer\s*: false", doctor.house.lab.pbx.cli("pjsip show endpoint 2001")),
            40,
            "the endpoint to be reloaded",
        )
        after = doctor.finds("--only", "supervisor-transfer", "--only", "caller-text")
    finally:
        container.exec(["mv", f"{PJSIP}.before", PJSIP])
        doctor.house.lab.pbx.cli("module reload res_pjsip.so")
    assert "supervisor-transfer" not in after
    assert not any(line.startswith("PJSIP/2001") for line in after["caller-text"])
    pattern = "exten => _76X!,1,{}\n same => n,Hangup()\n"
    told = "_76X!@lab-tests takes any characters, without a FILTER of ${EXTEN}; it is dialled from [supervisors]"
    with doctor.dialplan("[lab-tests]\n" + pattern.format("NoOp()")):
        assert told in doctor.finds("--only", "dialled-text")["dialled-text"]
    with doctor.dialplan("[lab-tests]\n" + pattern.format("NoOp(${FILTER(0-9,${EXTEN})})")):
        assert told not in doctor.finds("--only", "dialled-text").get("dialled-text", [])


def test_an_account_behind_what_looks_like_a_comment(doctor: Doctor) -> None:
    """The PBX lets it log in, and the doctor sees it; what is in a comment neither does."""
    lines = {
        "seen": (";;-- Panels", True),
        "seen-too": ("; x ;-- y", True),
        "nested": (";-- x\n;-- y\n--;", False),
        "behind-it": ("--;", True),
    }
    text = "".join(
        f"{comment}\n[{name}]\nsecret = amp111\nwrite = all\nread = all\n" for name, (comment, _) in lines.items()
    )
    lab = doctor.house.lab
    with lab.pbx.manager_accounts(text):
        shown = lab.pbx.cli("manager show users")
    loaded = {name for name in lines if re.search(rf"^{name}\s*$", shown, re.MULTILINE)}
    (doctor.folder / "manager.conf").write_text(CLEAN["manager.conf"] + text)
    found = doctor.finds("--only", "ami-secret")["ami-secret"]
    seen = {name for name in lines if any(f"[{name}]" in line for line in found)}
    assert seen == loaded == {name for name, (_, is_loaded) in lines.items() if is_loaded}


def test_a_trunk_of_another_kind(doctor: Doctor) -> None:
    """Where its calls come in is said by its own file; without that, nobody gets there."""
    with doctor.dialplan("[from-isdn]\nexten => _X.,1,ChanSpy(PJSIP/1001,q)\n"):
        assert doctor.finds("--only", "spy-reachable") == {}
        (doctor.folder / "chan_dahdi.conf").write_text("[channels]\ncontext=from-isdn\n")
        assert doctor.finds("--only", "spy-reachable") == {
            "spy-reachable": ["ChanSpy(PJSIP/1001,q) is reached from [from-isdn] _X.@from-isdn, priority 1"]
        }


def test_what_cannot_be_looked_into(doctor: Doctor) -> None:
    """Scripts and switches of others, and not our own; a note is not a failure."""
    text = "[lab-tests]\nexten => 7501,1,AGI(ivr.php)\nswitch => Realtime/lab-tests@extensions\n"
    with doctor.dialplan(text):
        code, said = doctor.run("--only", "dialplan-unseen")
    assert code == 0
    assert said["results"][0]["evidence"] == [
        "switch => Realtime/lab-tests@extensions at *@lab-tests",
        "AGI(ivr.php) at 7501@lab-tests",
    ]


def test_sound_that_may_pass_by(doctor: Doctor) -> None:
    """That of an agent whose devices are found by their hint; not that of a customer."""
    container = doctor.house.lab.pbx.container
    container.exec(["cp", PJSIP, f"{PJSIP}.before"])
    try:
        container.exec(["sed", "-i", "s/^direct_media = no/direct_media = yes/", PJSIP])
        doctor.house.lab.pbx.cli("module reload res_pjsip.so")
        wait_until(lambda: doctor.direct_media() != [], 40.0, "the devices to be loaded")
        found = doctor.finds("--only", "direct-media")["direct-media"]
    finally:
        container.exec(["mv", f"{PJSIP}.before", PJSIP])
        doctor.house.lab.pbx.cli("module reload res_pjsip.so")
    assert "PJSIP/1001: direct_media = yes" in found
    assert not any("3001" in line for line in found)
    wait_until(lambda: doctor.direct_media() == [], 40.0, "the devices to be as they were")


def test_clocks_that_differ(doctor: Doctor) -> None:
    """This machine's is 90 s ahead."""
    ahead = doctor.folder / "ahead"
    ahead.write_text("90")
    done = with_clock(ahead).run(*doctor.words("--json", "--only", "clock"), environment=doctor.secret)
    (result,) = json.loads(done.output)["results"]
    (line,) = result["evidence"]
    assert re.fullmatch(r"the clock of the PBX is (89|90|91) s behind", line)


def test_a_picture_that_is_not_the_pbx(doctor: Doctor) -> None:
    """The server is not told of hang-ups: it has channels that the PBX has no more, and the doctor names them."""
    house = doctor.house
    with FaultyWay(house.lab.pbx.address) as way:
        house.restart(ami=house.ami(host=HOST, port=way.port), fastagi={"secret": "nobody-tries-this-one-out"})
        assert doctor.finds("--only", "live-picture") == {}
        house.lab.connect("3001", "1001")
        way.lose("Hangup")
        house.lab.pbx.hangup_all()
        wait_until(lambda: len(way.lost) == 2, 40.0, "the events to be lost")
        found = doctor.finds("--only", "live-picture")["live-picture"]
        house.server.stop()
    assert [re.sub("-[0-9a-f]{8}", "", line) for line in found] == [
        "PJSIP/1001 is in the picture and not on the PBX",
        "PJSIP/3001 is in the picture and not on the PBX",
    ]


def test_a_certificate_that_ends(doctor: Doctor) -> None:
    """That of the manager interface, by the PBX's own file."""
    pem = doctor.folder / "manager.pem"
    pem.write_text(doctor.house.lab.authority.issue("pbx.example"))
    (doctor.folder / "manager.conf").write_text(
        CLEAN["manager.conf"].replace("enabled", f"tlsenable = yes\ntlscertfile = {pem}\nenabled")
    )
    (line,) = doctor.finds("--only", "certificate")["certificate"]
    assert line.startswith(f"manager.conf: {pem}: ends on ")


def test_a_code_past_the_groups(doctor: Doctor) -> None:
    """All codes, for phones that have those of their group."""
    with doctor.dialplan("[lab-tests]\ninclude => agi-monitor\n"):
        (first, *_) = doctor.finds("--only", "code-reachable")["code-reachable"]
    assert first.endswith("includes [agi-monitor]: all codes can be dialled from it")


def test_a_pattern_that_lets_any_characters_in(doctor: Doctor) -> None:
    """From the phones; compared with its digits first, it is fine."""
    call = " same => n,Dial(PJSIP/${EXTEN:1})\n"
    with doctor.dialplan(f"[lab-tests]\nexten => _9.,1,NoOp()\n{call}"):
        (line,) = doctor.finds("--only", "dialled-text")["dialled-text"]
    assert line.startswith("_9.@lab-tests takes any characters")
    check = " same => n,GotoIf($[${LEN(${FILTER(0-9,${EXTEN})})} != ${LEN(${EXTEN})}]?hangup)\n"
    with doctor.dialplan(f"[lab-tests]\nexten => _9.,1,NoOp()\n{check}{call} same => n(hangup),Hangup()\n"):
        assert doctor.finds("--only", "dialled-text") == {}


def test_a_dialplan_that_is_another(doctor: Doctor) -> None:
    """The loaded one was changed."""
    generated = doctor.house.generated
    doctor.house.lab.pbx.write_dialplan("agi-monitor", generated.replace("Set(AGISIGHUP=yes)", "NoOp()"))
    try:
        (line,) = doctor.finds("--only", "installed-drift")["installed-drift"]
    finally:
        doctor.house.lab.pbx.write_dialplan("agi-monitor", generated)
    assert re.search(r"@agi-monitor-call priority \d+ has another application", line)


def test_a_pbx_without_chanspy(doctor: Doctor) -> None:
    """The module is named, and every test call fails."""
    doctor.house.lab.pbx.cli("module unload -f app_chanspy.so")
    try:
        code, said = doctor.run("--audio")
    finally:
        doctor.house.lab.pbx.cli("module load app_chanspy.so")
    found = {one["id"]: one["evidence"] for one in said["results"] if one["outcome"] == "found"}
    assert code == 3
    assert found["module-missing"] == ["app_chanspy.so does not run: lets the supervisor hear"]
    assert [line.partition(":")[0] for line in found["audio"]] == ["listen", "whisper", "barge"]
    assert doctor.house.lab.pbx.channels() == ()


INJECTED = """
import json, os, sys, time
from agi_monitor.doctor.sample_calls import EVENTS, SampleCalls
from agi_monitor.ami.admin_session import AdminSession
from agi_monitor.model import Mode
from agi_monitor.supervision import chanspy

def arguments(uniqueid, mode):
    return chanspy.arguments(uniqueid, Mode.WHISPER if mode is Mode.LISTEN else mode)

secret = os.environ["AGI_MONITOR_ADMIN_SECRET"]
with AdminSession(sys.argv[1], int(sys.argv[2]), "doctor", secret, wanted=EVENTS) as session:
    calls = list(SampleCalls(session, "agi-monitor-doctor", "planted", arguments, time.monotonic).calls())
print(json.dumps([call.wrong() for call in calls]))
"""


def test_an_option_that_lets_too_much_through(doctor: Doctor) -> None:
    """As a version of ChanSpy might that takes listen for whisper: the matrix shows it."""
    pbx = doctor.house.lab.pbx
    done = subprocess.run(
        [sys.executable, "-c", INJECTED, pbx.address, str(MANAGER_PORT)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **doctor.secret},
        check=True,
    )
    assert json.loads(done.stdout) == [["listen: the agent hears the supervisor, and must not"], [], []]
    assert pbx.channels() == ()


def test_ctrl_c_leaves_nothing(doctor: Doctor) -> None:
    """Whenever it comes; the channels of the test call are gone."""
    running = subprocess.Popen(
        [sys.executable, "-m", "agi_monitor", *doctor.words("--audio")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **doctor.secret},
    )
    wait_until(lambda: len(doctor.house.lab.pbx.channels()) == 6, 30.0, "the channels of a test call")
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode != 0
    assert b"Traceback" not in errors
    assert doctor.house.lab.pbx.channels() == ()


@pytest.mark.either_version
@pytest.mark.parametrize(
    ("file", "text", "check", "evidence"),
    [
        ("manager.conf", "[joe]\nsecret = amp111\n", "ami-secret", "[joe]: the secret is one of those"),
        ("manager.conf", "[joe]\nsecret = abcdefgh\n", "ami-secret", "[joe]: the secret has 8 characters"),
        ("manager.conf", f"[joe]\nsecret = {LONG}\nwrite = all\n", "ami-others", "[joe]: write has all, and"),
        (
            "manager.conf",
            "[agi-monitor](+)\nwrite = call,system\n",
            "ami-account",
            "write has system",
        ),
        ("manager.conf", "#exec /bin/true\n", "file-not-understood", "#exec is not followed"),
        (
            "manager.conf",
            f"[joe]\nsecret = {LONG}\nwrite = originate\npermit = 0.0.0.0/0\n",
            "ami-others",
            "originate",
        ),
        (
            "manager.conf",
            f"[general](+)\nbindaddr = 0.0.0.0\n[joe]\nsecret = {LONG}\n",
            "ami-address",
            "listens on 0.0.0.0",
        ),
        ("ari.conf", f"[joe]\ntype = user\npassword = {LONG}\n", "ari-open", "[joe]: may snoop on every channel"),
        ("asterisk.conf", "live_dangerously = yes\n", "live-dangerously", "live_dangerously = yes"),
        ("asterisk.conf", "systemname =\n", "systemname-missing", "no systemname"),
    ],
)
def test_a_file_that_is_unsafe(doctor: Doctor, file: str, text: str, check: str, evidence: str) -> None:
    """With the file and the section, and never with a secret."""
    before = CLEAN.get(file, "").replace("systemname = pbx\n", "" if "systemname" in text else "systemname = pbx\n")
    (doctor.folder / file).write_text(before + text)
    if file == "ari.conf":
        (doctor.folder / "http.conf").write_text("[general]\nenabled = yes\nbindaddr = 0.0.0.0\n")
    (line,) = doctor.finds("--only", check)[check]
    assert file in line
    assert evidence in line
    assert "xxxx" not in line


@pytest.mark.either_version
def test_sounds_that_are_missing(doctor: Doctor) -> None:
    """Of the language that they are wanted in."""
    sounds = doctor.folder / "data" / "sounds" / "en"
    sounds.mkdir(parents=True)
    (sounds / "agent-pass.gsm").touch()
    (doctor.folder / "asterisk.conf").write_text(f"[directories]\nastdatadir => {doctor.folder}/data\n")
    (line,) = doctor.finds("--only", "sound-missing")["sound-missing"]
    assert line.startswith("en: ")
    assert "auth-incorrect" in line
    assert "agent-pass" not in line


@pytest.mark.either_version
def test_our_own_house(doctor: Doctor) -> None:
    """A record that was taken out of the audit, and a store that is gone."""
    house = doctor.house
    house.server.stop()
    lines = house.server.audit_file.read_text().splitlines(keepends=True)
    house.server.audit_file.write_text("".join(lines[:1] + lines[2:]))
    (database,) = (house.server.folder / "state").glob("agi-monitor.db")
    away = database.rename(database.with_suffix(".away"))
    found = doctor.finds("--only", "audit-chain", "--only", "store")
    assert any("missing" in line for line in found["audit-chain"])
    assert "it is not there" in found["store"][0]
    away.rename(database)
    _, said = doctor.run("--only", "live-picture")
    assert said["results"][0]["outcome"] == "not checked"  # the server has stopped
