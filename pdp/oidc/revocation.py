"""Revocation (RFC 7009): revoking any token of a grant ends the grant.

A client that revokes its access token is done with the person's session there; a refresh token
left alive would only be forgotten. 200 for tokens that are unknown (§2.2); 503 when storage is
in trouble (§2.2.1), never a false success.
"""

from datetime import UTC, datetime

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError

from pdp.domain.client import Client
from pdp.domain.events import Action
from pdp.domain.ids import GrantId
from pdp.domain.session import EndReason
from pdp.oidc import steps
from pdp.oidc.introspection import verify_access_token
from pdp.oidc.issue import Issuer
from pdp.oidc.request import OidcRequest
from pdp.store import tokens
from pdp.store.database import Transaction
from pdp.store.standings import Held, held_grant


def revoke(issuer: Issuer, request: OidcRequest, caller: Client) -> None:
    """Revoke the caller's token.

    Raises InvalidRequestError without a token, and InvalidGrantError for another client's
    (§2.1: the server refuses, and the token stays).
    """
    token = request.form.get("token")
    if token is None:
        raise InvalidRequestError("Send 'token'.")
    generation, refresh = tokens.find_refresh(request.tx, token)
    request.confirm(generation)
    if refresh is not None:
        _revoke_grant(request, caller, refresh.held)
        return
    claims = verify_access_token(issuer, request, token)
    if claims is None:
        return
    if claims.get("client_id") != caller.id:
        raise _foreign()
    if (grant_id := claims.get("gid")) is not None:
        held = held_grant(request.tx, GrantId(str(grant_id)))
        if held is not None:
            _revoke_grant(request, caller, held)
    expires_at = datetime.fromtimestamp(int(str(claims["exp"])), UTC)
    jti = str(claims["jti"])

    def revoke_token(tx: Transaction) -> bool:
        tokens.revoke_token(tx, jti, expires_at=expires_at)
        return True

    request.changes.then(revoke_token)


def _revoke_grant(request: OidcRequest, caller: Client, held: Held) -> None:
    if held.grant.client != caller.id:
        raise _foreign()
    steps.end_family(
        request, held.grant.id, EndReason.REVOKED, Action.GRANT_REVOKED, actor=caller.id
    )


def _foreign() -> InvalidGrantError:
    return InvalidGrantError("The token was issued to another client.")
