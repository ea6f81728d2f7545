"""The AMI client over TLS on a real PBX: whom it trusts, and what it says when it does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from contrib.lab.certificates import Authority
from contrib.lab.endpoints import MANAGER_PORT
from contrib.lab.pbx import MANAGER_NAME, MANAGER_TLS_PORT, Lab
from tests.scenarios.ami_monitor import Monitor


@pytest.fixture
def presenting(lab: Lab) -> Iterator[Lab]:
    """The laboratory, whose PBX shows its right certificate again afterwards."""
    yield lab
    lab.present()


def refusal(lab: Lab, tls: Mapping[str, str], port: int = MANAGER_TLS_PORT) -> str:
    """Why the client does not come up; it sends nothing of the login and keeps trying."""
    mark = lab.pbx.log_mark()
    with Monitor(lab, port=port, tls=tls, retry_seconds=0.1, login_seconds=3) as monitor:
        down = monitor.wait_for(told="state", state="Down")
        monitor.wait_for(monitor.mark(), told="state", state="Connecting")
        assert monitor.told(told="up") == []
    assert "failed to authenticate" not in lab.pbx.log_since(mark)
    return str(down["reason"])


def test_the_right_certificate_is_accepted(lab: Lab) -> None:
    """By address and by name: login, list and events go over TLS as they do without."""
    for name in (lab.pbx.address, MANAGER_NAME):
        with Monitor(lab, tls={"ca_file": str(lab.ca_file), "name": name}) as monitor:
            monitor.wait_for(told="up")
            lab.connect("3001", "1001")
            assert len(monitor.asks("CoreShowChannels", as_list=True)["items"]) == 2
            lab.pbx.hangup_all()
            monitor.wait_for(told="event", name="Hangup")


@pytest.mark.either_version
def test_an_unknown_authority_is_refused(lab: Lab, tmp_path: Path) -> None:
    """A certificate that is right but for who signed it."""
    ca_file = tmp_path / "other.pem"
    ca_file.write_text(Authority("somebody else").pem)
    reason = refusal(lab, {"ca_file": str(ca_file)})
    assert reason == "the connection was lost (the certificate of the PBX is not signed by a trusted authority)"


@pytest.mark.parametrize("name", ["other.example", "192.0.2.1"])
@pytest.mark.either_version
def test_another_host_is_refused(lab: Lab, name: str) -> None:
    """A certificate for another name or address than the one that was meant."""
    reason = refusal(lab, {"ca_file": str(lab.ca_file), "name": name})
    assert reason == f"the connection was lost (the certificate of the PBX is not for {name})"


@pytest.mark.either_version
def test_an_expired_certificate_is_refused_until_it_is_replaced(presenting: Lab) -> None:
    """The client says so, and is there by itself when the certificate is."""
    lab = presenting
    lab.present(lab.authority.issue(lab.pbx.address, expired=True))
    with Monitor(lab, tls={"ca_file": str(lab.ca_file)}, retry_seconds=0.1) as monitor:
        reason = monitor.wait_for(told="state", state="Down")["reason"]
        assert reason.startswith("the connection was lost (the certificate of the PBX has expired at 20")
        lab.present()
        monitor.wait_for(told="up")


@pytest.mark.either_version
def test_a_certificate_that_names_no_host_is_refused(presenting: Lab) -> None:
    """As Asterisk's own script makes them: a common name alone does not count."""
    lab = presenting
    lab.present(lab.authority.issue(common_name=lab.pbx.address))
    reason = refusal(lab, {"ca_file": str(lab.ca_file)})
    assert reason == "the connection was lost (the certificate of the PBX names no host (subjectAltName))"


@pytest.mark.either_version
def test_the_plain_port_with_tls_and_the_other_way_round(lab: Lab) -> None:
    """Each mistake is told apart."""
    tls = {"ca_file": str(lab.ca_file)}
    assert "TLS failed" in refusal(lab, tls, MANAGER_PORT)
    with Monitor(lab, port=MANAGER_TLS_PORT, login_seconds=1) as monitor:
        reason = monitor.wait_for(told="state", state="Down")["reason"]
        assert reason == "no greeting came: a port that wants TLS is silent"
