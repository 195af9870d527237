"""`pdp device enrol` and `assert` as run on the device: which server, and what it says."""

import json
from pathlib import Path

import pytest

from tests.outbound.peers import answering, peer

TOKEN = "t" * 43


def _answer(status: str, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nContent-Type: application/json"
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + body


@pytest.fixture
def device(empty, monkeypatch):
    """A device that is not enrolled, with a home of its own."""
    monkeypatch.setenv("HOME", str(empty.folder))
    monkeypatch.delenv("PDP_CONFIG")
    return empty


def test_a_device_enrols_with_the_server_that_settings_name(device):
    with peer(answering(_answer("200 OK", {"device_id": "dev_1"}))) as server:
        issuer = f"http://127.0.0.1:{server.port}"
        (device.folder / "config.yaml").write_text(f"issuer: {issuer}\ndev: true\n")

        made = device.result("device", "enrol", TOKEN, "--name", "Mac")

    assert server.requests[0].startswith(b"POST /device/enrol ")
    assert made["device"] == "dev_1"
    assert json.loads(Path(made["key"]).read_bytes())["issuer"] == issuer


def test_without_settings_the_server_must_be_named(device):
    assert "--issuer https://id.example.com" in device.refused("device", "enrol", TOKEN)


def test_settings_that_cannot_be_used_are_told_instead_of_guessed(device):
    (device.folder / "config.yaml").write_text("issuer: nowhere\n")

    assert "issuer (config.yaml:1)" in device.refused("device", "enrol", TOKEN)
