"""Sites that are built otherwise: FreePBX, phones and dialplan in a database, encrypted phones."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.pbx import TLS_CERTIFICATE, Lab
from contrib.lab.server import MonitorServer
from contrib.lab.waiting import wait_until
from tests.scenarios.house import KEYS, House, heard_in

ETC = Path(__file__).parents[2] / "contrib" / "asterisk" / "etc"
PHONES = ("2001", "1001", "3001")
SECONDS = 10.0
MANAGER = (ETC / "manager.conf").read_text().replace('#tryinclude "agi-monitor/manager.conf.include"\n', "")
PJSIP = (ETC / "pjsip.conf").read_text()
EXTENSIONS = (ETC / "extensions.conf").read_text()
for line in ('#tryinclude "agi-monitor/*.conf"\n', "include => agi-monitor\n"):
    EXTENSIONS = EXTENSIONS.replace(line, "")


class Site:
    """A PBX of another flavour, the server beside it, and the administrator.

    :param lab: the PBX
    :param server: configured, and not started
    """

    def __init__(self, lab: Lab, server: MonitorServer) -> None:
        self.lab = lab
        self.server = server
        self.folder = lab.folder / "pbx"

    def files(self) -> dict[str, bytes]:
        """Every file of the site, and all that an install may have made."""
        places = [*(self.folder / "site").iterdir(), *self.lab.pbx.generated.rglob("*"), *self.folder.glob(".*")]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in places if path.is_file()}

    def run(self, command: str, *arguments: str, user: str) -> tuple[int, dict[str, Any]]:
        """Run a command of the administrator. Returns its exit code and what it says."""
        where = ("--config", str(self.server.config), "--asterisk-dir", str(self.folder))
        login = ("--ami-user", user, "--ami-host", self.lab.pbx.address)
        done = subprocess.run(
            [sys.executable, "-m", "agi_monitor", command, "--json", *where, *login, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "AGI_MONITOR_ADMIN_SECRET": self.lab.manager_secrets[user]},
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    def install(self) -> dict[str, Any]:
        """Install, and see that the PBX has loaded what was rendered."""
        code, said = self.run("install", "--yes", user="administrator")
        assert (code, said["state"], said["wrong"], said["foreign"]) == (0, "installed", [], []), said
        return said

    def uninstall(self) -> None:
        """Take it out again."""
        code, said = self.run("uninstall", "--yes", user="administrator")
        assert (code, said["state"], said["foreign"]) == (0, "removed", []), said

    def finds(self, *checks: str) -> dict[str, list[str]]:
        """What the doctor finds, by check."""
        _, said = self.run("doctor", *(word for check in checks for word in ("--only", check)), user="doctor")
        assert {one["outcome"] for one in said["results"]} <= {"fine", "found"}, said
        return {one["id"]: one["evidence"] for one in said["results"] if one["outcome"] == "found"}

    @contextmanager
    def house(self) -> Iterator[House]:
        """The running server."""
        with self.server:
            house = House(self.lab, self.server)
            yield house
            house.assert_no_alarm()


def site_files(pjsip: str, **files: str | bytes) -> dict[str, str | bytes]:
    """Files of a site, besides those of the laboratory."""
    named = {f"{name}.conf": text for name, text in files.items()}
    return {
        "manager.conf": MANAGER,
        "pjsip.conf": pjsip,
        "asterisk.conf": (ETC / "asterisk.conf").read_text(),
        **named,
    }


def every_mode(house: House) -> None:
    """Who hears whom, while a supervisor goes from mode to mode."""
    house.lab.connect("3001", "1001")
    house.spy("listen")
    for mode in ("listen", "whisper", "barge", "listen"):
        house.lab.phone("2001").press(KEYS[mode])
        house.hears(heard_in(mode))
    house.lab.phone("2001").hang_up()
    house.server.wait_for_audit("spy_ended")
    house.lab.pbx.hangup_all()


def assert_refused(house: House, phone: str) -> None:
    """A phone outside of the group gets nowhere with a code: our server is not even asked."""
    mark = house.server.mark()
    call = house.lab.phone(phone).dial("*2221001")
    house.lab.phone(phone).wait_for_state(call, "closed")
    assert house.server.events("call_started", mark) == []


# ---- FreePBX ---------------------------------------------------------------------------------------------------

OF_FREEPBX = """\
;--------------------------------------------------------------------------------;
; Do NOT edit this file as it is auto-generated by FreePBX.
;--------------------------------------------------------------------------------;
"""
FREEPBX = {
    "extensions": OF_FREEPBX
    + """\
