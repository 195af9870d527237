"""D20: whatever a URL, a name or a server does, private services see no connection."""

import itertools
import ssl
import threading
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
import responses

from pdp.outbound.client import Outbound, OutboundFailed, OutboundRefused
from pdp.settings import OutboundSettings
from tests.outbound.peers import (
    Authority,
    answering,
    answering_once,
    endless,
    hanging,
    peer,
    trickling,
)

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Kind: plain\r\n\r\nfine"
SOON = timedelta(seconds=0.4)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A private authority that outbound.ca_bundle can name."""
    return Authority.made_in(tmp_path_factory.mktemp("authority"))


def outbound(*, resolves_to=("127.0.0.1",), allow=LOOPBACK, http=True, **settings):
    return Outbound(
        OutboundSettings(allow_networks=allow, allow_http=http, **settings),
        resolver=lambda _: list(map(ip_address, resolves_to)),
    )


def test_a_post_carries_body_headers_and_the_name_of_the_host():
    with peer(answering(OK)) as it:
        answer = outbound().post(
            f"http://rp.example:{it.port}/hook?a=b", body=b"token=1", headers={"X-A": "b"}
        )

    assert (answer.status, answer.body, answer.headers["x-kind"]) == (200, b"fine", "plain")
    head, _, body = it.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=b HTTP/1.1")
    assert f"Host: rp.example:{it.port}".encode() in head
    assert b"X-A: b" in head
    assert body == b"token=1"


def test_a_get_returns_what_is_there():
    with peer(answering(OK)) as it:
        assert outbound().get(f"http://rp.example:{it.port}/keys").body == b"fine"


@responses.activate
def test_calls_can_be_answered_by_the_library_that_tests_use():
    responses.post("https://rp.example/hook", body=b"fine")

    answer = outbound(resolves_to=("8.8.8.8",)).post(
        "https://rp.example/hook", body=b"a", headers={}
    )

    assert (answer.status, answer.body) == (200, b"fine")


def test_a_connection_is_used_again():
    with peer(answering(OK)) as it:
        caller = outbound()
        for _ in range(5):
            caller.post(f"http://rp.example:{it.port}/", body=b"", headers={})

    assert (len(it.requests), it.connections) == (5, 1)


def test_cookies_of_one_answer_are_not_sent_with_the_next_call():
    with peer(answering(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n")) as it:
        caller = outbound()
        for _ in range(2):
            caller.get(f"http://rp.example:{it.port}/")

    assert b"ookie" not in it.requests[1]


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Transfer-Encoding", "Connection"])
def test_callers_cannot_say_where_a_message_goes_or_ends(name):
    with peer(answering(OK)) as it:
        outbound().post(f"http://rp.example:{it.port}/", body=b"ab", headers={name: "evil"})

    assert b"evil" not in it.requests[0]


def test_a_header_with_a_line_break_is_refused():
    with pytest.raises(OutboundRefused):
        outbound().get("http://rp.example/", headers={"X-A": "b\r\nX-Evil: c"})


def test_proxies_of_the_environment_are_ignored(monkeypatch):
    with peer(answering(OK)) as proxy, peer(answering(OK)) as it:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        outbound().get(f"http://rp.example:{it.port}/")

    assert (proxy.connections, it.connections) == (0, 1)


def test_https_is_verified_against_the_name_while_connected_to_the_address(authority):
    with peer(answering(OK), tls=authority.server_for("rp.example")) as it:
        caller = outbound(http=False, ca_bundle=authority.bundle)
        answers = [caller.get(f"https://rp.example:{it.port}/") for _ in range(2)]

    assert [answer.body for answer in answers] == [b"fine", b"fine"]
    assert it.connections == 1


def test_an_address_in_the_url_is_verified_against_the_certificate_too(authority):
    with peer(answering(OK), tls=authority.server_for("127.0.0.1")) as it:
        caller = outbound(http=False, ca_bundle=authority.bundle)
        assert caller.get(f"https://127.0.0.1:{it.port}/").status == 200


def test_a_certificate_for_another_name_is_refused(authority):
    with peer(answering(OK), tls=authority.server_for("other.example")) as it:
        caller = outbound(http=False, ca_bundle=authority.bundle)
        with pytest.raises(OutboundFailed, match="no certificate"):
            caller.get(f"https://rp.example:{it.port}/")

    assert not it.requests


def test_an_authority_that_nobody_named_is_not_trusted(authority):
    nobodys = authority.server_for("rp.example")
    with peer(answering(OK), tls=nobodys) as it, pytest.raises(OutboundFailed, match="no certif"):
        outbound(http=False).get(f"https://rp.example:{it.port}/")

    assert not it.requests


def test_the_bundle_stands_beside_the_authorities_of_the_system(authority):
    with_bundle = outbound(ca_bundle=authority.bundle)
    system = ssl.create_default_context().cert_store_stats()["x509_ca"]

    trusted = with_bundle._adapter._tls.cert_store_stats()["x509_ca"]  # noqa: SLF001  no other way to see

    assert trusted == system + 1


def test_plain_http_is_refused_unless_settings_allow_it():
    with peer(answering(OK)) as it, pytest.raises(OutboundRefused, match="https"):
        outbound(http=False).get(f"http://rp.example:{it.port}/")

    assert it.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "localhost",
        "rp.example@127.0.0.1",
        "169.254.169.254",
    ],
)
def test_the_canary_sees_no_connection(host):
    with peer(answering(OK)) as canary, pytest.raises(OutboundRefused):
        outbound(allow=()).get(f"http://{host}:{canary.port}/")

    assert canary.connections == 0


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("8.8.8.8", "127.0.0.1"), ("::1",)])
def test_a_name_that_leads_to_a_private_address_is_refused(addresses):
    with peer(answering(OK)) as canary, pytest.raises(OutboundRefused, match="not public"):
        outbound(allow=(), resolves_to=addresses).get(f"http://rp.example:{canary.port}/")

    assert canary.connections == 0


def test_a_name_is_resolved_once_so_that_it_cannot_change_its_mind():
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["10.0.0.1"]))
    asked = []

    def rebinding(host):
        asked.append(host)
        return list(map(ip_address, next(answers)))

    with peer(answering(OK)) as it:
        settings = OutboundSettings(allow_networks=LOOPBACK, allow_http=True)
        caller = Outbound(settings, resolver=rebinding)
        caller.get(f"http://rp.example:{it.port}/")
        assert asked == ["rp.example"]

        with pytest.raises(OutboundRefused):
            caller.get(f"http://rp.example:{it.port}/")

    assert it.connections == 1


def test_a_redirect_is_an_answer_and_is_not_followed():
    with peer(answering(OK)) as canary:
        location = f"http://127.0.0.1:{canary.port}/"
        moved = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        with peer(answering(moved.encode())) as it:
            answer = outbound().get(f"http://rp.example:{it.port}/")

    assert (answer.status, canary.connections) == (302, 0)


def test_the_second_address_is_tried_when_the_first_accepts_no_connection():
    with peer(answering(OK)) as it:
        caller = outbound(resolves_to=("::1", "127.0.0.1"))
        assert caller.get(f"http://rp.example:{it.port}/").status == 200


def test_nobody_listening_is_a_failure():
    with peer(answering(OK)) as it:
        port = it.port
    with pytest.raises(OutboundFailed, match=r"rp\.example does not accept connections"):
        outbound().get(f"http://rp.example:{port}/")


@pytest.mark.parametrize("behaviour", [hanging, trickling], ids=["hanging", "trickling"])
def test_a_server_that_does_not_finish_is_left_at_the_deadline(behaviour):
    with peer(behaviour) as it, pytest.raises(OutboundFailed, match="in time"):
        outbound(timeout=SOON).get(f"http://rp.example:{it.port}/")


def test_a_server_that_never_ends_its_handshake_is_left_at_the_deadline(authority):
    with peer(hanging) as it, pytest.raises(OutboundFailed, match="in time"):
        outbound(timeout=SOON, ca_bundle=authority.bundle).get(f"https://rp.example:{it.port}/")


def test_a_resolver_that_does_not_answer_is_left_at_the_deadline():
    with peer(hanging) as it:

        def stuck(_):
            it.stopping.wait(5)
            return []

        caller = Outbound(OutboundSettings(timeout=SOON), resolver=stuck)
        with pytest.raises(OutboundFailed, match="not resolved in time"):
            caller.get("https://rp.example/")


def test_a_name_that_nobody_answers_for_keeps_no_other_from_being_resolved():
    answered, asked = threading.Event(), []

    def half_stuck(host):
        asked.append(host)
        if host == "stuck.example":
            answered.wait(20)
        raise OSError(f"{host} is unknown")

    caller = Outbound(OutboundSettings(timeout=SOON / 8), resolver=half_stuck)
    for _ in range(20):
        with pytest.raises(OutboundFailed, match="not resolved in time"):
            caller.check("https://stuck.example/")
    with pytest.raises(OutboundFailed, match="has no address"):
        caller.check("https://rp.example/")
    answered.set()
    caller.close()

    assert asked == ["stuck.example", "rp.example"]


def test_a_name_that_does_not_resolve_is_a_failure():
    def unknown(host):
        raise OSError(host)

    with pytest.raises(OutboundFailed, match=r"rp\.example has no address"):
        Outbound(OutboundSettings(), resolver=unknown).get("https://rp.example/")


def test_a_body_without_end_is_cut_at_the_limit():
    with peer(endless) as it, pytest.raises(OutboundFailed, match="larger than 2048 bytes"):
        outbound(max_body_bytes=2048).get(f"http://rp.example:{it.port}/")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsecret",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nsecret",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nsecret",
        b"HTTP/1.1 secret\r\n\r\n",
        b"secret",
        b"",
        b"HTTP/1.1 200 OK\r\n" + b"X: secret\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\nsecret",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"secret" * 1000,
    ],
    ids=[
        "length too great",
        "length negative",
        "chunk too short",
        "bad status line",
        "no HTTP",
        "nothing",
        "too many headers",
        "compressed",
        "giant",
    ],
)
def test_a_lying_server_is_a_failure_that_repeats_nothing_of_what_it_said(answer):
    with peer(answering_once(answer)) as it, pytest.raises(OutboundFailed) as caught:
        outbound(max_body_bytes=2048).get(f"http://rp.example:{it.port}/path-of-ours")

    assert "secret" not in str(caught.value)
    assert "path-of-ours" not in str(caught.value)
