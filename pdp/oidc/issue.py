"""Make tokens: access tokens (RFC 9068), ID tokens, and refresh tokens of a family."""

from dataclasses import dataclass
from datetime import datetime

from pdp.clock import new_id, new_secret
from pdp.domain.client import Client, Resource
from pdp.domain.session import Grant
from pdp.jose.tokens import at_hash, sign_jwt
from pdp.jose.verified import VerifiedTokens
from pdp.oidc.answered import AnsweredChecks
from pdp.oidc.enforce import Terms
from pdp.oidc.remembered import RememberedDecisions
from pdp.oidc.request import OidcRequest
from pdp.settings import LifetimeSettings

Claims = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who issues, for how long things live, and what was found of tokens that came back."""

    issuer: str
    lifetimes: LifetimeSettings
    seen: VerifiedTokens
    decided: RememberedDecisions
    answered: AnsweredChecks


@dataclass(frozen=True, slots=True)
class NewRefreshToken:
    """A refresh token about to be stored; `expires_at` (UTC) is when it ends unused."""

    token: str
    expires_at: datetime


def new_refresh(
    issuer: Issuer, request: OidcRequest, grant: Grant, terms: Terms
) -> NewRefreshToken:
    """Make the next refresh token of a family: it lives no longer than family and terms do."""
    ends = _earliest(
        request.now + issuer.lifetimes.refresh_idle, grant.expires_at, terms.family_ends_at
    )
    return NewRefreshToken(new_secret(), ends)


def tokens_of_grant(
    issuer: Issuer,
    request: OidcRequest,
    client: Client,
    grant: Grant,
    terms: Terms,
    *,
    refresh: NewRefreshToken | None,
    nonce: str | None,
) -> Claims:
    """Issue what a grant yields on `terms`, beside a refresh token if there is to be one.

    The ID token comes at each refresh too (OpenID Connect Core §12.2), then without `nonce`.
    """
    person: Claims = {
        "sub": grant.subject,
        "auth_time": int(grant.auth_time.timestamp()),
        "acr": grant.acr,
        "amr": list(grant.amr),
        "sid": grant.session,
    }
    if terms.family_ends_at is not None:
        person["session_expiry"] = int(terms.family_ends_at.timestamp())
        person["session_restrictions"] = list(terms.restrictions)
    access = access_token(issuer, request, client, terms, {**person, "gid": grant.id})
    answer: Claims = {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": int(terms.token_lifetime.total_seconds()),
        "scope": " ".join(terms.scopes),
    }
    if refresh is not None:
        answer["refresh_token"] = refresh.token
    if "openid" in terms.scopes:
        answer["id_token"] = _id_token(issuer, request, client, person, access, nonce=nonce)
    return answer


def access_token(
    issuer: Issuer, request: OidcRequest, client: Client, terms: Terms, claims: Claims
) -> str:
    """Return a JWT access token (RFC 9068 §2.2) for the resources that its scopes belong to."""
    resources = request.configuration.resources_for(frozenset(terms.scopes))
    # `iat` is cut to the second, never rounded up: some clients refuse tokens of the future.
    issued = int(request.now.timestamp())
    return sign_jwt(
        request.configuration.keys.signing_key(_access_algorithm(resources), request.now),
        {
            "iss": issuer.issuer,
            "aud": _audience(resources, issuer.issuer),
            "client_id": client.id,
            "iat": issued,
            "exp": issued + int(terms.token_lifetime.total_seconds()),
            "jti": new_id("at"),
            "scope": " ".join(terms.scopes),
            **claims,
        },
        "at+jwt",
    )


def _id_token(
    issuer: Issuer,
    request: OidcRequest,
    client: Client,
    person: Claims,
    access: str,
    *,
    nonce: str | None,
) -> str:
    """Return an ID token (OpenID Connect Core §2) in the client's algorithm."""
    issued = int(request.now.timestamp())
    claims: Claims = {
        "iss": issuer.issuer,
        "aud": client.id,
        "iat": issued,
        "exp": issued + int(issuer.lifetimes.id_token.total_seconds()),
        "at_hash": at_hash(access, client.id_token_alg),
        **person,
    }
    if nonce is not None:
        claims["nonce"] = nonce
    key = request.configuration.keys.signing_key(client.id_token_alg, request.now)
    return sign_jwt(key, claims, "JWT")


def _earliest(first: datetime, *others: datetime | None) -> datetime:
    return min([first, *(other for other in others if other is not None)])


def _audience(resources: tuple[Resource, ...], issuer: str) -> str | list[str]:
    match resources:
        case ():
            return issuer
        case (only,):
            return only.identifier
        case _:
            return [resource.identifier for resource in resources]


def _access_algorithm(resources: tuple[Resource, ...]) -> str:
    # Several resources share one token: it is signed as all of them read it, or by default.
    algorithms = {resource.access_token_alg for resource in resources}
    return algorithms.pop() if len(algorithms) == 1 else "ES256"