#include extensions_override_freepbx.conf
#include extensions_additional.conf
#include extensions_custom.conf

[from-pstn]
include => ext-did

[from-internal]
include => from-internal-noxfer
include => from-internal-xfer
include => bad-number

[from-internal-noxfer]
include => from-internal-noxfer-custom
include => from-internal-noxfer-additional

[from-internal-xfer]
include => from-internal-custom
include => from-internal-additional
exten => s,1,Gosub(macro-hangupcall,s,1)
exten => h,1,Gosub(macro-hangupcall,s,1)
""",
    "extensions_additional": OF_FREEPBX
    + """\
[from-internal-noxfer-additional]
[from-internal-additional]
include => ext-local
include => app-speakingclock

[app-speakingclock]
exten => *60,1,Answer()
 same => n,SayUnixTime()
 same => n,Hangup()

[ext-did]
exten => _X.,1,Goto(from-did,s,1)
[from-did]
exten => s,1,Hangup()

[ext-local]
exten => 1001,1,Set(__RINGTIMER=60)
 same => n,Gosub(macro-exten-vm,s,1(novm,1001,0,0,0))
exten => 1001,hint,PJSIP/1001&Custom:DND1001,CustomPresence:1001
exten => _[23]XXX,1,Dial(PJSIP/${EXTEN},60)
 same => n,Hangup()
exten => 3001,hint,PJSIP/3001&Custom:DND3001,CustomPresence:3001

[macro-exten-vm]
exten => s,1,Dial(PJSIP/${ARG2},${RINGTIMER},tr)
 same => n,Hangup()

[macro-hangupcall]
exten => s,1,Hangup()

[bad-number]
exten => _X.,1,Congestion(1)
exten => _*.,1,Congestion(1)
""",
    "extensions_override_freepbx": "",
    "extensions_custom": "[from-internal-custom]\nexten => 7777,1,Hangup()",
    "manager_custom": "",
    "globals_custom": "",
}


@pytest.fixture
def freepbx(asterisk_version: str, tmp_path: Path) -> Iterator[Site]:
    """Files as FreePBX lays them out, phones that dial from [from-internal], and a server that is told so."""
    pjsip = PJSIP.replace("context = phones", "context = from-internal")
    pjsip = pjsip.replace("context = supervisors", "context = agi-monitor-phone-leads")
    manager = OF_FREEPBX + MANAGER.replace("#tryinclude", "#include manager_custom.conf\n#tryinclude", 1)
    with Lab(
        asterisk_version, PHONES, site={**site_files(OF_FREEPBX + pjsip, **FREEPBX), "manager.conf": manager}
    ) as lab:
        server = MonitorServer(lab, tmp_path, asterisk={"flavour": "freepbx"}, dialplan={"hint_context": "ext-local"})
        yield Site(lab, server)


def test_freepbx(freepbx: Site) -> None:
    """Only the files that FreePBX leaves alone are changed; every mode works for the phones of the group, and no
    other phone reaches a code; everything goes again."""
    before = freepbx.files()
    said = freepbx.install()
    assert sorted(name for name in said["files"] if "/" not in name) == [
        "extensions_custom.conf",
        "manager_custom.conf",
    ]
    changed = {name for name, content in freepbx.files().items() if before.get(name) != content}
    assert {name for name in changed if name.startswith("site/")} == {
        "site/extensions_custom.conf",
        "site/manager_custom.conf",
    }
    with freepbx.house() as house:
        every_mode(house)
        assert_refused(house, "3001")
    assert freepbx.finds("code-reachable", "spy-reachable", "installed-drift") == {}
    freepbx.uninstall()
    assert freepbx.files() == before


def test_the_spy_that_freepbx_brings_along(freepbx: Site) -> None:
    """555 hears every call without a PIN; the doctor names it, with the phones that reach it."""
    path = freepbx.folder / "site" / "extensions_additional.conf"
    path.write_text(
        path.read_text().replace(
            "include => app-speakingclock", "include => app-speakingclock\ninclude => app-chanspy"
        )
        + "[app-chanspy]\nexten => 555,1,Answer()\n same => n,Wait(1)\n same => n,ChanSpy()\n same => n,Hangup()\n"
    )
    freepbx.install()
    reached = freepbx.finds("spy-reachable")["spy-reachable"]
    assert reached == [
        "ChanSpy() is reached from [from-internal] 555@app-chanspy, priority 3",
        "ChanSpy() is reached from [agi-monitor-phone-leads] 555@app-chanspy, priority 3",
    ]


def test_an_install_as_on_plain_asterisk_is_refused(freepbx: Site) -> None:
    """FreePBX would write the file anew with the next change, and the codes would be gone."""
    freepbx.server.configure(asterisk={})
    before = freepbx.files()
    code, said = freepbx.run("install", "--yes", "--force", user="administrator")
    assert (code, said["state"]) == (1, "refused")
    assert all("is written by FreePBX" in line and "flavour to freepbx" in line for line in said["wrong"])
    assert freepbx.files() == before


# ---- a database ------------------------------------------------------------------------------------------------

MODULES = (ETC / "modules.conf").read_text()
for module in ("res_odbc.so", "res_odbc_transaction.so", "res_config_odbc.so", "func_odbc.so", "pbx_realtime.so"):
    MODULES = MODULES.replace(f"noload => {module}\n", "")
REALTIME = {
    "modules": MODULES + "preload => res_odbc.so\npreload => res_config_odbc.so\n",
    "extconfig": """\
