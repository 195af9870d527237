"""The front: takes each request in whole, and only then gives it to a thread (RSGI, granian).

A thread that waits for a body can be held by whoever sends one byte of it. Bodies arrive on the
event loop instead, up to a size and within a deadline. Two pools of threads answer: programs
(webhooks, tokens, checks) never wait behind pages and passwords (DECISIONS 23). Most of what they
ask is answered on the loop itself, where a row or two of the database are enough.

Header names with an underscore are dropped: WSGI knows `Client_Cert` and `Client-Cert` by one
name, and a proxy may clean only the second.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from queue import SimpleQueue
from sys import stderr
from threading import Thread
from typing import Any, Final, Protocol, cast

import structlog
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]
from werkzeug.exceptions import BadRequest, LengthRequired, RequestTimeout, ServiceUnavailable

from pdp.domain.errors import Unavailable
from pdp.web.context import RAISED
from pdp.web.gate import WsgiApplication

#: Seconds that a body may take, and a tenth more until somebody looks; what sends one more slowly
#: holds up nobody but itself.
BODY_WITHIN: Final = 10.0
#: Bytes of bodies that a process may hold at once, small ones not counted.
MOST_HELD: Final = 64 * 1024 * 1024
_SMALL: Final = 16 * 1024

_log: Final = structlog.get_logger("pdp.front")
Environ = dict[str, Any]
Headers = list[tuple[str, str]]


class RsgiHeaders(Protocol):
    """The headers of a request, names in lower case."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return each line."""
        ...


class RsgiScope(Protocol):
    """What granian tells of a request beside its body."""

    http_version: str
    client: str
    server: str
    scheme: str
    method: str
    path: str
    query_string: str

    @property
    def headers(self) -> RsgiHeaders:
        """The header lines."""
        ...


class RsgiProtocol(Protocol):
    """How the body is asked for, and the answer is sent."""

    def __call__(self) -> Awaitable[bytes]:
        """Return the whole body; ProtocolClosed if the sender went away before its end."""
        ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Send the answer."""
        ...


@dataclass(frozen=True, slots=True)
class Answered:
    """What a WSGI application answered."""

    status: int
    headers: Headers
    body: bytes


class AtOnce(Protocol):
    """Answers what can be answered on the event loop."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, in the process that serves."""
        ...

    def stop(self) -> None:
        """End."""
        ...

    def knows(self, method: str, path: str) -> bool:
        """Tell whether it is worth a try."""
        ...

    async def answer(self, environ: Environ) -> tuple[int, Headers, bytes] | None:
        """Return the answer; None if it is to be found in a thread, from the beginning."""
        ...


_Job = tuple[Environ, RsgiProtocol, "asyncio.Future[None]", float]


class Pool:
    """Threads that answer requests, the first that came first."""

    def __init__(
        self, name: str, application: WsgiApplication, threads: int, *, patience: float
    ) -> None:
        """Make the threads; `patience` is how many seconds a request may wait for one."""
        self._application = application
        self._patience = patience
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End once everything that waits was answered."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def answer(
        self, environ: Environ, protocol: RsgiProtocol, loop: asyncio.AbstractEventLoop
    ) -> Awaitable[None]:
        """Answer a request; what is returned is over once the answer was sent."""
        sent: asyncio.Future[None] = loop.create_future()
        self._jobs.put((environ, protocol, sent, loop.time()))
        return sent

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            environ, protocol, sent, asked = job
            loop = sent.get_loop()
            if RAISED not in environ and loop.time() - asked > self._patience:
                # Nothing was done for it yet, and whoever waits that long asks again anyway.
                environ[RAISED] = Unavailable("every thread was in use for too long")
            # From here: the loop may be busy, and would have nothing to add.
            _send(protocol, _answer(self._application, environ))
            loop.call_soon_threadsafe(_settle, sent)


