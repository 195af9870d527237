"""The front: bodies come in whole, in time and in size, before anybody's thread is spent."""

import asyncio
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from pdp.web.context import RAISED
from pdp.web.front import MOST_HELD, Front, Pool, environ_of

LIMIT = 64
#: Seconds that a request waits for a thread.
PATIENCE = 10.0


@dataclass
class Lines:
    """Header lines as granian lists them."""

    lines: list[tuple[str, str]]

    def items(self):
        return self.lines


@dataclass
class Scope:
    """What granian tells of a request."""

    method: str = "POST"
    path: str = "/token"
    lines: list[tuple[str, str]] = field(default_factory=list)
    http_version: str = "1.1"
    client: str = "192.0.2.7:4711"
    server: str = "[::1]:8080"
    scheme: str = "http"
    query_string: str = "a=1"

    @property
    def headers(self):
        return Lines(self.lines)


class Exchange:
    """One request's body, in pieces, and the answer that was sent. `None` never comes."""

    def __init__(self, *pieces):
        self.pieces = pieces
        self.begun = threading.Event()
        self.answer: tuple[int, dict[str, str], bytes] = (0, {}, b"")

    async def __call__(self):
        self.begun.set()
        if None in self.pieces:
            await asyncio.Event().wait()
        return b"".join(self.pieces)

    def response_bytes(self, status, headers, body):
        self.answer = (status, dict(headers), body)


class Nothing:
    """Answers nothing on the loop."""

    def start(self, loop):
        """Begin."""

    def stop(self):
        """End."""

    def knows(self, _method, _path):
        return False

    async def answer(self, _environ):
        return None


class Known(Nothing):
    """Answers `POST /introspect` on the loop where the body is `quick`."""

    def knows(self, method, path):
        return (method, path) == ("POST", "/introspect")

    async def answer(self, environ):
        body = environ["wsgi.input"].read()
        environ["wsgi.input"].seek(0)
        thread = threading.current_thread().name
        return (200, [("Thread", thread)], body) if body == b"quick" else None


class Failing(Known):
    """Raises what nobody foresaw, on the loop."""

    async def answer(self, _environ):
        raise MemoryError


class Gone(Exchange):
    """A request whose sender went away before its end."""

    async def __call__(self):
        raise ProtocolClosed


class Broken(Exchange):
    """A request whose answer cannot be sent."""

    def response_bytes(self, *_answer):
        raise RuntimeError("on purpose")


def tell(environ, start_response):
    """Answer which thread saw which body, or which error it was to word."""
    raised = environ.get(RAISED)
    start_response("200 OK", [("Thread", threading.current_thread().name)])
    return [type(raised).__name__.encode() if raised else environ["wsgi.input"].read()]


