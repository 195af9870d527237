"""Ten thousand signals at once, every hundredth of them poison: the rest is applied, and soon."""

import json
import time
from datetime import timedelta

from pdp.store import devices, signals
from pdp.store.database import Statement
from pdp.store.signals import SignalResult
from pdp.web.receive_webhook import Request, receive_webhook
from pdp.worker.loop import Worker
from tests.builders import NOW, SOURCE, a_delivery
from tests.deployment import a_client, a_deployment, signed_in

DELIVERIES = 100
IN_EACH = 100
DEVICES = 50
#: What is to be done with all of them.
AT_MOST = timedelta(seconds=60)
_WAITING = Statement("SELECT COUNT(*) FROM jobs WHERE state <> 'dead'")
_RESULTS = Statement("SELECT result, COUNT(*) FROM signals GROUP BY result")


def _signal(number: int, names: dict[str, str]) -> dict[str, object]:
    at = NOW - timedelta(minutes=5) + timedelta(milliseconds=number)
    return {
        "id": f"evt-{number}",
        "event_time": at.isoformat(),
        "device": names,
        "risk": "high" if number % 2 else "low",
    }


def _signals(delivery: int) -> list[dict[str, object]]:
    """A batch about every device in turn; its last signal names two of them at once."""
    numbers = range(delivery * IN_EACH, (delivery + 1) * IN_EACH)
    batch = [
        _signal(number, {"serial": f"S{number % DEVICES}", "edr_id": f"E{number % DEVICES}"})
        for number in numbers[:-1]
    ]
    return [*batch, _signal(numbers[-1], {"serial": "S0", "edr_id": "E1"})]


def _send(runtime, name: str, body: bytes) -> int:
    delivery = a_delivery(body, delivery_id=name)
    headers = {**delivery.headers, "content-type": ("application/json",)}
    return receive_webhook(
        runtime, Request(source=SOURCE, headers=headers, body=body, address="192.0.2.1")
    ).status


def test_a_burst_with_poison_in_it_is_applied_but_for_the_poison(database, clock):
    runtime = a_deployment(database, clock, a_client("wiki"))
    signed_in(database, "wiki")
    started = time.perf_counter()

    for number in range(DELIVERIES):
        assert _send(runtime, f"poison-{number}", b'{"signals": [{"id": ') == 400
        body = json.dumps({"signals": _signals(number)}).encode()
        assert _send(runtime, f"msg-{number}", body) == 202
    worker = Worker(runtime, chance=lambda: 1.0)
    while worker.run_due():
        pass
    worker.close()

    assert time.perf_counter() - started < AT_MOST.total_seconds()
    with database.read() as tx:
        results = {row[0]: row[1] for row in tx.all(_RESULTS, {})}
        assert len(devices.list_devices(tx)) == DEVICES + 1
        assert len(signals.quarantined(tx)) == DELIVERIES
        assert tx.one(_WAITING, {})[0] == 0
    # In one batch a later signal about a device may come first: the other is kept as history.
    # One more was ada's: her device was calm before.
    seen = results[SignalResult.APPLIED.value] + results[SignalResult.LATE.value]
    assert seen == DELIVERIES * (IN_EACH - 1) + 1
    assert results[SignalResult.QUARANTINED.value] == DELIVERIES
