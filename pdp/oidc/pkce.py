"""PKCE (RFC 7636): S256 alone, demanded unless an operator registered the client without it."""

from typing import cast

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc6749.grants import BaseGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from pdp.oidc.request import OidcRequest


class S256Challenge(CodeChallenge):
    """Authlib's extension without its leniency: no `plain`, no default method, no absence."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]  # noqa: RUF012  Authlib's attribute
    DEFAULT_CODE_CHALLENGE_METHOD = "S256"

    def validate_code_challenge(self, grant: BaseGrant, redirect_uri: str) -> None:
        """Check the authorization request; raises InvalidRequestError.

        RFC 9700 §2.1.1: PKCE, or for a confidential client registered so the `nonce` instead.
        Never a half: a method without a challenge, or a challenge without its method.
        """
        request = cast("OidcRequest", grant.request)
        challenge = request.form.get("code_challenge")
        method = request.form.get("code_challenge_method")
        client = request.registered
        if challenge is None and method is None:
            if client.pkce_required or client.is_public:
                raise InvalidRequestError("This client must use PKCE: send 'code_challenge'.")
            if client.nonce_required and request.form.get("nonce") is None:
                raise InvalidRequestError("Without PKCE this client must send 'nonce'.")
            return
        if method != "S256":
            raise InvalidRequestError("Send 'code_challenge_method=S256'.")
        super().validate_code_challenge(grant, redirect_uri)
