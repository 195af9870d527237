"""Encryption at rest: AES-256-GCM, bound to the place where the ciphertext stands.

The master key never reaches the database. A ciphertext moved to another row, or opened with
another key, does not open: `CannotOpen`, never a wrong secret.
"""

import base64
import binascii
import hashlib
import hmac
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pdp.domain.errors import DomainError

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = "v1"


class CannotOpen(DomainError):
    """A ciphertext that this master key, or this place, does not open."""


class Envelope:
    """Seals secrets for storage, and derives the other keys that one deployment needs."""

    __slots__ = ("_cipher", "_master", "key_id")

    def __init__(self, master: bytes) -> None:
        if len(master) != _KEY_BYTES:
            raise CannotOpen(f"the master key must be {_KEY_BYTES} bytes, not {len(master)}")
        self._master = master
        self._cipher = AESGCM(self.derive("encryption at rest"))
        #: Names the master key inside ciphertexts, without telling anything of it.
        self.key_id = hashlib.sha256(self.derive("key id")).hexdigest()[:8]

    @classmethod
    def from_text(cls, text: str) -> "Envelope":
        """Read the base64 form that settings hold; CannotOpen says what is wrong with it."""
        try:
            master = base64.b64decode(text.strip(), validate=True)
        except (binascii.Error, ValueError) as error:
            raise CannotOpen("the master key must be base64 of 32 random bytes") from error
        return cls(master)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose, independent of those for any other."""
        return hmac.digest(self._master, purpose.encode(), "sha256")

    def seal(self, secret: str, *, place: str) -> str:
        """Encrypt `secret` for `place` (`table:column:row`); equal secrets look different."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, secret.encode(), place.encode())
        return f"{_VERSION}.{self.key_id}.{base64.b64encode(sealed).decode()}"

    def open(self, sealed: str, *, place: str) -> str:
        """Decrypt what was sealed for `place`; CannotOpen if anything about it differs."""
        version, _, rest = sealed.partition(".")
        key_id, _, body = rest.partition(".")
        if version != _VERSION or key_id != self.key_id:
            raise CannotOpen(
                f"{place} was encrypted with another master key ({key_id or '?'}) than the one at"
                f" hand ({self.key_id}): put that one back (keys.master, or the file"
                " keys.master_path)"
            )
        try:
            raw = base64.b64decode(body, validate=True)
            return self._cipher.decrypt(
                raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode()
            ).decode()
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise CannotOpen(f"{place} was altered or belongs elsewhere") from error


def key_id_of(sealed: str) -> str:
    """Return the id of the master key that sealed this; empty if nothing says so."""
    version, _, rest = sealed.partition(".")
    return rest.partition(".")[0] if version == _VERSION else ""


def new_master_key() -> str:
    """Return a fresh master key in the base64 form that settings hold."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()
