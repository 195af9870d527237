"""Sign out: at a relying party's request, or from a page of ours."""

from typing import TypedDict

from flask import Blueprint, Response, make_response, render_template, request, url_for

from pdp import logs
from pdp.domain.ids import SessionId
from pdp.domain.session import EndReason
from pdp.oidc.logout import LogoutRequest, MalformedLogout, read_logout
from pdp.oidc.request import OidcRequest, Parameters
from pdp.usecases.revoke_access import end_browser_session, reach_of_end
from pdp.web.context import runtime
from pdp.web.errors import problem_page
from pdp.web.security import csrf_token, require_csrf
from pdp.web.see_other import see_other
from pdp.web.visit import Visit, visiting

blueprint = Blueprint("sign_out", __name__)


class Applications(TypedDict):
    """Whether any application is told of a sign-out, and the names of those that are not."""

    told: bool
    untold: list[str]


@blueprint.route("/logout", methods=["GET", "POST"])
def logout() -> Response:
    """OpenID Connect RP-Initiated Logout 1.0 §2; without a hint the person is asked first."""
    with visiting() as visit:
        asked = _read(visit)
        if isinstance(asked, MalformedLogout):
            logs.note("detail", asked.problem)
            if asked.client is not None:
                logs.note("client", asked.client.id)
            return visit.finish(problem_page("invalid-request", 400))
        if asked.session is None:
            return visit.finish(_confirm(visit, asked))
        # Whoever has the hint alone does not learn which applications the person uses.
        is_here = visit.live is not None and visit.live.session.id == asked.session
        applications = _applications(visit, asked.session) if is_here else None
        _end(visit, asked.session)
        if is_here:
            visit.forget_session()
        if asked.return_to is not None:
            return visit.finish(see_other(asked.return_to))
        return visit.finish(_signed_out(asked, applications))


@blueprint.post("/sign-out")
def submit() -> Response:
    """End this browser's session: the button on pages of ours."""
    require_csrf(request)
    with visiting() as visit:
        applications = None
        if visit.live is not None:
            applications = _applications(visit, visit.live.session.id)
            _end(visit, visit.live.session.id)
        visit.forget_session()
        return visit.finish(_signed_out(None, applications))


def _read(visit: Visit) -> LogoutRequest | MalformedLogout:
    encoded = request.query_string if request.method == "GET" else request.get_data(cache=False)
    try:
        parameters = Parameters.parse(encoded.decode("ascii"))
    except (UnicodeDecodeError, ValueError):
        return MalformedLogout("The request cannot be read.")
    if parameters.repeated:
        return MalformedLogout("A parameter came twice.")
    asked = OidcRequest(
        request.method,
        parameters,
        address=visit.address,
        tx=visit.tx,
        configuration=visit.configuration,
        now=visit.now,
    )
    return read_logout(asked, runtime().settings.issuer)


def _applications(visit: Visit, session_id: SessionId) -> Applications:
    reach = reach_of_end(visit.tx, session_id, visit.configuration, now=visit.now)
    registered = visit.configuration.clients
    return {
        "told": bool(reach.told),
        "untold": [registered[each].name if each in registered else each for each in reach.untold],
    }


def _end(visit: Visit, session_id: SessionId) -> None:
    end_browser_session(
        visit.tx,
        session_id,
        EndReason.SIGNED_OUT,
        visit.configuration,
        now=visit.now,
        actor="person",
    )


def _confirm(visit: Visit, asked: LogoutRequest) -> Response:
    if visit.live is None:
        return _signed_out(asked, None)
    return make_response(
        render_template(
            "sign_out_confirm.html",
            action=url_for("sign_out.submit"),
            csrf_token=csrf_token(visit.browser),
            client_name=None if asked.client is None else asked.client.name,
            username=visit.live.username,
            cancel_url=url_for("account.show"),
        )
    )


def _signed_out(asked: LogoutRequest | None, applications: Applications | None) -> Response:
    client = None if asked is None else asked.client
    return make_response(
        render_template(
            "signed_out.html",
            applications=applications,
            return_url=None if client is None else client.initiate_login_uri,
            client_name=None if client is None else client.name,
            sign_in_url=url_for("signin.sign_in"),
        )
    )
