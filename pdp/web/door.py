"""The short way in for programs: tokens, introspection, UserInfo and webhooks without Flask.

The same handlers as behind Flask, with the same limits, headers and answers: a test compares the
two doors. Flask's own work on a request costs more than answering one of these does. Whatever is
out of the ordinary (another method, a body without a length or over the limit, an error that was
raised) goes through Flask, which words every error in one place.

Tokens, checks of them and webhooks may be answered on the event loop itself (`at_once`), by the
same handlers.
"""

from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

from flask import Flask

from pdp.domain.ids import SourceId
from pdp.oidc import endpoints
from pdp.oidc.again import LARGEST_QUESTION, answer_again
from pdp.oidc.request import Answer, Call
from pdp.oidc.server import Server
from pdp.runtime import Runtime
from pdp.store.at_once import NotAtOnce, Reader, Writer
from pdp.web.context import RAISED, begin, end, request_id_of
from pdp.web.errors import caught
from pdp.web.peer import address_of
from pdp.web.receive_webhook import Request, receive_webhook
from pdp.web.security import security_headers
from pdp.web.webhooks import headers_of

Environ = dict[str, Any]
Headers = list[tuple[str, str]]
Start = Callable[..., Any]

Endpoint = Callable[[Server, Call], Answer]

_ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("POST", "/token"): endpoints.token,
    ("POST", "/introspect"): endpoints.introspect,
    ("POST", "/revoke"): endpoints.revoke,
    ("GET", "/userinfo"): endpoints.userinfo_by_get,
    ("POST", "/userinfo"): endpoints.userinfo,
}
#: What asks the database for a row or two, as a rule, and changes something at the end, if at all.
_QUICK: Final = frozenset(
    {("POST", "/token"), ("POST", "/introspect"), ("GET", "/userinfo"), ("POST", "/userinfo")}
)
_INTROSPECTION: Final = ("/introspect", "POST")
#: What a caller proves itself by that is used up with it.
_USED_UP: Final = b"client_assertion"
_WEBHOOKS: Final = "/webhooks/"
_WEBHOOK_ROUTE: Final = "/webhooks/<source>"
_STATUS: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def is_quick(method: str, path: str) -> bool:
    """Tell whether `Door.at_once` may know the answer."""
    return (method, path) in _QUICK


def is_webhook(method: str, path: str) -> bool:
    """Tell whether this is a delivery of signals."""
    return method == "POST" and path.startswith(_WEBHOOKS)


def only_reads(environ: Environ) -> bool:
    """Tell whether it changes nothing: a check by a caller whose proof is not used up."""
    return environ["PATH_INFO"] != "/token" and _USED_UP not in environ["wsgi.input"].getvalue()


def is_program(method: str, path: str) -> bool:
    """Tell whether this is a request of programs, which no page or password may hold up."""
    return (method, path) in _ENDPOINTS or is_webhook(method, path)


