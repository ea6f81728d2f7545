"""How the connection to a PBX stands, as values: for a health page, a log, and code that must not trust old news."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connecting:
    """A connection is being made."""


@dataclass(frozen=True, slots=True)
class LoggingIn:
    """There is one; the login is under way."""


@dataclass(frozen=True, slots=True)
class Up:
    """Logged in: actions are taken and events come.

    Parameters:
        version: of AMI, such as ``9.0.0``.
    """

    version: str


@dataclass(frozen=True, slots=True)
class Down:
    """There is no connection.

    Parameters:
        reason: why not.
        retry_in: seconds to the next attempt; None when there will be none.
    """

    reason: str
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Asterisk refused the login. Final: the same name and secret would be refused again, and the attempts might
    lock an address out.

    Parameters:
        reason: what Asterisk said.
    """

    reason: str


State = Connecting | LoggingIn | Up | Down | Refused
