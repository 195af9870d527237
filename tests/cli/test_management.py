"""What the management server itself says of requests that fail: log lines, never a traceback."""

import json
import socket
from contextlib import contextmanager

import pytest
import requests

from pdp import logs
from pdp.cli.context import opened_runtime
from pdp.cli.management import ManagementServer
from pdp.web.management import Management
from tests.servers import free_port

pytestmark = pytest.mark.usefixtures("shell")


class _Broken(Management):
    def __call__(self, environ, _start_response):
        raise LookupError(environ["PATH_INFO"])


@contextmanager
def _served(monkeypatch, kind):
    port = free_port()
    monkeypatch.setenv("PDP__SERVER__MANAGEMENT_PORT", str(port))
    with opened_runtime() as runtime:
        logs.configure("info")
        server = ManagementServer(runtime, kind(runtime))
        server.start()
        try:
            yield port
        finally:
            server.stop()


def test_a_request_that_fails_is_answered_500_and_is_one_line_of_ours(monkeypatch, capfd):
    with _served(monkeypatch, _Broken) as port:
        answer = requests.get(f"http://127.0.0.1:{port}/livez", timeout=30)

    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert answer.status_code == 500
    assert line["event"] == "management.request.failed"
    assert "LookupError: /livez" in line["exception"]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /livez HTTP/1.1", b"200"),
        (b"nonsense", b"400"),
        (b"GET /%s HTTP/1.1" % (b"a" * 70_000), b"414"),
    ],
    ids=["sound", "nonsense", "too long"],
)
def test_whatever_is_sent_is_answered_and_nothing_is_printed(
    monkeypatch, capfd, request_line, status
):
    with (
        _served(monkeypatch, Management) as port,
        socket.create_connection(("127.0.0.1", port), timeout=30) as peer,
    ):
        peer.sendall(request_line + b"\r\n\r\n")
        answer = peer.recv(4096)

    assert status in answer
    assert capfd.readouterr().err == ""


def test_a_connection_that_fails_is_a_line_of_ours(monkeypatch, capfd):
    with _served(monkeypatch, Management) as port:
        monkeypatch.setattr("wsgiref.simple_server.WSGIRequestHandler.get_environ", lambda _: 1 / 0)
        with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
            peer.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert peer.recv(4096) == b""

    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert line["event"] == "management.connection.failed"
