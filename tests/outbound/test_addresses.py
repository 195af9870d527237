from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdp.outbound.addresses import OutboundRefused, check_addresses, parse_target

PRIVATE = [
    "0.0.0.0",  # noqa: S104  refused here, bound nowhere
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
]


def target(url="https://rp.example/hook"):
    return parse_target(url, allow_http=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(OutboundRefused, match="not public"):
        check_addresses(target(), [ip_address(address)], ())


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called(address):
    check_addresses(target(), [ip_address(address)], ())


def test_one_private_address_among_public_ones_refuses_them_all():
    addresses = [ip_address("8.8.8.8"), ip_address("10.0.0.1")]

    with pytest.raises(OutboundRefused, match=r"rp\.example is at 10\.0\.0\.1"):
        check_addresses(target(), addresses, ())


def test_a_name_without_addresses_is_refused():
    with pytest.raises(OutboundRefused, match="no address"):
        check_addresses(target(), [], ())


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"])
def test_a_private_network_that_settings_name_may_be_called(address):
    check_addresses(target(), [ip_address(address)], [ip_network("10.1.0.0/16")])


def test_a_gateway_prefix_in_the_settings_does_not_open_what_lies_behind_it():
    with pytest.raises(OutboundRefused):
        check_addresses(target(), [ip_address("64:ff9b::7f00:1")], [ip_network("64:ff9b::/96")])


@pytest.mark.parametrize(
    "url",
    [
        "http://rp.example/",
        "ftp://rp.example/",
        "file:///etc/passwd",
        "//rp.example/",
        "rp.example",
        "https://",
        "https:///path",
        "https://user@rp.example/",
        "https://user:word@rp.example/",
        "https://rp.example@10.0.0.1/",
        "https://rp.example/#fragment",
        "https://rp.example:0/",
        "https://rp.example:65536/",
        "https://rp.example:port/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://127.0.0.01/",
        "https://256.0.0.1/",
        "https://rp.example./",
        "https://rp..example/",
        "https://-rp.example/",
        "https://rp_1.example/",
        "https://rp%2eexample/",
        "https://[::1%25eth0]/",
        "https://[::g]/",
        "https://[rp.example]/",
        "https://r\N{LATIN SMALL LETTER E WITH ACUTE}p.example/",
        "https://\N{CIRCLED DIGIT ONE}27.0.0.1/",
        "https://rp.example/ space",
        "https://rp.example/\ttab",
        "https://rp.example/\r\nHost: evil",
        "https://rp.example\\@10.0.0.1/",
        f"https://rp.example/{'a' * 2048}",
        f"https://{'a' * 64}.example/",
        f"https://{'.'.join(['a' * 60] * 5)}/",
    ],
)
def test_an_odd_url_is_refused(url):
    with pytest.raises(OutboundRefused):
        parse_target(url, allow_http=False)


@pytest.mark.parametrize(
    ("url", "authority", "rebuilt"),
    [
        ("https://RP.example", "rp.example", "https://rp.example/"),
        ("https://rp.example:443/a?b=c", "rp.example", "https://rp.example/a?b=c"),
        ("https://rp.example:8443/", "rp.example:8443", "https://rp.example:8443/"),
        ("http://127.0.0.1:80/x", "127.0.0.1", "http://127.0.0.1/x"),
        ("https://[2606:4700::1]:9/", "[2606:4700::1]:9", "https://[2606:4700::1]:9/"),
        ("https://3com.example/", "3com.example", "https://3com.example/"),
    ],
)
def test_an_ordinary_url_is_read_in_one_spelling(url, authority, rebuilt):
    found = parse_target(url, allow_http=True)

    assert (found.authority, found.url) == (authority, rebuilt)


@given(st.text())
def test_any_text_is_a_target_or_refused(text):
    try:
        found = parse_target(text, allow_http=True)
    except OutboundRefused:
        return
    assert parse_target(found.url, allow_http=True) == found
