"""`POST /webhooks/<source>` without a web framework: bytes in, answer out, 202 after the commit.

When the database is down: 503 with `Retry-After`, nothing counted as seen, so that the sender's
retry applies it. A source that does not exist, or is shut, answers as one whose signature is
wrong: who has no secret learns no names.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Final

import orjson
import structlog

from pdp import logs, metrics
from pdp.domain.errors import Conflict, OutcomeUnknown, Unavailable
from pdp.domain.ids import SourceId
from pdp.domain.signal import Signal
from pdp.ephemeral.rate_limit import Limited
from pdp.runtime import Runtime
from pdp.sources import SOURCES, signatures
from pdp.sources.errors import MalformedSignal
from pdp.sources.signatures import Authenticated, Delivery, Refusal, RefusalReason
from pdp.store.arrivals import Arrival
from pdp.store.at_once import AtOnce, NotAtOnce
from pdp.store.database import Transaction
from pdp.store.sources import ConfiguredSource
from pdp.usecases.configuration import Configuration, NotInitialised
from pdp.usecases.confirm_signal import confirm_signal
from pdp.usecases.ingest_signal import Ingested, ingest_signals

MEDIA_TYPES: Final = ("application/json", "application/cloudevents+json")
_RETRY_SECONDS: Final = 5
#: How often a delivery is looked at anew because the configuration moved under it.
_TRIES: Final = 5

# Verified with for sources that do not exist, so that they take as long as others; what it
# verifies is refused all the same.
_NOBODYS: Final = (signatures.format_secret(bytes(32)),)
_log = structlog.get_logger("pdp.webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came: header names in lower case with all their values."""

    source: SourceId
    headers: Mapping[str, tuple[str, ...]]
    body: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the sender is told."""

    status: HTTPStatus
    document: Mapping[str, object]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(dict(self.document))

    @property
    def content_type(self) -> str:
        """RFC 9457 for what went wrong, plain JSON for what did not."""
        wrong = self.status >= HTTPStatus.BAD_REQUEST
        return "application/problem+json" if wrong else "application/json"


@dataclass(frozen=True, slots=True)
class _Believed:
    """A delivery that a source of this configuration signed."""

    source: ConfiguredSource
    delivery_id: str
    configuration: Configuration


def receive_webhook(runtime: Runtime, request: Request) -> Answer:
    """Verify, read and apply one delivery; answers every request, whatever is in it.

    NotAtOnce, and nothing applied or counted, on an event loop that it would hold up.
    """
    if len(request.body) > runtime.settings.server.max_body_bytes:
        return too_large(runtime.settings.server.max_body_bytes)
    if _media_type(request.headers) not in MEDIA_TYPES:
        return _problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send Content-Type: {' or '.join(MEDIA_TYPES)}",
            field="Content-Type",
        )
    try:
        return _receive(runtime, request, runtime.clock())
    except MalformedSignal as malformed:
        metrics.signal_received(request.source, "malformed")
        logs.note("source", request.source)
        return _problem(HTTPStatus.BAD_REQUEST, malformed.problem, field=malformed.field)
    except Conflict as conflict:
        metrics.signal_received(request.source, "conflict")
        _log.warning("webhook.delivery.conflicted", source=request.source)
        return _problem(HTTPStatus.CONFLICT, f"{conflict}; nothing of this delivery was applied")
    except OutcomeUnknown:
        return _come_back(
            "whether this was applied is not known: send the same delivery again, which is"
            " applied once"
        )
    except (Unavailable, NotInitialised):
        return _come_back("nothing was applied: send the same delivery again")


def too_large(limit: int) -> Answer:
    """Return the answer to a body of more than `limit` bytes, read or not."""
    return _problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has more than {limit} bytes: send the signals in several deliveries",
    )


def _come_back(detail: str) -> Answer:
    return _problem(
        HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(_RETRY_SECONDS)}
    )


def _receive(runtime: Runtime, request: Request, received_at: datetime) -> Answer:
    configuration = _configuration(runtime)
    for _ in range(_TRIES):
        believed = _authenticate(configuration, request, received_at)
        if isinstance(believed, Refusal):
            # Another process may just have set this source up, or given it a new secret.
            fresh = _fresh_configuration(runtime)
            if fresh is configuration:
                # First what may have to be done in a thread, all of it anew.
                answer = _refused(runtime, request, believed, received_at)
                _note_refusal(configuration.sources.get(request.source), believed)
                return answer
            configuration = fresh
            continue
        stated = SOURCES[believed.source.adapter].parse(request.body, request.source, received_at)
        applied = _apply(runtime, request, believed, stated, received_at)
        if applied is not None:
            return _accepted(request.source, applied, stated)
        configuration = _fresh_configuration(runtime)
    raise Unavailable("the configuration changes faster than a delivery is looked at")


def _apply(
    runtime: Runtime,
    request: Request,
    believed: _Believed,
    stated: Sequence[Signal],
    received_at: datetime,
) -> Ingested | None:
    """Apply the signals; None, and nothing applied, if the configuration is another one by now."""
    arrival = Arrival(
        source=request.source,
        delivery_id=believed.delivery_id,
        body_digest=hashlib.sha256(request.body).hexdigest(),
        received_at=received_at,
        generation=believed.configuration.generation,
    )
    rules = believed.configuration.rules

    if isinstance(runtime.database, AtOnce):
        if len(stated) != 1:
            # Each would hold up whatever else is asked.
            raise NotAtOnce
        if not runtime.database.is_sqlite:
            return confirm_signal(runtime.database, arrival, stated[0], rules, now=runtime.clock())

    def ingest(tx: Transaction) -> Ingested | None:
        return ingest_signals(tx, arrival, stated, rules, now=runtime.clock())

    return runtime.database.grouped(ingest)


def _authenticate(
    configuration: Configuration, request: Request, now: datetime
) -> _Believed | Refusal:
    source = configuration.sources.get(request.source)
    delivery = Delivery(request.headers, request.body)
    if source is None or not source.enabled or source.adapter not in SOURCES:
        verdict = signatures.authenticate(delivery, _NOBODYS, now)
        return verdict if isinstance(verdict, Refusal) else Refusal(RefusalReason.NO_SECRET)
    verdict = SOURCES[source.adapter].authenticate(delivery, source.ring(now), now)
    match verdict:
        case Authenticated(delivery_id):
            return _Believed(source, delivery_id, configuration)
        case Refusal():
            return verdict


def _configuration(runtime: Runtime) -> Configuration:
    """Return the newest configuration known here; the write transaction asks whether it stands."""
    try:
        return runtime.configurations.latest
    except NotInitialised:
        return _fresh_configuration(runtime)


def _fresh_configuration(runtime: Runtime) -> Configuration:
    with runtime.database.read() as tx:
        return runtime.configurations.current(tx)


def _note_refusal(source: ConfiguredSource | None, refusal: Refusal) -> None:
    """Count and log it; the name of a source that is none is a stranger's word."""
    known = "unknown" if source is None else source.id
    is_disabled = source is not None and not source.enabled
    metrics.signal_received(known, "disabled" if is_disabled else "bad-signature")
    reason = "disabled" if is_disabled else refusal.reason.value
    _log.info("webhook.delivery.refused", source=known, reason=reason)


