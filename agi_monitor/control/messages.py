"""Requests and answers: what a line says. Pure; a line that says nothing of use is a value, no error."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from agi_monitor.shown import Row

MAX_ID = 200
"""Letters of a spy's identifier. Asterisk's own identifiers end at 150 (AST_MAX_UNIQUEID)."""


class Ask(StrEnum):
    """What can be asked."""

    STATUS = "status"
    """How the server is."""
    CALLS = "calls"
    """The calls that are on now."""
    SPIES = "spies"
    """Who hears whom now."""
    KILL = "kill"
    """End a spy."""
    RELOAD = "reload"
    """Read the configuration again."""
    WATCH_CALLS = "watch_calls"
    """The calls, now and whenever they have changed, until the client closes."""
    WATCH_SPIES = "watch_spies"
    """Who hears whom, in the same way."""
    EVENTS = "events"
    """Every record of the audit from now on, until the client closes."""


class Problem(StrEnum):
    """Why there is no answer."""

    NO_REQUEST = "no_request"
    """The line is not a JSON object with the key ``ask``."""
    TOO_LONG = "too_long"
    """The line does not end where every request has ended."""
    UNKNOWN_ASK = "unknown_ask"
    """This server does not know what is asked."""
    NO_ID = "no_id"
    """No spy is named, or by something that no identifier looks like."""
    NO_SUCH_SPY = "no_such_spy"
    """No spy has this identifier."""
    REFUSED = "refused"
    """The configuration has a mistake, and nothing has changed."""
    UNAVAILABLE = "unavailable"
    """The picture of the PBX cannot be trusted now."""
    NO_ANSWER = "no_answer"
    """The PBX has not answered yet. What was asked may be done or not."""
    FAILED = "failed"
    """Something is broken in the server; its log says what."""
    IDLE = "idle"
    """Nothing was asked for too long."""
    TOO_MANY = "too_many"
    """All places for clients are taken."""
    TOO_SLOW = "too_slow"
    """Events were not read, and were given up."""
    STOPPING = "stopping"
    """The server is stopping."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client wants.

    Parameters:
        ask: what is asked for.
        id: of which spy; empty where none is meant.
    """

    ask: Ask
    id: str = ""

    def to_wire(self) -> bytes:
        """The request as a line."""
        return encode({"ask": self.ask} | ({"id": self.id} if self.id else {}))


@dataclass(frozen=True, slots=True)
class Failed:
    """A no.

    Parameters:
        problem: the slug.
        text: for people.
    """

    problem: Problem
    text: str

    def to_wire(self) -> bytes:
        """The answer as a line."""
        return encode({"ok": False, "problem": self.problem, "text": self.text})


def parse(line: bytes) -> Request | Failed:
    """Read a request. Never raises, whatever the line holds."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict) or "ask" not in asked:
        return Failed(Problem.NO_REQUEST, 'a request is a line with a JSON object such as {"ask": "calls"}')
    try:
        ask = Ask(asked["ask"])
    except ValueError:
        known = ", ".join(Ask)
        return Failed(Problem.UNKNOWN_ASK, f"this server does not know what is asked; it knows: {known}")
    if ask is not Ask.KILL:
        return Request(ask)
    spy = asked.get("id")
    if not isinstance(spy, str) or not 0 < len(spy) <= MAX_ID or not spy.isprintable():
        return Failed(Problem.NO_ID, f"'id' must be the id of a spy, of at most {MAX_ID} letters")
    return Request(ask, spy)


def answer(**values: object) -> bytes:
    """A yes with what there is to say, as a line."""
    return encode({"ok": True, **values})


def encode(row: Row) -> bytes:
    """One JSON object as a line of ASCII. What JSON does not have is written as text."""
    return json.dumps(row, default=str, separators=(",", ":")).encode("ascii") + b"\n"
