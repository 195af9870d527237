"""Set up a second factor: from a fresh sign-in and a compliant device, confirmed by a code.

An authorization request may wait for it (`waiting`, its id): then that one goes on afterwards.
"""

from collections.abc import Sequence
from typing import assert_never

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.ephemeral.rate_limit import Limited
from pdp.store.sessions import LiveSession
from pdp.usecases import attempts
from pdp.usecases.authorize_change import ChangeRefused
from pdp.usecases.enrol_factor import (
    FactorEnrolled,
    NotConfirmed,
    PendingFactor,
    RecoveryCodesReplaced,
    begin_enrolment,
    confirm_enrolment,
    pending_image,
    renew_recovery_codes,
)
from pdp.web.account import compliance_of
from pdp.web.account_holder import account_holder
from pdp.web.context import runtime
from pdp.web.errors import problem_page
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("factor_enrolment", __name__, url_prefix="/account/factor")

_GROUP = 4


@blueprint.get("")
def show() -> Response:
    """Make a new secret, and show it for an authenticator app to take."""
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        begun = _begin(visit, live)
        if isinstance(begun, ChangeRefused):
            return visit.finish(refused(begun, after="factor"))
        return visit.finish(_page(visit, live, begun, None, 200))


@blueprint.get("/qr.svg")
def qr() -> Response:
    """Return the pending secret as a QR code, to the person whose it is."""
    with visiting() as visit:
        image = None
        live = account_holder(visit)
        if not isinstance(live, Response):
            image = pending_image(
                visit.tx,
                runtime().envelope,
                live.session,
                compliance=compliance_of(visit, live.session),
                lifetimes=runtime().settings.lifetimes,
                issuer_name=runtime().settings.display_name,
                now=visit.now,
            )
    if image is None:
        return Response(status=404)
    return Response(image, content_type="image/svg+xml")


@blueprint.post("")
def confirm() -> Response:
    """Let the secret count once a code from the app is right; show the recovery codes, once."""
    require_csrf(request)
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        here = runtime()
        # Guesses at the pending secret count with all other guesses at this account.
        attempt = attempts.attempt_at(live.session.subject, visit.address)
        limited = attempts.count(
            here.rate_limiter, attempt, limits=here.settings.signin, now=visit.now
        )
        if limited is not None:
            return visit.finish(_again(visit, live, "throttled", 429, limited))
        outcome = confirm_enrolment(
            visit.tx,
            here.envelope,
            live.session,
            code=request.form.get("code", ""),
            compliance=compliance_of(visit, live.session),
            lifetimes=here.settings.lifetimes,
            now=visit.now,
        )
        match outcome:
            case FactorEnrolled():
                attempts.forgive(
                    here.rate_limiter, attempt, limits=here.settings.signin, now=visit.now
                )
                codes = outcome.recovery_codes
                return visit.finish(_codes(visit, live, codes, notice="factor-enrolled"))
            case NotConfirmed():
                return visit.finish(_again(visit, live, "invalid", 401, None))
            case ChangeRefused():
                return visit.finish(refused(outcome, after="factor"))
            case _:
                assert_never(outcome)


@blueprint.post("/recovery-codes")
def renew_codes() -> Response:
    """Replace the recovery codes that are used up, or that somebody else has seen."""
    require_csrf(request)
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        here = runtime()
        outcome = renew_recovery_codes(
            visit.tx,
            here.envelope,
            live.session,
            compliance=compliance_of(visit, live.session),
            lifetimes=here.settings.lifetimes,
            now=visit.now,
        )
        match outcome:
            case RecoveryCodesReplaced():
                codes = outcome.recovery_codes
                return visit.finish(_codes(visit, live, codes, notice="recovery-codes-replaced"))
            case NotConfirmed():
                # There is no factor that codes could stand in for: it comes first.
                return visit.finish(see_other(url_for("factor_enrolment.show")))
            case ChangeRefused():
                return visit.finish(refused(outcome, after="account"))
            case _:
                assert_never(outcome)


def refused(why: ChangeRefused, *, after: str, waiting: str | None = None) -> Response:
    """Send a person where the reason for the refusal can be mended, and on to `after` then.

    `waiting` is the authorization request that is carried along, if it is not in the query.
    """
    match why:
        case ChangeRefused.NOT_FRESH | ChangeRefused.NEEDS_FACTOR:
            waiting = waiting or _waiting()
            return see_other(url_for("fresh.sign_in", after=after, waiting=waiting))
        case ChangeRefused.DEVICE_NOT_COMPLIANT:
            return problem_page("forbidden", 403)
        case _:
            assert_never(why)


def _waiting() -> str | None:
    return request.args.get("waiting")


def _after(visit: Visit, *, notice: str | None = None) -> str:
    """Return where to go on: to what waits in this very browser, else to the account."""
    waiting = visit.parked(_waiting() or "")
    if waiting is None:
        return url_for("account.show", notice=notice)
    return url_for("authorize.resume", request_id=waiting.id)


def _begin(visit: Visit, live: LiveSession) -> PendingFactor | ChangeRefused:
    here = runtime()
    return begin_enrolment(
        visit.tx,
        here.envelope,
        live.session,
        compliance=compliance_of(visit, live.session),
        lifetimes=here.settings.lifetimes,
        issuer_name=here.settings.display_name,
        now=visit.now,
    )


def _again(
    visit: Visit, live: LiveSession, error: str, status: int, limited: Limited | None
) -> Response:
    # A new secret after a wrong code would not be the one in the person's app: tell, and let
    # them start over by their own choice.
    page = render_template(
        "factor_enrol.html",
        action=url_for("factor_enrolment.confirm", waiting=_waiting()),
        csrf_token=csrf_token(visit.browser),
        qr_url=url_for("factor_enrolment.qr"),
        secret="",
        username=live.username,
        replaces=live.has_factor,
        error=error,
        wait_minutes=None
        if limited is None
        else max(1, round(limited.retry_after.total_seconds() / 60)),
        cancel_url=_after(visit),
    )
    return make_response(page, status)


def _page(
    visit: Visit, live: LiveSession, pending: PendingFactor, error: str | None, status: int
) -> Response:
    secret = pending.secret
    groups = [secret[start : start + _GROUP] for start in range(0, len(secret), _GROUP)]
    page = render_template(
        "factor_enrol.html",
        action=url_for("factor_enrolment.confirm", waiting=_waiting()),
        csrf_token=csrf_token(visit.browser),
        qr_url=url_for("factor_enrolment.qr"),
        secret=" ".join(groups),
        username=live.username,
        replaces=live.has_factor,
        error=error,
        wait_minutes=None,
        cancel_url=_after(visit),
    )
    return make_response(page, status)


def _codes(visit: Visit, live: LiveSession, codes: Sequence[str], *, notice: str) -> Response:
    return make_response(
        render_template(
            "recovery_codes.html",
            codes=list(codes),
            username=live.username,
            continue_url=_after(visit, notice=notice),
        )
    )
