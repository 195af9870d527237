"""One request, one device: the strongest evidence decides, also when it is broken."""

from pdp.identification import METHODS
from pdp.identification.evidence import DeviceClaim, MalformedEvidence, RequestEvidence


def examine(evidence: RequestEvidence) -> DeviceClaim | MalformedEvidence | None:
    """Return what the strongest evidence that is there comes to; None if there is none at all.

    Malformed evidence hides whatever is weaker: a client that means to prove its device, and
    fails, is not quietly believed on a cookie instead.
    """
    found = (method(evidence) for method in METHODS)
    return next((outcome for outcome in found if outcome is not None), None)


def strongest_claim(evidence: RequestEvidence) -> DeviceClaim | None:
    """Return the claim to verify, or None: no evidence, or evidence that cannot be read."""
    outcome = examine(evidence)
    return None if isinstance(outcome, MalformedEvidence) else outcome
