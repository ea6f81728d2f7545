"""The server dies, comes back, is told to stop or to read its configuration again; the disk says no."""

from __future__ import annotations

import shutil

import pytest

from agi_monitor.dialplan.parse import parse
from tests.scenarios.house import House, heard_in

pytestmark = pytest.mark.either_version
"""What our server does when it stops, is killed or cannot write."""


def test_without_a_server_nobody_hears_anything(house: House) -> None:
    """Every code ends in a hang-up when the server is not there."""
    house.lab.connect("3001", "1001")
    house.server.kill()
    phone = house.lab.phone("2001")
    for number in ("*2221001", "*2231001", "*2241001", "*222"):
        phone.dial(number)
        phone.wait_until_idle()
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    ours = [context.name for context in parse(house.generated).contexts]
    assert len(ours) >= 5
    assert not any("Spy" in house.lab.pbx.dialplan_show(context) for context in ours)


def test_a_server_killed_while_spying(house: House) -> None:
    """The spy continues as it was; a key then ends the call; a new server serves new calls."""
    house.lab.connect("3001", "1001")
    house.spy("whisper")
    house.server.kill()
    house.hears(heard_in("whisper"))
    house.lab.phone("2001").press("6")
    house.lab.phone("2001").wait_until_idle()
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    house.server.start()
    house.spy("listen")
    house.hears(heard_in("listen"))


def test_a_server_killed_while_spying_and_the_call_ends(house: House) -> None:
    """Nothing follows the call that was heard: the dialplan hangs the supervisor up."""
    house.lab.connect("3001", "1001")
    house.spy()
    house.server.kill()
    house.lab.phone("3001").hang_up()
    house.lab.phone("2001").wait_until_idle()
    assert not house.lab.pbx.channels_of("2001")


def test_stopping_leaves_spies_on_by_default(house: House) -> None:
    """SIGTERM: a call at a prompt ends, the spy continues, the record says that it was left."""
    house.lab.connect("3001", "1001")
    house.spy(supervisor="2001")
    house.dial("*2221001", supervisor="2003")
    assert house.server.stop() == 0
    house.lab.phone("2003").wait_until_idle()
    house.hears(heard_in("listen"))
    (ended,) = house.server.audit("spy_ended")
    assert ended["why"] == "left_running"
    assert house.server.audit()[-1]["fact"] == "server_stopped"


def test_stopping_ends_spies_when_told_so(house: House) -> None:
    """With spies: end the configured command hangs the supervisor up, and the record says why."""
    container = house.lab.pbx.container.get_wrapped_container().id
    hangup = ["docker", "exec", container, "asterisk", "-rx", "channel request hangup {channel}"]
    house.server.configure(stop={"spies": "end", "hangup_command": hangup})
    house.server.reload()
    house.server.wait_for("reloaded")
    house.lab.connect("3001", "1001")
    house.spy("barge")
    assert house.server.stop() == 0
    house.lab.phone("2001").wait_until_idle()
    (ended,) = house.server.audit("spy_ended")
    assert ended["why"] == "server_stopping"
    house.hears({"3001": {"1001"}, "1001": {"3001"}})


def test_a_reload_takes_a_right_away_at_once(house: House) -> None:
    """After a reload the next key is decided by the new rules; a broken file changes nothing."""
    house.lab.connect("3001", "1001")
    house.spy("listen")
    house.server.config.write_text("rules: 7\n")
    with pytest.raises(Exception, match="rules"):
        house.server.reload()
    rules = [{"name": "listen-only", "allow": ["listen"], "supervisors": ["leads"], "agents": ["sales"]}]
    house.server.configure(rules=rules)
    house.server.reload()
    house.server.wait_for("reloaded")
    mark = house.server.mark()
    house.lab.phone("2001").press("6")
    house.server.wait_for("refused", mark, reason="mode_denied")
    house.server.wait_for("spy_started", mark, mode="listen", rule="listen-only")
    house.hears(heard_in("listen"))
    house.server.configure(rules=[{**rules[0], "deny": ["listen"], "allow": []}])
    house.server.reload()
    house.server.wait_for("reloaded", mark)
    house.lab.phone("2001").press("4")
    house.server.wait_for("extension_prompted", mark)
    house.lab.wait_for_hearing({"3001": {"1001"}, "1001": {"3001"}}, others_silent=False)


def test_no_record_no_spy(house: House) -> None:
    """The audit cannot be written: no sound. When it can again, what happened meanwhile is in it."""
    house.lab.connect("3001", "1001")
    folder = house.server.audit_file.parent
    shutil.rmtree(folder)
    house.identify("*2221001")
    house.server.wait_for("refused", reason="audit_unavailable")
    house.lab.phone("2001").wait_until_idle()
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    folder.mkdir()
    (record,) = house.server.wait_for_audit("refused")
    assert record["reason"] == "audit_unavailable"
    house.spy()
    house.hears(heard_in("listen"))


def test_the_record_fails_at_a_change_of_mode(house: House) -> None:
    """A mode that cannot be recorded does not begin, and the old one does not continue unrecorded."""
    house.lab.connect("3001", "1001")
    house.spy("listen")
    shutil.rmtree(house.server.audit_file.parent)
    house.lab.phone("2001").press("6")
    house.server.wait_for("refused", reason="audit_unavailable")
    house.lab.phone("2001").wait_until_idle()
    house.hears({"3001": {"1001"}, "1001": {"3001"}})
    house.server.audit_file.parent.mkdir()
    (ended,) = house.server.wait_for_audit("spy_ended")
    assert ended["why"] == "mode_key"
