"""Sign in by password, for a waiting request or for the account page."""

from dataclasses import dataclass
from typing import assert_never

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.domain.access import Strength
from pdp.ephemeral.rate_limit import Limited
from pdp.oidc.authorize import NeedsSignIn
from pdp.store import parked
from pdp.usecases.passwords import Busy
from pdp.usecases.sign_in import (
    Arrival,
    Refused,
    SignedIn,
    StartedSession,
    check_password,
    renew_session,
    start_session,
)
from pdp.web.authorize import Authorization, authorization, return_origin
from pdp.web.context import client_address, runtime
from pdp.web.errors import problem_page
from pdp.web.pairing import show_pairing_code
from pdp.web.security import allow_form_target, csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("signin", __name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong with the last try, as the page words it."""

    error: str
    status: int
    username: str = ""
    wait_minutes: int | None = None


@blueprint.get("/signin")
@blueprint.get("/signin/<request_id>")
def sign_in(request_id: str | None = None) -> Response:
    """Show the sign-in form, unless signing in is not what is due."""
    with visiting() as visit:
        found = _due(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        return visit.finish(_page(visit, found, None))


@blueprint.post("/signin")
@blueprint.post("/signin/<request_id>")
def submit(request_id: str | None = None) -> Response:
    """Check name and password, start a session, and go on with what waited."""
    require_csrf(request)
    with visiting() as visit:
        found = _due(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        username = _username(visit, found, request.form.get("username", ""))
    here = runtime()
    # Between two transactions: a password is hashed while no row is held.
    outcome = check_password(
        here.database,
        here.passwords,
        here.rate_limiter,
        username=username,
        password=request.form.get("password", ""),
        address=client_address(),
        limits=here.settings.signin,
        now=here.clock(),
    )
    with visiting() as visit:
        found = _due(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        match outcome:
            case SignedIn():
                return visit.finish(_start(visit, found, outcome, request_id))
            case Refused():
                trouble = Trouble(error="invalid", status=401, username=username)
            case Limited():
                minutes = max(1, round(outcome.retry_after.total_seconds() / 60))
                trouble = Trouble(
                    error="throttled", status=429, username=username, wait_minutes=minutes
                )
            case Busy():
                trouble = Trouble(error="busy", status=503, username=username)
            case _:
                assert_never(outcome)
        return visit.finish(_page(visit, found, trouble))


def _due(visit: Visit, request_id: str | None) -> Authorization | Response | None:
    """Return the request that waits for a sign-in, None for the account page; or where to go."""
    if request_id is None:
        return None
    found = authorization(visit, request_id)
    if found is None:
        return problem_page("request-expired", 400)
    if isinstance(found, Response):
        return found
    if isinstance(found.step(), NeedsSignIn):
        return found
    return see_other(url_for("authorize.resume", request_id=request_id))


def _username(visit: Visit, found: Authorization | None, typed: str) -> str:
    """Return who signs in: somebody who confirms that it is them cannot become another."""
    if found is not None and visit.live is not None and not _may_switch(found):
        return visit.live.username
    return typed


def _may_switch(found: Authorization) -> bool:
    return "select_account" in found.asked.prompts or (
        found.asked.hinted_subject is not None
        and found.visit.live is not None
        and found.asked.hinted_subject != found.visit.live.session.subject
    )


def _start(
    visit: Visit, found: Authorization | None, outcome: SignedIn, request_id: str | None
) -> Response:
    started = _renewed(visit, outcome) or _started(visit, outcome)
    if isinstance(started, Refused):
        return _page(visit, found, Trouble(error="invalid", status=401))
    visit.signed_in(started)
    if request_id is None:
        return see_other(url_for("account.show"))
    parked.note_reauthentication(visit.tx, request_id, now=visit.now)
    return see_other(url_for("authorize.resume", request_id=request_id))


def _renewed(visit: Visit, outcome: SignedIn) -> StartedSession | None:
    """Renew the session of somebody who confirms that it is still them."""
    if visit.live is None:
        return None
    return renew_session(visit.tx, visit.live.session, outcome, now=visit.now)


def _started(visit: Visit, outcome: SignedIn) -> StartedSession | Refused:
    device = visit.device
    arrival = Arrival(
        device=None if device is None else device.id,
        strength=Strength.NONE if device is None else device.strength,
        address=visit.address,
    )
    return start_session(
        visit.tx, outcome, arrival, lifetimes=runtime().settings.lifetimes, now=visit.now
    )


def _page(visit: Visit, found: Authorization | None, trouble: Trouble | None) -> Response:
    again = found is not None and visit.live is not None and not _may_switch(found)
    request_id = None if found is None or found.parked is None else found.parked.id
    username = trouble.username if trouble else ("" if found is None else found.asked.login_hint)
    response = make_response(
        render_template(
            "sign_in.html",
            action=url_for("signin.submit", request_id=request_id),
            csrf_token=csrf_token(visit.browser),
            client_name=None if found is None else found.client.name,
            username=visit.live.username if again and visit.live is not None else username,
            reauthenticate=again,
            switch_url=None,
            error=None if trouble is None else trouble.error,
            wait_minutes=None if trouble is None else trouble.wait_minutes,
            device_code=_pairing_code(visit, found, request_id),
        ),
        200 if trouble is None else trouble.status,
    )
    if found is not None:
        allow_form_target(response, return_origin(found.client, found.request.parameters))
    return response


def _pairing_code(visit: Visit, found: Authorization | None, request_id: str | None) -> str | None:
    if visit.device is not None or found is None or request_id is None:
        return None
    if found.parked is not None and found.parked.device is not None:
        return None
    return show_pairing_code(visit, request_id)
