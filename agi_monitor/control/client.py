"""Asks a running server, without Twisted: blocking, with a time limit. Every failure says how to fix it."""

from __future__ import annotations

import errno
import grp
import json
import math
import os
import pwd
import select
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

from agi_monitor.control.limits import ANSWER_SECONDS, MAX_ANSWER_BYTES
from agi_monitor.control.messages import Ask, Request
from agi_monitor.control.socket_file import MAX_PATH_BYTES
from agi_monitor.errors import ControlFailed
from agi_monitor.shown import CallShown, NotShown, ReloadShown, Row, SpyEnded, SpyShown, StatusShown

RECEIVED_AT_ONCE = 65_536

MAX_NESTED = 8
"""Lists and objects within one another in an answer; a call with its channels has three."""

Value = TypeVar("Value")


def status(path: Path, seconds: float = ANSWER_SECONDS) -> StatusShown:
    """Ask how the server is.

    Parameters:
        path: the socket of the server.
        seconds: how long to wait.

    Raises:
        ControlFailed: there is no answer, it is a no, or it is one of another version.
    """
    return _answer(path, Request(Ask.STATUS), seconds, "status", StatusShown.read)


def calls(path: Path, seconds: float = ANSWER_SECONDS) -> list[CallShown]:
    """Ask for the calls that are on now.

    Parameters:
        path: the socket of the server.
        seconds: how long to wait.

    Raises:
        ControlFailed: there is no answer, it is a no, or it is one of another version.
    """
    return _answer(path, Request(Ask.CALLS), seconds, "calls", CallShown.read_each)


def spies(path: Path, seconds: float = ANSWER_SECONDS) -> list[SpyShown]:
    """Ask who hears whom now.

    Parameters:
        path: the socket of the server.
        seconds: how long to wait.

    Raises:
        ControlFailed: there is no answer, it is a no, or it is one of another version.
    """
    return _answer(path, Request(Ask.SPIES), seconds, "spies", SpyShown.read_each)


def kill(path: Path, spy: str, seconds: float = ANSWER_SECONDS) -> SpyEnded:
    """End a spy.

    Parameters:
        path: the socket of the server.
        spy: its ``id``.
        seconds: how long to wait.

    Raises:
        ControlFailed: there is no answer, it is a no, or it is one of another version.
    """
    return _answer(path, Request(Ask.KILL, spy), seconds, "ended", SpyEnded.read)


def reload(path: Path, seconds: float = ANSWER_SECONDS) -> ReloadShown:
    """Have the server read its configuration again.

    Parameters:
        path: the socket of the server.
        seconds: how long to wait.

    Raises:
        ControlFailed: there is no answer, it is a no, or it is one of another version.
    """
    return _answer(path, Request(Ask.RELOAD), seconds, "reloaded", ReloadShown.read)


def _answer(path: Path, request: Request, seconds: float, key: str, read: Callable[[object], Value]) -> Value:
    with _connected(path, seconds) as lines:
        said = _asked(path, lines, request)
    if key not in said:
        raise _no_answer(path)
    return _read(path, read, said[key])


def _read(path: Path, read: Callable[[object], Value], value: object) -> Value:
    try:
        return read(value)
    except NotShown as error:
        raise ControlFailed(
            f"{path}: the answer is not one of agi-monitor in this version: {error}."
            " Restart the server, so that it and this command are of the same one"
        ) from None


def follow(path: Path, seconds: float = ANSWER_SECONDS) -> Iterator[Row]:
    """Yield every record of the audit from now on, as it is written. Ends by an exception only.

    Parameters:
        path: the socket of the server.
        seconds: how long to wait for the beginning.

    Raises:
        ControlFailed: there is no server, it has stopped, or it has cut us off.
    """
    with _connected(path, seconds) as lines:
        _asked(path, lines, Request(Ask.EVENTS))
        lines.wait_for_ever()
        while True:
            event = cast(Row, _next(path, lines).get("event"))
            if not _is_record(event):
                raise _no_answer(path)
            yield event


def watch_calls(
    path: Path, tick: float | None = None, seconds: float = ANSWER_SECONDS
) -> Iterator[list[CallShown] | str | None]:
    """Yield the calls that are on, now and whenever they have changed. Ends by an exception only.

    Parameters:
        path: the socket of the server.
        tick: seconds after which None is yielded when nothing has changed; None never does.
        seconds: how long to wait for the beginning.

    Yields:
        the calls; a sentence while the server cannot know them.

    Raises:
        ControlFailed: there is no server, it has stopped, or it has cut us off.
    """
    return _watch(path, Ask.WATCH_CALLS, "calls", CallShown.read_each, tick, seconds)


def watch_spies(
    path: Path, tick: float | None = None, seconds: float = ANSWER_SECONDS
) -> Iterator[list[SpyShown] | str | None]:
    """Yield who hears whom: see ``watch_calls``."""
    return _watch(path, Ask.WATCH_SPIES, "spies", SpyShown.read_each, tick, seconds)


def _watch(
    path: Path, ask: Ask, key: str, read: Callable[[object], Value], tick: float | None, seconds: float
) -> Iterator[Value | str | None]:
    with _connected(path, seconds) as lines:
        said = _asked(path, lines, Request(ask))
        lines.wait_for_ever()
        while True:
            if key in said:
                yield _read(path, read, said[key])
            elif isinstance(said.get("unavailable"), str):
                yield _shown(said["unavailable"])
            else:
                raise _no_answer(path)
            while not lines.is_due(tick):
                yield None
            said = _next(path, lines)


