"""The cookie that a browser got when its device was enrolled: a bearer secret, so weak."""

import hashlib
import re
from typing import Final

from pdp.identification.evidence import CookieClaim, MalformedEvidence, RequestEvidence

_OURS: Final = re.compile(r"[A-Za-z0-9_-]{22,128}")


def identify(evidence: RequestEvidence) -> CookieClaim | MalformedEvidence | None:
    """Return the claim of the device cookie, if one is there; we keep and compare only its hash."""
    if not evidence.device_cookies:
        return None
    if len(evidence.device_cookies) > 1:
        return MalformedEvidence(CookieClaim.method, "the device cookie appears more than once")
    value = evidence.device_cookies[0]
    if not _OURS.fullmatch(value):
        return MalformedEvidence(CookieClaim.method, "the device cookie is none that we set")
    return CookieClaim(key=key_of(value))


def key_of(cookie: str) -> str:
    """Return what is kept of a device cookie, and what its claim says."""
    return hashlib.sha256(cookie.encode()).hexdigest()
