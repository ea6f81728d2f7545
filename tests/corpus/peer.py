"""Asterisk's side of a script of the corpus, by rule: the same words get the same answer, however it is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

USAGE = "520-Invalid command syntax.  Proper usage follows:\nUsage: none\n520 End of proper usage."
DEAD = "511 Command Not Permitted on a dead channel or intercept routine"

ANSWERS = {
    "ANSWER": "200 result=0",
    "CHANNEL STATUS": "200 result=6",
    "CONTROL STREAM FILE": "200 result=0 endpos=8000",
    "DATABASE DEL": "200 result=1",
    "DATABASE DELTREE": "200 result=0",
    "DATABASE GET": "200 result=1 (41)",
    "DATABASE PUT": "200 result=1",
    "EXEC": "200 result=0",
    "GET DATA LEAVES": "200 result=-1",
    "GET DATA": "200 result=42",
    "GET FULL VARIABLE": "200 result=1 (full value)",
    "GET OPTION": "200 result=50 endpos=8000",
    "GET VARIABLE": "200 result=1 (a value)",
    "HANGUP": "200 result=1",
    "NOOP": "200 result=0",
    "RECORD FILE": "200 result=35 (dtmf) endpos=8000",
    "SAY": "200 result=0",
    "SEND TEXT": "200 result=0",
    "SET AUTOHANGUP": "200 result=0",
    "SET CALLERID": "200 result=1",
    "SET CONTEXT": "200 result=0",
    "SET EXTENSION": "200 result=0",
    "SET PRIORITY": "200 result=0",
    "SET VARIABLE": "200 result=1",
    "SPEECH RECOGNIZE": '200 result=1 (speech) endpos=0 results=1 score0=80 text0="yes" grammar0=yesno',
    "SPEECH": "200 result=1",
    "STREAM FILE": "200 result=0 endpos=8000",
    "VERBOSE": "200 result=1",
    "WAIT FOR DIGIT": "200 result=49",
    "WRONG USAGE": USAGE,
}
"""What a line that begins like this is answered with; the longest beginning counts."""

ENDS_THE_CALL = ("HANGUP\n", "GET DATA LEAVES")
"""Lines with which the channel hangs up."""


@dataclass
class Peer:
    """One call.

    Parameters:
        arguments: of the script.
        network: the words that only FastAGI has, such as its script.
        enhanced: whether Asterisk sends the sound.
    """

    arguments: Sequence[str]
    network: str = ""
    enhanced: bool = False
    dead: bool = False

    @property
    def environment(self) -> str:
        """What Asterisk says first."""
        network = f"agi_network: yes\nagi_network_script: {self.network}\n" if self.network else ""
        arguments = "".join(f"agi_arg_{number}: {text}\n" for number, text in enumerate(self.arguments, 1))
        return (
            f"{network}agi_request: script\nagi_channel: PJSIP/1001-00000001\nagi_language: en\nagi_type: PJSIP\n"
            "agi_uniqueid: 1700000000.1\nagi_version: 22.10.1\nagi_callerid: 4711\nagi_calleridname: Anna Bell\n"
            "agi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\nagi_callingtns: 0\nagi_dnid: 700\n"
            "agi_rdnis: unknown\nagi_context: default\nagi_extension: 700\nagi_priority: 1\n"
            f"agi_enhanced: {'1.0' if self.enhanced else '0.0'}\nagi_accountcode: \nagi_threadid: 1\n{arguments}\n"
        )

    def answers(self, line: str) -> tuple[str, bool]:
        """The answer to a line, and whether the caller is gone with it."""
        words = f"{line}\n".upper().replace('"', "")
        known = max((one for one in ANSWERS if words.startswith(one)), key=len, default=None)
        if known is None:
            return "510 Invalid or unknown command", False
        if self.dead and not known.startswith(
            ("SET VARIABLE", "GET VARIABLE", "VERBOSE", "NOOP", "DATABASE", "EXEC")
        ):
            return DEAD, False
        leaves = any(words.startswith(one) for one in ENDS_THE_CALL)
        self.dead = self.dead or leaves
        return ANSWERS[known], leaves
