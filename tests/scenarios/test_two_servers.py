"""Two servers of ours on one PBX, and one server that dies while somebody spies and is back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.server import PORT, SITE, MonitorServer
from tests.scenarios.house import CODES, House, heard_in

KEY = "a-key-that-both-servers-have-0123"
SECOND_PORT = PORT + 1
SECOND_CODES = {mode: code.replace("*22", "*32") for mode, code in CODES.items()}
SECOND_SERVER = """[lab-tests]
exten => _*32[2-4]!,1,Goto(agi-monitor-call,${{EXTEN}},1)

[agi-monitor-call]
exten => _*32[2-4]!,1,AGI(agi://{gateway}:{port}/spy)
 same => n,Hangup()
"""
PAIR: dict[str, set[str]] = {"3001": {"1001"}, "1001": {"3001"}}


@contextmanager
def second(house: House, folder: Path, **changes: Any) -> Iterator[House]:
    """Another server, with its own state, codes and audit, which knows the same people."""
    folder.mkdir()
    server = MonitorServer(house.lab, folder, fastagi={"port": SECOND_PORT}, codes=SECOND_CODES, **changes)
    text = SECOND_SERVER.format(gateway=house.lab.gateway, port=SECOND_PORT)
    house.lab.pbx.write_dialplan("lab-second-server", text)
    try:
        with server:
            other = House(house.lab, server, SECOND_CODES)
            yield other
            other.assert_no_pin_anywhere()
    finally:
        house.lab.pbx.hangup_all()
        house.lab.pbx.remove_dialplan("lab-second-server")


def wait_for_kinds(house: House, expected: Sequence[tuple[str, str | None]]) -> None:
    """Wait until this server sees these spies, and no other."""
    house.lab.pbx.wait_until(lambda: kinds(house) == expected, 30, f"{expected} to be listed")


def kinds(house: House) -> list[tuple[str, str | None]]:
    """All spies as this server sees them: by what right, and who."""
    return sorted((spy["kind"], spy["supervisor"]) for spy in house.asks("spies")["spies"])


# ---- two servers ---------------------------------------------------------------------------------------


def test_two_servers_with_one_key_know_each_other(house: House, tmp_path: Path) -> None:
    """Each lists the other's spy as one, neither alarms, and neither keeps it when it is over."""
    house.restart(spies={"key": KEY, "rogue": "hang_up"})
    with second(house, tmp_path / "second", spies={"key": KEY, "rogue": "hang_up"}) as other:
        house.lab.connect("3001", "1001")
        house.spy(supervisor="2001")
        other.spy("whisper", supervisor="2003")
        house.hears({**PAIR, "2001": {"3001", "1001"}, "2003": {"3001", "1001"}, "1001": {"3001", "2003"}})
        wait_for_kinds(house, [("granted", "anna"), ("others", "carla")])
        wait_for_kinds(other, [("granted", "carla"), ("others", "anna")])
        house.change_mode("whisper")
        other.change_mode("listen", supervisor="2003")
        both = [("granted", "anna"), ("others", "carla")]
        wait_for_kinds(house, both)
        house.lab.phone("2001").press("*")
        other.lab.phone("2003").hang_up()
        house.server.wait_for("extension_prompted")
        other.server.wait_for("call_ended")
        house.lab.pbx.wait_until(lambda: not kinds(house) and not kinds(other), 40, "nobody to be listed")
        house.assert_no_alarm()
        other.assert_no_alarm()


def test_a_second_server_finds_the_spies_of_the_first(house: House, tmp_path: Path) -> None:
    """By its list and the proof on the channel; a supervisor at a prompt is not one, and the lists still say so."""
    house.restart(spies={"key": KEY})
    house.lab.connect("3001", "1001")
    house.spy("barge", supervisor="2001")
    house.spy("listen", supervisor="2003")
    mark = house.server.mark()
    house.lab.phone("2003").press("*")
    house.server.wait_for("extension_prompted", mark)
    with second(house, tmp_path / "second", spies={"key": KEY}) as other:
        wait_for_kinds(other, [("others", "anna")])
        mark = house.server.mark()
        house.lab.phone("2001").press("*")
        house.server.wait_for("extension_prompted", mark)
        wait_for_kinds(other, [])
        other.resync()
        wait_for_kinds(other, [])
        other.assert_no_alarm()
        house.assert_no_alarm()


def test_a_spy_of_a_server_with_another_key_is_found_by_the_list(house: House, tmp_path: Path) -> None:
    """It began while nobody looked; a supervisor of that server who is at a prompt is not a rogue."""
    house.server.stop()
    with second(house, tmp_path / "second") as other:
        house.lab.connect("3001", "1001")
        other.spy(supervisor="2003")
        other.spy(supervisor="2001")
        mark = other.server.mark()
        house.lab.phone("2001").press("*")
        other.server.wait_for("extension_prompted", mark)
        house.server.start()
        (record,) = house.server.wait_for_audit("rogue_spy")
        assert record["spyer"].startswith("PJSIP/2003-")
        wait_for_kinds(house, [("rogue", None)])
        other.assert_no_alarm()


@pytest.mark.either_version
@pytest.mark.parametrize("keys", [(None, None), (KEY, "another-key-that-nobody-else-has")])
def test_two_servers_without_a_common_key(house: House, tmp_path: Path, keys: tuple[str | None, str | None]) -> None:
    """What the other one grants proves nothing here: it is rogue."""
    ours, theirs = [{"spies": {"key": key}} if key else {} for key in keys]
    house.restart(**ours)
    with second(house, tmp_path / "second", **theirs) as other:
        house.lab.connect("3001", "1001")
        other.spy(supervisor="2003")
        (record,) = house.server.wait_for_audit("rogue_spy")
        assert record["spyer"].startswith("PJSIP/2003-")
        assert record["why"] == "nobody granted it"
        other.assert_no_alarm()
        wait_for_kinds(house, [("rogue", None)])
        wait_for_kinds(other, [("granted", "carla")])


# ---- one server that dies ------------------------------------------------------------------------------


def orphaned(house: House, mode: str = "listen", **changes: Any) -> None:
    """A spy whose server is killed, and a new run of it with another configuration."""
    house.lab.connect("3001", "1001")
    house.spy(mode)
    house.hears(heard_in(mode))
    house.server.kill()
    house.hears(heard_in(mode))
    house.server.configure(**changes)
    house.server.start()


@pytest.mark.parametrize("mode", ["listen", "barge"])
@pytest.mark.parametrize("end", ["the supervisor hangs up", "the customer hangs up", "a key"])
@pytest.mark.either_version
def test_an_orphan_is_adopted(house: House, mode: str, end: str) -> None:
    """By default it continues, is listed as what it was, and its end is on record; a key ends the call."""
    orphaned(house, mode)
    (record,) = house.server.wait_for_audit("spy_adopted")
    (started,) = house.server.audit("spy_started")
    same = ("call", "grant", "supervisor", "extension", "mode", "spyer_uniqueid", "spyee_uniqueid")
    assert {name: record[name] for name in same} == {name: started[name] for name in same}
    house.hears(heard_in(mode))
    wait_for_kinds(house, [("adopted", "anna")])
    if end == "a key":
        house.lab.phone("2001").press("5")
    else:
        house.lab.phone("2001" if end.startswith("the supervisor") else "3001").hang_up()
    house.lab.phone("2001").wait_until_idle()
    (ended,) = house.server.wait_for_audit("spy_ended")
    why = {
        "the supervisor hangs up": "supervisor_hung_up",
        "the customer hangs up": "call_over",
        "a key": "supervisor_hung_up",
    }
    assert (ended["why"], ended["call"], ended["grant"], ended["mode"]) == (
        why[end],
        started["call"],
        started["grant"],
        mode,
    )
    wait_for_kinds(house, [])
    house.assert_no_alarm()


@pytest.mark.either_version
def test_an_orphan_is_adopted_once(house: House) -> None:
    """Lists still find it, and a third run adopts it again."""
    orphaned(house)
    house.server.wait_for_audit("spy_adopted")
    house.resync()
    assert len(house.server.audit("spy_adopted")) == 1
    house.server.kill()
    house.server.start()
    assert len(house.server.wait_for_audit("spy_adopted", 2)) == 2
    wait_for_kinds(house, [("adopted", "anna")])
    house.assert_no_alarm()


def test_an_orphan_is_ended(house: House) -> None:
    """When the configuration says so: the supervisor's call is over, and the others' continues."""
    orphaned(house, "barge", spies={"orphans": "end"})
    house.server.wait_for("spy_revoked", why="orphaned")
    house.lab.phone("2001").wait_until_idle()
    house.hears(PAIR)
    (revoked,) = house.server.wait_for_audit("spy_revoked")
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert (revoked["why"], ended["why"]) == ("orphaned", "revoked")
    wait_for_kinds(house, [])


WHY = {"the rule": "mode_denied", "the supervisor": "identity_changed", "the agent": "agent_unknown"}
CHANGES: dict[str, dict[str, Any]] = {
    "the rule": {
        "rules": [{"name": "only-100", "allow": ["listen"], "supervisors": ["leads"], "agents": ["100"]}],
    },
    "the supervisor": {"supervisors": {name: who for name, who in SITE["supervisors"].items() if name != "anna"}},
    "the agent": {"agents": {name: who for name, who in SITE["agents"].items() if name != "1001"}},
}


@pytest.mark.either_version
@pytest.mark.parametrize("change", CHANGES)
def test_a_right_that_was_taken_away_meanwhile(house: House, change: str) -> None:
    """An orphan whose right is gone is adopted only to be ended."""
    orphaned(house, **CHANGES[change])
    house.lab.phone("2001").wait_until_idle()
    house.hears(PAIR)
    (revoked,) = house.server.wait_for_audit("spy_revoked")
    assert revoked["why"] == WHY[change]
    assert house.server.wait_for_audit("spy_ended")[0]["why"] == "revoked"
    house.assert_no_alarm()


@pytest.mark.either_version
def test_a_right_that_is_taken_away_from_an_orphan(house: House) -> None:
    """After the adoption a reload ends it like any other spy."""
    orphaned(house)
    house.server.wait_for_audit("spy_adopted")
    house.reconfigure(**CHANGES["the rule"])
    house.lab.phone("2001").wait_until_idle()
    house.hears(PAIR)
    assert house.server.wait_for_audit("spy_revoked")[0]["why"] == "mode_denied"


@pytest.mark.either_version
def test_an_orphan_is_killed(house: House) -> None:
    """It is ended by hand as any other."""
    orphaned(house, "whisper")
    house.server.wait_for_audit("spy_adopted")
    (spy,) = house.wait_for_spies(1)
    house.kill(spy["id"])
    house.lab.phone("2001").wait_until_idle()
    house.hears(PAIR)
    assert house.server.wait_for_audit("spy_revoked")[0]["why"] == "killed"


def test_a_spy_that_was_left_running_is_adopted(house: House) -> None:
    """A stop that leaves spies on, as an upgrade does: the next run takes them over."""
    house.lab.connect("3001", "1001")
    house.spy()
    assert house.server.stop() == 0
    assert house.server.audit("spy_ended")[0]["why"] == "left_running"
    house.server.start()
    house.server.wait_for_audit("spy_adopted")
    house.hears(heard_in("listen"))
    house.lab.phone("2001").hang_up()
    assert house.server.wait_for_audit("spy_ended", 2)[1]["why"] == "supervisor_hung_up"


@pytest.mark.either_version
def test_an_orphan_is_no_orphan_without_its_state(house: House) -> None:
    """A server whose key is gone with its state finds a proof that it cannot read: rogue."""
    house.lab.connect("3001", "1001")
    house.spy()
    house.server.kill()
    (house.server.folder / "state" / "server-key.json").unlink()
    house.server.start()
    (record,) = house.server.wait_for_audit("rogue_spy")
    assert record["spyer"].startswith("PJSIP/2001-")
