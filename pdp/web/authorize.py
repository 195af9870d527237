"""`/authorize` and its continuation: ask what comes next, then answer or send to a page."""

import math
from typing import assert_never
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Error
from flask import Blueprint, Response, request, url_for
from werkzeug.exceptions import TooManyRequests

from pdp import logs
from pdp.clock import new_id
from pdp.domain.client import Client
from pdp.domain.ids import ClientId
from pdp.domain.session import EndReason
from pdp.ephemeral.rate_limit import Limited
from pdp.oidc.authorize import (
    LONGEST_REQUEST,
    AuthenticationRequest,
    Deny,
    NeedsConsent,
    NeedsFactor,
    NeedsNewPassword,
    NeedsRemediation,
    NeedsSignIn,
    Proceed,
    Step,
    next_step,
    read_request,
)
from pdp.oidc.grants import AuthorizationCodeGrant, Authorized
from pdp.oidc.request import Answer, OidcRequest, Parameters
from pdp.store import parked
from pdp.store.parked import ParkedRequest
from pdp.usecases.attempts import network_of
from pdp.usecases.decide_access import Judged, record
from pdp.usecases.revoke_access import end_browser_session
from pdp.web.context import runtime, server
from pdp.web.errors import problem_page
from pdp.web.oauth import respond
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, bind_proven_device, visiting

blueprint = Blueprint("authorize", __name__)


class Authorization:
    """A validated authorization request within one visit."""

    __slots__ = ("asked", "grant", "parked", "request", "visit")

    def __init__(
        self,
        visit: Visit,
        request_: OidcRequest,
        grant: AuthorizationCodeGrant,
        asked: AuthenticationRequest,
        waiting: ParkedRequest | None,
    ) -> None:
        self.visit = visit
        self.request = request_
        self.grant = grant
        self.asked = asked
        self.parked = waiting

    @property
    def client(self) -> Client:
        """The client that asks."""
        return self.asked.client

    def step(self) -> Step:
        """Tell what comes next, as of now."""
        return next_step(self.request, self.asked, self.visit.live, self.parked)

    def park(self) -> str:
        """Keep the request on the server, for this browser; return its id."""
        if self.parked is not None:
            return self.parked.id
        return _park(self.visit, self.client, self.request.parameters, self.visit.browser)


@blueprint.get("/authorize")
def authorize() -> Response:
    """OpenID Connect Core §3.1.2.1."""
    with visiting() as visit:
        found = _validate(visit, _query_parameters(), None)
        return visit.finish(found if isinstance(found, Response) else answer(found))


@blueprint.post("/authorize")
def authorize_by_post() -> Response:
    """Park the request and go on by GET.

    A cross-site POST comes without our `SameSite=Lax` cookies: answered at once, it would ask a
    person to sign in who is signed in. Whoever follows the redirect owns the request.
    """
    with visiting() as visit:
        found = _validate(visit, _form_parameters(), None)
        if isinstance(found, Response):
            return found
        request_id = _park(visit, found.client, found.request.parameters, browser="")
    return see_other(url_for("authorize.resume", request_id=request_id))


@blueprint.get("/continue/<request_id>")
def resume(request_id: str) -> Response:
    """Go on with a waiting request, after a page or after remediation."""
    with visiting() as visit:
        found = authorization(visit, request_id)
        if found is None and parked.adopt(visit.tx, request_id, browser=visit.browser):
            found = authorization(visit, request_id)
        if found is None:
            return visit.finish(problem_page("request-expired", 400))
        return visit.finish(found if isinstance(found, Response) else answer(found))


def authorization(visit: Visit, request_id: str) -> Authorization | Response | None:
    """Return a waiting request of this browser, validated anew: registrations change.

    A Response tells what is wrong with it by now; None that there is none.
    """
    waiting = visit.parked(request_id)
    if waiting is None:
        return None
    bind_proven_device(visit, waiting)
    return _validate(visit, Parameters(waiting.parameters), waiting)


def answer(found: Authorization) -> Response:
    """Carry out the next step: the redirect back, or the page that is needed first."""
    step = found.step()
    match step:
        case Proceed():
            return _proceed(found, step.judged)
        case Deny():
            return deny(found, step)
        case NeedsSignIn():
            return _to_page(found, "signin.sign_in")
        case NeedsNewPassword():
            return _to_page(found, "password.forced")
        case NeedsFactor():
            record(found.visit.tx, step.judged)
            return _to_page(found, "factor.show")
        case NeedsConsent():
            return _to_page(found, "factor.consent")
        case NeedsRemediation():
            record(found.visit.tx, step.judged)
            return _to_page(found, "remediation.show")
        case _:
            assert_never(step)


