"""Clients and resources: who asks for tokens, and what tokens are for."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pdp.domain.ids import ClientId

#: Scopes that belong to the issuer itself (OpenID Connect Core §5.4, §11).
IDENTITY_SCOPES: Final = frozenset({"openid", "profile", "email", "groups", "offline_access"})

ID_TOKEN_ALGORITHMS: Final = ("RS256", "ES256", "PS256", "Ed25519")
ACCESS_TOKEN_ALGORITHMS: Final = ("ES256", "RS256", "PS256", "Ed25519")
AUTH_METHODS: Final = (
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
    "none",
)
GRANT_TYPES: Final = ("authorization_code", "refresh_token", "client_credentials")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """A client secret as we keep it: a keyed digest; an old one ends at `expires_at` (UTC)."""

    digest: str
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client: a relying party, a machine, or an API that asks for introspection."""

    id: ClientId
    name: str
    secrets: tuple[ClientSecret, ...] = ()
    auth_methods: frozenset[str] = frozenset({"client_secret_basic", "client_secret_post"})
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    grant_types: frozenset[str] = frozenset({"authorization_code", "refresh_token"})
    scopes: frozenset[str] = frozenset({"openid"})
    jwks: Mapping[str, object] | None = None
    pkce_required: bool = True
    nonce_required: bool = False
    id_token_alg: str = "RS256"  # noqa: S105  an algorithm, not a password
    first_party: bool = True
    backchannel_logout_uri: str | None = None
    initiate_login_uri: str | None = None
    disabled: bool = False

    @property
    def is_public(self) -> bool:
        """Whether the client cannot keep a secret, and so proves nothing but its name."""
        return self.auth_methods == frozenset({"none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """An API that tokens are for: its `identifier` is their `aud`.

    `client` is the one as which the API asks for introspection, if it does.
    """

    identifier: str
    scopes: frozenset[str]
    access_token_alg: str = "ES256"  # noqa: S105  an algorithm, not a password
    client: ClientId | None = None
