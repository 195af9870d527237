"""The second factor that a step-up asks for, and the consent that a third party needs."""

from typing import assert_never

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.domain.compliance import Compliance
from pdp.domain.events import Action, Event
from pdp.ephemeral.rate_limit import Limited
from pdp.oidc.authorize import Deny, NeedsConsent, NeedsFactor
from pdp.store import audit, consents, parked, standings
from pdp.usecases.second_factor import prove_factor
from pdp.usecases.sign_in import FactorProved, Refusal, Refused, step_up_session
from pdp.web.authorize import Authorization, authorization, deny, return_origin
from pdp.web.context import runtime
from pdp.web.errors import problem_page
from pdp.web.security import allow_form_target, csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.shown_scopes import shown_scopes
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("factor", __name__)


@blueprint.get("/factor/<request_id>")
def show(request_id: str) -> Response:
    """Ask for the second factor, or tell how to set one up."""
    with visiting() as visit:
        found = _waiting(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        step = found.step()
        if not isinstance(step, NeedsFactor):
            return visit.finish(_go_on(request_id))
        if not step.enrolled:
            return visit.finish(_missing(visit, found, step))
        return visit.finish(_page(visit, found, None, 200))


@blueprint.post("/factor/<request_id>")
def submit(request_id: str) -> Response:
    """Check a code, raise the session under a new cookie, and go on."""
    require_csrf(request)
    with visiting() as visit:
        found = _waiting(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        if visit.live is not None:
            # A code that is spent is written to the person's row.
            standings.claim(visit.tx, visit.live.session.subject, visit.live.session.device)
        if not isinstance(found.step(), NeedsFactor) or visit.live is None:
            return visit.finish(_go_on(request_id))
        here = runtime()
        proved = prove_factor(
            visit.tx,
            here.envelope,
            here.rate_limiter,
            subject_id=visit.live.session.subject,
            code=request.form.get("code") or request.form.get("recovery_code", ""),
            address=visit.address,
            limits=here.settings.signin,
            now=visit.now,
        )
        return visit.finish(_judge(visit, found, proved, request_id))


def _judge(
    visit: Visit,
    found: Authorization,
    proved: FactorProved | Refused | Limited,
    request_id: str,
) -> Response:
    match proved:
        case FactorProved():
            if visit.live is None:
                return _go_on(request_id)
            raised = step_up_session(visit.tx, visit.live.session, proved, now=visit.now)
            if raised is not None:
                visit.signed_in(raised)
            return _go_on(request_id)
        case Refused():
            error = "used" if proved.reason is Refusal.USED_CODE else "invalid"
            return _page(visit, found, error, 401)
        case Limited():
            return _page(visit, found, "throttled", 429, wait=proved)
        case _:
            assert_never(proved)


@blueprint.get("/consent/<request_id>")
def consent(request_id: str) -> Response:
    """Ask the person whether a third party's client may have what it asks for."""
    with visiting() as visit:
        found = _waiting(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        step = found.step()
        if not isinstance(step, NeedsConsent) or visit.live is None:
            return visit.finish(_go_on(request_id))
        asked = (found.request.scope or "").split()
        page = render_template(
            "consent.html",
            action=url_for("factor.decide_consent", request_id=request_id),
            csrf_token=csrf_token(visit.browser),
            client_name=found.client.name,
            client_url=None,
            username=visit.live.username,
            scopes=shown_scopes(
                (name for name in asked if name in step.scopes), visit.configuration.resources
            ),
        )
        return visit.finish(_returning(make_response(page), found))


@blueprint.post("/consent/<request_id>")
def decide_consent(request_id: str) -> Response:
    """Keep the person's answer: yes is remembered, no goes back as `access_denied`."""
    require_csrf(request)
    with visiting() as visit:
        found = _waiting(visit, request_id)
        if isinstance(found, Response):
            return visit.finish(found)
        step = found.step()
        if not isinstance(step, NeedsConsent) or visit.live is None:
            return visit.finish(_go_on(request_id))
        if request.form.get("decision") != "allow":
            return visit.finish(deny(found, Deny("access_denied", "The person said no.")))
        parked.note_consent(visit.tx, request_id, now=visit.now)
        subject = visit.live.session.subject
        consents.give(visit.tx, subject, found.client.id, step.scopes, now=visit.now)
        audit.append(
            visit.tx,
            Event(
                at=visit.now,
                actor=subject,
                action=Action.CONSENT_GIVEN,
                kind="client",
                object_id=found.client.id,
                detail={"scopes": sorted(step.scopes)},
            ),
        )
        return visit.finish(_go_on(request_id))


def _waiting(visit: Visit, request_id: str) -> Authorization | Response:
    found = authorization(visit, request_id)
    return problem_page("request-expired", 400) if found is None else found


def _go_on(request_id: str) -> Response:
    return see_other(url_for("authorize.resume", request_id=request_id))


def _page(
    visit: Visit,
    found: Authorization,
    error: str | None,
    status: int,
    wait: Limited | None = None,
) -> Response:
    recovering = "recovery_code" in request.form
    page = render_template(
        "totp.html",
        action=request.path,
        csrf_token=csrf_token(visit.browser),
        client_name=found.client.name,
        username="" if visit.live is None else visit.live.username,
        error=error,
        error_field="recovery_code" if recovering else "code",
        wait_minutes=None if wait is None else max(1, round(wait.retry_after.total_seconds() / 60)),
        sign_out_url=url_for("sign_out.submit"),
    )
    return _returning(make_response(page, status), found)


def _missing(visit: Visit, found: Authorization, step: NeedsFactor) -> Response:
    device = step.judged.facts.device
    request_id = found.park()
    page = render_template(
        "factor_missing.html",
        client_name=found.client.name,
        username="" if visit.live is None else visit.live.username,
        device_ok=device is not None and device.compliance is Compliance.COMPLIANT,
        factor_url=url_for("factor_enrolment.show", waiting=request_id),
        resume_url=url_for("authorize.resume", request_id=request_id),
        csrf_token=csrf_token(visit.browser),
        sign_out_url=url_for("sign_out.submit"),
    )
    return _returning(make_response(page), found)


def _returning(response: Response, found: Authorization) -> Response:
    allow_form_target(response, return_origin(found.client, found.request.parameters))
    return response
