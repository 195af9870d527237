"""`POST /webhooks/<source>`: every delivery gets a clear answer, and 202 means that it is kept."""

import json
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
import structlog
from flask import Flask

from pdp import logs
from pdp.domain.compliance import Compliance
from pdp.domain.ids import SourceId
from pdp.sources.signatures import format_secret, sign
from pdp.store import sources
from pdp.store.database import Database, Statement
from pdp.usecases.configure_source import BadSource, add_source, rotate_source_secret
from pdp.usecases.open_source import disable_source
from pdp.web import webhooks
from pdp.web.receive_webhook import Request, receive_webhook
from tests.builders import NOW, SOURCE, WEBHOOK_SECRET, an_envelope
from tests.databases import break_off_at_commit
from tests.deployment import a_deployment, a_runtime, a_webhook, the_device
from tests.oidc.loop import LoopOfProcess

NEW_SECRET = format_secret(bytes(range(1, 33)))
_COUNTS = {
    table: Statement(f"SELECT COUNT(*) FROM {table}")  # noqa: S608  names of ours
    for table in ("deliveries", "signals", "devices")
}


@pytest.fixture(params=["threads", "loop"])
def runtime(database, clock, request, monkeypatch):
    """A deployment, which takes deliveries in by a thread, or on an event loop."""
    runtime = a_deployment(database, clock)
    if request.param == "threads":
        yield runtime
        return
    loop = LoopOfProcess(runtime)
    monkeypatch.setattr(sys.modules[__name__], "receive_webhook", loop.receive)
    yield runtime
    loop.close()


def _receive(runtime, source="edr", body=None, headers=None, **members):
    signed_body, signed_headers = a_webhook(**members)
    request = Request(
        source=SourceId(source),
        headers={**signed_headers, **(headers or {})},
        body=signed_body if body is None else body,
        address="192.0.2.1",
    )
    return receive_webhook(runtime, request)


def _signed(body, *, secret=WEBHOOK_SECRET, delivery_id="msg_1", at=NOW):
    timestamp = int(at.timestamp())
    return {
        "webhook-id": (delivery_id,),
        "webhook-timestamp": (str(timestamp),),
        "webhook-signature": (sign(secret, delivery_id, timestamp, body),),
        "content-type": ("application/json",),
    }


def _kept(runtime):
    with runtime.database.read() as tx:
        return {table: tx.one(count, {})[0] for table, count in _COUNTS.items()}


NOTHING = {"deliveries": 0, "signals": 0, "devices": 0}


def test_a_signed_signal_is_kept_before_it_is_accepted(runtime):
    answer = _receive(runtime, risk="high")

    assert (answer.status, answer.document) == (202, {"result": "accepted", "signals": 1})
    assert the_device(runtime.database).assessment.status is Compliance.NOT_COMPLIANT


def test_the_same_delivery_again_gets_the_same_status_and_is_applied_once(runtime, clock):
    _receive(runtime, risk="high")
    clock.advance(timedelta(seconds=1))
    answer = _receive(runtime, risk="high")

    assert (answer.status, answer.document["result"]) == (202, "duplicate")
    assert the_device(runtime.database).updated_at == NOW


def test_a_used_delivery_id_with_another_body_is_a_conflict_and_not_applied(runtime):
    _receive(runtime, risk="high")
    answer = _receive(runtime, risk="low", id="evt-2")

    assert answer.status == 409
    assert _kept(runtime) == {"deliveries": 1, "signals": 1, "devices": 1}


def test_a_batch_is_applied_together(runtime):
    signals = [
        {"id": f"evt-{n}", "event_time": "2026-03-02T10:00:00Z", "device": {"serial": f"S{n}"}}
        for n in range(100)
    ]
    body = json.dumps({"signals": signals}).encode()
    answer = _receive(runtime, body=body, headers=_signed(body))

    assert answer.document == {"result": "accepted", "signals": 100}
    assert _kept(runtime)["devices"] == 100


@pytest.mark.parametrize(
    "media_type", ["application/json; charset=utf-8", "application/cloudevents+json"]
)
def test_json_by_either_name_is_read(runtime, media_type):
    assert _receive(runtime, headers={"content-type": (media_type,)}).status == 202


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        pytest.param({"content-type": ("text/plain",)}, 415, "application/json", id="media-type"),
        pytest.param({"content-type": ()}, 415, "application/json", id="no-media-type"),
        pytest.param({"webhook-signature": ()}, 401, "signed", id="unsigned"),
        pytest.param({"webhook-id": ()}, 401, "signed", id="no-id"),
        pytest.param({"webhook-id": ("msg_2",)}, 401, "signed", id="another-id"),
        pytest.param({"webhook-timestamp": ("soon",)}, 400, "form", id="odd-timestamp"),
        pytest.param({"webhook-signature": ("v1,x", "v1,y")}, 400, "once", id="two-signatures"),
    ],
)
def test_a_delivery_that_is_not_one_is_refused_and_nothing_is_kept(runtime, changed, status, said):
    answer = _receive(runtime, headers=changed)

    assert answer.status == status
    assert said in answer.document["detail"]
    assert answer.content_type == "application/problem+json"
    assert _kept(runtime) == NOTHING


