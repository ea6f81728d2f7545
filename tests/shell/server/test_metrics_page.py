"""The page with the numbers, over real HTTP: one address, and nothing that anybody sends costs more than a moment."""

from __future__ import annotations

import http.client
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_monitor.server.metrics_page import MAX_CONNECTIONS
from contrib.lab.waiting import wait_until
from tests.shell.live_server import WAIT_SECONDS, LiveServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that runs."""
    with LiveServer(tmp_path_factory.mktemp("house") / "control.sock") as server:
        yield server


def ask(server: LiveServer, path: str = "/metrics", method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """One request, read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    response.text = response.read().decode()  # type: ignore[attr-defined]  # kept for the test
    connection.close()
    return response


def text(response: http.client.HTTPResponse) -> str:
    """What it says."""
    return str(response.text)  # type: ignore[attr-defined]  # see ask


def test_the_numbers(server: LiveServer) -> None:
    """In the form that Prometheus reads; a fact is there at the next look."""
    response = ask(server)
    assert response.status == 200
    assert str(response.getheader("content-type")).startswith("text/plain; version=")
    assert 'agi_monitor_refusals_total{reason="pin_wrong"} 0.0\n' in text(response)
    server.order("tell", fact="refused", reason="pin_wrong")
    assert 'agi_monitor_refusals_total{reason="pin_wrong"} 1.0\n' in text(ask(server))


def test_what_else_a_program_asks_of_it(server: LiveServer) -> None:
    """A query changes nothing, and HEAD has no body."""
    assert ask(server, "/metrics?name[]=x").status == 200
    head = ask(server, method="HEAD")
    assert (head.status, text(head)) == (200, "")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/metrics/"),
        ("GET", "/metrics/x"),
        ("GET", "//metrics"),
        ("GET", "/%6detrics%00"),
        ("GET", "/../etc/passwd"),
        ("POST", "/metrics"),
        ("PUT", "/metrics"),
        ("DELETE", "/metrics"),
        ("OPTIONS", "/metrics"),
        ("TRACE", "/metrics"),
        ("COFFEE", "/metrics"),
    ],
)
def test_nothing_else_is_there(server: LiveServer, method: str, path: str) -> None:
    """Whatever is asked, and nothing of the request comes back."""
    response = ask(server, path, method)
    assert (response.status, text(response)) == (404, "There is GET /metrics and nothing else.\n")


def test_each_look_is_a_connection(server: LiveServer) -> None:
    """It is closed after the answer, whatever the client wants, so that nobody holds a place."""
    with socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        said = b""
        while chunk := connection.recv(65536):
            said += chunk
    assert b"\r\nConnection: close\r\n" in said
    assert said.count(b"HTTP/1.1 ") == 1


def test_a_body_is_thrown_away(server: LiveServer) -> None:
    """Unwanted megabytes are neither kept nor written to the disk."""
    before = open_files(server)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)
    connection.putrequest("POST", "/metrics")
    connection.putheader("Content-Length", str(50_000_000))
    connection.endheaders()
    for _ in range(49):
        connection.send(b"x" * 1_000_000)
    assert not [name for name in open_files(server) - before if "/tmp" in name]
    connection.send(b"x" * 1_000_000)
    assert connection.getresponse().status == 404
    connection.close()


def open_files(server: LiveServer) -> set[str]:
    """What the server has open."""
    return {str(link.readlink()) for link in Path(f"/proc/{server.process.pid}/fd").iterdir()}


def test_headers_without_end(server: LiveServer) -> None:
    """Are refused."""
    with socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


def test_too_many_connections(server: LiveServer) -> None:
    """Those above are closed unheard, and a place that gets free is given again."""
    held = [socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) for _ in range(MAX_CONNECTIONS)]
    with socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) as one_more:
        assert one_more.recv(100) == b""
    for connection in held:
        connection.close()
    wait_until(lambda: answers(server), WAIT_SECONDS, "a place to get free")


def answers(server: LiveServer) -> bool:
    """Whether it shows the numbers now."""
    try:
        return ask(server).status == 200
    except (http.client.RemoteDisconnected, ConnectionResetError):
        return False


@pytest.mark.parametrize("data", [b"", b"X"])
def test_a_connection_has_an_end(tmp_path: Path, data: bytes) -> None:
    """Anyone who says nothing is closed, and anyone who continues with a request that never ends too."""
    with (
        LiveServer(tmp_path / "control.sock", page_seconds=0.2) as server,
        socket.create_connection(("127.0.0.1", server.port), 0.01) as connection,
    ):

        def closed() -> bool:
            try:
                connection.sendall(data)
                return connection.recv(100) == b""
            except TimeoutError:
                return False
            except ConnectionError:
                return True

        wait_until(closed, WAIT_SECONDS, "the end of the connection")


def test_random_bytes(server: LiveServer) -> None:
    """A hundred clients that send rubbish: the numbers are still there."""
    rubbish = random.Random(4711)
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", server.port), WAIT_SECONDS) as connection:
            connection.sendall(b"GET " * rubbish.randrange(2) + rubbish.randbytes(rubbish.randrange(1, 5_000)))
    wait_until(lambda: answers(server), WAIT_SECONDS, "an answer")
