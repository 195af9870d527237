"""The gate: passwords never hold every thread, and what is fast never waits for them."""

import threading

import pytest

from pdp.web.gate import Gate, slow_slots


class Application:
    """Answers once it is let go on; says when it was entered."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Event()

    def __call__(self, environ, start_response):
        self.entered.release()
        assert self.go_on.wait(30)
        if environ["PATH_INFO"].endswith("/broken"):
            raise OSError
        start_response("200 OK", [])
        return [b"ok"]


def _call(gate, path, method="POST"):
    answered = []
    gate({"PATH_INFO": path, "REQUEST_METHOD": method}, lambda *said: answered.append(said))
    return int(answered[0][0].split()[0]), dict(answered[0][1])


@pytest.fixture
def application():
    """An application that is let go on when the test ends, if not before."""
    application = Application()
    yield application
    application.go_on.set()


@pytest.fixture
def full(application):
    """A gate of one slot, which a sign-in holds."""
    gate = Gate(application, slots=1)
    holder = threading.Thread(target=_call, args=(gate, "/signin/req_1"))
    holder.start()
    assert application.entered.acquire(timeout=30)
    yield gate
    application.go_on.set()
    holder.join()


def test_one_password_too_many_is_refused_at_once(full):
    status, headers = _call(full, "/signin")

    assert status == 503
    assert headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("path", "method"),
    [("/token", "POST"), ("/webhooks/edr", "POST"), ("/signin", "GET"), ("/introspect", "POST")],
)
def test_what_is_fast_goes_on(full, application, path, method):
    application.go_on.set()

    assert _call(full, path, method)[0] == 200


def test_a_slot_is_free_again_after_an_answer_and_after_a_failure(application):
    gate = Gate(application, slots=1)
    application.go_on.set()

    assert _call(gate, "/signin")[0] == 200
    with pytest.raises(OSError):  # noqa: PT011  the application's own
        _call(gate, "/signin/broken")
    assert _call(gate, "/signin")[0] == 200


@pytest.mark.parametrize(("threads", "slots"), [(1, 1), (2, 1), (4, 3), (16, 12), (64, 48)])
def test_some_threads_are_never_passwords(threads, slots):
    assert slow_slots(threads) == slots