class _Lines:
    """The lines that come on a connection, until a moment that nothing moves: a time limit of a socket begins again
    with each byte.

    Parameters:
        connection: to the server.
        until: the moment, on the clock of ``time.monotonic``.
    """

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until: float | None = until
        self._rest = bytearray()

    def wait_for_ever(self) -> None:
        """From now on."""
        self._until = None

    def send(self, data: bytes) -> None:
        """Send all of it.

        Raises:
            OSError: that failed, or took too long.
        """
        self._limit()
        self._connection.sendall(data)

    def next(self) -> bytes:
        """Return the next line, or what there is of it at the end.

        Raises:
            OSError: that failed, or took too long.
        """
        looked_at = 0
        while (end := self._rest.find(b"\n", looked_at)) < 0 and len(self._rest) < MAX_ANSWER_BYTES:
            looked_at = len(self._rest)
            self._limit()
            part = self._connection.recv(RECEIVED_AT_ONCE)
            if not part:
                break
            self._rest += part
        size = len(self._rest) if end < 0 else end + 1
        line = bytes(self._rest[:size])
        del self._rest[:size]
        return line

    def is_due(self, seconds: float | None) -> bool:
        """Wait for a part of the next line, at most this long; return whether it is there.

        Raises:
            OSError: that failed.
        """
        if seconds is None or self._rest:
            return True
        return bool(select.select([self._connection], [], [], seconds)[0])

    def _limit(self) -> None:
        left = None if self._until is None else self._until - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)


@contextmanager
def _connected(path: Path, seconds: float) -> Iterator[_Lines]:
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise ControlFailed(f"{path}: longer than the {MAX_PATH_BYTES} bytes of a socket. Set control.socket")
    _must_not_be_lent(path)
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        # Not settimeout: with that, Linux does not wait at all for a server that has no time to accept.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", *_timeval(seconds)))
        try:
            connection.connect(str(path))
        except OSError as error:
            raise ControlFailed(_why_not(path, error)) from error
        yield _Lines(connection, until)


def _must_not_be_lent(path: Path) -> None:
    """As root, speak to no socket elsewhere that another user's link leads to."""
    try:
        found = path.lstat()
    except OSError:
        return  # what comes of the attempt says more
    if os.geteuid() == 0 and stat.S_ISLNK(found.st_mode) and found.st_uid != 0:
        raise ControlFailed(f"{path}: is a symbolic link of another user, which root does not follow. Remove it")


def _timeval(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return whole, int((seconds - whole) * 1_000_000)


def _asked(path: Path, lines: _Lines, request: Request) -> Row:
    try:
        lines.send(request.to_wire())
    except TimeoutError:
        raise _silent(path) from None
    except OSError:
        # The server has closed; the line that says why may be there all the same.
        pass
    return _next(path, lines)


def _next(path: Path, lines: _Lines) -> Row:
    try:
        line = lines.next()
    except TimeoutError:
        raise _silent(path) from None
    except ConnectionError:
        line = b""
    if not line:
        raise ControlFailed(f"{path}: the server has closed the connection; its log says why")
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise _no_answer(path) from None
    if not isinstance(said, dict) or not isinstance(said.get("ok"), bool) or not _is_plain(said, MAX_NESTED):
        raise _no_answer(path)
    if not said["ok"]:
        raise ControlFailed(_shown(said.get("text")), str(said.get("problem")))
    return said


def _is_record(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("node"), str | None)


def _is_plain(value: object, left: int) -> bool:
    """Whether a value can be shown and written: no number without an end, nothing too deep."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list | dict):
        return left > 0 and all(
            _is_plain(one, left - 1) for one in (value.values() if isinstance(value, dict) else value)
        )
    return True


def _shown(text: object) -> str:
    """What a server says, which may be another program: nothing in it moves a terminal's cursor."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in str(text))


def _silent(path: Path) -> ControlFailed:
    return ControlFailed(f"{path}: the server does not answer. If that goes on, restart it and look at its log")


def _no_answer(path: Path) -> ControlFailed:
    return ControlFailed(f"{path}: the answer is not one of agi-monitor; another program or version listens there")


def _why_not(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{path}: there is no such socket, so no server runs with it. Start one with: agi-monitor serve"
    if isinstance(error, PermissionError):
        return f"{path}: {error.strerror}. {_whose(path)}"
    if error.errno == errno.EAGAIN:
        return str(_silent(path))
    if isinstance(error, ConnectionRefusedError):
        if not _is_socket(path):
            return f"{path}: is not a socket. Name the server's with --socket, or correct control.socket"
        return (
            f"{path}: no server listens there; this file was left by a server that is gone. "
            "Start one with: agi-monitor serve. It replaces the file"
        )
    return f"{path}: {error.strerror}"


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError:
        return False


def _whose(path: Path) -> str:
    """Who may open the socket, or the folder that hides it."""
    for place in (path, *path.absolute().parents):
        try:
            found = place.stat()
        except OSError:
            continue
        if place != path and os.access(place, os.X_OK):
            break
        return (
            f"{place} is for the user {_name_of_user(found.st_uid)} and the group {_name_of_group(found.st_gid)}: "
            "become a member of the group, or use sudo"
        )
    return "Become a member of the server's group, or use sudo"


def _name_of_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _name_of_group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
