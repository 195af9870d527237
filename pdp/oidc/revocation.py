"""Revocation (RFC 7009): revoking any token of a grant ends the grant.

A client that revokes its access token is done with the person's session there; a refresh token
left alive would only be forgotten. 200 for tokens that are unknown (§2.2); 503 when storage is
in trouble (§2.2.1), never a false success.
"""

from datetime import UTC, datetime

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError

from pdp.domain.client import Client
from pdp.domain.events import Action, Event
from pdp.domain.ids import GrantId
from pdp.domain.session import EndReason
from pdp.oidc.introspection import verify_access_token
from pdp.oidc.issue import Issuer
from pdp.oidc.request import OidcRequest
from pdp.store import audit, grants, tokens


def revoke(issuer: Issuer, request: OidcRequest, caller: Client) -> None:
    """Revoke the caller's token.

    Raises InvalidRequestError without a token, and InvalidGrantError for another client's
    (§2.1: the server refuses, and the token stays).
    """
    token = request.form.get("token")
    if token is None:
        raise InvalidRequestError("Send 'token'.")
    refresh = tokens.find_refresh(request.tx, token)
    if refresh is not None:
        _revoke_grant(request, caller, refresh.grant)
        return
    claims = verify_access_token(issuer, request, token)
    if claims is None:
        return
    if claims.get("client_id") != caller.id:
        raise _foreign()
    if (grant_id := claims.get("gid")) is not None:
        _revoke_grant(request, caller, GrantId(str(grant_id)))
    expires_at = datetime.fromtimestamp(int(str(claims["exp"])), UTC)
    tokens.revoke_token(request.tx, str(claims["jti"]), expires_at=expires_at)


def _revoke_grant(request: OidcRequest, caller: Client, grant_id: GrantId) -> None:
    found = grants.standing_of_grant(request.tx, grant_id)
    if found is None:
        return
    if found[0].client != caller.id:
        raise _foreign()
    if grants.revoke_grant(request.tx, grant_id, EndReason.REVOKED, request.now):
        audit.append(
            request.tx,
            Event(
                at=request.now,
                actor=caller.id,
                action=Action.GRANT_REVOKED,
                kind="grant",
                object_id=grant_id,
                detail={"reason": EndReason.REVOKED.value},
            ),
        )


def _foreign() -> InvalidGrantError:
    return InvalidGrantError("The token was issued to another client.")
