"""Forged deliveries, as a stranger or another source would send them: counted, and forgotten."""

from dataclasses import replace

import pytest
import structlog
from prometheus_client import REGISTRY

from pdp.domain.ids import SourceId
from pdp.sources.signatures import format_secret, sign
from pdp.store import sources
from pdp.store.database import Statement
from pdp.web.receive_webhook import Answer, Request, receive_webhook
from tests.builders import NOW, SOURCE, WEBHOOK_SECRET, an_envelope
from tests.deployment import a_deployment, a_webhook

MDM_SECRET = format_secret(bytes(range(1, 33)))
NOBODYS_SECRET = format_secret(bytes(range(2, 34)))
_KEPT = Statement(
    "SELECT (SELECT COUNT(*) FROM deliveries) + (SELECT COUNT(*) FROM signals)"
    " + (SELECT COUNT(*) FROM devices) + (SELECT COUNT(*) FROM audit_events)"
)
#: A word of the body, which no log line may hold.
TELLTALE = "said_by_whoever_sent_it"
BODY, HEADERS = a_webhook(risk="high", posture={TELLTALE: True})
SIGNED_AT = int(NOW.timestamp())
(SIGNATURE,) = HEADERS["webhook-signature"]


@pytest.fixture
def runtime(database, clock):
    """A deployment with a second source, `mdm`, beside `edr`."""
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        sources.add(
            tx,
            an_envelope(),
            SourceId("mdm"),
            adapter="generic",
            secret=MDM_SECRET,
            now=NOW,
        )
    return runtime


def _hex(signature: str) -> str:
    return f"v1,{signature.encode().hex().upper()}"


def _deliver(runtime, signatures=(SIGNATURE,), body=BODY) -> Answer:
    headers = {**HEADERS, "webhook-signature": signatures}
    return receive_webhook(
        runtime, Request(source=SOURCE, headers=headers, body=body, address="192.0.2.1")
    )


def _counted() -> float:
    labels = {"source": SOURCE, "result": "bad-signature"}
    return REGISTRY.get_sample_value("pdp_signals_received_total", labels) or 0


def _kept(runtime) -> int:
    with runtime.database.read() as tx:
        return int(tx.one(_KEPT, {})[0])


@pytest.mark.parametrize(
    ("signatures", "status"),
    [
        pytest.param((), 401, id="none"),
        pytest.param((sign(NOBODYS_SECRET, "msg_1", SIGNED_AT, BODY),), 401, id="a wrong key"),
        pytest.param((sign(MDM_SECRET, "msg_1", SIGNED_AT, BODY),), 401, id="another source's key"),
        pytest.param((sign(WEBHOOK_SECRET, "msg_1", SIGNED_AT, b""),), 401, id="of another body"),
        pytest.param((SIGNATURE[:-4],), 401, id="truncated"),
        pytest.param((SIGNATURE.upper(),), 401, id="in upper case"),
        pytest.param((_hex(SIGNATURE),), 401, id="in hex"),
        pytest.param(("v1,",), 400, id="empty"),
        pytest.param((SIGNATURE, SIGNATURE), 400, id="two headers, both right"),
        pytest.param((SIGNATURE, "v1,x"), 400, id="two headers, one right"),
    ],
)
def test_a_forged_delivery_changes_nothing_is_counted_and_its_body_is_in_no_log(
    runtime, signatures, status
):
    before, counted = _kept(runtime), _counted()

    with structlog.testing.capture_logs() as lines:
        answer = _deliver(runtime, signatures)

    assert answer.status == status
    assert TELLTALE not in f"{lines} {answer}"
    assert _counted() == counted + 1
    assert _kept(runtime) == before


def test_a_secret_of_one_source_says_nothing_in_the_name_of_another(runtime):
    signature = sign(MDM_SECRET, "msg_1", SIGNED_AT, BODY)
    right = Request(
        source=SourceId("mdm"),
        headers={**HEADERS, "webhook-signature": (signature,)},
        body=BODY,
        address="192.0.2.1",
    )

    assert receive_webhook(runtime, replace(right, source=SOURCE)).status == 401
    assert receive_webhook(runtime, right).status == 202


def test_a_body_written_anew_is_not_the_body_that_was_signed(runtime):
    for anew in (BODY + b" ", BODY.replace(b": ", b":"), BODY.replace(b", ", b" , ")):
        assert anew != BODY
        assert _deliver(runtime, body=anew).status == 401
    assert _deliver(runtime).status == 202
