"""The own prompts on a call: a supervisor is told things from the pack, in their language, and can hear them."""

from __future__ import annotations

import copy
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrib.lab.checkout import CHECKOUT
from contrib.lab.engine import ensure_programs
from contrib.lab.prompt_pack import PROGRAMS, SOUNDS, VOICES, build, copying
from contrib.lab.server import PINS, SITE
from contrib.lab.waiting import wait_until
from tests.scenarios.house import House, moment

pytestmark = pytest.mark.either_version
"""Which words are played is ours; that Asterisk reads such files is seen on both (tests/lab)."""

PACK = Path("/tmp/pack")
NAMES = frozenset({"ask-pin", "ask-pin-again", "agent", "no-call", *(f"digit-{digit}" for digit in "01")})
"""What is said until an agent has no call."""
LOUD = 1000
SECONDS = 30.0


@pytest.fixture
def speaking(house: House, tmp_path: Path) -> Iterator[House]:
    """The pack stands among the sounds of the PBX, and Carla speaks German."""
    ensure_programs(PROGRAMS, CHECKOUT / ".cache" / "lab", lambda line: None)
    build(tmp_path / "sounds", NAMES)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(tmp_path / "sounds", PACK.name)
    house.lab.pbx.container.get_wrapped_container().put_archive(str(PACK.parent), packed.getvalue())
    copied = house.lab.pbx.container.exec(["sh", "-ec", copying(PACK)])
    assert copied.exit_code == 0, copied.output
    supervisors = copy.deepcopy(SITE["supervisors"])
    supervisors["carla"]["language"] = "de"
    house.reconfigure(prompt_pack=True, supervisors=supervisors)
    yield house
    for language in VOICES:
        house.lab.pbx.container.exec(["rm", "-rf", f"{SOUNDS}/{language}/agi-monitor"])


@pytest.mark.parametrize(("supervisor", "language"), [("2001", "en"), ("2003", "de")])
def test_what_is_said_is_played_from_the_pack(speaking: House, supervisor: str, language: str) -> None:
    """The whole way from the PIN to a refusal with the digits of the agent; nothing is said in another voice."""
    house = speaking
    house.dial("*2221001", supervisor)
    assert is_loud(house, supervisor, moment(house.server.events("pin_prompted")[-1]))
    for pin, event in (("1357924", "pin_refused"), (PINS[supervisor], "supervisor_identified")):
        mark = house.server.mark()
        house.lab.phone(supervisor).press(pin + "#")
        house.server.wait_for(event, mark)
    house.wait_for_refusal("no_call")
    house.lab.phone(supervisor).wait_until_idle()
    sent = [line["line"] for line in house.server.events("agi_sent")]
    files = [line.split('"')[1] for line in sent if line.startswith(("GET DATA", "STREAM FILE"))]
    digits = [f"agi-monitor/digit-{digit}" for digit in "1001"]
    said = ["ask-pin", "ask-pin-again", "agent", *digits, "no-call"]
    assert files[: len(said)] == [one if "/" in one else f"agi-monitor/{one}" for one in said]
    assert not [line for line in house.server.events("prompt_missing") if line["file"] in files[: len(said)]]
    assert any('"CHANNEL(language)" "de"' in line for line in sent) is (language == "de")


def is_loud(house: House, phone: str, since: float) -> bool:
    """Wait until a phone is sent speech."""
    return wait_until(
        lambda: any(
            max(map(abs, sound), default=0) > LOUD
            for sound in house.lab.capture.sound_at(since, SECONDS).get(phone, [])
        ),
        SECONDS,
        f"{phone} to be sent speech",
    )
