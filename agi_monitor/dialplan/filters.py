"""The only ways for a value into a dialplan or manager.conf. Each place has one filter; a filter changes or refuses.

A refusal names the value by its key, never by its text: it may be a secret, or itself full of control characters.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Callable, Mapping

from agi_monitor import names

COMMENT_LENGTH = 60
"""A longer name is cut: comments are read on a terminal, and a line of more than 8,191 bytes is skipped."""

MAX_SECTION_BYTES = 79
"""What ``names.WRITTEN_CONTEXT`` holds at most: Asterisk cuts a longer section name, so that two could become one."""

JOINERS = frozenset("\u200c\u200d")
"""Zero width (non-)joiner: Persian, Sinhala and Malayalam names need them, and they turn no text around."""

SUBSTITUTIONS = ("${", "$[")
"""What Asterisk evaluates; there is no escape for it (pbx_variables.c)."""


class Text(str):
    """A text that knows which value of the configuration it is.

    Parameters:
        text: the text.
        key: what people call it, such as ``the name of agent 1001``.
    """

    __slots__ = ("key",)
    key: str

    def __new__(cls, text: str, key: str) -> Text:
        self = super().__new__(cls, text)
        self.key = key
        return self


class RefusedValue(ValueError):
    """A value may not be where a template puts it. Becomes a ``RenderError`` with the template and the line.

    Parameters:
        value: the value; only its key is told.
        why: what is wrong with it and how to fix it.
    """

    def __init__(self, value: object, why: str) -> None:
        super().__init__(f"{getattr(value, 'key', 'a value')} {why}")


def comment(value: str) -> str:
    """A value inside a comment, behind ``; ``.

    Asterisk reads nothing behind the first ``;`` of a line, except for ``;--``, which opens a comment over many
    lines (config.c, config_text_file_load). So a ``;`` becomes a comma, and everything else that people are called
    stays as it is. A text of more than ``COMMENT_LENGTH`` characters is cut and ends with ``…``.

    Raises:
        RefusedValue: the value holds a control character or a substitution.
    """
    refuse_controls(value)
    refuse_substitutions(value)
    text = str(value).replace(";", ",")
    return text if len(text) <= COMMENT_LENGTH else text[: COMMENT_LENGTH - 1] + "…"


def extension(value: str) -> str:
    """Dialled digits as an extension: no pattern, nothing that is substituted when the file is loaded.

    Raises:
        RefusedValue: there is something else than 0-9, ``*`` and ``#`` in it, or nothing.
    """
    if names.DIALLED.fullmatch(value) is None:
        raise RefusedValue(value, "is not an extension: only 0-9, * and # can be dialled")
    return str(value)


def pattern(value: str, digits: int) -> str:
    """A feature code followed by exactly this many digits: ``*222`` and 4 give ``_*222XXXX``.

    The length is fixed on purpose: ``.`` and ``!`` would match any character that a SIP phone can send.

    Raises:
        RefusedValue: the value is not a feature code.
    """
    if names.FEATURE_CODE.fullmatch(value) is None:
        raise RefusedValue(value, "is not a feature code: use 1 to 8 of 0-9, * and #")
    return f"_{value}{'X' * digits}"


def argument(value: str) -> str:
    """A value as one argument of an application: ``;`` is escaped.

    What cuts an argument differs from application to application: most take quotes and backslashes away
    (app.c, __ast_app_separate_args), Set and NoOp do not, and parentheses count in the file itself
    (pbx_config.c). No escape is right for all of them.

    Raises:
        RefusedValue: the value holds one of ``, " \\ ( ) [ ] { } $`` or a control character.
    """
    refuse_controls(value)
    if found := sorted(set(value) & set(',"\\()[]{}$')):
        raise RefusedValue(
            value, f"holds {' '.join(found)}, which would change the application's arguments: leave it out"
        )
    return str(value).replace(";", "\\;")


def host(value: str) -> str:
    """An IP address as the host of a URL: an IPv6 address in brackets.

    Raises:
        RefusedValue: the value is not an IP address.
    """
    try:
        address = ipaddress.ip_address(str(value))
    except ValueError:
        raise RefusedValue(value, "is not an IP address") from None
    if "%" in value:
        raise RefusedValue(value, "has a zone, which cannot stand in a URL's host")
    return f"[{address}]" if address.version == 6 else str(address)


def context(value: str) -> str:
    """A value as the name of a context, between the brackets or in an argument.

    Raises:
        RefusedValue: it is not a letter followed by letters, digits, ``_`` and ``-``, or has more than 79 bytes.
    """
    if names.WRITTEN_CONTEXT.fullmatch(value[:MAX_SECTION_BYTES]) is None:
        raise RefusedValue(value, "is not a name for a context: use a letter, then letters, digits, _ and -")
    if len(value) > MAX_SECTION_BYTES:
        raise RefusedValue(value, f"is longer than the {MAX_SECTION_BYTES} characters a context's name can have")
    return str(value)


def section(value: str) -> str:
    """A value as the name of an account's section in manager.conf, between the brackets.

    Raises:
        RefusedValue: it holds something else than letters, digits, ``_`` and ``-``, or is ``general``.
    """
    if names.ACCOUNT.fullmatch(value) is None:
        raise RefusedValue(
            value, "is not a name for an account: use letters, digits, _ and -, at most 40; not 'general'"
        )
    return str(value)


def setting(value: str) -> str:
    """A value behind ``name = ``, which Asterisk takes as it is: nothing is quoted, escaped or substituted.

    Raises:
        RefusedValue: the value is empty, begins or ends with a space, or holds a ``;`` or a control character.
    """
    refuse_controls(value)
    if not value or value != value.strip():
        raise RefusedValue(value, "is empty, or begins or ends with a space, which Asterisk would take away")
    if ";" in value:
        raise RefusedValue(value, "holds ;, which begins a comment: leave it out")
    return str(value)


def host_network(value: str) -> str:
    """An IP address as the network of this one host, for ``permit`` and ``deny``: ``127.0.0.1/32``.

    Raises:
        RefusedValue: the value is not an IP address.
    """
    host(value)
    return ipaddress.ip_network(str(value)).with_prefixlen


def sql(value: str) -> str:
    """A value as a text of SQL, with its quotes.

    Raises:
        RefusedValue: it holds a quote, a backslash or a control character.
    """
    refuse_controls(value)
    if found := sorted(set(value) & set("'\"\\")):
        raise RefusedValue(value, f"holds {' '.join(found)}, which ends a text of SQL: leave it out")
    return f"'{value}'"


def is_control(character: str) -> bool:
    """Whether it is a control, format, private, unassigned or surrogate character, or a line separator of Unicode.

    Such a character can begin a new line, hide, or turn the text around it, so that a file reads differently from
    what it says. The two joiners can do none of this.
    """
    if character in JOINERS:
        return False
    return unicodedata.category(character).startswith("C") or character in "\u2028\u2029"


def refuse_controls(value: str) -> None:
    """Refuse a value with a control character in it, and name the character."""
    for character in value:
        if is_control(character):
            name = unicodedata.name(character, "control character")
            raise RefusedValue(value, f"holds U+{ord(character):04X} ({name}): leave this character out")


def refuse_substitutions(value: str) -> None:
    """Refuse a value that Asterisk would evaluate."""
    for opening in SUBSTITUTIONS:
        if opening in value:
            raise RefusedValue(value, f"holds {opening}, which Asterisk would evaluate: leave it out")


FILTERS: Mapping[str, Callable[..., str]] = {
    "comment": comment,
    "extension": extension,
    "pattern": pattern,
    "argument": argument,
    "host": host,
    "context": context,
    "section": section,
    "setting": setting,
    "host_network": host_network,
    "sql": sql,
}
"""Under these names the templates know them."""
