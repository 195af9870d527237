"""The account page: a person's own sessions, devices, second factor and connected applications."""

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp.domain.compliance import Compliance
from pdp.domain.events import Action, Event
from pdp.domain.ids import ClientId, SessionId
from pdp.domain.session import EndReason, Session
from pdp.store import audit, consents, devices, factors, grants, sessions, standings
from pdp.store.sessions import LiveSession
from pdp.usecases.gather_facts import device_facts
from pdp.usecases.reassess_device import assessment_at
from pdp.usecases.revoke_access import end_browser_session
from pdp.usecases.show_remediation import shown_device
from pdp.web.account_holder import account_holder
from pdp.web.context import runtime
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.shown_scopes import shown_scopes
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("account", __name__, url_prefix="/account")

_NOTICES = frozenset(
    {
        "password-changed",
        "session-revoked",
        "device-enrolled",
        "consent-withdrawn",
        "factor-enrolled",
        "recovery-codes-replaced",
    }
)


@blueprint.get("")
def show() -> Response:
    """Show the account of whoever is signed in."""
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        notice = request.args.get("notice")
        page = render_template(
            "account.html",
            name=live.name or live.username,
            username=live.username,
            csrf_token=csrf_token(visit.browser),
            notice=notice if notice in _NOTICES else None,
            password_url=url_for("password.show"),
            factor={
                "enrolled": live.has_factor,
                "recovery_left": factors.count_codes(visit.tx, live.session.subject),
            },
            factor_url=url_for("factor_enrolment.show"),
            renew_codes_url=url_for("factor_enrolment.renew_codes"),
            device_ok=compliance_of(visit, live.session) is Compliance.COMPLIANT,
            sessions=[_session(visit, live, other) for other in _own_sessions(visit, live)],
            revoke_session_url=url_for("account.revoke_session"),
            devices=_devices(visit, live),
            enrol_device_url=url_for("enrolment.begin"),
            apps=_apps(visit, live),
            withdraw_url=url_for("account.withdraw_consent"),
            sign_out_url=url_for("sign_out.submit"),
        )
        return visit.finish(make_response(page))


@blueprint.post("/sessions/revoke")
def revoke_session() -> Response:
    """End one of the person's own sessions; anybody else's looks like none."""
    require_csrf(request)
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        wanted = SessionId(request.form.get("session", ""))
        if any(own.id == wanted for own in _own_sessions(visit, live)):
            end_browser_session(
                visit.tx,
                wanted,
                EndReason.REVOKED,
                visit.configuration,
                now=visit.now,
                actor=live.session.subject,
            )
        return visit.finish(see_other(url_for("account.show", notice="session-revoked")))


@blueprint.post("/consents/withdraw")
def withdraw_consent() -> Response:
    """Take back what a client was agreed to have; its grants end with the consent."""
    require_csrf(request)
    with visiting() as visit:
        live = account_holder(visit)
        if isinstance(live, Response):
            return visit.finish(live)
        subject = live.session.subject
        client_id = ClientId(request.form.get("client_id", ""))
        is_known = client_id in visit.configuration.clients
        if is_known and consents.withdraw(visit.tx, subject, client_id):
            grants.revoke_grants_to_client(
                visit.tx, subject, client_id, EndReason.CONSENT_WITHDRAWN, visit.now
            )
            audit.append(
                visit.tx,
                Event(
                    at=visit.now,
                    actor=subject,
                    action=Action.CONSENT_WITHDRAWN,
                    kind="client",
                    object_id=client_id,
                ),
            )
        notice = "consent-withdrawn"
        return visit.finish(see_other(url_for("account.show", notice=notice)))


def compliance_of(visit: Visit, session: Session) -> Compliance:
    """Return how the device that this session is bound to stands now; unknown without one."""
    standing = standings.standing_of_subject(visit.tx, session.subject, session.device)
    if standing is None:
        return Compliance.UNKNOWN
    return device_facts(
        visit.tx,
        standing.device,
        session.subject,
        session.strength,
        rules=visit.configuration.rules,
        now=visit.now,
    ).compliance


def _own_sessions(visit: Visit, live: LiveSession) -> list[Session]:
    return sessions.list_live_of_subject(visit.tx, live.session.subject, now=visit.now)


def _session(visit: Visit, live: LiveSession, other: Session) -> dict[str, object]:
    stored = None if other.device is None else devices.load(visit.tx, other.device)
    idle = runtime().settings.lifetimes.session_idle
    return {
        "id": other.id,
        "current": other.id == live.session.id,
        "browser": "Browser",
        "device_name": None if stored is None else shown_device(visit.tx, stored).name,
        "address": other.address or "unknown",
        "signed_in_at": other.created_at,
        "last_seen_at": other.idle_expires_at - idle,
    }


def _devices(visit: Visit, live: LiveSession) -> list[dict[str, object]]:
    shown: list[dict[str, object]] = []
    for stored in devices.list_of_owner(visit.tx, live.session.subject):
        device = shown_device(visit.tx, stored.device)
        assessment = assessment_at(stored, visit.configuration.rules, visit.now)
        shown.append(
            {
                "name": device.name,
                "platform": device.platform,
                "os_version": device.os_version,
                "serial_end": device.serial_end,
                "last_seen_at": device.last_seen_at,
                "compliance": assessment.status.value,
            }
        )
    return shown


def _apps(visit: Visit, live: LiveSession) -> list[dict[str, object]]:
    known = visit.configuration.clients
    apps: list[dict[str, object]] = [
        {
            "client_id": client_id,
            "name": known[client_id].name if client_id in known else client_id,
            "scopes": shown_scopes(sorted(scopes), visit.configuration.resources),
            "since": since,
        }
        for client_id, scopes, since in consents.list_given(visit.tx, live.session.subject)
    ]
    return apps
