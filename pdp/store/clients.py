"""Clients and resources: read whole into memory when they change, written by administrators."""

from datetime import datetime

import sqlalchemy as sa

from pdp.domain.client import Client, ClientSecret, Resource
from pdp.domain.errors import Conflict, NotFound
from pdp.domain.ids import ClientId
from pdp.store import generations
from pdp.store.base import from_micros, from_micros_or_none, to_micros, to_micros_or_none
from pdp.store.database import Transaction
from pdp.store.tables.oidc import ClientRow, ResourceRow


def load_all(tx: Transaction) -> dict[ClientId, Client]:
    """Return every client by id, disabled ones included."""
    rows = tx.orm.scalars(sa.select(ClientRow).order_by(ClientRow.id))
    return {ClientId(row.id): _client(row) for row in rows}


def load_resources(tx: Transaction) -> tuple[Resource, ...]:
    """Return every resource."""
    rows = tx.orm.scalars(sa.select(ResourceRow).order_by(ResourceRow.identifier))
    return tuple(
        Resource(
            identifier=row.identifier,
            scopes=frozenset(_strings(row.scopes)),
            access_token_alg=row.access_token_alg,
            client=ClientId(row.client_id) if row.client_id else None,
        )
        for row in rows
    )


def add(tx: Transaction, client: Client, *, now: datetime) -> None:
    """Register a client; Conflict if its id is taken."""
    if tx.orm.get(ClientRow, client.id) is not None:
        raise Conflict(f"client {client.id!r} exists already")
    tx.orm.add(
        ClientRow(
            id=client.id,
            name=client.name,
            secrets=_secrets_out(client.secrets),
            auth_methods=sorted(client.auth_methods),
            redirect_uris=list(client.redirect_uris),
            post_logout_redirect_uris=list(client.post_logout_redirect_uris),
            grant_types=sorted(client.grant_types),
            scopes=sorted(client.scopes),
            jwks=client.jwks,
            pkce_required=client.pkce_required,
            nonce_required=client.nonce_required,
            id_token_alg=client.id_token_alg,
            first_party=client.first_party,
            backchannel_logout_uri=client.backchannel_logout_uri,
            initiate_login_uri=client.initiate_login_uri,
            created_at=now,
        )
    )
    generations.advance(tx)


def set_secrets(tx: Transaction, client_id: ClientId, secrets: tuple[ClientSecret, ...]) -> None:
    """Replace a client's secrets, the newest first."""
    _row(tx, client_id).secrets = _secrets_out(secrets)
    generations.advance(tx)


def set_disabled(tx: Transaction, client_id: ClientId, at: datetime | None) -> None:
    """Disable a client from `at` on, or enable it again with None."""
    _row(tx, client_id).disabled_at = at
    generations.advance(tx)


def add_resource(tx: Transaction, resource: Resource, *, now: datetime) -> None:
    """Register a resource; Conflict if its identifier or one of its scopes is taken."""
    for other in load_resources(tx):
        if other.identifier == resource.identifier:
            raise Conflict(f"resource {resource.identifier!r} exists already")
        if shared := sorted(other.scopes & resource.scopes):
            # A scope of two resources would leave open for which of them a token is.
            raise Conflict(f"scope {shared[0]!r} belongs to resource {other.identifier!r} already")
    tx.orm.add(
        ResourceRow(
            identifier=resource.identifier,
            scopes=sorted(resource.scopes),
            access_token_alg=resource.access_token_alg,
            client_id=resource.client,
            created_at=now,
        )
    )
    generations.advance(tx)


def _row(tx: Transaction, client_id: ClientId) -> ClientRow:
    row = tx.orm.get(ClientRow, client_id)
    if row is None:
        raise NotFound("client", client_id)
    return row


def _client(row: ClientRow) -> Client:
    return Client(
        id=ClientId(row.id),
        name=row.name,
        secrets=_secrets_in(row.secrets),
        auth_methods=frozenset(_strings(row.auth_methods)),
        redirect_uris=_strings(row.redirect_uris),
        post_logout_redirect_uris=_strings(row.post_logout_redirect_uris),
        grant_types=frozenset(_strings(row.grant_types)),
        scopes=frozenset(_strings(row.scopes)),
        jwks=row.jwks if isinstance(row.jwks, dict) else None,
        pkce_required=row.pkce_required,
        nonce_required=row.nonce_required,
        id_token_alg=row.id_token_alg,
        first_party=row.first_party,
        backchannel_logout_uri=row.backchannel_logout_uri,
        initiate_login_uri=row.initiate_login_uri,
        disabled=row.disabled_at is not None,
    )


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _secrets_out(secrets: tuple[ClientSecret, ...]) -> list[list[object]]:
    return [
        [secret.digest, to_micros(secret.created_at), to_micros_or_none(secret.expires_at)]
        for secret in secrets
    ]


def _secrets_in(value: object) -> tuple[ClientSecret, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        ClientSecret(
            digest=digest, created_at=from_micros(created), expires_at=from_micros_or_none(expires)
        )
        for digest, created, expires in value
    )
