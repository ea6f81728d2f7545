"""Numbers and times as AGI writes them."""

from __future__ import annotations

from agi_monitor.errors import LocalProtocolError


def milliseconds(seconds: float, name: str = "timeout") -> str:
    """Seconds as AGI writes a time.

    Parameters:
        seconds: the time.
        name: of the parameter, for the message.

    Raises:
        LocalProtocolError: they are not a number.
    """
    try:
        return str(round(seconds * 1000))
    except (TypeError, ValueError, OverflowError):
        raise no_number(name, seconds, "seconds") from None


def whole(number: float, name: str, unit: str = "seconds") -> str:
    """A whole number as AGI writes one."""
    if isinstance(number, str | bytes):
        raise no_number(name, number, unit)
    try:
        return str(int(number))
    except (TypeError, ValueError, OverflowError):
        raise no_number(name, number, unit) from None


def no_number(name: str, given: object, unit: str) -> LocalProtocolError:
    return LocalProtocolError(f"{name} is {type(given).__name__} and not a number of {unit}; nothing was sent")


def autohangup(seconds: float) -> str:
    try:
        return format(seconds, "g")
    except (TypeError, ValueError):
        raise no_number("seconds", seconds, "seconds") from None


def digit_of(number: int) -> str:
    """A key as AGI answers it: its character code, 0 for none."""
    return chr(number) if 0 < number < 128 else ""
