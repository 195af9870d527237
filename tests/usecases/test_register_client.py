"""Clients and resources: what cannot be registered, and secrets that change with an overlap."""

from datetime import timedelta

import pytest
from joserfc.jwk import ECKey

from pdp.domain.client import ClientSecret, Resource
from pdp.domain.errors import Conflict, NotFound
from pdp.domain.events import Action
from pdp.domain.ids import ClientId
from pdp.store import audit_trail, clients
from pdp.usecases.client_uris import redirect_uri_problem, server_uri_problem
from pdp.usecases.register_client import (
    BadClient,
    disable_client,
    enable_client,
    register_client,
    register_resource,
    rotate_client_secret,
)
from tests.builders import NOW
from tests.deployment import a_client

CALLBACK = "https://wiki.example/callback"
DAY = timedelta(hours=24)
WIKI = ClientId("wiki")


def _relying_party(**changes):
    return a_client(**{"redirect_uris": (CALLBACK,), **changes})


def _register(database, client):
    with database.write() as tx:
        register_client(tx, client, actor="cli:ada", now=NOW)


def _stored(database, client_id="wiki"):
    with database.read() as tx:
        return clients.load_all(tx)[client_id]


def _events(database):
    with database.read() as tx:
        return [event.action for event in reversed(audit_trail.recent(tx))]


def test_a_registered_client_is_stored_and_recorded(database):
    _register(database, _relying_party())

    assert _stored(database) == _relying_party()
    assert _events(database) == [Action.CLIENT_CREATED]


def test_an_id_is_taken_once(database):
    _register(database, _relying_party())

    with pytest.raises(Conflict, match="wiki"):
        _register(database, _relying_party())


#: A URI, whether the client is public, and what is said of it.
URIS = (
    ("https://a.example/cb", False, None),
    ("http://127.0.0.1/cb", False, None),
    ("http://[::1]:8080/cb", True, None),
    ("com.example.app:/cb", True, None),
    ("com.example.app:/cb", False, "https"),
    ("myapp:/cb", True, "dot"),
    ("javascript:alert(1)", True, "dot"),
    ("http://a.example/cb", False, "loopback"),
    ("http://127.0.0.1.evil.example/cb", False, "loopback"),
    ("https://a.example/cb#x", False, "fragment"),
    ("https://*.example/cb", False, "wildcards"),
    ("https://user@a.example/cb", False, "user name"),
    ("https://a.example\\@b.example/cb", False, "backslashes"),
    ("https:///cb", False, "host"),
    ("https://a.example:port/cb", False, "port"),
    ("https://[::1/cb", False, "cannot be read"),
    ("/cb", False, "absolute"),
    ("https://a.example/c b", False, "spaces"),
)


@pytest.mark.parametrize(("uri", "is_public", "said"), URIS, ids=[uri for uri, _, _ in URIS])
def test_redirect_uris_are_exact_and_safe(uri, is_public, said):
    problem = redirect_uri_problem(uri, is_public=is_public)

    assert (problem is None) if said is None else (said in (problem or ""))


def test_addresses_that_we_call_have_no_private_scheme():
    assert server_uri_problem("https://wiki.example/logout") is None
    assert "https" in (server_uri_problem("com.example.app:/logout") or "")


