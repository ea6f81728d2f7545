"""The sites whose dialplan is kept as a golden file: each stands for one way in which files differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agi_monitor.dialplan.site import ManagerAccount, PermissionGroup, Phones, Pjsip, Site
from agi_monitor.model import Agent, Flavour, Mode

HERE = Path(__file__).parent
EVERY_MODE = frozenset(Mode)


@dataclass(frozen=True, slots=True)
class GoldenSite:
    """A site and the folder of its own templates, if it has one."""

    site: Site
    templates: Path | None = None


def agent(extension: str, name: str = "") -> Agent:
    """An agent of whom only extension and name matter here."""
    return Agent(extension=extension, groups=frozenset(), name=name)


ANNA = agent("1001", "Anna Kowalska")
ZOE = agent("1002", "Zoë Müller")
LEADS = PermissionGroup("leads", EVERY_MODE, ("Berta Çelik",), ("2001", "berta-mobile"))
QUALITY = PermissionGroup("quality", frozenset({Mode.LISTEN}), ("Berta Çelik", "Eve"), ("2001", "2002"))

SITES: Mapping[str, GoldenSite] = {
    "one-group": GoldenSite(Site(agents=(ANNA, ZOE), groups=(LEADS,))),
    "three-groups": GoldenSite(
        Site(
            agents=(ANNA, agent("701", "李小龍"), ZOE, agent("702")),
            groups=(
                LEADS,
                PermissionGroup("coaches", frozenset({Mode.LISTEN, Mode.WHISPER}), ("علی‌رضا", "Dana")),
                PermissionGroup("quality_2", frozenset({Mode.LISTEN}), ("Eve; night shift",)),
                PermissionGroup("suspended", frozenset()),
            ),
        )
    ),
    "ipv6-and-secret": GoldenSite(
        Site(
            agents=(ANNA,),
            groups=(LEADS,),
            fastagi_host="2001:db8::5",
            fastagi_port=4574,
            secret="s3cret_of-this_PBX",
            manager=ManagerAccount("agi-monitor", "not-a-secret#of=[this]PBX", ("2001:db8::5",)),
        )
    ),
    "own-template": GoldenSite(Site(agents=(ANNA,), groups=(LEADS,)), templates=HERE / "own-template"),
    "other-codes": GoldenSite(
        Site(
            agents=(ANNA,),
            groups=(LEADS,),
            codes={Mode.LISTEN: "#9*", Mode.BARGE: "00"},
            context="floor2",
        )
    ),
    "freepbx": GoldenSite(
        Site(
            agents=(ANNA,),
            groups=(LEADS, QUALITY),
            flavour=Flavour.FREEPBX,
            phones=Phones("from-internal"),
            test_calls=False,
        )
    ),
    "realtime": GoldenSite(
        Site(
            agents=(ANNA,),
            groups=(LEADS, QUALITY),
            flavour=Flavour.REALTIME,
            phones=Phones("phones", "extensions"),
            pjsip=Pjsip(),
            test_calls=False,
        )
    ),
    "encrypted": GoldenSite(
        Site(
            agents=(ANNA,),
            groups=(LEADS, QUALITY),
            phones=Phones("phones"),
            pjsip=Pjsip("::", 5061, "/etc/asterisk/keys/pbx.pem", "/etc/asterisk/keys/pbx.key", srtp=True),
            agent_groups=("sales", "support"),
            test_calls=False,
        )
    ),
}
