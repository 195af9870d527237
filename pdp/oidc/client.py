"""A registered client in the shape that Authlib asks questions of."""

import re
from typing import Final
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin

from pdp.domain.client import Client

_LOOPBACK: Final = re.compile(r"^http://(127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?(/.*)?$")
_LARGEST_PORT: Final = 65535


class OidcClient(ClientMixin):
    """Answers Authlib from the client's registration; nothing here is decided by defaults."""

    __slots__ = ("client_id", "client_metadata", "registered")

    def __init__(self, client: Client) -> None:
        self.registered = client
        self.client_id = client.id
        self.client_metadata = {"post_logout_redirect_uris": list(client.post_logout_redirect_uris)}

    def get_client_id(self) -> str:
        """Return the client's id."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """Return the only registered redirect URI; with several, the request must name one."""
        uris = self.registered.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return the requested scopes that the client is registered for; None for none.

        OpenID Connect Core §3.1.2.1: scopes that are not understood are left aside.
        """
        wanted = dict.fromkeys((scope or "").split())
        return " ".join(name for name in wanted if name in self.registered.scopes) or None

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare character by character (RFC 9700 §4.1.3), but for a native app's port.

        RFC 8252 §7.3: an app that listens on loopback does not know its port beforehand. Only
        a public client may use that, and only with the address, never with a name.
        """
        if redirect_uri in self.registered.redirect_uris:
            return True
        if not self.registered.is_public:
            return False
        asked = _portless(redirect_uri)
        return asked is not None and any(
            asked == _portless(uri) for uri in self.registered.redirect_uris
        )

    def check_client_secret(self, client_secret: str) -> bool:
        """Refuse: secrets are compared in `client_auth` alone, as keyed digests."""
        del client_secret
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Tell whether the client may authenticate so, at any endpoint."""
        del endpoint
        return method in self.registered.auth_methods

    def check_response_type(self, response_type: str) -> bool:
        """Tell whether the client may ask for `response_type`: `code` alone exists."""
        return response_type == "code" and "authorization_code" in self.registered.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        """Tell whether the client is registered for a grant type."""
        return grant_type in self.registered.grant_types


def _portless(uri: str) -> str | None:
    """Return a loopback address URI without its port; None for anything else."""
    found = _LOOPBACK.fullmatch(uri)
    if found is None or int(found[2] or 0) > _LARGEST_PORT or urlsplit(uri).fragment:
        return None
    return f"http://{found[1]}{found[3] or ''}"
