"""The one mapping from what went wrong inside to what a caller is told.

The form follows the caller: OAuth JSON at protocol endpoints, problem details (RFC 9457) for
programs, a page for people. Causes go to the log under the request's id, never to the caller.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import orjson
import structlog
from flask import Flask, Response, make_response, render_template, request
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from pdp import logs
from pdp.domain.errors import (
    Conflict,
    DomainError,
    InvalidTransition,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from pdp.sources.errors import MalformedSignal
from pdp.usecases.configuration import NotInitialised
from pdp.web.context import request_id
from pdp.web.security import FormRefused

_log: Final = structlog.get_logger(__name__)

RETRY_AFTER: Final = 5
_OAUTH: Final = frozenset({"oauth"})
_PROGRAMS: Final = frozenset({"webhooks", "device"})
#: Headers of a werkzeug error that are part of its meaning.
_KEPT: Final = frozenset({"allow", "retry-after", "www-authenticate"})


class TooBusy(ServiceUnavailable):
    """As many passwords are checked at this moment as threads may be held for."""

    description = "Many people are signing in right now. Nothing was changed: try again."


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller learns: a status, a sentence for programs, a word that a page knows."""

    status: int
    detail: str
    page: str
    field: str = ""


T = TypeVar("T")

_INTERNAL: Final = Told(
    500, "Something went wrong on our side; the reference finds it.", "internal"
)
_UNAVAILABLE: Final = Told(
    503, "A part that the answer needs is down. Nothing was changed: try again.", "unavailable"
)
_OUTCOME_UNKNOWN: Final = Told(
    503,
    "A part that the answer needs went away. Whether the request was carried out is not known:"
    " look before you send it again.",
    "outcome-unknown",
)
_NOT_FOUND: Final = Told(404, "There is no such thing, or not for this caller.", "not-found")
_CONFLICT: Final = Told(
    409,
    "The present state does not allow it: it exists already, or has changed.",
    "invalid-request",
)
_DOMAIN: Final[Mapping[type[DomainError], Told]] = {
    NotFound: _NOT_FOUND,
    Conflict: _CONFLICT,
    InvalidTransition: _CONFLICT,
    # Before the kind that it is one of: the first that fits counts.
    OutcomeUnknown: _OUTCOME_UNKNOWN,
    Unavailable: _UNAVAILABLE,
    NotInitialised: _UNAVAILABLE,
}
_PAGES: Final[Mapping[int, str]] = {
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    429: "throttled",
    500: "internal",
    503: "unavailable",
}
_OWN_PAGES: Final[Mapping[type[HTTPException], str]] = {FormRefused: "csrf", TooBusy: "busy"}
#: RFC 6749 §5.2 has few words; everything else that a caller did wrong is a bad request.
_OAUTH_ERRORS: Final[Mapping[int, str]] = {
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}


def register(app: Flask) -> None:
    """Answer for every error that leaves a view."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(MalformedSignal, _malformed)
    app.register_error_handler(DomainError, _domain)
    app.register_error_handler(Exception, _anything)


def caught(work: Callable[[], T]) -> T | Exception:
    """Return what `work` returns or raises: another door hands the latter to these handlers."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  nothing may leave a request without an answer
        return error


def problem(
    status: int, detail: str, *, field: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return problem details (RFC 9457): `detail` is a sentence that names the cure."""
    document = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    if field:
        document["field"] = field
    document["request_id"] = request_id()
    response = Response(orjson.dumps(document), status, content_type="application/problem+json")
    response.headers.update(headers or {})
    return response


def problem_page(
    word: str,
    status: int,
    *,
    start_url: str | None = None,
    client_name: str | None = None,
) -> Response:
    """Return the error page; `word` is one that `error.html` knows, `start_url` the way on."""
    # A person reads the reference to whoever looks the cause up.
    logs.note("problem", word)
    wait = RETRY_AFTER if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    page = render_template(
        "error.html",
        problem=word,
        reference=request_id(),
        retry_after=wait,
        start_url=start_url,
        client_name=client_name,
    )
    return make_response(page, status)


def _http(error: HTTPException) -> Response | HTTPException:
    if error.code is None:
        return error
    page = _OWN_PAGES.get(type(error)) or _PAGES.get(error.code, "invalid-request")
    detail = error.description or HTTPStatus(error.code).phrase
    kept = {name: value for name, value in error.get_headers() if name.lower() in _KEPT}
    return _answer(Told(error.code, detail, page), kept)


def _malformed(error: MalformedSignal) -> Response:
    return _answer(Told(400, error.problem, "invalid-request", error.field))


def _domain(error: DomainError) -> Response:
    told = next((told for kind, told in _DOMAIN.items() if isinstance(error, kind)), None)
    if told is None:
        return _anything(error)
    if told in (_UNAVAILABLE, _OUTCOME_UNKNOWN):
        _log.warning("request.answer.postponed", problem=str(error))
    return _answer(told)


def _anything(error: Exception) -> Response:
    """Answer as the last resort: the stack goes to the log, the caller gets a reference."""
    _log.error("request.answer.failed", exc_info=error)
    return _answer(_INTERNAL)


def _answer(told: Told, headers: Mapping[str, str] | None = None) -> Response:
    sent = dict(headers or {})
    if told.status == HTTPStatus.SERVICE_UNAVAILABLE:
        sent.setdefault("Retry-After", str(RETRY_AFTER))
    if request.blueprint in _OAUTH:
        response = _oauth(told)
    elif request.blueprint not in _PROGRAMS and _wants_a_page():
        response = problem_page(told.page, told.status)
    else:
        response = problem(told.status, told.detail, field=told.field)
    response.headers.update(sent)
    return response


def _oauth(told: Told) -> Response:
    word = _OAUTH_ERRORS.get(told.status, "invalid_request")
    document = {"error": word, "error_description": told.detail}
    return Response(orjson.dumps(document), told.status, content_type="application/json")


def _wants_a_page() -> bool:
    """Tell whether the caller is a browser that shows an answer: it prefers HTML to JSON."""
    accepted = request.accept_mimetypes
    return accepted.quality("text/html") > accepted.quality("application/json")
