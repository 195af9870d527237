"""Client secrets at rest: random, so that a digest under a key of ours suffices."""

import hmac

from pdp.store.envelope import Envelope


def client_pepper(envelope: Envelope) -> bytes:
    """Return the key under which client secrets are digested."""
    return envelope.derive("client secrets")


def secret_digest(secret: str, pepper: bytes) -> str:
    """Return what is stored of a client secret, and compared with what a request presents."""
    return hmac.digest(pepper, secret.encode(errors="surrogatepass"), "sha256").hex()
