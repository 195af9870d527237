"""The example relying party ends sessions for good logout tokens, and for no others."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
import responses
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from examples.relying_party.app import LOGOUT_EVENT, LocalSession, Sessions, Settings, create_app

ISSUER = "https://id.example.org"
SETTINGS = Settings(issuer=ISSUER, client_id="payroll", client_secret="secret")
KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
OTHER = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
UNKNOWN = RSAKey.generate_key(2048, {"kid": "two", "use": "sig", "alg": "RS256"})


def a_logout_token(
    *,
    key: RSAKey | OctKey = KEY,
    header: Mapping[str, str] | None = None,
    without: tuple[str, ...] = (),
    **claims: object,
) -> str:
    """A logout token for the session `ses_1`, with changes."""
    now = int(time.monotonic() * 0 + _now())
    given: dict[str, Any] = {
        "iss": ISSUER,
        "aud": "payroll",
        "iat": now,
        "exp": now + 120,
        "jti": "jti-1",
        "events": {LOGOUT_EVENT: {}},
        "sub": "usr_alice",
        "sid": "ses_1",
        **claims,
    }
    kept = {name: value for name, value in given.items() if name not in without}
    named = {"alg": "RS256", "typ": "logout+jwt", "kid": str(key.kid or "one"), **(header or {})}
    return jwt.encode(named, kept, key, algorithms=["RS256", "HS256"])