@pytest.mark.parametrize(
    ("seconds", "status"), [(-301, 401), (-299, 202), (59, 202), (61, 401)], ids=str
)
def test_the_signed_time_may_be_300_seconds_old_and_60_ahead(runtime, seconds, status):
    at = NOW + timedelta(seconds=seconds)

    assert _receive(runtime, signed_at=at, event_time="2026-03-02T09:00:00Z").status == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param(b"not json", None, id="not-json"),
        pytest.param(b'{"id":"a","id":"b"}', None, id="duplicate-key"),
        pytest.param(
            b'{"id":"a","event_time":"2026-03-02T10:01:01Z","device":{"serial":"S"}}',
            "event_time",
            id="future",
        ),
        pytest.param(
            b'{"id":"a","event_time":"2026-03-02T10:00:00Z","device":{"serial":"S"},"risk":"bad"}',
            "risk",
            id="value",
        ),
    ],
)
def test_a_body_that_cannot_be_read_is_named_and_nothing_is_kept(runtime, body, field):
    answer = _receive(runtime, body=body, headers=_signed(body))

    assert answer.status == 400
    assert answer.document.get("field") == field
    assert _kept(runtime) == NOTHING


def test_a_body_changed_after_it_was_signed_is_refused(runtime):
    body, _ = a_webhook(risk="high")

    assert _receive(runtime, risk="high", body=body + b" ").status == 401


def test_a_body_beyond_the_limit_is_refused_unread(runtime):
    body = b" " * (runtime.settings.server.max_body_bytes + 1)

    assert _receive(runtime, body=body, headers=_signed(body)).status == 413


def test_a_source_that_does_not_exist_answers_like_a_wrong_signature(runtime):
    unknown = _receive(runtime, source="nobody")
    wrong = _receive(runtime, headers={"webhook-id": ("msg_2",)})
    zeros = format_secret(bytes(32))
    body, _ = a_webhook()
    guessed = _receive(runtime, source="nobody", body=body, headers=_signed(body, secret=zeros))

    assert unknown == wrong == guessed
    assert unknown.status == 401


def test_the_name_of_a_source_that_does_not_exist_is_in_no_log_line(runtime):
    with structlog.testing.capture_logs() as lines:
        _receive(runtime, source="stranger-says" * 1000)

    (line,) = [each for each in lines if each["event"] == "webhook.delivery.refused"]
    assert line["source"] == "unknown"
    assert "stranger-says" not in str(lines)


def test_the_line_of_a_delivery_that_cannot_be_read_names_its_source_if_there_is_one(runtime):
    body = b'{"signals": 1}'
    noted = []
    for source in (SOURCE, "stranger"):
        logs.begin_request("req_1")
        _receive(runtime, source=source, body=body, headers=_signed(body))
        noted.append(logs.noted())

    assert noted == [{"source": SOURCE}, {}]


def test_deliveries_to_a_disabled_source_are_not_told_as_wrong_signatures(runtime):
    with runtime.database.write() as tx:
        disable_source(tx, runtime.envelope, SOURCE, actor="test", now=NOW)
    with structlog.testing.capture_logs() as lines:
        answer = _receive(runtime)

    (line,) = [each for each in lines if each["event"] == "webhook.delivery.refused"]
    assert answer.status == 401
    assert (line["source"], line["reason"]) == (SOURCE, "disabled")


def test_a_source_that_was_shut_is_not_believed_at_once_by_any_process(runtime, clock):
    other = a_runtime(runtime.database, clock)
    assert _receive(other).status == 202
    with runtime.database.write() as tx:
        sources.set_disabled(tx, SOURCE, NOW)

    assert _receive(other, delivery_id="msg_2", id="evt-2").status == 401


def test_a_source_set_up_by_another_process_is_believed_at_once(runtime, clock):
    other = a_runtime(runtime.database, clock)
    _receive(other)
    body, _ = a_webhook()
    headers = _signed(body, secret=NEW_SECRET)
    assert _receive(other, source="mdm", body=body, headers=headers).status == 401
    with runtime.database.write() as tx:
        add_source(
            tx,
            an_envelope(),
            SourceId("mdm"),
            adapter="generic",
            secret=NEW_SECRET,
            actor="op",
            now=NOW,
        )

    assert _receive(other, source="mdm", body=body, headers=headers).status == 202


