"""Client secrets at rest: random, so that a digest under a key of ours suffices."""

import hmac
from functools import lru_cache

from pdp.store.envelope import Envelope


def client_pepper(envelope: Envelope) -> bytes:
    """Return the key under which client secrets are digested."""
    return envelope.derive("client secrets")


def secret_digest(secret: str, pepper: bytes) -> str:
    """Return what is stored of a client secret, and compared with what a request presents."""
    digest = _keyed(pepper).copy()
    digest.update(secret.encode(errors="surrogatepass"))
    return digest.hexdigest()


@lru_cache(maxsize=4)
def _keyed(pepper: bytes) -> hmac.HMAC:
    # Setting up the key costs more than digesting a secret.
    return hmac.new(pepper, digestmod="sha256")
