"""The one include in a file of the site, between two markers. Bytes in, bytes out: the rest is left alone.

``without(with_include(content, target)) == content`` for every content, whatever its encoding and line endings: if a
last line without an ending was given one, the first marker says so.
"""

from __future__ import annotations

import fnmatch
import posixpath

from agi_monitor.dialplan.statements import Directive, statements

BEGIN = b'; agi-monitor begin: made by "agi-monitor install", taken out by "agi-monitor uninstall"'
BEGIN_JOINED = BEGIN + b" with the line end before it"
END = b"; agi-monitor end"


BOM = "\ufeff".encode()


class BrokenMarkers(ValueError):
    """The markers are there twice, or one without the other, or something else stands between them."""


def block(content: bytes, target: str) -> bytes:
    """What is added after this content: the markers and, between them, the include of ``target``."""
    end = b"\r\n" if content.endswith(b"\r\n") or (b"\r\n" in content and not content.endswith(b"\n")) else b"\n"
    joined = bool(content) and not content.endswith(b"\n")
    lines = (BEGIN_JOINED if joined else BEGIN, f'#tryinclude "{target}"'.encode(), END)
    return (end if joined else b"") + b"".join(line + end for line in lines)


def with_include(content: bytes, target: str, *, at_front: bool = False) -> bytes:
    """The content with the include at its end; as it is when the markers are there.

    Parameters:
        content: of the file.
        target: what is included.
        at_front: whether the include stands at the front instead.

    Raises:
        BrokenMarkers: see there.
    """
    if _place(content) is not None:
        return content
    if not at_front:
        return content + block(content, target)
    end = b"\r\n" if b"\r\n" in content else b"\n"
    # A byte order mark counts at the very front alone.
    mark, rest = (BOM, content[len(BOM) :]) if content.startswith(BOM) else (b"", content)
    return mark + block(end, target) + rest


def without(content: bytes) -> bytes:
    """The content without the markers and what stands between them; as it is when there are none.

    Raises:
        BrokenMarkers: see there.
    """
    place = _place(content)
    return content if place is None else content[: place[0]] + content[place[1] :]


def include_of(content: bytes) -> str | None:
    """What is included between the markers; None without them.

    Raises:
        BrokenMarkers: see there.
    """
    place = _place(content)
    if place is None:
        return None
    inside = [line.strip() for line in content[slice(*place)].splitlines()]
    line = next(line for line in inside if line.startswith(b"#"))
    return line.partition(b'"')[2].removesuffix(b'"').decode("latin-1")


def includes_by_hand(content: bytes, target: str, directory: str) -> bool:
    """Whether a line outside of the markers reads ``target`` already. Twice would be too often: every priority would
    be there already.

    Parameters:
        content: of a file in ``directory``.
        target: such as ``agi-monitor/agi-monitor.conf``.
        directory: the folder of Asterisk, from which a name without ``/`` at its front counts.
    """
    wanted = posixpath.join(directory, target)
    for statement in statements(without(content).decode("latin-1")):
        if not isinstance(statement, Directive):
            continue
        word, *names = statement.text.split(maxsplit=1)
        if names and word.lower() in ("#include", "#tryinclude"):
            (name,) = names
            pattern = posixpath.normpath(posixpath.join(directory, name.strip().strip("\"'<>")))
            if fnmatch.fnmatchcase(wanted, pattern):
                return True
    return False


def _place(content: bytes) -> tuple[int, int] | None:
    """Where the block begins and ends."""
    begins: list[tuple[int, bytes]] = []
    ends: list[int] = []
    inside: list[bytes] = []
    offset = 0
    for line in content.split(b"\n"):
        bare = line.removesuffix(b"\r")
        mark = len(BOM) if not offset and line.startswith(BOM) else 0
        if bare[mark:] in (BEGIN, BEGIN_JOINED):
            begins.append((offset + mark, line[mark:]))
        elif bare[mark:] == END:
            ends.append(min(offset + len(line) + 1, len(content)))
        elif begins and not ends:
            inside.append(bare)
        offset += len(line) + 1
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0][0]:
        raise BrokenMarkers(
            f"{len(begins)} lines begin the part of agi-monitor and {len(ends)} end it: leave one pair"
        )
    if len(inside) != 1 or not inside[0].startswith(b'#tryinclude "') or not inside[0].endswith(b'"'):
        raise BrokenMarkers("something else than one #tryinclude stands between the markers of agi-monitor")
    start, marker = begins[0]
    if marker.startswith(BEGIN_JOINED):
        # The block has one kind of line end; a last line of the site may end with a lone carriage return.
        end = b"\r\n" if marker.endswith(b"\r") else b"\n"
        start = len(content[:start].removesuffix(end))
    return start, ends[0]
