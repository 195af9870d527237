"""Which device is this: evidence in, claim out, no I/O; the table of methods."""

from collections.abc import Callable
from typing import Final

from pdp.identification import client_certificate, device_assertion, device_cookie
from pdp.identification.evidence import DeviceClaim, MalformedEvidence, RequestEvidence

Method = Callable[[RequestEvidence], DeviceClaim | MalformedEvidence | None]

#: Strongest first: the first method that finds evidence of its kind has the last word.
METHODS: Final[tuple[Method, ...]] = (
    client_certificate.identify,  # proof of possession, seen by our proxy
    device_assertion.identify,  # proof of possession, signed for this request
    device_cookie.identify,  # a bearer secret of ours: weak
)
