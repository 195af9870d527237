"""The short way in answers as Flask does: status, body and headers, for good and bad requests."""

import base64
import io
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from pdp.store.database import Database, Statement
from pdp.web.door import Door, is_program
from tests.builders import NOW, FrozenClock
from tests.deployment import a_webhook
from tests.oidc.world import World, secret_of
from tests.servers import stopped
from tests.web.browser import Browser

_FORM = "application/x-www-form-urlencoded"

Told = tuple[str, dict[str, str], bytes]


def through(application: Any, environ: dict[str, Any], body: bytes) -> Told:
    """Send one request through a WSGI application."""
    return told_by(application, an_environ(environ, body))


def told_by(application: Any, environ: dict[str, Any]) -> Told:
    """Hand over what a server made of a request."""
    told: list[Any] = []

    def start(status: str, headers: list[tuple[str, str]], _error: object = None) -> None:
        told.extend((status, dict(headers)))

    answer = application(environ, start)
    return told[0], told[1], b"".join(answer)


def an_environ(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    """A request as WSGI carries it, of an id that shows in the answer."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "id.example.org",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": A_PROXY,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.version": (1, 0),
        "HTTP_HOST": "id.example.org",
        "HTTP_X_REQUEST_ID": "request-of-the-test",
        **environ,
    }


def basic(client_id: str) -> str:
    """The header that authenticates a client of the world."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret_of(client_id)}".encode()).decode()


#: Whose word about a request's id is taken.
A_PROXY = "192.0.2.250"
BACKUP = basic("backup")


def a_form(path: str, authorization: str | None = BACKUP, **values: str) -> tuple[Any, bytes]:
    """A form for an endpoint."""
    environ: dict[str, Any] = {"PATH_INFO": path, "CONTENT_TYPE": _FORM}
    if authorization is not None:
        environ["HTTP_AUTHORIZATION"] = authorization
    return environ, urlencode(values).encode()


def a_signed_webhook(**changes: object) -> tuple[Any, bytes]:
    """A signed delivery as WSGI carries it."""
    body, headers = a_webhook(signed_at=NOW, **changes)
    environ: dict[str, Any] = {
        f"HTTP_{name.upper().replace('-', '_')}": values[0] for name, values in headers.items()
    }
    environ["CONTENT_TYPE"] = environ.pop("HTTP_CONTENT_TYPE")
    return {**environ, "PATH_INFO": "/webhooks/edr"}, body


def cases() -> dict[str, tuple[Any, bytes]]:
    """Requests good and bad, for every way through the door."""
    webhook, body = a_signed_webhook()
    return {
        "introspect nonsense": a_form("/introspect", token="x"),
        "introspect nothing": a_form("/introspect"),
        "introspect as nobody": a_form("/introspect", None, token="x"),
        "introspect badly": a_form("/introspect", "Basic !", token="x"),
        "no grant type": a_form("/token"),
        "unknown grant type": a_form("/token", grant_type="x"),
        "a code of nobody's": a_form("/token", grant_type="authorization_code", code="x"),
        "revoke nonsense": a_form("/revoke", token="x"),
        "userinfo without token": ({"PATH_INFO": "/userinfo", "REQUEST_METHOD": "GET"}, b""),
        "userinfo with nonsense": (
            {
                "PATH_INFO": "/userinfo",
                "REQUEST_METHOD": "GET",
                "HTTP_AUTHORIZATION": "Bearer x",
            },
            b"",
        ),
        "json at the token endpoint": (
            {"PATH_INFO": "/token", "CONTENT_TYPE": "application/json"},
            b"{}",
        ),
        "bytes that are no text": (
            {"PATH_INFO": "/token", "CONTENT_TYPE": _FORM, "HTTP_AUTHORIZATION": BACKUP},
            b"grant_type=\xff\xfe",
        ),
        "another method": ({"PATH_INFO": "/token", "REQUEST_METHOD": "PUT"}, b""),
        "too large": ({"PATH_INFO": "/token", "CONTENT_TYPE": _FORM}, b"x" * (1024 * 1024 + 1)),
        "no length": ({"PATH_INFO": "/token", "CONTENT_TYPE": _FORM, "CONTENT_LENGTH": ""}, b""),
        "an unsigned webhook": (
            {"PATH_INFO": "/webhooks/edr", "CONTENT_TYPE": "application/json"},
            b"{}",
        ),
        "a webhook of an unknown source": ({**webhook, "PATH_INFO": "/webhooks/nobody"}, body),
        "a webhook of another type": ({**webhook, "CONTENT_TYPE": "text/plain"}, body),
        "a webhook too late": a_signed_webhook(
            delivery_id="late", event_time="2030-01-01T00:00:00Z"
        ),
        "a page": ({"PATH_INFO": "/signin", "REQUEST_METHOD": "GET"}, b""),
        "discovery": (
            {"PATH_INFO": "/.well-known/openid-configuration", "REQUEST_METHOD": "GET"},
            b"",
        ),
    }


