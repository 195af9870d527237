"""The edge's view of process and request: the one reader of Flask's application context.

Every request has an id: a trusted proxy's `X-Request-ID` if it is a sane one, else ours. It stands
in every log line of the request, on its answer, and on the page that tells of an error.
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import structlog
from flask import (
    Flask,
    Response,
    current_app,  # noqa: TID251  the one accessor
    request,
)

from pdp import logs, metrics
from pdp.clock import new_id
from pdp.oidc.server import Server
from pdp.runtime import Runtime
from pdp.settings import Network
from pdp.web.peer import address_of, is_trusted_proxy

_log: Final = structlog.get_logger(__name__)

_SANE_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,36}\Z")
_ID: Final = "pdp.request_id"
_STARTED: Final = "pdp.started"
_BAD: Final = 400
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FAILED: Final = 500
#: Where another door leaves what its handler raised, so that one place words every error.
RAISED: Final = "pdp.raised"


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


def request_id_of(environ: Mapping[str, Any]) -> str:
    """Return the id of a request that has begun."""
    return cast("str", environ[_ID])


def begin(environ: dict[str, Any], trusted: Sequence[Network]) -> None:
    """Give a request its id, and begin to time it; both stay when it is begun anew.

    A stranger's id is not taken, or he could make his lines look like somebody else's.
    """
    identifier = environ.get(_ID)
    if identifier is None:
        theirs = environ.get("HTTP_X_REQUEST_ID", "")
        is_sane = _SANE_ID.match(theirs) and is_trusted_proxy(environ.get("REMOTE_ADDR"), trusted)
        identifier = theirs if is_sane else new_id("req")
        environ[_ID] = identifier
        environ[_STARTED] = time.perf_counter()
    logs.begin_request(identifier)


def end(environ: Mapping[str, Any], route: str, status: int) -> None:
    """Count an answer, and write its line if it was none that went well."""
    seconds = time.perf_counter() - environ[_STARTED]
    metrics.request_answered(route, status, seconds)
    # What went well is counted; a line for each would cost more than the answer did.
    if status < _BAD and not logs.is_debugging():
        return
    line = {
        **_at_hand(status),
        # A stranger may call a method what he likes, at any length.
        "method": method if (method := environ["REQUEST_METHOD"]) in _METHODS else "other",
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
    }
    if status < _BAD:
        _log.debug("request.answer.sent", **line)
    else:
        _log.info("request.answer.sent", **line)


def _at_hand(status: int) -> dict[str, str]:
    """Return client and decision, as far as the request came to them."""
    noted = logs.noted()
    if status >= _FAILED:
        # What was decided was not carried out, and perhaps not kept.
        noted.pop("decision", None)
    return noted


def register(app: Flask) -> None:
    """Give requests an id, count them, and give pages what all of them show."""

    @app.before_request
    def _begin() -> None:
        if _ID not in request.environ:
            begin(request.environ, runtime().settings.server.trusted_proxies)
        raised = request.environ.get(RAISED)
        if isinstance(raised, Exception):
            raise raised

    @app.after_request
    def _end(response: Response) -> Response:
        response.headers["X-Request-ID"] = request_id()
        # The pattern, never the path: a path is a stranger's word, and may hold an id.
        route = "unmatched" if request.url_rule is None else request.url_rule.rule
        end(request.environ, route, response.status_code)
        return response

    @app.context_processor
    def _shown_on_every_page() -> dict[str, str]:
        settings = runtime().settings
        return {"display_name": settings.display_name, "support": settings.support}
