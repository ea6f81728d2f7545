"""The manager client for programs, under asyncio, on a real PBX of each version."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agi_monitor import (
    Account,
    Disconnected,
    LoginRefused,
    ManagerClient,
    Outcome,
    Verification,
)
from contrib.lab.certificates import Authority
from contrib.lab.pbx import MANAGER_NAME, Lab

PHONE, OTHER = "2001", "1001"
SECRET = "for-programs-of-users"
ACCOUNT = f"[program]\nsecret = {SECRET}\nread = call,system\nwrite = call,originate,reporting\n"
SECONDS = 20.0


async def refused(lab: Lab, tmp_path: Path) -> None:
    """What keeps a client from coming up is said, and is an error of its own."""
    tls = Verification(lab.ca_file)
    with pytest.raises(LoginRefused, match="Asterisk answered Authentication failed"):
        await ManagerClient(lab.pbx.address, Account("program", "not-the-secret-at-all"), tls=tls).start()
    (tmp_path / "other.pem").write_text(Authority("somebody else").pem)
    strange = Verification(tmp_path / "other.pem")
    with pytest.raises(Disconnected, match="not signed by a trusted authority"):
        await ManagerClient(lab.pbx.address, Account("program", SECRET), tls=strange, start_seconds=1).start()


async def calls(lab: Lab) -> None:
    """Over TLS: each way that a call goes, told as Asterisk tells it, and the events beside it."""
    phone, other = lab.phone(PHONE), lab.phone(OTHER)
    tls = Verification(lab.ca_file, MANAGER_NAME)
    async with ManagerClient(lab.pbx.address, Account("program", SECRET), tls=tls) as manager:
        begins = manager.events("Newchannel", where=lambda event: PHONE in event.message.text("Channel"))
        ends = manager.events("Hangup", where=lambda event: PHONE in event.message.text("Channel"))
        calling = asyncio.create_task(
            manager.originate(
                f"PJSIP/{PHONE}", context="lab-tests", extension="7994", variables={"COLOUR": "red, blue"}
            )
        )
        await asyncio.to_thread(phone.answer)
        found = await calling
        begun = (await anext(begins)).message
        assert found.answered
        assert (found.channel, found.uniqueid) == (begun.text("Channel"), begun.text("Uniqueid"))
        colour = await manager.action("Getvar", Channel=found.channel, Variable="COLOUR")
        assert colour.text("Value") == "red, blue"
        listed = await manager.action_list("CoreShowChannels")
        assert [item.message.text("Uniqueid") for item in listed.items] == [found.uniqueid]
        await manager.action("Hangup", Channel=found.channel)
        assert (await anext(ends)).message.text("Uniqueid") == found.uniqueid

        calling = asyncio.create_task(manager.originate(f"PJSIP/{OTHER}", application="Echo"))
        await asyncio.to_thread(other.wait_for_incoming)
        await asyncio.to_thread(other.hang_up)
        # Asterisk tells no reason for a call that was declined.
        assert (await calling).outcome is Outcome.FAILED

        await asyncio.to_thread(phone.wait_until_idle)
        await asyncio.to_thread(other.wait_until_idle)


def test_a_program_on_asyncio(lab: Lab, tmp_path: Path) -> None:
    """It is refused with a reason, calls people, and reads events."""

    async def main() -> None:
        async with asyncio.timeout(SECONDS * 4):
            await refused(lab, tmp_path)
            await calls(lab)

    lab.pbx.write_dialplan("manager-client", "[lab-tests]\nexten => 7994,1,Answer()\n same => n,Wait(60)\n")
    lab.present()
    try:
        with lab.pbx.manager_accounts(ACCOUNT):
            asyncio.run(main())
    finally:
        lab.pbx.hangup_all()
        lab.pbx.remove_dialplan("manager-client")
