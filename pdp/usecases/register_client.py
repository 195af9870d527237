"""Relying parties, machines and APIs are registered, and get new secrets, by an operator."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pdp.domain.client import (
    ACCESS_TOKEN_ALGORITHMS,
    AUTH_METHODS,
    GRANT_TYPES,
    ID_TOKEN_ALGORITHMS,
    Client,
    ClientSecret,
    Resource,
)
from pdp.domain.errors import DomainError, NotFound
from pdp.domain.events import Action, Event
from pdp.domain.ids import ClientId
from pdp.store import audit, clients
from pdp.store.database import Transaction
from pdp.usecases.client_uris import redirect_uri_problem, server_uri_problem

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,128}")
_LONGEST_IDENTIFIER: Final = 512


class BadClient(DomainError):
    """A client or resource cannot be registered like this; the text says all that is wrong."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def register_client(tx: Transaction, client: Client, *, actor: str, now: datetime) -> None:
    """Register a client; BadClient with every problem, Conflict if its id is taken."""
    problems = tuple(_problems(client))
    if problems:
        raise BadClient(problems)
    clients.add(tx, client, now=now)
    detail: dict[str, object] = {
        "grant_types": sorted(client.grant_types),
        "scopes": sorted(client.scopes),
        "redirect_uris": list(client.redirect_uris),
    }
    _tell(tx, Action.CLIENT_CREATED, "client", client.id, detail, actor=actor, now=now)


def rotate_client_secret(
    tx: Transaction,
    client_id: ClientId,
    digest: str,
    *,
    overlap: timedelta,
    actor: str,
    now: datetime,
) -> None:
    """Give a client a new secret by its digest; the present one works for `overlap` more.

    An older one than the present ends at once. NotFound if there is no such client, BadClient
    if it authenticates without a secret.
    """
    client = _client(tx, client_id)
    if not any(method.startswith("client_secret") for method in client.auth_methods):
        raise BadClient((f"client {client_id!r} authenticates without a secret",))
    ends = now + overlap
    kept = tuple(
        ClientSecret(digest=old.digest, created_at=old.created_at, expires_at=_earlier(old, ends))
        for old in client.secrets[:1]
        if overlap and (old.expires_at is None or now < old.expires_at)
    )
    clients.set_secrets(tx, client_id, (ClientSecret(digest=digest, created_at=now), *kept))
    detail: dict[str, object] = {"old_expires_at": ends.isoformat()}
    _tell(tx, Action.CLIENT_SECRET_ROTATED, "client", client_id, detail, actor=actor, now=now)


def disable_client(tx: Transaction, client_id: ClientId, *, actor: str, now: datetime) -> bool:
    """Shut a client out of every endpoint; False if it was disabled, NotFound if there is none."""
    if _client(tx, client_id).disabled:
        return False
    clients.set_disabled(tx, client_id, now)
    _tell(tx, Action.CLIENT_DISABLED, "client", client_id, {}, actor=actor, now=now)
    return True


def enable_client(tx: Transaction, client_id: ClientId, *, actor: str, now: datetime) -> bool:
    """Let a client take part again; False if it was enabled, NotFound if there is none."""
    if not _client(tx, client_id).disabled:
        return False
    clients.set_disabled(tx, client_id, None)
    _tell(tx, Action.CLIENT_ENABLED, "client", client_id, {}, actor=actor, now=now)
    return True


def register_resource(tx: Transaction, resource: Resource, *, actor: str, now: datetime) -> None:
    """Register an API that tokens are for.

    BadClient with every problem, Conflict if its identifier or a scope is taken, NotFound if it
    names a client that is not registered.
    """
    problems = tuple(_resource_problems(resource))
    if problems:
        raise BadClient(problems)
    if resource.client is not None:
        _client(tx, resource.client)
    clients.add_resource(tx, resource, now=now)
    detail: dict[str, object] = {"scopes": sorted(resource.scopes), "client": resource.client}
    _tell(
        tx, Action.RESOURCE_CREATED, "resource", resource.identifier, detail, actor=actor, now=now
    )


def _client(tx: Transaction, client_id: ClientId) -> Client:
    client = clients.load_all(tx).get(client_id)
    if client is None:
        raise NotFound("client", client_id)
    return client