@pytest.mark.parametrize("name", sorted(cases()))
def test_both_doors_give_the_same_answer(browser: Browser, name: str):
    environ, body = cases()[name]

    flask = through(browser.app.wsgi_app, dict(environ), body)
    door = through(Door(browser.app), dict(environ), body)

    assert door[0][:3] == flask[0][:3]
    assert _comparable(door[1]) == _comparable(flask[1])
    if name != "a page":
        assert door[2] == flask[2]


@pytest.mark.parametrize(
    ("method", "path", "program"),
    [
        ("POST", "/token", True),
        ("POST", "/introspect", True),
        ("POST", "/revoke", True),
        ("GET", "/userinfo", True),
        ("POST", "/userinfo", True),
        ("POST", "/webhooks/edr", True),
        ("GET", "/webhooks/edr", False),
        ("GET", "/token", False),
        ("POST", "/signin", False),
        ("POST", "/account/webhooks/edr", False),
    ],
)
def test_programs_and_pages_are_told_apart(method: str, path: str, *, program: bool):
    """What is no program waits behind pages and passwords (DECISIONS 23)."""
    assert is_program(method, path) is program


def test_both_doors_issue_and_apply(browser: Browser):
    door = Door(browser.app)

    issued = through(door, *a_form("/token", grant_type="client_credentials"))
    applied = through(door, *a_signed_webhook())
    repeated = through(browser.app.wsgi_app, *a_signed_webhook())

    assert issued[0][:3] == "200"
    assert applied[0][:3] == repeated[0][:3] == "202"
    assert b'"accepted"' in applied[2]
    assert b'"duplicate"' in repeated[2]


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/userinfo", "/webhooks/edr"])
def test_both_doors_answer_503_and_change_nothing_when_the_database_is_gone(
    browser: Browser, path: str
):
    environ, body = a_form(path, token="x", grant_type="client_credentials")
    if path == "/userinfo":
        environ["HTTP_AUTHORIZATION"] = "Bearer x"
    if path.startswith("/webhooks"):
        environ, body = a_signed_webhook()
    _take_away(browser.world)

    flask = through(browser.app.wsgi_app, dict(environ), body)
    door = through(Door(browser.app), dict(environ), body)

    assert flask[0][:3] == door[0][:3] == "503"
    assert flask[1]["Retry-After"] == door[1]["Retry-After"]
    assert b"active" not in door[2]


@pytest.mark.parametrize("path", ["/token", "/introspect"])
def test_a_postgresql_that_stands_still_is_answered_503_and_when_to_come_back(
    postgresql_url: str, clock: FrozenClock, path: str
):
    database = Database.open(
        postgresql_url,
        pool_size=1,
        busy_timeout=timedelta(seconds=1),
        grace=timedelta(milliseconds=100),
    )
    door = Door(Browser(World(database, clock)).app)
    environ, body = a_form(path, token="x", grant_type="client_credentials")
    assert through(door, dict(environ), body)[0][:3] == "200"
    with database.read() as tx:
        (pid,) = tx.one(Statement("SELECT pg_backend_pid()"), {}) or (0,)

    with stopped(pid):
        status, headers, said = through(door, dict(environ), body)
    database.close()

    assert (status[:3], headers["Retry-After"]) == ("503", "5")
    assert b"access_token" not in said
    assert b"active" not in said


def _take_away(world: World) -> None:
    world.database.close()
    path = str(world.database.engine.url.database)
    with open(path, "wb") as file:  # noqa: PTH123  the file is made unreadable on purpose
        file.write(b"this is no database at all, and was never one" * 1000)
    assert isinstance(world.clock, FrozenClock)


def _comparable(headers: dict[str, str]) -> dict[str, str]:
    # A cookie is another one for each visitor.
    return {name.lower(): value for name, value in headers.items() if name.lower() != "set-cookie"}
