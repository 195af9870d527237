"""`pdp device enrol` and `assert` as run on the device: which server, and what it says."""

import json
from pathlib import Path

import pytest
from joserfc import jws

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


def test_a_refused_enrolment_keeps_no_key(device):
    refusal = _answer("403 Forbidden", {"detail": "the token is not good any more"})
    with peer(answering(refusal)) as server:
        issuer = f"http://127.0.0.1:{server.port}"
        told = device.refused("device", "enrol", TOKEN, "--issuer", issuer, code=5)

    assert "not good any more" in told
    assert not list(device.folder.glob(".config/pratique/*"))


def test_an_enrolled_device_answers_a_pages_code_with_an_assertion(device):
    answers = iter(
        [
            _answer("200 OK", {"device_id": "dev_1"}),
            _answer("200 OK", {"nonce": "n-1", "expires_in": 60}),
            _answer("200 OK", {}),
            _answer("200 OK", {"nonce": "n-2", "expires_in": 60}),
            _answer("200 OK", {"nonce": 7}),
        ]
    )

    def behave(connection, it):
        answering(next(answers))(connection, it)

    with peer(behave) as server:
        device.result("device", "enrol", TOKEN, "--issuer", f"http://127.0.0.1:{server.port}")
        device.told("device", "assert", "--code", "ABCD-EFGH")
        shown = device.told("device", "assert").strip()
        confused = device.refused("device", "assert", code=1)

    told = server.requests[2].decode()
    assert told.startswith("POST /device/assert ")
    assert "ABCD-EFGH" in told
    claims = jws.extract_compact(shown.encode()).payload
    assert json.loads(claims)["nonce"] == "n-2"
    assert "gave no nonce" in confused


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "pdp device enrol"),
        ("{}", 0o600, "device.json"),
        ("[", 0o600, "device.json"),
        ('{"device": "d", "issuer": "i", "jwk": {}}', 0o644, "chmod"),
    ],
    ids=["missing", "empty", "broken", "not-private"],
)
def test_a_key_file_that_cannot_be_trusted_is_not_used(device, content, mode, words):
    path = device.folder / "device.json"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)

    assert words in device.refused("device", "assert", "--key-path", str(path))