def in_a_loop(work):
    """Run a coroutine in a thread of its own: a browser's loop may already run in ours."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def fronted(work, application=tell, threads=1, patience=PATIENCE, **options):
    """Start a front, let `work` do something with it, and end it; return what that returned."""

    async def run():
        settings = {
            "largest_body": LIMIT,
            "at_end": lambda: None,
            "at_once": Nothing(),
            **options,
        }
        front = Front(
            programs=Pool("programs", application, threads, patience=patience),
            pages=Pool("pages", application, 1, patience=patience),
            is_program=lambda method, path: (method, path) == ("POST", "/token"),
            **settings,
        )
        loop = asyncio.get_running_loop()
        front.__rsgi_init__(loop)
        result = await work(front)
        await loop.run_in_executor(None, front.__rsgi_del__, loop)
        return result

    return in_a_loop(run())


def served(*asked, application=tell, **options):
    """Ask a front, all at once; return the answers."""

    async def ask(front):
        await asyncio.gather(*(front.__rsgi__(scope, exchange) for scope, exchange in asked))
        return [exchange.answer for _, exchange in asked]

    return fronted(ask, application, **options)


def sized(length):
    """Header lines that state a length."""
    return [("content-length", str(length))]


def test_a_body_arrives_whole_with_its_length():
    [(status, _, body)] = served((Scope(lines=sized(4)), Exchange(b"ab", b"cd")))

    assert (status, body) == (200, b"abcd")


def test_what_is_known_at_once_takes_no_thread_and_the_rest_reaches_one_whole():
    known, other = served(
        (Scope(path="/introspect", lines=sized(5)), Exchange(b"quick")),
        (Scope(path="/introspect", lines=sized(4)), Exchange(b"slow")),
        at_once=Known(),
    )

    assert known[1]["Thread"] not in {"programs-0", "pages-0"}
    assert known[2] == b"quick"
    assert (other[1]["Thread"], other[2]) == ("pages-0", b"slow")


def test_what_goes_wrong_on_the_loop_is_the_application_s_to_word():
    (told,) = served(
        (Scope(path="/introspect", lines=sized(5)), Exchange(b"quick")), at_once=Failing()
    )

    assert told[2] == b"MemoryError"


def busy_until(over):
    """An application that keeps its threads, but words errors at once."""

    def busy(environ, start_response):
        over.wait(0 if RAISED in environ else 30)
        return tell(environ, start_response)

    return busy


def test_who_waits_too_long_for_a_thread_is_told_so_and_nothing_is_done():
    """As in a flood, or where every thread waits for the database."""
    over = threading.Event()

    async def ask(front):
        exchanges = [Exchange() for _ in range(3)]
        asked = [asyncio.ensure_future(front.__rsgi__(Scope(), each)) for each in exchanges]
        await asyncio.wait(asked, timeout=0.3)
        over.set()
        await asyncio.gather(*asked)
        return [body for _, _, body in (each.answer for each in exchanges)]

    assert fronted(ask, busy_until(over), patience=0.2) == [b"", b"Unavailable", b"Unavailable"]


def test_an_error_that_waited_too_long_for_its_words_keeps_them():
    """It may be about something that was written: nobody may be told that nothing was done."""
    over = threading.Event()

    async def ask(front):
        first, failed = Exchange(), Exchange(b"quick")
        held = asyncio.ensure_future(front.__rsgi__(Scope(path="/signin/x"), first))
        await asyncio.wait([held], timeout=0.05)
        scope = Scope(path="/introspect", lines=sized(5))
        waits = asyncio.ensure_future(front.__rsgi__(scope, failed))
        await asyncio.wait([waits], timeout=0.3)
        over.set()
        await asyncio.gather(held, waits)
        return failed.answer[2]

    assert fronted(ask, busy_until(over), patience=0.2, at_once=Failing()) == b"MemoryError"


def test_programs_and_pages_have_threads_of_their_own():
    answers = served(
        (Scope(), Exchange()),
        (Scope(path="/signin/x"), Exchange()),
        (Scope(method="GET"), Exchange()),
    )

    assert [answer[1]["Thread"] for answer in answers] == ["programs-0", "pages-0", "pages-0"]


def test_a_body_that_never_ends_is_given_up_and_holds_nobody_up():
    late, whole = served(
        (Scope(lines=sized(4)), Exchange(b"a", None)),
        (Scope(lines=sized(1)), Exchange(b"b")),
        body_within=0.05,
    )

    assert late[2] == b"RequestTimeout"
    assert whole[2] == b"b"


def test_a_stated_length_beyond_the_limit_is_not_read():
    [(_, _, body)] = served((Scope(lines=sized(LIMIT + 1)), Exchange(None)))

    assert body == b""


@pytest.mark.parametrize("stated", [[], sized(1)], ids=["chunks", "chunks-and-length"])
def test_chunks_are_refused_because_half_of_them_would_pass_for_all(stated):
    chunked = Scope(lines=[*stated, ("transfer-encoding", "chunked")])

    [(_, _, body)] = served((chunked, Exchange(b"x", None)))

    assert body == b"LengthRequired"


def test_half_a_body_whose_sender_went_away_reaches_nobody():
    asked = []

    def note(environ, start_response):
        asked.append(environ)
        return tell(environ, start_response)

    [answer] = served((Scope(lines=sized(4)), Gone(b"a")), application=note)

    assert not asked
    assert answer == (0, {}, b"")


@pytest.mark.parametrize("lengths", [["5", "5"], ["-1"], ["+5"], ["five"], [""]])
def test_a_length_that_is_no_number_is_an_error_that_the_application_words(lengths):
    scope = Scope(lines=[("content-length", length) for length in lengths])

    [(status, _, body)] = served((scope, Exchange(b"abcde")))

    assert (status, body) == (200, b"BadRequest")


def test_bodies_that_would_fill_the_memory_are_refused():
    scope = Scope(lines=sized(MOST_HELD // 2 + 1))

    answers = served(
        (scope, Exchange(None)),
        (scope, Exchange(None)),
        largest_body=MOST_HELD,
        body_within=0.05,
    )

    assert sorted(body for _, _, body in answers) == [b"RequestTimeout", b"ServiceUnavailable"]


def test_a_body_that_waits_for_its_answer_is_still_held():
    at_work, may_answer = threading.Event(), threading.Event()
    scope, second = Scope(lines=sized(MOST_HELD)), Exchange(b"b")

    def slow(environ, start_response):
        if environ.get(RAISED) is None:
            at_work.set()
            may_answer.wait()
        return tell(environ, start_response)

    async def ask(front):
        first = asyncio.create_task(front.__rsgi__(scope, Exchange(b"a")))
        await asyncio.get_running_loop().run_in_executor(None, at_work.wait)
        await front.__rsgi__(scope, second)
        may_answer.set()
        await first

    fronted(ask, slow, threads=2, largest_body=MOST_HELD)

    assert second.answer[2] == b"ServiceUnavailable"


def test_a_query_in_any_script_is_bytes_for_the_application():
    environ = environ_of(Scope(query_string="a=\u20ac"))

    assert environ["QUERY_STRING"].encode("latin-1").decode() == "a=\u20ac"


@pytest.mark.parametrize(
    ("first", "answer"),
    [(Exchange(b"a"), b"a"), (Exchange(None), b"RequestTimeout"), (Gone(), b"")],
    ids=["came in", "took too long", "broke off"],
)
def test_the_next_large_body_has_room_after_one_that(first, answer):
    scope, second = Scope(lines=sized(MOST_HELD)), Exchange(b"b")

    async def ask(front):
        await front.__rsgi__(scope, first)
        await front.__rsgi__(scope, second)

    fronted(ask, largest_body=MOST_HELD, body_within=0.05)

    assert (first.answer[2], second.answer[2]) == (answer, b"b")


def test_an_application_that_fails_is_an_answer_all_the_same():
    def fails(_environ, _start_response):
        raise LookupError("on purpose")

    first, second = served((Scope(), Exchange()), (Scope(), Exchange()), application=fails)

    assert first[0] == second[0] == 500
    assert b"on purpose" not in first[2]


def test_an_answer_that_cannot_be_sent_costs_the_next_one_nothing():
    _, (status, _, _) = served((Scope(), Broken()), (Scope(), Exchange()))

    assert status == 200


def test_each_body_has_its_own_time_whoever_came_before():
    async def ask(front):
        late = [Exchange(None) for _ in range(3)]
        for exchange in late:
            await front.__rsgi__(Scope(lines=sized(1)), exchange)
        await front.__rsgi__(Scope(lines=sized(1)), whole)
        return [exchange.answer[2] for exchange in late]

    whole = Exchange(b"a")
    assert fronted(ask, body_within=0.05) == [b"RequestTimeout"] * 3
    assert whole.answer[2] == b"a"


def test_a_request_that_is_called_off_is_not_told_that_it_was_late():
    async def ask(front):
        asked = asyncio.create_task(front.__rsgi__(Scope(lines=sized(1)), exchange))
        while not exchange.begun.is_set():
            await asyncio.to_thread(exchange.begun.wait, 1)
        asked.cancel()
        return (await asyncio.gather(asked, return_exceptions=True))[0]

    exchange = Exchange(None)
    assert isinstance(fronted(ask), asyncio.CancelledError)
    assert exchange.answer == (0, {}, b"")


def test_nothing_is_kept_of_a_body_that_was_late():
    async def ask(front):
        asked = asyncio.create_task(front.__rsgi__(Scope(lines=sized(1)), Exchange(None)))
        kept = weakref.ref(asked)
        await asked
        del asked
        # A thread remembers what it answered last.
        await front.__rsgi__(Scope(), Exchange())
        gc.collect()
        return kept()

    assert fronted(ask, body_within=0.05) is None


def test_who_left_before_the_answer_troubles_nobody():
    at_work, may_answer, trouble = threading.Event(), threading.Event(), []

    def slow(environ, start_response):
        at_work.set()
        may_answer.wait(20)
        return tell(environ, start_response)

    async def ask(front):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, told: trouble.append(told["message"]))
        asked = asyncio.create_task(front.__rsgi__(Scope(), Exchange()))
        await loop.run_in_executor(None, at_work.wait, 20)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        may_answer.set()
        # Answered by the same thread, and so told of after the first.
        await front.__rsgi__(Scope(), second)

    second = Exchange()
    fronted(ask, slow)

    assert second.answer[0] == 200
    assert trouble == []


class Timers:
    """What of an event loop a front uses by itself: what is to be called later."""

    def __init__(self):
        self.due = []

    def time(self):
        return 0.0

    def call_later(self, _delay, callback, *arguments):
        self.due.append((callback, arguments))

    def run_due(self):
        due, self.due = self.due, []
        for callback, arguments in due:
            callback(*arguments)


def test_bodies_are_looked_after_until_the_end_and_no_longer():
    loop: Any = Timers()
    front = Front(
        programs=Pool("programs", tell, 1, patience=PATIENCE),
        pages=Pool("pages", tell, 1, patience=PATIENCE),
        at_once=Nothing(),
        is_program=lambda _method, _path: True,
        largest_body=LIMIT,
        at_end=lambda: None,
    )
    front.__rsgi_init__(loop)
    loop.run_due()
    at_work = len(loop.due)
    front.__rsgi_del__(loop)
    loop.run_due()

    assert (at_work, len(loop.due)) == (1, 0)


def test_what_waits_is_answered_before_the_end():
    ended = []

    served((Scope(), Exchange()), at_end=lambda: ended.append("records written"))

    assert ended == ["records written"]


def test_a_header_name_with_an_underscore_never_reaches_the_application():
    environ = environ_of(
        Scope(
            lines=[
                ("client-cert", ""),
                ("client_cert", ":MII:"),
                ("x_forwarded_for", "6.6.6.6"),
                ("content_length", "7"),
            ]
        )
    )

    assert environ["HTTP_CLIENT_CERT"] == ""
    assert not {"HTTP_X_FORWARDED_FOR", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH"} & environ.keys()


@pytest.mark.parametrize(
    ("path", "seen"),
    [("/signin", "/signin"), ("//signin", "/signin"), ("", "/"), ("/é", "/\xc3\xa9")],
    ids=["plain", "two-slashes", "empty", "utf-8"],
)
def test_paths_are_seen_as_routing_sees_them(path, seen):
    assert environ_of(Scope(path=path))["PATH_INFO"] == seen


def test_lines_of_one_name_are_joined_in_their_order():
    environ = environ_of(
        Scope(
            lines=[
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("content-type", "text/plain"),
            ]
        )
    )

    assert environ["HTTP_X_FORWARDED_FOR"] == "1.1.1.1,2.2.2.2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["CONTENT_TYPE"] == "text/plain"


def test_addresses_are_the_peers_without_ports():
    environ = environ_of(Scope(client="[2001:db8::1]:4711"))

    assert environ["REMOTE_ADDR"] == "2001:db8::1"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("::1", "8080")
