"""Our signing keys: parsed once, chosen by algorithm and time, published without secrets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from pdp.domain.errors import Unavailable

PrivateKey = ECKey | RSAKey | OKPKey

_RSA_BITS: Final = 2048

#: Every algorithm we sign with, and how a key for it is made.
ALGORITHMS: Final[Mapping[str, Callable[[], PrivateKey]]] = {
    "RS256": lambda: RSAKey.generate_key(_RSA_BITS),
    "PS256": lambda: RSAKey.generate_key(_RSA_BITS),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
}
_KEY_TYPES: Final[Mapping[str, type[ECKey] | type[RSAKey] | type[OKPKey]]] = {
    "RS256": RSAKey,
    "PS256": RSAKey,
    "ES256": ECKey,
    "Ed25519": OKPKey,
}
# A list of what is public, not of what is secret: a member nobody thought of stays at home.
_PUBLIC: Final = ("kty", "crv", "x", "y", "n", "e")

_REGISTRY: Final = JWSRegistry(algorithms=list(ALGORITHMS))


class Algorithm(Protocol):
    """What joserfc offers for one value of `alg`."""

    def check_key(self, key: Any) -> None:  # noqa: ANN401  joserfc's signature
        """Raise JoseError if the key is not for this algorithm."""
        ...

    def sign(self, msg: bytes, key: Any) -> bytes:  # noqa: ANN401  joserfc's signature
        """Return the signature as JWS spells it."""
        ...

    def verify(self, msg: bytes, sig: bytes, key: Any) -> bool:  # noqa: ANN401  joserfc's signature
        """Tell whether `sig` is a signature of `msg`."""
        ...


class UnusableKey(ValueError):
    """A key that does not fit its algorithm, or cannot be read; says nothing of its content."""


def algorithm(alg: str) -> Algorithm:
    """Return joserfc's implementation; UnusableKey names the algorithms that there are."""
    if alg not in ALGORITHMS:
        raise UnusableKey(f"alg must be one of {', '.join(ALGORITHMS)}, not {alg!r}")
    return _REGISTRY.get_alg(alg)


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """One key pair. It verifies as long as it is in a ring, and signs from `signs_from` (UTC).

    Two of them are equal only if they are the same object: what was verified under one is
    never taken for verified under another.
    """

    kid: str
    alg: str
    private: PrivateKey = field(repr=False)
    public_jwk: Mapping[str, str]
    signs_from: datetime

    @classmethod
    def from_private(
        cls, private: str, *, kid: str, alg: str, signs_from: datetime
    ) -> "SigningKey":
        """Read the JWK text that `private_text` wrote; UnusableKey if it is not for `alg`."""
        implementation = algorithm(alg)
        try:
            key = _KEY_TYPES[alg].import_key(orjson.loads(private))
            implementation.check_key(key)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise UnusableKey(f"the key {kid!r} is not a key for {alg}") from error
        if not key.is_private:
            raise UnusableKey(f"the key {kid!r} has no private half")
        if isinstance(key, RSAKey) and key.raw_value.key_size < _RSA_BITS:
            raise UnusableKey(f"the key {kid!r} has fewer than {_RSA_BITS} bits")
        return cls(kid, alg, key, _public_jwk(key, kid, alg), signs_from)

    def private_text(self) -> str:
        """Return the private JWK as text: for the envelope of the store, and nowhere else."""
        members = self.private.as_dict(private=True)
        return orjson.dumps({name: members[name] for name in sorted(members)}).decode()


def generate(alg: str, *, signs_from: datetime) -> SigningKey:
    """Make a fresh key for `alg`, named by its RFC 7638 thumbprint.

    The name does not begin as an option of a command does: `pdp keys retire KID` takes it.
    """
    algorithm(alg)
    key = ALGORITHMS[alg]()
    while (kid := key.thumbprint()).startswith("-"):
        key = ALGORITHMS[alg]()
    return SigningKey(kid, alg, key, _public_jwk(key, kid, alg), signs_from)


class KeyRing:
    """The keys of one generation: all of them verify, the newest that may signs."""

    __slots__ = ("_by_kid", "keys")

    def __init__(self, keys: tuple[SigningKey, ...]) -> None:
        self.keys = keys
        self._by_kid = {key.kid: key for key in keys}
        if len(self._by_kid) != len(keys):
            raise UnusableKey("two keys have the same kid")

    def signing_key(self, alg: str, now: datetime) -> SigningKey:
        """Return the key that signs `alg` at `now`; Unavailable if none does yet."""
        ready = [key for key in self.keys if key.alg == alg and key.signs_from <= now]
        if not ready:
            raise Unavailable(f"no {alg} key signs yet: `pdp keys rotate --alg {alg}` makes one")
        return max(ready, key=lambda key: (key.signs_from, key.kid))

    def verification_key(self, kid: str) -> SigningKey | None:
        """Return the key of that name, whether or not it signs; None once it is retired."""
        return self._by_kid.get(kid)

    def public_jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return what `jwks_uri` serves: also keys that sign only later, for caches to know."""
        return {"keys": [dict(key.public_jwk) for key in self.keys]}


def _public_jwk(key: PrivateKey, kid: str, alg: str) -> dict[str, str]:
    members = key.as_dict(private=False)
    public: dict[str, str] = {name: str(members[name]) for name in _PUBLIC if name in members}
    return {**public, "kid": kid, "use": "sig", "alg": alg}
