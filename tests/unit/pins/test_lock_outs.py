"""The counting of wrong PINs, as pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_monitor.model import Locked
from agi_monitor.names import peer_name
from agi_monitor.pins.lock_outs import MAX_KEY, Limit, Limits, LockOut, counted, key, kind_of, locked

NOW = 1_700_000_000.0
LIMITS = Limits(Limit(3, 60.0, 1000.0), Limit(5, 60.0, 1000.0), Limit(9, 10.0, 100.0))

CALLERS = st.sampled_from(["anna", "anna", None])
PHONES = st.sampled_from(["PJSIP/2001", "PJSIP/2002"])
PEERS = st.sampled_from(["192.0.2.1", "192.0.2.2"])
SECONDS = st.sampled_from([0.0, 9.9, 10.0, 60.0, 60.0, 100.0, 125.0, 500.0, 1000.0])
RIGHT = st.sampled_from([False] * 9 + [True])
TRIES = st.lists(st.tuples(CALLERS, PHONES, PEERS, SECONDS, RIGHT), min_size=5, max_size=60)


@given(tries=TRIES)
def test_nobody_gets_a_look_before_its_time(tries: list[tuple[str | None, str, str, float, bool]]) -> None:
    """Whatever the order of supervisors, phones, PBXs, pauses and right PINs: behind the last free look under a name
    every further one comes after the whole lock-out, each twice as long as the one before."""
    rows: dict[str, LockOut] = {}
    looks: dict[str, list[float]] = {}
    limits: dict[str, Limit] = {}
    now = NOW
    for supervisor, endpoint, peer, seconds, right in tries:
        now += seconds
        names = LIMITS.of(supervisor, endpoint, peer)
        before = {who: rows[who] for who in names if who in rows}
        after = counted(before, names, now)
        if locked(before, now):
            assert after == before
            continue
        rows.update(after)
        for who, limit in names.items():
            looks.setdefault(who, []).append(now)
            # An unassigned phone has another limit than a supervisor's: only the wider one holds for every look.
            limits[who] = max(limit, limits.get(who, limit), key=lambda one: one.after)
        if right and supervisor is not None:
            for who in names:
                del rows[who]
                looks.pop(who)
                limits.pop(who)
    for who, times in looks.items():
        if len(times) == rows[who].failures:
            for number, (one, following) in enumerate(pairwise(times), start=1):
                over = number - limits[who].after
                assert over < 0 or following - one >= min(limits[who].seconds * 2**over, limits[who].longest)


@given(tries=TRIES)
def test_more_calls_or_servers_never_help(tries: list[tuple[str | None, str, str, float, bool]]) -> None:
    """However the tries at one supervisor are spread over phones and PBXs, no more are looked at than from one
    phone over one PBX that may be wrong as often as they like."""
    spread, single = _looks(tries, spread=True), _looks(tries, spread=False)
    assert spread <= single


def _looks(tries: list[tuple[str | None, str, str, float, bool]], spread: bool) -> int:
    endless = Limit(10_000, 1.0, 1.0)
    limits = LIMITS if spread else Limits(LIMITS.supervisor, endless, endless)
    rows: Mapping[str, LockOut] = {}
    looks, now = 0, NOW
    for _, endpoint, peer, seconds, _ in tries:
        now += seconds
        names = limits.of("anna", endpoint if spread else "PJSIP/2001", peer if spread else "192.0.2.1")
        before = {who: rows[who] for who in names if who in rows}
        looks += not locked(before, now)
        rows = {**rows, **counted(before, names, now)}
    return looks


@given(failures=st.integers(0, 10**6))
def test_no_number_of_failures_is_too_many(failures: int) -> None:
    """The lock is a number between the first and the longest, however many came before."""
    lock = LockOut(failures, NOW, 0.0).failed(NOW, LIMITS.supervisor)
    assert lock.failures == failures + 1
    assert lock.until == 0.0 if failures < 2 else NOW + 60.0 <= lock.until <= NOW + 1000.0


@given(name=st.text() | st.text(st.characters(categories=["Cs", "Cc"])))
def test_any_name_makes_a_key_that_every_database_takes(name: str) -> None:
    """Visible ASCII, not longer than the column, and still of its kind; a phone's name is what a client says."""
    for kind in Locked:
        made = key(kind, name)
        assert made.isascii()
        assert made.isprintable()
        assert len(made) <= MAX_KEY
        assert kind_of(made) is kind


@pytest.mark.parametrize("name", ["PJSIP/2001", "anna", "192.0.2.1", "2001:db8::1", "PJSIP/a_b.c+d@192.0.2.1-x"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    """An administrator finds it in the table."""
    assert key(Locked.ENDPOINT, name) == f"endpoint:{name}"


@pytest.mark.parametrize(
    ("addresses", "name"),
    [
        (("127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "::ffff:127.0.0.9", "::ffff:7f00:1"), "127.0.0.1"),
        (("192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207"), "192.0.2.7"),
        (("2001:db8:1:2::1", "2001:0DB8:1:2:ffff::9", "2001:db8:1:2::/64"), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", "fe80::2%2", "fe80::3"), "fe80::/64"),
        (("", "a pipe", "192.0.2.7:4573"), None),
    ],
)
def test_a_pbx_has_one_name(addresses: tuple[str, ...], name: str | None) -> None:
    """Anyone who can take many addresses gets no more tries for it; what is not an address stays as it is."""
    for address in addresses:
        expected = address if name is None else name
        assert peer_name(address) == expected
        assert key(Locked.PEER, expected) in LIMITS.of("anna", "PJSIP/2001", address)


def test_another_network_is_another_pbx() -> None:
    """Neighbours in IPv4 are other machines, as are other networks in IPv6, and every PBX of a network of peers."""
    names = ["192.0.2.7", "192.0.2.8", "2001:db8:1:2::1", "2001:db8:1:3::1", "127.0.0.1"]
    assert len({peer_name(name) for name in names}) == len(names)
