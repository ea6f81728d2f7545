"""Text that others wrote, as it may be shown to people.

A terminal obeys what it is sent: an escape sequence in a caller's name can clear the screen, write into the clipboard
or set the colour of what comes next, and a bidirectional override makes a line read as another one.
"""

from __future__ import annotations


def visible(text: str, keep: str = "") -> str:
    r"""Return a text with everything that is not a visible character or a space as its number.

    Escape characters, line breaks, the control characters of C1, marks that change the direction of writing and
    halves of surrogate pairs become ``\x1b``, ``\u202e`` and the like.

    Parameters:
        text: anything.
        keep: characters that stay as they are, such as the line breaks of a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _number(letter) for letter in text)


def in_json(line: str) -> str:
    """Return a JSON text with the same escapes as JSON has them: it says the same to a program.

    Parameters:
        line: JSON of one line.
    """
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else _units(letter) for letter in line)


def _number(letter: str) -> str:
    number = ord(letter)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x1_0000 else f"\\U{number:08x}"


def _units(letter: str) -> str:
    """In UTF-16, which the escapes of JSON are in."""
    units = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
