"""A program that hears a call by ARI: the fourth way to spy, after ChanSpy, ExtenSpy and DAHDIScan.

ARI is off in the laboratory; it is on while the program runs.
"""

from __future__ import annotations

import base64
import secrets
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from contrib.lab.errors import LabError
from contrib.lab.pbx import Asterisk
from contrib.lab.waiting import wait_until

PORT = 8088
USER = "snooper"
APPLICATION = "snooping"
SECONDS = 10.0
HTTP = "/etc/asterisk/http.conf"
ARI = "/etc/asterisk/ari.conf"


@contextmanager
def snooping(pbx: Asterisk, uniqueid: str) -> Iterator[None]:
    """Hear a channel while the block runs.

    :param pbx: whose channel
    :param uniqueid: of the channel
    :raises LabError: the PBX refused it
    """
    password = secrets.token_urlsafe(12)
    before = {path: _read(pbx, path) for path in (HTTP, ARI)}
    account = f"[general]\nenabled = yes\n\n[{USER}]\ntype = user\nread_only = no\npassword = {password}\n"
    _write(pbx, HTTP, f"[general]\nenabled = yes\nbindaddr = 0.0.0.0\nbindport = {PORT}\n")
    _write(pbx, ARI, account)
    try:
        _load(pbx)
        wait_until(lambda: _answers(pbx.address), SECONDS, "ARI to answer")
        # The connection is the program: without it there is no such application, and the snoop ends at once.
        with _listening(pbx.address, password):
            _snoop(pbx.address, password, uniqueid)
            yield
    finally:
        for path, text in before.items():
            _write(pbx, path, text)
        _load(pbx)


@contextmanager
def _listening(address: str, password: str) -> Iterator[None]:
    with socket.create_connection((address, PORT), SECONDS) as connection:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        connection.sendall(
            f"GET /ari/events?app={APPLICATION}&api_key={USER}:{password} HTTP/1.1\r\nHost: {address}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Protocol: ari\r\n\r\n".encode()
        )
        answer = connection.recv(4_096)
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            raise LabError(f"ARI refused the program: {answer[:100]!r}")
        yield


def _snoop(address: str, password: str, uniqueid: str) -> None:
    request = urllib.request.Request(
        f"http://{address}:{PORT}/ari/channels/{uniqueid}/snoop?spy=both&app={APPLICATION}", method="POST"
    )
    login = base64.b64encode(f"{USER}:{password}".encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - as above
        answer.read()


def _answers(address: str) -> bool:
    try:
        with socket.create_connection((address, PORT), 1):
            return True
    except OSError:
        return False


def _load(pbx: Asterisk) -> None:
    pbx.cli("module reload http")
    pbx.cli("module reload res_ari.so")


def _read(pbx: Asterisk, path: str) -> str:
    text: str = pbx.container.exec(["cat", path]).output.decode()
    return text


def _write(pbx: Asterisk, path: str, text: str) -> None:
    encoded = base64.b64encode(text.encode()).decode()
    pbx.container.exec(["sh", "-c", f"echo {encoded} | base64 -d > {path}"])
