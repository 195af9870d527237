"""Keys of devices: public JWKs on P-256 or Ed25519, nothing else in them."""

import re
from collections.abc import Mapping
from typing import Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey

DeviceKey = ECKey | OKPKey

# Both curves have coordinates of 32 bytes: exactly 43 characters, with leading zeros.
_COORDINATE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def public_jwk(jwk: Mapping[str, object]) -> dict[str, str]:
    """Return `jwk` if it is the public key of a device and no more (RFC 7517, RFC 8037).

    ValueError, saying what is wrong, for other members (a private key among them), another kind
    of key, or a point that is not on the curve.
    """
    match jwk:
        case {"kty": "EC", "crv": "P-256"}:
            expected = {"kty", "crv", "x", "y"}
        case {"kty": "OKP", "crv": "Ed25519"}:
            expected = {"kty", "crv", "x"}
        case _:
            raise ValueError("a device key is an EC key on P-256 or an OKP key on Ed25519")
    if jwk.keys() != expected:
        raise ValueError(f"the public key must have exactly {', '.join(sorted(expected))}")
    members = {name: value for name, value in jwk.items() if isinstance(value, str)}
    if not all(_COORDINATE.fullmatch(members.get(name, "")) for name in expected - {"kty", "crv"}):
        raise ValueError("a coordinate of the key is not base64url of 32 bytes")
    imported(members)
    return members


def thumbprint(jwk: Mapping[str, str]) -> str:
    """Return the RFC 7638 SHA-256 thumbprint, base64url: what an assertion's `kid` says."""
    return imported(jwk).thumbprint()


def algorithm(key: DeviceKey) -> str:
    """Return the one algorithm that `key` signs with (RFC 7518 §3.4, RFC 9864 §2.2)."""
    return "ES256" if isinstance(key, ECKey) else "Ed25519"


def generate_device_key() -> dict[str, str]:
    """Return a new private JWK on P-256, the curve that devices' secure hardware has."""
    return _text_members(ECKey.generate_key("P-256").as_dict(private=True))


def without_private_part(jwk: Mapping[str, str]) -> dict[str, str]:
    """Return the public JWK of a private one."""
    key = imported(jwk)
    return public_jwk(key.as_dict(private=False))


def imported(jwk: Mapping[str, str]) -> DeviceKey:
    """Return the key ready to use; ValueError for another kind of key, or a point off its curve."""
    kind: type[DeviceKey]
    match jwk:
        case {"kty": "EC", "crv": "P-256"}:
            kind = ECKey
        case {"kty": "OKP", "crv": "Ed25519"}:
            kind = OKPKey
        case _:
            raise ValueError("a device key is an EC key on P-256 or an OKP key on Ed25519")
    try:
        key = kind.import_key(dict(jwk))
        key.public_key  # noqa: B018  the point is checked when it is first asked for
    except (JoseError, ValueError) as error:
        raise ValueError("the key cannot be read: its point is not on its curve") from error
    return key


def _text_members(jwk: Mapping[str, object]) -> dict[str, str]:
    return {name: value for name, value in jwk.items() if isinstance(value, str)}
