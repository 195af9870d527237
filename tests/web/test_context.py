import re

import pytest
import structlog

from pdp import logs
from pdp.web.context import begin, client_address, end, request_id, runtime
from tests.web.edge import ISSUER, an_edge, view


@pytest.fixture
def app(tmp_path):
    """An application with our edge, that tells a request's id and address."""
    app = an_edge(tmp_path, server={"trusted_proxies": ["10.0.0.0/24"]})
    view(app, lambda: f"{request_id()} {client_address()}")
    return app


def get(app, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().get("/", headers=named, environ_base={"REMOTE_ADDR": "10.0.0.9"})


def test_the_runtime_is_the_one_that_the_process_was_built_from(app):
    with app.app_context():
        assert runtime().settings.issuer == ISSUER


def test_a_request_without_an_id_gets_one_nobody_can_guess(app):
    identifier = get(app).headers["X-Request-ID"]

    assert re.fullmatch(r"req_[\w-]{22}", identifier)
    assert get(app).headers["X-Request-ID"] != identifier


def test_a_sane_id_of_the_proxy_is_kept(app):
    response = get(app, X_Request_ID="0b5f7e8a-1111-4222-8333-444455556666")

    assert response.headers["X-Request-ID"] == "0b5f7e8a-1111-4222-8333-444455556666"
    assert response.text.startswith("0b5f7e8a")


def test_a_stranger_s_id_is_replaced(app):
    answer = app.test_client().get(
        "/", headers={"X-Request-ID": "id-of-somebody"}, environ_base={"REMOTE_ADDR": "192.0.2.7"}
    )

    assert answer.headers["X-Request-ID"].startswith("req_")


@pytest.mark.parametrize(
    "odd", ["", "short", "a" * 37, "with space", "semi;colon", "<script>", "é" * 9]
)
def test_an_odd_id_is_replaced(app, odd):
    assert get(app, X_Request_ID=odd.encode().decode("latin-1")).headers["X-Request-ID"] != odd


def test_the_visitors_address_is_what_the_trusted_proxy_says(app):
    assert get(app, X_Forwarded_For="127.0.0.1, 192.0.2.7").text.endswith(" 192.0.2.7")


def test_the_id_of_one_request_does_not_stay_for_the_next(app):
    get(app, X_Request_ID="first-request")
    get(app, X_Request_ID="second-request")

    assert logs.current_request.get() == "second-request"


def test_refused_requests_are_logged_by_pattern_and_not_by_path(app):
    with structlog.testing.capture_logs() as lines:
        app.test_client().get("/nowhere/secret-of-somebody?code=abc")

    (line,) = lines
    assert (line["event"], line["route"], line["status"]) == (
        "request.answer.sent",
        "unmatched",
        404,
    )
    assert "secret" not in str(line)


@pytest.mark.parametrize(("status", "told"), [(400, "dec_1"), (503, None)])
def test_the_line_of_a_refusal_names_client_and_decision_unless_nothing_was_kept(status, told):
    environ = {"REQUEST_METHOD": "POST"}
    begin(environ, ())
    logs.note("client", "wiki")
    logs.note("decision", "dec_1")
    with structlog.testing.capture_logs() as lines:
        end(environ, "/token", status)

    (line,) = lines
    assert (line["client"], line.get("decision")) == ("wiki", told)


def test_the_next_request_of_a_thread_names_no_decision_of_the_last(app):
    logs.note("decision", "dec_1")
    with structlog.testing.capture_logs() as lines:
        app.test_client().get("/nowhere")

    assert "decision" not in lines[0]


def test_a_method_that_a_stranger_made_up_is_in_no_log_line(app):
    with structlog.testing.capture_logs() as lines:
        app.test_client().open("/nowhere", method="STRANGER-SAYS" * 1000)

    assert [line["method"] for line in lines] == ["other"]