_PRIVATE = {"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}
_KEYED = {"auth_methods": frozenset({"private_key_jwt"})}
_PUBLIC = {"auth_methods": frozenset({"none"})}

WRONG = {
    "no-redirect-uri": ({"redirect_uris": ()}, "redirect URI"),
    "odd-id": ({"id": "wi ki"}, "client id"),
    "odd-scope": ({"scopes": frozenset({'a"b'})}, "scope"),
    "unknown-grant": ({"grant_types": frozenset({"password"})}, "grant type"),
    "unknown-method": ({"auth_methods": frozenset({"tls"})}, "authentication method"),
    "unknown-algorithm": ({"id_token_alg": "none"}, "ID token algorithm"),
    "public-without-pkce": ({**_PUBLIC, "pkce_required": False}, "must use PKCE"),
    "public-machine": (
        {**_PUBLIC, "grant_types": frozenset({"client_credentials"})},
        "client_credentials",
    ),
    "public-with-secret": (
        {"auth_methods": frozenset({"none", "client_secret_basic"})},
        "leave other methods out",
    ),
    "no-keys": (_KEYED, "go together"),
    "unused-keys": ({"jwks": {"keys": []}}, "go together"),
    "empty-keys": ({**_KEYED, "jwks": {"keys": []}}, "not empty"),
    "private-keys": ({**_KEYED, "jwks": _PRIVATE}, "private key"),
    "odd-keys": ({**_KEYED, "jwks": {"keys": [{"kty": "oct?"}]}}, "cannot be read"),
    "odd-logout": ({"backchannel_logout_uri": "http://a.example/"}, "back-channel logout URI"),
    "odd-return": ({"post_logout_redirect_uris": ("/",)}, "post-logout redirect URI"),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_a_client_is_refused_with_the_reason(database, changes, said):
    with pytest.raises(BadClient, match=said):
        _register(database, _relying_party(**changes))

    with database.read() as tx:
        assert clients.load_all(tx) == {}


def test_all_problems_are_told_at_once(database):
    with pytest.raises(BadClient) as refused:
        _register(database, _relying_party(id="", redirect_uris=("/", "//")))

    assert len(refused.value.problems) == 3


def test_the_old_secret_works_until_the_overlap_ends(database):
    _register(database, _relying_party(secrets=(ClientSecret(digest="first", created_at=NOW),)))
    with database.write() as tx:
        rotate_client_secret(tx, WIKI, "second", overlap=DAY, actor="cli:ada", now=NOW)

    newest, old = _stored(database).secrets
    assert (newest.digest, newest.expires_at) == ("second", None)
    assert (old.digest, old.expires_at) == ("first", NOW + DAY)


def test_without_overlap_the_old_secret_ends_at_once(database):
    _register(database, _relying_party(secrets=(ClientSecret(digest="first", created_at=NOW),)))
    with database.write() as tx:
        rotate_client_secret(tx, WIKI, "second", overlap=0 * DAY, actor="cli:ada", now=NOW)

    assert [secret.digest for secret in _stored(database).secrets] == ["second"]


def test_a_third_secret_ends_the_first_and_never_lengthens_the_second(database):
    _register(database, _relying_party(secrets=(ClientSecret(digest="first", created_at=NOW),)))
    with database.write() as tx:
        rotate_client_secret(tx, WIKI, "second", overlap=DAY, actor="cli:ada", now=NOW)
        rotate_client_secret(tx, WIKI, "third", overlap=DAY, actor="cli:ada", now=NOW)

    assert [secret.digest for secret in _stored(database).secrets] == ["third", "second"]


def test_a_client_without_secret_gets_none(database):
    _register(database, _relying_party(**_PUBLIC))

    with database.write() as tx, pytest.raises(BadClient, match="without a secret"):
        rotate_client_secret(tx, WIKI, "x", overlap=DAY, actor="cli:ada", now=NOW)


def test_disabling_and_enabling_is_recorded_once_each(database):
    _register(database, _relying_party())
    with database.write() as tx:
        changes = [
            disable_client(tx, WIKI, actor="cli:ada", now=NOW),
            disable_client(tx, WIKI, actor="cli:ada", now=NOW),
            enable_client(tx, WIKI, actor="cli:ada", now=NOW),
            enable_client(tx, WIKI, actor="cli:ada", now=NOW),
        ]

    assert changes == [True, False, True, False]
    assert sorted(_events(database)) == sorted(
        [Action.CLIENT_CREATED, Action.CLIENT_DISABLED, Action.CLIENT_ENABLED]
    )


def test_who_is_not_registered_cannot_be_disabled(database):
    with database.write() as tx, pytest.raises(NotFound):
        disable_client(tx, WIKI, actor="cli:ada", now=NOW)


def test_a_resource_is_registered_with_its_client(database):
    resource = Resource(identifier="https://api.example", scopes=frozenset({"read"}), client=WIKI)
    _register(database, _relying_party())
    with database.write() as tx:
        register_resource(tx, resource, actor="cli:ada", now=NOW)

    with database.read() as tx:
        assert clients.load_resources(tx) == (resource,)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"identifier": "api"}, BadClient),
        ({"scopes": frozenset()}, BadClient),
        ({"scopes": frozenset({"a b"})}, BadClient),
        ({"access_token_alg": "none"}, BadClient),
        ({"client": "nobody"}, NotFound),
    ],
    ids=["identifier", "no-scope", "odd-scope", "algorithm", "client"],
)
def test_a_resource_is_refused(database, changes, error):
    given = {"identifier": "https://api.example", "scopes": frozenset({"read"}), **changes}

    with database.write() as tx, pytest.raises(error):
        register_resource(tx, Resource(**given), actor="cli:ada", now=NOW)
