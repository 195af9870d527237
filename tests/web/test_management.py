"""The management address: alive without the database, ready only with everything."""

import io
import json
import threading
from contextlib import closing
from datetime import timedelta
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from pdp import metrics
from pdp.store import jobs, sources
from pdp.store.database import Database, Statement
from pdp.store.decision_log import GRACE
from pdp.usecases.check_readiness import Check
from pdp.web.management import Management
from tests.builders import NOW, SOURCE, FrozenClock
from tests.deployment import a_calm, a_deployment, a_runtime, ingest
from tests.servers import stopped

ALIVE = Check(name="worker", ok=True, detail="runs")
DEAD = Check(name="worker", ok=False, detail="died", cure="look")


@pytest.fixture
def clock(database):
    """The clock of the database's machine, so that nothing differs."""
    if database.is_sqlite:
        return FrozenClock()
    with database.engine.connect() as connection:
        return FrozenClock(connection.exec_driver_sql("SELECT now()").scalar_one())


def _get(application, path, method="GET"):
    """Ask as a server would; the validator checks both sides against PEP 3333."""
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "QUERY_STRING": "", "SCRIPT_NAME": ""}
    setup_testing_defaults(environ)
    environ["wsgi.input"] = io.BytesIO()
    answered = []

    def start_response(status, _headers, _failure=None):
        answered.append(status)

    answer: Any = validator(application)(environ, start_response)
    with closing(answer) as chunks:
        body = b"".join(chunks)
    return int(answered[0].split()[0]), body


def test_a_deployment_is_ready_and_says_why(database, clock):
    status, body = _get(Management(a_deployment(database, clock)), "/readyz")

    assert status == 200
    assert json.loads(body)["checks"]["keys"]["ok"]


def test_an_empty_database_is_not_ready_but_alive(database, clock):
    management = Management(a_runtime(database, clock))

    status, body = _get(management, "/readyz")

    assert status == 503
    assert "pdp init" in json.loads(body)["checks"]["keys"]["cure"]
    assert _get(management, "/livez")[0] == 200


def test_a_part_that_died_is_not_ready(database, clock):
    management = Management(a_deployment(database, clock), lambda: (DEAD,))

    status, body = _get(management, "/readyz")

    assert status == 503
    assert json.loads(body)["checks"]["worker"]["cure"] == "look"


def test_a_postgresql_that_stands_still_is_answered_before_a_probe_gives_up(postgresql_url):
    database = Database.open(postgresql_url, pool_size=1)
    management = Management(a_deployment(database, FrozenClock()), lambda: (ALIVE,))
    with database.read() as tx:
        (pid,) = tx.one(Statement("SELECT pg_backend_pid()"), {}) or (0,)

    with stopped(pid):
        status, body = _get(management, "/readyz")
        again, still = _get(management, "/readyz")
        scraped = [_get(management, "/metrics") for _ in range(2)]
    for each in threading.enumerate():
        if each.name in {"readiness", "gauges"}:
            each.join(20)
    whole = _get(management, "/metrics")
    database.close()

    assert (status, again) == (503, 503)
    assert json.loads(body)["checks"]["database"]["detail"] == "no answer within 1.5 s"
    assert json.loads(still)["checks"]["database"]["detail"] == "still no answer"
    assert json.loads(body)["checks"]["worker"]["ok"]
    # What was counted is told all the same.
    assert [(status, b"pdp_fail_open_total" in text) for status, text in scraped] == [
        (200, True)
    ] * 2
    assert [b"pdp_jobs_depth" in text for _, text in (*scraped, whole)] == [False, False, True]


def test_records_that_cannot_be_written_are_named_until_they_are(database, clock):
    management = Management(a_deployment(database, clock))
    metrics.records_waited((GRACE + timedelta(seconds=1)).total_seconds())

    status, body = _get(management, "/readyz")
    metrics.records_waited(0)

    assert status == 503
    assert "11 s" in json.loads(body)["checks"]["records"]["detail"]
    assert _get(management, "/readyz")[0] == 200


def test_metrics_tell_what_waits_for_whom(database, clock):
    runtime = a_deployment(database, clock)
    now = clock()
    with database.write() as tx:
        jobs.enqueue(tx, "propagate-change", {}, now=now - timedelta(seconds=7))
        jobs.enqueue(tx, "deliver-logout", {}, now=now - timedelta(minutes=9), receiver="wiki")
        jobs.enqueue(tx, "deliver-logout", {}, now=now - timedelta(minutes=8), receiver="wiki")
        (first,) = jobs.claim(tx, now=now, receiver="wiki")
        jobs.bury(tx, first.id, error="gone")

    status, body = _get(Management(runtime), "/metrics")

    told = dict(line.rsplit(" ", 1) for line in body.decode().splitlines() if line[0] != "#")
    assert status == 200
    assert told['pdp_jobs_depth{state="waiting"}'] == "2.0"
    assert told['pdp_jobs_depth{state="dead"}'] == "1.0"
    assert float(told["pdp_jobs_oldest_seconds"]) == 7
    assert told['pdp_logouts_depth{client="wiki",state="waiting"}'] == "1.0"
    assert told['pdp_logouts_depth{client="wiki",state="dead"}'] == "1.0"
    assert float(told['pdp_logouts_oldest_seconds{client="wiki"}']) == 8 * 60


def test_metrics_tell_when_each_source_spoke_last(database, clock):
    runtime = a_deployment(database, clock)
    management = Management(runtime)
    never = _get(management, "/metrics")[1]
    later = NOW + timedelta(hours=1)
    ingest(database, a_calm("evt-1", NOW), now=later)
    spoke = _get(management, "/metrics")[1]

    series = f'pdp_source_last_delivery_timestamp_seconds{{source="{SOURCE}"}} '

    def told(text):
        (line,) = [each for each in text.decode().splitlines() if each.startswith(series)]
        return float(line.rsplit(" ", 1)[1])

    # Until it speaks: since it was set up.
    assert told(never) == NOW.timestamp()
    assert told(spoke) == later.timestamp()


def test_a_source_that_is_disabled_is_not_silent(database, clock):
    runtime = a_deployment(database, clock)
    with database.write() as tx:
        sources.set_disabled(tx, SOURCE, NOW)

    series = b"pdp_source_last_delivery_timestamp_seconds{"
    assert series not in _get(Management(runtime), "/metrics")[1]


def test_metrics_are_told_while_the_database_is_down(database, clock, tmp_path):
    broken = type(database).open(f"sqlite:///{tmp_path / 'down.db'}")
    (tmp_path / "down.db").mkdir()

    status, body = _get(Management(a_runtime(broken, clock)), "/metrics")
    assert status == 200
    assert b"pdp_fail_open_total" in body
    assert b"pdp_jobs_depth" not in body
    broken.close()


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 404), ("/livez", "POST", 405), ("/livez", "HEAD", 200)],
)
def test_nothing_else_is_there(database, clock, path, method, status):
    answer, body = _get(Management(a_deployment(database, clock)), path, method)

    assert answer == status
    assert method != "HEAD" or body == b""
