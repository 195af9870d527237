"""Sign in anew, in place, before a change that asks for a fresh sign-in or the second factor.

An authorization request that waits for the change (`waiting`, its id) is carried along.
"""

from typing import Final, assert_never

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.ephemeral.rate_limit import Limited
from pdp.store.sessions import LiveSession
from pdp.usecases.passwords import Busy
from pdp.usecases.second_factor import prove_factor
from pdp.usecases.sign_in import (
    FactorProved,
    Refusal,
    Refused,
    SignedIn,
    check_password,
    renew_session,
    step_up_session,
)
from pdp.web.context import client_address, runtime
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("fresh", __name__, url_prefix="/account/confirm")

#: Where a confirmed person goes on: our own pages, by name; never an address from the request.
_NEXT: Final = {
    "factor": "factor_enrolment.show",
    "password": "password.show",
    "account": "account.show",
}


@blueprint.get("/<after>")
def sign_in(after: str) -> Response:
    """Ask for the second factor of whoever has one, else for the password."""
    with visiting() as visit:
        if visit.live is None:
            return visit.finish(see_other(url_for("signin.sign_in")))
        return visit.finish(_page(visit, visit.live, after, None, 200))


@blueprint.post("/<after>")
def submit(after: str) -> Response:
    """Renew the session's sign-in under a new cookie, and go on."""
    require_csrf(request)
    with visiting() as visit:
        live = visit.live
        if live is None:
            return visit.finish(see_other(url_for("signin.sign_in")))
        if live.has_factor:
            return visit.finish(_by_factor(visit, live, after))
    here = runtime()
    outcome = check_password(
        here.database,
        here.passwords,
        here.rate_limiter,
        username=live.username,
        password=request.form.get("password", ""),
        address=client_address(),
        limits=here.settings.signin,
        now=here.clock(),
    )
    with visiting() as visit:
        renewed = None
        if isinstance(outcome, SignedIn):
            renewed = renew_session(visit.tx, live.session, outcome, now=visit.now)
        if renewed is None:
            return visit.finish(_again(visit, live, after, outcome))
        visit.signed_in(renewed)
        return visit.finish(_go_on(after))


def _by_factor(visit: Visit, live: LiveSession, after: str) -> Response:
    here = runtime()
    proved = prove_factor(
        visit.tx,
        here.envelope,
        here.rate_limiter,
        subject_id=live.session.subject,
        code=request.form.get("code") or request.form.get("recovery_code", ""),
        address=visit.address,
        limits=here.settings.signin,
        now=visit.now,
    )
    if isinstance(proved, FactorProved):
        raised = step_up_session(visit.tx, live.session, proved, now=visit.now)
        if raised is not None:
            visit.signed_in(raised)
        return _go_on(after)
    return _again(visit, live, after, proved)


def _again(
    visit: Visit, live: LiveSession, after: str, why: SignedIn | Refused | Limited | Busy
) -> Response:
    """Show the page again, with the reason: the same words and statuses as at a sign-in."""
    match why:
        case Limited():
            return _page(visit, live, after, "throttled", 429, limited=why)
        case Busy():
            return _page(visit, live, after, "busy", 503)
        case Refused(Refusal.USED_CODE):
            return _page(visit, live, after, "used", 401)
        case Refused() | SignedIn():
            # Right, and yet no session came of it: it ended meanwhile.
            return _page(visit, live, after, "invalid", 401)
        case _:
            assert_never(why)


def _go_on(after: str) -> Response:
    waiting = request.args.get("waiting")
    if after == "password" and waiting:
        return see_other(url_for("password.forced", request_id=waiting))
    return see_other(url_for(_NEXT.get(after, "account.show"), waiting=waiting))


def _page(
    visit: Visit,
    live: LiveSession,
    after: str,
    error: str | None,
    status: int,
    *,
    limited: Limited | None = None,
) -> Response:
    minutes = None
    if limited is not None:
        minutes = max(1, round(limited.retry_after.total_seconds() / 60))
    shared = {
        "action": url_for("fresh.submit", after=after, waiting=request.args.get("waiting")),
        "csrf_token": csrf_token(visit.browser),
        "client_name": None,
        "username": live.username,
        "error": error,
        "wait_minutes": minutes,
    }
    if live.has_factor:
        page = render_template(
            "totp.html",
            error_field="recovery_code" if "recovery_code" in request.form else "code",
            sign_out_url=url_for("sign_out.submit"),
            **shared,
        )
    else:
        page = render_template(
            "sign_in.html", reauthenticate=True, switch_url=None, device_code=None, **shared
        )
    return make_response(page, status)
