"""Enrol this browser as a device: by a one-time link, or from one's own account page.

The browser gets a cookie, which whoever copies it can show as well: such a device is known
weakly, and policies may ask for more.
"""

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.clock import new_secret
from pdp.identification.device_cookie import key_of
from pdp.identification.evidence import CookieClaim
from pdp.jose.device_enrolment import token_digest
from pdp.store import device_keys, devices, subjects
from pdp.store.device_keys import Enrolment
from pdp.usecases.authorize_change import refuse_change
from pdp.usecases.enrol_device import Credential, EnrolmentRefused, enrol_device
from pdp.usecases.show_remediation import shown_device
from pdp.web import cookies
from pdp.web.context import runtime
from pdp.web.factor_enrolment import refused
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("enrolment", __name__)


@blueprint.get("/enrol/<token>")
def confirm(token: str) -> Response:
    """Ask whether this browser is on the device that the link is for."""
    with visiting() as visit:
        enrolment = device_keys.peek_enrolment_token(visit.tx, token_digest(token), now=visit.now)
        if enrolment is None:
            return visit.finish(_page(visit, "expired", None, token))
        return visit.finish(_page(visit, "confirm", enrolment, token))


@blueprint.post("/enrol/<token>")
def submit(token: str) -> Response:
    """Use the link up and give this browser its device cookie."""
    require_csrf(request)
    secret = new_secret()
    with visiting() as visit:
        enrolled = enrol_device(
            visit.tx,
            token_digest(token),
            Credential(method=CookieClaim.method, key=key_of(secret)),
            visit.configuration.rules,
            display_name="Browser",
            now=visit.now,
        )
        if isinstance(enrolled, EnrolmentRefused):
            return visit.finish(_page(visit, "used", None, token))
        response = see_other(url_for("account.show", notice="device-enrolled"))
        cookies.put(response, runtime().settings, cookies.DEVICE, secret)
        return visit.finish(response)


@blueprint.post("/account/devices/enrol")
def begin() -> Response:
    """Make an enrolment link for the person's own next device, after a fresh sign-in."""
    require_csrf(request)
    with visiting() as visit:
        if visit.live is None:
            return visit.finish(see_other(url_for("signin.sign_in")))
        why = refuse_change(
            visit.live.session,
            has_factor=visit.live.has_factor,
            lifetimes=runtime().settings.lifetimes,
            now=visit.now,
        )
        if why is not None:
            return visit.finish(refused(why, after="account"))
        token = new_secret()
        device_keys.create_enrolment_token(
            visit.tx,
            token_digest(token),
            visit.live.session.subject,
            now=visit.now,
            expires_at=visit.now + runtime().settings.lifetimes.enrolment_token,
        )
        return visit.finish(see_other(url_for("enrolment.confirm", token=token)))


def _page(visit: Visit, state: str, enrolment: Enrolment | None, token: str) -> Response:
    device, owner = None, None
    if enrolment is not None:
        owner = subjects.get(visit.tx, enrolment.subject).name or None
        stored = None if enrolment.device is None else devices.load(visit.tx, enrolment.device)
        device = None if stored is None else shown_device(visit.tx, stored)
    page = render_template(
        "enrol_device.html",
        state=state,
        device=device,
        owner=owner,
        action=url_for("enrolment.submit", token=token),
        csrf_token=csrf_token(visit.browser),
        account_url=url_for("account.show"),
    )
    return make_response(page, 200 if state == "confirm" else 410)