[settings]
ps_endpoints => odbc,site,ps_endpoints
ps_auths => odbc,site,ps_auths
ps_aors => odbc,site,ps_aors
extensions => odbc,site,extensions
""",
    "sorcery": """\
[res_pjsip]
endpoint = realtime,ps_endpoints
auth = realtime,ps_auths
aor = realtime,ps_aors
""",
    "res_odbc": "[site]\nenabled => yes\ndsn => site\npre-connect => yes\nmax_connections => 4\n",
    "func_odbc": "[DEVICE]\ndsn = site\nreadsql = SELECT device FROM desks WHERE agent = '${SQL_ESC(${ARG1})}'\n",
    "extensions": """\
[hints]
exten => 1001,hint,PJSIP/1001

[phones]
switch => Realtime/phones@extensions
""",
}
ODBC = {
    "/etc/odbc.ini": "[site]\nDriver = SQLite3\nDatabase = /etc/asterisk/site/site.db\nTimeout = 2000\n",
}
DIAL = "${ODBC_DEVICE(${EXTEN})},60"
TABLES = """
CREATE TABLE ps_endpoints (id, transport, aors, auth, context, disallow, allow, direct_media, rewrite_contact,
    rtp_symmetric, force_rport, dtmf_mode, identify_by, set_var, mailboxes, allow_transfer);
