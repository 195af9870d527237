"""The authorization server: Authlib's, built once from a runtime, told everything per request."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NoReturn, cast

import orjson
from authlib.common.urls import add_params_to_uri
from authlib.oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error, UnsupportedGrantTypeError
from authlib.oauth2.rfc6749.grants import BaseGrant

from pdp.domain.ids import ClientId
from pdp.ephemeral.rate_limit import RateLimiter
from pdp.jose.verified import VerifiedTokens
from pdp.oidc import client_auth
from pdp.oidc.answered import AnsweredChecks
from pdp.oidc.client import OidcClient
from pdp.oidc.grants import (
    AuthorizationCodeGrant,
    Authorized,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from pdp.oidc.issue import Issuer
from pdp.oidc.pkce import S256Challenge
from pdp.oidc.remembered import RememberedDecisions
from pdp.oidc.request import Answer, OidcRequest
from pdp.runtime import Runtime
from pdp.store.at_once import AtOnce, NotAtOnce, Reader, Writer
from pdp.usecases.client_secrets import client_pepper


class _NoRateLimiter(RateLimiter):
    """Counting may ask Redis, which may take its time: that is left to whoever may wait."""

    def __init__(self) -> None:
        """Hold nothing."""

    def hit(self, key: str, *, limit: int, window: timedelta, now: datetime) -> NoReturn:
        """Raise NotAtOnce."""
        del key, limit, window, now
        raise NotAtOnce


class Server(AuthorizationServer):
    """Token and authorization endpoints over one runtime.

    Requests carry their transaction: the server holds nothing between two of them.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self.runtime = runtime
        self.issuer = Issuer(
            issuer=runtime.settings.issuer,
            lifetimes=runtime.settings.lifetimes,
            seen=VerifiedTokens(),
            decided=RememberedDecisions(),
            answered=AnsweredChecks(),
        )
        self.pepper = client_pepper(runtime.envelope)
        for grant in (AuthorizationCodeGrant, RefreshTokenGrant, ClientCredentialsGrant):
            bound = type(grant.__name__, (grant,), {"issuer": self.issuer})
            extensions = [S256Challenge()] if grant is AuthorizationCodeGrant else None
            self.register_grant(bound, extensions)

    def at_once(self, reader: Reader, writer: Writer | None = None) -> "Server":
        """Return this server for an event loop: whatever would hold it up is NotAtOnce."""
        twin = copy(self)
        twin.runtime = replace(
            self.runtime,
            database=AtOnce(self.runtime.database.engine, reader, writer),
            rate_limiter=_NoRateLimiter(),
        )
        return twin

    # What Authlib asks its framework for.

    def query_client(self, client_id: str) -> OidcClient | None:
        """Return a client that may take part, from the newest configuration in memory."""
        client = self.runtime.configurations.latest.clients.get(ClientId(client_id))
        return None if client is None or client.disabled else OidcClient(client)

    def authenticate_client(
        self, request: OidcRequest, methods: list[str], endpoint: str = "token"
    ) -> OidcClient:
        """Authenticate the request's client by the methods it is registered for."""
        del methods, endpoint
        client = client_auth.authenticate(request, issuer=self.issuer.issuer, pepper=self.pepper)
        return OidcClient(client)

    def get_token_grant(self, request: OidcRequest) -> BaseGrant:
        """Return the grant that the request asks for; UnsupportedGrantTypeError names them."""
        try:
            return super().get_token_grant(request)
        except UnsupportedGrantTypeError as error:
            error.description = (
                "Send 'grant_type' authorization_code, refresh_token or client_credentials."
            )
            raise

    def create_oauth2_request(self, request: OidcRequest) -> OidcRequest:
        """Return the request: the edge made it in our shape already."""
        return request

    def handle_response(
        self, status: int, body: Mapping[str, object] | str, headers: list[tuple[str, str]]
    ) -> Answer:
        """Return an answer that any front door can send."""
        text = body if isinstance(body, str) else orjson.dumps(body).decode()
        return Answer(status, text, list(headers))

    def get_error_uri(self, request: OidcRequest, error: OAuth2Error) -> str | None:
        """Keep the `error_uri` that the error was made with."""
        del request
        uri: str | None = error.uri
        return uri

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Send nothing: control flow is in the open here."""

    def save_token(self, token: object, request: OidcRequest) -> None:
        """Do nothing: grants store what they issue."""

    # What the edge asks.

    def token(self, request: OidcRequest) -> Answer:
        """Answer a token request; OAuth errors are answers, and what they changed commits."""
        if request.parameters.repeated:
            return self.refuse(request, InvalidRequestError("A parameter came twice."))
        if request.form.get("grant_type") is None:
            return self.refuse(request, InvalidRequestError("Send 'grant_type'."))
        return cast("Answer", self.create_token_response(request))

    def validate_authorization(self, request: OidcRequest) -> AuthorizationCodeGrant:
        """Return the validated grant of an authorization request.

        Raises OAuth2Error: with `redirect_uri` set only where client and URI are known good,
        so that nothing is ever redirected to an unchecked address (RFC 9700 §4.11.2).
        """
        if request.parameters.repeated:
            raise InvalidRequestError("A parameter came twice.")
        grant = self.get_consent_grant(request, end_user=None)  # type: ignore[no-untyped-call]
        return cast("AuthorizationCodeGrant", grant)

    def authorize(
        self,
        request: OidcRequest,
        grant: AuthorizationCodeGrant,
        authorized: Authorized,
    ) -> Answer:
        """Answer a decided authorization request with a code, stored with all it rests on."""
        answer = self.create_authorization_response(request, grant_user=authorized, grant=grant)
        return self._with_issuer(cast("Answer", answer))

    def refuse(self, request: OidcRequest, error: OAuth2Error) -> Answer:
        """Answer an error: as JSON, or as a redirect where the error carries one."""
        return self._with_issuer(cast("Answer", self.handle_error_response(request, error)))

    def _with_issuer(self, answer: Answer) -> Answer:
        """Say who answers, in success and error alike (RFC 9207 §2)."""
        location = answer.location
        if location is None:
            return answer
        named = add_params_to_uri(location, [("iss", self.issuer.issuer)])
        headers = [(name, value) for name, value in answer.headers if name != "Location"]
        return Answer(answer.status, answer.body, [*headers, ("Location", named)])
