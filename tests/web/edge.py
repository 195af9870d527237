"""A small application with our edge and none of our views: what every answer goes through."""

from pathlib import Path

from flask import Flask, request
from flask.typing import RouteCallable

from pdp.outbound.client import Outbound
from pdp.runtime import Runtime
from pdp.settings import Settings
from pdp.store.database import Database
from pdp.usecases.configuration import Configurations
from pdp.web import context, errors, security
from pdp.web.security import require_csrf
from tests.builders import FrozenClock, a_limiter, an_envelope, cheap_passwords
from tests.deployment import a_decision_log

ISSUER = "https://login.example"


def an_edge(folder: Path, **settings: object) -> Flask:
    """Return an application under `settings`; add views with `view`."""
    chosen = Settings.model_validate({"issuer": ISSUER, **settings})
    database = Database.open(f"sqlite:///{folder / 'edge.db'}")
    envelope = an_envelope()
    app = Flask("pdp.web")
    app.config["MAX_CONTENT_LENGTH"] = chosen.server.max_body_bytes
    app.extensions["pdp"] = Runtime(
        settings=chosen,
        clock=FrozenClock(),
        database=database,
        envelope=envelope,
        configurations=Configurations(envelope),
        decision_log=a_decision_log(database),
        passwords=cheap_passwords(),
        rate_limiter=a_limiter(),
        outbound=Outbound(chosen.outbound),
    )
    context.register(app)
    security.register(app, chosen)
    errors.register(app)
    app.add_url_rule("/form", view_func=_form, methods=["POST"])
    return app


def view(app: Flask, answer: RouteCallable, *, path: str = "/") -> None:
    """Answer GET and POST of `path` with what `answer` returns or raises."""
    app.add_url_rule(path, endpoint=path, view_func=answer, methods=["GET", "POST"])


def _form() -> str:
    require_csrf(request)
    return "taken"
