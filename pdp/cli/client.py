"""`pdp client`: relying parties, machines and APIs."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import click

from pdp.cli.context import pass_runtime
from pdp.cli.failures import Failed
from pdp.cli.invocation import actor
from pdp.cli.output import say, show
from pdp.cli.parameters import DURATION, FILE, read_json_object
from pdp.clock import new_secret
from pdp.domain.client import (
    ACCESS_TOKEN_ALGORITHMS,
    ID_TOKEN_ALGORITHMS,
    IDENTITY_SCOPES,
    Client,
    ClientSecret,
    Resource,
)
from pdp.domain.errors import NotFound
from pdp.domain.ids import ClientId
from pdp.outbound.client import Outbound, OutboundFailed, OutboundRefused
from pdp.runtime import Runtime
from pdp.store import clients
from pdp.usecases import register_client
from pdp.usecases.client_secrets import client_pepper, secret_digest

_AUTH_METHODS = ("client_secret_basic", "client_secret_post", "private_key_jwt")
_BY_SECRET = frozenset({"client_secret_basic", "client_secret_post"})


@click.group()
def client() -> None:
    """Register relying parties, machines and APIs."""


@client.command()
@click.argument("client_id", metavar="ID")
@click.option("--name", default="", help="What pages call it; the id, if left out.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Exact; may be repeated.")
@click.option("--post-logout-redirect-uri", "post_logout_uris", multiple=True)
@click.option("--scope", "scopes", multiple=True, help="May be repeated.")
@click.option("--public", is_flag=True, help="Keeps no secret: an app or a page in a browser.")
@click.option("--machine", is_flag=True, help="Signs in as itself, by client_credentials.")
@click.option("--without-pkce", is_flag=True, help="Only for old software; it owes a nonce then.")
@click.option("--without-nonce", is_flag=True, help="With --without-pkce: owes no nonce either.")
@click.option(
    "--id-token-alg", type=click.Choice(ID_TOKEN_ALGORITHMS), default="RS256", show_default=True
)
@click.option("--auth-method", "auth_methods", type=click.Choice(_AUTH_METHODS), multiple=True)
@click.option("--jwks", type=FILE, help="Public keys for private_key_jwt.")
@click.option("--backchannel-logout-uri")
@click.option("--initiate-login-uri", help="Where people begin again at the application.")
@click.option("--third-party", is_flag=True, help="Asks people for consent.")
@pass_runtime
def add(  # noqa: PLR0913, PLR0917  each option is one member of the registration
    runtime: Runtime,
    client_id: str,
    name: str,
    redirect_uris: tuple[str, ...],
    post_logout_uris: tuple[str, ...],
    scopes: tuple[str, ...],
    public: bool,  # noqa: FBT001  a flag is what it is
    machine: bool,  # noqa: FBT001
    without_pkce: bool,  # noqa: FBT001
    without_nonce: bool,  # noqa: FBT001
    id_token_alg: str,
    auth_methods: tuple[str, ...],
    jwks: Path | None,
    backchannel_logout_uri: str | None,
    initiate_login_uri: str | None,
    third_party: bool,  # noqa: FBT001
) -> None:
    """Register the client ID, and show its secret once."""
    _check_flags(is_public=public, methods=auth_methods, without_pkce=without_pkce)
    methods = _methods(auth_methods, is_public=public, has_keys=jwks is not None)
    now = runtime.clock()
    secret = new_secret() if methods & _BY_SECRET else None
    registered = Client(
        id=ClientId(client_id),
        name=name or client_id,
        secrets=_secrets(runtime, secret),
        auth_methods=methods,
        redirect_uris=redirect_uris,
        post_logout_redirect_uris=post_logout_uris,
        grant_types=_grant_types(is_machine=machine, has_redirects=bool(redirect_uris)),
        scopes=frozenset(scopes) or _default_scopes(is_machine=machine),
        jwks=None if jwks is None else read_json_object(jwks),
        pkce_required=not without_pkce,
        nonce_required=without_pkce and not without_nonce,
        id_token_alg=id_token_alg,
        first_party=not third_party,
        backchannel_logout_uri=backchannel_logout_uri,
        initiate_login_uri=initiate_login_uri,
    )
    with runtime.database.write() as tx:
        register_client.register_client(tx, registered, actor=actor(), now=now)
    _show_once({"client_id": client_id}, secret)
    if backchannel_logout_uri is not None:
        _warn_of_unreachable(runtime.outbound, backchannel_logout_uri)


@client.command("list")
@pass_runtime
def list_clients(runtime: Runtime) -> None:
    """List every client."""
    with runtime.database.read() as tx:
        found = clients.load_all(tx)
    show(
        [
            {
                "id": each.id,
                "name": each.name,
                "kind": "public" if each.is_public else "confidential",
                "grant_types": each.grant_types,
                "enabled": not each.disabled,
            }
            for each in found.values()
        ]
    )


@client.command("show")
@click.argument("client_id", metavar="ID")
@pass_runtime
def show_client(runtime: Runtime, client_id: str) -> None:
    """Show all that is registered for the client ID; secrets are not kept, so not shown."""
    with runtime.database.read() as tx:
        found = clients.load_all(tx).get(ClientId(client_id))
        resources = [each for each in clients.load_resources(tx) if each.client == client_id]
    if found is None:
        raise NotFound("client", client_id)
    show(_described(found, resources))


@client.command("rotate-secret")
@click.argument("client_id", metavar="ID")
@click.option(
    "--overlap",
    type=DURATION,
    default="24h",
    show_default=True,
    help="How long the present secret goes on working; 0s ends it at once.",
)
@pass_runtime
def rotate_secret(runtime: Runtime, client_id: str, overlap: timedelta) -> None:
    """Give the client ID a new secret, and show it once."""
    secret = new_secret()
    digest = secret_digest(secret, client_pepper(runtime.envelope))
    with runtime.database.write() as tx:
        register_client.rotate_client_secret(
            tx, ClientId(client_id), digest, overlap=overlap, actor=actor(), now=runtime.clock()
        )
    _show_once({"client_id": client_id}, secret)


@client.command()
@click.argument("client_id", metavar="ID")
@pass_runtime
def disable(runtime: Runtime, client_id: str) -> None:
    """Shut the client ID out of every endpoint."""
    with runtime.database.write() as tx:
        changed = register_client.disable_client(
            tx, ClientId(client_id), actor=actor(), now=runtime.clock()
        )
    say(f"{client_id} {'is disabled' if changed else 'was disabled already'}")


@client.command()
@click.argument("client_id", metavar="ID")
@pass_runtime
def enable(runtime: Runtime, client_id: str) -> None:
    """Let the client ID take part again."""
    with runtime.database.write() as tx:
        changed = register_client.enable_client(
            tx, ClientId(client_id), actor=actor(), now=runtime.clock()
        )
    say(f"{client_id} {'is enabled' if changed else 'was enabled already'}")


@client.command("add-resource")
@click.argument("identifier")
@click.option("--scope", "scopes", multiple=True, required=True, help="May be repeated.")
@click.option("--client", "client_id", help="The client as which the API asks for introspection.")
@click.option(
    "--access-token-alg",
    type=click.Choice(ACCESS_TOKEN_ALGORITHMS),
    default="ES256",
    show_default=True,
)
@pass_runtime
def add_resource(
    runtime: Runtime,
    identifier: str,
    scopes: tuple[str, ...],
    client_id: str | None,
    access_token_alg: str,
) -> None:
    """Register an API: IDENTIFIER (a URI) becomes the `aud` of tokens with its scopes."""
    resource = Resource(
        identifier=identifier,
        scopes=frozenset(scopes),
        access_token_alg=access_token_alg,
        client=None if client_id is None else ClientId(client_id),
    )
    with runtime.database.write() as tx:
        register_client.register_resource(tx, resource, actor=actor(), now=runtime.clock())
    show({"resource": identifier, "scopes": sorted(scopes), "client": client_id})


def _check_flags(*, is_public: bool, methods: tuple[str, ...], without_pkce: bool) -> None:
    if is_public and methods:
        raise Failed("--public means no authentication: leave --auth-method out")
    if is_public and without_pkce:
        raise Failed("a public client must use PKCE: leave --without-pkce out")


def _methods(methods: tuple[str, ...], *, is_public: bool, has_keys: bool) -> frozenset[str]:
    if is_public:
        return frozenset({"none"})
    if not methods:
        return frozenset({"private_key_jwt"}) if has_keys else _BY_SECRET
    return frozenset(methods)


def _grant_types(*, is_machine: bool, has_redirects: bool) -> frozenset[str]:
    by_person = frozenset({"authorization_code", "refresh_token"})
    as_itself = frozenset({"client_credentials"})
    if not is_machine:
        return by_person
    return by_person | as_itself if has_redirects else as_itself


def _default_scopes(*, is_machine: bool) -> frozenset[str]:
    return frozenset() if is_machine else IDENTITY_SCOPES


def _secrets(runtime: Runtime, secret: str | None) -> tuple[ClientSecret, ...]:
    if secret is None:
        return ()
    digest = secret_digest(secret, client_pepper(runtime.envelope))
    return (ClientSecret(digest=digest, created_at=runtime.clock()),)


def _described(found: Client, resources: list[Resource]) -> dict[str, object]:
    return {
        "id": found.id,
        "name": found.name,
        "enabled": not found.disabled,
        "first_party": found.first_party,
        "auth_methods": found.auth_methods,
        "grant_types": found.grant_types,
        "scopes": found.scopes,
        "redirect_uris": found.redirect_uris,
        "post_logout_redirect_uris": found.post_logout_redirect_uris,
        "pkce_required": found.pkce_required,
        "nonce_required": found.nonce_required,
        "id_token_alg": found.id_token_alg,
        "backchannel_logout_uri": found.backchannel_logout_uri,
        "initiate_login_uri": found.initiate_login_uri,
        "secrets": [
            {"created": secret.created_at, "expires": secret.expires_at} for secret in found.secrets
        ],
        "resources": [resource.identifier for resource in resources],
    }


def _warn_of_unreachable(outbound: Outbound, uri: str) -> None:
    try:
        outbound.check(uri)
    except OutboundRefused as refused:
        say(f"--backchannel-logout-uri: its logouts will not be sent: {refused}")
    except OutboundFailed as failed:
        say(f"--backchannel-logout-uri: as seen from here, {failed}")


def _show_once(result: Mapping[str, object], secret: str | None) -> None:
    if secret is None:
        show(result)
        return
    show({**result, "client_secret": secret})
    say("the secret is shown this once: keep it where only the client reads it")