def _refused(runtime: Runtime, request: Request, refusal: Refusal, now: datetime) -> Answer:
    limits = runtime.settings.signin
    attempt = runtime.rate_limiter.hit(
        f"webhook:{request.address}", limit=limits.client_attempts, window=limits.window, now=now
    )
    if isinstance(attempt, Limited):
        seconds = max(1, round(attempt.retry_after.total_seconds()))
        return _problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "too many deliveries from this address were refused",
            headers={"Retry-After": str(seconds)},
        )
    if refusal.reason.is_odd:
        problem = "is there more than once, or not in the form of Standard Webhooks 1.0"
        return _problem(HTTPStatus.BAD_REQUEST, problem, field=refusal.header)
    return _problem(
        HTTPStatus.UNAUTHORIZED,
        "no source of this name signed this body, with a webhook-timestamp between 300 s ago and"
        " 60 s from now; check name, secret and clock",
        headers={"WWW-Authenticate": "Standard-Webhooks"},
    )


def _accepted(source: SourceId, ingested: Ingested, stated: Sequence[Signal]) -> Answer:
    for word, count in (
        ("accepted", ingested.applied),
        ("stale", ingested.late),
        ("quarantined", ingested.quarantined),
        ("duplicate", ingested.duplicates),
    ):
        for _ in range(count):
            metrics.signal_received(source, word)
    result = "duplicate" if ingested.is_duplicate else "accepted"
    return Answer(HTTPStatus.ACCEPTED, {"result": result, "signals": len(stated)})


def _media_type(headers: Mapping[str, tuple[str, ...]]) -> str:
    stated = headers.get("content-type", ())
    return stated[0].partition(";")[0].strip().lower() if len(stated) == 1 else ""


def _problem(
    status: HTTPStatus,
    detail: str,
    *,
    field: str = "",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    document: dict[str, object] = {
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if field:
        document["field"] = field
    return Answer(status, document, headers or {})
