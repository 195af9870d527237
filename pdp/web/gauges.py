"""What the database tells of the moment: what waits for whom, and when each source last spoke."""

from datetime import datetime

from prometheus_client.metrics_core import GaugeMetricFamily

from pdp.store import jobs, signals
from pdp.store.database import Database
from pdp.store.jobs import Backlog


def gauges_of(database: Database, *, now: datetime) -> tuple[GaugeMetricFamily, ...]:
    """Return the gauges as of `now` (UTC); raises Unavailable when the database is down."""
    with database.read() as tx:
        backlogs = jobs.backlog(tx)
        silent_since = signals.silent_since(tx)
    depth = GaugeMetricFamily(
        "pdp_jobs_depth", "Jobs that wait, or were given up.", labels=["state"]
    )
    depth.add_metric(["waiting"], sum(each.waiting for each in backlogs.values()))
    depth.add_metric(["dead"], sum(each.dead for each in backlogs.values()))
    ours = backlogs.pop(jobs.NOBODY, Backlog())
    oldest = GaugeMetricFamily(
        "pdp_jobs_oldest_seconds",
        "Age of the oldest change that is not carried out: seconds.",
        _age(ours, now),
    )
    waiting = GaugeMetricFamily(
        "pdp_logouts_depth",
        "Logout tokens that wait for a client, or were given up.",
        labels=["client", "state"],
    )
    waited = GaugeMetricFamily(
        "pdp_logouts_oldest_seconds",
        "Age of the oldest logout token that a client has not taken: seconds.",
        labels=["client"],
    )
    for client, backlog in sorted(backlogs.items()):
        waiting.add_metric([client, "waiting"], backlog.waiting)
        waiting.add_metric([client, "dead"], backlog.dead)
        waited.add_metric([client], _age(backlog, now))
    spoke = GaugeMetricFamily(
        "pdp_source_last_delivery_timestamp_seconds",
        "When the last believed delivery of an enabled source came, or it was set up: since 1970.",
        labels=["source"],
    )
    for source, at in sorted(silent_since.items()):
        spoke.add_metric([source], at.timestamp())
    return depth, oldest, waiting, waited, spoke


def _age(backlog: Backlog, now: datetime) -> float:
    """Return for how many seconds the oldest job has waited since it was made."""
    if backlog.oldest is None:
        return 0
    return max(0.0, (now - backlog.oldest).total_seconds())