def _earlier(old: ClientSecret, ends: datetime) -> datetime:
    return ends if old.expires_at is None else min(old.expires_at, ends)


def _problems(client: Client) -> Iterator[str]:
    if not _ID.fullmatch(client.id):
        yield f"client id {client.id!r}: use letters, digits, `.`, `_` and `-`, at most 64"
    yield from _unknown("grant type", client.grant_types, GRANT_TYPES)
    yield from _unknown("authentication method", client.auth_methods, AUTH_METHODS)
    yield from _unknown("ID token algorithm", {client.id_token_alg}, ID_TOKEN_ALGORITHMS)
    yield from _bad_scopes(client.scopes)
    yield from _uri_problems(client)
    yield from _credential_problems(client)
    if client.is_public and not client.pkce_required:
        yield "a public client must use PKCE (RFC 9700 §2.1.1): leave --without-pkce out"


def _unknown(kind: str, given: frozenset[str] | set[str], known: tuple[str, ...]) -> Iterator[str]:
    for name in sorted(given - set(known)):
        yield f"{kind} {name!r}: use one of {', '.join(known)}"


def _bad_scopes(scopes: frozenset[str]) -> Iterator[str]:
    for scope in sorted(scopes):
        if not _SCOPE.fullmatch(scope):
            yield f"scope {scope!r}: use printable ASCII without spaces, quotes and backslashes"


def _uri_problems(client: Client) -> Iterator[str]:
    uses_browser = "authorization_code" in client.grant_types
    if uses_browser and not client.redirect_uris:
        yield "redirect URI: give at least one (--redirect-uri), or use --machine"
    for uri in client.redirect_uris:
        if problem := redirect_uri_problem(uri, is_public=client.is_public):
            yield f"redirect URI {uri!r}: {problem}"
    for uri in client.post_logout_redirect_uris:
        if problem := redirect_uri_problem(uri, is_public=client.is_public):
            yield f"post-logout redirect URI {uri!r}: {problem}"
    for name, single in (
        ("back-channel logout URI", client.backchannel_logout_uri),
        ("initiate login URI", client.initiate_login_uri),
    ):
        if single is not None and (problem := server_uri_problem(single)):
            yield f"{name} {single!r}: {problem}"


def _credential_problems(client: Client) -> Iterator[str]:
    if "none" in client.auth_methods and len(client.auth_methods) > 1:
        yield "a public client authenticates with nothing: leave other methods out"
    if client.is_public and "client_credentials" in client.grant_types:
        yield "a public client proves nothing, so it cannot use client_credentials"
    if ("private_key_jwt" in client.auth_methods) != (client.jwks is not None):
        yield "private_key_jwt and the client's public keys (--jwks) go together"
    if client.jwks is not None:
        yield from _key_problems(client.jwks)


def _key_problems(jwks: object) -> Iterator[str]:
    try:
        keys = KeySet.import_key_set(jwks).keys  # type: ignore[arg-type]  # checked here
    except (JoseError, ValueError, KeyError, TypeError):
        yield "the key set cannot be read: give a JSON object with `keys`, not empty (RFC 7517 §5)"
        return
    if any(key.is_private for key in keys):
        yield "the key set holds a private key: give the public halves only, and make a new key"


def _resource_problems(resource: Resource) -> Iterator[str]:
    identifier = resource.identifier
    if not identifier or len(identifier) > _LONGEST_IDENTIFIER or server_uri_problem(identifier):
        yield f"resource {identifier!r}: use an https URI without fragment (RFC 8707 §2)"
    if not resource.scopes:
        yield "scope: give at least one (--scope)"
    yield from _bad_scopes(resource.scopes)
    yield from _unknown(
        "access token algorithm", {resource.access_token_alg}, ACCESS_TOKEN_ALGORITHMS
    )


def _tell(
    tx: Transaction,
    action: Action,
    kind: str,
    object_id: str,
    detail: dict[str, object],
    *,
    actor: str,
    now: datetime,
) -> None:
    audit.append(
        tx,
        Event(at=now, actor=actor, action=action, kind=kind, object_id=object_id, detail=detail),
    )
