"""What a request carries about the device behind it, and what may be concluded: a claim.

A claim is unverified: `usecases.identify_device` looks its key up, verifies what there is to
verify, and spends what may be used once. An id in a header, a query or a user agent is never a
device: the evidence has no place for one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pdp.domain.access import Strength


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEvidence:
    """What the web edge found in one request; every value as it came, all of a repeated header.

    `client_cert_headers` are the values of `Client-Cert` (RFC 9440), and count only where
    `from_trusted_proxy` says that the peer's address is a configured proxy: anybody can write a
    header.
    """

    device_assertion_headers: tuple[str, ...] = ()
    device_cookies: tuple[str, ...] = ()
    client_cert_headers: tuple[str, ...] = ()
    from_trusted_proxy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateClaim:
    """The device that a trusted proxy has seen prove possession of its certificate's key.

    `key` is the certificate's `x5t#S256` (RFC 8705 §3.1). The instants are UTC; a certificate
    outside of them identifies nothing.
    """

    method: ClassVar[str] = "client_certificate"
    strength: ClassVar[Strength] = Strength.STRONG

    key: str
    not_before: datetime
    not_after: datetime

    def is_valid_at(self, now: datetime) -> bool:
        """Tell whether the certificate is within its time (RFC 5280 §4.1.2.5: both ends belong)."""
        return self.not_before <= now <= self.not_after


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertionClaim:
    """The device that says to have signed `token`; verify it with the key enrolled as `key`.

    `key` is the RFC 7638 thumbprint from the token's `kid`.
    """

    method: ClassVar[str] = "device_assertion"
    strength: ClassVar[Strength] = Strength.STRONG

    key: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieClaim:
    """The device on whose enrolment we set the cookie: whoever copied it claims the same.

    `key` is the SHA-256 of the cookie's value, in hex.
    """

    method: ClassVar[str] = "device_cookie"
    strength: ClassVar[Strength] = Strength.WEAK

    key: str


DeviceClaim = CertificateClaim | AssertionClaim | CookieClaim


@dataclass(frozen=True, slots=True)
class MalformedEvidence:
    """Evidence of this method is there, and cannot be read: `problem` is for logs and counters."""

    method: str
    problem: str
