"""What operators count: Prometheus metrics, each explained in docs/metrics.md.

Several processes count together through files: `pdp serve` sets PROMETHEUS_MULTIPROC_DIR to an
emptied folder before this module is imported. Labels hold configured or fixed words only, never
an id of a person, device or session, and never a word that a stranger chose.
"""

import os
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_FAST: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_TINY: Final = (0.000005, 0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.01, 0.1)
_SLOW: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900)
#: What each file of counters begins with: how much of it is used.
_HEADER_BYTES: Final = 8

disable_created_metrics()  # type: ignore[no-untyped-call]

_decisions: Final = Counter(
    "pdp_decisions", "Access decisions, by where they were asked for.", ["channel", "outcome"]
)
_decision_seconds: Final = Histogram(
    "pdp_decision_seconds", "Time to evaluate the policies for one decision.", buckets=_TINY
)
_signals: Final = Counter(
    "pdp_signals_received", "Signals and deliveries, by what became of them.", ["source", "result"]
)
_enforcement: Final = Histogram(
    "pdp_signal_to_enforcement_seconds",
    "From the commit of a signal to the receiver's acknowledgement of what followed.",
    buckets=_SLOW,
)
_tokens: Final = Counter("pdp_tokens_issued", "Token responses with an access token.", ["grant"])
_reuse: Final = Counter(
    "pdp_refresh_reuse_detected", "Refresh tokens used twice; their families were revoked."
)
_replays: Final = Counter(
    "pdp_code_replay_detected", "Authorization codes used twice; what they gave was revoked."
)
_logouts: Final = Counter(
    "pdp_logout_deliveries",
    "Back-channel logout tokens, by the client they were for and what became of them.",
    ["client", "result"],
)
_hashing: Final = Histogram(
    "pdp_password_hash_seconds", "Time to hash one password, waiting excluded.", buckets=_FAST
)
_fail_open: Final = Counter(
    "pdp_fail_open", "Break-glass people let past an evaluation error. Must stay 0: alert on it."
)
_requests: Final = Counter("pdp_http_requests", "Requests answered.", ["route", "status"])
_request_seconds: Final = Histogram(
    "pdp_http_request_seconds", "Time to answer a request.", ["route"], buckets=_FAST
)
_unrecorded: Final = Gauge(
    "pdp_decisions_unrecorded_seconds",
    "How long records of answered checks have waited for a database that takes none; 0 is well.",
    multiprocess_mode="mostrecent",
)

# `labels()` costs several times what counting does: each child is looked up once.
_decision_child: Final = lru_cache(maxsize=256)(_decisions.labels)
_signal_child: Final = lru_cache(maxsize=4096)(_signals.labels)
_token_child: Final = lru_cache(maxsize=32)(_tokens.labels)
_logout_child: Final = lru_cache(maxsize=1024)(_logouts.labels)
_request_child: Final = lru_cache(maxsize=4096)(_requests.labels)
_request_time: Final = lru_cache(maxsize=512)(_request_seconds.labels)


def decided(channel: str, outcome: str, seconds: float) -> None:
    """Count one decision: `channel` and `outcome` as on the wire, evaluation in seconds."""
    _decision_child(channel, outcome).inc()
    _decision_seconds.observe(seconds)


def decided_again(channel: str, outcome: str) -> None:
    """Count one decision that was taken before on equal facts: nothing was evaluated."""
    _decision_child(channel, outcome).inc()


def signal_received(source: str, result: str) -> None:
    """Count one signal of a configured source.

    `result` is a word of ours: `accepted`, `duplicate`, `stale`, `bad-signature`, `disabled`,
    `malformed`, `conflict`, `unknown-device`, `quarantined`. A source that is not configured is
    counted under `source="unknown"`, never under the name that a stranger wrote.
    """
    _signal_child(source, result).inc()


def signal_enforced(waited: timedelta) -> None:
    """Observe one receiver's acknowledgement, so long after the signal was committed."""
    _enforcement.observe(waited.total_seconds())


def token_issued(grant: str) -> None:
    """Count a token response; `grant` is one of the grant types that we serve."""
    _token_child(grant).inc()


def refresh_reuse_detected() -> None:
    """Count a refresh token that was used twice."""
    _reuse.inc()


def code_replay_detected() -> None:
    """Count an authorization code that was used twice."""
    _replays.inc()


def logout_delivered(client: str, result: str, count: int = 1) -> None:
    """Count logout tokens for a registered client: `delivered`, `failed` (once), `given-up`."""
    _logout_child(client, result).inc(count)


def password_hashed(seconds: float) -> None:
    """Observe the hashing of one password."""
    _hashing.observe(seconds)


def failed_open() -> None:
    """Count a break-glass person let past an evaluation error."""
    _fail_open.inc()


def request_answered(route: str, status: int, seconds: float) -> None:
    """Count one request: `route` is the pattern of the URL, never the URL."""
    _request_child(route, str(status)).inc()
    _request_time(route).observe(seconds)


def records_waited(waited: float) -> None:
    """Tell how many seconds decision records have waited for the database by now; 0 for none."""
    _unrecorded.set(waited)


def records_waiting() -> timedelta:
    """Return how long decision records had waited when a process last tried to write some."""
    seconds = _registry().get_sample_value("pdp_decisions_unrecorded_seconds")
    return timedelta(seconds=seconds or 0)


def exposition(gauges: Iterable[GaugeMetricFamily]) -> bytes:
    """Return what all processes counted, and `gauges` as of now, in Prometheus' text form."""
    now = CollectorRegistry()
    now.register(_AsOfNow(tuple(gauges)))
    return generate_latest(_registry()) + generate_latest(now)


class _AsOfNow(Collector):
    """What is read when it is asked for; processes keep nothing of it."""

    def __init__(self, gauges: tuple[GaugeMetricFamily, ...]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._gauges


class _WhatIsCounted(MultiProcessCollector, Collector):
    """Adds up the files of all processes but those that hold nothing yet.

    A process makes its file first and writes to it then: one that was killed between leaves an
    empty file, which the base takes for a broken one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        files = [str(path) for path in self._folder.glob("*.db") if _holds_counts(path)]
        merged: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]
        return merged


def _holds_counts(path: Path) -> bool:
    try:
        return path.stat().st_size >= _HEADER_BYTES
    except FileNotFoundError:
        return False


def _registry() -> CollectorRegistry:
    if (folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR")) is None:
        return REGISTRY
    everybody = CollectorRegistry()
    everybody.register(_WhatIsCounted(Path(folder)))
    return everybody
