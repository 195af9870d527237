"""A JWT that an enrolled device signed for this request, in the header `Device-Assertion`.

Read here without being trusted: only far enough to know which key must have signed it. The
signature and the claims are for `jose.device_assertion`.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Final

from pdp.identification.evidence import AssertionClaim, MalformedEvidence, RequestEvidence

TYPE: Final = "device-assertion+jwt"
ALGORITHMS: Final = ("ES256", "Ed25519")
LONGEST_TOKEN: Final = 8 * 1024

_COMPACT: Final = re.compile(r"([A-Za-z0-9_-]{1,1024})\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def identify(evidence: RequestEvidence) -> AssertionClaim | MalformedEvidence | None:
    """Return the claim of the assertion, if one is there.

    The header must say exactly `typ`, `alg` and `kid`: a key, or where to fetch one (`jwk`,
    `jku`, `x5u`, `x5c`), and extensions (`crit`) are for the signer to choose, so never for us.
    """
    if not evidence.device_assertion_headers:
        return None
    if len(evidence.device_assertion_headers) > 1:
        return _malformed("Device-Assertion appears more than once")
    token = evidence.device_assertion_headers[0]
    parts = _COMPACT.fullmatch(token) if len(token) <= LONGEST_TOKEN else None
    if parts is None:
        return _malformed("Device-Assertion is no compact JWS of at most 8 KiB")
    header = _header(parts[1])
    if header.keys() != {"typ", "alg", "kid"}:
        return _malformed("its header must have exactly the members typ, alg and kid")
    if header["typ"] != TYPE:
        return _malformed(f"its typ must be {TYPE}")
    if header["alg"] not in ALGORITHMS:
        return _malformed(f"its alg must be one of {', '.join(ALGORITHMS)}")
    kid = header["kid"]
    if not isinstance(kid, str) or not _THUMBPRINT.fullmatch(kid):
        return _malformed("its kid must be the RFC 7638 thumbprint of the device's key")
    return AssertionClaim(key=kid, token=token)


def _header(encoded: str) -> Mapping[str, object]:
    """Return the members of the JOSE header; none if it is no JSON object without duplicates."""
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        header = json.loads(decoded, object_pairs_hook=_each_once)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member appears twice")
    return members


def _malformed(problem: str) -> MalformedEvidence:
    return MalformedEvidence(AssertionClaim.method, problem)
