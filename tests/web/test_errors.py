"""Each error in each form that a caller may need, and never more than they may know."""

import pytest
import structlog
from flask import Blueprint, abort, request
from werkzeug.exceptions import TooManyRequests

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
from pdp.web import errors
from pdp.web.security import FormRefused
from tests.web.edge import an_edge, view

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAM = {"Accept": "application/json"}
CASES = [
    (NotFound("device", "dev_secret"), 404),
    (Conflict("device dev_secret exists"), 409),
    (InvalidTransition("dev_secret"), 409),
    (Unavailable("postgresql://dev_secret"), 503),
    (OutcomeUnknown("dev_secret"), 503),
    (NotInitialised("dev_secret"), 503),
    (DomainError("dev_secret"), 500),
    (ValueError("dev_secret"), 500),
    (KeyError("dev_secret"), 500),
]


@pytest.fixture
def app(tmp_path):
    """An application with our edge."""
    return an_edge(tmp_path, display_name="Harbour", support="help@harbour.example")


@pytest.fixture(autouse=True)
def logged():
    """What was logged, instead of a printed stack for each error."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def answer(app, error, headers=None, *, blueprint=None):
    def fail():
        raise error

    if blueprint is None:
        view(app, fail)
    else:
        part = Blueprint(blueprint, __name__)
        part.add_url_rule("/", "fail", fail)
        app.register_blueprint(part)
    return app.test_client().get("/", headers=headers)


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
@pytest.mark.parametrize("headers", [None, PROGRAM, {"Accept": "*/*"}], ids=str)
def test_a_program_gets_problem_details(app, error, status, headers):
    response = answer(app, error, headers)

    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    problem = response.get_json(force=True)
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert problem["title"]
    assert problem["detail"]


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
def test_a_browser_gets_a_page_with_a_reference(app, error, status):
    response = answer(app, error, BROWSER)

    assert (response.status_code, response.mimetype) == (status, "text/html")
    assert response.headers["X-Request-ID"] in response.text
    assert "Harbour" in response.text


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (Unavailable("db"), 503, "temporarily_unavailable"),
        (OutcomeUnknown("db"), 503, "temporarily_unavailable"),
        (ValueError("x"), 500, "server_error"),
        (TooManyRequests(), 429, "temporarily_unavailable"),
        (Conflict("x"), 409, "invalid_request"),
    ],
    ids=lambda case: str(case)[:20],
)
def test_a_protocol_endpoint_answers_in_oauths_words_whoever_asks(app, error, status, word):
    response = answer(app, error, BROWSER, blueprint="oauth")

    assert (response.status_code, response.mimetype) == (status, "application/json")
    assert response.get_json()["error"] == word


@pytest.mark.parametrize("blueprint", ["webhooks", "device"])
def test_an_endpoint_for_programs_never_answers_with_a_page(app, blueprint):
    response = answer(app, Unavailable("db"), BROWSER, blueprint=blueprint)

    assert response.mimetype == "application/problem+json"


@pytest.mark.parametrize(("error", "status"), CASES, ids=lambda case: type(case).__name__)
@pytest.mark.parametrize("headers", [PROGRAM, BROWSER], ids=["program", "browser"])
@pytest.mark.parametrize("blueprint", [None, "oauth", "webhooks"])
def test_no_answer_repeats_what_the_error_said(app, error, status, headers, blueprint):
    response = answer(app, error, headers, blueprint=blueprint)

    assert response.status_code == status
    assert "dev_secret" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("blueprint", [None, "oauth", "webhooks"])
@pytest.mark.parametrize("headers", [PROGRAM, BROWSER], ids=["program", "browser"])
def test_what_is_down_says_when_to_try_again(app, blueprint, headers):
    response = answer(app, Unavailable("db"), headers, blueprint=blueprint)

    assert response.headers["Retry-After"] == "5"


@pytest.mark.parametrize("blueprint", [None, "oauth", "webhooks"])
@pytest.mark.parametrize("headers", [PROGRAM, BROWSER], ids=["program", "browser"])
@pytest.mark.parametrize(
    ("error", "is_said"), [(Unavailable("db"), True), (OutcomeUnknown("db"), False)], ids=str
)
def test_only_what_is_known_to_have_changed_nothing_is_said_to(
    app, error, is_said, headers, blueprint
):
    response = answer(app, error, headers, blueprint=blueprint)

    assert ("Nothing was changed" in response.text) is is_said


def test_who_should_look_first_is_not_told_to_try_again(app):
    assert "try again" not in answer(app, OutcomeUnknown("db"), BROWSER).text


def test_a_malformed_signal_is_told_where_it_is_wrong(app):
    response = answer(app, MalformedSignal("must be low, medium or high", "signals[3].risk"))

    assert response.status_code == 400
    problem = response.get_json(force=True)
    assert problem["field"] == "signals[3].risk"
    assert problem["detail"] == "must be low, medium or high"


def test_a_method_that_is_not_taken_names_those_that_are(app):
    response = app.test_client().get("/form")

    assert response.status_code == 405
    assert "POST" in response.headers["Allow"]


def test_a_wait_that_a_view_names_is_kept(app):
    assert answer(app, TooManyRequests(retry_after=42)).headers["Retry-After"] == "42"


def test_an_oversized_body_is_413(app):
    view(app, lambda: str(len(request.get_data())))

    assert app.test_client().post("/", data=b"a" * 1024 * 1024).status_code == 200
    assert app.test_client().post("/", data=b"a" * (1024 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FormRefused(), "Please send that again"),
        (TooManyRequests(), "A little slower, please"),
        (NotFound("page", "x"), "There is no such page"),
        (Unavailable("x"), "Nothing was changed, and nothing is lost."),
        (OutcomeUnknown("x"), "could not find out whether what you did last was kept"),
        (ValueError("x"), "Something went wrong on our side"),
    ],
    ids=lambda case: str(case)[:20],
)
def test_the_page_has_words_for_what_happened(app, error, words):
    assert words in answer(app, error, BROWSER).text


def test_every_word_of_this_mapping_is_one_that_the_page_knows(app):
    page = app.jinja_env.loader.get_source(app.jinja_env, "error.html")[0]
    words = {*errors._PAGES.values(), "csrf", "invalid-request"}  # noqa: SLF001  the table itself
    words |= {told.page for told in errors._DOMAIN.values()}  # noqa: SLF001  the table itself

    assert not [word for word in words if f'"{word}": (' not in page]


def test_a_surprise_is_logged_with_its_stack(app, logged):
    answer(app, ValueError("surprise"))

    (line,) = [line for line in logged if line["event"] == "request.answer.failed"]
    assert isinstance(line["exc_info"], ValueError)


def test_an_unknown_path_is_a_problem_for_programs_and_a_page_for_people(app):
    client = app.test_client()

    assert client.get("/nowhere").mimetype == "application/problem+json"
    assert client.get("/nowhere", headers=BROWSER).mimetype == "text/html"


def test_abort_goes_the_same_way(app):
    view(app, lambda: abort(403))

    assert app.test_client().get("/").get_json(force=True)["status"] == 403
