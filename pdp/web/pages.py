"""Small pages: the front door, and what `error_uri` of a refused token leads to."""

from flask import Blueprint, Response, make_response, render_template, url_for

from pdp.web.errors import problem_page
from pdp.web.see_other import see_other

blueprint = Blueprint("pages", __name__)

_PAGES = frozenset({"step-up", "remediate", "block"})


@blueprint.get("/")
def front_door() -> Response:
    """Lead people to their account."""
    return see_other(url_for("account.show"))


@blueprint.get("/access/<outcome>")
def access(outcome: str) -> Response:
    """Say in words what a client was told in a code; there is nothing here about anybody."""
    if outcome not in _PAGES:
        return problem_page("not-found", 404)
    return make_response(
        render_template("access.html", outcome=outcome, account_url=url_for("account.show"))
    )
