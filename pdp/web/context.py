"""The edge's view of process and request: the one reader of Flask's application context.

Every request has an id: the proxy's `X-Request-ID` where it is a sane one, else ours. It stands
in every log line of the request, on its answer, and on the page that tells of an error.
"""

import re
import time
from typing import Final, cast

import structlog
from flask import (
    Flask,
    Response,
    current_app,  # noqa: TID251  the one accessor
    request,
)

from pdp import metrics
from pdp.clock import new_id
from pdp.oidc.server import Server
from pdp.runtime import Runtime
from pdp.web.peer import address_of

_log: Final = structlog.get_logger(__name__)

_SANE_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,36}\Z")
_ID: Final = "pdp.request_id"
_STARTED: Final = "pdp.started"
_BAD: Final = 400


def runtime() -> Runtime:
    """Return what this process was built from."""
    return cast("Runtime", current_app.extensions["pdp"])


def server() -> Server:
    """Return the authorization server of this process."""
    return cast("Server", current_app.extensions["pdp.server"])


def client_address() -> str:
    """Return the visitor's address, as far as trusted proxies tell it; empty if nobody does."""
    return address_of(request.environ, runtime().settings.server.trusted_proxies)


def request_id() -> str:
    """Return the id of the present request."""
    return cast("str", request.environ[_ID])


def register(app: Flask) -> None:
    """Give requests an id, count them, and give pages what all of them show."""

    @app.before_request
    def _begin() -> None:
        theirs = request.headers.get("X-Request-ID", "")
        identifier = theirs if _SANE_ID.match(theirs) else new_id("req")
        request.environ[_ID] = identifier
        request.environ[_STARTED] = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identifier)

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Request-ID"] = request_id()
        seconds = time.perf_counter() - request.environ[_STARTED]
        # The pattern, never the path: a path is a stranger's word, and may hold an id.
        route = "unmatched" if request.url_rule is None else request.url_rule.rule
        metrics.request_answered(route, response.status_code, seconds)
        line = {
            "method": request.method,
            "route": route,
            "status": response.status_code,
            "milliseconds": round(seconds * 1000, 1),
        }
        if response.status_code < _BAD:
            # What went well is counted; a line for each would cost more than the answer did.
            _log.debug("request.answer.sent", **line)
        else:
            _log.info("request.answer.sent", **line)
        return response

    @app.context_processor
    def _shown_on_every_page() -> dict[str, str]:
        settings = runtime().settings
        return {"display_name": settings.display_name, "support": settings.support}
