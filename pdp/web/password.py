"""Change one's own password: by choice from the account page, or because it must be changed."""

from typing import assert_never

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.ephemeral.rate_limit import Limited
from pdp.store.sessions import LiveSession
from pdp.usecases.authorize_change import ChangeRefused
from pdp.usecases.change_password import PasswordChange, PasswordChanged, change_password
from pdp.usecases.passwords import Busy, PasswordRefused, Rule
from pdp.usecases.sign_in import Refused
from pdp.web.context import client_address, runtime
from pdp.web.factor_enrolment import refused
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("password", __name__)

_RULE_WORDS = {
    Rule.TOO_SHORT: "too-short",
    Rule.TOO_LONG: "too-long",
    Rule.NAMES_THE_ACCOUNT: "too-common",
    Rule.COMMON: "too-common",
    Rule.UNCHANGED: "same",
}


@blueprint.get("/account/password")
@blueprint.get("/password/<request_id>", endpoint="forced")
def show(request_id: str | None = None) -> Response:
    """Show the form."""
    with visiting() as visit:
        if visit.live is None:
            return visit.finish(see_other(url_for("signin.sign_in")))
        return visit.finish(_page(visit, visit.live, request_id, None, 200))


@blueprint.post("/account/password")
@blueprint.post("/password/<request_id>", endpoint="submit_forced")
def submit(request_id: str | None = None) -> Response:
    """Replace the password; every other session of the person ends with it."""
    require_csrf(request)
    with visiting() as visit:
        live = visit.live
        if live is None:
            return visit.finish(see_other(url_for("signin.sign_in")))
    here = runtime()
    outcome = change_password(
        here.database,
        here.passwords,
        here.rate_limiter,
        session=live.session,
        change=PasswordChange(
            current=request.form.get("current_password", ""),
            new=request.form.get("new_password", ""),
            address=client_address(),
        ),
        settings=here.settings,
        configuration=visit.configuration,
        now=here.clock(),
    )
    with visiting() as visit:
        match outcome:
            case PasswordChanged():
                visit.new_session = outcome.cookie
                return visit.finish(_done(request_id))
            case ChangeRefused():
                return visit.finish(refused(outcome, after="password", waiting=request_id))
            case Refused():
                return visit.finish(_page(visit, live, request_id, "current-wrong", 401))
            case PasswordRefused():
                return visit.finish(_page(visit, live, request_id, _RULE_WORDS[outcome.rule], 400))
            case Limited():
                return visit.finish(
                    _page(visit, live, request_id, "throttled", 429, limited=outcome)
                )
            case Busy():
                return visit.finish(_page(visit, live, request_id, "busy", 503))
            case _:
                assert_never(outcome)


def _done(request_id: str | None) -> Response:
    if request_id is None:
        return see_other(url_for("account.show", notice="password-changed"))
    return see_other(url_for("authorize.resume", request_id=request_id))


def _page(
    visit: Visit,
    live: LiveSession,
    request_id: str | None,
    error: str | None,
    status: int,
    *,
    limited: Limited | None = None,
) -> Response:
    forced = live.must_change_password
    page = render_template(
        "password.html",
        action=request.path,
        csrf_token=csrf_token(visit.browser),
        username=live.username,
        forced=forced,
        min_length=runtime().settings.signin.password_min_length,
        error=error,
        wait_minutes=None
        if limited is None
        else max(1, round(limited.retry_after.total_seconds() / 60)),
        cancel_url=None if forced or request_id else url_for("account.show"),
    )
    return make_response(page, status)
