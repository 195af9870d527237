"""Keeps threads free for what must never wait: tokens, introspection, webhooks, other pages.

Checking a password holds a thread for tens of milliseconds, and longer when many are checked. A
process that has let in as many as it may answers the next one 503 at once, since one that waits
would hold a thread too; everything else goes on as if nothing were.
"""

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Where forms with a password are sent.
_SLOW: Final = ("/signin", "/password/", "/account/password")
_RETRY_SECONDS: Final = "1"
_BODY: Final = b"Too many people are signing in at this moment. Try again in a second.\n"


def slow_slots(threads: int) -> int:
    """Return how many of a process's threads passwords may hold at a time: three quarters."""
    return max(1, threads - max(1, threads // 4))


class Gate:
    """Lets at most `slots` forms with a password into a WSGI application at a time (PEP 3333)."""

    def __init__(self, application: WsgiApplication, *, slots: int) -> None:
        self._application = application
        self._slots = threading.BoundedSemaphore(slots)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one request."""
        is_slow = environ["REQUEST_METHOD"] == "POST" and environ["PATH_INFO"].startswith(_SLOW)
        if not is_slow:
            return self._application(environ, start_response)
        if not self._slots.acquire(blocking=False):
            return _refuse(start_response)
        try:
            return self._application(environ, start_response)
        finally:
            self._slots.release()


def _refuse(start_response: Callable[..., Any]) -> Iterable[bytes]:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(_BODY))),
        ("Retry-After", _RETRY_SECONDS),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    start_response(f"{status.value} {status.phrase}", headers)
    return [_BODY]
