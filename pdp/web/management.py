"""The management address: is it alive, is it ready, what has it counted.

A plain WSGI application, for operators' networks only: it asks nobody who they are. `/livez`
touches nothing, so that a slow database never gets a healthy process killed. `/readyz` says no in
two seconds, whatever the database does.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

import orjson
from prometheus_client.metrics_core import GaugeMetricFamily

from pdp import metrics
from pdp.domain.errors import Unavailable
from pdp.runtime import Runtime
from pdp.store.decision_log import GRACE
from pdp.usecases.check_in_time import ANSWER_WITHIN, PromptReadiness
from pdp.usecases.check_readiness import Check, Readiness, look
from pdp.usecases.in_time import InTime
from pdp.web.gauges import gauges_of

StartResponse = Callable[[str, list[tuple[str, str]]], object]
#: Returns the checks that only the process which runs the parts can make.
OwnChecks = Callable[[], tuple[Check, ...]]

_JSON: Final = "application/json"


class Management:
    """Answers `/livez`, `/readyz` and `/metrics`."""

    def __init__(self, runtime: Runtime, own_checks: OwnChecks = tuple) -> None:
        self._runtime = runtime
        self._own_checks = own_checks
        self._readiness = PromptReadiness(
            lambda: look(runtime.database, runtime.configurations, runtime.clock)
        )
        self._gauges = InTime("gauges", self._gauges_if_up, within=ANSWER_WITHIN)

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        status, kind, body = self._answer(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ]
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, method: str, path: str) -> tuple[HTTPStatus, str, bytes]:
        if method not in {"GET", "HEAD"}:
            return HTTPStatus.METHOD_NOT_ALLOWED, _JSON, b'{"status":"method not allowed"}'
        match path:
            case "/livez":
                return HTTPStatus.OK, _JSON, b'{"status":"alive"}'
            case "/readyz":
                return self._ready()
            case "/metrics":
                return self._metrics()
            case _:
                return HTTPStatus.NOT_FOUND, _JSON, b'{"status":"not found"}'

    def _ready(self) -> tuple[HTTPStatus, str, bytes]:
        readiness = Readiness((*self._readiness().checks, _records(), *self._own_checks()))
        status = HTTPStatus.OK if readiness.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        document = {
            "status": "ready" if readiness.is_ready else "not ready",
            "checks": {
                check.name: {"ok": check.ok, "detail": check.detail, "cure": check.cure}
                for check in readiness.checks
            },
        }
        return status, _JSON, orjson.dumps(document)

    def _metrics(self) -> tuple[HTTPStatus, str, bytes]:
        # What was counted is worth most while the database is down, or stands still.
        seen = self._gauges()
        gauges = seen.found if seen.is_over else ()
        return HTTPStatus.OK, metrics.CONTENT_TYPE, metrics.exposition(gauges)

    def _gauges_if_up(self) -> tuple[GaugeMetricFamily, ...]:
        try:
            return gauges_of(self._runtime.database, now=self._runtime.clock())
        except Unavailable:
            return ()


def _records() -> Check:
    """Whether answered checks are recorded; only the server's own processes can tell."""
    waiting = metrics.records_waiting()
    if waiting <= GRACE:
        return Check(name="records", ok=True, detail="decisions are recorded in time")
    return Check(
        name="records",
        ok=False,
        detail=f"decisions have waited {int(waiting.total_seconds())} s to be recorded:"
        " checks are answered 503",
        cure="see the log for why, and mend the database",
    )
