"""Stories and events in any order, compared with a plain account of who has which right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.grants import LATE_SECONDS, UNTOLD_SECONDS, Grants
from agi_monitor.supervision.spies import Spy, SpyKind
from tests.unit.supervision.granted import GRANT, NOW, event, item

SPYERS = ("1.1", "1.2", "1.3")

SPYEES = ("1.10", "1.11")

spyers, spyees = st.sampled_from(SPYERS), st.sampled_from(SPYEES)


class AnyOrder(RuleBasedStateMachine):
    """Stories and events in any order, compared with a plain account of who has which right."""

    def __init__(self) -> None:
        super().__init__()
        self.grants = Grants()
        self.now = NOW
        self.open: dict[str, Grant] = {}
        self.seen: set[str] = set()
        self.closed: list[tuple[float, str, str]] = []
        self.heard: dict[str, Spy] = {}
        self.number = 0

    def late(self, spyer: str, spyee: str) -> list[tuple[float, str, str]]:
        """The grants that were over a moment ago, and had no start."""
        return [one for one in self.closed if one[1:] == (spyer, spyee) and one[0] >= self.now - LATE_SECONDS]

    def granted(self, spyer: str, spyee: str) -> bool:
        """Whether a grant explains it, or did a moment ago."""
        grant = self.open.get(spyer)
        return (grant is not None and grant.spyee_uniqueid == spyee) or bool(self.late(spyer, spyee))

    @rule(spyer=spyers, spyee=spyees)
    def opens(self, spyer: str, spyee: str) -> None:
        """A story has at most one grant at a time."""
        if spyer not in self.open:
            self.number += 1
            grant = replace(GRANT, number=self.number, spyer_uniqueid=spyer, spyee_uniqueid=spyee, began=self.now)
            self.open[spyer] = grant
            self.grants.opened(grant, self.now)

    @rule(spyer=spyers)
    def closes(self, spyer: str) -> None:
        """A story closes its grant."""
        grant = self.open.pop(spyer, None)
        if grant is not None:
            if grant.id not in self.seen:
                self.closed.append((self.now, spyer, grant.spyee_uniqueid))
            self.grants.closed(grant, self.now)

    @rule(spyer=spyers, spyee=spyees)
    def starts(self, spyer: str, spyee: str) -> None:
        """A start without a right is told exactly once, one with a right never."""
        known = self.heard.get(spyer)
        told_already = known is not None and known.spyee_uniqueid in ("", spyee)
        late = self.late(spyer, spyee)
        spy = self.grants.started(event(spyer, spyee), self.now)
        assert (spy is None) is (self.granted(spyer, spyee) or told_already)
        if late:
            self.closed.remove(late[0])
        elif spyer in self.open and self.open[spyer].spyee_uniqueid == spyee:
            self.seen.add(self.open[spyer].id)
        if spy is not None:
            assert spy.kind is (SpyKind.ROGUE if spyer in self.open else SpyKind.UNPROVEN)
            self.heard[spyer] = spy

    @rule(spyer=spyers, kind=st.sampled_from([SpyKind.ROGUE, SpyKind.OTHERS, SpyKind.ADOPTED]))
    def is_proved(self, spyer: str, kind: SpyKind) -> None:
        """A channel has answered."""
        spy = self.heard.get(spyer)
        if spy is not None and spy.kind is SpyKind.UNPROVEN:
            proved = self.grants.proved(spy, kind, None)
            assert proved == replace(spy, kind=kind)
            self.heard[spyer] = proved

    @rule(spyer=spyers, spyee=spyees)
    def stops(self, spyer: str, spyee: str) -> None:
        """The end of what was told is told."""
        known = self.heard.get(spyer)
        expected = known if known is not None and known.spyee_uniqueid in ("", spyee) else None
        assert self.grants.stopped(event(spyer, spyee)) == expected
        if expected is not None:
            del self.heard[spyer]

    @rule(uniqueid=st.sampled_from([*SPYERS, *SPYEES]))
    def hangs_up(self, uniqueid: str) -> None:
        """Anyone who hangs up neither hears nor is heard."""
        ended = {spyer: spy for spyer, spy in self.heard.items() if uniqueid in (spyer, spy.spyee_uniqueid)}
        assert set(self.grants.gone(uniqueid)) == set(ended.values())
        for spyer in ended:
            del self.heard[spyer]

    @rule(spying=st.dictionaries(spyers, st.sampled_from([*SPYEES, ""])), ago=st.sampled_from([0.0, 1.0, 5.0]))
    def is_listed(self, spying: Mapping[str, str], ago: float) -> None:
        """A list adds who was missed, and ends whom it does not show."""
        asked_at = self.now - ago
        channels = [item(spyer, "ChanSpy", spying[spyer]) if spyer in spying else item(spyer) for spyer in SPYERS]
        listed = self.grants.listed([*channels, *map(item, SPYEES)], asked_at, self.now)
        ended = {spyer for spyer, spy in self.heard.items() if spyer not in spying and spy.since < asked_at}
        assert {spy.spyer_uniqueid for spy in listed.ended} == ended
        for spyer in ended:
            del self.heard[spyer]
        missed = {spyer for spyer in spying if spyer not in self.heard and spyer not in self.open}
        before = asked_at - UNTOLD_SECONDS
        self.closed = [one for one in self.closed if one[0] >= before]
        self.seen.update(grant.id for grant in self.open.values() if grant.began < before)
        assert {spy.spyer_uniqueid for spy in listed.found} == missed
        self.heard.update({spy.spyer_uniqueid: spy for spy in listed.found})

    @rule(seconds=st.sampled_from([0.1, 4.0, LATE_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        """A grant that is over explains less and less."""
        self.now += seconds

    @invariant()
    def knows_who_hears(self) -> None:
        """What is shown is what was told."""
        assert set(self.grants.granted()) == set(self.open.values())
        shown: dict[Any, Any] = {spy.id: spy.kind for spy in self.grants.spies()}
        told = {spy.id: spy.kind for spy in self.heard.values()}
        assert shown == {**{grant.id: SpyKind.GRANTED for grant in self.open.values()}, **told}

    def teardown(self) -> None:
        """When everybody has hung up and every story is over, nothing is kept."""
        for spyer in SPYERS:
            self.closes(spyer)
        for uniqueid in (*SPYERS, *SPYEES):
            self.hangs_up(uniqueid)
        self.now += LATE_SECONDS + 1.0
        self.grants.listed([], self.now, self.now)
        assert self.grants.started(event("1.99", "1.10"), self.now) is not None
        self.grants.gone("1.99")
        kept = {**vars(self.grants), **vars(self.grants._listeners)}
        del kept["_listeners"]
        assert [name for name, what in kept.items() if what] == []


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

TestAnyOrder: Any = AnyOrder.TestCase
