"""Whose account a page is about: who is signed in, and has no given password to change first."""

from flask import Response, url_for

from pdp.store.sessions import LiveSession
from pdp.web.see_other import see_other
from pdp.web.visit import Visit


def account_holder(visit: Visit) -> LiveSession | Response:
    """Return the person's session, or where the person must go first.

    Every page below /account begins with it, but for those that change the password: whoever was
    given one does nothing else before.
    """
    if visit.live is None:
        return see_other(url_for("signin.sign_in"))
    if visit.live.must_change_password:
        return see_other(url_for("password.show"))
    return visit.live
