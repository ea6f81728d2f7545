"""What is heard at each moment: the text of Asterisk's core sounds, and of the own prompt pack."""

from __future__ import annotations

from agi_monitor.sounds import english
from agi_monitor.supervision import prompts

SPOKEN = {
    "agent-pass": "Please enter your password followed by the pound key.",
    "agent-user": "Agent login. Please enter your agent number followed by the pound key.",
    "auth-incorrect": "Password incorrect. Please enter your password followed by the pound key.",
    "vm-newpassword": "Please enter your new password followed by the pound key.",
    "vm-reenterpassword": "Please re-enter your password followed by the pound key.",
    "vm-mismatch": "The passwords you entered and re-entered did not match. Please try again.",
    "vm-invalid-password": "That password does not meet the minimum requirements for this mailbox. Please try again.",
    "vm-passchanged": "Your passwords have been changed.",
    "vm-password": "password",
    "vm-enter-num-to-call": "Please enter the number you wish to call.",
    "vm-press": "Press",
    "for": "for",
    "digits/4": "four",
    "to-listen-to-it": "to listen to it.",
    "vm-star-cancel": "Press star to cancel.",
    "beep": "(a beep)",
    "vm-goodbye": "Goodbye.",
    "cannot-complete-as-dialed": "Your call cannot be completed as dialed.",
    "vm-invalidpassword": "That is not a valid password. Please try again.",
    "sorry-youre-having-problems": "Sorry you're having problems.",
    "please-try-call-later": "Please try your call again later.",
    "pm-invalid-option": "That option is invalid. Please try again.",
    "feature-not-avail-line": "That feature is not available on this line.",
    "your": "Your",
    "extension": "Extension",
    "vm-no": "no",
    "calling": "calling.",
    "call-waiting": "call waiting.",
    "one-moment-please": "One moment, please.",
    "vm-isunavail": "is unavailable.",
    "conf-hasleft": "has left the conference.",
    "conf-kicked": "You have been kicked from this conference.",
    "conf-locked": "This conference is locked!",
    "im-sorry": "I'm sorry.",
    "time": "time",
    "simul-call-limit-reached": "Simultaneous call limit reached.",
    "something-terribly-wrong": "Something is terribly wrong!",
    prompts.EXTENSION: "(the extension, digit by digit)",
    prompts.CHOICE: "(the key)",
    prompts.NUMBER: "(the number, digit by digit)",
}
"""What the files say, from the text that comes with Asterisk's English core sounds."""


def heard(moment: str) -> str:
    return " ".join(SPOKEN[word] for word in prompts.DEFAULTS[moment])


def of_the_pack(moment: str) -> str:
    """What the own pack says, in English."""
    spoken = {prompts.own(name): sentence for name, sentence in english.SENTENCES.items()}
    return " ".join(spoken.get(word) or SPOKEN[word] for word in prompts.PACK[moment])