def return_origin(client: Client, parameters: Parameters) -> str:
    """Return the origin that a form's redirect chain may end at, for `form-action`."""
    uri = parameters.values.get("redirect_uri") or client.redirect_uris[0]
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def _proceed(found: Authorization, judged: Judged) -> Response:
    visit, live = found.visit, found.visit.live
    if live is None:
        raise RuntimeError("a request proceeded without a session")  # next_step forbids it
    if found.parked is not None and not parked.finish(visit.tx, found.parked.id, now=visit.now):
        return problem_page("request-expired", 400)
    authorized = Authorized(session=live.session, judged=judged)
    return respond(server().authorize(found.request, found.grant, authorized))


def deny(found: Authorization, step: Deny) -> Response:
    """Tell the client no; on block the browser session ends as well."""
    visit = found.visit
    if step.judged is not None:
        record(visit.tx, step.judged)
    if step.ends_session and visit.live is not None:
        end_browser_session(
            visit.tx,
            visit.live.session.id,
            EndReason.BLOCKED,
            visit.configuration,
            now=visit.now,
            actor="server",
        )
        visit.forget_session()
    if found.parked is not None:
        parked.finish(visit.tx, found.parked.id, now=visit.now)
    error = OAuth2Error(error=step.error, description=step.description)
    return respond(_error_redirect(found.request, found.grant.redirect_uri, error))


def _to_page(found: Authorization, endpoint: str) -> Response:
    return see_other(url_for(endpoint, request_id=found.park()))


def _park(visit: Visit, client: Client, parameters: Parameters, browser: str) -> str:
    """Keep a request; TooManyRequests if this address had too many kept lately.

    Nobody needs an account to have one kept, and each takes room for hours.
    """
    here = runtime()
    limits = here.settings.signin
    counted = here.rate_limiter.hit(
        f"park:{network_of(visit.address)}",
        limit=limits.parked_per_address,
        window=limits.window,
        now=visit.now,
    )
    if isinstance(counted, Limited):
        raise TooManyRequests(retry_after=math.ceil(counted.retry_after.total_seconds()))
    request_id = new_id("req")
    parked.park(
        visit.tx,
        request_id,
        browser=browser,
        client=client.id,
        parameters=parameters.values,
        now=visit.now,
        expires_at=visit.now + here.settings.lifetimes.parked_request,
    )
    return request_id


def _validate(
    visit: Visit, parameters: Parameters | None, waiting: ParkedRequest | None
) -> Authorization | Response:
    """Validate a request; the Response is the error page, or the error's redirect.

    Errors go back to the client only where client and redirect URI are known good; else a page
    tells the person, and nothing is redirected (RFC 9700 §4.11.2).
    """
    if parameters is None:
        logs.note("detail", "The parameters cannot be read.")
        return problem_page("invalid-request", 400)
    asked_by = OidcRequest(
        "GET",
        parameters,
        address=visit.address,
        tx=visit.tx,
        configuration=visit.configuration,
        now=visit.now,
    )
    try:
        grant = server().validate_authorization(asked_by)
    except OAuth2Error as error:
        if error.redirect_uri:
            return respond(_error_redirect(asked_by, error.redirect_uri, error))
        named = visit.configuration.clients.get(ClientId(parameters.values.get("client_id", "")))
        if named is not None:
            logs.note("client", named.id)
        return _error_page(parameters, error)
    try:
        asked = read_request(asked_by, runtime().settings.issuer)
    except OAuth2Error as error:
        return respond(_error_redirect(asked_by, grant.redirect_uri, error))
    return Authorization(visit, asked_by, grant, asked, waiting)


def _error_redirect(asked_by: OidcRequest, redirect_uri: str, error: OAuth2Error) -> Answer:
    error.redirect_uri = redirect_uri
    state = asked_by.form.get("state", "")
    # One that is too long to be kept is too long for a URL as well.
    error.state = state if 0 < len(state) <= LONGEST_REQUEST else None
    return server().refuse(asked_by, error)


def _error_page(parameters: Parameters, error: OAuth2Error) -> Response:
    if isinstance(error, InvalidClientError):
        return problem_page("unknown-client", 400)
    if "redirect_uri" in parameters.values and not parameters.repeated:
        return problem_page("redirect-uri", 400)
    if parameters.repeated:
        logs.note("detail", "A parameter came twice.")
    return problem_page("invalid-request", 400)


def _query_parameters() -> Parameters | None:
    return _parse(request.query_string)


def _form_parameters() -> Parameters | None:
    if request.mimetype != "application/x-www-form-urlencoded" or request.query_string:
        # RFC 6749 §3.1: parameters in two places could be read in two ways.
        return None
    return _parse(request.get_data(cache=False))


def _parse(encoded: bytes) -> Parameters | None:
    try:
        return Parameters.parse(encoded.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return None
