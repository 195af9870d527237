"""Enrol a browser as a device: by a one-time link, which one's own account page makes as well.

The browser gets a cookie, which whoever copies it can show as well: such a device is known
weakly, and policies may ask for more. One that speaks for a device already is not taken from it
by the way: the link is for another device, unless the person says otherwise.
"""

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.clock import new_secret, new_typed_secret
from pdp.domain.ids import DeviceId
from pdp.identification.device_cookie import key_of
from pdp.identification.evidence import CookieClaim
from pdp.jose.device_enrolment import token_digest
from pdp.store import device_keys, devices, subjects
from pdp.store.device_keys import Enrolment
from pdp.usecases.authorize_change import refuse_device_enrolment
from pdp.usecases.enrol_device import Credential, EnrolmentRefused, enrol_device
from pdp.usecases.show_remediation import ShownDevice, shown_device
from pdp.web import cookies
from pdp.web.account import compliance_of
from pdp.web.account_holder import account_holder
from pdp.web.context import runtime
from pdp.web.factor_enrolment import refused
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("enrolment", __name__)

_SECONDS_A_MINUTE = 60


@blueprint.get("/enrol/<token>")
def confirm(token: str) -> Response:
    """Ask whether this browser is on the device that the link is for."""
    with visiting() as visit:
        enrolment = device_keys.peek_enrolment_token(visit.tx, token_digest(token), now=visit.now)
        if enrolment is None:
            return visit.finish(_over(visit))
        return visit.finish(_ask(visit, enrolment, token))


@blueprint.post("/enrol/<token>")
def submit(token: str) -> Response:
    """Use the link up and give this browser its device cookie."""
    require_csrf(request)
    secret, digest = new_secret(), token_digest(token)
    with visiting() as visit:
        enrolment = device_keys.peek_enrolment_token(visit.tx, digest, now=visit.now)
        enrolled = enrol_device(
            visit.tx,
            digest,
            Credential(method=CookieClaim.method, key=key_of(secret)),
            visit.configuration.rules,
            # A browser tells no name: a record that signals made has a better one.
            display_name="Browser" if enrolment is None or enrolment.device is None else "",
            now=visit.now,
        )
        if isinstance(enrolled, EnrolmentRefused):
            return visit.finish(_over(visit))
        signed_in = visit.live is not None
        response = see_other(
            url_for("account.show", notice="device-enrolled")
            if signed_in
            else url_for("enrolment.done")
        )
        cookies.put(response, runtime().settings, cookies.DEVICE, secret)
        return visit.finish(response)


@blueprint.get("/enrolled")
def done() -> Response:
    """Tell whoever is not signed in that it worked, and for which device."""
    with visiting() as visit:
        device = _speaks_for(visit)
        shown = None if device is None else _shown(visit, device)
        if shown is None:
            return visit.finish(see_other(url_for("account.show")))
        return visit.finish(_page(visit, "done", device=shown))


@blueprint.post("/account/devices/enrol")
def begin() -> Response:
    """Make an enrolment link for the person's own next device, after a fresh step-up.

    It is shown, not followed: this browser is on a device already.
    """
    require_csrf(request)
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        lifetimes = runtime().settings.lifetimes
        why = refuse_device_enrolment(
            live.session,
            has_factor=live.has_factor,
            compliance=compliance_of(visit, live.session),
            lifetimes=lifetimes,
            now=visit.now,
        )
        if why is not None:
            return visit.finish(refused(why, after="account"))
        token = new_typed_secret()
        device_keys.create_enrolment_token(
            visit.tx,
            token_digest(token),
            live.session.subject,
            now=visit.now,
            expires_at=visit.now + lifetimes.enrolment_token,
        )
        page = render_template(
            "enrol_offer.html",
            link=_link(token),
            command=_command(token),
            minutes=int(lifetimes.enrolment_token.total_seconds() // _SECONDS_A_MINUTE),
            here_url=url_for("enrolment.confirm", token=token),
            account_url=url_for("account.show"),
        )
        return visit.finish(make_response(page))


def _ask(visit: Visit, enrolment: Enrolment, token: str) -> Response:
    speaks_for = _speaks_for(visit)
    # Another cookie for the same device takes nothing from anybody.
    current = None if speaks_for == enrolment.device else speaks_for
    return _page(
        visit,
        "confirm",
        device=None if enrolment.device is None else _shown(visit, enrolment.device),
        owner=subjects.get(visit.tx, enrolment.subject).name or None,
        current=_name(visit, current),
        action=url_for("enrolment.submit", token=token),
        link=_link(token),
        command=_command(token),
    )


def _over(visit: Visit) -> Response:
    page = _page(visit, "over", current=_name(visit, _speaks_for(visit)))
    page.status_code = 410
    return page


def _page(visit: Visit, state: str, **shown: object) -> Response:
    nothing = {"device": None, "owner": None, "current": None}
    page = render_template(
        "enrol_device.html",
        state=state,
        csrf_token=csrf_token(visit.browser),
        account_url=url_for("account.show"),
        **{**nothing, **shown},
    )
    return make_response(page)


def _speaks_for(visit: Visit) -> DeviceId | None:
    """Return the device that this browser, or its session, is known to be on."""
    if visit.live is not None:
        return visit.live.session.device
    return None if visit.device is None else visit.device.id


def _name(visit: Visit, device_id: DeviceId | None) -> str | None:
    """Return what people call the device; whoever sits at it may know."""
    shown = None if device_id is None else _shown(visit, device_id)
    return None if shown is None else shown.name


def _shown(visit: Visit, device_id: DeviceId) -> ShownDevice | None:
    stored = devices.load(visit.tx, device_id)
    return None if stored is None else shown_device(visit.tx, stored)


def _link(token: str) -> str:
    return f"{runtime().settings.issuer}/enrol/{token}"


def _command(token: str) -> str:
    return f"pdp device enrol {token} --issuer {runtime().settings.issuer}"
