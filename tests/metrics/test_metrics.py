import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from pdp import metrics
from pdp.web.gauges import gauges_of
from tests.builders import NOW

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
MINUTE = timedelta(minutes=1)


def exposed():
    return metrics.exposition(()).decode()


def value(text, series):
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("count", "series"),
    [
        (
            lambda: metrics.decided("refresh", "block", 0.00001),
            'pdp_decisions_total{channel="refresh",outcome="block"}',
        ),
        (lambda: metrics.decided("refresh", "full", 0.00001), "pdp_decision_seconds_count"),
        (
            lambda: metrics.signal_received("edr", "accepted"),
            'pdp_signals_received_total{result="accepted",source="edr"}',
        ),
        (
            lambda: metrics.signal_enforced(MINUTE),
            "pdp_signal_to_enforcement_seconds_count",
        ),
        (
            lambda: metrics.token_issued("refresh_token"),
            'pdp_tokens_issued_total{grant="refresh_token"}',
        ),
        (metrics.refresh_reuse_detected, "pdp_refresh_reuse_detected_total"),
        (metrics.code_replay_detected, "pdp_code_replay_detected_total"),
        (
            lambda: metrics.logout_delivered("wiki", "failed"),
            'pdp_logout_deliveries_total{client="wiki",result="failed"}',
        ),
        (lambda: metrics.password_hashed(0.02), "pdp_password_hash_seconds_count"),
        (metrics.failed_open, "pdp_fail_open_total"),
        (
            lambda: metrics.request_answered("/token", 200, 0.001),
            'pdp_http_requests_total{route="/token",status="200"}',
        ),
        (
            lambda: metrics.request_answered("/token", 200, 0.001),
            'pdp_http_request_seconds_count{route="/token"}',
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_happens_once_is_counted_once(count, series):
    before = value(exposed(), series)
    count()

    assert value(exposed(), series) == before + 1


def test_failing_open_is_visible_while_it_never_happened():
    script = "from pdp import metrics\n"
    script += "print(metrics.exposition(()).decode())"
    fresh = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)

    assert b"pdp_fail_open_total 0.0" in fresh.stdout


def _said_by_a_process(script, folder):
    """Run a script in a process that counts in `folder`; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        cwd=DOCS.parents[1],
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


def test_processes_count_together(tmp_path):
    script = "from pdp import metrics\n"
    script += "metrics.failed_open(); metrics.token_issued('refresh_token')\n"
    script += "print(metrics.exposition(()).decode())"
    for _ in range(3):
        last = _said_by_a_process(script, tmp_path)

    assert value(last, "pdp_fail_open_total") == 3
    assert value(last, 'pdp_tokens_issued_total{grant="refresh_token"}') == 3


@pytest.mark.parametrize("begun", [b"", bytes(7)], ids=["empty", "cut short"])
def test_a_file_of_counters_that_holds_nothing_yet_is_passed_over(tmp_path, begun):
    script = "from pdp import metrics\nmetrics.failed_open()\n"
    script += "assert not metrics.records_waiting()\n"
    script += "print(metrics.exposition(()).decode())"
    for name in ("counter_99999.db", "histogram_99999.db", "gauge_mostrecent_99999.db"):
        (tmp_path / name).write_bytes(begun)

    told = _said_by_a_process(script, tmp_path)

    assert value(told, "pdp_fail_open_total") == 1


def test_every_metric_is_documented_and_every_documented_one_exists(database):
    counted = (family for family in REGISTRY.collect() if family.name.startswith("pdp_"))
    ours = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in (*counted, *gauges_of(database, now=NOW))
    }
    documented = set(re.findall(r"^\| `(pdp_\w+)`", DOCS.read_text("utf-8"), re.MULTILINE))

    assert ours == documented


def test_alerts_name_metrics_that_exist():
    text = DOCS.read_text("utf-8").split("## What to be woken for")[1]

    assert {name.split("{")[0] for name in re.findall(r"pdp_\w+", text)} <= set(
        re.findall(r"pdp_\w+", DOCS.read_text("utf-8").split("## What")[0])
    )
