"""How Asterisk takes a command line apart (parse_args, res_agi.c)."""

from __future__ import annotations


def split_words(line: str) -> list[str]:
    r"""The words of a line: separated by spaces and tabs, grouped by ``"``, with ``\`` before a literal character."""
    words: list[str] = []
    current: list[str] | None = None
    quoted = escaped = False
    for character in line:
        if escaped:
            escaped = False
            current = [character] if current is None else [*current, character]
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
            if current is None:
                current = []
        elif character in " \t" and not quoted:
            if current is not None:
                words.append("".join(current))
            current = None
        elif current is None:
            current = [character]
        else:
            current.append(character)
    if current is not None:
        words.append("".join(current))
    return words