class Door:
    """Answers what it knows by itself, and hands everything else to the application."""

    def __init__(
        self, app: Flask, reader: Reader | None = None, writer: Writer | None = None
    ) -> None:
        """Stand before `app`; with a `reader` and a `writer`, some can be answered `at_once`."""
        self._application = app.wsgi_app
        self._runtime: Runtime = app.extensions["pdp"]
        self._server: Server = app.extensions["pdp.server"]
        self._at_once = None if reader is None else self._server.at_once(reader, writer)
        self._headers = tuple(security_headers(self._runtime.settings).items())
        self._largest = self._runtime.settings.server.max_body_bytes
        self._proxies = self._runtime.settings.server.trusted_proxies

    def __call__(self, environ: Environ, start_response: Start) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        length = self._length(environ, method)
        if length is None or RAISED in environ or not is_program(method, path):
            return self._application(environ, start_response)
        begin(environ, self._proxies)
        answer = caught(partial(self._answer, self._server, environ, length))
        if isinstance(answer, Exception):
            environ[RAISED] = answer
            return self._application(environ, start_response)
        end(environ, _route_of(environ), answer.status)
        body = answer.body.encode()
        start_response(_STATUS[answer.status], self._told(environ, answer, body))
        return [body]

    def at_once(self, environ: Environ) -> tuple[int, Headers, bytes] | None:
        """Answer a check, a request for tokens or a delivery; None for one that needs a thread.

        Never waits, for whoever calls it would hold up everybody: what takes more than a row or
        two is left to a thread, which begins anew. An answer that was come to is given, whatever
        it says: the decision behind it is counted by then. So is an error that was raised, which
        is left in `environ` for the application to word: it may be about something written.
        """
        length = self._length(environ, environ["REQUEST_METHOD"])
        if self._at_once is None or RAISED in environ:
            return None
        if length is None or length > LARGEST_QUESTION:
            return None
        begin(environ, self._proxies)
        answer = caught(partial(self._answer, self._at_once, environ, length))
        if isinstance(answer, Exception):
            environ["wsgi.input"].seek(0)
            if not isinstance(answer, NotAtOnce):
                environ[RAISED] = answer
            return None
        end(environ, _route_of(environ), answer.status)
        told = answer.body.encode()
        return answer.status, self._told(environ, answer, told), told

    async def again(self, environ: Environ, reader: Reader) -> tuple[int, Headers, bytes] | None:
        """Answer an introspection in the same words as before; None for `at_once` to answer."""
        if (environ["PATH_INFO"], environ["REQUEST_METHOD"]) != _INTROSPECTION or RAISED in environ:
            return None
        body = environ["wsgi.input"].getvalue()
        if len(body) > LARGEST_QUESTION:
            return None
        begin(environ, self._proxies)
        answer = await answer_again(self._server, reader, self._call(environ, body))
        if answer is None:
            return None
        end(environ, environ["PATH_INFO"], answer.status)
        told = answer.body.encode()
        return answer.status, self._told(environ, answer, told), told

    def _answer(self, server: Server, environ: Environ, length: int) -> Answer:
        body = environ["wsgi.input"].read(length) if length else b""
        endpoint = _ENDPOINTS.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if endpoint is not None:
            return endpoint(server, self._call(environ, body))
        return self._webhook(server.runtime, environ, body)

    def _length(self, environ: Environ, method: str) -> int | None:
        """Return the body's length; None for what Flask must look at."""
        text = environ.get("CONTENT_LENGTH") or ("0" if method == "GET" else "")
        if not (text.isascii() and text.isdigit()):
            return None
        length = int(text)
        return length if length <= self._largest else None

    def _call(self, environ: Environ, body: bytes) -> Call:
        return Call(
            body=body,
            content_type=environ.get("CONTENT_TYPE", ""),
            authorization=environ.get("HTTP_AUTHORIZATION"),
            address=address_of(environ, self._proxies),
        )

    def _webhook(self, runtime: Runtime, environ: Environ, body: bytes) -> Answer:
        received = receive_webhook(
            runtime,
            Request(
                source=SourceId(environ["PATH_INFO"].removeprefix(_WEBHOOKS)),
                headers=headers_of(environ),
                body=body,
                address=address_of(environ, self._proxies),
            ),
        )
        headers = [("Content-Type", received.content_type), *received.headers.items()]
        return Answer(received.status.value, received.body.decode(), headers)

    def _told(self, environ: Environ, answer: Answer, body: bytes) -> Headers:
        said = {name for name, _ in answer.headers}
        return [
            *answer.headers,
            *(pair for pair in self._headers if pair[0] not in said),
            ("Content-Length", str(len(body))),
            ("X-Request-ID", request_id_of(environ)),
        ]


def _route_of(environ: Environ) -> str:
    path: str = environ["PATH_INFO"]
    return _WEBHOOK_ROUTE if path.startswith(_WEBHOOKS) else path
