"""Whose call it is on a PBX of several companies, with hints by patterns, and with a name that has a space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contrib.lab.pbx import Lab
from contrib.lab.server import MonitorServer
from tests.scenarios.house import House, heard_in

MEMBER = "Local/1001@beta/n"
CONTEXTS = """\
[acme]
exten => 1001,1,Dial(PJSIP/1001,60)
[beta]
exten => 1001,1,Dial(PJSIP/1002,60)
[acme-hints]
exten => 1001,hint,PJSIP/1001
[patterns]
exten => _100[2-9],hint,PJSIP/${EXTEN}
"""
EVERYTHING = [{"name": "all", "allow": ["listen", "whisper", "barge"], "supervisors": ["all"], "agents": ["all"]}]
TWO_COMPANIES: dict[str, Any] = {
    "tenants": {
        "acme": {"contexts": ["acme", "agents"], "hint_context": "acme-hints"},
        "beta": {"contexts": ["beta"], "hint_context": "beta-hints"},
    },
    "supervisors": {
        "anna": {"endpoints": ["PJSIP/2001"], "groups": ["leads"], "tenant": "acme"},
        "bob": {"endpoints": ["PJSIP/2002"], "groups": ["listeners"], "tenant": "beta"},
    },
    "agents": {"1001": {"tenant": "acme"}, "beta-1001": {"extension": "1001", "tenant": "beta"}},
    "rules": EVERYTHING,
}


@pytest.fixture
def companies(house: House) -> Iterator[House]:
    """The contexts of two companies, and a queue of beta's whose agent 1001 sits at the phone 1002."""
    pbx = house.lab.pbx
    pbx.write_dialplan("lab-tenants", CONTEXTS)
    pbx.cli(f"queue add member {MEMBER} to 502 penalty 0 as Beta state_interface PJSIP/1002")
    yield house
    pbx.cli(f"queue remove member {MEMBER} from 502")
    pbx.hangup_all()
    pbx.remove_dialplan("lab-tenants")


def test_nobody_hears_the_other_company(companies: House) -> None:
    """The same digits mean another agent: acme's supervisor hears nothing of beta's call, beta's does."""
    companies.restart(**TWO_COMPANIES)
    companies.lab.connect("3001", "502", "1002")
    assert companies.refused("*2221001", "no_call")["extension"] == "1001"
    companies.spy("listen", "1001", "2002")
    companies.hears(heard_in("listen", agent="1002", supervisor="2002"))
    (record,) = companies.server.audit("spy_started")
    assert (record["extension"], record["because"]) == ("beta-1001", "queue login, only call")
    companies.lab.pbx.hangup_all()

    companies.lab.connect("3001", "1001", "1001")
    companies.spy("listen", "1001", "2001")
    companies.hears(heard_in("listen"))
    assert companies.server.audit("spy_started")[-1]["extension"] == "1001"


@pytest.mark.parametrize("ami", ["live", "agi"])
def test_the_hint_of_a_pattern(companies: House, ami: str) -> None:
    """The state of 1002 was not asked for before; the phone is found all the same."""
    changes: dict[str, Any] = {
        "dialplan": {"hint_context": "patterns"},
        "agents": {"1002": {}},
        "rules": EVERYTHING,
        **({} if ami == "live" else {"ami": None}),
    }
    companies.restart(**changes)
    companies.lab.connect("3001", "1002")
    companies.spy("listen", "1002")
    companies.hears(heard_in("listen", agent="1002"))
    (record,) = companies.server.audit("spy_started")
    assert (record["spyee"].rpartition("-")[0], record["source"]) == ("PJSIP/1002", "agi")


@pytest.fixture(params=["Call Center 1", "Zürich"])
def named(request: pytest.FixtureRequest, asterisk_version: str, tmp_path: Path) -> Iterator[House]:
    """A PBX that people have given a name of their own."""
    conf = f"[options]\nverbose = 3\nnocolor = yes\nsystemname = {request.param}\n"
    with Lab(asterisk_version, ("2001", "1001", "3001"), site={"asterisk.conf": conf}) as lab:
        server = MonitorServer(lab, tmp_path)
        server.render()
        with server:
            yield House(lab, server)


def test_a_pbx_of_any_name(named: House, request: pytest.FixtureRequest) -> None:
    """Every mode, with the identifiers that the PBX makes of its name."""
    named.lab.connect("3001", "1001", "1001")
    named.spy("listen")
    named.hears(heard_in("listen"))
    for mode in ("whisper", "barge"):
        named.change_mode(mode)
        named.hears(heard_in(mode))
    name = request.node.callspec.params["named"]
    assert all(one["spyee_uniqueid"].startswith(f"{name}-") for one in named.server.audit("spy_started"))
    assert {one["source"] for one in named.server.audit("spy_started")} == {"index"}
    (spy,) = named.wait_for_spies(1)
    named.kill(spy["id"])
    named.server.wait_for("spy_revoked")
    named.hears({"3001": {"1001"}, "1001": {"3001"}})
    named.assert_no_alarm()
