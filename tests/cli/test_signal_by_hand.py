"""`pdp signal send`: what it says, how it is signed, and how a refusal reads."""

import json

import pytest

from pdp.sources.signatures import sign
from tests.outbound.peers import answering, peer

SECRET = "whsec_" + "QUJD" * 11
TAKEN = (202, {"result": "accepted", "signals": 1})


def answer(status: int, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nContent-Type: application/json"
    return head.encode() + b"\r\nConnection: close\r\n\r\n" + body


@pytest.fixture
def secret_file(empty):
    """A file with the source's secret, as an administrator's machine away from the server has."""
    path = empty.folder / "secret"
    path.write_text(f"{SECRET}\n")
    return str(path)


def sent(shell, server, *words: str):
    """Send, and return the delivery: headers by name, and the body."""
    issuer = f"http://127.0.0.1:{server.port}"
    assert shell.result("signal", "send", "edr", "--issuer", issuer, *words)["status"] == 202
    head, _, body = server.requests[-1].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /webhooks/edr HTTP/1.1"
    return {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}, body


def test_a_signal_is_told_in_words_and_signed_as_the_source_signs(empty, secret_file):
    with peer(answering(answer(*TAKEN))) as server:
        headers, body = sent(
            empty, server, "--device", "serial:C02XK1", "--risk", "high", "--not-compliant",
            "--id", "evt-7", "--time", "2026-03-02T10:00Z", "--secret-file", secret_file,
        )  # fmt: skip

    assert json.loads(body) == {
        "id": "evt-7",
        "event_time": "2026-03-02T10:00:00Z",
        "device": {"serial": "C02XK1"},
        "risk": "high",
        "compliant": False,
    }
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == sign(SECRET, headers["webhook-id"], stamp, body)


def test_a_file_is_sent_as_it_is(empty, secret_file):
    document = {"id": "evt-8", "event_time": "2026-03-02T10:00:00Z", "device": {"serial": "X"}}
    path = empty.folder / "signal.json"
    path.write_text(json.dumps(document))
    with peer(answering(answer(*TAKEN))) as server:
        _, body = sent(empty, server, "--json", str(path), "--secret-file", secret_file)

    assert json.loads(body) == document


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "--device"),
        (("--device", "serial:X", "--json", "FILE"), "--device"),
        (("--device", "X", "--risk", "low"), "KIND:VALUE"),
        (("--device", "colour:X", "--risk", "low"), "KIND one of"),
        (("--device", "serial:", "--risk", "low"), "KIND:VALUE"),
    ],
    ids=["nothing", "both", "no-kind", "unknown-kind", "no-value"],
)
def test_what_says_nothing_of_a_device_is_not_sent(empty, secret_file, words, told):
    here = [secret_file if word == "FILE" else word for word in words]
    (empty.folder / "secret").write_text('{"secret": "' + SECRET + '"}')

    assert told in empty.refused("signal", "send", "edr", *here, "--secret-file", secret_file)


def test_a_secret_that_is_none_is_named(empty, secret_file):
    (empty.folder / "secret").write_text("nonsense")
    words = ("--device", "serial:X", "--risk", "low", "--secret-file", secret_file)

    told = empty.refused("signal", "send", "edr", *words, "--issuer", "http://127.0.0.1:9")

    assert "whsec_" in told
    assert "nonsense" not in told


@pytest.mark.parametrize(
    ("reply", "code", "told"),
    [
        (answer(401, {"detail": "no source signed this body"}), 5, "no source signed this body"),
        (answer(409, {"title": "Conflict"}), 1, "Conflict"),
        (answer(500, "x"), 1, "no reason was given"),
        (answer(202, []), 1, "no JSON object"),
    ],
    ids=["denied", "conflict", "no-words", "no-object"],
)
def test_an_answer_that_is_no_yes_is_told_in_the_servers_words(
    empty, secret_file, reply, code, told
):
    words = ("--device", "serial:X", "--risk", "low", "--secret-file", secret_file)
    with peer(answering(reply)) as server:
        issuer = f"http://127.0.0.1:{server.port}"
        assert told in empty.refused("signal", "send", "edr", *words, "--issuer", issuer, code=code)


def test_a_server_that_does_not_answer_is_asked_after(empty, secret_file):
    words = ("--device", "serial:X", "--risk", "low", "--secret-file", secret_file)
    with peer(answering(b"")) as server:
        issuer = f"http://127.0.0.1:{server.port}"
        told = empty.refused("signal", "send", "edr", *words, "--issuer", issuer, code=1)

    assert "is `pdp serve` running?" in told


def test_on_the_server_the_stored_secret_signs(shell):
    made = shell.result("source", "add", "edr", "--adapter", "generic")
    with peer(answering(answer(*TAKEN))) as server:
        headers, body = sent(shell, server, "--device", "serial:X", "--risk", "low")

    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == sign(made["secret"], headers["webhook-id"], stamp, body)
    unknown = shell.refused("signal", "send", "mdm", "--device", "serial:X", "--risk", "low")
    assert "mdm" in unknown
