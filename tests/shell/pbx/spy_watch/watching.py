"""Spies, and what becomes of them: the words that the tests of agi_monitor.pbx.spy_watch share."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred

from agi_monitor.live.index import SETTLE_SECONDS
from agi_monitor.supervision.grant import Grant
from agi_monitor.supervision.proof import VARIABLE, Signer
from agi_monitor.supervision.spies import SpyKind
from tests.shell.managed import CUSTOMER, CUSTOMER_UNIQUEID, GRANT, SIGNER, SPYEE, SPYER, SPYER_UNIQUEID, Site

BEFORE = replace(SIGNER, run="run-1")
"""This server in an earlier run."""

OTHER = replace(SIGNER, server="there")
"""Another server of this PBX."""


def newer(signer: Signer, grant: Grant) -> str:
    """Sign a grant as a server of a later version would, whose grants have one field more."""
    body, _, _ = signer.sign(grant).partition(".")
    values = [*json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))), "more"]
    body = base64.urlsafe_b64encode(json.dumps(values).encode()).rstrip(b"=").decode()
    signature = base64.urlsafe_b64encode(hmac.new(signer.key, body.encode(), hashlib.sha256).digest())
    return f"{body}.{signature.rstrip(b'=').decode()}"


STRANGER = Signer("here", "run-1", b"x" * 32)
"""A signer without the key."""

ENDING = ["Setvar", "PlayDTMF"]
"""How a spy is ended: silence both ways, then the key."""

HELPER = "Local/notice@agi-monitor-notice-0000000a;1"
HOOK = "Local/hook@__func_periodic_hook_context__-0000000b;2"

DOCTOR = "PJSIP/9000-00000013"
"""A phone that a site may protect."""


def begin(story: Coroutine[Any, Any, Any]) -> list[Any]:
    """Begin a coroutine; its result, or its error, will be in the list."""
    results: list[Any] = []
    running = Deferred.fromCoroutine(story)
    running.addCallbacks(results.append, lambda failure: results.append(failure.value))
    return results


def kinds(site: Site) -> list[tuple[str, SpyKind]]:
    """Who hears a call, and by what right."""
    return [(spy.spyer, spy.kind) for spy in site.watch.grants.spies()]


def deeds(site: Site) -> list[str]:
    """What was done on the PBX, in order, without what was only asked."""
    return [name for name in site.fake.names if name not in ("Getvar", "CoreShowChannels")]


def stop(site: Site) -> None:
    """The spy ends without its story: the supervisor's channel continues in the dialplan, where it is hung up."""
    next(one for one in site.fake.channels if one["Channel"] == SPYER)["Application"] = "Hangup"
    site.fake.stop_spying(SPYER, SPYEE)


def resync(site: Site) -> None:
    """The next list comes: at once, as an event would have it only the first time."""
    site.pbx._sync_now()
    site.fake.advance(SETTLE_SECONDS)


def miss(site: Site, signer: Signer | None, grant: Grant = GRANT) -> None:
    """While there is no connection somebody begins to spy on the grant's channels, with this signature."""
    site.fake.lose_connection()
    site.fake.start_spying(grant.spyer, grant.spyee)
    if signer is not None:
        site.fake.variables[grant.spyer, VARIABLE] = signer.sign(grant)
    site.fake.advance(5.0)


def kept(site: Site) -> list[str]:
    """What a watch has not forgotten that belongs to single spies."""
    watch = site.watch
    entries = watch._watched.entries()
    found = {
        "revoked": any(watched.revoked is not None for watched in entries),
        "killed by": watch._rogues._killed_by,
        "telling": any(watched.telling is not None for watched in entries),
        "closing": any(watched.closing for watched in entries),
        "ending": watch._adopting._ending,
        "notices": watch._notices._notices,
        "proving": watch._proving._proving,
        "under way": watch._under_way,
    }
    return [name for name, one in found.items() if one]


def tell(site: Site) -> None:
    """A whole event says that the supervisor hears the customer, and no channel changes."""
    site.fake.event(
        "ChanSpyStart",
        SpyerChannel=SPYER,
        SpyerUniqueid=SPYER_UNIQUEID,
        SpyeeChannel=CUSTOMER,
        SpyeeUniqueid=CUSTOMER_UNIQUEID,
    )


def go_on(site: Site, name: str, heard: str) -> None:
    """ChanSpy without option E continues with another channel: when * is pressed, or the first one ends."""
    spyer = next(one for one in site.fake.channels if one["Channel"] == name)
    before = str(spyer["ApplicationData"]).partition(",")[0]
    of = {one["Uniqueid"]: one["Channel"] for one in site.fake.channels}
    told = {"SpyerChannel": name, "SpyerUniqueid": spyer["Uniqueid"]}
    site.fake.event("ChanSpyStop", **told, SpyeeChannel=of[before], SpyeeUniqueid=before)
    site.fake.start_spying(name, heard)


PHONE, PHONE_UNIQUEID = "PJSIP/100-00000031", "1700000000.31"


def take_the_place(site: Site, spyer: str) -> None:
    """A transfer puts a phone into the application of a spy: it has its own name, and the spy's channel ends."""
    before = next(one for one in site.fake.channels if one["Channel"] == spyer)
    if all(one["Channel"] != PHONE for one in site.fake.channels):
        site.fake.add_channel(PHONE, PHONE_UNIQUEID)
    phone = next(one for one in site.fake.channels if one["Channel"] == PHONE)
    phone.update({name: before[name] for name in ("Application", "ApplicationData", "Context")})
    if (spyer, VARIABLE) in site.fake.variables:
        site.fake.variables[PHONE, VARIABLE] = site.fake.variables[spyer, VARIABLE]
    site.fake.hang_up(spyer)
    site.fake.advance(0.1)
