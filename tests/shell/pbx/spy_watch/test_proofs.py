"""What the grant on a channel proves, and spies of other servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agi_monitor.model import RogueSpies
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import VARIABLE, Signer
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import GRANT, ROGUE, SIGNER, SPYEE, SPYER, Site
from tests.shell.pbx.spy_watch.watching import BEFORE, OTHER, STRANGER, kinds, newer, resync, tell


@pytest.mark.parametrize(
    ("signer", "why"),
    [(STRANGER, "nobody granted it"), (SIGNER, "its grant is over")],
    ids=["another-key", "a-grant-that-is-over"],
)
def test_a_proof_that_proves_nothing(site: Site, signer: Signer, why: str) -> None:
    """A signature by another key is not valid; one of this very run is of a grant that this run has closed."""
    site.fake.variables[SPYER, VARIABLE] = signer.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["why"] for record in site.records("rogue_spy")] == [why]


@pytest.mark.parametrize("signer", [BEFORE, OTHER], ids=["earlier-run", "another-server"])
@pytest.mark.parametrize(
    "grant",
    [replace(GRANT, spyer_uniqueid="1.1"), replace(GRANT, spyee_uniqueid="1.2")],
    ids=["another-spyer", "another-spyee"],
)
def test_a_proof_for_another_call_proves_nothing(site: Site, signer: Signer, grant: Grant) -> None:
    """Anyone who copies a proof to another channel, or keeps one for the next call, is rogue."""
    if grant.spyer_uniqueid == "1.1":
        site.fake.add_channel(SPYER.replace("3", "9"), "1.1", Context="agi-monitor-call")
        grant = replace(grant, spyer=SPYER.replace("3", "9"))
    site.fake.variables[SPYER, VARIABLE] = signer.sign(grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["why"] for record in site.records("rogue_spy")] == ["the grant on its channel is for another call"]


def test_a_spy_of_another_server_is_its_own_business(site: Site) -> None:
    """It is listed and neither recorded, revoked nor adopted."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    site.change(rules=())
    assert site.facts == []
    assert "PlayDTMF" not in site.fake.names


def test_a_spy_of_another_server_is_forgotten_when_its_proof_is_gone(site: Site) -> None:
    """Its end may have been missed, and the list still names the application."""
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    site.fake.variables[SPYER, VARIABLE] = ""
    resync(site)
    assert (kinds(site), site.facts) == ([], [])


@pytest.mark.parametrize("rogue", RogueSpies)
def test_a_short_spy_of_another_server_is_no_alarm(site: Site, rogue: RogueSpies) -> None:
    """Its end was told, and its proof is cleared, before the PBX answers for it: a supervisor is at a prompt."""
    site.change(rogue=rogue)
    site.fake.held.add("Getvar")
    site.fake.variables[SPYER, VARIABLE] = OTHER.sign(GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(0.3)
    site.fake.stop_spying(SPYER, SPYEE)
    site.fake.variables[SPYER, VARIABLE] = ""
    site.fake.answer_held()
    for _ in range(30):
        site.fake.advance(0.1)
    assert (kinds(site), site.records("rogue_spy"), site.fake.asked("Hangup")) == ([], [], [])


@pytest.mark.parametrize("how", ["told", "listed"])
def test_a_spy_of_a_server_of_another_version_is_its_own_business(site: Site, how: str) -> None:
    """Its grants have other fields; the key is right, and both channels are named."""
    site.change(rogue=RogueSpies.HANG_UP)
    if how == "listed":
        site.fake.lose_connection()
    site.fake.variables[SPYER, VARIABLE] = newer(OTHER, GRANT)
    site.fake.start_spying(SPYER, SPYEE)
    site.fake.advance(5.0)
    resync(site)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    tell(site)
    site.fake.advance(1.0)
    assert kinds(site) == [(SPYER, SpyKind.OTHERS)]
    assert (site.records("rogue_spy"), site.fake.asked("Hangup")) == ([], [])


@pytest.mark.parametrize("grant", [replace(GRANT, spyer_uniqueid="1.1"), replace(GRANT, spyee_uniqueid="1.2")])
def test_a_proof_of_another_version_for_another_call_proves_nothing(site: Site, grant: Grant) -> None:
    """Copied to another channel, or kept for the next call."""
    site.fake.variables[SPYER, VARIABLE] = newer(OTHER, grant)
    site.fake.start_spying(SPYER, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [SPYER]


def test_a_proof_with_a_line_break_proves_nothing(site: Site) -> None:
    """Anyone who spies may have set it: that is an alarm, and no question without an answer."""
    site.fake.variables[ROGUE, VARIABLE] = "x\r\ny: z"
    site.fake.start_spying(ROGUE, SPYEE)
    assert [record["spyer"] for record in site.records("rogue_spy")] == [ROGUE]
