"""What systemd gives to a service, and what it wants to hear: an open socket, and how far the service is.

Everything is in the environment (sd_listen_fds(3), sd_notify(3)); without it nothing is done.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import structlog

from agi_monitor.errors import ConfigError

FIRST_SOCKET = 3
"""The number of the first socket that is passed; the others follow (SD_LISTEN_FDS_START)."""

MICROSECONDS = 1_000_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Inherited:
    """A socket that listens already.

    Parameters:
        descriptor: its number.
        family: ``socket.AF_INET`` or ``socket.AF_INET6``.
    """

    descriptor: int
    family: socket.AddressFamily


def passed_sockets(environment: MutableMapping[str, str]) -> tuple[int, ...]:
    """Return the sockets that were passed to this process. A second look finds none.

    To be called before Twisted is imported: its endpoints take the same variables for themselves.

    Parameters:
        environment: of the process; what it says of sockets is taken out, for it does not hold for children.
    """
    process, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    environment.pop("LISTEN_FDNAMES", None)
    if process != str(os.getpid()) or not count.isdecimal():
        return ()
    return tuple(range(FIRST_SOCKET, FIRST_SOCKET + int(count)))


def inherited(passed: Sequence[int], address: str, port: int) -> Inherited | None:
    """Return the socket to listen with, or None when there is none.

    Parameters:
        passed: sockets of systemd.
        address: where the socket has to listen.
        port: the same.

    Raises:
        ConfigError: it is not one TCP socket that listens there. The dialplan names that address, and who may
            connect is chosen with it in mind, so no other one will do.
    """
    if not passed:
        return None
    if len(passed) > 1:
        raise ConfigError(f"systemd passed {len(passed)} sockets: there has to be one, for FastAGI")
    # A view of it: closing the number is its user's business.
    view = socket.socket(fileno=passed[0])
    try:
        kind, family = view.type, view.family
        if family not in (socket.AF_INET, socket.AF_INET6) or kind != socket.SOCK_STREAM:
            raise ConfigError("systemd passed a socket that is not TCP: FastAGI needs ListenStream=address:port")
        if not view.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise ConfigError("systemd passed a connection: the socket unit must not have Accept=yes")
        host, number = view.getsockname()[:2]
    finally:
        view.detach()
    if (ip_address(host), number) != (ip_address(address), port):
        raise ConfigError(
            f"systemd passed a socket at {_written(host, number)}, and fastagi says {_written(address, port)}: "
            "change ListenStream= of the socket unit, or fastagi.listen and fastagi.port"
        )
    return Inherited(passed[0], socket.AddressFamily(family))


def _written(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Notifier:
    """Tells systemd how far this service is, for ``Type=notify``, and that it lives, for ``WatchdogSec=``.

    Parameters:
        environment: of the process.
        clock: seconds of CLOCK_MONOTONIC, which is what systemd goes by.
    """

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte that the name of an abstract socket begins with.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._clock = clock
        self._serves = False
        self._is_lost = False
        microseconds = environment.get("WATCHDOG_USEC", "")
        self.watchdog_seconds = (
            int(microseconds) / MICROSECONDS if self._address and microseconds.isdecimal() else 0.0
        )
        """systemd ends the service when it was silent for this time; 0 when systemd does not watch it."""

    def serves(self) -> None:
        """The service is there for everyone."""
        self._serves = True
        self._tell("READY=1")

    def reloads(self) -> None:
        """It reads its configuration again."""
        if self._serves:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={round(self._clock() * MICROSECONDS)}")

    def has_reloaded(self) -> None:
        """It has read it, or continues with the old one."""
        if self._serves:
            self._tell("READY=1")

    def stops(self, seconds: float) -> None:
        """It is about to end.

        Parameters:
            seconds: how long that may take, whatever ``TimeoutStopSec=`` says.
        """
        self._serves = False
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={round(seconds * MICROSECONDS)}")

    def lives(self) -> None:
        """It still does something."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A service that waits for systemd serves no call.
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._is_lost:
                log.warning("systemd_not_told", error=error.strerror)
            self._is_lost = True
            return
        self._is_lost = False