class Arrivals:
    """Bodies that are on their way, and the end of those that take too long.

    One look at all of them now and then: a timer for each costs as much as reading it.
    """

    def __init__(self, within: float) -> None:
        self._within = within
        self._begun: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._is_over = False

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look again and again, until `stop`."""
        if self._is_over:
            return
        now = loop.time()
        for task, begun in self._begun.items():
            # In the order in which they began.
            if now - begun < self._within:
                break
            self._late.add(task)
            task.cancel()
        loop.call_later(self._within / 10, self.watch, loop)

    def stop(self) -> None:
        """Look no more."""
        self._is_over = True

    async def body(self, protocol: RsgiProtocol, loop: asyncio.AbstractEventLoop) -> bytes:
        """Return the whole body; TimeoutError when it does not come."""
        task = cast("asyncio.Task[Any]", asyncio.current_task(loop))
        self._begun[task] = loop.time()
        try:
            return await protocol()
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            self._late.discard(task)
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._begun[task]


class Front:
    """One process's RSGI application over a WSGI one."""

    def __init__(
        self,
        *,
        programs: Pool,
        pages: Pool,
        at_once: AtOnce,
        is_program: Callable[[str, str], bool],
        largest_body: int,
        at_end: Callable[[], None],
        body_within: float = BODY_WITHIN,
    ) -> None:
        self._programs = programs
        self._pages = pages
        self._at_once = at_once
        self._is_program = is_program
        self._largest = largest_body
        self._at_end = at_end
        self._arrivals = Arrivals(body_within)
        self._held = 0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the threads of this process."""
        self._loop = loop
        self._arrivals.watch(loop)
        self._at_once.start(loop)
        self._programs.start()
        self._pages.start()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let the threads finish."""
        del loop
        self._arrivals.stop()
        self._at_once.stop()
        self._programs.stop()
        self._pages.stop()
        self._at_end()

    async def __rsgi__(self, scope: RsgiScope, protocol: RsgiProtocol) -> None:
        """Answer one request."""
        environ = environ_of(scope)
        path = environ["PATH_INFO"]
        weight = self._take_in_charge(environ)
        try:
            if weight is not None:
                await self._take_in(environ, protocol)
            await self._answer(environ, protocol, scope.method, path)
        except ProtocolClosed:
            # Whoever sent half a request hears no answer, and nothing was done.
            return
        finally:
            # Not before it was answered: what waits for a thread is in memory, too.
            self._held -= weight or 0

    async def _answer(
        self, environ: Environ, protocol: RsgiProtocol, method: str, path: str
    ) -> None:
        if self._at_once.knows(method, path):
            answer = await self._answer_at_once(environ)
            if answer is not None:
                _send(protocol, answer)
                return
        pool = self._programs if self._is_program(method, path) else self._pages
        await pool.answer(environ, protocol, self._loop)

    async def _answer_at_once(self, environ: Environ) -> Answered | None:
        try:
            answer = await self._at_once.answer(environ)
        except Exception as error:  # noqa: BLE001  the application words it, and logs it
            # Not to be done anew: it may be about something that was written.
            environ[RAISED] = error
            return None
        return None if answer is None else Answered(*answer)

    def _take_in_charge(self, environ: Environ) -> int | None:
        """Count the body that is to come, and return its weight; None if it is not to be read.

        Why not is put into the environ, for the application to word.
        """
        if "HTTP_TRANSFER_ENCODING" in environ:
            # Chunks arrive here without a word of whether the last one was the last: half a body
            # would be taken for a whole one (RFC 9110 §15.5.12).
            environ[RAISED] = LengthRequired("Send the body with a Content-Length.")
            return None
        stated = environ.get("CONTENT_LENGTH")
        if stated is None:
            return None
        if not (stated.isascii() and stated.isdigit()):
            environ[RAISED] = BadRequest()
            return None
        length = int(stated)
        if length > self._largest:
            # Not read at all; the application refuses it by the length.
            return None
        weight = length if length > _SMALL else 0
        if self._held + weight > MOST_HELD:
            environ[RAISED] = ServiceUnavailable()
            return None
        self._held += weight
        return weight

    async def _take_in(self, environ: Environ, protocol: RsgiProtocol) -> None:
        """Put the body into the environ, or the error that the application will word."""
        try:
            environ["wsgi.input"] = BytesIO(await self._arrivals.body(protocol, self._loop))
        except TimeoutError:
            environ[RAISED] = RequestTimeout()


def environ_of(scope: RsgiScope) -> Environ:
    """Return what WSGI calls the environ (PEP 3333), with an empty body."""
    host, _, port = scope.server.rpartition(":")
    environ: Environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        # One slash: routing takes `//signin` for `/signin`, so everybody sees it so.
        "PATH_INFO": "/" + _as_latin_1(scope.path.lstrip("/")),
        "QUERY_STRING": _as_latin_1(scope.query_string),
        "SERVER_NAME": host.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        key = _KEYS.get(name)
        if key is None:
            if "_" in name:
                continue
            key = "HTTP_" + name.upper().replace("-", "_")
        known = environ.get(key)
        # RFC 9110 §5.2, and RFC 9113 §8.2.3 for cookies.
        joint = "; " if name == "cookie" else ","
        environ[key] = value if known is None else f"{known}{joint}{value}"
    return environ


#: Names in the environ: of the two without a prefix, and of those that come with every request.
_KEYS: Final = {
    "content-type": "CONTENT_TYPE",
    "content-length": "CONTENT_LENGTH",
    "host": "HTTP_HOST",
    "authorization": "HTTP_AUTHORIZATION",
    "accept": "HTTP_ACCEPT",
    "user-agent": "HTTP_USER_AGENT",
    "webhook-id": "HTTP_WEBHOOK_ID",
    "webhook-timestamp": "HTTP_WEBHOOK_TIMESTAMP",
    "webhook-signature": "HTTP_WEBHOOK_SIGNATURE",
}


def _as_latin_1(text: str) -> str:
    """Return the bytes of `text` as PEP 3333 spells them: a character for each."""
    return text if text.isascii() else text.encode().decode("latin-1")


def _answer(application: WsgiApplication, environ: Environ) -> Answered:
    started: list[tuple[str, Headers]] = []

    def start_response(status: str, headers: Headers, _error: object = None) -> None:
        started.append((status, headers))

    try:
        parts = application(environ, start_response)
        try:
            body = b"".join(parts)
        finally:
            if (close := getattr(parts, "close", None)) is not None:
                close()
        status, headers = started[-1]
        return Answered(int(status.partition(" ")[0]), headers, body)
    except Exception:  # noqa: BLE001  nothing may leave a request without an answer
        _log.exception("request.answer.failed")
        return Answered(HTTPStatus.INTERNAL_SERVER_ERROR, [("Cache-Control", "no-store")], b"")


def _send(protocol: RsgiProtocol, answer: Answered) -> None:
    try:
        protocol.response_bytes(answer.status, answer.headers, answer.body)
    except Exception:  # noqa: BLE001  the thread has others to answer
        _log.exception("request.answer.unsendable")


def _settle(sent: "asyncio.Future[None]") -> None:
    # Whoever asked may be gone.
    if not sent.done():
        sent.set_result(None)
