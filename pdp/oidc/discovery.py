"""Metadata (OpenID Connect Discovery 1.0, RFC 8414): what is true of this server, nothing else."""

from pdp.domain.client import ID_TOKEN_ALGORITHMS, IDENTITY_SCOPES, Resource
from pdp.domain.session import ACR_ORDER
from pdp.oidc.client_auth import ASSERTION_ALGORITHMS
from pdp.oidc.issue import Claims

_CLIENT_AUTH = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]


def metadata(issuer: str, resources: tuple[Resource, ...]) -> Claims:
    """Return the discovery document; `issuer` is in it to the character as configured."""
    scopes = IDENTITY_SCOPES.union(*(resource.scopes for resource in resources))
    confidential = [method for method in _CLIENT_AUTH if method != "none"]
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "userinfo_endpoint": f"{issuer}/userinfo",
        "jwks_uri": f"{issuer}/jwks",
        "introspection_endpoint": f"{issuer}/introspect",
        "revocation_endpoint": f"{issuer}/revoke",
        "end_session_endpoint": f"{issuer}/logout",
        "scopes_supported": sorted(scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(ID_TOKEN_ALGORITHMS),
        "token_endpoint_auth_methods_supported": _CLIENT_AUTH,
        "token_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": _CLIENT_AUTH,
        "revocation_endpoint_auth_signing_alg_values_supported": list(ASSERTION_ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "acr_values_supported": list(ACR_ORDER[:2]),
        "claims_supported": [
            "sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid",
            "at_hash", "session_expiry", "session_restrictions",
            "name", "preferred_username", "email", "email_verified", "groups",
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "require_request_uri_registration": False,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "ui_locales_supported": ["en"],
    }  # fmt: skip
