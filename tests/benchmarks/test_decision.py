"""What one decision costs: flat in the number of policies, and beside Cedar in the same process.

Floors: 1,000 policies of three conditions each in at most 25 µs and three times the cost of ten;
at least 50 times faster than `cedarpy` on equal policies and facts. Run with `make bench`, or
`pytest tests/benchmarks --benchmark-only`; ratios are printed at the end.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from time import perf_counter

import cedarpy
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from pdp.domain.access import Facts, Outcome
from pdp.domain.compliance import Compliance
from pdp.policy.document import parse_policies
from pdp.policy.evaluate import evaluate, evaluate_plainly
from pdp.policy.policy import Bundle
from tests.builders import device_facts, facts, subject_facts

SIZES = (10, 100, 1_000)
CLIENTS, GROUPS = 50, 20
_MEDIANS: dict[str, float] = {}


def _terms(number: int) -> tuple[str, str, str]:
    """Return client, group and status of policy `number`; together they name few requests."""
    status = list(Compliance)[number % 5].value
    return f"client-{number % CLIENTS}", f"group-{number % GROUPS}", status


def _bundle(size: int) -> Bundle:
    policies = []
    for number in range(size):
        client, group, status = _terms(number)
        when = {"client": client, "group": group, "device_compliance": status}
        outcome = "full" if number % 5 == 0 else "remediate"
        policies.append({"id": f"policy-{number}", "outcome": outcome, "when": when})
    return parse_policies(
        json.dumps({"pratique": "policies/v1", "default": "block", "policies": policies})
    )


def _cedar(size: int) -> str:
    lines = []
    for number in range(size):
        client, group, status = _terms(number)
        effect = "permit" if number % 5 == 0 else "forbid"
        lines.append(
            f'{effect}(principal, action, resource) when {{ context.client == "{client}" && '
            f'context.groups.contains("{group}") && context.compliance == "{status}" }};'
        )
    return "\n".join(lines)


def _request() -> Facts:
    return facts(
        client="client-0",
        subject=subject_facts(groups={"group-0", "group-7"}),
        device=device_facts(compliance=Compliance.COMPLIANT),
    )


def _cedar_request() -> dict[str, object]:
    return {
        "principal": 'User::"ada"',
        "action": 'Action::"sign-in"',
        "resource": 'Client::"client-0"',
        "context": {
            "client": "client-0",
            "groups": ["group-0", "group-7"],
            "compliance": "compliant",
        },
    }


def _median(call: Callable[[], object], *, rounds: int) -> float:
    """Return the median cost of a call in seconds."""
    costs = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        costs.append(perf_counter() - start)
    return statistics.median(costs)


@pytest.fixture(scope="module", autouse=True)
def ratios(request: pytest.FixtureRequest) -> Iterator[None]:
    """Print the medians of the run beside one another when all are measured."""
    yield
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    lines = [f"{name}: {median * 1e6:.1f} µs" for name, median in sorted(_MEDIANS.items())]
    small, large = _MEDIANS.get("pratique 10"), _MEDIANS.get("pratique 1000")
    cedar = _MEDIANS.get("cedarpy 1000")
    if small and large:
        lines.append(f"1,000 policies / 10 policies: {large / small:.2f}× (at most 3)")
    if cedar and large:
        lines.append(f"cedarpy / pratique, 1,000 policies: {cedar / large:.0f}× (at least 50)")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("", *lines, sep="\n")


@pytest.mark.parametrize("size", SIZES)
def test_one_decision(benchmark: BenchmarkFixture, size: int):
    bundle, request = _bundle(size), _request()
    decision = benchmark(evaluate, bundle, request)
    assert decision.outcome is Outcome.FULL
    assert decision == evaluate_plainly(bundle, request)
    _MEDIANS[f"pratique {size}"] = _median(lambda: evaluate(bundle, request), rounds=2_000)


@pytest.mark.parametrize("size", SIZES)
def test_one_decision_of_cedar(benchmark: BenchmarkFixture, size: int):
    # Parsed once, as ours are: Cedar at its best.
    policies = cedarpy.PolicySet.from_str(_cedar(size))
    entities = cedarpy.Entities.from_json_str("[]")
    request = _cedar_request()
    result = benchmark(cedarpy.is_authorized, request, policies, entities)
    assert result.decision is cedarpy.Decision.Allow
    _MEDIANS[f"cedarpy {size}"] = _median(
        lambda: cedarpy.is_authorized(request, policies, entities), rounds=200
    )
