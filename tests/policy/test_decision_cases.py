"""The cases in `tests/decisions/`: facts and policies, and the decision that follows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pdp.domain.access import Facts
from pdp.domain.compliance import Compliance
from pdp.domain.signal import RiskLevel
from pdp.policy.defaults import default_policies
from pdp.policy.document import parse_policies
from pdp.policy.evaluate import evaluate
from pdp.policy.policy import Bundle
from tests.builders import device_facts, facts, machine_facts, subject_facts

CASES = Path(__file__).parent.parent / "decisions"


def cases() -> Iterator[Any]:
    """Yield every case with its bundle, named by file and case."""
    for path in sorted(CASES.glob("*.yaml")):
        document = YAML(typ="safe", pure=True).load(path)
        bundle = bundle_of_case(document["bundle"])
        for case in document["cases"]:
            yield pytest.param(bundle, case, id=f"{path.stem}: {case['name']}")


def bundle_of_case(said: Any) -> Bundle:
    """Return the default bundle, or the one that the file holds."""
    return default_policies() if said == "default" else parse_policies(json.dumps(said))


def facts_of_case(said: dict[str, Any]) -> Facts:
    """Return the facts of a healthy sign-in, but for what the case says."""
    if said.get("machine"):
        return machine_facts()
    device = {**said.get("device", {})}
    return facts(
        scopes=said.get("scopes", ["openid"]),
        subject=subject_facts(groups=said.get("groups", [])),
        device=device_facts(
            compliance=Compliance(device["compliance"]),
            risk=RiskLevel(device.get("risk", "unknown")),
            blocked=device.get("blocked", False),
        ),
    )


@pytest.mark.parametrize(("bundle", "case"), [*cases()])
def test_a_case_is_decided_as_it_says(bundle: Bundle, case: dict[str, Any]):
    decision = evaluate(bundle, facts_of_case(case["facts"]))
    expected = case["expect"]
    assert decision.outcome.wire == expected["outcome"]
    assert list(decision.matched) == expected["matched"]
    assert [reason.value for reason in decision.reasons] == expected["reasons"]
    assert sorted(decision.restriction.scopes if decision.restriction else []) == expected.get(
        "scopes", []
    )
    assert (decision.step_up.acr if decision.step_up else None) == expected.get("acr")
