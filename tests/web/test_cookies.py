import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from pdp.settings import Settings
from pdp.web import cookies
from pdp.web.cookies import BROWSER, DEVICE, SESSION

SETTINGS = Settings(issuer="https://login.example")
DEMO = Settings(issuer="http://localhost:8080", dev=True)


def request(header):
    return Request(EnvironBuilder(headers=[("Cookie", header)]).get_environ())


def set_by(settings, cookie):
    response = Response()
    cookies.put(response, settings, cookie, "value")
    name, *rest = response.headers["Set-Cookie"].split("; ")
    return name, set(rest)


@pytest.mark.parametrize("cookie", [BROWSER, SESSION])
def test_a_cookie_is_bound_to_https_this_host_and_this_browser_window(cookie):
    name, attributes = set_by(SETTINGS, cookie)

    assert name == f"__Host-pdp-{cookie}=value"
    assert attributes == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_the_cookie_of_a_device_outlives_the_browser_window():
    assert f"Max-Age={400 * 86400}" in set_by(SETTINGS, DEVICE)[1]


def test_the_demo_over_plain_http_uses_names_of_its_own():
    name, attributes = set_by(DEMO, SESSION)

    assert name == "pdp-session=value"
    assert "Secure" not in attributes
    assert "HttpOnly" in attributes


def test_a_dropped_cookie_is_gone():
    response = Response()
    cookies.drop(response, SETTINGS, SESSION)

    assert "__Host-pdp-session=;" in response.headers["Set-Cookie"]
    assert "Max-Age=0" in response.headers["Set-Cookie"]


def test_a_cookie_that_we_set_is_read_back():
    assert cookies.get(request("__Host-pdp-session=abc-_.~9"), SETTINGS, SESSION) == "abc-_.~9"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "pdp-session=abc",
        "__host-pdp-session=abc",
        "__Host-pdp-session",
        "__Host-pdp-session=",
        "__Host-pdp-session=a; __Host-pdp-session=b",
        "__Host-pdp-session=a b",
        "__Host-pdp-session=a%00b",
        "__Host-pdp-session=" + "a" * 513,
        "__Host-pdp-session=\N{LATIN SMALL LETTER E WITH ACUTE}",
        '__Host-pdp-session="a\\"b"',
        "__Host-pdp-session={}",
        "__Host-pdp-session=a\x01b",
        "__Host-pdp-session=../../etc/passwd",
        ";;;===,,,",
    ],
)
def test_a_malformed_cookie_is_none(header):
    assert cookies.get(request(header), SETTINGS, SESSION) is None
