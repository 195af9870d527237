"""The remediation page: it names what is wrong, polls, and goes on by itself once healed."""

import math
from dataclasses import asdict
from datetime import timedelta
from typing import Final

from flask import Blueprint, Response, jsonify, make_response, render_template, url_for
from flask import request as http_request

from pdp.domain.access import Decision
from pdp.ephemeral.rate_limit import Limited
from pdp.oidc.authorize import NeedsRemediation
from pdp.usecases.show_remediation import PageState, Remediation, ShownFinding, show_remediation
from pdp.web import cookies
from pdp.web.authorize import Authorization, authorization, return_origin
from pdp.web.context import runtime
from pdp.web.errors import problem, problem_page
from pdp.web.pairing import show_pairing_code
from pdp.web.security import allow_form_target, csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, glancing, visiting

blueprint = Blueprint("remediation", __name__)

#: Fifteen windows of one browser that poll side by side stay below it; without Redis, seven.
_MOST_POLLS: Final = 600
_POLLS_WINDOW: Final = timedelta(minutes=1)
_PRIVACY: Final = (
    "security findings and risk level",
    "disk encryption, firewall and similar settings",
    "operating system and its version",
)


@blueprint.get("/remediation/<request_id>")
def show(request_id: str) -> Response:
    """Show what keeps the person out, or go on if nothing does any more."""
    with visiting() as visit:
        found = authorization(visit, request_id)
        if found is None:
            return visit.finish(problem_page("request-expired", 400))
        if isinstance(found, Response):
            return visit.finish(found)
        step = found.step()
        if not isinstance(step, NeedsRemediation):
            return visit.finish(_go_on(request_id))
        shown = show_remediation(
            visit.tx, step.judged.facts.device, visit.configuration.rules, now=visit.now
        )
        response = _page(visit, found, shown, step.judged.decision, request_id)
        return visit.finish(response)


@blueprint.get("/remediation/<request_id>/status")
def status(request_id: str) -> Response:
    """Tell the page's script whether to go on: decided anew in a read, recorded by nobody.

    The answer opens nothing: whoever goes on is decided on once more.
    """
    here = runtime()
    browser = cookies.get(http_request, here.settings, cookies.BROWSER)
    if browser is None:
        return jsonify(state="expired")
    counted = here.rate_limiter.hit(
        f"status:{browser}", limit=_MOST_POLLS, window=_POLLS_WINDOW, now=here.clock()
    )
    if isinstance(counted, Limited):
        seconds = math.ceil(counted.retry_after.total_seconds())
        return problem(
            429, "Ask every two seconds, not oftener.", headers={"Retry-After": str(seconds)}
        )
    with glancing() as visit:
        found = authorization(visit, request_id)
        if found is None or isinstance(found, Response):
            return jsonify(state="expired")
        step = found.step()
        if not isinstance(step, NeedsRemediation):
            return jsonify(state="continue")
        shown = show_remediation(
            visit.tx, step.judged.facts.device, visit.configuration.rules, now=visit.now
        )
        return jsonify(state="waiting", version=shown.version)


@blueprint.post("/remediation/<request_id>/check")
def check(request_id: str) -> Response:
    """Decide again now: the button of people whose browser runs no scripts."""
    require_csrf(http_request)
    return _go_on(request_id)


def _go_on(request_id: str) -> Response:
    return see_other(url_for("authorize.resume", request_id=request_id))


def _page(
    visit: Visit, found: Authorization, shown: Remediation, decision: Decision, request_id: str
) -> Response:
    unknown = shown.state is PageState.UNKNOWN_DEVICE
    page = render_template(
        "remediation.html",
        state=shown.state.value,
        client_name=found.client.name,
        username="" if visit.live is None else visit.live.username,
        csrf_token=csrf_token(visit.browser),
        device=None if shown.device is None else asdict(shown.device),
        findings=[_finding(finding) for finding in shown.findings],
        reason_user=_reason_user(visit, decision),
        expectation=None,
        device_code=show_pairing_code(visit, request_id) if unknown else None,
        account_url=url_for("account.show"),
        status_url=url_for("remediation.status", request_id=request_id),
        version=shown.version,
        resume_url=url_for("authorize.resume", request_id=request_id),
        check_url=url_for("remediation.check", request_id=request_id),
        start_url=found.client.initiate_login_uri,
        ticket=shown.ticket,
        privacy=list(_PRIVACY),
        sign_out_url=url_for("sign_out.submit"),
    )
    response = make_response(page)
    allow_form_target(response, return_origin(found.client, found.request.parameters))
    return response


def _finding(finding: ShownFinding) -> dict[str, object]:
    return {
        **asdict(finding),
        "steps": [{"text": step, "link": None} for step in finding.steps],
        "minutes": None,
        "restart": False,
    }


def _reason_user(visit: Visit, decision: Decision) -> str | None:
    """Return the first matching policy's own sentence for people, if it has one."""
    messages = (
        policy.message
        for policy in visit.configuration.bundle.policies
        if policy.id in decision.matched
    )
    return next((message for message in messages if message), None)
