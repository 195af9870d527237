"""A client certificate that a trusted proxy has verified and passes on (RFC 9440)."""

import base64
import binascii
import hashlib
import re
from typing import Final

from cryptography import x509

from pdp.identification.evidence import CertificateClaim, MalformedEvidence, RequestEvidence

LONGEST_HEADER: Final = 16 * 1024

# A byte sequence of structured fields (RFC 8941 §3.3.5), optional whitespace around it.
_BYTES: Final = re.compile(r"[ \t]*:([A-Za-z0-9+/]+={0,2}):[ \t]*")


def identify(evidence: RequestEvidence) -> CertificateClaim | MalformedEvidence | None:
    """Return the claim of the certificate in `Client-Cert`, where a trusted proxy set it.

    From anybody else the header is no evidence, and as good as absent.
    """
    if not evidence.from_trusted_proxy or not evidence.client_cert_headers:
        return None
    if len(evidence.client_cert_headers) > 1:
        return _malformed("Client-Cert appears more than once")
    header = evidence.client_cert_headers[0]
    encoded = _BYTES.fullmatch(header) if len(header) <= LONGEST_HEADER else None
    if encoded is None:
        return _malformed("Client-Cert is no byte sequence of at most 16 KiB")
    try:
        return claim_of(base64.b64decode(encoded[1], validate=True))
    except (binascii.Error, ValueError):
        return _malformed("Client-Cert holds no X.509 certificate")


def claim_of(der: bytes) -> CertificateClaim:
    """Return what the certificate claims once its key is proved; ValueError if it is none."""
    try:
        certificate = x509.load_der_x509_certificate(der)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
    return CertificateClaim(
        key=thumbprint,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _malformed(problem: str) -> MalformedEvidence:
    return MalformedEvidence(CertificateClaim.method, problem)
