"""What a request carries about the device that speaks: all of it, as it came."""

from flask import Request

from pdp.identification.evidence import RequestEvidence
from pdp.settings import Settings
from pdp.web import cookies
from pdp.web.peer import is_trusted_proxy


def evidence_of(request: Request, settings: Settings) -> RequestEvidence:
    """Return the device evidence of a request; every value of a repeated header is kept."""
    return RequestEvidence(
        device_assertion_headers=tuple(request.headers.getlist("Device-Assertion")),
        device_cookies=tuple(request.cookies.getlist(cookies.name(settings, cookies.DEVICE))),
        client_cert_headers=tuple(request.headers.getlist("Client-Cert")),
        from_trusted_proxy=is_trusted_proxy(request.remote_addr, settings.server.trusted_proxies),
    )
