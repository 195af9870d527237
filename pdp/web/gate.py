"""Keeps threads free for what must never wait: tokens, introspection, webhooks, other pages.

Checking a password holds a thread for tens of milliseconds, and longer when many are checked. A
process that has let in as many as it may answers the next one 503 at once, since one that waits
would hold a thread too; everything else goes on as if nothing were. The application words that
answer as it words every error: a page, made without the database.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from pdp.web.context import RAISED
from pdp.web.errors import TooBusy

WsgiApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Where forms with a password are sent.
SLOW: Final = ("/signin", "/password/", "/account/password", "/account/confirm/")


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
        # Routing takes `//signin` for `/signin`.
        path = "/" + environ["PATH_INFO"].lstrip("/")
        if environ["REQUEST_METHOD"] != "POST" or not path.startswith(SLOW):
            return self._application(environ, start_response)
        if not self._slots.acquire(blocking=False):
            environ[RAISED] = TooBusy()
            return self._application(environ, start_response)
        try:
            return self._application(environ, start_response)
        finally:
            self._slots.release()
