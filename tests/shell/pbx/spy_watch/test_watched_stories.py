"""A supervisor's story with the real watch, and what the server gives to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from structlog.typing import EventDict

from agi_monitor.pbx.revoking import KEY_SECONDS
from agi_monitor.supervision.protected import Protected
from agi_monitor.supervision.spies import SpyKind
from tests.doubles.desk import Desk
from tests.shell.managed import GRANT, Site
from tests.shell.pbx.spy_watch.watching import DOCTOR, kept, kinds


def test_a_grant_that_is_too_long_to_be_signed_is_logged(site: Site, logs: list[EventDict]) -> None:
    """There is no proof of it, and so no spy."""
    assert site.watch.opened(replace(GRANT, rule="x" * 1_000)) == ""
    assert [line["grant"] for line in logs if line["event"] == "grant_not_signed"] == ["c-1.1"]


def told_by(site: Site, folder: Path) -> Desk:
    """A supervisor's story at the same PBX, with the real watch."""
    desk = Desk(folder)
    desk.connect()
    desk.watch = site.watch  # type: ignore[assignment]  # the real one in the place of the note-book
    site.policy = desk.policy
    site.fake.channels.clear()
    for channel in desk.pbx.channels:
        site.fake.add_channel(channel.name, channel.uniqueid, "b-1" if channel.bridge_peer else "")
    site.connect()
    return desk


@pytest.mark.parametrize("why", ["mode_denied", "protected"])
def test_a_story_whose_grant_is_revoked_before_it_begins_executes_nothing(tmp_path: Path, why: str) -> None:
    """The right goes, or the call becomes a protected one, while the record is written."""
    site = Site(connect=False)
    desk = told_by(site, tmp_path)
    desk.change(protected=Protected(frozenset({"PJSIP/9000"})))
    site.policy = desk.policy

    def meanwhile() -> None:
        if why == "protected":
            site.fake.add_channel(DOCTOR, "1700000000.13", "b-1")
        else:
            site.change(rules=())

    desk.audit.afterwards["spy_started"] = meanwhile
    desk.run()
    assert desk.pbx.executed == []
    assert desk.recorded("fact", "why", "reason", "detail")[:3] == [
        ("spy_started", None, "", None),
        ("spy_ended", "revoked", None, None),
        ("refused", None, "revoked", why),
    ]
    assert [record["why"] for record in site.records("spy_revoked")] == [why]
    site.fake.advance(KEY_SECONDS)
    assert "Hangup" not in site.fake.names
    assert (kinds(site), kept(site)) == ([], [])


def test_a_story_that_loses_its_connection_leaves_its_spy_to_the_watch(tmp_path: Path) -> None:
    """It is adopted and listed; a reload revokes it; its end is on record once, and not in the story."""
    site = Site(connect=False)
    desk = told_by(site, tmp_path)

    def cut() -> int | None:
        desk.pbx.lose_connection()
        return None

    desk.when_quiet = cut
    desk.run()
    supervisor = desk.pbx.channel
    assert [(spy.spyer, spy.kind, spy.id) for spy in site.watch.grants.spies()] == [
        (supervisor.name, SpyKind.ADOPTED, "fake-1.1")
    ]
    site.change(rules=())
    site.fake.advance(KEY_SECONDS)
    assert site.fake.asked("Hangup") == [{"Channel": supervisor.uniqueid}]
    assert site.facts == ["spy_adopted", "spy_revoked", "spy_ended"]
    assert [(record["why"], record["call"]) for record in site.records("spy_ended")] == [("revoked", "fake-1")]
    assert desk.recorded("fact") == [("spy_started",)]
    assert (kinds(site), kept(site)) == ([], [])