def test_old_and_new_secret_verify_until_the_old_one_ends(runtime, clock):
    with runtime.database.write() as tx:
        rotate_source_secret(
            tx,
            an_envelope(),
            SOURCE,
            secret=NEW_SECRET,
            old_expires_at=NOW + timedelta(hours=1),
            actor="op",
            now=NOW,
        )

    def statuses(number):
        body, _ = a_webhook(event_time="2026-03-02T09:00:00Z", id=f"evt-{number}")
        return [
            _receive(
                runtime,
                body=body,
                headers=_signed(body, secret=secret, delivery_id=f"{number}{name}", at=clock()),
            ).status
            for name, secret in (("old", WEBHOOK_SECRET), ("new", NEW_SECRET))
        ]

    assert statuses(1) == [202, 202]
    clock.advance(timedelta(hours=1))
    assert statuses(2) == [401, 202]


@pytest.mark.parametrize(
    ("source_id", "adapter"),
    [("EDR", "generic"), ("a/b", "generic"), ("", "generic"), ("edr2", "crystal-ball")],
)
def test_a_source_that_could_never_be_called_is_not_set_up(runtime, source_id, adapter):
    with runtime.database.write() as tx, pytest.raises(BadSource, match=r"use"):
        add_source(
            tx,
            an_envelope(),
            SourceId(source_id),
            adapter=adapter,
            secret=NEW_SECRET,
            actor="op",
            now=NOW,
        )


def test_secrets_of_sources_are_in_no_row_and_no_text(runtime):
    with runtime.database.read() as tx:
        configured = runtime.configurations.current(tx).sources[SOURCE]
        (stored,) = tx.one(Statement("SELECT secrets FROM sources"), {})

    assert configured.ring(NOW) == (WEBHOOK_SECRET,)
    assert WEBHOOK_SECRET not in repr(configured)
    assert WEBHOOK_SECRET.removeprefix("whsec_") not in stored


def test_many_refusals_from_one_address_are_answered_429(runtime):
    answers = [_receive(runtime, headers={"webhook-id": ("x",)}) for _ in range(60)]

    assert answers[0].status == 401
    assert answers[-1].status == 429
    assert int(answers[-1].headers["Retry-After"]) > 0
    # Who signs is not held up by who does not.
    assert _receive(runtime).status == 202


def test_without_a_database_the_sender_is_asked_to_come_back_and_nothing_is_lost(runtime):
    _receive(runtime, delivery_id="first", id="first")
    # Nobody listens on the discard port.
    gone = Database.open("postgresql+psycopg://nobody@127.0.0.1:9/gone")
    answer = _receive(replace(runtime, database=gone), risk="high")
    again = _receive(runtime, risk="high")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.document["detail"].startswith("nothing was applied")
    assert (again.status, again.document["result"]) == (202, "accepted")


def test_a_delivery_whose_commit_was_not_heard_of_is_not_said_to_be_lost(postgresql_url, clock):
    database = Database.open(postgresql_url)
    runtime = a_deployment(database, clock)
    break_off_at_commit(postgresql_url, "deliveries")

    answer = _receive(runtime, risk="high")
    database.close()

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert answer.document["detail"].startswith("whether this was applied is not known")


# The Flask door


@pytest.fixture
def client(runtime):
    app = Flask("door")
    app.config["MAX_CONTENT_LENGTH"] = runtime.settings.server.max_body_bytes
    app.extensions["pdp"] = runtime
    app.register_blueprint(webhooks.blueprint)
    return app.test_client()


def _http(headers):
    return {name: values[0] for name, values in headers.items()}


def test_the_door_gives_the_handlers_answer(client):
    body, headers = a_webhook(risk="high")
    response = client.post("/webhooks/edr", data=body, headers=_http(headers))

    assert response.status_code == 202
    assert response.content_type == "application/json"
    assert response.get_json() == {"result": "accepted", "signals": 1}


def test_the_door_explains_a_refusal_as_a_problem(client):
    response = client.post("/webhooks/nobody", json={})

    assert response.status_code == 401
    assert response.content_type == "application/problem+json"
    assert response.headers["WWW-Authenticate"] == "Standard-Webhooks"


def test_the_door_does_not_read_a_body_beyond_the_limit(client, runtime):
    body = b" " * (runtime.settings.server.max_body_bytes + 1)
    response = client.post("/webhooks/edr", data=body, headers={"Content-Type": "application/json"})

    assert response.status_code == 413
    assert response.get_json()["title"] == "Request Entity Too Large"


def test_the_door_is_for_post_only(client):
    assert client.get("/webhooks/edr").status_code == 405
