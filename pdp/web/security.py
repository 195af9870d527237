"""What every answer carries, and which forms are ours."""

import hmac
from collections.abc import Mapping
from typing import Final

from flask import Flask, Request, Response
from werkzeug.exceptions import Forbidden

from pdp.settings import Settings
from pdp.store.parked import browser_digest
from pdp.web import cookies
from pdp.web.context import runtime

_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    # Codes and request ids stand in our URLs: nobody is told where a visitor came from.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(),"
        " publickey-credentials-get=(self), publickey-credentials-create=(self)"
    ),
    # Public documents and static files say otherwise for themselves.
    "Cache-Control": "no-store",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
_HSTS: Final = "max-age=31536000"
#: What a browser says of a form that one of our pages holds, or that was typed in by hand.
_OWN_SITES: Final = frozenset({"same-origin", "none"})


class FormRefused(Forbidden):
    """A form that no page of ours, in this browser, has sent."""

    description = "The form was not sent from a page of this server, or is too old."


def register(app: Flask, settings: Settings) -> None:
    """Put the security headers on every answer of `app`."""
    headers = security_headers(settings)

    @app.after_request
    def _secure(response: Response) -> Response:
        for header, value in headers.items():
            response.headers.setdefault(header, value)
        return response


def security_headers(settings: Settings) -> Mapping[str, str]:
    """Return what every answer carries, unless it says otherwise for itself."""
    https = settings.issuer.startswith("https://")
    always = {**_HEADERS, "Content-Security-Policy": _policy(https=https)}
    return {**always, "Strict-Transport-Security": _HSTS} if https else always


def allow_form_target(response: Response, origin: str) -> None:
    """Let forms of this page end, over redirects, at `origin`: a registered client's, no other's.

    Browsers apply `form-action` to the redirects that follow a form as well, so the page with
    the form must name the relying party that its sign-in leads back to.
    """
    if not origin or any(mark in origin for mark in " ;,'\"\r\n"):
        return
    https = runtime().settings.issuer.startswith("https://")
    response.headers["Content-Security-Policy"] = _policy(https=https, form_target=origin)


def _policy(*, https: bool, form_target: str = "") -> str:
    target = f" {form_target}" if form_target else ""
    upgrade = "; upgrade-insecure-requests" if https and not form_target.startswith("http:") else ""
    return f"{_POLICY}{target}{upgrade}"


# Forms


def csrf_token(browser: str) -> str:
    """Return the token that forms carry in the field `csrf_token`, for one browser's digest."""
    return csrf_token_of(runtime().envelope.derive("csrf"), browser)


def csrf_token_of(secret: bytes, browser: str) -> str:
    """Return the token of one browser under `secret`."""
    return hmac.digest(secret, browser.encode(), "sha256").hex()


def require_csrf(request: Request) -> None:
    """Raise FormRefused unless a page of ours sent this form, in the browser that we gave it to.

    Two independent signs: the browser's own word (`Sec-Fetch-Site`, `Origin`) where it gives
    one, and the token that belongs to its cookie.
    """
    here = runtime()
    secret = cookies.get(request, here.settings, cookies.BROWSER)
    if secret is None or not is_own_site(request, here.settings.issuer):
        raise FormRefused
    expected = csrf_token(browser_digest(secret))
    # Compared as bytes: text beyond ASCII would raise, and a form may hold any text.
    sent = request.form.get("csrf_token", "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(expected.encode(), sent):
        raise FormRefused


def is_own_site(request: Request, issuer: str) -> bool:
    """Tell whether nothing that the browser says speaks against a page of ours as the sender."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in _OWN_SITES:
        return False
    # `null` says nothing: browsers write it for our own forms too, under `no-referrer`.
    origin = request.headers.get("Origin", "null")
    return origin in {"null", "/".join(issuer.split("/")[:3])}
