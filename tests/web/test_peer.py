"""D36: what a stranger writes into a header is never where they are."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.web.peer import address_of, is_trusted_proxy

PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/64"))
SPOOFED = {
    "HTTP_X_FORWARDED_FOR": "127.0.0.1",
    "HTTP_X_REAL_IP": "127.0.0.1",
    "HTTP_FORWARDED": "for=127.0.0.1",
    "HTTP_X_FORWARDED_HOST": "evil.example",
    "HTTP_CLIENT_IP": "127.0.0.1",
    "HTTP_X_CLUSTER_CLIENT_IP": "127.0.0.1",
    "HTTP_TRUE_CLIENT_IP": "127.0.0.1",
}


def seen(peer, forwarded=None, trusted=PROXIES):
    environ = {"REMOTE_ADDR": peer}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return address_of(environ, trusted)


def test_nobody_is_believed_by_default():
    assert address_of({"REMOTE_ADDR": "10.0.0.1", **SPOOFED}, ()) == "10.0.0.1"


def test_an_untrusted_peer_is_not_believed():
    assert address_of({"REMOTE_ADDR": "192.0.2.9", **SPOOFED}, PROXIES) == "192.0.2.9"


def test_only_one_header_of_a_trusted_proxy_is_believed():
    spoofed = {name: text for name, text in SPOOFED.items() if name != "HTTP_X_FORWARDED_FOR"}

    assert address_of({"REMOTE_ADDR": "10.0.0.1", **spoofed}, PROXIES) == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("127.0.0.1, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.1,192.0.2.7,10.0.0.2", "192.0.2.7"),
        ("192.0.2.7:51234", "192.0.2.7"),
        ("[2001:db8::7]:51234", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, ::ffff:10.0.0.2", "192.0.2.7"),
        ("192.0.2.7, fd00::2", "192.0.2.7"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("192.0.2.7, unknown", "10.0.0.1"),
        ("192.0.2.7, _hidden, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.7,", "10.0.0.1"),
        ("fe80::1%eth0", "10.0.0.1"),
        ("", "10.0.0.1"),
        (" ", "10.0.0.1"),
    ],
)
def test_the_nearest_address_that_is_no_trusted_proxy_is_the_visitor(forwarded, address):
    assert seen("10.0.0.1", forwarded) == address


def test_a_trusted_proxy_seen_over_a_dual_stack_socket_is_trusted():
    assert seen("::ffff:10.0.0.1", "192.0.2.7") == "192.0.2.7"


@pytest.mark.parametrize("peer", ["", "unix:", "localhost", None])
def test_a_peer_without_an_address_is_no_trusted_proxy(peer):
    assert not is_trusted_proxy(peer, PROXIES)
    assert not is_trusted_proxy(peer, (ip_network("0.0.0.0/0"),))


@given(st.text())
def test_a_stranger_cannot_move_by_writing_before_what_the_proxy_wrote(text):
    assert seen("10.0.0.1", f"{text},192.0.2.7") == "192.0.2.7"
    assert seen("192.0.2.9", text) == "192.0.2.9"
