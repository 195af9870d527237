"""Sign out (OpenID Connect RP-Initiated Logout 1.0), and who must hear of it.

A valid `id_token_hint` ends the session by its `sid`, without the browser's cookies: some
relying parties call from their server. Without a hint the person is asked first (§6).
"""

from dataclasses import dataclass

from authlib.common.urls import add_params_to_uri

from pdp.domain.client import ID_TOKEN_ALGORITHMS, Client
from pdp.domain.ids import ClientId, SessionId
from pdp.jose.tokens import Refusal, verify_id_token_hint
from pdp.oidc.request import OidcRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRequest:
    """A validated request to sign out.

    `session` is known only from a hint; `return_to` is set only where the client is known and
    has registered exactly this URI.
    """

    session: SessionId | None
    return_to: str | None
    client: Client | None


@dataclass(frozen=True, slots=True)
class MalformedLogout:
    """A logout request that leads nowhere, why, and whose; nothing is redirected (§4)."""

    problem: str
    client: Client | None = None


def read_logout(request: OidcRequest, issuer: str) -> LogoutRequest | MalformedLogout:
    """Validate `id_token_hint`, `client_id` and `post_logout_redirect_uri` (§2, §3)."""
    form = request.form
    hinted: ClientId | None = None
    session: SessionId | None = None
    if (hint := form.get("id_token_hint")) is not None:
        claims = verify_id_token_hint(
            hint,
            request.configuration.keys,
            algorithms=ID_TOKEN_ALGORITHMS,
            issuer=issuer,
            audience=None,
            now=request.now,
        )
        if isinstance(claims, Refusal):
            return MalformedLogout("The ID token hint is not one of this server.")
        hinted, session = ClientId(str(claims["aud"])), SessionId(str(claims.get("sid", "")))
    named = form.get("client_id")
    if named is not None and hinted is not None and named != hinted:
        return MalformedLogout(
            "The client is not the one that the ID token was issued to.",
            request.configuration.clients.get(hinted),
        )
    client_id = hinted or (None if named is None else ClientId(named))
    client = None if client_id is None else request.configuration.clients.get(client_id)
    return _with_return(request, client, session or None, hinted=hinted is not None)


def _with_return(
    request: OidcRequest, client: Client | None, session: SessionId | None, *, hinted: bool
) -> LogoutRequest | MalformedLogout:
    wanted = request.form.get("post_logout_redirect_uri")
    if wanted is None:
        return LogoutRequest(session=session, return_to=None, client=client)
    if client is None or wanted not in client.post_logout_redirect_uris:
        return MalformedLogout("The address to return to is not registered for the client.", client)
    if not hinted:
        # §3: without a hint nothing shows that the request is the client's own. The person is
        # asked, and stays here.
        return LogoutRequest(session=session, return_to=None, client=client)
    state = request.form.get("state")
    target = wanted if state is None else add_params_to_uri(wanted, [("state", state)])
    return LogoutRequest(session=session, return_to=target, client=client)