CREATE TABLE ps_auths (id, auth_type, username, password);
CREATE TABLE ps_aors (id, max_contacts, remove_existing, qualify_frequency);
CREATE TABLE extensions (context, exten, priority TEXT, app, appdata);
CREATE TABLE desks (agent, device);
INSERT INTO desks VALUES ('1001', 'PJSIP/1001');
INSERT INTO desks VALUES ('2001', 'PJSIP/2001');
INSERT INTO desks VALUES ('3001', 'PJSIP/3001');
"""


@pytest.fixture
def realtime(asterisk_version: str, tmp_path: Path) -> Iterator[Site]:
    """Phones and dialplan in a database by ODBC, who sits where by func_odbc; files have a transport alone."""
    pjsip = PJSIP.partition("[phone](!)")[0]
    path = tmp_path / "site.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLES)
    files = {**site_files(pjsip, **REALTIME), **ODBC, "site.db": path.read_bytes()}
    with Lab(asterisk_version, (), site=files) as lab:
        changed = lab.folder / "pbx" / "site" / "site.db"
        with closing(sqlite3.connect(changed)) as database, database:
            # The site's own meaning of a code, which ours comes before.
            steps = [("*2221001", "Congestion", "1"), *((name, "Dial", DIAL) for name in PHONES)]
            database.executemany("INSERT INTO extensions VALUES ('phones', ?, 1, ?, ?)", steps)
            for name in PHONES:
                endpoint = (name, "udp", name, name, "phones", "all", "ulaw", *("no", "yes", "yes", "yes"))
                database.execute(
                    "INSERT INTO ps_endpoints VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', NULL)",
                    (*endpoint, "rfc4733", "auth_username,username", ""),
                )
                database.execute(
                    "INSERT INTO ps_auths VALUES (?, 'userpass', ?, ?)", (name, name, lab.passwords[name])
                )
                database.execute("INSERT INTO ps_aors VALUES (?, 1, 'yes', 0)", (name,))
        for name in PHONES:
            lab.phone(name)
        yield Site(
            lab,
            MonitorServer(
                lab,
                tmp_path,
                asterisk={"flavour": "realtime", "phones": "phones"},
                dialplan={"hint_context": "hints"},
            ),
        )


def test_realtime_and_func_odbc(realtime: Site) -> None:
    """The site's switch goes on to work behind our codes; the phones of the group are moved by the rendered SQL."""
    before = {name: content for name, content in realtime.files().items() if name != "site/site.db"}
    realtime.install()
    statements = (realtime.lab.pbx.generated / "realtime.sql").read_text()
    with closing(sqlite3.connect(realtime.folder / "site" / "site.db")) as database, database:
        database.executescript(statements)
        contexts = dict(database.execute("SELECT id, context FROM ps_endpoints"))
        blocked = list(database.execute("SELECT id FROM ps_endpoints WHERE allow_transfer = 'no'"))
    assert contexts == {"2001": "agi-monitor-phone-leads", "1001": "phones", "3001": "phones"}
    assert blocked == [("2001",)]
    with realtime.house() as house:
        every_mode(house)
        assert_refused(house, "3001")
        # What the others may dial, a phone of the group may dial as well.
        house.lab.connect("2001", "1001")
        house.lab.pbx.hangup_all()
    (unseen,) = realtime.finds("dialplan-unseen").values()
    assert "switch => Realtime/phones@extensions at *@phones" in unseen
    assert realtime.finds("code-reachable", "spy-reachable", "installed-drift") == {}
    realtime.uninstall()
    after = {name: content for name, content in realtime.files().items() if name != "site/site.db"}
    assert after == before


# ---- TLS and SRTP ----------------------------------------------------------------------------------------------


@pytest.fixture
def encrypted(asterisk_version: str, tmp_path: Path) -> Iterator[Site]:
    """Phones that speak TLS and SRTP alone, and a PBX that knows neither yet."""
    files = site_files(PJSIP, extensions=EXTENSIONS)
    with Lab(asterisk_version, (), site=files, encrypted=True) as lab:
        tls = {"certificate": TLS_CERTIFICATE, "key": TLS_CERTIFICATE}
        parts = {"phones": "phones", "pjsip": {"tls": tls, "srtp": True}}
        yield Site(lab, MonitorServer(lab, tmp_path, asterisk=parts))


def test_encrypted_phones(encrypted: Site) -> None:
    """By the rendered transport and templates: every mode lets through what it must, nothing passes in the clear."""
    before = encrypted.files()
    encrypted.install()
    pjsip = encrypted.folder / "site" / "pjsip.conf"
    text = pjsip.read_text()
    for name, template in (("2001", "group-leads"), ("1001", "agents-sales"), ("3001", "endpoint")):
        text = text.replace(f"[{name}](supervisor)", f"[{name}](supervisor,agi-monitor-{template})")
        text = text.replace(f"[{name}](phone)", f"[{name}](phone,agi-monitor-{template})")
    pjsip.write_text(text)
    encrypted.lab.pbx.cli("module reload res_pjsip.so")
    wait_until(
        lambda: "agi-monitor-tls" in encrypted.lab.pbx.cli("pjsip show transports"), SECONDS, "the TLS transport"
    )
    for name in PHONES:
        encrypted.lab.phone(name)
    with encrypted.house() as house:
        every_mode(house)
        house.lab.connect("3001", "1001")
        (channel,) = house.lab.pbx.channels_of("1001")
        assert "SPYGROUP=sales" in encrypted.lab.pbx.cli(f"core show channel {channel.name}")
        house.lab.pbx.hangup_all()
    # Each packet carries the mark of a key that the two sides agreed on.
    assert len(list(encrypted.lab.capture.all_packets())) > 100
    assert encrypted.lab.capture.unreadable == 0
    assert encrypted.finds("code-reachable", "direct-media") == {}
    pjsip.write_text(re.sub(r",agi-monitor-[a-z-]+\)", ")", pjsip.read_text()))
    encrypted.uninstall()
    assert encrypted.files() == before
