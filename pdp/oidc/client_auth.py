"""Client authentication: one method per request, the same work and answer for every failure.

A failed authentication uses nothing up: clients that try the secret in the header first and in
the body then come back with the same code.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import unquote_plus

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pdp import logs
from pdp.domain.client import Client
from pdp.domain.ids import ClientId
from pdp.jose.device_proof import ProofRefusal, part
from pdp.oidc.request import OidcRequest
from pdp.store import single_use
from pdp.store.single_use import Kind
from pdp.usecases.client_secrets import secret_digest

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_ALGORITHMS: Final = ("ES256", "RS256", "PS256", "Ed25519")
#: How far ahead an assertion may expire; its `jti` is remembered at least as long.
LONGEST_ASSERTION: Final = timedelta(minutes=5)
_LEEWAY: Final = timedelta(seconds=60)
#: Keys, where to fetch one, and extensions (RFC 7515 §4.1): the registered key alone counts.
_NOT_FOR_THE_SIGNER_TO_SAY: Final = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64"})


@dataclass(frozen=True, slots=True)
class Presented:
    """What one request presents to authenticate its client."""

    method: str
    client_id: str
    secret: str


def authenticate(request: OidcRequest, *, issuer: str, pepper: bytes) -> Client:
    """Return the authenticated client of a request.

    Raises InvalidRequestError when the request names two clients or uses two methods (RFC 6749
    §2.3), and InvalidClientError, the same for every cause, when authentication fails.
    """
    presented = _presented(request)
    client = request.configuration.clients.get(ClientId(presented.client_id))
    # The digest is made and compared for unknown clients too, so that time tells nothing.
    proven = _proves(request, client, presented, issuer=issuer, pepper=pepper)
    if client is None or client.disabled or presented.method not in client.auth_methods:
        raise failure()
    if not proven:
        raise failure()
    request.auth_method = presented.method
    logs.note("client", client.id)
    return client


class ClientAuthenticationFailed(InvalidClientError):
    """The one answer to every failed client authentication (RFC 6749 §5.2)."""

    def get_headers(self) -> list[tuple[str, str]]:
        """Name the scheme that the server takes, whatever the client tried."""
        return [
            ("Content-Type", "application/json"),
            ("Cache-Control", "no-store"),
            ("Pragma", "no-cache"),
            ("WWW-Authenticate", 'Basic realm="token endpoint", charset="UTF-8"'),
        ]


def failure() -> ClientAuthenticationFailed:
    """Return the one answer to every failure."""
    return ClientAuthenticationFailed(
        description="The client could not be authenticated.", status_code=401
    )


def _presented(request: OidcRequest) -> Presented:
    form = request.form
    basic = _basic(request.authorization)
    ways = [
        name
        for name, used in (
            ("client_secret_basic", basic is not None),
            ("client_secret_post", "client_secret" in form),
            ("private_key_jwt", "client_assertion" in form or "client_assertion_type" in form),
        )
        if used
    ]
    if len(ways) > 1:
        raise InvalidRequestError("Use one client authentication method, not two.")
    named = form.get("client_id")
    if basic is not None:
        client_id, secret = basic
        if named is not None and named != client_id:
            raise InvalidRequestError("The header and the body name different clients.")
        return Presented("client_secret_basic", client_id, secret)
    if not ways:
        return Presented("none", named or "", "")
    if ways == ["client_secret_post"]:
        return Presented("client_secret_post", named or "", form["client_secret"])
    assertion = form.get("client_assertion", "")
    claimed = _claimed_client(assertion, form.get("client_assertion_type"))
    if named is not None and named != claimed:
        raise failure()
    return Presented("private_key_jwt", claimed, assertion)


def _basic(header: str | None) -> tuple[str, str] | None:
    """Read a Basic header (RFC 6749 §2.3.1: both parts form-encoded); None if it is absent.

    An empty header (`Basic Og==`), which some libraries send beside an assertion, counts as
    absent.
    """
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise failure()
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise failure() from error
    name, separator, secret = decoded.partition(":")
    if not separator:
        raise failure()
    if not name and not secret:
        return None
    return unquote_plus(name), unquote_plus(secret)


def _proves(
    request: OidcRequest, client: Client | None, presented: Presented, *, issuer: str, pepper: bytes
) -> bool:
    match presented.method:
        case "none":
            return client is not None
        case "private_key_jwt":
            return client is not None and _assertion_holds(
                request, client, presented.secret, issuer=issuer
            )
        case _:
            return _secret_matches(request, client, presented.secret, pepper)


def _secret_matches(
    request: OidcRequest, client: Client | None, secret: str, pepper: bytes
) -> bool:
    digest = secret_digest(secret, pepper)
    matches = hmac.compare_digest(digest, "0" * len(digest))
    for known in () if client is None else client.secrets:
        live = known.expires_at is None or request.now < known.expires_at
        matches |= hmac.compare_digest(digest, known.digest) and live
    return matches


def _claimed_client(assertion: str, kind: str | None) -> str:
    """Return the `sub` of an assertion that nobody has verified yet, to find the key by."""
    header, claims = part(assertion, 0), part(assertion, 1)
    if kind != ASSERTION_TYPE or isinstance(header, ProofRefusal):
        raise failure()
    # Looked at before any library reads them: what stands in `crit` need not be a list of words.
    if header.keys() & _NOT_FOR_THE_SIGNER_TO_SAY:
        raise failure()
    subject = None if isinstance(claims, ProofRefusal) else claims.get("sub")
    if not isinstance(subject, str):
        raise failure()
    return subject


def _assertion_holds(request: OidcRequest, client: Client, assertion: str, *, issuer: str) -> bool:
    """Verify a `private_key_jwt` (RFC 7523 §3): signature, parties, time, single use."""
    if client.jwks is None:
        return False
    try:
        token = jwt.decode(
            assertion,
            KeySet.import_key_set(dict(client.jwks)),  # type: ignore[arg-type]  # checked when registered
            algorithms=list(ASSERTION_ALGORITHMS),
        )
    except (JoseError, ValueError):
        return False
    claims = token.claims
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        return False
    # One string, exactly the issuer: a list could carry an audience meant for somebody else.
    if claims.get("aud") != issuer:
        return False
    return _in_time(request, claims) and _spent_once(request, client, claims)


def _in_time(request: OidcRequest, claims: dict[str, object]) -> bool:
    now = request.now.timestamp()
    expires, issued = claims.get("exp"), claims.get("iat", now)
    not_before = claims.get("nbf", issued)
    if not all(type(instant) in (int, float) for instant in (expires, issued, not_before)):
        return False
    leeway = _LEEWAY.total_seconds()
    return (
        now < expires <= now + LONGEST_ASSERTION.total_seconds()  # type: ignore[operator]
        and issued <= now + leeway  # type: ignore[operator]
        and not_before <= now + leeway  # type: ignore[operator]
    )


def _spent_once(request: OidcRequest, client: Client, claims: dict[str, object]) -> bool:
    jti = claims.get("jti")
    if not isinstance(jti, str) or not jti or len(jti) > 256:  # noqa: PLR2004  a sane id
        return False
    value = f"{client.id}:{hashlib.sha256(jti.encode()).hexdigest()}"
    if single_use.is_spent(request.tx, Kind.CLIENT_ASSERTION, value):
        return False
    request.changes.then(
        partial(
            single_use.spend,
            kind=Kind.CLIENT_ASSERTION,
            value=value,
            expires_at=request.now + LONGEST_ASSERTION + _LEEWAY,
        )
    )
    return True
